import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from idm_assets.capture.decoders import json_documents
from idm_assets.capture.decoders.json_documents import (
    DOCUMENT_TOO_LARGE,
    INVALID_UTF8,
    JSON_INVALID,
    NESTED_TOO_DEEP,
    PAYLOAD_BYTES,
    REPEATED_NAME,
    BrokenDocument,
    DocumentLimits,
    Written,
    as_json,
    documents,
    element_outlines,
    elements,
    outlines,
)

BOM = b"\xef\xbb\xbf"
ON_FILES = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Rebuilt:
    """An outline that keeps everything, so that it can be compared with what the parser says."""

    def text(self, text):
        return ("text", text)

    def scalar(self, token):
        return ("scalar", token.decode())

    def of_list(self, items):
        return ("list", items)

    def of_object(self, members):
        return ("object", members)


def rebuilt(value):
    match value:
        case None | bool():
            return ("scalar", json.dumps(value))
        case Written():
            return ("scalar", str(value))
        case str():
            return ("text", value)
        case list():
            return ("list", [rebuilt(item) for item in value])
    return ("object", {name: rebuilt(member) for name, member in value.items()})


def finite(kept):
    """NaN and Infinity are text to the parser and words to the outline."""
    kind, content = kept
    if kind == "list":
        return kind, [finite(item) for item in content]
    if kind == "object":
        return kind, {name: finite(member) for name, member in content.items()}
    return ("text", content) if content in ("NaN", "Infinity", "-Infinity") else kept


@pytest.fixture
def split(tmp_path):
    """Split a text, and see that the outlines, which share nothing with it, find the same documents."""
    path = tmp_path / "documents.json"

    def both(text, way=documents, limits=None):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        found = list(way(path, limits))
        outlined = {documents: outlines, elements: element_outlines}[way]
        kept = [None if k is None else finite(k) for k in outlined(path, Rebuilt(), limits)]
        assert kept == [None if isinstance(d, BrokenDocument) else rebuilt(d.value) for d in found]
        return found

    return both


def values(found):
    return [document.reason if isinstance(document, BrokenDocument) else document.value for document in found]


A, B, C = {"a": "1"}, {"b": ["2", "3"]}, {"c": {"d": "}]"}}


@pytest.mark.parametrize("way", [documents, elements])
@pytest.mark.parametrize(
    "text",
    [
        '{"a":"1"}\n{"b":["2","3"]}\n{"c":{"d":"}]"}}',
        '{"a":"1"}\r\n\r\n{"b":["2","3"]}\r\n{"c":{"d":"}]"}}\r\n',
        '{"a":"1"}{"b":["2","3"]} {"c":{"d":"}]"}}',
        BOM + b'{"a":"1"}\n' + BOM + b'{"b":["2","3"]}\n{"c":{"d":"}]"}}' + BOM,
        "\n".join(json.dumps(document, indent=2) for document in (A, B, C)),
    ],
    ids=["lines", "crlf", "one after another", "byte-order marks", "pretty"],
)
def test_documents_follow_each_other_in_any_layout(split, way, text):
    assert values(split(text, way)) == [A, B, C]


@pytest.mark.parametrize("indent", [None, 0, 2])
def test_a_list_is_one_document_or_its_elements_are(split, indent):
    text = json.dumps([A, [B], C], indent=indent)
    assert values(split(text)) == [[A, [B], C]]
    assert values(split(text + text, elements)) == [A, [B], C, A, [B], C]


@pytest.mark.parametrize("text", ["", " \r\n\t", BOM, "[]"])
def test_nothing_is_no_element(split, text):
    assert split(text, elements) == []


def test_a_document_knows_its_line_and_text(split):
    found = split('\n{"a":1}\n\n{\n"b":\n2}  {"c":3}\n')
    assert [(d.line, d.text) for d in found] == [(2, '{"a":1}'), (4, '{\n"b":\n2}'), (6, '{"c":3}')]


def test_numbers_stay_as_they_were_written_and_words_for_others_are_text(split):
    text = '{"a":[1.50,1e400,-0,12345678901234567890123,NaN,-Infinity,"7"]}'
    (document,) = split(text)
    assert document.value["a"] == ["1.50", "1e400", "-0", "12345678901234567890123", "NaN", "-Infinity", "7"]
    assert [isinstance(item, Written) for item in document.value["a"]] == [True] * 4 + [False] * 3
    assert as_json(document.value) == text.replace("NaN,-Infinity", '"NaN","-Infinity"')


@pytest.mark.parametrize(
    "broken",
    [
        '{"a": ...}', '{"a":1,}', "{a:1}", '{"a" 1}', '{"a":01}', '{"a":+1}', '{"a":1.}', '{"a":"\t"}', '{"a":"\\x"}',
        '{"a":-NaN}', '{"a":nul}', '{"a":1 2}', "[,]", "[1,]", '{"a":\x0b1}', '{"a":1\0}', '{"\\u12g4":1}',
        '{"a":"b":1}', '{:1}', '{1:1}', '[1:2]', '{"a":[}', '[1}', '{"a":"', '{"a":"\\', '{"a":{"b":1}', "{",
        '{"a":\xa01}', '["a"b]',
    ],
)  # fmt: skip
def test_a_broken_line_costs_no_other_line(split, broken):
    for way in (documents, elements) if broken[0] == "{" else (documents,):
        found = split(f'{{"x":1}}\n{broken}\n{{"y":2}}\n', way)
        assert values(found) == [{"x": "1"}, JSON_INVALID, {"y": "2"}]
        assert (found[1].line, found[1].payload.rstrip("\n")) == (2, broken)
        assert f"line {found[1].line}" in found[1].detail


@pytest.mark.parametrize("between", ["1", '"a"', "null", "}", "]", ",", "x", "\xa0", "\0"])
def test_what_is_no_document_is_rejected_up_to_the_next_line_of_one(split, between):
    for way in (documents, elements):
        found = split(f'{{"x":1}} {between} {{"lost":1}}\n\n  {{"lost":2}}\n{{"y":2}}', way)
        assert values(found) == [{"x": "1"}, JSON_INVALID, {"y": "2"}]
        assert found[1].payload.startswith(between)
        assert "lost" in found[1].payload


def test_what_follows_a_document_with_wrong_text_in_right_brackets_stands(split):
    assert values(split('{"a": ...} {"b":1}')) == [JSON_INVALID, {"b": "1"}]
    assert values(split('[{"a": ...}, {"b":1}]', elements)) == [JSON_INVALID, {"b": "1"}]


def test_brackets_that_close_by_chance_do_not_hide_the_documents_within(split):
    assert values(split('{"a": {"b": 1}\n{"c":2}\n{"d":3}}\n{"e":4}')) == [
        JSON_INVALID, {"c": "2"}, {"d": "3"}, JSON_INVALID, {"e": "4"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[\n{"a":"1"},\n{"x":\n{"b":["2","3"]},\n{"c":{"d":"}]"}}\n]', [A, JSON_INVALID, B, C]),
        ('[{"a":"1"}\n{"b":["2","3"]}\n{"c":{"d":"}]"}}', [A, JSON_INVALID, B, C]),
        ('[{"a":"1"},\n[{"b":["2","3"]}]\n{"c":{"d":"}]"}}', [A, [B], JSON_INVALID, C]),
        ('[{"a":"1"}', [A, JSON_INVALID]),
        ('[{"a":"1"},', [A, JSON_INVALID]),
        ("[", [JSON_INVALID]),
        ('[{"a":"1"},]\n{"b":["2","3"]}', [A, JSON_INVALID, B]),
        ('[{"a":"1"} {"x":1}]\n[{"b":["2","3"]}]', [A, JSON_INVALID, B]),
        ("[1, 2]\n" + '{"a":"1"}', [JSON_INVALID, A]),
    ],
)
def test_a_broken_list_costs_no_element_that_has_a_line_of_its_own(split, text, expected):
    assert values(split(text, elements)) == expected


def test_a_list_that_is_one_document_gives_its_lines_when_it_is_broken(split):
    text = '[\n{"a":"1"},\n{"b":["2","3"]},\n{"c":...}\n]\n{"a":"1"}'
    assert values(split(text)) == [JSON_INVALID, A, B, JSON_INVALID, A]


def test_a_name_twice_is_refused_however_it_is_spelled(split):
    for twice in ('{"a":1,"a":2}', '{"o":[{"a":1,"\\u0061":2}]}', '{"\U0001f600":1,"\\ud83d\\ude00":2}'):
        found = split(f'{twice} {{"b":1}}')
        assert values(found) == [REPEATED_NAME, {"b": "1"}]
    assert values(split('{"a":1,"b":{"a":2}}')) == [{"a": "1", "b": {"a": "2"}}]


def test_bytes_that_are_no_utf8_are_shown_and_cost_nothing_else(split):
    found = split(b'{"a":"\xff"} {"b":"\xc3\xa9"}\n{"c":"\xed\xa0\x80"}')
    assert values(found) == [INVALID_UTF8, {"b": "é"}, INVALID_UTF8]
    assert found[0].payload == '{"a":"\\xff"}'


def test_a_document_may_be_as_large_and_deep_as_the_limits_say_and_no_more(split):
    limits = DocumentLimits(max_bytes=12, max_depth=3)
    assert values(split('{"a":"1234"}{"b":1}', documents, limits)) == [{"a": "1234"}, {"b": "1"}]
    assert values(split('{"a":"12345"}\n{"b":1}', documents, limits)) == [DOCUMENT_TOO_LARGE, {"b": "1"}]
    assert values(split("[[[1]]]\n[[[[1]]]]\n[]", documents, limits)) == [[[["1"]]], NESTED_TOO_DEEP, []]
    assert values(split("[[[[1]]],\n[[[[1]]]]\n]\n{}", elements, limits)) == [[[["1"]]], NESTED_TOO_DEEP, {}]


def test_the_payload_of_a_broken_document_is_its_start(split):
    (found,) = split("{" + "x" * 3 * PAYLOAD_BYTES)
    assert found.payload == "{" + "x" * (PAYLOAD_BYTES - 1)


def test_lines_that_only_open_brackets_are_each_a_broken_document(split):
    assert values(split("[\n" * 300)) == [NESTED_TOO_DEEP] * 236 + [JSON_INVALID] * 64


def test_memory_holds_one_document_and_not_the_file(tmp_path):
    path = tmp_path / "large.json"
    document = json.dumps({"name": "x" * 500, "values": list(range(100))}, indent=1)
    path.write_text("[" + ",".join([document] * 5000) + "]")
    size = path.stat().st_size
    tracemalloc.start()
    try:
        assert sum(1 for _ in elements(path)) == 5000
        assert sum(1 for _ in element_outlines(path, Rebuilt())) == 5000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size / 3


names = st.text(max_size=6)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
nested = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
json_objects = st.dictionaries(names, nested, max_size=4)


def as_read(value):
    """What reading gives for a value that Python wrote."""
    match value:
        case list():
            return [as_read(item) for item in value]
        case dict():
            return {name: as_read(member) for name, member in value.items()}
        case int() | float() if not isinstance(value, bool):
            return json.dumps(value)
    return value


@ON_FILES
@given(st.lists(json_objects, max_size=5), st.sampled_from([None, 0, 2]), st.booleans(), st.data())
def test_documents_come_back_from_every_layout(split, written, indent, is_ascii, data):
    texts = [json.dumps(document, indent=indent, ensure_ascii=is_ascii) for document in written]
    blank = data.draw(st.sampled_from(["", " ", "\n", "\r\n", "\n\n\t"]))
    assert values(split(blank.join(texts))) == [as_read(document) for document in written]
    assert values(split(f"[{f',{blank}'.join(texts)}]{blank}", elements)) == [as_read(d) for d in written]
    assert [json.loads(d.text) for d in split(blank.join(texts))] == [json.loads(text) for text in texts]


@ON_FILES
@given(st.lists(st.tuples(json_objects, st.booleans(), st.integers(0, 1000)), max_size=6))
def test_every_good_line_survives_lines_that_were_cut_short(split, lines):
    texts = []
    for document, is_good, cut in lines:
        text = json.dumps(document)
        texts.append(text if is_good else text[: cut % len(text)])
    good = [as_read(document) for document, is_good, _ in lines if is_good]
    for way in (documents, elements):
        found = split("\n".join(texts), way)
        assert [d.value for d in found if not isinstance(d, BrokenDocument)] == good


soup = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\n", b"\n{", b"\n[", b" ", b"\r", b"1", b'"a"', b'"a":1',
         b'"b":', b"{}", b"[]", b'{"a":1}', b"null", b"NaN", b"-", b"\\u00", b"\x00", b"\xff", BOM, b"\xef",
         "é".encode(), b"..."]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


@settings(ON_FILES, max_examples=600)
@example(b'{{{}{"{"a":1}{\n', 1, DocumentLimits(14, 3))
@given(soup, st.sampled_from([1, 2, 5, 1 << 18]), st.sampled_from([DocumentLimits(), DocumentLimits(14, 3)]))
def test_any_bytes_are_split_alike_whatever_the_pieces_they_are_read_in(split, text, chunk, limits):
    for way in (documents, elements):
        whole = split(text, way, limits)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_documents, "_CHUNK_BYTES", chunk)
            pieces = split(text, way, limits)
        assert [(d.line, values([d])) for d in pieces] == [(d.line, values([d])) for d in whole]
        assert all(d.payload for d in pieces if isinstance(d, BrokenDocument))


def test_a_file_that_cannot_be_read_says_so():
    with pytest.raises(FileNotFoundError):
        list(documents(Path("/no/such/file.json")))
