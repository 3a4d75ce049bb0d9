"""Rows of JSON: the same data in any layout gives the same tables, and nothing is lost in silence."""

import gzip
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import duckdb
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture import framing
from idm_assets.capture.decoders import PreparedFile, UndecodableFile, json_rows, json_splitting
from idm_assets.capture.decoders.json_documents import DocumentLimits
from idm_assets.capture.decoders.json_rows import JsonLineRows, JsonRows
from idm_assets.capture.decoders.tabular import Tabular
from idm_assets.capture.remarks import NUMBER_ROUNDED, TIMESTAMP_CUT
from idm_assets.capture.shapes import LongReading, RecordReading, WideReading
from idm_assets.capture.sources import SourceEntry
from idm_assets.capture.status_reading import StatusReading
from idm_assets.capture.survey import Limits, UnreadableCapture, survey
from idm_assets.capture.time_reading import TimeReading
from idm_assets.status import BAD_NO_DATA, BAD_OUT_OF_RANGE, GOOD

VECTORS = Path(__file__).parents[1] / "vectors" / "capmetro"
TS = "2024-05-01T00:00:00.5Z"
AT = datetime(2024, 5, 1, 0, 0, 0, 500000, tzinfo=UTC)

LINES, JSON = JsonLineRows.from_options, JsonRows.from_options
LONG = LongReading(tag="tag", value="value")
FULL = LongReading(tag="tag", value="value", status="status", source="source")
RECORD = RecordReading(model="WorkOrder")
BY_KEY = LongReading(tag="key", value="value")


def reader(rows, shape=LONG, time="ts", zone="UTC", **time_options):
    return Tabular(rows, TimeReading(field=time, **time_options), shape, StatusReading(), zone)


def prepared(folder, data, number=1, source="line-1", **facts):
    path = folder / f"{number}.json"
    path.write_bytes(data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data)
    (member,) = survey(path, folder, Limits()).members
    return PreparedFile(number, member.text, source, member.lines, member.plain, facts)


@dataclass(frozen=True)
class Decoded:
    """What a decoding gave, as lists of dictionaries in order; skipped units by reason."""

    rows: list
    rejected: list
    skipped: dict

    @property
    def units(self):
        decoded = {(row["file"], row["line"]) for row in self.rows}
        return len(decoded) + len(self.rejected) + sum(self.skipped.values())

    @property
    def values(self):
        return [(row["value"], row["text"], row["status"]) for row in self.rows]

    @property
    def reasons(self):
        return [(row["line"], row["reason"]) for row in self.rejected]


def run(con, decoding):
    def found(query):
        result = con.execute(f"SELECT * FROM ({query}) ORDER BY file, line")
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    skipped = {}
    for _, reason, lines in con.execute(decoding.skipped).fetchall():
        skipped[reason] = skipped.get(reason, 0) + lines
    return Decoded(found(decoding.rows), found(decoding.rejected), skipped)


def run_fast(con, decoder, files, folder):
    """What the fast reader makes of files; None if it leaves them to the exact one."""
    try:
        return run(con, decoder.fast(con, files, folder))
    except (duckdb.Error, UndecodableFile):
        return None


@pytest.fixture
def decode(con, tmp_path):
    """Decode by the exact reader, and by the fast one wherever it applies; both must say the same and miss no unit."""

    def both(data, decoder, source="line-1", needs_care=False, **facts):
        if isinstance(data, list):
            data = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in data)
        file = prepared(tmp_path, data, source=source, **facts)
        exact = run(con, decoder.exact(con, file, tmp_path))
        assert exact.units == decoder.count(file)
        if file.plain:
            fast = run_fast(con, decoder, [file], tmp_path)
            assert fast == (None if needs_care else exact)
        return exact

    return both


def line(value=1, **more):
    return {"ts": TS, "tag": "Xabs", "value": value, **more}


# Lines


def test_an_observation_has_every_column_of_the_interface(decode, con, tmp_path):
    found = decode(["", line(1.25), " \t"], reader(LINES({})))
    assert found.rows == [
        {
            "file": 1,
            "line": 2,
            "part": 1,
            "source": "line-1",
            "tag": "Xabs",
            "ts": AT,
            "value": 1.25,
            "text": None,
            "status": GOOD,
            "detail": None,
            "remarks": 0,
        }
    ]
    assert (found.rejected, found.skipped) == ([], {"blank": 2})
    decoding = reader(LINES({})).fast(con, [], tmp_path)
    types = {row[0]: row[1] for row in con.execute(f"DESCRIBE {decoding.rows}").fetchall()}
    assert types == {
        "file": "INTEGER",
        "line": "BIGINT",
        "part": "INTEGER",
        "source": "VARCHAR",
        "tag": "VARCHAR",
        "ts": "TIMESTAMP WITH TIME ZONE",
        "value": "DOUBLE",
        "text": "VARCHAR",
        "status": "BIGINT",
        "detail": "VARCHAR",
        "remarks": "INTEGER",
    }
    types = {row[0]: row[1] for row in con.execute(f"DESCRIBE {decoding.rejected}").fetchall()}
    assert types == {
        "file": "INTEGER",
        "line": "BIGINT",
        "payload": "VARCHAR",
        "reason": "VARCHAR",
        "detail": "VARCHAR",
    }
    types = {row[0]: row[1] for row in con.execute(f"DESCRIBE {decoding.skipped}").fetchall()}
    assert types == {"file": "INTEGER", "reason": "VARCHAR", "lines": "BIGINT"}


@pytest.mark.parametrize(
    ("value", "number", "text", "status"),
    [
        ("1", 1.0, None, GOOD),
        ("0", 0.0, None, GOOD),
        ("-0", 0.0, "-0", GOOD),
        ("1.5", 1.5, None, GOOD),
        ("1.50", 1.5, "1.50", GOOD),
        ("100.0", 100.0, "100.0", GOOD),
        ("-2.5e3", -2500.0, "-2.5e3", GOOD),
        ("0.0000001", 1e-7, "0.0000001", GOOD),
        ("21.299999237060547", 21.299999237060547, None, GOOD),
        ("9007199254740993", 2.0**53, "9007199254740993", GOOD),
        ("18446744073709551615", 2.0**64, "18446744073709551615", GOOD),
        ("-1234567890123456789012", -1234567890123456789012.0, "-1234567890123456789012", GOOD),
        ("123456789012345678901234.5", 123456789012345678901234.5, "123456789012345678901234.5", GOOD),
        ("9" * 400, None, "9" * 400, GOOD),
        ("1e400", None, "1e400", GOOD),
        ("NaN", None, "NaN", GOOD),
        ("-Infinity", None, "-Infinity", GOOD),
        ('"2.5"', 2.5, None, GOOD),
        ('"2.50"', 2.5, "2.50", GOOD),
        ('" 7"', 7.0, " 7", GOOD),
        ('"1_0"', None, "1_0", GOOD),
        ('"nan"', None, "nan", GOOD),
        ('"ACTIVE"', None, "ACTIVE", GOOD),
        ('""', None, "", GOOD),
        ('"a\\"b\\u00e9\\n"', None, 'a"bé\n', GOOD),
        ('"null"', None, "null", GOOD),
        ('"\\u0001\\u0002#5"', None, "\u0001\u0002#5", GOOD),
        ("true", None, "true", GOOD),
        ("false", None, "false", GOOD),
        ("null", None, None, BAD_NO_DATA),
        ('{"a": [1]}', None, '{"a":[1]}', GOOD),
        ('{"a": [1.50, "\\u0001\\u0002#5"], "b": 2.0}', None, '{"a":[1.50,"\\u0001\\u0002#5"],"b":2.0}', GOOD),
        ("[1, 2]", None, "[1,2]", GOOD),
        ("[5]", None, "[5]", GOOD),
    ],
)
@pytest.mark.parametrize("more", ["", ', "x": "\\u00b0C", "y": ["\\"", 1.0, ":7"]', ', "note": ": 5", "z": 2.50'])
def test_values(decode, value, number, text, status, more):
    """Numbers keep the digits they were written with, whatever else the line holds."""
    found = decode(f'{{"ts": "{TS}", "tag": "Xabs", "value": {value}{more}}}', reader(LINES({})))
    assert found.values == [(number, text, status)]
    assert [row["tag"] for row in found.rows] == ["Xabs"]


def test_a_number_that_no_double_is_gets_a_remark(decode):
    found = decode([line(9007199254740993), line(9007199254740992)], reader(LINES({})))
    assert [row["remarks"] for row in found.rows] == [NUMBER_ROUNDED, 0]


def test_a_value_that_is_not_there_is_no_data(decode):
    assert decode([{"ts": TS, "tag": "Xabs"}], reader(LINES({}))).values == [(None, None, BAD_NO_DATA)]


def test_status_and_source_come_from_their_fields(decode):
    found = decode(
        [
            line(1, status=BAD_OUT_OF_RANGE, source="robot"),
            line(None, status=BAD_OUT_OF_RANGE),
            line(None, status=0),
            line(3, status=None, source=""),
            line(4, status="BadOutOfRange", source=17),
        ],
        reader(LINES({}), FULL),
    )
    assert found.rejected == []
    assert [(row["source"], row["value"], row["status"]) for row in found.rows] == [
        ("robot", 1.0, BAD_OUT_OF_RANGE),
        ("line-1", None, BAD_OUT_OF_RANGE),
        ("line-1", None, BAD_NO_DATA),
        ("line-1", 3.0, GOOD),
        ("17", 4.0, BAD_OUT_OF_RANGE),
    ]


@pytest.mark.parametrize("status", [-1, 2**32, 10**30, 0.5, True, {}, []])
def test_a_status_that_is_no_code_is_rejected(decode, status):
    assert decode([line(1, status=status)], reader(LINES({}), FULL)).reasons == [(1, "status_unreadable")]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}}",
        "nonsense",
        '{"a": 01}',
        "{'a': 1}",
        '{"a": 1} {"a": 2}',
        '{"ts": "\\ud800"}',
        "\ufeff{}",
        "\f{}",
        "// c",
    ],
)
def test_what_is_no_json_is_rejected(decode, text):
    found = decode(["1", text], reader(LINES({})))
    assert [(row["line"], row["payload"], row["reason"]) for row in found.rejected] == [
        (1, "1", "not_an_object"),
        (2, text, "json_invalid"),
    ]


@pytest.mark.parametrize("text", ["[]", '[{"ts": 1}]', "5", '"x"', "null", "true", " [1]"])
def test_what_is_no_object_is_rejected(decode, text):
    assert decode(text, reader(LINES({}))).reasons == [(1, "not_an_object")]


def test_an_object_without_members_is_skipped(decode):
    found = decode(["{}", " { \t} ", '{"":1}'], reader(LINES({})))
    assert (found.skipped, found.reasons) == ({"empty_row": 2}, [(3, "timestamp_unreadable")])


@pytest.mark.parametrize("tag", [None, "", " "])
def test_a_tag_that_is_no_name_is_rejected(decode, tag):
    found = decode([line() | {"tag": tag}, {"ts": TS, "value": 1}], reader(LINES({})))
    assert found.reasons == [(1, "tag_missing"), (2, "tag_missing")]


def test_a_source_has_to_come_from_somewhere(decode):
    assert decode([line()], reader(LINES({})), source=None).reasons == [(1, "source_missing")]
    found = decode([line(source=" "), line(source="x")], reader(LINES({}), FULL), source=None)
    assert (found.reasons, [row["source"] for row in found.rows]) == ([(1, "source_missing")], ["x"])


@pytest.mark.parametrize("ts", [None, "", "yesterday", 5, True, {}, "2024-02-30T00:00:00Z", f"{TS}@1"])
def test_a_timestamp_that_is_none_is_rejected_with_what_was_found(decode, ts):
    found = decode([line() | {"ts": ts}], reader(LINES({})))
    assert found.reasons == [(1, "timestamp_unreadable")]
    shown = "nothing" if ts is None else f'"{ts if isinstance(ts, str) else json.dumps(ts)}"'
    assert found.rejected[0]["detail"] == f"expected an ISO 8601 timestamp in ts, found {shown}"


@pytest.mark.parametrize(
    ("form", "ts", "micros", "remarks"),
    [
        ("epoch_s", "1700000000", 1_700_000_000_000_000, 0),
        ("epoch_s", "1700000000.123456", 1_700_000_000_123_456, 0),
        ("epoch_s", "1700000000.10", 1_700_000_000_100_000, 0),
        ("epoch_s", '"1700000000.9999999"', 1_700_000_000_999_999, TIMESTAMP_CUT),
        ("epoch_s", "-1.5", -1_500_000, 0),
        ("epoch_ms", "1700000000123", 1_700_000_000_123_000, 0),
        ("epoch_ms", "1700000000123.4567", 1_700_000_000_123_456, TIMESTAMP_CUT),
        ("epoch_us", "1700000000123456", 1_700_000_000_123_456, 0),
        ("epoch_ns", "1700000000123456789", 1_700_000_000_123_456, TIMESTAMP_CUT),
        ("epoch_s", "253402300800", None, 0),
        ("epoch_ms", "1e300", None, 0),
        ("epoch_ms", "NaN", None, 0),
        ("epoch_ms", '"2024-05-01T00:00:00Z"', None, 0),
        ("epoch_s", f'"{"9" * 60}"', None, 0),
        ("epoch_s", "null", None, 0),
    ],
)
def test_epochs_are_read_by_their_digits(decode, con, form, ts, micros, remarks):
    found = decode(f'{{"ts": {ts}, "tag": "a", "value": 1}}', reader(LINES({}), format=form))
    if micros is None:
        assert found.reasons == [(1, "timestamp_unreadable")]
        assert f"({form})" in found.rejected[0]["detail"]
        return
    assert con.execute("SELECT epoch_us(?::TIMESTAMPTZ)", [found.rows[0]["ts"]]).fetchall() == [(micros,)]
    assert found.rows[0]["remarks"] == remarks


def test_the_first_of_repeated_names_counts(decode):
    text = f'{{"ts": "{TS}", "tag": "a", "value": 1, "value": 2}}'
    assert decode(text, reader(LINES({}))).values == [(1.0, None, GOOD)]
    assert decode(text, reader(JSON({}))).values == [(1.0, None, GOOD)]


def test_a_large_document_with_a_repeated_name_is_rejected(decode):
    text = f'{{"ts": "{TS}", "tag": "a", "value": 1, "value": 2, "more": "{"x" * (64 << 10)}"}}'
    assert decode(text, reader(JSON({})), needs_care=True).reasons == [(1, "repeated_name")]


def test_names_are_compared_exactly(decode):
    assert decode([{"TS": TS, "tag": "a", "value": 1}], reader(LINES({}))).reasons == [(1, "timestamp_unreadable")]
    ts, tag, value = "~1/a~", "é\"'\\$.*[0]", "$type"
    found = decode([{ts: TS, tag: "x", value: 5.50}], reader(LINES({}), LongReading(tag=tag, value=value), time=ts))
    assert [(row["tag"], row["value"]) for row in found.rows] == [("x", 5.5)]


def test_hostile_lines_are_rejected_alone(decode):
    good = json.dumps(line()).encode()
    deep = b'{"ts": "' + TS.encode() + b'", "tag": "deep", "value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    data = b"\n".join(
        [
            good,
            good + b"\r",
            b"{\xff}",
            b'{"a":"\x00"}',
            b'{"a":"' + b"x" * (10 << 20) + b'"}',
            b"[" * 1000,
            deep,
            good,
        ]
    )
    found = decode(data, reader(LINES({})))
    assert found.reasons == [(3, "invalid_utf8"), (4, "nul_byte"), (5, "line_too_long"), (6, "json_invalid")]
    assert [row["line"] for row in found.rows] == [1, 2, 7, 8]


# Names


def test_a_dotted_name_is_a_path_unless_there_is_such_a_name(decode):
    found = decode(
        [
            line() | {"value": {"v": 1.25}, "value.v": 2},
            f'{{"ts": "{TS}", "tag": "a", "value": {{"v": 1.50}}, "value.v": null}}',
            line() | {"value": {"v": {"v": 1}}},
            {"ts": TS, "tag": "a"},
        ],
        reader(LINES({}), LongReading(tag="tag", value="value.v")),
    )
    assert [(row["value"], row["text"]) for row in found.rows] == [
        (2.0, None),
        (1.5, "1.50"),
        (None, '{"v":1}'),
        (None, None),
    ]


def test_a_path_leads_from_the_root(decode):
    document = {"head": {"at": [TS], "a.b": "Xabs"}, "value": 7}
    shape = LongReading(tag="$.head['a.b']", value="value")
    found = decode([document], reader(LINES({}), shape, time="$.head.at[0]"))
    assert [(row["tag"], row["ts"], row["value"]) for row in found.rows] == [("Xabs", AT, 7.0)]


def test_facts_of_the_path_are_fields_where_the_row_has_none(decode):
    shape = LongReading(tag="{machine}.{tag}", value="value", source="cell")
    found = decode([line(), line(machine="M2"), line(machine=None)], reader(LINES({}), shape), machine="M1", cell="C1")
    assert [(row["tag"], row["source"]) for row in found.rows] == [
        ("M1.Xabs", "C1"),
        ("M2.Xabs", "C1"),
        ("M1.Xabs", "C1"),
    ]


@pytest.mark.parametrize("rows", [LINES({}), JSON({})])
def test_files_of_other_facts_have_another_layout(rows, tmp_path):
    files = [prepared(tmp_path, "{}", n, **facts) for n, facts in enumerate([{"b": "1", "a": "2"}, {"a": "3"}, {}])]
    assert [rows.layout(file) for file in files] == ["a\x1fb", "a", ""]


@pytest.mark.parametrize("name", ["$.a[", "$.a[*].b", "$.", "$[x]"])
def test_a_path_that_leads_nowhere_is_refused_with_its_name(con, tmp_path, name):
    file = prepared(tmp_path, "{}")
    for rows in (LINES({}), JSON({}), LINES({"items": "$.b[*]"})):
        with pytest.raises(UndecodableFile, match="field_missing") as refused:
            reader(rows, LongReading(tag="tag", value=name)).fast(con, [file], tmp_path)
        assert repr(name) in refused.value.detail


# Items


DOCUMENT = f'{{"ts":"{TS}","unit":"C","values":[{{"n":"a","v":1.50}},{{"n":"b","v":2}}]}}'
ITEM = LongReading(tag="n", value="v", unit="$.unit")


@pytest.mark.parametrize("rows", [LINES, JSON])
def test_items_are_rows(decode, rows):
    found = decode(f"{DOCUMENT}\n{DOCUMENT}\n", reader(rows({"items": "$.values[*]"}), ITEM, time="$.ts"))
    assert [(row["line"], row["tag"], row["value"], row["text"], row["detail"]) for row in found.rows] == [
        (1, "a", 1.5, "1.50", '{"unit":"C"}'),
        (2, "b", 2.0, None, '{"unit":"C"}'),
        (3, "a", 1.5, "1.50", '{"unit":"C"}'),
        (4, "b", 2.0, None, '{"unit":"C"}'),
    ]


@pytest.mark.parametrize("rows", [LINES, JSON])
def test_a_document_without_items_is_skipped_and_one_with_something_else_rejected(decode, rows):
    data = '{"values":[]}\n{}\n{"values":null}\n{"values":7}\n{"values":{"a":1}}\n[7]\n' + DOCUMENT
    found = decode(data, reader(rows({"items": "$.values[*]"}), ITEM, time="$.ts"), needs_care=rows is JSON)
    if rows is LINES:
        assert found.skipped == {"no_items": 4}
        assert [(row["line"], row["reason"], row["payload"]) for row in found.rejected] == [
            (4, "items_misplaced", '{"values":7}'),
            (5, "items_misplaced", '{"values":{"a":1}}'),
        ]
        assert [row["line"] for row in found.rows] == [7, 8]


@pytest.mark.parametrize("rows", [LINES, JSON])
def test_an_item_that_is_no_row_is_rejected_with_its_text(decode, rows):
    data = f'{{"ts":"{TS}","values":[5, "x", null, {{}}, [], [1.0], {{"n": "a", "v": 2.50}}, {{"v": 1.50}}]}}'
    found = decode(data, reader(rows({"items": "$.values[*]"}), ITEM, time="$.ts"))
    assert [(row["line"], row["payload"], row["reason"]) for row in found.rejected] == [
        (1, "5", "not_an_object"),
        (2, '"x"', "not_an_object"),
        (3, "null", "not_an_object"),
        (6, "[1.0]", "tag_missing"),
        (8, '{"v":1.50}', "tag_missing"),
    ]
    assert (found.skipped, [(row["line"], row["text"]) for row in found.rows]) == ({"empty_row": 2}, [(7, "2.50")])


RESULT = {
    "data": {
        "result": [
            {"metric": {"name": "up", "at": "x"}, "values": [[1700000000.5, "1"], [1700000060, "0.50"]]},
            {"metric": {"name": "none"}, "values": []},
            {"metric": {"name": "load"}, "values": [[1700000000, "3"]]},
        ]
    }
}


@pytest.mark.parametrize("rows", [LINES, JSON])
def test_lists_in_lists_are_rows_with_what_they_lie_in(decode, rows):
    """An answer of Prometheus to a range query (HTTP API, range vectors)."""
    shape = LongReading(tag="$.data.result[*].metric.name", value="1")
    found = decode(
        [RESULT, RESULT],
        reader(rows({"items": "$.data.result[*].values[*]"}), shape, time="0", format="epoch_s"),
    )
    one = [("up", 1.0, None, 0.5), ("up", 0.5, "0.50", 60), ("load", 3.0, None, 0)]
    assert [
        (row["tag"], row["value"], row["text"], row["ts"].timestamp() - 1700000000) for row in found.rows
    ] == one * 2
    assert [row["line"] for row in found.rows] == [1, 2, 4, 5, 6, 8]
    assert found.skipped == {"no_items": 2}


@pytest.mark.parametrize("rows", [LINES, JSON])
def test_members_of_an_object_are_items_too(decode, rows):
    data = f'{{"at": "{TS}", "sensors": {{"s1": {{"n": "a", "v": 1.0}}, "s2": {{"n": "b", "v": 2}}}}}}'
    found = decode(data, reader(rows({"items": "$.sensors.*"}), LongReading(tag="n", value="v"), time="$.at"))
    assert [(row["tag"], row["text"]) for row in found.rows] == [("a", "1.0"), ("b", None)]


@pytest.mark.parametrize("rows", [LINES, JSON])
def test_entries_are_rows_of_key_and_value(decode, rows):
    full = f'{{"ts":"{TS}","payload":{{"a":1.50,"b":null,"c":{{"v":1}},"##":"x"}}}}'
    data = f'{full}\n{{"ts":"{TS}","payload":{{}}}}\n{{"payload":3}}'
    found = decode(data, reader(rows({"entries": "$.payload"}), BY_KEY))
    assert [(row["line"], row["tag"], row["value"], row["text"], row["status"]) for row in found.rows] == [
        (1, "a", 1.5, "1.50", GOOD),
        (2, "b", None, None, BAD_NO_DATA),
        (3, "c", None, '{"v":1}', GOOD),
        (4, "##", None, "x", GOOD),
    ]
    assert (found.skipped, found.reasons) == ({"no_items": 1}, [(6, "items_misplaced")])


def test_entries_of_items_take_their_time_from_the_item(decode):
    data = f'{{"values": [{{"ts": "{TS}", "p": {{"a": 1, "b": 2}}}}, {{"ts": null, "p": {{"c": 3.50}}}}]}}'
    for options in ({"items": "$.values[*]", "entries": "p"}, {"entries": "$.values[*].p"}):
        found = decode(data, reader(LINES(options), BY_KEY))
        assert [(row["tag"], row["value"]) for row in found.rows] == [("a", 1.0), ("b", 2.0)]
        assert [(row["payload"], row["reason"]) for row in found.rejected] == [
            ('{"key":"c","value":3.50}', "timestamp_unreadable")
        ]


def test_entries_of_the_document_itself_and_members_of_their_values(decode):
    data = f'{{"a": {{"v": 1.50, "at": "{TS}"}}, "b": {{"v": 2, "at": "{TS}"}}}}'
    found = decode(data, reader(LINES({"entries": "$"}), LongReading(tag="key", value="value.v"), time="value.at"))
    assert [(row["tag"], row["value"], row["text"]) for row in found.rows] == [("a", 1.5, "1.50"), ("b", 2.0, None)]


def test_lists_of_documents_are_documents_in_json_but_not_in_lines(decode):
    rows = [line(1), line(2)]
    assert decode([rows], reader(LINES({}))).reasons == [(1, "not_an_object")]
    assert len(decode([rows], reader(LINES({"items": "$[*]"}))).rows) == 2
    for options in ({}, {"items": "$[*]"}):
        assert len(decode([rows], reader(JSON(options))).rows) == 2
    nested = [{"values": rows}, {"values": rows}]
    for items in ("$.values[*]", "$[*].values[*]"):
        assert len(decode([nested], reader(JSON({"items": items}))).rows) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"items": "values[*]"}, "no JSON path: 'values"),
        ({"items": "$.values"}, r"end '\$.values' with \[\*\]"),
        ({"items": "$.values[*].x"}, "items: end"),
        ({"items": "$"}, "items: end"),
        ({"items": "$.a" + "[*]" * 9}, "at most 8"),
        ({"items": ""}, "items"),
        ({"entries": "$.a[?(@.b)]"}, "no JSON path"),
        ({"items": "$.a[*]", "entries": "$.b"}, "does not lie within the items"),
        ({"item": "$.a[*]"}, "item"),
    ],
)
@pytest.mark.parametrize("rows", [LINES, JSON])
def test_options_that_do_not_fit_are_refused(rows, options, message):
    with pytest.raises(pydantic.ValidationError, match=message):
        rows(options)


def test_units_are_named_for_what_is_counted():
    assert [rows.unit for rows in (LINES({}), JSON({}), LINES({"items": "$[*]"}), JSON({"entries": "$"}))] == [
        "line",
        "document",
        "item",
        "item",
    ]


# Layouts


def layouts(objects):
    texts = [json.dumps(item) for item in objects]
    return {
        "lines": "\n".join(texts),
        "documents": "".join(texts),
        "pretty documents": "\n\n".join(json.dumps(item, indent=2) for item in objects),
        "list": json.dumps(objects),
        "compact list": json.dumps(objects, separators=(",", ":")),
        "pretty list": json.dumps(objects, indent="\t"),
        "list of lines": "[\r\n" + ",\r\n".join(texts) + "\r\n]\r\n",
        "marked": "\ufeff " + json.dumps(objects),
    }


def test_one_data_gives_one_table_in_every_layout(decode):
    objects = [line(n / 4, text="},{ }{ ]", deep=[{"a": {}}, {"b": []}]) for n in range(7)]
    expected = decode(layouts(objects)["lines"], reader(LINES({})))
    assert len(expected.rows) == 7
    for name, text in layouts(objects).items():
        found = decode(text, reader(JSON({})), needs_care=True)
        assert found == expected, name


def test_clean_texts_of_every_layout_are_read_fast(decode):
    objects = [line(n / 4, text="}; {, [x]", deep=[{"a": {}}, {"b": []}]) for n in range(7)]
    expected = decode(layouts(objects)["lines"], reader(LINES({})))
    for text in layouts(objects).values():
        assert decode(text, reader(JSON({}))) == expected


@pytest.mark.parametrize("text", ["", " \n", "[]", "[ ]\n", "\ufeff[\n]"])
def test_a_text_without_documents_has_no_units(decode, text):
    assert decode(text, reader(JSON({}))) == Decoded([], [], {})


A = json.dumps(line())


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (f"[{A},]", ["json_invalid"]),
        (f"[{A}", ["json_invalid"]),
        (f"[{A}]]", ["json_invalid"]),
        (f"[{A}] x", ["json_invalid"]),
        (f"[{A},{{}},]", ["json_invalid"]),
        (f"{A},{A}", ["json_invalid"]),
        (f'[{A},{{"a":1,}},{A}]', ["json_invalid"]),
        (f'[{A},{{"a":nan}},{A}]', ["json_invalid"]),
        (f'[{A},{{"a":-INF}},{A}]', ["json_invalid"]),
        (f'[{A},{{"a":"\\ud800"}},{A}]', ["json_invalid"]),
        (f'{A}\n{{"a":{"[" * 70}{"]" * 70}}}\n{A}', ["nested_too_deep"]),
        (f"[{A},5,\n{A}]", ["json_invalid"]),
        (f"[{A},[1],{A}]", ["not_an_object"]),
        (f'{A}{{"a":"\udcff"}}{A}', ["invalid_utf8"]),
    ],
)
def test_what_is_broken_is_left_to_the_exact_reader(decode, text, reasons):
    found = decode(text, reader(JSON({})), needs_care=True)
    assert [reason for _, reason in found.reasons] == reasons
    assert all(row["value"] == 1.0 for row in found.rows)
    assert len(found.rows) >= 1


def test_infinite_numbers_as_many_writers_emit_them_need_no_care(decode):
    text = f'[{{"ts":"{TS}","tag":"a","value":NaN,"note":"x, information, inf. nano"}}]'
    assert decode(text, reader(JSON({}))).values == [(None, "NaN", GOOD)]


def test_a_document_that_is_too_large_is_rejected_alone(con, tmp_path):
    rows = replace(JSON({}), limits=DocumentLimits(max_bytes=200))
    large = json.dumps(line(text="x" * 300))
    file = prepared(tmp_path, f"{A}\n{large}\n{A}")
    decoder = reader(rows)
    found = run(con, decoder.exact(con, file, tmp_path))
    assert (found.reasons, len(found.rows), decoder.count(file)) == ([(2, "document_too_large")], 2, 3)
    with pytest.raises(UndecodableFile, match="larger than 200 bytes"):
        decoder.fast(con, [file], tmp_path)


def test_a_long_line_of_documents_is_as_good_as_many_short_ones(con, tmp_path):
    """The survey does not call it plain, so the exact reader gets it: that one splits what is clean in the fast way."""
    file = prepared(tmp_path, "[" + ",".join([A] * 20_000) + "]")
    assert not file.plain
    decoder = reader(JSON({}))
    assert decoder.count(file) == 20_000
    with patch.object(json_rows, "elements", side_effect=AssertionError("the text is clean")):
        assert len(run(con, decoder.exact(con, file, tmp_path)).rows) == 20_000


@pytest.mark.parametrize("between", [", ", ",\n", ",", " ,\n\n  "])
def test_blocks_of_any_size_give_the_same_pieces(con, tmp_path, between):
    objects = [json.dumps(line(n, text="é" * (n % 7))) for n in range(50)]
    file = prepared(tmp_path, f"[{between.join(objects)}]")
    expected = run(con, reader(JSON({})).exact(con, file, tmp_path))
    for size in (100, 333, 5000):
        with patch.object(json_splitting, "BLOCK_BYTES", size):
            assert run(con, reader(JSON({})).fast(con, [file], tmp_path)) == expected


def test_several_files_keep_their_numbers_and_sources(con, tmp_path):
    files = [prepared(tmp_path, f"[{A},{A}]", n, f"s{n}" if n else None, tag="T", n=str(n)) for n in range(3)]
    for rows, data in ((LINES, f"{A}\n{A}"), (JSON, f"[{A},{A}]")):
        files = [prepared(tmp_path, data, n, f"s{n}" if n else None, n=str(n)) for n in range(3)]
        shape = LongReading(tag="tag", value="value", source="{n}.{tag}")
        found = run(con, reader(rows({}), shape).fast(con, files, tmp_path))
        assert [(row["file"], row["line"], row["source"]) for row in found.rows] == [
            (n, line, f"{n}.Xabs") for n in range(3) for line in (1, 2)
        ]
        found = run(con, reader(rows({})).fast(con, files, tmp_path))
        assert [row["source"] for row in found.rows] == ["s1", "s1", "s2", "s2"]
        assert [(row["file"], row["reason"]) for row in found.rejected] == [(0, "source_missing")] * 2


@pytest.mark.parametrize("options", [{}, {"items": "$.deep[*]"}, {"entries": "$"}])
def test_large_texts_are_counted_by_another_reader_than_small_ones(con, tmp_path, options):
    """The outlines and DuckDB's reader of JSON files have to come to one number."""
    objects = [line(n, deep=[{"a": 1}, {"b": [2]}][: n % 3]) for n in range(20)]
    for text in layouts(objects).values():
        file = prepared(tmp_path, text)
        rows = JSON(options)
        counted = rows.count(file)
        with patch.object(json_rows, "OUTLINED_UP_TO_BYTES", 0):
            assert rows.count(file) == counted
            with patch.object(json_rows, "element_outlines", side_effect=AssertionError("the text is clean")):
                assert rows.count(file) == counted
        assert run(con, reader(rows).fast(con, [file], tmp_path)).units == counted


@pytest.mark.parametrize(
    ("options", "text", "units"),
    [
        ({}, f'[{A},{{"a":{"[" * 70}{"]" * 70}}},{A},{A}]', 2),
        ({}, f'[{A},{{"a":[\n{{"b":1,}}\n]}},{A}]', 4),
        ({}, f"[{A},[1],{A}]", 3),
        ({"items": "$.values[*]"}, '[{"values":[{"n":"a"},{"n":"\\ud800"}]},{"values":[1,2]}]', 3),
        ({"items": "$.values[*]"}, '[{"values":[{"n":"a"},{"\\udc00":1}]},{"values":[1,2]}]', 3),
        ({"items": "$.values[*]"}, '[{"values":[1,2],"a":1,"a":2},{"values":[1,2]}]', 3),
        ({"items": "$.values[*]"}, '[{"values":[1,2],"a":nan},{"values":[1,2]}]', 3),
    ],
)
def test_what_duckdb_would_count_otherwise_is_not_left_to_it(con, tmp_path, options, text, units):
    file = prepared(tmp_path, text)
    rows = JSON(options)
    assert run(con, reader(rows).exact(con, file, tmp_path)).units == units
    assert rows.count(file) == units
    with patch.object(json_rows, "OUTLINED_UP_TO_BYTES", 0):
        assert rows.count(file) == units


def test_lines_that_cannot_be_read_are_not_counted_wrongly(tmp_path):
    file = replace(prepared(tmp_path, '{"a":[1]}\n{"a":[1,2]}'), lines=3)
    with pytest.raises((UndecodableFile, duckdb.Error)):
        LINES({"items": "$.a[*]"}).count(replace(file, plain=False))


# Records


@pytest.mark.parametrize("rows", [LINES({}), JSON({})])
def test_a_record_has_all_fields_sorted_and_as_written(decode, rows):
    found = decode(
        '{"cost": 183.050, "at": "2024-05-01T10:00:00Z", "asset": "A", "more": {"x": [1.0]}, "none": null}\n'
        '  {"at":"2024-05-01T12:00:00+02:00", "w": NaN}\t',
        reader(rows, RECORD, time="at"),
    )
    assert found.rejected == []
    assert [(row["line"], row["part"], row["ts"], row["remarks"]) for row in found.rows] == [
        (n, 1, datetime(2024, 5, 1, 10, tzinfo=UTC), 0) for n in (1, 2)
    ]
    assert [row["payload"] for row in found.rows] == [
        '{"asset":"A","at":"2024-05-01T10:00:00Z","cost":183.050,"more":{"x":[1.0]},"none":null}',
        '{"at":"2024-05-01T12:00:00+02:00","w":"NaN"}',
    ]


def test_a_record_may_have_only_some_fields(decode):
    shape = RecordReading(model="WorkOrder", only=("asset", "more.x", "none"))
    found = decode('{"at": "2024-05-01T10:00:00Z", "asset": "A", "more": {"x": 1.50}}', reader(LINES({}), shape, "at"))
    assert [row["payload"] for row in found.rows] == ['{"asset":"A","more.x":"1.50","none":null}']


@pytest.mark.parametrize(
    ("form", "value", "zone", "expected", "remarks"),
    [
        ("iso", "2024-05-01T10:00:00", "Europe/Paris", datetime(2024, 5, 1, 8, tzinfo=UTC), 0),
        (
            "iso",
            "2024-05-01T10:00:00.1234567Z",
            "UTC",
            datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC),
            TIMESTAMP_CUT,
        ),
        ("date", "2024-05-01", "Europe/Paris", datetime(2024, 4, 30, 22, tzinfo=UTC), 0),
        ("epoch_ms", 1714557600123, "Europe/Paris", datetime(2024, 5, 1, 10, 0, 0, 123000, tzinfo=UTC), 0),
    ],
)
def test_the_declared_field_says_when_a_record_happened(decode, form, value, zone, expected, remarks):
    found = decode([{"at": value}], reader(LINES({}), RECORD, "at", zone, format=form))
    assert found.rejected == []
    assert [(row["ts"], row["remarks"]) for row in found.rows] == [(expected, remarks)]


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("iso", "2024-05-01"), ("iso", None), ("iso", 5), ("iso", ["2024-05-01T10:00:00Z"]), ("iso", ""),
        ("date", "2024-05-01T10:00:00Z"), ("date", "2024-02-30"), ("date", "0000-01-01"), ("date", 20240501),
        ("epoch_s", "yesterday"), ("epoch_ms", True),
    ],
)  # fmt: skip
def test_a_record_without_a_possible_time_is_rejected(decode, form, value):
    found = decode([{"at": value}, {"other": value}], reader(LINES({}), RECORD, "at", format=form))
    assert found.rows == []
    assert found.reasons == [(1, "timestamp_unreadable"), (2, "timestamp_unreadable")]
    assert found.rejected[1]["detail"].endswith("found nothing")
    assert json.loads(found.rejected[0]["payload"]) == {"at": value}


def test_what_is_no_record_is_rejected_with_its_reason(decode):
    at = '"at":"2024-05-01T10:00:00Z"'
    lines = [
        "{", "[1]", "5", f'{{{at},"a":1,"\\u0061":1}}', f'{{{at},"a":"\udcff"}}', f'{{{at},"a":"x\x00y"}}',
        f"{{{at}}} {{{at}}}",
        f'{{{at},"a":"' + "x" * (1 << 20) + '"}',
    ]  # fmt: skip
    found = decode("\n".join([*lines, f'{{{at},"a":{{"b":1,"b":2}}}}']), reader(LINES({}), RECORD, "at"))
    assert [row["line"] for row in found.rows] == [9]
    assert [reason for _, reason in found.reasons] == [
        "json_invalid", "not_an_object", "not_an_object", "repeated_name", "invalid_utf8", "nul_byte", "json_invalid",
        "line_too_long",
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [LINES, JSON])
def test_items_and_entries_are_records_too(decode, rows):
    data = f'{{"ts":"{TS}","a":[{{"z":1.50,"b":"x"}},[1]]}}'
    found = decode(data, reader(rows({"items": "$.a[*]"}), RECORD, "$.ts"))
    assert [row["payload"] for row in found.rows] == ['{"b":"x","z":1.50}']
    assert found.reasons == [(2, "not_an_object")]
    found = decode(f'{{"ts":"{TS}","a":{{"z":1.50}}}}', reader(rows({"entries": "$.a"}), RECORD))
    assert [row["payload"] for row in found.rows] == ['{"key":"z","value":1.50}']


# Declarations


def test_a_declaration_names_the_format():
    fields = {"name": "a", "plant": "p", "glob": "*", "time": {"field": "ts"}}
    long = {"tag": "tag", "value": "value"}
    lines = SourceEntry(**fields, format="json_lines", long=long, options={"items": "$.values[*]"})
    (reading,) = lines.readings()
    assert isinstance(reading.decoder, Tabular)
    assert reading.decoder.rows == LINES({"items": "$.values[*]"})
    assert SourceEntry(**fields, format="json", long=long).readings()[0].decoder.rows == JSON({})
    with pytest.raises(pydantic.ValidationError, match="options"):
        SourceEntry(**fields, format="json", long=long, options={"items": "values"})


# Real data


def unpacked(name, folder):
    path = folder / name.removesuffix(".gz")
    path.write_bytes(gzip.decompress((VECTORS / name).read_bytes()))
    (member,) = survey(path, folder, Limits()).members
    return PreparedFile(1, member.text, None, member.lines, member.plain)


WIDE = {
    "speed": ("speed", "payload.speed"),
    "latitude": ("latitude", "payload.lat"),
    "longitude": ("longitude", "payload.lon"),
    "route_id": ("route_id", "$.payload.route"),
    "trip_id": ("trip_id", "payload.trip"),
}


def wide(format_name, options, place, source):
    return (
        SourceEntry(
            name="bus",
            plant="austin",
            glob="*",
            format=format_name,
            options=options,
            time={"field": "timestamp" if format_name == "csv" else "ts"},
            wide=WideReading(columns={tag: names[place] for tag, names in WIDE.items()}, source=source),
        )
        .readings()[0]
        .decoder
    )


def test_messages_of_buses_say_what_the_table_of_the_same_day_says(con, tmp_path):
    csv = wide("csv", {}, 0, "vehicle_id")
    expected = run(con, csv.fast(con, [unpacked("2016-09-01.csv.gz", tmp_path)], tmp_path)).rows
    messages = unpacked("2016-09-01.jsonl.gz", tmp_path)
    source = {"field": "topic", "pattern": "vehicle/([^/]+)/"}
    assert len({row["line"] for row in expected}) == 548
    for name in ("json_lines", "json"):
        decoder = wide(name, {}, 1, source)
        assert decoder.count(messages) == 548
        for decoding in (decoder.fast(con, [messages], tmp_path), decoder.exact(con, messages, tmp_path)):
            found = run(con, decoding)
            assert (found.rejected, found.skipped) == ([], {})
            # The table has a header.
            assert [row | {"line": row["line"] + 1} for row in found.rows] == expected


def test_members_of_a_payload_are_tags_without_naming_them(con, tmp_path):
    messages = unpacked("2016-09-01.jsonl.gz", tmp_path)
    shape = LongReading(tag="key", value="value", source={"field": "topic", "pattern": "vehicle/([^/]+)/"})
    decoder = reader(LINES({"entries": "$.payload"}), shape)
    found = run(con, decoder.fast(con, [messages], tmp_path))
    assert (decoder.count(messages), len(found.rows)) == (548 * 5, 548 * 5)
    assert {row["tag"] for row in found.rows} == {"speed", "lat", "lon", "route", "trip"}
    lat = [row["value"] for row in found.rows if row["tag"] == "lat"]
    assert [str(value) for value in lat[:2]] == ["30.418316", "30.391806"]


# Whatever comes


VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from([TS, "1", "nan", 0, 2**32, 1.7e9, "Xabs", "", "}, {", "\u0001\u0002#1", ': 1.0, "']),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "ts"]), inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["tag", "value", "source", "status", "values", "ts", "x.y"], VALUE)
)
GOOD_OBJECT = st.fixed_dictionaries(
    {"ts": st.just(TS), "tag": st.just("a"), "value": VALUE},
    optional={"values": st.lists(st.fixed_dictionaries({"tag": st.just("b"), "value": VALUE}) | VALUE, max_size=3)},
)
INDENT = st.sampled_from([None, 1])


@st.composite
def written(draw, value):
    """JSON text of a value as some writer could have written it: numbers with more digits, blanks, escapes."""
    text = json.dumps(draw(value), ensure_ascii=draw(st.booleans()), indent=draw(INDENT))
    if draw(st.booleans()):
        text = text.replace(".5", ".50").replace("0,", "0.00,").replace("0}", "0e1}")
    return text


BROKEN = st.sampled_from(
    [
        "",
        " ",
        "{",
        '{"ts": 1,}',
        '{"ts"',
        "]",
        "}",
        ",",
        "[",
        '{"a":1,"a":2}',
        '{"v":"\\ud800"}',
        '{"a":nan}',
        "5",
        "{}",
    ]
)


@st.composite
def texts(draw):
    """Documents of any kind in any layout, sometimes with a piece of text taken out, repeated or put in."""
    pieces = draw(st.lists(written(OBJECT | GOOD_OBJECT) | written(VALUE) | BROKEN, max_size=6))
    between = draw(st.sampled_from(["\n", "\r\n", ",", " , ", ",\n", ""]))
    text = between.join(pieces)
    if draw(st.booleans()):
        text = f"[{text}]"
    if text and draw(st.booleans()):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start, min(len(text), start + 4)))
        text = text[:start] + draw(st.sampled_from(["", text[start:end] * 2, "}", "{", ",", '"', "\n{"])) + text[end:]
    return text


OPTIONS = st.sampled_from(
    [
        ({}, FULL, "ts"),
        ({}, LongReading(tag="tag", value="x.y"), "$.ts"),
        ({}, WideReading(columns={"v": "value", "s": "values", "a": "value.a"}), "ts"),
        ({}, RECORD, "ts"),
        ({"items": "$.values[*]"}, LongReading(tag="tag", value="value"), "$.ts"),
        ({"items": "$.values[*].a.*"}, LongReading(tag="$.tag", value="a"), "$.ts"),
        ({"items": "$.values[*]"}, RECORD, "$.ts"),
        ({"entries": "$"}, LongReading(tag="key", value="value", status="status"), "ts"),
        ({"entries": "value"}, LongReading(tag="key", value="value.a"), "ts"),
    ]
)


def survey_of(folder, text, number=0):
    with patch("idm_assets.capture.survey.is_binary", return_value=False):
        return prepared(folder, text, number)


@given(st.lists(texts(), min_size=1, max_size=2), OPTIONS, st.sampled_from([LINES, JSON]))
@settings(max_examples=40, deadline=None)
def test_the_fast_path_means_what_the_exact_one_means(con, tmp_path_factory, contents, declared, rows):
    folder = tmp_path_factory.mktemp("json")
    options, shape, time = declared
    decoder = reader(rows(options), shape, time)
    files = [survey_of(folder, text, number) for number, text in enumerate(contents)]
    exact = [run(con, decoder.exact(con, file, folder)) for file in files]
    for file, found in zip(files, exact, strict=True):
        assert found.units == decoder.count(file)
        with patch.object(json_rows, "OUTLINED_UP_TO_BYTES", 0):
            assert found.units == decoder.count(file)
        assert run(con, decoder.exact(con, replace(file, plain=False), folder)) == found
    plain = [(file, found) for file, found in zip(files, exact, strict=True) if file.plain]
    fast = run_fast(con, decoder, [file for file, _ in plain], folder)
    assert fast is not None or rows is JSON
    if fast is not None:
        assert fast.rows == [row for _, found in plain for row in found.rows]
        assert fast.rejected == [row for _, found in plain for row in found.rejected]
        assert sum(fast.skipped.values()) == sum(sum(found.skipped.values()) for _, found in plain)


@given(st.lists(GOOD_OBJECT, min_size=1, max_size=8), OPTIONS)
@settings(max_examples=15, deadline=None)
def test_every_layout_of_the_same_data_gives_the_same(con, tmp_path_factory, objects, declared):
    folder = tmp_path_factory.mktemp("layouts")
    options, shape, time = declared
    lines = survey_of(folder, "\n".join(json.dumps(item) for item in objects))
    expected = run(con, reader(LINES(options), shape, time).exact(con, lines, folder))
    decoder = reader(JSON(options), shape, time)
    for text in layouts(objects).values():
        found = run(con, decoder.exact(con, survey_of(folder, text), folder))
        assert found.rows == expected.rows
        assert found.reasons == expected.reasons
        assert found.skipped == expected.skipped


@given(st.lists(GOOD_OBJECT, min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_values_are_those_that_json_says(con, tmp_path_factory, objects):
    folder = tmp_path_factory.mktemp("json")
    file = survey_of(folder, "\n".join(json.dumps(item) for item in objects))
    found = run(con, reader(LINES({})).exact(con, file, folder))
    assert found.rejected == []
    for row, item in zip(found.rows, objects, strict=True):
        value = item["value"]
        said = row["text"]
        if isinstance(value, str):
            assert value == said or (said is None and float(value) == row["value"])
        elif isinstance(value, dict | list):
            assert json.dumps(json.loads(said)) == json.dumps(value)
        elif value is not None:
            delivered = json.dumps(value)
            assert said == delivered or (said is None and row["value"] == float(delivered))
        assert row["status"] == (BAD_NO_DATA if value is None else GOOD)


PIECE = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        A.encode() + b"\n",
        b'{"ts":1}\n',
        b"[]\n",
        b'{"values":[{}]}',
    ]
)


@given(st.lists(PIECE | st.binary(max_size=5), max_size=20).map(b"".join), st.integers(5, 100))
@settings(max_examples=30, deadline=None)
def test_every_unit_of_any_bytes_is_accounted_for(con, tmp_path_factory, data, chunk):
    folder = tmp_path_factory.mktemp("any")
    try:
        file = prepared(folder, data)
    except UnreadableCapture:
        return
    for options in ({}, {"items": "$.values[*]"}):
        lines = reader(JsonLineRows.from_options(options), FULL)
        lines = replace(lines, rows=replace(lines.rows, limits=Limits(max_line_bytes=64)))
        with patch.object(framing, "CHUNK_BYTES", chunk):
            assert run(con, lines.exact(con, file, folder)).units == lines.count(replace(file, plain=False))
        documents = reader(JSON(options), FULL)
        assert run(con, documents.exact(con, file, folder)).units == documents.count(file)


def test_the_order_of_items_is_that_of_the_file(con, tmp_path):
    documents = [
        {
            "ts": TS,
            "a": [{"b": [{"tag": f"{i}.{j}.{k}", "value": 1} for k in range((i * j) % 4)]} for j in range(12)],
        }
        for i in range(300)
    ]
    tags = [leaf["tag"] for document in documents for item in document["a"] for leaf in item["b"]]
    for rows in (LINES, JSON):
        file = prepared(tmp_path, "\n".join(map(json.dumps, documents)))
        decoder = reader(rows({"items": "$.a[*].b[*]"}), LONG, "$.ts")
        found = run(con, decoder.fast(con, [file], tmp_path))
        assert [row["tag"] for row in found.rows] == tags
        assert (
            found.units
            == decoder.count(file)
            == 300 * 12
            - found.skipped["no_items"] * 0
            + sum(max(0, len(item["b"]) - 1) for document in documents for item in document["a"])
        )
