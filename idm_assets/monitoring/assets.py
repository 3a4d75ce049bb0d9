"""Dagster shell of the monitoring layer."""

from typing import Final

import dagster as dg

from idm_assets.asset_specs import TableResult, asset_key, bar_chart, markdown_table, spec_of
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contracts import Table
from idm_assets.monitoring.quarantine import counts, entries
from idm_assets.monitoring.tables import QUARANTINE_COUNTS
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger

SHOWN: Final = 60


def _newest(table: Table) -> dg.AssetDep:
    """All partitions are counted; Dagster is told of the newest, see `partitions.arrival_to_event`."""
    return dg.AssetDep(asset_key(table), partition_mapping=dg.LastPartitionMapping())


@dg.multi_asset(
    name="quarantine_counts",
    specs=[
        spec_of(
            QUARANTINE_COUNTS, [_newest(t) for t in (capture.QUARANTINE, cleaned.QUARANTINE, cleaned.RECORD_QUARANTINE)]
        )
    ],
)
def quarantine_counts(context: dg.AssetExecutionContext, engine: Engine, lake: Lake, ledger: Ledger) -> TableResult:
    """Count what is in quarantine, by day and reason."""
    name = QUARANTINE_COUNTS.qualified_name
    with engine.connect() as con:
        staged = lake.stage(con, QUARANTINE_COUNTS, counts(entries(con, lake, ledger)))
        standing = ledger.standing(name)
        written = lake.replace(
            QUARANTINE_COUNTS, staged, context.run.run_id, current_hash=None if standing is None else standing[1]
        )
        ledger.record_standing(name, written.content_hash, written.content_hash, context.run.run_id)
        rows = con.sql(
            "SELECT plant, day, stage, source_entry, reason, files, units"
            f" FROM ({lake.relation(QUARANTINE_COUNTS)}) WHERE standing = 'open'"
            f" ORDER BY day DESC, plant, stage, source_entry, reason LIMIT {SHOWN}"
        ).fetchall()
        by_reason = con.sql(
            f"SELECT reason, sum(files + units)::BIGINT, sum(files)::BIGINT FROM ({lake.relation(QUARANTINE_COUNTS)})"
            " WHERE standing = 'open' GROUP BY 1 ORDER BY 2 DESC"
        ).fetchall()
    header = ("plant", "day", "stage", "source", "reason", "files", "units")
    return dg.MaterializeResult(
        asset_key=asset_key(QUARANTINE_COUNTS),
        metadata={
            "dagster/row_count": written.rows,
            "open": sum(total for _, total, _ in by_reason),
            "files_rejected": sum(files for _, _, files in by_reason),
            "by_day_and_reason": markdown_table(header, rows),
            "chart": bar_chart("in quarantine, by reason", {reason: float(n) for reason, n, _ in by_reason}),
            "replay": "idm quarantine replay, or the job replay_quarantine for the arrival days in question",
        },
    )
