"""When tables made of records are stale, and that they leave those made of observations alone."""

from dataclasses import replace

import pytest

from idm_assets.cleaned import tables as cleaned
from idm_assets.contracts import Partition
from idm_assets.lineage import EVENT_DAY, record_derivations
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.model_contract import RecordModels
from resources.ledger import PartitionRecord
from tests.ledger_facts import PLANT, compute, day, day_input, facts_of

TRIP = Model("Trip", None, (Attribute("number", "integer", "measurement", key=True),), kind="record")
ORDER = replace(TRIP, name="WorkOrder")
RECORDS = cleaned.RECORDS.qualified_name
QUARANTINE = cleaned.RECORD_QUARANTINE.qualified_name
ORDERS, TRIPS = "contextualized.work_order", "contextualized.trip"
OF_RECORDS = {RECORDS, QUARANTINE, ORDERS, TRIPS}


def recorded(number, key=7, content="c"):
    return replace(day_input(number, "cmms", key, content), observations=0, records=3)


def facts(inputs, models=(TRIP, ORDER), records=()):
    derivations = record_derivations(RecordModels(models))
    of_records = {(r.table, r.partition): r for r in records if r.table in OF_RECORDS}
    others = [r for r in records if r.table not in OF_RECORDS]
    return facts_of(inputs, others).with_records(derivations, of_records)


def settle(known, content=lambda table, at: f"{table} {at}"):
    """Compute what is stale, table after table; returns names and days of the computations."""
    computed = set()
    for derivation in known.derivations():
        name = derivation.table.qualified_name
        for at in known.wanted_days():
            if known.is_stale(derivation.table, at):
                print_ = known.fingerprint(derivation.table, at)
                made = PartitionRecord(name, Partition(PLANT, at), print_, content(name, at), 1, "run")
                known.records[name, at] = made
                computed.add((name, at))
    assert known.stale() == {}
    return computed


def test_a_day_of_records_makes_only_tables_of_records():
    known = facts([recorded(3)])
    assert known.wanted_days() == [day(3)]
    assert known.stale() == {day(3): [RECORDS, QUARANTINE, TRIPS, ORDERS]}
    assert settle(known) == {(name, day(3)) for name in OF_RECORDS}


def test_a_day_of_observations_makes_no_tables_of_records():
    known = facts([day_input(0), day_input(2)])
    assert known.stale() == {day(n): [d.table.qualified_name for d in EVENT_DAY] for n in (0, 1, 2)}
    assert settle(known) == {(d.table.qualified_name, day(n)) for d in EVENT_DAY for n in (0, 1, 2)}


def test_records_do_not_concern_what_is_made_of_observations_nor_the_other_way_round():
    plain, mixed = facts_of([day_input(0), day_input(3)]), facts([day_input(0), recorded(0), recorded(2), day_input(3)])
    for derivation in EVENT_DAY:
        assert plain.fingerprint(derivation.table, day(0)) == mixed.fingerprint(derivation.table, day(0))
    assert mixed.heard_again(day(0)) == ["s"], "a record does not tell that a machine was alive"
    without = facts([recorded(0)])
    for derivation in without.recorded:
        assert without.fingerprint(derivation.table, day(0)) == mixed.fingerprint(derivation.table, day(0))


def test_days_of_records_stay_wanted_far_from_any_other_day():
    assert facts([recorded(0), recorded(30), day_input(10)]).wanted_days() == [day(0), day(10), day(30)]


@pytest.mark.parametrize(
    ("inputs", "stale"),
    [
        ([recorded(0), recorded(1)], set()),
        ([recorded(0), recorded(1, content="corrected")], {(RECORDS, 1), (QUARANTINE, 1)}),
        ([recorded(0), recorded(1, key=8)], {(RECORDS, 1), (QUARANTINE, 1)}),
        ([recorded(0), recorded(1), recorded(1, key=8)], {(RECORDS, 1), (QUARANTINE, 1)}),
        ([recorded(0)], {(RECORDS, 1), (QUARANTINE, 1)}),
        ([recorded(0), replace(recorded(1), capture_last_ts="2017")], {(RECORDS, 1), (QUARANTINE, 1)}),
    ],
)
def test_a_day_is_stale_with_what_captures_hold_of_it(inputs, stale):
    before = facts([recorded(0), recorded(1)])
    settle(before)
    after = facts(inputs, records=before.records.values())
    assert settle(after) == {(name, day(n)) for name, n in stale}, "equal content stops the wave"


def test_changed_records_go_on_into_their_tables():
    before = facts([recorded(0), recorded(1)])
    settle(before)
    after = facts([recorded(0), recorded(1, content="x")], records=before.records.values())
    assert settle(after, lambda table, at: f"{table} {at}" + " anew" * (table == RECORDS)) == {
        (name, day(1)) for name in OF_RECORDS
    }


def test_a_changed_model_makes_its_table_and_the_cleaned_records_stale():
    before = facts([recorded(0)])
    settle(before)
    longer = replace(ORDER, attributes=(Attribute("cost", "double", "measurement"), *ORDER.attributes))
    after = facts([recorded(0)], (TRIP, longer), before.records.values())
    assert settle(after) == {(name, day(0)) for name in (RECORDS, QUARANTINE, ORDERS)}
    worded = replace(ORDER, description="Another word.", version="1.0.1")
    assert settle(facts([recorded(0)], (TRIP, worded), before.records.values())) == set()


def test_a_new_model_gets_its_table_for_all_days_of_records():
    before = facts([recorded(0), recorded(1)], (TRIP,))
    settle(before)
    after = facts([recorded(0), recorded(1)], records=before.records.values())
    assert {at for name, at in settle(after) if name == ORDERS} == {day(0), day(1)}


def test_a_day_that_lost_its_records_is_emptied():
    before = facts([recorded(0), recorded(5)])
    settle(before)
    after = facts([recorded(0)], records=before.records.values())
    assert day(5) in after.wanted_days()
    assert (RECORDS, day(5)) in settle(after)


def test_without_readable_models_nothing_of_records_is_known():
    known = facts([recorded(0)], None)
    assert known.derivations() == EVENT_DAY
    assert known.stale() == {}
    assert compute(known) == 0


def test_a_day_that_was_never_computed_is_a_record_of_nothing():
    known = facts([])
    empty = known.record(cleaned.RECORDS, day(4))
    assert (empty.rows, empty.partition, empty.content_hash) == (0, Partition(PLANT, day(4)), "")
