"""Compressed streams: gzip, zstd, bz2 and bare deflate, unpacked piece by piece.

Sources: RFC 1951 (deflate), RFC 1952 (gzip), RFC 8878 (zstd).

Belongs here: what one compressed stream needs. Does not belong here: archives of several files.
"""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import zstandard

from idm_assets.capture.containers import (
    CHUNK_BYTES,
    CORRUPT_ARCHIVE,
    CORRUPT_GZIP,
    RATIO_JUDGED_FROM_BYTES,
    TRUNCATED_ARCHIVE,
    TRUNCATED_GZIP,
    UNPACKS_TOO_LARGE,
    Budget,
    Refused,
    RefusedWhole,
)

SLICE_BYTES: Final = 32 << 10
"""A compressed stream gives back what follows its end; small slices keep that cheap where streams are tiny."""


class Reader:
    """Reads chunks of any size in the sizes that a format asks for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._chunk: bytes = b""
        self._at = 0

    def some(self, limit: int = SLICE_BYTES) -> bytes:
        """At most ``limit`` bytes; none at the end."""
        if self._at == len(self._chunk):
            self._chunk, self._at = b"", 0
            for chunk in self._chunks:
                if chunk:
                    self._chunk = chunk
                    break
        piece = self._chunk[self._at : self._at + limit]
        self._at += len(piece)
        return piece

    def unread(self, count: int) -> None:
        """Take back the end of what `some` gave last."""
        self._at -= count

    def exactly(self, count: int) -> bytes:
        """``count`` bytes; less only at the end."""
        piece = self.some(count)
        if len(piece) == count:
            return piece
        gathered = bytearray(piece)
        while piece and len(gathered) < count:
            piece = self.some(count - len(gathered))
            gathered += piece
        return bytes(gathered)

    def needed(self, count: int) -> bytes:
        """``count`` bytes.

        Raises:
            EOFError: there are less.
        """
        piece = self.exactly(count)
        if len(piece) < count:
            raise EOFError
        return piece

    def more(self) -> bool:
        """Whether anything follows."""
        piece = self.some(1)
        self.unread(len(piece))
        return bool(piece)

    def past_padding(self) -> bool:
        """Skip zero bytes, which may pad streams as on tape; whether anything follows."""
        while piece := self.some():
            if rest := piece.lstrip(b"\x00"):
                self.unread(len(rest))
                return True
        return False


def unpacked(packed: Iterable[bytes], compression: str, budget: Budget, layer: str) -> Iterator[bytes]:
    """Content of a compressed file: one or more concatenated streams, which zero bytes may pad.

    Args:
        packed: the compressed file, from its signature on.
        compression: ``gzip``, ``zstd`` or ``bz2``.
        budget: what may come out.
        layer: name under which the budget counts it.

    Yields:
        Pieces of at most 1 MiB, none of them empty.

    Raises:
        Refused: it is truncated or damaged.
        RefusedWhole: too much comes out of it.
    """
    limits = budget.limits
    most = limits.max_ratio if compression == "gzip" else limits.max_dense_ratio
    taken = given = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in packed:
            taken += len(chunk)
            yield chunk

    for piece in _streams(Reader(counted()), compression):
        given += len(piece)
        budget.spend(layer, len(piece))
        refuse_ratio(given, taken, most, compression)
        yield piece


def refuse_ratio(given: int, taken: int, most: float, container: str) -> None:
    """Stop what unpacks to absurdly more than it is.

    Raises:
        RefusedWhole: ``given`` unpacked bytes are over ``most`` times the ``taken`` packed ones.
    """
    if given > RATIO_JUDGED_FROM_BYTES and given > most * taken:
        raise RefusedWhole(
            UNPACKS_TOO_LARGE,
            f"{taken} bytes of {container} unpack to {given} bytes and more, beyond {most:g} to 1",
        )


class DamagedStreamError(Exception):
    """A compressed stream is not what its format says."""


def _streams(packed: Reader, compression: str) -> Iterator[bytes]:
    given = 0
    try:
        while packed.past_padding():
            for piece in STREAMS[compression](packed):
                given += len(piece)
                yield piece
    except EOFError:
        reason = TRUNCATED_GZIP if compression == "gzip" else TRUNCATED_ARCHIVE
        detail = f"the {compression} ends after {given} unpacked bytes, before its end mark"
        raise Refused(reason, detail) from None
    except DamagedStreamError as error:
        reason = CORRUPT_GZIP if compression == "gzip" else CORRUPT_ARCHIVE
        detail = f"the {compression} cannot be unpacked after {given} bytes: {error}"
        raise Refused(reason, detail) from None


def _inflated(packed: Reader, window: int = -zlib.MAX_WBITS) -> Iterator[bytes]:
    """One deflate stream, bare or with the wrapping that ``window`` stands for."""
    stream = zlib.decompressobj(window)
    while not stream.eof:
        fresh = packed.some()
        if not fresh:
            raise EOFError
        # All may be taken in while some is still to be given out.
        while True:
            try:
                piece = stream.decompress(fresh, CHUNK_BYTES)
            except zlib.error as error:
                raise DamagedStreamError(str(error)) from None
            if piece:
                yield piece
            if stream.eof or not piece:
                break
            fresh = stream.unconsumed_tail
    packed.unread(len(stream.unused_data))


def _gunzipped(packed: Reader) -> Iterator[bytes]:
    return _inflated(packed, zlib.MAX_WBITS | 16)


def _bunzipped(packed: Reader) -> Iterator[bytes]:
    """One bz2 stream."""
    stream = bz2.BZ2Decompressor()
    while not stream.eof:
        fresh = packed.some() if stream.needs_input else b""
        if stream.needs_input and not fresh:
            raise EOFError
        try:
            piece = stream.decompress(fresh, CHUNK_BYTES)
        except OSError as error:
            raise DamagedStreamError(str(error)) from None
        if piece:
            yield piece
    packed.unread(len(stream.unused_data))


# What the zstd tool unpacks unasked.
_ZSTD_WINDOW_BYTES: Final = 128 << 20
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


def _unzstd(packed: Reader) -> Iterator[bytes]:
    """One zstd frame, block by block: none of them unpacks to more than 128 KiB, so that needs no other bound."""
    magic = packed.needed(4)
    if _ZSTD_SKIPPABLE.fullmatch(magic):
        left = int.from_bytes(packed.needed(4), "little")
        while left:
            left -= len(packed.needed(min(left, SLICE_BYTES)))
        return
    if magic != _ZSTD_MAGIC:
        raise DamagedStreamError("what follows is no zstd frame")
    descriptor = packed.needed(1)
    dictionary = (0, 1, 2, 4)[descriptor[0] & 3]
    single = descriptor[0] >> 5 & 1
    content_size = (single, 2, 4, 8)[descriptor[0] >> 6]
    header = magic + descriptor + packed.needed((1 - single) + dictionary + content_size)
    checksum = 4 if descriptor[0] & 4 else 0
    try:
        frame = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj()
        frame.decompress(header)
        last = 0
        while not last:
            block = packed.needed(3)
            mark = int.from_bytes(block, "little")
            last, kind, size = mark & 1, mark >> 1 & 3, mark >> 3
            if piece := frame.decompress(block + packed.needed(1 if kind == 1 else size)):
                yield piece
        if checksum:
            frame.decompress(packed.needed(checksum))
    except zstandard.ZstdError as error:
        raise DamagedStreamError(str(error)) from None
    if not frame.eof:
        raise DamagedStreamError("a frame does not end where its last block does")


STREAMS: Final[Mapping[str, Callable[[Reader], Iterator[bytes]]]] = {
    "gzip": _gunzipped,
    "bz2": _bunzipped,
    "zstd": _unzstd,
    "deflate": _inflated,
}
