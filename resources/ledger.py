"""The ledger: which captures there are, which partition was computed from what.

A small relational store (SQLite in WAL mode). Data is committed to the lake first and recorded here after; a
crash in between only means that a partition is computed again, to the same content.

Belongs here: the records and their transactions. Does not belong here: what makes a partition stale.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa
import sqlalchemy.event
import sqlalchemy.exc
from dagster import ConfigurableResource, ResourceDependency
from pydantic import PrivateAttr
from sqlalchemy.dialects.sqlite import insert

from idm_assets.contracts import Partition, Table
from resources.archive import ArchivedCapture
from resources.settings import Settings

_metadata = sa.MetaData()

_captures = sa.Table(
    "captures",
    _metadata,
    sa.Column("capture_key", sa.BigInteger, primary_key=True),
    sa.Column("plant", sa.String, nullable=False, index=True),
    sa.Column("arrived_on", sa.Date, nullable=False),
    sa.Column("arrived_at", sa.String, nullable=False),
    sa.Column("source_entry", sa.String, nullable=False),
    sa.Column("source", sa.String),
    sa.Column("path", sa.String, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("standing", sa.String, nullable=False),
    sa.Column("decoder_fingerprint", sa.String, nullable=False),
    sa.Column("last_ts", sa.String),
    sa.Column("landed_path", sa.String),
    sa.Column("delivered_hash", sa.String),
)

_capture_days = sa.Table(
    "capture_days",
    _metadata,
    sa.Column("capture_key", sa.BigInteger, sa.ForeignKey("captures.capture_key"), primary_key=True),
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True, index=True),
    sa.Column("observations", sa.BigInteger, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("records", sa.BigInteger, nullable=False, server_default="0"),
)

_landed_files = sa.Table(
    "landed_files",
    _metadata,
    sa.Column("plant", sa.String, primary_key=True),
    sa.Column("path", sa.String, primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    sa.Column("capture_key", sa.BigInteger, nullable=False),
    sa.Column("effective_key", sa.BigInteger),
)

_partitions = sa.Table(
    "partitions",
    _metadata,
    sa.Column("table_name", sa.String, primary_key=True),
    sa.Column("plant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("computed_at", sa.String, nullable=False),
)

_failures = sa.Table(
    "failures",
    _metadata,
    sa.Column("table_name", sa.String, primary_key=True),
    sa.Column("plant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("message", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("failed_at", sa.String, nullable=False),
)

_binding_versions = sa.Table(
    "binding_versions",
    _metadata,
    sa.Column("plant", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
)

_binding_effects = sa.Table(
    "binding_effects",
    _metadata,
    sa.Column("plant", sa.String, primary_key=True),
    sa.Column("day", sa.String, primary_key=True),
    sa.Column("total", sa.BigInteger, nullable=False),
)

_standing_tables = sa.Table(
    "standing_tables",
    _metadata,
    sa.Column("table_name", sa.String, primary_key=True),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("content_hash", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("computed_at", sa.String, nullable=False),
)


@dataclass(frozen=True, slots=True)
class CaptureDay:
    """How much one capture says of one source on one event day, with a hash of just those rows."""

    source: str
    day: date
    observations: int
    content_hash: str
    records: int = 0


@dataclass(frozen=True, slots=True)
class CaptureRecord:
    """A capture that was filed, and the landed path it was found at.

    ``path`` is that of the member where the landed file is an archive; ``landed_path`` and ``delivered_hash`` are
    those of the landed file itself, under which the archive keeps it.
    """

    capture_key: int
    plant: str
    arrived_at: datetime
    source_entry: str
    source: str | None
    path: str
    size: int
    mtime_ns: int
    content_hash: str
    standing: str
    decoder_fingerprint: str
    last_ts: datetime | None = None
    days: tuple[CaptureDay, ...] = ()
    landed_path: str = ""
    delivered_hash: str = ""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the ledger last saw at a landed path."""

    size: int
    mtime_ns: int
    capture_key: int


@dataclass(frozen=True, slots=True)
class KnownCapture:
    """A capture the ledger knows: where its rows are and how they were made."""

    capture_key: int
    plant: str
    path: str
    arrived_on: date
    arrived_at: datetime
    content_hash: str
    standing: str
    decoder_fingerprint: str
    source_entry: str
    landed_path: str
    delivered_hash: str


@dataclass(frozen=True, slots=True)
class DayInput:
    """Rows of one effective capture that happened on one day.

    Attributes:
        plant: plant.
        day: event day.
        source: source of the rows.
        capture_key: the capture.
        arrived_on: arrival partition in which its rows are stored.
        observations: number of observations.
        content_hash: hash of just those rows.
        capture_last_ts: last event time of the whole capture, ISO 8601 in UTC.
        records: number of records.
    """

    plant: str
    day: date
    source: str
    capture_key: int
    arrived_on: date
    observations: int
    content_hash: str
    capture_last_ts: str
    records: int = 0


@dataclass(frozen=True, slots=True)
class PartitionRecord:
    """The last computation of one partition of one table."""

    table: str
    partition: Partition
    fingerprint: str
    content_hash: str
    rows: int
    run_id: str
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    computed_at: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A computation that failed: from which inputs, why and when."""

    fingerprint: str
    message: str
    failed_at: str


class Ledger(ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Reads and writes the records; every write is one transaction."""

    settings: ResourceDependency[Settings]
    _engine: sa.Engine | None = PrivateAttr(default=None)

    def _open(self) -> sa.Engine:
        if self._engine is None:
            path = self.settings.ledger_path
            path.parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 60})
            sqlalchemy.event.listen(engine, "connect", _set_pragmas)
            _metadata.create_all(engine)
            _add_columns(engine)
            self._engine = engine
        return self._engine

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    # Captures

    def known_files(self, plant: str) -> dict[str, KnownFile]:
        """What was last seen at each landed path of a plant."""
        t = _landed_files.c
        query = sa.select(t.path, t.size, t.mtime_ns, t.capture_key).where(t.plant == plant)
        with self._open().connect() as con:
            return {path: KnownFile(size, mtime_ns, key) for path, size, mtime_ns, key in con.execute(query)}

    def known_captures(self, plant: str, keys: Iterable[int] | None = None) -> dict[int, KnownCapture]:
        """Captures of a plant by key: all, or the ones named."""
        c = _captures.c
        query = sa.select(
            c.capture_key, c.plant, c.path, c.arrived_on, c.arrived_at, c.content_hash, c.standing,
            c.decoder_fingerprint, c.source_entry, c.landed_path, c.delivered_hash,
        ).where(c.plant == plant)  # fmt: skip
        wanted = None if keys is None else set(keys)
        with self._open().connect() as con:
            return {
                row.capture_key: KnownCapture(
                    row.capture_key, row.plant, row.path, row.arrived_on, datetime.fromisoformat(row.arrived_at),
                    row.content_hash, row.standing, row.decoder_fingerprint, row.source_entry,
                    row.landed_path or row.path, row.delivered_hash or row.content_hash,
                )
                for row in con.execute(query)
                if wanted is None or row.capture_key in wanted
            }  # fmt: skip

    def record_captures(self, records: Sequence[CaptureRecord]) -> None:
        """Record captures whose rows are in the lake, with the landed paths that hold them now.

        A decoded capture becomes the effective one of its path; a rejected one leaves the former in effect.
        """
        with self._open().begin() as con:
            for record in records:
                values = {
                    "capture_key": record.capture_key, "plant": record.plant,
                    "arrived_on": record.arrived_at.astimezone(UTC).date(),
                    "arrived_at": record.arrived_at.astimezone(UTC).isoformat(),
                    "source_entry": record.source_entry, "source": record.source, "path": record.path,
                    "content_hash": record.content_hash, "standing": record.standing,
                    "decoder_fingerprint": record.decoder_fingerprint,
                    "last_ts": None if record.last_ts is None else record.last_ts.astimezone(UTC).isoformat(),
                    "landed_path": record.landed_path or record.path,
                    "delivered_hash": record.delivered_hash or record.content_hash,
                }  # fmt: skip
                con.execute(insert(_captures).values(values).on_conflict_do_update(["capture_key"], set_=values))
                con.execute(sa.delete(_capture_days).where(_capture_days.c.capture_key == record.capture_key))
                if record.days:
                    con.execute(
                        sa.insert(_capture_days),
                        [
                            {
                                "capture_key": record.capture_key, "source": day.source, "day": day.day,
                                "observations": day.observations, "content_hash": day.content_hash,
                                "records": day.records,
                            }
                            for day in record.days
                        ],
                    )  # fmt: skip
                _point(con, record.plant, record.path, record.size, record.mtime_ns, record.capture_key)

    def record_repeat(self, plant: str, path: str, size: int, mtime_ns: int, capture_key: int) -> None:
        """Record that a landed path holds, now or again, a capture that was decoded before."""
        with self._open().begin() as con:
            _point(con, plant, path, size, mtime_ns, capture_key)

    def record_archive(
        self, plant: str, path: str, size: int, mtime_ns: int, key: int, member_paths: Collection[str]
    ) -> None:
        """Record that a landed path holds an archive whose members are filed; members of a former one count no more."""
        f = _landed_files.c
        values = {"size": size, "mtime_ns": mtime_ns, "capture_key": key, "effective_key": None}
        with self._open().begin() as con:
            statement = insert(_landed_files).values(plant=plant, path=path, **values)
            con.execute(statement.on_conflict_do_update(["plant", "path"], set_=values))
            within = f.path.startswith(f"{path}/", autoescape=True)
            held = con.execute(sa.select(f.path).where(f.plant == plant, within)).scalars().all()
            for member in set(held) - set(member_paths):
                con.execute(sa.delete(_landed_files).where(f.plant == plant, f.path == member))

    def held_captures(self) -> set[int]:
        """Keys of the captures that some landed path holds, whether they decoded or not, and of those in effect."""
        f = _landed_files.c
        query = sa.union(sa.select(f.capture_key), sa.select(f.effective_key).where(f.effective_key.is_not(None)))
        with self._open().connect() as con:
            return set(con.execute(query).scalars())

    def archived_captures(self) -> list[ArchivedCapture]:
        """All captures ever recorded, by the delivered file that the archive keeps for them, with its last arrival."""
        c = _captures.c
        content, path = sa.func.coalesce(c.delivered_hash, c.content_hash), sa.func.coalesce(c.landed_path, c.path)
        query = (
            sa.select(content, c.plant, c.source_entry, sa.func.max(c.arrived_at), path)
            .group_by(content, c.plant, c.source_entry, path)
            .order_by(c.plant, path, content)
        )
        with self._open().connect() as con:
            return [
                ArchivedCapture(sha256, plant, entry, datetime.fromisoformat(arrived_at), landed)
                for sha256, plant, entry, arrived_at, landed in con.execute(query)
            ]

    def filed_otherwise(self, plant: str, fingerprints: Mapping[str, str]) -> dict[date, int]:
        """Arrival days of a plant with captures that were filed by other rules than those of now, and how many.

        Args:
            plant: plant.
            fingerprints: decoder fingerprint by source declaration; captures of others are left alone.
        """
        c, f = _captures.c, _landed_files.c
        query = (
            sa.select(c.arrived_on, c.source_entry, c.decoder_fingerprint, sa.func.count())
            .join(_landed_files, sa.and_(f.plant == c.plant, f.path == c.path, f.capture_key == c.capture_key))
            .where(c.plant == plant)
            .group_by(c.arrived_on, c.source_entry, c.decoder_fingerprint)
        )
        days: dict[date, int] = {}
        with self._open().connect() as con:
            for day, entry, fingerprint, count in con.execute(query):
                if fingerprints.get(entry, fingerprint) != fingerprint:
                    days[day] = days.get(day, 0) + count
        return days

    def effective_captures(self) -> set[int]:
        """Keys of the captures whose rows count: those that some landed path holds and that decoded."""
        query = sa.select(_landed_files.c.effective_key).where(_landed_files.c.effective_key.is_not(None))
        with self._open().connect() as con:
            return set(con.execute(query.distinct()).scalars())

    def day_inputs(self, plant: str | None = None, days: Sequence[date] | None = None) -> list[DayInput]:
        """Rows that effective captures hold per event day, ordered by plant, day, source and capture."""
        effective = sa.select(_landed_files.c.effective_key).where(_landed_files.c.effective_key.is_not(None))
        c, d = _captures.c, _capture_days.c
        query = (
            sa.select(
                c.plant,
                d.day,
                d.source,
                c.capture_key,
                c.arrived_on,
                d.observations,
                d.content_hash,
                c.last_ts,
                d.records,
            )
            .join(_captures, c.capture_key == d.capture_key)
            .where(c.capture_key.in_(effective))
            .order_by(c.plant, d.day, d.source, c.capture_key)
        )
        if plant is not None:
            query = query.where(c.plant == plant)
        if days is not None:
            query = query.where(d.day.in_(days))
        with self._open().connect() as con:
            return [DayInput(*row) for row in con.execute(query)]

    def sources_of(self, entries: Collection[str]) -> dict[str, set[str]]:
        """Sources that some declarations delivered, by plant."""
        query = (
            sa.select(_captures.c.plant, _capture_days.c.source)
            .join(_capture_days, _captures.c.capture_key == _capture_days.c.capture_key)
            .where(_captures.c.source_entry.in_(entries))
            .distinct()
        )
        found: dict[str, set[str]] = {}
        with self._open().connect() as con:
            for plant, source in con.execute(query):
                found.setdefault(plant, set()).add(source)
        return found

    # Partitions

    def record_partitions(self, records: Sequence[PartitionRecord]) -> None:
        """Record computed partitions; the newest computation replaces the former record."""
        now = datetime.now(UTC).isoformat()
        with self._open().begin() as con:
            for record in records:
                values = {
                    "fingerprint": record.fingerprint, "content_hash": record.content_hash, "rows": record.rows,
                    "counts": dict(record.counts), "run_id": record.run_id, "computed_at": now,
                }  # fmt: skip
                keys = {
                    "table_name": record.table,
                    "plant": record.partition.plant,
                    "day": record.partition.day,
                }
                con.execute(insert(_partitions).values(**keys, **values).on_conflict_do_update(list(keys), set_=values))
                f = _failures.c
                con.execute(
                    sa.delete(_failures).where(
                        f.table_name == record.table, f.plant == keys["plant"], f.day == keys["day"]
                    )
                )

    def partitions(
        self, tables: Sequence[str], plant: str | None = None
    ) -> dict[tuple[str, Partition], PartitionRecord]:
        """Records of all partitions of some tables, of one plant or all."""
        p = _partitions.c
        query = sa.select(_partitions).where(p.table_name.in_(tables))
        if plant is not None:
            query = query.where(p.plant == plant)
        with self._open().connect() as con:
            return {
                (row.table_name, Partition(row.plant, row.day)): PartitionRecord(
                    row.table_name, Partition(row.plant, row.day), row.fingerprint, row.content_hash, row.rows,
                    row.run_id, row.counts, row.computed_at,
                )
                for row in con.execute(query)
            }  # fmt: skip

    def partition(self, table: str, partition: Partition) -> PartitionRecord | None:
        """Record of one partition, if it was ever computed."""
        p = _partitions.c
        query = sa.select(_partitions).where(p.table_name == table, p.plant == partition.plant, p.day == partition.day)
        with self._open().connect() as con:
            row = con.execute(query).one_or_none()
        if row is None:
            return None
        return PartitionRecord(
            table,
            partition,
            row.fingerprint,
            row.content_hash,
            row.rows,
            row.run_id,
            row.counts,
            row.computed_at,
        )

    def record_failure(
        self, partition: Partition, fingerprints: Mapping[Table, str], message: str, run_id: str
    ) -> None:
        """Record that computing tables of a partition from these inputs failed; the next success forgets it."""
        now = datetime.now(UTC).isoformat()
        with self._open().begin() as con:
            for table, print_ in fingerprints.items():
                values = {"fingerprint": print_, "message": message, "run_id": run_id, "failed_at": now}
                keys = {"table_name": table.qualified_name, "plant": partition.plant, "day": partition.day}
                con.execute(insert(_failures).values(**keys, **values).on_conflict_do_update(list(keys), set_=values))

    def failures(self, plant: str | None = None) -> dict[tuple[str, Partition], Failed]:
        """Computations that failed and have not succeeded since."""
        query = sa.select(_failures)
        if plant is not None:
            query = query.where(_failures.c.plant == plant)
        with self._open().connect() as con:
            return {
                (row.table_name, Partition(row.plant, row.day)): Failed(row.fingerprint, row.message, row.failed_at)
                for row in con.execute(query)
            }

    # Unpartitioned tables and publications

    def binding_effects(self, plant: str) -> tuple[int | None, dict[date, int]]:
        """Up to which version of the referential effects on a plant's days are known, and their totals by day."""
        v, e = _binding_versions.c, _binding_effects.c
        with self._open().connect() as con:
            version = con.execute(sa.select(v.version).where(v.plant == plant)).scalar_one_or_none()
            rows = con.execute(sa.select(e.day, e.total).where(e.plant == plant)).all()
        return version, {date.fromisoformat(row.day): row.total for row in rows}

    def record_binding_effects(self, plant: str, since: int | None, version: int, totals: Mapping[date, int]) -> None:
        """Put down the totals of the days that versions after ``since`` had an effect on; zero: none is left.

        Nothing is put down if another process did so meanwhile.
        """
        v, e = _binding_versions.c, _binding_effects.c
        with self._open().begin() as con:
            known = con.execute(sa.select(v.version).where(v.plant == plant)).scalar_one_or_none()
            if known != since:
                return
            for day, total in totals.items():
                con.execute(sa.delete(_binding_effects).where(e.plant == plant, e.day == day.isoformat()))
                if total:
                    con.execute(insert(_binding_effects).values(plant=plant, day=day.isoformat(), total=total))
            statement = insert(_binding_versions).values(plant=plant, version=version)
            con.execute(statement.on_conflict_do_update(["plant"], set_={"version": version}))

    def record_standing(self, table: str, fingerprint: str, content_hash: str, run_id: str) -> None:
        """Record what an unpartitioned table, or the published catalog, was last made from."""
        values = {
            "fingerprint": fingerprint, "content_hash": content_hash, "run_id": run_id,
            "computed_at": datetime.now(UTC).isoformat(),
        }  # fmt: skip
        with self._open().begin() as con:
            statement = insert(_standing_tables).values(table_name=table, **values)
            con.execute(statement.on_conflict_do_update(["table_name"], set_=values))

    def standing(self, table: str) -> tuple[str, str] | None:
        """Fingerprint and content hash last recorded for an unpartitioned table."""
        t = _standing_tables.c
        query = sa.select(t.fingerprint, t.content_hash).where(t.table_name == table)
        with self._open().connect() as con:
            row = con.execute(query).one_or_none()
        return None if row is None else (row.fingerprint, row.content_hash)


def _point(con: sa.Connection, plant: str, path: str, size: int, mtime_ns: int, capture_key: int) -> None:
    """Let a landed path hold a recorded capture, which comes into effect there if it decoded."""
    values = {"size": size, "mtime_ns": mtime_ns, "capture_key": capture_key}
    standing = sa.select(_captures.c.standing).where(_captures.c.capture_key == capture_key)
    if con.execute(standing).scalar_one() == "decoded":
        values["effective_key"] = capture_key
    statement = insert(_landed_files).values(plant=plant, path=path, **values)
    con.execute(statement.on_conflict_do_update(["plant", "path"], set_=values))


def _add_columns(engine: sa.Engine) -> None:
    """Bring a ledger of an earlier version up to date."""
    for table in (_captures, _capture_days):
        known = _column_names(engine, table)
        for column in table.columns:
            if column.name not in known:
                _add_column(engine, table, column)


def _add_column(engine: sa.Engine, table: sa.Table, column: sa.Column[Any]) -> None:
    kind = column.type.compile(engine.dialect)
    default = "" if column.nullable else " NOT NULL DEFAULT 0"
    try:
        with engine.begin() as con:
            con.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}{default}"))
    except sqlalchemy.exc.OperationalError:
        if column.name not in _column_names(engine, table):  # another process was not faster
            raise


def _column_names(engine: sa.Engine, table: sa.Table) -> set[str]:
    return {str(column["name"]) for column in sa.inspect(engine).get_columns(table.name)}


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
