"""Running a partitioned asset over one partition or many: the thin shell around every event-day table.

A run is given a range of partitions. Each is computed on its own: its status, metadata and ledger record are
its own, and one bad day fails alone. Days that are already made of their present inputs are left as they are
when the run was asked for only what is stale.

Belongs here: the loop, what Dagster is told, the ledger record. Does not belong here: what a table means.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import dagster as dg
import duckdb

from idm_assets.asset_specs import TableResult, asset_key
from idm_assets.binding_effects import binding_effects
from idm_assets.contracts import Partition, Table
from idm_assets.lineage import EVENT_DAY, Derivation, PlantFacts
from idm_assets.partitions import key_of, partitions_of
from idm_assets.pictures import pictures
from idm_assets.run_requests import ONLY_STALE, PROGRESS
from resources.engine import Engine
from resources.lake import Lake, Written
from resources.ledger import Ledger, PartitionRecord
from resources.settings import Settings

PICTURED_DAYS: Final = 31
"""At most so many days of a run get previews and charts: each is some kilobytes of history."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the computation of a day works with."""

    con: duckdb.DuckDBPyConnection
    lake: Lake
    facts: PlantFacts
    settings: Settings
    run_id: str

    def write(self, table: Table, query: str, partition: Partition) -> Written:
        """Make a query's rows the content of a partition, unless they are that already."""
        staged = self.lake.stage(self.con, table, query, partition)
        return self.lake.replace(table, staged, self.run_id, partition, self.facts.content(table, partition.day))

    def relation(self, table: Table, partition: Partition) -> str:
        """Query over a day of an event-day table."""
        return self.lake.relation(table, [partition])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written of one table, and the counts that explain it."""

    table: Table
    written: Written
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


ComputeDay = Callable[[Run, Partition], Sequence[Outcome]]


def plant_facts(ledger: Ledger, settings: Settings, plant: str) -> PlantFacts:
    """Everything that the fingerprints of a plant's event days depend on, as of now."""
    return PlantFacts.of(
        plant,
        settings.carry_days,
        binding_effects(ledger, settings, plant),
        ledger.day_inputs(plant),
        ledger.partitions([d.table.qualified_name for d in EVENT_DAY], plant),
    )


def facts_with_records(ledger: Ledger, settings: Settings, plant: str, recorded: tuple[Derivation, ...]) -> PlantFacts:
    """`plant_facts` of all event-day tables, those made of records among them."""
    records = ledger.partitions([derivation.table.qualified_name for derivation in recorded], plant)
    return plant_facts(ledger, settings, plant).with_records(recorded, records)


@dataclass(frozen=True, slots=True)
class RangeRun:
    """One Dagster step over a range of event days, writing some tables.

    Attributes:
        tables: what it writes.
        recorded: derivations of all tables made of records, where it writes such.
    """

    context: dg.AssetExecutionContext
    tables: tuple[Table, ...]
    settings: Settings
    engine: Engine
    lake: Lake
    ledger: Ledger
    recorded: tuple[Derivation, ...] = ()

    def results(self, compute: ComputeDay) -> Iterator[TableResult]:
        """Compute every day of the run and report each.

        Raises:
            dagster.Failure: some days failed; the others are recorded as materialized and the message names
                the failed ones. The step is not retried by Dagster: the same inputs would fail again.
        """
        with self.engine.connect() as con, self.lake.steady():
            failed, done, facts = self._over_days(con, compute)
            self._show(con, facts, done)
        if failed:
            self._report_good(facts, done)
            names = "; ".join(f"{partition}: {message}" for partition, message in failed.items())
            raise dg.Failure(
                f"{len(failed)} of {len(failed) + len(done)} days failed and stay as they were: {names}",
                allow_retries=False,
            )
        for table in self.tables:
            yield dg.MaterializeResult(asset_key=asset_key(table))

    def _over_days(
        self, con: duckdb.DuckDBPyConnection, compute: ComputeDay
    ) -> tuple[dict[Partition, str], list[Partition], dict[str, PlantFacts]]:
        """Compute day by day; returns the failed days with their message, the good ones, and the facts."""
        only_stale = self.context.run.tags.get(ONLY_STALE) == "true"
        failed: dict[Partition, str] = {}
        done: list[Partition] = []
        facts: dict[str, PlantFacts] = {}
        for partition in partitions_of(self.context.partition_keys):
            if partition.plant not in facts:
                facts[partition.plant] = facts_with_records(self.ledger, self.settings, partition.plant, self.recorded)
            known = facts[partition.plant]
            stale = [table for table in self.tables if known.is_stale(table, partition.day)]
            if only_stale and not stale:
                self._tell_unchanged(known, partition)
                done.append(partition)
                continue
            try:
                self._compute(con, compute, known, partition)
                done.append(partition)
            except Exception as error:  # whatever stops one day must not stop the others; it is told and raised below
                failed[partition] = f"{type(error).__name__}: {error}"
                self.context.log.exception("%s", partition)
                prints = {table: known.fingerprint(table, partition.day) for table in self.tables}
                self.ledger.record_failure(partition, prints, failed[partition], self.context.run.run_id)
            PROGRESS.info("%s %s", self.tables[0].qualified_name, partition)
        return failed, done, facts

    def _compute(
        self, con: duckdb.DuckDBPyConnection, compute: ComputeDay, known: PlantFacts, partition: Partition
    ) -> None:
        started = time.perf_counter()
        prints = {table: known.fingerprint(table, partition.day) for table in self.tables}
        outcomes = compute(Run(con, self.lake, known, self.settings, self.context.run.run_id), partition)
        records = [
            PartitionRecord(
                outcome.table.qualified_name, partition, prints[outcome.table], outcome.written.content_hash,
                outcome.written.rows, self.context.run.run_id, outcome.counts,
            )
            for outcome in outcomes
        ]  # fmt: skip
        self.ledger.record_partitions(records)
        seconds = time.perf_counter() - started
        for record, outcome in zip(records, outcomes, strict=True):
            known.records[outcome.table.qualified_name, partition.day] = record
            self.context.add_asset_metadata(
                partition_metadata(record, changed=outcome.written.changed) | {"seconds": round(seconds, 3)},
                asset_key=asset_key(outcome.table),
                partition_key=key_of(partition),
            )

    def _show(self, con: duckdb.DuckDBPyConnection, facts: Mapping[str, PlantFacts], done: Sequence[Partition]) -> None:
        """Give the newest days with rows a preview and a chart; in a long range the older days do without."""
        for table in self.tables:
            with_rows = [p for p in done if facts[p.plant].record(table, p.day).rows]
            for partition in with_rows[-PICTURED_DAYS:]:
                self.context.add_asset_metadata(
                    pictures(con, self.lake, table, partition),
                    asset_key=asset_key(table),
                    partition_key=key_of(partition),
                )

    def _tell_unchanged(self, known: PlantFacts, partition: Partition) -> None:
        for table in self.tables:
            record = known.record(table, partition.day)
            self.context.add_asset_metadata(
                partition_metadata(record, changed=False),
                asset_key=asset_key(table),
                partition_key=key_of(partition),
            )

    def _report_good(self, facts: Mapping[str, PlantFacts], done: Sequence[Partition]) -> None:
        """Mark the good days as materialized although the step is about to fail."""
        for partition in done:
            for table in self.tables:
                record = facts[partition.plant].record(table, partition.day)
                self.context.log_event(
                    dg.AssetMaterialization(
                        asset_key(table),
                        partition=key_of(partition),
                        metadata=partition_metadata(record, changed=True),
                    )
                )


def partition_metadata(record: PartitionRecord, *, changed: bool) -> dict[str, int | float | str | bool]:
    """What the UI shows and plots for one partition."""
    return {
        "dagster/partition_row_count": record.rows,
        "changed": changed,
        "content_hash": record.content_hash,
        **{name: int(count) for name, count in record.counts.items()},
    }


def carried_from(run: Run, partition: Partition) -> Partition | None:
    """The former day whose last values hold at the start of this one, if there is one within the horizon."""
    day = run.facts.day_carried_from(partition.day)
    return None if day is None else Partition(partition.plant, day)
