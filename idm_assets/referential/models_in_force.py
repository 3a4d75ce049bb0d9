"""Data models read back from the referential in force.

Belongs here: rows of `data_models` and `model_attributes` as models. Does not belong here: reading models from files.
"""

from __future__ import annotations

import json
from typing import Any

import duckdb

from idm_assets.referential import tables
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.history import ever_in_force, in_force
from resources.lake import Lake


def models_in_force(lake: Lake, version: int | None = None) -> tuple[Model, ...]:
    """All models that are in force, or were in a former version of the referential, by name and version."""
    return _models(in_force(lake, tables.DATA_MODELS, version), in_force(lake, tables.MODEL_ATTRIBUTES, version))


def models_ever_in_force(lake: Lake) -> tuple[Model, ...]:
    """All models that any version of the referential had, by name and version."""
    return _models(ever_in_force(lake, tables.DATA_MODELS), ever_in_force(lake, tables.MODEL_ATTRIBUTES))


def _models(data_models: str, model_attributes: str) -> tuple[Model, ...]:
    """Models from queries of their tables; what came, went and came again is there once."""
    con = duckdb.connect()
    try:
        attributes: dict[tuple[str, str], list[Attribute]] = {}
        for row in _rows(con, f"SELECT DISTINCT * EXCLUDE (recorded_by) FROM ({model_attributes}) ORDER BY attribute"):
            attributes.setdefault((row["model"], row["version"]), []).append(_attribute(row))
        return tuple(
            Model(
                name=row["model"], version=row["version"], kind=row["kind"], description=row["description"],
                business_object=row["business_object"], owner=row["owner"], extends=row["extends"],
                semantic_id=row["semantic_id"], attributes=tuple(attributes.get((row["model"], row["version"]), ())),
                origin="the referential in force",
            )
            for row in _rows(
                con, f"SELECT DISTINCT * EXCLUDE (recorded_by) FROM ({data_models}) ORDER BY model, version"
            )
        )  # fmt: skip
    finally:
        con.close()


def _rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    relation = con.sql(query)
    return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]


def _attribute(row: dict[str, Any]) -> Attribute:
    fields = {
        name: row[name]
        for name in (
            "data_type", "kind", "unit", "description", "minimum", "maximum", "key", "required", "sampling",
            "cadence_s", "deadband", "hold", "pii", "semantic_id", "inherited_from",
        )
    }  # fmt: skip
    return Attribute(row["attribute"], **fields, allowed=tuple(json.loads(row["allowed"] or "[]")))
