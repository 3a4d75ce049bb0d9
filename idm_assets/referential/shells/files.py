"""Reading of the files that hold asset administration shells: ``.json``, ``.xml`` and ``.aasx``.

An ``.aasx`` package is a zip archive (Open Packaging Conventions, ECMA-376 Part 2) whose relationships lead from
the package to its origin, and from there to JSON or XML documents. What comes from outside is checked before
anything is built from it: size, nesting, names in archives, entities.

Belongs here: getting from a path to documents that are safe to work on. Does not belong here: what shells and
submodels are.
"""

from __future__ import annotations

import json
import re
import zipfile
from array import array
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, NoReturn, cast
from urllib.parse import unquote
from xml.etree import ElementTree as ET
from xml.parsers import expat

from idm_assets.configuration import ConfigurationError

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 200
# The SDK takes several Python calls per level of XML, and Python allows 1000.
MAX_XML_DEPTH: Final = 100
MAX_NODES: Final = 2_000_000
MAX_SHOWN: Final = 120

MAX_PACKAGE_BYTES: Final = 128 * 1024 * 1024
MAX_UNPACKED_BYTES: Final = 256 * 1024 * 1024
MAX_ENTRIES: Final = 10_000
MAX_RATIO: Final = 200
MAX_RELATIONSHIP_BYTES: Final = 4 * 1024 * 1024

_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
_ALWAYS_FINE: Final = 1024 * 1024
# What the SDK adds to its messages: the whole object, and places in a copy that nobody has.
_NOT_FOR_PEOPLE: Final = re.compile(r">>>.*| on line \d+|\bns\d+:", re.DOTALL)
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_SPECIFICATION: Final = re.compile(
    r"https?://(?:www\.)?admin-shell\.io/aasx/relationships/(aasx-origin|aas-spec(?:-split)?)"
)


@dataclass(frozen=True, slots=True)
class JsonDocument:
    """A JSON document.

    Attributes:
        place: file, and where it is packed the part of the package.
        value: what it says.
        lines: line, counted from 1, where the object with an ``id`` begins, by that id.
    """

    place: str
    value: dict[str, Any]
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class XmlDocument:
    """An XML document.

    Attributes:
        place: file, and where it is packed the part of the package.
        root: its elements, tags as ``{namespace}name``.
        lines: line, counted from 1, of every element.
    """

    place: str
    root: ET.Element
    lines: Mapping[ET.Element, int]


def read_documents(path: Path) -> list[JsonDocument | XmlDocument]:
    """The documents of a file, by its suffix.

    Raises:
        ConfigurationError: the file cannot be read, is unsafe, or is not what its suffix says.
    """
    suffix = path.suffix.lower()
    try:
        with path.open("rb") as stream:
            if suffix == ".aasx":
                return list(_packed_documents(stream, str(path)))
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise refused(str(path), f"cannot be read: {error.strerror or error}") from None
    if suffix not in {".json", ".xml"}:
        raise refused(str(path), f"a file of shells ends in .json, .xml or .aasx, not in {suffix[:20]!r}")
    return [parse_json(data, str(path)) if suffix == ".json" else parse_xml(data, str(path))]


def refused(place: str, text: str) -> ConfigurationError:
    """The error that says what is wrong at a place."""
    return ConfigurationError([f"{place}: {text}"])


def shown(text: object) -> str:
    """A text as it is quoted in messages, cut where it is long."""
    plain = " ".join(str(text).split())
    return repr(plain if len(plain) <= MAX_SHOWN else plain[:MAX_SHOWN] + "...")


@contextmanager
def refusing(place: str, text: str) -> Generator[None]:
    """Turn whatever a library raises at unusable input into a refusal with the place."""
    try:
        yield
    except ConfigurationError:
        raise
    except Exception as error:
        raise refused(place, f"{text}: {_causes(error)}") from error


def _causes(error: BaseException) -> str:
    """The messages of an error and of what led to it, from the outside in."""
    messages: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(messages) < 6:
        message = " ".join(_NOT_FOR_PEOPLE.sub("", str(cause)).split()).strip("'\"")
        if message and not any(message in other for other in messages):
            messages.append(message[:300])
        cause = cause.__cause__
    return " / ".join(messages) or type(error).__name__


# --- JSON ------------------------------------------------------------------------------------------------


def parse_json(data: bytes, place: str) -> JsonDocument:
    """Read a JSON document whose root is an object.

    Raises:
        ConfigurationError: no such document, too large or too deep, a key stands twice, or NaN is in it.
    """
    if len(data) > MAX_BYTES:
        raise refused(place, f"larger than {MAX_BYTES} bytes; split it by shells")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise refused(f"{place}:{line}", f"byte {error.start + 1} is no UTF-8; save the file as UTF-8") from None
    objects = _Objects(place, _object_lines(text, place))
    try:
        value: object = json.loads(text, object_pairs_hook=objects, parse_constant=objects.refuse_constant)
    except json.JSONDecodeError as error:
        what = f"no complete JSON: {error.msg}, column {error.colno}; is the file cut off?"
        raise refused(f"{place}:{error.lineno}", what) from None
    except ValueError as error:
        raise refused(place, f"no readable JSON: {error}") from None
    if not isinstance(value, dict):
        raise refused(
            f"{place}:1", f"expected an object with submodels or assetAdministrationShells, got {shown(text[:20])}"
        )
    return JsonDocument(place, cast("dict[str, Any]", value), objects.lines)


def _object_lines(text: str, place: str) -> array[int]:
    """Line where each object begins, in the order in which objects end, which is how the parser meets them."""
    lines = array("L")
    begun: list[int] = []
    line, position, nodes = 1, 0, 0
    for token in _TOKEN.finditer(text):
        start = token.start()
        match text[start]:
            case "{" | "[":
                line += text.count("\n", position, start)
                position = start
                nodes += 1
                if len(begun) == MAX_DEPTH:
                    raise refused(f"{place}:{line}", f"nested deeper than {MAX_DEPTH} levels")
                if nodes > MAX_NODES:
                    raise refused(f"{place}:{line}", f"more than {MAX_NODES} objects and lists; split it by shells")
                begun.append(line)
            case "}" | "]" as end:
                first = begun.pop() if begun else line
                if end == "}":
                    lines.append(first)
            case _:
                pass
    return lines


class _Objects:
    """Builds objects, refuses keys that stand twice, and remembers where the objects with an id begin."""

    def __init__(self, place: str, starts: array[int]) -> None:
        self.lines: dict[str, int] = {}
        self._place = place
        self._starts = starts
        self._done = 0

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        line = self._starts[self._done]
        self._done += 1
        value = dict(pairs)
        if len(value) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise refused(
                f"{self._place}:{line}", f"key {shown(twice)} stands twice in the object that begins here; keep one"
            )
        own = value.get("id")
        if isinstance(own, str):
            self.lines.setdefault(own, line)
        return value

    def refuse_constant(self, name: str) -> NoReturn:
        raise refused(self._place, f"{name} is no JSON number; write it as the text of an xs:double")


# --- XML -------------------------------------------------------------------------------------------------


class _TreeBuilder:
    """Handlers for expat that build the tree, and stop at the limits while they read."""

    def __init__(self, place: str) -> None:
        self.lines: list[int] = []
        self.tree = ET.TreeBuilder()
        self._place = place
        self._depth = 0
        self.parser = expat.ParserCreate(namespace_separator="}")
        self.parser.buffer_text = True
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self.tree.data

    def _here(self) -> str:
        return f"{self._place}:{self.parser.CurrentLineNumber}"

    def _doctype(self, *_: object) -> None:
        raise refused(self._here(), "document type declarations and entities are refused; remove them")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self.lines.append(self.parser.CurrentLineNumber)
        if self._depth > MAX_XML_DEPTH:
            raise refused(self._here(), f"elements are nested deeper than {MAX_XML_DEPTH} levels")
        if len(self.lines) > MAX_NODES:
            raise refused(self._here(), f"more than {MAX_NODES} elements; split it by shells")
        self.tree.start(_clark(name), {_clark(key): value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self.tree.end(_clark(name))


def _clark(name: str) -> str:
    return "{" + name if "}" in name else name


def parse_xml(data: bytes, place: str) -> XmlDocument:
    """Read an XML document without document type, entities, or excessive size and depth.

    Raises:
        ConfigurationError: it is none.
    """
    if len(data) > MAX_BYTES:
        raise refused(place, f"larger than {MAX_BYTES} bytes; split it by shells")
    builder = _TreeBuilder(place)
    try:
        builder.parser.Parse(data, True)  # noqa: FBT003 - expat takes the flag by position
    except expat.ExpatError as error:
        what = f"{expat.ErrorString(error.code)}, column {error.offset + 1}"
        raise refused(f"{place}:{error.lineno}", f"no complete XML: {what}; is the file cut off?") from None
    except (LookupError, ValueError) as error:
        raise refused(place, f"no readable XML: {error}") from None
    root = builder.tree.close()
    return XmlDocument(place, root, dict(zip(root.iter(), builder.lines, strict=True)))


# --- packages --------------------------------------------------------------------------------------------


def _packed_documents(stream: BinaryIO, place: str) -> Iterator[JsonDocument | XmlDocument]:
    """The documents that the relationships of a package lead to."""
    from basyx.aas.adapter.aasx import AASXReader  # noqa: PLC0415 - the SDK takes 0.1 s, plain files need none of it

    _check_archive(stream, place)
    stream.seek(0)
    with refusing(place, "no package of shells"), AASXReader(stream, failsafe=False) as package:
        parts = _specification_parts(cast("Any", package.reader), place)
        for part in parts:
            inside = f"{place}!{part}"
            try:
                with cast("IO[bytes]", package.reader.open_part(part)) as opened:
                    data = opened.read(MAX_BYTES + 1)
            except KeyError:
                raise refused(place, f"the package names the part {shown(part)}, but has none of that name") from None
            # Content types of parts are as often wrong as missing; the first character is not.
            parse = parse_json if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in {b"{", b"["} else parse_xml
            yield parse(data, inside)


def _specification_parts(package: Any, place: str) -> list[str]:  # noqa: ANN401 - a class that the SDK does not export
    """Names of the parts with shells, each once, in the order of the relationships.

    Besides the addresses of the specification those with ``www.`` are followed, which AASX Package Explorer wrote
    for years.
    """
    found: dict[str, None] = {}
    for origin in _related(package, None, {"aasx-origin"}):
        for part in _related(package, origin, {"aas-spec"}):
            found[part] = None
            found |= dict.fromkeys(_related(package, part, {"aas-spec-split"}))
    if not found:
        raise refused(
            place,
            "no relationship of the package leads from its origin to a document with shells (aas-spec); export it anew",
        )
    return list(found)


def _related(package: Any, part: str | None, wanted: set[str]) -> list[str]:  # noqa: ANN401 - as above
    by_type: dict[str, list[str]] = package.get_related_parts_by_type(*([] if part is None else [part]))
    return [
        name
        for address, names in by_type.items()
        if (known := _SPECIFICATION.fullmatch(address)) and known[1] in wanted
        for name in names
    ]


def _check_archive(stream: BinaryIO, place: str) -> None:
    """Refuse archives that are hostile, before anything of them is unpacked."""
    _check_directory_size(stream, place)
    with refusing(place, "no readable zip archive, as an .aasx file is; was a file of another kind renamed?"):
        archive = zipfile.ZipFile(stream)
    entries = archive.infolist()
    seen: set[str] = set()
    for entry in entries:
        _check_entry(entry, place)
        name = entry.orig_filename.lower()
        if name in seen:
            raise refused(place, f"entry {shown(entry.orig_filename)} is in the archive twice; pack it anew")
        seen.add(name)
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_UNPACKED_BYTES:
        raise refused(place, f"would unpack to {unpacked} bytes, more than {MAX_UNPACKED_BYTES}; split it by shells")
    for entry in entries:
        name = entry.orig_filename.lower()
        if name.endswith(".rels") or name == "[content_types].xml":
            _check_relationships(archive, entry, place)


def _check_directory_size(stream: BinaryIO, place: str) -> None:
    """Count the entries by their signatures, since opening an archive reads its whole directory into memory."""
    entries, size, tail = 0, 0, b""
    while chunk := stream.read(1024 * 1024):
        size += len(chunk)
        entries += (tail + chunk).count(_ENTRY_SIGNATURE)
        tail = chunk[-3:]
        if size > MAX_PACKAGE_BYTES:
            raise refused(place, f"larger than {MAX_PACKAGE_BYTES} bytes; remove files that are no shells")
        if entries > MAX_ENTRIES:
            raise refused(place, f"more than {MAX_ENTRIES} entries; remove files that are no shells")


def _check_entry(entry: zipfile.ZipInfo, place: str) -> None:
    about = f"entry {shown(entry.orig_filename)}"
    for name in {entry.orig_filename, unquote(entry.orig_filename)}:
        parts = name.removesuffix("/").split("/")
        if "\\" in name or "\0" in name or re.match(r"[A-Za-z]:", name) or not all(parts) or {".", ".."} & set(parts):
            raise refused(place, f"{about} would lead out of the package, or nowhere; such archives are refused")
    if entry.orig_filename.endswith(".piece"):
        raise refused(place, f"{about} is a piece of a part; save the package without interleaving")
    if entry.flag_bits & 1:
        raise refused(place, f"{about} is encrypted; save the package without a password")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise refused(place, f"{about} is packed by method {entry.compress_type}; only stored and deflated are read")
    if entry.file_size > max(_ALWAYS_FINE, MAX_RATIO * entry.compress_size):
        raise refused(
            place,
            f"{about} would grow from {entry.compress_size} to {entry.file_size} bytes; such archives are refused",
        )


def _check_relationships(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, place: str) -> None:
    """The library that follows relationships reads XML by its own rules, so these parts are checked first."""
    inside = f"{place}!/{entry.filename}"
    if entry.file_size > MAX_RELATIONSHIP_BYTES:
        raise refused(inside, f"larger than {MAX_RELATIONSHIP_BYTES} bytes; no list of relationships is")
    with refusing(inside, "cannot be unpacked"):
        data = archive.read(entry)
    relationships = parse_xml(data, inside)
    folders = entry.filename.split("/")[:-2]
    for relationship, line in relationships.lines.items():
        target = unquote(relationship.get("Target", ""))
        if relationship.get("TargetMode") != "External" and _leads_out(target, len(folders)):
            raise refused(f"{inside}:{line}", f"target {shown(target)} would lead out of the package; export it anew")


def _leads_out(target: str, depth: int) -> bool:
    """Whether a target, relative to a part that deep in folders, goes above the top of the package."""
    depth = 0 if target.startswith("/") else depth
    for name in target.split("/"):
        depth += -1 if name == ".." else name not in {"", "."}
        if depth < 0:
            return True
    return "\\" in target
