"""From signals to points: the meaning of the instant, the canonical unit, and what no binding explains."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.contextualized.measurements import measurements, unmapped
from idm_assets.referential.bindings import bindings_query
from tests.relations import BAD, BINDING, PARTITION, at, binding, relation, rows_of, seconds

OBSERVATIONS = {
    "signal_id": "BIGINT", "ts": "TIMESTAMPTZ", "value": "DOUBLE", "text": "VARCHAR", "status": "BIGINT",
}  # fmt: skip
NOON = 43_200.0
BINDINGS = (
    # Bound until noon, to something else from noon on; bound for an hour only; always; never (4).
    binding(1, point_id=11, factor=2.0, valid_to=at(NOON)),
    binding(1, point_id=12, offset=1.0, valid_from=at(NOON)),
    binding(2, point_id=21, valid_from=at(3600), valid_to=at(7200)),
    binding(3, point_id=31),
)


def contextualized(con, rows, bindings=BINDINGS):
    observations = relation(OBSERVATIONS, rows)
    bound = bindings_query(relation(BINDING, bindings), PARTITION)
    mapped = rows_of(con, f"SELECT * FROM ({measurements(observations, bound)}) ORDER BY signal_id, ts")
    left = rows_of(con, f"SELECT * FROM ({unmapped(observations, bound)}) ORDER BY signal_id")
    return mapped, left


def test_an_observation_gets_the_meaning_of_its_instant(con):
    rows = [(1, at(s), 10.0, None, 0) for s in (0, NOON - 1e-6, NOON, 86_399)]
    mapped, left = contextualized(con, rows)
    assert [(row["point_id"], row["value"]) for row in mapped] == [(11, 20.0), (11, 20.0), (12, 11.0), (12, 11.0)]
    assert left == []


def test_text_status_and_signal_stay_as_they_are(con):
    mapped, _ = contextualized(con, [(3, at(5), None, "READY", BAD)])
    assert mapped == [{"point_id": 31, "ts": at(5), "value": None, "text": "READY", "status": BAD, "signal_id": 3}]


def test_what_no_binding_explains_is_listed_per_signal(con):
    rows = [
        (2, at(3599), 1.0, None, 0),
        (2, at(3600), 2.0, None, 0),
        (2, at(7200), 3.0, None, 0),
        (4, at(1), 1, "x", 0),
    ]
    mapped, left = contextualized(con, rows)
    assert [row["value"] for row in mapped] == [2.0]
    assert [(r["signal_id"], r["observations"], seconds(r["first_ts"]), seconds(r["last_ts"])) for r in left] == [
        (2, 2, 3599, 7200), (4, 1, 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize("count", [0, 3])
def test_a_plant_without_bindings_is_unmapped_as_a_whole(con, count):
    mapped, left = contextualized(con, [(1, at(n), 1.0, None, 0) for n in range(count)], bindings=())
    assert mapped == []
    assert sum(row["observations"] for row in left) == count


def meaning(signal, second):
    for row in BINDINGS:
        since, until = row.get("valid_from"), row.get("valid_to")
        if (
            row["signal_id"] == signal
            and (since is None or at(second) >= since)
            and (until is None or at(second) < until)
        ):
            return row
    return None


MOMENTS = st.sampled_from([0.0, 3599.999999, 3600.0, 7199.999999, 7200.0, NOON - 1e-6, NOON, 86_399.999999])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), MOMENTS, st.integers(-9, 9)), unique_by=lambda row: row[:2], max_size=24))
def test_the_join_agrees_with_plain_python_and_loses_nothing(con, said):
    mapped, left = contextualized(con, [(signal, at(s), float(v), None, 0) for signal, s, v in said])
    explained = {(signal, second): (meaning(signal, second), v) for signal, second, v in said}
    assert {(row["signal_id"], seconds(row["ts"])): (row["point_id"], row["value"]) for row in mapped} == {
        key: (row["point_id"], v * row["factor"] + row["offset"])
        for key, (row, v) in explained.items()
        if row is not None
    }
    alone = [key for key, (row, _) in explained.items() if row is None]
    assert {row["signal_id"]: row["observations"] for row in left} == {
        signal: sum(key[0] == signal for key in alone) for signal in {key[0] for key in alone}
    }
    assert len(mapped) + sum(row["observations"] for row in left) == len(said)
