"""Dagster shell of the aggregated layer."""

from collections.abc import Iterator, Sequence

import dagster as dg

from idm_assets.aggregated import tables, windows
from idm_assets.aggregated.state_durations import state_durations
from idm_assets.asset_specs import TableResult, spec_of
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contextualized.assets import timeline_of_day
from idm_assets.contracts import Partition, Table
from idm_assets.lineage import derivation_of
from idm_assets.partitions import EVENT_DAYS
from idm_assets.range_run import ComputeDay, Outcome, RangeRun, Run
from idm_assets.referential.tables import SIGNALS
from resources.engine import Engine, reproducibly
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings


def _aggregate(table: Table, deps: Sequence[Table], compute: ComputeDay, description: str) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{table.layer}_{table.name}",
        description=description,
        specs=[spec_of(table, deps, EVENT_DAYS, derivation_of(table).code_version)],
        partitions_def=EVENT_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def aggregate(
        context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
    ) -> Iterator[TableResult]:
        yield from RangeRun(context, (table,), settings, engine, lake, ledger).results(compute)

    return aggregate


def minutes_of_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `aggregated.measurements_1min` of a day."""
    timeline = timeline_of_day(run, partition)
    return _written(run, tables.MINUTES, windows.minutes(timeline.values, timeline.hold), partition)


def hours_of_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `aggregated.measurements_1h` of a day."""
    timeline = timeline_of_day(run, partition)
    sources = "SELECT point_id, min(source) AS source FROM bound GROUP BY point_id"
    minutes = run.relation(tables.MINUTES, partition)
    query = windows.hours(minutes, timeline.carried, sources, timeline.hold, partition)
    return _written(run, tables.HOURS, query, partition)


def days_of_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `aggregated.measurements_1d` of a day."""
    return _written(run, tables.DAYS, windows.days(run.relation(tables.HOURS, partition), partition), partition)


def state_durations_of_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `aggregated.state_durations_1d` of a day."""
    query = state_durations(run.relation(contextualized.STATES, partition))
    return _written(run, tables.STATE_DURATIONS, query, partition)


def _written(run: Run, table: Table, query: str, partition: Partition) -> Sequence[Outcome]:
    with reproducibly(run.con):
        return (Outcome(table, run.write(table, query, partition)),)


_HELD: Sequence[Table] = (cleaned.LAST_VALUES, SIGNALS)

measurements_1min = _aggregate(
    tables.MINUTES,
    (contextualized.MEASUREMENTS, *_HELD),
    minutes_of_day,
    "Figures per minute from measurements.",
)
measurements_1h = _aggregate(
    tables.HOURS,
    (tables.MINUTES, contextualized.MEASUREMENTS, *_HELD),
    hours_of_day,
    "Figures per hour from minutes.",
)
measurements_1d = _aggregate(tables.DAYS, (tables.HOURS,), days_of_day, "Figures per day from hours.")
state_durations_1d = _aggregate(
    tables.STATE_DURATIONS, (contextualized.STATES,), state_durations_of_day, "Time per state from intervals."
)

ASSETS = (measurements_1min, measurements_1h, measurements_1d, state_durations_1d)
