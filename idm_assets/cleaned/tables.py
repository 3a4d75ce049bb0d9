"""Contracts of the cleaned layer, partitioned by plant and UTC event day."""

from __future__ import annotations

from typing import Final

from idm_assets.capture.tables import SIGNAL_ID, STATUS
from idm_assets.contracts import CAPTURE_KEY, DAY, LINE, PLANT, Column, ColumnType, Table

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

_MODEL: Final = Column("model", ColumnType.TEXT, "Record model that the source declares.")
_REPORTS: Final = Column("reports", ColumnType.INTEGER, "How often just this was reported.", minimum=1)

RECORDS: Final = Table(
    LAYER,
    "records",
    "Records of a day, each once, with the attributes of their model.",
    (
        PLANT,
        DAY,
        _MODEL,
        Column("record_table", ColumnType.TEXT, "Table of the contextualized layer that holds it, by the version."),
        Column("record_key", ColumnType.TEXT, "JSON array: values of the key attributes.", pii="personal"),
        Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
        Column("attributes", ColumnType.TEXT, "JSON object: attribute to value, in the attribute's type.",
               pii="personal"),
        Column("other_fields", ColumnType.TEXT, "JSON object: delivered fields that the model does not know.",
               nullable=True, pii="personal"),
        Column("unknown_fields", ColumnType.INTEGER, "Number of these fields.", minimum=0),
        Column("flags", ColumnType.TEXT, "JSON object: attribute to out_of_range or not_allowed; NULL: none.",
               nullable=True),
        _REPORTS,
        CAPTURE_KEY,
        LINE,
    ),
    PARTITION,
    key=("record_table", "record_key"),
    sort=("record_table", "record_key"),
)  # fmt: skip

RECORD_REASONS: Final = ("conflict", "missing_attribute", "type_mismatch", "unknown_model")

RECORD_QUARANTINE: Final = Table(
    LAYER,
    "record_quarantine",
    "Records that do not fit their model, or that lost against another report of the same record.",
    (
        PLANT,
        DAY,
        CAPTURE_KEY,
        LINE,
        _MODEL,
        Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
        Column("payload", ColumnType.TEXT, "JSON object: the fields as delivered.", pii="personal"),
        Column("reason", ColumnType.TEXT, "Reason code.", allowed=RECORD_REASONS),
        Column("detail", ColumnType.TEXT, "What was expected and what was found, or which report won.",
               pii="personal"),
        _REPORTS,
    ),
    PARTITION,
    sort=("model", "ts", "capture_key", "line"),
)  # fmt: skip

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
RECORD_TABLES: Final = (RECORDS, RECORD_QUARANTINE)
