"""A wrong declaration, an emptied landing zone, a mended declaration: replay equals a clean run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import duckdb
import pytest
import yaml
from typer.testing import CliRunner

from idm_assets.commands import archive as archive_commands
from idm_assets.commands import quarantine as commands
from idm_assets.contracts import Partition
from idm_assets.driver import Driver
from idm_assets.monitoring.quarantine import Wanted, arrival_days, entries
from resources.lake import Lake
from resources.ledger import Ledger
from tests.end_to_end.plant import Plant

SOURCE = {
    "name": "tanks", "plant": "farm", "glob": "*.csv", "format": "csv", "source": "plc", "expected": "irregular",
    "time": {"field": "at"}, "long": {"tag": "tag", "value": "value", "status": "quality"},
    "status": {"scale": "opc_da"},
}  # fmt: skip
FIRST = "at,tag,value,quality\n2024-05-01T10:00:00Z,level,1.5,192\n2024-05-01T11:00:00Z,level,2.5,OK\n"
SECOND = "at,tag,value,quality\n2024-05-02T10:00:00Z,level,3.5,OK\nnever,level,9,192\n"


def farm(home: Path, source: dict[str, object] = SOURCE) -> Plant:
    made = Plant(home, "farm")
    shutil.rmtree(made.config / "sources")
    shutil.rmtree(made.config / "referential")
    shutil.rmtree(made.config / "models")
    shutil.rmtree(made.config / "rules")
    declare(made, source)
    return made


def declare(plant: Plant, source: dict[str, object]) -> None:
    (plant.config / "sources").mkdir(exist_ok=True)
    (plant.config / "sources" / "tanks.yaml").write_text(yaml.safe_dump({"sources": [source]}))


def in_quarantine(plant: Plant) -> list[tuple[object, ...]]:
    with duckdb.connect() as con:
        everything = entries(con, Lake(settings=plant.settings), Ledger(settings=plant.settings))
        return con.sql(f"SELECT path, line, reason, standing FROM ({everything}) ORDER BY ALL").fetchall()


@pytest.fixture
def mended() -> dict[str, object]:
    return json.loads(json.dumps(SOURCE)) | {"status": {"scale": "opc_da", "words": {"OK": "Good"}}}


def test_what_is_taken_back_equals_a_clean_run(tmp_path: Path, mended: dict[str, object], monkeypatch) -> None:
    plant = farm(tmp_path / "replayed")
    for name, content in (("a.csv", FIRST), ("b.csv", SECOND)):
        plant.land(name, content.encode())
    report = plant.ingest()
    assert not report.failures
    assert in_quarantine(plant) == [
        ("a.csv", 3, "status_unreadable", "open"), ("b.csv", 2, "status_unreadable", "open"),
        ("b.csv", 3, "timestamp_unreadable", "open"),
    ]  # fmt: skip
    assert plant.ask("SELECT reason, sum(units) FROM monitoring.quarantine_counts GROUP BY 1 ORDER BY 1") == [
        ("status_unreadable", 2), ("timestamp_unreadable", 1),
    ]  # fmt: skip
    for file in plant.landing.glob("*.csv"):
        file.unlink()
    declare(plant, mended)
    monkeypatch.setenv("IDM_HOME", str(plant.home))
    monkeypatch.setenv("IDM_CONFIG", str(plant.config))
    with duckdb.connect() as con:
        ledger = Ledger(settings=plant.settings)
        days = arrival_days(
            con, entries(con, Lake(settings=plant.settings), ledger), Wanted(reason="status_unreadable")
        )
    driver = Driver(plant.settings, plant.instance, lambda _job, _days: None)
    replayed = driver.replay_quarantine(Partition(name, day) for name, day, _ in days)
    assert not replayed.failures
    assert in_quarantine(plant) == [("b.csv", 3, "timestamp_unreadable", "open")]

    clean = farm(tmp_path / "clean", mended)
    for name, content in (("a.csv", FIRST), ("b.csv", SECOND)):
        clean.land(name, content.encode())
    assert not clean.ingest().failures
    assert plant.contents() == clean.contents()
    counted = "SELECT count(*), sum(value), count(DISTINCT (capture_id, line)) FROM capture.observations"
    assert plant.ask(counted) == clean.ask(counted) == [(3, 7.5, 3)]
    assert not driver.replay_quarantine(Partition(name, day) for name, day, _ in days).failures
    assert plant.contents() == clean.contents(), "twice is once"

    runner = CliRunner()
    listed = runner.invoke(commands.app, ["list"])
    assert (listed.exit_code, "timestamp_unreadable" in listed.output) == (0, True)
    told = runner.invoke(commands.app, ["show", "--reason", "timestamp_unreadable"])
    assert 'found "never"' in told.output
    assert '"never,level,9,192"' in told.output
    verified = runner.invoke(archive_commands.app, ["verify"])
    assert verified.exit_code == 0, verified.output


def test_a_mended_declaration_heals_by_itself(tmp_path: Path, mended: dict[str, object]) -> None:
    plant = farm(tmp_path / "home")
    plant.land("a.csv", FIRST.encode())
    plant.land("stub.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    assert not plant.ingest().failures
    assert plant.ask("SELECT count(*) FROM cleaned.observations") == [(1,)]
    declare(plant, mended)
    report = plant.ingest()
    assert not report.failures
    assert plant.ask("SELECT count(*) FROM cleaned.observations") == [(2,)]
    assert in_quarantine(plant) == [("stub.csv", None, "stub_content", "open")]
    assert any("rejected_files" in name for name in report.failed_checks)
    assert plant.ingest().jobs == [], "nothing is asked for twice"
