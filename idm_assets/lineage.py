"""What each event-day table is made of, and so when one of its partitions is stale.

A partition is stale when the fingerprint of its inputs differs from the one recorded at its last computation.
The inputs are the content hashes of what it reads, the bindings in force, what is known about later days where
values are held, and the version of the code. Equal content after a recomputation has an equal hash, so it
stops the wave. This one rule serves late data, corrected files, changed rules and changed code alike.

Belongs here: the inputs of every table, fingerprints, the list of stale days. Does not belong here: how
anything is computed, and how a recomputation is started.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Final

from idm_assets.aggregated import tables as aggregated
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contracts import Partition, Table
from idm_assets.fingerprint import fingerprint
from idm_assets.referential.model_contract import RecordModels, contract_of, fingerprint_of
from resources.ledger import DayInput, PartitionRecord


@dataclass(frozen=True, slots=True)
class Derivation:
    """How one event-day table comes about.

    Attributes:
        table: its contract.
        inputs: event-day tables of the same day that it reads.
        captured: it reads the captures.
        carried: it reads the last values of the day before.
        held: it depends on whether sources are heard on later days.
        bound: it depends on the bindings.
        recorded: it is made of records; all others are made of observations.
        models: fingerprint of the record models that it depends on.
        code_version: changed by hand whenever the same inputs would give another content.
    """

    table: Table
    inputs: tuple[Table, ...] = ()
    captured: bool = False
    carried: bool = False
    held: bool = False
    bound: bool = False
    recorded: bool = False
    models: str = ""
    code_version: str = "1"


EVENT_DAY: Final = (
    Derivation(cleaned.OBSERVATIONS, captured=True, bound=True, code_version="2"),
    Derivation(cleaned.QUARANTINE, captured=True, bound=True, code_version="2"),
    Derivation(cleaned.LAST_VALUES, (cleaned.OBSERVATIONS,), carried=True),
    Derivation(contextualized.MEASUREMENTS, (cleaned.OBSERVATIONS,), bound=True),
    Derivation(contextualized.UNMAPPED, (cleaned.OBSERVATIONS,), bound=True),
    Derivation(contextualized.STATES, (contextualized.MEASUREMENTS,), carried=True, held=True, bound=True),
    Derivation(
        aggregated.MINUTES, (contextualized.MEASUREMENTS,), carried=True, held=True, bound=True, code_version="2"
    ),
    # A late report of a state moves the end of holding, which hours show although no minute changes.
    Derivation(
        aggregated.HOURS,
        (aggregated.MINUTES, contextualized.MEASUREMENTS),
        carried=True,
        held=True,
        bound=True,
        code_version="2",
    ),
    Derivation(aggregated.DAYS, (aggregated.HOURS,), code_version="2"),
    Derivation(aggregated.STATE_DURATIONS, (contextualized.STATES,)),
)

_BY_NAME: Final = {derivation.table.qualified_name: derivation for derivation in EVENT_DAY}


def derivation_of(table: Table) -> Derivation:
    """The derivation of an event-day table.

    Raises:
        KeyError: the table is none.
    """
    return _BY_NAME[table.qualified_name]


def record_derivations(models: RecordModels) -> tuple[Derivation, ...]:
    """Derivations of the tables made of records: none while the models cannot be read."""
    if models.models is None:
        return ()
    every = fingerprint_of(models.models)
    return (
        *(Derivation(table, captured=True, recorded=True, models=every) for table in cleaned.RECORD_TABLES),
        *(
            Derivation(contract_of(model), (cleaned.RECORDS,), recorded=True, models=fingerprint_of([model]))
            for model in models.models
        ),
    )


@dataclass
class PlantFacts:
    """What the ledger knows about the event days of one plant, indexed for fingerprints.

    Attributes:
        plant: plant.
        carry_days: how many days a value may be carried.
        bindings: fingerprint of what changes of the referential did to a day, by day; days without one saw none.
        inputs: observations that effective captures hold, by day.
        records: last computations, by table name and day.
        record_inputs: records that effective captures hold, by day.
        recorded: derivations of the tables made of records.
    """

    plant: str
    carry_days: int
    bindings: Mapping[date, str]
    inputs: dict[date, list[DayInput]] = field(default_factory=lambda: defaultdict(list))
    records: dict[tuple[str, date], PartitionRecord] = field(default_factory=dict[tuple[str, date], PartitionRecord])
    record_inputs: dict[date, list[DayInput]] = field(default_factory=lambda: defaultdict(list))
    recorded: tuple[Derivation, ...] = ()

    @classmethod
    def of(
        cls,
        plant: str,
        carry_days: int,
        bindings: Mapping[date, str],
        inputs: Iterable[DayInput],
        records: Mapping[tuple[str, Partition], PartitionRecord],
    ) -> PlantFacts:
        """Index the ledger's answers for one plant."""
        facts = cls(plant, carry_days, bindings)
        for row in inputs:
            (facts.record_inputs if row.records else facts.inputs)[row.day].append(row)
        facts.records = {(table, p.day): record for (table, p), record in records.items() if p.plant == plant}
        return facts

    def with_records(
        self, derivations: tuple[Derivation, ...], records: Mapping[tuple[str, Partition], PartitionRecord]
    ) -> PlantFacts:
        """These facts, and those about tables made of records.

        Args:
            derivations: as `record_derivations` has them.
            records: last computations of their tables.
        """
        known = {(table, p.day): record for (table, p), record in records.items() if p.plant == self.plant}
        return replace(self, records=self.records | known, recorded=derivations)

    def derivations(self) -> tuple[Derivation, ...]:
        """Derivations of all event-day tables, each after what it reads."""
        return (*EVENT_DAY, *self.recorded)

    def record(self, table: Table, day: date) -> PartitionRecord:
        """The last computation of a partition; one of nothing where there was nothing to compute."""
        name = table.qualified_name
        return self.records.get((name, day)) or PartitionRecord(name, Partition(self.plant, day), "", "", 0, "")

    def content(self, table: Table, day: date) -> str | None:
        """Content hash of a partition as last computed; None if it never was."""
        record = self.records.get((table.qualified_name, day))
        return None if record is None else record.content_hash

    def day_carried_from(self, day: date) -> date | None:
        """The last computed day before ``day`` whose last values may be carried into it."""
        for back in range(1, self.carry_days + 1):
            former = day - timedelta(days=back)
            if (cleaned.LAST_VALUES.qualified_name, former) in self.records:
                return former
        return None

    def heard_again(self, day: date) -> list[str]:
        """Sources with observations on one of the next ``carry_days`` days, sorted."""
        later = (day + timedelta(days=ahead) for ahead in range(1, self.carry_days + 1))
        return sorted({row.source for d in later if d in self.inputs for row in self.inputs[d]})

    def wanted_days(self) -> list[date]:
        """Days that should be computed: with data, or silent between days with data within the horizon."""
        last = max(self.inputs, default=date.min)
        days = {
            day + timedelta(days=ahead)
            for day in self.inputs
            for ahead in range(self.carry_days + 1)
            if day + timedelta(days=ahead) <= last
        }
        names = {derivation.table.qualified_name for derivation in self.derivations()}
        emptied = {day for (table, day), record in self.records.items() if record.rows and table in names}
        return sorted(days | set(self.record_inputs) | emptied)

    def fingerprint(self, table: Table, day: date) -> str:
        """Fingerprint of what a partition should be made of, given the current records of its inputs."""
        derivation = self._derivation_of(table)
        parts: dict[str, str | int | list[str] | dict[str, str | None] | None] = {
            "code": derivation.code_version,
            "inputs": {t.qualified_name: self.content(t, day) for t in derivation.inputs},
        }
        if derivation.captured:
            rows = (self.record_inputs if derivation.recorded else self.inputs).get(day, [])
            parts["captures"] = [f"{r.capture_key}/{r.source}/{r.content_hash}/{r.capture_last_ts}" for r in rows]
        if derivation.carried:
            former = self.day_carried_from(day)
            parts["carried"] = None if former is None else self.content(cleaned.LAST_VALUES, former)
        if table == cleaned.LAST_VALUES:
            parts["carry_days"] = self.carry_days
        if derivation.held:
            parts["heard_again"] = self.heard_again(day)
        if derivation.bound:
            parts["bindings"] = self.bindings.get(day)
        if derivation.models:
            parts["models"] = derivation.models
        return fingerprint(parts)

    def is_stale(self, table: Table, day: date) -> bool:
        """Whether a partition's recorded fingerprint differs from the one it should have.

        A partition that was never computed is stale if there is anything that it could be made of.
        """
        record = self.records.get((table.qualified_name, day))
        if record is None:
            return self._has_inputs(table, day)
        return record.fingerprint != self.fingerprint(table, day)

    def _has_inputs(self, table: Table, day: date) -> bool:
        if self._derivation_of(table).recorded:
            return day in self.record_inputs
        return any(day - timedelta(days=back) in self.inputs for back in range(self.carry_days + 1))

    def _derivation_of(self, table: Table) -> Derivation:
        name = table.qualified_name
        recorded = (derivation for derivation in self.recorded if derivation.table.qualified_name == name)
        return next(recorded, None) or derivation_of(table)

    def stale(self) -> dict[date, list[str]]:
        """Stale days with the names of the tables that are stale as far as can be told now.

        What lies behind a stale table is judged when that table has been computed.
        """
        found: dict[date, list[str]] = {}
        for day in self.wanted_days():
            names = [d.table.qualified_name for d in self.derivations() if self.is_stale(d.table, day)]
            if names:
                found[day] = names
        return found


def contiguous(days: Iterable[date]) -> list[tuple[date, date]]:
    """Group days into contiguous ranges, first and last included, oldest range first."""
    ranges: list[tuple[date, date]] = []
    for day in sorted(set(days)):
        if ranges and ranges[-1][1] + timedelta(days=1) == day:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges
