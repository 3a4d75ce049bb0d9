"""Parquet and Arrow as rows: types come through exactly, damage costs what is damaged, every row is accounted for."""

import contextlib
import csv
import json
import math
import struct
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pydantic
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import feather, ipc

from idm_assets.capture.decoders import PreparedFile, UndecodableFile, arrow_messages, columnar_rows
from idm_assets.capture.decoders.columnar_rows import ArrowRows, ParquetRows
from idm_assets.capture.decoders.csv_rows import CsvRows
from idm_assets.capture.decoders.registry import row_format_for
from idm_assets.capture.decoders.tabular import EMPTY_ROW, MAX_COLUMNS, Tabular
from idm_assets.capture.framing import INVALID_UTF8
from idm_assets.capture.remarks import NUMBER_ROUNDED, TIMESTAMP_CUT
from idm_assets.capture.shapes import LongReading, RecordReading, WideReading
from idm_assets.capture.status_reading import StatusReading
from idm_assets.capture.time_reading import TimeReading
from idm_assets.status import BAD_NO_DATA, GOOD

AT = datetime(2020, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        # A zone far from UTC, so that a timestamp that depends on the session's zone shows.
        connection.execute("SET threads = 2; SET TimeZone = 'Asia/Tokyo'").fetchall()
        yield connection


# --- writing ---------------------------------------------------------------------------------------------


def as_parquet(table, path, **options):
    pq.write_table(table, path, **options)


def as_file(table, path, rows=None, **options):
    with ipc.new_file(path, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)


def as_stream(table, path, rows=None, **options):
    with ipc.new_stream(path, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)


FORMATS = {"parquet": (ParquetRows(), as_parquet), "file": (ArrowRows(), as_file), "stream": (ArrowRows(), as_stream)}


@pytest.fixture(params=["parquet", "stream"])
def form(request):
    """A format; files and streams of Arrow differ in their framing only, which has tests of its own."""
    return FORMATS[request.param]


def prepared(path, number=1, source="press", **facts):
    return PreparedFile(number, path, source, 0, plain=True, facts=facts)


@pytest.fixture
def deliver(tmp_path):
    """Write a table to a file of a format."""

    def written(form, table, number=1, **options):
        path = tmp_path / f"{uuid.uuid4().hex}.bin"
        form[1](table, path, **options)
        return prepared(path, number)

    return written


# --- decoding --------------------------------------------------------------------------------------------


def tabular(rows, shape, zone="UTC", field="ts", form="iso"):
    return Tabular(rows, TimeReading(field=field, format=form), shape, StatusReading(), zone)


def listed(con, query, order="ALL"):
    found = con.execute(f"SELECT * FROM ({query}) ORDER BY {order}")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def run(con, decoding):
    skipped = {(row["file"], row["reason"]): row["lines"] for row in listed(con, decoding.skipped)}
    return listed(con, decoding.rows), listed(con, decoding.rejected), skipped


def accounted(result):
    rows, rejected, skipped = result
    return len({(row["file"], row["line"]) for row in rows}) + len(rejected) + sum(skipped.values())


@pytest.fixture
def decode(con, tmp_path):
    """Decode a file by the exact path, and by the fast one, which has to agree."""

    def both(decoder, file, *, fast=True):
        exact = run(con, decoder.exact(con, file, tmp_path))
        assert accounted(exact) == decoder.count(file)
        if fast:
            assert run(con, decoder.fast(con, [file], tmp_path)) == exact
        return exact

    return both


@pytest.fixture
def cells(decode, deliver):
    """What becomes of the values of one column: number, text, and remarks of each row."""

    def read(form, column):
        table = pa.table({"ts": pa.array([AT] * len(column), pa.timestamp("us", "UTC")), "x": column})
        file = deliver(form, table)
        rows, rejected, skipped = decode(tabular(form[0], WideReading(columns={"x": "x"}, empty="no_data")), file)
        assert (rejected, skipped) == ([], {})
        assert {row["ts"] for row in rows} <= {AT}
        return [(row["value"], row["text"], row["remarks"]) for row in sorted(rows, key=lambda row: row["line"])]

    return read


# --- values ----------------------------------------------------------------------------------------------


def rounded(number):
    return (float(number), str(number), NUMBER_ROUNDED)


EXACT = 2**53


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (pa.int8(), {-128: (-128.0, None, 0), 127: (127.0, None, 0)}),
        (pa.uint32(), {2**32 - 1: (4294967295.0, None, 0)}),
        (
            pa.int64(),
            {
                0: (0.0, None, 0),
                10**15: (1e15, "1000000000000000", 0),
                EXACT - 1: (float(EXACT - 1), str(EXACT - 1), 0),
                EXACT: (float(EXACT), str(EXACT), 0),
                EXACT + 1: rounded(EXACT + 1),
                -EXACT - 1: rounded(-EXACT - 1),
                2**63 - 1: rounded(2**63 - 1),
                # Exactly a power of two, but written with other digits than the shortest that give it.
                -(2**63): rounded(-(2**63)),
            },
        ),
        (pa.uint64(), {2**64 - 1: rounded(2**64 - 1)}),
    ],
)
def test_integers_keep_all_digits(cells, form, kind, numbers):
    assert cells(form, pa.array(list(numbers), kind)) == list(numbers.values())


def test_doubles_are_exact_and_what_is_not_finite_is_no_number(cells, form):
    values = [0.1 + 0.2, -0.0, 5e-324, 1.7976931348623157e308, 1e-7, 3.0, math.nan, math.inf, -math.inf, None]
    found = cells(form, pa.array(values, pa.float64()))
    assert [value for value, _, _ in found[:6]] == values[:6]
    assert math.copysign(1, found[1][0]) == -1
    assert found[:6] == [(value, None, 0) for value in values[:6]]
    assert found[6:] == [(None, "nan", 0), (None, "inf", 0), (None, "-inf", 0), (None, None, 0)]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_what_is_not_finite_is_seen_where_statistics_say_nothing_of_it(cells, form, kind, odd):
    assert cells(form, pa.array([1.5, 2.5, odd], kind)) == [(1.5, None, 0), (2.5, None, 0), (None, str(odd), 0)]
    assert cells(form, pa.array([None, odd, 2.5], kind)) == [(None, None, 0), (None, str(odd), 0), (2.5, None, 0)]


def test_a_float_is_the_double_that_it_is(cells, form):
    (short,) = struct.unpack("<f", struct.pack("<f", 0.1))
    assert cells(form, pa.array([0.1, math.nan], pa.float32())) == [(short, None, 0), (None, "nan", 0)]
    assert short == 0.10000000149011612
    assert cells(form, pa.array([1.5], pa.float16())) == [(1.5, None, 0)]


DECIMALS = [Decimal("1.50"), Decimal("-0.05"), Decimal("12345678901234567.89"), None]


@pytest.mark.parametrize("kind", [pa.decimal128(20, 2), pa.decimal256(20, 2), pa.decimal256(60, 2)])
def test_decimals_are_written_in_their_scale(cells, form, kind):
    assert cells(form, pa.array(DECIMALS, kind)) == [
        (1.5, "1.50", 0),
        (-0.05, None, 0),
        (12345678901234567.89, "12345678901234567.89", NUMBER_ROUNDED),
        (None, None, 0),
    ]


def test_decimals_that_duckdb_has_no_room_for_keep_their_digits(cells, form):
    digits = "12345678901234567890123456789012345678901234567.0000000001"
    found = cells(form, pa.array([Decimal(digits), Decimal("0.0000000001")], pa.decimal256(60, 10)))
    assert found == [(float(digits), digits, NUMBER_ROUNDED), (1e-10, "0.0000000001", 0)]


def test_decimals_of_whole_thousands_are_whole_numbers(cells):
    thousands = pa.array([12, -5, None], pa.int64()).cast(pa.decimal128(19, 0)).view(pa.decimal128(19, -3))
    assert cells(FORMATS["file"], thousands) == [(12_000.0, None, 0), (-5_000.0, None, 0), (None, None, 0)]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([True, False, None]), ["true", "false", None]),
        (pa.array(["ab", "", "\u00e9\u4e2d", " x "]), ["ab", "", "\u00e9\u4e2d", " x "]),
        (pa.array(["x", "y", "x", None]).dictionary_encode(), ["x", "y", "x", None]),
        (pa.array(["x"], pa.large_string()), ["x"]),
        (pa.array([b"\x00\xfe", b"", None]), ["0x00fe", "0x", None]),
        (pa.array([b"ab"], pa.binary(2)), ["0x6162"]),
        (pa.array([uuid.UUID(int=1).bytes], pa.uuid()), ["00000000-0000-0000-0000-000000000001"]),
        (pa.array(['{"a": 1}'], pa.json_()), ['{"a": 1}']),
        (pa.nulls(2), [None, None]),
        (pa.array([date(2020, 2, 29), None]), ["2020-02-29", None]),
        (pa.array([date(2020, 2, 29)], pa.date64()), ["2020-02-29"]),
        (pa.array([time(1, 2, 3, 400_000)], pa.time64("us")), ["01:02:03.4"]),
        (pa.array([1_000_000_001], pa.time64("ns")), ["00:00:01.000000001"]),
        (pa.array([1_500], pa.time32("ms")), ["00:00:01.5"]),
        (pa.array([1_500_000], pa.timestamp("us")), ["1970-01-01T00:00:01.5"]),
        (pa.array([1_500], pa.timestamp("ms", "Europe/Paris")), ["1970-01-01T00:00:01.5Z"]),
        (pa.array([1], pa.timestamp("ns", "UTC")), ["1970-01-01T00:00:00.000000001Z"]),
        (pa.array([-62_135_596_800_000_001], pa.timestamp("us", "UTC")), ["0001-12-31T(BC)T23:59:59.999999Z"]),
    ],
)
def test_what_is_no_number_is_text(cells, form, column, texts):
    assert cells(form, column) == [(None, text, 0) for text in texts]


def test_a_duration_is_a_number_with_its_unit(con, tmp_path, deliver, form):
    table = pa.table({"ts": pa.array([AT], pa.timestamp("us", "UTC")), "x": pa.array([90], pa.duration("ms"))})
    decoding = tabular(form[0], WideReading(columns={"x": "x"})).fast(con, [deliver(form, table)], tmp_path)
    (row,) = listed(con, decoding.rows)
    assert (row["value"], json.loads(row["detail"])) == (90.0, {"unit": "ms"})


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([[1, None], [], None], pa.list_(pa.int64())), [[1, None], [], None]),
        (pa.array([[math.nan, 0.5, -math.inf]]), [["nan", 0.5, "-inf"]]),
        (pa.array([[[b"\x01"], None]]), [[["0x01"], None]]),
        (pa.array([{"a": 1, "b": {"c": [True]}}, None]), [{"a": 1, "b": {"c": [True]}}, None]),
        (pa.array([{"t": AT, "d": Decimal("1.50")}]), [{"t": "2020-03-01T12:30:15.25Z", "d": "1.50"}]),
        (pa.array([[("k", 1), ("l", None)]], pa.map_(pa.string(), pa.int64())), [{"k": 1, "l": None}]),
        (pa.array([[(7, [1.5])]], pa.map_(pa.int64(), pa.list_(pa.float64()))), [{"7": [1.5]}]),
        (pa.array([[("k", [("m", 'say "x"')])]], pa.map_(pa.string(), pa.map_(pa.string(), pa.string()))), None),
        (pa.array([[1, 2]], pa.list_(pa.int32(), 2)), [[1, 2]]),
        (pa.array([["x"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), [["x"]]),
        # DuckDB does not tell such names apart.
        (pa.array([{"A": 1, "a": 2}]), [{"A": 1, "a": 2}]),
    ],
)
def test_nested_values_are_json(cells, decode, deliver, form, column, expected):
    if expected is None:
        expected = [{"k": {"m": 'say "x"'}}]
    if "A" in str(column.type):
        table = pa.table({"ts": pa.array([AT], pa.timestamp("us", "UTC")), "x": column})
        decoder = tabular(form[0], WideReading(columns={"x": "x"}))
        found = [(None, row["text"], 0) for row in decode(decoder, deliver(form, table), fast=False)[0]]
    else:
        found = cells(form, column)
    assert [text and json.loads(text) for _, text, _ in found] == expected


def test_a_map_with_a_key_twice_keeps_both(cells, form):
    column = pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int64()))
    assert [text for _, text, _ in cells(form, column)] == ['{"k":1,"k":2}']


@pytest.mark.parametrize("form", [FORMATS["file"], FORMATS["stream"]])
def test_types_that_parquet_does_not_have_are_json_or_text(cells, form):
    views = pa.array([[1, 2], None], pa.list_view(pa.int64()))
    assert cells(form, views) == [(None, "[1,2]", 0), (None, None, 0)]
    union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([5, 6]), pa.array(["x", "y"])])
    assert cells(form, union) == [(5.0, None, 0), (None, "y", 0)]
    assert cells(form, pa.array(["v"], pa.string_view())) == [(None, "v", 0)]
    assert cells(form, pa.RunEndEncodedArray.from_arrays([2], ["r"])) == [(None, "r", 0)] * 2


def test_fields_of_structs_have_dotted_names(decode, deliver, form):
    pump = [{"state": "on", "oil": {"bar": 1.5, "at": AT}}, None, {"state": None, "oil": None}]
    table = pa.table({"ts": pa.array([AT] * 3, pa.timestamp("us", "UTC")), "pump": pump, "oil": [1, 2, 3]})
    shape = WideReading(columns={"bar": "pump.oil.bar", "at": "pump.oil.at", "on": "pump.state", "oil": "oil"})
    rows, _, _ = decode(tabular(form[0], shape), deliver(form, table))
    assert [(row["line"], row["part"], row["tag"], row["value"], row["text"]) for row in rows] == [
        (1, 1, "bar", 1.5, None),
        (1, 2, "at", None, "2020-03-01T12:30:15.25Z"),
        (1, 3, "on", None, "on"),
        (1, 4, "oil", 1.0, None),
        (2, 1, "oil", 2.0, None),
        (3, 1, "oil", 3.0, None),
    ]
    rows, _, _ = decode(
        tabular(form[0], WideReading(columns={"oil": "oil"}), field="pump.oil.at"), deliver(form, table[:1])
    )
    assert [row["ts"] for row in rows] == [AT]


NAMES = st.text("abcXYZ0 _", min_size=1, max_size=6).filter(lambda name: name.strip() == name and name != "ts")
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-1000, 1000)
WORDS = st.text("abc,;\"' \u00e9\n", min_size=1, max_size=8).filter(lambda word: word.strip() == word)


@st.composite
def tables(draw):
    """Columns of integers, doubles, booleans and words, some of them null, with times."""
    count = draw(st.integers(1, 6))
    kinds = {
        pa.int64(): NUMBERS,
        pa.float64(): st.floats(allow_nan=False, allow_infinity=False),
        pa.bool_(): st.booleans(),
        pa.string(): WORDS,
    }
    columns = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique_by=str.lower)):
        kind = draw(st.sampled_from(list(kinds)))
        columns[name] = pa.array(draw(st.lists(st.none() | kinds[kind], min_size=count, max_size=count)), kind)
    stamps = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 - made aware below
    times = [draw(stamps).replace(tzinfo=UTC) for _ in range(count)]
    return pa.table({"ts": pa.array(times, pa.timestamp("us", "UTC")), **columns})


def spoken(value):
    """A value as an export to text writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e15 and value else repr(value)
        case datetime():
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)
        case None:
            return ""
        case _:
            return str(value)


@FEW
@given(table=tables(), form=st.sampled_from(list(FORMATS)))
@example(table=pa.table({"ts": pa.array([AT], pa.timestamp("us", "UTC")), "a": [1e16]}), form="parquet")
def test_the_same_data_as_text_gives_the_same_observations(con, tmp_path, table, form):
    rows_format, write = FORMATS[form]
    path, text = tmp_path / "t.bin", tmp_path / "t.csv"
    write(table, path)
    with text.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows([[spoken(value) for value in row.values()] for row in table.to_pylist()])
    lines = text.read_bytes().count(b"\n")
    shape = WideReading()
    file = prepared(path)
    decoder = tabular(rows_format, shape)
    typed = run(con, decoder.exact(con, file, tmp_path))
    assert run(con, decoder.fast(con, [file], tmp_path)) == typed
    assert accounted(typed) == len(table) == decoder.count(file)
    as_text = PreparedFile(1, text, "press", lines, plain=False)
    written = run(con, tabular(CsvRows.from_options({}), shape).exact(con, as_text, tmp_path))

    def said(rows):
        # A double has no spelling of its own, so whether it was kept as text is not compared.
        digits = [(r["ts"], r["tag"], r["value"], r["text"] if r["value"] is None else None) for r in rows]
        return sorted(digits, key=str)

    assert said(typed[0]) == said(written[0])


@FEW
@given(table=tables())
def test_values_come_through_as_they_were(con, tmp_path, table):
    path = tmp_path / "t.parquet"
    pq.write_table(table, path, row_group_size=2)
    decoder = tabular(ParquetRows(), WideReading(empty="no_data"))
    rows, _, skipped = run(con, decoder.fast(con, [prepared(path)], tmp_path))
    assert skipped == {}
    for row in rows:
        value = table.column(row["tag"])[row["line"] - 1].as_py()
        assert row["ts"] == table.column("ts")[row["line"] - 1].as_py()
        match value:
            case None:
                assert (row["value"], row["text"], row["status"]) == (None, None, BAD_NO_DATA)
            case float():
                assert (row["value"], row["text"], row["status"]) == (value, None, GOOD)
            case bool() | str():
                assert (row["value"], row["text"]) == (None, spoken(value))
            case _:
                assert row["value"] == float(value)
                assert int(row["text"] or row["value"]) == value


# --- times -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("named", ["UTC", "+02:00"])
def test_timestamps_with_a_zone_are_instants(decode, deliver, form, unit, named):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    table = pa.table({"ts": pa.array([1_583_065_815 * per_second], pa.timestamp(unit, named)), "x": [1]})
    rows, _, _ = decode(tabular(form[0], WideReading(), zone="America/New_York"), deliver(form, table))
    assert [(row["ts"], row["remarks"]) for row in rows] == [(AT.replace(microsecond=0), 0)]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Paris"])
def test_timestamps_without_a_zone_are_local(decode, deliver, form, unit, zone):
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    table = pa.table({"ts": pa.array([1_583_065_815 * per_second], pa.timestamp(unit)), "x": [1]})
    rows, _, _ = decode(tabular(form[0], WideReading(), zone=zone), deliver(form, table))
    assert [row["ts"] for row in rows] == [datetime(2020, 3, 1, 12, 30, 15, tzinfo=ZoneInfo(zone))]


@pytest.mark.parametrize("zone", [None, "UTC"])
def test_nanoseconds_are_cut_and_said_to_be(decode, deliver, form, zone):
    nanoseconds = [1_583_065_815_000_000_000, 1_583_065_815_123_456_000, 1_583_065_815_123_456_999, -1]
    table = pa.table({"ts": pa.array(nanoseconds, pa.timestamp("ns", zone)), "x": [1, 2, 3, 4]})
    rows, _, _ = decode(tabular(form[0], WideReading()), deliver(form, table))
    assert [(row["ts"].microsecond, row["remarks"]) for row in rows] == [
        (0, 0),
        (123_456, 0),
        (123_456, TIMESTAMP_CUT),
        (999_999, TIMESTAMP_CUT),
    ]
    assert rows[3]["ts"] == datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def test_times_that_cannot_be_are_rejected_with_what_they_say(decode, deliver, form):
    after = 253_402_300_800_000_000
    for zone in (None, "UTC"):
        table = pa.table({"ts": pa.array([after, None, 0], pa.timestamp("us", zone)), "x": [1, 2, 3]})
        rows, rejected, _ = decode(tabular(form[0], WideReading()), deliver(form, table))
        assert [row["line"] for row in rows] == [3]
        assert [(row["line"], row["reason"]) for row in rejected] == [
            (1, "timestamp_unreadable"),
            (2, "timestamp_unreadable"),
        ]
        stamp = "10000-01-01T00:00:00" + ("" if zone is None else "Z")
        assert json.loads(rejected[0]["payload"]) == {"ts": stamp, "x": 1}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_times_that_no_calendar_has_harm_nobody(con, decode, tmp_path, form, unit, zone):
    rows_format, write = form
    kind = pa.timestamp(unit, zone)
    if (rows_format.name, unit) == ("parquet", "s"):
        unit, kind = "ms", pa.timestamp("ms", zone)
    first, last = -(2**63), 2**63 - 1
    table = pa.table({"ts": pa.array([first, last, 0], kind), "until": pa.array([0, 0, first + 1], kind)})
    path = tmp_path / "t.bin"
    write(table, path)
    decoder = tabular(rows_format, WideReading())
    rows, rejected, _ = decode(decoder, prepared(path), fast=rows_format.name == "arrow")
    if rows_format.name == "parquet":
        with pytest.raises(UndecodableFile, match="cannot be"):
            decoder.fast(con, [prepared(path)], tmp_path)
    assert [(row["line"], row["value"], row["text"]) for row in rows] == [(3, None, f"{kind}: {first + 1}")]
    assert [(row["line"], row["reason"]) for row in rejected] == [
        (1, "timestamp_unreadable"),
        (2, "timestamp_unreadable"),
    ]
    assert [json.loads(row["payload"])["ts"] for row in rejected] == [f"{kind}: {first}", f"{kind}: {last}"]
    assert con.execute("SELECT 1").fetchall() == [(1,)]


def test_times_of_day_that_no_day_has_are_shown(cells):
    form = FORMATS["file"]
    column = pa.array([-1, 86_400_000_000, 2**62, 1], pa.int64()).view(pa.time64("us"))
    assert [text for _, text, _ in cells(form, column)] == [
        "time64[us]: -1",
        "24:00:00",
        f"time64[us]: {2**62}",
        "00:00:00.000001",
    ]


def test_a_fatal_error_of_the_reader_stays_apart(con, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"x": pa.array([1, 2])}), path)
    scan = f"(SELECT make_timestamp_ns(1) FROM read_parquet('{path}')) AS t(c0)"
    columnar_rows.try_aside(scan, ["c0"])
    with pytest.raises(duckdb.Error):
        columnar_rows.try_aside(scan, ["make_timestamp(-9223372036854775808)::VARCHAR"])
    assert con.execute("SELECT 1").fetchall() == [(1,)]


def test_date_and_time_in_two_columns_make_a_time(decode, deliver, form):
    table = pa.table({"d": [date(2020, 3, 1)], "t": [time(12, 30, 15, 250_000)], "x": [1]})
    rows, _, _ = decode(tabular(form[0], WideReading(), field=("d", "t")), deliver(form, table))
    assert [row["ts"] for row in rows] == [AT]


def test_integers_since_1970_are_times(decode, deliver, form):
    table = pa.table({"ts": [1_583_065_815_250, 1_583_065_815_251], "x": [1, 2]})
    rows, _, _ = decode(tabular(form[0], WideReading(), form="epoch_ms"), deliver(form, table))
    assert [row["ts"] for row in rows] == [AT, AT + timedelta(milliseconds=1)]


def test_int96_timestamps_are_local_and_reach_the_year_9999(decode, tmp_path):
    path = tmp_path / "old.parquet"
    micros = [253_402_200_000_000_001, 1_583_065_815_250_000]
    table = pa.table({"ts": pa.array(micros, pa.timestamp("us")), "x": [1, 2]})
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    rows, _, _ = decode(tabular(ParquetRows(), WideReading()), prepared(path))
    assert [row["ts"] for row in rows] == [datetime(9999, 12, 30, 20, 0, 0, 1, tzinfo=UTC), AT]


# --- tables ----------------------------------------------------------------------------------------------

LONG = LongReading(tag="tag", value="value", status="status", source="machine")


def test_long_tables_with_status_and_source(decode, deliver, form):
    table = pa.table(
        {
            "ts": pa.array([AT] * 4, pa.timestamp("us", "UTC")),
            "machine": ["m1", None, "m1", "m1"],
            "tag": pa.array(["T", "T", None, "T"]).dictionary_encode(),
            "value": [1.5, None, 2.0, 3.0],
            "status": pa.array([0, 0x80000000, 0, -1], pa.int64()),
        }
    )
    rows, rejected, _ = decode(tabular(form[0], LONG), deliver(form, table))
    assert [(row["source"], row["tag"], row["value"], row["status"]) for row in rows] == [
        ("m1", "T", 1.5, GOOD),
        ("press", "T", None, 0x80000000),
    ]
    assert [(row["line"], row["reason"]) for row in rejected] == [(3, "tag_missing"), (4, "status_unreadable")]
    assert json.loads(rejected[0]["payload"]) == {
        "ts": "2020-03-01T12:30:15.25Z",
        "machine": "m1",
        "tag": None,
        "value": 2.0,
        "status": 0,
    }


def test_records_have_all_columns(decode, deliver, form):
    table = pa.table({"order": [7], "ts": [AT], "note": ["ok"], "steps": [[1, 2]]})
    decoder = tabular(form[0], RecordReading(model="work_order"))
    rows, _, _ = decode(decoder, deliver(form, table))
    assert json.loads(rows[0]["payload"]) == {
        "order": "7",
        "ts": "2020-03-01T12:30:15.25Z",
        "note": "ok",
        "steps": "[1,2]",
    }


def test_rows_of_nulls_are_skipped_and_counted(decode, deliver, form):
    table = pa.table({"ts": pa.array([AT, None, AT], pa.timestamp("us", "UTC")), "x": pa.array([None, None, 1])})
    rows, rejected, skipped = decode(tabular(form[0], WideReading()), deliver(form, table))
    assert ([row["line"] for row in rows], rejected, skipped) == ([3], [], {(1, EMPTY_ROW): 2})


def test_tables_without_rows(decode, deliver, form):
    table = pa.table({"ts": pa.array([], pa.timestamp("us")), "x": pa.array([], pa.int64())})
    assert decode(tabular(form[0], WideReading()), deliver(form, table)) == ([], [], {})


def test_columns_of_one_name_stay_apart(decode, deliver, form):
    stamps = pa.array([AT], pa.timestamp("us", "UTC"))
    table = pa.table([stamps, [1], [2], [3], ["q"]], names=["ts", "A", "a", "A", "file_row_number"])
    rows, _, _ = decode(tabular(form[0], WideReading()), deliver(form, table))
    assert [(row["tag"], row["value"], row["text"]) for row in rows] == [
        ("A", 1.0, None),
        ("a", 2.0, None),
        ("A#2", 3.0, None),
        ("file_row_number", None, "q"),
    ]


def test_columns_without_a_name_get_their_number(decode, deliver, form):
    table = pa.table([pa.array([AT], pa.timestamp("us", "UTC")), [1], [2]], names=["ts", "", " "])
    rows, _, _ = decode(tabular(form[0], WideReading()), deliver(form, table))
    assert [(row["tag"], row["value"]) for row in rows] == [("column_2", 1.0), ("column_3", 2.0)]


@pytest.mark.parametrize("name", ["line", "file", "problem", "source", "part", "ts0", "c1", "f0", "row_group", "cell"])
def test_columns_may_be_called_anything(decode, deliver, form, name):
    table = pa.table({"when": pa.array([AT], pa.timestamp("us", "UTC")), name: [5], 'it\'s "x"': ["y"]})
    rows, _, _ = decode(tabular(form[0], WideReading(), field="when"), deliver(form, table))
    assert [(row["tag"], row["value"], row["text"]) for row in rows] == [(name, 5.0, None), ('it\'s "x"', None, "y")]


def test_files_of_one_layout_are_read_together(con, tmp_path, form):
    rows_format, write = form
    shape = WideReading(columns={"x {line}": "x"}, source="{hall}/{cell}")
    decoder = Tabular(rows_format, TimeReading(field="ts"), shape, StatusReading())
    files = []
    for number, values in ((4, [1, 2, 3]), (7, []), (9, [4])):
        # A name that would match others, were it taken for a pattern.
        path = tmp_path / f"[{number}]*?.bin"
        table = pa.table(
            {"ts": pa.array([AT] * len(values), pa.timestamp("us", "UTC")), "x": pa.array(values, "int64")}
        )
        write(table, path)
        files.append(prepared(path, number, cell=f"c{number}", hall="H'1"))
    assert len({decoder.layout(file) for file in files}) == 1
    rows, rejected, skipped = run(con, decoder.fast(con, files, tmp_path))
    assert (rejected, skipped) == ([], {})
    assert [(row["file"], row["line"], row["source"], row["value"]) for row in rows] == [
        (4, 1, "H'1/c4", 1.0),
        (4, 2, "H'1/c4", 2.0),
        (4, 3, "H'1/c4", 3.0),
        (9, 1, "H'1/c9", 4.0),
    ]


def test_the_order_and_types_of_columns_make_the_layout(deliver, form):
    one = pa.table({"a": [1], "b": [2]})
    others = [one.select(["b", "a"]), one.cast(pa.schema({"a": pa.int32(), "b": pa.int64()})), one.select(["a"])]
    layouts = [form[0].layout(deliver(form, table)) for table in (one, one, *others)]
    assert layouts[0] == layouts[1]
    assert len(set(layouts)) == 4
    file = deliver(form, one)
    assert form[0].layout(prepared(file.path, day="2020-03-01")) == form[0].layout(
        prepared(file.path, day="2020-03-02")
    )
    assert form[0].layout(prepared(file.path, day="2020-03-01")) != form[0].layout(file)


def test_lines_that_are_missing_can_be_asked_for(con, tmp_path, deliver, form):
    table = pa.table({"ts": pa.array([AT] * 5, pa.timestamp("us", "UTC")), "x": [1, 2, 3, 4, 5]})
    decoding = tabular(form[0], WideReading()).fast(con, [deliver(form, table)], tmp_path)
    missing = decoding.lines_without("SELECT 1 AS file, unnest([1, 2, 4])::BIGINT AS line", 5)
    con.execute(f"CREATE OR REPLACE TEMP TABLE missing AS {missing}").fetchall()
    assert [row["line"] for row in listed(con, decoding.meaning("SELECT * FROM missing").rows)] == [3, 5]


def test_there_are_no_options():
    for name in ("parquet", "arrow"):
        assert row_format_for(name, {}).name == name
        with pytest.raises(pydantic.ValidationError, match="extra"):
            row_format_for(name, {"row_groups": 3})


# --- damage ----------------------------------------------------------------------------------------------

STAMPED = [AT + timedelta(seconds=n) for n in range(3000)]
SERIES = pa.table({"ts": pa.array(STAMPED, pa.timestamp("us", "UTC")), "x": [float(n) for n in range(3000)]})


def refused(rows_format, con, tmp_path, content):
    path = tmp_path / "damaged.bin"
    path.write_bytes(content)
    decoder = tabular(rows_format, WideReading())
    try:
        decoder.count(prepared(path))
        decoder.exact(con, prepared(path), tmp_path)
    except UndecodableFile as error:
        return error
    raise AssertionError("nothing objects to the file")


def test_a_damaged_row_group_costs_its_rows(con, tmp_path, decode):
    path = tmp_path / "t.parquet"
    pq.write_table(SERIES, path, row_group_size=1000, compression="zstd")
    group = pq.read_metadata(path).row_group(1).column(1)
    content = bytearray(path.read_bytes())
    damaged = content.index(b"\x28\xb5\x2f\xfd", group.data_page_offset)
    content[damaged : damaged + 4] = b"none"
    path.write_bytes(content)
    decoder = tabular(ParquetRows(), WideReading())
    with pytest.raises((duckdb.Error, UndecodableFile)):
        run(con, decoder.fast(con, [prepared(path)], tmp_path))
    rows, rejected, skipped = decode(decoder, prepared(path), fast=False)
    assert [row["line"] for row in rows] == [*range(1, 1001), *range(2001, 3001)]
    assert [row["value"] for row in rows] == [float(n) for n in (*range(1000), *range(2000, 3000))]
    assert [row["line"] for row in rejected] == list(range(1001, 2001))
    assert {row["reason"] for row in rejected} == {columnar_rows.ROW_GROUP_DAMAGED}
    assert json.loads(rejected[0]["payload"]) == {"row_group": 2, "row": 1001}
    assert "2: " in rejected[0]["detail"]
    assert skipped == {}


@pytest.mark.parametrize("write", [as_file, as_stream])
def test_a_damaged_record_batch_costs_its_rows(con, tmp_path, decode, write):
    path = tmp_path / "t.arrow"
    write(SERIES, path, rows=1000, compression="zstd")
    content = bytearray(path.read_bytes())
    found = content.index(b"\x28\xb5\x2f\xfd", len(content) // 2)
    content[found : found + 4] = b"none"
    path.write_bytes(content)
    decoder = tabular(ArrowRows(), WideReading())
    with pytest.raises(UndecodableFile, match="row_group_damaged"):
        decoder.fast(con, [prepared(path)], tmp_path)
    rows, rejected, _ = decode(decoder, prepared(path), fast=False)
    assert (len(rows), len(rejected)) == (2000, 1000)
    assert {row["value"] for row in rows} == {float(row["line"] - 1) for row in rows}


def test_a_stream_that_was_cut_off_gives_what_is_whole(decode, tmp_path):
    path = tmp_path / "t.arrow"
    for write, tail in ((as_stream, 8), (as_file, 0)):
        write(SERIES, path, rows=1000)
        whole = path.read_bytes()
        third = [n for n in range(len(whole) - 4) if whole[n : n + 4] == b"\xff" * 4][3]
        for cut, announced in ((third + 2, 2001), (third + 100, 2001), (third + 2000, 3000 + (tail == 0))):
            path.write_bytes(whole[:cut])
            rows, rejected, _ = decode(tabular(ArrowRows(), WideReading()), prepared(path), fast=False)
            assert (len(rows), len(rows) + len(rejected)) == (2000, announced)


def test_a_file_without_its_footer_is_refused_or_read_as_a_stream(con, tmp_path, decode):
    as_parquet(SERIES, tmp_path / "t.parquet")
    content = (tmp_path / "t.parquet").read_bytes()
    error = refused(ParquetRows(), con, tmp_path, content[:-100])
    assert error.reason == "corrupt_file"
    assert "footer" in error.detail
    as_file(SERIES, tmp_path / "t.arrow", rows=1000)
    path = tmp_path / "cut.arrow"
    path.write_bytes((tmp_path / "t.arrow").read_bytes()[:-6])
    rows, rejected, _ = decode(tabular(ArrowRows(), WideReading()), prepared(path), fast=False)
    assert (len(rows), len(rejected)) == (3000, 1)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff\x00\x00\x00\x00", b"text\n" * 50])
@pytest.mark.parametrize("rows_format", [ParquetRows(), ArrowRows()])
def test_what_is_none_of_the_format_is_refused(con, tmp_path, rows_format, content):
    assert refused(rows_format, con, tmp_path, content).reason == "corrupt_file"


def test_when_nothing_can_be_read_the_file_is_refused(con, tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(SERIES, path, compression="zstd")
    content = bytearray(path.read_bytes())
    content[4:5000] = bytes(4996)
    error = refused(ParquetRows(), con, tmp_path, bytes(content))
    assert (error.reason, "1 of 1" in error.detail) == ("corrupt_file", True)


def lying(table, path, said, told, which):
    """A Parquet file in whose footer a number is another one, at some of the places where it stands."""
    pq.write_table(table, path, write_statistics=False)
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    at, places = footer, []
    while (at := content.find(said, at)) >= 0:
        places.append(at)
        at += 1
    changed = bytearray(content)
    for place in which:
        changed[places[place] : places[place] + len(said)] = told
    path.write_bytes(changed)


def test_footers_that_contradict_themselves_are_refused(con, tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"x": [n % 7 for n in range(1000)]})
    # 1000 and 1001 as zigzag varints.
    lying(table, path, b"\xd0\x0f", b"\xd2\x0f", [0])
    error = refused(ParquetRows(), con, tmp_path, path.read_bytes())
    assert (error.reason, "1001" in error.detail) == ("corrupt_file", True)


def test_footers_that_announce_other_rows_than_there_are_cost_the_row_group(con, tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"ts": SERIES["ts"][:1000], "x": SERIES["x"][:1000]})
    lying(table, path, b"\xd0\x0f", b"\xd2\x0f", [0, -1])
    error = refused(ParquetRows(), con, tmp_path, path.read_bytes())
    assert (error.reason, "the 1001 rows" in error.detail) == ("corrupt_file", True)


def test_sizes_beyond_belief_are_refused(con, tmp_path, monkeypatch):
    path = tmp_path / "t.bin"
    pq.write_table(pa.table({"x": pa.nulls(2_000_000)}), path)
    monkeypatch.setattr(columnar_rows, "MAX_ROWS_PER_BYTE", 10)
    assert refused(ParquetRows(), con, tmp_path, path.read_bytes()).reason == "too_many_rows"
    as_file(pa.table({"x": pa.nulls(2_000_000)}), path)
    assert refused(ArrowRows(), con, tmp_path, path.read_bytes()).reason == "too_many_rows"
    as_file(pa.table({"x": ["y" * 1000] * 1000}), path, compression="zstd")
    monkeypatch.setattr(arrow_messages, "MAX_BATCH_BYTES", 500_000)
    assert refused(ArrowRows(), con, tmp_path, path.read_bytes()).reason == "unpacks_too_large"
    as_stream(pa.table({"x": ["y" * 1000] * 1000}), path)
    assert refused(ArrowRows(), con, tmp_path, path.read_bytes()).reason == "unpacks_too_large"


def test_too_many_columns_are_refused(con, tmp_path, form):
    rows_format, write = form
    path = tmp_path / "t.bin"
    write(pa.table({f"c{n}": pa.array([n % 100], pa.int8()) for n in range(MAX_COLUMNS + 1)}), path)
    error = refused(rows_format, con, tmp_path, path.read_bytes())
    assert (error.reason, error.detail) == ("too_many_columns", "2001 columns; at most 2000 are read")


def test_text_that_is_no_utf8_costs_its_row(con, tmp_path, decode, form):
    rows_format, write = form
    path = tmp_path / "t.bin"
    stamps = pa.array([AT] * 3, pa.timestamp("us", "UTC"))
    latin = pa.array([b"Stra\xdfe", b"ok", "\u00df".encode()]).view(pa.string())
    write(pa.table({"ts": stamps, "x": latin, "y": [1, 2, 3]}), path)
    decoder = tabular(rows_format, WideReading(columns={"x": "x"}))
    rows, rejected, _ = decode(decoder, prepared(path), fast=form is not FORMATS["parquet"])
    assert [(row["line"], row["text"]) for row in rows] == [(2, "ok"), (3, "\u00df")]
    assert [(row["line"], row["reason"]) for row in rejected] == [(1, INVALID_UTF8)]
    assert json.loads(rejected[0]["payload"])["x"] == "Stra\\xdfe"
    if form is FORMATS["parquet"]:
        with pytest.raises(UndecodableFile, match="UTF"):
            decoder.fast(con, [prepared(path)], tmp_path)


SMALL = pa.table(
    {
        "ts": SERIES["ts"][:60],
        "x": SERIES["x"][:60],
        "n": pa.array(range(60), pa.int32()),
        "s": pa.array(["a", "b", None] * 20).dictionary_encode(),
        "l": [[{"k": "v"}]] * 60,
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(list(FORMATS)),
    compression=st.sampled_from([None, "zstd", "lz4"]),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.floats(0, 1) | st.just(1.0),
)
def test_damage_anywhere_harms_nobody(con, tmp_path, form, compression, flips, end):
    rows_format, write = FORMATS[form]
    path = tmp_path / "t.bin"
    if form == "parquet":
        write(SMALL, path, row_group_size=20, compression=compression or "none")
    else:
        write(SMALL, path, rows=20, compression=compression)
    content = bytearray(path.read_bytes())
    for place, byte in flips:
        content[int(place * (len(content) - 1))] = byte
    path.write_bytes(content[: int(end * len(content))])
    decoder = tabular(rows_format, WideReading())
    with contextlib.suppress(UndecodableFile):
        count = decoder.count(prepared(path))
        exact = run(con, decoder.exact(con, prepared(path), tmp_path))
        assert accounted(exact) == count
    with contextlib.suppress(UndecodableFile, duckdb.Error):
        run(con, decoder.fast(con, [prepared(path)], tmp_path))


def test_a_missing_file_is_an_error_of_the_system(con, tmp_path, form):
    for read in (form[0].count, form[0].layout, lambda file: form[0].exact(con, file, (), tmp_path)):
        with pytest.raises(FileNotFoundError):
            read(prepared(tmp_path / "gone"))


def test_feather_is_the_arrow_file_format(decode, tmp_path):
    path = tmp_path / "t.feather"
    feather.write_feather(SERIES, path, chunksize=700)
    rows, _, _ = decode(tabular(ArrowRows(), WideReading()), prepared(path))
    assert [row["value"] for row in rows] == SERIES["x"].to_pylist()


def test_dictionaries_may_grow_and_change(decode, tmp_path):
    path = tmp_path / "t.arrow"
    batches = [
        pa.record_batch({"ts": pa.array([AT], pa.timestamp("us", "UTC")), "s": pa.array([word]).dictionary_encode()})
        for word in ("a", "b", "a")
    ]
    with ipc.new_stream(path, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    rows, _, _ = decode(tabular(ArrowRows(), WideReading()), prepared(path))
    assert [row["text"] for row in rows] == ["a", "b", "a"]


def test_the_count_of_a_stream_is_of_its_messages_alone(tmp_path):
    path = Path(tmp_path / "t.arrow")
    as_stream(SERIES, path, rows=1000)
    found = arrow_messages.record_batches(path)
    assert (found.rows, found.stream_start) == ((1000, 1000, 1000), 0)
    as_file(SERIES, path, rows=1300)
    assert arrow_messages.record_batches(path).rows == (1300, 1300, 400)
