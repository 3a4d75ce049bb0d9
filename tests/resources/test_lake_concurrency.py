"""Concurrent writers of one partition: whoever is last wins, and nothing is lost or doubled."""

import multiprocessing
import threading
from datetime import date
from pathlib import Path

import duckdb
import pytest

from idm_assets.contracts import DAY, PLANT, Column, ColumnType, Partition, Table
from resources.lake import Lake
from resources.settings import Settings

TABLE = Table(
    "cleaned", "raced", "Raced for.", (PLANT, DAY, Column("a", ColumnType.INTEGER, "Writer.")), ("plant", "day")
)
MONDAY = Partition("nist", date(2016, 11, 7))
TUESDAY = Partition("nist", date(2016, 11, 8))
WRITERS = 3


def write(lake, number, barrier, partition=MONDAY):
    """Writer ``number`` says its number ``number + 1`` times."""
    con = duckdb.connect()
    try:
        con.execute("SET threads = 1").fetchall()
        staged = lake.stage(con, TABLE, f"SELECT {number} AS a FROM range({number + 1})", partition)
        barrier.wait(30)
        lake.replace(TABLE, staged, f"run {number}", partition)
    finally:
        con.close()


def content(home, partition=MONDAY):
    lake = Lake(settings=Settings(home=str(home)))
    con = duckdb.connect()
    try:
        return con.sql(f"SELECT a, count(*) FROM ({lake.relation(TABLE, [partition])}) GROUP BY a").fetchall()
    finally:
        con.close()


def raced_by_threads(lakes, partitions=(MONDAY,) * WRITERS):
    barrier = threading.Barrier(len(lakes))
    errors = []

    def run(number):
        try:
            write(lakes[number], number, barrier, partitions[number])
        except Exception as error:  # noqa: BLE001 - told by the test, not lost in a thread
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(lakes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


@pytest.mark.parametrize("shared", [False, True], ids=["own lake", "shared lake"])
def test_threads_that_write_first_at_once(tmp_path, shared):
    """Without a table, all of them create it: before, one race in five doubled the partition."""
    for number in range(12):
        home = tmp_path / str(number)
        lakes = [Lake(settings=Settings(home=str(home))) for _ in range(WRITERS)]
        raced_by_threads(lakes[:1] * WRITERS if shared else lakes)
        rows = content(home)
        assert len(rows) == 1, "exactly one writer's rows are live"
        assert rows[0][1] == rows[0][0] + 1, "all of them, once"


@pytest.mark.parametrize("shared", [False, True], ids=["own lake", "shared lake"])
def test_threads_that_replace_again_and_again(tmp_path, shared):
    one = Lake(settings=Settings(home=str(tmp_path)))
    lakes = [one if shared else Lake(settings=Settings(home=str(tmp_path))) for _ in range(WRITERS)]
    raced_by_threads(lakes)
    for _ in range(5):
        before = one.version(TABLE)
        raced_by_threads(lakes)
        rows = content(tmp_path)
        assert len(rows) == 1
        assert rows[0][1] == rows[0][0] + 1
        assert one.version(TABLE) == before + WRITERS, "each of them was committed"


def test_threads_that_write_different_partitions(tmp_path):
    lakes = [Lake(settings=Settings(home=str(tmp_path))) for _ in range(2)]
    for _ in range(4):
        raced_by_threads(lakes, (MONDAY, TUESDAY))
    assert (content(tmp_path, MONDAY), content(tmp_path, TUESDAY)) == ([(0, 1)], [(1, 2)])


def test_a_reader_sees_one_whole_content_at_any_time(tmp_path):
    write(Lake(settings=Settings(home=str(tmp_path))), 0, threading.Barrier(1))
    done = threading.Event()
    seen = []

    def read():
        while not done.is_set():
            seen.append(content(tmp_path))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        lake = Lake(settings=Settings(home=str(tmp_path)))
        for number in range(1, 16):
            write(lake, number, threading.Barrier(1))
    finally:
        done.set()
        reader.join(60)
    assert all(len(rows) == 1 and rows[0][1] == rows[0][0] + 1 for rows in seen)
    assert len({rows[0][0] for rows in seen}) > 1, "it read while the content changed"


def race(homes: list[str], number: int, barrier, errors) -> None:
    try:
        for home in homes:
            write(Lake(settings=Settings(home=home)), number, barrier)
    except Exception as error:  # noqa: BLE001 - told by the test, not lost in a process
        errors.put(f"{type(error).__name__}: {error}")
        barrier.abort()


def test_processes_that_write_at_once(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    barrier, errors = context.Barrier(2), context.SimpleQueue()
    homes = [str(tmp_path / str(number % 10)) for number in range(20)]  # first and second writes of ten tables
    processes = [context.Process(target=race, args=(homes, number, barrier, errors)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert errors.empty(), errors.get()
    for home in sorted(set(homes)):
        rows = content(home)
        assert len(rows) == 1
        assert rows[0][1] == rows[0][0] + 1
