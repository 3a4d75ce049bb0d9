"""Tables: rows with named fields, whatever format delivered them, become observations or records.

A `RowFormat` says as SQL how the bytes of files become numbered rows with fields; what the fields mean is said here,
once for all formats, so that the same data in two formats gives equal tables.

Belongs here: the way from rows to a decoding. Does not belong here: a format, the declarations (`shapes`,
`time_reading`, `status_reading`), what a token is (`text_values`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import duckdb

from idm_assets.capture.content import Expected
from idm_assets.capture.decoders import Decoding, PreparedFile, UndecodableFile
from idm_assets.capture.remarks import NUMBER_ROUNDED, TRIMMED
from idm_assets.capture.shapes import (
    IN_BRACES,
    Extract,
    LongReading,
    Pair,
    PairsReading,
    Pick,
    RecordReading,
    WideReading,
)
from idm_assets.capture.status_reading import STATUS_UNREADABLE, StatusReading, status_code
from idm_assets.capture.text_values import as_text, is_as_written, is_blank, is_rounded, number, trimmed
from idm_assets.capture.time_reading import TimeReading, timed
from idm_assets.sql import literal
from idm_assets.status import BAD_NO_DATA, GOOD

TAG_MISSING: Final = "tag_missing"
SOURCE_MISSING: Final = "source_missing"
FIELD_MISSING: Final = "field_missing"
TOO_MANY_COLUMNS: Final = "too_many_columns"
EMPTY_ROW: Final = "empty_row"

MAX_COLUMNS: Final = 2_000
"""Most columns of a file. DuckDB holds 2,048 rows of every column at each step of a query, so that 4,000 need more than
the 1 GB that a connection has."""
MAX_CELLS: Final = 1_000
"""Most fields of a row that become observations or the record, each of which is in a query several times."""

Shape = LongReading | PairsReading | WideReading | RecordReading


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row, as SQL expressions over the query of `Rows`.

    Attributes:
        text: VARCHAR: the field as delivered; NULL: nothing was, or what was is in ``double``.
        double: DOUBLE: the number, where the format delivers doubles, exactly; NULL: none, see ``text``.
        instant: TIMESTAMPTZ, where the format delivers instants that are no text.
        unit: the unit that the file declares for the field.
    """

    text: str
    double: str | None = None
    instant: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Rows:
    """Numbered rows with fields.

    Attributes:
        query: query with columns ``file INTEGER, line BIGINT, source VARCHAR, problem VARCHAR`` (reason code of a row
            that cannot be read, or of one that holds nothing) and whatever the fields refer to.
        fields: the fields of a row by name, those of the file's head and path among them.
        columns: names of the fields that the rows themselves have, in order; empty where rows differ.
        payload: SQL expression: what the quarantine shows of a row; None: this reader cannot show it, so that a file
            with rows to reject is read by the exact reader.
        passed_over: problems that are no rejections: rows that hold nothing.
        before: units before the first row, such as a header, as rows of SQL values ``(file, reason, lines)``.
        number: makes of the SQL text of a field the SQL of its number as `text_values.number` would read it.
        explanations: what people are told about a problem, by reason code.
        document: SQL expression: the whole row as canonical JSON object, where rows differ in their fields; it is the
            record unless the declaration says which fields belong to it.
        record_problem: SQL expression: reason code of a row that can be read, but is no record.
    """

    query: str
    fields: Mapping[str, Field]
    columns: Sequence[str]
    payload: str | None
    passed_over: Sequence[str] = ()
    before: Sequence[tuple[int, str, int]] = ()
    number: Callable[[str], str] = str
    explanations: Mapping[str, str] | None = None
    document: str | None = None
    record_problem: str | None = None


class RowFormat(Protocol):
    """A format that delivers rows; attributes and errors as for `Decoder`."""

    @property
    def name(self) -> str:
        """Name of the format."""
        ...

    @property
    def code_version(self) -> str:
        """Changes whenever the same bytes would be read otherwise."""
        ...

    @property
    def unit(self) -> str:
        """What is counted."""
        ...

    @property
    def expected(self) -> Expected:
        """What a file has to hold."""
        ...

    def count(self, file: PreparedFile) -> int:
        """Number of units, by means that the rows do not share."""
        ...

    def layout(self, file: PreparedFile) -> str:
        """What files must have in common to be read by one call of `fast`."""
        ...

    def fast(
        self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], wanted: Sequence[str], folder: Path
    ) -> Rows:
        """Rows of clean files by the vectorised reader."""
        ...

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, wanted: Sequence[str], folder: Path) -> Rows:
        """Rows of any file, each that cannot be read with its problem."""
        ...


@dataclass(frozen=True, slots=True)
class Tabular:
    """Decoder of a format of rows, set up with what the rows mean.

    Attributes:
        rows: the format.
        time: how the time of a row is read.
        shape: what a row becomes.
        statuses: how statuses are read.
        zone: IANA zone of timestamps that carry none.
    """

    rows: RowFormat
    time: TimeReading
    shape: Shape
    statuses: StatusReading
    zone: str = "UTC"

    @property
    def name(self) -> str:
        """Name of the format."""
        return self.rows.name

    @property
    def code_version(self) -> str:
        """Version of the format's rows and of what they mean here."""
        return f"{self.rows.code_version}.1"

    @property
    def unit(self) -> str:
        """What is counted."""
        return self.rows.unit

    @property
    def expected(self) -> Expected:
        """What a file has to hold."""
        return self.rows.expected

    def count(self, file: PreparedFile) -> int:
        """Number of units; see `RowFormat`."""
        return self.rows.count(file)

    def layout(self, file: PreparedFile) -> str:
        """What files must have in common; see `RowFormat`."""
        return self.rows.layout(file)

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], folder: Path) -> Decoding:
        """Decode clean files; see `Decoder`."""
        return self._decoding(self.rows.fast(con, files, self._wanted(), folder))

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, folder: Path) -> Decoding:
        """Decode any file; see `Decoder`."""
        return self._decoding(self.rows.exact(con, file, self._wanted(), folder))

    def _wanted(self) -> Sequence[str]:
        """Names that the declaration speaks of, for formats that have to look for their fields."""
        names = [name for field in self.time.fields for name in _names(field)]
        match self.shape:
            case LongReading(tag=tag, value=value, status=status, source=source, unit=unit):
                picks = [tag, value, status, source, unit]
            case PairsReading(pairs=pairs, source=source):
                picks = [source, *(pick for pair in pairs for pick in (pair.tag, pair.value))]
            case WideReading(columns=columns, source=source):
                picks = [source, *columns.values()]
            case RecordReading(fields=fields, only=only):
                picks = [*fields.values(), *only]
        names += [name for pick in picks if pick is not None for name in _names(_field_of(pick))]
        return list(dict.fromkeys(names))

    def _decoding(self, rows: Rows) -> Decoding:
        meaning = _RecordMeaning if isinstance(self.shape, RecordReading) else _ObservationMeaning
        return meaning(self, rows).of(rows.query)


class _Meaning:
    """What some rows mean, as SQL."""

    def __init__(self, tabular: Tabular, rows: Rows) -> None:
        self.declared = tabular
        self.rows = rows

    def of(self, query: str) -> Decoding:
        """The decoding of rows with the columns of the format's query."""
        raise NotImplementedError

    # Fields

    def text(self, pick: Pick | None) -> str:
        """SQL expression: the text that a pick takes, NULL where it or any part of a template is missing."""
        if pick is None:
            return "NULL::VARCHAR"
        if isinstance(pick, Extract):
            return f"nullif(regexp_extract({self.text(pick.field)}, {literal(pick.pattern)}, 1), '')"
        if not IN_BRACES.search(pick) or pick in self.rows.fields:
            return _as_text(self.field(pick))
        parts: list[str] = []
        for index, part in enumerate(IN_BRACES.split(pick)):
            if index % 2:
                parts.append(_as_text(self.field(part)))
            elif part:
                parts.append(literal(part))
        return f"({' || '.join(parts)})"

    def field(self, name: str) -> Field:
        """A field by name.

        Raises:
            UndecodableFile: the rows have no such field, so this is another file than was declared.
        """
        found = self.rows.fields.get(name)
        if found is None:
            known = ", ".join(list(self.rows.fields)[:30]) or "none"
            raise UndecodableFile(FIELD_MISSING, f"no field {name!r} in this file; its fields: {known[:2000]}")
        return found

    def timed(self, query: str) -> str:
        """Query: the rows with their time."""
        time = self.declared.time
        typed = None
        if len(time.fields) == 1 and not IN_BRACES.search(time.fields[0]):
            typed = self.field(time.fields[0]).instant
        text = "concat_ws(' ', " + ", ".join(self.text(field) for field in time.fields) + ")"
        if len(time.fields) == 1:
            text = self.text(time.fields[0])
        return timed(query, trimmed(text), typed, time, self.declared.zone)

    # Decodings

    def skipped(self, judged: str) -> str:
        """Query for what was skipped, what comes before the rows among it."""
        before = "".join(
            f" UNION ALL SELECT {file}::INTEGER, {literal(reason)}, {lines}::BIGINT"
            for file, reason, lines in self.rows.before
            if lines
        )
        return (
            f"SELECT file, skip AS reason, count(*)::BIGINT AS lines FROM ({judged}) WHERE skip IS NOT NULL"
            f" GROUP BY ALL{before}"
        )

    def rejected(self, judged: str, explanation: str) -> str:
        """Query for the rejected rows; for none, where the reader cannot show them."""
        payload = self.rows.payload
        shown = "true" if payload is not None else "false"
        told = "".join(
            f" WHEN {literal(code)} THEN {literal(text)}" for code, text in (self.rows.explanations or {}).items()
        )
        expected = literal(f"expected {self.declared.time.expected} in {' '.join(self.declared.time.fields)}, found ")
        return f"""
            SELECT file, line, {payload or "NULL::VARCHAR"} AS payload, reason,
                CASE WHEN starts_with(reason, 'timestamp')
                    THEN concat({expected}, coalesce('"' || left(time_text, 100) || '"', 'nothing'))
                {explanation}{told and f" ELSE CASE reason{told} END"} END AS detail
            FROM ({judged}) WHERE reason IS NOT NULL AND {shown}
        """

    def passed_over(self) -> str:
        """SQL expression: the problem, where it is no rejection."""
        codes = ", ".join(literal(code) for code in self.rows.passed_over) or "NULL"
        return f"CASE WHEN problem IN ({codes}) THEN problem END"

    def nothing_delivered(self) -> str:
        """SQL condition: all fields of the row are empty."""
        texts = [_as_text(self.rows.fields[name]) for name in self.rows.columns]
        return f"coalesce({', '.join(texts)}) IS NULL" if texts else "false"


class _RecordMeaning(_Meaning):
    """Rows that are records."""

    def of(self, query: str) -> Decoding:
        """See `_Meaning`."""
        shape = self.declared.shape
        assert isinstance(shape, RecordReading), "records are read by a record reading"
        payload = self.rows.document
        if payload is None or shape.only:
            names = sorted(shape.only or self.rows.columns)
            _refuse_beyond(len(names))
            pairs = ", ".join(f"{literal(name)}, {_as_text(self.field(name))}" for name in names)
            payload = f"json_object({pairs})::VARCHAR"
        no_record = f"coalesce({self.rows.record_problem or 'NULL'}, ts_problem)"
        judged = f"""
            SELECT *, CASE WHEN problem IS NOT NULL THEN {self.passed_over()}
                WHEN {self.nothing_delivered()} THEN '{EMPTY_ROW}' END AS skip,
                CASE WHEN problem IS NOT NULL THEN CASE WHEN {self.passed_over()} IS NULL THEN problem END
                WHEN NOT ({self.nothing_delivered()}) THEN {no_record} END AS reason
            FROM ({self.timed(query)})
        """
        return Decoding(
            rows=f"""
                SELECT file, line, 1::INTEGER AS part, ts, ts_remarks AS remarks,
                    CASE WHEN reason IS NULL AND skip IS NULL THEN {payload} END AS payload
                FROM ({judged}) WHERE reason IS NULL AND skip IS NULL
            """,
            rejected=self.rejected(judged, ""),
            skipped=self.skipped(judged),
            lines=query,
            meaning=self.of,
        )


class _ObservationMeaning(_Meaning):
    """Rows that are observations."""

    def of(self, query: str) -> Decoding:
        """See `_Meaning`."""
        cells = self.cells()
        judged = self.judged(query, cells)
        values = self.values(judged, cells)
        return Decoding(
            rows=values,
            rejected=self.rejected(judged, self.explained()),
            skipped=self.skipped(judged),
            lines=query,
            meaning=self.of,
            cells=len(cells) if len(cells) > 1 else None,
        )

    def cells(self) -> list[tuple[str, Field]]:
        """The cells of a row that hold values: SQL expression of the tag, and the field."""
        match self.declared.shape:
            case LongReading(tag=tag, value=value):
                return [(self.text(tag), self.value_of(value))]
            case PairsReading(pairs=pairs):
                return [self.pair(pair) for pair in pairs]
            case WideReading(columns=columns) as wide if columns:
                _refuse_beyond(len(columns))
                return [(literal(_replaced(wide.tag, tag)), self.value_of(pick)) for tag, pick in columns.items()]
            case WideReading() as wide:
                return self.all_columns(wide)
            case RecordReading():
                raise AssertionError("records have no cells")

    def all_columns(self, wide: WideReading) -> list[tuple[str, Field]]:
        """A cell for every column that says neither time nor source."""
        taken = {name for field in self.declared.time.fields for name in _names(field)} | set(wide.without)
        if wide.source is not None:
            taken |= set(_names(_field_of(wide.source)))
        for name in taken:
            self.field(name)
        names = [name for name in self.rows.columns if name not in taken]
        _refuse_beyond(len(names))
        if not names:
            raise UndecodableFile(FIELD_MISSING, "no column is left that could hold values")
        return [(literal(_replaced(wide.tag, name)), self.rows.fields[name]) for name in names]

    def pair(self, pair: Pair) -> tuple[str, Field]:
        """A pair, whose value is nothing where its tag is blank."""
        tag, value = self.text(pair.tag), self.value_of(pair.value)
        there = f"NOT coalesce({is_blank(tag)}, true)"
        double = None if value.double is None else f"CASE WHEN {there} THEN {value.double} END"
        return tag, Field(f"CASE WHEN {there} THEN coalesce({value.text}, '') END", double)

    def value_of(self, pick: Pick) -> Field:
        """The field that a pick takes the value from."""
        if isinstance(pick, str) and pick in self.rows.fields:
            return self.rows.fields[pick]
        if isinstance(pick, str) and not IN_BRACES.search(pick):
            return self.field(pick)
        return Field(self.text(pick))

    def judged(self, query: str, cells: Sequence[tuple[str, Field]]) -> str:
        """Query: every row with its time, source, status, and why it is rejected or skipped."""
        shape = self.declared.shape
        status = self.text(shape.status) if isinstance(shape, LongReading) else "NULL::VARCHAR"
        source = None if isinstance(shape, RecordReading) else shape.source
        tag = self.text(shape.tag) if isinstance(shape, LongReading) else "''"
        named = "source" if source is None else f"coalesce(nullif({trimmed(self.text(source))}, ''), source)"
        unread = "said_status IS NOT NULL AND status_read IS NULL"
        is_reported = self.is_reported(cells)
        return f"""
            SELECT *,
                CASE WHEN problem IS NOT NULL THEN {self.passed_over()}
                    WHEN {self.nothing_delivered()} OR NOT {is_reported} THEN '{EMPTY_ROW}' END AS skip,
                CASE WHEN problem IS NOT NULL THEN CASE WHEN {self.passed_over()} IS NULL THEN problem END
                    WHEN {self.nothing_delivered()} OR NOT {is_reported} THEN NULL
                    WHEN ts_problem IS NOT NULL THEN ts_problem
                    {f"WHEN tag_text IS NULL OR {is_blank('tag_text')} THEN '{TAG_MISSING}'" if tag != "''" else ""}
                    WHEN named_source IS NULL THEN '{SOURCE_MISSING}'
                    {f"WHEN {unread} THEN '{STATUS_UNREADABLE}'" if status != "NULL::VARCHAR" else ""}
                END AS reason
            FROM (
                SELECT *, {status_code("said_status", self.declared.statuses)} AS status_read
                FROM (
                    SELECT *, {named} AS named_source, {tag} AS tag_text, nullif({trimmed(status)}, '') AS said_status,
                        {status} AS status_text
                    FROM ({self.timed(query)})
                )
            )
        """

    def is_reported(self, cells: Sequence[tuple[str, Field]]) -> str:
        """SQL condition: the row says something of some tag."""
        shape = self.declared.shape
        if isinstance(shape, LongReading) or (isinstance(shape, WideReading) and shape.empty == "no_data"):
            return "true"
        doubles = [field.double for _, field in cells if field.double is not None]
        # DuckDB plans this in half the time of a condition per cell.
        either = [
            f"coalesce({', '.join(parts)}) IS NOT NULL" for parts in (doubles, [f.text for _, f in cells]) if parts
        ]
        return f"({' OR '.join(either)})"

    def explained(self) -> str:
        """SQL cases: what people are told about a row that names no tag or source, or no status that is known."""
        return (
            f" WHEN reason = '{STATUS_UNREADABLE}' THEN concat('expected a status of the scale"
            f" {self.declared.statuses.scale} or a declared word, found \"', left(said_status, 100), '\"')"
        )

    def values(self, judged: str, cells: Sequence[tuple[str, Field]]) -> str:
        """Query for the observations."""
        doubles = any(field.double is not None for _, field in cells)
        shape = self.declared.shape
        # A bound rather than a filter decides which rows give observations: the optimizer would push a filter down to
        # where everything it depends on is worked out a second time.
        kept = "reason IS NULL AND skip IS NULL"
        if len(cells) == 1:
            (_, field) = cells[0]
            tag = "tag_text" if isinstance(shape, LongReading) else cells[0][0]
            texts, doubles_list = field.text, field.double or "NULL::DOUBLE"
            unnested = (
                f"SELECT file, line, unnest(range(1, CASE WHEN {kept} THEN 2 ELSE 1 END))::INTEGER AS part,"
                f" named_source AS source, ts, ts_remarks, status_read, said_status, status_text, {tag} AS tag,"
                f" {texts} AS cell, {doubles_list} AS cell_double, {self.unit(field)} AS unit FROM ({judged})"
            )
        else:
            unnested = self.unnested(judged, cells, kept, doubles=doubles)
        typed = "cell_double IS NOT NULL THEN cell_double WHEN " if doubles else ""
        read = f"CASE WHEN {typed}cell IS NOT NULL THEN {number(self.rows.number('cell'))} END"
        spelled = is_as_written(self.rows.number("cell"), "value")
        is_inexact = is_rounded(self.rows.number("cell"), "value")
        rounded = f"CASE WHEN value IS NOT NULL AND {is_inexact} THEN {NUMBER_ROUNDED} ELSE 0 END"
        trimmed = f"CASE WHEN said_status IS NOT NULL AND said_status <> status_text THEN {TRIMMED} ELSE 0 END"
        nothing = (
            f"cell IS NULL{' AND cell_double IS NULL' if doubles else ''} AND coalesce(status_read, 0) < 1073741824"
        )
        return f"""
            SELECT file, line, part, source, tag, ts, value,
                CASE WHEN value IS NOT NULL AND {spelled} THEN NULL ELSE cell END AS text,
                CASE WHEN {nothing} THEN {BAD_NO_DATA} ELSE coalesce(status_read, {GOOD}) END::BIGINT AS status,
                CASE WHEN unit IS NOT NULL THEN json_object('unit', unit)::VARCHAR END AS detail,
                (ts_remarks | {rounded} | {trimmed})::INTEGER AS remarks
            FROM (SELECT *, {read} AS value FROM ({unnested}))
        """

    def unit(self, field: Field) -> str:
        """SQL expression: the unit of a row's only cell."""
        shape = self.declared.shape
        if isinstance(shape, LongReading) and shape.unit is not None:
            return self.text(shape.unit)
        return f"{literal(field.unit)}::VARCHAR"

    def unnested(self, judged: str, cells: Sequence[tuple[str, Field]], kept: str, *, doubles: bool) -> str:
        """Query: a row per cell that says something, numbered from the first such cell of its row."""
        shape = self.declared.shape
        count = len(cells)
        texts = ", ".join(f"({field.text})::VARCHAR" for _, field in cells)
        numbers = ", ".join(f"({field.double or 'NULL'})::DOUBLE" for _, field in cells)
        tags = ", ".join(tag for tag, _ in cells)
        is_named = isinstance(shape, PairsReading)
        says = "true" if isinstance(shape, WideReading) and shape.empty == "no_data" else "cell IS NOT NULL"
        if doubles and says != "true":
            says = "(cell IS NOT NULL OR cell_double IS NOT NULL)"
        first = "1"
        if says != "true":
            parts = [
                " OR ".join(f"({part}) IS NOT NULL" for part in (field.double, field.text) if part is not None)
                for _, field in cells
            ]
            first = "CASE " + " ".join(f"WHEN {part} THEN {n}" for n, part in enumerate(parts, start=1)) + " END"
        tag_list = f", unnest([{tags}]) AS named_tag" if is_named else ""
        tag = "named_tag" if is_named else f"list_extract([{tags}], place)"
        inner = (
            f"SELECT file, line, named_source AS source, ts, ts_remarks, status_read, said_status, status_text,"
            f" {first} AS first_place, unnest(CASE WHEN {kept} THEN range(1, {count + 1}) END)::INTEGER AS place,"
            f" unnest(CASE WHEN {kept} THEN [{texts}] END) AS cell"
            + (
                f", unnest(CASE WHEN {kept} THEN [{numbers}] END) AS cell_double"
                if doubles
                else ", NULL::DOUBLE AS cell_double"
            )
            + tag_list.replace("unnest([", f"unnest(CASE WHEN {kept} THEN [").replace("]) AS", "] END) AS")
            + f" FROM ({judged})"
        )
        return (
            f"SELECT file, line, (place - first_place + 1)::INTEGER AS part, source, ts, ts_remarks, status_read,"
            f" said_status, status_text, {tag} AS tag, cell, cell_double, {_listed_units(cells)} AS unit FROM ({inner})"
            f" WHERE {says}"
        )


def _refuse_beyond(cells: int) -> None:
    if cells > MAX_CELLS:
        raise UndecodableFile(
            TOO_MANY_COLUMNS,
            f"{cells} columns would be read; at most {MAX_CELLS} are: declare those that are wanted, as columns of wide"
            " or only of record",
        )


def _listed_units(cells: Sequence[tuple[str, Field]]) -> str:
    """SQL expression: the unit of the cell at ``place``."""
    if all(field.unit is None for _, field in cells):
        return "NULL::VARCHAR"
    return f"list_extract([{', '.join(f'{literal(field.unit)}::VARCHAR' for _, field in cells)}], place)"


def _as_text(field: Field) -> str:
    """SQL expression: a field as text, whatever its type."""
    typed = [] if field.double is None else [as_text(f"({field.double})")]
    if field.instant is not None:
        typed.append(f"({field.instant})::VARCHAR")
    return f"coalesce({', '.join([field.text, *typed])})" if typed else field.text


def _field_of(pick: Pick) -> str:
    return pick if isinstance(pick, str) else pick.field


def _names(template: str) -> list[str]:
    """Names that a field name or template speaks of."""
    return IN_BRACES.findall(template) or [template]


def _replaced(template: str, column: str) -> str:
    return template.replace("{column}", column)
