"""Versions of the referential: what is in force, what was, and how the next version comes into force.

A change records rows and retires rows; both are only ever appended, so every former version can be read again,
and the difference between two versions is what the changes between them recorded and retired. The row of
`referential.versions` is written last and in one commit: before it, nothing of a change is visible; after it,
everything is, in all tables at once.

Belongs here: these queries and the order of commits. Does not belong here: what rows mean.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import polars as pl

from idm_assets.contracts import Column, ColumnType, Table
from idm_assets.referential import tables
from idm_assets.sql import identifier, integer_key, literal
from resources.lake import Lake, PartitionChangedError, StagedFile, discard

ATTEMPTS: Final = 5
COMPACT_AT: Final = 24
"""Files of a table above which the small ones become one."""
SMALL_BYTES: Final = 32 * 1024 * 1024

_MASK: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Change:
    """Who changes the referential, and why."""

    author: str
    reason: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version that was put in force."""

    version: int
    change_id: int
    recorded_at: datetime
    author: str
    reason: str
    run_id: str
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    plants: tuple[str, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change does to one table: the rows to record and those to retire.

    Attributes:
        recorded: query for the rows, with ``row_id``, without ``recorded_by``.
        retired: query for ``row_id, recorded_by``.
    """

    recorded: str
    retired: str


class ReferentialChangedError(Exception):
    """Another change came into force in the meantime; compare anew and try again."""


def content_columns(table: Table) -> tuple[Column, ...]:
    """The columns of a historised table that say something: all but those of history."""
    history = (tables.ROW_ID.name, tables.RECORDED_BY.name)
    return tuple(column for column in table.columns if column.name not in history)


def with_row_id(table: Table, rows: str) -> str:
    """Query that adds ``row_id`` to rows with the content columns of a table.

    The key is the lower 63 bits of the MD5 of all values, the same on every machine and version of the engine.
    """
    texts = [
        f"coalesce({'epoch_us' if c.type is ColumnType.TIMESTAMP else ''}({identifier(c.name)})::VARCHAR, chr(30))"
        for c in content_columns(table)
    ]
    key = integer_key(f"concat_ws(chr(31), {', '.join(texts)})")
    names = ", ".join(identifier(c.name) for c in content_columns(table))
    return f"SELECT {names}, {key} AS row_id FROM ({rows})"


def in_force(lake: Lake, table: Table, version: int | None = None) -> str:
    """Query for the rows of a historised table that are in force, or were in a former version.

    Args:
        lake: the tables.
        table: one of `tables.HISTORISED`.
        version: version of the referential; None: the newest.
    """
    return _standing(lake.relation(table), table, _known(lake, version), lake.relation(tables.RETIRED))


def ever_in_force(lake: Lake, table: Table) -> str:
    """Query for the rows of a historised table that any version recorded, those that were retired among them."""
    return f"SELECT * FROM ({lake.relation(table)}) WHERE recorded_by IN ({_known(lake, None)})"


def _known(lake: Lake, version: int | None) -> str:
    """Query for the ``change_id`` of all changes up to a version."""
    limit = "true" if version is None else f"version <= {version}"
    return f"SELECT change_id FROM ({lake.relation(tables.VERSIONS)}) WHERE {limit}"


def _standing(rows: str, table: Table, known: str, retired: str) -> str:
    return (
        f"SELECT * FROM ({rows}) r WHERE r.recorded_by IN ({known}) AND NOT EXISTS ("
        f"SELECT 1 FROM ({retired}) x WHERE x.table_name = {literal(table.name)} AND x.row_id = r.row_id"
        f" AND x.recorded_by = r.recorded_by AND x.retired_by IN ({known}))"
    )


def changes(lake: Lake, table: Table, since: int, until: int) -> str:
    """Query for the rows of a table that differ between two versions, with ``change``: ``added`` or ``removed``.

    A row that came and went in between, or went and came again, is no difference. Only what the changes in
    between touched is read, however long the table is.
    """
    rows, gone = lake.relation(table), lake.relation(tables.RETIRED)
    between = f"SELECT change_id FROM ({lake.relation(tables.VERSIONS)}) WHERE version > {since} AND version <= {until}"
    names = ", ".join(identifier(c.name) for c in content_columns(table))
    retired = f"SELECT row_id, recorded_by FROM ({gone}) WHERE table_name = {literal(table.name)} AND retired_by IN"
    return f"""
        WITH came AS (
            SELECT {names}, row_id FROM ({rows}) r WHERE recorded_by IN ({between}) AND NOT EXISTS (
                SELECT 1 FROM ({retired} ({between})) x WHERE x.row_id = r.row_id AND x.recorded_by = r.recorded_by)
        ), went AS (
            SELECT {names}, row_id FROM ({rows}) r WHERE recorded_by IN ({_known(lake, since)})
                AND (row_id, recorded_by) IN ({retired} ({between}))
        )
        SELECT 'added' AS change, * FROM came WHERE row_id NOT IN (SELECT row_id FROM went)
        UNION ALL SELECT 'removed', * FROM went WHERE row_id NOT IN (SELECT row_id FROM came)"""


def versions(lake: Lake) -> list[Version]:
    """All versions, oldest first."""
    rows = lake.frame(tables.VERSIONS).sort("version").iter_rows(named=True)
    return [
        Version(
            row["version"], row["change_id"], row["recorded_at"], row["author"], row["reason"], row["run_id"],
            {name: (n[0], n[1]) for name, n in json.loads(row["tables"]).items()},
            tuple(json.loads(row["plants"])), json.loads(row["inputs"]),
        )
        for row in rows
    ]  # fmt: skip


def newest_version(lake: Lake) -> int:
    """The version in force; 0 before the first."""
    log = lake.frame(tables.VERSIONS)["version"]
    return int(log.max() or 0)  # pyright: ignore[reportArgumentType]


def difference(lake: Lake, table: Table, candidate: str, scope: str = "true") -> Difference:
    """What it takes to make a candidate the content in force.

    Args:
        lake: the tables.
        table: one of `tables.HISTORISED`.
        candidate: query or table with the content columns and ``row_id``.
        scope: SQL condition for the rows in force that the candidate speaks of; others stay.
    """
    if not lake.live_files(table):
        return Difference(candidate, f"SELECT row_id, recorded_by FROM ({table.empty_relation()})")
    standing = in_force(lake, table)
    return Difference(
        f"SELECT c.* FROM ({candidate}) c WHERE NOT EXISTS (SELECT 1 FROM ({standing}) s WHERE s.row_id = c.row_id)",
        f"SELECT s.row_id, s.recorded_by FROM ({standing}) s WHERE ({scope})"
        f" AND NOT EXISTS (SELECT 1 FROM ({candidate}) c WHERE c.row_id = s.row_id)",
    )


@dataclass
class StagedChange:
    """Rows of a change in Parquet files that are no part of any table yet.

    Attributes:
        change_id: key of the change.
        files: staged files with their tables, in the order in which they are committed.
        counts: table name to rows recorded and retired.
    """

    change_id: int = field(default_factory=lambda: secrets.randbits(62))
    files: list[tuple[Table, StagedFile]] = field(default_factory=list[tuple[Table, StagedFile]])
    counts: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])

    def stage(self, con: duckdb.DuckDBPyConnection, lake: Lake, table: Table, differing: Difference) -> None:
        """Write the rows that a difference records and retires.

        Raises:
            ContractError: a row breaks its table's contract.
        """
        recorded = self._stage(
            con, lake, table, f"SELECT *, {self.change_id} AS recorded_by FROM ({differing.recorded})"
        )
        retired = self._stage(
            con,
            lake,
            tables.RETIRED,
            f"SELECT {literal(table.name)} AS table_name, row_id, recorded_by, {self.change_id} AS retired_by"
            f" FROM ({differing.retired})",
        )
        former = self.counts.get(table.name, (0, 0))
        if recorded or retired:
            self.counts[table.name] = (former[0] + recorded, former[1] + retired)

    def _stage(self, con: duckdb.DuckDBPyConnection, lake: Lake, table: Table, rows: str) -> int:
        file = lake.stage(con, table, rows)
        if file.rows:
            self.files.append((table, file))
        else:
            file.path.unlink(missing_ok=True)
        return file.rows

    def staged_files(self, table: Table) -> list[Path]:
        """The staged files of a table."""
        return [file.path for owner, file in self.files if owner is table]

    def discard(self) -> None:
        """Remove the files that were not committed."""
        discard(file for _, file in self.files)
        self.files.clear()


def put_in_force(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    staged: StagedChange,
    change: Change,
    plants: Sequence[str],
    inputs: Mapping[str, Any],
) -> Version:
    """Commit the files of a change, then the version that makes their rows visible.

    Raises:
        ReferentialChangedError: another change came first; nothing of this one is visible.
    """
    log = versions(lake)
    try:
        while staged.files:
            _append(lake, *staged.files[0], change.run_id)
            staged.files.pop(0)
    except BaseException:
        staged.discard()
        raise
    version = Version(
        len(log) + 1, staged.change_id, datetime.now(UTC), change.author, change.reason, change.run_id,
        dict(staged.counts), tuple(sorted(plants)), inputs,
    )  # fmt: skip
    _log(con, lake, version)
    return version


def _append(lake: Lake, table: Table, file: StagedFile, run_id: str) -> None:
    for _ in range(ATTEMPTS):
        try:
            lake.commit(table, None, [file], [], run_id)
        except PartitionChangedError:
            continue
        else:
            return
    raise PartitionChangedError(f"{table.qualified_name}: other writers were faster {ATTEMPTS} times; run it again")


def _log(con: duckdb.DuckDBPyConnection, lake: Lake, version: Version) -> None:
    """Write the version's row; from now on the change is in force.

    Raises:
        ReferentialChangedError: another version was written since the log was read.
    """
    row = {
        "version": version.version, "change_id": version.change_id, "recorded_at": version.recorded_at,
        "author": version.author, "reason": version.reason, "run_id": version.run_id,
        "recorded": sum(n for n, _ in version.counts.values()),
        "retired": sum(n for _, n in version.counts.values()), "tables": json.dumps(version.counts),
        "plants": json.dumps(version.plants), "inputs": json.dumps(version.inputs, sort_keys=True),
    }  # fmt: skip
    schema = {column.name: column.type.polars for column in tables.VERSIONS.columns}
    con.register("logged_version", pl.DataFrame([row], schema=schema, orient="row"))
    try:
        file = lake.stage(con, tables.VERSIONS, "SELECT * FROM logged_version")
    finally:
        con.unregister("logged_version")
    if len(versions(lake)) != version.version - 1:
        discard([file])
        raise ReferentialChangedError("another change came into force meanwhile; run it again")
    try:
        lake.commit(tables.VERSIONS, None, [file], [], version.run_id)
    except PartitionChangedError as error:
        discard([file])
        raise ReferentialChangedError("another change came into force meanwhile; run it again") from error


def compact(con: duckdb.DuckDBPyConnection, lake: Lake, run_id: str) -> None:
    """Make one file of the many small ones that changes leave."""
    for table in (*tables.HISTORISED, tables.RETIRED, tables.VERSIONS):
        small = [file for file in lake.live_files(table) if file.stat().st_size < SMALL_BYTES]
        if len(small) > COMPACT_AT:
            file = lake.stage(con, table, lake.relation_over(table, small))
            lake.commit(table, None, [file], small, run_id)
