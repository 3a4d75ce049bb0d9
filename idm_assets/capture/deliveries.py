"""Deliveries: landed files whose bytes have been surveyed, with the identity that follows.

Belongs here: from a claimed path to a capture key, hash and readable text. Does not belong here: decoding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from idm_assets.capture.intake import ClaimedFile, capture_key
from idm_assets.capture.sources import SourceEntry
from idm_assets.capture.survey import Limits, Surveyed, UnreadableCapture, survey


@dataclass(frozen=True, slots=True)
class Delivery:
    """A landed file whose bytes are known.

    Attributes:
        claimed: the file and its declaration.
        key: capture key.
        sha256: SHA-256 of the bytes as delivered.
        size: size as delivered, in bytes.
        arrived_at: when it was first seen complete.
        surveyed: the survey, unless the file cannot be read as a whole.
        refusal: why it cannot be read as a whole: reason code and detail.
    """

    claimed: ClaimedFile
    key: int
    sha256: str
    size: int
    arrived_at: datetime
    surveyed: Surveyed | None = None
    refusal: tuple[str, str] | None = None

    @property
    def path(self) -> str:
        """Path below the plant's landing folder."""
        return self.claimed.file.path

    @property
    def entry(self) -> SourceEntry:
        """The declaration that reads it."""
        return self.claimed.claim.entry


def deliver(claimed: ClaimedFile, path: Path, folder: Path, arrived_at: datetime, limits: Limits) -> Delivery:
    """Survey a landed file and give it its identity.

    Args:
        claimed: the file and its declaration.
        path: where it is.
        folder: where unpacked text goes.
        arrived_at: when it was first seen complete.
        limits: what a file may ask of us.

    Raises:
        CaptureMoved: it vanished or changed meanwhile.
        OSError: it cannot be read at all.
    """
    plant = claimed.file.plant
    try:
        surveyed = survey(path, folder, limits)
    except UnreadableCapture as error:
        if error.sha256 is None:
            raise OSError(f"{path}: {error.detail}") from error
        key = capture_key(plant, claimed.claim, error.sha256)
        size = error.size_bytes or 0
        return Delivery(claimed, key, error.sha256, size, arrived_at, None, (error.reason, error.detail))
    key = capture_key(plant, claimed.claim, surveyed.sha256)
    return Delivery(claimed, key, surveyed.sha256, surveyed.size_bytes, arrived_at, surveyed)


def first_arrived(delivery: Delivery, arrived_at: datetime) -> Delivery:
    """The delivery with the arrival time of its first landing."""
    return replace(delivery, arrived_at=arrived_at)
