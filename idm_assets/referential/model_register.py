"""Which versions of which data models there are, and the tables that say so.

Models with a version of their own keep it. Models that come without one, as from MTConnect, are numbered by
their content: another content is a new version, minor if attributes were only added, major otherwise.

Belongs here: versions and the frames of `referential.data_models` and `model_attributes`. Does not belong here:
reading models, what refers to them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import polars as pl

from idm_assets.contracts import Table
from idm_assets.referential import tables
from idm_assets.referential.compatibility import version_numbers
from idm_assets.referential.description import Attribute, Model

Row = dict[str, Any]
Number = tuple[int, int, int]


class ModelRegister:
    """All models by name and version."""

    def __init__(self) -> None:
        self._models: dict[str, dict[Number, Model]] = {}
        self.problems: list[str] = []

    def add(self, models: Iterable[Model]) -> dict[str, str]:
        """Take in the models of one source; returns the version that each name has there.

        The same name and version with another content is a problem, kept in ``problems``.
        """
        versions: dict[str, str] = {}
        for model in models:
            known = self._models.setdefault(model.name, {})
            number = self._numbered(known, model) if model.version is None else self._stated(known, model)
            known.setdefault(number, model)
            versions[model.name] = text_of(number)
        return versions

    def find(self, reference: str) -> tuple[str, str] | None:
        """Name and version behind ``Name`` or ``Name@1.2.0``; without a version the highest; None if unknown."""
        name, _, version = reference.partition("@")
        known = self._models.get(name)
        if not known:
            return None
        if not version:
            return name, text_of(max(known))
        return (name, version) if version in map(text_of, known) else None

    def names(self) -> list[str]:
        """Names of all models, sorted."""
        return sorted(self._models)

    def highest(self) -> dict[str, Model]:
        """The highest version of every model, by name."""
        return {name: known[max(known)] for name, known in self._models.items()}

    def all(self) -> Iterator[tuple[Model, str]]:
        """Every model with its version, in order of name and version."""
        for name in sorted(self._models):
            for number in sorted(self._models[name]):
                yield self._models[name][number], text_of(number)

    def _stated(self, known: dict[Number, Model], model: Model) -> Number:
        try:
            number = version_numbers(model.version or "")
        except ValueError as error:
            self.problems.append(f"{model.origin}: version {model.version!r} of model {model.name!r}: {error}")
            return 0, 0, 0
        other = known.get(number, model)
        if content_of(other) != content_of(model):
            self.problems.append(
                f"model {model.name!r} {model.version} is described twice, differently: at {other.origin} and at"
                f" {model.origin}; give one of them another version"
            )
        return number

    @staticmethod
    def _numbered(known: dict[Number, Model], model: Model) -> Number:
        same = next((n for n, m in known.items() if content_of(m) == content_of(model)), None)
        if same is not None:
            return same
        if not known:
            return 1, 0, 0
        major, minor, _ = highest = max(known)
        only_added = content_of(known[highest]).items() <= content_of(model).items()
        return (major, minor + 1, 0) if only_added else (major + 1, 0, 0)


def text_of(number: Number) -> str:
    """A semantic version as text."""
    return ".".join(map(str, number))


def content_of(model: Model) -> dict[str, tuple[object, ...]]:
    """What two models of one name and version must agree in: what their attributes are, not how they are told."""
    return {
        a.name: (a.data_type, a.kind, a.unit, a.minimum, a.maximum, a.allowed, a.key, a.required, a.hold)
        for a in model.attributes
    }


def frames(register: ModelRegister) -> dict[Table, pl.DataFrame]:
    """The contents of `data_models` and `model_attributes`, without the columns of history."""
    entries = list(register.all())
    return {
        tables.DATA_MODELS: _frame(tables.DATA_MODELS, [_model_row(model, version) for model, version in entries]),
        tables.MODEL_ATTRIBUTES: _frame(
            tables.MODEL_ATTRIBUTES,
            [_attribute_row(model, version, a) for model, version in entries for a in model.attributes],
        ),
    }


def _frame(table: Table, rows: Sequence[Row]) -> pl.DataFrame:
    history = (tables.ROW_ID.name, tables.RECORDED_BY.name)
    schema = {c.name: c.type.polars for c in table.columns if c.name not in history}
    return pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)


def _model_row(model: Model, version: str) -> Row:
    return {
        "model": model.name, "version": version, "kind": model.kind, "description": model.description,
        "business_object": model.business_object, "owner": model.owner, "extends": model.extends,
        "semantic_id": model.semantic_id, "attributes": len(model.attributes),
    }  # fmt: skip


def _attribute_row(model: Model, version: str, attribute: Attribute) -> Row:
    return {
        "model": model.name, "version": version, "attribute": attribute.name,
        "description": attribute.description, "data_type": attribute.data_type, "kind": attribute.kind,
        "unit": attribute.unit, "minimum": attribute.minimum, "maximum": attribute.maximum,
        "allowed": json.dumps(attribute.allowed, ensure_ascii=False) if attribute.allowed else None,
        "key": attribute.key, "required": attribute.required, "sampling": attribute.sampling,
        "cadence_s": attribute.cadence_s, "deadband": attribute.deadband, "hold": attribute.hold,
        "pii": attribute.pii, "semantic_id": attribute.semantic_id, "inherited_from": attribute.inherited_from,
    }  # fmt: skip
