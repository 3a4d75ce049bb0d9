"""What contradicts itself in one attribute of a data model, or with the kind of its model.

Belongs here: rules over a single attribute, whatever it was read from. Does not belong here: what attributes or
models must hold among each other, where an attribute is written.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from idm_assets.referential.compatibility import number_text, range_text, shortened
from idm_assets.referential.description import NUMERIC, Attribute, DataType, ModelKind

MAX_VALUE: Final = 200

Finding = tuple[tuple[str | int, ...], str]
"""Field of the attribute, as the files of models call it, and what is expected there."""

_COLUMN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,126}", re.ASCII)
_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?", re.ASCII)
_INTEGER: Final = re.compile(r"[-+]?\d{1,19}", re.ASCII)
_TEXT_VALUE: Final = f"a text of 1 to {MAX_VALUE} characters without control characters"


def attribute_problems(attribute: Attribute, kind: ModelKind) -> Iterator[Finding]:
    """What contradicts itself in an attribute, or its model's kind: where in its entry, and what is expected."""
    yield from _kind_problems(attribute, kind)
    if attribute.data_type in NUMERIC:
        low, high = attribute.minimum, attribute.maximum
        if low is not None and high is not None and low > high:
            yield ("range",), f"expected minimum <= maximum, got {number_text(low)} > {number_text(high)}"
        if attribute.hold == "sloped" and attribute.kind != "measurement":
            yield ("hold",), f"only measurements change along a line, this is a {attribute.kind}; leave hold out"
    else:
        yield from _numeric_fields(attribute)
    yield from _allowed_problems(attribute)


def _kind_problems(attribute: Attribute, kind: ModelKind) -> Iterator[Finding]:
    if attribute.key and not attribute.required:
        yield ("required",), "a key is always required; leave required out, or say true"
    if kind == "telemetry":
        if attribute.key:
            yield ("key",), "only records have keys; leave key out, or make the model kind: record"
        return
    if not _COLUMN.fullmatch(attribute.name):
        yield ("name",), f"expected letters, digits and underscores in a record model, got {attribute.name!r}"
    if attribute.data_type == "vector3":
        yield ("data_type",), "a record cannot hold vector3; write three attributes of type double"
    if attribute.sampling is not None:
        yield ("sampling",), "a record is delivered as a whole; leave sampling out, or make the model kind: telemetry"
    if attribute.hold == "sloped":
        yield ("hold",), "a record does not hold between reports; leave hold out, or make the model kind: telemetry"


def _numeric_fields(attribute: Attribute) -> Iterator[Finding]:
    """Fields that only numbers may have, of an attribute that is none."""
    only = f"is for double and integer, this is a {attribute.data_type}; leave it out"
    if attribute.minimum is not None or attribute.maximum is not None:
        yield ("range",), f"range {only}"
    if attribute.unit is not None:
        yield ("unit",), f"unit {only}"
    if attribute.deadband is not None:
        yield ("sampling", "deadband"), f"deadband {only}"
    if attribute.hold == "sloped":
        yield ("hold",), f"sloped {only}"
    if attribute.kind == "measurement":
        yield ("kind",), f"measurement {only}"


# --- allowed values --------------------------------------------------------------------------------------


def allowed_text(value: object, data_type: DataType) -> str:
    """An allowed value as text; numbers of equal value have equal texts."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if data_type == "integer" and _INTEGER.fullmatch(text):
        return str(int(text))
    if data_type == "double" and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return number_text(float(text))
    return text


def _allowed_problems(attribute: Attribute) -> Iterator[Finding]:
    if attribute.allowed and attribute.data_type in {"timestamp", "vector3"}:
        yield ("allowed",), f"a {attribute.data_type} cannot be one of a few values; leave allowed out"
        return
    first: dict[str, int] = {}
    for k, text in enumerate(attribute.allowed):
        if first.setdefault(text, k) != k:
            yield ("allowed", k), f"{shortened(text)!r} is given already, as allowed[{first[text]}]"
        expected = _misfit(text, attribute)
        if expected is not None:
            yield ("allowed", k), f"expected {expected}, got {shortened(text)!r}"


def _misfit(text: str, attribute: Attribute) -> str | None:
    """What an allowed value should be, if it is not."""
    match attribute.data_type:
        case "boolean":
            return None if text in {"true", "false"} else "true or false"
        case "integer":
            fits = _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63
            return _outside(int(text), attribute) if fits else "an integer of 64 bits"
        case "double":
            fits = _NUMBER.fullmatch(text) and math.isfinite(float(text))
            return _outside(float(text), attribute) if fits else "a number"
        case _:
            return None if text and len(text) <= MAX_VALUE and not has_controls(text) else _TEXT_VALUE


def has_controls(text: str) -> bool:
    """Whether a text has control characters, line ends and tabs among them."""
    return any(unicodedata.category(character) == "Cc" for character in text)


def _outside(number: float, attribute: Attribute) -> str | None:
    low, high = attribute.minimum, attribute.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        return f"a value in the range {range_text(attribute)}"
    return None
