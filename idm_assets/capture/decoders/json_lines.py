"""Decoder of JSON lines: one JSON object per line, one observation per object.

Source of the format: RFC 8259 for the object; which top-level names hold what is told by the options of the
source declaration. Where a name occurs twice in an object, the first one counts. ``NaN`` and ``Infinity``,
which many writers emit although JSON has no such numbers, are read as text.

Both paths read lines and take the fields out of them with one expression. DuckDB's own JSON reader is no
faster on this and differs from its JSON functions on repeated names, on lines that are no object and on
objects that span lines.

Belongs here: the meaning of such lines. Does not belong here: how bytes become lines (`framing`), OPC UA
PubSub messages and other JSON with a structure of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.framing import frame_lines, framed_lines, plain_lines
from idm_assets.capture.json_values import pointer, unquoted
from idm_assets.capture.survey import Limits
from idm_assets.capture.text_values import BLANK, TIMESTAMP_UNREADABLE, is_blank, is_truncated, number, timestamp
from idm_assets.sql import literal
from idm_assets.status import BAD_NO_DATA, GOOD

JSON_INVALID: Final = "json_invalid"
NOT_AN_OBJECT: Final = "not_an_object"
TAG_MISSING: Final = "tag_missing"
SOURCE_MISSING: Final = "source_missing"
STATUS_UNREADABLE: Final = "status_unreadable"

EXACT_INTEGERS_BELOW: Final = 2**53

_FRACTION_DIGITS: Final = {"epoch_s": 6, "epoch_ms": 3, "epoch_us": 0}
_FIRST_MICROSECOND: Final = -62_135_596_800_000_000
_LAST_MICROSECOND: Final = 253_402_300_799_999_999

Key = Annotated[str, Field(min_length=1, max_length=256)]


class FieldNames(BaseModel):
    """Which top-level name of an object holds what."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ts: Key
    tag: Key
    value: Key
    source: Key | None = None
    status: Key | None = None
    text: Key | None = None


class JsonLinesOptions(BaseModel):
    """Options of a source declaration in this format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fields: FieldNames
    ts_format: Literal["iso", "epoch_s", "epoch_ms", "epoch_us"] = "iso"


class JsonLines:
    """Decoder of JSON lines; see the module."""

    name: str = "json_lines"
    code_version: str = "1"

    def __init__(self, options: JsonLinesOptions, limits: Limits | None = None, zone: str = "UTC") -> None:
        self._zone = zone
        self._options = options
        self._limits = limits or Limits()

    @classmethod
    def from_options(cls, options: Mapping[str, Any], zone: str = "UTC") -> JsonLines:
        """Set up the decoder with the options of a source declaration.

        Raises:
            pydantic.ValidationError: an option is missing, unknown or no name.
        """
        return cls(JsonLinesOptions.model_validate(options), zone=zone)

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile]) -> Decoding:  # noqa: ARG002
        """Decode plain files.

        Raises:
            duckdb.InvalidInputException: a path cannot be written in SQL.
        """
        return _decoding(plain_lines(files), self._options, self._zone)

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile) -> Decoding:
        """Decode any file; the queries hold until the next call on the same connection.

        Raises:
            OSError: the file cannot be read.
        """
        return _decoding(framed_lines(con, file, frame_lines(file.text, self._limits)), self._options, self._zone)


TROUBLE: Final = f"""
    CASE
        WHEN problem IS NOT NULL THEN problem
        WHEN {is_blank("content")} THEN '{BLANK}'
        WHEN NOT json_valid(content) THEN '{JSON_INVALID}'
        WHEN NOT starts_with(content, '{{') AND NOT regexp_matches(content, '^[ \\t\\r]*\\{{')
            THEN '{NOT_AN_OBJECT}'
    END
"""


def _decoding(lines: str, options: JsonLinesOptions, zone: str) -> Decoding:
    judged = _judged(lines, options, zone)
    names = options.fields
    expected = {"iso": "an ISO 8601 text"}.get(options.ts_format, f"a number ({options.ts_format})")
    sought = "no field is declared to name the source" if names.source is None else f"no {names.source!r} field"
    nameless = f"{sought}, and the path names none either"
    explanation = f"""
        CASE reason
            WHEN '{JSON_INVALID}' THEN 'the line is no JSON'
            WHEN '{NOT_AN_OBJECT}' THEN 'expected a JSON object'
            WHEN '{TIMESTAMP_UNREADABLE}' THEN concat(
                {literal(f"field {names.ts!r}: expected {expected}, found ")},
                coalesce(left(ts_json, 100), 'nothing')
            )
            WHEN '{TAG_MISSING}' THEN concat(
                {literal(f"field {names.tag!r}: expected a name, found ")}, coalesce(left(tag_json, 100), 'nothing')
            )
            WHEN '{SOURCE_MISSING}' THEN {literal(nameless)}
            WHEN '{STATUS_UNREADABLE}' THEN concat(
                {literal(f"field {names.status!r}: expected an OPC UA StatusCode, 0 to 4294967295, found ")},
                left(status_json, 100)
            )
        END
    """
    return Decoding(
        rows=_observations(judged),
        rejected=f"""
            SELECT file, line, content AS payload, reason, {explanation} AS detail
            FROM ({judged})
            WHERE reason IS NOT NULL
        """,
        skipped=f"""
            SELECT file, '{BLANK}' AS reason, count(*)::BIGINT AS lines
            FROM ({lines})
            WHERE problem IS NULL AND {is_blank("content")}
            GROUP BY file
        """,
        lines=lines,
        meaning=lambda others: _decoding(others, options, zone),
    )


def _judged(lines: str, options: JsonLinesOptions, zone: str) -> str:
    """Query: every line with its fields, timestamp, tag and source, and the reason why it is rejected."""
    names = options.fields
    wanted = [names.ts, names.tag, names.value]
    columns = [
        "fields[1]::VARCHAR AS ts_json",
        "fields[2]::VARCHAR AS tag_json",
        "fields[3]::VARCHAR AS value_json",
    ]
    for column, key in (
        ("source_json", names.source),
        ("status_json", names.status),
        ("text_json", names.text),
    ):
        if key is None:
            columns.append(f"NULL::VARCHAR AS {column}")
        else:
            wanted.append(key)
            columns.append(f"nullif(fields[{len(wanted)}]::VARCHAR, 'null') AS {column}")
    pointers = ", ".join(literal(pointer(key)) for key in wanted)
    status = "CASE WHEN regexp_full_match(status_json, '\\d{1,10}') THEN try_cast(status_json AS BIGINT) END"
    return f"""
        SELECT
            *,
            CASE
                WHEN trouble IS NOT NULL THEN nullif(trouble, '{BLANK}')
                WHEN ts IS NULL THEN '{TIMESTAMP_UNREADABLE}'
                WHEN tag IS NULL THEN '{TAG_MISSING}'
                WHEN named_source IS NULL THEN '{SOURCE_MISSING}'
                WHEN status_json IS NOT NULL AND (status IS NULL OR status > 4294967295)
                    THEN '{STATUS_UNREADABLE}'
            END AS reason
        FROM (
            SELECT
                *,
                {timestamp_field("ts_text", options.ts_format, zone)} AS ts,
                {is_timestamp_truncated("ts_text", options.ts_format)} AS ts_truncated,
                CASE WHEN NOT {is_blank("tag_text")} THEN tag_text END AS tag,
                CASE WHEN NOT {is_blank("source_text")} THEN source_text ELSE source END AS named_source,
                {status} AS status
            FROM (
                SELECT
                    *,
                    CASE WHEN {is_scalar("ts_json")} THEN {unquoted("ts_json")} END AS ts_text,
                    CASE WHEN {is_scalar("tag_json")} THEN {unquoted("tag_json")} END AS tag_text,
                    CASE WHEN {is_scalar("source_json")} THEN {unquoted("source_json")} END AS source_text
                FROM (
                    SELECT *, {", ".join(columns)}
                    FROM (
                        SELECT
                            *,
                            CASE WHEN trouble IS NULL THEN json_extract(content, [{pointers}]) END AS fields
                        FROM (SELECT *, {TROUBLE} AS trouble FROM ({lines}))
                    )
                )
            )
        )
    """


def _observations(judged: str) -> str:
    value = f"""
        CASE left(value_json, 1)
            WHEN '"' THEN {number("value_text")}
            WHEN '{{' THEN NULL
            WHEN '[' THEN NULL
            ELSE {number("value_json")}
        END
    """
    # A JSON number is a number and nothing else, unless a double cannot hold it: then its digits are kept.
    text = f"""
        CASE
            WHEN text_json IS NOT NULL THEN {unquoted("text_json")}
            WHEN left(value_json, 1) = '"' THEN value_text
            WHEN value IS NULL
                OR (abs(value) >= {EXACT_INTEGERS_BELOW} AND regexp_full_match(value_json, '-?\\d+'))
                THEN nullif(value_json, 'null')
        END
    """
    # A bound rather than a filter, which the optimizer would push down to where all that it depends on is
    # worked out a second time.
    bound = "CASE WHEN reason IS NULL AND trouble IS NULL THEN 2 ELSE 1 END"
    has_no_value = "text_json IS NULL AND coalesce(value_json, 'null') = 'null'"
    return f"""
        SELECT
            file, line, part, source, tag, ts, value, {text} AS text,
            CASE
                WHEN {has_no_value} AND coalesce(status, 0) < 1073741824 THEN {literal(BAD_NO_DATA)}::BIGINT
                ELSE coalesce(status, {literal(GOOD)})::BIGINT
            END AS status,
            NULL::VARCHAR AS detail,
            ts_truncated
        FROM (
            SELECT *, {value} AS value
            FROM (
                SELECT
                    file, line, part::INTEGER AS part, named_source AS source, tag, ts, status,
                    value_json, text_json,
                    CASE WHEN left(value_json, 1) = '"' THEN {unquoted("value_json")} END AS value_text,
                    ts_truncated
                FROM (
                    SELECT *, unnest(range(1, {bound})) AS part FROM ({judged})
                )
            )
        )
    """


def is_scalar(json: str) -> str:
    """SQL condition: a JSON text, that may be NULL, is a string or a number."""
    # A list of eight literals would become three joins.
    return f"coalesce(NOT contains('{{[tfnNiI', left({json}, 1)), false)"


def timestamp_field(text: str, ts_format: str, zone: str) -> str:
    """SQL expression: the TIMESTAMPTZ that the text of a timestamp field stands for, NULL if none."""
    if ts_format == "iso":
        return timestamp(text, zone)
    digits = _FRACTION_DIGITS[ts_format]
    # By digits, not by arithmetic on a double, which would round the last microsecond.
    whole, fraction = f"split_part({text}, '.', 1)", f"split_part({text}, '.', 2)"
    micros = f"try_cast(concat({whole}, left(rpad({fraction}, {digits}, '0'), {digits})) AS BIGINT)"
    return f"""
        CASE
            WHEN regexp_full_match({text}, '-?\\d+(\\.\\d*)?')
                AND {micros} BETWEEN {_FIRST_MICROSECOND} AND {_LAST_MICROSECOND}
                THEN make_timestamptz({micros})
        END
    """


def is_timestamp_truncated(text: str, ts_format: str) -> str:
    """SQL condition: digits of the timestamp field were cut off."""
    if ts_format == "iso":
        return is_truncated(text)
    return f"strlen(rtrim(split_part({text}, '.', 2), '0')) > {_FRACTION_DIGITS[ts_format]}"
