"""The lake: Delta tables of Parquet files, written through one path.

Every write makes a Parquet file under a fresh name, checks it against the table's contract, makes it durable
and commits it together with the removal of what it replaces, in one Delta transaction that is guarded per
partition. Readers see the former files or the new ones, never a mix, and no file name is ever used twice.

Belongs here: files, transactions, which files are live. Does not belong here: what a table means.
"""

import json
import os
import threading
import time
import uuid
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, cast

import duckdb
import polars as pl
import pyarrow.parquet as pq
from dagster import ConfigurableResource, ResourceDependency
from deltalake import CommitProperties, DeltaTable, Field, PostCommitHookProperties, Transaction
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction
from pydantic import PrivateAttr

from idm_assets.contracts import ContractError, Partition, Table, validate
from idm_assets.sql import content_hash, identifier, literal
from resources.settings import Settings

LOG_RETENTION: Final = "interval 3650 days"
VALIDATION_BATCH: Final = 500_000
COMMIT_ATTEMPTS: Final = 30
ROW_GROUP: Final = 122_880
IN_SOME_FILES: Final = "idm.in_some_files"
"""Metadata of a column that came to the table or left its contract; files without it have NULL there."""
NO_CONTENT: Final = "0/0"
"""What `sql.content_hash` says of no rows."""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A Parquet file in place and checked, but not yet part of the table."""

    path: Path
    rows: int
    content_hash: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did.

    Attributes:
        rows: rows of the partition, or of the table, after the write.
        content_hash: hash of these rows, whatever their order.
        changed: False when the live content was already equal, so that nothing was committed.
        version: Delta version that holds the content.
    """

    rows: int
    content_hash: str
    changed: bool
    version: int


class PartitionChangedError(Exception):
    """Another writer committed to the partition since its live files were listed; plan again and retry."""


class Lake(ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Reads and writes the Delta tables below the lake's root."""

    settings: ResourceDependency[Settings]
    _tables: dict[tuple[str, int], DeltaTable] = PrivateAttr(default_factory=dict[tuple[str, int], DeltaTable])
    _steady: dict[int, set[str]] = PrivateAttr(default_factory=dict[int, set[str]])

    # Reading

    def table_path(self, table: Table) -> Path:
        """Folder of a Delta table."""
        return self.settings.lake_path / table.layer / table.name

    @contextmanager
    def steady(self) -> Generator[None]:
        """Look at each table once, then see only this thread's own commits, until the end of the block.

        For a step over many partitions: one reading of the lake, without asking the log anew for every file list.
        A commit over what another writer changed meanwhile is refused and planned again, as ever.
        """
        self._steady[threading.get_ident()] = set()
        try:
            yield
        finally:
            del self._steady[threading.get_ident()]

    def exists(self, table: Table) -> bool:
        """Whether the table was ever written."""
        return (self.table_path(table) / "_delta_log").is_dir()

    def live_files(self, table: Table, partitions: Iterable[Partition] | None = None) -> list[Path]:
        """Absolute paths of the files that make up the table now, or some of its partitions, sorted."""
        if not self.exists(table):
            return []
        delta = self._fresh(table)
        if partitions is None:
            return sorted(self._located(table, uri) for uri in delta.file_uris())
        found: list[Path] = []
        for partition in partitions:
            predicate = [(name, "=", value) for name, value in partition.values(table).items()]
            found += [self._located(table, uri) for uri in delta.file_uris(file_pruning_predicate=predicate)]
        return sorted(found)

    def _located(self, table: Table, uri: str) -> Path:
        """Path of a data file from its URI, whose root may be percent-encoded."""
        return self.table_path(table).joinpath(*PurePosixPath(uri).parts[-len(table.partition_by) - 1 :])

    def relation(self, table: Table, partitions: Iterable[Partition] | None = None) -> str:
        """SQL query over exactly the live files, with the partition columns; an empty one if there are none."""
        return self.relation_over(table, self.live_files(table, partitions))

    def relation_over(self, table: Table, files: Sequence[Path]) -> str:
        """SQL query over some files of a table, with the partition columns typed by the contract."""
        if not files:
            return table.empty_relation()
        names = ", ".join(literal(str(file)) for file in files)
        if not table.partition_by:
            return f"SELECT * FROM read_parquet([{names}], hive_partitioning = false)"
        types = ", ".join(f"{literal(n)}: {table.column(n).type.duckdb}" for n in table.partition_by)
        hive = f"hive_partitioning = true, hive_types = {{{types}}}"
        if not self.changed_columns(table):
            return f"SELECT * FROM read_parquet([{names}], {hive})"
        columns = ", ".join(identifier(column.name) for column in table.columns)
        rows = f"SELECT * FROM read_parquet([{names}], {hive}, union_by_name = true)"
        return f"SELECT {columns} FROM ({table.empty_relation()} UNION ALL BY NAME {rows})"

    def version(self, table: Table) -> int:
        """Delta version of the table; -1 if it was never written."""
        return self._fresh(table).version() if self.exists(table) else -1

    def frame(self, table: Table) -> pl.DataFrame:
        """A whole unpartitioned table, for small ones such as the referential."""
        files = self.live_files(table)
        return pl.read_parquet(files) if files else table.empty_frame()

    # Writing

    def stage(
        self, con: duckdb.DuckDBPyConnection, table: Table, query: str, partition: Partition | None = None
    ) -> StagedFile:
        """Write a query's rows to a new Parquet file, in contract types and order, and check the contract.

        Raises:
            ContractError: some rows break the contract; the file is removed.
            duckdb.Error: the query cannot be run.
        """
        folder = self.table_path(table)
        if partition is not None:
            folder = folder.joinpath(*(f"{name}={value}" for name, value in partition.values(table).items()))
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"part-{uuid.uuid4().hex}.parquet"
        order = f" ORDER BY {', '.join(identifier(name) for name in table.sort)}" if table.sort else ""
        try:
            copied = con.execute(
                f"COPY (SELECT {table.select_list()} FROM ({query}){order}) TO {literal(str(path))}"
                f" (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})"
            ).fetchall()
            if copied[0][0] == 0:
                return StagedFile(path, 0, NO_CONTENT)
            _refuse_breaches(table, path)
            columns = tuple(column.name for column in table.stored_columns)
            found = con.sql(
                f"SELECT count(*), {content_hash(columns)} FROM read_parquet({literal(str(path))})"
            ).fetchall()
            rows, fingerprint = found[0]
            _make_durable(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return StagedFile(path, rows, fingerprint)

    def replace(
        self,
        table: Table,
        staged: StagedFile,
        run_id: str,
        partition: Partition | None = None,
        current_hash: str | None = None,
    ) -> Written:
        """Make a staged file the whole content of a partition, or of an unpartitioned table.

        When ``current_hash`` says that the live content is already equal, the staged file is dropped and
        nothing is committed: whatever depends on the content then stays as it is.
        """
        live = self.live_files(table, None if partition is None else [partition])
        if current_hash == staged.content_hash and (live or staged.rows == 0):
            staged.path.unlink()
            return Written(staged.rows, staged.content_hash, changed=False, version=self.version(table))
        adds = [staged] if staged.rows else []
        if not adds:
            staged.path.unlink()
        for _ in range(COMMIT_ATTEMPTS):
            try:
                version = self.commit(table, partition, adds, live, run_id)
            except PartitionChangedError:
                live = self.live_files(table, None if partition is None else [partition])
            else:
                return Written(staged.rows, staged.content_hash, changed=True, version=version)
        raise PartitionChangedError(
            f"{table.qualified_name} {partition or ''}: other writers changed it {COMMIT_ATTEMPTS} times in a row; "
            "run it again when they are done"
        )

    def commit(
        self,
        table: Table,
        partition: Partition | None,
        adds: Sequence[StagedFile],
        removes: Sequence[Path],
        run_id: str,
    ) -> int:
        """Commit staged files and the removal of live ones in one transaction; returns the Delta version.

        Raises:
            PartitionChangedError: another writer committed to the same partition since it was last read, or the
                table had to be given new columns first.
            ContractError: a column is stored with another type than the contract has now.
        """
        listed = self._snapshot_key(table) in self._tables
        delta = self._open(table)
        if not adds and not removes:
            return delta.version()
        if not listed and delta.version() > 0:
            raise PartitionChangedError(f"{table.qualified_name} was created by another writer since it was looked for")
        self._follow(table, delta)
        root = self.table_path(table)
        values: dict[str, str | None] = {} if partition is None else dict(partition.values(table))
        app = "partition:" + "/".join(f"{name}={value}" for name, value in values.items())
        now_ms = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            AddAction(
                path=file.path.relative_to(root).as_posix(),
                size=file.path.stat().st_size,
                partition_values=values,
                modification_time=now_ms,
                data_change=True,
                stats=json.dumps({"numRecords": file.rows}),
            )
            for file in adds
        ]
        actions += [
            RemoveAction(
                path.relative_to(root).as_posix(),
                data_change=True,
                deletion_timestamp=now_ms,
                partition_values=values,
            )
            for path in removes
        ]
        try:
            delta.create_write_transaction(
                actions,
                mode="append",
                schema=delta.schema(),
                partition_by=list(table.partition_by),
                commit_properties=CommitProperties(
                    custom_metadata={
                        "run_id": run_id,
                        "content": ",".join(file.content_hash for file in adds),
                    },
                    max_commit_retries=COMMIT_ATTEMPTS,
                    app_transactions=[Transaction(app, (delta.transaction_version(app) or 0) + 1)],
                ),
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
        except CommitFailedError as error:
            delta.update_incremental()
            raise PartitionChangedError(str(error)) from error
        delta.update_incremental()
        return delta.version()

    def _follow(self, table: Table, delta: DeltaTable) -> None:
        """Give a stored table the columns that its contract has meanwhile, and note which ones it has no more.

        What was planned is refused then: the look at the table that comes with it may bring other writers' commits.
        """
        stored = {field.name: field for field in delta.schema().fields}
        fields = table.delta_schema().fields
        changed = [
            f"column {field.name} is stored as {stored[field.name].type}, the contract says {field.type}; a table keeps"
            " its types, so the column needs another name, or its model another major version"
            for field in fields
            if field.name in stored and stored[field.name].type != field.type
        ]
        if changed:
            raise ContractError(table, changed)
        added = [
            Field(field.name, field.type, nullable=True, metadata={**field.metadata, IN_SOME_FILES: "true"})
            for field in fields
            if field.name not in stored
        ]
        wanted = {field.name for field in fields}
        left = [f for name, f in stored.items() if name not in wanted and IN_SOME_FILES not in f.metadata]
        if added or left:
            with suppress(CommitFailedError):  # another writer changed the table: whoever plans again comes back here
                if added:
                    delta.alter.add_columns(added)
                for field in left:
                    delta.alter.set_column_metadata(field.name, {**field.metadata, IN_SOME_FILES: "true"})
            delta.update_incremental()
            raise PartitionChangedError(f"{table.qualified_name} got new columns, or is to do without some")

    def changed_columns(self, table: Table) -> frozenset[str]:
        """Columns that only some files of a stored table have: they were added to it, or left the contract."""
        fields = {field.name: field for field in self._open(table).schema().fields}
        noted = {name for name, field in fields.items() if IN_SOME_FILES in field.metadata}
        return frozenset(noted | ({column.name for column in table.columns} ^ set(fields)))

    def _open(self, table: Table) -> DeltaTable:
        """The Delta table, created on first use; as fresh as the last read or write of this thread."""
        key = self._snapshot_key(table)
        if key not in self._tables:
            path = self.table_path(table)
            path.mkdir(parents=True, exist_ok=True)
            with suppress(CommitFailedError):  # another writer created it at the same moment
                DeltaTable.create(
                    path,
                    table.delta_schema(),
                    mode="ignore",
                    partition_by=list(table.partition_by),
                    name=table.qualified_name,
                    description=table.description,
                    configuration={"delta.logRetentionDuration": LOG_RETENTION},
                )
            self._tables[key] = DeltaTable(path)
        return self._tables[key]

    def _snapshot_key(self, table: Table) -> tuple[str, int]:
        """Threads must not share a snapshot: one would commit what it planned over what another has seen."""
        return table.qualified_name, threading.get_ident()

    def _fresh(self, table: Table) -> DeltaTable:
        delta = self._open(table)
        seen = self._steady.get(threading.get_ident())
        if seen is None or table.qualified_name not in seen:
            delta.update_incremental()
        if seen is not None:
            seen.add(table.qualified_name)
        return delta


def _refuse_breaches(table: Table, path: Path) -> None:
    failures = contract_failures(table, path)
    if failures:
        raise ContractError(table, failures)


def contract_failures(table: Table, path: Path, changed: Collection[str] = ()) -> list[str]:
    """What breaks the table's contract in a data file, values included; empty when nothing does.

    Args:
        table: the contract.
        path: the data file.
        changed: columns that `Lake.changed_columns` names: in an older file they may be missing, which counts as
            NULL, or still be there.
    """
    failures: list[str] = []
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=VALIDATION_BATCH):  # pyright: ignore[reportUnknownVariableType]
            frame = cast("pl.DataFrame", pl.from_arrow(batch))  # pyright: ignore[reportUnknownArgumentType]
            failures += validate(table, _aligned(table, frame, changed) if changed else frame)
    return failures


def _aligned(table: Table, frame: pl.DataFrame, changed: Collection[str]) -> pl.DataFrame:
    wanted = {column.name: column.type.polars for column in table.stored_columns}
    gone = [name for name in frame.columns if name in changed and name not in wanted]
    new = [
        pl.lit(None, kind).alias(name) for name, kind in wanted.items() if name in changed and name not in frame.columns
    ]
    return frame.drop(gone).with_columns(new)


def _make_durable(path: Path) -> None:
    """Flush a file and its folder entry to the disk, so that a committed file survives a power cut."""
    for target in (path, path.parent):
        descriptor = os.open(target, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def discard(staged: Iterable[StagedFile]) -> None:
    """Remove staged files that will not be committed."""
    for file in staged:
        with suppress(FileNotFoundError):
            file.path.unlink()
