"""The archive: every delivered file, compressed and named by the hash of its bytes, apart from the landing zone.

A file of SHA-256 ``abcd…`` is the entry ``ab/abcd….zst``: one Zstandard frame (RFC 8878) with its checksum. What is
compressed already gets the same wrapper, so that there is one way in and one way out. An entry is written under another
name, flushed and renamed, so whatever has an entry's name was whole once; it is never written to again. Its
modification time says when its content was last delivered to the archive.

Belongs here: entries, their soundness, and until when they are kept. Does not belong here: what a file holds, which
captures there are, when something is replayed.
"""

import hashlib
import os
import re
import stat
import tempfile
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Final

import zstandard
from dagster import ConfigurableResource, ResourceDependency

from resources.settings import Settings

LEVEL: Final = 3
CHUNK_BYTES: Final = 1 << 20
PACKED_CHUNK_BYTES: Final = 512
"""Four bytes of Zstandard may stand for a block of 128 KiB, so that these unpack to at most 16 MiB at a time."""
MAX_WINDOW_BYTES: Final = 8 << 20
"""Memory that an entry may ask for; level 3 needs 2 MiB."""
GRACE: Final = timedelta(days=7)
"""So long after it was last delivered nothing is removed: a run may be about to record a capture of it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS: Final = 86_400 * 10**9
_SHARD: Final = re.compile(r"[0-9a-f]{2}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_ENTRY: Final = re.compile(r"([0-9a-f]{64})\.zst")
_PART: Final = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]{32}\.part")


class ArchiveError(Exception):
    """The archive cannot do what it was asked for; the message says why and what to do."""


class DeliveryChangedError(ArchiveError):
    """The delivered file vanished, changed or could not be read to its end; leave it for later."""


class EntryMissingError(ArchiveError):
    """The archive does not hold this content."""


class EntryDamagedError(ArchiveError):
    """An entry does not unpack to the content that it is named for."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as the listing saw it.

    Attributes:
        sha256: hexadecimal SHA-256 of the content.
        size: size as stored, in bytes.
        mtime_ns: when the content was last delivered to the archive, nanoseconds since the epoch.
    """

    sha256: str
    size: int
    mtime_ns: int


class StrayKind(StrEnum):
    """What else lies in the archive."""

    LEFTOVER = "leftover"
    FOREIGN = "foreign"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Stray:
    """Something in the archive that is no entry.

    Attributes:
        kind: a temporary file of a run that is still writing or died, a file or link that the archive never made, or
            a folder whose entries cannot be listed.
        path: where.
        detail: what it is, for people.
        size: size in bytes; 0 if it is unknown.
        mtime_ns: when it was last written to, nanoseconds since the epoch; 0 if it is unknown.
    """

    kind: StrayKind
    path: Path
    detail: str
    size: int = 0
    mtime_ns: int = 0


@dataclass(frozen=True, slots=True)
class Damaged:
    """An entry that cannot be restored, with a sentence that says why and what to do."""

    stored: Stored
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What reading the whole archive found.

    Attributes:
        sound: number of entries that unpack to the content they are named for.
        stored_bytes: size of all entries as stored, sound or not.
        damaged: the others.
        strays: whatever is no entry.
    """

    sound: int
    stored_bytes: int
    damaged: tuple[Damaged, ...]
    strays: tuple[Stray, ...]


class Archive(ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Keeps delivered files and gives them back.

    The archive's folder may be a link to another disk; below it no link is followed.
    """

    settings: ResourceDependency[Settings]

    @property
    def path(self) -> Path:
        """The archive's folder."""
        return self.settings.archive_path

    def entry_path(self, sha256: str) -> Path:
        """Where the entry of a content is, or would be.

        Raises:
            ValueError: this is no SHA-256 in lower-case hexadecimal digits.
        """
        if _SHA256.fullmatch(sha256) is None:
            raise ValueError(f"{sha256!r} is no SHA-256: 64 hexadecimal digits in lower case are expected")
        return self.path / sha256[:2] / f"{sha256}.zst"

    def find(self, sha256: str) -> Stored | None:
        """The entry of a content; None if there is none, also for what is no SHA-256.

        Raises:
            ArchiveError: whether there is one cannot be told, such as for lack of permission.
        """
        if _SHA256.fullmatch(sha256) is None:
            return None
        path = self.entry_path(sha256)
        try:
            if not stat.S_ISDIR(path.parent.lstat().st_mode):
                return None
            state = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise ArchiveError(f"{path} cannot be looked up ({error.strerror}); {_remedy(self.path)}") from error
        return Stored(sha256, state.st_size, state.st_mtime_ns) if stat.S_ISREG(state.st_mode) else None

    def holds(self, sha256: str) -> bool:
        """Whether there is an entry of this content; only `verify` tells whether it is sound."""
        return self.find(sha256) is not None

    # Keeping

    def keep(self, path: Path, sha256: str) -> None:
        """Store a delivered file; on return its entry is on disk. What is held already is only marked as delivered.

        Memory is constant. Any number of processes may keep the same content at once.

        Args:
            path: the file as delivered; a link is not followed.
            sha256: SHA-256 that its bytes are known to have, hexadecimal.

        Raises:
            DeliveryChangedError: its bytes are others, or cannot be had; nothing was kept.
            ArchiveError: the archive cannot be written to; nothing was kept.
            ValueError: ``sha256`` is none.
        """
        target = self.entry_path(sha256)
        with _writing(self.path):
            if self._touched(sha256):
                return
            _make_folder(target.parent)
            part = _fresh_part(target)
            try:
                with part.open("xb") as sink:
                    _compress(path, sha256, sink)
                    sink.flush()
                    os.fsync(sink.fileno())
                part.replace(target)
                _flush_folder(target.parent)
            except BaseException:
                with suppress(OSError):  # why it could not be written is raised; `verify` reports what stays
                    part.unlink(missing_ok=True)
                raise

    def _touched(self, sha256: str) -> bool:
        """Mark an entry as delivered now; False if there is none, or none any more."""
        if not self.holds(sha256):
            return False
        target = self.entry_path(sha256)
        try:
            os.utime(target, follow_symlinks=False)
        except FileNotFoundError:
            return False
        # Another process may just have renamed it into place, and not have got further.
        _flush_folder(target.parent)
        return True

    # Giving back

    def restore(self, sha256: str, folder: Path) -> Path:
        """Unpack a content to a file of a fresh name, which the caller removes; its hash is checked on the way.

        Args:
            sha256: SHA-256 of the content, hexadecimal.
            folder: existing folder for the copy.

        Raises:
            EntryMissingError: the archive does not hold it.
            EntryDamagedError: its entry does not unpack to it; no copy is left.
            ArchiveError: the archive cannot be read.
            OSError: the copy cannot be written; none is left.
        """
        if not self.holds(sha256):
            raise _missing(self.path, sha256)
        handle, name = tempfile.mkstemp(prefix=f"{sha256[:16]}-", dir=folder)
        try:
            with os.fdopen(handle, "wb") as copy:
                for piece in _checked(self.entry_path(sha256), sha256):
                    copy.write(piece)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Path(name)

    # Looking

    def contents(self) -> Iterator[Stored | Stray]:
        """Whatever lies in the archive, by name; nothing if it was never written to.

        Raises:
            ArchiveError: the archive's folder cannot be listed.
        """
        try:
            shards = _listed(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ArchiveError(f"{self.path} cannot be listed ({error.strerror}); {_remedy(self.path)}") from error
        for shard in shards:
            if _SHARD.fullmatch(shard.name) and shard.is_dir(follow_symlinks=False):
                yield from _shard_contents(shard)
            else:
                yield _foreign(shard)

    def stored(self) -> Iterator[Stored]:
        """All entries, by hash; whatever else lies in the archive is told by `contents` and `verify`.

        Raises:
            ArchiveError: a folder cannot be listed, so that its entries are not known.
        """
        for found in self.contents():
            if isinstance(found, Stored):
                yield found
            elif found.kind is StrayKind.UNREADABLE:
                raise ArchiveError(found.detail)

    def verify(self, on_entry: Callable[[Stored], object] = lambda _entry: None) -> Verification:
        """Unpack and hash every entry.

        Args:
            on_entry: called for each entry that was read, sound or not.

        Raises:
            ArchiveError: the archive's folder cannot be listed.
        """
        sound = stored_bytes = 0
        damaged: list[Damaged] = []
        strays: list[Stray] = []
        for found in self.contents():
            if isinstance(found, Stray):
                strays.append(found)
                continue
            try:
                deque(_checked(self.entry_path(found.sha256), found.sha256), maxlen=0)
            except EntryMissingError:  # removed since it was listed
                continue
            except EntryDamagedError as error:
                damaged.append(Damaged(found, str(error)))
            else:
                sound += 1
            stored_bytes += found.size
            on_entry(found)
        return Verification(sound, stored_bytes, tuple(damaged), tuple(strays))

    # Removing

    def remove(self, stored: Stored) -> bool:
        """Remove an entry, unless its content was delivered again since it was listed; returns whether it is gone.

        Raises:
            ArchiveError: the archive cannot be written to.
        """
        target = self.entry_path(stored.sha256)
        aside = _fresh_part(target)
        with _writing(self.path):
            # Asked for its time under another name: a delivery that comes later finds no entry and writes one.
            try:
                target.rename(aside)
            except FileNotFoundError:
                return True
            if aside.lstat().st_mtime_ns != stored.mtime_ns:
                aside.replace(target)
                return False
            aside.unlink()
        return True

    def remove_leftover(self, stray: Stray) -> None:
        """Remove a temporary file.

        Raises:
            ValueError: it is none.
            ArchiveError: the archive cannot be written to.
        """
        if stray.kind is not StrayKind.LEFTOVER:
            raise ValueError(f"{stray.path} is no temporary file of the archive: {stray.kind}")
        with _writing(self.path):
            stray.path.unlink(missing_ok=True)


# Until when entries are kept


@dataclass(frozen=True, slots=True)
class ArchivedCapture:
    """A capture that was recorded, as far as the archive has to know.

    Attributes:
        content_hash: SHA-256 of the file as delivered, hexadecimal.
        plant: plant.
        source_entry: name of the declaration that read it.
        arrived_at: when it was first seen complete, UTC.
        path: path below the plant's landing folder.
    """

    content_hash: str
    plant: str
    source_entry: str
    arrived_at: datetime
    path: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """How long a content is wanted.

    Attributes:
        until: the first moment at which no capture wants it any more, UTC; None: for ever.
        capture: the capture that wants it longest.
    """

    until: datetime | None
    capture: ArchivedCapture

    def at(self, now: datetime) -> bool:
        """Whether it is wanted at a time."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True)
class Expired:
    """An entry that nobody wants any more, and why, for people."""

    stored: Stored
    reason: str


def wanted_until(captures: Iterable[ArchivedCapture], keep_days: Mapping[str, int | None]) -> dict[str, Wanted]:
    """How long each content is wanted: as long as the capture that wants it longest.

    Args:
        captures: all captures.
        keep_days: how many days after its arrival a declaration's capture is kept, at most 36,500; None, or no rule
            because the declaration is gone: for ever.
    """
    wanted: dict[str, Wanted] = {}
    for capture in captures:
        days = keep_days.get(capture.source_entry)
        until = None if days is None else capture.arrived_at + timedelta(days=days)
        former = wanted.get(capture.content_hash)
        if former is None or (former.until is not None and (until is None or until > former.until)):
            wanted[capture.content_hash] = Wanted(until, capture)
    return wanted


def expired(
    stored: Iterable[Stored], captures: Sequence[ArchivedCapture], keep_days: Mapping[str, int | None], now: datetime
) -> Iterator[Expired]:
    """Entries that may be removed.

    An entry may go when every capture of its content is past its rule, or when no capture refers to it (a run died
    before it recorded one) and it is not `unrecorded`; in either case not within `GRACE` of its last delivery.

    Args:
        stored: entries.
        captures: all captures, of all plants.
        keep_days: as for `wanted_until`.
        now: the present, with its time zone.
    """
    wanted = wanted_until(captures, keep_days)
    now_ns = _nanoseconds(now)
    since_ns = _recorded_since_ns(captures)
    for entry in stored:
        if now_ns - entry.mtime_ns <= GRACE.days * _DAY_NS:
            continue
        found = wanted.get(entry.sha256)
        if found is None:
            if since_ns is not None and entry.mtime_ns >= since_ns:
                days = (now_ns - entry.mtime_ns) // _DAY_NS
                yield Expired(entry, f"no capture refers to it, and none has since it was delivered {days} days ago")
        elif not found.at(now):
            capture = found.capture
            yield Expired(
                entry,
                f"{capture.plant}/{capture.path} arrived on {capture.arrived_at.date()}, and {capture.source_entry}"
                f" keeps {keep_days[capture.source_entry]} days",
            )


def unrecorded(stored: Iterable[Stored], captures: Sequence[ArchivedCapture]) -> Iterator[Stored]:
    """Entries without a capture that are older than the first of all captures.

    They stay: where the ledger was lost, and is younger than the archive, they are all there is of what was delivered.
    """
    known = {capture.content_hash for capture in captures}
    since_ns = _recorded_since_ns(captures)
    for entry in stored:
        if entry.sha256 not in known and (since_ns is None or entry.mtime_ns < since_ns):
            yield entry


def abandoned(strays: Iterable[Stray], now: datetime) -> Iterator[Stray]:
    """Temporary files so old that no run writes to them any more."""
    now_ns = _nanoseconds(now)
    for stray in strays:
        if stray.kind is StrayKind.LEFTOVER and now_ns - stray.mtime_ns > GRACE.days * _DAY_NS:
            yield stray


def _recorded_since_ns(captures: Iterable[ArchivedCapture]) -> int | None:
    return min((_nanoseconds(capture.arrived_at) for capture in captures), default=None)


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


# Bytes


def _compress(path: Path, sha256: str, sink: BinaryIO) -> None:
    """Write a delivered file as one frame.

    Raises:
        DeliveryChangedError: its bytes are others, or cannot be had; what was written is void.
    """
    digest = hashlib.sha256()
    compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
    with compressor.stream_writer(sink, closefd=False) as packed:
        for chunk in _delivered(path):
            digest.update(chunk)
            packed.write(chunk)
    if digest.hexdigest() != sha256:
        raise DeliveryChangedError(f"{path} changed while it was archived; it is taken when it is complete")


def _delivered(path: Path) -> Iterator[bytes]:
    """The bytes of a delivered file.

    Raises:
        DeliveryChangedError: they cannot be had. The archive's own troubles must not be taken for it.
    """
    try:
        with _opened(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise DeliveryChangedError(
            f"{path} cannot be read any more ({error.strerror}), although it could before it was to be archived; "
            "it is taken when it is there again"
        ) from error


def _checked(path: Path, sha256: str) -> Iterator[bytes]:
    """What an entry unpacks to, in pieces of at most 16 MiB.

    Raises:
        EntryMissingError: it is not there.
        EntryDamagedError: it is not whole, or another content; what was yielded is void.
    """
    digest = hashlib.sha256()
    try:
        with _opened(path) as packed:
            for piece in _unpacked(path, packed):
                digest.update(piece)
                yield piece
    except FileNotFoundError:
        raise _missing(path.parent.parent, sha256) from None
    except OSError as error:
        raise EntryDamagedError(f"{path} cannot be read ({error.strerror}); {_remedy(path.parent.parent)}") from error
    if digest.hexdigest() != sha256:
        raise _damage(path, f"it unpacks to another content, of SHA-256 {digest.hexdigest()}")


def _unpacked(path: Path, packed: FileIO) -> Iterator[bytes]:
    frame = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
    while not frame.eof:
        chunk = packed.read(PACKED_CHUNK_BYTES)
        if not chunk:
            raise _damage(path, f"it ends after {packed.tell()} bytes, before the end mark")
        try:
            piece = frame.decompress(chunk)
        except zstandard.ZstdError as error:
            raise _damage(path, f"it cannot be unpacked around byte {packed.tell()} ({error})") from error
        yield piece
    if frame.unused_data or packed.read(1):
        raise _damage(path, "other bytes follow its end mark")


@contextmanager
def _opened(path: Path) -> Generator[FileIO]:
    if path.is_symlink():
        raise OSError(0, "it is a link, which is not followed", str(path))
    # O_NONBLOCK: opening a named pipe must not wait for a writer.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(0, "it is a folder, pipe or device", str(path))
        yield file


def _fresh_part(target: Path) -> Path:
    return target.with_name(f".{target.stem}.{uuid.uuid4().hex}.part")


# Folders


def _make_folder(folder: Path) -> None:
    """Make an entry's folder, so that it survives a power cut; a link in its place is refused."""
    for path in (folder.parent, folder):
        if not path.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            _flush_folder(path.parent)
    if folder.is_symlink():
        raise ArchiveError(f"{folder} is a link, which is not followed: move it away, and what it points to back here")


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _listed(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _shard_contents(shard: os.DirEntry[str]) -> Iterator[Stored | Stray]:
    try:
        entries = _listed(shard)
    except OSError as error:
        detail = f"{shard.path} cannot be listed ({error.strerror}); {_remedy(Path(shard.path).parent)}"
        yield Stray(StrayKind.UNREADABLE, Path(shard.path), detail)
        return
    for entry in entries:
        match = _ENTRY.fullmatch(entry.name)
        mine = (match is not None and match[1].startswith(shard.name)) or _PART.fullmatch(entry.name)
        if not mine or not entry.is_file(follow_symlinks=False):
            yield _foreign(entry)
            continue
        try:
            state = entry.stat(follow_symlinks=False)
        except FileNotFoundError:  # put into place or removed since it was listed
            continue
        except OSError as error:
            detail = f"{entry.path} cannot be looked up ({error.strerror}); {_remedy(Path(shard.path).parent)}"
            yield Stray(StrayKind.UNREADABLE, Path(entry.path), detail)
            continue
        if match is not None:
            yield Stored(match[1], state.st_size, state.st_mtime_ns)
        else:
            detail = f"{entry.path}: a temporary file, of a run that is still writing or that died"
            yield Stray(StrayKind.LEFTOVER, Path(entry.path), detail, state.st_size, state.st_mtime_ns)


def _foreign(entry: os.DirEntry[str]) -> Stray:
    # Quoted, because any bytes can be a name.
    link = "a link, which is not followed" if entry.is_symlink() else "not made by the archive"
    return Stray(StrayKind.FOREIGN, Path(entry.path), f"{entry.path!r}: {link}; move it elsewhere")


# Words


@contextmanager
def _writing(archive: Path) -> Generator[None]:
    """Tell of what the system refuses in the archive's own words."""
    try:
        yield
    except OSError as error:
        where = error.filename or archive
        raise ArchiveError(f"{where} cannot be written ({error.strerror}); {_remedy(archive)}") from error


def _remedy(archive: Path) -> str:
    return f"check that the disk of {archive} is there and has room, and that this user may read and write all below it"


def _missing(archive: Path, sha256: str) -> EntryMissingError:
    return EntryMissingError(
        f"{archive} does not hold the content {sha256}: put its entry back from a backup, "
        "or put the file back into the landing zone; filing it keeps it anew"
    )


def _damage(path: Path, problem: str) -> EntryDamagedError:
    return EntryDamagedError(
        f"{path} is damaged: {problem}. Put it back from a backup, or remove it and put the delivered file into the "
        "landing zone again; filing it keeps it anew"
    )
