"""Surveying a delivered file: who it is, what it holds, and whether that can be read without care.

One pass over the bytes as delivered gives the file its identity (SHA-256). What it is packed in is taken apart, text is
brought to UTF-8, its lines are counted by means that no decoder shares, and it is judged whether the vectorised readers
may have it.

Belongs here: identity, completeness, and what text is fit for. Does not belong here: taking apart (`members`), kinds
and encodings (`content`), splitting into lines (`framing`), formats (`decoders`), the landing zone's folders and names.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Final

from idm_assets.capture.containers import (
    CHUNK_BYTES,
    CORRUPT_ARCHIVE,
    CORRUPT_GZIP,
    TRUNCATED_ARCHIVE,
    TRUNCATED_GZIP,
    UNPACKS_TOO_LARGE,
    Limits,
    Refused,
)
from idm_assets.capture.content import HEAD_BYTES, Expected, is_binary, noise
from idm_assets.capture.members import NESTED_TOO_DEEP, REPEATED_MEMBER_NAME, Examination, Hashed, Member, WorkFolder

__all__ = [
    "BINARY_CONTENT",
    "CHUNK_BYTES",
    "CORRUPT_ARCHIVE",
    "CORRUPT_GZIP",
    "NESTED_TOO_DEEP",
    "NOT_A_REGULAR_FILE",
    "REPEATED_MEMBER_NAME",
    "TRUNCATED_ARCHIVE",
    "TRUNCATED_GZIP",
    "UNPACKS_TOO_LARGE",
    "CaptureMoved",
    "Limits",
    "Member",
    "Stamp",
    "Surveyed",
    "UnreadableCapture",
    "check_unmoved",
    "has_long_line",
    "survey",
]

BINARY_CONTENT: Final = "binary_content"
NOT_A_REGULAR_FILE: Final = "not_a_regular_file"

_ANYTHING: Final = Expected()


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file on disk from another: device, inode, size and mtime in ns."""

    device: int
    inode: int
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What the survey found.

    Attributes:
        path: the file as delivered.
        sha256: hexadecimal SHA-256 of the bytes as delivered.
        size_bytes: size as delivered.
        packaging: what the file is packed in, the innermost first: ``none``, ``gzip``, ``zip``, ``tar+gzip``.
        stamp: state of the delivered file, for `check_unmoved`.
        members: the files to decode, in the order of the archive; exactly one, not refused, where there is no archive.
        is_archive: whether it is a zip or tar, whose members are captures of their own.
        ignored: names of entries that are no data, such as ``.DS_Store``.
    """

    path: Path
    sha256: str
    size_bytes: int
    packaging: str
    stamp: Stamp
    members: tuple[Member, ...]
    is_archive: bool
    ignored: tuple[str, ...] = ()


class UnreadableCapture(Exception):  # noqa: N818 - named for the state of the file
    """A delivered file that cannot be decoded as a whole, whatever its format.

    Attributes:
        reason: reason code.
        detail: what was found, for people.
        sha256: hexadecimal SHA-256 of the bytes as delivered; None if they could not be read.
        size_bytes: size as delivered; None if the bytes could not be read.
    """

    def __init__(self, reason: str, detail: str, *, sha256: str | None = None, size_bytes: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.sha256 = sha256
        self.size_bytes = size_bytes


class CaptureMoved(Exception):  # noqa: N818 - not a failure, but a file to leave for later
    """The file vanished or changed while it was read: it is still being delivered, leave it for later."""


def survey(path: Path, workdir: Path, limits: Limits, expected: Expected = _ANYTHING) -> Surveyed:
    """Read a delivered file once: hash it, take it apart, and judge what is in it.

    Whatever it is called, it is unpacked by its signature: gzip, zstd and bz2 in one stream or several, zip, and tar.
    An archive may be compressed, and so may its members, with no more than two layers of compression around a file
    and no archive in an archive. An OPC package, such as XLSX, is a file and not an archive.

    Memory is constant, but for what is known of each entry of an archive. Text in UTF-8 that is not packed is read in
    place; all else goes to files of fresh names in ``workdir``, which the caller removes when done with them and which
    are already removed if this raises.

    Args:
        path: file as delivered; never written to. A symbolic link is refused.
        workdir: existing folder for unpacked files.
        limits: sizes beyond which a file is refused or not plain.
        expected: what the declared format expects to find.

    Raises:
        UnreadableCapture: the file as a whole cannot be decoded; it carries hash and size. What is wrong with one
            member of an archive is in its `Member.refusal`; what is wrong with a file that is no archive is raised.
        CaptureMoved: the file vanished or changed meanwhile.
        OSError: the file or ``workdir`` cannot be accessed, such as for lack of permission.
    """
    with _opened(path) as delivered, WorkFolder(workdir) as work:
        before = _stamp(os.fstat(delivered.fileno()))
        stream = Hashed(_chunks(delivered))
        examination = Examination(work, limits, expected, lambda: _TextJudge(limits))
        failure: Refused | None = None
        packaging = ""
        try:
            packaging = examination.examine(path, delivered.fileno(), stream)
        except Refused as error:
            failure = error
        stream.drain()
        # Whatever the content was found to be, it is void if the file was not complete yet.
        _check_same(path, delivered.fileno(), before, stream.size)
        sha256 = stream.hexdigest()
        if failure is not None:
            raise UnreadableCapture(failure.reason, failure.detail, sha256=sha256, size_bytes=stream.size)
    members = examination.members
    if not examination.is_archive:
        members = [replace(member, sha256=sha256, size_bytes=before.size_bytes) for member in members]
    return Surveyed(
        path=path,
        sha256=sha256,
        size_bytes=before.size_bytes,
        packaging=packaging,
        stamp=before,
        members=tuple(members),
        is_archive=examination.is_archive,
        ignored=tuple(examination.ignored),
    )


def check_unmoved(surveyed: Surveyed) -> None:
    """Make sure that a file read in place is still the one that was surveyed.

    Raises:
        CaptureMoved: it vanished or changed since the survey.
    """
    _check_path(surveyed.path, surveyed.stamp)


def has_long_line(block: bytes, limit: int) -> bool:
    """Whether a block of lines holds a line of more than ``limit`` bytes before its LF or the block's end."""
    start = 0
    while len(block) - start > limit:
        # The last LF within reach may end several lines; none of them can be too long.
        newline = block.rfind(b"\n", start, start + limit + 1)
        if newline < 0:
            return True
        start = newline + 1
    return False


def _chunks(delivered: FileIO) -> Iterator[bytes]:
    while chunk := delivered.read(CHUNK_BYTES):
        yield chunk


class _TextJudge:
    """Judges text chunk by chunk: lines, line ends, encoding, and whether it is text at all."""

    def __init__(self, limits: Limits) -> None:
        self.size = 0
        self._limit = limits.max_line_bytes
        self._lf = self._cr = self._crlf = 0
        self._first = b""
        self._last = b""
        self._open_line = 0
        self._clean = True
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")

    def feed(self, chunk: bytes) -> None:
        """Judge the next chunk, of any length.

        Raises:
            Refused: the first chunk is no text.
        """
        if not chunk:
            return
        if self.size == 0:
            _refuse_binary(chunk[:HEAD_BYTES])
        self.size += len(chunk)
        self._first = (self._first + chunk[:3])[:3]
        self._lf += chunk.count(b"\n")
        carriage_returns = chunk.count(b"\r")
        if self._last == b"\r" and chunk[:1] == b"\n":
            self._crlf += 1
        if carriage_returns:
            self._cr += carriage_returns
            self._crlf += chunk.count(b"\r\n")
        self._last = chunk[-1:]
        if self._clean:
            self._clean = self._is_clean(chunk)

    def _is_clean(self, chunk: bytes) -> bool:
        first, last = chunk.find(b"\n"), chunk.rfind(b"\n")
        reach = len(chunk) if first < 0 else first
        if self._open_line + reach > self._limit:
            return False
        if len(chunk) > self._limit and has_long_line(chunk, self._limit):
            return False
        self._open_line = self._open_line + len(chunk) if last < 0 else len(chunk) - last - 1
        if b"\x00" in chunk or b"\x01" in chunk:
            return False
        if not chunk.isascii() or self._decoder.getstate()[0]:
            try:
                self._decoder.decode(chunk)
            except UnicodeDecodeError:
                return False
        return True

    @property
    def lines(self) -> int:
        return self._lf + (1 if self.size and self._last != b"\n" else 0)

    @property
    def plain(self) -> bool:
        ends_alike = self._cr == self._crlf and self._crlf in (0, self._lf)
        # DuckDB sees no line in a file that is a byte-order mark and nothing else.
        bare_mark = self.size == 3 and self._first == codecs.BOM_UTF8
        return self._clean and ends_alike and not bare_mark and not self._decoder.getstate()[0]


def _refuse_binary(sample: bytes) -> None:
    if is_binary(sample):
        controls, undecodable = noise(sample)
        raise Refused(
            BINARY_CONTENT,
            f"{controls} control characters and {undecodable} bytes that are no UTF-8 in the first "
            f"{len(sample)} bytes; a text file was expected",
        )


@contextmanager
def _opened(path: Path) -> Generator[FileIO]:
    # O_NONBLOCK: opening a named pipe must not wait for a writer.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UnreadableCapture(NOT_A_REGULAR_FILE, f"{path} is a link, folder, pipe or device")
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise CaptureMoved(f"{path} vanished before it was read") from None
    with os.fdopen(handle, "rb", buffering=0) as delivered:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise UnreadableCapture(NOT_A_REGULAR_FILE, f"{path} is a link, folder, pipe or device")
        yield delivered


def _stamp(state: os.stat_result) -> Stamp:
    return Stamp(state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)


def _check_same(path: Path, handle: int, before: Stamp, bytes_read: int) -> None:
    if _stamp(os.fstat(handle)) != before or bytes_read != before.size_bytes:
        raise CaptureMoved(f"{path} changed while it was read; it is taken when it is complete")
    _check_path(path, before)


def _check_path(path: Path, before: Stamp) -> None:
    try:
        now = _stamp(path.lstat())
    except FileNotFoundError:
        raise CaptureMoved(f"{path} vanished while it was read") from None
    if now != before:
        raise CaptureMoved(f"{path} changed while it was read; it is taken when it is complete")
