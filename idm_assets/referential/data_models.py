"""Authored data models: ``config/models/*.yaml``, read, inherited from each other, and judged as a whole.

The unit of an attribute is written as a symbol that pint reads (``degC``) or as a code of UNECE Recommendation 20
(``CEL``); `unit_symbol` says which text means what. Whatever is written, models carry the symbol.

A model that extends another has all its attributes. An attribute that it states again keeps what it leaves out, and
may only narrow: whatever is valid for the extending model must be valid for the extended one, by the table of
`idm_assets.referential.compatibility`. Only the semantic_id is free, since a narrower meaning has a name of its own.

Belongs here: the shape of these files and what must hold within and between them. Does not belong here: reading
YAML (`idm_assets.configuration`), what makes versions compatible, models from standards (only the shape of
``imports`` is here), what is in force.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from idm_assets.configuration import ConfigurationError, Document, file_within, load_document
from idm_assets.referential.attribute_rules import (
    MAX_VALUE,
    Finding,
    allowed_text,
    attribute_problems,
    has_controls,
)
from idm_assets.referential.compatibility import (
    VERSION,
    Numbers,
    attribute_changes,
    broken_versions,
    shortened,
    version_numbers,
)
from idm_assets.referential.description import (
    Attribute,
    DataType,
    Hold,
    Kind,
    Model,
    ModelKind,
    Pii,
    Sampling,
    default_kind,
)
from idm_assets.referential.unece import name_of_unece, symbol_of_unece
from idm_assets.referential.units import UnitError, check_symbol, conversion

FOLDER: Final = "models"
MAX_DEPTH: Final = 16
MAX_RING: Final = 20
MAX_ATTRIBUTES: Final = 2_000
MAX_ALL_ATTRIBUTES: Final = 200_000
MAX_ALLOWED: Final = 1_000

NAME: Final = r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,126}"
_UNECE: Final = "UNECE:"
_PINT: Final = "pint:"


# --- the shape of the files ------------------------------------------------------------------------------


def _version(value: object) -> object:
    if isinstance(value, str | float | int):
        version_numbers(str(value))
    return value


def _readable(text: str) -> str:
    if has_controls(text.replace("\n", "").replace("\t", "")):
        raise ValueError("expected text without control characters")
    return text


def _scalar(value: object) -> object:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("expected a text, a number, true or false")  # noqa: TRY004 - pydantic's convention
    return value


def unit_symbol(text: str) -> str:
    """The symbol of an authored unit.

    A text is read as a symbol and as a code of UNECE Recommendation 20. If it is only one of them, or both mean the
    same unit (``MVA``), that is what it means. If it is both (``GL``: gigalitre, and the code of gram per litre), it
    is refused; ``pint:GL`` is the symbol, ``UNECE:GL`` the code. About 30 of the 1800 codes are of that sort.

    Raises:
        UnitError: it is neither, or it may mean either.
    """
    if text.startswith(_PINT):
        return check_symbol(text.removeprefix(_PINT))
    if text.startswith(_UNECE):
        return _symbol_of_code(text.removeprefix(_UNECE))
    name = name_of_unece(text)
    try:
        symbol = check_symbol(text)
    except UnitError:
        if name is None:
            raise
        return _symbol_of_code(text)
    if name is not None and not _mean_the_same(symbol, symbol_of_unece(text)):
        raise UnitError(
            f"unit {text!r} may be the symbol {text} or the UNECE code of {name!r}; "
            f"write {_PINT}{text} for the symbol or {_UNECE}{text} for the code"
        )
    return symbol


def _symbol_of_code(code: str) -> str:
    symbol = symbol_of_unece(code)
    if symbol is None:
        name = name_of_unece(code)
        what = (
            "no UNECE code" if name is None else f"the UNECE code of {name!r}, which is no unit to convert from or to"
        )
        raise UnitError(f"{code!r} is {what}; write the unit as a symbol, such as degC or mm/s")
    return symbol


def _mean_the_same(symbol: str, other: str | None) -> bool:
    """Whether two symbols mean one unit; pint's BTU and that of the UNECE differ by a ten-millionth."""
    try:
        step = conversion(symbol, other)
    except UnitError:
        return False
    return math.isclose(step.factor, 1.0, rel_tol=1e-6) and step.offset == 0.0


ModelName = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(_readable)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_readable)]
Version = Annotated[
    str, BeforeValidator(_version), Field(json_schema_extra={"pattern": f"^{VERSION}$", "examples": ["1.0.0"]})
]
Reference = Annotated[str, StringConstraints(pattern=rf"^{NAME}(@{VERSION})?$")]
Unit = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(unit_symbol)]
Number = Annotated[float, Field(allow_inf_nan=False)]
AllowedValue = Annotated[
    Any, AfterValidator(_scalar), WithJsonSchema({"type": ["string", "number", "boolean"], "maxLength": MAX_VALUE})
]


class RangeEntry(BaseModel):
    """Plausible values: what lies outside is kept, but marked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    minimum: Number | None = Field(default=None, description="Smallest plausible value, in the attribute's unit.")
    maximum: Number | None = Field(default=None, description="Largest plausible value, in the attribute's unit.")


class SamplingEntry(BaseModel):
    """How a source reports the attribute."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Sampling = Field(description="periodic: at regular times; on_change: when the value changes.")
    cadence_s: Number | None = Field(
        default=None,
        gt=0,
        description="Seconds between two reports; for on_change the longest silence that is to be expected.",
    )
    deadband: Number | None = Field(
        default=None, ge=0, description="Smallest change that is reported, in the attribute's unit."
    )


class AttributeEntry(BaseModel):
    """One attribute of a data model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,126}$",
        description="Unique in the model. In record models a column name: letters, digits and underscores.",
    )
    data_type: DataType = Field(description="Type of the values. vector3: three numbers; only in telemetry models.")
    kind: Kind | None = Field(
        default=None,
        description="measurement: a quantity; state: holds until it changes and makes intervals; text: neither."
        " Left out: numbers are measurements, booleans and attributes with allowed values states, others text.",
    )
    unit: Unit | None = Field(
        default=None,
        description="Unit of the values: a symbol such as degC or a UNECE code such as CEL. What may be both is"
        " written pint:GL or UNECE:GL.",
        examples=["degC", "kW", "mm/s", "CEL", "UNECE:GL"],
    )
    range: RangeEntry | None = Field(default=None, description="Plausible values; only for numbers.")
    allowed: list[AllowedValue] | None = Field(
        default=None, min_length=1, max_length=MAX_ALLOWED, description="The only plausible values; left out: any."
    )
    key: bool = Field(default=False, description="Part of what identifies a record; a key is always required.")
    required: bool = Field(default=False, description="Every avatar or record has it.")
    sampling: SamplingEntry | None = Field(
        default=None, description="How it is reported; only in telemetry models. Left out: unknown."
    )
    hold: Hold = Field(
        default="stepped",
        description="How to read between two reports: stepped keeps the earlier value, sloped is the line.",
    )
    pii: Pii = Field(default="none", description="Class of personal data.")
    semantic_id: Line | None = Field(
        default=None, description="Where the meaning is defined: an IRI, an IRDI such as ECLASS has, a NodeId."
    )
    description: Text | None = Field(default=None, description="What it means, for people.")


class ModelEntry(BaseModel):
    """One version of a data model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ModelName = Field(description="Name of the type of things or records, such as WorkOrder.")
    version: Version = Field(
        description="MAJOR.MINOR.PATCH. Another content needs another version: minor if what was valid stays valid,"
        " major otherwise; `idm model diff` says which."
    )
    kind: ModelKind | None = Field(
        default=None,
        description="telemetry: attributes are reported one by one; record: a row has them all."
        " Left out: that of the model it extends, else telemetry.",
    )
    description: Text | None = Field(default=None, description="What it describes, for people.")
    business_object: Line | None = Field(default=None, description="What the business calls such a thing.")
    owner: Line | None = Field(
        default=None, description="Who answers for the model; an address that can be written to."
    )
    extends: Reference | None = Field(
        default=None,
        description="Model whose attributes it inherits, as Name@1.0.0; without a version the highest there is.",
    )
    semantic_id: Line | None = Field(
        default=None, description="Where the meaning is defined: an IRI, an IRDI such as ECLASS has, a NodeId."
    )
    attributes: list[AttributeEntry] = Field(
        default_factory=list[AttributeEntry],
        max_length=MAX_ATTRIBUTES,
        description="Its own attributes, and inherited ones that it narrows.",
    )


class ModelImport(BaseModel):
    """A file of a standard that describes models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["opcua_nodeset2", "aas"] = Field(
        description="opcua_nodeset2: a companion specification; aas: an Asset Administration Shell."
    )
    file: str = Field(min_length=1, max_length=500, description="Path, relative to the folder of this YAML file.")


class ModelFile(BaseModel):
    """A YAML file of data models."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: list[ModelEntry] = Field(default_factory=list[ModelEntry], description="Models, in any order.")
    imports: list[ModelImport] = Field(default_factory=list[ModelImport], description="Models from standards.")


ModelDocument = Document[ModelFile]


# --- reading ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlacedModelImport:
    """A file of a standard to read models from.

    Attributes:
        place: ``file:line`` of the entry.
        format: name of the format.
        path: the file, absolute, inside of the configuration folder.
    """

    place: str
    format: Literal["opcua_nodeset2", "aas"]
    path: Path


@dataclass(frozen=True, slots=True)
class ModelSources:
    """What a configuration folder says of data models.

    Attributes:
        models: authored models with all attributes, inherited ones too, sorted by name and version.
        imports: files of standards, in order of the YAML files.
    """

    models: tuple[Model, ...] = ()
    imports: tuple[PlacedModelImport, ...] = ()


def read_model_sources(config_folder: Path) -> ModelSources:
    """Read and check ``models/*.yaml`` of a configuration folder; nothing without such a folder.

    Raises:
        ConfigurationError: with the problems of all files. A model that is missing is no problem while there are
            files that cannot be read: it may be in one of them.
    """
    folder = config_folder / FOLDER
    if not folder.is_dir():
        return ModelSources()
    documents, problems = _documents(folder)
    models = _models(documents, problems)
    imports = [found for document in documents for found in _imports(document, config_folder, problems.append)]
    problems += [*_repeated_imports(imports), *broken_versions(models)]
    if problems:
        raise ConfigurationError(problems)
    return ModelSources(models, tuple(imports))


def read_models(path: Path) -> tuple[Model, ...]:
    """The authored models of one YAML file, of a folder of such files, or of a configuration folder.

    Versions need not be compatible with each other, imports are left out, and models that are extended must be
    among those that are read.

    Returns:
        Models with all attributes, sorted by name and version.

    Raises:
        ConfigurationError: with the problems of all files, or because there is no such file.
    """
    documents, problems = _documents(path / FOLDER if (path / FOLDER).is_dir() else path)
    models = _models(documents, problems)
    if problems:
        raise ConfigurationError(problems)
    return models


def _documents(path: Path) -> tuple[list[ModelDocument], list[str]]:
    """Files of the right shape, and the problems of the others: `load_folder` would keep only one of the two."""
    paths = [path]
    try:
        if path.is_dir():
            paths = sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml"} and p.is_file())
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    documents: list[ModelDocument] = []
    problems: list[str] = []
    for file in paths:
        try:
            documents.append(load_document(file, ModelFile))
        except ConfigurationError as error:
            problems += error.problems
    return documents, problems


def _models(documents: Sequence[ModelDocument], problems: list[str]) -> tuple[Model, ...]:
    """The models that can be put together, sorted; what is wrong with any is added to the problems."""
    library = _Library(documents)
    problems += library.problems if problems else [*library.problems, *library.unknown]
    return library.sound


def _imports(
    document: ModelDocument, config_folder: Path, complain: Callable[[str], None]
) -> Iterator[PlacedModelImport]:
    for i, entry in enumerate(document.value.imports):
        path = file_within(document.path, entry.file, config_folder)
        if path is None:
            text = f"{entry.file!r} leads out of {config_folder}; move the file into it"
            complain(document.problem(("imports", i, "file"), text))
        elif not _is_file(path):
            complain(document.problem(("imports", i, "file"), f"there is no file {path}"))
        else:
            yield PlacedModelImport(document.place("imports", i), entry.format, path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long for a file
        return False


def _repeated_imports(imports: Sequence[PlacedModelImport]) -> Iterator[str]:
    first: dict[Path, PlacedModelImport] = {}
    for item in imports:
        other = first.setdefault(item.path, item)
        if other is not item:
            yield f"{item.place}: {item.path.name} is imported already at {other.place}; remove one of the two"


# --- inheritance -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Placed:
    """A model as written, and where."""

    document: ModelDocument
    index: int

    @property
    def entry(self) -> ModelEntry:
        return self.document.value.models[self.index]

    @property
    def numbers(self) -> Numbers:
        return version_numbers(self.entry.version)

    @property
    def title(self) -> str:
        return f"{self.entry.name}@{self.entry.version}"

    def place(self, *field: str | int) -> str:
        return self.document.place("models", self.index, *field)

    def problem(self, text: str, *field: str | int) -> str:
        return self.document.problem(("models", self.index, *field), text)


class _Library:
    """All models of some documents, each with what it inherits.

    Attributes:
        sound: models whose ancestors are all known, sorted by name and version.
        problems: what is wrong.
        unknown: models that are extended but not there, which a file that could not be read may explain.
    """

    def __init__(self, documents: Sequence[ModelDocument]) -> None:
        self.problems: list[str] = []
        self.unknown: list[str] = []
        self._placed = [_Placed(document, i) for document in documents for i in range(len(document.value.models))]
        self._versions: dict[str, dict[Numbers, _Placed]] = {}
        self._parents: dict[_Placed, _Placed] = {}
        self._cut_off: set[_Placed] = set()
        self._models: dict[_Placed, Model | None] = {}
        self._size = 0
        self._find_versions()
        self._find_parents()
        self._cut_circles()
        self._cut_long_chains()
        sound: dict[tuple[str, Numbers], Model] = {}
        for one in self._placed:
            model = self._model(one)
            if model is not None and one not in self._cut_off:
                sound.setdefault((model.name, one.numbers), model)
        self.sound = tuple(sound[key] for key in sorted(sound))

    def _find_versions(self) -> None:
        for one in self._placed:
            other = self._versions.setdefault(one.entry.name, {}).setdefault(one.numbers, one)
            if other is not one:
                text = f"{one.title} is there already, at {other.place()}; remove one of the two or raise its version"
                self.problems.append(one.problem(text, "version"))

    def _find_parents(self) -> None:
        for one in self._placed:
            if one.entry.extends is None:
                continue
            name, _, version = one.entry.extends.partition("@")
            versions = self._versions.get(name, {})
            parent = versions.get(version_numbers(version) if version else max(versions, default=(0, 0, 0)))
            if parent is not None:
                self._parents[one] = parent
                continue
            known = ", ".join(".".join(map(str, numbers)) for numbers in sorted(versions))
            hint = f"there are the versions {shortened(known)}" if known else "write that model, or correct the name"
            self.unknown.append(one.problem(f"there is no model {one.entry.extends!r}; {hint}", "extends"))
            self._cut_off.add(one)

    def _cut_circles(self) -> None:
        """Part models that extend themselves by way of others from what they extend."""
        seen: set[_Placed] = set()
        for start in self._placed:
            chain: dict[_Placed, None] = {}
            one: _Placed | None = start
            while one is not None and one not in seen and one not in chain:
                chain[one] = None
                one = self._parents.get(one)
            seen.update(chain)
            if one is not None and one in chain:
                members = list(chain)
                self._cut_circle(members[members.index(one) :])

    def _cut_circle(self, members: Sequence[_Placed]) -> None:
        ring = [f"{one.title} ({one.place('extends')})" for one in [*members, members[0]]]
        shown = " extends ".join(ring if len(ring) <= MAX_RING else [*ring[:MAX_RING], "..."])
        self.problems.append(members[0].problem(f"a circle: {shown}; remove one of these lines", "extends"))
        for one in members:
            del self._parents[one]
            self._cut_off.add(one)

    def _cut_long_chains(self) -> None:
        """Part models that stand too deep, or below another version of themselves, from what they extend."""
        depth: dict[_Placed, int] = {}
        for start in self._placed:
            chain: list[_Placed] = []
            one: _Placed | None = start
            while one is not None and one not in depth:
                chain.append(one)
                one = self._parents.get(one)
            for member in reversed(chain):
                parent = self._parents.get(member)
                depth[member] = 0 if parent is None else depth[parent] + 1
                problem = self._chain_problem(member, depth[member])
                if problem is not None:
                    self.problems.append(member.problem(problem, "extends"))
                    del self._parents[member]
                    self._cut_off.add(member)
                    depth[member] = 0

    def _chain_problem(self, one: _Placed, depth: int) -> str | None:
        if depth > MAX_DEPTH:
            return f"{one.title} extends a chain of {depth} models, {MAX_DEPTH} are allowed; write attributes out"
        ancestor = self._parents.get(one)
        while ancestor is not None:
            if ancestor.entry.name == one.entry.name:
                return f"{one.title} extends its own version {ancestor.entry.version}; write the attributes out"
            ancestor = self._parents.get(ancestor)
        return None

    def _model(self, one: _Placed) -> Model | None:
        """The model with what it inherits; None if all models together would have too many attributes."""
        if one not in self._models:
            parent = self._parents.get(one)
            inherited = None if parent is None else self._model(parent)
            if parent in self._cut_off:
                self._cut_off.add(one)
            self._models[one] = self._checked(one, inherited)
        return self._models[one]

    def _checked(self, one: _Placed, inherited: Model | None) -> Model | None:
        if self._size > MAX_ALL_ATTRIBUTES:
            return None
        model = _model(one, inherited, self.problems.append)
        self._size += len(model.attributes)
        if self._size > MAX_ALL_ATTRIBUTES:
            text = f"all models together have more than {MAX_ALL_ATTRIBUTES} attributes, with those that they inherit"
            self.problems.append(one.problem(text, "attributes"))
        if len(model.attributes) > MAX_ATTRIBUTES:
            text = f"{one.title} has more than {MAX_ATTRIBUTES} attributes, with those that it inherits"
            self.problems.append(one.problem(text, "attributes"))
        if model.kind == "record" and one not in self._cut_off and not any(a.key for a in model.attributes):
            text = "a record model needs at least one attribute with key: true, by which a record is known again"
            self.problems.append(one.problem(text, "attributes"))
        return model


def _model(one: _Placed, parent: Model | None, complain: Callable[[str], None]) -> Model:
    """A model with its own attributes and those of its parent."""
    entry = one.entry
    kind = entry.kind or (parent.kind if parent else "telemetry")
    if parent is not None and kind != parent.kind:
        text = f"expected {parent.kind}, as {parent.name!r} ({parent.origin}) is: a model extends one of its own kind"
        complain(one.problem(text, "kind"))
    return Model(
        name=entry.name,
        description=entry.description,
        attributes=_attributes(one, kind, parent, complain),
        version=entry.version,
        kind=kind,
        extends=entry.extends and entry.extends.partition("@")[0],
        business_object=entry.business_object,
        owner=entry.owner,
        semantic_id=entry.semantic_id,
        origin=one.place(),
    )


def _attributes(
    one: _Placed, kind: ModelKind, parent: Model | None, complain: Callable[[str], None]
) -> tuple[Attribute, ...]:
    attributes: dict[str, Attribute] = {}
    if parent is not None:
        attributes = {a.name: replace(a, inherited_from=a.inherited_from or parent.name) for a in parent.attributes}
    names = {_unique(name, kind): name for name in attributes}
    first: dict[str, int] = {}
    for j, entry in enumerate(one.entry.attributes):
        if first.setdefault(entry.name, j) != j:
            other = one.place("attributes", first[entry.name])
            complain(one.problem(f"{entry.name!r} is given already, at {other}", "attributes", j, "name"))
            continue
        other = names.setdefault(_unique(entry.name, kind), entry.name)
        if other != entry.name:
            text = f"differs from {other!r} only in capitals, by which columns cannot be told apart"
            complain(one.problem(text, "attributes", j, "name"))
        inherited = attributes.get(entry.name)
        attribute = _attribute(entry, inherited)
        for field, text in (*_quoting_problems(entry), *attribute_problems(attribute, kind)):
            complain(one.problem(text, "attributes", j, *field))
        if inherited is not None and parent is not None:
            for field, text in _widenings(attribute, inherited):
                complain(one.problem(f"{text} ({parent.origin})", "attributes", j, *field))
        attributes[entry.name] = attribute
    return tuple(attributes[name] for name in sorted(attributes))


def _unique(name: str, kind: ModelKind) -> str:
    """In what names must differ: attributes of records become columns, whose capitals do not count."""
    return name.lower() if kind == "record" else name


def _attribute(entry: AttributeEntry, inherited: Attribute | None) -> Attribute:
    """An attribute as it is meant: what the entry leaves out is inherited, or has its default."""
    allowed = tuple(allowed_text(value, entry.data_type) for value in entry.allowed or ())
    limits = entry.range or RangeEntry()
    sampling = entry.sampling
    written: dict[str, Mapping[str, Any]] = {
        "data_type": {"data_type": entry.data_type},
        "kind": {"kind": entry.kind or default_kind(entry.data_type, allowed)},
        "unit": {"unit": entry.unit},
        "range": {"minimum": limits.minimum, "maximum": limits.maximum},
        "allowed": {"allowed": allowed},
        "key": {"key": entry.key},
        "required": {"required": entry.required or (entry.key and "required" not in entry.model_fields_set)},
        "sampling": {
            "sampling": sampling and sampling.mode,
            "cadence_s": sampling and sampling.cadence_s,
            "deadband": sampling and sampling.deadband,
        },
        "hold": {"hold": entry.hold},
        "pii": {"pii": entry.pii},
        "semantic_id": {"semantic_id": entry.semantic_id},
        "description": {"description": entry.description},
    }
    if inherited is None:
        return Attribute(name=entry.name, **{n: v for fields in written.values() for n, v in fields.items()})
    values = {n: v for field in entry.model_fields_set & written.keys() for n, v in written[field].items()}
    return replace(inherited, **values)


def _quoting_problems(entry: AttributeEntry) -> Iterator[Finding]:
    """YAML would read 1.10 as 1.1: texts are quoted."""
    if entry.data_type == "string":
        for k, value in enumerate(entry.allowed or ()):
            if not isinstance(value, str):
                yield ("allowed", k), f"expected text in quotes, as in {allowed_text(value, 'string')!r}"


def _widenings(attribute: Attribute, inherited: Attribute) -> Iterator[Finding]:
    """Fields in which an attribute does not keep to what it inherits."""
    for change in attribute_changes(attribute, inherited):
        if change.breaking and change.what != "semantic_id":
            expected = f"expected {shortened(change.new)} or narrower, got {shortened(change.former)}"
            text = f"{expected}: {attribute.name!r} is inherited from {inherited.inherited_from!r}"
            yield (change.what,), text
