"""The ledger: which captures count, what was computed from what, what failed."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
import sqlalchemy.exc

from idm_assets.cleaned.tables import LAST_VALUES, OBSERVATIONS
from idm_assets.contracts import Partition
from resources.ledger import CaptureDay, CaptureRecord, KnownFile, Ledger, PartitionRecord

MONDAY, TUESDAY = date(2016, 11, 7), date(2016, 11, 8)
ARRIVED = datetime(2016, 11, 9, 1, tzinfo=UTC)
PARTITION = Partition("nist", MONDAY)


def capture(key, path="m/a.txt", *, standing="decoded", days=((MONDAY, 10),), **fields):
    defaults = {
        "plant": "nist", "arrived_at": ARRIVED, "source_entry": "logs", "source": "m", "size": 100, "mtime_ns": key,
        "content_hash": f"sha{key}", "decoder_fingerprint": "v1", "last_ts": ARRIVED - timedelta(hours=1),
    }  # fmt: skip
    made = tuple(CaptureDay("m", day, count, f"rows{key}") for day, count in days)
    return CaptureRecord(capture_key=key, path=path, standing=standing, days=made, **(defaults | fields))


def inputs(ledger, **only):
    return [(row.day, row.capture_key, row.observations) for row in ledger.day_inputs("nist", **only)]


# Captures


def test_a_filed_capture_is_known_effective_and_feeds_its_days(ledger):
    ledger.record_captures([capture(1, days=[(MONDAY, 10), (TUESDAY, 3)])])
    assert ledger.known_files("nist") == {"m/a.txt": KnownFile(100, 1, 1)}
    assert ledger.effective_captures() == {1}
    known = ledger.known_captures("nist")[1]
    assert (known.path, known.arrived_on, known.arrived_at) == ("m/a.txt", date(2016, 11, 9), ARRIVED)
    assert (known.content_hash, known.standing, known.decoder_fingerprint) == ("sha1", "decoded", "v1")
    first = ledger.day_inputs("nist")[0]
    assert (first.source, first.arrived_on, first.content_hash) == ("m", date(2016, 11, 9), "rows1")
    assert first.capture_last_ts == "2016-11-09T00:00:00+00:00"
    assert inputs(ledger) == [(MONDAY, 1, 10), (TUESDAY, 1, 3)]
    assert inputs(ledger, days=[TUESDAY]) == [(TUESDAY, 1, 3)]
    assert inputs(ledger, days=[]) == []


def test_times_are_kept_in_utc_and_the_arrival_day_is_the_utc_day(ledger):
    tokyo = timezone(timedelta(hours=9))
    ledger.record_captures([capture(1, arrived_at=datetime(2016, 11, 9, 8, tzinfo=tokyo))])
    known = ledger.known_captures("nist")[1]
    assert (known.arrived_on, known.arrived_at) == (TUESDAY, datetime(2016, 11, 8, 23, tzinfo=UTC))
    assert known.arrived_at.utcoffset() == timedelta(0)


def test_a_new_content_at_a_path_takes_the_place_of_the_former(ledger):
    ledger.record_captures([capture(1), capture(2, "m/b.txt", days=[(TUESDAY, 5)])])
    ledger.record_captures([capture(3, days=[(TUESDAY, 7)])])
    assert ledger.effective_captures() == {2, 3}
    assert inputs(ledger) == [(TUESDAY, 2, 5), (TUESDAY, 3, 7)]
    assert set(ledger.known_captures("nist")) == {1, 2, 3}, "the former one stays on record"


def test_a_rejected_capture_leaves_the_former_in_effect(ledger):
    ledger.record_captures([capture(1)])
    ledger.record_captures([capture(2, standing="rejected", days=[], last_ts=None)])
    assert ledger.known_files("nist")["m/a.txt"].capture_key == 2, "it is not taken again"
    assert ledger.effective_captures() == {1}
    assert inputs(ledger) == [(MONDAY, 1, 10)]


def test_a_path_that_never_held_anything_readable_has_nothing_in_effect(ledger):
    ledger.record_captures([capture(1, standing="rejected", days=[], last_ts=None)])
    assert ledger.effective_captures() == set()
    assert inputs(ledger) == []
    assert ledger.known_captures("nist")[1].standing == "rejected"


def test_an_empty_capture_empties_what_the_path_said_before(ledger):
    ledger.record_captures([capture(1)])
    ledger.record_captures([capture(2, days=[], last_ts=None)])
    assert ledger.effective_captures() == {2}
    assert inputs(ledger) == []


def test_a_repeat_is_known_and_counts_once(ledger):
    ledger.record_captures([capture(1)])
    ledger.record_repeat("nist", "copy.txt", 100, 7, 1)
    assert ledger.known_files("nist")["copy.txt"] == KnownFile(100, 7, 1)
    assert ledger.effective_captures() == {1}
    assert inputs(ledger) == [(MONDAY, 1, 10)]


def test_a_capture_stays_in_effect_while_any_path_holds_it(ledger):
    ledger.record_captures([capture(1)])
    ledger.record_repeat("nist", "copy.txt", 100, 7, 1)
    ledger.record_captures([capture(2)])
    assert ledger.effective_captures() == {1, 2}
    ledger.record_captures([capture(3, "copy.txt")])
    assert ledger.effective_captures() == {2, 3}


def test_a_path_that_goes_back_to_a_former_content_is_a_repeat_of_it(ledger):
    ledger.record_captures([capture(1)])
    ledger.record_captures([capture(2, days=[(TUESDAY, 1)])])
    ledger.record_repeat("nist", "m/a.txt", 100, 9, 1)
    assert ledger.effective_captures() == {1}
    assert inputs(ledger) == [(MONDAY, 1, 10)]


def test_a_repeat_of_a_rejected_capture_leaves_the_former_in_effect(ledger):
    ledger.record_captures([capture(1), capture(2, "bad.txt", standing="rejected", days=[], last_ts=None)])
    ledger.record_repeat("nist", "m/a.txt", 50, 9, 2)
    assert ledger.known_files("nist")["m/a.txt"] == KnownFile(50, 9, 2)
    assert ledger.effective_captures() == {1}


def test_a_repeat_of_an_unknown_capture_is_refused_and_changes_nothing(ledger):
    with pytest.raises(sqlalchemy.exc.NoResultFound):
        ledger.record_repeat("nist", "m/a.txt", 50, 9, 99)
    assert ledger.known_files("nist") == {}


def test_a_capture_that_is_decoded_anew_replaces_its_days(ledger):
    ledger.record_captures([capture(1, days=[(MONDAY, 10), (TUESDAY, 3)])])
    ledger.record_captures([capture(1, days=[(TUESDAY, 4)], decoder_fingerprint="v2")])
    assert inputs(ledger) == [(TUESDAY, 1, 4)]
    assert ledger.known_captures("nist")[1].decoder_fingerprint == "v2"


def test_a_batch_is_recorded_as_a_whole_or_not_at_all(ledger):
    twice = replace(capture(2, "b.txt"), days=(CaptureDay("m", MONDAY, 1, "x"), CaptureDay("m", MONDAY, 2, "y")))
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        ledger.record_captures([capture(1), twice])
    assert ledger.known_captures("nist") == {}
    assert ledger.known_files("nist") == {}


def test_plants_do_not_see_each_other(ledger):
    ledger.record_captures([capture(1), capture(2, plant="other")])
    assert set(ledger.known_captures("nist")) == {1}
    assert set(ledger.known_files("other")) == {"m/a.txt"}
    assert [row.plant for row in ledger.day_inputs()] == ["nist", "other"]
    assert set(ledger.known_captures("nist", [2])) == set()
    assert set(ledger.known_captures("nist", [1, 5])) == {1}


def test_inputs_come_in_a_fixed_order(ledger):
    """Fingerprints are made of them."""
    records = [
        replace(
            capture(key, f"{key}.txt"),
            days=tuple(CaptureDay(s, day, 1, "x") for s in "zy" for day in (TUESDAY, MONDAY)),
        )
        for key in (3, 1, 2)
    ]
    ledger.record_captures(records)
    found = [(row.day, row.source, row.capture_key) for row in ledger.day_inputs("nist")]
    assert found == sorted(found)
    assert len(found) == 12


def test_the_largest_capture_key_is_kept_exactly(ledger):
    key = 2**63 - 1
    ledger.record_captures([capture(key)])
    assert ledger.effective_captures() == {key}


def test_sources_of_declarations_by_plant(ledger):
    other = replace(capture(2, plant="other", source_entry="more"), days=(CaptureDay("o", MONDAY, 1, "x"),))
    ledger.record_captures([capture(1), other, capture(3, "c.txt", source_entry="third")])
    assert ledger.sources_of(["logs", "more"]) == {"nist": {"m"}, "other": {"o"}}
    assert ledger.sources_of(["absent"]) == {}
    assert ledger.sources_of([]) == {}


# Partitions


def record(table=OBSERVATIONS, partition=PARTITION, fingerprint="f", content="c", rows=5, counts=None):
    return PartitionRecord(table.qualified_name, partition, fingerprint, content, rows, "run", counts or {"arrived": 6})


def test_the_newest_computation_replaces_the_former(ledger):
    ledger.record_partitions([record(), record(partition=Partition("nist", TUESDAY))])
    ledger.record_partitions([record(fingerprint="g", content="d", rows=7, counts={"arrived": 9})])
    found = ledger.partition(OBSERVATIONS.qualified_name, PARTITION)
    assert (found.fingerprint, found.content_hash, found.rows, found.counts) == ("g", "d", 7, {"arrived": 9})
    assert datetime.fromisoformat(found.computed_at).tzinfo is not None
    assert len(ledger.partitions([OBSERVATIONS.qualified_name])) == 2
    assert ledger.partition(OBSERVATIONS.qualified_name, Partition("other", MONDAY)) is None
    assert ledger.partition(LAST_VALUES.qualified_name, PARTITION) is None


def test_partitions_are_found_by_table_and_plant(ledger):
    other = Partition("other", MONDAY)
    ledger.record_partitions([record(), record(partition=other), record(LAST_VALUES)])
    names = [OBSERVATIONS.qualified_name, LAST_VALUES.qualified_name]
    assert set(ledger.partitions(names, "nist")) == {(names[0], PARTITION), (names[1], PARTITION)}
    assert set(ledger.partitions(names[:1])) == {(names[0], PARTITION), (names[0], other)}
    assert ledger.partitions([]) == {}
    assert ledger.partitions(names)[names[0], PARTITION] == ledger.partition(names[0], PARTITION)


# Failures


def test_a_failure_stands_until_the_table_succeeds(ledger):
    prints = {OBSERVATIONS: "f1", LAST_VALUES: "f2"}
    ledger.record_failure(PARTITION, prints, "boom", "run")
    ledger.record_failure(PARTITION, {OBSERVATIONS: "f3"}, "boom again", "run")
    found = ledger.failures("nist")
    assert {key: (failed.fingerprint, failed.message) for key, failed in found.items()} == {
        (OBSERVATIONS.qualified_name, PARTITION): ("f3", "boom again"),
        (LAST_VALUES.qualified_name, PARTITION): ("f2", "boom"),
    }
    ledger.record_partitions(
        [record(partition=Partition("nist", TUESDAY)), record(partition=Partition("other", MONDAY))]
    )
    assert len(ledger.failures("nist")) == 2, "another day or plant says nothing"
    ledger.record_partitions([record()])
    assert set(ledger.failures()) == {(LAST_VALUES.qualified_name, PARTITION)}
    assert ledger.failures("other") == {}


# Standing tables, and the store itself


def test_standing_records_are_replaced(ledger):
    assert ledger.standing("publication.catalog") is None
    ledger.record_standing("publication.catalog", "f", "c", "run")
    ledger.record_standing("publication.catalog", "g", "d", "run")
    assert ledger.standing("publication.catalog") == ("g", "d")
    assert ledger.standing("other") is None


def test_the_ledger_outlives_its_connections(ledger, run_settings):
    ledger.record_captures([capture(1)])
    ledger.close()
    assert ledger.effective_captures() == {1}
    second = Ledger(settings=run_settings)
    try:
        assert second.effective_captures() == {1}
        second.record_captures([capture(2, "b.txt")])
        assert ledger.effective_captures() == {1, 2}, "a writer does not lock a reader out"
    finally:
        second.close()
    ledger.close()
    ledger.close()


def test_names_with_quotes_are_kept_as_they_are(ledger):
    path = "o'dd; DROP TABLE captures; --/ü.txt"
    ledger.record_captures([capture(1, path)])
    assert set(ledger.known_files("nist")) == {path}
