"""What the referential in force looks like: rows, counts per model, and what is odd about it.

Nothing here is an error of form, which is refused before it comes into force; these are the questions that a
person has to answer: a tag that nothing explains, an avatar that nothing speaks of, a unit that does not fit.

Belongs here: queries over the tables in force, with the rows behind each figure. Does not belong here: how they are
shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb

from idm_assets.contracts import Table
from idm_assets.referential import tables
from idm_assets.referential.history import content_columns, in_force
from resources.lake import Lake

SHOWN_ROWS: Final = 50
PREVIEW_ROWS: Final = 8

_NOW: Final = (
    "coalesce(valid_from, '-infinity'::TIMESTAMPTZ) <= now() AND coalesce(valid_to, 'infinity'::TIMESTAMPTZ) > now()"
)


@dataclass(frozen=True, slots=True)
class Overview:
    """What the UI shows of the referential.

    Attributes:
        rows: rows in force, by table name.
        previews: column names and first rows, by table name.
        models: names of all models.
        avatars_per_model: avatars in force now, largest number first.
        bindings_per_source: bindings in force now, largest number first.
        avatars_without_bindings: avatars in force now that no tag speaks of now.
    """

    rows: Mapping[str, int]
    previews: Mapping[str, tuple[Sequence[str], Sequence[Sequence[Any]]]]
    models: Sequence[str]
    avatars_per_model: Mapping[str, int]
    bindings_per_source: Mapping[str, int]
    avatars_without_bindings: int


@dataclass(frozen=True, slots=True)
class Question:
    """Something a person should look at.

    Attributes:
        name: name of the asset check.
        table: table that it is about.
        description: what is expected.
        header: column names of the rows behind it.
        query: query over ``avatars``, ``signals``, ``models``, ``attributes``, ``equipment`` and ``tags``.
        sentence: what a number of rows means, with ``{n}``.
    """

    name: str
    table: Table
    description: str
    header: tuple[str, ...]
    query: str
    sentence: str


UNBOUND_TAGS: Final = Question(
    "unbound_tags",
    tables.SIGNALS,
    "Every tag that was heard is bound to an attribute at some time.",
    ("plant", "source", "tag"),
    "SELECT plant, source, tag FROM tags WHERE signal_id NOT IN (SELECT signal_id FROM signals)",
    "{n} tags were heard that no binding explains",
)

QUESTIONS: Final = (
    UNBOUND_TAGS,
    Question(
        "contradictory_units",
        tables.SIGNALS,
        "Every delivered unit can become the unit of its attribute; what cannot is not published.",
        ("plant", "source", "tag", "avatar", "attribute", "delivered unit", "attribute's unit"),
        "SELECT plant, source, tag, avatar, attribute, delivered_unit, unit FROM signals WHERE factor IS NULL",
        "{n} bindings deliver a unit that does not fit their attribute; they publish nothing",
    ),
    Question(
        "orphan_avatars",
        tables.AVATARS,
        "The whole that an avatar is a part of, and the model it is of, are in force as long as the avatar is.",
        ("plant", "avatar", "model", "parent"),
        f"SELECT plant, avatar, model, parent FROM avatars a WHERE {_NOW} AND ("
        " (parent IS NOT NULL AND (plant, parent) NOT IN (SELECT (plant, avatar) FROM avatars"
        f" WHERE {_NOW})) OR (model, model_version) NOT IN (SELECT (model, version) FROM models))",
        "{n} avatars have lost their whole or their model",
    ),
    Question(
        "shared_external_ids",
        tables.AVATARS,
        "No two avatars that are in force have the same external identifier of one kind.",
        ("plant", "kind", "identifier", "avatars", "one of them"),
        "WITH entries AS (SELECT plant, avatar, parent, unnest(map_entries(external_ids::JSON::MAP(VARCHAR, VARCHAR)))"
        f" AS entry FROM avatars WHERE {_NOW} AND external_ids <> '{{}}')"
        # A nameplate that is a part of its machine says what the machine is called: only the machine counts.
        " SELECT plant, entry.key AS kind, entry.value AS identifier, count(DISTINCT avatar), min(avatar)"
        " FROM entries e ANTI JOIN entries w ON w.plant = e.plant AND w.avatar = e.parent AND w.entry = e.entry"
        " GROUP BY ALL HAVING count(DISTINCT avatar) > 1",
        "{n} external identifiers belong to several avatars",
    ),
    Question(
        "models_without_avatars",
        tables.DATA_MODELS,
        "Every telemetry model has an avatar.",
        ("model", "highest version"),
        "SELECT model, max(version) FROM models WHERE kind = 'telemetry'"
        " AND model NOT IN (SELECT model FROM avatars) GROUP BY model",
        "{n} telemetry models have no avatar",
    ),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """How many rows a question has, and the first of them."""

    count: int
    rows: Sequence[Sequence[Any]]


def overview_of(con: duckdb.DuckDBPyConnection, lake: Lake) -> Overview:
    """Count and show what is in force."""
    relations = {t.name: in_force(lake, t) if t in tables.HISTORISED else lake.relation(t) for t in tables.TABLES}
    rows = {name: con.sql(f"SELECT count(*) FROM ({query})").fetchall()[0][0] for name, query in relations.items()}
    previews = {t.name: _preview(con, t, relations[t.name]) for t in tables.TABLES}
    models = [name for (name,) in con.sql(
        f"SELECT DISTINCT model FROM ({relations['data_models']}) ORDER BY ALL"
    ).fetchall()]  # fmt: skip
    silent = con.sql(
        f"SELECT count(*) FROM ({relations['avatars']}) WHERE {_NOW} AND (plant, avatar) NOT IN ("
        f"SELECT (plant, avatar) FROM ({relations['signals']}) WHERE {_NOW})"
    ).fetchall()[0][0]
    return Overview(
        rows, previews, models,
        _counts(con, f"SELECT model, count(*) FROM ({relations['avatars']}) WHERE {_NOW} GROUP BY 1"),
        _counts(con, f"SELECT source, count(*) FROM ({relations['signals']}) WHERE {_NOW} GROUP BY 1"),
        silent,
    )  # fmt: skip


def answer(con: duckdb.DuckDBPyConnection, lake: Lake, question: Question, known_tags: str) -> Answer:
    """Ask one question.

    Args:
        con: connection.
        lake: the tables in force.
        question: one of `QUESTIONS`.
        known_tags: query with ``plant, signal_id, source, tag`` of every tag that was heard.
    """
    named = {
        "avatars": in_force(lake, tables.AVATARS), "signals": in_force(lake, tables.SIGNALS),
        "models": in_force(lake, tables.DATA_MODELS), "tags": f"SELECT DISTINCT * FROM ({known_tags})",
    }  # fmt: skip
    needed = ", ".join(f"{name} AS ({query})" for name, query in named.items() if f" {name}" in question.query)
    con.execute(f"CREATE OR REPLACE TEMP TABLE answered AS WITH {needed} SELECT * FROM ({question.query})").fetchall()
    count = con.sql("SELECT count(*) FROM answered").fetchall()[0][0]
    return Answer(count, con.sql(f"SELECT * FROM answered ORDER BY ALL LIMIT {SHOWN_ROWS}").fetchall())


def _preview(con: duckdb.DuckDBPyConnection, table: Table, query: str) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    names = [c.name for c in (content_columns(table) if table in tables.HISTORISED else table.columns)]
    listed = ", ".join(f'"{name}"' for name in names)
    return names, con.sql(f"SELECT {listed} FROM ({query}) LIMIT {PREVIEW_ROWS}").fetchall()


def _counts(con: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return dict(con.sql(f"{query} ORDER BY 2 DESC, 1").fetchall())
