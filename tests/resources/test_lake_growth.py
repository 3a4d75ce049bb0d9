"""Tables whose contract got or lost columns: older files are read as if they had been written today."""

from dataclasses import replace
from datetime import date

import polars as pl
import pytest

from checks.contract import check_contract
from idm_assets.contracts import DAY, PLANT, Column, ColumnType, ContractError, Partition, Table
from resources.lake import Lake, PartitionChangedError

FORMER = Table(
    "contextualized",
    "trip",
    "Trips.",
    (PLANT, DAY, Column("n", ColumnType.INTEGER, "Number."), Column("old", ColumnType.TEXT, "Old.", nullable=True)),
    ("plant", "day"),
    key=("n",),
    sort=("n",),
)
NEW = Column("added", ColumnType.DOUBLE, "Came later.", unit="km", nullable=True)
GROWN = replace(FORMER, columns=(*FORMER.columns[:3], NEW, FORMER.columns[3]))
SHRUNK = replace(FORMER, columns=FORMER.columns[:3])
MONDAY, TUESDAY = Partition("mine", date(2024, 5, 6)), Partition("mine", date(2024, 5, 7))


def put(lake, con, table, query, partition, current_hash=None):
    return lake.replace(table, lake.stage(con, table, query, partition), "run", partition, current_hash)


def rows(con, lake, table, partitions=None):
    found = con.sql(f"SELECT * FROM ({lake.relation(table, partitions)}) ORDER BY day, n")
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


@pytest.fixture
def filled(con, lake):
    put(lake, con, FORMER, "SELECT 1 AS n, 'a' AS old", MONDAY)
    return lake


def test_an_added_column_is_null_in_older_partitions_before_and_after_the_next_write(con, filled):
    before = {"plant": "mine", "day": MONDAY.day, "n": 1, "added": None, "old": "a"}
    assert rows(con, filled, GROWN) == [before]
    put(filled, con, GROWN, "SELECT 2 AS n, 1.5 AS added, 'b' AS old", TUESDAY)
    after = {"plant": "mine", "day": TUESDAY.day, "n": 2, "added": 1.5, "old": "b"}
    for lake in (filled, Lake(settings=filled.settings)):
        assert rows(con, lake, GROWN) == [before, after]
        assert rows(con, lake, GROWN, [MONDAY]) == [before]
        assert rows(con, lake, GROWN, [TUESDAY]) == [after]
        assert con.sql(lake.relation(GROWN)).types[3] == "DOUBLE"
    frame = pl.read_delta(str(filled.table_path(GROWN))).sort("n")
    assert frame["added"].to_list() == [None, 1.5], "any reader of Delta sees the same"


def test_a_partition_computed_again_has_the_column_and_another_content(con, filled):
    written = put(filled, con, FORMER, "SELECT 1 AS n, 'a' AS old", MONDAY)
    again = put(filled, con, GROWN, "SELECT 1 AS n, NULL AS added, 'a' AS old", MONDAY, written.content_hash)
    assert again.changed
    assert pl.read_parquet(filled.live_files(GROWN)[0]).columns == ["n", "added", "old"]


def test_a_column_that_left_the_contract_is_not_read_any_more(con, filled):
    put(filled, con, SHRUNK, "SELECT 2 AS n", TUESDAY)
    expected = [{"plant": "mine", "day": p.day, "n": n} for n, p in ((1, MONDAY), (2, TUESDAY))]
    assert rows(con, filled, SHRUNK) == expected
    assert rows(con, filled, SHRUNK, [MONDAY]) == expected[:1]
    assert [row["old"] for row in rows(con, filled, FORMER)] == ["a", None]


def test_a_column_may_come_while_another_leaves(con, filled):
    exchanged = replace(FORMER, columns=(*FORMER.columns[:3], NEW))
    put(filled, con, exchanged, "SELECT 2 AS n, 1.5 AS added", TUESDAY)
    for lake in (filled, Lake(settings=filled.settings)):
        assert [(row["n"], row["added"]) for row in rows(con, lake, exchanged)] == [(1, None), (2, 1.5)]
        assert [row["old"] for row in rows(con, lake, GROWN)] == ["a", None]


def test_the_contract_holds_for_older_files_of_a_table_that_grew(con, filled):
    assert check_contract(filled, GROWN, None).passed
    put(filled, con, GROWN, "SELECT 2 AS n, 1.5 AS added, 'b' AS old", TUESDAY)
    assert check_contract(filled, GROWN, None).passed
    assert check_contract(filled, SHRUNK, None).passed
    required = replace(GROWN, columns=(*GROWN.columns[:3], replace(NEW, nullable=False), GROWN.columns[4]))
    finding = check_contract(filled, required, None)
    assert not finding.passed
    assert "added" in finding.rows[0][1]


def test_a_column_keeps_its_type(con, filled):
    other = replace(FORMER, columns=(*FORMER.columns[:2], Column("n", ColumnType.TEXT, "Number."), FORMER.columns[3]))
    with pytest.raises(ContractError, match=r"column n is stored as .*long.*another major version"):
        put(filled, con, other, "SELECT 'x' AS n, 'a' AS old", TUESDAY)
    assert [row["n"] for row in rows(con, filled, FORMER)] == [1]


def test_what_was_planned_before_the_table_grew_is_planned_again(con, filled):
    """The look that comes with new columns may bring in a commit of another writer; nothing of it may be lost."""
    staged = filled.stage(con, GROWN, "SELECT 3 AS n, 0.5 AS added, 'c' AS old", MONDAY)
    planned = filled.live_files(GROWN, [MONDAY])
    other = Lake(settings=filled.settings)
    put(other, con, FORMER, "SELECT 2 AS n, 'b' AS old", MONDAY)
    with pytest.raises(PartitionChangedError, match="got new columns"):
        filled.commit(GROWN, MONDAY, [staged], planned, "run")
    assert [row["n"] for row in rows(con, filled, GROWN)] == [2]
    filled.replace(GROWN, staged, "run", MONDAY)
    assert [row["n"] for row in rows(con, Lake(settings=filled.settings), GROWN)] == [3]


def test_two_writers_that_bring_the_same_column_both_get_their_rows_in(con, filled):
    other = Lake(settings=filled.settings)
    other.live_files(GROWN)
    put(filled, con, GROWN, "SELECT 2 AS n, 1.5 AS added, 'b' AS old", TUESDAY)
    put(other, con, GROWN, "SELECT 1 AS n, 0.5 AS added, 'a' AS old", MONDAY)
    assert [row["added"] for row in rows(con, filled, GROWN)] == [0.5, 1.5]
    put(Lake(settings=filled.settings), con, FORMER, "SELECT 4 AS n, 'd' AS old", TUESDAY)
    assert [row["added"] for row in rows(con, filled, GROWN)] == [0.5, None]


def test_a_table_that_did_not_change_is_read_as_it_is(filled):
    assert filled.changed_columns(FORMER) == frozenset()
    assert "union_by_name" not in filled.relation(FORMER)
    assert filled.changed_columns(GROWN) == {"added"}
    assert filled.changed_columns(SHRUNK) == {"old"}
