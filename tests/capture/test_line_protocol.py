import csv
import gzip
import json
import re
import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import duckdb
import pydantic
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idm_assets.capture import framing
from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.decoders.line_protocol import (
    BLOCK_UNREADABLE,
    COMMENT,
    CONTINUATION,
    FIELD_COUNT,
    FIELD_UNREADABLE,
    ITEM_MISSING,
    LINE_TAGS_UNREADABLE,
    LINE_TOO_WIDE,
    REPEATED_NAME,
    SOURCE_MISSING,
    TAG_MISSING,
    UNTERMINATED_TEXT,
    LineProtocol,
    LineProtocolOptions,
    join_texts,
)
from idm_assets.capture.framing import INVALID_UTF8, LINE_TOO_LONG, NUL_BYTE, LineBatch
from idm_assets.capture.remarks import NUMBER_ROUNDED, TIMESTAMP_CUT
from idm_assets.capture.survey import Limits
from idm_assets.capture.text_values import BLANK, TIMESTAMP_UNREADABLE
from idm_assets.status import GOOD

NAB = Path(__file__).parents[1] / "vectors" / "nab"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TS = 1556813561098000000
AT = datetime(2019, 5, 2, 16, 12, 41, 98000, tzinfo=UTC)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        # A zone far from UTC, so that a timestamp that depends on the session's zone shows.
        connection.execute("SET threads = 2; SET TimeZone = 'Asia/Tokyo'")
        yield connection


def prepared(folder: Path, data: str | bytes, number: int = 1, source: str | None = None, **facts) -> PreparedFile:
    """A file as it comes from the survey, whose judgement of plain text is written here once more."""
    raw = data.encode() if isinstance(data, str) else data
    path = folder / f"{number}.lp"
    path.write_bytes(raw)
    lines = raw.count(b"\n") + (not raw.endswith(b"\n") and raw != b"")
    ends_alike = raw.count(b"\r") == raw.count(b"\r\n") and raw.count(b"\r") in (0, raw.count(b"\n"))
    plain = ends_alike and not re.search(rb"[\0\1]", raw) and raw != b"\xef\xbb\xbf"
    plain = plain and all(len(line) <= Limits().max_line_bytes for line in raw.split(b"\n"))
    try:
        raw.decode()
    except UnicodeDecodeError:
        plain = False
    return PreparedFile(number, path, source, lines, plain, facts)


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


def has_open_line(exact: tuple[list[dict], list[dict], dict]) -> bool:
    """Whether a line of a file ends within a text, by what the exact path made of the file."""
    reasons = {row["reason"] for row in exact[1]} | {reason for _, reason in exact[2]}
    return not reasons.isdisjoint({UNTERMINATED_TEXT, BLOCK_UNREADABLE, CONTINUATION})


@pytest.fixture
def decode(con, tmp_path):
    """Decode a text by the exact path, and by the fast one wherever it accounts for all lines."""

    def both(data: str | bytes, options: dict | None = None, path_source: str | None = None, **facts):
        decoder = LineProtocol.from_options(options or {})
        file = prepared(tmp_path, data, 1, path_source, **facts)
        exact = run(con, decoder.exact(con, file, tmp_path))
        assert accounted(exact) == decoder.count(file) == file.lines
        if file.plain:
            fast = run(con, decoder.fast(con, [file], tmp_path))
            assert (accounted(fast) < file.lines) if has_open_line(exact) else (fast == exact)
        return exact

    return both


@pytest.fixture
def observe(decode):
    """Decode text that has to be free of rejects, into short observations."""

    def observations(data: str):
        found, rejected, _ = decode(data)
        assert rejected == []
        return [(row["tag"], row["value"], row["text"]) for row in found]

    return observations


@pytest.fixture
def reasons(decode):
    def found(data: str | bytes):
        return [(row["line"], row["reason"]) for row in decode(data)[1]]

    return found


def test_an_observation_has_every_column_of_the_interface(decode, con, tmp_path):
    found, rejected, skipped = decode(f"press,line=L1,unit=degC temp=21.5 {TS}\n", {"unit": "unit"})
    assert found == [
        {
            "file": 1,
            "line": 1,
            "part": 1,
            "source": "press",
            "tag": "press.temp",
            "ts": AT,
            "value": 21.5,
            "text": None,
            "status": GOOD,
            "detail": '{"tags":{"line":"L1"},"unit":"degC"}',
            "remarks": 0,
        }
    ]
    assert (rejected, skipped) == ([], {})
    decoding = LineProtocol().fast(con, [prepared(tmp_path, "x\n")], tmp_path)
    described = {
        name: {row[0]: row[1] for row in con.execute(f"DESCRIBE {query}").fetchall()}
        for name, query in (("rows", decoding.rows), ("rejected", decoding.rejected), ("skipped", decoding.skipped))
    }
    assert described == {
        "rows": {
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
        },
        "rejected": {
            "file": "INTEGER",
            "line": "BIGINT",
            "payload": "VARCHAR",
            "reason": "VARCHAR",
            "detail": "VARCHAR",
        },
        "skipped": {"file": "INTEGER", "reason": "VARCHAR", "lines": "BIGINT"},
    }


@pytest.mark.parametrize(
    ("point", "expected"),
    [
        # The examples of the InfluxDB v2 reference, each with a timestamp.
        ('myMeasurement,tag1=value1,tag2=value2 fieldKey="fieldValue"', ("fieldKey", None, "fieldValue")),
        ("myMeasurement fieldKey=1.0", ("fieldKey", 1.0, "1.0")),
        ("myMeasurement fieldKey=1", ("fieldKey", 1.0, None)),
        ("myMeasurement fieldKey=-1.234456e+78", ("fieldKey", -1.234456e78, None)),
        ("myMeasurement fieldKey=1i", ("fieldKey", 1.0, None)),
        ("myMeasurement fieldKey=12485903i", ("fieldKey", 12485903.0, None)),
        ("myMeasurement fieldKey=-12485903i", ("fieldKey", -12485903.0, None)),
        ("myMeasurement fieldKey=1u", ("fieldKey", 1.0, None)),
        ("myMeasurement fieldKey=12485903u", ("fieldKey", 12485903.0, None)),
        ('myMeasurement fieldKey="this is a string"', ("fieldKey", None, "this is a string")),
        ("myMeasurement fieldKey=t", ("fieldKey", None, "true")),
        ("myMeasurement fieldKey=T", ("fieldKey", None, "true")),
        ("myMeasurement fieldKey=true", ("fieldKey", None, "true")),
        ("myMeasurement fieldKey=True", ("fieldKey", None, "true")),
        ("myMeasurement fieldKey=TRUE", ("fieldKey", None, "true")),
        ("myMeasurement fieldKey=f", ("fieldKey", None, "false")),
        ("myMeasurement fieldKey=F", ("fieldKey", None, "false")),
        ("myMeasurement fieldKey=false", ("fieldKey", None, "false")),
        ("myMeasurement fieldKey=False", ("fieldKey", None, "false")),
        ("myMeasurement fieldKey=FALSE", ("fieldKey", None, "false")),
        ('my\\ Measurement fieldKey="string value"', ("fieldKey", None, "string value")),
        ('myMeasurement fieldKey="\\"string\\" within a string"', ("fieldKey", None, '"string" within a string')),
        ("myMeasurement,tag\\ Key1=tag\\ Value1,tag\\ Key2=tag\\ Value2 fieldKey=100", ("fieldKey", 100.0, None)),
        ('myMeasurement,tagKey=🍭 fieldKey="Launch 🚀"', ("fieldKey", None, "Launch 🚀")),
        ('myMeasurement fieldKey="\\"', None),
        ('myMeasurement fieldKey="a\\b"', ("fieldKey", None, "a\\b")),
        ('myMeasurement fieldKey="a\\\\b"', ("fieldKey", None, "a\\b")),
        ('myMeasurement fieldKey="a\\\\\\b"', ("fieldKey", None, "a\\\\b")),
        ('myMeasurement fieldKey="a\\\\\\\\b"', ("fieldKey", None, "a\\\\b")),
        ('myMeasurement fieldKey="a\\\\\\\\\\b"', ("fieldKey", None, "a\\\\\\b")),
        ('myMeasurement fieldKey="a\\\\\\\\\\\\b"', ("fieldKey", None, "a\\\\\\b")),
    ],
)
def test_examples_of_the_reference(decode, point, expected):
    found, rejected, _ = decode(f"{point} {TS}\n")
    if expected is None:
        assert [row["reason"] for row in rejected] == [UNTERMINATED_TEXT]
        return
    measurement = "my Measurement" if point.startswith("my\\ ") else "myMeasurement"
    assert [(row["source"], row["tag"], row["value"], row["text"], row["ts"]) for row in found] == [
        (measurement, f"{measurement}.{expected[0]}", *expected[1:], AT)
    ]
    tags = re.findall(r"(tag[\w ]*)=([^, ]+(?: Value\d)?)", point.split(" fieldKey")[0].replace("\\", ""))
    assert (json.loads(found[0]["detail"])["tags"] if found[0]["detail"] else {}) == dict(tags)


def test_every_field_of_a_line_is_an_observation_of_its_instant(decode):
    found, _, _ = decode(f'm f=1,g=12i,h=T,s="x, y=z #"  {TS} \n')
    assert [(row["part"], row["tag"], row["value"], row["text"], row["ts"]) for row in found] == [
        (1, "m.f", 1.0, None, AT),
        (2, "m.g", 12.0, None, AT),
        (3, "m.h", None, "true", AT),
        (4, "m.s", None, "x, y=z #", AT),
    ]


def test_names_keep_what_is_escaped_in_them_and_quotes(decode):
    found, _, _ = decode(f'a\\,b\\ c\\=d,k\\=\\,\\ =v\\=\\,\\ \\x,"q"="q" f\\=\\,\\ "="t",back\\\\x=1 {TS}\n')
    assert [(row["tag"], row["text"]) for row in found] == [
        ('a,b c\\=d.f=, "', "t"),
        ("a,b c\\=d.back\\\\x", None),
    ]
    assert json.loads(found[0]["detail"]) == {"tags": {'"q"': '"q"', "k=, ": "v=, \\x"}}


def test_a_number_keeps_its_text_where_that_says_more(decode):
    tokens = ["1.50", "007i", "-0", "5.", "-.5", "1e3", "9007199254740993i", "18446744073709551615u", "0.1", "1.10u"]
    found, rejected, _ = decode("".join(f"m f={token} {TS}\n" for token in tokens))
    assert [(row["value"], row["text"], row["remarks"]) for row in found] == [
        (1.5, "1.50", 0),
        (7.0, "007", 0),
        (0.0, "-0", 0),
        (5.0, "5.", 0),
        (-0.5, "-.5", 0),
        (1000.0, "1e3", 0),
        (9007199254740992.0, "9007199254740993", NUMBER_ROUNDED),
        (18446744073709551616.0, "18446744073709551615", NUMBER_ROUNDED),
        (0.1, None, 0),
    ]
    assert [(row["line"], row["reason"]) for row in rejected] == [(10, FIELD_UNREADABLE)]


def test_quoted_numbers_are_text(observe):
    assert observe(f'm f="12.5",g="",h="true" {TS}\n') == [
        ("m.f", None, "12.5"),
        ("m.g", None, ""),
        ("m.h", None, "true"),
    ]


@pytest.mark.parametrize(
    "token",
    [
        *(
            "",
            "nan",
            "NaN",
            "inf",
            "-inf",
            "Infinity",
            "1e400",
            "9" * 400,
            "9" * 400 + "i",
            "+1",
            "1_000",
            "0x1F",
            "1e5.",
        ),
        *("1.5i", "-1u", "i", "-i", "u", "9223372036854775808i", "-9223372036854775809i", "18446744073709551616u"),
        *(
            "tRUE",
            "yes",
            "text",
            '"a"b',
            'a"b"',
            "1=2",
            "1\t",
            "\t1",
            "1\v",
            "--1",
            "1e",
            ".",
            "-",
            "1f",
            "\u0661",
            "1_0i",
        ),
    ],
)
def test_what_is_no_field_value_rejects_its_line_alone(decode, token):
    line = f"m good=1,odd={token} {TS}"
    found, rejected, _ = decode(f"m f=1 {TS}\n{line}\nm f=2 {TS}\n")
    assert [row["value"] for row in found] == [1.0, 2.0]
    assert [(row["line"], row["payload"], row["reason"]) for row in rejected] == [(2, line, FIELD_UNREADABLE)]
    if "=" not in token:
        assert rejected[0]["detail"].startswith('field "odd": expected a finite number')
        assert rejected[0]["detail"].endswith(f"found {token[:100] or 'nothing'}")


def test_long_tokens_that_are_values(observe):
    assert observe(f"m f={'9' * 300},g=0.{'3' * 400},h={'0' * 400}1i {TS}\n") == [
        ("m.f", float("9" * 300), "9" * 300),
        ("m.g", float("0." + "3" * 400), "0." + "3" * 400),
        ("m.h", 1.0, "0" * 400 + "1"),
    ]


def test_lines_that_are_no_points_are_rejected_with_what_was_expected(decode):
    lines = {
        "garbage": (FIELD_COUNT, "expected measurement, fields and timestamp, blanks between, found 1 parts"),
        f"m f=1 {TS} more": (FIELD_COUNT, "expected measurement, fields and timestamp, blanks between, found 4 parts"),
        f"m {TS}": (FIELD_UNREADABLE, f'expected field=value, found "{TS}"'),
        f"m f {TS}": (FIELD_UNREADABLE, 'expected field=value, found "f"'),
        f"m =1 {TS}": (FIELD_UNREADABLE, 'field "": expected a finite number'),
        f"m f=1, {TS}": (FIELD_UNREADABLE, 'expected field=value, found ""'),
        f"m f= {TS}": (FIELD_UNREADABLE, 'field "f": expected a finite number'),
        f",t=1 f=1 {TS}": (ITEM_MISSING, "the measurement is empty"),
        f"\\  f=1 {TS}": (ITEM_MISSING, "the measurement is empty"),
        f"m, f=1 {TS}": (LINE_TAGS_UNREADABLE, 'expected name=value after each comma of "m,"'),
        f"m,a f=1 {TS}": (LINE_TAGS_UNREADABLE, 'expected name=value after each comma of "m,a"'),
        f"m,a= f=1 {TS}": (LINE_TAGS_UNREADABLE, 'expected name=value after each comma of "m,a="'),
        f"m,=1 f=1 {TS}": (LINE_TAGS_UNREADABLE, 'expected name=value after each comma of "m,=1"'),
        f"m,a=b=c f=1 {TS}": (LINE_TAGS_UNREADABLE, 'expected name=value after each comma of "m,a=b=c"'),
        f"m,a=1,b=2,a=3 f=1 {TS}": (REPEATED_NAME, 'a line tag occurs twice in "m,a=1,b=2,a=3"'),
        f"m f=1,g=2,f=1 {TS}": (REPEATED_NAME, "a field occurs twice"),
        "m f=1": (
            TIMESTAMP_UNREADABLE,
            "expected a whole number, ns since 1970 and of a year up to 9999, found nothing",
        ),
        "m f=1 now": (TIMESTAMP_UNREADABLE, 'found "now"'),
        "m f=1 1.5": (TIMESTAMP_UNREADABLE, 'found "1.5"'),
        "m f=1 1e18": (TIMESTAMP_UNREADABLE, 'found "1e18"'),
        "m f=1 +1": (TIMESTAMP_UNREADABLE, 'found "+1"'),
        "m f=1 1_0": (TIMESTAMP_UNREADABLE, 'found "1_0"'),
        "m f=1 -": (TIMESTAMP_UNREADABLE, 'found "-"'),
        "m f=1 9223372036854775808": (TIMESTAMP_UNREADABLE, 'found "9223372036854775808"'),
        'm,a="' + f" f=1 {TS}": None,
        'm,a="': (FIELD_COUNT, "found 1 parts"),
    }
    _, rejected, _ = decode("\n".join(lines))
    found = {row["payload"]: (row["reason"], row["detail"]) for row in rejected}
    assert {line: found[line][0] for line in found} == {line: why[0] for line, why in lines.items() if why}
    assert [line for line, why in lines.items() if why and why[1] not in found[line][1]] == []


def test_lines_that_say_nothing_are_skipped_by_reason(decode):
    found, rejected, skipped = decode(f'# it="s\n\n  # x\n \t\nm f=1 {TS}\n#\nm,#=1 #="#" {TS}\n')
    assert (len(found), rejected) == (2, [])
    assert skipped == {(1, COMMENT): 3, (1, BLANK): 2}


@pytest.mark.parametrize(
    ("precision", "stamp", "ts", "cut"),
    [
        ("ns", "0000000000000000000", EPOCH, False),
        ("ns", "1556813561098000999", AT, True),
        ("ns", "-1", EPOCH - timedelta(microseconds=1), True),
        ("ns", "-1000", EPOCH - timedelta(microseconds=1), False),
        ("ns", "-9223372036854775806", EPOCH - timedelta(microseconds=9223372036854776), True),
        ("ns", "9223372036854775806", EPOCH + timedelta(microseconds=9223372036854775), True),
        ("us", "1556813561098000", AT, False),
        ("ms", "1556813561098", AT, False),
        ("ms", "-62135596800000", datetime(1, 1, 1, tzinfo=UTC), False),
        ("ms", "-62135596800001", None, False),
        ("s", "1556813561", AT.replace(microsecond=0), False),
        ("s", "253402300799", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), False),
        ("s", "253402300800", None, False),
        ("s", "9223372036854775807", None, False),
    ],
)
def test_timestamps_of_every_precision(con, tmp_path, precision, stamp, ts, cut):
    decoder = LineProtocol.from_options({"precision": precision})
    decoding = decoder.fast(con, [prepared(tmp_path, f"m f=1 {stamp}\n")], tmp_path)
    found = con.execute(f"SELECT epoch_us(ts), remarks FROM ({decoding.rows})").fetchall()
    rejected = rows(con, decoding.rejected)
    if ts is None:
        assert (found, [row["reason"] for row in rejected]) == ([], [TIMESTAMP_UNREADABLE])
    else:
        assert (found, rejected) == ([((ts - EPOCH) // timedelta(microseconds=1), TIMESTAMP_CUT if cut else 0)], [])


def test_lines_that_are_missing_among_the_decoded_ones_mean_what_they_meant(con, tmp_path):
    file = prepared(tmp_path, f"m,t=a f=1,g=2 {TS}\nm f=x {TS}\nm,t=b f=3 {TS}\n\nm f=4\n", 3, None, day="mo")
    decoding = LineProtocol.from_options({"source": "{day}"}).fast(con, [file], tmp_path)
    _, rejected, _ = run(con, decoding)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE missing AS {decoding.lines_without(decoding.rows, file.lines)}"
    ).fetchall()
    assert run(con, decoding.meaning("SELECT * FROM missing")) == ([], rejected, {(3, BLANK): 1})
    assert [row["line"] for row in rejected] == [2, 5]


# Templates


def test_the_source_is_the_template_the_path_or_the_measurement(decode):
    line = f"m,site=lyon,cell=C1 f=1 {TS}\n"

    def source(*how):
        (row,) = decode(line, *how)[0]
        return row["source"], row["tag"], json.loads(row["detail"])["tags"]

    assert source() == ("m", "m.f", {"cell": "C1", "site": "lyon"})
    assert source({}, "gateway-7") == ("gateway-7", "m.f", {"cell": "C1", "site": "lyon"})
    assert source({"source": "{site}"}, "gateway-7") == ("lyon", "m.f", {"cell": "C1"})
    assert source({"source": "{measurement} of {source}"}, "gateway-7")[0] == "m of gateway-7"


def test_templates_take_line_tags_before_what_the_path_says(decode):
    line = f"m,site=lyon,cell=C1,shift=2 f=1,g=2 {TS}\n"
    options = {"source": "{site}/{cell}-{source}", "tag": "{field}@{measurement}:{day}{shift}"}
    found, rejected, _ = decode(line, options, "gw", day="mo", site="not this")
    assert rejected == []
    assert [(row["source"], row["tag"], row["detail"]) for row in found] == [
        ("lyon/C1-gw", "f@m:mo2", None),
        ("lyon/C1-gw", "g@m:mo2", None),
    ]


def test_files_of_one_batch_have_their_own_paths(con, tmp_path):
    texts = {7: ("gw7", {"day": "mo"}), 2: (None, {"day": "tu", "other": "x"}), 5: ("gw5", {})}
    files = [prepared(tmp_path, f"m f=1 {TS}\n", n, source, **facts) for n, (source, facts) in texts.items()]
    decoder = LineProtocol.from_options({"source": "{day}/{source}"})
    assert {decoder.layout(file) for file in files} == {""}
    found, rejected, _ = run(con, decoder.fast(con, files, tmp_path))
    assert [(row["file"], row["source"]) for row in found] == [(7, "mo/gw7")]
    assert [(row["file"], row["reason"], row["detail"]) for row in rejected] == [
        (2, SOURCE_MISSING, 'neither a line tag nor the path says what "source" is'),
        (5, SOURCE_MISSING, 'neither a line tag nor the path says what "day" is'),
    ]


def test_a_line_that_lacks_a_name_of_a_template_is_rejected_with_the_name(decode):
    text = f"m,site=a,loop=1 f=1 {TS}\nm,loop=1 f=1 {TS}\nm,site=\\ ,loop=1 f=1 {TS}\nm,site=a f=1 {TS}\n"
    found, rejected, _ = decode(text, {"source": "{site}", "tag": "{measurement}/{loop}/{field}"})
    assert [(row["source"], row["tag"]) for row in found] == [("a", "m/1/f")]
    assert [(row["line"], row["reason"], row["detail"]) for row in rejected] == [
        (2, SOURCE_MISSING, 'neither a line tag nor the path says what "site" is'),
        (3, SOURCE_MISSING, 'neither a line tag nor the path says what "site" is'),
        (4, TAG_MISSING, 'neither a line tag nor the path says what "loop" is'),
    ]


def test_a_tag_without_field_is_for_lines_with_one(decode):
    found, rejected, _ = decode(f"m,s=a value=1 {TS}\nm,s=a value=1,other=2 {TS}\n", {"tag": "{s}"})
    assert [(row["line"], row["tag"]) for row in found] == [(1, "a")]
    assert [(row["line"], row["reason"]) for row in rejected] == [(2, REPEATED_NAME)]
    assert rejected[0]["detail"] == "the tag template names no {field}, and the line has 2"


def test_details_are_the_same_in_any_order_of_the_line_tags(decode):
    found, _, _ = decode(
        f'm,b="2",a=1,u=K f=1 {TS}\nm,u=K,a=1,b="2" f=1 {TS}\nm f=1 {TS}\nm,u=K f=1 {TS}\n', {"unit": "u"}
    )
    detail = '{"tags":{"a":"1","b":"\\"2\\""},"unit":"K"}'
    assert [row["detail"] for row in found] == [detail, detail, None, '{"unit":"K"}']


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "m"},
        {"separator": ";"},
        {"source": "{site"},
        {"source": "{}"},
        {"source": ""},
        {"source": "{field}"},
        {"tag": "{a}}"},
        {"tag": "  "},
        {"unit": ""},
        {"tag": "x" * 257},
    ],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(pydantic.ValidationError):
        LineProtocol.from_options(options)


def test_quotes_in_options_stay_data(decode):
    name = "o'clock"
    options = {"source": f"at '{{{name}}}", "tag": "'{field}", "unit": "u'"}
    found, _, _ = decode(f"m,{name}=5,u'=K f=1 {TS}\n", options)
    assert [(row["source"], row["tag"], row["detail"]) for row in found] == [("at '5", "'f", '{"unit":"K"}')]


# Texts that span lines


def test_a_text_that_spans_lines_is_one_observation(decode):
    data = f'm a=1 {TS}\nm s="one\n\n# two\\"\nm f=2 {TS}",t="three\\\nfour",u=3 {TS}\nm b=4 {TS}\n'
    for text in (data, data.replace("\n", "\r\n")):
        found, rejected, skipped = decode(text)
        assert rejected == []
        assert [(row["line"], row["tag"], row["value"], row["text"]) for row in found] == [
            (1, "m.a", 1.0, None),
            (2, "m.s", None, f'one\n\n# two"\nm f=2 {TS}'),
            (2, "m.t", None, "three\\\nfour"),
            (2, "m.u", 3.0, None),
            (7, "m.b", 4.0, None),
        ]
        assert skipped == {(1, CONTINUATION): 4}


def test_the_fast_path_comes_out_short_of_a_text_that_spans_lines(con, tmp_path):
    file = prepared(tmp_path, f'm s="one\ntwo" {TS}\nm f=1 {TS}\n')
    assert accounted(run(con, LineProtocol().fast(con, [file], tmp_path))) < file.lines


def test_a_quote_too_many_rejects_its_line_alone(decode):
    found, rejected, _ = decode(f'm s="a,n=1 {TS}\nm f=1 {TS}\nm s="b" {TS}\nm s="c {TS}\nm f=2 {TS}')
    assert [(row["line"], row["tag"]) for row in found] == [(2, "m.f"), (3, "m.s"), (5, "m.f")]
    assert [(row["line"], row["reason"]) for row in rejected] == [(1, UNTERMINATED_TEXT), (4, UNTERMINATED_TEXT)]


def test_lines_of_a_rejected_point_are_kept_with_it(reasons):
    assert reasons(f'm s="a\nb"\nm s="a\n\xff\nb" {TS}\nm f=1 {TS}\nm s="x\nb",n=nan {TS}\n'.encode("latin-1")) == [
        (1, TIMESTAMP_UNREADABLE),
        (2, BLOCK_UNREADABLE),
        (3, UNTERMINATED_TEXT),
        (4, INVALID_UTF8),
        (5, FIELD_UNREADABLE),
        (7, FIELD_UNREADABLE),
        (8, BLOCK_UNREADABLE),
    ]


def test_texts_are_joined_across_batches_and_given_up_when_too_long():
    lines = ["x", 'm s="a', "bbbb", "cccc", 'd" 1', "y", 'm s="e']

    def joined(limit: int, size: int):
        batches = [LineBatch(start + 1, lines[start : start + size]) for start in range(0, len(lines), size)]
        whole = LineBatch(1, [])
        for batch in join_texts(batches, limit):
            start = len(whole.contents)
            assert batch.first == start + 1
            whole.contents.extend(batch.contents)
            whole.problems.update({start + index: problem for index, problem in batch.problems.items()})
            whole.documents.update({start + index: text for index, text in batch.documents.items()})
            whole.openers.update({start + index: opener for index, opener in batch.openers.items()})
        assert whole.contents == lines
        return whole.problems, whole.documents, whole.openers

    for size in (1, 2, 3, 7):
        assert joined(100, size) == (
            {2: CONTINUATION, 3: CONTINUATION, 4: CONTINUATION, 6: UNTERMINATED_TEXT},
            {1: 'm s="a\nbbbb\ncccc\nd" 1'},
            {2: 2, 3: 2, 4: 2},
        )
        assert joined(20, size) == ({1: UNTERMINATED_TEXT, 6: UNTERMINATED_TEXT}, {}, {})


# Hostile content


def test_hostile_lines_are_rejected_alone(reasons):
    data = b"\n".join(
        [
            f"m f=1 {TS}".encode(),
            f'm f="caf\xe9" {TS}'.encode("latin-1"),
            f'm f="\x00" {TS}'.encode(),
            b'm f="' + b"x" * (2 << 20) + f'" {TS}'.encode(),
            f'm f="\x01\x02" {TS}\r'.encode(),
        ]
    )
    assert reasons(data) == [(2, INVALID_UTF8), (3, NUL_BYTE), (4, LINE_TOO_LONG)]


def test_line_tags_are_not_repeated_without_bounds(reasons, decode):
    wide = f"m,t={'x' * 2000} {','.join(f'f{n}=1' for n in range(9000))} {TS}\n"
    assert reasons(f"m f=1 {TS}\n{wide}") == [(2, LINE_TOO_WIDE)]
    assert len(decode(wide.replace("x" * 2000, "x"))[0]) == 9000


def test_an_empty_file_is_nothing(decode):
    assert decode("") == ([], [], {})


def test_a_mark_and_carriage_returns_are_no_part_of_a_line(observe):
    assert observe(f"\ufeffm f=1 {TS}\r\nm f=2 {TS}\r\n") == [("m.f", 1.0, None), ("m.f", 2.0, None)]


# What is written comes back

NAME = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=6).filter(
    lambda name: name.strip(" \t") == name and not name.endswith("\\") and not name.startswith("#")
)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
VALUE = st.one_of(
    FLOAT.map(lambda number: (repr(number), number, None)),
    st.integers(-(2**63), 2**63 - 1).map(lambda number: (f"{number}i", float(number), None)),
    st.integers(0, 2**64 - 1).map(lambda number: (f"{number}u", float(number), None)),
    st.sampled_from(["t", "T", "true", "True", "TRUE"]).map(lambda word: (word, None, "true")),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\1\r"), max_size=8).map(
        lambda text: ('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"', None, text)
    ),
)
POINT = st.tuples(
    NAME,
    st.dictionaries(NAME, NAME, max_size=3),
    st.dictionaries(NAME, VALUE, min_size=1, max_size=4),
    st.integers(-(2**63) + 2, 2**63 - 2),
)


def escaped(name: str, specials: str) -> str:
    return re.sub(f"([{specials}])", r"\\\1", name)


def written(point) -> str:
    measurement, tags, fields, ts = point
    head = [escaped(measurement, ", "), *(f"{escaped(k, ',= ')}={escaped(v, ',= ')}" for k, v in tags.items())]
    tokens = [escaped(key, ",= ") + "=" + token for key, (token, _, _) in fields.items()]
    return f"{','.join(head)} {','.join(tokens)} {ts}\n"


@given(st.lists(POINT, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_points_come_back_as_they_were(con, tmp_path_factory, points):
    folder = tmp_path_factory.mktemp("points")
    file = prepared(folder, "".join(map(written, points)))
    found, rejected, _ = run(con, LineProtocol().exact(con, file, folder))
    assert rejected == []
    instants = con.execute(
        f"SELECT line, epoch_us(ts) FROM ({LineProtocol().exact(con, file, folder).rows}) WHERE part = 1 ORDER BY line"
    ).fetchall()
    assert [ts for _, ts in instants] == [ts // 1000 for *_, ts in points]
    observed = iter(found)
    for measurement, tags, fields, _ in points:
        for part, (key, (token, value, text)) in enumerate(fields.items(), start=1):
            row = next(observed)
            assert (row["part"], row["source"], row["tag"]) == (part, measurement, f"{measurement}.{key}")
            assert json.loads(row["detail"] or '{"tags": {}}')["tags"] == tags
            assert row["value"] == value
            assert row["text"] == text if value is None else row["text"] in (None, token.rstrip("iu"))
    assert next(observed, None) is None


# The grammar's number, line-protocol.ebnf
FLOAT_FIELD = re.compile(r"-?([0-9]+(\.[0-9]*([eE][-+]?[0-9]+)?)?|[0-9]+[eE][-+]?[0-9]+|\.[0-9]+([eE][-+]?[0-9]+)?)")
INTEGER_FIELD = re.compile(r"-?[0-9]+i|[0-9]+u")


@given(st.lists(st.text("0123456789+-.eE_\t\v\fnaiuxX\u0663'", max_size=7), min_size=1, max_size=60))
@example(
    ["1e5.", "1.e5", ".e5", "1.", "-.5", "+1", "1e-999", "1e400", "-0i", "-0u", "1_0i", "1\t", "-\t1", "00i", "1.i"]
)
@settings(max_examples=50, deadline=None)
def test_numbers_are_what_the_grammar_says(con, tmp_path_factory, tokens):
    folder = tmp_path_factory.mktemp("numbers")
    file = prepared(folder, "".join(f"m f={token} {TS}\n" for token in tokens))
    assert file.plain
    found = {row["line"]: row["value"] for row in rows(con, LineProtocol().fast(con, [file], folder).rows)}
    for line, token in enumerate(tokens, start=1):
        is_value = FLOAT_FIELD.fullmatch(token) or INTEGER_FIELD.fullmatch(token)
        value = float(token.rstrip("iu")) if is_value else None
        assert found.get(line) == (None if value is None or abs(value) == float("inf") else value), token


FRAGMENT = st.sampled_from(
    [
        *(
            "m",
            ",",
            "=",
            " ",
            "  ",
            '"',
            "\\",
            "\\\\",
            "\\,",
            "\\ ",
            "\\=",
            '\\"',
            "t",
            "f",
            "1",
            "12i",
            "7u",
            '="',
            '" ',
            '",',
        ),
        *(
            "a=1",
            "f=1",
            ',g="x"',
            f" {TS}",
            "-1",
            "1.5e3",
            "#",
            "nan",
            "é",
            "🚀",
            "\t",
            "\x02",
            "\v",
            "\u2028",
            "m,t=a f=1 12",
        ),
        *(f"m,t=a f=1 {TS}", f'm s="x y",f=2 {TS}', 'm s="x'),
    ]
)
LINE = st.lists(FRAGMENT, max_size=9).map("".join) | POINT.map(written).map(lambda line: line.replace("\n", ""))


@st.composite
def mutated(draw):
    """A line, with some of its characters left out, doubled or exchanged."""
    line = draw(LINE)
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, max(len(line) - 1, 0)))
        line = line[:at] + draw(st.sampled_from(["", line[at : at + 1] * 2, " ", '"', "\\", "=", ","])) + line[at + 1 :]
    return line.replace("\1", "")


OPTIONS = st.sampled_from(
    [{}, {"precision": "s"}, {"tag": "{t}/{field}", "unit": "a"}, {"source": "{t}:{day}", "tag": "{measurement}"}]
)


@given(
    st.lists(st.tuples(st.lists(mutated(), max_size=8), st.sampled_from(["\n", "\r\n"])), min_size=1, max_size=3),
    OPTIONS,
)
@settings(max_examples=40, deadline=None)
def test_the_fast_path_means_what_the_exact_one_means(con, tmp_path_factory, contents, options):
    folder = tmp_path_factory.mktemp("both")
    decoder = LineProtocol.from_options(options)
    for number, (lines, end) in enumerate(contents):
        file = prepared(folder, end.join(lines), number, None, day="mo")
        exact = run(con, decoder.exact(con, file, folder))
        assert accounted(exact) == file.lines
        fast = run(con, decoder.fast(con, [file], folder))
        assert (accounted(fast) < file.lines) if has_open_line(exact) else (fast == exact)


PIECE = st.sampled_from(
    [
        *(
            b"\n",
            b"\n",
            b"\r\n",
            b"\r",
            b'"',
            b'="',
            b"\\",
            b" ",
            b",",
            b"\x00",
            b"\xff",
            b"\x01",
            b"# c\n",
            b"\xef\xbb\xbf",
        ),
        *(f"m f=1 {TS}\n".encode(), f'm s="a\nb" {TS}\n'.encode(), b'm s="', f'" {TS}\n'.encode(), b"x" * 70),
    ]
)


@given(
    st.lists(PIECE | st.binary(max_size=5), max_size=30).map(b"".join) | st.binary(max_size=200), st.integers(5, 100)
)
@settings(max_examples=50, deadline=None)
def test_every_line_of_any_bytes_is_accounted_for(con, tmp_path_factory, data, chunk):
    folder = tmp_path_factory.mktemp("any")
    file = prepared(folder, data)
    decoder = LineProtocol(LineProtocolOptions(), Limits(max_line_bytes=64))
    with patch.object(framing, "CHUNK_BYTES", chunk):
        found, rejected, skipped = run(con, decoder.exact(con, file, folder))
    assert accounted((found, rejected, skipped)) == file.lines
    numbers = [row["line"] for row in found if row["part"] == 1] + [row["line"] for row in rejected]
    assert len(numbers) == len(set(numbers))
    assert all(1 <= line <= file.lines for line in numbers)


# The same measurements in two formats


def test_a_real_series_equals_its_csv(con, tmp_path):
    with gzip.open(NAB / "machine_temperature_system_failure.csv.gz", "rt", newline="") as opened:
        expected = [
            (datetime.fromisoformat(row["timestamp"] + "+00:00"), float(row["value"])) for row in csv.DictReader(opened)
        ]
    packed = (NAB / "machine_temperature_system_failure.lp.gz").read_bytes()
    file = prepared(tmp_path, gzip.decompress(packed))
    decoder = LineProtocol.from_options({"source": "{site}/{equipment}", "tag": "{measurement}", "unit": "unit"})
    decoding = decoder.fast(con, [file], tmp_path)
    found, rejected, skipped = run(con, decoding)
    assert (rejected, skipped) == ([], {})
    assert [(row["ts"], row["value"]) for row in found] == expected
    assert len(found) == decoder.count(file) == 22_695
    assert statistics.fmean(row["value"] for row in found) == pytest.approx(85.926498211, abs=5e-10)
    assert sum(count == 2 for count in Counter(row["ts"] for row in found).values()) == 12
    assert {(row["source"], row["tag"], row["detail"], row["remarks"]) for row in found} == {
        ("nab/unit1", "machine_temperature", '{"unit":"degF"}', 0)
    }
    exact = run(con, decoder.exact(con, file, tmp_path))
    assert exact == (found, [], {})
