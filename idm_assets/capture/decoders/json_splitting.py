"""Splitting clean texts of JSON objects, in a list or one after another, at the speed of a regular expression.

A text is cut wherever a brace closes, another one opens and nothing but a comma stands between. That may also be within
an object or a string, so the cuts are right only if every piece turns out to be a valid object: no part of an object
that begins with it is an object too, so the first piece is the first object, and so on. Whoever takes the pieces has to
have them validated.

What DuckDB reads but `json_documents` rejects makes a text unclean, because both have to mean the same: a comma before
a closing bracket, other spellings of NaN and Infinity, too deep nesting, documents that are too large.

Belongs here: the quick way for clean texts. Does not belong here: any other text (`json_documents`).
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from idm_assets.capture.decoders import UndecodableFile
from idm_assets.capture.decoders.json_documents import JSON_INVALID, DocumentLimits

BLOCK_BYTES: Final = 8 << 20

_BLANKS: Final = b" \t\r\n"
_SEPARATORS: Final = b", \t\r\n"
_OPENING: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*+(\[?)[ \t\r\n]*+")
_BETWEEN_ELEMENTS: Final = re.compile(rb"\}[ \t\r\n]*+,[ \t\r\n]*+\{")
_BETWEEN_DOCUMENTS: Final = re.compile(rb"\}[ \t\r\n]*+\{")
_EXCESS_COMMA: Final = re.compile(rb",[ \t\r\n]*+[}\]]")
_ODD_WORD: Final = re.compile(
    rb"(?<=[:,\[ \t\r\n])(?!(?:NaN|-?Infinity)[ \t\r\n,\]}])-?(?i:nan|inf(?:inity)?)[ \t\r\n,\]}]"
)
_STRINGS_AND_SCALARS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^"\[\]{}]++')
_PAIR: Final = re.compile(rb"\{\}|\[\]")


@dataclass(frozen=True, slots=True)
class Block:
    """Some consecutive objects of a text.

    Attributes:
        data: the bytes from the first object on.
        starts: where the objects begin in ``data``; blanks and a comma may stand before the next one.
    """

    data: bytes
    starts: array[int]

    def ends(self) -> Iterator[int]:
        """Where the objects end, with the blanks and the comma behind them."""
        yield from self.starts[1:]
        yield len(self.data)


def blocks(path: Path, limits: DocumentLimits, names_from: int) -> Iterator[Block]:
    """The pieces of a clean text, in constant memory.

    Args:
        path: the text.
        limits: size and depth of one object.
        names_from: objects of at least this size in bytes have no name twice, nor has any object in them.

    Raises:
        UndecodableFile: the text is not clean.
        OSError: it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        data = file.read(BLOCK_BYTES)
        opening = _OPENING.match(data)
        assert opening is not None, "all of it may be missing"
        in_list = opening[1] == b"["
        between = _BETWEEN_ELEMENTS if in_list else _BETWEEN_DOCUMENTS
        data = data[opening.end() :]
        if data[:1] != b"{":
            if file.read(1) or data.strip(_BLANKS) != b"]" * in_list:
                raise _unclean("the text does not begin with an object, or with a list of objects")
            return
        while chunk := file.read(BLOCK_BYTES):
            data += chunk
            starts = _starts(between, data)
            if len(starts) > 1:
                last = starts.pop()
                yield _checked(Block(data[:last], starts), limits, names_from)
                data = data[last:]
            if len(data) > limits.max_bytes + BLOCK_BYTES:
                raise _unclean(f"an object is larger than {limits.max_bytes} bytes")
        yield _checked(Block(_ended(data, in_list=in_list), _starts(between, data)), limits, names_from)


def _has_repeated_name(text: bytes) -> bool:
    """Whether some object of a JSON text has a name twice; also if the text is no JSON."""

    def judged(members: list[tuple[str, object]]) -> None:
        if len({name for name, _ in members}) < len(members):
            raise ValueError

    try:
        json.JSONDecoder(object_pairs_hook=judged, parse_int=str, parse_float=str).decode(text.decode())
    except (ValueError, RecursionError):
        return True
    return False


def _starts(between: re.Pattern[bytes], data: bytes) -> array[int]:
    starts = array("i", [0])
    starts.extend(match.end() - 1 for match in between.finditer(data))
    if between is _BETWEEN_DOCUMENTS or b"[" not in data:
        return starts
    # Objects in a list within an object follow each other just so; where brackets are open nothing is cut.
    outermost = array("i", [0])
    is_open = 0
    for start, end in pairwise(starts):
        is_open += data.count(b"[", start, end) - data.count(b"]", start, end)
        if not is_open:
            outermost.append(end)
    return outermost


def _ended(data: bytes, *, in_list: bool) -> bytes:
    """The rest of a text up to the end of its last object."""
    data = data.rstrip(_BLANKS)
    if in_list:
        if not data.endswith(b"]"):
            raise _unclean("the list is not closed")
        data = data[:-1].rstrip(_BLANKS)
    if not data.endswith(b"}"):
        raise _unclean("something follows on the last object")
    return data


def _checked(block: Block, limits: DocumentLimits, names_from: int) -> Block:
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        raise _unclean("the text is no UTF-8") from error
    if _EXCESS_COMMA.search(block.data):
        raise _unclean("there may be a comma before a closing bracket")
    lower = block.data.lower()
    if (b"nan" in lower or b"inf" in lower) and _ODD_WORD.search(block.data):
        raise _unclean("there may be an unusual word for a number that is not finite")
    # An object is at least twice as long as it is deep.
    enough = min(2 * limits.max_depth, names_from)
    for start, end in zip(block.starts, block.ends(), strict=True):
        if end - start > enough:
            piece = block.data[start:end].rstrip(_SEPARATORS)
            if len(piece) > limits.max_bytes:
                raise _unclean(f"an object is larger than {limits.max_bytes} bytes")
            if _is_deeper(piece, limits.max_depth):
                raise _unclean(f"an object is nested deeper than {limits.max_depth} levels")
            if len(piece) >= names_from and _has_repeated_name(piece):
                raise _unclean("an object has a name twice")
    return block


def _is_deeper(piece: bytes, depth: int) -> bool:
    """Whether objects and lists are nested deeper, as far as they are balanced."""
    if piece.count(b"{") + piece.count(b"[") <= depth:
        return False
    brackets = _STRINGS_AND_SCALARS.sub(b"", piece)
    for _ in range(depth):
        brackets = _PAIR.sub(b"", brackets)
    return bool(brackets)


def _unclean(detail: str) -> UndecodableFile:
    return UndecodableFile(JSON_INVALID, detail)
