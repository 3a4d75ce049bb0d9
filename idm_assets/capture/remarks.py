"""Remarks: what was noticed while a value was read, as bits that are stored with it and counted per capture.

A remark never says that a value is wrong: that is the status. It says that something was done on the way which a
reader of the file would want to know.

Belongs here: the bits and their names. Does not belong here: reasons for which something is kept out (`reasons`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TIMESTAMP_CUT: Final = 1
NUMBER_ROUNDED: Final = 2
DOUBLED_HOUR: Final = 4
MISSING_HOUR: Final = 8
TRIMMED: Final = 16
SENTINEL: Final = 32
MISSING_TEXT: Final = 64
HISTORICAL: Final = 128

REMARKS: Final[Mapping[int, tuple[str, str]]] = {
    TIMESTAMP_CUT: ("timestamp_cut", "the timestamp was finer than 1 us; digits beyond were cut off"),
    NUMBER_ROUNDED: ("number_rounded", "no double is exactly the number; its digits are kept as text"),
    DOUBLED_HOUR: ("doubled_hour", "the local time occurs twice, as clocks went back; the declared rule chose"),
    MISSING_HOUR: ("missing_hour", "the local time does not exist, as clocks went forward; it was moved on"),
    TRIMMED: ("trimmed", "blanks around the status were left out"),
    SENTINEL: ("sentinel", "the value is declared to stand for no measurement; its status says so"),
    MISSING_TEXT: ("missing_text", "the text is declared to stand for no value"),
    HISTORICAL: ("historical", "the message says that it was stored and sent later"),
}
"""Bit to name and meaning."""


def is_marked(remarks: str, bit: int) -> str:
    """SQL condition: a set of remarks has a bit."""
    return f"(({remarks}) & {bit} <> 0)"


def named(counts: Mapping[int, int]) -> dict[str, int]:
    """How often each remark was made, by name, from how often each set of remarks occurred."""
    totals = {name: sum(n for bits, n in counts.items() if bits & bit) for bit, (name, _) in REMARKS.items()}
    return {name: count for name, count in totals.items() if count}
