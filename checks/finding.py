"""What a check found: passed or not, the numbers, and the rows behind a violation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """Outcome of one check.

    Attributes:
        passed: whether everything holds.
        summary: one sentence with the numbers.
        numbers: named totals.
        header: column names of ``rows``.
        rows: what it looked at or what is wrong, at most a few dozen.
    """

    passed: bool
    summary: str
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
