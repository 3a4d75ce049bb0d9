"""What unbound tags are compared with: tags, attributes and bindings as numbered frames.

Belongs here: words, machines, scopes, and what bindings say of names of tags. Does not belong here: the words of a
name (`tag_words`), evidence and scores (`suggestions`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import polars as pl
from rapidfuzz import fuzz, process

from idm_assets.referential.tag_words import is_index, likenesses, runs, shape, weight, without_prefix, words_of
from idm_assets.referential.units import UnitError, check_symbol

CANDIDATES: Final = 2_000

_MAX_TEXTS: Final = 20
_LONGEST_PART: Final = 4
_VECTOR: Final = re.compile(r"\s*[-+.\deE]+(?:\s+[-+.\deE]+){2}\s*", re.ASCII)
_INSTANT: Final = re.compile(r"\s*\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?", re.ASCII)
_BOOLEAN: Final = re.compile(r"\s*(?:true|false|on|off|yes|no|0|1)\s*", re.IGNORECASE)

_SOURCE: Final = ("plant", "source")
_USE: Final = ("attribute", "model", "role")
_MEANING: Final = (
    "attribute",
    "model",
    "role",
    "part",
    "data_type",
    "unit",
    "minimum",
    "maximum",
    "allowed_key",
    "description",
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What all tags are compared with. Names and things are integer keys here, numbered in the order of names.

    A meaning is all that is known of an attribute apart from the machine that it is of: machines of one kind share
    their meanings, and these are compared once.

    Attributes:
        tags: unbound tags with ``tag_no``, ``words_no``, ``source_no``, ``profile`` and ``scope_no``, and what share
            of their texts are ``vectors``, ``instants`` and ``booleans``.
        words: words of tags with their ``weight``, a row per ``words_no`` and ``word``.
        keys: per ``words_no`` the ``key`` under which bound tags of the ``same_name``, or of one of that shape, are
            found in ``usage``.
        likenesses: which ``word`` is like which ``known_word``.
        meanings: by ``meaning_no``.
        known_words: words of meanings, a row per ``meaning_no`` and ``known_word``; see `_words_of_meanings`.
        attributes: by ``attribute_no``, with ``meaning_no`` and ``machine_no``.
        members: attributes that the tags with a ``scope_no`` choose from.
        places: how much speaks for the machine ``machine_no`` where a tag comes from ``source_no``; see `_places`.
        named: machines that a tag names, with the weight of these words as ``named``.
        usage: what bound ``tags`` stand for, by ``key``, and for the same name by ``sister_profile``.
        overlaps: how many in a thousand of their names two profiles have in common.
        alike: how much being bound to ``attribute`` speaks for ``known_attribute``, 0 to 100.
        own_tags: tag of ``source_no`` that an attribute has already: ``own_tag``, and one that is ``silent_tag``.
        any_tags: a tag that an attribute has already, of whatever source.
    """

    tags: pl.DataFrame
    words: pl.DataFrame
    keys: pl.DataFrame
    likenesses: pl.DataFrame
    meanings: pl.DataFrame
    known_words: pl.DataFrame
    attributes: pl.DataFrame
    members: pl.DataFrame
    places: pl.DataFrame
    named: pl.DataFrame
    usage: pl.DataFrame
    overlaps: pl.DataFrame
    alike: pl.DataFrame
    own_tags: pl.DataFrame
    any_tags: pl.DataFrame


def ground_of(tags: pl.DataFrame, attributes: pl.DataFrame, bindings: pl.DataFrame) -> Ground:
    """The ground for frames with all columns that `suggestions` asks for, each sorted by its key."""
    machines = _machines(attributes)
    attributes, meanings = _with_meanings(attributes, machines)
    bindings = _described(bindings, attributes, meanings)
    tags, bindings, overlaps = _with_profiles(_with_words(tags), bindings)
    places, named = _places(tags, machines, bindings), _named(tags, machines)
    tags, members = _with_scope(tags, attributes, places, named)
    words, known_words = _words_of_tags(tags), _words_of_meanings(meanings)
    vocabularies = words["word"].unique().to_list(), known_words["known_word"].unique().to_list()
    return Ground(
        tags=tags,
        words=words,
        keys=_keys(tags, bindings),
        likenesses=pl.DataFrame(
            list(likenesses(*vocabularies)),
            {"word": pl.String, "known_word": pl.String, "likeness": pl.Int64},
            orient="row",
        ),
        meanings=meanings,
        known_words=known_words,
        attributes=attributes,
        members=members,
        places=places,
        named=named,
        usage=_usage(bindings),
        overlaps=overlaps,
        alike=_alike(bindings, meanings),
        own_tags=_own_tags(tags, bindings),
        any_tags=bindings.filter(~pl.col("silent"))
        .drop_nulls("attribute_no")
        .group_by("attribute_no")
        .agg(pl.col("example").min().alias("any_tag")),
    )


def is_readable(unit: str) -> bool:
    """Whether a unit can be compared with others."""
    try:
        check_symbol(unit)
    except UnitError:
        return False
    return True


# --- tags ------------------------------------------------------------------------------------------------


def _with_words(tags: pl.DataFrame) -> pl.DataFrame:
    """Tags with their words, with units that can be read only, and with what their texts look like."""
    texts: list[list[str]] = [[text for text in entry or () if text][:_MAX_TEXTS] for entry in tags["texts"].to_list()]
    units = [unit for unit in tags["unit"].drop_nulls().unique() if is_readable(unit)]
    return (
        tags.with_row_index("tag_no")
        .with_columns(
            pl.struct(_SOURCE).rank("dense").alias("source_no"),
            *_spelled(tags),
            pl.Series("texts", texts, pl.List(pl.String)),
            pl.Series("vectors", [_share(_VECTOR, entry) for entry in texts], pl.Float64),
            pl.Series("instants", [_share(_INSTANT, entry) for entry in texts], pl.Float64),
            pl.Series("booleans", [_share(_BOOLEAN, entry) for entry in texts], pl.Float64),
            pl.when(pl.col("unit").is_in(units)).then("unit"),
        )
        .with_columns(pl.col("word_key").rank("dense").alias("words_no"))
    )


def _spelled(tags: pl.DataFrame) -> tuple[pl.Series, pl.Series, pl.Series]:
    """Words of tags, without the name of their source in front of them; the key that they make; their shape."""
    words: list[tuple[str, ...]] = []
    for source, tag in tags.select("source", "tag").iter_rows():
        own = words_of(tag)
        words.append(without_prefix(own, words_of(source)) or own)
    return (
        pl.Series("words", words, pl.List(pl.String)),
        pl.Series("word_key", [" ".join(w) for w in words], pl.String),
        pl.Series("shape", [shape(w) for w in words], pl.String),
    )


def _share(pattern: re.Pattern[str], texts: list[str]) -> float:
    return sum(pattern.fullmatch(text) is not None for text in texts) / len(texts) if texts else 0.0


def _words_of_tags(tags: pl.DataFrame) -> pl.DataFrame:
    words = tags.select("words_no", pl.col("words").alias("word")).unique("words_no").explode("word")
    words = words.drop_nulls().unique()
    return words.with_columns(pl.Series("weight", [weight(word) for word in words["word"]], pl.Int64))


# --- attributes ------------------------------------------------------------------------------------------


def _machines(attributes: pl.DataFrame) -> pl.DataFrame:
    """Equipment elements that avatars belong to, with the words of their own names."""
    machines = attributes.select("plant", "equipment_path").unique().sort("plant", "equipment_path", nulls_last=True)
    words = [words_of((path or "").rpartition("/")[2]) for path in machines["equipment_path"]]
    return machines.with_row_index("machine_no").with_columns(
        pl.Series("machine_words", words, pl.List(pl.String)),
        pl.Series("machine_key", [" ".join(w) for w in words], pl.String),
    )


def _with_meanings(attributes: pl.DataFrame, machines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Attributes with the numbers of machine and meaning; and the meanings.

    An avatar's role and part are the words of its name and of its identifier without the machine's name before them.
    """
    placed = attributes.join(machines, on=["plant", "equipment_path"], nulls_equal=True)
    rows = placed.select("avatar_name", "avatar", "machine_words").iter_rows()
    names = [(_bare(name or "", machine), _part(avatar, machine)) for name, avatar, machine in rows]
    described = placed.with_columns(
        pl.Series("role", [" ".join(role) for role, _ in names], pl.String),
        pl.Series("part", [" ".join(part) for _, part in names], pl.String),
        pl.col("allowed").list.sort().list.join("\x1f").alias("allowed_key"),
    )
    meanings = (
        described.select(*_MEANING, "allowed")
        .unique(_MEANING)
        .sort(_MEANING, nulls_last=True)
        .with_row_index("meaning_no")
    )
    numbered = described.join(meanings.drop("allowed"), on=_MEANING, nulls_equal=True).select(
        "plant", "avatar", "attribute", "machine_no", "meaning_no"
    )
    return numbered.sort("plant", "avatar", "attribute").with_row_index("attribute_no"), meanings


def _bare(name: str, machine: list[str]) -> tuple[str, ...]:
    return without_prefix(words_of(name.rpartition("/")[2]), tuple(machine))


def _part(avatar: str, machine: list[str]) -> tuple[str, ...]:
    """Words of an identifier; none of a long one such as a UUID, which is no name."""
    words = _bare(avatar, machine)
    return words if len(words) <= _LONGEST_PART else ()


def _words_of_meanings(meanings: pl.DataFrame) -> pl.DataFrame:
    """Words by which an attribute is found, with how much they count.

    ``factor``: how far a word that is found counts as said, 0 to 100: fully in the attribute's name, less in the
    name of the avatar, least in its identifier, description, model and unit; but axis letters and numbers tell
    avatars apart, and count fully there. ``expected``: how much lacks where no word of the tag is like it.
    """
    rows: list[tuple[int, str, int, int]] = []
    columns = ("meaning_no", "attribute", "role", "part", "description", "model", "unit")
    for number, attribute, role, part, *others in meanings.select(columns).iter_rows():
        found = {word: (60, 0) for other in others for word in words_of(other or "")}
        found |= {word: (80 if is_index(word) else 100, weight(word)) for word in words_of(attribute)}
        for words, plain, index, lacks in ((part, 60, 90, 0), (role, 90, 100, 3)):
            for word in words.split():
                factor, expected = found.get(word, (0, 0))
                own = (index, lacks) if is_index(word) else (plain, 0)
                found[word] = (max(factor, own[0]), max(expected, own[1]))
        rows += [(number, word, *counts) for word, counts in found.items()]
    schema = {"meaning_no": pl.UInt32, "known_word": pl.String, "factor": pl.Int64, "expected": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


# --- bindings --------------------------------------------------------------------------------------------


def _described(bindings: pl.DataFrame, attributes: pl.DataFrame, meanings: pl.DataFrame) -> pl.DataFrame:
    """Bindings with what is known of their attributes, null where these are not in force."""
    return (
        bindings.with_columns(
            *_spelled(bindings),
            pl.col("silent").fill_null(value=False),
            pl.format("{}/{}", "source", "tag").alias("example"),
        )
        .join(attributes, on=["plant", "avatar", "attribute"], how="left")
        .join(meanings.select("meaning_no", "model", "role"), on="meaning_no", how="left")
    )


def _with_profiles(tags: pl.DataFrame, bindings: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Tags and bindings with the profile of their source, and the overlaps of profiles.

    A profile is the set of names that a source delivers, bound or not; sister machines have much the same.
    """
    names = pl.concat([frame.select(*_SOURCE, "word_key") for frame in (tags, bindings)]).unique()
    profiles = (
        names.group_by(_SOURCE)
        .agg(pl.col("word_key").sort().str.join("\n").alias("names"))
        .select(*_SOURCE, pl.col("names").rank("dense").alias("profile"))
    )
    in_profile = names.join(profiles, on=_SOURCE).select("profile", "word_key").unique()
    sized = in_profile.with_columns(pl.len().over("profile").cast(pl.Int64).alias("size"))
    tags, bindings = tags.join(profiles, on=_SOURCE), bindings.join(profiles, on=_SOURCE)
    common = (
        sized.join(tags, on="profile", how="semi")
        .join(sized.join(bindings, on="profile", how="semi"), on="word_key", suffix="_sister")
        .group_by("profile", pl.col("profile_sister").alias("sister_profile"), "size", "size_sister")
        .agg(pl.len().cast(pl.Int64).alias("common"))
    )
    of_both = pl.col("size") + pl.col("size_sister") - pl.col("common")
    overlap = (1000 * pl.col("common") // of_both).clip(1).alias("overlap")
    return tags, bindings, common.select("profile", "sister_profile", overlap)


def _keys(tags: pl.DataFrame, bindings: pl.DataFrame) -> pl.DataFrame:
    """Keys of names of tags: all their words where a bound tag has the same, else their shape where one has that."""
    same, alike = (
        pl.col(column).is_in(bindings[column].unique().to_list()) & (pl.col(column) != "")
        for column in ("word_key", "shape")
    )
    key = pl.when(same).then("word_key").when(alike).then("shape").alias("key")
    return tags.unique("words_no").select("words_no", key, same.alias("same_name")).drop_nulls()


def _usage(bindings: pl.DataFrame) -> pl.DataFrame:
    """What bound tags stand for, counted by name and profile, and by shape."""
    by_name = bindings.select(*_USE, "example", key="word_key", same_name=pl.lit(value=True), sister_profile="profile")
    by_shape = bindings.select(
        *_USE, "example", key="shape", same_name=pl.lit(value=False), sister_profile=pl.lit(None, pl.UInt32)
    )
    return (
        pl.concat([by_name, by_shape], how="diagonal")
        .filter(pl.col("key") != "")
        .group_by("key", "same_name", "sister_profile", *_USE)
        .agg(pl.len().cast(pl.Int64).alias("tags"), pl.col("example").min())
    )


def _alike(bindings: pl.DataFrame, meanings: pl.DataFrame) -> pl.DataFrame:
    """How much being bound to an attribute speaks for it, and for others whose names are spelled much like it.

    Attributes are renamed from one version of a model to the next, and differ a little from model to model.
    """
    known = meanings["attribute"].unique().sort().to_list()
    rows = [
        (bound, other, 100 if bound == other else int(ratio * 0.6))
        for bound in bindings["attribute"].unique().sort()
        for other, ratio, _ in process.extract(bound, known, scorer=fuzz.ratio, score_cutoff=75, limit=None)
    ]
    schema = {"attribute": pl.String, "known_attribute": pl.String, "likeness": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


def _own_tags(tags: pl.DataFrame, bindings: pl.DataFrame) -> pl.DataFrame:
    return (
        bindings.drop_nulls("attribute_no")
        .join(tags.select(*_SOURCE, "source_no").unique(), on=_SOURCE)
        .group_by("attribute_no", "source_no")
        .agg(
            pl.col("tag").filter(~pl.col("silent")).min().alias("own_tag"),
            pl.col("tag").filter("silent").min().alias("silent_tag"),
        )
    )


# --- machines and scope ----------------------------------------------------------------------------------


def _places(tags: pl.DataFrame, machines: pl.DataFrame, bindings: pl.DataFrame) -> pl.DataFrame:
    """How much speaks for a machine where a tag comes from a source, 0 to 1, as ``place``.

    Where ``tags_there`` of the ``tags_bound`` of the source go to the machine: 0.4, and 0.6 times their share. Where
    the source's name contains that of the machine: 0.9 times its share of the words, as ``alike``.
    """
    sources = tags.select(*_SOURCE, "source_no").unique()
    going = (
        bindings.drop_nulls("machine_no")
        .join(sources, on=_SOURCE)
        .group_by("source_no", "machine_no")
        .agg(pl.len().alias("tags_there"))
        .with_columns(pl.col("tags_there").sum().over("source_no").alias("tags_bound"))
    )
    named = [
        (number, plant, " ".join(run), 0.9 * len(run) / len(words_of(source)))
        for plant, source, number in sources.iter_rows()
        for run in runs(words_of(source))
    ]
    schema = {"source_no": pl.UInt32, "plant": pl.String, "machine_key": pl.String, "alike": pl.Float64}
    namesakes = (
        pl.DataFrame(named, schema, orient="row")
        .join(machines, on=["plant", "machine_key"])
        .group_by("source_no", "machine_no")
        .agg(pl.col("alike").max())
    )
    share = 0.4 + 0.6 * pl.col("tags_there") / pl.col("tags_bound")
    return going.join(namesakes, on=["source_no", "machine_no"], how="full", coalesce=True).with_columns(
        pl.max_horizontal(share, "alike").alias("place")
    )


def _named(tags: pl.DataFrame, machines: pl.DataFrame) -> pl.DataFrame:
    """Machines whose names are found in a tag's, as in ``Mazak03_Xload``, with the weight of these words."""
    rows = [
        (number, plant, " ".join(run), sum(map(weight, run)))
        for number, plant, words in tags.select("tag_no", "plant", "words").iter_rows()
        for run in runs(tuple(words))
    ]
    schema = {"tag_no": pl.UInt32, "plant": pl.String, "machine_key": pl.String, "named": pl.Int64}
    return (
        pl.DataFrame(rows, schema, orient="row")
        .join(machines, on=["plant", "machine_key"])
        .group_by("tag_no", "machine_no")
        .agg(pl.col("named").max())
    )


def _with_scope(
    tags: pl.DataFrame, attributes: pl.DataFrame, places: pl.DataFrame, named: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Tags with the scope that they choose from, and the attributes in each scope.

    The scope is the whole plant if it has at most `CANDIDATES` attributes; else the machines that the tag names, and
    those that speak for its source if these have at most as many; without either the whole plant again. Of a meaning
    that more than `CANDIDATES` machines of a scope share, the first ones are in it.
    """
    large = attributes.group_by("plant").len().filter(pl.col("len") > CANDIDATES)
    sizes = attributes.group_by("machine_no").len("attributes")
    near = places.join(sizes, on="machine_no").filter(pl.col("attributes").sum().over("source_no") <= CANDIDATES)
    choices = (
        tags.select("tag_no", "source_no", "plant")
        .join(large, on="plant", how="semi")
        .join(near.group_by("source_no").agg(near="machine_no"), on="source_no", how="left")
        .join(named.group_by("tag_no").agg(named="machine_no"), on="tag_no", how="left")
        .select("tag_no", pl.concat_list(pl.col("near", "named").fill_null([])).list.unique().list.sort().alias("near"))
        .filter(pl.col("near").list.len() > 0)
        .with_columns(pl.col("near").cast(pl.List(pl.String)).list.join(" ").alias("scope"))
    )
    whole_plant = pl.format("plant {}", "plant")
    tags = tags.join(choices.select("tag_no", "scope"), on="tag_no", how="left").with_columns(
        pl.col("scope").fill_null(whole_plant)
    )
    scopes = tags.select("scope").unique().sort("scope").with_row_index("scope_no")
    near_members = choices.unique("scope").explode("near").join(attributes, left_on="near", right_on="machine_no")
    members = pl.concat(
        [
            near_members.select("scope", "meaning_no", "attribute_no"),
            attributes.select(whole_plant.alias("scope"), "meaning_no", "attribute_no"),
        ]
    )
    first = pl.col("attribute_no").rank("ordinal").over("scope_no", "meaning_no") <= CANDIDATES
    return tags.join(scopes, on="scope"), members.join(scopes, on="scope").drop("scope").filter(first)
