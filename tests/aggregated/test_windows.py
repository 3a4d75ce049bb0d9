"""Figures per minute, hour and day: hand-made vectors, and an oracle that works on the raw timeline alone."""

import math
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.aggregated import windows
from resources.engine import reproducibly
from tests.relations import BAD, HOLD, PARTITION, SOURCES, START, TIMELINE, UNCERTAIN, at, relation, rows_of, seconds

MINUTE, HOUR, LAST = 60.0, 3600.0, 86_400.0
FIGURES = (
    "count", "average", "time_average", "minimum", "maximum", "first", "last", "percent_good", "good_s", "held_value",
)  # fmt: skip
CARRIED = {name: TIMELINE[name] for name in ("point_id", "source", "kind", "hold", "ts", "value", "text", "status")}


def said(second, value=None, status=0, *, carried=False, **other):
    defaults = {"point_id": 1, "source": "s", "kind": "measurement", "hold": "stepped", "text": None}
    return {**defaults, "ts": at(second), "value": value, "status": status, "carried": carried, **other}


def carried_in(value, status=0, **other):
    return said(0, value, status, carried=True, **other)


def aggregated(con, timeline, hold):
    """All three levels: ``{(level, point, start in seconds): figures}``; the finer level feeds the coarser."""
    hold_rows = relation(HOLD, [(source, at(until)) for source, until in hold.items()])
    minutes = windows.minutes(relation(TIMELINE, timeline), hold_rows)
    con.execute(f"CREATE OR REPLACE TEMP TABLE minute_rows AS {minutes}").fetchall()
    carried = relation(CARRIED, [row for row in timeline if row["carried"]])
    sources = relation(SOURCES, sorted({(row["point_id"], row["source"]) for row in timeline}))
    hours = windows.hours("FROM minute_rows", carried, sources, hold_rows, PARTITION)
    con.execute(f"CREATE OR REPLACE TEMP TABLE hour_rows AS {hours}").fetchall()
    found = {}
    for level, query in (
        ("minute", "FROM minute_rows"), ("hour", "FROM hour_rows"),
        ("day", windows.days("FROM hour_rows", PARTITION)),
    ):  # fmt: skip
        for row in rows_of(con, f"SELECT point_id, window_start, {', '.join(FIGURES)} FROM ({query})"):
            key = (level, row.pop("point_id"), seconds(row.pop("window_start")))
            assert key not in found, "one row per window"
            found[key] = row
    return found


# Vectors


def test_a_sloped_value_follows_the_line_to_the_next_report(con):
    """The same samples: on the lines between them 7.41667, if the last one holds to the end of the hour."""
    minutes_and_values = zip((0, 55, 56, 57, 58, 59), (0, 10, 20, 30, 40, 50), strict=True)
    timeline = [said(minute * 60, float(value), hold="sloped") for minute, value in minutes_and_values]
    found = aggregated(con, timeline, {"s": HOUR})
    # (5 x 55 + 15 + 25 + 35 + 45 + 50) / 60
    assert found["hour", 1, 0]["time_average"] == pytest.approx(445 / 60)
    assert found["minute", 1, 3300]["time_average"] == pytest.approx(15.0)
    assert found["minute", 1, 0]["held_value"] == pytest.approx(10 / 55)


def test_a_value_held_weighs_by_the_time_it_holds(con):
    """Samples at minutes 0, 55 to 59 with values 0, 10 to 50: arithmetic mean 25, held mean 2.5."""
    minutes_and_values = zip((0, 55, 56, 57, 58, 59), (0, 10, 20, 30, 40, 50), strict=True)
    timeline = [said(minute * 60, float(value)) for minute, value in minutes_and_values]
    hour = aggregated(con, timeline, {"s": HOUR})["hour", 1, 0]
    assert hour == {
        "count": 6, "average": 25.0, "time_average": pytest.approx(2.5, abs=1e-12), "minimum": 0.0, "maximum": 50.0,
        "first": 0.0, "last": 50.0, "percent_good": 100.0, "good_s": 3600.0, "held_value": 50.0,
    }  # fmt: skip


def test_time_without_a_good_value_weighs_nothing(con):
    timeline = [said(0, 10.0), said(10, 99.0, BAD), said(20, 40.0), said(40, 7.0, UNCERTAIN), said(50)]
    minute = aggregated(con, timeline, {"s": LAST})["minute", 1, 0]
    assert minute == {
        "count": 2, "average": 25.0, "time_average": pytest.approx((10 * 10 + 40 * 20) / 30), "minimum": 10.0,
        "maximum": 40.0, "first": 10.0, "last": 40.0, "percent_good": 50.0, "good_s": 30.0, "held_value": None,
    }  # fmt: skip


def test_good_with_info_bits_is_good(con):
    assert aggregated(con, [said(0, 1.0, 0x400)], {"s": LAST})["minute", 1, 0]["count"] == 1


def test_a_carried_value_is_held_but_not_counted(con):
    found = aggregated(con, [carried_in(10.0), said(30, 20.0)], {"s": MINUTE})
    assert found["minute", 1, 0] == found["hour", 1, 0] | {"percent_good": 100.0} == {
        "count": 1, "average": 20.0, "time_average": 15.0, "minimum": 20.0, "maximum": 20.0, "first": 20.0,
        "last": 20.0, "percent_good": 100.0, "good_s": 60.0, "held_value": 20.0,
    }  # fmt: skip


def test_a_day_of_silence_holds_the_carried_value(con):
    found = aggregated(con, [carried_in(7.5)], {"s": LAST})
    assert {key[0] for key in found} == {"hour", "day"}
    assert len(found) == 25
    assert found["day", 1, 0] == {
        "count": 0, "average": None, "time_average": 7.5, "minimum": None, "maximum": None, "first": None,
        "last": None, "percent_good": 100.0, "good_s": LAST, "held_value": 7.5,
    }  # fmt: skip


def test_a_report_at_midnight_takes_the_place_of_what_was_carried(con):
    found = aggregated(con, [carried_in(10.0), said(0, 20.0)], {"s": LAST})
    for level in ("minute", "hour", "day"):
        assert (found[level, 1, 0]["time_average"], found[level, 1, 0]["held_value"]) == (20.0, 20.0), level
    assert found["hour", 1, 23 * HOUR]["held_value"] == 20.0


def test_a_bad_report_at_midnight_ends_what_was_carried(con):
    found = aggregated(con, [carried_in(10.0), said(0, 20.0, BAD)], {"s": LAST})
    assert (found["minute", 1, 0]["held_value"], found["day", 1, 0]["good_s"]) == (None, 0.0)


def test_of_two_reports_at_one_instant_the_greater_holds_and_a_bad_one_ends_it(con):
    """Two tags bound to one attribute; the order is fixed so that the same rows give the same figures."""
    for timeline in ([said(6, 1.0), said(6, 2.0)], [said(6, 2.0), said(6, 1.0)]):
        minute = aggregated(con, timeline, {"s": LAST})["minute", 1, 0]
        assert (minute["count"], minute["time_average"], minute["held_value"]) == (2, 2.0, 2.0)
    minute = aggregated(con, [said(6, 2.0, BAD), said(6, 1.0)], {"s": LAST})["minute", 1, 0]
    assert (minute["count"], minute["good_s"], minute["held_value"]) == (1, 0.0, None)


def test_an_observation_on_a_border_belongs_to_the_window_that_it_opens(con):
    found = aggregated(con, [said(MINUTE - 1e-6, 1.0), said(MINUTE, 2.0)], {"s": HOUR})
    assert found["minute", 1, 0]["last"] == 1.0
    assert found["minute", 1, 0]["good_s"] == 1e-6
    assert found["minute", 1, MINUTE]["first"] == 2.0
    assert found["minute", 1, MINUTE]["time_average"] == 2.0


def test_minutes_without_a_report_have_no_row_but_their_time_counts(con):
    found = aggregated(con, [said(0, 1.0), said(30 * MINUTE, 3.0)], {"s": HOUR})
    assert [key[2] for key in found if key[0] == "minute"] == [0, 30 * MINUTE]
    assert found["hour", 1, 0]["time_average"] == pytest.approx(2.0)
    assert found["hour", 1, 0]["percent_good"] == 100.0


def test_nothing_is_held_after_the_last_word_of_the_source(con):
    found = aggregated(con, [said(0, 1.0)], {"s": HOUR / 2})
    assert [key for key in found if key[0] == "hour"] == [("hour", 1, 0.0)]
    assert found["hour", 1, 0]["good_s"] == HOUR / 2
    assert found["day", 1, 0]["percent_good"] == pytest.approx(100 / 48)


def test_states_and_text_are_no_measurements(con):
    assert aggregated(con, [said(5, 1.0, kind="state"), carried_in(1.0, kind="text")], {"s": LAST}) == {}


# Against an oracle

BORDERS = [
    0.0, 1e-6, MINUTE - 1e-6, MINUTE, MINUTE + 1e-6, 90.5, 2 * MINUTE, HOUR - 1e-6, HOUR, HOUR + MINUTE, 2 * HOUR,
    12 * HOUR + 0.25, 23 * HOUR, LAST - MINUTE, LAST - 1e-6,
]  # fmt: skip
MOMENTS = st.sampled_from(BORDERS) | st.integers(0, 86_399_999_999).map(lambda us: us / 1e6)
CONTENTS = st.tuples(
    st.none() | st.integers(-50, 50).map(float) | st.floats(-1e3, 1e3, width=32),
    st.sampled_from([0, 0, 0, 0x400, UNCERTAIN, BAD]),
)
POINTS = st.dictionaries(
    st.sampled_from([1, 2, 3]),
    st.tuples(st.none() | CONTENTS, st.dictionaries(MOMENTS, CONTENTS, max_size=14)),
    min_size=1,
)


def timeline_of(points):
    """Points 1 and 2 are of source s, point 3 is of t; point 2 is sloped."""
    rows = []
    for point, (carried, observed) in points.items():
        other = {"point_id": point, "source": "t" if point == 3 else "s", "hold": "sloped" if point == 2 else "stepped"}
        rows += [] if carried is None else [carried_in(*carried, **other)]
        rows += [said(second, *content, **other) for second, content in observed.items()]
    return rows


def hold_of(points, heard_again):
    hold = {}
    for source, members in (("s", (1, 2)), ("t", (3,))):
        heard = [second for point in members if point in points for second in points[point][1]]
        hold[source] = LAST if source in heard_again else max(heard, default=0.0)
    return hold


def good(content):
    value, status = content
    return value if value is not None and status < UNCERTAIN else None


def us(second):
    return round(second * 1e6)


def on_the_line(second, one, other):
    """Value at an instant between two reports ``(second, value)``."""
    return one[1] + (other[1] - one[1]) * (us(second) - us(one[0])) / (us(other[0]) - us(one[0]))


def figures(carried, observed, hold_until, window, *, sloped):
    """The definitions, applied to one window of one point; None if the window has no report and no held time."""
    start, length = window
    end = start + length
    inside = [good(observed[s]) for s in sorted(observed) if start <= s < end]
    values = [value for value in inside if value is not None]
    in_force = ([] if carried is None else [(0.0, good(carried))]) + [(s, good(observed[s])) for s in sorted(observed)]
    integral, good_us, any_us, held = 0.0, 0, 0, None
    for i, ((since, value), (until, following)) in enumerate(pairwise([*in_force, (hold_until, None)])):
        line = sloped and not (i == 0 and carried) and None not in {value, following} and until > since
        if since < end:
            held = on_the_line(min(end, until), (since, value), (until, following)) if line else value
        overlap = min(us(until), us(end)) - max(us(since), us(start))
        if overlap > 0:
            any_us += overlap
            if value is not None:
                good_us += overlap
                ends = [max(since, start), min(until, end)]
                mean = sum(on_the_line(e, (since, value), (until, following)) for e in ends) / 2 if line else value
                integral += mean * overlap
    if not inside and not any_us:
        return None
    return {
        "count": len(values),
        "average": math.fsum(values) / len(values) if values else None,
        "time_average": integral / good_us if good_us else None,
        "minimum": min(values, default=None), "maximum": max(values, default=None),
        "first": values[0] if values else None, "last": values[-1] if values else None,
        "percent_good": good_us / us(length) * 100, "good_s": good_us / 1e6,
        "held_value": held,
    }  # fmt: skip


def expected_of(points, hold):
    """Every window of every level, straight from the raw timeline."""
    expected = {}
    for point, (carried, observed) in points.items():
        until = hold["t" if point == 3 else "s"]
        starts = {
            "minute": (MINUTE, {second // MINUTE * MINUTE for second in observed}),
            "hour": (HOUR, {n * HOUR for n in range(24)}),
            "day": (LAST, {0.0}),
        }
        for level, (length, windows_of_level) in starts.items():
            for start in windows_of_level:
                found = figures(carried, observed, until, (start, length), sloped=point == 2)
                if found is not None:
                    expected[level, point, start] = found
    return expected


def about(figure):
    return figure if figure is None or isinstance(figure, int) else pytest.approx(figure, rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(points=POINTS, heard_again=st.sets(st.sampled_from(["s", "t"])))
def test_every_level_agrees_with_plain_python_on_the_raw_timeline(con, points, heard_again):
    """Hours made of minutes and days of hours equal those that are computed from every single report."""
    hold = hold_of(points, heard_again)
    found = aggregated(con, timeline_of(points), hold)
    expected = expected_of(points, hold)
    assert set(found) == set(expected)
    for key, row in expected.items():
        assert found[key] == {name: about(figure) for name, figure in row.items()}, key


@settings(max_examples=30, deadline=None)
@given(points=POINTS)
def test_counts_and_good_time_are_conserved_from_level_to_level(con, points):
    found = aggregated(con, timeline_of(points), hold_of(points, {"s", "t"}))
    for point in points:
        levels = {
            level: [row for key, row in found.items() if key[:2] == (level, point)]
            for level in ("minute", "hour", "day")
        }
        for name in ("count", "good_s"):
            assert sum(row[name] for row in levels["hour"]) == pytest.approx(sum(row[name] for row in levels["day"]))
        assert sum(row["count"] for row in levels["minute"]) == sum(row["count"] for row in levels["hour"])


def test_the_same_rows_give_the_same_bits(con):
    """Sums over many reports, twice, from rows in another order."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE many AS"
        " SELECT (n % 3)::BIGINT AS point_id, 's' AS source, 'measurement' AS kind,"
        " if(n % 3 = 1, 'sloped', 'stepped') AS hold,"
        f" TIMESTAMPTZ '{START:%Y-%m-%d} 00:00:00+00' + to_microseconds(n * 400_003) AS ts,"
        f" sin(n) * 1e3 AS value, NULL::VARCHAR AS text, 0::BIGINT AS status, false AS carried FROM range(200_000) r(n)"
    ).fetchall()
    hold = relation(HOLD, [("s", START + timedelta(days=1))])
    sources = relation(SOURCES, [(n, "s") for n in range(3)])
    contents = []
    for order in ("ts", "hash(ts)"):
        with reproducibly(con):
            minutes = windows.minutes(f"SELECT * FROM many ORDER BY {order}", hold)
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE minute_rows AS {minutes} ORDER BY point_id, window_start"
            ).fetchall()
            hours = windows.hours("FROM minute_rows", relation(CARRIED, []), sources, hold, PARTITION)
            con.execute(f"CREATE OR REPLACE TEMP TABLE hour_rows AS {hours} ORDER BY point_id, window_start").fetchall()
            days = windows.days("FROM hour_rows", PARTITION)
            contents.append(
                [rows_of(con, f"FROM ({q}) ORDER BY ALL") for q in ("FROM minute_rows", "FROM hour_rows", days)]
            )
    assert contents[0] == contents[1]
    assert len(contents[0][0]) > 3000
