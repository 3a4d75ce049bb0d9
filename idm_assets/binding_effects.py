"""Which event days a change of the referential touches: exactly those on which a changed tag matters.

A day has a number that stands for what changes of bindings did to it: the sum of a hash of every binding that came
into effect on that day less those that went, for the tags that the day knows. Sums forget order and repetition, so
a change that is taken back leaves the day as it was. The number is part of the day's fingerprints; so a day is
stale if, and only if, the meaning of something on it changed since it was computed.

Belongs here: this number. Does not belong here: fingerprints and staleness (`lineage`), versions of the referential.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final

import duckdb

from idm_assets.cleaned.tables import LAST_VALUES
from idm_assets.contracts import Partition
from idm_assets.referential.history import changes, newest_version
from idm_assets.referential.tables import SIGNALS
from idm_assets.sql import literal
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings

_MASK: Final = 2**63 - 1
_EFFECTIVE: Final = (
    "signal_id", "source", "point_id", "data_type", "kind", "hold", "factor", "offset", "minimum", "maximum", "allowed",
)  # fmt: skip
"""What of a binding reaches the event-day tables; see `referential.bindings`."""


def binding_effects(ledger: Ledger, settings: Settings, plant: str) -> Mapping[date, str]:
    """What the referential's changes did to the days of a plant, by day, up to the version in force.

    Versions that came into force since the last call are taken into account and put down in the ledger first.
    """
    lake = Lake(settings=settings)
    newest = newest_version(lake)
    known, totals = ledger.binding_effects(plant)
    if known != newest:
        touched: dict[date, int] = {}
        if known is not None:
            days = sorted(p.day for _, p in ledger.partitions([LAST_VALUES.qualified_name], plant))
            with Engine(settings=settings).connect() as con:
                touched = effects_of_changes(con, lake, plant, (known, newest), days, settings.carry_days)
        changed = {day: (totals.get(day, 0) + effect) & _MASK for day, effect in touched.items()}
        ledger.record_binding_effects(plant, known, newest, changed)
        totals = {day: total for day, total in (totals | changed).items() if total}
    return {day: format(total, "x") for day, total in totals.items()}


def effects_of_changes(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    plant: str,
    versions: tuple[int, int],
    days: list[date],
    carry_days: int,
) -> dict[date, int]:
    """The effect of the changes between two versions on the computed days of a plant, where it is not zero.

    Args:
        con: connection.
        lake: the tables.
        plant: the plant.
        versions: the former and the later version of the referential.
        days: computed days, sorted.
        carry_days: how many days a value is carried.
    """
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE changed AS SELECT change, {', '.join(_quoted())},"
        " coalesce(valid_from, '-infinity'::TIMESTAMPTZ) AS valid_from,"
        " coalesce(valid_to, 'infinity'::TIMESTAMPTZ) AS valid_to"
        f" FROM ({changes(lake, SIGNALS, *versions)}) WHERE plant = {literal(plant)} AND factor IS NOT NULL"
    ).fetchall()
    count, first, last = con.sql(
        "SELECT count(*), greatest(min(valid_from), '0001-01-02'::TIMESTAMPTZ)::TIMESTAMP,"
        " least(max(valid_to), '9999-12-30'::TIMESTAMPTZ)::TIMESTAMP FROM changed"
    ).fetchall()[0]
    if not count:
        return {}
    near = timedelta(days=carry_days + 1)
    reached = [d for d in days if _overlaps(d, first, last, near)]
    followers = ", ".join(
        f"({literal(former)}, {literal(day)})" for former, day in _carried(days, carry_days) if former in set(reached)
    )
    heard = lake.relation(LAST_VALUES, [Partition(plant, day) for day in reached])
    # A value that was reported before its binding began is not carried, so a start matters that far back.
    clipped = (
        f"epoch_us(greatest(valid_from, (day - {carry_days})::TIMESTAMPTZ)),"
        " epoch_us(least(valid_to, (day + 1)::TIMESTAMPTZ))"
    )
    texts = ", ".join(f"coalesce({name}::VARCHAR, chr(30))" for name in _quoted())
    rows = con.sql(
        f"WITH own AS (SELECT day, signal_id FROM ({heard}) SEMI JOIN changed USING (signal_id)),"
        f" known AS (SELECT day, signal_id FROM own UNION SELECT f.day, o.signal_id FROM own o"
        f" JOIN (VALUES {followers or '(NULL, NULL)'}) AS f(former, day) ON f.former = o.day)"
        f" SELECT day, sum(CASE change WHEN 'added' THEN 1 ELSE -1 END"
        f" * (md5_number_lower(concat_ws(chr(31), {texts}, {clipped})) & {_MASK})::HUGEINT)"
        " FROM changed JOIN known USING (signal_id)"
        " WHERE valid_from < (day + 1)::TIMESTAMPTZ AND valid_to > day::TIMESTAMPTZ GROUP BY day ORDER BY day"
    ).fetchall()
    return {day: int(total) for day, total in rows if total}


def _quoted() -> list[str]:
    return [f'"{name}"' for name in _EFFECTIVE]


def _overlaps(day: date, first: datetime, last: datetime, near: timedelta) -> bool:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return first.replace(tzinfo=UTC) < start + near and last.replace(tzinfo=UTC) > start


def _carried(days: list[date], carry_days: int) -> list[tuple[date, date]]:
    """Each computed day with the one before it, where values may be carried from that."""
    return [(former, day) for former, day in pairwise(days) if day - former <= timedelta(days=carry_days)]
