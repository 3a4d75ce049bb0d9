"""The product beside a hand-written DuckDB script, over the same messages, in the same run.

    python benchmarks/pipeline.py 1000000 5000000 20000000 --format json_lines shdr --repeat 3

Each contender runs in a child process of its own, so that its peak memory is its own; contenders take turns, so
that a noisy machine is noisy to all, and ratios are taken within one turn. What they computed is compared: a
difference in a count, or in a sum of figures beyond rounding, is an error, and no time is reported.

Belongs here: taking turns, comparing, reporting. Does not belong here: messages (`messages`), the work itself
(`handwritten`, `product`).
"""

from __future__ import annotations

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import handwritten
import messages
from messages import FORMATS, Shape, add_shape_arguments, shape_of

CONTENDERS: Final = ("lean", "layers", "product")
TOLERANCE: Final = 1e-9
RSS_LIMIT_MIB: Final = 2048


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one contender did in one turn.

    Attributes:
        seconds: its work, without starting Python and importing.
        cpu_seconds: user and system time of that work, over all threads.
        rss_mib: peak resident memory of the process.
        figures: counts and sums of what it wrote.
        details: seconds by kind and name, of the product.
    """

    seconds: float
    cpu_seconds: float
    rss_mib: float
    figures: dict[str, float]
    details: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])


def main() -> int:
    """Run the comparison; the exit code is 1 when the contenders disagree."""
    options = _options()
    if options.child:
        _work_as_child(options)
        return 0
    results: list[dict[str, Any]] = []
    for number in options.messages:
        for file_format in options.format:
            shape = shape_of(options, file_format, number)
            with tempfile.TemporaryDirectory(prefix="benchmark-", dir=options.folder) as folder:
                result = _compare(shape, Path(folder), options)
            results.append(result)
            if options.json is not None:
                options.json.write_text(json.dumps(results, indent=1))
            if result["differences"]:
                return 1
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("messages", type=int, nargs="*", default=[1_000_000], help="numbers of messages")
    parser.add_argument("--format", choices=FORMATS, nargs="+", default=list(FORMATS))
    parser.add_argument("--repeat", type=int, default=1, help="turns per number and format; medians are reported")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-limit", default="1GB", help="of every DuckDB connection; default %(default)s")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    parser.add_argument("--json", type=Path, help="write all results to this file")
    add_shape_arguments(parser)
    parser.add_argument("--child", choices=("messages", *CONTENDERS), help=argparse.SUPPRESS)
    return parser.parse_args()


# --- taking turns ----------------------------------------------------------------------------------------


def _compare(shape: Shape, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    print(f"\n{shape.made:,} messages as {shape.format}: {shape.plants} plants x {shape.sources} sources x", end=" ")
    print(f"{shape.signals} signals over {shape.days} days", flush=True)
    started = time.perf_counter()
    _run_child("messages", shape, folder, options)
    size = sum(path.stat().st_size for path in (folder / "landing").rglob("*") if path.is_file())
    print(f"  made in {time.perf_counter() - started:.1f} s, {size / 1e6:,.0f} MB", flush=True)
    turns: list[dict[str, Outcome]] = []
    for number in range(options.repeat):
        turn: dict[str, Outcome] = {}
        # Who goes first changes, so that no contender always finds what another one left behind.
        for contender in CONTENDERS[number % 3 :] + CONTENDERS[: number % 3]:
            turn[contender] = _run_child(contender, shape, folder, options)
            shutil.rmtree(folder / "out", ignore_errors=True)
        turns.append(turn)
    differences = [text for turn in turns for text in _differences(turn, shape)]
    for text in differences:
        print(f"  DIFFERENT: {text}", file=sys.stderr)
    if not differences:
        _report(shape, turns)
    return {
        "format": shape.format,
        "messages": shape.made,
        "bytes": size,
        "differences": differences,
        "turns": [{name: _plain(outcome) for name, outcome in turn.items()} for turn in turns],
    }


def _run_child(contender: str, shape: Shape, folder: Path, options: argparse.Namespace) -> Outcome:
    """Run one contender in a process of its own and wait for it."""
    os.sync()
    arguments = [
        sys.executable, __file__, str(shape.messages), "--child", contender, "--format", shape.format,
        "--folder", str(folder), "--threads", str(options.threads), "--memory-limit", options.memory_limit,
    ]  # fmt: skip
    for name in ("plants", "sources", "signals", "days", "seed", "bad", "late", "duplicate", "out_of_range"):
        arguments += [f"--{name.replace('_', '-')}", str(getattr(shape, name))]
    with (folder / "log.txt").open("w+") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=subprocess.STDOUT)
        # wait4 tells the usage of just this child; this process is small, so what a child inherits does not show.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            log.seek(0)
            raise RuntimeError(f"{contender} failed with exit code {process.returncode}:\n{log.read()[-4000:]}")
    result = folder / "result.json"
    found: dict[str, Any] = json.loads(result.read_text()) if contender != "messages" else {}
    return Outcome(
        found.get("seconds", 0.0), found.get("cpu_seconds", 0.0), _mib(usage), found.get("figures", {}),
        found.get("details", {}),
    )  # fmt: skip


def _mib(usage: resource.struct_rusage) -> float:
    """Peak resident memory; kibibytes everywhere but on macOS, which counts bytes."""
    return usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _work_as_child(options: argparse.Namespace) -> None:
    """Do what one contender does below the folder, and leave seconds and figures in ``result.json``."""
    folder: Path = options.folder
    shape = shape_of(options, options.format[0], options.messages[0])
    if options.child == "messages":
        messages.land(shape, folder / "landing")
        messages.configure(shape, folder / "config")
        messages.write_bindings(shape, folder / "bindings.csv")
        return
    result = _product(folder, options) if options.child == "product" else _handwritten(folder, options)
    (folder / "result.json").write_text(json.dumps(result))


def _handwritten(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    out = folder / "out"
    started, started_cpu = time.perf_counter(), time.process_time()
    handwritten.run(
        options.child, folder / "landing", folder / "bindings.csv", out,
        threads=options.threads, memory_limit=options.memory_limit,
    )  # fmt: skip
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - started_cpu
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "figures": handwritten.figures(options.child, out)}


def _product(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    import product  # noqa: PLC0415 - heavy; the process that takes turns must stay small

    home = folder / "out"
    home.mkdir()
    shutil.copytree(folder / "landing", home / "landing", copy_function=os.link)
    settings = product.settings_of(home, folder / "config", options.threads, options.memory_limit)
    with product.dagster_instance(home) as instance:
        run = product.bring_up_to_date(settings, instance)
    return {
        "seconds": run.seconds,
        "cpu_seconds": run.cpu_seconds,
        "figures": product.published_figures(settings.catalog_path),
        "details": {"phases": run.phases, "phases_cpu": run.phases_cpu, "runs": run.runs, "steps": run.steps},
    }


# --- comparing and reporting -----------------------------------------------------------------------------


def _differences(turn: Mapping[str, Outcome], shape: Shape) -> list[str]:
    """Where a hand-written variant and the product disagree, one sentence per figure."""
    product = turn["product"].figures
    found = [] if product["lines"] == shape.made else [f"{shape.made} messages were made, {product['lines']} read"]
    for contender in ("lean", "layers"):
        for name, figure in turn[contender].figures.items():
            other = product.get(name, math.nan)
            if not math.isclose(figure, other, rel_tol=TOLERANCE):
                found.append(f"{name}: {contender} {figure!r}, product {other!r}")
    return found


def _report(shape: Shape, turns: Sequence[Mapping[str, Outcome]]) -> None:
    print(f"  {'':10}{'seconds':>9}{'messages/s':>13}{'CPU s':>8}{'peak MiB':>10}")
    for contender in CONTENDERS:
        outcomes = [turn[contender] for turn in turns]
        seconds = median(o.seconds for o in outcomes)
        print(
            f"  {contender:10}{seconds:9.2f}{shape.made / seconds:13,.0f}"
            f"{median(o.cpu_seconds for o in outcomes):8.2f}{max(o.rss_mib for o in outcomes):10,.0f}"
        )
    for contender in ("lean", "layers"):
        by_wall = median(turn[contender].seconds / turn["product"].seconds for turn in turns)
        by_cpu = median(turn[contender].cpu_seconds / turn["product"].cpu_seconds for turn in turns)
        print(f"  throughput, product / {contender}: {by_wall:.3f} by the clock, {by_cpu:.3f} by CPU time")
    rss = max(turn["product"].rss_mib for turn in turns)
    print(f"  peak memory of the product: {rss:,.0f} MiB, {'below' if rss < RSS_LIMIT_MIB else 'ABOVE'} 2 GiB")
    middle = sorted(turns, key=lambda turn: turn["product"].seconds)[len(turns) // 2]["product"]
    print("  phases of the product's middle turn, in seconds by the clock and of CPU:")
    for name, seconds in middle.details["phases"].items():
        print(f"    {seconds:8.2f}{middle.details['phases_cpu'][name]:8.2f}  {name}")
    print("  steps of that turn, in seconds by the clock:")
    for name, seconds in sorted(middle.details["steps"].items(), key=lambda item: -item[1]):
        print(f"    {seconds:8.2f}  {name}")
    figures = middle.figures
    print(
        f"  all agree: {figures['decoded']:,.0f} decoded, {figures['rejected']:,.0f} rejected,"
        f" {figures['cleaned']:,.0f} cleaned, {figures['bad']:,.0f} out of range,"
        f" {figures['minutes: rows']:,.0f} minutes",
        flush=True,
    )


def _plain(outcome: Outcome) -> dict[str, Any]:
    return {
        "seconds": outcome.seconds, "cpu_seconds": outcome.cpu_seconds, "rss_mib": outcome.rss_mib,
        "figures": outcome.figures, "details": outcome.details,
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
