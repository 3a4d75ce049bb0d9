"""The commands `idm archive`: is everything that was delivered still there, and what need not be kept any longer.

Belongs here: arguments, tables and sentences for people. Does not belong here: what an entry is, until when it is kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from idm_assets.capture.sources import load_sources
from resources.archive import (
    Archive,
    ArchivedCapture,
    ArchiveError,
    Expired,
    Stored,
    Stray,
    StrayKind,
    Verification,
    Wanted,
    abandoned,
    expired,
    unrecorded,
    wanted_until,
)
from resources.ledger import Ledger
from resources.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The archive: every delivered file as it came, so that a replay needs no landing zone.",
)
console = Console()

LimitOption = Annotated[int, typer.Option(help="Lines to print of each kind at the most.", min=1)]


@dataclass
class Look:
    """What was seen of the archive on a way through it.

    Attributes:
        wanted: contents that captures refer to.
        seen: hashes of the entries.
        orphans: number of entries that no capture refers to.
        orphan_bytes: their size as stored.
    """

    wanted: Collection[str]
    seen: set[str] = field(default_factory=set[str])
    orphans: int = 0
    orphan_bytes: int = 0

    def add(self, entry: Stored) -> None:
        """Take note of an entry."""
        self.seen.add(entry.sha256)
        if entry.sha256 not in self.wanted:
            self.orphans += 1
            self.orphan_bytes += entry.size

    def absent(self, strays: Iterable[Stray]) -> set[str]:
        """Wanted contents without an entry, but for those that may be where nothing could be listed."""
        unsure = tuple(s.path.name.removesuffix(".zst") for s in strays if s.kind is StrayKind.UNREADABLE)
        return {sha256 for sha256 in self.wanted if sha256 not in self.seen and not sha256.startswith(unsure)}


@app.command("verify")
def verify_archive(limit: LimitOption = 40) -> None:
    """Read and hash every entry, and compare with the captures that were recorded.

    Exits with 1 if an entry is damaged or missing, or cannot be read.
    """
    settings = Settings()
    # Asked before the archive is read: what is recorded is archived, so nothing is missing only because it is new.
    captures = recorded(settings)
    wanted = wanted_until(captures, keep_days(settings))
    look = Look(wanted)
    verification = _verified(Archive(settings=settings), look)
    absent = look.absent(verification.strays)
    now = datetime.now(UTC)
    missing = [c for c in captures if c.content_hash in absent and wanted[c.content_hash].at(now)]
    missing_contents = {c.content_hash for c in missing}
    _print_verification(verification, look, len(missing_contents), len(absent - missing_contents))
    _print_problems(verification, missing, limit)
    unreadable = any(stray.kind is StrayKind.UNREADABLE for stray in verification.strays)
    if verification.damaged or missing or unreadable:
        raise typer.Exit(1)


@app.command("list")
def list_captures(
    plant: Annotated[str, typer.Option(help="Only captures of this plant.")] = "", limit: LimitOption = 40
) -> None:
    """List captures with their entries, the latest arrival first."""
    settings = Settings()
    archive = Archive(settings=settings)
    captures = recorded(settings)
    plants = sorted({capture.plant for capture in captures})
    if plant and plant not in plants:
        _stop(f"No capture of a plant {plant!r} is recorded; there are: {', '.join(plants) or 'none'}")
    wanted = wanted_until(captures, keep_days(settings))
    listed = sorted(
        (capture for capture in captures if plant in ("", capture.plant)),
        key=lambda c: (-c.arrived_at.timestamp(), c.plant, c.path),
    )
    table = _table("plant", "path", "source", "arrived", "content", "stored", "kept until")
    for capture in listed[:limit]:
        entry = _found(archive, capture.content_hash)
        table.add_row(
            capture.plant,
            _printable(capture.path),
            capture.source_entry,
            f"{capture.arrived_at.astimezone(UTC):%Y-%m-%d %H:%M}Z",
            capture.content_hash[:16],
            "not in the archive" if entry is None else decimal(entry.size),
            _kept_until(wanted[capture.content_hash]),
        )
    if listed:
        console.print(table, markup=False, highlight=False)
    _say(f"{len(listed)} captures" + (f", the first {limit} are shown; --limit shows more" * (len(listed) > limit)))


@app.command("prune")
def prune_archive(
    apply: Annotated[  # noqa: FBT002 - a switch of the command
        bool, typer.Option("--apply", help="Remove them; without it they are only shown.")
    ] = False,
    limit: LimitOption = 40,
) -> None:
    """Show, or remove, the entries that no source wants to keep any longer: archive_days in its declaration."""
    settings = Settings()
    archive = Archive(settings=settings)
    captures = recorded(settings)
    rules = keep_days(settings)
    now = datetime.now(UTC)
    try:
        contents = list(archive.contents())
        entries = [found for found in contents if isinstance(found, Stored)]
        going = list(expired(entries, captures, rules, now))
        leftovers = list(abandoned((found for found in contents if isinstance(found, Stray)), now))
        _print_going(going, leftovers, limit)
        _print_unrecorded(list(unrecorded(entries, captures)))
        if not going and not leftovers:
            _say("There is nothing to remove.")
        elif apply:
            _remove(archive, going, leftovers)
        else:
            _say("Nothing was removed; with --apply it is.")
    except ArchiveError as error:
        _stop(str(error))


# --- what is recorded and declared -----------------------------------------------------------------------


def recorded(settings: Settings) -> list[ArchivedCapture]:
    """All captures that the ledger knows."""
    ledger = Ledger(settings=settings)
    try:
        return ledger.archived_captures()
    finally:
        ledger.close()


def keep_days(settings: Settings) -> dict[str, int | None]:
    """How many days after its arrival each declaration keeps a capture; None: for ever.

    Raises:
        ConfigurationError: the declarations cannot be read.
    """
    return {entry.name: entry.archive_days for entry in load_sources(settings.config_path)}


def _found(archive: Archive, sha256: str) -> Stored | None:
    try:
        return archive.find(sha256)
    except ArchiveError as error:
        _stop(str(error))


# --- verify ----------------------------------------------------------------------------------------------


def _verified(archive: Archive, look: Look) -> Verification:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    try:
        total = sum(found.size for found in archive.contents() if isinstance(found, Stored))
        with Progress(*columns, console=console, transient=True) as bars:
            task = bars.add_task("Reading the archive", total=total)

            def on_entry(entry: Stored) -> None:
                look.add(entry)
                bars.advance(task, entry.size)

            return archive.verify(on_entry)
    except ArchiveError as error:
        _stop(str(error))


def _print_verification(verification: Verification, look: Look, missing: int, removed: int) -> None:
    damaged_bytes = sum(item.stored.size for item in verification.damaged)
    rows: list[tuple[str, int, int | None]] = [
        ("entries", verification.sound + len(verification.damaged), verification.stored_bytes),
        ("sound", verification.sound, verification.stored_bytes - damaged_bytes),
        ("damaged", len(verification.damaged), damaged_bytes),
        ("missing", missing, None),
        ("past their rule and removed", removed, None),
        ("without a capture", look.orphans, look.orphan_bytes),
    ]
    words = {
        StrayKind.LEFTOVER: "temporary files",
        StrayKind.FOREIGN: "foreign files",
        StrayKind.UNREADABLE: "unreadable",
    }
    for kind, name in words.items():
        sizes = [stray.size for stray in verification.strays if stray.kind is kind]
        rows.append((name, len(sizes), sum(sizes) if kind is StrayKind.LEFTOVER else None))
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("contents")
    table.add_column("number", justify="right")
    table.add_column("stored", justify="right")
    for name, number, size in rows:
        table.add_row(name, str(number), "" if size is None else decimal(size))
    console.print(table, markup=False, highlight=False)


def _print_problems(verification: Verification, missing: Sequence[ArchivedCapture], limit: int) -> None:
    _print_lines("Damaged:", [item.message for item in verification.damaged], limit)
    _print_lines(
        "Missing: the archive does not hold what these captures were read from. Where the file is still in the landing"
        " zone, touch it, else put it there again; then run: idm ingest",
        [f"{c.plant}/{_printable(c.path)} of {c.arrived_at.date()}, content {c.content_hash}" for c in missing],
        limit,
    )
    for kind, title in ((StrayKind.UNREADABLE, "Unreadable:"), (StrayKind.FOREIGN, "Foreign:")):
        _print_lines(title, [stray.detail for stray in verification.strays if stray.kind is kind], limit)
    leftovers = [stray.detail for stray in verification.strays if stray.kind is StrayKind.LEFTOVER]
    _print_lines("Temporary, removed by idm archive prune --apply when they are 7 days old:", leftovers, limit)


# --- prune -----------------------------------------------------------------------------------------------


def _print_going(going: Sequence[Expired], leftovers: Sequence[Stray], limit: int) -> None:
    if going:
        table = _table("content", "stored", "why")
        for item in going[:limit]:
            table.add_row(item.stored.sha256[:16], decimal(item.stored.size), _printable(item.reason))
        console.print(table, markup=False, highlight=False)
        _say(
            f"{len(going)} entries, {decimal(sum(item.stored.size for item in going))}"
            + (f"; the first {limit} are shown, --limit shows more" * (len(going) > limit))
        )
    _print_lines("Left by runs that died:", [stray.detail for stray in leftovers], limit)


def _print_unrecorded(staying: Sequence[Stored]) -> None:
    if staying:
        _say(
            f"{len(staying)} entries, {decimal(sum(entry.size for entry in staying))}, are older than the first capture"
            " in the ledger and stay: if the ledger was lost, they are all there is of what was delivered."
        )


def _remove(archive: Archive, going: Iterable[Expired], leftovers: Sequence[Stray]) -> None:
    removed = again = size = 0
    for item in going:
        if archive.remove(item.stored):
            removed += 1
            size += item.stored.size
        else:
            again += 1
    for stray in leftovers:
        archive.remove_leftover(stray)
        size += stray.size
    _say(f"Removed {removed} entries and {len(leftovers)} temporary files, {decimal(size)}.")
    if again:
        _say(f"{again} entries stay: their contents were delivered again meanwhile.")


# --- words -----------------------------------------------------------------------------------------------


def _kept_until(wanted: Wanted) -> str:
    return "for ever" if wanted.until is None else f"{wanted.until.astimezone(UTC).date()}"


def _print_lines(title: str, lines: Sequence[str], limit: int) -> None:
    if not lines:
        return
    _say(title)
    for line in lines[:limit]:
        _say(f"  {line}")
    if len(lines) > limit:
        _say(f"  and {len(lines) - limit} more; --limit shows them")


def _printable(path: str) -> str:
    """A path as it is, or quoted if it holds characters that a terminal would obey."""
    return path if path.isprintable() else repr(path)


def _table(*columns: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _say(sentence: str) -> None:
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _stop(message: str) -> NoReturn:
    _say(message)
    raise typer.Exit(2)
