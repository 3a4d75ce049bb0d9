"""Filing of archives, keeping of what was delivered, and decoding again from what was kept."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from idm_assets.capture import tables
from idm_assets.capture.filing import FilingCabinet
from idm_assets.capture.intake import ClaimedFile
from idm_assets.capture.sources import SourceEntry, claim
from idm_assets.contracts import Partition
from resources.landing_zone import LandedFile

ARRIVED = datetime(2024, 5, 3, 12, tzinfo=UTC)
PARTITION = Partition("mine", ARRIVED.date())
LOGS = {
    "name": "logs", "plant": "mine", "glob": "*", "format": "shdr",
    "path_pattern": r"([^/]+\.(zip|tar\.gz)/)?(?P<source>\w+)/(?P<day>\d+)\.txt",
}  # fmt: skip
LINE = "2024-05-0{day}T10:00:0{second}Z|speed|{value}\n"


def log(day=1, value=1, lines=2):
    return "".join(LINE.format(day=day, second=n, value=value) for n in range(lines)).encode()


def zipped(members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(members):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def cabinet(con, lake, ledger, landing_zone, archive, run_settings):
    return FilingCabinet(
        con, lake, ledger, landing_zone, archive, run_settings.work_path, PARTITION, date(2015, 1, 1), "run-1"
    )


def land(cabinet, name, content, mtime=1):
    path = cabinet.landing_zone.settings.landing_path / "mine" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (mtime, mtime))
    return path


def claimed(path: Path, cabinet, entry=None, kept_as=None):
    root = cabinet.landing_zone.settings.landing_path / "mine"
    name = path.relative_to(root).as_posix()
    size, mtime = (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else (0, 0)
    declared = SourceEntry(**(LOGS | (entry or {})))
    found = claim([declared], "mine", name)
    assert not isinstance(found, str), found
    return ClaimedFile(LandedFile("mine", name, size, mtime), found, kept_as)


def ask(cabinet, table, columns, order="ALL"):
    rows = cabinet.lake.relation(table, [PARTITION])
    return cabinet.con.sql(f"SELECT {columns} FROM ({rows}) ORDER BY {order}").fetchall()


@pytest.mark.parametrize(("pack", "name"), [(zipped, "week.zip"), (tarred, "week.tar.gz")])
def test_an_archive_is_read_like_a_folder(cabinet, pack, name):
    members = {"m1/1.txt": log(1), "m2/1.txt": log(1, lines=3), "m1/2.txt": log(2), "readme.md": b"what is in here\n"}
    filed = cabinet.file([claimed(land(cabinet, name, pack(members)), cabinet)], ARRIVED)
    assert not filed.left
    assert ask(cabinet, tables.CAPTURES, "path, source, standing, lines") == [
        (f"{name}/m1/1.txt", "m1", "decoded", 2), (f"{name}/m1/2.txt", "m1", "decoded", 2),
        (f"{name}/m2/1.txt", "m2", "decoded", 3), (f"{name}/readme.md", None, "rejected", 0),
    ]  # fmt: skip
    assert ask(cabinet, tables.QUARANTINE, "path, line, stage, reason") == [
        (f"{name}/readme.md", None, "survey", "member_unclaimed")
    ]
    assert ask(cabinet, tables.OBSERVATIONS, "count(*), count(DISTINCT signal_id)") == [(7, 2)]
    assert cabinet.ledger.known_files("mine")[name].size == len(pack(members))


def test_an_archive_that_was_filed_is_known_and_its_members_are_not_decoded_again(cabinet):
    path = land(cabinet, "week.zip", zipped({"m1/1.txt": log()}))
    cabinet.file([claimed(path, cabinet)], ARRIVED)
    again = cabinet.file([claimed(path, cabinet)], ARRIVED)
    assert (again.repeats, again.captures) == (["week.zip/m1/1.txt"], [])


def test_what_a_corrected_archive_no_longer_holds_counts_no_more(cabinet):
    path = land(cabinet, "week.zip", zipped({"m1/1.txt": log(1), "m2/1.txt": log(1)}))
    cabinet.file([claimed(path, cabinet)], ARRIVED)
    assert {row.source for row in cabinet.ledger.day_inputs("mine")} == {"m1", "m2"}
    path = land(cabinet, "week.zip", zipped({"m1/1.txt": log(1, value=2)}), mtime=2)
    cabinet.file([claimed(path, cabinet)], ARRIVED)
    assert [(row.source, row.observations) for row in cabinet.ledger.day_inputs("mine")] == [("m1", 2)]


def test_a_broken_member_keeps_nothing_else_out(cabinet):
    members = {"m1/1.txt": log(1), "m2/1.txt": b"\x00\x01\x02" * 2000, "m3/1.txt": b"nonsense\n" + log(1)}
    cabinet.file([claimed(land(cabinet, "week.zip", zipped(members)), cabinet)], ARRIVED)
    assert ask(cabinet, tables.QUARANTINE, "path, line, reason") == [
        ("week.zip/m2/1.txt", None, "binary_content"), ("week.zip/m3/1.txt", 1, "field_count"),
    ]  # fmt: skip
    assert ask(cabinet, tables.OBSERVATIONS, "count(*)") == [(4,)]


def contents(cabinet):
    """Everything that the capture tables say, but for when."""
    return {
        table.name: ask(cabinet, table, ", ".join(c.name for c in table.stored_columns if c.name != "rule_version"))
        for table in tables.TABLES
    }


def test_what_was_delivered_is_kept_and_decoded_again_without_the_landing_zone(cabinet):
    files = {
        "m1/1.txt": log(1) + b"broken\n", "m2/1.txt": b"version https://git-lfs.github.com/spec/v1\n",
        "week.zip": zipped({"m3/1.txt": log(2), "m4/1.txt": b"\xff\n"}),
    }  # fmt: skip
    paths = [land(cabinet, name, content) for name, content in files.items()]
    found = [claimed(path, cabinet) for path in paths]
    cabinet.file(found, ARRIVED)
    before = contents(cabinet)
    captures = cabinet.ledger.known_captures("mine").values()
    kept = {capture.landed_path: capture.delivered_hash for capture in captures}
    assert all(cabinet.archive.holds(sha256) for sha256 in kept.values())
    for path in paths:
        path.unlink()
    again = [ClaimedFile(each.file, each.claim, kept[each.file.path]) for each in found]
    filed = cabinet.file(again, ARRIVED, again=True)
    assert (len(filed.captures), filed.left) == (4, {})
    assert contents(cabinet) == before
    assert cabinet.ledger.held_captures() >= {capture.capture_key for capture in captures}


def test_what_is_neither_landed_nor_kept_is_told(cabinet):
    path = land(cabinet, "m1/1.txt", log())
    cabinet.file([found := claimed(path, cabinet)], ARRIVED)
    (capture,) = cabinet.ledger.known_captures("mine").values()
    cabinet.archive.entry_path(capture.delivered_hash).unlink()
    path.unlink()
    filed = cabinet.file([ClaimedFile(found.file, found.claim, capture.delivered_hash)], ARRIVED, again=True)
    assert list(filed.left) == ["m1/1.txt"]
    assert ask(cabinet, tables.OBSERVATIONS, "count(*)") == [(2,)], "what is filed stays"


def test_after_a_mended_declaration_what_is_decoded_again_equals_a_clean_run(cabinet):
    orders = {
        "format": "csv", "source": "m", "path_pattern": None, "glob": "*.csv", "long": {"tag": "n", "value": "v"},
    }  # fmt: skip
    wrong = orders | {"time": {"field": "t", "format": "%d/%m/%Y"}}
    right = orders | {"time": {"field": "t"}}
    content = b"t,n,v\n2024-05-01,a,1\n2024-05-01T10:00:00Z,a,2\n01/05/2024,b,3\n"
    path = land(cabinet, "a.csv", content)
    cabinet.file([claimed(path, cabinet, wrong)], ARRIVED)
    assert ask(cabinet, tables.QUARANTINE, "line, reason") == [(2, "timestamp_unreadable"), (3, "timestamp_unreadable")]
    cabinet.file([claimed(path, cabinet, right)], ARRIVED)
    assert ask(cabinet, tables.QUARANTINE, "line, reason") == [(2, "timestamp_unreadable"), (4, "timestamp_unreadable")]
    assert ask(cabinet, tables.OBSERVATIONS, "line, value") == [(3, 2.0)]
    replayed = contents(cabinet)
    for table in tables.TABLES:
        for file in cabinet.lake.live_files(table, [PARTITION]):
            cabinet.lake.commit(table, PARTITION, [], [file], "clean")
    cabinet.file([claimed(path, cabinet, right)], ARRIVED, again=True)
    assert contents(cabinet) == replayed


def test_the_ledger_tells_what_was_filed_by_other_rules(cabinet):
    path = land(cabinet, "m1/1.txt", log())
    cabinet.file([found := claimed(path, cabinet)], ARRIVED)
    entry = found.claim.entry
    assert cabinet.ledger.filed_otherwise("mine", {"logs": entry.fingerprint()}) == {}
    assert cabinet.ledger.filed_otherwise("mine", {"logs": "other"}) == {ARRIVED.date(): 1}
    assert cabinet.ledger.filed_otherwise("mine", {"others": "other"}) == {}
    assert cabinet.ledger.filed_otherwise("elsewhere", {"logs": "other"}) == {}
