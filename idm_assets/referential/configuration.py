"""Configuration of the referential: ``config/referential/*.yaml``, one or several files per plant.

Belongs here: the shape of these files and what must hold within and between them. Does not belong here:
reading YAML (`idm_assets.configuration`), importers, rules, what the imported files say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from pathlib import Path
from string import Formatter
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from idm_assets.configuration import ConfigurationError, Document, file_within, load_folder
from idm_assets.referential.units import check_symbol

FOLDER: Final = "referential"

# The levels of `idm_assets.referential.tables.ISA95_LEVELS`, written out so that types and editors know them.
Level = Literal[
    "Enterprise", "Site", "Area", "ProcessCell", "Unit", "ProductionLine", "WorkCell", "ProductionUnit",
    "StorageZone", "StorageUnit", "WorkCenter", "WorkUnit", "EquipmentModule", "ControlModule", "Other",
]  # fmt: skip


def pattern_parts(pattern: str) -> Iterator[tuple[str, str | None]]:
    """Literal texts of a pattern, each with the field that follows it.

    Raises:
        ValueError: braces that do not close, or a field that is no plain name.
    """
    for text, field, spec, converted in Formatter().parse(pattern):
        if field is not None and (not field.isidentifier() or spec or converted):
            raise ValueError(f"expected fields like {{line}}, got {{{field}}}")
        yield text, field


def pattern_fields(pattern: str) -> list[str]:
    """Names of a pattern's fields, in order."""
    return [field for _, field in pattern_parts(pattern) if field is not None]


def _clean_path(path: str) -> str:
    parts = path.split("/")
    if any(not part.strip() or part != part.strip() or not part.isprintable() for part in parts):
        raise ValueError("expected names separated by single '/', as in 'NIST/Gaithersburg'")
    return path


def _instant(value: object) -> object:
    """A date becomes its first instant in UTC, a time keeps its zone but is turned to UTC."""
    if isinstance(value, str):
        try:
            if len(value) == 10:
                return datetime.combine(date.fromisoformat(value), time(), UTC)
            parsed = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("expected a date like 2017-02-27 or a time with zone like 2017-02-27T06:00:00Z") from None
        if parsed.tzinfo is None:
            raise ValueError("expected a time with its zone, as in 2017-02-27T06:00:00Z")
        try:
            return parsed.astimezone(UTC)
        except OverflowError:
            raise ValueError("expected a time that has a place in UTC's calendar") from None
    return value


EquipmentPath = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_clean_path)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(check_symbol)]
Factor = Annotated[float, Field(allow_inf_nan=False)]


class EquipmentElement(BaseModel):
    """One element of the equipment hierarchy (ISA-95 / IEC 62264)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: EquipmentPath = Field(description="Names from the enterprise down, separated by '/'.")
    level: Level = Field(description="ISA-95 equipment level.")
    description: str | None = Field(default=None, max_length=2000, description="What people call it.")


class _Import(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(min_length=1, max_length=500, description="Path, relative to the folder of this YAML file.")
    valid_from: Instant | None = Field(
        default=None,
        description="Date (00:00 UTC) or time with zone from which on the file holds; none: since ever.",
    )
    series: Name = Field(
        default="main",
        description="Files of one series are versions that replace each other; series stand side by side.",
    )


class MachinesImport(_Import):
    """A file that describes machines, by a standard."""

    format: Literal["mtconnect_devices", "opcua_nodeset2", "aas"] = Field(description="Format of the file.")
    below: EquipmentPath = Field(description="Equipment element that the machines belong to.")
    level: Level = Field(default="WorkUnit", description="ISA-95 level of the machines.")
    source: Identifier | None = Field(
        default=None, description="Source whose tags the described variables are; none: they stay unbound."
    )


class TableImport(_Import):
    """A table of avatars, of signals or of equipment: CSV, Parquet or XLSX."""

    format: Literal["table"] = Field(description="Format of the file; the suffix says which kind of table.")
    of: Literal["avatars", "signals", "equipment"] = Field(description="What its rows are.")
    columns: Mapping[str, Identifier] = Field(
        default_factory=dict[str, str],
        description="Our column to the file's column, such as avatar: Asset No, or external_ids.vin: VIN."
        " Columns of equal names need no entry.",
    )
    constants: Mapping[str, str | float | bool] = Field(
        default_factory=dict[str, str | float | bool], description="Our column to the value that all rows have."
    )
    sheet: Identifier | None = Field(default=None, description="Sheet of a workbook; none: the first.")
    extent: Literal["full", "changes"] = Field(
        default="full",
        description="full: what the file leaves out ends; changes: only what it names changes, and rows whose"
        " column removed is true end.",
    )


Import = Annotated[MachinesImport | TableImport, Field(discriminator="format")]


class AvatarEntry(BaseModel):
    """One avatar."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    avatar: Identifier = Field(description="Stable identifier, unique in the plant.")
    name: Identifier | None = Field(default=None, description="Name for people; none: the identifier.")
    model: Identifier = Field(description="Data model, as Name or Name@1.2.0; without version the highest.")
    parent: Identifier | None = Field(default=None, description="Avatar that this one is a part of.")
    equipment_path: EquipmentPath = Field(description="Equipment element that it belongs to.")
    external_ids: Mapping[str, str] = Field(
        default_factory=dict[str, str], description="What other systems call it: serial_number, asset_number, vin."
    )
    static_attributes: Mapping[str, str | int | float | bool] = Field(
        default_factory=dict[str, str | int | float | bool],
        description="What does not change: manufacturer, year, location.",
    )
    description: str | None = Field(default=None, max_length=2000, description="What people say of it.")
    valid_from: Instant | None = Field(default=None, description="Start of validity; none: since ever.")
    valid_to: Instant | None = Field(default=None, description="End of validity; none: until further notice.")


class SignalEntry(BaseModel):
    """One binding of a tag."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Identifier = Field(description="Source that delivers the tag.")
    tag: Identifier = Field(description="Name of the tag, as delivered.")
    avatar: Identifier = Field(description="Avatar that the tag speaks of.")
    attribute: Identifier = Field(description="Attribute of the avatar's model.")
    unit: Unit | None = Field(default=None, description="Unit as delivered; none: the attribute's own.")
    scale: Factor = Field(default=1.0, description="Value in the delivered unit = raw value x scale + offset.")
    offset: Factor = Field(default=0.0, description="See scale.")
    valid_from: Instant | None = Field(default=None, description="Start of validity; none: since ever.")
    valid_to: Instant | None = Field(default=None, description="End of validity; none: until further notice.")


class BindingRule(BaseModel):
    """A pattern that binds the tags of many avatars at once.

    The fields of the avatar pattern are read from each avatar's identifier and put into the patterns of source and
    tag; ``{attribute}`` stands for each attribute of its model, ``{avatar}``, ``{name}`` and ``{equipment}`` for
    the avatar's identifier, its name and the last element of its equipment path.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(description="Recorded with every binding that it makes.")
    avatar: Identifier = Field(default="{avatar}", description="Pattern over identifiers, such as {line}-{robot}.")
    model: Identifier | None = Field(default=None, description="Glob over names of models; none: all.")
    source: Identifier = Field(description="Pattern of the source, such as {line}-opc.")
    tag: Identifier = Field(description="Pattern of the tag, such as {line}_{robot}_{attribute}.")
    attributes: Mapping[str, Identifier] = Field(
        default_factory=dict[str, str],
        description="Attribute to what the tag calls it; attributes without an entry are left out. None given: all.",
    )
    unit: Unit | None = Field(default=None, description="Unit as delivered; none: the attribute's own.")
    scale: Factor = Field(default=1.0, description="Value in the delivered unit = raw value x scale + offset.")
    offset: Factor = Field(default=0.0, description="See scale.")
    valid_from: Instant | None = Field(default=None, description="Start of validity; none: since ever.")
    valid_to: Instant | None = Field(default=None, description="End of validity; none: until further notice.")

    @model_validator(mode="after")
    def _fields_are_known(self) -> BindingRule:
        given = [name for name in pattern_fields(self.avatar) if name != "avatar"]
        if self.avatar != "{avatar}" and {"attribute", "avatar", "name", "equipment"} & set(
            pattern_fields(self.avatar)
        ):
            raise ValueError("fields of the avatar pattern need names of their own, as in {line}-{robot}")
        if len(given) != len(set(given)):
            raise ValueError("expected every field once in the avatar pattern")
        known = {*given, "attribute", "avatar", "name", "equipment"}
        unknown = [n for n in (*pattern_fields(self.source), *pattern_fields(self.tag)) if n not in known]
        if unknown:
            raise ValueError(f"unknown field {{{unknown[0]}}}; known here: {', '.join(sorted(known))}")
        return self


class ReferentialConfiguration(BaseModel):
    """What one plant's referential is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plant: Name = Field(description="Name of the plant, as in its landing folder.")
    equipment: list[EquipmentElement] = Field(default_factory=list[EquipmentElement], description="The hierarchy.")
    imports: list[Import] = Field(default_factory=list[Import], description="Descriptions of machines, dated.")
    avatars: list[AvatarEntry] = Field(default_factory=list[AvatarEntry], description="Avatars, one by one.")
    signals: list[SignalEntry] = Field(default_factory=list[SignalEntry], description="Bindings, one by one.")
    binding_rules: list[BindingRule] = Field(
        default_factory=list[BindingRule],
        description="Bindings by pattern. A tag that is bound explicitly is left out of them.",
    )


PlantDocument = Document[ReferentialConfiguration]


def read_plants(config_folder: Path) -> tuple[PlantDocument, ...]:
    """Read and check ``referential/*.yaml`` of a configuration folder; without such a folder there are no plants yet.

    Raises:
        ConfigurationError: with all problems of all files, or because there is no configuration folder.
    """
    if config_folder.is_dir() and not (config_folder / FOLDER).exists():
        return ()
    documents = load_folder(config_folder / FOLDER, ReferentialConfiguration)
    by_plant: dict[str, list[PlantDocument]] = {}
    for document in documents:
        by_plant.setdefault(document.value.plant, []).append(document)
    problems = [problem for group in by_plant.values() for problem in _problems(group, config_folder)]
    if problems:
        raise ConfigurationError(problems)
    return documents


def _problems(group: Sequence[PlantDocument], config_folder: Path) -> Iterator[str]:
    """What is wrong with the documents of one plant."""
    known = {element.path for document in group for element in document.value.equipment}
    paths: dict[str, str] = {}
    starts: dict[tuple[str, str, datetime | None], str] = {}
    names: dict[str, str] = {}
    for document in group:
        yield from _equipment_problems(document, known, paths)
        for i, item in enumerate(document.value.imports):
            yield from _import_problems(document, i, known, config_folder)
            place = document.place("imports", i)
            other = starts.setdefault((_series(item), item.series, item.valid_from), place)
            if other != place:
                yield document.problem(
                    ("imports", i, "valid_from"),
                    f"starts when the import at {other} of series {item.series!r} does; change start or series",
                )
        for i, rule in enumerate(document.value.binding_rules):
            other = names.setdefault(rule.name, document.place("binding_rules", i))
            if other != document.place("binding_rules", i):
                yield document.problem(("binding_rules", i, "name"), f"name {rule.name!r} is already taken at {other}")
        for kind, entries in (
            ("avatars", document.value.avatars), ("signals", document.value.signals),
            ("binding_rules", document.value.binding_rules),
        ):  # fmt: skip
            for i, entry in enumerate(entries):
                if entry.valid_from and entry.valid_to and entry.valid_from >= entry.valid_to:
                    yield document.problem((kind, i, "valid_to"), "expected an end after valid_from")


def _series(item: MachinesImport | TableImport) -> str:
    """What a series of imports is about: tables of different things do not replace each other."""
    return item.of if isinstance(item, TableImport) else "machines"


def _equipment_problems(document: PlantDocument, known: set[str], paths: dict[str, str]) -> Iterator[str]:
    for i, element in enumerate(document.value.equipment):
        location = ("equipment", i, "path")
        parent = element.path.rpartition("/")[0]
        if element.path in paths:
            yield document.problem(location, f"{element.path!r} was already given at {paths[element.path]}")
        if parent and parent not in known:
            yield document.problem(location, f"the element above, {parent!r}, is missing; add it to the equipment")
        paths.setdefault(element.path, document.place(*location))


def _import_problems(document: PlantDocument, i: int, known: set[str], config_folder: Path) -> Iterator[str]:
    item = document.value.imports[i]
    path = file_within(document.path, item.file, config_folder)
    if path is None:
        yield document.problem(
            ("imports", i, "file"), f"{item.file!r} leads out of {config_folder}; move the file into it"
        )
    elif not path.is_file():
        yield document.problem(("imports", i, "file"), f"there is no file {path}")
    if isinstance(item, MachinesImport) and item.below not in known:
        yield document.problem(("imports", i, "below"), f"{item.below!r} is missing; add it to the equipment")
