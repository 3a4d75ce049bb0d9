"""Rows of delimited text: CSV and TSV in the dialects that plants deliver.

Source of the format: RFC 4180, with what exports make of it: other delimiters, decimal commas, lines before the header,
headers of several lines, units in brackets, names that were encoded twice.

Clean files are read by DuckDB's strict reader. The exact reader takes every file, line by line, and tells of each line
that is no row why; it follows DuckDB in what a quoted cell is: blanks before and after the quotes are not part of it.

Belongs here: dialects, headers, and rows as text. Does not belong here: what fields mean (`tabular`), how bytes become
lines (`framing`).
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, field_validator

from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.table_header import column_names
from idm_assets.capture.decoders.tabular import MAX_COLUMNS, TOO_MANY_COLUMNS, Rows
from idm_assets.capture.decoders.tabular import Field as RowField
from idm_assets.capture.framing import LineBatch, frame_lines
from idm_assets.capture.survey import Limits
from idm_assets.capture.text_values import BLANK
from idm_assets.sql import identifier, literal

HEADER_MISSING: Final = "header_missing"
FIELD_COUNT: Final = "field_count"
QUOTE_UNCLOSED: Final = "quote_unclosed"
QUOTE_MISPLACED: Final = "quote_misplaced"

HEADER: Final = "header"
PREAMBLE: Final = "preamble"
COMMENT: Final = "comment"
CONTINUATION: Final = "continuation"

MAX_CELL_LINES: Final = 100
HEAD_BYTES: Final = 4 << 20

_BATCH: Final = 8_192
# pyarrow has no types; what comes from it stays within this module.
_arrow: Any = cast("Any", pa)


class CsvDialect(BaseModel):
    """How a file's text becomes rows.

    Attributes:
        delimiter: one character between cells.
        quote: character around cells that hold a delimiter; empty: none.
        decimal: decimal sign of numbers.
        thousands: sign between groups of three digits; empty: none.
        encoding: Python codec of the text, such as ``utf-8``, ``windows-1252`` or ``utf-16``.
        preamble: number of lines before the header.
        facts: regular expression that is looked for in the lines before the rows; its named groups are fields of every
            row.
        header: number of lines that name the columns; several are joined by a blank.
        columns: names of the columns, where no line names them, or by other names than these.
        units: whether names end in a unit in brackets, which is not part of the name.
        comment: lines that begin with it are none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    delimiter: str = ","
    quote: str = Field(default='"', max_length=1)
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", " ", "'", "\u00a0", "\u202f"] = ""
    encoding: str = "utf-8"
    preamble: int = Field(default=0, ge=0, le=1000)
    facts: str | None = Field(default=None, max_length=1000)
    header: int = Field(default=1, ge=0, le=10)
    columns: tuple[str, ...] = Field(default=(), max_length=MAX_COLUMNS)
    units: Literal["none", "in_brackets"] = "none"
    comment: str = Field(default="", max_length=10)

    @field_validator("delimiter")
    @classmethod
    def _is_one_character(cls, value: str) -> str:
        if len(value) != 1 or value in '\r\n"':
            raise ValueError("expected one character, such as ';' or '\\t'")
        return value

    @field_validator("encoding")
    @classmethod
    def _is_a_codec(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(f"unknown encoding {value!r}; for example utf-8, windows-1252, utf-16") from None
        return value

    @field_validator("facts")
    @classmethod
    def _names_groups(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                groups = re.compile(value).groupindex
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
            if not groups:
                raise ValueError("name the groups of the expression, such as (?P<station>\\w+)")
        return value


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before the rows.

    Attributes:
        lines: number of lines before the first row.
        names: names of the columns.
        units: units by name of column.
        facts: fields of every row.
    """

    lines: int
    names: tuple[str, ...]
    units: Mapping[str, str]
    facts: Mapping[str, str]


@dataclass(frozen=True)
class CsvRows:
    """Rows of delimited text; see the module.

    Attributes:
        dialect: how text becomes rows.
        limits: longest line.
    """

    dialect: CsvDialect
    limits: Limits
    name: str = "csv"
    code_version: str = "1"
    unit: str = "line"

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> CsvRows:
        """Set up with the options of a source declaration.

        Raises:
            pydantic.ValidationError: an option is unknown or none.
        """
        return cls(CsvDialect.model_validate(options), Limits())

    @property
    def expected(self) -> Expected:
        """Lines of text."""
        return Expected(Content.LINES, self.dialect.encoding, frozenset({"csv"}))

    def count(self, file: PreparedFile) -> int:
        """The lines that the survey counted."""
        return file.lines

    def layout(self, file: PreparedFile) -> str:
        """The names of the columns with their units, and of the facts."""
        head = self.head(file)
        return json.dumps([head.names, sorted(head.units.items()), sorted(head.facts), sorted(file.facts)])

    def head(self, file: PreparedFile) -> Head:
        """What comes before the rows of a file.

        Raises:
            UndecodableFile: there is no header, or it cannot be one.
            OSError: the file cannot be read.
        """
        wanted = self.dialect.preamble + self.dialect.header
        batches = frame_lines(file.path, self.limits)
        lines = list(islice((line for batch in batches for line in _contents(batch)), wanted + 1))
        if file.lines and len(lines) < wanted:
            raise UndecodableFile(
                HEADER_MISSING, f"{len(lines)} lines; the header is declared to end with line {wanted}"
            )
        if any(problem for _, problem in lines[:wanted]):
            raise UndecodableFile(HEADER_MISSING, f"the first {wanted} lines cannot be read as {self.dialect.encoding}")
        texts = [text for text, _ in lines]
        names, units = self._names(texts[self.dialect.preamble : wanted], texts[wanted] if len(texts) > wanted else "")
        facts: dict[str, str] = {}
        if self.dialect.facts is not None:
            found = re.search(self.dialect.facts, "\n".join(texts[:wanted])[:HEAD_BYTES])
            if found is None and file.lines:
                raise UndecodableFile(
                    HEADER_MISSING, f"{self.dialect.facts!r} is not found in the first {wanted} lines"
                )
            facts = {} if found is None else {k: v for k, v in found.groupdict().items() if v is not None}
        return Head(min(wanted, file.lines), names, units, facts)

    def _names(self, header: Sequence[str], first_row: str) -> tuple[tuple[str, ...], dict[str, str]]:
        rows = [self._split(line) for line in header]
        if any(row is None for row in rows):
            raise UndecodableFile(HEADER_MISSING, "the header ends within quotes")
        cells = [row for row in rows if row is not None]
        width = max((len(row) for row in cells), default=len(self.dialect.columns))
        if not width:
            width = len(self._split(first_row) or [])
        if width > MAX_COLUMNS:
            raise UndecodableFile(TOO_MANY_COLUMNS, f"{width} columns; at most {MAX_COLUMNS} are read")
        header_cells = [[_mended(cell.strip()) for cell in row] for row in cells]
        return column_names(header_cells, width, self.dialect.columns, self.dialect.units)

    # The vectorised reader

    def fast(
        self,
        con: duckdb.DuckDBPyConnection,  # noqa: ARG002 - the queries run on it
        files: Sequence[PreparedFile],
        wanted: Sequence[str],  # noqa: ARG002 - a table has the columns that it has
        folder: Path,  # noqa: ARG002 - no scratch is needed
    ) -> Rows:
        """Rows of clean files with one header, numbered by one running number over the files."""
        heads = {file.number: self.head(file) for file in files}
        files = [file for file in files if file.lines > heads[file.number].lines]
        head = next(iter(heads.values()))
        if self.dialect.comment or not head.names:
            raise UndecodableFile(HEADER_MISSING, "comments are left out by the exact reader only")
        before = [(number, reason, lines) for number, found in heads.items() for reason, lines in self._before(found)]
        columns = [f"c{place}" for place in range(len(head.names))]
        facts = sorted({*head.facts, *(name for file in files for name in file.facts)})
        query = self._empty(columns, facts) if not files else self._read(files, heads, columns, facts)
        return self._rows(query, head, facts, [identifier(c) for c in columns], None, before)

    def _read(
        self, files: Sequence[PreparedFile], heads: Mapping[int, Head], columns: Sequence[str], facts: Sequence[str]
    ) -> str:
        values: list[str] = []
        passed = 0
        for index, file in enumerate(files):
            head = heads[file.number]
            rows = file.lines - head.lines
            said = {**file.facts, **head.facts}
            texts = ", ".join(literal(said.get(name)) + "::VARCHAR" for name in facts)
            values.append(
                f"({index}, {file.number}, {literal(file.source)}, {passed}, {rows}, {head.lines}"
                f"{', ' if facts else ''}{texts})"
            )
            passed += rows
        fact_names = "".join(f", f{place}" for place in range(len(facts)))
        typed = ", ".join(f"{identifier(c)}: 'VARCHAR'" for c in columns)
        paths = ", ".join(literal(str(file.path)) for file in files)
        quote = literal(self.dialect.quote)
        skip = self.dialect.preamble + self.dialect.header
        return f"""
            SELECT b.number::INTEGER AS file,
                CASE WHEN running - b.passed BETWEEN 1 AND b.lines THEN running - b.passed + b.head
                    ELSE error('the number of lines read differs from the number surveyed')::BIGINT END AS line,
                b.source::VARCHAR AS source, NULL::VARCHAR AS problem, r.* EXCLUDE (file_index, running)
                {"".join(f", b.f{place}" for place in range(len(facts)))}
            FROM (
                SELECT file_index::INTEGER AS file_index, row_number() OVER () AS running, *
                FROM read_csv(
                    [{paths}], columns = {{{typed}}}, delim = {literal(self.dialect.delimiter)}, quote = {quote},
                    escape = {quote}, header = false, skip = {skip}, auto_detect = false, strict_mode = true,
                    null_padding = false, compression = 'none', hive_partitioning = false,
                    max_line_size = {self.limits.max_line_bytes + 16}
                )
            ) r
            JOIN (VALUES {", ".join(values)}) AS b (file_index, number, source, passed, lines, head{fact_names})
                USING (file_index)
        """

    @staticmethod
    def _empty(columns: Sequence[str], facts: Sequence[str]) -> str:
        names = [*(identifier(c) for c in columns), *(f"f{place}" for place in range(len(facts)))]
        texts = ", ".join(f"NULL::VARCHAR AS {name}" for name in names)
        return (
            "SELECT NULL::INTEGER AS file, NULL::BIGINT AS line, NULL::VARCHAR AS source, NULL::VARCHAR AS problem,"
            f" {texts} WHERE false"
        )

    # The exact reader

    def exact(
        self,
        con: duckdb.DuckDBPyConnection,  # noqa: ARG002 - the queries run on it
        file: PreparedFile,
        wanted: Sequence[str],  # noqa: ARG002 - a table has the columns that it has
        folder: Path,
    ) -> Rows:
        """Rows of any file, through a scratch file."""
        head = self.head(file)
        facts = {**file.facts, **head.facts}
        scratch = folder / f"rows-{uuid.uuid4().hex}.parquet"
        width = len(head.names)
        schema: Any = _arrow.schema(
            {
                "line": _arrow.int64(),
                "content": _arrow.string(),
                "problem": _arrow.string(),
                **{f"c{place}": _arrow.string() for place in range(width)},
            }
        )
        writer: Any = cast("Any", pq).ParquetWriter(scratch, schema, compression="lz4")
        rows = self._exact_rows(file, head)
        try:
            while batch := list(islice(rows, _BATCH)):
                arrays = [_arrow.array(c, _arrow.string()) for c in zip(*batch, strict=True)]
                arrays[0] = arrays[0].cast(_arrow.int64())
                writer.write_batch(_arrow.RecordBatch.from_arrays(arrays, schema=schema))
        finally:
            writer.close()
        said = "".join(f", {literal(facts[name])}::VARCHAR AS f{place}" for place, name in enumerate(sorted(facts)))
        query = (
            f"SELECT {file.number}::INTEGER AS file, {literal(file.source)}::VARCHAR AS source, *{said}"
            f" FROM read_parquet({literal(str(scratch))})"
        )
        before = [(file.number, reason, lines) for reason, lines in self._before(head)]
        columns = [f"c{place}" for place in range(width)]
        return self._rows(query, head, sorted(facts), columns, "content", before)

    def _exact_rows(self, file: PreparedFile, head: Head) -> Iterator[tuple[str | None, ...]]:
        """Line number, content, problem and cells of every line after the head."""
        width = len(head.names)
        nothing: tuple[None, ...] = (None,) * width
        numbered = (
            (batch.first + index, text, problem)
            for batch in frame_lines(file.path, self.limits)
            for index, (text, problem) in enumerate(_contents(batch))
        )
        lines = _Ahead(islice(numbered, head.lines, None))
        for number, content, problem in lines:
            if problem is not None:
                yield (str(number), content, problem, *nothing)
            elif not content.strip(" \t"):
                yield (str(number), content, BLANK, *nothing)
            elif self.dialect.comment and content.startswith(self.dialect.comment):
                yield (str(number), content, COMMENT, *nothing)
            else:
                cells, joined, reason = self._row(content, lines)
                if cells is not None:
                    while len(cells) > width and not cells[-1]:
                        cells.pop()
                    if len(cells) != width:
                        cells, reason = None, FIELD_COUNT
                shown = nothing if cells is None else tuple(cell or None for cell in cells)
                yield (str(number), joined, reason, *shown)
                for continued in range(joined.count("\n")):
                    yield (str(number + continued + 1), None, CONTINUATION, *nothing)

    def _row(self, content: str, lines: _Ahead) -> tuple[list[str] | None, str, str | None]:
        """Cells of the row that begins with a line, with all its lines, and what is wrong with it."""
        quote = self.dialect.quote
        if not quote or quote not in content:
            return content.split(self.dialect.delimiter), content, None
        joined = content
        for ahead in range(MAX_CELL_LINES):
            cells = self._split(joined)
            if cells is not None:
                lines.take(ahead)
                return (cells, joined, None) if cells else (None, joined, QUOTE_MISPLACED)
            following = lines.look(ahead)
            if following is None or following[2] is not None or len(joined) > self.limits.max_line_bytes:
                break
            joined = f"{joined}\n{following[1]}"
        return None, content, QUOTE_UNCLOSED

    def _split(self, text: str) -> list[str] | None:
        """Cells of a row; None if it ends within quotes, an empty list if a quote stands where none can."""
        quote, delimiter = self.dialect.quote, self.dialect.delimiter
        if not quote or quote not in text:
            return text.split(delimiter)
        quoted = _quoted_cell(quote, delimiter)
        cells: list[str] = []
        place = 0
        while True:
            if text.startswith(quote, len(text[place:]) - len(text[place:].lstrip(" ")) + place):
                match = quoted.match(text, place)
                if match is None:
                    opened = text.index(quote, place)
                    rest = text[opened + 1 :].replace(quote * 2, "")
                    return None if quote not in rest else []
                cells.append(match[1].replace(quote * 2, quote))
                end = match.end()
                if end == len(text) and not match[2]:
                    return cells
                place = end
            else:
                end = text.find(delimiter, place)
                if end < 0:
                    cells.append(text[place:])
                    return cells
                cells.append(text[place:end])
                place = end + 1

    # Both

    def _before(self, head: Head) -> list[tuple[str, int]]:
        preamble = min(self.dialect.preamble, head.lines)
        return [(PREAMBLE, preamble), (HEADER, head.lines - preamble)]

    def _rows(
        self,
        query: str,
        head: Head,
        facts: Sequence[str],
        columns: Sequence[str],
        payload: str | None,
        before: Sequence[tuple[int, str, int]],
    ) -> Rows:
        fields = {name: RowField(f"f{place}") for place, name in enumerate(facts)}
        fields |= {
            name: RowField(column, unit=head.units.get(name)) for name, column in zip(head.names, columns, strict=True)
        }
        width = len(head.names)
        return Rows(
            query=query,
            fields=fields,
            columns=head.names,
            payload=payload,
            passed_over=(BLANK, COMMENT, CONTINUATION),
            before=before,
            number=self._number,
            explanations={FIELD_COUNT: f"expected {width} cells as the header has them"},
        )

    def _number(self, text: str) -> str:
        """SQL expression: a number in the plain form, from one in the dialect's."""
        decimal, thousands = self.dialect.decimal, self.dialect.thousands
        if not thousands:
            return (
                text
                if decimal == "."
                else f"CASE WHEN contains({text}, '.') THEN NULL ELSE replace({text}, ',', '.') END"
            )
        mark, sign = re.escape(thousands), re.escape(decimal)
        grouped = literal(rf"\s*[-+]?\d{{1,3}}({mark}\d{{3}})+({sign}\d*)?\s*")
        plain = f"replace(replace({text}, {literal(thousands)}, ''), {literal(decimal)}, '.')"
        return (
            f"CASE WHEN NOT contains({text}, {literal(thousands)}) THEN replace({text}, {literal(decimal)}, '.')"
            f" WHEN regexp_full_match({text}, {grouped}) THEN {plain} END"
        )


@dataclass(frozen=True)
class TsvRows(CsvRows):
    """Rows of text delimited by tabulators."""

    name: str = "tsv"

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> TsvRows:
        """See `CsvRows`."""
        return cls(CsvDialect.model_validate({"delimiter": "\t", **options}), Limits())


class _Ahead:
    """Lines that can be looked at before they are taken."""

    def __init__(self, lines: Iterator[tuple[int, str, str | None]]) -> None:
        self._lines = lines
        self._seen: list[tuple[int, str, str | None]] = []

    def __iter__(self) -> Iterator[tuple[int, str, str | None]]:
        while True:
            line = self._seen.pop(0) if self._seen else next(self._lines, None)
            if line is None:
                return
            yield line

    def look(self, ahead: int) -> tuple[int, str, str | None] | None:
        """The line that comes after ``ahead`` others."""
        while len(self._seen) <= ahead:
            line = next(self._lines, None)
            if line is None:
                return None
            self._seen.append(line)
        return self._seen[ahead]

    def take(self, count: int) -> None:
        """Take lines that were looked at."""
        del self._seen[:count]


def _contents(batch: LineBatch) -> Iterator[tuple[str, str | None]]:
    for index, content in enumerate(batch.contents):
        yield content, batch.problems.get(index)


def _quoted_cell(quote: str, delimiter: str) -> re.Pattern[str]:
    mark = re.escape(quote)
    return re.compile(rf" *{mark}((?:[^{mark}]|{mark}{mark})*){mark} *({re.escape(delimiter)}|\Z)")


def _mended(name: str) -> str:
    """A name that was encoded to UTF-8 twice as it was before the second time; any other name as it is."""
    if name.isascii():
        return name
    for codec in ("latin-1", "cp1252"):
        try:
            return name.encode(codec).decode("utf-8")
        except UnicodeError:
            continue
    return name
