"""Workbooks of Excel (XLSX): from the package to the rows of a sheet and the stored values of their cells.

Sources of the format: ISO/IEC 29500-1 (SpreadsheetML) and 29500-2 (OPC packages). The XML is read here because readers
that want one type per column do not give back what is stored: of a column of mixed types fastexcel 0.21 makes 0.3 of
0.30000000000000004, 0 of 5E-324, and nothing of an error.

Values are what Excel stored last: formulas are never evaluated, links never followed, macros and pictures not looked
at. A document type is refused, with it all entities. All parts together may unpack to 1 GiB.

Belongs here: packages, parts, cells. Does not belong here: headers, rows as fields (`xlsx_rows`).
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple
from xml.parsers import expat

from idm_assets.capture.containers import UNPACKS_TOO_LARGE, Budget, Limits, Refused
from idm_assets.capture.containers.zip_archives import Zip, ZipEntry, read_zip, zip_content
from idm_assets.capture.content import FOREIGN_CONTENT
from idm_assets.capture.decoders import UndecodableFile
from idm_assets.capture.decoders.xml_elements import XML_ENTITIES, XML_INVALID, XML_LIMITS, local_name
from idm_assets.capture.text_values import NUMBER

CORRUPT_FILE: Final = "corrupt_file"
SHEET_MISSING: Final = "sheet_missing"

MAX_UNPACKED_BYTES: Final = 1 << 30
MAX_SHARED_CHARACTERS: Final = 64 << 20
MAX_SHARED_STRINGS: Final = 5_000_000
MAX_CELL_CHARACTERS: Final = 1 << 20
MAX_SHEET_COLUMNS: Final = 16_384
MAX_SHEET_ROWS: Final = 1_048_576
MAX_STYLES: Final = 65_536
MAX_TAG_BYTES: Final = 4 << 20
MAX_DEPTH: Final = 100

LIMITS: Final = Limits(max_unpacked_bytes=MAX_UNPACKED_BYTES)

_OLE2: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_NUMBER: Final = re.compile(NUMBER)
_SHORT_INTEGER: Final = re.compile(r"0|-?[1-9]\d{0,14}")
_MAX_DIGITS: Final = 17
"""Every double is written with at most these; a number with more was none."""

_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
# lxml has no types; what comes from it stays within this module.
_etree: Any = import_module("lxml.etree")

Shown = Literal["date", "time", "date_and_time"]
Value = float | str | None


class Row(NamedTuple):
    """A row of a sheet.

    Attributes:
        number: the number that Excel shows, from 1.
        cells: values by column, from 0; those that hold nothing are left out.
    """

    number: int
    cells: Mapping[int, Value]


@dataclass(slots=True)
class Workbook:
    """An open workbook.

    Attributes:
        sheets: names of the sheets in order, with their parts.
        is_1904: whether days are counted from 1904-01-01 instead of 1900.
    """

    sheets: Sequence[tuple[str, str]]
    is_1904: bool
    _package: _Package
    _related: Mapping[str, str] = field(default_factory=dict[str, str])

    def rows(self, sheet: int | str) -> Iterator[Row]:
        """The rows of a sheet in order, those that the file has; memory is constant but for the shared strings.

        Args:
            sheet: number from 1, or name.

        Raises:
            UndecodableFile: there is no such sheet, or what there is of it cannot be read.
        """
        part = self._part(sheet)
        values = _Values(self._shared_strings(), self._styles(), is_1904=self.is_1904)
        target = _SheetTarget(values)
        previous = 0
        for row in _parsed(self._package.pieces(part), target):
            number = previous + 1 if row.number is None else row.number
            if not previous < number <= MAX_SHEET_ROWS:
                raise UndecodableFile(CORRUPT_FILE, f"row {number} follows row {previous}; Excel has none such")
            previous = number
            yield Row(number, row.cells)

    def count_rows(self, sheet: int | str) -> int:
        """Number of rows of a sheet, found without the reader of the cells; arguments and errors as for `rows`."""
        counter = _RowCounter()
        for piece in self._package.pieces(self._part(sheet)):
            counter.feed(piece)
        counter.feed(b"", is_last=True)
        return counter.rows

    def _part(self, sheet: int | str) -> str:
        names = [name for name, _ in self.sheets]
        if isinstance(sheet, int) and 1 <= sheet <= len(names):
            return self.sheets[sheet - 1][1]
        if isinstance(sheet, str) and sheet in names:
            return self.sheets[names.index(sheet)][1]
        known = ", ".join(repr(name) for name in names[:30])
        raise UndecodableFile(SHEET_MISSING, f"no sheet {sheet!r} in this workbook; its sheets: {known[:2000]}")

    def _shared_strings(self) -> list[str]:
        part = self._related.get("sharedStrings")
        strings: list[str] = []
        characters = 0
        texts: Iterator[str] = iter(())
        if part is not None:
            texts = _parsed(self._package.pieces(part), _StringsTarget())
        for text in texts:
            strings.append(text)
            characters += len(text)
            if characters > MAX_SHARED_CHARACTERS or len(strings) > MAX_SHARED_STRINGS:
                raise UndecodableFile(
                    XML_LIMITS, f"the texts of the workbook have more than {MAX_SHARED_CHARACTERS} characters"
                )
        return strings

    def _styles(self) -> list[Shown | None]:
        """What each style shows a number as."""
        part = self._related.get("styles")
        codes: dict[str, str] = {}
        styles: list[Shown | None] = []
        for tag in iter(()) if part is None else _tags(self._package.pieces(part)):
            if tag.name == "numFmt" and tag.parent == "numFmts":
                codes[tag.attributes.get("numFmtId", "")] = tag.attributes.get("formatCode", "")
            elif tag.name == "xf" and tag.parent == "cellXfs":
                number = tag.attributes.get("numFmtId", "0")
                styles.append(shown_by(codes[number]) if number in codes else _BUILT_IN.get(number))
            if len(codes) > MAX_STYLES or len(styles) > MAX_STYLES:
                raise UndecodableFile(XML_LIMITS, f"the workbook has more than {MAX_STYLES} styles")
        return styles


@contextmanager
def opened_workbook(path: Path) -> Generator[Workbook]:
    """Open a workbook.

    Args:
        path: the file.

    Raises:
        UndecodableFile: it is no workbook that can be read.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_OLE2)) == _OLE2:
            raise UndecodableFile(
                FOREIGN_CONTENT,
                "the file is an OLE2 document: a workbook of Excel 97 (.xls), or one with a password; save it as an"
                " Excel workbook (.xlsx) without a password",
            )
        try:
            archive = read_zip(file.fileno(), LIMITS)
        except Refused as error:
            raise UndecodableFile(error.reason, error.detail) from None
        yield _workbook(_Package(archive))


def _workbook(package: _Package) -> Workbook:
    main = next(iter(package.related("", "officeDocument")), None)
    if main is None or main[2].endswith(".bin"):
        found = "a binary workbook (.xlsb)" if main else "an Office package without a document"
        raise UndecodableFile(FOREIGN_CONTENT, f"the file is {found}; save it as an Excel workbook (.xlsx)")
    names: list[tuple[str, str]] = []
    is_1904 = False
    root = ""
    for tag in _tags(package.pieces(main[2])):
        root = root or tag.name
        if tag.name == "workbookPr":
            is_1904 = tag.attributes.get("date1904", "0").lower() in {"1", "true", "on"}
        elif tag.name == "sheet" and tag.parent == "sheets":
            key = next((value for name, value in tag.attributes.items() if local_name(name) == "id"), "")
            names.append((tag.attributes.get("name", ""), key))
    if root != "workbook":
        raise UndecodableFile(FOREIGN_CONTENT, f"the file is an Office document ({root}), but no Excel workbook")
    parts = {key: (kind, part) for kind, key, part in package.related(main[2])}
    sheets = [(name, parts[key][1]) for name, key in names if key in parts]
    related = {kind: part for kind, part in parts.values() if kind in {"sharedStrings", "styles"}}
    return Workbook(sheets, is_1904, package, related)


# --- the package -----------------------------------------------------------------------------------------


class _Package:
    """Parts of an OPC package by name."""

    def __init__(self, archive: Zip) -> None:
        self._archive = archive
        self._entries: dict[str, ZipEntry] = {}
        size = 0
        for entry in archive.entries:
            # ISO/IEC 29500-2: names of parts are equal whatever their capitals.
            name = entry.entry.name.lower()
            if name in self._entries:
                raise UndecodableFile(CORRUPT_FILE, f"the workbook has the part {name[:200]!r} twice")
            self._entries[name] = entry
            size += entry.size_bytes
        if size > MAX_UNPACKED_BYTES:
            raise UndecodableFile(
                UNPACKS_TOO_LARGE, f"the workbook unpacks to {size} bytes; at most {MAX_UNPACKED_BYTES} are read"
            )

    def pieces(self, part: str) -> Iterator[bytes]:
        """The content of a part."""
        entry = self._entries.get(part)
        if entry is None:
            raise UndecodableFile(CORRUPT_FILE, f"the workbook lacks its part {part[:200]!r}")
        if entry.entry.refusal is not None:
            raise UndecodableFile(*entry.entry.refusal)
        try:
            yield from zip_content(self._archive, entry, Budget(LIMITS))
        except Refused as error:
            raise UndecodableFile(error.reason, f"{part}: {error.detail}") from None

    def related(self, part: str, wanted: str | None = None) -> Iterator[tuple[str, str, str]]:
        """Kind, id and name of the parts that a part says to be related to it; the package itself is ``""``."""
        folder, name = posixpath.split(part)
        relations = posixpath.join(folder, "_rels", f"{name}.rels").lower()
        if relations not in self._entries:
            return
        for tag in _tags(self.pieces(relations)):
            kind = tag.attributes.get("Type", "").rpartition("/")[2]
            is_here = tag.name == "Relationship" and tag.attributes.get("TargetMode", "Internal") == "Internal"
            if is_here and wanted in (None, kind):
                target = posixpath.normpath(posixpath.join("/", folder, tag.attributes.get("Target", "")))
                yield kind, tag.attributes.get("Id", ""), target.lstrip("/").lower()


# --- reading with libxml2 --------------------------------------------------------------------------------


class _Tag(NamedTuple):
    name: str
    parent: str
    attributes: Mapping[str, str]


class _Target:
    """What libxml2 calls while it reads; ``found`` holds what was found and not taken yet."""

    def __init__(self) -> None:
        self.found: list[Any] = []

    def doctype(self, name: str | None, *_: object) -> None:
        raise _refused_type(name or "")

    def data(self, part: str) -> None:
        """Text, of which most parts have none that matters."""

    def end(self, tag: str) -> None:
        """An end tag."""

    def close(self) -> None:
        """There is no tree to hand over."""


class _TagsTarget(_Target):
    """Start tags with the names of their parents."""

    def __init__(self) -> None:
        super().__init__()
        self._names = [""]

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = local_name(tag)
        self.found.append(_Tag(name, self._names[-1], dict(attributes)))
        self._names.append(name)

    def end(self, tag: str) -> None:  # noqa: ARG002 - it ends the last one that started
        self._names.pop()


class _StringsTarget(_Target):
    """The texts of a table of shared strings; how they are to be pronounced is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[str] = []
        self._size = 0
        self._is_text = self._is_phonetic = False

    def start(self, tag: str, _: Mapping[str, str]) -> None:
        name = local_name(tag)
        self._is_text = name == "t" and not self._is_phonetic
        self._is_phonetic |= name == "rPh"

    def data(self, part: str) -> None:
        if self._is_text:
            self._parts.append(part)
            self._size += len(part)
            if self._size > MAX_CELL_CHARACTERS:
                raise _too_long()

    def end(self, tag: str) -> None:
        self._is_text = False
        match local_name(tag):
            case "rPh":
                self._is_phonetic = False
            case "si":
                self.found.append(unescaped("".join(self._parts)))
                self._parts.clear()
                self._size = 0
            case _:
                pass


class _FoundRow(NamedTuple):
    number: int | None
    cells: Mapping[int, Value]


class _SheetTarget(_Target):
    """The rows of a sheet with their values."""

    def __init__(self, values: _Values) -> None:
        super().__init__()
        self._value = values.value
        self._depth = 0
        self._is_data = self._is_text = self._is_phonetic = False
        self._row: int | None = None
        self._cells: dict[int, Value] = {}
        self._column = -1
        self._cell: Mapping[str, str] = {}
        self._parts: list[str] = []
        self._size = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        match tag.rpartition("}")[2]:
            case "c" if self._depth == 4 and self._is_data:
                self._cell = dict(attributes)
                self._place(self._cell.get("r"))
            case "v" | "t" if self._is_data:
                self._is_text = not self._is_phonetic
            case "rPh":
                self._is_phonetic = True
            case "row" if self._depth == 3 and self._is_data:
                self._cells, self._column = {}, -1
                said = attributes.get("r")
                self._row = None if said is None else _whole(said)
            case "sheetData" if self._depth == 2:
                self._is_data = True
            case _:
                pass

    def data(self, part: str) -> None:
        if self._is_text:
            self._parts.append(part)
            self._size += len(part)
            if self._size > MAX_CELL_CHARACTERS:
                raise _too_long()

    def end(self, tag: str) -> None:
        self._is_text = False
        if self._depth == 4 and self._is_data:
            if self._parts:
                value = self._value(self._cell.get("t", "n"), self._cell.get("s"), "".join(self._parts))
                if value is not None:
                    self._cells[self._column] = value
                self._parts.clear()
                self._size = 0
        elif self._depth == 3 and self._is_data:
            self.found.append(_FoundRow(self._row, self._cells))
        elif self._depth == 2:
            self._is_data = False
        elif tag.endswith("rPh"):
            self._is_phonetic = False
        self._depth -= 1

    def _place(self, reference: str | None) -> None:
        """Go to the column of a cell; without a reference it is the next one."""
        column = self._column + 1 if reference is None else _column(reference.rstrip("0123456789"))
        if not self._column < column < MAX_SHEET_COLUMNS:
            raise UndecodableFile(
                CORRUPT_FILE, f"cell {(reference or '')[:20]!r} of row {self._row} is not where Excel has cells"
            )
        self._column = column


def _tags(pieces: Iterator[bytes]) -> Iterator[_Tag]:
    return _parsed(pieces, _TagsTarget())


def _parsed(pieces: Iterator[bytes], target: _Target) -> Iterator[Any]:
    """What a target finds, as it is found."""
    parser = _etree.XMLParser(target=target, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    for piece in pieces:
        _parse(parser.feed, piece)
        yield from target.found
        target.found.clear()
    _parse(parser.close)
    yield from target.found


def _parse(step: Callable[..., object], *data: bytes) -> None:
    try:
        step(*data)
    except _etree.XMLSyntaxError as error:
        line, column = error.position
        message = " ".join((error.msg or "nothing in it").split())[:200]
        raise UndecodableFile(
            XML_INVALID, f"line {line}, column {column} of a part of the workbook: no well-formed XML ({message})"
        ) from None


def _too_long() -> UndecodableFile:
    return UndecodableFile(XML_LIMITS, f"a cell has more than {MAX_CELL_CHARACTERS} characters")


def _refused_type(name: str) -> UndecodableFile:
    return UndecodableFile(XML_ENTITIES, f"document type {name[:100]!r} in a workbook; Excel never writes one")


def _whole(text: str) -> int:
    """A whole number as XML has it, -1 for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else -1


@cache
def _column(letters: str) -> int:
    """Column from 0 of its letters; -1 for what are none, and what is beyond the last one."""
    if not (letters.isascii() and letters.isalpha() and len(letters) <= 3):
        return -1
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def column_letters(column: int) -> str:
    """Letters of a column, from 0."""
    letters = ""
    number = column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


# --- counting with expat ---------------------------------------------------------------------------------


class _RowCounter:
    """Counts the rows of a sheet."""

    def __init__(self) -> None:
        self.rows = 0
        self._fed = 0
        self._names: list[str] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, piece: bytes, *, is_last: bool = False) -> None:
        """Take the next bytes; `UndecodableFile` if they cannot be read."""
        self._fed += len(piece)
        try:
            self._parser.Parse(piece, is_last)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise UndecodableFile(XML_INVALID, f"the sheet is no well-formed XML ({error}); is it cut off?") from None
        if self._fed - self._parser.CurrentByteIndex > MAX_TAG_BYTES:
            raise UndecodableFile(XML_LIMITS, f"a tag or comment of the sheet is longer than {MAX_TAG_BYTES} bytes")

    def _doctype(self, name: str, *_: object) -> None:
        raise _refused_type(name)

    def _start(self, tag: str, _: object) -> None:
        self._names.append(tag.rpartition(" ")[2])
        if len(self._names) > MAX_DEPTH:
            raise UndecodableFile(XML_LIMITS, f"elements of the sheet are nested deeper than {MAX_DEPTH} levels")
        self.rows += len(self._names) == 3 and self._names[1:] == ["sheetData", "row"]

    def _end(self, _: str) -> None:
        self._names.pop()


# --- values ----------------------------------------------------------------------------------------------


class _Values:
    """What cells hold, by their type, style and stored text."""

    def __init__(self, strings: Sequence[str], styles: Sequence[Shown | None], *, is_1904: bool) -> None:
        self._strings = strings
        self._styles = styles
        self._is_1904 = is_1904

    def value(self, kind: str, style: str | None, stored: str) -> Value:
        """The value of a cell; None where it holds nothing."""
        match kind:
            case "s":
                place = _whole(stored.strip())
                if not 0 <= place < len(self._strings):
                    raise UndecodableFile(
                        CORRUPT_FILE, f"a cell refers to the text {stored[:20]!r}, which there is not"
                    )
                return self._strings[place] or None
            case "n":
                number, shown = stored.strip(), self._shown(style)
                said = None if shown is None else time_text(number, shown, is_1904=self._is_1904)
                return number_or_text(number) if said is None else said
            case "b":
                return {"1": "true", "0": "false"}.get(stored.strip(), stored)
            case "str" | "inlineStr":
                return unescaped(stored) or None
            case _:
                return stored or None

    def _shown(self, style: str | None) -> Shown | None:
        place = 0 if style is None else _whole(style)
        return self._styles[place] if 0 <= place < len(self._styles) else None


def unescaped(text: str) -> str:
    """Text without the escapes, such as ``_x000D_``, for characters that XML cannot hold.

    Halves of characters beyond the first 65,536, and NUL, which no text can hold, stay escaped. Source:
    ISO/IEC 29500-1, ST_Xstring.
    """
    return _ESCAPED.sub(_unescaped, text) if "_x" in text else text


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if not code or 0xD800 <= code <= 0xDFFF else chr(code)


def number_or_text(stored: str) -> Value:
    """The double that is stored as a number, to its last bit; text where a double would lose digits, or is none.

    Whole numbers of up to 15 digits are their digits, which say the same.
    """
    if _SHORT_INTEGER.fullmatch(stored) or not _NUMBER.fullmatch(stored):
        return stored or None
    mantissa = re.split("[eE]", stored)[0]
    digits = mantissa.lstrip("+-").replace(".", "").strip("0")
    number = float(stored)
    return number if len(digits) <= _MAX_DIGITS and math.isfinite(number) else stored


def time_text(stored: str, shown: Shown, *, is_1904: bool) -> str | None:
    """What a number of days says that is shown as a date or time, as ISO 8601 text with milliseconds.

    A whole day that is shown as a date is a date; a part of a day that is shown as a time is a time of day; anything
    else is both, whatever of it is shown. 1900 had no February 29th, but Excel counts one.

    Args:
        stored: the number as stored.
        shown: as what it is shown.
        is_1904: whether days are counted from 1904.

    Returns:
        None if it is no time: no number, before the first day or after the year 9999, or the day that never was.
    """
    if not _NUMBER.fullmatch(stored):
        return None
    days = float(stored)
    last = 2_957_004 if is_1904 else 2_958_466
    if not 0 <= days < last:
        return None
    milliseconds = math.floor(days * 86_400_000 + 0.5)
    day, rest = divmod(milliseconds, 86_400_000)
    clock = f"{rest // 3_600_000:02}:{rest // 60_000 % 60:02}:{rest // 1000 % 60:02}.{rest % 1000:03}"
    if shown == "time" and not day:
        return clock
    if (not is_1904 and day in (0, 60)) or day >= last:
        return None
    first = date(1904, 1, 1) if is_1904 else date(1899, 12, 31) if day < 60 else date(1899, 12, 30)
    said = (first + timedelta(days=day)).isoformat()
    return said if shown == "date" and not rest else f"{said}T{clock}"


def shown_by(code: str) -> Shown | None:
    """As what a number format shows a number: a date, a time of day, both, or None for a number.

    A format of elapsed time, such as ``[h]:mm``, shows a number of days.

    Args:
        code: the format, such as ``dd/mm/yyyy hh:mm``.
    """
    bare = re.sub(r'"[^"]*"|\\.|_.|\*.', "", code).partition(";")[0].lower()
    if re.search(r"\[(h+|m+|s+)\]", bare):
        return None
    bare = re.sub(r"\[[^\]]*\]|general|am/pm|a/p", "", bare)
    has_time = bool(set(bare) & set("hs"))
    has_date = bool(set(bare) & set("yd")) or ("m" in bare and not has_time)
    if has_date and has_time:
        return "date_and_time"
    return "date" if has_date else "time" if has_time else None


_DATES: Final = (14, 15, 16, 17, *range(27, 32), 36, *range(50, 55), 57, 58)
_TIMES: Final = (18, 19, 20, 21, *range(32, 36), 45, 47, 55, 56)
_BUILT_IN: Final[Mapping[str, Shown]] = {
    **{str(number): "date" for number in _DATES},
    **{str(number): "time" for number in _TIMES},
    "22": "date_and_time",
}
"""Number formats that are not written in the file (ISO/IEC 29500-1, 18.8.30)."""
