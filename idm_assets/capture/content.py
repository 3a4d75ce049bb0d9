"""What the bytes of a file are: their kind, told by signature and first characters, and their character encoding.

Names of files say nothing here: a familiar name over a foreign content is what this module finds out.

Belongs here: kinds of content, stubs that stand where data should be, byte-order marks and transcoding. Does not
belong here: unpacking (`containers`), counting lines (`survey`), what a format makes of its content (`decoders`).
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final

STUB_CONTENT: Final = "stub_content"
FOREIGN_CONTENT: Final = "foreign_content"

HEAD_BYTES: Final = 64 << 10
"""How much of a file's start is enough to tell what it is, in bytes."""

COMPRESSIONS: Final = frozenset({"gzip", "zstd", "bz2"})
"""Kinds that are one compressed file each."""

_TEXT_CONTROLS: Final = b"\t\n\v\f\r\x1b"
_CONTROLS: Final = bytes(c for c in (*range(32), 127) if c not in _TEXT_CONTROLS)

# Signatures that no text begins with; what is printable on its own is judged in `_signed_kind`.
_SIGNATURES: Final[tuple[tuple[str, bytes], ...]] = (
    ("gzip", b"\x1f\x8b"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("xz", b"\xfd7zXZ\x00"),
    ("7z", b"7z\xbc\xaf\x27\x1c"),
    ("rar", b"Rar!\x1a\x07"),
    ("zip", b"PK\x03\x04"),
    ("zip", b"PK\x05\x06"),
    ("zip", b"PK\x07\x08"),
    ("arrow", b"ARROW1\x00\x00"),
    ("avro", b"Obj\x01"),
    ("hdf5", b"\x89HDF\r\n\x1a\n"),
    ("pdf", b"%PDF-"),
    ("sqlite", b"SQLite format 3\x00"),
    ("ole2", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ("png", b"\x89PNG\r\n\x1a\n"),
    ("jpeg", b"\xff\xd8\xff"),
    ("git_lfs_pointer", b"version https://git-lfs.github.com/spec/"),
    ("git_lfs_pointer", b"version https://hawser.github.com/spec/"),
)
# What is printable in itself needs more: a table may well begin with the names PAR1;PAR2, or with ORC.
_PATTERNS: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = (
    ("parquet", re.compile(rb"PAR1(\x15|.*\x00)", re.DOTALL)),
    ("orc", re.compile(rb"ORC.*\x00", re.DOTALL)),
    ("arrow", re.compile(rb"\xff{4}..[\x00-\x0f]\x00", re.DOTALL)),
    ("bz2", re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)")),
    ("zstd", re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")),
)

_SIGNED: Final[dict[str, str]] = {
    "parquet": "a Parquet file",
    "arrow": "an Arrow IPC file",
    "orc": "an ORC file",
    "avro": "an Avro file",
    "hdf5": "an HDF5 file",
    "opc": "an Office document (an OPC package, such as XLSX)",
    "zip": "a zip archive",
    "tar": "a tar archive",
    "gzip": "a gzip",
    "zstd": "a zstd file",
    "bz2": "a bz2 file",
    "xz": "an xz file, which is not unpacked",
    "7z": "a 7z archive, which is not unpacked",
    "rar": "a RAR archive, which is not unpacked",
    "pdf": "a PDF document",
    "sqlite": "an SQLite database",
    "ole2": "an OLE2 document (such as XLS of Excel 97)",
    "png": "a PNG picture",
    "jpeg": "a JPEG picture",
}
"""Kinds with a signature: a file either has it or is something else."""

_ALWAYS_STUBS: Final = frozenset({"html", "git_lfs_pointer"})
"""Kinds that stand for missing data, unless they are declared."""

_TAG: Final = re.compile(r"<[A-Za-z_][\w.:-]*(\s|/?>|$)")
_HTML: Final = re.compile(r"<(!doctype\s+html|html)\b", re.IGNORECASE)
_DECLARED_XML: Final = re.compile(r"<\?xml\s|<!DOCTYPE\s")
_JSON_OBJECT: Final = re.compile(r"(\[\s*)?\{\s*(\"[^\"\\]*\"\s*:|\}\s*$)")
_JSON_ARRAY: Final = re.compile(r"\[\s*([\[{\"\]]|-?\d+(\.\d+)?([eE][+-]?\d+)?\s*[,\]]|(true|false|null)\b)")
_STORE_ERROR: Final = re.compile(r"<Error(?:\s[^>]*)?>.*?<Code>([A-Za-z0-9.]{1,80})</Code>", re.DOTALL)
_BLANK: Final = re.compile(r"\s*")
_ERROR_STUB_CHARACTERS: Final = 200

_MARKS: Final[tuple[tuple[bytes, str], ...]] = (
    # That of UTF-32 begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UTF8: Final = frozenset({"utf-8", "utf-8-sig"})
# Python would take the byte order of the machine; files without a mark come from Windows.
_UNMARKED: Final = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}


class Content(StrEnum):
    """How a file is read.

    Attributes:
        LINES: text that is judged and counted line by line.
        BYTES: anything else, such as Parquet or binary messages; neither judged as text nor counted.
    """

    LINES = "lines"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a declared format expects to find in a file once it is unpacked.

    Attributes:
        content: whether it is read by lines.
        encoding: Python codec of text that has no byte-order mark; a mark of UTF-8, UTF-16 or UTF-32 wins, as in
            the WHATWG Encoding Standard. UTF-16 without a mark is little-endian.
        kinds: kinds of content that are fine, by the names of `kind_of`, ``opc`` (XLSX), or names of text formats
            such as ``csv`` and ``shdr``; empty for any. A kind of archive or compression in it is not unpacked;
            with ``opc`` a zip that is no package is an archive all the same.

    Raises:
        ValueError: there is no such text encoding.
    """

    content: Content = Content.LINES
    encoding: str = "utf-8"
    kinds: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        try:
            # Unlike bytes.decode it knows codecs that are no text encodings even when there is nothing to decode.
            io.TextIOWrapper(io.BytesIO(), encoding=self.encoding)
        except LookupError as error:
            raise ValueError(
                f"encoding: {self.encoding!r} is no text encoding that Python knows, for example utf-8 or windows-1252"
            ) from error


def kind_of(head: bytes) -> str:
    """Kind of content that the first bytes of a file show.

    Args:
        head: the first `HEAD_BYTES` of the file, or all of it if it is smaller.

    Returns:
        ``parquet``, ``arrow``, ``orc``, ``avro``, ``hdf5``, ``zip``, ``tar``, ``gzip``, ``zstd``, ``bz2``, ``xz``,
        ``7z``, ``rar``, ``pdf``, ``sqlite``, ``ole2``, ``png``, ``jpeg``, ``git_lfs_pointer``, ``html``, ``xml``,
        ``json``, ``text``, ``binary`` or ``empty``.
    """
    if not head:
        return "empty"
    text = _text_of(head)
    return _signed_kind(head) or _text_kind(text) or ("binary" if is_binary(_utf8_of(head, text)) else "text")


def foreign(head: bytes, expected: Expected) -> tuple[str, str] | None:
    """Reason why a file is not what its declaration says, if that is beyond doubt.

    A file that could be a legitimate one is never refused: what is odd within the format is for its decoder.

    Args:
        head: the first `HEAD_BYTES` of the unpacked file, or all of it if it is smaller.
        expected: what the declared format expects.

    Returns:
        Reason code and detail; None where there is nothing to object.
    """
    kind, text = kind_of(head), _text_of(head)
    if kind in _ALWAYS_STUBS & expected.kinds:
        return None
    return _stub(kind, text) or foreign_kind(kind, text, expected)


def foreign_kind(kind: str, text: str, expected: Expected) -> tuple[str, str] | None:
    """Reason why content of a kind is not what is expected, if that is beyond doubt.

    Args:
        kind: one of `kind_of`, or ``opc`` for a zip that is an OPC package.
        text: the start of the file as text, where its kind is a textual one.
        expected: what the declared format expects.
    """
    kinds = expected.kinds
    if kind == "opc" and expected.content is Content.LINES:
        return FOREIGN_CONTENT, f"lines of text were expected; the file is {_SIGNED[kind]}"
    if not kinds or kind in kinds or kind == "empty" or (kind == "opc" and "zip" in kinds):
        return None
    found = None
    if kind in _SIGNED:
        found = _SIGNED[kind]
    elif kinds <= _SIGNED.keys():
        found = f"without the signature of that, and looks like {kind}"
    elif kind == "xml" and _DECLARED_XML.match(text):
        found = "an XML document"
    # Other textual formats may well hold lines of JSON.
    elif kind == "json" and kinds <= {"csv", "shdr", "xml"} and _JSON_OBJECT.match(text):
        found = "JSON"
    return (
        None if found is None else (FOREIGN_CONTENT, f"{' or '.join(sorted(kinds))} was expected; the file is {found}")
    )


def is_binary(sample: bytes) -> bool:
    """Whether bytes are no text, in UTF-8 or in any encoding of one byte per character.

    Random bytes are one tenth control characters and one third no UTF-8; text in a legacy encoding, which fails
    line by line later on, has no control characters to speak of.
    """
    controls, undecodable = noise(sample)
    mostly_controls = controls > 0.3 * len(sample)
    mostly_noise = controls > 0.05 * len(sample) and controls + undecodable > 0.4 * len(sample)
    return mostly_controls or mostly_noise


def noise(sample: bytes) -> tuple[int, int]:
    """Number of control characters that no text has, and of bytes that are no UTF-8."""
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    undecodable = 0 if sample.isascii() else len(sample) - len(sample.decode("utf-8", "ignore").encode())
    return controls, undecodable


def as_utf8(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    r"""Text in another encoding as UTF-8, without a byte-order mark.

    Bytes that the encoding does not know become bytes that are no UTF-8, so that exactly their lines are rejected
    later on: a byte that no UTF-8 can hold in its place stays what it is; any other becomes 0xFF and its ``\xNN``,
    so that it neither forms a character with its neighbours nor ends a line.

    Args:
        chunks: the bytes, without a byte-order mark.
        encoding: Python codec.
    """
    decoder = codecs.getincrementaldecoder(encoding)(_KEEP)
    for chunk in chunks:
        if text := decoder.decode(chunk):
            yield text.encode("utf-8", _KEEP)
    if text := decoder.decode(b"", final=True):
        yield text.encode("utf-8", _KEEP)


def encoding_of(head: bytes, declared: str) -> tuple[str, int]:
    """Encoding of a text and the length of its byte-order mark in bytes.

    Args:
        head: the start of the file.
        declared: Python codec where there is no mark.

    Returns:
        A Python codec; ``utf-8`` with or without a mark is always given with the length 0, as its mark may stay.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, 0 if encoding in _UTF8 else len(mark)
    encoding = codecs.lookup(declared).name
    return ("utf-8", 0) if encoding in _UTF8 else (_UNMARKED.get(encoding, encoding), 0)


def _signed_kind(head: bytes) -> str | None:
    for kind, signature in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head[257:262] == b"ustar" and b"\x00" in head[:257]:
        return "tar"
    return next((kind for kind, pattern in _PATTERNS if pattern.match(head)), None)


def _text_of(head: bytes) -> str:
    """The start of a file as text, as far as it is any, without its mark and leading blanks."""
    encoding, mark = encoding_of(head, "utf-8")
    return head[mark:].decode(encoding, "replace").removeprefix("\ufeff").lstrip()


def _utf8_of(head: bytes, text: str) -> bytes:
    return head if encoding_of(head, "utf-8")[0] == "utf-8" else text.encode()


def _text_kind(text: str) -> str | None:
    if text.startswith(("{", "[")):
        return "json" if _JSON_OBJECT.match(text) or _JSON_ARRAY.match(text) else None
    if not text.startswith("<"):
        return None
    root = _past_prolog(text)
    if _HTML.match(root):
        return "html"
    return "xml" if len(root) < len(text) or _DECLARED_XML.match(root) or _TAG.match(root) else None


def _past_prolog(text: str) -> str:
    """XML or HTML from its document type or first element on; an unfinished prolog leaves nothing."""
    at = 0
    while text.startswith(("<?", "<!--"), at):
        closing = "?>" if text.startswith("<?", at) else "-->"
        found = text.find(closing, at + 2)
        if found < 0:
            return ""
        blank = _BLANK.match(text, found + len(closing))
        at = found + len(closing) if blank is None else blank.end()
    return text[at:]


def _stub(kind: str, text: str) -> tuple[str, str] | None:
    if kind == "git_lfs_pointer":
        return STUB_CONTENT, "the file is a Git LFS pointer; its data were not fetched where it was sent from"
    if kind == "html":
        return STUB_CONTENT, "the file is a web page, such as a server sends for an error or a login"
    if kind == "xml" and (error := _STORE_ERROR.match(_past_prolog(text))):
        return STUB_CONTENT, f"the file is the error {error[1]} of an object store"
    if kind in {"text", "json"} and len(text) <= _ERROR_STUB_CHARACTERS and _is_http_error(text):
        return STUB_CONTENT, f"the file is the error message {text.strip()!r} of a web server"
    return None


def _is_http_error(text: str) -> bool:
    line = re.sub(r"^HTTP/\d(\.\d)? ", "", text.strip()).replace(": ", " ", 1)
    return any(line == f"{status.value} {status.phrase}" for status in HTTPStatus if status >= 400)


def _keep(error: UnicodeError) -> tuple[str | bytes, int]:
    """Carry undecodable bytes through a string as lone surrogates, and out again as bytes that are no UTF-8."""
    if isinstance(error, UnicodeDecodeError):
        return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end
    if isinstance(error, UnicodeEncodeError):
        return b"".join(_kept(ord(char) & 0xFF) for char in error.object[error.start : error.end]), error.end
    raise error


def _kept(byte: int) -> bytes:
    # Continuation bytes after a whole character, and bytes that UTF-8 never uses.
    alone = 0x80 <= byte <= 0xC1 or byte >= 0xF5
    return bytes([byte]) if alone else b"\xff\\x%02x" % byte


_KEEP: Final = "idm.undecodable"
codecs.register_error(_KEEP, _keep)
