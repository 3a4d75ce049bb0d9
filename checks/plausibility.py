"""Plausibility: what the data models expect of values, and what came.

The cleaned layer marks each value that breaks its model (out of range, none of the allowed values, another type);
here these marks are counted by model and attribute, so that the owner of a model sees what to look at.

Belongs here: this count. Does not belong here: marking values.
"""

from __future__ import annotations

from typing import Final

import duckdb

from checks.finding import Finding
from idm_assets.status import BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH, SYMBOL_MASK

SHOWN_ROWS: Final = 40


def check_plausibility(con: duckdb.DuckDBPyConnection, measurements: str, signals: str) -> Finding:
    """Count implausible values by model and attribute.

    Args:
        con: connection.
        measurements: query over partitions of `contextualized.measurements`.
        signals: query over `referential.signals` in force.
    """
    code = f"(m.status & {SYMBOL_MASK})"
    rows = con.sql(
        f"SELECT s.model, s.attribute, count(*), count(*) FILTER ({code} = {BAD_OUT_OF_RANGE}),"
        f" count(*) FILTER ({code} = {BAD_TYPE_MISMATCH}) FROM ({measurements}) m JOIN ("
        f"SELECT DISTINCT signal_id, point_id, model, attribute FROM ({signals})) s"
        " ON s.signal_id = m.signal_id AND s.point_id = m.point_id GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    off = [row for row in rows if row[3] or row[4]]
    out_of_range, mistyped = sum(row[3] for row in off), sum(row[4] for row in off)
    return Finding(
        passed=not off,
        summary=f"{out_of_range + mistyped} of {sum(row[2] for row in rows):,} values are implausible to their models,"
        f" in {len(off)} of {len(rows)} attributes",
        numbers={
            "values": sum(row[2] for row in rows),
            "out_of_range": out_of_range,
            "type_mismatch": mistyped,
            "models": len({row[0] for row in rows}),
        },
        header=("model", "attribute", "values", "out of range or not allowed", "of another type"),
        rows=(off or rows)[:SHOWN_ROWS],
    )
