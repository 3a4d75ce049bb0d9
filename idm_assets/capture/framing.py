"""From bytes to numbered lines: the vectorised reader for plain files and the careful one for all others.

Both give a decoder the same relation, so that one SQL meaning serves both paths. A line ends at LF; one
trailing CR is not part of it, nor is a byte-order mark at the start of the file.

Belongs here: numbering, encoding and length of lines. Does not belong here: what a line means (`decoders`),
hashing and unpacking (`survey`).
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import duckdb
import pyarrow as pa

from idm_assets.capture.decoders import PreparedFile
from idm_assets.capture.survey import CHUNK_BYTES, Limits, has_long_line
from idm_assets.sql import literal

INVALID_UTF8: Final = "invalid_utf8"
NUL_BYTE: Final = "nul_byte"
LINE_TOO_LONG: Final = "line_too_long"

PAYLOAD_BYTES: Final = 64 << 10

_FRAMED: Final = "framed_lines"
# pyarrow has no types; what comes from it stays within this module.
_arrow: Any = cast("Any", pa)
_SCHEMA: Final[Any] = _arrow.schema(
    {
        "line": _arrow.int64(),
        "content": _arrow.string(),
        "problem": _arrow.string(),
        "document": _arrow.string(),
        "opener": _arrow.int64(),
    }
)


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Consecutive lines of a file.

    Attributes:
        first: number of the first line, counted from 1.
        contents: the lines without their ends; of a line with a problem, its payload in printable form.
        problems: reason code by index into ``contents``, for lines that cannot be decoded.
        documents: by index, the text of a block that starts on this line and spans several.
        openers: by index, number of the line that opened the block which this line continues.
    """

    first: int
    contents: list[str]
    problems: dict[int, str] = field(default_factory=dict[int, str])
    documents: dict[int, str] = field(default_factory=dict[int, str])
    openers: dict[int, int] = field(default_factory=dict[int, int])


def frame_lines(text: Path, limits: Limits) -> Iterator[LineBatch]:
    r"""Split any file into lines, in constant memory, whatever its bytes and however long its lines.

    A line that is too long is cut to its first 64 KiB (or ``max_line_bytes``, if that is less); bytes that
    are no UTF-8 become ``\xNN``, and so does NUL. Such lines carry the problem ``line_too_long``,
    ``invalid_utf8`` or ``nul_byte``.

    Args:
        text: the unpacked file.
        limits: only ``max_line_bytes`` matters here; CR counts, LF does not.

    Raises:
        OSError: the file cannot be read.
    """
    line = 1
    carry = b""
    overlong: bytes | None = None
    with text.open("rb", buffering=0) as source:
        start = source.read(CHUNK_BYTES)
        chunk = start.removeprefix(BOM_UTF8)
        more = bool(start)
        # A file that is nothing but a byte-order mark still is one (blank) line.
        bare_mark = start == BOM_UTF8
        while more:
            if overlong is not None:
                end = chunk.find(b"\n")
                if end >= 0:
                    yield _cut_line(line, overlong)
                    line, overlong, chunk = line + 1, None, chunk[end + 1 :]
                else:
                    chunk = b""
            carry += chunk
            cut = carry.rfind(b"\n") + 1
            block, carry = carry[:cut], carry[cut:]
            if block:
                batch = _batch(line, block, limits.max_line_bytes)
                line += len(batch.contents)
                yield batch
            if len(carry) > limits.max_line_bytes:
                overlong, carry = carry[: min(PAYLOAD_BYTES, limits.max_line_bytes)], b""
            chunk = source.read(CHUNK_BYTES)
            more = bool(chunk)
            bare_mark = bare_mark and not more
    if overlong is not None:
        yield _cut_line(line, overlong)
    elif carry or bare_mark:
        yield _batch(line, carry + b"\n", limits.max_line_bytes)


def framed_lines(con: duckdb.DuckDBPyConnection, file: PreparedFile, batches: Iterable[LineBatch]) -> str:
    """Store the lines of one file in a temporary table and give the query that reads them.

    The table is replaced by the next call on the same connection; a query that is run too late finds no line
    of its file, so that the balance of lines fails rather than that lines are mixed up.

    Args:
        con: connection that will run the decoder's queries; the table spills under its memory limit.
        file: the file the lines are of.
        batches: its lines, in order.

    Returns:
        A query with the columns of `plain_lines`.
    """
    reader: Any = _arrow.RecordBatchReader.from_batches(_SCHEMA, (_record_batch(batch) for batch in batches))
    con.register("framing_reader", reader)
    try:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {_FRAMED} AS SELECT {file.number}::INTEGER AS file, * FROM framing_reader"
        ).fetchall()
    finally:
        con.unregister("framing_reader")
    return (
        f"SELECT file, line, {literal(file.source)}::VARCHAR AS source, content, problem, document "
        f"FROM {_FRAMED} WHERE file = {file.number}"
    )


def reject_continuations(con: duckdb.DuckDBPyConnection, rejected: str, reason: str) -> None:
    """Mark the lines that continue a block whose first line is rejected, so that they are kept with it.

    Args:
        con: connection on which `framed_lines` was called last.
        rejected: query with a column ``line`` that lists the rejected lines of that file.
        reason: problem to set on lines that continue a block opened by one of them.
    """
    con.execute(f"UPDATE {_FRAMED} SET problem = {literal(reason)} WHERE opener IN (SELECT line FROM ({rejected}))")


def plain_lines(files: Sequence[PreparedFile]) -> str:
    """Query that reads the lines of plain files with DuckDB's vectorised reader.

    Lines are numbered by one running number over the files in list order, less the lines that the survey
    counted before each file. That holds only if the reader finds in every file as many lines as the survey:
    a line numbered outside its file stops the query, and a file that comes out short or long fails its
    balance.

    Args:
        files: plain files; those without lines are left out.

    Returns:
        A query with columns ``file INTEGER, line BIGINT, source VARCHAR, content VARCHAR,
        problem VARCHAR, document VARCHAR``, the last two NULL.

    Raises:
        duckdb.InvalidInputException: a path cannot be written in SQL.
    """
    files = [file for file in files if file.lines]
    if not files:
        return (
            "SELECT NULL::INTEGER AS file, NULL::BIGINT AS line, NULL::VARCHAR AS source, "
            "NULL::VARCHAR AS content, NULL::VARCHAR AS problem, NULL::VARCHAR AS document WHERE false"
        )
    paths = ", ".join(_path_literal(file.path) for file in files)
    rows: list[str] = []
    before = 0
    for index, file in enumerate(files):
        rows.append(f"({index}, {file.number}, {literal(file.source)}, {before}, {file.lines})")
        before += file.lines
    # The running number keeps the pipeline on one thread, and that keeps it right even where the connection
    # does not preserve insertion order. Holding the numbered lines in between, so that a second thread could
    # share the rest, saved a seventh of the time for two thirds more work.
    return f"""
        SELECT
            batch.number::INTEGER AS file,
            CASE
                WHEN running_number - batch.before BETWEEN 1 AND batch.lines
                    THEN running_number - batch.before
                ELSE error('the number of lines read differs from the number surveyed')::BIGINT
            END AS line,
            batch.source::VARCHAR AS source,
            coalesce(content, '') AS content,
            NULL::VARCHAR AS problem,
            NULL::VARCHAR AS document
        FROM (
            SELECT file_index::INTEGER AS file_index, row_number() OVER () AS running_number, content
            FROM read_csv(
                [{paths}], columns = {{'content': 'VARCHAR'}}, delim = chr(1), quote = '', escape = '',
                header = false, auto_detect = false, compression = 'none', hive_partitioning = false
            )
        )
        JOIN (VALUES {", ".join(rows)}) AS batch (file_index, number, source, before, lines)
            USING (file_index)
    """


def _path_literal(path: Path) -> str:
    name = str(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        raise duckdb.InvalidInputException(f"path {name!r} is no UTF-8") from None
    return literal(name)


def _batch(first: int, block: bytes, max_line_bytes: int) -> LineBatch:
    """Lines of a block that ends with LF."""
    if b"\x00" not in block and not has_long_line(block, max_line_bytes):
        try:
            contents = block[:-1].decode().split("\n")
        except UnicodeDecodeError:
            pass
        else:
            if b"\r" in block:
                contents = [content.removesuffix("\r") for content in contents]
            return LineBatch(first, contents)
    contents: list[str] = []
    problems: dict[int, str] = {}
    for index, raw in enumerate(block[:-1].split(b"\n")):
        content, problem = _judge_line(raw, max_line_bytes)
        contents.append(content)
        if problem is not None:
            problems[index] = problem
    return LineBatch(first, contents, problems)


def _judge_line(raw: bytes, max_line_bytes: int) -> tuple[str, str | None]:
    if len(raw) > max_line_bytes:
        return _printable(raw[: min(PAYLOAD_BYTES, max_line_bytes)]), LINE_TOO_LONG
    raw = raw.removesuffix(b"\r")
    try:
        content = raw.decode()
    except UnicodeDecodeError:
        return _printable(raw), INVALID_UTF8
    return (_printable(raw), NUL_BYTE) if "\x00" in content else (content, None)


def _cut_line(line: int, head: bytes) -> LineBatch:
    return LineBatch(line, [_printable(head)], {0: LINE_TOO_LONG})


def _printable(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")


def _record_batch(batch: LineBatch) -> Any:  # noqa: ANN401 - see _SCHEMA
    count = len(batch.contents)
    sparse = (batch.problems, batch.documents, batch.openers)
    columns: list[Any] = [range(batch.first, batch.first + count), batch.contents]
    columns += [[values.get(index) for index in range(count)] if values else [None] * count for values in sparse]
    arrays = [_arrow.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)]
    return _arrow.RecordBatch.from_arrays(arrays, schema=_SCHEMA)
