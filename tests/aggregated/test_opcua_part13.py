"""Our figures against the example data of OPC UA Part 13, cell by cell.

Part 13 computes over intervals of 5 s and 16 s, we over minutes and hours: the raw data's clock is stretched so
that an interval becomes a window (5 s to 60 s is times 12). Values, counts and percentages do not depend on the
clock's scale, durations are scaled back. As in the published cells, the data ends 1 ms after the last raw point.

What we share with Part 13: intervals ``[start, end)`` stamped with their start; Average and Count over raw Good
values; Minimum, Maximum; Start and End where that raw value is Good; TimeAverage2 of a stepped historian; the
durations and percentages of Good time, with TreatUncertainAsBad.

What we do not share, by design, and which cells that concerns, is said in `DIFFERENT` beside the reason. The test
insists that those cells differ: one that comes to agree has to be taken off the list.
"""

from functools import cache
from pathlib import Path

import pytest

from idm_assets.aggregated import windows
from tests.relations import HOLD, PARTITION, SOURCES, TIMELINE, at, relation, rows_of, seconds

VECTORS = Path(__file__).parent.parent / "vectors" / "opcua_part13"
HISTORIANS = ("Historian1", "Historian2", "Historian3")
STATUS = {"Good": 0, "Bad": 0x80000000, "Bad_NoData": 0x809B0000, "Uncertain": 0x40000000}
END_OF_DATA_S = 90.001

OURS = {
    "Average": "average",
    "Count": "count",
    "Minimum": "minimum",
    "Maximum": "maximum",
    "Start": "first",
    "End": "last",
    "DurationGood": "good_s",
    "PercentGood": "percent_good",
    "TimeAverage2": "time_average",
}

_OF_ANY_QUALITY = "Start and End are the first and last raw value of any quality, ours of Good quality"
_SLOPED_BOUND = (
    "the historian is not stepped: with its end Bad or Uncertain the region is Uncertain, while a value that is"
    " held stays what it was until the next report"
)
_PARTIAL = "Part 13 divides by the part of the interval that has data, we by the whole window"
_SLOPED = "the historian is not stepped: TimeAverage2 runs along the slope, ours holds the value"

DIFFERENT = {
    ("Historian1", "Start"): ({4}, _OF_ANY_QUALITY),
    ("Historian1", "End"): ({4}, _OF_ANY_QUALITY),
    ("Historian2", "End"): ({2, 4}, _OF_ANY_QUALITY),
    ("Historian3", "End"): ({2, 4}, _OF_ANY_QUALITY),
    ("Historian1", "DurationGood"): ({2, 4}, _SLOPED_BOUND),
    ("Historian1", "PercentGood"): ({2, 4, 5}, f"{_SLOPED_BOUND}; the last: {_PARTIAL}"),
    ("Historian2", "PercentGood"): ({5}, _PARTIAL),
    ("Historian3", "PercentGood"): ({5}, _PARTIAL),
    # The exceptions are all cells but those without data and those where the slope is flat.
    ("Historian1", "TimeAverage2"): (set(range(20)) - {0, 1, 6, 7, 8, 9, 18, 19}, _SLOPED),
    ("Historian2", "TimeAverage2"): (set(range(19)), _SLOPED),
}


def sections(historian):
    """The lines of the file by aggregate, as lists of fields; the raw data under the empty name."""
    found = {"": []}
    name = ""
    for line in (VECTORS / f"{historian}.csv").read_text(encoding="utf-8-sig").splitlines():
        fields = [field.strip().strip('"') for field in line.split(",")]
        if fields[0] == "Aggregate":
            name = fields[1]
            found[name] = []
        found[name].append(fields)
    return found


def since_noon(text):
    hours, minutes, rest = text.split(":")
    return (int(hours) - 12) * 3600 + int(minutes) * 60 + float(rest)


@cache
def raw(historian):
    """``(seconds since 12:00:00, value, status)``."""
    rows = [row for row in sections(historian)[""] if row[0].startswith("12:")]
    return [
        (since_noon(row[0]), None if row[1] in ("", "undefined") else float(row[1]), STATUS[row[2]]) for row in rows
    ]


@cache
def published(historian, aggregate):
    """Interval in seconds, and the value of each interval from 12:00:00 on; None where there is none."""
    section = sections(historian)[aggregate]
    interval = next(float(row[1]) for row in section if row[0] == "Processing Interval") / 1000
    return interval, [None if row[1] == "" else float(row[1]) for row in section if row[0].startswith("12:")]


def computed(con, historian, interval, window):
    """Our rows by number of the interval, of minutes (``window`` 60) or of hours (``window`` 3600)."""
    scale = window / interval
    timeline = relation(
        TIMELINE,
        [
            (1, "s", "measurement", "stepped", at(s * scale), value, None, status, False)
            for s, value, status in raw(historian)
        ],
    )
    hold = relation(HOLD, [("s", at(END_OF_DATA_S * scale))])
    query = windows.minutes(timeline, hold)
    if window == 3600:
        con.execute(f"CREATE OR REPLACE TEMP TABLE minute_rows AS {query}").fetchall()
        carried = f"SELECT * EXCLUDE (carried) FROM ({timeline}) WHERE carried"
        query = windows.hours("FROM minute_rows", carried, relation(SOURCES, [(1, "s")]), hold, PARTITION)
    rows = {round(seconds(row["window_start"]) / window): row for row in rows_of(con, query)}
    for row in rows.values():
        row["good_s"] *= 1000 / scale
    return rows


def same(aggregate, ours, theirs):
    if aggregate == "Count":
        return (ours or 0) == (theirs or 0)
    if ours is None or theirs is None:
        return ours is theirs or (aggregate in ("DurationGood", "PercentGood") and not ours and not theirs)
    return ours == pytest.approx(theirs, abs=5e-4)


@pytest.mark.parametrize("aggregate", OURS)
@pytest.mark.parametrize("historian", HISTORIANS)
def test_hours_hold_to_the_published_cells(con, historian, aggregate):
    interval, expected = published(historian, aggregate)
    rows = computed(con, historian, interval, 3600)
    different, _ = DIFFERENT.get((historian, aggregate), (set(), ""))
    assert len(expected) >= 7
    off = {
        number
        for number, theirs in enumerate(expected)
        if not same(aggregate, rows.get(number, {}).get(OURS[aggregate]), theirs)
    }
    assert off == different


@pytest.mark.parametrize("aggregate", OURS)
@pytest.mark.parametrize("historian", HISTORIANS)
def test_minutes_hold_to_the_published_cells_where_something_was_observed(con, historian, aggregate):
    """A minute without a report has no row; its time counts in the hour."""
    interval, expected = published(historian, aggregate)
    rows = computed(con, historian, interval, 60)
    assert set(rows) == {int(s // interval) for s, _, _ in raw(historian)}
    different, _ = DIFFERENT.get((historian, aggregate), (set(), ""))
    off = {number for number in rows if not same(aggregate, rows[number][OURS[aggregate]], expected[number])}
    assert off == different & set(rows)


def test_the_vectors_are_read_as_published():
    assert raw("Historian3")[5] == (42.0, None, 0x80000000)
    assert published("Historian3", "TimeAverage2")[1][5:8] == [22.0, 25.0, 26.0]
    assert published("Historian1", "PercentGood") == (16.0, [37.5, 100.0, 0.0, 87.5, 0.0, 100.0, None])
