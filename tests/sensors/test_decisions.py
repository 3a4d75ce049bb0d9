"""What the sensors ask for, from facts alone."""

from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.aggregated import tables as aggregated
from idm_assets.capture.intake import ClaimedFile, Intake
from idm_assets.capture.sources import Claim, SourceEntry
from idm_assets.cleaned import tables as cleaned
from idm_assets.contracts import Partition
from idm_assets.lineage import record_derivations
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.model_contract import RecordModels
from resources.landing_zone import LandedFile
from resources.ledger import Failed
from sensors.decisions import (
    BRIDGED_DAYS,
    DAYS_PER_RANGE,
    ArrivalRequest,
    RangeRequest,
    decide_arrivals,
    decide_event_days,
    decide_plants,
)
from tests.ledger_facts import PLANT, compute, day, day_input, facts_of

RECORDED = record_derivations(
    RecordModels((Model("Trip", None, (Attribute("number", "integer", "measurement", key=True),), kind="record"),))
)
ENTRY = SourceEntry(name="logs", plant=PLANT, glob="*", format="shdr")


def landed(path="a.txt", size=1, mtime_ns=1):
    return LandedFile(PLANT, path, size, mtime_ns)


def looked(ready=(), waiting=(), unclaimed=()):
    claims = tuple(ClaimedFile(file, Claim(ENTRY, PurePosixPath(file.path).stem, {})) for file in ready)
    return Intake(claims, tuple(waiting), dict.fromkeys(unclaimed, "nobody claims it"), 3)


def asked(facts, failures=None, limit=100):
    found = decide_event_days(facts, failures or {}, limit)
    assert all(request.plant == PLANT for request in found)
    return [((r.first - day(0)).days, (r.last - day(0)).days, r.stale_days) for r in found]


# Event days


def test_contiguous_stale_days_are_asked_for_together_newest_first():
    facts = facts_of([day_input(n) for n in (0, 1, 2, 10, 20, 21)], carry_days=1)
    assert asked(facts) == [(20, 21, 2), (10, 11, 2), (0, 3, 4)]


def test_no_more_than_so_many_ranges_are_asked_for():
    facts = facts_of([day_input(n) for n in range(0, 30, 3)], carry_days=1)
    assert asked(facts, limit=2) == [(27, 27, 1), (24, 25, 2)]
    assert len(decide_event_days(facts, {})) == 4
    assert asked(facts, limit=0) == []


def test_a_long_range_is_cut():
    facts = facts_of([day_input(n) for n in range(2 * DAYS_PER_RANGE + 5)])
    cut = DAYS_PER_RANGE
    assert asked(facts) == [(2 * cut, 2 * cut + 4, 5), (cut, 2 * cut - 1, cut), (0, cut - 1, cut)]
    assert asked(facts_of([day_input(n) for n in range(cut)])) == [(0, cut - 1, cut)]
    assert cut == 92


def test_nothing_is_asked_for_when_nothing_is_stale():
    facts = facts_of([day_input(0), day_input(1)])
    compute(facts)
    assert decide_event_days(facts, {}) == []
    assert decide_event_days(facts_of(), {}) == []


def test_only_the_stale_days_between_settled_ones_are_asked_for():
    facts = facts_of([day_input(n) for n in range(5)])
    compute(facts)
    late = facts_of([*(day_input(n) for n in range(5)), day_input(2, key=9)], facts.records.values())
    assert asked(late) == [(2, 2, 1)]


def failure(facts, table, number, fingerprint=None):
    key = (table.qualified_name, Partition(PLANT, day(number)))
    return {key: Failed(fingerprint or facts.fingerprint(table, day(number)), "it broke", "2016-11-30")}


def test_a_day_that_failed_from_the_inputs_it_has_is_left_alone_until_they_change():
    facts = facts_of([day_input(n) for n in range(3)])
    failed = failure(facts, cleaned.OBSERVATIONS, 1)
    assert asked(facts, failed) == [(2, 2, 1), (0, 0, 1)]
    changed = facts_of([day_input(0), day_input(1, content="corrected"), day_input(2)])
    assert asked(changed, failed) == [(0, 2, 3)]
    rebound = facts_of([day_input(n) for n in range(3)], bindings="mended")
    assert asked(rebound, failed) == [(0, 2, 3)]


def test_a_failure_of_any_table_counts_and_of_another_plant_does_not():
    facts = facts_of([day_input(0)])
    assert asked(facts, failure(facts, aggregated.HOURS, 0)) == []
    assert asked(facts, failure(facts, aggregated.HOURS, 0, "former inputs")) == [(0, 0, 1)]
    print_ = facts.fingerprint(cleaned.OBSERVATIONS, day(0))
    foreign = {(cleaned.OBSERVATIONS.qualified_name, Partition("other", day(0))): Failed(print_, "it broke", "")}
    assert asked(facts, foreign) == [(0, 0, 1)]


@settings(max_examples=40, deadline=None)
@given(numbers=st.sets(st.integers(0, 300), max_size=120), hopeless=st.sets(st.integers(0, 300), max_size=20))
def test_all_stale_days_but_the_hopeless_are_asked_for_once(numbers, hopeless):
    facts = facts_of([day_input(n) for n in sorted(numbers)], carry_days=1)
    failed = {}
    for number in hopeless:
        failed |= failure(facts, cleaned.OBSERVATIONS, number)
    requests = decide_event_days(facts, failed, limit=1000)
    covered = [r.first + timedelta(days=n) for r in requests for n in range((r.last - r.first).days + 1)]
    assert sorted(covered) == sorted(set(facts.stale()) - {day(n) for n in hopeless})
    assert [r.first for r in requests] == sorted((r.first for r in requests), reverse=True)
    assert all((r.last - r.first).days < DAYS_PER_RANGE for r in requests)
    assert sum(r.stale_days for r in requests) == len(covered)
    assert all(isinstance(r, RangeRequest) for r in requests)


def recorded(number, key=7):
    """A record of a day instead of observations."""
    return replace(day_input(number, key=key), observations=0, records=1)


def test_a_few_settled_days_between_records_are_bridged_but_not_a_hopeless_one():
    """A run costs more than looking at days that are as they should be."""
    near = facts_of([recorded(n) for n in (0, 8, 16)]).with_records(RECORDED, {})
    assert asked(near) == [(0, 16, 3)]
    assert asked(near, failure(near, cleaned.RECORDS, 8)) == [(16, 16, 1), (0, 0, 1)]
    beside = facts_of([recorded(n) for n in (0, 4, 5)]).with_records(RECORDED, {})
    assert asked(beside, failure(beside, cleaned.RECORDS, 4)) == [(5, 5, 1), (0, 0, 1)]
    far = facts_of([recorded(n) for n in (0, 9, 10)]).with_records(RECORDED, {})
    assert asked(far) == [(9, 10, 2), (0, 0, 1)]


@settings(max_examples=40, deadline=None)
@given(numbers=st.sets(st.integers(0, 300), min_size=1, max_size=60), hopeless=st.sets(st.integers(0, 300), max_size=9))
def test_bridges_cover_all_that_is_stale_and_nothing_hopeless(numbers, hopeless):
    facts = facts_of([recorded(n) for n in sorted(numbers)]).with_records(RECORDED, {})
    failed = {}
    for number in hopeless & numbers:
        failed |= failure(facts, cleaned.RECORDS, number)
    covered = [n for first, last, _ in asked(facts, failed, 1000) for n in range(first, last + 1)]
    assert len(covered) == len(set(covered))
    assert set(covered) & numbers == numbers - hopeless
    assert all(any(abs(n - m) <= BRIDGED_DAYS for m in numbers) for n in covered)


def test_what_is_made_of_records_and_what_is_made_of_observations_do_not_wait_for_each_other():
    facts = facts_of([day_input(0), recorded(0)]).with_records(RECORDED, {})
    assert asked(facts, failure(facts, cleaned.RECORDS, 0)) == [(0, 0, 1)]
    assert asked(facts, failure(facts, cleaned.OBSERVATIONS, 0)) == [(0, 0, 1)]
    both = failure(facts, cleaned.RECORDS, 0) | failure(facts, cleaned.OBSERVATIONS, 0)
    assert asked(facts, both) == []


# Arrivals


def test_nothing_new_asks_for_nothing():
    assert decide_arrivals(PLANT, looked()) is None
    assert decide_arrivals(PLANT, looked(unclaimed=["x.bin"])) is None


def test_ready_and_waiting_files_ask_for_one_run():
    found = decide_arrivals(PLANT, looked([landed("a.txt"), landed("b.txt")], [landed("c.txt")]))
    assert isinstance(found, ArrivalRequest)
    assert (found.plant, found.files) == (PLANT, 3)


def test_one_look_asks_once_and_each_change_asks_anew():
    first = decide_arrivals(PLANT, looked([landed("a"), landed("b")]))
    assert first == decide_arrivals(PLANT, looked([landed("b"), landed("a")]))
    assert first == decide_arrivals(PLANT, looked([landed("b")], [landed("a")]))
    others = [
        looked([landed("a")]),
        looked([landed("a"), landed("b"), landed("c")]),
        looked([landed("a", size=2), landed("b")]),
        looked([landed("a", mtime_ns=2), landed("b")]),
        looked([landed("a"), landed("B")]),
    ]
    assert len({first.key, *(decide_arrivals(PLANT, other).key for other in others)}) == 6


# Plants


@pytest.mark.parametrize(
    ("known", "found", "configured", "new"),
    [
        ([], [], [], []),
        (["a"], ["a"], ["a", "a"], []),
        (["a"], ["c", "b"], ["b", "d"], ["b", "c", "d"]),
        (["gone"], [], [], []),
    ],
)
def test_plants_that_are_no_partition_yet(known, found, configured, new):
    assert decide_plants(known, found, configured) == new
