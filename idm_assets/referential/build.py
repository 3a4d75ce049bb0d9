"""The referential's tables, built from configuration: all that is said of plants becomes one history.

Belongs here: the order of the steps from statements to tables, and what must hold between tables. Does not
belong here: formats, validity, units, storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import duckdb
import polars as pl

from idm_assets.configuration import ConfigurationError
from idm_assets.contracts import Table
from idm_assets.referential import resolution, tables
from idm_assets.referential.binding_rules import RULE_PREFIX, bindings_of, rules_of
from idm_assets.referential.configuration import TableImport
from idm_assets.referential.history import content_columns, with_row_id
from idm_assets.referential.model_register import frames
from idm_assets.referential.rules import idle_rules
from idm_assets.referential.sources import Sources
from idm_assets.referential.statements import (
    ALWAYS,
    AVATAR_CONTENT,
    FOREVER,
    PLACE,
    SHOWN_PROBLEMS,
    SIGNAL_CONTENT,
    create_working_tables,
    put,
    put_description,
    put_document,
    put_series,
    put_table,
)
from idm_assets.referential.validity import (
    dated_rows,
    is_single_file,
    overlap_problems,
    overlaps,
    repeated,
    single_file_rows,
)
from idm_assets.sql import literal

AVATAR_MEANING: Final = "avatar || ' (' || coalesce(model, '?') || ')'"
TAG_MEANING: Final = "coalesce(avatar, '?') || '.' || coalesce(attribute, '?')"
BINDING_MEANING: Final = (
    f"{TAG_MEANING} || CASE WHEN starts_with(said_by, {literal(RULE_PREFIX)}) THEN ' (' || said_by || ')' ELSE '' END"
)
_ROUNDS: Final = 40
"""Doublings of the way to the root: enough for a chain of a million million parts."""


@dataclass(frozen=True, slots=True)
class Built:
    """The tables of the referential, as working tables of a connection.

    Attributes:
        con: the connection that holds them, in its current schema.
        plants: the plants that were built.
        scopes: the tables that were built, with the SQL condition for the rows in force that they replace.
        remarks: what was accepted but ought to be known, one sentence each.
    """

    con: duckdb.DuckDBPyConnection
    plants: tuple[str, ...]
    scopes: Mapping[Table, str]
    remarks: tuple[str, ...] = ()

    def query(self, table: Table) -> str:
        """Query for the content columns of a historised table, and ``row_id``."""
        return f"SELECT * FROM content_{table.name}"

    def points(self) -> str:
        """Query for `referential.points`: of several bindings of a point the latest says what kind it is."""
        names = [column.name for column in tables.POINTS.columns]
        listed = ", ".join(names)
        several = "SELECT point_id FROM signal_rows GROUP BY point_id HAVING count(*) > 1"
        struct = ", ".join(f"'{n}': {n}" for n in names)
        return (
            f"WITH several AS MATERIALIZED ({several}) SELECT {listed} FROM signal_rows"
            f" ANTI JOIN several USING (point_id) UNION ALL SELECT {', '.join(f'last.{n}' for n in names)}"
            f" FROM (SELECT arg_max({{{struct}}}, valid_from) AS last FROM signal_rows"
            " SEMI JOIN several USING (point_id) GROUP BY point_id)"
        )

    def frame(self, table: Table) -> pl.DataFrame:
        """The content columns of a historised table, sorted, for small ones."""
        names = [column.name for column in content_columns(table)]
        return self.con.sql(self.query(table)).pl().select(names).sort(table.sort, nulls_last=False)


def build_models(con: duckdb.DuckDBPyConnection, sources: Sources) -> Built:
    """Build the tables of models."""
    for table, frame in frames(sources.register).items():
        put(con, table.name, frame, create=True)
        _make_content(con, table)
    return Built(con, (), {tables.DATA_MODELS: "true", tables.MODEL_ATTRIBUTES: "true"})


def build(con: duckdb.DuckDBPyConnection, sources: Sources, plants: Iterable[str] | None = None) -> Built:
    """Build the tables of plants from what was read.

    Args:
        con: connection in UTC; working tables are made in its current schema.
        sources: the configuration and what it names.
        plants: plants to build; None: all.

    Raises:
        ConfigurationError: with all problems of the first stage that has any, each with its place.
    """
    wanted = tuple(sorted(sources.plants if plants is None else set(plants)))
    build_models(con, sources)
    create_working_tables(con)
    _put_statements(con, sources, wanted)
    refuse(repetitions(con))
    make_avatar_rows(con)
    refuse([*avatar_overlaps(con), *hierarchy_problems(con), *make_bindings(con, sources, wanted)])
    remarks = [*idle_binding_rules(con, sources, wanted), *resolve_signals(con, sources)]
    make_contents(con)
    of_plants = one_of("plant", wanted)
    scopes = dict.fromkeys((tables.EQUIPMENT, tables.AVATARS, tables.SIGNALS), of_plants)
    return Built(con, wanted, scopes, (*sources.remarks, *remarks))


def _put_statements(con: duckdb.DuckDBPyConnection, sources: Sources, plants: Sequence[str]) -> None:
    imports = [dated for dated in sources.imports if dated.plant in plants]
    ordinals = put_series(con, imports)
    problems: list[str] = []
    for i, dated in enumerate(imports):
        if isinstance(dated.item, TableImport):
            try:
                problems += put_table(con, dated, ordinals[i], sources.register)
            except ConfigurationError as error:
                problems += error.problems
        else:
            put_description(con, dated, ordinals[i])
    for document in sources.documents:
        if document.value.plant in plants:
            problems += put_document(con, document, sources.register)
    refuse(problems)


def make_avatar_rows(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``avatar_rows`` and ``equipment_rows`` of what is said; a part without a place has that of its whole."""
    rows_of = single_file_rows if is_single_file(con, "avatars_said") else dated_rows
    con.execute(
        "CREATE OR REPLACE TABLE avatar_rows AS SELECT *, false AS context"
        f" FROM ({rows_of('avatars_said', ('avatar',), AVATAR_CONTENT)})"
    ).fetchall()
    for _ in range(_ROUNDS):
        placed = con.execute(
            "UPDATE avatar_rows a SET equipment_path = p.equipment_path FROM avatar_rows p"
            " WHERE a.equipment_path IS NULL AND p.equipment_path IS NOT NULL AND p.plant = a.plant"
            " AND p.avatar = a.parent AND p.valid_from <= a.valid_from AND p.valid_to > a.valid_from"
        ).fetchall()[0][0]
        if not placed:
            break
    con.execute(
        "CREATE OR REPLACE TABLE equipment_rows AS SELECT plant, equipment_path,"
        " split_part(equipment_path, '/', -1) AS name, said.level AS level,"
        " nullif(rtrim(regexp_replace(equipment_path, '[^/]*$', ''), '/'), '') AS parent_path,"
        " said.description AS description, said.origin AS origin FROM (SELECT plant, equipment_path, arg_max({"
        "'level': level, 'description': description, 'origin': origin}, rank) AS said"
        " FROM equipment_said GROUP BY plant, equipment_path)"
    ).fetchall()


def repetitions(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Avatars and tags that one file speaks of twice, one sentence each."""
    return [
        *overlap_problems("avatar", repeated(con, "avatars_said", ("avatar",), AVATAR_MEANING)),
        *overlap_problems("tag", repeated(con, "signals_said", ("source", "tag"), TAG_MEANING)),
    ]


def avatar_overlaps(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Avatars that are described twice for the same time, one sentence each."""
    return overlap_problems("avatar", overlaps(con, "avatar_rows", ("avatar",), AVATAR_MEANING))


def hierarchy_problems(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Places, levels and parents that there are not, and parts that contain themselves, one sentence each."""
    levels = ", ".join(map(literal, tables.ISA95_LEVELS))
    place = "a.origin || coalesce(': row ' || a.row, '')"
    queries = {
        "belongs to no equipment element; give it an equipment_path, or a parent that has one":
            f"SELECT {place}, 'avatar ' || avatar FROM avatar_rows a WHERE equipment_path IS NULL AND NOT context",
        "which is missing; add it to the equipment":
            f"SELECT {place}, 'avatar ' || a.avatar || ' belongs to ' || a.equipment_path || ',' FROM avatar_rows a"
            " ANTI JOIN equipment_rows e USING (plant, equipment_path)"
            " WHERE a.equipment_path IS NOT NULL AND NOT context",
        "which there is not at any time that it is valid":
            f"SELECT {place}, 'avatar ' || a.avatar || ' is a part of ' || a.parent || ',' FROM avatar_rows a"
            " ANTI JOIN avatar_rows p ON p.plant = a.plant AND p.avatar = a.parent AND p.valid_from < a.valid_to"
            " AND p.valid_to > a.valid_from WHERE a.parent IS NOT NULL AND NOT context",
        "which is missing; add it":
            "SELECT e.origin, 'equipment ' || e.equipment_path || ' lies below ' || e.parent_path || ','"
            " FROM equipment_rows e ANTI JOIN equipment_rows p"
            " ON p.plant = e.plant AND p.equipment_path = e.parent_path WHERE e.parent_path IS NOT NULL",
        f"expected one of {', '.join(tables.ISA95_LEVELS)}":
            "SELECT origin, 'equipment ' || equipment_path || ' has the level ' || level || ';' FROM equipment_rows"
            f" WHERE level NOT IN ({levels})",
    }  # fmt: skip
    problems: list[str] = []
    for complaint, query in queries.items():
        rows = con.sql(f"{query} ORDER BY ALL LIMIT {SHOWN_PROBLEMS}").fetchall()
        problems += [f"{origin}: {what} {complaint}" for origin, what in rows]
    return [*problems, *_cycles(con)]


def _cycles(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Avatars that are parts of themselves at some time.

    The way up is doubled until nobody has anyone above them. Who still has after more steps than there are avatars
    goes in circles, and whoever stands above them then is part of one.
    """
    con.execute(
        "CREATE OR REPLACE TABLE ancestors AS SELECT plant, avatar, parent AS ancestor, valid_from, valid_to"
        " FROM avatar_rows WHERE parent IS NOT NULL AND (plant, avatar) IN (SELECT (plant, parent) FROM avatar_rows)"
    ).fetchall()
    count = con.sql("SELECT count(*) FROM ancestors").fetchall()[0][0]
    steps = 1
    while count and steps <= count:
        con.execute(
            "CREATE OR REPLACE TABLE ancestors AS SELECT DISTINCT a.plant, a.avatar, b.ancestor,"
            " greatest(a.valid_from, b.valid_from) AS valid_from, least(a.valid_to, b.valid_to) AS valid_to"
            " FROM ancestors a JOIN ancestors b ON b.plant = a.plant AND b.avatar = a.ancestor"
            " AND b.valid_from < a.valid_to AND b.valid_to > a.valid_from"
        ).fetchall()
        if not con.sql("SELECT count(*) FROM ancestors").fetchall()[0][0]:
            return []
        steps *= 2
    circle = con.sql(
        f"SELECT a.ancestor, min({PLACE}) FROM ancestors a JOIN avatar_rows r ON r.plant = a.plant"
        f" AND r.avatar = a.ancestor GROUP BY a.plant, a.ancestor ORDER BY a.plant, a.ancestor LIMIT {SHOWN_PROBLEMS}"
    ).fetchall()
    if not circle:
        return []
    named = ", ".join(repr(avatar) for avatar, _ in circle)
    return [f"{circle[0][1]}: avatars are parts of themselves: {named}"]


def make_bindings(con: duckdb.DuckDBPyConnection, sources: Sources, plants: Sequence[str]) -> list[str]:
    """Make ``bindings`` of what is said and of the binding rules; explicit bindings go before rules.

    Returns:
        Tags with two bindings at the same time, one sentence each.
    """
    said = single_file_rows("signals_said", ("source", "tag"), SIGNAL_CONTENT)
    if not is_single_file(con, "signals_said"):
        dated = dated_rows("signals_said", ("source", "tag"), SIGNAL_CONTENT)
        con.execute(f"CREATE OR REPLACE TABLE dated_bindings AS {dated}").fetchall()
        said = "SELECT * FROM dated_bindings"
    rules = [placed for placed in rules_of(sources.documents) if placed.plant in plants]
    con.execute(f"CREATE OR REPLACE TABLE ruled_bindings AS SELECT * FROM ({said}) WHERE false").fetchall()
    if rules:
        con.execute(f"CREATE OR REPLACE TABLE explicit AS SELECT DISTINCT plant, source, tag FROM ({said})").fetchall()
    for placed in rules:
        made = bindings_of(placed, "avatar_rows", "model_attributes")
        con.execute(
            f"INSERT INTO ruled_bindings BY NAME SELECT * FROM ({made}) ANTI JOIN explicit USING (plant, source, tag)"
        ).fetchall()
    con.execute(f"CREATE OR REPLACE VIEW bindings AS {said} UNION ALL BY NAME FROM ruled_bindings").fetchall()
    found = overlaps(con, "bindings", ("source", "tag"), BINDING_MEANING)
    # What one rule says twice, it says of two periods of an avatar, whose overlap is a problem of its own.
    twice = f" ({RULE_PREFIX}"
    return overlap_problems("tag", [one for one in found if one[1:3] != one[3:5] or twice not in one[1]])


def idle_binding_rules(con: duckdb.DuckDBPyConnection, sources: Sources, plants: Sequence[str]) -> list[str]:
    """One remark per binding rule that makes no binding, as one with a misspelt pattern or attribute does."""
    said = con.sql("SELECT DISTINCT plant, said_by FROM ruled_bindings").fetchall()
    return [
        f"{placed.place}: binding rule {placed.rule.name!r} binds nothing: no avatar fits, none of its attributes is"
        " one of the avatars' models, or all of its tags are bound explicitly"
        for placed in rules_of(sources.documents)
        if placed.plant in plants and (placed.plant, RULE_PREFIX + placed.rule.name) not in said
    ]


def resolve_signals(con: duckdb.DuckDBPyConnection, sources: Sources) -> list[str]:
    """Make ``signal_rows`` of bindings, avatars, models and rules; returns remarks.

    Raises:
        ConfigurationError: a binding refers to what there is not, or cannot be converted at all.
    """
    refuse(resolution.place_bindings(con))
    refuse(resolution.attribute_problems(con))
    refuse([*resolution.put_conversions(con), *resolution.put_ranges(con, sources.rules)])
    refuse(resolution.put_signal_rows(con))
    return [*resolution.contradictions(con), *idle_rules(sources.rules, resolution.subjects_of(con))]


def make_contents(con: duckdb.DuckDBPyConnection) -> None:
    """Make a view ``content_<table>`` of every table of plants: content columns in order, and ``row_id``."""
    for table in (tables.EQUIPMENT, tables.AVATARS, tables.SIGNALS):
        _make_content(con, table)


def _make_content(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    names = ", ".join(_content_column(column.name) for column in content_columns(table))
    rows = f"SELECT {names} FROM {_SOURCES[table]}"
    con.execute(f"CREATE OR REPLACE VIEW content_{table.name} AS {with_row_id(table, rows)}").fetchall()


_SOURCES: Final = {
    tables.DATA_MODELS: "data_models", tables.MODEL_ATTRIBUTES: "model_attributes",
    tables.EQUIPMENT: "equipment_rows", tables.AVATARS: "avatar_rows WHERE NOT context",
    tables.SIGNALS: "signal_rows",
}  # fmt: skip


def _content_column(name: str) -> str:
    if name == "valid_from":
        return f"CASE WHEN valid_from > {ALWAYS} THEN valid_from END AS valid_from"
    if name == "valid_to":
        return f"CASE WHEN valid_to < {FOREVER} THEN valid_to END AS valid_to"
    return f'"{name}"'


def one_of(column: str, values: Iterable[str]) -> str:
    """SQL condition that a column has one of some values."""
    listed: Iterator[str] = (literal(value) for value in values)
    return f"{column} IN ({', '.join(listed) or 'NULL'})"


def refuse(problems: Sequence[str]) -> None:
    """Stop with what is wrong, if anything is.

    Raises:
        ConfigurationError: there are problems.
    """
    if problems:
        raise ConfigurationError(problems)
