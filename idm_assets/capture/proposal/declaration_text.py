"""A declaration as data, and as the YAML text that loads it.

Text of a delivered file ends up in comments and scalars here: nothing in it may end a quote, a line or the file.

Belongs here: fields with what was seen, and writing them. Does not belong here: which fields there are (`proposing`,
`templates` and the recognisers).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

SCHEMA_LINE: Final = "# yaml-language-server: $schema=../schemas/sources.json"
"""What tells editors by which schema the declaration is checked."""

_WIDTH: Final = 116

Scalar = str | int | float | bool
"""A value without parts."""


@dataclass(frozen=True, slots=True)
class Said:
    """One field of a declaration.

    Attributes:
        key: its name.
        value: a scalar, a list of scalars, or more fields.
        seen: what was seen, for people; one comment each.
        state: ``in_force``, or ``suggested``: written as a comment, for people to switch on.
    """

    key: str
    value: Scalar | Sequence[Scalar] | tuple[Said, ...]
    seen: tuple[str, ...] = ()
    state: Literal["in_force", "suggested"] = "in_force"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A declaration that was found for a file.

    Attributes:
        what: what the file was recognised as, one sentence.
        name: name of the declaration.
        fields: its fields, in the order in which they are written.
    """

    what: str
    name: str
    fields: tuple[Said, ...]

    @property
    def text(self) -> str:
        """The YAML file that declares the source."""
        lines = [SCHEMA_LINE, *_comment(self.what), "sources:"]
        first, *rest = _yaml(self.fields, 4)
        return "\n".join([*lines, f"  - {first.strip()}", *rest]) + "\n"


@dataclass(frozen=True, slots=True)
class Unrecognised:
    """Nothing sensible was found.

    Attributes:
        why: what was looked for and what was found instead.
        template: the declaration that comes closest, as YAML to fill in; empty: none would do.
    """

    why: str
    template: str = ""


def _yaml(fields: Iterable[Said], indent: int) -> Iterator[str]:
    for said in fields:
        margin = " " * indent
        yield from (margin + line for seen in said.seen for line in _comment(seen, _WIDTH - indent))
        head = f"{margin}{'# ' if said.state == 'suggested' else ''}{_scalar(said.key)}:"
        inner = _fields_of(said.value)
        if inner is None:
            yield f"{head} {_inline(said.value)}"
        elif not inner:
            yield f"{head} {{}}"
        elif said.state == "suggested":
            yield f"{head} {{{', '.join(f'{_scalar(f.key)}: {_inline(f.value)}' for f in inner)}}}"
        else:
            yield head
            yield from _yaml(inner, indent + 2)


def _fields_of(value: object) -> tuple[Said, ...] | None:
    """The fields that a value consists of; None if it is a scalar or a list of scalars."""
    if isinstance(value, tuple):
        inner = tuple(part for part in value if isinstance(part, Said))  # pyright: ignore[reportUnknownVariableType]
        return inner if len(inner) == len(value) else None  # pyright: ignore[reportUnknownArgumentType]
    return None


def _inline(value: object) -> str:
    if isinstance(value, str | int | float):
        return _scalar(value)
    assert isinstance(value, Sequence), "what is no scalar is a list here"
    return f"[{', '.join(map(_inline, value))}]"  # pyright: ignore[reportUnknownArgumentType]


def _scalar(value: Scalar) -> str:
    """A scalar in the core schema of YAML 1.2."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(int(value) if value == int(value) else value)
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*", value) and value.lower() not in _YAML_WORDS:
        return value
    if "\\" in value and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    return f'"{_escaped(value)}"'


_YAML_WORDS: Final = frozenset({"null", "true", "false"})


def _escaped(text: str) -> str:
    """Text within double quotes: nothing in it can end them, the line or the file."""
    special = {'"': '\\"', "\\": "\\\\", "\t": "\\t"}
    return "".join(special.get(c) or (c if c.isprintable() else f"\\U{ord(c):08x}") for c in text)


def quoted(text: str, limit: int = 40) -> str:
    """Text of a file as a comment may show it."""
    return f'"{_escaped(text[:limit])}{"..." if len(text) > limit else ""}"'


def listed(texts: Iterable[str], limit: int = 6) -> str:
    """Some texts of a file as a comment may show them."""
    found = list(texts)
    return ", ".join(quoted(text) for text in found[:limit]) + (
        f" and {len(found) - limit} more" * (len(found) > limit)
    )


def _comment(text: str, width: int = _WIDTH) -> list[str]:
    """A sentence as lines of comments; nothing in it can end a line."""
    text = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    lines: list[str] = []
    for word in text.split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"# {word}")
    return lines
