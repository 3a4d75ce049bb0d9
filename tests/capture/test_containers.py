import bz2
import gzip
import hashlib
import io
import random
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from unittest.mock import patch

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture import survey as survey_module
from idm_assets.capture.containers import (
    CORRUPT_ARCHIVE,
    CORRUPT_GZIP,
    ENCRYPTED,
    NOT_A_REGULAR_MEMBER,
    TOO_MANY_MEMBERS,
    TRUNCATED_ARCHIVE,
    TRUNCATED_GZIP,
    UNPACKS_TOO_LARGE,
    UNSAFE_MEMBER_NAME,
    UNSUPPORTED_COMPRESSION,
)
from idm_assets.capture.content import FOREIGN_CONTENT, STUB_CONTENT, Content, Expected
from idm_assets.capture.members import NESTED_TOO_DEEP, REPEATED_MEMBER_NAME
from idm_assets.capture.survey import (
    BINARY_CONTENT,
    CaptureMoved,
    Limits,
    Member,
    Surveyed,
    UnreadableCapture,
    survey,
)

LINE = b"2016-11-16T10:11:32Z|Xabs|1.5\n"
TEXT = "".join(f"2016-11-16T10:11:{n % 60:02d}Z|Xabs|{n * 0.37:.2f}\r\n" for n in range(9000)).encode()
NOISE = hashlib.shake_128(b"noise").digest(300_000)
BYTES = Expected(Content.BYTES)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def zstd_streamed(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return b"".join((packer.compress(data[:1000]), packer.flush(1), packer.compress(data[1000:]), packer.flush()))


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


def zipped_as_a_stream(name: str, data: bytes) -> bytes:
    class Unseekable(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError

        def tell(self):
            raise OSError

    buffer = Unseekable()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def tarred(*files: tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def special(name: str, kind: bytes, target: str = "") -> bytes:
    """A tar of a member that is no file, before a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
        member = tarfile.TarInfo("good.txt")
        member.size = len(LINE)
        archive.addfile(member, io.BytesIO(LINE))
    return buffer.getvalue()


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def look(tmp_path, workdir):
    """Survey some bytes as delivered."""

    def look(data: bytes, limits: Limits | None = None, expected: Expected | None = None) -> Surveyed:
        path = tmp_path / "delivered"
        path.write_bytes(data)
        return survey(path, workdir, limits or Limits(), expected or Expected())

    return look


@pytest.fixture
def refused(look, workdir):
    """Survey some bytes that cannot be decoded as a whole."""

    def refused(data: bytes, limits: Limits | None = None, expected: Expected | None = None) -> UnreadableCapture:
        with pytest.raises(UnreadableCapture) as caught:
            look(data, limits, expected)
        assert list(workdir.iterdir()) == [], "nothing of a refused file may stay behind"
        assert caught.value.sha256 == hashlib.sha256(data).hexdigest()
        assert caught.value.size_bytes == len(data)
        return caught.value

    return refused


def reasons(surveyed: Surveyed) -> dict[str | None, str | None]:
    assert len({member.name for member in surveyed.members}) == len(surveyed.members)
    return {member.name: member.refusal and member.refusal[0] for member in surveyed.members}


def check_files(surveyed: Surveyed, workdir: Path) -> None:
    """Exactly the members that are not refused have files, and these hold what is said of them."""
    kept = [member for member in surveyed.members if member.refusal is None]
    assert {member.text for member in kept} - {surveyed.path} == set(workdir.iterdir())
    for member in kept:
        assert member.text.stat().st_size == member.text_bytes
    assert not any(member.text.exists() for member in surveyed.members if member.refusal is not None)


COMPRESSED = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "zstd": zstd,
}


@pytest.mark.parametrize(
    ("packaging", "packed"),
    [
        ("gzip", gzip.compress(TEXT)),
        ("gzip", gzip.compress(TEXT[:777]) + bytes(99) + gzip.compress(TEXT[777:]) + bytes(512)),
        ("bz2", bz2.compress(TEXT)),
        ("bz2", bz2.compress(TEXT[:777]) + bz2.compress(b"") + bz2.compress(TEXT[777:])),
        ("zstd", zstd(TEXT)),
        ("zstd", zstd_streamed(TEXT)),
        ("zstd", zstandard.compress(TEXT[:777]) + b"\x5f\x2a\x4d\x18\x03\x00\x00\x00abc" + zstd(TEXT[777:])),
        ("zstd", zstandard.ZstdCompressor(level=19, write_content_size=False).compress(TEXT)),
        ("gzip+gzip", gzip.compress(gzip.compress(TEXT))),
        ("bz2+zstd", zstd(bz2.compress(TEXT))),
    ],
)
def test_a_compressed_file_is_what_is_packed_in_it(look, workdir, packaging, packed):
    surveyed = look(packed)
    (member,) = surveyed.members
    sha256 = hashlib.sha256(packed).hexdigest()
    assert member == Member(None, member.text, sha256, len(packed), len(TEXT), 9000, True, packaging, None)
    assert member.text.read_bytes() == TEXT
    assert (surveyed.packaging, surveyed.is_archive, surveyed.sha256) == (packaging, False, sha256)
    check_files(surveyed, workdir)


FILES = (("a.txt", TEXT), ("folder/b.txt", LINE), ("c.txt", b""), ("latin.txt", "Größe\n".encode("latin-1")))


@pytest.mark.parametrize(
    ("packaging", "packed"),
    [
        ("zip", zipped(*FILES)),
        ("zip", zipped(*FILES, method=zipfile.ZIP_STORED)),
        ("zip", zipped(*FILES, method=zipfile.ZIP_BZIP2)),
        ("zip+gzip", gzip.compress(zipped(*FILES))),
        ("tar", tarred(*FILES)),
        ("tar", tarred(*FILES, form=tarfile.GNU_FORMAT)),
        ("tar", tarred(*FILES, form=tarfile.USTAR_FORMAT)),
        ("tar", tarred(*FILES[:2]) + tarred(*FILES[2:])),
        ("tar+gzip", gzip.compress(tarred(*FILES))),
        ("tar+zstd", zstd(tarred(*FILES))),
        ("tar+bz2", bz2.compress(tarred(*FILES))),
        ("tar+gzip+bz2", bz2.compress(gzip.compress(tarred(*FILES)))),
    ],
)
def test_the_members_of_an_archive_are_its_files(look, workdir, packaging, packed):
    surveyed = look(packed)
    assert (surveyed.packaging, surveyed.is_archive, surveyed.ignored) == (packaging, True, ())
    assert surveyed.sha256 == hashlib.sha256(packed).hexdigest()
    assert [(m.name, m.text.read_bytes(), m.size_bytes, m.text_bytes) for m in surveyed.members] == [
        (name, data, len(data), len(data)) for name, data in FILES
    ]
    assert [m.sha256 for m in surveyed.members] == [hashlib.sha256(data).hexdigest() for _, data in FILES]
    assert [(m.lines, m.plain) for m in surveyed.members] == [(9000, True), (1, True), (0, True), (1, False)]
    assert {(m.compression, m.refusal) for m in surveyed.members} == {("none", None)}
    check_files(surveyed, workdir)


@pytest.mark.parametrize("archived", [zipped, tarred])
def test_members_may_be_compressed_themselves(look, workdir, archived):
    files = [(f"{name}.x", pack(TEXT)) for name, pack in COMPRESSED.items()]
    files.append(("twice.gz", gzip.compress(bz2.compress(LINE))))
    surveyed = look(archived(*files))
    assert [m.compression for m in surveyed.members] == ["gzip", "bz2", "zstd", "bz2+gzip"]
    assert [m.text.read_bytes() for m in surveyed.members] == [TEXT, TEXT, TEXT, LINE]
    assert [m.sha256 for m in surveyed.members] == [hashlib.sha256(data).hexdigest() for _, data in files]
    assert [m.size_bytes for m in surveyed.members] == [len(data) for _, data in files]
    check_files(surveyed, workdir)


def test_zips_of_every_making_are_read(look):
    assert look(zipped_as_a_stream("a", TEXT)).members[0].text.read_bytes() == TEXT
    commented = io.BytesIO(zipped(("a", LINE)))
    with zipfile.ZipFile(commented, "a") as archive:
        archive.comment = b"a comment with PK\x05\x06" + bytes(18) + b" in it"
    assert look(commented.getvalue()).members[0].lines == 1
    wide = io.BytesIO()
    with zipfile.ZipFile(wide, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(TEXT)
    assert look(wide.getvalue()).members[0].lines == 9000
    with patch.object(zipfile, "ZIP_FILECOUNT_LIMIT", 1), patch.object(zipfile, "ZIP64_LIMIT", 10):
        wider = zipped(("a", TEXT), ("b", LINE))
    assert b"PK\x06\x06" in wider
    assert [member.lines for member in look(wider).members] == [9000, 1]
    assert look(zipped()).members == ()


def zstd_zip(data: bytes) -> bytes:
    """A zip whose entry is compressed by zstd (method 93), which the standard library cannot write."""
    packed = zstd(data[: len(data) // 2]) + zstd(data[len(data) // 2 :])
    return crafted([(b"a", 93, packed, zlib.crc32(data), len(data))])


def crafted(entries: list[tuple[bytes, int, bytes, int, int]], shared: int = 1, flags: int = 0) -> bytes:
    """A zip of entries as (name, method, packed data, CRC, size), each listed ``shared`` times."""
    body, directory, count = b"", b"", 0
    for name, method, packed, crc, size in entries:
        offset = len(body)
        fields = (flags, method, 0, 0, crc, len(packed), size, len(name), 0)
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, *fields) + name + packed
        record = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, *fields, 0, 0, 0, 0, offset) + name
        directory += record * shared
        count += shared
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + end


def test_a_zip_may_be_compressed_by_zstd(look):
    (member,) = look(zstd_zip(TEXT)).members
    assert member.text.read_bytes() == TEXT


# Nesting


@pytest.mark.parametrize(
    "packed",
    [
        gzip.compress(gzip.compress(gzip.compress(LINE))),
        zstd(bz2.compress(gzip.compress(LINE))),
        gzip.compress(gzip.compress(gzip.compress(tarred(("a", LINE))))),
    ],
    ids=["gzip", "mixed", "tar"],  # the bytes of a gzip hold the time at which it was made
)
def test_a_third_layer_of_compression_is_refused(refused, packed):
    assert refused(packed).reason == NESTED_TOO_DEEP


@pytest.mark.parametrize(
    "packed",
    [
        zipped(("deep", zipped(("a", LINE))), ("good", LINE)),
        zipped(("deep", tarred(("a", LINE))), ("good", LINE)),
        zipped(("deep", gzip.compress(tarred(("a", LINE)))), ("good", LINE)),
        tarred(("deep", zipped(("a", LINE))), ("good", LINE)),
        tarred(("deep", tarred(("a", LINE))), ("good", LINE)),
        zipped(("deep", gzip.compress(gzip.compress(gzip.compress(LINE)))), ("good", LINE)),
        gzip.compress(tarred(("deep", gzip.compress(gzip.compress(LINE))), ("good", gzip.compress(LINE)))),
    ],
)
def test_a_member_that_is_nested_too_deep_is_refused_and_the_others_are_not(look, workdir, packed):
    surveyed = look(packed)
    assert reasons(surveyed) == {"deep": NESTED_TOO_DEEP, "good": None}
    assert surveyed.members[1].text.read_bytes() == LINE
    check_files(surveyed, workdir)


# Office documents and other kinds


XLSX = zipped(("xl/workbook.xml", b"<workbook/>"), ("[Content_Types].xml", b"<Types/>"))
OPC = Expected(Content.BYTES, kinds=frozenset({"opc"}))


@pytest.mark.parametrize("kind", ["opc", "zip"])
def test_an_office_document_is_no_archive(look, kind):
    expected = Expected(Content.BYTES, kinds=frozenset({kind}))
    for packed, packaging in ((XLSX, "none"), (gzip.compress(XLSX), "gzip")):
        surveyed = look(packed, expected=expected)
        (member,) = surveyed.members
        assert (surveyed.is_archive, surveyed.packaging, member.compression) == (False, packaging, packaging)
        assert member.text.read_bytes() == XLSX
        assert (member.text_bytes, member.lines, member.plain) == (len(XLSX), 0, True)
    assert look(XLSX, expected=expected).members[0].text == surveyed.path


def test_office_documents_may_be_members(look):
    for packed in (zipped(("a.xlsx", XLSX)), tarred(("a.xlsx", XLSX)), zipped(("a.xlsx", gzip.compress(XLSX)))):
        surveyed = look(packed, expected=OPC)
        (member,) = surveyed.members
        assert (surveyed.is_archive, member.name, member.refusal) == (True, "a.xlsx", None)
        assert member.text.read_bytes() == XLSX


def test_an_office_document_where_text_is_expected_is_refused(refused, look, workdir):
    assert refused(XLSX).reason == FOREIGN_CONTENT
    assert refused(gzip.compress(XLSX), expected=Expected(kinds=frozenset({"csv"}))).reason == FOREIGN_CONTENT
    surveyed = look(zipped(("a.xlsx", XLSX), ("b", LINE)))
    assert reasons(surveyed) == {"a.xlsx": FOREIGN_CONTENT, "b": None}
    check_files(surveyed, workdir)


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip"])
def test_a_declared_kind_is_not_unpacked(look, kind):
    packed = {"zip": zipped(("a", LINE)), "tar": tarred(("a", LINE)), "gzip": gzip.compress(LINE)}[kind]
    surveyed = look(packed, expected=Expected(Content.BYTES, kinds=frozenset({kind})))
    (member,) = surveyed.members
    assert (surveyed.packaging, surveyed.is_archive, member.text) == ("none", False, surveyed.path)
    (member,) = look(bz2.compress(packed), expected=Expected(Content.BYTES, kinds=frozenset({kind}))).members
    assert member.text.read_bytes() == packed


def test_bytes_are_not_judged_as_text(look):
    surveyed = look(NOISE, expected=BYTES)
    (member,) = surveyed.members
    assert (member.text, member.text_bytes, member.lines, member.plain) == (surveyed.path, len(NOISE), 0, True)
    (member,) = look(zstd(NOISE), expected=BYTES).members
    assert member.text.read_bytes() == NOISE
    assert (member.text_bytes, member.lines, member.plain) == (len(NOISE), 0, True)


def test_every_member_is_judged_by_its_content(look, workdir):
    csv = Expected(kinds=frozenset({"csv"}))
    surveyed = look(
        zipped(
            ("good.csv", b"a;b\n"),
            ("lfs.csv", b"version https://git-lfs.github.com/spec/v1\n"),
            ("page.csv", gzip.compress(b"<!doctype html><html>")),
            ("letter.csv", b"%PDF-1.4\n"),
            ("noise.csv", NOISE),
        ),
        expected=csv,
    )
    assert reasons(surveyed) == {
        "good.csv": None,
        "lfs.csv": STUB_CONTENT,
        "page.csv": STUB_CONTENT,
        "letter.csv": FOREIGN_CONTENT,
        "noise.csv": BINARY_CONTENT,
    }
    assert surveyed.members[4].sha256 == hashlib.sha256(NOISE).hexdigest()
    check_files(surveyed, workdir)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_foreign_content_that_is_no_archive_is_refused_as_a_whole(refused, pack):
    csv = Expected(kinds=frozenset({"csv"}))
    assert refused(pack(b"%PDF-1.4\n"), expected=csv).reason == FOREIGN_CONTENT
    assert refused(pack(b"<html>"), expected=csv).reason == STUB_CONTENT


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda data: tarred(("a", data))])
@pytest.mark.parametrize(
    ("declared", "data"),
    [
        ("windows-1252", "Größe;5 €\n".encode("cp1252")),
        ("latin-1", "Größe;5 €\n".replace("€", "e").encode("latin-1")),
        ("utf-16", "Größe;5 €\n".encode("utf-16-le")),
        ("utf-16", b"\xff\xfe" + "Größe;5 €\n".encode("utf-16-le")),
        ("utf-16", b"\xfe\xff" + "Größe;5 €\n".encode("utf-16-be")),
        ("utf-8", b"\xfe\xff" + "Größe;5 €\n".encode("utf-16-be")),
        ("shift_jis", "温度\n".encode("shift_jis")),
    ],
)
def test_text_is_brought_to_utf8(look, pack, declared, data):
    (member,) = look(pack(data), expected=Expected(encoding=declared)).members
    named = "utf-16" if data[:1] in (b"\xff", b"\xfe") else declared.replace("16", "16-le")
    assert member.text.read_text("utf-8") == data.decode(named)
    assert (member.lines, member.plain) == (1, True)
    assert member.text_bytes == member.text.stat().st_size


def test_utf8_with_a_mark_is_read_in_place_whatever_is_declared(look):
    surveyed = look(b"\xef\xbb\xbf" + "Größe\n".encode(), expected=Expected(encoding="windows-1252"))
    assert surveyed.members[0].text == surveyed.path
    assert surveyed.members[0].plain


# Bombs


ZEROS = bytes(1 << 20)


def repeated(packer, blocks: int) -> bytes:
    return b"".join(packer.compress(ZEROS) for _ in range(blocks)) + packer.flush()


def deflate_bomb(blocks: int) -> tuple[bytes, int]:
    crc = 0
    for _ in range(blocks):
        crc = zlib.crc32(ZEROS, crc)
    return repeated(zlib.compressobj(9, zlib.DEFLATED, -15), blocks), crc


def gzip_bomb(blocks: int) -> bytes:
    return repeated(zlib.compressobj(9, zlib.DEFLATED, 31), blocks)


def bz2_bomb(blocks: int) -> bytes:
    return repeated(bz2.BZ2Compressor(), blocks)


def zip_bomb(blocks: int, size: int | None = None) -> bytes:
    packed, crc = deflate_bomb(blocks)
    return crafted([(b"a", 8, packed, crc, blocks << 20 if size is None else size)])


BOMBS = {
    "gzip": gzip_bomb,
    "bz2": bz2_bomb,
    "zstd": lambda blocks: repeated(zstandard.ZstdCompressor().compressobj(), blocks),
    "gzip in gzip": lambda blocks: gzip.compress(gzip_bomb(blocks)),
    "padding in gzip": lambda blocks: gzip.compress(gzip.compress(b"") + bytes(blocks << 20)),
    "zip": zip_bomb,
    "bz2 in zip": lambda blocks: crafted([(b"a", 12, bz2_bomb(blocks), deflate_bomb(blocks)[1], blocks << 20)]),
    "a lying zip": lambda blocks: zip_bomb(blocks, 1),
    "overlapping zip": lambda blocks: crafted([(b"a", 8, *deflate_bomb(1), 1 << 20)], shared=blocks),
    "compressed members": lambda blocks: zipped(*((str(n), gzip.compress(ZEROS)) for n in range(blocks))),
    "tar in gzip": lambda blocks: gzip.compress(tarred(*((str(n), ZEROS) for n in range(blocks)))),
    "bz2 in tar": lambda blocks: tarred(("a", bz2_bomb(blocks))),
}


@pytest.mark.parametrize("name", list(BOMBS))
def test_a_bomb_is_stopped_by_the_limit_on_all_members_together(refused, name):
    error = refused(BOMBS[name](12), Limits(max_unpacked_bytes=10 << 20), BYTES)
    assert error.reason == UNPACKS_TOO_LARGE


@pytest.mark.parametrize("name", ["gzip", "bz2", "zstd", "zip", "bz2 in zip", "overlapping zip", "bz2 in tar"])
def test_a_bomb_is_stopped_by_its_ratio(refused, look, name):
    data = BOMBS[name](20)
    assert refused(data, Limits(max_ratio=300, max_dense_ratio=3000), BYTES).reason == UNPACKS_TOO_LARGE
    assert look(data, Limits(max_ratio=1e9, max_dense_ratio=1e9), BYTES).members


def test_real_bombs_are_beyond_the_default_limits_and_monotonous_text_is_not(refused, look):
    assert refused(BOMBS["bz2"](20), expected=BYTES).reason == UNPACKS_TOO_LARGE
    assert refused(BOMBS["zstd"](20), expected=BYTES).reason == UNPACKS_TOO_LARGE
    lines = 30_000 * 20
    for packed in (gzip.compress(LINE * lines), zstd(LINE * lines), bz2.compress(LINE * 30_000) * 20):
        assert look(packed).members[0].lines == lines


@pytest.mark.parametrize("name", ["gzip", "bz2", "zstd", "bz2 in zip", "zip", "tar in gzip", "padding in gzip"])
def test_memory_does_not_grow_with_what_is_unpacked(look, name):
    data = BOMBS[name](40)
    limits = Limits(max_ratio=1e9, max_dense_ratio=1e9)
    tracemalloc.start()
    try:
        look(data, limits, BYTES)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 << 20


# Entries


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "a/../../evil.txt",
        "/etc/passwd",
        "C:/evil.txt",
        "c:evil.txt",
        "a\\evil.txt",
        "a\nb.txt",
        "..",
        "x" * 501,
        "\x1b[31m.txt",
    ],
)
@pytest.mark.parametrize("archived", [zipped, tarred])
def test_unsafe_names_are_refused_and_shown_harmlessly(look, workdir, archived, name):
    surveyed = look(archived((name, LINE), ("good.txt", LINE)))
    bad, good = surveyed.members
    assert (bad.refusal or ("",))[0] == UNSAFE_MEMBER_NAME
    assert good.refusal is None
    assert bad.name is not None
    shown = PurePosixPath(bad.name)
    assert not shown.is_absolute()
    assert ".." not in shown.parts
    assert bad.name.isprintable()
    assert not set(bad.name) & set("\\:")
    assert len(bad.name) < 300
    assert bad.sha256 == hashlib.sha256(LINE).hexdigest()
    check_files(surveyed, workdir)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), min_size=1, max_size=5, unique=True))
@settings(max_examples=60, deadline=None)
def test_names_of_all_kinds_are_kept_apart(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("names")
    (folder / "work").mkdir()
    (folder / "a.tar").write_bytes(tarred(*((name, name.encode()) for name in names)))
    surveyed = survey(folder / "a.tar", folder / "work", Limits(), BYTES)
    assert len(surveyed.members) + len(surveyed.ignored) == len(names)
    for member in surveyed.members:
        assert member.name
        assert ".." not in member.name.split("/")
        assert not member.name.startswith("/")
    check_files(surveyed, folder / "work")


def renamed(archive: bytes, name: bytes) -> bytes:
    """Give the entry ``@@@@@@`` another name of six bytes."""
    assert len(name) == 6
    return archive.replace(b"@@@@@@", name)


def test_names_that_are_no_utf8_are_refused_where_they_should_be(look):
    plain = zipped(("@@@@@@", LINE))
    flagged = crafted([(b"\xff\xfe@@@@", 0, LINE, zlib.crc32(LINE), len(LINE))], flags=1 << 11)
    assert reasons(look(flagged)) == {"%FF%FE@@@@": UNSAFE_MEMBER_NAME}
    assert reasons(look(renamed(plain, b"Pr\x81f.x"))) == {"Prüf.x": None}, "code page 437, as APPNOTE has it"
    assert reasons(look(renamed(plain, "ü.txt".encode()))) == {"ü.txt": None}
    assert reasons(look(renamed(plain, b"a\x00.txt"))) == {"a%00.txt": UNSAFE_MEMBER_NAME}
    tar = tarred(("é.csv", LINE), form=tarfile.USTAR_FORMAT)
    header = bytearray(tar[:512].replace("é".encode(), b"\xe9.", 1))
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\x00 " % sum(header)
    assert reasons(look(bytes(header) + tar[512:])) == {"%E9..csv": UNSAFE_MEMBER_NAME}


@pytest.mark.parametrize("archived", [zipped, tarred])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_is_used_twice_is_refused_for_both(look, workdir, archived):
    surveyed = look(archived(("a", LINE), ("./a", LINE * 2), ("b//c", LINE), ("d", LINE)))
    assert [(m.name, m.refusal and m.refusal[0]) for m in surveyed.members] == [
        ("a", REPEATED_MEMBER_NAME),
        ("a", REPEATED_MEMBER_NAME),
        ("b/c", None),
        ("d", None),
    ]
    assert surveyed.members[0].sha256 != surveyed.members[1].sha256
    check_files(surveyed, workdir)


@pytest.mark.parametrize("archived", [zipped, tarred])
def test_what_operating_systems_leave_behind_is_named_and_left_out(look, workdir, archived):
    surveyed = look(archived(("__MACOSX/._a.txt", NOISE), (".DS_Store", NOISE), ("b/.DS_Store", b""), ("a.txt", LINE)))
    assert reasons(surveyed) == {"a.txt": None}
    assert surveyed.ignored == ("__MACOSX/._a.txt", ".DS_Store", "b/.DS_Store")
    check_files(surveyed, workdir)


def test_folders_are_no_members(look):
    assert reasons(look(special("folder", tarfile.DIRTYPE))) == {"good.txt": None}
    assert reasons(look(zipped(("folder/", b""), ("folder/a", LINE)))) == {"folder/a": None}


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.FIFOTYPE, "pipe"),
    ],
)
def test_links_and_devices_are_refused(look, workdir, kind, told):
    surveyed = look(special("bad", kind, "/etc/passwd"))
    assert reasons(surveyed) == {"bad": NOT_A_REGULAR_MEMBER, "good.txt": None}
    assert told in (surveyed.members[0].refusal or ("", ""))[1]
    check_files(surveyed, workdir)


def test_links_in_a_zip_are_refused_and_what_came_from_a_pipe_is_not(look):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        link.create_system = 3
        archive.writestr(link, "/etc/passwd")
        piped = zipfile.ZipInfo("-")
        piped.external_attr = 0o010600 << 16
        piped.create_system = 3
        archive.writestr(piped, LINE)
        archive.writestr(zipfile.ZipInfo("folder/"), b"hidden")
        archive.writestr("good", LINE)
    assert reasons(look(buffer.getvalue())) == {
        "link": NOT_A_REGULAR_MEMBER,
        "-": None,
        "folder": NOT_A_REGULAR_MEMBER,
        "good": None,
    }


def test_sparse_files_are_refused_and_what_follows_them_is_not(look):
    def sparse(headers: bytes, kind: bytes) -> bytes:
        member = tarfile.TarInfo("sparse")
        member.size, member.type = 512, kind
        if not headers:
            member.pax_headers = {"GNU.sparse.size": "1000000000000", "GNU.sparse.map": "0,512"}
        header = bytearray(member.tobuf(tarfile.USTAR_FORMAT if headers else tarfile.PAX_FORMAT))
        if headers:
            header[482] = 1
            header[148:156] = b" " * 8
            header[148:156] = b"%06o\x00 " % sum(header)
        return bytes(header) + headers + bytes(512) + tarred(("good", LINE))

    extension = b"1" * 504 + b"\x01" + bytes(7) + b"2" * 504 + bytes(8)
    for data in (sparse(b"", tarfile.REGTYPE), sparse(extension, tarfile.GNUTYPE_SPARSE)):
        assert reasons(look(data)) == {"sparse": NOT_A_REGULAR_MEMBER, "good": None}


def test_encrypted_members_are_refused(look, workdir):
    entries = [(name, 0, LINE, zlib.crc32(LINE), len(LINE)) for name in (b"a", b"b")]
    surveyed = look(crafted(entries, flags=1))
    assert reasons(surveyed) == {"a": ENCRYPTED, "b": ENCRYPTED}
    assert surveyed.members[0].sha256 == hashlib.sha256(LINE).hexdigest(), "of the data as they lie in the archive"
    check_files(surveyed, workdir)


def test_members_of_other_compressions_are_refused(look):
    lzma = zipped(("a", LINE), method=zipfile.ZIP_LZMA)
    assert reasons(look(lzma)) == {"a": UNSUPPORTED_COMPRESSION}


def test_long_names_are_read_in_every_form(look):
    name = "/".join(["folder" * 5] * 12) + "/ü.txt"
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert reasons(look(tarred((name, LINE), ("b", LINE), form=form))) == {name: None, "b": None}


def test_archives_of_too_many_entries_are_refused(refused, look):
    files = [(f"{n}", b"") for n in range(6)]
    for archived in (zipped, tarred):
        assert refused(archived(*files), Limits(max_members=5)).reason == TOO_MANY_MEMBERS
    for archived in (zipped, tarred):
        assert len(look(archived(*files), Limits(max_members=6)).members) == 6
    assert reasons(look(zipped(("deep", zipped(*files)), ("b", LINE)), Limits(max_members=5))) == {
        "deep": TOO_MANY_MEMBERS,
        "b": None,
    }


@pytest.mark.parametrize(("told", "reason"), [(200_000, TOO_MANY_MEMBERS), (3, CORRUPT_ARCHIVE)])
def test_a_huge_directory_is_not_loaded(tmp_path, workdir, told, reason):
    directory = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *[0] * 16) * 200_000
    start = 4
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, told, told, len(directory), start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04" + directory + wide + locator + end)
    del directory
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableCapture) as caught:
            survey(tmp_path / "a.zip", workdir, Limits())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.reason == reason
    assert peak < 5 << 20


# Damage


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("cut", [1, 3, 5, 20, 1000])
def test_a_truncated_file_is_refused_by_what_it_is(refused, compression, cut):
    packed = COMPRESSED[compression](TEXT + NOISE.hex().encode())
    error = refused(packed[:-cut])
    assert error.reason == (TRUNCATED_GZIP if compression == "gzip" else TRUNCATED_ARCHIVE)
    assert compression in error.detail


@pytest.mark.parametrize("compression", COMPRESSED)
def test_a_damaged_file_is_refused_by_what_it_is(refused, compression):
    packed = bytearray(COMPRESSED[compression](NOISE.hex().encode()))
    packed[len(packed) // 2] ^= 0xFF
    packed[len(packed) // 2 + 1] ^= 0xFF
    error = refused(bytes(packed))
    assert error.reason == (CORRUPT_GZIP if compression == "gzip" else CORRUPT_ARCHIVE)
    assert compression in error.detail
    assert refused(COMPRESSED[compression](LINE) + b"garbage").reason == error.reason


def test_what_is_wrong_with_a_compressed_member_is_its_own(look, workdir):
    for archived in (zipped, tarred):
        surveyed = look(archived(("bad.gz", gzip.compress(TEXT)[:-9]), ("bad.zst", zstd(TEXT)[:-9]), ("good", LINE)))
        assert reasons(surveyed) == {"bad.gz": TRUNCATED_GZIP, "bad.zst": TRUNCATED_ARCHIVE, "good": None}
        assert surveyed.members[0].sha256 == hashlib.sha256(gzip.compress(TEXT)[:-9]).hexdigest()
        check_files(surveyed, workdir)
        for file in workdir.iterdir():
            file.unlink()


def test_a_damaged_member_of_a_zip_is_refused_and_the_others_are_not(look):
    packed = bytearray(zipped(("before", LINE), ("bad", NOISE.hex().encode()), ("after", LINE)))
    packed[len(packed) // 2] ^= 0xFF
    surveyed = look(bytes(packed))
    assert reasons(surveyed) == {"before": None, "bad": CORRUPT_ARCHIVE, "after": None}
    assert surveyed.members[1].sha256 == look(bytes(packed)).members[1].sha256
    assert surveyed.members[1].size_bytes > 100_000


@pytest.mark.parametrize(
    ("field", "value"), [("size", 5), ("size", 50), ("crc", 1), ("name", b"z"), ("packed", 10), ("packed", 1 << 30)]
)
def test_a_directory_that_contradicts_the_data_refuses_the_member(look, field, value):
    good = crafted([(b"a", 0, LINE, zlib.crc32(LINE), len(LINE)), (b"b", 0, LINE, zlib.crc32(LINE), len(LINE))])
    at = good.index(b"PK\x01\x02")
    place, form = {"crc": (16, "<L"), "packed": (20, "<L"), "size": (24, "<L"), "name": (46, "1s")}[field]
    struct.pack_into(form, data := bytearray(good), at + place, value)
    assert list(reasons(look(bytes(data))).values()) == [
        TRUNCATED_ARCHIVE if value == 1 << 30 else CORRUPT_ARCHIVE,
        None,
    ]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: data[:-1], TRUNCATED_ARCHIVE),
        (lambda data: data[:50], TRUNCATED_ARCHIVE),
        (lambda data: data + b"x", TRUNCATED_ARCHIVE),
        (lambda data: data + data, CORRUPT_ARCHIVE),
        (lambda data: data.replace(b"PK\x01\x02", b"PK\x01\x03"), CORRUPT_ARCHIVE),
        (lambda data: data[:-14] + b"\x02\x00\x02\x00" + data[-10:], CORRUPT_ARCHIVE),
        (lambda data: data[:-18] + b"\x01\x00" + data[-16:], CORRUPT_ARCHIVE),
    ],
)
def test_a_zip_without_a_sound_directory_is_refused(refused, damage, reason):
    error = refused(damage(zipped(("a", LINE))))
    assert error.reason == reason
    assert "zip" in error.detail


def test_a_tar_that_is_truncated_anywhere_is_refused(refused):
    data = tarred(("a", TEXT), ("b", LINE), ("c" * 200, LINE))
    content_end = len(data.rstrip(b"\x00")) + -len(data.rstrip(b"\x00")) % 512
    for cut in (300, 511, 512, 600, 1024, content_end - 512, content_end - 1, content_end):
        error = refused(gzip.compress(data[:cut]))
        assert error.reason == TRUNCATED_ARCHIVE
        assert "tar" in error.detail


def test_a_damaged_header_does_not_end_a_tar_in_silence(refused):
    data = bytearray(tarred(("a", LINE), ("b", LINE), ("c", LINE)))
    data[1024] ^= 0x01
    error = refused(bytes(data))
    assert error.reason == CORRUPT_ARCHIVE
    assert "header" in error.detail


def test_a_tar_in_a_truncated_gzip_is_refused_as_a_whole(refused):
    assert refused(gzip.compress(tarred(("a", TEXT), ("b", NOISE)))[:-2000]).reason == TRUNCATED_GZIP


@pytest.mark.parametrize(
    "record", [b"30 path=x\n", b"x", b"0 a=b\n", b"12 size=-5x\n", b"13 size=abcd\n", b"9 path=\n"]
)
def test_damaged_extended_headers_are_refused(refused, record):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, len(record)
    data = header.tobuf() + record.ljust(512, b"\x00") + tarred(("a", LINE))
    assert refused(data).reason == CORRUPT_ARCHIVE


def test_a_huge_extended_header_is_refused_unread(refused):
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    error = refused(header.tobuf(tarfile.GNU_FORMAT) + bytes(5 << 20))
    assert error.reason == CORRUPT_ARCHIVE
    assert "extended header of 1099511627776 bytes" in error.detail


BASES = {
    "gzip": gzip.compress(TEXT[:3000]) + gzip.compress(LINE),
    "bz2": bz2.compress(TEXT[:3000]) + bz2.compress(LINE),
    "zstd": zstd(TEXT[:3000]) + zstd_streamed(TEXT[:3000]),
    "zip": zipped(("a", TEXT[:3000]), ("b.gz", gzip.compress(LINE)), ("c/d", LINE)),
    "bz2 zip": zipped(("a", TEXT[:3000]), ("b", LINE), method=zipfile.ZIP_BZIP2),
    "zstd zip": zstd_zip(TEXT[:3000]),
    "tar": tarred(("a", TEXT[:3000]), ("b" * 150, LINE), ("c", b"")),
    "tar.gz": gzip.compress(tarred(("a", TEXT[:3000]), ("b.gz", gzip.compress(LINE)))),
    "tar.zst": zstd(tarred(("a", TEXT[:3000]), ("b", LINE), form=tarfile.GNU_FORMAT)),
}


@given(st.sampled_from(list(BASES)), st.data())
@settings(max_examples=150, deadline=None)
def test_no_truncation_is_mistaken_for_a_whole_file(tmp_path_factory, base, data):
    whole = BASES[base]
    cut = data.draw(st.integers(263 if base == "tar" else 10, len(whole) - 1))
    folder = tmp_path_factory.mktemp("cut")
    (folder / "work").mkdir()
    (folder / "file").write_bytes(whole[:cut])
    refusal, surveyed = None, None
    try:
        surveyed = survey(folder / "file", folder / "work", Limits())
    except UnreadableCapture as error:
        refusal = error
    if surveyed is None:
        assert refusal is not None
        assert refusal.sha256 == hashlib.sha256(whole[:cut]).hexdigest()
        assert list((folder / "work").iterdir()) == []
    else:
        # Only between whole streams, where nothing tells that another one is missing.
        assert base in ("gzip", "bz2", "zstd")
        assert TEXT.startswith(surveyed.members[0].text.read_bytes())


@given(st.sampled_from(list(BASES)), st.data())
@settings(max_examples=200, deadline=None)
def test_damage_never_ends_in_anything_but_a_refusal(tmp_path_factory, base, data):
    packed = bytearray(BASES[base])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(packed) - 1))
        packed[at] = data.draw(st.integers(0, 255))
    packed = packed[: data.draw(st.integers(len(packed) // 2, len(packed)))] if data.draw(st.booleans()) else packed
    folder = tmp_path_factory.mktemp("damage")
    (folder / "work").mkdir()
    (folder / "file").write_bytes(bytes(packed))
    content = data.draw(st.sampled_from(Content))
    try:
        surveyed = survey(folder / "file", folder / "work", Limits(max_unpacked_bytes=1 << 20), Expected(content))
    except (UnreadableCapture, CaptureMoved):
        assert list((folder / "work").iterdir()) == []
    else:
        check_files(surveyed, folder / "work")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_sizes_of_chunks_do_not_matter(tmp_path_factory, data):
    base = data.draw(st.sampled_from(list(BASES)))
    folder = tmp_path_factory.mktemp("chunks")
    (folder / "file").write_bytes(BASES[base])
    as_whole = survey(folder / "file", folder, Limits())
    chunk = random.Random(data.draw(st.integers(0, 99))).choice([1, 2, 7, 100, 511, 513])  # noqa: S311
    with patch.object(survey_module, "CHUNK_BYTES", chunk):
        in_chunks = survey(folder / "file", folder, Limits())

    def content(surveyed: Surveyed) -> list[tuple[object, ...]]:
        return [(m.name, m.sha256, m.lines, m.plain, m.text.read_bytes()) for m in surveyed.members]

    assert content(as_whole) == content(in_chunks)


def test_an_error_of_the_disk_is_passed_on_and_leaves_nothing_behind(tmp_path, workdir):
    (tmp_path / "a.tar").write_bytes(tarred(("a", TEXT), ("b", NOISE)))
    with (
        patch("idm_assets.capture.members.Budget.spend", side_effect=OSError("no space left on device")),
        pytest.raises(OSError, match="no space left"),
    ):
        survey(tmp_path / "a.tar", workdir, Limits(), BYTES)
    assert list(workdir.iterdir()) == []
