"""Reading of configuration: YAML files into validated models, with file and line in every error.

The dialect is the core schema of YAML 1.2: ``yes`` and ``14:00`` are text, dates are text that the model's
field turns into dates, keys are text. Duplicate keys, foreign tags, several documents in one file, and files
that are too large, too deep or grow too much through aliases are refused.

Belongs here: what is the same for every kind of configuration. Does not belong here: a model of one kind
(each lives in the layer that it configures), settings of a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Generic, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 100_000

Location = tuple[str | int, ...]
ModelT = TypeVar("ModelT", bound=BaseModel)

_TAG: Final = "tag:yaml.org,2002:"


class ConfigurationError(Exception):
    """Configuration that cannot be used.

    Attributes:
        problems: one sentence per problem, each with the place and what was expected.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Document(Generic[ModelT]):
    """One validated file.

    Attributes:
        path: the file.
        value: what it says.
        lines: line, counted from 1, of every field and list item, by location.
    """

    path: Path
    value: ModelT
    lines: Mapping[Location, int]

    def place(self, *location: str | int) -> str:
        """``file:line`` of a field, or of the nearest one around it that is written in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return f"{self.path}:{self.lines.get(location, 1)}"

    def problem(self, location: Location, text: str) -> str:
        """A sentence about a field: ``file:line: field: text``."""
        return f"{self.place(*location)}: {_dotted(location)}: {text}"


def load_yaml(path: Path, model: type[ModelT]) -> ModelT:
    """Read and validate one file.

    Raises:
        ConfigurationError: the file cannot be read, is no safe YAML or does not fit the model.
    """
    return load_document(path, model).value


def load_document(path: Path, model: type[ModelT]) -> Document[ModelT]:
    """Read and validate one file, keeping the lines for later complaints.

    Raises:
        ConfigurationError: as for `load_yaml`, with one problem per wrong field.
    """
    data, lines = _parse(path, _read(path))
    try:
        value = model.model_validate(data)
    except ValidationError as error:
        problems = [_problem(path, model, lines, detail) for detail in error.errors(include_url=False)]
        raise ConfigurationError(problems) from None
    return Document(path, value, lines)


def load_folder(folder: Path, model: type[ModelT]) -> tuple[Document[ModelT], ...]:
    """Read and validate all ``*.yaml`` and ``*.yml`` files directly in a folder, in order of their names.

    Raises:
        ConfigurationError: with the problems of all files, or because there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigurationError([f"{folder}: no such folder; create it and put YAML files into it"])
    documents: list[Document[ModelT]] = []
    problems: list[str] = []
    for path in sorted(p for p in folder.iterdir() if p.suffix in {".yaml", ".yml"} and p.is_file()):
        try:
            documents.append(load_document(path, model))
        except ConfigurationError as error:
            problems.extend(error.problems)
    if problems:
        raise ConfigurationError(problems)
    return tuple(documents)


def file_within(document_path: Path, relative: str, config_folder: Path) -> Path | None:
    """A file that a document names, relative to its own folder, whether or not there is such a file.

    Returns:
        The absolute path; None if it leads out of the configuration folder, also by a link, or is no path.
    """
    if PurePosixPath(relative).is_absolute() or "\0" in relative:
        return None
    try:
        path = (document_path.parent / relative).resolve()
        return path if path.is_relative_to(config_folder.resolve()) else None
    except (OSError, RuntimeError):  # a link that leads back to itself
        return None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}"]) from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError([f"{path}: larger than {MAX_BYTES} bytes; split it into several files"])
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            [f"{path}:{line}: byte {error.start + 1} is no UTF-8; save the file as UTF-8"]
        ) from None


class _RefusedError(Exception):
    """Legal YAML that is not accepted here."""

    def __init__(self, node_line: int, text: str) -> None:
        self.line = node_line
        super().__init__(text)


class _Loader(yaml.SafeLoader):
    """Composer of nodes, in the core schema of YAML 1.2, that stops at the limits while it reads."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    depth = 0
    nodes = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        self.depth += 1
        self.nodes += 1
        line: int = self.line + 1
        if self.depth > MAX_DEPTH:
            raise _RefusedError(line, f"nested deeper than {MAX_DEPTH} levels")
        if self.nodes > MAX_NODES:
            raise _RefusedError(line, f"more than {MAX_NODES} values; split the file")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_RESOLVERS: Final = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]{0,17})$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]{1,4})?|[-+]?\.inf|\.nan)$",
        list("-+0123456789."),
    ),
)
for _name, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), _first)


def _parse(path: Path, text: str) -> tuple[object, dict[Location, int]]:
    """Plain values of the only document in a text, and the line of each."""
    lines: dict[Location, int] = {(): 1}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return (None if node is None else _Builder(lines).build(node, ())), lines
    except _RefusedError as error:
        raise ConfigurationError([f"{path}:{error.line}: {error}"]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{path}:{mark.line + 1}" if mark else str(path)
        what = ", ".join(part[:200] for part in (error.context, error.problem) if part)
        raise ConfigurationError([f"{place}: no valid YAML: {what}"]) from None
    except yaml.YAMLError as error:
        raise ConfigurationError([f"{path}: no valid YAML: {error}"]) from None


class _Builder:
    """Turns composed nodes into plain values, following aliases within the limits."""

    def __init__(self, lines: dict[Location, int]) -> None:
        self._lines = lines
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: Node, location: Location) -> object:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > MAX_NODES:
            raise _RefusedError(line, f"aliases make more than {MAX_NODES} values of this file")
        if len(location) > MAX_DEPTH:
            raise _RefusedError(line, f"aliases nest deeper than {MAX_DEPTH} levels")
        self._lines.setdefault(location, line)
        if isinstance(node, ScalarNode):
            return _scalar(node, line)
        if id(node) in self._open:
            raise _RefusedError(line, "an alias contains itself")
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode) and node.tag == _TAG + "seq":
                return [self.build(item, (*location, i)) for i, item in enumerate(node.value)]
            if isinstance(node, MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, location)
        finally:
            self._open.discard(id(node))
        raise _RefusedError(line, f"tag {_shown(node.tag)} is not accepted; remove it")

    def _mapping(self, node: MappingNode, location: Location) -> dict[str, object]:
        result: dict[str, object] = {}
        for key_node, value_node in cast("list[tuple[Node, Node]]", node.value):
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, ScalarNode):
                raise _RefusedError(line, "a key must be text")
            key = str(key_node.value)
            if key in result:
                first = self._lines[(*location, key)]
                raise _RefusedError(line, f"key {_shown(key)} was already given in line {first}; keep one of them")
            self._lines[(*location, key)] = line
            result[key] = self.build(value_node, (*location, key))
        return result


def _scalar(node: ScalarNode, line: int) -> object:
    text = str(node.value)
    match node.tag.removeprefix(_TAG):
        case "str":
            return text
        case "null":
            return None
        case "bool" if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        case "int" | "float" as kind:
            try:
                return int(text) if kind == "int" else float(text.replace(".inf", "inf").replace(".nan", "nan"))
            except ValueError:
                pass
        case _:
            pass
    raise _RefusedError(line, f"tag {_shown(node.tag)} is not accepted for {_shown(text)}; remove it")


def _problem(path: Path, model: type[BaseModel], lines: Mapping[Location, int], error: ErrorDetails) -> str:
    """One sentence for one pydantic error: ``file:line: field: what was expected (got value)``."""
    location: Location = ()
    for part in error["loc"]:
        # What is not in the file is either a missing field, named below, or the tag of a union's branch.
        if (*location, part) in lines:
            location = (*location, part)
    place = f"{path}:{lines.get(location, 1)}"
    match error["type"]:
        case "missing":
            return f"{place}: {_dotted((*location, error['loc'][-1]))}: required, but not given"
        case "extra_forbidden":
            known = ", ".join(sorted(_fields_at(model, location[:-1])))
            return f"{place}: {_dotted(location)}: unknown field; known here: {known}"
        case _:
            text = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected", 1)
            got = "" if isinstance(error["input"], dict | list) else f" (got {_shown(error['input'])})"
            return f"{place}: {_dotted(location)}: {text}{got}"


def _fields_at(model: type[BaseModel], location: Location) -> set[str]:
    """Names that fields may have at a location, over all branches of unions on the way."""
    models = {model}
    for part in location:
        if isinstance(part, str):
            inner = [m.model_fields[part].annotation for m in models if part in m.model_fields]
            models = {found for annotation in inner for found in _models_in(annotation)} or models
    return {field.alias or name for m in models for name, field in m.model_fields.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation may come
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _dotted(location: Location) -> str:
    """A location as people write it, such as ``imports[0].file``."""
    if not location:
        return "the file"
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    return text if len(text) <= 200 else text[:200] + "..."


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= 80 else text[:80] + "..."
