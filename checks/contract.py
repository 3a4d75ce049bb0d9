"""Contract and uniqueness: what is live holds to its table's contract, values and keys included."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from checks.finding import Finding
from idm_assets.contracts import Partition, Table
from idm_assets.sql import identifier
from resources.lake import Lake, contract_failures


def check_contract(lake: Lake, table: Table, partitions: Sequence[Partition] | None) -> Finding:
    """Validate all live rows with the contract's pandera schema."""
    failures: list[tuple[str, str]] = []
    files = lake.live_files(table, partitions)
    changed = lake.changed_columns(table) if files else frozenset[str]()
    for file in files:
        partition = "/".join(part for part in file.parent.parts if "=" in part)
        failures += [(partition, failure) for failure in contract_failures(table, file, changed)]
    columns = len(table.stored_columns)
    return Finding(
        passed=not failures,
        summary=f"{columns} columns of {len(files)} live files validated, {len(failures)} failures",
        numbers={"files": len(files), "columns": columns, "failures": len(failures)},
        header=("partition", "failure"),
        rows=failures[:20],
    )


def check_uniqueness(
    con: duckdb.DuckDBPyConnection, lake: Lake, table: Table, partitions: Sequence[Partition] | None
) -> Finding:
    """Count keys that occur more than once within a partition."""
    key = ", ".join(identifier(name) for name in (*table.partition_by, *table.key))
    repeated = con.sql(
        f"SELECT {key}, count(*) AS rows FROM ({lake.relation(table, partitions)}) GROUP BY ALL HAVING count(*) > 1"
        " ORDER BY ALL LIMIT 20"
    ).fetchall()
    return Finding(
        passed=not repeated,
        summary=f"({', '.join(table.key)}) is unique" if not repeated else f"({', '.join(table.key)}) is repeated",
        numbers={"repeated_keys_shown": len(repeated)},
        header=(*table.partition_by, *table.key, "rows"),
        rows=repeated,
    )
