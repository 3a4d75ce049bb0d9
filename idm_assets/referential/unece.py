"""Units of measure by the UNECE common code, as OPC UA and the Asset Administration Shell name them.

Sources, both read once: ``unece_units.csv`` is ``UNECE_to_OPCUA.csv`` of the OPC Foundation
(http://www.opcfoundation.org/UA/EngineeringUnits/UNECE/UNECE_to_OPCUA.csv, UNECE Recommendation 20), unmodified.
``unece_symbols.csv`` is ours: the symbol of each code that pint knows. A code is in it when its English name and its
display name, read independently of each other, mean the same quantity; where only one of them can be read, or the two
differ, a person decided. This is not left to a rule at run time, since display names lie: read by pint ``pH`` is a
picohenry, ``kt`` a knot, ``mcd`` a microday and ``Mm³`` the cube of a megametre. Units of counted things that have
names of their own (``piece``, ``each``) are ``count``; a temperature in a compound unit is a difference, hence ``K``.

Belongs here: everything that knows a UNECE code. Does not belong here: conversion (`idm_assets.referential.units`).
"""

from __future__ import annotations

import csv
import io
from functools import cache
from importlib.resources import files
from typing import Final

NAMESPACE: Final = "http://www.opcfoundation.org/UA/units/un/cefact"
"""Namespace in which an ``EUInformation`` of OPC UA (Part 8, 5.6.4) speaks of UNECE codes."""

_MAX_LENGTH: Final = 3


def symbol_of_unece(code: str) -> str | None:
    """Symbol of a unit, as `idm_assets.referential.units.check_symbol` accepts it; None where pint has no such unit.

    >>> symbol_of_unece("CEL"), symbol_of_unece("KWH"), symbol_of_unece("ZZ")
    ('degC', 'kW*h', None)
    """
    return _symbols().get(code)


def unece_code_of(unit_id: int) -> str:
    """UNECE code of an OPC UA ``UnitId``: the characters of the code, the first one in the highest byte.

    Source: OPC UA Part 8, 5.6.4.3.

    >>> unece_code_of(4408652)
    'CEL'

    Raises:
        ValueError: the number is not made of one to three capital letters and digits.
    """
    if 0 < unit_id < 256**_MAX_LENGTH:
        characters = unit_id.to_bytes(_MAX_LENGTH, "big").lstrip(b"\0")
        if _is_code(characters):
            return characters.decode("ascii")
    raise ValueError(f"{unit_id} is no UnitId of a UNECE code")


def unit_id_of(code: str) -> int:
    """OPC UA ``UnitId`` of a UNECE code.

    >>> unit_id_of("KWH")
    4937544

    Raises:
        ValueError: the code is not made of one to three capital letters and digits.
    """
    characters = code.encode("utf-8", "replace")
    if len(characters) <= _MAX_LENGTH and _is_code(characters):
        return int.from_bytes(characters, "big")
    raise ValueError(f"{code[:20]!r} is no UNECE code")


def name_of_unece(code: str) -> str | None:
    """English name of a unit, such as ``degree Celsius``; None where the table has no such code."""
    return _names().get(code)


def symbol_of_display_name(name: str) -> str | None:
    """Symbol of a unit by the display name that the table gives it, such as ``m³/h``.

    None where no code, or codes with different meanings have that name, as ``pH``: a picohenry and the acidity.

    >>> symbol_of_display_name("°C"), symbol_of_display_name("pH")
    ('degC', None)
    """
    symbols = _symbols_by_display_name().get(name.strip(), frozenset())
    return next(iter(symbols)) if len(symbols) == 1 else None


def _is_code(characters: bytes) -> bool:
    return characters.isalnum() and characters.isascii() and characters == characters.upper()


@cache
def _names() -> dict[str, str]:
    return {row["UNECECode"]: row["Description"] for row in _rows("unece_units.csv")}


@cache
def _symbols() -> dict[str, str]:
    return {row["UNECECode"]: row["Symbol"] for row in _rows("unece_symbols.csv")}


@cache
def _symbols_by_display_name() -> dict[str, frozenset[str | None]]:
    found: dict[str, set[str | None]] = {}
    for row in _rows("unece_units.csv"):
        # some have two names: "% or pct"
        for name in row["DisplayName"].split(" or "):
            found.setdefault(name, set()).add(symbol_of_unece(row["UNECECode"]))
    return {name: frozenset(symbols) for name, symbols in found.items()}


def _rows(name: str) -> list[dict[str, str]]:
    text = files("idm_assets.referential").joinpath(name).read_text("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))
