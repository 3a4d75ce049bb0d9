"""Units of measure: the names that MTConnect gives them, short symbols, and conversion.

Symbols are texts that pint reads, such as ``mm``, ``deg/s`` or ``degC``. Unlike pint, angles, counts and bits
count as dimensions here: ``rpm`` to ``Hz`` or ``%`` to ``deg`` contradict each other instead of differing by
a factor that nobody expects.

Belongs here: everything that knows a unit by name. Does not belong here: which attribute has which unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, Final, cast

import pint

MAX_LENGTH: Final = 64


class UnitError(ValueError):
    """A unit that is not known, or two units that contradict each other."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A linear conversion: converted value = value x factor + offset."""

    factor: float = 1.0
    offset: float = 0.0


IDENTITY: Final = Conversion()

# A word with an optional one-digit exponent, joined by *, / or a space. Numbers and brackets stay out, since
# pint would calculate with them.
_SYMBOL: Final = re.compile(
    r"(?:1|{word})(?:[*/ ]{word})*".format(word=r"[A-Za-z%°µμΩ_][A-Za-z0-9%°µμΩ_]*(?:(?:\^|\*\*)-?[1-9])?")
)
_MTCONNECT_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*(?:\^[1-9])?(?:/[A-Z][A-Z0-9_]*(?:\^[1-9])?)*")

# Names that the general rule would misread or does not know.
_MTCONNECT_SPECIAL: Final = {
    "BTU": "Btu",
    "CELSIUS": "degC",
    "FAHRENHEIT": "degF",
    "FOOT_POUND": "ft*lbf",
    "GRAVITATIONAL_ACCELERATION": "g_0",
    "INCH_MERCURY": "inHg",
    "INCH_POUND": "in*lbf",
    "MILLIMETER_MERCURY": "mmHg",
    "PERCENT": "%",
    "POUND/INCH^2": "psi",
    "REVOLUTION": "turn",
    "REVOLUTION/MINUTE": "rpm",
    "REVOLUTION/SECOND": "rps",
    "UNIT_VECTOR": "",
    "VOLT_AMPERE_REACTIVE": "var",
}
_POWERS: Final = {"SQUARE": 2, "CUBIC": 3}
_PREFIXES: Final = frozenset({"MICRO", "MILLI", "KILO", "MEGA"})


@cache
def _registry() -> pint.UnitRegistry[Any]:
    # Fractions keep 1/60 and 9/5 exact until the very end; pint accepts them, its annotations only float.
    exact = cast("type[float]", Fraction)
    registry: pint.UnitRegistry[Any] = pint.UnitRegistry(non_int_type=exact)  # pyright: ignore[reportUnknownVariableType]
    registry.define("var = volt * ampere")
    return registry


@lru_cache(maxsize=4096)
def conversion(delivered: str | None, canonical: str | None) -> Conversion:
    """How values in one unit become values in another.

    Args:
        delivered: symbol of the unit to convert from; None: the values have no unit.
        canonical: symbol of the unit to convert to; None: the values have no unit.

    Raises:
        UnitError: the units contradict each other, one of them is unknown, or the scale is not linear.
    """
    if delivered == canonical:
        return IDENTITY
    if delivered is None or canonical is None:
        raise UnitError(f"{_named(delivered)} cannot become {_named(canonical)}: give both values a unit, or none")
    try:
        source, target = _parse(delivered), _parse(canonical)
    except UnitError as error:
        raise UnitError(f"{_named(delivered)} cannot become {_named(canonical)}: {error}") from None
    registry = _registry()
    try:
        if (
            registry.get_root_units(source, check_nonmult=False)[1]
            != registry.get_root_units(target, check_nonmult=False)[1]
        ):
            raise UnitError(f"unit {delivered!r} contradicts unit {canonical!r}: they measure different things")
        at = [_converted(Fraction(x), source, target) for x in (0, 1, 2)]
    except (pint.PintError, ArithmeticError, ValueError, TypeError) as error:
        if isinstance(error, UnitError):
            raise
        raise UnitError(f"unit {delivered!r} cannot be converted to unit {canonical!r}: {error}") from None
    if at[2] - at[1] != at[1] - at[0]:
        raise UnitError(f"unit {delivered!r} cannot be converted to unit {canonical!r}: the scale is not linear")
    return Conversion(float(at[1] - at[0]), float(at[0]))


def _converted(value: Fraction, source: Any, target: Any) -> Fraction:  # noqa: ANN401 - pint's units
    registry: Any = _registry()
    quantity = registry.Quantity(value, source)
    return Fraction(quantity.to(target).magnitude)


@lru_cache(maxsize=4096)
def is_affine(symbol: str) -> bool:
    """Whether the zero of a unit is not the zero of what it measures, as with ``degC``.

    Raises:
        UnitError: the unit is not known.
    """
    registry: Any = _registry()
    return bool(registry.Quantity(Fraction(0), _parse(symbol)).to_root_units().magnitude != 0)


@lru_cache(maxsize=4096)
def symbol_of(mtconnect_name: str) -> str | None:
    """Short symbol of a unit as MTConnect names it, such as ``mm/s^2`` for ``MILLIMETER/SECOND^2``.

    The rule: names are English words in capitals; ``/`` divides, ``^`` raises, ``_`` multiplies
    (``NEWTON_METER``), ``SQUARE_`` and ``CUBIC_`` raise what follows, a trailing ``_3D`` says that three
    values come at once.
    Source: MTConnect Part 2, units and nativeUnits of DataItem.

    Returns:
        The symbol; None where the name says that there is no unit.

    Raises:
        UnitError: the name follows the rule nowhere, as with extensions such as ``x:CLICKS``.
    """
    if len(mtconnect_name) > MAX_LENGTH:
        raise UnitError(f"unit {mtconnect_name[:MAX_LENGTH]!r}... is longer than {MAX_LENGTH} characters")
    name = mtconnect_name.removesuffix("_3D")
    if not _MTCONNECT_NAME.fullmatch(name):
        raise UnitError(f"unit {mtconnect_name!r} is no MTConnect unit")
    if name in _MTCONNECT_SPECIAL:
        return _MTCONNECT_SPECIAL[name] or None
    return check_symbol("/".join(_factor(part, mtconnect_name) for part in name.split("/")))


def check_symbol(symbol: str) -> str:
    """The symbol itself, if it names a unit.

    Raises:
        UnitError: it does not.
    """
    _parse(symbol)
    return symbol


def _factor(name: str, whole: str) -> str:
    """Symbol of one operand of a division."""
    base, _, exponent = name.partition("^")
    if _MTCONNECT_SPECIAL.get(base):
        return _MTCONNECT_SPECIAL[base] + (f"^{exponent}" if exponent else "")
    single = None if base.startswith(tuple(_POWERS)) else _word(base)
    if single is not None:
        return single + (f"^{exponent}" if exponent else "")
    symbols: list[str] = []
    power, prefix = 1, ""
    for word in base.split("_"):
        if word in _POWERS:
            power = _POWERS[word]
        elif word in _PREFIXES:
            prefix = word
        else:
            found = _word(prefix + word)
            if found is None:
                raise UnitError(f"unit {whole!r} is not known: {word!r} is no unit")
            symbols.append(found + (f"^{power}" if power > 1 else ""))
            power, prefix = 1, ""
    if not symbols or power > 1 or prefix:
        raise UnitError(f"unit {whole!r} is not known")
    if exponent:
        symbols[-1] += f"^{exponent}"
    return "*".join(symbols)


def _word(name: str) -> str | None:
    """Symbol of one unit by its full English name; None if there is none of that name."""
    if name in _MTCONNECT_SPECIAL:
        return _MTCONNECT_SPECIAL[name] or None
    registry = _registry()
    full = name.lower()
    try:
        unit = registry.parse_units(full)
        # Abbreviations must not pass for names: PH would be a phot.
        if str(unit) != full:
            return None
        short = f"{unit:~C}".replace("µ", "u").replace("Ω", "ohm")
        return short if registry.parse_units(short) == unit else full
    except (pint.PintError, ValueError, TypeError):
        return None


@lru_cache(maxsize=4096)
def _parse(symbol: str) -> Any:  # noqa: ANN401 - pint's unit type depends on the registry
    if len(symbol) > MAX_LENGTH:
        raise UnitError(f"unit {symbol[:MAX_LENGTH]!r}... is longer than {MAX_LENGTH} characters")
    if not _SYMBOL.fullmatch(symbol):
        raise UnitError(f"{symbol!r} is no unit; write it like 'mm', 'deg/s' or 'm/s^2'")
    try:
        return _registry().parse_units(symbol)
    except (pint.PintError, ArithmeticError, ValueError, TypeError, AttributeError, SyntaxError):
        raise UnitError(f"unit {symbol!r} is not known") from None


def _named(unit: str | None) -> str:
    return "a value without unit" if unit is None else f"unit {unit[:MAX_LENGTH]!r}"
