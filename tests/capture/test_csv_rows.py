"""Delimited text: dialects, headers, lines that are no rows, and one meaning by both readers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.csv_rows import CsvDialect, CsvRows
from idm_assets.capture.decoders.tabular import MAX_CELLS, MAX_COLUMNS, Tabular
from idm_assets.capture.shapes import LongReading, WideReading
from idm_assets.capture.status_reading import StatusReading
from idm_assets.capture.survey import Limits, survey
from idm_assets.capture.time_reading import TimeReading
from tests.capture.trials import balance, tried, unpacked, written

WIDE = {"format": "csv", "source": "m", "time": {"field": "t"}, "wide": {}}
LONG = {"format": "csv", "source": "m", "time": {"field": "t"}, "long": {"tag": "tag", "value": "value"}}
T = "2024-01-01T00:00:00Z"


def observed(trial):
    return [(row["tag"], row["value"], row["text"]) for row in trial.samples["observations"]]


def rejected(trial):
    return [(row["line"], row["reason"], row["payload"]) for row in trial.samples["quarantine"]]


# Dialects


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (f"t,a,b\n{T},1.5,x\n", {}),
        (f"t;a;b\r\n{T};1,5;x\r\n", {"delimiter": ";", "decimal": ","}),
        (f'"t";"a";"b"\n"{T}";"1,5";"x"\n', {"delimiter": ";", "decimal": ","}),
        (f"\ufefft\ta\tb\n{T}\t1.5\tx", {"delimiter": "\t"}),
        (f"export of plant 7\n\nt,a,b\n{T},1.5,x\n", {"preamble": 2}),
        (f"t,a,b\n{T},1.5,x\n,,\n", {}),
        (f"t,a,b\n{T},1.5,x,\n", {}),
        (f"# made by hand\nt,a,b\n{T},1.5,x\n# the end\n", {"comment": "#", "preamble": 1}),
        (f"{T},1.5,x\n", {"header": 0, "columns": ["t", "a", "b"]}),
        (f"zeit,wert,text\n{T},1.5,x\n", {"columns": ["t", "a", "b"]}),
        (f"t,a [bar],b\n{T},1.5,x\n", {"units": "in_brackets"}),
        (f"t,a,b\n,,\n{T},1.5,x\n", {"header": 2}),
        (f"t,'a','b'\n{T},'1.5','x'\n", {"quote": "'"}),
        (f"t,a,b\r\n{T},1.5,x\n", {}),
    ],
)  # fmt: skip
def test_dialects(tmp_path, content, options):
    trial = tried(written(tmp_path, content), **WIDE | {"options": options})
    assert balance(trial)["quarantined"] == 0
    assert observed(trial) == [("a", 1.5, None), ("b", None, "x")]


@pytest.mark.parametrize(
    ("text", "options", "value"),
    [
        ("1.234,5", {"decimal": ",", "thousands": "."}, 1234.5), ("12,5", {"decimal": ",", "thousands": "."}, 12.5),
        ("1.234", {"decimal": ",", "thousands": "."}, 1234.0), ("1.23", {"decimal": ",", "thousands": "."}, None),
        ("1.5", {"decimal": ","}, None), ("-1'234'567.5", {"thousands": "'"}, -1234567.5),
        ("1'23", {"thousands": "'"}, None),
        ("1 234", {"thousands": " "}, 1234.0), ("1e3", {}, 1000.0), ("1,5e-2", {"decimal": ","}, 0.015),
        ("0x1F", {}, None), ("1_000", {}, None), ("NaN", {}, None), ("-Infinity", {}, None), ("9" * 400, {}, None),
        ("=1+1", {}, None), ("12 bar", {}, None),
    ],
)  # fmt: skip
def test_numbers_of_a_dialect(tmp_path, text, options, value):
    trial = tried(written(tmp_path, f"t;a\n{T};{text}\n"), **WIDE | {"options": {"delimiter": ";", **options}})
    ((_, found, kept),) = observed(trial)
    assert found == value
    assert kept == (text if value is None or "e" in text else None)


@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1", "utf-16", "utf-8", "utf-8-sig", "cp850"])
def test_encodings(tmp_path, encoding):
    path = written(tmp_path, f"t,Öltemperatur\n{T},groß\n".encode(encoding))
    trial = tried(path, **WIDE | {"options": {"encoding": encoding}})
    balance(trial)
    assert observed(trial) == [("Öltemperatur", None, "groß")]


def test_bytes_that_are_none_of_the_encoding_reject_their_line_only(tmp_path):
    path = written(tmp_path, f"t,a\n{T},1\n".encode() + b"2024-01-01T00:00:01Z,\xff\n" + b"2024-01-01T00:00:02Z,3\n")
    trial = tried(path, **WIDE)
    assert (balance(trial)["decoded_lines"], rejected(trial)[0][:2]) == (2, (3, "invalid_utf8"))


def test_names_that_were_encoded_twice_are_mended_and_others_left(tmp_path):
    names = "Temp [Â°C],Öl,Â"
    trial = tried(written(tmp_path, f"t,{names}\n{T},1,2,3\n"), **WIDE)
    assert [tag for tag, *_ in observed(trial)] == ["Temp [°C]", "Öl", "Â"]


def test_two_columns_of_one_name_stay_two(tmp_path):
    trial = tried(written(tmp_path, f"t,a,a,,a\n{T},1,2,3,4\n"), **WIDE)
    assert [tag for tag, *_ in observed(trial)] == ["a", "a#2", "column_4", "a#3"]


def test_a_header_of_several_lines_is_joined(tmp_path):
    trial = tried(written(tmp_path, f"t,Pump,Pump\n,flow,power\n{T},1,2\n"), **WIDE | {"options": {"header": 2}})
    assert [tag for tag, *_ in observed(trial)] == ["Pump flow", "Pump power"]


def test_the_head_of_a_file_tells_facts(tmp_path):
    content = f"Station: A12; line 3\nt,a\n{T},1\n"
    trial = tried(
        written(tmp_path, content),
        **WIDE | {"options": {"preamble": 1, "facts": r"Station: (?P<station>\w+)"}, "wide": {"source": "{station}"}},
    )
    assert [row["source"] for row in trial.samples["observations"]] == ["A12"]
    missing = tried(
        written(tmp_path, content.replace("Station", "Place")),
        **WIDE | {"options": {"preamble": 1, "facts": r"Station: (?P<station>\w+)"}, "wide": {"source": "{station}"}},
    )
    assert (balance(missing)["standing"], rejected(missing)) == ("rejected", [(None, "header_missing", None)])


# Shapes


def test_pairs_stand_side_by_side(tmp_path):
    content = f"t,n1,v1,n2,v2\n{T},a,1,b,x\n{T},c,,,5\n{T},,,,\n"
    pairs = {"pairs": [{"tag": "n1", "value": "v1"}, {"tag": "n2", "value": "v2"}]}
    trial = tried(written(tmp_path, content), **LONG | {"long": None, "pairs": pairs})
    capture = balance(trial)
    assert [(row["tag"], row["value"], row["text"]) for row in trial.samples["observations"]] == [
        ("a", 1.0, None), ("b", None, "x"), ("c", None, ""),
    ]  # fmt: skip
    assert (capture["skipped"], json.loads(capture["skipped_reasons"])) == (2, {"empty_row": 1, "header": 1})


def test_a_source_and_tags_may_be_made_of_other_fields(tmp_path):
    content = f"t,topic,value\n{T},site/a/pump/7/flow,3\n{T},nothing,4\n"
    long = {
        "tag": {"field": "topic", "pattern": r"/(\w+)$"}, "value": "value",
        "source": {"field": "topic", "pattern": r"pump/(\d+)/"},
    }  # fmt: skip
    trial = tried(written(tmp_path, content), **LONG | {"long": long, "source": None})
    assert [(row["source"], row["tag"], row["value"]) for row in trial.samples["observations"]] == [("7", "flow", 3.0)]
    assert rejected(trial) == [(3, "tag_missing", f"{T},nothing,4")]


def test_empty_cells_say_nothing_or_that_there_is_nothing(tmp_path):
    path = written(tmp_path, f"t,a,b\n{T},1,\n")
    said = tried(path, **WIDE)
    assert (observed(said), balance(said)["empty_cells"]) == ([("a", 1.0, None)], 1)
    told = tried(path, **WIDE | {"wide": {"empty": "no_data"}})
    assert [(row["tag"], row["status"]) for row in told.samples["observations"]] == [("a", 0), ("b", 0x809B0000)]


def test_observations_and_records_are_made_of_the_same_rows(tmp_path):
    path = written(tmp_path, f"t,bus,trip,speed\n{T},7,100,3.5\n{T},8,101,\nbroken,9,102,1\n")
    trial = tried(
        path, format="csv", time={"field": "t"}, wide={"source": "bus", "columns": {"speed": "speed", "trip": "trip"}},
        record={"model": "Trip", "only": ["bus", "trip"]},
    )  # fmt: skip
    capture = balance(trial)
    assert (capture["observations"], capture["records"], capture["quarantined"]) == (3, 2, 1)
    assert [json.loads(row["payload"]) for row in trial.samples["records"]] == [
        {"bus": "7", "trip": "100"}, {"bus": "8", "trip": "101"},
    ]  # fmt: skip
    assert rejected(trial) == [(4, "timestamp_unreadable", "broken,9,102,1")]


# Lines that are no rows


def test_each_line_that_is_no_row_is_told_with_its_content(tmp_path):
    content = f't,a\n{T},1\n{T}\n\nx,2\n{T},3,4\n{T},"open\n{T},5\n{T},"a"b\n{T},"two\nlines"\n   \n{T},6\n'
    trial = tried(written(tmp_path, content), **WIDE)
    capture = balance(trial)
    assert rejected(trial) == [
        (3, "field_count", T),
        (5, "timestamp_unreadable", "x,2"),
        (6, "field_count", f"{T},3,4"),
        (7, "quote_misplaced", f'{T},"open\n{T},5\n{T},"a"b'),
    ]
    assert json.loads(capture["skipped_reasons"]) == {"blank": 2, "continuation": 3, "header": 1}
    assert [row["value"] or row["text"] for row in trial.samples["observations"]] == [1.0, "two\nlines", 6.0]


def test_a_quote_that_is_never_closed_takes_nothing_with_it(tmp_path):
    content = f't,a\n{T},"open\n' + "".join(f"{T},{n}\n" for n in range(300))
    trial = tried(written(tmp_path, content), **WIDE)
    assert rejected(trial) == [(2, "quote_unclosed", f'{T},"open')]
    assert balance(trial)["decoded_lines"] == 300


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("zeit,a\n2024,1\n", "field_missing"), ("<?xml version='1.0'?><a/>", "foreign_content"), ("t,a\n", None),
        ("", None),
        ("t," + ",".join(f"c{n}" for n in range(MAX_COLUMNS)) + "\n", "too_many_columns"),
        ("t," + ",".join(map(str, range(MAX_CELLS + 1))) + f"\n{T}" + ",1" * (MAX_CELLS + 1), "too_many_columns"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "stub_content"),
        ("t," + "x" * (1 << 20) + "\n", "header_missing"), ('t,"a\nb\n', "header_missing"), ("t\n1\n", "field_missing"),
    ],
)  # fmt: skip
def test_files_that_are_something_else_are_kept_out_whole(tmp_path, content, reason):
    trial = tried(written(tmp_path, content), **WIDE)
    capture = balance(trial)
    assert capture["standing"] == ("rejected" if reason else "decoded")
    assert [found for _, found, _ in rejected(trial)] == ([reason] if reason else [])


@pytest.mark.parametrize(
    "options",
    [{"delimiter": "::"}, {"delimiter": '"'}, {"decimal": ";"}, {"encoding": "klingon"}, {"facts": "("},
     {"facts": "x"}, {"rows": 1}],
)  # fmt: skip
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValidationError):
        CsvDialect.model_validate(options)


def test_files_with_other_headers_are_read_by_their_own(tmp_path):
    first = written(tmp_path, f"t,a\n{T},1\n", "a.csv")
    second = written(tmp_path, f"a,t\n2,{T}\n", "b.csv")
    rows = CsvRows(CsvDialect(), Limits())
    files = [_prepared(path, number) for number, path in enumerate((first, second))]
    assert rows.layout(files[0]) != rows.layout(files[1])


def test_files_with_other_units_are_read_by_their_own(tmp_path):
    paths = [written(tmp_path, f"t,a [{unit}]\n{T},1\n", f"{unit}.csv") for unit in ("bar", "psi")]
    rows = CsvRows(CsvDialect(units="in_brackets"), Limits())
    assert len({rows.layout(_prepared(path, number)) for number, path in enumerate(paths)}) == 2


def test_a_table_with_more_columns_than_are_read_is_read_where_some_are_named(tmp_path):
    content = "t," + ",".join(f"c{n}" for n in range(MAX_COLUMNS - 1)) + "\n" + T + ",1" * (MAX_COLUMNS - 1) + "\n"
    trial = tried(written(tmp_path, content), **WIDE | {"wide": {"columns": {"a": "c7"}}})
    assert observed(trial) == [("a", 1.0, None)]


def test_as_many_columns_as_are_read_are_read(tmp_path):
    content = "t," + ",".join(f"c{n}" for n in range(MAX_CELLS)) + "\n" + T + ",1" * MAX_CELLS + "\n"
    assert balance(tried(written(tmp_path, content), **WIDE))["observations"] == MAX_CELLS


# One meaning by both readers


def _prepared(path: Path, number: int = 0, source: str | None = "m") -> PreparedFile:
    (member,) = survey(path, path.parent, Limits()).members
    return PreparedFile(number, member.text, source, member.lines, member.plain)


def _meant(con, decoding):
    def rows(query):
        return con.execute(f"SELECT * FROM ({query}) ORDER BY ALL").fetchall()

    return rows(decoding.rows), rows(f"SELECT file, line, reason FROM ({decoding.rejected})"), rows(decoding.skipped)


CELLS = st.one_of(
    st.sampled_from(["", "1", "-2.50", "1e5", "x", " 7 ", '"', 'a"b', "a,b", "line\nline", "007", T, "NaN", "ü",
     "''", "NULL", "\t"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\x01\r"), max_size=6),
)  # fmt: skip


@st.composite
def tables(draw):
    """A table as Python's csv writes it, and with a mutation or none."""
    rows = draw(st.lists(st.tuples(st.sampled_from([T, "2024-06-01 12:00:00", "never", ""]), CELLS, CELLS), max_size=8))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n", quoting=draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])))
    writer.writerows([("t", "a", "b"), *rows])
    made = text.getvalue()
    if draw(st.booleans()) and made:
        place = draw(st.integers(0, len(made) - 1))
        made = made[:place] + draw(st.sampled_from(['"', ",", "\n", "", " ", '""'])) + made[place + 1 :]
    return made


@given(tables())
@example('t,a,b\n2024-01-01T00:00:00Z, "x" ,y\n')
@example('t,a,b\n2024-01-01T00:00:00Z,x"y",z\n')
@example('t,a,b\n"2024-01-01T00:00:00Z","""",""\n')
@settings(max_examples=120, deadline=None)
def test_what_the_vectorised_reader_takes_means_what_the_exact_one_says(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("csv")
    path = written(folder, content)
    decoder = Tabular(
        CsvRows(CsvDialect(), Limits()), TimeReading(field="t"), WideReading(), StatusReading(), "Europe/Paris"
    )
    file = _prepared(path)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        try:
            exact = _meant(con, decoder.exact(con, file, folder))
        except UndecodableFile:
            with pytest.raises((UndecodableFile, duckdb.Error)):
                _meant(con, decoder.fast(con, [file], folder))
            return
        units = {row[1] for row in exact[0]}
        assert len(units) + len(exact[1]) + sum(row[2] for row in exact[2]) == file.lines
        if not file.plain:
            return
        try:
            fast = _meant(con, decoder.fast(con, [file], folder))
        except (UndecodableFile, duckdb.Error):
            return
        counted = len({row[1] for row in fast[0]}) + sum(row[2] for row in fast[2])
        if counted == file.lines:
            assert (fast[0], fast[2]) == (exact[0], exact[2])


def test_clean_files_take_the_vectorised_reader_and_others_do_not(tmp_path):
    clean = written(tmp_path, "t,a\n" + f"{T},1\n" * 1000, "clean.csv")
    broken = written(tmp_path, "t,a\n" + f"{T},1\n" * 1000 + "x\n", "broken.csv")
    assert balance(tried(clean, 1, **WIDE))["decoder"] == "csv/fast"
    capture = balance(tried(broken, 1, **WIDE))
    assert (capture["decoder"], capture["decoded_lines"], capture["quarantined"]) == ("csv/exact", 1000, 1)


def test_the_real_file_means_the_same_by_both_readers(tmp_path):
    path = unpacked(tmp_path, "exports/rtdip_historian_export.csv.gz")
    decoder = Tabular(
        CsvRows(CsvDialect(), Limits()), TimeReading(field="EventTime"),
        LongReading(tag="TagName", value="Value", status="Status"), StatusReading(), "UTC",
    )  # fmt: skip
    file = _prepared(path)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        exact = _meant(con, decoder.exact(con, file, tmp_path))
        trimmed = path.read_bytes().rstrip() + b"\n"
        clean = _prepared(written(tmp_path, trimmed, "clean.csv"))
        fast = _meant(con, decoder.fast(con, [clean], tmp_path))
    assert fast[0] == exact[0]
    assert len(exact[0]) == 1017
