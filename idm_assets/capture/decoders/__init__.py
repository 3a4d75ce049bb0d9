"""Decoders: one small interface between a delivered format and observations or records.

A decoder says, as SQL over DuckDB, what the units of prepared files mean: a unit is a line of text, a row of a
table, a message or an element, whatever the format is made of. It never writes a table, knows nothing of plants,
partitions or the referential, and accounts for every unit: each is decoded, rejected or skipped, and the sum is
checked against a number of units that was counted by other means.

Belongs here: the interface. Does not belong here: which formats there are (`registry`), a format (a module of its
own), what a token means (`text_values`), storage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import duckdb

from idm_assets.capture.content import Expected


@dataclass(frozen=True, slots=True)
class PreparedFile:
    """A surveyed, unpacked file that a decoder may read.

    Attributes:
        number: identifies the file within one batch.
        path: the unpacked file, text in UTF-8.
        source: source found in the path; None if the units name their source.
        lines: number of lines of a text, counted by the survey.
        plain: True when the bytes need no care: valid UTF-8, no NUL, line ends all alike, no line too long.
        facts: what else the path says, by the names of the path pattern's groups.
    """

    number: int
    path: Path
    source: str | None
    lines: int
    plain: bool
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Decoding:
    """What a batch of files means, as SQL queries; nothing is read until they run.

    Attributes:
        rows: query for what the units say. Observations have columns ``file INTEGER, line BIGINT, part INTEGER,
            source VARCHAR, tag VARCHAR, ts TIMESTAMPTZ, value DOUBLE, text VARCHAR, status BIGINT,
            detail VARCHAR, remarks INTEGER``; ``line`` is the number of the unit, ``part`` counts the observations
            of one unit, which are all of one instant, from 1; ``remarks`` is a set of bits, see `remarks`. Records
            have ``file, line, part, ts, remarks, payload VARCHAR``; a unit is one record.
        rejected: query with columns ``file INTEGER, line BIGINT, payload VARCHAR, reason VARCHAR,
            detail VARCHAR``, one row per rejected unit.
        skipped: query with columns ``file INTEGER, reason VARCHAR, lines BIGINT``.
        lines: query for the units that these are about, with ``file`` and ``line`` among its columns.
        meaning: makes the decoding of a query with the columns of ``lines``.
        cells: how many cells, filled or empty, a decoded unit has for observations, where that is the same for all
            units of these files; what is not observed of them is counted as empty.
    """

    rows: str
    rejected: str
    skipped: str
    lines: str
    meaning: Callable[[str], Decoding]
    cells: int | None = None

    def lines_without(self, decoded: str, most: int) -> str:
        """Query for the units that are not among some others; a bit per unit instead of a hash table.

        Args:
            decoded: query with the ``file`` and ``line`` of units to leave out.
            most: no file has more units than this, at least 1.
        """
        bits = f"SELECT file, bitstring_agg(line, 1, {most}) AS found FROM ({decoded}) GROUP BY file"
        return (
            f"SELECT l.* FROM ({self.lines}) l LEFT JOIN ({bits}) b ON l.file = b.file"
            " WHERE b.found IS NULL OR get_bit(b.found, (l.line - 1)::INTEGER) = 0"
        )


class UndecodableFile(Exception):  # noqa: N818 - named for the state of the file
    """A file that cannot be decoded as a whole.

    Attributes:
        reason: reason code of the quarantine.
        detail: what was expected and what was found, for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Decoder(Protocol):
    """One delivered format, set up for one source declaration."""

    @property
    def name(self) -> str:
        """Name of the format, shown with the captures that it decoded."""
        ...

    @property
    def code_version(self) -> str:
        """Changes whenever the same bytes would be decoded otherwise."""
        ...

    @property
    def unit(self) -> str:
        """What is counted, such as ``line``, ``row``, ``element`` or ``message``."""
        ...

    @property
    def expected(self) -> Expected:
        """What the survey has to make of a file before it is decoded."""
        ...

    def count(self, file: PreparedFile) -> int:
        """Number of units, found by means that the decoding does not share.

        Raises:
            UndecodableFile: the file is none of this format.
        """
        ...

    def layout(self, file: PreparedFile) -> str:
        """What files must have in common to be decoded by one call of `fast`, such as the header of a table."""
        ...

    def fast(self, con: duckdb.DuckDBPyConnection, files: Sequence[PreparedFile], folder: Path) -> Decoding:
        """Decode clean files of one layout together.

        Args:
            con: connection that runs the queries, or one of its cursors does.
            files: plain files.
            folder: where scratch files may be put; it is removed after the batch.

        Raises:
            duckdb.Error, UndecodableFile: some file needs care; also the queries may raise `duckdb.Error` when run.
        """
        ...

    def exact(self, con: duckdb.DuckDBPyConnection, file: PreparedFile, folder: Path) -> Decoding:
        """Decode any file unit by unit in meaning, giving each rejected unit its number and reason.

        The queries hold until the next call on the same connection.

        Raises:
            UndecodableFile: no unit of the file can be told from another.
            OSError: the file cannot be read.
        """
        ...
