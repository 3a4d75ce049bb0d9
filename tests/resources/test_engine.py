"""Connections with limits, and sums that do not depend on threads."""

import duckdb
import pytest

from resources.engine import Engine, reproducibly
from resources.settings import Settings


def setting(con, name):
    return con.sql(f"SELECT current_setting('{name}')").fetchall()[0][0]


def test_a_connection_has_the_limits_of_the_settings(tmp_path):
    limited = Settings(home=str(tmp_path / "it's home"), memory_limit="256MiB", threads=2)
    with Engine(settings=limited).connect() as con:
        assert setting(con, "threads") == 2
        assert setting(con, "memory_limit") == "256.0 MiB"
        assert setting(con, "TimeZone") == "UTC"
        assert setting(con, "temp_directory") == str(tmp_path / "it's home" / "work" / "spill")
        assert con.sql("SELECT count(*) FROM duckdb_databases() WHERE path IS NOT NULL").fetchall() == [(0,)]


def test_a_connection_is_closed_at_the_end_and_after_an_error(engine):
    kept = []
    with engine.connect() as con:
        kept.append(con)
    with pytest.raises(duckdb.Error), engine.connect() as con:  # noqa: PT012 - the body is what fails
        kept.append(con)
        con.execute("SELECT error('stop')")
    for con in kept:
        with pytest.raises(duckdb.ConnectionException):
            con.execute("SELECT 1")


def test_connections_do_not_see_each_other(engine):
    with engine.connect() as first, engine.connect() as second:
        first.execute("CREATE TEMP TABLE t AS SELECT 1").fetchall()
        with pytest.raises(duckdb.CatalogException):
            second.sql("FROM t").fetchall()


def test_reproducibly_takes_one_thread_and_gives_the_others_back(con):
    assert setting(con, "threads") == 2
    with reproducibly(con):
        assert setting(con, "threads") == 1
    assert setting(con, "threads") == 2
    with pytest.raises(ZeroDivisionError), reproducibly(con):
        raise ZeroDivisionError
    assert setting(con, "threads") == 2


def test_the_same_rows_give_the_same_bits_each_time(con):
    """With two threads this sum has several values (which the next lines do not rely on)."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE t AS SELECT n % 7 AS k, sin(n) AS x FROM range(1_000_000) r(n)"
    ).fetchall()
    found = set()
    for _ in range(4):
        with reproducibly(con):
            found.add(tuple(con.sql("SELECT k, sum(x), avg(x) FROM t GROUP BY k ORDER BY k").fetchall()))
    assert len(found) == 1
