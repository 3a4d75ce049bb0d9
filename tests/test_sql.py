"""Quoting, and the expressions that must mean the same everywhere."""

import hashlib
import math
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.sql import content_hash, identifier, literal, point_id, signal_id
from tests.relations import relation


def one(con, expression):
    return con.sql(f"SELECT {expression}").fetchall()[0][0]


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates(date(1, 1, 1))
    | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_a_literal_means_its_value(con, value):
    found = one(con, literal(value))
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_literal_too(con):
    assert math.isnan(one(con, literal(math.nan)))


@pytest.mark.parametrize(
    "text", ["", "'", "''", "a'; DROP TABLE t; --", "\\", "\n", "$$", "?", "$1", "{x}", "é漢🙂", "a\x00b", '"']
)
def test_no_text_breaks_out_of_its_quotes(con, text):
    assert one(con, literal(text)) == text
    assert con.sql(f"SELECT 1 AS {identifier(text or 'x')}").columns == [text or "x"]


def test_an_instant_is_the_same_in_every_zone(con):
    instant = datetime(2016, 11, 8, 1, 30, 0, 5, timezone(timedelta(hours=5, minutes=30)))
    assert literal(instant) == "TIMESTAMPTZ '2016-11-07 20:00:00.000005+00'"
    assert one(con, literal(instant)) == instant


def test_a_naive_datetime_is_refused():
    with pytest.raises(ValueError, match="naive"):
        literal(datetime(2016, 11, 8))  # noqa: DTZ001


def by_hand(*parts):
    """The last 8 bytes of the MD5, least significant first, without the uppermost bit."""
    digest = hashlib.md5("\x1f".join(parts).encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little") & (2**63 - 1)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.text(st.characters(exclude_characters="\x00", codec="utf-8"), max_size=8)] * 3))
def test_a_signal_key_is_the_same_on_every_machine(con, names):
    plant, source, tag = names
    assert one(con, signal_id(*map(literal, names))) == by_hand(plant, source, tag)


def test_keys_tell_apart_what_is_written_alike(con):
    keys = [one(con, signal_id(*map(literal, names))) for names in (("a", "b", "c"), ("ab", "", "c"), ("a", "", "bc"))]
    assert len(set(keys)) == 3
    assert all(0 <= key < 2**63 for key in keys)


def test_a_point_without_a_unit_has_a_key(con):
    parts = [literal(name) for name in ("nist", "E/S", "mill", "load")]
    assert one(con, point_id(*parts, "NULL")) == by_hand("nist", "E/S", "mill", "load", "")
    assert one(con, point_id(*parts, "NULL")) != one(con, point_id(*parts, "'%'"))


COLUMNS = {"a": "BIGINT", "b": "VARCHAR"}
ROWS = st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from(["", "x"])), max_size=8)


def hash_of(con, rows):
    return con.sql(f"SELECT {content_hash(('a', 'b'))} FROM ({relation(COLUMNS, rows)})").fetchall()[0][0]


@settings(max_examples=40, deadline=None)
@given(ROWS, ROWS)
def test_a_content_hash_knows_rows_and_their_number_but_not_their_order(con, left, right):
    assert (hash_of(con, left) == hash_of(con, right)) is (sorted(left, key=repr) == sorted(right, key=repr))
    assert hash_of(con, left) == hash_of(con, list(reversed(left)))


def test_rows_that_come_in_pairs_do_not_cancel_out(con):
    contents = [[(1, "x")] * 2, [(2, "x")] * 2, [(1, "x")] * 4, [(1, "x")] * 2 + [(2, "x")] * 2, [], [(None, None)] * 2]
    assert len({hash_of(con, rows) for rows in contents}) == len(contents)
