"""Reading YAML: the dialect, the limits, and errors that name file, line and field."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from idm_assets.configuration import ConfigurationError, load_document, load_folder, load_yaml


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    count: int = Field(default=1, ge=0)


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str
    parts: list[Part] = Field(default_factory=list)
    by_name: dict[str, Part] = Field(default_factory=dict)


class Anything(BaseModel):
    content: Any


def written(folder: Path, text: str | bytes, name: str = "a.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path: Path, model: type[BaseModel] = Whole) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_yaml(path, model)
    return [p.removeprefix(f"{path.parent}/") for p in caught.value.problems]


def test_a_valid_file_becomes_the_model_and_knows_its_lines(tmp_path):
    path = written(tmp_path, "title: t\nparts:\n  - name: one\n  - name: two\n    count: 3\n")
    document = load_document(path, Whole)
    assert document.value == Whole(title="t", parts=[Part(name="one"), Part(name="two", count=3)])
    assert document.place("parts", 1, "count") == f"{path}:5"
    assert document.place("parts", 1, "absent") == f"{path}:4"
    assert document.problem(("parts", 0, "name"), "is taken") == f"{path}:3: parts[0].name: is taken"


def test_every_wrong_field_is_reported_with_file_line_and_value(tmp_path):
    path = written(
        tmp_path,
        "title: t\nparts:\n  - name: one\n    cuont: 3\n  - count: many\n  - name: x\n    count: -1\n",
    )
    integer = "expected a valid integer, unable to parse string as an integer"
    assert problems(path) == [
        "a.yaml:4: parts[0].cuont: unknown field; known here: count, name",
        "a.yaml:5: parts[1].name: required, but not given",
        f"a.yaml:5: parts[1].count: {integer} (got 'many')",
        "a.yaml:7: parts[2].count: expected greater than or equal to 0 (got -1)",
    ]


def test_fields_below_free_keys_are_found_too(tmp_path):
    path = written(tmp_path, "title: t\nby_name:\n  some key:\n    nam: x\n")
    assert problems(path) == [
        "a.yaml:3: by_name.some key.name: required, but not given",
        "a.yaml:4: by_name.some key.nam: unknown field; known here: count, name",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("14:00", "14:00"),
        ("no", "no"),
        ("2016-10-06", "2016-10-06"),
        ("007", "007"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("=", "="),
        ("<<", "<<"),
        ("true", True),
        ("42", 42),
        ("-1.5e3", -1500.0),
        ("~", None),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_plain_scalars_are_those_of_the_core_schema(tmp_path, text, value):
    loaded = load_yaml(written(tmp_path, f"content: {text}\n"), Anything).content
    assert (loaded, type(loaded)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title: a\nparts: []\ntitle: b\n", "a.yaml:3: key 'title' was already given in line 1"),
        ("title: !!python/object/apply:os.system [true]\n", "a.yaml:1: tag 'tag:yaml.org,2002:python"),
        ("title: !!int abc\n", "a.yaml:1: tag 'tag:yaml.org,2002:int' is not accepted for 'abc'"),
        ("title: !!bool maybe\n", "a.yaml:1: tag 'tag:yaml.org,2002:bool' is not accepted for 'maybe'"),
        ("title: !!set {a, b}\n", "a.yaml:1: tag 'tag:yaml.org,2002:set'"),
        ("title: t\n? [a, b]\n: c\n", "a.yaml:2: a key must be text"),
        ("title: t\n---\ntitle: u\n", "a.yaml:2: no valid YAML: expected a single document"),
        ("title: [a\nparts: b\n", "a.yaml:2: no valid YAML"),
        ("title: &a [*a]\n", "a.yaml:1: an alias contains itself"),
        ("title: *nowhere\n", "a.yaml:1: no valid YAML: found undefined alias"),
        ("title: \x07\n", "a.yaml: no valid YAML: unacceptable character"),
        (b"title: t\nparts: \xff\n", "a.yaml:2: byte 17 is no UTF-8"),
        ("", "a.yaml:1: the file: expected a valid dictionary or instance of Whole (got nothing)"),
        ("x:\n" + " - " * 40 + "deep\n", "a.yaml:2: nested deeper than 32 levels"),
        ("title: " + "[" * 1_000_000, "a.yaml:1: nested deeper than 32 levels"),
    ],
)
def test_what_is_refused_says_where_and_why(tmp_path, text, expected):
    (problem,) = problems(written(tmp_path, text))
    assert problem.startswith(expected)


def test_an_alias_may_repeat_a_value_but_not_explode(tmp_path):
    path = written(tmp_path, "content:\n  a: &x [1, 2]\n  b: *x\n")
    assert load_yaml(path, Anything).content == {"a": [1, 2], "b": [1, 2]}
    levels = ["content:", "  l0: &l0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    levels += [f"  l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 12)]
    (problem,) = problems(written(tmp_path, "\n".join(levels)), Anything)
    assert "aliases make more than 100000 values" in problem


def test_size_and_number_of_values_are_limited(tmp_path):
    assert problems(written(tmp_path, b"#" * (4 * 1024 * 1024 + 1))) == [
        "a.yaml: larger than 4194304 bytes; split it into several files"
    ]
    path = written(tmp_path, "title: [" + "x," * 100_001 + "]")
    assert problems(path) == ["a.yaml:1: more than 100000 values; split the file"]


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path):
    assert problems(tmp_path / "none.yaml") == ["none.yaml: cannot be read: No such file or directory"]
    with pytest.raises(ConfigurationError, match="nowhere: no such folder"):
        load_folder(tmp_path / "nowhere", Whole)


def test_a_folder_gives_all_its_files_in_order_of_name_or_all_their_problems(tmp_path):
    written(tmp_path, "title: second\n", "b.yml")
    written(tmp_path, "title: first\n", "a.yaml")
    written(tmp_path, "not: read", "c.txt")
    (tmp_path / "d.yaml").mkdir()
    assert [d.value.title for d in load_folder(tmp_path, Whole)] == ["first", "second"]
    written(tmp_path, "titel: x\n", "b.yml")
    written(tmp_path, "title: [", "e.yaml")
    with pytest.raises(ConfigurationError) as caught:
        load_folder(tmp_path, Whole)
    assert [p.removeprefix(f"{tmp_path}/")[:8] for p in caught.value.problems] == [
        "b.yml:1:",
        "b.yml:1:",
        "e.yaml:1",
    ]


# Line ends of other alphabets are left out: the writer itself does not bring them back.
text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp"), exclude_characters="\ufeff"))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(plain)
def test_what_a_yaml_writer_writes_comes_back(tmp_path_factory, content):
    text = yaml.safe_dump({"content": content}, allow_unicode=True)
    path = written(tmp_path_factory.getbasetemp(), text, "round_trip.yaml")
    assert load_yaml(path, Anything).content == content


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_name(tmp_path_factory, data):
    path = written(tmp_path_factory.getbasetemp(), data, "any.yaml")
    found: tuple[str, ...] = (str(path),)
    try:
        load_yaml(path, Whole)
    except ConfigurationError as error:
        found = error.problems
    assert found
    assert all(problem.startswith(str(path)) for problem in found)
