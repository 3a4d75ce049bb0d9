"""What documents say of shells and submodels, read by the BaSyx SDK and told in plain records.

The SDK reads version 3.1 of the metamodel, of which 3.0 is a part, and reads it strictly here: by default it
leaves out what it does not understand, and only logs that. Some faults are so common, also in the samples that
IDTA publishes, that they are mended before, each with a remark (`_Mender`).
Source: Specification of the Asset Administration Shell, Part 1: Metamodel, IDTA-01001-3-1.

Belongs here: everything that knows objects of the SDK for import. Does not belong here: models and avatars.
Importing this module imports the SDK, which takes 0.1 s: import it where it is needed.
"""

from __future__ import annotations

import io
import json
import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from xml.etree import ElementTree as ET

from basyx.aas import model as aas
from basyx.aas.adapter import json as aas_json
from basyx.aas.adapter import xml as aas_xml
from basyx.aas.model.concept import ConceptDescription

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.description import DataType
from idm_assets.referential.shells import version_two
from idm_assets.referential.shells.files import (
    JsonDocument,
    XmlDocument,
    read_documents,
    refused,
    refusing,
    shown,
)
from idm_assets.referential.shells.marks import MARK
from idm_assets.referential.shells.mending import EMPTY, NAMESPACES, Faults, Mender, local_name

MAX_NAME: Final = 500

_LISTS: Final = {
    "assetAdministrationShells": (
        "AssetAdministrationShell",
        aas_xml.XMLConstructables.ASSET_ADMINISTRATION_SHELL,
    ),
    "submodels": ("Submodel", aas_xml.XMLConstructables.SUBMODEL),
    "conceptDescriptions": ("ConceptDescription", aas_xml.XMLConstructables.CONCEPT_DESCRIPTION),
}
_QUALIFIERS_OF_CARDINALITY: Final = frozenset({"Cardinality", "Multiplicity", "SMT/Cardinality"})
_DATA_TYPES: Final[tuple[tuple[type[Any], DataType], ...]] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "double"),
    (aas.datatypes.Decimal, "double"),
    (aas.datatypes.DateTime, "timestamp"),
)
# The SDK leaves the types of streams open.
_read_json = cast("Callable[..., Iterable[aas.Identifiable]]", aas_json.read_aas_json_file)
_read_xml = cast("Callable[..., object]", aas_xml.read_aas_xml_element)


@dataclass(frozen=True, slots=True)
class Leaf:
    """An element of a submodel that has values of its own.

    Attributes:
        path: idShort path from the submodel down; items of lists without idShort by their index from 0.
        data_type: type of its values.
        texts: its values as text: "" the value itself, ``@de`` in another language, ``.min`` and ``.max`` of a range.
        minimum: smallest value of a range.
        maximum: largest value of a range.
        allowed: the only values of an enumeration.
        required: whether its cardinality, and those of the elements around it, ask for it.
        unit: unit as written.
        description: what it means, from itself or its concept description.
        semantic_id: where its meaning is defined.
        marks: what the export of shells wrote down for the import.
    """

    path: tuple[str, ...]
    data_type: DataType
    texts: Mapping[str, str]
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    required: bool = False
    unit: str | None = None
    description: str | None = None
    semantic_id: str | None = None
    marks: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Submodel:
    """A submodel; ``left_out`` counts its elements without values by class, the rest as in `Leaf`."""

    id: str
    id_short: str | None
    place: str
    is_template: bool
    version: str | None
    semantic_id: str | None
    description: str | None
    leaves: tuple[Leaf, ...]
    left_out: Mapping[str, int]
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell; ``specific_ids`` are pairs of name and value, sorted, ``submodels`` the ids of its submodels."""

    id: str
    id_short: str | None
    name: str | None
    place: str
    description: str | None
    asset_kind: str
    asset_type: str | None
    global_asset_id: str | None
    specific_ids: tuple[tuple[str, str], ...]
    submodels: tuple[str, ...]
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Environment:
    """The shells and submodels of a file, in its order, and what had to be mended to read them."""

    shells: tuple[Shell, ...]
    submodels: tuple[Submodel, ...]
    remarks: tuple[str, ...]


def read_environment(path: Path) -> Environment:
    """Read the shells and submodels of a file.

    Raises:
        ConfigurationError: the file is unsafe, or something in it is no valid shell, submodel or concept.
    """
    reader = _Reader()
    for document in read_documents(path):
        reader.read(document)
    return reader.environment()


# --- documents to objects --------------------------------------------------------------------------------


class _Reader:
    """Reads documents, and collects their objects, with where they stand, and what is wrong with them."""

    def __init__(self) -> None:
        self._found: list[tuple[aas.Identifiable, str]] = []
        self._places: dict[str, str] = {}
        self._remarks: list[str] = []
        self._problems: list[str] = []
        self._faults = Faults("")

    def read(self, document: JsonDocument | XmlDocument) -> None:
        """Read one document.

        Raises:
            ConfigurationError: it is no environment of shells and submodels at all.
        """
        self._faults = Faults(document.place)
        if isinstance(document, XmlDocument):
            self._read_xml(document)
        else:
            is_old = version_two.is_version_two(document.value)
            value = self._upgraded(document.value, document.place) if is_old else document.value
            self._read_lists(value, document.place, document.lines)
        self._remarks += self._faults.remarks()

    def environment(self) -> Environment:
        """What was read.

        Raises:
            ConfigurationError: something was not valid.
        """
        if self._problems:
            raise ConfigurationError(self._problems)
        concepts = {item.id.strip(): item for item, _ in self._found if isinstance(item, ConceptDescription)}
        return Environment(
            tuple(_shell(item, place) for item, place in self._found if isinstance(item, aas.AssetAdministrationShell)),
            tuple(
                _SubmodelReader(concepts, place).read(item)
                for item, place in self._found
                if isinstance(item, aas.Submodel)
            ),
            tuple(dict.fromkeys(self._remarks)),
        )

    def _upgraded(self, value: dict[str, Any], file: str) -> dict[str, Any]:
        self._remarks.append(f"{file}: metamodel version 2, which is read as version 3")
        # Version 2 writes empty members for what is not there.
        self._faults = Faults(file, expected=frozenset({EMPTY}))
        with refusing(file, "no readable shells of version 2"):
            return version_two.upgraded(value, file, self._remarks)

    def _read_lists(self, value: dict[str, Any], file: str, lines: Mapping[str, int]) -> None:
        """Read an environment in JSON, item by item, so that a complaint can say where."""
        if not value.keys() & _LISTS.keys():
            raise refused(
                f"{file}:1",
                f"expected {', '.join(_LISTS)} as AAS JSON has them, got {shown(', '.join(value) or 'nothing')}",
            )
        self._remarks += (
            f"{file}: {shown(unknown)} is nothing that AAS JSON has; it is left out"
            for unknown in sorted(value.keys() - _LISTS.keys())
        )
        for name in (name for name in _LISTS if name in value):
            if not isinstance(value[name], list):
                raise refused(f"{file}:1", f"{name} must be a list")
            for index, item in enumerate(cast("list[object]", value[name])):
                own = cast("dict[str, Any]", item).get("id") if isinstance(item, dict) else None
                if not isinstance(own, str):
                    raise refused(f"{file}:1", f"{name}[{index}] must be an object with an id")
                self._read_object(cast("dict[str, Any]", item), name, f"{file}:{lines.get(own, 1)}")

    def _read_object(self, item: dict[str, Any], name: str, place: str) -> None:
        about = f"{_LISTS[name][0]} {shown(item['id'])}"
        with self._taking(place, about) as mender:
            mended = mender.mended(item)
            store = _read_json(io.StringIO(json.dumps({name: [mended]})), failsafe=False)
            self._take(next(iter(store)), place)

    def _read_xml(self, document: XmlDocument) -> None:
        namespace, _, root = document.root.tag.removeprefix("{").rpartition("}")
        if namespace == version_two.NAMESPACE:
            value = self._upgraded(version_two.environment_of(document.root), document.place)
            lines = {
                (element.text or "").strip(): line
                for element, line in document.lines.items()
                if local_name(element) == "identification"
            }
            self._read_lists(value, document.place, lines)
            return
        if namespace not in NAMESPACES or root != "environment":
            raise refused(
                f"{document.place}:1",
                f"expected an environment of AAS version 2, 3.0 or 3.1, got {shown(root)} in namespace "
                f"{shown(namespace)}; export it anew with a current tool",
            )
        for listed in document.root:
            name = local_name(listed)
            if name not in _LISTS:
                raise refused(
                    f"{document.place}:{document.lines[listed]}", f"{shown(name)} is nothing that AAS XML has"
                )
            for element in listed:
                self._read_element(element, name, f"{document.place}:{document.lines[element]}")

    def _read_element(self, element: ET.Element, name: str, place: str) -> None:
        kind, constructable = _LISTS[name]
        own = next((child.text for child in element if local_name(child) == "id"), None)
        with self._taking(place, f"{kind} {shown(own)}") as mender:
            if local_name(element) != kind[0].lower() + kind[1:]:
                raise refused(place, f"{shown(local_name(element))} stands in the list {name}; move it to its own")
            mender.mend_xml(element)
            read = _read_xml(io.BytesIO(ET.tostring(element)), constructable, failsafe=False)
            self._take(cast("aas.Identifiable", read), place)

    @contextmanager
    def _taking(self, place: str, about: str) -> Generator[Mender]:
        """What is common to reading one object: mending, complaints of the SDK, and going on after a problem."""
        try:
            with refusing(place, f"{about} is not valid"), _complaints(place, self._remarks):
                yield Mender(place, about, self._faults)
        except ConfigurationError as error:
            self._problems += error.problems

    def _take(self, item: aas.Identifiable, place: str) -> None:
        first = self._places.get(item.id)
        if first is None:
            self._places[item.id] = place
            self._found.append((item, place))
        elif isinstance(item, ConceptDescription):
            # They only say what others mean; a second one adds nothing that could be missed.
            self._remarks.append(f"{place}: concept {shown(item.id)} is already described at {first}, which holds")
        else:
            raise refused(place, f"id {shown(item.id)} is already used at {first}; ids are unique")


@contextmanager
def _complaints(place: str, remarks: list[str]) -> Generator[None]:
    """Turn what the SDK only logs into remarks."""
    thread = threading.get_ident()

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.thread == thread:
                remarks.append(f"{place}: {record.getMessage()[:300]}")

    collector = Collector(logging.WARNING)
    logger = logging.getLogger("basyx")
    logger.addHandler(collector)
    try:
        yield
    finally:
        logger.removeHandler(collector)


# --- objects to records ----------------------------------------------------------------------------------


def _shell(shell: aas.AssetAdministrationShell, place: str) -> Shell:
    asset = shell.asset_information
    return Shell(
        id=shell.id,
        id_short=shell.id_short,
        name=_preferred(shell.display_name),
        place=place,
        description=_preferred(shell.description),
        asset_kind=asset.asset_kind.name,
        asset_type=asset.asset_type,
        global_asset_id=asset.global_asset_id,
        specific_ids=tuple(sorted((own.name, own.value) for own in asset.specific_asset_id)),
        submodels=tuple(sorted(reference.key[0].value for reference in shell.submodel)),
        marks=_marks(shell),
    )


def _marks(item: aas.HasExtension) -> dict[str, str]:
    return {
        extension.name.removeprefix(MARK): str(extension.value)
        for extension in item.extension
        if extension.name.startswith(MARK) and extension.value is not None
    }


def _languages(texts: aas.LangStringSet | None) -> dict[str, str]:
    """Texts by language, the preferred one first: English, else the one that comes first."""
    found = dict(texts.items()) if texts else {}
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower().partition("-")[0] != "en"))


def _preferred(texts: aas.LangStringSet | None) -> str | None:
    return next((text for text in _languages(texts).values() if text.strip()), None)


def _reference_text(reference: aas.Reference | None) -> str | None:
    """What a reference leads to; several keys, as in ``submodel/collection/property``, with slashes."""
    return "/".join(key.value.strip() for key in reference.key) or None if reference else None


@dataclass(frozen=True, slots=True)
class _Above:
    """What an element inherits from those around it."""

    path: tuple[str, ...] = ()
    may_be_absent: bool = False


class _SubmodelReader:
    """Tells a submodel in plain records."""

    def __init__(self, concepts: Mapping[str, ConceptDescription], place: str) -> None:
        self._concepts = concepts
        self._place = place
        self._left_out: Counter[str] = Counter()

    def read(self, submodel: aas.Submodel) -> Submodel:
        """The record of a submodel.

        Raises:
            ConfigurationError: the path to an element is too long.
        """
        leaves = tuple(self._leaves(submodel.submodel_element, _Above()))
        administration = submodel.administration
        version = administration.version if administration else None
        return Submodel(
            id=submodel.id,
            id_short=submodel.id_short,
            place=self._place,
            is_template=submodel.kind is aas.ModellingKind.TEMPLATE,
            version=f"{version}.{administration.revision or 0}.0" if administration and version else None,
            semantic_id=_reference_text(submodel.semantic_id),
            description=_preferred(submodel.description),
            leaves=leaves,
            left_out=self._left_out,
            marks=_marks(submodel),
        )

    def _leaves(self, elements: Iterable[aas.SubmodelElement], above: _Above) -> Iterator[Leaf]:
        for index, element in enumerate(elements):
            own = element.id_short
            # The SDK makes up an idShort for items of lists.
            if own is None or own.startswith("generated_submodel_list_hack_"):
                own = str(index)
            path = (*above.path, own)
            if sum(map(len, path)) + len(path) > MAX_NAME:
                raise refused(self._place, f"the path {shown('.'.join(path))} is longer than {MAX_NAME} characters")
            cardinality = _cardinality(element)
            here = _Above(path, above.may_be_absent or cardinality.startswith("Zero"))
            if isinstance(element, aas.SubmodelElementCollection | aas.SubmodelElementList):
                yield from self._leaves(cast("Iterable[aas.SubmodelElement]", element.value), here)
                continue
            values = _values(element)
            if values is None:
                self._left_out[type(element).__name__] += 1
            else:
                required = cardinality.startswith("One") and not here.may_be_absent
                yield self._leaf(element, values, here, required=required)
            if isinstance(element, aas.Entity):
                yield from self._leaves(element.statement, here)

    def _leaf(self, element: aas.SubmodelElement, texts: dict[str, str], here: _Above, *, required: bool) -> Leaf:
        semantic_id = _reference_text(element.semantic_id)
        content = _iec61360(element) or _iec61360(self._concepts.get(semantic_id or ""))
        is_range = isinstance(element, aas.Range)
        return Leaf(
            path=here.path,
            data_type=_data_type(element),
            texts=texts,
            minimum=_bound(element.min) if is_range else None,
            maximum=_bound(element.max) if is_range else None,
            allowed=tuple(sorted(pair.value for pair in content.value_list)) if content and content.value_list else (),
            required=required,
            unit=content.unit if content else None,
            description=_preferred(element.description) or (_preferred(content.definition) if content else None),
            semantic_id=semantic_id,
            marks=_marks(element),
        )


def _cardinality(element: aas.SubmodelElement) -> str:
    """One, OneToMany, ZeroToOne, ZeroToMany; empty where the element does not say."""
    return next(
        (str(qualifier.value) for qualifier in element.qualifier if qualifier.type in _QUALIFIERS_OF_CARDINALITY), ""
    )


def _values(element: aas.SubmodelElement) -> dict[str, str] | None:
    """Values as text, as `Leaf` has them; None for a class of elements that has no values."""
    texts: dict[str, str | None]
    match element:
        case aas.Property():
            texts = {"": _text(element.value)}
        case aas.MultiLanguageProperty():
            languages = _languages(element.value)
            texts = {"" if i == 0 else f"@{language}": text for i, (language, text) in enumerate(languages.items())}
        case aas.Range():
            texts = {".min": _text(element.min), ".max": _text(element.max)}
        case aas.File():
            texts = {"": element.value}
        case aas.ReferenceElement():
            texts = {"": _reference_text(element.value)}
        case aas.Entity():
            texts = {"": element.global_asset_id}
        case _:
            return None
    return {name: text for name, text in texts.items() if text is not None}


def _text(value: object) -> str | None:
    """A value as XML Schema writes it."""
    return None if value is None else aas.datatypes.xsd_repr(cast("Any", value))


def _data_type(element: aas.SubmodelElement) -> DataType:
    if isinstance(element, aas.Property | aas.Range):
        value_type = cast("type[Any]", element.value_type)
        for kind, name in _DATA_TYPES:
            if issubclass(value_type, kind):
                return name
    return "string"


def _bound(value: object) -> float | None:
    """An end of a range as a number, None where it is none, such as a date or infinity."""
    if not isinstance(value, int | float | aas.datatypes.Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _iec61360(item: aas.HasDataSpecification | None) -> aas.DataSpecificationIEC61360 | None:
    contents = (embedded.data_specification_content for embedded in item.embedded_data_specifications) if item else ()
    return next((content for content in contents if isinstance(content, aas.DataSpecificationIEC61360)), None)
