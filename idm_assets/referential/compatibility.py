"""What changed between two versions of a data model, and whether the change is compatible.

The rule behind the table: a change is compatible if everything that was valid under the former model is valid
under the new one, means the same there, and may be handled with the same care. Compatible changes raise the minor
version, breaking ones the major version (https://semver.org). Version 0 is no exception, since tables are filled
from it like from any other.

==================  ==============================================  ========================================
what                compatible                                      breaking
==================  ==============================================  ========================================
attribute           added, optional                                 removed; added, required
data_type           integer becomes double                          any other change
kind                                                                any change
unit                the same unit written otherwise                 another unit, given or withdrawn
range               widened, withdrawn                              narrowed or moved on either side
allowed             values added, order changed, list withdrawn     values removed, list given
key                                                                 any change
required            required becomes optional                       optional becomes required
hold                                                                any change
pii                 a class that asks for less protection           a class that asks for more: readers that
                                                                    show or keep the values must change first
sampling, cadence,  any change: how often a source reports does
deadband            not change what a value means
semantic_id         given                                           another one, withdrawn: another meaning
description         any change
inherited_from      any change: the attributes are compared one
                    by one, wherever they come from
==================  ==============================================  ========================================

Of the model itself, name and kind must stay, semantic_id is judged as above, and description, business object,
owner and extends may change.

Compatibility is transitive: neighbouring versions are compared, and that is enough.

Belongs here: semantic versions, the comparison of models, which changes are refused. Does not belong here: reading
models, remembering what is in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, get_args

from idm_assets.referential.description import Attribute, Model, Pii
from idm_assets.referential.units import IDENTITY, UnitError, conversion

Numbers = tuple[int, int, int]

MAX_REASONS: Final = 5
MAX_SHOWN: Final = 200
VERSION: Final = r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
_PII_CLASSES: Final[tuple[str, ...]] = get_args(Pii)
_Field = tuple[str, str | None, str | None, bool]


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two models.

    Attributes:
        attribute: name of the attribute; None: it is about the model itself.
        what: the field that differs, as in the files of models; ``attribute`` where it came or went.
        former: what it was, as text; None: nothing.
        new: what it is, as text; None: nothing.
        breaking: whether it needs a new major version.
        sentence: all this for people.
    """

    attribute: str | None
    what: str
    former: str | None
    new: str | None
    breaking: bool
    sentence: str


# --- versions --------------------------------------------------------------------------------------------


def version_numbers(version: str) -> Numbers:
    """Major, minor and patch number of a version such as ``1.2.0``.

    Raises:
        ValueError: it is not of this form.
    """
    match = re.fullmatch(VERSION, version)
    if match is None:
        raise ValueError("expected a version like 1.2.0: MAJOR.MINOR.PATCH, without leading zeros")
    return int(match[1]), int(match[2]), int(match[3])


def next_version(version: str, changes: Iterable[Change]) -> str:
    """The lowest version that a model may have after some changes to the given version.

    Raises:
        ValueError: ``version`` is no version.
    """
    major, minor, patch = version_numbers(version)
    found = tuple(changes)
    if any(change.breaking for change in found):
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if found else f"{major}.{minor}.{patch}"


# --- changes ---------------------------------------------------------------------------------------------


def changes_between(former: Model, new: Model) -> tuple[Change, ...]:
    """All differences between two models: of the model first, then of the attributes by name.

    Version and origin are not compared: a model with the same content under another version has not changed.
    """
    before = {attribute.name: attribute for attribute in former.attributes}
    after = {attribute.name: attribute for attribute in new.attributes}
    changes = list(_model_changes(former, new))
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            changes.append(_gone(before[name]))
        elif name not in before:
            changes.append(_come(after[name]))
        else:
            changes += attribute_changes(before[name], after[name])
    return tuple(changes)


def attribute_changes(former: Attribute, new: Attribute) -> tuple[Change, ...]:
    """All differences between two attributes of the same name."""
    wider = (former.data_type, new.data_type) == ("integer", "double")
    protected = _PII_CLASSES.index(new.pii) > _PII_CLASSES.index(former.pii)
    fields: tuple[_Field, ...] = (
        ("data_type", former.data_type, new.data_type, not wider),
        ("kind", former.kind, new.kind, True),
        ("unit", former.unit, new.unit, not _same_unit(former.unit, new.unit)),
        ("range", range_text(former), range_text(new), _is_range_narrowed(former, new)),
        ("allowed", _listed(former.allowed), _listed(new.allowed), _is_choice_narrowed(former, new)),
        ("key", _yes_or_no(former.key), _yes_or_no(new.key), True),
        ("required", _yes_or_no(former.required), _yes_or_no(new.required), new.required),
        ("hold", former.hold, new.hold, True),
        ("pii", former.pii, new.pii, protected),
        ("sampling", sampling_text(former), sampling_text(new), False),
        ("semantic_id", former.semantic_id, new.semantic_id, former.semantic_id is not None),
        ("description", former.description, new.description, False),
        ("inherited_from", former.inherited_from, new.inherited_from, False),
    )
    return _differing(former.name, fields)


def _model_changes(former: Model, new: Model) -> tuple[Change, ...]:
    fields: tuple[_Field, ...] = (
        ("name", former.name, new.name, True),
        ("kind", former.kind, new.kind, True),
        ("semantic_id", former.semantic_id, new.semantic_id, former.semantic_id is not None),
        ("extends", former.extends, new.extends, False),
        ("description", former.description, new.description, False),
        ("business_object", former.business_object, new.business_object, False),
        ("owner", former.owner, new.owner, False),
    )
    return _differing(None, fields)


def _differing(attribute: str | None, fields: Iterable[_Field]) -> tuple[Change, ...]:
    """The changes among fields, each given as name, former and new value, and what a difference would be."""
    changes: list[Change] = []
    for what, former, new, breaking in fields:
        if former != new:
            verb = "narrowed" if breaking and what in {"range", "allowed"} else "changed"
            sentence = f"{attribute or 'model'}: {what} {verb}: was {shortened(former)}, is {shortened(new)}"
            changes.append(Change(attribute, what, former, new, breaking, sentence))
    return tuple(changes)


def _gone(attribute: Attribute) -> Change:
    sentence = f"{attribute.name}: attribute removed"
    return Change(attribute.name, "attribute", attribute.data_type, None, breaking=True, sentence=sentence)


def _come(attribute: Attribute) -> Change:
    sentence = f"{attribute.name}: {'required' if attribute.required else 'optional'} attribute added"
    return Change(attribute.name, "attribute", None, attribute.data_type, attribute.required, sentence)


def _same_unit(former: str | None, new: str | None) -> bool:
    try:
        return conversion(former, new) == IDENTITY
    except UnitError:
        return False


def _is_range_narrowed(former: Attribute, new: Attribute) -> bool:
    low = new.minimum is not None and (former.minimum is None or new.minimum > former.minimum)
    high = new.maximum is not None and (former.maximum is None or new.maximum < former.maximum)
    return low or high


def _is_choice_narrowed(former: Attribute, new: Attribute) -> bool:
    return bool(new.allowed) and (not former.allowed or not set(former.allowed) <= set(new.allowed))


@dataclass(frozen=True, slots=True)
class Comparison:
    """A model before and after.

    Attributes:
        former: what it was; None: it is new.
        new: what it is; None: it is not there any more.
        changes: the differences; none where one of the two is missing.
    """

    former: Model | None
    new: Model | None
    changes: tuple[Change, ...] = ()

    @property
    def due_version(self) -> str | None:
        """The lowest version that the new model may have; None if it is no later version of the former."""
        if self.former is None or self.new is None or self.former.name != self.new.name or self.former.version is None:
            return None
        return next_version(self.former.version, self.changes)

    @property
    def is_refused(self) -> bool:
        """Whether something breaks under the same major version."""
        if self.due_version is None or self.former is None or self.new is None or self.new.version is None:
            return False
        same_major = version_numbers(self.former.version or "")[0] == version_numbers(self.new.version)[0]
        return same_major and any(change.breaking for change in self.changes)


def compared(former: Model, new: Model) -> Comparison:
    """Two models side by side."""
    return Comparison(former, new, changes_between(former, new))


def comparisons(former: Iterable[Model], new: Iterable[Model]) -> tuple[Comparison, ...]:
    """All models of two collections side by side, in order of name and version.

    A version that is in both is compared with itself, one that is new with the version before it. Models without a
    version are left out.
    """
    before, after = _by_version(former), _by_version(new)
    found: list[Comparison] = []
    for name in sorted(before.keys() | after.keys()):
        old, fresh = before.get(name, {}), after.get(name, {})
        used: set[Numbers] = set()
        lower: Numbers | None = None
        for numbers in sorted(old.keys() | fresh.keys()):
            base = numbers if numbers in old else lower
            if numbers in fresh and base is None:
                found.append(Comparison(None, fresh[numbers]))
            elif numbers in fresh and base is not None:
                used.add(base)
                found.append(compared(old[base] if base in old else fresh[base], fresh[numbers]))
            lower = numbers
        found += [Comparison(old[numbers], None) for numbers in sorted(old.keys() - used)]
    return tuple(found)


# --- fields as text --------------------------------------------------------------------------------------


def number_text(number: float) -> str:
    """A number as people write it: shortest digits that read back the same, no ``.0``."""
    return repr(float(number) + 0.0).removesuffix(".0")  # -0.0 + 0.0 is 0.0


def range_text(attribute: Attribute) -> str | None:
    """Plausible range of an attribute, such as ``0 to 10`` or ``at least 0``; None if there is none."""
    match attribute.minimum, attribute.maximum:
        case None, None:
            return None
        case low, None:
            return f"at least {number_text(low)}"
        case None, high:
            return f"at most {number_text(high)}"
        case low, high:
            return f"{number_text(low)} to {number_text(high)}"


def sampling_text(attribute: Attribute) -> str | None:
    """How an attribute is reported, such as ``periodic, every 10 s, deadband 0.5``; None if nothing is said."""
    parts: list[str] = []
    if attribute.sampling is not None:
        parts.append(attribute.sampling.replace("_", " "))
    if attribute.cadence_s is not None:
        at_least = "at least " if attribute.sampling == "on_change" else ""
        parts.append(f"{at_least}every {number_text(attribute.cadence_s)} s")
    if attribute.deadband is not None:
        parts.append(f"deadband {number_text(attribute.deadband)}")
    return ", ".join(parts) or None


def shortened(text: str | None) -> str:
    """A text for a sentence: in one line, not too long, ``none`` for nothing."""
    text = "none" if text is None else " ".join(text.split())
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."


def _listed(values: tuple[str, ...]) -> str | None:
    return ", ".join(map(repr, values)) or None


def _yes_or_no(value: object) -> str:
    return "yes" if value else "no"


# --- what is refused -------------------------------------------------------------------------------------


def broken_versions(models: Iterable[Model]) -> list[str]:
    """One sentence per version that breaks the version before it under the same major version.

    Models without a version are left out.
    """
    versions = _by_version(models)
    return [text for name in sorted(versions) for text in _broken_neighbours(versions[name], versions[name].keys())]


def refused_changes(former: Iterable[Model], new: Iterable[Model]) -> list[str]:
    """Why new models may not take their place beside those in force; empty if they may.

    A name and version stays what it is for ever; a version that was not there before must be compatible with its
    neighbours of the same major version. Models without a version are left out, models that are in force and not
    among the new ones stay in force.

    Args:
        former: all versions in force.
        new: all versions that shall be.

    Returns:
        One sentence per refused version, with the version to choose.
    """
    in_force = _by_version(former)
    refused: list[str] = []
    for name, versions in sorted(_by_version(new).items()):
        known = in_force.get(name, {})
        together = versions | known
        for numbers, model in sorted(versions.items(), key=lambda item: item[0]):
            changes = changes_between(known[numbers], model) if numbers in known else ()
            if changes:
                refused.append(
                    f"{_named(model)}: content changed under the same version; "
                    f"raise the version to {_free_version(model, changes, together)} ({_reasons(changes)})"
                )
        refused += _broken_neighbours(together, versions.keys() - known.keys())
    return refused


def _by_version(models: Iterable[Model]) -> dict[str, dict[Numbers, Model]]:
    found: dict[str, dict[Numbers, Model]] = {}
    for model in models:
        if model.version is not None:
            found.setdefault(model.name, {})[version_numbers(model.version)] = model
    return found


def _broken_neighbours(versions: Mapping[Numbers, Model], judged: Iterable[Numbers]) -> Iterator[str]:
    """Sentences about pairs of neighbouring versions of which at least one is to be judged."""
    wanted = frozenset(judged)
    for lower, higher in pairwise(sorted(versions)):
        if lower[0] != higher[0] or not {lower, higher} & wanted:
            continue
        former, new = versions[lower], versions[higher]
        broken = [change for change in changes_between(former, new) if change.breaking]
        if broken:
            yield (
                f"{_named(new)} breaks version {former.version}{_at(former)} under the same major version; "
                f"call it {_free_version(new, broken, versions)} ({_reasons(broken)})"
            )


def _free_version(model: Model, changes: Iterable[Change], versions: Iterable[Numbers]) -> str:
    """The version that a changed model may have, beside all versions that there are."""
    major, _, _ = version_numbers(model.version or "")
    taken = tuple(versions)
    highest = max(taken) if any(c.breaking for c in changes) else max(n for n in taken if n[0] == major)
    return next_version(".".join(map(str, highest)), changes)


def _named(model: Model) -> str:
    return f"{model.origin}: model {model.name!r} {model.version}".lstrip(": ")


def _at(model: Model) -> str:
    return f" ({model.origin})" if model.origin else ""


def _reasons(changes: Iterable[Change]) -> str:
    """The sentences of changes, breaking ones first, shortened after some."""
    ordered = [c.sentence for c in sorted(changes, key=lambda change: not change.breaking)]
    rest = len(ordered) - MAX_REASONS
    return "; ".join(ordered[:MAX_REASONS]) + (f"; and {rest} more" if rest > 0 else "")
