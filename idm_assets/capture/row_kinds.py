"""What a decoded line becomes: observations, which are filed under signal keys, or a record, which is kept as it is.

Belongs here: the difference between the two on the way from a decoder to a staged file. Does not belong here: what a
format means (`decoders`), the routes and the balance (`batch_decoding`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import duckdb

from idm_assets.capture import tables
from idm_assets.capture.decoders import Decoding
from idm_assets.capture.remarks import MISSING_TEXT, SENTINEL
from idm_assets.capture.shapes import RecordReading
from idm_assets.capture.status_reading import StatusReading, is_missing, is_sentinel, judged_status
from idm_assets.contracts import Table
from idm_assets.sql import literal, signal_id
from resources.lake import StagedFile


class RowKind(Protocol):
    """One of the two kinds of rows.

    Attributes:
        table: where the rows go.
        counted: column of `capture.captures` that counts them.
        first_of_line: SQL condition on a row of the table that holds once per line.
        shown: SQL expression over a decoded row ``d``: what the quarantine shows of it.
        needs_sample: whether the first lines of every file are decoded ahead, see `learn`.
    """

    table: Table
    counted: Literal["observations", "records"]
    first_of_line: str
    shown: str
    needs_sample: bool

    def keyed(self, decoded: str, within: str) -> str:
        """Query for the columns of the table, of the decoded rows whose time can be.

        Args:
            decoded: query as `Decoding.rows` has it.
            within: SQL condition on a decoded row ``d`` and its row ``b`` of the table ``batch``.
        """
        ...

    def learn(self, decoded: str) -> None:
        """Note what the rows will need; the rows may be a sample."""
        ...

    def learn_staged(self, staged: StagedFile, decoding: Decoding) -> None:
        """Note what rows that were staged turned out to need."""
        ...


@dataclass
class ObservationRows:
    """Observations: each row gets the key of its signal, and the names behind new keys are kept.

    Attributes:
        con: connection with the table ``known_tags``.
        plant: plant.
        statuses: which values stand for none.
    """

    con: duckdb.DuckDBPyConnection
    plant: str
    statuses: StatusReading
    table: Table = tables.OBSERVATIONS
    counted: Literal["observations", "records"] = "observations"
    first_of_line: str = "part = 1"
    shown: str = (
        "json_object('source', d.source, 'tag', d.tag, 'ts', d.ts::VARCHAR, 'value', d.value, 'text', d.text)::VARCHAR"
    )
    needs_sample: bool = True

    def keyed(self, decoded: str, within: str) -> str:
        """See `RowKind`."""
        new_key = signal_id(literal(self.plant), "d.source", "d.tag")
        status = judged_status("d.status", "d.value", "d.text", self.statuses)
        remarks = "d.remarks"
        if self.statuses.sentinels:
            remarks += f" | CASE WHEN {is_sentinel('d.value', self.statuses)} THEN {SENTINEL} ELSE 0 END"
        if self.statuses.missing:
            remarks += f" | CASE WHEN {is_missing('d.text', self.statuses)} THEN {MISSING_TEXT} ELSE 0 END"
        return (
            f"SELECT b.capture_key, d.line, d.part, coalesce(k.signal_id, {new_key})"
            f" AS signal_id, d.ts, {remarks} AS remarks, d.value, d.text, {status} AS status, d.detail"
            f" FROM ({decoded}) d JOIN batch b ON d.file = b.number"
            f" LEFT JOIN known_tags k ON d.source = k.source AND d.tag = k.tag WHERE {within}"
        )

    def learn(self, decoded: str) -> None:
        """Keep the names of signals that are not known yet."""
        self.con.execute(
            f"INSERT INTO known_tags SELECT {signal_id(literal(self.plant), 'source', 'tag')}, source, tag FROM"
            f" (SELECT DISTINCT source, tag FROM ({decoded})) d ANTI JOIN known_tags k USING (source, tag)"
        ).fetchall()

    def learn_staged(self, staged: StagedFile, decoding: Decoding) -> None:
        """Keep the names of staged signals that the sample did not have."""
        unnamed = self.con.sql(
            f"SELECT count(*) FROM (SELECT DISTINCT signal_id FROM read_parquet({literal(str(staged.path))})) s"
            f" ANTI JOIN known_tags k USING (signal_id)"
        ).fetchall()[0][0]
        if unnamed:
            self.learn(decoding.rows)


@dataclass
class RecordRows:
    """Records: each row says which model it is declared to be of, and how its fields are read.

    Attributes:
        reading: the declaration.
        declared: what `cleaned.records` has to know of it, as canonical JSON.
    """

    reading: RecordReading
    declared: str
    table: Table = tables.RECORDS
    counted: Literal["observations", "records"] = "records"
    first_of_line: str = "true"
    shown: str = "d.payload"
    needs_sample: bool = False

    def keyed(self, decoded: str, within: str) -> str:
        """See `RowKind`."""
        return (
            f"SELECT b.capture_key, d.line, {literal(self.reading.model)} AS model,"
            f" {literal(self.declared)} AS reading, d.ts, d.remarks, d.payload"
            f" FROM ({decoded}) d JOIN batch b ON d.file = b.number WHERE {within}"
        )

    def learn(self, decoded: str) -> None:
        """Records need nothing."""

    def learn_staged(self, staged: StagedFile, decoding: Decoding) -> None:
        """Records need nothing."""
