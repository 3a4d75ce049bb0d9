"""A model's page and its JSON Schema: nothing in the text becomes a mark, and messages are judged as they should."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from idm_assets.referential.data_models import read_model_sources
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.model_page import json_schema, markdown_page

EXAMPLES = Path(__file__).parents[2] / "examples" / "config"
MODELS = {model.name: model for model in read_model_sources(EXAMPLES).models}


def validator(model: Model) -> jsonschema.Draft202012Validator:
    schema = json_schema(model)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


# --- Markdown --------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a reader sees of a page: its elements, and the text of headings, paragraphs and cells."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.rows: list[list[str]] = []
        self.paragraphs: list[str] = []
        self.headings: list[str] = []
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))

    def handle_starttag(self, tag: str, _attrs: Any) -> None:
        self.tags.add(tag)
        match tag:
            case "tr":
                self.rows.append([])
            case "td" | "th":
                self.rows[-1].append("")
            case "p":
                self.paragraphs.append("")
            case "h1" | "h2":
                self.headings.append("")
            case _:
                pass
        self.open = tag

    def handle_data(self, data: str) -> None:
        match self.open:
            case "td" | "th":
                self.rows[-1][-1] += data.strip("\n")
            case "p":
                self.paragraphs[-1] += data.strip("\n")
            case "h1" | "h2":
                self.headings[-1] += data.strip("\n")
            case _:
                pass


def test_a_page_says_all_of_a_telemetry_model():
    page = Page(markdown_page(MODELS["Boiler"]))
    assert page.headings == ["Boiler 1.0.0", "Attributes"]
    assert page.paragraphs == ["A gas-fired steam boiler."]
    assert ["Owner", "energy@plant.example"] in page.rows
    assert ["Extends", "Asset"] in page.rows
    (pressure,) = [row for row in page.rows if row[0] == "steam_pressure"]
    titles = next(row for row in page.rows if row[0] == "Attribute")
    assert dict(zip(titles, pressure, strict=True)) == {
        "Attribute": "steam_pressure", "Type": "double", "Kind": "measurement", "Unit": "bar", "Range": "0 to 25",
        "Allowed": "", "Required": "", "Sampling": "on change, at least every 300 s, deadband 0.05", "Hold": "",
        "Personal data": "", "Inherited from": "", "Description": "Pressure of the steam above that of the air.",
        "Semantic id": "http://qudt.org/vocab/quantitykind/Pressure",
    }  # fmt: skip
    (badge,) = [dict(zip(titles, row, strict=True)) for row in page.rows if row[0] == "operator_badge"]
    assert (badge["Personal data"], badge["Inherited from"]) == ("pseudonymous", "Asset")
    (water,) = [dict(zip(titles, row, strict=True)) for row in page.rows if row[0] == "feed_water_flow"]
    assert (water["Hold"], water["Unit"]) == ("sloped", "m^3/h")


def test_a_page_of_a_record_says_its_key_and_leaves_empty_columns_out():
    page = Page(markdown_page(MODELS["Document"]))
    titles = next(row for row in page.rows if row[0] == "Attribute")
    assert "Key" in titles
    assert not {"Hold", "Inherited from", "Semantic id"} & set(titles)
    assert "None." in markdown_page(Model("Empty", None, ()))


@pytest.mark.parametrize(
    "text",
    [
        "a | b", r"a \| b", "`|`", "<script>alert(1)</script>", "[x](javascript:alert(1))", "**b** _i_ __b__ ~~s~~",
        "&lt;", "# no heading", "- no list", "1. no list", "23) no list", "+ no list", "=== ", "> no quote", "---",
        "![x](y)", "<http://x>", "a\nb\n\nc | d\n--- | ---", "snake_case_name", "_x", "x_", "trailing \\",
        "***", "```x", "    code", "[r]: http://x", "a  b", "$x$", "* * *",
    ],
)  # fmt: skip
def test_text_appears_as_it_is(text):
    appears_literally(text)


@given(st.text(st.sampled_from(list("\\`*_{}[]<>()#+-.!|~&:=1a \n\t$\"'")) | st.characters(codec="utf-8"), max_size=30))
@settings(max_examples=200)
def test_any_text_appears_as_it_is(text):
    appears_literally(text)


def appears_literally(text: str) -> None:
    expected = " ".join(text.split()).replace("\0", "\ufffd")
    attribute = Attribute("a", "string", "state", allowed=(text or "x",), description=text, semantic_id=text)
    page = Page(markdown_page(Model("M", text, (attribute,), "1.0.0", owner=text, business_object="b")))
    assert page.tags == {"h1", "h2", "table", "thead", "tbody", "tr", "th", "td"} | ({"p"} if expected else set())
    assert page.paragraphs == ([expected] if expected else [])
    assert page.rows[-1][0] == "a"
    titles = next(row for row in page.rows if row[0] == "Attribute")
    cells = dict(zip(titles, page.rows[-1], strict=True))
    assert cells["Description"] == expected
    assert cells.get("Semantic id", "") == expected


# --- JSON Schema -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_schemas_of_the_examples_are_valid_schemas(name):
    assert validator(MODELS[name]).schema["$id"] == f"urn:idm:model:{name}:1.0.0"


ORDER = {
    "number": "17", "short_text": "BUCKET WON'T OPEN", "start_date": "2004-07-01T00:00:00Z", "asset": "A",
    "order_type": "PM01", "cost": 183.05,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({}, True),
        ({"running_time": 262, "suspended": False}, True),
        ({"cost": 2000001}, False),
        ({"cost": "183.05"}, False),
        ({"order_type": "PM03"}, False),
        ({"asset": None}, False),
        ({"colour": "red"}, False),
        ({"running_time": -1}, False),
    ],
)
def test_a_record_is_judged_by_its_model(change, valid):
    assert validator(MODELS["WorkOrder"]).is_valid(ORDER | change) is valid


def test_a_record_needs_all_that_is_required():
    judge = validator(MODELS["WorkOrder"])
    needed = {"number", "short_text", "start_date", "asset", "order_type"}
    assert {key for key in ORDER if not judge.is_valid({k: v for k, v in ORDER.items() if k != key})} == needed


def test_a_telemetry_message_may_carry_any_attributes_but_not_none():
    judge = validator(MODELS["Boiler"])
    assert judge.is_valid({"steam_pressure": 12.5})
    assert judge.is_valid({"steam_pressure": 12.5, "flame_detected": True, "operating_state": "RUNNING"})
    assert not judge.is_valid({})
    assert not judge.is_valid({"steam_pressure": 26})
    assert not judge.is_valid({"operating_state": "running"})
    assert not judge.is_valid({"burner_starts": 1.5})
    flame = judge.schema["properties"]["flame_detected"]
    assert flame["x-required"] is True


def test_units_and_personal_data_are_told():
    properties = json_schema(MODELS["Boiler"])["properties"]
    assert properties["steam_pressure"]["x-unit"] == "bar"
    assert properties["operator_badge"]["x-pii"] == "pseudonymous"
    assert properties["steam_pressure"]["x-pii"] == "none"
    assert properties["operator_badge"]["x-inherited-from"] == "Asset"
    assert json_schema(MODELS["Document"])["properties"]["number"]["x-key"] is True


@pytest.mark.parametrize(
    ("attribute", "good", "bad"),
    [
        (Attribute("a", "double", "measurement"), [1, 1.5, -2e9], ["1", True, None]),
        (Attribute("a", "integer", "measurement"), [1, 2.0], [1.5, "1"]),
        (Attribute("a", "boolean", "state"), [True], [1, "true"]),
        (Attribute("a", "vector3", "text"), [[1, 2.5, 3]], [[1, 2], [1, 2, 3, 4], ["1", "2", "3"], 1]),
        (Attribute("a", "timestamp", "text"), ["2020-01-01T00:00:00Z"], [0]),
        (Attribute("a", "integer", "state", allowed=("1", "3")), [1, 3], [2, "1"]),
        (Attribute("a", "double", "state", allowed=("1.5", "3")), [1.5, 3], [2, "1.5"]),
        (Attribute("a", "boolean", "state", allowed=("true",)), [True], [False, "true"]),
        (Attribute("a", "string", "state", allowed=("1",)), ["1"], [1, "2"]),
        (Attribute("a", "double", "measurement", minimum=-0.5, maximum=0.5), [-0.5, 0.5], [0.6, -0.6]),
    ],
)
def test_values_are_judged_by_their_data_type(attribute, good, bad):
    judge = validator(Model("M", None, (attribute,), "1.0.0"))
    assert [v for v in good if not judge.is_valid({"a": v})] == []
    assert [v for v in bad if judge.is_valid({"a": v})] == []


def test_a_name_with_spaces_and_a_model_without_a_version_make_a_valid_schema():
    one = replace(MODELS["Asset"], name="Gas boiler", version="2.0.0")
    assert validator(one).schema["$id"] == "urn:idm:model:Gas%20boiler:2.0.0"
    assert "$id" not in validator(replace(one, version=None)).schema


def test_what_an_importer_could_not_read_as_a_number_does_not_break_the_schema():
    odd = Attribute("a", "integer", "state", allowed=("ON", "1"))
    assert json_schema(Model("M", None, (odd,)))["properties"]["a"]["enum"] == ["ON", 1]
