"""How the status of a value is read: OPC UA codes and symbols, classic OPC DA quality, or a plant's own words.

Sources: OPC UA Part 4 (StatusCode) and Part 8 (limit bits); OPC Data Access 3.00, 6.8 (quality flags), with the
correspondence of OPC UA Part 8, annex A. The two scales are never mixed up: 192 is good on one and 0 on the other.

Belongs here: the declaration of statuses and values that stand for none, and their SQL. Does not belong here: where a
status stands in a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from idm_assets.sql import literal
from idm_assets.status import BAD_NO_DATA, symbols

STATUS_UNREADABLE: Final = "status_unreadable"

BAD_SENSOR_FAILURE: Final = 0x808C0000

_DA_QUALITY: Final = {
    0x00: 0x80000000, 0x04: 0x80890000, 0x08: 0x808A0000, 0x0C: 0x808B0000, 0x10: 0x808C0000, 0x14: 0x408F0000,
    0x18: 0x80310000, 0x1C: 0x808D0000, 0x20: 0x80320000, 0x40: 0x40000000, 0x44: 0x40900000, 0x50: 0x40930000,
    0x54: 0x40940000, 0x58: 0x40950000, 0xC0: 0x00000000, 0xD8: 0x00960000,
}  # fmt: skip
"""OPC DA quality and substatus (the bits 0xFC) to the OPC UA code."""

_UA_LIMITS: Final = {0: 0x0000, 1: 0x0500, 2: 0x0600, 3: 0x0700}
"""OPC DA limit bits to those of OPC UA, with the bit that says that there are some."""


class StatusReading(BaseModel):
    """How statuses are read, and which values stand for none.

    Attributes:
        scale: ``opc_ua``: codes from 0 to 4294967295, also hexadecimal, or symbols such as ``BadNoData``; ``opc_da``:
            numbers from 0 to 65535, of which 192 is good; ``words``: only the words declared here.
        words: what a source writes to the OPC UA symbol that it means; blanks around and capitals do not matter.
        sentinels: numbers that stand for no measurement to the OPC UA symbol that says why; as a list they all mean
            BadSensorFailure.
        missing: texts that stand for no value, such as ``n/a`` or ``NaN``; blanks around and capitals do not matter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: Literal["opc_ua", "opc_da", "words"] = "opc_ua"
    words: Mapping[str, int] = Field(default_factory=dict[str, int])
    sentinels: Mapping[float, int] = Field(default_factory=dict[float, int])
    missing: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()

    @field_validator("words", mode="before")
    @classmethod
    def _words_mean_symbols(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        words = cast("Mapping[object, object]", value)
        return {str(word).strip().lower(): code_of(symbol) for word, symbol in words.items()}

    @field_validator("sentinels", mode="before")
    @classmethod
    def _sentinels_mean_symbols(cls, value: object) -> object:
        if isinstance(value, Mapping):
            declared = cast("Mapping[object, object]", value)
            return {number: code_of(symbol) for number, symbol in declared.items()}
        return dict.fromkeys(cast("list[object]", value), BAD_SENSOR_FAILURE) if isinstance(value, list) else value

    @field_validator("sentinels")
    @classmethod
    def _sentinels_are_not_good(cls, value: Mapping[float, int]) -> Mapping[float, int]:
        if any(code >> 30 == 0 for code in value.values()):
            raise ValueError("a value that stands for no measurement cannot be Good")
        return value


def code_of(symbol: object) -> int:
    """The StatusCode of a published symbol, or of its number.

    Raises:
        ValueError: there is none such.
    """
    if isinstance(symbol, int) and not isinstance(symbol, bool) and 0 <= symbol < 2**32:
        return symbol
    for code, (name, _) in symbols().items():
        if name == symbol:
            return code
    raise ValueError(f"unknown status {symbol!r}; write an OPC UA symbol such as BadNoData or UncertainSubNormal")


def status_code(text: str, reading: StatusReading) -> str:
    """SQL expression: the StatusCode that a text says, NULL if it says none; NULL for NULL.

    Args:
        text: SQL expression of type VARCHAR.
        reading: how statuses are read.
    """
    trimmed = f"lower(trim({text}))"
    cases = "".join(f" WHEN {literal(word)} THEN {code}" for word, code in reading.words.items())
    if reading.scale == "opc_ua":
        number = (
            f"CASE WHEN regexp_full_match({trimmed}, '\\d{{1,10}}|0x[0-9a-f]{{1,8}}')"
            f" THEN try_cast({trimmed} AS BIGINT) END"
        )
        names = "".join(f" WHEN {literal(name.lower())} THEN {code}" for code, (name, _) in symbols().items())
        # Numbers first: the published symbols are so many that asking for them costs more than all else.
        fallback = (
            f"CASE WHEN {trimmed} >= '0' AND {trimmed} < ':'"
            f" THEN CASE WHEN {number} BETWEEN 0 AND 4294967295 THEN {number} END ELSE CASE {trimmed}{names} END END"
        )
    elif reading.scale == "opc_da":
        fallback = _da(trimmed)
    else:
        fallback = "NULL::BIGINT"
    # Nearly every status is the same few words, so that these are asked for first.
    return f"CASE WHEN {text} IN ('Good', 'good', 'GOOD') AND {_means_good(reading)} THEN 0 ELSE " + (
        f"(CASE {trimmed}{cases} ELSE {fallback} END) END" if cases else f"({fallback}) END"
    )


def _means_good(reading: StatusReading) -> str:
    """SQL literal: whether the word Good needs no look at the declared words."""
    declared = reading.words.get("good", None if reading.scale != "opc_ua" else 0)
    return "true" if declared == 0 else "false"


def _da(trimmed: str) -> str:
    number = f"try_cast({trimmed} AS INTEGER)"
    qualities = "".join(f" WHEN {da} THEN {ua}" for da, ua in _DA_QUALITY.items())
    # A substatus that is not published means what its quality alone means.
    major = f"CASE {number} & 192 WHEN 192 THEN 0 WHEN 64 THEN 1073741824 ELSE 2147483648 END"
    limits = "".join(f" WHEN {da} THEN {ua}" for da, ua in _UA_LIMITS.items())
    return (
        f"CASE WHEN regexp_full_match({trimmed}, '\\d{{1,5}}') AND {number} <= 65535 THEN"
        f" ((CASE {number} & 252{qualities} ELSE {major} END) | (CASE {number} & 3{limits} END))::BIGINT END"
    )


def is_missing(text: str, reading: StatusReading) -> str:
    """SQL condition: a text stands for no value."""
    if not reading.missing:
        return "false"
    words = ", ".join(literal(word.strip().lower()) for word in reading.missing)
    return f"coalesce(lower(trim({text})) IN ({words}), false)"


def is_sentinel(value: str, reading: StatusReading) -> str:
    """SQL condition: a number stands for no measurement."""
    if not reading.sentinels:
        return "false"
    return f"coalesce({value} IN ({', '.join(literal(float(n)) for n in reading.sentinels)}), false)"


def judged_status(status: str, value: str, text: str, reading: StatusReading) -> str:
    """SQL expression: the status of a value, which is no longer Good where the value stands for none.

    Args:
        status: SQL expression: its status so far, not NULL.
        value: SQL expression of type DOUBLE, NULL where there is no number.
        text: SQL expression of type VARCHAR: its text, where it was kept.
        reading: which values stand for none.
    """
    cases = "".join(f" WHEN {value} = {literal(float(n))} THEN {code}" for n, code in reading.sentinels.items())
    if reading.missing:
        cases += f" WHEN {is_missing(text, reading)} THEN {BAD_NO_DATA}"
    return f"CASE WHEN {status} >= 2147483648 THEN {status}{cases} ELSE {status} END" if cases else status
