"""The command: what a person sees, on a home that was just made and on one with data."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from idm_assets import command_line
from idm_assets.command_line import app, land_examples
from tests.end_to_end.plant import EXAMPLES

GOOD = b"2016-11-16T10:00:00Z|Xabs|1.5\n2016-11-16T10:00:01Z|execution|ACTIVE\nbroken\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IDM_CONFIG", str(EXAMPLES / "config"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setattr(command_line.console, "_width", 200, raising=False)
    return tmp_path / "home"


def run(*arguments: str) -> tuple[int, str]:
    with command_line.console.capture() as captured:
        result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, captured.get() + result.output


def test_sql_before_anything_was_published_says_what_to_do() -> None:
    code, said = run("sql", "SELECT 1")
    assert code == 2
    assert "idm demo" in said


def test_ingest_accounts_for_every_line_and_sql_answers(home: Path) -> None:
    landed = home / "landing" / "nist" / "Mazak01" / "Mazak01-20161116-20161117.txt"
    landed.parent.mkdir(parents=True)
    landed.write_bytes(GOOD)
    code, said = run("ingest")
    assert code == 0, said
    assert "lines read" in said
    code, said = run("sql", "SELECT reason, payload FROM capture.quarantine")
    assert code == 0
    assert "field_count" in said
    assert "broken" in said
    code, said = run("sql")
    assert "aggregated.measurements_1h" in said
    code, said = run("status")
    assert "nist: 0 event days are stale" in said
    code, said = run("ingest")
    assert "Nothing new" in said


def test_wrong_sql_is_a_message(home: Path) -> None:
    home.mkdir()
    duckdb.connect(str(home / "catalog.duckdb")).close()
    code, said = run("sql", "SELEC 1")
    assert code == 2
    assert "Parser Error" in said


def test_examples_are_landed_once(tmp_path: Path) -> None:
    (tmp_path / "examples" / "nist").mkdir(parents=True)
    (tmp_path / "examples" / "nist" / "a.txt.gz").write_bytes(b"1")
    assert land_examples(tmp_path / "examples", tmp_path / "landing") == 1
    assert land_examples(tmp_path / "examples", tmp_path / "landing") == 0
    assert [p.name for p in (tmp_path / "landing" / "nist").iterdir()] == ["a.txt.gz"]
