"""The referential's tables, built from configuration: descriptions of machines become one history per plant.

Belongs here: versions of models, merging of dated versions, keys, and what must hold between them. Does not
belong here: formats of descriptions, the shape of configuration, storage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from idm_assets.configuration import ConfigurationError
from idm_assets.contracts import ContractError, Table, columns_of, validate
from idm_assets.referential import tables
from idm_assets.referential.configuration import Import, PlantDocument, file_of, read_plants
from idm_assets.referential.description import Avatar, Description, Model, problems_of
from idm_assets.referential.mtconnect_devices import read_devices
from idm_assets.referential.rules import PlacedRule, Range, Subject, idle_rules, range_of, read_rules
from idm_assets.sql import point_id, signal_id

Row = dict[str, Any]

_IMPORTERS: Final[dict[str, Callable[[Path], Description]]] = {"mtconnect_devices": read_devices}
_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)
_FOREVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Referential:
    """The tables of the referential, each as its contract in `idm_assets.referential.tables` says.

    Attributes:
        data_models: one row per model, version and attribute; a model without attributes has none.
        equipment: the hierarchy.
        avatars: things, with their validity.
        signals: bindings, with their validity.
        points: what values are published under.
        remarks: what was accepted but ought to be known, one sentence each.
    """

    data_models: pl.DataFrame
    equipment: pl.DataFrame
    avatars: pl.DataFrame
    signals: pl.DataFrame
    points: pl.DataFrame
    remarks: tuple[str, ...] = ()

    def frames(self) -> Iterator[tuple[Table, pl.DataFrame]]:
        """Every table with its contract."""
        for table in tables.TABLES:
            yield table, getattr(self, table.name)


@dataclass(frozen=True, slots=True)
class Version:
    """One dated description of a plant's machines, and the versions that its models have in it."""

    plant: str
    item: Import
    description: Description
    model_versions: dict[str, str]

    def path_of(self, machine: str) -> str:
        """Equipment path of a machine."""
        return f"{self.item.below}/{machine}"


def build_referential(config_folder: Path, con: duckdb.DuckDBPyConnection | None = None) -> Referential:
    """Build all tables from the folders ``referential`` and ``rules`` of a configuration.

    Args:
        config_folder: the configuration.
        con: connection that computes the keys; None: one of its own.

    Raises:
        ConfigurationError: with all problems that were found, each with file and line.
        ContractError: a table does not hold to its contract.
    """
    documents = read_plants(config_folder)
    rules = read_rules(config_folder)
    versions, models = _with_model_versions(_read_versions(documents, config_folder))
    avatars, signals = _avatar_rows(versions), _signal_rows(versions, rules)
    problems = [
        *_overlaps(avatars, ("plant", "avatar"), "avatar"),
        *_overlaps(signals, ("plant", "source", "tag"), "tag"),
    ]
    if problems:
        raise ConfigurationError(problems)
    signal_frame, point_frame = _with_keys(signals, con)
    return Referential(
        data_models=_checked(columns_of(_model_rows(models, rules), tables.DATA_MODELS), tables.DATA_MODELS),
        equipment=_checked(columns_of(_equipment_rows(documents, versions), tables.EQUIPMENT), tables.EQUIPMENT),
        avatars=_checked(columns_of(_plain(avatars), tables.AVATARS), tables.AVATARS),
        signals=_checked(signal_frame, tables.SIGNALS),
        points=_checked(point_frame, tables.POINTS),
        remarks=(
            *(remark for version in versions for remark in version.description.remarks),
            *idle_rules(rules, list(_subjects(versions))),
        ),
    )


def bindings_fingerprint(signals: pl.DataFrame, plant: str) -> str:
    """SHA-256 of a plant's rows of ``referential.signals``, whatever the order of rows and columns.

    It changes when any binding, conversion, range or validity of the plant changes, and with nothing else.
    """
    columns = sorted(column.name for column in tables.SIGNALS.columns)
    rows = signals.filter(pl.col("plant") == plant).select(columns).iter_rows()
    lines = sorted(json.dumps(row, default=_instant_text) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _instant_text(value: datetime) -> str:
    return value.astimezone(UTC).isoformat()


# --- dated versions --------------------------------------------------------------------------------------


def _start(item: Import) -> datetime:
    return item.valid_from or _ALWAYS


def _read_versions(documents: Iterable[PlantDocument], config_folder: Path) -> list[Version]:
    """All imports, read and checked, by start, plant and series."""
    versions: list[Version] = []
    problems: list[str] = []
    for document in documents:
        for item in document.value.imports:
            path = file_of(document, item, config_folder)
            if path is None:
                problems.append(f"{document.path}: {item.file!r} leads out of {config_folder}")
                continue
            try:
                description = _IMPORTERS[item.format](path)
            except ConfigurationError as error:
                problems += error.problems
                continue
            problems += problems_of(description)
            versions.append(Version(document.value.plant, item, description, {}))
    if problems:
        raise ConfigurationError(problems)
    return sorted(versions, key=lambda v: (_start(v.item), v.plant, v.item.series))


def _with_model_versions(versions: Sequence[Version]) -> tuple[list[Version], list[tuple[Model, str]]]:
    """Give each model of each dated version its semantic version.

    A model starts as 1.0.0. Another content is a new version: minor if attributes were only added to the
    highest version so far, major otherwise; a content that was there before keeps the version it had. Models
    are shared by all plants, and versions count in the order in which descriptions come into force.

    Returns:
        The dated versions, and each distinct (model, version).
    """
    contents: dict[str, dict[tuple[int, int, int], Model]] = {}
    numbered: list[Version] = []
    for version in versions:
        names: dict[str, str] = {}
        for model in version.description.models:
            known = contents.setdefault(model.name, {})
            number = next((n for n, m in known.items() if _content(m) == _content(model)), None)
            if number is None:
                number = _next_version(known, model)
                known[number] = model
            names[model.name] = ".".join(map(str, number))
        numbered.append(replace(version, model_versions=names))
    return numbered, [
        (model, ".".join(map(str, number))) for known in contents.values() for number, model in known.items()
    ]


def _content(model: Model) -> dict[str, tuple[str, str, str | None]]:
    return {attribute.name: attribute.content for attribute in model.attributes}


def _next_version(known: dict[tuple[int, int, int], Model], model: Model) -> tuple[int, int, int]:
    if not known:
        return 1, 0, 0
    major, minor, _ = highest = max(known)
    former = _content(known[highest])
    only_added = former.items() <= _content(model).items()
    return (major, minor + 1, 0) if only_added else (major + 1, 0, 0)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row with its validity, and where it comes from."""

    row: Row
    valid_from: datetime | None
    valid_to: datetime | None
    origin: str


def _history(versions: Sequence[Version], rows_of: Callable[[Version], Iterator[tuple[Row, str]]]) -> list[_Placed]:
    """Rows of all versions with their validity; what stays the same from version to version is one row."""
    series: dict[tuple[str, str], list[Version]] = {}
    for version in versions:
        series.setdefault((version.plant, version.item.series), []).append(version)
    placed: list[_Placed] = []
    for chain in series.values():
        running: dict[tuple[Any, ...], _Placed] = {}
        for version in chain:
            start = version.item.valid_from
            current: dict[tuple[Any, ...], _Placed] = {}
            for row, origin in rows_of(version):
                content = tuple(row.values())
                earlier = running.get(content, _Placed(row, start, None, origin))
                if content in current:
                    # Twice the same in one version is for the search of overlaps to complain about.
                    placed.append(earlier)
                current[content] = earlier
            placed += [replace(old, valid_to=start) for content, old in running.items() if content not in current]
            running = current
        placed += running.values()
    return placed


def _overlaps(placed: Sequence[_Placed], key: Sequence[str], what: str) -> Iterator[str]:
    """One sentence for each two rows of one key that are valid at the same time."""
    by_key: dict[tuple[Any, ...], list[_Placed]] = {}
    for item in placed:
        by_key.setdefault(tuple(item.row[name] for name in key), []).append(item)
    for values, group in by_key.items():
        if len(group) > 1:
            for one, other in pairwise(sorted(group, key=lambda p: p.valid_from or _ALWAYS)):
                if (other.valid_from or _ALWAYS) < (one.valid_to or _FOREVER):
                    yield (
                        f"{what} {'/'.join(values)!r} has two meanings at the same time: {_meaning(one)} and "
                        f"{_meaning(other)}; remove one of them, or let one end before the other starts"
                    )


def _meaning(placed: _Placed) -> str:
    attribute = f".{placed.row['attribute']}" if "attribute" in placed.row else f" ({placed.row['model']})"
    return f"{placed.row['avatar']}{attribute} at {placed.origin}"


# --- rows ------------------------------------------------------------------------------------------------


def _model_rows(models: Iterable[tuple[Model, str]], rules: Sequence[PlacedRule]) -> list[Row]:
    rows: list[Row] = []
    for model, version in models:
        for attribute in model.attributes:
            found = range_of(
                rules,
                Subject(model.name, attribute.name, attribute.kind, attribute.data_type, attribute.unit),
            )
            rows.append(
                {
                    "model": model.name,
                    "version": version,
                    "model_description": model.description,
                    "attribute": attribute.name,
                    "description": attribute.description,
                    "data_type": attribute.data_type,
                    "kind": attribute.kind,
                    "unit": attribute.unit,
                    "minimum": found.minimum if found else None,
                    "maximum": found.maximum if found else None,
                }
            )
    return rows


def _equipment_rows(documents: Iterable[PlantDocument], versions: Iterable[Version]) -> list[Row]:
    """Configured elements, and the machines of all versions below them; what is configured goes first."""
    rows: dict[tuple[str, str], Row] = {}

    def put(plant: str, path: str, level: str, description: str | None) -> None:
        parent, _, name = path.rpartition("/")
        rows[plant, path] = {
            "plant": plant,
            "equipment_path": path,
            "name": name,
            "level": level,
            "parent_path": parent or None,
            "description": description,
        }

    for version in versions:
        for machine in version.description.equipment:
            put(version.plant, version.path_of(machine.name), version.item.level, machine.description)
    for document in documents:
        for element in document.value.equipment:
            put(document.value.plant, element.path, element.level, element.description)
    return list(rows.values())


def _avatar_rows(versions: Sequence[Version]) -> list[_Placed]:
    def rows_of(version: Version) -> Iterator[tuple[Row, str]]:
        for avatar in version.description.avatars:
            yield (
                {
                    "plant": version.plant,
                    "avatar": avatar.avatar,
                    "name": avatar.name,
                    "model": avatar.model,
                    "model_version": version.model_versions[avatar.model],
                    "parent": avatar.parent,
                    "equipment_path": version.path_of(avatar.equipment),
                    "manufacturer": avatar.manufacturer,
                    "product": avatar.product,
                    "serial_number": avatar.serial_number,
                    "external_id": avatar.external_id,
                    "description": avatar.description,
                },
                avatar.origin,
            )

    return _history(versions, rows_of)


def _signal_rows(versions: Sequence[Version], rules: Sequence[PlacedRule]) -> list[_Placed]:
    ranges: dict[Subject, Range | None] = {}
    problems: dict[str, None] = {}

    def range_for(subject: Subject) -> Range | None:
        if subject not in ranges:
            try:
                ranges[subject] = range_of(rules, subject)
            except ConfigurationError as error:
                problems.update(dict.fromkeys(error.problems))
                ranges[subject] = None
        return ranges[subject]

    def rows_of(version: Version) -> Iterator[tuple[Row, str]]:
        bindings = zip(version.description.bindings, _subjects([version]), strict=True)
        avatars = {avatar.avatar: avatar for avatar in version.description.avatars}
        for binding, subject in bindings:
            found = range_for(subject)
            delivered = found.delivered(binding.factor, binding.offset) if found else None
            yield (
                {
                    "plant": version.plant,
                    "source": binding.source,
                    "tag": binding.tag,
                    "equipment_path": version.path_of(avatars[binding.avatar].equipment),
                    "avatar": binding.avatar,
                    "attribute": binding.attribute,
                    "model": subject.model,
                    "model_version": version.model_versions[subject.model],
                    "data_type": subject.data_type,
                    "kind": subject.kind,
                    "delivered_unit": binding.delivered_unit,
                    "unit": subject.unit,
                    "factor": binding.factor,
                    "offset": binding.offset,
                    "minimum": delivered.minimum if delivered else None,
                    "maximum": delivered.maximum if delivered else None,
                    "rule": delivered.rule if delivered else None,
                },
                binding.origin,
            )

    placed = _history(versions, rows_of)
    if problems:
        raise ConfigurationError(tuple(problems))
    return placed


def _subjects(versions: Iterable[Version]) -> Iterator[Subject]:
    """What rules may hold for: the bound attributes, in the order of the bindings."""
    for version in versions:
        avatars: dict[str, Avatar] = {a.avatar: a for a in version.description.avatars}
        attributes = {(m.name, a.name): a for m in version.description.models for a in m.attributes}
        for binding in version.description.bindings:
            model = avatars[binding.avatar].model
            attribute = attributes[model, binding.attribute]
            yield Subject(
                model,
                attribute.name,
                attribute.kind,
                attribute.data_type,
                attribute.unit,
                version.plant,
                binding.avatar,
            )


def _plain(placed: Iterable[_Placed]) -> list[Row]:
    return [{**item.row, "valid_from": item.valid_from, "valid_to": item.valid_to} for item in placed]


# --- frames ----------------------------------------------------------------------------------------------


def _with_keys(signals: Sequence[_Placed], con: duckdb.DuckDBPyConnection | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The frames of signals and points, with their integer keys.

    Raises:
        ConfigurationError: two names share a key, which none of 10 million should.
    """
    rows = [{**row, "signal_id": None, "point_id": None} for row in _plain(signals)]
    frame = columns_of(rows, tables.SIGNALS)
    names = frame.select("plant", "source", "tag", "equipment_path", "avatar", "attribute", "unit")
    keys = _keys(names, con)
    frame = frame.with_columns(keys["signal_id"], keys["point_id"])
    points = (
        frame.sort("valid_from", nulls_last=False, maintain_order=True)
        .unique(("plant", "equipment_path", "avatar", "attribute", "unit"), keep="last", maintain_order=True)
        .select(column.name for column in tables.POINTS.columns)
    )
    tags = frame.select("signal_id", "plant", "source", "tag").unique()
    for what, owners, key in (("tags", tags, "signal_id"), ("points", points, "point_id")):
        shared = owners.filter(pl.col(key).is_duplicated())
        if shared.height:
            raise ConfigurationError([f"two {what} have the same key; rename one of {shared.head(2).rows()}"])
    return frame, points


def _keys(names: pl.DataFrame, con: duckdb.DuckDBPyConnection | None) -> pl.DataFrame:
    """Columns ``signal_id`` and ``point_id`` for rows of names, in their order."""
    query = (
        f"SELECT {signal_id('plant', 'source', 'tag')} AS signal_id, "
        f"{point_id('plant', 'equipment_path', 'avatar', 'attribute', 'unit')} AS point_id "
        f"FROM referential_names ORDER BY position"
    )
    own = duckdb.connect() if con is None else con.cursor()
    try:
        own.register("referential_names", names.with_row_index("position"))
        return own.sql(query).pl()
    finally:
        own.close()


def _checked(frame: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The frame in contract order, sorted.

    Raises:
        ContractError: a value breaks the contract, or a key repeats.
    """
    ordered = frame.select(column.name for column in table.columns).sort(table.sort, nulls_last=False)
    failures = validate(table, ordered)
    repeated = ordered.filter(ordered.select(table.key).is_duplicated())
    if repeated.height:
        failures.append(f"key {table.key} repeats, for example {repeated.select(table.key).row(0)}")
    if failures:
        raise ContractError(table, failures)
    return ordered
