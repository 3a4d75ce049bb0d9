r"""Decoder of InfluxDB line protocol: one point per line, one observation per field of a point.

Source of the format: "Line protocol" of the InfluxDB v2 reference, and the grammar ``line-protocol.ebnf`` of
github.com/influxdata/line-protocol where the reference leaves something open.

    measurement[,tag=value]* field=value[,field=value]* timestamp

A *line tag* here is the key=value of that format, a *tag* is the name of a signal, made by a template. Names escape
``,``, ``=`` and blank with a backslash (also behind another backslash, as the grammar has it), quoted texts ``"`` and
``\``; any other backslash stands for itself. The reference has no newline in a text, but the grammar and InfluxDB's own
exports do: such a point is joined, and its further lines are skipped as ``continuation``. A quote that is closed by
nothing that fits is rejected alone, so that it swallows no other line.

Differences from InfluxDB: a line without a timestamp is rejected, as the time of arrival is not that of the
measurement; line tags that occur twice are rejected, as they are by newer versions; names may begin with ``_``.

Belongs here: the meaning of points. Does not belong here: how bytes become lines (`framing`), what a number is
(`text_values`), what tags mean (referential).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field, field_validator

from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.framing import LineBatch, frame_lines, framed_lines, plain_lines, reject_continuations
from idm_assets.capture.remarks import NUMBER_ROUNDED, TIMESTAMP_CUT
from idm_assets.capture.survey import Limits
from idm_assets.capture.text_values import (
    BLANK,
    TIMESTAMP_UNREADABLE,
    is_as_written,
    is_blank,
    is_rounded,
    number,
)
from idm_assets.sql import literal
from idm_assets.status import GOOD

FIELD_COUNT: Final = "field_count"
ITEM_MISSING: Final = "item_missing"
LINE_TAGS_UNREADABLE: Final = "line_tags_unreadable"
FIELD_UNREADABLE: Final = "field_unreadable"
REPEATED_NAME: Final = "repeated_name"
UNTERMINATED_TEXT: Final = "unterminated_text"
BLOCK_UNREADABLE: Final = "block_unreadable"
LINE_TOO_WIDE: Final = "line_too_wide"
SOURCE_MISSING: Final = "source_missing"
TAG_MISSING: Final = "tag_missing"

COMMENT: Final = "comment"
CONTINUATION: Final = "continuation"

MAX_TEXT_CHARACTERS: Final = 64 << 10
MAX_REPEATED_BYTES: Final = 16 << 20

_FIRST_MICROSECOND: Final = -62_135_596_800_000_000
_LAST_MICROSECOND: Final = 253_402_300_799_999_999
_MICROSECONDS: Final = {"us": 1, "ms": 1_000, "s": 1_000_000}

_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_MEASUREMENT: Final = "measurement"
_FIELD: Final = "field"


class LineProtocolOptions(BaseModel):
    """Options of a source declaration in this format.

    Attributes:
        precision: unit of the timestamps.
        source: template of the source, such as ``{site}/{equipment}``; without it the source is the one that the path
            names, else the measurement. A name in braces is ``measurement``, a line tag, or else a named group of the
            path pattern (``source`` among them).
        tag: template of the tag; names as for the source, and ``field``.
        unit: line tag that holds the unit of the values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    precision: Literal["ns", "us", "ms", "s"] = "ns"
    source: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    tag: Annotated[str, Field(min_length=1, max_length=256)] = "{measurement}.{field}"
    unit: Annotated[str, Field(min_length=1, max_length=256)] | None = None

    @field_validator("source", "tag")
    @classmethod
    def _is_template(cls, value: str | None) -> str | None:
        if value is not None and re.search(r"[{}]", _PLACEHOLDER.sub("", value)):
            raise ValueError(
                f"{value!r}: names stand in braces, such as {{site}}/{{equipment}}; there are no other braces"
            )
        if value is not None and not value.strip():
            raise ValueError("the template is blank")
        return value

    @field_validator("source")
    @classmethod
    def _is_of_the_line(cls, value: str | None) -> str | None:
        if value is not None and _FIELD in _PLACEHOLDER.findall(value):
            raise ValueError(f"{value!r}: all fields of a line are of one source; name {{field}} in the tag")
        return value


class LineProtocol:
    """Decoder of InfluxDB line protocol; see the module."""

    name: str = "line_protocol"
    code_version: str = "1"
    unit: str = "line"
    expected: Expected = Expected(Content.LINES, kinds=frozenset({"line_protocol"}))

    def __init__(self, options: LineProtocolOptions | None = None, limits: Limits | None = None) -> None:
        self._options = options or LineProtocolOptions()
        self._limits = limits or Limits()

    @classmethod
    def from_options(cls, options: Mapping[str, Any], zone: str = "UTC") -> LineProtocol:  # noqa: ARG003 - epochs have none
        """Set up the decoder with the options of a source declaration.

        Raises:
            pydantic.ValidationError: an option is unknown, or a template is none.
        """
        return cls(LineProtocolOptions.model_validate(options))

    def count(self, file: PreparedFile) -> int:
        """Number of lines, as the survey counted them."""
        return file.lines

    def layout(self, file: PreparedFile) -> str:  # noqa: ARG002 - all files are read alike
        """Nothing: any files can be read together."""
        return ""

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], folder: Path) -> Decoding:  # noqa: ARG002
        """Decode plain files; one that holds a text with a newline comes out short of lines.

        Raises:
            duckdb.InvalidInputException: a path cannot be written in SQL.
        """
        return _Meaning(self._options, _path_names(self._options, files)).decoding(plain_lines(files))

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, folder: Path) -> Decoding:  # noqa: ARG002
        """Decode any file; the queries hold until the next call on the same connection.

        Raises:
            OSError: the file cannot be read.
        """
        meaning = _Meaning(self._options, _path_names(self._options, [file]))
        lines = framed_lines(con, file, join_texts(frame_lines(file.path, self._limits)))
        opened = f"SELECT line FROM ({meaning.judged(lines)}) WHERE document IS NOT NULL AND reason IS NOT NULL"
        reject_continuations(con, opened, BLOCK_UNREADABLE)
        return meaning.decoding(lines)


# Lines that a text spans

# The pieces of what follows the measurement and its line tags: a whole text, the start of one that does not end,
# an escape, anything else. DuckDB (RE2) and Python must read them alike.
_TEXT: Final = r'"(?:[^"\\]|\\(?s:.))*"'
_PIECE: Final = rf'={_TEXT}|="|\\+[^\\]?|[^=\\]+|='
_OPENED: Final = '="'
_PIECES: Final = re.compile(_PIECE)
_HEAD_END: Final = re.compile(r"(?<!\\) ")
_TEXT_END: Final = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)


def join_texts(batches: Iterable[LineBatch], max_characters: int = MAX_TEXT_CHARACTERS) -> Iterator[LineBatch]:
    """Give the first line of every point that spans lines its whole text, and mark the lines that continue it.

    A quoted text goes on until its closing quote, which has to be followed by a comma, a blank or the end of its line.
    If there is none, if the point grows beyond ``max_characters`` or a line on the way has a problem, the line that
    opened the text has the problem ``unterminated_text``, and the following ones stand for themselves.

    Args:
        batches: lines of one file, in order.
        max_characters: longest point of several lines; no more than that is held in memory.
    """
    held: LineBatch | None = None
    for batch in batches:
        if held is None and not any(_OPENED in content for content in batch.contents):
            yield batch
            continue
        joined, held = _join(batch if held is None else _appended(held, batch), max_characters, None)
        if joined.contents:
            yield joined
    if held is not None:
        yield _join(held, max_characters, len(held.contents))[0]


def _appended(held: LineBatch, batch: LineBatch) -> LineBatch:
    count = len(held.contents)
    problems = held.problems | {count + index: problem for index, problem in batch.problems.items()}
    return LineBatch(held.first, held.contents + batch.contents, problems)


def _join(batch: LineBatch, max_characters: int, end_of_file: int | None) -> tuple[LineBatch, LineBatch | None]:
    """Join the points of a batch; the second result are the lines of one that may go on in the next batch."""
    joined = LineBatch(batch.first, batch.contents, dict(batch.problems))
    index = 0
    while index < len(batch.contents):
        if index in batch.problems or not _opens_text(batch.contents[index]):
            index += 1
            continue
        last = _last_line(batch, index, max_characters)
        if last == len(batch.contents) and end_of_file is None:
            rest = {i - index: problem for i, problem in batch.problems.items() if i >= index}
            held = LineBatch(batch.first + index, batch.contents[index:], rest)
            return _before(joined, index), held
        if last is None or last == end_of_file:
            joined.problems[index] = UNTERMINATED_TEXT
            index += 1
            continue
        joined.documents[index] = "\n".join(batch.contents[index : last + 1])
        joined.problems.update(dict.fromkeys(range(index + 1, last + 1), CONTINUATION))
        joined.openers.update(dict.fromkeys(range(index + 1, last + 1), batch.first + index))
        index = last + 1
    return joined, None


def _before(joined: LineBatch, end: int) -> LineBatch:
    problems = {index: problem for index, problem in joined.problems.items() if index < end}
    return LineBatch(joined.first, joined.contents[:end], problems, joined.documents, joined.openers)


def _opens_text(content: str) -> bool:
    """Whether a line ends within a text."""
    if _OPENED not in content:
        return False
    point = content.lstrip(" ")
    head = _HEAD_END.search(point)
    return not point.startswith("#") and head is not None and _ends_within_text(point, head.start())


def _ends_within_text(fields: str, start: int) -> bool:
    return any(piece.group() == _OPENED for piece in _PIECES.finditer(fields, start))


def _last_line(batch: LineBatch, opener: int, max_characters: int) -> int | None:
    """Index of the line that ends the point; None if no line can, the number of lines if none of these does."""
    characters = len(batch.contents[opener])
    for index in range(opener + 1, len(batch.contents)):
        content = batch.contents[index]
        characters += 1 + len(content)
        if index in batch.problems or characters > max_characters:
            return None
        end = _TEXT_END.match(content + "\n")
        if end is None:
            continue
        if content[end.end() : end.end() + 1] not in ("", " ", ","):
            return None
        if not _ends_within_text(content, end.end()):
            return index
    return len(batch.contents)


# Templates and what fills them


@dataclass(frozen=True, slots=True)
class _PathNames:
    """What the paths of some files say of the names in the templates.

    Attributes:
        names: names that some path has a value for.
        files: number of every file, with its values by name, of which some may be missing.
    """

    names: Sequence[str]
    files: Sequence[tuple[int, Mapping[str, str]]]

    def joined(self, lines: str) -> str:
        """Query: lines with the columns ``path_0``, ``path_1``, ..., in the order of the names."""
        if not self.names:
            return lines
        columns = ", ".join(f"path_{index}" for index in range(len(self.names)))
        rows = [
            f"({file}, {', '.join(f'{literal(said.get(name))}::VARCHAR' for name in self.names)})"
            for file, said in self.files
        ]
        return (
            f"SELECT l.*, {columns} FROM ({lines}) l"
            f" LEFT JOIN (VALUES {', '.join(rows)}) p (of_file, {columns}) ON l.file = p.of_file"
        )


def _path_names(options: LineProtocolOptions, files: Sequence[PreparedFile]) -> _PathNames:
    said = [{"source": file.source or "", **file.facts} for file in files]
    said = [{name: value for name, value in facts.items() if value.strip()} for facts in said]
    names = [name for name in _names(options) if any(name in facts for facts in said)]
    return _PathNames(names, [(file.number, facts) for file, facts in zip(files, said, strict=True)])


def _names(options: LineProtocolOptions) -> list[str]:
    """Names in the templates that a line tag or the path has to fill, each once."""
    names = _PLACEHOLDER.findall(options.source or "") + _PLACEHOLDER.findall(options.tag)
    return [name for name in dict.fromkeys(names) if name not in (_MEASUREMENT, _FIELD)]


def _filled(template: str, columns: Mapping[str, str]) -> str:
    """SQL expression: a template with its names replaced; NULL if one of them has no value."""
    pieces = _PLACEHOLDER.split(template)
    return " || ".join(columns[piece] if index % 2 else literal(piece) for index, piece in enumerate(pieces) if piece)


def _first_missing(template: str, columns: Mapping[str, str]) -> str:
    """SQL expression: the first name of a template that has no value."""
    cases = [f"WHEN {columns[name]} IS NULL THEN {literal(name)}" for name in _PLACEHOLDER.findall(template)]
    return f"CASE {' '.join(cases)} END" if cases else "NULL"


# Taking a line apart. What an escape or a quote keeps from being a separator is written as NUL and a letter, which no
# line can hold, at the same length; after that every line is split by its separators alone.

_NUL: Final = "chr(0)"
_MASKS: Final = {",": "c", " ": "s", "=": "e"}
_BACKSLASH: Final = "\\"


def _masked(text: str, escape: str) -> str:
    """SQL expression: all separators that stand behind an escape, which may be empty, are masked."""
    for separator, letter in _MASKS.items():
        text = f"replace({text}, {literal(escape + separator)}, {_NUL} || '{letter}')"
    return text


def _unmasked(text: str, equals: str = "=") -> str:
    """SQL expression: masked separators are what they were, without their escapes."""
    inner = text
    for separator, letter in _MASKS.items():
        inner = f"replace({inner}, {_NUL} || '{letter}', {literal(equals if separator == '=' else separator)})"
    return f"CASE WHEN contains({text}, {_NUL}) THEN {inner} ELSE {text} END"


_IS_COMMENT: Final = "(content < '$' AND starts_with(ltrim(content, ' '), '#'))"

# The line, or all lines of the point, without blanks before it; NULL where nothing is to be taken apart.
_POINT: Final = f"""
    CASE
        WHEN problem IS NOT NULL OR {is_blank("content")} OR {_IS_COMMENT} THEN NULL
        WHEN starts_with(content, ' ') THEN ltrim(coalesce(document, content), ' ')
        ELSE coalesce(document, content)
    END
"""
_ESCAPED: Final = f"CASE WHEN contains(point, '{_BACKSLASH}') THEN {_masked('point', _BACKSLASH)} ELSE point END"
_PIECES_AFTER_HEAD: Final = f"""
    CASE WHEN contains(point, '{_OPENED}') THEN regexp_extract_all(substr(point, len(head) + 1), {literal(_PIECE)}) END
"""
_SEPARABLE: Final = f"""
    CASE
        WHEN pieces IS NULL THEN escaped
        ELSE head || array_to_string(list_transform(pieces, lambda x: CASE
            WHEN starts_with(x, '{_OPENED}') THEN '=' || {_masked("x[2:]", "")} ELSE {_masked("x", _BACKSLASH)}
        END), '')
    END
"""
_PARTS: Final = """
    CASE
        WHEN contains(separable, '  ') OR ends_with(separable, ' ')
            THEN list_filter(string_split(separable, ' '), lambda x: x <> '')
        ELSE string_split(separable, ' ')
    END
"""


def _headed(lines: str) -> str:
    """Query: lines with their points, and the measurement with its line tags as the masked text ``head``."""
    return f"""
        SELECT *, split_part(escaped, ' ', 1) AS head
        FROM (SELECT *, {_ESCAPED} AS escaped FROM (SELECT *, {_POINT} AS point FROM ({lines})))
    """


def _series(lines: str, options: LineProtocolOptions) -> str:
    """Query: every head once, with its measurement, the values of ``name_0``, ``name_1``, ..., detail and trouble.

    Few heads come back on many lines, so that working this out once for each is what makes the decoder fast.
    """
    pairs = "list_transform(string_split(head, ',')[2:], lambda x: string_split(x, '='))"
    tag = f"{{'key': {_unmasked('x[1]')}, 'value': {_unmasked('x[2]')}, 'parts': len(x)}}"
    names = _names(options)
    values = [f", CASE WHEN NOT {is_blank(_value(n))} THEN {_value(n)} END AS name_{i}" for i, n in enumerate(names)]
    return f"""
        SELECT head AS of_head, measurement, head_trouble, {_detail(names, options.unit)} AS detail{"".join(values)}
        FROM (
            SELECT
                *,
                CASE
                    WHEN measurement = '' OR {is_blank("measurement")} THEN '{ITEM_MISSING}'
                    WHEN len(list_filter(tags, lambda x: x.parts <> 2 OR x.key = '' OR x.value = '')) > 0
                        THEN '{LINE_TAGS_UNREADABLE}'
                    WHEN len(list_distinct(keys)) < len(keys) THEN '{REPEATED_NAME}'
                END AS head_trouble
            FROM (
                SELECT *, list_transform(tags, lambda x: x.key) AS keys
                FROM (
                    SELECT
                        head, list_transform({pairs}, lambda x: {tag}) AS tags,
                        {_unmasked("split_part(head, ',', 1)", _BACKSLASH + "=")} AS measurement
                    FROM (SELECT DISTINCT head FROM ({_headed(lines)}))
                )
            )
        )
    """


def _value(name: str) -> str:
    return f"tags[list_position(keys, {literal(name)})].value"


def _detail(names: Sequence[str], unit: str | None) -> str:
    """SQL expression: unused line tags by name, and the unit, as a JSON object; NULL where there are none."""
    used = ", ".join(literal(name) for name in (*names, unit) if name is not None)
    others = f"list_filter(tags, lambda x: x.key NOT IN ({used}))" if used else "tags"
    member = "to_json(x.key)::VARCHAR || ':' || to_json(x.value)::VARCHAR"
    members = f"nullif(array_to_string(list_transform(list_sort({others}), lambda x: {member}), ','), '')"
    unit_member = "NULL" if unit is None else f"'\"unit\":' || to_json({_value(unit)})::VARCHAR"
    return f"'{{' || nullif(concat_ws(',', '\"tags\":{{' || {members} || '}}', {unit_member}), '') || '}}'"


_TRUTHS: Final = {"true": ("t", "T", "true", "True", "TRUE"), "false": ("f", "F", "false", "False", "FALSE")}
_TRUTH: Final = " ".join(f"WHEN '{word}' THEN '{truth}'" for truth, words in _TRUTHS.items() for word in words)

# The grammar's numbers are those of `number` that begin with a digit, a point or a minus and end as here; the cast also
# takes "1e5." for one.
_IS_NUMBER: Final = """
    (right(x.token, 1) BETWEEN '0' AND '9' OR (ends_with(x.token, '.') AND NOT contains(lower(x.token), 'e')))
"""
_IS_INTEGER: Final = "(regexp_full_match(x.token, '-?\\d+i') AND try_cast(left(x.token, -1) AS BIGINT) IS NOT NULL)"
_IS_UNSIGNED: Final = "(regexp_full_match(x.token, '\\d+u') AND try_cast(left(x.token, -1) AS UBIGINT) IS NOT NULL)"
_IS_FIELD: Final = f"""
    CASE
        WHEN x.parts <> 2 OR (x.key < '!' AND (x.key = '' OR {is_blank(_unmasked("x.key"))})) THEN false
        WHEN x.value IS NOT NULL THEN {_IS_NUMBER}
        WHEN starts_with(x.token, '"') THEN regexp_full_match(x.token, {literal(_TEXT)})
        WHEN ends_with(x.token, 'i') THEN {_IS_INTEGER}
        WHEN ends_with(x.token, 'u') THEN {_IS_UNSIGNED}
        ELSE CASE x.token {_TRUTH} END IS NOT NULL
    END
"""

# Fields that are in order beyond doubt, as nearly all are: one look at the text instead of several at every field.
_CLEAN_FIELD: Final = (
    r"[^,=\x00-\x20]+=(?:-?\d{1,17}(?:\.\d{0,17})?(?:[eE][-+]?\d\d?)?|-?\d{1,18}i|\d{1,18}u"
    rf'|"[^",\\]*"|{"|".join(word for words in _TRUTHS.values() for word in words)})'
)
_CLEAN: Final = f"{_CLEAN_FIELD}(?:,{_CLEAN_FIELD})*"


def _first_wrong(fields: str, text: str) -> str:
    """SQL expression: the first field that is none, as a struct of its masked ``key`` and ``token``; NULL if all are.

    Args:
        fields: SQL expression: the fields as a list of masked texts.
        text: SQL expression: the same as one text.
    """
    # Step by step, because within a lambda every expression is worked out as often as it is written.
    value = f"CASE WHEN x[2] >= '-' AND x[2] < ':' THEN {number('x[2]')} END"
    pairs = f"list_transform({fields}, lambda x: string_split(x, '='))"
    read = f"list_transform({pairs}, lambda x: {{'key': x[1], 'token': x[2], 'parts': len(x), 'value': {value}}})"
    return f"""
        CASE WHEN NOT regexp_full_match({text}, {literal(_CLEAN)})
            THEN list_filter({read}, lambda x: NOT ({_IS_FIELD}))[1]
        END
    """


# What follows from the token of a field that is in order.
_KIND: Final = """
    CASE
        WHEN token >= '-' AND token < ':' THEN CASE WHEN right(token, 1) IN ('i', 'u') THEN 'integer' ELSE 'number' END
        WHEN starts_with(token, '"') THEN 'text'
        ELSE 'boolean'
    END
"""
_SAID: Final = f"""
    CASE kind
        WHEN 'integer' THEN left(token, -1)
        WHEN 'boolean' THEN CASE token {_TRUTH} END
        ELSE token
    END
"""


def _instant(precision: str) -> str:
    """SQL expression: the TIMESTAMPTZ of the whole number ``epoch``, NULL outside of the years 1 to 9999."""
    if precision == "ns":
        # Cut towards the past, as the digits of a written time are; // rounds towards zero.
        return "make_timestamptz(epoch // 1000 - CASE WHEN epoch % 1000 < 0 THEN 1 ELSE 0 END)"
    factor = _MICROSECONDS[precision]
    first, last = -(-_FIRST_MICROSECOND // factor), _LAST_MICROSECOND // factor
    return f"CASE WHEN epoch BETWEEN {first} AND {last} THEN make_timestamptz(epoch * {factor}) END"


# The meaning of a line


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What lines mean by the options of a source declaration.

    Attributes:
        options: the options.
        path_names: what the paths say of the names in the templates.
    """

    options: LineProtocolOptions
    path_names: _PathNames

    def decoding(self, lines: str) -> Decoding:
        """What lines with the columns of `plain_lines` mean."""
        judged = self.judged(lines)
        skipped = f"""
            SELECT file, reason, count(*)::BIGINT AS lines
            FROM (
                SELECT
                    file,
                    CASE
                        WHEN problem = '{CONTINUATION}' THEN '{CONTINUATION}'
                        WHEN problem IS NOT NULL THEN NULL
                        WHEN {is_blank("content")} THEN '{BLANK}'
                        WHEN {_IS_COMMENT} THEN '{COMMENT}'
                    END AS reason
                FROM ({lines})
            )
            WHERE reason IS NOT NULL
            GROUP BY file, reason
        """
        rejected = f"""
            SELECT file, line, content AS payload, reason, {self._explanation()} AS detail
            FROM ({judged})
            WHERE reason IS NOT NULL
        """
        return Decoding(self._observations(judged), rejected, skipped, lines, self.decoding)

    def judged(self, lines: str) -> str:
        """Query: every line with its fields, timestamp and names, and the reason why it is rejected."""
        epoch = "try_cast(parts[3] AS BIGINT)"
        # A number that is written back as it was needs no pattern.
        is_whole = f"CASE WHEN {epoch}::VARCHAR = parts[3] THEN true ELSE regexp_full_match(parts[3], '-?\\d+') END"
        parts = f"""
            SELECT *, {_PARTS} AS parts
            FROM (
                SELECT *, {_SEPARABLE} AS separable
                FROM (SELECT *, {_PIECES_AFTER_HEAD} AS pieces FROM ({_headed(self.path_names.joined(lines))}))
            )
        """
        return f"""
            SELECT *, {self._reason()} AS reason
            FROM (
                SELECT *, {_instant(self.options.precision)} AS ts, {self._source()} AS named_source
                FROM (
                    SELECT
                        *, CASE WHEN {is_whole} THEN {epoch} END AS epoch,
                        {_first_wrong("fields", "parts[2]")} AS wrong
                    FROM (SELECT *, string_split(parts[2], ',') AS fields FROM ({parts}))
                )
                LEFT JOIN ({_series(lines, self.options)}) ON head = of_head
            )
        """

    def _columns(self) -> dict[str, str]:
        """SQL expression by name that a template may hold."""
        columns = {_MEASUREMENT: "measurement", _FIELD: "key"}
        for index, name in enumerate(_names(self.options)):
            column = f"name_{index}"
            if name in self.path_names.names:
                column = f"coalesce({column}, path_{self.path_names.names.index(name)})"
            columns[name] = column
        return columns

    def _source(self) -> str:
        template = self.options.source
        return "coalesce(source, measurement)" if template is None else _filled(template, self._columns())

    def _tag_name_missing(self) -> str:
        """SQL expression: the first name of the tag template, but the field, that has no value."""
        return _first_missing(self.options.tag, self._columns() | {_FIELD: "''"})

    def _reason(self) -> str:
        is_one_tag = "false" if _FIELD in _PLACEHOLDER.findall(self.options.tag) else "len(fields) > 1"
        return f"""
            CASE
                WHEN problem IS NOT NULL THEN nullif(problem, '{CONTINUATION}')
                WHEN point IS NULL OR {_OPENS} THEN NULL
                WHEN len(parts) NOT IN (2, 3) THEN '{FIELD_COUNT}'
                WHEN head_trouble IS NOT NULL THEN head_trouble
                WHEN wrong IS NOT NULL THEN '{FIELD_UNREADABLE}'
                WHEN len(fields) > 1 AND ({is_one_tag} OR {_HAS_REPEATED_KEY}) THEN '{REPEATED_NAME}'
                WHEN ts IS NULL THEN '{TIMESTAMP_UNREADABLE}'
                WHEN named_source IS NULL THEN '{SOURCE_MISSING}'
                WHEN {self._tag_name_missing()} IS NOT NULL THEN '{TAG_MISSING}'
                WHEN strlen(head) * len(fields) > {MAX_REPEATED_BYTES} THEN '{LINE_TOO_WIDE}'
            END
        """

    def _explanation(self) -> str:
        def missing(name: str) -> str:
            return f"concat('neither a line tag nor the path says what \"', {name}, '\" is')"

        of_source = _first_missing(self.options.source or "", self._columns())
        return f"""
            CASE reason
                WHEN '{FIELD_COUNT}' THEN
                    concat('expected measurement, fields and timestamp, blanks between, found ', len(parts), ' parts')
                WHEN '{ITEM_MISSING}' THEN 'the measurement is empty'
                WHEN '{LINE_TAGS_UNREADABLE}' THEN
                    concat('expected name=value after each comma of "', left({_unmasked("head")}, 100), '"')
                WHEN '{REPEATED_NAME}' THEN CASE
                    WHEN head_trouble IS NOT NULL
                        THEN concat('a line tag occurs twice in "', left({_unmasked("head")}, 100), '"')
                    WHEN {_HAS_REPEATED_KEY} THEN 'a field occurs twice'
                    ELSE concat('the tag template names no {{field}}, and the line has ', len(fields))
                END
                WHEN '{FIELD_UNREADABLE}' THEN {_FIELD_EXPLAINED}
                WHEN '{TIMESTAMP_UNREADABLE}' THEN concat(
                    'expected a whole number, {self.options.precision} since 1970 and of a year up to 9999, found ',
                    coalesce('"' || left({_unmasked("parts[3]")}, 100) || '"', 'nothing')
                )
                WHEN '{SOURCE_MISSING}' THEN {missing(of_source)}
                WHEN '{TAG_MISSING}' THEN {missing(self._tag_name_missing())}
                WHEN '{UNTERMINATED_TEXT}' THEN
                    'a quoted text has no end within {MAX_TEXT_CHARACTERS} characters that a comma or blank follows'
                WHEN '{BLOCK_UNREADABLE}' THEN 'another line of the same point is rejected'
                WHEN '{LINE_TOO_WIDE}' THEN concat(
                    strlen(head), ' bytes of line tags would be repeated for ', len(fields),
                    ' fields; at most {MAX_REPEATED_BYTES >> 20} MiB are'
                )
            END
        """

    def _observations(self, judged: str) -> str:
        remarks = f"""
            cut | CASE WHEN value IS NOT NULL AND {is_rounded("said", "value")} THEN {NUMBER_ROUNDED} ELSE 0 END
        """
        cut = "0"
        if self.options.precision == "ns":
            cut = f"CASE WHEN epoch % 1000 <> 0 THEN {TIMESTAMP_CUT} ELSE 0 END"
        columns = self._columns()
        carried = "".join(f", {columns[name]} AS name_{i}" for i, name in enumerate(_names(self.options)))
        columns |= {name: f"name_{i}" for i, name in enumerate(_names(self.options))}
        tag = _filled(self.options.tag, columns)
        return f"""
            SELECT
                file, line, part::INTEGER AS part, source, {tag} AS tag, ts, value,
                CASE
                    WHEN value IS NOT NULL THEN CASE WHEN NOT {is_as_written("said", "value")} THEN said END
                    WHEN kind = 'text' THEN {_text("said")}
                    ELSE said
                END AS text,
                {literal(GOOD)}::BIGINT AS status, detail, ({remarks})::INTEGER AS remarks
            FROM (
                SELECT *, CASE WHEN kind IN ('number', 'integer') THEN {number("said")} END AS value
                FROM (
                    SELECT *, {_SAID} AS said
                    FROM (
                        SELECT *, {_unmasked("split_part(field, '=', 1)")} AS key, {_KIND} AS kind
                        FROM (
                            SELECT *, split_part(field, '=', 2) AS token
                            FROM (
                                SELECT
                                    file, line, named_source AS source, ts, detail, measurement{carried}, {cut} AS cut,
                                    unnest(range(1, len(kept) + 1)) AS part, unnest(kept) AS field
                                FROM (
                                    SELECT *, CASE WHEN reason IS NULL AND NOT {_OPENS} THEN fields ELSE [] END AS kept
                                    FROM ({judged})
                                )
                            )
                        )
                    )
                )
            )
        """


_OPENS: Final = f"coalesce(list_contains(pieces, '{_OPENED}'), false)"
_HAS_REPEATED_KEY: Final = "len(list_distinct(list_transform(fields, lambda x: split_part(x, '=', 1)))) < len(fields)"
_FIELD_EXPLAINED: Final = f"""
    CASE WHEN wrong.token IS NULL
        THEN concat('expected field=value, found "', left({_unmasked("wrong.key")}, 100), '"')
        ELSE concat(
            'field "', left({_unmasked("wrong.key")}, 100),
            '": expected a finite number, 12i or 12u of 64 bits, "a text", true or false, found ',
            coalesce(nullif(left({_unmasked("wrong.token")}, 100), ''), 'nothing')
        )
    END
"""


def _text(quoted: str) -> str:
    """SQL expression: what a quoted and masked text says."""
    text = _unmasked(f"substr({quoted}, 2, len({quoted}) - 2)")
    plain = f"replace(replace(replace({text}, '\\\\', {_NUL}), '\\\"', '\"'), {_NUL}, '\\')"
    return f"CASE WHEN contains({quoted}, '\\') THEN {plain} ELSE {text} END"
