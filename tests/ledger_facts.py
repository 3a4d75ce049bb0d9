"""What the ledger would know of a plant, made by hand."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta

from idm_assets.contracts import Partition
from idm_assets.lineage import EVENT_DAY, PlantFacts
from resources.ledger import DayInput, PartitionRecord

PLANT = "nist"
MONDAY = date(2016, 11, 7)


def day(number: int) -> date:
    """The day so many days after `MONDAY`."""
    return MONDAY + timedelta(days=number)


def day_input(
    number: int, source: str = "s", key: int = 1, content: str = "c", last_ts: str = "2016-11-30T00:00:00+00:00"
) -> DayInput:
    """Ten observations of one source in one capture."""
    return DayInput(PLANT, day(number), source, key, MONDAY, 10, content, last_ts)


def facts_of(
    inputs: Iterable[DayInput] = (),
    records: Iterable[PartitionRecord] = (),
    *,
    carry_days: int = 7,
    bindings: str | Mapping[date, str] = "b",
) -> PlantFacts:
    """Facts of the plant from its inputs and records; one text for the bindings stands for those of all days."""
    by_day = {day(n): bindings for n in range(-30, 400)} if isinstance(bindings, str) else bindings
    return PlantFacts.of(PLANT, carry_days, by_day, inputs, {(r.table, r.partition): r for r in records})


def record(table: str, number: int, fingerprint: str = "f", content: str = "c", rows: int = 1) -> PartitionRecord:
    """A computation of one day."""
    return PartitionRecord(table, Partition(PLANT, day(number)), fingerprint, content, rows, "run")


def compute(facts: PlantFacts, content: Callable[[str, date], str] = lambda table, at: f"{table} {at}") -> int:
    """Compute what is stale, table after table as a run does; returns the number of computations."""
    computed = 0
    for derivation in EVENT_DAY:
        for at in facts.wanted_days():
            if facts.is_stale(derivation.table, at):
                name = derivation.table.qualified_name
                facts.records[name, at] = PartitionRecord(
                    name, Partition(PLANT, at), facts.fingerprint(derivation.table, at), content(name, at), 1, "run"
                )
                computed += 1
    return computed
