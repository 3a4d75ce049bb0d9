"""The address space that a NodeSet2 file makes together with the models that it requires.

Belongs here: finding required models among other files, and how nodes hang together: types, supertypes, what holds
what. Does not belong here: XML (`idm_assets.referential.opcua_nodes`), models, attributes and avatars
(`idm_assets.referential.opcua_nodeset2`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.opcua_base import (
    HAS_MODELLING_RULE,
    HAS_SUBTYPE,
    HAS_TYPE_DEFINITION,
    PUBLISHED,
    VERSION,
    base_nodes,
)
from idm_assets.referential.opcua_base import (
    NAME as BASE,
)
from idm_assets.referential.opcua_nodes import (
    UA,
    BrowseName,
    ModelHeader,
    Node,
    NodeId,
    NodeSet,
    Requirement,
    read_models,
    read_nodes,
    refused,
)

MAX_SUPERTYPES: Final = 100
MAX_LEVELS: Final = 100
MAX_STEPS: Final = 10_000_000
"""How often one import may look at a node; bounds what a small file can grow to through sharing and inheritance."""
ATTRIBUTE_STEPS: Final = 20
"""What an attribute of a model counts as: it is kept, not only looked at."""

OBJECTS: Final = NodeId(UA, "i=85")
MANDATORY: Final = "i=78"
PLACEHOLDERS: Final = frozenset({"i=11508", "i=11510"})

_ORGANIZES: Final = NodeId(UA, "i=35")
HAS_PROPERTY: Final = NodeId(UA, "i=46")
_HAS_COMPONENT: Final = NodeId(UA, "i=47")
_HAS_INTERFACE: Final = NodeId(UA, "i=17603")
_GROUPS: Final = frozenset({NodeId(UA, "i=58"), NodeId(UA, "i=61")})  # BaseObjectType, FolderType

BrowsePath = tuple[BrowseName, ...]


@dataclass(frozen=True, slots=True)
class Member:
    """A variable that a type or an object has, be it directly or in objects that only group.

    Attributes:
        path: names from the type or object down to the variable.
        node: the variable.
        is_property: it is held by HasProperty, hence describes instead of being data.
        mandatory: it and all groups around it are there in every instance.
    """

    path: BrowsePath
    node: Node
    is_property: bool
    mandatory: bool


@dataclass(slots=True)
class Steps:
    """What is left of the steps that one import may take."""

    left: int = MAX_STEPS

    def take(self, count: int, place: str) -> None:
        """Take some.

        Raises:
            ConfigurationError: there are not so many left.
        """
        self.left -= count
        if self.left < 0:
            raise refused(
                place,
                f"by sharing and inheritance this file becomes more than {MAX_STEPS} members of types and objects; "
                "split it",
            )


class AddressSpace:
    """Nodes of a file, of the models that it requires and of the standard, and how they hang together.

    Attributes:
        main: the file itself.
        models: declared models, those of the standard and of other files among them, by namespace.
        nodes: all nodes.
        remarks: what was accepted but ought to be known, one sentence each.
        steps: what is left of the steps that the import may take.
    """

    def __init__(self, main: NodeSet, others: Sequence[NodeSet]) -> None:
        self.main = main
        self.models: dict[str, ModelHeader] = {UA: ModelHeader(UA, VERSION, PUBLISHED, (), BASE)}
        self.remarks: list[str] = []
        self.steps = Steps()
        self.nodes: dict[NodeId, Node] = {node.id: node for node in base_nodes()}
        for nodeset in (*others, main):
            self._merge(nodeset)
        self._supertypes: dict[NodeId, NodeId] = {}
        self._kinds: dict[NodeId, NodeId | None] = {}
        self._children: dict[NodeId, dict[NodeId, NodeId]] = {}
        self._listed: dict[NodeId, dict[NodeId, None]] = {}
        self._placed: set[NodeId] = set()
        self._link_types()
        self._link_children()

    def _merge(self, nodeset: NodeSet) -> None:
        self.models |= {model.uri: model for model in nodeset.models}
        for node in nodeset.nodes:
            former = self.nodes.get(node.id)
            if former is not None and node.id.namespace != UA:
                self.remarks.append(
                    f"{node.place}: node {node.id.expanded()} is also described at {former.place}; this one holds"
                )
            self.nodes[node.id] = node

    def _link_types(self) -> None:
        for node in self.nodes.values():
            for reference in node.references:
                if reference.kind == HAS_SUBTYPE:
                    below, above = node.id, reference.target
                    if reference.forward:
                        below, above = above, below
                    self._supertypes.setdefault(below, above)

    def _link_children(self) -> None:
        """Who holds whom. A component or property of a described node is only listed by those who organize it."""
        organized: list[tuple[NodeId, NodeId, NodeId]] = []
        components: set[NodeId] = set()
        for node in self.nodes.values():
            for reference in node.references:
                kind = self._kind(reference.kind)
                if kind is None:
                    continue
                holder, held = (node.id, reference.target) if reference.forward else (reference.target, node.id)
                if reference.target not in self.nodes:
                    self._dangling(node, reference.target)
                self._placed.add(held)
                if kind == _ORGANIZES:
                    organized.append((holder, held, kind))
                elif holder in self.nodes or holder == OBJECTS:
                    components.add(held)
                    self._children.setdefault(holder, {}).setdefault(held, kind)
        for holder, held, kind in organized:
            if held in components:
                self._listed.setdefault(holder, {})[held] = None
            else:
                self._children.setdefault(holder, {}).setdefault(held, kind)

    def _dangling(self, node: Node, target: NodeId) -> None:
        # The standard's own nodes are known in part only, and all the others of the library are none of our business.
        if target.namespace != UA and node.place.startswith(f"{self.main.file}:"):
            self.remarks.append(
                f"{node.place}: {node.browse_name.name} refers to {target.expanded()}, which is described in none of "
                "the files read; what hangs on it is left out"
            )

    def _kind(self, reference: NodeId) -> NodeId | None:
        """Which of Organizes, HasProperty and HasComponent a type of reference is derived from; None: of none."""
        if reference not in self._kinds:
            wanted = {_ORGANIZES, HAS_PROPERTY, _HAS_COMPONENT}
            self._kinds[reference] = next((kind for kind in self.lineage(reference) if kind in wanted), None)
        return self._kinds[reference]

    # --- types -------------------------------------------------------------------------------------------

    def lineage(self, type_id: NodeId) -> Sequence[NodeId]:
        """A type and its supertypes, from special to general; up to and with the first that is not described.

        Raises:
            ConfigurationError: a type is derived from itself, or from more than `MAX_SUPERTYPES` others.
        """
        found = [type_id]
        while (above := self._supertypes.get(found[-1])) is not None:
            if above in found or len(found) > MAX_SUPERTYPES:
                why = "itself" if above in found else f"more than {MAX_SUPERTYPES} types"
                raise refused(
                    self.place(type_id), f"type {type_id.expanded()} is derived from {why}; correct HasSubtype"
                )
            found.append(above)
        return found

    def place(self, node_id: NodeId) -> str:
        """``file:line`` of a node, or the file if it is not described."""
        node = self.nodes.get(node_id)
        return self.main.file if node is None else node.place

    def type_of(self, node: Node) -> NodeId | None:
        """Type definition of an object or variable."""
        return _target(node, HAS_TYPE_DEFINITION)

    def model_type_of(self, node: Node) -> Node | None:
        """Type of an object that means something by itself; None for objects that only group."""
        type_id = self.type_of(node)
        if type_id is None or type_id in _GROUPS:
            return None
        found = self.nodes.get(type_id)
        if found is None or found.node_class != "UAObjectType":
            self.remarks.append(
                f"{node.place}: type {type_id.expanded()} of {node.browse_name.name} is described in none of the files "
                "read; it counts as an object that only groups"
            )
            return None
        return found

    def interfaces(self, type_id: NodeId) -> Iterator[NodeId]:
        """Interfaces that a type has."""
        node = self.nodes.get(type_id)
        for reference in node.references if node else ():
            if reference.forward and reference.kind == _HAS_INTERFACE and reference.target in self.nodes:
                yield reference.target

    # --- who holds whom ----------------------------------------------------------------------------------

    def children(self, node_id: NodeId) -> Iterator[tuple[Node, NodeId]]:
        """Described nodes that a node holds, each with Organizes, HasProperty or HasComponent."""
        held = self._children.get(node_id, {})
        self.steps.take(1 + len(held), self.place(node_id))
        for child, kind in held.items():
            node = self.nodes.get(child)
            if node is not None:
                yield node, kind

    def listed(self, node_id: NodeId) -> Iterator[Node]:
        """Described nodes that a node organizes, but that are components of another one."""
        listed = self._listed.get(node_id, {})
        self.steps.take(len(listed), self.place(node_id))
        return (self.nodes[held] for held in listed if held in self.nodes)

    def has_place(self, node_id: NodeId) -> bool:
        """Whether any node, described or not, holds or organizes it."""
        return node_id in self._placed

    def declared_members(self, type_node: Node) -> list[Member]:
        """Variables that instances of a type have, without the inherited ones.

        Left out is what has no modelling rule, since it belongs to the type itself, and placeholders such as
        ``<Parameter>``, since they have no name yet (Part 3, 6.4.4).
        """
        return self._members(type_node, _is_named_declaration)

    def own_members(self, thing: Node) -> list[Member]:
        """Variables that an object has, without those of the things in it."""
        return self._members(thing, lambda _: True)

    def _members(self, top: Node, wanted: Callable[[Node], bool]) -> list[Member]:
        found: list[Member] = []
        seen = {top.id}
        queue: deque[tuple[Node, BrowsePath, bool]] = deque([(top, (), True)])
        while queue:
            holder, path, mandatory = queue.popleft()
            _check_levels(path, holder)
            for node, kind in self.children(holder.id):
                if node.id in seen or not wanted(node):
                    continue
                seen.add(node.id)
                inner = (*path, node.browse_name)
                always = mandatory and _rule(node) == MANDATORY
                if node.node_class == "UAVariable":
                    # properties of variables say how to read them: units, ranges, names of states
                    if holder.node_class == "UAVariable" and kind == HAS_PROPERTY:
                        continue
                    found.append(Member(inner, node, kind == HAS_PROPERTY, always))
                    queue.append((node, inner, always))
                elif node.node_class == "UAObject" and self.model_type_of(node) is None:
                    queue.append((node, inner, always))
        return found

    def property_of(self, variable: Node, name: str) -> Node | None:
        """A property of a variable by its standard name, such as ``EngineeringUnits``."""
        for node, kind in self.children(variable.id):
            if kind == HAS_PROPERTY and node.browse_name == BrowseName(UA, name):
                return node
        return None


def _target(node: Node, kind: NodeId) -> NodeId | None:
    return next((r.target for r in node.references if r.forward and r.kind == kind), None)


def _rule(node: Node) -> str | None:
    rule = _target(node, HAS_MODELLING_RULE)
    return rule.identifier if rule and rule.namespace == UA else None


def is_declaration(node: Node) -> bool:
    """Whether a node is in a type to say what instances have (Part 3, 6.4.4), be it a placeholder."""
    return _rule(node) is not None


def _is_named_declaration(node: Node) -> bool:
    return is_declaration(node) and _rule(node) not in PLACEHOLDERS and not node.browse_name.name.startswith("<")


def _check_levels(path: BrowsePath, node: Node) -> None:
    if len(path) > MAX_LEVELS:
        raise refused(node.place, f"objects and variables are nested deeper than {MAX_LEVELS} levels")


# --- required models -------------------------------------------------------------------------------------


def load_space(path: Path, library: Sequence[Path]) -> AddressSpace:
    """Read a NodeSet2 file and the models that it requires, transitively.

    Args:
        path: the file.
        library: files that may hold required models. Of several with the same model the newest is taken; only needed
            ones are read to the end.

    Raises:
        ConfigurationError: a file is unusable, or a required model is missing or too old.
    """
    main = read_nodes(path)
    available = _available(library)
    space = AddressSpace(main, _required(main, available, library))
    for need in (need for model in main.models for need in model.requires):
        if need.uri == UA and (_day(need) or "") > PUBLISHED:
            space.remarks.append(
                f"{need.place}: requires {UA}{_in_version(need)}; built in is version {VERSION} of {PUBLISHED}, "
                "so that newer types of the standard are not known"
            )
    return space


def _required(
    main: NodeSet, available: Mapping[str, tuple[ModelHeader, Path]], library: Sequence[Path]
) -> list[NodeSet]:
    """The files with the models that a file requires, each before those that brought it in."""
    found: list[NodeSet] = []
    at_hand: dict[str, ModelHeader] = {model.uri: model for model in main.models}
    waiting = deque(need for model in main.models for need in model.requires)
    problems: dict[str, str] = {}
    while waiting:
        need = waiting.popleft()
        if need.uri == UA:
            continue
        if need.uri not in at_hand and need.uri in available:
            nodeset = read_nodes(available[need.uri][1])
            found.append(nodeset)
            at_hand = {model.uri: model for model in nodeset.models} | at_hand
            waiting.extend(further for model in nodeset.models for further in model.requires)
        given = at_hand.get(need.uri)
        if given is None:
            problems.setdefault(need.uri, _missing(need, library))
        elif _is_older(given, need):
            problems.setdefault(need.uri, _too_old(need, given))
    if problems:
        raise ConfigurationError(list(problems.values()))
    return found[::-1]


def _available(library: Sequence[Path]) -> dict[str, tuple[ModelHeader, Path]]:
    found: dict[str, tuple[ModelHeader, Path]] = {}
    problems: list[str] = []
    for file in sorted(library):
        try:
            for model in read_models(file):
                known = found.get(model.uri)
                if known is None or _age(model) > _age(known[0]):
                    found[model.uri] = (model, file)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return found


def _missing(need: Requirement, library: Sequence[Path]) -> str:
    folders = sorted({str(file.parent) for file in library})
    where = f" beside the {len(library)} NodeSet2 files in {', '.join(folders[:3])}" if folders else " into the library"
    return (
        f"{need.place}: requires the model {need.uri}{_in_version(need)}, which is in none of the files given; "
        f"put its NodeSet2 file{where} (the OPC Foundation publishes those of companion specifications at "
        "github.com/OPCFoundation/UA-Nodeset)"
    )


def _too_old(need: Requirement, given: ModelHeader) -> str:
    return (
        f"{need.place}: requires the model {need.uri}{_in_version(need)}, but {given.place} holds it"
        f"{_in_version(given)}; put a NodeSet2 file of that version or a later one in its place"
    )


def _in_version(model: Requirement | ModelHeader) -> str:
    version = f" in version {model.version}" if model.version else ""
    return version + (f" of {_day(model) or model.published}" if model.published else "")


def _is_older(given: ModelHeader, need: Requirement) -> bool:
    """Whether a model is older than required; by date (Part 6, F.5), without one by version, else not."""
    ours_on, theirs_on = _day(given), _day(need)
    if ours_on and theirs_on:
        return ours_on < theirs_on
    ours, theirs = version_numbers(given.version), version_numbers(need.version)
    return ours is not None and theirs is not None and ours < theirs


def _age(model: ModelHeader) -> tuple[str, tuple[int, int, int]]:
    return _day(model) or "", version_numbers(model.version) or (0, 0, 0)


def _day(model: Requirement | ModelHeader) -> str | None:
    """Day of publication, in a form that can be compared; None where it is not given as the schema wants."""
    match = _DAY.match(model.published or "")
    return match and match[0]


_DAY: Final = re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9](?=T|$)")
_VERSION: Final = re.compile(r"v?([0-9]{1,9})(?:\.([0-9]{1,9}))?(?:\.([0-9]{1,9}))?(?![0-9])")


def version_numbers(version: str | None) -> tuple[int, int, int] | None:
    """Major, minor and patch number of a version such as ``1.02`` or ``1.05.03``; None where it begins otherwise."""
    match = _VERSION.match(version or "")
    return None if match is None else (int(match[1]), int(match[2] or 0), int(match[3] or 0))
