"""Avatars as objects of the BaSyx SDK, and these as JSON.

What AAS has a place for is written there, for everybody: semantic ids, units and allowed values by the data
specification IEC 61360, cardinality as a qualifier as IDTA's templates do. What it has none for is written into
extensions (`idm_assets.referential.shells.marks`), for the import.

Belongs here: everything that knows objects of the SDK for export. Does not belong here: files.
Importing this module imports the SDK, which takes 0.1 s: import it where it is needed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from basyx.aas import model as aas
from basyx.aas.adapter.json import AASToJsonEncoder

from idm_assets.referential.description import Attribute, DataType, Model, default_kind
from idm_assets.referential.shells.files import refusing, shown
from idm_assets.referential.shells.marks import (
    EQUIPMENT_PATH,
    GLOBAL_ASSET_ID,
    MARK,
    NAMELESS_ASSET,
    PARENT,
    ROLE,
    ROLE_BINDINGS,
    ROLE_MODEL,
    ROLE_STATIC,
    shell_id,
)
from idm_assets.referential.shells.mending import is_text, legal_id_short

if TYPE_CHECKING:
    from idm_assets.referential.shell_export import ShellBinding, ShellSource

MAX_DESCRIPTION: Final = 1023
MAX_DISPLAY_NAME: Final = 128
MAX_IDENTIFIER: Final = 2048
MAX_PREFERRED_NAME: Final = 255

_LANGUAGE: Final = "en"
_IEC61360: Final = "https://admin-shell.io/DataSpecificationTemplates/DataSpecificationIec61360/3"
_CARDINALITY: Final = "SMT/Cardinality"
_VALUE_TYPES: Final[Mapping[DataType, aas.DataTypeDefXsd]] = {
    "double": aas.datatypes.Double,
    "integer": aas.datatypes.Integer,
    "boolean": aas.datatypes.Boolean,
    "timestamp": aas.datatypes.DateTime,
    "string": aas.datatypes.String,
    "vector3": aas.datatypes.String,
}
# What XML Schema reads as a value; Python reads more, such as 1_000.
_VALUES: Final[Mapping[DataType, re.Pattern[str]]] = {
    "double": re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"),
    "integer": re.compile(r"[+-]?[0-9]{1,4000}"),
    "boolean": re.compile(r"true|false|1|0"),
    "timestamp": re.compile(r"[0-9]{4}-[0-9T:.-]+(?:Z|[+-][0-9:]+)?"),
}
# What AAS has its own place for; the rest of an attribute and of a model is marked.
_NATIVE_OF_ATTRIBUTE: Final = frozenset({"name", "data_type", "kind", "unit", "description", "required", "semantic_id"})
_NATIVE_OF_MODEL: Final = frozenset({"name", "description", "attributes", "version", "semantic_id", "origin"})


def json_of(source: ShellSource) -> tuple[str, list[str]]:
    """The shell and the submodels of an avatar, each as JSON.

    Raises:
        ConfigurationError: something of it cannot be written in AAS.
    """
    with refusing(f"plant {source.plant!r}: avatar {source.avatar!r}", "cannot be written as a shell"):
        own = shell_id(source.plant, source.avatar)
        submodels = list(_submodels(source, own))
        return _json(_shell(source, own, submodels)), [_json(submodel) for submodel in submodels]


class _Encoder(AASToJsonEncoder):
    """The encoder of the SDK, but what it keeps in sets is sorted, and null, which it cannot read, is left out."""

    def default(self, obj: object) -> object:
        encoded: object = super().default(obj)
        if isinstance(encoded, dict):
            members = cast("dict[str, Any]", encoded)
            return {name: _sorted(name, member) for name, member in members.items() if member is not None}
        return encoded


def _sorted(name: str, member: Any) -> Any:  # noqa: ANN401 - any member of an object of the SDK
    if name == "submodels":
        return sorted(member, key=lambda reference: reference.key[0].value)
    if name == "valueList":
        pairs = sorted(member["valueReferencePairs"], key=lambda pair: pair.value)
        return {"valueReferencePairs": pairs}
    return member


def _json(item: aas.Identifiable) -> str:
    return json.dumps(item, cls=_Encoder, ensure_ascii=False)


def _submodels(source: ShellSource, own: str) -> Iterator[aas.Submodel]:
    yield _model_submodel(source, own)
    exact = {a.name for a in source.model.attributes if _is_exact(a, source.static_attributes.get(a.name))}
    texts = {name: text for name, text in source.static_attributes.items() if name not in exact}
    if texts:
        yield _static_submodel(texts, own)
    if source.bindings:
        yield _bindings_submodel(source.bindings, own)


def _shell(source: ShellSource, own: str, submodels: Iterable[aas.Submodel]) -> aas.AssetAdministrationShell:
    ids = {name: value for name, value in source.external_ids.items() if name != GLOBAL_ASSET_ID}
    marks = {EQUIPMENT_PATH: source.equipment_path}
    named = _fits(source.name, MAX_DISPLAY_NAME)
    shell = aas.AssetAdministrationShell(
        aas.AssetInformation(
            aas.AssetKind.INSTANCE,
            source.external_ids.get(GLOBAL_ASSET_ID, own + NAMELESS_ASSET),
            [aas.SpecificAssetId(name, value) for name, value in ids.items()],
        ),
        own,
        legal_id_short(source.avatar),
        aas.MultiLanguageNameType({_LANGUAGE: source.name}) if named else None,
        description=_description(source.description, marks),
        submodel={aas.ModelReference.from_referable(submodel) for submodel in submodels},
    )
    if not named:
        marks["name"] = source.name
    _mark(shell, marks)
    if source.parent is not None:
        parent = shell_id(source.plant, source.parent)
        key = aas.Key(aas.KeyTypes.ASSET_ADMINISTRATION_SHELL, parent)
        reference = aas.ModelReference((key,), aas.AssetAdministrationShell)
        shell.extension.add(aas.Extension(MARK + PARENT, aas.datatypes.String, parent, [reference]))
    return shell


# --- submodels -------------------------------------------------------------------------------------------


def _model_submodel(source: ShellSource, own: str) -> aas.Submodel:
    """The model, with the values that the avatar has for its attributes."""
    model = source.model
    marks = {ROLE: ROLE_MODEL, **_marks_of(model, _NATIVE_OF_MODEL)}
    id_short = legal_id_short(model.name)
    if id_short != model.name:
        marks["name"] = model.name
    names = _id_shorts(tuple(attribute.name for attribute in model.attributes))
    submodel = aas.Submodel(
        f"{own}:model",
        [_property(a, source.static_attributes.get(a.name), names[a.name]) for a in model.attributes],
        id_short,
        description=_description(model.description, marks),
        administration=_administration(model, marks),
        semantic_id=_semantic(model.semantic_id),
    )
    _mark(submodel, marks)
    return submodel


def _administration(model: Model, marks: dict[str, str]) -> aas.AdministrativeInformation | None:
    """Version and revision; what does not fit into two numbers of four digits is marked."""
    if model.version is None:
        return None
    version, _, rest = model.version.partition(".")
    revision = rest.partition(".")[0]
    fits = re.fullmatch(r"(?:0|[1-9][0-9]{0,3})\.(?:0|[1-9][0-9]{0,3})\..+", model.version)
    if not fits or model.version != f"{version}.{revision}.0":
        marks["version"] = model.version
    return aas.AdministrativeInformation(version, revision) if fits else None


def _property(attribute: Attribute, text: str | None, id_short: str) -> aas.Property:
    marks = _marks_of(attribute, _NATIVE_OF_ATTRIBUTE)
    if id_short != attribute.name:
        marks["name"] = attribute.name
    if attribute.data_type == "vector3":
        marks["data_type"] = attribute.data_type
    if attribute.kind != default_kind(attribute.data_type):
        marks["kind"] = attribute.kind
    element = aas.Property(
        id_short,
        _VALUE_TYPES[attribute.data_type],
        None if text is None else _value(attribute, text),
        description=_description(attribute.description, marks),
        semantic_id=_semantic(attribute.semantic_id),
        qualifier=[aas.Qualifier(_CARDINALITY, aas.datatypes.String, "One")] if attribute.required else (),
        embedded_data_specifications=_data_specifications(attribute),
    )
    _mark(element, marks)
    return element


def _data_specifications(attribute: Attribute) -> list[aas.EmbeddedDataSpecification]:
    allowed = {aas.ValueReferencePair(text) for text in attribute.allowed if _fits(text, MAX_IDENTIFIER)}
    if attribute.unit is None and not allowed:
        return []
    content = aas.DataSpecificationIEC61360(
        aas.PreferredNameTypeIEC61360({_LANGUAGE: attribute.name[:MAX_PREFERRED_NAME]}),
        unit=None if attribute.unit is None else _checked(attribute.unit),
        value_list=allowed or None,
    )
    reference = aas.ExternalReference((aas.Key(aas.KeyTypes.GLOBAL_REFERENCE, _IEC61360),))
    return [aas.EmbeddedDataSpecification(reference, content)]


def _static_submodel(texts: Mapping[str, str], own: str) -> aas.Submodel:
    names = _id_shorts(tuple(texts))
    elements: list[aas.SubmodelElement] = []
    for name, text in texts.items():
        element = aas.Property(names[name], aas.datatypes.String, _checked(text))
        _mark(element, {"name": name} if names[name] != name else {})
        elements.append(element)
    submodel = aas.Submodel(f"{own}:{ROLE_STATIC}", elements, "StaticAttributes")
    _mark(submodel, {ROLE: ROLE_STATIC})
    return submodel


def _bindings_submodel(bindings: Iterable[ShellBinding], own: str) -> aas.Submodel:
    """A list of tags: source, tag, attribute, unit and conversion of the delivered value, and validity."""
    listed = aas.SubmodelElementList(
        "Bindings",
        aas.SubmodelElementCollection,
        [aas.SubmodelElementCollection(None, list(_binding_elements(binding))) for binding in bindings],
        order_relevant=False,
    )
    submodel = aas.Submodel(f"{own}:{ROLE_BINDINGS}", [listed], "Bindings")
    _mark(submodel, {ROLE: ROLE_BINDINGS})
    return submodel


def _binding_elements(bound: ShellBinding) -> Iterator[aas.SubmodelElement]:
    binding = bound.binding
    texts = {
        "Source": binding.source,
        "Tag": binding.tag,
        "Attribute": binding.attribute,
        "Unit": binding.delivered_unit,
    }
    for name, text in texts.items():
        if text is not None:
            yield aas.Property(name, aas.datatypes.String, _checked(text))
    yield aas.Property("Scale", aas.datatypes.Double, binding.scale)
    yield aas.Property("Offset", aas.datatypes.Double, binding.offset)
    for name, instant in (("ValidFrom", bound.valid_from), ("ValidTo", bound.valid_to)):
        if instant is not None:
            yield aas.Property(name, aas.datatypes.DateTime, instant)


# --- texts and values ------------------------------------------------------------------------------------


def _value(attribute: Attribute, text: str) -> Any:  # noqa: ANN401 - as the value type has it
    """The value that a text stands for; None if it is none of the attribute's type."""
    pattern = _VALUES.get(attribute.data_type)
    if pattern is None:
        return _checked(text)
    if not pattern.fullmatch(text):
        return None
    try:
        return aas.datatypes.from_xsd(text, cast("Any", _VALUE_TYPES[attribute.data_type]))
    except (ValueError, NotImplementedError):
        return None


def _is_exact(attribute: Attribute, text: str | None) -> bool:
    """Whether the value is written as the text is; 1.50 is not, but as 1.5."""
    value = None if text is None else _value(attribute, text)
    return value is not None and aas.datatypes.xsd_repr(value) == text


@lru_cache(maxsize=256)
def _id_shorts(names: tuple[str, ...]) -> Mapping[str, str]:
    """A legal idShort for each name, unique also where upper and lower case are the same."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    numbers: dict[str, int] = {}
    for name in names:
        candidate = legal_id_short(name)
        begin = candidate[:110]
        while candidate.lower() in taken:
            numbers[begin.lower()] = numbers.get(begin.lower(), 1) + 1
            candidate = f"{begin}_{numbers[begin.lower()]}"
        taken.add(candidate.lower())
        found[name] = candidate
    return found


def _checked(text: str) -> str:
    if not is_text(text):
        raise ValueError(f"{shown(text)} holds a character that no AAS document may hold; remove it")
    return text


def _fits(text: str, longest: int) -> bool:
    return bool(text.strip()) and len(text) <= longest and is_text(text)


def _description(text: str | None, marks: dict[str, str]) -> aas.MultiLanguageTextType | None:
    """A description, cut to what AAS allows; the whole of it is marked then."""
    if not text:
        return None
    if not _fits(text, MAX_DESCRIPTION):
        marks["description"] = text
    short = _checked(text)[:MAX_DESCRIPTION]
    return aas.MultiLanguageTextType({_LANGUAGE: short}) if short.strip() else None


def _semantic(identifier: str | None) -> aas.ExternalReference | None:
    if identifier is None:
        return None
    return aas.ExternalReference((aas.Key(aas.KeyTypes.GLOBAL_REFERENCE, identifier),))


# --- marks -----------------------------------------------------------------------------------------------


def _marks_of(item: Attribute | Model, native: frozenset[str]) -> dict[str, str]:
    """What an attribute or a model has besides what AAS has a place for, unless it is what all have."""
    values = ((f, getattr(item, f.name)) for f in fields(item) if f.name not in native)
    return {f.name: _mark_text(value) for f, value in values if value != f.default}


def _mark_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)


def _mark(item: aas.HasExtension, marks: Mapping[str, str]) -> None:
    for name, text in marks.items():
        if not text:
            raise ValueError(f"{name} is empty; AAS holds no empty text there")
        item.extension.add(aas.Extension(MARK + name, aas.datatypes.String, _checked(text)))
