"""A few changes to a large plant, without building it anew.

When nothing changed but that tables of changes were added, only the avatars and tags that they name, and the tags
of these avatars, are built; what is in force of everything else is their context. The result is that of building
the whole plant; where that cannot be told from the rows in force, the whole plant is built.

Belongs here: which rows are touched, and their context. Does not belong here: building, comparing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import duckdb

from idm_assets.referential import tables
from idm_assets.referential.binding_rules import RULE_PREFIX, rules_of
from idm_assets.referential.build import (
    Built,
    avatar_overlaps,
    build,
    build_models,
    hierarchy_problems,
    make_avatar_rows,
    make_bindings,
    make_contents,
    one_of,
    refuse,
    repetitions,
    resolve_signals,
)
from idm_assets.referential.configuration import TableImport
from idm_assets.referential.history import in_force
from idm_assets.referential.sources import Sources, is_appended
from idm_assets.referential.statements import (
    AVATAR_CONTENT,
    SIGNAL_CONTENT,
    DatedImport,
    create_working_tables,
    put_series,
    put_table,
)
from idm_assets.sql import literal
from resources.lake import Lake

_GENERATIONS: Final = 64


def build_increment(con: duckdb.DuckDBPyConnection, lake: Lake, sources: Sources, known: Mapping[str, int]) -> Built:
    """Build what some tables of changes touch.

    Args:
        con: connection in UTC; working tables are made in its current schema.
        lake: the tables in force.
        sources: the configuration and what it names.
        known: plant to how many of its tables of changes are in force already.

    Raises:
        ConfigurationError: with all problems of the first stage that has any, each with its place.
    """
    plants = tuple(sorted(known))
    added = [dated for plant in plants for dated in _added(sources, plant, known[plant])]
    if any(isinstance(d.item, TableImport) and d.item.of == "equipment" for d in added):
        return build(con, sources, plants)
    build_models(con, sources)
    create_working_tables(con)
    ordinals = put_series(con, added)
    refuse([p for i, dated in enumerate(added) for p in put_table(con, dated, ordinals[i], sources.register)])
    refuse(repetitions(con))
    _note_touched(con, lake, plants)
    if _is_not_the_newest(sources, added) or _needs_more(con, sources, plants):
        return build(con, sources, plants)
    _put_former(con)
    _put_equipment(con, lake, plants)
    make_avatar_rows(con)
    _put_context(con, lake, plants)
    refuse([*avatar_overlaps(con), *hierarchy_problems(con), *make_bindings(con, sources, plants)])
    _leave_out_contexts_of_rules(con, lake, plants)
    remarks = resolve_signals(con, sources)
    make_contents(con)
    return Built(con, plants, _scopes(con, plants), tuple(remarks))


def _added(sources: Sources, plant: str, known: int) -> list[DatedImport]:
    return [dated for dated in sources.imports if dated.plant == plant and is_appended(dated)][known:]


def _is_not_the_newest(sources: Sources, added: list[DatedImport]) -> bool:
    """Whether another file of a series starts after one of the added ones."""
    starts = {(d.plant, d.series): d.item.valid_from for d in added}
    return any(
        other not in added
        and (other.plant, other.series) in starts
        and other.item.valid_from is not None
        and ((start := starts[other.plant, other.series]) is None or other.item.valid_from > start)
        for other in sources.imports
    )


def _note_touched(con: duckdb.DuckDBPyConnection, lake: Lake, plants: tuple[str, ...]) -> None:
    """Make ``touched_avatars``, ``former_avatars``, ``former_signals``: what is named, and what is in force of it."""
    con.execute("CREATE OR REPLACE TABLE touched_avatars AS SELECT DISTINCT plant, avatar FROM avatars_said").fetchall()
    con.execute(
        "CREATE OR REPLACE TABLE touched_tags AS SELECT DISTINCT plant, source, tag FROM signals_said"
    ).fetchall()
    of_plants = one_of("plant", plants)
    con.execute(
        f"CREATE OR REPLACE TABLE former_avatars AS SELECT * FROM ({in_force(lake, tables.AVATARS)})"
        f" SEMI JOIN touched_avatars USING (plant, avatar) WHERE {of_plants}"
    ).fetchall()
    con.execute(
        f"CREATE OR REPLACE TABLE former_signals AS SELECT * FROM ({in_force(lake, tables.SIGNALS)}) s"
        f" WHERE {of_plants} AND ((plant, avatar) IN (SELECT (plant, avatar) FROM touched_avatars)"
        " OR (plant, source, tag) IN (SELECT (plant, source, tag) FROM touched_tags))"
    ).fetchall()


def _needs_more(con: duckdb.DuckDBPyConnection, sources: Sources, plants: tuple[str, ...]) -> bool:
    """Whether the rows in force do not tell enough: changes of the past, returns, tags that rules bind as well."""
    past = con.sql(
        "SELECT count(*) FROM (SELECT plant, min(starts) AS starts, count(*) FILTER (ordinal IS NULL) AS own FROM ("
        "SELECT plant, starts, ordinal FROM avatars_said UNION ALL SELECT plant, starts, ordinal FROM signals_said)"
        " GROUP BY plant) a WHERE own > 0 OR starts IS NULL OR EXISTS (SELECT 1 FROM ("
        "SELECT plant, valid_from, valid_to FROM former_avatars UNION ALL SELECT plant, valid_from, valid_to"
        " FROM former_signals) f WHERE f.plant = a.plant AND (f.valid_from > a.starts OR f.valid_to > a.starts))"
    ).fetchall()[0][0]
    returns = con.sql(
        "SELECT count(*) FROM (SELECT plant, avatar FROM former_avatars GROUP BY ALL"
        " HAVING bool_and(valid_to IS NOT NULL))"
    ).fetchall()[0][0]
    tags = con.sql("SELECT count(*) FROM touched_tags").fetchall()[0][0]
    return bool(past or returns or (tags and any(rule.plant in plants for rule in rules_of(sources.documents))))


def _put_former(con: duckdb.DuckDBPyConnection) -> None:
    """Put down what is in force: open rows as said by an earlier file of their series, closed ones as they are."""
    when = (
        "said_by AS series, CASE WHEN valid_to IS NULL AND (plant, said_by) IN ("
        "SELECT (plant, series) FROM series_said) THEN 0 END AS ordinal, CASE WHEN valid_to IS NULL"
        " THEN valid_from END AS starts, false AS removed, valid_from, valid_to, 'the referential in force' AS origin"
    )
    con.execute(
        f"INSERT INTO avatars_said BY NAME SELECT plant, avatar, {', '.join(AVATAR_CONTENT)}, {when}"
        " FROM former_avatars"
    ).fetchall()
    con.execute(
        f"INSERT INTO signals_said BY NAME SELECT plant, source, tag, {', '.join(SIGNAL_CONTENT)}, {when}"
        f" FROM former_signals WHERE NOT starts_with(said_by, {literal(RULE_PREFIX)})"
    ).fetchall()


def _put_equipment(con: duckdb.DuckDBPyConnection, lake: Lake, plants: tuple[str, ...]) -> None:
    con.execute(
        "INSERT INTO equipment_said BY NAME SELECT plant, equipment_path, level, description,"
        f" 'the referential in force' AS origin, 0 AS rank FROM ({in_force(lake, tables.EQUIPMENT)})"
        f" WHERE {one_of('plant', plants)}"
    ).fetchall()


def _put_context(con: duckdb.DuckDBPyConnection, lake: Lake, plants: tuple[str, ...]) -> None:
    """Add untouched avatars that touched rows refer to: those of bound tags, and all above touched ones."""
    names = ", ".join(("plant", "avatar", *AVATAR_CONTENT))
    standing = f"SELECT * FROM ({in_force(lake, tables.AVATARS)}) WHERE {one_of('plant', plants)}"
    wanted = (
        "SELECT plant, avatar FROM signals_said UNION SELECT plant, parent FROM avatar_rows WHERE parent IS NOT NULL"
    )
    for _ in range(_GENERATIONS):
        found = con.execute(
            f"INSERT INTO avatar_rows BY NAME SELECT {names}, said_by, coalesce(valid_from, '-infinity') AS valid_from,"
            " coalesce(valid_to, 'infinity') AS valid_to, 'the referential in force' AS origin,"
            f" true AS context FROM ({standing}) s WHERE (plant, avatar) IN ({wanted})"
            " AND (plant, avatar) NOT IN (SELECT (plant, avatar) FROM avatar_rows)"
        ).fetchall()[0][0]
        if not found:
            return
        wanted = "SELECT plant, parent FROM avatar_rows WHERE context AND parent IS NOT NULL"


def _leave_out_contexts_of_rules(con: duckdb.DuckDBPyConnection, lake: Lake, plants: tuple[str, ...]) -> None:
    """Rules made bindings for the context as well, and for tags that are bound explicitly: both are in force as is."""
    rule = f"starts_with(said_by, {literal(RULE_PREFIX)})"
    if not con.sql(f"SELECT count(*) FROM bindings WHERE {rule}").fetchall()[0][0]:
        return
    con.execute(
        f"DELETE FROM ruled_bindings WHERE {rule} AND ("
        "(plant, avatar) NOT IN (SELECT (plant, avatar) FROM touched_avatars)"
        f" OR (plant, source, tag) IN (SELECT (plant, source, tag) FROM ({in_force(lake, tables.SIGNALS)})"
        f" WHERE {one_of('plant', plants)} AND NOT {rule}))"
    ).fetchall()


def _scopes(con: duckdb.DuckDBPyConnection, plants: tuple[str, ...]) -> dict[tables.Table, str]:
    con.execute(
        "CREATE OR REPLACE TABLE touched_keys AS SELECT DISTINCT signal_id FROM former_signals"
        " UNION SELECT signal_id FROM signal_rows"
    ).fetchall()
    of_plants = one_of("plant", plants)
    return {
        tables.AVATARS: f"{of_plants} AND (plant, avatar) IN (SELECT (plant, avatar) FROM touched_avatars)",
        tables.SIGNALS: f"{of_plants} AND signal_id IN (SELECT signal_id FROM touched_keys)",
    }  # fmt: skip
