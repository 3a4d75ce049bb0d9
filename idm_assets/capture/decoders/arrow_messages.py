"""Arrow IPC as a series of messages: how many rows each record batch announces, found without the Arrow library.

Sources of the format: Apache Arrow, "Serialization and Interprocess Communication"; Message.fbs and File.fbs of its
format folder; FlatBuffers, "Internals". Only the few fields that are needed are read, every position checked.

Belongs here: framing and announced sizes. Does not belong here: schemas, columns, rows (`columnar_rows`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from struct import error as StructError  # noqa: N812 - it is an exception
from typing import BinaryIO, Final

from idm_assets.capture.decoders import UndecodableFile

CORRUPT_FILE: Final = "corrupt_file"
UNPACKS_TOO_LARGE: Final = "unpacks_too_large"

MAX_METADATA_BYTES: Final = 64 << 20
MAX_BATCH_BYTES: Final = 1 << 30
"""Largest record batch, packed or not: it is held in memory as a whole."""

MAGIC: Final = b"ARROW1"
_STREAM_START: Final = 8
_CONTINUATION: Final = 0xFFFFFFFF
_RECORD_BATCH: Final = 3
_U16, _I32, _U32, _I64, _U8 = (Struct(f"<{code}") for code in ("H", "i", "I", "q", "B"))
_BLOCK: Final = Struct("<qi4xq")
_BUFFER: Final = Struct("<qq")


@dataclass(frozen=True, slots=True)
class RecordBatches:
    """The record batches of a file.

    Attributes:
        rows: number of rows that each announces, in order; then 1 for what is cut off before it
            says of its rows.
        stream_start: position at which the messages begin; None: they are found by the footer of a complete file.
    """

    rows: tuple[int, ...]
    stream_start: int | None


def record_batches(path: Path) -> RecordBatches:
    """Find the record batches of an Arrow IPC file or stream.

    A file that ends before its footer, as a writer leaves it behind that was stopped, is read as the stream that it
    is up to there.

    Args:
        path: the file.

    Raises:
        UndecodableFile: it is neither, it is damaged, or a batch is larger than is read.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            if file.read(len(MAGIC)) != MAGIC:
                rows, is_cut = _streamed(file, 0, size)
                return RecordBatches((*rows, 1) if is_cut else rows, 0)
            file.seek(max(0, size - len(MAGIC)))
            if file.read() != MAGIC or size < _STREAM_START + _I32.size + len(MAGIC):
                return RecordBatches((*_streamed(file, _STREAM_START, size)[0], 1), _STREAM_START)
            return RecordBatches(tuple(_listed(file, size)), None)
        except StructError:
            raise UndecodableFile(CORRUPT_FILE, "a message of the Arrow file points outside of itself") from None


def _streamed(file: BinaryIO, start: int, size: int) -> tuple[tuple[int, ...], bool]:
    """Rows of the batches from a position on, and whether the file ends within a message that says of no rows."""
    batches: list[int] = []
    at = start
    while prefix := _prefix(file, at):
        metadata_start, metadata_size = prefix
        if not metadata_size:
            return tuple(batches), False
        if metadata_size > MAX_METADATA_BYTES:
            raise UndecodableFile(CORRUPT_FILE, f"the message at byte {at} announces {metadata_size} bytes of metadata")
        file.seek(metadata_start)
        metadata = file.read(metadata_size)
        if len(metadata) < metadata_size:
            return tuple(batches), True
        body_start = metadata_start + metadata_size
        message = _Table.root(metadata)
        body_size = message.number(3, _I64)
        if body_size < 0:
            raise UndecodableFile(CORRUPT_FILE, f"the message at byte {at} announces {body_size} bytes")
        rows = _rows(message, body_size, body_start, file)
        batches += [] if rows is None else [rows]
        at = body_start + body_size
        if at > size:
            return tuple(batches), rows is None
    return tuple(batches), False


def _prefix(file: BinaryIO, at: int) -> tuple[int, int] | None:
    """Position and size of a message's metadata; None at the end of the file."""
    file.seek(at)
    prefix = file.read(8)
    if not prefix:
        return None
    if len(prefix) < 4:
        return at + 4, _U32.size
    (first,) = _U32.unpack_from(prefix)
    # Before Arrow 0.15 there was no mark before the size.
    if first != _CONTINUATION:
        return at + 4, first
    return (at + 8, _U32.unpack_from(prefix, 4)[0]) if len(prefix) == 8 else (at + 8, _U32.size)


def _listed(file: BinaryIO, size: int) -> Iterator[int]:
    """Rows of the batches that the footer of a file lists."""
    file.seek(size - len(MAGIC) - _I32.size)
    (footer_size,) = _I32.unpack(file.read(_I32.size))
    footer_start = size - len(MAGIC) - _I32.size - footer_size
    if not 0 < footer_size <= MAX_METADATA_BYTES or footer_start < _STREAM_START:
        raise UndecodableFile(CORRUPT_FILE, f"the footer of the Arrow file announces {footer_size} bytes")
    file.seek(footer_start)
    footer = _Table.root(file.read(footer_size))
    listed = 0
    for offset, metadata_size, body_size in footer.structs(3, _BLOCK):
        listed += metadata_size + body_size
        is_within = offset >= _STREAM_START and offset + metadata_size + body_size <= footer_start
        is_sized = 8 < metadata_size <= MAX_METADATA_BYTES and body_size >= 0
        # Batches that lie within each other would make much of little.
        if not is_within or not is_sized or listed > footer_start:
            raise UndecodableFile(CORRUPT_FILE, f"the footer lists a record batch at byte {offset} that cannot be")
        file.seek(offset)
        block = file.read(metadata_size)
        (first,) = _U32.unpack_from(block)
        message = _Table.root(block[8 if first == _CONTINUATION else 4 :])
        rows = _rows(message, body_size, offset + metadata_size, file)
        if rows is None:
            raise UndecodableFile(CORRUPT_FILE, f"the footer lists a record batch at byte {offset}; there is none")
        yield rows


def _rows(message: _Table, body_size: int, body_start: int, file: BinaryIO) -> int | None:
    """Rows that a message announces; None if it is no record batch."""
    if body_size > MAX_BATCH_BYTES:
        raise _too_large(body_size)
    if message.number(1, _U8) != _RECORD_BATCH:
        return None
    batch = message.table(2)
    rows = batch.number(0, _I64)
    if rows < 0:
        raise UndecodableFile(CORRUPT_FILE, f"a record batch announces {rows} rows")
    if batch.has(3):
        unpacked = 0
        for offset, length in batch.structs(2, _BUFFER):
            if not 0 <= offset <= body_size or length < 0:
                raise StructError
            if length >= _I64.size:
                file.seek(body_start + offset)
                # A buffer that did not get smaller is stored as it is, after -1.
                stored = file.read(_I64.size)
                unpacked += max(length, _I64.unpack(stored)[0] if len(stored) == _I64.size else 0)
        if unpacked > MAX_BATCH_BYTES:
            raise _too_large(unpacked)
    return rows


def _too_large(size: int) -> UndecodableFile:
    return UndecodableFile(
        UNPACKS_TOO_LARGE,
        f"a record batch of {size} bytes; at most {MAX_BATCH_BYTES} are read at once: write smaller record batches",
    )


class _Table:
    """A table of FlatBuffers, whose positions are checked where they are followed."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._fields = at - self._get(_I32, at)

    @classmethod
    def root(cls, data: bytes) -> _Table:
        """The table that a buffer holds."""
        return cls(data, _checked(_U32, data, 0))

    def has(self, field: int) -> bool:
        """Whether a field is there."""
        return self._place(field) is not None

    def number(self, field: int, kind: Struct) -> int:
        """A number, 0 where the field is not there."""
        place = self._place(field)
        return 0 if place is None else self._get(kind, place)

    def table(self, field: int) -> _Table:
        """A table; `StructError` where the field is not there."""
        return _Table(self._data, self._followed(field))

    def structs(self, field: int, kind: Struct) -> Iterator[tuple[int, ...]]:
        """The structs of a vector, none where the field is not there."""
        if not self.has(field):
            return
        start = self._followed(field)
        count = self._get(_U32, start)
        for index in range(count):
            place = start + _U32.size + index * kind.size
            if place + kind.size > len(self._data):
                raise StructError
            yield kind.unpack_from(self._data, place)

    def _followed(self, field: int) -> int:
        place = self._place(field)
        if place is None:
            raise StructError
        return place + self._get(_U32, place)

    def _place(self, field: int) -> int | None:
        """Position of a field; None if it has its default."""
        slot = 4 + 2 * field
        if slot + 2 > self._get(_U16, self._fields):
            return None
        offset = self._get(_U16, self._fields + slot)
        return self._at + offset if offset else None

    def _get(self, kind: Struct, at: int) -> int:
        return _checked(kind, self._data, at)


def _checked(kind: Struct, data: bytes, at: int) -> int:
    # A negative position would count from the end.
    if at < 0:
        raise StructError
    return kind.unpack_from(data, at)[0]
