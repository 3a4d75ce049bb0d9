from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import idm_assets.referential.unece as module
from idm_assets.referential.unece import name_of_unece, symbol_of_unece, unece_code_of, unit_id_of
from idm_assets.referential.units import check_symbol, conversion

FOLDER = Path(module.__file__).parent


def _rows(name: str) -> list[list[str]]:
    return list(csv.reader((FOLDER / name).read_text("utf-8-sig").splitlines()))[1:]


def test_published_numbers_stand_for_their_codes():
    # the two vectors that OPC UA Part 8 and its table of units give
    assert (unece_code_of(4408652), unece_code_of(4937544)) == ("CEL", "KWH")
    assert (unit_id_of("CEL"), unit_id_of("KWH")) == (4408652, 4937544)
    assert (symbol_of_unece("CEL"), name_of_unece("KWH")) == ("degC", "kilowatt hour")


def test_every_published_unit_id_is_made_of_its_code():
    rows = _rows("unece_units.csv")
    # counted with wc -l: 1828 lines, one of them the header
    assert len(rows) == len({row[0] for row in rows}) == 1827
    assert [(unece_code_of(int(unit_id)), unit_id_of(code)) for code, unit_id, *_ in rows] == [
        (code, int(unit_id)) for code, unit_id, *_ in rows
    ]


def test_three_of_four_codes_have_a_symbol_and_every_symbol_is_one():
    rows = _rows("unece_symbols.csv")
    # counted with wc -l: 1407 lines, one of them the header
    assert len(rows) == len({code for code, _ in rows}) == 1406
    known = {row[0] for row in _rows("unece_units.csv")}
    for code, symbol in rows:
        assert code in known
        assert symbol_of_unece(code) == check_symbol(symbol) == symbol


# Conversion factors to SI as UNECE Recommendation 20 prints them, none of which is in our files.
@pytest.mark.parametrize(
    ("code", "si", "factor"),
    [
        ("BAR", "Pa", 1e5),
        ("PS", "Pa", 6.894757e3),
        ("ATM", "Pa", 101325),
        ("80", "Pa", 6.894757e3),
        ("HN", "Pa", 133.3224),
        ("KWH", "J", 3.6e6),
        ("BTU", "J", 1.055056e3),
        ("E14", "J", 4.1868e3),
        ("HJ", "W", 735.49875),
        ("N12", "W", 735.49875),
        ("K5", "W", 1e3),
        ("NU", "N*m", 1),
        ("MQH", "m^3/s", 2.777778e-4),
        ("L2", "m^3/s", 1.666667e-5),
        ("GLL", "m^3", 3.785412e-3),
        ("GLI", "m^3", 4.54609e-3),
        ("BLL", "m^3", 158.9873e-3),
        ("ONZ", "kg", 2.834952e-2),
        ("STN", "kg", 907.18474),
        ("KTN", "kg", 1e6),
        ("KNT", "m/s", 0.514444),
        ("HM", "m/s", 0.44704),
        ("77", "m", 2.54e-5),
        ("NMI", "m", 1852),
        ("P34", "cd", 1e-3),
        ("KMQ", "kg/m^3", 1),
        ("F57", "A/Pa", 1.450377e-7),
        ("H22", "V/Pa", 1.450377e-4),
        ("A76", "m/s^2", 1e-2),
        ("DD", "rad", 1.745329e-2),
        ("RPM", "turn/s", 1 / 60),
        ("P1", "ppm", 1e4),
        ("HUR", "s", 3600),
        ("ANN", "s", 3.15576e7),
        ("D53", "W/m/K", 1),
        ("J22", "K*m^2/W", 0.1761102),
    ],
)
def test_symbols_convert_as_the_recommendation_says(code: str, si: str, factor: float):
    symbol = symbol_of_unece(code)
    assert symbol is not None
    assert conversion(symbol, si).factor == pytest.approx(factor, rel=2e-6)


def test_temperatures_keep_their_zero():
    celsius, fahrenheit = symbol_of_unece("CEL"), symbol_of_unece("FAH")
    assert conversion(celsius, "K").offset == pytest.approx(273.15)
    step = conversion(fahrenheit, celsius)
    assert 212 * step.factor + step.offset == pytest.approx(100)


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        ("Q30", "acidity, not a picohenry"),
        ("HMQ", "a million cubic metres, not the cube of a megametre"),
        ("P44", "a pound mole, not a pound times a mole"),
        ("KNI", "a kilogram of nitrogen, not a kilogram newton"),
        ("GRO", "a gross, not a grain"),
        ("Q25", "a dioptre, not a decipint"),
        ("M43", "a mil of angle, which pint takes for a tenth of it"),
        ("NM3", "a cubic metre at standard conditions, which pint does not know"),
        ("ZZ", "mutually defined"),
        ("???", "no code"),
        ("", "no code"),
    ],
)
def test_what_pint_would_misread_has_no_symbol(code: str, meaning: str):
    assert symbol_of_unece(code) is None, meaning


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=1, max_size=3))
@settings(max_examples=100)
def test_codes_and_numbers_go_both_ways(code: str):
    assert unece_code_of(unit_id_of(code)) == code


@given(st.integers())
@settings(max_examples=200)
def test_any_number_has_one_code_or_none(unit_id: int):
    try:
        code = unece_code_of(unit_id)
    except ValueError:
        return
    assert unit_id_of(code) == unit_id


@pytest.mark.parametrize("unit_id", [-1, 0, 256**3, 0x410042, 0x616263, 705741328])
def test_numbers_of_other_lists_are_refused(unit_id: int):
    with pytest.raises(ValueError, match="no UnitId"):
        unece_code_of(unit_id)


@pytest.mark.parametrize("code", ["", "kwh", "ABCD", "Ä", "A B", "\ud800"])
def test_texts_that_are_no_codes_are_refused(code: str):
    with pytest.raises(ValueError, match="no UNECE code"):
        unit_id_of(code)
