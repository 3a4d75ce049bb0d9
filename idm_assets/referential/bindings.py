"""The bindings in force at some time of a day: the referential as the event-day layers read it.

Belongs here: this one query. Does not belong here: joining, what makes a day stale.
"""

from __future__ import annotations

from idm_assets.contracts import Partition
from idm_assets.sql import literal


def bindings_query(signals: str, partition: Partition) -> str:
    """Query for the bindings of a plant that are in force at some time of a day.

    A binding whose units contradict each other has no factor; its tag counts as unbound.

    Args:
        signals: query with the columns of `referential.signals`.
        partition: plant and event day.
    """
    return (
        'SELECT signal_id, source, point_id, data_type, kind, hold, factor, "offset", minimum, maximum,'
        " from_json(allowed, '[\"VARCHAR\"]') AS allowed,"
        " coalesce(valid_from, TIMESTAMPTZ '-infinity') AS valid_from,"
        f" coalesce(valid_to, TIMESTAMPTZ 'infinity') AS valid_to FROM ({signals})"
        f" WHERE plant = {literal(partition.plant)} AND factor IS NOT NULL"
        f" AND coalesce(valid_from, TIMESTAMPTZ '-infinity') < {literal(partition.end)}"
        f" AND coalesce(valid_to, TIMESTAMPTZ 'infinity') > {literal(partition.start)}"
    )
