"""What is carried into a day, and how long it holds."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.contextualized import holding
from idm_assets.referential.bindings import bindings_query
from tests.relations import BAD, BINDING, END, PARTITION, START, at, binding, relation, rows_of

LAST_VALUES = {
    "signal_id": "BIGINT", "ts": "TIMESTAMPTZ", "value": "DOUBLE", "text": "VARCHAR", "status": "BIGINT",
}  # fmt: skip
MEASUREMENTS = {"point_id": "BIGINT", "signal_id": "BIGINT", **LAST_VALUES}


def bound(*bindings):
    return bindings_query(relation(BINDING, bindings), PARTITION)


def carried(con, rows, *bindings):
    query = holding.carried(relation(LAST_VALUES, rows), bound(*bindings), PARTITION)
    return rows_of(con, f"SELECT * FROM ({query}) ORDER BY point_id, source, text")


def last(signal=1, second=-3600.0, value=None, text=None, status=0):
    return (signal, at(second), value, text, status)


def held(con, measurements, bindings, heard_again=()):
    query = holding.hold(relation(MEASUREMENTS, measurements), bound(*bindings), heard_again, PARTITION)
    return {row["source"]: row["hold_until"] for row in rows_of(con, query)}


def measured(second, signal=1, point=1):
    return {"signal_id": signal, "point_id": point, "ts": at(second), "status": 0}


def test_a_carried_value_stands_at_midnight_in_the_canonical_unit(con):
    rows = carried(con, [last(value=100.0, status=0x400)], binding(point_id=7, kind="state", factor=0.5, offset=-3.0))
    assert rows == [
        {
            "point_id": 7, "source": "s", "kind": "state", "hold": "stepped", "ts": START, "value": 47.0, "text": None,
            "status": 0x400,
        }
    ]  # fmt: skip


def test_text_and_bad_are_carried_as_they_are(con):
    rows = carried(con, [last(1, text="READY"), last(2, text=None, status=BAD)], binding(1), binding(2, point_id=2))
    assert [(row["text"], row["value"], row["status"]) for row in rows] == [("READY", None, 0), (None, None, BAD)]


@pytest.mark.parametrize(
    ("valid_from", "valid_to", "is_carried"),
    [
        (None, None, True),
        (-3600.0, None, True),  # the very instant of the report
        (-3599.999999, None, False),  # bound anew since
        (0.0, None, False),  # bound anew at midnight
        (None, 0.0, False),  # unbound at midnight
        (None, 1e-6, True),
    ],
)
def test_a_value_is_carried_under_one_binding_only(con, valid_from, valid_to, is_carried):
    spans = [None if second is None else at(second) for second in (valid_from, valid_to)]
    rows = carried(con, [last(value=1.0)], binding(valid_from=spans[0], valid_to=spans[1]))
    assert bool(rows) is is_carried


def test_unbound_signals_are_not_carried(con):
    assert carried(con, [last(signal=9, value=1.0)], binding(1)) == []


def test_observed_rows_are_those_whose_meaning_is_the_one_in_force(con):
    """A signal of two meanings on one day: each report goes with its own, and with its own source and kind."""
    bindings = [
        binding(1, point_id=1, kind="state", valid_to=at(100)),
        binding(1, point_id=2, valid_from=at(100)),
    ]
    rows = [measured(99.0, point=1), measured(100.0, point=2), measured(50.0, point=2)]
    found = rows_of(con, holding.observed(relation(MEASUREMENTS, rows), bound(*bindings)) + " ORDER BY ts")
    assert [(row["point_id"], row["kind"], row["ts"]) for row in found] == [
        (1, "state", at(99)), (2, "measurement", at(100)),
    ]  # fmt: skip


def test_a_source_holds_until_its_last_word_over_all_its_signals(con):
    bindings = [binding(1), binding(2, point_id=2), binding(3, source="t", point_id=3), binding(4, source="u")]
    rows = [measured(100, 1), measured(900, 2, 2), measured(50, 3, 3)]
    assert held(con, rows, bindings) == {"s": at(900), "t": at(50), "u": START}


def test_a_source_that_is_heard_again_holds_to_the_end_of_the_day(con):
    bindings = [binding(1), binding(2, source="o'ther", point_id=2)]
    assert held(con, [measured(100)], bindings, ["o'ther"]) == {"s": at(100), "o'ther": END}
    assert held(con, [measured(100)], bindings, ["s", "unknown"]) == {"s": END, "o'ther": START}


def test_a_timeline_marks_what_was_carried(con):
    bindings = [binding(1, kind="state")]
    line = holding.timeline(
        holding.carried(relation(LAST_VALUES, [last(text="A")]), bound(*bindings), PARTITION),
        holding.observed(relation(MEASUREMENTS, [measured(5)]), bound(*bindings)),
        holding.hold(relation(MEASUREMENTS, [measured(5)]), bound(*bindings), [], PARTITION),
    )
    rows = rows_of(con, f"SELECT ts, carried FROM ({line.values}) ORDER BY ts")
    assert rows == [{"ts": START, "carried": True}, {"ts": at(5), "carried": False}]
    assert [row["ts"] for row in rows_of(con, line.carried)] == [START]
    assert rows_of(con, line.hold) == [{"source": "s", "hold_until": at(5)}]


SIGNALS = {1: "a", 2: "a", 3: "b", 4: "c"}


@settings(max_examples=40, deadline=None)
@given(
    words=st.lists(st.tuples(st.sampled_from(sorted(SIGNALS)), st.integers(0, 86_399)), max_size=20),
    again=st.sets(st.sampled_from(["a", "b", "c", "d"])),
)
def test_hold_agrees_with_plain_python(con, words, again):
    bindings = [binding(signal, source=source, point_id=signal) for signal, source in SIGNALS.items()]
    expected = {}
    for source in set(SIGNALS.values()):
        heard = [second for signal, second in words if SIGNALS[signal] == source]
        expected[source] = END if source in again else START + timedelta(seconds=max(heard, default=0))
    assert held(con, [measured(second, signal, signal) for signal, second in words], bindings, again) == expected
