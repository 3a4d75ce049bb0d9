"""The commands `idm source`: what they print, with which code they end, and that nothing is overwritten."""

import io
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from idm_assets.capture.decoders.registry import formats
from idm_assets.capture.sources import load_sources
from idm_assets.commands import source as commands

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "proposals"
DECLARED = """
sources:
  - name: presses
    plant: acme
    glob: "presses/*.csv*"
    format: csv
    source: press_1
    time: {field: time}
    wide: {}
  - name: packs
    plant: acme
    glob: "*.zip"
    format: csv
    source: press_2
    time: {field: time}
    wide: {}
"""
GOOD = "time,a\n2024-03-18 08:00:00,1\n2024-03-18 08:00:01,2\n"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "config"
    (folder / "sources").mkdir(parents=True)
    (folder / "sources" / "acme.yaml").write_text(DECLARED, encoding="utf-8")
    monkeypatch.setenv("IDM_CONFIG", str(folder))
    monkeypatch.setenv("IDM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(commands.console, "width", 200)
    return folder


@pytest.fixture
def press(tmp_path: Path) -> Path:
    path = tmp_path / "presses" / "monday.csv"
    path.parent.mkdir()
    path.write_text(GOOD, encoding="utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(commands.app, [str(argument) for argument in arguments], catch_exceptions=False)


# --- new ---------------------------------------------------------------------------------------------------


def test_a_proposal_is_printed_with_rows_and_balance(config: Path):
    result = run("new", VECTORS / "historian_export.csv", "--plant", "acme", "--name", "historian", "--rows", "2")
    assert result.exit_code == 0
    assert "  - name: historian\n    plant: acme\n" in result.stdout
    assert "73 observations, the first 2:" in result.stdout
    assert "A2PS64V0J.:ZUX09R" in result.stdout
    assert "75 lines read = 73 decoded + 0 in quarantine + 2 skipped" in result.stdout
    assert "skipped: header 1" in result.stdout
    assert "noticed: trimmed 5, blanks around the status were left out" in result.stdout
    assert not (config.parent / "home").exists(), "nothing is stored"


def test_a_written_proposal_is_in_force_as_it_is_and_never_overwritten(config: Path, press: Path):
    out = config / "sources" / "fleet.yaml"
    file = VECTORS / "2016-09-01.csv"
    assert run("new", file, "--plant", "capmetro", "--name", "fleet", "--out", out).exit_code == 0
    assert "fleet" in [entry.name for entry in load_sources(config)]
    assert run("test", "fleet", file).exit_code == 0
    before = out.read_bytes()
    refused = run("new", press, "--out", out)
    assert refused.exit_code == 2
    assert "is not overwritten" in refused.stdout
    assert out.read_bytes() == before


def test_what_would_be_kept_out_is_said_beside_the_proposal(tmp_path: Path):
    rows = "".join(f"2024-03-18 08:00:{n:02},{n}\n" for n in range(40))
    file = tmp_path / "odd.csv"
    file.write_text(f"time,a\n{rows}yesterday,1\n", encoding="utf-8")
    result = run("new", file)
    assert result.exit_code == 0
    assert 'of another form, so kept out, are 1 of 41 different times: "yesterday"' in result.stdout
    assert "odd.csv, 42: timestamp_unreadable" in result.stdout
    assert "in quarantine: timestamp_unreadable 1," in result.stdout


def test_where_nothing_is_found_the_closest_template_is_shown(tmp_path: Path):
    file = tmp_path / "prose.txt"
    file.write_text("Nothing but words.\nAnd more of them.\n", encoding="utf-8")
    out = tmp_path / "never.yaml"
    result = run("new", file, "--out", out)
    assert result.exit_code == 1
    assert "nothing sensible can be proposed" in result.stdout
    assert "format: csv" in result.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing.csv",), "does not exist"),
        ((".",), "is no file"),
        (("FILE", "--plant", "Big Plant"), "--plant: 'Big Plant' is no name"),
        (("FILE", "--name", "a/b"), "--name: 'a/b' is no name"),
    ],
)
def test_wrong_usage_of_new_ends_with_2(press: Path, arguments: tuple[str, ...], said: str):
    result = run("new", *(press if argument == "FILE" else argument for argument in arguments))
    assert result.exit_code == 2
    assert said in result.stdout


# --- test --------------------------------------------------------------------------------------------------


def test_a_declaration_is_tried_by_the_end_of_the_path_that_it_claims(press: Path):
    result = run("test", "presses", press)
    assert result.exit_code == 0
    assert "presses/monday.csv: 3 lines read = 2 decoded + 0 in quarantine + 1 skipped" in result.stdout
    assert "press_1" in result.stdout
    assert "Good" in result.stdout


def test_rejected_rows_are_shown_with_payload_and_reason(press: Path):
    press.write_text(GOOD + "2024-03-18 08:00:02,1,\x1b[31m\n", encoding="utf-8")
    result = run("test", "presses", press)
    assert result.exit_code == 1
    assert "presses/monday.csv, 4: field_count: expected 2 cells" in result.stdout
    assert r'"2024-03-18 08:00:02,1,\u001b[31m"' in result.stdout
    assert "\x1b" not in result.stdout, "no payload reaches the terminal as it is"


def test_a_rejected_file_ends_with_1(press: Path):
    press.write_text("when,a\n2024-03-18 08:00:00,1\n", encoding="utf-8")
    result = run("test", "presses", press)
    assert result.exit_code == 1
    assert "the whole file: field_missing: no field 'time' in this file" in result.stdout
    assert "the whole file is kept out" in result.stdout


def test_of_an_archive_there_is_a_balance_per_member(tmp_path: Path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", GOOD)
        archive.writestr("b.csv", GOOD + "never,3\n")
    file = tmp_path / "pack.zip"
    file.write_bytes(packed.getvalue())
    result = run("test", "packs", file)
    assert result.exit_code == 1
    assert "pack.zip/a.csv: 3 lines read = 2 decoded + 0 in quarantine + 1 skipped" in result.stdout
    assert "pack.zip/b.csv: 4 lines read = 2 decoded + 1 in quarantine + 1 skipped" in result.stdout


def test_a_path_that_is_not_claimed_can_be_said(tmp_path: Path):
    file = tmp_path / "monday.csv"
    file.write_text(GOOD, encoding="utf-8")
    refused = run("test", "presses", file)
    assert refused.exit_code == 2
    assert "presses/*.csv*" in refused.stdout
    assert run("test", "presses", file, "--path", "presses/monday.csv").exit_code == 0
    assert run("test", "presses", file, "--path", "elsewhere/monday.csv").exit_code == 2


def test_an_unknown_declaration_is_told_from_the_known_ones(press: Path):
    result = run("test", "pressen", press)
    assert result.exit_code == 2
    assert "there are: packs, presses" in result.stdout
    assert run("test", "presses", press.with_name("none.csv")).exit_code == 2


# --- formats -----------------------------------------------------------------------------------------------


def test_every_format_is_listed_with_what_it_delivers():
    result = run("formats")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.splitlines() if line.strip()}
    assert set(formats()) <= set(rows)
    assert "records" in rows["b2mml"]
    assert "rows" in rows["csv"]
    assert "observations" in rows["shdr"]
    assert "adapters, as logged to files" in rows["shdr"]
