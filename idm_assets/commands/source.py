"""The commands `idm source`: propose the declaration of a source, try one on a file, list the formats.

Belongs here: arguments, tables and sentences for people. Does not belong here: what a file is (`capture.proposal`),
what becomes of it (`capture.trial`).
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from idm_assets.capture.decoders.registry import DECODERS, RECORDS_ONLY, ROW_FORMATS, formats, is_tabular
from idm_assets.capture.proposal import Proposal, Unrecognised, propose, sampled
from idm_assets.capture.reasons import REASONS
from idm_assets.capture.remarks import REMARKS
from idm_assets.capture.sources import Name, SourceEntry, load_sources
from idm_assets.capture.survey import CaptureMoved
from idm_assets.capture.trial import NotClaimedError, Trial, landing_path, try_file
from idm_assets.configuration import ConfigurationError
from idm_assets.status import SYMBOL_MASK, symbols
from resources.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Sources: propose the declaration of one for a file, try one on a file, list the formats.",
)
console = Console()

QUARANTINE_LOOKED_AT: Final = 1000
"""How many rows of the quarantine are counted by reason; a trial gives the first ones only."""

_CHARACTERS: Final = 200

FileArgument = Annotated[Path, typer.Argument(help="The delivered file, packed or not.", metavar="FILE")]
RowsOption = Annotated[int, typer.Option(help="Rows to print at the most.", min=1)]


@app.command("new")
def new_source(
    file: FileArgument,
    plant: Annotated[str | None, typer.Option(help="Plant, which is also the folder below the landing zone.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the declaration; default: made of the file's name.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the proposal into this file, which must not exist.")] = None,
    rows: RowsOption = 10,
) -> None:
    """Propose a source declaration for a file, and show what would become of the file by it.

    Exits with 1 if nothing sensible was found.
    """
    _require_file(file)
    for option, value in (("plant", plant), ("name", name)):
        _require_name(option, value)
    if out is not None and out.exists():
        _stop(f"{out} is there already and is not overwritten; choose another name")
    with tempfile.TemporaryDirectory(prefix="idm-proposal-") as folder:
        proposal = _proposed(file, Path(folder), plant, name)
        entry = _loaded(proposal, Path(folder))
    if out is None:
        typer.echo(proposal.text)
    else:
        _write(proposal, out)
    trial = _tried(entry, file, None, rows)
    _print_trial(trial, rows)
    kept_out = sum(capture["quarantined"] + (capture["standing"] == "rejected") for capture in trial.captures)
    if kept_out or trial.left:
        _say("Not all of the file was decoded: look at the reasons above, and at the comments of the proposal.")
    _say(f"Once it is below sources/ in the configuration: idm source test {entry.name} {file}")


@app.command("test")
def try_source(
    name: Annotated[str, typer.Argument(help="Name of the declaration in the configuration.")],
    file: FileArgument,
    rows: RowsOption = 10,
    path: Annotated[
        str | None, typer.Option(help="Path below the plant's landing folder; default: the end of the file's own.")
    ] = None,
) -> None:
    """Try a source declaration on a file; nothing is stored.

    Exits with 1 if anything of the file would be kept out.
    """
    _require_file(file)
    entries = load_sources(Settings().config_path)
    entry = next((entry for entry in entries if entry.name == name), None)
    if entry is None:
        known = ", ".join(entry.name for entry in entries) or "none"
        _stop(f"There is no source {name!r} in {Settings().config_path / 'sources'}; there are: {known}")
    trial = _tried(entry, file, path, rows)
    _print_trial(trial, rows)
    if trial.left or any(c["quarantined"] or c["standing"] == "rejected" for c in trial.captures):
        raise typer.Exit(1)


@app.command("formats")
def list_formats() -> None:
    """List the formats that a source declaration may name."""
    table = _table("format", "delivers", "what it is")
    for name in formats():
        table.add_row(
            name,
            "rows" if is_tabular(name) else "records" if name in RECORDS_ONLY else "observations",
            _described(name),
        )
    console.print(table, markup=False, highlight=False)
    _say("Of rows the declaration says what they mean: time, and long, pairs, wide or record.")


# --- proposing -------------------------------------------------------------------------------------------


def _proposed(file: Path, folder: Path, plant: str | None, name: str | None) -> Proposal:
    try:
        sample = sampled(file, folder)
    except (OSError, CaptureMoved) as error:
        _stop(f"{file} cannot be read: {error}")
    found = sample if isinstance(sample, Unrecognised) else propose(sample, plant, name)
    if isinstance(found, Proposal):
        return found
    _say(f"{_printable(str(file))}: nothing sensible can be proposed.")
    _say(found.why)
    if found.template:
        _say("The declaration that comes closest, to fill in:")
        typer.echo(found.template)
    raise typer.Exit(1)


def _loaded(proposal: Proposal, folder: Path) -> SourceEntry:
    """The proposal as the configuration would load it."""
    path = folder / "sources" / f"{proposal.name}.yaml"
    path.parent.mkdir()
    path.write_text(proposal.text, encoding="utf-8")
    try:
        (entry,) = load_sources(folder)
    except ConfigurationError as error:
        typer.echo(proposal.text)
        for problem in error.problems:
            _say(problem.removeprefix(f"{folder}/sources/"))
        _say("The proposal cannot be used as it is, because of what is in the file: change the lines above.")
        raise typer.Exit(1) from None
    return entry


def _write(proposal: Proposal, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as stream:
            stream.write(proposal.text)
    except FileExistsError:
        _stop(f"{out} is there already and is not overwritten; choose another name")
    except OSError as error:
        _stop(f"{out} cannot be written: {error.strerror}")
    _say(f"{out} is written; its comments say what was seen.")


# --- trying ----------------------------------------------------------------------------------------------


def _tried(entry: SourceEntry, file: Path, path: str | None, rows: int) -> Trial:
    try:
        landed = landing_path(entry, file) if path is None else path
        return try_file(entry, file, landed, max(rows, QUARANTINE_LOOKED_AT))
    except NotClaimedError as error:
        _stop(f"{error}; with --path you say where the file would be landed")
    except OSError as error:
        _stop(f"{file} cannot be read: {error}")


def _print_trial(trial: Trial, rows: int) -> None:
    """What became of a file: its rows, what was kept out, the balance of each of its captures."""
    _print_observations(trial.samples.get("observations", [])[:rows], trial.totals.get("observations", 0))
    _print_records(trial.samples.get("records", [])[:rows], trial.totals.get("records", 0))
    quarantine = trial.samples.get("quarantine", [])
    _print_quarantine(quarantine[:rows], trial.totals.get("quarantine", 0))
    is_all = len(quarantine) == trial.totals.get("quarantine", 0)
    for capture in trial.captures:
        kept_out = [entry for entry in quarantine if entry["path"] == capture["path"]]
        _print_balance(capture, kept_out, is_all=is_all)
    for path, reason in trial.left.items():
        _say(f"{_printable(path)}: nothing can be said of it: {reason}")


def _print_observations(observations: Sequence[Mapping[str, Any]], total: int) -> None:
    if not observations:
        return
    _say(f"{total:,} observations" + (f", the first {len(observations)}:" if total > len(observations) else ":"))
    table = _table("line", "source", "tag", "time", "value", "text", "status")
    for row in observations:
        value = "" if row["value"] is None else f"{row['value']!r}".removesuffix(".0")
        texts = (_cut(row[key]) for key in ("source", "tag"))
        table.add_row(
            str(row["line"]), *texts, _time(row["ts"]), value, _cut(row["text"] or ""), _symbol(row["status"])
        )
    console.print(table, markup=False, highlight=False)


def _print_records(records: Sequence[Mapping[str, Any]], total: int) -> None:
    if not records:
        return
    _say(f"{total:,} records" + (f", the first {len(records)}:" if total > len(records) else ":"))
    for row in records:
        _say(f"  line {row['line']}, {_time(row['ts'])}, {_cut(row['model'])}: {_cut(row['payload'])}")


def _print_quarantine(entries: Sequence[Mapping[str, Any]], total: int) -> None:
    if not entries:
        return
    _say(f"{total:,} kept out" + (f", the first {len(entries)}:" if total > len(entries) else ":"))
    for entry in entries:
        place = "the whole file" if entry["line"] is None else f"{entry['line']}"
        detail = entry["detail"] or REASONS.get(entry["reason"], "")
        _say(f"  {_printable(entry['path'])}, {place}: {entry['reason']}: {_printable(detail)}")
        if entry["payload"] is not None:
            # As JSON, so that no control character of the payload reaches the terminal.
            _say(f"    {json.dumps(entry['payload'][:_CHARACTERS])}")


def _print_balance(capture: Mapping[str, Any], kept_out: Sequence[Mapping[str, Any]], *, is_all: bool) -> None:
    """What was read and what became of it: read = decoded + quarantined + skipped."""
    unit = f"{capture['unit']}s"
    if capture["standing"] == "rejected":
        _say(f"{_printable(capture['path'])}: the whole file is kept out, {capture['lines']:,} {unit}.")
    else:
        _say(
            f"{_printable(capture['path'])}: {capture['lines']:,} {unit} read ="
            f" {capture['decoded_lines']:,} decoded + {capture['quarantined']:,} in quarantine"
            f" + {capture['skipped']:,} skipped ({capture['decoder']})"
        )
    reasons = Counter(entry["reason"] for entry in kept_out)
    partly = "" if is_all else f" (of the first {QUARANTINE_LOOKED_AT:,})"
    _print_counts(f"in quarantine{partly}", reasons, REASONS)
    _print_counts("skipped", json.loads(capture["skipped_reasons"]), {})
    _print_counts("noticed", json.loads(capture["remarks"]), dict(REMARKS.values()))
    made = f"  {capture['observations']:,} observations, {capture['records'] or 0:,} records"
    made += f", {capture['empty_cells']:,} empty cells"
    if capture["first_ts"] is not None:
        made += f", from {_time(capture['first_ts'])} to {_time(capture['last_ts'])}"
    _say(made)


def _print_counts(title: str, counts: Mapping[str, int], meanings: Mapping[str, str]) -> None:
    for reason, count in sorted(counts.items(), key=lambda found: (-found[1], found[0])):
        _say(f"  {title}: {reason} {count:,}" + (f", {meanings[reason]}" if reason in meanings else ""))


# --- formats ---------------------------------------------------------------------------------------------


def _described(name: str) -> str:
    """The first line of what the module of a format says of itself."""
    try:
        said = import_module(_module_of(name)).__doc__ or ""
    except ImportError as error:
        return f"cannot be loaded: {error}"
    return said.strip().split("\n")[0].replace("``", "").removeprefix("Decoder of ").removesuffix(".")


def _module_of(name: str) -> str:
    built_in = DECODERS.get(name) or ROW_FORMATS.get(name)
    if built_in is not None:
        return f"idm_assets.capture.decoders.{built_in.partition(':')[0]}"
    added = [*entry_points(group="idm.decoders", name=name), *entry_points(group="idm.row_formats", name=name)]
    return added[0].module


# --- words -----------------------------------------------------------------------------------------------


def _symbol(status: int) -> str:
    """The OPC UA symbol of a status, or its code where it has none."""
    known = symbols().get(status) or symbols().get(status & SYMBOL_MASK)
    return f"0x{status:08X}" if known is None else known[0]


def _time(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat(sep=" ").replace("+00:00", "Z")


def _cut(text: str) -> str:
    return _printable(text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]}...")


def _printable(text: str) -> str:
    """Text as it is, or quoted if it holds characters that a terminal would obey."""
    return text if text.isprintable() else json.dumps(text)


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in ("line", "value") else "left", overflow="fold")
    return table


def _say(sentence: str) -> None:
    console.print(sentence, markup=False, highlight=False, soft_wrap=True, emoji=False)


def _require_file(file: Path) -> None:
    if not file.is_file():
        _stop(f"{file} is no file" if file.exists() else f"{file} does not exist")


def _require_name(option: str, value: str | None) -> None:
    try:
        TypeAdapter(Name | None).validate_python(value)
    except ValidationError:
        _stop(f"--{option}: {value!r} is no name: small letters, digits, _ and -, at most 63, as in press_shop")


def _stop(message: str) -> NoReturn:
    _say(message)
    raise typer.Exit(2)
