"""Contracts of the monitoring layer."""

from __future__ import annotations

from typing import Final

from idm_assets.contracts import PLANT, Column, ColumnType, Table

LAYER: Final = "monitoring"

QUARANTINE_COUNTS: Final = Table(
    LAYER,
    "quarantine_counts",
    "How much of which day is in quarantine, by stage, source and reason.",
    (
        PLANT,
        Column("day", ColumnType.DATE, "UTC day: of arrival, in stage clean the event day."),
        Column("stage", ColumnType.TEXT, "survey, decode or clean.", allowed=("survey", "decode", "clean")),
        Column("source_entry", ColumnType.TEXT, "Name of the source declaration."),
        Column("reason", ColumnType.TEXT, "Reason code."),
        Column(
            "standing",
            ColumnType.TEXT,
            "open: some landed path still holds the capture; superseded: a corrected file took its place.",
            allowed=("open", "superseded"),
        ),
        Column("files", ColumnType.INTEGER, "Files rejected as a whole.", minimum=0),
        Column("units", ColumnType.INTEGER, "Rejected lines, or other units, of other files.", minimum=0),
    ),
    key=("plant", "day", "stage", "source_entry", "reason", "standing"),
    sort=("plant", "day", "stage", "source_entry", "reason", "standing"),
)

TABLES: Final = (QUARANTINE_COUNTS,)
