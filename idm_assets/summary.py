"""What a person wants to know after a run: files, lines, what became of each, tables, failed checks.

Every figure is asked of the published catalog, not remembered from the run.
"""

from __future__ import annotations

from typing import Final

import duckdb
from rich.console import Console
from rich.table import Table as RichTable

from idm_assets.driver import Report
from resources.settings import Settings

_VIEWS: Final = "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal ORDER BY view_oid"


def summarize(console: Console, settings: Settings, report: Report) -> None:
    """Print the summary of a run, and the next two commands."""
    if not report.jobs:
        console.print("\nNothing new: every capture is filed, every table is made of its present inputs.")
    con = duckdb.connect(str(settings.catalog_path), read_only=True) if settings.catalog_path.exists() else None
    if con is not None:
        try:
            _lines(console, con)
            _tables(console, con)
        finally:
            con.close()
    _unclaimed(console, report)
    _checks(console, report)
    for failure in report.failures:
        console.print(f"[red]failed:[/red] {failure}", highlight=False)
    console.print(
        "\nNext:\n  make ui                                            the Dagster UI, with this history"
        '\n  .venv/bin/idm sql "FROM aggregated.state_durations_1d"   ask the catalog',
        soft_wrap=True,
        highlight=False,
    )


def _lines(console: Console, con: duckdb.DuckDBPyConnection) -> None:
    files, empty, refused, lines, decoded, quarantined, skipped, observations = con.sql(
        "SELECT count(*), count(*) FILTER (size_bytes = 0 OR lines = 0 AND standing = 'decoded'),"
        " count(*) FILTER (standing = 'rejected'),"
        " coalesce(sum(lines), 0), coalesce(sum(decoded_lines), 0), coalesce(sum(quarantined), 0),"
        " coalesce(sum(skipped), 0), coalesce(sum(observations) FILTER (effective), 0) FROM capture.captures"
    ).fetchall()[0]
    cleaned = _one(con, "SELECT count(*) FROM cleaned.observations")
    conflicts = _one(con, "SELECT count(*) FROM cleaned.quarantine")
    bad = _one(con, "SELECT count(*) FROM cleaned.observations WHERE status >> 30 >= 2")
    bound = _one(con, "SELECT count(*) FROM contextualized.measurements")
    unmapped = _one(con, "SELECT coalesce(sum(observations), 0) FROM contextualized.unmapped")
    table = RichTable(title="What became of every line", title_justify="left", show_header=False, show_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    records, reports, cleaned_records, rejected = con.sql(
        "SELECT (SELECT count(*) FROM capture.records), (SELECT coalesce(sum(reports), 0) FROM cleaned.records),"
        " (SELECT count(*) FROM cleaned.records), (SELECT coalesce(sum(reports), 0) FROM cleaned.record_quarantine)"
    ).fetchall()[0]
    of_records = (
        ("records", records, "= cleaned + repeated + quarantined"),
        ("  cleaned", cleaned_records, "rows of the tables of their models"),
        ("  repeated", reports - cleaned_records, "the same record again"),
        ("  quarantined", rejected, "conflicts, and what does not fit: cleaned.record_quarantine"),
    )
    for name, number, meaning in (
        ("files", files, f"{empty} empty, {refused} rejected as a whole"),
        ("lines read", lines, "= decoded + quarantined + skipped"),
        ("  decoded", decoded, f"made {observations:,} observations that count"),
        ("  quarantined", quarantined, "kept with payload and reason: capture.quarantine"),
        ("  skipped", skipped, _reasons(con)),
        ("observations", observations, "= cleaned + duplicates + conflicts"),
        ("  cleaned", cleaned, f"{bad:,} of them Bad (no data, out of range), kept with their status"),
        ("  duplicates", observations - cleaned - conflicts, "the same value again: stale repeats"),
        ("  conflicts", conflicts, "another value for the same instant: cleaned.quarantine"),
        ("cleaned", cleaned, "= measurements + unmapped"),
        ("  measurements", bound, "speak of avatars and attributes"),
        ("  unmapped", unmapped, "tags in no model: contextualized.unmapped"),
        *(of_records if records else ()),
    ):
        table.add_row(name, f"{number:,}", meaning)
    console.print()
    console.print(table)


def _reasons(con: duckdb.DuckDBPyConnection) -> str:
    """Why lines were skipped, the most frequent reason first."""
    found = con.sql(
        "SELECT r.key, sum(r.value)::BIGINT AS lines FROM (SELECT unnest(map_entries("
        "skipped_reasons::JSON::MAP(VARCHAR, BIGINT))) AS r FROM capture.captures)"
        " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 4"
    ).fetchall()
    return ", ".join(f"{lines:,} {reason}" for reason, lines in found) or "nothing"


def _tables(console: Console, con: duckdb.DuckDBPyConnection) -> None:
    table = RichTable(title="Tables", title_justify="left", show_edge=False)
    table.add_column("table")
    table.add_column("rows", justify="right")
    for (name,) in con.sql(_VIEWS).fetchall():
        table.add_row(name, f"{_one(con, f'SELECT count(*) FROM {name}'):,}")
    console.print()
    console.print(table)


def _unclaimed(console: Console, report: Report) -> None:
    if report.unclaimed:
        console.print(f"\n{len(report.unclaimed)} landed files belong to no source and were left alone:")
        for path, reason in list(report.unclaimed.items())[:10]:
            console.print(f"  {path}: {reason}", highlight=False, markup=False)


def _checks(console: Console, report: Report) -> None:
    if not report.jobs:
        console.print("\nChecks: not run again, since nothing changed; their last results are in the UI.")
        return
    if not report.failed_checks:
        console.print("\nChecks: none failed.")
        return
    console.print("\nFailed checks:")
    for name, (severity, sentence) in sorted(report.failed_checks.items()):
        console.print(f"  {severity} {name}: {sentence}", highlight=False, markup=False)


def _one(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return con.sql(query).fetchall()[0][0]
