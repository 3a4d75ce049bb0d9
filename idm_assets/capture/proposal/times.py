"""Which fields say the time of a row, and in which form.

Belongs here: judging columns by their names and texts. Does not belong here: the forms themselves (`time_forms`), the
date outside of the rows (`paths`), reading times (`capture.time_reading`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Literal

import duckdb

from idm_assets.capture.proposal.declaration_text import listed, quoted
from idm_assets.capture.proposal.paths import Day
from idm_assets.capture.proposal.tables import Column, Table
from idm_assets.capture.proposal.time_forms import EPOCH_SECONDS, ISO, in_order, patterns_of
from idm_assets.capture.proposal.vocabulary import SECOND_TIME_WORDS, TIME_WORDS
from idm_assets.capture.time_reading import TimeReading, timed

_TEXTS_JUDGED: Final = 2_000

_MIDNIGHTS: Final = (" 00:00:00", "T00:00:00", " 00:00:00.000", "T00:00:00.000")


@dataclass(frozen=True, slots=True)
class ColumnTime:
    """What a column says of the time of its rows.

    Attributes:
        column: the column.
        kind: an instant, a date, or a time of day.
        format: as `TimeReading` has it; of a time of day, a strptime pattern.
        share: share of the different texts that are of this format.
        is_zoned: whether all texts carry their zone.
        seen: what was seen.
    """

    column: Column
    kind: Literal["instant", "date", "time"]
    format: str
    share: float
    is_zoned: bool = False
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TimeFound:
    """How the time of a row is read.

    Attributes:
        fields: fields that say it.
        format: as `TimeReading` has it.
        columns: columns among the fields.
        is_zoned: whether all times carry their zone.
        seen: why these fields.
        form_seen: why this format.
    """

    fields: tuple[str, ...]
    format: str
    columns: tuple[Column, ...]
    is_zoned: bool
    seen: tuple[str, ...] = ()
    form_seen: tuple[str, ...] = ()

    def keys(self) -> list[tuple[str | None, ...]]:
        """What each row of the sample says of its time."""
        return list(zip(*(column.cells for column in self.columns), strict=True))


def time_found(table: Table, day: Day | None) -> TimeFound | None:
    """The time of the rows; None where no field says it."""
    filled = [c for c in table.columns if len(c.texts) >= 0.9 * max(1, table.rows)]
    times = [found for column in filled if (found := time_of(column)) is not None]
    if any(found.kind == "time" for found in times):
        times = [_as_date(found) for found in times]
    by_kind = {kind: [t for t in times if t.kind == kind] for kind in ("instant", "date", "time")}
    if by_kind["instant"]:
        best = max(by_kind["instant"], key=_preference)
        others = [t.column.name for t in by_kind["instant"] if t is not best]
        seen = (f"other times in a row: {listed(others)}; they are tags like any other",) if others else ()
        return TimeFound((best.column.name,), best.format, (best.column,), best.is_zoned, seen, best.seen)
    if by_kind["time"]:
        of_day = max(by_kind["time"], key=_preference)
        if by_kind["date"]:
            return _joined(max(by_kind["date"], key=_preference), of_day)
        if day is not None:
            return _with_day(day, of_day)
    if by_kind["date"]:
        date = max(by_kind["date"], key=_preference)
        form = "date" if date.format == "%Y-%m-%d" else date.format
        seen = ("a date without a time of day",)
        return TimeFound((date.column.name,), form, (date.column,), is_zoned=False, seen=seen, form_seen=date.seen)
    return None


def _as_date(found: ColumnTime) -> ColumnTime:
    """What looks like instants but are midnights is a date, where a time of day stands beside it."""
    midnights = {text[10:] for text in found.column.distinct}
    if found.kind == "instant" and found.format == "iso" and len(midnights) == 1 and midnights <= {*_MIDNIGHTS}:
        return replace(found, kind="date", format=f"%Y-%m-%d{midnights.pop()}")
    return found


def _with_day(day: Day, of_day: ColumnTime) -> TimeFound:
    seen = (
        f"the rows have a time of day only; the date is that of {day.origin}",
        "a row after midnight would be taken for one of the same date: check files that run over it",
    )
    form = _joined_format(day.format, of_day.format)
    fields = ("{day}", of_day.column.name)
    return TimeFound(fields, form, (of_day.column,), is_zoned=False, seen=seen, form_seen=of_day.seen)


def _joined(date: ColumnTime, of_day: ColumnTime) -> TimeFound:
    fields = (date.column.name, of_day.column.name)
    form = _joined_format(date.format, of_day.format)
    seen = ("date and time of day stand in two columns, which are joined by a blank",)
    form_seen = (*date.seen, *of_day.seen)
    return TimeFound(fields, form, (date.column, of_day.column), is_zoned=False, seen=seen, form_seen=form_seen)


def _joined_format(date: str, of_day: str) -> str:
    is_iso = date == "%Y-%m-%d" and of_day in ("%H:%M:%S", "%H:%M:%S.%f")
    return "iso" if is_iso else f"{date} {of_day}"


def _preference(found: ColumnTime) -> tuple[float, ...]:
    """Names that speak of time come first, then what all rows have, then what has changed most often."""
    is_second = found.column.has(SECOND_TIME_WORDS)
    changes = len(found.column.distinct) / max(1, len(found.column.texts))
    return found.column.has(TIME_WORDS), not is_second, found.share, changes > 0.5, found.column.is_instant


def time_of(column: Column) -> ColumnTime | None:
    """What a column says of the time; None if it says nothing of it."""
    texts = column.distinct[:_TEXTS_JUDGED]
    if column.is_instant:
        return ColumnTime(column, "instant", "iso", 1.0, is_zoned=True)
    iso = [found for text in texts if (found := ISO.fullmatch(text))]
    if len(iso) >= 0.9 * len(texts) and iso:
        return _iso_time(column, texts, iso)
    is_digits = all(re.fullmatch(r"-?\d+([.,]\d*)?", text) for text in texts)
    if is_digits and (epoch := _epoch(column)):
        return epoch
    found = _formed(column, texts)
    if found is None or not is_digits or found.kind == "instant":
        return found
    # Digits of a date or a time of day alone may be anything, unless a name says that they are a time.
    return found if column.has(TIME_WORDS) or column.is_unnamed else None


def _iso_time(column: Column, texts: Sequence[str], iso: Sequence[re.Match[str]]) -> ColumnTime:
    zoned = sum(1 for found in iso if found["zone"])
    seen: list[str] = []
    if 0 < zoned < len(iso):
        seen.append(f"{len(iso) - zoned} of {len(iso)} different times carry no zone, the others do")
    if len(iso) < len(texts):
        seen.append(_unfit(texts, (text for text in texts if not ISO.fullmatch(text))))
    return ColumnTime(column, "instant", "iso", len(iso) / len(texts), zoned == len(iso), tuple(seen))


def _unfit(texts: Sequence[str], unfit: Iterable[str]) -> str:
    found = list(unfit)
    return f"of another form, so kept out, are {len(found)} of {len(texts)} different times: {listed(found, 3)}"


def _epoch(column: Column) -> ColumnTime | None:
    """Numbers since 1970, told by their magnitude."""
    if not column.values or not (column.has(TIME_WORDS) or column.name.lower() in ("t", "0", "column_1")):
        return None
    low, high = min(column.values), max(column.values)
    for form, power in (("epoch_s", 0), ("epoch_ms", 3), ("epoch_us", 6), ("epoch_ns", 9)):
        first, last = (second * 10**power for second in EPOCH_SECONDS)
        if first <= low and high <= last:
            begin = datetime.fromtimestamp(low / 10**power, UTC).date()
            seen = (f"told by the magnitude of the numbers: the first would be of {begin}",)
            return ColumnTime(column, "instant", form, 1.0, is_zoned=True, seen=seen)
    return None


def _formed(column: Column, texts: Sequence[str]) -> ColumnTime | None:
    """Times of one of the forms that `time_forms` lists."""
    if not any(patterns_of(text) for text in texts[:20]):
        return None
    fits = Counter(pattern for text in texts for pattern in patterns_of(text))
    most = max(fits.values(), default=0)
    if most < 0.9 * len(texts):
        return None
    order = {pattern: place for place, pattern in enumerate(in_order(fits))}
    best = sorted((pattern for pattern, count in fits.items() if count == most), key=order.__getitem__)
    chosen, seen = _least_jumps(column, best) if len(best) > 1 else (best[0], ())
    seen += _day_first_seen(chosen, fits, texts) if len(best) == 1 else ()
    if most < len(texts):
        seen += (_unfit(texts, (text for text in texts if chosen not in patterns_of(text))),)
    has_date, has_time = "%d" in chosen, "%M" in chosen
    kind = "instant" if has_date and has_time else "date" if has_date else "time"
    return ColumnTime(column, kind, chosen, most / len(texts), "%z" in chosen or chosen.endswith(("Z", " UTC")), seen)


def _least_jumps(column: Column, patterns: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Of several patterns that fit alike, the one by which rows follow each other most closely."""
    jumps: dict[str, float] = {}
    texts = column.texts[:_TEXTS_JUDGED]
    for pattern in patterns:
        instants = _parsed(texts, pattern)
        read = [instant for instant in instants if instant is not None]
        if len(read) == len(texts):
            jumps[pattern] = float(sum(abs(b - a) for a, b in pairwise(read)))
    if not jumps:
        return patterns[0], ()
    chosen = min(jumps, key=lambda pattern: jumps[pattern])
    others = [pattern for pattern in patterns if pattern != chosen]
    first = column.texts[0]
    doubt = f"AMBIGUOUS: {quoted(first)} may also be {listed(others, 4)}, as no number is over 12"
    return chosen, (
        f"{doubt}; by this one rows follow each other most closely, or it is the more common one: check it",
    )


def _day_first_seen(chosen: str, fits: Mapping[str, int], texts: Sequence[str]) -> tuple[str, ...]:
    """Why the day is told from the month."""
    swapped = chosen.translate(str.maketrans("md", "dm"))
    if swapped == chosen or not re.match(r"%[md][/.\-]%[md]", chosen):
        return ()
    over = len(texts) - fits.get(swapped, 0)
    first = "the day comes first" if chosen.startswith("%d") else "the month comes first"
    return (f"{first}: {over} of {len(texts)} different texts would be no date otherwise",)


def _parsed(texts: Sequence[str], pattern: str) -> list[int | None]:
    """Microseconds since 1970 of texts, as the decoder reads them."""
    given = "SELECT unnest(range(len($texts))) AS place, unnest($texts) AS said"
    query = timed(given, "said", None, TimeReading(field="said", format=pattern), "UTC")
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        rows = con.execute(f"SELECT epoch_us(ts) FROM ({query}) ORDER BY place", {"texts": list(texts)}).fetchall()
    return [row[0] for row in rows]
