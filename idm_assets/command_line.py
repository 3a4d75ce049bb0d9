"""The command `idm`: the same jobs as in the UI, run in this process, with a word to people.

Belongs here: arguments, progress, summaries, messages. Does not belong here: anything that a job does.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import duckdb
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table as RichTable

from idm_assets.commands import models as model_commands
from resources.settings import Settings

PROJECT: Final = Path(__file__).resolve().parent.parent
STEPS_PER_DAY: Final = 8

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="IDM: raw captures of plants become clean, contextualized, aggregated tables.",
)
console = Console()


def main() -> None:
    """Entry point of the command."""
    from idm_assets.configuration import ConfigurationError

    logging.getLogger("alembic").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="dagster")
    try:
        app()
    except ConfigurationError as error:
        console.print("[red]The configuration cannot be used:[/red]")
        for problem in error.problems:
            # Wrapped, a place could not be copied or clicked on.
            console.print(f"  {problem}", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


@app.command()
def demo() -> None:
    """Land the example captures, bring every table up to date and say what became of every line."""
    settings = Settings()
    landed = land_examples(PROJECT / "examples" / "landing", settings.landing_path)
    console.print(f"Landing zone {settings.landing_path}: {landed} example files landed.")
    _bring_up_to_date(settings)


@app.command()
def ingest() -> None:
    """File what arrived in the landing zone, compute what is stale, publish."""
    _bring_up_to_date(Settings())


@app.command()
def status() -> None:
    """Show what waits, what is stale and why, and what failed."""
    from idm_assets.instance import instance_of
    from idm_assets.lineage import contiguous, record_derivations
    from idm_assets.partitions import PLANTS
    from idm_assets.range_run import facts_with_records
    from idm_assets.referential.model_contract import read_record_models
    from resources.ledger import Ledger

    settings = Settings()
    ledger = Ledger(settings=settings)
    models = read_record_models(settings.config_path)
    for problem in models.problems:
        console.print(f"record models: {problem}", highlight=False, markup=False)
    with instance_of(settings) as instance:
        plants = sorted(instance.get_dynamic_partitions(str(PLANTS.name)))
    if not plants:
        console.print("No plant is known yet. Put files into landing/<plant>/ and run: idm ingest")
    for plant in plants:
        facts = facts_with_records(ledger, settings, plant, record_derivations(models))
        stale = facts.stale()
        console.print(f"[bold]{plant}[/bold]: {len(stale)} event days are stale")
        for first, last in contiguous(stale):
            tables = sorted({name for day, names in stale.items() if first <= day <= last for name in names})
            shown = "all tables" if len(tables) == len(facts.derivations()) else ", ".join(tables)
            console.print(f"  {first} to {last}: {shown}", highlight=False, soft_wrap=True)
        for (table, partition), failed in sorted(ledger.failures(plant).items(), key=str)[:20]:
            console.print(f"  failed: {table} {partition}: {failed.message}", highlight=False, markup=False)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="SQL over the catalog; without it, the views are listed.")] = "",
    rows: Annotated[int, typer.Option(help="Rows to print at the most.")] = 40,
) -> None:
    """Ask the published catalog."""
    path = Settings().catalog_path
    if not path.exists():
        _stop(f"{path} does not exist yet. Run: idm demo   (or: idm ingest)")
    con = duckdb.connect(str(path), read_only=True)
    try:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        relation = con.sql(query or _LIST_VIEWS)
        _print_rows(relation.columns, relation.limit(rows + 1).fetchall(), rows)
    except duckdb.Error as error:
        _stop(str(error))
    finally:
        con.close()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def referential(context: typer.Context) -> None:
    """What exists and what tags mean: plan, apply, log, diff, show, rules, suggest, import, export."""
    from idm_assets.commands import referential as commands

    commands.app(context.args, prog_name="idm referential")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def source(context: typer.Context) -> None:
    """How files are read: propose a declaration for a file, try one on a file, list the formats."""
    from idm_assets.commands import source as commands

    commands.app(context.args, prog_name="idm source")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def quarantine(context: typer.Context) -> None:
    """What was kept out and why: list, show, replay, reasons."""
    from idm_assets.commands import quarantine as commands

    commands.app(context.args, prog_name="idm quarantine")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def archive(context: typer.Context) -> None:
    """Every delivered file as it came: verify, list, prune."""
    from idm_assets.commands import archive as commands

    commands.app(context.args, prog_name="idm archive")


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 3000,
) -> None:
    """Start the Dagster UI with webserver and daemon."""
    from idm_assets.instance import prepare_dagster_home

    settings = Settings()
    home = prepare_dagster_home(settings)
    environment = os.environ | {
        "DAGSTER_HOME": str(home),
        "IDM_HOME": str(settings.home_path),
        "IDM_CONFIG": str(settings.config_path),
    }
    dagster = Path(sys.executable).with_name("dagster")
    arguments = ["dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-h", host, "-p", str(port)]
    console.print(f"Dagster UI on http://{host}:{port}, history in {home}. Ctrl-C stops it.")
    sys.stdout.flush()
    os.chdir(PROJECT)
    os.execve(dagster, arguments, environment)  # noqa: S606 - the program is of this environment


app.add_typer(model_commands.app, name="model")
app.command("schemas")(model_commands.schemas)

_LIST_VIEWS: Final = (
    "SELECT schema_name || '.' || view_name AS view, comment AS description FROM duckdb_views()"
    " WHERE NOT internal ORDER BY 1"
)


def land_examples(examples: Path, landing: Path) -> int:
    """Copy the example captures into the landing zone, each put in place by rename; returns how many were new."""
    landed = 0
    for source in sorted(examples.rglob("*.gz")):
        target = landing / source.relative_to(examples)
        if target.exists() and target.stat().st_size == source.stat().st_size:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        shutil.copy2(source, part)
        part.replace(target)
        landed += 1
    return landed


def _bring_up_to_date(settings: Settings) -> None:
    from idm_assets.driver import Driver
    from idm_assets.instance import instance_of
    from idm_assets.summary import summarize

    with instance_of(settings) as instance, _progress() as announce:
        report = Driver(settings, instance, announce).bring_up_to_date()
    summarize(console, settings, report)
    if report.failures:
        sys.exit(1)


@contextmanager
def _progress() -> Generator[Any]:
    """Show a bar per run; partitions that finish move it."""
    from idm_assets.run_requests import PROGRESS

    with Progress(
        SpinnerColumn(), TextColumn("{task.description:<52}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console,
    ) as bars:  # fmt: skip
        handler = _BarHandler(bars)
        PROGRESS.addHandler(handler)
        PROGRESS.setLevel(logging.INFO)
        PROGRESS.propagate = False
        try:
            yield handler.announce
            handler.complete()
        finally:
            PROGRESS.removeHandler(handler)


class _BarHandler(logging.Handler):
    """Turns progress records into the movement of bars."""

    _LABELS: Final = {
        "refresh_referential": "Putting the referential in force",
        "file_captures": "Decoding captures",
        "compute_event_days": "Computing event days",
        "publish_catalog": "Publishing the catalog",
        "replay_quarantine": "Decoding again what is in quarantine",
    }

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars = bars
        self._task: TaskID | None = None
        self._steps = 0

    def announce(self, job: str, days: int) -> None:
        """Start the bar of a run."""
        self.complete()
        steps = days * STEPS_PER_DAY if job == "compute_event_days" else days
        self._task, self._steps = self._bars.add_task(self._LABELS[job], total=steps), steps

    def complete(self) -> None:
        """Fill the bar of the run that ended."""
        if self._task is not None:
            self._bars.update(self._task, completed=self._steps)

    def emit(self, record: logging.LogRecord) -> None:
        if self._task is not None:
            self._bars.advance(self._task)
            self._bars.update(self._task, description=record.getMessage()[:52])


def _print_rows(columns: list[str], rows: list[tuple[Any, ...]], limit: int) -> None:
    table = RichTable(show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows[:limit]:
        table.add_row(*("" if value is None else _shown(value) for value in row))
    console.print(table, markup=False)
    if len(rows) > limit:
        console.print(f"first {limit} rows; --rows shows more")


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.9g}"
    return str(value).replace("+00:00", "Z")


def _stop(message: str) -> None:
    console.print(message, markup=False, highlight=False)
    raise typer.Exit(2)
