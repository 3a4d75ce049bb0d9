"""Real work orders of excavators, as JSON lines; see `tests/vectors/excavators/README.md`."""

import csv
import json
from datetime import date, timedelta
from pathlib import Path

MOVED = timedelta(weeks=730)
"""Event days start in 2015, the work orders in 2002; whole weeks keep the days of the week."""

FIELDS = {
    "opened_on": "BscStartDate",
    "asset": "Asset",
    "text": "OriginalShorttext",
    "order_type": "PMType",
    "cost": "Cost",
    "running_time": "RunningTime",
}
MODEL = """
models:
  - name: WorkOrder
    version: 1.0.0
    kind: record
    description: A corrective order for an excavator.
    business_object: work order
    owner: maintenance@mine.example
    attributes:
      - {name: opened_on, data_type: timestamp, key: true, description: Day on which it was opened.}
      - {name: asset, data_type: string, key: true, description: Letter of the excavator.}
      - {name: text, data_type: string, key: true, description: What was written., pii: personal}
      - {name: order_type, data_type: string, allowed: [PM01, PM02, PM06]}
      - {name: cost, data_type: double, range: {minimum: 0}}
      - {name: running_time, data_type: double, unit: h}
"""
TIME = {"field": "BscStartDate", "format": "date"}
READING = {"model": "WorkOrder", "fields": FIELDS}


def work_orders(month: str = "") -> list[dict[str, str]]:
    """Rows of the file, or of one month such as ``2009-11``, with the dates as they are in it."""
    path = Path(__file__).parent / "vectors" / "excavators" / "excavators.csv"
    with path.open(encoding="utf-8", newline="") as text:
        return [row for row in csv.DictReader(text) if row["BscStartDate"].startswith(month)]


def day_of(row: dict[str, str]) -> date:
    """The day of a work order, moved."""
    return date.fromisoformat(row["BscStartDate"]) + MOVED


def json_line(row: dict[str, str]) -> str:
    """A work order as a JSON object: numbers as they are written, nothing where the file has nothing.

    The rule is kept as a field that the model does not know; the row number is left out, because no two rows would
    have the same content with it.
    """
    texts = {name: json.dumps(row[name]) for name in ("Asset", "OriginalShorttext", "PMType", "Rule")}
    numbers = {name: row[name] or "null" for name in ("Cost", "RunningTime")}
    fields = {"BscStartDate": json.dumps(day_of(row).isoformat()), **texts, **numbers}
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in fields.items()) + "}\n"


def content_of(row: dict[str, str]) -> tuple[object, ...]:
    """What two reports must agree in to be the same report."""
    numbers = tuple(float(row[name]) if row[name] else None for name in ("Cost", "RunningTime"))
    return (*key_of(row), *numbers, row["PMType"], row["Rule"])


def key_of(row: dict[str, str]) -> tuple[str, str, str]:
    """What identifies a work order: day, excavator and text."""
    return row["BscStartDate"], row["Asset"], row["OriginalShorttext"]
