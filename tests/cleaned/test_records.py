"""From delivered records to cleaned ones: types, missing values, flags, duplicates and conflicts."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture.shapes import RecordReading
from idm_assets.cleaned.observations import ranks_query
from idm_assets.cleaned.records import arrived_records, clean_records
from idm_assets.contextualized.records import typed_records
from idm_assets.referential.data_models import read_models
from idm_assets.referential.description import Attribute, Model
from tests import work_orders as orders
from tests.relations import END, PARTITION, START, at, relation, rows_of

CAPTURED = {
    "capture_key": "BIGINT", "line": "BIGINT", "model": "VARCHAR", "reading": "VARCHAR", "ts": "TIMESTAMPTZ",
    "payload": "VARCHAR",
}  # fmt: skip
NUMBER = Attribute("number", "integer", "measurement", key=True)
ORDER = Model(
    "WorkOrder",
    None,
    (
        Attribute("asset", "string", "text", required=True),
        Attribute("closed", "boolean", "state"),
        Attribute("cost", "double", "measurement", minimum=0.0, maximum=1000.0),
        Attribute("done_at", "timestamp", "text"),
        NUMBER,
        Attribute("type", "string", "state", allowed=("PM01", "PM02")),
    ),
    version="1.0.0",
    kind="record",
)
NO_RANKS = ranks_query([("", 1)])


def reading(zone="UTC", **declared):
    return RecordReading(**({"model": "WorkOrder"} | declared)).declared(("at",), zone)


def captured(*payloads, said=None, model="WorkOrder"):
    """Rows of one capture, one per payload, all of one instant."""
    texts = [payload if isinstance(payload, str) else json.dumps(payload) for payload in payloads]
    return [(1, line, model, said or reading(), at(10), text) for line, text in enumerate(texts, 1)]


def cleaned(con, rows, models=(ORDER,), ranks=NO_RANKS):
    cleaning = clean_records(con, relation(CAPTURED, rows), ranks, models)
    records = rows_of(con, f"SELECT * FROM ({cleaning.records}) ORDER BY record_table, record_key")
    quarantine = rows_of(con, f"SELECT * FROM ({cleaning.quarantine}) ORDER BY capture_key, line")
    counts = cleaning.counts
    assert counts["arrived"] == len(rows)
    assert counts["arrived"] == sum(row["reports"] for row in records + quarantine)
    assert counts["arrived"] == len(records) + counts["duplicates"] + counts["conflicts"] + counts["rejected"]
    assert counts["conflicts"] + counts["rejected"] == len(quarantine)
    return records, quarantine, counts


def value(con, attribute, delivered, zone="UTC"):
    """What one delivered value becomes: the value, or the reason why its record is rejected."""
    model = replace(ORDER, attributes=tuple(sorted((attribute, NUMBER), key=lambda a: a.name)))
    text = f'{{"number": 1, "{attribute.name}": {delivered}}}'
    records, quarantine, _ = cleaned(con, captured(text, said=reading(zone)), [model])
    if quarantine:
        return quarantine[0]["reason"]
    return json.loads(records[0]["attributes"]).get(attribute.name)


# Types


@pytest.mark.parametrize(
    ("data_type", "delivered", "expected"),
    [
        ("double", "183.050", 183.05), ("double", '"183.050"', 183.05), ("double", '" 1e3 "', 1000.0),
        ("double", "-0", 0.0), ("double", "1e400", "type_mismatch"), ("double", '"1_000"', "type_mismatch"),
        ("double", '"1,5"', "type_mismatch"), ("double", "true", "type_mismatch"), ("double", "NaN", "type_mismatch"),
        ("double", "[1]", "type_mismatch"), ("double", "null", None), ("double", '""', None), ("double", '" "', None),
        ("integer", "5", 5), ("integer", '"+5"', 5), ("integer", "5.00", 5), ("integer", "5.5", "type_mismatch"),
        ("integer", "-9223372036854775808", -(2**63)), ("integer", "9223372036854775807", 2**63 - 1),
        ("integer", "9223372036854775808", "type_mismatch"), ("integer", "1e3", "type_mismatch"),
        ("integer", "false", "type_mismatch"), ("integer", '"5 6"', "type_mismatch"),
        ("boolean", "true", True), ("boolean", '"FALSE"', False), ("boolean", "1", True), ("boolean", '"0"', False),
        ("boolean", "2", "type_mismatch"), ("boolean", '"yes"', "type_mismatch"), ("boolean", "1.0", "type_mismatch"),
        ("string", '"a\\"\\u00e9"', 'a"é'), ("string", "183.050", "183.050"), ("string", "true", "true"),
        ("string", '""', ""), ("string", '" "', " "), ("string", "null", None), ("string", '"null"', "null"),
        ("string", "{}", "type_mismatch"), ("string", '"n12"', "n12"),
        ("timestamp", '"2024-05-01T10:00:00+02:00"', "2024-05-01T08:00:00.000000Z"),
        ("timestamp", '"2024-05-01"', "2024-05-01T00:00:00.000000Z"),
        ("timestamp", '"0001-01-01T00:00:00.0000015Z"', "0001-01-01T00:00:00.000001Z"),
        ("timestamp", '"2024-02-30"', "type_mismatch"), ("timestamp", "1714557600", "type_mismatch"),
    ],
)  # fmt: skip
def test_values_take_the_type_of_their_attribute_or_their_record_is_rejected(con, data_type, delivered, expected):
    found = value(con, Attribute("x", data_type, "text"), delivered)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("delivered", "expected"),
    [
        ("2024-05-01T10:00:00", "2024-05-01T08:00:00.000000Z"),
        ("2024-12-01", "2024-11-30T23:00:00.000000Z"),
        ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.000000Z"),
    ],
)
def test_times_without_a_zone_are_of_the_zone_of_their_source(con, delivered, expected):
    assert value(con, Attribute("x", "timestamp", "text"), f'"{delivered}"', "Europe/Paris") == expected


def test_records_of_sources_in_several_zones_are_read_each_in_its_own(con):
    times = {"number": 1, "asset": "A", "done_at": "2024-05-01T10:00:00"}
    zones = ("Asia/Tokyo", "Europe/Paris", "UTC")
    rows = [
        (1, n, "WorkOrder", reading(zone), at(10), json.dumps(times | {"number": n})) for n, zone in enumerate(zones, 1)
    ]
    records, _, _ = cleaned(con, rows)
    hours = [json.loads(row["attributes"])["done_at"][11:13] for row in records]
    assert hours == ["01", "08", "10"]


@pytest.mark.parametrize("delivered", [None, "null", '""', '" \\t"'])
@pytest.mark.parametrize("attribute", [replace(NUMBER, key=False, required=True), NUMBER])
def test_a_record_without_a_required_value_is_rejected(con, delivered, attribute):
    model = replace(ORDER, attributes=(replace(NUMBER, name="id"), attribute))
    text = '{"id": 1}' if delivered is None else f'{{"id": 1, "number": {delivered}}}'
    _, quarantine, _ = cleaned(con, captured(text), [model])
    assert (quarantine[0]["reason"], quarantine[0]["detail"]) == (
        "missing_attribute",
        "number is required, but missing",
    )


def test_a_blank_text_is_no_value_of_a_key_and_a_value_of_what_may_be_missing(con):
    model = replace(
        ORDER, attributes=(Attribute("id", "string", "text", key=True), Attribute("text", "string", "text"))
    )
    records, quarantine, _ = cleaned(con, captured({"id": "a", "text": ""}, {"id": " ", "text": "b"}), [model])
    assert [row["attributes"] for row in records] == ['{"id":"a","text":""}']
    assert [row["reason"] for row in quarantine] == ["missing_attribute"]


def test_the_quarantine_says_all_that_is_wrong_and_keeps_what_was_delivered(con):
    delivered = '{"closed":"perhaps","cost":{"x":1},"done_at":[1],"number":1.5}'
    _, quarantine, counts = cleaned(con, captured(delivered))
    assert counts["rejected"] == 1
    row = quarantine[0]
    assert (row["capture_key"], row["line"], row["model"], row["ts"]) == (1, 1, "WorkOrder", at(10))
    assert row["payload"] == delivered
    assert row["reason"] == "missing_attribute"
    assert row["detail"] == (
        "asset is required, but missing; closed: expected true or false, found perhaps; cost: expected a number, found"
        " an object; done_at: expected an ISO 8601 time, found an array; number: expected an integer of 64 bits, found"
        " 1.5"
    )


# Plausible values


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"cost": 0}, None), ({"cost": 1000}, None), ({"cost": -0.01}, {"cost": "out_of_range"}),
        ({"cost": "1000.5", "type": "PM09"}, {"cost": "out_of_range", "type": "not_allowed"}),
        ({"type": "PM02"}, None), ({"type": "pm01"}, {"type": "not_allowed"}), ({"type": None}, None),
    ],
)  # fmt: skip
def test_implausible_values_are_kept_and_flagged(con, fields, flags):
    records, quarantine, counts = cleaned(con, captured({"number": 1, "asset": "A"} | fields))
    assert quarantine == []
    assert (json.loads(records[0]["flags"]) if records[0]["flags"] else None) == flags
    assert counts["flagged"] == bool(flags)
    assert {"cost", "type"} & set(json.loads(records[0]["attributes"])) == {
        n for n, v in fields.items() if v is not None
    }


@pytest.mark.parametrize(
    ("data_type", "allowed", "delivered", "flagged"),
    [
        ("integer", ("1", "2"), "2.0", False), ("integer", ("1", "2"), "3", True),
        ("double", ("1", "2.50"), "2.5", False), ("double", ("1", "a"), "7", True),
        ("boolean", ("true",), "1", False), ("boolean", ("true",), "false", True),
    ],
)  # fmt: skip
def test_allowed_values_are_compared_as_values(con, data_type, allowed, delivered, flagged):
    model = replace(ORDER, attributes=(NUMBER, Attribute("x", data_type, "state", allowed=allowed)))
    records, _, _ = cleaned(con, captured(f'{{"number": 1, "x": {delivered}}}'), [model])
    assert records[0]["flags"] == ('{"x":"not_allowed"}' if flagged else None)


# Fields


def test_attributes_are_found_under_the_declared_names_and_the_rest_is_kept_and_counted(con):
    said = reading(fields={"asset": "Asset/No~1", "number": "id"})
    delivered = '{"Asset/No~1":"A","asset":"other","at":"x","id":5,"note":{"n":1.50},"z":null}'
    records, _, counts = cleaned(con, captured(delivered, said=said))
    assert json.loads(records[0]["attributes"]) == {"asset": "A", "number": 5}
    assert records[0]["other_fields"] == '{"asset":"other","note":{"n":1.50},"z":null}'
    assert (records[0]["unknown_fields"], counts["unknown_fields"]) == (3, 3)
    plain, _, _ = cleaned(con, captured({"asset": "A", "number": 5, "at": "x"}))
    assert (plain[0]["other_fields"], plain[0]["unknown_fields"]) == (None, 0)


# Models


def test_a_model_that_is_not_in_force_rejects_its_records_and_no_others(con):
    rows = [
        *captured({"number": 1, "asset": "A"}),
        (1, 2, "Trip", reading(model="Trip"), at(10), "{}"),
        (1, 3, "WorkOrder", reading(version=2), at(10), '{"number":1}'),
    ]
    records, quarantine, _ = cleaned(con, rows)
    assert [row["line"] for row in records] == [1]
    assert [(row["line"], row["reason"], row["detail"]) for row in quarantine] == [
        (2, "unknown_model", "no record model Trip is in force; known: WorkOrder version 1"),
        (3, "unknown_model", "no record model WorkOrder version 2 is in force; known: WorkOrder version 1"),
    ]
    assert cleaned(con, rows, ())[1][0]["detail"] == "no record model WorkOrder is in force; known: none"


def test_each_source_is_read_by_the_version_that_it_declares(con):
    newer = replace(ORDER, version="2.0.0", attributes=(NUMBER,))
    rows = [
        *captured({"number": 1, "asset": "A"}, said=reading(version=1)),
        (1, 2, "WorkOrder", reading(), at(10), '{"number":1}'),
    ]
    records, quarantine, _ = cleaned(con, rows, (ORDER, newer))
    assert quarantine == []
    assert [(row["record_table"], row["record_key"]) for row in records] == [
        ("work_order", "[1]"), ("work_order_v2", "[1]"),
    ]  # fmt: skip


# The same record again


def reported(number, asset="A", **fields):
    return json.dumps({"number": number, "asset": asset} | fields)


def test_the_same_report_is_a_duplicate_whatever_its_spelling_and_the_first_stays(con):
    same = ['{"number":1,"asset":"A","cost":1.50}', '{"cost":"1.5","asset":"A","number":1.0}', reported(1, cost=1.5)]
    records, quarantine, counts = cleaned(con, captured(*same))
    assert (quarantine, counts["duplicates"]) == ([], 2)
    assert [(row["line"], row["reports"]) for row in records] == [(1, 3)]


def test_something_else_for_the_same_key_is_a_conflict_and_the_later_line_wins(con):
    lines = [reported(1, cost=1), reported(2), reported(1, cost=2), reported(1, cost=1), reported(1, cost=3, x=1)]
    records, quarantine, counts = cleaned(con, captured(*lines))
    assert [(json.loads(row["attributes"])["number"], row["line"]) for row in records] == [(1, 5), (2, 2)]
    assert [(row["line"], row["reason"], row["reports"]) for row in quarantine] == [
        (1, "conflict", 2), (3, "conflict", 1),
    ]  # fmt: skip
    assert quarantine[0]["detail"] == "capture 0000000000000001 line 5 reports something else of this record"
    assert (counts["duplicates"], counts["conflicts"]) == (1, 2)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"x": 1}, {"x": 1.0}), ({"x": 1}, {}), ({"x": None}, {}), ({"done_at": "2024-05-01"}, {}),
    ],
)  # fmt: skip
def test_other_fields_are_part_of_the_content(con, first, second):
    _, _, counts = cleaned(con, captured(reported(1, **first), reported(1, **second)))
    assert (counts["duplicates"], counts["conflicts"]) == (0, 1)


def test_the_time_is_part_of_the_content(con):
    rows = [(1, n, "WorkOrder", reading(), at(n), reported(1)) for n in (1, 2)]
    records, _, counts = cleaned(con, rows)
    assert (counts["conflicts"], records[0]["ts"]) == (1, at(2))


def test_the_capture_that_says_more_recent_things_wins_in_whatever_order_they_arrived(con):
    rows = [(key, 1, "WorkOrder", reading(), at(10), reported(1, cost=key)) for key in (5, 6, 7)]
    recent = ranks_query([("2024-05-03", 6), ("2024-05-01", 7), ("2024-05-02", 5), ("2024-05-02", 5)])
    for order in (rows, rows[::-1], [rows[1], rows[2], rows[0]]):
        records, quarantine, _ = cleaned(con, order, ranks=recent)
        assert [row["capture_key"] for row in records] == [6]
        assert {row["capture_key"] for row in quarantine} == {5, 7}


REPORTS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 2), st.sampled_from(["1", "1.0", '"1"', "x"])),
    max_size=14,
)


@settings(max_examples=50, deadline=None)
@given(reports=REPORTS, data=st.data())
def test_any_order_gives_the_same_records_as_plain_python(con, reports, data):
    """(capture, number, cost, spelling of another field); lines are counted per capture."""
    rows, lines = [], {}
    for key, number, cost, spelling in reports:
        lines[key] = lines.get(key, 0) + 1
        other = spelling if spelling != "x" else '"x"'
        rows.append((key, lines[key], number, cost, other))
    winners, contents = {}, {}
    for key, line, number, cost, other in sorted(rows):
        winners[number] = (cost, other)
        contents.setdefault((number, cost, other), []).append((key, line))
    expected = {(n, cost, other): contents[n, cost, other] for n, (cost, other) in winners.items()}
    delivered = [
        (key, line, "WorkOrder", reading(), at(10), f'{{"number":{n},"asset":"A","cost":{cost},"other":{other}}}')
        for key, line, n, cost, other in rows
    ]
    shuffled = data.draw(st.permutations(delivered))
    records, quarantine, counts = cleaned(con, shuffled, ranks=ranks_query([("a", 1), ("b", 2), ("c", 3)]))
    found = {
        (a["number"], a["cost"], row["other_fields"]): (row["capture_key"], row["line"], row["reports"])
        for row in records
        for a in [json.loads(row["attributes"])]
    }
    assert found == {
        (n, float(cost), f'{{"other":{other}}}'): (*reports[0], len(reports))
        for (n, cost, other), reports in expected.items()
    }
    assert counts["conflicts"] == len(contents) - len(expected)
    assert len(quarantine) == counts["conflicts"]


# Days and the typed table


def test_only_the_records_of_the_day_and_of_effective_captures_count(con):
    rows = [(key, 1, "WorkOrder", reading(), ts, reported(key)) for key, ts in (
        (1, START), (2, END), (3, at(-0.000001)), (4, at(86_399.999999)), (5, at(5)))]  # fmt: skip
    query = arrived_records(relation(CAPTURED, rows), [1, 2, 3, 4], PARTITION)
    assert sorted(row["capture_key"] for row in rows_of(con, query)) == [1, 4]
    assert rows_of(con, arrived_records(relation(CAPTURED, rows), [], PARTITION)) == []


def test_a_day_without_records_is_empty(con):
    records, quarantine, counts = cleaned(con, [])
    assert (records, quarantine) == ([], [])
    assert set(counts.values()) == {0}


def test_the_typed_table_has_the_values_in_their_types(con):
    line = Attribute("line", "integer", "measurement")
    model = replace(ORDER, attributes=(*ORDER.attributes[:4], line, *ORDER.attributes[4:]))
    text = '{"asset":"A\\"\\u00e9","closed":0,"cost":0.1,"done_at":"2024-05-01T10:00:00.123456Z","line":7,"number":"9"}'
    other = replace(NUMBER, name="id")
    trip = Model("Trip", None, (other,), kind="record")
    rows = [*captured(text), (1, 2, "Trip", reading(model="Trip"), at(20), '{"id":-9223372036854775808}')]
    cleaning = clean_records(con, relation(CAPTURED, rows), NO_RANKS, (trip, model))
    con.execute(f"CREATE OR REPLACE TEMP TABLE cleaned_records AS {cleaning.records}")
    assert rows_of(con, typed_records("FROM cleaned_records", model)) == [
        {
            "ts": at(10), "asset": 'A"é', "closed": False, "cost": 0.1,
            "done_at": datetime(2024, 5, 1, 10, 0, 0, 123456, tzinfo=UTC), "line_": 7, "number": 9, "type": None,
            "flags": None, "capture_key": 1, "line": 1,
        }
    ]  # fmt: skip
    assert rows_of(con, typed_records("FROM cleaned_records", trip))[0]["id"] == -(2**63)


@settings(max_examples=60, deadline=None)
@given(number=st.integers(-(2**63), 2**63 - 1), cost=st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_come_through_to_the_last_bit(con, number, cost):
    model = replace(ORDER, attributes=(Attribute("cost", "double", "measurement"), NUMBER))
    cleaning = clean_records(con, relation(CAPTURED, captured({"number": number, "cost": cost})), NO_RANKS, (model,))
    con.execute(f"CREATE OR REPLACE TEMP TABLE cleaned_records AS {cleaning.records}")
    row = rows_of(con, typed_records("FROM cleaned_records", model))[0]
    assert (row["number"], row["cost"]) == (number, cost)


# Real work orders


@pytest.fixture(scope="module")
def work_order(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "m.yaml"
    path.write_text(orders.MODEL)
    return read_models(path)[0]


def test_real_work_orders_are_kept_once_each_and_negative_costs_are_flagged(con, work_order):
    """309 rows; expected figures come from sets and dictionaries over the CSV."""
    rows = orders.work_orders()
    said = RecordReading(**orders.READING).declared((orders.TIME["field"],), "UTC")
    delivered = [(1, n, "WorkOrder", said, at(10), orders.json_line(row)) for n, row in enumerate(rows, 1)]
    records, quarantine, counts = cleaned(con, delivered, (work_order,))
    keys = {orders.key_of(row) for row in rows}
    contents = {orders.content_of(row) for row in rows}
    assert (len(rows), len(keys), len(contents)) == (309, 271, 302)
    assert (len(records), counts["conflicts"], counts["duplicates"], counts["rejected"]) == (271, 31, 7, 0)
    assert {row["reason"] for row in quarantine} == {"conflict"}
    last = {orders.key_of(row): orders.content_of(row) for row in rows}
    found = {row["record_key"]: json.loads(row["attributes"]) for row in records}
    for key, (*_, cost, running_time, order_type, _rule) in last.items():
        moved = (orders.day_of({"BscStartDate": key[0]})).isoformat() + "T00:00:00.000000Z"
        values = found[json.dumps([key[1], moved, key[2]], separators=(",", ":"), ensure_ascii=False)]
        assert (values.get("cost"), values.get("running_time"), values["order_type"]) == (
            cost,
            running_time,
            order_type,
        )
    negative = [row for row in records if '"cost":"out_of_range"' in (row["flags"] or "")]
    assert sorted(json.loads(row["attributes"])["cost"] for row in negative) == [
        -339.81, -253.71, -190.28, -139.52, -77.29, -25.76,
    ]  # fmt: skip
    unlisted = sum(last[key][-2] not in {"PM01", "PM02", "PM06"} for key in last)
    assert sum('"order_type":"not_allowed"' in (row["flags"] or "") for row in records) == unlisted > 0
    assert {row["unknown_fields"] for row in records} == {1}
