"""Bindings by pattern: one rule stands for the tags of many avatars.

A rule is turned around to make bindings: the fields of its avatar pattern are read from the avatars that there
are and put into the patterns of source and tag, for every attribute of the avatar's model. So what a rule binds
follows from the configuration alone, also for tags that were never heard.

Belongs here: rules as queries, and what a rule would bind of the tags that are known. Does not belong here: the
shape of rules (`configuration`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from idm_assets.referential.configuration import BindingRule, PlantDocument, pattern_parts
from idm_assets.referential.statements import ALWAYS, FOREVER
from idm_assets.sql import identifier, literal

RULE_PREFIX = "rule "
"""What ``said_by`` starts with for a binding that a rule made."""


@dataclass(frozen=True, slots=True)
class PlacedBindingRule:
    """A rule with its plant and the ``file:line`` where it stands."""

    plant: str
    rule: BindingRule
    place: str


def rules_of(documents: Sequence[PlantDocument]) -> tuple[PlacedBindingRule, ...]:
    """All binding rules of some documents."""
    return tuple(
        PlacedBindingRule(document.value.plant, rule, document.place("binding_rules", i))
        for document in documents
        for i, rule in enumerate(document.value.binding_rules)
    )


def bindings_of(placed: PlacedBindingRule, avatars: str, attributes: str) -> str:
    """Query for the bindings that a rule makes, in the columns of the working table ``bindings``.

    Args:
        placed: the rule.
        avatars: table of avatars with ``valid_from`` and ``valid_to`` that are never NULL.
        attributes: table with the columns of `model_attributes`.
    """
    rule = placed.rule
    conditions = [f"plant = {literal(placed.plant)}"]
    if rule.model is not None:
        conditions.append(f"model GLOB {literal(rule.model)}")
    fields = "NULL"
    if rule.avatar != "{avatar}":
        regex, names = _regex(rule.avatar)
        conditions.append(f"regexp_full_match(avatar, {literal(regex)})")
        listed = ", ".join(map(literal, names))
        fields = f"regexp_extract(avatar, {literal(f'^(?:{regex})$')}, [{listed}])" if names else "NULL"
    called = "m.attribute"
    joined = f"JOIN {attributes} m ON m.model = a.model AND m.version = a.model_version"
    if rule.attributes:
        values = ", ".join(f"({literal(ours)}, {literal(theirs)})" for ours, theirs in rule.attributes.items())
        joined += f" JOIN (VALUES {values}) AS n(attribute, called) ON n.attribute = m.attribute"
        called = "n.called"
    start = ALWAYS if rule.valid_from is None else literal(rule.valid_from)
    end = FOREVER if rule.valid_to is None else literal(rule.valid_to)
    return (
        f"SELECT a.plant, {_text(rule.source, called)} AS source, {_text(rule.tag, called)} AS tag, a.avatar,"
        f" m.attribute, {literal(rule.unit)} AS delivered_unit, {literal(rule.scale)} AS scale,"
        f" {literal(rule.offset)} AS shift, {literal(RULE_PREFIX + rule.name)} AS said_by,"
        f" greatest(a.valid_from, {start}) AS valid_from, least(a.valid_to, {end}) AS valid_to,"
        f" {literal(placed.place)} AS origin, NULL::BIGINT AS row"
        f" FROM (SELECT *, {fields} AS fields FROM {avatars} WHERE {' AND '.join(conditions)}) a {joined}"
        f" WHERE a.valid_from < {end} AND a.valid_to > {start}"
    )


def dry_run(
    con: duckdb.DuckDBPyConnection, bindings: str, known_tags: str
) -> tuple[list[tuple[str, str, str, str]], int]:
    """What bindings made by a rule would do for the tags that were heard.

    Args:
        con: connection.
        bindings: query as `bindings_of` makes it.
        known_tags: query with ``plant, source, tag`` of every tag that was heard.

    Returns:
        ``source, tag, avatar, attribute`` of the known tags that would be bound, sorted, and how many bindings are
        for tags that were never heard.
    """
    bound = con.sql(
        f"SELECT DISTINCT b.source, b.tag, b.avatar, b.attribute FROM ({bindings}) b"
        f" SEMI JOIN ({known_tags}) k USING (plant, source, tag) ORDER BY ALL"
    ).fetchall()
    unheard = con.sql(
        f"SELECT count(*) FROM ({bindings}) b ANTI JOIN ({known_tags}) k USING (plant, source, tag)"
    ).fetchall()[0][0]
    return bound, unheard


def _regex(pattern: str) -> tuple[str, list[str]]:
    """Regular expression (RE2) of a pattern, and the names of its groups."""
    parts: list[str] = []
    names: list[str] = []
    for text, field in pattern_parts(pattern):
        parts.append("".join(c if c.isalnum() and c.isascii() else rf"\x{{{ord(c):x}}}" for c in text))
        if field is not None:
            parts.append("(.+?)")
            names.append(field)
    return "".join(parts), names


def _text(pattern: str, called: str) -> str:
    """SQL expression that fills a pattern for an avatar ``a`` and one attribute."""
    known = {
        "attribute": called, "avatar": "a.avatar", "name": "a.name",
        "equipment": "split_part(a.equipment_path, '/', -1)",
    }  # fmt: skip
    parts: list[str] = []
    for text, field in pattern_parts(pattern):
        if text:
            parts.append(literal(text))
        if field is not None:
            parts.append(known.get(field) or f"a.fields.{identifier(field)}")
    return " || ".join(parts) or "''"
