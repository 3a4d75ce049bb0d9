"""Units that are taken apart in Python: what becomes of their tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.capture.content import Expected
from idm_assets.capture.decoders import PreparedFile
from idm_assets.capture.decoders.streamed import Observed, Recorded, Rejected, Skipped, Streamed, Unit
from idm_assets.capture.remarks import HISTORICAL, NUMBER_ROUNDED, TIMESTAMP_CUT, named

T = "2024-05-01T10:00:00Z"


class Given:
    """A reader that finds some units in any file."""

    name = "given"
    code_version = "1"
    unit = "message"
    expected = Expected()

    def __init__(self, units: list[Unit]) -> None:
        self.units = units

    def count(self, file: PreparedFile) -> int:  # noqa: ARG002
        return len(self.units)

    def read(self, file: PreparedFile) -> Iterator[Unit]:  # noqa: ARG002
        return iter(self.units)


def decoded(con, folder: Path, units: list[Unit], source: str | None = "m"):
    """Rows, rejected and skipped units."""
    file = PreparedFile(3, folder / "any", source, 0, plain=True)
    decoding = Streamed(Given(units), "Europe/Paris").exact(con, file, folder)

    def rows(columns: str, query: str):
        return con.execute(f"SELECT {columns} FROM ({query}) ORDER BY ALL").fetchall()

    return (
        rows("line, part, source, tag, epoch_us(ts), value, text, status, remarks", decoding.rows),
        rows("line, reason, payload, detail", decoding.rejected),
        rows("reason, lines", decoding.skipped),
    )


def microseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("value", "is_text", "number", "text", "remarks"),
    [
        (1.5, False, 1.5, None, 0), ("1.5", False, 1.5, None, 0), ("1.50", False, 1.5, "1.50", 0),
        (12, False, 12.0, None, 0),
        (2**53 + 1, False, 2.0**53, str(2**53 + 1), NUMBER_ROUNDED), (-(2**63), False, -(2.0**63), str(-(2**63)),
        NUMBER_ROUNDED),
        (10**400, False, None, None, 0), (True, False, None, "true", 0), ("12", True, None, "12", 0),
        (None, False, None, None, 0),
        (float("nan"), False, None, "nan", 0), (float("-inf"), False, None, "-inf", 0), ("NaN", False, None, "NaN", 0),
        ("a\0b", False, None, "a\\x00b", 0), ("\ud800", False, None, "\\ud800", 0), ("", False, None, "", 0),
        (0.1 + 0.2, False, 0.1 + 0.2, None, 0), (5e-324, False, 5e-324, None, 0), ("0.1000000000000000055", False, 0.1,
                                                                                   "0.1000000000000000055",
                                                                                   NUMBER_ROUNDED),
    ],
)  # fmt: skip
def test_values(con, tmp_path, value, is_text, number, text, remarks):  # noqa: PLR0917 - one per column of the table
    rows, rejected, _ = decoded(con, tmp_path, [Observed("a", T, value, is_text=is_text)])
    assert rejected == []
    ((*_, found, kept, status, noticed),) = rows
    assert (found, status, noticed) == (number, 0, remarks)
    if value == 10**400:
        assert kept.startswith("0x"), "digits that no machine prints quickly are kept as hexadecimal ones"
    else:
        assert kept == text


@pytest.mark.parametrize(
    ("ts", "expected", "remarks"),
    [
        (T, microseconds(T), 0), ("2024-05-01T10:00:00", microseconds("2024-05-01T08:00:00Z"), 0),
        (microseconds(T), microseconds(T), 0),
        ("2024-05-01T10:00:00.1234567Z", microseconds("2024-05-01T10:00:00.123456Z"),
                                                TIMESTAMP_CUT),
        (-1, -1, 0),
    ],
)  # fmt: skip
def test_times(con, tmp_path, ts, expected, remarks):
    rows, _, _ = decoded(con, tmp_path, [Observed("a", ts, 1.0, remarks=HISTORICAL)])
    assert (rows[0][4], rows[0][8]) == (expected, remarks | HISTORICAL)


@pytest.mark.parametrize(
    ("unit", "reason"),
    [
        (Observed("a", None, 1.0), "timestamp_unreadable"), (Observed("a", "soon", 1.0), "timestamp_unreadable"),
        (Observed("a", 10**30, 1.0), "timestamp_unreadable"), (Observed(None, T, 1.0), "tag_missing"),
        (Observed("  ", T, 1.0), "tag_missing"), (Rejected("alias_unknown", "why", "raw"), "alias_unknown"),
        (Recorded("soon", "{}"), "timestamp_unreadable"),
    ],
)  # fmt: skip
def test_units_that_cannot_be_placed_are_rejected_with_what_they_said(con, tmp_path, unit, reason):
    rows, rejected, _ = decoded(con, tmp_path, [Observed("b", T, 1.0), unit])
    assert [row[3] for row in rows] == ["b"]
    ((line, found, payload, _),) = rejected
    assert (line, found, bool(payload)) == (2, reason, True)


def test_without_a_source_in_unit_or_path_a_unit_is_rejected(con, tmp_path):
    rows, rejected, _ = decoded(con, tmp_path, [Observed("a", T, 1.0), Observed("a", T, 1.0, source="s")], source=None)
    assert ([row[2] for row in rows], [row[:2] for row in rejected]) == (["s"], [(1, "source_missing")])


def test_one_unit_may_be_several_observations(con, tmp_path):
    rows, _, skipped = decoded(
        con, tmp_path, [[Observed("a", T, 1.0), Observed("b", T, None, 0x80310000)], Skipped("idle")]
    )
    assert [(row[0], row[1], row[3], row[7]) for row in rows] == [(1, 1, "a", 0), (1, 2, "b", 0x80310000)]
    assert skipped == [("idle", 1)]


def observed(tags, times, values):
    return st.tuples(tags, times, values).map(lambda made: Observed(*made))


UNITS = st.lists(
    st.one_of(
        observed(st.sampled_from(["a", "", None]), st.sampled_from([T, "x", None, 5]), st.floats()),
        st.tuples(st.text(), st.none() | st.text()).map(lambda made: Rejected("json_invalid", *made)),
        st.sampled_from([Skipped("idle"), Skipped("state")]),
        st.lists(observed(st.just("c"), st.just(T), st.integers() | st.text() | st.booleans()), min_size=1, max_size=3),
    ),
    max_size=12,
)


@given(UNITS)
@settings(max_examples=40, deadline=None)
def test_every_unit_is_decoded_rejected_or_skipped(con, tmp_path_factory, units):
    rows, rejected, skipped = decoded(con, tmp_path_factory.mktemp("units"), units)
    lines = {row[0] for row in rows} | {row[0] for row in rejected}
    assert len(lines) == len({row[0] for row in rows}) + len(rejected)
    assert len(lines) + sum(count for _, count in skipped) == len(units)


def test_remarks_are_counted_by_name():
    assert named({TIMESTAMP_CUT: 2, TIMESTAMP_CUT | NUMBER_ROUNDED: 3}) == {"timestamp_cut": 5, "number_rounded": 3}
    assert named({}) == {}


def test_json_of_a_lone_surrogate_is_json_still(con, tmp_path):
    said = json.dumps({"a\ud800": ["\udfff", "\U0001f600", "\\"]}, ensure_ascii=False)
    file = PreparedFile(3, tmp_path / "any", "m", 0, plain=True)
    decoding = Streamed(Given([Observed("x", T, 1.5, detail=said), Recorded(T, said)])).exact(con, file, tmp_path)
    found = con.execute(f"SELECT detail::JSON::VARCHAR, payload::JSON::VARCHAR FROM ({decoding.rows}) ORDER BY line")
    for detail, payload in found.fetchall():
        assert json.loads(detail or payload) == {"a\\ud800": ["\\udfff", "\U0001f600", "\\"]}
