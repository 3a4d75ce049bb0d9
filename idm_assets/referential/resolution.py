"""What bindings mean: the model, unit, conversion and range behind every bound tag, over time.

Belongs here: joining bindings with avatars, models, units and rules, as queries over working tables. Does not
belong here: where bindings come from, what is done with values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import duckdb
import polars as pl

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.description import NUMERIC
from idm_assets.referential.rules import PlacedRule, Subject, range_of
from idm_assets.referential.statements import PLACE, SHOWN_PROBLEMS, put
from idm_assets.referential.units import IDENTITY, UnitError, conversion, is_affine
from idm_assets.referential.validity import merged
from idm_assets.sql import literal, point_id, signal_id

SIGNAL_CONTENT: Final = (
    "signal_id", "point_id", "equipment_path", "avatar", "attribute", "model", "model_version", "data_type", "kind",
    "hold", "delivered_unit", "scale", "shift", "unit", "factor", "offset", "minimum", "maximum", "allowed", "rule",
    "said_by",
)  # fmt: skip


def place_bindings(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Make the table ``placed``: each binding with the avatar's model and place, cut where these change.

    Reads ``bindings`` and ``avatar_rows``.

    Returns:
        Bindings of avatars that there are not, one sentence each.
    """
    con.execute(
        "CREATE OR REPLACE TABLE placed AS SELECT b.plant, b.source, b.tag, b.avatar, b.attribute, b.delivered_unit,"
        f" {signal_id('b.plant', 'b.source', 'b.tag')} AS signal_id,"
        f" {point_id('b.plant', 'a.equipment_path', 'b.avatar', 'b.attribute', 'm.unit')} AS point_id,"
        " b.scale, b.shift, b.said_by, b.origin, b.row, a.equipment_path, a.model, a.model_version, m.unit,"
        " greatest(b.valid_from, a.valid_from) AS valid_from, least(b.valid_to, a.valid_to) AS valid_to"
        " FROM bindings b LEFT JOIN avatar_rows a ON a.plant = b.plant AND a.avatar = b.avatar"
        " AND a.valid_from < b.valid_to AND a.valid_to > b.valid_from LEFT JOIN model_attributes m"
        " ON m.model = a.model AND m.version = a.model_version AND m.attribute = b.attribute"
    ).fetchall()
    lost = con.sql(
        f"SELECT {PLACE}, source, tag, avatar FROM placed WHERE model IS NULL ORDER BY ALL LIMIT {SHOWN_PROBLEMS}"
    ).fetchall()
    return [
        f"{place}: tag {tag!r} of source {source!r} is bound to avatar {avatar!r}, which there is not at that time"
        for place, source, tag, avatar in lost
    ]


def attribute_problems(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Bindings of attributes that the avatar's model lacks, one sentence each."""
    rows = con.sql(
        f"SELECT min({PLACE}), min(source), min(tag), p.attribute, p.model, p.model_version FROM placed p"
        " ANTI JOIN model_attributes m ON m.model = p.model AND m.version = p.model_version"
        f" AND m.attribute = p.attribute GROUP BY ALL ORDER BY ALL LIMIT {SHOWN_PROBLEMS}"
    ).fetchall()
    return [
        f"{origin}: tag {tag!r} of source {source!r} is bound to {attribute!r}, which model {model!r} {version} does"
        " not have"
        for origin, source, tag, attribute, model, version in rows
    ]


def put_conversions(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Make the table ``conversions``: how delivered units become the attributes' units.

    Units that contradict each other have no factor: such bindings are kept, and publish nothing.

    Returns:
        Scaled values in units without a natural zero, one sentence each.
    """
    pairs = con.sql(
        "SELECT DISTINCT p.delivered_unit, m.unit FROM placed p JOIN model_attributes m ON m.model = p.model"
        " AND m.version = p.model_version AND m.attribute = p.attribute WHERE p.delivered_unit IS NOT NULL"
        " AND p.delivered_unit IS DISTINCT FROM m.unit ORDER BY ALL"
    ).fetchall()
    rows: list[tuple[str, str | None, float | None, float | None]] = []
    for delivered, unit in pairs:
        try:
            step = conversion(delivered, unit)
            rows.append((delivered, unit, step.factor, step.offset))
        except UnitError:
            rows.append((delivered, unit, None, None))
    schema = {"delivered_unit": pl.String, "unit": pl.String, "factor": pl.Float64, "offset": pl.Float64}
    put(con, "conversions", pl.DataFrame(rows, schema=schema, orient="row"), create=True)
    return _scaled_affine(con)


def _scaled_affine(con: duckdb.DuckDBPyConnection) -> list[str]:
    scaled = con.sql(
        f"SELECT coalesce(p.delivered_unit, m.unit) AS unit, min({PLACE}), min(p.tag) FROM placed p JOIN"
        " model_attributes m ON m.model = p.model AND m.version = p.model_version AND m.attribute = p.attribute"
        " WHERE p.scale <> 1 GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    return [
        f"{origin}: tag {tag!r}: a value in {unit!r} cannot be scaled, since the zero of that unit is not the zero of"
        " what it measures; give the unit as K or delta_degC, or no scale"
        for unit, origin, tag in scaled
        if unit is not None and _affine(unit)
    ]


def contradictions(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Bindings whose delivered unit cannot become the attribute's, one remark each; after `put_signal_rows`."""
    rows = con.sql(
        f"SELECT {PLACE}, tag, delivered_unit, attribute, unit, count(*) OVER () FROM resolved WHERE factor IS NULL"
        f" ORDER BY ALL LIMIT {SHOWN_PROBLEMS}"
    ).fetchall()
    remarks = [
        f"{place}: tag {tag!r} delivers {delivered!r}, which cannot become {unit or 'a value without unit'!r} of"
        f" {attribute!r}; nothing of it is published"
        for place, tag, delivered, attribute, unit, _ in rows
    ]
    left = rows[0][-1] - len(rows) if rows else 0
    return [*remarks, *([f"{left} more bindings deliver a unit that cannot become the attribute's"] if left else [])]


def _affine(unit: str) -> bool:
    try:
        return is_affine(unit)
    except UnitError:
        return False


def put_ranges(con: duckdb.DuckDBPyConnection, rules: Sequence[PlacedRule]) -> list[str]:
    """Make the table ``ranges``: the plausible range of every bound numeric attribute, in its canonical unit.

    Returns:
        Rules that do not fit the unit of an attribute, and, first, none of those that hold for nothing.
    """
    globs = sorted({placed.rule.match.avatar for placed in rules if placed.rule.match.avatar is not None})
    con.execute(f"CREATE OR REPLACE MACRO avatar_globs(avatar) AS {_globs_of('avatar', globs)}").fetchall()
    numeric = ", ".join(literal(name) for name in sorted(NUMERIC))
    found = con.sql(
        "SELECT DISTINCT p.plant, p.model, p.model_version, p.attribute, m.kind, m.data_type, m.unit, m.minimum,"
        " m.maximum, avatar_globs(p.avatar) AS globs FROM placed p JOIN model_attributes m ON m.model = p.model"
        f" AND m.version = p.model_version AND m.attribute = p.attribute WHERE m.data_type IN ({numeric}) ORDER BY ALL"
    ).fetchall()
    rows: list[tuple[object, ...]] = []
    problems: dict[str, None] = {}
    for plant, model, version, attribute, kind, data_type, unit, minimum, maximum, matched in found:
        subject = Subject(model, attribute, kind, data_type, unit, plant, frozenset(matched.split("\n")))
        try:
            held = range_of(rules, subject)
        except ConfigurationError as error:
            problems.update(dict.fromkeys(error.problems))
            continue
        own = (minimum, maximum, None)
        bounds = own if held is None else (held.minimum, held.maximum, held.rule)
        rows.append((plant, model, version, attribute, matched, *bounds))
    text = ("plant", "model", "model_version", "attribute", "globs")
    schema = dict.fromkeys(text, pl.String) | {"minimum": pl.Float64, "maximum": pl.Float64, "rule": pl.String}
    put(con, "ranges", pl.DataFrame(rows, schema=schema, orient="row"), create=True)
    return list(problems)


def subjects_of(con: duckdb.DuckDBPyConnection) -> list[Subject]:
    """What rules may hold for, over all bound attributes; after `put_ranges`."""
    rows = con.sql(
        "SELECT DISTINCT p.plant, p.model, p.attribute, m.kind, m.data_type, m.unit, avatar_globs(p.avatar)"
        " FROM placed p JOIN model_attributes m ON m.model = p.model AND m.version = p.model_version"
        " AND m.attribute = p.attribute ORDER BY ALL"
    ).fetchall()
    return [
        Subject(model, attribute, kind, data_type, unit, plant, frozenset(matched.split("\n")))
        for plant, model, attribute, kind, data_type, unit, matched in rows
    ]


def _globs_of(avatar: str, globs: Sequence[str]) -> str:
    """SQL expression for those patterns that an avatar matches, one per line."""
    # DuckDB's GLOB reads a backslash as an escape; fnmatch, by which rules are written, does not.
    parts = [
        f"CASE WHEN {avatar} GLOB {literal(glob.replace(chr(92), chr(92) * 2))} THEN {literal(glob)} END"
        for glob in globs
    ]
    return f"concat_ws(chr(10), {', '.join(parts)})" if parts else "''"


def put_signal_rows(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Make the table ``signal_rows``: `referential.signals` without the columns of history, times never NULL.

    Returns:
        Names that share a key, which none of ten million should.
    """
    low, high = "(r.minimum - w.offset) / w.factor", "(r.maximum - w.offset) / w.factor"
    con.execute(
        "CREATE OR REPLACE VIEW resolved AS"
        " WITH converted AS ("
        " SELECT p.*, m.data_type, m.kind, m.hold, m.allowed,"
        " CASE WHEN p.delivered_unit IS NULL OR p.delivered_unit IS NOT DISTINCT FROM m.unit"
        f" THEN {literal(IDENTITY.factor)} ELSE c.factor END AS step,"
        " CASE WHEN p.delivered_unit IS NULL OR p.delivered_unit IS NOT DISTINCT FROM m.unit"
        f" THEN {literal(IDENTITY.offset)} ELSE c.offset END AS step_offset"
        " FROM placed p JOIN model_attributes m ON m.model = p.model AND m.version = p.model_version"
        " AND m.attribute = p.attribute LEFT JOIN conversions c ON c.delivered_unit = p.delivered_unit"
        " AND c.unit IS NOT DISTINCT FROM m.unit"
        "), scaled AS ("
        ' SELECT *, scale * step AS factor, shift * step + step_offset AS "offset" FROM converted)'
        f" SELECT w.plant, w.source, w.tag, w.signal_id, w.point_id,"
        " w.equipment_path, w.avatar, w.attribute, w.model, w.model_version, w.data_type, w.kind, w.hold,"
        " w.delivered_unit, w.scale, w.shift, w.unit, w.factor, w.offset,"
        f" CASE WHEN w.factor > 0 THEN {low} ELSE {high} END AS minimum,"
        f" CASE WHEN w.factor > 0 THEN {high} ELSE {low} END AS maximum,"
        " w.allowed, r.rule, w.said_by, w.valid_from, w.valid_to, w.origin, w.row"
        " FROM scaled w LEFT JOIN ranges r ON r.plant = w.plant AND r.model = w.model"
        " AND r.model_version = w.model_version AND r.attribute = w.attribute AND r.globs = avatar_globs(w.avatar)"
    ).fetchall()
    con.execute(
        "CREATE OR REPLACE TABLE cut AS SELECT signal_id FROM placed GROUP BY signal_id HAVING count(*) > 1"
    ).fetchall()
    if con.sql("SELECT count(*) FROM cut").fetchall()[0][0]:
        cut = "(SELECT * FROM resolved SEMI JOIN cut USING (signal_id))"
        rows = (
            "SELECT * FROM resolved ANTI JOIN cut USING (signal_id) UNION ALL BY NAME"
            f" SELECT * FROM ({merged(cut, ('source', 'tag'), SIGNAL_CONTENT)})"
        )
    else:
        rows = "SELECT * FROM resolved"
    con.execute(f"CREATE OR REPLACE VIEW signal_rows AS {rows}").fetchall()
    return [*_shared(con, "signal_id", "tags", "source, tag"), *_shared(con, "point_id", "points", _POINT)]


_POINT: Final = "equipment_path, avatar, attribute, unit"


def _shared(con: duckdb.DuckDBPyConnection, key: str, what: str, names: str) -> list[str]:
    rows = con.sql(
        f"WITH several AS (SELECT {key} FROM placed GROUP BY {key} HAVING count(*) > 1)"
        f" SELECT arg_min(named, h), arg_max(named, h) FROM (SELECT {key}, row({names})::VARCHAR AS named,"
        f" hash(plant, {names}) AS h FROM placed SEMI JOIN several USING ({key}))"
        f" GROUP BY {key} HAVING min(h) <> max(h) LIMIT 5"
    ).fetchall()
    return [f"two {what} have the same key; rename one of {one} and {other}" for one, other in rows]
