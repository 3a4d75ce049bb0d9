"""Times of rows: formats, zones, hours that clocks double or leave out, labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from idm_assets.capture.remarks import DOUBLED_HOUR, MISSING_HOUR, TIMESTAMP_CUT
from idm_assets.capture.text_values import TIMESTAMP_UNREADABLE
from idm_assets.capture.time_reading import TIMESTAMP_DOUBLED, TIMESTAMP_MISSING, TimeReading, parsed_duration, timed
from idm_assets.sql import literal

PARIS = "Europe/Paris"


def read(con, text, zone="UTC", **declared):
    """Instant, remarks and problem of a text."""
    query = timed(f"SELECT {literal(text)}::VARCHAR AS t", "t", None, TimeReading(field="t", **declared), zone)
    (ts, remarks, problem) = con.execute(f"SELECT epoch_us(ts), ts_remarks, ts_problem FROM ({query})").fetchone()
    at = None if ts is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ts)
    return at, remarks, problem


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "declared", "zone", "expected", "remarks"),
    [
        ("2015-03-08T01:40:54-06:00", {}, PARIS, "2015-03-08 07:40:54", 0),
        ("2024-01-02 20:03:46.000", {}, "UTC", "2024-01-02 20:03:46", 0),
        ("2024-01-02 20:03:46.000", {}, PARIS, "2024-01-02 19:03:46", 0),
        ("2024-01-02T20:03:46.1234567Z", {}, "UTC", "2024-01-02 20:03:46.123456", TIMESTAMP_CUT),
        ("2024-01-02T20:03:46.1234567", {}, PARIS, "2024-01-02 19:03:46.123456", TIMESTAMP_CUT),
        ("10/03/2004 18.00.00", {"format": "%d/%m/%Y %H.%M.%S"}, "Europe/Rome", "2004-03-10 17:00:00", 0),
        ("03/10/2004 6:05 PM", {"format": "%m/%d/%Y %I:%M %p"}, "UTC", "2004-03-10 18:05:00", 0),
        ("10.3.2004 18:00:00,25", {"format": "%d.%m.%Y %H:%M:%S,%f"}, "UTC", "2004-03-10 18:00:00.25", 0),
        ("10.3.2004 18:00:00.1234569", {"format": "%d.%m.%Y %H:%M:%S.%f"}, "UTC", "2004-03-10 18:00:00.123456",
         TIMESTAMP_CUT),
        ("10.3.2004 18:00 +0200", {"format": "%d.%m.%Y %H:%M %z"}, PARIS, "2004-03-10 16:00:00", 0),
        ("2016-07-01", {"format": "date"}, "America/Chicago", "2016-07-01 05:00:00", 0),
        ("1478505600", {"format": "epoch_s"}, PARIS, "2016-11-07 08:00:00", 0),
        ("1.4785056E12", {"format": "epoch_ms"}, "UTC", "2016-11-07 08:00:00", 0),
        ("1478505600.5", {"format": "epoch_s"}, "UTC", "2016-11-07 08:00:00.5", 0),
        ("1478505600.1234567", {"format": "epoch_s"}, "UTC", "2016-11-07 08:00:00.123456", TIMESTAMP_CUT),
        ("1478505600123", {"format": "epoch_ms"}, "UTC", "2016-11-07 08:00:00.123", 0),
        ("1478505600123456", {"format": "epoch_us"}, "UTC", "2016-11-07 08:00:00.123456", 0),
        ("1478505600123456789", {"format": "epoch_ns"}, "UTC", "2016-11-07 08:00:00.123456", TIMESTAMP_CUT),
        ("1478505600123456000", {"format": "epoch_ns"}, "UTC", "2016-11-07 08:00:00.123456", 0),
        ("-1", {"format": "epoch_ns"}, "UTC", "1969-12-31 23:59:59.999999", TIMESTAMP_CUT),
        ("2016-01-01 00:00", {"format": "%Y-%m-%d %H:%M", "midnight": "closes"}, "UTC", "2016-01-02 00:00:00", 0),
        ("2016-01-01 00:01", {"format": "%Y-%m-%d %H:%M", "midnight": "closes"}, "UTC", "2016-01-01 00:01:00", 0),
        ("2016-01-01T01:00:00", {"label": "end", "interval": "15min"}, "UTC", "2016-01-01 00:45:00", 0),
        # the last interval of 30 October ends with the label 00:00 of that date
        ("2016-10-30 00:00", {"format": "%Y-%m-%d %H:%M", "midnight": "closes", "label": "end", "interval": "1h"},
         PARIS, "2016-10-30 22:00:00", 0),
    ],
)  # fmt: skip
def test_times_are_read_as_declared(con, text, declared, zone, expected, remarks):
    assert read(con, text, zone, **declared) == (at(expected), remarks, None)


@pytest.mark.parametrize(
    ("text", "declared"),
    [
        ("", {}), ("2016-02-30T00:00:00Z", {}), ("yesterday", {}), ("2016-02-30", {"format": "date"}),
        ("31/02/2016", {"format": "%d/%m/%Y"}), ("24:00", {"format": "%H:%M"}), ("1e99", {"format": "epoch_s"}),
        ("99999999999999999999999", {"format": "epoch_ns"}), ("9" * 400, {"format": "epoch_ms"}),
        ("12:00:00", {}), ("NaN", {"format": "epoch_s"}), ("0x10", {"format": "epoch_s"}),
    ],
)  # fmt: skip
def test_what_is_no_time_is_told(con, text, declared):
    assert read(con, text, PARIS, **declared)[::2] == (None, TIMESTAMP_UNREADABLE)


@pytest.mark.parametrize(
    ("zone", "text", "later", "earlier"),
    [
        (PARIS, "2016-10-30 02:30:00", "2016-10-30 01:30:00", "2016-10-30 00:30:00"),
        (PARIS, "2016-10-30 02:00:00", "2016-10-30 01:00:00", "2016-10-30 00:00:00"),
        ("America/Chicago", "2016-11-06 01:59:59", "2016-11-06 07:59:59", "2016-11-06 06:59:59"),
        ("Australia/Lord_Howe", "2016-04-03 01:45:00", "2016-04-02 15:15:00", "2016-04-02 14:45:00"),
    ],
)
def test_an_hour_that_comes_twice_is_told_apart_by_rule_and_counted(con, zone, text, later, earlier):
    assert read(con, text, zone) == (at(later), DOUBLED_HOUR, None)
    assert read(con, text, zone, doubled_hour="earlier") == (at(earlier), DOUBLED_HOUR, None)
    assert read(con, text, zone, doubled_hour="reject")[2] == TIMESTAMP_DOUBLED
    assert read(con, text + "+00:00", zone, doubled_hour="reject")[1:] == (0, None), "an offset leaves no doubt"


def test_an_hour_that_is_left_out_is_moved_on_or_rejected(con):
    assert read(con, "2016-03-27 02:30:00", PARIS) == (at("2016-03-27 01:30:00"), MISSING_HOUR, None)
    assert read(con, "2016-03-27 02:30:00", PARIS, missing_hour="reject")[2] == TIMESTAMP_MISSING
    for clear in ("2016-03-27 01:59:59", "2016-03-27 03:00:00"):
        assert read(con, clear, PARIS, missing_hour="reject", doubled_hour="reject")[1:] == (0, None)


FIRST, LAST = (datetime.fromisoformat(day) for day in ("1995-01-01", "2037-12-31"))


@given(
    st.datetimes(FIRST, LAST),
    st.sampled_from([PARIS, "America/Sao_Paulo", "Asia/Tokyo"]),
    st.sampled_from(["later", "earlier"]),
)
@settings(max_examples=60, deadline=None)
def test_local_times_agree_with_the_tables_of_python(con, local, zone, rule):
    local = local.replace(microsecond=0)
    fold = 1 if rule == "later" else 0
    place = ZoneInfo(zone)
    expected = local.replace(tzinfo=place, fold=fold).astimezone(UTC)
    exists = expected.astimezone(place).replace(tzinfo=None) == local
    found, remarks, problem = read(con, f"{local:%Y-%m-%d %H:%M:%S}", zone, doubled_hour=rule)
    assert problem is None
    if exists:
        assert found == expected
        twice = local.replace(tzinfo=place, fold=0).utcoffset() != local.replace(tzinfo=place, fold=1).utcoffset()
        assert (remarks == DOUBLED_HOUR) == twice
    else:
        assert remarks == MISSING_HOUR


@pytest.mark.parametrize(
    ("text", "expected"),
    [("15min", timedelta(minutes=15)), ("1h", timedelta(hours=1)), ("30s", timedelta(seconds=30)), ("2d", timedelta(2)),
     ("PT15M", timedelta(minutes=15))],
)  # fmt: skip
def test_durations(text, expected):
    assert parsed_duration(text) == expected


@pytest.mark.parametrize("text", ["", "h", "an hour", "-1x"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="no duration"):
        parsed_duration(text)


@pytest.mark.parametrize(
    "declared", [{"label": "end"}, {"interval": "1h"}, {"format": "iso8601"}, {"doubled_hour": "x"}]
)
def test_contradictions_are_refused(declared):
    with pytest.raises(ValidationError):
        TimeReading(field="t", **declared)
