"""Rows of columnar files: Parquet, and Arrow IPC as file (Feather 2) or stream.

Sources of the formats: Apache Parquet, format 2.12; Apache Arrow, "Serialization and Interprocess Communication".

What the types of columns become, so that the same data as text would give the same:

* integers and decimals are text with all their digits, decimals in their scale; a number that no double holds keeps
  them;
* FLOAT and DOUBLE are doubles, a FLOAT exactly the one that it is (0.1 is 0.10000000149011612); NaN and infinities are
  no numbers but the texts ``nan``, ``inf`` and ``-inf``;
* timestamps, dates and times are ISO 8601 text, and timestamps in UTC instants as well. Those without a zone are local
  times. Deprecated INT96 timestamps are local times, cut to the microsecond;
* booleans are ``true`` and ``false``, dictionaries and enumerations their text, bytes hexadecimal after ``0x``,
  durations whole numbers with their unit;
* lists, structs and maps are JSON text; the fields of a struct are also fields of their own, as ``struct.field``.

Clean Parquet files are read by DuckDB in place. All else is taken to a scratch file by pyarrow, batch by batch, each
checked in full before it is believed: what cannot be read of a file costs its row group or record batch, no more.
An Arrow file is not handed to DuckDB as it is, because it would have to be read again for every query, unchecked.

Belongs here: from columnar files to rows. Does not belong here: what fields mean (`tabular`).
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ipc
from pydantic import BaseModel, ConfigDict

from idm_assets.capture.containers import UNPACKS_TOO_LARGE, Limits
from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.arrow_columns import (
    Arrow,
    as_target,
    has_bounds,
    is_beyond_duckdb,
    is_finite,
    is_within_bounds,
    sound_columns,
    target_type,
    within_bounds,
)
from idm_assets.capture.decoders.arrow_messages import CORRUPT_FILE, record_batches
from idm_assets.capture.decoders.table_header import distinct_names
from idm_assets.capture.decoders.tabular import MAX_COLUMNS, TOO_MANY_COLUMNS, Field, Rows
from idm_assets.capture.decoders.typed_columns import (
    FLOATS,
    NOTHING,
    finite_field,
    inner_fields,
    json_value,
    typed_field,
)
from idm_assets.sql import literal

ROW_GROUP_DAMAGED: Final = "row_group_damaged"
TOO_MANY_ROWS: Final = "too_many_rows"

MAX_ROWS: Final = 2**31 - 2
ROWS_JUDGED_FROM: Final = 1_000_000
MAX_ROWS_PER_BYTE: Final = 1_000
MAX_DAMAGED_ROWS: Final = 10_000_000

_BATCH: Final = 16_384
# Statistics of a file leave NaN out; unless DuckDB is told, it takes from them that there is none.
_READING: Final = "can_have_nan = true, hive_partitioning = false, union_by_name = false"
_PLAIN: Final = re.compile(r"c\d+(::DOUBLE)?$")
_ASIDE: Final[dict[str, str | bool | int | float | list[str]]] = {"threads": 1, "memory_limit": "1GB"}
_FIRST: Final = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
_LAST: Final = "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
# pyarrow has no types; what comes from it stays within this module.
_arrow: Any = cast("Any", pa)
_ipc: Any = cast("Any", ipc)
_parquet: Any = cast("Any", pq)
_types: Any = _arrow.types
# What pyarrow says of damage; OSError is among it, without the number of an error of the system.
_DAMAGE: Final = (_arrow.ArrowException, OSError, ValueError, OverflowError, MemoryError, NotImplementedError)


_PARQUET: Final = Expected(Content.BYTES, kinds=frozenset({"parquet"}))
_ARROW: Final = Expected(Content.BYTES, kinds=frozenset({"arrow"}))


class _NoOptions(BaseModel):
    """Columnar files say themselves how they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Part(NamedTuple):
    """A row group or record batch.

    Attributes:
        rows: number of rows that it announces.
        batches: reads it; whatever pyarrow says of damage is raised.
    """

    rows: int
    batches: Callable[[], Iterable[Arrow]]


class Taken(NamedTuple):
    """Rows with the columns of a file as they are.

    Attributes:
        query: query with the columns of `Rows.query`, those of the file as ``c0``, ``c1`` and so on.
        finite: which of them hold no NaN and no infinity.
        beyond: columns with what DuckDB cannot hold of the column of the same number, as text: ``x0`` for ``c0``.
    """

    query: str
    finite: AbstractSet[str]
    beyond: tuple[str, ...] = ()


class Damage(NamedTuple):
    """A part that cannot be read.

    Attributes:
        file: number of its file.
        part: its own number, from 1.
        first: number of its first row.
        end: number of the row after its last.
        said: what was wrong with it.
    """

    file: int
    part: int
    first: int
    end: int
    said: str


@dataclass(frozen=True)
class ParquetRows:
    """Rows of Parquet files; see the module."""

    name: str = "parquet"
    code_version: str = "1"
    unit: str = "row"
    expected: Expected = _PARQUET

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ParquetRows:
        """Set up; there are no options.

        Raises:
            pydantic.ValidationError: there is one.
        """
        _NoOptions.model_validate(options)
        return cls()

    def count(self, file: PreparedFile) -> int:
        """The rows that the footer announces.

        Raises:
            UndecodableFile: the footer is damaged, or announces more than is read.
        """
        with _opened_parquet(file.path) as opened:
            groups = [opened.metadata.row_group(index) for index in range(opened.metadata.num_row_groups)]
            rows = [int(group.num_rows) for group in groups]
            unpacked = sum(int(group.total_byte_size) for group in groups)
            columns = int(opened.metadata.num_columns)
            announced = int(opened.metadata.num_rows)
        if min(rows, default=0) < 0 or sum(rows) != announced:
            raise UndecodableFile(
                CORRUPT_FILE, f"the footer announces {announced} rows, its row groups {sum(rows)}; deliver it again"
            )
        most = Limits().max_unpacked_bytes
        if unpacked > most:
            raise UndecodableFile(UNPACKS_TOO_LARGE, f"the file unpacks to {unpacked} bytes; at most {most} are read")
        _refuse_columns(columns)
        return _possible(announced, file.path)

    def layout(self, file: PreparedFile) -> str:
        """Names and types of the columns in order, and the names of the facts."""
        with _opened_parquet(file.path) as opened:
            # Its first line is an address in memory.
            return f"{str(opened.schema).partition(chr(10))[2]}\x1e{_layout(opened.schema_arrow, file)}"

    def fast(
        self,
        con: duckdb.DuckDBPyConnection,
        files: Sequence[PreparedFile],
        wanted: Sequence[str],  # noqa: ARG002 - a table has the columns that it has
        folder: Path,
    ) -> Rows:
        """Rows of clean files, read in place; see `RowFormat`."""
        with _opened_parquet(files[0].path) as opened:
            schema = opened.schema_arrow
        if any(is_beyond_duckdb(field.type) for field in schema):
            return _whole(self._converted(con, files, folder))
        paths = ", ".join(literal(str(file.path)) for file in files)
        columns, facts = _columns(schema), _fact_columns(files)
        shown = ", ".join([*(f"r.{column}" for column in columns), *(f"b.{fact}" for fact in facts)])
        scan = f"read_parquet([{paths}], {_READING}) AS t({', '.join(columns)})"
        finite = set[str]().union(columns).intersection(*(_finite_columns(file.path) for file in files))
        try_aside(scan, columns)
        query = f"""
            SELECT b.file, (r.file_row_number + 1)::BIGINT AS line, b.source, NULL::VARCHAR AS problem, {shown}
            FROM (SELECT file_index, file_row_number, * FROM {scan}) r
            JOIN {_said_of(files)} ON b.place = r.file_index
        """
        return _rows(con, Taken(query, finite), schema, files)

    def exact(
        self,
        con: duckdb.DuckDBPyConnection,
        file: PreparedFile,
        wanted: Sequence[str],  # noqa: ARG002 - a table has the columns that it has
        folder: Path,
    ) -> Rows:
        """Rows of any file, row group by row group; see `RowFormat`."""
        self.count(file)
        return self._converted(con, [file], folder)

    def _converted(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], folder: Path) -> Rows:
        with _opened_parquet(files[0].path) as opened:
            schema = opened.schema_arrow
        return _converted(con, schema, [(file, _row_groups(file.path)) for file in files], folder)


@dataclass(frozen=True)
class ArrowRows:
    """Rows of Arrow IPC files and streams; see the module."""

    name: str = "arrow"
    code_version: str = "1"
    unit: str = "row"
    expected: Expected = _ARROW

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> ArrowRows:
        """Set up; there are no options.

        Raises:
            pydantic.ValidationError: there is one.
        """
        _NoOptions.model_validate(options)
        return cls()

    def count(self, file: PreparedFile) -> int:
        """The rows that the record batches announce, and one for what is cut off at the end.

        Raises:
            UndecodableFile: the file is damaged, or announces more than is read.
        """
        return _possible(sum(record_batches(file.path).rows), file.path)

    def layout(self, file: PreparedFile) -> str:
        """Names and types of the columns in order, and the names of the facts."""
        return _layout(_arrow_schema(file.path), file)

    def fast(
        self,
        con: duckdb.DuckDBPyConnection,
        files: Sequence[PreparedFile],
        wanted: Sequence[str],  # noqa: ARG002 - a table has the columns that it has
        folder: Path,
    ) -> Rows:
        """Rows of clean files, through one scratch file; see `RowFormat`."""
        return _whole(self._converted(con, files, folder))

    def exact(
        self,
        con: duckdb.DuckDBPyConnection,
        file: PreparedFile,
        wanted: Sequence[str],  # noqa: ARG002 - a table has the columns that it has
        folder: Path,
    ) -> Rows:
        """Rows of any file, record batch by record batch; see `RowFormat`."""
        self.count(file)
        return self._converted(con, [file], folder)

    def _converted(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], folder: Path) -> Rows:
        schema = _arrow_schema(files[0].path)
        return _converted(con, schema, [(file, _record_batches(file.path)) for file in files], folder)


# --- opening ---------------------------------------------------------------------------------------------


def _opened_parquet(path: Path) -> Arrow:
    """A Parquet file whose footer could be read; to be closed."""
    _refuse_empty(path)
    try:
        opened = _parquet.ParquetFile(path, page_checksum_verification=True, coerce_int96_timestamp_unit="us")
        _refuse_columns(len(opened.schema_arrow))
    except _DAMAGE as error:
        raise _corrupt("the footer of the Parquet file cannot be read", error) from None
    return opened


def _finite_columns(path: Path) -> set[str]:
    """Read all values once with pyarrow, which checks what DuckDB does not: checksums, sizes of pages, UTF-8.

    Returns:
        The columns without NaN and infinities, which need no look at each value later on.

    Raises:
        UndecodableFile: some values cannot be read; which, is told where the file is read alone.
    """
    with _opened_parquet(path) as opened:
        finite = set(_columns(opened.schema_arrow))
    for number, part in enumerate(_row_groups(path), start=1):
        rows = 0
        try:
            for batch in part.batches():
                batch.validate(full=True)
                if not all(map(is_within_bounds, batch.columns)):
                    raise UndecodableFile(ROW_GROUP_DAMAGED, f"row group {number} holds a time that cannot be")
                finite -= {f"c{place}" for place, column in enumerate(batch.columns) if not is_finite(column)}
                rows += batch.num_rows
        except _DAMAGE as error:
            raise _corrupt(f"row group {number} cannot be read", error, ROW_GROUP_DAMAGED) from None
        if rows != part.rows:
            raise UndecodableFile(ROW_GROUP_DAMAGED, f"row group {number} announces {part.rows} rows and holds {rows}")
    return finite


def try_aside(scan: str, columns: Sequence[str]) -> None:
    """Read all values once in a database of its own.

    Damage in the wrong place is a fatal error of DuckDB 2.0, which ends the database that meets it, whatever else is in
    there. Both readings together cost a tenth of what is done with the values afterwards.

    Raises:
        duckdb.Error: they cannot be read.
    """
    with duckdb.connect(config=_ASIDE) as aside:
        aside.execute(f"SELECT bit_xor(hash({', '.join(columns)})) FROM {scan}").fetchall()


def _row_groups(path: Path) -> Iterator[Part]:
    with _opened_parquet(path) as opened:
        for index in range(opened.metadata.num_row_groups):

            def batches(index: int = index) -> Iterable[Arrow]:
                return opened.iter_batches(batch_size=_BATCH, row_groups=[index], use_threads=False)

            yield Part(int(opened.metadata.row_group(index).num_rows), batches)


def _arrow_reader(path: Path) -> tuple[Arrow, Arrow]:
    """An Arrow file or stream whose schema could be read, and its source, to be closed."""
    _refuse_empty(path)
    start = record_batches(path).stream_start
    source: Any = _arrow.OSFile(str(path))
    try:
        if start is None:
            reader = _ipc.open_file(source)
        else:
            source.seek(start)
            reader = _ipc.open_stream(source)
        _refuse_columns(len(reader.schema))
    except _DAMAGE as error:
        source.close()
        raise _corrupt("the schema of the Arrow file cannot be read", error) from None
    return reader, source


def _arrow_schema(path: Path) -> Arrow:
    reader, source = _arrow_reader(path)
    source.close()
    return reader.schema


def _record_batches(path: Path) -> Iterator[Part]:
    found = record_batches(path)
    reader, source = _arrow_reader(path)
    try:
        for index, rows in enumerate(found.rows):

            def batches(index: int = index) -> Iterable[Arrow]:
                return [reader.read_next_batch() if found.stream_start is not None else reader.get_batch(index)]

            yield Part(rows, batches)
    finally:
        source.close()


def _refuse_empty(path: Path) -> None:
    with path.open("rb") as file:  # what the system objects to is raised here, and is no damage
        if not os.fstat(file.fileno()).st_size:
            raise UndecodableFile(CORRUPT_FILE, "the file is empty; a file without rows has a schema still")


def _refuse_columns(columns: int) -> None:
    if columns > MAX_COLUMNS:
        raise UndecodableFile(TOO_MANY_COLUMNS, f"{columns} columns; at most {MAX_COLUMNS} are read")


def _possible(rows: int, path: Path) -> int:
    """A number of rows that a file may announce; few bytes can announce any."""
    most = min(MAX_ROWS, max(ROWS_JUDGED_FROM, MAX_ROWS_PER_BYTE * path.stat().st_size))
    if rows > most:
        raise UndecodableFile(TOO_MANY_ROWS, f"the file announces {rows} rows; at most {most} are believed of its size")
    return rows


def _corrupt(what: str, error: BaseException, reason: str = CORRUPT_FILE) -> UndecodableFile:
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    return UndecodableFile(reason, f"{what} ({_one_line(error)}); deliver the file again")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _layout(schema: Arrow, file: PreparedFile) -> str:
    columns = [f"{field.name}\x1f{field.type}" for field in schema]
    return "\x1e".join((*columns, "", *sorted(file.facts)))


# --- through a scratch file ------------------------------------------------------------------------------


def _whole(rows: Rows) -> Rows:
    """Rows of files that are not damaged.

    Raises:
        UndecodableFile: some are; which, is told where they are read alone.
    """
    if rows.explanations:
        raise UndecodableFile(ROW_GROUP_DAMAGED, rows.explanations[ROW_GROUP_DAMAGED])
    return rows


def _converted(
    con: duckdb.DuckDBPyConnection,
    schema: Arrow,
    files: Sequence[tuple[PreparedFile, Iterator[Part]]],
    folder: Path,
) -> Rows:
    """Rows of files of one schema, taken to a scratch file."""
    scratch = folder / f"rows-{uuid.uuid4().hex}.parquet"
    damages: list[Damage] = []
    sink = _Sink(scratch, schema)
    try:
        for file, parts in files:
            damages += _taken_parts(file, parts, sink)
    finally:
        sink.close()
    prepared = [file for file, _ in files]
    columns, facts = [*_columns(schema), *_beyond(schema)], _fact_columns(prepared)
    shown = "".join([*(f", r.{column}" for column in columns), *(f", b.{fact}" for fact in facts)])
    lost = ", ".join(f"({damage.file}, {damage.part})" for damage in damages)
    query = f"""
        SELECT b.file, r.line, b.source, r.problem, r.row_group{shown}
        FROM read_parquet({literal(str(scratch))}, {_READING}) r JOIN {_said_of(prepared)} ON b.file = r.file
        {f"WHERE (r.file, r.row_group) NOT IN ({lost})" if lost else ""}
    """
    if damages:
        ranges = ", ".join(f"({d.file}, {d.part}, {d.first}, {d.end})" for d in damages)
        query += f"""
            UNION ALL BY NAME
            SELECT b.file, r.line, b.source, {literal(ROW_GROUP_DAMAGED)} AS problem, r.row_group
                {"".join(f", b.{fact}" for fact in facts)}
            FROM (
                SELECT file, row_group::INTEGER AS row_group, unnest(range(first, past))::BIGINT AS line
                FROM (VALUES {ranges}) AS d(file, row_group, first, past)
            ) r
            JOIN {_said_of(prepared)} ON b.file = r.file
        """
    return _rows(con, Taken(query, sink.finite, tuple(_beyond(schema))), schema, prepared, damages)


class _Sink:
    """The scratch file."""

    def __init__(self, scratch: Path, schema: Arrow) -> None:
        own = {"file": _arrow.int32(), "line": _arrow.int64(), "problem": _arrow.string(), "row_group": _arrow.int32()}
        taken = {column: target_type(field.type) for column, field in zip(_columns(schema), schema, strict=True)}
        self._schema: Arrow = _arrow.schema({**own, **taken, **dict.fromkeys(_beyond(schema), _arrow.string())})
        self._writer: Arrow = _parquet.ParquetWriter(scratch, self._schema, compression="lz4")
        self.finite = set(_columns(schema))

    def write(self, file: int, first: int, part: int, batch: Arrow) -> None:
        """Take a batch, the number of whose first row is given."""
        rows = batch.num_rows
        columns, problems = sound_columns(batch)
        own = [
            _arrow.repeat(_arrow.scalar(file, _arrow.int32()), rows),
            _arrow.array(range(first, first + rows), _arrow.int64()),
            _arrow.nulls(rows, _arrow.string()) if problems is None else _arrow.array(problems, _arrow.string()),
            _arrow.repeat(_arrow.scalar(part, _arrow.int32()), rows),
        ]
        self.finite -= {f"c{place}" for place, column in enumerate(columns) if not is_finite(column)}
        beyond: list[Arrow] = []
        for place, column in enumerate(columns):
            if has_bounds(column.type):
                columns[place], texts = within_bounds(column)
                beyond.append(texts)
        taken = [as_target(column) for column in columns]
        self._writer.write_batch(_arrow.RecordBatch.from_arrays([*own, *taken, *beyond], schema=self._schema))

    def close(self) -> None:
        self._writer.close()


def _taken_parts(file: PreparedFile, parts: Iterator[Part], sink: _Sink) -> list[Damage]:
    """Take the parts of a file to the scratch file; gives those that could not be taken whole."""
    damages: list[Damage] = []
    first = 1
    count = 0
    for count, part in enumerate(parts, start=1):
        said = ""
        taken = 0
        try:
            for batch in part.batches():
                # A batch of more rows than were announced would take the numbers of the next part.
                if taken + batch.num_rows > part.rows:
                    break
                sink.write(file.number, first + taken, count, batch)
                taken += batch.num_rows
        except StopIteration:
            said = "it is not there"
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            said = _one_line(error)
        if said or taken != part.rows:
            said = said or f"it holds other than the {part.rows} rows that it announces"
            damages.append(Damage(file.number, count, first, first + part.rows, said))
        first += part.rows
    damaged = sum(damage.end - damage.first for damage in damages)
    if damages and (damaged == first - 1 or damaged > MAX_DAMAGED_ROWS):
        raise UndecodableFile(
            CORRUPT_FILE,
            f"{len(damages)} of {count} row groups or record batches with {damaged} rows cannot be read,"
            f" the first for: {damages[0].said}; deliver the file again",
        )
    return damages


# --- fields ----------------------------------------------------------------------------------------------


def _columns(schema: Arrow) -> list[str]:
    return [f"c{place}" for place in range(len(schema))]


def _beyond(schema: Arrow) -> list[str]:
    """Columns of a scratch file with what DuckDB cannot hold of the column of the same number, as text."""
    return [f"x{place}" for place, field in enumerate(schema) if has_bounds(field.type)]


def _fact_columns(files: Sequence[PreparedFile]) -> list[str]:
    return [f"f{place}" for place in range(len(_facts(files)))]


def _facts(files: Sequence[PreparedFile]) -> list[str]:
    return sorted({name for file in files for name in file.facts})


def _said_of(files: Sequence[PreparedFile]) -> str:
    """SQL table of what is known of each file: its place, number, source and facts."""
    facts = _facts(files)
    values = ", ".join(
        f"({place}, {file.number}::INTEGER, {literal(file.source)}::VARCHAR"
        + "".join(f", {literal(file.facts.get(name))}::VARCHAR" for name in facts)
        + ")"
        for place, file in enumerate(files)
    )
    return f"(VALUES {values}) AS b({', '.join(('place', 'file', 'source', *_fact_columns(files)))})"


def _rows(
    con: duckdb.DuckDBPyConnection,
    taken: Taken,
    schema: Arrow,
    files: Sequence[PreparedFile],
    damages: Sequence[Damage] = (),
) -> Rows:
    """The rows of a query, with fields by the types that DuckDB sees."""
    given = [str(field.name) for field in schema]
    # As in every other table, because a blank name would be a blank tag.
    names = distinct_names([name if name.strip() else f"column_{place}" for place, name in enumerate(given, start=1)])
    columns = _columns(schema)
    kinds = con.sql(f"SELECT {', '.join(columns)} FROM ({taken.query})").types if columns else []
    fields = {name: Field(column) for name, column in zip(_facts(files), _fact_columns(files), strict=True)}
    nested: dict[str, Field] = {}
    own: dict[str, Field] = {}
    pairs: list[str] = []
    for name, column, kind, field in zip(names, columns, kinds, schema, strict=True):
        if kind.id in FLOATS and column in taken.finite:
            own[name] = finite_field(column)
        else:
            own[name] = typed_field(column, kind, str(field.type.unit) if _types.is_duration(field.type) else None)
        said = json_value(column, kind)
        if (other := f"x{column[1:]}") in taken.beyond:
            own[name] = replace(own[name], text=f"coalesce({other}, {own[name].text})")
            said = f"to_json({own[name].text})"
        nested |= inner_fields(name, column, kind)
        pairs.append(f"{literal(name)}, {said}")
    payload = f"json_object({', '.join(pairs)})::VARCHAR"
    if damages:
        payload = (
            f"CASE WHEN problem = {literal(ROW_GROUP_DAMAGED)}"
            f" THEN json_object('row_group', row_group, 'row', line)::VARCHAR ELSE {payload} END"
        )
    query, typed = _worked_out(taken.query, {**nested, **own})
    return Rows(query, {**fields, **typed}, names, payload, explanations=_explained(damages))


def _worked_out(query: str, fields: Mapping[str, Field]) -> tuple[str, dict[str, Field]]:
    """A query that has what is worked out for the fields as columns, because each field is asked for several times."""
    columns: list[str] = []
    named: dict[str, Field] = {}
    for place, (name, field) in enumerate(fields.items()):
        parts = {"text": field.text, "double": field.double, "instant": field.instant}
        for part, said in parts.items():
            if said is not None and said != NOTHING and not _PLAIN.match(said):
                columns.append(f"{said} AS {part}_{place}")
                parts[part] = f"{part}_{place}"
        named[name] = Field(parts["text"] or NOTHING, parts["double"], parts["instant"], field.unit)
    return f"SELECT *{''.join(f', {column}' for column in columns)} FROM ({query})", named


def _explained(damages: Sequence[Damage]) -> Mapping[str, str] | None:
    if not damages:
        return None
    told = "; ".join(f"{damage.part}: {damage.said}" for damage in damages[:5])
    more = f"; and {len(damages) - 5} more" if len(damages) > 5 else ""
    return {ROW_GROUP_DAMAGED: f"row groups or record batches that cannot be read: {told}{more}; deliver it again"}
