"""Conservation: what goes into a table comes out of it, counted by other means than the layer's own.

Each query yields ``plant, day, came_in, accounted_for`` per partition. The two sides are counted over live
files, never taken from what a run said of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb

from checks.finding import Finding
from idm_assets.aggregated import tables as aggregated
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contracts import Partition, Table
from idm_assets.referential.tables import POINTS
from idm_assets.sql import literal
from idm_assets.status import is_good
from resources.lake import Lake
from resources.ledger import Ledger

SHOWN_DAYS: Final = 40
TOLERANCE: Final = 1e-6
"""Relative tolerance where times in seconds are compared, for the rounding of sums."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the queries are made over: the lake, the ledger, and the partitions in question."""

    lake: Lake
    ledger: Ledger
    partitions: Sequence[Partition]

    def table(self, table: Table) -> str:
        """Query over the partitions of a table."""
        return self.lake.relation(table, self.partitions)


@dataclass(frozen=True, slots=True)
class Balance:
    """One law: what it says and the query that tests it."""

    law: str
    query: Callable[[Sources], str]


def _captured_lines(s: Sources) -> str:
    return (
        f"SELECT plant, arrived_on AS day, sum(lines) AS came_in,"
        f" sum(decoded_lines + quarantined + skipped) AS accounted_for"
        f" FROM ({s.table(capture.CAPTURES)}) GROUP BY ALL"
    )


def _captured_rows(s: Sources) -> str:
    return (
        f"SELECT plant, day, sum(said) AS came_in, sum(held) AS accounted_for FROM ("
        f"SELECT plant, arrived_on AS day, observations + quarantined + (standing = 'rejected')::INT AS said, 0 AS held"
        f" FROM ({s.table(capture.CAPTURES)}) UNION ALL"
        f" SELECT plant, arrived_on, 0, 1 FROM ({s.table(capture.OBSERVATIONS)}) UNION ALL"
        f" SELECT plant, arrived_on, 0, 1 FROM ({s.table(capture.QUARANTINE)})) GROUP BY ALL"
    )


def _arrived(s: Sources, table: Table, columns: str) -> str:
    """Query over what effective captures hold of the event days in question."""
    inputs = [row for p in s.partitions for row in s.ledger.day_inputs(p.plant, [p.day])]
    arrivals = sorted({Partition(row.plant, row.arrived_on) for row in inputs})
    wanted = sorted({(row.capture_key, row.day) for row in inputs})
    pairs = ", ".join(f"({key}, {literal(day)})" for key, day in wanted) or "(NULL, NULL)"
    return (
        f"SELECT {columns} FROM ({s.lake.relation(table, arrivals)}) o"
        f" SEMI JOIN (VALUES {pairs}) AS w(capture_key, day) ON o.capture_key = w.capture_key AND o.ts::DATE = w.day"
    )


def _cleaned(s: Sources) -> str:
    observed = "DISTINCT plant, ts::DATE AS day, signal_id, ts, hash(value, text, status, detail)"
    distinct = _arrived(s, capture.OBSERVATIONS, observed)
    return (
        f"SELECT plant, day, sum(arrived) AS came_in, sum(kept) AS accounted_for FROM ("
        f"SELECT plant, day, 1 AS arrived, 0 AS kept FROM ({distinct}) UNION ALL"
        f" SELECT plant, day, 0, 1 FROM ({s.table(cleaned.OBSERVATIONS)}) UNION ALL"
        f" SELECT plant, day, 0, 1 FROM ({s.table(cleaned.QUARANTINE)})) GROUP BY ALL"
    )


def _captured_records(s: Sources) -> str:
    return (
        f"SELECT plant, day, sum(said) AS came_in, sum(held) AS accounted_for FROM ("
        f"SELECT plant, arrived_on AS day, coalesce(records, 0) AS said, 0 AS held"
        f" FROM ({s.table(capture.CAPTURES)}) UNION ALL"
        f" SELECT plant, arrived_on, 0, 1 FROM ({s.table(capture.RECORDS)})) GROUP BY ALL"
    )


def _cleaned_records(s: Sources) -> str:
    arrived = _arrived(s, capture.RECORDS, "plant, ts::DATE AS day")
    return (
        f"SELECT plant, day, sum(arrived) AS came_in, sum(kept) AS accounted_for FROM ("
        f"SELECT plant, day, 1 AS arrived, 0 AS kept FROM ({arrived}) UNION ALL"
        f" SELECT plant, day, 0, reports FROM ({s.table(cleaned.RECORDS)}) UNION ALL"
        f" SELECT plant, day, 0, reports FROM ({s.table(cleaned.RECORD_QUARANTINE)})) GROUP BY ALL"
    )


def _typed_records(table: Table) -> Callable[[Sources], str]:
    def query(s: Sources) -> str:
        return (
            f"SELECT plant, day, sum(cleaned) AS came_in, sum(typed) AS accounted_for FROM ("
            f"SELECT plant, day, 1 AS cleaned, 0 AS typed FROM ({s.table(cleaned.RECORDS)})"
            f" WHERE record_table = {literal(table.name)} UNION ALL"
            f" SELECT plant, day, 0, 1 FROM ({s.table(table)})) GROUP BY ALL"
        )

    return query


def _contextualized(s: Sources) -> str:
    return (
        f"SELECT plant, day, sum(cleaned) AS came_in, sum(meant) AS accounted_for FROM ("
        f"SELECT plant, day, 1 AS cleaned, 0 AS meant FROM ({s.table(cleaned.OBSERVATIONS)}) UNION ALL"
        f" SELECT plant, day, 0, 1 FROM ({s.table(contextualized.MEASUREMENTS)}) UNION ALL"
        f" SELECT plant, day, 0, observations FROM ({s.table(contextualized.UNMAPPED)})) GROUP BY ALL"
    )


def _states(s: Sources) -> str:
    """Intervals of a point must not overlap: the time they cover once equals the time they claim."""
    return (
        f"SELECT plant, day, sum(epoch_us(ended_at) - epoch_us(started_at)) AS came_in,"
        f" sum(epoch_us(ended_at) - epoch_us(greatest(started_at, coalesce(before, started_at)))) AS accounted_for"
        f" FROM (SELECT *, max(ended_at) OVER (PARTITION BY plant, day, point_id ORDER BY started_at"
        f" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM ({s.table(contextualized.STATES)}))"
        f" GROUP BY ALL"
    )


def _minutes(s: Sources) -> str:
    kinds = s.lake.relation(POINTS)
    return (
        f"SELECT plant, day, sum(good) AS came_in, sum(counted) AS accounted_for FROM ("
        f"SELECT m.plant, m.day, 1 AS good, 0 AS counted FROM ({s.table(contextualized.MEASUREMENTS)}) m"
        f" SEMI JOIN (SELECT point_id FROM ({kinds}) WHERE kind = 'measurement') p ON m.point_id = p.point_id"
        f" WHERE m.value IS NOT NULL AND {is_good('m.status')} UNION ALL"
        f" SELECT plant, day, 0, count FROM ({s.table(aggregated.MINUTES)})) GROUP BY ALL"
    )


def _same_counts(finer: Table, coarser: Table) -> Callable[[Sources], str]:
    def query(s: Sources) -> str:
        return (
            f"SELECT plant, day, sum(fine) AS came_in, sum(coarse) AS accounted_for FROM ("
            f"SELECT plant, day, count AS fine, 0 AS coarse FROM ({s.table(finer)}) UNION ALL"
            f" SELECT plant, day, 0, count FROM ({s.table(coarser)})) GROUP BY ALL"
        )

    return query


def _durations(s: Sources) -> str:
    return (
        f"SELECT plant, day, sum(intervals) AS came_in, sum(totals) AS accounted_for FROM ("
        f"SELECT plant, day, duration_s AS intervals, 0 AS totals FROM ({s.table(contextualized.STATES)}) UNION ALL"
        f" SELECT plant, day, 0, duration_s FROM ({s.table(aggregated.STATE_DURATIONS)})) GROUP BY ALL"
    )


BALANCES: Final = {
    capture.CAPTURES: Balance("lines = decoded + quarantined + skipped", _captured_lines),
    capture.OBSERVATIONS: Balance("what captures report = observations and quarantine that are stored", _captured_rows),
    capture.RECORDS: Balance("records that captures report = records that are stored", _captured_records),
    cleaned.RECORDS: Balance("arrived records = reports of cleaned, lost and rejected ones", _cleaned_records),
    cleaned.OBSERVATIONS: Balance("distinct arrived observations = cleaned + conflicts", _cleaned),
    contextualized.MEASUREMENTS: Balance("cleaned = measurements + unmapped", _contextualized),
    contextualized.STATES: Balance("time claimed by intervals = time covered once", _states),
    aggregated.MINUTES: Balance("Good measurements = sum of counts", _minutes),
    aggregated.HOURS: Balance(
        "counts per minute = counts per hour", _same_counts(aggregated.MINUTES, aggregated.HOURS)
    ),
    aggregated.DAYS: Balance("counts per hour = counts per day", _same_counts(aggregated.HOURS, aggregated.DAYS)),
    aggregated.STATE_DURATIONS: Balance("time in intervals = time per state", _durations),
}


def balance_of(table: Table) -> Balance | None:
    """The law of a table, if there is one; every table of a record model has one."""
    if table in BALANCES:
        return BALANCES[table]
    if table.layer == contextualized.LAYER and table not in contextualized.TABLES:
        return Balance(f"cleaned records of {table.name} = rows of the table", _typed_records(table))
    return None


def check_conservation(con: duckdb.DuckDBPyConnection, balance: Balance, sources: Sources) -> Finding:
    """Test one law over some partitions."""
    rows = con.sql(f"SELECT * FROM ({balance.query(sources)}) ORDER BY plant, day").fetchall()
    off = [row for row in rows if not _equal(row[2], row[3])]
    came_in, accounted = sum(row[2] for row in rows), sum(row[3] for row in rows)
    verdict = "holds" if not off else f"is broken on {len(off)} days"
    return Finding(
        passed=not off,
        summary=f"{balance.law}: {verdict}; {came_in:,.0f} came in, {accounted:,.0f} are accounted for",
        numbers={
            "came_in": int(came_in),
            "accounted_for": int(accounted),
            "partitions": len(rows),
            "broken": len(off),
        },
        header=("plant", "day", "came in", "accounted for"),
        rows=(off or rows)[:SHOWN_DAYS],
    )


def _equal(left: float, right: float) -> bool:
    if isinstance(left, float) or isinstance(right, float):
        return abs(left - right) <= TOLERANCE * max(1.0, abs(left))
    return left == right
