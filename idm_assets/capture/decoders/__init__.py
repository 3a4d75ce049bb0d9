"""Decoders: one small interface between a delivered format and observations or records, and the registry of formats.

A decoder says, as SQL over DuckDB, what the lines of prepared files mean. It never writes a table, knows
nothing of plants, partitions or the referential, and accounts for every line: each is decoded, rejected or
skipped, and the sum is checked against the lines that the survey counted by other means.

Belongs here: the interface, the registry. Does not belong here: a format (a module of its own), storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A surveyed, unpacked text file that a decoder may read.

    Attributes:
        number: identifies the file within one batch.
        text: the unpacked file.
        source: source found in the path; None if the lines name their source.
        lines: number of lines, counted by the survey.
        plain: True when the bytes need no care: valid UTF-8, no NUL, line ends all alike, no line too long.
    """

    number: int
    text: Path
    source: str | None
    lines: int
    plain: bool


@dataclass(frozen=True, slots=True)
class Decoding:
    """What a batch of files means, as three SQL queries; nothing is read until they run.

    Attributes:
        rows: query for what the lines say. Observations have columns ``file INTEGER, line BIGINT, part INTEGER,
            source VARCHAR, tag VARCHAR, ts TIMESTAMPTZ, value DOUBLE, text VARCHAR, status BIGINT,
            detail VARCHAR, ts_truncated BOOLEAN``; ``part`` counts the observations of one line from 1. Records
            have ``file, line, part, ts, ts_truncated, payload VARCHAR``; a line is one record.
        rejected: query with columns ``file INTEGER, line BIGINT, payload VARCHAR, reason VARCHAR,
            detail VARCHAR``, one row per rejected line.
        skipped: query with columns ``file INTEGER, reason VARCHAR, lines BIGINT``.
        lines: query for the lines that these are about, with ``file`` and ``line`` among its columns.
        meaning: makes the decoding of a query with the columns of ``lines``.
    """

    rows: str
    rejected: str
    skipped: str
    lines: str
    meaning: Callable[[str], Decoding]

    def lines_without(self, decoded: str, most: int) -> str:
        """Query for the lines that are not among some others; a bit per line instead of a hash table.

        Args:
            decoded: query with the ``file`` and ``line`` of lines to leave out.
            most: no file has more lines than this, at least 1.
        """
        bits = f"SELECT file, bitstring_agg(line, 1, {most}) AS found FROM ({decoded}) GROUP BY file"
        return (
            f"SELECT l.* FROM ({self.lines}) l LEFT JOIN ({bits}) b ON l.file = b.file"
            " WHERE b.found IS NULL OR get_bit(b.found, (l.line - 1)::INTEGER) = 0"
        )


class Decoder(Protocol):
    """One delivered format."""

    name: str
    code_version: str

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile]) -> Decoding:
        """Decode clean files with the vectorised reader; its queries may raise `duckdb.Error` when run."""
        ...

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile) -> Decoding:
        """Decode any file line by line in meaning, giving each rejected line its number and reason."""
        ...


def decoder_for(name: str, options: Mapping[str, Any], zone: str = "UTC") -> Decoder:
    """The decoder registered as ``name``, set up with the options of a source declaration.

    Args:
        name: name of the format.
        options: the decoder's own options.
        zone: IANA zone of timestamps that carry none.

    Raises:
        KeyError: no such format; the message lists the known ones.
        pydantic.ValidationError: the options do not fit the format.
    """
    from idm_assets.capture.decoders.json_lines import JsonLines
    from idm_assets.capture.decoders.shdr import Shdr

    formats = {"shdr": Shdr, "json_lines": JsonLines}
    if name not in formats:
        raise KeyError(f"unknown format {name!r}; known formats: {', '.join(sorted(formats))}")
    return formats[name].from_options(options, zone)
