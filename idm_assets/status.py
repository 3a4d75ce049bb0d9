"""OPC UA StatusCodes: the ones the pipeline sets itself, and the published list.

Source: OPC UA Part 4 (StatusCode, 32 bits) and Part 8; the list is the OPC Foundation's ``StatusCode.csv``.
Severity is ``code >> 30``: 0 Good, 1 Uncertain, 2 Bad, 3 reserved and treated as Bad. Symbols are compared on
``code & 0xFFFF0000``; the low bits carry limit, overflow and historian information.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib.resources import files
from typing import Final

GOOD: Final = 0x00000000
BAD_NO_DATA: Final = 0x809B0000
BAD_OUT_OF_RANGE: Final = 0x803C0000
BAD_TYPE_MISMATCH: Final = 0x80740000

SYMBOL_MASK: Final = 0xFFFF0000


def is_bad(status: str) -> str:
    """SQL condition: the status expression is Bad, or of the reserved severity."""
    return f"({status} >= 2147483648)"


def is_good(status: str) -> str:
    """SQL condition: the status expression is Good, whatever its info bits."""
    return f"({status} < 1073741824)"


@cache
def symbols() -> dict[int, tuple[str, str]]:
    """Published symbol and description by code, such as ``{0x803C0000: ("BadOutOfRange", "...")}``."""
    text = files("idm_assets").joinpath("opcua_status_codes.csv").read_text(encoding="utf-8-sig")
    return {int(code, 16): (symbol, description) for symbol, code, description in csv.reader(text.splitlines())}
