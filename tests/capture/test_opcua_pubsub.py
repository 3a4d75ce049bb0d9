"""OPC UA PubSub messages in JSON: the same values from every layout, and no unit that is lost."""

import json
from itertools import product
from pathlib import Path

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idm_assets.capture.decoders import PreparedFile
from idm_assets.capture.decoders.opcua_pubsub import OpcuaPubsub, OpcuaPubsubOptions
from idm_assets.capture.decoders.streamed import Observed, Rejected, Skipped
from idm_assets.status import BAD_NO_DATA, GOOD

VECTORS = Path(__file__).parents[1] / "vectors" / "opcua_pubsub_json"
ON_FILES = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
BAD_NO_COMMUNICATION = 0x80310000
UNCERTAIN_LAST_USABLE_VALUE = 0x40900000
AT, LATER, LATEST = "2024-05-01T10:00:00Z", "2024-05-01T10:00:01Z", "2024-05-01T10:00:02Z"
ENQUEUED = {"documents": "one", "missing_time": "enqueued"}


def prepared(path, source="path"):
    return PreparedFile(1, path, source, 0, plain=True)


@pytest.fixture
def deliver(tmp_path):
    """Write messages to a file: text and bytes as they are, anything else as JSON."""

    def write(content):
        path = tmp_path / "messages.json"
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return prepared(path)

    return write


@pytest.fixture
def read(deliver):
    """The units of messages, as many as are counted."""

    def units(content, **options):
        reader = OpcuaPubsub(OpcuaPubsubOptions(**options))
        file = content if isinstance(content, PreparedFile) else deliver(content)
        found = list(reader.read(file))
        assert reader.count(file) == len(found)
        return found

    return units


@pytest.fixture
def decode(con, tmp_path, deliver):
    """Rows, rejections and skips of messages, all units of which are accounted for."""

    def run(content, **options):
        file = content if isinstance(content, PreparedFile) else deliver(content)
        decoder = OpcuaPubsub.from_options(options)
        decoding = decoder.exact(con, file, tmp_path)
        rows, rejected = (
            [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
            for found in (con.sql(f"SELECT * FROM ({q}) ORDER BY line") for q in (decoding.rows, decoding.rejected))
        )
        skipped = {reason: count for _, reason, count in con.sql(decoding.skipped).fetchall()}
        assert len(rows) + len(rejected) + sum(skipped.values()) == decoder.count(file)
        return rows, rejected, skipped

    return run


def network(*messages, **members):
    return {"MessageId": "1", "MessageType": "ua-data", "PublisherId": "pub", "Messages": list(messages), **members}


def data_set(payload, **members):
    return {"DataSetWriterId": 7, "Timestamp": AT, "Payload": payload, **members}


def item(value, **members):
    return {"NodeId": "ns=2;s=Level", "EndpointUrl": "opc.tcp://tank:4840", "Timestamp": AT, "Value": value, **members}


def event(**fields):
    return data_set({"EventId": "AQ==", "EventType": "i=2830", "Message": "full", **fields}, MessageType="ua-event")


def only(units):
    (unit,) = units
    return unit


# --- real messages ---------------------------------------------------------------------------------------

# Counted in the files by hand: units, observations, skipped, rejected, where a file is declared to be one document and
# the time of the hub stands in for a missing one.
SAMPLES = {
    "sample_01.json": (5, 5, 0, 0),
    "sample_02.json": (1, 0, 1, 0),
    "sample_03.json": (1, 1, 0, 0),
    "sample_04.json": (1, 0, 1, 0),
    "sample_05.json": (1, 1, 0, 0),
    "sample_06.json": (1, 1, 0, 0),
    "sample_07.json": (1, 0, 1, 0),
    "sample_08.json": (1, 1, 0, 0),
    "sample_09.invalid.json": (2, 1, 0, 1),
    "sample_10.invalid.json": (1, 0, 0, 1),
    "sample_11.json": (1, 1, 0, 0),
    "sample_12.json": (1, 1, 0, 0),
    "sample_13.json": (5, 5, 0, 0),
    "sample_14.json": (1, 1, 0, 0),
    "sample_15.json": (1, 1, 0, 0),
    "sample_16.json": (1, 1, 0, 0),
    "sample_17.json": (1, 1, 0, 0),
}
# Where they differ without these options: all documents of a file are read, and what has no time is rejected.
BY_DEFAULT = {
    "sample_05.json": (1, 0, 0, 1),
    "sample_09.invalid.json": (2, 2, 0, 0),
    "sample_14.json": (1, 0, 0, 1),
    "sample_17.json": (1, 0, 0, 1),
}


def balance(rows, rejected, skipped):
    counts = len(rows), sum(skipped.values()), len(rejected)
    return (sum(counts), *counts)


def test_the_table_names_every_sample():
    assert set(SAMPLES) == {path.name for path in VECTORS.glob("*.json")}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_unit_of_a_sample_is_accounted_for(decode, name):
    file = prepared(VECTORS / name)
    assert balance(*decode(file, **ENQUEUED)) == SAMPLES[name]
    assert balance(*decode(file)) == BY_DEFAULT.get(name, SAMPLES[name])


def test_why_samples_are_rejected(decode):
    def reasons(name, **options):
        return [(row["line"], row["reason"]) for row in decode(prepared(VECTORS / name), **options)[1]]

    assert reasons("sample_09.invalid.json", documents="one") == [(2, "several_documents")]
    assert reasons("sample_10.invalid.json") == [(1, "json_invalid")]
    for name in ("sample_05.json", "sample_14.json", "sample_17.json"):
        assert reasons(name) == [(1, "timestamp_unreadable")]


def data_values(json_value):
    """Value, status and time of all DataValues within a JSON value."""
    if isinstance(json_value, list):
        return [found for element in json_value for found in data_values(element)]
    if not isinstance(json_value, dict):
        return []
    if "SourceTimestamp" in json_value:
        code = json_value.get("StatusCode", {"Code": 0})["Code"]
        return [(json_value.get("Value"), code, json_value["SourceTimestamp"])]
    return [found for member in json_value.values() for found in data_values(member)]


@pytest.mark.parametrize("number", ["01", "08", "11", "12", "13"])
def test_the_values_of_a_sample_are_those_that_its_json_holds(read, number):
    path = VECTORS / f"sample_{number}.json"
    expected = data_values(json.loads(path.read_text()))
    found = [(unit.value if unit.is_text else int(unit.value), unit.status, unit.ts) for unit in read(prepared(path))]
    assert found == expected
    assert len(found) >= 1


@pytest.mark.parametrize(
    ("number", "tag", "text", "ts"),
    [
        ("03", "SIMPLE-EVENTS/event", "The system cycle '59' has started.", "2021-06-21T12:38:55.581407+00:00"),
        ("05", "SIMPLE-EVENTS/event", "The system cycle '5' has started.", "2021-06-21T12:45:22+00:00"),
        ("06", "PENDING-ALARMS/event", "The dialog was activated", "2022-12-20T17:03:02.133815+00:00"),
        ("14", "i=2253/event", "The system cycle '1' has started.", "2022-03-18T13:04:18+00:00"),
        ("15", "i=2253/event", "The system cycle '3' has started.", "2022-12-05T11:00:18.190782+00:00"),
        ("16", "i=2253/event", "The dialog was activated", "2022-12-20T15:53:10.381570+00:00"),
        ("17", "i=2253/event", "The system cycle '1' has started.", "2022-03-18T13:04:18+00:00"),
    ],
)
def test_the_events_of_samples_keep_all_fields(decode, number, tag, text, ts):
    path = VECTORS / f"sample_{number}.json"
    (row,) = decode(prepared(path), **ENQUEUED)[0]
    assert (row["tag"], row["text"], row["value"], row["ts"].isoformat()) == (tag, text, None, ts)
    detail = json.loads(row["detail"])
    assert json.dumps(detail["event"])[1:-1] in json.dumps(json.loads(path.read_text()))
    assert detail["event"]["EventId"]
    assert ("ts" in detail) == (number in {"05", "14", "17"})


# --- layouts ---------------------------------------------------------------------------------------------

FIELDS = {"Level": {"Value": 1.50, "SourceTimestamp": LATER}, "Open": True}
SET = data_set(FIELDS, PublisherId="pub")
LAYOUTS = {
    "network message": network(SET),
    "single message": network(Messages=SET),
    "wrapper": {"body": network(SET), "enqueuedTime": LATEST, "properties": {}},
    "wrapper of a list": {"Body": [network(SET)], "EnqueuedTimeUtc": LATEST},
    "list of network messages": [network(SET)],
    "data set message": SET,
    "list of data set messages": [SET],
    "list in a list": [[[SET]]],
    "pretty": json.dumps(network(SET), indent=2),
    "list of wrappers": [{"body": network(SET)}],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_message_means_the_same_in_every_layout(read, layout):
    assert read(LAYOUTS[layout]) == [
        Observed("7/Level", LATER, "1.5", source="pub"),
        Observed("7/Open", AT, True, source="pub", is_text=True),
    ]


def test_messages_follow_each_other_on_lines_and_a_broken_one_costs_no_other(read):
    lines = [json.dumps(network(data_set({"a": n}))) for n in range(3)]
    units = read("\n".join([lines[0], lines[1][:-9], "[]", lines[2], lines[2] + "}"]))
    assert [unit.value for unit in units if isinstance(unit, Observed)] == ["0", "2", "2"]
    assert [unit.reason for unit in units if isinstance(unit, Rejected)] == ["json_invalid"] * 2


def test_payloads_without_header_are_taken_only_where_that_is_declared(read):
    bare = {"Level": {"Value": 3, "SourceTimestamp": AT}, "Open": {"Value": False, "ServerTimestamp": LATER}}
    (unit,) = read(bare)
    assert (unit.reason, json.loads(unit.payload)) == ("message_unreadable", bare)
    assert read([bare, {}], layout="fields") == [
        Observed("Level", AT, "3"),
        Observed("Open", LATER, False, is_text=True),
        Skipped("empty_message"),
    ]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"DataSetWriterId": 7, "MessageType": "ua-keepalive", "SequenceNumber": 4}, "keep_alive"),
        ({"DataSetWriterId": 7, "MessageType": "ua-keepalive", "Payload": {}}, "keep_alive"),
        ({"DataSetWriterId": 7, "SequenceNumber": 4}, "keep_alive"),
        ({"DataSetWriterId": 7, "Payload": None}, "keep_alive"),
        ({"DataSetWriterId": 7, "MessageType": "ua-deltaframe", "Payload": {}}, "empty_message"),
        ({"DataSetWriterId": 7, "MessageType": "ua-deltaframe"}, "empty_message"),
        ({"DataSetWriterId": 7, "MessageType": "ua-event", "Payload": {}}, "empty_message"),
        ({"MessageType": "ua-metadata", "MetaData": {"Fields": [{"Name": "a"}, {"Name": "b"}]}}, "metadata"),
        ({"MessageType": "ua-status", "Status": 0, "Messages": [{}, {}]}, "discovery"),
        ({}, "empty_message"),
    ],
)
def test_a_message_without_values_is_one_skipped_unit(read, message, reason):
    assert read(network(message)) == [Skipped(reason)]


def test_a_network_message_without_messages_is_one_skipped_unit(read):
    assert read(network()) == [Skipped("empty_message")]


@pytest.mark.parametrize(
    "message",
    [
        1, "text", None, True, {"Level": 3}, {"NodeId": "i=1"}, {"body": "eyJ9"}, {"Messages": None}, {"Messages": 5},
        data_set([1, 2]), data_set("text"), data_set(False), data_set([], MessageType="ua-event"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_rejected_with_its_text(read, message):
    unit, good = read([network(message, data_set({"a": 1}))])
    assert (unit.reason, good.value) == ("message_unreadable", "1")
    assert unit.detail.startswith("line 1: expected a")
    assert unit.payload in json.dumps(message, separators=(",", ":"))


def test_a_file_that_is_declared_to_be_one_document_holds_no_other(read):
    text = json.dumps(network(data_set({"a": 1})))
    first, *others = read(f"{text}\n{text}\n{{", documents="one")
    assert first.value == "1"
    assert [unit.reason for unit in others] == ["several_documents", "json_invalid"]
    assert others[0].payload == text
    assert len(read([SET, SET], documents="one")) == 4


# --- fields ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Status", "StatusCode"])
@pytest.mark.parametrize(
    ("code", "status"),
    [
        (None, GOOD), (0, GOOD), ({}, GOOD), ({"Symbol": "Good"}, GOOD), ({"Code": 0, "Symbol": "Good"}, GOOD),
        (UNCERTAIN_LAST_USABLE_VALUE, UNCERTAIN_LAST_USABLE_VALUE),
        ({"Code": BAD_NO_COMMUNICATION}, BAD_NO_COMMUNICATION),
        ({"Symbol": "BadNoCommunication", "Code": BAD_NO_COMMUNICATION}, BAD_NO_COMMUNICATION),
        (2**32 - 1, 2**32 - 1),
    ],
)  # fmt: skip
def test_a_status_is_a_number_or_an_object_with_one(read, name, code, status):
    field = {"Value": 5, name: code}
    assert only(read(data_set({"a": field}))) == Observed("7/a", AT, "5", status)
    assert only(read(data_set({"a": 5}, **{name: code}))) == Observed("7/a", AT, "5", status)
    assert only(read(item(field))).status == status


@pytest.mark.parametrize(
    "code",
    [2**32, -1, 1.0, 1e3, "0", True, [], {"Code": 2**32}, {"Code": None}, {"Code": "0"}, {"Code": {"Code": 0}},
     {"Symbol": "BadNoCommunication"}, {"Code": 0, "Other": 0}, 10**40],
)  # fmt: skip
def test_a_status_of_another_form_is_rejected_with_its_field_alone(read, code):
    rejected, good = read(data_set({"a": {"Value": 5, "StatusCode": code}, "b": 6}))
    assert (rejected.reason, good.value) == ("status_unreadable", "6")
    assert "line 1, 'a': expected an OPC UA StatusCode" in rejected.detail
    assert json.loads(rejected.payload)["a"] == {"Value": 5, "StatusCode": code, "SourceTimestamp": None}


def test_a_status_of_the_field_comes_before_that_of_the_message(read):
    units = read(
        data_set({"a": {"Value": 5, "Status": UNCERTAIN_LAST_USABLE_VALUE}, "b": 6}, Status=BAD_NO_COMMUNICATION)
    )
    assert [unit.status for unit in units] == [UNCERTAIN_LAST_USABLE_VALUE, BAD_NO_COMMUNICATION]


@pytest.mark.parametrize(
    ("field", "status"),
    [
        ({"StatusCode": BAD_NO_COMMUNICATION}, BAD_NO_COMMUNICATION),
        ({"Value": None, "Status": {"Code": BAD_NO_COMMUNICATION}}, BAD_NO_COMMUNICATION),
        ({"Type": 19, "Body": BAD_NO_COMMUNICATION}, BAD_NO_COMMUNICATION),
        ({"Code": BAD_NO_COMMUNICATION, "Symbol": "BadNoCommunication"}, BAD_NO_COMMUNICATION),
        ({"SourceTimestamp": AT}, BAD_NO_DATA),
        (None, BAD_NO_DATA),
        ({"Value": None, "Status": UNCERTAIN_LAST_USABLE_VALUE}, UNCERTAIN_LAST_USABLE_VALUE),
    ],
)
def test_a_field_without_value_keeps_its_status(read, field, status):
    assert only(read(data_set({"a": field}))) == Observed("7/a", AT, None, status, is_text=True)


@pytest.mark.parametrize(
    ("source", "server", "message", "expected"),
    [
        (AT, LATER, LATEST, AT),
        (None, LATER, LATEST, LATER),
        (None, None, LATEST, LATEST),
        ("0001-01-01T00:00:00Z", LATER, LATEST, LATER),
        (None, "1601-01-01T00:00:00Z", LATEST, LATEST),
        ("", LATER, LATEST, LATER),
        ("yesterday", LATER, LATEST, "yesterday"),
        (5, LATER, LATEST, "5"),
        (None, None, None, None),
    ],
)
def test_the_time_is_the_sources_else_the_servers_else_the_messages(read, source, server, message, expected):
    field = {"Value": 5, "SourceTimestamp": source, "ServerTimestamp": server}
    assert only(read(data_set({"a": field}, Timestamp=message))).ts == expected
    assert only(read(item(field, Timestamp=message))).ts == expected


@pytest.mark.parametrize(
    ("enqueued", "expected"),
    [
        (AT, AT),
        ("Fri Mar 18 2022 13:55:21 GMT+0100 (Central European Standard Time)", "2022-03-18T13:55:21+0100"),
        ("Fri Mai 18 2022 13:55:21 GMT+0100", "Fri Mai 18 2022 13:55:21 GMT+0100"),
    ],
)
def test_the_hub_says_the_time_only_where_that_is_declared(read, enqueued, expected):
    message = {"body": [data_set({"a": 5}, Timestamp=None), SET], "enqueuedTime": enqueued}
    assert read(message)[0].ts is None
    first, *others = read(message, missing_time="enqueued")
    assert (first.ts, first.detail) == (expected, '{"ts":"enqueued"}')
    assert [(unit.ts, unit.detail) for unit in others] == [(LATER, None), (AT, None)]
    assert read({"body": {"body": message["body"]}, "enqueuedTime": enqueued}, missing_time="enqueued")[0] == first


def test_what_has_no_time_or_no_name_is_rejected(decode):
    text = '{"DataSetWriterId":7,"Payload":{"a":5,"":{"Value":6,"SourceTimestamp":"2024-05-01T10:00:00Z"}}}'
    rows, rejected, _ = decode(text)
    assert rows == []
    assert [row["reason"] for row in rejected] == ["timestamp_unreadable", "tag_missing"]


@pytest.mark.parametrize(
    ("field", "value", "is_text"),
    [
        ("1.50", "1.50", False),
        ("12345678901234567890123", "12345678901234567890123", False),
        ("-0", "-0", False),
        ("true", True, True),
        ('"12"', "12", True),
        ("NaN", "NaN", True),
        ('{"Type":"Int64","Body":"9007199254740993"}', "9007199254740993", False),
        ('{"Type":8,"Body":"9007199254740993"}', "9007199254740993", False),
        ('{"Value":{"Type":11,"Body":1.50}}', "1.50", False),
        ('{"UaType":8,"Value":"12"}', "12", False),
        ('{"UaType":12,"Value":"12"}', "12", True),
        ('{"Type":12,"Body":"12"}', "12", True),
        ('{"Type":21,"Body":{"Locale":"de","Text":"voll"}}', "voll", True),
        ('{"Text":"voll"}', "voll", True),
        ('{"Type":19,"Body":{"Code":10944512,"Symbol":"GoodClamped"}}', "10944512", False),
        ('{"Type":"Pump","Body":3}', '{"Type":"Pump","Body":3}', True),
        ('{"TypeId":"i=9","Body":{"x":1.0}}', '{"x":1.0}', True),
        ('{"x":1.50,"y":[1,null]}', '{"x":1.50,"y":[1,null]}', True),
        ("[1.0,2.50]", "[1.0,2.50]", True),
    ],
)
def test_a_value_stays_as_it_was_written(read, field, value, is_text):
    unit = only(read(f'{{"DataSetWriterId":7,"Timestamp":"{AT}","Payload":{{"a":{field}}}}}'))
    assert unit == Observed("7/a", AT, value, is_text=is_text)
    assert type(unit.value) is type(value)


@pytest.mark.parametrize(
    "field",
    [
        '{"Type":11,"Body":[1,2,3,4],"Dimensions":[2,2]}',
        '{"Value":{"Type":11,"Body":[1,2,3,4],"Dimensions":[2,2]}}',
        '{"UaType":11,"Value":[1,2,3,4],"Dimensions":[2,2]}',
    ],
)
def test_the_dimensions_of_an_array_are_kept(read, field):
    unit = only(read(f'{{"DataSetWriterId":7,"Timestamp":"{AT}","Payload":{{"a":{field}}}}}'))
    assert (unit.value, unit.detail) == ("[1,2,3,4]", '{"dimensions":[2,2]}')


def test_strings_are_numbers_where_that_is_declared_and_no_type_says_otherwise(decode):
    payload = {"a": "12", "b": "voll", "c": {"Type": "String", "Body": "12"}}
    rows, _, _ = decode(data_set(payload), strings="numbers")
    assert [(row["value"], row["text"]) for row in rows] == [(12.0, None), (None, "voll"), (None, "12")]


# --- names -----------------------------------------------------------------------------------------------

NAMED = network(data_set({"Level": 5}, DataSetWriterName="tanks"), WriterGroupName="hall")


@pytest.mark.parametrize(
    ("options", "source", "tag"),
    [
        ({}, "pub", "tanks/Level"),
        ({"source": "writer", "tag": "field"}, "tanks", "Level"),
        ({"source": "writer_group"}, "hall", "tanks/Level"),
        ({"source": "path"}, None, "tanks/Level"),
    ],
)
def test_source_and_tag_are_named_as_declared(read, options, source, tag):
    unit = only(read(NAMED, **options))
    assert (unit.source, unit.tag) == (source, tag)


def test_an_empty_name_is_none(read):
    unit = only(read(network(data_set({"a": 5}, DataSetWriterName=""), PublisherId=" ")))
    assert (unit.source, unit.tag) == (None, "7/a")
    assert only(read({"Payload": {"a": 5}, "Timestamp": AT})).tag == "a"


@pytest.mark.parametrize(
    ("members", "options", "source", "tag"),
    [
        ({}, {}, "opc.tcp://tank:4840", "ns=2;s=Level"),
        ({"ApplicationUri": "urn:tank", "DisplayName": "Level"}, {}, "urn:tank", "ns=2;s=Level"),
        ({"DisplayName": "Level"}, {"item_tag": "display_name"}, "opc.tcp://tank:4840", "Level"),
        ({"DisplayName": ""}, {"item_tag": "display_name"}, "opc.tcp://tank:4840", "ns=2;s=Level"),
        ({"ExtensionFields": {"DataSetWriterId": "1000"}}, {"source": "writer"}, "1000", "ns=2;s=Level"),
        ({"NodeId": {"Id": 5}, "EndpointUrl": None}, {}, None, '{"Id":5}'),
    ],
)
def test_a_monitored_item_is_named_by_its_server_and_node(read, members, options, source, tag):
    assert only(read(item(5, **members), **options)) == Observed(tag, AT, "5", source=source)


# --- events ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"Time": LATER, "ReceiveTime": LATEST}, LATER),
        ({"ReceiveTime": LATEST}, LATEST),
        ({"Time": {"Type": "DateTime", "Body": LATER}}, LATER),
        ({"Time": {"Value": "0001-01-01T00:00:00Z"}, "ReceiveTime": {"Value": LATEST}}, LATEST),
        ({}, AT),
    ],
)
def test_an_event_is_one_observation_at_its_own_time(read, fields, expected):
    message = event(**fields, Severity=1.50)
    unit = only(read(network(message)))
    assert unit[:4] == ("7/event", expected, "full", GOOD)
    assert unit.is_text
    assert json.loads(unit.detail) == {"event": message["Payload"]}
    as_item = only(read(item(message["Payload"])))
    assert (as_item.tag, as_item.ts, as_item.detail) == ("ns=2;s=Level/event", expected, unit.detail)


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("12", "12"),
        ({"Text": "voll", "Locale": "de"}, "voll"),
        ({"Type": "LocalizedText", "Body": {"Text": "voll"}}, "voll"),
        ({"Value": {"Text": "voll"}}, "voll"),
        (None, "i=2830"),
    ],
)
def test_the_value_of_an_event_is_its_message_else_its_type(decode, message, value):
    (row,) = decode(network(event(Message=message)))[0]
    assert (row["value"], row["text"], row["status"]) == (None, value, GOOD)


def test_an_event_may_be_named_by_its_type(read):
    assert only(read(event(), event_tag="event_type")).tag == "7/i=2830"
    assert only(read(event(EventType=None), event_tag="event_type")).tag == "7/event"


def test_a_monitored_event_has_the_status_of_its_value_else_of_its_message(read):
    fields = event()["Payload"]
    assert only(read(item(fields, StatusCode=BAD_NO_COMMUNICATION))).status == BAD_NO_COMMUNICATION
    value = {"Value": fields, "StatusCode": UNCERTAIN_LAST_USABLE_VALUE}
    assert only(read(item(value, StatusCode=BAD_NO_COMMUNICATION))).status == UNCERTAIN_LAST_USABLE_VALUE
    assert only(read(item({**value, "SourceTimestamp": LATER}))).ts == LATER


def test_an_event_with_a_status_that_cannot_be_read_is_rejected_whole(read):
    unit = only(read(network({**event(), "Status": 2**32})))
    assert unit.reason == "status_unreadable"
    assert json.loads(unit.payload) == event()["Payload"]


# --- sequence numbers ------------------------------------------------------------------------------------


def numbered(number, writer=7, **members):
    return {"DataSetWriterId": writer, "SequenceNumber": number, "Timestamp": AT, **members}


def gaps(units):
    return [json.loads(unit.detail or "{}").get("gap") for unit in units if isinstance(unit, Observed)]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 3], [None, None, None]),
        ([1, 2, 6, 7], [None, None, 3, None]),
        ([2**32 - 1, 0, 1], [None, None, None]),
        ([2**32 - 2, 1], [None, 2]),
        ([5, 5, 6], [None, None, None]),
        ([900, 1, 2], [None, None, None]),
        ([1, None, 3, "4", 5], [None, None, 1, None, 1]),
    ],
)
def test_a_gap_is_said_once_on_the_first_observation_after_it(read, numbers, expected):
    assert gaps(read([numbered(number, Payload={"a": 1}) for number in numbers])) == expected


def test_a_gap_is_said_on_the_first_field_only_and_on_events(read):
    fields = numbered(4, Payload={"a": 1, "b": 2})
    units = read([numbered(1, Payload={"a": 1}), fields, {**event(), "SequenceNumber": 7}])
    assert gaps(units) == [None, 2, None, 2]
    assert json.loads(units[-1].detail)["event"]["Message"] == "full"


def test_every_writer_of_every_publisher_counts_for_itself(read):
    messages = [
        network(numbered(n, writer, Payload={"a": 1}), PublisherId=publisher)
        for n, (publisher, writer) in product((1, 2), product(("p", "q"), (7, 8)))
    ]
    assert gaps(read(messages)) == [None] * 8
    assert gaps(read([*messages, network(numbered(5, 8, Payload={"a": 1}), PublisherId="q")])) == [None] * 8 + [2]


def test_a_keep_alive_has_the_number_of_the_next_message(read):
    alive = {"MessageType": "ua-keepalive"}
    first, second = (numbered(n, Payload={"a": 1}) for n in (1, 2))
    assert gaps(read([first, numbered(2, **alive), numbered(2, **alive), second])) == [None, None]
    assert gaps(read([first, numbered(4, **alive), numbered(4, Payload={"a": 1})])) == [None, 2]
    assert gaps(read([first, numbered(2, **alive), numbered(3, Payload={"a": 1})])) == [None, 1]


def test_a_gap_before_a_rejected_field_is_said_on_the_next_that_is_kept(read):
    broken = numbered(3, Payload={"a": {"Status": -1}})
    assert gaps(read([numbered(1, Payload={"a": 1}), broken, numbered(4, Payload={"a": 1})])) == [None, 1]


# --- options ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"source": "topic"}, {"tags": "field"}, {"layout": None}])
def test_an_unknown_option_is_refused(options):
    with pytest.raises(pydantic.ValidationError):
        OpcuaPubsub.from_options(options)


def test_a_file_that_cannot_be_read_says_so():
    with pytest.raises(FileNotFoundError):
        OpcuaPubsub().count(prepared(Path("/no/such/file.json")))


# --- any messages ----------------------------------------------------------------------------------------

names = st.sampled_from(["Level", "Open", "ä/b", "x y", "\U0001f600"])
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
times = st.sampled_from([AT, LATER, LATEST])
statuses = st.sampled_from([GOOD, UNCERTAIN_LAST_USABLE_VALUE, BAD_NO_COMMUNICATION])
modelled_fields = st.dictionaries(names, st.tuples(numbers | st.booleans(), statuses, times), min_size=1, max_size=4)
modelled_messages = st.lists(st.tuples(st.sampled_from([1, 2]), times, modelled_fields), min_size=1, max_size=4)


def written_field(field, message_ts, draw):
    """A field as a bare value where that says all, else as a DataValue, each in one of its spellings."""
    value, status, ts = field
    is_typed = draw(st.booleans())
    shown = {"Type": "Boolean" if isinstance(value, bool) else "Double", "Body": value} if is_typed else value
    if status == GOOD and ts == message_ts and draw(st.booleans()):
        return shown
    code = draw(st.sampled_from([status, {"Code": status}, {"Code": status, "Symbol": "any"}]))
    said = {} if status == GOOD and draw(st.booleans()) else {draw(st.sampled_from(["Status", "StatusCode"])): code}
    if ts == message_ts and draw(st.booleans()):
        return {"Value": shown, **said}
    return {"Value": shown, draw(st.sampled_from(["SourceTimestamp", "ServerTimestamp"])): ts, **said}


def written_messages(messages, draw):
    """The text of DataSetMessages in a layout."""
    layout = draw(st.sampled_from(["network", "networks", "single", "bare", "wrapped"]))
    documents = {
        "network": lambda: [network(*messages)],
        "networks": lambda: [network(message) for message in messages],
        "single": lambda: [network(Messages=message) for message in messages],
        "bare": lambda: [{"PublisherId": "pub", **message} for message in messages],
        "wrapped": lambda: [{"body": [network(message)], "enqueuedTime": AT} for message in messages],
    }[layout]()
    indent = draw(st.sampled_from([None, 2]))
    if draw(st.booleans()):
        return json.dumps(documents, indent=indent)
    return "\n".join(json.dumps(document, indent=indent, ensure_ascii=False) for document in documents)


@ON_FILES
@given(modelled_messages, st.data())
def test_values_come_back_from_every_layout(read, model, data):
    messages = [
        {
            "DataSetWriterId": writer,
            "Timestamp": ts,
            "Payload": {name: written_field(field, ts, data.draw) for name, field in fields.items()},
        }
        for writer, ts, fields in model
    ]
    assert read(written_messages(messages, data.draw)) == [
        Observed(
            f"{writer}/{name}", ts, value if isinstance(value, bool) else json.dumps(value), status, None, "pub",
            is_text=isinstance(value, bool),
        )
        for writer, _, fields in model
        for name, (value, status, ts) in fields.items()
    ]  # fmt: skip


any_options = st.fixed_dictionaries(
    {
        "source": st.sampled_from(["publisher", "writer", "writer_group", "path"]),
        "tag": st.sampled_from(["writer_field", "field"]),
        "layout": st.sampled_from(["messages", "fields"]),
        "documents": st.sampled_from(["sequence", "one"]),
        "missing_time": st.sampled_from(["reject", "enqueued"]),
        "event_tag": st.sampled_from(["event", "event_type"]),
        "item_tag": st.sampled_from(["node_id", "display_name"]),
    }
)
samples = st.sampled_from(sorted(SAMPLES))
words = st.sampled_from(
    ["body", "Messages", "Payload", "MessageType", "ua-event", "ua-keepalive", "ua-metadata", "ua-data", "NodeId",
     "Value", "StatusCode", "Code", "Symbol", "Type", "Body", "UaType", "Dimensions", "DataSetWriterId",
     "SequenceNumber", "Text", "SourceTimestamp", "EventId", "EventType", "Time", "Message", "TypeId",
     "\ud800", "\0", ""]
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 30) | st.just(2**32) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


def places(value, path=()):
    """Paths to all values within a JSON value, itself first."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in inner:
        yield from places(member, (*path, key))


def replaced(value, path, by):
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


def renamed(value, path, name):
    """A value, the last name of the path to which is another."""
    *outer, last = path
    if not isinstance(last, str):
        return value
    members = value
    for key in outer:
        members = members[key]
    return replaced(value, outer, {name if key == last else key: member for key, member in members.items()})


@settings(ON_FILES, max_examples=40)
@given(
    samples.filter(lambda name: "invalid" not in name),
    any_options,
    st.lists(anything, min_size=1, max_size=3),
    st.data(),
)
def test_messages_with_other_values_and_names_are_accounted_for(decode, read, name, options, others, data):
    value = json.loads((VECTORS / name).read_text())
    for other in others:
        path = data.draw(st.sampled_from(list(places(value))))
        is_name = isinstance(other, str) and path and data.draw(st.booleans())
        value = renamed(value, path, other) if is_name else replaced(value, path, other)
    units = read(value, **options)
    rows, rejected, skipped = decode(value, **options)
    assert sum(skipped.values()) == sum(isinstance(unit, Skipped) for unit in units)
    assert len(rejected) >= sum(isinstance(unit, Rejected) for unit in units)
    assert all(json.loads(row["detail"]) for row in rows if row["detail"] is not None)


@settings(ON_FILES, max_examples=40)
@given(
    samples,
    any_options,
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 60), st.binary(max_size=4)), max_size=3),
)
def test_messages_with_other_bytes_are_accounted_for(read, name, options, cuts):
    content = (VECTORS / name).read_bytes()
    for start, size, inserted in cuts:
        at = start % (len(content) + 1)
        content = content[:at] + inserted + content[at + size :]
    units = read(content, **options)
    assert all(isinstance(unit, Observed | Rejected | Skipped) for unit in units)
    assert units or options["documents"] == "sequence"
