"""Dagster shell of the capture layer: one multi-asset that files what arrived on a day."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

import dagster as dg

from idm_assets.asset_specs import TableResult, asset_key, bar_chart, markdown_table, spec_of
from idm_assets.capture import intake, tables
from idm_assets.capture.filing import Filed, FilingCabinet
from idm_assets.capture.intake import ClaimedFile, Intake
from idm_assets.capture.sources import SourceEntry, claim, load_sources
from idm_assets.contracts import Partition
from idm_assets.partitions import ARRIVAL_DAYS, FIRST_DAY, key_of, partitions_of
from idm_assets.run_requests import ONLY_QUARANTINED, ONLY_STALE, PROGRESS
from resources.archive import Archive
from resources.engine import Engine
from resources.lake import Lake
from resources.landing_zone import LandedFile, LandingZone, Listing
from resources.ledger import Ledger
from resources.settings import Settings


class Replay(Enum):
    """Which filed captures of a day are decoded anew.

    Those that were filed by other rules; also those with something in quarantine; or all.
    """

    STALE = auto()
    QUARANTINED = auto()
    ALL = auto()


_LOG: Final = logging.getLogger(__name__)


@dg.multi_asset(
    name="capture",
    specs=[spec_of(table, partitions_def=ARRIVAL_DAYS) for table in tables.TABLES],
    partitions_def=ARRIVAL_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="capture",
)
def capture(  # noqa: PLR0913, PLR0917 - each is a resource
    context: dg.AssetExecutionContext,
    settings: Settings,
    landing_zone: LandingZone,
    engine: Engine,
    lake: Lake,
    ledger: Ledger,
    archive: Archive,
) -> Iterator[TableResult]:
    """File the captures that arrived on the run's days.

    The newest day of the run also takes in what is new in the landing zone. Unless the run was asked for what is stale
    only, captures that are filed already are decoded again, from the landing zone or the archive: all of them, or just
    those with something in quarantine.
    """
    entries = load_sources(settings.config_path)
    again = replay_of(context.run.tags)
    arrivals = _Arrivals(context.run.run_id, settings, landing_zone, engine, lake, ledger, archive, entries)
    partitions = partitions_of(context.partition_keys)
    failed: dict[Partition, str] = {}
    done: list[Partition] = []
    for partition in partitions:
        try:
            filed, looked = arrivals.file_day(partition, again=again)
            done.append(partition)
        except Exception as error:  # whatever stops one day must not stop the others; it is told and raised below
            failed[partition] = f"{type(error).__name__}: {error}"
            context.log.exception("%s", partition)
            continue
        for table in tables.TABLES:
            context.add_asset_metadata(
                _metadata(table.name, filed, looked),
                asset_key=asset_key(table),
                partition_key=key_of(partition),
            )
        PROGRESS.info("capture %s", partition)
    if failed:
        for partition in done:
            for table in tables.TABLES:
                context.log_event(dg.AssetMaterialization(asset_key(table), partition=key_of(partition)))
        names = "; ".join(f"{partition}: {message}" for partition, message in failed.items())
        raise dg.Failure(f"{len(failed)} of {len(partitions)} days failed: {names}", allow_retries=False)
    for table in tables.TABLES:
        yield dg.MaterializeResult(asset_key=asset_key(table))


def look_once(
    listing: Listing, ledger: Ledger, settings: Settings, plant: str, entries: Sequence[SourceEntry]
) -> Intake:
    """Decide about the listed files of a plant, as of now."""
    settle_ns = int(settings.settle_seconds * 1e9)
    return intake.decide(listing.files, ledger.known_files(plant), entries, time.time_ns(), settle_ns)


def look_twice(
    landing_zone: LandingZone, ledger: Ledger, settings: Settings, plant: str, entries: Sequence[SourceEntry]
) -> Intake:
    """Decide about a plant's files; if some are fresh, wait one settling time and look again."""
    listing = landing_zone.look([plant])
    for problem in listing.problems:
        _LOG.warning("landing zone: %s", problem)
    first = look_once(listing, ledger, settings, plant, entries)
    if not first.waiting:
        return first
    time.sleep(settings.settle_seconds)
    again = landing_zone.look([plant]).files
    still = intake.settled(first.waiting, again)
    return _with_settled(first, still, entries)


def _with_settled(first: Intake, still: Sequence[LandedFile], entries: Sequence[SourceEntry]) -> Intake:
    ready = list(first.ready)
    for file in still:
        found = claim(entries, file.plant, file.path)
        if not isinstance(found, str):
            ready.append(ClaimedFile(file, found))
    waiting = tuple(file for file in first.waiting if file not in still)
    return Intake(tuple(sorted(ready, key=lambda c: c.file.path)), waiting, first.unclaimed, first.known)


def replay_of(tags: Mapping[str, str]) -> Replay:
    """Which filed captures a run with some tags decodes anew."""
    if tags.get(ONLY_STALE) == "true":
        return Replay.STALE
    return Replay.QUARANTINED if tags.get(ONLY_QUARANTINED) == "true" else Replay.ALL


@dataclass(frozen=True, slots=True)
class _Arrivals:
    """What filing a plant's arrival day works with."""

    run_id: str
    settings: Settings
    landing_zone: LandingZone
    engine: Engine
    lake: Lake
    ledger: Ledger
    archive: Archive
    entries: Sequence[SourceEntry]

    def file_day(self, partition: Partition, *, again: Replay) -> tuple[Filed, Intake]:
        """File what is new, if the day is not over, and what has to be decoded anew."""
        now = datetime.now(UTC)
        looked = Intake((), (), {}, 0)
        if partition.day >= (now - timedelta(days=1)).date():
            looked = look_twice(self.landing_zone, self.ledger, self.settings, partition.plant, self.entries)
        arrived = {each.file.path for each in looked.ready}
        # What another file takes the place of in this very run must not be pointed to again.
        former = [each for each in self._to_decode_again(partition, again) if each.file.path not in arrived]
        claimed = [*looked.ready, *former]
        arrived_at = min(now, partition.end - timedelta(microseconds=1))
        with self.engine.connect() as con:
            cabinet = FilingCabinet(
                con,
                self.lake,
                self.ledger,
                self.landing_zone,
                self.archive,
                self.settings.work_path,
                partition,
                FIRST_DAY,
                self.run_id,
            )
            return cabinet.file(claimed, arrived_at, again=again is not Replay.STALE), looked

    def _to_decode_again(self, partition: Partition, again: Replay) -> list[ClaimedFile]:
        """Landed files of the day with captures that must be decoded anew, wherever their bytes are now."""
        landed = {file.path: file for file in self.landing_zone.look([partition.plant]).files}
        files = self.ledger.known_files(partition.plant)
        wanted = self._quarantined(partition) if again is Replay.QUARANTINED else None
        found: dict[str, ClaimedFile] = {}
        for known in self.ledger.known_captures(partition.plant).values():
            before, holds = files.get(known.landed_path), files.get(known.path)
            if known.arrived_on != partition.day or before is None or holds is None:
                continue
            if holds.capture_key != known.capture_key or known.landed_path in found:
                continue
            claimed = claim(self.entries, partition.plant, known.landed_path)
            if isinstance(claimed, str):
                continue
            is_stale = known.decoder_fingerprint != claimed.entry.fingerprint()
            if is_stale or again is Replay.ALL or (wanted is not None and known.capture_key in wanted):
                as_landed = LandedFile(partition.plant, known.landed_path, before.size, before.mtime_ns)
                kept_as = None if landed.get(known.landed_path) == as_landed else known.delivered_hash
                found[known.landed_path] = ClaimedFile(as_landed, claimed, kept_as)
        return list(found.values())

    def _quarantined(self, partition: Partition) -> set[int]:
        """Keys of the day's captures of which something is in quarantine."""
        with self.engine.connect() as con:
            held = con.sql(
                f"SELECT DISTINCT capture_key FROM ({self.lake.relation(tables.QUARANTINE, [partition])})"
            ).fetchall()
        return {key for (key,) in held}


def _metadata(table: str, filed: Filed, looked: Intake) -> dict[str, Any]:
    counts = {
        "files": len(filed.captures),
        "files_rejected": sum(row["standing"] == "rejected" for row in filed.captures),
        "files_repeated": len(filed.repeats),
        "files_waiting": len(looked.waiting) + len(filed.left),
        "files_unclaimed": len(looked.unclaimed),
        "members_ignored": len(filed.ignored),
        "lines": filed.total("lines"),
        "observations": filed.total("observations"),
        "records": filed.total("records"),
        "quarantined": filed.total("quarantined"),
        "skipped": filed.total("skipped"),
    }
    rows = {
        "observations": counts["observations"],
        "records": counts["records"],
        "captures": counts["files"],
        "quarantine": counts["quarantined"],
    }
    metadata: dict[str, Any] = {**counts, "dagster/partition_row_count": rows.get(table, counts["files"])}
    if table == "captures" and filed.captures:
        shown = ("path", "standing", "lines", "observations", "records", "quarantined", "skipped", "decoder")
        metadata["preview"] = markdown_table(shown, [[row[c] for c in shown] for row in filed.captures[:12]])
        by_source: dict[str, float] = {}
        for row in filed.captures:
            by_source[str(row["source"])] = by_source.get(str(row["source"]), 0) + float(str(row["lines"]))
        metadata["chart"] = bar_chart("lines per source", by_source)
        if looked.unclaimed:
            metadata["unclaimed"] = markdown_table(("path", "reason"), list(looked.unclaimed.items())[:50])
    return metadata
