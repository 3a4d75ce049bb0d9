"""Suggestions for tags that no binding explains: ranked attributes, each with a score and its reasons.

A suggestion is for a person to judge; nothing is bound here. Each kind of evidence says something between 0
(against) and 1 (for). The score is their weighted mean (`Weights`) over what is known of the tag, times factors for
what speaks against the pair as such: 0.5 where nothing ties the tag to the machine, 0.2 where units contradict each
other, 0.4 where texts come for a number or values that are not allowed.

An attribute is looked at if words of the tag resemble its words, or if tags of that name go to an attribute of that
name elsewhere. A score is made of the pair, its source and the bindings, and not of the other attributes: one more
attribute, of an avatar without bindings, changes no score and puts no worse one first. This holds as long as a tag
has at most `CANDIDATES` attributes to choose from: those of its plant or, where these are more, those of the
machines that the tag names, that other tags of its source go to, or that are named like its source. Beyond that a tag
looks at about 200 attributes: those of which the names say most.

Belongs here: evidence, scores, reasons. Does not belong here: the words of names (`tag_words`), what the tags are
compared with (`suggestion_ground`), where the facts come from, what becomes of a suggestion, Dagster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from idm_assets.referential.suggestion_ground import CANDIDATES, Ground, ground_of, is_readable
from idm_assets.referential.units import IDENTITY, Conversion, UnitError, conversion

TOP: Final = 5
MINIMUM_SCORE: Final = 0.25

TAGS: Final = pl.Schema(
    {
        "plant": pl.String(),
        "source": pl.String(),
        "tag": pl.String(),
        "numeric_share": pl.Float64(),
        "minimum": pl.Float64(),
        "maximum": pl.Float64(),
        "texts": pl.List(pl.String()),
        "unit": pl.String(),
    }
)
"""Unbound tags. Key: plant, source, tag; what is not known of a tag is null.

Of its values with data (none of MTConnect's UNAVAILABLE among them): ``numeric_share``, the share of numbers, 0 to
1; ``minimum`` and ``maximum`` of the numbers; ``texts``, a few distinct texts. ``unit``: symbol of the delivered
unit, ignored if `idm_assets.referential.units` cannot read it.
"""

ATTRIBUTES: Final = pl.Schema(
    {
        "plant": pl.String(),
        "avatar": pl.String(),
        "attribute": pl.String(),
        "avatar_name": pl.String(),
        "model": pl.String(),
        "equipment_path": pl.String(),
        "data_type": pl.String(),
        "unit": pl.String(),
        "minimum": pl.Float64(),
        "maximum": pl.Float64(),
        "allowed": pl.List(pl.String()),
        "description": pl.String(),
    }
)
"""All attributes of the avatars in force, bound ones among them. Key: plant, avatar, attribute.

``minimum`` and ``maximum``: plausible range in ``unit``; ``allowed``: the only plausible texts, null or empty: any.
"""

BINDINGS: Final = pl.Schema(
    {
        "plant": pl.String(),
        "source": pl.String(),
        "tag": pl.String(),
        "avatar": pl.String(),
        "attribute": pl.String(),
        "silent": pl.Boolean(),
    }
)
"""Bindings in force, of all plants. Key: plant, source, tag. ``silent``: the tag is not heard any more."""

SUGGESTIONS: Final = pl.Schema(
    {
        "plant": pl.String(),
        "source": pl.String(),
        "tag": pl.String(),
        "rank": pl.Int64(),
        "avatar": pl.String(),
        "attribute": pl.String(),
        "score": pl.Float64(),
        "reasons": pl.String(),
    }
)
"""Suggestions. ``rank``: 1 is the best; ``score``: 0 to 1, six decimals; ``reasons``: separated by semicolons."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each kind of evidence counts.

    Attributes:
        name: words of the tag, and of attribute, avatar, model, description and unit.
        elsewhere: what tags of the same name stand for, at other sources and in this one; see also `_trust`.
        vacancy: whether the attribute has a tag already.
        unit: unit as delivered, and unit of the attribute.
        span: observed range, and plausible range.
        data_type: numbers or texts, as observed and as expected.
    """

    name: float = 4.0
    elsewhere: float = 4.0
    vacancy: float = 1.5
    unit: float = 1.0
    span: float = 0.5
    data_type: float = 1.0


DEFAULT_WEIGHTS: Final = Weights()

_BY_MEANING: Final = ("name", "elsewhere", "unit", "span", "data_type")
_EVIDENCE: Final = (*_BY_MEANING, "vacancy")
_MINIMUM_NAME: Final = 0.2
# The weight of a word times likeness times factor, both of them 100 at best.
_FULLY_SAID: Final = 100 * 100
_BEST_NAMES: Final = 200
_ROWS_AT_ONCE: Final = 500_000


def suggest(
    tags: pl.DataFrame,
    attributes: pl.DataFrame,
    bindings: pl.DataFrame,
    top: int = TOP,
    weights: Weights = DEFAULT_WEIGHTS,
) -> pl.DataFrame:
    """The best attributes for each unbound tag.

    Args:
        tags: frame as `TAGS` says; other columns are ignored, columns outside of the key may be missing.
        attributes: frame as `ATTRIBUTES` says, likewise.
        bindings: frame as `BINDINGS` says, likewise; avatar and attribute may not be missing.
        top: most suggestions per tag.
        weights: what counts how much.

    Returns:
        Frame as `SUGGESTIONS` says, by plant, source, tag and rank; equal scores by avatar and attribute. The
        order of the arguments' rows does not matter. A tag for which nothing scores `MINIMUM_SCORE` has no row.

    Raises:
        ValueError: a frame lacks a part of its key, has a null in it, or a key twice.
    """
    ground = ground_of(
        _conformed(tags, TAGS, "tags"),
        _conformed(attributes, ATTRIBUTES, "attributes"),
        _conformed(bindings, BINDINGS, "bindings"),
    )
    best = [_best(ground, chunk, weights).filter(pl.col("rank") <= top) for chunk in _chunks(ground)]
    return _with_reasons(ground, pl.concat(best)) if best else SUGGESTIONS.to_frame()


def _conformed(frame: pl.DataFrame, schema: pl.Schema, name: str) -> pl.DataFrame:
    """The columns of a schema, whose first three are the key, in order of the key.

    Raises:
        ValueError: see `suggest`.
    """
    key = schema.names()[:3]
    for column in key:
        if column not in frame.columns or frame[column].has_nulls():
            raise ValueError(f"frame of {name}: {column!r} is missing; each row needs {', '.join(key)}")
    result = frame.select(
        pl.col(column).cast(kind) if column in frame.columns else pl.lit(None, kind).alias(column)
        for column, kind in schema.items()
    )
    result = result.with_columns(
        pl.when(pl.col(column).is_finite()).then(column) for column, kind in schema.items() if kind == pl.Float64
    ).sort(key)
    twice = result.filter(pl.struct(key).is_duplicated())
    if not twice.is_empty():
        raise ValueError(f"frame of {name}: {' / '.join(twice.row(0)[:3])} is given more than once; keep one")
    return result


def _chunks(ground: Ground) -> Iterator[pl.DataFrame]:
    """The tags in parts that are compared at once, those of the same words together as far as possible."""
    hits = (
        ground.words.join(ground.likenesses, on="word")
        .join(ground.known_words.group_by("known_word").len("hits"), on="known_word")
        .group_by("words_no")
        .agg(pl.col("hits").sum().cast(pl.Int64))
    )
    rows = pl.col("hits").fill_null(0) + CANDIDATES
    numbered = (
        ground.tags.join(hits, on="words_no", how="left")
        .sort("words_no", "tag_no")
        .with_columns((rows.cum_sum() // _ROWS_AT_ONCE).alias("chunk"))
        .drop("hits")
    )
    yield from numbered.partition_by("chunk", include_key=False)


def _best(ground: Ground, tags: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    """The pairs of some tags, ranked, with all evidence."""
    pairs = _placed(ground, _rated(ground, tags, weights))
    score = _mean(weights, _EVIDENCE) * _factor() * (0.5 + 0.5 * pl.col("place"))
    return (
        pairs.with_columns(score.clip(0, 1).round(6).alias("score"))
        .filter(pl.col("score") >= MINIMUM_SCORE)
        .join(ground.attributes.select("attribute_no", "avatar", "attribute"), on="attribute_no")
        .sort("tag_no", "score", "avatar", "attribute", descending=[False, True, False, False])
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over("tag_no").alias("rank"))
    )


def _mean(weights: Weights, evidence: Iterable[str]) -> pl.Expr:
    """Weighted mean of the evidence that there is."""
    counts: dict[str, float] = asdict(weights)
    weighed = {e: counts[e] * (pl.col("trust") if e == "elsewhere" else pl.lit(1.0)) for e in evidence}
    known = pl.sum_horizontal(weight * pl.col(e).is_not_null() for e, weight in weighed.items())
    total = pl.sum_horizontal(weight * pl.col(e) for e, weight in weighed.items())
    return pl.when(known > 0).then(total / known).otherwise(0.0)


def _factor() -> pl.Expr:
    """What is left of a score where units contradict each other, or values are not what is expected."""
    unit = pl.when(pl.col("unit") == 0).then(0.2).otherwise(1.0)
    return unit * pl.when(pl.col("data_type") < 0.1).then(0.4).otherwise(1.0)


# --- evidence by name and value --------------------------------------------------------------------------


def _spoken(ground: Ground, tags: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    """Pairs of tags and meanings that names speak for, and how much; beyond `CANDIDATES` the best of them only."""
    asked = tags.select("words_no", "profile").unique()
    votes = _votes(ground, asked)
    found = (
        asked.join(_names(ground, asked), on="words_no")
        .join(_elsewhere(ground, votes), on=["words_no", "profile", "meaning_no"], how="full", coalesce=True)
        .join(_trust(votes), on=["words_no", "profile"], how="left")
        .with_columns(
            _name(pl.col("asked")).alias("name"),
            pl.when(pl.col("trust").is_not_null()).then(pl.col("elsewhere").fill_null(0.0)).alias("elsewhere"),
        )
    )
    sizes = ground.members.group_by("scope_no", "meaning_no").len("attributes")
    pairs = (
        tags.select("tag_no", "source_no", "words_no", "profile", "scope_no")
        .join(found, on=["words_no", "profile"])
        .join(sizes, on=["scope_no", "meaning_no"])
    )
    large = sizes.group_by("scope_no").agg(pl.col("attributes").sum()).filter(pl.col("attributes") > CANDIDATES)
    if large.is_empty():
        return pairs
    before = pl.col("attributes").cum_sum().over("tag_no") - pl.col("attributes")
    return (
        pairs.with_columns(_mean(weights, ("name", "elsewhere")).round(6).alias("mean"))
        .sort("tag_no", "mean", "meaning_no", descending=[False, True, False])
        .filter((before < _BEST_NAMES) | ~pl.col("scope_no").is_in(large["scope_no"].to_list()))
        .drop("mean")
    )


def _rated(ground: Ground, tags: pl.DataFrame, weights: Weights) -> pl.DataFrame:
    """Pairs of tags and meanings, with all evidence but that of the machine and of vacancy."""
    observed = tags.select(
        "tag_no", "unit", "minimum", "maximum", "numeric_share", "texts", "vectors", "instants", "booleans"
    )
    pairs = (
        _spoken(ground, tags, weights)
        .join(observed, on="tag_no")
        .join(ground.meanings.select("meaning_no", "data_type", "allowed"), on="meaning_no")
        .join(ground.meanings.select("meaning_no", "unit", "minimum", "maximum"), on="meaning_no", suffix="_due")
    )
    pairs = pairs.join(_unit_steps(pairs), on=["unit", "unit_due"], how="left", nulls_equal=True)
    return pairs.with_columns(
        pl.col("unit_fits").alias("unit"), _span().alias("span"), _data_type().alias("data_type")
    ).select(
        "tag_no",
        "source_no",
        "scope_no",
        "words_no",
        "profile",
        "meaning_no",
        "said",
        "asked",
        "mentioned",
        "trust",
        *_BY_MEANING,
    )


def _name(asked: pl.Expr) -> pl.Expr:
    """How alike names are: how much of the tag is found in the attribute, and how much of that in the tag."""
    said = (pl.col("said") / asked).clip(0, 1)
    return (0.65 * said + 0.35 * pl.col("mentioned")).fill_null(0.0)


def _names(ground: Ground, asked: pl.DataFrame) -> pl.DataFrame:
    """Meanings with words like those of a name: what of it is ``said``, of ``asked``, and how far ``mentioned``."""
    words = ground.words.join(asked, on="words_no", how="semi")
    hits = words.join(ground.likenesses, on="word").join(ground.known_words, on="known_word")
    pair = ["words_no", "meaning_no"]
    # Sums of integers are the same in any order.
    said = (
        hits.group_by(*pair, "word")
        .agg(pl.col("weight").first(), (pl.col("likeness") * pl.col("factor")).max().alias("best"))
        .group_by(pair)
        .agg((pl.col("weight") * pl.col("best")).sum().alias("said"))
    )
    mentioned = (
        hits.filter(pl.col("expected") > 0)
        .group_by(*pair, "known_word")
        .agg(pl.col("expected").first(), pl.col("likeness").max())
        .group_by(pair)
        .agg((pl.col("expected") * pl.col("likeness")).sum().alias("mentioned"))
    )
    whole = words.group_by("words_no").agg(pl.col("weight").sum().alias("asked") * _FULLY_SAID)
    expected = ground.known_words.group_by("meaning_no").agg(pl.col("expected").sum() * 100)
    share = pl.when(pl.col("expected") > 0).then(pl.col("mentioned").fill_null(0) / pl.col("expected")).otherwise(0.0)
    return (
        said.join(mentioned, on=pair, how="left")
        .join(whole, on="words_no")
        .join(expected, on="meaning_no")
        .select(*pair, "said", "asked", share.alias("mentioned"))
        .filter(_name(pl.col("asked")) >= _MINIMUM_NAME)
    )


def _votes(ground: Ground, asked: pl.DataFrame) -> pl.DataFrame:
    """Bound tags of the same name, by how much the profiles of their sources overlap; else those of the same shape."""
    return (
        asked.select("words_no", "profile")
        .unique()
        .join(ground.keys, on="words_no")
        .join(ground.usage, on=["key", "same_name"])
        .join(ground.overlaps, on=["profile", "sister_profile"], how="left")
        .with_columns((pl.col("tags") * pl.col("overlap").fill_null(1)).alias("votes"))
    )


def _elsewhere(ground: Ground, votes: pl.DataFrame) -> pl.DataFrame:
    """Meanings of attributes that bound tags of the same name, or of one of that shape, stand for.

    Of the votes of tags of the same name the share for an attribute of that name counts 0.6, that for one of a model
    of that name 0.25, and that for the avatar of that role 0.15. Tags of the same shape are of other avatars, and
    count for less: 0.42 for the attribute, 0.18 for the model.
    """
    asked = ["words_no", "profile"]
    found = (
        votes.join(ground.alike, on="attribute")
        .group_by(*asked, pl.col("known_attribute").alias("attribute"))
        .agg((pl.col("votes") * pl.col("likeness")).sum().alias("by_attribute"))
        .join(ground.meanings.select("meaning_no", "attribute", "model", "role"), on="attribute")
        .join(votes.group_by(*asked, "same_name").agg(pl.col("votes").sum()), on=asked)
    )
    for level in (["attribute", "model"], ["attribute", "model", "role"]):
        counted = votes.group_by(*asked, *level).agg(pl.col("votes").sum().alias("by_" + level[-1]))
        found = found.join(counted, on=[*asked, *level], how="left")
    attribute = pl.col("by_attribute") / (100 * pl.col("votes"))
    model, role = (pl.col(column).fill_null(0) / pl.col("votes") for column in ("by_model", "by_role"))
    same = 0.6 * attribute + 0.25 * model + 0.15 * role
    alike = 0.42 * attribute + 0.18 * model
    return found.select(*asked, "meaning_no", pl.when("same_name").then(same).otherwise(alike).alias("elsewhere"))


def _trust(votes: pl.DataFrame) -> pl.DataFrame:
    """How far what tags stand for elsewhere is to be trusted: fully where a source has exactly the same names.

    0.3 and 0.7 times the root of the largest overlap; for tags of the same shape 0.4.
    """
    same = 0.3 + 0.7 * (pl.col("overlap") / 1000).sqrt()
    return (
        votes.group_by("words_no", "profile")
        .agg(pl.col("overlap").max(), pl.col("same_name").first())
        .select("words_no", "profile", pl.when("same_name").then(same).otherwise(0.4).alias("trust"))
    )


def _unit_steps(pairs: pl.DataFrame) -> pl.DataFrame:
    """For each two units that meet: whether they fit, 0 to 1, and how to get from one to the other."""
    rows: list[tuple[str | None, str | None, float | None, float, float]] = []
    for delivered, due in pairs.select("unit", "unit_due").unique().iter_rows():
        fits, step = (None, IDENTITY) if delivered is None else _fit(delivered, due)
        rows.append((delivered, due, fits, step.factor, step.offset))
    schema = {"unit": pl.String, "unit_due": pl.String} | dict.fromkeys(("unit_fits", "factor", "offset"), pl.Float64)
    return pl.DataFrame(rows, schema, orient="row")


def _fit(delivered: str, due: str | None) -> tuple[float, Conversion]:
    if due is None or not is_readable(due):
        return 0.3, IDENTITY
    try:
        return (1.0 if delivered == due else 0.9), conversion(delivered, due)
    except UnitError:
        return 0.0, IDENTITY


def _span() -> pl.Expr:
    """Whether the smallest and the largest value lie in the plausible range; a half where there is none."""
    smallest, largest = (pl.col(end) * pl.col("factor") + pl.col("offset") for end in ("minimum", "maximum"))
    low = pl.col("minimum_due").fill_null(float("-inf"))
    high = pl.col("maximum_due").fill_null(float("inf"))
    inside = smallest.is_between(low, high).cast(pl.Int8) + largest.is_between(low, high).cast(pl.Int8)
    bounded = pl.col("minimum_due").is_not_null() | pl.col("maximum_due").is_not_null()
    known = pl.col("minimum").is_not_null() & pl.col("maximum").is_not_null()
    return pl.when(known & bounded).then(inside / 2).when(known).then(0.5)


def _data_type() -> pl.Expr:
    """How well observed values are of the attribute's type, or among the allowed ones; null without any."""
    kind = pl.col("data_type")
    numbers = pl.col("numeric_share").clip(0, 1)
    texts = 1 - numbers
    bits = pl.col("minimum").is_between(0, 1) & pl.col("maximum").is_between(0, 1)
    chosen = (pl.col("allowed").list.len() > 0) & (pl.col("texts").list.len() > 0)
    allowed = pl.col("texts").list.set_intersection("allowed").list.len() / pl.col("texts").list.n_unique()
    return (
        pl.when(numbers.is_null())
        .then(None)
        .when(kind.is_in(["double", "integer"]))
        .then(numbers)
        .when(kind == "boolean")
        .then(pl.when(bits).then(numbers).otherwise(0.0) + texts * pl.col("booleans"))
        .when(kind == "vector3")
        .then(texts * pl.col("vectors"))
        .when(kind == "timestamp")
        .then(texts * pl.col("instants"))
        .when(chosen)
        .then(allowed)
        # Line and tool numbers are texts too.
        .otherwise(1 - 0.6 * numbers)
    )


# --- evidence by machine and vacancy ---------------------------------------------------------------------


def _placed(ground: Ground, rated: pl.DataFrame) -> pl.DataFrame:
    """Pairs of tags and attributes, with the evidence of machine and vacancy."""
    pairs = (
        rated.join(ground.members, on=["scope_no", "meaning_no"])
        .join(ground.attributes.select("attribute_no", "machine_no"), on="attribute_no")
        .join(ground.places, on=["source_no", "machine_no"], how="left")
        .join(ground.named, on=["tag_no", "machine_no"], how="left")
        .join(ground.own_tags, on=["attribute_no", "source_no"], how="left")
        .join(ground.any_tags, on="attribute_no", how="left")
    )
    named = pl.col("named").fill_null(0) * _FULLY_SAID
    # Words that name the machine need not be found in the attribute.
    rest = pl.when(pl.col("asked") > named).then(pl.col("asked") - named).otherwise("asked")
    return pairs.with_columns(
        _name(rest).alias("name"),
        pl.max_horizontal(pl.col("place").fill_null(0.0), (pl.col("named") > 0).cast(pl.Float64)).alias("place"),
        pl.when(pl.col("own_tag").is_not_null())
        .then(0.0)
        .when(pl.col("any_tag").is_not_null())
        .then(0.3)
        .when(pl.col("silent_tag").is_not_null())
        .then(1.0)
        .otherwise(0.6)
        .alias("vacancy"),
    )


# --- reasons ---------------------------------------------------------------------------------------------


def _with_reasons(ground: Ground, best: pl.DataFrame) -> pl.DataFrame:
    """Suggestions from ranked pairs."""
    examples = (
        _votes(ground, best)
        .sort("overlap", "example", descending=[True, False], nulls_last=True)
        .with_columns(pl.col("tags").sum().over("words_no", "profile").alias("tags_alike"))
        .group_by("words_no", "profile", "attribute", maintain_order=True)
        .agg(pl.col("tags").sum().alias("tags_so"), pl.col("tags_alike", "same_name", "example").first())
    )
    observed = ground.tags.select(
        "tag_no", "plant", "source", "tag", "minimum", "maximum", "numeric_share", delivered="unit"
    )
    due = ground.meanings.select("meaning_no", "role", due_type="data_type", due="unit", low="minimum", high="maximum")
    rows = (
        best.join(observed, on="tag_no")
        .join(due, on="meaning_no")
        .join(examples, on=["words_no", "profile", "attribute"], how="left")
        .sort("tag_no", "rank")
    )
    reasons = ["; ".join(_reasons(row)) for row in rows.iter_rows(named=True)]
    return rows.with_columns(pl.Series("reasons", reasons, pl.String)).select(SUGGESTIONS.names())


def _reasons(row: dict[str, Any]) -> Iterator[str]:
    """What speaks for and against a pair."""
    yield from _reasons_by_name(row)
    yield from _reasons_by_machine(row)
    yield from _reasons_by_values(row)


def _reasons_by_name(row: dict[str, Any]) -> Iterator[str]:
    if row["tags_so"]:
        what = "tags of this name" if row["same_name"] else "tags of a name of this shape"
        yield f"{row['tags_so']} of {row['tags_alike']} {what} stand for {row['attribute']!r}, as {row['example']!r}"
    elif row["elsewhere"]:
        yield "bound tags of such a name stand for attributes spelled like it"
    elif row["elsewhere"] == 0:
        yield "bound tags of such a name stand for something else"
    yield f"the name is {row['name']:.0%} like {row['attribute']!r} of {row['avatar']!r}"


def _reasons_by_machine(row: dict[str, Any]) -> Iterator[str]:
    if row["named"]:
        yield "the tag names the machine"
    elif row["tags_there"]:
        yield f"{row['tags_there']} of {row['tags_bound']} bound tags of the source go to this machine"
    elif row["alike"]:
        yield "the source is named like the machine"
    else:
        yield "nothing ties the tag to this machine"
    if row["own_tag"]:
        yield f"already bound to tag {row['own_tag']!r} of this source"
    elif row["any_tag"]:
        yield f"already bound to {row['any_tag']!r}"
    elif row["silent_tag"]:
        yield f"its tag {row['silent_tag']!r} of this source has fallen silent, maybe renamed"


def _reasons_by_values(row: dict[str, Any]) -> Iterator[str]:
    match row["unit"]:
        case None:
            pass
        case 1.0:
            yield f"unit {row['due']!r}"
        case 0.9:
            yield f"unit {row['delivered']!r} converts to {row['due']!r}"
        case 0.0:
            yield f"unit {row['delivered']!r} contradicts {row['due']!r}"
        case _:
            yield f"unit {row['delivered']!r} meets {'no unit' if row['due'] is None else repr(row['due'])}"
    if row["span"] is not None and not row["low"] is row["high"] is None:
        where = {1.0: "in", 0.5: "partly in", 0.0: "out of"}[row["span"]]
        low, high = ("any" if bound is None else f"{bound:g}" for bound in (row["low"], row["high"]))
        yield f"values {row['minimum']:g} to {row['maximum']:g} are {where} the range {low} to {high}"
    if row["data_type"] is not None:
        yield f"{row['numeric_share']:.0%} of the values are numbers, {row['due_type']} is expected"
