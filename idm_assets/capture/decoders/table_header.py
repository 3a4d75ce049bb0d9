"""Names of columns: from the lines or rows that head a table, each name once.

Belongs here: what holds for every format of rows. Does not belong here: where a header stands, how its cells are read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

_UNIT: Final = re.compile(r"(?P<name>.*\S)\s*[\[(](?P<unit>[^\[\]()]*)[\])]\s*")


def column_names(
    header: Sequence[Sequence[str]], width: int, columns: Sequence[str], units: Literal["none", "in_brackets"]
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Names of the columns of a table, and the units that are given with them.

    Args:
        header: cells of the lines that name the columns; several lines are joined by a blank.
        width: number of columns.
        columns: names that are declared instead, for as many columns as there are of them.
        units: whether names end in a unit in brackets, which is not part of the name.

    Returns:
        The names, each once; a column without one is ``column_`` and its number, from 1. Units by name.
    """
    names: list[str] = []
    said: list[str] = []
    for place in range(width):
        parts = [row[place].strip() for row in header if place < len(row)]
        name = " ".join(part for part in parts if part)
        match = _UNIT.fullmatch(name) if units == "in_brackets" else None
        if match is not None:
            name = match["name"]
        if place < len(columns):
            name = columns[place]
        names.append(name or f"column_{place + 1}")
        said.append("" if match is None else match["unit"].strip())
    distinct = distinct_names(names)
    return distinct, {name: unit for name, unit in zip(distinct, said, strict=True) if unit}


def distinct_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, where one that came before gets ``#2``, ``#3`` and so on: else two columns would be one."""
    taken = set(names)
    seen: dict[str, int] = {}
    found: list[str] = []
    for name in names:
        repeats = seen[name] = seen.get(name, 0) + 1
        shown = name
        while repeats > 1 and (shown := f"{name}#{repeats}") in taken:
            repeats += 1
        if repeats > 1:
            seen[name] = repeats
            taken.add(shown)
        found.append(shown)
    return tuple(found)
