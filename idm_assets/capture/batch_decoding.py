"""Decoding a batch: surveyed files of one declaration become staged rows, each line accounted for.

Clean files are decoded together by the vectorised reader, in as many groups as there are threads: a reader that
numbers lines keeps to one thread. A group that fails is halved until the file that fails is alone, and that file
goes through the exact path. Decoded, rejected and skipped lines of every file must add up to the lines that the
survey counted by other means.

Belongs here: the routes, the balance, staging. Does not belong here: what a format means (`decoders`), committing
(`filing`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

import duckdb

from idm_assets.capture import tables
from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.deliveries import Delivery
from idm_assets.capture.reasons import explained
from idm_assets.capture.row_kinds import ObservationRows, RecordRows, RowKind
from idm_assets.capture.sources import SourceEntry
from idm_assets.capture.survey import CaptureMoved, check_unmoved
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
    """What became of one file's lines; ``made`` counts ``observations`` or ``records``."""

    decoded_lines: int = 0
    made: dict[str, int] = field(default_factory=dict[str, int])
    truncated: int = 0
    first_ts: datetime | None = None
    last_ts: datetime | None = None
    rejected: int = 0
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    refusal: tuple[str, str] | None = None
    route: str = "fast"

    @property
    def lines(self) -> int:
        """Lines that are accounted for."""
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


class BatchDecoding:
    """The files of one batch on their way through a decoder.

    Attributes:
        rows: staged rows of `table`.
        rejected: staged rows of `capture.quarantine`.
        moved: paths that changed while they were read, with the reason; nothing of them is staged.
        balances: what became of each file's lines, by delivery.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        lake: Lake,
        partition: Partition,
        entry: SourceEntry,
        deliveries: Sequence[Delivery],
        first_day: date,
    ) -> None:
        self._con = con
        self._lake = lake
        self._partition = partition
        self._decoder = entry.decoder()
        self._kind: RowKind = (
            ObservationRows(con, partition.plant) if entry.record is None else RecordRows(entry.record, entry.timezone)
        )
        self._deliveries = dict(enumerate(deliveries))
        self._balances = {number: Balance() for number in self._deliveries}
        # A bound that is a column stays out of the decoder's query; a constant would be pushed into it, and the
        # timestamp computed twice.
        self._within = "d.ts >= b.ts_from AND d.ts < b.ts_before"
        self._first_day = first_day
        self.rows: list[StagedFile] = []
        self.rejected: list[StagedFile] = []
        self.moved: dict[str, str] = {}

    @property
    def table(self) -> Table:
        """The table that the lines become rows of."""
        return self._kind.table

    def decode(self, work: Path) -> BatchDecoding:
        """Stage the rows of all files; what cannot be decoded ends in `rejected` or in a refusal.

        Args:
            work: folder for samples; the tables ``batch`` and ``known_tags`` of the connection are replaced.
        """
        self._load_known_tags()
        self._make_batch_table()
        plain = [n for n, d in self._deliveries.items() if d.surveyed is not None and d.surveyed.plain]
        if plain and self._kind.needs_sample:
            self._learn_sample(plain, work)
        if plain:
            self._fast(plain)
        for number in sorted(set(self._deliveries) - set(plain)):
            self._exact(number)
        self._check_in_place()
        return self

    def outcomes(self) -> list[tuple[Delivery, Balance, str]]:
        """Each file with its balance and the route it took, such as ``shdr/fast``."""
        return [
            (delivery, self._balances[number], f"{self._decoder.name}/{self._balances[number].route}")
            for number, delivery in self._deliveries.items()
        ]

    # Names

    def _load_known_tags(self) -> None:
        """Names that are known, so that only new ones cost a hash per row."""
        self._con.execute(
            f"CREATE OR REPLACE TABLE known_tags AS SELECT DISTINCT signal_id, source, tag"
            f" FROM ({self._lake.relation(tables.TAGS)}) WHERE plant = {literal(self._partition.plant)}"
        ).fetchall()

    def _learn_sample(self, numbers: Sequence[int], work: Path) -> None:
        """Learn the names in the first lines of every file."""
        samples: list[PreparedFile] = []
        for number in numbers:
            file = self._prepared(number)
            with file.text.open("rb") as text:
                head = text.read(SAMPLE_BYTES)
            head = head[: head.rfind(b"\n") + 1]
            if head:
                path = work / f"sample-{number}"
                path.write_bytes(head)
                samples.append(PreparedFile(number, path, file.source, head.count(b"\n"), file.plain))
        if samples:
            self._kind.learn(self._decoder.fast(self._con, samples).rows)

    # Routes

    def _prepared(self, number: int) -> PreparedFile:
        delivery = self._deliveries[number]
        assert delivery.surveyed is not None, "only readable deliveries are decoded"
        surveyed = delivery.surveyed
        return PreparedFile(number, surveyed.text, delivery.claimed.claim.source, surveyed.lines, surveyed.plain)

    def _fast(self, numbers: Sequence[int]) -> None:
        """Decode clean files in parallel groups; files that fail take the exact path."""
        groups = _groups({n: self._size(n) for n in numbers})
        decodings = [self._decoder.fast(self._con, [self._prepared(n) for n in group]) for group in groups]
        with ThreadPoolExecutor(len(groups)) as pool:
            staged = list(pool.map(self._try_stage, [d.rows for d in decodings]))
        for group, decoding, file in zip(groups, decodings, staged, strict=True):
            attempt = None if file is None else self._try_balance(file, decoding, group)
            if attempt is not None:
                self._keep(attempt)
            elif len(group) == 1:
                self._exact(group[0])
            else:
                half = len(group) // 2
                self._fast(group[:half])
                self._fast(group[half:])

    def _size(self, number: int) -> int:
        surveyed = self._deliveries[number].surveyed
        return 0 if surveyed is None else surveyed.text_bytes

    def _try_stage(self, decoded: str) -> StagedFile | None:
        """Stage on a connection of its own; None when the reader objects."""
        with self._con.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'").fetchall()
            try:
                return self._stage(cursor, decoded)
            except duckdb.Error:
                return None

    def _try_balance(self, staged: StagedFile, decoding: Decoding, numbers: Sequence[int]) -> Attempt | None:
        """Account for the lines of a fast decoding; None, with nothing kept, when they do not add up."""
        try:
            attempt = self._account(staged, decoding, numbers)
        except duckdb.Error:
            discard([staged])
            return None
        if any(balance.lines != self._prepared(number).lines for number, balance in attempt.balances.items()):
            discard(attempt.files())
            return None
        return attempt

    def _exact(self, number: int) -> None:
        """Decode one file line by line in meaning; if even that fails, the file is refused as a whole."""
        file = self._prepared(number)
        try:
            decoding = self._decoder.exact(self._con, file)
            attempt = self._account(self._stage(self._con, decoding.rows), decoding, [number])
        except duckdb.Error as error:
            self._refuse(number, DECODER_FAILED, f"the {self._decoder.name} decoder stopped: {error}")
            return
        balance = attempt.balances[number]
        if balance.lines != file.lines:
            discard(attempt.files())
            self._refuse(
                number,
                UNBALANCED,
                f"{file.lines} lines were read, but {balance.decoded_lines} decoded, {balance.rejected} rejected"
                f" and {sum(balance.skipped.values())} skipped",
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
            f"({n}, {d.key}, {literal(d.path)}, {start}, {literal(d.arrived_at + CLOCK_TOLERANCE)})"
            for n, d in self._deliveries.items()
        )
        self._con.execute(
            f"CREATE OR REPLACE TABLE batch AS SELECT * FROM (VALUES {rows})"
            " AS v(number, capture_key, path, ts_from, ts_before)"
        ).fetchall()

    def _stage(self, con: duckdb.DuckDBPyConnection, decoded: str) -> StagedFile:
        return self._lake.stage(con, self._kind.table, self._kind.keyed(decoded, self._within), self._partition)

    def _account(self, staged: StagedFile, decoding: Decoding, numbers: Sequence[int]) -> Attempt:
        """Count what became of the lines; rejected ones are looked for only where lines are missing."""
        try:
            self._kind.learn_staged(staged, decoding)
            balances = self._count(staged, decoding, numbers)
            if all(balance.lines == self._prepared(number).lines for number, balance in balances.items()):
                return Attempt(balances, staged)
            return Attempt(balances, staged, self._stage_rejected(staged, decoding, balances))
        except BaseException:
            discard([staged])
            raise

    def _count(self, staged: StagedFile, decoding: Decoding, numbers: Sequence[int]) -> dict[int, Balance]:
        balances = {number: Balance() for number in numbers}
        counted = self._con.sql(
            f"SELECT b.number, lines, made, truncated, first_ts, last_ts FROM (SELECT capture_key,"
            f" count(*) FILTER ({self._kind.first_of_line}) AS lines, count(*) AS made,"
            f" count(*) FILTER (ts_truncated) AS truncated, min(ts) AS first_ts, max(ts) AS last_ts"
            f" FROM read_parquet({literal(str(staged.path))}) GROUP BY capture_key) JOIN batch b USING (capture_key)"
        ).fetchall()
        for number, lines, made, truncated, first, last in counted:
            balance = balances[number]
            balance.decoded_lines, balance.made[self._kind.counted], balance.truncated = lines, made, truncated
            balance.first_ts, balance.last_ts = first.astimezone(UTC), last.astimezone(UTC)
        for number, reason, lines in self._con.sql(decoding.skipped).fetchall():
            if lines:
                balances[number].skipped[reason] = balances[number].skipped.get(reason, 0) + lines
        return balances

    def _stage_rejected(self, decoded: StagedFile, decoding: Decoding, balances: Mapping[int, Balance]) -> StagedFile:
        """Stage the rejected lines and those with a time that cannot be, and count them per file."""
        lines = decoding.lines_without(
            f"SELECT b.number AS file, o.line FROM read_parquet({literal(str(decoded.path))}) o"
            f" JOIN batch b USING (capture_key)",
            max(self._prepared(number).lines for number in balances),
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
            f"SELECT b.capture_key, b.path, r.line, left(r.payload, {PAYLOAD_CHARACTERS}) AS payload, r.reason,"
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

    # Files that moved

    def _check_in_place(self) -> None:
        """Drop the batch's files that changed while they were read in place; they are taken when they settle."""
        for number, delivery in list(self._deliveries.items()):
            assert delivery.surveyed is not None, "only readable deliveries are decoded"
            try:
                check_unmoved(delivery.surveyed)
            except CaptureMoved as error:
                self.moved[delivery.path] = str(error)
                del self._deliveries[number]
        if self.moved:
            self._drop_moved()

    def _drop_moved(self) -> None:
        keys = {delivery.key for delivery in self._deliveries.values()}
        among = f"capture_key IN ({', '.join(map(str, keys)) or 'NULL'})"
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
