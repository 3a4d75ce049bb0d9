"""Attempts: inputs go through survey and decoder as `capture.batch_decoding` has it, and what came is judged.

Several inputs of one declaration are attempted together, as files of a batch are: that is faster, and files might be
mixed up. What must hold of each is listed at `attempts`.

Belongs here: what must hold of any input in any format. Does not belong here: inputs (`formats`), how many of them
there are (`__main__`).
"""

from __future__ import annotations

import signal
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb

from idm_assets.capture.containers import Limits
from idm_assets.capture.decoders import Decoder, Decoding, PreparedFile, UndecodableFile
from idm_assets.capture.decoders.streamed import Streamed
from idm_assets.capture.reasons import REASONS
from idm_assets.capture.remarks import REMARKS
from idm_assets.capture.sources import SourceEntry, claim, claim_member
from idm_assets.capture.survey import CaptureMoved, UnreadableCapture, survey
from idm_assets.capture.text_values import is_blank
from idm_assets.sql import literal

HANGS_AFTER_SECONDS: Final = 60
ROWS: Final = "attempted_rows"
LIMITS: Final = Limits(max_unpacked_bytes=256 << 20)

_OBSERVED: Final[dict[str, str]] = {
    "file": "INTEGER", "line": "BIGINT", "part": "INTEGER", "source": "VARCHAR", "tag": "VARCHAR",
    "ts": "TIMESTAMP WITH TIME ZONE", "value": "DOUBLE", "text": "VARCHAR", "status": "BIGINT", "detail": "VARCHAR",
    "remarks": "INTEGER",
}  # fmt: skip
_RECORDED: Final[dict[str, str]] = {
    "file": "INTEGER", "line": "BIGINT", "part": "INTEGER", "ts": "TIMESTAMP WITH TIME ZONE", "remarks": "INTEGER",
    "payload": "VARCHAR",
}  # fmt: skip
_REJECTED: Final[dict[str, str]] = {
    "file": "INTEGER", "line": "BIGINT", "payload": "VARCHAR", "reason": "VARCHAR", "detail": "VARCHAR",
}  # fmt: skip

_WRONG_ROWS: Final[dict[str, str]] = {
    "a row has no ts": "ts IS NULL OR NOT isfinite(ts)",
    "a row has no line from 1": "line IS NULL OR line < 1",
    "a row has no part from 1": "part IS NULL OR part < 1",
    "a row has remarks that are none": f"remarks IS NULL OR remarks < 0 OR remarks >= {2 * max(REMARKS)}",
}
_WRONG_OBSERVATIONS: Final[dict[str, str]] = {
    **_WRONG_ROWS,
    "an observation has no tag": f"tag IS NULL OR {is_blank('tag')}",
    "an observation has no source": "source IS NULL",
    "an observation has a status that is none": "status IS NULL OR status NOT BETWEEN 0 AND 4294967295",
    "an observation has a value that is no number": "value IS NOT NULL AND NOT isfinite(value)",
    "an observation has a detail that is no JSON object":
        "detail IS NOT NULL AND NOT coalesce(json_type(TRY_CAST(detail AS JSON)) = 'OBJECT', false)",
}  # fmt: skip
_WRONG_RECORDS: Final[dict[str, str]] = {
    **_WRONG_ROWS,
    "a record is no JSON object": "NOT coalesce(json_type(TRY_CAST(payload AS JSON)) = 'OBJECT', false)",
}


class Hung(BaseException):
    """An input took too long; not an `Exception`, so that nothing on the way takes it for one of its own."""


@dataclass
class Outcome:
    """What became of one input.

    Attributes:
        wrong: what must not be, each in a sentence; empty if all is well.
        units: number of units by ``decoded``, ``rejected`` and ``skipped``.
        refused: reasons for which files were kept out as a whole, or members of archives.
        routes: what became of the fast route: ``kept``, ``short`` of units, ``stopped``.
        seconds: how long it took, without what was done for several inputs together.
    """

    wrong: list[str] = field(default_factory=list[str])
    units: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    routes: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0

    def refuse(self, reason: str, detail: str) -> None:
        """Note that a file was kept out, which needs a known reason and a word on it."""
        self.refused[reason] += 1
        if reason not in REASONS:
            self.wrong.append(f"a file is refused for {reason!r}, which REASONS does not have")
        if not detail.strip():
            self.wrong.append(f"a file is refused for {reason} without a word")


@dataclass(frozen=True)
class Told:
    """What one decoding says of one file.

    Attributes:
        rows: number of rows.
        decoded: number of units with rows.
        rejected: number of rejected units.
        skipped: number of skipped units.
        digest: of the rows, whatever their order.
        refusals: of the rejected units with their reasons, whatever their order.
        last: highest number of a unit.
    """

    rows: int = 0
    decoded: int = 0
    rejected: int = 0
    skipped: int = 0
    digest: int = 0
    refusals: int = 0
    last: int = 0

    @property
    def units(self) -> int:
        """Units that are accounted for."""
        return self.decoded + self.rejected + self.skipped


@dataclass(frozen=True)
class Attempted:
    """A file to decode, with the outcome of the input that it came in."""

    file: PreparedFile
    outcome: Outcome

    @property
    def number(self) -> int:
        """Number of the file."""
        return self.file.number


@dataclass(frozen=True)
class Bench:
    """Where inputs are attempted.

    Attributes:
        con: connection in UTC, used for one input after another.
        folder: empty folder for what is unpacked and for scratch files.
        thorough: whether queries are run too that the product leaves out once all units are accounted for.
    """

    con: duckdb.DuckDBPyConnection
    folder: Path
    thorough: bool = True


def attempts(bench: Bench, entry: SourceEntry, path: str, inputs: Sequence[Path]) -> list[Outcome]:
    """Take files as delivered under a declaration, and judge what comes of each:

    1. nothing is raised but what the interfaces declare, and nothing takes longer than a minute;
    2. every counted unit is decoded, rejected or skipped by the exact route, and by the fast one where it is kept;
    3. where the fast route is kept it says the same as the exact one, of rows and of rejected units;
    4. what is rejected or refused has a known reason, and a payload or detail;
    5. rows are of the types and within the bounds that `Decoding` promises.

    Args:
        bench: where.
        entry: the declaration.
        path: path below the landing folder of the plant.
        inputs: the files.
    """
    outcomes = [Outcome() for _ in inputs]
    files: list[Attempted] = []
    for outcome, delivered in zip(outcomes, inputs, strict=True):
        with _watched(outcome):
            files += _surveyed(bench, entry, path, delivered, Attempted(_nothing(len(files)), outcome))
    for number, reading in enumerate(entry.readings()):
        scratch = bench.folder / f"reading-{number}"
        scratch.mkdir()
        judge = Judge(bench, reading.decoder, _RECORDED if reading.record else _OBSERVED, scratch)
        (judge.streamed if isinstance(reading.decoder, Streamed) else judge.tabular)(files)
    return outcomes


def _nothing(number: int) -> PreparedFile:
    """Stands for the first file of an input, before it is surveyed."""
    return PreparedFile(number, Path(), None, 0, plain=True)


def _surveyed(bench: Bench, entry: SourceEntry, path: str, delivered: Path, first: Attempted) -> list[Attempted]:
    """The files of an input, numbered on from the first."""
    outcome = first.outcome
    claimed = claim([entry], entry.plant, path)
    assert not isinstance(claimed, str), f"the declaration of the case does not claim {path}: {claimed}"
    try:
        surveyed = survey(delivered, bench.folder, LIMITS, entry.expected_content())
    except UnreadableCapture as error:
        outcome.refuse(error.reason, error.detail)
        return []
    except CaptureMoved as error:
        outcome.wrong.append(f"the file is said to have moved: {error}")
        return []
    files: list[Attempted] = []
    for member in surveyed.members:
        found = claimed if member.name is None else claim_member(claimed, f"{path}/{member.name}")
        if member.refusal is not None:
            outcome.refuse(*member.refusal)
        elif isinstance(found, str):
            outcome.refuse("member_unclaimed", found)
        else:
            number = first.number + len(files)
            file = PreparedFile(number, member.text, found.source, member.lines, member.plain, found.facts)
            files.append(Attempted(file, outcome))
    return files


@contextmanager
def _watched(outcome: Outcome) -> Generator[None]:
    """Note what an input raises that it must not, and how long it takes."""
    began = time.perf_counter()
    try:
        with _at_most(HANGS_AFTER_SECONDS):
            yield
    except Hung:
        outcome.wrong.append(f"it took longer than {HANGS_AFTER_SECONDS} s\n{traceback.format_exc()}")
    except Exception:  # noqa: BLE001 - whatever else is raised is what is looked for
        outcome.wrong.append(f"something is raised that is not declared\n{traceback.format_exc()}")
    finally:
        outcome.seconds += time.perf_counter() - began


@contextmanager
def _at_most(seconds: int) -> Generator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Judge:
    """Puts files through one decoder.

    Attributes:
        bench: where.
        decoder: the decoder.
        columns: names and types of the rows that are to come.
        scratch: folder for scratch files.
    """

    bench: Bench
    decoder: Decoder
    columns: dict[str, str]
    scratch: Path

    # Routes

    def streamed(self, files: Sequence[Attempted]) -> None:
        """Formats with one route, by which files are read together, and alone where that fails."""
        units: dict[int, int] = {}
        for one in files:
            with _watched(one.outcome):
                units |= self.counted(one)
        counted = [one for one in files if one.number in units]
        if len(counted) > 1:
            told = self.together(counted)
            if told is not None and all(told.get(n, Told()).units == count for n, count in units.items()):
                for one in counted:
                    one.outcome.routes["kept"] += 1
                    self.note(one, told.get(one.number, Told()), units[one.number])
                return
        for one in counted:
            with _watched(one.outcome):
                self.exactly(one, units[one.number])

    def together(self, files: Sequence[Attempted]) -> dict[int, Told] | None:
        """What a decoding says of several files, if it says anything; who is at fault otherwise shows alone."""
        found = Outcome()
        told: dict[int, Told] | None = None
        with _watched(found):
            try:
                told = self.told(self.decoder.fast(self.bench.con, _files(files), self.scratch), found)
            except UndecodableFile:
                return None
        return None if found.wrong else told

    def tabular(self, files: Sequence[Attempted]) -> None:
        """Formats with two routes: each file by the exact one, then clean ones of a layout together, others alone."""
        exact: dict[int, Told] = {}
        layouts: dict[str, list[Attempted]] = {}
        for one in files:
            with _watched(one.outcome):
                units = self.counted(one).get(one.number)
                told = None if units is None else self.exactly(one, units)
                if told is None:
                    continue
                exact[one.number] = told
                if one.file.plain and (layout := self.layout(one)) is not None:
                    layouts.setdefault(layout, []).append(one)
        for alike in layouts.values():
            clean = [one for one in alike if not exact[one.number].rejected]
            self.fast(clean, exact)
            for one in alike:
                if exact[one.number].rejected:
                    self.fast([one], exact)

    def counted(self, one: Attempted) -> dict[int, int]:
        """Number of units by that of the file; nothing where there is nothing to decode."""
        try:
            units = self.decoder.count(one.file)
        except UndecodableFile as error:
            one.outcome.refuse(error.reason, error.detail)
            return {}
        return {one.number: units} if units else {}

    def layout(self, one: Attempted) -> str | None:
        """The layout of a file; None: it is refused for it."""
        try:
            return self.decoder.layout(one.file)
        except UndecodableFile as error:
            one.outcome.refuse(error.reason, error.detail)
            return None

    def exactly(self, one: Attempted, units: int) -> Told | None:
        """What the exact route says of a file; None: it refuses it."""
        try:
            decoding = self.decoder.exact(self.bench.con, one.file, self.scratch)
            told = self.told(decoding, one.outcome, units).get(one.number, Told())
        except UndecodableFile as error:
            one.outcome.refuse(error.reason, error.detail)
            return None
        self.note(one, told, units)
        if told.rejected and told.last <= units:
            self.again(one, decoding, told, units)
        return told

    def note(self, one: Attempted, told: Told, units: int) -> None:
        """Judge the balance of a file."""
        one.outcome.units.update(decoded=told.decoded, rejected=told.rejected, skipped=told.skipped)
        if told.units != units:
            one.outcome.wrong.append(f"{units} units were counted, and {told} is told of them")
        if told.last > units:
            one.outcome.wrong.append(f"{units} units were counted, and number {told.last} is told of")

    def again(self, one: Attempted, decoding: Decoding, told: Told, units: int) -> None:
        """The units that are missing among the decoded are those that are rejected or skipped, and mean the same."""
        lines = decoding.lines_without(f"SELECT file, line FROM {ROWS}", units)
        self.bench.con.execute(f"CREATE OR REPLACE TEMP TABLE missing_lines AS {lines}").fetchall()
        meaning = decoding.meaning("SELECT * FROM missing_lines")
        count, refusals, _ = self.rejected(meaning.rejected, one.outcome).get(one.number, (0, 0, 0))
        if (count, refusals) != (told.rejected, told.refusals):
            one.outcome.wrong.append(f"{count} of the missing units are rejected, but {told.rejected} of all")

    def fast(self, files: Sequence[Attempted], exact: dict[int, Told]) -> None:
        """What the fast route says of files, where it is kept, is what the exact one says; else they are halved."""
        if not files:
            return
        found = Outcome()
        told: dict[int, Told] | None = None
        most = sum(exact[one.number].units for one in files)
        with _watched(found):
            try:
                told = self.told(self.decoder.fast(self.bench.con, _files(files), self.scratch), found, most)
            except (duckdb.Error, UndecodableFile):
                told = None
        routed = "stopped"
        if told is not None:
            routed = (
                "kept"
                if all(told.get(one.number, Told()).units == exact[one.number].units for one in files)
                else "short"
            )
        if len(files) > 1 and (found.wrong or routed != "kept"):
            half = len(files) // 2
            self.fast(files[:half], exact)
            self.fast(files[half:], exact)
            return
        for one in files:
            one.outcome.routes[routed] += 1
            one.outcome.wrong += [f"fast: {sentence}" for sentence in found.wrong]
            if routed == "kept" and told is not None and told.get(one.number, Told()) != exact[one.number]:
                one.outcome.wrong.append(
                    f"fast tells {told.get(one.number)}, exact {exact[one.number]}{self.difference(files, one)}"
                )

    def difference(self, files: Sequence[Attempted], one: Attempted) -> str:
        """The first few units of which the routes say different things."""
        names = ", ".join(self.columns)

        def listed(decoding: Decoding) -> Counter[str]:
            queries = (
                f"SELECT {names} FROM ({decoding.rows})", f"SELECT file, line, reason, payload FROM ({decoding.rejected})",
                f"SELECT file, reason, lines FROM ({decoding.skipped})",
            )  # fmt: skip
            rows = (self.bench.con.execute(f"FROM ({query}) WHERE file = {one.number}").fetchall() for query in queries)
            return Counter(repr(row) for found in rows for row in found)

        fast = listed(self.decoder.fast(self.bench.con, _files(files), self.scratch))
        exact = listed(self.decoder.exact(self.bench.con, one.file, self.scratch))
        only = (("fast", fast - exact), ("exact", exact - fast))
        return "".join(f"\n  only {route}: {row[:600]}" for route, rows in only for row in [*rows][:5])

    # Queries

    def told(self, decoding: Decoding, outcome: Outcome, most: int | None = None) -> dict[int, Told]:
        """What a decoding says, by file.

        Args:
            decoding: the decoding.
            outcome: where what is wrong with its rows is noted.
            most: number of units in all; once they are accounted for, only a thorough bench looks for others.
        """
        rows = self.rows(decoding.rows, outcome)
        skipped: Counter[int] = Counter()
        rejected: dict[int, tuple[int, int, int]] = {}
        missing = None if most is None or self.bench.thorough else most - sum(units for _, units, *_ in rows.values())
        if missing != 0:
            for number, reason, lines in self.bench.con.execute(decoding.skipped).fetchall():
                skipped[number] += lines
                if not reason or lines < 0:
                    outcome.wrong.append(f"{lines} units are skipped for {reason!r}")
        if missing is None or missing != skipped.total():
            rejected = self.rejected(decoding.rejected, outcome)
        told: dict[int, Told] = {}
        for number in rows.keys() | rejected.keys() | skipped.keys():
            count, decoded, digest, last = rows.get(number, (0, 0, 0, 0))
            refused, refusals, last_refused = rejected.get(number, (0, 0, 0))
            last = max(last, last_refused)
            told[number] = Told(count, decoded, refused, skipped[number], digest, refusals, last)
        return told

    def rows(self, query: str, outcome: Outcome) -> dict[int, tuple[int, int, int, int]]:
        """Number of rows, of their units, a digest, and the last unit, by file."""
        names = ", ".join(self.columns)
        self.bench.con.execute(f"CREATE OR REPLACE TEMP TABLE {ROWS} AS SELECT {names} FROM ({query})").fetchall()
        self.typed(f"FROM {ROWS} LIMIT 0", self.columns, outcome)
        conditions = _WRONG_RECORDS if self.columns is _RECORDED else _WRONG_OBSERVATIONS
        sign = ", signbit(value)" if "value" in self.columns else ""
        found = self.bench.con.execute(
            f"SELECT file, count(*), count(DISTINCT line), count(*) FILTER (part = 1), count(DISTINCT (line, part)),"
            f" count(DISTINCT (line, ts)), max(line), sum(hash({names}{sign})::HUGEINT),"
            f" count(*) FILTER ({' OR '.join(conditions.values())}) FROM {ROWS} GROUP BY file"
        ).fetchall()
        rows: dict[int, tuple[int, int, int, int]] = {}
        for number, count, units, first, distinct, instants, last, digest, wrong in found:
            rows[number] = (count, units, digest, last)
            if (units, count, units) != (first, distinct, instants):
                outcome.wrong.append(
                    f"{count} rows of {units} units; {first} are a first part, {distinct} are distinct parts, {instants}"
                    f" are distinct instants"
                )
            if wrong:
                outcome.wrong += self.wrong_rows(conditions)
        return rows

    def wrong_rows(self, conditions: dict[str, str]) -> Iterable[str]:
        """What is wrong with rows, each with an example."""
        for sentence, condition in conditions.items():
            for example in self.bench.con.execute(f"FROM {ROWS} WHERE {condition} LIMIT 1").fetchall():
                yield f"{sentence}, such as {str(example)[:600]}"

    def rejected(self, query: str, outcome: Outcome) -> dict[int, tuple[int, int, int]]:
        """Number of rejected units, a digest of them with their reasons, and the last of them, by file."""
        known = ", ".join(map(literal, REASONS))
        names = ", ".join(_REJECTED)
        self.bench.con.execute(
            f"CREATE OR REPLACE TEMP TABLE refused_units AS SELECT {names} FROM ({query})"
        ).fetchall()
        self.typed("FROM refused_units LIMIT 0", _REJECTED, outcome)
        found = self.bench.con.execute(
            f"SELECT file, count(*), count(DISTINCT line), sum(hash(line, reason, payload)::HUGEINT),"
            f" list(DISTINCT reason) FILTER (reason IS NULL OR reason NOT IN ({known})),"
            f" count(*) FILTER (payload IS NULL AND detail IS NULL), min(line), max(line) FROM refused_units GROUP BY file"
        ).fetchall()
        rejected: dict[int, tuple[int, int, int]] = {}
        for number, count, distinct, digest, unknown, bare, first, last in found:
            rejected[number] = (count, digest, last)
            if count != distinct or first < 1:
                outcome.wrong.append(f"{count} units are rejected on {distinct} lines, the first of which is {first}")
            if unknown:
                outcome.wrong.append(f"units are rejected for {unknown}, which REASONS does not have")
            if bare:
                outcome.wrong.append(f"{bare} units are rejected without payload and detail")
        return rejected

    def typed(self, query: str, columns: dict[str, str], outcome: Outcome) -> None:
        """Columns are of the types that are promised."""
        description = self.bench.con.execute(query).description or []
        found = {name: str(kind) for name, kind, *_ in description}
        if found != columns:
            wrong = {name: kind for name, kind in found.items() if columns.get(name) != kind}
            outcome.wrong.append(f"columns are of other types than promised: {wrong}")


def _files(files: Iterable[Attempted]) -> list[PreparedFile]:
    return [one.file for one in files]
