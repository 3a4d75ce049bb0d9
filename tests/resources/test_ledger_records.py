"""The ledger and records: how many a capture holds of a day, also in a ledger from before there were any."""

import sqlite3
from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
import sqlalchemy.exc

from resources.ledger import CaptureDay, CaptureRecord, Ledger

DAY = date(2024, 5, 1)
ARRIVED = datetime(2024, 5, 2, tzinfo=UTC)


def capture(key, *days):
    return CaptureRecord(
        key, "mine", ARRIVED, "orders", None, f"{key}.jsonl", 1, 1, f"sha{key}", "decoded", "v1", ARRIVED, days
    )


def test_records_of_a_day_are_kept_beside_observations(ledger):
    ledger.record_captures(
        [capture(1, CaptureDay("orders", DAY, 0, "rows", 7)), capture(2, CaptureDay("m", DAY, 5, "rows"))]
    )
    found = [(row.source, row.observations, row.records) for row in ledger.day_inputs("mine")]
    assert found == [("m", 5, 0), ("orders", 0, 7)]


@pytest.fixture
def former_ledger(run_settings):
    """A ledger as it was before records, with one capture in it."""
    ledger = Ledger(settings=run_settings)
    ledger.record_captures([capture(1, CaptureDay("m", DAY, 5, "rows"))])
    ledger.close()
    with sqlite3.connect(run_settings.ledger_path) as con:
        con.execute("ALTER TABLE capture_days DROP COLUMN records")
    con.close()
    return run_settings


def test_a_ledger_from_before_records_is_brought_up_to_date(former_ledger):
    for _ in range(2):
        ledger = Ledger(settings=former_ledger)
        assert [(row.observations, row.records) for row in ledger.day_inputs("mine")] == [(5, 0)]
        ledger.record_captures([capture(2, CaptureDay("orders", DAY, 0, "rows", 7))])
        assert sorted(row.records for row in ledger.day_inputs("mine")) == [0, 7]
        ledger.record_captures([capture(2)])
        ledger.close()


def test_another_process_may_be_faster(former_ledger, monkeypatch):
    captures = ("capture_key", "plant", "arrived_on", "arrived_at", "source_entry", "source", "path", "content_hash",
                "standing", "decoder_fingerprint", "last_ts", "landed_path", "delivered_hash")  # fmt: skip
    days = ("capture_key", "source", "day", "observations", "content_hash")
    looks = iter([[{"name": name} for name in names] for names in (captures, days, (*days, "records"))])
    ledger = Ledger(settings=former_ledger)
    with sqlite3.connect(former_ledger.ledger_path) as con:
        con.execute("ALTER TABLE capture_days ADD COLUMN records BIGINT NOT NULL DEFAULT 0")
    con.close()
    with monkeypatch.context() as patched:
        patched.setattr(sa, "inspect", lambda _engine: SimpleNamespace(get_columns=lambda _table: next(looks)))
        assert [row.records for row in ledger.day_inputs("mine")] == [0]
    assert next(looks, None) is None
    ledger.close()


def test_a_ledger_that_cannot_be_changed_says_so(former_ledger):
    with sqlite3.connect(former_ledger.ledger_path) as con:
        con.execute("ALTER TABLE capture_days RENAME TO other")
        con.execute("CREATE VIEW capture_days AS SELECT * FROM other")
    con.close()
    ledger = Ledger(settings=former_ledger)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="add a column to a view"):
        ledger.day_inputs("mine")
    ledger.close()
