"""Silent days of sources that are expected every day."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.continuity import check_continuity
from tests.ledger_facts import MONDAY, day, day_input

LATER = day(400)


def checked(inputs, irregular=None, today=LATER, lateness=3):
    return check_continuity(inputs, irregular or {}, today, lateness)


def test_a_source_that_is_heard_every_day_passes():
    finding = checked([day_input(n) for n in range(5)])
    assert finding.passed
    assert finding.numbers == {"sources": 1, "expected_days": 5, "silent_days": 0}


def test_silent_days_are_named_per_plant_and_source():
    inputs = [day_input(n) for n in (0, 1, 3, 7)]
    inputs += [replace(day_input(n), plant="other") for n in (0, 2)]
    finding = checked(inputs)
    assert not finding.passed
    assert finding.rows == [
        ("nist", "s", 4, "2016-11-09, 2016-11-11 to 2016-11-13"),
        ("other", "s", 1, "2016-11-08"),
    ]
    assert finding.numbers == {"sources": 2, "expected_days": 8 + 3, "silent_days": 5}


def test_a_source_that_fell_silent_is_missed_while_others_of_its_plant_are_heard():
    """From its own first day on, up to the last day of its plant; another plant says nothing about it."""
    inputs = [day_input(n) for n in range(6)] + [day_input(n, "fell") for n in (1, 2)] + [day_input(4, "new")]
    inputs += [replace(day_input(n), plant="other") for n in range(9)]
    finding = checked(inputs)
    assert finding.rows == [
        ("nist", "fell", 3, "2016-11-10 to 2016-11-12"),
        ("nist", "new", 1, "2016-11-12"),
    ]
    assert finding.numbers == {"sources": 4, "expected_days": 6 + 5 + 2 + 9, "silent_days": 4}


def test_irregular_sources_are_expected_on_no_day_in_their_own_plant():
    inputs = [day_input(0), day_input(5), replace(day_input(0), plant="other"), replace(day_input(5), plant="other")]
    finding = checked(inputs, {"nist": {"s"}})
    assert [row[:2] for row in finding.rows] == [("other", "s")]


@pytest.mark.parametrize(("lateness", "silent"), [(0, 4), (1, 4), (2, 4), (3, 3), (5, 1), (6, 0), (50, 0)])
def test_days_that_may_still_get_their_data_are_no_gaps(lateness, silent):
    """Heard on days 0 and 5, and today is day 6: days 1 to 4 are silent, once they are so many days ago."""
    assert checked([day_input(0), day_input(5)], today=day(6), lateness=lateness).numbers["silent_days"] == silent


def test_nothing_heard_is_nothing_missed():
    assert checked([]).passed


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 40), min_size=1))
def test_silent_days_agree_with_plain_python(heard):
    finding = checked([day_input(n) for n in heard])
    silent = [n for n in range(min(heard), max(heard)) if n not in heard]
    assert finding.numbers["silent_days"] == len(silent)
    assert finding.passed is (not silent)
    named = [] if not finding.rows else finding.rows[0][3].split(", ")
    spans = [text.split(" to ") for text in named]
    listed = [MONDAY + timedelta(days=n) for n in range(60)]
    found = [d for d in listed for span in spans if span[0] <= d.isoformat() <= span[-1]]
    assert found == [day(n) for n in silent]
