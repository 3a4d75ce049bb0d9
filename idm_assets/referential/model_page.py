"""One data model for readers: a page in Markdown, and a JSON Schema of the messages that carry it.

Sources: CommonMark 0.31 and the tables of GitHub Flavored Markdown; JSON Schema draft 2020-12.

Belongs here: how a single model is shown. Does not belong here: which models there are, how they are compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from idm_assets.referential.compatibility import range_text, sampling_text
from idm_assets.referential.description import Attribute, DataType, Model

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"

# Whatever Markdown or HTML would read as a mark; an underscore inside of a word is none.
_MARKS: Final = re.compile(r"[\\`*{}\[\]<>#!|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
# What starts a list, a rule or a heading at the beginning of a paragraph.
_FIRST: Final = re.compile(r"^([-+=]|\d{1,9}(?=[.)]))")
_COLUMNS: Final = (
    "Attribute", "Type", "Kind", "Unit", "Range", "Allowed", "Key", "Required", "Sampling", "Hold",
    "Personal data", "Inherited from", "Description", "Semantic id",
)  # fmt: skip
_ALWAYS: Final = frozenset(
    {"Attribute", "Type", "Unit", "Range", "Allowed", "Sampling", "Personal data", "Description"}
)

_SCHEMA_TYPES: Final[dict[DataType, dict[str, Any]]] = {
    "double": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "timestamp": {"type": "string", "format": "date-time"},
    "vector3": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
}


def markdown_page(model: Model) -> str:
    """A page about a model: what it is, then a table of its attributes.

    All text of the model appears literally: nothing in it becomes a mark or HTML. An address that it spells out may
    become a link to that address.
    """
    title = model.name if model.version is None else f"{model.name} {model.version}"
    facts = (
        ("Kind", model.kind),
        ("Business object", model.business_object),
        ("Owner", model.owner),
        ("Extends", model.extends),
        ("Semantic id", model.semantic_id),
    )
    parts = [f"# {_escaped(title)}"]
    if model.description:
        parts.append(_paragraph(model.description))
    parts.append(_table(("Fact", "Value"), [(name, value) for name, value in facts if value]))
    parts.append("## Attributes")
    parts.append(_attribute_table(model.attributes) if model.attributes else "None.")
    return "\n\n".join(parts) + "\n"


def _attribute_table(attributes: Sequence[Attribute]) -> str:
    """The attributes, in columns of which those are left out that would be empty and need not be there."""
    rows = [_cells(attribute) for attribute in attributes]
    shown = [i for i, column in enumerate(_COLUMNS) if column in _ALWAYS or any(row[i] for row in rows)]
    return _table([_COLUMNS[i] for i in shown], [[row[i] for i in shown] for row in rows])


def _cells(attribute: Attribute) -> tuple[str, ...]:
    return (
        attribute.name,
        attribute.data_type,
        attribute.kind,
        attribute.unit or "",
        range_text(attribute) or "",
        ", ".join(attribute.allowed),
        "yes" if attribute.key else "",
        "yes" if attribute.required else "",
        sampling_text(attribute) or "",
        attribute.hold if attribute.hold != "stepped" else "",
        attribute.pii if attribute.pii != "none" else "",
        attribute.inherited_from or "",
        attribute.description or "",
        attribute.semantic_id or "",
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns)]
    lines += [[_escaped(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _paragraph(text: str) -> str:
    return _FIRST.sub(_behind_backslash, _escaped(text))


def _escaped(text: str) -> str:
    """Text in one line that Markdown shows as it is."""
    return _MARKS.sub(r"\\\g<0>", " ".join(text.split()))


def _behind_backslash(match: re.Match[str]) -> str:
    return f"\\{match[0]}" if not match[0].isdigit() else f"{match[0]}\\"


def json_schema(model: Model) -> dict[str, Any]:
    """JSON Schema of one message.

    A message of a record model is a whole record: what is required must be there. A message of a telemetry model
    carries at least one attribute; which of them, is up to the source, so none is required, and those that every
    avatar has are marked ``x-required``. What is optional is left out, not null. Allowed values and ranges are
    included, though the pipeline keeps values out of them and marks them.
    """
    schema: dict[str, Any] = {"$schema": DRAFT}
    if model.version is not None:
        schema["$id"] = f"urn:idm:model:{quote(model.name, safe='')}:{model.version}"
    schema["title"] = model.name
    schema |= _given({"description": model.description, "x-version": model.version, "x-kind": model.kind})
    schema |= _given({"x-owner": model.owner, "x-semantic-id": model.semantic_id, "x-extends": model.extends})
    schema["type"] = "object"
    schema["properties"] = {a.name: _property(a, model) for a in model.attributes}
    if model.kind == "record":
        schema["required"] = [a.name for a in model.attributes if a.required]
    else:
        schema["minProperties"] = 1
    schema["additionalProperties"] = False
    return schema


def _property(attribute: Attribute, model: Model) -> dict[str, Any]:
    schema = dict(_SCHEMA_TYPES[attribute.data_type])
    schema |= _given({"description": attribute.description})
    schema |= _given({"minimum": _plain(attribute.minimum), "maximum": _plain(attribute.maximum)})
    if attribute.allowed:
        schema["enum"] = [_json_value(text, attribute.data_type) for text in attribute.allowed]
    marks = {
        "x-unit": attribute.unit,
        "x-pii": attribute.pii,
        "x-kind": attribute.kind,
        "x-key": attribute.key or None,
        "x-required": (attribute.required and model.kind == "telemetry") or None,
        "x-semantic-id": attribute.semantic_id,
        "x-inherited-from": attribute.inherited_from,
    }
    return schema | _given(marks)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _plain(number: float | None) -> float | int | None:
    return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else number


def _json_value(text: str, data_type: DataType) -> str | float | int | bool | None:
    """An allowed value as it stands in a message; the text itself where it does not fit the data type."""
    try:
        match data_type:
            case "boolean" if text in {"true", "false"}:
                return text == "true"
            case "integer":
                return int(text)
            case "double":
                return _plain(float(text))
            case _:
                return text
    except ValueError:
        return text
