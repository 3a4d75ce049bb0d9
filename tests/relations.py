"""Rows written by hand as SQL relations, and what comes back as plain rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import duckdb

from idm_assets.contracts import Column, Partition, Table
from idm_assets.sql import identifier, literal

PLANT = "nist"
DAY = date(2016, 11, 8)
PARTITION = Partition(PLANT, DAY)
START = PARTITION.start
END = PARTITION.end

BAD = 0x80000000
UNCERTAIN = 0x40000000

TIMELINE = {
    "point_id": "BIGINT", "source": "VARCHAR", "kind": "VARCHAR", "hold": "VARCHAR", "ts": "TIMESTAMPTZ",
    "value": "DOUBLE", "text": "VARCHAR", "status": "BIGINT", "carried": "BOOLEAN",
}  # fmt: skip
HOLD = {"source": "VARCHAR", "hold_until": "TIMESTAMPTZ"}
SOURCES = {"point_id": "BIGINT", "source": "VARCHAR"}
BINDING = {
    "plant": "VARCHAR", "signal_id": "BIGINT", "source": "VARCHAR", "point_id": "BIGINT", "data_type": "VARCHAR",
    "kind": "VARCHAR", "hold": "VARCHAR", "factor": "DOUBLE", "offset": "DOUBLE", "minimum": "DOUBLE",
    "maximum": "DOUBLE", "allowed": "VARCHAR", "valid_from": "TIMESTAMPTZ", "valid_to": "TIMESTAMPTZ",
}  # fmt: skip
_BINDING_DEFAULTS: dict[str, Any] = {
    "plant": PLANT, "source": "s", "point_id": 1, "data_type": "double", "kind": "measurement",
    "hold": "stepped", "factor": 1.0, "offset": 0.0,
}  # fmt: skip


def at(seconds: float) -> datetime:
    """An instant of the test day, in seconds since its start."""
    return START + timedelta(microseconds=round(seconds * 1e6))


def seconds(ts: datetime) -> float:
    """The inverse of `at`."""
    return (ts.astimezone(UTC) - START) / timedelta(seconds=1)


def relation(types: Mapping[str, str], rows: Iterable[Mapping[str, Any] | Sequence[Any]]) -> str:
    """A query that gives the rows; mappings may leave columns out, which are then NULL."""
    names = list(types)
    listed = [[row.get(name) for name in names] if isinstance(row, Mapping) else list(row) for row in rows]
    casts = ", ".join(f"CAST({identifier(name)} AS {kind}) AS {identifier(name)}" for name, kind in types.items())
    columns = ", ".join(identifier(name) for name in names)
    if not listed:
        nulls = ", ".join(f"NULL AS {identifier(name)}" for name in names)
        return f"SELECT {casts} FROM (SELECT {nulls}) WHERE false"
    values = ", ".join("(" + ", ".join(literal(value) for value in row) + ")" for row in listed)
    return f"SELECT {casts} FROM (VALUES {values}) AS v({columns})"


def rows_of(con: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """The rows of a query as mappings."""
    found = con.sql(query)
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def binding(signal_id: int = 1, **fields: Any) -> dict[str, Any]:
    """A row of `referential.signals`, a plain measurement unless told otherwise."""
    return {**_BINDING_DEFAULTS, "signal_id": signal_id, **fields}


def types_of(table: Table) -> dict[str, str]:
    """Column to DuckDB type of a contract, partition columns included."""
    return {column.name: column.type.duckdb for column in table.columns}


def contract_rows(table: Table, rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of a table; NOT NULL columns that are left out get a plain legal value."""
    filled = [{c.name: row.get(c.name, _plain(c)) for c in table.columns} for row in rows]
    return relation(types_of(table), filled)


def _plain(column: Column) -> Any:
    if column.nullable:
        return None
    if column.allowed:
        return column.allowed[0]
    plain = {"TEXT": "x", "INTEGER": 1, "DOUBLE": 1.0, "BOOLEAN": False, "TIMESTAMP": START, "DATE": DAY}
    return plain[column.type.name]
