"""Last values: carried from day to day, for so many days and no longer."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.cleaned.last_values import last_values
from idm_assets.contracts import Partition
from tests.relations import BAD, DAY, PARTITION, at, relation, rows_of

VALUES = {
    "signal_id": "BIGINT", "ts": "TIMESTAMPTZ", "value": "DOUBLE", "text": "VARCHAR", "status": "BIGINT",
}  # fmt: skip
CARRY_DAYS = 7


def row(signal: int, ts: datetime, value: float | None = None, text: str | None = None, status: int = 0):
    return {"signal_id": signal, "ts": ts, "value": value, "text": text, "status": status}


def computed(con, observed, carried, partition=PARTITION, carry_days=CARRY_DAYS):
    query = last_values(relation(VALUES, observed), relation(VALUES, carried), partition, carry_days)
    return rows_of(con, f"SELECT {', '.join(VALUES)} FROM ({query}) ORDER BY signal_id")


def test_the_last_report_of_the_day_counts_with_all_its_parts(con):
    observed = [row(1, at(10), 1.0), row(1, at(30), None, "off", BAD), row(1, at(20), 3.0)]
    assert computed(con, observed, [row(1, at(-5), 9.0)]) == [row(1, at(30), None, "off", BAD)]


def test_a_silent_signal_keeps_its_value_and_its_time(con):
    former = row(2, at(-86_400), 4.0, None, 0x400)
    assert computed(con, [row(1, at(0), 1.0)], [former]) == [row(1, at(0), 1.0), former]


@pytest.mark.parametrize("carry_days", [1, 7])
def test_a_value_expires_when_it_is_older_than_the_horizon_at_the_end_of_the_day(con, carry_days):
    border = PARTITION.end - timedelta(days=carry_days)
    carried = [row(1, border, 1.0), row(2, border - timedelta(microseconds=1), 2.0)]
    assert computed(con, [], carried, carry_days=carry_days) == [row(1, border, 1.0)]


def test_carried_day_by_day_a_value_lasts_exactly_so_many_days(con):
    rows = [row(1, at(50_000), 1.0)]
    kept = []
    for ahead in range(10):
        rows = computed(con, rows if ahead == 0 else [], rows, Partition("nist", DAY + timedelta(days=ahead)), 3)
        kept.append(len(rows))
    assert kept == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]


SECONDS = st.integers(-10 * 86_400, -1).map(float)
OBSERVED = st.dictionaries(
    st.tuples(st.integers(1, 3), st.sampled_from([0.0, 1e-6, 43_200.0, 86_399.999999])),
    st.tuples(st.sampled_from([None, 1.0, 2.0]), st.sampled_from([None, "a"]), st.sampled_from([0, BAD])),
)
CARRIED = st.dictionaries(st.integers(1, 4), st.tuples(SECONDS, st.sampled_from([None, 5.0])))


@settings(max_examples=40, deadline=None)
@given(observed=OBSERVED, carried=CARRIED, carry_days=st.integers(1, 9))
def test_last_values_agree_with_plain_python(con, observed, carried, carry_days):
    today = [row(signal, at(second), *content) for (signal, second), content in observed.items()]
    before = [row(signal, at(second), value) for signal, (second, value) in carried.items()]
    latest = {}
    for candidate in sorted(before + today, key=lambda r: r["ts"]):
        latest[candidate["signal_id"]] = candidate
    oldest = PARTITION.end - timedelta(days=carry_days)
    expected = [latest[signal] for signal in sorted(latest) if latest[signal]["ts"] >= oldest]
    assert computed(con, today, before, carry_days=carry_days) == expected
