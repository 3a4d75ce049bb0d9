"""JSON lines of which each is a record: fields as delivered, a time, and nothing lost in silence."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pydantic
import pytest

from idm_assets.capture.decoders import PreparedFile
from idm_assets.capture.decoders.json_records import JsonRecords, RecordReading
from idm_assets.capture.sources import SourceEntry, load_sources
from idm_assets.capture.survey import Limits, survey
from idm_assets.configuration import ConfigurationError

READING = {"model": "WorkOrder", "timestamp": "at"}


def prepared(folder: Path, lines: bytes) -> PreparedFile:
    path = folder / "1.jsonl"
    path.write_bytes(lines)
    surveyed = survey(path, folder, Limits())
    return PreparedFile(1, surveyed.text, "cmms", surveyed.lines, surveyed.plain)


def rows(con, query):
    found = con.sql(f"SELECT * FROM ({query}) ORDER BY line")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def decode(con, tmp_path):
    """Decode lines by the exact path, and by the fast one wherever it applies; both must say the same."""

    def both(*lines, zone="UTC", **reading):
        data = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode(
            "utf-8", "surrogateescape"
        )
        file = prepared(tmp_path, data)
        decoder = JsonRecords(RecordReading(**(READING | reading)), zone)

        def run(decoding):
            skipped = sum(count for _, _, count in con.sql(decoding.skipped).fetchall())
            return rows(con, decoding.rows), rows(con, decoding.rejected), skipped

        found = run(decoder.exact(con, file))
        assert len(found[0]) + len(found[1]) + found[2] == file.lines
        if file.plain:
            assert run(decoder.fast(con, [file])) == found
        return found

    return both


def test_a_line_is_a_record_with_all_its_fields(decode):
    records, rejected, skipped = decode(
        '{"cost": 183.050, "at": "2024-05-01T10:00:00Z", "asset": "A", "more": {"x": [1.0]}, "none": null}',
        "",
        '  {"at":"2024-05-01T12:00:00+02:00"}\t',
    )
    assert (rejected, skipped) == ([], 1)
    assert [(r["line"], r["part"], r["ts"], r["ts_truncated"]) for r in records] == [
        (n, 1, datetime(2024, 5, 1, 10, tzinfo=UTC), False) for n in (1, 3)
    ]
    assert records[0]["payload"] == (
        '{"asset":"A","at":"2024-05-01T10:00:00Z","cost":183.050,"more":{"x":[1.0]},"none":null}'
    )


@pytest.mark.parametrize(
    ("timestamp_format", "value", "zone", "expected", "truncated"),
    [
        ("iso", "2024-05-01T10:00:00", "Europe/Paris", datetime(2024, 5, 1, 8, tzinfo=UTC), False),
        ("iso", "2024-05-01T10:00:00.1234567Z", "UTC", datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC), True),
        ("date", "2024-05-01", "UTC", datetime(2024, 5, 1, tzinfo=UTC), False),
        ("date", "2024-05-01", "Europe/Paris", datetime(2024, 4, 30, 22, tzinfo=UTC), False),
        ("epoch_ms", 1714557600123, "Europe/Paris", datetime(2024, 5, 1, 10, 0, 0, 123000, tzinfo=UTC), False),
        ("epoch_s", 1714557600.5, "UTC", datetime(2024, 5, 1, 10, 0, 0, 500000, tzinfo=UTC), False),
        ("epoch_us", "1714557600000001", "UTC", datetime(2024, 5, 1, 10, 0, 0, 1, tzinfo=UTC), False),
    ],
)
def test_the_declared_field_says_when_it_happened(decode, timestamp_format, value, zone, expected, truncated):
    records, rejected, _ = decode({"at": value}, zone=zone, timestamp_format=timestamp_format)
    assert rejected == []
    assert (records[0]["ts"], records[0]["ts_truncated"]) == (expected, truncated)


@pytest.mark.parametrize(
    ("timestamp_format", "value"),
    [
        ("iso", "2024-05-01"), ("iso", None), ("iso", 5), ("iso", ["2024-05-01T10:00:00Z"]), ("iso", ""),
        ("date", "2024-05-01T10:00:00Z"), ("date", "2024-02-30"), ("date", "0000-01-01"), ("date", 20240501),
        ("epoch_s", "yesterday"), ("epoch_ms", True),
    ],
)  # fmt: skip
def test_a_line_without_a_possible_time_is_rejected(decode, timestamp_format, value):
    records, rejected, _ = decode({"at": value}, {"other": value}, timestamp_format=timestamp_format)
    assert records == []
    assert [(r["line"], r["reason"]) for r in rejected] == [(1, "timestamp_unreadable"), (2, "timestamp_unreadable")]
    assert rejected[0]["detail"].startswith("field 'at': expected ")
    assert rejected[1]["detail"].endswith("found nothing")
    assert json.loads(rejected[0]["payload"]) == {"at": value}


def test_what_is_no_record_is_rejected_with_its_reason(decode):
    at = '"at":"2024-05-01T10:00:00Z"'
    lines = [
        "{", "[1]", "5", f'{{{at},"a":1,"\\u0061":1}}', f'{{{at},"a":"\udcff"}}', f'{{{at},"a":"x\x00y"}}',
        f"{{{at}}} {{{at}}}",
        f'{{{at},"a":"' + "x" * (1 << 20) + '"}',
    ]  # fmt: skip
    records, rejected, _ = decode(*lines, f'{{{at},"a":{{"b":1,"b":2}}}}')
    assert [r["line"] for r in records] == [9]
    assert [r["reason"] for r in rejected] == [
        "json_invalid", "not_an_object", "not_an_object", "repeated_name", "invalid_utf8", "nul_byte", "json_invalid",
        "line_too_long",
    ]  # fmt: skip


# Declarations


def entry(**fields):
    return SourceEntry(**{"name": "cmms", "plant": "mine", "glob": "*", "format": "json_lines", **fields})


def test_a_declaration_of_records_needs_no_options_and_decides_how_files_are_decoded():
    plain = entry(record=READING)
    assert isinstance(plain.decoder(), JsonRecords)
    others = [
        entry(record=READING | {"timestamp": "when"}),
        entry(record=READING | {"fields": {"asset": "Asset"}}),
        entry(record=READING | {"version": 2}),
        entry(record=READING | {"timestamp_format": "date"}),
        entry(record=READING, timezone="Europe/Paris"),
        entry(options={"fields": {"ts": "at", "tag": "tag", "value": "value"}}),
    ]
    assert len({plain.fingerprint(), *(other.fingerprint() for other in others)}) == 7


def test_declarations_of_observations_keep_the_fingerprint_that_they_had():
    """Another one would have every capture decoded anew."""
    shdr = SourceEntry(name="logs", plant="nist", glob="*", format="shdr")
    assert shdr.record is None
    assert "record" not in shdr.model_dump(exclude_none=True)
    assert shdr.fingerprint() == SHDR_FINGERPRINT


SHDR_FINGERPRINT = "3653d319a0edd0b27705167004720612"  # by `SourceEntry.fingerprint` of the version before records


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"format": "shdr", "record": READING}, "record: only files of the format json_lines hold records so far"),
        ({"format": "csv", "record": READING}, "only files of the format json_lines"),
        ({"record": READING, "options": {"fields": {}}}, "options: say how lines become observations; remove them"),
        ({"record": {"model": "WorkOrder"}}, "timestamp"),
        ({"record": READING | {"timestamp": ""}}, "timestamp"),
        ({"record": READING | {"version": -1}}, "version"),
        ({"record": READING | {"fields": {"asset": ""}}}, "fields"),
        ({"record": READING | {"field": {}}}, "field"),
        ({"record": READING | {"timestamp_format": "us"}}, "timestamp_format"),
    ],
)
def test_a_wrong_declaration_is_refused(fields, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        entry(**fields)


def test_a_wrong_declaration_is_reported_with_file_and_line(tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "a.yaml").write_text(
        "sources:\n  - name: cmms\n    plant: mine\n    glob: '*'\n    format: shdr\n"
        "    record: {model: M, timestamp: t}\n"
    )
    with pytest.raises(
        ConfigurationError, match=r"a\.yaml:2: sources\[0\]: record: only files of the format json_lines"
    ):
        load_sources(tmp_path)
