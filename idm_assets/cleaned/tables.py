"""Contracts of the cleaned layer, partitioned by plant and UTC event day."""

from __future__ import annotations

from typing import Final

from idm_assets.capture.tables import CAPTURE_KEY, LINE, SIGNAL_ID, STATUS
from idm_assets.contracts import DAY, PLANT, Column, ColumnType, Table

LAYER: Final = "cleaned"
PARTITION: Final = ("plant", "day")

_VALUES: Final = (
    SIGNAL_ID,
    Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
    Column("value", ColumnType.DOUBLE, "The value as delivered, where it is a number.", nullable=True),
    Column("text", ColumnType.TEXT, "The value as delivered, where it is text.", nullable=True),
    STATUS,
)

OBSERVATIONS: Final = Table(
    LAYER,
    "observations",
    "Observations of a day: deduplicated, typed by the bound attribute, status set.",
    (
        PLANT,
        DAY,
        *_VALUES,
        Column("detail", ColumnType.TEXT, "JSON object with what else the line said.", nullable=True),
        CAPTURE_KEY,
        LINE,
    ),
    PARTITION,
    key=("signal_id", "ts"),
    sort=("signal_id", "ts"),
)

QUARANTINE: Final = Table(
    LAYER,
    "quarantine",
    "Observations that lost against another value for the same signal and instant.",
    (
        PLANT,
        DAY,
        CAPTURE_KEY,
        LINE,
        SIGNAL_ID,
        Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
        Column("payload", ColumnType.TEXT, "JSON object: value, text, status and detail as delivered."),
        Column("reason", ColumnType.TEXT, "Reason code.", allowed=("conflict",)),
        Column("detail", ColumnType.TEXT, "Which capture and line won."),
    ),
    PARTITION,
    sort=("signal_id", "ts", "capture_key", "line"),
)

LAST_VALUES: Final = Table(
    LAYER,
    "last_values",
    "The last observation of every signal up to the end of the day, which holds over the day border.",
    (PLANT, DAY, *_VALUES),
    PARTITION,
    key=("signal_id",),
    sort=("signal_id",),
)

TABLES: Final = (OBSERVATIONS, QUARANTINE, LAST_VALUES)
