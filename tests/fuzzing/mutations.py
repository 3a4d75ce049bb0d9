"""Mutations: bytes of a file as they should not be, drawn from a random generator and nothing else.

Belongs here: breaking bytes, text and packaging of any format. Does not belong here: what a format is made of
(`formats`).
"""

from __future__ import annotations

import bz2
import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import zstandard

Mutation = Callable[[Random, bytes, Sequence[bytes]], bytes]
"""Makes of some bytes, and of all seeds of their format, other bytes."""

TOKENS: Final[tuple[bytes, ...]] = (
    # Numbers
    b"9" * 400, b"-" + b"9" * 400, b"0." + b"3" * 400, b"NaN", b"nan", b"-NaN", b"Infinity", b"-Infinity", b"inf",
    b"1e400", b"-1e400", b"1e-400", b"1e99999999999", b"-0", b"-0.0", b"0", b"00012", b"0x1F", b"1_000", b"1 000",
    b"1.000,5", b"1,000.5", b"+5", b".5", b"5.", b"-", b".", b"1e", b"1e5", b"0.1000000000000000055511151231257827",
    b"9007199254740993", b"2147483648", b"4294967296", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775809", b"18446744073709551616", b"170141183460469231731687303715884105728", b"1.7976931348623159e308",
    b"12i", b"12u", b"-1u", b"1d", b"1f", "٣".encode(), "１２".encode(), "½".encode(), "−5".encode(),
    # Words
    b"true", b"FALSE", b"null", b"NULL", b"None", b"#N/A", b"\\N", b"UNAVAILABLE", b"Good", b"Bad", b"0x80000000", b"-1",
    # Times
    b"2016-02-30T12:00:00Z", b"2016-13-01T00:00:00Z", b"2016-11-07T24:00:00Z", b"2016-11-07T23:59:60Z", b"0000-00-00",
    b"0001-01-01T00:00:00Z", b"0001-01-01T00:00:00+14:00", b"9999-12-31T23:59:59.999999999Z", b"99999-01-01T00:00:00Z",
    b"-0044-03-15T00:00:00Z", b"2024-03-31T02:30:00", b"2024-10-27 02:30:00", b"2024-01-01T00:00:00+99:99",
    b"2024-01-01", b"infinity", b"-infinity", b"epoch", b"1714521600000", b"-62135596800001", b"253402300800000",
    # What separates, quotes and ends
    b'"', b'""', b'"""', b"'", b",", b";", b"\t", b"|", b"||", b"=", b" ", b"\\", b"\\\\", b"\\,", b"\\ ", b"\\n", b"/",
    b"{", b"}", b"[", b"]", b"[]", b"{}", b"<", b">", b"&", b"</", b"/>", b":", b"#", b"$", b"$.", b"[*]", b"\n", b"\n\n",
    b"\r", b"\r\n", b"\r\r\n", b"\v", b"\f", b"\x1c", b"\x85", "\u0085".encode(), "\u2028".encode(),
    # Characters
    b"\x00", b"\x00\x00\x00\x00", b"\x01", b"\x1a", b"\x7f", b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3",
    b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\ud800", b"\\ud83d\\ude00", b"\\udc00\\ud800", b"\\u0000",
    b"\\x00", "\U0001f600".encode(), "\u00a0".encode(), "\u202e".encode(), "\ufeff".encode(), "e\u0301".encode(),
    "ﬁ".encode(), "İ".encode(), "\ue000".encode(), "\uffff".encode(),
    # Deep, long and wide
    b"[" * 2000, b"]" * 2000, b'{"a":' * 600, b"[" * 150 + b"]" * 150, b"<a>" * 600, b"(" * 500, b"A" * 5000, b"," * 5000,
    b"\n" * 3000, b" " * 5000, b'"' * 2001, b"a=1," * 1500, b"a|1|" * 1500, b"\\" * 1001,
    # What others would act upon
    b"=cmd|' /C calc'!A0", b"@SUM(1+1)*cmd|' /C calc'!A0", b"'; DROP TABLE batch; --", b"$$", b"%s%n", b"${jndi:ldap://x}",
    b"../../../../etc/passwd", b"C:\\Windows\\win.ini", b"file:///etc/passwd", b"{column}", b"{a}", b"a.b", b"value.value",
    b'<!DOCTYPE a [<!ENTITY x "y">]>', b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>', b"&x;", b"&#0;",
    b"&#xD800;", b"&#x110000;", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?xml version='1.0'?>", b"<?a?>", b'xmlns:a="b"',
    b"--multiline--ABC", b"* comment", b"@ASSET@", b"__proto__", b"timestamp", b"value", b"body",
)  # fmt: skip
"""Tokens that have broken readers of such formats before, or might."""

VERY_LONG: Final = (1 << 20) + 7
"""Longer than any line may be, in bytes."""

_WORD: Final = re.compile(rb"[^\s,;|=\"<>{}\[\]:()]+")
_NUMBER: Final = re.compile(rb"-?\d+(\.\d+)?")
_FEW: Final = (1, 1, 1, 2, 2, 3, 5)
_REACH: Final = 64
_FIXED: Final = (2020, 1, 1, 0, 0, 0)


def mutated(rng: Random, seeds: Sequence[bytes], mutations: Sequence[Mutation]) -> bytes:
    """One of the seeds after one or a few mutations."""
    data = rng.choice(seeds)
    for _ in range(rng.choice(_FEW)):
        data = rng.choice(mutations)(rng, data, seeds)
    return data


# Bytes


def flipped(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Some bits turned over."""
    changed = bytearray(data)
    for _ in range(rng.choice(_FEW)):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Some bytes replaced by what they often are where they hurt."""
    start, end = _chunk(rng, data, 8)
    return data[:start] + bytes(rng.choice((0, 1, 0x7F, 0x80, 0xFF)) for _ in range(end - start)) + data[end:]


def deleted(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A chunk left out."""
    start, end = _chunk(rng, data)
    return data[:start] + data[end:]


def inserted(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Bytes of any kind put in."""
    place = _place(rng, data)
    return data[:place] + rng.randbytes(rng.randrange(1, _REACH)) + data[place:]


def duplicated(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A chunk that comes twice, or more often."""
    start, end = _chunk(rng, data)
    return data[:end] + data[start:end] * rng.choice(_FEW) + data[end:]


def swapped(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Two chunks in each other's place."""
    a, b, c, d = sorted(_place(rng, data) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def truncated(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Only the beginning, or only the end."""
    place = _place(rng, data)
    return data[:place] if rng.random() < 0.8 else data[place:]


def spliced(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """The beginning of one file and the end of another."""
    other = rng.choice(seeds)
    return data[: _place(rng, data)] + other[_place(rng, other) :]


BYTES: Final[tuple[Mutation, ...]] = (
    flipped, overwritten, deleted, inserted, duplicated, swapped, truncated, spliced,
)  # fmt: skip


# Text


def token_put_in(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A token anywhere."""
    place = _place(rng, data)
    return data[:place] + rng.choice(TOKENS) + data[place:]


def word_replaced(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A word replaced by a token, or by a word from elsewhere."""
    found = _found(rng, data, _WORD)
    if found is None:
        return token_put_in(rng, data, seeds)
    other = _found(rng, rng.choice(seeds), _WORD) if rng.random() < 0.2 else None
    return data[: found.start()] + (rng.choice(TOKENS) if other is None else other.group()) + data[found.end() :]


def number_changed(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A number replaced by another one that is near, large, or written otherwise."""
    found = _found(rng, data, _NUMBER)
    if found is None:
        return token_put_in(rng, data, seeds)
    text = found.group()
    written = rng.choice(
        (b"-" + text, text + b"0" * 30, text[:-1], text + text, text + b"e9", b" " + text + b" ", b'"' + text + b'"',
         text + b".", b"0" + text, text.replace(b".", b","), b"")
    )  # fmt: skip
    return data[: found.start()] + written + data[found.end() :]


def lines_moved(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A line left out, come twice, in another place, blank, or cut."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            del lines[at]
        case 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        case 2:
            lines[at], lines[-1 - at] = lines[-1 - at], lines[at]
        case 3:
            lines.insert(at, rng.choice((b"", b" ", b"\t", b"#", b",,,,,", b'""')))
        case 4:
            lines[at] = lines[at][: _place(rng, lines[at])]
        case _:
            lines[at : at + 2] = [b"".join(lines[at : at + 2])]
    return b"\n".join(lines)


def line_ends_changed(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """All lines, or one, ending otherwise; or the last one by nothing."""
    match rng.randrange(4):
        case 0:
            return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        case 1:
            return data.replace(b"\n", rng.choice((b"\r", b"\n\r", b"\r\r\n", b"\n\n")), rng.choice((1, 3, -1)))
        case 2:
            return data.rstrip(b"\r\n")
        case _:
            return data + rng.choice((b"\n", b"\r\n", b"\n\n\n", b"\x1a", b"\r"))


def encoded_otherwise(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """Text in another encoding than it was, with a mark or without."""
    text = data.decode("utf-8", "replace")
    match rng.randrange(5):
        case 0:
            return b"\xef\xbb\xbf" + data
        case 1:
            return text.encode("utf-16")
        case 2:
            return text.encode("utf-16-be")
        case 3:
            return text.encode("latin-1", "replace")
        case _:
            return text.encode("utf-32")


def line_very_long(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    """A line that is longer than any may be."""
    place = _place(rng, data)
    return data[:place] + rng.choice((b"A", b"9", b",", b" ", b'"', b"[")) * VERY_LONG + data[place:]


TEXT: Final[tuple[Mutation, ...]] = (
    *BYTES,
    *(token_put_in,) * 4, *(word_replaced,) * 8, *(number_changed,) * 3, *(lines_moved,) * 4, line_ends_changed,
    encoded_otherwise,
)  # fmt: skip
"""Mutations of text, those that leave most of it readable the most often."""


def seldom(mutation: Mutation, once_in: int) -> Mutation:
    """A mutation that is made once in so many times; otherwise a token is put in."""

    def made(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
        return (mutation if rng.randrange(once_in) == 0 else token_put_in)(rng, data, seeds)

    return made


# Packaging


def packed(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A file packed in one or two ways, in some cases damaged then."""
    for _ in range(rng.choice((1, 1, 1, 2))):
        data = rng.choice((_gzip, _zstd, _bz2, _zip, _tar))(rng, data, seeds)
    return rng.choice(BYTES)(rng, data, seeds) if rng.random() < 0.4 else data


def _gzip(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    half = _place(rng, data) if rng.random() < 0.3 else len(data)
    return b"".join(gzip.compress(part, 1, mtime=0) for part in (data[:half], data[half:]) if part) or gzip.compress(
        b""
    )


def _zstd(rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_checksum=rng.random() < 0.5).compress(data)


def _bz2(_rng: Random, data: bytes, _seeds: Sequence[bytes]) -> bytes:
    return bz2.compress(data, 1)


def _zip(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    return zipped(
        _entries(rng, data, seeds), rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED))
    )


def _tar(rng: Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    target = io.BytesIO()
    form = rng.choice((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))
    with tarfile.open(fileobj=target, mode="w", format=form) as archive:
        for name, content in _entries(rng, data, seeds):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if rng.random() < 0.05:
                info.type, info.linkname, info.size = rng.choice((tarfile.SYMTYPE, tarfile.LNKTYPE)), "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(content[: info.size]))
    return target.getvalue()


_NAMES: Final = (
    "a.csv", "a.csv", "b/c.txt", "d.json", "../../escape", "/etc/passwd", "x\\y", ".DS_Store", "__MACOSX/._a", "e" * 90,
    "caf\u00e9", "a\nb", "folder/",
)  # fmt: skip


def _entries(rng: Random, data: bytes, seeds: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """The file, alone or beside others, under names that may be odd."""
    if rng.random() < 0.5:
        return [("file", data)]
    others = [(rng.choice(_NAMES), rng.choice(seeds)[:4096]) for _ in range(rng.randrange(3))]
    return [("file", data), *others]


def zipped(entries: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of some entries, the same whenever it is made."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        taken: set[str] = set()
        for name, content in entries:
            # zipfile warns of repeated names; `tarfile` writes them, so that they are tried there.
            info = zipfile.ZipInfo(name if name not in taken else f"{len(taken)}-{name}", _FIXED)
            taken.add(info.filename)
            info.compress_type = method
            archive.writestr(info, content, compresslevel=1)
    return target.getvalue()


# Places


def _place(rng: Random, data: bytes) -> int:
    return rng.randrange(len(data) + 1)


def _chunk(rng: Random, data: bytes, most: int = 2000) -> tuple[int, int]:
    """Begin and end of a chunk, mostly a short one."""
    start = _place(rng, data)
    return start, min(len(data), start + rng.randrange(1, rng.choice((2, 4, 16, _REACH, most))))


def _found(rng: Random, data: bytes, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
    """Something that a pattern matches, from a random place on."""
    return pattern.search(data, _place(rng, data)) or pattern.search(data)
