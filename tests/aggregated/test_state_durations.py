"""Time per state, from intervals."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.aggregated.state_durations import state_durations
from tests.relations import relation, rows_of

INTERVALS = {"point_id": "BIGINT", "state": "VARCHAR", "duration_s": "DOUBLE"}


def durations(con, intervals):
    rows = rows_of(con, state_durations(relation(INTERVALS, intervals)))
    return {(row["point_id"], row["state"]): (row["duration_s"], row["percent"], row["occurrences"]) for row in rows}


def test_times_and_occurrences_add_up_per_point_and_state(con):
    found = durations(
        con, [(1, "ACTIVE", 21_600.0), (1, "READY", 100.0), (1, "ACTIVE", 21_600.0), (2, "ACTIVE", 864.0)]
    )
    assert found == {
        (1, "ACTIVE"): (43_200.0, pytest.approx(50.0), 2),
        (1, "READY"): (100.0, pytest.approx(100 / 864), 1),
        (2, "ACTIVE"): (864.0, pytest.approx(1.0), 1),
    }


def test_a_day_without_intervals_has_no_row(con):
    assert durations(con, []) == {}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2), st.sampled_from("AB"), st.integers(1, 10_000).map(float)), max_size=12))
def test_no_time_is_lost(con, intervals):
    found = durations(con, intervals)
    assert set(found) == {(point, state) for point, state, _ in intervals}
    assert sum(row[0] for row in found.values()) == sum(row[2] for row in intervals)
    assert sum(row[2] for row in found.values()) == len(intervals)
