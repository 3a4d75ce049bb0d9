"""Dagster shell of the referential layer: configuration becomes the tables in force."""

import getpass
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import dagster as dg

from idm_assets.asset_specs import TableResult, asset_key, bar_chart, markdown_table, spec_of
from idm_assets.contracts import Table
from idm_assets.fingerprint import fingerprint
from idm_assets.partitions import PLANTS
from idm_assets.referential import tables
from idm_assets.referential.findings import Overview, overview_of
from idm_assets.referential.history import Change, Version, versions
from idm_assets.referential.refresh import apply, planned
from idm_assets.referential.sources import CODE_VERSION, content_of_file, read_sources
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings

CONFIGURATION: Final = "referential.configuration"
"""Ledger name of the fingerprint of the configuration that the referential in force was built from."""

AUTHOR_TAG: Final = "idm/author"
REASON_TAG: Final = "idm/reason"
_OTHER_CONFIGURATION: Final = frozenset({"sources", "schemas"})


class ChangeNote(dg.Config):
    """What the log of the referential says of a change, where the run's tags do not."""

    author: str = ""
    reason: str = ""


@dg.multi_asset(
    name="referential",
    specs=[spec_of(table, code_version=CODE_VERSION) for table in tables.TABLES],
    pool="referential",
)
def referential(
    context: dg.AssetExecutionContext,
    config: ChangeNote,
    settings: Settings,
    engine: Engine,
    lake: Lake,
    ledger: Ledger,
) -> Iterator[TableResult]:
    """Read the configuration and put the referential in force; a wrong configuration leaves the former one."""
    made_of = configuration_fingerprint(settings.config_path)
    sources = read_sources(settings.config_path)
    with engine.workbench() as con:
        with planned(con, lake, sources) as plan:
            for remark in plan.remarks:
                context.log.warning(remark)
            version = apply(con, lake, plan, _change(context, config))
        seen = overview_of(con, lake)
        for table in tables.TABLES:
            yield dg.MaterializeResult(
                asset_key=asset_key(table), metadata=_metadata(lake, table, version, seen, len(plan.remarks))
            )
    context.instance.add_dynamic_partitions(str(PLANTS.name), sources.plants)
    ledger.record_standing(CONFIGURATION, made_of, made_of, context.run.run_id)


def configuration_fingerprint(config: Path) -> str:
    """Fingerprint of every file that the referential may be built from, and of the code that reads them."""
    files = sorted(
        path
        for path in config.rglob("*")
        if path.is_file() and path.relative_to(config).parts[0] not in _OTHER_CONFIGURATION
    )
    contents = {path.relative_to(config).as_posix(): content_of_file(path) for path in files}
    return fingerprint({"code": CODE_VERSION, "files": contents})


def is_in_force(configuration: str, ledger: Ledger) -> bool:
    """Whether the referential in force was built from the configuration with this fingerprint."""
    standing = ledger.standing(CONFIGURATION)
    return standing is not None and standing[0] == configuration


def _change(context: dg.AssetExecutionContext, config: ChangeNote) -> Change:
    tags = context.run.tags
    author = config.author or tags.get(AUTHOR_TAG) or tags.get("user") or _login()
    reason = config.reason or tags.get(REASON_TAG) or "the configuration changed"
    return Change(author, reason, context.run.run_id)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def _metadata(
    lake: Lake, table: Table, version: Version | None, seen: Overview, remarks: int
) -> dict[str, dg.MarkdownMetadataValue | int | bool | str]:
    log = versions(lake)
    recorded, retired = version.counts.get(table.name, (0, 0)) if version else (0, 0)
    metadata: dict[str, dg.MarkdownMetadataValue | int | bool | str] = {
        "dagster/row_count": seen.rows[table.name],
        "changed": bool(recorded or retired),
        "recorded": recorded,
        "retired": retired,
        "version": log[-1].version if log else 0,
        "preview": markdown_table(*seen.previews[table.name]),
    }
    if table is tables.VERSIONS and log:
        metadata |= {"author": log[-1].author, "reason": log[-1].reason}
    if table is tables.AVATARS:
        metadata["chart"] = bar_chart("avatars per model", seen.avatars_per_model)
        metadata["without_bindings"] = seen.avatars_without_bindings
    if table is tables.DATA_MODELS:
        rows = [(model, seen.avatars_per_model.get(model, 0)) for model in seen.models]
        metadata["avatars_per_model"] = markdown_table(("model", "avatars in force now"), rows)
    if table is tables.SIGNALS:
        metadata["chart"] = bar_chart("bindings per source", seen.bindings_per_source)
        metadata["remarks"] = remarks
    return metadata
