from pathlib import Path
from unittest.mock import patch

import duckdb
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from idm_assets.capture import framing
from idm_assets.capture.content import encoding_of, kind_of
from idm_assets.capture.decoders import PreparedFile
from idm_assets.capture.framing import (
    INVALID_UTF8,
    LINE_TOO_LONG,
    NUL_BYTE,
    PAYLOAD_BYTES,
    frame_lines,
    framed_lines,
    plain_lines,
)
from idm_assets.capture.survey import Limits, survey

BOM = b"\xef\xbb\xbf"
PIECES = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"\x00",
        b"\x01",
        b"\xff",
        b"\xe2\x82",
        BOM,
        b"abc",
        b"|",
        b'"',
        b"x" * 20,
        "é".encode(),
        b" ",
    ]
)
CONTENT = st.lists(PIECES | st.binary(max_size=6), max_size=25).map(b"".join)
PLAIN_LINES = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\x01\r\n"), max_size=12), max_size=8
)


def framed(path: Path, limits: Limits | None = None) -> list[tuple[int, str, str | None]]:
    rows = []
    for batch in frame_lines(path, limits or Limits()):
        rows += [
            (batch.first + index, content, batch.problems.get(index)) for index, content in enumerate(batch.contents)
        ]
    return rows


def naively_framed(data: bytes, limit: int) -> list[tuple[int, str, str | None]]:
    if not data:
        return []
    raws = data.removeprefix(BOM).split(b"\n")
    if raws[-1] == b"" and data.endswith(b"\n"):
        raws.pop()
    rows = []
    for number, raw in enumerate(raws, 1):
        shown = raw.removesuffix(b"\r")
        problem = None
        if len(raw) > limit:
            problem, shown = LINE_TOO_LONG, raw[:limit]
        elif shown.decode("utf-8", "replace").encode() != shown:
            problem = INVALID_UTF8
        elif b"\x00" in shown:
            problem = NUL_BYTE
        rows.append((number, shown.decode("utf-8", "backslashreplace").replace("\x00", "\\x00"), problem))
    return rows


@given(CONTENT, st.integers(4, 30), st.integers(3, 40))
@settings(deadline=None)
def test_framing_is_splitting_at_line_feeds(tmp_path_factory, data, limit, chunk):
    path = tmp_path_factory.mktemp("framing") / "text"
    path.write_bytes(data)
    with patch.object(framing, "CHUNK_BYTES", chunk):
        assert framed(path, Limits(max_line_bytes=limit)) == naively_framed(data, limit)


@given(CONTENT)
@settings(deadline=None)
def test_framing_finds_as_many_lines_as_the_survey(tmp_path_factory, data):
    # To the survey some bytes are no text, or one in another encoding; then it counts other lines.
    assume(kind_of(data) in {"text", "binary", "empty", "json"} and encoding_of(data, "utf-8")[0] == "utf-8")
    folder = tmp_path_factory.mktemp("framing")
    path = folder / "text"
    path.write_bytes(data)
    with patch("idm_assets.capture.survey._refuse_binary"):
        assert len(framed(path)) == survey(path, folder, Limits()).members[0].lines


def test_a_line_of_ten_megabytes_is_cut_and_the_next_one_is_whole(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"a\n" + b"x" * (10 << 20) + b"\nb\n" + b"y" * (3 << 20))
    first, long, second, last = framed(path)
    assert first == (1, "a", None)
    assert long == (2, "x" * PAYLOAD_BYTES, LINE_TOO_LONG)
    assert second == (3, "b", None)
    assert last == (4, "y" * PAYLOAD_BYTES, LINE_TOO_LONG)


def test_damaged_lines_keep_their_payload_in_printable_form(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfok\r\n20\xb0C|\xff\r\na\x00b\nold\rmac\n")
    assert framed(path) == [
        (1, "ok", None),
        (2, "20\\xb0C|\\xff", INVALID_UTF8),
        (3, "a\\x00b", NUL_BYTE),
        (4, "old\rmac", None),
    ]


def prepared(folder: Path, number: int, data: bytes, name: str | None = None) -> PreparedFile:
    path = folder / (name or f"{number}.txt")
    path.write_bytes(data)
    surveyed = survey(path, folder, Limits())
    (member,) = surveyed.members
    return PreparedFile(number, path, f"source-{number}", member.lines, member.plain)


def plain_rows(con: duckdb.DuckDBPyConnection, files: list[PreparedFile]):
    return con.execute(f"SELECT file, line, source, content FROM ({plain_lines(files)}) ORDER BY ALL").fetchall()


@pytest.fixture
def con():
    with duckdb.connect() as connection:
        connection.execute("SET threads = 2")
        yield connection


@given(st.lists(st.tuples(PLAIN_LINES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans()), max_size=6))
@settings(max_examples=30, deadline=None)
def test_both_readers_read_the_same_lines(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("readers")
    files = []
    for number, (lines, end, terminated, marked) in enumerate(contents):
        text = end.join(lines) + (end if terminated else "")
        with patch("idm_assets.capture.survey._refuse_binary"):
            files.append(prepared(folder, number, (BOM if marked else b"") + text.encode()))
    files = [file for file in files if file.path.read_bytes() != BOM]
    assert all(file.plain for file in files)
    with duckdb.connect() as con:
        exact = []
        for file in files:
            query = framed_lines(con, file, frame_lines(file.path, Limits()))
            exact += con.execute(f"SELECT file, line, source, content FROM ({query}) ORDER BY ALL").fetchall()
        fast = plain_rows(con, files)
    assert fast == exact
    assert len(fast) == sum(file.lines for file in files)


def test_many_files_are_numbered_one_by_one(con, tmp_path):
    files = [
        prepared(tmp_path, number, "".join(f"{number}|{line}\n" for line in range(1, 1 + number % 50)).encode())
        for number in range(1500)
    ]
    files.reverse()
    rows = plain_rows(con, files)
    assert len(rows) == sum(file.lines for file in files)
    assert all(content == f"{file}|{line}" and source == f"source-{file}" for file, line, source, content in rows)


@pytest.mark.slow
@pytest.mark.parametrize("keep_order", ["true", "false"])
def test_files_of_many_buffers_are_numbered_in_order(con, tmp_path, keep_order):
    con.execute(f"SET preserve_insertion_order = {keep_order}")
    data = "".join(f"{line}|{'x' * (line % 60)}\n" for line in range(1, 2_000_001)).encode()
    files = [prepared(tmp_path, number, data) for number in range(2)]
    counts = con.execute(
        "SELECT count(*), count(*) FILTER (split_part(content, '|', 1)::BIGINT = line), count(DISTINCT file)"
        f" FROM ({plain_lines(files)})"
    ).fetchall()
    assert counts == [(4_000_000, 4_000_000, 2)]


def test_a_wrong_count_of_lines_never_numbers_lines_wrongly(con, tmp_path):
    files = [prepared(tmp_path, number, b"a\nb\nc\n") for number in range(3)]
    short = [PreparedFile(f.number, f.path, f.source, f.lines - 1, f.plain) for f in files]
    with pytest.raises(duckdb.Error, match="differs from the number surveyed"):
        plain_rows(con, short)


@pytest.mark.parametrize("name", ["a*b", "a?b.gz", "a[1]b", "it's", "ü.parquet", "source=x.zst"])
def test_no_name_of_a_file_is_special(con, tmp_path, name):
    (tmp_path / "aXb").write_bytes(b"another file\n")
    folder = tmp_path / "day=1"
    folder.mkdir()
    assert plain_rows(con, [prepared(folder, 7, b"a\n", name)]) == [(7, 1, "source-7", "a")]


def test_a_name_that_is_no_text_is_left_to_the_exact_reader(con, tmp_path):
    file = prepared(tmp_path, 1, b"a\n", b"\xff.txt".decode("utf-8", "surrogateescape"))
    with pytest.raises(duckdb.Error):
        plain_lines([file])
    query = framed_lines(con, file, frame_lines(file.path, Limits()))
    assert con.execute(f"SELECT content FROM ({query})").fetchall() == [("a",)]


def test_no_file_and_empty_files_have_no_lines(con, tmp_path):
    assert plain_rows(con, []) == []
    assert plain_rows(con, [prepared(tmp_path, 1, b"")]) == []


def test_a_query_that_is_run_too_late_finds_no_line(con, tmp_path):
    first, second = (prepared(tmp_path, number, b"a\n") for number in (1, 2))
    late = framed_lines(con, first, frame_lines(first.path, Limits()))
    framed_lines(con, second, frame_lines(second.path, Limits()))
    assert con.execute(late).fetchall() == []
