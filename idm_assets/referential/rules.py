"""Plausibility rules: ``config/rules/*.yaml``, ranges that values of an attribute must lie in.

Belongs here: the shape of the rules, which of them holds for an attribute, and their units. Does not belong
here: what is done with a value out of range (the cleaned layer marks it, and keeps it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from idm_assets.configuration import ConfigurationError, load_folder
from idm_assets.referential.description import NUMERIC
from idm_assets.referential.units import UnitError, check_symbol, conversion

FOLDER: Final = "rules"

Glob = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(check_symbol)]


class Match(BaseModel):
    """What a rule is about: all globs given must match (``*``, ``?``, ``[...]`` as wildcards)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plant: Glob | None = None
    model: Glob | None = None
    attribute: Glob | None = None
    avatar: Glob | None = None
    kind: Glob | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        if not self.model_fields_set:
            raise ValueError("expected at least one of plant, model, attribute, avatar, kind")
        return self


class Rule(BaseModel):
    """A range for numeric attributes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]{0,62}$", description="Recorded with every signal it holds for.")
    description: str | None = Field(default=None, max_length=2000, description="Why the range is what it is.")
    match: Match = Field(description="What the rule is about.")
    minimum: float | None = Field(default=None, allow_inf_nan=False, description="Smallest plausible value.")
    maximum: float | None = Field(default=None, allow_inf_nan=False, description="Largest plausible value.")
    unit: Unit | None = Field(default=None, description="Unit of the bounds; none: the attribute's own.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Rule:
        if self.minimum is None and self.maximum is None:
            raise ValueError("expected a minimum, a maximum or both")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"expected minimum <= maximum, got {self.minimum} > {self.maximum}")
        return self


class RulesConfiguration(BaseModel):
    """Rules, in rising order of precedence: of those that match, the last one holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: list[Rule] = Field(description="Later rules win over earlier ones, later files over earlier ones.")


@dataclass(frozen=True, slots=True)
class PlacedRule:
    """A rule and the ``file:line`` where it stands."""

    rule: Rule
    place: str


@dataclass(frozen=True, slots=True)
class Subject:
    """What a rule may hold for; without plant and avatars it is an attribute of a data model at large.

    ``avatar_globs`` are those patterns for avatars, of all that rules have, which the avatars in question match.
    """

    model: str
    attribute: str
    kind: str
    data_type: str
    unit: str | None
    plant: str | None = None
    avatar_globs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds, inclusive, and the name of the rule that set them."""

    minimum: float | None
    maximum: float | None
    rule: str


def read_rules(config_folder: Path) -> tuple[PlacedRule, ...]:
    """Read ``rules/*.yaml`` of a configuration folder, in order of precedence; none without such a folder.

    Raises:
        ConfigurationError: with all problems of all files.
    """
    if not (config_folder / FOLDER).is_dir():
        return ()
    placed: dict[str, PlacedRule] = {}
    problems: list[str] = []
    for document in load_folder(config_folder / FOLDER, RulesConfiguration):
        for i, rule in enumerate(document.value.rules):
            if rule.name in placed:
                problems.append(
                    document.problem(
                        ("rules", i, "name"),
                        f"name {rule.name!r} is already taken at {placed[rule.name].place}",
                    )
                )
            placed[rule.name] = PlacedRule(rule, document.place("rules", i))
    if problems:
        raise ConfigurationError(problems)
    return tuple(placed.values())


def range_of(rules: Sequence[PlacedRule], subject: Subject) -> Range | None:
    """The range that holds for an attribute, in its canonical unit; None if no rule matches.

    Ranges are for numbers: nothing matches an attribute of another data type.

    Raises:
        ConfigurationError: the unit of the rule contradicts the attribute's.
    """
    holding = next((placed for placed in reversed(rules) if matches(placed.rule.match, subject)), None)
    if holding is None:
        return None
    rule = holding.rule
    try:
        step = conversion(rule.unit or subject.unit, subject.unit)
    except UnitError as error:
        about = f"{subject.model}.{subject.attribute}"
        raise ConfigurationError(
            [f"{holding.place}: rule {rule.name!r} does not fit attribute {about}: {error}; narrow its match"]
        ) from None
    low, high = (None if b is None else b * step.factor + step.offset for b in (rule.minimum, rule.maximum))
    return Range(low, high, rule.name)


def matches(match: Match, subject: Subject) -> bool:
    """Whether all patterns of a match fit; a pattern for what the subject leaves open does not."""
    if subject.data_type not in NUMERIC:
        return False
    pairs = (
        (match.plant, subject.plant),
        (match.model, subject.model),
        (match.attribute, subject.attribute),
        (match.kind, subject.kind),
    )
    if match.avatar is not None and match.avatar not in subject.avatar_globs:
        return False
    return all(pattern is None or (text is not None and fnmatchcase(text, pattern)) for pattern, text in pairs)


def idle_rules(rules: Iterable[PlacedRule], subjects: Sequence[Subject]) -> list[str]:
    """One remark per rule that matches none of the subjects, as a misspelt pattern does."""
    return [
        f"{placed.place}: rule {placed.rule.name!r} matches no numeric attribute; check its patterns"
        for placed in rules
        if not any(matches(placed.rule.match, subject) for subject in subjects)
    ]
