"""Decoding a batch: surveyed files of one declaration become staged rows, each unit accounted for.

Clean files of one layout are decoded together by the vectorised reader, in as many groups as there are threads: a
reader that numbers lines keeps to one thread. A group that fails is halved until the file that fails is alone, and
that file goes through the exact path. Decoded, rejected and skipped units of every file must add up to the number of
units that was counted by other means.

Belongs here: the routes, the balance, staging. Does not belong here: what a format means (`decoders`), committing
(`filing`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

import duckdb

from idm_assets.capture import remarks as bits
from idm_assets.capture import tables
from idm_assets.capture.content import Content
from idm_assets.capture.decoders import Decoding, PreparedFile, UndecodableFile
from idm_assets.capture.deliveries import Delivery
from idm_assets.capture.reasons import explained
from idm_assets.capture.row_kinds import ObservationRows, RecordRows, RowKind
from idm_assets.capture.sources import Reading, SourceEntry
from idm_assets.capture.survey import CaptureMoved
from idm_assets.contracts import Partition, Table
from idm_assets.sql import literal
from resources.lake import Lake, StagedFile, discard

CLOCK_TOLERANCE: Final = timedelta(days=1)
PAYLOAD_CHARACTERS: Final = 65_536
SAMPLE_BYTES: Final = 64 << 10
PARALLEL_FROM_BYTES: Final = 16 << 20

OUT_OF_BOUNDS: Final = "timestamp_out_of_bounds"
UNBALANCED: Final = "decoder_unbalanced"
DECODER_FAILED: Final = "decoder_failed"


@dataclass
class Balance:
    """What became of one file's units; ``made`` counts ``observations`` or ``records``."""

    decoded_lines: int = 0
    made: dict[str, int] = field(default_factory=dict[str, int])
    remarks: dict[str, int] = field(default_factory=dict[str, int])
    empty_cells: int = 0
    first_ts: datetime | None = None
    last_ts: datetime | None = None
    rejected: int = 0
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    refusal: tuple[str, str] | None = None
    route: str = "fast"

    @property
    def lines(self) -> int:
        """Units that are accounted for."""
        return self.decoded_lines + self.rejected + sum(self.skipped.values())


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one decoding of some files gave.

    Attributes:
        balances: what became of their lines, by file number.
        rows: staged rows of what the lines became.
        rejected: staged rows of `capture.quarantine`, if lines were missing.
    """

    balances: Mapping[int, Balance]
    rows: StagedFile
    rejected: StagedFile | None = None

    def files(self) -> list[StagedFile]:
        """All staged files."""
        return [self.rows] if self.rejected is None else [self.rows, self.rejected]


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a batch is decoded.

    Attributes:
        con: connection; its tables ``batch`` and ``known_tags`` are replaced.
        lake: where rows are staged.
        partition: plant and UTC arrival day.
        first_day: what happened before this day is out of bounds.
        folder: for samples and scratch files; the caller removes it.
    """

    con: duckdb.DuckDBPyConnection
    lake: Lake
    partition: Partition
    first_day: date
    folder: Path


class BatchDecoding:
    """The files of one batch on their way through a decoder.

    Attributes:
        rows: staged rows of `table`.
        rejected: staged rows of `capture.quarantine`.
    """

    def __init__(self, place: Workplace, entry: SourceEntry, reading: Reading, deliveries: Sequence[Delivery]) -> None:
        self._con, self._lake, self._partition = place.con, place.lake, place.partition
        self._work, self._first_day = place.folder, place.first_day
        self._decoder = reading.decoder
        self._kind: RowKind = (
            ObservationRows(place.con, place.partition.plant, entry.status)
            if reading.record is None
            else RecordRows(reading.record, entry.record_declaration())
        )
        self._rule_version = entry.fingerprint()
        self._deliveries = dict(enumerate(deliveries))
        self._balances = {number: Balance() for number in self._deliveries}
        self._units: dict[int, int] = {}
        # A bound that is a column stays out of the decoder's query; a constant would be pushed into it, and the
        # timestamp computed twice.
        self._within = "d.ts >= b.ts_from AND d.ts < b.ts_before"
        self.rows: list[StagedFile] = []
        self.rejected: list[StagedFile] = []

    @property
    def table(self) -> Table:
        """The table that the lines become rows of."""
        return self._kind.table

    def decode(self) -> BatchDecoding:
        """Stage the rows of all files; what cannot be decoded ends in `rejected` or in a refusal."""
        if self._kind.needs_sample:
            self._load_known_tags()
        self._make_batch_table()
        layouts = self._layouts()
        for numbers in layouts.values():
            if self._kind.needs_sample:
                self._learn_sample(numbers)
            self._fast(numbers)
        plain = {number for numbers in layouts.values() for number in numbers}
        for number in sorted(self._units.keys() - plain):
            self._exact(number)
        return self

    @property
    def unit(self) -> str:
        """What is counted."""
        return self._decoder.unit

    def balances(self) -> dict[int, Balance]:
        """What became of each file's units, by capture key."""
        return {delivery.key: self._balances[number] for number, delivery in self._deliveries.items()}

    # Names

    def _load_known_tags(self) -> None:
        """Names that are known, so that only new ones cost a hash per row."""
        self._con.execute(
            f"CREATE OR REPLACE TABLE known_tags AS SELECT DISTINCT signal_id, source, tag"
            f" FROM ({self._lake.relation(tables.TAGS)}) WHERE plant = {literal(self._partition.plant)}"
        ).fetchall()

    def _learn_sample(self, numbers: Sequence[int]) -> None:
        """Learn the names in the first units of every file."""
        if self._decoder.expected.content is not Content.LINES:
            return
        samples: list[PreparedFile] = []
        for number in numbers:
            file = self._prepared(number)
            with file.path.open("rb") as text:
                head = text.read(SAMPLE_BYTES)
            head = head[: head.rfind(b"\n") + 1]
            if head:
                path = self._work / f"sample-{number}"
                path.write_bytes(head)
                samples.append(replace(file, path=path, lines=head.count(b"\n")))
        if samples:
            try:
                self._kind.learn(self._decoder.fast(self._con, samples, self._work).rows)
            except (duckdb.Error, UndecodableFile):
                return  # names that are not known ahead cost a hash per row, and nothing else

    # Routes

    def _layouts(self) -> dict[str, list[int]]:
        """Count the units of every file, refuse those that cannot be counted, and sort clean ones by layout."""
        layouts: dict[str, list[int]] = {}
        for number in self._deliveries:
            file = self._prepared(number)
            try:
                units = self._decoder.count(file)
                if not units:
                    continue  # there is nothing to decode, and a header that is not there is none that is wrong
                self._units[number] = units
                if file.plain:
                    layouts.setdefault(self._decoder.layout(file), []).append(number)
            except UndecodableFile as error:
                self._units.pop(number, None)
                self._refuse(number, error.reason, error.detail)
        return layouts

    def _prepared(self, number: int) -> PreparedFile:
        delivery = self._deliveries[number]
        assert delivery.member is not None, "only readable deliveries are decoded"
        member, claim = delivery.member, delivery.claimed.claim
        return PreparedFile(number, member.text, claim.source, member.lines, member.plain, claim.facts)

    def _fast(self, numbers: Sequence[int]) -> None:
        """Decode clean files in parallel groups; files that fail take the exact path."""
        groups = _groups({n: self._size(n) for n in numbers})
        decodings = [self._try_fast(group) for group in groups]
        with ThreadPoolExecutor(len(groups)) as pool:
            staged = list(pool.map(self._try_stage, decodings))
        for group, decoding, file in zip(groups, decodings, staged, strict=True):
            attempt = None
            if decoding is not None and file is not None:
                attempt = self._try_balance(file, decoding, group)
            if attempt is not None:
                self._keep(attempt)
            elif len(group) == 1:
                self._exact(group[0])
            else:
                half = len(group) // 2
                self._fast(group[:half])
                self._fast(group[half:])

    def _try_fast(self, numbers: Sequence[int]) -> Decoding | None:
        """The decoding of clean files; None when the reader objects to one of them."""
        try:
            return self._decoder.fast(self._con, [self._prepared(n) for n in numbers], self._work)
        except (duckdb.Error, UndecodableFile):
            return None

    def _size(self, number: int) -> int:
        member = self._deliveries[number].member
        return 0 if member is None else member.text_bytes

    def _try_stage(self, decoding: Decoding | None) -> StagedFile | None:
        """Stage on a connection of its own; None when the reader objects."""
        if decoding is None:
            return None
        with self._con.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'").fetchall()
            try:
                return self._stage(cursor, decoding.rows)
            except duckdb.Error:
                return None

    def _try_balance(self, staged: StagedFile, decoding: Decoding, numbers: Sequence[int]) -> Attempt | None:
        """Account for the lines of a fast decoding; None, with nothing kept, when they do not add up."""
        try:
            attempt = self._account(staged, decoding, numbers)
        except duckdb.Error:
            discard([staged])
            return None
        if any(balance.lines != self._units[number] for number, balance in attempt.balances.items()):
            discard(attempt.files())
            return None
        return attempt

    def _exact(self, number: int) -> None:
        """Decode one file line by line in meaning; if even that fails, the file is refused as a whole."""
        try:
            decoding = self._decoder.exact(self._con, self._prepared(number), self._work)
            attempt = self._account(self._stage(self._con, decoding.rows), decoding, [number])
        except UndecodableFile as error:
            self._refuse(number, error.reason, error.detail)
            return
        except duckdb.Error as error:
            self._refuse(number, DECODER_FAILED, f"the {self._decoder.name} decoder stopped: {error}")
            return
        balance = attempt.balances[number]
        if balance.lines != self._units[number]:
            discard(attempt.files())
            self._refuse(
                number,
                UNBALANCED,
                f"{self._units[number]} units were read, but {balance.decoded_lines} decoded, {balance.rejected}"
                f" rejected and {sum(balance.skipped.values())} skipped",
            )
            return
        balance.route = "exact"
        self._keep(attempt)

    def _refuse(self, number: int, reason: str, detail: str) -> None:
        self._balances[number] = Balance(refusal=(reason, detail), route="refused")

    def _keep(self, attempt: Attempt) -> None:
        self._balances.update(attempt.balances)
        discard(file for file in attempt.files() if not file.rows)
        self.rows += [attempt.rows] if attempt.rows.rows else []
        self.rejected += [attempt.rejected] if attempt.rejected is not None and attempt.rejected.rows else []

    # Staging and accounting

    def _make_batch_table(self) -> None:
        start = literal(datetime.combine(self._first_day, time(), UTC))
        rows = ", ".join(
            f"({n}, {d.key}, {literal(d.path)}, {start}, {literal(d.arrived_at + CLOCK_TOLERANCE)},"
            f" {literal(d.entry.name)}, {literal(d.claimed.claim.source)}::VARCHAR, {literal(d.sha256)})"
            for n, d in self._deliveries.items()
        )
        self._con.execute(
            f"CREATE OR REPLACE TABLE batch AS SELECT * FROM (VALUES {rows})"
            " AS v(number, capture_key, path, ts_from, ts_before, source_entry, source, content_hash)"
        ).fetchall()

    def _stage(self, con: duckdb.DuckDBPyConnection, decoded: str) -> StagedFile:
        return self._lake.stage(con, self._kind.table, self._kind.keyed(decoded, self._within), self._partition)

    def _account(self, staged: StagedFile, decoding: Decoding, numbers: Sequence[int]) -> Attempt:
        """Count what became of the units; others than decoded ones are looked for only where units are missing."""
        try:
            self._kind.learn_staged(staged, decoding)
            balances = self._count(staged, decoding, numbers)
            if self._is_balanced(balances):
                return Attempt(balances, staged)
            for number, reason, lines in self._con.sql(decoding.skipped).fetchall():
                if lines:
                    balances[number].skipped[reason] = balances[number].skipped.get(reason, 0) + lines
            if self._is_balanced(balances):
                return Attempt(balances, staged)
            return Attempt(balances, staged, self._stage_rejected(staged, decoding, balances))
        except BaseException:
            discard([staged])
            raise

    def _is_balanced(self, balances: Mapping[int, Balance]) -> bool:
        return all(balance.lines == self._units[number] for number, balance in balances.items())

    def _count(self, staged: StagedFile, decoding: Decoding, numbers: Sequence[int]) -> dict[int, Balance]:
        balances = {number: Balance() for number in numbers}
        rows = f"read_parquet({literal(str(staged.path))})"
        counted = self._con.sql(
            f"SELECT b.number, lines, made, first_ts, last_ts FROM (SELECT capture_key,"
            f" count(*) FILTER ({self._kind.first_of_line}) AS lines, count(*) AS made, min(ts) AS first_ts,"
            f" max(ts) AS last_ts FROM {rows} GROUP BY capture_key) JOIN batch b USING (capture_key)"
        ).fetchall()
        for number, lines, made, first, last in counted:
            balance = balances[number]
            balance.decoded_lines, balance.made[self._kind.counted] = lines, made
            balance.empty_cells = 0 if decoding.cells is None else lines * decoding.cells - made
            balance.first_ts, balance.last_ts = first.astimezone(UTC), last.astimezone(UTC)
        remarked: dict[int, dict[int, int]] = {number: {} for number in numbers}
        for number, remarks, count in self._con.sql(
            f"SELECT b.number, remarks, count(*) FROM {rows} JOIN batch b USING (capture_key) WHERE remarks <> 0"
            " GROUP BY ALL"
        ).fetchall():
            remarked[number][remarks] = count
        for number, counts in remarked.items():
            balances[number].remarks = bits.named(counts)
        return balances

    def _stage_rejected(self, decoded: StagedFile, decoding: Decoding, balances: Mapping[int, Balance]) -> StagedFile:
        """Stage the rejected lines and those with a time that cannot be, and count them per file."""
        lines = decoding.lines_without(
            f"SELECT b.number AS file, o.line FROM read_parquet({literal(str(decoded.path))}) o"
            f" JOIN batch b USING (capture_key)",
            max(1, *(self._units[number] for number in balances), 1),
        )
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE missing_lines AS {lines}").fetchall()
        missing = decoding.meaning("SELECT * FROM missing_lines")
        outside = (
            f"SELECT d.file, d.line, {self._kind.shown} AS payload, {literal(OUT_OF_BOUNDS)} AS reason,"
            f" 'accepted from {self._first_day} to one day after arrival' AS detail"
            f" FROM ({missing.rows}) d JOIN batch b ON d.file = b.number"
            f" WHERE d.part = 1 AND NOT ({self._within})"
        )
        query = (
            f"SELECT b.capture_key, b.source_entry, b.source, b.path, b.content_hash, r.line,"
            f" left(r.payload, {PAYLOAD_CHARACTERS}) AS payload,"
            f" coalesce(strlen(r.payload) > {PAYLOAD_CHARACTERS} AND length(r.payload) > {PAYLOAD_CHARACTERS}"
            f" OR r.reason IN ('line_too_long', 'block_too_large'), false) AS payload_cut, 'decode' AS stage,"
            f" {literal(self._decoder.name)} AS rule, {literal(self._rule_version)} AS rule_version, r.reason,"
            f" {explained('r.reason', 'r.detail')} AS detail"
            f" FROM (SELECT * FROM ({missing.rejected}) UNION ALL {outside}) r JOIN batch b ON r.file = b.number"
        )
        staged = self._lake.stage(self._con, tables.QUARANTINE, query, self._partition)
        counted = self._con.sql(
            f"SELECT b.number, count(*) FROM read_parquet({literal(str(staged.path))}) JOIN batch b USING (capture_key)"
            f" GROUP BY b.number"
        ).fetchall()
        for number, lines in counted:
            balances[number].rejected = lines
        return staged

    # Files that moved, or that something else keeps out

    def moved(self) -> dict[str, str]:
        """Paths of files that changed while they were read in place, with the reason."""
        moved: dict[str, str] = {}
        for delivery in self._deliveries.values():
            try:
                delivery.check_unmoved()
            except CaptureMoved as error:
                moved[delivery.path] = str(error)
        return moved

    def leave_out(self, keys: Collection[int]) -> None:
        """Drop the rows of some captures."""
        if not keys:
            return
        self._deliveries = {n: delivery for n, delivery in self._deliveries.items() if delivery.key not in keys}
        among = f"capture_key NOT IN ({', '.join(map(str, keys))})"
        self.rows = self._filtered(self.table, self.rows, among)
        self.rejected = self._filtered(tables.QUARANTINE, self.rejected, among)

    def _filtered(self, table: Table, files: Iterable[StagedFile], condition: str) -> list[StagedFile]:
        kept: list[StagedFile] = []
        for file in files:
            query = f"SELECT * FROM read_parquet({literal(str(file.path))}) WHERE {condition}"
            kept.append(self._lake.stage(self._con, table, query, self._partition))
            discard([file])
        return kept


def _groups(sizes: Mapping[int, int]) -> list[list[int]]:
    """Files in groups of about equal size, one per core; a single group where the work is small."""
    count = min(len(sizes), os.cpu_count() or 1) if sum(sizes.values()) >= PARALLEL_FROM_BYTES else 1
    groups: list[list[int]] = [[] for _ in range(count)]
    loads = [0] * count
    for number in sorted(sizes, key=lambda n: (-sizes[n], n)):
        lightest = loads.index(min(loads))
        groups[lightest].append(number)
        loads[lightest] += sizes[number]
    return [sorted(group) for group in groups]
