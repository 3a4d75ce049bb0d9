"""JSON that goes through DuckDB and comes back with its numbers as they were written."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture.json_values import (
    fields_of,
    is_as_rendered,
    marked,
    name_of_marked,
    numbers_marked,
    numbers_unmarked,
    object_as_rendered,
    object_of,
    pointer,
    text_of_marked,
    unmarked,
)


class Number(str):
    """A JSON number by its text."""

    __slots__ = ()


def read(text):
    """What Python's reader finds, numbers as their texts."""
    return json.loads(text, parse_float=Number, parse_int=Number)


def ask(con, expression, text):
    return con.execute(f"SELECT {expression} FROM (SELECT ?::VARCHAR AS x)", [text]).fetchall()[0][0]


def rewritten(con, text):
    return ask(con, object_of(fields_of(marked("x"))), text)


@pytest.mark.parametrize(
    "number",
    [
        "183.050",
        "-0",
        "0.10",
        "12345678901234567890123",
        "9223372036854775808",
        "1e400",
        "1E+5",
        "0.1234567890123456789",
    ],
)
def test_numbers_keep_their_text_wherever_they_are(con, number):
    text = f'{{"b": {number}, "a": [{number}, {{"c":{number}}}], "t": "{number}"}}'
    assert rewritten(con, text) == f'{{"a":[{number},{{"c":{number}}}],"b":{number},"t":"{number}"}}'


def test_names_are_sorted_and_blanks_between_tokens_go(con):
    assert rewritten(con, '{ "b" : 1 ,\t"" : null, "a~/b":true,"B":[ ]}') == '{"":null,"B":[],"a~/b":true,"b":1}'
    assert rewritten(con, "{}") == "{}"


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "nan", "-inf", "INF"])
def test_what_is_no_number_of_json_becomes_a_text(con, word):
    assert (
        rewritten(con, f'{{"a":{word},"b":[{word}],"c":"{word}"}}') == f'{{"a":"{word}","b":["{word}"],"c":"{word}"}}'
    )


@pytest.mark.parametrize(
    "said", ['"', "\\", 's"n1', "n12", "\u0002\u0003", "\x7f", "é😀", "null", "{}", '"n"', 'x\\"n\\"', "\u0000", "'"]
)
def test_strings_keep_what_they_say(con, said):
    text = json.dumps({said: said, "l": [said]})
    assert json.loads(rewritten(con, text)) == json.loads(text)


def test_a_name_that_occurs_twice_gives_nothing(con):
    assert rewritten(con, '{"a":1,"a":1}') is None
    assert rewritten(con, '{"a":{"b":1,"b":2}}') == '{"a":{"b":1,"b":2}}', "only top-level names are looked at"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    said=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), JSON, max_size=6),
    indent=st.sampled_from([None, 1]),
)
def test_objects_come_back_as_they_were(con, said, indent):
    text = json.dumps(said, indent=indent, ensure_ascii=indent is None).replace("\n", "\t")
    found = rewritten(con, text)
    assert read(found) == read(text)
    assert rewritten(con, found) == found
    assert [*read(found)] == sorted(read(text), key=lambda name: name.encode())
    assert read(ask(con, unmarked(marked("x")), text)) == read(text)


@pytest.mark.parametrize("text", ['{"a":' + "[" * 200_000 + "]" * 200_000 + "}", '{"a":"' + '\\"' * 200_000 + '"}'])
def test_deep_or_long_values_are_taken_in_their_stride(con, text):
    assert rewritten(con, text) == text


def test_an_object_of_many_names_takes_no_longer_than_it_is_long(con):
    many = "{" + ",".join(f'"k{n:05}":{n}' for n in range(30_000)) + "}"
    assert rewritten(con, many) == many


@pytest.mark.parametrize(("key", "path"), [("a", "/a"), ("a/b~c", "/a~1b~0c"), ("", "/")])
def test_pointers_are_escaped(con, key, path):
    assert pointer(key) == path
    assert con.execute("SELECT json_extract_string(?, ?)", [json.dumps({key: "here"}), path]).fetchall() == [("here",)]


# Where only numbers are marked


@pytest.mark.parametrize(
    ("text", "is_same"),
    [
        ('{"a":1.5,"b":"x"}', True),
        ('{ "a" : 1.5,\n\t"b": "x y" }', True),
        ('{"a":1.50}', False),
        ('{"a":[1e3]}', False),
        ('{"a":-0}', False),
        ('{"a":0.0000001}', False),
        ('{"a":123456789012345678901234567890}', True),
        ('{"a":"\\u00b0"}', False),
    ],
)
def test_it_is_known_which_numbers_are_rendered_as_they_are_written(con, text, is_same):
    assert ask(con, is_as_rendered("x"), text) is is_same


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1.50,"b":"x","c":true}',
        '{"a": 1.50 , "b":\n-0}',
        '{"a":[1.50,-0,{"b":2.00}],"c":null}',
        '{"a":": 1.50","b":1.50}',
        '{"a:":1.50,":b":2.50,"\\":":3.50}',
        '{"a":"say \\": 1.50\\"","b":1.50}',
        '{"a":"\\u0001\\u0002#1.50","b":1.50,"c":"\\\\u0001\\u0002#"}',
        '{"\\u0001\\u0002#a":"1.50","b":1.50}',
        "[1.50]",
        '{"a":{"b":1.50}}',
    ],
)
def test_marked_numbers_come_back_and_nothing_else_changes(con, text):
    back = ask(con, numbers_unmarked(f"json({numbers_marked('x')})::VARCHAR"), text)
    assert [*read(back)] == [*read(text)]
    assert read(back) == read(text)
    assert numbers(back) == numbers(text)


def numbers(text):
    """All numbers of a text, as they are written."""
    found = []
    json.loads(text, parse_float=found.append, parse_int=found.append)
    return found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("1.50", "1.50"),
        ("-0", "-0"),
        ('"1.50"', "1.50"),
        ('"s"', "s"),
        ('""', ""),
        ('"\\u0001\\u0002#5"', "\u0001\u0002#5"),
        ('"\\u0001\\u0002##5"', "\u0001\u0002##5"),
        ('"\\\\u0001\\u0002#5"', "\\u0001\u0002#5"),
        ('"a\\"b"', 'a"b'),
        ('[1.50,"x"]', '[1.50,"x"]'),
        ("true", "true"),
    ],
)
def test_the_text_of_a_value_is_what_it_says(con, value, said):
    value_of = f"json_extract({numbers_marked('x')}, '/a')::VARCHAR"
    assert ask(con, text_of_marked(value_of), f'{{"a":{value}}}') == said


@pytest.mark.parametrize("name", ["a", "##", "\u0001\u0002#", "\u0001\u0002##a"])
def test_names_are_read_through_the_mark(con, name):
    key = f"json_keys({numbers_marked('x')})[1]"
    assert ask(con, name_of_marked(key), json.dumps({name: 1.5})) == name


@settings(max_examples=60, deadline=None)
@given(
    said=st.dictionaries(st.text(max_size=5), JSON, max_size=6), escape=st.booleans(), indent=st.sampled_from([None, 1])
)
def test_marking_numbers_loses_nothing(con, said, escape, indent):
    text = json.dumps(said, indent=indent, ensure_ascii=escape).replace(".5", ".50")
    try:
        text.encode()
        duckdb_reads = ask(con, "json_valid(x)", text)
    except UnicodeEncodeError:
        return
    if not duckdb_reads:
        return
    back = ask(con, numbers_unmarked(f"json({numbers_marked('x')})::VARCHAR"), text)
    assert read(back) == read(text)
    assert numbers(back) == numbers(text)
    if ask(con, is_as_rendered("x"), text):
        assert numbers(ask(con, "json(x)::VARCHAR", text)) == numbers(text)
        assert ask(con, object_as_rendered(fields_of("x")), text) == rewritten(con, text)
