"""How the time of a row is read: which fields say it, in which form, and what a local time means.

Belongs here: the declaration, and its SQL. Does not belong here: ISO 8601 itself (`text_values`), which rows there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator, model_validator

from idm_assets.capture.remarks import DOUBLED_HOUR, MISSING_HOUR, TIMESTAMP_CUT
from idm_assets.capture.text_values import (
    TIMESTAMP_UNREADABLE,
    is_truncated,
    local_timestamp,
    start_of_local_date,
    timestamp,
    timestamp_with_offset,
)
from idm_assets.sql import literal

Key = Annotated[str, Field(min_length=1, max_length=256)]

TIMESTAMP_DOUBLED: Final = "timestamp_doubled"
TIMESTAMP_MISSING: Final = "timestamp_missing_hour"

EPOCHS: Final = {"epoch_s": 6, "epoch_ms": 3, "epoch_us": 0, "epoch_ns": -3}
"""Epoch formats, with the fractional digits that microseconds have beyond the unit."""

_FIRST_MICROSECOND: Final = -62_135_596_800_000_000
_LAST_MICROSECOND: Final = 253_402_300_799_999_999
_HAS_NANOSECONDS: Final = r"regexp_matches({}, '[.,]\d{{7}}')"
_WITHOUT_NANOSECONDS: Final = r"regexp_replace({}, '([.,]\d{{6}})\d{{1,3}}', '\1')"
_DURATION: Final = TypeAdapter(timedelta)


class TimeReading(BaseModel):
    """How the time of a row is read.

    Attributes:
        field: field that says it, or several, whose texts are joined by a blank, such as a date and a time; a name in
            braces may also be one of the path or of the head of the file, such as ``{day}``.
        format: ``iso``; ``date``: the start of a day; ``epoch_s``, ``epoch_ms``, ``epoch_us``, ``epoch_ns``: a number
            since 1970; else a strptime pattern such as ``%d/%m/%Y %H:%M:%S``.
        doubled_hour: which instant a local time means that occurs twice when clocks go back.
        missing_hour: what becomes of a local time that is left out when clocks go forward.
        label: whether the time labels the begin of an interval, or its end; then the interval is taken off.
        interval: length of the intervals that are labelled by their end, such as ``1h`` or ``15min``.
        midnight: whether a local time of 00:00 begins its date, or closes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: Key | tuple[Key, ...]
    format: str = Field(default="iso", min_length=1, max_length=100)
    doubled_hour: Literal["later", "earlier", "reject"] = "later"
    missing_hour: Literal["move_on", "reject"] = "move_on"
    label: Literal["begin", "end"] = "begin"
    interval: timedelta | None = None
    midnight: Literal["begins", "closes"] = "begins"

    @field_validator("interval", mode="before")
    @classmethod
    def _is_duration(cls, value: object) -> object:
        return parsed_duration(value) if isinstance(value, str) else value

    @field_validator("format")
    @classmethod
    def _is_known(cls, value: str) -> str:
        if value not in {"iso", "date", *EPOCHS} and "%" not in value:
            known = ", ".join(("iso", "date", *EPOCHS))
            raise ValueError(f"expected {known} or a strptime pattern such as '%d/%m/%Y %H:%M:%S'")
        return value

    @model_validator(mode="after")
    def _interval_goes_with_end(self) -> TimeReading:
        if (self.label == "end") != (self.interval is not None):
            raise ValueError("label: end and interval go together; an interval is labelled by its begin otherwise")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """Names or templates whose texts make the time."""
        return (self.field,) if isinstance(self.field, str) else self.field

    @property
    def expected(self) -> str:
        """What people are told that was expected."""
        known = {"iso": "an ISO 8601 timestamp", "date": "an ISO 8601 date"}
        if self.format in EPOCHS:
            return f"a number ({self.format})"
        return known.get(self.format, f"a time of the form {self.format}")


def parsed_duration(text: str) -> timedelta:
    """A duration such as ``15min``, ``1h``, ``30s``, ``1d`` or ISO 8601 ``PT15M``.

    Raises:
        ValueError: it is none.
    """
    units = {"s": "seconds", "min": "minutes", "h": "hours", "d": "days"}
    for suffix in sorted(units, key=len, reverse=True):
        digits = text.removesuffix(suffix)
        if digits != text and digits.isdecimal():
            return timedelta(**{units[suffix]: int(digits)})
    try:
        return _DURATION.validate_python(text)
    except ValueError:
        raise ValueError(f"no duration: {text!r}; write for example 15min, 1h or 1d") from None


def timed(rows: str, text: str, typed: str | None, reading: TimeReading, zone: str) -> str:
    """Query: some rows with ``ts TIMESTAMPTZ``, ``ts_remarks INTEGER`` and ``ts_problem VARCHAR`` beside their columns.

    Args:
        rows: query.
        text: SQL expression over its columns: the text that says the time.
        typed: SQL expression of type TIMESTAMPTZ or TIMESTAMP where the format delivers timestamps that are no text.
        reading: how the text is read.
        zone: IANA zone of texts that carry none.
    """
    if typed is not None:
        text, reading = "NULL::VARCHAR", reading.model_copy(update={"format": "iso"})
    fixed, local = _read("time_text", reading.format)
    if typed is not None:
        fixed = typed
    if zone == "UTC" and reading.midnight == "begins" and reading.format == "iso" and typed is None:
        query = f"SELECT *, {timestamp('time_text', zone)} AS ts0, 0 AS shift_remarks FROM {_texted(rows, text)}"
    else:
        query = _placed(_texted(rows, text), fixed, local, reading, zone)
    moved = "ts0" if reading.interval is None else f"ts0 - to_microseconds({_microseconds(reading.interval)})"
    problem = (
        f"CASE WHEN ts0 IS NULL THEN '{TIMESTAMP_UNREADABLE}'"
        + (f" WHEN shift_remarks = {DOUBLED_HOUR} THEN '{TIMESTAMP_DOUBLED}'" * (reading.doubled_hour == "reject"))
        + (f" WHEN shift_remarks = {MISSING_HOUR} THEN '{TIMESTAMP_MISSING}'" * (reading.missing_hour == "reject"))
        + " END"
    )
    cut = f"CASE WHEN {_is_cut('time_text', reading.format)} THEN {TIMESTAMP_CUT} ELSE 0 END"
    return (
        f"SELECT * EXCLUDE (ts0, shift_remarks), {moved} AS ts, shift_remarks | {cut} AS ts_remarks,"
        f" {problem} AS ts_problem FROM ({query})"
    )


def _texted(rows: str, text: str) -> str:
    return f"(SELECT *, {text} AS time_text FROM ({rows}))"


def _placed(texted: str, fixed: str, local: str, reading: TimeReading, zone: str) -> str:
    """Query that places local times in their zone, and says of which kind of hour they are."""
    if reading.midnight == "closes":
        local = f"CASE WHEN ({local})::TIME = TIME '00:00' THEN ({local}) + INTERVAL 1 DAY ELSE {local} END"
    in_zone = literal(zone)
    said = f"SELECT *, {fixed} AS fixed, {local} AS local FROM {texted}"
    moved = f"SELECT *, timezone({in_zone}, local) AS moved FROM ({said})"
    if zone == "UTC" or not shifts(zone):
        return (
            f"SELECT * EXCLUDE (fixed, local, moved), coalesce(fixed, moved) AS ts0, 0 AS shift_remarks FROM ({moved})"
        )
    earlier = " ".join(
        f"WHEN timezone({in_zone}, moved - to_microseconds({_microseconds(shift)})) = local"
        f" THEN moved - to_microseconds({_microseconds(shift)})"
        for shift in shifts(zone)
    )
    chosen = "coalesce(earlier, moved)" if reading.doubled_hour == "earlier" else "moved"
    return f"""
        SELECT * EXCLUDE (fixed, local, moved, earlier), coalesce(fixed, {chosen}) AS ts0,
            CASE WHEN fixed IS NOT NULL OR local IS NULL THEN 0 WHEN earlier IS NOT NULL THEN {DOUBLED_HOUR}
                 WHEN timezone({in_zone}, moved) <> local THEN {MISSING_HOUR} ELSE 0 END AS shift_remarks
        FROM (SELECT *, CASE {earlier} END AS earlier FROM ({moved}))
    """


@cache
def shifts(zone: str) -> Sequence[timedelta]:
    """By how much clocks of a zone have gone back or will, from 1990 to 2040; empty where they never do."""
    place = ZoneInfo(zone)
    days = [datetime(1990, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(365 * 50)]
    offsets = [day.astimezone(place).utcoffset() or timedelta() for day in days]
    return sorted({a - b for a, b in pairwise(offsets) if a > b})


def _read(text: str, form: str) -> tuple[str, str]:
    """SQL expressions: the TIMESTAMPTZ that a text fixes, and the local TIMESTAMP that it says."""
    nothing = "NULL::TIMESTAMP"
    if form == "iso":
        return timestamp_with_offset(text), local_timestamp(text)
    if form == "date":
        return "NULL::TIMESTAMPTZ", start_of_local_date(text)
    if form in EPOCHS:
        return _since_1970(text, EPOCHS[form]), nothing
    if "%f" in form:
        text = f"CASE WHEN {_HAS_NANOSECONDS.format(text)} THEN {_WITHOUT_NANOSECONDS.format(text)} ELSE {text} END"
    parsed = f"try_strptime({text}, {literal(form)})"
    if "%z" in form.lower():
        return f"{parsed}::TIMESTAMPTZ", nothing
    return "NULL::TIMESTAMPTZ", f"{parsed}::TIMESTAMP"


def _since_1970(text: str, digits: int) -> str:
    """SQL expression: the TIMESTAMPTZ of a number since 1970, by its digits: a double would round microseconds."""
    text = _without_exponent(text)
    whole, fraction = f"split_part({text}, '.', 1)", f"split_part({text}, '.', 2)"
    if digits >= 0:
        written = f"concat({whole}, left(rpad({fraction}, {digits}, '0'), {digits}))" if digits else whole
        micros = f"try_cast({written} AS BIGINT)"
    else:
        # Downwards also before 1970, as cutting digits off a date and time does.
        number = f"try_cast({whole} AS HUGEINT)"
        micros = f"try_cast(({number} - ((({number} % 1000) + 1000) % 1000)) // 1000 AS BIGINT)"
    return f"""
        CASE
            WHEN regexp_full_match({text}, '-?\\d{{1,20}}(\\.\\d*)?')
                AND {micros} BETWEEN {_FIRST_MICROSECOND} AND {_LAST_MICROSECOND}
                THEN make_timestamptz({micros})
        END
    """


def _without_exponent(text: str) -> str:
    """SQL expression: a number such as ``1.7E12``, as some writers give doubles, by the same digits as a decimal."""
    plain = f"try_cast({text} AS DECIMAL(38, 9))::VARCHAR"
    return f"(CASE WHEN contains({text}, 'e') OR contains({text}, 'E') THEN {plain} ELSE {text} END)"


def _is_cut(text: str, form: str) -> str:
    """SQL condition: digits beyond microseconds were cut off."""
    if form == "iso":
        return f"coalesce({is_truncated(text)}, false)"
    if form in EPOCHS:
        digits, text = EPOCHS[form], _without_exponent(text)
        fraction = f"strlen(rtrim(split_part({text}, '.', 2), '0')) > {max(digits, 0)}"
        if digits < 0:
            fraction = f"({fraction} OR NOT ends_with(split_part({text}, '.', 1), '000'))"
        return f"coalesce({fraction}, false)"
    return f"coalesce({_HAS_NANOSECONDS.format(text)}, false)" if "%f" in form else "false"


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
