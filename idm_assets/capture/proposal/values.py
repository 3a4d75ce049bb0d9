"""What values mean: statuses, texts for no value, and numbers that are no measurement.

What would change values (sentinels) is proposed as a comment only.

Belongs here: judging values of tags. Does not belong here: which columns hold them (`row_meaning`), reading statuses
(`capture.status_reading`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import quantiles
from typing import Final

from idm_assets.capture.proposal.declaration_text import Said, listed, quoted
from idm_assets.capture.proposal.tables import Column
from idm_assets.status import symbols

_KNOWN_SENTINELS: Final = frozenset(
    {
        -1.0, -99.0, -200.0, -999.0, -9999.0, -99999.0, 99.0, 255.0, 999.0, 9999.0, 99999.0, 999999.0, 32767.0,
        -32768.0, 65535.0, 1145979424.0, 2147483647.0, -2147483648.0, 4294967295.0,
    }
)  # fmt: skip
"""What devices write where they have no measurement; 1145979424 is the text ``DND `` read as a number."""

_STATUS_MEANINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ok", "valid", "g", "normal", "n", "true", "gut", "fine"), "Good"),
    **dict.fromkeys(("invalid", "error", "err", "fault", "failed", "fail", "b", "false", "schlecht"), "Bad"),
    **dict.fromkeys(("suspect", "questionable", "doubtful", "u", "warning", "estimated", "unsicher"), "Uncertain"),
    **dict.fromkeys(("offline", "disconnected", "not connected", "no communication"), "BadNoCommunication"),
    **dict.fromkeys(("missing", "no data", "nodata", "null", "nan"), "BadNoData"),
    **dict.fromkeys(("substituted", "manual", "replaced"), "UncertainSubstituteValue"),
}
"""Words of plants for statuses, in small letters, as OPC UA symbols; those of OPC UA need none."""


def status_field(column: Column) -> tuple[Said, tuple[Said, ...]]:
    """The field of the status, and how statuses are read."""
    counts = Counter(text.strip() for text in column.texts)
    shown = ", ".join(f"{quoted(text)} {count} times" for text, count in counts.most_common(6))
    known = {name.lower() for name, _ in symbols().values()}
    said = Said("status", column.name, (f"seen: {shown}",))
    if all(text.isdecimal() for text in counts):
        codes = [int(text) for text in counts]
        if all(code == 0 or code >= 1 << 30 for code in codes):
            doubt = ("all are 0, which is good in OPC UA and bad in OPC DA: check it",) if codes == [0] else ()
            return replace(said, seen=(*said.seen, *doubt)), ()
        if max(codes) <= 65_535 and any(code & 192 == 192 for code in codes):
            return said, (Said("scale", "opc_da", ("192 is good in OPC DA",)),)
    words = [
        Said(text.lower(), symbol or "Uncertain", () if symbol else ("not a known word: say what it means",))
        for text in sorted({text.lower() for text in counts} - known)
        for symbol in [_STATUS_MEANINGS.get(text)]
    ]
    if not words:
        return said, ()
    return said, (Said("words", tuple(words), ("what these words mean is a guess",)),)


def values_said(
    groups: Mapping[str, Sequence[float]], missing: Sequence[str], words: tuple[Said, ...]
) -> tuple[Said, ...]:
    """How statuses are read, and which values stand for none."""
    said = list(words)
    if missing:
        said.append(Said("missing", list(missing), ("these texts stand among numbers; they become BadNoData",)))
    found = _sentinels(groups)
    if not found:
        return (Said("status", tuple(said)),) if said else ()
    values = [int(value) if value == int(value) else value for value in found]
    seen = [
        f"{value:g} comes {sum(n.values())} times, far from all else, in {listed(n, 4)}: no measurement?"
        for value, n in found.items()
    ]
    proposed = Said("sentinels", values, (*seen, "if so, switch this on; it holds for all tags"), "suggested")
    if said:
        return (Said("status", (*said, proposed)),)
    return (Said("status", (replace(proposed, seen=()),), proposed.seen, "suggested"),)


def _sentinels(groups: Mapping[str, Sequence[float]]) -> dict[float, dict[str, int]]:
    """Values that recur as an extreme far from the rest, with how often they come in which tag."""
    certain = {value for values in groups.values() for value in _far(values)}
    found: dict[float, dict[str, int]] = {}
    for name, values in groups.items():
        if values:
            ends = (min(values), max(values))
            for value in certain & {*ends}:
                found.setdefault(value, {})[name] = values.count(value)
    return dict(sorted(found.items()))


def _far(values: Sequence[float]) -> Iterator[float]:
    """The least and the largest value, if they cannot be of a kind with the others."""
    if len(values) < 20:
        return
    for value in {min(values), max(values)}:
        rest = [v for v in values if v != value]
        if len(rest) < 10:
            continue
        low, *_, high = quantiles(rest, n=100)
        spread = max(high - low, 1e-12)
        gap = min(abs(value - min(rest)), abs(value - max(rest)))
        is_known = value in _KNOWN_SENTINELS
        is_whole = value == int(value) and abs(value) > 50
        recurs = values.count(value) >= 3
        is_varied = len(set(rest)) >= 10
        is_usual = is_known and gap >= 10 and gap > (0.25 if recurs else 20) * spread
        if is_usual or (is_whole and recurs and is_varied and gap > 3 * spread):
            yield value
