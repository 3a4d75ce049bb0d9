"""The commands `idm referential`: what they print, and that they change only what they say."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from idm_assets.commands import referential
from tests.referential.plants import Register, write_plant, write_table

AVATAR = {"avatar": "p1", "model": "Press", "equipment_path": "E/L1"}
SIGNAL = {"source": "s", "tag": "t", "avatar": "p1", "attribute": "force"}


@pytest.fixture
def register(tmp_path, monkeypatch):
    config = write_plant(tmp_path / "config", avatars=[AVATAR], signals=[SIGNAL])
    monkeypatch.setenv("IDM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IDM_CONFIG", str(config))
    monkeypatch.setattr(referential.console, "width", 200)
    found = Register(tmp_path / "home", config)
    found.refresh("the first", "anna")
    return found


def run(*arguments, code=0):
    result = CliRunner().invoke(referential.app, [str(a) for a in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return " ".join(result.output.split())


def test_a_plan_shows_rows_and_changes_nothing(register):
    assert "nothing would change" in run("plan")
    write_plant(register.config, avatars=[AVATAR, AVATAR | {"avatar": "p2"}], signals=[SIGNAL])
    shown = run("plan")
    assert "avatars: 1 rows added, 0 removed" in shown
    assert "p2" in shown
    assert "Compared with version 1: avatars +1 -0" in shown
    assert register.rows(referential.tables.AVATARS, "avatar") == [("p1",)]


def test_log_diff_and_former_versions(register):
    write_plant(register.config, avatars=[AVATAR | {"name": "Press 1"}], signals=[SIGNAL | {"attribute": "mode"}])
    register.refresh("a new meaning", "berta")
    log = run("log")
    assert "2 versions" in log
    assert log.index("berta") < log.index("anna")
    assert "signals: 1 rows added, 1 removed" in run("diff", 1)
    assert "force" in run("show", "signals", "--version", 1)
    assert "force" not in run("show", "signals")
    assert "There are versions 1 to 2" in run("diff", 1, 7, code=2)
    assert "There is no table 'tags'" in run("show", "tags", code=2)


def test_a_file_is_shown_before_it_goes_into_the_configuration(register, tmp_path):
    before = {p: p.read_bytes() for p in register.config.rglob("*") if p.is_file()}
    table = tmp_path / "robots.csv"
    table.write_text("id\np7\np8\n")
    options = [
        "--plant", "P", "--option", "of=avatars", "--option", "columns={avatar: id}",
        "--option", "constants={model: Press, equipment_path: E}",
    ]  # fmt: skip
    shown = run("import", "table", table, *options)
    assert "avatars: 2 rows added" in shown
    assert "Nothing was written" in shown
    assert {p: p.read_bytes() for p in register.config.rglob("*") if p.is_file()} == before
    run("import", "table", table, *options, "--apply")
    written = yaml.safe_load((register.config / "referential" / "P.imports.yaml").read_text())
    assert [item["file"] for item in written["imports"]] == ["imported/robots.csv"]
    register.refresh()
    assert [a for (a,) in register.rows(referential.tables.AVATARS, "avatar")] == ["p1", "p7", "p8"]
    # Once more: the same entry, nothing new.
    assert "nothing would change" in run("import", "table", table, *options, "--apply")
    assert yaml.safe_load((register.config / "referential" / "P.imports.yaml").read_text()) == written
    table.write_text("id\np7\np9\n")
    assert "avatars: 1 rows added, 1 removed" in run("import", "table", table, *options)


def test_rules_are_tried_on_the_tags_that_were_heard(register):
    rule = {"name": "all", "source": "s", "tag": "{avatar}.{attribute}"}
    write_plant(register.config, avatars=[AVATAR], signals=[SIGNAL], binding_rules=[rule])
    assert "rule all: 0 known tags, 3 tags that were never heard" in run("rules", "--plant", "P")


@pytest.mark.usefixtures("register")
def test_exports(tmp_path):
    assert "1 shells are in" in run("export", "aas", "--to", tmp_path / "shells.json")
    assert len(json.loads((tmp_path / "shells.json").read_text())["assetAdministrationShells"]) == 1
    run("export", "json-schema", "--to", tmp_path / "schemas")
    assert json.loads((tmp_path / "schemas" / "Press@1.0.0.json").read_text())["title"]
    run("export", "markdown", "--to", tmp_path / "pages")
    assert "| force" in (tmp_path / "pages" / "Press@1.0.0.md").read_text()


def test_what_is_accepted_becomes_yaml_and_only_then_a_binding(register):
    run("suggest", "--plant", "P", "--accept", "s/u=p1:mode")
    assert [t for (t,) in register.rows(referential.tables.SIGNALS, "tag")] == ["t"]
    register.refresh()
    assert register.rows(referential.tables.SIGNALS, "tag, attribute, said_by") == [
        ("t", "force", "yaml/P.yaml"), ("u", "mode", "yaml/P.accepted.yaml"),
    ]  # fmt: skip
    assert "is not like" in run("suggest", "--plant", "P", "--accept", "s/u=p1", code=2)


def test_a_wrong_import_leaves_the_configuration_as_it_was(register, tmp_path):
    write_table(tmp_path, "x.csv", [{"id": "1"}])
    before = sorted(register.config.rglob("*"))
    result = CliRunner().invoke(referential.app, [
        "import", "table", str(tmp_path / "referential" / "x.csv"), "--plant", "P", "--option", "of=avatars", "--apply"
    ])  # fmt: skip
    assert result.exit_code != 0
    assert "no column gives 'avatar'" in str(result.exception)
    assert sorted(register.config.rglob("*")) == before
