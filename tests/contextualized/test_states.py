"""Intervals of states, against intervals walked by hand in plain Python."""

from itertools import groupby, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.contextualized.states import states
from tests.relations import BAD, END, HOLD, PARTITION, START, TIMELINE, UNCERTAIN, at, relation, rows_of, seconds

NOON = 43_200.0
LAST = 86_400.0


def said(second, text=None, status=0, *, carried=False, **other):
    defaults = {"point_id": 1, "source": "s", "kind": "state", "value": None}
    return {**defaults, "ts": at(second), "text": text, "status": status, "carried": carried, **other}


def intervals(con, timeline, hold_until, *, sources=("s",)):
    """``(point, state, status, start, end, carried_in, carried_out)``, times in seconds since midnight."""
    hold = relation(HOLD, [(source, hold_until) for source in sources])
    query = states(relation(TIMELINE, timeline), hold, PARTITION)
    found = rows_of(con, f"SELECT * FROM ({query}) ORDER BY point_id, started_at")
    for row in found:
        assert row["duration_s"] == pytest.approx(seconds(row["ended_at"]) - seconds(row["started_at"]), abs=1e-9)
    return [
        (row["point_id"], row["state"], row["status"], seconds(row["started_at"]), seconds(row["ended_at"]),
         row["carried_in"], row["carried_out"])
        for row in found
    ]  # fmt: skip


def of_one_point(con, timeline, hold_until):
    return [row[1:] for row in intervals(con, timeline, hold_until)]


def test_a_state_holds_until_the_next_and_the_last_until_the_hold_ends(con):
    timeline = [said(100, "READY"), said(200, "ACTIVE"), said(500, "STOPPED")]
    assert of_one_point(con, timeline, END) == [
        ("READY", 0, 100, 200, False, False),
        ("ACTIVE", 0, 200, 500, False, False),
        ("STOPPED", 0, 500, LAST, False, True),
    ]


def test_nothing_holds_on_after_the_last_word_of_a_source(con):
    """The last report itself has no length then, and makes no interval."""
    timeline = [said(100, "READY"), said(500, "STOPPED")]
    assert of_one_point(con, timeline, at(500)) == [("READY", 0, 100, 500, False, False)]


def test_repeated_reports_make_one_interval_with_the_status_of_the_first(con):
    timeline = [said(100, "READY", UNCERTAIN), said(200, "READY"), said(300, "ACTIVE"), said(400, "ACTIVE", 0x400)]
    assert of_one_point(con, timeline, at(600)) == [
        ("READY", UNCERTAIN, 100, 300, False, False),
        ("ACTIVE", 0, 300, 600, False, False),
    ]


@pytest.mark.parametrize("status", [BAD, 0x809B0000, 0xC0000000])
def test_bad_is_unavailable_whatever_the_text(con, status):
    timeline = [said(100, "READY"), said(200, "READY", status), said(250, None, BAD), said(300, "READY")]
    assert of_one_point(con, timeline, at(400)) == [
        ("READY", 0, 100, 200, False, False),
        ("UNAVAILABLE", status, 200, 300, False, False),
        ("READY", 0, 300, 400, False, False),
    ]


def test_a_number_is_a_state_by_its_text_and_nothing_is_an_empty_one(con):
    timeline = [said(100, None, value=1.0), said(200)]
    assert of_one_point(con, timeline, at(300)) == [("1.0", 0, 100, 200, False, False), ("", 0, 200, 300, False, False)]


def test_a_carried_state_goes_on_from_the_day_before_and_into_the_next(con):
    assert of_one_point(con, [said(0, "READY", carried=True)], END) == [("READY", 0, 0, LAST, True, True)]
    assert of_one_point(con, [said(0, "READY", carried=True)], START) == []


def test_the_same_state_reported_at_midnight_goes_on_too(con):
    timeline = [said(0, "READY", carried=True), said(0, "READY"), said(60, "ACTIVE")]
    assert of_one_point(con, timeline, at(60)) == [("READY", 0, 0, 60, True, False)]


@pytest.mark.parametrize(("before", "reported"), [("ACTIVE", "STOPPED"), ("STOPPED", "ACTIVE")])
def test_a_report_at_midnight_takes_the_place_of_what_was_carried(con, before, reported):
    """Whichever name comes first in the alphabet: the carried report is older, not of the same instant."""
    timeline = [said(0, before, carried=True), said(0, reported)]
    assert of_one_point(con, timeline, at(60)) == [(reported, 0, 0, 60, False, False)]


def test_a_report_at_midnight_with_nothing_carried_begins_there(con):
    assert of_one_point(con, [said(0, "READY")], END) == [("READY", 0, 0, LAST, False, True)]


def test_of_two_tags_that_report_at_one_instant_the_alphabetically_last_counts(con):
    timeline = [said(100, "A"), said(100, "B", UNCERTAIN), said(100, "B"), said(200, "C")]
    assert of_one_point(con, timeline, at(200)) == [("B", 0, 100, 200, False, False)]


def test_points_and_sources_are_told_apart_and_measurements_left_out(con):
    timeline = [
        said(100, "A"),
        said(50, "B", point_id=2, source="t", carried=False),
        said(70, "7", kind="measurement", point_id=3),
        said(0, "7", kind="measurement", carried=True),
    ]
    hold = relation(HOLD, [("s", at(300)), ("t", END)])
    query = states(relation(TIMELINE, timeline), hold, PARTITION)
    found = rows_of(con, f"SELECT point_id, ended_at, carried_in FROM ({query}) ORDER BY point_id")
    assert [(row["point_id"], seconds(row["ended_at"]), row["carried_in"]) for row in found] == [
        (1, 300, False), (2, LAST, False),
    ]  # fmt: skip


def test_a_source_that_fell_silent_does_not_hold_until_another_speaks(con):
    timeline = [said(100, "A"), said(500, "B", source="t")]
    hold = relation(HOLD, [("s", at(300)), ("t", at(600))])
    found = rows_of(con, f"SELECT * FROM ({states(relation(TIMELINE, timeline), hold, PARTITION)}) ORDER BY started_at")
    assert [(row["state"], seconds(row["started_at"]), seconds(row["ended_at"])) for row in found] == [
        ("A", 100, 300), ("B", 500, 600),
    ]  # fmt: skip


# Against an oracle

LABELS = st.sampled_from(["ACTIVE", "READY", "STOPPED"])
STATUSES = st.sampled_from([0, UNCERTAIN, BAD])
OBSERVED = st.lists(
    st.tuples(st.sampled_from([0.0, 1e-6, 60.0, NOON, 50_000.0, 86_399.999999]), LABELS, STATUSES), max_size=12
)
TWO_POINTS = st.dictionaries(
    st.sampled_from([1, 2]), st.tuples(st.none() | st.tuples(LABELS, STATUSES), OBSERVED), min_size=1
)


def walked(carried, observed, hold_until):
    """Intervals of one point: what is in force from instant to instant, then equal neighbours joined."""

    def label(text, status):
        return "UNAVAILABLE" if status >= BAD else text

    in_force = {}
    if carried is not None:
        in_force[0.0] = (label(*carried), carried[1])
    for second in sorted({second for second, _, _ in observed}):
        of_instant = [(label(text, status), status) for at_second, text, status in observed if at_second == second]
        last = max(name for name, _ in of_instant)
        in_force[second] = (last, min(status for name, status in of_instant if name == last))
    moments = sorted(in_force)
    pieces = [(in_force[a], a, b) for a, b in pairwise([*moments, hold_until])]
    joined = []
    for state, group in groupby(pieces, key=lambda piece: piece[0][0]):
        run = list(group)
        (_, status), since, until = run[0][0], run[0][1], run[-1][2]
        carried_in = since == 0 and carried is not None and label(*carried) == state
        if until > since:
            joined.append((state, status, since, until, carried_in, until == LAST))
    return joined


@settings(max_examples=60, deadline=None)
@given(points=TWO_POINTS, heard_again=st.booleans())
def test_intervals_agree_with_plain_python(con, points, heard_again):
    timeline, last_words = [], [0.0]
    for point, (carried, observed) in points.items():
        if carried is not None:
            timeline.append(said(0, *carried, carried=True, point_id=point))
        timeline += [said(*report, point_id=point) for report in observed]
        last_words += [second for second, _, _ in observed]
    hold_until = LAST if heard_again else max(last_words)
    found = intervals(con, timeline, at(hold_until))
    expected = [
        (point, *row) for point in sorted(points) for row in walked(*points[point], hold_until)
    ]  # fmt: skip
    assert found == expected
    for point, (carried, observed) in points.items():
        own = [row for row in found if row[0] == point]
        assert all(a[4] == b[3] and a[1] != b[1] for a, b in pairwise(own)), "no gap, no overlap, no repetition"
        first = 0.0 if carried is not None else min((second for second, _, _ in observed), default=hold_until)
        assert sum(row[4] - row[3] for row in own) == pytest.approx(hold_until - first, abs=1e-6)
