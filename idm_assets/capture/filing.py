"""Filing captures: decode landed files and put their rows into one arrival partition, each line accounted for.

A capture is filed once. What is new is appended; what has to be decoded anew (another decoder version, a run
that died half-way) replaces its former rows in the same commit. Clean files are decoded together by the
vectorised reader. A file that fails there, or whose lines do not add up, goes through the exact path alone.

Belongs here: the way from landed files to the tables of the capture layer. Does not belong here: which files
are taken (`intake`), what a format means (`decoders`), Dagster.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

import duckdb

from idm_assets.capture import tables
from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.intake import ClaimedFile, capture_key
from idm_assets.capture.reasons import explained
from idm_assets.capture.sources import SourceEntry
from idm_assets.capture.survey import CaptureMoved, Limits, Surveyed, UnreadableCapture, check_unmoved, survey
from idm_assets.contracts import Partition, Table, columns_of
from idm_assets.sql import content_hash, identifier, literal, signal_id
from resources.lake import Lake, PartitionChangedError, StagedFile, discard
from resources.ledger import CaptureDay, CaptureRecord, KnownCapture, Ledger

BATCH_FILES: Final = 500
BATCH_BYTES: Final = 4 << 30
COMPACT_FROM_FILES: Final = 32
DICTIONARY_SAMPLE: Final = 200_000
CLOCK_TOLERANCE: Final = timedelta(days=1)
PAYLOAD_CHARACTERS: Final = 65_536

OUT_OF_BOUNDS: Final = "timestamp_out_of_bounds"
UNBALANCED: Final = "decoder_unbalanced"
DECODER_FAILED: Final = "decoder_failed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A landed file whose bytes are known.

    Attributes:
        claimed: the file and its declaration.
        key: capture key.
        sha256: SHA-256 of the bytes as delivered.
        size: size as delivered, in bytes.
        arrived_at: when it was first seen complete.
        surveyed: the survey, unless the file cannot be read as a whole.
        refusal: why it cannot be read as a whole: reason code and detail.
    """

    claimed: ClaimedFile
    key: int
    sha256: str
    size: int
    arrived_at: datetime
    surveyed: Surveyed | None = None
    refusal: tuple[str, str] | None = None

    @property
    def path(self) -> str:
        """Path below the plant's landing folder."""
        return self.claimed.file.path

    @property
    def entry(self) -> SourceEntry:
        """The declaration that reads it."""
        return self.claimed.claim.entry


@dataclass
class Filed:
    """What became of the files of one call.

    Attributes:
        captures: rows of `capture.captures` that were written.
        repeats: paths whose capture was filed before and was not decoded again.
        left: paths left for later, with the reason.
    """

    captures: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    repeats: list[str] = field(default_factory=list[str])
    left: dict[str, str] = field(default_factory=dict[str, str])

    def total(self, column: str) -> int:
        """Sum of a numeric column over the written captures."""
        return sum(int(str(row[column])) for row in self.captures)


@dataclass(frozen=True, slots=True)
class FilingCabinet:
    """Files captures into one arrival partition.

    Attributes:
        con: connection; its temporary tables ``batch`` and ``known_tags`` are replaced.
        lake: where rows go.
        ledger: where captures are recorded.
        landing: the plant's landing folder.
        work: folder for unpacked text.
        partition: plant and UTC arrival day.
        first_day: observations before this day are out of bounds.
        run_id: recorded with every commit.
        limits: what a file may ask of us.
    """

    con: duckdb.DuckDBPyConnection
    lake: Lake
    ledger: Ledger
    landing: Path
    work: Path
    partition: Partition
    first_day: date
    run_id: str
    limits: Limits = field(default_factory=Limits)

    def file(self, claimed: Sequence[ClaimedFile], arrived_at: datetime, *, again: bool = False) -> Filed:
        """Decode landed files and commit their rows; files of one declaration are decoded in batches.

        Args:
            claimed: complete files with their declarations.
            arrived_at: arrival time of captures that are seen for the first time; inside of the partition.
            again: decode captures of this partition anew even if they are filed as they should be.
        """
        filed = Filed()
        for entry, files in _by_entry(claimed):
            for batch in _batches(files):
                with _work_folder(self.work) as folder:
                    deliveries = self._surveyed(batch, arrived_at, folder, filed, again=again)
                    if deliveries:
                        self._file_batch(entry, deliveries, filed)
        return filed

    def _surveyed(
        self, batch: Sequence[ClaimedFile], arrived_at: datetime, folder: Path, filed: Filed, *, again: bool
    ) -> list[Delivery]:
        """Survey files; drop those that were filed before or moved. One delivery per capture key."""
        found: dict[int, Delivery] = {}
        for file in batch:
            try:
                delivery = _deliver(file, self.landing / file.file.path, folder, arrived_at, self.limits)
            except (CaptureMoved, OSError) as error:
                filed.left[file.file.path] = str(error)
                continue
            if delivery.key in found:
                filed.repeats.append(file.file.path)
                continue
            found[delivery.key] = delivery
        known = self.ledger.known_captures(self.partition.plant, found)
        kept: list[Delivery] = []
        for key, delivery in found.items():
            former = known.get(key)
            if former is not None and not self._must_decode(former, delivery, again=again):
                self._repeat(delivery)
                filed.repeats.append(delivery.path)
            elif former is not None:
                kept.append(_arrived(delivery, former.arrived_at))
            else:
                kept.append(delivery)
        return kept

    def _must_decode(self, former: KnownCapture, delivery: Delivery, *, again: bool) -> bool:
        """Whether a known capture is decoded again: asked for, or filed by other rules; only in its own day."""
        here = former.arrived_on == self.partition.day
        return here and (again or former.decoder_fingerprint != delivery.entry.fingerprint())

    def _repeat(self, delivery: Delivery) -> None:
        file = delivery.claimed.file
        self.ledger.record_repeat(file.plant, file.path, file.size, file.mtime_ns, delivery.key)

    def _file_batch(self, entry: SourceEntry, deliveries: Sequence[Delivery], filed: Filed) -> None:
        """Decode, commit and record one batch: data first, ledger after."""
        readable = [d for d in deliveries if d.surveyed is not None]
        unpacked = _Decoded(self, entry, readable).decode()
        filed.left |= unpacked.moved
        rejected_whole = [d for d in deliveries if d.refusal is not None]
        rows = [_whole_file_row(d) for d in rejected_whole] + unpacked.capture_rows()
        if not rows:
            return
        self._commit(unpacked, rows, _refusal_rows(rejected_whole) + unpacked.refusals())
        by_key = {d.key: d for d in deliveries}
        days = self._days(unpacked.staged)
        self.ledger.record_captures([_record(by_key[int(str(row["capture_key"]))], row, days) for row in rows])
        filed.captures += rows

    def _commit(self, decoded: _Decoded, rows: list[dict[str, object]], whole: list[dict[str, object]]) -> None:
        keys = [int(str(row["capture_key"])) for row in rows]
        self._merge(tables.OBSERVATIONS, decoded.staged, keys)
        self._merge(tables.QUARANTINE, [*decoded.rejected, *self._stage_rows(tables.QUARANTINE, whole)], keys)
        self._merge_tags(decoded.staged)
        self._merge(tables.CAPTURES, self._stage_rows(tables.CAPTURES, rows), keys)

    def _stage_rows(self, table: Table, rows: list[dict[str, object]]) -> list[StagedFile]:
        if not rows:
            return []
        values = {"plant": self.partition.plant, "arrived_on": self.partition.day}
        frame = columns_of([values | row for row in rows], table)
        self.con.register("rows_to_file", frame)
        try:
            return [self.lake.stage(self.con, table, "SELECT * FROM rows_to_file", self.partition)]
        finally:
            self.con.unregister("rows_to_file")

    def _merge(self, table: Table, staged: list[StagedFile], keys: Sequence[int]) -> None:
        """Add staged rows of some captures to the partition, in place of what it holds of them."""
        for _ in range(10):
            live = self.lake.live_files(table, [self.partition])
            kept = self._without(table, live, keys)
            compacted = kept is None and len(live) >= COMPACT_FROM_FILES
            if compacted:
                kept = [self._restaged(table, live, "true")]
            adds = [*staged, *(kept or [])]
            try:
                self.lake.commit(
                    table,
                    self.partition,
                    [f for f in adds if f.rows],
                    live if kept is not None else [],
                    self.run_id,
                )
            except PartitionChangedError:
                discard(kept or [])
                continue
            discard(f for f in adds if not f.rows)
            return
        raise PartitionChangedError(f"{table.qualified_name} {self.partition}: others keep changing it; run it again")

    def _without(self, table: Table, live: Sequence[Path], keys: Sequence[int]) -> list[StagedFile] | None:
        """The partition's rows but those of some captures, staged anew; None if it holds none of these."""
        if not live:
            return None
        among = f"capture_key IN ({', '.join(map(str, keys))})"
        held = self.con.sql(
            f"SELECT count(*) FILTER ({among}) FROM ({self.lake.relation_over(table, live)})"
        ).fetchall()[0][0]
        return [self._restaged(table, live, f"NOT ({among})")] if held else None

    def _restaged(self, table: Table, live: Sequence[Path], condition: str) -> StagedFile:
        query = f"SELECT * FROM ({self.lake.relation_over(table, live)}) WHERE {condition}"
        return self.lake.stage(self.con, table, query, self.partition)

    def _merge_tags(self, staged: Sequence[StagedFile]) -> None:
        """Keep the names of all signals that the partition speaks of."""
        if not staged:
            return
        live = self.lake.live_files(tables.TAGS, [self.partition])
        heard = " UNION ".join(f"SELECT signal_id FROM read_parquet({literal(str(f.path))})" for f in staged)
        query = (
            f"SELECT signal_id, source, tag FROM ({self.lake.relation_over(tables.TAGS, live)})"
            f" UNION SELECT signal_id, source, tag FROM known_tags WHERE signal_id IN ({heard})"
        )
        file = self.lake.stage(self.con, tables.TAGS, query, self.partition)
        self.lake.replace(tables.TAGS, file, self.run_id, self.partition)

    def _days(self, staged: Sequence[StagedFile]) -> dict[int, list[CaptureDay]]:
        """What each capture says of each source and event day, with a hash of just those rows."""
        days: dict[int, list[CaptureDay]] = defaultdict(list)
        columns = ("line", "part", "signal_id", "ts", "value", "text", "status", "detail")
        for file in staged:
            rows = self.con.sql(
                f"SELECT capture_key, k.source, o.ts::DATE AS day, count(*), {content_hash(columns)}"
                f" FROM (SELECT capture_key, {', '.join(map(identifier, columns))}"
                f" FROM read_parquet({literal(str(file.path))})) o JOIN known_tags k USING (signal_id)"
                f" GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            for key, source, day, count, fingerprint in rows:
                days[key].append(CaptureDay(source, day, count, fingerprint))
        return days


@dataclass
class _FileBalance:
    """What became of one file's lines."""

    decoded_lines: int = 0
    observations: int = 0
    truncated: int = 0
    first_ts: datetime | None = None
    last_ts: datetime | None = None
    rejected: int = 0
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    refusal: tuple[str, str] | None = None
    route: str = "fast"

    @property
    def lines(self) -> int:
        return self.decoded_lines + self.rejected + sum(self.skipped.values())


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What one decoding of some files gave."""

    observations: StagedFile
    balances: dict[int, _FileBalance]
    rejected: StagedFile | None = None

    def files(self) -> list[StagedFile]:
        return [self.observations] if self.rejected is None else [self.observations, self.rejected]


class _Decoded:
    """The files of one batch on their way through a decoder."""

    def __init__(self, cabinet: FilingCabinet, entry: SourceEntry, deliveries: Sequence[Delivery]) -> None:
        self._cabinet = cabinet
        self._con = cabinet.con
        self._entry = entry
        self._decoder = entry.decoder()
        self._deliveries = dict(enumerate(deliveries))
        self._balances = {number: _FileBalance() for number in self._deliveries}
        self.staged: list[StagedFile] = []
        self.rejected: list[StagedFile] = []
        self.moved: dict[str, str] = {}

    def decode(self) -> _Decoded:
        """Stage the observations of all files; what cannot be decoded ends in `rejected` or in a refusal."""
        if not self._deliveries:
            return self
        self._load_known_tags()
        plain = [number for number, d in self._deliveries.items() if d.surveyed is not None and d.surveyed.plain]
        pending = [number for number in self._deliveries if number not in plain]
        if plain and not self._fast(plain):
            pending += plain
        for number in sorted(pending):
            self._exact(number)
        self._check_in_place()
        return self

    def capture_rows(self) -> list[dict[str, object]]:
        """Rows of `capture.captures` for the files of the batch."""
        return [
            _capture_row(d, self._balances[number], f"{self._decoder.name}/{self._balances[number].route}")
            for number, d in self._deliveries.items()
        ]

    def refusals(self) -> list[dict[str, object]]:
        """Quarantine rows for the files that no path could decode."""
        refused = [(d, self._balances[n].refusal) for n, d in self._deliveries.items()]
        return [_refusal_row(d, refusal) for d, refusal in refused if refusal is not None]

    def _prepared(self, number: int) -> PreparedFile:
        delivery = self._deliveries[number]
        assert delivery.surveyed is not None, "only readable deliveries are decoded"
        surveyed = delivery.surveyed
        source = delivery.claimed.claim.source
        return PreparedFile(number, surveyed.text, source, surveyed.lines, surveyed.plain)

    def _load_known_tags(self) -> None:
        """Names that are known, so that only new ones cost a hash per row."""
        cabinet = self._cabinet
        known = cabinet.lake.relation(tables.TAGS)
        self._con.execute(
            f"CREATE OR REPLACE TEMP TABLE known_tags AS SELECT DISTINCT signal_id, source, tag FROM ({known})"
            f" WHERE plant = {literal(cabinet.partition.plant)}"
        ).fetchall()

    def _learn_tags(self, observations: str, limit: int | None = None) -> None:
        bounded = f"SELECT source, tag FROM ({observations})" + (f" LIMIT {limit}" if limit else "")
        plant = literal(self._cabinet.partition.plant)
        self._con.execute(
            f"INSERT INTO known_tags SELECT {signal_id(plant, 'source', 'tag')}, source, tag FROM"
            f" (SELECT DISTINCT source, tag FROM ({bounded})) d ANTI JOIN known_tags k USING (source, tag)"
        ).fetchall()

    def _fast(self, numbers: Sequence[int]) -> bool:
        """Decode clean files together; False, with nothing kept, when the reader or the balance objects."""
        files = [self._prepared(number) for number in numbers]
        try:
            attempt = self._run(self._decoder.fast(self._con, files), numbers)
        except duckdb.Error:
            return False
        if any(attempt.balances[number].lines != file.lines for number, file in zip(numbers, files, strict=True)):
            discard(attempt.files())
            return False
        self._keep(attempt)
        return True

    def _exact(self, number: int) -> None:
        """Decode one file line by line in meaning; if even that fails, the file is refused as a whole."""
        file = self._prepared(number)
        try:
            attempt = self._run(self._decoder.exact(self._con, file), [number])
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
        self._balances[number] = _FileBalance(refusal=(reason, detail), route="refused")

    def _keep(self, attempt: _Attempt) -> None:
        self._balances.update(attempt.balances)
        for file in attempt.files():
            if not file.rows:
                discard([file])
        self.staged += [attempt.observations] if attempt.observations.rows else []
        self.rejected += [attempt.rejected] if attempt.rejected is not None and attempt.rejected.rows else []

    def _run(self, decoding: Decoding, numbers: Sequence[int]) -> _Attempt:
        """Stage what some files decode to; rejected lines are looked for only where lines are missing."""
        cabinet = self._cabinet
        self._make_batch_table(numbers)
        self._learn_tags(decoding.observations, DICTIONARY_SAMPLE)
        plant = literal(cabinet.partition.plant)
        within = f"d.ts >= {literal(datetime.combine(cabinet.first_day, time(), UTC))} AND d.ts < b.ts_before"
        joined = (
            f"SELECT b.capture_key, d.line, d.part, coalesce(k.signal_id, {signal_id(plant, 'd.source', 'd.tag')})"
            f" AS signal_id, d.ts, d.ts_truncated, d.value, d.text, d.status, d.detail"
            f" FROM ({decoding.observations}) d JOIN batch b ON d.file = b.number"
            f" LEFT JOIN known_tags k ON d.source = k.source AND d.tag = k.tag WHERE {within}"
        )
        staged = cabinet.lake.stage(self._con, tables.OBSERVATIONS, joined, cabinet.partition)
        try:
            self._learn_new_tags(staged, decoding)
            balances = self._count(staged, decoding, numbers)
            if all(balance.lines == self._prepared(number).lines for number, balance in balances.items()):
                return _Attempt(staged, balances)
            return _Attempt(staged, balances, self._stage_rejected(decoding, within, balances))
        except BaseException:
            discard([staged])
            raise

    def _stage_rejected(self, decoding: Decoding, within: str, balances: Mapping[int, _FileBalance]) -> StagedFile:
        """Stage the rejected lines and those with a time that cannot be, and count them per file."""
        outside = (
            f"SELECT d.file, d.line, json_object('source', d.source, 'tag', d.tag, 'ts', d.ts::VARCHAR,"
            f" 'value', d.value, 'text', d.text)::VARCHAR AS payload, {literal(OUT_OF_BOUNDS)} AS reason,"
            f" 'accepted from {self._cabinet.first_day} to one day after arrival' AS detail"
            f" FROM ({decoding.observations}) d JOIN batch b ON d.file = b.number WHERE d.part = 1 AND NOT ({within})"
        )
        query = (
            f"SELECT b.capture_key, b.path, r.line, left(r.payload, {PAYLOAD_CHARACTERS}) AS payload, r.reason,"
            f" {explained('r.reason', 'r.detail')} AS detail FROM (SELECT * FROM ({decoding.rejected}) UNION ALL {outside}) r"
            f" JOIN batch b ON r.file = b.number"
        )
        staged = self._cabinet.lake.stage(self._con, tables.QUARANTINE, query, self._cabinet.partition)
        counted = self._con.sql(
            f"SELECT b.number, count(*) FROM read_parquet({literal(str(staged.path))}) JOIN batch b USING (capture_key)"
            f" GROUP BY b.number"
        ).fetchall()
        for number, lines in counted:
            balances[number].rejected = lines
        return staged

    def _make_batch_table(self, numbers: Sequence[int]) -> None:
        rows = ", ".join(
            f"({n}, {self._deliveries[n].key}, {literal(self._deliveries[n].path)},"
            f" {literal(self._deliveries[n].arrived_at + CLOCK_TOLERANCE)})"
            for n in numbers
        )
        self._con.execute(
            f"CREATE OR REPLACE TEMP TABLE batch AS SELECT * FROM (VALUES {rows})"
            " AS v(number, capture_key, path, ts_before)"
        ).fetchall()

    def _learn_new_tags(self, staged: StagedFile, decoding: Decoding) -> None:
        unnamed = self._con.sql(
            f"SELECT count(*) FROM (SELECT DISTINCT signal_id FROM read_parquet({literal(str(staged.path))})) s"
            f" ANTI JOIN known_tags k USING (signal_id)"
        ).fetchall()[0][0]
        if unnamed:
            self._learn_tags(decoding.observations)

    def _count(self, staged: StagedFile, decoding: Decoding, numbers: Sequence[int]) -> dict[int, _FileBalance]:
        balances = {number: _FileBalance() for number in numbers}
        counted = self._con.sql(
            f"SELECT b.number, count(*) FILTER (part = 1), count(*), count(*) FILTER (ts_truncated), min(ts), max(ts)"
            f" FROM read_parquet({literal(str(staged.path))}) o JOIN batch b USING (capture_key) GROUP BY b.number"
        ).fetchall()
        for number, lines, observations, truncated, first, last in counted:
            balance = balances[number]
            balance.decoded_lines, balance.observations, balance.truncated = lines, observations, truncated
            balance.first_ts, balance.last_ts = first.astimezone(UTC), last.astimezone(UTC)
        for number, reason, lines in self._con.sql(decoding.skipped).fetchall():
            if lines:
                balances[number].skipped[reason] = balances[number].skipped.get(reason, 0) + lines
        return balances

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
        self.staged = [self._filtered(tables.OBSERVATIONS, file, among) for file in self.staged]
        self.rejected = [self._filtered(tables.QUARANTINE, file, among) for file in self.rejected]

    def _filtered(self, table: Table, file: StagedFile, condition: str) -> StagedFile:
        query = f"SELECT * FROM read_parquet({literal(str(file.path))}) WHERE {condition}"
        kept = self._cabinet.lake.stage(self._con, table, query, self._cabinet.partition)
        discard([file])
        return kept


def _deliver(claimed: ClaimedFile, path: Path, folder: Path, arrived_at: datetime, limits: Limits) -> Delivery:
    plant = claimed.file.plant
    try:
        surveyed = survey(path, folder, limits)
    except UnreadableCapture as error:
        if error.sha256 is None:
            raise OSError(f"{path}: {error.detail}") from error
        key = capture_key(plant, claimed.claim, error.sha256)
        size = error.size_bytes or 0
        return Delivery(claimed, key, error.sha256, size, arrived_at, None, (error.reason, error.detail))
    key = capture_key(plant, claimed.claim, surveyed.sha256)
    return Delivery(claimed, key, surveyed.sha256, surveyed.size_bytes, arrived_at, surveyed)


def _arrived(delivery: Delivery, arrived_at: datetime) -> Delivery:
    return Delivery(
        delivery.claimed,
        delivery.key,
        delivery.sha256,
        delivery.size,
        arrived_at,
        delivery.surveyed,
        delivery.refusal,
    )


def _by_entry(claimed: Iterable[ClaimedFile]) -> Iterator[tuple[SourceEntry, list[ClaimedFile]]]:
    groups: dict[str, list[ClaimedFile]] = defaultdict(list)
    for file in claimed:
        groups[file.claim.entry.name].append(file)
    for name in sorted(groups):
        yield groups[name][0].claim.entry, groups[name]


def _batches(files: Sequence[ClaimedFile]) -> Iterator[list[ClaimedFile]]:
    batch: list[ClaimedFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= BATCH_FILES or size + file.file.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.file.size
    if batch:
        yield batch


@contextmanager
def _work_folder(work: Path) -> Generator[Path]:
    work.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="filing-", dir=work))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _capture_row(delivery: Delivery, balance: _FileBalance, decoder: str) -> dict[str, object]:
    return {
        "capture_key": delivery.key, "source_entry": delivery.entry.name,
        "source": delivery.claimed.claim.source, "path": delivery.path, "content_hash": delivery.sha256,
        "size_bytes": delivery.size, "arrived_at": delivery.arrived_at,
        "standing": "rejected" if balance.refusal else "decoded", "lines": balance.lines,
        "decoded_lines": balance.decoded_lines, "observations": balance.observations,
        "quarantined": balance.rejected, "skipped": sum(balance.skipped.values()),
        "skipped_reasons": json.dumps(balance.skipped, sort_keys=True),
        "truncated_timestamps": balance.truncated, "first_ts": balance.first_ts, "last_ts": balance.last_ts,
        "decoder": decoder,
    }  # fmt: skip


def _whole_file_row(delivery: Delivery) -> dict[str, object]:
    balance = _FileBalance(refusal=delivery.refusal)
    return _capture_row(delivery, balance, f"{delivery.entry.format}/refused")


def _refusal_rows(deliveries: Iterable[Delivery]) -> list[dict[str, object]]:
    return [_refusal_row(d, d.refusal) for d in deliveries if d.refusal is not None]


def _refusal_row(delivery: Delivery, refusal: tuple[str, str]) -> dict[str, object]:
    reason, detail = refusal
    return {
        "capture_key": delivery.key, "path": delivery.path, "line": None, "payload": None,
        "reason": reason, "detail": detail,
    }  # fmt: skip


def _record(delivery: Delivery, row: Mapping[str, object], days: Mapping[int, list[CaptureDay]]) -> CaptureRecord:
    file = delivery.claimed.file
    return CaptureRecord(
        delivery.key, file.plant, delivery.arrived_at, delivery.entry.name, delivery.claimed.claim.source,
        delivery.path, file.size, file.mtime_ns, delivery.sha256, str(row["standing"]),
        delivery.entry.fingerprint(), _instant(row["last_ts"]), tuple(days.get(delivery.key, ())),
    )  # fmt: skip


def _instant(value: object) -> datetime | None:
    assert value is None or isinstance(value, datetime), "times of a capture are instants"
    return value
