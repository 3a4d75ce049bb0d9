"""Surveying a delivered file: who it is, how many lines it holds, and whether it can be read without care.

One pass over the bytes as delivered gives the capture its identity (SHA-256), unpacks it if it is compressed,
counts its lines by means that no decoder shares, and tells whether the vectorised readers may have it.

Belongs here: everything that is asked of a file before its format matters. Does not belong here: splitting
into lines (`framing`), formats (`decoders`), the landing zone's folders and names.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
import tempfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

TRUNCATED_GZIP: Final = "truncated_gzip"
CORRUPT_GZIP: Final = "corrupt_gzip"
UNPACKS_TOO_LARGE: Final = "unpacks_too_large"
BINARY_CONTENT: Final = "binary_content"
NOT_A_REGULAR_FILE: Final = "not_a_regular_file"

CHUNK_BYTES: Final = 1 << 20
RATIO_JUDGED_FROM_BYTES: Final = 16 << 20
BINARY_SAMPLE_BYTES: Final = 64 << 10

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
_TEXT_CONTROLS: Final = b"\t\n\v\f\r\x1b"
_CONTROLS: Final = bytes(c for c in (*range(32), 127) if c not in _TEXT_CONTROLS)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a delivered file may ask of us.

    Attributes:
        max_unpacked_bytes: largest text that a compressed file may unpack to, in bytes.
        max_ratio: largest unpacked / packed ratio, judged once 16 MiB are unpacked. Deflate cannot exceed
            1032, real logs stay below 300.
        max_line_bytes: longest line, without its LF, in bytes.
    """

    max_unpacked_bytes: int = 8 << 30
    max_ratio: float = 1000.0
    max_line_bytes: int = 1 << 20


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
        text: the text to decode: ``path`` itself, or the unpacked copy in the work folder.
        sha256: hexadecimal SHA-256 of the bytes as delivered.
        size_bytes: size as delivered.
        text_bytes: size of the text.
        lines: number of LF, plus one for an unterminated last line.
        plain: valid UTF-8, no NUL, no chr(1), line ends all LF or all CRLF, no lone CR, no line too long.
        compression: ``none`` or ``gzip``.
        stamp: state of the delivered file, for `check_unmoved`.
    """

    path: Path
    text: Path
    sha256: str
    size_bytes: int
    text_bytes: int
    lines: int
    plain: bool
    compression: str
    stamp: Stamp


class UnreadableCapture(Exception):  # noqa: N818 - named for the state of the file
    """A delivered file that cannot be decoded as a whole, whatever its format.

    Attributes:
        reason: reason code, one of this module's constants.
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


def survey(path: Path, workdir: Path, limits: Limits) -> Surveyed:
    """Read a delivered file once: hash it, unpack it if it is gzip, and judge its text.

    Memory is constant. A plain file is not copied; a gzip (one or more members, by magic number, whatever the
    name) is unpacked to a file of a fresh name in ``workdir``, which the caller removes when done with it and
    which is already removed if this raises.

    Args:
        path: file as delivered; never written to. A symbolic link is refused.
        workdir: existing folder for unpacked text.
        limits: sizes beyond which a file is refused or not plain.

    Raises:
        UnreadableCapture: the file as a whole cannot be decoded; it carries hash and size.
        CaptureMoved: the file vanished or changed meanwhile.
        OSError: the file or ``workdir`` cannot be accessed, such as for lack of permission.
    """
    with _opened(path) as delivered:
        before = _stamp(os.fstat(delivered.fileno()))
        digest = _Digest()
        judge = _TextJudge(limits)
        head = delivered.read(CHUNK_BYTES)
        unpacked = _fresh_file(workdir) if head.startswith(_GZIP_MAGIC) else None
        try:
            failure = _read(delivered, head, unpacked, digest, judge, limits)
            # Whatever the content was found to be, it is void if the file was not complete yet.
            _check_same(path, delivered.fileno(), before, digest.size)
            _refuse(failure, digest)
        except BaseException:
            if unpacked is not None:
                unpacked.unlink(missing_ok=True)
            raise
    return Surveyed(
        path=path,
        text=unpacked or path,
        sha256=digest.hexdigest(),
        size_bytes=digest.size,
        text_bytes=judge.size,
        lines=judge.lines,
        plain=judge.plain,
        compression="gzip" if unpacked else "none",
        stamp=before,
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


class _Digest:
    """SHA-256 and number of the bytes as delivered."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0

    def update(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self.size += len(chunk)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


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
            UnreadableCapture: the first chunk is no text.
        """
        if not chunk:
            return
        if self.size == 0:
            _refuse_binary(chunk[:BINARY_SAMPLE_BYTES])
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
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    undecodable = 0 if sample.isascii() else len(sample) - len(sample.decode("utf-8", "ignore").encode())
    # Random bytes are one tenth control characters and one third no UTF-8; text in a legacy encoding, which
    # fails line by line later on, has no control characters to speak of.
    mostly_controls = controls > 0.3 * len(sample)
    mostly_noise = controls > 0.05 * len(sample) and controls + undecodable > 0.4 * len(sample)
    if mostly_controls or mostly_noise:
        raise UnreadableCapture(
            BINARY_CONTENT,
            f"{controls} control characters and {undecodable} bytes that are no UTF-8 in the first "
            f"{len(sample)} bytes; a text file was expected",
        )


def _read(
    delivered: FileIO, head: bytes, unpacked: Path | None, digest: _Digest, judge: _TextJudge, limits: Limits
) -> UnreadableCapture | None:
    """Hash all bytes as delivered, and judge the text in them as far as it can be had."""
    failure: UnreadableCapture | None = None
    with ExitStack() as stack:
        sink = None if unpacked is None else stack.enter_context(unpacked.open("wb"))
        gunzip = _Gunzip()
        chunk = head
        while chunk:
            digest.update(chunk)
            if failure is None:
                try:
                    if sink is None:
                        judge.feed(chunk)
                    else:
                        for piece in gunzip.unpack(chunk):
                            _refuse_excess(judge.size + len(piece), digest.size, limits)
                            judge.feed(piece)
                            sink.write(piece)
                except UnreadableCapture as error:
                    failure = error
            chunk = delivered.read(CHUNK_BYTES)
        if failure is None and sink is not None and not gunzip.ended:
            failure = UnreadableCapture(
                TRUNCATED_GZIP, f"the gzip ends after {judge.size} unpacked bytes, before its end mark"
            )
    return failure


def _refuse(failure: UnreadableCapture | None, digest: _Digest) -> None:
    if failure is not None:
        raise UnreadableCapture(failure.reason, failure.detail, sha256=digest.hexdigest(), size_bytes=digest.size)


class _Gunzip:
    """Unpacks concatenated gzip members piece by piece; zero bytes may pad them, as on tape."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self.ended = False

    def unpack(self, packed: bytes) -> Iterator[bytes]:
        """Pieces of at most `CHUNK_BYTES` that the next packed bytes unpack to.

        Raises:
            UnreadableCapture: the bytes are no gzip, or their checksum is wrong.
        """
        while packed:
            if self.ended:
                packed = packed.lstrip(b"\x00")
                if not packed:
                    return
                self._member = zlib.decompressobj(_GZIP_WINDOW)
            try:
                piece = self._member.decompress(packed, CHUNK_BYTES)
            except zlib.error as error:
                raise UnreadableCapture(CORRUPT_GZIP, f"the gzip cannot be unpacked: {error}") from None
            self.ended = self._member.eof
            packed = self._member.unused_data if self.ended else self._member.unconsumed_tail
            if piece:
                yield piece


def _refuse_excess(unpacked: int, packed: int, limits: Limits) -> None:
    if unpacked > limits.max_unpacked_bytes:
        raise UnreadableCapture(UNPACKS_TOO_LARGE, f"the gzip unpacks to more than {limits.max_unpacked_bytes} bytes")
    if unpacked > RATIO_JUDGED_FROM_BYTES and unpacked > limits.max_ratio * packed:
        raise UnreadableCapture(
            UNPACKS_TOO_LARGE,
            f"{packed} gzip bytes unpack to {unpacked} bytes and more, beyond {limits.max_ratio:g} to 1",
        )


def _fresh_file(workdir: Path) -> Path:
    handle, name = tempfile.mkstemp(prefix="unpacked-", suffix=".txt", dir=workdir)
    os.close(handle)
    return Path(name)


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
