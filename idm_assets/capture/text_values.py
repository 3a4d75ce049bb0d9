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
_DATE_AND_TIME: Final = r"\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):\d\d:\d\d(\.\d{0,9})?"
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
        f"AND (NOT contains({text}, '+') AND NOT ends_with({text}, '.')"
        f" OR regexp_full_match({text}, '{_SPACE}{NUMBER}{_SPACE}')) "
        f"THEN {cast} END"
    )


def is_as_written(text: str, value: str) -> str:
    """SQL condition: a text is just how its number is written, so that nothing is lost by keeping the number alone.

    ``12.5`` and ``-3`` are; ``007``, ``1.50``, ``+3`` and ``1e3`` are numbers that could also have been meant as text,
    and digits that no double holds would be lost.

    Args:
        text: SQL expression of type VARCHAR.
        value: SQL expression: the number that the text is, not NULL.
    """
    # Most numbers begin with 1 to 9, end in such a digit and are short: they need not be written to be compared.
    begins = f"(({text} >= '1' AND {text} < ':') OR ({text} >= '-1' AND {text} < '-:'))"
    ends = f"{text}[-1] >= '0' AND NOT (ends_with({text}, '0') AND contains({text}, '.'))"
    plain = f"{begins} AND {ends} AND NOT contains({text}, 'e') AND NOT contains({text}, 'E')"
    return f"CASE WHEN strlen({text}) <= 15 AND {plain} THEN true ELSE {text} = {as_text(value)} END"


def as_text(value: str) -> str:
    """SQL expression: how a number is written where its text was not kept.

    Args:
        value: SQL expression of type DOUBLE.
    """
    return (
        f"CASE WHEN {value} = trunc({value}) AND abs({value}) < 1e15 THEN {value}::BIGINT::VARCHAR"
        f" ELSE {value}::VARCHAR END"
    )


def is_rounded(text: str, value: str) -> str:
    """SQL condition: no double is exactly the number that a text says, to the digits that doubles are written with.

    Up to 15 significant digits there always is one; beyond, the digits are compared with those of the shortest text
    that gives the same double.

    Args:
        text: SQL expression of type VARCHAR.
        value: SQL expression: the number that the text is, not NULL.
    """
    digits = "trim(replace(regexp_replace(regexp_replace({0}, '[eE].*$', ''), '[-+ \\t]', '', 'g'), '.', ''), '0')"
    return (
        f"coalesce(CASE WHEN strlen({text}) > 15 AND {text} <> {value}::VARCHAR"
        f" THEN {digits.format(text)} <> {digits.format(f'{value}::VARCHAR')} ELSE false END, false)"
    )


def timestamp(text: str, zone: str) -> str:
    """SQL expression: the TIMESTAMPTZ of an ISO 8601 text, NULL if there is none.

    ``YYYY-MM-DDTHH:MM:SS``, with a blank instead of the T as many exports have it, a fraction of up to 9 digits, of
    which those beyond microseconds are cut off, then ``Z``, an offset, or nothing, which means the given zone.
    Impossible dates, leap seconds, hour 24 and results outside the years 1 to 9999 have no timestamp.

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
        f"CASE WHEN {text} < '0001' THEN NULL WHEN {_is_plainly_utc(text)} THEN {zoned} "
        f"WHEN regexp_full_match({text}, '{_DATE_AND_TIME}Z') THEN {zoned} "
        f"WHEN regexp_full_match({text}, '{_DATE_AND_TIME}') THEN {naive} "
        f"WHEN regexp_full_match({text}, '{_DATE_AND_TIME}{_OFFSET}') AND {possible} THEN {zoned} END"
    )


def _is_plainly_utc(text: str) -> str:
    """SQL condition: separators stand where they belong, so that the cast accepts a text just if the pattern does.

    At a third of the price of the pattern. The cast is lenient about blanks, fields with fewer digits and hour 24 only.
    """
    form = f"({text} LIKE '____-__-__T__:__:__.%Z' OR {text} LIKE '____-__-__T__:__:__Z')"
    is_short = f"strlen({text}) <= 30 AND NOT contains({text}, ' ')"
    return f"{form} AND {text}[12:13] < '24' AND {text}[19] >= '0' AND {is_short}"


def trimmed(text: str) -> str:
    """SQL expression: a text without blanks around it.

    Args:
        text: SQL expression of type VARCHAR.
    """
    # Nearly every text is settled by its first and last characters, at a seventh of the price of trimming it.
    return f"CASE WHEN {text} < '!' OR ends_with({text}, ' ') THEN trim({text}) ELSE {text} END"


def timestamp_with_offset(text: str) -> str:
    """SQL expression: the TIMESTAMPTZ of an ISO 8601 text that carries ``Z`` or an offset, as `timestamp` has it."""
    zoned = f"try_cast({text} AS TIMESTAMPTZ)"
    return (
        f"CASE WHEN {text} < '0001' THEN NULL WHEN regexp_full_match({text}, '{_DATE_AND_TIME}(Z|{_OFFSET})')"
        f" AND {zoned} BETWEEN {_FIRST} AND {_LAST} THEN {zoned} END"
    )


def local_timestamp(text: str) -> str:
    """SQL expression: the local TIMESTAMP of an ISO 8601 text that carries no zone, as `timestamp` has it."""
    return (
        f"CASE WHEN {text} < '0001' THEN NULL WHEN regexp_full_match({text}, '{_DATE_AND_TIME}')"
        f" THEN try_cast({text} AS TIMESTAMP) END"
    )


def start_of_date(text: str, zone: str) -> str:
    """SQL expression: the TIMESTAMPTZ of the first instant of an ISO 8601 date, NULL if there is none.

    Args:
        text: SQL expression of type VARCHAR.
        zone: IANA name of the zone in which the day begins.
    """
    return f"timezone({literal(zone)}, {start_of_local_date(text)})"


def start_of_local_date(text: str) -> str:
    """SQL expression: the local TIMESTAMP at which an ISO 8601 date begins, NULL if there is none."""
    return (
        f"CASE WHEN {text} < '0001' THEN NULL WHEN regexp_full_match({text}, '{_DATE}')"
        f" THEN try_cast({text} AS TIMESTAMP) END"
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
