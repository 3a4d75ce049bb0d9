"""Paths into JSON documents."""

import pytest

from idm_assets.capture.json_paths import JsonPath, Step, is_path, json_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$", JsonPath()),
        ("$.a", JsonPath(rest="/a")),
        ("$.a.b", JsonPath(rest="/a/b")),
        ("$['a.b']", JsonPath(rest="/a.b")),
        ('$["it\'s"].c', JsonPath(rest="/it's/c")),
        ("$.a/b~c", JsonPath(rest="/a~1b~0c")),
        ("$.a[0].b", JsonPath(rest="/a/0/b")),
        ("$.a b", JsonPath(rest="/a b")),
        ("$[*]", JsonPath((Step("", "list"),))),
        ("$.a[*]", JsonPath((Step("/a", "list"),))),
        ("$.a.*", JsonPath((Step("/a", "object"),))),
        ("$.a[*].b.c[*]", JsonPath((Step("/a", "list"), Step("/b/c", "list")))),
        ("$.a[*][*].*", JsonPath((Step("/a", "list"), Step("", "list"), Step("", "object")))),
        ("$.a[*].b", JsonPath((Step("/a", "list"),), "/b")),
    ],
)
def test_a_path_is_cut_at_its_wildcards(text, path):
    assert is_path(text)
    assert json_path(text) == path


@pytest.mark.parametrize(
    ("text", "character"),
    [("a.b", 2), ("", 2), ("$a", 2), ("$.", 2), ("$.a.", 4), ("$.a[", 4), ("$.a[x]", 4), ("$..a", 2), ("$.a[-1]", 4),
     ("$.a[?(@.b)]", 4), ("$['']", 2), ("$. a", 2), ("$.a]", 4)],
)  # fmt: skip
def test_what_is_no_path_is_refused_with_its_place(text, character):
    with pytest.raises(ValueError, match=f"from character {character} on"):
        json_path(text)


def test_the_number_of_wildcards_is_limited():
    assert len(json_path("$" + "[*]" * 8).steps) == 8
    with pytest.raises(ValueError, match="has 9 wildcards"):
        json_path("$" + "[*]" * 9)


@pytest.mark.parametrize("name", ["$type", "a.$", "", "a", "$$.a"])
def test_names_that_only_look_like_paths_are_names(name):
    assert not is_path(name)
