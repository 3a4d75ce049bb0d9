"""Which landed files are taken, which wait, which belong to nobody; and what a capture is."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture.intake import capture_id, capture_key, decide, settled
from idm_assets.capture.sources import Claim, SourceEntry
from resources.landing_zone import LandedFile
from resources.ledger import KnownFile

NOW, SETTLE = 1_000_000_000_000, 2_000_000_000
ENTRY = SourceEntry(name="logs", plant="nist", glob="*.txt", format="shdr")
RIVAL = SourceEntry(name="rival", plant="nist", glob="twice*", format="shdr")


def landed(path="a.txt", size=1, mtime_ns=0):
    return LandedFile("nist", path, size, mtime_ns)


def decided(*files, known=None, entries=(ENTRY, RIVAL)):
    found = decide(files, known or {}, entries, NOW, SETTLE)
    return [c.file.path for c in found.ready], [f.path for f in found.waiting], dict(found.unclaimed), found.known


@pytest.mark.parametrize(
    ("mtime_ns", "is_ready"),
    [
        (0, True),
        (NOW - SETTLE, True),
        (NOW - SETTLE + 1, False),
        (NOW, False),
        (NOW + 1, False),
        (NOW + 10**18, False),  # a clock that is ahead says nothing about when the file was written
    ],
)
def test_a_file_is_taken_when_it_was_left_alone_for_the_settling_time(mtime_ns, is_ready):
    ready, waiting, *_ = decided(landed(mtime_ns=mtime_ns))
    assert (ready, waiting) == ((["a.txt"], []) if is_ready else ([], ["a.txt"]))


def test_with_no_settling_time_a_file_is_taken_at_once():
    found = decide([landed(mtime_ns=NOW)], {}, [ENTRY], NOW, 0)
    assert len(found.ready) == 1


def test_a_file_that_is_as_it_was_is_not_taken_again():
    file = landed(mtime_ns=5)
    assert decided(file, known={"a.txt": KnownFile(1, 5, 77)}) == ([], [], {}, 1)
    for before in (KnownFile(2, 5, 77), KnownFile(1, 6, 77)):
        assert decided(file, known={"a.txt": before}) == (["a.txt"], [], {}, 0)
    assert decided(file, known={"A.txt": KnownFile(1, 5, 77)})[0] == ["a.txt"]


def test_what_nobody_or_more_than_one_claims_is_told_and_left_alone():
    ready, waiting, unclaimed, _ = decided(landed("b.csv"), landed("twice.txt", mtime_ns=NOW), landed("a.txt"))
    assert (ready, waiting) == (["a.txt"], [])
    assert unclaimed == {
        "b.csv": "no source declaration claims it",
        "twice.txt": "several source declarations claim it: logs, rival",
    }


FILES = st.lists(
    st.builds(
        landed,
        st.sampled_from(["a.txt", "b.txt", "c.csv", "twice.txt", "twice"]),
        st.integers(0, 2),
        st.sampled_from([0, 5, NOW - 1, NOW + 1]),
    ),
    unique_by=lambda file: file.path,
)
KNOWN = st.dictionaries(
    st.sampled_from(["a.txt", "b.txt", "c.csv"]),
    st.builds(KnownFile, st.integers(0, 2), st.sampled_from([0, 5]), st.just(1)),
)


@settings(max_examples=40, deadline=None)
@given(files=FILES, known=KNOWN)
def test_every_listed_file_is_in_exactly_one_place(files, known):
    ready, waiting, unclaimed, unchanged = decided(*files, known=known)
    assert len(ready) + len(waiting) + len(unclaimed) + unchanged == len(files)
    fresh = {
        f.path
        for f in files
        if f.path not in known or (known[f.path].size, known[f.path].mtime_ns) != (f.size, f.mtime_ns)
    }
    assert {*ready, *waiting, *unclaimed} == fresh
    assert unclaimed.keys() == fresh & {"c.csv", "twice.txt"}


def test_two_looks_that_see_the_same_settle_a_file():
    first = [landed("a.txt", 1, 5), landed("b.txt", 1, 5), landed("c.txt", 1, 5), landed("gone.txt")]
    second = [landed("a.txt", 1, 5), landed("b.txt", 2, 5), landed("c.txt", 1, 6), landed("new.txt")]
    assert settled(first, second) == [landed("a.txt", 1, 5)]


# Identity


CLAIM = Claim(ENTRY, "mill", {"day": "20161108", "shift": "a"})


def test_a_capture_is_its_content_and_what_its_path_says():
    """Written down once by hand: the key is stored, and must stay what it was."""
    text = "nist\x1elogs\x1emill\x1eday=20161108\x1fshift=a\x1eabc"
    expected = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16) // 2
    assert capture_key("nist", CLAIM, "abc") == expected
    assert 0 <= expected < 2**63


@pytest.mark.parametrize(
    ("plant", "claim", "content"),
    [
        ("other", CLAIM, "abc"),
        ("nist", CLAIM, "abd"),
        ("nist", replace(CLAIM, entry=RIVAL), "abc"),
        ("nist", replace(CLAIM, source="lathe"), "abc"),
        ("nist", replace(CLAIM, source=None), "abc"),
        ("nist", replace(CLAIM, facts={"day": "20161109", "shift": "a"}), "abc"),
        ("nist", replace(CLAIM, facts={"day": "20161108"}), "abc"),
        ("nist", replace(CLAIM, facts={"day": "20161108", "shift": "", "x": "a"}), "abc"),
    ],
)
def test_whatever_differs_makes_another_capture(plant, claim, content):
    assert capture_key(plant, claim, content) != capture_key("nist", CLAIM, "abc")


def test_the_order_of_facts_and_other_fields_of_the_declaration_do_not_matter():
    turned = replace(CLAIM, facts={"shift": "a", "day": "20161108"})
    redescribed = replace(turned, entry=ENTRY.model_copy(update={"description": "more", "timezone": "Asia/Tokyo"}))
    assert capture_key("nist", redescribed, "abc") == capture_key("nist", CLAIM, "abc")


def test_the_published_identifier_has_sixteen_digits():
    assert capture_id(0) == "0" * 16
    assert capture_id(2**63 - 1) == "7fffffffffffffff"
