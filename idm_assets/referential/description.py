"""The neutral description of things and tags that an importer yields, of one dated version.

Belongs here: what is common to all formats that describe machines, and the rules that hold for every
description. Does not belong here: a format (each importer is a module of its own), plants, validity, tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a data model; types, kinds and units as in `idm_assets.referential.tables`."""

    name: str
    data_type: str
    kind: str
    unit: str | None = None
    description: str | None = None

    @property
    def content(self) -> tuple[str, str, str | None]:
        """What two attributes of one name must agree in to be the same."""
        return self.data_type, self.kind, self.unit


@dataclass(frozen=True, slots=True)
class Model:
    """A type of things, with its attributes sorted by name."""

    name: str
    description: str | None
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class Equipment:
    """A machine that takes its place in the equipment hierarchy."""

    name: str
    description: str | None
    origin: str


@dataclass(frozen=True, slots=True)
class Avatar:
    """One physical thing.

    Attributes:
        avatar: identifier, unique in the description.
        name: name for people.
        model: name of its model.
        parent: identifier of the avatar that it is a part of.
        equipment: name of the machine that it belongs to.
        manufacturer: maker.
        product: maker's name of the product.
        serial_number: maker's serial number.
        external_id: identifier in the system that describes it.
        description: what people say of it.
        origin: ``file:line`` where it is described.
    """

    avatar: str
    name: str
    model: str
    parent: str | None
    equipment: str
    manufacturer: str | None
    product: str | None
    serial_number: str | None
    external_id: str | None
    description: str | None
    origin: str


@dataclass(frozen=True, slots=True)
class Binding:
    """What a tag of a source stands for; published value = delivered value x factor + offset."""

    source: str
    tag: str
    avatar: str
    attribute: str
    delivered_unit: str | None
    factor: float
    offset: float
    origin: str


@dataclass(frozen=True, slots=True)
class Description:
    """One dated version of what an importer found.

    Attributes:
        models: models, sorted by name.
        equipment: machines, in the order of the file.
        avatars: things, parents before their parts.
        bindings: tags, in the order of the file.
        remarks: what was accepted but ought to be known, one sentence each.
    """

    models: tuple[Model, ...]
    equipment: tuple[Equipment, ...]
    avatars: tuple[Avatar, ...]
    bindings: tuple[Binding, ...]
    remarks: tuple[str, ...] = ()


def problems_of(description: Description) -> list[str]:
    """What makes a description unusable, one sentence per problem; empty when it is sound.

    Names and identifiers must be unique, references must lead somewhere, and parents come before their parts,
    which rules out cycles.
    """
    problems = [
        *_repeated(description.models, lambda m: m.name, lambda m: f"model {m.name!r}"),
        *_repeated(description.equipment, lambda e: e.name, lambda e: f"{e.origin}: machine {e.name!r}"),
        *_repeated(description.avatars, lambda a: a.avatar, lambda a: f"{a.origin}: avatar {a.avatar!r}"),
    ]
    machines = {element.name for element in description.equipment}
    attributes = {model.name: {a.name for a in model.attributes} for model in description.models}
    for model in description.models:
        about = f"attribute of model {model.name!r}: "
        problems += [about + text for text in _repeated(model.attributes, lambda a: a.name, lambda a: repr(a.name))]
    model_of: dict[str, str] = {}
    for avatar in description.avatars:
        where = f"{avatar.origin}: avatar {avatar.avatar!r}"
        if avatar.model not in attributes:
            problems.append(f"{where} is of the unknown model {avatar.model!r}")
        if avatar.equipment not in machines:
            problems.append(f"{where} belongs to the unknown machine {avatar.equipment!r}")
        if avatar.parent is not None and avatar.parent not in model_of:
            problems.append(f"{where} is a part of {avatar.parent!r}, which is not described before it")
        model_of[avatar.avatar] = avatar.model
    for binding in description.bindings:
        where = f"{binding.origin}: tag {binding.tag!r} of source {binding.source!r}"
        if binding.avatar not in model_of:
            problems.append(f"{where} is bound to the unknown avatar {binding.avatar!r}")
        elif binding.attribute not in attributes.get(model := model_of[binding.avatar], set()):
            problems.append(f"{where} is bound to {binding.attribute!r}, which model {model!r} does not have")
        if not math.isfinite(binding.factor) or binding.factor == 0 or not math.isfinite(binding.offset):
            problems.append(f"{where} has the impossible conversion x {binding.factor} + {binding.offset}")
    return problems


def _repeated(items: Iterable[ItemT], key: Callable[[ItemT], str], named: Callable[[ItemT], str]) -> list[str]:
    by_key: dict[str, list[ItemT]] = {}
    for item in items:
        by_key.setdefault(key(item), []).append(item)
    return [" and ".join(map(named, group)) + ": given more than once" for group in by_key.values() if len(group) > 1]
