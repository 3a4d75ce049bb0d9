"""Fingerprints of plain values."""

from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.fingerprint import fingerprint

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def frozen(value):
    """A value that is equal where the canonical form is meant to be: types told apart, keys in any order."""
    if isinstance(value, dict):
        return ("mapping", frozenset((key, frozen(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("sequence", tuple(frozen(item) for item in value))
    return (type(value), value)


@settings(max_examples=60, deadline=None)
@given(PLAIN, PLAIN)
def test_equal_values_and_only_they_have_equal_fingerprints(left, right):
    assert (fingerprint(left) == fingerprint(right)) is (frozen(left) == frozen(right))


def test_the_order_of_keys_does_not_matter_but_that_of_items_does():
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_neighbours_are_told_apart():
    alike = [["ab", "c"], ["a", "bc"], ["abc"], "abc", ["a", ["b", "c"]], [1], ["1"], [True], [None], [], {}, "", None]
    assert len({fingerprint(value) for value in alike}) == len(alike)


def test_a_fingerprint_stays_what_it_was():
    """It is stored: another way of computing it would make every table stale."""
    assert fingerprint({"ü": [1, None, True, 0.5]}) == "fafac9708f324ce59ae14ac646849e2f"
    assert len(fingerprint("x")) == 32
