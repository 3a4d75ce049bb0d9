"""Rows of one sheet of an Excel workbook (XLSX).

Every row that the file has is a unit, empty ones among them; rows that Excel leaves out because nothing was ever in
them are none. Units are numbered one after the other; the number that Excel shows is in the payload of the quarantine
as ``row``. Rows before the header and of the header are told by the numbers that Excel shows.

Numbers are the doubles that are stored, dates and times ISO 8601 text with milliseconds by the format that they are
shown in, booleans ``true`` and ``false``, errors their text, such as ``#N/A``. Of merged cells the first holds the
value; so has a formula the value that it gave last, if any.

Belongs here: headers, and rows as fields. Does not belong here: packages and cells (`xlsx_cells`), what fields mean
(`tabular`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.csv_rows import FIELD_COUNT, HEADER, HEADER_MISSING, PREAMBLE
from idm_assets.capture.decoders.table_header import column_names
from idm_assets.capture.decoders.tabular import MAX_COLUMNS, TOO_MANY_COLUMNS, Rows
from idm_assets.capture.decoders.tabular import Field as RowField
from idm_assets.capture.decoders.xlsx_cells import Row, Value, column_letters, opened_workbook
from idm_assets.sql import literal

_CELLS_AT_ONCE: Final = 500_000
_ROWS_AT_ONCE: Final = 4_096
_EXPECTED: Final = Expected(Content.BYTES, kinds=frozenset({"opc"}))
# pyarrow has no types; what comes from it stays within this module.
_arrow: Any = cast("Any", pa)


class SheetTable(BaseModel):
    """Where in a workbook the table stands; what is also said of CSV means the same there.

    Attributes:
        sheet: name of the sheet, or its number from 1, hidden ones counted.
        preamble: number of rows before the header, as Excel numbers them.
        header: number of rows that name the columns; several are joined by a blank.
        columns: names of the columns, where no row names them, or by other names than these.
        units: whether names end in a unit in brackets, which is not part of the name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sheet: int | str = 1
    preamble: int = Field(default=0, ge=0, le=1000)
    header: int = Field(default=1, ge=0, le=10)
    columns: tuple[str, ...] = Field(default=(), max_length=MAX_COLUMNS)
    units: Literal["none", "in_brackets"] = "none"


class Head(NamedTuple):
    """What comes before the rows: number of rows before the header and of it, then names and units of the columns."""

    preamble: int
    header: int
    names: tuple[str, ...]
    units: Mapping[str, str]


@dataclass(frozen=True)
class XlsxRows:
    """Rows of a sheet; see the module.

    Attributes:
        table: where it stands.
    """

    table: SheetTable
    name: str = "xlsx"
    code_version: str = "1"
    unit: str = "row"
    expected: Expected = _EXPECTED

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> XlsxRows:
        """Set up with the options of a source declaration.

        Raises:
            pydantic.ValidationError: an option is unknown or none.
        """
        return cls(SheetTable.model_validate(options))

    def count(self, file: PreparedFile) -> int:
        """The rows that the sheet has, by expat; the cells are read by libxml2."""
        with opened_workbook(file.path) as workbook:
            return workbook.count_rows(self.table.sheet)

    def layout(self, file: PreparedFile) -> str:
        """The names of the columns with their units, and of the facts."""
        head = self.head(file)
        return json.dumps([head.names, sorted(head.units.items()), sorted(file.facts)])

    def head(self, file: PreparedFile) -> Head:
        """What comes before the rows of a sheet.

        Raises:
            UndecodableFile: there is no header, or it cannot be one.
            OSError: the file cannot be read.
        """
        first = self.table.preamble + self.table.header
        preamble = 0
        header: list[list[str]] = []
        width = len(self.table.columns)
        with opened_workbook(file.path) as workbook:
            for row in workbook.rows(self.table.sheet):
                if row.number > first:
                    if not self.table.header:
                        width = max(width, _width([row]))
                    break
                if row.number <= self.table.preamble:
                    preamble += 1
                else:
                    header.append([_text(row.cells.get(place)) for place in range(_width([row]))])
        width = max(width, *map(len, header), 0)
        if not width:
            raise UndecodableFile(
                HEADER_MISSING,
                f"nothing is in the rows {self.table.preamble + 1} to {first} of the sheet, which are declared to name"
                " the columns",
            )
        if width > MAX_COLUMNS:
            raise UndecodableFile(TOO_MANY_COLUMNS, f"{width} columns; at most {MAX_COLUMNS} are read")
        names, units = column_names(header, width, self.table.columns, self.table.units)
        return Head(preamble, len(header), names, units)

    def fast(
        self,
        con: duckdb.DuckDBPyConnection,  # noqa: ARG002 - the queries run on it
        files: Sequence[PreparedFile],
        wanted: Sequence[str],  # noqa: ARG002 - a table has the columns that it has
        folder: Path,
    ) -> Rows:
        """Rows of sheets of one header, through a scratch file."""
        heads = {file.number: self.head(file) for file in files}
        head = next(iter(heads.values()))
        facts = sorted({name for file in files for name in file.facts})
        scratch = folder / f"rows-{uuid.uuid4().hex}.parquet"
        self._write(scratch, files, heads)
        said = ", ".join(
            f"({file.number}::INTEGER, {literal(file.source)}::VARCHAR"
            + "".join(f", {literal(file.facts.get(name))}::VARCHAR" for name in facts)
            + ")"
            for file in files
        )
        fact_columns = [f"f{place}" for place in range(len(facts))]
        query = (
            f"SELECT b.*, r.* EXCLUDE (file) FROM read_parquet({literal(str(scratch))}) r"
            f" JOIN (VALUES {said}) AS b({', '.join(('file', 'source', *fact_columns))}) ON b.file = r.file"
        )
        fields = {name: RowField(column) for name, column in zip(facts, fact_columns, strict=True)}
        fields |= {
            name: RowField(f"t{place}", f"n{place}", unit=head.units.get(name)) for place, name in enumerate(head.names)
        }
        cells = ", ".join(
            f"{literal(name)}, CASE WHEN n{place} IS NULL THEN to_json(t{place}) ELSE to_json(n{place}) END"
            for place, name in enumerate(head.names)
        )
        return Rows(
            query=query,
            fields=fields,
            columns=head.names,
            payload=f"coalesce(content, json_object('row', row_number, 'cells', json_object({cells}))::VARCHAR)",
            before=[
                (number, reason, count)
                for number, found in heads.items()
                for reason, count in ((PREAMBLE, found.preamble), (HEADER, found.header))
            ],
            explanations={FIELD_COUNT: f"a cell beyond the {len(head.names)} columns that the header names"},
        )

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, wanted: Sequence[str], folder: Path) -> Rows:
        """Rows of a sheet; a workbook is read to its end before it is believed, so there is one way only."""
        return self.fast(con, [file], wanted, folder)

    def _write(self, scratch: Path, files: Sequence[PreparedFile], heads: Mapping[int, Head]) -> None:
        names = next(iter(heads.values())).names
        own = {"file": _arrow.int32(), "line": _arrow.int64(), "row_number": _arrow.int64()}
        own |= dict.fromkeys(("problem", "content"), _arrow.string())
        texts = {f"t{place}": _arrow.string() for place in range(len(names))}
        numbers = {f"n{place}": _arrow.float64() for place in range(len(names))}
        schema: Any = _arrow.schema({**own, **texts, **numbers})
        writer: Any = cast("Any", pq).ParquetWriter(scratch, schema, compression="lz4")
        at_once = max(1, min(_ROWS_AT_ONCE, _CELLS_AT_ONCE // len(names)))
        try:
            for file in files:
                before = heads[file.number].preamble + heads[file.number].header
                with opened_workbook(file.path) as workbook:
                    rows = enumerate(workbook.rows(self.table.sheet), start=1)
                    wanted = islice(rows, before, None)
                    while batch := list(islice(wanted, at_once)):
                        columns = _columns(file.number, batch, names)
                        arrays = [_arrow.array(c, kind) for c, kind in zip(columns, schema.types, strict=True)]
                        writer.write_batch(_arrow.RecordBatch.from_arrays(arrays, schema=schema))
        finally:
            writer.close()


def _columns(file: int, batch: Sequence[tuple[int, Row]], names: Sequence[str]) -> Iterator[Sequence[object]]:
    """Some rows as columns of the scratch file."""
    width = len(names)
    texts: list[list[str | None]] = [[None] * len(batch) for _ in names]
    numbers: list[list[float | None]] = [[None] * len(batch) for _ in names]
    problems: list[str | None] = [None] * len(batch)
    contents: list[str | None] = [None] * len(batch)
    for index, (_, row) in enumerate(batch):
        for place, value in row.cells.items():
            if place >= width:
                problems[index] = FIELD_COUNT
                contents[index] = _content(row, names)
            elif isinstance(value, str):
                texts[place][index] = value
            else:
                numbers[place][index] = value
    yield [file] * len(batch)
    yield [line for line, _ in batch]
    yield [row.number for _, row in batch]
    yield from (problems, contents)
    yield from texts
    yield from numbers


def _content(row: Row, names: Sequence[str]) -> str:
    """A row that has cells beyond its columns, for people."""
    cells = {names[at] if at < len(names) else column_letters(at): value for at, value in row.cells.items()}
    return json.dumps({"row": row.number, "cells": cells}, ensure_ascii=False)


def _width(rows: Iterable[Row]) -> int:
    return max((place + 1 for row in rows for place in row.cells), default=0)


def _text(value: Value) -> str:
    """The text of a cell of the header."""
    return "" if value is None else str(value)
