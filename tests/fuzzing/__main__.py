"""Fuzzing for as long as one likes: ``python -m tests.fuzzing --minutes 60 [--format csv] [--seed N]``.

Every input follows from the seed, the name of its case and its number. Those that broke something are kept in a folder,
each beside a text that says what it broke; ``--again`` tries the inputs of such a folder. What makes the interpreter
crash or hang for good is found in ``current`` below it.

Belongs here: how many inputs of which format, and the report. Does not belong here: what an attempt is (`attempt`).
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import resource
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import duckdb
from rich.console import Console
from rich.table import Table

from tests.fuzzing.attempt import Bench, Outcome, attempts
from tests.fuzzing.formats import FORMATS, Case, cases

SHARES: Final[Mapping[str, int]] = {
    "arrow": 80, "b2mml": 160, "csv": 72, "json": 20, "json_lines": 12, "line_protocol": 24, "mtconnect_streams": 180,
    "opcua_pubsub": 140, "parquet": 80, "shdr": 48, "sparkplug_b": 160, "tsv": 12, "xlsx": 48,
}  # fmt: skip
"""How many inputs of a round are of a format: the fewer, the longer one takes."""

BATCH: Final = 20
THOROUGH_ONCE_IN: Final = 4
GIVEN_UP_AFTER_SECONDS: Final = 600
MEMORY_LIMIT: Final = "1GB"


@dataclass
class Tally:
    """What became of the inputs of one format.

    Attributes:
        inputs: number of inputs.
        broken: number of those that broke something.
        units: see `attempt.Outcome`, as all others.
        refused: reasons.
        routes: what became of the fast route.
        slowest: longest time of an input in seconds.
        slowest_input: name of that input.
    """

    inputs: int = 0
    broken: int = 0
    units: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    routes: Counter[str] = field(default_factory=Counter[str])
    slowest: float = 0.0
    slowest_input: str = ""

    def add(self, name: str, outcome: Outcome) -> None:
        """Count an input."""
        self.inputs += 1
        self.broken += bool(outcome.wrong)
        self.units += outcome.units
        self.refused += outcome.refused
        self.routes += outcome.routes
        if outcome.seconds > self.slowest:
            self.slowest, self.slowest_input = outcome.seconds, name


@dataclass(frozen=True)
class Batch:
    """Some inputs of a case, by their numbers."""

    case: Case
    numbers: range


def batches(names: tuple[str, ...], rounds: Iterator[int]) -> Iterator[Batch]:
    """Batches of inputs, round by round, a format's inputs divided among its cases."""
    every = {name: cases(name) for name in names}
    done: Counter[str] = Counter()
    for _ in rounds:
        for name, found in every.items():
            for case in found:
                wanted = max(1, round(SHARES[name] / len(found)))
                yield Batch(case, range(done[case.name], done[case.name] + wanted))
                done[case.name] += wanted


def run(batch: Batch, con: duckdb.DuckDBPyConnection, seed: int, keep: Path, *, thorough: bool) -> list[Outcome]:
    """Attempt a batch; inputs that break something are kept."""
    current = keep / "current"
    shutil.rmtree(current, ignore_errors=True)
    current.mkdir(parents=True)
    faulthandler.dump_traceback_later(GIVEN_UP_AFTER_SECONDS, exit=True)
    with tempfile.TemporaryDirectory(prefix="idm-fuzzing-") as folder:
        inputs = [current / _file_name(batch.case, seed, number) for number in batch.numbers]
        for path, number in zip(inputs, batch.numbers, strict=True):
            path.write_bytes(batch.case.input(seed, number))
        outcomes = attempts(Bench(con, Path(folder), thorough), batch.case.entry, batch.case.path, inputs)
    faulthandler.cancel_dump_traceback_later()
    for path, outcome in zip(inputs, outcomes, strict=True):
        if outcome.wrong:
            shutil.copyfile(path, keep / path.name)
            said = "\n\n".join(
                [batch.case.name, batch.case.entry.model_dump_json(exclude_defaults=True), *outcome.wrong]
            )
            (keep / f"{path.name}.txt").write_text(f"{said}\n")
    shutil.rmtree(current)
    return outcomes


def kept(folder: Path) -> Iterator[tuple[Case, Path]]:
    """The inputs of a folder that broke something, each with its case."""
    for text in sorted(folder.glob("*.txt")):
        name = text.read_text().partition("\n")[0]
        (case,) = (case for case in cases(name.partition("/")[0]) if case.name == name)
        yield case, text.with_suffix("")


def again(folder: Path, console: Console) -> int:
    """Try the inputs of a folder again; the number of those that still break something."""
    broken = 0
    with _connected() as con:
        for case, path in kept(folder):
            with tempfile.TemporaryDirectory(prefix="idm-fuzzing-") as work:
                (outcome,) = attempts(Bench(con, Path(work)), case.entry, case.path, [path])
            broken += bool(outcome.wrong)
            console.print(f"{path.name}: {outcome.wrong or 'well'}", markup=False, highlight=False)
    return broken


def _connected() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(":memory:", config={"memory_limit": MEMORY_LIMIT, "threads": 2})
    con.execute("SET TimeZone = 'UTC'").fetchall()
    return con


def _file_name(case: Case, seed: int, number: int) -> str:
    return f"{case.name.replace('/', '-')}-{seed}-{number}"


def peak_rss_mib() -> float:
    """Highest resident memory of this process in MiB.

    A process that was started by another one inherits the ``ru_maxrss`` of that one, so Linux is asked otherwise.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def shown(tallies: Mapping[str, Tally]) -> Table:
    """The report for people."""
    table = Table()
    for heading in ("format", "inputs", "broken", "decoded", "rejected", "skipped", "fast", "refused files", "slowest"):
        table.add_column(heading)
    for name, tally in sorted(tallies.items()):
        units = [f"{tally.units[kind]:,}" for kind in ("decoded", "rejected", "skipped")]
        refused = ", ".join(f"{reason} {times}" for reason, times in tally.refused.most_common())
        routes = ", ".join(f"{route} {times}" for route, times in tally.routes.most_common())
        slowest = f"{tally.slowest:.2f} s, {tally.slowest_input}"
        table.add_row(name, f"{tally.inputs:,}", str(tally.broken), *units, routes, refused, slowest)
    return table


def main() -> int:
    """Run, report, and give 1 if anything was broken."""
    options = _options()
    names = tuple(options.format or FORMATS)
    part, parts = map(int, options.part.split("/"))
    rounds = iter(range(options.rounds)) if options.rounds else count()
    ends = time.monotonic() + options.minutes * 60
    console = Console(width=None if sys.stdout.isatty() else 200)
    if options.again:
        return min(1, again(options.again, console))
    console.print(f"seed {options.seed}; what breaks something is kept in {options.keep}")
    options.keep.mkdir(parents=True, exist_ok=True)
    tallies = {name: Tally() for name in names}
    with _connected() as con:
        for place, batch in enumerate(_split(islice(batches(names, rounds), part - 1, None, parts))):
            if not options.rounds and time.monotonic() > ends:
                break
            thorough = not options.rounds or place % THOROUGH_ONCE_IN == 0
            for number, outcome in zip(
                batch.numbers, run(batch, con, options.seed, options.keep, thorough=thorough), strict=True
            ):
                name = _file_name(batch.case, options.seed, number)
                tallies[batch.case.format].add(name, outcome)
                if outcome.wrong:
                    console.print(f"{name}: {outcome.wrong[0]}", markup=False, highlight=False)
    console.print(shown(tallies))
    console.print(f"peak RSS {peak_rss_mib():,.0f} MiB")
    if options.report:
        report: dict[str, Any] = {
            "peak_rss_mib": peak_rss_mib(),
            "formats": {name: vars(tally) for name, tally in tallies.items()},
        }
        options.report.write_text(json.dumps(report))
    return 1 if any(tally.broken for tally in tallies.values()) else 0


def _split(found: Iterator[Batch]) -> Iterator[Batch]:
    """Batches of a bearable size."""
    for batch in found:
        for start in range(0, len(batch.numbers), BATCH):
            yield Batch(batch.case, batch.numbers[start : start + BATCH])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long to run (5)")
    parser.add_argument("--rounds", type=int, default=0, help="run so many rounds instead, of about 1,000 inputs each")
    parser.add_argument("--format", action="append", choices=FORMATS, help="only this format; may be given repeatedly")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**9), help="what all inputs follow from")
    parser.add_argument("--part", default="1/1", help="which part of the work is done, such as 1/2 by one of two")
    parser.add_argument(
        "--keep", type=Path, default=Path("data/fuzzing"), help="folder for inputs that broke something"
    )
    parser.add_argument("--again", type=Path, help="only try the inputs that are kept in this folder again")
    parser.add_argument("--report", type=Path, help="file for the figures as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
