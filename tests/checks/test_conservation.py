"""The laws of conservation: each holds on balanced tables and is broken by a single row too many or too few."""

import shutil
from dataclasses import replace
from datetime import datetime

import pytest

from checks.asset_checks import check_specs, find, partitions_of_run
from checks.conservation import BALANCES, balance_of
from idm_assets.aggregated import tables as aggregated
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contracts import Partition
from idm_assets.referential import tables as referential
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.model_contract import contract_of
from resources.lake import Lake
from resources.ledger import CaptureDay, CaptureRecord, Ledger, PartitionRecord
from resources.settings import Settings
from tests.relations import BAD, DAY, PARTITION, PLANT, UNCERTAIN, at, contract_rows

NEXT_DAY = Partition(PLANT, DAY.replace(day=DAY.day + 1))


def shifted(rows, days):
    return [{k: v.replace(day=v.day + days) if isinstance(v, datetime) else v for k, v in row.items()} for row in rows]


CAPTURES = [
    {"capture_key": 1, "lines": 10, "decoded_lines": 2, "observations": 3, "quarantined": 1, "skipped": 7,
     "standing": "decoded"},
    {"capture_key": 2, "lines": 0, "decoded_lines": 0, "observations": 0, "quarantined": 0, "skipped": 0,
     "standing": "rejected"},
    {"capture_key": 3, "lines": 4, "decoded_lines": 4, "observations": 0, "records": 4, "quarantined": 0,
     "skipped": 0, "standing": "decoded"},
]  # fmt: skip
# Line 2 repeats line 1; line 3 says something else of the same instant.
CAPTURED = [
    {"capture_key": 1, "line": 1, "signal_id": 5, "ts": at(10), "value": 1.0, "status": 0},
    {"capture_key": 1, "line": 2, "signal_id": 5, "ts": at(10), "value": 1.0, "status": 0},
    {"capture_key": 1, "line": 3, "signal_id": 5, "ts": at(10), "value": 2.0, "status": 0},
]
CAPTURE_QUARANTINE = [
    {"capture_key": 1, "line": 4, "stage": "decode"}, {"capture_key": 2, "line": None, "stage": "survey"},
]  # fmt: skip
CLEANED = [{"signal_id": 5, "ts": at(10), "value": 2.0}]
CLEANED_QUARANTINE = [{"signal_id": 5, "ts": at(10), "reason": "conflict"}]
# Line 2 repeats line 1, line 3 says something else of the same record, line 4 does not fit its model.
RECORDED = [{"capture_key": 3, "line": line, "ts": at(10)} for line in (1, 2, 3, 4)]
CLEANED_RECORDS = [{"record_table": "work_order", "record_key": "[1]", "ts": at(10), "reports": 2}]
RECORD_QUARANTINE = [
    {"ts": at(10), "reason": "conflict", "reports": 1}, {"ts": at(10), "reason": "type_mismatch", "reports": 1},
]  # fmt: skip
TYPED = contract_of(Model("WorkOrder", None, (Attribute("number", "integer", "measurement", key=True),), kind="record"))
TYPED_RECORDS = [{"number": 1, "ts": at(10)}]
MEASUREMENTS = [
    {"point_id": 1, "ts": at(10), "value": 2.0, "status": 0x400},
    {"point_id": 1, "ts": at(20), "value": 2.0, "status": BAD},
    {"point_id": 1, "ts": at(30), "value": 2.0, "status": UNCERTAIN},
    {"point_id": 1, "ts": at(40), "value": None, "status": 0},
    {"point_id": 2, "ts": at(10), "value": 2.0, "status": 0},
]
POINTS = [{"point_id": 1, "kind": "measurement"}, {"point_id": 2, "kind": "state"}]
STATES = [
    {"point_id": 2, "state": "A", "started_at": at(0), "ended_at": at(100), "duration_s": 100.0},
    {"point_id": 2, "state": "B", "started_at": at(100), "ended_at": at(300), "duration_s": 200.0},
    {"point_id": 2, "state": "A", "started_at": at(400), "ended_at": at(450.1), "duration_s": 50.1},
    {"point_id": 3, "state": "A", "started_at": at(50), "ended_at": at(150), "duration_s": 100.0},
]
DURATIONS = [
    {"point_id": 2, "state": "A", "duration_s": 150.1},
    {"point_id": 2, "state": "B", "duration_s": 200.0},
    {"point_id": 3, "state": "A", "duration_s": 100.0},
]


def windowed(*counts):
    return [{"point_id": n + 1, "window_start": at(0), "count": count} for n, count in enumerate(counts)]


BALANCED = {
    capture.CAPTURES: CAPTURES,
    capture.OBSERVATIONS: CAPTURED,
    capture.QUARANTINE: CAPTURE_QUARANTINE,
    cleaned.OBSERVATIONS: CLEANED,
    cleaned.QUARANTINE: CLEANED_QUARANTINE,
    capture.RECORDS: RECORDED,
    cleaned.RECORDS: CLEANED_RECORDS,
    cleaned.RECORD_QUARANTINE: RECORD_QUARANTINE,
    TYPED: TYPED_RECORDS,
    contextualized.MEASUREMENTS: MEASUREMENTS,
    contextualized.STATES: STATES,
    aggregated.MINUTES: windowed(1, 0),
    aggregated.HOURS: windowed(1),
    aggregated.DAYS: windowed(1),
    aggregated.STATE_DURATIONS: DURATIONS,
}


KEYS_OF_NEXT_DAY = {capture.OBSERVATIONS: {"capture_key": 11}, capture.RECORDS: {"capture_key": 13}}


@pytest.fixture(scope="module")
def balanced_home(con, tmp_path_factory):
    """Two balanced days, made once and copied for each test."""
    settings = Settings(home=str(tmp_path_factory.mktemp("balanced")))
    lake, ledger = Lake(settings=settings), Ledger(settings=settings)
    put(con, lake, referential.POINTS, POINTS, None)
    for partition, days in ((PARTITION, 0), (NEXT_DAY, 1)):
        for table, rows in BALANCED.items():
            key = KEYS_OF_NEXT_DAY.get(table, {}) if days else {}
            put(con, lake, table, [row | key for row in shifted(rows, days)], partition)
        record = CaptureRecord(
            1 + 10 * days, PLANT, partition.start, "logs", "m", f"{days}.txt", 1, 1, f"sha{days}", "decoded", "v1",
            partition.start, (CaptureDay("m", partition.day, 3, "rows"),),
        )  # fmt: skip
        recorded = replace(
            record, capture_key=3 + 10 * days, path=f"{days}.jsonl",
            days=(CaptureDay("orders", partition.day, 0, "rows", 4),),
        )  # fmt: skip
        ledger.record_captures([record, recorded])
        ledger.record_partitions(
            [PartitionRecord(t.qualified_name, partition, "f", "c", 1, "run") for t in BALANCED if t.layer != "capture"]
        )
    ledger.close()
    return settings.home_path


@pytest.fixture
def balanced(balanced_home, run_settings, lake):
    shutil.copytree(balanced_home, run_settings.home_path)
    return lake


def put(con, lake, table, rows, partition):
    query = contract_rows(table, rows)
    return lake.replace(table, lake.stage(con, table, query, partition), "run", partition)


def found(con, lake, ledger, table, partitions=(PARTITION, NEXT_DAY)):
    return find("conservation", con, lake, ledger, table, partitions)


def changed(rows, number, **fields):
    return [row | fields if n == number else row for n, row in enumerate(rows)]


# Table whose law it is, table that is tampered with, its rows then.
TAMPERED = {
    "a line unaccounted for": (capture.CAPTURES, capture.CAPTURES, changed(CAPTURES, 0, decoded_lines=1)),
    "a line too many": (capture.CAPTURES, capture.CAPTURES, changed(CAPTURES, 0, skipped=8)),
    "an observation lost": (capture.OBSERVATIONS, capture.OBSERVATIONS, CAPTURED[:2]),
    "an observation doubled": (capture.OBSERVATIONS, capture.OBSERVATIONS, [*CAPTURED, CAPTURED[0]]),
    "a rejected line lost": (capture.OBSERVATIONS, capture.QUARANTINE, CAPTURE_QUARANTINE[1:]),
    "a rejected file lost": (capture.OBSERVATIONS, capture.QUARANTINE, CAPTURE_QUARANTINE[:1]),
    "a capture that claims more": (capture.OBSERVATIONS, capture.CAPTURES, changed(CAPTURES, 0, observations=4)),
    "a cleaned value lost": (cleaned.OBSERVATIONS, cleaned.OBSERVATIONS, []),
    "a duplicate let through": (cleaned.OBSERVATIONS, cleaned.OBSERVATIONS, [*CLEANED, *CLEANED]),
    "a conflict lost": (cleaned.OBSERVATIONS, cleaned.QUARANTINE, []),
    "a record lost": (capture.RECORDS, capture.RECORDS, RECORDED[:3]),
    "a record doubled": (capture.RECORDS, capture.RECORDS, [*RECORDED, RECORDED[0]]),
    "a capture that claims fewer records": (capture.RECORDS, capture.CAPTURES, changed(CAPTURES, 2, records=3)),
    "a cleaned record lost": (cleaned.RECORDS, cleaned.RECORDS, []),
    "a repeated record forgotten": (cleaned.RECORDS, cleaned.RECORDS, changed(CLEANED_RECORDS, 0, reports=1)),
    "a rejected record lost": (cleaned.RECORDS, cleaned.RECORD_QUARANTINE, RECORD_QUARANTINE[:1]),
    "a record that is not captured": (cleaned.RECORDS, capture.RECORDS, RECORDED[1:]),
    "a typed record lost": (TYPED, TYPED, []),
    "a typed record doubled": (TYPED, TYPED, [*TYPED_RECORDS, {"number": 2, "ts": at(11)}]),
    "a record of another model": (TYPED, cleaned.RECORDS, changed(CLEANED_RECORDS, 0, record_table="trip")),
    "an interval that overlaps": (
        contextualized.STATES, contextualized.STATES, changed(STATES, 1, started_at=at(99.999999)),
    ),
    "an interval inside another": (
        contextualized.STATES, contextualized.STATES, changed(STATES, 2, started_at=at(110), ended_at=at(120)),
    ),
    "an interval twice": (contextualized.STATES, contextualized.STATES, [*STATES, STATES[0]]),
    "a good value uncounted": (aggregated.MINUTES, aggregated.MINUTES, windowed(0, 0)),
    "a bad value counted": (aggregated.MINUTES, aggregated.MINUTES, windowed(2, 0)),
    "a good value added later": (
        aggregated.MINUTES, contextualized.MEASUREMENTS, [*MEASUREMENTS, MEASUREMENTS[0] | {"ts": at(11)}],
    ),
    "an hour that counts less": (aggregated.HOURS, aggregated.HOURS, windowed(0)),
    "a minute that counts more": (aggregated.HOURS, aggregated.MINUTES, windowed(1, 1)),
    "a day that counts more": (aggregated.DAYS, aggregated.DAYS, windowed(1, 1)),
    "a day lost": (aggregated.DAYS, aggregated.DAYS, []),
    "time that was lost": (
        aggregated.STATE_DURATIONS, aggregated.STATE_DURATIONS, changed(DURATIONS, 0, duration_s=150.0),
    ),
    "a state lost": (aggregated.STATE_DURATIONS, aggregated.STATE_DURATIONS, DURATIONS[:2]),
}  # fmt: skip


@pytest.mark.parametrize(
    "table",
    sorted((t for t in BALANCED if balance_of(t)), key=lambda t: t.qualified_name),
    ids=lambda table: table.qualified_name,
)
def test_each_law_holds_on_balanced_tables(con, balanced, ledger, table):
    if table == contextualized.MEASUREMENTS:
        put(con, balanced, table, MEASUREMENTS[:1], PARTITION)
        put(con, balanced, table, [], NEXT_DAY)
        put(con, balanced, contextualized.UNMAPPED, [{"signal_id": 5, "observations": 1}], NEXT_DAY)
    finding = found(con, balanced, ledger, table)
    assert finding.passed, finding
    assert finding.numbers["partitions"] == 2
    assert finding.numbers["broken"] == 0
    assert finding.numbers["came_in"] == finding.numbers["accounted_for"] > 0
    assert "holds" in finding.summary
    assert len(finding.rows) == 2


@pytest.mark.parametrize("what", TAMPERED)
def test_each_law_is_broken_by_a_single_row(con, balanced, ledger, what):
    law, table, rows = TAMPERED[what]
    partition = NEXT_DAY
    key = KEYS_OF_NEXT_DAY.get(table, {})
    put(con, balanced, table, [row | key for row in shifted(rows, 1)], partition)
    finding = found(con, balanced, ledger, law)
    assert not finding.passed, finding
    assert finding.numbers["broken"] == 1
    assert "is broken on 1 days" in finding.summary
    assert [row[:2] for row in finding.rows] == [(PLANT, NEXT_DAY.day)], "the broken day is shown, not the good one"
    assert found(con, balanced, ledger, law, [PARTITION]).passed, "a run is judged by its own days"
    assert not find("conservation", con, balanced, ledger, law, None).passed, "on its own it judges all days"


@pytest.mark.parametrize("lost", ["mapped", "unmapped", "both"])
def test_the_law_of_context_is_broken_by_a_single_row(con, lake, ledger, lost):
    put(con, lake, cleaned.OBSERVATIONS, [CLEANED[0] | {"ts": at(n)} for n in range(5)], PARTITION)
    put(con, lake, contextualized.MEASUREMENTS, MEASUREMENTS[: 1 if lost == "mapped" else 2], PARTITION)
    put(
        con,
        lake,
        contextualized.UNMAPPED,
        [{"signal_id": 9, "observations": 2 if lost == "unmapped" else 3}],
        PARTITION,
    )
    if lost == "both":
        put(con, lake, cleaned.OBSERVATIONS, [CLEANED[0]], PARTITION)
    finding = found(con, lake, ledger, contextualized.MEASUREMENTS, [PARTITION])
    assert not finding.passed
    assert (finding.numbers["came_in"], finding.numbers["accounted_for"]) == ((1, 5) if lost == "both" else (5, 4))


def test_superseded_captures_do_not_count(con, balanced, ledger):
    """The corrected file holds the same observations but one."""
    corrected = CaptureRecord(
        7, PLANT, PARTITION.start, "logs", "m", "0.txt", 1, 2, "sha7", "decoded", "v1", PARTITION.start,
        (CaptureDay("m", DAY, 1, "rows"),),
    )  # fmt: skip
    rows = [*CAPTURED, CAPTURED[2] | {"capture_key": 7}]
    put(con, balanced, capture.OBSERVATIONS, rows, PARTITION)
    assert found(con, balanced, ledger, cleaned.OBSERVATIONS).passed
    ledger.record_captures([corrected])
    assert not found(con, balanced, ledger, cleaned.OBSERVATIONS).passed
    put(con, balanced, cleaned.QUARANTINE, [], PARTITION)
    assert found(con, balanced, ledger, cleaned.OBSERVATIONS).passed


def test_times_are_compared_up_to_rounding(con, balanced, ledger):
    put(con, balanced, aggregated.STATE_DURATIONS, changed(DURATIONS, 0, duration_s=150.1 + 1e-9), PARTITION)
    assert found(con, balanced, ledger, aggregated.STATE_DURATIONS).passed


def test_nothing_is_balanced(con, lake, ledger):
    for table in BALANCES:
        finding = found(con, lake, ledger, table)
        assert finding.passed
        assert finding.numbers["partitions"] == 0
        assert find("conservation", con, lake, ledger, table, None).passed


def test_every_layer_has_its_laws():
    names = {table.qualified_name: [spec.name for spec in check_specs(table)] for table in BALANCED}
    assert names["contextualized.work_order"] == ["contract", "uniqueness", "conservation"]
    assert names["cleaned.observations"] == ["contract", "uniqueness", "conservation"]
    assert names["contextualized.measurements"] == ["contract", "conservation"]
    assert names["cleaned.quarantine"] == ["contract"]
    assert set(BALANCES) <= set(BALANCED)


@pytest.mark.parametrize(
    ("tags", "partitions"),
    [
        ({}, None),
        ({"dagster/partition": f"{DAY}|nist"}, [PARTITION]),
        (
            {
                "dagster/asset_partition_range_start": f"{DAY}|nist",
                "dagster/asset_partition_range_end": f"{NEXT_DAY.day}|nist",
            },
            [PARTITION, NEXT_DAY],
        ),
        ({"dagster/asset_partition_range_start": f"{DAY}|nist"}, None),
    ],
)
def test_a_check_covers_the_partitions_of_its_run(tags, partitions):
    assert partitions_of_run(tags) == partitions
