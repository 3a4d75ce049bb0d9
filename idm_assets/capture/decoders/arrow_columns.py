"""Arrow columns made fit for DuckDB: sound in every value, and of types that it reads from Parquet unchanged.

Belongs here: what is done to a column on the way to a scratch file. Does not belong here: files and their parts
(`columnar_rows`), what DuckDB makes of the types (`typed_columns`).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from idm_assets.capture.framing import INVALID_UTF8

# pyarrow has no types; neither have its arrays and types here.
Arrow = Any

_arrow: Any = cast("Any", pa)
_compute: Any = cast("Any", pc)
_types: Any = _arrow.types
_MAX_DIGITS: Final = 38
_LAST_INT64: Final = 2**63 - 2
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def is_beyond_duckdb(kind: Arrow) -> bool:
    """Whether DuckDB would round values of a type: decimals of more than 38 digits become doubles."""
    if _types.is_decimal(kind):
        return kind.precision > _MAX_DIGITS
    return any(is_beyond_duckdb(kind.field(index).type) for index in range(kind.num_fields))


# --- soundness -------------------------------------------------------------------------------------------


def sound_columns(batch: Arrow) -> tuple[list[Arrow], list[str | None] | None]:
    r"""The columns of a record batch, every value of them sound, and what is wrong with each row.

    Text that is no UTF-8 is shown with its bytes as ``\xNN`` and is what may be wrong with a row.

    Args:
        batch: as it was read.

    Raises:
        pyarrow.ArrowInvalid: something else is unsound, but for times beyond their bounds.
    """
    try:
        batch.validate(full=True)
    except _arrow.ArrowInvalid:
        problems: list[str | None] = [None] * batch.num_rows
        return [_readable(column, problems) for column in batch.columns], problems
    return list(batch.columns), None


def _readable(column: Arrow, problems: list[str | None]) -> Arrow:
    if has_bounds(column.type):
        # What is beyond them is for `within_bounds`.
        column.validate()
        return column
    if not (_types.is_string(column.type) or _types.is_large_string(column.type)):
        column.validate(full=True)
        return column
    stored = column.cast(_arrow.binary() if _types.is_string(column.type) else _arrow.large_binary())
    stored.validate(full=True)
    texts: list[str | None] = []
    for place, value in enumerate(cast("list[bytes | None]", stored.to_pylist())):
        text = None if value is None else value.decode("utf-8", "backslashreplace")
        texts.append(text)
        if text is not None and text.encode() != value:
            problems[place] = INVALID_UTF8
    return _arrow.array(texts, column.type)


# --- bounds ----------------------------------------------------------------------------------------------


def has_bounds(kind: Arrow) -> bool:
    """Whether there are values of a type that DuckDB cannot hold, or that are fatal to DuckDB 2.0."""
    return _types.is_timestamp(kind) or _types.is_time(kind)


def is_within_bounds(column: Arrow) -> bool:
    """Whether DuckDB can hold all times and timestamps in a column, also those within lists, structs and maps."""
    if has_bounds(column.type):
        return within_bounds(column)[1].null_count == len(column)
    return all(map(is_within_bounds, _inner(column)))


def within_bounds(column: Arrow) -> tuple[Arrow, Arrow]:
    """A column of times or timestamps without those that DuckDB cannot hold, and these as text.

    Timestamps beyond the year 290,000, what libraries write for infinity or for none among them, and times of day
    before the first or after the last of a day.

    Args:
        column: of a type that `has_bounds`.
    """
    lowest, highest = _bounds(column.type)
    numbers = column.view(_arrow.int32() if column.type.bit_width == 32 else _arrow.int64())
    is_beyond = _compute.or_(_compute.less(numbers, lowest), _compute.greater(numbers, highest))
    if not _compute.any(is_beyond).as_py():
        return column, _arrow.nulls(len(column), _arrow.string())
    texts = [
        f"{column.type}: {number}" if beyond else None
        for number, beyond in zip(numbers.to_pylist(), is_beyond.to_pylist(), strict=True)
    ]
    kept = _compute.if_else(is_beyond, _arrow.scalar(None, column.type), column)
    return kept, _arrow.array(texts, _arrow.string())


def is_finite(column: Arrow) -> bool:
    """Whether a column holds no NaN and no infinity, outside of lists, structs and maps."""
    if not _types.is_floating(column.type):
        return True
    wide = column.cast(_arrow.float32()) if _types.is_float16(column.type) else column
    return _compute.all(_compute.is_finite(wide), min_count=0).as_py()


def _bounds(kind: Arrow) -> tuple[int, int]:
    per_second = _PER_SECOND[kind.unit]
    if _types.is_time(kind):
        return 0, 86_400 * per_second
    # DuckDB's own unit is the microsecond, but for nanoseconds.
    highest = _LAST_INT64 if kind.unit in ("us", "ns") else _LAST_INT64 // (10**6 // per_second)
    return (-highest if kind.unit == "ns" else -9_223_372_022_400 * per_second), highest


def _inner(column: Arrow) -> Iterator[Arrow]:
    kind = column.type
    if isinstance(column, _arrow.ExtensionArray):
        yield column.storage
    elif _types.is_struct(kind):
        yield from column.flatten()
    elif _types.is_map(kind):
        yield from (column.keys, column.items)
    elif _types.is_list(kind) or _types.is_large_list(kind) or _types.is_fixed_size_list(kind):
        yield column.flatten()
    elif _types.is_dictionary(kind):
        yield column.dictionary


# --- types -----------------------------------------------------------------------------------------------


def target_type(kind: Arrow) -> Arrow:
    """The type in which values of a type go through Parquet to DuckDB: one of the same values, or else text."""
    return _target(kind) or _arrow.string()


def as_target(column: Arrow) -> Arrow:
    """A column in the type that `target_type` says.

    Raises:
        pyarrow.ArrowInvalid: a value lies beyond what DuckDB can hold, within a list, struct or map.
    """
    target = _target(column.type)
    if target is None:
        return _arrow.array([_text_of(value) for value in column.to_pylist()], _arrow.string())
    if not has_bounds(column.type) and not is_within_bounds(column):
        raise _arrow.ArrowInvalid(f"a {column.type} holds a time that cannot be")
    if isinstance(column, _arrow.ExtensionArray):
        column = column.storage
    return column if column.type == target else column.cast(target)


@cache
def _target(kind: Arrow) -> Arrow:
    """The type with the same values that goes through Parquet to DuckDB unchanged; None if there is none."""
    if isinstance(kind, _arrow.BaseExtensionType):
        return None if kind == _arrow.uuid() else _target(kind.storage_type)
    if _types.is_dictionary(kind):
        return _target(kind.value_type)
    if _types.is_decimal(kind):
        # Arrow has scales that Parquet and DuckDB do not: whole thousands, or more places than digits.
        is_held = kind.precision <= _MAX_DIGITS and 0 <= kind.scale <= kind.precision
        return _arrow.decimal128(kind.precision, kind.scale) if is_held else None
    if _types.is_nested(kind):
        return _nested_target(kind)
    if has_bounds(kind) and kind.unit == "s":
        # Parquet has no seconds.
        return _arrow.time32("ms") if _types.is_time(kind) else _arrow.timestamp("ms", kind.tz)
    return next((target or kind for is_one, target in _TARGETS if is_one(kind)), None)


def _nested_target(kind: Arrow) -> Arrow:
    targets = [_target(kind.field(index).type) for index in range(kind.num_fields)]
    if any(target is None for target in targets):
        return None
    if _types.is_list(kind) or _types.is_large_list(kind) or _types.is_fixed_size_list(kind):
        return _arrow.list_(targets[0])
    if _types.is_map(kind):
        return _arrow.map_(_target(kind.key_type), _target(kind.item_type))
    names = [kind.field(index).name for index in range(kind.num_fields)]
    # DuckDB does not tell names apart by their capitals. Views of lists are cast wrongly by pyarrow 26, and unions not.
    if not _types.is_struct(kind) or not names or len({name.lower() for name in names}) < len(names):
        return None
    return _arrow.struct(list(zip(names, targets, strict=True)))


_SAME: Final = ("boolean", "integer", "floating", "string", "binary", "time", "timestamp")
# What becomes another type, and what stays as it is (None).
_TARGETS: Final[Sequence[tuple[Callable[[Arrow], bool], Arrow]]] = (
    (_types.is_float16, _arrow.float32()),
    (_types.is_duration, _arrow.int64()),
    (_types.is_date, _arrow.date32()),
    (_types.is_large_string, _arrow.string()),
    (_types.is_string_view, _arrow.string()),
    (_types.is_large_binary, _arrow.binary()),
    (_types.is_fixed_size_binary, _arrow.binary()),
    (_types.is_binary_view, _arrow.binary()),
    (_types.is_null, _arrow.string()),
    *((getattr(_types, f"is_{name}"), None) for name in _SAME),
)


def _text_of(value: object) -> str | None:
    """Text of a value for which DuckDB has no type: digits, or JSON."""
    match value:
        case None | str():
            return value
        case Decimal():
            return format(value, "f")
        case uuid.UUID():
            return str(value)
        case _:
            return json.dumps(_as_json(value), ensure_ascii=False, separators=(",", ":"))


def _as_json(value: object) -> object:
    match value:
        case float() if value - value != 0:
            return str(value)
        case None | bool() | int() | str() | float():
            return value
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return {str(name): _as_json(item) for name, item in items}
        case list() | tuple():
            return [_as_json(item) for item in cast("Sequence[object]", value)]
        case bytes():
            return f"0x{value.hex()}"
        case _:
            return format(value, "f") if isinstance(value, Decimal) else str(value)
