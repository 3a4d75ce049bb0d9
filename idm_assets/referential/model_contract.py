"""From record models to tables: the contract of `contextualized.<model>`, which model is meant, what changed.

A version with another major number breaks what was there before, so it has a table of its own: ``work_order`` for
version 1, ``work_order_v2`` for version 2. Within a major number the highest version is in force; what came with it
are columns that older rows do not have.

Belongs here: what follows from a model alone. Does not belong here: reading models, judging records
(`cleaned.records`), Dagster.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from idm_assets.configuration import ConfigurationError
from idm_assets.contracts import CAPTURE_KEY, DAY, LINE, PLANT, Column, ColumnType, Table
from idm_assets.fingerprint import fingerprint
from idm_assets.referential.compatibility import version_numbers
from idm_assets.referential.data_models import read_model_sources
from idm_assets.referential.description import Attribute, DataType, Model

LAYER: Final = "contextualized"
PARTITION: Final = ("plant", "day")
RESERVED: Final = frozenset({"plant", "day", "ts", "flags", "capture_key", "capture_id", "line"})
"""Columns that every record table or its view has; an attribute of such a name gets an underscore behind it."""

TAKEN: Final = frozenset({"measurements", "states", "unmapped"})
"""Tables of the layer that are there without any model."""

COLUMN_TYPES: Final[Mapping[DataType, ColumnType]] = {
    "double": ColumnType.DOUBLE,
    "integer": ColumnType.INTEGER,
    "boolean": ColumnType.BOOLEAN,
    "string": ColumnType.TEXT,
    "timestamp": ColumnType.TIMESTAMP,
}


@dataclass(frozen=True, slots=True)
class RecordModels:
    """The record models of a code location.

    Attributes:
        models: the models in force; None: they cannot be read, so that nothing is made of records.
        config: folder that they were read from; None: they were given.
        problems: why they cannot be read.
    """

    models: tuple[Model, ...] | None = ()
    config: Path | None = None
    problems: tuple[str, ...] = ()

    def is_current(self) -> bool:
        """Whether the configuration still says the same; whoever was given models takes them for current."""
        return self.config is None or read_record_models(self.config).fingerprint == self.fingerprint

    @property
    def fingerprint(self) -> str | None:
        """Fingerprint of all that decides what is made of records; None where nothing is."""
        return None if self.models is None else fingerprint_of(self.models)


def read_record_models(config: Path) -> RecordModels:
    """The record models in force by a configuration folder, or the reason why there are none."""
    try:
        return RecordModels(in_force(read_model_sources(config).models), config)
    except ConfigurationError as error:
        return RecordModels(None, config, error.problems)


def in_force(models: Iterable[Model]) -> tuple[Model, ...]:
    """The record models among some models, of every table the highest version, sorted by table.

    Raises:
        ConfigurationError: a model cannot be a table, or two models would be the same table.
    """
    chosen: dict[str, Model] = {}
    problems: list[str] = []
    for model in sorted((m for m in models if m.kind == "record"), key=lambda m: (_version(m), m.name)):
        name = table_name(model)
        former = chosen.get(name)
        if former is not None and former.name != model.name:
            problems.append(
                f"{_place(model)}models {former.name!r} and {model.name!r} would both be the table {LAYER}.{name};"
                " rename one of them"
            )
        chosen[name] = model
    for name, model in chosen.items():
        problems += [f"{_place(model)}model {model.name!r}: {text}" for text in _problems(name, model)]
    if problems:
        raise ConfigurationError(problems)
    return tuple(model for _, model in sorted(chosen.items()))


def meant_by(models: Sequence[Model], name: str, major: int | None) -> Model | None:
    """The model that a source declares by name and major version; without one the highest that is in force."""
    named = [model for model in models if model.name == name and major in {None, major_of(model)}]
    return max(named, key=_version, default=None)


def major_of(model: Model) -> int:
    """Major number of a model's version; 1 for a model without a version."""
    return _version(model)[0]


def table_name(model: Model) -> str:
    """Name of the model's table in the contextualized layer, such as ``work_order`` or ``work_order_v2``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", model.name)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return f"{name}_v{major_of(model)}" if major_of(model) >= 2 else name


def column_name(attribute: Attribute) -> str:
    """Name of an attribute's column."""
    return f"{attribute.name}_" if attribute.name.lower() in RESERVED else attribute.name


def contract_of(model: Model) -> Table:
    """The contract of a record model's table.

    Values outside of the plausible range are kept and named in ``flags``, so ranges and allowed values are part of
    the descriptions, not of what the contract refuses.

    Raises:
        KeyError: an attribute has a type that no column has; `in_force` refuses such models.
    """
    attributes = tuple(_column(attribute) for attribute in model.attributes)
    key = tuple(column_name(attribute) for attribute in model.attributes if attribute.key)
    return Table(
        LAYER,
        table_name(model),
        model.description or f"Records of the model {model.name}, one row per {model.business_object or 'record'}.",
        (
            PLANT,
            DAY,
            Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
            *attributes,
            Column(
                "flags",
                ColumnType.TEXT,
                "JSON object: attribute to out_of_range or not_allowed; NULL: none.",
                nullable=True,
            ),
            CAPTURE_KEY,
            LINE,
        ),
        PARTITION,
        key=key,
        sort=(*key, "ts"),
    )


def fingerprint_of(models: Iterable[Model]) -> str:
    """Fingerprint of all that decides what is made of records; descriptions and patch versions do not."""
    return fingerprint(
        [
            {
                "model": model.name,
                "table": table_name(model),
                "attributes": [
                    [a.name, a.data_type, a.minimum, a.maximum, list(a.allowed), a.key, a.required]
                    for a in model.attributes
                ],
            }
            for model in models
        ]
    )


def plausible(attribute: Attribute) -> str:
    """What values of an attribute are plausible, for people; empty where any is."""
    if attribute.allowed:
        return "one of " + ", ".join(attribute.allowed)
    bounds = (("at least", attribute.minimum), ("at most", attribute.maximum))
    return " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)


def _column(attribute: Attribute) -> Column:
    expected = plausible(attribute)
    sentences = (
        (attribute.description or attribute.name).rstrip(". \n") + ".",
        f"Expected: {expected}." if expected else "",
    )
    return Column(
        column_name(attribute),
        COLUMN_TYPES[attribute.data_type],
        " ".join(filter(None, sentences)),
        unit=attribute.unit,
        nullable=not (attribute.key or attribute.required),
        pii=attribute.pii,
    )


def _problems(table: str, model: Model) -> list[str]:
    """Why a model cannot be a table."""
    problems: list[str] = []
    if not table or table in TAKEN:
        problems.append(f"it would be the table {LAYER}.{table}, which is something else; rename the model")
    if not any(attribute.key for attribute in model.attributes):
        problems.append("it needs a key attribute, by which a record is known again; set key: true on one")
    problems += [
        f"attribute {a.name!r} has the type {a.data_type!r}, which no column of a record has; use another"
        for a in model.attributes
        if a.data_type not in COLUMN_TYPES
    ]
    columns = Counter(column_name(attribute).lower() for attribute in model.attributes)
    problems += [
        f"{count} attributes would be the column {name!r}; rename all but one"
        for name, count in columns.items()
        if count > 1
    ]
    return problems


def _version(model: Model) -> tuple[int, int, int]:
    return (1, 0, 0) if model.version is None else version_numbers(model.version)


def _place(model: Model) -> str:
    return f"{model.origin}: " if model.origin else ""
