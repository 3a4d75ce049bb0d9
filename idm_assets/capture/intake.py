"""Which landed files are new, which are still being written, which belong to nobody.

Belongs here: the decision, as a pure function of a listing and what is known. Does not belong here: listing,
waiting, reading.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from idm_assets.capture.sources import Claim, SourceEntry, claim
from resources.landing_zone import LandedFile
from resources.ledger import KnownFile


@dataclass(frozen=True, slots=True)
class ClaimedFile:
    """A landed file with the declaration that reads it.

    Attributes:
        file: the file as it was landed.
        claim: the declaration, with what the path says.
        kept_as: SHA-256 under which the archive has its bytes, where the landing zone no longer has them.
    """

    file: LandedFile
    claim: Claim
    kept_as: str | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """The decision about one listing.

    Attributes:
        ready: new or changed files that are complete.
        waiting: new or changed files that may still be written to.
        unclaimed: paths that no declaration, or more than one, claims, with the reason.
        known: number of files that are as the ledger knows them.
    """

    ready: tuple[ClaimedFile, ...]
    waiting: tuple[LandedFile, ...]
    unclaimed: Mapping[str, str]
    known: int


def decide(
    listing: Iterable[LandedFile],
    known: Mapping[str, KnownFile],
    entries: Sequence[SourceEntry],
    now_ns: int,
    settle_ns: int,
) -> Intake:
    """Sort the files of one plant.

    A file is complete when it has not been touched for the settling time. A modification time in the future
    says nothing, so such a file waits until two looks see it unchanged (see `settled`).

    Args:
        listing: files of one plant.
        known: what the ledger last saw, by path.
        entries: source declarations.
        now_ns: the present, nanoseconds since the epoch.
        settle_ns: settling time, nanoseconds.
    """
    ready: list[ClaimedFile] = []
    waiting: list[LandedFile] = []
    unclaimed: dict[str, str] = {}
    unchanged = 0
    for file in listing:
        before = known.get(file.path)
        if before is not None and (before.size, before.mtime_ns) == (file.size, file.mtime_ns):
            unchanged += 1
            continue
        found = claim(entries, file.plant, file.path)
        if isinstance(found, str):
            unclaimed[file.path] = found
        elif 0 <= now_ns - file.mtime_ns < settle_ns or file.mtime_ns > now_ns:
            waiting.append(file)
        else:
            ready.append(ClaimedFile(file, found))
    return Intake(tuple(ready), tuple(waiting), unclaimed, unchanged)


def settled(first: Iterable[LandedFile], second: Iterable[LandedFile]) -> list[LandedFile]:
    """Files that a second look, one settling time after the first, found unchanged in size and time."""
    before = set(first)
    return [file for file in second if file in before]


def capture_key(plant: str, claimed: Claim, content_hash: str) -> int:
    """Identity of a capture: the content hash, together with what its path says it is.

    Two day files with the same bytes are two captures if the path names different days or sources; the same
    bytes under a path that says the same are the same capture, whatever the file is called.

    Returns:
        63 bits of a SHA-256; its 16 hexadecimal digits are the published ``capture_id``.
    """
    facts = "\x1f".join(f"{name}={value}" for name, value in sorted(claimed.facts.items()))
    identity = "\x1e".join((plant, claimed.entry.name, claimed.source or "", facts, content_hash))
    return int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8], "big") >> 1


def capture_id(key: int) -> str:
    """The published identifier of a capture key."""
    return f"{key:016x}"
