"""Mending of shells and submodels of version 3 before the SDK reads them strictly.

Belongs here: faults that are common, also in samples that IDTA publishes, and leave no doubt of what was meant.
Does not belong here: faults that would need a guess; the SDK refuses those.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, cast
from xml.etree import ElementTree as ET

from idm_assets.referential.shells.files import refused, shown

NAMESPACES: Final = ("https://admin-shell.io/aas/3/0", "https://admin-shell.io/aas/3/1")
MAX_LANGUAGE: Final = 35

# Where an empty text is a value, if the value type is text; all other texts of version 3 have a character at least.
_VALUES: Final = frozenset({"value", "min", "max"})
_TEXT_TYPE: Final = "xs:string"
# Constraint AASd-130: what texts may consist of, which is also what XML can hold.
_TEXT: Final = re.compile("[\x09\x0a\x0d\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
_ID_SHORT: Final = re.compile(r"[a-zA-Z](?:[a-zA-Z0-9_-]{0,126}[a-zA-Z0-9_])?")
# What a list must say of its items, and the member of the items that says the same.
_OF_ITEMS: Final = (("valueTypeListElement", "valueType"), ("semanticIdListElement", "semanticId"))

# The members of all classes of the metamodel (JSON schema of version 3.1).
_MEMBERS: Final = frozenset({
    "administration", "annotations", "assetInformation", "assetKind", "assetType", "category", "contentType",
    "creator", "dataSpecification", "dataSpecificationContent", "dataType", "defaultThumbnail", "definition",
    "derivedFrom", "description", "direction", "displayName", "embeddedDataSpecifications", "entityType",
    "extensions", "externalSubjectId", "first", "globalAssetId", "id", "idShort", "inoutputVariables",
    "inputVariables", "isCaseOf", "keys", "kind", "language", "lastUpdate", "levelType", "max", "maxInterval",
    "messageBroker", "messageTopic", "min", "minInterval", "modelType", "name", "nom", "observed", "orderRelevant",
    "outputVariables", "path", "preferredName", "qualifiers", "referredSemanticId", "refersTo", "revision",
    "second", "semanticId", "semanticIdListElement", "shortName", "sourceOfDefinition", "specificAssetIds", "state",
    "statements", "submodelElements", "submodels", "supplementalSemanticIds", "symbol", "templateId", "text", "typ",
    "type", "typeValueListElement", "unit", "unitId", "value", "valueFormat", "valueId", "valueList",
    "valueReferencePairs", "valueType", "valueTypeListElement", "version",
})  # fmt: skip
# What the items of lists are called in XML (XML schema of version 3.1).
_XML_ITEMS: Final = frozenset({
    "annotatedRelationshipElement", "basicEventElement", "blob", "capability", "dataSpecificationIec61360",
    "embeddedDataSpecification", "entity", "extension", "file", "key", "langStringDefinitionTypeIec61360",
    "langStringNameType", "langStringPreferredNameTypeIec61360", "langStringShortNameTypeIec61360",
    "langStringTextType", "multiLanguageProperty", "operation", "operationVariable", "property", "qualifier",
    "range", "reference", "referenceElement", "relationshipElement", "specificAssetId", "submodelElementCollection",
    "submodelElementList", "valueReferencePair",
})  # fmt: skip

EMPTY: Final = "empty members, which are left out"
_UNKNOWN: Final = "members that AAS does not have, which are left out"
_CHANGED: Final = "idShorts with characters that are not allowed, which are changed"
_OUTSIDE: Final = "references to something outside that are marked as references to models"
_NO_VALUE_TYPE: Final = "lists that do not name the value type of their items, which is taken from the first"


def local_name(element: ET.Element) -> str:
    """The tag of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def _is_of_text(element: ET.Element) -> bool:
    return any(local_name(child) == "valueType" and child.text == _TEXT_TYPE for child in element)


def legal_id_short(text: str) -> str:
    """A text as an idShort: letters, digits and underscores, 128 at most, the first a letter (AASd-002).

    >>> legal_id_short("IEC CDD"), legal_id_short("{00}"), legal_id_short("")
    ('IEC_CDD', 'x_00_', 'x')
    """
    plain = re.sub(r"[^a-zA-Z0-9_]", "_", text[:120])
    return plain if re.match(r"[a-zA-Z]", plain) else "x" + plain


def is_text(text: str) -> bool:
    """Whether an AAS document may hold a text (AASd-130): no control characters, no halves of characters."""
    return _TEXT.fullmatch(text) is not None


class Faults:
    """Counts what was mended in a file.

    Args:
        file: the file.
        expected: faults that are none there.
    """

    def __init__(self, file: str, expected: frozenset[str] = frozenset()) -> None:
        self._file = file
        self._expected = expected
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def count(self, what: str, where: Callable[[], str]) -> None:
        """Count a fault; where it is is asked for the first of its kind only."""
        if what not in self._expected:
            self._counts[what] += 1
            if what not in self._first:
                self._first[what] = where()

    def remarks(self) -> list[str]:
        """One sentence for each kind of fault."""
        return [
            f"{self._file}: {count} {what}; the first at {self._first[what]}" for what, count in self._counts.items()
        ]


class Mender:
    """Mends one shell, submodel or concept.

    * Members that are empty or null, where version 3 has none or one character at least, are left out.
    * An idShort with characters that are not allowed gets underscores for them.
    * A ModelReference that begins with a GlobalReference is an ExternalReference.
    * A list that does not name the value type of its items, though it must (AASd-109), gets it from the first.
    * A list without semanticIdListElement gets it from its first item that has one. All must have the same
      (AASd-114), and the SDK would compare each with each to find out.
    * Members that the metamodel does not have are left out, as the SDK does without a word.
    """

    def __init__(self, place: str, about: str, faults: Faults) -> None:
        self._place = place
        self._about = about
        self._faults = faults
        self._path: list[str | int] = []

    def mended(self, item: dict[str, Any]) -> dict[str, Any]:
        """A mended copy of an object in JSON.

        Raises:
            ConfigurationError: a text holds characters that no AAS document may hold.
        """
        return self._object(item) or {}

    def mend_xml(self, element: ET.Element) -> None:
        """Mend an element of XML in place; those of version 3.0 become ones of version 3.1.

        Raises:
            ConfigurationError: as `mended`.
        """
        for inner in list(element):
            self._path.append(local_name(inner))
            # From the inside out, so that what holds nothing but empty elements is empty in its turn.
            self.mend_xml(inner)
            self._xml_member(element, inner)
            self._path.pop()
        namespace, _, name = element.tag.rpartition("}")
        if namespace == "{" + NAMESPACES[0]:
            element.tag = f"{{{NAMESPACES[1]}}}{name}"
        if name == "submodelElementList":
            self._xml_list(element)

    # --- JSON

    def _value(self, value: object, name: str) -> object:
        """A mended copy; None for what is left out."""
        if isinstance(value, str):
            self._check_text(value, name)
            return value or self._note(EMPTY)
        if isinstance(value, list):
            return self._list(cast("list[object]", value), name)
        if isinstance(value, dict):
            return self._object(cast("dict[str, object]", value))
        return self._note(EMPTY) if value is None else value

    def _list(self, values: list[object], name: str) -> list[object] | None:
        kept: list[object] = []
        for index, value in enumerate(values):
            self._path.append(index)
            mended = self._value(value, name)
            if mended is not None:
                kept.append(mended)
            self._path.pop()
        return kept or self._note(EMPTY)

    def _object(self, value: dict[str, object]) -> dict[str, Any] | None:
        kept: dict[str, Any] = {}
        for name, member in value.items():
            self._path.append(name)
            if name not in _MEMBERS:
                mended = self._note(_UNKNOWN)
            elif member == "" and name in _VALUES and value.get("valueType") == _TEXT_TYPE:
                mended = ""
            else:
                mended = self._value(member, name)
            if name == "idShort" and isinstance(mended, str):
                mended = self._id_short(mended)
            if mended is not None:
                kept[name] = mended
            self._path.pop()
        is_reference = kept.get("type") in {"ModelReference", "ExternalReference"}
        if not kept or (is_reference and "keys" not in kept) or ("language" in kept and "text" not in kept):
            return self._note(EMPTY)
        if is_reference:
            self._reference(kept)
        if kept.get("modelType") == "SubmodelElementList":
            self._json_list(kept)
        return kept

    def _reference(self, value: dict[str, Any]) -> None:
        keys = value["keys"]
        first: object = cast("list[object]", keys)[0] if isinstance(keys, list) else None
        kind = cast("dict[str, object]", first).get("type") if isinstance(first, dict) else None
        if value["type"] == "ModelReference" and kind == "GlobalReference":
            self._note(_OUTSIDE)
            value["type"] = "ExternalReference"

    def _json_list(self, value: dict[str, Any]) -> None:
        listed: object = value.get("value")
        items = (
            [cast("dict[str, Any]", i) for i in cast("list[object]", listed) if isinstance(i, dict)] if listed else []
        )
        for of_list, of_item in _OF_ITEMS:
            given = next((item[of_item] for item in items if of_item in item), None)
            if of_list not in value and given is not None:
                value[of_list] = given
                self._note_list(of_list)

    # --- XML

    def _xml_member(self, element: ET.Element, inner: ET.Element) -> None:
        name, text = local_name(inner), inner.text or ""
        self._check_text(text, name)
        if name not in _MEMBERS and name not in _XML_ITEMS:
            self._note(_UNKNOWN)
            element.remove(inner)
        elif not len(inner) and not text.strip() and not (name in _VALUES and _is_of_text(element)):
            self._note(EMPTY)
            element.remove(inner)
        elif name == "idShort":
            inner.text = self._id_short(text)

    def _xml_list(self, element: ET.Element) -> None:
        names = {local_name(child) for child in element}
        items = [item for child in element if local_name(child) == "value" for item in child]
        for of_list, of_item in _OF_ITEMS:
            given = next((child for item in items for child in item if local_name(child) == of_item), None)
            if of_list not in names and given is not None:
                added = copy.deepcopy(given)
                added.tag = f"{{{NAMESPACES[1]}}}{of_list}"
                element.append(added)
                self._note_list(of_list)

    # --- both

    def _note(self, what: str, detail: str = "") -> None:
        self._faults.count(what, lambda: f"{self._place}, {self._about}, {self._where()}{detail}")

    def _note_list(self, of_list: str) -> None:
        if of_list == "valueTypeListElement":
            self._note(_NO_VALUE_TYPE)

    def _where(self) -> str:
        return shown(".".join(str(part)[:60] for part in self._path))

    def _check_text(self, text: str, name: str) -> None:
        if not is_text(text):
            what = f"{self._where()} holds a character that no AAS document may hold; remove it"
            raise refused(self._place, f"{self._about}: {what}")
        if name == "language" and len(text) > MAX_LANGUAGE:
            raise refused(self._place, f"{self._about}: {self._where()} is no language: {shown(text)}")

    def _id_short(self, given: str) -> str:
        if _ID_SHORT.fullmatch(given):
            return given
        mended = legal_id_short(given)
        self._note(_CHANGED, f" from {shown(given)} to {shown(mended)}")
        return mended
