import gzip
import hashlib
import io
import os
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture import members
from idm_assets.capture import survey as survey_module
from idm_assets.capture.survey import (
    BINARY_CONTENT,
    CORRUPT_GZIP,
    NOT_A_REGULAR_FILE,
    TRUNCATED_GZIP,
    UNPACKS_TOO_LARGE,
    CaptureMoved,
    Limits,
    Member,
    Surveyed,
    UnreadableCapture,
    check_unmoved,
    has_long_line,
    survey,
)

NOISE = hashlib.shake_128(b"noise").digest(1 << 20)
LINE = b"2016-11-16T10:11:32Z|Xabs|1.5\n"


@pytest.fixture
def workdir(tmp_path):
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def deliver(tmp_path):
    def write(data: bytes, name: str = "capture.txt") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def only(surveyed: Surveyed) -> Member:
    """The one member of a file that is no archive."""
    (member,) = surveyed.members
    assert member.refusal is None
    return member


@contextmanager
def chunked(size: int):
    """Read the delivered file in chunks of a size, and hand them on as they are."""
    with patch.object(survey_module, "CHUNK_BYTES", size), patch.object(members, "HEAD_BYTES", min(size, 2)):
        yield


def refused(path: Path, workdir: Path, limits: Limits | None = None) -> UnreadableCapture:
    with pytest.raises(UnreadableCapture) as caught:
        survey(path, workdir, limits or Limits())
    assert list(workdir.iterdir()) == [], "nothing of a refused file may stay behind"
    return caught.value


def test_identity_is_that_of_the_bytes_as_delivered(deliver, workdir):
    packed = gzip.compress(LINE * 3)
    surveyed = survey(deliver(packed), workdir, Limits())
    member = only(surveyed)
    assert surveyed.sha256 == member.sha256 == hashlib.sha256(packed).hexdigest()
    assert surveyed.size_bytes == member.size_bytes == len(packed)
    assert member.text.read_bytes() == LINE * 3
    assert (member.text_bytes, member.lines, member.plain) == (len(LINE) * 3, 3, True)
    assert (surveyed.packaging, member.compression, surveyed.is_archive) == ("gzip", "gzip", False)


def test_a_plain_file_is_read_in_place(deliver, workdir):
    path = deliver(LINE)
    surveyed = survey(path, workdir, Limits())
    sha256 = hashlib.sha256(LINE).hexdigest()
    assert surveyed.members == (Member(None, path, sha256, len(LINE), len(LINE), 1, True, "none", None),)
    assert (surveyed.packaging, surveyed.is_archive, surveyed.ignored) == ("none", False, ())
    assert list(workdir.iterdir()) == []


def test_two_copies_of_one_gzip_do_not_share_a_text(deliver, workdir):
    path = deliver(gzip.compress(LINE))
    assert only(survey(path, workdir, Limits())).text != only(survey(path, workdir, Limits())).text


@pytest.mark.parametrize(
    ("data", "lines", "plain"),
    [
        (b"", 0, True),
        (b"\n", 1, True),
        (b"a", 1, True),
        (b"a\nb", 2, True),
        (b"a\r\nb\r\n", 2, True),
        (b"a\r\nb", 2, True),
        (b"a\r\nb\n", 2, False),
        (b"a\nb\r\n", 2, False),
        (b"a\rb\n", 1, False),
        (b"a\nb\r", 2, False),
        (b"a\r\r\n", 1, False),
        ("é€😀\n".encode(), 1, True),
        (b"abcdefghijkl\xe9\n", 1, False),
        (b"abcdefghijkl\xe2\x82", 1, False),
        (b"abcdefghijkl\x00\n", 1, False),
        (b"abcdefghijkl\x01\n", 1, False),
        (b"\xef\xbb\xbfa\n", 1, True),
        (b"\xef\xbb\xbf", 1, False),
        (b"x" * 100 + b"\n", 1, True),
        (b"x" * 101 + b"\n", 1, False),
        (b"x" * 101, 1, False),
        (b"x" * 99 + b"\r\n", 1, True),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 64, 1 << 20])
def test_lines_and_plainness(deliver, workdir, data, lines, plain, chunk):
    with chunked(chunk), patch.object(survey_module, "_refuse_binary"):
        member = only(survey(deliver(data), workdir, Limits(max_line_bytes=100)))
    assert (member.lines, member.plain) == (lines, plain)


@given(st.lists(st.binary(max_size=12), max_size=12), st.integers(0, 8))
def test_long_lines_are_found(lines, limit):
    assert has_long_line(b"\n".join(lines), limit) == any(
        len(part) > limit for line in lines for part in line.split(b"\n")
    )


def test_concatenated_members_and_padding_are_one_text(deliver, workdir):
    members = gzip.compress(b"") + gzip.compress(LINE) + bytes(512) + gzip.compress(LINE) + bytes(1024)
    assert only(survey(deliver(members), workdir, Limits())).text.read_bytes() == LINE * 2


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_gzip_unpacks_to_what_was_packed_whatever_the_chunks(tmp_path_factory, data):
    texts = data.draw(st.lists(st.text(alphabet="ab\n", max_size=400), min_size=1, max_size=4))
    folder = tmp_path_factory.mktemp("gzip")
    path = folder / "capture.gz"
    path.write_bytes(b"".join(gzip.compress(text.encode()) for text in texts))
    with chunked(data.draw(st.integers(2, 50))):
        member = only(survey(path, folder, Limits()))
    assert member.text.read_bytes() == "".join(texts).encode()


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 30])
def test_a_truncated_gzip_is_refused_with_its_identity(deliver, workdir, cut):
    packed = gzip.compress(NOISE[:3000].hex().encode())[:-cut]
    error = refused(deliver(packed), workdir)
    assert error.reason == TRUNCATED_GZIP
    assert error.sha256 == hashlib.sha256(packed).hexdigest()
    assert error.size_bytes == len(packed)


def test_a_damaged_gzip_is_refused_with_its_identity(deliver, workdir):
    packed = bytearray(gzip.compress(NOISE.hex().encode()))
    packed[2000] ^= 0xFF
    error = refused(deliver(bytes(packed)), workdir)
    assert error.reason == CORRUPT_GZIP
    assert error.sha256 == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("data", [b"\x1f\x8b\x00\x00\x00\x00", gzip.compress(LINE, mtime=0) + b"garbage"])
def test_what_only_looks_like_a_gzip_is_refused(deliver, workdir, data):
    assert refused(deliver(data), workdir).reason == CORRUPT_GZIP


def test_an_endless_gzip_is_refused_before_it_fills_the_disk(deliver, workdir):
    packed = gzip.compress(LINE * 100_000)
    error = refused(deliver(packed), workdir, Limits(max_unpacked_bytes=1 << 20))
    assert error.reason == UNPACKS_TOO_LARGE
    assert error.sha256 == hashlib.sha256(packed).hexdigest()


def test_a_gzip_of_an_absurd_ratio_is_refused(deliver, workdir):
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(b"\n" * (1 << 20)) for _ in range(40)) + packer.flush()
    assert len(packed) * 500 < 40 << 20
    assert refused(deliver(packed), workdir, Limits(max_ratio=500)).reason == UNPACKS_TOO_LARGE
    assert only(survey(deliver(packed), workdir, Limits(max_ratio=2000))).lines == 40 << 20


@pytest.mark.parametrize(
    "data",
    [
        bytes(range(256)) * 40,
        NOISE,
        b"\x00" * 10,
        "Temperatur;20,5\n".encode("utf-16-le"),
    ],
)
def test_binary_content_is_refused_with_its_identity(deliver, workdir, data):
    error = refused(deliver(data), workdir)
    assert error.reason == BINARY_CONTENT
    assert error.sha256 == hashlib.sha256(data).hexdigest()
    assert refused(deliver(gzip.compress(data)), workdir).reason == BINARY_CONTENT


@pytest.mark.parametrize(
    "data",
    [
        "Größe;Maß\n".encode("latin-1"),
        "温度|20\n".encode(),
        "Температура\n".encode("cp1251"),
        LINE + b"\x00" + LINE,
    ],
)
def test_text_in_any_encoding_is_not_binary(deliver, workdir, data):
    assert only(survey(deliver(data), workdir, Limits())).lines == data.count(b"\n")


def test_links_folders_and_pipes_are_refused(tmp_path, deliver, workdir):
    target = deliver(LINE)
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(target)
    os.mkfifo(pipe)
    for path in (link, pipe, tmp_path):
        error = refused(path, workdir)
        assert (error.reason, error.sha256) == (NOT_A_REGULAR_FILE, None)


def test_a_file_that_is_gone_is_left_for_later(tmp_path, workdir):
    with pytest.raises(CaptureMoved):
        survey(tmp_path / "gone", workdir, Limits())


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(LINE)


def _rewrite(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(b"x" * size)
    os.utime(path, ns=(0, 0))


def _replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", data)
    return buffer.getvalue()


@pytest.mark.parametrize("change", [_append, _rewrite, _replace, Path.unlink])
@pytest.mark.parametrize(
    "data",
    [LINE * 5, gzip.compress(LINE), gzip.compress(LINE)[:-5], _zipped(LINE), _zipped(LINE)[:-5]],
    ids=["text", "gzip", "cut gzip", "zip", "cut zip"],
)
def test_a_file_that_changes_while_it_is_read_is_left_for_later(deliver, workdir, change, data):
    path = deliver(data)
    looked_at = members.kind_of
    changes = iter([change])

    def look_and_change(head):
        for happens in changes:
            happens(path)
        return looked_at(head)

    with patch.object(members, "kind_of", look_and_change), pytest.raises(CaptureMoved):
        survey(path, workdir, Limits())
    assert list(workdir.iterdir()) == []


def test_a_change_after_the_survey_is_noticed(deliver, workdir):
    path = deliver(LINE)
    surveyed = survey(path, workdir, Limits())
    check_unmoved(surveyed)
    _append(path)
    with pytest.raises(CaptureMoved):
        check_unmoved(surveyed)
