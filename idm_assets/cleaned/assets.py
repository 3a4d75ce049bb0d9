"""Dagster shell of the cleaned layer."""

from collections.abc import Iterator, Sequence

import dagster as dg

from idm_assets.asset_specs import TableResult, asset_key, spec_of
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables
from idm_assets.cleaned.last_values import last_values
from idm_assets.cleaned.observations import arrived_query, clean, ranks_query
from idm_assets.contracts import Partition
from idm_assets.lineage import derivation_of
from idm_assets.partitions import EVENT_DAYS, arrival_to_event
from idm_assets.range_run import Outcome, RangeRun, Run, carried_from
from idm_assets.referential.bindings import bindings_query
from idm_assets.referential.history import in_force
from idm_assets.referential.tables import SIGNALS
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings

_CAPTURED = dg.AssetDep(asset_key(capture.OBSERVATIONS), partition_mapping=arrival_to_event())


@dg.multi_asset(
    name="cleaned_observations",
    specs=[
        spec_of(table, (_CAPTURED, SIGNALS), EVENT_DAYS, derivation_of(table).code_version)
        for table in (tables.OBSERVATIONS, tables.QUARANTINE)
    ],
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def cleaned_observations(
    context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
) -> Iterator[TableResult]:
    """Gather each day's observations from all captures, deduplicate them and set their status."""
    run = RangeRun(context, (tables.OBSERVATIONS, tables.QUARANTINE), settings, engine, lake, ledger)
    yield from run.results(clean_day)


@dg.multi_asset(
    name="cleaned_last_values",
    specs=[
        spec_of(
            tables.LAST_VALUES,
            (tables.OBSERVATIONS,),
            EVENT_DAYS,
            derivation_of(tables.LAST_VALUES).code_version,
        )
    ],
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def cleaned_last_values(
    context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
) -> Iterator[TableResult]:
    """Carry the last value of every signal over the day border."""
    yield from RangeRun(context, (tables.LAST_VALUES,), settings, engine, lake, ledger).results(last_values_of_day)


def clean_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `cleaned.observations` and `cleaned.quarantine` of a day."""
    inputs = run.facts.inputs.get(partition.day, [])
    arrival_days = sorted({Partition(partition.plant, row.arrived_on) for row in inputs})
    keys = sorted({row.capture_key for row in inputs})
    arrived = arrived_query(run.lake.relation(capture.OBSERVATIONS, arrival_days), keys, partition)
    cleaning = clean(
        run.con,
        arrived,
        ranks_query((row.capture_last_ts, row.capture_key) for row in inputs),
        bindings_query(in_force(run.lake, SIGNALS), partition),
    )
    observations = run.write(tables.OBSERVATIONS, cleaning.observations, partition)
    quarantine = run.write(tables.QUARANTINE, cleaning.quarantine, partition)
    expected = sum(row.observations for row in inputs)
    if cleaning.counts["arrived"] != expected:
        raise ValueError(
            f"{partition}: the ledger knows {expected} arrived observations, the lake holds"
            f" {cleaning.counts['arrived']}; materialize capture of {', '.join(map(str, arrival_days))} again"
        )
    statuses = run.con.sql(
        "SELECT coalesce(sum((status >= 2147483648)::INT), 0), count(*) FILTER (status & 4294901760 = 2151350272)"
        f" FROM ({run.relation(tables.OBSERVATIONS, partition)})"
    ).fetchall()[0]
    counts = cleaning.counts | {"bad": int(statuses[0]), "out_of_range": statuses[1]}
    return (
        Outcome(tables.OBSERVATIONS, observations, counts),
        Outcome(tables.QUARANTINE, quarantine, {"conflicts": cleaning.counts["conflicts"]}),
    )


def last_values_of_day(run: Run, partition: Partition) -> Sequence[Outcome]:
    """Compute `cleaned.last_values` of a day."""
    former = carried_from(run, partition)
    query = last_values(
        run.relation(tables.OBSERVATIONS, partition),
        run.lake.relation(tables.LAST_VALUES, [former] if former else []),
        partition,
        run.settings.carry_days,
    )
    return (Outcome(tables.LAST_VALUES, run.write(tables.LAST_VALUES, query, partition)),)
