"""Deliveries: landed files whose bytes have been surveyed, with the identity that follows.

A file that is an archive delivers its members, each as a capture of its own, whose path is that of the archive and then
that of the member: an archive is read like a folder.

Belongs here: from a claimed path to capture keys, hashes and readable files. Does not belong here: decoding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from idm_assets.capture.intake import ClaimedFile, capture_key
from idm_assets.capture.sources import Claim, SourceEntry, claim_member
from idm_assets.capture.survey import Limits, Member, Surveyed, UnreadableCapture, check_unmoved, survey

MEMBER_UNCLAIMED: Final = "member_unclaimed"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A capture whose bytes are known.

    Attributes:
        claimed: the landed file and the declaration, with what the path says.
        path: path below the plant's landing folder, that of the member included.
        key: capture key.
        sha256: SHA-256 of the capture's bytes, as delivered or as packed in the archive.
        size: their number.
        delivered_hash: SHA-256 of the landed file, under which it is kept.
        arrived_at: when it was first seen complete.
        surveyed: the survey of the landed file, unless it cannot be read as a whole.
        member: what is to be decoded, unless it cannot be read as a whole.
        refusal: why it cannot be read as a whole: reason code and detail.
    """

    claimed: ClaimedFile
    path: str
    key: int
    sha256: str
    size: int
    delivered_hash: str
    arrived_at: datetime
    surveyed: Surveyed | None = None
    member: Member | None = None
    refusal: tuple[str, str] | None = None

    @property
    def entry(self) -> SourceEntry:
        """The declaration that reads it."""
        return self.claimed.claim.entry

    def check_unmoved(self) -> None:
        """Make sure that a file read in place is still the one that was surveyed.

        Raises:
            CaptureMoved: it vanished or changed.
        """
        if self.surveyed is not None:
            check_unmoved(self.surveyed)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one landed file delivers.

    Attributes:
        claimed: the landed file and its declaration.
        sha256: SHA-256 of its bytes.
        is_archive: whether its members are captures of their own.
        deliveries: the captures.
        ignored: names of entries of an archive that are no data.
    """

    claimed: ClaimedFile
    sha256: str
    is_archive: bool
    deliveries: tuple[Delivery, ...]
    ignored: tuple[str, ...] = ()


def deliver(claimed: ClaimedFile, path: Path, folder: Path, arrived_at: datetime, limits: Limits) -> Delivered:
    """Survey a landed file and give its captures their identity.

    Args:
        claimed: the file and its declaration.
        path: where its bytes are.
        folder: where unpacked files go.
        arrived_at: when it was first seen complete.
        limits: what a file may ask of us.

    Raises:
        CaptureMoved: it vanished or changed meanwhile.
        OSError: it cannot be read at all.
    """
    file, entry = claimed.file, claimed.claim.entry
    try:
        surveyed = survey(path, folder, limits, entry.expected_content())
    except UnreadableCapture as error:
        if error.sha256 is None:
            raise OSError(f"{path}: {error.detail}") from error
        key = capture_key(file.plant, claimed.claim, error.sha256)
        refused = Delivery(
            claimed, file.path, key, error.sha256, error.size_bytes or 0, error.sha256, arrived_at,
            refusal=(error.reason, error.detail),
        )  # fmt: skip
        return Delivered(claimed, error.sha256, is_archive=False, deliveries=(refused,))
    deliveries = tuple(_of_member(claimed, surveyed, n, arrived_at) for n in range(len(surveyed.members)))
    return Delivered(claimed, surveyed.sha256, surveyed.is_archive, deliveries, surveyed.ignored)


def _of_member(claimed: ClaimedFile, surveyed: Surveyed, position: int, arrived_at: datetime) -> Delivery:
    file, member = claimed.file, surveyed.members[position]
    path = file.path if member.name is None else f"{file.path}/{member.name}"
    found: Claim | str = claimed.claim if member.name is None else claim_member(claimed.claim, path)
    refusal = member.refusal
    if isinstance(found, str):
        refusal = refusal or (MEMBER_UNCLAIMED, found)
        found = claimed.claim
    if refusal is not None:
        # Refused members may be equal in what is known of them; each is told.
        found = replace(found, facts={**found.facts, "member": path, "position": str(position)})
    key = capture_key(file.plant, found, member.sha256)
    return Delivery(
        replace(claimed, claim=found), path, key, member.sha256, member.size_bytes, surveyed.sha256, arrived_at,
        surveyed, None if refusal else member, refusal,
    )  # fmt: skip


def first_arrived(delivery: Delivery, arrived_at: datetime) -> Delivery:
    """The delivery with the arrival time of its first landing."""
    return replace(delivery, arrived_at=arrived_at)
