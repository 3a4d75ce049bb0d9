"""Contracts of the aggregated layer, partitioned by plant and UTC event day."""

from __future__ import annotations

from typing import Final

from idm_assets.contextualized.tables import POINT_ID
from idm_assets.contracts import DAY, PLANT, Column, ColumnType, Table

LAYER: Final = "aggregated"
PARTITION: Final = ("plant", "day")


def _windows(name: str, length: str, rows: str) -> Table:
    def quantity(column: str, description: str) -> Column:
        return Column(column, ColumnType.DOUBLE, description, nullable=True)

    return Table(
        LAYER,
        name,
        f"Measurements per {length}, window [start, start + {length}). {rows}",
        (
            PLANT,
            DAY,
            POINT_ID,
            Column("window_start", ColumnType.TIMESTAMP, "Start of the window, included."),
            Column("count", ColumnType.INTEGER, "Good values observed in the window.", minimum=0),
            quantity("average", "Arithmetic mean of these values."),
            quantity("time_average", "Mean over Good time, each value held until the next, or on the line to it."),
            quantity("minimum", "Smallest of these values."),
            quantity("maximum", "Largest of these values."),
            quantity("first", "First of these values."),
            quantity("last", "Last of these values."),
            Column("percent_good", ColumnType.DOUBLE, "good_s by the window.", "%", minimum=0, maximum=100.00001),
            Column("good_s", ColumnType.DOUBLE, "Time with a Good value in force.", "s", minimum=0),
            quantity("opening_value", "Value in force at the start of the window; NULL if it is not Good."),
            quantity("held_value", "Last value in force in the window; NULL if it is not Good."),
        ),
        PARTITION,
        key=("point_id", "window_start"),
        sort=("point_id", "window_start"),
    )  # fmt: skip


MINUTES: Final = _windows("measurements_1min", "minute", "A row for every minute in which something was observed.")
HOURS: Final = _windows("measurements_1h", "hour", "A row for every hour in which a value was observed or held.")
DAYS: Final = _windows("measurements_1d", "day", "A row for every day in which a value was observed or held.")

STATE_DURATIONS: Final = Table(
    LAYER,
    "state_durations_1d",
    "Time that each state attribute spent in each state, per UTC day.",
    (
        PLANT,
        DAY,
        POINT_ID,
        Column("state", ColumnType.TEXT, "The state; UNAVAILABLE while its status was Bad."),
        Column("duration_s", ColumnType.DOUBLE, "Time in the state.", unit="s", minimum=0, maximum=86400.000001),
        Column("percent", ColumnType.DOUBLE, "Share of the day.", unit="%", minimum=0, maximum=100.000001),
        Column("occurrences", ColumnType.INTEGER, "Intervals, among them one carried in.", minimum=1),
    ),
    PARTITION,
    key=("point_id", "state"),
    sort=("point_id", "state"),
)

TABLES: Final = (MINUTES, HOURS, DAYS, STATE_DURATIONS)
