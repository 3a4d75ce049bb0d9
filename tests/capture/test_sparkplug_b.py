import json
from base64 import b64encode
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pydantic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idm_assets.capture.content import Content, foreign
from idm_assets.capture.decoders import PreparedFile, UndecodableFile, sparkplug_b
from idm_assets.capture.decoders.sparkplug_b import (
    ALIAS_UNKNOWN,
    BAD,
    BAD_NO_COMMUNICATION,
    BLANK,
    COMMAND,
    COMPRESSED_PAYLOAD,
    DEATH_UNDATED,
    EMPTY_MESSAGE,
    INVALID_UTF8,
    JSON_INVALID,
    LINE_TOO_LONG,
    MESSAGE_TOO_LARGE,
    NOT_AN_OBJECT,
    NOTHING_ALIVE,
    OTHER_TOPIC,
    REPEATED_NAME,
    STALE_DEATH,
    STATE,
    STATUS_UNREADABLE,
    TOO_MANY_FIELDS,
    TOO_MANY_METRICS,
    TOO_MANY_NAMES,
    TOPIC_UNREADABLE,
    TRANSIENT,
    TRUNCATED_FRAME,
    UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE,
    VALUE_IN_DEATH,
    SparkplugB,
    topic_of,
)
from idm_assets.capture.decoders.sparkplug_payload import (
    DATATYPE_UNKNOWN,
    MESSAGE_UNREADABLE,
    TYPE_MISMATCH,
    DataType,
    Payload,
)
from idm_assets.capture.decoders.streamed import TAG_MISSING, Observed, Rejected, Skipped
from idm_assets.capture.remarks import HISTORICAL, NUMBER_ROUNDED
from idm_assets.capture.text_values import TIMESTAMP_UNREADABLE
from idm_assets.status import BAD_NO_DATA, GOOD, symbols

T0 = 1_714_521_600_000
AT = datetime(2024, 5, 1, tzinfo=UTC)
NODE = "spBv1.0/plant/{}/edge"
DEVICE = "spBv1.0/plant/{}/edge/press"
BINARY = {"recording": "binary"}


def metric(name=None, datatype=None, *, ms: int | None = 0, quality=None, **fields):
    made = Payload().metrics.add(**fields)
    if name is not None:
        made.name = name
    if datatype is not None:
        made.datatype = datatype
    if ms is not None:
        made.timestamp = T0 + ms
    if quality is not None:
        made.properties.keys.append("Quality")
        made.properties.values.add(type=DataType.INT32, int_value=quality)
    return made


def payload(*metrics, ms: int | None = 0, seq=None) -> bytes:
    made = Payload()
    if ms is not None:
        made.timestamp = T0 + ms
    if seq is not None:
        made.seq = seq
    made.metrics.extend(metrics)
    return made.SerializeToString()


def bd_seq(number: int):
    return metric("bdSeq", DataType.INT64, long_value=number)


def temperature(value: float = 20.5, **fields):
    return metric("Temperature", DataType.DOUBLE, double_value=value, **fields)


def jsonl(messages) -> bytes:
    lines = []
    for topic, octets, *received in messages:
        record = {"topic": topic, "payload": b64encode(octets).decode()}
        lines.append(json.dumps({**record, **({"received": received[0]} if received else {})}))
    return "\n".join(lines).encode()


def frame(topic: bytes, octets: bytes, received: int = 0) -> bytes:
    head = len(topic).to_bytes(4, "big") + topic + received.to_bytes(8, "big")
    return head + len(octets).to_bytes(4, "big") + octets


def prepared(folder: Path, data: bytes) -> PreparedFile:
    path = folder / "recording"
    path.write_bytes(data)
    lines = data.count(b"\n") + (1 if data and not data.endswith(b"\n") else 0)
    return PreparedFile(1, path, "of the path", lines, plain=True)


def units_of(folder: Path, data: bytes, **options) -> list:
    """The units of a recording; there are as many as were counted."""
    file = prepared(folder, data)
    reader = SparkplugB.from_options(options).reader
    units = list(reader.read(file))
    assert reader.count(file) == len(units)
    return units


@pytest.fixture
def units(tmp_path):
    return lambda *messages: units_of(tmp_path, jsonl(messages))


@pytest.fixture
def decode(con, tmp_path):
    """Observations, rejections and skips of messages, by way of the database, which must add up."""

    def decoded(*messages, zone="UTC", data: bytes | None = None, **options):
        file = prepared(tmp_path, jsonl(messages) if data is None else data)
        decoder = SparkplugB.from_options(options, zone)
        decoding = decoder.exact(con, file, tmp_path)
        found = con.execute(f"SELECT * FROM ({decoding.rows}) ORDER BY line, part")
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        rejected = con.execute(f"SELECT reason, detail, payload FROM ({decoding.rejected}) ORDER BY line").fetchall()
        skipped = dict(con.execute(f"SELECT reason, lines FROM ({decoding.skipped})").fetchall())
        assert sum(row["part"] == 1 for row in rows) + len(rejected) + sum(skipped.values()) == decoder.count(file)
        return rows, rejected, skipped

    return decoded


def reasons(units: list) -> list[str]:
    return [unit.reason for unit in units if isinstance(unit, (Rejected, Skipped))]


def test_a_birth_and_data_by_alias_become_observations(decode):
    rows, rejected, skipped = decode(
        (NODE.format("NBIRTH"), payload(bd_seq(0), metric("Load", DataType.INT8, alias=1, int_value=255), seq=0)),
        (DEVICE.format("DBIRTH"), payload(temperature(alias=2), seq=1)),
        (DEVICE.format("DDATA"), payload(metric(alias=2, double_value=21.5, ms=1500), seq=2)),
        (NODE.format("NDATA"), payload(metric(alias=1, int_value=0xFFFFFF80, ms=2000), seq=3)),
    )
    assert (rejected, skipped) == ([], {})
    assert [(row["source"], row["tag"], row["value"], row["ts"] - AT) for row in rows] == [
        ("plant/edge", "bdSeq", 0, timedelta()),
        ("plant/edge", "Load", -1, timedelta()),
        ("plant/edge/press", "Temperature", 20.5, timedelta()),
        ("plant/edge/press", "Temperature", 21.5, timedelta(seconds=1.5)),
        ("plant/edge", "Load", -128, timedelta(seconds=2)),
    ]
    assert {(row["status"], row["text"], row["detail"], row["remarks"]) for row in rows} == {(GOOD, None, None, 0)}


def test_the_decoder_says_what_it_expects():
    lines, frames_of = SparkplugB.from_options({}), SparkplugB.from_options(BINARY)
    assert (lines.name, lines.unit) == ("sparkplug_b", "metric")
    assert (lines.expected.content, frames_of.expected.content) == (Content.LINES, Content.BYTES)
    record = jsonl([(NODE.format("NDATA"), payload(temperature()))])
    frames = frame(NODE.format("NDATA").encode(), payload(temperature()))
    for decoder, recorded in ((lines, record), (lines, b"# a comment"), (frames_of, frames), (frames_of, frames[:9])):
        assert foreign(recorded, decoder.expected) is None
        assert foreign(b"PAR1\x15\x04\x15", decoder.expected) is not None
    for wrong in ({"recording": "pcap"}, {"births": ["x"]}, {"topic": ""}, {"payload_encoding": "base85"}):
        with pytest.raises(pydantic.ValidationError):
            SparkplugB.from_options(wrong)


def test_values_keep_their_kind_in_the_table(decode):
    rows, rejected, _ = decode(
        (
            NODE.format("NDATA"),
            payload(
                metric("float", DataType.FLOAT, float_value=12.1),
                metric("large", DataType.UINT64, long_value=(1 << 64) - 1),
                metric("bool", DataType.BOOLEAN, boolean_value=True),
                metric("text", DataType.STRING, string_value="12.5"),
                metric("when", DataType.DATETIME, long_value=T0),
                metric("array", DataType.INT16_ARRAY, bytes_value=b"\xff\xff\x01\0"),
                metric("nan", DataType.DOUBLE, double_value=float("nan")),
            ),
        )
    )
    assert rejected == []
    assert [(row["tag"], row["value"], row["text"], row["remarks"]) for row in rows] == [
        ("float", 12.100000381469727, None, 0),
        ("large", 2.0**64, "18446744073709551615", NUMBER_ROUNDED),
        ("bool", None, "true", 0),
        ("text", None, "12.5", 0),
        ("when", None, "2024-05-01T00:00:00.000Z", 0),
        ("array", None, "[-1,1]", 0),
        ("nan", None, "nan", 0),
    ]


def test_time_is_that_of_the_metric_else_that_of_the_message(decode):
    rows, rejected, _ = decode(
        (NODE.format("NDATA"), payload(temperature(ms=5), temperature(ms=None), ms=7)),
        (NODE.format("NDATA"), payload(temperature(ms=None), ms=None), "2024-05-01T00:00:00Z"),
        (NODE.format("NDATA"), payload(metric("x", DataType.DOUBLE, ms=(1 << 63) - T0, double_value=1))),
    )
    assert [row["ts"] - AT for row in rows] == [timedelta(milliseconds=5), timedelta(milliseconds=7)]
    assert [reason for reason, *_ in rejected] == [TIMESTAMP_UNREADABLE] * 2
    assert json.loads(rejected[0][2])["name"] == "Temperature"


def test_status_follows_the_property_quality(decode):
    said = [temperature(quality=quality) for quality in (None, 192, 0, 500)]
    said += [temperature(quality=193), metric("gone", is_null=True), metric("none", DataType.INT8)]
    rows, rejected, _ = decode((NODE.format("NDATA"), payload(*said)))
    assert [(row["value"], row["status"]) for row in rows] == [
        (20.5, GOOD), (20.5, GOOD), (20.5, BAD), (20.5, UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE),
        (None, BAD_NO_DATA), (None, BAD_NO_DATA),
    ]  # fmt: skip
    assert [row["detail"] for row in rows] == [None] * 5 + ['{"value":"missing"}']
    [(reason, detail, shown)] = rejected
    assert (reason, "found 193" in detail, json.loads(shown)["double_value"]) == (STATUS_UNREADABLE, True, 20.5)


def test_the_statuses_are_the_published_ones():
    named = {BAD: "Bad", BAD_NO_COMMUNICATION: "BadNoCommunication"}
    named[UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE] = "UncertainNoCommunicationLastUsableValue"
    assert {code: symbols()[code][0] for code in named} == named


@pytest.mark.parametrize("broken", ["keys", "type", "null", "two"])
def test_a_quality_that_is_no_quality_is_refused(units, broken):
    made = temperature(quality=192)
    match broken:
        case "keys":
            made.properties.keys.append("engUnit")
        case "type":
            made.properties.values[0].propertyset_value.SetInParent()
        case "null":
            made.properties.values[0].is_null = True
        case _:
            made.properties.keys.append("Quality")
            made.properties.values.add(int_value=0)
    assert reasons(units((NODE.format("NDATA"), payload(made)))) == [STATUS_UNREADABLE]


def test_other_properties_do_not_matter(units):
    made = temperature()
    made.properties.keys.append("engUnit")
    made.properties.values.add(type=DataType.STRING, string_value="degC")
    [observed] = units((NODE.format("NDATA"), payload(made)))
    assert (observed.status, observed.detail) == (GOOD, None)


def test_historical_values_are_kept_and_marked_and_transient_ones_skipped(units):
    birth = payload(temperature(alias=1, is_transient=True))
    data = payload(
        metric(alias=1, double_value=1, is_historical=True),
        metric(alias=1, double_value=2, is_transient=True),
        metric(alias=9, double_value=2, is_transient=True),
    )
    found = units((NODE.format("NBIRTH"), birth), (NODE.format("NDATA"), data))
    assert reasons(found) == [TRANSIENT] * 3
    assert (found[1].tag, found[1].remarks) == ("Temperature", HISTORICAL)


def test_an_alias_without_a_birth_is_refused_and_shown(decode):
    _, rejected, _ = decode((NODE.format("NDATA"), payload(metric(alias=7, double_value=1.5))))
    [(reason, detail, shown)] = rejected
    assert reason == ALIAS_UNKNOWN
    assert "alias 7" in detail
    said = json.loads(shown)
    assert (said["topic"], said["alias"], said["double_value"]) == ("spBv1.0/plant/NDATA/edge", 7, 1.5)


def test_a_metric_without_name_and_alias_has_no_tag(decode):
    _, rejected, _ = decode(
        (NODE.format("NDATA"), payload(metric(double_value=1.5))), (NODE.format("NBIRTH"), payload(metric(alias=1)))
    )
    assert [reason for reason, *_ in rejected] == [TAG_MISSING] * 2
    assert json.loads(rejected[0][2])["double_value"] == 1.5


def test_a_rebirth_replaces_what_was_defined(units):
    old, new = payload(temperature(alias=1)), payload(metric("Load", DataType.INT8, alias=1, int_value=1))
    data = payload(metric(alias=1, int_value=255))
    found = units(
        (NODE.format("NBIRTH"), old),
        (DEVICE.format("DBIRTH"), payload(temperature(alias=2))),
        (NODE.format("NBIRTH"), new),
        (NODE.format("NDATA"), data),
        (DEVICE.format("DDATA"), payload(metric(alias=2, double_value=1))),
    )
    assert (found[3].tag, found[3].value) == ("Load", -1)
    assert reasons(found) == [ALIAS_UNKNOWN]


def test_a_birth_of_a_device_leaves_the_others_alone(units):
    other = "spBv1.0/plant/{}/edge/saw"
    found = units(
        (DEVICE.format("DBIRTH"), payload(temperature(alias=1))),
        (other.format("DBIRTH"), payload(metric("Speed", DataType.DOUBLE, alias=1, double_value=1))),
        (DEVICE.format("DDATA"), payload(metric(alias=1, double_value=2))),
        (other.format("DDATA"), payload(metric(alias=1, double_value=3))),
        ("spBv1.0/plant/DDATA/edge 2/press", payload(metric(alias=1, double_value=3))),
    )
    assert [(unit.source, unit.tag) for unit in found[2:4]] == [
        ("plant/edge/press", "Temperature"), ("plant/edge/saw", "Speed")
    ]  # fmt: skip
    assert reasons(found) == [ALIAS_UNKNOWN]


def test_an_alias_that_a_birth_gives_twice_means_nothing(units):
    twice = payload(temperature(alias=1), metric("Load", DataType.DOUBLE, alias=1, double_value=1))
    found = units((NODE.format("NBIRTH"), twice), (NODE.format("NDATA"), payload(metric(alias=1, double_value=2))))
    assert reasons(found) == [ALIAS_UNKNOWN]
    assert "several" in found[2].detail


def test_a_birth_whose_value_is_refused_still_defines(units):
    found = units(
        (NODE.format("NBIRTH"), payload(metric("Load", DataType.INT8, alias=1, int_value=300))),
        (NODE.format("NDATA"), payload(metric(alias=1, int_value=3), metric("Load", int_value=4))),
    )
    assert reasons(found) == [TYPE_MISMATCH]
    assert [unit.value for unit in found[1:]] == [3, 4]


def test_an_integer_whose_datatype_nobody_says_is_refused(units):
    found = units((NODE.format("NDATA"), payload(metric("a", int_value=3), metric("b", double_value=4))))
    assert reasons(found) == [DATATYPE_UNKNOWN]
    assert found[1].value == 4


def deaths(found: list) -> list[tuple]:
    [unit] = [unit for unit in found if isinstance(unit, list)]
    assert {(observed.value, observed.status) for observed in unit} == {(None, BAD_NO_COMMUNICATION)}
    assert len({observed.ts for observed in unit}) == 1
    return [(observed.source, observed.tag) for observed in unit]


BORN = (
    (NODE.format("NBIRTH"), payload(bd_seq(3), seq=0)),
    (DEVICE.format("DBIRTH"), payload(temperature(alias=1), metric("Hidden", is_transient=True), seq=1)),
)


def test_the_death_of_a_node_makes_all_that_was_heard_stale_when_it_was_received(decode):
    rows, rejected, skipped = decode(
        *BORN,
        (DEVICE.format("DDATA"), payload(metric(alias=1, double_value=2, ms=9000), seq=2, ms=9000)),
        (NODE.format("NDEATH"), payload(bd_seq(3)), "2024-05-01T02:00:20+02:00"),
        (NODE.format("NDEATH"), payload(bd_seq(3)), "2024-05-01T02:00:30+02:00"),
    )
    assert rejected == []
    assert skipped == {TRANSIENT: 1, NOTHING_ALIVE: 1}
    assert [(row["source"], row["tag"], row["value"], row["status"], row["part"]) for row in rows[3:]] == [
        ("plant/edge", "bdSeq", None, BAD_NO_COMMUNICATION, 1),
        ("plant/edge/press", "Temperature", None, BAD_NO_COMMUNICATION, 2),
    ]
    assert {row["ts"] - AT for row in rows[3:]} == {timedelta(seconds=20)}


def test_the_time_of_a_will_counts_only_if_nothing_was_sent_after_it(units):
    born = (NODE.format("NBIRTH"), payload(bd_seq(3), ms=10))
    found = units(born, (NODE.format("NDEATH"), payload(bd_seq(3), ms=9)))
    assert reasons(found) == [DEATH_UNDATED]
    found = units(born, (NODE.format("NDEATH"), payload(bd_seq(3), ms=10)))
    assert deaths(found) == [("plant/edge", "bdSeq")]
    assert found[1][0].ts == (T0 + 10) * 1000
    found = units(born, (NODE.format("NDEATH"), payload(bd_seq(3), ms=None)))
    assert reasons(found) == [DEATH_UNDATED]


def test_a_death_whose_receipt_is_no_instant_is_refused(decode):
    _, rejected, _ = decode(*BORN, (NODE.format("NDEATH"), payload(bd_seq(3)), "yesterday"))
    assert [(reason, "yesterday" in detail) for reason, detail, _ in rejected] == [(TIMESTAMP_UNREADABLE, True)]


def test_the_death_of_a_former_session_is_passed_over(units):
    found = units(*BORN, (NODE.format("NDEATH"), payload(bd_seq(2)), "2024-05-01T01:00:00Z"))
    assert reasons(found) == [TRANSIENT, STALE_DEATH]


def test_without_a_birth_in_the_file_a_death_is_believed(units):
    found = units(
        (NODE.format("NDATA"), payload(temperature())),
        (NODE.format("NDEATH"), payload(bd_seq(2)), "2024-05-01T01:00:00Z"),
    )
    assert deaths(found) == [("plant/edge", "Temperature")]


def test_the_death_of_a_device_is_its_own_and_has_its_own_time(units):
    found = units(*BORN, (DEVICE.format("DDEATH"), payload(ms=50, seq=2), "2024-05-01T01:00:00Z"))
    assert deaths(found) == [("plant/edge/press", "Temperature")]
    assert found[-1][0].ts == (T0 + 50) * 1000
    found = units(*BORN, (DEVICE.format("DDEATH"), payload(ms=None), "2024-05-01T01:00:00Z"))
    assert found[-1][0].ts == "2024-05-01T01:00:00Z"


def test_after_a_death_a_birth_makes_alive_again(units):
    death = (DEVICE.format("DDEATH"), payload(ms=50))
    found = units(*BORN, death, BORN[1], death)
    assert [len(unit) for unit in found if isinstance(unit, list)] == [1, 1]


def test_values_in_a_death_are_refused_but_what_bears_it_is_kept(units):
    at = "2024-05-01T01:00:00Z"
    found = units(*BORN, (NODE.format("NDEATH"), payload(temperature(), bd_seq(3)), at))
    assert reasons(found) == [TRANSIENT, VALUE_IN_DEATH]
    assert len(deaths(found)) == 2
    found = units(*BORN, (NODE.format("NDEATH"), payload(temperature(7), temperature(8)), at))
    assert reasons(found) == [TRANSIENT, VALUE_IN_DEATH]
    assert json.loads(found[-2][0].detail)["metric"]["double_value"] == 7
    found = units(*BORN, (NODE.format("NDEATH"), payload(), at))
    assert len(deaths(found)) == 2
    found = units(*BORN, (NODE.format("NDEATH"), payload() + b"\x12\x01\xff", at))
    assert reasons(found) == [TRANSIENT, MESSAGE_UNREADABLE]


def data(seq: int | None):
    return (NODE.format("NDATA"), payload(temperature(), temperature(), seq=seq))


def gaps(found: list) -> list[int]:
    details = [unit.detail for unit in found if isinstance(unit, Observed)]
    return [json.loads(detail)["gap"] if detail else 0 for detail in details]


def test_a_gap_in_the_sequence_is_put_down_with_the_next_observation(units):
    born = (NODE.format("NBIRTH"), payload(bd_seq(0), seq=0))
    assert gaps(units(born, data(1), data(2))) == [0] * 5
    assert gaps(units(born, data(1), data(4), data(5))) == [0, 0, 0, 2, 0, 0, 0]
    assert gaps(units(born, data(255), data(0), data(2))) == [0, 254, 0, 0, 0, 1, 0]
    assert gaps(units(data(9), born, data(1))) == [0] * 5
    assert gaps(units(data(9), data(None), data(300), data(12))) == [0] * 8


def test_the_sequence_goes_across_a_node_and_its_devices_but_not_across_nodes(units):
    device = (DEVICE.format("DDATA"), payload(temperature(), seq=2))
    other = ("spBv1.0/plant/NDATA/edge 2", payload(temperature(), seq=77))
    command = (NODE.format("NCMD"), payload(temperature(), seq=99))
    assert gaps(units(data(1), device, other, command, data(3), device)) == [0, 0, 0, 0, 0, 0, 254]


def test_a_gap_waits_for_an_observation(units):
    nothing = (DEVICE.format("DDATA"), payload(metric(alias=1), seq=3))
    found = units(data(1), nothing, (NODE.format("NDATA"), payload(seq=5)), data(6))
    assert gaps(found) == [0, 0, 2, 0]
    found = units(data(1), (NODE.format("NDEATH"), payload(), "2024-05-01T00:00:00Z"), data(6))
    assert gaps(found) == [0] * 4
    found = units(*BORN, (DEVICE.format("DDEATH"), payload(seq=4)))
    assert json.loads(found[-1][0].detail) == {"gap": 2}


def test_commands_states_and_empty_messages_are_skipped_and_counted(decode):
    _, rejected, skipped = decode(
        (NODE.format("NCMD"), payload(temperature(), temperature())),
        (DEVICE.format("DCMD"), payload()),
        (NODE.format("NDATA"), payload()),
        (NODE.format("NBIRTH"), b""),
        ("spBv1.0/STATE/host", b'{"online":true,"timestamp":1}'),
        ("STATE/host", b"ONLINE"),
        ("spBv1.0/plant/STATE/edge", b"\xff"),
        ("factory/line", b"12.5"),
    )
    assert rejected == []
    assert skipped == {COMMAND: 3, EMPTY_MESSAGE: 2, STATE: 3, OTHER_TOPIC: 1}


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1.0", "spBv1.0/plant", "spBv1.0/plant/NDATA", "spBv1.0/plant/NDATA/edge/press", "spBv1.0/plant/DDATA/edge",
        "spBv1.0/plant/XDATA/edge", "spBv1.0//NDATA/edge", "spBv1.0/plant/DDATA/edge/press/x", "spBv1.0/plant/ndata/e",
    ],
)  # fmt: skip
def test_a_topic_of_sparkplug_that_makes_no_sense_is_refused(units, topic):
    found = units((topic, payload(temperature(), temperature())))
    assert reasons(found) == [TOPIC_UNREADABLE]
    assert b64encode(payload(temperature(), temperature())).decode() in found[0].payload


def test_a_group_may_be_called_state():
    assert topic_of("spBv1.0/STATE/NDATA/edge").source == "STATE/edge"


def test_a_message_that_cannot_be_read_is_one_unit_and_a_metric_costs_no_other(units):
    found = units(
        (NODE.format("NDATA"), b"\x12\x7f"), (NODE.format("NDATA"), payload(temperature()) + b"\x12\x01\xff\x12\x00")
    )
    assert reasons(found) == [MESSAGE_UNREADABLE] * 2
    assert isinstance(found[1], Observed)
    assert json.loads(found[0].payload)["payload"] == "En8="
    assert json.loads(found[2].payload)["base64"] == "/w=="


def test_a_body_in_place_of_metrics_is_not_lost(units):
    body = Payload(body=b"abc", uuid="x").SerializeToString()
    packed = Payload(body=b"abc", uuid="SPBV1.0_COMPRESSED", metrics=[metric("algorithm", 12, string_value="GZIP")])
    found = units((NODE.format("NDATA"), body), (NODE.format("NDATA"), packed.SerializeToString()))
    assert reasons(found) == [MESSAGE_UNREADABLE, COMPRESSED_PAYLOAD]


def test_text_that_is_no_utf8_is_refused(units):
    raw = b"\x0a\x01\xff\x69" + bytes(8)
    found = units((NODE.format("NDATA"), b"\x12" + bytes([len(raw)]) + raw))
    assert reasons(found) == [INVALID_UTF8]
    assert "\\xff" in found[0].payload


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", JSON_INVALID),
        (b"[" * 90_000, JSON_INVALID),
        (b"9" * 5000, JSON_INVALID),
        (b"[1]", NOT_AN_OBJECT),
        (b"[" + b"{}," * 60_000 + b"1]", TOO_MANY_FIELDS),
        (b'{"topic":"a","topic":"a"}', REPEATED_NAME),
        (b'{"topic":"\xff"}', INVALID_UTF8),
        (b'{"payload":""}', TOPIC_UNREADABLE),
        (b'{"topic":"spBv1.0/g/NDATA/e"}', MESSAGE_UNREADABLE),
        (b'{"topic":"spBv1.0/g/NDATA/e","payload":[]}', MESSAGE_UNREADABLE),
        (b'{"topic":"spBv1.0/g/NDATA/e","payload":"?"}', MESSAGE_UNREADABLE),
        ('{"topic":"spBv1.0/g/NDATA/e","payload":"\u00e4"}'.encode(), MESSAGE_UNREADABLE),
        (b" \r", BLANK),
    ],
)
def test_a_line_that_is_no_record_is_one_unit(tmp_path, line, reason):
    good = jsonl([(NODE.format("NDATA"), payload(temperature()))])
    found = units_of(tmp_path, b"\xef\xbb\xbf" + good + b"\r\n" + line + b"\n" + good)
    assert [type(unit) for unit in found] == [Observed, Skipped if reason == BLANK else Rejected, Observed]
    assert reasons(found) == [reason]


def test_a_line_that_the_survey_counted_and_nobody_read_is_missed(tmp_path):
    file = prepared(tmp_path, jsonl([(NODE.format("NDATA"), payload(temperature(), temperature()))]))
    reader = SparkplugB.from_options({}).reader
    assert reader.count(file) == 2
    assert reader.count(replace(file, lines=file.lines + 1)) == 3


def test_long_lines_and_large_messages_are_one_unit_each(tmp_path, monkeypatch):
    monkeypatch.setattr(sparkplug_b, "MAX_LINE_BYTES", 500)
    monkeypatch.setattr(sparkplug_b, "MAX_MESSAGE_BYTES", 100)
    good = (NODE.format("NDATA"), payload(temperature()))
    large = (NODE.format("NDATA"), payload(*[temperature()] * 5))
    found = units_of(tmp_path, jsonl([good, large, (NODE.format("NDATA"), b"x" * 3000), good]))
    assert reasons(found) == [MESSAGE_TOO_LARGE, LINE_TOO_LONG]
    assert len(found) == 4
    frames = b"".join(frame(topic.encode(), octets) for topic, octets in (good, large, good))
    assert reasons(units_of(tmp_path, frames, **BINARY)) == [MESSAGE_TOO_LARGE]


def test_a_message_of_too_many_metrics_is_one_unit(units, monkeypatch):
    monkeypatch.setattr(sparkplug_b, "MAX_METRICS", 3)
    found = units(*((NODE.format("NDATA"), payload(*[temperature()] * n)) for n in (3, 4)))
    assert reasons(found) == [TOO_MANY_METRICS]
    assert len(found) == 4


def test_names_in_force_have_a_limit_but_rebirths_do_not_add_up(units, monkeypatch):
    monkeypatch.setattr(sparkplug_b, "MAX_NAMES", 12)
    birth = (NODE.format("NBIRTH"), payload(*(metric(f"m{n}", DataType.INT8, alias=n, int_value=1) for n in range(5))))
    death = (NODE.format("NDEATH"), payload(), "2024-05-01T00:00:00Z")
    assert len(units(*[birth] * 9, *[birth, death] * 9)) == 5 * 18 + 9
    for more in (
        ("spBv1.0/a/NDATA/1", payload(temperature())),
        (NODE.format("NBIRTH"), payload(*[temperature()] * 13)),
    ):
        with pytest.raises(UndecodableFile) as refused:
            units(birth, more)
        assert refused.value.reason == TOO_MANY_NAMES


@pytest.mark.parametrize(
    ("form", "received"),
    [
        ("iso", "2024-05-01T02:00:01.5"),
        ("epoch_ms", T0 - 7_200_000 + 7_201_500),
        ("epoch_us", T0 * 1000 + 1_500_000),
        ("epoch_s", T0 / 1000 + 1.5),
        ("epoch_s", f"{T0 // 1000 + 1}.500000"),
    ],
)
def test_the_instant_of_receipt_in_every_form(decode, form, received):
    rows, *_ = decode(
        BORN[0], (NODE.format("NDEATH"), payload(bd_seq(3)), received), zone="Europe/Berlin", received_format=form
    )
    assert rows[-1]["ts"] - AT == timedelta(seconds=1.5)


@pytest.mark.parametrize("received", ["x", [], True, 1e300, "nan", {"a": 1}])
def test_an_instant_of_receipt_in_no_form_is_refused_where_it_matters(decode, received):
    rows, rejected, _ = decode(
        (NODE.format("NDATA"), payload(temperature()), received),
        (NODE.format("NDEATH"), payload(bd_seq(3)), received),
        received_format="epoch_ms",
    )
    assert len(rows) == 1
    assert [reason for reason, *_ in rejected] == [TIMESTAMP_UNREADABLE]


def test_names_and_encoding_of_a_recording_are_options(tmp_path):
    record = {"t": NODE.format("NDATA"), "p": payload(temperature()).hex().upper(), "at": "x", "qos": 0}
    options = {"topic": "t", "payload": "p", "received": "at", "payload_encoding": "hex"}
    [observed] = units_of(tmp_path, json.dumps(record).encode(), **options)
    assert observed.value == 20.5


def test_frames_say_the_same_as_lines(tmp_path):
    death = (NODE.format("NDEATH"), payload(bd_seq(3)), "2024-05-01T00:00:09Z")
    lines = units_of(tmp_path, jsonl([*BORN, death]))
    frames = b"".join(frame(topic.encode(), octets, T0 + 9000) for topic, octets, *_ in (*BORN, death))
    found = units_of(tmp_path, frames, **BINARY)
    assert found[:-1] == lines[:-1]
    assert [observed.ts for observed in found[-1]] == [(T0 + 9000) * 1000] * 2


def test_a_frame_of_an_unknown_instant(tmp_path):
    frames = frame(NODE.format("NDATA").encode(), payload(temperature())) + frame(b"\xff", b"abc")
    frames += frame(NODE.format("NDEATH").encode(), payload(ms=None))
    found = units_of(tmp_path, frames, **BINARY)
    assert reasons(found) == [TOPIC_UNREADABLE, DEATH_UNDATED]


def test_what_follows_the_last_whole_frame_is_one_unit_with_its_offset(tmp_path):
    whole = frame(NODE.format("NDATA").encode(), payload(temperature()))
    for cut in range(1, len(whole)):
        found = units_of(tmp_path, whole + whole[:cut], **BINARY)
        assert reasons(found) == [TRUNCATED_FRAME]
        assert f"byte {len(whole)} of {len(whole) + cut}:" in found[1].detail
        assert json.loads(found[1].payload)["offset"] == len(whole)
    found = units_of(tmp_path, whole + b"\xff" * 1000, **BINARY)
    assert reasons(found) == [TRUNCATED_FRAME]
    large = (5).to_bytes(4, "big") + b"topic" + bytes(8) + (1 << 30).to_bytes(4, "big") + b"x" * 70_000
    assert reasons(units_of(tmp_path, whole + large, **BINARY)) == [TRUNCATED_FRAME]
    assert units_of(tmp_path, b"", **BINARY) == []


KINDS = {
    DataType.INT8: ("int_value", st.integers(-128, 127)),
    DataType.INT32: ("int_value", st.integers(-(1 << 31), (1 << 31) - 1)),
    DataType.INT64: ("long_value", st.integers(-(1 << 63), (1 << 63) - 1)),
    DataType.UINT64: ("long_value", st.integers(0, (1 << 64) - 1)),
    DataType.DOUBLE: ("double_value", st.floats(allow_nan=False)),
    DataType.FLOAT: ("float_value", st.floats(width=32, allow_nan=False)),
    DataType.BOOLEAN: ("boolean_value", st.booleans()),
    DataType.STRING: ("string_value", st.text(st.characters(exclude_categories=["Cs"]), max_size=5)),
}


@st.composite
def sessions(draw):
    """A birth of any metrics, and data of them in any order: topic, payload by name, payload by alias, and values."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=6))
    messages, expected = [], []
    for number in range(draw(st.integers(1, 5))):
        order = range(len(kinds)) if not number else draw(st.lists(st.sampled_from(range(len(kinds))), max_size=4))
        said = []
        for at in order:
            carrier, values = KINDS[kinds[at]]
            value = draw(values)
            expected.append((f"metric {at}", value, T0 * 1000 + number * 1000))
            raw = (
                value % (1 << (32 if carrier == "int_value" else 64))
                if carrier in ("int_value", "long_value")
                else value
            )
            said.append((at, {carrier: raw, "ms": number}))
        messages.append((number, said))
    return kinds, messages, expected


def _as_messages(kinds, messages, *, by_name: bool) -> list[tuple[str, bytes]]:
    made = []
    for number, said in messages:
        metrics = [
            metric(f"metric {at}", kinds[at], alias=at, **fields)
            if not number
            else metric(f"metric {at}", **fields)
            if by_name
            else metric(alias=at, **fields)
            for at, fields in said
        ]
        made.append((DEVICE.format("DDATA" if number else "DBIRTH"), payload(*metrics, seq=number)))
    return made


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sessions())
def test_what_was_sent_comes_back_in_order_by_name_or_alias(tmp_path, session):
    kinds, messages, expected = session
    by_alias = units_of(tmp_path, jsonl(_as_messages(kinds, messages, by_name=False)))
    by_name = units_of(tmp_path, jsonl(_as_messages(kinds, messages, by_name=True)))
    assert by_alias == by_name
    observed = [unit for unit in by_alias if isinstance(unit, Observed)]
    assert [(unit.tag, unit.value, unit.ts) for unit in observed] == expected
    assert [type(unit.value) for unit in observed] == [type(value) for _, value, _ in expected]
    assert set(gaps(observed)) == {0}


RECORDED = [
    (NODE.format("NBIRTH"), payload(bd_seq(0), temperature(alias=1, quality=192), seq=0)),
    (DEVICE.format("DBIRTH"), payload(metric("Load", DataType.INT16, alias=2, int_value=9), seq=1)),
    (DEVICE.format("DDATA"), payload(metric(alias=2, int_value=5), metric(alias=1, int_value=5), seq=3)),
    (NODE.format("NCMD"), payload(temperature())),
    (DEVICE.format("DDEATH"), payload(seq=4)),
    (NODE.format("NDEATH"), payload(bd_seq(0)), "2024-05-01T00:00:00Z"),
    ("spBv1.0/STATE/host", b"{}"),
]
FRAMES = b"".join(frame(topic.encode(), octets, T0) for topic, octets, *_ in RECORDED)
CHANGES = st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=3), st.integers(0, 3)), max_size=6)


def changed(recording: bytes, changes: list[tuple[int, bytes, int]]) -> bytes:
    for place, octets, left_out in changes:
        at = place % (len(recording) + 1)
        recording = recording[:at] + octets + recording[at + left_out :]
    return recording


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, st.sampled_from(["jsonl", "binary"]))
def test_whatever_the_bytes_every_unit_is_counted(tmp_path, changes, recording):
    data = changed(jsonl(RECORDED) if recording == "jsonl" else FRAMES, changes)
    for unit in units_of(tmp_path, data, recording=recording):
        assert isinstance(unit, (Observed, Rejected, Skipped)) or (unit and isinstance(unit[0], Observed))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, len(RECORDED) - 1), CHANGES)
def test_whatever_the_bytes_of_a_payload_every_unit_is_counted(tmp_path, which, changes):
    messages = list(RECORDED)
    topic, octets, *received = messages[which]
    messages[which] = (topic, changed(octets, changes), *received)
    found = units_of(tmp_path, jsonl(messages))
    assert len(found) >= len(messages)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_the_database_keeps_count_too(decode, changes):
    rows, rejected, skipped = decode(data=changed(FRAMES, changes), **BINARY)
    assert len(rows) + len(rejected) + sum(skipped.values()) > 0


def test_a_whole_recording(units):
    kinds = Counter(type(unit).__name__ for unit in units(*RECORDED))
    assert kinds == {"Observed": 4, "Rejected": 1, "Skipped": 2, "list": 2}
