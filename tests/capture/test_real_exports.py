"""Real files in delimited text, by declarations alone, beside figures that Python's csv gives."""

from __future__ import annotations

import csv
import gzip
import io
import json
import statistics
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.capture.trials import VECTORS, balance, tried

EXPORTS = VECTORS / "exports"
KIT = {
    "format": "csv",
    "path_pattern": r"(?P<day>\d{4}-\d\d-\d\d)_(?P<source>Seat_Leon)_.*\.csv\.gz",
    "options": {"units": "in_brackets"},
    "timezone": "Europe/Berlin",
    "time": {"field": ["{day}", "Time"]},
    "wide": {},
}  # fmt: skip


def rows_of(name: str, **dialect: Any) -> list[dict[str, str]]:
    """The rows of a file as Python's csv reads them."""
    text = gzip.decompress((EXPORTS / name).read_bytes()).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), **dialect))


def values_of(trial: Any, tag: str) -> list[dict[str, Any]]:
    return [row for row in trial.samples["observations"] if row["tag"] == tag]


def test_air_quality_has_decimal_commas_two_time_columns_and_a_sentinel():
    trial = tried(
        EXPORTS / "AirQualityUCI.csv.gz", format="csv", source="station", options={"decimal": ","},
        timezone="Europe/Rome", time={"field": ["Date", "Time"], "format": "%d/%m/%Y %H.%M.%S"}, wide={},
        status={"sentinels": [-200]},
    )  # fmt: skip
    capture = balance(trial)
    assert (capture["decoded_lines"], capture["quarantined"], capture["decoder"]) == (9357, 0, "csv/fast")
    monoxide = values_of(trial, "CO(GT)")
    good = [row["value"] for row in monoxide if row["status"] < 0x80000000]
    assert (len(monoxide), len(monoxide) - len(good), len(good)) == (9357, 1683, 7674)
    assert statistics.fmean(good) == pytest.approx(2.152749544, abs=5e-10)
    assert {row["value"] for row in monoxide if row["status"] >= 0x80000000} == {-200.0}
    temperature = [row["value"] for row in values_of(trial, "T") if row["status"] == 0]
    assert (len(temperature), statistics.fmean(temperature)) == (8991, pytest.approx(18.317828940, abs=5e-10))
    source = rows_of("AirQualityUCI.csv.gz")
    cells = [cell for row in source for name, cell in row.items() if name not in ("Date", "Time")]
    sentinels = sum(float(cell.replace(",", ".")) == -200 for cell in cells)
    assert json.loads(capture["remarks"])["sentinel"] == sentinels
    assert monoxide[0]["ts"] == datetime(2004, 3, 10, 17, tzinfo=UTC), "18.00 in Rome"


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("2017-07-05_Seat_Leon_RT_S_Stau.csv.gz", 46_349), ("2017-07-05_Seat_Leon_S_KA_Normal.csv.gz", 30_817),
        ("2018-02-23_Seat_Leon_S_S_Stau.csv.gz", 22_521), ("2018-03-26_Seat_Leon_S_RT_Stau.csv.gz", 19_510),
    ],
)  # fmt: skip
def test_trips_of_a_car_have_units_in_their_headers_and_the_date_in_their_names(name, rows):
    trial = tried(EXPORTS / name, rows=20, **KIT)
    capture = balance(trial)
    assert (capture["decoded_lines"], capture["empty_cells"], capture["quarantined"]) == (rows, 45, 0)
    assert capture["observations"] == rows * 10 - 45
    first = trial.samples["observations"][0]
    assert (first["source"], first["tag"]) == ("Seat_Leon", "Engine Coolant Temperature")
    assert first["detail"] == '{"unit":"°C"}', "read right whether the header was encoded once or twice"
    assert {row["tag"] for row in trial.samples["tags"]} == {
        cell.split(" [")[0] for cell in list(rows_of(name)[0]) if cell != "Time"
    }
    local = datetime.fromisoformat(f"{name[:10]}T{rows_of(name)[0]['Time']}")
    assert first["ts"] == local.replace(tzinfo=ZoneInfo("Europe/Berlin"))


def test_a_historian_export_has_blanks_before_some_fields():
    trial = tried(
        EXPORTS / "rtdip_historian_export.csv.gz", format="csv", source="historian",
        time={"field": "EventTime"}, long={"tag": "TagName", "value": "Value", "status": "Status"},
    )  # fmt: skip
    capture = balance(trial)
    source = rows_of("rtdip_historian_export.csv.gz")
    assert (len(source), capture["decoded_lines"], capture["quarantined"]) == (1017, 1017, 0)
    trimmed = sum(row["Status"] != row["Status"].strip() for row in source)
    assert (trimmed, json.loads(capture["remarks"])["trimmed"]) == (5, 5)
    found = Counter((row["tag"], row["ts"]) for row in trial.samples["observations"])
    assert sum(found.values()) - len(found) == 4, "repeats of (tag, time)"
    numbers = [float(row["Value"]) for row in source if row["Value"].strip()]
    decoded = [row["value"] for row in trial.samples["observations"] if row["value"] is not None]
    assert sorted(decoded) == sorted(numbers)


def test_work_orders_are_records():
    trial = tried(
        EXPORTS / "excavators.csv.gz", format="csv", time={"field": "BscStartDate", "format": "date"},
        record={"model": "WorkOrder"},
    )  # fmt: skip
    assert balance(trial)["records"] == 5485
    source = rows_of("excavators.csv.gz")
    payloads = [json.loads(row["payload"]) for row in trial.samples["records"]]
    assert [row["Cost"] for row in payloads] == [row["Cost"] or None for row in source]
    assert [row["column_1"] for row in payloads[:3]] == ["0", "1", "2"], "the column without a name"
    keys = Counter((row["BscStartDate"], row["Asset"], row["OriginalShorttext"]) for row in payloads)
    assert sum(keys.values()) - len(keys) == 372
    assert sum(row["Cost"] is not None and float(row["Cost"]) < 0 for row in payloads) == 6
