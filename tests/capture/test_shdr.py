import json
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import patch

import duckdb
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idm_assets.capture import framing
from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.decoders.registry import decoder_for
from idm_assets.capture.decoders.shdr import (
    BLOCK_TOO_LARGE,
    BLOCK_UNREADABLE,
    CONTINUATION,
    ESCAPED_PIPE,
    FIELD_COUNT,
    ITEM_MISSING,
    PROTOCOL_COMMAND,
    UNTERMINATED_BLOCK,
    Shdr,
    join_blocks,
)
from idm_assets.capture.framing import INVALID_UTF8, LINE_TOO_LONG, NUL_BYTE, LineBatch
from idm_assets.capture.survey import Limits, UnreadableCapture, survey
from idm_assets.capture.text_values import BLANK, TIMESTAMP_UNREADABLE, is_truncated, number, timestamp
from idm_assets.status import BAD_NO_DATA, GOOD

TS = "2016-11-16T10:11:32.5Z"
NOWHERE = Path("no scratch file is made")
AT = datetime(2016, 11, 16, 10, 11, 32, 500000, tzinfo=UTC)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        # A zone far from UTC, so that a timestamp that depends on the session's zone shows.
        connection.execute("SET threads = 2; SET TimeZone = 'Asia/Tokyo'")
        yield connection


def prepared(folder: Path, data: str | bytes, number: int = 1, source: str | None = "Mazak01") -> PreparedFile:
    path = folder / f"{number}.txt"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    surveyed = survey(path, folder, Limits())
    return PreparedFile(number, surveyed.members[0].text, source, surveyed.members[0].lines, surveyed.members[0].plain)


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
    """Decode a text by the exact path, and by the fast one wherever it applies."""

    def both(data: str | bytes):
        file = prepared(tmp_path, data)
        exact = run(con, Shdr().exact(con, file, NOWHERE))
        assert accounted(exact) == file.lines
        if file.plain and "--multiline--" not in str(data):
            assert run(con, Shdr().fast(con, [file], NOWHERE)) == exact
        return exact

    return both


@pytest.fixture
def observe(decode):
    """Decode text that has to be free of rejects, into short observations."""

    def observations(data: str):
        found, rejected, _ = decode(data)
        assert rejected == []
        return [(row["tag"], row["value"], row["text"], row["status"]) for row in found]

    return observations


@pytest.fixture
def reasons(decode):
    def found(data: str | bytes):
        return [(row["line"], row["reason"]) for row in decode(data)[1]]

    return found


def test_an_observation_has_every_column_of_the_interface(decode, con, tmp_path):
    found, rejected, skipped = decode(f"{TS}|Xabs|1.25\n")
    assert found == [
        {
            "file": 1,
            "line": 1,
            "part": 1,
            "source": "Mazak01",
            "tag": "Xabs",
            "ts": AT,
            "value": 1.25,
            "text": "1.25",
            "status": GOOD,
            "detail": None,
            "remarks": 0,
        }
    ]
    assert (rejected, skipped) == ([], {})
    decoding = Shdr().fast(con, [prepared(tmp_path, "x\n")], NOWHERE)
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


def test_pairs_of_a_line_are_its_parts(decode):
    found, _, _ = decode(f"{TS}|Xabs|1|Yabs||dev:Zabs|x\n")
    assert [(row["line"], row["part"], row["tag"], row["value"], row["text"]) for row in found] == [
        (1, 1, "Xabs", 1.0, "1"),
        (1, 2, "Yabs", None, ""),
        (1, 3, "dev:Zabs", None, "x"),
    ]
    assert {row["ts"] for row in found} == {AT}
    assert {row["status"] for row in found} == {GOOD}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-0.5", -0.5),
        ("+5.", 5.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.5E-3", 0.0015),
        (" 7 ", 7.0),
        ("1_000", None),
        ("nan", None),
        ("NaN", None),
        ("inf", None),
        ("-Infinity", None),
        ("1e999", None),
        ("0x1F", None),
        ("1,5", None),
        ("1 2 3", None),
        ("ACTIVE", None),
        ("", None),
        ("true", None),
    ],
)
def test_values(observe, text, value):
    assert observe(f"{TS}|item|{text}\n") == [("item", value, text, GOOD)]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("UNAVAILABLE", BAD_NO_DATA),
        ("Unavailable", BAD_NO_DATA),
        ("unavailable", BAD_NO_DATA),
        ("UNAVAILABLE ", GOOD),
        ("UNAVA\u0131LABLE", GOOD),
        ("UNAVA\u0130LABLE", GOOD),
    ],
)
def test_unavailable_is_no_data_and_keeps_its_text(observe, text, status):
    assert observe(f"{TS}|item|{text}\n") == [("item", None, text, status)]


def test_conditions(decode):
    found, rejected, _ = decode(
        f"{TS}|system|Normal||||\n"
        f'{TS}|system|FAULT|26|1|HIGH|Servo lag "Y"\n'
        f"{TS}|system|unavailable||||\n"
        f"{TS}|system|Warning|||LOW|\n"
    )
    assert rejected == []
    assert [(row["tag"], row["text"], row["value"], row["status"], row["part"]) for row in found] == [
        ("system", "Normal", None, GOOD, 1),
        ("system", "FAULT", None, GOOD, 1),
        ("system", "unavailable", None, BAD_NO_DATA, 1),
        ("system", "Warning", None, GOOD, 1),
    ]
    details = [row["detail"] and json.loads(row["detail"]) for row in found]
    assert details == [
        None,
        {"native_code": "26", "severity": "1", "qualifier": "HIGH", "message": 'Servo lag "Y"'},
        None,
        {"qualifier": "LOW"},
    ]


def test_seven_fields_without_a_level_are_three_pairs(observe):
    assert observe(f"{TS}|a|1|b|2|c|Fault\n") == [
        ("a", 1.0, "1", GOOD),
        ("b", 2.0, "2", GOOD),
        ("c", None, "Fault", GOOD),
    ]
    assert observe(f"{TS}|a|Warn\u0130ng|b|2|c|3\n")[0] == ("a", None, "Warn\u0130ng", GOOD)


def test_a_message_has_a_native_code(decode):
    found, _, _ = decode(f"{TS}|note|E7|tool worn\n{TS}|note||UNAVAILABLE\n")
    assert [(row["tag"], row["text"], row["status"], row["detail"]) for row in found] == [
        ("note", "tool worn", GOOD, '{"native_code":"E7"}'),
        ("note", "UNAVAILABLE", BAD_NO_DATA, None),
    ]


@pytest.mark.parametrize(
    ("stamp", "ts", "truncated"),
    [
        ("2016-11-16T10:11:32Z", datetime(2016, 11, 16, 10, 11, 32, tzinfo=UTC), False),
        ("2016-11-16T10:11:32", datetime(2016, 11, 16, 10, 11, 32, tzinfo=UTC), False),
        ("2016-11-16T10:11:32.Z", datetime(2016, 11, 16, 10, 11, 32, tzinfo=UTC), False),
        ("2016-11-16T10:11:32.123456Z", datetime(2016, 11, 16, 10, 11, 32, 123456, tzinfo=UTC), False),
        ("2016-11-16T10:11:32.1234567Z", datetime(2016, 11, 16, 10, 11, 32, 123456, tzinfo=UTC), True),
        ("2016-11-16T10:11:32.9999999", datetime(2016, 11, 16, 10, 11, 32, 999999, tzinfo=UTC), True),
        ("2016-11-16T23:59:59.999999999Z", datetime(2016, 11, 16, 23, 59, 59, 999999, tzinfo=UTC), True),
        ("1969-12-31T23:59:59.9999999Z", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), True),
        ("2016-11-16T10:11:32.5+01:00", datetime(2016, 11, 16, 9, 11, 32, 500000, tzinfo=UTC), False),
        ("2016-11-16T10:11:32-0530", datetime(2016, 11, 16, 15, 41, 32, tzinfo=UTC), False),
        ("2016-11-16T10:11:32+02", datetime(2016, 11, 16, 8, 11, 32, tzinfo=UTC), False),
        ("9999-12-31T23:59:59.999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), False),
    ],
)
def test_timestamps(con, stamp, ts, truncated):
    found = con.execute(
        f"SELECT epoch_us({timestamp('t', 'UTC')}), {is_truncated('t')} FROM (SELECT ?::VARCHAR AS t)", [stamp]
    ).fetchall()
    assert found == [((ts - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), truncated)]


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "now",
        "infinity",
        "epoch",
        "2016-11-16",
        "2016-02-30T10:11:32Z",
        "2016-11-16T24:00:00Z",
        "2016-11-16T25:00:00Z",
        "2016-11-16T10:11:60Z",
        "2016-11-16T10:61:00Z",
        "2016-11-16T10:11:32.1234567890Z",
        "2016-11-16T10:11:32z",
        "2016-11-16T10:11Z",
        "0000-01-01T00:00:00Z",
        "2016-11-16T10:11:32 Europe/Paris",
        "2016-11-16T10:11:32+24:00",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "12016-11-16T10:11:32Z",
        "-2016-11-16T10:11:32Z",
        "2016-13-01T00:00:00Z",
        " 2016-11-16T10:11:32Z",
        "2016-11-16T10:11:32Z ",
        "\uff12\uff1016-11-16T10:11:32Z",
        "2016-11-16T10:11:32Z@",
        "2016-11-16T10:11:32Z@x",
        "2016-11-16T10:11:32Z@1@2",
        "@5",
    ],
)
def test_impossible_timestamps_are_rejected(decode, stamp):
    line = f"{stamp}|item|1"
    _, rejected, _ = decode(f"{line}\n")
    assert [(row["line"], row["payload"], row["reason"]) for row in rejected] == [(1, line, TIMESTAMP_UNREADABLE)]
    assert f'found "{stamp}"' in rejected[0]["detail"]


def test_a_year_that_filing_will_not_believe_is_still_decoded(decode):
    assert decode("9999-06-01T00:00:00Z|item|1\n")[0][0]["ts"].year == 9999


def test_a_duration_goes_to_the_detail(decode):
    found, _, _ = decode(f"{TS}@100.0|a|1|b|2\n{TS}@5|c|Fault|7|||\n")
    assert [(row["tag"], row["ts"], json.loads(row["detail"])) for row in found] == [
        ("a", AT, {"duration": "100.0"}),
        ("b", AT, {"duration": "100.0"}),
        ("c", AT, {"duration": "5", "native_code": "7"}),
    ]


def test_lines_that_say_nothing_are_skipped_by_reason(decode):
    found, rejected, skipped = decode(f"* PING\n\n* device: Mazak01\n \t\n{TS}|a|1\n*\n")
    assert (len(found), rejected) == (1, [])
    assert skipped == {(1, PROTOCOL_COMMAND): 3, (1, BLANK): 2}


def test_lines_that_are_none_are_rejected_by_reason(reasons):
    lines = [
        "garbage",
        TS,
        f"{TS}|a",
        f"{TS}|a|1|b|2|c",
        f"{TS}||1",
        f"{TS}|a|1| |2",
        "when|a|1",
        f'{TS}|note|"left\\|right"',
        f"{TS}|@ASSET@|id|type",
        f"{TS}|@ASSET@||type|<a/>",
        f"{TS}|@REMOVE_ASSET@|",
    ]
    assert reasons("\n".join(lines)) == list(
        enumerate(
            [
                FIELD_COUNT,
                FIELD_COUNT,
                FIELD_COUNT,
                FIELD_COUNT,
                ITEM_MISSING,
                ITEM_MISSING,
                TIMESTAMP_UNREADABLE,
                ESCAPED_PIPE,
                FIELD_COUNT,
                ITEM_MISSING,
                ITEM_MISSING,
            ],
            1,
        )
    )


ASSET = f"{TS}|@ASSET@|T1|CuttingTool|--multiline--0FED"


def test_an_asset_on_one_line(decode):
    found, _, _ = decode(f"{TS}|@ASSET@|T1|CuttingTool|<a b='x|y'/>\n")
    assert [(row["tag"], row["text"], row["value"], json.loads(row["detail"])) for row in found] == [
        ("@ASSET@/T1", "<a b='x|y'/>", None, {"asset_type": "CuttingTool"})
    ]


def test_an_asset_that_spans_lines_is_one_observation(decode):
    data = f"{TS}|a|1\n{ASSET}\n<a>\n{TS}|b|2\n\n* PING\n</a>\n--multiline--0FED\n{TS}|c|3\n"
    for text in (data, data.replace("\n", "\r\n")):
        found, rejected, skipped = decode(text)
        assert rejected == []
        assert [(row["line"], row["tag"], row["text"]) for row in found] == [
            (1, "a", "1"),
            (2, "@ASSET@/T1", f"<a>\n{TS}|b|2\n\n* PING\n</a>"),
            (9, "c", "3"),
        ]
        assert skipped == {(1, CONTINUATION): 6}


def test_the_fast_path_comes_out_short_of_an_asset_that_spans_lines(con, tmp_path):
    file = prepared(tmp_path, f"{ASSET}\n<a/>\n--multiline--0FED\n")
    assert accounted(run(con, Shdr().fast(con, [file], NOWHERE))) < file.lines


def test_asset_changes(observe):
    assert observe(
        f"{TS}|@UPDATE_ASSET@|T1|OverallToolLength|323.65\n{TS}|@REMOVE_ASSET@|T1\n"
        f"{TS}|@REMOVE_ALL_ASSETS@|CuttingTool\n{TS}|@REMOVE_ALL_ASSETS@|\n{TS}|@OTHER@|5\n"
    ) == [
        ("@UPDATE_ASSET@/T1", None, "OverallToolLength|323.65", GOOD),
        ("@REMOVE_ASSET@/T1", None, "", GOOD),
        ("@REMOVE_ALL_ASSETS@/CuttingTool", None, "", GOOD),
        ("@REMOVE_ALL_ASSETS@", None, "", GOOD),
        ("@OTHER@", 5.0, "5", GOOD),
    ]


def test_a_block_without_end_is_rejected_to_its_last_line(reasons):
    assert reasons(f"{TS}|a|1\n{ASSET}\n<a>\n{TS}|b|2\n --multiline--0FED") == [
        (2, UNTERMINATED_BLOCK),
        (3, UNTERMINATED_BLOCK),
        (4, UNTERMINATED_BLOCK),
        (5, UNTERMINATED_BLOCK),
    ]


def test_a_block_shares_the_fate_of_its_lines(reasons):
    damaged = f"{ASSET}\n<a>\n\xff\n--multiline--0FED\n{TS}|b|2\n".encode("latin-1")
    assert reasons(damaged) == [
        (1, BLOCK_UNREADABLE),
        (2, BLOCK_UNREADABLE),
        (3, INVALID_UTF8),
        (4, BLOCK_UNREADABLE),
    ]
    undated = f"{ASSET}\n<a/>\n--multiline--0FED\n{TS}|b|2\n".replace(TS, "when", 1)
    assert reasons(undated) == [(1, TIMESTAMP_UNREADABLE), (2, BLOCK_UNREADABLE), (3, BLOCK_UNREADABLE)]


def test_a_block_is_joined_across_batches_and_given_up_when_too_large():
    lines = ["x", "t|@ASSET@|i|t|--multiline--A", "aaaa", "bbbb", "cccc", "--multiline--A", "y"]

    def joined(limit: int, size: int):
        batches = [LineBatch(start + 1, lines[start : start + size]) for start in range(0, len(lines), size)]
        whole = LineBatch(1, [])
        for batch in join_blocks(batches, limit):
            start = len(whole.contents)
            assert batch.first == start + 1
            whole.contents.extend(batch.contents)
            whole.problems.update({start + index: problem for index, problem in batch.problems.items()})
            whole.documents.update({start + index: text for index, text in batch.documents.items()})
        assert whole.contents == lines
        return whole.problems, whole.documents

    for size in (1, 2, 3, 7):
        assert joined(100, size) == (dict.fromkeys(range(2, 6), CONTINUATION), {1: "aaaa\nbbbb\ncccc"})
        assert joined(14, size) == (dict.fromkeys(range(1, 6), BLOCK_TOO_LARGE), {})
        assert joined(4, size) == (dict.fromkeys(range(1, 6), BLOCK_TOO_LARGE), {})


def test_hostile_lines_are_rejected_alone(reasons):
    data = b"\n".join(
        [
            f"{TS}|a|1".encode(),
            f"{TS}|a|caf\xe9".encode("latin-1"),
            f"{TS}|a|\x00".encode(),
            f"{TS}|a|".encode() + b"x" * (10 << 20),
            f"{TS}|a|\x01\r".encode(),
        ]
    )
    assert reasons(data) == [(2, INVALID_UTF8), (3, NUL_BYTE), (4, LINE_TOO_LONG)]


def test_a_lone_carriage_return_ends_no_line(observe):
    assert observe(f"{TS}|a|1\r{TS}\n") == [("a", None, f"1\r{TS}", GOOD)]


def test_an_empty_file_is_nothing(decode):
    assert decode("") == ([], [], {})


def test_a_batch_keeps_its_files_apart(con, tmp_path):
    texts = {3: f"{TS}|a|1\n\n", 1: "", 9: "\ufeffbad\r\n* PING\r\n", 4: f"{TS}|d|4"}
    files = [prepared(tmp_path, text, number, f"s{number}") for number, text in texts.items()]
    found, rejected, skipped = run(con, Shdr().fast(con, files, NOWHERE))
    assert [(row["file"], row["line"], row["source"], row["tag"]) for row in found] == [
        (3, 1, "s3", "a"),
        (4, 1, "s4", "d"),
    ]
    assert [(row["file"], row["line"], row["payload"]) for row in rejected] == [(9, 1, "bad")]
    assert skipped == {(3, BLANK): 1, (9, PROTOCOL_COMMAND): 1}


def test_a_source_is_needed_and_options_are_not(con, tmp_path):
    nameless = prepared(tmp_path, f"{TS}|a|1\n", source=None)
    for decoding in (lambda: Shdr().fast(con, [nameless], NOWHERE), lambda: Shdr().exact(con, nameless, NOWHERE)):
        with pytest.raises(ValueError, match=r"\{source\}"):
            decoding()
    assert decoder_for("shdr", {}, "UTC").name == "shdr"
    with pytest.raises(pydantic.ValidationError):
        decoder_for("shdr", {"separator": ";"}, "UTC")


NUMBER = re.compile(r"[ \t\n\v\f\r]*[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?[ \t\n\v\f\r]*")


@given(st.lists(st.text("0123456789+-.eE_ \t\v\fnaifxX,٣'", max_size=8), min_size=1, max_size=60))
@example(
    [
        "\v+1",
        "+1_0",
        "1e-999",
        "1e400",
        "-1e400",
        "1e99999999999",
        "1e-99999999999",
        "+-1",
        "--1",
        "+",
        "1 1",
        "1e5.5",
        "1e5.",
        "1..2",
    ]
)
@settings(deadline=None)
def test_numbers_are_what_the_pattern_says(con, texts):
    found = con.execute(f"SELECT t, {number('t')} FROM (SELECT unnest(?::VARCHAR[]) AS t)", [texts]).fetchall()
    for text, value in found:
        expected = float(text) if NUMBER.fullmatch(text) else None
        if expected is not None and math.isinf(expected):
            expected = None
        assert value == expected, text


@given(
    st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)),  # noqa: DTZ001
    st.integers(0, 9),
    st.none() | st.just("Z") | st.integers(-1439, 1439),
)
@settings(deadline=None)
def test_timestamps_are_truncated_never_rounded(con, when, digits, zone):
    fraction = f"{when.microsecond:06}789"[:digits]
    suffix, offset = zone or "", 0
    if isinstance(zone, int):
        offset = zone
        suffix = f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}:{abs(zone) % 60:02}"
    stamp = when.strftime("%Y").rjust(4, "0") + when.strftime("-%m-%dT%H:%M:%S") + (f".{fraction}" if digits else "")
    found = con.execute(
        f"SELECT epoch_us({timestamp('t', 'UTC')}), {is_truncated('t')} FROM (SELECT ?::VARCHAR AS t)",
        [stamp + suffix],
    ).fetchall()
    kept = when.replace(microsecond=int(fraction[:6].ljust(6, "0")), tzinfo=timezone(timedelta(minutes=offset)))
    assert found == [((kept - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), digits > 6)]


FIELD = st.sampled_from(
    [
        TS,
        f"{TS}@1.5",
        "when",
        "2016-11-16T10:11:32.1234567",
        "",
        " ",
        "a",
        "Xabs",
        "1",
        "-2.5e3",
        "nan",
        "1_0",
        "é",
        "UNAVAILABLE",
        "Normal",
        "FAULT",
        "@ASSET@",
        "@UPDATE_ASSET@",
        "@REMOVE_ALL_ASSETS@",
        "*",
        "<x/>",
        '"q\\',
        "\x0b",
    ]
) | st.text(st.characters(codec="utf-8", exclude_characters="\x00\x01\r\n|"), max_size=5)
LINE = st.lists(FIELD, max_size=8).map("|".join) | st.lists(FIELD, min_size=2, max_size=7).map(
    lambda fields: "|".join([TS, *fields])
)
FILES = st.lists(st.tuples(st.lists(LINE, max_size=6), st.sampled_from(["\n", "\r\n"])), min_size=1, max_size=4)


@given(FILES)
@settings(max_examples=40, deadline=None)
def test_the_fast_path_means_what_the_exact_one_means(con, tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("shdr")
    with patch("idm_assets.capture.survey._refuse_binary"):
        files = [prepared(folder, end.join(lines), n, f"s{n}") for n, (lines, end) in enumerate(contents)]
    files = [file for file in files if file.plain]
    fast = run(con, Shdr().fast(con, files, NOWHERE))
    exact: tuple[list, list, dict] = ([], [], {})
    for file in files:
        observations, rejected, skipped = run(con, Shdr().exact(con, file, NOWHERE))
        exact[0].extend(observations)
        exact[1].extend(rejected)
        exact[2].update(skipped)
        assert accounted((observations, rejected, skipped)) == file.lines
    assert fast == exact


PIECE = st.sampled_from(
    [
        b"\n",
        b"\n",
        b"\r\n",
        b"\r",
        b"|",
        b"\x00",
        b"\xff",
        b"* PING\n",
        f"{TS}|a|1\n".encode(),
        f"{ASSET}\n".encode(),
        b"--multiline--0FED\n",
        b"<a/>",
        f"{TS}|c|Fault||||\n".encode(),
        b"\xef\xbb\xbf",
        b"x" * 70,
    ]
)
HOSTILE = st.lists(PIECE | st.binary(max_size=5), max_size=30).map(b"".join)


@given(HOSTILE | st.binary(max_size=200), st.integers(5, 100))
@settings(max_examples=50, deadline=None)
def test_every_line_of_any_bytes_is_accounted_for(con, tmp_path_factory, data, chunk):
    folder = tmp_path_factory.mktemp("any")
    try:
        file = prepared(folder, data)
    except UnreadableCapture:
        return
    with patch.object(framing, "CHUNK_BYTES", chunk):
        assert accounted(run(con, Shdr(Limits(max_line_bytes=64)).exact(con, file, NOWHERE))) == file.lines
    if file.plain:
        fast = run(con, Shdr().fast(con, [file], NOWHERE))
        if accounted(fast) == file.lines:
            assert fast == run(con, Shdr().exact(con, file, NOWHERE))
        else:
            assert b"|@ASSET@|" in data
