"""JSON text as SQL expressions that keep numbers as they were written.

DuckDB reads a JSON number as a double and writes the shortest text that gives the same double, so ``183.050`` or
twenty digits do not come through it unchanged. A marked text has every string begin with ``s`` and every number as a
string that begins with ``n``: it can go through all JSON functions and comes back as it was.

Belongs here: what holds for JSON in any place. Does not belong here: the meaning of fields (`decoders`, `cleaned`).
"""

from __future__ import annotations

from typing import Final

from idm_assets.sql import literal

_STRING: Final = r'"((?:[^"\\]|\\.)*)"'
_MARKED_STRING: Final = r'("s(?:[^"\\]|\\.)*")'
_NUMBER: Final = r"(-?[0-9][0-9.eE+-]*)"
# DuckDB takes these for numbers, although JSON has none such; they become strings.
_NOT_FINITE: Final = r"(-?(?i:nan|inf(?:inity)?))"
_MARKED: Final = r'"(?:s((?:[^"\\]|\\.)*)|n([^"]*))"'
# Valid JSON has no such characters as they are, not even in strings, so what is put between them stays apart.
_OPEN, _CLOSE, _OPEN_WORD, _CLOSE_WORD = (f"chr({code})" for code in (2, 3, 4, 5))


def pointer(key: str) -> str:
    """JSON Pointer (RFC 6901) to a top-level name."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


def unquoted(json: str) -> str:
    """SQL expression: what a JSON string says, or the JSON text of anything else.

    Args:
        json: SQL expression of type VARCHAR.
    """
    return f"""
        CASE
            WHEN left({json}, 1) <> '"' THEN {json}
            WHEN contains({json}, '\\') THEN json_extract_string({json}, '$')
            ELSE substring({json}, 2, len({json}) - 2)
        END
    """


def marked(json: str) -> str:
    """SQL expression: a valid JSON text, marked.

    Args:
        json: SQL expression of type VARCHAR; text that is no JSON gives nonsense.
    """
    strings = f"""regexp_replace({json}, {literal(_STRING)}, '"s\\1"', 'g')"""
    tokens = literal(f"{_MARKED_STRING}|{_NUMBER}|{_NOT_FINITE}")
    groups = f"concat('\\1', {_OPEN}, '\\2', {_CLOSE}, {_OPEN_WORD}, '\\3', {_CLOSE_WORD})"
    apart = f"regexp_replace({strings}, {tokens}, {groups}, 'g')"
    for empty in (f"concat({_OPEN}, {_CLOSE})", f"concat({_OPEN_WORD}, {_CLOSE_WORD})"):
        apart = f"replace({apart}, {empty}, '')"
    for mark, text in ((_OPEN, '"n'), (_OPEN_WORD, '"s'), (_CLOSE, '"'), (_CLOSE_WORD, '"')):
        apart = f"replace({apart}, {mark}, {literal(text)})"
    return apart


def unmarked(json: str) -> str:
    """SQL expression: the inverse of `marked`.

    Args:
        json: SQL expression of type VARCHAR.
    """
    groups = f"concat({_OPEN}, '\\1', {_CLOSE}, '\\2', {_OPEN_WORD})"
    apart = f"regexp_replace({json}, {literal(_MARKED)}, {groups}, 'g')"
    apart = f"""replace({apart}, concat({_CLOSE}, {_OPEN_WORD}), '"')"""
    apart = f"replace({apart}, concat({_OPEN}, {_CLOSE}), '')"
    return f"""replace(replace({apart}, {_OPEN_WORD}, ''), {_OPEN}, '"')"""


def fields_of(json: str) -> str:
    """SQL expression: the names and values of a marked object as a list of structs, sorted by name.

    NULL where a name occurs twice.

    Args:
        json: SQL expression of type VARCHAR, a marked object.
    """
    return f"list_sort(map_entries(try_cast(({json})::JSON AS MAP(VARCHAR, JSON))))"


def object_of(fields: str) -> str:
    """SQL expression: the JSON text of an object with fields as `fields_of` gives them, NULL for NULL; not marked.

    Args:
        fields: SQL expression.
    """
    # A null of JSON has become one of SQL.
    value = "coalesce(f.value::VARCHAR, 'null')"
    texts = f"list_transform({fields}, lambda f: concat(to_json(f.key)::VARCHAR, ':', {value}))"
    return unmarked(f"('{{' || array_to_string({texts}, ',') || '}}')")
