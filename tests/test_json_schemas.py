"""JSON Schemas of the configuration files: published as generated, and of one mind with the readers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel

from idm_assets.configuration import ConfigurationError, load_yaml
from idm_assets.json_schemas import FILES, FOLDER, schemas, text_of, write_schemas
from idm_assets.referential.data_models import ModelFile

CONFIG = Path(__file__).parents[1] / "examples" / "config"


class Anything(BaseModel):
    """Whatever a YAML file says, read in our dialect."""

    model_config = {"extra": "allow"}


def parsed(path: Path) -> dict[str, Any]:
    return dict(load_yaml(path, Anything).__pydantic_extra__ or {})


def judge(name: str) -> jsonschema.Draft202012Validator:
    schema = schemas()[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    formats = jsonschema.FormatChecker(["date"])
    formats.checks("date-time")(lambda text: re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[-+]\d\d:\d\d)", text))
    return jsonschema.Draft202012Validator(schema, format_checker=formats)


def test_every_kind_of_configuration_file_has_a_schema():
    assert set(schemas()) == {"sources.json", "referential.json", "rules.json", "models.json"}
    assert {schema["$schema"] for schema in schemas().values()} == {"https://json-schema.org/draft/2020-12/schema"}


@pytest.mark.parametrize("name", sorted(FILES))
def test_the_published_schema_is_the_generated_one(name):
    """If this fails, run: idm schemas --config examples/config."""
    assert (CONFIG / FOLDER / name).read_text(encoding="utf-8") == text_of(schemas()[name])


def test_nothing_else_is_published():
    assert {path.name for path in (CONFIG / FOLDER).iterdir()} == set(FILES)


def test_schemas_are_written_where_they_shall_be(tmp_path):
    written = write_schemas(tmp_path / "a" / "b")
    assert [path.name for path in written] == list(FILES)
    assert all(json.loads(path.read_text(encoding="utf-8")) == schemas()[path.name] for path in written)


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*/*.yaml")), ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_examples_fit_their_schemas(path):
    assert [e.message for e in judge(f"{path.parent.name}.json").iter_errors(parsed(path))] == []


@pytest.mark.parametrize("path", sorted((CONFIG / "models").glob("*.yaml")), ids=lambda p: p.name)
def test_the_examples_of_models_name_their_schema(path):
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    relative = first.removeprefix("# yaml-language-server: $schema=")
    assert (path.parent / relative).resolve() == (CONFIG / FOLDER / "models.json").resolve()


def test_a_date_may_stand_for_a_time_as_in_the_files():
    entry = {"format": "mtconnect_devices", "file": "d.xml", "below": "A"}
    plant = {"plant": "p", "equipment": [{"path": "A", "level": "Site"}]}
    valid = {t: judge("referential.json").is_valid(plant | {"imports": [entry | {"valid_from": t}]}) for t in TIMES}
    assert valid == TIMES


TIMES = {"2017-02-27": True, "2017-02-27T06:00:00Z": True, "yesterday": False}


MODEL = {"name": "M", "version": "1.0.0", "attributes": [{"name": "a", "data_type": "double"}]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"nam": "M"},
        {"version": "1.0"},
        {"version": 1.0},
        {"kind": "table"},
        {"extends": "Base@1"},
        {"attributes": [{"name": "a"}]},
        {"attributes": [{"name": "1a", "data_type": "double"}]},
        {"attributes": [{"name": "a", "data_type": "float"}]},
        {"attributes": [{"name": "a", "data_type": "double", "range": {"min": 0}}]},
        {"attributes": [{"name": "a", "data_type": "double", "sampling": {"mode": "periodic", "cadence_s": 0}}]},
        {"attributes": [{"name": "a", "data_type": "string", "allowed": []}]},
        {"attributes": [{"name": "a", "data_type": "string", "allowed": [None]}]},
    ],
)
def test_what_an_editor_marks_is_what_the_reader_refuses(tmp_path, wrong):
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps({"models": [MODEL | wrong]}), encoding="utf-8")  # JSON is YAML
    assert not judge("models.json").is_valid({"models": [MODEL | wrong]})
    with pytest.raises(ConfigurationError):
        load_yaml(path, ModelFile)


def test_a_good_model_is_good_for_both(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps({"models": [MODEL]}), encoding="utf-8")
    assert judge("models.json").is_valid({"models": [MODEL]})
    assert load_yaml(path, ModelFile).models[0].name == "M"


def test_every_field_of_the_models_files_is_described():
    found = dict(undescribed(ModelFile))
    assert len(found) == 6  # ModelFile, ModelEntry, AttributeEntry, RangeEntry, SamplingEntry, ModelImport
    assert {name: fields for name, fields in found.items() if fields} == {}


def undescribed(model: type[BaseModel]) -> Iterator[tuple[str, list[str]]]:
    """Every class of a file with those of its fields that an editor can say nothing about."""
    yield model.__name__, [name for name, field in model.model_fields.items() if not field.description]
    for field in model.model_fields.values():
        for inner in classes(field.annotation):
            yield from undescribed(inner)


def classes(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from classes(argument)
