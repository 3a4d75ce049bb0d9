"""Rows of JSON: a document per line, documents one after another, or a list of them; nested as deep as they may be.

Source of the formats: RFC 8259; JSON lines (jsonlines.org) for documents that are one line each. A row is a document,
or, where the options say so, an item within one: an element of a list or a member of an object.

Names of fields:

* A name is a name in the row. ``a.b`` is the member ``b`` of the member ``a``, unless the row has a member that is
  called ``a.b`` as a whole and is not null. In a row that is a list, ``0`` is its first element.
* A name that begins with ``$.`` or ``$[`` is a path from the root of the document (RFC 9535: names, indexes). If it
  goes the way of the items, as ``$.result[*].metric`` beside items of ``$.result[*].values[*]``, it leads to what the
  item lies in. In a list of documents each element is a document of its own, so ``$`` is the element.
* The rows of ``entries`` are the members of an object: ``key`` is the name and ``value`` what it holds, ``value.unit``
  a member of it; all other names are names in what holds the object.

A field is a text: what a string says; a number with the digits it was written with; ``true`` or ``false``; the
compact JSON text of an object or a list. Null is nothing. ``NaN`` and ``Infinity``, which many writers emit although
JSON has no such numbers, are text. Of a name that occurs twice in an object the first one counts, and a record that has
one is rejected; so is a document in the format ``json`` that has one and holds items, or is larger than 64 KiB.

Belongs here: from bytes to rows. Does not belong here: what the fields mean (`tabular`), broken documents and where
they end (`json_documents`), paths (`json_paths`), numbers as they are written (`json_values`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, model_validator

from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.json_documents import (
    DOCUMENT_TOO_LARGE,
    JSON_INVALID,
    NESTED_TOO_DEEP,
    PAYLOAD_BYTES,
    REPEATED_NAME,
    BrokenDocument,
    Document,
    DocumentLimits,
    element_outlines,
    elements,
)
from idm_assets.capture.decoders.json_splitting import Block, blocks
from idm_assets.capture.decoders.tabular import EMPTY_ROW, FIELD_MISSING, Rows
from idm_assets.capture.decoders.tabular import Field as RowField
from idm_assets.capture.framing import frame_lines, framed_lines, plain_lines
from idm_assets.capture.json_paths import Step, is_path, json_path
from idm_assets.capture.json_values import (
    fields_of,
    is_as_rendered,
    marked,
    name_of_marked,
    numbers_marked,
    numbers_unmarked,
    object_as_rendered,
    object_of,
    pointer,
    text_of_marked,
    unquoted,
)
from idm_assets.capture.survey import Limits
from idm_assets.capture.text_values import BLANK, is_blank
from idm_assets.sql import literal

NOT_AN_OBJECT: Final = "not_an_object"
ITEMS_MISPLACED: Final = "items_misplaced"
NO_ITEMS: Final = "no_items"

MAX_NAME_CHARACTERS: Final = 256
OUTLINED_UP_TO_BYTES: Final = 128 << 10
"""Files up to this size are counted in Python; a connection to DuckDB would take longer."""

_DOCUMENT_LIMITS: Final = DocumentLimits(max_bytes=16 << 20)
_BATCH_BYTES: Final = 4 << 20
_BATCH: Final = 8_192
_EXPLANATIONS: Final = {
    JSON_INVALID: "the text is no JSON",
    NOT_AN_OBJECT: "expected a JSON object",
    REPEATED_NAME: "an object has a name twice, so that it cannot be told which value is meant",
    ITEMS_MISPLACED: "the declared path leads to something else than the list or object that holds the rows",
    DOCUMENT_TOO_LARGE: f"the document is larger than {_DOCUMENT_LIMITS.max_bytes} bytes; its start is kept",
    NESTED_TOO_DEEP: f"the document is nested deeper than {_DOCUMENT_LIMITS.max_depth} levels",
}
# pyarrow has no types; what comes from it stays within this module.
_arrow: Any = cast("Any", pa)
_SCHEMA: Final[Any] = _arrow.schema(
    {"file": _arrow.int32(), "line": _arrow.int64(), "content": _arrow.string(), "problem": _arrow.string()}
)


class JsonLayout(BaseModel):
    """Where the rows are in a document.

    Attributes:
        items: path from the root that ends in ``[*]`` or ``.*``: each element or member that it leads to is a row;
            without it each document is one.
        entries: path to an object of which each member is a row with the fields ``key`` and ``value``: from the root,
            such as ``$.payload``, or a name in the item, such as ``payload``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: str | None = Field(default=None, min_length=1, max_length=1000)
    entries: str | None = Field(default=None, min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _leads_somewhere(self) -> JsonLayout:
        self.steps()
        return self

    def steps(self) -> tuple[Step, ...]:
        """The way from a document to its rows; of entries the last step is to the members.

        Raises:
            ValueError: a path is none, or does not lead there.
        """
        steps: tuple[Step, ...] = ()
        if self.items is not None:
            items = json_path(self.items)
            if items.rest or not items.steps:
                raise ValueError(f"items: end {self.items!r} with [*] for the elements of a list, or .* for members")
            steps = items.steps
        if self.entries is None:
            return steps
        if not is_path(self.entries):
            return (*steps, Step(_pointers(self.entries)[-1], "object"))
        entries = json_path(self.entries)
        if entries.steps[: len(steps)] != steps:
            raise ValueError(f"entries: {self.entries!r} does not lie within the items {self.items!r}")
        return (*entries.steps, Step(entries.rest, "object"))


@dataclass(frozen=True)
class JsonLineRows:
    """Rows of a text of which each line is a JSON document; see the module.

    Attributes:
        where: where the rows are in a document.
        limits: longest line.
    """

    where: JsonLayout = field(default_factory=JsonLayout)
    limits: Limits = field(default_factory=Limits)
    name: str = "json_lines"
    code_version: str = "1"

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> JsonLineRows:
        """Set up with the options of a source declaration.

        Raises:
            pydantic.ValidationError: an option is unknown, or a path is none.
        """
        return cls(JsonLayout.model_validate(options))

    @property
    def unit(self) -> str:
        """A line, or an item where lines have items."""
        return "item" if self.where.steps() else "line"

    @property
    def expected(self) -> Expected:
        """Lines of text."""
        return Expected(Content.LINES, kinds=frozenset({"json"}))

    def count(self, file: PreparedFile) -> int:
        """The lines that the survey counted, or the items of all lines.

        Items are counted by the lengths of the lists, without taking anything out of them, but by DuckDB like the rows:
        only where an item begins and ends is found by other means, not whether a line is JSON.

        Raises:
            UndecodableFile: not all lines could be read.
            OSError: the file cannot be read.
        """
        steps = self.where.steps()
        if not steps:
            return file.lines
        with _own_connection() as con:
            lines = plain_lines([file]) if file.plain else framed_lines(con, file, frame_lines(file.path, self.limits))
            is_read = f"problem IS NULL AND NOT {is_blank('content')} AND json_valid(content)"
            units_of = f"CASE WHEN {is_read} THEN {_count_of('content', steps)} ELSE 1 END"
            ((found, units),) = con.execute(f"SELECT count(*), sum({units_of}) FROM ({lines})").fetchall()
        if found != file.lines:
            raise UndecodableFile(JSON_INVALID, f"{found} lines were read, {file.lines} surveyed")
        return int(units or 0)

    def layout(self, file: PreparedFile) -> str:
        """The names of the facts."""
        return "\x1f".join(sorted(file.facts))

    def fast(
        self,
        con: duckdb.DuckDBPyConnection,  # noqa: ARG002 - the queries run on it
        files: Sequence[PreparedFile],
        wanted: Sequence[str],
        folder: Path,  # noqa: ARG002 - no scratch is needed
    ) -> Rows:
        """Rows of clean files.

        Raises:
            duckdb.InvalidInputException: a path cannot be written in SQL.
            UndecodableFile: a name leads nowhere.
        """
        return _Reading(self.where, wanted, files).rows(plain_lines(files))

    def exact(
        self,
        con: duckdb.DuckDBPyConnection,
        file: PreparedFile,
        wanted: Sequence[str],
        folder: Path,  # noqa: ARG002 - no scratch is needed
    ) -> Rows:
        """Rows of any file; they hold until the next call on the same connection.

        Raises:
            UndecodableFile: a name leads nowhere.
            OSError: the file cannot be read.
        """
        lines = framed_lines(con, file, frame_lines(file.path, self.limits))
        return _Reading(self.where, wanted, [file]).rows(lines)


@dataclass(frozen=True)
class JsonRows:
    """Rows of a text of JSON documents in any layout; see the module.

    Attributes:
        where: where the rows are in a document; what a path says of an outermost list, ``$[*]``, is left out.
        limits: largest and deepest document.
    """

    where: JsonLayout = field(default_factory=JsonLayout)
    limits: DocumentLimits = _DOCUMENT_LIMITS
    name: str = "json"
    code_version: str = "1"

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> JsonRows:
        """See `JsonLineRows`."""
        declared = JsonLayout.model_validate(options)
        paths = {name: _without_outermost(path) for name, path in declared.model_dump().items()}
        return cls(JsonLayout.model_validate(paths | ({"items": None} if paths["items"] == "$" else {})))

    @property
    def unit(self) -> str:
        """A document, or an item where documents have items."""
        return "item" if self.where.steps() else "document"

    @property
    def expected(self) -> Expected:
        """Text."""
        return Expected(Content.LINES, kinds=frozenset({"json"}))

    def count(self, file: PreparedFile) -> int:
        """The documents, or their items.

        Of a small text, or one that is not clean, they are counted by the outlines of `json_documents`, which share
        nothing with the rows. Of others DuckDB's reader of JSON files finds the documents, which the rows do not use,
        and the lengths of lists give the items as in `JsonLineRows`.

        Raises:
            OSError: the file cannot be read.
        """
        steps = self.where.steps()
        if file.path.stat().st_size > OUTLINED_UP_TO_BYTES:
            counted = self._count_clean(file.path, steps)
            if counted is not None:
                return counted
        found = element_outlines(file.path, _Skeleton(), self.limits)
        return sum(1 if outline is None else _count_in(outline, steps) for outline in found)

    def layout(self, file: PreparedFile) -> str:
        """The names of the facts."""
        return "\x1f".join(sorted(file.facts))

    def fast(
        self,
        con: duckdb.DuckDBPyConnection,  # noqa: ARG002 - the queries run on it
        files: Sequence[PreparedFile],
        wanted: Sequence[str],
        folder: Path,
    ) -> Rows:
        """Rows of clean files, split by a regular expression; a piece that is no object stops the queries.

        Raises:
            UndecodableFile: a file is not clean, or a name leads nowhere.
            OSError: a file cannot be read.
        """
        problem = "CASE WHEN NOT json_valid(content) THEN error('the text is not clean') END"
        pieces = self._pieces(files, folder)
        return _Reading(self.where, wanted, files).rows(
            f"SELECT file, line, content, {problem} AS problem FROM ({pieces})"
        )

    def exact(
        self,
        con: duckdb.DuckDBPyConnection,
        file: PreparedFile,
        wanted: Sequence[str],
        folder: Path,
    ) -> Rows:
        """Rows of any file, through a scratch file.

        Raises:
            UndecodableFile: a name leads nowhere.
            OSError: the file cannot be read.
        """
        documents = None if file.plain else self._clean(con, file, folder)
        if documents is None:
            scratch = folder / f"documents-{uuid.uuid4().hex}.parquet"
            with pq.ParquetWriter(scratch, _SCHEMA, compression="lz4", use_dictionary=False) as to:
                writer: Any = to
                found = (self._judged(found) for found in elements(file.path, self.limits))
                for batch in _batches(file.number, found):
                    writer.write_batch(batch)
            documents = f"SELECT * FROM read_parquet({literal(str(scratch))})"
        return _Reading(self.where, wanted, [file]).rows(documents)

    def _clean(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, folder: Path) -> str | None:
        """Query for the documents of a text that is clean though not plain, such as one of a single long line."""
        try:
            pieces = self._pieces([file], folder)
        except UndecodableFile:
            return None
        ((is_clean,),) = con.execute(f"SELECT coalesce(bool_and(json_valid(content)), true) FROM ({pieces})").fetchall()
        return f"SELECT *, NULL::VARCHAR AS problem FROM ({pieces})" if is_clean else None

    def _pieces(self, files: Sequence[PreparedFile], folder: Path) -> str:
        """Query for the documents of texts that are clean if all pieces are valid JSON."""
        scratch = folder / f"documents-{uuid.uuid4().hex}.parquet"
        with pq.ParquetWriter(scratch, _SCHEMA, compression="none", use_dictionary=False, write_statistics=False) as to:
            writer: Any = to
            for file in files:
                line = 1
                for block in blocks(file.path, self.limits, self._names_from()):
                    writer.write_batch(_clean_batch(file.number, line, block))
                    line += len(block.starts)
        # Five times as fast as rtrim.
        content = r"regexp_replace(content, '[, \t\r\n]+$', '')"
        return f"SELECT file, line, {content} AS content FROM read_parquet({literal(str(scratch))})"

    def _names_from(self) -> int:
        """Size in bytes from which on a document with a name twice is rejected."""
        return 0 if self.where.steps() else PAYLOAD_BYTES

    def _judged(self, found: Document | BrokenDocument) -> tuple[str, str | None]:
        """Text and problem of a document."""
        if isinstance(found, Document):
            return found.text, None
        if found.reason == REPEATED_NAME and len(found.payload.encode()) < self._names_from():
            return found.payload, None
        return found.payload, found.reason

    def _count_clean(self, path: Path, steps: Sequence[Step]) -> int | None:
        """Units of a text that is clean as far as that matters to their number; None: it may not be."""
        # A document that is JSON to DuckDB but not to `json_documents` is one unit all the same, unless it has items,
        # or a line within it looks like the begin of another.
        units, is_doubtful = (
            "1",
            f"contains(json, chr(10) || '{{') OR contains(json, chr(10) || '[') OR {_OPENERS} > 64",
        )
        if steps:
            units, is_doubtful = _count_of("json", steps), "false"
            try:
                for _ in blocks(path, self.limits, self._names_from()):
                    pass
            except UndecodableFile:
                return None
        with path.open("rb") as file:
            layout = "array" if file.read(1024).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[" else "unstructured"
        query = f"""
            SELECT coalesce(sum({units}), 0), coalesce(bool_or(NOT starts_with(json, '{{') OR {is_doubtful}), false)
            FROM read_json_objects(
                [{literal(str(path))}], format = '{layout}', compression = 'none', hive_partitioning = false,
                maximum_object_size = {self.limits.max_bytes}
            )
        """
        try:
            with _own_connection() as con:
                ((counted, doubtful),) = con.execute(query).fetchall()
        except duckdb.Error:
            return None
        return None if doubtful else int(counted)


_OPENERS: Final = (
    "CASE WHEN strlen(json) < 130 THEN 0"
    " ELSE 2 * strlen(json) - strlen(replace(json, '{', '')) - strlen(replace(json, '[', '')) END"
)


def _without_outermost(path: str | None) -> str | None:
    return path if path is None or not path.startswith("$[*]") else f"${path[4:]}"


def _own_connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config={"threads": 2, "memory_limit": "512MB"})


# Scratch files


def _clean_batch(number: int, line: int, block: Block) -> Any:  # noqa: ANN401 - see _SCHEMA
    count = len(block.starts)
    offsets = block.starts[:]
    offsets.append(len(block.data))
    content = _arrow.StringArray.from_buffers(count, _arrow.py_buffer(offsets), _arrow.py_buffer(block.data))
    columns = [
        _arrow.repeat(_arrow.scalar(number, _arrow.int32()), count),
        _arrow.array(range(line, line + count), _arrow.int64()),
        content,
        _arrow.nulls(count, _arrow.string()),
    ]
    return _arrow.RecordBatch.from_arrays(columns, schema=_SCHEMA)


def _batches(number: int, documents: Iterable[tuple[str, str | None]]) -> Iterator[Any]:
    texts: list[str] = []
    problems: list[str | None] = []
    line, size = 1, 0
    for text, problem in documents:
        texts.append(text)
        problems.append(problem)
        size += len(text)
        if size >= _BATCH_BYTES or len(texts) == _BATCH:
            yield _batch(number, line, texts, problems)
            line += len(texts)
            texts, problems, size = [], [], 0
    yield _batch(number, line, texts, problems)


def _batch(number: int, line: int, texts: Sequence[str], problems: Sequence[str | None]) -> Any:  # noqa: ANN401 - see _SCHEMA
    columns = [[number] * len(texts), range(line, line + len(texts)), texts, problems]
    arrays = [_arrow.array(column, kind) for column, kind in zip(columns, _SCHEMA.types, strict=True)]
    return _arrow.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


# Counting


Skeleton: TypeAlias = "str | list[Skeleton] | dict[str, Skeleton]"
"""What is left of a document for counting: of a scalar whether it is null, or what DuckDB takes for no JSON."""

_SCALAR, _NULL, _NO_TEXT = "", "null", "surrogate"


class _Skeleton:
    """Outline of a document that keeps lists and objects."""

    def text(self, text: str) -> Skeleton:
        """A surrogate without its other half is no text, so the document is none to DuckDB."""
        return _NO_TEXT if _has_surrogate(text) else _SCALAR

    def scalar(self, token: bytes) -> Skeleton:
        """Whether it is null."""
        return _NULL if token == b"null" else _SCALAR

    def of_list(self, items: list[Skeleton]) -> Skeleton:
        """Its elements."""
        return _NO_TEXT if _NO_TEXT in items else items

    def of_object(self, members: dict[str, Skeleton]) -> Skeleton:
        """Its members."""
        return _NO_TEXT if _NO_TEXT in members.values() or any(map(_has_surrogate, members)) else members


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _count_in(found: Skeleton, steps: Sequence[Step]) -> int:
    """Units of a document, or of an item on the way to the rows; one that leads to no rows is a unit itself."""
    if not steps:
        return 1
    for name in _names_of(steps[0].pointer):
        if isinstance(found, dict):
            found = found.get(name, _NULL)
        elif isinstance(found, list):
            found = found[int(name)] if _is_index(name) and int(name) < len(found) else _NULL
        else:
            return 1
    if isinstance(found, list) and steps[0].of == "list":
        return max(1, sum(_count_in(item, steps[1:]) for item in found))
    if isinstance(found, dict) and steps[0].of == "object":
        return max(1, sum(_count_in(item, steps[1:]) for item in found.values()))
    return 1


def _names_of(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _is_index(name: str) -> bool:
    return name == "0" or (name.isascii() and name.isdecimal() and not name.startswith("0"))


def _count_of(json: str, steps: Sequence[Step]) -> str:
    """SQL expression: `_count_in` of a JSON text."""
    step, rest = steps[0], steps[1:]
    if not rest:
        length = "json_array_length({})" if step.of == "list" else "len(json_keys({}))"
        place = f"{json}, {literal(step.pointer)}" if step.pointer else json
        return f"greatest(1, coalesce({length.format(place)}, 0))::BIGINT"
    inner = f"i{len(steps)}"
    each = f"list_transform({_contained(json, step)}, lambda {inner}: {_count_of(f'{inner}::VARCHAR', rest)})"
    return f"greatest(1, coalesce(list_sum({each}), 0))::BIGINT"


def _contained(json: str, step: Step) -> str:
    """SQL expression: list of what a step leads to, empty if there is nothing."""
    inside = f"json_extract({json}, {literal(step.pointer)})" if step.pointer else json
    return f"json_extract({inside}, '{'$[*]' if step.of == 'list' else '$.*'}')"


# Reading


def _pointers(name: str) -> list[str]:
    """Pointers to a field of a row: by its whole name, then as a dotted path."""
    whole = pointer(name)
    parts = name.split(".")
    return [whole, "".join(map(pointer, parts))] if len(parts) > 1 and all(parts) else [whole]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a field is.

    Attributes:
        level: 0: in the document; n: in what the n-th step leads to.
        pointers: pointers in it, of which the first that leads to something counts; empty: it itself.
        is_key: the name of a member is meant.
    """

    level: int
    pointers: Sequence[str] = ()
    is_key: bool = False


class _Reading:
    """SQL of the rows of some files for one declaration."""

    def __init__(self, where: JsonLayout, wanted: Sequence[str], files: Sequence[PreparedFile]) -> None:
        self._steps = where.steps()
        self._has_entries = where.entries is not None
        self._files = files
        self._wanted = list(wanted)
        self._facts = [name for name in wanted if any(name in file.facts for file in files)]
        self._places = [self._place(name) for name in wanted]

    @property
    def _base(self) -> int:
        """Level of what names are looked up in."""
        return len(self._steps) - self._has_entries

    def _place(self, name: str) -> _Place:
        if is_path(name):
            return self._absolute(name)
        if self._has_entries:
            first, _, rest = name.partition(".")
            if name == "key":
                return _Place(len(self._steps), is_key=True)
            if first == "value":
                return _Place(len(self._steps), _pointers(rest) if rest else ())
        return _Place(self._base, _pointers(name))

    def _absolute(self, name: str) -> _Place:
        try:
            path = json_path(name)
        except ValueError as error:
            raise UndecodableFile(FIELD_MISSING, str(error)) from error
        if path.steps != self._steps[: self._base][: len(path.steps)]:
            raise UndecodableFile(FIELD_MISSING, f"the path {name!r} does not go the way of the items")
        return _Place(len(path.steps), [path.rest] if path.rest else ())

    def rows(self, documents: str) -> Rows:
        """Rows of a query with columns ``file, line, content, problem``."""
        return Rows(
            query=self._said(self._of_items(documents) if self._steps else self._of_documents(documents)),
            fields={name: RowField(f"t{place}") for place, name in enumerate(self._wanted)},
            columns=(),
            payload="content",
            passed_over=(BLANK, EMPTY_ROW, NO_ITEMS),
            explanations=_EXPLANATIONS,
            document=_document("content"),
            record_problem=_record_problem("content"),
        )

    def _said(self, rows: str) -> str:
        """Query: some rows with what the paths of their files say."""
        names = [f"f{place}" for place in range(len(self._facts))]
        said = ", ".join(
            f"({file.number}, {literal(file.source)}::VARCHAR"
            + "".join(f", {literal(file.facts.get(name))}::VARCHAR" for name in self._facts)
            + ")"
            for file in self._files
        )
        replaced = [
            f"coalesce(t{self._wanted.index(name)}, {column}) AS t{self._wanted.index(name)}"
            for name, column in zip(self._facts, names, strict=True)
        ]
        columns = f"REPLACE ({', '.join(replaced)})" if replaced else ""
        return (
            f"SELECT r.* {columns}, f.source FROM ({rows}) r"
            f" JOIN (VALUES {said or '(NULL::INTEGER, NULL::VARCHAR)'}) AS f (number, {', '.join(['source', *names])})"
            " ON r.file = f.number"
        )

    def _extracted(self, level: int, json: str) -> str:
        """SQL expression: list of what is looked for on a level."""
        pointers = [pointer for place in self._places if place.level == level for pointer in place.pointers]
        return f"json_extract({json}, [{', '.join(map(literal, pointers))}])" if pointers else "NULL::JSON[]"

    def _columns(self, level: int, found: str, prefix: str) -> list[str]:
        """SQL columns: the JSON text of each field that is on a level, NULL for null."""
        columns: list[str] = []
        taken = 0
        for number, place in enumerate(self._places):
            if place.level != level or not place.pointers:
                continue
            texts = [f"nullif({found}[{taken + n}]::VARCHAR, 'null')" for n in range(1, len(place.pointers) + 1)]
            columns.append(f"coalesce({', '.join(texts)}) AS {prefix}{number}")
            taken += len(place.pointers)
        return columns

    # Rows that are documents

    def _of_documents(self, documents: str) -> str:
        found = f"""
            SELECT *, CASE WHEN problem IS NULL THEN {self._extracted(0, "content")} END AS found
            FROM (SELECT file, line, content, {_trouble(is_row=True)} AS problem FROM ({documents}))
        """
        read = f"SELECT {_listed('* EXCLUDE (found)', *self._columns(0, 'found', 'j'))} FROM ({found})"
        for number, place in enumerate(self._places):
            if not place.pointers:
                read = f"SELECT *, content AS j{number} FROM ({read})"
        differs = f"CASE WHEN {self._may_differ()} THEN NOT ({is_as_rendered('content')}) ELSE false END"
        again = f"CASE WHEN differs THEN {self._extracted(0, numbers_marked('content'))} END"
        marked_again = f"SELECT *, {again} AS again FROM (SELECT *, {differs} AS differs FROM ({read}))"
        texts = [
            f"CASE WHEN differs THEN {text_of_marked(f'm{number}')} ELSE {unquoted(f'j{number}')} END AS t{number}"
            if place.pointers
            else f"j{number} AS t{number}"
            for number, place in enumerate(self._places)
        ]
        return f"""
            SELECT {_listed("file, line, content, problem", *texts)}
            FROM (SELECT {_listed("*", *self._columns(0, "again", "m"))} FROM ({marked_again}))
        """

    def _may_differ(self) -> str:
        """SQL condition: some field is of a kind that may be written otherwise than DuckDB writes it.

        Whole numbers never are, but for a negative zero; objects and lists may hold anything.
        """
        conditions = [
            f"(j{n} < ':' AND j{n} >= '-' AND (contains(j{n}, '.') OR contains(j{n}, 'e') OR contains(j{n}, 'E')))"
            f" OR j{n} >= '{{' OR (j{n} >= '[' AND j{n} < '\\')"
            rf" OR (j{n} = '0' AND regexp_matches(content, '-0[,}}\]\s]'))"
            for n, place in enumerate(self._places)
            if place.pointers
        ]
        return " OR ".join(conditions) or "false"

    # Rows that are items

    def _of_items(self, documents: str) -> str:
        query = f"""
            SELECT *, CASE WHEN differs THEN {numbers_marked("content")} WHEN problem IS NULL THEN content END AS e,
                CASE WHEN problem IS NOT NULL THEN content END AS shown
            FROM (
                SELECT *, CASE WHEN problem IS NULL THEN NOT ({is_as_rendered("content")}) ELSE false END AS differs
                FROM (SELECT file, line, content, {_trouble(is_row=False)} AS problem FROM ({documents}))
            )
        """
        for level, step in enumerate(self._steps):
            query = self._inside(self._with_fields(query, level), level, step)
        query = self._with_fields(query, len(self._steps))
        texts = [f"{self._item_text(number)} AS t{number}" for number in range(len(self._places))]
        order = ", ".join(["line", *(f"p{level}" for level in range(len(self._steps)))])
        item = _as_delivered("e")
        if self._has_entries:
            item = f"""concat('{{"key":', to_json({_key()})::VARCHAR, ',"value":', {item}, '}}')"""
        return f"""
            SELECT {_listed("file", f"row_number() OVER (PARTITION BY file ORDER BY {order}) AS line")},
                {_listed(f"coalesce(shown, {item}) AS content", f"{self._item_problem()} AS problem", *texts)}
            FROM ({query})
        """

    def _with_fields(self, query: str, level: int) -> str:
        columns = self._columns(level, "found", "j")
        if not columns:
            return query
        found = f"SELECT *, CASE WHEN problem IS NULL THEN {self._extracted(level, 'e')} END AS found FROM ({query})"
        return f"SELECT {_listed('* EXCLUDE (found)', *columns)} FROM ({found})"

    def _inside(self, query: str, level: int, step: Step) -> str:
        """Query: a row for each of what a step leads to; one that tells why, if there is nothing."""
        inside = f"json_extract(e, {literal(step.pointer)})::VARCHAR" if step.pointer else "e"
        opener = "[" if step.of == "list" else "{"
        shown = "content" if level == 0 else _as_delivered("e")
        kept = "* EXCLUDE (content, e, inside, contents)" if level == 0 else "* EXCLUDE (e, inside, contents)"
        for number, place in enumerate(self._places):
            if place.level == level and not place.pointers and not place.is_key:
                query = f"SELECT *, {_as_delivered('e')} AS j{number} FROM ({query})"
        names, unnested = "", ""
        if self._has_entries and level == len(self._steps) - 1:
            names = f", CASE WHEN starts_with(inside, '{opener}') THEN json_keys(inside) END AS names"
            unnested = ", unnest(CASE WHEN problem IS NULL THEN names ELSE [NULL::VARCHAR] END) AS named"
            kept = kept.replace("contents)", "contents, names)")
        return f"""
            SELECT {kept}, unnest(CASE WHEN problem IS NULL THEN contents ELSE [NULL::JSON] END)::VARCHAR AS e,
                unnest(CASE WHEN problem IS NULL THEN range(1, len(contents) + 1) ELSE [1::BIGINT] END) AS p{level}
                {unnested}
            FROM (
                SELECT * EXCLUDE (missing) REPLACE (
                    CASE WHEN missing IS NOT NULL THEN {shown} ELSE shown END AS shown,
                    coalesce(problem, missing) AS problem
                )
                FROM (
                    SELECT *, CASE WHEN problem IS NOT NULL THEN NULL WHEN coalesce(inside, 'null') = 'null'
                            THEN '{NO_ITEMS}' WHEN NOT starts_with(inside, '{opener}') THEN '{ITEMS_MISPLACED}'
                            WHEN len(contents) = 0 THEN '{NO_ITEMS}' END AS missing
                    FROM (
                        SELECT *, CASE WHEN starts_with(inside, '{opener}')
                            THEN {_contained("inside", Step("", step.of))} END AS contents {names}
                        FROM (SELECT *, CASE WHEN problem IS NULL THEN {inside} END AS inside FROM ({query}))
                    )
                )
            )
        """

    def _item_text(self, number: int) -> str:
        place = self._places[number]
        if place.is_key:
            return _key()
        if not place.pointers and place.level < len(self._steps):
            return f"j{number}"
        json = f"j{number}" if place.pointers else "nullif(e, 'null')"
        return f"CASE WHEN differs THEN {text_of_marked(json)} ELSE {unquoted(json)} END"

    def _item_problem(self) -> str:
        if self._has_entries:
            return "problem"
        return (
            "CASE WHEN problem IS NOT NULL THEN problem"
            f" WHEN NOT starts_with(e, '{{') AND NOT starts_with(e, '[') THEN '{NOT_AN_OBJECT}'"
            f" WHEN e IN ('{{}}', '[]') THEN '{EMPTY_ROW}' END"
        )


def _listed(*columns: str) -> str:
    return ", ".join(columns)


def _key() -> str:
    """SQL expression: the name of the member that is the row."""
    return f"CASE WHEN differs THEN {name_of_marked('named')} ELSE named END"


def _as_delivered(json: str) -> str:
    """SQL expression: JSON text whose numbers may be marked, without the marks."""
    return f"CASE WHEN differs THEN {numbers_unmarked(json)} ELSE {json} END"


def _trouble(*, is_row: bool) -> str:
    """SQL expression: what is wrong with a text; whether it is an object matters where it is a row itself."""
    row = rf"""
        WHEN NOT starts_with(content, '{{') AND NOT regexp_matches(content, '^\s*\{{') THEN '{NOT_AN_OBJECT}'
        WHEN NOT starts_with(content, '{{"') AND regexp_full_match(content, '\s*\{{\s*\}}\s*') THEN '{EMPTY_ROW}'
    """
    return f"""
        CASE
            WHEN problem IS NOT NULL THEN problem
            WHEN {is_blank("content")} THEN '{BLANK}'
            WHEN NOT json_valid(content) THEN '{JSON_INVALID}'
            {row if is_row else ""}
        END
    """


def _document(json: str) -> str:
    """SQL expression: an object, its members sorted by name, numbers as they were written, other words as strings."""
    has_word = rf"regexp_matches({json}, '[:,\[\s]-?(?i:nan|inf)')"
    return (
        f"CASE WHEN NOT {has_word} AND ({is_as_rendered(json)}) THEN {object_as_rendered(fields_of(json))}"
        f" ELSE {object_of(fields_of(marked(json)))} END"
    )


def _record_problem(json: str) -> str:
    """SQL expression: why a row is no record."""
    return (
        f"CASE WHEN starts_with({json}, '[') THEN '{NOT_AN_OBJECT}'"
        f" WHEN len(list_distinct(json_keys({json}))) < len(json_keys({json})) THEN '{REPEATED_NAME}' END"
    )
