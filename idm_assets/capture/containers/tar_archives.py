"""tar archives (ustar, pax, GNU), read as a stream.

The walk over the headers is our own, because `tarfile` takes a damaged header for the end of the archive, so that what
follows would be lost in silence, and loads extended headers of any size; single headers are read by it.

Sources: POSIX.1-2017, pax interchange format; GNU tar manual, Basic Tar Format.

Belongs here: from the bytes of an archive to its entries. Does not belong here: what is done with them.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from idm_assets.capture.containers import (
    CHUNK_BYTES,
    CORRUPT_ARCHIVE,
    NOT_A_REGULAR_MEMBER,
    TOO_MANY_MEMBERS,
    TRUNCATED_ARCHIVE,
    Budget,
    Entry,
    Refused,
    RefusedWhole,
)
from idm_assets.capture.containers.names import entry_of, shown
from idm_assets.capture.containers.streams import Reader

_BLOCK: Final = 512
_MAX_EXTENDED_HEADER_BYTES: Final = 1 << 20
_PAX_RECORD: Final = re.compile(rb"(\d{1,7}) ([^=\n]+)=")


@dataclass(slots=True)
class _Extended:
    """What extended headers say of the entry that follows them."""

    name: bytes | None = None
    size: int | None = None
    sparse: bool = False
    pending: bool = False


def tar_entries(packed: Iterable[bytes], budget: Budget) -> Iterator[tuple[Entry, Iterator[bytes]]]:
    """Entries of a tar archive, one after the other, each with its content; also of several archives in a row.

    What is not read of a content is skipped when the next entry is asked for.

    Args:
        packed: the archive (ustar, pax or GNU) from its start.
        budget: what may come out, and how many entries there may be.

    Raises:
        RefusedWhole: the archive is truncated or damaged, or holds too many entries; also while a content is read.
        The same as ``packed`` raises, for the archive as a whole.
    """
    archive = Reader(_whole(packed))
    extended = _Extended()
    ended = False
    count = 0
    while block := archive.exactly(_BLOCK):
        ended = block.count(0) == len(block)
        if len(block) == _BLOCK and ended and not extended.pending:
            continue
        header = _tar_header(block)
        if header.type in _EXTENDING:
            _extend(extended, header, _extension(archive, header))
            continue
        count += 1
        if count > budget.limits.max_members:
            raise RefusedWhole(TOO_MANY_MEMBERS, f"the tar has more than {budget.limits.max_members} entries")
        entry = _tar_entry(header, extended)
        if header.type == tarfile.GNUTYPE_SPARSE:
            _skip_sparse_map(archive, block)
        size = header.size if extended.size is None else extended.size
        content = _tar_content(archive, 0 if header.type in _WITHOUT_CONTENT else size, budget)
        extended = _Extended()
        yield entry, content
        for _ in content:
            pass
    if not ended:
        raise RefusedWhole(TRUNCATED_ARCHIVE, f"the tar ends after {count} entries, before its end mark")


def _whole(chunks: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from chunks
    except Refused as error:
        raise RefusedWhole(error.reason, error.detail) from None


_PAX_HEADERS: Final = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)
_EXTENDING: Final = (*_PAX_HEADERS, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_WITHOUT_CONTENT: Final = frozenset(tarfile.SUPPORTED_TYPES) - frozenset(tarfile.REGULAR_TYPES)


def _tar_header(block: bytes) -> tarfile.TarInfo:
    if len(block) < _BLOCK:
        raise RefusedWhole(TRUNCATED_ARCHIVE, "the tar ends within the header of an entry")
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise RefusedWhole(CORRUPT_ARCHIVE, f"the header of an entry of the tar is damaged: {error}") from None
    if header.size < 0:
        raise RefusedWhole(CORRUPT_ARCHIVE, f"an entry of the tar has the size {header.size}")
    return header


def _extension(archive: Reader, header: tarfile.TarInfo) -> bytes:
    if header.size > _MAX_EXTENDED_HEADER_BYTES:
        raise RefusedWhole(CORRUPT_ARCHIVE, f"the tar has an extended header of {header.size} bytes")
    content = archive.exactly(header.size + -header.size % _BLOCK)
    if len(content) < header.size:
        raise RefusedWhole(TRUNCATED_ARCHIVE, "the tar ends within an extended header")
    return content[: header.size]


def _extend(extended: _Extended, header: tarfile.TarInfo, content: bytes) -> None:
    # A global header may stand alone, as in the archive of an empty Git tree.
    extended.pending = extended.pending or header.type != tarfile.XGLTYPE
    if header.type == tarfile.GNUTYPE_LONGNAME:
        extended.name = content.split(b"\x00", 1)[0]
    elif header.type in _PAX_HEADERS:
        for key, value in _pax_records(content):
            if key == b"path":
                extended.name = value
            elif key == b"size":
                extended.size = _pax_size(value)
            elif key.startswith(b"GNU.sparse."):
                extended.sparse = True


def _pax_records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(content):
        record = _PAX_RECORD.match(content, at)
        end = at + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise RefusedWhole(CORRUPT_ARCHIVE, "an extended header of the tar is damaged")
        yield record[2], content[record.end() : end - 1]
        at = end


def _pax_size(value: bytes) -> int:
    if not (value.isdigit() and len(value) <= 18):
        raise RefusedWhole(CORRUPT_ARCHIVE, f"an entry of the tar has the size {shown(value)!r}")
    return int(value)


def _tar_entry(header: tarfile.TarInfo, extended: _Extended) -> Entry:
    raw = extended.name if extended.name is not None else header.name.encode("utf-8", "surrogateescape")
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = None
    if header.type == tarfile.DIRTYPE:
        return entry_of(raw, name, "folder", None)
    refusal = None
    if extended.sparse or header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
        what = _TAR_TYPES.get(header.type, f"an entry of type {shown(header.type)}")
        refusal = NOT_A_REGULAR_MEMBER, f"the member is {'a sparse file' if extended.sparse else what}"
    return entry_of(raw, name, "file", refusal)


_TAR_TYPES: Final[Mapping[bytes, str]] = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


def _tar_content(archive: Reader, size: int, budget: Budget) -> Iterator[bytes]:
    left = size
    while left:
        piece = archive.some(min(left, CHUNK_BYTES))
        if not piece:
            raise RefusedWhole(TRUNCATED_ARCHIVE, f"the tar ends {left} bytes before the end of an entry")
        left -= len(piece)
        budget.spend("entries", len(piece))
        yield piece
    if len(archive.exactly(-size % _BLOCK)) < -size % _BLOCK:
        raise RefusedWhole(TRUNCATED_ARCHIVE, "the tar ends within the padding of an entry")


def _skip_sparse_map(archive: Reader, block: bytes) -> None:
    """Skip what continues the map of an old GNU sparse file."""
    more = block[482]
    while more:
        block = archive.exactly(_BLOCK)
        if len(block) < _BLOCK:
            raise RefusedWhole(TRUNCATED_ARCHIVE, "the tar ends within the map of a sparse file")
        more = block[504]
