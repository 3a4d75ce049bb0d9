"""From dated statements to rows with a validity, and what must hold over time.

A statement of a dated file holds from the file's start until the series says something else of the same thing:
until the next file that names it, or the next full file, which ends whatever it leaves out. Statements that stay
the same from file to file are one row.

Belongs here: these queries, over the working tables of `statements`. Does not belong here: what is stated.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from idm_assets.referential.statements import ALWAYS, FOREVER, PLACE, SHOWN_PROBLEMS
from idm_assets.sql import identifier

_LAST = 2**31


def dated_rows(said: str, key: Sequence[str], content: Sequence[str]) -> str:
    """Query for the rows that statements make: key, content, ``said_by``, validity and ``origin``.

    Times are never NULL here; they may be infinite.

    Args:
        said: a working table.
        key: what a statement is about, beside the plant.
        content: what it says.
    """
    keys = ", ".join(map(identifier, ("plant", *key)))
    names = ", ".join(map(identifier, ("plant", *key, *content)))
    return f"""
        WITH statement AS (
            SELECT s.*, least(lead(s.ordinal) OVER (PARTITION BY s.series, {_of("s", key)} ORDER BY s.ordinal),
                    n.next_full, {_LAST}) AS ended,
                hash({_columns("s", content)}) AS content
            FROM {said} s LEFT JOIN series_said n
              ON n.plant = s.plant AND n.series = s.series AND n.ordinal = s.ordinal
            WHERE s.ordinal IS NOT NULL
        ), run AS (
            SELECT *, lag(ended) OVER (PARTITION BY series, {keys}, content ORDER BY ordinal)
                IS DISTINCT FROM ordinal AS opens
            FROM statement WHERE NOT removed
        ), island AS (
            SELECT *, sum(opens::INT) OVER (PARTITION BY series, {keys}, content ORDER BY ordinal) AS island FROM run
        ), merged AS (
            SELECT *, max(ended) OVER same AS last_ended FROM island
            WINDOW same AS (PARTITION BY series, {keys}, content, island),
                same_in_order AS (PARTITION BY series, {keys}, content, island ORDER BY ordinal)
            QUALIFY row_number() OVER same_in_order = 1
        )
        SELECT {_columns("m", ("plant", *key, *content))}, coalesce(m.starts, {ALWAYS}) AS valid_from,
            coalesce(e.starts, {FOREVER}) AS valid_to, m.series AS said_by, m.origin, m.row
        FROM merged m LEFT JOIN series_said e
          ON e.plant = m.plant AND e.series = m.series AND e.ordinal = m.last_ended
        UNION ALL
        SELECT {names}, coalesce(valid_from, {ALWAYS}), coalesce(valid_to, {FOREVER}), series, origin, row
        FROM {said} WHERE ordinal IS NULL AND NOT removed"""


def single_file_rows(said: str, key: Sequence[str], content: Sequence[str]) -> str:
    """The same as `dated_rows` where every series has one file, without its windows over all rows."""
    names = ", ".join(map(identifier, ("plant", *key, *content)))
    return (
        f"SELECT {names}, coalesce(starts, valid_from, {ALWAYS}) AS valid_from,"
        f" coalesce(valid_to, {FOREVER}) AS valid_to, series AS said_by, origin, row FROM {said} WHERE NOT removed"
    )


def is_single_file(con: duckdb.DuckDBPyConnection, said: str) -> bool:
    """Whether no series of a working table has more than one file."""
    query = (
        f"SELECT count(*) FROM (SELECT plant, series FROM {said} WHERE ordinal IS NOT NULL GROUP BY plant, series"
        " HAVING min(ordinal) < max(ordinal))"
    )
    return con.sql(query).fetchall()[0][0] == 0


def repeated(
    con: duckdb.DuckDBPyConnection, said: str, key: Sequence[str], meaning: str
) -> list[tuple[str, str, str, str, str]]:
    """What one file speaks of more than once: the thing, and meaning and place of two statements.

    Args:
        con: connection with the working tables.
        said: a working table.
        key: what a statement is about, beside the plant.
        meaning: SQL expression for what a statement says.
    """
    name = " || '/' || ".join(map(identifier, ("plant", *key)))
    group = f"plant, series, ordinal, {', '.join(map(identifier, key))}"
    # Grouping by one number first is several times as fast as by the names; the names decide.
    return con.sql(
        f"WITH several AS (SELECT hash({group}) AS h FROM {said} WHERE ordinal IS NOT NULL GROUP BY h"
        f" HAVING count(*) > 1), listed AS (SELECT {name} AS thing, {group}, {{'place': {PLACE}, 'meaning': {meaning}}}"
        f" AS one FROM {said} WHERE ordinal IS NOT NULL AND hash({group}) IN (SELECT h FROM several))"
        " SELECT thing, min(one).meaning, min(one).place, max(one).meaning, max(one).place FROM listed"
        f" GROUP BY thing, {group} HAVING count(*) > 1 ORDER BY ALL LIMIT {SHOWN_PROBLEMS}"
    ).fetchall()


def overlaps(
    con: duckdb.DuckDBPyConnection, rows: str, key: Sequence[str], meaning: str
) -> list[tuple[str, str, str, str, str]]:
    """Each two rows of one thing that are valid at the same time: the thing, and meaning and place of both.

    Args:
        con: connection with the working tables.
        rows: table with the key, ``valid_from``, ``valid_to`` and where it stands.
        key: what a row is about, beside the plant.
        meaning: SQL expression for what a row says.
    """
    keys = ", ".join(map(identifier, ("plant", *key)))
    name = " || '/' || ".join(map(identifier, ("plant", *key)))
    return con.sql(
        f"WITH several AS (SELECT hash({keys}) AS h FROM {rows} GROUP BY h HAVING count(*) > 1)"
        f" SELECT {name}, meaning, place, next_meaning, next_place FROM ("
        f"SELECT *, lead(meaning) OVER w AS next_meaning, lead(place) OVER w AS next_place,"
        f" lead(valid_from) OVER w AS next_from FROM (SELECT {keys}, valid_from, valid_to, {meaning} AS meaning,"
        f" {PLACE} AS place FROM {rows} r WHERE hash({keys}) IN (SELECT h FROM several))"
        f" WINDOW w AS (PARTITION BY {keys} ORDER BY valid_from, valid_to, place))"
        f" WHERE next_from < valid_to ORDER BY ALL LIMIT {SHOWN_PROBLEMS}"
    ).fetchall()


def overlap_problems(what: str, found: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    """One sentence for each overlap that `overlaps` found."""
    sentences = [
        f"{what} {thing!r} has two meanings at the same time: {meaning} at {place} and {other} at {other_place}; remove"
        " one of them, or let one end before the other starts"
        for thing, meaning, place, other, other_place in found
    ]
    return list(dict.fromkeys(sentences))  # a rule says the same of every period of an avatar


def merged(rows: str, key: Sequence[str], content: Sequence[str]) -> str:
    """Query for rows without overlap in which those that touch and say the same are one."""
    keys = ", ".join(map(identifier, ("plant", *key)))
    names = ", ".join(map(identifier, ("plant", *key, *content)))
    return f"""
        WITH judged AS (
            SELECT *, hash({_columns("r", content)}) AS content FROM {rows} r
        ), run AS (
            SELECT *, (lag(content) OVER w, lag(valid_to) OVER w) IS DISTINCT FROM (content, valid_from) AS opens
            FROM judged WINDOW w AS (PARTITION BY {keys} ORDER BY valid_from)
        ), island AS (
            SELECT *, sum(opens::INT) OVER (PARTITION BY {keys} ORDER BY valid_from) AS island FROM run
        )
        SELECT {names}, valid_from, last_to AS valid_to, origin, row FROM (
            SELECT *, max(valid_to) OVER (PARTITION BY {keys}, island) AS last_to FROM island)
        WHERE opens"""


def _of(alias: str, key: Sequence[str]) -> str:
    return _columns(alias, ("plant", *key))


def _columns(alias: str, names: Sequence[str]) -> str:
    return ", ".join(f"{alias}.{identifier(name)}" for name in names)
