"""Dagster shell of the referential layer: configuration becomes the tables in force."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import polars as pl

from idm_assets.asset_specs import TableResult, asset_key, bar_chart, preview, spec_of
from idm_assets.contracts import Table
from idm_assets.fingerprint import fingerprint
from idm_assets.partitions import PLANTS
from idm_assets.referential import tables
from idm_assets.referential.bindings import bindings_record
from idm_assets.referential.build import Referential, bindings_fingerprint, build_referential
from resources.engine import Engine
from resources.lake import Lake, Written
from resources.ledger import Ledger
from resources.settings import Settings

CONFIGURATION = "referential.configuration"
"""Ledger name of the fingerprint of the configuration that the referential in force was built from."""

CODE_VERSION = "1"


@dg.multi_asset(
    name="referential",
    specs=[spec_of(table, code_version=CODE_VERSION) for table in tables.TABLES],
    pool="referential",
)
def referential(
    context: dg.AssetExecutionContext, settings: Settings, engine: Engine, lake: Lake, ledger: Ledger
) -> Iterator[TableResult]:
    """Read the configuration and put the referential in force; a wrong configuration leaves the former one."""
    made_of = configuration_fingerprint(settings.config_path)
    with engine.connect() as con:
        built = build_referential(settings.config_path, con)
        for remark in built.remarks:
            context.log.warning(remark)
        for table, frame in built.frames():
            rows = _with_former_points(lake, table, frame)
            written = _put_in_force(rows, table, engine, lake, ledger, context.run.run_id)
            yield dg.MaterializeResult(asset_key=asset_key(table), metadata=_metadata(table, rows, written, built))
    plants = sorted(set(built.equipment["plant"].to_list()))
    for plant in plants:
        ledger.record_standing(
            bindings_record(plant), made_of, bindings_fingerprint(built.signals, plant), context.run.run_id
        )
    context.instance.add_dynamic_partitions(str(PLANTS.name), plants)
    ledger.record_standing(CONFIGURATION, made_of, made_of, context.run.run_id)


def configuration_fingerprint(config: Path) -> str:
    """Fingerprint of every file that the referential is built from, and of the code that reads them."""
    folders = (config / "referential", config / "rules")
    files = sorted(path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file())
    contents = {path.relative_to(config).as_posix(): path.read_bytes().hex() for path in files}
    return fingerprint({"code": CODE_VERSION, "files": contents})


def is_in_force(configuration: str, ledger: Ledger) -> bool:
    """Whether the referential in force was built from the configuration with this fingerprint."""
    standing = ledger.standing(CONFIGURATION)
    return standing is not None and standing[0] == configuration


def _with_former_points(lake: Lake, table: Table, frame: pl.DataFrame) -> pl.DataFrame:
    """Points are never forgotten: partitions that were not yet recomputed still need their names."""
    if table is not tables.POINTS:
        return frame
    return pl.concat([frame, lake.frame(table).select(frame.columns)]).unique("point_id", keep="first").sort(table.sort)


def _put_in_force(
    frame: pl.DataFrame, table: Table, engine: Engine, lake: Lake, ledger: Ledger, run_id: str
) -> Written:
    former = ledger.standing(table.qualified_name)
    with engine.connect() as con:
        con.register("built", frame)
        staged = lake.stage(con, table, "SELECT * FROM built")
        written = lake.replace(table, staged, run_id, current_hash=None if former is None else former[1])
    ledger.record_standing(table.qualified_name, written.content_hash, written.content_hash, run_id)
    return written


def _metadata(
    table: Table, frame: pl.DataFrame, written: Written, built: Referential
) -> dict[str, dg.MarkdownMetadataValue | int | bool]:
    metadata: dict[str, dg.MarkdownMetadataValue | int | bool] = {
        "dagster/row_count": written.rows,
        "changed": written.changed,
        "preview": preview(frame),
    }
    if table is tables.AVATARS:
        counts = frame.group_by("model").len().sort("len", descending=True)
        metadata["chart"] = bar_chart("avatars per model", dict(counts.iter_rows()))
    if table is tables.SIGNALS:
        counts = frame.group_by("source").len().sort("len", descending=True)
        metadata["chart"] = bar_chart("bindings per source", dict(counts.iter_rows()))
        metadata["remarks"] = len(built.remarks)
    return metadata
