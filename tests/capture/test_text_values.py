"""Timestamps without a zone mean the source's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import pytest

from idm_assets.capture.decoders import PreparedFile
from idm_assets.capture.sources import SourceEntry
from idm_assets.capture.text_values import timestamp


@pytest.fixture(scope="module")
def tokyo() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'").fetchall()
        yield connection


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2016-07-01T12:00:00", "UTC", "2016-07-01T12:00:00"),
        ("2016-07-01T12:00:00", "Europe/Paris", "2016-07-01T10:00:00"),
        ("2016-12-01T12:00:00.25", "Europe/Paris", "2016-12-01T11:00:00.25"),
        ("2016-07-01T12:00:00Z", "Europe/Paris", "2016-07-01T12:00:00"),
        ("2016-07-01T12:00:00-05:00", "Europe/Paris", "2016-07-01T17:00:00"),
        # 02:30 came twice on this night; the later one, in winter time, is meant
        ("2016-10-30T02:30:00", "Europe/Paris", "2016-10-30T01:30:00"),
        # 02:30 never came on this night; the clock went on to 03:30
        ("2016-03-27T02:30:00", "Europe/Paris", "2016-03-27T01:30:00"),
    ],
)
def test_zone_of_naive_times(tokyo: duckdb.DuckDBPyConnection, text: str, zone: str, expected: str) -> None:
    found = tokyo.sql(f"SELECT epoch_us({timestamp(repr(text), zone)})").fetchall()[0][0]
    assert datetime.fromtimestamp(found / 1e6, UTC) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize("format_name", ["shdr", "json_lines"])
def test_decoders_use_the_zone_of_their_source(tokyo: duckdb.DuckDBPyConnection, tmp_path, format_name: str) -> None:
    line, declared = {
        "shdr": ("2016-07-01T12:00:00|a|1", {}),
        "json_lines": (
            '{"at": "2016-07-01T12:00:00", "n": "a", "v": 1}',
            {"time": {"field": "at"}, "long": {"tag": "n", "value": "v"}},
        ),
    }[format_name]
    (tmp_path / "file").write_text(line + "\n")
    entry = SourceEntry(name="x", plant="p", glob="*", format=format_name, timezone="Europe/Paris", **declared)
    decoder = entry.readings()[0].decoder
    file = PreparedFile(0, tmp_path / "file", "s", 1, plain=True)
    for decoding in (decoder.fast(tokyo, [file], tmp_path), decoder.exact(tokyo, file, tmp_path)):
        found = tokyo.sql(f"SELECT epoch_us(ts) FROM ({decoding.rows})").fetchall()
        assert found == [(int(datetime(2016, 7, 1, 10, tzinfo=UTC).timestamp() * 1e6),)]
