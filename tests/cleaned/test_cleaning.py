"""The rules that make arrived observations cleaned ones, against rules written again in plain Python."""

import json
from collections import defaultdict
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.cleaned.observations import arrived_query, clean
from idm_assets.contracts import Partition
from idm_assets.referential.bindings import bindings_query
from idm_assets.status import BAD_NO_DATA, BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH
from tests.relations import BAD, BINDING, DAY, END, PARTITION, START, UNCERTAIN, at, binding, relation, rows_of, seconds

ARRIVED = {
    "capture_key": "BIGINT", "line": "BIGINT", "signal_id": "BIGINT", "ts": "TIMESTAMPTZ", "value": "DOUBLE",
    "text": "VARCHAR", "status": "BIGINT", "detail": "VARCHAR",
}  # fmt: skip
CONTENT = ("value", "text", "status", "detail")
COLUMNS = tuple(ARRIVED)


def report(capture=1, line=1, signal=1, *, second=0.0, value=None, text=None, status=0, detail=None):
    return {
        "capture_key": capture, "line": line, "signal_id": signal, "ts": at(second), "value": value, "text": text,
        "status": status, "detail": detail,
    }  # fmt: skip


def cleaned(con, reports, ranks=None, bindings=()):
    """Observations and quarantine, sorted, and the counts."""
    keys = {row["capture_key"] for row in reports}
    ranked = ranks or {key: key for key in keys}
    cleaning = clean(
        con,
        relation(ARRIVED, reports),
        relation({"capture_key": "BIGINT", "rank": "BIGINT"}, sorted(ranked.items())),
        bindings_query(relation(BINDING, bindings), PARTITION),
    )
    kept = rows_of(
        con, f"SELECT {', '.join(COLUMNS)} FROM ({cleaning.observations}) ORDER BY signal_id, ts, capture_key, line"
    )
    lost = rows_of(con, f"SELECT * FROM ({cleaning.quarantine}) ORDER BY ALL")
    return kept, lost, cleaning.counts


def only(con, row, bound=None):
    """Value, text and status that a single report is cleaned to."""
    kept, lost, _ = cleaned(con, [row], bindings=[] if bound is None else [bound])
    assert (len(kept), lost) == (1, [])
    return kept[0]["value"], kept[0]["text"], kept[0]["status"]


# Duplicates and conflicts


def test_the_same_again_is_a_duplicate_and_the_first_report_stays(con):
    reports = [report(capture=2, line=1, value=5), report(capture=1, line=9, value=5), report(1, 7, value=5)]
    kept, lost, counts = cleaned(con, reports)
    assert [(row["capture_key"], row["line"]) for row in kept] == [(1, 7)]
    assert lost == []
    assert counts == {"arrived": 3, "duplicates": 2, "conflicts": 0}


def test_within_one_capture_the_later_line_wins(con):
    kept, lost, counts = cleaned(con, [report(line=8, value=2), report(line=3, value=1), report(line=5, value=3)])
    assert [(row["line"], row["value"]) for row in kept] == [(8, 2.0)]
    assert [(row["line"], json.loads(row["payload"])["value"]) for row in lost] == [(3, 1.0), (5, 3.0)]
    assert counts == {"arrived": 3, "duplicates": 0, "conflicts": 2}


def test_across_captures_the_higher_rank_wins_whatever_the_key_or_line(con):
    reports = [report(capture=9, line=99, value=1), report(capture=4, line=1, value=2)]
    kept, lost, _ = cleaned(con, reports, ranks={9: 0, 4: 1})
    assert [(row["capture_key"], row["value"]) for row in kept] == [(4, 2.0)]
    assert lost[0]["capture_key"] == 9
    assert lost[0]["reason"] == "conflict"
    assert lost[0]["detail"] == "capture 0000000000000004 line 1 reports another value for this instant"


def test_the_winning_content_is_filed_under_its_first_report(con):
    reports = [report(1, 1, value=7), report(2, 1, value=8), report(3, 5, value=7), report(3, 4, value=8)]
    kept, lost, counts = cleaned(con, reports)
    assert [(row["capture_key"], row["line"], row["value"]) for row in kept] == [(1, 1, 7.0)]
    assert [(row["capture_key"], row["line"]) for row in lost] == [(2, 1)]
    assert counts == {"arrived": 4, "duplicates": 2, "conflicts": 1}


@pytest.mark.parametrize("other", [{"text": "a"}, {"status": BAD}, {"detail": "{}"}, {"value": None}])
def test_another_text_status_or_detail_is_a_conflict_too(con, other):
    _, _, counts = cleaned(con, [report(line=1, value=1), report(line=2, **({"value": 1} | other))])
    assert counts == {"arrived": 2, "duplicates": 0, "conflicts": 1}


@pytest.mark.parametrize("other", [{"value": 2.0}, {"text": "b"}, {"status": BAD}, {"detail": "{}"}])
def test_a_line_that_contradicts_itself_is_judged_the_same_in_any_order(con, other):
    one = report(value=1.0, text="a", detail="[]")
    assert cleaned(con, [one, one | other]) == cleaned(con, [one | other, one])


def test_the_loser_keeps_all_that_it_said(con):
    row = report(line=1, value=1.5, text="1.5 ", status=UNCERTAIN, detail='{"a":1}')
    _, lost, _ = cleaned(con, [row, report(line=2, value=2)])
    assert json.loads(lost[0]["payload"]) == {"value": 1.5, "text": "1.5 ", "status": UNCERTAIN, "detail": '{"a":1}'}


def test_an_empty_day_stays_empty(con):
    assert cleaned(con, [], ranks={1: 1}) == ([], [], {"arrived": 0, "duplicates": 0, "conflicts": 0})


def test_only_the_day_and_the_effective_captures_arrive(con):
    reports = [
        report(1, 1, second=-1e-6), report(1, 2, second=0), report(1, 3, second=86_400 - 1e-6),
        report(1, 4, second=86_400), report(2, 5, second=0),
    ]  # fmt: skip
    captured = relation(ARRIVED, reports)
    lines = [row["line"] for row in rows_of(con, arrived_query(captured, [1, 7], PARTITION))]
    assert sorted(lines) == [2, 3]
    assert rows_of(con, arrived_query(captured, [], PARTITION)) == []


# Types and statuses


@pytest.mark.parametrize(
    ("said", "bound", "made"),
    [
        # A number where a number is bound.
        ({"value": 5.0, "text": "5"}, {}, (5.0, None, 0)),
        ({"value": 5.0, "status": 0x400}, {}, (5.0, None, 0x400)),
        # Nothing where a number is bound.
        ({}, {}, (None, None, BAD_NO_DATA)),
        ({"text": ""}, {}, (None, None, BAD_NO_DATA)),
        ({"text": "  "}, {}, (None, None, BAD_NO_DATA)),
        ({"text": "UNAVAILABLE", "status": BAD_NO_DATA}, {}, (None, None, BAD_NO_DATA)),
        ({"value": 3.0, "text": "3", "status": BAD_NO_DATA | 0x80}, {}, (None, None, BAD_NO_DATA | 0x80)),
        # Text where a number is bound.
        ({"text": "ACTIVE"}, {}, (None, "ACTIVE", BAD_TYPE_MISMATCH)),
        ({"text": "ACTIVE", "status": UNCERTAIN}, {}, (None, "ACTIVE", BAD_TYPE_MISMATCH)),
        # The plausible range includes its ends; an open end bounds nothing.
        ({"value": 9.9}, {"minimum": 10.0, "maximum": 20.0}, (9.9, None, BAD_OUT_OF_RANGE)),
        ({"value": 10.0}, {"minimum": 10.0, "maximum": 20.0}, (10.0, None, 0)),
        ({"value": 20.0}, {"minimum": 10.0, "maximum": 20.0}, (20.0, None, 0)),
        ({"value": 20.1}, {"minimum": 10.0, "maximum": 20.0}, (20.1, None, BAD_OUT_OF_RANGE)),
        ({"value": -1e9}, {"maximum": 20.0}, (-1e9, None, 0)),
        ({"value": 1e9}, {"minimum": 10.0}, (1e9, None, 0)),
        # What was delivered as Bad stays what it was; reserved severity is Bad.
        ({"value": 99.0, "status": 0x80890000}, {"maximum": 20.0}, (99.0, None, 0x80890000)),
        ({"text": "x", "status": 0xC0000000}, {}, (None, "x", 0xC0000000)),
        # Text attributes take numbers as text.
        ({"text": "ACTIVE"}, {"data_type": "string"}, (None, "ACTIVE", 0)),
        ({"value": 5.0}, {"data_type": "string"}, (None, "5", 0)),
        ({"value": -0.25}, {"data_type": "string"}, (None, "-0.25", 0)),
        ({"value": 5.0, "text": "5.00"}, {"data_type": "string"}, (None, "5.00", 0)),
        ({"value": 1e300}, {"data_type": "string"}, (None, "1e+300", 0)),
        ({"text": ""}, {"data_type": "string"}, (None, "", 0)),
        # A vector is three numbers.
        ({"text": "1 -2.5 3e-4"}, {"data_type": "vector3"}, (None, "1 -2.5 3e-4", 0)),
        ({"text": "1 2"}, {"data_type": "vector3"}, (None, "1 2", BAD_TYPE_MISMATCH)),
        ({"text": "1 2 3 4"}, {"data_type": "vector3"}, (None, "1 2 3 4", BAD_TYPE_MISMATCH)),
        ({"text": "a b c"}, {"data_type": "vector3"}, (None, "a b c", BAD_TYPE_MISMATCH)),
        ({"value": 5.0}, {"data_type": "vector3"}, (None, "5", BAD_TYPE_MISMATCH)),
        ({}, {"data_type": "vector3"}, (None, None, BAD_TYPE_MISMATCH)),
    ],
)  # fmt: skip
def test_a_bound_value_takes_the_attributes_type_and_the_status_it_deserves(con, said, bound, made):
    assert only(con, report(**said), binding(**bound)) == made


def test_an_unbound_value_is_left_as_it_is(con):
    assert only(con, report(value=5.0, text=" 5.0", status=0x400)) == (5.0, " 5.0", 0x400)
    assert only(con, report(), binding(signal_id=2)) == (None, None, 0)


def test_a_binding_counts_from_its_first_instant_to_before_its_last(con):
    """A tag that is text until noon and a number with a range from noon on."""
    bindings = [
        binding(data_type="string", valid_from=at(3600), valid_to=at(43_200)),
        binding(maximum=10.0, valid_from=at(43_200), valid_to=None),
    ]
    moments = (0, 3599.999999, 3600, 43_199.999999, 43_200, 80_000)
    kept, _, _ = cleaned(con, [report(line=n + 1, second=s, value=50.0) for n, s in enumerate(moments)], None, bindings)
    assert [(row["value"], row["text"], row["status"]) for row in kept] == [
        (50.0, None, 0), (50.0, None, 0), (None, "50", 0), (None, "50", 0), (50.0, None, BAD_OUT_OF_RANGE),
        (50.0, None, BAD_OUT_OF_RANGE),
    ]  # fmt: skip


def test_bindings_of_a_day_are_those_in_force_at_some_time_of_it(con):
    hour = timedelta(hours=1)
    spans = {
        1: (None, None), 2: (None, START), 3: (None, START + hour), 4: (END, None), 5: (END - hour, None),
        6: (START - hour, START), 7: (START, END),
    }  # fmt: skip
    signals = [binding(key, valid_from=since, valid_to=until) for key, (since, until) in spans.items()]
    signals.append(binding(8, plant="other"))
    found = rows_of(con, bindings_query(relation(BINDING, signals), PARTITION))
    assert sorted(row["signal_id"] for row in found) == [1, 3, 5, 7]
    assert all(row["valid_from"] is not None and row["valid_to"] is not None for row in found)


def test_a_plant_name_cannot_break_out_of_the_query(con):
    odd = "o'plant"
    signals = [binding(1, plant=odd), binding(2)]
    found = rows_of(con, bindings_query(relation(BINDING, signals), Partition(odd, DAY)))
    assert [row["signal_id"] for row in found] == [1]


# Against an oracle

RANKS = st.permutations([0, 1, 2, 3]).map(lambda ranks: dict(enumerate(ranks, start=1)))
REPORTS = st.lists(
    st.builds(
        report,
        capture=st.integers(1, 4), line=st.integers(1, 6), signal=st.integers(1, 2),
        second=st.sampled_from([0.0, 1e-6, 86_399.999999]), value=st.sampled_from([None, 1.0, 2.0]),
        text=st.sampled_from([None, "a"]), status=st.sampled_from([0, BAD]),
    ),
    max_size=30,
)  # fmt: skip
ONE_REPORT_PER_LINE = REPORTS.map(
    lambda reports: list({(r["capture_key"], r["line"], r["signal_id"], r["ts"]): r for r in reports}.values())
)


def oracle(reports, ranks):
    """The rules in plain Python: rows kept, rows lost, duplicates."""
    kept, lost, duplicates = [], [], 0
    groups = defaultdict(list)
    for row in reports:
        groups[row["signal_id"], row["ts"]].append(row)
    for rows in groups.values():
        rows.sort(key=lambda row: (ranks[row["capture_key"]], row["line"]))
        first = {}
        for row in rows:
            first.setdefault(tuple(row[name] for name in CONTENT), row)
        winner = rows[-1]
        for content, row in first.items():
            (kept if content == tuple(winner[name] for name in CONTENT) else lost).append(row)
        duplicates += len(rows) - len(first)
    return kept, lost, duplicates


def as_set(rows):
    return {tuple(row[name] for name in COLUMNS) for row in rows}


@settings(max_examples=50, deadline=None)
@given(reports=ONE_REPORT_PER_LINE, ranks=RANKS)
def test_the_rules_agree_with_plain_python(con, reports, ranks):
    kept, lost, counts = cleaned(con, reports, ranks)
    expected_kept, expected_lost, duplicates = oracle(reports, ranks)
    assert as_set(kept) == as_set(expected_kept)
    assert len(kept) == len(expected_kept)
    assert {
        (r["capture_key"], r["line"], r["signal_id"], r["ts"], *json.loads(r["payload"]).values()) for r in lost
    } == {(r["capture_key"], r["line"], r["signal_id"], r["ts"], *(r[name] for name in CONTENT)) for r in expected_lost}
    assert counts == {"arrived": len(reports), "duplicates": duplicates, "conflicts": len(expected_lost)}


@settings(max_examples=40, deadline=None)
@given(reports=REPORTS, ranks=RANKS)
def test_every_arrived_row_is_kept_a_duplicate_or_a_conflict(con, reports, ranks):
    kept, lost, counts = cleaned(con, reports, ranks)
    assert counts["arrived"] == len(reports) == len(kept) + counts["duplicates"] + counts["conflicts"]
    assert counts["conflicts"] == len(lost)
    keys = [(row["signal_id"], row["ts"]) for row in kept]
    assert len(keys) == len(set(keys))
    assert set(keys) == {(row["signal_id"], row["ts"]) for row in reports}


@settings(max_examples=60, deadline=None)
@given(reports=REPORTS, ranks=RANKS, random=st.randoms(use_true_random=False))
def test_the_order_in_which_rows_arrive_does_not_matter(con, reports, ranks, random):
    """Also where one line reports a signal twice, with another status or detail only."""
    marked = [row | {"detail": random.choice([None, "{}"])} for row in reports]
    shuffled = random.sample(marked, len(marked))
    assert cleaned(con, shuffled, dict(reversed(ranks.items()))) == cleaned(con, marked, ranks)


@settings(max_examples=30, deadline=None)
@given(reports=REPORTS, ranks=RANKS)
def test_cleaning_what_is_clean_changes_nothing(con, reports, ranks):
    bindings = [binding(1, maximum=1.5)]
    kept, _, _ = cleaned(con, reports, ranks, bindings)
    again, lost, counts = cleaned(con, kept, ranks, bindings)
    assert again == kept
    assert lost == []
    assert counts == {"arrived": len(kept), "duplicates": 0, "conflicts": 0}


def test_the_helpers_agree_with_each_other():
    assert seconds(at(43_200.5)) == 43_200.5
