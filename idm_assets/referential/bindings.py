"""The bindings in force at some time of a day: the referential as the event-day layers read it.

Belongs here: this one query, and the name its fingerprint is recorded under. Does not belong here: joining.
"""

from __future__ import annotations

from idm_assets.contracts import Partition
from idm_assets.sql import literal


def bindings_query(signals: str, partition: Partition) -> str:
    """Query for the bindings of a plant that are in force at some time of a day.

    Args:
        signals: query with the columns of `referential.signals`.
        partition: plant and event day.
    """
    return (
        'SELECT signal_id, source, point_id, data_type, kind, factor, "offset", minimum, maximum,'
        " coalesce(valid_from, TIMESTAMPTZ '-infinity') AS valid_from,"
        f" coalesce(valid_to, TIMESTAMPTZ 'infinity') AS valid_to FROM ({signals})"
        f" WHERE plant = {literal(partition.plant)}"
        f" AND coalesce(valid_from, TIMESTAMPTZ '-infinity') < {literal(partition.end)}"
        f" AND coalesce(valid_to, TIMESTAMPTZ 'infinity') > {literal(partition.start)}"
    )


def bindings_record(plant: str) -> str:
    """Ledger name of the fingerprint of a plant's bindings."""
    return f"referential.signals/{plant}"
