"""What a recogniser hands back, and what a recogniser is.

Belongs here: this interface. Does not belong here: recognisers (a module per kind of file), their order (`proposing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from idm_assets.capture.proposal.declaration_text import Said, Unrecognised
from idm_assets.capture.proposal.samples import Sample


@dataclass(frozen=True, slots=True)
class Finding:
    """What a recogniser found.

    Attributes:
        what: what the file is, one sentence.
        format: name of the format.
        options: its options.
        meaning: how the time is read, what a row becomes, and statuses; empty for formats that say it themselves.
        names_source: whether every unit names its source.
        is_zoned: whether all times carry their zone.
    """

    what: str
    format: str
    options: tuple[Said, ...] = ()
    meaning: tuple[Said, ...] = ()
    names_source: bool = False
    is_zoned: bool = True


Recogniser = Callable[[Sample], Finding | Unrecognised | None]
"""Finds what it knows, says that it cannot be read, or has nothing to say."""
