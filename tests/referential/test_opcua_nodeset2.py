"""The importer of NodeSet2 files, against published companion specifications, small made ones, and hostile ones."""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idm_assets.configuration import ConfigurationError
from idm_assets.referential import opcua_nodes, opcua_space
from idm_assets.referential.description import Description, Model, problems_of
from idm_assets.referential.opcua_base import base_nodes
from idm_assets.referential.opcua_models import model_name, short_namespace
from idm_assets.referential.opcua_nodes import UA, NodeId
from idm_assets.referential.opcua_nodeset2 import counts_of, read_nodeset
from idm_assets.referential.opcua_space import version_numbers

COMPANION = Path(__file__).parents[2] / "examples" / "config" / "companion"
LIBRARY = sorted(COMPANION.glob("*.xml"))
MACHINERY = COMPANION / "Opc.Ua.Machinery.NodeSet2.xml"
EXAMPLES = COMPANION / "Opc.Ua.Machinery.Examples.NodeSet2.xml"
BOILER = COMPANION / "Boiler.NodeSet2.xml"
STATION = COMPANION / "Station.NodeSet2.xml"
MODEL_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,126}$")

# UAObject, UAVariable and UAObjectType elements, counted with grep -c
FIGURES = {
    "Opc.Ua.Machinery.Examples.NodeSet2.xml": (17, 54, 2),
    "Opc.Ua.Machinery.NodeSet2.xml": (44, 88, 11),
    "Opc.Ua.MachineTool.NodeSet2.xml": (150, 356, 62),
    "Opc.Ua.PackML.NodeSet2.xml": (66, 147, 6),
    "Opc.ISA95.NodeSet2.xml": (45, 248, 17),
    "Boiler.NodeSet2.xml": (28, 81, 14),
    "Station.NodeSet2.xml": (7, 33, 4),
    "Opc.Ua.Di.NodeSet2.xml": (81, 234, 40),
    "Opc.Ua.IA.NodeSet2.xml": (12, 75, 18),
    "Opc.Ua.Machinery.Jobs.Nodeset2.xml": (11, 38, 1),
    "opc.ua.isa95-jobcontrol.nodeset2.xml": (91, 134, 8),
}


# --- made files ------------------------------------------------------------------------------------------

ACME = "http://acme.com/UA/Press/"


def document(body: str, *, models: str | None = None, namespaces: tuple[str, ...] = (ACME,)) -> str:
    uris = "".join(f"<Uri>{uri}</Uri>" for uri in namespaces)
    models = f'<Model ModelUri="{namespaces[0]}" Version="1.02"/>' if models is None else models
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">\n'
        f"<NamespaceUris>{uris}</NamespaceUris>\n<Models>{models}</Models>\n"
        '<Aliases><Alias Alias="Double">i=11</Alias><Alias Alias="HasComponent">i=47</Alias></Aliases>\n'
        f"{body}\n</UANodeSet>\n"
    )


def node(kind: str, number: int, name: str, *references: str, inner: str = "", **attributes: str) -> str:
    """A node; references are written as '<type >target' or '<type <target', inverse."""
    parts: list[str] = []
    for reference in references:
        of_type, direction, target = re.fullmatch(r"(\S+) ([<>])(\S+)", reference).groups()
        inverse = ' IsForward="false"' if direction == "<" else ""
        parts.append(f'<Reference ReferenceType="{of_type}"{inverse}>{target}</Reference>')
    more = "".join(f' {key}="{value}"' for key, value in attributes.items())
    name = name if name[1:2] == ":" else f"1:{name}"
    return (
        f'<{kind} NodeId="ns=1;i={number}" BrowseName="{name}"{more}>'
        f"<References>{''.join(parts)}</References>{inner}</{kind}>\n"
    )


def object_type(number: int, name: str, *references: str, above: str = "i=58") -> str:
    return node("UAObjectType", number, name, f"i=45 <{above}", *references)


def variable(number: int, name: str, holder: str, *references: str, rule: str = "i=78", **more: str) -> str:
    """A component of a type, mandatory unless said otherwise."""
    rules = (f"i=37 >{rule}",) if rule else ()
    more = {"DataType": "Double"} | more
    return node("UAVariable", number, name, f"HasComponent <{holder}", "i=40 >i=63", *rules, *references, **more)


def thing(number: int, name: str, of: str, *references: str, inside: str = "i=85", **more: str) -> str:
    held = "i=35" if inside == "i=85" else "HasComponent"
    return node("UAObject", number, name, f"{held} <{inside}", f"i=40 >{of}", *references, **more)


def prop(number: int, name: str, holder: str, value: str = "", **more: str) -> str:
    inner = f"<Value>{value}</Value>" if value else ""
    more = {"DataType": "i=12"} | more
    return node("UAVariable", number, name, f"i=46 <{holder}", "i=40 >i=68", "i=37 >i=80", inner=inner, **more)


def unit(number: int, holder: str, unit_id: int, called: str, uri: str = "") -> str:
    uri = uri or "http://www.opcfoundation.org/UA/units/un/cefact"
    return prop(
        number,
        "0:EngineeringUnits",
        holder,
        f"<ExtensionObject><TypeId><Identifier>i=888</Identifier></TypeId><Body><EUInformation><NamespaceUri>{uri}"
        f"</NamespaceUri><UnitId>{unit_id}</UnitId><DisplayName><Locale/><Text>{called}</Text></DisplayName>"
        "</EUInformation></Body></ExtensionObject>",
        DataType="i=887",
    )


def value_range(number: int, holder: str, low: str, high: str, name: str = "0:EURange") -> str:
    value = f"<ExtensionObject><Body><Range><Low>{low}</Low><High>{high}</High></Range></Body></ExtensionObject>"
    return prop(number, name, holder, value, DataType="i=884")


@pytest.fixture
def read(tmp_path):
    """Reads a document, whole or as the body of one, and insists that the description is sound by itself."""

    def reader(body: str, *, library: dict[str, str] | None = None, source: str | None = None, **more) -> Description:
        path = tmp_path / "press.xml"
        path.write_text(body if body.startswith("<?xml") else document(body, **more), "utf-8")
        files = []
        for name, text in (library or {}).items():
            files.append(tmp_path / name)
            files[-1].write_text(text, "utf-8")
        description = read_nodeset(path, files, source)
        assert problems_of(description) == []
        return description

    return reader


@pytest.fixture
def refusal(read):
    def refused(body: str, **more) -> str:
        with pytest.raises(ConfigurationError) as caught:
            read(body, **more)
        return str(caught.value)

    return refused


def model_of(description: Description, name: str) -> Model:
    return next(model for model in description.models if model.name == name)


def attributes_of(description: Description, name: str) -> dict:
    return {attribute.name: attribute for attribute in model_of(description, name).attributes}


def avatars_of(description: Description) -> dict:
    return {avatar.avatar: avatar for avatar in description.avatars}


# --- published files -------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=LIBRARY, ids=lambda path: path.name)
def published(request):
    return request.param, read_nodeset(request.param, LIBRARY, "opc")


def test_the_published_files_are_unmodified():
    sums = dict(line.split()[::-1] for line in (COMPANION / "SHA256SUMS").read_text().splitlines())
    assert sums == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in LIBRARY}
    assert set(sums) == set(FIGURES)


def test_nodes_are_counted_as_plain_text_counts_them(published):
    path, _ = published
    text = path.read_text("utf-8-sig")
    counts = counts_of(path)
    found = (counts.objects, counts.variables, counts.object_types)
    assert found == tuple(text.count(f"<{kind} ") for kind in ("UAObject", "UAVariable", "UAObjectType"))
    assert found == FIGURES[path.name]
    others = (counts.methods, counts.views, counts.variable_types, counts.data_types, counts.reference_types)
    kinds = ("UAMethod", "UAView", "UAVariableType", "UADataType", "UAReferenceType")
    assert others == tuple(text.count(f"<{kind} ") for kind in kinds)


def test_every_object_type_becomes_a_model(published):
    path, description = published
    own = [model for model in description.models if model.origin.startswith(f"{path}:")]
    assert len(own) == FIGURES[path.name][2]
    assert problems_of(description) == []
    assert [m.name for m in description.models] == sorted(m.name for m in description.models)
    lines = path.read_text("utf-8-sig").splitlines()
    for model in description.models:
        assert MODEL_NAME.fullmatch(model.name)
        assert [a.name for a in model.attributes] == sorted(a.name for a in model.attributes)
    for model in own:
        line = lines[int(model.origin.rpartition(":")[2]) - 1]
        assert f'NodeId="ns=1;{model.semantic_id.rpartition(";")[2]}"' in line


def test_a_types_own_attributes_are_those_that_another_parser_finds(published):
    path, description = published
    space = "{http://opcfoundation.org/UA/2011/03/UANodeSet.xsd}"
    root = ET.parse(path).getroot()  # noqa: S314 - our own file
    declared: dict[str, set[str]] = {}
    for element in root.iter(f"{space}UAVariable"):
        targets = {reference.text for reference in element.iter(f"{space}Reference")}
        if targets & {"i=78", "i=80"} and "<" not in element.get("BrowseName"):
            name = element.get("BrowseName").rpartition(":")[2]
            declared.setdefault(element.get("ParentNodeId"), set()).add(name)
    types = {element.get("NodeId") for element in root.iter(f"{space}UAObjectType")}
    own = {
        f"ns=1;{model.semantic_id.rpartition(';')[2]}": {
            a.name for a in model.attributes if a.inherited_from is None and "." not in a.name
        }
        for model in description.models
        if model.origin.startswith(f"{path}:")
    }
    assert {of: names for of, names in declared.items() if of in types} == {k: v for k, v in own.items() if v}


# Avatars and bindings, counted by reading the files.
@pytest.mark.parametrize(("path", "figures"), [(EXAMPLES, (1, 7, 2)), (BOILER, (1, 12, 16)), (STATION, (1, 4, 10))])
def test_instances_become_avatars_with_tags(path, figures):
    description = read_nodeset(path, LIBRARY, "opc")
    assert (len(description.equipment), len(description.avatars), len(description.bindings)) == figures
    assert read_nodeset(path, LIBRARY).bindings == ()
    assert read_nodeset(path, LIBRARY).models == description.models


def test_tags_are_written_as_clients_write_them():
    # the column NodeID of StationTags.csv, which is published beside the station
    numbers = (379, 385, 391, 398, 399, 400, 406, 412, 418, 434)
    bindings = read_nodeset(STATION, source="munich").bindings
    assert {b.tag for b in bindings} == {f"nsu=http://opcfoundation.org/UA/Station/;i={n}" for n in numbers}
    energy = next(b for b in bindings if b.tag.endswith("=406"))
    assert (energy.source, energy.avatar, energy.attribute) == (
        "munich",
        "StationInstance/StationTelemetry",
        "EnergyConsumption",
    )


def test_a_machine_is_known_by_its_identification():
    description = read_nodeset(EXAMPLES, LIBRARY, "opc")
    avatars = avatars_of(description)
    machine = avatars["Machines/ExampleMachine01"]
    assert machine.parent is None
    assert machine.equipment == description.equipment[0].name == "ExampleMachine01"
    assert machine.model == "Machinery_Example.ExampleMachineType"
    assert machine.external_ids == {
        "node_id": "nsu=http://opcfoundation.org/UA/Machinery_Example/;i=5003",
        "serial_number": "235223",
        "product_instance_uri": "http://www.engelglobal.com/Viper06/235223",
    }
    assert machine.static_attributes["manufacturer"] == "ENGEL AUSTRIA GMBH"
    assert machine.static_attributes["product"] == "Viper 6"
    assert machine.static_attributes["year"] == "2020"
    assert machine.static_attributes["initial_operation_date"] == "2020-06-01T00:00:00Z"
    assert "location" not in machine.static_attributes  # has no value in the file
    identification = avatars["Machines/ExampleMachine01/Identification"]
    assert identification.parent == "Machines/ExampleMachine01"
    assert identification.static_attributes == machine.static_attributes
    # a part without values in the file knows its place only
    assert avatars["Machines/ExampleMachine01/Components/MyComponent"].static_attributes == {}
    assert {b.attribute for b in description.bindings} == {"CurrentState"}


def test_models_of_other_files_come_with_the_things_that_are_of_them():
    description = read_nodeset(EXAMPLES, LIBRARY)
    assert {m.name for m in description.models} == {
        "Machinery.MachineComponentsType",
        "Machinery.MachineIdentificationType",
        "Machinery.MachineryComponentIdentificationType",
        "Machinery.MachineryItemState_StateMachineType",
        "Machinery.MachineryOperationModeStateMachineType",
        "Machinery_Example.ExampleComponentType",
        "Machinery_Example.ExampleMachineType",
    }
    assert model_of(description, "Machinery.MachineIdentificationType").version == "1.3.0"


def test_attributes_are_inherited_over_files_interfaces_and_from_the_standard():
    description = read_nodeset(MACHINERY, LIBRARY)
    model = model_of(description, "Machinery.MachineIdentificationType")
    assert (model.extends, model.version) == ("Machinery.MachineryItemIdentificationType", "1.3.0")
    attributes = attributes_of(description, model.name)
    by_origin: dict[str | None, set[str]] = {}
    for attribute in attributes.values():
        by_origin.setdefault(attribute.inherited_from, set()).add(attribute.name)
    # OPC 40001-1, tables 8 and 10; of the interface of OPC 10000-100 what these do not repeat
    assert by_origin == {
        None: {"Location", "ProductInstanceUri"},
        "Machinery.MachineryItemIdentificationType": {
            "AssetId", "ComponentName", "DeviceClass", "HardwareRevision", "InitialOperationDate", "Manufacturer",
            "ManufacturerUri", "Model", "MonthOfConstruction", "ProductCode", "SerialNumber", "SoftwareRevision",
            "YearOfConstruction",
        },
        "DI.IVendorNameplateType": {
            "DeviceManual", "DeviceRevision", "PatchIdentifiers", "RevisionCounter", "SoftwareReleaseDate",
        },
        "DI.FunctionalGroupType": {"UIElement"},
    }  # fmt: skip
    # optional further up, mandatory here: the override counts
    assert {a.name for a in attributes.values() if a.required} == {"Manufacturer", "SerialNumber", "ProductInstanceUri"}
    assert attributes["YearOfConstruction"].data_type == "integer"
    assert attributes["InitialOperationDate"].data_type == "timestamp"
    assert {a.kind for a in attributes.values()} == {"text"}
    state = attributes_of(description, "Machinery.MachineryItemState_StateMachineType")["CurrentState"]
    assert (state.inherited_from, state.data_type, state.kind, state.required) == (
        "UA.FiniteStateMachineType",
        "string",
        "state",
        True,
    )


def test_names_of_nodes_make_identifiers_and_display_names_make_names():
    avatars = avatars_of(read_nodeset(BOILER))
    pipe = avatars["Boilers/Boiler #1/PipeX001"]
    assert (pipe.name, pipe.model, pipe.parent) == ("Pipe1001", "Boiler.BoilerInputPipeType", "Boilers/Boiler #1")
    assert avatars["Boilers/Boiler #1/PipeX001/FTX001"].equipment == "Boiler #1"


def test_floating_point_properties_without_a_value_are_measured():
    description = read_nodeset(BOILER, source="opc")
    controller = {b.attribute for b in description.bindings if b.avatar == "Boilers/Boiler #1/FCX001"}
    assert controller == {"Measurement", "SetPoint", "ControlOut"}
    simulation = {b.attribute for b in description.bindings if b.avatar == "Boilers/Boiler #1/Simulation"}
    assert simulation == {"CurrentState", "LastTransition"}  # and not UpdateRate, a whole number


def test_events_are_records():
    description = read_nodeset(COMPANION / "Opc.Ua.MachineTool.NodeSet2.xml", LIBRARY)
    alert = model_of(description, "MachineTool.AlertType")
    assert alert.kind == "record"
    assert [a.name for a in alert.attributes if a.key] == ["EventId"]
    assert model_of(description, "MachineTool.MonitoringType").kind == "telemetry"


def test_enumerations_keep_their_number_and_tell_its_meaning():
    description = read_nodeset(COMPANION / "Opc.Ua.MachineTool.NodeSet2.xml", LIBRARY)
    mode = attributes_of(description, "MachineTool.ChannelMonitoringType")["ChannelMode"]
    assert (mode.data_type, mode.kind) == ("integer", "state")
    assert mode.description.endswith("[0 Automatic, 1 MdaMdi, 2 JogManual, 3 JogIncrement, 4 TeachingHandle, "
                                     "5 Remote, 6 Reference, 7 Other]")  # fmt: skip


# --- types -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        ("i=1", ("boolean", "state")),
        ("i=2", ("integer", "measurement")),
        ("i=9", ("integer", "measurement")),
        ("i=10", ("double", "measurement")),
        ("Double", ("double", "measurement")),
        ("i=12", ("string", "text")),
        ("i=13", ("timestamp", "text")),
        ("i=294", ("timestamp", "text")),  # UtcTime
        ("i=15", ("string", "text")),
        ("i=19", ("integer", "state")),  # StatusCode
        ("i=21", ("string", "text")),
        ("i=22", ("string", "text")),
        ("i=24", ("string", "text")),
        ("i=26", ("double", "measurement")),
        ("i=27", ("integer", "measurement")),
        ("i=28", ("integer", "measurement")),
        ("i=290", ("double", "measurement")),  # Duration
        ("i=289", ("integer", "measurement")),  # Counter
        ("i=852", ("integer", "state")),  # ServerState, an enumeration
        ("i=887", ("string", "text")),  # EUInformation, a structure
        ("ns=1;i=900", ("double", "measurement")),
        ("ns=1;i=901", ("integer", "state")),
        ("ns=1;i=999", ("string", "text")),  # described nowhere
    ],
)
def test_data_types_are_followed_to_the_standard(read, data_type, expected):
    description = read(
        node("UADataType", 900, "Pressure", "i=45 <i=11")
        + node("UADataType", 901, "Mode", "i=45 <i=29", inner='<Definition><Field Name="Off" Value="0"/></Definition>')
        + object_type(1, "PressType")
        + variable(2, "V", "ns=1;i=1", DataType=data_type)
    )
    attribute = attributes_of(description, "acme.com.UA.Press.PressType")["V"]
    assert (attribute.data_type, attribute.kind) == expected
    assert attribute.unit == ("ms" if data_type == "i=290" else None)


def test_arrays_and_structures_are_text_that_says_so(read):
    description = read(
        object_type(1, "PressType")
        + variable(2, "Curve", "ns=1;i=1", ValueRank="1")
        + variable(3, "Any", "ns=1;i=1", ValueRank="-2")
        + variable(4, "Unit", "ns=1;i=1", DataType="i=887")
    )
    attributes = attributes_of(description, "acme.com.UA.Press.PressType")
    assert (attributes["Curve"].data_type, attributes["Curve"].kind) == ("string", "text")
    assert attributes["Curve"].description == "[array of Double]"
    assert attributes["Any"].data_type == "double"
    assert attributes["Unit"].description == "[EUInformation]"


def test_names_of_states_come_from_fields_or_properties(read):
    names = "".join(f"<LocalizedText><Text>{name}</Text></LocalizedText>" for name in ("off", "on"))
    text = f"<ListOfLocalizedText>{names}</ListOfLocalizedText>"
    values = (
        "<ListOfExtensionObject><ExtensionObject><Body><EnumValueType><Value>1</Value><DisplayName><Text>low</Text>"
        "</DisplayName></EnumValueType></Body></ExtensionObject><ExtensionObject><Body><EnumValueType><Value>7</Value>"
        "<DisplayName><Text>high</Text></DisplayName></EnumValueType></Body></ExtensionObject></ListOfExtensionObject>"
    )
    description = read(
        object_type(1, "PressType")
        + node("UAVariable", 2, "Power", "HasComponent <ns=1;i=1", "i=40 >i=2376", "i=37 >i=78", DataType="i=7")
        + prop(3, "0:EnumStrings", "ns=1;i=2", text, DataType="i=21", ValueRank="1")
        + node("UAVariable", 4, "Speed", "HasComponent <ns=1;i=1", "i=40 >i=11238", "i=37 >i=78", DataType="i=7")
        + prop(5, "0:EnumValues", "ns=1;i=4", values, DataType="i=7594", ValueRank="1")
    )
    attributes = attributes_of(description, "acme.com.UA.Press.PressType")
    assert (attributes["Power"].kind, attributes["Power"].description) == ("state", "[0 off, 1 on]")
    assert (attributes["Speed"].kind, attributes["Speed"].description) == ("state", "[1 low, 7 high]")


def test_groups_give_their_names_and_parts_are_models_of_their_own(read):
    description = read(
        object_type(1, "PressType", "HasComponent >ns=1;i=10")
        + node("UAObject", 10, "Counters", "i=40 >i=61", "i=37 >i=78")
        + variable(11, "Good.Parts", "ns=1;i=10")
        + node("UAObject", 12, "Shift", "i=40 >i=58", "i=37 >i=80", "i=35 <ns=1;i=10")
        + variable(13, "Bad", "ns=1;i=12")
        + node("UAObject", 14, "Drive", "HasComponent <ns=1;i=1", "i=40 >ns=1;i=2", "i=37 >i=78")
        + variable(15, "Speed", "ns=1;i=14")
        + object_type(2, "DriveType")
        + variable(16, "Speed", "ns=1;i=2")
    )
    attributes = attributes_of(description, "acme.com.UA.Press.PressType")
    assert {name: a.required for name, a in attributes.items()} == {
        "Counters.Good_Parts": True,
        "Counters.Shift.Bad": False,
    }
    assert list(attributes_of(description, "acme.com.UA.Press.DriveType")) == ["Speed"]


def test_what_has_no_name_or_belongs_to_the_type_itself_is_no_attribute(read):
    description = read(
        object_type(1, "PressType")
        + variable(2, "&lt;Parameter&gt;", "ns=1;i=1", rule="i=11510")
        + variable(3, "&lt;Named&gt;", "ns=1;i=1")
        + variable(4, "Template", "ns=1;i=1", rule="i=11508")
        + variable(5, "Loose", "ns=1;i=1", rule="")
        + variable(6, "Optional", "ns=1;i=1", rule="i=80")
        + node("UAMethod", 7, "Start", "HasComponent <ns=1;i=1", "i=37 >i=78")
    )
    attributes = attributes_of(description, "acme.com.UA.Press.PressType")
    assert {name: a.required for name, a in attributes.items()} == {"Optional": False}
    assert any("1 methods are left out" in remark for remark in description.remarks)
    assert any("1 variables of PressType have no modelling rule" in remark for remark in description.remarks)


def test_a_subtype_overrides_by_browse_name(read):
    description = read(
        object_type(1, "PressType")
        + variable(2, "Force", "ns=1;i=1", rule="i=80", DataType="i=26")
        + variable(3, "Speed", "ns=1;i=1")
        + object_type(4, "FastPressType", above="ns=1;i=1")
        + variable(5, "Force", "ns=1;i=4", DataType="i=6")
        + object_type(6, "FasterPressType", above="ns=1;i=4")
    )
    base = "acme.com.UA.Press.PressType"
    fast = attributes_of(description, "acme.com.UA.Press.FastPressType")
    assert (fast["Force"].data_type, fast["Force"].required, fast["Force"].inherited_from) == ("integer", True, None)
    assert fast["Speed"].inherited_from == base
    faster = attributes_of(description, "acme.com.UA.Press.FasterPressType")
    assert {name: a.inherited_from for name, a in faster.items()} == {
        "Force": "acme.com.UA.Press.FastPressType",
        "Speed": base,
    }
    assert model_of(description, "acme.com.UA.Press.FasterPressType").extends == "acme.com.UA.Press.FastPressType"
    assert model_of(description, base).extends is None
    assert model_of(description, base).version == "1.2.0"


def test_references_count_from_both_ends_and_through_their_own_subtypes(read):
    description = read(
        node("UAReferenceType", 90, "HasReading", "i=45 <i=47")
        + node("UAReferenceType", 91, "HasFinding", "i=45 <ns=1;i=90")
        + node("UAReferenceType", 92, "FlowsTo", "i=45 <i=32")
        + object_type(1, "PressType", "ns=1;i=91 >ns=1;i=2", "ns=1;i=92 >ns=1;i=4")
        + node("UAVariable", 2, "Forward", "i=37 >i=78", DataType="Double")
        + node("UAVariable", 3, "Inverse", "ns=1;i=90 <ns=1;i=1", "i=37 >i=78", DataType="Double")
        + node("UAVariable", 4, "Elsewhere", "i=37 >i=78", DataType="Double")
    )
    assert list(attributes_of(description, "acme.com.UA.Press.PressType")) == ["Forward", "Inverse"]


def test_what_is_organized_stays_where_it_is_held(read):
    # as in DI: functional groups list parameters that ParameterSet holds
    description = read(
        object_type(1, "PressType")
        + node("UAObject", 2, "Group", "HasComponent <ns=1;i=1", "i=40 >i=61", "i=37 >i=78", "i=35 >ns=1;i=5")
        + node("UAObject", 3, "ParameterSet", "HasComponent <ns=1;i=1", "i=40 >i=58", "i=37 >i=78")
        + variable(5, "Force", "ns=1;i=3")
    )
    assert list(attributes_of(description, "acme.com.UA.Press.PressType")) == ["ParameterSet.Force"]


def test_equal_names_of_different_namespaces_are_told_apart(read):
    description = read(
        object_type(1, "PressType") + variable(2, "Force", "ns=1;i=1") + variable(3, "2:Force", "ns=1;i=1"),
        namespaces=(ACME, "u:other"),
    )
    names = list(attributes_of(description, "acme.com.UA.Press.PressType"))
    assert len(names) == 2
    assert names[0] == "Force"
    assert re.fullmatch(r"Force-[0-9a-f]{12}", names[1])
    assert any("is called 'Force'; this one is" in remark for remark in description.remarks)


# --- units and ranges ------------------------------------------------------------------------------------


def test_units_and_ranges_come_from_properties(read):
    description = read(
        object_type(1, "OvenType")
        + variable(2, "Temperature", "ns=1;i=1")
        + unit(3, "ns=1;i=2", 4408652, "°C")
        + value_range(4, "ns=1;i=2", "-20", "250.5")
        + variable(5, "Energy", "ns=1;i=1")
        + unit(6, "ns=1;i=5", 4937544, "kW·h")
        + value_range(7, "ns=1;i=5", "0", "100")
        + value_range(8, "ns=1;i=5", "0", "9999", "0:InstrumentRange")
        + variable(9, "Name", "ns=1;i=1", DataType="i=12")
        + unit(10, "ns=1;i=9", 4408652, "°C")
    )
    attributes = attributes_of(description, "acme.com.UA.Press.OvenType")
    assert [(a.unit, a.minimum, a.maximum) for a in attributes.values()] == [
        ("kW*h", 0, 9999),  # what the instrument can return, not what is usual
        (None, None, None),  # a text has no unit
        ("degC", -20, 250.5),
    ]
    assert description.remarks == ()


@pytest.mark.parametrize(
    ("number", "called", "uri", "expected"),
    [
        (705741427, "°C", "http://www.opcfoundation.org/UA/units/cdd/IEC62720", "degC"),
        (-1, "m³/h", "http://acme.com/units", "m^3/h"),
        (-1, "clicks", "http://acme.com/units", None),
        (5321520, "pH", "", None),  # UNECE Q30: known, but pint has no such unit
        (-1, "", "", None),
    ],
)
def test_units_of_other_lists_go_by_their_name_or_not_at_all(read, number, called, uri, expected):
    description = read(
        object_type(1, "OvenType") + variable(2, "V", "ns=1;i=1") + unit(3, "ns=1;i=2", number, called, uri)
    )
    assert attributes_of(description, "acme.com.UA.Press.OvenType")["V"].unit == expected
    (remark,) = description.remarks
    assert f"unit {called!r} of V has the number {number}" in remark
    assert remark.endswith("taken by its name" if expected else "its values have no unit")


@pytest.mark.parametrize(("low", "high"), [("0", "0"), ("5", "1"), ("x", "1"), ("nan", "1"), ("0", "inf"), ("", "")])
def test_ranges_that_hold_nothing_are_none(read, low, high):
    description = read(
        object_type(1, "OvenType") + variable(2, "V", "ns=1;i=1") + value_range(3, "ns=1;i=2", low, high)
    )
    attribute = attributes_of(description, "acme.com.UA.Press.OvenType")["V"]
    assert (attribute.minimum, attribute.maximum) == (None, None)


# --- things ----------------------------------------------------------------------------------------------


def test_an_object_that_says_more_than_its_type_has_a_model_of_its_own(read):
    pump = (
        object_type(1, "PumpType")
        + variable(2, "Flow", "ns=1;i=1")
        + variable(3, "Level", "ns=1;i=1", DataType="i=24")
        + variable(4, "Speed", "ns=1;i=1")
    )

    def instance(number: int, name: str, unit_id: int, *, extra: bool) -> str:
        return (
            thing(number, name, "ns=1;i=1")
            + variable(number + 1, "Flow", f"ns=1;i={number}", rule="")
            + unit(number + 2, f"ns=1;i={number + 1}", unit_id, "flow")
            + variable(number + 3, "Level", f"ns=1;i={number}", rule="", DataType="i=6")
            + (variable(number + 4, "Noise", f"ns=1;i={number}", rule="") if extra else "")
        )

    litres, cubic_metres = 19506, 5067080  # L2: litre per minute, MQH: cubic metre per hour
    description = read(
        pump
        + instance(100, "P1", litres, extra=True)
        + instance(110, "P2", litres, extra=True)
        + instance(120, "P3", cubic_metres, extra=False)
        + thing(130, "P4", "ns=1;i=1")
        + variable(131, "Flow", "ns=1;i=130", rule=""),
        source="plc",
    )
    avatars = avatars_of(description)
    assert [avatars[name].model for name in ("P1", "P2", "P3", "P4")] == [
        "acme.com.UA.Press.P1",
        "acme.com.UA.Press.P1",  # says the same
        "acme.com.UA.Press.P3",
        "acme.com.UA.Press.PumpType",
    ]
    own = model_of(description, "acme.com.UA.Press.P1")
    assert (own.extends, own.version) == ("acme.com.UA.Press.PumpType", None)
    found = {a.name: (a.data_type, a.unit, a.inherited_from) for a in own.attributes}
    assert found == {
        "Flow": ("double", "l/min", None),
        "Level": ("integer", None, None),
        "Noise": ("double", None, None),
        "Speed": ("double", None, "acme.com.UA.Press.PumpType"),
    }
    assert len(description.bindings) == 3 + 3 + 2 + 1
    assert {b.delivered_unit for b in description.bindings} == {None}


def test_an_object_may_deliver_in_another_unit_than_its_type_has(read):
    description = read(
        object_type(1, "PumpType")
        + variable(2, "Flow", "ns=1;i=1")
        + unit(3, "ns=1;i=2", 5067080, "m³/h")
        + thing(10, "P1", "ns=1;i=1")
        + variable(11, "Flow", "ns=1;i=10", rule="")
        + unit(12, "ns=1;i=11", 19506, "l/min")
        + value_range(13, "ns=1;i=11", "0", "500")
        + thing(20, "P2", "ns=1;i=1")
        + variable(21, "Flow", "ns=1;i=20", rule="")
        + unit(22, "ns=1;i=21", 4408652, "°C"),
        source="plc",
    )
    first, second = description.bindings
    assert (first.delivered_unit, avatars_of(description)["P1"].model) == ("l/min", "acme.com.UA.Press.PumpType")
    # a temperature is no flow: the object is believed, and the contradiction is told
    assert (second.delivered_unit, avatars_of(description)["P2"].model) == (None, "acme.com.UA.Press.P2")
    assert attributes_of(description, "acme.com.UA.Press.P2")["Flow"].unit == "degC"
    (remark,) = description.remarks
    assert "contradicts" in remark


def test_a_group_with_variables_is_a_thing_where_none_is_around_it(read):
    description = read(
        thing(1, "Hall", "i=61")
        + thing(2, "Line", "i=58", inside="ns=1;i=1")
        + variable(3, "Speed", "ns=1;i=2", rule="")
        + thing(4, "Counters", "i=58", inside="ns=1;i=2")
        + variable(5, "Good", "ns=1;i=4", rule="")
        + node("UAVariable", 6, "Loose", "i=35 <i=85", DataType="Double"),
        source="plc",
    )
    (line,) = description.avatars
    assert (line.avatar, line.equipment, line.model) == ("Hall/Line", "Line", "acme.com.UA.Press.Hall.Line")
    assert {b.attribute for b in description.bindings} == {"Speed", "Counters.Good"}
    assert any("1 variables belong to no object of this file" in remark for remark in description.remarks)


def test_states_are_no_things_and_lost_objects_are_told(read):
    description = read(
        object_type(1, "PressType")
        + thing(2, "P", "ns=1;i=1")
        + thing(3, "Idle", "i=2307", inside="ns=1;i=2")
        + node("UAObject", 4, "Nowhere", "i=40 >ns=1;i=1")
        + node("UAObject", 5, "0:Default Binary", "i=40 >i=76")
    )
    assert [a.avatar for a in description.avatars] == ["P"]
    assert [r.rpartition(": ")[2] for r in description.remarks] == [
        "Nowhere has no place below Objects nor in a type; it is left out"
    ]


def test_properties_with_a_value_are_static_and_only_plain_ones(read):
    description = read(
        object_type(1, "PressType")
        + thing(2, "P", "ns=1;i=1")
        + prop(3, "SerialNumber", "ns=1;i=2", "<String>4711</String>")
        + prop(4, "Manufacturer", "ns=1;i=2", "<LocalizedText><Locale>en</Locale><Text>Acme</Text></LocalizedText>")
        + prop(5, "MaxForce", "ns=1;i=2", "<Double>12.5</Double>", DataType="Double")
        + prop(6, "Blank", "ns=1;i=2", "<String> </String>")
        + prop(7, "List", "ns=1;i=2", "<ListOfString><String>a</String></ListOfString>", ValueRank="1")
        + thing(8, "Plate", "i=58", inside="ns=1;i=2")
        + prop(9, "BuiltIn", "ns=1;i=8", "<UInt16>1999</UInt16>", DataType="i=5")
        + prop(10, "Long", "ns=1;i=8", f"<String>{'x' * 5000}</String>"),
        source="plc",
    )
    (press,) = description.avatars
    assert press.external_ids == {"node_id": f"nsu={ACME};i=2", "serial_number": "4711"}
    assert press.static_attributes == {
        "manufacturer": "Acme",
        "max_force": "12.5",
        "plate.built_in": "1999",
        "plate.long": "x" * 2000,
    }
    assert description.bindings == ()
    assert press.model == "acme.com.UA.Press.PressType"


def test_an_identification_does_not_overrule_the_thing_itself(read):
    description = read(
        object_type(1, "PressType")
        + object_type(2, "NameplateType")
        + thing(3, "P", "ns=1;i=1")
        + prop(4, "SerialNumber", "ns=1;i=3", "<String>own</String>")
        + thing(5, "Identification", "ns=1;i=2", inside="ns=1;i=3")
        + prop(6, "SerialNumber", "ns=1;i=5", "<String>other</String>")
        + prop(7, "AssetId", "ns=1;i=5", "<String>A-7</String>")
    )
    press = avatars_of(description)["P"]
    assert (press.external_ids["serial_number"], press.external_ids["asset_number"]) == ("own", "A-7")


def test_identifiers_and_machines_are_unique_and_bounded(read):
    long = "x" * 250
    description = read(
        object_type(1, "PressType")
        + thing(2, "A/B", "ns=1;i=1")
        + thing(3, "A_B", "ns=1;i=1")
        + thing(4, long, "ns=1;i=1")
        + thing(5, long, "ns=1;i=1", inside="ns=1;i=4")
    )
    first, second, third, fourth = description.avatars
    assert (first.avatar, second.avatar, third.avatar) == ("A_B", "A_B~i=3", long)
    assert len(fourth.avatar) <= 255
    assert fourth.parent == long
    assert [e.name for e in description.equipment] == ["A_B", "A_B~i=3", long]
    assert first.name == "A/B"


def test_machines_can_be_parts_of_an_equipment_path(read):
    # the rule of the equipment paths in the configuration: printable, no blanks around, no slash
    def press(number: str, name: str) -> str:
        return (
            f'<UAObject NodeId="ns=1;{number}" BrowseName="1:P{number[2]}"><DisplayName>{name}</DisplayName>'
            '<References><Reference ReferenceType="i=35" IsForward="false">i=85</Reference>'
            '<Reference ReferenceType="i=40">ns=1;i=1</Reference></References></UAObject>'
        )

    names = ["A/B", "A&#x200b;B", "A&#xa0;B", "&#x200b;", " C "]
    presses = "".join(press(f"s={n}/x/y", name) for n, name in enumerate(names))
    description = read(object_type(1, "T") + presses)
    machines = [e.name for e in description.equipment]
    assert [machines[0], *machines[3:]] == ["A_B", "_", "C"]
    assert len(set(machines)) == 5
    assert all(name.isprintable() and "/" not in name and name == name.strip() for name in machines)


def test_names_that_are_taken_are_told_apart_also_by_long_identifiers(read):
    twins = "".join(
        f'<UAObject NodeId="ns=1;s={"x" * 3000}{n}" BrowseName="1:{"P" * 250}"><References><Reference '
        'ReferenceType="i=35" IsForward="false">i=85</Reference><Reference ReferenceType="i=40">ns=1;i=1</Reference>'
        "</References></UAObject>"
        for n in range(3)
    )
    avatars = [a.avatar for a in read(object_type(1, "T") + twins).avatars]
    assert len(set(avatars)) == 3
    assert max(map(len, avatars)) <= 255


def test_a_variable_in_two_things_is_bound_once(read):
    description = read(
        object_type(1, "PressType")
        + variable(2, "Force", "ns=1;i=1")
        + thing(3, "P", "ns=1;i=1")
        + thing(4, "Q", "ns=1;i=1", "HasComponent >ns=1;i=5")
        + variable(5, "Force", "ns=1;i=3", rule="")
        + variable(6, "Force", "ns=1;i=3", rule=""),
        source="plc",
    )
    assert [(b.avatar, b.tag) for b in description.bindings] == [("P", f"nsu={ACME};i=5")]
    assert any("is in 'P' and in 'Q'" in remark for remark in description.remarks)
    assert any("another variable of 'P' is called 'Force'" in remark for remark in description.remarks)


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("http://opcfoundation.org/UA/", "UA"),
        ("http://opcfoundation.org/UA/DI/", "DI"),
        ("http://opcfoundation.org/UA/Machinery/Jobs/", "Machinery.Jobs"),
        ("http://www.OPCFoundation.org/UA/2013/01/ISA95", "ISA95"),
        ("http://acme.com/UA/Press/", "acme.com.UA.Press"),
        ("urn:acme.com:press", "acme.com.press"),
        ("Füllstand", "Fullstand"),
        ("...", "unnamed"),
    ],
)
def test_namespaces_have_short_names(uri, expected):
    assert short_namespace(uri) == expected


@given(st.text(max_size=300))
@settings(max_examples=200)
def test_names_of_models_fit_whatever_they_are_made_of(text):
    assert MODEL_NAME.fullmatch(model_name(text))
    assert MODEL_NAME.fullmatch(model_name(f"{short_namespace(text)}.{text}"))


def test_reserved_characters_of_a_namespace_are_escaped_in_tags():
    # OPC UA Part 6, 5.3.1.11
    assert NodeId("u:a;b%c", "s=x;y").expanded() == "nsu=u:a%3Bb%25c;s=x;y"
    assert NodeId(UA, "i=85").expanded() == "i=85"


def test_of_several_languages_the_english_one_is_taken(read):
    texts = (
        '<DisplayName Locale="de">Presse</DisplayName><DisplayName Locale="en-US">Press</DisplayName>'
        f'<Description Locale="de">Drückt</Description><Description Locale="fr">{"x" * 5000}</Description>'
    )
    description = read(object_type(1, "T") + node("UAObject", 2, "P1", "i=35 <i=85", "i=40 >ns=1;i=1", inner=texts))
    (press,) = description.avatars
    assert (press.avatar, press.name, press.description) == ("P1", "Press", "Drückt")
    assert description.equipment[0].name == "Press"


def test_namespaces_and_types_that_would_share_a_name_are_told_apart(read):
    other = document(object_type(1, "PressType"), namespaces=("http://ACME.com/UA/Press",))
    description = read(
        object_type(1, "PressType") + object_type(2, "Press/Type") + object_type(3, "Press:Type"),
        models=f'<Model ModelUri="{ACME}"><RequiredModel ModelUri="http://ACME.com/UA/Press"/></Model>',
        library={"other.xml": other},
    )
    names = [model.name for model in description.models]
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"acme\.com\.UA\.Press-[0-9a-f]{12}\.Press_?Type(-[0-9a-f]{12})?", name) for name in names)
    assert any("2 types would be called" in remark for remark in description.remarks)
    assert any("type 'Press/Type' becomes the model" in remark for remark in description.remarks)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("1.02", (1, 2, 0)), ("1.05.03", (1, 5, 3)), ("2", (2, 0, 0)), ("1.2.3-rc1", (1, 2, 3)), ("draft", None),
     (None, None), ("9" * 5000, None)],
)  # fmt: skip
def test_versions_are_read_leniently(text, numbers):
    assert version_numbers(text) == numbers


# --- required models -------------------------------------------------------------------------------------


def requiring(uri: str, version: str = "1.0", date: str = "2020-01-01T00:00:00Z") -> str:
    needs = f'<RequiredModel ModelUri="{uri}" Version="{version}" PublicationDate="{date}"/>'
    return f'<Model ModelUri="{ACME}">\n{needs}</Model>'


def other(uri: str, *, needs: str = "", date: str = "2020-01-01T00:00:00Z", name: str = "BaseType") -> str:
    model = f'<Model ModelUri="{uri}" PublicationDate="{date}">{needs}</Model>'
    return document(object_type(1, name) + variable(2, "Force", "ns=1;i=1"), models=model, namespaces=(uri,))


def test_a_missing_model_is_named_with_what_to_do():
    with pytest.raises(ConfigurationError) as caught:
        read_nodeset(MACHINERY, [BOILER])
    (problem,) = caught.value.problems
    # RequiredModel stands in line 39 of the file
    assert problem.startswith(
        f"{MACHINERY}:39: requires the model http://opcfoundation.org/UA/DI/ in version 1.04.0 of 2022-11-03, which is "
        f"in none of the files given; put its NodeSet2 file beside the 1 NodeSet2 files in {COMPANION} ("
    )
    assert "github.com/OPCFoundation/UA-Nodeset" in problem


def test_all_missing_models_are_named_at_once_also_those_of_required_ones():
    files = [path for path in LIBRARY if not path.name.startswith(("Opc.Ua.Di", "opc.ua.isa95"))]
    with pytest.raises(ConfigurationError) as caught:
        read_nodeset(COMPANION / "Opc.Ua.MachineTool.NodeSet2.xml", files)
    assert sorted(re.search(r"requires the model (\S+)", p)[1] for p in caught.value.problems) == [
        "http://opcfoundation.org/UA/DI/",
        "http://opcfoundation.org/UA/ISA95-JOBCONTROL_V2/",
    ]


def test_a_model_that_is_too_old_is_refused(refusal):
    text = refusal("", models=requiring("u:base"), library={"base.xml": other("u:base", date="2019-12-31T00:00:00Z")})
    assert re.search(
        r"press\.xml:5: requires the model u:base in version 1\.0 of 2020-01-01, but .*base\.xml:4 holds it of "
        r"2019-12-31; put a NodeSet2 file of that version or a later one",
        text,
    )


def test_of_several_the_newest_is_taken_and_inherited_from(read):
    description = read(
        object_type(1, "PressType", above="ns=2;i=1"),
        models=requiring("u:base"),
        namespaces=(ACME, "u:base"),
        library={
            "a.xml": other("u:base", date="2021-01-01T00:00:00Z", name="OldType"),
            "b.xml": other("u:base", date="2022-01-01T00:00:00Z", name="NewType"),
            "c.xml": other("u:base", date="2020-01-01T00:00:00Z", name="OldestType"),
        },
    )
    (model,) = description.models
    assert model.extends == "u.base.NewType"
    assert [(a.name, a.inherited_from) for a in model.attributes] == [("Force", "u.base.NewType")]


def test_models_that_require_each_other_are_read_once(read):
    back = f'<RequiredModel ModelUri="{ACME}"/>'
    loop = '<RequiredModel ModelUri="u:base"/>'
    further = '<RequiredModel ModelUri="u:next"/>'
    description = read(
        object_type(1, "PressType", above="ns=2;i=1"),
        models=requiring("u:base"),
        namespaces=(ACME, "u:base"),
        library={"a.xml": other("u:base", needs=back + loop + further), "b.xml": other("u:next", needs=loop)},
    )
    assert [a.name for a in description.models[0].attributes] == ["Force"]


def test_the_file_itself_among_the_library_is_no_other_file():
    description = read_nodeset(BOILER, [BOILER, BOILER.parent / "." / BOILER.name])
    assert not any("also described" in remark for remark in description.remarks)


def test_a_broken_file_in_the_library_is_named(refusal):
    assert re.search(r"broken\.xml:1: no complete XML", refusal("", library={"broken.xml": "<UANodeSet"}))


def test_only_needed_files_are_read_to_the_end(read):
    cut_off = other("u:unneeded")[:-20]
    assert read(object_type(1, "PressType"), library={"unneeded.xml": cut_off}).models


def test_files_from_before_models_build_upon_their_other_namespaces(refusal, read):
    old = (
        document(object_type(1, "PressType"), namespaces=(ACME, "u:base"))
        .replace("<Models>", "<!--")
        .replace("</Models>", "-->")
    )
    assert "requires the model u:base, which is in none" in refusal(old)
    (model,) = read(old, library={"base.xml": other("u:base")}).models
    assert (model.name, model.version) == ("acme.com.UA.Press.PressType", None)


def test_a_newer_standard_than_the_built_in_one_is_told(read):
    (remark,) = read("", models=requiring(UA, "1.09", "2099-01-01T00:00:00Z")).remarks
    assert "requires http://opcfoundation.org/UA/ in version 1.09 of 2099-01-01; built in is version 1.05.07" in remark


def test_the_base_types_hang_together():
    nodes = {n.id: n for n in base_nodes()}
    # counted with cut and sort | uniq -c over the table
    kinds = [n.node_class for n in nodes.values()]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "UAReferenceType": 80, "UADataType": 308, "UAVariableType": 64, "UAObjectType": 281, "UAVariable": 772,
        "UAObject": 24,
    }  # fmt: skip
    parents = [r.target for n in nodes.values() for r in n.references if not r.forward]
    assert all(parent in nodes for parent in parents)
    assert nodes[NodeId(UA, "i=2772")].browse_name.name == "CurrentState"


# --- hostile files ---------------------------------------------------------------------------------------


def test_document_types_and_entities_are_refused(refusal):
    bomb = '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n<x>&b;</x>'
    assert "press.xml:2: document type declarations and entities are refused" in refusal(bomb)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<?xml version="1.0"?>\n<Other/>', r":2: expected UANodeSet in namespace"),
        ('<?xml version="1.0"?>\n<UANodeSet/>', r":2: expected UANodeSet in namespace"),
        ('<?xml version="1.0" encoding="x-none"?><a/>', r"no readable XML: unknown encoding"),
        ('<?xml version="1.0"?>', r":1: no complete XML: .*cut off"),
    ],
)
def test_what_is_no_nodeset_is_refused(refusal, text, expected):
    assert re.search(expected, refusal(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "none.xml", tmp_path):
        with pytest.raises(ConfigurationError, match=rf"{re.escape(str(path))}: cannot be read"):
            read_nodeset(path)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (node("UAObject", 1, "P", "Unknown >i=58"), r"press\.xml:6: 'Unknown' is neither a NodeId.* nor an alias"),
        (node("UAObject", 1, "P", "i=40 >i=x"), r":6: 'i=x' is neither a NodeId"),
        (node("UAObject", 1, "P", "i=40 >ns=7;i=1"), r":6: namespace 7 is used, but NamespaceUris .* ends at 1"),
        (node("UAObject", 1, "P", "i=40 >nsu=u:x;i=1"), r":6: 'nsu=u:x;i=1' is neither a NodeId"),
        (node("UAObject", 1, "P") + node("UAObject", 1, "Q"), r":7: node 'ns=1;i=1' was already described in .*:6"),
        ('<UAObject BrowseName="1:P"/>', r":6: '' is neither a NodeId"),
        ('<UAObject NodeId="ns=1;i=1"/>', r":6: a node needs a BrowseName"),
        (variable(1, "V", "i=85", ValueRank="many"), r":6: ValueRank must be a whole number, got 'many'"),
        (node("UAObject", 1, "P", f"i=40 >s={'x' * 5000}"), r":6: 's=x+' is neither a NodeId"),
        (f'<UAObject NodeId="ns=1;i={"9" * 5000}" BrowseName="P"/>', r":6: 'ns=1;i=9+' is neither a NodeId"),
    ],
)  # fmt: skip
def test_malformed_nodes_are_refused_with_their_line(refusal, body, expected):
    assert re.search(expected, refusal(body))


def test_models_and_namespaces_need_names(refusal):
    assert "a model needs a ModelUri" in refusal("", models="<Model/>")
    assert "the URI of a namespace must have" in refusal("", models="", namespaces=("",))


@pytest.mark.parametrize(
    ("limit", "value", "expected"),
    [
        ("MAX_BYTES", 500, r"press\.xml: larger than 500 bytes"),
        ("MAX_ELEMENTS", 10, r":\d+: more than 10 elements"),
        ("MAX_NODES", 2, r":8: more than 2 nodes"),
        ("MAX_DEPTH", 3, r":6: elements are nested deeper than 3 levels"),
    ],
)
def test_sizes_are_limited(refusal, monkeypatch, limit, value, expected):
    monkeypatch.setattr(opcua_nodes, limit, value)
    assert re.search(expected, refusal("".join(object_type(n, f"T{n}") for n in range(1, 4))))


def test_elements_may_not_be_nested_too_deep(refusal):
    assert ":6: elements are nested deeper than 200 levels" in refusal("<Extensions>" + "<a>" * 300 + "</a>" * 300)


def test_types_may_not_be_derived_from_themselves_or_from_too_many(refusal):
    loop = object_type(1, "A", above="ns=1;i=2") + object_type(2, "B", above="ns=1;i=1")
    assert re.search(r":6: type nsu=\S+;i=1 is derived from itself; correct HasSubtype", refusal(loop))
    chain = object_type(1, "T1") + "".join(object_type(n, f"T{n}", above=f"ns=1;i={n - 1}") for n in range(2, 200))
    assert "is derived from more than 100 types" in refusal(chain)


def test_objects_may_not_be_nested_too_deep(refusal):
    nested = object_type(1, "T") + thing(10, "O", "ns=1;i=1")
    nested += "".join(thing(n, "O", "ns=1;i=1", inside=f"ns=1;i={n - 1}") for n in range(11, 200))
    assert "objects are nested deeper than 100 levels" in refusal(nested)
    groups = object_type(1, "T", "HasComponent >ns=1;i=10")
    groups += "".join(node("UAObject", n, "G", f"HasComponent >ns=1;i={n + 1}", "i=37 >i=78") for n in range(10, 200))
    assert "objects and variables are nested deeper than 100 levels" in refusal(groups)


def test_holding_each_other_ends(read):
    description = read(
        object_type(1, "T", "HasComponent >ns=1;i=3")
        + node("UAObject", 3, "G", "HasComponent >ns=1;i=4", "i=37 >i=78")
        + node("UAObject", 4, "H", "HasComponent >ns=1;i=3", "i=37 >i=78", "HasComponent >ns=1;i=1")
        + variable(5, "V", "ns=1;i=4")
        + thing(6, "P", "ns=1;i=1", "HasComponent >ns=1;i=7")
        + node("UAObject", 7, "Q", "i=40 >ns=1;i=1", "HasComponent >ns=1;i=6")
    )
    assert list(attributes_of(description, "acme.com.UA.Press.T")) == ["G.H.V"]
    # P is a component of its own part, so that Objects only lists it
    assert {a.avatar: a.parent for a in description.avatars} == {"P": None, "P/Q": "P"}


def test_sharing_does_not_make_a_small_file_large(refusal, monkeypatch):
    monkeypatch.setattr(opcua_space, "Steps", partial(opcua_space.Steps, left=10_000))
    group = node("UAObject", 5, "G", "i=37 >i=78")
    shared = group + "".join(variable(1000 + n, f"V{n}", "ns=1;i=5") for n in range(50))
    types = "".join(object_type(10 + n, f"T{n}", "HasComponent >ns=1;i=5") for n in range(50))
    assert "by sharing and inheritance this file becomes more than" in refusal(shared + types)
    base = object_type(1, "T") + "".join(variable(1000 + n, f"V{n}", "ns=1;i=1") for n in range(50))
    heirs = "".join(object_type(10 + n, f"H{n}", above="ns=1;i=1") for n in range(50))
    assert "by sharing and inheritance this file becomes more than" in refusal(base + heirs)


def test_references_that_lead_nowhere_are_told(read):
    description = read(
        object_type(1, "PressType", "HasComponent >ns=1;i=77", above="ns=1;i=66")
        + thing(2, "P", "ns=1;i=55")
        + thing(3, "Q", "ns=1;i=1"),
    )
    remarks = "\n".join(description.remarks)
    assert re.search(r"press\.xml:6: PressType refers to nsu=\S+;i=77, which is described in none", remarks)
    assert re.search(r":6: PressType is derived from nsu=\S+;i=66, which is described in none", remarks)
    assert re.search(r":7: type nsu=\S+;i=55 of P is described in none of the files read; it counts as", remarks)
    assert [a.avatar for a in description.avatars] == ["Q"]


def test_remarks_are_limited(read):
    lost = "".join(node("UAObject", n, f"O{n}", "i=40 >ns=1;i=1") for n in range(2, 700))
    remarks = read(object_type(1, "T") + lost).remarks
    assert len(remarks) == 501
    assert remarks[-1].endswith("198 more remarks are left out")


@given(share=st.floats(0, 1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_that_is_cut_off_is_refused(tmp_path, share):
    data = MACHINERY.read_bytes()
    end = data.index(b"</UANodeSet>") + len(b"</UANodeSet>") - 1
    path = tmp_path / "cut.xml"
    path.write_bytes(data[: round(end * share)])
    with pytest.raises(ConfigurationError, match=r"cut\.xml:\d+: no complete XML: .*; is the file cut off\?"):
        read_nodeset(path, LIBRARY)


TOKEN = re.compile(r'ns=\d+;i=\d+|\bi=\d+|"[^"\n]*"|>[^<>\n]+<')


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_with_swapped_tokens_is_refused_or_gives_a_sound_description(tmp_path, data):
    text = data.draw(st.sampled_from([BOILER, STATION])).read_text("utf-8-sig")
    # like for like, beginning behind the aliases, so that most files can be read
    start = text.index("</Aliases>")
    for _ in range(data.draw(st.integers(1, 6))):
        tokens = list(TOKEN.finditer(text, start))
        one = data.draw(st.sampled_from(tokens))
        alike = [t for t in tokens if t[0][0] == one[0][0]]
        text = text[: one.start()] + data.draw(st.sampled_from(alike))[0] + text[one.end() :]
    path = tmp_path / "swapped.xml"
    path.write_text(text, "utf-8")
    problems: tuple[str, ...] = ()
    try:
        description = read_nodeset(path, source="opc")
    except ConfigurationError as error:
        problems, description = error.problems, Description()
    assert all(problem.startswith(str(path)) for problem in problems)
    assert problems_of(description) == []
    assert all(MODEL_NAME.fullmatch(model.name) for model in description.models)
