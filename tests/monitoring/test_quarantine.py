"""The quarantine of all stages as one relation, and its counts."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from checks.rejection import check_rejected_files
from idm_assets.capture.filing import FilingCabinet
from idm_assets.capture.intake import ClaimedFile
from idm_assets.capture.sources import SourceEntry, claim
from idm_assets.contracts import Partition
from idm_assets.monitoring.quarantine import Wanted, arrival_days, counts, entries, shown
from resources.landing_zone import LandedFile

DAY = date(2024, 5, 3)
ENTRY = SourceEntry(name="logs", plant="mine", glob="*", format="shdr", source="m1")


@pytest.fixture
def file(con, lake, ledger, landing_zone, archive, run_settings):
    """Files a delivery that arrived on a day."""

    def filed(name, content, day=DAY, mtime=1):
        path = run_settings.landing_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        cabinet = FilingCabinet(
            con, lake, ledger, landing_zone, archive, run_settings.work_path, Partition("mine", day), date(2015, 1, 1),
            "run",
        )  # fmt: skip
        claimed = ClaimedFile(LandedFile("mine", name, len(content), mtime), claim([ENTRY], "mine", name))
        return cabinet.file([claimed], datetime(day.year, day.month, day.day, 12, tzinfo=UTC))

    return filed


GOOD = b"2024-05-01T10:00:00Z|a|1\n"


def test_units_and_files_are_counted_by_day_source_and_reason(con, lake, ledger, file):
    file("a", GOOD + b"x\ny\n2024-05-01T10:00:00Z||1\n")
    file("b", b"version https://git-lfs.github.com/spec/v1\n", date(2024, 5, 4))
    everything = entries(con, lake, ledger)
    found = con.sql(
        f"SELECT day, stage, reason, standing, files, units FROM ({counts(everything)}) ORDER BY ALL"
    ).fetchall()
    assert found == [
        (DAY, "decode", "field_count", "open", 0, 2), (DAY, "decode", "item_missing", "open", 0, 1),
        (date(2024, 5, 4), "survey", "stub_content", "open", 1, 0),
    ]  # fmt: skip
    finding = check_rejected_files(con, counts(everything))
    assert (finding.passed, finding.numbers, finding.rows) == (
        False, {"files": 1}, [("mine", date(2024, 5, 4), "logs", "stub_content", 1)],
    )  # fmt: skip


def test_a_corrected_file_supersedes_what_was_wrong_with_it(con, lake, ledger, file):
    file("a", GOOD + b"x\n")
    file("a", GOOD, mtime=2)
    everything = entries(con, lake, ledger)
    assert con.sql(f"SELECT standing, units FROM ({counts(everything)})").fetchall() == [("superseded", 1)]
    assert arrival_days(con, everything, Wanted()) == []
    assert check_rejected_files(con, counts(everything)).passed


def test_a_broken_file_in_the_place_of_a_good_one_is_open_beside_it(con, lake, ledger, file):
    file("a", GOOD + b"x\n")
    file("a", b"\x00\x01\x02" * 3000, mtime=2)
    everything = entries(con, lake, ledger)
    found = con.sql(f"SELECT reason, standing FROM ({counts(everything)}) ORDER BY ALL").fetchall()
    assert found == [("binary_content", "open"), ("field_count", "open")], "the former is still the one in effect"


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        (Wanted(), [1, 2, 1]), (Wanted(plant="mine"), [1, 2, 1]), (Wanted(plant="yours"), []),
        (Wanted(first=date(2024, 5, 4)), [1]),
        (Wanted(last=DAY), [1, 2]), (Wanted(reason="item_missing"), [2]), (Wanted(source="m1"), [1, 2, 1]),
        (Wanted(source="logs", line=2), [2]), (Wanted(source="other"), []), (Wanted(capture_key=1), []),
    ],
)  # fmt: skip
def test_what_is_asked_for(con, lake, ledger, file, wanted, lines):
    file("a", b"x\n2024-05-01T10:00:00Z||1\n")
    file("b", b"y\n", date(2024, 5, 4))
    everything = entries(con, lake, ledger)
    columns, rows = shown(con, everything, wanted, 10)
    assert sorted(row[columns.index("line")] for row in rows) == sorted(lines)
    days = arrival_days(con, everything, wanted)
    assert sum(count for *_, count in days) == len(lines)


def test_an_entry_says_all_that_a_person_needs(con, lake, ledger, file):
    file("a", GOOD + b"x\n")
    columns, (row,) = shown(con, entries(con, lake, ledger), Wanted(), 1)
    entry = dict(zip(columns, row, strict=True))
    assert (entry["path"], entry["line"], entry["payload"], entry["payload_cut"]) == ("a", 2, "x", False)
    assert (entry["stage"], entry["rule"], entry["rule_version"]) == ("decode", "shdr", ENTRY.fingerprint())
    assert entry["detail"].startswith("expected timestamp|item|value")
    (capture,) = ledger.known_captures("mine").values()
    assert (entry["capture_key"], entry["content_hash"]) == (capture.capture_key, capture.content_hash)
