"""Filing of records: every line accounted for, in the lake and in the ledger."""

import os
from datetime import UTC, date, datetime

import pytest

from idm_assets.capture import tables
from idm_assets.capture.filing import FilingCabinet
from idm_assets.capture.intake import ClaimedFile
from idm_assets.capture.sources import SourceEntry, claim
from idm_assets.contracts import Partition
from resources.landing_zone import LandedFile

ARRIVED = datetime(2024, 5, 3, 12, tzinfo=UTC)
PARTITION = Partition("mine", ARRIVED.date())
RECORD = {"model": "WorkOrder", "version": 1, "fields": {"asset": "Asset No"}}
TIME = {"time": {"field": "at"}}
ORDERS = {
    "name": "orders", "plant": "mine", "glob": "*.jsonl", "format": "json_lines", "timezone": "Europe/Paris", **TIME,
}  # fmt: skip
GOOD = b'{"at":"2024-05-01T10:00:00Z","Asset No":"A","cost":1.50}\n'
NEXT_DAY = b'{"at":"2024-05-02T10:00:00.1234567Z","Asset No":"A"}\n'
LINES = GOOD + b"not json\n\n" + NEXT_DAY + GOOD + b'{"at":"2014-12-31T00:00:00Z"}\n{"at":"2024-05-05T00:00:00Z"}\n'


@pytest.fixture
def cabinet(con, lake, ledger, landing_zone, archive, run_settings):
    folder = run_settings.landing_path / "mine"
    folder.mkdir(parents=True)
    return FilingCabinet(
        con, lake, ledger, landing_zone, archive, run_settings.work_path, PARTITION, date(2015, 1, 1), "run-1"
    )


def landed(cabinet, content, name="a.jsonl", entry=None):
    path = cabinet.landing_zone.settings.landing_path / "mine" / name
    path.write_bytes(content)
    os.utime(path, (1, 1))
    declared = SourceEntry(**(ORDERS | ({"record": RECORD} if entry is None else entry)))
    file = LandedFile("mine", name, len(content), path.stat().st_mtime_ns)
    return ClaimedFile(file, claim([declared], "mine", name))


def ask(cabinet, table, columns):
    rows = cabinet.lake.relation(table, [PARTITION])
    return cabinet.con.sql(f"SELECT {columns} FROM ({rows}) ORDER BY ALL").fetchall()


@pytest.mark.parametrize("last_line", [b"", b'{"at":"\xff"}\n'], ids=["fast", "exact"])
def test_every_line_is_a_record_quarantined_or_skipped(cabinet, last_line):
    filed = cabinet.file([landed(cabinet, LINES + last_line)], ARRIVED)
    row = filed.captures[0]
    rejected = 3 + bool(last_line)
    assert row["decoder"] == f"json_lines/{'exact' if last_line else 'fast'}"
    assert (row["lines"], row["decoded_lines"], row["records"], row["observations"]) == (7 + bool(last_line), 3, 3, 0)
    assert (row["quarantined"], row["skipped"], row["remarks"]) == (rejected, 1, '{"timestamp_cut": 1}')
    reasons = ask(cabinet, tables.QUARANTINE, "line, reason")
    assert reasons[:3] == [(2, "json_invalid"), (6, "timestamp_out_of_bounds"), (7, "timestamp_out_of_bounds")]
    assert reasons[3:] == ([(8, "invalid_utf8")] if last_line else [])
    assert ask(cabinet, tables.QUARANTINE, "payload")[1:2] == [('{"at":"2014-12-31T00:00:00Z"}',)]
    assert ask(cabinet, tables.RECORDS, "line, model, ts, remarks, payload") == [
        (1, "WorkOrder", datetime(2024, 5, 1, 10, tzinfo=UTC), 0,
         '{"Asset No":"A","at":"2024-05-01T10:00:00Z","cost":1.50}'),
        (4, "WorkOrder", datetime(2024, 5, 2, 10, 0, 0, 123456, tzinfo=UTC), 1,
         '{"Asset No":"A","at":"2024-05-02T10:00:00.1234567Z"}'),
        (5, "WorkOrder", datetime(2024, 5, 1, 10, tzinfo=UTC), 0,
         '{"Asset No":"A","at":"2024-05-01T10:00:00Z","cost":1.50}'),
    ]  # fmt: skip
    assert ask(cabinet, tables.RECORDS, "DISTINCT reading") == [
        ('{"fields":{"asset":"Asset No"},"timestamps":["at"],"timezone":"Europe/Paris","version":1}',)
    ]
    assert ask(cabinet, tables.OBSERVATIONS, "count(*)") == [(0,)]


def test_the_ledger_knows_which_days_a_capture_has_records_of(cabinet):
    cabinet.file([landed(cabinet, LINES)], ARRIVED)
    inputs = cabinet.ledger.day_inputs("mine")
    assert [(row.day, row.source, row.records, row.observations) for row in inputs] == [
        (date(2024, 5, 1), "orders", 2, 0),
        (date(2024, 5, 2), "orders", 1, 0),
    ]
    assert {row.capture_last_ts for row in inputs} == {"2024-05-02T10:00:00.123456+00:00"}


def test_the_hash_of_a_day_changes_with_its_records_and_their_reading_only(cabinet):
    def hashes(content, record):
        cabinet.file([landed(cabinet, content, entry={"record": record})], ARRIVED)
        return {row.day.day: row.content_hash for row in cabinet.ledger.day_inputs("mine")}

    first = hashes(LINES, RECORD)
    other = hashes(LINES.replace(b'"A","cost":1.50', b'"B","cost":1.50'), RECORD)
    assert (other[1] != first[1], other[2] == first[2]) == (True, True)
    read_otherwise = hashes(LINES, RECORD | {"fields": {}})
    assert (read_otherwise[1] != first[1], read_otherwise[2] != first[2]) == (True, True)


def test_a_declaration_may_turn_observations_into_records(cabinet):
    observed = {"source": "cmms", "long": {"tag": "Asset No", "value": "cost"}}
    recorded = {"source": "cmms", "record": RECORD}

    def file(entry):
        filed = cabinet.file([landed(cabinet, GOOD + NEXT_DAY, entry=entry)], ARRIVED)
        held = [ask(cabinet, table, "count(*)")[0][0] for table in (tables.OBSERVATIONS, tables.RECORDS)]
        return filed.repeats, held, [(row.source, row.observations, row.records) for row in cabinet.ledger.day_inputs()]

    assert file(observed) == ([], [2, 0], [("cmms", 1, 0)] * 2)
    assert file(recorded) == ([], [0, 2], [("cmms", 0, 1)] * 2)
    assert file(recorded) == (["a.jsonl"], [0, 2], [("cmms", 0, 1)] * 2)
    assert file(observed) == ([], [2, 0], [("cmms", 1, 0)] * 2)


def test_records_of_many_files_are_decoded_together(cabinet):
    files = [landed(cabinet, GOOD * n, f"{n}.jsonl") for n in range(1, 6)]
    filed = cabinet.file(files, ARRIVED)
    assert sorted(row["records"] for row in filed.captures) == [1, 2, 3, 4, 5]
    assert ask(cabinet, tables.RECORDS, "count(*), count(DISTINCT capture_key)") == [(15, 5)]
    assert ask(cabinet, tables.CAPTURES, "sum(records)") == [(15,)]
