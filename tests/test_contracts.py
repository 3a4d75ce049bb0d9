"""Contracts, and what follows from them; all tables of the lake are held to the same rules."""

from dataclasses import replace
from datetime import UTC, date, datetime

import polars as pl
import pytest

from idm_assets.aggregated import tables as aggregated
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.contracts import (
    Column,
    ColumnType,
    ContractError,
    Partition,
    Table,
    columns_of,
    comment_of,
    validate,
)
from idm_assets.referential import tables as referential

ALL = (*capture.TABLES, *cleaned.TABLES, *contextualized.TABLES, *aggregated.TABLES, *referential.TABLES)
EXAMPLE = Table(
    "cleaned",
    "example",
    "An example.",
    (
        Column("plant", ColumnType.TEXT, "Plant."),
        Column("day", ColumnType.DATE, "Day."),
        Column("n", ColumnType.INTEGER, "A number.", unit="s", minimum=0, maximum=10),
        Column("x", ColumnType.DOUBLE, "Maybe a number.", nullable=True, minimum=-1.5),
        Column("kind", ColumnType.TEXT, "One of two.", allowed=("a", "b")),
        Column("at", ColumnType.TIMESTAMP, "An instant."),
        Column("flag", ColumnType.BOOLEAN, "Yes or no."),
    ),
    ("plant", "day"),
    key=("n",),
    sort=("n",),
)
ROW = {"n": 1, "x": 0.5, "kind": "a", "at": datetime(2016, 11, 8, tzinfo=UTC), "flag": True}


def frame(*rows, **types):
    schema = {c.name: c.type.polars for c in EXAMPLE.stored_columns} | types
    return pl.DataFrame(rows, schema=schema, orient="row")


def failures(**changes):
    return validate(EXAMPLE, frame(ROW, ROW | changes))


@pytest.mark.parametrize("changes", [{}, {"n": 0}, {"n": 10}, {"x": None}, {"x": -1.5}, {"x": 1e300}, {"kind": "b"}])
def test_legal_rows_pass(changes):
    assert failures(**changes) == []


@pytest.mark.parametrize(
    ("changes", "column", "example"),
    [
        ({"n": -1}, "n", "-1"), ({"n": 11}, "n", "11"), ({"n": None}, "n", "None"), ({"x": -1.6}, "x", "-1.6"),
        ({"kind": "c"}, "kind", "c"), ({"kind": None}, "kind", "None"), ({"at": None}, "at", "None"),
        ({"flag": None}, "flag", "None"),
    ],
)  # fmt: skip
def test_each_kind_of_breach_is_named_with_column_count_and_example(changes, column, example):
    found = failures(**changes)
    assert len(found) == 1
    assert found[0].startswith(f"column {column}: 1 rows fail ")
    assert example in found[0]


def test_all_breaches_are_reported_at_once():
    assert len(failures(n=-1, kind="c", flag=None)) == 3


@pytest.mark.parametrize(
    "broken",
    [
        frame(ROW).drop("x"),
        frame(ROW).with_columns(extra=1),
        frame(ROW).with_columns(pl.col("n").cast(pl.Int32)),
        frame(ROW).with_columns(pl.col("at").dt.replace_time_zone(None)),
    ],
)
def test_missing_foreign_and_wrongly_typed_columns_are_breaches(broken):
    assert validate(EXAMPLE, broken)


def test_an_empty_batch_is_right():
    assert validate(EXAMPLE, frame()) == []


def test_the_error_names_the_table_and_the_first_breaches():
    error = ContractError(EXAMPLE, [f"breach {n}" for n in range(9)])
    assert str(error).startswith("cleaned.example: 9 contract failures, nothing was published: breach 0; breach 1")
    assert "breach 5" not in str(error)
    assert len(error.failures) == 9


def test_partition_columns_are_not_stored_and_the_cast_keeps_the_order():
    assert [c.name for c in EXAMPLE.stored_columns] == ["n", "x", "kind", "at", "flag"]
    assert EXAMPLE.select_list().startswith('CAST("n" AS BIGINT) AS "n", CAST("x" AS DOUBLE) AS "x"')
    assert EXAMPLE.qualified_name == "cleaned.example"
    assert EXAMPLE.column("x").minimum == -1.5
    with pytest.raises(KeyError):
        EXAMPLE.column("absent")


@pytest.mark.parametrize(
    "wrong",
    [{"key": ("absent",)}, {"sort": ("absent",)}, {"partition_by": ("absent",)}, {"columns": EXAMPLE.columns * 2}],
)
def test_a_contract_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(ValueError, match=r"cleaned\.example"):
        replace(EXAMPLE, **wrong)


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.qualified_name)
def test_every_table_means_the_same_in_duckdb_polars_and_delta(con, table):
    empty = con.sql(table.empty_relation())
    assert empty.fetchall() == []
    assert [str(kind) for kind in empty.types] == [
        {"TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}.get(c.type.duckdb, c.type.duckdb) for c in table.columns
    ]
    assert con.sql(table.empty_relation()).pl().schema == table.empty_frame().schema
    fields = table.delta_schema().fields
    assert [field.name for field in fields] == [c.name for c in table.columns]
    assert [field.metadata["comment"] for field in fields] == [comment_of(c) for c in table.columns]
    assert validate(table, table.empty_frame().select(c.name for c in table.stored_columns)) == []


@pytest.mark.parametrize("table", ALL, ids=lambda table: table.qualified_name)
def test_every_table_and_column_says_what_it_means(table):
    assert table.description.endswith(".")
    for column in table.columns:
        assert column.description, column.name
        assert column.name not in table.partition_by or not column.nullable


def test_units_are_part_of_the_comment():
    assert comment_of(EXAMPLE.column("n")) == "A number. [s]"
    assert comment_of(EXAMPLE.column("x")) == "Maybe a number."


def test_plain_rows_become_a_frame_of_the_contract():
    rows = [ROW | {"plant": "nist", "day": date(2016, 11, 8)}, ROW | {"plant": "nist", "day": None, "x": None}]
    made = columns_of(rows, EXAMPLE)
    assert made.schema == EXAMPLE.empty_frame().schema
    assert made["x"].to_list() == [0.5, None]
    assert columns_of([], EXAMPLE).schema == EXAMPLE.empty_frame().schema
    with pytest.raises((pl.exceptions.PolarsError, TypeError)):
        columns_of([{"n": "many"}], EXAMPLE)


def test_a_partition_spans_its_utc_day():
    partition = Partition("nist", date(2016, 12, 31))
    assert partition.start == datetime(2016, 12, 31, tzinfo=UTC)
    assert partition.end == datetime(2017, 1, 1, tzinfo=UTC)
    assert str(partition) == "nist 2016-12-31"
    assert partition.values(EXAMPLE) == {"plant": "nist", "day": "2016-12-31"}
    assert partition.values(capture.OBSERVATIONS) == {"plant": "nist", "arrived_on": "2016-12-31"}
    with pytest.raises(ValueError, match=r"referential\.signals"):
        partition.values(referential.SIGNALS)


def test_partitions_sort_by_plant_and_day():
    first, second, third = (
        Partition("a", date(2016, 2, 1)),
        Partition("a", date(2016, 2, 2)),
        Partition("b", date(2016, 1, 1)),
    )
    assert sorted([third, second, first]) == [first, second, third]
