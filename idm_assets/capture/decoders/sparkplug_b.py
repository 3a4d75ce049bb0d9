"""Decoder of Sparkplug B: files of recorded MQTT messages, in the order in which they were received.

Source: Eclipse Sparkplug Specification 3.0.0, chapters 4 "Topics", 5 "Operational Behavior" and 6 "Payloads".

A recording is one of two kinds:

* ``jsonl``: a JSON object per line. By default ``topic`` is the topic, ``payload`` the payload in base64 (or
  hexadecimal), ``received`` when the message arrived (may be missing); other names are passed over.
* ``binary``: frames without anything between them: length of the topic in bytes (unsigned 32-bit integer, big-endian),
  topic (UTF-8), ms since 1970 in UTC when it arrived (unsigned 64-bit, big-endian, 0 if not known), length of the
  payload (unsigned 32-bit, big-endian), payload.

A unit is one metric of one message; a message without metrics, of another topic or that cannot be read is one unit,
as is whatever follows the last whole frame. What a file says depends on that file alone: names, aliases and datatypes
are those of the births before in the same file.

* The source is ``group/edge node`` or ``group/edge node/device``, the tag is the name of the metric, and the time is
  that of the metric, else that of its message. An alias is sought among those of its own node or device, so that
  senders that number the metrics of each device from 0 are understood too.
* A death makes every metric that was heard of since its last death ``BadNoCommunication``, without a value. An NDEATH
  counts from when it was received, as the specification has hosts do it: it is a will, written when the node connected.
  Where that is not recorded, its own time counts if it is no earlier than anything that the node has sent. A DDEATH has
  a time of its own.
* A metric of quality STALE that still has its value is ``UncertainNoCommunicationLastUsableValue``.
* A gap in the sequence of a node is put down with the next observation of that node as ``{"gap": n}``: n messages are
  missing, modulo 256, so that a message that came twice or late shows as a gap of up to 255.
* Properties other than the quality, and the metadata of plain values, describe the metric and not this value: they
  are not kept.

Belongs here: recordings, topics, births, deaths and sequence. Does not belong here: values and protobuf
(`sparkplug_payload`), what units exist or how they are stored.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from io import SEEK_CUR, SEEK_END
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field

from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.sparkplug_payload import (
    MESSAGE_UNREADABLE,
    DataType,
    Envelope,
    Metric,
    Token,
    Unfit,
    as_json,
    metric_of,
    metrics_on_wire,
    opened,
    shown,
    string_of,
    token_of,
)
from idm_assets.capture.decoders.streamed import Observed, Rejected, Skipped, Streamed, Unit
from idm_assets.capture.remarks import HISTORICAL
from idm_assets.status import BAD_NO_DATA, GOOD

ALIAS_UNKNOWN: Final = "alias_unknown"
COMPRESSED_PAYLOAD: Final = "compressed_payload"
DEATH_UNDATED: Final = "death_undated"
MESSAGE_TOO_LARGE: Final = "message_too_large"
STATUS_UNREADABLE: Final = "status_unreadable"
TOO_MANY_FIELDS: Final = "too_many_fields"
TOO_MANY_METRICS: Final = "too_many_metrics"
TOO_MANY_NAMES: Final = "too_many_names"
TOPIC_UNREADABLE: Final = "topic_unreadable"
TRUNCATED_FRAME: Final = "truncated_frame"
VALUE_IN_DEATH: Final = "value_in_death"
JSON_INVALID: Final = "json_invalid"
NOT_AN_OBJECT: Final = "not_an_object"
REPEATED_NAME: Final = "repeated_name"
LINE_TOO_LONG: Final = "line_too_long"
INVALID_UTF8: Final = "invalid_utf8"

BLANK: Final = "blank"
COMMAND: Final = "command"
EMPTY_MESSAGE: Final = "empty_message"
NOTHING_ALIVE: Final = "nothing_alive"
OTHER_TOPIC: Final = "other_topic"
STALE_DEATH: Final = "stale_death"
STATE: Final = "state"
TRANSIENT: Final = "transient"

BAD: Final = 0x80000000
BAD_NO_COMMUNICATION: Final = 0x80310000
UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE: Final = 0x408F0000

MAX_MESSAGE_BYTES: Final = 16 << 20
MAX_METRICS: Final = 100_000
MAX_TOPIC_BYTES: Final = 65_535
MAX_LINE_BYTES: Final = 3 * MAX_MESSAGE_BYTES
MAX_FIELDS: Final = 100_000
MAX_NAMES: Final = 2_000_000

_SHOWN_BYTES: Final = 48_000
_COMPRESSED: Final = "SPBV1.0_COMPRESSED"
_BIRTH_DEATH_SEQUENCE: Final = "bdSeq"
_QUALITY: Final = "Quality"

Key = Annotated[str, Field(min_length=1, max_length=256)]


class SparkplugBOptions(BaseModel):
    """Options of a source declaration in this format; the names and encodings are those of a ``jsonl`` recording.

    Attributes:
        recording: how messages are recorded, see the module.
        topic: name of the topic.
        payload: name of the payload.
        received: name of the instant when the message was received.
        payload_encoding: how bytes are written.
        received_format: ISO 8601 text, or a number since 1970 in UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recording: Literal["jsonl", "binary"] = "jsonl"
    topic: Key = "topic"
    payload: Key = "payload"
    received: Key = "received"
    payload_encoding: Literal["base64", "hex"] = "base64"
    received_format: Literal["iso", "epoch_s", "epoch_ms", "epoch_us"] = "iso"


class Message(NamedTuple):
    """A recorded message.

    Attributes:
        topic: topic.
        payload: payload.
        received: when it was received: ISO 8601 text, or microseconds since 1970 in UTC; None if not recorded.
    """

    topic: str
    payload: bytes
    received: str | int | None


Recorded = Message | Rejected | Skipped
"""A record: a message, or what else is recorded in its place, which is one unit."""


class Topic(NamedTuple):
    """What a topic says.

    Attributes:
        kind: type of the message, such as ``DDATA``.
        node: ``group/edge node``.
        device: device; None for messages of the node itself.
    """

    kind: str
    node: str
    device: str | None

    @property
    def source(self) -> str:
        """Name of the source."""
        return self.node if self.device is None else f"{self.node}/{self.device}"


class SparkplugB:
    """Takes recordings of Sparkplug B messages apart; see the module."""

    name: str = "sparkplug_b"
    code_version: str = "1"
    unit: str = "metric"
    expected: Expected

    def __init__(self, options: SparkplugBOptions) -> None:
        self._options = options
        binary = options.recording == "binary"
        self.expected = Expected(
            Content.BYTES if binary else Content.LINES, kinds=frozenset({"binary" if binary else "json"})
        )

    @classmethod
    def from_options(cls, options: Mapping[str, Any], zone: str = "UTC") -> Streamed:
        """Set up the decoder with the options of a source declaration.

        Args:
            options: see `SparkplugBOptions`.
            zone: IANA zone of instants of receipt that carry none; Sparkplug itself is in UTC.

        Raises:
            pydantic.ValidationError: an option is unknown or has no such value.
        """
        return Streamed(cls(SparkplugBOptions.model_validate(options)), zone)

    def count(self, file: PreparedFile) -> int:
        """Number of units: metrics are counted in the bytes of payloads, by no library.

        Lines and frames are told apart by other means than in `read`: lines as the survey counts them, frames by
        their lengths alone.

        Raises:
            OSError: the file cannot be read.
        """
        if self._options.recording == "binary":
            return _units_in_frames(file.path)
        lines = units = 0
        for record in _lines(file.path, self._options):
            lines += 1
            units += _units_on_wire(record.topic, record.payload) if isinstance(record, Message) else 1
        return units + file.lines - lines

    def read(self, file: PreparedFile) -> Iterator[Unit]:
        """The units of the file, in order.

        Memory grows with the births: nodes, devices and metrics that are known.

        Raises:
            UndecodableFile: more names and aliases are in force than are kept.
            OSError: the file cannot be read.
        """
        binary = self._options.recording == "binary"
        records = _frames(file.path) if binary else _lines(file.path, self._options)
        plant = _Plant()
        for record in records:
            if isinstance(record, Message):
                yield from _units(record, plant)
            else:
                yield record


# Recordings


def _lines(path: Path, options: SparkplugBOptions) -> Iterator[Recorded]:
    """Records of a ``jsonl`` recording, one per line; a line ends at LF."""
    with path.open("rb") as file:
        first = True
        while line := file.readline(MAX_LINE_BYTES):
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                _pass_over_line(file)
                yield Rejected(LINE_TOO_LONG, f"a line has more than {MAX_LINE_BYTES} bytes", _readable(line))
                first = False
                continue
            content = line.removeprefix(b"\xef\xbb\xbf") if first else line
            first = False
            yield _record_of(content, options) if content.strip() else Skipped(BLANK)


def _pass_over_line(file: BinaryIO) -> None:
    while (rest := file.readline(1 << 20)) and not rest.endswith(b"\n"):
        continue


_STRUCTURE: Final = (b",", b"[", b"{")


def _record_of(line: bytes, options: SparkplugBOptions) -> Recorded:
    if (fields := sum(map(line.count, _STRUCTURE))) > MAX_FIELDS:
        return Rejected(TOO_MANY_FIELDS, f"found {fields} commas and brackets, more than {MAX_FIELDS}", _readable(line))
    try:
        said: object = json.loads(line.decode(), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        return Rejected(INVALID_UTF8, f"the line is no UTF-8: {error.reason} at byte {error.start}", _readable(line))
    except _RepeatedName as error:
        return Rejected(REPEATED_NAME, f"the name {error.args[0]!r} occurs twice in an object", _readable(line))
    except (ValueError, RecursionError) as error:
        return Rejected(JSON_INVALID, f"expected a JSON object: {error}", _readable(line))
    if not isinstance(said, dict):
        return Rejected(NOT_AN_OBJECT, "expected a JSON object", _readable(line))
    return _message_of(cast("dict[str, object]", said), line, options)


class _RepeatedName(Exception):  # noqa: N818 - named for what was found
    """An object of JSON has a name twice."""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RepeatedName(next(name for name in found if names.count(name) > 1))
    return found


def _message_of(said: dict[str, object], line: bytes, options: SparkplugBOptions) -> Recorded:
    topic, payload = said.get(options.topic), said.get(options.payload)
    if not isinstance(topic, str):
        detail = f"field {options.topic!r}: expected a topic, found {_brief(topic)}"
        return Rejected(TOPIC_UNREADABLE, detail, _readable(line))
    expectation = f"field {options.payload!r}: expected bytes in {options.payload_encoding}"
    if not isinstance(payload, str):
        return Rejected(MESSAGE_UNREADABLE, f"{expectation}, found {_brief(payload)}", _readable(line))
    try:
        octets = bytes.fromhex(payload) if options.payload_encoding == "hex" else b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        return Rejected(MESSAGE_UNREADABLE, f"{expectation}: {error}", _readable(line))
    return Message(topic, octets, _received(said.get(options.received), options.received_format))


def _brief(found: object) -> str:
    return "nothing" if found is None else repr(found)[:100]


_MICROSECONDS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}


def _received(said: object, form: str) -> str | int | None:
    """Instant of receipt; what is no such instant stays as it is written, to be refused where it is needed."""
    if said is None or (form == "iso" and isinstance(said, str)):
        return said
    if form == "iso" or isinstance(said, bool) or not isinstance(said, (str, int, float)):
        return repr(said)
    try:
        return round(float(said) * _MICROSECONDS[form])
    except (ValueError, OverflowError):
        return repr(said)


def _readable(line: bytes) -> str:
    return line[: 1 << 16].rstrip(b"\r\n").decode("utf-8", "backslashreplace")


def _frames(path: Path) -> Iterator[Recorded]:
    """Records of a ``binary`` recording; what follows the last whole frame is one record."""
    with path.open("rb") as file:
        start = 0
        while head := file.read(4):
            frame = _frame(file, head)
            if frame is None:
                yield _rest(file, start)
                return
            yield frame
            start = file.tell()


def _frame(file: BinaryIO, head: bytes) -> Recorded | None:
    """The record that begins with the length of a topic; None if it is none."""
    topic_bytes = int.from_bytes(head, "big")
    if len(head) < 4 or topic_bytes > MAX_TOPIC_BYTES:
        return None
    middle = file.read(topic_bytes + 12)
    if len(middle) < topic_bytes + 12:
        return None
    payload_bytes = int.from_bytes(middle[-4:], "big")
    payload = _taken(file, payload_bytes)
    if payload is None:
        return None
    received = int.from_bytes(middle[-12:-4], "big")
    try:
        topic = middle[:topic_bytes].decode()
    except UnicodeDecodeError:
        found = middle[: min(topic_bytes, 100)].decode("utf-8", "backslashreplace")
        payload_shown = as_json({"received": received, "payload": _base64(payload)})
        return Rejected(TOPIC_UNREADABLE, f"expected a topic in UTF-8, found {found}", payload_shown)
    message = Message(topic, payload, received * 1000 if received else None)
    return message if payload_bytes <= MAX_MESSAGE_BYTES else _too_large(message, payload_bytes)


def _taken(file: BinaryIO, size: int) -> bytes | None:
    """The next bytes, only the first of them if they are too many for a message; None if the file ends before."""
    if size <= MAX_MESSAGE_BYTES:
        taken = file.read(size)
        return taken if len(taken) == size else None
    taken = file.read(_SHOWN_BYTES)
    file.seek(size - len(taken) - 1, SEEK_CUR)
    return taken if file.read(1) else None


def _rest(file: BinaryIO, start: int) -> Rejected:
    file.seek(start)
    rest = file.read(_SHOWN_BYTES)
    size = file.seek(0, SEEK_END)
    detail = (
        f"no whole frame begins at byte {start} of {size}: expected the length of a topic, at most {MAX_TOPIC_BYTES},"
        " topic, ms since 1970, length of a payload, payload"
    )
    return Rejected(TRUNCATED_FRAME, detail, as_json({"offset": start, "base64": _base64(rest)}))


def _units_in_frames(path: Path) -> int:
    """Number of units of a ``binary`` recording, going from length to length."""
    size = path.stat().st_size
    units = at = 0
    with path.open("rb") as file:
        while at < size:
            topic_at = at + 4
            file.seek(at)
            topic_bytes = int.from_bytes(file.read(4), "big")
            payload_at = topic_at + topic_bytes + 12
            if topic_bytes > MAX_TOPIC_BYTES or payload_at > size:
                return units + 1
            topic = file.read(topic_bytes)
            file.seek(payload_at - 4)
            payload_bytes = int.from_bytes(file.read(4), "big")
            at = payload_at + payload_bytes
            if at > size:
                return units + 1
            units += _units_in_frame(topic, file, payload_bytes)
    return units


def _units_in_frame(topic: bytes, file: BinaryIO, payload_bytes: int) -> int:
    if payload_bytes > MAX_MESSAGE_BYTES:
        return 1
    try:
        return _units_on_wire(topic.decode(), file.read(payload_bytes))
    except UnicodeDecodeError:
        return 1


def _units_on_wire(topic: str, payload: bytes) -> int:
    """Number of units of a message, from the bytes of its payload."""
    if not isinstance(topic_of(topic), Topic) or len(payload) > MAX_MESSAGE_BYTES:
        return 1
    metrics = metrics_on_wire(payload) or 1
    return 1 if metrics > MAX_METRICS else metrics


# Topics


class _NoTopic(NamedTuple):
    """A topic of no message to decode: why it is skipped, or what is wrong with it."""

    skipped: str | None
    detail: str = ""


_OF_NODES: Final = frozenset({"NBIRTH", "NDEATH", "NDATA", "NCMD"})
_OF_DEVICES: Final = frozenset({"DBIRTH", "DDEATH", "DDATA", "DCMD"})


@lru_cache(maxsize=4096)
def topic_of(topic: str) -> Topic | _NoTopic:
    """What a topic says; STATE is that of 3.0, ``spBv1.0/STATE/host``, or as it was before."""
    parts = topic.split("/")
    if parts[0] == STATE.upper() and len(parts) == 2:
        return _NoTopic(STATE)
    if parts[0] != "spBv1.0":
        return _NoTopic(OTHER_TOPIC)
    if STATE.upper() in (parts[1:2] if len(parts) == 3 else parts[2:3]):
        return _NoTopic(STATE)
    kind = parts[2] if len(parts) > 2 else ""
    if all(parts) and len(parts) == 4 and kind in _OF_NODES:
        return Topic(kind, f"{parts[1]}/{parts[3]}", None)
    if all(parts) and len(parts) == 5 and kind in _OF_DEVICES:
        return Topic(kind, f"{parts[1]}/{parts[3]}", parts[4])
    return _NoTopic(None, f"expected spBv1.0/group/TYPE/edge node[/device], found {topic[:200]}")


# What is known


@dataclass(slots=True)
class _Definitions:
    """What the last birth of a node or device said of its metrics; an alias that it gave twice means nothing."""

    datatypes: dict[str, int] = field(default_factory=dict[str, int])
    names: dict[int, str | None] = field(default_factory=dict[int, str | None])
    weight: int = 0

    def add(self, name: str, metric: Metric) -> None:
        """Put down a metric of a birth."""
        self.weight += _weight(name)
        self.datatypes[name] = metric.datatype
        if metric.HasField("alias"):
            self.names[metric.alias] = name if self.names.get(metric.alias, name) == name else None


def _weight(name: str) -> int:
    """How many names of usual length a name counts as."""
    return 1 + len(name) // 64


@dataclass(slots=True)
class _Node:
    """What is known of an edge node.

    Attributes:
        definitions: what births said, by device; None for the node itself.
        alive: metrics that were observed since their last death, by device.
        birth: ``bdSeq`` of the last birth.
        seq: last sequence number.
        missing: messages that are missing and not put down yet.
        sent: latest time of a message, ms since 1970.
    """

    definitions: dict[str | None, _Definitions] = field(default_factory=dict[str | None, _Definitions])
    alive: dict[str | None, dict[str, None]] = field(default_factory=dict[str | None, dict[str, None]])
    birth: int | None = None
    seq: int | None = None
    missing: int = 0
    sent: int = 0

    def hear(self, kind: str, envelope: Envelope) -> None:
        """Take note of the time and the sequence number of a message."""
        if kind == "NDEATH":
            self.seq, self.missing = None, 0
            return
        self.sent = max(self.sent, envelope.timestamp or 0)
        seq = envelope.seq if envelope.seq is not None and envelope.seq < 256 else None
        if kind == "NBIRTH":
            self.missing = 0
        elif self.seq is not None and seq is not None:
            self.missing += (seq - self.seq - 1) % 256
        self.seq = seq


@dataclass(slots=True)
class _Plant:
    """The edge nodes of a recording, by ``group/edge node``, and the weight of all that is known of them."""

    nodes: dict[str, _Node] = field(default_factory=dict[str, _Node])
    weight: int = 0

    def node(self, name: str) -> _Node:
        """The node of a name, known or new."""
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = _Node()
            self.grow(_weight(name))
        return node

    def grow(self, by: int) -> None:
        """Account for what is to be remembered.

        Raises:
            UndecodableFile: it is too much.
        """
        self.weight += by
        if self.weight > MAX_NAMES:
            raise UndecodableFile(
                TOO_MANY_NAMES,
                f"over {MAX_NAMES} names of nodes, devices and metrics are in force at once; split the recording",
            )


class _Told(NamedTuple):
    """A message that is being taken apart."""

    message: Message
    topic: Topic
    envelope: Envelope
    plant: _Plant
    node: _Node


# Meaning


def _units(message: Message, plant: _Plant) -> Iterator[Unit]:
    """The units of a message."""
    topic = topic_of(message.topic)
    if not isinstance(topic, Topic):
        if topic.skipped is None:
            yield Rejected(TOPIC_UNREADABLE, topic.detail, _recorded(message))
        else:
            yield Skipped(topic.skipped)
        return
    if len(message.payload) > MAX_MESSAGE_BYTES:
        yield _too_large(message, len(message.payload))
        return
    try:
        envelope = opened(message.payload)
    except Unfit as unfit:
        yield Rejected(unfit.reason, unfit.detail, _recorded(message))
        return
    if len(envelope.metrics) > MAX_METRICS:
        detail = f"found {len(envelope.metrics)} metrics in a message, more than {MAX_METRICS}"
        yield Rejected(TOO_MANY_METRICS, detail, _recorded(message))
        return
    if topic.kind in ("NCMD", "DCMD"):
        yield from [Skipped(COMMAND)] * max(1, len(envelope.metrics))
        return
    yield from _units_told(_Told(message, topic, envelope, plant, plant.node(topic.node)))


def _units_told(told: _Told) -> Iterator[Unit]:
    kind, envelope = told.topic.kind, told.envelope
    told.node.hear(kind, envelope)
    if envelope.uuid == _COMPRESSED:
        detail = f"the body of {len(envelope.body)} bytes is compressed, which is no part of Sparkplug 3.0"
        yield from [Rejected(COMPRESSED_PAYLOAD, detail, _recorded(told.message))] * max(1, len(envelope.metrics))
    elif kind in ("NDEATH", "DDEATH"):
        yield from _death(told)
    elif kind in ("NBIRTH", "DBIRTH"):
        yield from _birth(told)
    else:
        yield from _data(told)


def _data(told: _Told) -> Iterator[Unit]:
    if not told.envelope.metrics:
        yield _nothing_in(told)
    definitions = told.node.definitions.get(told.topic.device) or _Definitions()
    for raw in told.envelope.metrics:
        yield _unit(told, raw, definitions)


def _nothing_in(told: _Told) -> Unit:
    if told.envelope.body:
        detail = f"found no metrics, but a body of {len(told.envelope.body)} bytes of schema {told.envelope.uuid!r}"
        return Rejected(MESSAGE_UNREADABLE, detail, _recorded(told.message))
    return Skipped(EMPTY_MESSAGE)


def _birth(told: _Told) -> Iterator[Unit]:
    """Units of a birth; what was said before of the node and all its devices, or of the device, holds no longer."""
    node, device = told.node, told.topic.device
    former = [device] if told.topic.kind == "DBIRTH" else list(node.definitions)
    told.plant.grow(-sum(node.definitions.pop(name).weight for name in former if name in node.definitions))
    if device is None:
        node.birth = None
    if not told.envelope.metrics:
        yield _nothing_in(told)
    definitions = _Definitions()
    for raw in told.envelope.metrics:
        before = definitions.weight
        yield _unit(told, raw, definitions)
        told.plant.grow(definitions.weight - before)
    node.definitions[device] = definitions


def _unit(told: _Told, raw: bytes, definitions: _Definitions) -> Unit:
    """What one metric is; that of a birth is put down in the definitions first."""
    metric = None
    try:
        metric = metric_of(raw)
        is_birth = told.topic.kind in ("NBIRTH", "DBIRTH")
        if metric.is_transient and not is_birth:
            return Skipped(TRANSIENT)
        name = _name_of(metric) if is_birth else _resolved(metric, definitions)
        if is_birth and name is not None:
            definitions.add(name, metric)
        if metric.is_transient:
            return Skipped(TRANSIENT)
        observed = _observed(told, metric, name, definitions)
    except Unfit as unfit:
        return Rejected(unfit.reason, unfit.detail, _shown(told, raw, metric))
    if observed.tag is None or observed.ts is None:
        observed = observed._replace(payload=_shown(told, raw, metric))
    return observed


def _name_of(metric: Metric) -> str | None:
    return string_of(metric.name) or None


def _resolved(metric: Metric, definitions: _Definitions) -> str | None:
    """Name of a metric of a data message."""
    name = _name_of(metric)
    if name is not None or not metric.HasField("alias"):
        return name
    if metric.alias not in definitions.names:
        raise Unfit(ALIAS_UNKNOWN, f"no birth before it in this file gives the alias {metric.alias} to a metric")
    known = definitions.names[metric.alias]
    if known is None:
        raise Unfit(ALIAS_UNKNOWN, f"the birth gives the alias {metric.alias} to several metrics")
    return known


def _observed(told: _Told, metric: Metric, name: str | None, definitions: _Definitions) -> Observed:
    status = _status(metric)
    detail: dict[str, object] = {}
    if metric.is_null:
        token = Token(None, is_text=False)
    else:
        token = token_of(metric, metric.datatype or definitions.datatypes.get(name or ""))
        if token.value is None:
            detail["value"] = "missing"
    if name == _BIRTH_DEATH_SEQUENCE and told.topic.kind == "NBIRTH" and isinstance(token.value, int):
        told.node.birth = token.value
    milliseconds = metric.timestamp if metric.HasField("timestamp") else told.envelope.timestamp
    _put_down_gap(told.node, detail)
    if name is not None:
        _remember(told, name)
    return Observed(
        tag=name,
        ts=None if milliseconds is None else milliseconds * 1000,
        value=token.value,
        status=BAD_NO_DATA if token.value is None else status,
        detail=as_json(detail) if detail else None,
        source=told.topic.source,
        is_text=token.is_text,
        remarks=HISTORICAL if metric.is_historical else 0,
    )


def _put_down_gap(node: _Node, detail: dict[str, object]) -> None:
    if node.missing:
        detail["gap"] = node.missing
        node.missing = 0


def _remember(told: _Told, name: str) -> None:
    alive = told.node.alive.setdefault(told.topic.device, {})
    if name not in alive:
        alive[name] = None
        told.plant.grow(_weight(name))


_QUALITIES: Final = {0: BAD, 192: GOOD, 500: UNCERTAIN_NO_COMMUNICATION_LAST_USABLE_VALUE}


def _status(metric: Metric) -> int:
    """StatusCode of the property ``Quality``, Good without one."""
    if not metric.HasField("properties"):
        return GOOD
    keys, values = metric.properties.keys, metric.properties.values
    if _QUALITY not in keys:
        return GOOD
    if len(keys) != len(values):
        raise Unfit(STATUS_UNREADABLE, f"expected as many properties as keys, {len(keys)}, found {len(values)}")
    found = {_integer(value) for key, value in zip(keys, values, strict=True) if key == _QUALITY}
    quality = found.pop() if len(found) == 1 else None
    if quality not in _QUALITIES:
        what = "several values" if found else "no integer" if quality is None else quality
        raise Unfit(STATUS_UNREADABLE, f"property {_QUALITY!r}: expected 0, 192 or 500, found {what}")
    return _QUALITIES[quality]


def _integer(property_value: Any) -> int | None:  # noqa: ANN401 - protobuf has no types
    carrier = property_value.WhichOneof("value")
    is_integer = carrier in ("int_value", "long_value") and not property_value.is_null
    return getattr(property_value, carrier) if is_integer else None


def _death(told: _Told) -> Iterator[Unit]:
    """Units of a death: the metric ``bdSeq``, else the first, or the message, stands for all that becomes stale."""
    metrics = told.envelope.metrics
    bearer, number = _bearer(metrics)
    birth = told.node.birth if told.topic.kind == "NDEATH" else None
    if None not in (birth, number) and birth != number:
        yield from [Skipped(STALE_DEATH)] * max(1, len(metrics))
        return
    if not metrics:
        yield _deaths(told, None)
    for at, raw in enumerate(metrics):
        if at == bearer:
            yield _deaths(told, raw if number is None else None)
        else:
            detail = f"a death holds nothing but {_BIRTH_DEATH_SEQUENCE}; it cannot be told when this was observed"
            yield Rejected(VALUE_IN_DEATH, detail, _shown(told, raw, None))


def _bearer(metrics: list[bytes]) -> tuple[int, int | None]:
    """Which metric of a death is ``bdSeq``, and what it says; the first and None if there is none."""
    for at, raw in enumerate(metrics):
        try:
            metric = metric_of(raw)
            if metric.name == _BIRTH_DEATH_SEQUENCE:
                number = token_of(metric, metric.datatype or DataType.UINT64).value
                return at, number if isinstance(number, int) else None
        except Unfit:
            # It is rejected with its own reason when its turn comes.
            continue
    return 0, None


def _deaths(told: _Told, other: bytes | None) -> Unit:
    """The observations that metrics are stale.

    Args:
        told: the death.
        other: a metric that it has instead of ``bdSeq``; it goes to the detail.
    """
    detail: dict[str, object] = {}
    if other is not None:
        try:
            detail["metric"] = shown(metric_of(other))
        except Unfit as unfit:
            return Rejected(unfit.reason, unfit.detail, _shown(told, other, None))
    at = _died_at(told)
    if at is None:
        return Rejected(
            DEATH_UNDATED,
            "the death is a will that was written before the last data, and the record does not say when it came",
            _recorded(told.message),
        )
    sources = [told.topic.device] if told.topic.kind == "DDEATH" else list(told.node.alive)
    dead = [(device, name) for device in sources for name in told.node.alive.pop(device, {})]
    if not dead:
        return Skipped(NOTHING_ALIVE)
    told.plant.grow(-sum(_weight(name) for _, name in dead))
    _put_down_gap(told.node, detail)
    first = as_json(detail) if detail else None
    return [
        Observed(
            tag=name,
            ts=at,
            value=None,
            status=BAD_NO_COMMUNICATION,
            detail=None if place else first,
            source=told.topic._replace(device=device).source,
        )
        for place, (device, name) in enumerate(dead)
    ]


def _died_at(told: _Told) -> str | int | None:
    """When the metrics became stale, see the module."""
    sent = told.envelope.timestamp
    if told.topic.kind == "DDEATH":
        return told.message.received if sent is None else sent * 1000
    if told.message.received is not None:
        return told.message.received
    return sent * 1000 if sent is not None and sent >= told.node.sent else None


# What the quarantine shows


def _too_large(message: Message, size: int) -> Rejected:
    detail = f"the payload has {size} bytes, more than {MAX_MESSAGE_BYTES}"
    return Rejected(MESSAGE_TOO_LARGE, detail, _recorded(message))


def _recorded(message: Message) -> str:
    """A message as it could be recorded; a long one is cut."""
    return as_json({"topic": message.topic, "received": message.received, "payload": _base64(message.payload)})


def _shown(told: _Told, raw: bytes, metric: Metric | None) -> str:
    """A metric as JSON, with its bytes; a long one is cut."""
    said = {} if metric is None else shown(metric)
    return as_json({"topic": told.message.topic, **said, "bytes": len(raw), "base64": _base64(raw)})


def _base64(octets: bytes) -> str:
    return b64encode(octets[:_SHOWN_BYTES]).decode("ascii")
