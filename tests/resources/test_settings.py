"""Where things live: given, from the environment, or standard; decided when it is used."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from resources.settings import Settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("IDM_HOME", raising=False)
    monkeypatch.delenv("IDM_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)


def test_everything_lies_below_the_home():
    settings = Settings(home="/data/idm")
    places = (
        settings.landing_path, settings.lake_path, settings.ledger_path, settings.work_path, settings.catalog_path,
    )  # fmt: skip
    assert [str(path) for path in places] == [
        "/data/idm/landing", "/data/idm/lake", "/data/idm/ledger.sqlite", "/data/idm/work", "/data/idm/catalog.duckdb",
    ]  # fmt: skip


def test_paths_are_absolute_and_standard_when_nothing_is_said(tmp_path):
    assert Settings().home_path == tmp_path / "data"
    assert Settings().config_path == tmp_path / "examples" / "config"
    assert Settings(home="here").home_path == tmp_path / "here"


def test_the_environment_counts_at_the_time_of_use_and_gives_way_to_what_is_set(monkeypatch):
    settings = Settings()
    monkeypatch.setenv("IDM_HOME", "/a")
    monkeypatch.setenv("IDM_CONFIG", "/b")
    assert (settings.home_path, settings.config_path) == (Path("/a"), Path("/b"))
    monkeypatch.setenv("IDM_HOME", "/c")
    assert settings.home_path == Path("/c")
    assert Settings(home="/set", config="/also").home_path == Path("/set")
    assert Settings(home="/set", config="/also").config_path == Path("/also")


def test_values_are_carried_for_a_day_at_least():
    assert Settings().carry_days == 7
    with pytest.raises(ValidationError, match="carry_days"):
        Settings(carry_days=0)
