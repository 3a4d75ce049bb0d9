"""What the name of a file says: glob, source, and a date, which may also stand in the lines before the header.

Belongs here: dates outside of the rows, and names. Does not belong here: times in rows (`times`), the forms that these
have (`time_forms`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from idm_assets.capture.proposal.declaration_text import quoted
from idm_assets.capture.proposal.samples import Sample

_DATES_OF_NAMES: Final = (
    (r"\d{4}-\d{2}-\d{2}", "%Y-%m-%d"), (r"\d{4}_\d{2}_\d{2}", "%Y_%m_%d"), (r"\d{4}\.\d{2}\.\d{2}", "%Y.%m.%d"),
    (r"\d{8}", "%Y%m%d"), (r"\d{2}\.\d{2}\.\d{4}", "%d.%m.%Y"), (r"\d{2}-\d{2}-\d{4}", "%d-%m-%Y"),
    (r"\d{2}_\d{2}_\d{4}", "%d_%m_%Y"),
)  # fmt: skip
"""Dates in the names of files, with their strptime patterns."""

_SUFFIXES: Final = re.compile(r"(\.[A-Za-z][A-Za-z0-9]{0,7}){1,2}$")


@dataclass(frozen=True, slots=True)
class PathSeen:
    """What follows from the name of a file.

    Attributes:
        glob: pattern of all files like it.
        suffix: its suffixes as a regular expression.
        pattern: expression over its path, where the name has a date.
        names_source: whether the expression has a group for the source.
        day: the date as text; None: there is none.
        day_format: strptime pattern of the date.
        seen: what was seen.
    """

    glob: str
    suffix: str
    pattern: str | None = None
    names_source: bool = False
    day: str | None = None
    day_format: str = ""
    seen: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Day:
    """A date outside of the rows, to which a declaration refers as ``{day}``.

    Attributes:
        format: its strptime pattern.
        origin: where it stands, for people.
        pattern: expression that finds it in the lines before the header; empty: the path says it.
    """

    format: str
    origin: str
    pattern: str = ""


def stem_of(name: str) -> str:
    """The name of a file without its suffixes."""
    found = _SUFFIXES.search(name)
    return name[: found.start()] if found and found.start() else name


def declaration_name(*texts: str) -> str:
    """The first text that has letters as the name of a declaration, without the dates in it."""
    for text in texts:
        for digits, _ in (*_DATES_OF_NAMES, (r"\d{6,}", "")):
            text = re.sub(rf"(?<!\d){digits}(?!\d)", " ", text)  # noqa: PLW2901 - bit by bit
        slug = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:50].strip("_")
        if re.search(r"[a-z]", slug):
            return slug
    return "source"


def path_seen(sample: Sample) -> PathSeen:
    """Glob, source and date, as far as the name of the file has them."""
    suffix = sample.name[len(stem_of(sample.name)) :]
    glob = f"*{suffix}" if suffix else "*"
    name = (sample.member or sample.name).rpartition("/")[2]
    stem = stem_of(name)
    within = re.escape(name[len(stem) :])
    dated = [(found, form) for digits, form in _DATES_OF_NAMES for found in _dates_in(stem, digits, form)]
    if not dated:
        return PathSeen(glob, within)
    dated.sort(key=lambda found: found[0].start())
    first, form = dated[0]
    pieces: list[str] = []
    names_source = False
    place = 0
    for match, _ in dated:
        piece, names = _piece(stem[place : match.start()], names_source=names_source)
        names_source |= names
        group = f"(?P<day>{_digits(match[0])})" if match is first else _digits(match[0])
        pieces += [piece, group]
        place = match.end()
    piece, names = _piece(stem[place:], names_source=names_source)
    pieces.append(piece)
    seen = f"the name of the file has a date, {quoted(first[0])}: it tells files of equal content apart"
    pattern = f"(?:.*/)?{''.join(pieces)}{within}"
    return PathSeen(glob, within, pattern, names_source or names, first[0], form, (seen,))


def day_outside(sample: Sample, preamble: Sequence[str]) -> Day | None:
    """A date outside of the rows: in the name of the file, else in the lines before the header."""
    named = path_seen(sample)
    if named.day is not None:
        return Day(named.day_format, f"the file's name, {quoted(named.day)}")
    for digits, form in _DATES_OF_NAMES:
        for line in preamble:
            if next(_dates_in(line, digits, form), None) is not None:
                return Day(form, f"a line before the header, {quoted(line)}", rf"\b(?P<day>{digits})\b")
    return None


def _dates_in(stem: str, digits: str, form: str) -> Iterator[re.Match[str]]:
    for match in re.finditer(rf"(?<!\d){digits}(?!\d)", stem):
        try:
            year = datetime.strptime(match[0], form).year  # noqa: DTZ007 - only asked whether it is a date
        except ValueError:
            continue
        if 1990 <= year <= 2100:
            yield match


def _digits(text: str) -> str:
    """A date as a regular expression."""
    return re.sub(r"\d+", lambda found: rf"\d{{{len(found[0])}}}", re.escape(text).replace(r"\-", "-"))


def _piece(text: str, *, names_source: bool) -> tuple[str, bool]:
    """What stands before or after a date as a regular expression; whether it is the group of the source."""
    core = text.strip("_-. ")
    if not core:
        return re.escape(text).replace(r"\-", "-"), False
    before, _, after = text.partition(core)
    inner = "[^/]*" if names_source else "(?P<source>[^/]+)"
    return f"{re.escape(before)}{inner}{re.escape(after)}".replace(r"\-", "-"), not names_source
