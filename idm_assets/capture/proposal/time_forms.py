"""Forms of dates and times in text: which strptime patterns a text is of.

Belongs here: the forms, one text at a time. Does not belong here: which form a column is of and which column says the
time (`times`), dates in names of files (`paths`), reading times (`capture.time_reading`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Final

_DATES: Final = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%y-%m-%d", "%y/%m/%d", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y",
    "%b %d %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%Y%m%d",
)  # fmt: skip
"""Dates as strptime patterns; of two that fit equally well, the first is proposed."""

_TIMES: Final = (
    "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S,%f", "%H:%M:%S:%f", "%H:%M", "%H.%M.%S", "%H.%M", "%H-%M-%S", "%H%M%S",
    "%H%M%S.%f", "%I:%M:%S %p", "%I:%M:%S.%f %p", "%I:%M %p",
)  # fmt: skip

_BETWEEN: Final = (" ", "T", ", ", "_", "-", "")

_ZONES: Final = ("", "%z", " %z", "Z", " UTC", " GMT")

_DIRECTIVES: Final[Mapping[str, str]] = {
    "%Y": r"(?:19|20)\d\d", "%y": r"\d\d", "%m": r"(?:1[0-2]|0?[1-9])", "%d": r"(?:3[01]|[12]\d|0?[1-9])",
    "%H": r"(?:2[0-3]|[01]?\d)", "%I": r"(?:1[0-2]|0?[1-9])", "%M": r"[0-5]?\d", "%S": r"[0-5]?\d", "%f": r"\d{1,9}",
    "%p": r"[AaPp][Mm]", "%z": r"[-+]\d\d(?::?\d\d)?",
    "%b": r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    "%B": r"(?i:january|february|march|april|may|june|july|august|september|october|november|december)",
}  # fmt: skip
"""Parts of strptime patterns as regular expressions; where nothing stands between them, all digits have to be there."""

ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{0,9})?(?P<zone>Z|[-+]\d\d(:?\d\d)?)?")
"""Instants of ISO 8601, with their zone."""

EPOCH_SECONDS: Final = (631_152_000, 4_102_444_800)
"""From 1990 to 2100: what numbers since 1970 are expected to say, in seconds."""


def in_order(patterns: Iterable[str]) -> list[str]:
    """Patterns in the order of the tables."""

    def place(pattern: str) -> tuple[int, int]:
        dates = [i for i, date in enumerate(_DATES) if pattern.startswith(date)]
        times = [i for i, time in enumerate(_TIMES) if time in pattern]
        return (dates[-1] if dates else len(_DATES), times[-1] if times else len(_TIMES))

    return sorted(patterns, key=place)


@lru_cache(maxsize=1 << 16)
def patterns_of(text: str) -> frozenset[str]:
    """The strptime patterns of the tables that a text is of."""
    if not 3 < len(text) < 48 or not text[-1:].isalnum():
        return frozenset()
    # Hours and minutes with a point are as well a number.
    found = {time for time in _TIMES if time != "%H.%M" and _expression(time).fullmatch(text)}
    for date in _DATES:
        match = _expression(date).match(text)
        if match is None:
            continue
        rest = text[match.end() :]
        if not rest:
            found.add(date)
            continue
        for between in _BETWEEN:
            if rest.startswith(between) and (between or date == "%Y%m%d"):
                found |= {
                    f"{date}{between}{time}{zone}"
                    for zone in _ZONES
                    for time in _TIMES
                    if _expression(time + zone).fullmatch(rest[len(between) :])
                }
    return frozenset(found)


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """A strptime pattern as a regular expression; digits that touch have to be all there."""
    touching = re.search(r"%[YmdHMS]%[YmdHMS]", pattern) is not None
    parts = (
        _DIRECTIVES[part].replace("0?", "0").replace("[01]?", "[01]").replace("[0-5]?", "[0-5]")
        if touching and part in _DIRECTIVES
        else _DIRECTIVES.get(part) or re.escape(part)
        for part in re.findall(r"%.|[^%]+", pattern)
    )
    return re.compile("".join(parts))
