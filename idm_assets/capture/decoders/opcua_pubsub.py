"""Decoder of OPC UA PubSub messages in JSON, in all their layouts.

Source of the format: OPC UA Part 14, 7.2.5 (JSON message mapping) and Part 6, 5.4 (JSON encoding, 1.04 reversible and
not, 1.05 compact and verbose); the messages of OPC Publisher (MIT, github.com/Azure/Industrial-IoT), which adds
monitored items as messages of their own and conditions; the envelope of Azure IoT Hub and Event Hubs, ``body``.

A message is a NetworkMessage with one or more DataSetMessages, a DataSetMessage, a monitored item, or a list of these
at any level. What it is follows from its members, in this order: ``body``, a discovery ``MessageType``, ``Messages``,
``Payload``, ``NodeId`` and ``Value``, the header of a DataSetMessage. The unit is

* one field of the ``Payload`` of one DataSetMessage, a `DataValue` or a bare value;
* one event or condition as a whole: its fields have one time. Its text is the ``Message``, its detail all fields;
* one monitored item;
* one message that says nothing of values: keep-alives, metadata and other discovery messages, empty ones (skipped);
* one message or document that cannot be read (rejected).

A status applies to the fields without their own; it is Good where there is none. A value that is missing although its
status is Good is BadNoData. The time is the field's source timestamp, else its server timestamp, else that of the
message; the year 1 and 1601-01-01, which stand for no DateTime in OPC UA, count as missing, as does an empty text.

What is said of a value beside time and status is its detail: ``event``, the fields of the event; ``dimensions`` of an
array that is written without them; ``gap``, how many messages of the DataSetWriter are missing before this one;
``ts``, where the time is not the message's own.

What does not follow from a message alone is said by `OpcuaPubsubOptions`.

Belongs here: what members of messages mean. Does not belong here: splitting a file into documents (`json_documents`),
what a number or a timestamp is (`text_values`), OPC UA PubSub messages in binary (UADP).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from idm_assets.capture.content import Content, Expected
from idm_assets.capture.decoders import PreparedFile
from idm_assets.capture.decoders.json_documents import (
    BrokenDocument,
    Json,
    Written,
    as_json,
    documents,
    element_outlines,
    elements,
    outlines,
)
from idm_assets.capture.decoders.streamed import Observed, Rejected, Skipped, Streamed, Unit
from idm_assets.status import BAD_NO_DATA, GOOD

MESSAGE_UNREADABLE: Final = "message_unreadable"
SEVERAL_DOCUMENTS: Final = "several_documents"
STATUS_UNREADABLE: Final = "status_unreadable"

KEEP_ALIVE: Final = "keep_alive"
METADATA: Final = "metadata"
DISCOVERY: Final = "discovery"
EMPTY_MESSAGE: Final = "empty_message"

_BODY: Final = ("body", "Body")
_ENQUEUED: Final = ("enqueuedTime", "enqueuedTimeUtc", "EnqueuedTimeUtc")
_GROUP: Final = ("WriterGroupName", "DataSetWriterGroup", "WriterGroupId")
_WRITER: Final = ("DataSetWriterName", "DataSetWriterId")
_SERVER: Final = ("ApplicationUri", "EndpointUrl")
_TELLS_NOTHING: Final[Mapping[str, str]] = {
    "ua-metadata": METADATA,
    **dict.fromkeys(
        (
            "ua-application", "ua-endpoints", "ua-status", "ua-connection",
            "ua-action-request", "ua-action-response", "ua-action-metadata", "ua-action-responder",
        ),
        DISCOVERY,
    ),
}  # fmt: skip
_EVENTS: Final = ("ua-event", "ua-condition")
_DATA_SETS: Final = ("ua-keyframe", "ua-deltaframe", "ua-keepalive", *_EVENTS)
_STATUS: Final = ("StatusCode", "Status")
_DATA_VALUE: Final = frozenset(
    {
        "Value", "Status", "StatusCode", "SourceTimestamp", "ServerTimestamp", "SourcePicoseconds", "ServerPicoseconds",
        "UaType", "Dimensions",
    }
)  # fmt: skip
_VARIANT: Final = frozenset({"Type", "Body", "Dimensions"})
_EXTENSION_OBJECT: Final = frozenset({"TypeId", "Encoding", "Body", "UaTypeId", "UaEncoding", "UaBody"})
_LOCALIZED_TEXT: Final = frozenset({"Text", "Locale"})
_STATUS_CODE: Final = frozenset({"Code", "Symbol"})

# Part 6, 5.1.2: the number of a built-in type is its place, from 1.
_BUILT_IN: Final = (
    "Boolean", "SByte", "Byte", "Int16", "UInt16", "Int32", "UInt32", "Int64", "UInt64", "Float", "Double", "String",
    "DateTime", "Guid", "ByteString", "XmlElement", "NodeId", "ExpandedNodeId", "StatusCode", "QualifiedName",
    "LocalizedText", "ExtensionObject", "DataValue", "Variant", "DiagnosticInfo",
)  # fmt: skip
_TYPE: Final[Mapping[str, str]] = {
    "0": "Null",
    **{str(number): name for number, name in enumerate(_BUILT_IN, start=1)},
    **{name: name for name in ("Null", "Number", "Integer", "UInteger", "Enumeration", *_BUILT_IN)},
}
_NUMBERS: Final = frozenset({*_BUILT_IN[1:11], "Number", "Integer", "UInteger", "Enumeration"})

_NO_DATE_TIME: Final = ("0001-01-01T00:00:00", "1601-01-01T00:00:00")
_SCRIPT_DATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) (\d\d) (\d{4}) (\d\d:\d\d:\d\d) GMT([-+]\d{4})(?: \(.*\))?"
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SEQUENCE_NUMBERS: Final = 1 << 32
_UNCERTAIN: Final = 1 << 30
_BAD: Final = 1 << 31
_WRITERS_REMEMBERED: Final = 65_536


class OpcuaPubsubOptions(BaseModel):
    """Options of a source declaration in this format.

    Attributes:
        source: what names the source: the ``PublisherId``, of monitored items the ``ApplicationUri`` or
            ``EndpointUrl``, as one publisher has items of many servers and NodeIds differ only within one; the
            DataSetWriter's name or id; the WriterGroup's name; the path. Where the message does not say it, it is the
            path.
        tag: what names a signal: the DataSetWriter's name or id, a slash and the field, or the field alone.
        item_tag: what names the signal of a monitored item: its ``NodeId``, or its ``DisplayName`` where it has one.
        event_tag: what names the signal of an event: ``event`` below its DataSetWriter or monitored item, or instead
            its ``EventType`` where it has one.
        layout: ``messages``: an object that is no message is rejected; ``fields``: it is a ``Payload`` without a
            header.
        documents: ``sequence``: a file holds any number of documents; ``one``: a file is one document, and what
            follows it is rejected.
        missing_time: what becomes of a unit for which the message has no time: ``reject``, or ``enqueued``: the time
            at which the hub got the message is taken, and the detail says so.
        strings: ``text``: a string is text; ``numbers``: a string that looks like a number is one, as for Int64 in
            JSON that does not name types.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["publisher", "writer", "writer_group", "path"] = "publisher"
    tag: Literal["writer_field", "field"] = "writer_field"
    item_tag: Literal["node_id", "display_name"] = "node_id"
    event_tag: Literal["event", "event_type"] = "event"
    layout: Literal["messages", "fields"] = "messages"
    documents: Literal["sequence", "one"] = "sequence"
    missing_time: Literal["reject", "enqueued"] = "reject"
    strings: Literal["text", "numbers"] = "text"


@dataclass(frozen=True, slots=True)
class _Envelope:
    """What is said around a message: its line in the file, who sends it, when the hub got it."""

    line: int
    publisher: str | None = None
    group: str | None = None
    enqueued: str | None = None


@dataclass(frozen=True, slots=True)
class _Origin:
    """What is said of all values of one message: where they come from, and what holds where they say nothing.

    Attributes:
        line: line of the file on which the document begins.
        source: source; None: the path.
        owner: DataSetWriter or monitored item, the first part of tags.
        ts: timestamp of the message.
        enqueued: when the hub got it.
        status: status of the message, as JSON.
    """

    line: int
    source: str | None
    owner: str | None
    ts: str | None
    enqueued: str | None
    status: Json


class _Value(NamedTuple):
    """A value with its built-in type, and what is said of it alone."""

    value: Json
    kind: str | None = None
    status: Json = None
    ts: str | None = None
    dimensions: Json = None


Writer = tuple[str | None, str | None]
"""Publisher and DataSetWriter, which number their messages."""


class OpcuaPubsub:
    """Takes OPC UA PubSub messages apart; see the module."""

    name: str = "opcua_pubsub"
    code_version: str = "1"
    unit: str = "field"
    expected: Expected = Expected(Content.BYTES, kinds=frozenset({"json"}))

    def __init__(self, options: OpcuaPubsubOptions | None = None) -> None:
        self._options = options or OpcuaPubsubOptions()

    @classmethod
    def from_options(cls, options: Mapping[str, Any], zone: str = "UTC") -> Streamed:
        """Set up the decoder with the options of a source declaration.

        Args:
            options: fields of `OpcuaPubsubOptions`.
            zone: IANA zone of timestamps that carry none; OPC UA's are in UTC.

        Raises:
            pydantic.ValidationError: an option is unknown or has no such value.
        """
        return Streamed(cls(OpcuaPubsubOptions.model_validate(options)), zone)

    def count(self, file: PreparedFile) -> int:
        """Number of units, by sweeping over the bytes of the file.

        Raises:
            OSError: the file cannot be read.
        """
        outline = _Counted(self._options.layout)
        if self._options.documents == "sequence":
            return sum(1 if kept is None else kept.units for kept in element_outlines(file.path, outline))
        counts = (1 if kept is None else kept.units for kept in outlines(file.path, outline))
        return next(counts, 0) + sum(1 for _ in counts)

    def read(self, file: PreparedFile) -> Iterator[Unit]:
        """The units in order; memory is bounded by the largest document.

        Raises:
            OSError: the file cannot be read.
        """
        is_sequence = self._options.documents == "sequence"
        reading = _Reading(self._options)
        for number, document in enumerate(elements(file.path) if is_sequence else documents(file.path)):
            if isinstance(document, BrokenDocument):
                yield Rejected(document.reason, document.detail, document.payload)
            elif number and not is_sequence:
                detail = f"line {document.line}: expected the file to end, as it is declared to be one document"
                yield Rejected(SEVERAL_DOCUMENTS, detail, document.text)
            else:
                yield from reading.units(document.value, _Envelope(document.line))


class _Reading:
    """Reads the messages of one file, whose sequence numbers follow each other."""

    def __init__(self, options: OpcuaPubsubOptions) -> None:
        self._options = options
        self._sequences = _Sequences()

    def units(self, message: Json, envelope: _Envelope) -> Iterator[Unit]:
        """The units of a message or of a list of messages."""
        match message:
            case []:
                yield Skipped(EMPTY_MESSAGE)
            case list():
                for element in message:
                    yield from self.units(element, envelope)
            case dict():
                yield from self._object(message, envelope)
            case _:
                yield _unreadable(message, envelope.line, "a message, which is an object")

    def _object(self, message: dict[str, Json], envelope: _Envelope) -> Iterator[Unit]:
        kind = _message_type(message)
        body = next((name for name in _BODY if name in message), None)
        if body is not None:
            enqueued = _enqueued(_first(message, _ENQUEUED)) or envelope.enqueued
            yield from self.units(message[body], replace(envelope, enqueued=enqueued))
        elif kind in _TELLS_NOTHING:
            yield Skipped(_TELLS_NOTHING[kind])
        elif "Messages" in message:
            yield from self.units(message["Messages"], _within(message, envelope))
        elif "Payload" in message:
            yield from self._data_set(message, message["Payload"], _within(message, envelope))
        elif "NodeId" in message and "Value" in message:
            yield self._item(message, _within(message, envelope))
        elif kind in _DATA_SETS or any(name in message for name in _WRITER):
            yield from self._data_set(message, None, _within(message, envelope))
        elif not message:
            yield Skipped(EMPTY_MESSAGE)
        elif self._options.layout == "fields":
            yield from self._fields(message, self._origin({}, None, envelope))
        else:
            wanted = "a NetworkMessage, a DataSetMessage or a monitored item"
            yield _unreadable(message, envelope.line, f"{wanted}; a Payload without header needs the layout 'fields'")

    def _data_set(self, message: dict[str, Json], payload: Json, envelope: _Envelope) -> Iterator[Unit]:
        kind = _message_type(message)
        owner = _name_in(message, _WRITER)
        writer = envelope.publisher, owner
        # Part 14, 7.2.5.4: a keep-alive has no Payload, and the number of the next message, which it does not use up.
        is_keep_alive = payload in (None, {}) if kind == "ua-keepalive" else payload is None and not kind
        self._sequences.hear(writer, message.get("SequenceNumber"), uses=0 if is_keep_alive else 1)
        origin = self._origin(message, owner, envelope)
        if is_keep_alive:
            yield Skipped(KEEP_ALIVE)
        elif payload is None or payload == {}:
            yield Skipped(EMPTY_MESSAGE)
        elif not isinstance(payload, dict):
            yield _unreadable(payload, envelope.line, "a Payload, which is an object of fields")
        elif kind in _EVENTS:
            yield self._with_gap(self._event(payload, origin), writer)
        else:
            for unit in self._fields(payload, origin):
                yield self._with_gap(unit, writer)

    def _origin(self, message: dict[str, Json], owner: str | None, envelope: _Envelope) -> _Origin:
        sources = {"publisher": envelope.publisher, "writer": owner, "writer_group": envelope.group}
        return _Origin(
            line=envelope.line,
            source=sources.get(self._options.source),
            owner=owner,
            ts=_instant(message.get("Timestamp")),
            enqueued=envelope.enqueued if self._options.missing_time == "enqueued" else None,
            status=_first(message, _STATUS),
        )

    def _with_gap(self, unit: Unit, writer: Writer) -> Unit:
        """Say on the first observation after a gap how many messages are missing."""
        if not isinstance(unit, Observed) or not (gap := self._sequences.missed(writer)):
            return unit
        return unit._replace(detail=_with(unit.detail, "gap", str(gap)))

    def _fields(self, payload: dict[str, Json], origin: _Origin) -> Iterator[Unit]:
        for name, field in payload.items():
            yield self._observed(self._tag(name, origin), _value(field), origin, name)

    def _tag(self, name: str, origin: _Origin) -> str:
        is_prefixed = self._options.tag == "writer_field" and origin.owner is not None and name.strip()
        return f"{origin.owner}/{name}" if is_prefixed else name

    def _item(self, message: dict[str, Json], envelope: _Envelope) -> Observed | Rejected:
        extension = message.get("ExtensionFields")
        beside = extension if isinstance(extension, dict) else {}
        writer = _name_in(message, _WRITER) or _name_in(beside, _WRITER)
        publisher = _name_in(message, _SERVER) or envelope.publisher
        origin = self._origin(message, writer, replace(envelope, publisher=publisher))
        name = _node(message["NodeId"])
        if self._options.item_tag == "display_name":
            name = _named(message.get("DisplayName")) or name
        said = _value(message["Value"])
        said = said._replace(ts=said.ts or _first_instant(message))
        fields = _plain(said.value)
        if isinstance(fields, dict) and ("EventId" in fields or "EventType" in fields):
            status = origin.status if said.status is None else said.status
            return self._event(fields, replace(origin, owner=name, ts=said.ts or origin.ts, status=status))
        return self._observed(name, said, origin, "Value")

    def _event(self, fields: dict[str, Json], origin: _Origin) -> Observed | Rejected:
        said = {name: _value(fields.get(name)) for name in ("Message", "EventType", "Time", "ReceiveTime")}
        times = (_instant(said[name].value) for name in ("Time", "ReceiveTime"))
        kind = None if said["EventType"].value is None else _node(said["EventType"].value)
        message, _ = self._token(said["Message"])
        what = kind if kind and self._options.event_tag == "event_type" else "event"
        event = _Value(kind if message is None else message, "String", ts=next((ts for ts in times if ts), None))
        tag = what if origin.owner is None else f"{origin.owner}/{what}"
        unit = self._observed(tag, event, origin, what)
        if isinstance(unit, Rejected):
            return unit._replace(payload=as_json(fields))
        return unit._replace(detail=_with(unit.detail, "event", as_json(fields)))

    def _observed(self, tag: str | None, said: _Value, origin: _Origin, name: str) -> Observed | Rejected:
        delivered = origin.status if said.status is None else said.status
        status = _status(delivered)
        token, is_text = self._token(said)
        if status is None:
            found = as_json(delivered)
            explanation = f"expected an OPC UA StatusCode, 0 to 4294967295, found {found[:100]}"
            payload = as_json({name: {"Value": said.value, "StatusCode": delivered, "SourceTimestamp": said.ts}})
            return Rejected(STATUS_UNREADABLE, f"line {origin.line}, {name!r}: {explanation}", payload)
        detail = None if said.dimensions is None else _with(None, "dimensions", as_json(said.dimensions))
        ts = said.ts or origin.ts
        if ts is None and origin.enqueued is not None:
            ts, detail = origin.enqueued, _with(detail, "ts", '"enqueued"')
        if token is None and status < _UNCERTAIN:
            status = BAD_NO_DATA
        return Observed(tag, ts, token, status, detail, origin.source, is_text)

    def _token(self, said: _Value) -> tuple[str | bool | None, bool]:
        """A value as delivered, and whether it is text even where it looks like a number."""
        match said.value:
            case None | bool():
                return said.value, True
            case Written():
                return str(said.value), False
            case str():
                is_number = said.kind in _NUMBERS or (said.kind is None and self._options.strings == "numbers")
                return said.value, not is_number
            case {"Text": str(text), **others} if _LOCALIZED_TEXT.issuperset(others):
                return text, True
            case {"Code": Written(code), **others} if said.kind == "StatusCode" and _STATUS_CODE.issuperset(others):
                return str(code), False
            case _:
                return as_json(_plain(said.value)), True


class _Sequences:
    """Sequence numbers of DataSetWriters: which comes next, and how many were missed."""

    def __init__(self) -> None:
        self._next: dict[Writer, int] = {}
        self._missed: dict[Writer, int] = {}

    def hear(self, writer: Writer, number: Json, uses: int) -> None:
        """Take note of a message, which uses up one sequence number, or of a keep-alive, which uses none.

        A number that is behind by up to half of all is a repetition or a new start, and no gap.
        """
        if writer[1] is None or not isinstance(number, Written) or not number.isdecimal() or len(number) > 10:
            return
        heard = int(number)
        gap = (heard - self._next.pop(writer, heard)) % _SEQUENCE_NUMBERS
        if 0 < gap < _SEQUENCE_NUMBERS // 2:
            self._missed[writer] = self._missed.get(writer, 0) + gap
        if len(self._next) >= _WRITERS_REMEMBERED:
            forgotten = next(iter(self._next))
            del self._next[forgotten]
            self._missed.pop(forgotten, None)
        self._next[writer] = (heard + uses) % _SEQUENCE_NUMBERS

    def missed(self, writer: Writer) -> int:
        """How many messages were missed since this was last asked."""
        return self._missed.pop(writer, 0)


def _unreadable(found: Json, line: int, wanted: str) -> Rejected:
    text = as_json(found)
    return Rejected(MESSAGE_UNREADABLE, f"line {line}: expected {wanted}, found {text[:100]}", text)


def _message_type(message: Mapping[str, Json]) -> str:
    kind = message.get("MessageType")
    return kind if isinstance(kind, str) else ""


def _within(message: dict[str, Json], envelope: _Envelope) -> _Envelope:
    publisher = _named(message.get("PublisherId")) or envelope.publisher
    return replace(envelope, publisher=publisher, group=_name_in(message, _GROUP) or envelope.group)


def _first(members: Mapping[str, Json], names: Sequence[str]) -> Json:
    """The first of some members that is there and not null."""
    return next((members[name] for name in names if members.get(name) is not None), None)


def _named(name: Json) -> str | None:
    """A name or a number that names something; nothing else does."""
    return str(name) if isinstance(name, str) and name.strip() else None


def _name_in(members: Mapping[str, Json], names: Sequence[str]) -> str | None:
    """What the first of some members names that names something."""
    return next((name for name in (_named(members.get(member)) for member in names) if name), None)


def _node(node: Json) -> str | None:
    """A NodeId, which is text or, in encodings of its own, an object."""
    return as_json(node) if isinstance(node, dict) else _named(node)


def _instant(ts: Json) -> str | None:
    """A timestamp as delivered; none where it stands for no DateTime (Part 6, 5.4.2.6)."""
    if ts is None or (isinstance(ts, str) and (not ts.strip() or ts.startswith(_NO_DATE_TIME))):
        return None
    return str(ts) if isinstance(ts, str) else as_json(ts)


def _first_instant(members: Mapping[str, Json]) -> str | None:
    found = (_instant(members.get(name)) for name in ("SourceTimestamp", "ServerTimestamp"))
    return next((ts for ts in found if ts is not None), None)


def _enqueued(ts: Json) -> str | None:
    """When a hub got a message; ISO 8601, or as scripts write dates."""
    written = _SCRIPT_DATE.fullmatch(ts) if isinstance(ts, str) else None
    if written is None or written[1] not in _MONTHS:
        return _instant(ts)
    month, day, year, time, offset = written.groups()
    return f"{year}-{_MONTHS.index(month) + 1:02}-{day}T{time}{offset}"


def _value(field: Json) -> _Value:
    """A field: a DataValue, or a bare value."""
    if not isinstance(field, dict) or not _DATA_VALUE.issuperset(field):
        value = _variant(field)
        # Part 14, 6.2.4.2: a bare value can only say that it is Bad by being the status itself.
        is_status = value.kind == "StatusCode" or (isinstance(field, dict) and field.keys() == _STATUS_CODE)
        return _Value(None, status=value.value) if is_status and (_status(value.value) or 0) >= _BAD else value
    value = _variant(field.get("Value"))
    return _Value(
        value.value,
        value.kind or _built_in(field.get("UaType")),
        _first(field, _STATUS),
        _first_instant(field),
        _first(field, ("Dimensions",)) if value.dimensions is None else value.dimensions,
    )


def _variant(value: Json) -> _Value:
    """A value with its built-in type, where the encoding names it."""
    if isinstance(value, dict) and "Type" in value and _VARIANT.issuperset(value):
        kind = _built_in(value["Type"])
        if kind is not None:
            return _Value(value.get("Body"), kind, dimensions=value.get("Dimensions"))
    return _Value(value)


def _built_in(kind: Json) -> str | None:
    return _TYPE.get(kind) if isinstance(kind, str) else None


def _plain(value: Json) -> Json:
    """What an ExtensionObject holds, or the value itself."""
    if isinstance(value, dict) and "TypeId" in value and _EXTENSION_OBJECT.issuperset(value):
        return value.get("Body")
    return value


def _status(code: Json) -> int | None:
    """An OPC UA StatusCode: a number, or an object with one as ``Code``; None if it is neither."""
    match code:
        case None:
            return GOOD
        # Part 6 (1.05), 5.4.2.12: Code and Symbol are left out where the code is 0; the Symbol may still say so.
        case {**members} if not members or members == {"Symbol": "Good"}:
            return GOOD
        case {"Code": Written(number), **others} if _STATUS_CODE.issuperset(others):
            return _status(number)
        case Written() if code.isdecimal() and len(code) <= 10 and int(code) < 1 << 32:
            return int(code)
        case _:
            return None


def _with(detail: str | None, name: str, json: str) -> str:
    """A detail, which is a JSON object, with one member more."""
    member = f'"{name}":{json}}}'
    return f"{{{member}" if detail is None else f"{detail[:-1]},{member}"


class _Tally(NamedTuple):
    """What counts of a JSON value: units if it is a message, members if it is an object, a MessageType."""

    units: int = 1
    members: int = 0
    text: str = ""


_OTHER: Final = _Tally()
_KNOWN: Final = {text: _Tally(text=text) for text in (*_TELLS_NOTHING, *_DATA_SETS)}


class _Counted:
    """Counts the units of a message from the inside out; see `json_documents.Outline`."""

    def __init__(self, layout: str) -> None:
        self._layout = layout

    def text(self, text: str) -> _Tally:
        return _KNOWN.get(text, _OTHER)

    def scalar(self, token: bytes) -> _Tally:  # noqa: ARG002 - a number is no message, whichever it is
        return _OTHER

    def of_list(self, items: list[_Tally]) -> _Tally:
        return _Tally(sum(item.units for item in items) or 1)

    def of_object(self, members: dict[str, _Tally]) -> _Tally:
        return _Tally(self._units(members), len(members))

    def _units(self, members: dict[str, _Tally]) -> int:
        for name in _BODY:
            if name in members:
                return members[name].units
        kind = members.get("MessageType", _OTHER).text
        if kind in _TELLS_NOTHING:
            return 1
        if "Messages" in members:
            return members["Messages"].units
        if "Payload" in members:
            return 1 if kind in _EVENTS else max(members["Payload"].members, 1)
        is_message = (
            members.keys() >= {"NodeId", "Value"} or kind in _DATA_SETS or not members.keys().isdisjoint(_WRITER)
        )
        return 1 if is_message or self._layout == "messages" else max(len(members), 1)
