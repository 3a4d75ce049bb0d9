import json
import math
import struct
from base64 import b64encode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idm_assets.capture.decoders import sparkplug_payload
from idm_assets.capture.decoders.sparkplug_payload import (
    DATATYPE_UNKNOWN,
    INVALID_UTF8,
    MESSAGE_UNREADABLE,
    TYPE_MISMATCH,
    VALUE_TOO_LARGE,
    DataType,
    Payload,
    Unfit,
    metric_of,
    metrics_on_wire,
    opened,
    shown,
    token_of,
)

SIGNED = {DataType.INT8: 8, DataType.INT16: 16, DataType.INT32: 32, DataType.INT64: 64}
UNSIGNED = {DataType.UINT8: 8, DataType.UINT16: 16, DataType.UINT32: 32, DataType.UINT64: 64}


def metric(**fields):
    return Payload().metrics.add(**fields)


def value(datatype: int | None, **carrier):
    return token_of(metric(**carrier), datatype).value


def document(datatype: int, **carrier):
    token = token_of(metric(**carrier), datatype)
    assert token.is_text
    return json.loads(token.value)


def reason(datatype: int | None, **carrier) -> str:
    with pytest.raises(Unfit) as unfit:
        token_of(metric(**carrier), datatype)
    assert unfit.value.detail
    return unfit.value.reason


def test_the_bytes_of_a_payload_are_those_of_the_published_field_numbers():
    payload = Payload(timestamp=1, seq=2, uuid="u", body=b"b")
    payload.metrics.add(
        name="n", alias=3, timestamp=4, datatype=5, is_historical=True, is_transient=True, is_null=True, int_value=7
    )
    said = b"\x0a\x01n\x10\x03\x18\x04\x20\x05\x28\x01\x30\x01\x38\x01\x50\x07"
    expected = b"\x08\x01\x12" + bytes([len(said)]) + said + b"\x18\x02\x22\x01u\x2a\x01b"
    assert payload.SerializeToString() == expected
    numbers = {
        "metadata": 8, "properties": 9, "int_value": 10, "long_value": 11, "float_value": 12, "double_value": 13,
        "boolean_value": 14, "string_value": 15, "bytes_value": 16, "dataset_value": 17, "template_value": 18,
        "extension_value": 19,
    }  # fmt: skip
    fields = Payload.DESCRIPTOR.nested_types_by_name["Metric"].fields_by_name
    assert {name: fields[name].number for name in numbers} == numbers
    assert {field.name for field in fields["int_value"].containing_oneof.fields} == set(list(numbers)[2:])


@pytest.mark.parametrize(
    ("message", "field", "number"),
    [
        ("Template", "is_definition", 5),
        ("Template.Parameter", "string_value", 8),
        ("Template.Parameter", "extension_value", 9),
        ("DataSet", "rows", 4),
        ("DataSet.DataSetValue", "string_value", 6),
        ("DataSet.Row", "elements", 1),
        ("PropertyValue", "propertysets_value", 10),
        ("PropertySet", "values", 2),
        ("PropertySetList", "propertyset", 1),
        ("MetaData", "description", 8),
    ],
)
def test_inner_messages_have_the_published_field_numbers(message, field, number):
    found = Payload.DESCRIPTOR
    for name in message.split("."):
        found = found.nested_types_by_name[name]
    assert found.fields_by_name[field].number == number


@pytest.mark.parametrize("datatype", SIGNED)
def test_signed_integers_come_out_of_unsigned_fields_at_both_limits(datatype):
    bits = SIGNED[datatype]
    carrier = "int_value" if bits <= 32 else "long_value"
    width = 32 if bits <= 32 else 64
    for expected in (-(1 << (bits - 1)), -1, 0, 1, (1 << (bits - 1)) - 1):
        assert value(datatype, **{carrier: expected % (1 << width)}) == expected
        assert value(datatype, **{carrier: expected % (1 << bits)}) == expected
        assert value(datatype, long_value=expected % (1 << 64)) == expected


@pytest.mark.parametrize("datatype", [DataType.INT8, DataType.INT16])
def test_what_no_signed_integer_of_the_width_can_mean_is_refused(datatype):
    bits = SIGNED[datatype]
    assert reason(datatype, int_value=1 << bits) == TYPE_MISMATCH
    assert reason(datatype, int_value=(1 << 32) - (1 << (bits - 1)) - 1) == TYPE_MISMATCH


def test_a_64_bit_integer_in_a_32_bit_field_is_read_where_its_sign_is_certain():
    assert value(DataType.INT64, int_value=(1 << 31) - 1) == (1 << 31) - 1
    assert reason(DataType.INT64, int_value=1 << 31) == TYPE_MISMATCH


@pytest.mark.parametrize("datatype", UNSIGNED)
def test_unsigned_integers_at_both_limits(datatype):
    most = (1 << UNSIGNED[datatype]) - 1
    assert value(datatype, long_value=0) == 0
    assert value(datatype, long_value=most) == most
    if most < (1 << 64) - 1:
        assert reason(datatype, long_value=most + 1) == TYPE_MISMATCH


def test_an_integer_is_no_boolean_and_a_boolean_none():
    assert value(DataType.BOOLEAN, boolean_value=False) is False
    assert reason(DataType.BOOLEAN, int_value=1) == TYPE_MISMATCH
    assert reason(DataType.INT32, boolean_value=True) == TYPE_MISMATCH


def test_a_float_is_the_exact_double_of_its_32_bits():
    assert value(DataType.FLOAT, float_value=12.1) == struct.unpack("<f", struct.pack("<f", 12.1))[0] != 12.1
    assert value(DataType.DOUBLE, double_value=12.1) == 12.1
    assert math.isnan(value(DataType.FLOAT, float_value=math.nan))
    assert reason(DataType.FLOAT, double_value=12.1) == TYPE_MISMATCH


@pytest.mark.parametrize("datatype", [DataType.STRING, DataType.TEXT, DataType.UUID])
def test_text_is_text_even_where_it_looks_like_a_number(datatype):
    assert token_of(metric(string_value="12.5"), datatype) == ("12.5", True)
    broken = metric_of(b"\x7a\x01\xff")
    with pytest.raises(Unfit) as unfit:
        token_of(broken, datatype)
    assert unfit.value.reason == INVALID_UTF8


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_486_144_502_122, "2017-02-03T17:55:02.122Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_datetime_is_iso_text_in_utc(milliseconds, text):
    assert token_of(metric(long_value=milliseconds % (1 << 64)), DataType.DATETIME) == (text, True)


@pytest.mark.parametrize("milliseconds", [253_402_300_800_000, (1 << 63) - 1, (1 << 64) - 62_135_596_800_001])
def test_a_datetime_beyond_the_calendar_is_refused(milliseconds):
    assert reason(DataType.DATETIME, long_value=milliseconds) == TYPE_MISMATCH


# The examples of the specification, chapter 6, "Datatype Details".
@pytest.mark.parametrize(
    ("datatype", "packed", "expected"),
    [
        (DataType.INT8_ARRAY, "EF7B", [-17, 123]),
        (DataType.INT16_ARRAY, "008080FF", [-32768, -128]),
        (DataType.INT32_ARRAY, "FFFFFFFF01000000", [-1, 1]),
        (DataType.INT64_ARRAY, "FFFFFFFFFFFFFFFF", [-1]),
        (DataType.UINT8_ARRAY, "17FA", [23, 250]),
        (DataType.UINT16_ARRAY, "1E00DBFF", [30, 65499]),
        (DataType.UINT32_ARRAY, "3400000049FB55C4", [52, 3293969225]),
        (DataType.UINT64_ARRAY, "3400000000000000D99E02D1B27637E4", [52, 16444743074749521625]),
        (DataType.FLOAT_ARRAY, "0000803F0000C07F", [1.0, "nan"]),
        (DataType.DOUBLE_ARRAY, "000000000000F8BF000000000000F07F", [-1.5, "inf"]),
        (DataType.BOOLEAN_ARRAY, "0C00000034D0", [bool(int(bit)) for bit in "001101001101"]),
        (DataType.BOOLEAN_ARRAY, "00000000", []),
        (DataType.STRING_ARRAY, "41424300 68656C6C6F00", ["ABC", "hello"]),
        (DataType.STRING_ARRAY, "0000", ["", ""]),
        (DataType.STRING_ARRAY, "", []),
        (DataType.DATETIME_ARRAY, "0100000000000000", ["1970-01-01T00:00:00.001Z"]),
    ],
)
def test_arrays_are_json_text(datatype, packed, expected):
    assert document(datatype, bytes_value=bytes.fromhex(packed)) == expected


@pytest.mark.parametrize(
    ("datatype", "packed"),
    [
        (DataType.INT16_ARRAY, "00"),
        (DataType.DOUBLE_ARRAY, "00000000"),
        (DataType.BOOLEAN_ARRAY, "0100"),
        (DataType.BOOLEAN_ARRAY, "0900000000"),
        (DataType.BOOLEAN_ARRAY, "0800000000FF"),
        (DataType.STRING_ARRAY, "4142"),
        (DataType.DATETIME_ARRAY, "FFFFFFFFFFFFFF7F"),
    ],
)
def test_bytes_that_are_no_whole_array_are_refused(datatype, packed):
    assert reason(datatype, bytes_value=bytes.fromhex(packed)) == TYPE_MISMATCH


def test_an_array_of_strings_has_to_be_utf8():
    assert reason(DataType.STRING_ARRAY, bytes_value=b"\xff\0") == INVALID_UTF8


def test_an_array_has_a_limit(monkeypatch):
    monkeypatch.setattr(sparkplug_payload, "MAX_ELEMENTS", 16)
    assert len(document(DataType.BOOLEAN_ARRAY, bytes_value=b"\x10\0\0\0\0\0")) == 16
    for datatype, packed in (
        (DataType.BOOLEAN_ARRAY, b"\x11\0\0\0\0\0\0"),
        (DataType.INT8_ARRAY, b"\0" * 17),
        (DataType.STRING_ARRAY, b"\0" * 17),
    ):
        assert reason(datatype, bytes_value=packed) == VALUE_TOO_LARGE


def test_bytes_and_files_keep_what_is_said_of_them():
    assert document(DataType.BYTES, bytes_value=b"\0\xff") == {"base64": "AP8="}
    file = metric(bytes_value=b"x")
    file.metadata.file_name = "a.csv"
    file.metadata.size = 1
    file.metadata.is_multi_part = True
    found = json.loads(token_of(file, DataType.FILE).value)
    assert found == {
        "base64": b64encode(b"x").decode(), "file_name": "a.csv", "size": 1, "is_multi_part": True
    }  # fmt: skip


def dataset(*rows, columns=("a", "b"), types=(DataType.INT8, DataType.STRING)):
    table = metric(name="table")
    table.dataset_value.columns.extend(columns)
    table.dataset_value.types.extend(types)
    for row in rows:
        elements = table.dataset_value.rows.add().elements
        for carrier in row:
            elements.add(**carrier)
    return table


def test_a_dataset_is_json_with_values_of_their_columns_types():
    table = dataset([{"int_value": 255}, {"string_value": "x"}], [{"int_value": 1}, {}])
    assert json.loads(token_of(table, DataType.DATASET).value) == {
        "columns": ["a", "b"], "types": [1, 12], "rows": [[-1, "x"], [1, None]]
    }  # fmt: skip


@pytest.mark.parametrize(
    "table",
    [
        dataset([{"int_value": 1}]),
        dataset(columns=("a",)),
        dataset([{"string_value": "x"}, {"string_value": "x"}]),
        dataset([{"int_value": 300}, {"string_value": "x"}]),
    ],
)
def test_a_dataset_that_does_not_fit_its_columns_is_refused(table):
    with pytest.raises(Unfit) as unfit:
        token_of(table, DataType.DATASET)
    assert unfit.value.reason == TYPE_MISMATCH


def test_a_template_is_json_with_its_members():
    pump = metric(name="pump")
    template = pump.template_value
    template.version, template.template_ref, template.is_definition = "1", "Pump", False
    template.parameters.add(name="rated", type=DataType.FLOAT, float_value=1.5)
    template.metrics.add(name="speed", datatype=DataType.INT16, int_value=0xFFFF, timestamp=5)
    template.metrics.add(name="raw", int_value=7)
    template.metrics.add(name="gone", datatype=DataType.INT16, is_null=True)
    template.metrics.add(name="inner").template_value.metrics.add(alias=3, double_value=math.inf)
    assert json.loads(token_of(pump, DataType.TEMPLATE).value) == {
        "version": "1",
        "template_ref": "Pump",
        "is_definition": False,
        "parameters": [{"name": "rated", "value": 1.5}],
        "metrics": [
            {"name": "speed", "timestamp": 5, "datatype": 2, "value": -1},
            {"name": "raw", "int_value": 7},
            {"name": "gone", "datatype": 2, "value": None},
            {"name": "inner", "value": {"metrics": [{"alias": 3, "value": "inf"}]}},
        ],
    }


def test_templates_nest_only_so_deep():
    raw = b""
    for _ in range(60):
        inner = b"\x12" + _length(raw) + raw
        raw = b"\x92\x01" + _length(inner) + inner
    with pytest.raises(Unfit) as unfit:
        metric_of(raw)
    assert unfit.value.reason == MESSAGE_UNREADABLE


def _length(raw: bytes) -> bytes:
    return bytes([len(raw) & 0x7F | 0x80, len(raw) >> 7])


def test_a_structure_of_too_many_bytes_is_not_even_parsed_but_long_bytes_are(monkeypatch):
    monkeypatch.setattr(sparkplug_payload, "MAX_STRUCTURE_BYTES", 100)
    large = metric(bytes_value=b"x" * 1000).SerializeToString()
    assert token_of(metric_of(large), DataType.BYTES).value
    table = dataset(*[[{"int_value": 1}, {"string_value": "x" * 20}]] * 10).SerializeToString()
    for raw in (table, b"\xff" * 101):
        with pytest.raises(Unfit) as unfit:
            metric_of(raw)
        assert unfit.value.reason == VALUE_TOO_LARGE


@pytest.mark.parametrize("datatype", [None, 0])
def test_without_a_datatype_only_telling_fields_are_read(datatype):
    assert value(datatype, double_value=1.5) == 1.5
    assert value(datatype, string_value="x") == "x"
    assert value(datatype, boolean_value=True) is True
    for unclear in ({"int_value": 1}, {"long_value": 1}, {"bytes_value": b""}):
        assert reason(datatype, **unclear) == DATATYPE_UNKNOWN


@pytest.mark.parametrize("datatype", [DataType.PROPERTY_SET, DataType.PROPERTY_SET_LIST, 35, 1 << 31])
def test_an_index_of_no_datatype_of_metrics_is_refused(datatype):
    assert reason(datatype, int_value=1) == DATATYPE_UNKNOWN


def test_an_extension_is_no_value():
    extended = metric()
    extended.extension_value.SetInParent()
    with pytest.raises(Unfit) as unfit:
        token_of(extended, DataType.INT8)
    assert unfit.value.reason == TYPE_MISMATCH


def test_what_is_shown_of_a_metric_is_short_and_readable():
    seen = shown(metric_of(b"\x0a\x01\xff" + metric(alias=3, string_value="x" * 5000).SerializeToString()))
    assert seen == {"name": "\\xff", "alias": 3, "string_value": "x" * 1000}


def test_an_opened_payload_leaves_its_metrics_as_bytes():
    payload = Payload(timestamp=5, uuid="u", body=b"b")
    payload.metrics.add(name="a")
    found = opened(payload.SerializeToString() + b"\x12\x01\xff")
    assert found == (5, None, [b"\x0a\x01a", b"\xff"], "u", b"b")
    with pytest.raises(Unfit) as unfit:
        opened(b"\x12\x05")
    assert unfit.value.reason == MESSAGE_UNREADABLE


PIECES = [
    b"\x12\x00", b"\x12\x02\x0a\x01", b"\x12\x01\xff", b"\x08\x01", b"\x18" + b"\xff" * 9 + b"\x01", b"\x1b", b"\x1c",
    b"\x13", b"\x14", b"\x80", b"\xff", b"\x00", b"\x32\x01\x00", b"\x33", b"\x34", b"\x10\x05", b"\x92\x80\x00\x00",
    b"\x11" + bytes(8), b"\x15abcd", b"\x22\x01\xff", b"\xfa\xff\xff\xff\x0f\x00", b"\x0f", b"\xff\xff\xff\xff\x1f",
]  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=12).map(b"".join))
@example(b"\x33" * 100 + b"\x34" * 100)
@example(b"\x33" * 101 + b"\x34" * 101)
@example(b"\x1b\x12\x00\x1c\x12\x00")
@example(b"\x12\xff\xff\xff\xff\xff\x01")
def test_metrics_are_counted_in_the_bytes_as_the_library_finds_them(payload):
    try:
        expected = len(opened(payload).metrics)
    except Unfit:
        expected = None
    assert metrics_on_wire(payload) == expected


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*SIGNED, *UNSIGNED]), st.data())
def test_any_integer_comes_back(datatype, data):
    bits = SIGNED.get(datatype) or UNSIGNED[datatype]
    least = -(1 << (bits - 1)) if datatype in SIGNED else 0
    expected = data.draw(st.integers(least, least + (1 << bits) - 1))
    carrier, width = ("int_value", 32) if bits <= 32 else ("long_value", 64)
    assert value(datatype, **{carrier: expected % (1 << width)}) == expected
