"""Units: MTConnect's names, symbols that pint reads, conversions, contradictions."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.referential.units import Conversion, UnitError, check_symbol, conversion, symbol_of


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("MILLIMETER", "mm"),
        ("DEGREE/SECOND", "deg/s"),
        ("DEGREE/MINUTE", "deg/min"),
        ("REVOLUTION/MINUTE", "rpm"),
        ("PERCENT", "%"),
        ("CELSIUS", "degC"),
        ("FOOT/MINUTE", "ft/min"),
        ("SECOND", "s"),
        ("MILLIMETER_3D", "mm"),
        ("UNIT_VECTOR_3D", None),
        ("MILLIMETER/SECOND^2", "mm/s^2"),
        ("NEWTON_METER", "N*m"),
        ("CUBIC_MILLIMETER/SECOND", "mm^3/s"),
        ("MILLIGRAM/CUBIC_MILLIMETER", "mg/mm^3"),
        ("MICRO_RADIAN", "urad"),
        ("KILOWATT_HOUR", "kWh"),
        ("VOLT_AMPERE_REACTIVE", "var"),
        ("POUND/INCH^2", "psi"),
        ("SIEMENS/METER", "S/m"),
        ("OHM", "ohm"),
        ("COUNT", "count"),
    ],
)
def test_mtconnect_names_become_symbols_that_can_be_read_back(name, symbol):
    assert symbol_of(name) == symbol
    if symbol is not None:
        assert check_symbol(symbol) == symbol


@pytest.mark.parametrize(
    "name", ["PH", "STATUS", "x:CLICKS", "", "MM", "SQUARE_", "METER//SECOND", "METER^99", "M" * 65]
)
def test_names_that_are_no_unit_are_refused_by_name(name):
    with pytest.raises(UnitError, match="unit"):
        symbol_of(name)


@pytest.mark.parametrize(
    ("delivered", "canonical", "factor", "offset"),
    [
        ("deg/min", "deg/s", 1 / 60, 0.0),
        ("ft/min", "mm/s", 5.08, 0.0),
        ("degC", "degF", 1.8, 32.0),
        ("degF", "degC", 1 / 1.8, -32 / 1.8),
        ("degC", "K", 1.0, 273.15),
        ("degC/min", "K/s", 1 / 60, 0.0),
        ("rpm", "deg/s", 6.0, 0.0),
        ("kWh", "J", 3_600_000.0, 0.0),
        ("mm", "mm", 1.0, 0.0),
        (None, None, 1.0, 0.0),
        ("no unit at all", "no unit at all", 1.0, 0.0),
    ],
)
def test_conversions_are_linear_and_exact_to_the_last_bit(delivered, canonical, factor, offset):
    assert conversion(delivered, canonical) == Conversion(factor, offset)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("mm", "degC"),
        ("rpm", "Hz"),
        ("%", "deg"),
        ("count", "%"),
        ("mm", None),
        ("dB", "%"),
        ("mm", "clicks"),
    ],
)
def test_a_contradiction_names_both_units(one, other):
    for pair in ((one, other), (other, one)):
        with pytest.raises(UnitError) as caught:
            conversion(*pair)
        assert all(("without unit" if unit is None else repr(unit)) in str(caught.value) for unit in pair)


@pytest.mark.parametrize(
    "symbol", ["9**9**9", "m**9**9", "m^99", "(m)", "m" * 65, "__import__('os')", "m;s", "1e9", ""]
)
def test_what_pint_would_calculate_with_does_not_reach_it(symbol):
    with pytest.raises(UnitError):
        check_symbol(symbol)


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_a_unit_or_a_unit_error(text):
    # Anything but a UnitError fails the test.
    for read in (symbol_of, check_symbol, lambda t: conversion(t, "mm")):
        with contextlib.suppress(UnitError):
            read(text)


units_of_temperature = st.sampled_from(["degC", "degF", "K"])


@settings(deadline=None)
@given(units_of_temperature, units_of_temperature, st.floats(-1e4, 1e4))
def test_a_conversion_there_and_back_gives_the_value(one, other, value):
    there, back = conversion(one, other), conversion(other, one)
    assert (value * there.factor + there.offset) * back.factor + back.offset == pytest.approx(value, abs=1e-8)
