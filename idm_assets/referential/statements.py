"""What configuration and imported files say of plants, put down as rows of working tables.

Every statement is a row of a DuckDB table, whatever it comes from: a line of YAML, an element of an XML file,
one of four million rows of a Parquet file. Dated files are numbered within their series: a statement of one of
them holds until the series says something else (`validity`). Statements with a validity of their own have no
number.

Belongs here: the working tables and how each kind of source fills them. Does not belong here: formats,
validity, what statements mean together.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.configuration import MachinesImport, PlantDocument, TableImport
from idm_assets.referential.description import Description
from idm_assets.referential.model_register import ModelRegister
from idm_assets.referential.table_import import ImportedTable, read_table
from idm_assets.sql import identifier, literal

Row = dict[str, Any]

ALWAYS: Final = "'-infinity'::TIMESTAMPTZ"
FOREVER: Final = "'infinity'::TIMESTAMPTZ"
SHOWN_PROBLEMS: Final = 20

_TEXT: Final = pl.String()
_TIME: Final = pl.Datetime("us", "UTC")
_DATED: Final = {
    "ordinal": pl.Int64(), "starts": _TIME, "removed": pl.Boolean(), "valid_from": _TIME, "valid_to": _TIME,
    "origin": _TEXT, "row": pl.Int64(),
}  # fmt: skip
PLACE: Final = "origin || coalesce(': row ' || row, '')"
"""SQL expression for where a statement stands: ``file:line`` of a text, or file and row of a table."""
AVATAR_CONTENT: Final = (
    "name", "model", "model_version", "parent", "equipment_path", "external_ids", "static_attributes", "description",
)  # fmt: skip
SIGNAL_CONTENT: Final = ("avatar", "attribute", "delivered_unit", "scale", "shift")
AVATARS_SAID: Final = {"plant": _TEXT, "series": _TEXT, "avatar": _TEXT} | dict.fromkeys(AVATAR_CONTENT, _TEXT) | _DATED
SIGNALS_SAID: Final = (
    {"plant": _TEXT, "series": _TEXT, "source": _TEXT, "tag": _TEXT}
    | dict.fromkeys(SIGNAL_CONTENT, _TEXT)
    | {"scale": pl.Float64(), "shift": pl.Float64()}
    | _DATED
)
EQUIPMENT_SAID: Final = dict.fromkeys(
    ("plant", "equipment_path", "level", "description", "origin"), _TEXT
) | {"rank": pl.Int64()}  # fmt: skip
SERIES: Final = {
    "plant": _TEXT, "series": _TEXT, "about": _TEXT, "ordinal": pl.Int64(), "starts": _TIME, "next_full": pl.Int64(),
}  # fmt: skip
WORKING_TABLES: Final[Mapping[str, Mapping[str, pl.DataType]]] = {
    "avatars_said": AVATARS_SAID, "signals_said": SIGNALS_SAID, "equipment_said": EQUIPMENT_SAID,
    "series_said": SERIES,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DatedImport:
    """One import of a plant, with its place among the files of its series.

    Attributes:
        document: the file that names it.
        item: the import.
        place: ``file:line`` of the import.
        path: the imported file.
        description: what it says; None for a table.
        model_versions: the version that each model has in the description.
    """

    document: PlantDocument
    item: MachinesImport | TableImport
    place: str
    path: Path
    description: Description | None = None
    model_versions: Mapping[str, str] | None = None

    @property
    def plant(self) -> str:
        """Plant of the import."""
        return self.document.value.plant

    @property
    def about(self) -> tuple[str, ...]:
        """The working tables it speaks of."""
        return (self.item.of,) if isinstance(self.item, TableImport) else ("avatars", "signals")

    @property
    def series(self) -> str:
        """Name of its series; tables and machine descriptions have series of their own."""
        kind = self.item.of if isinstance(self.item, TableImport) else "machines"
        return f"{kind}/{self.item.series}"


def create_working_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Create the empty working tables in the connection's current schema."""
    for name, schema in WORKING_TABLES.items():
        put(con, name, pl.DataFrame(schema=dict(schema)), create=True)


def put(con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame, *, create: bool = False) -> None:
    """Append a frame to a working table by the names of its columns, or create the table like it."""
    con.register("incoming_statements", frame)
    try:
        verb = f"CREATE OR REPLACE TABLE {table} AS" if create else f"INSERT INTO {table} BY NAME"
        con.execute(f"{verb} SELECT * FROM incoming_statements").fetchall()
    finally:
        con.unregister("incoming_statements")


def put_series(con: duckdb.DuckDBPyConnection, imports: Sequence[DatedImport]) -> dict[int, int]:
    """Number the imports of each series by their start; returns position in ``imports`` to number, from 1."""
    groups: dict[tuple[str, str], list[int]] = {}
    for i, dated in enumerate(imports):
        groups.setdefault((dated.plant, dated.series), []).append(i)
    ordinals: dict[int, int] = {}
    rows: list[Row] = []
    for (plant, series), members in groups.items():
        members.sort(key=lambda i: (imports[i].item.valid_from is not None, imports[i].item.valid_from))
        full = [n for n, i in enumerate(members, 1) if _is_full(imports[i].item)]
        for ordinal, i in enumerate(members, 1):
            ordinals[i] = ordinal
            following = min((n for n in full if n > ordinal), default=None)
            rows.append({
                "plant": plant, "series": series, "about": imports[i].about[0], "ordinal": ordinal,
                "starts": imports[i].item.valid_from, "next_full": following,
            })  # fmt: skip
    put(con, "series_said", pl.DataFrame(rows, schema=SERIES, orient="row"))
    return ordinals


def _is_full(item: MachinesImport | TableImport) -> bool:
    return not isinstance(item, TableImport) or item.extent == "full"


def put_description(con: duckdb.DuckDBPyConnection, dated: DatedImport, ordinal: int) -> None:
    """Put down what a description of machines says."""
    item, description = dated.item, dated.description
    if not isinstance(item, MachinesImport) or description is None:
        raise TypeError(f"{dated.place} describes no machines")
    versions = dated.model_versions or {}
    when = {"ordinal": ordinal, "starts": item.valid_from, "removed": False}
    common = {"plant": dated.plant, "series": dated.series, **when}
    _put_rows(con, "avatars_said", (
        {
            **common, "avatar": a.avatar, "name": a.name, "model": a.model, "model_version": versions[a.model],
            "parent": a.parent, "equipment_path": f"{item.below}/{a.equipment}",
            "external_ids": _object(a.external_ids), "static_attributes": _object(a.static_attributes),
            "description": a.description, "origin": a.origin,
        }
        for a in description.avatars
    ))  # fmt: skip
    _put_rows(con, "signals_said", (
        {
            **common, "source": b.source, "tag": b.tag, "avatar": b.avatar, "attribute": b.attribute,
            "delivered_unit": b.delivered_unit, "scale": b.scale, "shift": b.offset,
            "origin": b.origin,
        }
        for b in description.bindings
    ))  # fmt: skip
    _put_rows(con, "equipment_said", (
        {
            "plant": dated.plant, "equipment_path": f"{item.below}/{e.name}", "level": item.level,
            "description": e.description, "origin": e.origin, "rank": ordinal,
        }
        for e in description.equipment
    ))  # fmt: skip


def put_document(con: duckdb.DuckDBPyConnection, document: PlantDocument, register: ModelRegister) -> list[str]:
    """Put down what a YAML file says itself; returns its problems."""
    configuration, problems = document.value, list[str]()
    plant, own_series = configuration.plant, f"yaml/{document.path.name}"
    _put_rows(con, "equipment_said", (
        {
            "plant": plant, "equipment_path": e.path, "level": e.level, "description": e.description,
            "origin": document.place("equipment", i), "rank": 2**31,
        }
        for i, e in enumerate(configuration.equipment)
    ))  # fmt: skip
    avatars: list[Row] = []
    for i, a in enumerate(configuration.avatars):
        found = register.find(a.model)
        if found is None:
            problems.append(document.problem(("avatars", i, "model"), unknown_model(a.model, register)))
            continue
        avatars.append({
            "plant": plant, "series": own_series, "avatar": a.avatar, "name": a.name or a.avatar,
            "model": found[0], "model_version": found[1], "parent": a.parent, "equipment_path": a.equipment_path,
            "external_ids": _object(a.external_ids), "static_attributes": _object(a.static_attributes),
            "description": a.description, "removed": False, "valid_from": a.valid_from, "valid_to": a.valid_to,
            "origin": document.place("avatars", i),
        })  # fmt: skip
    _put_rows(con, "avatars_said", avatars)
    _put_rows(con, "signals_said", (
        {
            "plant": plant, "series": own_series, "source": s.source, "tag": s.tag, "avatar": s.avatar,
            "attribute": s.attribute, "delivered_unit": s.unit, "scale": s.scale, "shift": s.offset,
            "removed": False, "valid_from": s.valid_from, "valid_to": s.valid_to,
            "origin": document.place("signals", i),
        }
        for i, s in enumerate(configuration.signals)
    ))  # fmt: skip
    return problems


def put_table(con: duckdb.DuckDBPyConnection, dated: DatedImport, ordinal: int, register: ModelRegister) -> list[str]:
    """Put down what an imported table says, however long it is; returns its problems.

    Raises:
        ConfigurationError: the file cannot be read, or its columns do not fit.
    """
    item = dated.item
    if not isinstance(item, TableImport):
        raise TypeError(f"{dated.place} is no table")
    table = read_table(con, dated.path, item, dated.place)
    try:
        bad = con.sql(f"SELECT * FROM ({table.unreadable}) ORDER BY ALL LIMIT {SHOWN_PROBLEMS}").fetchall()
        problems = [
            f"{dated.path}: row {row}: {field}: {value!r} is not of the right type" for row, field, value in bad
        ]
        problems += _put_table_rows(con, dated, ordinal, table, register)
    except duckdb.Error as error:
        message = str(error).strip().split("\n", 1)[0][:300]
        raise ConfigurationError([f"{dated.place}: {dated.path} cannot be read: {message}"]) from None
    return problems


def _put_table_rows(
    con: duckdb.DuckDBPyConnection, dated: DatedImport, ordinal: int, table: ImportedTable, register: ModelRegister
) -> list[str]:
    item = dated.item
    assert isinstance(item, TableImport), "put_table has seen to it"
    origin = f"{literal(str(dated.path))} AS origin"
    if item.of == "equipment":
        place = f"{literal(str(dated.path))} || ': row ' || row"
        con.execute(
            f"INSERT INTO equipment_said BY NAME SELECT {literal(dated.plant)} AS plant, equipment_path,"
            f" coalesce(level, 'Other') AS level, description, {place} AS origin, {ordinal} AS rank"
            f" FROM ({table.query})"
        ).fetchall()
        return []
    when = (
        "valid_from, valid_to, NULL::BIGINT AS ordinal, NULL::TIMESTAMPTZ AS starts"
        if table.dated
        else f"NULL::TIMESTAMPTZ AS valid_from, NULL::TIMESTAMPTZ AS valid_to, {ordinal}::BIGINT AS ordinal,"
        f" {literal(item.valid_from)}::TIMESTAMPTZ AS starts"
    )
    common = (
        f"{literal(dated.plant)} AS plant, {literal(dated.series)} AS series, coalesce(removed, false) AS removed,"
        f" {when}, {origin}, row"
    )
    required = [f"{identifier(name)} IS NOT NULL" for name in ("avatar", "source", "tag") if _has(item, name)]
    if item.of == "signals":
        con.execute(
            f"INSERT INTO signals_said BY NAME SELECT {common}, source, tag, avatar, attribute,"
            ' unit AS delivered_unit, coalesce(scale, 1) AS scale, coalesce("offset", 0) AS shift,'
            f" FROM ({table.query})"
        ).fetchall()
        return _incomplete(con, dated, "signals_said", required)
    references, unknown = _models_of(con, dated, table, register)
    con.execute(
        f"INSERT INTO avatars_said BY NAME SELECT {common}, avatar, coalesce(name, avatar) AS name, m.model,"
        " m.model_version, parent, equipment_path, external_ids, static_attributes, description"
        f" FROM ({table.query}) t LEFT JOIN ({references}) m ON m.reference = t.model"
    ).fetchall()
    return _incomplete(con, dated, "avatars_said", required) + unknown


def _has(item: TableImport, name: str) -> bool:
    return name == "avatar" or item.of == "signals"


def _incomplete(con: duckdb.DuckDBPyConnection, dated: DatedImport, said: str, required: Sequence[str]) -> list[str]:
    rows = con.sql(
        f"SELECT row FROM {said} WHERE origin = {literal(str(dated.path))} AND NOT ({' AND '.join(required)})"
        f" ORDER BY row LIMIT {SHOWN_PROBLEMS}"
    ).fetchall()
    return [f"{dated.path}: row {row}: an identifier is empty; fill it or remove the row" for (row,) in rows]


def _models_of(
    con: duckdb.DuckDBPyConnection, dated: DatedImport, table: ImportedTable, register: ModelRegister
) -> tuple[str, list[str]]:
    """Query for ``reference, model, model_version`` of all models that a table names, and the unknown ones."""
    named = con.sql(
        f"SELECT model, min(row) FROM ({table.query}) WHERE NOT coalesce(removed, false) GROUP BY model ORDER BY 2"
    ).fetchall()
    found = [(name, register.find(name) if name else None, row) for name, row in named]
    unknown = [
        f"{dated.path}: row {row}: model: {unknown_model(name or '', register)}"
        for name, model, row in found
        if not model
    ]
    values = ", ".join(
        f"({literal(name)}, {literal(model[0])}, {literal(model[1])})" for name, model, _ in found if model
    )
    return f"SELECT * FROM (VALUES {values or '(NULL, NULL, NULL)'}) AS m(reference, model, model_version)", unknown[
        :SHOWN_PROBLEMS
    ]


def unknown_model(reference: str, register: ModelRegister) -> str:
    """What to say of a reference to a model that there is not."""
    names = register.names()
    shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"there is no model {reference!r}; known: {shown or 'none'}"


def _object(members: Mapping[str, Any]) -> str:
    return json.dumps({key: _plain(value) for key, value in members.items()}, sort_keys=True, ensure_ascii=False,
                      separators=(",", ":"))  # fmt: skip


def _plain(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _put_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
    listed = list(rows)
    if listed:
        put(con, table, pl.DataFrame(listed, schema=dict(WORKING_TABLES[table]), orient="row"))
