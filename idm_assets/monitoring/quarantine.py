"""The quarantine as one relation: everything that was kept out, at whichever stage, with its payload and reason.

Belongs here: queries over the quarantine tables of all layers. Does not belong here: what is rejected (each layer's
own rules), replaying, showing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import duckdb
import polars as pl

from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.sql import literal
from resources.lake import Lake
from resources.ledger import Ledger

COLUMNS: Final = (
    "plant, day, stage, rule, rule_version, source_entry, source, path, capture_key, line, payload, payload_cut,"
    " reason, detail, content_hash, standing"
)
"""Columns of `entries`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; nothing given asks for all.

    Attributes:
        plant: plant.
        first: first day.
        last: last day.
        reason: reason code.
        source: source, or name of the source declaration.
        capture_key: capture.
        line: line, or other unit, of the capture.
    """

    plant: str | None = None
    first: date | None = None
    last: date | None = None
    reason: str | None = None
    source: str | None = None
    capture_key: int | None = None
    line: int | None = None

    def condition(self) -> str:
        """SQL condition over the columns of `entries`."""
        conditions = [
            f"{column} {operator} {literal(value)}"
            for column, operator, value in (
                ("plant", "=", self.plant),
                ("day", ">=", self.first),
                ("day", "<=", self.last),
                ("reason", "=", self.reason),
                ("capture_key", "=", self.capture_key),
                ("line", "=", self.line),
            )
            if value is not None
        ]
        if self.source is not None:
            conditions.append(f"(source = {literal(self.source)} OR source_entry = {literal(self.source)})")
        return " AND ".join(conditions) or "true"


def entries(con: duckdb.DuckDBPyConnection, lake: Lake, ledger: Ledger) -> str:
    """Query for everything in quarantine, with the columns `COLUMNS`.

    Args:
        con: connection; its table ``held_captures`` is replaced.
        lake: where the quarantine tables are.
        ledger: knows which captures some landed path holds.
    """
    con.register(
        "held_keys", pl.DataFrame({"capture_key": sorted(ledger.held_captures())}, schema={"capture_key": pl.Int64})
    )
    con.execute("CREATE OR REPLACE TEMP TABLE held_captures AS SELECT * FROM held_keys").fetchall()
    con.unregister("held_keys")
    captures = f"SELECT capture_key, source_entry, source, path, content_hash FROM ({lake.relation(capture.CAPTURES)})"
    decoded = (
        "SELECT plant, arrived_on AS day, stage, rule, rule_version, source_entry, source, path, capture_key, line,"
        f" payload, payload_cut, reason, detail, content_hash FROM ({lake.relation(capture.QUARANTINE)})"
    )
    cleaned_rows = [
        f"SELECT q.plant, q.day, 'clean' AS stage, {literal(table.qualified_name)} AS rule, NULL AS rule_version,"
        " c.source_entry, c.source, c.path, q.capture_key, q.line, q.payload, false AS payload_cut, q.reason, q.detail,"
        f" c.content_hash FROM ({lake.relation(table)}) q JOIN ({captures}) c USING (capture_key)"
        for table in (cleaned.QUARANTINE, cleaned.RECORD_QUARANTINE)
    ]
    everything = " UNION ALL ".join((decoded, *cleaned_rows))
    return (
        "SELECT e.*, CASE WHEN h.capture_key IS NULL THEN 'superseded' ELSE 'open' END AS standing"
        f" FROM ({everything}) e LEFT JOIN held_captures h USING (capture_key)"
    )


def counts(everything: str) -> str:
    """Query for `monitoring.quarantine_counts` from that of `entries`."""
    return (
        "SELECT plant, day, stage, source_entry, reason, standing, count(*) FILTER (line IS NULL) AS files,"
        f" count(*) FILTER (line IS NOT NULL) AS units FROM ({everything}) GROUP BY ALL"
    )


def arrival_days(con: duckdb.DuckDBPyConnection, everything: str, wanted: Wanted) -> list[tuple[str, date, int]]:
    """Plants and arrival days with captures to decode again, and how many entries are asked for of each, sorted.

    What cleaning keeps out is computed again from what it is made of, as soon as that changes; it needs no replay.
    """
    return con.sql(
        f"SELECT plant, day, count(*) FROM ({everything}) WHERE {wanted.condition()} AND stage <> 'clean'"
        " AND standing = 'open' GROUP BY ALL ORDER BY ALL"
    ).fetchall()


def shown(
    con: duckdb.DuckDBPyConnection, everything: str, wanted: Wanted, limit: int
) -> tuple[Sequence[str], list[tuple[Any, ...]]]:
    """Names of columns and the first entries that are asked for, newest day first."""
    relation = con.sql(
        f"SELECT {COLUMNS} FROM ({everything}) WHERE {wanted.condition()}"
        f" ORDER BY day DESC, plant, path, line LIMIT {int(limit)}"
    )
    return relation.columns, relation.fetchall()
