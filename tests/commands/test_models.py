"""The commands about data models: what a person sees, and with which code they end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from idm_assets import command_line
from idm_assets.commands import models as commands
from idm_assets.configuration import ConfigurationError
from idm_assets.json_schemas import FILES
from idm_assets.referential.data_models import read_model_sources
from resources.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples" / "config"
FIRST = "models:\n  - name: M\n    version: {}\n    attributes:\n      - {{name: a, data_type: {}}}\n"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder with the example models, as $IDM_CONFIG."""
    folder = tmp_path / "config"
    shutil.copytree(
        EXAMPLES / "models", folder / "models", ignore=shutil.ignore_patterns("standards.yaml", "fleet.yaml")
    )
    monkeypatch.setenv("IDM_CONFIG", str(folder))
    monkeypatch.setattr(commands.console, "_width", 200, raising=False)
    return folder


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(command_line.app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- list, validate --------------------------------------------------------------------------------------


def test_list_shows_every_model_with_its_place(config):
    code, said = run("model", "list")
    assert code == 0
    rows = {line.split()[0]: line for line in said.splitlines()[2:]}
    assert set(rows) == {"Asset", "Boiler", "Document", "WorkOrder"}
    assert f"{config}/models/maintenance.yaml:23" in rows["WorkOrder"]
    assert [cell.strip() for cell in rows["Boiler"].split("│")][:5] == ["Boiler", "1.0.0", "telemetry", "Asset", "8"]


def test_list_of_nothing_says_how_to_begin(tmp_path):
    (tmp_path / "empty").mkdir()
    code, said = run("model", "list", "--config", str(tmp_path / "empty"))
    assert code == 0
    assert "idm model new" in said


def test_list_shows_imports(config):
    written(config, "x.xml", "<x/>")
    written(config, "models/imports.yaml", "imports:\n  - {format: opcua_nodeset2, file: ../x.xml}\n")
    assert f"import opcua_nodeset2: {config}/x.xml ({config}/models/imports.yaml:2)" in run("model", "list")[1]


def test_validate_counts_what_is_right(config):
    written(config, "models/m.yaml", FIRST.format("1.0.0", "integer") + FIRST.format("1.1.0", "double")[8:])
    assert run("model", "validate") == (0, f"{config}/models: 5 data models, 6 versions, 0 imports, no problems\n")


def test_validate_says_all_problems_and_ends_with_2(config, monkeypatch, capsys):
    written(config, "models/m.yaml", FIRST.format("1.0", "integer"))
    written(config, "models/n.yaml", FIRST.format("1.0.0", "float"))
    monkeypatch.setattr(sys, "argv", ["idm", "model", "validate"])
    monkeypatch.setattr(command_line.console, "_width", 300, raising=False)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 2
    said = capsys.readouterr().out
    assert f"{config}/models/m.yaml:3: models[0].version: expected a version like 1.2.0" in said
    assert f"{config}/models/n.yaml:5: models[0].attributes[0].data_type: expected 'double'" in said


@pytest.mark.parametrize(
    "command", [["list"], ["validate"], ["show", "Boiler"], ["new", "X"], ["diff", "Boiler", "Asset"]]
)
def test_a_folder_that_is_not_there_is_no_empty_one(tmp_path, command):
    with pytest.raises(ConfigurationError, match=r"nowhere: no such folder; name one with --config or IDM_CONFIG"):
        run("model", *command, "--config", str(tmp_path / "nowhere"))


def test_the_folder_is_that_of_the_settings(tmp_path, monkeypatch):
    assert commands.config_folder(None) == Settings().config_path
    monkeypatch.setenv("IDM_CONFIG", "")
    monkeypatch.chdir(EXAMPLES.parents[1])
    assert commands.config_folder(None) == Settings().config_path == EXAMPLES
    assert commands.config_folder(tmp_path) == tmp_path


# --- show ------------------------------------------------------------------------------------------------


def test_show_tells_the_facts_and_the_attributes():
    code, said = run("model", "show", "WorkOrder@1.0.0")
    assert code == 0
    assert "business object: Maintenance order" in said
    rows = [[cell.strip() for cell in line.split("│")] for line in said.splitlines() if "│" in line]
    assert ["short_text", "string", "", "", "", "required, personal, from Document"] in rows
    assert ["running_time", "double", "d", "at least 0", "", ""] in rows
    assert ["number", "string", "", "", "", "key, from Document"] in rows
    rows = [
        [c.strip() for c in line.split("│")] for line in run("model", "show", "Boiler")[1].splitlines() if "│" in line
    ]
    assert ["steam_temperature", "double", "degC", "0 to 250", "periodic, every 10 s", "sloped"] in rows


def test_show_as_markdown_and_as_a_schema_can_be_piped_into_a_file():
    code, said = run("model", "show", "Boiler", "--format", "markdown")
    assert code == 0
    assert said.startswith("# Boiler 1.0.0\n\nA gas-fired steam boiler.\n\n| Fact | Value |\n")
    code, said = run("model", "show", "Boiler", "--format", "json-schema")
    assert code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(said))


def test_show_without_a_version_shows_the_highest(config):
    written(config, "models/m.yaml", FIRST.format("1.9.0", "integer") + FIRST.format("1.10.0", "double")[8:])
    assert "M 1.10.0" in run("model", "show", "M")[1]
    assert "M 1.9.0" in run("model", "show", "M@1.9.0")[1]


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("Boler", "There is no model 'Boler'; there are: Boiler."),
        ("Boiler@7.0.0", "There is no Boiler@7.0.0; of Boiler there are the versions 1.0.0"),
        ("Boiler@", "There is no Boiler@;"),
        ("zzz", "there are: Asset, Boiler, Document, WorkOrder."),
    ],
)
def test_what_is_not_there_comes_with_what_is(reference, hint):
    code, said = run("model", "show", reference)
    assert code == 2
    assert hint in said


def test_marks_in_a_description_are_shown_as_they_are(config):
    written(config, "models/m.yaml", FIRST.format("1.0.0", "integer") + "    description: '[red]no[/red] [/]'\n")
    assert "description: [red]no[/red] [/]" in run("model", "show", "M")[1]


# --- new -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "file", "kind", "extends"),
    [
        (["SpindleBearing"], "spindle_bearing", "telemetry", None),
        (["Inspection", "--kind", "record"], "inspection", "record", None),
        (["SteamBoiler", "--extends", "Boiler"], "steam_boiler", "telemetry", "Boiler"),
        (["Ticket", "--extends", "Document@1.0.0"], "ticket", "record", "Document"),
        (["Ticket", "--extends", "Document", "--kind", "record"], "ticket", "record", "Document"),
        (["12"], "12", "telemetry", None),
        (["true"], "true", "telemetry", None),
        (["Gas boiler 2.x"], "gas_boiler_2_x", "telemetry", None),
    ],
)
def test_a_new_model_is_valid_as_it_stands(config, arguments, file, kind, extends):
    code, said = run("model", "new", *arguments)
    assert code == 0
    path = config / "models" / f"{file}.yaml"
    assert f"{path} is written" in said
    found = {m.name: m for m in read_model_sources(config).models}
    assert len(found) == 5
    new = found[arguments[0]]
    assert (new.version, new.kind, new.extends) == ("1.0.0", kind, extends)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../schemas/models.json\n")
    assert {"data_type", "unit", "range", "required", "pii", "owner"} <= {
        word.strip("# -") for line in text.splitlines() for word in line.split(":")[:1]
    }


@pytest.mark.parametrize("arguments", [["Press"], ["Part", "--kind", "record"], ["Pot", "--extends", "Boiler"]])
def test_the_comments_of_a_new_model_are_valid_too(config, arguments):
    """Taking the marks off the commented fields is what a person does first."""
    run("model", "new", *arguments)
    path = next((config / "models").glob("p*.yaml"))
    lines = path.read_text(encoding="utf-8").splitlines()
    taken = [
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") and (":" in line or "- " in line) else line
        for line in lines[3:]
        if "Inherited" not in line and "inherited" not in line
    ]
    path.write_text("\n".join(taken), encoding="utf-8")
    new = next(m for m in read_model_sources(config).models if m.name == arguments[0])
    assert new.owner == "someone@plant.example"
    own = [a for a in new.attributes if a.inherited_from is None]
    assert len(own) == (1 if "--extends" in arguments else 2)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["WorkOrder"], "There is a model 'WorkOrder' already: "),
        (["workorder"], "There is a model 'WorkOrder' already: "),
        (["../escape"], "'../escape' is no name of a model"),
        ([" x"], "' x' is no name of a model"),
        (["x\n"], "is no name of a model"),
        (["Maintenance"], "maintenance.yaml is there already; add the model to it, or choose another name"),
        (["X", "--extends", "Nothing"], "There is no model 'Nothing'"),
        (["X", "--extends", "Document", "--kind", "telemetry"], "Document is a record model"),
        (["X", "--kind", "table"], "Invalid value for '--kind'"),
    ],
)
def test_a_new_model_that_cannot_be_is_not_written(config, arguments, hint):
    before = {p: p.read_bytes() for p in config.rglob("*.yaml")}
    code, said = run("model", "new", *arguments)
    assert code == 2
    assert hint in said
    assert {p: p.read_bytes() for p in config.rglob("*.yaml")} == before


def test_a_new_model_where_nothing_can_be_written_is_a_message(tmp_path):
    written(tmp_path / "other", "models", "a file where a folder should be")
    code, said = run("model", "new", "X", "--config", str(tmp_path / "other"))
    assert code == 2
    assert "there already" in said


# --- diff ------------------------------------------------------------------------------------------------


def test_diff_of_two_versions_says_what_is_compatible(config):
    written(config, "models/m.yaml", FIRST.format("1.0.0", "integer") + FIRST.format("1.1.0", "double")[8:])
    code, said = run("model", "diff", "M@1.0.0", "M@1.1.0")
    assert code == 0
    assert said.splitlines() == [
        "M 1.0.0 to 1.1.0",
        "  compatible:",
        "    a: data_type changed: was integer, is double",
        "  version: 1.1.0 is high enough",
    ]


def test_diff_ends_with_1_if_something_breaks_under_the_same_major_version(config):
    written(config, "models/m.yaml", FIRST.format("1.0.0", "double") + FIRST.format("1.1.0", "string")[8:])
    code, said = run("model", "diff", "M@1.0.0", "M")
    assert code == 1
    assert said.splitlines() == [
        "M 1.0.0 to 1.1.0",
        "  breaking:",
        "    a: data_type changed: was double, is string",
        "    a: kind changed: was measurement, is text",
        "  version: call it 2.0.0 or higher",
    ]
    written(config, "models/m.yaml", FIRST.format("1.0.0", "double") + FIRST.format("2.0.0", "string")[8:])
    code, said = run("model", "diff", "M@1.0.0", "M@2.0.0")
    assert code == 0
    assert "version: 2.0.0 is high enough" in said


def test_diff_of_files_and_folders_pairs_versions(tmp_path, config):
    old = written(tmp_path, "old.yaml", FIRST.format("1.0.0", "integer"))
    new = written(tmp_path / "new", "a.yaml", FIRST.format("1.0.0", "integer") + FIRST.format("1.1.0", "string")[8:])
    written(tmp_path / "new", "b.yaml", "models:\n  - {name: N, version: 1.0.0}\n")
    code, said = run("model", "diff", str(old), str(new.parent))
    assert code == 1
    assert said.splitlines()[0] == "M 1.0.0 to 1.1.0"
    assert said.splitlines()[-1] == "N 1.0.0: new"
    code, said = run("model", "diff", str(new.parent), str(old))
    assert code == 0
    assert said.splitlines() == ["M 1.1.0: not there any more", "N 1.0.0: not there any more"]
    assert run("model", "diff", str(config), str(config / "models")) == (0, "Nothing changed.\n")


def test_diff_of_the_same_version_says_which_version_the_change_makes(tmp_path):
    old = written(tmp_path, "old.yaml", FIRST.format("1.0.0", "integer"))
    new = written(tmp_path, "new.yaml", FIRST.format("1.0.0", "double"))
    code, said = run("model", "diff", str(old), str(new))
    assert code == 0
    assert "version: call it 1.1.0 or higher" in said


def test_diff_of_two_different_models_asks_for_no_version():
    code, said = run("model", "diff", "Boiler", "Asset")
    assert code == 0
    assert "steam_pressure: attribute removed" in said
    assert "version:" not in said


def test_diff_with_what_is_not_there():
    code, said = run("model", "diff", "Boiler", "boilers")
    assert code == 2
    assert "Files are given as ./boilers or with .yaml" in said
    with pytest.raises(ConfigurationError, match=r"nothing\.yaml: cannot be read"):
        run("model", "diff", "Boiler", "nothing.yaml")


# --- schemas ---------------------------------------------------------------------------------------------


def test_schemas_are_published_beside_the_configuration_or_elsewhere(config, tmp_path):
    code, said = run("schemas")
    assert code == 0
    assert said.splitlines() == [f"{config}/schemas/{name}" for name in FILES]
    assert run("schemas", "--to", str(tmp_path / "other"))[0] == 0
    assert {p.name: p.read_text() for p in (tmp_path / "other").iterdir()} == {
        p.name: p.read_text() for p in (config / "schemas").iterdir()
    }
    code, said = run("schemas", "--to", str(written(tmp_path, "file", "")))
    assert code == 2
    assert "cannot be written" in said


# --- start-up --------------------------------------------------------------------------------------------


def test_the_commands_do_not_wait_for_what_they_do_not_need():
    slow = ("dagster", "duckdb", "polars", "pandera", "deltalake", "pyarrow")
    program = f"import sys, idm_assets.commands.models; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=EXAMPLES.parents[1]
    )
    assert done.stdout == "[]\n"
