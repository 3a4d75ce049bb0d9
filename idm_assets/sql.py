"""Quoting for SQL text and the few SQL expressions that must mean the same everywhere.

Belongs here: quoting, and expressions shared by several layers. Does not belong here: queries of a layer.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

Literal = str | int | float | bool | date | datetime | None


def identifier(name: str) -> str:
    """Quote a name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Literal) -> str:
    """Write a value as an SQL literal; a datetime must carry a zone and becomes a UTC TIMESTAMPTZ.

    Raises:
        ValueError: a naive datetime.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float():
            # A float is quoted, because inf and nan would be read as column names.
            return repr(value) if isinstance(value, int) else f"'{value!r}'::DOUBLE"
        case datetime():
            if value.tzinfo is None:
                raise ValueError(f"naive datetime {value!r} has no place in a query")
            return f"TIMESTAMPTZ '{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00'"
        case date():
            return f"DATE '{value:%Y-%m-%d}'"
        case str():
            return "'" + value.replace("'", "''") + "'"


def signal_id(plant: str, source: str, tag: str) -> str:
    """SQL expression for the integer key of a signal, from three SQL expressions.

    The key is the lower 63 bits of the MD5 of plant, source and tag: the same on every machine, in every
    order of arrival and without a counter that concurrent runs would have to share. Being an integer it sorts
    and joins ten times as fast as the names, which come back through `capture.tags`.
    """
    return integer_key(f"concat_ws(chr(31), {plant}, {source}, {tag})")


def point_id(plant: str, equipment_path: str, avatar: str, attribute: str, unit: str) -> str:
    """SQL expression for the integer key of a point, from five SQL expressions; the unit may be NULL.

    Made like `signal_id`, of what a published value is filed under.
    """
    parts = f"{plant}, {equipment_path}, {avatar}, {attribute}, coalesce({unit}, '')"
    return integer_key(f"concat_ws(chr(31), {parts})")


def integer_key(text: str) -> str:
    """SQL expression for the lower 63 bits of the MD5 of a text, as ``md5_number_lower`` has them.

    That function takes five times as long (DuckDB 2.0: 0.55 us a row) as taking its bits out of the whole number.
    """
    return f"((md5_number({text}) >> 64) & 9223372036854775807::UHUGEINT)::BIGINT"


def content_hash(columns: tuple[str, ...]) -> str:
    """SQL aggregate that fingerprints a set of rows, whatever their order, as text.

    Equal contents give equal hashes within one DuckDB version; another version may hash otherwise, which costs
    a recomputation and changes no table.
    """
    row = ", ".join(identifier(name) for name in columns)
    return f"coalesce(sum(hash({row})::HUGEINT), 0)::VARCHAR || '/' || count(*)::VARCHAR"
