"""Filing captures: decode landed files and put their rows into one arrival partition, each line accounted for.

A capture is filed once. What is new is appended; what has to be decoded anew (another decoder version, a run
that died half-way) replaces its former rows in the same commit.

Belongs here: the way from landed files to the tables of the capture layer and the ledger. Does not belong here:
which files are taken (`intake`), how they are decoded (`batch_decoding`), Dagster.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import Path
from typing import Final

import duckdb

from idm_assets.capture import tables
from idm_assets.capture.batch_decoding import UNBALANCED, Balance, BatchDecoding, Workplace
from idm_assets.capture.deliveries import Delivered, Delivery, deliver, first_arrived
from idm_assets.capture.intake import ClaimedFile, capture_key
from idm_assets.capture.sources import SourceEntry
from idm_assets.capture.survey import CaptureMoved, Limits
from idm_assets.contracts import Partition, Table, columns_of
from idm_assets.sql import content_hash, identifier, literal
from resources.archive import Archive, DeliveryChangedError, EntryDamagedError, EntryMissingError
from resources.lake import Lake, PartitionChangedError, StagedFile, discard
from resources.landing_zone import LandingZone
from resources.ledger import CaptureDay, CaptureRecord, KnownCapture, Ledger

BATCH_FILES: Final = 500
BATCH_BYTES: Final = 4 << 30
COMPACT_FROM_FILES: Final = 32


@dataclass
class Filed:
    """What became of the files of one call.

    Attributes:
        captures: rows of `capture.captures` that were written.
        repeats: paths whose capture was filed before and was not decoded again.
        left: paths left for later, with the reason.
        archives: landed archives whose members are being filed.
        ignored: entries of archives that are no data, such as ``.DS_Store``.
    """

    captures: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    repeats: list[str] = field(default_factory=list[str])
    left: dict[str, str] = field(default_factory=dict[str, str])
    archives: list[Delivered] = field(default_factory=list[Delivered])
    ignored: list[str] = field(default_factory=list[str])

    def total(self, column: str) -> int:
        """Sum of a numeric column over the written captures."""
        return sum(int(str(row[column])) for row in self.captures)


@dataclass(frozen=True, slots=True)
class FilingCabinet:
    """Files captures into one arrival partition.

    Attributes:
        con: connection; its tables ``batch`` and ``known_tags`` are replaced.
        lake: where rows go.
        ledger: where captures are recorded.
        landing_zone: where the files are.
        archive: where each landed file is kept, and taken from when the landing zone no longer has it.
        work: folder for unpacked text.
        partition: plant and UTC arrival day.
        first_day: observations before this day are out of bounds.
        run_id: recorded with every commit.
        limits: what a file may ask of us.
    """

    con: duckdb.DuckDBPyConnection
    lake: Lake
    ledger: Ledger
    landing_zone: LandingZone
    archive: Archive
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
                        self._file_batch(entry, deliveries, folder, filed)
                    self._record_archives(filed)
        return filed

    def _record_archives(self, filed: Filed) -> None:
        """Record landed archives whose members were all filed; a member that is no longer in one counts no more."""
        for archive in filed.archives:
            file = archive.claimed.file
            paths = {delivery.path for delivery in archive.deliveries}
            if not paths & filed.left.keys():
                key = capture_key(file.plant, archive.claimed.claim, archive.sha256)
                self.ledger.record_archive(file.plant, file.path, file.size, file.mtime_ns, key, paths)
        filed.archives.clear()

    def _surveyed(
        self, batch: Sequence[ClaimedFile], arrived_at: datetime, folder: Path, filed: Filed, *, again: bool
    ) -> list[Delivery]:
        """Survey and keep files; drop captures that were filed before. One delivery per capture key."""
        found: dict[int, Delivery] = {}
        archives: list[Delivered] = []
        for file in batch:
            try:
                delivered = self._delivered(file, arrived_at, folder)
            except (CaptureMoved, DeliveryChangedError, EntryMissingError, EntryDamagedError, OSError) as error:
                filed.left[file.file.path] = str(error)
                continue
            archives += [delivered] if delivered.is_archive else []
            filed.ignored += [f"{file.file.path}/{name}" for name in delivered.ignored]
            for delivery in delivered.deliveries:
                if delivery.key in found:
                    filed.repeats.append(delivery.path)
                else:
                    found[delivery.key] = delivery
        known = self.ledger.known_captures(self.partition.plant, found)
        kept: list[Delivery] = []
        for key, delivery in found.items():
            former = known.get(key)
            if former is not None and not self._must_decode(former, delivery, again=again):
                self._repeat(delivery)
                filed.repeats.append(delivery.path)
            elif former is not None:
                kept.append(first_arrived(delivery, former.arrived_at))
            else:
                kept.append(delivery)
        filed.archives += archives
        return kept

    def _delivered(self, claimed: ClaimedFile, arrived_at: datetime, folder: Path) -> Delivered:
        """Survey a file and keep it in the archive, or take it from there."""
        if claimed.kept_as is not None:
            path = self.archive.restore(claimed.kept_as, folder)
            return deliver(claimed, path, folder, arrived_at, self.limits)
        path = self.landing_zone.locate(claimed.file.plant, claimed.file.path)
        delivered = deliver(claimed, path, folder, arrived_at, self.limits)
        self.archive.keep(path, delivered.sha256)
        return delivered

    def _must_decode(self, former: KnownCapture, delivery: Delivery, *, again: bool) -> bool:
        """Whether a known capture is decoded again: asked for, or filed by other rules; only in its own day."""
        here = former.arrived_on == self.partition.day
        return here and (again or former.decoder_fingerprint != delivery.entry.fingerprint())

    def _repeat(self, delivery: Delivery) -> None:
        file = delivery.claimed.file
        self.ledger.record_repeat(file.plant, file.path, file.size, file.mtime_ns, delivery.key)

    def _file_batch(self, entry: SourceEntry, deliveries: Sequence[Delivery], folder: Path, filed: Filed) -> None:
        """Decode, commit and record one batch: data first, ledger after."""
        readable = [d for d in deliveries if d.member is not None]
        place = Workplace(self.con, self.lake, self.partition, self.first_day, folder)
        decoded = [
            BatchDecoding(place, entry, reading, readable).decode()
            for reading in (entry.readings() if readable else ())
        ]
        moved = {path: reason for batch in decoded for path, reason in batch.moved().items()}
        filed.left |= moved
        deliveries = [d for d in deliveries if d.path not in moved]
        if not deliveries:
            return
        balances = _merged([batch.balances() for batch in decoded])
        balances |= {d.key: Balance(refusal=d.refusal, route="refused") for d in deliveries if d.refusal is not None}
        gone = {d.key for d in readable if d.path in moved or balances[d.key].refusal is not None}
        for batch in decoded:
            batch.leave_out(gone)
        unit = decoded[0].unit if decoded else "file"
        rows = {d.key: _capture_row(d, balances[d.key], unit) for d in deliveries}
        refusals = [_refusal_row(d, b.refusal) for d in deliveries if (b := balances[d.key]).refusal is not None]
        rejected = [*(decoded[0].rejected if decoded else ()), *self._stage_rows(tables.QUARANTINE, refusals)]
        for batch in decoded[1:]:
            discard(batch.rejected)
        staged: dict[Table, list[StagedFile]] = {tables.OBSERVATIONS: [], tables.RECORDS: []}
        staged |= {batch.table: batch.rows for batch in decoded}
        # Both, because a declaration may have changed from the one kind to the other.
        replaced = {table for table, files in staged.items() if self._merge(table, files, list(rows))}
        self._merge(tables.QUARANTINE, rejected, list(rows))
        if tables.OBSERVATIONS in replaced:
            self._name_again(staged[tables.OBSERVATIONS])
        else:
            self._merge_tags(staged[tables.OBSERVATIONS])
        self._merge(tables.CAPTURES, self._stage_rows(tables.CAPTURES, list(rows.values())), list(rows))
        days = self._days_observed(staged[tables.OBSERVATIONS])
        for key, recorded in self._days_recorded(
            staged[tables.RECORDS], {d.key: _source(d) for d in deliveries}
        ).items():
            days[key] = _days_of_both(days.get(key, []), recorded)
        self.ledger.record_captures([_record(d, rows[d.key], days) for d in deliveries])
        filed.captures += rows.values()

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

    def _merge(self, table: Table, staged: list[StagedFile], keys: Sequence[int]) -> bool:
        """Add staged rows of some captures to the partition, in place of what it holds of them; True if it held any."""
        for _ in range(10):
            live = self.lake.live_files(table, [self.partition])
            kept = self._without(table, live, keys)
            is_replacing = kept is not None
            if kept is None and len(live) >= COMPACT_FROM_FILES:
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
            return is_replacing
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

    def _name_again(self, staged: Sequence[StagedFile]) -> None:
        """Keep the names of just those signals that the partition speaks of, now that some rows have gone."""
        live = self.lake.live_files(tables.TAGS, [self.partition])
        heard = self.lake.relation(tables.OBSERVATIONS, [self.partition])
        names = f"SELECT signal_id, source, tag FROM ({self.lake.relation_over(tables.TAGS, live)})"
        if staged:
            names += " UNION SELECT signal_id, source, tag FROM known_tags"
        query = f"SELECT * FROM ({names}) WHERE signal_id IN (SELECT signal_id FROM ({heard}))"
        file = self.lake.stage(self.con, tables.TAGS, query, self.partition)
        self.lake.replace(tables.TAGS, file, self.run_id, self.partition)

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

    def _days_observed(self, staged: Sequence[StagedFile]) -> dict[int, list[CaptureDay]]:
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

    def _days_recorded(self, staged: Sequence[StagedFile], sources: Mapping[int, str]) -> dict[int, list[CaptureDay]]:
        """How many records each capture holds of each event day, with a hash of just those rows."""
        days: dict[int, list[CaptureDay]] = defaultdict(list)
        columns = ("line", "model", "reading", "ts", "payload")
        for file in staged:
            rows = self.con.sql(
                f"SELECT capture_key, ts::DATE AS day, count(*), {content_hash(columns)}"
                f" FROM read_parquet({literal(str(file.path))}) GROUP BY ALL ORDER BY ALL"
            ).fetchall()
            for key, day, count, fingerprint in rows:
                days[key].append(CaptureDay(sources[key], day, 0, fingerprint, count))
        return days


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


def _source(delivery: Delivery) -> str:
    """Who delivered it: the source, or the declaration where neither the path nor that names one."""
    return delivery.claimed.claim.source or delivery.entry.name


def _merged(balances: Sequence[Mapping[int, Balance]]) -> dict[int, Balance]:
    """What became of each file, where several things are made of it; they have to agree on what is kept out."""
    merged = dict(balances[0]) if balances else {}
    for others in balances[1:]:
        for key, other in others.items():
            first = merged[key]
            if other.refusal is not None:
                merged[key] = first if first.refusal is not None else other
            elif first.refusal is None and other.rejected != first.rejected:
                detail = f"{first.rejected} units give no observations, but {other.rejected} no records"
                merged[key] = Balance(refusal=(UNBALANCED, detail), route="refused")
            elif first.refusal is None:
                first.made |= other.made
    return merged


def _days_of_both(observed: Sequence[CaptureDay], recorded: Sequence[CaptureDay]) -> list[CaptureDay]:
    """Days on which a capture has observations, records or both; source and day are the key."""
    days = {(day.source, day.day): day for day in observed}
    for day in recorded:
        other = days.get((day.source, day.day))
        if other is None:
            days[day.source, day.day] = day
        else:
            hashes = f"{other.content_hash}+{day.content_hash}"
            days[day.source, day.day] = replace(other, content_hash=hashes, records=day.records)
    return list(days.values())


def _capture_row(delivery: Delivery, balance: Balance, unit: str) -> dict[str, object]:
    return {
        "capture_key": delivery.key, "source_entry": delivery.entry.name,
        "source": delivery.claimed.claim.source, "path": delivery.path, "content_hash": delivery.sha256,
        "size_bytes": delivery.size, "arrived_at": delivery.arrived_at,
        "standing": "rejected" if balance.refusal else "decoded", "unit": unit, "lines": balance.lines,
        "decoded_lines": balance.decoded_lines, "observations": balance.made.get("observations", 0),
        "records": balance.made.get("records", 0),
        "quarantined": balance.rejected, "skipped": sum(balance.skipped.values()),
        "skipped_reasons": json.dumps(balance.skipped, sort_keys=True), "empty_cells": balance.empty_cells,
        "remarks": json.dumps(balance.remarks, sort_keys=True), "first_ts": balance.first_ts,
        "last_ts": balance.last_ts, "decoder": f"{delivery.entry.format}/{balance.route}",
    }  # fmt: skip


def _refusal_row(delivery: Delivery, refusal: tuple[str, str] | None) -> dict[str, object]:
    assert refusal is not None, "only refused files are rows of their own"
    reason, detail = refusal
    return {
        "capture_key": delivery.key, "source_entry": delivery.entry.name, "source": delivery.claimed.claim.source,
        "path": delivery.path, "content_hash": delivery.sha256, "line": None, "payload": None, "payload_cut": False,
        "stage": "survey" if delivery.refusal is not None else "decode", "rule": delivery.entry.format,
        "rule_version": delivery.entry.fingerprint(), "reason": reason, "detail": detail,
    }  # fmt: skip


def _record(delivery: Delivery, row: Mapping[str, object], days: Mapping[int, list[CaptureDay]]) -> CaptureRecord:
    file = delivery.claimed.file
    return CaptureRecord(
        delivery.key, file.plant, delivery.arrived_at, delivery.entry.name, delivery.claimed.claim.source,
        delivery.path, file.size, file.mtime_ns, delivery.sha256, str(row["standing"]),
        delivery.entry.fingerprint(), _instant(row["last_ts"]), tuple(days.get(delivery.key, ())), file.path,
        delivery.delivered_hash,
    )  # fmt: skip


def _instant(value: object) -> datetime | None:
    assert value is None or isinstance(value, datetime), "times of a capture are instants"
    return value
