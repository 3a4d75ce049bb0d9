"""Dagster shell of the publication layer."""

import dagster as dg

from idm_assets.aggregated import tables as aggregated
from idm_assets.asset_specs import OWNERS, TableResult, asset_key, bar_chart, markdown_table
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contracts import Table, comment_of
from idm_assets.fingerprint import fingerprint
from idm_assets.lineage import record_derivations
from idm_assets.monitoring import tables as monitoring
from idm_assets.publication.catalog import publish, views_of
from idm_assets.referential import tables as referential
from idm_assets.referential.model_contract import RecordModels
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings

CATALOG = dg.AssetKey(["publication", "catalog"])
RECORD = "publication.catalog"
"""Ledger name of what the catalog in place was made from."""
_TABLES = (
    *capture.TABLES, *cleaned.TABLES, *contextualized.TABLES, *aggregated.TABLES, *referential.TABLES,
    *monitoring.TABLES,
)  # fmt: skip


def tables_of(models: RecordModels) -> tuple[Table, ...]:
    """All tables that the catalog is made from."""
    return (*_TABLES, *(derivation.table for derivation in record_derivations(models)))


def _newest_partition(layer: str) -> dg.PartitionMapping | None:
    """The catalog shows all partitions; Dagster is told of the newest, see `partitions.arrival_to_event`."""
    return None if layer in (referential.LAYER, monitoring.LAYER) else dg.LastPartitionMapping()


def catalog_asset(models: RecordModels) -> dg.AssetsDefinition:
    """The catalog of a code location with these record models."""

    @dg.asset(
        key=CATALOG,
        deps=[
            dg.AssetDep(asset_key(table), partition_mapping=_newest_partition(table.layer))
            for table in tables_of(models)
        ],
        group_name="publication",
        owners=list(OWNERS),
        kinds={"duckdb"},
        tags={"layer": "publication", "partitioned_by": "none"},
        description="The DuckDB file that analysts open: one view per table over exactly the live files, with names"
        " instead of keys. Replaced as a whole by rename; readers keep what they opened.",
        pool="publication",
    )
    def catalog(context: dg.AssetExecutionContext, settings: Settings, lake: Lake, ledger: Ledger) -> TableResult:
        """Build the catalog aside and put it in place."""
        made_of = catalog_fingerprint(lake, ledger, models)
        published = publish(lake, ledger.effective_captures(), settings.catalog_path, views_of(models))
        ledger.record_standing(RECORD, made_of, made_of, context.run.run_id)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(published.path)),
                "views": len(published.rows),
                "size_bytes": published.path.stat().st_size,
                "rows": markdown_table(("view", "rows"), list(published.rows.items())),
                "chart": bar_chart("rows per view", {name: float(n) for name, n in published.rows.items()}),
                **{f"rows/{name}": count for name, count in published.rows.items()},
            }
        )

    return catalog


def catalog_fingerprint(lake: Lake, ledger: Ledger, models: RecordModels) -> str:
    """Fingerprint of what the catalog should show: all tables with their versions, and the effective captures."""
    recorded = [derivation.table for derivation in record_derivations(models)]
    return fingerprint(
        {
            "versions": {table.qualified_name: lake.version(table) for table in tables_of(models)},
            "effective": sorted(ledger.effective_captures()),
            # A model may get an attribute, or other words, without a new version of its table.
            "columns": {t.qualified_name: [[c.name, comment_of(c)] for c in t.columns] for t in recorded},
        }
    )


def is_current(settings: Settings, lake: Lake, ledger: Ledger, models: RecordModels) -> bool:
    """Whether the catalog in place shows the live files."""
    standing = ledger.standing(RECORD)
    shown = standing is not None and standing[0] == catalog_fingerprint(lake, ledger, models)
    return shown and settings.catalog_path.exists()
