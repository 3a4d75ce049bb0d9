"""The importer of Devices.xml, against two real files, small made ones, and hostile ones."""

import re
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.description import problems_of
from idm_assets.referential.mtconnect_devices import parse_devices, read_devices, snake_case

DEVICES = Path(__file__).parents[2] / "examples" / "config" / "referential" / "devices"
FILES = [DEVICES / "Devices_2016-10-06.xml", DEVICES / "Devices_2017-02-27.xml"]


def document(devices: str, version: str = "1.4") -> bytes:
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        f"<MTConnectDevices xmlns='urn:mtconnect.org:MTConnectDevices:{version}'>"
        f"<Header/><Devices>\n{devices}\n</Devices></MTConnectDevices>"
    ).encode()


def device(items: str = "", components: str = "", name: str = "M1") -> str:
    return (
        f"<Device id='{name}' name='{name}' uuid='u-{name}'><DataItems>{items}</DataItems>"
        f"<Components>{components}</Components></Device>"
    )


def described(items: str):
    return parse_devices(document(device(items)), "d.xml")


def refusal(data: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_devices(data, "d.xml")
    return str(caught.value)


@pytest.fixture(scope="module", params=FILES, ids=["2016", "2017"])
def real(request):
    return request.param, read_devices(request.param)


def test_everything_in_a_real_file_is_there_as_another_parser_counts_it(real):
    path, description = real
    root = ET.parse(path).getroot()  # noqa: S314 - our own file
    names = Counter(element.tag.rpartition("}")[2] for element in root.iter())
    components = sum(len(list(e)) for e in root.iter() if e.tag.endswith("}Components"))
    assert names["Device"] == len(description.equipment) == 10
    assert names["DataItem"] == len(description.bindings) == 345
    assert names["Device"] + components == len(description.avatars) == 85
    kinds = {tag for tag, count in names.items() if tag in {m.name for m in description.models}}
    assert kinds == {m.name for m in description.models}
    assert problems_of(description) == []


def test_tags_of_a_real_file_are_names_or_else_ids(real):
    path, description = real
    root = ET.parse(path).getroot()  # noqa: S314 - our own file
    expected = [
        (d.get("name"), i.get("name") or i.get("id"))
        for d in root.findall(".//{*}Device")
        for i in d.findall(".//{*}DataItem")
    ]
    assert sorted((b.source, b.tag) for b in description.bindings) == sorted(expected)
    assert ("Mazak01", "Mazak01-dtop_1") in expected


def test_a_component_id_that_two_devices_use_stays_with_the_device_it_is_named_after(real):
    _, description = real
    avatars = {a.avatar: a for a in description.avatars}
    assert avatars["Mazak01-C"].equipment == "Mazak01"
    assert avatars["Mazak02/Mazak01-C"].equipment == "Mazak02"
    assert [a.avatar for a in description.avatars if a.model == "Rotary" and a.equipment == "Mazak01"] == [
        "Mazak01-B", "Mazak01-C", "Mazak01-C2", "Mazak01-C3",
    ]  # fmt: skip
    assert sum("is used in several devices" in remark for remark in description.remarks) == 2


def test_a_renamed_tag_keeps_its_meaning():
    old, new = ({(b.source, b.tag): (b.avatar, b.attribute) for b in read_devices(path).bindings} for path in FILES)
    meaning = ("Hurco01-C", "rotary_velocity_actual")
    assert old["Hurco01", "Srpm"] == new["Hurco01", "Spindle_Speed"] == meaning
    runtime = ("Hurco01-path", "accumulated_time_program_runtime_seconds")
    assert old["Hurco01", "program_runtime_seconds"] == new["Hurco01", "Program_Runtime_Seconds"] == runtime


def test_units_are_delivered_native(real):
    _, description = real
    tags = {(b.source, b.tag): b for b in description.bindings}
    units = {(m.name, a.name): a.unit for m in description.models for a in m.attributes}
    feed = tags["Mazak01", "Bfrt"]
    assert (feed.delivered_unit, feed.scale, feed.offset) == ("deg/min", 1.0, 0.0)
    assert units["Rotary", "angular_velocity"] == "deg/s"
    assert tags["Mazak01", "Fact"].delivered_unit == "ft/min"


def test_data_items_that_would_share_a_name_are_told_apart(real):
    _, description = real
    tags = {(b.source, b.tag): b.attribute for b in description.bindings}
    assert (tags["Mazak01", "Cload"], tags["Mazak01", "Sload"]) == ("load_cload", "load_sload")
    assert tags["Mazak01", "Xload"] == "load"
    assert {tags["GFAgie01", t] for t in ("comms", "pneumatic", "hydraulic")} == {
        "communications_condition_comms",
        "communications_condition_pneumatic",
        "communications_condition_hydraulic",
    }


def test_components_of_one_model_that_disagree_get_attributes_of_their_own(real):
    _, description = real
    path = next(m for m in description.models if m.name == "Path")
    units = {a.name: a.unit for a in path.attributes if a.name.startswith("accumulated_time_auto")}
    assert units == {"accumulated_time_auto_s": "s", "accumulated_time_auto_unitless": None}
    assert any("'accumulated_time_auto'" in remark for remark in description.remarks)


def test_kinds_and_data_types_follow_category_units_and_type():
    items = """
      <DataItem id='a' type='LOAD' category='SAMPLE'/>
      <DataItem id='b' type='PATH_POSITION' category='SAMPLE' units='MILLIMETER_3D' nativeUnits='INCH_3D'/>
      <DataItem id='c' type='PART_COUNT' category='EVENT'/>
      <DataItem id='d' type='X_OVERRIDE' category='EVENT' units='PERCENT'/>
      <DataItem id='e' type='EXECUTION' category='EVENT'/>
      <DataItem id='f' type='LOAD' category='CONDITION'/>
      <DataItem id='g' type='TEMPERATURE' category='SAMPLE' representation='TIME_SERIES' units='CELSIUS'/>
      <DataItem id='h' type='x:TOOL' subType='x:LeftHand' category='EVENT'/>
    """
    description = described(items)
    found = {a.name: (a.data_type, a.kind, a.unit) for a in description.models[0].attributes}
    assert found == {
        "load": ("double", "measurement", None),
        "path_position": ("vector3", "text", "in"),
        "part_count": ("double", "measurement", None),
        "x_override": ("double", "measurement", "%"),
        "execution": ("string", "state", None),
        "load_condition": ("string", "state", None),
        "temperature": ("string", "text", "degC"),
        "tool_left_hand": ("string", "state", None),
    }
    assert all(b.scale == 1.0 for b in description.bindings)


def test_native_scale_divides():
    items = "<DataItem id='t' type='POSITION' category='SAMPLE' units='MILLIMETER' "
    items += "nativeUnits='INCH' nativeScale='10'/>"
    (binding,) = described(items).bindings
    # Tenths of an inch.
    assert (binding.delivered_unit, binding.scale, binding.offset) == ("in", 0.1, 0.0)


def test_an_unknown_unit_is_kept_and_remarked():
    description = described("<DataItem id='t' type='x:TURNS' category='SAMPLE' nativeUnits='x:CLICKS'/>")
    assert description.bindings[0].delivered_unit == "x:CLICKS"
    assert "d.xml:3: unit 'x:CLICKS' is no MTConnect unit" in description.remarks[0]


@pytest.mark.parametrize("scale", ["0", "nan", "inf", "ten", "1e-300"])
def test_an_impossible_native_scale_is_refused(scale):
    item = f"<DataItem id='t' type='LOAD' category='SAMPLE' nativeScale='{scale}'/>"
    assert f"got '{scale}'" in refusal(document(device(item)))


@pytest.mark.parametrize("version", ["1.0", "1.3", "1.8", "2.0", "2.4"])
def test_any_version_of_the_schema_is_read(version):
    assert len(parse_devices(document(device(), version), "d.xml").avatars) == 1


def test_extensions_agents_and_components_without_data_items_are_avatars():
    inner = "<x:Pump xmlns:x='urn:x' id='p' name='pump'/>"
    inner += "<Axes id='a'><Components><Linear id='l' name='X'/></Components></Axes>"
    agent = "<Agent id='ag' name='agent' uuid='g'/>"
    description = parse_devices(document(device(components=inner) + agent), "d.xml")
    found = [
        (a.avatar, a.name, a.model, a.parent, a.equipment, a.external_ids.get("uuid")) for a in description.avatars
    ]
    assert found == [
        ("M1", "M1", "Device", None, "M1", "u-M1"),
        ("p", "pump", "Pump", "M1", "M1", None),
        ("a", "Axes", "Axes", "M1", "M1", None),
        ("l", "X", "Linear", "a", "M1", None),
        ("ag", "agent", "Agent", None, "agent", "g"),
    ]


BOMB = b"""<?xml version='1.0'?>
<!DOCTYPE b [<!ENTITY a "ha">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<MTConnectDevices xmlns='urn:mtconnect.org:MTConnectDevices:1.4'>&c;</MTConnectDevices>"""
EXTERNAL = b"<!DOCTYPE b [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><MTConnectDevices a='&a;'/>"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (BOMB, "d.xml:2: document type declarations and entities are refused"),
        (BOMB.decode().encode("utf-16"), "d.xml:2: document type declarations and entities are refused"),
        (EXTERNAL, "d.xml:1: document type declarations and entities are refused"),
        (b"<a>" * 200 + b"</a>" * 200, "d.xml:1: elements are nested deeper than 100 levels"),
        (b"\n\n<a><b>", "d.xml:3: no complete XML: no element found"),
        (b"", "d.xml:1: no complete XML: no element found"),
        (b"PK\x03\x04", "d.xml:1: no complete XML"),
        (b"<a>\n\xff</a>", "d.xml:2: no complete XML: not well-formed"),
        (b"<a>&b;</a>", "d.xml:1: no complete XML: undefined entity"),
        (b"<?xml version='1.0' encoding='nonsense'?><a/>", "d.xml"),
        (b" " * (32 * 1024 * 1024 + 1), "d.xml: larger than"),
        (b"<a/>", "d.xml:1: expected MTConnectDevices of MTConnect 1.x or 2.x, got a in namespace ''"),
        (
            b"<MTConnectDevices xmlns='urn:mtconnect.org:MTConnectStreams:1.4'/>",
            "d.xml:1: expected MTConnectDevices",
        ),
        (document(""), "d.xml:2: there is no Device in this file"),
        (document("<Device name='no id'/>"), "d.xml:3: Device has no id"),
        (document(device(name="a/b")), "d.xml:3: device name 'a/b' is too long or contains '/'"),
        (document(device("<DataItem id='x' category='SAMPLE'/>")), "d.xml:3: DataItem needs an id, a type"),
        (document(device("<DataItem id='x' type='LOAD' category='OTHER'/>")), "d.xml:3: DataItem needs"),
    ],
)
def test_bad_files_are_refused_with_the_place(data, expected):
    assert refusal(data).startswith(expected)


def test_a_real_file_that_is_cut_off_anywhere_is_refused():
    data = FILES[0].read_bytes()
    for end in range(0, len(data.rstrip()) - 1, 997):
        assert re.match(r"d\.xml:\d+: no complete XML", refusal(data[:end]))


def test_data_items_that_cannot_be_told_apart_are_refused_by_both_places():
    twins = "<DataItem id='x' type='LOAD' category='SAMPLE'/>\n<DataItem id='X' type='LOAD' category='SAMPLE'/>"
    message = refusal(document(device(twins)))
    assert "d.xml:3: DataItem 'x' cannot be told apart" in message
    assert "d.xml:4: DataItem 'X' cannot be told apart" in message


def test_one_id_twice_in_one_device_is_a_problem_naming_both():
    inner = "<Linear id='l' name='X'/>\n<Linear id='l' name='Y'/>"
    description = parse_devices(document(device(components=inner)), "d.xml")
    assert problems_of(description) == ["d.xml:3: avatar 'l' and d.xml:4: avatar 'l': given more than once"]


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("ROTARY_VELOCITY", "rotary_velocity"),
        ("Program_Runtime_Seconds", "program_runtime_seconds"),
        ("program_runtime_seconds", "program_runtime_seconds"),
        ("PartCountAct", "part_count_act"),
        ("S2load", "s2load"),
        ("x:SEQUENCE_NUMBER", "sequence_number"),
        ("Größe (mm)", "groe_mm"),
        ("§§", ""),
    ],
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake


@given(st.text(max_size=60))
def test_snake_case_gives_plain_identifiers_and_is_stable(name):
    once = snake_case(name)
    assert re.fullmatch(r"(?:[a-z0-9]+(?:_[a-z0-9]+)*)?", once)
    assert snake_case(once) == once


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    with pytest.raises(ConfigurationError, match=r"^d\.xml"):
        parse_devices(data, "d.xml")


names = st.sampled_from(["", "Cload", "c_load", "CLOAD", "S load", "load"])
kinds = st.sampled_from(["LOAD", "LOAD_CLOAD", "x:LOAD", "TEMPERATURE"])


@given(st.lists(st.tuples(names, kinds, st.sampled_from(["SAMPLE", "EVENT", "CONDITION"])), max_size=8))
def test_attributes_of_a_component_are_always_distinct_or_the_file_is_refused(rows):
    items = "".join(
        f"<DataItem id='i{n}' name='{name}' type='{kind}' category='{category}'/>"
        for n, (name, kind, category) in enumerate(rows)
    )
    try:
        description = described(items)
    except ConfigurationError as error:
        message = str(error)
    else:
        attributes = [b.attribute for b in description.bindings]
        assert len(attributes) == len(rows) == len(set(attributes))
        assert problems_of(description) == []
        return
    assert "cannot be told apart" in message
