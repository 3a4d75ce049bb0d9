"""Importer for ``Devices.xml``, the description that an MTConnect agent is set up with.

Source: ANSI/MTC1.4 Part 2 (devices information model); any namespace of MTConnect 1.x and 2.x is read.
A device and each of its components becomes an avatar, its element name the data model, each DataItem an
attribute of its component and a binding of the tag that the adapter sends.

Belongs here: everything that knows MTConnect. Does not belong here: plants, validity, tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from xml.parsers import expat

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.description import (
    Attribute,
    Avatar,
    Binding,
    DataType,
    Description,
    Equipment,
    Kind,
    Model,
)
from idm_assets.referential.units import UnitError, symbol_of

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_DEPTH: Final = 100
MAX_ELEMENTS: Final = 500_000
MAX_NAME: Final = 255
MAX_TEXT: Final = 2000

# Events whose values are numbers though the standard gives them no unit (Part 2, event types).
NUMERIC_EVENTS: Final = frozenset(
    {
        "ACTIVATION_COUNT",
        "AXIS_FEEDRATE_OVERRIDE",
        "BLOCK_COUNT",
        "CYCLE_COUNT",
        "DEACTIVATION_COUNT",
        "HARDNESS",
        "LOAD_COUNT",
        "PART_COUNT",
        "PATH_FEEDRATE_OVERRIDE",
        "ROTARY_VELOCITY_OVERRIDE",
        "TRANSFER_COUNT",
        "UNLOAD_COUNT",
    }
)
_CATEGORIES: Final = ("SAMPLE", "EVENT", "CONDITION")
_SEVERAL_VALUES: Final = frozenset({"DATA_SET", "TABLE", "TIME_SERIES"})
_NAMESPACE: Final = re.compile(r"urn:mtconnect\.org:MTConnectDevices:[12]\.\d+")


@dataclass(slots=True)
class _Element:
    """One XML element, without its namespace, and where it stands."""

    name: str
    namespace: str
    attributes: dict[str, str]
    place: str
    children: list[_Element] = field(default_factory=list["_Element"])
    text: str = ""

    def child(self, name: str) -> _Element | None:
        return next((c for c in self.children if c.name == name), None)

    def get(self, name: str) -> str | None:
        """An attribute, None where it is absent or blank."""
        return self.attributes.get(name, "").strip() or None


@dataclass(frozen=True, slots=True)
class _Component:
    """A device or component, with the avatar that it becomes."""

    element: _Element
    avatar: Avatar
    source: str


@dataclass(frozen=True, slots=True)
class _Item:
    """A DataItem, with the attribute and the binding that it becomes."""

    element: _Element
    model: str
    attribute: Attribute
    binding: Binding

    def renamed(self, name: str) -> _Item:
        return replace(
            self,
            attribute=replace(self.attribute, name=name),
            binding=replace(self.binding, attribute=name),
        )


def read_devices(path: Path) -> Description:
    """Read a ``Devices.xml`` file.

    Raises:
        ConfigurationError: the file cannot be read or means nothing; each problem with file and line.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    return parse_devices(data, str(path))


def parse_devices(data: bytes, file: str) -> Description:
    """Describe the devices of one ``Devices.xml`` document.

    An avatar is known by the component's id, since names repeat within a device and change between versions.
    Where devices share a component id, which the standard forbids and agents accept, the id stays with the
    device that it begins with, and becomes ``device id/component id`` in the others.

    Attributes are named after type and subtype. DataItems of one component that would get the same name are
    told apart by their own names. Where two components of one model give an attribute different kinds, types
    or units, all of them get these appended, as in ``load_percent`` and ``load_unitless``.

    Args:
        data: the document.
        file: its name, for messages.

    Raises:
        ConfigurationError: the document is unsafe, cut off or contradicts the standard.
    """
    root = _parse_xml(data, file)
    if root.name != "MTConnectDevices" or not _NAMESPACE.fullmatch(root.namespace):
        raise _refused(
            root.place,
            f"expected MTConnectDevices of MTConnect 1.x or 2.x, got {root.name[:MAX_NAME]} in namespace "
            f"{root.namespace[:MAX_NAME]!r}; export the device model of the agent (/probe)",
        )
    devices = root.child("Devices")
    remarks: list[str] = []
    components = _components(devices.children if devices else [], remarks)
    if not components:
        raise _refused(root.place, "there is no Device in this file")
    problems: list[str] = []
    items: list[_Item] = []
    for component in components:
        try:
            items += _items(component, remarks)
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    items = _without_contradictions(items, remarks)
    return Description(
        models=_models((c.avatar.model for c in components), items),
        equipment=tuple(
            Equipment(c.avatar.name, c.avatar.description, c.avatar.origin)
            for c in components
            if c.avatar.parent is None
        ),
        avatars=tuple(c.avatar for c in components),
        bindings=tuple(item.binding for item in items),
        remarks=tuple(dict.fromkeys(remarks)),
    )


def snake_case(name: str) -> str:
    """A name in small ASCII letters, digits and underscores; empty if nothing of it can be kept.

    >>> snake_case("x:PartCountAct"), snake_case("Spindle_Speed"), snake_case("PATH_FEEDRATE")
    ('part_count_act', 'spindle_speed', 'path_feedrate')
    """
    plain = unicodedata.normalize("NFKD", name.rpartition(":")[2]).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", plain)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")


# --- reading XML -----------------------------------------------------------------------------------------


def _refused(place: str, text: str) -> ConfigurationError:
    return ConfigurationError([f"{place}: {text}"])


class _TreeBuilder:
    """Handlers for expat that build the tree, and stop at the limits while they read."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._elements = 0
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.top = _Element("", "", {}, file)
        self._open = [self.top]

    def _place(self) -> str:
        return f"{self._file}:{self.parser.CurrentLineNumber}"

    def _doctype(self, *_: object) -> None:
        raise _refused(self._place(), "document type declarations and entities are refused; remove them")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._open) > MAX_DEPTH:
            raise _refused(self._place(), f"elements are nested deeper than {MAX_DEPTH} levels")
        if self._elements > MAX_ELEMENTS:
            raise _refused(self._place(), f"more than {MAX_ELEMENTS} elements; split the file by machines")
        namespace, _, local = name.rpartition(" ")
        element = _Element(local, namespace, attributes, self._place())
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, _: str) -> None:
        self._open.pop()

    def _text(self, data: str) -> None:
        element = self._open[-1]
        if element.name == "Description" and len(element.text) < MAX_TEXT:
            element.text += data[:MAX_TEXT]


def _parse_xml(data: bytes, file: str) -> _Element:
    """The tree of a document without document type, entities, or excessive size and depth."""
    if len(data) > MAX_BYTES:
        raise _refused(file, f"larger than {MAX_BYTES} bytes; no device description is")
    builder = _TreeBuilder(file)
    try:
        builder.parser.Parse(data, True)  # noqa: FBT003 - expat takes the flag by position
    except expat.ExpatError as error:
        what = f"{expat.ErrorString(error.code)}, column {error.offset + 1}"
        raise _refused(f"{file}:{error.lineno}", f"no complete XML: {what}; is the file cut off?") from None
    except (LookupError, ValueError) as error:
        raise _refused(file, f"no readable XML: {error}") from None
    return builder.top.children[0]


# --- devices and components ------------------------------------------------------------------------------


def _components(devices: Iterable[_Element], remarks: list[str]) -> list[_Component]:
    """All devices and components, parents before their parts."""
    found: list[_Component] = []
    problems: list[str] = []
    owners = _owners_of_shared_ids(devices)

    def walk(element: _Element, device: _Component | None, parent: str | None) -> None:
        own = element.get("id")
        if own is None or len(own) > MAX_NAME:
            problems.append(f"{element.place}: {element.name} has no id of 1 to {MAX_NAME} characters")
            return
        avatar = own
        if device is not None and own in owners and owners[own] != device.avatar.avatar:
            avatar = f"{device.avatar.avatar}/{own}"
            remarks.append(
                f"{element.place}: id {own!r} of {element.name} is used in several devices; "
                f"in {device.avatar.avatar!r} it is called {avatar!r}"
            )
        component = _component(element, avatar, device, parent)
        if device is None and ("/" in component.source or len(component.source) > MAX_NAME):
            problems.append(f"{element.place}: device name {component.source[:MAX_NAME]!r} is too long or contains '/'")
        found.append(component)
        for inner in _inner_components(element):
            walk(inner, device or component, avatar)

    for device in devices:
        walk(device, None, None)
    if problems:
        raise ConfigurationError(problems)
    return found


def _owners_of_shared_ids(devices: Iterable[_Element]) -> dict[str, str | None]:
    """For each component id that several devices use: the one device id that it begins with, or None."""
    users: dict[str, set[str]] = {}
    for device in devices:
        for element in _all_components(device):
            users.setdefault(element.get("id") or "", set()).add(device.get("id") or "")
    owners: dict[str, str | None] = {}
    for own, device_ids in users.items():
        if len(device_ids) > 1:
            begins = sorted((d for d in device_ids if d and own.startswith(d)), key=len)
            owners[own] = begins[-1] if begins else None
    return owners


def _inner_components(element: _Element) -> list[_Element]:
    components = element.child("Components")
    return components.children if components else []


def _all_components(element: _Element) -> Iterator[_Element]:
    yield element
    for inner in _inner_components(element):
        yield from _all_components(inner)


def _component(element: _Element, avatar: str, device: _Component | None, parent: str | None) -> _Component:
    about = element.child("Description") or _Element("Description", "", {}, element.place)
    name = element.get("name") or (element.name if device else avatar)
    return _Component(
        element,
        Avatar(
            avatar=avatar,
            name=name,
            model=element.name,
            parent=parent,
            equipment=device.avatar.equipment if device else name,
            external_ids=_given(uuid=element.get("uuid"), serial_number=about.get("serialNumber")),
            static_attributes=_given(manufacturer=about.get("manufacturer"), product=about.get("model")),
            description=" ".join(about.text.split()) or None,
            origin=element.place,
        ),
        device.source if device else name,
    )


def _given(**values: str | None) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


# --- data items ------------------------------------------------------------------------------------------


def _items(component: _Component, remarks: list[str]) -> list[_Item]:
    """The DataItems of one component, with names that are unique in it.

    Raises:
        ConfigurationError: a DataItem lacks what the standard requires, or its units contradict each other.
    """
    container = component.element.child("DataItems")
    items: list[_Item] = []
    problems: list[str] = []
    for element in container.children if container else []:
        if element.name == "DataItem":
            try:
                items.append(_item(component, element, remarks))
            except ConfigurationError as error:
                problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    repeated = _repeated_names(items)
    items = [
        i.renamed(f"{i.attribute.name}_{_own_name(i.element)}") if i.attribute.name in repeated else i for i in items
    ]
    repeated = _repeated_names(items)
    if repeated:
        raise ConfigurationError(
            [
                f"{i.element.place}: DataItem {i.binding.tag!r} cannot be told apart from another one of "
                f"{component.avatar.avatar!r}, both are {i.attribute.name!r}; give it a name of its own"
                for i in items
                if i.attribute.name in repeated
            ]
        )
    return items


def _repeated_names(items: Iterable[_Item]) -> set[str]:
    return {name for name, count in Counter(item.attribute.name for item in items).items() if count > 1}


def _own_name(element: _Element) -> str:
    return snake_case(element.get("name") or "") or snake_case(element.get("id") or "") or "item"


def _item(component: _Component, element: _Element, remarks: list[str]) -> _Item:
    category, kind_name, own = (element.get(name) or "" for name in ("category", "type", "id"))
    sub_type = element.get("subType") or ""
    tag = element.get("name") or own
    if (
        category not in _CATEGORIES
        or not snake_case(kind_name)
        or not own
        or max(len(tag), len(kind_name), len(sub_type)) > MAX_NAME
    ):
        raise _refused(
            element.place,
            f"DataItem needs an id, a type and one of the categories {', '.join(_CATEGORIES)}, "
            f"got id {own[:MAX_NAME]!r}, type {kind_name[:MAX_NAME]!r}, category {category[:MAX_NAME]!r}",
        )
    data_type, kind = _type_and_kind(element, category, kind_name)
    unit, delivered_unit, scale = None, None, 1.0
    if kind != "state":
        unit, delivered_unit, scale = _scale(element, data_type, remarks)
    name = "_".join(
        filter(None, (snake_case(kind_name), snake_case(sub_type), "condition" * (category == "CONDITION")))
    )
    return _Item(
        element,
        component.avatar.model,
        Attribute(name, data_type, kind, unit, " ".join(filter(None, ("MTConnect", category, kind_name, sub_type)))),
        Binding(
            component.source,
            tag,
            component.avatar.avatar,
            name,
            delivered_unit,
            scale,
            origin=element.place,
        ),
    )


def _type_and_kind(element: _Element, category: str, kind_name: str) -> tuple[DataType, Kind]:
    """Data type and kind of the attribute that a DataItem becomes."""
    units = element.get("units") or element.get("nativeUnits")
    several = (element.get("representation") or "").upper() in _SEVERAL_VALUES
    if category == "CONDITION":
        return "string", "state"
    if several:
        return "string", "text"
    if units is not None and units.endswith("_3D"):
        return "vector3", "text"
    if category == "SAMPLE" or units is not None or kind_name in NUMERIC_EVENTS:
        return "double", "measurement"
    return "string", "state"


def _scale(element: _Element, data_type: str, remarks: list[str]) -> tuple[str | None, str | None, float]:
    """Canonical unit, delivered unit and scale of a DataItem.

    An adapter delivers native units. ``nativeScale`` divides the delivered value, as in the reference agent
    (cppagent, ``DataItem::computeConversionFactors``). Values that are no single number are published as
    delivered, hence in the native unit.
    """
    units = element.get("units")
    native = element.get("nativeUnits") or units
    delivered_unit = _symbol(native, element.place, remarks)
    if data_type != "double":
        if element.get("nativeScale"):
            remarks.append(f"{element.place}: nativeScale of a value that is no single number is not applied")
        return delivered_unit, delivered_unit, 1.0
    unit = _symbol(units or native, element.place, remarks)
    return unit, delivered_unit, 1 / _native_scale(element)


def _native_scale(element: _Element) -> float:
    text = element.get("nativeScale") or "1"
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 1e-30 < abs(scale) < 1e30:
        raise _refused(element.place, f"nativeScale must be a number other than 0, got {text[:MAX_NAME]!r}")
    return scale


def _symbol(name: str | None, place: str, remarks: list[str]) -> str | None:
    """Symbol of a unit; an unknown one is kept as it is, since it still tells people something."""
    if name is None:
        return None
    try:
        return symbol_of(name)
    except UnitError as error:
        remarks.append(f"{place}: {error}; it is kept as it is and cannot be converted")
        return name[:64]


# --- models ----------------------------------------------------------------------------------------------


def _without_contradictions(items: list[_Item], remarks: list[str]) -> list[_Item]:
    """The same items, renamed where components of one model disagree about an attribute."""
    variants: dict[tuple[str, str], dict[Attribute, _Item]] = {}
    for item in items:
        key = replace(item.attribute, description=None)
        variants.setdefault((item.model, item.attribute.name), {}).setdefault(key, item)
    names: dict[tuple[str, Attribute], str] = {}
    for (model, name), group in variants.items():
        if len(group) > 1:
            for attribute in group:
                names[model, attribute] = _distinct_name(attribute, tuple(group))
            places = ", ".join(f"{names[model, a]!r} ({i.element.place})" for a, i in group.items())
            remarks.append(f"attribute {name!r} of model {model!r} means different things and becomes {places}")
    renamed: list[_Item] = []
    for item in items:
        name = names.get((item.model, replace(item.attribute, description=None)))
        renamed.append(item if name is None else item.renamed(name))
    return renamed


def _distinct_name(attribute: Attribute, variants: tuple[Attribute, ...]) -> str:
    """The attribute's name with those of kind, data type and unit appended in which the variants differ."""
    parts = [attribute.name]
    if len({a.kind for a in variants}) > 1:
        parts.append(attribute.kind)
    same_kind = [a for a in variants if a.kind == attribute.kind]
    if len({a.data_type for a in same_kind}) > 1:
        parts.append(attribute.data_type)
    if len({a.unit for a in same_kind}) > 1:
        readable = (attribute.unit or "unitless").replace("%", "percent").replace("/", " per ")
        parts.append(snake_case(readable) or "other_unit")
    return "_".join(parts)


def _models(names: Iterable[str], items: Iterable[_Item]) -> tuple[Model, ...]:
    attributes: dict[str, dict[str, Attribute]] = {name: {} for name in names}
    for item in items:
        attributes[item.model].setdefault(item.attribute.name, item.attribute)
    return tuple(
        Model(name, f"MTConnect {name}", tuple(sorted(attributes[name].values(), key=lambda a: a.name)))
        for name in sorted(attributes)
    )
