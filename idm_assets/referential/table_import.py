"""Importer for tables of avatars, signals and equipment: CSV, Parquet and XLSX, with a mapping of columns.

Such tables may have millions of rows, so they stay in DuckDB: a table becomes a query with our columns, and
nothing is done row by row.

Belongs here: reading and mapping. Does not belong here: what rows mean together (`build`), validity.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import duckdb
import polars as pl

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.configuration import TableImport
from idm_assets.sql import identifier, literal

MAX_WORKBOOK_BYTES: Final = 512 * 1024 * 1024
MAX_COLUMNS: Final = 2_000
OBJECTS: Final = ("external_ids", "static_attributes")
"""Our columns that are JSON objects: ``external_ids.vin`` names one member."""

REQUIRED: Final = {
    "avatars": ("avatar", "model"),
    "signals": ("source", "tag", "avatar", "attribute"),
    "equipment": ("equipment_path",),
}
OPTIONAL: Final = {
    "avatars": ("name", "parent", "equipment_path", "description", "valid_from", "valid_to", "removed"),
    "signals": ("unit", "scale", "offset", "valid_from", "valid_to", "removed"),
    "equipment": ("level", "description"),
}
_TYPES: Final = {
    "valid_from": "TIMESTAMPTZ", "valid_to": "TIMESTAMPTZ", "scale": "DOUBLE", "offset": "DOUBLE",
    "removed": "BOOLEAN",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ImportedTable:
    """A table with our columns.

    Attributes:
        query: its rows: all columns of `REQUIRED` and `OPTIONAL`, the objects of avatars, and ``row`` from 1.
        unreadable: query for ``row, field, value`` of values that are not of their column's type.
        dated: whether rows carry a validity of their own.
    """

    query: str
    unreadable: str
    dated: bool


def read_table(con: duckdb.DuckDBPyConnection, path: Path, item: TableImport, place: str) -> ImportedTable:
    """Map the columns of a file.

    Args:
        con: connection; an XLSX file is registered with it.
        path: the file.
        item: what it is, and how its columns are called.
        place: ``file:line`` of the import, for complaints.

    Raises:
        ConfigurationError: the file cannot be read, or columns are missing or unknown.
    """
    reader = _reader(con, path, item, place)
    try:
        found = [row[0] for row in con.sql(f"SELECT column_name FROM (DESCRIBE {reader})").fetchall()]
    except duckdb.Error as error:
        raise ConfigurationError([f"{place}: {path} cannot be read: {_first_line(error)}"]) from None
    if len(found) > MAX_COLUMNS:
        raise ConfigurationError([f"{place}: {path} has {len(found)} columns, expected at most {MAX_COLUMNS}"])
    mapping = _mapping(found, item, f"{place}: {path}")
    fields = (*REQUIRED[item.of], *OPTIONAL[item.of])
    texts = [f"{_text(mapping.get(name))} AS {identifier(name)}" for name in fields]
    texts += [f"{_object(name, mapping)} AS {name}" for name in OBJECTS if item.of == "avatars"]
    if path.suffix.lower() == ".parquet":
        raw = f"SELECT {', '.join(texts)}, file_row_number + 1 AS row FROM read_parquet({literal(str(path))})"
    else:
        raw = f"SELECT {', '.join(texts)}, row FROM (SELECT *, row_number() OVER () AS row FROM ({reader}))"
    typed = [
        f"try_cast({identifier(name)} AS {_TYPES[name]}) AS {identifier(name)}" if name in _TYPES else identifier(name)
        for name in fields
    ]
    objects = [name for name in OBJECTS if item.of == "avatars"]
    return ImportedTable(
        f"SELECT {', '.join([*typed, *objects])}, row FROM ({raw})",
        _unreadable(raw, [name for name in fields if name in _TYPES and name in mapping]),
        dated=bool({"valid_from", "valid_to"} & mapping.keys()),
    )


def _reader(con: duckdb.DuckDBPyConnection, path: Path, item: TableImport, place: str) -> str:
    name = literal(str(path))
    match path.suffix.lower():
        case ".parquet":
            return f"SELECT * FROM read_parquet({name})"
        case ".csv" | ".tsv" | ".gz" | ".zst" | ".txt":
            return f"SELECT * FROM read_csv({name}, all_varchar = true, header = true)"
        case ".xlsx" | ".xlsm":
            return _workbook(con, path, item, place)
        case suffix:
            raise ConfigurationError(
                [f"{place}: {suffix or path.name!r} is no table; expected .csv, .parquet or .xlsx"]
            )


def _workbook(con: duckdb.DuckDBPyConnection, path: Path, item: TableImport, place: str) -> str:
    """Register a sheet, all cells as text: a number that was typed as 007 stays what it was."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_WORKBOOK_BYTES:
            raise ConfigurationError([f"{place}: {path} unpacks to {size} bytes; export it as CSV or Parquet"])
        sheets: dict[str, Any] = {"sheet_name": item.sheet} if item.sheet else {"sheet_id": 1}
        frame = cast("pl.DataFrame", pl.read_excel(path, engine="calamine", infer_schema_length=0, **sheets))
    except (zipfile.BadZipFile, OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError([f"{place}: {path} cannot be read as a workbook: {_first_line(error)}"]) from None
    view = f"workbook_{abs(hash((str(path), item.sheet)))}"
    con.register(view, frame)
    return f"SELECT * FROM {view}"


def _mapping(found: Sequence[str], item: TableImport, about: str) -> dict[str, str]:
    """Our column to an SQL expression over the file's columns.

    Raises:
        ConfigurationError: unknown columns on either side, or required ones without a value.
    """
    known = {*REQUIRED[item.of], *OPTIONAL[item.of]}
    problems: list[str] = []
    mapping = {name: identifier(name) for name in found if _is_ours(name, known)}
    for ours, theirs in item.columns.items():
        if not _is_ours(ours, known):
            problems.append(f"{about}: columns: {ours!r} is no column of {item.of}; known: {_listed(known)}")
        elif theirs not in found:
            problems.append(f"{about}: there is no column {theirs!r}; the file has: {_listed(found)}")
        else:
            mapping[ours] = identifier(theirs)
    for ours, value in item.constants.items():
        if _is_ours(ours, known):
            mapping[ours] = literal(value)
        else:
            problems.append(f"{about}: constants: {ours!r} is no column of {item.of}; known: {_listed(known)}")
    problems += [
        f"{about}: no column gives {name!r}; name it in columns, or give all rows one value in constants"
        for name in REQUIRED[item.of]
        if name not in mapping
    ]
    if problems:
        raise ConfigurationError(problems)
    return mapping


def _is_ours(name: str, known: Iterable[str]) -> bool:
    head, _, member = name.partition(".")
    return name in known or (head in OBJECTS and bool(member) and "avatar" in known)


def _text(expression: str | None) -> str:
    """A cell as text; blank cells say nothing."""
    if expression is None:
        return "NULL"
    text = f"CAST({expression} AS VARCHAR)"
    # Most cells are plain and have nothing to trim, which is seen four times as fast as trimmed.
    plain = f"strlen({text}) = length({text}) AND NOT starts_with({text}, ' ') AND NOT ends_with({text}, ' ')"
    return f"nullif(CASE WHEN {plain} THEN {text} ELSE trim({text}) END, '')"


def _object(name: str, mapping: Mapping[str, str]) -> str:
    members = sorted(key for key in mapping if key.startswith(f"{name}."))
    if not members:
        return "'{}'"
    pairs = ", ".join(f"{literal(key.partition('.')[2])}, {_text(mapping[key])}" for key in members)
    # A merge patch leaves out members that are NULL (RFC 7396).
    return f"json_merge_patch('{{}}', json_object({pairs}))::VARCHAR"


def _unreadable(raw: str, typed: Sequence[str]) -> str:
    if not typed:
        return "SELECT NULL::BIGINT AS row, NULL::VARCHAR AS field, NULL::VARCHAR AS value WHERE false"
    return " UNION ALL ".join(
        f"SELECT row, {literal(name)} AS field, {identifier(name)} AS value FROM ({raw})"
        f" WHERE {identifier(name)} IS NOT NULL AND try_cast({identifier(name)} AS {_TYPES[name]}) IS NULL"
        for name in typed
    )


def _listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:30]) + (", ..." if len(shown) > 30 else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:300]
