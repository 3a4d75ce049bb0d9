"""Decoder of ``MTConnectStreams`` documents, the answers of an MTConnect agent to ``/current`` and ``/sample``.

Source of the format: ANSI/MTC1.4 Part 3 (streams information model) and the schemas of MTConnect 1.0 to 2.x. All
versions are read alike, by local names:

    MTConnectStreams/Streams/DeviceStream/ComponentStream/Samples|Events|Condition/<observation>

An observation is known by what ``Devices.xml`` calls its data item, so that the bindings made from there explain it:
the source is the name of the device, the tag the name of the data item, else its id. Values, ``UNAVAILABLE`` and the
detail of conditions and messages are those of the same machine as its adapter sends them (`shdr`), but for the level
of a condition, which is written as here: ``Normal``, ``Warning``, ``Fault``, ``Unavailable``.

The detail holds what belongs to the one observation, such as its duration or the native code. Left out are

* ``subType``, ``type``, ``statistic`` and ``compositionId``: they belong to the data item and are the same in all its
  observations; ``Devices.xml`` says them once. With them, the same value by SHDR would be another one.
* ``sequence``: a number in the agent's buffer, which begins anew with the agent. With it, the same observation
  fetched before and after a restart, or from two agents, would be two that contradict each other.

Belongs here: the meaning of the elements. Does not belong here: safe reading (`xml_elements`), what a token is
(`text_values`), what tags mean (referential).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from idm_assets.capture.content import FOREIGN_CONTENT, Expected
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.streamed import Observed, Rejected, Streamed, Unit
from idm_assets.capture.decoders.xml_elements import (
    EXPECTED,
    XSI,
    Element,
    Opened,
    count_elements,
    local_name,
    trees,
)
from idm_assets.status import BAD_NO_DATA, GOOD

ELEMENT_UNREADABLE: Final = "element_unreadable"

_ROOT: Final = "MTConnectStreams"
_PARENTS: Final = (_ROOT, "Streams", "DeviceStream", "ComponentStream")
_VALUES: Final = frozenset({"Samples", "Events"})
_CONDITIONS: Final = frozenset({"Condition", "Conditions"})
_LEVELS: Final = frozenset({"Normal", "Warning", "Fault", "Unavailable"})
_UNAVAILABLE: Final = "UNAVAILABLE"
_OTHER_DOCUMENTS: Final[Mapping[str, str]] = {
    "MTConnectError": "an error that the agent answered with instead of data; look at its errorCode",
    "MTConnectDevices": "the device model of an agent (/probe); import it as mtconnect_devices into the referential",
    "MTConnectAssets": "assets of an agent (/assets), such as cutting tools, which are no observations",
}

_OF_THE_DATA_ITEM: Final = frozenset(
    {"dataItemId", "name", "timestamp", "sequence", "type", "subType", "statistic", "compositionId"}
)
_DETAIL: Final[Mapping[str, str]] = {
    "duration": "duration",
    "assetType": "asset_type",
    "nativeCode": "native_code",
    "nativeSeverity": "severity",
    "qualifier": "qualifier",
    "message": "message",
}
"""Attribute to the name in the detail, in the order that the detail has; ``message`` is the text of a condition."""
_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class StreamsOptions(BaseModel):
    """Options of a source declaration in this format.

    Attributes:
        tag: ``name_or_id``: the name of the data item, its id where it has none; ``id``: always the id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: Literal["name_or_id", "id"] = "name_or_id"


class MtconnectStreams:
    """Takes streams documents apart; see the module."""

    name: str = "mtconnect_streams"
    code_version: str = "1"
    unit: str = "element"
    expected: Expected = EXPECTED

    def __init__(self, options: StreamsOptions | None = None) -> None:
        self._options = options or StreamsOptions()

    @classmethod
    def from_options(cls, options: Mapping[str, Any], zone: str = "UTC") -> Streamed:
        """Set up the decoder with the options of a source declaration.

        Args:
            options: see `StreamsOptions`.
            zone: IANA zone of timestamps that carry none; the standard wants all of them to be UTC.

        Raises:
            pydantic.ValidationError: unknown or wrong options.
        """
        return Streamed(cls(StreamsOptions.model_validate(options)), zone)

    def count(self, file: PreparedFile) -> int:
        """Number of observations; see `UnitReader`."""
        return count_elements(file.path, _is_observation, _require_streams)

    def read(self, file: PreparedFile) -> Iterator[Unit]:
        """The observations in order; see `UnitReader`."""
        for ancestors, element in trees(file.path, _is_wanted):
            yield _unit(ancestors, element, self._options)


def _require_streams(name: str, _: str) -> None:
    if name != _ROOT:
        found = _OTHER_DOCUMENTS.get(name, f"a document of another kind (its root is {name[:100]!r})")
        raise UndecodableFile(FOREIGN_CONTENT, f"expected {_ROOT}, the answer of an agent to /sample; this is {found}")


def _is_observation(names: Sequence[str]) -> bool:
    """Whether an element is in one of the containers of a component, known or not."""
    return len(names) == len(_PARENTS) + 2 and tuple(names[: len(_PARENTS)]) == _PARENTS


def _is_wanted(opened: Sequence[Opened]) -> bool:
    if len(opened) == 1:
        _require_streams(opened[0].name, opened[0].namespace)
    return len(opened) == len(_PARENTS) + 2 and _is_observation([o.name for o in opened])


def _unit(ancestors: Sequence[Opened], element: Element, options: StreamsOptions) -> Unit:
    category = ancestors[-1].name
    if category not in _VALUES | _CONDITIONS:
        return _rejected(element, f"expected Samples, Events or Condition in a ComponentStream, found {category!r}")
    is_condition = category in _CONDITIONS
    try:
        value, is_text = _level(element) if is_condition else _value(element)
    except _UnreadableError as error:
        return _rejected(element, str(error))
    device = ancestors[2].attributes
    return Observed(
        tag=_tag(element, options),
        ts=_given(element.attributes, "timestamp"),
        value=value,
        status=BAD_NO_DATA if _is_unavailable(value) else GOOD,
        detail=_detail(element, is_condition=is_condition),
        source=_given(device, "name") or _given(device, "uuid"),
        is_text=is_text,
        payload=element.as_xml(),
    )


def _is_unavailable(value: str) -> bool:
    return len(value) < 100 and value.strip().upper() == _UNAVAILABLE


class _UnreadableError(Exception):
    """An element has not the form that the standard prescribes."""


def _rejected(element: Element, detail: str) -> Rejected:
    return Rejected(ELEMENT_UNREADABLE, detail, element.as_xml())


def _given(attributes: Mapping[str, str], name: str) -> str | None:
    """An attribute, None where it is absent or blank; trimmed, as the importer of ``Devices.xml`` trims names."""
    return attributes.get(name, "").strip() or None


def _tag(element: Element, options: StreamsOptions) -> str | None:
    item = _given(element.attributes, "dataItemId")
    return item if options.tag == "id" else _given(element.attributes, "name") or item


def _level(element: Element) -> tuple[str, bool]:
    """Level of a condition, and that it is text."""
    if element.name not in _LEVELS:
        raise _UnreadableError(f"expected a condition {', '.join(sorted(_LEVELS))}, found {element.name[:100]!r}")
    if element.children:
        raise _UnreadableError(f"a condition holds text, found element {element.children[0].name[:100]!r}")
    return element.name, True


def _value(element: Element) -> tuple[str, bool]:
    """Value of a sample or event, and whether it is text even where it looks like a number.

    A time series is the text of its vector; a data set or table is a JSON object.
    """
    if element.children:
        if element.text:
            raise _UnreadableError("expected either text or entries, found both")
        return json.dumps(_entries(element.children, "Entry"), ensure_ascii=False, separators=(",", ":")), True
    if element.name.endswith(("DataSet", "Table")) and not element.text.strip():
        return "{}", True
    return element.text, "sampleCount" in element.attributes or element.name.endswith("TimeSeries")


def _entries(elements: Sequence[Element], name: str) -> dict[str, object]:
    """Entries of a data set or table, or cells of a row, by key; one that was removed is None."""
    found: dict[str, object] = {}
    for element in elements:
        key = _given(element.attributes, "key")
        if element.name != name or key is None:
            raise _UnreadableError(f"expected {name} elements with a key, found {element.as_xml()[:100]}")
        if key in found:
            raise _UnreadableError(f"key {key[:100]!r} is there twice, so that it cannot be told which value is meant")
        if element.children and element.text:
            raise _UnreadableError(f"key {key[:100]!r}: expected either text or cells, found both")
        if (_given(element.attributes, "removed") or "").lower() in {"true", "1"}:
            found[key] = None
        elif element.children:
            found[key] = _entries(element.children, "Cell")
        else:
            found[key] = element.text
    return found


def _is_extension(attribute: str) -> bool:
    """Whether an attribute has a namespace; the standard's have none, and come first."""
    return attribute.startswith("{")


def _detail(element: Element, *, is_condition: bool) -> str | None:
    """What else is said of the observation, as a JSON object."""
    said = {"message": element.text} if is_condition else {}
    for name in sorted(element.attributes, key=_is_extension):
        if name not in _OF_THE_DATA_ITEM and not name.startswith(XSI):
            local = local_name(name)
            said.setdefault(_DETAIL.get(local, _WORD_START.sub("_", local).lower()), element.attributes[name])
    names = (*_DETAIL.values(), *sorted(said.keys() - _DETAIL.values()))
    detail = {name: said[name] for name in names if said.get(name, "").strip()}
    return json.dumps(detail, ensure_ascii=False, separators=(",", ":")) if detail else None
