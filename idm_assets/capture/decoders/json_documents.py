"""Splitting a text of JSON documents into documents, whatever their layout: JSON lines, pretty-printed, in a list.

Source of the format: RFC 8259, and RFC 7464 and JSON lines in that documents follow each other. A document is an
object or a list; blanks, line ends and byte-order marks may stand between documents, nothing else. Numbers are kept as
they were written; ``NaN`` and ``Infinity``, which many writers emit although JSON has no such numbers, are text.

A broken document never takes a good one with it if there is a safe place to go on:

1. Brackets and strings say where a document ends, even if it is no JSON in between, such as ``{"a": ...}``.
2. A line that begins with ``{`` or ``[``, unindented, is a safe place: a broken document ends before the first such
   line after its own start, even within its brackets, because it may be the brackets that are broken. A string cannot
   span lines, so no such line is part of a string.
3. A document that is well-formed but may not be taken (a name twice, bytes that are no UTF-8) ends at its own bracket.
4. After a broken document, what remains of a list around it, commas and ``]``, is passed over.

Documents without a safe end, such as those whose brackets do not match, or that are too large or too deep, end before
the next safe line or with the file. As every line is within at most ``max_depth`` unfinished documents, no text takes
more than ``max_depth`` times as long as a good one; memory is a few times ``max_bytes``.

`outlines` and `element_outlines` say what `documents` and `elements` will find, by means of their own: they work on
bytes and share neither the splitting nor the parser. With them decoders count units.

Belongs here: from bytes to documents. Does not belong here: what a document means (`decoders`), lines that are each
one object and are read by SQL (`json_lines`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from io import FileIO
from pathlib import Path
from typing import Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

JSON_INVALID: Final = "json_invalid"
REPEATED_NAME: Final = "repeated_name"
INVALID_UTF8: Final = "invalid_utf8"
DOCUMENT_TOO_LARGE: Final = "document_too_large"
NESTED_TOO_DEEP: Final = "nested_too_deep"

PAYLOAD_BYTES: Final = 64 << 10

_CHUNK_BYTES: Final = 256 << 10
_BLANKS: Final = re.compile(rb"(?:[ \t\r\n]++|\xef\xbb\xbf)*+")
_SAFE_LINE: Final = re.compile(rb"\n(?=[{\[])")
# All up to the next bracket, strings as a whole; it stops at the quote of a string that is not ended on its line.
_UP_TO_BRACKET: Final = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\\n]++|\\[^\n])*+")*+')
_CLOSER: Final = {b"{": b"}", b"[": b"]"}


class Written(str):
    """A number as it was written."""

    __slots__ = ()


Json: TypeAlias = "bool | str | list[Json] | dict[str, Json] | None"
"""A JSON value; numbers are `Written`."""


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """How much one document may ask of us.

    Attributes:
        max_bytes: largest document, in bytes.
        max_depth: most objects and lists within each other.
    """

    max_bytes: int = 8 << 20
    max_depth: int = 64


class Document(NamedTuple):
    """A document.

    Attributes:
        line: line on which it begins, counted from 1.
        text: the document as delivered.
        value: what it says.
    """

    line: int
    text: str
    value: Json


class BrokenDocument(NamedTuple):
    r"""A document that cannot be taken.

    Attributes:
        line: line on which it begins, counted from 1.
        reason: reason code.
        detail: what was expected and what was found.
        payload: its first 64 KiB; bytes that are no UTF-8 are shown as ``\xNN``.
    """

    line: int
    reason: str
    detail: str
    payload: str


def documents(path: Path, limits: DocumentLimits | None = None) -> Iterator[Document | BrokenDocument]:
    """The documents of a file in order; a list is one document.

    Raises:
        OSError: the file cannot be read.
    """
    return _split(path, limits or DocumentLimits(), _MOVES)


def elements(path: Path, limits: DocumentLimits | None = None) -> Iterator[Document | BrokenDocument]:
    """The documents of a file in order; of an outermost list, every element is a document.

    So a list of any length is read in constant memory. A list that is never closed, or whose commas are not where
    they should be, is a broken document of its own; the elements before and after it are not.

    Raises:
        OSError: the file cannot be read.
    """
    return _split(path, limits or DocumentLimits(), _MOVES | _INTO_LISTS)


def as_json(value: Json) -> str:
    """A value as compact JSON text, numbers as they were written; the inverse of reading it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Written():
            return str(value)
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{','.join(map(as_json, value))}]"
        case _:
            return f"{{{','.join(f'{json.dumps(k, ensure_ascii=False)}:{as_json(v)}' for k, v in value.items())}}}"


class _Place(Enum):
    """Where a text has been read to, outside of documents."""

    BETWEEN = auto()
    LIST_OPENED = auto()
    AFTER_ELEMENT = auto()
    AFTER_COMMA = auto()
    AFTER_BREAK = auto()


_MOVES: Final[dict[tuple[_Place, bytes], _Place]] = {
    (_Place.LIST_OPENED, b"]"): _Place.BETWEEN,
    (_Place.AFTER_ELEMENT, b","): _Place.AFTER_COMMA,
    (_Place.AFTER_ELEMENT, b"]"): _Place.BETWEEN,
    (_Place.AFTER_BREAK, b","): _Place.AFTER_BREAK,
    (_Place.AFTER_BREAK, b"]"): _Place.BETWEEN,
}
_INTO_LISTS: Final[dict[tuple[_Place, bytes], _Place]] = {
    (_Place.BETWEEN, b"["): _Place.LIST_OPENED,
    (_Place.AFTER_BREAK, b"["): _Place.LIST_OPENED,
}
_AFTER_DOCUMENT: Final = {
    _Place.BETWEEN: _Place.BETWEEN,
    _Place.LIST_OPENED: _Place.AFTER_ELEMENT,
    _Place.AFTER_COMMA: _Place.AFTER_ELEMENT,
    _Place.AFTER_BREAK: _Place.AFTER_BREAK,
}
_IN_LIST: Final = frozenset({_Place.LIST_OPENED, _Place.AFTER_ELEMENT, _Place.AFTER_COMMA})


class _Window:
    """The part of a file that holds the document being read; what lies before ``at`` is forgotten."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.data = b""
        self.at = 0
        self.line = 1

    @property
    def ahead(self) -> int:
        """Number of bytes from here on."""
        return len(self.data) - self.at

    def more(self) -> bool:
        """Read on; False at the end of the file. Positions are to be taken anew."""
        # One byte before is kept: it says whether a line begins here.
        start = max(self.at - 1, 0)
        chunk = self._file.read(_CHUNK_BYTES)
        self.data, self.at = self.data[start:] + chunk, self.at - start
        return bool(chunk)

    def advance(self, size: int) -> None:
        self.line += self.data.count(b"\n", self.at, self.at + size)
        self.at += size

    def significant(self) -> bytes:
        """Pass over blanks; the byte after them, none at the end of the file."""
        while True:
            blank = _BLANKS.match(self.data, self.at)
            assert blank is not None
            self.advance(blank.end() - self.at)
            # A byte-order mark may be cut in two.
            if self.ahead >= 3 or not self.more():
                return self.data[self.at : self.at + 1]

    def begins_line(self) -> bool:
        return self.at == 0 or self.data[self.at - 1 : self.at] == b"\n"

    def leave(self) -> bytes:
        """Pass over all up to the next safe line, or to the end; the first bytes of it."""
        head = b""
        while True:
            safe = _SAFE_LINE.search(self.data, self.at)
            # The last byte may be the line end before a safe line.
            size = safe.end() - self.at if safe else max(self.ahead - 1, 0)
            head += self.data[self.at : self.at + min(size, PAYLOAD_BYTES - len(head))]
            self.advance(size)
            if safe:
                return head
            if not self.more():
                head += self.data[self.at : self.at + PAYLOAD_BYTES - len(head)]
                self.advance(self.ahead)
                return head


def _split(
    path: Path, limits: DocumentLimits, moves: Mapping[tuple[_Place, bytes], _Place]
) -> Iterator[Document | BrokenDocument]:
    parser = _Parser()
    with path.open("rb", buffering=0) as file:
        window = _Window(file)
        place = _Place.BETWEEN
        list_line = 0
        while byte := window.significant():
            if (place, byte) in moves:
                list_line = window.line if byte == b"[" else list_line
                place = moves[place, byte]
                window.advance(1)
            elif byte in _CLOSER and place in _AFTER_DOCUMENT:
                found, is_ended = _document(window, limits, parser)
                place = _AFTER_DOCUMENT[place] if is_ended else _Place.AFTER_BREAK
                yield found
            elif byte in _CLOSER and window.begins_line():
                yield _unclosed(list_line)
                place = _Place.AFTER_BREAK
            else:
                yield _misplaced(window, place, byte)
                place = _Place.AFTER_BREAK
        if place in _IN_LIST:
            yield _unclosed(list_line)


def _unclosed(line: int) -> BrokenDocument:
    return BrokenDocument(line, JSON_INVALID, f"the list that begins on line {line} is never closed", "[")


_WANTED: Final = {
    _Place.BETWEEN: "a document that begins with { or [",
    _Place.LIST_OPENED: "an object, a list or ] in the list",
    _Place.AFTER_ELEMENT: "a comma or ] after an element of the list",
    _Place.AFTER_COMMA: "an object or a list after the comma",
    _Place.AFTER_BREAK: "a document that begins with { or [",
}


def _misplaced(window: _Window, place: _Place, byte: bytes) -> BrokenDocument:
    line = window.line
    detail = f"line {line}: expected {_WANTED[place]}, found {_printable(byte)}"
    return BrokenDocument(line, JSON_INVALID, detail, _printable(window.leave()))


def _document(window: _Window, limits: DocumentLimits, parser: _Parser) -> tuple[Document | BrokenDocument, bool]:
    """Read the document that begins here, and whether what follows belongs to what stood around it."""
    line = window.line
    extent = _extent(window, limits)
    if isinstance(extent, _Problem):
        return BrokenDocument(line, extent.reason, f"line {line}: {extent.detail}", _printable(window.leave())), False
    raw = window.data[window.at : window.at + extent]
    found = parser.parse(raw, line)
    safe = _SAFE_LINE.search(raw) if isinstance(found, _Problem) and found.reason == JSON_INVALID else None
    if safe:
        raw = raw[: safe.end()]
    window.advance(len(raw))
    if isinstance(found, _Problem):
        return BrokenDocument(line, found.reason, found.detail, _printable(raw[:PAYLOAD_BYTES])), safe is None
    return found, True


class _Problem(NamedTuple):
    reason: str
    detail: str


def _extent(window: _Window, limits: DocumentLimits) -> int | _Problem:
    """Number of bytes up to the bracket that closes the one here; the window holds them then."""
    closers: list[bytes] = []
    size = 0
    while True:
        filler = _UP_TO_BRACKET.match(window.data, window.at + size)
        assert filler is not None
        size = filler.end() - window.at
        byte = window.data[window.at + size : window.at + size + 1]
        if size >= limits.max_bytes:
            return _Problem(DOCUMENT_TOO_LARGE, f"the document is larger than {limits.max_bytes} bytes")
        if byte in _CLOSER:
            closers.append(_CLOSER[byte])
            if len(closers) > limits.max_depth:
                return _Problem(NESTED_TOO_DEEP, f"the document is nested deeper than {limits.max_depth} levels")
        elif byte in (b"", b'"'):
            problem = _incomplete(window, size, limits)
            if problem:
                return problem
            continue
        elif byte != closers.pop():
            return _Problem(JSON_INVALID, f"a bracket is closed by {byte.decode()} that was not opened so")
        size += 1
        if not closers:
            return size


def _incomplete(window: _Window, size: int, limits: DocumentLimits) -> _Problem | None:
    """Read on for the rest of a document, or of a string in it that is not ended in the window."""
    # Beyond the limit no line end counts, so that the answer does not depend on how much has been read.
    if window.data.find(b"\n", window.at + size, window.at + limits.max_bytes) >= 0:
        return _Problem(JSON_INVALID, "a string is not ended on its line")
    if window.ahead >= limits.max_bytes:
        return _Problem(DOCUMENT_TOO_LARGE, f"the document is larger than {limits.max_bytes} bytes")
    return None if window.more() else _Problem(JSON_INVALID, "the file ends before the document is closed")


class _Parser:
    """Parses documents that nest no deeper than Python can."""

    def __init__(self) -> None:
        self._repeated: str | None = None
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._named, parse_float=Written, parse_int=Written, parse_constant=str
        )

    def parse(self, raw: bytes, line: int) -> Document | _Problem:
        try:
            text, is_utf8 = raw.decode(), True
        except UnicodeDecodeError:
            text, is_utf8 = raw.decode("utf-8", "surrogateescape"), False
        self._repeated = None
        try:
            value: Json = self._decoder.decode(text)
        except json.JSONDecodeError as error:
            return _Problem(JSON_INVALID, f"line {line + error.lineno - 1}: the document is no JSON: {error.msg}")
        if not is_utf8:
            return _Problem(INVALID_UTF8, f"line {line}: the document is no UTF-8; its bytes are shown as \\xNN")
        if self._repeated is not None:
            return _Problem(
                REPEATED_NAME, f"line {line}: an object of the document has the name {self._repeated!r} twice"
            )
        return Document(line, text, value)

    def _named(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        members = dict(pairs)
        if len(members) < len(pairs) and self._repeated is None:
            names = [name for name, _ in pairs]
            self._repeated = next(name for name in names if names.count(name) > 1)
        return members


def _printable(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


T = TypeVar("T")


class Outline(Protocol[T]):
    """What is kept of a document by `outlines`, from the inside out."""

    def text(self, text: str) -> T:
        """Of a string."""
        ...

    def scalar(self, token: bytes) -> T:
        """Of a number, ``true``, ``false``, ``null``, or a word for a number that is not finite."""
        ...

    def of_list(self, items: list[T]) -> T:
        """Of a list, from what was kept of its elements."""
        ...

    def of_object(self, members: dict[str, T]) -> T:
        """Of an object, from what was kept of its members."""
        ...


def outlines(path: Path, outline: Outline[T], limits: DocumentLimits | None = None) -> Iterator[T | None]:
    """What an outline keeps of each of `documents`, None for each that is broken; shares nothing with them.

    Raises:
        OSError: the file cannot be read.
    """
    return _outlines(path, _Sweep(outline, limits or DocumentLimits()), "")


def element_outlines(path: Path, outline: Outline[T], limits: DocumentLimits | None = None) -> Iterator[T | None]:
    """What an outline keeps of each of `elements`, None for each that is broken; shares nothing with them.

    Raises:
        OSError: the file cannot be read.
    """
    return _outlines(path, _Sweep(outline, limits or DocumentLimits()), "[")


_STRICT_STRING: Final = rb'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"'
_SCALAR: Final = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+|true|false|null|NaN|-?Infinity"
_LEXEME: Final = re.compile(
    rb"[ \t\r\n]*+(?:"
    rb"(" + _STRICT_STRING + rb")(?:[ \t\r\n]*+(:))?+"
    rb"|(" + _SCALAR + rb')(?![^ \t\r\n"\[\]{}:,])'
    rb"|([\[\]{},])"
    rb'|("(?:[^"\\\n]++|\\[^\n])*+"|[^ \t\r\n"\[\]{},]++)'
    rb'|(")'
    rb"|\Z)"
)
_TEXT, _NAME, _TOKEN, _MARK, _NO_JSON, _OPEN_QUOTE = range(1, 7)
_ESCAPE: Final = re.compile(r"\\(?:u(....)|(.))")
_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _Level(Generic[T]):
    """An object or list whose end has not come."""

    __slots__ = ("closer", "items", "members", "name", "wants")

    def __init__(self, opener: bytes) -> None:
        self.closer = b"}" if opener == b"{" else b"]"
        self.items: list[T] = []
        self.members: dict[str, T] = {}
        self.name: str | None = None
        # What may come: a n(ame), v(alue), c(omma) or e(nd).
        self.wants = "ne" if opener == b"{" else "ve"


class _Swept(NamedTuple, Generic[T]):
    """A document that was swept: where it ends, if its brackets say so, and what was kept of it if it is sound."""

    end: int | None
    kept: T | None
    is_json: bool


class _MoreNeeded(Exception):  # noqa: N818 - not an error
    """The document goes on beyond the bytes at hand."""


class _Sweep(Generic[T]):
    """Sweeps over one document, lexeme by lexeme, with a stack of its own."""

    def __init__(self, outline: Outline[T], limits: DocumentLimits) -> None:
        self._outline = outline
        self.limits = limits
        self._levels: list[_Level[T]] = []
        self._is_json = True
        self._is_fit = True
        self._kept: T | None = None

    def over(self, data: bytes, start: int) -> _Swept[T]:
        """Sweep over the document that begins at ``start``.

        Raises:
            _MoreNeeded: it does not end within ``data``.
        """
        self._levels, self._is_json, self._is_fit, self._kept = [], True, True, None
        for lexeme in _LEXEME.finditer(data, start, start + self.limits.max_bytes):
            kind = lexeme.lastindex
            if kind == _MARK:
                if not self._mark(lexeme[_MARK]):
                    return _Swept(None, None, is_json=False)
                if not self._levels:
                    kept = self._kept if self._is_json and self._is_fit else None
                    return _Swept(lexeme.end(), kept, self._is_json)
            elif kind is None or kind == _OPEN_QUOTE:
                if kind and data.find(b"\n", lexeme.end()) >= 0:
                    return _Swept(None, None, is_json=False)
                break
            else:
                self._take(kind, lexeme[_TEXT] or lexeme[kind])
        if len(data) - start >= self.limits.max_bytes:
            return _Swept(None, None, is_json=False)
        raise _MoreNeeded

    def _take(self, kind: int, token: bytes) -> None:
        if kind == _NAME:
            self._named(token)
        elif kind == _TEXT:
            self._value(self._outline.text(self._said(token)))
        elif kind == _TOKEN:
            self._value(self._outline.scalar(token))
        else:
            self._is_json = False

    def _mark(self, mark: bytes) -> bool:
        """Take a bracket or comma; False if the document has no end of its own."""
        if mark == b",":
            self._comma()
        elif mark in b"{[":
            self._levels.append(_Level(mark))
            return len(self._levels) <= self.limits.max_depth
        else:
            level = self._levels.pop()
            if level.closer != mark:
                return False
            self._is_json &= "e" in level.wants
            kept = self._outline.of_object(level.members) if mark == b"}" else self._outline.of_list(level.items)
            if self._levels:
                self._value(kept)
            else:
                self._kept = kept
        return True

    def _comma(self) -> None:
        level = self._levels[-1]
        self._is_json &= "c" in level.wants
        level.wants = "n" if level.closer == b"}" else "v"

    def _named(self, token: bytes) -> None:
        level = self._levels[-1]
        self._is_json &= "n" in level.wants
        level.name = self._said(token)
        self._is_fit &= level.name not in level.members
        level.wants = "v"

    def _value(self, kept: T) -> None:
        level = self._levels[-1]
        self._is_json &= "v" in level.wants
        level.wants = "ce"
        if level.name is None:
            level.items.append(kept)
        else:
            level.members[level.name] = kept

    def _said(self, token: bytes) -> str:
        try:
            text = token[1:-1].decode()
        except UnicodeDecodeError:
            self._is_fit = False
            return ""
        if "\\" not in text:
            return text
        units = _ESCAPE.sub(lambda m: chr(int(m[1], 16)) if m[1] else _ESCAPED.get(m[2], m[2]), text)
        return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


class _Block:
    """Bytes of a file from some offset on; unlike a window it is read anew, larger, when it is too small."""

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._offset = 0
        self.data = b""
        self.at = 0
        self.is_last = False
        self.renew(_CHUNK_BYTES)

    def renew(self, size: int) -> None:
        """Read ``size`` bytes from here on, and the one before, which says whether a line begins here."""
        # Fewer could neither show a byte-order mark nor a line end with what follows it, and nothing would move on.
        size = max(size, 3)
        before = min(self._offset + self.at, 1)
        self._offset += self.at - before
        self._file.seek(self._offset)
        parts: list[bytes] = []
        missing = size + before
        while missing and (part := self._file.read(missing)):
            parts.append(part)
            missing -= len(part)
        self.data, self.at, self.is_last = b"".join(parts), before, missing > 0


def _outlines(path: Path, sweep: _Sweep[T], opens_list: str) -> Iterator[T | None]:
    """Walk from document to document; ``state`` is what stands around: nothing, ``[``, ``e``lement, ``,`` or ``!``."""
    with closing(path.open("rb", buffering=0)) as file:
        block = _Block(file)
        state = ""
        while mark := _next_mark(block):
            if mark == opens_list and state in ("", "!"):
                state, block.at = "[", block.at + 1
            elif mark == "]" and state in ("[", "e", "!"):
                state, block.at = "", block.at + 1
            elif mark == "," and state in ("e", "!"):
                state, block.at = ("," if state == "e" else "!"), block.at + 1
            elif mark in "{[" and state != "e":
                swept = _swept(block, sweep)
                yield swept.kept
                state = _moved(block, swept, state)
            else:
                yield None
                if state != "e" or mark not in "{[" or block.data[block.at - 1 : block.at] != b"\n":
                    _to_safe_line(block)
                state = "!"
        if state in ("[", "e", ","):
            yield None


def _next_mark(block: _Block) -> str:
    """The next character that is neither blank nor part of a byte-order mark, empty at the end."""
    while True:
        rest = block.data[block.at : block.at + 3]
        if rest[:1] in (b" ", b"\t", b"\r", b"\n") and rest:
            block.at += 1
        elif rest == b"\xef\xbb\xbf":
            block.at += 3
        elif len(rest) == 3 or block.is_last:
            return rest[:1].decode("latin-1")
        else:
            block.renew(_CHUNK_BYTES)


def _swept(block: _Block, sweep: _Sweep[T]) -> _Swept[T]:
    size = _CHUNK_BYTES
    while True:
        try:
            return sweep.over(block.data, block.at)
        except _MoreNeeded:
            if block.is_last:
                return _Swept(None, None, is_json=False)
            size *= 2
            block.renew(size)


def _moved(block: _Block, swept: _Swept[T], state: str) -> str:
    """Go to where reading goes on after a document, and say what stands around there."""
    if swept.end is not None and (swept.is_json or not _SAFE_LINE.search(block.data, block.at, swept.end)):
        block.at = swept.end
        return "e" if state in ("[", ",") else state
    _to_safe_line(block)
    return "!"


def _to_safe_line(block: _Block) -> None:
    while True:
        safe = _SAFE_LINE.search(block.data, block.at)
        if safe:
            block.at = safe.end()
            return
        block.at = len(block.data) if block.is_last else max(len(block.data) - 1, block.at)
        if block.is_last:
            return
        block.renew(_CHUNK_BYTES)
