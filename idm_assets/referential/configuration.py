"""Configuration of the referential: ``config/referential/*.yaml``, one plant per file.

Belongs here: the shape of these files and what must hold within and between them. Does not belong here:
reading YAML (`idm_assets.configuration`), importers, rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path, PurePosixPath
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from idm_assets.configuration import ConfigurationError, Document, load_folder

FOLDER: Final = "referential"

# The levels of `idm_assets.referential.tables.ISA95_LEVELS`, written out so that types and editors know them.
Level = Literal[
    "Enterprise", "Site", "Area", "ProcessCell", "Unit", "ProductionLine", "WorkCell", "ProductionUnit",
    "StorageZone", "StorageUnit", "WorkCenter", "WorkUnit", "EquipmentModule", "ControlModule", "Other",
]  # fmt: skip


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


class EquipmentElement(BaseModel):
    """One element of the equipment hierarchy (ISA-95 / IEC 62264)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: EquipmentPath = Field(description="Names from the enterprise down, separated by '/'.")
    level: Level = Field(description="ISA-95 equipment level.")
    description: str | None = Field(default=None, max_length=2000, description="What people call it.")


class Import(BaseModel):
    """One dated file that describes machines and their tags."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mtconnect_devices"] = Field(description="Format of the file.")
    file: str = Field(min_length=1, max_length=500, description="Path, relative to the folder of this YAML file.")
    valid_from: Instant | None = Field(
        default=None,
        description="Date (00:00 UTC) or time with zone from which on the file holds; none: since ever.",
    )
    below: EquipmentPath = Field(description="Equipment element that the machines belong to.")
    level: Level = Field(default="WorkUnit", description="ISA-95 level of the machines.")
    series: Name = Field(
        default="main",
        description="Files of one series are versions that replace each other; series stand side by side.",
    )


class ReferentialConfiguration(BaseModel):
    """What one plant's referential is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plant: Name = Field(description="Name of the plant, as in its landing folder.")
    equipment: list[EquipmentElement] = Field(default_factory=list[EquipmentElement], description="The hierarchy.")
    imports: list[Import] = Field(default_factory=list[Import], description="Descriptions of machines, dated.")


PlantDocument = Document[ReferentialConfiguration]


def read_plants(config_folder: Path) -> tuple[PlantDocument, ...]:
    """Read and check ``referential/*.yaml`` of a configuration folder.

    Raises:
        ConfigurationError: with all problems of all files.
    """
    documents = load_folder(config_folder / FOLDER, ReferentialConfiguration)
    problems = [problem for document in documents for problem in _problems(document, config_folder)]
    first: dict[str, PlantDocument] = {}
    for document in documents:
        other = first.setdefault(document.value.plant, document)
        if other is not document:
            problems.append(
                document.problem(("plant",), f"plant {document.value.plant!r} has its file already: {other.path}")
            )
    if problems:
        raise ConfigurationError(problems)
    return documents


def file_of(document: PlantDocument, item: Import, config_folder: Path) -> Path | None:
    """The file of an import; None if the path leads out of the configuration folder, also by a link."""
    if PurePosixPath(item.file).is_absolute() or "\0" in item.file:
        return None
    path = document.path.parent / item.file
    return path if path.resolve().is_relative_to(config_folder.resolve()) else None


def _problems(document: PlantDocument, config_folder: Path) -> Iterator[str]:
    configuration = document.value
    paths: set[str] = set()
    known = {element.path for element in configuration.equipment}
    for i, element in enumerate(configuration.equipment):
        place = ("equipment", i, "path")
        parent = element.path.rpartition("/")[0]
        if element.path in paths:
            yield document.problem(place, f"{element.path!r} was already given")
        if parent and parent not in known:
            yield document.problem(place, f"the element above, {parent!r}, is missing; add it to the equipment")
        paths.add(element.path)
    starts: dict[tuple[str, datetime | None], int] = {}
    for i, item in enumerate(configuration.imports):
        path = file_of(document, item, config_folder)
        if path is None:
            yield document.problem(
                ("imports", i, "file"), f"{item.file!r} leads out of {config_folder}; move the file into it"
            )
        elif not path.is_file():
            yield document.problem(("imports", i, "file"), f"there is no file {path}")
        if item.below not in known:
            yield document.problem(("imports", i, "below"), f"{item.below!r} is missing; add it to the equipment")
        other = starts.setdefault((item.series, item.valid_from), i)
        if other != i:
            yield document.problem(
                ("imports", i, "valid_from"),
                f"starts when imports[{other}] of series {item.series!r} does; change start or series",
            )
