"""Authored data models: the files' shape, units, inheritance, and every problem with its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.configuration import ConfigurationError
from idm_assets.referential import data_models
from idm_assets.referential.data_models import (
    MAX_DEPTH,
    PlacedModelImport,
    read_model_sources,
    read_models,
    unit_symbol,
)
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.unece import name_of_unece, symbol_of_unece
from idm_assets.referential.units import UnitError, check_symbol, conversion

EXAMPLES = Path(__file__).parents[2] / "examples" / "config"


def written(folder: Path, **files: str) -> Path:
    (folder / "models").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "models" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path, **files: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_model_sources(written(folder, **files))
    return [p.replace(f"{folder}/models/", "") for p in caught.value.problems]


def one_model(attributes: str, kind: str = "telemetry", more: str = "") -> str:
    """A file with a model whose first attribute begins in line 7."""
    head = f"models:\n  - name: M\n    version: 1.0.0\n    kind: {kind}\n    description: d\n{more}    attributes:\n"
    return head + "".join(f"      {line}\n" for line in attributes.splitlines())


def attribute_of(folder: Path, text: str, kind: str = "telemetry") -> Attribute:
    (model,) = read_model_sources(written(folder, a=one_model(text, kind))).models
    return model.attributes[0]


# --- reading ---------------------------------------------------------------------------------------------


def test_without_a_folder_there_are_no_models(tmp_path):
    assert read_model_sources(tmp_path) == data_models.ModelSources((), ())


def test_every_field_arrives_in_the_neutral_description(tmp_path):
    text = one_model(
        "- name: duration\n  data_type: double\n  kind: state\n  unit: HUR\n  range: {minimum: 0, maximum: 10000}\n"
        "  allowed: [1, 2.5, '3']\n  required: true\n  sampling: {mode: on_change, cadence_s: 10, deadband: 0.5}\n"
        "  hold: stepped\n  pii: pseudonymous\n  semantic_id: urn:x\n  description: how long\n",
        more="    business_object: Order\n    owner: me@plant.example\n    semantic_id: urn:m\n",
    )
    (model,) = read_model_sources(written(tmp_path, a=text)).models
    duration = Attribute(
        "duration", "double", "state", "h", "how long", 0.0, 10000.0, ("1", "2.5", "3"), False, True, "on_change",
        10.0, 0.5, "stepped", "pseudonymous", "urn:x", None,
    )  # fmt: skip
    origin = f"{tmp_path}/models/a.yaml:2"
    expected = Model("M", "d", (duration,), "1.0.0", "telemetry", None, "Order", "me@plant.example", "urn:m", origin)
    assert model == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("data_type: double", "measurement"),
        ("data_type: integer", "measurement"),
        ("data_type: integer\n  kind: state", "state"),
        ("data_type: boolean", "state"),
        ("data_type: string", "text"),
        ("data_type: string\n  allowed: [a]", "state"),
        ("data_type: timestamp", "text"),
        ("data_type: vector3", "text"),
    ],
)
def test_kind_follows_from_the_data_type_unless_it_is_given(tmp_path, text, kind):
    assert attribute_of(tmp_path, f"- name: a\n  {text}").kind == kind


def test_models_are_sorted_by_name_and_by_version_as_numbers(tmp_path):
    entry = "  - {{name: {}, version: {}}}\n"
    text = "models:\n" + entry.format("B", "1.10.0") + entry.format("B", "1.9.0") + entry.format("A", "2.0.0")
    models = read_model_sources(written(tmp_path, a=text)).models
    assert [(m.name, m.version) for m in models] == [("A", "2.0.0"), ("B", "1.9.0"), ("B", "1.10.0")]


def test_the_examples_are_models_with_what_they_inherit():
    models = {model.name: model for model in read_model_sources(EXAMPLES).models}
    assert set(models) == {"Asset", "Boiler", "Document", "Trip", "Vehicle", "WorkOrder"}
    order = {a.name: a for a in models["WorkOrder"].attributes}
    # Counted in the file: 15 attributes of its own, one of which is inherited, and one more that is inherited.
    assert len(order) == 16
    assert [name for name, a in order.items() if a.key] == ["number"]
    assert order["number"].inherited_from == order["short_text"].inherited_from == "Document"
    assert order["short_text"].required
    assert order["short_text"].pii == "personal"
    assert order["running_time"].unit == "d"
    boiler = {a.name: a for a in models["Boiler"].attributes}
    assert boiler["steam_pressure"].unit == "bar"
    assert boiler["operator_badge"].pii == "pseudonymous"
    assert {a.hold for a in boiler.values()} == {"stepped", "sloped"}
    assert {a.sampling for a in boiler.values()} == {"periodic", "on_change"}


def test_a_file_can_be_read_alone_and_a_configuration_folder_as_a_folder(tmp_path):
    folder = written(
        tmp_path, a="models:\n  - {name: A, version: 1.0.0}\n", b="models:\n  - {name: B, version: 1.0.0}\n"
    )
    assert [m.name for m in read_models(folder / "models" / "b.yaml")] == ["B"]
    assert read_models(folder) == read_models(folder / "models") == read_model_sources(folder).models
    with pytest.raises(ConfigurationError, match=r"c\.yaml: cannot be read: No such file"):
        read_models(folder / "models" / "c.yaml")


# --- units -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("degC", "degC"),
        ("CEL", "degC"),
        ("UNECE:CEL", "degC"),
        ("pint:degC", "degC"),
        ("HUR", "h"),
        ("m^3/h", "m^3/h"),
        ("MQH", "m^3/h"),
        ("%", "%"),
        ("MVA", "MVA"),  # both, and the same: megavolt-ampere
        ("pint:GL", "GL"),
        ("UNECE:GL", "g/l"),
        ("pint:VA", "VA"),
        ("V*A", "V*A"),
    ],
)
def test_a_unit_is_a_symbol_or_a_unece_code(text, symbol):
    assert unit_symbol(text) == symbol


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GL", "may be the symbol GL or the UNECE code of 'gram per litre'; write pint:GL .* or UNECE:GL"),
        ("VA", "may be the symbol VA or the UNECE code of 'volt - ampere per kilogram'"),
        ("EA", "may be the symbol EA or the UNECE code of 'each'"),
        ("quarks", "unit 'quarks' is not known"),
        ("UNECE:degC", "'degC' is no UNECE code"),
        ("UNECE:EB", "'EB' is the UNECE code of 'electronic mail box', which is no unit"),
        ("pint:CEL", "unit 'CEL' is not known"),
        ("UNECE:UNECE:GL", "no UNECE code"),
    ],
)
def test_a_unit_that_is_neither_or_both_is_refused(text, message):
    with pytest.raises(UnitError, match=message):
        unit_symbol(text)


def test_no_text_of_the_unece_table_is_read_as_another_unit_in_silence():
    table = Path(data_models.__file__).with_name("unece_units.csv").read_text("utf-8-sig").splitlines()[1:]
    codes = {line.partition(",")[0] for line in table} - {""}
    both: set[str] = set()
    for code in codes:
        try:
            check_symbol(code)
        except UnitError:
            continue
        both.add(code)
        try:
            symbol = unit_symbol(code)
        except UnitError:
            continue
        coded = symbol_of_unece(code)
        assert coded is not None
        assert conversion(symbol, coded).factor == pytest.approx(1.0, rel=1e-6)
    # Found by trying all 1827 codes of the published table.
    assert len(codes) == 1827
    assert len(both) == 32
    assert {code for code in both if _is_read(code)} == {"MVA", "BTU"}


def _is_read(text: str) -> bool:
    try:
        unit_symbol(text)
    except UnitError:
        return False
    return True


@given(st.text(max_size=12))
@settings(max_examples=60)
def test_any_text_is_a_unit_that_can_be_read_back_or_is_refused(text):
    try:
        symbol = unit_symbol(text)
    except UnitError:
        assert name_of_unece(text) is None or symbol_of_unece(text) is None or _is_symbol(text)
    else:
        assert check_symbol(symbol) == symbol


def _is_symbol(text: str) -> bool:
    try:
        return check_symbol(text) == text
    except UnitError:
        return False


def test_a_wrong_unit_has_its_line(tmp_path):
    found = problems(tmp_path, a=one_model("- name: a\n  data_type: double\n  unit: GL"))
    assert len(found) == 1
    assert found[0].startswith("a.yaml:9: models[0].attributes[0].unit: unit 'GL' may be the symbol GL or")


# --- one attribute ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("double\n  range: {minimum: 5, maximum: 3}", 9, "range: expected minimum <= maximum, got 5 > 3"),
        ("double\n  range: {minimum: 1.5, maximum: 1.2}", 9, "range: expected minimum <= maximum, got 1.5 > 1.2"),
        ("string\n  range: {minimum: 5}", 9, "range: range is for double and integer, this is a string; leave it out"),
        ("string\n  unit: mm", 9, "unit: unit is for double and integer, this is a string; leave it out"),
        ("boolean\n  kind: measurement", 9, "kind: measurement is for double and integer, this is a boolean"),
        ("vector3\n  hold: sloped", 9, "hold: sloped is for double and integer, this is a vector3; leave it out"),
        ("integer\n  kind: state\n  hold: sloped", 10, "hold: only measurements change along a line, this is a state"),
        (
            "string\n  sampling:\n    mode: on_change\n    deadband: 1",
            11,
            "sampling.deadband: deadband is for double and integer, this is a string; leave it out",
        ),
        ("string\n  sampling: {mode: periodic, cadence_s: 0}", 9, "sampling.cadence_s: expected greater than 0"),
        ("double\n  sampling: {mode: periodic, deadband: -1}", 9, "sampling.deadband: expected greater than or equal"),
        ("double\n  sampling: {cadence_s: 1}", 9, "sampling.mode: required, but not given"),
        ("double\n  range: {minimum: .inf}", 9, "range.minimum: expected a finite number (got inf)"),
        ("integer\n  allowed:\n    - 1\n    - one", 11, "allowed[1]: expected an integer of 64 bits, got 'one'"),
        ("integer\n  allowed: [1.5]", 9, "allowed[0]: expected an integer of 64 bits, got '1.5'"),
        ("integer\n  allowed: ['9223372036854775808']", 9, "allowed[0]: expected an integer of 64 bits"),
        ("double\n  allowed: [.nan]", 9, "allowed[0]: expected a number, got 'nan'"),
        ("double\n  allowed: ['1e999']", 9, "allowed[0]: expected a number, got '1e999'"),
        ("double\n  allowed: ['1_0']", 9, "allowed[0]: expected a number, got '1_0'"),
        ("boolean\n  allowed: ['yes']", 9, "allowed[0]: expected true or false, got 'yes'"),
        ("string\n  allowed: [a, 1.10]", 9, "allowed[1]: expected text in quotes, as in '1.1'"),
        ("string\n  allowed: [a, b, a]", 9, "allowed[2]: 'a' is given already, as allowed[0]"),
        ("double\n  allowed: [1, 1.0]", 9, "allowed[1]: '1' is given already, as allowed[0]"),
        ("string\n  allowed: ['']", 9, "allowed[0]: expected a text of 1 to 200 characters"),
        ("string\n  allowed: [\"a\\eb\"]", 9, "allowed[0]: expected a text of 1 to 200 characters without control"),
        ("string\n  allowed: [~]", 9, "allowed[0]: expected a text, a number, true or false (got nothing)"),
        ("string\n  allowed: []", 9, "allowed: List should have at least 1 item"),
        ("timestamp\n  allowed: ['2020-01-01']", 9, "allowed: a timestamp cannot be one of a few values"),
        ("double\n  allowed: [1, 7]\n  range: {maximum: 5}", 9, "allowed[1]: expected a value in the range at most 5"),
        ("string\n  key: true", 9, "key: only records have keys; leave key out, or make the model kind: record"),
        ("string\n  pii: secret", 9, "pii: expected 'none', 'pseudonymous', 'personal' or 'sensitive' (got 'secret')"),
        ("string\n  semantic_id: \"a\\x07\"", 9, "semantic_id: expected text without control characters"),
        ("text", 8, "data_type: expected 'double', 'integer', 'boolean', 'string', 'timestamp' or 'vector3'"),
    ],
)  # fmt: skip
def test_a_contradiction_in_an_attribute_has_its_place_and_what_was_expected(tmp_path, text, line, expected):
    found = problems(tmp_path, a=one_model(f"- name: a\n  data_type: {text}"))
    assert len(found) == 1, found
    assert found[0].startswith(f"a.yaml:{line}: models[0].attributes[0].{expected}")


KEY = "- {name: id, data_type: string, key: true}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- {name: a.b, data_type: string}",
            "8: models[0].attributes[1].name: expected letters, digits and underscores",
        ),
        ("- {name: a, data_type: vector3}", "8: models[0].attributes[1].data_type: a record cannot hold vector3"),
        (
            "- {name: a, data_type: string, sampling: {mode: periodic}}",
            "8: models[0].attributes[1].sampling: a record is",
        ),
        ("- {name: a, data_type: double, hold: sloped}", "8: models[0].attributes[1].hold: a record does not hold"),
        ("- {name: k, data_type: string, key: true, required: false}", "8: models[0].attributes[1].required: a key is"),
        ("- {name: ID, data_type: string}", "8: models[0].attributes[1].name: differs from 'id' only in capitals"),
        ("- {name: id, data_type: string}", "8: models[0].attributes[1].name: 'id' is given already, at a.yaml:7"),
    ],
)
def test_a_record_is_a_row_of_a_table(tmp_path, text, expected):
    found = problems(tmp_path, a=one_model(KEY + text, "record"))
    assert len(found) == 1, found
    assert found[0].startswith(f"a.yaml:{expected}")


def test_a_key_is_required_without_saying_so_and_a_record_has_one(tmp_path):
    assert attribute_of(tmp_path, KEY, "record").required
    found = problems(tmp_path, a=one_model("- {name: id, data_type: string}", "record"))
    assert len(found) == 1
    assert found[0].startswith("a.yaml:6: models[0].attributes: a record model needs at least one attribute with key")


def test_telemetry_attributes_may_differ_in_capitals_and_have_levels(tmp_path):
    text = "- {name: x, data_type: double}\n- {name: X, data_type: double}\n- {name: a.b-c, data_type: double}"
    (model,) = read_model_sources(written(tmp_path, a=one_model(text))).models
    assert [a.name for a in model.attributes] == ["X", "a.b-c", "x"]


def test_numbers_of_equal_value_are_equal_allowed_values(tmp_path):
    assert attribute_of(tmp_path, "- {name: a, data_type: double, allowed: ['1.0', 2, 1e3, -0.0]}").allowed == (
        "1", "2", "1000", "0",
    )  # fmt: skip
    assert attribute_of(tmp_path, "- {name: a, data_type: integer, allowed: ['007', -0]}").allowed == ("7", "0")
    assert attribute_of(tmp_path, "- {name: a, data_type: boolean, allowed: [true]}").allowed == ("true",)


@pytest.mark.parametrize(
    "version", ["1.2", "1", "01.0.0", "1.0.0-rc1", "v1.0.0", "1.0.0.0", "'٣.0.0'", "9999999999.0.0"]
)
def test_versions_have_three_numbers(tmp_path, version):
    found = problems(tmp_path, a=f"models:\n  - name: M\n    version: {version}\n")
    assert len(found) == 1
    assert found[0].startswith("a.yaml:3: models[0].version: expected a version like 1.2.0: MAJOR.MINOR.PATCH")


# --- inheritance -----------------------------------------------------------------------------------------

BASE = """\
models:
  - name: Base
    version: 1.0.0
    attributes:
      - name: a
        data_type: double
        unit: mm
        range: {minimum: 0, maximum: 10}
        sampling: {mode: on_change}
        description: of the base
      - name: s
        data_type: string
        allowed: [x, y, z]
        pii: personal
"""


def extending(attributes: str, extends: str = "Base") -> str:
    """A file with a model that extends another one; its first attribute begins in line 6."""
    head = f"models:\n  - name: Child\n    version: 1.0.0\n    extends: {extends}\n    attributes:\n"
    return head + "".join(f"      {line}\n" for line in attributes.splitlines())


def test_an_override_keeps_what_it_leaves_out(tmp_path):
    text = extending(
        "- name: a\n  data_type: integer\n  range: {minimum: 1, maximum: 9}\n  required: true\n"
        "- name: s\n  data_type: string\n  allowed: [x]\n  pii: sensitive\n  semantic_id: urn:s\n"
        "- {name: own, data_type: boolean}"
    )
    base, child = read_model_sources(written(tmp_path, a=BASE, b=text)).models
    assert child.attributes == (
        Attribute(
            "a", "integer", "measurement", "mm", "of the base", 1.0, 9.0, required=True, sampling="on_change",
            inherited_from="Base",
        ),
        Attribute("own", "boolean", "state"),
        Attribute("s", "string", "state", allowed=("x",), pii="sensitive", semantic_id="urn:s", inherited_from="Base"),
    )  # fmt: skip
    assert child.extends == "Base"
    assert child.kind == base.kind == "telemetry"
    assert all(a.inherited_from is None for a in base.attributes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- name: a\n  data_type: double\n  range: {maximum: 5}",
            "8: {}.range: expected 0 to 10 or narrower, got at most 5",
        ),
        ("- name: a\n  data_type: double\n  range: ~", "8: {}.range: expected 0 to 10 or narrower, got none"),
        ("- name: a\n  data_type: double\n  unit: cm", "8: {}.unit: expected mm or narrower, got cm"),
        ("- name: a\n  data_type: double\n  hold: sloped", "8: {}.hold: expected stepped or narrower, got sloped"),
        ("- name: a\n  data_type: double\n  kind: state", "8: {}.kind: expected measurement or narrower, got state"),
        ("- name: s\n  data_type: string\n  allowed: [x, w]", "8: {}.allowed: expected 'x', 'y', 'z' or narrower, got"),
        ("- name: s\n  data_type: string\n  pii: none", "8: {}.pii: expected personal or narrower, got none"),
        (
            "- name: s\n  data_type: integer\n  allowed: [1]",
            "7: {}.data_type: expected string or narrower, got integer",
        ),
    ],
)
def test_an_override_that_widens_is_refused(tmp_path, text, expected):
    found = problems(tmp_path, a=BASE, b=extending(text))
    start = "b.yaml:" + expected.format("models[0].attributes[0]")
    assert found[0].startswith(start), found
    assert found[0].endswith(
        f"is inherited from 'Base' ({tmp_path}/models/a.yaml:2)".replace(f"{tmp_path}/models/", "")
    )


def test_what_is_inherited_must_fit_what_is_narrowed(tmp_path):
    base = one_model("- {name: n, data_type: integer, allowed: [1, 50]}")
    child = extending("- {name: n, data_type: integer, range: {maximum: 9}}", "M@1.0.0")
    found = problems(tmp_path, a=base, b=child)
    assert found == ["b.yaml:6: models[0].attributes[0].allowed[1]: expected a value in the range at most 9, got '50'"]


ATTRIBUTE = st.fixed_dictionaries(
    {"name": st.just("a"), "data_type": st.sampled_from(["double", "integer"])},
    optional={
        "range": st.fixed_dictionaries({}, optional={"minimum": st.integers(-2, 0), "maximum": st.integers(0, 2)}),
        "required": st.booleans(),
        "pii": st.sampled_from(["none", "pseudonymous", "personal", "sensitive"]),
        "allowed": st.lists(st.integers(0, 3).map(str), min_size=1, max_size=3, unique=True),
    },
)
PII = ["none", "pseudonymous", "personal", "sensitive"]


def values_of(attribute: dict[str, Any]) -> set[float]:
    """The values of a small world, halves from -5 to 5, that an attribute takes."""
    limits = attribute.get("range", {})
    return {
        x / 2
        for x in range(-10, 11)
        if (attribute["data_type"] == "double" or x % 2 == 0)
        and limits.get("minimum", -5) <= x / 2 <= limits.get("maximum", 5)
        and ("allowed" not in attribute or x / 2 in map(float, attribute["allowed"]))
    }


@given(ATTRIBUTE, ATTRIBUTE)
@settings(max_examples=150, deadline=None)
def test_an_override_is_accepted_if_and_only_if_all_it_says_is_narrower(tmp_path_factory, base, stated):
    """Judged by counting values, not by comparing bounds."""
    child = base | stated
    path = tmp_path_factory.mktemp("override") / "a.yaml"
    models = [
        {"name": "Base", "version": "1.0.0", "attributes": [base]},
        {"name": "Child", "version": "1.0.0", "extends": "Base", "attributes": [stated]},
    ]
    path.write_text(yaml.safe_dump({"models": models}), encoding="utf-8")
    consistent = all(float(x) in values_of(a | {"allowed": [x]}) for a in (base, child) for x in a.get("allowed", []))
    same_list = "allowed" not in base or set(child["allowed"]) <= set(base["allowed"])
    limits, inner = base.get("range", {}), child.get("range", {})
    within = (
        inner.get("minimum", -9) >= limits.get("minimum", -9)
        and inner.get("maximum", 9) <= limits.get("maximum", 9)
        and (base["data_type"], child["data_type"]) != ("integer", "double")
        and same_list
        and child.get("required", False) >= base.get("required", False)
        and PII.index(child.get("pii", "none")) >= PII.index(base.get("pii", "none"))
    )
    try:
        _, found = read_models(path)
    except ConfigurationError:
        assert not (consistent and within)
    else:
        assert consistent
        assert within
        assert values_of(child) <= values_of(base)
        assert found.attributes[0].allowed == tuple(child.get("allowed", ()))


def test_extends_means_the_highest_version_or_the_one_that_is_named(tmp_path):
    base = BASE + "  - {name: Base, version: 2.0.0, attributes: [{name: b, data_type: double}]}\n"
    child = extending("[]").replace("attributes:\n      []", "attributes: []")
    folder = written(tmp_path, a=base, b=child, c=child.replace("Child", "Old").replace("Base", "Base@1.0.0"))
    models = {m.name: m for m in read_model_sources(folder).models}
    assert [a.name for a in models["Child"].attributes] == ["b"]
    assert [a.name for a in models["Old"].attributes] == ["a", "s"]
    assert models["Old"].extends == "Base"


def test_an_unknown_parent_has_its_line_and_the_versions_there_are(tmp_path):
    child = "models:\n  - {name: C, version: 1.0.0, extends: Base@1.5.0}\n  - {name: D, version: 1.0.0, extends: Bse}\n"
    assert problems(tmp_path, a=BASE, b=child) == [
        "b.yaml:2: models[0].extends: there is no model 'Base@1.5.0'; there are the versions 1.0.0",
        "b.yaml:3: models[1].extends: there is no model 'Bse'; write that model, or correct the name",
    ]


def test_a_parent_in_a_file_that_cannot_be_read_is_not_missed(tmp_path):
    found = problems(tmp_path, a=BASE.replace("unit: mm", "unti: mm"), b=extending("- {name: z, data_type: double}"))
    assert len(found) == 1
    assert found[0].startswith("a.yaml:7: models[0].attributes[0].unti: unknown field; known here: allowed, data_type")


def test_what_a_missing_parent_would_bring_is_not_missed_below_it(tmp_path):
    entry = "  - {{name: {}, version: 1.0.0, kind: record, extends: {}}}\n"
    text = "models:\n" + entry.format("Grandchild", "Child") + entry.format("Child", "Nowhere")
    found = problems(tmp_path, a=text)
    assert [p.partition(";")[0] for p in found] == ["a.yaml:3: models[1].extends: there is no model 'Nowhere'"]


def test_versions_are_not_compared_where_a_parent_is_missing(tmp_path):
    """Without its parent a version seems to have lost attributes."""
    base = "models:\n  - {name: Base, version: 1.0.0, attributes: [{name: b, data_type: double}]}\n"
    entry = "  - {{name: M, version: 1.{}.0, extends: {}}}\n"
    found = problems(tmp_path, a=base + entry.format(0, "Base") + entry.format(1, "Bsae"))
    assert [p.partition(";")[0] for p in found] == ["a.yaml:4: models[2].extends: there is no model 'Bsae'"]


def test_a_circle_is_named_as_a_whole_and_once(tmp_path):
    entry = "  - name: {}\n    version: 1.0.0\n    extends: {}\n"
    text = "models:\n" + entry.format("A", "B") + entry.format("B", "C@1.0.0") + entry.format("X", "A")
    found = problems(tmp_path, a=text, b="models:\n" + entry.format("C", "A"))
    circle = "A@1.0.0 (a.yaml:4) extends B@1.0.0 (a.yaml:7) extends C@1.0.0 (b.yaml:4) extends A@1.0.0 (a.yaml:4)"
    assert found == [f"a.yaml:4: models[0].extends: a circle: {circle}; remove one of these lines"]


def test_a_model_cannot_extend_itself_nor_its_own_versions(tmp_path):
    text = "models:\n  - {name: A, version: 1.0.0}\n  - {name: A, version: 2.0.0, extends: A@1.0.0}\n"
    assert problems(tmp_path, a=text) == [
        "a.yaml:3: models[1].extends: A@2.0.0 extends its own version 1.0.0; write the attributes out"
    ]
    found = problems(tmp_path, a="models:\n  - {name: A, version: 1.0.0, extends: A}\n")
    assert [p.partition(";")[0] for p in found] == [
        "a.yaml:2: models[0].extends: a circle: A@1.0.0 (a.yaml:2) extends A@1.0.0 (a.yaml:2)"
    ]


def chain(length: int) -> str:
    entries = [f"  - {{name: N{i}, version: 1.0.0, extends: N{i - 1}}}\n" for i in range(1, length + 1)]
    return "models:\n  - {name: N0, version: 1.0.0, attributes: [{name: a, data_type: double}]}\n" + "".join(entries)


def test_chains_may_be_long_but_not_endless(tmp_path):
    models = read_model_sources(written(tmp_path, a=chain(MAX_DEPTH))).models
    last = next(m for m in models if m.name == f"N{MAX_DEPTH}")
    assert [(a.name, a.inherited_from) for a in last.attributes] == [("a", "N0")]
    found = problems(tmp_path, a=chain(MAX_DEPTH + 1))
    text = "N17@1.0.0 extends a chain of 17 models, 16 are allowed; write attributes out"
    assert found == [f"a.yaml:{MAX_DEPTH + 3}: models[{MAX_DEPTH + 1}].extends: {text}"]
    assert len(problems(tmp_path, a=chain(3000))) == 3000 // (MAX_DEPTH + 1)


def test_too_many_inherited_attributes_are_refused_before_they_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(data_models, "MAX_ALL_ATTRIBUTES", 100)
    monkeypatch.setattr(data_models, "MAX_ATTRIBUTES", 30)
    base = "models:\n  - name: Base\n    version: 1.0.0\n    attributes:\n"
    base += "".join(f"      - {{name: a{i}, data_type: double}}\n" for i in range(30))
    children = "".join(f"  - {{name: C{i}, version: 1.0.0, extends: Base}}\n" for i in range(50))
    found = problems(tmp_path, a=base + children)
    # 30 of the base and 3 x 30: the third child makes 120.
    assert found == [
        "a.yaml:37: models[3]: all models together have more than 100 attributes, with those that they inherit".replace(
            "models[3]", "models[3].attributes"
        )
    ]
    child = "  - {name: C, version: 1.0.0, extends: Base, attributes: [{name: z, data_type: double}]}\n"
    assert problems(tmp_path, a=base + child) == [
        "a.yaml:35: models[1].attributes: C@1.0.0 has more than 30 attributes, with those that it inherits"
    ]


def test_a_record_does_not_extend_telemetry(tmp_path):
    child = (
        "models:\n  - name: R\n    version: 1.0.0\n    kind: record\n    extends: Base\n    attributes:\n      " + KEY
    )
    found = problems(tmp_path, a=BASE, b=child)
    assert found[0] == (
        "b.yaml:4: models[0].kind: expected telemetry, as 'Base' (a.yaml:2) is: a model extends one of its own kind"
    )


def test_the_kind_is_inherited_unless_it_is_given(tmp_path):
    base = one_model(KEY, "record")
    _, child = read_model_sources(
        written(tmp_path, a=base, b="models:\n  - {name: N, version: 1.0.0, extends: M}\n")
    ).models
    assert child.kind == "record"


# --- between models --------------------------------------------------------------------------------------


def test_a_name_and_version_given_twice_names_both_places(tmp_path):
    text = "models:\n  - name: M\n    version: 1.0.0\n"
    assert problems(tmp_path, a=text, b="# here\n" + text) == [
        "b.yaml:4: models[0].version: M@1.0.0 is there already, at a.yaml:2; remove one of the two or raise its version"
    ]


def test_a_breaking_change_under_the_same_major_version_is_refused(tmp_path):
    entry = "  - {{name: M, version: {}, attributes: [{{name: a, data_type: {}}}]}}\n"
    good = (
        "models:\n"
        + entry.format("1.0.0", "integer")
        + entry.format("1.1.0", "double")
        + entry.format("2.0.0", "string")
    )
    assert len(read_model_sources(written(tmp_path, a=good)).models) == 3
    bad = (
        "models:\n"
        + entry.format("1.1.0", "integer")
        + entry.format("1.0.0", "double")
        + entry.format("2.0.0", "string")
    )
    broken = "model 'M' 1.1.0 breaks version 1.0.0 (a.yaml:3) under the same major version"
    reason = "a: data_type changed: was double, is integer"
    assert problems(tmp_path, a=bad) == [f"a.yaml:2: {broken}; call it 3.0.0 ({reason})"]
    assert len(read_models(tmp_path)) == 3


def test_all_problems_of_all_files_come_in_one_go(tmp_path):
    found = problems(
        tmp_path,
        a=one_model(
            "- name: a\n  data_type: string\n  unit: mm\n"
            "- name: b\n  data_type: double\n  range: {minimum: 2, maximum: 1}"
        ),
        b="models:\n  - {name: M, version: 1.0.0}\n  - {name: O, version: 1.0.0, extends: Nowhere}\n",
        c="models:\n  - {nam: X}\n",
        d="models: [",
        e="imports:\n  - {format: aas, file: ../nothing.aasx}\n  - {format: pdf, file: x}\n",
        f="imports:\n  - {format: aas, file: ../nothing.aasx}\n",
    )
    assert [p.split(": ")[0] + " " + p.split(": ")[1] for p in found] == [
        "c.yaml:2 models[0].name",
        "c.yaml:2 models[0].version",
        "c.yaml:2 models[0].nam",
        "d.yaml:1 no valid YAML",
        "e.yaml:3 imports[1].format",
        "b.yaml:2 models[0].version",
        "a.yaml:9 models[0].attributes[0].unit",
        "a.yaml:12 models[0].attributes[1].range",
        "f.yaml:2 imports[0].file",
    ]


# --- imports ---------------------------------------------------------------------------------------------


def test_imports_are_placed_files_inside_of_the_configuration(tmp_path):
    (tmp_path / "companion").mkdir()
    (tmp_path / "companion" / "x.xml").write_text("<x/>")
    folder = written(tmp_path, a="imports:\n  - format: opcua_nodeset2\n    file: ../companion/x.xml\n")
    assert read_model_sources(folder).imports == (
        PlacedModelImport(
            f"{tmp_path}/models/a.yaml:2", "opcua_nodeset2", (tmp_path / "companion" / "x.xml").resolve()
        ),
    )


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("../../outside.xml", "leads out of"),
        ("/etc/hostname", "leads out of"),
        ("link.xml", "leads out of"),
        ("loop.xml", "leads out of"),
        ('"a\\0b"', "leads out of"),
        ("nothing.xml", "there is no file"),
        ("../models", "there is no file"),
        ("x" * 300, "there is no file"),
    ],
)
def test_imports_stay_inside_of_the_configuration(tmp_path, file, expected):
    (tmp_path / "outside.xml").write_text("<x/>")
    folder = tmp_path / "config"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "link.xml").symlink_to("../../outside.xml")
    (folder / "models" / "loop.xml").symlink_to("loop.xml")
    found = problems(folder, a=f"imports:\n  - format: aas\n    file: {file}\n")
    assert len(found) == 1
    assert found[0].startswith("a.yaml:3: imports[0].file: ")
    assert expected in found[0]


def test_a_file_is_imported_once(tmp_path):
    (tmp_path / "x.aasx").write_text("")
    text = "imports:\n  - {format: aas, file: ../x.aasx}\n"
    assert problems(tmp_path, a=text, b=text.replace("..", "../models/..")) == [
        "b.yaml:2: x.aasx is imported already at a.yaml:2; remove one of the two"
    ]


# --- hostile files ---------------------------------------------------------------------------------------


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5)
    | st.sampled_from(["M", "1.0.0", "record", "double", "CEL", "string", "periodic"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["models", "name", "version", "kind", "attributes", "data_type", "range", "minimum", "allowed",
                         "extends", "sampling", "mode", "imports", "key", "unit"]), inner, max_size=5),
    max_leaves=20,
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_yaml_is_models_or_a_configuration_error(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("any") / "a.yaml"
    text = yaml.safe_dump({"models": value} if not isinstance(value, dict) else value, allow_unicode=True)
    path.write_text(text, encoding="utf-8")
    found: tuple[str, ...] = ()
    try:
        read_models(path)
    except ConfigurationError as error:
        found = error.problems
    assert all(problem.startswith(str(path)) for problem in found)
