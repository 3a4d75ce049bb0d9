"""The decisions of the sensors, as pure functions; the command line asks the same ones.

Belongs here: from facts to requests. Does not belong here: Dagster contexts, reading the facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from idm_assets.capture.intake import Intake
from idm_assets.contracts import Partition
from idm_assets.fingerprint import fingerprint
from idm_assets.lineage import EVENT_DAY, PlantFacts, contiguous
from resources.ledger import Failed

RANGES_PER_TICK: Final = 4
DAYS_PER_RANGE: Final = 92


@dataclass(frozen=True, slots=True)
class ArrivalRequest:
    """File what arrived at a plant; the key names the files in question, so that one look asks once."""

    plant: str
    key: str
    files: int


@dataclass(frozen=True, slots=True)
class RangeRequest:
    """Compute what is stale among the event days of a plant, from first to last, both included."""

    plant: str
    first: date
    last: date
    stale_days: int


def decide_arrivals(plant: str, looked: Intake) -> ArrivalRequest | None:
    """Ask for filing when a plant has new or changed files, complete or about to be.

    Files that are still being written keep changing their size or time, so each look at them has another key;
    the run itself takes only what has settled.
    """
    fresh = [file.file for file in looked.ready] + list(looked.waiting)
    if not fresh:
        return None
    listed = sorted([file.path, str(file.size), str(file.mtime_ns)] for file in fresh)
    return ArrivalRequest(plant, fingerprint(listed), len(fresh))


def decide_event_days(
    facts: PlantFacts, failures: Mapping[tuple[str, Partition], Failed], limit: int = RANGES_PER_TICK
) -> Sequence[RangeRequest]:
    """Ask for the stale days of a plant as contiguous ranges, newest first, at most ``limit`` ranges.

    A day that failed from the very inputs it has now is not asked for again: it would fail again.
    """
    stale = facts.stale()
    hopeless = {day for day in stale if _failed_from_same_inputs(facts, failures, day)}
    wanted = sorted(set(stale) - hopeless)
    ranges = [piece for first, last in contiguous(wanted) for piece in _cut(first, last)]
    return [
        RangeRequest(facts.plant, first, last, sum(first <= day <= last for day in wanted))
        for first, last in sorted(ranges, reverse=True)[:limit]
    ]


def _failed_from_same_inputs(facts: PlantFacts, failures: Mapping[tuple[str, Partition], Failed], day: date) -> bool:
    partition = Partition(facts.plant, day)
    for derivation in EVENT_DAY:
        failed = failures.get((derivation.table.qualified_name, partition))
        if failed is not None and failed.fingerprint == facts.fingerprint(derivation.table, day):
            return True
    return False


def _cut(first: date, last: date) -> Iterable[tuple[date, date]]:
    start = first.toordinal()
    while start <= last.toordinal():
        end = min(start + DAYS_PER_RANGE - 1, last.toordinal())
        yield date.fromordinal(start), date.fromordinal(end)
        start = end + 1


def decide_plants(known: Collection[str], landed: Iterable[str], configured: Iterable[str]) -> list[str]:
    """Plants that have a landing folder or a declaration but are no partition yet."""
    return sorted({*landed, *configured} - set(known))
