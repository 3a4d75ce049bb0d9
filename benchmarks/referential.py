"""The referential of a large fleet: loading it, changing a little of it, binding a day's observations by it.

    python benchmarks/referential.py --plants 15 1 --format parquet csv

Every measurement is a process of its own, so that its peak memory is its own. What a measurement did is counted: a
wrong number of rows is an error, and no time is reported.

Belongs here: these times. Does not belong here: fleets and observations (`fleets`), messages (`pipeline`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

import duckdb
import fleets
from fleets import Fleet

warnings.simplefilter("ignore")

from idm_assets.contextualized.measurements import measurements  # noqa: E402 - the filter comes first
from idm_assets.contracts import Partition  # noqa: E402
from idm_assets.referential.assets import configuration_fingerprint  # noqa: E402
from idm_assets.referential.bindings import bindings_query  # noqa: E402
from idm_assets.referential.findings import overview_of  # noqa: E402
from idm_assets.referential.history import Change, Version  # noqa: E402
from idm_assets.referential.refresh import apply, planned  # noqa: E402
from idm_assets.referential.sources import read_sources  # noqa: E402
from idm_assets.sql import literal  # noqa: E402
from resources.engine import Engine  # noqa: E402
from resources.lake import ROW_GROUP, Lake  # noqa: E402
from resources.settings import Settings  # noqa: E402

LOAD_LIMIT_S: Final = 180.0
LOAD_LIMIT_MIB: Final = 3072.0
CHANGE_LIMIT_S: Final = 5.0
BINDING_LIMIT: Final = 1.25
SPREAD: Final = 10
CHANGING: Final = {"plain": 0.0, "as-of": 0.0, "as-of, 10 % change": 0.1}
"""Case to the share of signals whose binding changes at noon."""
Phases = dict[str, tuple[float, float]]
"""Name to seconds by the clock and of CPU."""


def main() -> None:
    """Run all measurements, or one of them as a child."""
    options = _options()
    if options.child:
        _CHILDREN[options.child](options)
        return
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder) as folder:
        options.folder = Path(folder)
        if "load" in options.only or "changes" in options.only:
            for plants, file_format in product(options.plants, options.format):
                results += _measure_fleet(options, plants, file_format)
                shutil.rmtree(options.folder / "fleet")
        if "binding" in options.only:
            results.append(_run_child("binding", options, options.plants[0], options.format[0]))
            _report_binding(results[-1])
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("load", "changes", "binding"), nargs="+",
                        default=("load", "changes", "binding"), help="default: all; changes need a load")  # fmt: skip
    parser.add_argument("--avatars", type=int, default=4_000_000, help="each has three bindings; default %(default)s")
    parser.add_argument("--plants", type=int, nargs="+", default=[15, 1], help="one fleet each; default %(default)s")
    parser.add_argument("--models", type=int, default=60, help="default %(default)s")
    parser.add_argument("--observations", type=int, default=20_000_000, help="default %(default)s")
    parser.add_argument("--signals", type=int, default=5_000, help="that are observed; default %(default)s")
    parser.add_argument("--format", choices=fleets.FORMATS, nargs="+", default=["parquet"], help="of the tables")
    parser.add_argument("--repeat", type=int, default=3, help="changes and rounds of binding; default %(default)s")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-limit", default="1GB", help="of every DuckDB connection; default %(default)s")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    parser.add_argument("--json", type=Path, help="write all results to this file")
    parser.add_argument("--child", choices=_CHILDREN, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_child(name: str, options: argparse.Namespace, plants: int, file_format: str) -> dict[str, Any]:
    """Run one measurement in a process of its own; returns what it found, with peak memory and the machine's load."""
    os.sync()
    before = os.getloadavg()[0]
    arguments = [sys.executable, __file__, "--child", name, "--plants", str(plants), "--format", file_format]
    for option in ("avatars", "models", "observations", "signals", "repeat", "threads", "memory_limit", "folder"):
        arguments += [f"--{option.replace('_', '-')}", str(getattr(options, option))]
    output = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True).stdout
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    named = {"measured": name, "plants": plants, "format": file_format}
    return named | found | {"load": [round(before, 1), round(os.getloadavg()[0], 1)]}


@contextmanager
def _phase(phases: Phases, name: str) -> Generator[None]:
    """Time a block; the same name again adds to it."""
    started, started_cpu = time.perf_counter(), time.process_time()
    yield
    seconds, cpu_seconds = phases.get(name, (0.0, 0.0))
    spent, spent_cpu = time.perf_counter() - started, time.process_time() - started_cpu
    phases[name] = (seconds + spent, cpu_seconds + spent_cpu)


def _tell(found: Mapping[str, Any]) -> None:
    """Hand the figures of a child to its parent, which is smaller, so that the peak is the child's own."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    print(json.dumps({**found, "rss_mib": peak}))


def _expect(what: str, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Stop when something else was done than what is to be timed.

    Raises:
        RuntimeError: the counts differ.
    """
    if dict(found) != dict(expected):
        raise RuntimeError(f"{what}: expected {dict(expected)}, found {dict(found)}")


# --- loading and changing --------------------------------------------------------------------------------


def _measure_fleet(options: argparse.Namespace, plants: int, file_format: str) -> list[dict[str, Any]]:
    made = _run_child("fleet", options, plants, file_format)
    print(f"\n{options.avatars:,} avatars, {fleets.ATTRIBUTES * options.avatars:,} bindings,", end=" ")
    print(f"{options.models} models in {plants} plants; {made['bytes'] / 1e6:,.0f} MB of {file_format}", flush=True)
    load = _run_child("load", options, plants, file_format)
    _report_load(load)
    if "changes" not in options.only:
        return [load]
    places = ("one",) if plants == 1 else ("one", "several")
    changes = [_run_child(f"changes of {place}", options, plants, file_format) for place in places]
    for change in changes:
        _report_changes(change)
    return [load, *changes]


def _fleet_of(options: argparse.Namespace) -> Fleet:
    return Fleet(options.avatars, options.plants[0], options.models, options.format[0])


def _settings_of(options: argparse.Namespace) -> Settings:
    folder: Path = options.folder / "fleet"
    return Settings(
        home=str(folder / "home"), config=str(folder / "config"), threads=options.threads,
        memory_limit=options.memory_limit,
    )  # fmt: skip


def _make_fleet(options: argparse.Namespace) -> None:
    config = options.folder / "fleet" / "config"
    fleets.write_fleet(_fleet_of(options), config)
    _tell({"bytes": sum(path.stat().st_size for path in config.rglob("*") if path.is_file())})


def _load(options: argparse.Namespace) -> None:
    """Put the whole fleet in force in an empty lake."""
    phases: Phases = {}
    settings = _settings_of(options)
    version = _refresh(settings, phases)
    rows = _fleet_of(options).rows
    _expect("load", version.counts if version else {}, {name: (count, 0) for name, count in rows.items()})
    lake = sum(path.stat().st_size for path in settings.lake_path.rglob("*.parquet"))
    _tell({"phases": phases, "lake_bytes": lake})


def _change_one(options: argparse.Namespace) -> None:
    _change(options, 0, [0])


def _change_several(options: argparse.Namespace) -> None:
    _change(options, options.repeat + 1, range(min(SPREAD, options.plants[0])))


def _change(options: argparse.Namespace, first: int, plants: Sequence[int]) -> None:
    """Put tables of changes in force one after the other: the first in a fresh process, the others in a running one.

    A running process has hashed all files already, and the referential's sensor asks for the fingerprint of the
    configuration each time that it looks; a fresh one hashes them first.
    """
    fleet, settings = _fleet_of(options), _settings_of(options)
    rounds: list[Phases] = []
    for number in range(first, first + options.repeat + 1):
        fleets.write_change(fleet, settings.config_path, number, plants)
        phases: Phases = {}
        with _phase(phases, "fingerprint"):
            configuration_fingerprint(settings.config_path)
        version = _refresh(settings, phases)
        _expect(f"change {number}", version.counts if version else {}, fleets.CHANGED_ROWS)
        rounds.append(phases)
    unchanged: Phases = {}
    if _refresh(settings, unchanged) is not None:
        raise RuntimeError("a refresh without a change made a version")
    _tell({"of": len(plants), "fresh": rounds[0], "running": rounds[1:], "unchanged": unchanged})


def _refresh(settings: Settings, phases: Phases) -> Version | None:
    """Do what the asset of the referential does, in its phases; ``whole`` is all but the figures for people."""
    lake = Lake(settings=settings)
    with ExitStack() as stack:
        with _phase(phases, "whole"):
            with _phase(phases, "read_sources"):
                sources = read_sources(settings.config_path)
            con = stack.enter_context(Engine(settings=settings).workbench())
            with ExitStack() as block:
                with _phase(phases, "planned"):
                    plan = block.enter_context(planned(con, lake, sources))
                with _phase(phases, "apply"):
                    version = apply(con, lake, plan, Change("benchmark", "to be timed", "benchmark"))
        with _phase(phases, "overview"):
            overview_of(con, lake)
    return version


# --- binding ---------------------------------------------------------------------------------------------


def _bind(options: argparse.Namespace) -> None:
    """Bind a day's observations in each way, to each sink, taking turns."""
    settings = _settings_of(options)
    folder: Path = settings.home_path
    folder.mkdir(parents=True, exist_ok=True)
    fleets.write_observations(folder / "observations.parquet", options.observations, options.signals)
    found: dict[str, dict[str, list[tuple[float, float]]]] = {sink: {case: [] for case in CHANGING} for sink in _SINKS}
    with Engine(settings=settings).workbench() as con:
        queries = {case: _query_of(con, case, folder, options.signals) for case in CHANGING}
        for turn in range(options.repeat):
            for sink, write in _SINKS.items():
                for case in list(CHANGING)[turn % 3 :] + list(CHANGING)[: turn % 3]:
                    phases: Phases = {}
                    with _phase(phases, case):
                        rows = write(con, queries[case], folder)
                    _expect(case, {"rows": rows}, {"rows": options.observations // options.signals * options.signals})
                    found[sink][case].append(phases[case])
    _tell({"sinks": found})


def _query_of(con: duckdb.DuckDBPyConnection, case: str, folder: Path, signals: int) -> str:
    """Make the table of bindings in force as the assets do; returns the query that binds by it."""
    file, table = folder / f"{case}.parquet", f"bound_{list(CHANGING).index(case)}"
    fleets.write_bindings(file, signals, CHANGING[case])
    bound = bindings_query(f"FROM {literal(str(file))}", Partition(fleets.PLANT, fleets.DAY.date()))
    con.execute(f"CREATE TABLE {table} AS {bound}").fetchall()
    observations = f"SELECT * FROM {literal(str(folder / 'observations.parquet'))}"
    if case != "plain":
        return measurements(observations, f"SELECT * FROM {table}")
    return (
        'SELECT b.point_id, o.ts, o.value * b.factor + b."offset" AS value, o.text, o.status, o.signal_id'
        f" FROM ({observations}) o JOIN {table} b ON o.signal_id = b.signal_id"
    )


def _nowhere(con: duckdb.DuckDBPyConnection, query: str, _folder: Path) -> int:
    """Read every row and keep none."""
    sums = "count(ts), sum(point_id), sum(value), max(text), sum(status), sum(signal_id)"
    return con.sql(f"SELECT {sums} FROM ({query})").fetchall()[0][0]


def _to_table(con: duckdb.DuckDBPyConnection, query: str, _folder: Path) -> int:
    rows = con.execute(f"CREATE OR REPLACE TABLE measured AS {query}").fetchall()[0][0]
    con.execute("DROP TABLE measured").fetchall()
    con.execute("CHECKPOINT").fetchall()
    return rows


def _to_parquet(con: duckdb.DuckDBPyConnection, query: str, folder: Path) -> int:
    """Write a file as `Lake.stage` does, unsorted."""
    file = folder / "measured.parquet"
    shape = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"
    rows = con.execute(f"COPY ({query}) TO {literal(str(file))} ({shape})").fetchall()[0][0]
    file.unlink()
    return rows


_SINKS: Final[Mapping[str, Callable[[duckdb.DuckDBPyConnection, str, Path], int]]] = {
    "nowhere": _nowhere, "a table": _to_table, "Parquet": _to_parquet,
}  # fmt: skip
_CHILDREN: Final[Mapping[str, Callable[[argparse.Namespace], None]]] = {
    "fleet": _make_fleet, "load": _load, "changes of one": _change_one, "changes of several": _change_several,
    "binding": _bind,
}  # fmt: skip


# --- reporting -------------------------------------------------------------------------------------------


def _report_load(found: Mapping[str, Any]) -> None:
    seconds, cpu_seconds = found["phases"]["whole"]
    print(f"  load: {seconds:.1f} s, {cpu_seconds:.1f} s of CPU, peak {found['rss_mib']:,.0f} MiB,", end=" ")
    print(f"lake {found['lake_bytes'] / 1e6:,.0f} MB, load of the machine {_load_of(found)}")
    print(f"    {_shares(found['phases'])}")
    print(f"    target {LOAD_LIMIT_S:.0f} s: {_met(seconds < LOAD_LIMIT_S)},", end=" ")
    print(f"{LOAD_LIMIT_MIB:,.0f} MiB: {_met(found['rss_mib'] < LOAD_LIMIT_MIB)}", flush=True)


def _report_changes(found: Mapping[str, Any]) -> None:
    of = "one plant" if found["of"] == 1 else f"{found['of']} plants"
    print(f"  {fleets.CHANGED} changed avatars in {of}, peak {found['rss_mib']:,.0f} MiB,", end=" ")
    print(f"load of the machine {_load_of(found)}")
    running = {
        name: tuple(median(phases[name][i] for phases in found["running"]) for i in (0, 1)) for name in found["fresh"]
    }
    rows = {"fresh process": found["fresh"], "running process, median": running, "nothing changed": found["unchanged"]}
    for process, phases in rows.items():
        seconds, cpu_seconds = phases["whole"]
        print(f"    {process:26}{seconds:6.2f} s, {cpu_seconds:6.2f} s of CPU: {_shares(phases)}")
    print(f"    target {CHANGE_LIMIT_S:.0f} s: {_met(running['whole'][0] < CHANGE_LIMIT_S)}", flush=True)


def _report_binding(found: Mapping[str, Any]) -> None:
    print(f"\nbinding: minimum and median by the clock, median of CPU; load of the machine {_load_of(found)}")
    for sink, cases in found["sinks"].items():
        plain = cases["plain"]
        for case, times in cases.items():
            best, usual = (of([s for s, _ in times]) for of in (min, median))
            cpu = median(c for _, c in times)
            print(f"  to {sink:8} {case:20}{best:7.2f} {usual:7.2f} {cpu:7.2f}", end="")
            if case == "plain":
                print()
                continue
            ratios = best / min(s for s, _ in plain), usual / median(s for s, _ in plain)
            of_cpu = cpu / median(c for _, c in plain)
            met = "" if sink == "nowhere" else f", target {BINDING_LIMIT}: {_met(ratios[0] < BINDING_LIMIT)}"
            print(f"  of plain: {ratios[0]:.2f} {ratios[1]:.2f} {of_cpu:.2f}{met}", flush=True)


def _shares(phases: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{name} {seconds:.2f} ({cpu:.2f})" for name, (seconds, cpu) in phases.items() if name != "whole")


def _load_of(found: Mapping[str, Any]) -> str:
    return " to ".join(f"{load:.1f}" for load in found["load"])


def _met(is_met: bool) -> str:  # noqa: FBT001 - it says which word
    return "met" if is_met else "NOT met"


if __name__ == "__main__":
    main()
