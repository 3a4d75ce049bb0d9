"""What a row becomes: one value, one of many tags, or a record; and what names its source.

Belongs here: judging columns together, whatever the format. Does not belong here: reading rows (`tables`), the time of
a row (`times`), statuses and sentinels (`values`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from idm_assets.capture.proposal.declaration_text import Said, Unrecognised, listed, quoted
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.paths import Day
from idm_assets.capture.proposal.tables import Column, Table
from idm_assets.capture.proposal.templates import template
from idm_assets.capture.proposal.times import TimeFound, time_found
from idm_assets.capture.proposal.values import status_field, values_said
from idm_assets.capture.proposal.vocabulary import (
    KEY_WORDS,
    MISSING,
    SOURCE_WORDS,
    STATUS_WORDS,
    TAG_WORDS,
    UNIT_WORDS,
    VALUE_WORDS,
    word_set,
)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a row becomes, and what its values mean.

    Attributes:
        said: fields of the declaration.
        names_source: whether a row names its source.
    """

    said: tuple[Said, ...]
    names_source: bool


class Named(NamedTuple):
    """A field that was chosen, and why."""

    column: Column
    seen: tuple[str, ...] = ()


class Roles(NamedTuple):
    """What the columns of a table of single values say.

    Attributes:
        tag: names of tags.
        value: values.
        others: all else, of which a role is given at most once.
        status: statuses.
        source: names of sources.
        unit: units.
    """

    tag: Column
    value: Column
    others: Sequence[Column]
    status: Column | None = None
    source: Column | None = None
    unit: Column | None = None

    @property
    def unread(self) -> list[str]:
        """Names of columns without a role."""
        return [c.name for c in self.others if c not in (self.status, self.source, self.unit)]


def table_finding(
    table: Table, what: str, format_name: str, options: tuple[Said, ...], day: Day | None
) -> Finding | Unrecognised:
    """What rows mean, as far as that can be told."""
    time = time_found(table, day)
    if time is None:
        names = listed(column.name for column in table.columns)
        return Unrecognised(
            f"It was recognised as {what}, but none of its fields says the time of a row: {names}. Looked for were ISO"
            " 8601, numbers since 1970, the common forms of dates and times, and a time of day beside a date in the"
            " name of the file.",
            template(format_name),
        )
    shape = _shape(table, time)
    time_said = [Said("field", time.fields[0] if len(time.fields) == 1 else time.fields, time.seen)]
    if time.format != "iso":
        time_said.append(Said("format", time.format, time.form_seen))
    meaning = (Said("time", tuple(time_said), time.form_seen if time.format == "iso" else ()), *shape.said)
    lost = "".join(f"; {n} lines of the sample cannot be read: {reason}" for reason, n in table.problems.items())
    return Finding(f"{what}{lost}", format_name, options, meaning, shape.names_source, time.is_zoned)


def _shape(table: Table, time: TimeFound) -> Shape:
    used = {column.name for column in time.columns}
    columns = [column for column in table.columns if column.name not in used and column.texts]
    return _long(columns, table) or _record(columns, table, time) or _wide(columns, table, time)


def _long(columns: Sequence[Column], table: Table) -> Shape | None:
    """Rows of which each is one value of the tag that it names."""
    roles = _roles(columns, table)
    if roles is None:
        return None
    tag, value = roles.tag, roles.value
    seen = [f"each row is one value: {quoted(tag.name)} has {len(tag.distinct)} different names in {table.rows} rows"]
    if roles.unread:
        seen.append(f"not read: {listed(roles.unread)}")
    said = [Said("tag", tag.name), Said("value", value.name, _odd_seen([value]))]
    words: tuple[Said, ...] = ()
    if roles.status is not None:
        status_said, words = status_field(roles.status)
        said.append(status_said)
    if roles.source is not None:
        said.append(Said("source", roles.source.name, (_sources_seen(roles.source),)))
    if roles.unit is not None:
        said.append(Said("unit", roles.unit.name))
    groups: dict[str, list[float]] = {}
    for name, found in zip(tag.cells, value.numbers, strict=True):
        if name and found is not None:
            groups.setdefault(name, []).append(found)
    shape = (Said("long", tuple(said), tuple(seen)), *values_said(groups, value.missing, words))
    return Shape(shape, roles.source is not None)


def _roles(columns: Sequence[Column], table: Table) -> Roles | None:
    """Which columns hold tag, value and what belongs to them; None if rows are no single values."""
    value = _hinted_value(columns, table)
    # What a document says of itself is not the status of a value in it.
    stated = [c for c in columns if c.has(STATUS_WORDS) and not c.name.startswith("$.") and len(c.distinct) <= 50]
    statuses = [c for c in stated if c is not value]
    units = [c for c in columns if c.has(UNIT_WORDS) and c.is_text and c.repeats and len(c.distinct) <= 200]
    rest = [c for c in columns if c is not value and c not in statuses and c not in units]
    named = [c for c in rest if c.has(TAG_WORDS) and c.repeats and not c.has(SOURCE_WORDS - {"sensorid"})]
    texts = [c for c in rest if c.is_text and c.repeats and (c.has(TAG_WORDS) or not c.has(SOURCE_WORDS))]
    numbers = [c for c in rest if c.is_number and c not in named]
    if value is None and len(numbers) == 1 and (named or len(texts) == 1) and len(rest) <= (8 if named else 4):
        value = numbers[0]
    tag = next(iter((*named, *texts)), None)
    if value is None or tag is None:
        return None
    left = [c for c in columns if c is not tag and c is not value]
    sources = (c for c in left if c.has(SOURCE_WORDS) and c.repeats and len(c.texts) == table.rows and c in rest)
    return Roles(tag, value, left, next(iter(statuses), None), next(sources, None), next(iter(units), None))


def _hinted_value(columns: Sequence[Column], table: Table) -> Column | None:
    """A column whose name says that it holds values; numbers first."""
    hinted = [c for c in columns if c.has(VALUE_WORDS) and not c.has(TAG_WORDS - {"measurement"})]
    varied = [c for c in hinted if len(c.distinct) > 1 or table.rows == 1]
    return next((c for c in (*hinted, *varied) if c.is_number), None) or next(iter(varied), None)


def _sources_seen(column: Column) -> str:
    return f"{len(column.distinct)} sources: {listed(column.distinct, 4)}"


def _record(columns: Sequence[Column], table: Table, time: TimeFound) -> Shape | None:
    """Rows that are records of things that happened, such as work orders: mostly words."""
    texts = [c for c in columns if c.is_text]
    numbers = [c for c in columns if c.is_number]
    has_sentences = any(
        sum(" " in text for text in c.distinct) > 0.3 * len(c.distinct) and len(c.distinct) > 0.2 * len(c.texts)
        for c in texts
    )
    if len(texts) < 3 or len(texts) < len(numbers) or not has_sentences:
        return None
    words = f"{len(texts)} of {len(columns)} columns hold words, some of them sentences"
    seen = (
        f"{words}: a row is taken for a record, such as a work order",
        "its model is still to be written: idm model new <Model> --kind record",
        "if the columns are tags instead, put here wide: {}",
    )
    index = _index(columns, table)
    said = [Said("model", _model_name(texts), ("the name of the model, which says what the fields mean",))]
    if index is not None or table.is_named:
        only = [c.name for c in columns if c is not index]
        why = (f"without {quoted(index.name)}, which only counts the rows",) if index is not None else ()
        said.append(Said("only", [*only, *(c.name for c in time.columns)], why))
    return Shape((Said("record", tuple(said), seen),), names_source=False)


def _model_name(texts: Sequence[Column]) -> str:
    """Nothing in a table says what its records are."""
    is_order = any(c.has(word_set("pmtype wo workorder order maintenance")) for c in texts)
    return "WorkOrder" if is_order else "MyRecord"


def _index(columns: Sequence[Column], table: Table) -> Column | None:
    """A column that only counts the rows, as exports of data frames have it."""
    unnamed = [column for column in columns if column.is_unnamed]
    for column in columns:
        is_unnamed = unnamed == [column] or column.words & word_set("index unnamed row nr no rownum")
        steps = {b - a for a, b in pairwise(column.values)}
        if is_unnamed and len(column.values) == table.rows > 1 and steps == {1.0}:
            return column
    return None


def _wide(columns: Sequence[Column], table: Table, time: TimeFound) -> Shape:
    """Rows with a column per tag."""
    index = _index(columns, table)
    source = _source_column([c for c in columns if c is not index], table, time)
    left = [c for c in columns if c is not index and (source is None or c is not source.column)]
    said: list[Said] = []
    if source is not None:
        said.append(Said("source", source.column.name, source.seen))
    if table.is_named:
        said.append(Said("columns", tuple(Said(tag, c.name) for tag, c in zip(_tags(left), left, strict=True))))
    elif index is not None:
        said.append(Said("without", [index.name], ("it only counts the rows",)))
    texts = [c.name for c in left if c.is_text]
    seen = [f"a column per tag: {len(left)} tags, of which {sum(c.is_number for c in left)} hold numbers"]
    if texts:
        seen.append(f"kept as text: {listed(texts)}")
    seen += _odd_seen([c for c in left if c.is_number])
    groups = {c.name: c.values for c in left if c.is_number}
    missing = sorted({text for c in left if c.is_number or c.odd.keys() <= {*c.missing} for text in c.missing})
    return Shape((Said("wide", tuple(said), tuple(seen)), *values_said(groups, missing, ())), source is not None)


def _tags(columns: Sequence[Column]) -> list[str]:
    """Short names for fields that are paths, where these are distinct."""
    short = [re.split(r"[.\]]", c.name)[-1] or c.name for c in columns]
    return short if len(set(short)) == len(short) else [c.name for c in columns]


def _source_column(columns: Sequence[Column], table: Table, time: TimeFound) -> Named | None:
    """A column that tells from which thing a row comes, beside columns with its values."""
    keys = time.keys()
    alone = len(set(keys))
    ranked: list[tuple[tuple[float, ...], Column, int]] = []
    for column in columns:
        is_key = column.is_text or all(v == int(v) for v in column.values)
        if len(column.texts) < table.rows or not column.repeats or not is_key or len(columns) < 2 or column.is_flag:
            continue
        together = len(set(zip(keys, column.cells, strict=True)))
        is_source, is_id = column.has(SOURCE_WORDS | {"topic"}), column.has(KEY_WORDS | {"topic"})
        needed = alone < 0.95 * table.rows and together > 0.98 * table.rows and column.is_text
        if (is_source and (is_id or column.is_text)) or needed:
            ranked.append(((is_source, is_source and is_id, together), column, together))
    if not ranked:
        return None
    _, best, together = max(ranked, key=lambda found: found[0])
    seen = [_sources_seen(best)]
    if together > alone:
        seen.append(f"{alone} different times in {table.rows} rows, {together} different times of a source")
    return Named(best, tuple(seen))


def _odd_seen(columns: Sequence[Column]) -> tuple[str, ...]:
    """Texts in columns of numbers."""
    odd = Counter({t: n for c in columns for t, n in c.odd.items() if t.lower() not in MISSING and c.is_number})
    if not odd:
        return ()
    return (f"cells among numbers that are none, {sum(odd.values())} in all, are kept as text: {listed(odd, 4)}",)
