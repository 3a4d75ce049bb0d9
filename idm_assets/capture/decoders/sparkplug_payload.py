"""Payload of a Sparkplug B message: its schema, and what the value of a metric is.

Source: Eclipse Sparkplug Specification 3.0.0, chapter 6 "Payloads": section "Google Protocol Buffer Schema" for
messages, field numbers and types, "Data Types" and "Datatype Details" for what a datatype is. The schema is described
here to the protobuf library as the specification has it; there is no generated code.

* Signed integers ride in unsigned fields. A sender may extend the sign to the width of the field (-1 of Int8 as
  0xFFFFFFFF) or not (as 0xFF); both are read, and so is an integer of up to 32 bits in ``long_value``, as senders in
  wide use put UInt32 there. What cannot be told for sure is refused.
* A Float is the exact double of the 32-bit number that was sent: 12.1 comes as 12.100000381469727.
* DateTime is ISO 8601 text in UTC. Before 1970 it is a negative number, although the field is unsigned.
* Arrays are packed little-endian, as the text of the specification says; its examples of FloatArray and DoubleArray
  show big-endian bytes, which is a mistake of theirs. Booleans are 8 to a byte, the first one in the highest bit.
* DataSet, Template, Bytes, File and arrays are JSON text; Bytes and File are ``{"base64": ..., <metadata>}``.

Belongs here: bytes of one message, values of one metric. Does not belong here: topics, names, aliases and sequence
(`sparkplug_b`).
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

TYPE_MISMATCH: Final = "type_mismatch"
DATATYPE_UNKNOWN: Final = "datatype_unknown"
INVALID_UTF8: Final = "invalid_utf8"
VALUE_TOO_LARGE: Final = "value_too_large"
MESSAGE_UNREADABLE: Final = "message_unreadable"

_SHOWN_CHARACTERS: Final = 1000

MAX_ELEMENTS: Final = 4 << 20
MAX_STRUCTURE_BYTES: Final = 2 << 20
MAX_GROUP_DEPTH: Final = 100


class DataType(IntEnum):
    """Index of a datatype, as the specification numbers them."""

    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTY_SET = 20
    PROPERTY_SET_LIST = 21
    INT8_ARRAY = 22
    INT16_ARRAY = 23
    INT32_ARRAY = 24
    INT64_ARRAY = 25
    UINT8_ARRAY = 26
    UINT16_ARRAY = 27
    UINT32_ARRAY = 28
    UINT64_ARRAY = 29
    FLOAT_ARRAY = 30
    DOUBLE_ARRAY = 31
    BOOLEAN_ARRAY = 32
    STRING_ARRAY = 33
    DATETIME_ARRAY = 34


class Unfit(Exception):  # noqa: N818 - named for the state of the value
    """What was delivered cannot be taken for what it is said to be.

    Attributes:
        reason: reason code of the quarantine.
        detail: what was expected and found, for people.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class _Described(NamedTuple):
    """Fields as ``number type name``, a list marked by ``*``; those of the ``oneof``; first number of extensions."""

    fields: str = ""
    value: str = ""
    extensions: int | None = None


_SCALARS: Final = "uint32 int_value, uint64 long_value, float float_value, double double_value, bool boolean_value"


def _from(first: int, kinds: str) -> str:
    """Consecutive field numbers for ``type name`` pairs."""
    return ", ".join(f"{number} {pair}" for number, pair in enumerate(kinds.split(", "), start=first))


_PACKAGE: Final = "org.eclipse.tahu.protobuf"
_SCHEMA: Final[Mapping[str, _Described]] = {
    "Payload": _Described(
        "1 uint64 timestamp, 2 Payload.Metric* metrics, 3 uint64 seq, 4 string uuid, 5 bytes body", extensions=6
    ),
    "Payload.Template": _Described(
        "1 string version, 2 Payload.Metric* metrics, 3 Payload.Template.Parameter* parameters,"
        " 4 string template_ref, 5 bool is_definition",
        extensions=6,
    ),
    "Payload.Template.Parameter": _Described(
        "1 string name, 2 uint32 type",
        _from(
            3, f"{_SCALARS}, string string_value, Payload.Template.Parameter.ParameterValueExtension extension_value"
        ),
    ),
    "Payload.Template.Parameter.ParameterValueExtension": _Described(extensions=1),
    "Payload.DataSet": _Described(
        "1 uint64 num_of_columns, 2 string* columns, 3 uint32* types, 4 Payload.DataSet.Row* rows", extensions=5
    ),
    "Payload.DataSet.DataSetValue": _Described(
        "",
        _from(
            1, f"{_SCALARS}, string string_value, Payload.DataSet.DataSetValue.DataSetValueExtension extension_value"
        ),
    ),
    "Payload.DataSet.DataSetValue.DataSetValueExtension": _Described(extensions=1),
    "Payload.DataSet.Row": _Described("1 Payload.DataSet.DataSetValue* elements", extensions=2),
    "Payload.PropertyValue": _Described(
        "1 uint32 type, 2 bool is_null",
        _from(
            3,
            f"{_SCALARS}, string string_value, Payload.PropertySet propertyset_value,"
            " Payload.PropertySetList propertysets_value, Payload.PropertyValue.PropertyValueExtension extension_value",
        ),
    ),
    "Payload.PropertyValue.PropertyValueExtension": _Described(extensions=1),
    "Payload.PropertySet": _Described("1 string* keys, 2 Payload.PropertyValue* values", extensions=3),
    "Payload.PropertySetList": _Described("1 Payload.PropertySet* propertyset", extensions=2),
    "Payload.MetaData": _Described(
        "1 bool is_multi_part, 2 string content_type, 3 uint64 size, 4 uint64 seq, 5 string file_name,"
        " 6 string file_type, 7 string md5, 8 string description",
        extensions=9,
    ),
    "Payload.Metric": _Described(
        "1 string name, 2 uint64 alias, 3 uint64 timestamp, 4 uint32 datatype, 5 bool is_historical,"
        " 6 bool is_transient, 7 bool is_null, 8 Payload.MetaData metadata, 9 Payload.PropertySet properties",
        _from(
            10,
            f"{_SCALARS}, string string_value, bytes bytes_value, Payload.DataSet dataset_value,"
            " Payload.Template template_value, Payload.Metric.MetricValueExtension extension_value",
        ),
    ),
    "Payload.Metric.MetricValueExtension": _Described(extensions=1),
    # The same bytes as a Payload, its metrics left as they are: a broken metric must not cost the others.
    "Envelope": _Described(
        "1 uint64 timestamp, 2 bytes* metrics, 3 uint64 seq, 4 bytes uuid, 5 bytes body", extensions=6
    ),
}

# protobuf has no types; what comes from it is turned into our own where it is read.
_Message = Any
_Plain = Any
"""What JSON can hold: None, bool, int, finite float, str, list or dict of such."""
_descriptors: Any = descriptor_pb2
_proto: Any = _descriptors.FieldDescriptorProto
_AFTER_LAST_NUMBER: Final = 1 << 29


def _file() -> _Message:
    """Descriptor of the schema, messages nested as their dotted names say."""
    file = _descriptors.FileDescriptorProto(name="sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    messages: dict[str, _Message] = {}
    for name in sorted(_SCHEMA, key=lambda name: name.count(".")):
        outer, _, own = name.rpartition(".")
        siblings = messages[outer].nested_type if outer else file.message_type
        message = messages[name] = siblings.add(name=own)
        described = _SCHEMA[name]
        for field in _listed(described.fields):
            _add_field(message, field)
        if described.value:
            message.oneof_decl.add(name="value")
        for field in _listed(described.value):
            _add_field(message, field).oneof_index = 0
        if described.extensions is not None:
            message.extension_range.add(start=described.extensions, end=_AFTER_LAST_NUMBER)
    return file


def _listed(fields: str) -> list[str]:
    return fields.split(", ") if fields else []


def _add_field(message: _Message, field: str) -> _Message:
    number, kind, name = field.split()
    label = _proto.LABEL_REPEATED if kind.endswith("*") else _proto.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in _SCHEMA:
        return message.field.add(
            name=name, number=int(number), label=label, type=_proto.TYPE_MESSAGE, type_name=f".{_PACKAGE}.{kind}"
        )
    scalar = getattr(_proto, f"TYPE_{kind.upper()}")
    return message.field.add(name=name, number=int(number), label=label, type=scalar)


def _classes() -> dict[str, Any]:
    pools: Any = descriptor_pool
    factory: Any = message_factory
    pool = pools.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return {
        name: factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in ("Payload", "Payload.Metric", "Envelope")
    }


class PropertySet(Protocol):
    """Message ``Payload.PropertySet``: names, and a ``Payload.PropertyValue`` for each."""

    keys: Sequence[str | bytes]
    values: Sequence[Any]


class Metric(Protocol):
    """Message ``Payload.Metric``; strings that are no UTF-8 come as bytes."""

    name: str | bytes
    alias: int
    timestamp: int
    datatype: int
    is_historical: bool
    is_transient: bool
    is_null: bool
    properties: PropertySet

    def HasField(self, name: str) -> bool:  # noqa: N802 - protobuf's name
        """Whether a field was sent."""
        ...

    def WhichOneof(self, name: str) -> str | None:  # noqa: N802 - protobuf's name
        """Name of the field that holds the value."""
        ...


_CLASSES: Final = _classes()
Payload: Final = _CLASSES["Payload"]
"""Message class of a whole payload, as published."""
_Metric: Final = _CLASSES["Payload.Metric"]
_Envelope: Final = _CLASSES["Envelope"]


class Envelope(NamedTuple):
    """A payload, its metrics not yet read.

    Attributes:
        timestamp: when the message was sent, ms since 1970 in UTC; None if it does not say.
        seq: sequence number; None if it has none.
        metrics: bytes of each metric.
        uuid: name of the schema of ``body``.
        body: what the sender put beside the metrics.
    """

    timestamp: int | None
    seq: int | None
    metrics: list[bytes]
    uuid: str
    body: bytes


def opened(payload: bytes) -> Envelope:
    """Take a payload apart.

    Raises:
        Unfit: the bytes are no protobuf message.
    """
    try:
        found = _Envelope.FromString(payload)
    except DecodeError as error:
        raise Unfit(MESSAGE_UNREADABLE, f"expected a Sparkplug B payload in protobuf: {error}") from None
    return Envelope(
        found.timestamp if found.HasField("timestamp") else None,
        found.seq if found.HasField("seq") else None,
        list(found.metrics),
        found.uuid.decode("utf-8", "backslashreplace"),
        found.body,
    )


def metric_of(raw: bytes) -> Metric:
    """The metric that some bytes are.

    Raises:
        Unfit: they are no metric, or one that is built of too many parts.
    """
    if len(raw) > MAX_STRUCTURE_BYTES and (parts := _structure_bytes(raw)) > MAX_STRUCTURE_BYTES:
        raise Unfit(
            VALUE_TOO_LARGE,
            f"its DataSet, Template or properties have {parts} bytes, more than {MAX_STRUCTURE_BYTES}",
        )
    try:
        return _Metric.FromString(raw)
    except DecodeError as error:
        raise Unfit(MESSAGE_UNREADABLE, f"expected a Sparkplug B metric in protobuf: {error}") from None


def string_of(value: str | bytes) -> str:
    """Text of a string field, which the library hands over as bytes where it is no UTF-8.

    Raises:
        Unfit: it is no UTF-8.
    """
    if isinstance(value, bytes):
        shown = value[:100].decode("utf-8", "backslashreplace")
        raise Unfit(INVALID_UTF8, f"expected UTF-8 in a string field, found {shown}")
    return value


class Token(NamedTuple):
    """A value as an observation takes it: float, int, bool, text or None, and whether text is never a number."""

    value: float | str | bool | None
    is_text: bool


def token_of(metric: Metric, datatype: int | None) -> Token:
    """Value of a metric.

    Args:
        metric: a metric that is not null.
        datatype: index of its datatype, its own or from the birth; None or 0 if neither says.

    Raises:
        Unfit: the value is none of the datatype, or of no known one.
    """
    value = _plain_of(metric, datatype)
    if value is None or isinstance(value, (bool, int, float)):
        return Token(value, is_text=False)
    return Token(value if isinstance(value, str) else as_json(value), is_text=True)


def shown(metric: Metric) -> dict[str, Any]:
    """What a metric says in fields that are no structure, for people; long text is cut."""
    fields: Any = metric
    found: dict[str, Any] = {}
    for field, value in fields.ListFields():
        if isinstance(value, str):
            found[field.name] = value[:_SHOWN_CHARACTERS]
        elif isinstance(value, bytes):
            found[field.name] = value[:_SHOWN_CHARACTERS].decode("utf-8", "backslashreplace")
        elif isinstance(value, (bool, int, float)):
            found[field.name] = _finite(value)
    return found


def as_json(value: object) -> str:
    """JSON text of lists, objects and plain values, without blanks."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# Without a datatype these fields say what they hold; an integer could have any sign and width, or be a time.
_TELLING: Final[Mapping[str, DataType]] = {
    "float_value": DataType.FLOAT,
    "double_value": DataType.DOUBLE,
    "boolean_value": DataType.BOOLEAN,
    "string_value": DataType.STRING,
    "dataset_value": DataType.DATASET,
    "template_value": DataType.TEMPLATE,
}


def _plain_of(holder: _Message, datatype: int | None) -> _Plain:
    """Value of whatever has a ``oneof value``; the top level may be a float that is not finite."""
    carrier: str | None = holder.WhichOneof("value")
    if carrier is None:
        return None
    kind = _datatype(datatype, carrier)
    carriers, read = _READERS[kind]
    if carrier not in carriers:
        raise Unfit(TYPE_MISMATCH, f"expected {kind.name} in {' or '.join(carriers)}, found {carrier}")
    value = read(getattr(holder, carrier), kind, 32 if carrier == "int_value" else 64)
    if kind in (DataType.BYTES, DataType.FILE):
        value.update(_metadata(holder))
    return value


def _datatype(datatype: int | None, carrier: str) -> DataType:
    if datatype:
        if datatype in _READERS:
            return DataType(datatype)
        raise Unfit(DATATYPE_UNKNOWN, f"expected the index of a datatype of metrics, found {datatype}")
    if carrier in _TELLING:
        return _TELLING[carrier]
    raise Unfit(
        DATATYPE_UNKNOWN,
        f"no birth in this file says the datatype of the metric, and {carrier} can be of several",
    )


_BITS: Final[Mapping[DataType, int]] = {
    DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64,
    DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64,
}  # fmt: skip


def _signed(raw: int, kind: DataType, width: int) -> int:
    """The signed integer that an unsigned field of a width in bits stands for."""
    bits = _BITS[kind]
    half = 1 << (bits - 1)
    if raw < half and (bits <= width or raw < 1 << (width - 1)):
        return raw
    if raw < 2 * half and bits <= width:
        return raw - 2 * half
    if bits <= width and raw >= (1 << width) - half:
        return raw - (1 << width)
    raise Unfit(TYPE_MISMATCH, f"expected {kind.name}, found {raw} in an unsigned field of {width} bits")


def _unsigned(raw: int, kind: DataType, width: int) -> int:
    if raw >> _BITS[kind]:
        raise Unfit(TYPE_MISMATCH, f"expected {kind.name}, found {raw} in an unsigned field of {width} bits")
    return raw


def _same(value: float, _kind: DataType, _width: int) -> float:
    return value


def _text(value: str | bytes, _kind: DataType, _width: int) -> str:
    return string_of(value)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _instant(milliseconds: int, _kind: DataType, _width: int) -> str:
    """ISO 8601 text of ms since 1970; the field is unsigned, yet before 1970 senders put negative numbers there."""
    signed = milliseconds - (1 << 64) if milliseconds >> 63 else milliseconds
    try:
        at = _EPOCH + timedelta(milliseconds=signed)
    except OverflowError:
        raise Unfit(TYPE_MISMATCH, f"expected ms of the years 1 to 9999, found {milliseconds}") from None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _octets(value: bytes, _kind: DataType, _width: int) -> dict[str, _Plain]:
    return {"base64": b64encode(value).decode("ascii")}


def _metadata(holder: _Message) -> dict[str, _Plain]:
    if not holder.HasField("metadata"):
        return {}
    return {
        field.name: string_of(value) if field.type == field.TYPE_STRING else value
        for field, value in holder.metadata.ListFields()
    }


_PACKED: Final[Mapping[DataType, str]] = {
    DataType.INT8_ARRAY: "b", DataType.INT16_ARRAY: "h", DataType.INT32_ARRAY: "i", DataType.INT64_ARRAY: "q",
    DataType.UINT8_ARRAY: "B", DataType.UINT16_ARRAY: "H", DataType.UINT32_ARRAY: "I", DataType.UINT64_ARRAY: "Q",
    DataType.FLOAT_ARRAY: "f", DataType.DOUBLE_ARRAY: "d", DataType.DATETIME_ARRAY: "Q",
}  # fmt: skip


def _array(value: bytes, kind: DataType, width: int) -> list[_Plain]:
    code = _PACKED[kind]
    count, rest = divmod(len(value), struct.calcsize(f"<{code}"))
    if rest:
        raise Unfit(TYPE_MISMATCH, f"expected {kind.name}, found {len(value)} bytes, which are no whole elements")
    _check_elements(count)
    elements = struct.unpack(f"<{count}{code}", value)
    if kind in (DataType.FLOAT_ARRAY, DataType.DOUBLE_ARRAY):
        return [_finite(element) for element in elements]
    if kind is DataType.DATETIME_ARRAY:
        return [_instant(element, kind, width) for element in elements]
    return list(elements)


def _booleans(value: bytes, kind: DataType, _width: int) -> list[bool]:
    count = int.from_bytes(value[:4], "little")
    if len(value) < 4 or len(value) - 4 != (count + 7) // 8:
        raise Unfit(TYPE_MISMATCH, f"expected {kind.name}, found {len(value)} bytes for {count} elements")
    _check_elements(count)
    bits = value[4:]
    return [bool(bits[at >> 3] >> (7 - (at & 7)) & 1) for at in range(count)]


def _strings(value: bytes, kind: DataType, _width: int) -> list[str]:
    if value and not value.endswith(b"\0"):
        raise Unfit(TYPE_MISMATCH, f"expected {kind.name}, found {len(value)} bytes that do not end with NUL")
    _check_elements(value.count(b"\0"))
    try:
        return [element.decode() for element in value.split(b"\0")[:-1]]
    except UnicodeDecodeError as error:
        raise Unfit(INVALID_UTF8, f"expected UTF-8 in a {kind.name}: {error}") from None


def _check_elements(count: int) -> None:
    if count > MAX_ELEMENTS:
        raise Unfit(VALUE_TOO_LARGE, f"found {count} elements, more than {MAX_ELEMENTS}")


def _finite(value: _Plain) -> _Plain:
    """A number that JSON can hold, or the name of what is not finite."""
    return repr(value) if isinstance(value, float) and value - value != 0 else value


def _dataset(value: _Message, kind: DataType, _width: int) -> dict[str, _Plain]:
    columns = [string_of(column) for column in value.columns]
    types: list[int] = list(value.types)
    if len(columns) != len(types) or any(len(row.elements) != len(types) for row in value.rows):
        raise Unfit(TYPE_MISMATCH, f"expected {kind.name} with as many types and elements as columns ({len(columns)})")
    return {
        "columns": columns,
        "types": types,
        "rows": [
            [_finite(_plain_of(element, datatype)) for element, datatype in zip(row.elements, types, strict=True)]
            for row in value.rows
        ],
    }


def _template(value: _Message, _kind: DataType, _width: int) -> dict[str, _Plain]:
    found: dict[str, _Plain] = {
        name: string_of(getattr(value, name)) for name in ("version", "template_ref") if value.HasField(name)
    }
    if value.HasField("is_definition"):
        found["is_definition"] = value.is_definition
    if value.parameters:
        found["parameters"] = [
            {"name": string_of(parameter.name), "value": _finite(_plain_of(parameter, parameter.type))}
            for parameter in value.parameters
        ]
    found["metrics"] = [_member(metric) for metric in value.metrics]
    return found


def _member(metric: _Message) -> dict[str, _Plain]:
    """A metric within a template."""
    found: dict[str, _Plain] = {}
    if metric.HasField("name"):
        found["name"] = string_of(metric.name)
    for name in ("alias", "timestamp", "datatype"):
        if metric.HasField(name):
            found[name] = getattr(metric, name)
    carrier: str | None = metric.WhichOneof("value")
    if metric.is_null or carrier is None:
        found["value"] = None
    elif not metric.datatype and carrier in ("int_value", "long_value"):
        # Births define the template as a whole; the digits stay, under the name of their field.
        found[carrier] = getattr(metric, carrier)
    else:
        found["value"] = _finite(_plain_of(metric, metric.datatype))
    return found


_Reader = tuple[tuple[str, ...], Callable[[Any, DataType, int], _Plain]]
_INTEGERS: Final = ("int_value", "long_value")
_READERS: Final[Mapping[int, _Reader]] = {
    **dict.fromkeys((DataType.INT8, DataType.INT16, DataType.INT32, DataType.INT64), (_INTEGERS, _signed)),
    **dict.fromkeys((DataType.UINT8, DataType.UINT16, DataType.UINT32, DataType.UINT64), (_INTEGERS, _unsigned)),
    **dict.fromkeys((DataType.STRING, DataType.TEXT, DataType.UUID), (("string_value",), _text)),
    **dict.fromkeys((DataType.BYTES, DataType.FILE), (("bytes_value",), _octets)),
    **dict.fromkeys(_PACKED, (("bytes_value",), _array)),
    DataType.FLOAT: (("float_value",), _same),
    DataType.DOUBLE: (("double_value",), _same),
    DataType.BOOLEAN: (("boolean_value",), _same),
    DataType.DATETIME: (("long_value",), _instant),
    DataType.DATASET: (("dataset_value",), _dataset),
    DataType.TEMPLATE: (("template_value",), _template),
    DataType.BOOLEAN_ARRAY: (("bytes_value",), _booleans),
    DataType.STRING_ARRAY: (("bytes_value",), _strings),
}


_LENGTH_DELIMITED: Final = 2
_GROUP_START: Final = 3
_GROUP_END: Final = 4
_WIDTHS: Final = {1: 8, 5: 4}


class _Field(NamedTuple):
    """One field on the wire: its number, its wire type, and the bytes of what it holds as a range."""

    number: int
    wire_type: int
    start: int
    end: int


class _Malformed(Exception):  # noqa: N818 - named for the state of the bytes
    """Bytes that are no protobuf message."""


def metrics_on_wire(payload: bytes) -> int | None:
    """How many metrics a payload has, None if it is none; found in the bytes, without the protobuf library.

    Source: Protocol Buffers, "Encoding". Only the fields of the payload itself are looked at, as by `opened`.
    """
    try:
        return sum(field.number == 2 and field.wire_type == _LENGTH_DELIMITED for field in _fields(payload))
    except _Malformed:
        return None


def _structure_bytes(metric: bytes) -> int:
    """Bytes of a metric apart from its name, string and bytes value; all of them if they are no message."""
    try:
        fields = list(_fields(metric))
    except _Malformed:
        return len(metric)
    return sum(field.end - field.start for field in fields if field.number not in (1, 15, 16))


def _fields(message: bytes) -> Iterator[_Field]:
    """Fields at the top level of a message; groups, which the schema has none of, are passed over."""
    at = 0
    groups: list[int] = []
    while at < len(message):
        tag, at = _varint(message, at, 5)
        number, wire_type = tag >> 3, tag & 7
        if not number or tag >> 32:
            raise _Malformed
        if wire_type in (_GROUP_START, _GROUP_END):
            _step(groups, number, wire_type)
            continue
        start, at = _held(message, at, wire_type)
        if at > len(message):
            raise _Malformed
        if not groups:
            yield _Field(number, wire_type, start, at)
    if groups:
        raise _Malformed


def _step(groups: list[int], number: int, wire_type: int) -> None:
    """Go into a group or out of it."""
    if wire_type == _GROUP_START and len(groups) < MAX_GROUP_DEPTH:
        groups.append(number)
    elif wire_type == _GROUP_END and groups and groups[-1] == number:
        groups.pop()
    else:
        raise _Malformed


def _held(message: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Where what a field holds begins and ends."""
    if wire_type == 0:
        return at, _varint(message, at, 10)[1]
    if wire_type in _WIDTHS:
        return at, at + _WIDTHS[wire_type]
    if wire_type != _LENGTH_DELIMITED:
        raise _Malformed
    length, start = _varint(message, at, 5)
    return start, start + length


def _varint(message: bytes, at: int, most: int) -> tuple[int, int]:
    """Number in base 128 and the place after it; it may have so many bytes."""
    value = 0
    for place in range(most):
        if at >= len(message):
            raise _Malformed
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise _Malformed
