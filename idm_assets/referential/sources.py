"""Everything that the referential is built from, read and checked: YAML, models, descriptions, rules.

Big tables are only named here; DuckDB reads them while it builds. What was read has fingerprints, so that a
change touches only the plants that it is about.

Belongs here: which files there are, which importer reads which, fingerprints. Does not belong here: what the
formats look like, what is built of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from idm_assets.configuration import ConfigurationError, file_within
from idm_assets.fingerprint import fingerprint
from idm_assets.referential.asset_administration_shell import read_shells
from idm_assets.referential.configuration import (
    MachinesImport,
    PlantDocument,
    TableImport,
    read_plants,
)
from idm_assets.referential.data_models import ModelSources, read_model_sources
from idm_assets.referential.description import Description, Model, problems_of
from idm_assets.referential.model_register import ModelRegister
from idm_assets.referential.mtconnect_devices import read_devices
from idm_assets.referential.opcua_nodeset2 import read_nodeset
from idm_assets.referential.rules import PlacedRule, read_rules
from idm_assets.referential.statements import DatedImport

ReadT = TypeVar("ReadT")

CODE_VERSION: Final = "2"
"""Changed by hand whenever the same configuration would give other tables."""

_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Inputs:
    """Fingerprints of what a referential is built from.

    Attributes:
        common: of what all plants share: models, rules, code.
        plants: plant to that of its YAML and of all its imports, tables of changes left out.
        appended: plant to those of its tables of changes, in the order in which they come into force.
    """

    common: str
    plants: Mapping[str, str]
    appended: Mapping[str, Sequence[str]]

    def plain(self) -> dict[str, Any]:
        """As recorded with a version."""
        return {"common": self.common, "plants": dict(self.plants), "appended": dict(self.appended)}

    @classmethod
    def recorded(cls, plain: Mapping[str, Any]) -> Inputs:
        """Those that were recorded with a version."""
        return cls(plain["common"], plain["plants"], plain["appended"])


@dataclass(frozen=True, slots=True)
class Sources:
    """What was read.

    Attributes:
        documents: YAML files of plants.
        imports: all imports of plants, by start, plant and series.
        register: all models.
        authored: the models that are written in YAML.
        rules: plausibility rules, in order of precedence.
        inputs: fingerprints.
        remarks: what was accepted but ought to be known, one sentence each.
    """

    documents: tuple[PlantDocument, ...]
    imports: tuple[DatedImport, ...]
    register: ModelRegister
    authored: tuple[Model, ...]
    rules: tuple[PlacedRule, ...]
    inputs: Inputs
    remarks: tuple[str, ...] = ()

    @property
    def plants(self) -> list[str]:
        """All plants, sorted."""
        return sorted({document.value.plant for document in self.documents})


def read_sources(config_folder: Path) -> Sources:
    """Read the folders ``models``, ``referential`` and ``rules`` of a configuration, and the files they name.

    Raises:
        ConfigurationError: with all problems that were found, each with file and line.
    """
    problems: list[str] = []
    models = _gather(problems, lambda: read_model_sources(config_folder), ModelSources((), ()))
    documents = _gather(problems, lambda: read_plants(config_folder), ())
    rules = _gather(problems, lambda: read_rules(config_folder), ())
    if problems:
        raise ConfigurationError(problems)
    library = _node_sets(models, documents, config_folder)
    register = ModelRegister()
    register.add(models.models)
    remarks: list[str] = []
    for item in models.imports:
        described = _gather(problems, lambda item=item: _describe(item.format, item.path, library, None), Description())
        remarks += described.remarks
        register.add(described.models)
    imports = _with_versions(_imports(documents, config_folder, library, problems), register)
    remarks += [remark for dated in imports if dated.description for remark in dated.description.remarks]
    if problems or register.problems:
        raise ConfigurationError([*problems, *register.problems])
    return Sources(
        documents,
        tuple(imports),
        register,
        models.models,
        rules,
        _inputs(documents, imports, register, rules),
        tuple(remarks),
    )


def _gather(problems: list[str], read: Callable[[], ReadT], otherwise: ReadT) -> ReadT:
    """What was read; its problems join the others, so that a person sees all of them at once."""
    try:
        return read()
    except ConfigurationError as error:
        problems += error.problems
        return otherwise


def _describe(format_name: str, path: Path, library: Sequence[Path], source: str | None) -> Description:
    match format_name:
        case "mtconnect_devices":
            description = read_devices(path)
        case "opcua_nodeset2":
            description = read_nodeset(path, [other for other in library if other != path], source)
        case _:
            description = read_shells(path)
    wrong = problems_of(description)
    if wrong:
        raise ConfigurationError(wrong)
    return description


def _node_sets(models: ModelSources, documents: Sequence[PlantDocument], config_folder: Path) -> list[Path]:
    """All NodeSet2 files that the configuration names: where required models are looked for."""
    named = [item.path for item in models.imports if item.format == "opcua_nodeset2"]
    for document in documents:
        for item in document.value.imports:
            path = file_within(document.path, item.file, config_folder)
            if item.format == "opcua_nodeset2" and path is not None:
                named.append(path)
    return sorted(set(named))


def _imports(
    documents: Sequence[PlantDocument], config_folder: Path, library: Sequence[Path], problems: list[str]
) -> list[DatedImport]:
    """All imports of plants, read, by start, plant and series."""
    imports: list[DatedImport] = []
    for document in documents:
        for i, item in enumerate(document.value.imports):
            path = file_within(document.path, item.file, config_folder)
            if path is None:
                problems.append(document.problem(("imports", i, "file"), f"{item.file!r} leads out of {config_folder}"))
                continue
            dated = DatedImport(document, item, document.place("imports", i), path)
            if isinstance(item, MachinesImport):
                described = _gather(
                    problems,
                    lambda item=item, path=path: _describe(item.format, path, library, item.source),
                    Description(),
                )
                dated = replace(dated, description=described)
            imports.append(dated)
    return sorted(imports, key=lambda d: (d.item.valid_from or _ALWAYS, d.plant, d.series))


def _with_versions(imports: Sequence[DatedImport], register: ModelRegister) -> list[DatedImport]:
    return [
        dated if dated.description is None else replace(dated, model_versions=register.add(dated.description.models))
        for dated in imports
    ]


def _inputs(
    documents: Sequence[PlantDocument],
    imports: Sequence[DatedImport],
    register: ModelRegister,
    rules: Sequence[PlacedRule],
) -> Inputs:
    models = [f"{replace(model, origin='')!r}@{version}" for model, version in register.all()]
    common = fingerprint({"code": CODE_VERSION, "models": models, "rules": [p.rule.model_dump_json() for p in rules]})
    plants: dict[str, str] = {}
    appended: dict[str, list[str]] = {}
    for plant in sorted({document.value.plant for document in documents}):
        own = [d for d in imports if d.plant == plant]
        said = [
            document.value.model_dump_json(exclude={"imports"})
            for document in documents
            if document.value.plant == plant
        ]
        plants[plant] = fingerprint({"said": said, "imports": [_print(d) for d in own if not is_appended(d)]})
        appended[plant] = [_print(d) for d in own if is_appended(d)]
    return Inputs(common, plants, {plant: prints for plant, prints in appended.items() if prints})


def is_appended(dated: DatedImport) -> bool:
    """Whether an import only changes what others said before."""
    return isinstance(dated.item, TableImport) and dated.item.extent == "changes"


def _print(dated: DatedImport) -> str:
    return fingerprint({"item": dated.item.model_dump_json(), "content": content_of_file(dated.path)})


def content_of_file(path: Path) -> str:
    """SHA-256 of a file, remembered as long as its size and time of change stay the same."""
    found = path.stat()
    return _sha256(path, found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=10_000)
def _sha256(path: Path, _size: int, _mtime_ns: int, _inode: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
