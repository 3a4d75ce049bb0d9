"""A range of many small days: what Dagster and the product cost per day and asset, beside the bare functions.

    python benchmarks/range_run.py --days 365 --per-day 300

The same days are computed three times in one process: by the jobs, in process, as `idm ingest` does; by the
functions behind the assets, without Dagster but with every write through the lake; and by the same functions with
every query just copied to a Parquet file. Importing the definitions is timed in processes of its own.

Belongs here: these times. Does not belong here: many messages (`pipeline`).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import duckdb
import messages
import product
from pydantic import PrivateAttr

from idm_assets.aggregated import assets as aggregated
from idm_assets.cleaned import assets as cleaned
from idm_assets.contextualized import assets as contextualized
from idm_assets.contracts import Partition, Table
from idm_assets.range_run import ComputeDay, Run, plant_facts
from idm_assets.sql import identifier
from resources.engine import Engine
from resources.lake import Lake, StagedFile, Written
from resources.ledger import Ledger, PartitionRecord
from resources.settings import Settings

EVENT_DAY_FUNCTIONS: Final[Sequence[ComputeDay]] = (
    cleaned.clean_day,
    cleaned.last_values_of_day,
    contextualized.measure_day,
    contextualized.states_of_day,
    aggregated.minutes_of_day,
    aggregated.hours_of_day,
    aggregated.days_of_day,
    aggregated.state_durations_of_day,
)
"""One per asset step, in an order that makes every input before it is read."""

LIMIT_MS: Final = 60.0
IMPORT_LIMIT_S: Final = 2.0


class CopyingLake(Lake):
    """Writes every query to a Parquet file and remembers where: no contract, hash, flush or transaction."""

    _written: dict[tuple[str, Partition], Path] = PrivateAttr(default_factory=dict[tuple[str, Partition], Path])

    def stage(
        self, con: duckdb.DuckDBPyConnection, table: Table, query: str, partition: Partition | None = None
    ) -> StagedFile:
        """Copy a query's rows to a file, in contract types and order."""
        assert partition is not None, "only event days are computed here"
        folder = self.table_path(table)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4().hex}.parquet"
        order = f" ORDER BY {', '.join(map(identifier, table.sort))}" if table.sort else ""
        con.execute(
            f"COPY (SELECT {table.select_list()} FROM ({query}){order}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)"
        ).fetchall()
        self._written[table.qualified_name, partition] = path
        return StagedFile(path, 0, "")

    def replace(
        self,
        table: Table,
        staged: StagedFile,
        run_id: str,
        partition: Partition | None = None,
        current_hash: str | None = None,
    ) -> Written:
        """Nothing is left to do."""
        del table, run_id, partition, current_hash
        return Written(staged.rows, staged.content_hash, changed=True, version=0)

    def relation(self, table: Table, partitions: Sequence[Partition] | None = None) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """SQL query over files written here, or over the lake for what was not."""
        files = [self._written.get((table.qualified_name, p)) for p in partitions or ()]
        if not files or None in files:
            return super().relation(table, partitions)
        names = ", ".join(f"'{file}'" for file in files)
        return f"SELECT * FROM read_parquet([{names}], hive_partitioning = false)"


def main() -> None:
    """Land small days, compute them three ways, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--per-day", type=int, default=300, help="messages per day; default %(default)s")
    parser.add_argument("--format", choices=messages.FORMATS, default="shdr")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    o = parser.parse_args()
    shape = messages.Shape(o.format, o.days * o.per_day, sources=2, signals=5, days=o.days, bad=0.0)
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=o.folder) as folder:
        result = _measure(shape, Path(folder))
    result |= {"days": o.days, "messages": shape.made, "import_s": _import_seconds()}
    _report(result)
    if o.json is not None:
        o.json.write_text(json.dumps(result, indent=1))


def _measure(shape: messages.Shape, folder: Path) -> dict[str, float]:
    home = folder / "home"
    messages.land(shape, home / "landing")
    messages.configure(shape, folder / "config")
    settings = product.settings_of(home, folder / "config", 2, "1GB")
    with product.dagster_instance(home) as instance:
        run = product.bring_up_to_date(settings, instance)
        started = time.perf_counter()
        product.bring_up_to_date(settings, instance)
        idle = time.perf_counter() - started
    cpu = run.phases_cpu["compute_event_days"]
    steps = {name: s for name, s in run.steps.items() if name.startswith("compute_event_days/")}
    checks = sum(s for name, s in steps.items() if "check_" in name or "continuity" in name)
    found = {
        "jobs_s": run.phases["compute_event_days"],
        "jobs_cpu_s": cpu,
        "asset_steps_s": sum(steps.values()) - checks,
        "check_steps_s": checks,
        "filing_s": run.phases["file_captures"],
        "publication_s": run.phases["publish_catalog"],
        "nothing_to_do_s": idle,
        "partitions": run.partitions,
    }
    for name, kind in (("functions_s", Lake), ("queries_s", CopyingLake)):
        started, started_cpu = time.perf_counter(), time.process_time()
        _compute_bare(settings, folder / name, kind)
        found[name] = time.perf_counter() - started
        found[name.replace("_s", "_cpu_s")] = time.process_time() - started_cpu
    found["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def _compute_bare(settings: Settings, home: Path, kind: type[Lake]) -> None:
    """Compute all event days from the captures that were filed, without Dagster, in a home of its own."""
    for layer in ("capture", "referential"):
        shutil.copytree(settings.lake_path / layer, home / "lake" / layer)
    own = settings.model_copy(update={"home": str(home)})
    lake = kind(settings=own)
    ledger = Ledger(settings=settings)
    plant = "plant01"
    with Engine(settings=own).connect() as con:
        facts = plant_facts(ledger, own, plant)
        facts.records.clear()
        days = facts.wanted_days()
        for compute in EVENT_DAY_FUNCTIONS:
            for day in days:
                partition = Partition(plant, day)
                for outcome in compute(Run(con, lake, facts, own, "bare"), partition):
                    name, written = outcome.table.qualified_name, outcome.written
                    facts.records[name, day] = PartitionRecord(
                        name, partition, "", written.content_hash, written.rows, "bare"
                    )
    ledger.close()


def _import_seconds() -> float:
    """Median of five times of importing the definitions, each in a fresh Python."""
    code = (
        "import time, warnings; warnings.simplefilter('ignore'); t = time.perf_counter();"
        " import idm_assets.definitions; print(time.perf_counter() - t)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(5)]
    return median(float(run.stdout.splitlines()[-1]) for run in runs)


def _report(result: dict[str, float]) -> None:
    cells = result["partitions"] * len(EVENT_DAY_FUNCTIONS)

    def line(name: str, seconds: float, cpu_seconds: float | None = None) -> None:
        cpu = "" if cpu_seconds is None else f", {cpu_seconds / cells * 1000:.1f} ms of CPU"
        print(f"  {name:58}{seconds:8.1f} s{seconds / cells * 1000:8.1f} ms per day and asset{cpu}")

    print(
        f"{result['partitions']:.0f} event days x {len(EVENT_DAY_FUNCTIONS)} assets, {result['messages']:,.0f} messages"
    )
    line("jobs in Dagster, with checks and staleness", result["jobs_s"], result["jobs_cpu_s"])
    line("  of which asset steps", result["asset_steps_s"])
    line("  of which check steps", result["check_steps_s"])
    line("the same functions without Dagster, written to the lake", result["functions_s"], result["functions_cpu_s"])
    line("the same queries, copied to Parquet and nothing else", result["queries_s"], result["queries_cpu_s"])
    per_cell = result["jobs_s"] / cells * 1000
    print(f"  target {LIMIT_MS:.0f} ms per day and asset: {'met' if per_cell < LIMIT_MS else 'NOT met'}")
    print(f"  filing {result['filing_s']:.1f} s, publication {result['publication_s']:.1f} s, ", end="")
    print(f"a call that finds nothing to do {result['nothing_to_do_s']:.1f} s, peak {result['rss_mib']:,.0f} MiB")
    imported = result["import_s"]
    print(f"  importing the definitions: {imported:.2f} s (median of 5), target {IMPORT_LIMIT_S:.0f} s: ", end="")
    print("met" if imported < IMPORT_LIMIT_S else "NOT met")


if __name__ == "__main__":
    main()
