"""XML as a stream of elements that open and close, read in constant memory and safe with any bytes.

Source of the format: W3C XML 1.0 (Fifth Edition) and Namespaces in XML 1.0. Elements are known by their local names,
because the namespaces of industrial schemas carry version numbers. Text is what stands between the tags as
delivered; comments and processing instructions in it are left out, CDATA sections are text like any other.

A document is read to its end before it is trusted: whoever consumes a stream must throw away what came of it when it
ends with `UndecodableFile`. Document types are refused, with them all entities but the five of XML itself; nothing
is ever fetched. Documents are read with libxml2 and counted with expat, which share no code. What either of them
cannot read is kept out, also the multi-byte encodings that only libxml2 knows (such as Shift_JIS).

Belongs here: from bytes to elements, and the limits. Does not belong here: what elements mean (a module per format).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from idm_assets.capture.content import FOREIGN_CONTENT, Content, Expected
from idm_assets.capture.decoders import UndecodableFile

XML_INVALID: Final = "xml_invalid"
XML_ENTITIES: Final = "xml_entities"
XML_LIMITS: Final = "xml_limits"

EXPECTED: Final = Expected(Content.BYTES, kinds=frozenset({"xml"}))
"""What the survey has to make of such a file: XML says itself how it is encoded."""

MAX_DEPTH: Final = 100
MAX_TEXT: Final = 1 << 20
MAX_ATTRIBUTES: Final = 256
MAX_NAMES: Final = 10_000
"""Most distinct names and namespaces; the parsers keep every one, libxml2 for as long as the process lives."""
MAX_TREE_TAGS: Final = 200_000
MAX_TREE_TEXT: Final = 8 << 20

XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"

_CHUNK: Final = 64 << 10
# lxml has no types; what comes from it stays within this module.
_etree: Any = import_module("lxml.etree")


class Opened(NamedTuple):
    """A start tag.

    Attributes:
        name: local name.
        namespace: URI, empty where there is none.
        attributes: values by name, ``{uri}local`` for those that have a namespace.
    """

    name: str
    namespace: str
    attributes: Mapping[str, str]


class Closed(NamedTuple):
    """An end tag.

    Attributes:
        name: local name.
        text: text of the element itself, without that of its children; what is blank between children is left out.
        is_leaf: the element has no children.
    """

    name: str
    text: str
    is_leaf: bool


@dataclass(slots=True)
class Element:
    """An element with all that is in it."""

    name: str
    attributes: Mapping[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list["Element"])

    def as_xml(self) -> str:
        """The element as XML text without namespaces, for people to read."""
        attributes = "".join(f" {local_name(name)}={quoteattr(value)}" for name, value in self.attributes.items())
        inner = escape(self.text) + "".join(child.as_xml() for child in self.children)
        return f"<{self.name}{attributes}>{inner}</{self.name}>" if inner else f"<{self.name}{attributes}/>"


def local_name(name: str) -> str:
    """A name without its namespace, be it given as ``{uri}local`` or as ``prefix:local``."""
    return name.rpartition("}" if name.startswith("{") else ":")[2]


def tags(path: Path) -> Iterator[Opened | Closed]:
    """The tags of a document in order, in constant memory.

    Args:
        path: the document.

    Raises:
        UndecodableFile: the document is not well-formed, has a document type, or exceeds a limit.
        OSError: the file cannot be read.
    """
    target = _Target()
    # With a target no tree is built, so there is nothing that would have to be cleared.
    parser = _etree.XMLParser(target=target, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            _parse(parser.feed, chunk)
            yield from target.taken()
        _parse(parser.close)
        yield from target.taken()


def trees(path: Path, is_wanted: Callable[[Sequence[Opened]], bool]) -> Iterator[tuple[Sequence[Opened], Element]]:
    """Some elements of a document with all that is in them, one at a time, each with its ancestors from the root on.

    Args:
        path: the document.
        is_wanted: judges an element by itself, which is the last one, and its ancestors; not asked within one that
            is wanted. The sequence is only valid during the call.

    Raises:
        UndecodableFile: as for `tags`; also an element that holds too much.
        OSError: the file cannot be read.
    """
    ancestors: list[Opened] = []
    open_elements: list[Element] = []
    size = _Size()
    for tag in tags(path):
        if isinstance(tag, Opened):
            ancestors.append(tag)
            if open_elements or is_wanted(ancestors):
                element = Element(tag.name, tag.attributes)
                if open_elements:
                    open_elements[-1].children.append(element)
                open_elements.append(element)
                size.add(ancestors, sum(map(len, tag.attributes.values())))
            continue
        if open_elements:
            open_elements[-1].text = tag.text
            size.add(ancestors, len(tag.text))
            element = open_elements.pop()
            if not open_elements:
                yield ancestors[:-1], element
                size = _Size()
        ancestors.pop()


def count_elements(
    path: Path, is_counted: Callable[[Sequence[str]], bool], require_root: Callable[[str, str], None]
) -> int:
    """Number of elements of a document that something holds of, found without libxml2.

    Args:
        path: the document.
        is_counted: judges an element by the local names from the root to itself.
        require_root: is called with local name and namespace of the root, and raises `UndecodableFile` if it is
            none of the format.

    Raises:
        UndecodableFile: the document is not well-formed, has a document type, or exceeds a limit.
        OSError: the file cannot be read.
    """
    counter = _Counter(is_counted, require_root)
    fed = 0
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            fed += len(chunk)
            counter.parse(chunk)
            if fed - counter.parser.CurrentByteIndex > 4 * MAX_TEXT:
                raise UndecodableFile(
                    XML_LIMITS,
                    f"line {counter.parser.CurrentLineNumber}: a tag or comment is longer than {4 * MAX_TEXT} bytes",
                )
        counter.parse(b"", is_last=True)
    return counter.found


# --- limits ----------------------------------------------------------------------------------------------


def _beyond(names: Sequence[str], what: str) -> UndecodableFile:
    shown = "/".join(name[:100] for name in names[:8])
    return UndecodableFile(XML_LIMITS, f"in element {shown}{'/...' if len(names) > 8 else ''}: {what}")


def _refused_type(name: str) -> UndecodableFile:
    if name.lower() == "html":
        return UndecodableFile(
            FOREIGN_CONTENT, "the file is an HTML page; was an error page saved instead of the data?"
        )
    return UndecodableFile(
        XML_ENTITIES,
        f"document type {name[:100]!r}: document types and entities are refused; deliver the XML without <!DOCTYPE",
    )


class _Size:
    """How much one tree holds."""

    def __init__(self) -> None:
        self._tags = 0
        self._characters = 0

    def add(self, ancestors: Sequence[Opened], characters: int) -> None:
        """Count a tag with its characters; `UndecodableFile` when it gets too much."""
        self._tags += 1
        self._characters += characters
        if self._tags > MAX_TREE_TAGS or self._characters > MAX_TREE_TEXT:
            what = f"there are more than {MAX_TREE_TAGS} tags or {MAX_TREE_TEXT} characters in one value"
            raise _beyond([a.name for a in ancestors], what)


class _Names:
    """The local names of the open elements, and all names that a document uses."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self._known: set[str] = set()

    def enter(self, name: str, *others: str) -> None:
        """An element begins, with the names of its attributes; `UndecodableFile` beyond a limit."""
        self.open.append(name)
        if len(self.open) > MAX_DEPTH:
            raise _beyond(self.open, f"elements are nested deeper than {MAX_DEPTH} levels")
        self.know(name, *others)

    def know(self, *names: str) -> None:
        """Names are used; `UndecodableFile` if they become too many."""
        self._known.update(names)
        if len(self._known) > MAX_NAMES:
            raise _beyond(self.open, f"there are more than {MAX_NAMES} distinct names in the document")


# --- reading with libxml2 --------------------------------------------------------------------------------


def _parse(step: Callable[..., object], *data: bytes) -> None:
    try:
        step(*data)
    except _etree.XMLSyntaxError as error:
        line, column = error.position
        raise UndecodableFile(
            XML_INVALID, f"line {line}, column {column}: no well-formed XML ({_one_line(error.msg)}); is it cut off?"
        ) from None


def _one_line(message: str | None) -> str:
    return " ".join((message or "nothing in it").split())[:200]


class _Text:
    """The text of one open element: what stands between two tags is kept unless it merely separates children."""

    __slots__ = ("_characters", "_kept", "_parts", "has_children")

    def __init__(self) -> None:
        self.has_children = False
        self._kept: list[str] = []
        self._parts: list[str] = []
        self._characters = 0

    def add(self, part: str) -> int:
        """Take some more; gives how much there is now."""
        self._parts.append(part)
        self._characters += len(part)
        return self._characters

    def interrupt(self) -> None:
        """A child begins."""
        self.has_children = True
        if self._parts:
            self._keep()

    def whole(self) -> str:
        """All of it, at the end tag."""
        if not self.has_children:
            return "".join(self._parts)
        self._keep()
        return "".join(self._kept)

    def _keep(self) -> None:
        segment = "".join(self._parts)
        self._parts.clear()
        if segment.isspace():
            self._characters -= len(segment)
        elif segment:
            self._kept.append(segment)


class _Target:
    """What libxml2 calls while it reads; holds the tags that were read and not taken yet."""

    def __init__(self) -> None:
        self._tags: list[Opened | Closed] = []
        self._names = _Names()
        self._texts: list[_Text] = []

    def taken(self) -> list[Opened | Closed]:
        """The tags since the last call."""
        taken, self._tags = self._tags, []
        return taken

    def doctype(self, name: str | None, *_: object) -> None:
        raise _refused_type(name or "")

    def start_ns(self, prefix: str | None, uri: str | None) -> None:
        self._names.know(prefix or "", uri or "")

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        namespace, _, name = tag[1:].rpartition("}") if tag.startswith("{") else ("", "", tag)
        self._names.enter(name, *attributes)
        if len(attributes) > MAX_ATTRIBUTES:
            raise _beyond(self._names.open, f"a tag has more than {MAX_ATTRIBUTES} attributes")
        for value in attributes.values():
            if len(value) > MAX_TEXT:
                raise _beyond(self._names.open, f"an attribute is longer than {MAX_TEXT} characters")
        if self._texts:
            self._texts[-1].interrupt()
        self._texts.append(_Text())
        self._tags.append(Opened(name, namespace, dict(attributes)))

    def data(self, part: str) -> None:
        if self._texts[-1].add(part) > MAX_TEXT:
            raise _beyond(self._names.open, f"a value is longer than {MAX_TEXT} characters")

    def end(self, _: str) -> None:
        text = self._texts.pop()
        self._tags.append(Closed(self._names.open.pop(), text.whole(), not text.has_children))

    def close(self) -> None:
        """There is no tree to hand over."""


# --- counting with expat ---------------------------------------------------------------------------------


class _Counter:
    """Handlers for expat."""

    def __init__(self, is_counted: Callable[[Sequence[str]], bool], require_root: Callable[[str, str], None]) -> None:
        self.found = 0
        self._is_counted = is_counted
        self._require_root = require_root
        self._names = _Names()
        self.parser = expat.ParserCreate(namespace_separator=" ")
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.EntityDeclHandler = self._entity
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartNamespaceDeclHandler = self._namespace

    def parse(self, data: bytes, *, is_last: bool = False) -> None:
        """Take the next bytes; `UndecodableFile` if they cannot be read."""
        try:
            self.parser.Parse(data, is_last)
        except expat.ExpatError as error:
            raise UndecodableFile(
                XML_INVALID,
                f"line {error.lineno}, column {error.offset + 1}: no well-formed XML "
                f"({expat.ErrorString(error.code)}); is it cut off?",
            ) from None
        except (LookupError, ValueError) as error:
            raise UndecodableFile(XML_INVALID, f"no readable XML ({_one_line(str(error))}); deliver UTF-8") from None

    def _doctype(self, name: str, *_: object) -> None:
        raise _refused_type(name)

    def _entity(self, name: str, *_: object) -> None:
        raise _refused_type(name)

    def _namespace(self, prefix: str | None, uri: str | None) -> None:
        self._names.know(prefix or "", uri or "")

    def _start(self, tag: str, attributes: Mapping[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        self._names.enter(name, *attributes)
        if len(self._names.open) == 1:
            self._require_root(name, namespace)
        self.found += self._is_counted(self._names.open)

    def _end(self, _: str) -> None:
        self._names.open.pop()
