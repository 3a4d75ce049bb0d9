"""Paths into JSON documents, as declarations write them.

Source: RFC 9535 (JSONPath), of which names, indexes and wildcards are read: ``$.a.b``, ``$['a.b']``, ``$.a[0]``,
``$.a[*]`` for the elements of a list and ``$.a.*`` for the members of an object. To DuckDB they are given as RFC 6901
pointers, which know no wildcards; so a path is cut into pieces at its wildcards.

Belongs here: reading a path. Does not belong here: what is done with what it leads to (`decoders.json_rows`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from idm_assets.capture.json_values import pointer

MAX_STEPS: Final = 8

_SEGMENT: Final = re.compile(
    r"""
    \.(?P<members>\*)
    | \[(?P<elements>\*)\]
    | \[(?P<index>\d{1,9})\]
    | \.(?P<name>[^.\[\]*'"\s][^.\[\]]*)
    | \['(?P<single>[^']+)'\]
    | \["(?P<double>[^"]+)"\]
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """From a value to several within it.

    Attributes:
        pointer: RFC 6901 pointer to the list or object; empty: the value itself.
        of: the elements of a ``list``, or the members of an ``object``.
    """

    pointer: str
    of: Literal["list", "object"]


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A path from the root of a document.

    Attributes:
        steps: where it goes to several values.
        rest: RFC 6901 pointer to what is meant, from where the last step leads to; empty: just that.
    """

    steps: tuple[Step, ...] = ()
    rest: str = ""


def is_path(text: str) -> bool:
    """Whether a text is a path from the root, rather than a name; ``$type`` is a name."""
    return text[:1] == "$" and text[1:2] in ("", ".", "[")


def json_path(text: str) -> JsonPath:
    """Read a path that begins with ``$``.

    Raises:
        ValueError: it is none, or has more than 8 wildcards.
    """
    steps: list[Step] = []
    rest, place = "", 1
    while place < len(text) or not is_path(text):
        segment = _SEGMENT.match(text, place) if is_path(text) else None
        if segment is None:
            raise ValueError(
                f"no JSON path: {text!r} from character {place + 1} on; write for example $.values[*], $.a.b,"
                " $['a name'] or $.list[0]"
            )
        place = segment.end()
        if segment["members"] or segment["elements"]:
            steps.append(Step(rest, "object" if segment["members"] else "list"))
            rest = ""
        else:
            rest += pointer(next(part for part in segment.groups() if part is not None))
    if len(steps) > MAX_STEPS:
        raise ValueError(f"{text!r} has {len(steps)} wildcards; at most {MAX_STEPS} are read")
    return JsonPath(tuple(steps), rest)
