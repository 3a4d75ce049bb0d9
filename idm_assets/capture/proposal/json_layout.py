"""Where rows are in JSON documents, and which fields they have.

Belongs here: lists, entries and names in documents. Does not belong here: reading documents
(`capture.decoders.json_documents`), what rows mean (`row_meaning`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from idm_assets.capture.decoders.json_documents import Json
from idm_assets.capture.proposal.declaration_text import Said, listed
from idm_assets.capture.proposal.tables import COLUMNS_JUDGED

DOCUMENTS_JUDGED: Final = 2_000
"""Documents that are looked at of a file of JSON."""


@dataclass(frozen=True, slots=True)
class JsonSeen:
    """Where rows are in documents.

    Attributes:
        said: options of the format.
        names: fields of a row.
    """

    said: tuple[Said, ...]
    names: tuple[str, ...]


def json_layout(objects: Sequence[dict[str, Json]]) -> JsonSeen:
    """Rows are the documents, or the deepest lists of objects in them, or the members of an object whose names vary."""
    rows: list[Json] = list(objects)
    way, names = "$", list[str]()
    while (inner := _list_within(rows)) is not None:
        # What stands around the list belongs to each of its items.
        names += [f"{way}{_member(path)}" for path in _scalars(rows) if path != inner]
        way += f"{_member(inner)}[*]"
        rows = [item for row in rows for item in _list_at(row, inner)][: 4 * DOCUMENTS_JUDGED]
    said = () if way == "$" else (Said("items", way, (f"{len(rows)} items in {len(objects)} documents",)),)
    entries = _varying(rows)
    if entries is None:
        return JsonSeen(said, tuple(dict.fromkeys([*_scalars(rows), *names])))
    path, found = entries
    seen = (f"the names in it differ from row to row, {len(found)} in all: {listed(found, 4)}",)
    inner_names = [name for name in _scalars(rows) if name != path and not name.startswith(f"{path}.")]
    members = [found for row in rows for found in _members_at(row, path).values()]
    values = [f"value.{name}" for name in _scalars(members)] or ["value"]
    return JsonSeen((*said, Said("entries", path, seen)), tuple(dict.fromkeys(["key", *values, *inner_names, *names])))


def _scalars(rows: Sequence[Json], limit: int = COLUMNS_JUDGED) -> list[str]:
    """Dotted names of all scalars in rows; of a row that is a list, its places."""
    found: dict[str, None] = {}
    for row in rows:
        for name in _names_in(row):
            found.setdefault(name)
        if len(found) >= limit:
            break
    return list(found)[:limit]


def _names_in(value: Json, prefix: str = "", depth: int = 8) -> Iterator[str]:
    members: Iterable[tuple[str, Json]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list) and not prefix:
        members = ((str(place), item) for place, item in enumerate(value[:20]))
    for name, inner in members:
        full = f"{prefix}{name}"
        if isinstance(inner, dict) and depth:
            yield from _names_in(inner, f"{full}.", depth - 1)
        elif inner is not None and len(full) <= 200 and name:
            yield full


def _list_within(rows: Sequence[Json]) -> str | None:
    """Dotted name of a list of objects or lists that most rows have; the first one."""
    count: Counter[str] = Counter()
    for row in rows[:DOCUMENTS_JUDGED]:
        count.update(_lists_in(row))
    name, found = count.most_common(1)[0] if count else ("", 0)
    return name if found >= 0.5 * min(len(rows), DOCUMENTS_JUDGED) else None


def _lists_in(value: Json, prefix: str = "", depth: int = 6) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if isinstance(inner, dict) and depth:
            yield from _lists_in(inner, f"{prefix}{name}.", depth - 1)
        elif isinstance(inner, list) and inner and all(isinstance(item, dict | list) for item in inner):
            yield f"{prefix}{name}"


def _list_at(row: Json, path: str) -> list[Json]:
    found = _at(row, path)
    return found if isinstance(found, list) else []


def _members_at(row: Json, path: str) -> dict[str, Json]:
    found = _at(row, path)
    return found if isinstance(found, dict) else {}


def _at(row: Json, path: str) -> Json:
    for name in path.split("."):
        row = row.get(name) if isinstance(row, dict) else None
    return row


def _member(path: str) -> str:
    """A dotted name as a piece of a JSON path."""
    parts = path.split(".")
    quoted = (p if re.fullmatch(r"[A-Za-z_]\w*", p) else None for p in parts)
    return "".join(f".{q}" if q else f"['{part}']" for q, part in zip(quoted, parts, strict=True))


def _varying(rows: Sequence[Json]) -> tuple[str, list[str]] | None:
    """Dotted name of an object whose members differ from row to row, with their names."""
    paths = {path for row in rows[:200] for path in _objects_in(row)}
    for path in sorted(paths, key=lambda p: (p.count("."), p)):
        members = [set(found) for row in rows if (found := _members_at(row, path))]
        names = set[str]().union(*members)
        mean = sum(map(len, members)) / max(1, len(members))
        if len(members) >= 0.5 * len(rows) > 1 and len(names) >= 5 and mean < 0.5 * len(names):
            return path, sorted(names)
    return None


def _objects_in(value: Json, prefix: str = "", depth: int = 4) -> Iterator[str]:
    if isinstance(value, dict) and depth:
        for name, inner in value.items():
            if isinstance(inner, dict) and inner:
                yield f"{prefix}{name}"
                yield from _objects_in(inner, f"{prefix}{name}.", depth - 1)
