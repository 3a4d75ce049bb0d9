"""Dagster shell of the contextualized layer."""

from collections.abc import Iterator, Sequence

import dagster as dg

from idm_assets.asset_specs import TableResult, spec_of
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import holding, measurements, states, tables
from idm_assets.contracts import Partition
from idm_assets.lineage import derivation_of
from idm_assets.partitions import EVENT_DAYS
from idm_assets.range_run import Outcome, RangeRun, Run, carried_from
from idm_assets.referential.bindings import bindings_query
from idm_assets.referential.history import in_force
from idm_assets.referential.tables import SIGNALS
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings


@dg.multi_asset(
    name="contextualized_measurements",
    specs=[
        spec_of(table, (cleaned.OBSERVATIONS, SIGNALS), EVENT_DAYS, derivation_of(table).code_version)
        for table in (tables.MEASUREMENTS, tables.UNMAPPED)
    ],
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def contextualized_measurements(
    context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
) -> Iterator[TableResult]:
    """Give each observation the avatar, attribute and unit that were in force when it was made."""
    run = RangeRun(context, (tables.MEASUREMENTS, tables.UNMAPPED), settings, engine, lake, ledger)
    yield from run.results(measure_day)


@dg.multi_asset(
    name="contextualized_states",
    specs=[
        spec_of(
            tables.STATES,
            (tables.MEASUREMENTS, cleaned.LAST_VALUES, SIGNALS),
            EVENT_DAYS,
            derivation_of(tables.STATES).code_version,
        )
    ],
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def contextualized_states(
    context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
) -> Iterator[TableResult]:
    """Make intervals of state reports, carried over midnight."""
    yield from RangeRun(context, (tables.STATES,), settings, engine, lake, ledger).results(states_of_day)


def measure_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `contextualized.measurements` and `contextualized.unmapped` of a day."""
    observations = run.relation(cleaned.OBSERVATIONS, partition)
    bound = bind(run, partition)
    mapped = run.write(tables.MEASUREMENTS, measurements.measurements(observations, bound), partition)
    unmapped = run.write(tables.UNMAPPED, measurements.unmapped(observations, bound), partition)
    left = run.con.sql(
        f"SELECT coalesce(sum(observations), 0)::BIGINT FROM ({run.relation(tables.UNMAPPED, partition)})"
    ).fetchall()[0][0]
    return (
        Outcome(tables.MEASUREMENTS, mapped, {"mapped": mapped.rows, "unmapped": left}),
        Outcome(tables.UNMAPPED, unmapped, {"unmapped_observations": left}),
    )


def states_of_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `contextualized.states` of a day."""
    timeline = timeline_of_day(run, partition)
    query = states.states(timeline.values, timeline.hold, partition)
    return (Outcome(tables.STATES, run.write(tables.STATES, query, partition)),)


def bind(run: Run, partition: Partition) -> str:
    """Put the bindings of a day into the temporary table ``bound``; returns a query over it."""
    query = bindings_query(in_force(run.lake, SIGNALS), partition)
    run.con.execute(f"CREATE OR REPLACE TEMP TABLE bound AS {query}").fetchall()
    return "SELECT * FROM bound"


def timeline_of_day(run: Run, partition: Partition) -> holding.Timeline:
    """What was carried into a day and what was observed on it, with the time up to which values hold."""
    bound = bind(run, partition)
    former = carried_from(run, partition)
    last_values = run.lake.relation(cleaned.LAST_VALUES, [former] if former else [])
    measured = run.relation(tables.MEASUREMENTS, partition)
    hold = holding.hold(measured, bound, run.facts.heard_again(partition.day), partition)
    run.con.execute(f"CREATE OR REPLACE TEMP TABLE hold AS {hold}").fetchall()
    carried = holding.carried(last_values, bound, partition)
    run.con.execute(f"CREATE OR REPLACE TEMP TABLE carried AS {carried}").fetchall()
    return holding.timeline("SELECT * FROM carried", holding.observed(measured, bound), "SELECT * FROM hold")
