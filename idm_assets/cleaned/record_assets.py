"""Dagster shell of cleaned records: an asset made for the record models of a code location."""

from collections.abc import Iterator, Sequence

import dagster as dg

from idm_assets.asset_specs import TableResult, asset_key, spec_of
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables
from idm_assets.cleaned.observations import ranks_query
from idm_assets.cleaned.records import arrived_records, clean_records
from idm_assets.contracts import Partition
from idm_assets.lineage import record_derivations
from idm_assets.partitions import EVENT_DAYS, arrival_to_event
from idm_assets.range_run import Outcome, RangeRun, Run
from idm_assets.referential.description import Model
from idm_assets.referential.model_contract import RecordModels
from idm_assets.referential.tables import DATA_MODELS
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings

_CAPTURED = dg.AssetDep(asset_key(capture.RECORDS), partition_mapping=arrival_to_event())


def cleaned_record_assets(models: RecordModels) -> tuple[dg.AssetsDefinition, ...]:
    """The asset of cleaned records; none while the models cannot be read, since all records would be refused."""
    known = models.models
    if known is None:
        return ()
    derivations = record_derivations(models)
    versions = {derivation.table.qualified_name: derivation.code_version for derivation in derivations}

    @dg.multi_asset(
        name="cleaned_records",
        specs=[
            spec_of(table, (_CAPTURED, DATA_MODELS), EVENT_DAYS, versions[table.qualified_name])
            for table in tables.RECORD_TABLES
        ],
        partitions_def=EVENT_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def cleaned_records(
        context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
    ) -> Iterator[TableResult]:
        """Gather each day's records from all captures, read them by their model and deduplicate them."""
        run = RangeRun(context, tables.RECORD_TABLES, settings, engine, lake, ledger, derivations)
        yield from run.results(lambda run, partition: clean_records_of_day(run, partition, known))

    return (cleaned_records,)


def clean_records_of_day(run: Run, partition: Partition, models: Sequence[Model]) -> Sequence[Outcome]:
    """Compute `cleaned.records` and `cleaned.record_quarantine` of a day."""
    inputs = run.facts.record_inputs.get(partition.day, [])
    arrival_days = sorted({Partition(partition.plant, row.arrived_on) for row in inputs})
    keys = sorted({row.capture_key for row in inputs})
    cleaning = clean_records(
        run.con,
        arrived_records(run.lake.relation(capture.RECORDS, arrival_days), keys, partition),
        ranks_query((row.capture_last_ts, row.capture_key) for row in inputs),
        models,
    )
    expected = sum(row.records for row in inputs)
    if cleaning.counts["arrived"] != expected:
        raise ValueError(
            f"{partition}: the ledger knows {expected} arrived records, the lake holds {cleaning.counts['arrived']};"
            f" materialize capture of {', '.join(map(str, arrival_days))} again"
        )
    records = run.write(tables.RECORDS, cleaning.records, partition)
    quarantine = run.write(tables.RECORD_QUARANTINE, cleaning.quarantine, partition)
    lost = {name: cleaning.counts[name] for name in ("conflicts", "rejected")}
    return Outcome(tables.RECORDS, records, cleaning.counts), Outcome(tables.RECORD_QUARANTINE, quarantine, lost)
