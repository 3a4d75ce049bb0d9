"""zip archives, read by their directory from a file.

The reader is our own, because `zipfile` loads a directory of any size, unpacks bz2 without a bound, cuts content at the
size that the directory claims, and gives up on all entries for one odd name.

Sources: PKWARE APPNOTE 6.3.10; ISO/IEC 29500-2 (OPC packages).

Belongs here: from a file to the entries of its directory and their content. Does not belong here: what is done with
them.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final

from idm_assets.capture.containers import (
    CORRUPT_ARCHIVE,
    ENCRYPTED,
    NOT_A_REGULAR_MEMBER,
    TOO_MANY_MEMBERS,
    TRUNCATED_ARCHIVE,
    UNSUPPORTED_COMPRESSION,
    Budget,
    Entry,
    Limits,
    Refused,
)
from idm_assets.capture.containers.names import MAX_NAME_CHARACTERS, entry_of
from idm_assets.capture.containers.streams import SLICE_BYTES, STREAMS, DamagedStreamError, Reader, refuse_ratio

_END: Final = Struct("<4s4H2LH")
_END64_LOCATOR: Final = Struct("<4sLQL")
_END64: Final = Struct("<4sQ2H2L4Q")
_CENTRAL: Final = Struct("<4s6H3L5H2L")
_LOCAL: Final = Struct("<4s5H3L2H")
_MAX_COMMENT_BYTES: Final = (1 << 16) - 1
_ENCRYPTED_FLAGS: Final = 1 << 0 | 1 << 6 | 1 << 13
_UTF8_FLAG: Final = 1 << 11
_UNIX_HOSTS: Final = frozenset({3, 19})
# Info-ZIP gives what it read from a pipe the type of the pipe.
_CONTENT_TYPES: Final = frozenset({0, stat.S_IFREG, stat.S_IFIFO})
_PACKAGE_PART: Final = b"[Content_Types].xml"
_METHODS: Final[Mapping[int, str]] = {8: "deflate", 12: "bz2", 93: "zstd"}
_STORED: Final = 0
# Enough for every safe name; what an unsafe one is called in full matters no more.
_RAW_NAME_BYTES: Final = 4 * MAX_NAME_CHARACTERS + 1
_SATURATED: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class ZipEntry:
    """An entry of a zip's directory.

    Attributes:
        entry: its name, and whether it can be decoded.
        raw_name: its name as stored.
        method: number of its compression method.
        crc: CRC-32 of its content.
        packed_bytes: size of its packed data.
        size_bytes: size that the directory claims of its content.
        offset: position of its local header.
        is_readable: whether it can be unpacked: neither encrypted nor of an unsupported method.
    """

    entry: Entry
    raw_name: bytes
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int
    is_readable: bool


@dataclass(frozen=True, slots=True)
class Zip:
    """A zip archive in a file, whose directory has been read.

    Attributes:
        handle: descriptor of the file.
        size_bytes: size of the file.
        data_end: position at which the entries' data end and the directory begins.
        entries: the entries in the order of the directory.
        is_package: whether it is an OPC package (ISO/IEC 29500-2), such as XLSX, rather than an archive.
        max_ratio: largest ratio of all contents together to the file.
    """

    handle: int
    size_bytes: int
    data_end: int
    entries: tuple[ZipEntry, ...]
    is_package: bool
    max_ratio: float


def read_zip(handle: int, limits: Limits) -> Zip:
    """Read the directory of a zip archive, entry by entry.

    Args:
        handle: descriptor of the file; its position does not matter.
        limits: how many entries it may have; judged before they are read.

    Raises:
        Refused: the directory is truncated or damaged, or has too many entries.
        OSError: the file cannot be read.
    """
    size = os.fstat(handle).st_size
    count, directory_bytes, start = _directory(handle, size)
    if count > limits.max_members:
        raise Refused(TOO_MANY_MEMBERS, f"the zip has {count} entries, more than {limits.max_members}")
    directory = Reader(_range(handle, start, start + directory_bytes))
    try:
        entries = tuple(_zip_entry(directory) for _ in range(count))
    except EOFError:
        raise Refused(CORRUPT_ARCHIVE, f"the directory of the zip holds less than its {count} entries") from None
    if directory.more():
        raise Refused(CORRUPT_ARCHIVE, f"the directory of the zip holds more than its {count} entries")
    dense = any(_METHODS.get(entry.method) in {"bz2", "zstd"} for entry in entries)
    return Zip(
        handle,
        size,
        start,
        entries,
        any(entry.raw_name == _PACKAGE_PART for entry in entries),
        limits.max_dense_ratio if dense else limits.max_ratio,
    )


def zip_content(archive: Zip, entry: ZipEntry, budget: Budget) -> Iterator[bytes]:
    """Content of an entry, whose true size and checksum are found while it is unpacked.

    Args:
        archive: the archive.
        entry: one of its entries, whose compression is supported.
        budget: what may come out of all entries together.

    Raises:
        Refused: it is truncated or damaged; the other entries need not be.
        RefusedWhole: too much comes out of the entries.
    """
    size = crc = 0
    try:
        for piece in _zip_pieces(archive, entry):
            size += len(piece)
            crc = zlib.crc32(piece, crc)
            refuse_ratio(budget.spend("entries", len(piece)), archive.size_bytes, archive.max_ratio, "zip")
            yield piece
    except EOFError:
        raise Refused(TRUNCATED_ARCHIVE, f"the member ends within the zip after {size} unpacked bytes") from None
    except DamagedStreamError as error:
        raise Refused(CORRUPT_ARCHIVE, f"the member of the zip is damaged after {size} bytes: {error}") from None
    if size != entry.size_bytes or crc != entry.crc:
        raise Refused(
            CORRUPT_ARCHIVE,
            f"the member of the zip has {size} bytes and CRC-32 {crc:08x}; "
            f"its directory says {entry.size_bytes} bytes and {entry.crc:08x}",
        )


def zip_packed(archive: Zip, entry: ZipEntry, budget: Budget) -> Iterator[bytes]:
    """Data of an entry as they lie in the archive, as far as they do; to tell entries apart that stay packed."""
    try:
        start = _data_start(archive, entry)
    except (EOFError, DamagedStreamError):
        start = entry.offset
    for chunk in _range(archive.handle, start, min(start + entry.packed_bytes, archive.data_end)):
        budget.spend("entries", len(chunk))
        yield chunk


def _zip_pieces(archive: Zip, entry: ZipEntry) -> Iterator[bytes]:
    start = _data_start(archive, entry)
    end = start + entry.packed_bytes
    if end > archive.data_end:
        raise EOFError
    packed = _range(archive.handle, start, end)
    if entry.method == _STORED:
        yield from packed
        return
    reader = Reader(packed)
    while reader.more():
        yield from STREAMS[_METHODS[entry.method]](reader)


def _data_start(archive: Zip, entry: ZipEntry) -> int:
    """Position of an entry's data, behind its local header."""
    data = Reader(_range(archive.handle, entry.offset, archive.data_end))
    local = _LOCAL.unpack(data.needed(_LOCAL.size))
    if local[0] != b"PK\x03\x04":
        raise DamagedStreamError("its local header is not where the directory says")
    if data.needed(local[9])[:_RAW_NAME_BYTES] != entry.raw_name:
        raise DamagedStreamError("its local header has another name than the directory")
    return entry.offset + _LOCAL.size + local[9] + local[10]


def _directory(handle: int, size: int) -> tuple[int, int, int]:
    """Number of entries, size and position of the directory."""
    end = _end_record(handle, size)
    record = _END.unpack(_read(handle, end, _END.size))
    disks, counts, directory_bytes, start = record[1:3], record[3:5], record[5], record[6]
    locator = _read(handle, end - _END64_LOCATOR.size, _END64_LOCATOR.size)
    if locator.startswith(b"PK\x06\x07"):
        end = _END64_LOCATOR.unpack(locator)[2]
        wide = _read(handle, end, _END64.size)
        if not wide.startswith(b"PK\x06\x06") or len(wide) < _END64.size:
            raise Refused(CORRUPT_ARCHIVE, "the zip64 end record of the zip is not where its locator says")
        record = _END64.unpack(wide)
        disks, counts, directory_bytes, start = record[4:6], record[6:8], record[8], record[9]
    if disks != (0, 0) or counts[0] != counts[1]:
        raise Refused(CORRUPT_ARCHIVE, "the zip is one volume of several")
    if start + directory_bytes != end:
        raise Refused(CORRUPT_ARCHIVE, "the directory of the zip is not where its end record says")
    return counts[0], directory_bytes, start


def _end_record(handle: int, size: int) -> int:
    """Position of the end record, which only a comment may follow."""
    start = max(0, size - _MAX_COMMENT_BYTES - _END.size)
    tail = _read(handle, start, size - start)
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + _END.size <= len(tail):
            comment = int.from_bytes(tail[at + _END.size - 2 : at + _END.size], "little")
            if at + _END.size + comment == len(tail):
                return start + at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    raise Refused(TRUNCATED_ARCHIVE, "the zip does not end with its directory")


def _zip_entry(directory: Reader) -> ZipEntry:
    record = _CENTRAL.unpack(directory.needed(_CENTRAL.size))
    if record[0] != b"PK\x01\x02":
        raise Refused(CORRUPT_ARCHIVE, "an entry in the directory of the zip is damaged")
    made_by, flags, method, crc, packed_bytes, size_bytes = record[1], record[3], record[4], *record[7:10]
    raw = directory.needed(record[10])
    extra = directory.needed(record[11])
    directory.needed(record[12])
    size_bytes, packed_bytes, offset = _wide(extra, (size_bytes, packed_bytes, record[16]))
    file_type = stat.S_IFMT(record[15] >> 16) if made_by >> 8 in _UNIX_HOSTS else 0
    folder = raw.endswith(b"/") and not size_bytes
    is_readable = not flags & _ENCRYPTED_FLAGS and (method == _STORED or method in _METHODS)
    refusal = None
    if file_type not in _CONTENT_TYPES or (raw.endswith(b"/") and not folder):
        refusal = NOT_A_REGULAR_MEMBER, "the member is a link, a device, or a folder with content"
    elif flags & _ENCRYPTED_FLAGS:
        refusal = ENCRYPTED, "the member is encrypted"
    elif not is_readable:
        refusal = UNSUPPORTED_COMPRESSION, f"the member is compressed by method {method}, not by deflate, bz2 or zstd"
    entry = entry_of(raw, _zip_name(raw, flags), "folder" if folder else "file", None if folder else refusal)
    return ZipEntry(entry, raw[:_RAW_NAME_BYTES], method, crc, packed_bytes, size_bytes, offset, is_readable)


def _zip_name(raw: bytes, flags: int) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        # APPNOTE, appendix D: names are of code page 437 unless a flag says that they are UTF-8.
        return None if flags & _UTF8_FLAG else raw.decode("cp437")


def _wide(extra: bytes, fields: tuple[int, int, int]) -> tuple[int, int, int]:
    """Sizes and offset, each from the zip64 extra field if it does not fit the entry itself."""
    wanted = [index for index, value in enumerate(fields) if value == _SATURATED]
    if not wanted:
        return fields
    at = 0
    while at + 4 <= len(extra):
        tag, size = int.from_bytes(extra[at : at + 2], "little"), int.from_bytes(extra[at + 2 : at + 4], "little")
        if tag == 1 and size >= 8 * len(wanted):
            values = list(fields)
            for number, index in enumerate(wanted):
                start = at + 4 + 8 * number
                values[index] = int.from_bytes(extra[start : start + 8], "little")
            return values[0], values[1], values[2]
        at += 4 + size
    raise Refused(CORRUPT_ARCHIVE, "an entry in the directory of the zip lacks its zip64 sizes")


def _range(handle: int, start: int, end: int) -> Iterator[bytes]:
    """Bytes of a file from one position to another, as far as there are any."""
    while start < end:
        chunk = _read(handle, start, min(SLICE_BYTES, end - start))
        if not chunk:
            return
        start += len(chunk)
        yield chunk


def _read(handle: int, start: int, count: int) -> bytes:
    """At most ``count`` bytes at a position; none where there can be no file."""
    if not 0 <= start < 1 << 62:
        return b""
    return os.pread(handle, count, start)
