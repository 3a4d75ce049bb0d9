"""The neutral description of models, things and tags that an importer yields, of one dated version.

Belongs here: what is common to all formats that describe equipment, and the rules that hold for every
description. Does not belong here: a format (each importer is a module of its own), plants, validity, tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

ItemT = TypeVar("ItemT")

DataType = Literal["double", "integer", "boolean", "string", "timestamp", "vector3"]
Kind = Literal["measurement", "state", "text"]
ModelKind = Literal["telemetry", "record"]
Sampling = Literal["on_change", "periodic"]
Hold = Literal["stepped", "sloped"]
Pii = Literal["none", "pseudonymous", "personal", "sensitive"]

NUMERIC: Final[frozenset[DataType]] = frozenset({"double", "integer"})


def default_kind(data_type: DataType, allowed: tuple[str, ...] = ()) -> Kind:
    """What an attribute is unless something else is said: numbers are measured, choices are states."""
    if data_type in NUMERIC:
        return "measurement"
    return "state" if data_type == "boolean" or allowed else "text"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a data model.

    Attributes:
        name: name, unique in the model; a dot separates levels, as in ``Identification.Manufacturer``.
        data_type: type of its values.
        kind: measurement: a quantity; state: holds until it changes and makes intervals; text: neither.
        unit: symbol of the canonical unit, as `idm_assets.referential.units.check_symbol` accepts it.
        description: what it means.
        minimum: smallest plausible value, in the canonical unit.
        maximum: largest plausible value, in the canonical unit.
        allowed: the only plausible values, as text; empty: any.
        key: part of what identifies a record.
        required: every avatar or record has it.
        sampling: whether it is reported on change or periodically; None: unknown.
        cadence_s: expected seconds between reports; for ``on_change`` the longest expected silence.
        deadband: smallest change that is reported, in the canonical unit.
        hold: how values between two reports are to be read: stepped keeps the earlier, sloped is the line.
        pii: class of personal data.
        semantic_id: where the meaning is defined: an IRI, IRDI or NodeId.
        inherited_from: the model further up that brought the attribute in; None: the model itself.
    """

    name: str
    data_type: DataType
    kind: Kind
    unit: str | None = None
    description: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    key: bool = False
    required: bool = False
    sampling: Sampling | None = None
    cadence_s: float | None = None
    deadband: float | None = None
    hold: Hold = "stepped"
    pii: Pii = "none"
    semantic_id: str | None = None
    inherited_from: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A type of things, with its attributes sorted by name, the inherited ones among them.

    Attributes:
        name: name, unique per version.
        description: what it describes.
        attributes: all attributes, sorted by name.
        version: semantic version; None: it gets one by comparing its content with what was there before.
        kind: telemetry: its attributes are reported one by one; record: a row has them all.
        extends: name of the model whose attributes it inherits.
        business_object: what the business calls such a thing.
        owner: who answers for the model.
        semantic_id: where the meaning is defined: an IRI, IRDI or NodeId.
        origin: ``file:line`` where it is described.
    """

    name: str
    description: str | None
    attributes: tuple[Attribute, ...]
    version: str | None = None
    kind: ModelKind = "telemetry"
    extends: str | None = None
    business_object: str | None = None
    owner: str | None = None
    semantic_id: str | None = None
    origin: str = ""


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
        external_ids: what other systems call it: ``serial_number``, ``asset_number``, ``vin``, ``uuid``, ...
        static_attributes: what does not change while it is valid: ``manufacturer``, ``product``, ``year``, ...
        description: what people say of it.
        origin: ``file:line`` where it is described.
    """

    avatar: str
    name: str
    model: str
    parent: str | None
    equipment: str
    external_ids: Mapping[str, str] = field(default_factory=dict[str, str])
    static_attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    description: str | None = None
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a tag of a source stands for.

    The value in the delivered unit is ``raw x scale + offset``; how it gets to the attribute's unit follows from
    the two units.

    Attributes:
        source: source that delivers the tag.
        tag: name of the tag, as delivered.
        avatar: identifier of the avatar.
        attribute: attribute of the avatar's model.
        delivered_unit: symbol of the unit in which the source delivers; None: the attribute's own.
        scale: see above.
        offset: see above.
        origin: ``file:line`` where it is described.
    """

    source: str
    tag: str
    avatar: str
    attribute: str
    delivered_unit: str | None = None
    scale: float = 1.0
    offset: float = 0.0
    origin: str = ""


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

    models: tuple[Model, ...] = ()
    equipment: tuple[Equipment, ...] = ()
    avatars: tuple[Avatar, ...] = ()
    bindings: tuple[Binding, ...] = ()
    remarks: tuple[str, ...] = ()


def problems_of(description: Description, known: Mapping[str, Model] | None = None) -> list[str]:
    """What makes a description unusable, one sentence per problem; empty when it is sound.

    Names and identifiers must be unique, references must lead somewhere, and parents come before their parts,
    which rules out cycles.

    Args:
        description: what an importer found.
        known: models from elsewhere that avatars may be of, by name.
    """
    problems = [
        *_repeated(description.models, lambda m: m.name, lambda m: f"{m.origin}: model {m.name!r}".lstrip(": ")),
        *_repeated(description.equipment, lambda e: e.name, lambda e: f"{e.origin}: machine {e.name!r}"),
        *_repeated(description.avatars, lambda a: a.avatar, lambda a: f"{a.origin}: avatar {a.avatar!r}"),
    ]
    machines = {element.name for element in description.equipment}
    models = dict(known or {}) | {model.name: model for model in description.models}
    attributes = {name: {a.name for a in model.attributes} for name, model in models.items()}
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
        if not math.isfinite(binding.scale) or binding.scale == 0 or not math.isfinite(binding.offset):
            problems.append(f"{where} has the impossible conversion x {binding.scale} + {binding.offset}")
    return problems


def _repeated(items: Iterable[ItemT], key: Callable[[ItemT], str], named: Callable[[ItemT], str]) -> list[str]:
    by_key: dict[str, list[ItemT]] = {}
    for item in items:
        by_key.setdefault(key(item), []).append(item)
    return [" and ".join(map(named, group)) + ": given more than once" for group in by_key.values() if len(group) > 1]
