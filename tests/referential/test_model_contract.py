"""From record models to tables: names, columns, which version is in force, and what makes tables stale."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.configuration import ConfigurationError
from idm_assets.contracts import Column, ColumnType, comment_of
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.model_contract import (
    RESERVED,
    RecordModels,
    contract_of,
    fingerprint_of,
    in_force,
    major_of,
    meant_by,
    read_record_models,
    table_name,
)

NUMBER = Attribute("number", "integer", "measurement", key=True)
ORDER = Model(
    "WorkOrder",
    "An order.",
    (
        Attribute("closed", "boolean", "state"),
        Attribute("cost", "double", "measurement", unit="EUR", minimum=0.0, maximum=1e6, description="What it cost."),
        Attribute("done_at", "timestamp", "text", required=True),
        Attribute("line", "string", "state", allowed=("A", "B"), description="Production line"),
        NUMBER,
        Attribute("worker", "string", "text", pii="personal"),
    ),
    version="1.2.0",
    kind="record",
)


def order(**changes):
    return replace(ORDER, **changes)


def test_the_contract_has_a_column_per_attribute_with_all_that_the_model_says():
    table = contract_of(ORDER)
    assert table.qualified_name == "contextualized.work_order"
    assert (table.description, table.partition_by, table.key) == ("An order.", ("plant", "day"), ("number",))
    assert [(c.name, c.type, c.nullable) for c in table.columns] == [
        ("plant", ColumnType.TEXT, False), ("day", ColumnType.DATE, False), ("ts", ColumnType.TIMESTAMP, False),
        ("closed", ColumnType.BOOLEAN, True), ("cost", ColumnType.DOUBLE, True),
        ("done_at", ColumnType.TIMESTAMP, False), ("line_", ColumnType.TEXT, True),
        ("number", ColumnType.INTEGER, False), ("worker", ColumnType.TEXT, True), ("flags", ColumnType.TEXT, True),
        ("capture_key", ColumnType.INTEGER, False), ("line", ColumnType.INTEGER, False),
    ]  # fmt: skip
    assert comment_of(table.column("cost")) == "What it cost. Expected: at least 0 and at most 1e+06. [EUR]"
    assert comment_of(table.column("line_")) == "Production line. Expected: one of A, B."
    assert comment_of(table.column("worker")) == "worker. (personal data: personal)"


def test_implausible_values_are_kept_so_the_contract_does_not_refuse_them():
    columns = contract_of(ORDER).columns
    assert all(
        c.minimum is None and c.maximum is None and not c.allowed for c in columns if c.name in {"cost", "line_"}
    )


def test_a_comment_without_personal_data_says_nothing_of_it():
    assert comment_of(Column("a", ColumnType.TEXT, "A.")) == "A."


@pytest.mark.parametrize(
    ("name", "version", "table"),
    [
        ("WorkOrder", None, "work_order"), ("WorkOrder", "0.3.0", "work_order"),
        ("WorkOrder", "2.0.0", "work_order_v2"),
        ("HTTPLog", "1.0.0", "http_log"), ("Work order", "1.0.0", "work_order"), ("trip", "12.1.0", "trip_v12"),
        ("Batch.Record-2", "1.0.0", "batch_record_2"), ("A4Sheet", "1.0.0", "a4_sheet"),
    ],
)  # fmt: skip
def test_a_table_is_named_after_its_model_and_a_breaking_version_has_its_own(name, version, table):
    assert table_name(order(name=name, version=version)) == table


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,126}", fullmatch=True))
def test_every_name_of_a_model_gives_a_plain_name_of_a_table(name):
    assert table_name(order(name=name)).replace("_", "a").isalnum()
    assert table_name(order(name=name)).islower() or table_name(order(name=name)).replace("_", "").isdigit()


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Day"])
def test_an_attribute_may_have_the_name_of_a_fixed_column(name):
    table = contract_of(order(attributes=(replace(NUMBER, name=name),)))
    assert table.key == (f"{name}_",)


# Which version is in force


def test_the_highest_version_of_every_major_number_is_in_force_and_only_records_are():
    models = [order(version=v) for v in ("1.2.0", "1.10.0", "2.0.0", "1.9.9")]
    telemetry = Model("Motor", None, (), version="1.0.0")
    trip = order(name="Trip", version="0.1.0")
    assert [(m.name, m.version) for m in in_force([*models, trip, telemetry])] == [
        ("Trip", "0.1.0"), ("WorkOrder", "1.10.0"), ("WorkOrder", "2.0.0"),
    ]  # fmt: skip
    assert [m.version for m in in_force([order(version="0.9.0"), order(version="1.0.0")])] == ["1.0.0"]


def test_a_source_means_the_highest_version_unless_it_says_which():
    models = in_force([order(version=v) for v in ("1.2.0", "2.0.0")])
    assert meant_by(models, "WorkOrder", None).version == "2.0.0"
    assert meant_by(models, "WorkOrder", 1).version == "1.2.0"
    assert meant_by(models, "WorkOrder", 3) is None
    assert meant_by(models, "Trip", None) is None
    assert major_of(order(version=None)) == 1


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([order(), order(name="work order")], "would both be the table contextualized.work_order; rename one"),
        ([order(name="Measurements")], "contextualized.measurements, which is something else; rename the model"),
        ([order(name="unmapped", version=None)], "something else"),
        ([order(attributes=(replace(NUMBER, key=False),))], "it needs a key attribute"),
        ([order(attributes=(NUMBER, Attribute("v", "vector3", "text")))], "attribute 'v' has the type 'vector3'"),
        ([order(attributes=(NUMBER, replace(NUMBER, name="Number")))], "2 attributes would be the column 'number'"),
        ([order(attributes=(replace(NUMBER, name="ts"), replace(NUMBER, name="ts_")))], "the column 'ts_'"),
    ],
)
def test_models_that_cannot_be_tables_are_refused(models, message):
    with pytest.raises(ConfigurationError, match=message):
        in_force([replace(model, origin="models/m.yaml:3") for model in models])
    with pytest.raises(ConfigurationError, match=r"^models/m.yaml:3: "):
        in_force([replace(model, origin="models/m.yaml:3") for model in models])


# Staleness


@pytest.mark.parametrize(
    "changed",
    [
        order(attributes=ORDER.attributes[1:]),
        order(attributes=(replace(ORDER.attributes[0], required=True), *ORDER.attributes[1:])),
        order(attributes=(replace(ORDER.attributes[0], data_type="string"), *ORDER.attributes[1:])),
        order(attributes=(replace(ORDER.attributes[0], allowed=("true",)), *ORDER.attributes[1:])),
        order(attributes=(*ORDER.attributes[:4], replace(NUMBER, key=False), ORDER.attributes[5])),
        order(attributes=(*ORDER.attributes[:4], replace(NUMBER, minimum=1.0), ORDER.attributes[5])),
        order(attributes=(*ORDER.attributes[:4], replace(NUMBER, maximum=1.0), ORDER.attributes[5])),
        order(version="2.0.0"),
        order(name="Order"),
    ],
)
def test_what_decides_about_records_changes_the_fingerprint(changed):
    assert fingerprint_of([changed]) != fingerprint_of([ORDER])


def test_words_for_people_do_not_change_the_fingerprint():
    worded = tuple(replace(a, description="other words", unit="h", pii="none") for a in ORDER.attributes)
    same = order(version="1.3.0", description="Other.", owner="o", business_object="b", origin="x:1", attributes=worded)
    assert fingerprint_of([same]) == fingerprint_of([ORDER])
    assert fingerprint_of([]) != fingerprint_of([ORDER])


# The configuration


YAML = """
models:
  - name: WorkOrder
    version: {version}
    kind: record
    attributes:
      - {{name: number, data_type: integer, key: true}}
      - {{name: cost, data_type: double}}
  - {{name: Motor, version: 1.0.0}}
"""


def write(config, text):
    (config / "models").mkdir(parents=True, exist_ok=True)
    (config / "models" / "m.yaml").write_text(text)


def test_models_are_read_from_the_configuration_and_known_to_be_current(tmp_path):
    assert read_record_models(tmp_path) == RecordModels((), tmp_path)
    write(tmp_path, YAML.format(version="1.0.0"))
    read = read_record_models(tmp_path)
    assert [m.name for m in read.models] == ["WorkOrder"]
    assert read.is_current()
    write(tmp_path, "# a comment\n" + YAML.format(version="1.1.0"))
    assert read.is_current(), "nothing that decides about records has changed"
    write(tmp_path, YAML.format(version="2.0.0"))
    assert not read.is_current()
    assert RecordModels(read.models).is_current(), "given ones are not looked for"


def test_models_that_cannot_be_read_are_none_with_the_reason(tmp_path):
    write(tmp_path, "models: [{name: WorkOrder}]")
    read = read_record_models(tmp_path)
    assert read.models is None
    assert read.fingerprint is None
    assert "m.yaml" in read.problems[0]
    assert read.is_current()
    write(tmp_path, YAML.format(version="1.0.0"))
    assert not read.is_current()
    write(tmp_path, YAML.format(version="1.0.0").replace("WorkOrder", "States"))
    assert "contextualized.states" in read_record_models(tmp_path).problems[0]
