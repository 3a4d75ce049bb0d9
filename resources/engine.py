"""The engine: in-memory DuckDB connections that spill to disk instead of growing."""

import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager

import duckdb
from dagster import ConfigurableResource, ResourceDependency

from idm_assets.sql import literal
from resources.settings import Settings


class Engine(ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens DuckDB connections with the run's limits."""

    settings: ResourceDependency[Settings]

    @contextmanager
    def connect(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A fresh in-memory connection in UTC, closed at the end."""
        spill = self.settings.work_path / "spill"
        spill.mkdir(parents=True, exist_ok=True)
        threads = self.settings.threads or os.cpu_count() or 1
        con = duckdb.connect(":memory:")
        try:
            con.execute(f"SET memory_limit = {literal(self.settings.memory_limit)}").fetchall()
            con.execute(f"SET threads = {threads}").fetchall()
            con.execute(f"SET temp_directory = {literal(str(spill))}").fetchall()
            con.execute("SET TimeZone = 'UTC'").fetchall()
            yield con
        finally:
            con.close()

    @contextmanager
    def workbench(self) -> Generator[duckdb.DuckDBPyConnection]:
        """A connection whose tables lie in a file of their own, compressed and evictable, which goes with it.

        For working tables of millions of rows: temporary tables would take the memory that queries need.
        """
        with self.connect() as con:
            file = self.settings.work_path / f"workbench-{uuid.uuid4().hex}.duckdb"
            try:
                con.execute(f"ATTACH {literal(str(file))} AS workbench").fetchall()
                con.execute("USE workbench").fetchall()
                yield con
            finally:
                con.execute("USE memory").fetchall()
                con.execute("DETACH DATABASE IF EXISTS workbench").fetchall()
                for leftover in (file, file.with_name(file.name + ".wal")):
                    leftover.unlink(missing_ok=True)


@contextmanager
def reproducibly(con: duckdb.DuckDBPyConnection) -> Generator[None]:
    """Run queries that add floating-point numbers so that the same rows give the same bits.

    With several threads the order of addition, and so the last bits of sums and means, differ from run to run
    (measured: five runs over 5 million rows gave five contents; one thread gave one, also when it spilled, at
    1.6 times the time). Equal inputs must give equal tables, or every replay would look like a restatement.
    """
    threads = con.sql("SELECT current_setting('threads')").fetchall()[0][0]
    con.execute("SET threads = 1").fetchall()
    try:
        yield
    finally:
        con.execute(f"SET threads = {int(threads)}").fetchall()
