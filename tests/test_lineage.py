"""When a partition is stale: fingerprints, the days that are wanted, and where a wave of changes stops."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets import lineage
from idm_assets.aggregated import tables as aggregated
from idm_assets.aggregated import windows
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.lineage import EVENT_DAY, contiguous, derivation_of
from idm_assets.referential.tables import SIGNALS
from tests.ledger_facts import PLANT, compute, day, day_input, facts_of, record
from tests.relations import HOLD, PARTITION, SOURCES, TIMELINE, at, relation, rows_of

OBSERVATIONS = cleaned.OBSERVATIONS.qualified_name
LAST_VALUES = cleaned.LAST_VALUES.qualified_name
MEASUREMENTS = contextualized.MEASUREMENTS.qualified_name
STATES = contextualized.STATES.qualified_name
MINUTES = aggregated.MINUTES.qualified_name
HOURS = aggregated.HOURS.qualified_name

# What each table is computed from, read off the code that computes it.
READS = {
    OBSERVATIONS: {"captures", "bindings"},
    "cleaned.quarantine": {"captures", "bindings"},  # computed together with the observations
    LAST_VALUES: {OBSERVATIONS, "carried", "carry_days"},
    MEASUREMENTS: {OBSERVATIONS, "bindings"},
    "contextualized.unmapped": {OBSERVATIONS, "bindings"},
    STATES: {MEASUREMENTS, "carried", "heard_again", "bindings"},
    MINUTES: {MEASUREMENTS, "carried", "heard_again", "bindings"},
    HOURS: {MINUTES, MEASUREMENTS, "carried", "heard_again", "bindings"},
    "aggregated.measurements_1d": {HOURS},
    "aggregated.state_durations_1d": {STATES},
}
TODAY = day(3)


def standard(**changes):
    """A plant with data on three days, all of it computed but the rest of the week."""
    known = {"inputs": [day_input(2), day_input(3), day_input(3, "t", 2)], "carry_days": 2, "bindings": "b"} | changes
    records = [record(name, n, content=f"{name}{n}") for name in READS for n in (2, 3)]
    inputs = known.pop("inputs")
    changed = known.pop("content", ())
    return facts_of(
        inputs,
        [replace(r, content_hash="new") if (r.table, r.partition.day) in changed else r for r in records],
        **known,
    )


CHANGES = {
    "captures: content": ({"captures"}, {"inputs": [day_input(2), day_input(3, content="x"), day_input(3, "t", 2)]}),
    "captures: another": ({"captures"}, {"inputs": [day_input(2), day_input(3, key=5), day_input(3, "t", 2)]}),
    "captures: one less": ({"captures"}, {"inputs": [day_input(2), day_input(3)]}),
    "captures: precedence": (
        {"captures"},
        {"inputs": [day_input(2), day_input(3, last_ts="2017-01-01T00:00:00+00:00"), day_input(3, "t", 2)]},
    ),
    "bindings": ({"bindings"}, {"bindings": "other"}),
    "the day before": ({"carried"}, {"content": {(LAST_VALUES, day(2))}}),
    "a later day": (
        {"heard_again"},
        {"inputs": [day_input(2), day_input(3), day_input(3, "t", 2), day_input(5, "t", 9)]},
    ),
    OBSERVATIONS: ({OBSERVATIONS}, {"content": {(OBSERVATIONS, TODAY)}}),
    MEASUREMENTS: ({MEASUREMENTS}, {"content": {(MEASUREMENTS, TODAY)}}),
    STATES: ({STATES}, {"content": {(STATES, TODAY)}}),
    MINUTES: ({MINUTES}, {"content": {(MINUTES, TODAY)}}),
    HOURS: ({HOURS}, {"content": {(HOURS, TODAY)}}),
    "nothing: a day beyond the horizon": (
        set(),
        {"inputs": [day_input(2), day_input(3), day_input(3, "t", 2), day_input(6, "t", 9)]},
    ),
    "nothing: captures of another day": (
        set(),
        {"inputs": [day_input(2, content="x"), day_input(3), day_input(3, "t", 2)]},
    ),
    "nothing: the same table of another day": (set(), {"content": {(MEASUREMENTS, day(2)), (HOURS, day(2))}}),
    "nothing: its own content": (set(), {"content": {("aggregated.measurements_1d", TODAY), (LAST_VALUES, TODAY)}}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", READS)
def test_a_fingerprint_changes_exactly_with_what_the_table_is_made_of(name, change):
    table = next(d.table for d in EVENT_DAY if d.table.qualified_name == name)
    concerned, changes = CHANGES[change]
    before, after = (facts.fingerprint(table, TODAY) for facts in (standard(), standard(**changes)))
    assert (before != after) is bool(concerned & READS[name])


def test_last_values_depend_on_how_long_values_are_carried():
    prints = {facts_of([day_input(3)], carry_days=n).fingerprint(cleaned.LAST_VALUES, TODAY) for n in (2, 3)}
    assert len(prints) == 2


def test_a_new_code_version_changes_the_fingerprint(monkeypatch):
    facts = standard()
    before = {d.table: facts.fingerprint(d.table, TODAY) for d in EVENT_DAY}
    newer = replace(derivation_of(contextualized.STATES), code_version="2")
    monkeypatch.setitem(vars(lineage)["_BY_NAME"], STATES, newer)
    after = {d.table: facts.fingerprint(d.table, TODAY) for d in EVENT_DAY}
    assert [table.qualified_name for table in before if before[table] != after[table]] == [STATES]


def test_every_event_day_table_has_its_derivation():
    tables = (*cleaned.TABLES, *contextualized.TABLES, *aggregated.TABLES)
    assert {derivation_of(table).table for table in tables} == set(tables)
    assert set(READS) == {table.qualified_name for table in tables}
    with pytest.raises(KeyError):
        derivation_of(SIGNALS)


def test_tables_come_after_what_they_read():
    """Staleness is judged in this order within a run."""
    seen = set()
    for derivation in EVENT_DAY:
        assert {t.qualified_name for t in derivation.inputs} <= seen
        seen.add(derivation.table.qualified_name)


def test_hours_read_more_of_the_measurements_than_minutes_show(con):
    """A late report of a state says that the machine was alive: it adds held time and changes no minute."""
    quiet = [(1, "s", "measurement", "stepped", at(0), 5.0, None, 0, False)]
    timeline = relation(TIMELINE, quiet)
    minutes, hours = [], []
    for hold_until in (at(600), at(7200)):
        hold = relation(HOLD, [("s", hold_until)])
        con.execute(f"CREATE OR REPLACE TEMP TABLE m AS {windows.minutes(timeline, hold)}").fetchall()
        minutes.append(rows_of(con, "FROM m"))
        carried = f"SELECT * EXCLUDE (carried) FROM ({timeline}) WHERE carried"
        hours.append(rows_of(con, windows.hours("FROM m", carried, relation(SOURCES, [(1, "s")]), hold, PARTITION)))
    assert minutes[0] == minutes[1]
    assert hours[0] != hours[1]
    assert contextualized.MEASUREMENTS in derivation_of(aggregated.HOURS).inputs


# Days


def test_days_with_data_and_the_silent_ones_that_follow_are_wanted():
    facts = facts_of([day_input(0), day_input(1), day_input(10), day_input(30)], carry_days=2)
    assert facts.wanted_days() == [day(n) for n in (0, 1, 2, 3, 10, 11, 12, 30)]


def test_nothing_is_wanted_of_a_plant_without_data():
    assert facts_of().wanted_days() == []
    assert facts_of().stale() == {}


@pytest.mark.parametrize("inputs", [[], [day_input(0)]])
def test_a_day_that_lost_its_data_is_wanted_until_it_is_empty(inputs):
    """A corrected file may hold nothing of a day any more; what was computed of it has to go."""
    known = [record(OBSERVATIONS, 5, rows=10), record(MEASUREMENTS, 6, rows=0), record("capture.observations", 7)]
    assert facts_of(inputs, known).wanted_days() == [*(row.day for row in inputs), day(5)]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.integers(0, 40)), st.integers(1, 9))
def test_wanted_days_agree_with_plain_python(numbers, carry_days):
    facts = facts_of([day_input(n) for n in sorted(numbers)], carry_days=carry_days)
    expected = [
        n for n in range(41)
        if n in numbers or (any(0 < n - m <= carry_days for m in numbers) and any(m > n for m in numbers))
    ]  # fmt: skip
    assert facts.wanted_days() == [day(n) for n in expected]


def test_sources_are_heard_again_within_the_horizon_only():
    inputs = [day_input(3, "today"), day_input(4, "b"), day_input(5, "a"), day_input(5, "b"), day_input(6, "late")]
    assert facts_of(inputs, carry_days=2).heard_again(day(3)) == ["a", "b"]
    assert facts_of(inputs, carry_days=3).heard_again(day(3)) == ["a", "b", "late"]
    assert facts_of(inputs).heard_again(day(6)) == []


def test_values_are_carried_from_the_last_computed_day_within_the_horizon():
    known = [record(LAST_VALUES, 0), record(LAST_VALUES, 2), record(OBSERVATIONS, 4)]
    facts = facts_of(records=known, carry_days=3)
    assert facts.day_carried_from(day(3)) == day(2)
    assert facts.day_carried_from(day(5)) == day(2)
    assert facts.day_carried_from(day(6)) is None
    assert facts.day_carried_from(day(2)) == day(0)


def test_records_of_other_plants_are_left_out():
    foreign = record(OBSERVATIONS, 0)
    foreign = replace(foreign, partition=replace(foreign.partition, plant="other"))
    assert facts_of(records=[foreign]).records == {}


# Waves


def test_a_plant_that_was_never_computed_is_stale_as_a_whole_and_settles_in_one_pass():
    facts = facts_of([day_input(0), day_input(1)])
    assert facts.stale() == {day(n): list(READS) for n in (0, 1)}
    assert compute(facts) == 2 * len(READS)
    assert facts.stale() == {}
    assert compute(facts) == 0


def recomputed(facts, inputs, content):
    """Names and days that are computed when the inputs have become these."""
    before = dict(facts.records)
    changed = facts_of(inputs, before.values(), carry_days=facts.carry_days, bindings=facts.bindings)
    compute(changed, content)
    return {key for key, made in changed.records.items() if made != before.get(key)}


def settled(inputs, carry_days=7):
    facts = facts_of(inputs, carry_days=carry_days)
    compute(facts)
    return facts


def test_the_wave_stops_where_the_content_is_equal():
    facts = settled([day_input(0), day_input(1), day_input(2)])
    late = [day_input(0), day_input(1), day_input(1, key=7), day_input(2)]
    same = recomputed(facts, late, lambda table, at: f"{table} {at}")
    assert same == {(OBSERVATIONS, day(1)), ("cleaned.quarantine", day(1))}


def test_the_wave_goes_on_through_what_changed_and_over_midnight_while_values_are_carried():
    facts = settled([day_input(0), day_input(1), day_input(2), day_input(3)])
    late = [day_input(0), day_input(1), day_input(1, key=7), day_input(2), day_input(3)]
    altered = {(OBSERVATIONS, day(1)), (LAST_VALUES, day(1)), (MEASUREMENTS, day(1))}

    def content(table, at):
        return f"{table} {at}" + (" anew" if (table, at) in altered else "")

    assert recomputed(facts, late, content) == {
        (OBSERVATIONS, day(1)), ("cleaned.quarantine", day(1)), (LAST_VALUES, day(1)), (MEASUREMENTS, day(1)),
        ("contextualized.unmapped", day(1)), (STATES, day(1)), (MINUTES, day(1)), (HOURS, day(1)),
        (LAST_VALUES, day(2)), (STATES, day(2)), (MINUTES, day(2)), (HOURS, day(2)),
    }  # fmt: skip


def test_a_source_that_speaks_again_makes_the_days_before_stale_where_values_are_held():
    facts = settled([day_input(0), day_input(1), day_input(1, "t"), day_input(2, "t"), day_input(3, "t")], 2)
    late = [day_input(0), day_input(1), day_input(1, "t"), day_input(2, "t"), day_input(3, "t"), day_input(3, key=8)]
    found = recomputed(facts, late, lambda table, at: f"{table} {at}")
    assert {at for _, at in found} == {day(1), day(2), day(3)}
    assert {table for table, at in found if at == day(2)} == {STATES, MINUTES, HOURS}


INPUTS = st.sets(st.tuples(st.integers(0, 12), st.sampled_from("st"), st.integers(1, 2)), max_size=12)


@settings(max_examples=40, deadline=None)
@given(before=INPUTS, after=INPUTS, carry_days=st.integers(1, 4))
def test_healing_ends_in_what_a_clean_computation_would_give(before, after, carry_days):
    """Content here is a hash of the inputs, so that every difference would show."""

    def healed(*stages):
        records = {}
        for stage in stages:
            inputs = [day_input(n, source, key) for n, source, key in sorted(stage)]
            facts = facts_of(inputs, records.values(), carry_days=carry_days)
            for _ in range(15):
                known = dict(facts.records)
                count = compute(facts, lambda table, at, f=facts: f.fingerprint(by_name[table], at))
                if not count:
                    break
                assert facts.records != known
            assert facts.stale() == {}
            records = facts.records
        wanted = {row.day for row in inputs}
        return {key: made.content_hash for key, made in records.items() if key[1] in wanted and key[0] == OBSERVATIONS}

    by_name = {d.table.qualified_name: d.table for d in EVENT_DAY}
    assert healed(before, after) == healed(after)


# Ranges


@pytest.mark.parametrize(
    ("days", "ranges"),
    [([], []), ([3], [(3, 3)]), ([5, 3, 4, 4, 9], [(3, 5), (9, 9)]), ([1, 3, 5], [(1, 1), (3, 3), (5, 5)])],
)
def test_days_are_grouped_into_contiguous_ranges(days, ranges):
    assert contiguous(day(n) for n in days) == [(day(a), day(b)) for a, b in ranges]


@settings(max_examples=40, deadline=None)
@given(st.sets(st.dates(date(2015, 1, 1), date(2015, 3, 1))))
def test_ranges_cover_exactly_the_days_and_do_not_touch(days):
    ranges = contiguous(days)
    covered = {first + timedelta(days=n) for first, last in ranges for n in range((last - first).days + 1)}
    assert covered == days
    assert all(b[0] - a[1] > timedelta(days=1) for a, b in pairwise(ranges))
    assert PLANT == "nist"
