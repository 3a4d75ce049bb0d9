"""The decisions of the sensors, as pure functions; the command line asks the same ones.

Belongs here: from facts to requests. Does not belong here: Dagster contexts, reading the facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Protocol

from idm_assets.capture.intake import Intake
from idm_assets.capture.sources import SourceEntry
from idm_assets.contracts import Partition
from idm_assets.fingerprint import fingerprint
from idm_assets.lineage import PlantFacts, contiguous
from resources.ledger import Failed

RANGES_PER_TICK: Final = 4
DAYS_PER_RANGE: Final = 92
BRIDGED_DAYS: Final = 7


class FiledOtherwise(Protocol):
    """What a decision about filing again asks of the ledger."""

    def filed_otherwise(self, plant: str, fingerprints: Mapping[str, str]) -> dict[date, int]:
        """See `Ledger`."""
        ...


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


def decide_refiling(plant: str, entries: Iterable[SourceEntry], ledger: FiledOtherwise) -> list[date]:
    """Arrival days of a plant with captures that were filed by other rules than those of now, sorted."""
    fingerprints = {entry.name: entry.fingerprint() for entry in entries if entry.plant == plant}
    return sorted(ledger.filed_otherwise(plant, fingerprints)) if fingerprints else []


def decide_event_days(
    facts: PlantFacts, failures: Mapping[tuple[str, Partition], Failed], limit: int = RANGES_PER_TICK
) -> Sequence[RangeRequest]:
    """Ask for the stale days of a plant as ranges, newest first, at most ``limit`` ranges.

    A day that failed from the very inputs it has now is not asked for again: it would fail again. What is made of
    observations and what is made of records do not wait for each other.
    """
    stale = facts.stale()
    wanted = sorted(day for day, names in stale.items() if _is_hopeful(facts, failures, day, names))
    spans = contiguous(wanted)
    if facts.record_inputs:
        spans = _bridged(spans, set(stale) - set(wanted))
    ranges = [piece for first, last in spans for piece in _cut(first, last)]
    return [
        RangeRequest(facts.plant, first, last, sum(first <= day <= last for day in wanted))
        for first, last in sorted(ranges, reverse=True)[:limit]
    ]


def _is_hopeful(
    facts: PlantFacts, failures: Mapping[tuple[str, Partition], Failed], day: date, stale: Collection[str]
) -> bool:
    """Whether something is stale of which nothing failed from the same inputs."""
    partition = Partition(facts.plant, day)
    hopeful: set[bool] = set()
    hopeless: set[bool] = set()
    for derivation in facts.derivations():
        name = derivation.table.qualified_name
        failed = failures.get((name, partition))
        if failed is not None and failed.fingerprint == facts.fingerprint(derivation.table, day):
            hopeless.add(derivation.recorded)
        elif name in stale:
            hopeful.add(derivation.recorded)
    return bool(hopeful - hopeless)


def _bridged(ranges: Iterable[tuple[date, date]], closed: AbstractSet[date]) -> list[tuple[date, date]]:
    """Join ranges over a few days that are as they should be: to look at these costs less than another run.

    Records come on some days only, year after year; a run for each such day would take hours.

    Args:
        ranges: first and last day, oldest first.
        closed: days that must not be asked for.
    """
    joined: list[tuple[date, date]] = []
    for first, last in ranges:
        between = (first - joined[-1][1]).days - 1 if joined else BRIDGED_DAYS + 1
        if between <= BRIDGED_DAYS and not any(first - timedelta(days=n + 1) in closed for n in range(between)):
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def _cut(first: date, last: date) -> Iterable[tuple[date, date]]:
    start = first.toordinal()
    while start <= last.toordinal():
        end = min(start + DAYS_PER_RANGE - 1, last.toordinal())
        yield date.fromordinal(start), date.fromordinal(end)
        start = end + 1


def decide_plants(known: Collection[str], landed: Iterable[str], configured: Iterable[str]) -> list[str]:
    """Plants that have a landing folder or a declaration but are no partition yet."""
    return sorted({*landed, *configured} - set(known))
