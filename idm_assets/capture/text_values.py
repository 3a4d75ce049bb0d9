"""Numbers, timestamps and blanks in delivered text, as SQL expressions that mean the same in every format.

Belongs here: what a token is. Does not belong here: where tokens stand in a line (`decoders`).
"""

from __future__ import annotations

from typing import Final

from idm_assets.sql import literal

BLANK: Final = "blank"
TIMESTAMP_UNREADABLE: Final = "timestamp_unreadable"
NUMBER: Final = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
_SPACE: Final = r"[ \t\n\v\f\r]*"
_DATE_AND_TIME: Final = r"\d{4}-\d\d-\d\dT([01]\d|2[0-3]):\d\d:\d\d(\.\d{0,9})?"
_DATE: Final = r"\d{4}-\d\d-\d\d"
_OFFSET: Final = r"[-+]([01]\d|2[0-3])(:?[0-5]\d)?"
_FIRST: Final = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
_LAST: Final = "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"


def number(text: str) -> str:
    """SQL expression: the DOUBLE that a text is, NULL unless it is a plain finite decimal number.

    Digits with an optional sign, point and exponent, with blanks around tolerated; ``1_000``, ``0x1F``,
    ``nan``, ``inf`` and numbers beyond the range of a double are none.

    Args:
        text: SQL expression of type VARCHAR.
    """
    # The cast differs from the pattern on underscores, on "+-" and on words for what is not finite; matching
    # every text costs more than the cast itself.
    cast = f"try_cast({text} AS DOUBLE)"
    return (
        f"CASE WHEN isfinite({cast}) AND NOT contains({text}, '_') "
        f"AND (NOT contains({text}, '+') OR regexp_full_match({text}, '{_SPACE}{NUMBER}{_SPACE}')) "
        f"THEN {cast} END"
    )


def timestamp(text: str, zone: str) -> str:
    """SQL expression: the TIMESTAMPTZ of an ISO 8601 text, NULL if there is none.

    ``YYYY-MM-DDTHH:MM:SS``, a fraction of up to 9 digits, of which those beyond microseconds are cut off,
    then ``Z``, an offset, or nothing, which means the given zone. Impossible dates, leap seconds, hour 24 and results
    outside the years 1 to 9999 have no timestamp.

    Args:
        text: SQL expression of type VARCHAR.
        zone: IANA name. In an hour that a clock change doubles, the later instant is meant; a time in the hour
            that it leaves out is moved on by that hour (the rules of ICU).
    """
    zoned = f"try_cast({text} AS TIMESTAMPTZ)"
    naive = f"try_cast(concat({text}, 'Z') AS TIMESTAMPTZ)"
    if zone != "UTC":
        naive = f"timezone({literal(zone)}, try_cast({text} AS TIMESTAMP))"
    possible = f"{zoned} BETWEEN {_FIRST} AND {_LAST}"
    return (
        f"CASE WHEN {text} < '0001' THEN NULL "
        f"WHEN regexp_full_match({text}, '{_DATE_AND_TIME}Z') THEN {zoned} "
        f"WHEN regexp_full_match({text}, '{_DATE_AND_TIME}') THEN {naive} "
        f"WHEN regexp_full_match({text}, '{_DATE_AND_TIME}{_OFFSET}') AND {possible} THEN {zoned} END"
    )


def start_of_date(text: str, zone: str) -> str:
    """SQL expression: the TIMESTAMPTZ of the first instant of an ISO 8601 date, NULL if there is none.

    Args:
        text: SQL expression of type VARCHAR.
        zone: IANA name of the zone in which the day begins.
    """
    return (
        f"CASE WHEN {text} < '0001' THEN NULL WHEN regexp_full_match({text}, '{_DATE}')"
        f" THEN timezone({literal(zone)}, try_cast({text} AS TIMESTAMP)) END"
    )


def is_truncated(text: str) -> str:
    """SQL condition: an ISO 8601 text has more than the six fractional digits that a timestamp keeps.

    Args:
        text: SQL expression of type VARCHAR.
    """
    # Up to 26 bytes, or 27 with the Z, there is no room for a seventh digit; the pattern costs more than the length.
    long = f"strlen({text}) > 27 OR strlen({text}) = 27 AND NOT ends_with({text}, 'Z')"
    return f"CASE WHEN {long} THEN regexp_matches({text}, '\\.\\d{{7}}') ELSE false END"


def is_blank(text: str) -> str:
    """SQL condition: a text holds nothing but blanks, tabs and carriage returns.

    Args:
        text: SQL expression of type VARCHAR.
    """
    # Nearly every text is settled by its first character, at a hundredth of the price of trimming it.
    return f"({text} < '!' AND regexp_full_match({text}, '[ \\t\\r]*'))"
