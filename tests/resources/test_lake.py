"""The lake: one partition at a time, as a whole, by contract, and never the same file twice."""

import os
from datetime import date

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

from idm_assets.contracts import PLANT, Column, ColumnType, ContractError, Partition, Table
from resources.lake import COMMIT_ATTEMPTS, Lake, PartitionChangedError, StagedFile, discard
from resources.settings import Settings

TABLE = Table(
    "cleaned",
    "example",
    "An example.",
    (
        PLANT,
        Column("day", ColumnType.DATE, "Day."),
        Column("n", ColumnType.INTEGER, "A number.", minimum=0),
        Column("text", ColumnType.TEXT, "A text.", nullable=True),
    ),
    ("plant", "day"),
    sort=("n",),
)
STANDING = Table("referential", "example", "An example.", (Column("n", ColumnType.INTEGER, "A number."),), key=("n",))
MONDAY = Partition("nist", date(2016, 11, 7))
TUESDAY = Partition("nist", date(2016, 11, 8))
NUMBERS = "SELECT n, 'x' || n AS text FROM range({}) r(n)"


def put(lake, con, query, partition=MONDAY, table=TABLE, current_hash=None):
    return lake.replace(table, lake.stage(con, table, query, partition), "run", partition, current_hash)


def numbers(con, lake, partitions=None, table=TABLE):
    return [row[0] for row in con.sql(f"SELECT n FROM ({lake.relation(table, partitions)}) ORDER BY n").fetchall()]


def data_files(lake, table=TABLE):
    return sorted(lake.table_path(table).rglob("*.parquet"))


def test_what_is_written_is_read_with_its_partition_columns(con, lake):
    written = put(lake, con, "SELECT '7'::VARCHAR AS n, 5 AS text, 'extra' AS other")
    assert (written.rows, written.changed, written.version) == (1, True, 1)
    assert con.sql(f"SELECT plant, day, n, text FROM ({lake.relation(TABLE)})").fetchall() == [
        ("nist", date(2016, 11, 7), 7, "5")
    ]
    assert sorted(con.sql(lake.relation(TABLE)).columns) == ["day", "n", "plant", "text"]
    assert pl.read_delta(str(lake.table_path(TABLE))).to_dicts() == [
        {"plant": "nist", "day": date(2016, 11, 7), "n": 7, "text": "5"}
    ]


def test_a_plant_whose_name_is_a_number_stays_text(con, lake):
    put(lake, con, NUMBERS.format(1), Partition("007", MONDAY.day))
    assert con.sql(f"SELECT plant FROM ({lake.relation(TABLE)})").fetchall() == [("007",)]


def test_a_table_that_was_never_written_is_empty(con, lake):
    assert not lake.exists(TABLE)
    assert lake.version(TABLE) == -1
    assert lake.live_files(TABLE) == []
    assert con.sql(lake.relation(TABLE)).columns == ["plant", "day", "n", "text"]
    assert con.sql(lake.relation(TABLE, [MONDAY])).fetchall() == []
    assert lake.frame(STANDING).schema == STANDING.empty_frame().schema


def test_a_replacement_is_the_whole_content_of_its_partition_and_of_no_other(con, lake):
    put(lake, con, NUMBERS.format(3))
    put(lake, con, NUMBERS.format(5), TUESDAY)
    put(lake, con, NUMBERS.format(2))
    assert numbers(con, lake, [MONDAY]) == [0, 1]
    assert numbers(con, lake, [TUESDAY]) == [0, 1, 2, 3, 4]
    assert len(numbers(con, lake)) == 7
    assert numbers(con, lake, []) == []
    assert len(lake.live_files(TABLE)) == 2


def test_rows_are_sorted_in_the_file(con, lake):
    put(lake, con, "SELECT n, NULL AS text FROM range(1000) r(n) ORDER BY hash(n)")
    assert pl.read_parquet(lake.live_files(TABLE)[0])["n"].to_list() == list(range(1000))


def test_a_staged_file_is_no_content_and_a_reader_keeps_what_it_has_listed(con, lake):
    put(lake, con, NUMBERS.format(3))
    listed = lake.relation(TABLE)
    staged = lake.stage(con, TABLE, NUMBERS.format(5), MONDAY)
    assert numbers(con, lake) == [0, 1, 2]
    lake.replace(TABLE, staged, "run", MONDAY)
    assert numbers(con, lake) == [0, 1, 2, 3, 4]
    assert len(con.sql(listed).fetchall()) == 3, "the former file is still there for who began to read it"


def test_no_file_name_is_used_twice(con, lake):
    put(lake, con, NUMBERS.format(3))
    first = lake.live_files(TABLE)
    put(lake, con, NUMBERS.format(3))
    assert set(first).isdisjoint(lake.live_files(TABLE))


def test_equal_content_is_not_committed_again(con, lake):
    first = put(lake, con, NUMBERS.format(3))
    files = data_files(lake)
    shuffled = "SELECT n, 'x' || n AS text FROM range(3) r(n) ORDER BY n DESC"
    again = put(lake, con, shuffled, current_hash=first.content_hash)
    assert (again.changed, again.version, again.content_hash, again.rows) == (False, 1, first.content_hash, 3)
    assert data_files(lake) == files
    assert put(lake, con, NUMBERS.format(2), current_hash=first.content_hash).changed


def test_equal_content_is_committed_when_the_partition_was_lost(con, lake):
    """The ledger may remember what a lake that was set back does not hold."""
    written = put(lake, con, NUMBERS.format(3))
    other = Lake(settings=Settings(home=str(lake.settings.home_path / "other")))
    assert put(other, con, NUMBERS.format(3), current_hash=written.content_hash).changed
    assert numbers(con, other) == [0, 1, 2]


def test_an_empty_result_empties_the_partition(con, lake):
    put(lake, con, NUMBERS.format(3))
    put(lake, con, NUMBERS.format(2), TUESDAY)
    emptied = put(lake, con, NUMBERS.format(0))
    assert (emptied.rows, emptied.changed, emptied.version) == (0, True, 3)
    assert lake.live_files(TABLE, [MONDAY]) == []
    assert numbers(con, lake) == [0, 1]
    again = put(lake, con, NUMBERS.format(0), current_hash=emptied.content_hash)
    assert (again.changed, again.version) == (False, 3)


def test_a_first_empty_result_leaves_no_file(con, lake):
    written = put(lake, con, NUMBERS.format(0))
    assert (written.rows, written.version) == (0, 0)
    assert data_files(lake) == []


def test_a_breach_of_the_contract_publishes_nothing(con, lake):
    put(lake, con, NUMBERS.format(3))
    files = data_files(lake)
    with pytest.raises(ContractError, match=r"cleaned\.example: 1 contract failures, nothing was published: column n"):
        put(lake, con, "SELECT 0 AS n, NULL AS text UNION ALL SELECT -1, NULL")
    assert numbers(con, lake) == [0, 1, 2]
    assert data_files(lake) == files


def test_a_breach_deep_in_a_large_file_is_found(con, lake, monkeypatch):
    """The contract is checked in batches; no batch may be left out."""
    monkeypatch.setattr("resources.lake.VALIDATION_BATCH", 1000)
    with pytest.raises(ContractError):
        put(lake, con, "SELECT CASE n WHEN 9999 THEN NULL ELSE n END AS n, NULL AS text FROM range(10_000) r(n)")


@pytest.mark.parametrize(
    "query", ["SELECT 'many' AS n, NULL AS text", "SELECT 1 AS other", "SELECT error('stop') AS n"]
)
def test_a_query_that_fails_leaves_nothing_behind(con, lake, query):
    with pytest.raises(duckdb.Error):
        put(lake, con, query)
    assert data_files(lake) == []
    assert not lake.exists(TABLE)


@pytest.mark.parametrize(
    "name", ["with space", "it's", "ünï", "br[1]", "st*r", "q?m", "semi;colon", "pl+us", "ha#sh", "k=v", "{x}", '"q"']
)
def test_the_home_may_have_any_name(con, tmp_path, name):
    home = tmp_path / name
    for _ in range(2):  # a second process finds what the first one wrote
        lake = Lake(settings=Settings(home=str(home)))
        put(lake, con, NUMBERS.format(4))
        put(lake, con, NUMBERS.format(2))
        assert numbers(con, lake, [MONDAY]) == [0, 1]
        assert all(file.is_relative_to(home) and file.exists() for file in lake.live_files(TABLE))


def test_an_unpartitioned_table_is_replaced_as_a_whole(con, lake):
    for count in (3, 2):
        put(lake, con, f"SELECT n FROM range({count}) r(n)", None, STANDING)
    assert lake.frame(STANDING)["n"].to_list() == [0, 1]
    assert len(lake.live_files(STANDING)) == 1
    assert con.sql(lake.relation(STANDING)).columns == ["n"]


def test_the_history_says_which_run_wrote_what(con, lake):
    written = put(lake, con, NUMBERS.format(3))
    delta = DeltaTable(lake.table_path(TABLE))
    last = delta.history(1)[0]
    assert (last["run_id"], last["content"]) == ("run", written.content_hash)
    assert delta.metadata().configuration["delta.logRetentionDuration"] == "interval 3650 days"
    assert delta.protocol().min_reader_version == 1


def test_another_process_sees_each_commit(con, lake):
    reader = Lake(settings=lake.settings)
    put(lake, con, NUMBERS.format(3))
    assert numbers(con, reader) == [0, 1, 2]
    put(lake, con, NUMBERS.format(1))
    assert numbers(con, reader) == [0]


def test_what_was_planned_over_former_files_is_refused(con, lake):
    """A commit of removals and additions that another writer has overtaken would double the partition."""
    put(lake, con, NUMBERS.format(1))
    other = Lake(settings=lake.settings)
    live = other.live_files(TABLE, [MONDAY])
    staged = other.stage(con, TABLE, NUMBERS.format(5), MONDAY)
    put(lake, con, NUMBERS.format(3))
    with pytest.raises(PartitionChangedError):
        other.commit(TABLE, MONDAY, [staged], live, "run")
    assert numbers(con, lake) == [0, 1, 2]
    other.commit(TABLE, MONDAY, [staged], other.live_files(TABLE, [MONDAY]), "run")
    assert numbers(con, lake) == [0, 1, 2, 3, 4]


def test_the_second_of_two_first_writers_is_refused_too(con, lake):
    other = Lake(settings=lake.settings)
    assert other.live_files(TABLE, [MONDAY]) == []
    staged = other.stage(con, TABLE, NUMBERS.format(5), MONDAY)
    put(lake, con, NUMBERS.format(3))
    with pytest.raises(PartitionChangedError):
        other.commit(TABLE, MONDAY, [staged], [], "run")
    assert numbers(con, lake) == [0, 1, 2]


def test_a_replacement_plans_again_when_it_was_overtaken(con, lake, monkeypatch):
    put(lake, con, NUMBERS.format(1))
    other = Lake(settings=lake.settings)
    commit = Lake.commit
    overtaken = []

    def overtake(self, *arguments):
        if not overtaken:
            overtaken.append(1)
            put(lake, con, NUMBERS.format(3))
        return commit(self, *arguments)

    monkeypatch.setattr(Lake, "commit", overtake)
    written = put(other, con, NUMBERS.format(5))
    assert (written.rows, written.version) == (5, 3)
    assert numbers(con, lake) == [0, 1, 2, 3, 4]


def test_a_commit_that_fails_leaves_the_former_content(con, lake, monkeypatch):
    """The staged file is an orphan then: in the folder, but no part of the table."""
    put(lake, con, NUMBERS.format(3))

    def fail(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fail)
    with pytest.raises(OSError, match="No space left"):
        put(lake, con, NUMBERS.format(5))
    assert numbers(con, lake) == numbers(con, Lake(settings=lake.settings)) == [0, 1, 2]
    assert len(data_files(lake)) == 2


def test_writers_of_other_partitions_do_not_disturb(con, lake):
    put(lake, con, NUMBERS.format(1))
    other = Lake(settings=lake.settings)
    live = other.live_files(TABLE, [MONDAY])
    staged = other.stage(con, TABLE, NUMBERS.format(5), MONDAY)
    put(lake, con, NUMBERS.format(3), TUESDAY)
    other.commit(TABLE, MONDAY, [staged], live, "run")
    assert (len(numbers(con, lake, [MONDAY])), len(numbers(con, lake, [TUESDAY]))) == (5, 3)


def test_a_writer_that_is_overtaken_for_ever_gives_up_and_says_so(con, lake, monkeypatch):
    attempts = []

    def refuse(*_arguments):
        attempts.append(1)
        raise PartitionChangedError

    monkeypatch.setattr(Lake, "commit", refuse)
    with pytest.raises(PartitionChangedError, match=r"cleaned\.example nist 2016-11-07: other writers .* run it again"):
        put(lake, con, NUMBERS.format(1))
    assert len(attempts) == COMMIT_ATTEMPTS


def test_a_commit_of_nothing_is_no_commit(con, lake):
    put(lake, con, NUMBERS.format(1))
    assert lake.commit(TABLE, MONDAY, [], [], "run") == 1
    assert lake.version(TABLE) == 1


def test_a_file_and_its_folder_are_flushed_before_the_commit(con, lake, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.append(os.fstat(descriptor).st_ino))
    staged = lake.stage(con, TABLE, NUMBERS.format(1), MONDAY)
    assert flushed == [staged.path.stat().st_ino, staged.path.parent.stat().st_ino]


def test_discarding_takes_only_what_is_there(con, lake):
    staged = lake.stage(con, TABLE, NUMBERS.format(1), MONDAY)
    discard([staged, StagedFile(staged.path.with_name("gone.parquet"), 1, "")])
    assert data_files(lake) == []


def test_staged_rows_are_counted_and_hashed_whatever_their_order(con, lake):
    one, two, three = (
        lake.stage(con, TABLE, query, MONDAY)
        for query in (NUMBERS.format(5), NUMBERS.format(5) + " ORDER BY n DESC", NUMBERS.format(4))
    )
    assert (one.rows, one.content_hash) == (two.rows, two.content_hash)
    assert one.content_hash != three.content_hash
