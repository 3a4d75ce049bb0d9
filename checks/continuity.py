"""Continuity: days on which a source was expected to say something and did not.

A source is expected on every day from the first it was heard to the last on which anything of its plant was heard,
unless its declaration says that it is irregular. A missing day is a warning: the machine may have been off, or its
file may be lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, timedelta

from checks.finding import Finding
from resources.ledger import DayInput


def check_continuity(
    inputs: Iterable[DayInput], irregular: Mapping[str, AbstractSet[str]], today: date, lateness: int
) -> Finding:
    """Find the silent days.

    Args:
        inputs: rows per source and event day.
        irregular: sources that are not expected every day, by plant.
        today: UTC day; days within ``lateness`` days of it may still get their data.
        lateness: days that data may take to arrive.
    """
    heard: dict[tuple[str, str], set[date]] = defaultdict(set)
    for row in inputs:
        if row.source not in irregular.get(row.plant, frozenset()):
            heard[row.plant, row.source].add(row.day)
    last: dict[str, date] = {}
    for (plant, _), days in heard.items():
        last[plant] = max(last.get(plant, date.min), *days)
    settled = today - timedelta(days=lateness)
    rows: list[tuple[str, str, int, str]] = []
    for (plant, source), days in sorted(heard.items()):
        missing = _missing(days, min(last[plant], settled))
        if missing:
            rows.append((plant, source, len(missing), _ranges(missing)))
    expected = sum((last[plant] - min(days)).days + 1 for (plant, _), days in heard.items())
    total = sum(row[2] for row in rows)
    return Finding(
        passed=not rows,
        summary=f"{len(heard)} sources, {expected} expected days, {total} without data",
        numbers={"sources": len(heard), "expected_days": expected, "silent_days": total},
        header=("plant", "source", "silent days", "which"),
        rows=rows[:60],
    )


def _missing(days: set[date], until: date) -> list[date]:
    first = min(days)
    span = (first + timedelta(days=ahead) for ahead in range((until - first).days + 1))
    return [day for day in span if day not in days]


def _ranges(days: list[date]) -> str:
    texts: list[str] = []
    start = before = days[0]
    for day in [*days[1:], date.max]:
        if day != before + timedelta(days=1):
            texts.append(f"{start}" if start == before else f"{start} to {before}")
            start = day
        before = day
    return ", ".join(texts)
