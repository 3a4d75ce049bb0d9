"""What files are delivered in: gzip, zstd and bz2 streams, zip and tar archives, taken apart in constant memory.

Belongs here: the words that all containers share, limits on what comes out among them. Does not belong here: what is
done with the bytes (`survey`), what they are (`content`); nothing in this package writes a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

TRUNCATED_GZIP: Final = "truncated_gzip"
CORRUPT_GZIP: Final = "corrupt_gzip"
TRUNCATED_ARCHIVE: Final = "truncated_archive"
CORRUPT_ARCHIVE: Final = "corrupt_archive"
UNPACKS_TOO_LARGE: Final = "unpacks_too_large"
TOO_MANY_MEMBERS: Final = "too_many_members"
NOT_A_REGULAR_MEMBER: Final = "not_a_regular_member"
UNSAFE_MEMBER_NAME: Final = "unsafe_member_name"
ENCRYPTED: Final = "encrypted"
UNSUPPORTED_COMPRESSION: Final = "unsupported_compression"


CHUNK_BYTES: Final = 1 << 20
RATIO_JUDGED_FROM_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a delivered file may ask of us.

    Attributes:
        max_unpacked_bytes: most that may come out of one layer of packing, over all members together, in bytes.
        max_ratio: largest unpacked / packed ratio of gzip and of zip without bz2 and zstd, judged once 16 MiB are
            unpacked. Deflate cannot exceed 1032, real logs stay below 300.
        max_dense_ratio: the same for bz2 and zstd. The same line over and over reaches 12,000 (zstd) and 20,000
            (bz2), zeros 32,000 and 850,000.
        max_members: most entries of an archive, folders among them.
        max_line_bytes: longest line, without its LF, in bytes.
    """

    max_unpacked_bytes: int = 8 << 30
    max_ratio: float = 1000.0
    max_dense_ratio: float = 30_000.0
    max_members: int = 10_000
    max_line_bytes: int = 1 << 20


class Refused(Exception):  # noqa: N818 - named for what becomes of the content
    """What is read cannot be decoded; where it is one member of an archive, the others can.

    Attributes:
        reason: reason code.
        detail: what was found, for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class RefusedWhole(Refused):
    """The delivered file as a whole cannot be decoded, whichever member it was found in."""


class Budget:
    """What came out of each layer of packing so far, over all members together."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._spent: dict[str, int] = {}

    def spend(self, layer: str, count: int) -> int:
        """Account for ``count`` bytes and give the layer's total.

        Raises:
            RefusedWhole: the layer has given more than is allowed.
        """
        total = self._spent[layer] = self._spent.get(layer, 0) + count
        if total > self.limits.max_unpacked_bytes:
            raise RefusedWhole(
                UNPACKS_TOO_LARGE, f"the file unpacks to more than {self.limits.max_unpacked_bytes} bytes"
            )
        return total


@dataclass(frozen=True, slots=True)
class Entry:
    """What an archive says of one of its entries.

    Attributes:
        name: path inside of the archive, without ``./``; if it is unsafe, percent-encoded and cut.
        kind: ``file``, ``folder``, or ``ignored`` for what operating systems leave behind.
        refusal: reason code and detail, if it is a file that cannot be decoded.
    """

    name: str
    kind: Literal["file", "folder", "ignored"]
    refusal: tuple[str, str] | None = None
