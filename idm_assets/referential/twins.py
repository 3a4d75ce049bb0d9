"""Avatars in force, as the export to Asset Administration Shells needs them.

Belongs here: reading avatars with their models and bindings, one after the other. Does not belong here: formats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import duckdb

from idm_assets.referential import tables
from idm_assets.referential.description import Binding
from idm_assets.referential.history import in_force
from idm_assets.referential.models_in_force import models_in_force
from idm_assets.referential.shell_export import ShellBinding, ShellSource
from idm_assets.sql import literal
from resources.lake import Lake

_BATCH: Final = 10_000


def shell_sources(con: duckdb.DuckDBPyConnection, lake: Lake, plant: str | None = None) -> Iterator[ShellSource]:
    """The avatars that are in force now, of one plant or of all, in order of plant and avatar.

    The connection is busy until the last of them was taken.
    """
    models = {(model.name, model.version): model for model in models_in_force(lake)}
    now = "coalesce(valid_from, '-infinity') <= now() AND coalesce(valid_to, 'infinity') > now()"
    where = f"{now} AND {'true' if plant is None else f'plant = {literal(plant)}'}"
    result = con.execute(
        f"SELECT a.*, s.source, s.tag, s.attribute, s.delivered_unit, s.scale, s.shift, s.starts, s.ends FROM ("
        "SELECT plant, avatar, name, model, model_version, parent, equipment_path, external_ids, static_attributes,"
        f" description FROM ({in_force(lake, tables.AVATARS)}) WHERE {where}) a LEFT JOIN ("
        "SELECT plant, avatar, source, tag, attribute, delivered_unit, scale, shift, valid_from AS starts,"
        f" valid_to AS ends FROM ({in_force(lake, tables.SIGNALS)}) WHERE {where}) s USING (plant, avatar)"
        " ORDER BY plant, avatar, source, tag"
    )
    columns = [description[0] for description in result.description or ()]
    rows: Iterator[dict[str, Any]] = (dict(zip(columns, row, strict=True)) for row in _rows(result))
    for _, group in groupby(rows, key=lambda row: (row["plant"], row["avatar"])):
        listed = list(group)
        first = listed[0]
        yield ShellSource(
            plant=first["plant"], avatar=first["avatar"], name=first["name"],
            model=models[first["model"], first["model_version"]], equipment_path=first["equipment_path"],
            parent=first["parent"], external_ids=json.loads(first["external_ids"]),
            static_attributes=json.loads(first["static_attributes"]), description=first["description"],
            bindings=tuple(
                ShellBinding(
                    Binding(
                        row["source"], row["tag"], row["avatar"], row["attribute"], row["delivered_unit"],
                        row["scale"], row["shift"],
                    ),
                    row["starts"], row["ends"],
                )
                for row in listed if row["source"] is not None
            ),
        )  # fmt: skip


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while batch := result.fetchmany(_BATCH):
        yield from batch
