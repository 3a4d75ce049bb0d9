"""Excel workbooks as rows: what is stored comes through to the last bit, and nothing in a workbook harms anybody."""

import contextlib
import json
import math
import re
import zipfile
from datetime import UTC, date, datetime, time, timedelta
from io import BytesIO

import duckdb
import openpyxl
import pydantic
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openpyxl.utils import get_column_letter

from idm_assets.capture.decoders import PreparedFile, UndecodableFile, xlsx_cells
from idm_assets.capture.decoders.csv_rows import CsvRows
from idm_assets.capture.decoders.registry import row_format_for
from idm_assets.capture.decoders.tabular import Tabular
from idm_assets.capture.decoders.xlsx_cells import number_or_text, shown_by, time_text, unescaped
from idm_assets.capture.decoders.xlsx_rows import XlsxRows
from idm_assets.capture.remarks import NUMBER_ROUNDED
from idm_assets.capture.shapes import LongReading, RecordReading, WideReading
from idm_assets.capture.status_reading import StatusReading
from idm_assets.capture.survey import Limits, UnreadableCapture, survey
from idm_assets.capture.time_reading import TimeReading
from idm_assets.status import BAD_NO_DATA

AT = datetime(2020, 3, 1, 12, 30, 15, 250_000)  # noqa: DTZ001 - Excel knows no zones
FEW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SPREADSHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2; SET TimeZone = 'Asia/Tokyo'").fetchall()
        yield connection


# --- writing ---------------------------------------------------------------------------------------------


def prepared(path, number=1, **facts):
    return PreparedFile(number, path, "press", 0, plain=True, facts=facts)


@pytest.fixture
def deliver(tmp_path):
    """Write rows by openpyxl, or the XML of a sheet as it is, to a workbook."""

    def written(rows=(), *, name="t.xlsx", change=None, **parts):
        path = tmp_path / name
        if parts:
            path.write_bytes(package(**parts))
        else:
            book = openpyxl.Workbook()
            for row in rows:
                book.active.append(row)
            if change is not None:
                change(book)
            book.save(path)
        return prepared(path)

    return written


def package(data="", strings="", styles="", properties="", **others):
    """A workbook made by hand, around the content of its sheet data."""
    relations = "".join(
        f'<Relationship Id="r{n}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(
            [("worksheet", "sheet.xml"), ("sharedStrings", "strings.xml"), ("styles", "styles.xml")]
        )
    )
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="a" '
        f'Type="{OFFICE}/officeDocument" Target="/xl/workbook.xml"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{SPREADSHEET}" xmlns:r="{OFFICE}">{properties}'
        '<sheets><sheet name="S" sheetId="1" r:id="r0"/></sheets></workbook>',
        "xl/strings.xml": f'<sst xmlns="{SPREADSHEET}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{SPREADSHEET}">{styles}</styleSheet>',
        "xl/sheet.xml": f'<worksheet xmlns="{SPREADSHEET}"><sheetData>{data}</sheetData></worksheet>',
        **{name.replace("__", "/"): content for name, content in others.items()},
    }
    stored = BytesIO()
    with zipfile.ZipFile(stored, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stored.getvalue()


HEADER = "<row><c t='inlineStr'><is><t>ts</t></is></c><c t='inlineStr'><is><t>x</t></is></c></row>"
STAMP = "<c t='str'><v>2020-03-01T12:30:15.250</v></c>"


def stored_as(*cells):
    """Sheet data with a row per cell, each with a time beside it."""
    return HEADER + "".join(f"<row>{STAMP}{cell}</row>" for cell in cells)


# --- decoding --------------------------------------------------------------------------------------------


def tabular(options=None, shape=None, zone="UTC", field="ts", form="iso"):
    shape = WideReading() if shape is None else shape
    rows = XlsxRows.from_options(options or {})
    return Tabular(rows, TimeReading(field=field, format=form), shape, StatusReading(), zone)


def listed(con, query):
    found = con.execute(f"SELECT * FROM ({query}) ORDER BY ALL")
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def decode(con, tmp_path):
    """Decode a workbook by both paths; all units are accounted for."""

    def both(file, decoder=None):
        decoder = decoder or tabular()
        exact, fast = (
            (
                listed(con, decoding.rows),
                listed(con, decoding.rejected),
                {row["reason"]: row["lines"] for row in listed(con, decoding.skipped)},
            )
            for decoding in (decoder.exact(con, file, tmp_path), decoder.fast(con, [file], tmp_path))
        )
        assert exact == fast
        rows, rejected, skipped = exact
        assert len({row["line"] for row in rows}) + len(rejected) + sum(skipped.values()) == decoder.count(file)
        return exact

    return both


@pytest.fixture
def values(decode, deliver):
    """Number and text of stored cells."""

    def read(*cells, **parts):
        file = deliver(data=stored_as(*cells), **parts)
        rows, rejected, _ = decode(file, tabular(shape=WideReading(columns={"x": "x"}, empty="no_data")))
        assert rejected == []
        return [(row["value"], row["text"]) for row in rows]

    return read


# --- values ----------------------------------------------------------------------------------------------


def test_mixed_types_in_a_column_come_through_exactly(decode, deliver):
    stored = [0.5, 1e-7, 5e-324, 2**53 - 1, -5, 0, "007", "x", "", True, False, 1.5e300, None]
    file = deliver([["ts", "x"], *([AT, value] for value in stored)])
    rows, rejected, _ = decode(file, tabular(shape=WideReading(columns={"x": "x"}, empty="no_data")))
    assert rejected == []
    assert {row["ts"].astimezone(UTC).replace(tzinfo=None) for row in rows} == {AT}
    assert [(row["value"], row["text"]) for row in rows] == [
        (0.5, None),
        (1e-7, None),
        (5e-324, None),
        (float(2**53 - 1), None),
        (-5.0, None),
        (0.0, None),
        (7.0, "007"),
        (None, "x"),
        (None, None),
        (None, "true"),
        (None, "false"),
        (1.5e300, None),
        (None, None),
    ]


@FEW
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=20))
@example([0.1, -0.0, 2.2250738585072014e-308, 1.7976931348623157e308, 1e15, 123456789.12345679])
def test_every_double_comes_through(con, tmp_path, numbers):
    path = tmp_path / "t.xlsx"
    # Excel writes 17 digits, libraries the shortest that do.
    spelled = [f"{number:.17g}" if index % 2 else repr(number) for index, number in enumerate(numbers)]
    path.write_bytes(package(data=stored_as(*(f"<c><v>{text}</v></c>" for text in spelled))))
    decoding = tabular().fast(con, [prepared(path)], tmp_path)
    rows = con.execute(f"SELECT value, text, remarks FROM ({decoding.rows}) ORDER BY line").fetchall()
    assert [value for value, _, _ in rows] == numbers
    assert [math.copysign(1, value) for value, _, _ in rows] == [math.copysign(1, number) for number in numbers]
    assert {(text, remarks) for _, text, remarks in rows} == {(None, 0)}


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ("12", "12"),
        ("-12", "-12"),
        ("-0", -0.0),
        ("007", 7.0),
        ("2.9999999999999999E-2", 0.03),
        ("1E+20", 1e20),
        ("9007199254740993", 9007199254740993.0),
        ("123456789012345678", "123456789012345678"),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1e999", "1e999"),
        ("nan", "nan"),
        ("1_000", "1_000"),
        ("", None),
    ],
)
def test_stored_numbers(stored, value):
    assert number_or_text(stored) == value
    assert type(number_or_text(stored)) is type(value)


def test_a_number_with_more_digits_than_a_double_keeps_them(decode, deliver):
    rows, _, _ = decode(deliver(data=stored_as("<c><v>1234567890123456789</v></c>")))
    assert [(row["value"], row["text"], row["remarks"]) for row in rows] == [
        (1234567890123456800.0, "1234567890123456789", NUMBER_ROUNDED)
    ]


def test_all_types_of_cells(values):
    strings = (
        "<si><t>plain</t></si><si><r><t>rich </t></r><r><rPr><b/></rPr><t>text</t></r>"
        "<rPh sb='0' eb='1'><t>spoken</t></rPh></si><si><t/></si>"
    )
    assert values(
        "<c t='s'><v>0</v></c>",
        "<c t='s'><v>1</v></c>",
        "<c t='s'><v>2</v></c>",
        "<c t='inlineStr'><is><r><t>in</t></r><r><t>line</t></r><rPh><t>no</t></rPh></is></c>",
        "<c t='b'><v>1</v></c>",
        "<c t='e'><v>#N/A</v></c>",
        "<c t='e'><f>1/0</f><v>#DIV/0!</v></c>",
        "<c t='d'><v>2020-03-01T12:00:00</v></c>",
        "<c><f>SUM(A1:A9)</f><v>4.5</v></c>",
        "<c t='str'><f>A1&amp;B1</f><v>ab</v></c>",
        "<c><f>NOW()</f></c>",
        "<c t='str'><f>A1</f><v></v></c>",
        "<c s='7'/>",
        "<c> <v> 3 </v> </c>",
        "<c t='str'><v>line_x000D_\nend _x005F_x000D_ _xD83D_</v></c>",
        strings=strings,
    ) == [
        (None, "plain"),
        (None, "rich text"),
        (None, None),
        (None, "inline"),
        (None, "true"),
        (None, "#N/A"),
        (None, "#DIV/0!"),
        (None, "2020-03-01T12:00:00"),
        (4.5, None),
        (None, "ab"),
        (None, None),
        (None, None),
        (None, None),
        (3.0, None),
        (None, "line\r\nend _x000D_ _xD83D_"),
    ]


def test_escapes_that_no_text_can_hold_stay():
    assert unescaped("_x0000_ _xD800_ _x0041_ _x41_") == "_x0000_ _xD800_ A _x41_"


def test_errors_can_be_declared_to_stand_for_no_value(con, tmp_path, deliver):
    file = deliver(data=stored_as("<c t='e'><v>#N/A</v></c>"))
    decoder = tabular()
    (row,) = listed(con, decoder.fast(con, [file], tmp_path).rows)
    assert row["text"] == "#N/A"


# --- dates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "shown", "text"),
    [
        ("43891", "date", "2020-03-01"),
        ("43891.5", "date", "2020-03-01T12:00:00.000"),
        ("43891", "date_and_time", "2020-03-01T00:00:00.000"),
        ("43891.521009837961", "date_and_time", "2020-03-01T12:30:15.250"),
        ("0.5", "time", "12:00:00.000"),
        ("0", "time", "00:00:00.000"),
        ("43891.5", "time", "2020-03-01T12:00:00.000"),
        ("0.9999999999", "time", "1900-01-01T00:00:00.000"),
        ("1", "date", "1900-01-01"),
        ("59", "date", "1900-02-28"),
        ("60", "date", None),
        ("61", "date", "1900-03-01"),
        ("0.5", "date", None),
        ("-1", "date", None),
        ("2958465.9999", "date_and_time", "9999-12-31T23:59:51.360"),
        ("2958465.9999999999", "date_and_time", None),
        ("2958466", "date", None),
        ("1e999", "date", None),
        ("nan", "date", None),
    ],
)
def test_days_since_1900(days, shown, text):
    assert time_text(days, shown, is_1904=False) == text


@pytest.mark.parametrize(("days", "text"), [("0", "1904-01-01"), ("60", "1904-03-01"), ("42429", "2020-03-01")])
def test_days_since_1904(days, text):
    assert time_text(days, "date", is_1904=True) == text
    assert time_text("2957004", "date", is_1904=True) is None


@FEW
@given(
    st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 31)),  # noqa: DTZ001
    st.sampled_from([openpyxl.utils.datetime.CALENDAR_WINDOWS_1900, openpyxl.utils.datetime.CALENDAR_MAC_1904]),
)
def test_every_millisecond_is_told(moment, epoch):
    is_1904 = epoch.year == 1904
    if is_1904 and moment.year < 1904:
        return
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    stored = repr(openpyxl.utils.datetime.to_excel(moment, epoch))
    assert time_text(stored, "date_and_time", is_1904=is_1904) == moment.isoformat(timespec="milliseconds")


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("yyyy-mm-dd", "date"),
        ("dd/mm/yyyy hh:mm:ss.000", "date_and_time"),
        ("[$-409]d-mmm-yy;@", "date"),
        ("h:mm AM/PM", "time"),
        ("mm:ss.0", "time"),
        ("mmmm", "date"),
        ("[h]:mm:ss", None),
        ("[ss].00", None),
        ("General", None),
        ("0.00E+00", None),
        ("#,##0.00 [Red]", None),
        ('0.0 "days"', None),
        (r"0.0\ \m\m", None),
        ("@", None),
        ("0.00_);[Red](0.00)", None),
        ('0;"yyyy"', None),
    ],
)
def test_number_formats(code, shown):
    assert shown_by(code) == shown


STYLES = (
    "<numFmts><numFmt numFmtId='170' formatCode='dd\\.mm\\.yyyy\\ hh:mm'/></numFmts>"
    "<cellStyleXfs><xf numFmtId='14'/></cellStyleXfs>"
    "<cellXfs><xf numFmtId='0'/><xf numFmtId='14'/><xf numFmtId='170'/><xf numFmtId='21'/><xf numFmtId='46'/></cellXfs>"
)


def test_a_style_says_what_is_a_date(values):
    cells = [f"<c s='{style}'><v>43891.25</v></c>" for style in (0, 1, 2, 3, 4, 5, -1)]
    both = "2020-03-01T06:00:00.000"
    expected = [(43891.25, None), *[(None, both)] * 3, *[(43891.25, None)] * 3]
    assert values(*cells, styles=STYLES) == expected
    later = "2024-03-02T06:00:00.000"
    moved = values(*cells[:2], styles=STYLES, properties="<workbookPr date1904='1'/>")
    assert moved == [(43891.25, None), (None, later)]


def test_dates_and_times_as_a_library_writes_them(decode, deliver):
    day, clock = date(2020, 3, 1), time(12, 30, 15)
    file = deliver([["ts", "day", "clock", "span"], [AT, day, clock, timedelta(hours=30)]])
    rows, _, _ = decode(file)
    assert [(row["tag"], row["value"], row["text"]) for row in rows] == [
        ("day", None, "2020-03-01"),
        ("clock", None, "12:30:15.000"),
        ("span", 1.25, None),
    ]
    joined, _, _ = decode(file, tabular(shape=WideReading(columns={"s": "span"}), field=("day", "clock")))
    assert [row["ts"].astimezone(UTC) for row in joined] == [datetime(2020, 3, 1, 12, 30, 15, tzinfo=UTC)]


def test_times_are_local(decode, deliver):
    file = deliver([["ts", "x"], [AT, 1]])
    rows, _, _ = decode(file, tabular(zone="Europe/Paris"))
    assert rows[0]["ts"].astimezone(UTC) == datetime(2020, 3, 1, 11, 30, 15, 250_000, tzinfo=UTC)


# --- tables ----------------------------------------------------------------------------------------------


def test_a_header_with_units_after_a_preamble(decode, deliver):
    rows = [["Report"], [], ["ts", "Oil", None, "Oil"], [None, "temp [degC]", "state"], [AT, 1.5, "on", 2], [AT, 3]]
    options = {"preamble": 2, "header": 2, "units": "in_brackets", "columns": ["when"]}
    found, _, skipped = decode(deliver(rows), tabular(options, field="when"))
    assert [(row["line"], row["tag"], row["value"], row["text"]) for row in found] == [
        (skipped["preamble"] + 3, "Oil temp", 1.5, None),
        (skipped["preamble"] + 3, "state", None, "on"),
        (skipped["preamble"] + 3, "Oil", 2.0, None),
        (skipped["preamble"] + 4, "Oil temp", 3.0, None),
    ]
    assert [row["detail"] for row in found] == ['{"unit":"degC"}', None, None, '{"unit":"degC"}']
    assert skipped["header"] == 2


def test_columns_of_one_name_stay_apart_and_nameless_ones_have_a_number(decode, deliver):
    found, _, _ = decode(deliver([["ts", "x", "x", None, "y"], [AT, 1, 2, 3, 4]]))
    assert [(row["tag"], row["value"]) for row in found] == [("x", 1.0), ("x#2", 2.0), ("column_4", 3.0), ("y", 4.0)]


def test_tables_without_a_header(decode, deliver):
    file = deliver([[AT, 1, 2], [AT, 3]])
    found, _, _ = decode(file, tabular({"header": 0}, field="column_1"))
    assert [(row["line"], row["tag"], row["value"]) for row in found] == [
        (1, "column_2", 1.0),
        (1, "column_3", 2.0),
        (2, "column_2", 3.0),
    ]
    found, _, _ = decode(file, tabular({"header": 0, "columns": ["ts", "a", "b"]}))
    assert [row["tag"] for row in found] == ["a", "b", "a"]


def test_rows_that_excel_leaves_out_are_no_units_and_empty_ones_are(decode, deliver):
    stamp, line = (
        "<c r='A{0}' t='str'><v>2020-03-01T00:00:00Z</v></c>",
        "<row r='{0}'>{1}<c r='B{0}'><v>{0}</v></c></row>",
    )
    header = HEADER.replace("<row>", "<row r='3'>")
    rows = [line.format(5, stamp.format(5)), "<row r='6'/>", "<row r='7'><c r='B7' s='1'/></row>", line.format(9, "")]
    file = deliver(data=header + "".join(rows))
    found, rejected, skipped = decode(file, tabular({"preamble": 2}))
    assert [(row["line"], row["value"]) for row in found] == [(2, 5.0)]
    assert skipped == {"header": 1, "empty_row": 2}
    assert [(row["line"], row["reason"]) for row in rejected] == [(5, "timestamp_unreadable")]
    assert json.loads(rejected[0]["payload"]) == {"row": 9, "cells": {"ts": None, "x": "9"}}


def test_cells_beyond_the_header_cost_their_row(decode, deliver):
    file = deliver([["ts", "x"], [AT, 1], [AT, 2, None, "note"]])
    found, rejected, _ = decode(file)
    assert [(row["line"], row["value"]) for row in found] == [(2, 1.0)]
    assert [(row["line"], row["reason"]) for row in rejected] == [(3, "field_count")]
    assert "beyond the 2 columns" in rejected[0]["detail"]
    assert json.loads(rejected[0]["payload"]) == {
        "row": 3,
        "cells": {"ts": "2020-03-01T12:30:15.250", "x": "2", "D": "note"},
    }


def test_of_merged_cells_the_first_has_the_value(decode, deliver):
    def merge(book):
        book.active.merge_cells("A2:A3")

    found, rejected, _ = decode(deliver([["ts", "x"], [AT, 1], [None, 2]], change=merge))
    assert ([row["line"] for row in found], [row["line"] for row in rejected]) == ([2], [3])


def test_sheets_by_number_and_name(decode, deliver):
    def more(book):
        for name, value in (("Line 2", 2), ("7", 3)):
            sheet = book.create_sheet(name)
            sheet.append(["ts", "x"])
            sheet.append([AT, value])

    file = deliver([["ts", "x"], [AT, 1]], change=more)
    for sheet, value in ((1, 1.0), (2, 2.0), ("Line 2", 2.0), (3, 3.0), ("7", 3.0)):
        assert [row["value"] for row in decode(file, tabular({"sheet": sheet}))[0]] == [value]
    for sheet in (0, 4, "line 2", -1):
        with pytest.raises(UndecodableFile, match="'Line 2', '7'") as raised:
            tabular({"sheet": sheet}).count(file)
        assert raised.value.reason == "sheet_missing"


def test_records_have_numbers_as_they_are_written(decode, deliver):
    file = deliver([["order", "ts", "hours", "note"], [7, AT, 1.5, "ok"]])
    found, _, _ = decode(file, tabular(shape=RecordReading(model="work_order")))
    assert json.loads(found[0]["payload"]) == {
        "order": "7",
        "ts": "2020-03-01T12:30:15.250",
        "hours": "1.5",
        "note": "ok",
    }


def test_long_tables(decode, deliver):
    file = deliver([["ts", "tag", "v", "q"], [AT, "a", 1.5, 0], [AT, "b", None, 2_147_483_648], [AT, None, 1, 0]])
    found, rejected, _ = decode(file, tabular(shape=LongReading(tag="tag", value="v", status="q")))
    assert [(row["tag"], row["value"], row["status"]) for row in found] == [("a", 1.5, 0), ("b", None, 1 << 31)]
    assert [(row["line"], row["reason"]) for row in rejected] == [(4, "tag_missing")]


def test_workbooks_with_other_units_are_not_read_together(deliver):
    files = [deliver([["ts", f"x [{unit}]"], [AT, 1]], name=f"{unit}.xlsx") for unit in ("bar", "psi")]
    decoder = tabular({"units": "in_brackets"})
    assert len({decoder.layout(file) for file in files}) == 2


def test_workbooks_of_one_layout_are_read_together(con, tmp_path, deliver):
    first, second = deliver([["ts", "x"], [AT, 1]], name="a.xlsx"), deliver([["ts", "x"]], name="b.xlsx")
    third = deliver([["ts", "x"], [AT, 2], [AT, 3]], name="c.xlsx")
    files = [prepared(file.path, number, hall=f"h{number}") for number, file in enumerate((first, second, third), 4)]
    decoder = tabular(shape=WideReading(source="{hall}"))
    assert len({decoder.layout(file) for file in files}) == 1
    assert decoder.layout(deliver([["ts", "y"]])) not in {decoder.layout(file) for file in files}
    decoding = decoder.fast(con, files, tmp_path)
    assert [(row["file"], row["line"], row["source"], row["value"]) for row in listed(con, decoding.rows)] == [
        (4, 2, "h4", 1.0),
        (6, 2, "h6", 2.0),
        (6, 3, "h6", 3.0),
    ]
    assert [row["lines"] for row in listed(con, decoding.skipped)] == [1, 1, 1]


NAMES = st.text("abcXYZ0", min_size=1, max_size=5).filter(lambda name: name != "ts")
WORDS = st.text("abc,;\"' \u00e9_x", min_size=1, max_size=8).filter(lambda word: word.strip() == word)


@FEW
@given(
    names=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    table=st.lists(
        st.lists(st.none() | st.integers(-(10**14), 10**14) | st.booleans() | WORDS, min_size=4, max_size=4), max_size=5
    ),
)
def test_the_same_data_as_text_gives_the_same_observations(con, tmp_path, names, table):
    stamp = AT.isoformat(timespec="milliseconds")
    rows = [[stamp, *cells[: len(names)]] for cells in table]
    book = openpyxl.Workbook()
    for row in [["ts", *names], *rows]:
        book.active.append(row)
    workbook, text = tmp_path / "t.xlsx", tmp_path / "t.csv"
    book.save(workbook)

    def spoken(value):
        said = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return '"' + said.replace('"', '""') + '"' if said else ""

    text.write_text("".join(",".join(map(spoken, row)) + "\n" for row in [["ts", *names], *rows]), encoding="utf-8")
    written = Tabular(CsvRows.from_options({}), *_meaning())
    csv = written.exact(con, PreparedFile(1, text, "press", len(rows) + 1, plain=False), tmp_path)
    xlsx = Tabular(XlsxRows.from_options({}), *_meaning()).exact(con, prepared(workbook), tmp_path)
    for query in ("rows", "skipped"):
        assert listed(con, getattr(xlsx, query)) == listed(con, getattr(csv, query))


def _meaning():
    return TimeReading(field="ts"), WideReading(empty="no_data"), StatusReading()


def test_what_is_not_there_can_count_as_no_data(decode, deliver):
    found, _, _ = decode(deliver([["ts", "x", "y"], [AT, 1]]), tabular(shape=WideReading(empty="no_data")))
    assert [(row["tag"], row["value"], row["status"]) for row in found] == [("x", 1.0, 0), ("y", None, BAD_NO_DATA)]


def test_options():
    assert row_format_for("xlsx", {"sheet": "Data", "preamble": 3}).name == "xlsx"
    for wrong in ({"header": 11}, {"delimiter": ";"}, {"units": "degC"}):
        with pytest.raises(pydantic.ValidationError):
            row_format_for("xlsx", wrong)


# --- harm ------------------------------------------------------------------------------------------------


def refused(file):
    """The first objection to a file."""
    decoder = tabular()
    try:
        decoder.count(file)
        decoder.layout(file)
        decoder.exact(None, file, file.path.parent)
    except UndecodableFile as error:
        return error
    raise AssertionError("nothing objects to the workbook")


def test_the_survey_takes_a_workbook_for_a_file(tmp_path, deliver):
    file = deliver([["ts", "x"], [AT, 1]])
    surveyed = survey(file.path, tmp_path, Limits(), XlsxRows.from_options({}).expected)
    assert (surveyed.is_archive, surveyed.members[0].text) == (False, file.path)
    (tmp_path / "old.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    with pytest.raises(UnreadableCapture, match="OLE2"):
        survey(tmp_path / "old.xls", tmp_path, Limits(), XlsxRows.from_options({}).expected)


def test_other_office_documents_are_refused_with_advice(tmp_path, deliver):
    old = tmp_path / "old.xls"
    old.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    error = refused(prepared(old))
    assert (error.reason, "without a password" in error.detail) == ("foreign_content", True)
    error = refused(deliver(xl__workbook__xml="", **{"xl/workbook.xml": "<document/>"}))
    assert (error.reason, "document" in error.detail) == ("foreign_content", True)
    relations = (
        f'<Relationships><Relationship Type="{OFFICE}/officeDocument" Target="xl/workbook.bin"/></Relationships>'
    )
    error = refused(deliver(**{"_rels/.rels": relations}))
    assert (error.reason, ".xlsb" in error.detail) == ("foreign_content", True)
    assert refused(deliver(**{"_rels/.rels": "<Relationships/>"})).reason == "foreign_content"


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"data": "<row>"}, "xml_invalid"),
        ({"xl/workbook.xml": "<workbook"}, "xml_invalid"),
        ({"xl/sheet.xml": ""}, "xml_invalid"),
        ({"xl/sheet.xml": "<!DOCTYPE w [<!ENTITY a 'b'>]><worksheet/>"}, "xml_entities"),
        ({"xl/workbook.xml": "<!DOCTYPE w SYSTEM 'http://localhost/x'><workbook/>"}, "xml_entities"),
        ({"data": stored_as(), "xl/strings.xml": "<!DOCTYPE s [<!ENTITY a 'b'>]><sst/>"}, "xml_entities"),
        ({"data": "<row><c t='s'><v>5</v></c></row>"}, "corrupt_file"),
        ({"data": "<row><c t='s'><v>x</v></c></row>"}, "corrupt_file"),
        ({"data": HEADER + "<row r='5'/><row r='5'/>"}, "corrupt_file"),
        ({"data": "<row r='0'/>"}, "corrupt_file"),
        ({"data": HEADER + "<row r='1048577'/>"}, "corrupt_file"),
        ({"data": "<row r='x'/>"}, "corrupt_file"),
        ({"data": "<row><c r='B1'><v>1</v></c><c r='A1'><v>1</v></c></row>"}, "corrupt_file"),
        ({"data": "<row><c r='XFE1'><v>1</v></c></row>"}, "corrupt_file"),
        ({"data": "<row><c r='1'><v>1</v></c></row>"}, "corrupt_file"),
        ({"data": "<row><c r='XFD1'><v>1</v></c></row>"}, "too_many_columns"),
        ({"data": f"<row><c t='str'><v>{'x' * 1_048_577}</v></c></row>"}, "xml_limits"),
        ({"data": "<row>" + "<c><v>1</v></c>" * 16_385 + "</row>"}, "corrupt_file"),
        ({"xl/sheet.xml": "<a>" * 300}, "xml_limits"),
        ({"data": ""}, "header_missing"),
        ({"data": "<row r='2'/>"}, "header_missing"),
    ],
)
def test_sheets_that_cannot_be_are_refused(deliver, parts, reason):
    assert refused(deliver(**parts)).reason == reason


def test_a_damaged_row_costs_the_file_but_is_told(decode, deliver):
    with pytest.raises(UndecodableFile, match="refers to the text"):
        decode(deliver(data=stored_as("<c><v>1</v></c>", "<c t='s'><v>9</v></c>")))


def test_links_out_of_the_package_are_not_followed(deliver):
    relations = (
        f'<Relationships><Relationship Id="r0" Type="{OFFICE}/worksheet" TargetMode="External"'
        ' Target="file:///etc/passwd"/></Relationships>'
    )
    assert refused(deliver(**{"xl/_rels/workbook.xml.rels": relations})).reason == "sheet_missing"
    climbing = relations.replace(' TargetMode="External"', "").replace("file:///etc/passwd", "../../../../etc/passwd")
    error = refused(deliver(**{"xl/_rels/workbook.xml.rels": climbing}))
    assert (error.reason, "'etc/passwd'" in error.detail) == ("corrupt_file", True)


def test_what_unpacks_to_too_much_is_refused(deliver, monkeypatch):
    file = deliver(data=stored_as(*["<c><v>1</v></c>"] * 2000))
    monkeypatch.setattr(xlsx_cells, "MAX_UNPACKED_BYTES", 50_000)
    assert refused(file).reason == "unpacks_too_large"
    monkeypatch.undo()
    monkeypatch.setattr(xlsx_cells, "LIMITS", Limits(max_unpacked_bytes=50_000))
    assert refused(file).reason == "unpacks_too_large"


def test_shared_texts_are_bounded(deliver, monkeypatch):
    monkeypatch.setattr(xlsx_cells, "MAX_SHARED_CHARACTERS", 10)
    file = deliver(data=HEADER, strings="<si><t>123456</t></si>" * 2)
    assert refused(file).reason == "xml_limits"


def test_a_tag_without_end_is_not_gathered(deliver, monkeypatch):
    monkeypatch.setattr(xlsx_cells, "MAX_TAG_BYTES", 100_000)
    file = deliver(data="<!--" + "x" * 3_000_000 + "-->")
    with pytest.raises(UndecodableFile, match="longer than"):
        tabular().count(file)


def test_lies_about_sizes_are_found(tmp_path, deliver):
    file = deliver(data=stored_as("<c><v>1</v></c>"))
    content = bytearray(file.path.read_bytes())
    entry = re.search(rb"PK\x01\x02.{42}xl/sheet\.xml", bytes(content), re.DOTALL)
    content[entry.start() + 24] ^= 1
    (tmp_path / "lie.xlsx").write_bytes(content)
    with pytest.raises(UndecodableFile, match="its directory says"):
        tabular().count(prepared(tmp_path / "lie.xlsx"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=5), st.floats(0, 1) | st.just(1.0)
)
def test_damage_anywhere_harms_nobody(con, tmp_path, flips, end):
    content = bytearray(package(data=stored_as(*["<c t='s'><v>0</v></c>"] * 9), strings="<si><t>a</t></si>"))
    for place, byte in flips:
        content[int(place * (len(content) - 1))] = byte
    path = tmp_path / "t.xlsx"
    path.write_bytes(content[: int(end * len(content))])
    decoder = tabular()
    with contextlib.suppress(UndecodableFile):
        count = decoder.count(prepared(path))
        decoding = decoder.exact(con, prepared(path), tmp_path)
        found = [len({row["line"] for row in listed(con, decoding.rows)}), len(listed(con, decoding.rejected))]
        assert sum(found) + sum(row["lines"] for row in listed(con, decoding.skipped)) == count


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("<>/'= crvt015A&;")), min_size=1, max_size=6))
def test_damaged_xml_harms_nobody(con, tmp_path, flips):
    data = list(stored_as(*(f"<c r='B{n}' t='b'><v>0</v></c>" for n in range(9))))
    for place, character in flips:
        data[int(place * (len(data) - 1))] = character
    path = tmp_path / "t.xlsx"
    path.write_bytes(package(data="".join(data)))
    decoder = tabular()
    with contextlib.suppress(UndecodableFile):
        count = decoder.count(prepared(path))
        decoding = decoder.exact(con, prepared(path), tmp_path)
        found = [len({row["line"] for row in listed(con, decoding.rows)}), len(listed(con, decoding.rejected))]
        assert sum(found) + sum(row["lines"] for row in listed(con, decoding.skipped)) == count


def test_wide_sheets(decode, deliver):
    names = [f"t{n}" for n in range(300)]
    rows, _, _ = decode(deliver([["ts", *names], [AT, *range(300)]]))
    assert [row["value"] for row in rows] == [float(n) for n in range(300)]
    assert xlsx_cells.column_letters(16_383) == get_column_letter(16_384) == "XFD"
    assert [xlsx_cells.column_letters(n) for n in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]
