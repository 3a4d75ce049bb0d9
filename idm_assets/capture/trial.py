"""Trying a source declaration on a file: the file is filed as it would be, in a home that is thrown away.

Nothing is stored in the user's home, and no second way of decoding exists that could differ from the real one.

Belongs here: this trial. Does not belong here: proposing a declaration (`proposal`), showing anything to people.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

import duckdb

from idm_assets.capture import tables
from idm_assets.capture.filing import FilingCabinet
from idm_assets.capture.intake import ClaimedFile
from idm_assets.capture.sources import SourceEntry, claim
from idm_assets.contracts import Partition, Table
from resources.archive import Archive
from resources.engine import Engine
from resources.lake import Lake
from resources.landing_zone import LandedFile, LandingZone
from resources.ledger import Ledger
from resources.settings import Settings

EVER: Final = date(1, 1, 2)


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one file.

    Attributes:
        captures: rows of `capture.captures`, one per member where the file is an archive.
        left: why nothing could be said of the file, by path.
        totals: number of rows by table.
        samples: the first rows by table; signals by their names.
    """

    captures: tuple[Mapping[str, Any], ...]
    left: Mapping[str, str]
    totals: Mapping[str, int]
    samples: Mapping[str, list[Mapping[str, Any]]] = field(default_factory=dict[str, list[Mapping[str, Any]]])


class NotClaimedError(Exception):
    """A file whose path the declaration does not claim, whichever of its folders count as part of it."""


def landing_path(entry: SourceEntry, file: Path) -> str:
    """The path below the plant's landing folder that a file would have: the shortest end of its path that is claimed.

    Raises:
        NotClaimedError: the declaration claims none.
    """
    parts = file.absolute().parts[1:]
    for count in range(1, len(parts) + 1):
        path = PurePosixPath(*parts[-count:]).as_posix()
        if not isinstance(claim([entry], entry.plant, path), str):
            return path
    pattern = f" and path_pattern {entry.path_pattern!r}" if entry.path_pattern else ""
    raise NotClaimedError(f"{file}: no end of this path matches the glob {entry.glob!r}{pattern} of {entry.name}")


def try_file(entry: SourceEntry, file: Path, path: str, rows: int = 10) -> Trial:
    """File one file in a home of its own and say what became of it.

    Args:
        entry: the declaration.
        file: the file; it is not changed.
        path: its path below the plant's landing folder.
        rows: how many rows of each table are shown.

    Raises:
        NotClaimedError: the declaration does not claim the path.
        OSError: the file cannot be read.
    """
    claimed = claim([entry], entry.plant, path)
    if isinstance(claimed, str):
        raise NotClaimedError(f"{path}: {claimed}")
    now = datetime.now(UTC)
    with _home() as settings:
        landed = settings.landing_path / entry.plant / path
        landed.parent.mkdir(parents=True)
        _lay(file, landed)
        stat = landed.stat()
        lake, ledger = Lake(settings=settings), Ledger(settings=settings)
        landing_zone, archive = LandingZone(settings=settings), Archive(settings=settings)
        partition = Partition(entry.plant, now.date())
        try:
            with Engine(settings=settings).connect() as con:
                cabinet = FilingCabinet(
                    con, lake, ledger, landing_zone, archive, settings.work_path, partition, EVER, "trial"
                )
                named = LandedFile(entry.plant, path, stat.st_size, stat.st_mtime_ns)
                filed = cabinet.file([ClaimedFile(named, claimed)], now)
                return Trial(
                    tuple(filed.captures),
                    dict(filed.left),
                    {table.name: _count(con, lake, table) for table in tables.TABLES},
                    {table.name: _sample(con, lake, table, rows) for table in tables.TABLES},
                )
        finally:
            ledger.close()


def _lay(file: Path, landed: Path) -> None:
    """Put a file where it would be landed; without a copy where that can be."""
    try:
        os.link(file, landed, follow_symlinks=True)
    except OSError:
        shutil.copyfile(file, landed)


@contextmanager
def _home() -> Generator[Settings]:
    with tempfile.TemporaryDirectory(prefix="idm-trial-") as folder:
        yield Settings(home=folder)


def _count(con: duckdb.DuckDBPyConnection, lake: Lake, table: Table) -> int:
    return int(con.sql(f"SELECT count(*) FROM ({lake.relation(table)})").fetchall()[0][0])


def _sample(con: duckdb.DuckDBPyConnection, lake: Lake, table: Table, rows: int) -> list[Mapping[str, Any]]:
    """The first rows of a table, signals with their names."""
    query = f"SELECT * FROM ({lake.relation(table)})"
    if table is tables.OBSERVATIONS:
        query = (
            f"SELECT o.line, t.source, t.tag, o.ts, o.value, o.text, o.status, o.detail, o.remarks FROM ({query}) o"
            f" JOIN ({lake.relation(tables.TAGS)}) t USING (signal_id) ORDER BY o.line, o.part"
        )
    elif table in (tables.RECORDS, tables.QUARANTINE):
        query += " ORDER BY line"
    return con.sql(f"{query} LIMIT {rows}").pl().to_dicts()
