"""Streams of MTConnect agents: every observation with source, tag and detail, and XML that harms nobody."""

import gzip
from pathlib import Path

import psutil
import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idm_assets.capture.content import Content
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders import xml_elements as limits
from idm_assets.capture.decoders.b2mml import B2mml
from idm_assets.capture.decoders.mtconnect_streams import MtconnectStreams
from idm_assets.capture.decoders.shdr import Shdr
from idm_assets.capture.decoders.streamed import Observed
from idm_assets.capture.decoders.xml_elements import Closed, Opened, tags
from idm_assets.referential.mtconnect_devices import read_devices
from idm_assets.status import BAD_NO_DATA, GOOD

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors" / "mtconnect_streams"
OFF = VECTORS / "qdr_input141.xml"
DEVICES = ROOT / "examples" / "config" / "referential" / "devices" / "Devices_2017-02-27.xml"

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
AT = 'timestamp="2024-05-01T10:00:00Z" sequence="7"'


def prepared(path, source=None):
    return PreparedFile(1, path, source, 0, plain=True)


def stream(*containers, device='name="Mill" uuid="u1"', version="1.3", prefix=""):
    """A document of one component."""
    p = f"{prefix}:" if prefix else ""
    xmlns = f"xmlns:{prefix}" if prefix else "xmlns"
    text = (
        f'<{p}MTConnectStreams {xmlns}="urn:mtconnect.org:MTConnectStreams:{version}"><{p}Header version="{version}"/>'
        f'<{p}Streams><{p}DeviceStream {device}><{p}ComponentStream component="Path" name="p" componentId="p1">\n'
        f"{''.join(containers)}</{p}ComponentStream></{p}DeviceStream></{p}Streams></{p}MTConnectStreams>"
    )
    return HEAD + text


@pytest.fixture
def deliver(tmp_path):
    """Write a document to a file."""

    def write(content, name="stream.xml"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return prepared(path)

    return write


@pytest.fixture
def decode(con, tmp_path, deliver):
    """Rows and rejections of a document, all units of which are accounted for."""

    def run(content, zone="UTC", **options):
        file = content if isinstance(content, PreparedFile) else deliver(content)
        decoder = MtconnectStreams.from_options(options, zone)
        decoding = decoder.exact(con, file, tmp_path)
        decoded, rejected = (
            [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
            for found in (con.sql(f"SELECT * FROM ({q}) ORDER BY line") for q in (decoding.rows, decoding.rejected))
        )
        assert len(decoded) + len(rejected) == decoder.count(file)
        assert con.sql(decoding.skipped).fetchall() == []
        return decoded, rejected

    return run


def said(row):
    return {name: row[name] for name in ("tag", "value", "text", "status", "detail")}


# --- real files ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cover(tmp_path_factory):
    path = tmp_path_factory.mktemp("cover") / "cover.xml"
    path.write_bytes(gzip.decompress((VECTORS / "Cover-Hurco04-01of20.xml.gz").read_bytes()))
    return prepared(path)


def test_a_machine_in_production(decode, cover):
    rows, rejected = decode(cover)
    assert (len(rows), rejected) == (11_928, [])
    assert {row["source"] for row in rows} == {"Hurco04"}
    speeds = [row["value"] for row in rows if row["tag"] == "Spindle_Speed"]
    assert len(speeds) == 398
    assert sum(speeds) / len(speeds) == pytest.approx(5082.564390, abs=1e-6)
    first = rows[0]
    assert first["ts"].isoformat() == "2017-02-07T16:02:46.750000+00:00"
    assert said(first) == {
        "tag": "Spindle_Speed", "value": 497.76008, "text": "497.760080", "status": GOOD, "detail": None,
    }  # fmt: skip


def test_the_device_model_explains_every_tag(decode, cover):
    bound = {(binding.source, binding.tag) for binding in read_devices(DEVICES).bindings}
    for file, by_the_agent in ((cover, set()), (prepared(OFF), {"GFAgie01_asset_chg", "GFAgie01_asset_rem"})):
        rows, _ = decode(file)
        # The agent itself adds the items of changed assets; they are in no device model that was written.
        assert {(row["source"], row["tag"]) for row in rows} - bound == {("GFAgie01", tag) for tag in by_the_agent}


def test_a_machine_that_is_off_has_no_data(decode):
    rows, rejected = decode(prepared(OFF))
    assert (len(rows), rejected) == (26, [])
    assert {row["status"] for row in rows} == {BAD_NO_DATA}
    assert {row["value"] for row in rows} == {None}
    assert sorted({row["text"] for row in rows}) == ["UNAVAILABLE", "Unavailable"]


# --- what elements mean ----------------------------------------------------------------------------------


def test_samples_and_events(decode):
    rows, rejected = decode(
        stream(
            f'<Samples><Position dataItemId="x1" name="Xact" subType="ACTUAL" {AT}>-1.50</Position>'
            f'<x:Odd xmlns:x="urn:x" dataItemId="x2" {AT}>2</x:Odd></Samples>',
            f'<Events><Line dataItemId="e1" name=" line " {AT}>007</Line>'
            f'<Message dataItemId="e2" {AT} nativeCode="OTS">ots &amp; <!-- no -->warning</Message>'
            f'<Block dataItemId="e3" {AT}><![CDATA[G1 <X1>]]></Block><Program dataItemId="e4" {AT}/></Events>',
        )
    )
    assert rejected == []
    assert [said(row) for row in rows] == [
        {"tag": "Xact", "value": -1.5, "text": "-1.50", "status": GOOD, "detail": None},
        {"tag": "x2", "value": 2.0, "text": None, "status": GOOD, "detail": None},
        {"tag": "line", "value": 7.0, "text": "007", "status": GOOD, "detail": None},
        {"tag": "e2", "value": None, "text": "ots & warning", "status": GOOD, "detail": '{"native_code":"OTS"}'},
        {"tag": "e3", "value": None, "text": "G1 <X1>", "status": GOOD, "detail": None},
        {"tag": "e4", "value": None, "text": "", "status": GOOD, "detail": None},
    ]


def test_tags_can_be_ids(decode):
    document = stream(f'<Samples><Position dataItemId="x1" name="Xact" {AT}>1</Position></Samples>')
    assert [row["tag"] for row in decode(document, tag="id")[0]] == ["x1"]
    with pytest.raises(pydantic.ValidationError):
        MtconnectStreams.from_options({"tag": "name"})


@pytest.mark.parametrize("container", ["Condition", "Conditions"])
def test_conditions_are_told_as_adapters_tell_them(decode, container):
    rows, rejected = decode(
        stream(
            f'<{container}><Fault dataItemId="c1" name="servo" {AT} type="ACTUATOR" qualifier="HIGH" nativeSeverity="2"'
            f' nativeCode="E 401">spindle "hot"</Fault><Normal dataItemId="c1" name="servo" {AT} type="ACTUATOR"/>'
            f'<Warning dataItemId="c2" {AT} conditionId="w1">\n</Warning>'
            f'<Unavailable dataItemId="c3" {AT}/></{container}>'
        )
    )
    assert rejected == []
    detail = r'{"native_code":"E 401","severity":"2","qualifier":"HIGH","message":"spindle \"hot\""}'
    assert [(row["tag"], row["text"], row["status"], row["detail"]) for row in rows] == [
        ("servo", "Fault", GOOD, detail),
        ("servo", "Normal", GOOD, None),
        ("c2", "Warning", GOOD, '{"condition_id":"w1"}'),
        ("c3", "Unavailable", BAD_NO_DATA, None),
    ]
    assert {row["value"] for row in rows} == {None}


def test_a_machine_says_the_same_by_its_adapter(con, tmp_path, decode):
    """Else the same observation by two ways would contradict itself."""
    rows, _ = decode(
        stream(
            f'<Condition><Fault name="servo" {AT} nativeCode="E 4" nativeSeverity="2" qualifier="HIGH">"hot" é/'
            f'</Fault></Condition><Events><Message name="msg" {AT} nativeCode="OTS">ots</Message></Events>'
            f'<Samples><Load name="load" {AT} subType="ACTUAL" duration="0.5">1.50</Load>'
            f'<Load name="x" {AT}>UNAVAILABLE</Load></Samples>'
        )
    )
    path, at = tmp_path / "adapter.shdr", "2024-05-01T10:00:00Z"
    path.write_text(f'{at}|servo|Fault|E 4|2|HIGH|"hot" é/\n{at}|msg|OTS|ots\n{at}@0.5|load|1.50\n{at}|x|UNAVAILABLE\n')
    adapter = Shdr.from_options({}, "UTC").exact(con, PreparedFile(1, path, "Mill", 4, plain=True), tmp_path)
    columns = "line, source, tag, ts, value, text, status, detail"
    assert [tuple(row[c] for c in columns.split(", ")) for row in rows] == con.sql(
        f"SELECT {columns} FROM ({adapter.rows}) ORDER BY line"
    ).fetchall()


def test_the_detail_holds_what_belongs_to_the_observation(decode):
    rows, _ = decode(
        stream(
            f'<Samples><Load dataItemId="a" {AT} subType="ACTUAL" statistic="AVERAGE" compositionId="m" duration="0.5"'
            f' resetTriggered="DAY">1</Load></Samples>',
            f'<Events><AssetChanged dataItemId="b" {AT} assetType="CuttingTool">T1</AssetChanged>'
            f'<AssetRemoved dataItemId="c" {AT} assetType="">T2</AssetRemoved>'
            f'<Odd xmlns:x="urn:x" x:shift="B" x:quality="x" dataItemId="d" {AT} quality="INVALID">1</Odd></Events>',
        )
    )
    assert [row["detail"] for row in rows] == [
        '{"duration":"0.5","reset_triggered":"DAY"}',
        '{"asset_type":"CuttingTool"}',
        None,
        '{"quality":"INVALID","shift":"B"}',
    ]


def test_several_values_at_once_are_text(decode):
    rows, rejected = decode(
        stream(
            f'<Samples><AccelerationTimeSeries dataItemId="t" {AT} sampleCount="3" sampleRate="100">1 2 3'
            f'</AccelerationTimeSeries><PowerTimeSeries dataItemId="u" {AT} sampleCount="1">4</PowerTimeSeries>'
            f'<PathPosition dataItemId="p" {AT}>1 2 3</PathPosition></Samples>',
            f'<Events><VariableDataSet dataItemId="v" {AT} count="3"> <Entry key="b">1.50</Entry>\n'
            '<Entry key="a">é "</Entry><Entry key="gone" removed="true"/></VariableDataSet>'
            f'<WorkOffsetTable dataItemId="w" {AT} count="1"><Entry key="G54"><Cell key="X">1</Cell>'
            f'<Cell key="Y">2</Cell></Entry></WorkOffsetTable><VariableDataSet dataItemId="z" {AT} count="0"/>'
            f'<VariableDataSet dataItemId="n" {AT} count="0">UNAVAILABLE</VariableDataSet></Events>',
        )
    )
    assert rejected == []
    assert {row["tag"]: (row["text"], row["status"]) for row in rows} == {
        "t": ("1 2 3", GOOD),
        "u": ("4", GOOD),
        "p": ("1 2 3", GOOD),
        "v": ('{"b":"1.50","a":"é \\"","gone":null}', GOOD),
        "w": ('{"G54":{"X":"1","Y":"2"}}', GOOD),
        "z": ("{}", GOOD),
        "n": ("UNAVAILABLE", BAD_NO_DATA),
    }
    assert {row["value"] for row in rows} == {None}
    assert rows[0]["detail"] == '{"sample_count":"3","sample_rate":"100"}'


@pytest.mark.parametrize("version", ["1.0", "1.4", "2.5"])
@pytest.mark.parametrize("prefix", ["", "m"])
def test_versions_and_prefixes_do_not_matter(decode, version, prefix):
    p = f"{prefix}:" if prefix else ""
    document = stream(
        f'<{p}Events><{p}Mode dataItemId="e" {AT}>AUTOMATIC</{p}Mode></{p}Events>', version=version, prefix=prefix
    )
    rows, _ = decode(document)
    assert [(row["source"], row["text"]) for row in rows] == [("Mill", "AUTOMATIC")]


@pytest.mark.parametrize(
    ("device", "path_says", "source"),
    [
        ('name="Mill" uuid="u1"', "folder", "Mill"),
        ('name=" " uuid="u1"', "folder", "u1"),
        ("", "folder", "folder"),
    ],
)
def test_a_source_is_the_device_its_uuid_or_what_the_path_says(decode, deliver, device, path_says, source):
    file = deliver(stream(f'<Events><Mode dataItemId="e" {AT}>A</Mode></Events>', device=device))
    rows, _ = decode(prepared(file.path, path_says))
    assert [row["source"] for row in rows] == [source]


def test_several_devices_and_components(decode):
    one, two = (
        stream(f'<Events><Mode dataItemId="{name}" {AT}>A</Mode></Events>', device=f'name="{name}"')
        for name in ("A", "B")
    )
    inner = two[two.index("<DeviceStream") : two.index("</Streams>")]
    rows, _ = decode(one.replace("</Streams>", f"{inner}</Streams>"))
    assert [(row["source"], row["tag"], row["line"]) for row in rows] == [("A", "A", 1), ("B", "B", 2)]


def test_a_fetch_without_news_has_no_units(decode):
    assert decode(stream()) == ([], [])
    assert decode(f"{HEAD}<MTConnectStreams><Streams/></MTConnectStreams>") == ([], [])


@pytest.mark.parametrize(
    ("container", "reason", "found"),
    [
        ('<Events><Mode dataItemId="e" timestamp="yesterday">A</Mode></Events>', "timestamp_unreadable", "yesterday"),
        ('<Events><Mode dataItemId="e">A</Mode></Events>', "timestamp_unreadable", "nothing"),
        (f"<Events><Mode {AT}>A</Mode></Events>", "tag_missing", None),
        (f'<Condition><Broken dataItemId="c" {AT}/></Condition>', "element_unreadable", "'Broken'"),
        (f'<Condition><Fault dataItemId="c" {AT}><b/></Fault></Condition>', "element_unreadable", "'b'"),
        (f'<Gauges><Mode dataItemId="e" {AT}>A</Mode></Gauges>', "element_unreadable", "'Gauges'"),
        (f'<Events><V dataItemId="e" {AT}><Other/></V></Events>', "element_unreadable", "<Other/>"),
        (f'<Events><V dataItemId="e" {AT}><Entry>1</Entry></V></Events>', "element_unreadable", "<Entry>1</Entry>"),
        (f'<Events><V dataItemId="e" {AT}>1<Entry key="a"/></V></Events>', "element_unreadable", "both"),
        (f'<Events><V dataItemId="e" {AT}><Entry key="a">x<Cell key="b"/></Entry></V></Events>', "element_unreadable",
         "both"),
        (f'<Events><V dataItemId="e" {AT}><Entry key="a"/><Entry key="a"/></V></Events>', "element_unreadable",
         "twice"),
    ],
)  # fmt: skip
def test_a_unit_that_cannot_be_read_is_kept_with_its_reason(decode, container, reason, found):
    fine = f'<Events><Mode dataItemId="e" {AT}>A</Mode></Events>'
    rows, rejected = decode(stream(fine, container, fine))
    assert [row["line"] for row in rows] == [1, 3]
    assert [(row["line"], row["reason"]) for row in rejected] == [(2, reason)]
    assert found is None or found in rejected[0]["detail"]
    element = container[container.index(">") + 1 : container.rindex("<")]
    assert rejected[0]["payload"] == element


# --- files that are kept out -----------------------------------------------------------------------------


def refusal(decoder, file, *, by="read"):
    """Reason and detail for which a file is kept out."""
    with pytest.raises(UndecodableFile) as refused:
        decoder.count(file) if by == "count" else list(decoder.reader.read(file))
    return refused.value.reason, refused.value.detail


@pytest.mark.parametrize("by", ["read", "count"])
@pytest.mark.parametrize(
    ("document", "what"),
    [
        ('<MTConnectError xmlns="urn:mtconnect.org:MTConnectError:1.3"><Errors/></MTConnectError>', "error"),
        ("<MTConnectDevices/>", "device model"),
        ("<m:MTConnectAssets xmlns:m='urn:mtconnect.org:MTConnectAssets:1.3'/>", "assets"),
        ("<Envelope/>", "'Envelope'"),
        ("<!DOCTYPE html><html><p>502 Bad Gateway<br></html>", "HTML"),
    ],
)
def test_other_documents_are_named(deliver, document, what, by):
    reason, detail = refusal(MtconnectStreams.from_options({}), deliver(document), by=by)
    assert reason == "foreign_content"
    assert what in detail


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
DEEP = "<a>" * 101 + "</a>" * 101


def observed(value, before="", attributes=""):
    return HEAD + before + stream(f'<Events><M dataItemId="e" {AT}{attributes}>{value}</M></Events>')[len(HEAD) :]


@pytest.mark.parametrize("by", ["read", "count"])
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (observed("&l9;", f'<!DOCTYPE M [<!ENTITY l0 "ha">{LAUGHS}]>'), "xml_entities"),
        (observed("A", f'<!DOCTYPE M [<!ENTITY l0 "ha">{LAUGHS}]>', ' x="&l9;"'), "xml_entities"),
        (observed("&q;" * 1000, f'<!DOCTYPE M [<!ENTITY q "{"q" * 50_000}">]>'), "xml_entities"),
        (observed("&f;", '<!DOCTYPE M [<!ENTITY f SYSTEM "file:///etc/passwd">]>'), "xml_entities"),
        (observed("A", '<!DOCTYPE M SYSTEM "http://127.0.0.1:9/x.dtd">'), "xml_entities"),
        (observed("A", '<!DOCTYPE M [<!ENTITY % p SYSTEM "http://127.0.0.1:9/">%p;]>'), "xml_entities"),
        (observed("&unknown;"), "xml_invalid"),
        (observed(DEEP), "xml_limits"),
        (observed("<b>"), "xml_invalid"),
        (observed("A\x00B"), "xml_invalid"),
        (observed("&#0;"), "xml_invalid"),
        (observed("&#xD800;"), "xml_invalid"),
        (observed("A\x01B"), "xml_invalid"),
        (observed("é").encode("latin-1"), "xml_invalid"),
        (observed("x").encode().replace(b">x<", b">\xed\xa0\x80<"), "xml_invalid"),
        (observed("x").replace("UTF-8", "x-none"), "xml_invalid"),
        (observed("A", attributes=' name="a" name="b"'), "xml_invalid"),
        (observed("A") + "<more/>", "xml_invalid"),
        (observed("A") + observed("B"), "xml_invalid"),
        (observed("A") + "\0\0\0\0", "xml_invalid"),
        (observed("A")[:-3], "xml_invalid"),
        ("", "xml_invalid"),
        ("{}", "xml_invalid"),
        ("\0" * 100, "xml_invalid"),
    ],
)
def test_hostile_and_broken_documents_are_kept_out(deliver, document, reason, by):
    found, detail = refusal(MtconnectStreams.from_options({}), deliver(document), by=by)
    assert found == reason
    assert len(detail) < 1000


@pytest.mark.parametrize("by", ["read", "count"])
def test_the_place_of_an_error_is_told(deliver, by):
    document = stream(f'<Events>\n<M dataItemId="e" {AT}>A</M>\n<M dataItemId="e" {AT}>A</N>\n</Events>')
    _, detail = refusal(MtconnectStreams.from_options({}), deliver(document), by=by)
    assert detail.startswith("line 5, column ")


def test_a_file_that_breaks_off_is_kept_out_whole(con, tmp_path, deliver):
    document = stream(f"<Events>{f'<M {AT}>A</M>' * 50_000}</Events>")
    decoder = MtconnectStreams.from_options({})
    with pytest.raises(UndecodableFile) as refused:
        decoder.exact(con, deliver(document[:-20]), tmp_path)
    assert refused.value.reason == "xml_invalid"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "windows-1252"])
def test_a_document_says_how_it_is_encoded(decode, encoding):
    declared = encoding.removesuffix("-sig")
    rows, _ = decode(observed("Fräsen £").replace("UTF-8", declared).encode(encoding))
    assert [row["text"] for row in rows] == ["Fräsen £"]


def test_an_encoding_that_only_one_reader_knows_is_kept_out(deliver):
    file = deliver(observed("日本").replace("UTF-8", "shift_jis").encode("shift_jis"))
    reason, detail = refusal(MtconnectStreams.from_options({}), file, by="count")
    assert reason == "xml_invalid"
    assert "deliver UTF-8" in detail


def test_expected_content():
    decoder = MtconnectStreams.from_options({})
    assert decoder.expected.content is Content.BYTES
    assert decoder.expected.kinds == {"xml"}
    assert (decoder.name, decoder.unit) == ("mtconnect_streams", "element")


# --- limits ----------------------------------------------------------------------------------------------


def test_values_have_a_longest_length(deliver):
    decoder = MtconnectStreams.from_options({})
    most = "x" * limits.MAX_TEXT
    fine = deliver(observed(most))
    (unit,) = decoder.reader.read(fine)
    assert isinstance(unit, Observed)
    assert unit.value == most
    for document in (
        observed(most + "y"),
        observed(f"{most}<!-- -->y"),
        observed("x", attributes=f' long="{most}y"'),
        observed("x", attributes="".join(f' a{n}=""' for n in range(limits.MAX_ATTRIBUTES))),
    ):
        assert refusal(decoder, deliver(document))[0] == "xml_limits"


def test_one_value_is_made_of_so_much_at_most(deliver, monkeypatch):
    monkeypatch.setattr(limits, "MAX_TREE_TAGS", 20)
    monkeypatch.setattr(limits, "MAX_TREE_TEXT", 100)
    decoder = MtconnectStreams.from_options({})

    def entries(count, text="x"):
        return deliver(observed("".join(f'<Entry key="{n}">{text}</Entry>' for n in range(count))))

    assert len(list(decoder.reader.read(entries(9)))) == 1
    assert refusal(decoder, entries(10))[0] == "xml_limits"
    assert refusal(decoder, entries(2, "x" * 40))[0] == "xml_limits"


@pytest.mark.parametrize("by", ["read", "count"])
@pytest.mark.parametrize("element", ["<n{0}/>", '<n n{0}=""/>', '<n xmlns:n{0}="u"/>', '<n xmlns="u{0}"/>'])
def test_names_are_not_without_end(deliver, element, by):
    """The parsers keep every name, so a document of ever new ones would fill the memory."""
    decoder = MtconnectStreams.from_options({})
    names = [element.format(n) for n in range(limits.MAX_NAMES)]
    file = deliver(f"<MTConnectStreams>{''.join(names)}</MTConnectStreams>")
    reason, detail = refusal(decoder, file, by=by)
    assert reason == "xml_limits"
    assert detail.endswith(f"more than {limits.MAX_NAMES} distinct names in the document")


def test_the_count_holds_no_endless_tag(deliver):
    endless = observed("x", before=f"<!-- {'x' * (6 * limits.MAX_TEXT)} -->")
    assert refusal(MtconnectStreams.from_options({}), deliver(endless), by="count")[0] == "xml_limits"


def test_blanks_between_elements_are_no_value(deliver):
    """However many there are: an element with a million children would otherwise have too long a text."""
    file = deliver(f"<a>{('<b/>' + ' ' * 50_000) * 30}<b/>t<c/>u v<d>\n</d></a>")
    found = list(tags(file.path))
    assert found[-1] == Closed("a", "tu v", is_leaf=False)
    assert found[-2] == Closed("d", "\n", is_leaf=True)
    assert sum(isinstance(tag, Opened) for tag in found) == 34


@pytest.mark.slow
def test_a_large_document_is_read_in_constant_memory(tmp_path):
    path = tmp_path / "large.xml"
    head, tail = stream("<Samples>@</Samples>").split("@")
    with path.open("w") as file:
        file.write(head)
        for n in range(150_000):
            file.write(
                f'<Position dataItemId="x{n % 100}" name="Xact" subType="ACTUAL" {AT}>{n}.5</Position>\n        '
            )
        file.write(tail)
    assert path.stat().st_size > 18_000_000
    process, decoder = psutil.Process(), MtconnectStreams.from_options({})
    before = process.memory_info().rss
    most = count = 0
    for count, _ in enumerate(decoder.reader.read(prepared(path)), start=1):
        if count % 5000 == 0:
            most = max(most, process.memory_info().rss)
    assert count == decoder.count(prepared(path)) == 150_000
    assert most - before < 8_000_000


# --- any bytes -------------------------------------------------------------------------------------------

B2MML = [
    (B2mml.from_options({"element": element, "timestamp": "ApplicationArea/CreationDateTime", "fields": fields}), path)
    for element, fields in (("SegmentRequirement", {"id": "ID", "of": "../ID"}), ("Value", {}), ("MaterialLot", {}))
    for path in sorted((ROOT / "tests" / "vectors" / "b2mml").glob("*.xml"))
]
TWISTS = [
    b"", b"\0", b"<", b">", b"&", b"]]>", b"<![CDATA[", b"<!--", b"-->", b"<?x", b"?>", b"&amp;", b"&#xD800;", b"&x;",
    b"\xed\xa0\x80", b"\xff\xfe", b"\xef\xbb\xbf", b"utf-16", b'encoding="shift_jis"', b"<!DOCTYPE a []>", b"x:y=''",
    b'xmlns="urn:b2mml"', b"<Entry key='a'>1</Entry>", b"</Events>", b"<x:a/>", b" ", b"\r\n", b"<Condition><Fault/>",
]  # fmt: skip


REASONS = {"xml_invalid", "xml_entities", "xml_limits", "foreign_content"}


def outcome(act):
    """What comes of reading; nothing but `UndecodableFile` may be raised."""
    try:
        return act()
    except UndecodableFile as error:
        if error.reason not in REASONS:
            raise
        return None


def assert_sound(decoder, file):
    counted = outcome(lambda: decoder.count(file))
    read = outcome(lambda: len(list(decoder.reader.read(file))))
    assert counted is None or read is None or counted == read


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_are_read_or_kept_out(tmp_path, data):
    decoder, origin = data.draw(st.sampled_from([(MtconnectStreams.from_options({}), OFF), *B2MML]))
    content = bytearray(origin.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.sampled_from([0, 0, 0, 1, 1, 5, 50, 1000]))
        new = data.draw(
            st.one_of(st.sampled_from(TWISTS), st.binary(max_size=8), st.just(bytes(content[start : start + 300])))
        )
        content[start : start + length] = new
    path = tmp_path / "mutated.xml"
    path.write_bytes(content)
    assert_sound(decoder, prepared(path))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(
        st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20),
        max_size=5,
    ),
    chunk=st.integers(1, 50),
)
def test_texts_come_through_however_the_bytes_are_cut(tmp_path, monkeypatch, texts, chunk):
    monkeypatch.setattr(limits, "_CHUNK", chunk)
    escaped = [text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in texts]
    document = stream(f"<Events>{''.join(f'<M {AT}>{text}</M>' for text in escaped)}</Events>")
    path = tmp_path / "texts.xml"
    path.write_text(document, encoding="utf-8", newline="")
    decoder = MtconnectStreams.from_options({})
    assert [unit.value for unit in decoder.reader.read(prepared(path))] == texts
    assert decoder.count(prepared(path)) == len(texts)
