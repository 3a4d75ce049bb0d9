"""Contracts of the capture layer: what each delivered file held, line by line.

Partitioned by plant and UTC arrival day. Tables only grow: a corrected file adds a new capture, and readers of
the next layer leave out the superseded one.
"""

from __future__ import annotations

from typing import Final

from idm_assets.capture import remarks
from idm_assets.contracts import ARRIVED_ON, CAPTURE_KEY, LINE, PLANT, Column, ColumnType, Table

LAYER: Final = "capture"
PARTITION: Final = ("plant", "arrived_on")

STATUS: Final = Column(
    "status", ColumnType.INTEGER, "OPC UA StatusCode (32 bits, Part 4).", minimum=0, maximum=2**32 - 1
)
REMARKS: Final = Column(
    "remarks",
    ColumnType.INTEGER,
    "Set of bits, what was noticed while reading: "
    + ", ".join(f"{bit} {name}" for bit, (name, _) in remarks.REMARKS.items())
    + ".",
    minimum=0,
)
SIGNAL_ID: Final = Column("signal_id", ColumnType.INTEGER, "Key of (plant, source, tag).", minimum=0)

CAPTURES: Final = Table(
    LAYER,
    "captures",
    "One row per delivered file: what it was and what became of its lines.",
    (
        PLANT,
        ARRIVED_ON,
        CAPTURE_KEY,
        Column("source_entry", ColumnType.TEXT, "Name of the source declaration that claimed the file."),
        Column("source", ColumnType.TEXT, "Source, as found in the path; NULL if lines name it.", nullable=True),
        Column("path", ColumnType.TEXT, "Path below the plant's landing folder."),
        Column("content_hash", ColumnType.TEXT, "SHA-256 of the bytes as delivered."),
        Column("size_bytes", ColumnType.INTEGER, "Size as delivered.", unit="B", minimum=0),
        Column("arrived_at", ColumnType.TIMESTAMP, "When the file was first seen complete."),
        Column(
            "standing",
            ColumnType.TEXT,
            "decoded: its rows count; rejected: the whole file is in quarantine.",
            allowed=("decoded", "rejected"),
        ),
        Column("unit", ColumnType.TEXT, "What is counted: line, row, element, message, field or metric."),
        Column("lines", ColumnType.INTEGER, "Lines, or other units, read.", minimum=0),
        Column("decoded_lines", ColumnType.INTEGER, "Units that became observations or records.", minimum=0),
        Column("observations", ColumnType.INTEGER, "Observations made of them.", minimum=0),
        Column("records", ColumnType.INTEGER, "Records made of them; NULL: filed before there were any.",
               nullable=True, minimum=0),
        Column("quarantined", ColumnType.INTEGER, "Units in quarantine.", minimum=0),
        Column("skipped", ColumnType.INTEGER, "Units that hold nothing to keep, by skipped_reasons.", minimum=0),
        Column("skipped_reasons", ColumnType.TEXT, "JSON object: reason to number of units."),
        Column("empty_cells", ColumnType.INTEGER, "Cells of decoded rows that say nothing of their tag.", minimum=0),
        Column("remarks", ColumnType.TEXT, "JSON object: what was noticed to number of observations or records."),
        Column("first_ts", ColumnType.TIMESTAMP, "Earliest observation or record.", nullable=True),
        Column("last_ts", ColumnType.TIMESTAMP, "Latest observation or record.", nullable=True),
        Column("decoder", ColumnType.TEXT, "Decoder and the path it took, such as shdr/fast."),
    ),
    PARTITION,
    key=("capture_key",),
    sort=("path", "capture_key"),
)  # fmt: skip

OBSERVATIONS: Final = Table(
    LAYER,
    "observations",
    "Time-stamped values as delivered, one row per value.",
    (
        PLANT,
        ARRIVED_ON,
        CAPTURE_KEY,
        LINE,
        Column("part", ColumnType.INTEGER, "Position among the observations of the line, from 1.", minimum=1),
        SIGNAL_ID,
        Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
        REMARKS,
        Column("value", ColumnType.DOUBLE, "The value, where it is a number.", nullable=True),
        Column("text", ColumnType.TEXT, "The value as delivered, where the format delivers text.", nullable=True),
        STATUS,
        Column("detail", ColumnType.TEXT, "JSON object with what else the line said.", nullable=True),
    ),
    PARTITION,
)

RECORDS: Final = Table(
    LAYER,
    "records",
    "Records of data models as delivered, one row per line.",
    (
        PLANT,
        ARRIVED_ON,
        CAPTURE_KEY,
        LINE,
        Column("model", ColumnType.TEXT, "Record model that the source declares."),
        Column("reading", ColumnType.TEXT, "JSON object: how the source declares that the fields are read."),
        Column("ts", ColumnType.TIMESTAMP, "When it happened, by the source's clock."),
        REMARKS,
        Column("payload", ColumnType.TEXT, "JSON object: the fields as delivered, sorted by name, numbers as written.",
               pii="personal"),
    ),
    PARTITION,
    key=("capture_key", "line"),
)  # fmt: skip

QUARANTINE: Final = Table(
    LAYER,
    "quarantine",
    "Input that could not be decoded, with its payload and the reason.",
    (
        PLANT,
        ARRIVED_ON,
        CAPTURE_KEY,
        Column("source_entry", ColumnType.TEXT, "Name of the source declaration that claimed the file."),
        Column("source", ColumnType.TEXT, "Source, as found in the path; NULL if lines name it.", nullable=True),
        Column("path", ColumnType.TEXT, "Path below the plant's landing folder."),
        Column("content_hash", ColumnType.TEXT, "SHA-256 of the capture: the archive has it whole under this key."),
        Column("line", ColumnType.INTEGER, "Line, or other unit, in the file; NULL: the whole file.", nullable=True,
               minimum=1),
        Column("payload", ColumnType.TEXT, "The rejected input; bytes that are no UTF-8 as \\xNN.", nullable=True),
        Column("payload_cut", ColumnType.BOOLEAN, "The payload is only the begin of it; the archive has the rest."),
        Column("stage", ColumnType.TEXT, "survey: before its format mattered; decode: by the rules of its source.",
               allowed=("survey", "decode")),
        Column("rule", ColumnType.TEXT, "What rejected it: the format and the route, such as csv/exact."),
        Column("rule_version", ColumnType.TEXT, "Fingerprint of the source declaration and the decoder."),
        Column("reason", ColumnType.TEXT, "Reason code."),
        Column("detail", ColumnType.TEXT, "What was expected and what was found.", nullable=True),
    ),
    PARTITION,
    sort=("path", "line"),
)  # fmt: skip

TAGS: Final = Table(
    LAYER,
    "tags",
    "The names behind the signal keys heard on a day.",
    (
        PLANT,
        ARRIVED_ON,
        SIGNAL_ID,
        Column("source", ColumnType.TEXT, "Source that delivered the tag."),
        Column("tag", ColumnType.TEXT, "Name of the tag, as delivered."),
    ),
    PARTITION,
    key=("signal_id",),
    sort=("source", "tag"),
)

TABLES: Final = (CAPTURES, OBSERVATIONS, RECORDS, QUARANTINE, TAGS)
