"""Tags that were heard and that no binding explains, with what is known of their values.

Belongs here: gathering these facts from the lake for `referential.suggestions`. Does not belong here: scores.
"""

from __future__ import annotations

import duckdb
import polars as pl

from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.referential import tables as referential
from idm_assets.referential.history import in_force
from idm_assets.referential.suggestions import suggest
from idm_assets.sql import literal
from idm_assets.status import BAD_NO_DATA
from resources.lake import Lake

SHOWN_TEXTS = 10
_NOW = "coalesce(valid_from, '-infinity'::TIMESTAMPTZ) <= now() AND coalesce(valid_to, 'infinity'::TIMESTAMPTZ) > now()"


def unbound_tags(con: duckdb.DuckDBPyConnection, lake: Lake, plant: str) -> pl.DataFrame:
    """The unbound tags of a plant with their observations and the facts of `suggestions.TAGS`, most heard first."""
    heard = (
        f"SELECT DISTINCT plant, signal_id, source, tag FROM ({lake.relation(capture.TAGS)})"
        f" WHERE plant = {literal(plant)} AND signal_id NOT IN ("
        f"SELECT signal_id FROM ({in_force(lake, referential.SIGNALS)}))"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE unbound AS {heard}").fetchall()
    facts = (
        "SELECT signal_id, count(*) AS observations, avg((value IS NOT NULL)::DOUBLE) AS numeric_share,"
        " min(value) AS minimum, max(value) AS maximum,"
        f" list(DISTINCT text ORDER BY text)[:{SHOWN_TEXTS}] AS texts"
        f" FROM ({lake.relation(cleaned.OBSERVATIONS)}) SEMI JOIN unbound USING (signal_id)"
        f" WHERE plant = {literal(plant)} AND (status & 4294901760) <> {BAD_NO_DATA} GROUP BY signal_id"
    )
    return con.sql(
        "SELECT u.plant, u.source, u.tag, coalesce(f.observations, 0) AS observations, f.numeric_share, f.minimum,"
        " f.maximum, coalesce(f.texts, []::VARCHAR[]) AS texts, NULL::VARCHAR AS unit"
        f" FROM unbound u LEFT JOIN ({facts}) f USING (signal_id) ORDER BY observations DESC, source, tag"
    ).pl()


def suggestions_for(con: duckdb.DuckDBPyConnection, lake: Lake, tags: pl.DataFrame, plant: str) -> pl.DataFrame:
    """Suggestions, as `suggestions.suggest` makes them, from what is in force now."""
    attributes = con.sql(
        "SELECT a.plant, a.avatar, m.attribute, a.name AS avatar_name, a.model, a.equipment_path, m.data_type, m.unit,"
        " m.minimum, m.maximum, from_json(m.allowed, '[\"VARCHAR\"]') AS allowed, m.description"
        f" FROM ({in_force(lake, referential.AVATARS)}) a JOIN ({in_force(lake, referential.MODEL_ATTRIBUTES)}) m"
        " ON m.model = a.model AND m.version = a.model_version"
        f" WHERE a.plant = {literal(plant)} AND {_NOW}"
    ).pl()
    bindings = con.sql(
        "SELECT plant, source, tag, avatar, attribute, signal_id NOT IN (SELECT signal_id FROM ("
        f"{lake.relation(capture.TAGS)})) AS silent FROM ({in_force(lake, referential.SIGNALS)}) WHERE {_NOW}"
    ).pl()
    return suggest(tags, attributes, bindings)
