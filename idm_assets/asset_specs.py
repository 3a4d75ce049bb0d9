"""What the Dagster UI shows of a table, derived from its contract.

Belongs here: asset keys, specs, column pages, previews, charts. Does not belong here: computing anything.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import dagster as dg
import polars as pl

from idm_assets.contracts import Column, Table

TableResult = dg.MaterializeResult[Any]
"""What an asset returns to Dagster: metadata; the rows go to the lake."""

OWNERS: Final = ("team:plant-data",)
PREVIEW_ROWS: Final = 8


def asset_key(table: Table) -> dg.AssetKey:
    """The asset key of a table: layer, then name."""
    return dg.AssetKey([table.layer, table.name])


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns with types, descriptions, units and constraints."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                type=column.type.duckdb.lower(),
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable),
                tags=_column_tags(column),
            )
            for column in table.columns
        ],
        constraints=dg.TableConstraints(other=[f"unique ({', '.join(table.key)})"] if table.key else []),
    )


def _column_tags(column: Column) -> dict[str, str]:
    tags: dict[str, str] = {}
    if column.unit:
        # Dagster takes letters, digits, '_', '-' and '.' in tags; the description has the unit as it is written.
        plain = column.unit.replace("%", "percent").replace("/", "_per_")
        tags["unit"] = re.sub(r"[^A-Za-z0-9_.-]+", "_", plain)[:63]
    if column.pii != "none":
        tags["pii"] = column.pii
    return tags


def spec_of(
    table: Table,
    deps: Iterable[dg.AssetDep | Table] = (),
    partitions_def: dg.PartitionsDefinition[str] | None = None,
    code_version: str = "1",
) -> dg.AssetSpec:
    """The spec of a table's asset.

    Args:
        table: its contract.
        deps: what it is made of, as tables or as deps with a mapping.
        partitions_def: how it is partitioned, if it is.
        code_version: see `lineage.Derivation`.
    """
    return dg.AssetSpec(
        asset_key(table),
        deps=[dg.AssetDep(asset_key(dep)) if isinstance(dep, Table) else dep for dep in deps],
        description=_description(table),
        group_name=table.layer,
        owners=list(OWNERS),
        kinds={"duckdb", "deltalake", "parquet"},
        tags={"layer": table.layer, "partitioned_by": "-".join(table.partition_by) or "none"},
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": f"catalog.{table.qualified_name}",
        },
        code_version=code_version,
        partitions_def=partitions_def,
    )


def _description(table: Table) -> str:
    by = f"Partitioned by {' and '.join(table.partition_by)}." if table.partition_by else "Not partitioned."
    key = f" One row per {', '.join(table.key)} in a partition." if table.key and table.partition_by else ""
    return f"{table.description}\n\n{by}{key}"


def preview(frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    """A frame's first rows as a Markdown table."""
    return markdown_table(frame.columns, frame.head(PREVIEW_ROWS).iter_rows())


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.MarkdownMetadataValue:
    """Rows as a Markdown table to be shown; see `markdown_rows`."""
    return dg.MetadataValue.md(markdown_rows(header, rows))


def markdown_rows(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as a Markdown table; pipes and line ends in values are escaped, long values cut."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")[:60]


def bar_chart(title: str, bars: Mapping[str, float]) -> dg.MarkdownMetadataValue:
    """A small horizontal bar chart as an inline picture, longest bar first come as given.

    Args:
        title: printed above the bars.
        bars: label to length; at most 12 are drawn.
    """
    shown = list(bars.items())[:12]
    longest = max((value for _, value in shown), default=0) or 1
    rows = "".join(
        f'<text x="196" y="{38 + 20 * i}" text-anchor="end">{_xml(label)[:30]}</text>'
        f'<rect x="202" y="{27 + 20 * i}" width="{300 * value / longest:.1f}" height="14" fill="#4f7cac"/>'
        f'<text x="{208 + 300 * value / longest:.1f}" y="{38 + 20 * i}">{value:,.6g}</text>'
        for i, (label, value) in enumerate(shown)
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="600" height="{34 + 20 * len(shown)}"'
        f' font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="6" y="15" font-weight="bold">{_xml(title)}</text>{rows}</svg>'
    )
    encoded = base64.b64encode(svg.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")


def _xml(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
