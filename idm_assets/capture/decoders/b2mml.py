"""Decoder of B2MML documents: production schedules, performances, lots, whatever business and plant systems exchange.

Source of the format: B2MML V0401 to V0700 (WBF, MESA International), the XML of ISA-95 / IEC 62264. A document holds
an ``ApplicationArea`` (sender, time) and a ``DataArea``. Which of its elements is one record, and what of it is a
field, is declared by paths of local names:

    element: SegmentResponse                    every such element, wherever it stands, is a record
    element: ProductionResponse/SegmentResponse only those right below a ProductionResponse
    ID                                          child of the element
    MaterialActual/Quantity/QuantityString      deeper
    Description/@languageID                     attribute
    ../ID                                       child of the parent
    /ApplicationArea/CreationDateTime           from the root on; without the slash as well, as it is nowhere else

A relative path that leads to several elements gives all their texts as a JSON array, in the order of the document;
a timestamp, and a path from the root on, means the first. Without declared fields, every leaf and attribute below
the element is a field, named by its path joined with dots. ``xsi:nil`` makes null. Texts stay as they were delivered.

Any root in a namespace of B2MML will do, whether it is a transaction (``SyncMaterialLot``) or bare data. A document
without the declared element has no records, such as a confirmation (``ConfirmBOD``).

Belongs here: from elements to records with their time. Does not belong here: safe reading (`xml_elements`), models,
attributes and their types (`cleaned.records`).
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from idm_assets.capture.content import FOREIGN_CONTENT, Expected
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.streamed import Recorded, Streamed, Unit
from idm_assets.capture.decoders.xml_elements import (
    EXPECTED,
    XML_LIMITS,
    XSI,
    Closed,
    Opened,
    count_elements,
    local_name,
    tags,
)

MAX_HELD: Final = 128 << 20
"""How much is held of records which are not complete yet, in characters, with a charge for each record and value."""

_NAMESPACE: Final = re.compile(r"b2mml", re.IGNORECASE)
_HEADER: Final = "ApplicationArea"
_STEP: Final = r"[^\W\d][\w.\-]*"
_RECORD_COST: Final = 1000
_VALUE_COST: Final = 100


ValuePath = Annotated[
    str,
    Field(max_length=1000, pattern=rf"^(?:(?:/|(?:\.\./)*)(?:{_STEP}/)*(?:{_STEP}|@{_STEP})|\.)$"),
]


class B2mmlOptions(BaseModel):
    """Options of a source declaration in this format; paths are described in the module.

    Attributes:
        element: local name, or several joined with slashes, of the element that is one record.
        timestamp: path to what says when it happened.
        fields: name of a field to the path of its value; none: all leaves and attributes below the element.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    element: str = Field(max_length=1000, pattern=rf"^{_STEP}(?:/{_STEP})*$")
    timestamp: ValuePath
    fields: dict[Annotated[str, Field(min_length=1, max_length=256)], ValuePath] = Field(
        default_factory=dict, max_length=1000
    )


class B2mml:
    """Takes B2MML documents apart; see the module."""

    name: str = "b2mml"
    code_version: str = "1"
    unit: str = "element"
    expected: Expected = EXPECTED

    def __init__(self, options: B2mmlOptions) -> None:
        self._element = tuple(options.element.split("/"))
        self._timestamp = _path(options.timestamp)._replace(first_only=True)
        self._fields = {name: _path(path) for name, path in options.fields.items()}

    @classmethod
    def from_options(cls, options: Mapping[str, Any], zone: str = "UTC") -> Streamed:
        """Set up the decoder with the options of a source declaration.

        Args:
            options: see `B2mmlOptions`.
            zone: IANA zone of timestamps that carry none.

        Raises:
            pydantic.ValidationError: unknown or wrong options.
        """
        return Streamed(cls(B2mmlOptions.model_validate(options)), zone)

    def count(self, file: PreparedFile) -> int:
        """Number of records; see `UnitReader`."""

        def is_record(names: Sequence[str]) -> bool:
            return tuple(names[-len(self._element) :]) == self._element

        return count_elements(file.path, is_record, _require_b2mml)

    def read(self, file: PreparedFile) -> Iterator[Unit]:
        """The records in the order in which their elements begin; see `UnitReader`."""
        reading = _Reading(self._element, self._timestamp, self._fields)
        for tag in tags(file.path):
            if isinstance(tag, Closed):
                reading.close(tag)
                yield from reading.complete()
            else:
                if reading.is_at_root:
                    _require_b2mml(tag.name, tag.namespace)
                reading.open(tag)


def _require_b2mml(name: str, namespace: str) -> None:
    if not _NAMESPACE.search(namespace):
        where = f"namespace {namespace[:200]!r}" if namespace else "no namespace"
        raise UndecodableFile(
            FOREIGN_CONTENT,
            f"expected a root in a namespace of B2MML, such as http://www.mesa.org/xml/B2MML-V0600; "
            f"found {name[:100]!r} in {where}",
        )


# --- paths -----------------------------------------------------------------------------------------------


class _Target(NamedTuple):
    """What is looked for below some element: local names down to it, and the attribute; None: its text."""

    steps: tuple[str, ...]
    attribute: str | None


class _Path(NamedTuple):
    """A declared path.

    Attributes:
        up: how many levels above the record it begins; None: at the root.
        target: what it leads to from there.
        first_only: of several, the first is meant; always so from the root on.
    """

    up: int | None
    target: _Target
    first_only: bool = False


def _path(text: str) -> _Path:
    steps = [] if text == "." else text.split("/")
    up = steps.count("..")
    steps = steps[up:]
    is_absolute = bool(steps) and up == 0 and steps[0] in ("", _HEADER)
    attribute = steps.pop()[1:] if steps and steps[-1].startswith("@") else None
    return _Path(None if is_absolute else up, _Target(tuple(filter(None, steps)), attribute))


# --- records ---------------------------------------------------------------------------------------------

_Values = list[str | None]


@dataclass(slots=True, eq=False)
class _Frame:
    """An element that is open, or that a waiting record refers to, with what was found below it so far.

    Attributes:
        is_record: whether it is a record itself.
        is_nil: whether it is said to have no value.
        is_open: whether its end tag is still to come.
        holders: who keeps it: itself while it is open, and each reference of a waiting record.
        held: characters that it holds.
        found: texts, or values of attributes, by what was looked for.
        leaves: all of them by the name of the field, in a record for which no fields are declared.
    """

    is_record: bool
    is_nil: bool
    is_open: bool = True
    holders: int = 1
    held: int = 0
    found: dict[_Target, _Values] = field(default_factory=dict[_Target, _Values])
    leaves: dict[str, _Values] = field(default_factory=dict[str, _Values])


@dataclass(slots=True)
class _Record:
    """A record that began.

    Attributes:
        own: its element.
        sources: where each declared path begins; None: there are not so many levels above it, or it is the root.
        pending: paths of which more may be found.
    """

    own: _Frame
    sources: dict[_Path, _Frame | None]
    pending: list[_Path]


class _Reading:
    """The state of reading one document: the elements that are open, and the records that are not complete."""

    def __init__(self, element: tuple[str, ...], timestamp: _Path, fields: Mapping[str, _Path]) -> None:
        self._element = element
        self._timestamp = timestamp
        self._fields = fields
        self._paths = tuple(dict.fromkeys((timestamp, *fields.values())))
        self._own = {path.target for path in self._paths if path.up == 0}
        self._outer = {path.target for path in self._paths if path.up}
        self._absolute = {path.target for path in self._paths if path.up is None}
        # Looked up by the last step and the attribute; an attribute of the element itself has no step.
        self._wanted: dict[tuple[str | None, str | None], list[_Target]] = {}
        for target in dict.fromkeys(path.target for path in self._paths):
            last = target.steps[-1] if target.steps else None
            self._wanted.setdefault((last, target.attribute), []).append(target)
        self._names: list[str] = []
        self._frames: list[_Frame] = []
        self._root_values: dict[_Target, str | None] = {}
        self._waiting: deque[_Record] = deque()
        self._held = 0

    @property
    def is_at_root(self) -> bool:
        """Whether no element is open."""
        return not self._frames

    def open(self, tag: Opened) -> None:
        """An element begins."""
        self._names.append(tag.name)
        is_record = tuple(self._names[-len(self._element) :]) == self._element
        self._frames.append(_Frame(is_record, tag.attributes.get(f"{XSI}nil", "").strip() in {"true", "1"}))
        if is_record:
            self._begin_record()
        for name, value in tag.attributes.items():
            self._find(local_name(name), value)
            if not name.startswith(XSI):
                self._add_leaf(local_name(name), value)

    def close(self, tag: Closed) -> None:
        """An element ends."""
        frame = self._frames[-1]
        if tag.is_leaf or tag.text:
            value = None if frame.is_nil else tag.text
            self._find(None, value)
            self._add_leaf(None, value)
        frame.is_open = False
        self._release(frame)
        self._frames.pop()
        self._names.pop()

    def complete(self) -> Iterator[Recorded]:
        """The records that became complete, in the order in which they began."""
        while self._waiting and not self._is_pending(self._waiting[0]):
            record = self._waiting.popleft()
            yield self._recorded(record)
            for frame in (record.own, *record.sources.values()):
                if frame is not None:
                    self._release(frame)

    def _begin_record(self) -> None:
        own = self._frames[-1]
        sources = {
            path: self._frames[-1 - path.up]
            for path in self._paths
            if path.up is not None and path.up < len(self._frames)
        }
        for frame in (own, *sources.values()):
            frame.holders += 1
        self._charge(own, _RECORD_COST)
        record = _Record(own, dict.fromkeys(self._paths) | sources, list(self._paths))
        self._waiting.append(record)

    def _is_pending(self, record: _Record) -> bool:
        while record.pending and not self._may_change(record, record.pending[-1]):
            record.pending.pop()
        return bool(record.pending) or record.own.is_open

    def _may_change(self, record: _Record, path: _Path) -> bool:
        """Whether what is still to come of the document may add to what a path gives."""
        if path.up is None:
            return path.target not in self._root_values and bool(self._frames)
        frame = record.sources[path]
        return frame is not None and frame.is_open and not (path.first_only and frame.found.get(path.target))

    def _find(self, attribute: str | None, value: str | None) -> None:
        """Keep a text or attribute of the innermost element for the elements above it from which a path leads to it."""
        for last in (self._names[-1], None):
            for target in self._wanted.get((last, attribute), ()):
                index = len(self._frames) - 1 - len(target.steps)
                if index < 0 or tuple(self._names[index + 1 :]) != target.steps:
                    continue
                if index == 0 and target in self._absolute:
                    self._root_values.setdefault(target, value)
                frame = self._frames[index]
                if target in self._outer or (frame.is_record and target in self._own):
                    self._keep(frame, frame.found.setdefault(target, []), value)

    def _add_leaf(self, attribute: str | None, value: str | None) -> None:
        """Keep a text or attribute of the innermost element for the records around it, if they take all of them."""
        if self._fields:
            return
        ending = [] if attribute is None else [f"@{attribute}"]
        for index, frame in enumerate(self._frames):
            if frame.is_record:
                name = ".".join(self._names[index + 1 :] + ending) or self._names[-1]
                self._keep(frame, frame.leaves.setdefault(name, []), value)

    def _keep(self, frame: _Frame, values: _Values, value: str | None) -> None:
        values.append(value)
        self._charge(frame, _VALUE_COST + len(value or ""))

    def _charge(self, frame: _Frame, cost: int) -> None:
        frame.held += cost
        self._held += cost
        if self._held > MAX_HELD:
            raise UndecodableFile(
                XML_LIMITS,
                f"in element {'/'.join(self._names[:8])}: records that wait for what their paths may still lead to "
                f"hold more than {MAX_HELD} characters; declare paths with fewer steps to parents",
            )

    def _release(self, frame: _Frame) -> None:
        frame.holders -= 1
        if frame.holders == 0:
            self._held -= frame.held

    def _values(self, record: _Record, path: _Path) -> _Values:
        if path.up is None:
            return [self._root_values[path.target]] if path.target in self._root_values else []
        frame = record.sources[path]
        return [] if frame is None else frame.found.get(path.target, [])

    def _recorded(self, record: _Record) -> Recorded:
        ts = next(iter(self._values(record, self._timestamp)), None)
        fields = {name: self._values(record, path) for name, path in self._fields.items()} or record.own.leaves
        said = {name: values[0] if len(values) == 1 else values for name, values in fields.items() if values}
        payload = json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return Recorded(None if ts is None else ts.strip(), payload)
