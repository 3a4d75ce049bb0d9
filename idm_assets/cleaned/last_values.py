"""The last observation of every signal at the end of a day, carried on from day to day.

A value reported by exception holds until the next report, also over midnight. How long it may hold without a
word from its signal is bounded: silence means "unchanged" only for so long.

Belongs here: this one query. Does not belong here: what a held value is used for.
"""

from __future__ import annotations

from datetime import timedelta

from idm_assets.contracts import Partition
from idm_assets.sql import literal


def last_values(observations: str, carried: str, partition: Partition, carry_days: int) -> str:
    """Query for `cleaned.last_values` of a day.

    Args:
        observations: query with the day's `cleaned.observations`.
        carried: query with the former day's `cleaned.last_values`.
        partition: plant and event day.
        carry_days: a value older than this many days at the end of the day is dropped.
    """
    oldest = literal(partition.end - timedelta(days=carry_days))
    columns = "signal_id, ts, value, text, status"
    return (
        f"SELECT signal_id, last.ts AS ts, last.value AS value, last.text AS text, last.status AS status FROM ("
        f"SELECT signal_id, arg_max({{'ts': ts, 'value': value, 'text': text, 'status': status}}, ts) AS last"
        f" FROM (SELECT {columns} FROM ({observations}) UNION ALL SELECT {columns} FROM ({carried}))"
        f" GROUP BY signal_id) WHERE last.ts >= {oldest}"
    )
