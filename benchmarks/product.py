"""The product as the benchmarks run it: the real assets and jobs, in process, below a home of their own.

Belongs here: one run of the driver with its times by phase and step, and figures of what it published. Does not
belong here: messages, comparisons, the range run's bare functions.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import duckdb

warnings.simplefilter("ignore")

import dagster as dg  # noqa: E402 - the filter comes first, beta warnings are raised at import
from handwritten import FIGURES  # noqa: E402

from idm_assets.driver import Driver  # noqa: E402
from resources.settings import Settings  # noqa: E402

PROJECT = Path(__file__).resolve().parent.parent


@dataclass
class ProductRun:
    """One call of the driver.

    Attributes:
        seconds: the whole call.
        cpu_seconds: user and system time of the whole call, over all threads.
        phases: seconds per job, between one announcement and the next.
        phases_cpu: CPU seconds, likewise.
        runs: seconds per job that Dagster's runs took, from first to last step event.
        steps: seconds per step, over all runs.
        partitions: event days asked for.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    phases: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    phases_cpu: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    runs: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    steps: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    partitions: int = 0


def settings_of(home: Path, config: Path, threads: int, memory_limit: str) -> Settings:
    """The product's settings for a benchmark."""
    return Settings(home=str(home), config=str(config), threads=threads, memory_limit=memory_limit)


@contextmanager
def dagster_instance(home: Path) -> Generator[dg.DagsterInstance]:
    """An instance with the project's configuration, below the home."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", folder / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(folder)
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        yield instance


def bring_up_to_date(settings: Settings, instance: dg.DagsterInstance) -> ProductRun:
    """Do what `idm ingest` does, and time it.

    Raises:
        RuntimeError: a run or a blocking check failed, so that the times would mean nothing.
    """
    announced: list[tuple[str, float, float]] = []
    run = ProductRun()

    def announce(job: str, days: int) -> None:
        announced.append((job, time.perf_counter(), time.process_time()))
        run.partitions += days if job == "compute_event_days" else 0

    announced.append(("before the first run", time.perf_counter(), time.process_time()))
    report = Driver(settings, instance, announce).bring_up_to_date()
    announced.append(("", time.perf_counter(), time.process_time()))
    run.seconds = announced[-1][1] - announced[0][1]
    run.cpu_seconds = announced[-1][2] - announced[0][2]
    for (job, start, start_cpu), (_, end, end_cpu) in pairwise(announced):
        run.phases[job] += end - start
        run.phases_cpu[job] += end_cpu - start_cpu
    errors = [f"{name}: {text}" for name, (severity, text) in report.failed_checks.items() if severity == "ERROR"]
    problems = [*report.failures, *errors, *(f"{path}: {why}" for path, why in report.unclaimed.items())]
    if problems:
        raise RuntimeError("the product did not finish cleanly: " + "; ".join(problems))
    for record in instance.get_run_records():
        name = record.dagster_run.job_name
        if record.start_time is not None and record.end_time is not None:
            run.runs[name] += record.end_time - record.start_time
        for step in instance.get_run_step_stats(record.dagster_run.run_id):
            if step.start_time is not None and step.end_time is not None:
                run.steps[f"{name}/{step.step_key}"] += step.end_time - step.start_time
    return run


def published_figures(catalog: Path) -> dict[str, float]:
    """Counts and sums over the published tables, by the names that `handwritten.figures` uses too."""
    con = duckdb.connect(str(catalog), read_only=True)
    try:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        captures = con.sql("SELECT sum(lines), sum(observations), sum(quarantined) FROM capture.captures").fetchall()[0]
        cleaned = con.sql(
            "SELECT count(*), count(*) FILTER (status >> 30 >= 2), sum(value) FROM cleaned.observations"
        ).fetchall()[0]
        found = dict(zip(("lines", "decoded", "rejected"), captures, strict=True))
        found |= dict(zip(("cleaned", "bad", "sum of cleaned values"), cleaned, strict=True))
        for layer, table in (("minutes", "1min"), ("hours", "1h"), ("days", "1d")):
            sums = con.sql(
                f"SELECT count(*), sum(count), sum(average), sum(time_average), sum(good_s), sum(minimum),"
                f" sum(maximum), sum(first), sum(last), sum(held_value) FROM aggregated.measurements_{table}"
            ).fetchall()[0]
            found |= {f"{layer}: {name}": value for name, value in zip(FIGURES, sums, strict=True)}
    finally:
        con.close()
    return {name: float(value) for name, value in found.items()}
