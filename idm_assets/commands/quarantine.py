"""The commands `idm quarantine`: what was kept out, why, and taking back what passes by now.

Belongs here: arguments, tables and sentences for people. Does not belong here: what is rejected, how it is replayed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Annotated, Any, NoReturn

import duckdb
import typer
from rich.console import Console
from rich.table import Table

from idm_assets.capture.intake import capture_id
from idm_assets.capture.reasons import REASONS
from idm_assets.contracts import Partition
from idm_assets.monitoring.quarantine import Wanted, arrival_days, counts, entries, shown
from resources.engine import Engine
from resources.lake import Lake
from resources.ledger import Ledger
from resources.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The quarantine: what was kept out, with its payload and reason, and how it is taken back.",
)
console = Console()

PlantOption = Annotated[str | None, typer.Option(help="Only this plant.")]
FromOption = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
ToOption = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only this reason code.")]
SourceOption = Annotated[str | None, typer.Option(help="Only this source, or source declaration.")]


@app.command("list")
def list_(
    plant: PlantOption = None,
    first: FromOption = None,
    last: ToOption = None,
    reason: ReasonOption = None,
    source: SourceOption = None,
) -> None:
    """Count what is in quarantine, by day, source and reason."""
    wanted = Wanted(plant, _day(first), _day(last), reason, source)
    with _quarantine() as (con, everything):
        rows = con.sql(
            "SELECT plant, day, stage, source_entry, reason, standing, files, units FROM"
            f" ({counts(f'SELECT * FROM ({everything}) WHERE {wanted.condition()}')})"
            " ORDER BY day DESC, plant, stage, source_entry, reason, standing"
        ).fetchall()
    if not rows:
        console.print("Nothing is in quarantine." if wanted == Wanted() else "Nothing like this is in quarantine.")
        return
    table = Table(show_edge=False, pad_edge=False)
    for name in ("plant", "day", "stage", "source", "reason", "standing", "files", "units"):
        table.add_column(name, justify="right" if name in ("files", "units") else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table, markup=False)
    for code in sorted({row[4] for row in rows}):
        console.print(f"  {code}: {REASONS.get(code, '')}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{sum(row[6] for row in rows):,} files and {sum(row[7] for row in rows):,} units of others."
        " idm quarantine show prints them, idm quarantine replay takes back what passes by now.",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def show(  # noqa: PLR0913, PLR0917 - each is an option of its own
    capture: Annotated[str | None, typer.Argument(help="Capture id, 16 hexadecimal digits.")] = None,
    line: Annotated[int | None, typer.Option(help="Only this line, or other unit, of the capture.", min=1)] = None,
    plant: PlantOption = None,
    first: FromOption = None,
    last: ToOption = None,
    reason: ReasonOption = None,
    source: SourceOption = None,
    limit: Annotated[int, typer.Option(help="Entries to print at the most.", min=1)] = 20,
) -> None:
    """Print what is in quarantine, each with its payload, place and reason."""
    key = _key_of(capture)
    wanted = Wanted(plant, _day(first), _day(last), reason, source, key, line)
    with _quarantine() as (con, everything):
        columns, rows = shown(con, everything, wanted, limit + 1)
    if not rows:
        console.print("Nothing like this is in quarantine.")
    for row in rows[:limit]:
        _print_entry(dict(zip(columns, row, strict=True)))
    if len(rows) > limit:
        console.print(f"first {limit} entries; --limit shows more")


@app.command()
def replay(
    plant: PlantOption = None,
    first: FromOption = None,
    last: ToOption = None,
    reason: ReasonOption = None,
    source: SourceOption = None,
) -> None:
    """Decode again, by the rules of now, the arrival days of what is asked for, and bring all tables up to date.

    Files that the landing zone no longer has come from the archive.
    """
    from idm_assets.driver import Driver  # noqa: PLC0415 - dagster takes seconds to import
    from idm_assets.instance import instance_of  # noqa: PLC0415

    wanted = Wanted(plant, _day(first), _day(last), reason, source)
    settings = Settings()
    with _quarantine() as (con, everything):
        before = _open_by_reason(con, everything)
        days = arrival_days(con, everything, wanted)
    if not days:
        console.print("Nothing like this is in quarantine that a replay could take back.")
        return
    with instance_of(settings) as instance:
        driver = Driver(settings, instance, lambda job, steps: console.print(f"{job}: {steps} partitions"))
        report = driver.replay_quarantine(Partition(name, day) for name, day, _ in days)
    with _quarantine() as (con, everything):
        after = _open_by_reason(con, everything)
    _print_difference(before, after)
    for failure in report.failures:
        console.print(f"failed: {failure}", highlight=False, markup=False, soft_wrap=True)
    if report.failures:
        sys.exit(1)


@app.command()
def reasons() -> None:
    """List the reason codes and what they mean."""
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("reason")
    table.add_column("meaning", overflow="fold")
    for code, text in sorted(REASONS.items()):
        table.add_row(code, text)
    console.print(table, markup=False)


@contextmanager
def _quarantine() -> Generator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection, and the query for everything in quarantine."""
    settings = Settings()
    ledger = Ledger(settings=settings)
    try:
        with Engine(settings=settings).connect() as con:
            yield con, entries(con, Lake(settings=settings), ledger)
    finally:
        ledger.close()


def _open_by_reason(con: duckdb.DuckDBPyConnection, everything: str) -> dict[str, int]:
    rows = con.sql(f"SELECT reason, count(*) FROM ({everything}) WHERE standing = 'open' GROUP BY ALL").fetchall()
    return dict(rows)


def _print_difference(before: dict[str, int], after: dict[str, int]) -> None:
    table = Table(show_edge=False, pad_edge=False)
    for name in ("reason", "before", "now", "taken back"):
        table.add_column(name, justify="left" if name == "reason" else "right")
    for code in sorted({*before, *after}):
        was, now = before.get(code, 0), after.get(code, 0)
        table.add_row(code, f"{was:,}", f"{now:,}", f"{was - now:,}" if now <= was else f"{now - was:,} more")
    console.print(table, markup=False)


def _print_entry(entry: dict[str, Any]) -> None:
    place = "whole file" if entry["line"] is None else f"line {entry['line']}"
    superseded = "" if entry["standing"] == "open" else ", superseded by a corrected file"
    console.print(
        f"{entry['plant']}/{entry['path']}, {place}: {entry['reason']} ({entry['stage']}){superseded}",
        highlight=False, markup=False, soft_wrap=True, style="bold",
    )  # fmt: skip
    console.print(
        f"  {entry['detail'] or REASONS.get(entry['reason'], '')}", highlight=False, markup=False, soft_wrap=True
    )
    console.print(
        f"  {entry['day']}, capture {capture_id(entry['capture_key'])}, declared as {entry['source_entry']}, rule"
        f" {entry['rule']} {entry['rule_version'] or ''}",
        highlight=False, markup=False, soft_wrap=True, style="dim",
    )  # fmt: skip
    if entry["payload"] is not None:
        # As JSON, so that no control character of the payload reaches the terminal.
        console.print(f"  {json.dumps(entry['payload'])}", highlight=False, markup=False, soft_wrap=True)
    if entry["payload_cut"] or entry["payload"] is None:
        console.print(f"  the archive has the whole file as {entry['content_hash']}", highlight=False, soft_wrap=True)


def _key_of(capture: str | None) -> int | None:
    if capture is None:
        return None
    try:
        return int(capture, 16)
    except ValueError:
        _stop(f"{capture!r} is no capture id: 16 hexadecimal digits, as idm quarantine show prints them")


def _day(when: datetime | None) -> date | None:
    return None if when is None else when.date()


def _stop(message: str) -> NoReturn:
    console.print(message, markup=False, highlight=False)
    raise typer.Exit(2)
