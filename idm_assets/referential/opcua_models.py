"""Data models out of OPC UA object types: names, inherited attributes, data types, units and ranges.

Sources: OPC UA Part 3 (types, modelling rules), Part 5 (base types), Part 8 (units, ranges, discrete items).

Belongs here: what an object type and its variables mean as a data model. Does not belong here: instances
(`idm_assets.referential.opcua_nodeset2`), how nodes are found (`idm_assets.referential.opcua_space`).
"""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from idm_assets.referential.description import NUMERIC, Attribute, DataType, Kind, Model, default_kind
from idm_assets.referential.opcua_nodes import MAX_TEXT, UA, BrowseName, Node, NodeId
from idm_assets.referential.opcua_space import (
    ATTRIBUTE_STEPS,
    HAS_PROPERTY,
    AddressSpace,
    BrowsePath,
    Member,
    is_declaration,
    version_numbers,
)
from idm_assets.referential.unece import NAMESPACE as UNECE
from idm_assets.referential.unece import symbol_of_display_name, symbol_of_unece, unece_code_of

MAX_MODEL_NAME: Final = 127
MAX_ATTRIBUTE_NAME: Final = 255

_EVENTS: Final = NodeId(UA, "i=2041")  # BaseEventType
_EVENT_ID: Final = (BrowseName(UA, "EventId"),)
_DURATION: Final = NodeId(UA, "i=290")
# Enumeration and StatusCode
_CHOICES: Final = frozenset({NodeId(UA, "i=29"), NodeId(UA, "i=19")})
# StateVariableType, and DiscreteItemType with its subtypes for two and more states
_STATES: Final = frozenset({NodeId(UA, "i=2755"), NodeId(UA, "i=2372")})

# Data types of the standard that decide what values look like; the others are derived from one of them (Part 3, 8).
_DATA_TYPES: Final[Mapping[str, DataType]] = {
    "i=1": "boolean",
    **dict.fromkeys((f"i={n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 19, 27, 28, 29)), "integer"),
    **dict.fromkeys(("i=10", "i=11", "i=26", "i=50"), "double"),
    "i=13": "timestamp",
    **dict.fromkeys((f"i={n}" for n in (12, 14, 15, 16, 17, 18, 20, 21, 22, 23, 24, 25)), "string"),
}
# Those that no single text or number stands for, and how they are called.
_OPAQUE: Final[Mapping[str, str]] = {"i=15": "bytes", "i=22": "structure", "i=24": "value of any type"}


class ModelMaker:
    """Makes models out of the object types of an address space, and remembers what they inherit.

    Attributes:
        remarks: what was accepted but ought to be known, one sentence each.
    """

    def __init__(self, space: AddressSpace) -> None:
        self._space = space
        self.remarks: list[str] = []
        self._spaces = _short_namespaces(space)
        self._names = self._model_names()
        self._taken = set(self._names.values())
        self._attributes: dict[NodeId, dict[BrowsePath, Attribute]] = {}

    # --- names -------------------------------------------------------------------------------------------

    def name_of(self, type_id: NodeId) -> str:
        """Name of the model that an object type becomes: namespace and BrowseName, as in ``DI.DeviceType``."""
        return self._names.get(type_id) or type_id.expanded()

    def name_for(self, thing: Node, avatar: str) -> str:
        """A new name, for the model of a thing that says more than its type: namespace and where the thing is."""
        name = model_name(f"{self._spaces.get(thing.id.namespace, 'UA')}.{avatar.replace('/', '.')}")
        if name in self._taken:
            name = _told_apart(name, thing.id)
        self._taken.add(name)
        return name

    def _model_names(self) -> dict[NodeId, str]:
        by_name: dict[str, list[Node]] = {}
        own = {model.uri for model in self._space.main.models}
        for node in self._space.nodes.values():
            if node.node_class == "UAObjectType":
                plain = f"{self._spaces[node.id.namespace]}.{node.browse_name.name}"
                name = model_name(plain)
                by_name.setdefault(name, []).append(node)
                if name != plain and node.id.namespace in own:
                    self.remarks.append(f"{node.place}: type {node.browse_name.name!r} becomes the model {name!r}")
        names: dict[NodeId, str] = {}
        for name, nodes in by_name.items():
            for node in nodes:
                names[node.id] = name if len(nodes) == 1 else _told_apart(name, node.id)
            if len(nodes) > 1:
                places = ", ".join(node.place for node in nodes[:3])
                self.remarks.append(f"{len(nodes)} types would be called {name!r} ({places}); a hash tells them apart")
        return names

    # --- attributes --------------------------------------------------------------------------------------

    def model_of(self, type_node: Node) -> Model:
        """The model that an object type becomes."""
        space = self._space
        lineage = space.lineage(type_node.id)
        above = lineage[1] if len(lineage) > 1 else None
        top = lineage[-1]
        if top not in space.nodes:
            self.remarks.append(
                f"{type_node.place}: {type_node.browse_name.name} is derived from {top.expanded()}, which is "
                "described in none of the files read; what it would inherit is missing"
            )
        without_rule = sum(
            node.node_class == "UAVariable" and kind != HAS_PROPERTY and not is_declaration(node)
            for node, kind in space.children(type_node.id)
        )
        if without_rule:
            self.remarks.append(
                f"{type_node.place}: {without_rule} variables of {type_node.browse_name.name} have no modelling rule; "
                "they belong to the type itself, not to its instances, and are no attributes"
            )
        header = space.models.get(type_node.id.namespace)
        numbers = version_numbers(header.version if header else None)
        attributes = self.attributes_of(type_node.id).values()
        return Model(
            name=self.name_of(type_node.id),
            description=type_node.description,
            attributes=tuple(sorted(attributes, key=lambda attribute: attribute.name)),
            version=None if numbers is None else ".".join(map(str, numbers)),
            kind="record" if _EVENTS in lineage else "telemetry",
            extends=None if above is None or above.namespace == UA else self.name_of(above),
            semantic_id=type_node.id.expanded(),
            origin=type_node.place,
        )

    def attributes_of(self, type_id: NodeId) -> Mapping[BrowsePath, Attribute]:
        """All attributes of an object type, the inherited ones among them, by the names that lead to the variable."""
        found: dict[BrowsePath, Attribute] = {}
        above: NodeId | None = None
        for ancestor in reversed(self._space.lineage(type_id)):
            if ancestor not in self._attributes:
                self._attributes[ancestor] = self._with_own(ancestor, above, found)
            found = self._attributes[ancestor]
            above = ancestor
        return found

    def _with_own(
        self, type_id: NodeId, above: NodeId | None, inherited: Mapping[BrowsePath, Attribute]
    ) -> dict[BrowsePath, Attribute]:
        """A type's attributes: those of its supertype, of its interfaces and its own; the later ones override."""
        space = self._space
        space.steps.take(ATTRIBUTE_STEPS * len(inherited), space.place(type_id))
        found: dict[BrowsePath, Attribute] = dict(inherited_from(inherited, self.name_of(above))) if above else {}
        for interface in space.interfaces(type_id):
            for ancestor in reversed(space.lineage(interface)):
                for path, attribute in self._declared(ancestor, found).items():
                    found.setdefault(path, replace(attribute, inherited_from=self.name_of(ancestor)))
        return found | self._declared(type_id, found)

    def _declared(self, type_id: NodeId, known: Mapping[BrowsePath, Attribute]) -> dict[BrowsePath, Attribute]:
        node = self._space.nodes.get(type_id)
        taken = {attribute.name: path for path, attribute in known.items()}
        found: dict[BrowsePath, Attribute] = {}
        for member in self._space.declared_members(node) if node else ():
            name = attribute_name(member.path)
            if member.path in found:
                self.remarks.append(
                    f"{member.node.place}: another variable of the type has the same BrowseName; this one is left out"
                )
                continue
            if taken.setdefault(name, member.path) != member.path:
                other, name = name, _told_apart(name, member.node.id)
                self.remarks.append(
                    f"{member.node.place}: another variable of the same type is called {other!r}; this one is {name!r}"
                )
            self._space.steps.take(ATTRIBUTE_STEPS, member.node.place)
            found[member.path] = self.attribute_of(member, name)
        return found

    def attribute_of(self, member: Member, name: str) -> Attribute:
        """The attribute that a variable becomes."""
        node = member.node
        data_type, notes = self._data_type(node)
        unit, minimum, maximum = None, None, None
        if data_type in NUMERIC:
            unit = self._unit(node)
            minimum, maximum = self._range(node)
        kind = _kind(member, data_type, discrete=self._is_state(node))
        described = [node.description] if node.description else []
        return Attribute(
            name=name,
            data_type=data_type,
            kind=kind,
            unit=unit,
            description=" ".join((*described, *notes))[:MAX_TEXT] or None,
            minimum=minimum,
            maximum=maximum,
            key=member.path == _EVENT_ID,
            required=member.mandatory,
            semantic_id=node.id.expanded(),
        )

    def _data_type(self, variable: Node) -> tuple[DataType, list[str]]:
        """Data type of a variable's values, and what a person needs to know to read them."""
        declared = variable.data_type or NodeId(UA, "i=24")
        lineage = self._space.lineage(declared)
        known = next((t.identifier for t in lineage if t.namespace == UA and t.identifier in _DATA_TYPES), None)
        node = self._space.nodes.get(declared)
        called = node.browse_name.name if node else declared.expanded()
        if known is None:
            return "string", [f"[data type {called} is not described]"]
        if variable.value_rank >= 0:
            return "string", [f"[array of {called}]"]
        data_type = _DATA_TYPES[known]
        if known in _OPAQUE:
            return data_type, [f"[{_OPAQUE[known]}]" if called in _PLAIN else f"[{called}]"]
        states = _fields_of(variable, self._space) or (_fields_of(node, self._space) if node else ())
        if data_type == "integer" and states:
            return data_type, ["[" + ", ".join(f"{value} {name}" for value, name in states)[: MAX_TEXT // 2] + "]"]
        return data_type, []

    def _is_state(self, variable: Node) -> bool:
        """Whether a variable's values are choices or bits, not quantities."""
        type_id = self._space.type_of(variable)
        if type_id is not None and not _STATES.isdisjoint(self._space.lineage(type_id)):
            return True
        if variable.data_type is None:
            return False
        node = self._space.nodes.get(variable.data_type)
        return bool(node and node.fields) or not _CHOICES.isdisjoint(self._space.lineage(variable.data_type))

    def _unit(self, variable: Node) -> str | None:
        """Symbol of the unit that the property EngineeringUnits gives (Part 8, 5.6.4); ms for a Duration."""
        if variable.data_type is not None and _DURATION in self._space.lineage(variable.data_type):
            return "ms"
        given = self._space.property_of(variable, "EngineeringUnits")
        if given is None or not given.value:
            return None
        number, called = _text(given, "UnitId")[:11], _text(given, "DisplayName", "Text")
        namespace = _text(given, "NamespaceUri").removesuffix("/")
        try:
            symbol = symbol_of_unece(unece_code_of(int(number))) if namespace in {UNECE, ""} else None
        except ValueError:
            symbol = None
        if symbol is not None:
            return symbol
        symbol = symbol_of_display_name(called)
        outcome = "it is taken by its name" if symbol else "its values have no unit"
        self.remarks.append(
            f"{given.place}: unit {called[:64]!r} of {variable.browse_name.name} has the number {number or 'nothing'} "
            f"in {namespace or 'no list'}, which is no known UNECE code; {outcome}"
        )
        return symbol

    def _range(self, variable: Node) -> tuple[float | None, float | None]:
        """Plausible values: what the instrument can return, else what is usual in operation (Part 8, 5.3.2.3)."""
        for name in ("InstrumentRange", "EURange"):
            given = self._space.property_of(variable, name)
            if given is not None and given.value:
                low, high = _number(_text(given, "Low")), _number(_text(given, "High"))
                if low is not None and high is not None and low < high:
                    return low, high
        return None, None


# the types that have no name worth telling besides what `_OPAQUE` calls them
_PLAIN: Final = frozenset({"ByteString", "Structure", "BaseDataType"})


def inherited_from(attributes: Mapping[BrowsePath, Attribute], model: str) -> Iterable[tuple[BrowsePath, Attribute]]:
    """The same attributes, as those have them who inherit them from a model."""
    for path, attribute in attributes.items():
        yield path, attribute if attribute.inherited_from else replace(attribute, inherited_from=model)


def model_name(text: str) -> str:
    """A name for a model: ASCII letters, digits, blanks, ``_``, ``.`` and ``-``, at most `MAX_MODEL_NAME` characters.

    >>> model_name("Presse.Füllstand #1")
    'Presse.Fullstand _1'
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9 _.-]", "_", plain).lstrip(" _.-")
    return plain[:MAX_MODEL_NAME].rstrip() or "unnamed"


def attribute_name(path: BrowsePath) -> str:
    """A name for an attribute: the names that lead to its variable, joined by dots.

    >>> attribute_name((BrowseName(UA, "Counters"), BrowseName(UA, "Parts.Good")))
    'Counters.Parts_Good'
    """
    parts = (re.sub(r"[^\w -]", "_", unicodedata.normalize("NFC", name.name)).strip() or "_" for name in path)
    return ".".join(parts)[:MAX_ATTRIBUTE_NAME]


def short_namespace(uri: str) -> str:
    """What a namespace is called in names of models.

    The rule: the path below ``opcfoundation.org/UA/`` without its years and months, elsewhere the host and the path,
    joined by dots.

    >>> short_namespace("http://opcfoundation.org/UA/Machinery/Jobs/"), short_namespace("urn:acme.com:press")
    ('Machinery.Jobs', 'acme.com.press')
    """
    parts = [part for part in re.split(r"[/:?#]+", re.sub(r"^(?:urn:|[A-Za-z][A-Za-z0-9+.-]*://)", "", uri)) if part]
    if parts and parts[0].lower().removeprefix("www.") == "opcfoundation.org":
        parts = [part for part in parts[1:] if part != "UA" and not part.isdigit()] or ["UA"]
    return model_name(".".join(parts))[:64]


def _short_namespaces(space: AddressSpace) -> dict[str, str]:
    """Short names of all namespaces; those that would share one are told apart by a hash."""
    by_name: dict[str, list[str]] = {}
    for uri in dict.fromkeys(node_id.namespace for node_id in space.nodes):
        by_name.setdefault(short_namespace(uri).lower(), []).append(uri)
    return {
        uri: short_namespace(uri) + (f"-{_digest(NodeId(uri, ''))}" if len(uris) > 1 else "")
        for uris in by_name.values()
        for uri in uris
    }


def _told_apart(name: str, node_id: NodeId) -> str:
    return f"{name[: MAX_MODEL_NAME - 13]}-{_digest(node_id)}"


def _digest(node_id: NodeId) -> str:
    return hashlib.sha256(node_id.expanded().encode()).hexdigest()[:12]


def _kind(member: Member, data_type: DataType, *, discrete: bool) -> Kind:
    """What a variable's values are.

    A property describes, and is text whatever its type; unless it is a floating-point number: servers publish
    measurements and set points as properties, too (as in the boiler of the OPC Foundation's samples).
    """
    if member.is_property:
        return "measurement" if data_type == "double" else "text"
    return "state" if discrete else default_kind(data_type)


def _fields_of(node: Node, space: AddressSpace) -> tuple[tuple[str, str], ...]:
    """Numbers and names of an enumeration, from its definition or its properties EnumStrings and EnumValues."""
    if node.fields:
        return node.fields
    names = space.property_of(node, "EnumStrings")
    if names is not None and names.value:
        texts = (part.text for part in names.value if part.path[-1] == "Text")
        return tuple((str(number), text) for number, text in enumerate(texts))
    values = space.property_of(node, "EnumValues")
    pairs: list[tuple[str, str]] = []
    number = ""
    for part in values.value if values else ():
        if part.path[-2:] == ("EnumValueType", "Value"):
            number = part.text
        elif part.path[-2:] == ("DisplayName", "Text"):
            pairs.append((number, part.text))
    return tuple(pairs)


def _text(node: Node, *ends: str) -> str:
    """The first text of a value whose innermost elements have these names; empty if there is none."""
    return next((part.text for part in node.value if part.path[-len(ends) :] == ends), "")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
