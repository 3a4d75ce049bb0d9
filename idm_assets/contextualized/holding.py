"""How long a value holds: carried into a day, and held until its end or until its source fell silent.

A value reported by exception holds until the next report of its signal. At the end of what is known about a
source nothing holds on: a day in progress, or a machine that was switched off for good, has no time after its
source's last word. A source that speaks again within the carry horizon was silent because nothing changed.

Belongs here: the relations ``carried`` and ``hold``. Does not belong here: intervals and averages made of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from idm_assets.contracts import Partition
from idm_assets.sql import literal


def carried(last_values: str, bound: str, partition: Partition) -> str:
    """Query for the values in force at the start of a day: ``point_id, source, kind, hold, ts, value, text, status``.

    ``ts`` is the start of the day. The binding in force at that instant gives the meaning, so a tag that was
    bound anew at midnight does not carry its old value into its new meaning's unit.

    Args:
        last_values: query with the former day's `cleaned.last_values`.
        bound: table or query as `referential.bindings.bindings_query` makes it.
        partition: plant and event day.
    """
    start = literal(partition.start)
    return (
        f'SELECT b.point_id, b.source, b.kind, b.hold, {start} AS ts, o.value * b.factor + b."offset" AS value, o.text,'
        f" o.status FROM ({last_values}) o JOIN ({bound}) b ON o.signal_id = b.signal_id"
        f" AND b.valid_from <= o.ts AND b.valid_to > {start}"
    )


def observed(measurements: str, bound: str) -> str:
    """Query for the day's measurements in the columns of `carried`."""
    return (
        f"SELECT b.point_id, b.source, b.kind, b.hold, o.ts, o.value, o.text, o.status FROM ({measurements}) o"
        f" JOIN ({bound}) b ON o.signal_id = b.signal_id AND o.point_id = b.point_id"
        f" AND o.ts >= b.valid_from AND o.ts < b.valid_to"
    )


def hold(measurements: str, bound: str, heard_again: Iterable[str], partition: Partition) -> str:
    """Query for ``source, hold_until``: the instant up to which values of a source may be held on this day.

    Args:
        measurements: query with the day's `contextualized.measurements`.
        bound: table or query as `referential.bindings.bindings_query` makes it.
        heard_again: sources that are heard on a later day within the carry horizon.
        partition: plant and event day.
    """
    again = ", ".join(literal(source) for source in sorted(heard_again)) or "NULL"
    return (
        f"SELECT b.source, CASE WHEN coalesce(b.source IN ({again}), false) THEN {literal(partition.end)}"
        f" ELSE coalesce(max(o.ts), {literal(partition.start)}) END AS hold_until"
        f" FROM (SELECT DISTINCT source, signal_id FROM ({bound})) b LEFT JOIN ({measurements}) o"
        f" ON o.signal_id = b.signal_id GROUP BY b.source"
    )


@dataclass(frozen=True, slots=True)
class Timeline:
    """What intervals and averages of a day are made of, as queries.

    Attributes:
        values: ``point_id, source, kind, hold, ts, value, text, status, carried``: carried and observed values.
        carried: the carried ones alone, in the columns of `carried`.
        hold: ``source, hold_until``.
    """

    values: str
    carried: str
    hold: str


def timeline(carried_rows: str, observed_rows: str, hold_rows: str) -> Timeline:
    """Put the relations of a day together; the arguments are queries as this module makes them."""
    values = (
        f"SELECT *, true AS carried FROM ({carried_rows}) UNION ALL SELECT *, false AS carried FROM ({observed_rows})"
    )
    return Timeline(values, carried_rows, hold_rows)
