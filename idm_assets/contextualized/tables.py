"""Contracts of the contextualized layer, partitioned by plant and UTC event day."""

from __future__ import annotations

from typing import Final

from idm_assets.capture.tables import SIGNAL_ID, STATUS
from idm_assets.contracts import DAY, PLANT, Column, ColumnType, Table

LAYER: Final = "contextualized"
PARTITION: Final = ("plant", "day")

POINT_ID: Final = Column(
    "point_id", ColumnType.INTEGER, "Key of (plant, equipment path, avatar, attribute, unit).", minimum=0
)

MEASUREMENTS: Final = Table(
    LAYER,
    "measurements",
    "Bound observations by avatar and attribute, in the attribute's canonical unit.",
    (
        PLANT,
        DAY,
        POINT_ID,
        Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
        Column(
            "value",
            ColumnType.DOUBLE,
            "The value in the canonical unit, where it is a number.",
            nullable=True,
        ),
        Column("text", ColumnType.TEXT, "The value, where it is text.", nullable=True),
        STATUS,
        SIGNAL_ID,
    ),
    PARTITION,
)

UNMAPPED: Final = Table(
    LAYER,
    "unmapped",
    "Tags heard on a day that were bound to no attribute at that time.",
    (
        PLANT,
        DAY,
        SIGNAL_ID,
        Column("observations", ColumnType.INTEGER, "Observations without a binding.", minimum=1),
        Column("first_ts", ColumnType.TIMESTAMP, "First of them."),
        Column("last_ts", ColumnType.TIMESTAMP, "Last of them."),
    ),
    PARTITION,
    key=("signal_id",),
    sort=("signal_id",),
)

STATES: Final = Table(
    LAYER,
    "states",
    "Intervals during which a state attribute kept one value, cut at the borders of the UTC day.",
    (
        PLANT,
        DAY,
        POINT_ID,
        Column("state", ColumnType.TEXT, "The value; UNAVAILABLE while its status is Bad."),
        STATUS,
        Column("started_at", ColumnType.TIMESTAMP, "Start, included."),
        Column("ended_at", ColumnType.TIMESTAMP, "End, excluded."),
        Column("duration_s", ColumnType.DOUBLE, "Length of the interval.", unit="s", minimum=0),
        Column("carried_in", ColumnType.BOOLEAN, "The interval goes on from the day before."),
        Column("carried_out", ColumnType.BOOLEAN, "The interval goes on into the next day."),
    ),
    PARTITION,
    key=("point_id", "started_at"),
    sort=("point_id", "started_at"),
)

TABLES: Final = (MEASUREMENTS, UNMAPPED, STATES)
