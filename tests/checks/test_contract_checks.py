"""Contract and uniqueness of what is live, including what got there past the lake's own checks."""

import uuid
from dataclasses import replace

import pytest

from checks.asset_checks import find
from idm_assets.aggregated import tables as aggregated
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contracts import Partition
from idm_assets.sql import literal
from resources.lake import StagedFile
from tests.relations import DAY, PARTITION, PLANT, at, contract_rows

OTHER = Partition("other", DAY)


def put(con, lake, table, rows, partition):
    lake.replace(table, lake.stage(con, table, contract_rows(table, rows), partition), "run", partition)


def smuggle(con, lake, table, query, partition):
    """Add a file to the table that nobody has checked, as another tool could."""
    folder = lake.table_path(table)
    if partition is not None:
        folder = folder.joinpath(*(f"{name}={value}" for name, value in partition.values(table).items()))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"part-{uuid.uuid4().hex}.parquet"
    con.execute(f"COPY ({query}) TO {literal(str(path))} (FORMAT parquet)").fetchall()
    lake.commit(table, partition, [StagedFile(path, 1, "")], [], "smuggler")


def stored(table, rows, changes=""):
    return f"SELECT {table.select_list()}{changes} FROM ({contract_rows(table, rows)})"


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ("SELECT * REPLACE (-1::BIGINT AS status)", "status"),
        ("SELECT * REPLACE (4294967296::BIGINT AS status)", "status"),
        ("SELECT * REPLACE (NULL::TIMESTAMPTZ AS ts)", "ts"),
        ("SELECT * REPLACE (0::BIGINT AS line)", "line"),
        ("SELECT * REPLACE (value::FLOAT AS value)", "value"),
        ("SELECT * EXCLUDE (detail)", "detail"),
        ("SELECT *, 1 AS extra", "extra"),
    ],
)
def test_whatever_breaks_the_contract_is_found_and_where(con, lake, ledger, changes, column):
    row = {"ts": at(5), "value": 1.0}
    put(con, lake, cleaned.OBSERVATIONS, [row], PARTITION)
    put(con, lake, cleaned.OBSERVATIONS, [row], OTHER)
    assert find("contract", con, lake, ledger, cleaned.OBSERVATIONS, None).passed
    smuggle(con, lake, cleaned.OBSERVATIONS, f"{changes} FROM ({stored(cleaned.OBSERVATIONS, [row])})", OTHER)
    finding = find("contract", con, lake, ledger, cleaned.OBSERVATIONS, None)
    assert not finding.passed
    assert finding.numbers["failures"] == len(finding.rows) == 1
    assert finding.rows[0][0] == f"plant=other/day={DAY}"
    assert column in finding.rows[0][1]
    assert find("contract", con, lake, ledger, cleaned.OBSERVATIONS, [PARTITION]).passed
    assert not find("contract", con, lake, ledger, cleaned.OBSERVATIONS, [OTHER]).passed


def test_every_live_file_is_looked_at_and_no_dead_one(con, lake, ledger):
    smuggle(con, lake, aggregated.DAYS, stored(aggregated.DAYS, [{"count": -1}]), PARTITION)
    assert not find("contract", con, lake, ledger, aggregated.DAYS, None).passed
    put(con, lake, aggregated.DAYS, [{"count": 1}], PARTITION)
    finding = find("contract", con, lake, ledger, aggregated.DAYS, None)
    assert finding.passed
    assert finding.numbers["files"] == 1
    assert find("contract", con, lake, ledger, cleaned.OBSERVATIONS, None).numbers["files"] == 0


def test_a_key_that_occurs_twice_in_a_partition_is_found(con, lake, ledger):
    rows = [{"signal_id": n, "ts": at(5)} for n in (1, 2)]
    put(con, lake, cleaned.OBSERVATIONS, rows, PARTITION)
    put(con, lake, cleaned.OBSERVATIONS, rows, OTHER)
    assert find("uniqueness", con, lake, ledger, cleaned.OBSERVATIONS, None).passed
    smuggle(con, lake, cleaned.OBSERVATIONS, stored(cleaned.OBSERVATIONS, rows[1:]), PARTITION)
    finding = find("uniqueness", con, lake, ledger, cleaned.OBSERVATIONS, None)
    assert not finding.passed
    assert finding.rows == [(PLANT, DAY, 2, at(5), 2)]
    assert finding.header == ("plant", "day", "signal_id", "ts", "rows")
    assert "is repeated" in finding.summary
    assert find("uniqueness", con, lake, ledger, cleaned.OBSERVATIONS, [OTHER]).passed


def test_null_is_a_value_of_a_key(con, lake, ledger):
    """Two rows without a line in one file are one too many."""
    table = replace(capture.QUARANTINE, key=("path", "line"))
    put(con, lake, table, [{"path": "a", "line": None}, {"path": "a", "line": 1}], PARTITION)
    assert find("uniqueness", con, lake, ledger, table, [PARTITION]).passed
    put(con, lake, table, [{"path": "a", "line": None}, {"path": "a", "line": None}], PARTITION)
    assert not find("uniqueness", con, lake, ledger, table, [PARTITION]).passed
