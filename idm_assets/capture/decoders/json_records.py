"""Decoder of JSON lines of which each is one record: a row with all fields of a work order, a batch, a trip.

Source of the format: RFC 8259, as for `json_lines`. The fields are kept as they were delivered, sorted by name and
with numbers as written; which of them are attributes is told later, when the record's model is known. An object that
has a name twice is rejected, because nobody can tell which of the two values is meant.

Belongs here: from lines to records with their time. Does not belong here: models, attributes and their types
(`cleaned.records`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.decoders.json_lines import (
    JSON_INVALID,
    NOT_AN_OBJECT,
    TROUBLE,
    Key,
    is_scalar,
    is_timestamp_truncated,
    timestamp_field,
)
from idm_assets.capture.framing import frame_lines, framed_lines, plain_lines
from idm_assets.capture.json_values import fields_of, marked, object_of, pointer, unquoted
from idm_assets.capture.survey import Limits
from idm_assets.capture.text_values import BLANK, TIMESTAMP_UNREADABLE, is_blank, start_of_date
from idm_assets.fingerprint import canonical
from idm_assets.sql import literal

REPEATED_NAME: Final = "repeated_name"

_EXPECTED: Final = {"iso": "an ISO 8601 text", "date": "an ISO 8601 date"}


class RecordReading(BaseModel):
    """How the lines of a source are read as records of a model.

    Attributes:
        model: name of the record model.
        version: major version of the model; None: the highest there is.
        timestamp: field that says when it happened.
        timestamp_format: ``iso``: date and time; ``date``: the start of a day; else a number since 1970.
        fields: attribute to the field that has its value; all others have fields of their own name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, max_length=200)
    version: int | None = Field(default=None, ge=0)
    timestamp: Key
    timestamp_format: Literal["iso", "date", "epoch_s", "epoch_ms", "epoch_us"] = "iso"
    fields: dict[Annotated[str, Field(min_length=1, max_length=256)], Key] = Field(default_factory=dict)

    def declared(self, zone: str) -> str:
        """What `cleaned.records` has to know of it, as canonical JSON."""
        return canonical(
            {"version": self.version, "timestamp": self.timestamp, "timezone": zone, "fields": dict(self.fields)}
        )


class JsonRecords:
    """Decoder of JSON lines that are records; see the module."""

    name: str = "json_records"
    code_version: str = "1"

    def __init__(self, reading: RecordReading, zone: str = "UTC", limits: Limits | None = None) -> None:
        self._reading = reading
        self._zone = zone
        self._limits = limits or Limits()

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile]) -> Decoding:  # noqa: ARG002
        """Decode plain files.

        Raises:
            duckdb.InvalidInputException: a path cannot be written in SQL.
        """
        return _decoding(plain_lines(files), self._reading, self._zone)

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile) -> Decoding:
        """Decode any file; the queries hold until the next call on the same connection.

        Raises:
            OSError: the file cannot be read.
        """
        return _decoding(framed_lines(con, file, frame_lines(file.text, self._limits)), self._reading, self._zone)


def _decoding(lines: str, reading: RecordReading, zone: str) -> Decoding:
    judged = _judged(lines, reading, zone)
    expected = _EXPECTED.get(reading.timestamp_format, f"a number ({reading.timestamp_format})")
    explanation = f"""
        CASE reason
            WHEN '{JSON_INVALID}' THEN 'the line is no JSON'
            WHEN '{NOT_AN_OBJECT}' THEN 'expected a JSON object'
            WHEN '{TIMESTAMP_UNREADABLE}' THEN concat(
                {literal(f"field {reading.timestamp!r}: expected {expected}, found ")},
                coalesce(left(ts_json, 100), 'nothing')
            )
        END
    """
    # Guarded by CASE: text that is no JSON must not be taken apart, in whatever order conditions are worked out.
    payload = f"CASE WHEN reason IS NULL AND trouble IS NULL THEN {object_of(fields_of(marked('content')))} END"
    return Decoding(
        rows=f"""
            SELECT file, line, 1::INTEGER AS part, ts, ts_truncated, {payload} AS payload
            FROM ({judged})
            WHERE reason IS NULL AND trouble IS NULL
        """,
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
        meaning=lambda others: _decoding(others, reading, zone),
    )


def _judged(lines: str, reading: RecordReading, zone: str) -> str:
    """Query: every line with its timestamp and the reason why it is rejected."""
    ts = (
        start_of_date("ts_text", zone)
        if reading.timestamp_format == "date"
        else timestamp_field("ts_text", reading.timestamp_format, zone)
    )
    truncated = (
        "false" if reading.timestamp_format == "date" else is_timestamp_truncated("ts_text", reading.timestamp_format)
    )
    return f"""
        SELECT
            *,
            CASE
                WHEN trouble IS NOT NULL THEN nullif(trouble, '{BLANK}')
                WHEN len(list_distinct(names)) < len(names) THEN '{REPEATED_NAME}'
                WHEN ts IS NULL THEN '{TIMESTAMP_UNREADABLE}'
            END AS reason
        FROM (
            SELECT *, {ts} AS ts, {truncated} AS ts_truncated
            FROM (
                SELECT *, CASE WHEN {is_scalar("ts_json")} THEN {unquoted("ts_json")} END AS ts_text
                FROM (
                    SELECT
                        *,
                        CASE WHEN trouble IS NULL THEN json_keys(content) END AS names,
                        CASE WHEN trouble IS NULL
                            THEN json_extract(content, {literal(pointer(reading.timestamp))})::VARCHAR
                        END AS ts_json
                    FROM (SELECT *, {TROUBLE} AS trouble FROM ({lines}))
                )
            )
        )
    """
