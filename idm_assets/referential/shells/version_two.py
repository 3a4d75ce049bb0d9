"""Shells of metamodel version 2 (2019 to 2022), turned into version 3, which is what the SDK reads.

Source: Details of the Asset Administration Shell, Part 1, V2.0.1 (JSON and XML mappings) and V3.0 (changes
against V2.0). What has no counterpart in version 3 and says nothing of models or values is left out: views,
concept dictionaries, ``idType`` and ``local`` of keys, ``ordered`` and ``allowDuplicates``. References become
external ones with the same values.

Belongs here: everything that knows version 2. Does not belong here: reading files, what is made of shells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, cast
from xml.etree import ElementTree as ET

from idm_assets.referential.shells.files import shown
from idm_assets.referential.shells.marks import NAMELESS_ASSET

NAMESPACE: Final = "http://www.admin-shell.io/aas/2/0"

Item = dict[str, Any]

# Version 2 leaves the case of the names to the writer, and all of these are in public files.
_VALUE_TYPES: Final = {
    name.lower(): f"xs:{name}"
    for name in (
        "anyURI", "base64Binary", "boolean", "byte", "date", "dateTime", "decimal", "double", "duration", "float",
        "gDay", "gMonth", "gMonthDay", "gYear", "gYearMonth", "hexBinary", "int", "integer", "long",
        "negativeInteger", "nonNegativeInteger", "nonPositiveInteger", "positiveInteger", "short", "string",
        "time", "unsignedByte", "unsignedInt", "unsignedLong", "unsignedShort",
    )
}  # fmt: skip
_LISTS: Final = {
    "assetAdministrationShells", "assets", "submodels", "conceptDescriptions", "submodelElements", "statements",
    "annotations",
}  # fmt: skip
# What elements hold that are lists in JSON.
_LISTED: Final = ({"submodelElement"}, {"submodelRef"}, {"qualifier"}, {"formula"}, {"qualifier", "formula"})
_WITHOUT_VALUE: Final = {"Operation", "Capability"}
_MAX_TEXT: Final = 1023


def is_version_two(environment: Item) -> bool:
    """Whether a JSON environment is of version 2: it names assets of their own, or identifies by ``identification``."""
    if "assets" in environment:
        return True
    names = ("assetAdministrationShells", "submodels", "conceptDescriptions")
    lists = [cast("list[object]", listed) for name in names if isinstance(listed := environment.get(name), list)]
    return any(isinstance(item, dict) and "identification" in item for listed in lists for item in listed)


def upgraded(environment: Item, place: str, remarks: list[str]) -> Item:
    """The same environment in version 3.

    Args:
        environment: environment as the JSON mapping of version 2 has it.
        place: where it stands, for remarks.
        remarks: gets a sentence for each thing that could not be kept as it was.

    Raises:
        TypeError: a list of the environment is none, or holds something else than objects.
    """
    translator = _Translator(place, remarks)
    kinds = {_id(asset): str(asset.get("kind") or "Instance") for asset in _items(environment.get("assets"))}
    return {
        "assetAdministrationShells": [
            translator.shell(item, kinds) for item in _items(environment.get("assetAdministrationShells"))
        ],
        "submodels": [translator.submodel(item) for item in _items(environment.get("submodels"))],
        "conceptDescriptions": [translator.concept(item) for item in _items(environment.get("conceptDescriptions"))],
    }


def environment_of(root: ET.Element) -> Item:
    """An XML document of version 2 as the JSON mapping has it."""
    return {_local(child): _from_xml(child) for child in root}


# --- XML to JSON -----------------------------------------------------------------------------------------


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _from_xml(element: ET.Element) -> Any:  # noqa: ANN401 - text, an object or a list
    names = {_local(child) for child in element}
    if not names:
        return _text_or_identification(element)
    if names == {"langString"}:
        return [{"language": child.get("lang", ""), "text": child.text or ""} for child in element]
    if names == {"key"}:
        return [{"type": child.get("type", ""), "value": child.text or ""} for child in element]
    if names == {"dataSpecificationIEC61360"}:
        return _members_from_xml(element[0])
    if _local(element) in _LISTS or names in _LISTED:
        return [_item_from_xml(child) for child in element]
    return _members_from_xml(element)


def _members_from_xml(element: ET.Element) -> Item:
    found: Item = {}
    for child in element:
        name = _local(child)
        match name:
            case "embeddedDataSpecification":
                found.setdefault("embeddedDataSpecifications", []).append(_from_xml(child))
            case "submodelRefs":
                found["submodels"] = _from_xml(child)
            case "assetRef":
                found["asset"] = _from_xml(child)
            case "qualifier":
                found["qualifiers"] = _from_xml(child)
            case _:
                found[name] = _from_xml(child)
    return found


def _text_or_identification(element: ET.Element) -> Any:  # noqa: ANN401 - text or an object
    text = element.text or ""
    return {"id": text, "idType": element.get("idType")} if _local(element) == "identification" else text


def _item_from_xml(element: ET.Element) -> Item:
    """An item of a list; those of submodel elements are wrapped, and named after their class."""
    if _local(element) == "submodelElement" and len(element):
        name = _local(element[0])
        return {**_members_from_xml(element[0]), "modelType": {"name": name[:1].upper() + name[1:]}}
    return _members_from_xml(element)


# --- version 2 to version 3 ------------------------------------------------------------------------------


def _items(value: object) -> list[Item]:
    """The objects of a list; writers put nothing, null or an empty text where there are none."""
    if not value:
        return []
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    if items is not value or not all(isinstance(item, dict) for item in items):
        raise TypeError(f"expected a list of objects, got {shown(items)}")
    return cast("list[Item]", items)


def _id(item: Item) -> object:
    return _inside(item.get("identification"), "id")


def _class_of(item: Item) -> str:
    return str(_inside(item.get("modelType"), "name"))


def _inside(value: object, name: str) -> object:
    """A member of an object; anything else is itself, since some writers leave out the object around it."""
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else value


def _keys(reference: object) -> list[str]:
    return [str(key.get("value")) for key in _items(_inside(reference, "keys")) if key.get("value")]


def _external(values: Iterable[str]) -> Item | None:
    """A reference to something outside: the first key names it, further ones a place in it."""
    keys = [{"type": "FragmentReference" if i else "GlobalReference", "value": v} for i, v in enumerate(values)]
    return {"type": "ExternalReference", "keys": keys} if keys else None


def _texts(value: object) -> list[Item]:
    """Texts by language, which writers put directly or into ``langString``."""
    return _items(_inside(value, "langString"))


class _Translator:
    """Turns the parts of an environment into version 3, and remarks on what it cannot keep."""

    def __init__(self, place: str, remarks: list[str]) -> None:
        self._place = place
        self._remarks = remarks

    def _remark(self, text: str) -> None:
        self._remarks.append(f"{self._place}: {text}")

    def shell(self, item: Item, kinds: dict[object, str]) -> Item:
        asset = next(iter(_keys(item.get("asset"))), None)
        if asset is None:
            self._remark(f"shell {shown(_id(item))} names no asset")
        submodels = [_keys(reference) for reference in _items(item.get("submodels"))]
        if item.get("views"):
            self._remark(f"shell {shown(_id(item))} has views, which are left out")
        return {
            **self._identified(item),
            "modelType": "AssetAdministrationShell",
            "assetInformation": {
                "assetKind": kinds.get(asset, "Instance"),
                "globalAssetId": asset or f"{_id(item)}{NAMELESS_ASSET}",
            },
            "submodels": [
                {"type": "ModelReference", "keys": [{"type": "Submodel", "value": keys[0]}]}
                for keys in submodels
                if keys
            ],
        }

    def submodel(self, item: Item) -> Item:
        return {
            **self._identified(item),
            **self._semantic(item),
            "modelType": "Submodel",
            "kind": item.get("kind") or "Instance",
            "submodelElements": self._elements(item.get("submodelElements")),
        }

    def concept(self, item: Item) -> Item:
        return {
            **self._identified(item),
            "modelType": "ConceptDescription",
            "embeddedDataSpecifications": self._data_specifications(item),
        }

    def _identified(self, item: Item) -> Item:
        return {
            "id": _id(item),
            "idShort": item.get("idShort"),
            "description": self._cut(item.get("description"), str(item.get("idShort"))),
            "administration": self._administration(item),
        }

    def _administration(self, item: Item) -> Item:
        """Version and revision, which are numbers of up to four digits in version 3, and any text in version 2."""
        given: object = item.get("administration") or {}
        if not isinstance(given, dict):
            raise TypeError(f"expected an object as administration, got {shown(given)}")
        found: Item = {}
        for name in ("version", "revision"):
            text = str(cast("Item", given).get(name) or "").strip()
            if re.fullmatch(r"0|[1-9][0-9]{0,3}", text) and (name == "version" or found):
                found[name] = text
            elif text:
                self._remark(f"{name} {shown(text)} of {shown(_id(item))} is no number in version 3; it is left out")
        return found

    def _semantic(self, item: Item) -> Item:
        return {
            "semanticId": _external(_keys(item.get("semanticId"))),
            "qualifiers": [
                {
                    "type": qualifier.get("type"),
                    "valueType": self._value_type(qualifier),
                    "value": qualifier.get("value") or None,
                }
                for qualifier in _items(item.get("qualifiers") or item.get("constraints"))
                if qualifier.get("type")
            ],
        }

    def _cut(self, value: object, name: str) -> list[Item]:
        """Texts by language, cut to the length that version 3 allows."""
        texts: list[Item] = []
        for text in _texts(value):
            words = str(text.get("text") or "")
            if len(words) > _MAX_TEXT:
                self._remark(f"a description of {shown(name)} is cut after {_MAX_TEXT} characters")
            texts.append({"language": text.get("language"), "text": words[:_MAX_TEXT]})
        return texts

    def _data_specifications(self, item: Item) -> list[Item]:
        found: list[Item] = []
        for specification in _items(item.get("embeddedDataSpecifications")):
            content = specification.get("dataSpecificationContent")
            if not isinstance(content, dict):
                continue
            content = cast("Item", content)
            name = str(item.get("idShort") or _id(item) or "nameless")[:255]
            found.append(
                {
                    "dataSpecification": _external(_keys(specification.get("dataSpecification")))
                    or _external(["https://admin-shell.io/DataSpecificationTemplates/DataSpecificationIec61360/3"]),
                    "dataSpecificationContent": {
                        "modelType": "DataSpecificationIec61360",
                        # Required in version 3, but not in version 2.
                        "preferredName": _texts(content.get("preferredName")) or [{"language": "en", "text": name}],
                        "unit": str(content.get("unit") or "").strip(),
                        "definition": self._cut(content.get("definition"), name),
                    },
                }
            )
        return found

    def _elements(self, value: object) -> list[Item]:
        elements = (self._element(item) for item in _items(value))
        return [element for element in elements if element is not None]

    def _element(self, item: Item) -> Item | None:
        kind = _class_of(item)
        own = self._own_members(item, kind)
        if own is None:
            self._remark(f"element {shown(item.get('idShort'))} is a {shown(kind)}, which is left out")
            return None
        return {
            "modelType": kind,
            "idShort": item.get("idShort"),
            "category": item.get("category"),
            "description": self._cut(item.get("description"), str(item.get("idShort"))),
            **self._semantic(item),
            "embeddedDataSpecifications": self._data_specifications(item),
            **own,
        }

    def _own_members(self, item: Item, kind: str) -> Item | None:
        """What only elements of one class have; None for a class that is not known."""
        value = item.get("value")
        own: Item | None
        match kind:
            case "Property":
                own = {"valueType": self._value_type(item), "value": value or None}
            case "MultiLanguageProperty":
                own = {"value": self._cut(value, str(item.get("idShort")))}
            case "Range":
                own = {
                    "valueType": self._value_type(item),
                    "min": item.get("min") or None,
                    "max": item.get("max") or None,
                }
            case "File" | "Blob":
                own = {"contentType": item.get("mimeType"), "value": value or None}
            case "ReferenceElement":
                own = {"value": _external(_keys(value))}
            case "RelationshipElement" | "AnnotatedRelationshipElement":
                own = {end: _external(_keys(item.get(end)) or ["unknown"]) for end in ("first", "second")}
            case "SubmodelElementCollection":
                own = {"value": self._elements(value)}
            case "Entity":
                asset = next(iter(_keys(item.get("asset"))), None)
                own = {
                    "entityType": "SelfManagedEntity" if asset else "CoManagedEntity",
                    "globalAssetId": asset,
                    "statements": self._elements(item.get("statements")),
                }
            case _:
                own = {} if kind in _WITHOUT_VALUE else None
        return own

    def _value_type(self, item: Item) -> str:
        given: object = _inside(_inside(item.get("valueType"), "dataObjectType"), "name")
        name = str(given or "string").strip().removeprefix("xs:").removeprefix("xsd:").lower()
        if name not in _VALUE_TYPES and name != "langstring":
            self._remark(f"value type {shown(given)} of {shown(item.get('idShort'))} is not known; it is read as text")
        return _VALUE_TYPES.get(name, "xs:string")
