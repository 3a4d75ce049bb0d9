import bz2
import codecs
import gzip
import io
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from idm_assets.capture.content import (
    FOREIGN_CONTENT,
    HEAD_BYTES,
    STUB_CONTENT,
    Content,
    Expected,
    as_utf8,
    encoding_of,
    foreign,
    kind_of,
)
from idm_assets.capture.framing import frame_lines
from idm_assets.capture.survey import Limits, survey

CSV = Expected(kinds=frozenset({"csv"}))
XML = Expected(Content.BYTES, kinds=frozenset({"xml"}))
TEXT = Expected(kinds=frozenset({"text"}))
PARQUET = Expected(Content.BYTES, kinds=frozenset({"parquet"}))
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
S3 = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>No</Message></Error>'


def _written(write) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _zip(buffer) -> None:
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.csv", "a;b\n")


def _tar(buffer, form: int = tarfile.PAX_FORMAT) -> None:
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))


def _sqlite(tmp_path: Path) -> bytes:
    with sqlite3.connect(tmp_path / "db") as con:
        con.execute("CREATE TABLE a (b)")
    con.close()
    return (tmp_path / "db").read_bytes()


FRAME = pl.DataFrame({"ts": [1, 2, 3], "value": [1.5, 2.5, 3.5]})


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("empty", b""),
        ("parquet", _written(FRAME.write_parquet)),
        ("parquet", _written(FRAME.clear().write_parquet)),
        ("arrow", _written(FRAME.write_ipc)),
        ("arrow", _written(FRAME.write_ipc_stream)),
        ("avro", _written(FRAME.write_avro)),
        ("zip", _written(_zip)),
        ("zip", _written(lambda buffer: zipfile.ZipFile(buffer, "w").close())),
        ("tar", _written(_tar)),
        ("tar", _written(lambda buffer: _tar(buffer, tarfile.GNU_FORMAT))),
        ("tar", _written(lambda buffer: _tar(buffer, tarfile.USTAR_FORMAT))),
        ("gzip", gzip.compress(b"a", mtime=0)),
        ("bz2", bz2.compress(b"a")),
        ("bz2", bz2.compress(b"")),
        ("zstd", zstandard.compress(b"a")),
        ("zstd", b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd" + zstandard.compress(b"a")),
        ("pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
        ("ole2", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)),
        ("png", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"),
        ("jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF"),
        ("git_lfs_pointer", LFS),
        ("html", b"<!DOCTYPE html>\n<html><head>"),
        ("html", b"\xef\xbb\xbf  <HTML lang=de>"),
        ("html", b"<!-- a --><!-- b -->\n<html>"),
        ("html", b'<?xml version="1.0"?><!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"><html>'),
        ("xml", b'<?xml version="1.0"?><MTConnectStreams>'),
        ("xml", b'\n<MTConnectStreams xmlns="urn:mtconnect.org:MTConnectStreams:1.3">'),
        ("xml", b"<a/>"),
        ("xml", "<?xml version='1.0' encoding='utf-16'?><a/>".encode("utf-16")),
        ("xml", b"<!-- a comment -->\n<a>"),
        ("text", b"<5;3;2\n"),
        ("text", b"<"),
        ("text", b"<html5-capable;2\n" + b"1;2\n"),
        ("json", b'{"a": 1}\n{"a": 2}\n'),
        ("json", b' [\n  {"a"'),
        ("json", b"[1, 2]"),
        ("json", b"{}"),
        ("text", b"{a};b\n"),
        ("text", b"[Data]\n1,2\n"),
        ("text", b"{"),
        ("text", b"PAR1;PAR2;PAR3\n1;2;3\n"),
        ("text", b"ORC;temperature\n1;2\n"),
        ("text", b"BZh9;a\n"),
        ("text", b"2016-11-16T10:11:32Z|Xabs|1.5\n"),
        ("text", "Größe;Maß\n".encode("latin-1")),
        ("text", "Temperatur;20,5\n".encode("utf-16")),
        ("binary", bytes(range(256)) * 10),
        ("binary", b"\x00\x00\x00\x2a"),
    ],
)
def test_kinds_of_content(kind, data):
    assert kind_of(data[:HEAD_BYTES]) == kind


def test_an_sqlite_database_is_told_by_its_header(tmp_path):
    assert kind_of(_sqlite(tmp_path)) == "sqlite"


@given(st.binary(max_size=300) | st.text(alphabet='<!->?htmlxj{}[]":, \n0', max_size=60).map(str.encode))
def test_any_bytes_have_a_kind_and_are_what_they_are_expected_to_be(data):
    kind = kind_of(data)
    assert kind
    assert foreign(data, Expected(kinds=frozenset({kind}))) is None or kind == "xml"


def test_a_hostile_prolog_costs_no_more_than_reading_it():
    assert kind_of((b"<!-- a -->" * (HEAD_BYTES // 10))[:HEAD_BYTES]) == "xml"
    assert kind_of(b"<!--" * (HEAD_BYTES // 4)) == "xml"
    assert kind_of(b"[" * HEAD_BYTES) == "json"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (LFS, "Git LFS pointer"),
        (S3, "NoSuchKey"),
        (b"<Error xmlns='x'>\n<RequestId/><Code>AccessDenied</Code><Message/></Error>", "AccessDenied"),
        (b"<!DOCTYPE html><html><title>404 Not Found</title></html>", "web page"),
        (b"<html><body>please log in</body></html>", "web page"),
        (b"404: Not Found", "404: Not Found"),
        (b"HTTP/1.1 503 Service Unavailable\r\n", "503 Service Unavailable"),
    ],
)
@pytest.mark.parametrize("expected", [CSV, XML, TEXT, PARQUET, Expected()])
def test_stubs_are_told_whatever_is_expected(data, told, expected):
    reason, detail = foreign(data, expected) or ("", "")
    assert reason == STUB_CONTENT
    assert told in detail


@pytest.mark.parametrize(
    "data",
    [
        b"404;Not Found\n405;Method Not Allowed\n",
        b"404 Not Found, 12 times\n",
        b"200 OK",
        b'<?xml version="1.0"?><MTConnectError><Error errorCode="NO_DEVICE">x</Error></MTConnectError>',
    ],
)
def test_what_only_resembles_a_stub_is_none(data):
    assert foreign(data, Expected()) is None
    assert foreign(data, Expected(kinds=frozenset({"text", "xml"}))) is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"%PDF-1.4\n", CSV),
        (b"%PDF-1.4\n", XML),
        (_written(_zip), TEXT),
        (b"SQLite format 3\x00", TEXT),
        (b"\x89PNG\r\n\x1a\n", CSV),
        (b'<?xml version="1.0"?><a/>', CSV),
        (b'<?xml version="1.0"?><a/>', TEXT),
        (b'{"ts": 1}\n', CSV),
        (b'[{"ts": 1}]', CSV),
        (b'{"ts": 1}', XML),
        (b"a;b\n1;2\n", PARQUET),
        (bytes(range(256)), PARQUET),
        (_written(FRAME.write_parquet), CSV),
    ],
)
def test_another_kind_than_expected_is_refused(data, expected):
    reason, detail = foreign(data, expected) or ("", "")
    assert reason == FOREIGN_CONTENT
    assert all(kind in detail for kind in expected.kinds)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", PARQUET),
        (b"<5;>7\n", CSV),
        (b"<none>;1\n", CSV),
        (b"{a};{b}\n", CSV),
        (b"[1];[2]\n", CSV),
        (b'{"ts": 1}\n', TEXT),
        (b'{"ts": 1}\n', Expected(kinds=frozenset({"sparkplug_json"}))),
        (b"no xml at all", XML),
        (b"not a json", Expected(kinds=frozenset({"json"}))),
        (b"%PDF-1.4\n", Expected()),
        (b'<?xml version="1.0"?><a/>', XML),
        (_written(FRAME.write_parquet), PARQUET),
        (b"\x00\x01\x02", Expected(Content.BYTES)),
    ],
)
def test_what_may_be_legitimate_is_not_refused(data, expected):
    assert foreign(data, expected) is None


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "rot13", ""])
def test_an_encoding_that_does_not_exist_is_refused_when_it_is_declared(encoding):
    with pytest.raises(ValueError, match="no text encoding"):
        Expected(encoding=encoding)


@pytest.mark.parametrize(
    ("head", "declared", "found"),
    [
        (b"a", "utf8", ("utf-8", 0)),
        (b"\xef\xbb\xbfa", "windows-1252", ("utf-8", 0)),
        (b"a", "windows-1252", ("cp1252", 0)),
        (b"a", "UTF-8-SIG", ("utf-8", 0)),
        (b"\xff\xfea\x00", "utf-8", ("utf-16-le", 2)),
        (b"\xfe\xff\x00a", "utf-16", ("utf-16-be", 2)),
        (b"a\x00", "utf-16", ("utf-16-le", 0)),
        (b"\xff\xfe\x00\x00a\x00\x00\x00", "utf-8", ("utf-32-le", 4)),
    ],
)
def test_a_byte_order_mark_wins_over_the_declared_encoding(head, declared, found):
    assert encoding_of(head, declared) == found


def transcoded(data: bytes, encoding: str, cut: int = 3) -> bytes:
    return b"".join(as_utf8((data[at : at + cut] for at in range(0, len(data), cut)), encoding))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 9))
def test_text_keeps_its_characters_whatever_the_chunks(text, cut):
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "gb18030"):
        assert transcoded(text.encode(encoding), encoding, cut) == text.encode()


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437", "koi8-r", "iso8859-15", "cp850"])
def test_every_byte_of_an_encoding_of_bytes_is_its_character_or_no_utf8(encoding):
    for value in range(256):
        byte = bytes([value])
        copy = transcoded(b"a" + byte + b"b", encoding)
        try:
            assert copy.decode() == f"a{byte.decode(encoding)}b"
        except UnicodeDecodeError:
            with pytest.raises(UnicodeDecodeError):
                copy.decode()
            assert copy == b"a" + byte + b"b", "a byte that stays is shown as what it was"


@given(
    st.sampled_from(["ascii", "cp1252", "shift_jis", "euc_kr", "big5", "gb18030", "utf-16-le", "utf-32-le", "utf-7"]),
    st.binary(max_size=40),
    st.integers(1, 9),
)
def test_a_copy_is_utf8_exactly_if_the_bytes_are_of_the_encoding(encoding, data, cut):
    copy = transcoded(data, encoding, cut)
    try:
        text = data.decode(encoding)
        text.encode()
    except UnicodeError:
        with pytest.raises(UnicodeDecodeError):
            copy.decode()
    else:
        assert copy == text.encode()


@given(st.lists(st.tuples(st.text("aé€\u4e0a\u0a0d", max_size=5), st.booleans()), min_size=1, max_size=6))
def test_damage_spoils_its_own_line_and_no_other(tmp_path_factory, lines):
    # A lone surrogate whose low byte is a line feed.
    damage = b"\x0a\xd8"
    data = b"".join(
        (text + "|").encode("utf-16-le") + damage * damaged + "\n".encode("utf-16-le") for text, damaged in lines
    )
    folder = tmp_path_factory.mktemp("damage")
    (folder / "text").write_bytes(codecs.BOM_UTF16_LE + data)
    (member,) = survey(folder / "text", folder, Limits(), Expected(encoding="utf-16")).members
    framed = [
        (content, batch.problems.get(index))
        for batch in frame_lines(member.text, Limits())
        for index, content in enumerate(batch.contents)
    ]
    assert len(framed) == member.lines == len(lines)
    assert member.plain == (not any(damaged for _, damaged in lines))
    for (content, problem), (text, damaged) in zip(framed, lines, strict=True):
        assert problem == ("invalid_utf8" if damaged else None)
        assert content == f"{text}|" + r"\xff\x0a\xff\xd8" * damaged


def test_an_undefined_byte_of_windows_1252_rejects_its_line_only(tmp_path):
    (tmp_path / "text").write_bytes(b"Gr\xf6\xdfe\n20\x81C\n5 \x80\n")
    expected = Expected(encoding="windows-1252")
    (member,) = survey(tmp_path / "text", tmp_path, Limits(), expected).members
    (batch,) = frame_lines(member.text, Limits())
    assert batch.contents == ["Größe", "20\\x81C", "5 €"]
    assert batch.problems == {1: "invalid_utf8"}
    assert (member.lines, member.plain, member.compression) == (3, False, "none")
