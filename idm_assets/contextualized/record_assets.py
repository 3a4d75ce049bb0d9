"""Dagster shell of the typed record tables: one asset per record model, named and described by the model."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

import dagster as dg

from idm_assets.asset_specs import OWNERS, TableResult, markdown_rows, spec_of
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized.records import typed_records
from idm_assets.contracts import Partition, Table
from idm_assets.lineage import Derivation, record_derivations
from idm_assets.partitions import EVENT_DAYS
from idm_assets.range_run import Outcome, RangeRun, Run
from idm_assets.referential.description import Model
from idm_assets.referential.model_contract import RecordModels, column_name, plausible, table_name
from idm_assets.referential.tables import DATA_MODELS
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings

_ADDRESS: Final = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")


def typed_record_assets(models: RecordModels) -> tuple[dg.AssetsDefinition, ...]:
    """An asset per record model in force."""
    derivations = record_derivations(models)
    by_table = {derivation.table.name: derivation for derivation in derivations}
    return tuple(_asset(model, by_table[table_name(model)], derivations) for model in models.models or ())


def _asset(model: Model, derivation: Derivation, derivations: tuple[Derivation, ...]) -> dg.AssetsDefinition:
    table = derivation.table

    @dg.multi_asset(
        name=f"{table.layer}_{table.name}",
        description=f"Records of the model {model.name} in its types.",
        specs=[_spec(model, derivation)],
        partitions_def=EVENT_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def records_of_model(
        context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
    ) -> Iterator[TableResult]:
        run = RangeRun(context, (table,), settings, engine, lake, ledger, derivations)
        yield from run.results(lambda run, partition: type_day(run, partition, model, table))

    return records_of_model


def type_day(run: Run, partition: Partition, model: Model, table: Table) -> Sequence[Outcome]:
    """Compute the table of a record model of a day."""
    written = run.write(table, typed_records(run.relation(cleaned.RECORDS, partition), model), partition)
    flagged = run.con.sql(
        f"SELECT count(*) FILTER (flags IS NOT NULL) FROM ({run.relation(table, partition)})"
    ).fetchall()[0][0]
    return (Outcome(table, written, {"flagged": flagged}),)


def _spec(model: Model, derivation: Derivation) -> dg.AssetSpec:
    spec = spec_of(derivation.table, (cleaned.RECORDS, DATA_MODELS), EVENT_DAYS, derivation.code_version)
    personal = sorted({a.pii for a in model.attributes} - {"none"})
    return spec.replace_attributes(
        description=f"{spec.description}\n\n{describe(model)}", owners=[_owner(model)]
    ).merge_attributes(
        tags={"pii": "-".join(personal)} if personal else {},
        metadata={"model": f"{model.name} {model.version}", "business_object": model.business_object or ""},
    )


def describe(model: Model) -> str:
    """A model and its attributes in Markdown."""
    about = [f"Model **{model.name}** {model.version or ''}".rstrip() + "."]
    about += [f"Business object: {model.business_object}."] if model.business_object else []
    about += [f"Owner: {model.owner}."] if model.owner else []
    rows = [
        (
            column_name(a), a.data_type, a.unit, "key" if a.key else "required" if a.required else "",
            plausible(a), a.pii if a.pii != "none" else "", a.description,
        )
        for a in model.attributes
    ]  # fmt: skip
    header = ("attribute", "type", "unit", "", "plausible", "personal data", "meaning")
    return " ".join(about) + "\n\n" + markdown_rows(header, rows)


def _owner(model: Model) -> str:
    """Who answers for the model, as Dagster takes it: an address, or the name of a team."""
    if not model.owner:
        return OWNERS[0]
    return model.owner if _ADDRESS.fullmatch(model.owner) else f"team:{model.owner.removeprefix('team:')}"
