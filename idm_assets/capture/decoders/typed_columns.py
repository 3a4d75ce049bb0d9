"""Typed columns as fields: the SQL by which a value of a DuckDB type becomes a number, an instant, text or JSON.

Belongs here: what is said of a type. Does not belong here: formats that have typed columns, what fields mean
(`tabular`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from duckdb.sqltypes import DuckDBPyType

from idm_assets.capture.decoders.tabular import Field
from idm_assets.sql import literal

_FIRST: Final = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
_LAST: Final = "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"
_ZONED: Final = "timestamp with time zone"
FLOATS: Final = frozenset({"float", "double"})
"""Types of floating-point numbers, by the names that DuckDB gives them."""

NOTHING: Final = "NULL::VARCHAR"
_INTEGERS: Final = frozenset(
    f"{sign}{kind}" for sign in ("", "u") for kind in ("tinyint", "smallint", "integer", "bigint", "hugeint")
)
_LISTS: Final = frozenset({"list", "array"})
_NESTED: Final = frozenset({"struct", "map", *_LISTS})
_CAST: Final = "({0})::VARCHAR"
_DATE_AND_TIME: Final = "replace(({0})::VARCHAR, ' ', 'T')"
# As text they would be in the zone of the session.
_IN_UTC: Final = "replace(timezone('UTC', {0})::VARCHAR, ' ', 'T') || 'Z'"
_TEXTS: Final[Mapping[str, str]] = {
    # Without the mark some would be numbers.
    "blob": "'0x' || lower(hex({0}))",
    "time with time zone": "({0})::TIME::VARCHAR",
    "timestamp": _DATE_AND_TIME,
    "timestamp_ms": _DATE_AND_TIME,
    "timestamp_ns": _DATE_AND_TIME,
    "timestamp_s": _DATE_AND_TIME,
    "timestamptz_ns": _IN_UTC,
    _ZONED: _IN_UTC,
}
"""By the name that DuckDB gives a type, what is no mere cast to text."""


def typed_field(value: str, kind: DuckDBPyType, unit: str | None = None) -> Field:
    """The field that an SQL expression of a type is.

    Floating-point numbers are doubles where they are finite, else text. Timestamps with a zone are instants, and text
    in UTC; those to the nanosecond are text only, so that it is seen where digits are cut off. All else is text.

    Args:
        value: SQL expression.
        kind: its type.
        unit: the unit that the file declares for it.
    """
    if kind.id in FLOATS:
        # The same condition in both would take DuckDB twice the time to plan in wide tables.
        return Field(
            f"CASE WHEN isnan({value}) OR isinf({value}) THEN {value}::VARCHAR END",
            f"CASE WHEN isfinite({value}) THEN {value}::DOUBLE END",
            unit=unit,
        )
    if kind.id == _ZONED:
        # By way of microseconds, because the file's own statistics would settle the bounds, and they may be wrong.
        held = f"make_timestamptz(epoch_us({value}))"
        instant = f"CASE WHEN {held} BETWEEN {_FIRST} AND {_LAST} THEN {held} END"
        return Field(text_value(value, kind), instant=instant, unit=unit)
    return Field(text_value(value, kind), unit=unit)


def finite_field(value: str) -> Field:
    """The field that an SQL expression of type FLOAT or DOUBLE is, where all its values are finite."""
    return Field(NOTHING, f"{value}::DOUBLE")


def inner_fields(name: str, value: str, kind: DuckDBPyType) -> dict[str, Field]:
    """The fields within a struct, and within structs in it, by dotted names; none for other types.

    Args:
        name: name of the struct.
        value: SQL expression.
        kind: its type.
    """
    fields: dict[str, Field] = {}
    if kind.id == "struct":
        for child, child_kind in _children(kind):
            inner, inner_name = _within(value, child), f"{name}.{child}"
            fields[inner_name] = typed_field(inner, child_kind)
            fields |= inner_fields(inner_name, inner, child_kind)
    return fields


def text_value(value: str, kind: DuckDBPyType) -> str:
    """SQL expression of type VARCHAR: a value as text, NULL for NULL.

    Args:
        value: SQL expression.
        kind: its type.
    """
    if kind.id in _NESTED:
        return f"({json_value(value, kind)})::VARCHAR"
    return _TEXTS.get(kind.id, _CAST).format(value)


def json_value(value: str, kind: DuckDBPyType, depth: int = 0) -> str:
    """SQL expression of type JSON: a value, whose text it is where JSON has no such numbers; NULL for NULL.

    Args:
        value: SQL expression.
        kind: its type.
        depth: number of lambdas around it, whose parameters have names by their depth.
    """
    if kind.id in _INTEGERS or kind.id == "boolean":
        return f"to_json({value})"
    if kind.id in FLOATS:
        return f"CASE WHEN isfinite({value}) THEN to_json({value}::DOUBLE) ELSE to_json({value}::VARCHAR) END"
    item = f"i{depth}"
    if kind.id == "struct":
        pairs = (
            f"{literal(name)}, {json_value(_within(value, name), child, depth)}" for name, child in _children(kind)
        )
        return f"CASE WHEN {value} IS NOT NULL THEN json_object({', '.join(pairs)}) END"
    if kind.id in _LISTS:
        (_, child), *_ = _children(kind)
        return f"to_json(list_transform({value}, lambda {item}: {json_value(item, child, depth + 1)}))"
    if kind.id == "map":
        (_, key), (_, entry) = _children(kind)
        # Put together as text, because a map may well have a key twice.
        name = f"to_json({text_value(f'{item}.key', key)})::VARCHAR"
        said = f"coalesce(({json_value(f'{item}.value', entry, depth + 1)})::VARCHAR, 'null')"
        texts = f"list_transform(map_entries({value}), lambda {item}: concat({name}, ':', {said}))"
        return f"CASE WHEN {value} IS NOT NULL THEN ('{{' || array_to_string({texts}, ',') || '}}')::JSON END"
    return f"to_json({text_value(value, kind)})"


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return cast("list[tuple[str, DuckDBPyType]]", kind.children)


def _within(value: str, name: str) -> str:
    return f"struct_extract({value}, {literal(name)})"
