"""From arrived observations to cleaned ones: duplicates, conflicts, types and statuses of one event day.

Rules, in order:

1. The same (signal, ts) with the same value, text, status and detail is a duplicate; the first report stays.
2. The same (signal, ts) with something else is a conflict. The report of the later capture wins, within one
   capture the later line; the losers go to quarantine. Later is judged by what a capture says (its last
   event time), not by when it happened to be landed, so that files in any order make the same table.
3. A bound value takes the attribute's type; what does not fit keeps its text and gets BadTypeMismatch, what
   lies outside of the plausible range, or is none of the allowed values, keeps its value and gets BadOutOfRange.
   No data is BadNoData.

Belongs here: these rules, as SQL over relations. Does not belong here: storage, Dagster, units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import duckdb

from idm_assets.capture.text_values import as_text
from idm_assets.contracts import Partition
from idm_assets.sql import literal
from idm_assets.status import BAD_NO_DATA, BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH, is_bad

_CONTENT = "hash(value, text, status, detail)"
_NUMBERS_3: Final = r"^\s*[-+0-9.eE]+\s+[-+0-9.eE]+\s+[-+0-9.eE]+\s*$"

_TRUTH: Final = (
    "CASE WHEN lower(trim(as_text)) IN ('true', '1') THEN 'true'"
    " WHEN lower(trim(as_text)) IN ('false', '0') THEN 'false' END"
)
_MISFIT: Final = (
    "CASE data_type WHEN 'double' THEN o.value IS NULL WHEN 'integer' THEN o.value IS NULL OR o.value <> trunc(o.value)"
    f" WHEN 'vector3' THEN NOT regexp_matches(coalesce(as_text, ''), {literal(_NUMBERS_3)})"
    f" WHEN 'boolean' THEN {_TRUTH} IS NULL WHEN 'timestamp' THEN try_cast(as_text AS TIMESTAMPTZ) IS NULL"
    " ELSE false END"
)
_IS_ALLOWED: Final = (
    "CASE WHEN numeric THEN list_contains(list_transform(allowed, lambda x: try_cast(x AS DOUBLE)), o.value)"
    f" WHEN data_type = 'boolean' THEN list_contains(allowed, {_TRUTH}) ELSE list_contains(allowed, as_text) END"
)


@dataclass(frozen=True, slots=True)
class Cleaning:
    """One day, cleaned, as queries over temporary tables that the connection now holds.

    Attributes:
        observations: query for `cleaned.observations`.
        quarantine: query for `cleaned.quarantine`.
        counts: ``arrived``, ``duplicates``, ``conflicts``.
    """

    observations: str
    quarantine: str
    counts: dict[str, int]


def arrived_query(captured: str, capture_keys: list[int], partition: Partition) -> str:
    """Query for the rows of some captures that happened on a day.

    Args:
        captured: query with the columns of `capture.observations`, over the arrival partitions that matter.
        capture_keys: the effective captures with rows on that day.
        partition: plant and event day.
    """
    keys = ", ".join(map(str, capture_keys)) or "NULL"
    return (
        f"SELECT capture_key, line, signal_id, ts, value, text, status, detail FROM ({captured})"
        f" WHERE ts >= {literal(partition.start)} AND ts < {literal(partition.end)} AND capture_key IN ({keys})"
    )


def ranks_query(captures: Iterable[tuple[str, int]]) -> str:
    """Query with ``capture_key, rank``: higher ranks say more recent things.

    Args:
        captures: last event time of a capture, in any form that sorts, and its key.
    """
    rows = ", ".join(f"({key}, {rank})" for rank, (_, key) in enumerate(sorted(set(captures)))) or "(NULL, NULL)"
    return f"SELECT * FROM (VALUES {rows}) AS r(capture_key, rank)"


def clean(con: duckdb.DuckDBPyConnection, arrived: str, ranks: str, bindings: str) -> Cleaning:
    """Apply the rules to the rows of one day.

    Args:
        con: connection; its temporary tables ``bound``, ``contested`` and ``judged`` are replaced.
        arrived: query as `arrived_query` makes it.
        ranks: query with ``capture_key, rank``: higher ranks say more recent things.
        bindings: query as `referential.bindings.bindings_query` makes it.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE bound AS {bindings}").fetchall()
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE contested AS SELECT signal_id, ts FROM ({arrived})"
        " GROUP BY signal_id, ts HAVING count(*) > 1"
    ).fetchall()
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE judged AS"
        f" SELECT *, content = winning AS won, row_number() OVER (PARTITION BY signal_id, ts, content"
        f" ORDER BY rank, line) > 1 AS repeated FROM (SELECT a.*, r.rank, {_CONTENT} AS content,"
        f" first_value({_CONTENT}) OVER latest AS winning, first_value(a.capture_key) OVER latest AS winner,"
        f" first_value(a.line) OVER latest AS winner_line"
        f" FROM ({arrived}) a SEMI JOIN contested c ON a.signal_id = c.signal_id AND a.ts = c.ts"
        f" JOIN ({ranks}) r ON a.capture_key = r.capture_key"
        f" WINDOW latest AS (PARTITION BY a.signal_id, a.ts"
        f" ORDER BY r.rank DESC, a.line DESC, a.value DESC, a.text DESC, a.status DESC, a.detail DESC))"
    ).fetchall()
    total = con.sql(f"SELECT count(*) FROM ({arrived})").fetchall()[0][0]
    duplicates, conflicts, contested = con.sql(
        "SELECT count(*) FILTER (repeated), count(*) FILTER (NOT repeated AND NOT won), count(*) FROM judged"
    ).fetchall()[0]
    columns = "capture_key, line, signal_id, ts, value, text, status, detail"
    kept = arrived
    if contested:
        kept = (
            f"SELECT {columns} FROM ({arrived}) a ANTI JOIN contested c ON a.signal_id = c.signal_id AND a.ts = c.ts"
            f" UNION ALL SELECT {columns} FROM judged WHERE won AND NOT repeated"
        )
    quarantine = (
        "SELECT capture_key, line, signal_id, ts,"
        " json_object('value', value, 'text', text, 'status', status, 'detail', detail)::VARCHAR AS payload,"
        " 'conflict' AS reason, 'capture ' || format('{:016x}', winner) || ' line ' || winner_line || ' reports"
        " another value for this instant' AS detail FROM judged WHERE NOT won AND NOT repeated"
    )
    counts = {"arrived": total, "duplicates": duplicates, "conflicts": conflicts}
    return Cleaning(_typed(kept), quarantine, counts)


def _typed(kept: str) -> str:
    """Query that gives each row the type of its attribute and the status that it deserves."""
    no_data = f"(o.status & 4294901760) = {BAD_NO_DATA}"
    return f"""
        SELECT signal_id, ts, capture_key, line, detail,
            CASE WHEN {no_data} OR NOT coalesce(numeric, true) THEN NULL ELSE o.value END AS value,
            CASE WHEN {no_data} THEN NULL
                 WHEN data_type = 'boolean' THEN coalesce({_TRUTH}, as_text)
                 WHEN NOT numeric THEN as_text
                 WHEN numeric AND (o.value IS NOT NULL OR trim(o.text) = '') THEN NULL
                 ELSE o.text END AS text,
            CASE WHEN {is_bad("o.status")} THEN o.status
                 WHEN numeric AND o.value IS NULL AND coalesce(trim(o.text), '') = '' THEN {BAD_NO_DATA}
                 WHEN {_MISFIT} THEN {BAD_TYPE_MISMATCH}
                 WHEN numeric AND (o.value < minimum OR o.value > maximum) THEN {BAD_OUT_OF_RANGE}
                 WHEN allowed IS NOT NULL AND NOT {_IS_ALLOWED} THEN {BAD_OUT_OF_RANGE}
                 ELSE o.status END AS status
        FROM (
            SELECT o.*, b.data_type, b.data_type IN ('double', 'integer') AS numeric, b.minimum, b.maximum, b.allowed,
                coalesce(o.text, {as_text("o.value")}) AS as_text
            FROM ({kept}) o LEFT JOIN bound b
              ON o.signal_id = b.signal_id AND o.ts >= b.valid_from AND o.ts < b.valid_to
        ) o"""
