"""Importer for asset administration shells (AAS): JSON and XML environments and ``.aasx`` packages.

Source: Specification of the Asset Administration Shell, Part 1 (metamodel, IDTA-01001) and Part 5 (package file
format, IDTA-01005), versions 3.0 and 3.1; version 2 is read as well (`idm_assets.referential.shells.version_two`).
A shell becomes an avatar and a machine, each of its submodels a part of it, each type of submodel a data model.

Belongs here: what shells and submodels become. Does not belong here: reading files and objects of the SDK
(`idm_assets.referential.shells`), plants, validity, tables.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.description import (
    NUMERIC,
    Attribute,
    Avatar,
    Description,
    Equipment,
    Model,
    default_kind,
)
from idm_assets.referential.shells.files import refused, shown
from idm_assets.referential.shells.marks import (
    EQUIPMENT_PATH,
    GLOBAL_ASSET_ID,
    NAMELESS_ASSET,
    PARENT,
    ROLE,
    ROLE_BINDINGS,
    ROLE_MODEL,
    ROLE_STATIC,
    SERIAL_NUMBER,
)
from idm_assets.referential.unece import symbol_of_display_name, symbol_of_unece
from idm_assets.referential.units import UnitError, check_symbol

if TYPE_CHECKING:
    from idm_assets.referential.shells.objects import Environment, Leaf, Shell, Submodel

MAX_MODEL_NAME: Final = 127
MAX_MACHINE_NAME: Final = 200
MAX_TEXT: Final = 2000

SHELL_MODEL: Final = "AssetAdministrationShell"
_SHELL_SEMANTICS: Final = "https://admin-shell.io/aas/3/1/AssetAdministrationShell"

# What every system asks for, by the idShorts of the nameplate (IDTA 02006) and of technical data (IDTA 02003), and
# by the same properties in ECLASS and in the common data dictionary of the IEC, whatever their version.
_MANUFACTURER: Final = ("ManufacturerName", "0173-1#02-AAO677", "0112/2///61987#ABA565")
_PRODUCT: Final = ("ManufacturerProductDesignation", "0173-1#02-AAW338", "0112/2///61987#ABA567")
_SERIAL_NUMBER: Final = ("SerialNumber", "0173-1#02-AAM556", "0112/2///61987#ABA951")
_YEAR: Final = ("YearOfConstruction", "0173-1#02-AAP906", "0112/2///61987#ABP000")
_LIFTED: Final = {"manufacturer": _MANUFACTURER, "product": _PRODUCT, "year": _YEAR}
_NAMEPLATE: Final = re.compile(r"nameplate|identification", re.IGNORECASE)
# A picohenry to those who go by prefixes, an acidity to everybody else.
_NO_UNITS: Final = frozenset({"pH"})
_VERSION: Final = re.compile(r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){2}")

ItemT = TypeVar("ItemT", Attribute, Model)


def read_shells(path: Path) -> Description:
    """Read a file of asset administration shells: ``.json``, ``.xml`` or ``.aasx``.

    Raises:
        ConfigurationError: the file is unsafe, or something in it is not valid; each problem with its place.
    """
    # The SDK takes 0.1 s to import, which a plant without shells need not wait for.
    from idm_assets.referential.shells.objects import read_environment  # noqa: PLC0415

    return described(read_environment(path), str(path))


def described(environment: Environment, file: str) -> Description:
    """Describe the shells and submodels of a file.

    * A shell is an avatar under its own id, of the model `SHELL_MODEL`, and a machine named after its idShort. Its
      external ids are its asset ids, and the serial number of its nameplate; its static attributes those that every
      system asks for (manufacturer, product, year), and all values of its nameplate by their idShort path.
    * A submodel of a shell is an avatar and a part of the shell; its values are its static attributes. Templates
      and submodels that no shell refers to are models only.
    * Submodels of one semantic id and version are of one model, named after the idShort of the first. It has the
      attributes of them all; where they contradict each other in data type or unit, an attribute is text without
      unit, except that whole numbers and other numbers are numbers.
    * A property, a range, a file, a reference or an entity is an attribute named by its idShort path with dots, in
      lists by the index. A text in several languages is the English one, else the first; the others are among the
      static attributes as ``path@language``.
    * A shell that was exported from here becomes the avatar that it was, with its model.

    Args:
        environment: what is in the file.
        file: its name, for messages.

    Raises:
        ConfigurationError: there is nothing in it, shells are parts of each other, or what the export of shells
            wrote down for the import was changed to something impossible.
    """
    if not environment.shells and not environment.submodels:
        raise refused(f"{file}:1", "neither a shell nor a submodel is in this file")
    remarks = list(environment.remarks)
    parts = _parts_of_shells(environment, remarks)
    without_model = next((s for s in environment.shells if _part_with(parts[s.id], ROLE_MODEL) is None), None)
    names = _Names({SHELL_MODEL} if without_model else ())
    models, model_of = _models(environment.submodels, names, remarks)
    if without_model:
        about = "A shell that has no attributes of its own; its submodels are its parts."
        models.append(Model(SHELL_MODEL, about, (), semantic_id=_SHELL_SEMANTICS, origin=without_model.place))
    machines = _Machines()
    avatars: list[Avatar] = []
    for shell, parent in _parents_first(environment.shells, remarks):
        avatar = _shell_avatar(shell, parent, machines.of(shell), parts[shell.id], remarks)
        main = _part_with(parts[shell.id], ROLE_MODEL)
        avatar = replace(avatar, model=model_of[main.id]) if main else avatar
        avatars.append(avatar)
        avatars += [_part_avatar(part, avatar, model_of[part.id]) for part in parts[shell.id] if _is_thing(part)]
    return Description(
        models=tuple(sorted(models, key=lambda model: model.name)),
        equipment=machines.all(),
        avatars=tuple(avatars),
        remarks=tuple(dict.fromkeys(remarks)),
    )


class _Names:
    """Gives names that are unique."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._numbers: dict[str, int] = {}

    def unique(self, name: str, longest: int) -> str:
        """The name itself, or with the lowest number that makes it unique."""
        candidate, begin = name, name[: longest - 9]
        while candidate in self._taken:
            # Counted by what stays of the name, so that many long names that begin alike cost no more than others.
            self._numbers[begin] = self._numbers.get(begin, 1) + 1
            candidate = f"{begin}_{self._numbers[begin]}"
        self._taken.add(candidate)
        return candidate


class _Machines:
    """The machines of a file: one for each shell, or for each equipment path of exported shells."""

    def __init__(self) -> None:
        self._names = _Names()
        self._by_place: dict[str, Equipment] = {}

    def of(self, shell: Shell) -> str:
        """Name of the machine of a shell."""
        path = shell.marks.get(EQUIPMENT_PATH)
        key = path or shell.id
        if key not in self._by_place:
            wished = path.rpartition("/")[2] if path else shell.id_short or shell.name or _tail(shell.id)
            plain = "".join(c if c.isprintable() and c != "/" else " " for c in wished)
            name = " ".join(plain.split())[:MAX_MACHINE_NAME].strip() or "machine"
            self._by_place[key] = Equipment(
                self._names.unique(name, MAX_MACHINE_NAME), _words(shell.description), shell.place
            )
        return self._by_place[key].name

    def all(self) -> tuple[Equipment, ...]:
        """All machines, in the order in which they were asked for."""
        return tuple(self._by_place.values())


def _tail(identifier: str) -> str:
    """What comes last in an identifier, such as ``Pump7`` of ``https://example.com/aas/Pump7/``."""
    return re.split(r"[/#:]", identifier.rstrip("/#:"))[-1]


def _words(text: str | None) -> str | None:
    """A text for people in one line, without what is too long for one."""
    return " ".join(text.split())[:MAX_TEXT].strip() or None if text else None


# --- shells and their parts ------------------------------------------------------------------------------


def _role(submodel: Submodel) -> str | None:
    return submodel.marks.get(ROLE)


def _part_with(parts: Iterable[Submodel], role: str) -> Submodel | None:
    return next((part for part in parts if _role(part) == role), None)


def _is_thing(submodel: Submodel) -> bool:
    """Whether a submodel is a part of its own: a template is a model only, what the export wrote is the shell's."""
    return not submodel.is_template and _role(submodel) not in {ROLE_MODEL, ROLE_STATIC, ROLE_BINDINGS}


def _parts_of_shells(environment: Environment, remarks: list[str]) -> dict[str, list[Submodel]]:
    """The submodels of each shell, in the order of the file; one that several shells share is the first one's."""
    known = {submodel.id for submodel in environment.submodels}
    owners: dict[str, str] = {}
    for shell in environment.shells:
        about = f"{shell.place}: shell {shown(shell.id)}"
        for reference in shell.submodels:
            if reference not in known:
                remarks.append(f"{about} refers to submodel {shown(reference)}, which is not in the file")
            elif owners.setdefault(reference, shell.id) != shell.id:
                remarks.append(
                    f"{about} shares submodel {shown(reference)}, which is a part of {shown(owners[reference])} here"
                )
    parts: dict[str, list[Submodel]] = {shell.id: [] for shell in environment.shells}
    for submodel in environment.submodels:
        about = f"{submodel.place}: submodel {shown(submodel.id)}"
        if submodel.id in owners:
            parts[owners[submodel.id]].append(submodel)
        elif any(leaf.texts for leaf in submodel.leaves):
            remarks.append(f"{about} belongs to no shell; it is a model, and its values are left out")
        if submodel.id in owners and _role(submodel) == ROLE_BINDINGS:
            remarks.append(
                f"{about} lists bindings, which are not read; they belong into the configuration of the plant"
            )
    return parts


def _parents_first(shells: Iterable[Shell], remarks: list[str]) -> Iterator[tuple[Shell, str | None]]:
    """All shells with the shell that each is a part of, as exported shells say, that one before its parts."""
    by_id = {shell.id: shell for shell in shells}
    parts: dict[str | None, list[Shell]] = {}
    for shell in by_id.values():
        parent = shell.marks.get(PARENT)
        if parent is not None and parent not in by_id:
            remarks.append(f"{shell.place}: shell {shown(shell.id)} is a part of {shown(parent)}, which is not there")
            parent = None
        parts.setdefault(parent, []).append(shell)
    waiting: list[tuple[Shell, str | None]] = [(shell, None) for shell in reversed(parts.pop(None, []))]
    while waiting:
        shell, parent = waiting.pop()
        yield shell, parent
        waiting += ((part, shell.id) for part in reversed(parts.pop(shell.id, [])))
    if parts:
        ring = next(iter(parts.values()))[0]
        raise refused(ring.place, f"shell {shown(ring.id)} is a part of itself, by way of others; correct its parent")


def _is_exported(shell: Shell) -> bool:
    """Whether a shell was written by the export of shells."""
    return EQUIPMENT_PATH in shell.marks


def _shell_avatar(
    shell: Shell, parent: str | None, machine: str, parts: Sequence[Submodel], remarks: list[str]
) -> Avatar:
    """The avatar of a shell that has no model but `SHELL_MODEL`."""
    external_ids = _external_ids(shell)
    if _is_exported(shell):
        static_attributes = _kept_values(parts)
    else:
        static_attributes = _nameplate(shell, parts, remarks)
        _add_serial_number(shell, parts, external_ids, remarks)
        if shell.asset_kind == "TYPE":
            remarks.append(f"{shell.place}: shell {shown(shell.id)} is about a type of products, not about one thing")
    return Avatar(
        avatar=shell.id,
        name=shell.marks.get("name") or shell.name or shell.id_short or _tail(shell.id),
        model=SHELL_MODEL,
        parent=parent,
        equipment=machine,
        external_ids=external_ids,
        static_attributes=static_attributes,
        description=shell.marks.get("description") or shell.description,
        origin=shell.place,
    )


def _part_avatar(submodel: Submodel, shell: Avatar, model: str) -> Avatar:
    return Avatar(
        avatar=submodel.id,
        name=submodel.id_short or model,
        model=model,
        parent=shell.avatar,
        equipment=shell.equipment,
        static_attributes=_values(submodel),
        description=submodel.description,
        origin=submodel.place,
    )


def _external_ids(shell: Shell) -> dict[str, str]:
    """Global and specific asset ids; further ones of the same name get a number."""
    names = _Names({GLOBAL_ASSET_ID})
    found: dict[str, str] = {}
    if shell.global_asset_id and shell.global_asset_id != shell.id + NAMELESS_ASSET:
        found[GLOBAL_ASSET_ID] = shell.global_asset_id
    for name, value in shell.specific_ids:
        is_serial_number = re.sub(r"[ _-]", "", name).lower() == "serialnumber" and not _is_exported(shell)
        found[names.unique(SERIAL_NUMBER if is_serial_number else name, len(name) + 9)] = value
    return found


def _add_serial_number(shell: Shell, parts: Iterable[Submodel], ids: dict[str, str], remarks: list[str]) -> None:
    """The serial number that a nameplate says, unless the shell says one."""
    found = _lifted(parts, _SERIAL_NUMBER)
    if found and ids.setdefault(SERIAL_NUMBER, found) != found:
        remarks.append(
            f"{shell.place}: shell {shown(shell.id)} has the serial number {shown(ids[SERIAL_NUMBER])}, its nameplate "
            f"says {shown(found)}; the former is kept"
        )


def _values(submodel: Submodel) -> dict[str, str]:
    """Values of a submodel by idShort path; blank ones say nothing."""
    return {leaf.name + at: text for leaf in submodel.leaves for at, text in leaf.texts.items() if text.strip()}


def _kept_values(parts: Iterable[Submodel]) -> dict[str, str]:
    """Static attributes of an exported shell, as they were."""
    by_role = [part for role in (ROLE_MODEL, ROLE_STATIC) for part in parts if _role(part) == role]
    # The latter hold what the type of an attribute would write otherwise, such as 1.50 of a number.
    return {_kept_name(leaf): leaf.texts[""] for part in by_role for leaf in part.leaves if "" in leaf.texts}


def _nameplate(shell: Shell, parts: Iterable[Submodel], remarks: list[str]) -> dict[str, str]:
    """What every system asks for, and all values of nameplates."""
    parts = list(parts)
    found = {"asset_type": shell.asset_type} if shell.asset_type else {}
    for part in parts:
        if _is_thing(part) and _NAMEPLATE.search(f"{part.id_short} {part.semantic_id}"):
            for name, text in _values(part).items():
                if found.setdefault(name, text) != text:
                    remarks.append(
                        f"{part.place}: shell {shown(shell.id)} has two values of {shown(name)}; the first holds"
                    )
    lifted = {name: _lifted(parts, wanted) for name, wanted in _LIFTED.items()}
    return {name: text for name, text in lifted.items() if text} | found


def _lifted(parts: Iterable[Submodel], wanted: Sequence[str]) -> str | None:
    """Value of a property that every system asks for: the one that is nearest to the top of a submodel."""
    id_short, *semantic_ids = wanted
    found = [
        (len(leaf.path), leaf.texts[""])
        for part in parts
        if _is_thing(part)
        for leaf in part.leaves
        if leaf.texts.get("", "").strip()
        and (leaf.path[-1] == id_short or (leaf.semantic_id or "").rpartition("#")[0] in semantic_ids)
    ]
    return min(found, key=lambda pair: pair[0])[1] if found else None


# --- models ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Type:
    """A type of submodels while its model comes together.

    Attributes:
        model: the model, without attributes.
        attributes: the attributes so far, by name.
        counts: in how many submodels each attribute is.
        submodels: number of submodels.
    """

    model: Model
    attributes: dict[str, Attribute] = field(default_factory=dict[str, Attribute])
    counts: Counter[str] = field(default_factory=Counter[str])
    submodels: int = 0


def _models(submodels: Iterable[Submodel], names: _Names, remarks: list[str]) -> tuple[list[Model], dict[str, str]]:
    """The models of submodels, and the name of the model of each submodel by its id."""
    types: dict[tuple[str, str | None], _Type] = {}
    model_of: dict[str, str] = {}
    for submodel in submodels:
        if _role(submodel) in {ROLE_STATIC, ROLE_BINDINGS}:
            continue
        wished = _model_name(submodel)
        key = (wished if _role(submodel) == ROLE_MODEL else submodel.semantic_id or wished, submodel.version)
        if key not in types:
            types[key] = _Type(_model(submodel, names.unique(wished, MAX_MODEL_NAME), remarks))
        name = model_of[submodel.id] = types[key].model.name
        if name != wished:
            about = f"{submodel.place}: submodel {shown(submodel.id)}, {shown(wished)}"
            remarks.append(f"{about}, is of the model {shown(name)}")
        _add(types[key], submodel, remarks)
    return [_finished(kind) for kind in types.values()], model_of


def _model_name(submodel: Submodel) -> str:
    """A name as models may have it, from the idShort."""
    wished = submodel.marks.get("name") or submodel.id_short or _tail(submodel.semantic_id or submodel.id)
    plain = re.sub(r"[^A-Za-z0-9 _.-]", "_", wished)
    return re.sub(r"^[^A-Za-z0-9]+", "", plain)[:MAX_MODEL_NAME] or "Submodel"


def _model(submodel: Submodel, name: str, remarks: list[str]) -> Model:
    """The model of a submodel, still without attributes."""
    model = Model(
        name, submodel.description, (), submodel.version, semantic_id=submodel.semantic_id, origin=submodel.place
    )
    if _role(submodel) != ROLE_MODEL:
        return model
    marks = {mark: text for mark, text in submodel.marks.items() if mark not in {ROLE, "name"}}
    return _as_kept(model, marks, f"{submodel.place}: model {shown(name)}", remarks)


def _add(kind: _Type, submodel: Submodel, remarks: list[str]) -> None:
    """Add the attributes of a submodel to those of its type."""
    kind.submodels += 1
    about = f"{submodel.place}: model {shown(kind.model.name)}"
    remarks += (
        f"{about}: elements that have no values are left out: {count} x {name}"
        for name, count in sorted(submodel.left_out.items())
    )
    attribute_of = _kept_attribute if _role(submodel) == ROLE_MODEL else _attribute
    seen: set[str] = set()
    for leaf in submodel.leaves:
        attribute = attribute_of(leaf, about, remarks)
        if attribute.name in seen:
            raise refused(about, f"two elements are called {shown(attribute.name)}; rename one")
        seen.add(attribute.name)
        kind.counts[attribute.name] += 1
        other = kind.attributes.setdefault(attribute.name, attribute)
        if other != attribute:
            kind.attributes[attribute.name] = _merged(other, attribute, about, remarks)


def _finished(kind: _Type) -> Model:
    attributes = (
        replace(attribute, required=attribute.required and kind.counts[name] == kind.submodels)
        for name, attribute in sorted(kind.attributes.items())
    )
    return replace(kind.model, attributes=tuple(attributes))


def _merged(one: Attribute, other: Attribute, about: str, remarks: list[str]) -> Attribute:
    """What two attributes of one name have in common."""
    types = {one.data_type, other.data_type}
    units = {one.unit, other.unit} - {None}
    required = one.required and other.required
    if len(units) > 1 or (len(types) > 1 and not types <= NUMERIC):
        if (one.data_type, one.unit) != ("string", None):
            what = f"{_type_text(one)} and {_type_text(other)}; it becomes text"
            remarks.append(f"{about}: attribute {shown(one.name)} is {what}")
        return replace(
            one, data_type="string", kind="text", unit=None, minimum=None, maximum=None, allowed=(), required=required
        )
    data_type = one.data_type if len(types) == 1 else "double"
    allowed = tuple(sorted({*one.allowed, *other.allowed})) if one.allowed and other.allowed else ()
    return replace(
        one,
        data_type=data_type,
        kind=one.kind if one.kind == other.kind else default_kind(data_type, allowed),
        unit=one.unit or other.unit,
        minimum=None if one.minimum is None or other.minimum is None else min(one.minimum, other.minimum),
        maximum=None if one.maximum is None or other.maximum is None else max(one.maximum, other.maximum),
        allowed=allowed,
        required=required,
        description=one.description or other.description,
        semantic_id=one.semantic_id or other.semantic_id,
    )


def _type_text(attribute: Attribute) -> str:
    return attribute.data_type + (f" in {attribute.unit}" if attribute.unit else "")


# --- attributes ------------------------------------------------------------------------------------------


def _attribute(leaf: Leaf, about: str, remarks: list[str]) -> Attribute:
    """The attribute that an element becomes."""
    allowed = leaf.allowed if leaf.data_type == "string" else ()
    unit, left_unit = _unit(leaf, about, remarks)
    return Attribute(
        name=leaf.name,
        data_type=leaf.data_type,
        kind=default_kind(leaf.data_type, allowed),
        unit=unit,
        description="; ".join(filter(None, (_words(leaf.description), left_unit))) or None,
        minimum=leaf.minimum,
        maximum=leaf.maximum,
        allowed=allowed,
        required=leaf.required,
        semantic_id=leaf.semantic_id,
    )


def _unit(leaf: Leaf, about: str, remarks: list[str]) -> tuple[str | None, str | None]:
    """Symbol of a unit; where there is none, or the element is text, what the description has to say of it."""
    # The ordinal indicator stands for the degree sign in public files, among them IDTA's own; the sign for ohm
    # becomes the letter.
    written = unicodedata.normalize("NFC", (leaf.unit or "").strip().replace("\u00ba", "\u00b0"))
    if not written:
        return None, None
    if leaf.data_type not in NUMERIC:
        return None, f"unit: {written}"
    symbol = _symbol(written)
    if symbol is None:
        remarks.append(f"{about}: unit {shown(written)} is not known; it is in the description of {shown(leaf.name)}")
        return None, f"unit: {written}"
    return symbol, None


def _symbol(written: str) -> str | None:
    """Symbol of a unit by its display name, its symbol or its UNECE code; None if it is none of them."""
    symbol = symbol_of_display_name(written)
    if symbol is not None or written in _NO_UNITS:
        return symbol
    try:
        return check_symbol(written)
    except UnitError:
        return symbol_of_unece(written)


def _kept_name(leaf: Leaf) -> str:
    return leaf.marks.get("name", leaf.name)


def _kept_attribute(leaf: Leaf, about: str, remarks: list[str]) -> Attribute:
    """The attribute that was exported as an element."""
    attribute = Attribute(
        name=_kept_name(leaf),
        data_type=leaf.data_type,
        kind=default_kind(leaf.data_type),
        unit=leaf.unit,
        description=leaf.description,
        required=leaf.required,
        semantic_id=leaf.semantic_id,
    )
    marks = {mark: text for mark, text in leaf.marks.items() if mark != "name"}
    return _as_kept(attribute, marks, f"{about}, {shown(attribute.name)}", remarks)


# --- what the export wrote down --------------------------------------------------------------------------


@cache
def _adapter(kind: type[ItemT]) -> TypeAdapter[ItemT]:
    return TypeAdapter(kind)


def _as_kept(item: ItemT, marks: Mapping[str, str], about: str, remarks: list[str]) -> ItemT:
    """An attribute or a model with what the export of shells wrote down of it.

    Raises:
        ConfigurationError: somebody changed that to something impossible.
    """
    if not marks:
        return item
    values: dict[str, Any] = {f.name: getattr(item, f.name) for f in fields(item)}
    remarks += (f"{about}: {shown(mark)} means nothing here; it is left out" for mark in sorted(marks.keys() - values))
    given: dict[str, Any] = {mark: text for mark, text in marks.items() if mark in values}
    try:
        if "allowed" in given:
            given["allowed"] = json.loads(given["allowed"])
        kept: ItemT = _adapter(type(item)).validate_python(values | given)
    except ValidationError as error:
        problems = [f"{about}: {detail['loc'][0]}: {detail['msg']}" for detail in error.errors(include_url=False)]
        raise ConfigurationError(problems) from None
    except (ValueError, RecursionError) as error:
        raise refused(about, f"allowed: no list in JSON: {error}") from None
    numbers = [number for mark in given if isinstance(number := getattr(kept, mark), float)]
    if not all(map(math.isfinite, numbers)):
        raise refused(about, f"a number among {', '.join(given)} is infinite; correct it")
    version = given.get("version", "1.0.0")
    if not _VERSION.fullmatch(version):
        raise refused(about, f"version {shown(version)} is none; write it like 1.0.0")
    return kept
