"""The Dagster side of the checks: one step per table, its checks made from the contract.

A check covers the partitions of its run. Executed on its own it covers all live partitions.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import duckdb

from checks.conservation import Sources, balance_of, check_conservation
from checks.continuity import check_continuity
from checks.contract import check_contract, check_uniqueness
from checks.finding import Finding
from checks.plausibility import check_plausibility
from checks.rejection import check_rejected_files
from idm_assets.aggregated import tables as aggregated
from idm_assets.asset_specs import asset_key, markdown_table
from idm_assets.capture import tables as capture
from idm_assets.capture.sources import load_sources
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contracts import Partition, Table
from idm_assets.lineage import record_derivations
from idm_assets.monitoring import tables as monitoring
from idm_assets.partitions import partition_of
from idm_assets.referential import tables as referential
from idm_assets.referential.findings import QUESTIONS, UNBOUND_TAGS, Question, answer
from idm_assets.referential.history import in_force
from idm_assets.referential.model_contract import RecordModels
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings


def layers_of(models: RecordModels) -> tuple[tuple[Table, ...], ...]:
    """The tables of every layer, those made of records among them."""
    recorded = [derivation.table for derivation in record_derivations(models)]
    cleaned_records = [table for table in recorded if table.layer == cleaned.LAYER]
    typed_records = [table for table in recorded if table.layer == contextualized.LAYER]
    return (
        capture.TABLES, (*cleaned.TABLES, *cleaned_records), (*contextualized.TABLES, *typed_records),
        aggregated.TABLES, referential.TABLES, monitoring.TABLES,
    )  # fmt: skip


def partitions_of_run(tags: dict[str, str]) -> list[Partition] | None:
    """The partitions that a run's tags name; None if the run is about no partition in particular."""
    if "dagster/partition" in tags:
        return [partition_of(tags["dagster/partition"])]
    first, last = (tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    if first is None or last is None:
        return None
    start, end = partition_of(first), partition_of(last)
    plants = {start.plant, end.plant}
    days = (end.day - start.day).days + 1
    return [Partition(plant, start.day + timedelta(days=n)) for plant in sorted(plants) for n in range(days)]


def check_specs(table: Table) -> list[dg.AssetCheckSpec]:
    """The checks of a table that follow from its contract and from the laws of conservation."""
    key = asset_key(table)
    specs = [dg.AssetCheckSpec("contract", asset=key, description="Every live value holds to the table's contract.")]
    if table.key:
        specs.append(dg.AssetCheckSpec("uniqueness", asset=key, description=f"({', '.join(table.key)}) is unique."))
    balance = balance_of(table)
    if balance is not None:
        specs.append(dg.AssetCheckSpec("conservation", asset=key, description=f"{balance.law}."))
    return specs


def checks_of_layer(tables: Sequence[Table]) -> dg.AssetChecksDefinition:
    """All checks of a layer's tables, as one step: a step costs Dagster more than most of these queries."""
    layer = tables[0].layer

    @dg.multi_asset_check(
        specs=[spec for table in tables for spec in check_specs(table)],
        name=f"check_{layer}",
        can_subset=True,  # a backfill of some tables runs the checks of these tables
    )
    def check(
        context: dg.AssetCheckExecutionContext, engine: Engine, lake: Lake, ledger: Ledger
    ) -> Iterator[dg.AssetCheckResult]:
        named = partitions_of_run(dict(context.run.tags))
        wanted = context.selected_asset_check_keys
        with engine.connect() as con:
            for table in tables:
                partitions = named if table.partition_by else None
                for spec in check_specs(table):
                    if spec.key in wanted:
                        finding = find(spec.name, con, lake, ledger, table, partitions)
                        yield result_of(spec.name, asset_key(table), finding, dg.AssetCheckSeverity.ERROR)

    return check


def find(
    check: str, con: duckdb.DuckDBPyConnection, lake: Lake, ledger: Ledger, table: Table,
    partitions: Sequence[Partition] | None,
) -> Finding:  # fmt: skip
    """Carry out one check over some partitions, or over all that are live."""
    if check == "contract":
        return check_contract(lake, table, partitions)
    if check == "uniqueness":
        return check_uniqueness(con, lake, table, partitions)
    balance = balance_of(table)
    assert balance is not None, "the check is made for tables with a law only"
    judged = _live_partitions(ledger, lake, table) if partitions is None else partitions
    return check_conservation(con, balance, Sources(lake, ledger, judged))


@dg.multi_asset_check(
    name="questions_of_referential",
    specs=[
        dg.AssetCheckSpec(question.name, asset=asset_key(question.table), description=question.description)
        for question in QUESTIONS
    ],
    can_subset=True,
)
def questions_of_referential(
    context: dg.AssetCheckExecutionContext, engine: Engine, lake: Lake
) -> Iterator[dg.AssetCheckResult]:
    """Ask what a person should look at: unbound tags, orphans, idle models, units that do not fit."""
    wanted = context.selected_asset_check_keys
    with engine.connect() as con:
        for question in QUESTIONS:
            key = asset_key(question.table)
            if dg.AssetCheckKey(key, question.name) in wanted:
                yield result_of(question.name, key, ask(con, lake, question), dg.AssetCheckSeverity.WARN)


def ask(con: duckdb.DuckDBPyConnection, lake: Lake, question: Question) -> Finding:
    """Ask one question of the referential in force and of all tags that were heard."""
    found = answer(con, lake, question, f"SELECT plant, signal_id, source, tag FROM ({lake.relation(capture.TAGS)})")
    return Finding(
        passed=not found.count,
        summary=question.sentence.format(n=found.count),
        numbers={"found": found.count},
        header=question.header,
        rows=found.rows,
    )


@dg.asset_check(asset=asset_key(contextualized.UNMAPPED), name=UNBOUND_TAGS.name, description=UNBOUND_TAGS.description)
def unbound_tags(engine: Engine, lake: Lake) -> dg.AssetCheckResult:
    """Ask for unbound tags where they turn up too: new tags arrive long after the referential came into force."""
    with engine.connect() as con:
        finding = ask(con, lake, UNBOUND_TAGS)
    key = asset_key(contextualized.UNMAPPED)
    return result_of(UNBOUND_TAGS.name, key, finding, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset=asset_key(contextualized.MEASUREMENTS),
    name="plausibility",
    description="Every value is what its data model expects: in range, one of the allowed values, of its type.",
)
def plausibility(context: dg.AssetCheckExecutionContext, engine: Engine, lake: Lake) -> dg.AssetCheckResult:
    """Count by model and attribute what the cleaned layer marked as implausible."""
    partitions = partitions_of_run(dict(context.run.tags))
    with engine.connect() as con:
        measured = lake.relation(contextualized.MEASUREMENTS, partitions)
        finding = check_plausibility(con, measured, in_force(lake, referential.SIGNALS))
    key = asset_key(contextualized.MEASUREMENTS)
    return result_of("plausibility", key, finding, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset=asset_key(cleaned.OBSERVATIONS),
    name="continuity",
    description="Every source is heard on every day between its first and its last.",
)
def continuity(settings: Settings, ledger: Ledger) -> dg.AssetCheckResult:
    """List the silent days of every source."""
    entries = load_sources(settings.config_path)
    inputs = [row for row in ledger.day_inputs() if row.observations]
    irregular_entries = {entry.name for entry in entries if entry.expected == "irregular"}
    irregular = ledger.sources_of(irregular_entries)
    lateness = max((entry.lateness_days for entry in entries), default=0)
    finding = check_continuity(inputs, irregular, datetime.now(UTC).date(), lateness)
    return result_of("continuity", asset_key(cleaned.OBSERVATIONS), finding, dg.AssetCheckSeverity.WARN)


@dg.asset_check(
    asset=asset_key(monitoring.QUARANTINE_COUNTS),
    name="rejected_files",
    description="No file that the landing zone holds is rejected as a whole.",
)
def rejected_files(engine: Engine, lake: Lake) -> dg.AssetCheckResult:
    """List the days on which whole files were rejected, and why."""
    with engine.connect() as con:
        finding = check_rejected_files(con, lake.relation(monitoring.QUARANTINE_COUNTS))
    return result_of("rejected_files", asset_key(monitoring.QUARANTINE_COUNTS), finding, dg.AssetCheckSeverity.WARN)


def result_of(name: str, key: dg.AssetKey, finding: Finding, severity: dg.AssetCheckSeverity) -> dg.AssetCheckResult:
    """A finding as Dagster shows it."""
    shown: dict[str, dg.MetadataValue[str] | int] = {name: int(n) for name, n in finding.numbers.items()}
    if finding.rows:
        shown["rows"] = markdown_table(finding.header, finding.rows)
    return dg.AssetCheckResult(
        passed=finding.passed, check_name=name, asset_key=key, severity=severity,
        description=finding.summary, metadata=shown,
    )  # fmt: skip


def _live_partitions(ledger: Ledger, lake: Lake, table: Table) -> Sequence[Partition]:
    if table.layer != capture.LAYER:
        return sorted(partition for _, partition in ledger.partitions([table.qualified_name]))
    found = {_partition_in(str(file)) for file in lake.live_files(table)}
    return sorted(found)


def _partition_in(path: str) -> Partition:
    values = dict(part.split("=", 1) for part in path.split("/") if "=" in part)
    return Partition(values["plant"], datetime.fromisoformat(values["arrived_on"]).date())


def checks_of(models: RecordModels) -> tuple[dg.AssetChecksDefinition, ...]:
    """All checks of a code location with these record models."""
    layers = (checks_of_layer(tables) for tables in layers_of(models))
    return (*layers, questions_of_referential, unbound_tags, plausibility, continuity, rejected_files)
