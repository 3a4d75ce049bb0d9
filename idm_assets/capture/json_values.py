"""JSON text as SQL expressions that keep numbers as they were written.

DuckDB reads a JSON number as a double and writes the shortest text that gives the same double, so ``183.050`` or
twenty digits do not come through it unchanged. A marked text has every string begin with ``s`` and every number as a
string that begins with ``n``: it can go through all JSON functions and comes back as it was.

Marking takes twenty times as long as taking a value out of a text. Where only values are wanted, `is_as_rendered` tells
whether anything would change at all, and if so `numbers_marked` leaves strings and names as they are.

Belongs here: what holds for JSON in any place. Does not belong here: the meaning of fields (`decoders`, `cleaned`).
"""

from __future__ import annotations

import re
from typing import Final

from idm_assets.sql import literal

_STRING: Final = r'"((?:[^"\\]|\\.)*)"'
_MARKED_STRING: Final = r'("s(?:[^"\\]|\\.)*")'
_NUMBER: Final = r"(-?[0-9][0-9.eE+-]*)"
# DuckDB takes these for numbers, although JSON has none such; they become strings.
_NOT_FINITE: Final = r"(-?(?i:nan|inf(?:inity)?))"
_MARKED: Final = r'"(?:s((?:[^"\\]|\\.)*)|n([^"]*))"'
# Where only numbers are marked, they become strings that begin with these characters, as JSON escapes them; delivered
# text that holds them gets a second #.
_MARK: Final = r"\u0001\u0002#"
_STRING_OR_NUMBER: Final = r'("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)'
_MEMBER_NUMBER: Final = r'(":[ \t\r\n]*)(-?[0-9][0-9.eE+-]*)'
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
    return unmarked(object_as_rendered(fields))


def object_as_rendered(fields: str) -> str:
    """SQL expression: like `object_of`, for fields of an object that was not marked.

    Args:
        fields: SQL expression.
    """
    # A null of JSON has become one of SQL.
    value = "coalesce(f.value::VARCHAR, 'null')"
    texts = f"list_transform({fields}, lambda f: concat(to_json(f.key)::VARCHAR, ':', {value}))"
    return f"('{{' || array_to_string({texts}, ',') || '}}')"


def is_as_rendered(json: str) -> str:
    """SQL condition: every number of a JSON text is written as DuckDB writes it.

    Rendering leaves out blanks between tokens and writes numbers and escapes its own way. So where the texts are the
    same without any blanks, all numbers are; where only escapes differ, the condition is false without need.

    Args:
        json: SQL expression of type VARCHAR, valid JSON.
    """
    rendered = f"json({json})::VARCHAR"
    return f"CASE WHEN {rendered} = {json} THEN true ELSE {_without_blanks(rendered)} = {_without_blanks(json)} END"


def _without_blanks(text: str) -> str:
    for code in (32, 10, 13, 9):
        text = f"replace({text}, chr({code}), '')"
    return text


def numbers_marked(json: str) -> str:
    """SQL expression: a valid JSON text whose numbers have become strings that begin with a mark.

    Args:
        json: SQL expression of type VARCHAR; text that is no JSON gives nonsense.
    """
    # Where every quote opens or closes a string, and none opens before a colon, what follows on a quote and a colon is
    # the value of a member; without lists no number stands elsewhere. That takes a fifth of the time.
    is_simple = (
        f"NOT contains({json}, '\\\"') AND NOT contains({json}, '[') AND NOT contains({json}, '\\u0001')"
        f" AND NOT regexp_matches({json}, '[:,{{\\s]\":')"
    )
    rewritten = literal(f'\\1"{_MARK.replace(chr(92), chr(92) * 2)}\\2"')
    simple = f"regexp_replace({json}, {literal(_MEMBER_NUMBER)}, {rewritten}, 'g')"
    escaped = f"replace({json}, {literal(_MARK)}, {literal(_MARK + '#')})"
    apart = f"regexp_replace({escaped}, {literal(_STRING_OR_NUMBER)}, concat('\\1', {_OPEN}, '\\2', {_CLOSE}), 'g')"
    apart = f"replace({apart}, concat({_OPEN}, {_CLOSE}), '')"
    apart = f"replace(replace({apart}, {_OPEN}, {literal(chr(34) + _MARK)}), {_CLOSE}, '\"')"
    return f"CASE WHEN {is_simple} THEN {simple} ELSE {apart} END"


def numbers_unmarked(json: str) -> str:
    """SQL expression: the inverse of `numbers_marked`.

    Args:
        json: SQL expression of type VARCHAR.
    """
    marked_number = literal(f'"{re.escape(_MARK)}(-?[0-9][^"]*)"')
    numbers = f"regexp_replace({json}, {marked_number}, '\\1', 'g')"
    return _unescaped(numbers)


def text_of_marked(json: str) -> str:
    """SQL expression: what a value of a text with marked numbers says: a string, a number as written, or JSON text.

    Args:
        json: SQL expression of type VARCHAR.
    """
    mark = literal(f'"{_MARK}')
    begin = len(_MARK) + 2
    return f"""
        CASE
            WHEN left({json}, 1) <> '"' THEN {numbers_unmarked(json)}
            WHEN starts_with({json}, {mark}) AND substring({json}, {begin}, 1) <> '#'
                THEN substring({json}, {begin}, len({json}) - {begin})
            WHEN contains({json}, '\\') THEN json_extract_string({_unescaped(json)}, '$')
            ELSE substring({json}, 2, len({json}) - 2)
        END
    """


def name_of_marked(name: str) -> str:
    """SQL expression: a name of an object as it was before numbers were marked.

    Args:
        name: SQL expression of type VARCHAR: the name, not as JSON.
    """
    unescaped = _unescaped(f"to_json({name})::VARCHAR")
    return f"CASE WHEN contains({name}, '##') THEN json_extract_string({unescaped}, '$') ELSE {name} END"


def _unescaped(json: str) -> str:
    return f"replace({json}, {literal(_MARK + '#')}, {literal(_MARK)})"
