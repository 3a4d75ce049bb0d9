"""The published catalog: one DuckDB file with a view per table over exactly the live files.

It is built aside and put in place by rename, so that analysts are never locked out and never see half a
partition. Integer keys become names here: each view joins the small dimensions that the file holds as tables.

Belongs here: views, dimensions, comments, the swap. Does not belong here: computing a table.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from idm_assets.aggregated import tables as aggregated
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contracts import Table, comment_of
from idm_assets.lineage import record_derivations
from idm_assets.monitoring import tables as monitoring
from idm_assets.referential import tables as referential
from idm_assets.referential.history import in_force
from idm_assets.referential.model_contract import RecordModels
from idm_assets.sql import identifier, literal
from idm_assets.status import SYMBOL_MASK, symbols
from resources.lake import Lake

STORAGE_VERSION: Final = "v1.2.0"
"""Storage format of the file: DuckDB 1.2 and everything newer opens it."""

_ID = "format('{:016x}', t.capture_key) AS capture_id"
_STATUS = "t.status::UINTEGER AS status, coalesce(c.symbol, format('0x{:08X}', t.status)) AS status_symbol"
_CODES = f"LEFT JOIN referential.status_codes c ON c.code = (t.status & {SYMBOL_MASK})"
_TAGS = "LEFT JOIN capture.tags g ON g.signal_id = t.signal_id"
_POINTS = "LEFT JOIN referential.points p ON p.point_id = t.point_id"
_POINT = "p.equipment_path, p.avatar, p.attribute"


@dataclass(frozen=True, slots=True)
class View:
    """One published view.

    Attributes:
        table: the table behind it; the view takes its name, and its comments where columns keep their names.
        columns: SQL select list over the table ``t`` and the joined dimensions.
        joins: SQL joins.
        condition: SQL condition on ``t``.
    """

    table: Table
    columns: str = "t.*"
    joins: str = ""
    condition: str = "true"


_EFFECTIVE = "t.capture_key IN (SELECT capture_key FROM capture.effective)"
_HISTORY: Final = (referential.ROW_ID.name, referential.RECORDED_BY.name)
_FIGURES = (
    f"t.plant, t.day, t.window_start, {_POINT}, p.unit, t.count, t.average, t.time_average, t.minimum, t.maximum,"
    " t.first, t.last, t.percent_good, t.good_s, t.opening_value, t.held_value"
)

VIEWS: Final = (
    # First, since others join it. A view and no table: a fleet has millions of points, few of which a query needs.
    View(referential.POINTS),
    View(
        capture.OBSERVATIONS,
        f"t.plant, t.arrived_on, {_ID}, t.line, t.part, g.source, g.tag, t.ts, t.value, t.text, {_STATUS}, t.detail",
        f"{_TAGS} {_CODES}",
        _EFFECTIVE,
    ),
    View(
        capture.RECORDS,
        f"t.plant, t.arrived_on, {_ID}, t.line, t.model, t.ts, t.payload, t.reading",
        condition=_EFFECTIVE,
    ),
    View(
        capture.QUARANTINE,
        f"t.plant, t.arrived_on, {_ID}, t.path, t.line, t.payload, t.reason, t.detail, t.source, t.stage, t.rule,"
        " t.rule_version, t.source_entry, t.payload_cut, t.content_hash",
    ),
    View(
        capture.CAPTURES,
        f"t.plant, t.source, t.path, {_ID}, t.arrived_at, t.lines, t.observations, t.quarantined, t.skipped,"
        " t.first_ts, t.last_ts, t.arrived_on, t.standing, e.capture_key IS NOT NULL AS effective, t.source_entry,"
        " t.decoded_lines, t.records, t.skipped_reasons, t.empty_cells, t.remarks, t.unit, t.size_bytes,"
        " t.content_hash, t.decoder",
        "LEFT JOIN capture.effective e ON e.capture_key = t.capture_key",
    ),
    View(
        cleaned.OBSERVATIONS,
        f"t.plant, t.day, g.source, g.tag, t.ts, t.value, t.text, {_STATUS}, {_ID}, t.line, t.detail",
        f"{_TAGS} {_CODES}",
    ),
    View(
        cleaned.QUARANTINE,
        f"t.plant, t.day, {_ID}, t.line, g.source, g.tag, t.ts, t.payload, t.reason, t.detail",
        _TAGS,
    ),
    View(
        cleaned.RECORDS,
        f"t.plant, t.day, t.model, t.record_table, t.record_key, t.ts, t.attributes, t.other_fields, t.unknown_fields,"
        f" t.flags, t.reports, {_ID}, t.line",
    ),
    View(
        cleaned.RECORD_QUARANTINE,
        f"t.plant, t.day, {_ID}, t.line, t.model, t.ts, t.payload, t.reason, t.detail, t.reports",
    ),
    View(
        cleaned.LAST_VALUES,
        f"t.plant, t.day, g.source, g.tag, t.ts, t.value, t.text, {_STATUS}",
        f"{_TAGS} {_CODES}",
    ),
    View(
        contextualized.MEASUREMENTS,
        f"t.plant, t.day, t.ts, {_POINT}, t.value, t.text, p.unit, {_STATUS}, g.source, g.tag",
        f"{_POINTS} {_TAGS} {_CODES}",
    ),
    View(
        contextualized.UNMAPPED,
        "t.plant, t.day, g.source, g.tag, t.observations, t.first_ts, t.last_ts",
        _TAGS,
    ),
    View(
        contextualized.STATES,
        f"t.plant, t.day, {_POINT}, t.state, t.started_at, t.ended_at, t.duration_s, {_STATUS}, t.carried_in,"
        " t.carried_out",
        f"{_POINTS} {_CODES}",
    ),
    *(View(table, _FIGURES, _POINTS) for table in (aggregated.MINUTES, aggregated.HOURS, aggregated.DAYS)),
    View(
        aggregated.STATE_DURATIONS,
        f"t.plant, t.day, {_POINT}, t.state, t.duration_s, t.percent, t.occurrences",
        _POINTS,
    ),
    *(View(table, f"t.* EXCLUDE ({', '.join(_HISTORY)})") for table in referential.HISTORISED),
    View(referential.VERSIONS, "t.* EXCLUDE (change_id, inputs)"),
    View(monitoring.QUARANTINE_COUNTS),
)

_EXTRA_COMMENTS: Final[dict[str, str]] = {
    "capture_id": "Identity of the capture: content hash and what the path says.",
    "source": "Source that delivered the tag.",
    "tag": "Name of the tag, as delivered.",
    "equipment_path": "Equipment element, by ISA-95 levels.",
    "avatar": "Avatar: the digital twin of one physical thing.",
    "attribute": "Attribute of the avatar's data model.",
    "unit": "Canonical unit of the attribute.",
    "status": "OPC UA StatusCode (32 bits); severity = status >> 30: 0 Good, 1 Uncertain, 2 Bad.",
    "status_symbol": "Published symbol of the status code.",
    "effective": "Whether the rows count: false once a corrected file took the place of this one.",
}


def views_of(models: RecordModels) -> tuple[View, ...]:
    """All views: those of `VIEWS`, and one per record model."""
    tables = [derivation.table for derivation in record_derivations(models)]
    return (*VIEWS, *(_record_view(table) for table in tables if table not in cleaned.RECORD_TABLES))


def _record_view(table: Table) -> View:
    """View of a record model's table: all its columns, with the identity of the capture instead of its key."""
    names = [_ID if column.name == "capture_key" else f"t.{identifier(column.name)}" for column in table.columns]
    return View(table, ", ".join(names))


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: the file, and rows per view."""

    path: Path
    rows: dict[str, int]


def publish(lake: Lake, effective: Iterable[int], target: Path, views: Sequence[View] = VIEWS) -> Published:
    """Build the catalog from the live files and put it in place.

    Args:
        lake: the tables.
        effective: keys of the captures whose rows count.
        target: path of the catalog.
        views: what to publish.

    Raises:
        duckdb.Error: a live file cannot be read; the catalog in place stays as it is.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        rows = _build(lake, sorted(set(effective)), aside, views)
        _flush(aside)
        aside.replace(target)
        _flush(target.parent)
    finally:
        for leftover in (aside, aside.with_name(aside.name + ".wal")):
            with suppress(FileNotFoundError):
                leftover.unlink()
    return Published(target, rows)


def _build(lake: Lake, effective: Sequence[int], path: Path, views: Sequence[View]) -> dict[str, int]:
    con = duckdb.connect(":memory:")
    try:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        con.execute(f"ATTACH {literal(str(path))} AS catalog (STORAGE_VERSION {literal(STORAGE_VERSION)})").fetchall()
        con.execute("USE catalog").fetchall()
        for layer in dict.fromkeys(view.table.layer for view in views):
            con.execute(f"CREATE SCHEMA {identifier(layer)}").fetchall()
        _make_dimensions(con, lake, effective)
        for view in views:
            _make_view(con, lake, view)
        rows = {v.table.qualified_name: _count(con, lake, v) for v in views}
        con.execute("USE memory").fetchall()
        con.execute("DETACH catalog").fetchall()
    finally:
        con.close()
    return rows


def _make_dimensions(con: duckdb.DuckDBPyConnection, lake: Lake, effective: Sequence[int]) -> None:
    """The small tables that views join: names of signals, status symbols, effective captures."""
    con.execute(
        f"CREATE TABLE capture.tags AS SELECT DISTINCT plant, signal_id, source, tag"
        f" FROM ({lake.relation(capture.TAGS)}) ORDER BY plant, source, tag"
    ).fetchall()
    con.execute("CREATE TABLE referential.status_codes (code BIGINT, symbol VARCHAR, description VARCHAR)").fetchall()
    codes = ", ".join(
        f"({code}, {literal(symbol)}, {literal(text)})" for code, (symbol, text) in sorted(symbols().items())
    )
    con.execute(f"INSERT INTO referential.status_codes VALUES {codes}").fetchall()
    con.execute("CREATE TABLE capture.effective (capture_key BIGINT)").fetchall()
    for start in range(0, len(effective), 10_000):
        values = ", ".join(f"({key})" for key in effective[start : start + 10_000])
        con.execute(f"INSERT INTO capture.effective VALUES {values}").fetchall()
    comments = {
        "capture.tags": "Names behind the signal keys.",
        "capture.effective": "Keys of the captures whose rows count.",
        "referential.status_codes": "OPC UA StatusCodes, as published by the OPC Foundation.",
    }
    for name, comment in comments.items():
        con.execute(f"COMMENT ON TABLE {name} IS {literal(comment)}").fetchall()


def _make_view(con: duckdb.DuckDBPyConnection, lake: Lake, view: View) -> None:
    name = f"{identifier(view.table.layer)}.{identifier(view.table.name)}"
    con.execute(
        f"CREATE VIEW {name} AS SELECT {view.columns} FROM ({_live(lake, view.table)}) t {view.joins}"
        f" WHERE {view.condition}"
    ).fetchall()
    con.execute(f"COMMENT ON VIEW {name} IS {literal(view.table.description)}").fetchall()
    described = {column.name: comment_of(column) for column in view.table.columns} | _extra_comments(view)
    for (column,) in con.sql(f"SELECT column_name FROM (DESCRIBE {name})").fetchall():
        if column in described:
            statement = f"COMMENT ON COLUMN {name}.{identifier(column)} IS {literal(described[column])}"
            con.execute(statement).fetchall()


def _live(lake: Lake, table: Table) -> str:
    """Query for what a table says now."""
    return in_force(lake, table) if table in referential.HISTORISED else lake.relation(table)


def _extra_comments(view: View) -> dict[str, str]:
    """Comments on columns that the table does not have, or that mean more in the view."""
    if view.columns.startswith("t.*"):
        return {}
    # The columns of a record model have the names of its attributes, which mean what the model says.
    return _EXTRA_COMMENTS if view in VIEWS else {"capture_id": _EXTRA_COMMENTS["capture_id"]}


def _count(con: duckdb.DuckDBPyConnection, lake: Lake, view: View) -> int:
    """Rows of a view, counted without its joins: the dimensions are unique, so they add none."""
    return con.sql(f"SELECT count(*) FROM ({_live(lake, view.table)}) t WHERE {view.condition}").fetchall()[0][0]


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
