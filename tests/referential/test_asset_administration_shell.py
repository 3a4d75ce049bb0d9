"""The importer of shells, against five published files, small made ones, and hostile ones."""

import io
import json
import re
import struct
import xml.etree.ElementTree as ET
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from basyx.aas import model as aas
from basyx.aas.adapter.aasx import AASXWriter, DictSupplementaryFileContainer
from basyx.aas.adapter.json import read_aas_json_file
from basyx.aas.adapter.xml import write_aas_xml_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.asset_administration_shell import SHELL_MODEL, read_shells
from idm_assets.referential.description import problems_of
from idm_assets.referential.shells import files, mending

SHELLS = Path(__file__).parents[2] / "examples" / "config" / "shells"
TECHNICAL_DATA = SHELLS / "IDTA_02003_Sample_TechnicalData.json"
NAMEPLATE_TWO = SHELLS / "IDTA_02006-2-0_Sample_Digital_Nameplate.aasx"
TIME_SERIES = SHELLS / "IDTA_02008-1-1-1_Template_TimeSeriesData.json"
BILL_OF_MATERIAL = SHELLS / "IDTA_02011-1-1_Template_HSEBoM.json"
NAMEPLATE = SHELLS / "Sample_ZVEI_Digital_Nameplate_V10.json"
JSON_FILES = [TECHNICAL_DATA, TIME_SERIES, BILL_OF_MATERIAL, NAMEPLATE]

WITH_VALUES = {"Property", "MultiLanguageProperty", "Range", "File", "ReferenceElement", "Entity"}
CONTAINERS = {"SubmodelElementCollection", "SubmodelElementList"}


# --- made files ------------------------------------------------------------------------------------------


def external(value):
    return {"type": "ExternalReference", "keys": [{"type": "GlobalReference", "value": value}]}


def prop(name, value=None, value_type="xs:string", **more):
    own = {"modelType": "Property", "idShort": name, "valueType": value_type, **more}
    return own if value is None else own | {"value": value}


def collection(name, *elements, **more):
    return {"modelType": "SubmodelElementCollection", "idShort": name, "value": list(elements), **more}


def submodel(own, *elements, semantic_id=None, **more):
    given_semantic = {} if semantic_id is None else {"semanticId": external(semantic_id)}
    return {"modelType": "Submodel", "id": own, "submodelElements": list(elements), **given_semantic, **more}


def shell(own, *submodels, asset=None, **more):
    return {
        "modelType": "AssetAdministrationShell",
        "id": own,
        "assetInformation": {"assetKind": "Instance", "globalAssetId": f"asset of {own}", **(asset or {})},
        "submodels": [{"type": "ModelReference", "keys": [{"type": "Submodel", "value": s}]} for s in submodels],
        **more,
    }


def environment(shells=(), submodels=(), concepts=()):
    lists = {"assetAdministrationShells": shells, "submodels": submodels, "conceptDescriptions": concepts}
    return {name: list(items) for name, items in lists.items() if items}


def concept(own, **content):
    content = {"modelType": "DataSpecificationIec61360", "preferredName": [{"language": "en", "text": "x"}], **content}
    specification = {"dataSpecification": external("iec"), "dataSpecificationContent": content}
    return {"modelType": "ConceptDescription", "id": own, "embeddedDataSpecifications": [specification]}


def qualified(kind, value="One"):
    return {"qualifiers": [{"type": kind, "valueType": "xs:string", "value": value}]}


@pytest.fixture
def read(tmp_path):
    """Read an environment, or a text, from a file."""

    def reader(content, name="s.json"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        description = read_shells(path)
        assert problems_of(description) == []
        return description

    return reader


@pytest.fixture
def refusal(read):
    def refused(content, name="s.json"):
        with pytest.raises(ConfigurationError) as caught:
            read(content, name)
        return str(caught.value)

    return refused


def one_model(description, name="S"):
    (model,) = [m for m in description.models if m.name == name]
    return {a.name: a for a in model.attributes}


def one_submodel(read, *elements, **more):
    """The attributes and the values of a submodel S of a shell."""
    part = submodel("urn:s", *elements, idShort="S", **more)
    description = read(environment([shell("urn:a", "urn:s")], [part]))
    return one_model(description), next(a for a in description.avatars if a.avatar == "urn:s").static_attributes


# --- published files -------------------------------------------------------------------------------------


def elements_of(document):
    """All submodel elements of a file with the elements around them, by walking the plain JSON."""

    def walk(elements, above):
        for element in elements:
            yield element, above
            inner = element.get("statements", []) + (
                element.get("value", []) if element["modelType"] in CONTAINERS else []
            )
            yield from walk(inner, (*above, element))

    for found in document["submodels"]:
        yield from walk(found["submodelElements"], ())


def count_of_values(element):
    match element["modelType"]:
        case "MultiLanguageProperty":
            return len(element.get("value") or [])
        case "Entity":
            return int("globalAssetId" in element)
        case kind:
            return int(kind in WITH_VALUES and bool(element.get("value")))


@pytest.mark.parametrize(
    ("path", "attributes", "left_out"),
    [(TECHNICAL_DATA, 45, {}), (TIME_SERIES, 43, {"Blob": 1}), (BILL_OF_MATERIAL, 5, {"RelationshipElement": 6}),
     (NAMEPLATE, 32, {})],
    ids=lambda value: value.stem if isinstance(value, Path) else None,
)  # fmt: skip
def test_every_element_of_a_published_file_is_an_attribute_or_is_named_as_left_out(path, attributes, left_out):
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    kinds = Counter(element["modelType"] for element, _ in elements_of(document))
    description = read_shells(path)
    (model,) = [m for m in description.models if m.name != SHELL_MODEL]
    assert len(model.attributes) == attributes == sum(kinds[kind] for kind in WITH_VALUES)
    others = {kind: count for kind, count in kinds.items() if kind not in WITH_VALUES | CONTAINERS}
    assert others == left_out
    for kind, count in left_out.items():
        assert any(f"{count} x {kind}" in remark for remark in description.remarks)
    assert problems_of(description) == []


@pytest.mark.parametrize("path", JSON_FILES, ids=lambda path: path.stem)
def test_shells_submodels_and_values_of_a_published_file_are_all_there(path):
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    description = read_shells(path)
    shells = {s["id"]: s["assetInformation"]["globalAssetId"] for s in document["assetAdministrationShells"]}
    instances = {s["id"] for s in document["submodels"] if s.get("kind") != "Template"}
    assert {a.avatar for a in description.avatars} == {*shells, *instances}
    assert {a.avatar: a.external_ids["global_asset_id"] for a in description.avatars if a.parent is None} == shells
    assert len(description.equipment) == len(shells) == 1
    parts = [a for a in description.avatars if a.parent is not None]
    values = sum(count_of_values(element) for element, _ in elements_of(document))
    assert sum(len(a.static_attributes) for a in parts) == (values if instances else 0)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    # These files are indented: a shell or submodel is what stands between two lines with braces at four blanks.
    for avatar in description.avatars:
        line = int(avatar.origin.rpartition(":")[2])
        assert lines[line - 1] == "    {"
        end = next(i for i in range(line, len(lines)) if re.fullmatch(" {4}},?", lines[i]))
        assert f'      "id": "{avatar.avatar}",' in lines[line:end]


@pytest.mark.parametrize("path", JSON_FILES, ids=lambda path: path.stem)
def test_semantic_ids_units_and_cardinalities_are_those_of_the_file(path):
    document = json.loads(path.read_text(encoding="utf-8-sig"))
    units = {
        c["id"]: c["embeddedDataSpecifications"][0]["dataSpecificationContent"].get("unit")
        for c in document.get("conceptDescriptions", [])
    }
    semantics, numbers, required = Counter(), Counter(), 0
    for element, above in elements_of(document):
        if element["modelType"] not in WITH_VALUES:
            continue
        own = "/".join(k["value"].strip() for k in element.get("semanticId", {"keys": []})["keys"])
        semantics[own or None] += 1
        if element.get("valueType", "") in {"xs:long", "xs:integer", "xs:unsignedLong"}:
            numbers[{"\u00b0C": "degC"}.get(units.get(own), units.get(own))] += 1
        # Only an element that must be there, within ones that must be there, is in every submodel.
        said = [
            q["value"] for e in (*above, element) for q in e.get("qualifiers", []) if re.search("Card|Mult", q["type"])
        ]
        own_said = [q["value"] for q in element.get("qualifiers", []) if re.search("Card|Mult", q["type"])]
        required += bool(own_said) and not any(text.startswith("Zero") for text in said)
    (model,) = [m for m in read_shells(path).models if m.name != SHELL_MODEL]
    assert Counter(a.semantic_id for a in model.attributes) == semantics
    assert Counter(a.unit for a in model.attributes if a.data_type == "integer") == numbers
    assert sum(a.required for a in model.attributes) == required


def test_versions_and_semantic_ids_of_published_models():
    found = {m.name: (m.version, m.semantic_id) for path in JSON_FILES for m in read_shells(path).models}
    del found[SHELL_MODEL]
    assert found == {
        "TechnicalData": ("2.0.0", "0173-1#01-AHX837#002"),
        "TimeSeries": ("1.1.0", "https://admin-shell.io/idta/TimeSeries/1/1"),
        "HierarchicalStructures": (None, "https://admin-shell.io/idta/HierarchicalStructures/1/1/Submodel"),
        "DigitalNameplate": (None, "https://admin-shell.io/zvei/nameplate/1/0/Nameplate"),
    }


def test_a_nameplate_is_lifted_to_its_shell():
    top = read_shells(NAMEPLATE).avatars[0]
    assert top.external_ids == {
        "global_asset_id": "https://admin-shell.io/idta/asset/DigitalNameplate/1/0",
        "serial_number": "12345678",
    }
    wanted = {"manufacturer": "Muster AG", "product": "ABC-123", "year": "2021", "Address.CityTown": "Musterstadt"}
    assert wanted.items() <= top.static_attributes.items()
    assert top.static_attributes["Address.Department"] == "Sales"
    assert top.static_attributes["Address.Department@de"] == "Vertrieb"
    # Technical data are no nameplate: only what every system asks for is lifted, though it stands deeper.
    assert read_shells(TECHNICAL_DATA).avatars[0].static_attributes == {
        "manufacturer": "Manufacturer AG",
        "product": "IPS001",
    }


def test_the_package_of_version_two_is_read_completely():
    with zipfile.ZipFile(NAMEPLATE_TWO) as package:
        (name,) = [n for n in package.namelist() if n.endswith(".aas.xml")]
        root = ET.fromstring(package.read(name))  # noqa: S314 - our own file
    tags = Counter(element.tag.rpartition("}")[2] for element in root.iter())
    description = read_shells(NAMEPLATE_TWO)
    model = one_model(description, "Nameplate")
    assert len(model) == 100 == sum(tags[t] for t in ("property", "multiLanguageProperty", "file", "referenceElement"))
    top, part = description.avatars
    assert (top.avatar, part.parent) == ("AssetAdministrationShell---2CEBD072", top.avatar)
    assert top.external_ids == {"serial_number": "12345678"}
    wanted = {"manufacturer": "Muster AG", "product": "ABC-123", "year": "2022", "CountryOfOrigin": "DE"}
    assert wanted.items() <= top.static_attributes.items()
    texts = [
        text
        for element in root.iter()
        if element.tag.rpartition("}")[2] in {"property", "multiLanguageProperty", "file"}
        for value in element
        if value.tag.rpartition("}")[2] == "value"
        for text in value.itertext()
        if text.strip()
    ]
    assert sorted(part.static_attributes.values()) == sorted(texts)
    limits = "Markings.Marking.ExplosionSafeties.ExplosionSafety.ExternalElectricalCircuit.SafetyRelatedPropertiesFor"
    assert model[f"{limits}PassiveBehaviour.MaxInputPower"].unit == "mW"
    assert (
        model["Markings.Marking.ExplosionSafeties.ExplosionSafety.AmbientConditions.MaxAmbientTemperature"].unit
        == "degC"
    )
    assert model[f"{limits}ActiveBehaviour.MaxExternalInductanceResistanceRatio"].unit == "mH/\u03a9"
    said = "\n".join(description.remarks)
    assert "metamodel version 2" in said
    assert "names no asset" in said
    assert "'IPCommunication{00}' to 'IPCommunication_00_'" in said
    assert problems_of(description) == []


def test_what_the_sdk_would_not_read_in_published_files_is_said():
    said = "\n".join(remark for path in JSON_FILES for remark in read_shells(path).remarks)
    # 31 texts, lists and references of the file are empty; counted with a regular expression over its text.
    text = TECHNICAL_DATA.read_text(encoding="utf-8-sig")
    empty = len(re.findall(r'": (?:""|\[\]|null)', text))
    assert f"{empty} empty members" in said
    assert "2 lists that do not name the value type" in said
    assert "'IEC CDD' to 'IEC_CDD'" in said
    wrong = BILL_OF_MATERIAL.read_text(encoding="utf-8-sig").count('"value": "EMPTY"')
    assert f"{wrong} references to something outside" in said
    assert "is about a type of products" in said


# --- what elements become --------------------------------------------------------------------------------


def test_data_types_follow_value_types(read):
    pairs = {
        "xs:double": "double", "xs:float": "double", "xs:decimal": "double", "xs:integer": "integer",
        "xs:unsignedByte": "integer", "xs:boolean": "boolean", "xs:dateTime": "timestamp", "xs:date": "string",
        "xs:string": "string", "xs:anyURI": "string", "xs:duration": "string", "xs:gYear": "string",
    }  # fmt: skip
    attributes, _ = one_submodel(read, *(prop(f"p{i}", value_type=kind) for i, kind in enumerate(pairs)))
    assert [a.data_type for _, a in sorted(attributes.items(), key=lambda p: int(p[0][1:]))] == list(pairs.values())
    kinds = {a.data_type: a.kind for a in attributes.values()}
    assert kinds["double"] == kinds["integer"] == "measurement"
    assert kinds["boolean"] == "state"
    assert kinds["string"] == kinds["timestamp"] == "text"


def test_ranges_lists_collections_texts_and_references(read):
    languages = [{"language": "de", "text": "Motor"}, {"language": "en-GB", "text": "motor"}]
    attributes, values = one_submodel(
        read,
        {"modelType": "Range", "idShort": "r", "valueType": "xs:double", "min": "-1.5", "max": "20"},
        {"modelType": "Range", "idShort": "open", "valueType": "xs:decimal", "min": "3", "max": "INF"[:0]},
        {"modelType": "Range", "idShort": "days", "valueType": "xs:date", "min": "2020-01-01"},
        {"modelType": "MultiLanguageProperty", "idShort": "m", "value": languages},
        {
            "modelType": "SubmodelElementList",
            "idShort": "l",
            "typeValueListElement": "SubmodelElementCollection",
            "value": [{"modelType": "SubmodelElementCollection", "value": [prop("x", str(i))]} for i in range(3)],
        },
        {"modelType": "ReferenceElement", "idShort": "to", "value": external("urn:there")},
        {"modelType": "File", "idShort": "f", "contentType": "image/png", "value": "/a.png"},
        {
            "modelType": "Entity",
            "idShort": "e",
            "entityType": "SelfManagedEntity",
            "globalAssetId": "urn:part",
            "statements": [prop("count", "2", "xs:int")],
        },
        {"modelType": "Capability", "idShort": "c"},
    )
    assert (attributes["r"].minimum, attributes["r"].maximum, attributes["r"].data_type) == (-1.5, 20.0, "double")
    assert (attributes["open"].minimum, attributes["open"].maximum) == (3.0, None)
    assert (attributes["days"].minimum, attributes["days"].data_type) == (None, "string")
    assert set(attributes) == {"r", "open", "days", "m", "l.0.x", "l.1.x", "l.2.x", "to", "f", "e", "e.count"}
    assert values == {
        "r.min": "-1.5", "r.max": "20.0", "open.min": "3", "days.min": "2020-01-01", "m": "motor", "m@de": "Motor",
        "l.0.x": "0", "l.1.x": "1", "l.2.x": "2", "to": "urn:there", "f": "/a.png", "e": "urn:part", "e.count": "2",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["Cardinality", "Multiplicity", "SMT/Cardinality"])
def test_required_is_what_every_submodel_must_have(read, kind):
    attributes, _ = one_submodel(
        read,
        prop("one", **qualified(kind)),
        prop("some", **qualified(kind, "OneToMany")),
        prop("perhaps", **qualified(kind, "ZeroToOne")),
        prop("open"),
        collection("c", prop("one", **qualified(kind)), **qualified(kind, "ZeroToMany")),
        collection("d", prop("one", **qualified(kind))),
    )
    assert {name for name, a in attributes.items() if a.required} == {"one", "some", "d.one"}


def test_units_and_descriptions_come_from_the_element_or_its_concept(read):
    content = concept("x", unit="kPa")["embeddedDataSpecifications"]
    definition = [{"language": "de", "text": "Druck"}, {"language": "en", "text": "pressure\n of   air"}]
    concepts = [
        concept("urn:bar", unit=" bar ", definition=definition),
        concept("urn:odd", unit="furlongs of beer"),
        concept("urn:c", unit="\u00baC"),
        concept("urn:list", valueList={"valueReferencePairs": [{"value": "b"}, {"value": "a"}]}),
    ]
    part = submodel(
        "urn:s",
        prop("own", value_type="xs:double", embeddedDataSpecifications=content, semanticId=external("urn:bar")),
        prop("concept", value_type="xs:double", semanticId=external("urn:bar")),
        prop("odd", value_type="xs:double", semanticId=external("urn:odd")),
        prop("hot", value_type="xs:int", semanticId=external("urn:c"), description=[{"language": "en", "text": "own"}]),
        prop("text", semanticId=external("urn:bar")),
        prop("list", semanticId=external("urn:list")),
        idShort="S",
    )
    description = read(environment([shell("urn:a", "urn:s")], [part], concepts))
    attributes = one_model(description)
    assert {name: a.unit for name, a in attributes.items()} == {
        "own": "kPa", "concept": "bar", "odd": None, "hot": "degC", "text": None, "list": None,
    }  # fmt: skip
    assert attributes["concept"].description == "pressure of air"
    assert attributes["odd"].description == "unit: furlongs of beer"
    assert attributes["text"].description == "pressure of air; unit: bar"
    assert attributes["hot"].description == "own"
    assert (attributes["list"].allowed, attributes["list"].kind) == (("a", "b"), "state")
    assert any("furlongs of beer" in remark and "'odd'" in remark for remark in description.remarks)


@pytest.mark.parametrize(
    ("written", "symbol"),
    [("mm", "mm"), (" m\u00b3/h", "m^3/h"), ("\u00b0C", "degC"), ("\u00baC", "degC"), ("CEL", "degC"),
     ("deg/s", "deg/s"), ("k\u2126", "k\u03a9"), ("pH", None), ("furlongs of beer", None), ("x" * 300, None)],
)  # fmt: skip
def test_units_are_known_by_display_name_symbol_or_code(read, written, symbol):
    part = submodel("urn:s", prop("x", value_type="xs:double", semanticId=external("urn:c")), idShort="S")
    description = read(environment([shell("urn:a", "urn:s")], [part], [concept("urn:c", unit=written)]))
    attribute = one_model(description)["x"]
    assert attribute.unit == symbol
    assert attribute.description == (None if symbol else f"unit: {written}")
    assert len(description.remarks) == (symbol is None)


# --- shells, parts and models ----------------------------------------------------------------------------


def test_a_shell_is_an_avatar_and_a_machine_and_its_submodels_are_parts(read):
    description = read(
        environment(
            [shell("urn:a", "urn:s1", "urn:s2", idShort="Pump/7", asset={"assetType": "urn:type"})],
            [submodel("urn:s1", idShort="Docs"), submodel("urn:s2", prop("x", "1"), idShort="Data")],
        )
    )
    assert [(a.avatar, a.name, a.model, a.parent, a.equipment) for a in description.avatars] == [
        ("urn:a", "Pump_7", SHELL_MODEL, None, "Pump_7"),
        ("urn:s1", "Docs", "Docs", "urn:a", "Pump_7"),
        ("urn:s2", "Data", "Data", "urn:a", "Pump_7"),
    ]
    assert [e.name for e in description.equipment] == ["Pump_7"]
    assert description.avatars[0].static_attributes == {"asset_type": "urn:type"}
    assert [m.name for m in description.models] == [SHELL_MODEL, "Data", "Docs"]


def test_external_ids_are_the_asset_ids_and_the_serial_number(read):
    ids = [
        {"name": "Serial Number", "value": "S1"},
        {"name": "plant id", "value": "P"},
        {"name": "plant id", "value": "Q"},
    ]
    plate = submodel("urn:n", prop("SerialNumber", "S2"), idShort="N")
    description = read(environment([shell("urn:a", "urn:n", asset={"specificAssetIds": ids})], [plate]))
    assert description.avatars[0].external_ids == {
        "global_asset_id": "asset of urn:a", "serial_number": "S1", "plant id": "P", "plant id_2": "Q",
    }  # fmt: skip
    assert any("'S1'" in remark and "'S2'" in remark for remark in description.remarks)


def test_what_every_system_asks_for_is_found_by_meaning_and_the_nearest_to_the_top_holds(read):
    part = submodel(
        "urn:s",
        collection("Motor", prop("ManufacturerName", "of the motor"), prop("SerialNumber", "of the motor")),
        prop("Hersteller", "ACME", semanticId=external("0173-1#02-AAO677#004")),
        prop("Baujahr", "1999", semanticId=external("0112/2///61987#ABP000#001")),
        idShort="Allerlei",
    )
    top = read(environment([shell("urn:a", "urn:s")], [part])).avatars[0]
    assert top.static_attributes == {"manufacturer": "ACME", "year": "1999"}
    assert top.external_ids["serial_number"] == "of the motor"


def test_submodels_of_one_type_share_a_model_with_the_attributes_of_them_all(read):
    must = qualified("Cardinality")
    parts = [
        submodel("urn:1", prop("a", "1", "xs:int", **must), prop("b", "x", **must), prop("c", "1", "xs:int"),
                 semantic_id="urn:t", idShort="First"),
        submodel("urn:2", prop("a", "1.5", "xs:double", **must), prop("c", "text"), prop("d", "y", **must),
                 semantic_id="urn:t", idShort="Second"),
    ]  # fmt: skip
    description = read(environment([shell("urn:a", "urn:1", "urn:2")], parts))
    attributes = one_model(description, "First")
    assert [m.name for m in description.models] == [SHELL_MODEL, "First"]
    assert {name: (a.data_type, a.kind, a.required) for name, a in attributes.items()} == {
        "a": ("double", "measurement", True),
        "b": ("string", "text", False),
        "c": ("string", "text", False),
        "d": ("string", "text", False),
    }
    assert {a.avatar: a.model for a in description.avatars if a.parent} == {"urn:1": "First", "urn:2": "First"}
    said = "\n".join(description.remarks)
    assert "attribute 'c' is integer and string; it becomes text" in said
    assert "'Second', is of the model 'First'" in said


def test_ranges_of_one_type_widen_and_units_that_contradict_are_dropped(read):
    def ranged(own, low, high, unit):
        element = {"modelType": "Range", "idShort": "r", "valueType": "xs:double", "min": low, "max": high}
        weight = prop(
            "w", "1", "xs:double", embeddedDataSpecifications=concept("x", unit=unit)["embeddedDataSpecifications"]
        )
        return submodel(own, element, weight, semantic_id="urn:t", idShort="S")

    parts = [ranged("urn:1", "0", "5", "kg"), ranged("urn:2", "-3", "4", "lb"), ranged("urn:3", "1", "2", "kg")]
    description = read(environment([shell("urn:a", "urn:1", "urn:2", "urn:3")], parts))
    attributes = one_model(description)
    assert (attributes["r"].minimum, attributes["r"].maximum) == (-3.0, 5.0)
    assert (attributes["w"].data_type, attributes["w"].unit) == ("string", None)
    assert any("double in kg and double in lb" in remark for remark in description.remarks)


def test_types_of_other_meaning_or_version_are_models_of_their_own(read):
    parts = [
        submodel("urn:1", idShort="S", semantic_id="urn:t"),
        submodel("urn:2", idShort="S", semantic_id="urn:u"),
        submodel("urn:3", idShort="S", semantic_id="urn:t", administration={"version": "1", "revision": "2"}),
        submodel("urn:4", idShort=SHELL_MODEL),
    ]
    description = read(environment([shell("urn:a", *(p["id"] for p in parts))], parts))
    assert {a.avatar: a.model for a in description.avatars if a.parent} == {
        "urn:1": "S", "urn:2": "S_2", "urn:3": "S_3", "urn:4": f"{SHELL_MODEL}_2",
    }  # fmt: skip
    assert {m.name: m.version for m in description.models}["S_3"] == "1.2.0"


def test_templates_and_submodels_without_shell_are_models_only(read):
    loose = read(environment((), [submodel("urn:s", prop("x", "1"), idShort="S", kind="Template")]))
    assert [m.name for m in loose.models] == ["S"]
    assert loose.avatars == loose.equipment == ()
    assert any("its values are left out" in remark for remark in loose.remarks)
    owned = read(environment([shell("urn:a", "urn:s")], [submodel("urn:s", prop("x"), idShort="S", kind="Template")]))
    assert [a.avatar for a in owned.avatars] == ["urn:a"]
    assert [m.name for m in owned.models] == [SHELL_MODEL, "S"]


def test_references_that_lead_nowhere_and_shared_submodels_are_said(read):
    description = read(
        environment([shell("urn:a", "urn:s", "urn:none"), shell("urn:b", "urn:s")], [submodel("urn:s", idShort="S")])
    )
    assert [(a.avatar, a.parent) for a in description.avatars] == [("urn:a", None), ("urn:s", "urn:a"), ("urn:b", None)]
    said = "\n".join(description.remarks)
    assert "refers to submodel 'urn:none', which is not in the file" in said
    assert "shell 'urn:b' shares submodel 'urn:s'" in said


def test_names_of_machines_and_models_are_legal_and_unique(read):
    shells = [shell("https://example.com/x/Pump/"), shell("urn:b", idShort="Pump"), shell("///")]
    parts = [submodel("urn:s:Gr\u00f6\u00dfe (mm)"), submodel("urn:t", idShort="x" * 128)]
    description = read(environment(shells, parts))
    assert [e.name for e in description.equipment] == ["Pump", "Pump_2", "machine"]
    assert [m.name for m in description.models] == [SHELL_MODEL, "Gr__e _mm_", "x" * 127]


# --- versions and encodings ------------------------------------------------------------------------------


def as_xml(document):
    store = read_aas_json_file(io.StringIO(json.dumps(document)), failsafe=False)
    stream = io.BytesIO()
    write_aas_xml_file(stream, store)
    return stream.getvalue()


DOCUMENT = environment(
    [shell("urn:a", "urn:s", idShort="A")],
    [
        submodel(
            "urn:s",
            prop("n", "1.5", "xs:double", semanticId=external("urn:bar"), **qualified("Cardinality")),
            collection("c", prop("empty", ""), prop("t", "\u00e4 <&> \u4e2d")),
            {
                "modelType": "SubmodelElementList",
                "idShort": "l",
                "typeValueListElement": "Property",
                "valueTypeListElement": "xs:string",
                "value": [
                    {"modelType": "Property", "valueType": "xs:string", "value": v, "semanticId": external("urn:i")}
                    for v in "xyz"
                ],
            },
            semantic_id="urn:t",
            idShort="S",
        )
    ],
    [concept("urn:bar", unit="bar")],
)


def without_origin(description):
    """A description without what depends on the file."""
    text = repr((description.models, description.equipment, description.avatars))
    return re.sub(r"origin='[^']*'", "", text)


@pytest.mark.parametrize("version", ["3/1", "3/0"])
def test_xml_says_the_same_as_json(read, version):
    data = as_xml(DOCUMENT).replace(b"https://admin-shell.io/aas/3/1", f"https://admin-shell.io/aas/{version}".encode())
    description = read(data, "s.xml")
    assert without_origin(description) == without_origin(read(DOCUMENT))
    assert description.remarks == ()
    assert [int(a.origin.rpartition(":")[2]) for a in description.avatars] == [
        data[: data.index(tag)].count(b"\n") + 1 for tag in (b"<aas:assetAdministrationShell>", b"<aas:submodel>")
    ]


@pytest.mark.parametrize("in_json", [True, False])
def test_a_package_says_the_same_as_json(read, tmp_path, in_json):
    store = read_aas_json_file(io.StringIO(json.dumps(DOCUMENT)), failsafe=False)
    with AASXWriter(tmp_path / "p.aasx") as writer:
        writer.write_aas(["urn:a"], store, DictSupplementaryFileContainer(), write_json=in_json)
    description = read_shells(tmp_path / "p.aasx")
    # The SDK packs only concepts that model references lead to, so the unit is not in the package.
    assert without_origin(description) == without_origin(read(DOCUMENT)).replace("unit='bar'", "unit=None")
    assert all(a.origin.startswith(f"{tmp_path / 'p.aasx'}!/aasx/") for a in description.avatars)


def test_faults_are_mended_in_xml_as_in_json(read):
    data = as_xml(DOCUMENT).decode()
    data = (
        data.replace(">A<", "><")
        .replace(">c<", ">{c}<")
        .replace("<aas:valueTypeListElement>xs:string</aas:valueTypeListElement>", "")
    )
    data = data.replace("<aas:submodel>", "<aas:submodel><aas:colour>red</aas:colour><aas:displayName/>")
    description = read(data, "s.xml")
    assert set(one_model(description)) == {"n", "x_c_.empty", "x_c_.t", "l.0", "l.1", "l.2"}
    said = "\n".join(description.remarks)
    assert "'{c}' to 'x_c_'" in said
    assert "2 empty members" in said
    assert "1 lists that do not name the value type" in said
    assert "1 members that AAS does not have" in said


def in_version_two():
    """What `DOCUMENT` says, as tools of version 2 write it in JSON."""

    def keys(value, kind="GlobalReference"):
        return {"keys": [{"type": kind, "local": True, "value": value, "idType": "IRI"}]}

    def element(kind, name, value, **more):
        return {"modelType": {"name": kind}, "idShort": name, "value": value, "kind": "Instance", **more}

    text = {"valueType": {"dataObjectType": {"name": "string"}}}
    number = {
        "valueType": "Double",
        "semanticId": keys("urn:bar", "ConceptDescription"),
        "qualifiers": [{"modelType": {"name": "Qualifier"}, "type": "Cardinality", "valueType": "", "value": "One"}],
    }
    members = [element("Property", "empty", "", **text), element("Property", "t", "\u00e4 <&> \u4e2d", **text)]
    return {
        "assetAdministrationShells": [
            {
                "modelType": {"name": "AssetAdministrationShell"},
                "identification": {"id": "urn:a", "idType": "IRI"},
                "idShort": "A",
                "asset": keys("asset of urn:a", "Asset"),
                "submodels": [keys("urn:s", "Submodel")],
                "conceptDictionaries": [],
            }
        ],
        "assets": [{"modelType": {"name": "Asset"}, "identification": {"id": "asset of urn:a"}, "kind": "Instance"}],
        "submodels": [
            {
                "modelType": {"name": "Submodel"},
                "identification": {"id": "urn:s", "idType": "IRI"},
                "idShort": "S",
                "semanticId": keys("urn:t"),
                "kind": "Instance",
                "submodelElements": [
                    element("Property", "n", "1.5", **number),
                    element("SubmodelElementCollection", "c", members, ordered=False),
                ],
            }
        ],
        "conceptDescriptions": [
            {
                "modelType": {"name": "ConceptDescription"},
                "identification": {"id": "urn:bar", "idType": "IRI"},
                "embeddedDataSpecifications": [
                    {
                        "dataSpecification": keys("urn:iec"),
                        "dataSpecificationContent": {"unit": " bar", "definition": []},
                    }
                ],
            }
        ],
    }


def test_json_of_version_two_says_the_same_as_version_three(read):
    three = json.loads(json.dumps(DOCUMENT))
    del three["submodels"][0]["submodelElements"][2]
    # An empty text is no value in version 2.
    del three["submodels"][0]["submodelElements"][1]["value"][0]["value"]
    old = in_version_two()
    description = read(old)
    assert without_origin(description) == without_origin(read(three))
    assert description.remarks == (
        f"{description.models[0].origin.rpartition(':')[0]}: metamodel version 2, which is read as version 3",
    )


def test_all_classes_of_version_two_are_read_or_named(read):
    old = in_version_two()
    keys = {"keys": [{"type": "Submodel", "value": "urn:s"}, {"type": "Property", "value": "n"}]}
    listed = old["submodels"][0]["submodelElements"] = [
        {"modelType": {"name": "MultiLanguageProperty"}, "idShort": "m",
         "value": {"langString": [{"language": "de", "text": "Uhr"}, {"language": "en", "text": "clock"}]}},
        {"modelType": {"name": "Range"}, "idShort": "r", "valueType": "int", "min": "1", "max": "3"},
        {"modelType": {"name": "File"}, "idShort": "f", "mimeType": "image/png", "value": "/a.png"},
        {"modelType": {"name": "Blob"}, "idShort": "b", "mimeType": "image/png", "value": "QUJD"},
        {"modelType": {"name": "ReferenceElement"}, "idShort": "re", "value": keys},
        {"modelType": {"name": "RelationshipElement"}, "idShort": "rel", "first": keys, "second": keys},
        {"modelType": {"name": "Entity"}, "idShort": "e", "entityType": "SelfManagedEntity",
         "asset": {"keys": [{"type": "Asset", "value": "urn:part"}]},
         "statements": [{"modelType": {"name": "Property"}, "idShort": "p", "valueType": "odd", "value": "7"}]},
        {"modelType": {"name": "Operation"}, "idShort": "o"},
        {"modelType": {"name": "BasicEvent"}, "idShort": "ev", "observed": keys},
    ]  # fmt: skip
    old["submodels"][0]["administration"] = {"version": "V1.0", "revision": "2"}
    listed[0]["description"] = {"langString": [{"language": "en", "text": "long " * 300}]}
    old["assets"][0]["kind"] = "Type"
    description = read(old)
    values = next(a for a in description.avatars if a.avatar == "urn:s").static_attributes
    assert values == {
        "m": "clock", "m@de": "Uhr", "r.min": "1", "r.max": "3", "f": "/a.png", "re": "urn:s/n", "e": "urn:part",
        "e.p": "7",
    }  # fmt: skip
    said = "\n".join(description.remarks)
    for text in ("1 x Blob", "1 x RelationshipElement", "1 x Operation", "'ev' is a 'BasicEvent'", "value type 'odd'",
                 "version 'V1.0'", "cut after 1023", "a type of products"):  # fmt: skip
        assert text in said


def test_empty_members_are_left_out_and_said(read):
    language = [{"language": "en", "text": ""}]
    nowhere = {"type": "ModelReference", "keys": []}
    attributes, values = one_submodel(
        read,
        prop("number", "", "xs:double", description=language, semanticId=nowhere, category=None),
        prop("text", "", displayName=[]),
        {"modelType": "MultiLanguageProperty", "idShort": "m", "value": language},
        {"modelType": "Range", "idShort": "r", "valueType": "xs:int", "min": "", "max": "1"},
    )
    assert set(attributes) == {"number", "text", "m", "r"}
    assert values == {"r.max": "1"}


def test_members_that_are_unknown_are_said_wherever_they_are(read):
    parts = [submodel("urn:s", prop("x", "1", colour="red"), collection("c", prop("y", size=3)), idShort="S")]
    description = read({**environment([shell("urn:a", "urn:s")], parts), "views": []})
    said = "\n".join(description.remarks)
    assert "2 members that AAS does not have" in said
    assert "'submodelElements.0.colour'" in said
    assert "'views' is nothing that AAS JSON has" in said


def test_what_the_sdk_only_logs_is_said(read):
    keys = [("Submodel", "urn:s"), ("File", "f"), ("FragmentReference", "page 3")]
    to = {"type": "ModelReference", "keys": [{"type": kind, "value": value} for kind, value in keys]}
    part = submodel("urn:s", {"modelType": "ReferenceElement", "idShort": "to", "value": to}, idShort="S")
    description = read(environment([shell("urn:a", "urn:s")], [part]))
    assert description.avatars[1].static_attributes == {"to": "urn:s/f/page 3"}
    (remark,) = description.remarks
    assert re.search(r"s\.json:1: .*FRAGMENT_REFERENCE of last key", remark)


# --- refusals --------------------------------------------------------------------------------------------


def test_something_invalid_is_refused_with_its_place_and_all_at_once(refusal):
    good = submodel("urn:good", prop("x", "1"))
    bad = [
        submodel("urn:number", prop("x", "12,5", "xs:double")),
        submodel("urn:twice", prop("x"), prop("x")),
        submodel("urn:type", prop("x", value_type="xs:colour")),
        submodel("urn:class", {"modelType": "Colour", "idShort": "c"}),
        submodel("urn:list", submodelElements="x"),
    ]
    text = json.dumps(environment([], [good, *bad]), indent=1)
    problems = refusal(text).splitlines()
    assert len(problems) == len(bad)
    for problem, item in zip(problems, bad, strict=True):
        line = text[: text.index(item["id"])].rpartition("{")[0].count("\n") + 1
        assert re.search(rf"s\.json:{line}: Submodel '{item['id']}' is not valid: ", problem), problem
    assert "12,5" in problems[0]


def test_ids_must_be_unique_but_for_concepts(read, refusal):
    twice = [submodel("urn:s"), submodel("urn:s")]
    assert "id 'urn:s' is already used at" in refusal(environment([], twice))
    assert "is already used at" in refusal(environment([shell("urn:s")], twice[:1]))
    concepts = [concept("urn:c", unit="bar"), concept("urn:c", unit="mm")]
    part = submodel("urn:s", prop("x", value_type="xs:double", semanticId=external("urn:c")), idShort="S")
    description = read(environment([], [part], concepts))
    assert one_model(description)["x"].unit == "bar"
    assert any("already described" in remark for remark in description.remarks)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "s.json:1: no complete JSON"),
        ("[]", "s.json:1: expected an object"),
        ("{}", "got 'nothing'"),
        ('{"submodels": {}}', "s.json:1: submodels must be a list"),
        ('{"submodels": []}', "neither a shell nor a submodel"),
        ('{"submodels": [7]}', r"submodels\[0\] must be an object with an id"),
        ('{"result": []}', "got 'result'"),
        ('{"submodels": [\n{"id": "a", "id": "b"}]}', "s.json:2: key 'id' stands twice"),
        ('{"submodels": [{"id": "a", "x": NaN}]}', "NaN is no JSON number"),
        ('{"submodels": [{"id": "a"', "s.json:1: no complete JSON.*cut off"),
        ('{"submodels":\n' + "[" * 300, "s.json:2: nested deeper than 200 levels"),
        ('{"x": ' + '{"a":' * 100_000, "nested deeper than 200 levels"),
        ('{"x": 1' + "0" * 5000 + "}", "no readable JSON"),
        ('"' + '\\"' * 100_000, "no complete JSON"),
        (b"\xff\xfe{}", "s.json:1: byte 1 is no UTF-8"),
        (json.dumps(environment([], [submodel("urn:s", prop("x", "\ud800"))])), "holds a character"),
        (json.dumps(environment([], [submodel("urn:s", prop("x", "a\0"))])), "submodelElements.0.value' holds a char"),
        (json.dumps(environment([shell("urn:a", displayName=[{"language": "e" * 99, "text": "x"}])])), "no language"),
        (json.dumps({"submodels": [{"identification": 7}, 8]}), "a list of objects"),
        (json.dumps({"assets": [], "submodels": "x"}), "no readable shells of version 2.*list of objects"),
    ],
)  # fmt: skip
def test_unusable_json_is_refused(refusal, content, expected):
    assert re.search(expected, refusal(content), re.DOTALL)


def nested(depth):
    element = prop("x", "1")
    for i in range(depth):
        element = collection(f"c{i}", element)
    return environment([shell("urn:a", "urn:s")], [submodel("urn:s", element, idShort="S")])


def test_a_byte_order_mark_and_deep_but_allowed_nesting_are_read(read, refusal):
    # A collection takes two levels of each; the environment around the innermost property five to six.
    description = read(b"\xef\xbb\xbf" + json.dumps(nested(97)).encode())
    assert list(description.avatars[1].static_attributes.values()) == ["1"]
    assert "nested deeper than 200" in refusal(nested(99))
    description = read(as_xml(nested(47)), "s.xml")
    assert list(description.avatars[1].static_attributes.values()) == ["1"]
    assert "nested deeper than 100" in refusal(as_xml(nested(49)), "s.xml")


def test_a_path_to_an_element_that_is_too_long_is_refused(refusal):
    element = prop("x", "1")
    for _ in range(10):
        element = collection("c" * 100, element)
    assert "longer than 500 characters" in refusal(environment([], [submodel("urn:s", element)]))


def test_limits_of_size_hold(refusal, monkeypatch):
    monkeypatch.setattr(files, "MAX_NODES", 20)
    assert "more than 20 objects" in refusal(environment([], [submodel("urn:s", *(prop(f"p{i}") for i in range(30)))]))
    assert "more than 20 elements" in refusal("<x>" + "<y/>" * 30 + "</x>", "s.xml")
    monkeypatch.setattr(files, "MAX_BYTES", 10)
    assert "larger than 10 bytes" in refusal(DOCUMENT)
    assert "larger than 10 bytes" in refusal("<x>          </x>", "s.xml")


def test_many_items_of_a_list_with_meanings_are_not_compared_with_each_other(read, monkeypatch):
    compared = Counter()
    equal = aas.ExternalReference.__eq__
    monkeypatch.setattr(
        aas.ExternalReference, "__eq__", lambda self, other: compared.update(["=="]) or equal(self, other)
    )
    items = [
        {"modelType": "Property", "valueType": "xs:string", "semanticId": external("urn:i"), "value": str(i)}
        for i in range(300)
    ]
    listed = {"modelType": "SubmodelElementList", "idShort": "l", "typeValueListElement": "Property", "value": items}
    assert len(one_submodel(read, listed)[1]) == 300
    assert compared["=="] < 10 * 300


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "no complete XML"),
        ("<environment/>", "expected an environment of AAS version 2, 3.0 or 3.1, got 'environment' in namespace ''"),
        ("<aasenv xmlns='http://www.admin-shell.io/aas/1/0'/>", "http://www.admin-shell.io/aas/1/0"),
        ("<environment xmlns='https://admin-shell.io/aas/3/0'><x/></environment>", "s.xml:1: 'x' is nothing"),
        ("<environment xmlns='https://admin-shell.io/aas/3/0'><submodels>\n<shell><id>i</id></shell></submodels></environment>",
         "s.xml:2: 'shell' stands in the list submodels"),
        ("<environment xmlns='https://admin-shell.io/aas/3/0'><submodels>\n<submodel/></submodels></environment>",
         "s.xml:2: Submodel 'None' is not valid: .*submodel has no child id!$"),
        ("<environment xmlns='https://admin-shell.io/aas/3/0'/>", "neither a shell nor a submodel"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", "s.xml:1: document type declarations and entities are refused"),
        ("<?xml version='1.0'?>\n<!DOCTYPE x SYSTEM 'file:///etc/passwd'><x/>", "s.xml:2: document type"),
        ("<x>&undefined;</x>", "no complete XML"),
        ("<x>" * 200, "nested deeper than 100"),
        ("<?xml version='1.0' encoding='utf-7'?><x/>", "no (?:complete|readable) XML"),
        ("<aasenv xmlns='http://www.admin-shell.io/aas/2/0'><submodels><submodel/></submodels></aasenv>",
         r"submodels\[0\] must be an object with an id"),
    ],
)  # fmt: skip
def test_unusable_xml_is_refused(refusal, content, expected):
    assert re.search(expected, refusal(content, "s.xml"), re.DOTALL)


def test_files_that_are_no_shells_are_refused(refusal, tmp_path):
    assert "ends in .json, .xml or .aasx" in refusal("{}", "s.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_shells(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_shells(tmp_path)


# --- hostile packages ------------------------------------------------------------------------------------

ORIGIN = "http://admin-shell.io/aasx/relationships/aasx-origin"
SPECIFICATION = "http://admin-shell.io/aasx/relationships/aas-spec"


def relationships(kind, target):
    return (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Type="{kind}" Target="{target}" Id="R1"/></Relationships>'
    )


PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="json" ContentType="application/json"/>'
    '<Override PartName="/aasx/aasx-origin" ContentType="text/plain"/></Types>',
    "_rels/.rels": relationships(ORIGIN, "/aasx/aasx-origin"),
    "aasx/aasx-origin": "Intentionally empty.",
    "aasx/_rels/aasx-origin.rels": relationships(SPECIFICATION, "/aasx/s.json"),
    "aasx/s.json": json.dumps(DOCUMENT),
}


def package(changes=None, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in (PARTS | (changes or {})).items():
            if content is not None:
                archive.writestr(name, content)
    return stream.getvalue()


def test_a_made_package_is_read(read):
    assert without_origin(read(package(), "p.aasx")) == without_origin(read(DOCUMENT))


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "a/../../b", "a\\b", "..\\evil", "C:/evil", "c:evil", "a//b", "./a", "a/.", "%2e%2e/x"],
)
def test_names_that_lead_out_of_the_package_are_refused(refusal, name):
    said = refusal(package({name: "x"}), "p.aasx")
    assert "would lead out of the package" in said
    assert re.search(r"p\.aasx: entry '", said)
    assert repr(name) in said


def test_a_name_with_nul_is_refused(refusal):
    # The archive's own reader stops at the NUL, so the name is put in afterwards.
    data = package({"a_b/../x": "x"}).replace(b"a_b/../x", b"a\0b/../x")
    assert "would lead out of the package" in refusal(data, "p.aasx")


def test_bombs_are_refused_before_they_are_unpacked(refusal, monkeypatch):
    assert "would grow from" in refusal(package({"bomb": b"\0" * 20_000_000}), "p.aasx")
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 3000)
    assert "more than 3000" in refusal(package({"big": b"x" * 4000}), "p.aasx")
    monkeypatch.setattr(files, "MAX_ENTRIES", 20)
    assert "more than 20 entries" in refusal(package({f"f{i}": "" for i in range(30)}), "p.aasx")
    monkeypatch.setattr(files, "MAX_PACKAGE_BYTES", 1000)
    assert "larger than 1000 bytes" in refusal(package(), "p.aasx")


def test_entries_are_counted_also_across_the_chunks_that_are_read(monkeypatch, refusal):
    # The first directory entry begins right before the end of the first chunk of a mebibyte.
    filler = b"\0" * (1024 * 1024 - 2)
    monkeypatch.setattr(files, "MAX_ENTRIES", 0)
    assert "more than 0 entries" in refusal(filler + b"PK\x01\x02", "p.aasx")


def test_a_size_that_lies_does_not_unpack_more(refusal):
    data = package({"aasx/s.json": " " * 500_000 + json.dumps(DOCUMENT)})
    size = 500_000 + len(json.dumps(DOCUMENT))
    assert struct.pack("<L", size) in data
    said = refusal(data.replace(struct.pack("<L", size), struct.pack("<L", 100)), "p.aasx")
    assert "p.aasx: no package of shells" in said


@pytest.mark.parametrize(
    ("part", "inside"),
    [(name, f"!/{name}") for name in PARTS if name != "aasx/aasx-origin"],
)
def test_entities_in_any_part_that_is_read_are_refused(refusal, part, inside):
    declared = '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>\n<x>&b;</x>'
    said = refusal(package({part: declared}), "p.aasx")
    assert f"{inside}:2: document type declarations and entities are refused" in said


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"aasx/s.json": None}, "names the part '/aasx/s.json', but has none of that name"),
        ({"aasx/s.json": "{"}, "p.aasx!/aasx/s.json:1: no complete JSON"),
        ({"_rels/.rels": None}, "no relationship of the package leads"),
        ({"_rels/.rels": "no xml"}, "!/_rels/.rels:1: no complete XML"),
        ({"aasx/_rels/aasx-origin.rels": relationships("http://example.com", "/aasx/s.json")}, "no relationship"),
        ({"aasx/_rels/aasx-origin.rels": relationships(SPECIFICATION, "../none.json")}, "the part '/none.json', but"),
        ({"aasx/_rels/aasx-origin.rels": relationships(SPECIFICATION, "../../x")}, "rels:1: target '../../x' would"),
        ({"aasx/_rels/aasx-origin.rels": relationships(SPECIFICATION, "/%2e%2e/x")}, "'/../x' would lead out"),
        ({"[Content_Types].xml": None}, "no package of shells"),
        ({"aasx/s.json/[0].piece": "x"}, "is a piece of a part"),
        ({"AASX/S.JSON": "x"}, "is in the archive twice"),
    ],
)  # fmt: skip
def test_packages_that_make_no_sense_are_refused(refusal, changes, expected):
    assert expected in refusal(package(changes), "p.aasx")


def test_other_archives_are_refused(refusal):
    assert "p.aasx: no readable zip archive" in refusal(b"{}", "p.aasx")
    assert "no readable zip archive" in refusal(NAMEPLATE_TWO.read_bytes()[:9000], "p.aasx")
    assert "only stored and deflated" in refusal(package(compression=zipfile.ZIP_BZIP2), "p.aasx")
    # The lowest bit of the flags, at 8 in each directory entry, says that the entry is encrypted.
    data = bytearray(package())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "is encrypted" in refusal(bytes(data), "p.aasx")


def test_a_large_list_of_relationships_is_refused(refusal, monkeypatch):
    monkeypatch.setattr(files, "MAX_RELATIONSHIP_BYTES", 50)
    assert "no list of relationships is" in refusal(package(), "p.aasx")


# --- whatever comes --------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["Property", "Submodel", "xs:int"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places_in(value, path=()):
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from places_in(inner, (*path, key))


def assert_described_or_refused(path):
    try:
        description = read_shells(path)
    except ConfigurationError as error:
        problems = error.problems
    else:
        problems = problems_of(description)
        assert problems == []
    assert all(problem.startswith(str(path)) for problem in problems)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), old=st.booleans())
def test_a_document_with_anything_anywhere_is_described_or_refused(data, old, tmp_path):
    document = json.loads(json.dumps(in_version_two() if old else DOCUMENT))
    *path, last = data.draw(st.sampled_from([p for p in places_in(document) if p]))
    inner = document
    for key in path:
        inner = inner[key]
    inner[last] = data.draw(json_values)
    target = tmp_path / "s.json"
    target.write_text(json.dumps(document), encoding="utf-8")
    assert_described_or_refused(target)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), suffix=st.sampled_from([".json", ".xml", ".aasx"]))
def test_a_damaged_file_is_described_or_refused(data, suffix, tmp_path):
    whole = {".json": json.dumps(DOCUMENT).encode(), ".xml": as_xml(DOCUMENT), ".aasx": package()}[suffix]
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 40)))
    target = tmp_path / f"s{suffix}"
    target.write_bytes(whole[:begin] + data.draw(st.binary(max_size=8)) + whole[end:])
    assert_described_or_refused(target)


@given(st.text(max_size=200))
def test_a_legal_id_short_is_one_for_the_sdk(text):
    legal = mending.legal_id_short(text)
    assert aas.Property(legal, aas.datatypes.String).id_short == legal
    if re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]{0,118}", text):
        assert legal == text
