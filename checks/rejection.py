"""Files that were rejected as a whole: each is a delivery of which nothing counts.

Belongs here: this check, as a pure function of a relation. Does not belong here: why a file is rejected.
"""

from __future__ import annotations

from typing import Final

import duckdb

from checks.finding import Finding

SHOWN: Final = 40


def check_rejected_files(con: duckdb.DuckDBPyConnection, counts: str) -> Finding:
    """List the days on which files were rejected that some landed path still holds.

    Args:
        con: connection.
        counts: query for `monitoring.quarantine_counts`.
    """
    rows = con.sql(
        f"SELECT plant, day, source_entry, reason, files FROM ({counts}) WHERE files > 0 AND standing = 'open'"
        " ORDER BY day DESC, plant, source_entry, reason"
    ).fetchall()
    files = sum(row[-1] for row in rows)
    return Finding(
        passed=not files,
        summary=f"{files} landed files are rejected as a whole; idm quarantine show says why" if files else "none is",
        numbers={"files": files},
        header=("plant", "day", "source", "reason", "files"),
        rows=rows[:SHOWN],
    )
