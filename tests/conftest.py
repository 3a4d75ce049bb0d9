"""What tests of several packages need: a DuckDB connection, and resources in a temporary home."""

import os
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from resources.archive import Archive
from resources.engine import Engine
from resources.lake import Lake
from resources.landing_zone import LandingZone
from resources.ledger import Ledger
from resources.settings import Settings


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory connection in UTC with two threads, as the engine makes it; shared by a module's tests."""
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'").fetchall()
    connection.execute("SET threads = 2").fetchall()
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test cuts the power; whether files are flushed is tested by watching the calls."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def run_settings(tmp_path: Path) -> Settings:
    return Settings(home=str(tmp_path / "home"), config=str(tmp_path / "config"), threads=2)


@pytest.fixture
def lake(run_settings: Settings) -> Lake:
    return Lake(settings=run_settings)


@pytest.fixture
def engine(run_settings: Settings) -> Engine:
    return Engine(settings=run_settings)


@pytest.fixture
def landing_zone(run_settings: Settings) -> LandingZone:
    return LandingZone(settings=run_settings)


@pytest.fixture
def archive(run_settings: Settings) -> Archive:
    return Archive(settings=run_settings)


@pytest.fixture
def ledger(run_settings: Settings) -> Iterator[Ledger]:
    opened = Ledger(settings=run_settings)
    yield opened
    opened.close()
