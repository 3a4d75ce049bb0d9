"""Recognises formats of which each line stands for itself: SHDR of MTConnect adapters, and InfluxDB line protocol.

Belongs here: what such lines look like. Does not belong here: lines of cells (`dialects`), JSON lines (`json_files`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from idm_assets.capture.content import HEAD_BYTES, kind_of
from idm_assets.capture.proposal.declaration_text import Said, listed
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.samples import Sample, first_lines
from idm_assets.capture.proposal.time_forms import EPOCH_SECONDS
from idm_assets.capture.proposal.vocabulary import UNIT_WORDS

_SHDR: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z?(@\d+(\.\d+)?)?\|[^|]*[^|\d.\s-][^|]*(\|.*)?")

# Possessive, so that no line takes longer than it is long.
_NAME: Final = r"(?:\\.|[^,=\s\\])++"

_FIELD: Final = rf'{_NAME}=(?:"(?:\\.|[^"\\])*+"|[^,\s"]++)'

_POINT: Final = re.compile(
    rf"(?:\\.|[^,\s\\])++(?P<tags>(?:,{_NAME}={_NAME})*+) {_FIELD}(?:,{_FIELD})*+ (?P<time>-?\d+)"
)


def _text_lines(sample: Sample) -> list[str]:
    """The first lines that hold something, where the sample is text in UTF-8."""
    if kind_of(sample.head[:HEAD_BYTES]) != "text" or b"\x00" in sample.head:
        return []
    return [line for line in first_lines(sample, "utf-8") if line.strip()]


def shdr_log(sample: Sample) -> Finding | None:
    """Logs of MTConnect adapters: lines of time, item and value."""
    lines = [line for line in _text_lines(sample) if not line.startswith("* ")]
    found = [line for line in lines if _SHDR.fullmatch(line)]
    inner = [line for line in lines if "|" not in line or not line[:1].isdecimal()]
    if not found or len(found) < 0.5 * len(lines) or len(found) + len(inner) < 0.95 * len(lines):
        return None
    if lines[0] in inner:
        # A line of names: a table that is delimited by pipes.
        return None
    return Finding(f"SHDR of MTConnect adapters: {len(found)} of {len(lines)} lines are time|item|value", "shdr")


def line_protocol(sample: Sample) -> Finding | None:
    """Points of InfluxDB: measurement, tags, fields, time."""
    lines = [line for line in _text_lines(sample) if not line.startswith("#")]
    found = [match for line in lines if (match := _POINT.fullmatch(line))]
    if not found or len(found) < 0.8 * len(lines):
        return None
    times = [abs(int(match["time"])) for match in found if match["time"].strip("-0")]
    precision = next(
        (p for p, power in (("s", 0), ("ms", 3), ("us", 6)) if times and max(times) < EPOCH_SECONDS[1] * 10**power),
        "ns",
    )
    options: list[Said] = []
    if precision != "ns":
        options.append(Said("precision", precision, ("told by the magnitude of the times",)))
    line_tags = [dict(re.findall(r",((?:\\.|[^,=\\])+)=((?:\\.|[^,=\\])+)", match["tags"])) for match in found]
    always = [name for name in line_tags[0] if all(name in tags_ for tags_ in line_tags) and "\\" not in name]
    unit = next((name for name in always if name.lower() in UNIT_WORDS), None)
    naming = [n for n in always if n != unit and len({t[n] for t in line_tags}) < max(2, 0.5 * len(line_tags))]
    if naming:
        template_ = "/".join(f"{{{name}}}" for name in naming)
        seen = (
            f"the line tags that every point has; sources: {listed({_joined_tags(t, naming) for t in line_tags}, 3)}",
        )
        options.append(Said("source", template_, seen))
    if unit is not None:
        options.append(Said("unit", unit, ("the line tag that holds the unit",)))
    what = f"InfluxDB line protocol: {len(found)} of {len(lines)} lines are points"
    return Finding(what, "line_protocol", tuple(options), names_source=bool(naming))


def _joined_tags(line_tags: Mapping[str, str], names: Sequence[str]) -> str:
    return "/".join(line_tags[name] for name in names)
