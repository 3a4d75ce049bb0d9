"""The archive: what was delivered comes back to the byte, or it is said why not."""

import hashlib
import multiprocessing
import os
import shutil
import tempfile
import threading
import tracemalloc
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.archive import (
    GRACE,
    PACKED_CHUNK_BYTES,
    Archive,
    ArchivedCapture,
    ArchiveError,
    DeliveryChangedError,
    EntryDamagedError,
    EntryMissingError,
    Stored,
    Stray,
    StrayKind,
    abandoned,
    expired,
    unrecorded,
    wanted_until,
)
from resources.settings import Settings

LINES = b"2016-11-07T00:00:00Z|Xact|1.25\n" * 20_000
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO_NS = 10**18
"""September 2001."""


@pytest.fixture
def archive(run_settings):
    return Archive(settings=run_settings)


@pytest.fixture
def deliver(tmp_path):
    """Write a file as if it was delivered; returns its path and hash."""
    numbers = iter(range(10**6))

    def write(content):
        path = tmp_path / f"delivered-{next(numbers)}"
        path.write_bytes(content)
        return path, hashlib.sha256(content).hexdigest()

    return write


@pytest.fixture
def kept(archive, deliver):
    """A content that the archive holds: its hash and its entry."""
    path, sha256 = deliver(LINES)
    archive.keep(path, sha256)
    return sha256, archive.entry_path(sha256)


def files_below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def restored(archive, sha256, folder):
    folder.mkdir(exist_ok=True)
    copy = archive.restore(sha256, folder)
    content = copy.read_bytes()
    copy.unlink()
    return content


def damage_of(archive):
    """What `verify` says of the one damaged entry."""
    verification = archive.verify()
    assert verification.sound == 0
    (damaged,) = verification.damaged
    return damaged.message


@contextmanager
def as_another_user():
    """Rights do not bind the root user, so give them up meanwhile."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_archive():
    """An archive that any user may use, below a folder that any user may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    with as_another_user():
        (folder / "home").mkdir()
    yield Archive(settings=Settings(home=str(folder / "home")))
    for path in folder.rglob("*"):
        path.chmod(0o777)
    shutil.rmtree(folder)


# Round trip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=2000)
    | st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=9), st.integers(1, 100_000))
)
def test_any_bytes_come_back_as_they_were(archive, deliver, tmp_path, content):
    path, sha256 = deliver(content)
    archive.keep(path, sha256)
    assert archive.holds(sha256)
    assert restored(archive, sha256, tmp_path / "work") == content
    assert path.read_bytes() == content, "the delivered file is only read"


@pytest.mark.parametrize("size", [0, 1, 131_072, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_sizes_around_those_of_blocks_and_chunks(archive, deliver, tmp_path, size):
    path, sha256 = deliver(os.urandom(size))
    archive.keep(path, sha256)
    assert restored(archive, sha256, tmp_path / "work") == path.read_bytes()
    verification = archive.verify()
    assert (verification.sound, verification.damaged, verification.strays) == (1, (), ())


def test_an_entry_is_a_zstandard_file_with_a_checksum_named_by_the_hash(archive, kept):
    sha256, entry = kept
    assert files_below(archive.path) == [f"{sha256[:2]}/{sha256}.zst"]
    packed = entry.read_bytes()
    assert len(packed) < len(LINES) / 100
    assert zstandard.get_frame_parameters(packed).has_checksum
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == LINES
    assert list(archive.stored()) == [Stored(sha256, len(packed), entry.stat().st_mtime_ns)]


def test_the_same_content_twice_is_one_entry_that_says_when_it_came_last(archive, kept, deliver):
    sha256, entry = kept
    os.utime(entry, ns=(LONG_AGO_NS, LONG_AGO_NS))
    before = entry.stat()
    archive.keep(*deliver(LINES))
    assert [stored.sha256 for stored in archive.stored()] == [sha256]
    assert entry.stat().st_ino == before.st_ino, "not written again"
    assert entry.stat().st_mtime_ns > LONG_AGO_NS


def test_a_copy_has_a_fresh_name_each_time(archive, kept, tmp_path):
    copies = {archive.restore(kept[0], tmp_path) for _ in range(3)}
    assert len(copies) == 3
    assert all(copy.parent == tmp_path and copy.read_bytes() == LINES for copy in copies)


def test_memory_does_not_grow_with_the_file(archive, tmp_path):
    size = 200 << 20
    path = tmp_path / "zeros"
    with path.open("wb") as file:
        file.truncate(size)
    sha256 = hashlib.sha256(bytes(size)).hexdigest()
    tracemalloc.start()
    try:
        archive.keep(path, sha256)
        kept_with = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        copy = archive.restore(sha256, tmp_path)
        restored_with = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert copy.stat().st_size == size
    assert archive.entry_path(sha256).stat().st_size < size / 10_000, "a piece of it stands for a lot"
    assert kept_with < 8 << 20
    assert restored_with < 64 << 20


def test_what_is_kept_is_on_disk_before_it_is_said_to_be(archive, deliver, monkeypatch):
    steps = []
    replace = Path.replace

    def follow(descriptor):
        steps.append(("flush", Path(f"/proc/self/fd/{descriptor}").readlink().name))

    def rename(source, target):
        steps.append(("rename", Path(target).name))
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", follow)
    monkeypatch.setattr(Path, "replace", rename)
    path, sha256 = deliver(b"x")
    archive.keep(path, sha256)
    home, folders, last = archive.path.parent.name, steps[:2], steps[2:]
    assert folders == [("flush", home), ("flush", "archive")]
    assert [what for what, _ in last] == ["flush", "rename", "flush"]
    assert last[0][1].endswith(".part")
    assert [name for _, name in last[1:]] == [f"{sha256}.zst", sha256[:2]]
    steps.clear()
    archive.keep(path, sha256)
    assert steps == [("flush", sha256[:2])], "another process may have renamed it and not got further"


# Wrong deliveries


def test_a_file_of_another_hash_is_refused_and_nothing_is_kept(archive, deliver):
    path, _ = deliver(b"changed since it was hashed")
    former = hashlib.sha256(b"as it was").hexdigest()
    with pytest.raises(DeliveryChangedError, match=f"{path} changed while it was archived"):
        archive.keep(path, former)
    assert not archive.holds(former)
    assert files_below(archive.path) == []


def test_a_file_that_is_gone_or_no_file_is_said_to_be_so(archive, deliver, tmp_path):
    path, sha256 = deliver(b"x")
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(path)
    os.mkfifo(pipe)
    for given_path, reason in (
        (tmp_path / "gone", "No such file"),
        (link, "it is a link"),
        (pipe, "it is a folder, pipe or device"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(DeliveryChangedError, match=reason):
            archive.keep(given_path, sha256)
    assert files_below(archive.path) == []


@pytest.mark.parametrize("name", ["", "ab", "../../etc/passwd", "A" * 64, "a" * 63 + "\n", "a" * 65, "sha1"])
def test_what_is_no_hash_names_no_file(archive, deliver, tmp_path, name):
    with pytest.raises(ValueError, match="is no SHA-256"):
        archive.keep(deliver(b"x")[0], name)
    assert not archive.holds(name)
    with pytest.raises(EntryMissingError):
        archive.restore(name, tmp_path)


# Several at once, and killed ones


def keep_all(archive, deliveries, barrier, errors):
    try:
        barrier.wait(30)
        for path, sha256 in deliveries:
            archive.keep(path, sha256)
    except BaseException as error:  # noqa: BLE001 - told by the test, not lost in a thread
        errors.append(repr(error))


def test_threads_that_keep_the_same_contents_at_once(archive, deliver, tmp_path):
    deliveries = [deliver(bytes([number]) * 50_000) for number in range(20)]
    barrier, errors = threading.Barrier(4), []
    threads = [threading.Thread(target=keep_all, args=(archive, deliveries, barrier, errors)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    verification = archive.verify()
    assert (verification.sound, verification.damaged, verification.strays) == (20, (), ())
    assert all(restored(archive, sha256, tmp_path / "work") == path.read_bytes() for path, sha256 in deliveries)


def keep_in_process(home, deliveries, barrier, errors):
    found = []
    keep_all(Archive(settings=Settings(home=home)), deliveries, barrier, found)
    errors.extend(found)


def test_processes_that_keep_the_same_contents_at_once(archive, deliver):
    deliveries = [deliver(bytes([number]) * 50_000) for number in range(20)]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        barrier, errors = manager.Barrier(2), manager.list()
        arguments = (str(archive.settings.home_path), deliveries, barrier, errors)
        processes = [context.Process(target=keep_in_process, args=arguments) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert list(errors) == []
        assert [process.exitcode for process in processes] == [0, 0]
    verification = archive.verify()
    assert (verification.sound, verification.damaged, verification.strays) == (20, (), ())


def keep_and_die(home, path, sha256):
    """As by a kill: no handler and no cleaning up runs."""
    Path.replace = lambda _source, _target: os._exit(9)
    Archive(settings=Settings(home=home)).keep(path, sha256)


def test_a_kill_before_the_rename_leaves_a_temporary_file_that_verify_tells_of(archive, deliver, tmp_path):
    path, sha256 = deliver(LINES)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=keep_and_die, args=(str(archive.settings.home_path), path, sha256))
    process.start()
    process.join(120)
    assert process.exitcode == 9
    assert not archive.holds(sha256)
    verification = archive.verify()
    assert (verification.sound, verification.damaged) == (0, ())
    (stray,) = verification.strays
    assert stray.kind is StrayKind.LEFTOVER
    assert stray.size > 0
    archive.keep(path, sha256)
    assert restored(archive, sha256, tmp_path / "work") == LINES
    archive.remove_leftover(stray)
    assert files_below(archive.path) == [f"{sha256[:2]}/{sha256}.zst"]


# Damage


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damaged_byte_is_found(archive, kept, tmp_path, data):
    sha256, entry = kept
    sound = entry.read_bytes()
    place = data.draw(st.integers(0, len(sound) - 1))
    flipped = bytes([sound[place] ^ data.draw(st.integers(1, 255))])
    entry.write_bytes(sound[:place] + flipped + sound[place + 1 :])
    (tmp_path / "work").mkdir(exist_ok=True)
    try:
        verification = archive.verify()
        if verification.sound:
            # Some bits of a frame mean nothing; then the content is what it was.
            assert restored(archive, sha256, tmp_path / "work") == LINES
        else:
            assert f"{entry} is damaged" in verification.damaged[0].message
            with pytest.raises(EntryDamagedError, match="from a backup"):
                archive.restore(sha256, tmp_path / "work")
        assert files_below(tmp_path / "work") == []
    finally:
        entry.write_bytes(sound)


def test_a_damaged_byte_of_what_cannot_be_compressed_is_found(archive, deliver, tmp_path):
    path, sha256 = deliver(os.urandom(300_000))
    archive.keep(path, sha256)
    entry = archive.entry_path(sha256)
    packed = bytearray(entry.read_bytes())
    packed[150_000] ^= 1
    entry.write_bytes(packed)
    assert "cannot be unpacked around byte" in damage_of(archive)
    (tmp_path / "work").mkdir()
    with pytest.raises(EntryDamagedError):
        archive.restore(sha256, tmp_path / "work")
    assert files_below(tmp_path / "work") == []


@pytest.mark.parametrize("cut", [1, 4, 5, 20, 10**9])
def test_a_truncated_entry_is_found(archive, kept, tmp_path, cut):
    """Also when only a part of the checksum is gone, behind the whole content."""
    sha256, entry = kept
    entry.write_bytes(entry.read_bytes()[:-cut])
    assert "before the end mark" in damage_of(archive)
    with pytest.raises(EntryDamagedError, match="before the end mark"):
        archive.restore(sha256, tmp_path)


@pytest.mark.parametrize("junk", [b"\0", bytes(5000), zstandard.compress(b"more")])
def test_bytes_behind_the_end_are_found(archive, kept, junk):
    with kept[1].open("ab") as entry:
        entry.write(junk)
    assert "other bytes follow its end mark" in damage_of(archive)


def test_bytes_behind_an_end_that_ends_a_read_are_found(archive, deliver):
    path, sha256 = deliver(os.urandom(2 * PACKED_CHUNK_BYTES - 13))
    archive.keep(path, sha256)
    with archive.entry_path(sha256).open("ab") as entry:
        assert entry.tell() == 2 * PACKED_CHUNK_BYTES
        entry.write(b"\0")
    assert "other bytes follow its end mark" in damage_of(archive)


def test_a_sound_frame_of_another_content_is_found(archive, kept, tmp_path):
    sha256, entry = kept
    entry.write_bytes(zstandard.compress(b"something else"))
    other = hashlib.sha256(b"something else").hexdigest()
    assert f"another content, of SHA-256 {other}" in damage_of(archive)
    with pytest.raises(EntryDamagedError, match="another content"):
        archive.restore(sha256, tmp_path)


def test_an_entry_that_asks_for_a_lot_of_memory_is_refused(archive, kept):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    kept[1].write_bytes(compressor.compress(LINES) + compressor.flush())
    assert "requires too much memory" in damage_of(archive)


def test_what_is_missing_says_what_to_do(archive, tmp_path):
    sha256 = "0" * 64
    with pytest.raises(EntryMissingError, match=rf"does not hold the content {sha256}.*landing zone"):
        archive.restore(sha256, tmp_path)
    assert archive.verify().sound == 0


# What else lies there


def test_foreign_files_are_told_and_links_are_not_followed(archive, kept, tmp_path):
    sha256, entry = kept
    shard = entry.parent
    (tmp_path / "outside").mkdir()
    linked = "ab" + "1" * 62
    (tmp_path / "outside" / f"{linked}.zst").write_bytes(zstandard.compress(b"x"))
    (archive.path / "README").write_text("mine")
    (archive.path / "ab").symlink_to(tmp_path / "outside")
    (shard / "notes.txt").write_text("mine")
    (shard / f"{sha256[:2]}{'2' * 62}.zst").symlink_to(entry)
    (shard / f"{sha256[:2]}{'3' * 62}.zst").mkdir()
    misplaced = ("0" if sha256[0] != "0" else "1") + "4" * 63
    (shard / f"{misplaced}.zst").write_bytes(b"")
    (archive.path / os.fsdecode(b"\xff\x1b[2J")).write_text("")
    verification = archive.verify()
    assert (verification.sound, verification.damaged) == (1, ())
    assert len(verification.strays) == 7
    assert {stray.kind for stray in verification.strays} == {StrayKind.FOREIGN}
    assert sum("a link, which is not followed" in stray.detail for stray in verification.strays) == 2
    assert all(stray.detail.isprintable() for stray in verification.strays)
    assert [stored.sha256 for stored in archive.stored()] == [sha256]
    assert not archive.holds(linked)
    assert not archive.holds(sha256[:2] + "2" * 62)


def test_nothing_is_written_through_a_link(archive, deliver, tmp_path):
    path, sha256 = deliver(b"x")
    (tmp_path / "outside").mkdir()
    archive.path.mkdir(parents=True)
    (archive.path / sha256[:2]).symlink_to(tmp_path / "outside")
    with pytest.raises(ArchiveError, match="is a link, which is not followed"):
        archive.keep(path, sha256)
    assert files_below(tmp_path / "outside") == []


def test_the_archive_itself_may_be_a_link_to_another_disk(archive, deliver, tmp_path):
    (tmp_path / "disk").mkdir()
    archive.path.parent.mkdir(parents=True)
    archive.path.symlink_to(tmp_path / "disk")
    path, sha256 = deliver(LINES)
    archive.keep(path, sha256)
    assert files_below(tmp_path / "disk") == [f"{sha256[:2]}/{sha256}.zst"]
    assert archive.verify().sound == 1


def test_an_archive_that_was_never_written_to_is_empty(archive):
    assert list(archive.contents()) == []
    assert not archive.path.exists()


# Rights


def test_an_archive_that_may_not_be_written_to_says_what_to_do(open_archive, deliver):
    path, sha256 = deliver(b"x")
    content = path.read_bytes()
    path = open_archive.path.parent / "delivered"
    path.write_bytes(content)
    path.chmod(0o644)
    open_archive.path.parent.chmod(0o555)
    with as_another_user(), pytest.raises(ArchiveError, match=r"Permission denied.*this user may read and write"):
        open_archive.keep(path, sha256)


def test_a_folder_that_may_not_be_listed_is_not_an_empty_one(open_archive, deliver):
    path, sha256 = deliver(b"x")
    open_archive.keep(path, sha256)
    shard = open_archive.entry_path(sha256).parent
    shard.chmod(0)
    with as_another_user():
        verification = open_archive.verify()
        assert [stray.kind for stray in verification.strays] == [StrayKind.UNREADABLE]
        assert "Permission denied" in verification.strays[0].detail
        with pytest.raises(ArchiveError, match="cannot be listed"):
            list(open_archive.stored())
        with pytest.raises(ArchiveError, match="cannot be looked up"):
            open_archive.holds(sha256)
        with pytest.raises(ArchiveError, match="cannot be looked up"):
            open_archive.restore(sha256, open_archive.path.parent)
    open_archive.path.chmod(0)
    with as_another_user(), pytest.raises(ArchiveError, match="cannot be listed"):
        open_archive.verify()


def test_an_entry_that_may_not_be_read_is_not_taken_for_rotten(open_archive, deliver):
    path, sha256 = deliver(b"x")
    open_archive.keep(path, sha256)
    open_archive.entry_path(sha256).chmod(0)
    with as_another_user():
        message = damage_of(open_archive)
    assert "cannot be read (Permission denied)" in message
    assert "remove it" not in message


def test_a_full_disk_leaves_nothing_and_says_so(archive, deliver, monkeypatch):
    path, sha256 = deliver(LINES)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    archive.path.joinpath(sha256[:2]).mkdir(parents=True)
    with pytest.raises(ArchiveError, match=r"No space left on device.*has room"):
        archive.keep(path, sha256)
    assert files_below(archive.path) == []


# Removing


@pytest.mark.usefixtures("kept")
def test_a_removed_entry_is_gone_and_may_be_removed_again(archive):
    (stored,) = archive.stored()
    assert archive.remove(stored)
    assert files_below(archive.path) == []
    assert archive.remove(stored)


def test_what_was_delivered_again_since_it_was_listed_is_not_removed(archive, kept, deliver, tmp_path):
    sha256, entry = kept
    os.utime(entry, ns=(LONG_AGO_NS, LONG_AGO_NS))
    (stored,) = archive.stored()
    archive.keep(*deliver(LINES))
    assert not archive.remove(stored)
    assert restored(archive, sha256, tmp_path / "work") == LINES
    assert archive.verify().strays == ()


def test_a_delivery_while_the_entry_is_removed_writes_it_anew(archive, kept, deliver, tmp_path, monkeypatch):
    sha256, _ = kept
    (stored,) = archive.stored()
    delivery = deliver(LINES)
    lstat = Path.lstat

    def deliver_meanwhile(path):
        if path.name.endswith(".part"):
            monkeypatch.setattr(Path, "lstat", lstat)
            archive.keep(*delivery)
        return lstat(path)

    monkeypatch.setattr(Path, "lstat", deliver_meanwhile)
    assert archive.remove(stored)
    assert restored(archive, sha256, tmp_path / "work") == LINES


def test_only_temporary_files_are_removed_as_such(archive, tmp_path):
    stray = Stray(StrayKind.FOREIGN, tmp_path / "precious", "")
    stray.path.write_text("mine")
    with pytest.raises(ValueError, match="no temporary file"):
        archive.remove_leftover(stray)
    assert stray.path.exists()


# Until when entries are kept


def entry(name, days_ago):
    return Stored(name, 1, int((NOW - timedelta(days=days_ago)).timestamp()) * 10**9)


def capture(name, days_ago, source="logs"):
    return ArchivedCapture(name, "nist", source, NOW - timedelta(days=days_ago), f"{name}.txt")


def going(entries, captures, rules):
    return {item.stored.sha256 for item in expired(entries, captures, rules, NOW)}


def test_an_entry_goes_when_its_rule_is_over():
    captures = [capture("a", 91), capture("b", 89), capture("c", 9000, "for ever"), capture("d", 9000, "undeclared")]
    rules = {"logs": 90, "for ever": None}
    entries = [entry(c.content_hash, 9000) for c in captures]
    assert going(entries, captures, rules) == {"a"}
    (found,) = expired(entries, captures, rules, NOW)
    assert found.reason == "nist/a.txt arrived on 2025-11-30, and logs keeps 90 days"
    assert wanted_until(captures, rules)["b"].until == NOW + timedelta(days=1)


def test_one_capture_that_wants_the_content_is_enough():
    captures = [capture("a", 400), capture("a", 50), capture("a", 300, "other")]
    entries = [entry("a", 9000)]
    assert going(entries, captures, {"logs": 90, "other": 10}) == set()
    assert going(entries, captures, {"logs": 40, "other": 10}) == {"a"}
    assert going(entries, captures, {"logs": 40, "other": None}) == set()


def test_what_was_delivered_of_late_stays_whatever_the_rule():
    """The same content may be about to be recorded as another source's."""
    captures = [capture("a", 400)]
    assert going([entry("a", GRACE.days)], captures, {"logs": 1}) == set()
    assert going([entry("a", GRACE.days + 1)], captures, {"logs": 1}) == {"a"}


def test_an_orphan_goes_after_a_week():
    captures = [capture("a", 400)]
    assert going([entry("x", 7)], captures, {}) == set()
    (found,) = expired([entry("x", 8)], captures, {}, NOW)
    assert "no capture refers to it" in found.reason
    assert "8 days ago" in found.reason


def test_entries_older_than_all_records_are_no_orphans():
    """Or else a lost ledger would cost the archive, which is what is left then."""
    entries = [entry("x", 401), entry("y", 399)]
    assert going(entries, [], {}) == set()
    assert set(unrecorded(entries, [])) == set(entries)
    assert going(entries, [capture("a", 400)], {}) == {"y"}
    assert list(unrecorded(entries, [capture("a", 400)])) == [entries[0]]


DAYS = st.integers(0, 1000)
HASHES = st.sampled_from("abcdef")
SOURCES = st.sampled_from(["logs", "other", "undeclared"])
RULES = st.fixed_dictionaries({"logs": st.none() | st.integers(1, 500), "other": st.none() | st.integers(1, 500)})


@settings(max_examples=300)
@given(
    entries=st.dictionaries(HASHES, DAYS).map(lambda found: [entry(*item) for item in found.items()]),
    captures=st.lists(st.builds(capture, HASHES, DAYS, SOURCES), max_size=12),
    rules=RULES,
)
def test_nothing_goes_that_a_rule_still_wants(entries, captures, rules):
    gone = going(entries, captures, rules)
    first = min((c.arrived_at for c in captures), default=None)
    for found in entries:
        own = [c for c in captures if c.content_hash == found.sha256]
        delivered = datetime.fromtimestamp(found.mtime_ns / 10**9, tz=UTC)
        wanted = any(
            rules.get(c.source_entry) is None or c.arrived_at + timedelta(days=rules[c.source_entry]) > NOW for c in own
        )
        late = NOW - delivered <= timedelta(days=7)
        judged = bool(own) or (first is not None and delivered >= first)
        assert (found.sha256 in gone) == (not wanted and not late and judged)


def test_a_temporary_file_is_abandoned_after_a_week():
    def stray(kind, days):
        return Stray(kind, Path(f"{kind}{days}"), "", 1, entry("x", days).mtime_ns)

    old, young = stray(StrayKind.LEFTOVER, 8), stray(StrayKind.LEFTOVER, 7)
    assert list(abandoned([old, young, stray(StrayKind.FOREIGN, 100)], NOW)) == [old]
