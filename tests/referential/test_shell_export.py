"""Export of avatars as shells: the SDK reads it strictly, and the import finds what was exported."""

import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from basyx.aas import model as aas
from basyx.aas.adapter.json import read_aas_json_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.asset_administration_shell import read_shells
from idm_assets.referential.description import Attribute, Binding, Model, default_kind, problems_of
from idm_assets.referential.shell_export import ShellBinding, ShellSource, shells_json, write_shells
from idm_assets.referential.shells.marks import shell_id

PUMP = Model(
    "Pump 2.x",
    "Pumps things",
    (
        Attribute("Id.Serial", "string", "text", key=True, required=True, semantic_id="0173-1#02-AAM556#002"),
        Attribute("flow", "double", "measurement", "m^3/h", "Volume flow", 0.0, 100.5, sampling="periodic",
                  cadence_s=60.0, deadband=0.25, hold="sloped", semantic_id="urn:flow", inherited_from="Device"),
        Attribute("mode", "string", "state", allowed=("off", "auto", "\u00fc\"")),
        Attribute("on", "boolean", "state", pii="personal"),
        Attribute("position", "vector3", "text", "mm"),
        Attribute("since", "timestamp", "text"),
        Attribute("starts", "integer", "measurement"),
    ),
    "1.2.3", "record", "Device", "Asset", "Maintenance", "urn:pump",
)  # fmt: skip
FIRST = ShellSource("P 1", "pump/1", "Pumpe \u201e1\u201c", PUMP, "E/S/Line 1")
SECOND = ShellSource(
    "P 1",
    "pump/2",
    'Pump "2"',
    PUMP,
    "E/S/Line 1",
    "pump/1",
    {"serial_number": "7", "global_asset_id": "urn:asset:2", "asset number": "A"},
    {
        "Id.Serial": "7", "flow": "1.50", "on": "true", "since": "2020-01-01T00:00:00Z", "starts": "many",
        "manufacturer": "ACME \u4e2d", " odd/name ": "", "Odd_name_": "x",
    },
    "Line 1\nLine 2",
    (
        ShellBinding(Binding("s", "t", "pump/2", "flow", "l/s", 2.0, -1.0), datetime(2020, 1, 1, tzinfo=UTC)),
        ShellBinding(Binding("s", "u", "pump/2", "mode")),
    ),
)  # fmt: skip


def objects(text):
    """What the SDK reads, strictly, of an export, by class."""
    found = {aas.AssetAdministrationShell: [], aas.Submodel: []}
    for item in read_aas_json_file(io.StringIO(text), failsafe=False):
        found[type(item)].append(item)
    return found[aas.AssetAdministrationShell], found[aas.Submodel]


def submodel(text, name):
    (found,) = [s for s in objects(text)[1] if s.id.endswith(f":{name}")]
    return found


@pytest.fixture
def read_back(tmp_path):
    def reader(avatars):
        path = tmp_path / "export.json"
        with path.open("w", encoding="utf-8") as stream:
            write_shells(avatars, stream)
        description = read_shells(path)
        assert problems_of(description) == []
        return description

    return reader


def assert_as_exported(description, sources):
    """The import gives what was exported, under the ids of the shells."""
    avatars = {a.avatar: a for a in description.avatars}
    assert set(avatars) == {shell_id(s.plant, s.avatar) for s in sources}
    models = {m.name: replace(m, origin="") for m in description.models}
    machines = {e.name: e for e in description.equipment}
    for source in sources:
        avatar = avatars[shell_id(source.plant, source.avatar)]
        assert avatar.name == source.name
        assert avatar.external_ids == source.external_ids
        assert avatar.static_attributes == source.static_attributes
        assert avatar.description == source.description
        assert avatar.parent == (source.parent and shell_id(source.plant, source.parent))
        assert models[avatar.model] == replace(source.model, origin="")
        assert avatar.equipment in machines


# --- the SDK ---------------------------------------------------------------------------------------------


def test_the_sdk_reads_every_shell_submodel_and_element_strictly():
    text = shells_json([SECOND, FIRST])
    shells, submodels = objects(text)
    assert {s.id for s in shells} == {"urn:idm:P%201:pump%2F1", "urn:idm:P%201:pump%2F2"}
    # Three submodels for the pump with values and tags, one for the other.
    assert sorted(s.id.rpartition(":")[2] for s in submodels) == ["bindings", "model", "model", "static_attributes"]
    for shell in shells:
        referred = {reference.key[0].value for reference in shell.submodel}
        assert referred == {s.id for s in submodels if s.id.startswith(f"{shell.id}:")}
    (second,) = [s for s in shells if s.id.endswith("2")]
    asset = second.asset_information
    assert asset.global_asset_id == "urn:asset:2"
    assert {(i.name, i.value) for i in asset.specific_asset_id} == {("serial_number", "7"), ("asset number", "A")}
    (parent,) = [e for e in second.extension if e.name == "urn:idm:parent"]
    assert [r.key[0].value for r in parent.refers_to] == ["urn:idm:P%201:pump%2F1"]


def test_what_aas_has_a_place_for_stands_there():
    found = submodel(shells_json([SECOND]), "model")
    assert (found.id_short, found.semantic_id.key[0].value) == ("Pump_2_x", "urn:pump")
    assert (found.administration.version, found.administration.revision) == ("1", "2")
    elements = {e.id_short: e for e in found.submodel_element}
    assert list(elements) == ["Id_Serial", "flow", "mode", "on", "position", "since", "starts"]
    semantics = {name: e.semantic_id and e.semantic_id.key[0].value for name, e in elements.items()}
    assert semantics == {a.name.replace(".", "_"): a.semantic_id for a in PUMP.attributes}
    assert {name: aas.datatypes.XSD_TYPE_NAMES[e.value_type] for name, e in elements.items()} == {
        "Id_Serial": "xs:string", "flow": "xs:double", "mode": "xs:string", "on": "xs:boolean",
        "position": "xs:string", "since": "xs:dateTime", "starts": "xs:integer",
    }  # fmt: skip
    assert {name: e.value for name, e in elements.items() if e.value is not None} == {
        "Id_Serial": "7", "flow": 1.5, "on": True, "since": datetime(2020, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    units = {
        name: e.embedded_data_specifications[0].data_specification_content.unit
        for name, e in elements.items()
        if e.embedded_data_specifications
    }
    assert units == {"flow": "m^3/h", "mode": None, "position": "mm"}
    allowed = elements["mode"].embedded_data_specifications[0].data_specification_content.value_list
    assert {pair.value for pair in allowed} == {"off", "auto", '\u00fc"'}
    assert elements["flow"].description["en"] == "Volume flow"
    assert {name: [q.value for q in e.qualifier] for name, e in elements.items() if e.qualifier} == {
        "Id_Serial": ["One"]
    }


def test_other_static_attributes_are_kept_as_text():
    found = submodel(shells_json([SECOND]), "static_attributes")
    # Values that the type of their attribute would write otherwise, or not at all, stand here too, as they were:
    # 1.50 is written as 1.5, the time with +00:00.
    assert [(e.id_short, e.value) for e in found.submodel_element] == [
        ("flow", "1.50"), ("since", "2020-01-01T00:00:00Z"), ("starts", "many"), ("manufacturer", "ACME \u4e2d"),
        ("x_odd_name_", ""), ("Odd_name_", "x"),
    ]  # fmt: skip


def test_only_what_xml_schema_reads_as_a_value_is_a_value():
    values = {"flow": "1_000", "starts": "\u0663", "on": "yes", "since": "2020-13-01T00:00:00Z"}
    found = submodel(shells_json([replace(FIRST, static_attributes=values)]), "model")
    assert {e.value for e in found.submodel_element} == {None}


def test_id_shorts_differ_in_more_than_case():
    named = tuple(Attribute(name, "string", "text") for name in ("SPEED", "Speed", "s.peed", "s_peed", "speed"))
    model = replace(PUMP, attributes=named)
    found = submodel(shells_json([replace(FIRST, model=model)]), "model")
    assert [e.id_short for e in found.submodel_element] == ["SPEED", "Speed_2", "s_peed", "s_peed_2", "speed_3"]


def test_bindings_are_listed_with_unit_conversion_and_validity():
    (listed,) = submodel(shells_json([SECOND]), "bindings").submodel_element
    found = [{e.id_short: e.value for e in item.value} for item in listed.value]
    assert found == [
        {"Source": "s", "Tag": "t", "Attribute": "flow", "Unit": "l/s", "Scale": 2.0, "Offset": -1.0,
         "ValidFrom": datetime(2020, 1, 1, tzinfo=UTC)},
        {"Source": "s", "Tag": "u", "Attribute": "mode", "Scale": 1.0, "Offset": 0.0},
    ]  # fmt: skip


def test_times_of_bindings_keep_their_zone():
    instant = datetime(2020, 1, 1, 6, 30, tzinfo=timezone(timedelta(hours=1)))
    bound = ShellBinding(Binding("s", "t", "a", "x"), valid_to=instant)
    (listed,) = submodel(shells_json([replace(FIRST, bindings=(bound,))]), "bindings").submodel_element
    (item,) = listed.value
    assert {e.id_short: e.value for e in item.value}["ValidTo"] == instant


# --- there and back --------------------------------------------------------------------------------------


def test_the_import_finds_what_was_exported(read_back):
    description = read_back([SECOND, FIRST])
    assert_as_exported(description, [FIRST, SECOND])
    # The parent comes first, whatever the order of the file; both belong to the machine of their path.
    assert [a.avatar for a in description.avatars] == ["urn:idm:P%201:pump%2F1", "urn:idm:P%201:pump%2F2"]
    assert [e.name for e in description.equipment] == ["Line 1"]
    assert description.bindings == ()
    (remark,) = description.remarks
    assert "lists bindings, which are not read" in remark


def test_machines_of_one_name_in_two_places_stay_apart(read_back):
    other = replace(FIRST, avatar="other", equipment_path="E/T/Line 1")
    description = read_back([FIRST, other])
    assert [(a.name, a.equipment) for a in description.avatars] == [(FIRST.name, "Line 1"), (FIRST.name, "Line 1_2")]


def test_an_imported_shell_can_be_exported_and_read_again(read_back, tmp_path):
    published = tmp_path / "plain.json"
    plain = {
        "assetAdministrationShells": [
            {"modelType": "AssetAdministrationShell", "id": "urn:a", "idShort": "A",
             "assetInformation": {"assetKind": "Instance", "globalAssetId": "urn:g"},
             "submodels": [{"type": "ModelReference", "keys": [{"type": "Submodel", "value": "urn:s"}]}]}
        ],
        "submodels": [
            {"modelType": "Submodel", "id": "urn:s", "idShort": "Nameplate", "submodelElements": [
                {"modelType": "Property", "idShort": "SerialNumber", "valueType": "xs:string", "value": "1"}]}
        ],
    }  # fmt: skip
    published.write_text(json.dumps(plain))
    imported = read_shells(published)
    models = {m.name: m for m in imported.models}
    sources = [
        ShellSource(
            "P", a.avatar, a.name, models[a.model], "E/A", a.parent, a.external_ids, a.static_attributes, a.description
        )
        for a in imported.avatars
    ]
    assert_as_exported(read_back(sources), sources)


def test_long_texts_are_cut_for_others_and_kept_for_the_import(read_back):
    long = "\u00e4" * 3000
    model = replace(
        PUMP, description=long, attributes=(replace(PUMP.attributes[0], description=long),), version="1.20000.0"
    )
    source = replace(FIRST, name=long, description=long, model=model)
    (shell,), _ = objects(shells_json([source]))
    assert shell.description["en"] == long[:1023]
    assert_as_exported(read_back([source]), [source])


texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=30
)
names = texts.filter(lambda text: bool(text.strip()))
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def attributes(draw):
    data_type = draw(st.sampled_from(["double", "integer", "boolean", "string", "timestamp", "vector3"]))
    allowed = tuple(draw(st.lists(texts, max_size=3)))
    return Attribute(
        draw(names),
        data_type,
        draw(st.sampled_from(["measurement", "state", "text"])) if draw(st.booleans()) else default_kind(data_type),
        draw(st.none() | st.sampled_from(["mm", "m/s^2", "%", "degC"])),
        draw(st.none() | names),
        draw(numbers),
        draw(numbers),
        allowed,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.none() | st.sampled_from(["on_change", "periodic"])),
        draw(numbers),
        draw(numbers),
        draw(st.sampled_from(["stepped", "sloped"])),
        draw(st.sampled_from(["none", "pseudonymous", "personal", "sensitive"])),
        draw(st.none() | names.map(str.strip)),
        draw(st.none() | names),
    )


@st.composite
def sources(draw):
    listed = draw(st.lists(attributes(), max_size=4, unique_by=lambda a: a.name))
    model = Model(
        draw(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,20}", fullmatch=True)),
        draw(st.none() | names),
        tuple(sorted(listed, key=lambda a: a.name)),
        draw(st.none() | st.sampled_from(["0.0.0", "1.2.0", "1.2.3", "10000.0.0"])),
        draw(st.sampled_from(["telemetry", "record"])),
        draw(st.none() | names),
        draw(st.none() | names),
        draw(st.none() | names),
        draw(st.none() | names.map(str.strip)),
    )
    keys = st.sampled_from([a.name for a in listed]) | names if listed else names
    values = st.sampled_from(["1", "1.0", "-0.5", "1e3", "007", "true", "2020-01-01T00:00:00+01:00", "9" * 30]) | texts
    return ShellSource(
        draw(names),
        draw(names),
        draw(names),
        model,
        "E/" + draw(names).replace("/", "_"),
        None,
        draw(st.dictionaries(names.filter(lambda n: n != "globalAssetId"), names, max_size=3)),
        draw(st.dictionaries(keys, values, max_size=5)),
        draw(st.none() | names),
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    exported=st.lists(
        sources(), min_size=1, max_size=3, unique_by=(lambda s: (s.plant, s.avatar), lambda s: s.model.name)
    )
)
def test_whatever_is_exported_is_read_back(exported, read_back):
    shells, _ = objects(shells_json(exported))
    assert len(shells) == len(exported)
    assert_as_exported(read_back(exported), exported)


# --- writing ---------------------------------------------------------------------------------------------


def test_equal_avatars_give_equal_text():
    assert shells_json([SECOND, FIRST]) == shells_json([SECOND, FIRST])
    # Sets of the SDK have no order: what it keeps in them is written sorted.
    text = shells_json([SECOND])
    submodels = json.loads(text)["assetAdministrationShells"][0]["submodels"]
    ids = [reference["keys"][0]["value"] for reference in submodels]
    assert ids == sorted(ids)
    values = re.findall(r'\{"value": "([^"\\]*(?:\\.[^"\\]*)*)"\}', text)
    assert values == ["auto", "off", '\u00fc\\"']


def test_nothing_is_exported_as_an_empty_environment():
    assert json.loads(shells_json([])) == {}


def test_avatars_are_written_one_by_one():
    stream = io.StringIO()
    written: list[int] = []

    def counted():
        for i in range(20):
            yield replace(FIRST, avatar=f"a{i}")
            written.append(stream.getvalue().count('"modelType": "AssetAdministrationShell"'))

    assert write_shells(counted(), stream) == 20
    # When the next is asked for, the shell of the one before is written.
    assert written == list(range(1, 21))
    assert len(objects(stream.getvalue())[0]) == 20


def test_an_avatar_must_not_come_twice():
    with pytest.raises(ConfigurationError, match="plant 'P 1': avatar 'pump/1' comes twice"):
        shells_json([FIRST, FIRST])
    assert len(objects(shells_json([FIRST, replace(FIRST, plant="P 2")]))[0]) == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"static_attributes": {"x": "a\0b"}}, "holds a character"),
        ({"static_attributes": {"a\x01": "b"}}, "holds a character"),
        ({"static_attributes": {"Id.Serial": "\ud800"}}, "holds a character"),
        ({"description": "a\x0b"}, "holds a character"),
        ({"name": "\x7f\x00"}, "holds a character"),
        ({"equipment_path": "\x00"}, "holds a character"),
        ({"model": replace(PUMP, owner="\x00")}, "holds a character"),
        ({"model": replace(PUMP, attributes=(replace(PUMP.attributes[1], unit="\x00"),))}, "holds a character"),
        ({"model": replace(PUMP, attributes=(replace(PUMP.attributes[1], minimum=float("inf")),))}, "JSON compliant"),
        ({"model": replace(PUMP, semantic_id="")}, "minimum length"),
        ({"external_ids": {"serial_number": ""}}, "empty string"),
        ({"equipment_path": ""}, "equipment_path is empty"),
        ({"static_attributes": {"": "x"}}, "name is empty"),
        ({"external_ids": {"n" * 65: "x"}}, "maximum length of 64"),
        ({"avatar": "\u00e4" * 400}, "maximum length of 2048"),
        ({"bindings": (ShellBinding(Binding("s", "\x00", "a", "x")),)}, "holds a character"),
    ],
)
def test_what_aas_cannot_hold_is_refused_with_the_avatar(change, expected):
    source = replace(FIRST, **change)
    with pytest.raises(ConfigurationError, match=expected) as caught:
        shells_json([source])
    assert str(caught.value).startswith(f"plant 'P 1': avatar {source.avatar!r}: cannot be written as a shell")


# --- what others do to an export -------------------------------------------------------------------------


def changed(tmp_path, old, new):
    text = shells_json([SECOND, FIRST])
    assert old in text
    path = tmp_path / "changed.json"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"value": "sloped"', '"value": "flat"', r"'flow': hold: Input should be 'stepped' or 'sloped'"),
        ('"value": "100.5"', '"value": "inf"', "a number among .*maximum.* is infinite"),
        ('"value": "100.5"', '"value": "much"', "maximum: Input should be a valid number"),
        (r'"value": "[\"off\"', r'"value": "[{', "allowed: no list in JSON"),
        (r'"value": "[\"off\"', r'"value": "[7', "allowed: Input should be a valid string"),
        ('"value": "1.2.3"', '"value": "latest"', "version 'latest' is none"),
        ('"value": "record"', '"value": "thing"', "kind: Input should be"),
        ('"idShort": "mode"', '"idShort": "on"', "is not valid: "),
        ('"value": "urn:idm:P%201:pump%2F1", "refersTo"', '"value": "urn:idm:P%201:pump%2F2", "refersTo"',
         "is a part of itself"),
    ],
)  # fmt: skip
def test_an_export_that_was_changed_to_something_impossible_is_refused(tmp_path, old, new, expected):
    with pytest.raises(ConfigurationError, match=expected) as caught:
        read_shells(changed(tmp_path, old, new))
    assert all(re.match(r".*changed\.json:\d+: ", problem) for problem in caught.value.problems)


def test_two_elements_must_not_claim_one_name(tmp_path):
    path = changed(tmp_path, '"idShort": "mode"', '"idShort": "mode", "displayName": []')
    text = path.read_text(encoding="utf-8")
    mark = '{"name": "urn:idm:name", "valueType": "xs:string", "value": "Id.Serial"}, '
    path.write_text(re.sub(r'("extensions": \[)(\{"value": "\[\\"off)', rf"\1{mark}\2", text), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"two elements are called 'Id\.Serial'"):
        read_shells(path)


def test_an_export_without_the_parent_or_with_unknown_marks_is_read_with_a_remark(tmp_path):
    path = tmp_path / "part.json"
    path.write_text(shells_json([SECOND]).replace("urn:idm:hold", "urn:idm:colour"), encoding="utf-8")
    description = read_shells(path)
    (avatar,) = description.avatars
    assert avatar.parent is None
    said = "\n".join(description.remarks)
    assert "is a part of 'urn:idm:P%201:pump%2F1', which is not there" in said
    assert "'colour' means nothing here" in said
