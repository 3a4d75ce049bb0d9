"""Formats that are taken apart unit by unit in Python: messages, elements, whatever no vectorised reader knows.

A `UnitReader` only takes the structure apart and hands over tokens as they were delivered; what a token means, a
number or a timestamp, is said in SQL by `text_values`, so that it means the same in every format. The units go to a
scratch file, and from there the queries of a `Decoding` read them.

Belongs here: the way from units to a decoding. Does not belong here: any format, tables of rows (`tabular`).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from idm_assets.capture.content import Expected
from idm_assets.capture.decoders import Decoding, PreparedFile
from idm_assets.capture.remarks import NUMBER_ROUNDED, TIMESTAMP_CUT
from idm_assets.capture.text_values import (
    TIMESTAMP_UNREADABLE,
    is_as_written,
    is_rounded,
    is_truncated,
    number,
    timestamp,
)
from idm_assets.sql import literal
from idm_assets.status import GOOD

TAG_MISSING: Final = "tag_missing"
SOURCE_MISSING: Final = "source_missing"

_BATCH: Final = 16_384
_BATCH_CHARACTERS: Final = 32 << 20
_PAYLOAD_CHARACTERS: Final = 65_536
# pyarrow has no types; what comes from it stays within this module.
_arrow: Any = cast("Any", pa)
_SCHEMA: Final[Any] = _arrow.schema(
    {
        "file": _arrow.int32(), "line": _arrow.int64(), "part": _arrow.int32(), "source": _arrow.string(),
        "tag": _arrow.string(), "ts_text": _arrow.string(), "ts_us": _arrow.int64(), "value": _arrow.float64(),
        "text": _arrow.string(), "is_text": _arrow.bool_(), "status": _arrow.int64(), "detail": _arrow.string(),
        "remarks": _arrow.int32(), "payload": _arrow.string(), "is_record": _arrow.bool_(),
        "reason": _arrow.string(), "explanation": _arrow.string(), "skipped": _arrow.string(),
    }
)  # fmt: skip


class Observed(NamedTuple):
    """One observation, its tokens as delivered.

    Attributes:
        tag: name of the signal; None or blank: the unit is rejected.
        ts: ISO 8601 text as delivered, or whole microseconds since 1970 in UTC; None: the unit is rejected.
        value: a float, where the format delivers doubles; a number or text as written; an int or a bool; None.
        status: OPC UA StatusCode.
        detail: JSON object with what else was said.
        source: source; None: the one that the path names.
        is_text: the value is text even where it looks like a number.
        payload: what the quarantine shows should the unit be rejected.
        remarks: bits of `remarks`.
    """

    tag: str | None
    ts: str | int | None
    value: float | str | bool | None
    status: int = GOOD
    detail: str | None = None
    source: str | None = None
    is_text: bool = False
    payload: str | None = None
    remarks: int = 0


class Recorded(NamedTuple):
    """One record.

    Attributes:
        ts: as for `Observed`.
        payload: JSON object of its fields, sorted by name, numbers as written.
        remarks: bits of `remarks`.
    """

    ts: str | int | None
    payload: str
    remarks: int = 0


class Rejected(NamedTuple):
    """A unit that cannot be decoded: reason code, what was expected and found, and what was delivered."""

    reason: str
    detail: str
    payload: str | None


class Skipped(NamedTuple):
    """A unit that holds nothing to keep, such as a keep-alive; skips are counted by reason."""

    reason: str


Unit = Observed | Recorded | Rejected | Skipped | Sequence[Observed]
"""What one unit is; several observations of one unit are all of one instant, and at least one."""


class UnitReader(Protocol):
    """Takes files of one format apart."""

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
        """Number of units, by means that `read` does not share; `UndecodableFile` if it is none of the format."""
        ...

    def read(self, file: PreparedFile) -> Iterator[Unit]:
        """The units in order, in constant memory; `UndecodableFile` if the file is none of the format."""
        ...


@dataclass(frozen=True, slots=True)
class Streamed:
    """Decoder of a format that a `UnitReader` takes apart; one route serves clean and other files.

    Attributes:
        reader: takes files apart.
        zone: IANA zone of timestamps that carry none.
    """

    reader: UnitReader
    zone: str = "UTC"

    @property
    def name(self) -> str:
        """Name of the format."""
        return self.reader.name

    @property
    def code_version(self) -> str:
        """Version of the reader and of what tokens mean here."""
        return f"{self.reader.code_version}.1"

    @property
    def unit(self) -> str:
        """What is counted."""
        return self.reader.unit

    @property
    def expected(self) -> Expected:
        """What a file has to hold."""
        return self.reader.expected

    def count(self, file: PreparedFile) -> int:
        """Number of units, see `UnitReader.count`."""
        return self.reader.count(file)

    def layout(self, file: PreparedFile) -> str:  # noqa: ARG002 - all files are read alike
        """Nothing: any files can be read together."""
        return ""

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], folder: Path) -> Decoding:  # noqa: ARG002
        """Decode files; see `Decoder`."""
        scratch = folder / f"units-{uuid.uuid4().hex}.parquet"
        _write(scratch, self.reader, files)
        units = f"SELECT * FROM read_parquet({literal(str(scratch))})"
        skipped = (
            f"SELECT file, skipped AS reason, count(*)::BIGINT AS lines FROM ({units})"
            " WHERE skipped IS NOT NULL GROUP BY ALL"
        )
        return _decoding(units, skipped, self.zone)

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, folder: Path) -> Decoding:
        """Decode a file; see `Decoder`."""
        return self.fast(con, [file], folder)


def _decoding(units: str, skipped: str, zone: str) -> Decoding:
    judged = _judged(units, zone)
    is_kept = "rejection IS NULL AND skipped IS NULL"
    value = f"CASE WHEN value IS NOT NULL THEN value WHEN NOT is_text THEN {number('text')} END"
    observed = f"SELECT * REPLACE ({value} AS value) FROM ({judged}) WHERE {is_kept}"
    is_spelled = f"value IS NOT NULL AND NOT is_text AND {is_as_written('text', 'value')}"
    rounded = f"CASE WHEN value IS NOT NULL AND {is_rounded('text', 'value')} THEN {NUMBER_ROUNDED} ELSE 0 END"
    return Decoding(
        rows=f"""
            SELECT file, line, part, source, tag, ts, value, CASE WHEN {is_spelled} THEN NULL ELSE text END AS text,
                status, detail, (remarks | cut | {rounded})::INTEGER AS remarks, payload
            FROM ({observed})
        """,
        rejected=f"""
            SELECT file, line, {_SHOWN} AS payload, rejection AS reason,
                CASE WHEN reason IS NOT NULL THEN explanation
                     WHEN rejection = '{TIMESTAMP_UNREADABLE}'
                     THEN concat('expected an ISO 8601 timestamp, found ', coalesce(left(ts_text, 100), 'nothing'))
                END AS detail
            FROM ({judged}) WHERE rejection IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY file, line ORDER BY part) = 1
        """,
        skipped=skipped,
        lines=units,
        meaning=lambda others: _decoding(others, skipped, zone),
    )


_SHOWN: Final = (
    "coalesce(payload, json_object('source', source, 'tag', tag, 'ts', coalesce(ts_text, ts_us::VARCHAR),"
    " 'value', coalesce(text, value::VARCHAR))::VARCHAR)"
)


def _judged(units: str, zone: str) -> str:
    """Query: every unit with its instant, and why it is rejected."""
    return f"""
        SELECT *, CASE
            WHEN skipped IS NOT NULL THEN NULL
            WHEN reason IS NOT NULL THEN reason
            WHEN ts IS NULL THEN '{TIMESTAMP_UNREADABLE}'
            WHEN is_record THEN NULL
            WHEN coalesce(trim(tag), '') = '' THEN '{TAG_MISSING}'
            WHEN source IS NULL THEN '{SOURCE_MISSING}'
        END AS rejection
        FROM (
            SELECT *,
                CASE WHEN ts_us IS NOT NULL THEN make_timestamptz(ts_us) ELSE {timestamp("ts_text", zone)} END AS ts,
                CASE WHEN ts_text IS NOT NULL AND {is_truncated("ts_text")} THEN {TIMESTAMP_CUT} ELSE 0 END AS cut
            FROM ({units})
        )
    """


def _write(scratch: Path, reader: UnitReader, files: Sequence[PreparedFile]) -> None:
    """Write the units of some files to a scratch file."""
    writer: Any = cast("Any", pq).ParquetWriter(scratch, _SCHEMA, compression="lz4")
    try:
        for file in files:
            for batch in _batches(_rows(file, reader.read(file))):
                arrays = [
                    _arrow.array(column, kind)
                    for column, kind in zip(zip(*batch, strict=True), _SCHEMA.types, strict=True)
                ]
                writer.write_batch(_arrow.RecordBatch.from_arrays(arrays, schema=_SCHEMA))
    finally:
        writer.close()


Row = tuple[Any, ...]


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in batches that are bounded in number and in text."""
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(len(row[place] or "") for place in _LONG_TEXTS)
        if len(batch) >= _BATCH or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


_LONG_TEXTS: Final = tuple(_SCHEMA.names.index(name) for name in ("text", "detail", "payload"))
_NOTHING_OBSERVED: Final = (None, None, None, None, None, None, True, GOOD, None)


def _rows(file: PreparedFile, units: Iterator[Unit]) -> Iterator[Row]:
    for line, unit in enumerate(units, start=1):
        match unit:
            case Observed():
                yield _observation(file, line, 1, unit)
            case Recorded(ts, payload, remarks):
                nothing = (None, None, *_instant(ts), *_NOTHING_OBSERVED[4:])
                yield (file.number, line, 1, *nothing, remarks, _json(payload), True, None, None, None)
            case Rejected(reason, detail, payload):
                shown = None if payload is None else _text(payload[:_PAYLOAD_CHARACTERS])
                yield (file.number, line, 1, *_NOTHING_OBSERVED, 0, shown, False, reason, _text(detail), None)
            case Skipped(reason):
                yield (file.number, line, 1, *_NOTHING_OBSERVED, 0, None, False, None, None, reason)
            case _:
                for part, observed in enumerate(unit, start=1):
                    yield _observation(file, line, part, observed)


def _observation(file: PreparedFile, line: int, part: int, observed: Observed) -> Row:
    ts_text, ts_us = _instant(observed.ts)
    value, text, is_text = _token(observed.value)
    payload = None if observed.payload is None else observed.payload[:_PAYLOAD_CHARACTERS]
    source = file.source if observed.source is None else observed.source
    return (
        file.number, line, part, _text(source), _text(observed.tag), ts_text, ts_us, value, text,
        is_text or observed.is_text, observed.status, _json(observed.detail), observed.remarks, _text(payload), False,
        None, None, None,
    )  # fmt: skip


_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FIRST_MICROSECOND: Final = -62_135_596_800_000_000
_LAST_MICROSECOND: Final = 253_402_300_799_999_999


def _instant(ts: str | int | None) -> tuple[str | None, int | None]:
    """Timestamp as text, or as microseconds where these are of the years 1 to 9999."""
    if isinstance(ts, int):
        return (None, ts) if _FIRST_MICROSECOND <= ts <= _LAST_MICROSECOND else (str(ts)[:100], None)
    return _text(ts), None


def _token(value: object) -> tuple[float | None, str | None, bool]:
    """Double, text, and whether the text is never a number."""
    match value:
        case None:
            return None, None, True
        case bool():
            return None, "true" if value else "false", True
        case int():
            return None, str(value) if abs(value) < 10**300 else f"{value:#x}"[:_PAYLOAD_CHARACTERS], False
        case float():
            return (value, None, True) if value - value == 0 else (None, repr(value), True)
        case _:
            return None, _text(str(value)), False


def _json(value: str | None) -> str | None:
    """JSON that can be stored, in which a lone surrogate is what it is in `_text`: as an escape it would be no JSON."""
    return _text(value if value is None or value.isascii() else _SURROGATE.sub(_doubly_escaped, value))


def _doubly_escaped(found: re.Match[str]) -> str:
    return f"\\\\u{ord(found[0]):04x}"


def _text(value: str | None) -> str | None:
    """Text that can be stored: a lone surrogate becomes its escape, as does NUL."""
    if value is None or value.isascii():
        return value if value is None or "\0" not in value else value.replace("\0", "\\x00")
    return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
