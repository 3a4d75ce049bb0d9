"""What a person sees of a freshly computed day: a few rows with names, and one small chart.

Belongs here: queries for looking. Does not belong here: anything that a table is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import dagster as dg
import duckdb

from idm_assets.aggregated import tables as aggregated
from idm_assets.asset_specs import PREVIEW_ROWS, bar_chart, markdown_table
from idm_assets.capture.tables import TAGS
from idm_assets.contracts import Partition, Table
from idm_assets.referential.tables import POINTS
from idm_assets.sql import identifier
from resources.lake import Lake

_HIDDEN: Final = frozenset({"plant", "day", "point_id", "signal_id", "capture_key", "detail"})
_PERSONAL: Final = frozenset({"personal", "sensitive"})
"""Classes of personal data that stay in the tables: a preview is copied into the history of runs."""

_CHARTS: Final[Mapping[str, tuple[str, str]]] = {
    aggregated.MINUTES.qualified_name: (
        "Good values observed per hour (UTC)",
        "SELECT strftime(window_start, '%H:00'), sum(count)::DOUBLE FROM ({rows}) GROUP BY 1 ORDER BY 1",
    ),
    aggregated.HOURS.qualified_name: (
        "Mean percent good per hour (UTC)",
        "SELECT strftime(window_start, '%H:00'), avg(percent_good) FROM ({rows}) GROUP BY 1 ORDER BY 1",
    ),
    aggregated.DAYS.qualified_name: (
        "Mean percent good per equipment element",
        (
            "SELECT split_part(equipment_path, '/', -1), avg(percent_good) FROM ({rows})"
            " JOIN ({points}) USING (point_id) GROUP BY 1 ORDER BY 2 DESC"
        ),
    ),
    aggregated.STATE_DURATIONS.qualified_name: (
        "Hours per equipment element and state, of the attribute that changes most",
        (
            "WITH named AS (SELECT * FROM ({rows}) JOIN ({points}) USING (point_id)), liveliest AS ("
            "SELECT attribute FROM named GROUP BY attribute HAVING count(DISTINCT state) <= 10"
            " ORDER BY sum(occurrences) DESC, attribute LIMIT 1)"
            " SELECT split_part(equipment_path, '/', -1) || ' ' || state, sum(duration_s) / 3600 FROM named"
            " SEMI JOIN liveliest USING (attribute) GROUP BY 1 ORDER BY 1 LIMIT 12"
        ),
    ),
}


def pictures(
    con: duckdb.DuckDBPyConnection, lake: Lake, table: Table, partition: Partition
) -> dict[str, dg.MarkdownMetadataValue]:
    """Preview and, for aggregated tables, chart of one partition; nothing for an empty one."""
    rows = lake.relation(table, [partition])
    found = con.sql(_preview_query(table, rows, lake)).fetchall()
    if not found:
        return {}
    shown = {"preview": markdown_table(_preview_columns(table), found)}
    if table.qualified_name in _CHARTS:
        title, query = _CHARTS[table.qualified_name]
        bars = con.sql(query.format(rows=rows, points=lake.relation(POINTS))).fetchall()
        shown["chart"] = bar_chart(f"{title}, {partition}", {str(label): float(value or 0) for label, value in bars})
    return shown


def _preview_columns(table: Table) -> list[str]:
    names = {column.name for column in table.columns}
    leading = ["avatar", "attribute"] if "point_id" in names else ["source", "tag"] if "signal_id" in names else []
    return leading + [
        column.name for column in table.columns if column.name not in _HIDDEN and column.pii not in _PERSONAL
    ]


def _preview_query(table: Table, rows: str, lake: Lake) -> str:
    columns = ", ".join(identifier(name) for name in _preview_columns(table))
    names = {column.name for column in table.columns}
    first = f"SELECT * FROM ({rows}) LIMIT {PREVIEW_ROWS}"
    if "point_id" in names:
        dimension, key = lake.relation(POINTS), "point_id"
        wanted = "point_id, avatar, attribute"
    elif "signal_id" in names:
        dimension, key = lake.relation(TAGS), "signal_id"
        wanted = "signal_id, source, tag"
    else:
        return f"SELECT {columns} FROM ({first})"
    return f"SELECT {columns} FROM ({first}) LEFT JOIN (SELECT DISTINCT {wanted} FROM ({dimension})) USING ({key})"
