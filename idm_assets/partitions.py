"""Partition definitions and mappings, once.

Arrival and event time are apart because a file brings rows of other days: capture is partitioned by plant and
arrival day, everything after it by plant and event day. Plants are dynamic partitions, so a new plant folder
needs no change of code.

Belongs here: partition definitions, mappings, and the way from partition keys to `Partition` and back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from datetime import date
from typing import Final

import dagster as dg

from idm_assets.contracts import Partition

FIRST_DAY: Final = date(2015, 1, 1)
"""First partition; observations of an earlier time are rejected at decoding, with this as the reason."""

DAYS_AHEAD: Final = 2
"""Partitions exist for today and tomorrow (UTC), so that a clock that is slightly fast has its day."""

PLANTS: Final = dg.DynamicPartitionsDefinition(name="plant")


def _by_plant_and(dimension: str) -> dg.MultiPartitionsDefinition:
    days = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), end_offset=DAYS_AHEAD)
    return dg.MultiPartitionsDefinition({"plant": PLANTS, dimension: days})


ARRIVAL_DAYS: Final = _by_plant_and("arrived_on")
EVENT_DAYS: Final = _by_plant_and("day")


def arrival_to_event() -> dg.MultiPartitionMapping:
    """An event day is fed by arrival days of the same plant; Dagster is told of the newest.

    Any arrival day may feed it, but naming them all makes Dagster list every key of every plant at each step
    (measured: 0.1 s per 4,300 keys). What really fed a day is in the ledger, and staleness is judged there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return dg.MultiPartitionMapping(
            {
                "plant": dg.DimensionPartitionMapping("plant", dg.IdentityPartitionMapping()),
                "arrived_on": dg.DimensionPartitionMapping("day", dg.LastPartitionMapping()),
            }
        )


def key_of(partition: Partition) -> str:
    """Dagster's key of a partition, the same for both definitions: day before plant."""
    return f"{partition.day.isoformat()}|{partition.plant}"


def partition_of(key: str) -> Partition:
    """The partition that a Dagster key names.

    Raises:
        ValueError: the key is not of the form ``day|plant``.
    """
    day, separator, plant = str(key).partition("|")
    if not separator:
        raise ValueError(f"partition key {key!r} is not of the form 2016-11-07|plant")
    return Partition(plant, date.fromisoformat(day))


def range_tags(plant: str, first: date, last: date) -> dict[str, str]:
    """Run tags that ask for all days of a plant from first to last, both included, in one run."""
    return {
        "dagster/asset_partition_range_start": key_of(Partition(plant, first)),
        "dagster/asset_partition_range_end": key_of(Partition(plant, last)),
        "idm/plant": plant,
    }


def partitions_of(keys: Iterable[str]) -> list[Partition]:
    """The partitions of some keys, sorted by plant and day: values are carried forward in time."""
    return sorted(partition_of(key) for key in keys)
