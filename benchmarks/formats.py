"""What the capture of each format costs, beside a bare reader of the same files, in the same run.

    python benchmarks/formats.py --formats csv json_lines --rows 300000 --files 1 4 --repeat 3

Contenders, each in a child process of its own, taking turns, so that ratios are taken within one turn:

* ``bare``: the rows as Parquet, by the best library that reads the format, and nothing else (`format_files`);
* ``decode``: what capture does until its rows are staged: survey, decoder, balance, Parquet, contract, content hash;
* ``filed``: all of capture, without Dagster: that, the archive, the names of tags, Delta transactions, the ledger.

Time is that of the work, without starting Python and importing: each process reads a scan first, which does not count.
What was read is compared with what was made: another number of rows, a sum of values that differs beyond rounding, or
anything in quarantine is an error, and no time is reported.

Belongs here: taking turns, the product without Dagster, comparing, reporting. Does not belong here: formats
(`format_files`).
"""

from __future__ import annotations

# ruff: noqa: PLC0415 - heavy modules are imported in the children only: these inherit the peak memory of the process
# that starts them, so the one that takes turns must stay small
import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

NEARLY_AS_FAST: Final = 0.7
A_THIRD_AS_FAST: Final = 1 / 3
TARGETS: Final[Mapping[str, float]] = {
    "csv": NEARLY_AS_FAST,
    "csv_wide": NEARLY_AS_FAST,
    "json_lines": NEARLY_AS_FAST,
    "json": A_THIRD_AS_FAST,
    "parquet": A_THIRD_AS_FAST,
    "arrow": A_THIRD_AS_FAST,
    "xlsx": A_THIRD_AS_FAST,
    "shdr": A_THIRD_AS_FAST,
    "line_protocol": A_THIRD_AS_FAST,
    "mtconnect_streams": A_THIRD_AS_FAST,
    "b2mml": A_THIRD_AS_FAST,
    "opcua_pubsub": A_THIRD_AS_FAST,
    "sparkplug_b": A_THIRD_AS_FAST,
}
"""Throughput that is aimed at, as a share of the bare reader's, by format."""
A_TENTH: Final = frozenset({"xlsx", "mtconnect_streams", "b2mml", "opcua_pubsub", "sparkplug_b"})
"""Formats of which a tenth of the rows is made."""
SMALL_FILES: Final = ("csv", "json_lines")
SMALL_ROWS: Final = 100
SMALL_SECONDS: Final = 60.0
TOLERANCE: Final = 1e-9
PLANT: Final = "plant"


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured at once.

    Attributes:
        format: format.
        rows: rows in all files.
        files: files.
        contenders: who takes turns.
    """

    format: str
    rows: int
    files: int
    contenders: tuple[str, ...] = ("bare", "decode", "filed")

    @property
    def is_small(self) -> bool:
        """Whether it is about many small files."""
        return "decode" not in self.contenders


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contender did in one turn.

    Attributes:
        seconds: its work, without starting Python and importing.
        cpu_seconds: user and system time of that work, over all threads and child processes.
        before_mib: peak resident memory of the process before that work, when all is imported.
        peak_mib: peak resident memory at its end.
        rows: rows that it wrote.
        total: sum of their values.
        route: how the product decoded: ``fast``, ``exact``, or both.
        problems: what the product kept out, one sentence each.
    """

    seconds: float
    cpu_seconds: float
    before_mib: float
    peak_mib: float
    rows: int
    total: float
    route: str = ""
    problems: list[str] = field(default_factory=list[str])


class ChildFailedError(Exception):
    """A child process ended with an error; the message has the end of what it said."""


def main() -> int:
    """Run the comparison; the exit code is 1 when a contender fails or the contenders disagree."""
    options = _options()
    if options.child:
        (options.folder / "result.json").write_text(json.dumps(_work_as_child(options)))
        return 0
    print(f"{os.cpu_count()} cores, load {_load()}", flush=True)
    results = [_measure(case, options) for case in _cases(options)]
    print(f"\nload {_load()}\n")
    _report([result for result in results if not result["differences"]])
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1))
    return 1 if any(result["differences"] for result in results) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", choices=TARGETS, nargs="+", default=list(TARGETS), help="default: all")
    tenth = ", ".join(sorted(A_TENTH))
    parser.add_argument("--rows", type=int, default=1_000_000, help=f"rows, a tenth of them as {tenth}; %(default)s")
    parser.add_argument(
        "--files", type=int, nargs="*", default=[1, 4], help="numbers of files; none: small files only; default 1 4"
    )
    parser.add_argument(
        "--small", type=int, default=10_000, help=f"small files of {SMALL_ROWS} rows; 0: none; default %(default)s"
    )
    parser.add_argument("--repeat", type=int, default=1, help="turns; medians are reported")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-limit", default="1GB", help="of every DuckDB connection; default %(default)s")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    parser.add_argument("--json", type=Path, help="write all results to this file")
    parser.add_argument("--child", choices=("files", *_CONTENDERS), help=argparse.SUPPRESS)
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> list[Case]:
    cases: list[Case] = []
    for name in options.formats:
        rows = options.rows // 10 if name in A_TENTH else options.rows
        cases += [Case(name, rows, files) for files in options.files]
    if options.small:
        rows = options.small * SMALL_ROWS
        cases += [Case(n, rows, options.small, ("bare", "filed")) for n in SMALL_FILES if n in options.formats]
    return cases


def _load() -> str:
    return ", ".join(f"{load:.1f}" for load in os.getloadavg())


# --- taking turns ----------------------------------------------------------------------------------------


def _measure(case: Case, options: argparse.Namespace) -> dict[str, Any]:
    """Make the files of a case, let all contenders read them in turns, and compare."""
    print(f"\n{case.format}: {case.rows:,} rows in {case.files:,} files", end="", flush=True)
    turns: list[dict[str, Outcome]] = []
    differences: list[str] = []
    size, library = 0, ""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder) as name:
        folder = Path(name)
        try:
            made = _run_child("files", case, folder, options)
            size, library = made["bytes"], made["library"]
            print(f", {size / 1e6:,.1f} MB; bare: {library}", flush=True)
            turns += [_turn(case, number, folder, options) for number in range(options.repeat)]
            differences += [text for turn in turns for text in _differences(turn, made["rows"], made["total"])]
        except ChildFailedError as error:
            differences.append(str(error))
    for text in differences:
        print(f"  DIFFERENT: {text}", file=sys.stderr, flush=True)
    if not differences:
        _show(turns)
    return {
        **asdict(case), "is_small": case.is_small, "bytes": size, "library": library, "differences": differences,
        "turns": [{name: asdict(outcome) for name, outcome in turn.items()} for turn in turns],
    }  # fmt: skip


def _turn(case: Case, number: int, folder: Path, options: argparse.Namespace) -> dict[str, Outcome]:
    turn: dict[str, Outcome] = {}
    # Who goes first changes, so that no contender always finds what another one left behind.
    first = number % len(case.contenders)
    for contender in case.contenders[first:] + case.contenders[:first]:
        turn[contender] = Outcome(**_run_child(contender, case, folder, options))
        shutil.rmtree(folder / "out", ignore_errors=True)
    return turn


def _run_child(contender: str, case: Case, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run one contender in a process of its own; what it found.

    Raises:
        ChildFailedError: it ended with an error.
    """
    os.sync()
    arguments = [
        sys.executable, __file__, "--child", contender, "--formats", case.format, "--rows", str(case.rows),
        "--files", str(case.files), "--folder", str(folder), "--threads", str(options.threads),
        "--memory-limit", options.memory_limit,
    ]  # fmt: skip
    environment = {**os.environ, "POLARS_MAX_THREADS": str(options.threads)}
    with (folder / "log.txt").open("w+") as log:
        ended = subprocess.run(arguments, stdout=log, stderr=subprocess.STDOUT, env=environment, check=False)
        if ended.returncode != 0:
            log.seek(0)
            raise ChildFailedError(f"{contender} ended with exit code {ended.returncode}:\n{log.read()[-2000:]}")
    return json.loads((folder / "result.json").read_text())


# --- children --------------------------------------------------------------------------------------------


def _work_as_child(options: argparse.Namespace) -> dict[str, Any]:
    """Make the files, or read them, below the folder, one scan before all others."""
    folder: Path = options.folder
    if options.child == "files":
        return _make_files(options, folder)
    # Much is imported where it is first used, and whoever waits for it once need not wait for it again.
    for place in (folder / "first", folder):
        shutil.rmtree(place / "out", ignore_errors=True)
        (place / "out").mkdir()
        found = _CONTENDERS[options.child](options, place)
    return found


def _make_files(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    import format_files

    assert TARGETS.keys() == format_files.FORMATS.keys(), "each format has its files and its target"
    (name,), (files,), landing = options.formats, options.files, folder / "landing" / PLANT
    format_files.land(format_files.Shape(name, format_files.TAGS), folder / "first" / "landing" / PLANT)
    made = format_files.land(format_files.Shape(name, options.rows, files), landing)
    size = sum(path.stat().st_size for path in landing.iterdir())
    return {**asdict(made), "bytes": size, "library": format_files.FORMATS[name].library}


@dataclass
class Clock:
    """Seconds of some work, by the clock and of CPU, and the peak memory before and after it in MiB."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    before_mib: float = 0.0
    peak_mib: float = 0.0


@contextmanager
def _timed() -> Generator[Clock]:
    clock = Clock(before_mib=_peak_mib())
    started, cpu = time.perf_counter(), _cpu_seconds()
    yield clock
    clock.seconds, clock.cpu_seconds = time.perf_counter() - started, _cpu_seconds() - cpu
    clock.peak_mib = _peak_mib()


def _peak_mib() -> float:
    """Peak resident memory so far; kibibytes everywhere but on macOS, which counts bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _cpu_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _bare(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Read the files with a library and write their rows as Parquet."""
    import duckdb
    from format_files import FORMATS

    paths = sorted((folder / "landing" / PLANT).iterdir())
    out = folder / "out" / "rows.parquet"
    with _timed() as clock, duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        con.execute(f"SET threads = {options.threads}").fetchall()
        con.execute(f"SET memory_limit = '{options.memory_limit}'").fetchall()
        read = FORMATS[options.formats[0]].bare(paths)
        if isinstance(read, str):
            con.execute(f"COPY ({read}) TO '{out}' (FORMAT parquet)").fetchall()
        else:
            read.write_parquet(out)
    rows, total = duckdb.execute(f"SELECT count(*), sum(value) FROM read_parquet('{out}')").fetchall()[0]
    return {**asdict(clock), "rows": rows, "total": total}


def _decode(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Do what capture does with one batch, until its rows are staged."""
    from idm_assets.capture.batch_decoding import BatchDecoding, Workplace
    from idm_assets.capture.deliveries import deliver
    from idm_assets.capture.survey import Limits
    from idm_assets.partitions import FIRST_DAY
    from resources.lake import Lake
    from resources.landing_zone import LandingZone

    settings, entry, claimed = _landed(options, folder)
    lake, zone, partition, now = (
        Lake(settings=settings),
        LandingZone(settings=settings),
        _partition(),
        datetime.now(UTC),
    )
    work = settings.work_path
    work.mkdir(parents=True)
    (reading,) = entry.readings()
    with _timed() as clock, _engine(settings) as con:
        delivered = [deliver(c, zone.locate(PLANT, c.file.path), work, now, Limits()) for c in claimed]
        deliveries = [delivery for one in delivered for delivery in one.deliveries]
        readable = [delivery for delivery in deliveries if delivery.member is not None]
        place = Workplace(con, lake, partition, FIRST_DAY, work)
        batch = BatchDecoding(place, entry, reading, readable).decode()
        moved = batch.moved()
    problems = [f"{path} was left: {why}" for path, why in moved.items()]
    problems += [f"{d.path} was refused: {d.refusal}" for d in deliveries if d.refusal is not None]
    for balance in batch.balances().values():
        problems += [f"refused: {balance.refusal}"] if balance.refusal is not None else []
        problems += [f"{balance.rejected} units are in quarantine"] if balance.rejected else []
    routes = {balance.route for balance in batch.balances().values()}
    files = ", ".join(f"'{file.path}'" for file in batch.rows)
    found = _figures(f"SELECT * FROM read_parquet([{files}])", batch.table.name) if batch.rows else {}
    return {**asdict(clock), "rows": 0, "total": 0.0, **found, "route": " ".join(sorted(routes)), "problems": problems}


def _filed(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """File the landed files, in batches, as a run of Dagster does."""
    from idm_assets.capture import tables
    from idm_assets.capture.filing import FilingCabinet
    from idm_assets.partitions import FIRST_DAY
    from resources.archive import Archive
    from resources.lake import Lake
    from resources.landing_zone import LandingZone
    from resources.ledger import Ledger

    settings, entry, claimed = _landed(options, folder)
    lake, zone, archive = Lake(settings=settings), LandingZone(settings=settings), Archive(settings=settings)
    ledger = Ledger(settings=settings)
    entry.readings()  # imports the decoder
    try:
        with _timed() as clock, _engine(settings) as con:
            cabinet = FilingCabinet(
                con, lake, ledger, zone, archive, settings.work_path, _partition(), FIRST_DAY, "benchmark"
            )
            filed = cabinet.file(claimed, datetime.now(UTC))
    finally:
        ledger.close()
    problems = [f"{path} was left: {why}" for path, why in filed.left.items()]
    problems += [f"{path} was taken for a repetition" for path in filed.repeats]
    problems += [f"{row['path']}: {row['standing']}" for row in filed.captures if row["standing"] != "decoded"]
    if filed.total("quarantined"):
        problems.append(f"{filed.total('quarantined')} units are in quarantine")
    table = tables.RECORDS if entry.record is not None else tables.OBSERVATIONS
    routes = {str(row["decoder"]).rpartition("/")[2] for row in filed.captures}
    found = _figures(lake.relation(table), table.name)
    return {**asdict(clock), **found, "route": " ".join(sorted(routes)), "problems": problems}


def _landed(options: argparse.Namespace, folder: Path) -> tuple[Any, Any, list[Any]]:
    """Settings of a home with the landed files in it, the declaration that reads them, and the files."""
    from format_files import FORMATS, SOURCE

    from idm_assets.capture.intake import ClaimedFile
    from idm_assets.capture.sources import SourceEntry, claim
    from resources.landing_zone import LandingZone
    from resources.settings import Settings

    home = folder / "out"
    shutil.copytree(folder / "landing", home / "landing", copy_function=os.link)
    settings = Settings(home=str(home), threads=options.threads, memory_limit=options.memory_limit)
    declared = FORMATS[options.formats[0]].declared
    entry = SourceEntry.model_validate({"name": "measured", "plant": PLANT, "glob": "*", "source": SOURCE, **declared})
    claimed: list[ClaimedFile] = []
    for file in LandingZone(settings=settings).look([PLANT]).files:
        found = claim([entry], PLANT, file.path)
        assert not isinstance(found, str), "the declaration claims all files"
        claimed.append(ClaimedFile(file, found))
    return settings, entry, claimed


def _engine(settings: Any) -> Any:  # noqa: ANN401 - the product's types are not imported here
    from resources.engine import Engine

    return Engine(settings=settings).connect()


def _partition() -> Any:  # noqa: ANN401 - as above
    from idm_assets.contracts import Partition

    return Partition(PLANT, datetime.now(UTC).date())


def _figures(rows: str, table: str) -> dict[str, float]:
    """Number of the rows of a query, and the sum of their values."""
    import duckdb

    value = "(payload ->> '$.value')::DOUBLE" if table == "records" else "value"
    found = duckdb.execute(f"SELECT count(*), coalesce(sum({value}), 0) FROM ({rows})").fetchall()[0]
    return {"rows": found[0], "total": found[1]}


_CONTENDERS: Final[Mapping[str, Callable[[argparse.Namespace, Path], dict[str, Any]]]] = {
    "bare": _bare,
    "decode": _decode,
    "filed": _filed,
}


# --- comparing and reporting -----------------------------------------------------------------------------


def _differences(turn: Mapping[str, Outcome], rows: int, total: float) -> list[str]:
    """Where what was read is not what was made, one sentence each."""
    found: list[str] = []
    for contender, outcome in turn.items():
        found += [f"{contender}: {problem}" for problem in outcome.problems[:5]]
        if outcome.rows != rows:
            found.append(f"{contender}: {outcome.rows} rows, {rows} were made")
        if not math.isclose(outcome.total, total, rel_tol=TOLERANCE):
            found.append(f"{contender}: the values add up to {outcome.total!r}, those that were made to {total!r}")
    return found


def _show(turns: Sequence[Mapping[str, Outcome]]) -> None:
    """Print what was measured of one case, turn by turn."""
    for turn in turns:
        for contender, outcome in turn.items():
            print(
                f"  {contender:7}{outcome.seconds:8.2f} s{outcome.cpu_seconds:8.2f} s of CPU"
                f"{outcome.peak_mib:8,.0f} MiB  {outcome.route}",
                flush=True,
            )


def _report(results: Sequence[Mapping[str, Any]]) -> None:
    """Print the tables, as they go into a page."""
    compared = [result for result in results if not result["is_small"]]
    if compared:
        print(
            "| format | files | rows | bare, rows/s | decode, rows/s | decode / bare: clock, CPU | filed / bare"
            " | us of CPU per row: bare, decode, filed | peak MiB (before): bare, decode, filed | target | |\n"
            "|---|---|---|---|---|---|---|---|---|---|---|"
        )
    for result in compared:
        print(_compared_row(result))
    small = [result for result in results if result["is_small"]]
    if small:
        print(
            "\n| small files | files | rows | filed, s | CPU, s | files/s | bare, s | peak MiB (before) | target | |\n"
            "|---|---|---|---|---|---|---|---|---|---|"
        )
    for result in small:
        print(_small_row(result))


def _compared_row(result: Mapping[str, Any]) -> str:
    turns: Sequence[Mapping[str, Any]] = result["turns"]
    rows, target = turns[0]["bare"]["rows"], TARGETS[result["format"]]
    by_clock, by_cpu = (_ratio(turns, "decode", what) for what in ("seconds", "cpu_seconds"))
    cells = [
        result["format"], str(result["files"]), f"{rows:,}",
        *(f"{rows / _middle(turns, name, 'seconds'):,.0f}" for name in ("bare", "decode")),
        f"{by_clock:.2f}, {by_cpu:.2f}", f"{_ratio(turns, 'filed', 'cpu_seconds'):.2f}",
        ", ".join(f"{1e6 * _middle(turns, name, 'cpu_seconds') / rows:.2f}" for name in _CONTENDERS),
        ", ".join(_peak(turns, name) for name in _CONTENDERS),
        f"{target:.2f}", _verdict(by_clock=by_clock >= target, by_cpu=by_cpu >= target),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _small_row(result: Mapping[str, Any]) -> str:
    turns: Sequence[Mapping[str, Any]] = result["turns"]
    seconds, cpu_seconds = (_middle(turns, "filed", what) for what in ("seconds", "cpu_seconds"))
    cells = [
        result["format"], f"{result['files']:,}", f"{turns[0]['filed']['rows']:,}", f"{seconds:.1f}",
        f"{cpu_seconds:.1f}", f"{result['files'] / seconds:,.0f}", f"{_middle(turns, 'bare', 'seconds'):.1f}",
        _peak(turns, "filed"), f"{SMALL_SECONDS:.0f} s", "met" if seconds < SMALL_SECONDS else "**not met**",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _middle(turns: Sequence[Mapping[str, Any]], contender: str, what: str) -> float:
    """Median of a figure over the turns."""
    return median(turn[contender][what] for turn in turns)


def _ratio(turns: Sequence[Mapping[str, Any]], contender: str, what: str) -> float:
    """Throughput of a contender as a share of the bare reader's, median over the turns."""
    return median(turn["bare"][what] / turn[contender][what] for turn in turns)


def _peak(turns: Sequence[Mapping[str, Any]], contender: str) -> str:
    peak, before = (max(turn[contender][what] for turn in turns) for what in ("peak_mib", "before_mib"))
    return f"{peak:,.0f} ({before:,.0f})"


def _verdict(*, by_clock: bool, by_cpu: bool) -> str:
    if by_clock and by_cpu:
        return "met"
    if by_clock or by_cpu:
        return f"met by {'the clock' if by_clock else 'CPU time'} only"
    return "**not met**"


if __name__ == "__main__":
    sys.exit(main())
