import json
import math
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import duckdb
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture import framing
from idm_assets.capture.decoders import Decoding, PreparedFile, decoder_for
from idm_assets.capture.decoders.json_lines import (
    JSON_INVALID,
    NOT_AN_OBJECT,
    SOURCE_MISSING,
    STATUS_UNREADABLE,
    TAG_MISSING,
    JsonLines,
    JsonLinesOptions,
)
from idm_assets.capture.framing import INVALID_UTF8, LINE_TOO_LONG, NUL_BYTE
from idm_assets.capture.survey import Limits, UnreadableCapture, survey
from idm_assets.capture.text_values import BLANK, TIMESTAMP_UNREADABLE
from idm_assets.status import BAD_NO_DATA, BAD_OUT_OF_RANGE, GOOD

TS = "2024-05-01T00:00:00.5Z"
AT = datetime(2024, 5, 1, 0, 0, 0, 500000, tzinfo=UTC)
SIMPLE = {"ts": "ts", "tag": "tag", "value": "value"}
FULL = {**SIMPLE, "source": "source", "status": "status", "text": "text"}


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2; SET TimeZone = 'America/Los_Angeles'")
        yield connection


def prepared(folder: Path, data: str | bytes, number: int = 1, source: str | None = "line-1") -> PreparedFile:
    path = folder / f"{number}.jsonl"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    surveyed = survey(path, folder, Limits())
    return PreparedFile(number, surveyed.text, source, surveyed.lines, surveyed.plain)


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[dict]:
    result = con.execute(f"SELECT * FROM ({query}) ORDER BY ALL")
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def run(con: duckdb.DuckDBPyConnection, decoding: Decoding) -> tuple[list[dict], list[dict], dict]:
    skipped = {(row["file"], row["reason"]): row["lines"] for row in rows(con, decoding.skipped)}
    return rows(con, decoding.rows), rows(con, decoding.rejected), skipped


def accounted(result: tuple[list[dict], list[dict], dict]) -> int:
    observations, rejected, skipped = result
    return sum(row["part"] == 1 for row in observations) + len(rejected) + sum(skipped.values())


@pytest.fixture
def decode(con, tmp_path):
    """Decode lines by the exact path, and by the fast one wherever it applies."""

    def both(lines, fields=SIMPLE, ts_format="iso", source: str | None = "line-1"):
        if not isinstance(lines, bytes):
            lines = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines).encode()
        file = prepared(tmp_path, lines, source=source)
        decoder = JsonLines.from_options({"fields": fields, "ts_format": ts_format})
        exact = run(con, decoder.exact(con, file))
        assert accounted(exact) == file.lines
        if file.plain:
            assert run(con, decoder.fast(con, [file])) == exact
        return exact

    return both


@pytest.fixture
def observe(decode):
    def observations(*lines, **how):
        found, rejected, _ = decode(lines, **how)
        assert rejected == []
        return [(row["value"], row["text"], row["status"]) for row in found]

    return observations


@pytest.fixture
def reasons(decode):
    def found(*lines, **how):
        return [row["reason"] for row in decode(lines, **how)[1]]

    return found


def line(value: object = 1, **more: object) -> dict:
    return {"ts": TS, "tag": "Xabs", "value": value, **more}


def test_an_observation_has_every_column_of_the_interface(decode, con):
    found, rejected, skipped = decode(["", line(1.25), " \t"])
    assert found == [
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
            "ts_truncated": False,
        }
    ]
    assert (rejected, skipped) == ([], {(1, BLANK): 2})
    decoding = JsonLines.from_options({"fields": FULL}).fast(con, [])
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
        "ts_truncated": "BOOLEAN",
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
        ("-2.5e3", -2500.0, None, GOOD),
        ("9007199254740991", 2.0**53 - 1, None, GOOD),
        ("9007199254740993", 2.0**53, "9007199254740993", GOOD),
        ("-1234567890123456789012", -1234567890123456789012.0, "-1234567890123456789012", GOOD),
        ("1e400", None, "1e400", GOOD),
        ("NaN", None, "NaN", GOOD),
        ("-Infinity", None, "-Infinity", GOOD),
        ('"2.5"', 2.5, "2.5", GOOD),
        ('" 7"', 7.0, " 7", GOOD),
        ('"1_0"', None, "1_0", GOOD),
        ('"nan"', None, "nan", GOOD),
        ('"ACTIVE"', None, "ACTIVE", GOOD),
        ('""', None, "", GOOD),
        ('"a\\"b\\u00e9\\n"', None, 'a"bé\n', GOOD),
        ('"null"', None, "null", GOOD),
        ("true", None, "true", GOOD),
        ("false", None, "false", GOOD),
        ("null", None, None, BAD_NO_DATA),
        ('{"a": [1]}', None, '{"a":[1]}', GOOD),
        ("[1, 2]", None, "[1,2]", GOOD),
    ],
)
def test_values(observe, value, number, text, status):
    assert observe(f'{{"ts": "{TS}", "tag": "Xabs", "value": {value}}}') == [(number, text, status)]


def test_a_value_that_is_not_there_is_no_data(observe):
    assert observe({"ts": TS, "tag": "Xabs"}) == [(None, None, BAD_NO_DATA)]


def test_status_text_and_source_come_from_their_fields(decode):
    found, rejected, _ = decode(
        [
            line(1, status=BAD_OUT_OF_RANGE, source="robot"),
            line(None, status=BAD_OUT_OF_RANGE),
            line(None, status=0),
            line(None, text="RUNNING"),
            line(3, text="three", status=None, source=""),
            line(4, text=True, status=2**32 - 1, source=17),
        ],
        fields=FULL,
    )
    assert rejected == []
    assert [(row["source"], row["value"], row["text"], row["status"]) for row in found] == [
        ("robot", 1.0, None, BAD_OUT_OF_RANGE),
        ("line-1", None, None, BAD_OUT_OF_RANGE),
        ("line-1", None, None, BAD_NO_DATA),
        ("line-1", None, "RUNNING", GOOD),
        ("line-1", 3.0, "three", GOOD),
        ("17", 4.0, "true", 2**32 - 1),
    ]


@pytest.mark.parametrize("status", [-1, 2**32, 10**30, 0.5, "0", "Good", True, {}, []])
def test_a_status_that_is_no_code_is_rejected(reasons, status):
    assert reasons(line(1, status=status), fields=FULL) == [STATUS_UNREADABLE]


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
    _, rejected, _ = decode(["1", text])
    assert [(row["line"], row["payload"], row["reason"]) for row in rejected] == [
        (1, "1", NOT_AN_OBJECT),
        (2, text, JSON_INVALID),
    ]


@pytest.mark.parametrize("text", ["[]", '[{"ts": 1}]', "5", '"x"', "null", "true", " [1]"])
def test_what_is_no_object_is_rejected(reasons, text):
    assert reasons(text) == [NOT_AN_OBJECT]


@pytest.mark.parametrize("tag", [None, "", " ", True, {}, ["a"]])
def test_a_tag_that_is_no_name_is_rejected(reasons, tag):
    assert reasons(line() | {"tag": tag}, {"ts": TS, "value": 1}) == [TAG_MISSING, TAG_MISSING]


def test_a_source_has_to_come_from_somewhere(reasons):
    assert reasons(line(), source=None) == [SOURCE_MISSING]
    assert reasons(line(source=" "), line(source="x"), source=None, fields=FULL) == [SOURCE_MISSING]


@pytest.mark.parametrize("ts", [None, "", "yesterday", 5, True, {}, "2024-02-30T00:00:00Z", f"{TS}@1"])
def test_a_timestamp_that_is_none_is_rejected_with_what_was_found(decode, ts):
    _, rejected, _ = decode([line() | {"ts": ts}])
    assert [row["reason"] for row in rejected] == [TIMESTAMP_UNREADABLE]
    assert rejected[0]["detail"] == f"field 'ts': expected an ISO 8601 text, found {json.dumps(ts)}"


@pytest.mark.parametrize(
    ("ts_format", "ts", "micros", "truncated"),
    [
        ("epoch_s", "1700000000", 1_700_000_000_000_000, False),
        ("epoch_s", "1700000000.123456", 1_700_000_000_123_456, False),
        ("epoch_s", '"1700000000.9999999"', 1_700_000_000_999_999, True),
        ("epoch_s", "1.7e9", 1_700_000_000_000_000, False),
        ("epoch_s", "-1.5", -1_500_000, False),
        ("epoch_ms", "1700000000123", 1_700_000_000_123_000, False),
        ("epoch_ms", "1700000000123.4567", 1_700_000_000_123_456, True),
        ("epoch_us", "1700000000123456", 1_700_000_000_123_456, False),
        ("epoch_us", "1700000000123456.5", 1_700_000_000_123_456, True),
        ("epoch_s", "253402300799", 253_402_300_799_000_000, False),
        ("epoch_s", "253402300800", None, None),
        ("epoch_us", "-62135596800000001", None, None),
        ("epoch_ms", "1e300", None, None),
        ("epoch_ms", "NaN", None, None),
        ("epoch_ms", '"2024-05-01T00:00:00Z"', None, None),
        ("epoch_s", f'"{"9" * 60}"', None, None),
        ("epoch_s", '"1_0"', None, None),
        ("epoch_s", "null", None, None),
    ],
)
def test_epochs_are_read_by_their_digits(decode, con, ts_format, ts, micros, truncated):
    found, rejected, _ = decode([f'{{"ts": {ts}, "tag": "a", "value": 1}}'], ts_format=ts_format)
    if micros is None:
        assert [row["reason"] for row in rejected] == [TIMESTAMP_UNREADABLE]
        assert f"({ts_format})" in rejected[0]["detail"]
        return
    assert con.execute("SELECT epoch_us(?::TIMESTAMPTZ)", [found[0]["ts"]]).fetchall() == [(micros,)]
    assert found[0]["ts_truncated"] is truncated


def test_more_digits_than_microseconds_are_cut_and_flagged(decode):
    found, _, _ = decode([line() | {"ts": "2024-05-01T00:00:00.9999999Z"}])
    assert (found[0]["ts"].microsecond, found[0]["ts_truncated"]) == (999999, True)


def test_the_first_of_repeated_names_counts(observe):
    assert observe(f'{{"ts": "{TS}", "tag": "a", "value": 1, "value": 2}}') == [(1.0, None, GOOD)]


def test_names_are_compared_exactly(decode, reasons):
    assert reasons({"TS": TS, "tag": "a", "value": 1}) == [TIMESTAMP_UNREADABLE]
    odd = {"ts": "~1/a~", "tag": "é\"'\\$.*[0]", "value": "0"}
    found, _, _ = decode([{odd["ts"]: TS, odd["tag"]: "x", odd["value"]: 5}], fields=odd)
    assert [(row["tag"], row["value"]) for row in found] == [("x", 5.0)]


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
    found, rejected, _ = decode(data)
    assert [(row["line"], row["reason"]) for row in rejected] == [
        (3, INVALID_UTF8),
        (4, NUL_BYTE),
        (5, LINE_TOO_LONG),
        (6, JSON_INVALID),
    ]
    assert [row["line"] for row in found] == [1, 2, 7, 8]


def test_an_empty_file_is_nothing(decode):
    assert decode([]) == ([], [], {})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fields": {"ts": "ts", "tag": "tag"}},
        {"fields": SIMPLE | {"unit": "u"}},
        {"fields": SIMPLE | {"ts": ""}},
        {"fields": SIMPLE, "ts_format": "excel"},
        {"fields": SIMPLE, "sep": ";"},
    ],
)
def test_options_that_do_not_fit_are_refused(options):
    with pytest.raises(pydantic.ValidationError):
        decoder_for("json_lines", options)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=6)
    | st.sampled_from([TS, "1", "nan", 0, 2**32, 1.7e9, "Xabs", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "ts"]), inner, max_size=2),
    max_leaves=4,
)
OBJECT = st.fixed_dictionaries({}, optional=dict.fromkeys(["tag", "value", "source", "status", "text", "ts"], JSON))
GOOD_OBJECT = st.fixed_dictionaries({"ts": st.just(TS), "tag": st.just("a"), "value": JSON})
TEXT = (OBJECT | GOOD_OBJECT | JSON).map(lambda value: json.dumps(value, ensure_ascii=False)) | st.sampled_from(
    ["", " ", "\t{}", "{", '{"ts": 1,}', "{} {}", '{"ts"', "]"]
)
FILES = st.lists(st.tuples(st.lists(TEXT, max_size=6), st.sampled_from(["\n", "\r\n"])), min_size=1, max_size=3)
TS_FORMATS = st.sampled_from(["iso", "epoch_s", "epoch_ms", "epoch_us"])


@given(FILES, TS_FORMATS, st.sampled_from([SIMPLE, FULL]))
@settings(max_examples=40, deadline=None)
def test_the_fast_path_means_what_the_exact_one_means(con, tmp_path_factory, contents, ts_format, fields):
    folder = tmp_path_factory.mktemp("json")
    decoder = JsonLines.from_options({"fields": fields, "ts_format": ts_format})
    with patch("idm_assets.capture.survey._refuse_binary"):
        files = [
            prepared(folder, end.join(lines), n, f"s{n}" if n else None) for n, (lines, end) in enumerate(contents)
        ]
    files = [file for file in files if file.plain]
    exact: tuple[list, list, dict] = ([], [], {})
    for file in files:
        observations, rejected, skipped = run(con, decoder.exact(con, file))
        exact[0].extend(observations)
        exact[1].extend(rejected)
        exact[2].update(skipped)
        assert accounted((observations, rejected, skipped)) == file.lines
    assert run(con, decoder.fast(con, files)) == exact


@given(st.lists(GOOD_OBJECT, min_size=1, max_size=20))
@settings(max_examples=40, deadline=None)
def test_values_are_those_that_json_says(con, tmp_path_factory, objects):
    file = prepared(tmp_path_factory.mktemp("json"), "\n".join(json.dumps(item) for item in objects))
    found, rejected, _ = run(con, JsonLines.from_options({"fields": SIMPLE}).exact(con, file))
    assert rejected == []
    for row, item in zip(found, objects, strict=True):
        value = item["value"]
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            assert row["value"] == float(value)
            if isinstance(value, int) and abs(value) >= 2**53:
                assert int(row["text"]) == value
        elif isinstance(value, str):
            assert row["text"] == value
        elif isinstance(value, dict | list):
            assert row["value"] is None
            assert row["text"] is not None
        assert row["status"] == (BAD_NO_DATA if value is None else GOOD)


PIECE = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        json.dumps(line()).encode() + b"\n",
        b'{"ts":1}\n',
        b"[]\n",
    ]
)


@given(st.lists(PIECE | st.binary(max_size=5), max_size=20).map(b"".join), st.integers(5, 100))
@settings(max_examples=60, deadline=None)
def test_every_line_of_any_bytes_is_accounted_for(con, tmp_path_factory, data, chunk):
    folder = tmp_path_factory.mktemp("any")
    try:
        file = prepared(folder, data)
    except UnreadableCapture:
        return
    decoder = JsonLines(JsonLinesOptions.model_validate({"fields": FULL}), Limits(max_line_bytes=64))
    with patch.object(framing, "CHUNK_BYTES", chunk):
        assert accounted(run(con, decoder.exact(con, file))) == file.lines
    if file.plain:
        assert accounted(run(con, decoder.fast(con, [file]))) == file.lines
