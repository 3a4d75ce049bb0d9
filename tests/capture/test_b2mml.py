"""B2MML documents: declared elements become records, whatever stands around them."""

import json
from pathlib import Path

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idm_assets.capture.content import Content
from idm_assets.capture.decoders import PreparedFile, UndecodableFile, b2mml
from idm_assets.capture.decoders.b2mml import B2mml
from idm_assets.capture.remarks import TIMESTAMP_CUT

VECTORS = Path(__file__).parents[1] / "vectors" / "b2mml"
V0600 = "http://www.mesa.org/xml/B2MML-V0600"
CREATED = "ApplicationArea/CreationDateTime"


def prepared(path):
    return PreparedFile(1, path, None, 0, plain=True)


def real(beginning):
    (path,) = VECTORS.glob(f"{beginning}*.xml")
    return prepared(path)


@pytest.fixture
def deliver(tmp_path):
    def write(inner, root="SyncProductionPerformance", namespace=V0600):
        path = tmp_path / "document.xml"
        header = "<ApplicationArea><CreationDateTime>2024-05-01T10:00:00Z</CreationDateTime></ApplicationArea>"
        path.write_text(f'<{root} xmlns="{namespace}" releaseID="7">{header}<DataArea>{inner}</DataArea></{root}>')
        return prepared(path)

    return write


@pytest.fixture
def decode(con, tmp_path, deliver):
    """Records with time and fields, and rejections, of a document; all units are accounted for."""

    def run(file, element, timestamp=CREATED, zone="UTC", **fields):
        file = deliver(file) if isinstance(file, str) else file
        decoder = B2mml.from_options({"element": element, "timestamp": timestamp, "fields": fields}, zone)
        decoding = decoder.exact(con, file, tmp_path)
        records = con.sql(f"SELECT line, ts, payload, remarks FROM ({decoding.rows}) ORDER BY line").fetchall()
        rejected = con.sql(f"SELECT line, reason, payload FROM ({decoding.rejected}) ORDER BY line").fetchall()
        assert sorted(row[0] for row in records + rejected) == list(range(1, decoder.count(file) + 1))
        return records, rejected

    return run


def payloads(decoded):
    records, rejected = decoded
    assert rejected == []
    return [json.loads(payload) for _, _, payload, _ in records]


# --- real files ------------------------------------------------------------------------------------------


def test_a_production_performance(decode):
    records, rejected = decode(
        real("PES"), "ProductionResponse/SegmentResponse",
        order="../ID", segment="ID", quantity="MaterialActual/Quantity/QuantityString",
        unit="MaterialActual/Quantity/UnitOfMeasure", lot="MaterialActual/MaterialLotID",
        properties="MaterialActual/MaterialActualProperty/ID", absent="MaterialActual/Location",
    )  # fmt: skip
    assert rejected == []
    ((line, ts, payload, remarks),) = records
    assert (line, ts.isoformat(), remarks) == (1, "2012-11-29T10:58:25.314955+00:00", TIMESTAMP_CUT)
    assert payload == (
        '{"lot":"CRBN0001_LOT01","order":"53107","properties":["EmptyFlag","Indice","CompleteFlag"],'
        '"quantity":"0.41","segment":"Weighing","unit":"KG"}'
    )


def test_without_fields_all_leaves_are_kept(decode):
    assert payloads(decode(real("MAT"), "MaterialDefinition")) == [
        {
            "ID": "CRBN0001",
            "Description": "Product Courbon0001",
            "Description.@languageID": "Z",
            "MaterialDefinitionProperty.ID": ["BaseUnitOfMeasure", "HazardousMaterialWarning"],
            "MaterialDefinitionProperty.Value.ValueString": ["KG", "C", "XN"],
            "MaterialDefinitionProperty.Value.DataType": ["Text", "Text", "Text"],
            "MaterialDefinitionProperty.Value.UnitOfMeasure": ["", "", ""],
        }
    ]
    lot = payloads(decode(real("LOT"), "MaterialLot"))
    assert lot[0]["MaterialLotProperty.Value.ValueString"] == "2013-12-08T00:00:00.0Z"


def test_steps_to_parents(decode):
    fields = {"lot": "../ID", "material": "../../ID", "too_far": "../../../../../../../ID", "released": "/@releaseID"}
    assert payloads(decode(real("INV"), "MaterialSubLot", **fields)) == [
        {"lot": "CRBN0001_LOT01", "material": "CRBN0001", "released": ""}
    ]


def test_elements_within_elements_are_records_of_their_own(decode):
    fields = {"segment": "ProcessSegmentID", "within": "../ProcessSegmentID", "order": "../ID"}
    materials = "MaterialRequirement/MaterialDefinitionID"
    assert payloads(decode(real("PRO"), "SegmentRequirement", **fields, materials=materials)) == [
        {"order": "258456", "materials": "SO1215"},
        {"order": "0010", "segment": "Weighing", "materials": ["CRBN0001", "CRBN0002", "CRBN0001", "CRBN0003"]},
        {"segment": "Contenair", "within": "Weighing", "materials": ["CRBN0001", "CRBN0002"]},
    ]
    deeper = payloads(decode(real("PRO"), "SegmentRequirement/SegmentRequirement/MaterialRequirement", id="."))
    assert len(deeper) == 6


def test_every_real_file_is_counted_and_read_alike(decode):
    lines = {path.name[:3]: len(payloads(decode(prepared(path), "Quantity"))) for path in sorted(VECTORS.glob("*.xml"))}
    assert lines == {"INV": 1, "LOT": 0, "MAT": 0, "PES": 1, "PRO": 7}


# --- what paths mean -------------------------------------------------------------------------------------


def test_values_after_the_element_count_as_well(decode):
    document = """
        <ProductionPerformance><ID>P</ID>
          <ProductionResponse><SegmentResponse><ID>1</ID></SegmentResponse><SegmentResponse/>
            <ResponseState>Done</ResponseState><ResponseState>Sent</ResponseState></ProductionResponse>
          <ProductionResponse><SegmentResponse><ID>3</ID></SegmentResponse></ProductionResponse>
          <EndTime>2024-05-01T12:00:00+02:00</EndTime>
        </ProductionPerformance>"""
    fields = {"id": "ID", "state": "../ResponseState", "performance": "../../ID", "end": "../../EndTime"}
    records, _ = decode(document, "SegmentResponse", timestamp="../../EndTime", **fields)
    shared = '"end":"2024-05-01T12:00:00+02:00"'
    assert [(line, payload) for line, _, payload, _ in records] == [
        (1, f'{{{shared},"id":"1","performance":"P","state":["Done","Sent"]}}'),
        (2, f'{{{shared},"performance":"P","state":["Done","Sent"]}}'),
        (3, f'{{{shared},"id":"3","performance":"P"}}'),
    ]
    assert {ts.isoformat() for _, ts, _, _ in records} == {"2024-05-01T10:00:00+00:00"}


def test_one_path_in_several_roles(decode):
    document = "<Lot><ID>a</ID><Lot><ID>b</ID><ID>c</ID></Lot></Lot>"
    fields = {"id": "ID", "outer": "../ID", "root": "/DataArea/Lot/ID"}
    assert payloads(decode(document, "Lot", **fields)) == [
        {"id": "a", "root": "a"},
        {"id": ["b", "c"], "outer": "a", "root": "a"},
    ]


def test_attributes_nil_and_mixed_text(decode):
    document = (
        '<Lot xmlns:i="http://www.w3.org/2001/XMLSchema-instance" unit="kg" i:type="LotType"><ID i:nil="true"/>'
        '<Note lang="de">Öl <b>alt</b> &lt;<![CDATA[&]]></Note>  <Empty/><Odd i:nil="false"> x </Odd></Lot>'
    )
    everything = {
        "@unit": "kg", "ID": None, "Note.@lang": "de", "Note.b": "alt", "Note": "Öl  <&", "Empty": "", "Odd": " x ",
    }  # fmt: skip
    assert payloads(decode(document, "Lot")) == [everything]
    fields = {"unit": "@unit", "lang": "Note/@lang", "id": "ID", "odd": "Odd", "self": "."}
    assert payloads(decode(document, "Lot", **fields)) == [{"unit": "kg", "lang": "de", "id": None, "odd": " x "}]


def test_an_element_without_children_is_a_record_too(decode):
    document = "<Lot><ID>a</ID><ID>b</ID></Lot>"
    assert payloads(decode(document, "Lot/ID")) == [{"ID": "a"}, {"ID": "b"}]
    assert payloads(decode(document, "Lot/ID", text=".")) == [{"text": "a"}, {"text": "b"}]


def test_the_payload_is_sorted_by_name(decode):
    document = "<Lot><b>1</b><a>2</a><é>3</é><B>4</B></Lot>"
    ((_, _, payload, _),), _ = decode(document, "Lot")
    assert payload == '{"B":"4","a":"2","b":"1","é":"3"}'


def test_a_record_without_its_time_is_rejected(decode):
    document = "<Lot><ID>1</ID><At>2024-05-01T10:00:00</At></Lot><Lot><ID>2</ID></Lot><Lot><At> soon </At></Lot>"
    records, rejected = decode(document, "Lot", timestamp="At", zone="Europe/Paris")
    assert [(line, ts.isoformat()) for line, ts, _, _ in records] == [(1, "2024-05-01T08:00:00+00:00")]
    assert rejected == [
        (2, "timestamp_unreadable", '{"ID":"2"}'),
        (3, "timestamp_unreadable", '{"At":" soon "}'),
    ]


def test_the_first_time_counts(decode):
    document = "<Lot><At>\n2024-05-01T10:00:00Z\n</At><At>2024-05-02T10:00:00Z</At></Lot>"
    ((_, ts, payload, _),), _ = decode(document, "Lot", timestamp="At", all="At")
    assert ts.isoformat() == "2024-05-01T10:00:00+00:00"
    assert json.loads(payload) == {"all": ["\n2024-05-01T10:00:00Z\n", "2024-05-02T10:00:00Z"]}


# --- which documents -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("root", "namespace"),
    [
        ("ProcessMaterialLot", "http://www.wbf.org/xml/B2MML-V0401"),
        ("ShowMaterialLot", "http://www.wbf.org/xml/B2MML-V0500"),
        ("MaterialInformation", "http://www.mesa.org/xml/B2MML"),
    ],
)
def test_any_version_and_root(decode, deliver, root, namespace):
    file = deliver("<MaterialLot><ID>1</ID></MaterialLot>", root, namespace)
    assert payloads(decode(file, "MaterialLot")) == [{"ID": "1"}]


def test_a_document_without_the_element_has_no_records(decode, deliver):
    assert decode(deliver("", "ConfirmBOD"), "MaterialLot") == ([], [])


@pytest.mark.parametrize("by", ["read", "count"])
@pytest.mark.parametrize(
    ("root", "namespace", "found"),
    [
        ("Envelope", "http://schemas.xmlsoap.org/soap/envelope/", "'Envelope'"),
        ("SyncMaterialLot", "", "no namespace"),
        ("MTConnectStreams", "urn:mtconnect.org:MTConnectStreams:1.3", "MTConnectStreams:1.3"),
    ],
)
def test_other_documents_are_kept_out(deliver, root, namespace, found, by):
    decoder, file = B2mml.from_options({"element": "Lot", "timestamp": "At"}), deliver("<Lot/>", root, namespace)
    with pytest.raises(UndecodableFile) as refused:
        decoder.count(file) if by == "count" else list(decoder.reader.read(file))
    assert refused.value.reason == "foreign_content"
    assert found in refused.value.detail


def test_a_file_that_breaks_off_is_kept_out_whole(con, tmp_path, deliver):
    path = deliver("<Lot><ID>1</ID></Lot>" * 10_000).path
    path.write_bytes(path.read_bytes()[:-12])
    decoder = B2mml.from_options({"element": "Lot", "timestamp": CREATED})
    with pytest.raises(UndecodableFile) as refused:
        decoder.exact(con, prepared(path), tmp_path)
    assert refused.value.reason == "xml_invalid"


def test_what_waits_is_limited(monkeypatch, deliver):
    """Records that are complete are let go; those that wait for the end of the document are not."""
    monkeypatch.setattr(b2mml, "MAX_HELD", 5000)
    document = deliver("<Lot><ID>1</ID></Lot>" * 100)

    def read(**fields):
        decoder = B2mml.from_options({"element": "Lot", "timestamp": CREATED, "fields": fields})
        return len(list(decoder.reader.read(document)))

    assert read() == read(id="ID", header=CREATED) == 100
    for fields in ({"id": "ID", "of": "../../State"}, {"none": "/None"}, {"more": "../Lot/ID"}):
        with pytest.raises(UndecodableFile) as refused:
            read(**fields)
        assert refused.value.reason == "xml_limits"


# --- options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"element": "Lot"},
        {"element": "", "timestamp": "At"},
        {"element": "/Lot", "timestamp": "At"},
        {"element": "Lot/", "timestamp": "At"},
        {"element": "b:Lot", "timestamp": "At"},
        {"element": "Lot/@id", "timestamp": "At"},
        {"element": "Lot", "timestamp": "At", "more": 1},
        *(
            {"element": "Lot", "timestamp": "At", "fields": {"f": path}}
            for path in ("", "/", "..", "a//b", "a/../b", "a/@b/c", "//a", "a[1]", "./a", "/../a", "*", "a\n")
        ),
        {"element": "Lot", "timestamp": "At", "fields": {"": "a"}},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(pydantic.ValidationError):
        B2mml.from_options(options)


def test_what_is_expected():
    decoder = B2mml.from_options({"element": "Lot", "timestamp": "../../@at"})
    assert (decoder.name, decoder.unit) == ("b2mml", "element")
    assert (decoder.expected.content, decoder.expected.kinds) == (Content.BYTES, {"xml"})


# --- any document ----------------------------------------------------------------------------------------

NAMES = st.sampled_from(["A", "B", "C"])
TREES = st.recursive(
    st.tuples(NAMES, st.sampled_from(["", "1", "two"])),
    lambda inner: st.tuples(NAMES, st.lists(inner, min_size=1, max_size=4)),
    max_leaves=15,
)
PATHS = st.tuples(st.sampled_from(["", "../", "../../", "/"]), st.lists(NAMES, min_size=1, max_size=3))


def written(tree):
    name, inner = tree
    return f"<{name}>{inner if isinstance(inner, str) else ''.join(map(written, inner))}</{name}>"


def walk(tree, above=()):
    """Every element with those above it, from the root on."""
    here = (*above, tree)
    yield here
    for child in () if isinstance(tree[1], str) else tree[1]:
        yield from walk(child, here)


def selected(start, steps):
    """Texts of the leaves below an element to which the names lead."""
    found = [start]
    for name in steps:
        found = [child for e in found if not isinstance(e[1], str) for child in e[1] if child[0] == name]
    return [e[1] for e in found if isinstance(e[1], str)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=TREES, element=st.lists(NAMES, min_size=1, max_size=2), paths=st.lists(PATHS, min_size=1, max_size=3))
def test_paths_lead_where_a_tree_says(tmp_path, tree, element, paths):
    """The stream gives what a walk over the whole document gives."""
    root = ("Root", [tree])
    expected = []
    for here in walk(root):
        if [e[0] for e in here[-len(element) :]] != element:
            continue
        said = {}
        for up, steps in paths:
            level = len(here) - 1 - up.count("..")
            values = selected(root, steps)[:1] if up == "/" else selected(here[level], steps) if level >= 0 else []
            if values:
                said[up + "/".join(steps)] = values[0] if len(values) == 1 else values
        expected.append(said)
    path = tmp_path / "tree.xml"
    path.write_text(written(root).replace("<Root>", f'<Root xmlns="{V0600}">', 1))
    fields = {up + "/".join(steps): up + "/".join(steps) for up, steps in paths}
    decoder = B2mml.from_options({"element": "/".join(element), "timestamp": CREATED, "fields": fields})
    assert [json.loads(unit.payload) for unit in decoder.reader.read(prepared(path))] == expected
    assert decoder.count(prepared(path)) == len(expected)
