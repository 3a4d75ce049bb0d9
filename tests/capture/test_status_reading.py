"""Statuses of three scales, and values that stand for none."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from idm_assets.capture.status_reading import (
    BAD_SENSOR_FAILURE,
    StatusReading,
    is_missing,
    judged_status,
    status_code,
)
from idm_assets.sql import literal
from idm_assets.status import BAD_NO_DATA, symbols

CODES = {name: code for code, (name, _) in symbols().items()}


def code(con, text, **declared):
    return con.execute(
        f"SELECT {status_code('t', StatusReading(**declared))} FROM (SELECT ?::VARCHAR AS t)", [text]
    ).fetchone()[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Good", 0), (" good ", 0), ("BadNoData", CODES["BadNoData"]),
        ("uncertainsubnormal", CODES["UncertainSubNormal"]),
        ("0", 0), ("2147483648", 0x80000000), ("0x80340000", 0x80340000), ("4294967295", 0xFFFFFFFF),
        ("4294967296", None), ("-1", None), ("fine", None), ("", None), ("192 ", 192),
    ],
)  # fmt: skip
def test_codes_and_symbols_of_opc_ua(con, text, expected):
    assert code(con, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192", 0), ("0", 0x80000000), ("64", 0x40000000), ("24", CODES["BadNoCommunication"]),
        ("28", CODES["BadOutOfService"]),
        ("68", CODES["UncertainLastUsableValue"]), ("216", CODES["GoodLocalOverride"]),
        ("193", 0x0500), ("194", 0x0600), ("195", 0x0700), ("88", CODES["UncertainSubNormal"]),
        ("49344", 0), ("60", 0x80000000), ("128", 0x80000000), ("65536", None), ("Good", None), ("-64", None),
    ],
)  # fmt: skip
def test_quality_of_opc_da_is_another_scale(con, text, expected):
    assert code(con, text, scale="opc_da") == expected


def test_words_of_a_plant_mean_what_is_declared(con):
    words = {"scale": "words", "words": {"OK": "Good", "Défaut": "BadDeviceFailure", "good": "UncertainSubNormal"}}
    assert code(con, " ok", **words) == 0
    assert code(con, "défaut", **words) == CODES["BadDeviceFailure"]
    assert code(con, "Good", **words) == CODES["UncertainSubNormal"], "a declared word wins over what it usually means"
    assert code(con, "0", **words) is None
    assert code(con, "OK", words={"OK": "Good"}) == 0
    assert code(con, "BadNoData", words={"OK": "Good"}) == BAD_NO_DATA


@pytest.mark.parametrize(
    "declared",
    [{"words": {"OK": "Fine"}}, {"words": {"OK": 2**32}}, {"sentinels": {"x": "BadNoData"}},
    {"sentinels": {"-1": "Good"}},
     {"scale": "opc"}, {"missing": [""]}],
)  # fmt: skip
def test_what_means_nothing_is_refused(declared):
    with pytest.raises(ValidationError):
        StatusReading(**declared)


@pytest.mark.parametrize(
    ("status", "value", "text", "expected"),
    [
        (0, -200.0, None, BAD_SENSOR_FAILURE), (0, 65535.0, None, BAD_SENSOR_FAILURE), (0, -200.5, None, 0),
        (0, None, "n/a", BAD_NO_DATA),
        (0, None, " NaN ", BAD_NO_DATA), (0, None, "nans", 0), (0x80310000, -200.0, None, 0x80310000),
        (0x40900000, -200.0, None, BAD_SENSOR_FAILURE), (0, None, None, 0),
    ],
)  # fmt: skip
def test_values_that_stand_for_none_are_not_good(con, status, value, text, expected):
    reading = StatusReading(sentinels=[-200, 65535], missing=["N/A", "nan"])
    query = judged_status("s", "v", "t", reading)
    found = con.execute(
        f"SELECT {query} FROM (SELECT {status}::BIGINT AS s, {literal(value)}::DOUBLE AS v,"
        f" {literal(text)}::VARCHAR AS t)"
    ).fetchone()
    assert found == (expected,)


def test_nothing_declared_costs_nothing():
    assert judged_status("s", "v", "t", StatusReading()) == "s"
    assert is_missing("t", StatusReading()) == "false"
