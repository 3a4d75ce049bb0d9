"""Importer for OPC UA NodeSet2 files: companion specifications, and the address spaces of machines.

Object types become data models, objects below the folder ``Objects`` become avatars, their variables bindings.

An object means something by itself if its type does; objects of BaseObjectType and FolderType only group what they
hold, and give their name to it: ``Counters.Good``. An object with a type of its own is a thing of its own, also where
it only describes, as ``Identification`` does; what it says of manufacturer and serial number is said of the thing that
it identifies, too. Outside of any thing, a group that has variables is a thing as well.

OPC UA lets an object have more than its type declares, and types leave units open for objects to give. Such an object
gets a model of its own, which extends that of its type; objects that say the same share it.

Belongs here: things, their places and their tags. Does not belong here: files and how nodes hang together
(`idm_assets.referential.opcua_space`), types (`idm_assets.referential.opcua_models`), plants, validity, tables.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from idm_assets.referential.description import Attribute, Avatar, Binding, Description, Equipment, Model
from idm_assets.referential.mtconnect_devices import snake_case
from idm_assets.referential.opcua_models import ModelMaker, attribute_name, inherited_from
from idm_assets.referential.opcua_nodes import UA, Node, NodeCounts, NodeId, read_nodes, refused
from idm_assets.referential.opcua_space import (
    ATTRIBUTE_STEPS,
    HAS_PROPERTY,
    MAX_LEVELS,
    OBJECTS,
    AddressSpace,
    BrowsePath,
    Member,
    is_declaration,
    load_space,
)
from idm_assets.referential.units import UnitError, conversion

MAX_ID: Final = 255
MAX_REMARKS: Final = 500

# States and transitions are words of a state machine (Part 16, 4.4.8 and 4.4.10), encodings those of a data type.
_NO_THINGS: Final = frozenset({NodeId(UA, "i=2307"), NodeId(UA, "i=2310"), NodeId(UA, "i=76")})
_TOO_DEEP: Final = f"objects are nested deeper than {MAX_LEVELS} levels"
_SHORT_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9=_.-]{1,60}")
_IDENTIFICATION: Final = "Identification"
# What DI and Machinery call the identification of a thing, and what we call it.
_EXTERNAL_IDS: Final = {
    "SerialNumber": "serial_number",
    "AssetId": "asset_number",
    "ProductInstanceUri": "product_instance_uri",
}
_STATIC_ATTRIBUTES: Final = {"Model": "product", "YearOfConstruction": "year"}


@dataclass(frozen=True, slots=True)
class _Thing:
    """An object that becomes an avatar.

    Attributes:
        node: the object.
        type_node: its type; None for an object that only groups.
        avatar: identifier of the avatar.
        equipment: name of the machine that it belongs to.
        parent: identifier of the avatar that it is a part of.
    """

    node: Node
    type_node: Node | None
    avatar: str
    equipment: str
    parent: str | None


def read_nodeset(path: Path, library: Sequence[Path] = (), source: str | None = None) -> Description:
    """Read a NodeSet2 file.

    Models are those that the file declares, and those of other files that its things are of. An avatar is known by
    the names that lead to it from ``Objects``, joined by ``/``; things without an avatar around them are the machines.

    Args:
        path: the file.
        library: NodeSet2 files that may hold required models; those that are not needed are not read to the end.
        source: source that delivers the values. Its tags are NodeIds as clients write them, such as
            ``nsu=http://acme.com/Press/;i=42``. Properties describe and get no tag, unless they are floating-point
            numbers without a value in the file. None: nothing is bound.

    Raises:
        ConfigurationError: a file is unusable, or a required model is missing; each problem with file and line.
    """
    space = load_space(path, library)
    maker = ModelMaker(space)
    types = {node.id: node for node in space.main.nodes if node.node_class == "UAObjectType"}
    finder = _Things(space)
    things = list(finder.found())
    avatars = _Avatars(space, maker, source)
    for thing in things:
        avatars.add(thing)
    types |= {thing.type_node.id: thing.type_node for thing in things if thing.type_node is not None}
    models = [*map(maker.model_of, types.values()), *avatars.models()]
    return Description(
        models=tuple(sorted(models, key=lambda model: model.name)),
        equipment=tuple(
            Equipment(thing.equipment, thing.node.description, thing.node.place)
            for thing in things
            if thing.parent is None
        ),
        avatars=avatars.avatars(),
        bindings=tuple(avatars.bindings),
        remarks=_remarks(space, (*maker.remarks, *finder.remarks(), *avatars.remarks)),
    )


def counts_of(path: Path) -> NodeCounts:
    """How many nodes of each class a NodeSet2 file declares.

    Raises:
        ConfigurationError: as for `read_nodeset`.
    """
    return read_nodes(path).counts()


def _remarks(space: AddressSpace, further: Sequence[str]) -> tuple[str, ...]:
    methods = space.main.counts().methods
    remarks = [f"{space.main.file}: {methods} methods are left out"] if methods else []
    remarks = list(dict.fromkeys((*remarks, *space.remarks, *further)))
    if len(remarks) > MAX_REMARKS:
        remarks[MAX_REMARKS:] = [f"{space.main.file}: {len(remarks) - MAX_REMARKS} more remarks are left out"]
    return tuple(remarks)


# --- things ----------------------------------------------------------------------------------------------


class _Things:
    """Finds the file's objects that become avatars, on the way down from ``Objects``."""

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self._own = {node.id for node in space.main.nodes}
        self._names = _Names()
        self._machines = _Names()
        self._seen = {OBJECTS}
        self._loose = 0

    def found(self) -> Iterator[_Thing]:
        """All things, parents before their parts."""
        space = self._space
        waiting: deque[tuple[NodeId, tuple[str, ...], _Thing | None]] = deque([(OBJECTS, (), None)])
        listed: deque[tuple[Node, tuple[str, ...], _Thing | None]] = deque()
        while waiting or listed:
            # what is only listed here is met where it is held, unless that place is not below Objects
            if waiting:
                holder, path, inside = waiting.popleft()
                nodes = [node for node, _ in space.children(holder)]
                listed.extend((node, path, inside) for node in space.listed(holder))
            else:
                node, path, inside = listed.popleft()
                nodes = [node]
            if len(path) > MAX_LEVELS:
                raise refused(nodes[0].place if nodes else space.main.file, _TOO_DEEP)
            for node in nodes:
                inner = (*path, _part(node.browse_name.name))
                thing = self._thing(node, inner, inside)
                if thing is not None:
                    yield thing
                if node.node_class == "UAObject" and node.id not in self._seen:
                    waiting.append((node.id, inner, thing or inside))
                self._seen.add(node.id)

    def _thing(self, node: Node, path: tuple[str, ...], inside: _Thing | None) -> _Thing | None:
        if node.id in self._seen or node.id not in self._own:
            return None
        self._loose += node.node_class == "UAVariable" and inside is None
        if node.node_class != "UAObject" or not _is_thing(self._space, node, inside):
            return None
        equipment = inside.equipment if inside else self._machines.unique(_part(node.display_name), node)
        avatar = self._names.unique("/".join(path), node)
        return _Thing(node, self._space.model_type_of(node), avatar, equipment, inside.avatar if inside else None)

    def remarks(self) -> Iterator[str]:
        """What was not made a thing though it looks like one; after all were found."""
        space = self._space
        if self._loose:
            yield f"{space.main.file}: {self._loose} variables belong to no object of this file; they are left out"
        for node in space.main.nodes:
            if node.node_class != "UAObject" or node.id in self._seen or is_declaration(node):
                continue
            if space.has_place(node.id) or node.id.namespace == UA:
                continue
            if _is_thing(space, node, None) or any(space.children(node.id)):
                yield f"{node.place}: {node.browse_name.name} has no place below Objects nor in a type; it is left out"


def _is_thing(space: AddressSpace, node: Node, inside: _Thing | None) -> bool:
    type_node = space.model_type_of(node)
    if type_node is not None:
        return _NO_THINGS.isdisjoint(space.lineage(type_node.id))
    return inside is None and any(
        child.node_class == "UAVariable" and kind != HAS_PROPERTY for child, kind in space.children(node.id)
    )


def _part(name: str) -> str:
    """A name that can be a part of a path: printable and without ``/``."""
    return "".join(c if c.isprintable() and c != "/" else "_" for c in name).strip() or "_"


class _Names:
    """Names that are given once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def unique(self, name: str, node: Node) -> str:
        """The name, cut or extended by the node's identifier where it is too long or taken."""
        identifier = node.id.identifier
        if not _SHORT_IDENTIFIER.fullmatch(identifier):
            identifier = hashlib.sha256(identifier.encode()).hexdigest()[:12]
        candidate, number = name, 1
        while candidate in self._taken or len(candidate) > MAX_ID:
            tail = f"~{identifier}" if number == 1 else f"~{identifier}~{number}"
            candidate, number = name[: MAX_ID - len(tail)] + tail, number + 1
        self._taken.add(candidate)
        return candidate


# --- avatars, their tags and what they say beyond their types --------------------------------------------


class _Avatars:
    """Makes avatars out of things.

    Attributes:
        bindings: tags bound so far.
        remarks: what was accepted but ought to be known.
    """

    def __init__(self, space: AddressSpace, maker: ModelMaker, source: str | None) -> None:
        self._space = space
        self._maker = maker
        self._source = source
        self._avatars: dict[str, Avatar] = {}
        self._models: dict[tuple[NodeId | None, frozenset[Attribute]], Model] = {}
        self._bound: dict[NodeId, str] = {}
        self.bindings: list[Binding] = []
        self.remarks: list[str] = []

    def avatars(self) -> tuple[Avatar, ...]:
        """All avatars, parents before their parts."""
        return tuple(self._avatars.values())

    def models(self) -> tuple[Model, ...]:
        """Models of things that say more than their types."""
        return tuple(self._models.values())

    def add(self, thing: _Thing) -> None:
        """Make the avatar of one thing, whose parent was made before."""
        members = self._space.own_members(thing.node)
        external_ids, static_attributes = _descriptive(members)
        if thing.parent is not None and thing.node.browse_name.name == _IDENTIFICATION:
            self._identify(thing.parent, external_ids, static_attributes)
        self._avatars[thing.avatar] = Avatar(
            avatar=thing.avatar,
            name=thing.node.display_name,
            model=self._model(thing, members),
            parent=thing.parent,
            equipment=thing.equipment,
            external_ids={"node_id": thing.node.id.expanded()} | external_ids,
            static_attributes=static_attributes,
            description=thing.node.description,
            origin=thing.node.place,
        )

    def _identify(self, avatar: str, external_ids: Mapping[str, str], static_attributes: Mapping[str, str]) -> None:
        """Say of a thing what its identification says, unless the thing itself says otherwise."""
        former = self._avatars[avatar]
        self._avatars[avatar] = replace(
            former,
            external_ids={**external_ids, **former.external_ids},
            static_attributes={**static_attributes, **former.static_attributes},
        )

    def _model(self, thing: _Thing, members: Sequence[Member]) -> str:
        """Name of a thing's model; binds its variables on the way."""
        type_id = thing.type_node.id if thing.type_node else None
        inherited: Mapping[BrowsePath, Attribute] = self._maker.attributes_of(type_id) if type_id else {}
        self._space.steps.take(len(inherited) + 5 * len(members), thing.node.place)
        by_name = {attribute.name: attribute for attribute in inherited.values()}
        own: dict[str, Attribute] = {}
        bound: set[str] = set()
        for member in members:
            given = self._maker.attribute_of(member, attribute_name(member.path))
            if member.is_property and (given.data_type != "double" or member.node.value):
                continue
            declared: Attribute | None = inherited.get(member.path) or by_name.get(given.name)
            name = declared.name if declared else given.name
            if name in bound:
                self.remarks.append(
                    f"{member.node.place}: another variable of {thing.avatar!r} is called {name!r}, too; "
                    "this one is left out"
                )
                continue
            bound.add(name)
            refined, unit = self._refined(member, declared, given) if declared else (_extra(given), None)
            if refined != declared:
                own[name] = refined
            self._bind(thing, member, name, unit)
        if type_id is not None and not own:
            return self._maker.name_of(type_id)
        return self._own_model(thing, type_id, own)

    def _refined(self, member: Member, declared: Attribute, given: Attribute) -> tuple[Attribute, str | None]:
        """A declared attribute with what the object says beyond it, and the unit if it delivers in another one."""
        refined, delivered = declared, None
        if given.data_type != declared.data_type:
            refined = replace(
                declared,
                data_type=given.data_type,
                kind=given.kind,
                unit=None,
                description=given.description,
                minimum=None,
                maximum=None,
            )
        if given.unit is not None and given.unit != refined.unit:
            try:
                if refined.unit is not None:
                    conversion(given.unit, refined.unit)
                    delivered = given.unit
            except UnitError as error:
                self.remarks.append(f"{member.node.place}: {member.node.browse_name.name}: {error}; the object's holds")
            if delivered is None:
                refined = replace(refined, unit=given.unit)
        if delivered is None and given.minimum is not None:
            refined = replace(refined, minimum=given.minimum, maximum=given.maximum)
        return (refined if refined == declared else replace(refined, inherited_from=None)), delivered

    def _bind(self, thing: _Thing, member: Member, attribute: str, unit: str | None) -> None:
        if self._source is None:
            return
        other = self._bound.setdefault(member.node.id, thing.avatar)
        if other != thing.avatar:
            self.remarks.append(
                f"{member.node.place}: {member.node.browse_name.name} is in {other!r} and in {thing.avatar!r}; "
                "its tag is bound to the former"
            )
            return
        tag = member.node.id.expanded()
        self.bindings.append(
            Binding(self._source, tag, thing.avatar, attribute, delivered_unit=unit, origin=member.node.place)
        )

    def _own_model(self, thing: _Thing, type_id: NodeId | None, own: Mapping[str, Attribute]) -> str:
        key = (type_id, frozenset(own.values()))
        if key not in self._models:
            extends = self._maker.name_of(type_id) if type_id else None
            inherited: Mapping[BrowsePath, Attribute] = self._maker.attributes_of(type_id) if type_id else {}
            self._space.steps.take(ATTRIBUTE_STEPS * len(inherited), thing.node.place)
            attributes = {a.name: a for _, a in inherited_from(inherited, extends or "")} | dict(own)
            self._models[key] = Model(
                name=self._maker.name_for(thing.node, thing.avatar),
                description=f"{extends or 'what is called'} {thing.avatar}, with what it says beyond its type",
                attributes=tuple(sorted(attributes.values(), key=lambda attribute: attribute.name)),
                extends=extends,
                semantic_id=thing.node.id.expanded(),
                origin=thing.node.place,
            )
        return self._models[key].name


def _extra(attribute: Attribute) -> Attribute:
    """An attribute that an object has beyond its type, without what tells it from those of its likes."""
    return replace(attribute, required=True, semantic_id=None)


def _descriptive(members: Sequence[Member]) -> tuple[dict[str, str], dict[str, str]]:
    """External identifiers and static attributes: what properties with a value in the file say."""
    external_ids: dict[str, str] = {}
    static_attributes: dict[str, str] = {}
    for member in members:
        text = _single_text(member.node)
        if not member.is_property or not text:
            continue
        names = [name.name for name in member.path]
        if len(names) == 1 and names[0] in _EXTERNAL_IDS:
            external_ids.setdefault(_EXTERNAL_IDS[names[0]], text)
        else:
            name = ".".join(_STATIC_ATTRIBUTES.get(n) or snake_case(n) or "unnamed" for n in names)
            static_attributes.setdefault(name, text)
    return external_ids, static_attributes


def _single_text(node: Node) -> str:
    """The text of a single value; empty for arrays, structures and values without text."""
    # scalars are one element deep, a LocalizedText has its text one level further, arrays and structures have more
    found = [part.text for part in node.value if len(part.path) == 1 or part.path[1:] in {("Text",), ("Name",)}]
    return found[0] if len(found) == 1 else ""
