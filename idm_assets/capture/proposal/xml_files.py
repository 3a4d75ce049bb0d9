"""Recognises XML by its root element: streams of MTConnect agents, and B2MML.

Belongs here: the finding, and which element of B2MML is a record. Does not belong here: safe reading of XML
(`capture.decoders.xml_elements`), files that describe plants (`referential`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Final

from idm_assets.capture.content import HEAD_BYTES, kind_of
from idm_assets.capture.decoders import UndecodableFile
from idm_assets.capture.decoders.xml_elements import Closed, Opened, tags
from idm_assets.capture.proposal.declaration_text import Said, Unrecognised, quoted
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.samples import Sample
from idm_assets.capture.proposal.templates import template
from idm_assets.capture.proposal.time_forms import ISO

_PLANT_MODELS: Final = frozenset({"MTConnectDevices", "UANodeSet", "AASX", "environment", "aasenv", "CAEXFile"})

_RECORD_ELEMENTS: Final = (
    "SegmentResponse", "JobResponse", "SegmentRequirement", "JobOrder", "ProductionResponse", "ProductionRequest",
    "OperationsResponse", "OperationsRequest", "WorkResponse", "WorkRequest", "InventoryItem", "MaterialInventory",
)  # fmt: skip
"""Elements of B2MML that say what happened or shall happen, the most detailed first."""


def xml_file(sample: Sample) -> Finding | Unrecognised | None:
    """Streams of MTConnect agents, and B2MML, by their root elements."""
    if kind_of(sample.head[:HEAD_BYTES]) != "xml":
        return None
    try:
        opened = list(islice(tags(sample.path), 50_000))
    except UndecodableFile as error:
        return Unrecognised(f"It looks like XML, but {error.detail}.")
    root = opened[0]
    assert isinstance(root, Opened), "a document begins with its root"
    if root.name == "MTConnectStreams":
        return Finding("observations of an MTConnect agent (MTConnectStreams)", "mtconnect_streams", names_source=True)
    if "b2mml" in root.namespace.lower():
        return _b2mml(root, opened)
    if root.name in _PLANT_MODELS:
        return Unrecognised(
            f"The file ({root.name}) describes a plant and holds no observations: idm referential import reads it."
        )
    return Unrecognised(f"XML with the root {quoted(root.name)}, for which there is no format.", template("b2mml"))


def _b2mml(root: Opened, opened: Sequence[Opened | Closed]) -> Finding | Unrecognised:
    """Records of a B2MML document: which element is one, and what says when it happened."""
    names = Counter(tag.name for tag in opened if isinstance(tag, Opened))
    noun = re.sub(r"^(Sync|Process|Acknowledge|Get|Show|Change|Cancel|Respond|Confirm)(?=[A-Z])", "", root.name)
    element = next((name for name in _RECORD_ELEMENTS if name in names), noun)
    if element not in names or element == root.name:
        return Unrecognised(f"B2MML ({root.name}) without an element that could be a record.", template("b2mml"))
    within, header, is_zoned = _timestamps(opened, element)
    chosen = within or header
    if chosen is None:
        return Unrecognised(f"B2MML ({root.name}) without a time.", template("b2mml"))
    seen = f"{names[element]} elements {element}; each is taken for a record, with all that is in it"
    where = "every record has it" if within else "no record has a time of its own; that of the message is taken"
    options = (Said("element", element, (seen,)), Said("timestamp", chosen, (where,)))
    model = Said("model", element, ("the record model is still to be written: idm model new <Model> --kind record",))
    return Finding(f"B2MML, {root.name}", "b2mml", options, (Said("record", (model,)),), is_zoned=is_zoned)


def _timestamps(opened: Sequence[Opened | Closed], element: str) -> tuple[str | None, str | None, bool]:
    """Path to a time that all records have, that of the message, and whether all times carry their zone."""
    way: list[str] = []
    found: Counter[str] = Counter()
    header: str | None = None
    records = 0
    is_zoned = True
    for tag in opened:
        if isinstance(tag, Opened):
            way.append(tag.name)
            records += tag.name == element
            continue
        if tag.is_leaf and re.search(r"(Time|Date|DateTime|Timestamp)$", tag.name) and tag.text:
            if element in way[:-1]:
                inner = way[len(way) - way[::-1].index(element) :]
                found["/".join(inner)] += 1
            elif "ApplicationArea" in way:
                header = f"/{'/'.join(way[1:])}"
            iso = ISO.fullmatch(tag.text.strip())
            is_zoned &= iso is not None and iso["zone"] is not None
        way.pop()
    times = [path for path, count in found.items() if count >= records]
    times.sort(key=lambda path: (path.count("/"), "End" in path))
    return (times[0] if times else None), header, is_zoned
