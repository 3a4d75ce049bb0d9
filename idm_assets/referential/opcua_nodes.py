"""Nodes of OPC UA NodeSet2 files, as they are written: identifiers, references, values, required models.

Source: OPC UA Part 6, Annex F (UANodeSet) and 5.3.1.10 (text form of NodeIds).

Belongs here: the XML of NodeSet2 and the notation of identifiers. Does not belong here: other files that a file needs
(`idm_assets.referential.opcua_space`), what nodes mean as models and things (`idm_assets.referential.opcua_nodeset2`).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from xml.parsers import expat

from idm_assets.configuration import ConfigurationError

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 200
MAX_ELEMENTS: Final = 3_000_000
MAX_NODES: Final = 500_000
MAX_TEXT: Final = 2000
MAX_NODE_ID: Final = 4096
MAX_VALUE_PARTS: Final = 1000
MAX_NAME: Final = 255

UA: Final = "http://opcfoundation.org/UA/"
"""Namespace 0, the standard itself."""

_NODESET: Final = "http://opcfoundation.org/UA/2011/03/UANodeSet.xsd"
_NODE_CLASSES: Final = frozenset(
    {"UAObject", "UAVariable", "UAMethod", "UAView", "UAObjectType", "UAVariableType", "UADataType", "UAReferenceType"}
)
_VALUE_DEPTH: Final = 10
_CHUNK: Final = 1 << 18

_NODE_ID: Final = re.compile(r"(?:ns=([0-9]{1,5});)?(i=[0-9]{1,10}|s=.+|[gb]=\S+)", re.DOTALL)
_BROWSE_NAME: Final = re.compile(r"(?:([0-9]{1,5}):)?(.+)", re.DOTALL)
_RANK: Final = re.compile(r"-?[0-9]{1,9}")


class NodeId(NamedTuple):
    """Identifier of a node, independent of the file that mentions it.

    Attributes:
        namespace: URI of the namespace.
        identifier: what identifies the node in it, as in ``i=1001``.
    """

    namespace: str
    identifier: str

    def expanded(self) -> str:
        """As clients write it, such as ``nsu=http://opcfoundation.org/UA/DI/;i=1001``; namespace 0 is left out."""
        if self.namespace == UA:
            return self.identifier
        # OPC UA Part 6, 5.3.1.11: these two characters of a URI are escaped
        return f"nsu={self.namespace.replace('%', '%25').replace(';', '%3B')};{self.identifier}"


class BrowseName(NamedTuple):
    """Name of a node among its neighbours, and the namespace that coined it."""

    namespace: str
    name: str


class Reference(NamedTuple):
    """A reference as one of its two ends states it.

    Attributes:
        kind: type of the reference.
        forward: it leads from the stating node to the target, not the other way round.
        target: the other end.
    """

    kind: NodeId
    forward: bool
    target: NodeId


class ValuePart(NamedTuple):
    """A text in a value, with the names of the elements around it below ``Value``, the innermost last."""

    path: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Node:
    """One node.

    Attributes:
        id: its identifier.
        node_class: ``UAObject``, ``UAVariable``, ...
        browse_name: its name among its neighbours.
        display_name: its name for people.
        description: what people say of it.
        references: as stated by the node itself.
        data_type: type of a variable's value.
        value_rank: number of dimensions of a variable's value; negative: a single value, or any.
        value: texts of a variable's value.
        fields: values and names of an enumeration.
        place: ``file:line``.
    """

    id: NodeId
    node_class: str
    browse_name: BrowseName
    display_name: str
    description: str | None
    references: tuple[Reference, ...]
    place: str
    data_type: NodeId | None = None
    value_rank: int = -1
    value: tuple[ValuePart, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Requirement:
    """Another model that a model builds upon."""

    uri: str
    version: str | None
    published: str | None
    place: str


@dataclass(frozen=True, slots=True)
class ModelHeader:
    """A model that a file declares.

    Attributes:
        uri: its name, also that of its namespace.
        version: for people, such as ``1.03.0``.
        published: date and time; what versions are compared by (Part 6, F.5).
        requires: models that it builds upon.
        place: ``file:line``.
    """

    uri: str
    version: str | None
    published: str | None
    requires: tuple[Requirement, ...]
    place: str


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """How many nodes of each class a file declares."""

    objects: int
    variables: int
    methods: int
    views: int
    object_types: int
    variable_types: int
    data_types: int
    reference_types: int


@dataclass(frozen=True, slots=True)
class NodeSet:
    """One file: the models that it declares, and its nodes in the order of the file."""

    file: str
    models: tuple[ModelHeader, ...]
    nodes: tuple[Node, ...]

    def counts(self) -> NodeCounts:
        """How many nodes of each class there are."""
        by_class = Counter(node.node_class for node in self.nodes)
        return NodeCounts(
            by_class["UAObject"],
            by_class["UAVariable"],
            by_class["UAMethod"],
            by_class["UAView"],
            by_class["UAObjectType"],
            by_class["UAVariableType"],
            by_class["UADataType"],
            by_class["UAReferenceType"],
        )


def read_nodes(path: Path) -> NodeSet:
    """Read a NodeSet2 file.

    Raises:
        ConfigurationError: it cannot be read, is unsafe, too large, cut off or no NodeSet2; with file and line.
    """
    reader = _Reader(str(path))
    _feed(path, reader)
    return NodeSet(str(path), reader.models(), tuple(reader.nodes.values()))


def read_models(path: Path) -> tuple[ModelHeader, ...]:
    """Read only which models a NodeSet2 file declares and requires, up to its first node.

    Raises:
        ConfigurationError: as for `read_nodes`, as far as the file is read.
    """
    reader = _Reader(str(path))
    _feed(path, reader, until_first_node=True)
    return reader.models()


def refused(place: str, text: str) -> ConfigurationError:
    """The error for one problem at one place."""
    return ConfigurationError([f"{place}: {text}"])


def _feed(path: Path, reader: _Reader, *, until_first_node: bool = False) -> None:
    size = 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise refused(str(path), f"larger than {MAX_BYTES} bytes; no NodeSet2 file is")
                reader.parser.Parse(chunk, False)  # noqa: FBT003 - expat takes the flag by position
                if until_first_node and reader.nodes:
                    return
        reader.parser.Parse(b"", True)  # noqa: FBT003
    except OSError as error:
        raise refused(str(path), f"cannot be read: {error.strerror}") from None
    except expat.ExpatError as error:
        what = f"{expat.ErrorString(error.code)}, column {error.offset + 1}"
        raise refused(f"{path}:{error.lineno}", f"no complete XML: {what}; is the file cut off?") from None
    except (LookupError, ValueError) as error:
        raise refused(str(path), f"no readable XML: {error}") from None


@dataclass(slots=True)
class _Draft:
    """A node while its element is open."""

    node_class: str
    attributes: dict[str, str]
    place: str
    display_names: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    descriptions: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    references: list[Reference] = field(default_factory=list[Reference])
    value: list[ValuePart] = field(default_factory=list[ValuePart])
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


class _Reader:
    """Handlers for expat that turn elements into nodes one by one, and stop at the limits while they read."""

    def __init__(self, file: str) -> None:
        self.nodes: dict[NodeId, Node] = {}
        self._file = file
        self._namespaces = [UA]
        self._aliases: dict[str, NodeId] = {}
        self._headers: list[tuple[ModelHeader, list[Requirement]]] = []
        self._elements = 0
        self._path: list[str] = []
        self._attributes: list[dict[str, str]] = []
        self._text: list[str] = []
        self._length = 0
        self._draft: _Draft | None = None
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters

    def models(self) -> tuple[ModelHeader, ...]:
        """The models that the file declares.

        Files from before ``Models`` was introduced declare the first of their namespaces and build upon the others.
        """
        if not self._headers:
            own, *others = self._namespaces[1:] or [UA]
            needs = tuple(Requirement(uri, None, None, self._file) for uri in others)
            return (ModelHeader(own, None, None, needs, self._file),)
        return tuple(
            ModelHeader(model.uri, model.version, model.published, tuple(needs), model.place)
            for model, needs in self._headers
        )

    def _place(self) -> str:
        return f"{self._file}:{self.parser.CurrentLineNumber}"

    def _doctype(self, *_: object) -> None:
        raise refused(self._place(), "document type declarations and entities are refused; remove them")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        namespace, _, local = name.rpartition(" ")
        self._path.append(local)
        self._attributes.append(attributes)
        self._text.clear()
        self._length = 0
        depth = len(self._path)
        if depth > MAX_DEPTH:
            raise refused(self._place(), f"elements are nested deeper than {MAX_DEPTH} levels")
        if self._elements > MAX_ELEMENTS:
            raise refused(self._place(), f"more than {MAX_ELEMENTS} elements; split the file")
        if depth == 1 and (local != "UANodeSet" or namespace != _NODESET):
            raise refused(
                self._place(),
                f"expected UANodeSet in namespace {_NODESET!r}, got {local[:MAX_NAME]} in namespace "
                f"{namespace[:MAX_NAME]!r}; give a NodeSet2 file",
            )
        if depth == 2 and namespace == _NODESET and local in _NODE_CLASSES:
            self._draft = _Draft(local, attributes, self._place())
        elif self._draft is None:
            self._model_started(attributes)

    def _characters(self, data: str) -> None:
        # one character more than any text may have tells that it was longer
        if self._length <= MAX_NODE_ID:
            data = data[: MAX_NODE_ID + 1 - self._length]
            self._text.append(data)
            self._length += len(data)

    def _end(self, _: str) -> None:
        text = "".join(self._text).strip()
        if self._draft is None:
            self._header_ended(text)
        elif len(self._path) == 2:
            self._add(self._draft)
            self._draft = None
        else:
            self._part_ended(self._draft, text)
        self._path.pop()
        self._attributes.pop()
        self._text.clear()
        self._length = 0

    # --- before the nodes --------------------------------------------------------------------------------

    def _model_started(self, attributes: dict[str, str]) -> None:
        below = self._path[1:]
        if below == ["Models", "Model"]:
            uri, version, published = self._model(attributes)
            self._headers.append((ModelHeader(uri, version, published, (), self._place()), []))
        elif below == ["Models", "Model", "RequiredModel"]:
            self._headers[-1][1].append(Requirement(*self._model(attributes), self._place()))

    def _model(self, attributes: dict[str, str]) -> tuple[str, str | None, str | None]:
        uri = attributes.get("ModelUri", "").strip()
        if not 0 < len(uri) <= MAX_TEXT:
            raise refused(self._place(), f"a model needs a ModelUri of 1 to {MAX_TEXT} characters")
        version = attributes.get("ModelVersion") or attributes.get("Version") or ""
        published = attributes.get("PublicationDate", "")
        return uri, version.strip()[:MAX_NAME] or None, published.strip()[:MAX_NAME] or None

    def _header_ended(self, text: str) -> None:
        below = self._path[1:]
        if below == ["NamespaceUris", "Uri"]:
            if not 0 < len(text) <= MAX_TEXT:
                raise refused(self._place(), f"the URI of a namespace must have 1 to {MAX_TEXT} characters")
            self._namespaces.append(text)
        elif below == ["Aliases", "Alias"]:
            self._aliases[self._attributes[-1].get("Alias", "")] = self._node_id(text, self._place())

    # --- nodes -------------------------------------------------------------------------------------------

    def _part_ended(self, draft: _Draft, text: str) -> None:
        below, attributes = self._path[2:], self._attributes[-1]
        match below[0]:
            case "DisplayName" if len(below) == 1:
                draft.display_names.append((attributes.get("Locale", ""), text))
            case "Description" if len(below) == 1:
                draft.descriptions.append((attributes.get("Locale", ""), text))
            case "References" if below[1:] == ["Reference"]:
                kind = self._node_id(attributes.get("ReferenceType", ""), self._place())
                forward = attributes.get("IsForward", "true").strip() not in {"false", "0"}
                draft.references.append(Reference(kind, forward, self._node_id(text, self._place())))
            case "Value" if text and 1 < len(below) <= _VALUE_DEPTH and len(draft.value) < MAX_VALUE_PARTS:
                draft.value.append(ValuePart(tuple(name[:MAX_NAME] for name in below[1:]), text[:MAX_TEXT]))
            case "Definition" if below[1:] == ["Field"] and "Value" in attributes:
                if len(draft.fields) < MAX_VALUE_PARTS:
                    draft.fields.append((attributes["Value"][:MAX_NAME], attributes.get("Name", "")[:MAX_NAME]))
            case _:
                pass

    def _add(self, draft: _Draft) -> None:
        place, attributes = draft.place, draft.attributes
        own = self._node_id(attributes.get("NodeId", ""), place)
        if own in self.nodes:
            raise refused(place, f"node {attributes['NodeId']!r} was already described in {self.nodes[own].place}")
        if len(self.nodes) >= MAX_NODES:
            raise refused(place, f"more than {MAX_NODES} nodes; split the file")
        browse_name = self._browse_name(attributes.get("BrowseName", ""), place)
        data_type, rank = None, -1
        if draft.node_class in {"UAVariable", "UAVariableType"}:
            data_type = self._node_id(attributes.get("DataType", "i=24"), place)
            rank = _rank(attributes.get("ValueRank", "-1").strip(), place)
        self.nodes[own] = Node(
            id=own,
            node_class=draft.node_class,
            browse_name=browse_name,
            display_name=_preferred(draft.display_names)[:MAX_NAME] or browse_name.name,
            description=_preferred(draft.descriptions)[:MAX_TEXT] or None,
            references=tuple(draft.references),
            place=place,
            data_type=data_type,
            value_rank=rank,
            value=tuple(draft.value) if draft.node_class == "UAVariable" else (),
            fields=tuple(draft.fields),
        )

    def _node_id(self, text: str, place: str) -> NodeId:
        text = text.strip()
        found = self._aliases.get(text)
        if found is not None:
            return found
        match = _NODE_ID.fullmatch(text) if len(text) <= MAX_NODE_ID else None
        if match is None:
            raise refused(
                place,
                f"{text[:MAX_NAME]!r} is neither a NodeId, as in 'ns=1;i=1001', nor an alias of this file; "
                "correct it, or add it to Aliases",
            )
        return NodeId(self._namespace(match[1], place), _normal(match[2]))

    def _browse_name(self, text: str, place: str) -> BrowseName:
        match = _BROWSE_NAME.fullmatch(text.strip()[:MAX_NAME])
        if match is None:
            raise refused(place, "a node needs a BrowseName, as in '1:Pump'")
        return BrowseName(self._namespace(match[1], place), match[2])

    def _namespace(self, index: str | None, place: str) -> str:
        number = int(index or 0)
        if number >= len(self._namespaces):
            raise refused(
                place, f"namespace {number} is used, but NamespaceUris of this file ends at {len(self._namespaces) - 1}"
            )
        return self._namespaces[number]


def _normal(identifier: str) -> str:
    """The same identifier in the one form in which it is compared."""
    match identifier[0]:
        case "i":
            return f"i={int(identifier[2:])}"
        case "g":
            return identifier.lower()
        case _:
            return identifier


def _rank(text: str, place: str) -> int:
    if not _RANK.fullmatch(text):
        raise refused(place, f"ValueRank must be a whole number, got {text[:MAX_NAME]!r}")
    return int(text)


def _preferred(texts: list[tuple[str, str]]) -> str:
    """The English text or, if there is none, the first one."""
    english = (text for locale, text in texts if text and (not locale or locale.lower().startswith("en")))
    return next(english, next((text for _, text in texts if text), ""))
