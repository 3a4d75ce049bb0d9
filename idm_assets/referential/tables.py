"""Contracts of the referential: data models, equipment, avatars and the bindings of tags over time.

All tables are unpartitioned and keep two kinds of time. Validity, ``[valid_from, valid_to)`` with NULL for
unbounded, says when something holds in the plant. Versions say since when the referential knows it: a row is
recorded by one change and may be retired by a later one (`RETIRED`); nothing is ever deleted, so any former
version can be read again. `idm_assets.referential.history` makes the queries for what is in force.
"""

from __future__ import annotations

from typing import Final, get_args

from idm_assets.contracts import PLANT, Column, ColumnType, Table
from idm_assets.referential.description import DataType, Hold, Kind, ModelKind, Pii, Sampling

LAYER: Final = "referential"

VALID_FROM: Final = Column(
    "valid_from", ColumnType.TIMESTAMP, "Start of validity, included; NULL: since ever.", nullable=True
)
VALID_TO: Final = Column(
    "valid_to", ColumnType.TIMESTAMP, "End of validity, excluded; NULL: until further notice.", nullable=True
)

DATA_TYPES: Final[tuple[DataType, ...]] = get_args(DataType)
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
MODEL_KINDS: Final[tuple[ModelKind, ...]] = get_args(ModelKind)
SAMPLINGS: Final[tuple[Sampling, ...]] = get_args(Sampling)
HOLDS: Final[tuple[Hold, ...]] = get_args(Hold)
PII_CLASSES: Final[tuple[Pii, ...]] = get_args(Pii)
ISA95_LEVELS: Final = (
    "Enterprise", "Site", "Area", "ProcessCell", "Unit", "ProductionLine", "WorkCell", "ProductionUnit",
    "StorageZone", "StorageUnit", "WorkCenter", "WorkUnit", "EquipmentModule", "ControlModule", "Other",
)  # fmt: skip

ROW_ID: Final = Column("row_id", ColumnType.INTEGER, "Key of what the row says, made of all other columns.", minimum=0)
RECORDED_BY: Final = Column("recorded_by", ColumnType.INTEGER, "Change that recorded the row.", minimum=0)
_HISTORY: Final = (ROW_ID, RECORDED_BY)
_HISTORY_KEY: Final = (ROW_ID.name, RECORDED_BY.name)

SAID_BY: Final = Column("said_by", ColumnType.TEXT, "Series of dated files, YAML file or binding rule that says so.")
MODEL: Final = Column("model", ColumnType.TEXT, "Name of the data model.")
_KIND: Final = Column(
    "kind",
    ColumnType.TEXT,
    "measurement: a quantity; state: holds until it changes and makes intervals; text: neither.",
    allowed=KINDS,
)
_DATA_TYPE: Final = Column("data_type", ColumnType.TEXT, "Type of the attribute's values.", allowed=DATA_TYPES)
_ALLOWED: Final = Column("allowed", ColumnType.TEXT, "JSON array of the only plausible values.", nullable=True)
_HOLD: Final = Column(
    "hold", ColumnType.TEXT, "How values between two reports are read: the earlier one, or the line.", allowed=HOLDS
)
_SEMANTIC_ID: Final = Column(
    "semantic_id", ColumnType.TEXT, "Where the meaning is defined: an IRI, IRDI or NodeId.", nullable=True
)

DATA_MODELS: Final = Table(
    LAYER,
    "data_models",
    "Versioned types of things: one row per model and version.",
    (
        MODEL,
        Column("version", ColumnType.TEXT, "Semantic version of the model."),
        Column("kind", ColumnType.TEXT, "telemetry: attributes come one by one; record: a row has them all.",
               allowed=MODEL_KINDS),
        Column("description", ColumnType.TEXT, "What the model describes.", nullable=True),
        Column("business_object", ColumnType.TEXT, "What the business calls such a thing.", nullable=True),
        Column("owner", ColumnType.TEXT, "Who answers for the model.", nullable=True),
        Column("extends", ColumnType.TEXT, "Model whose attributes it inherits.", nullable=True),
        _SEMANTIC_ID,
        Column("attributes", ColumnType.INTEGER, "Number of attributes, the inherited ones among them.", minimum=0),
        *_HISTORY,
    ),
    key=_HISTORY_KEY,
    sort=("model", "version"),
)  # fmt: skip

MODEL_ATTRIBUTES: Final = Table(
    LAYER,
    "model_attributes",
    "Attributes of data models, the inherited ones among them: one row per model, version and attribute.",
    (
        MODEL,
        Column("version", ColumnType.TEXT, "Semantic version of the model."),
        Column("attribute", ColumnType.TEXT, "Name of the attribute."),
        Column("description", ColumnType.TEXT, "What the attribute means.", nullable=True),
        _DATA_TYPE,
        _KIND,
        Column("unit", ColumnType.TEXT, "Canonical unit of published values.", nullable=True),
        Column("minimum", ColumnType.DOUBLE, "Smallest plausible value, in the canonical unit.", nullable=True),
        Column("maximum", ColumnType.DOUBLE, "Largest plausible value, in the canonical unit.", nullable=True),
        _ALLOWED,
        Column("key", ColumnType.BOOLEAN, "Part of what identifies a record."),
        Column("required", ColumnType.BOOLEAN, "Every avatar or record has it."),
        Column("sampling", ColumnType.TEXT, "Reported on change or periodically; NULL: unknown.", nullable=True,
               allowed=SAMPLINGS),
        Column("cadence_s", ColumnType.DOUBLE, "Expected time between reports.", unit="s", nullable=True),
        Column("deadband", ColumnType.DOUBLE, "Smallest change that is reported, in the canonical unit.",
               nullable=True),
        _HOLD,
        Column("pii", ColumnType.TEXT, "Class of personal data.", allowed=PII_CLASSES),
        _SEMANTIC_ID,
        Column("inherited_from", ColumnType.TEXT, "Model that brought the attribute in; NULL: the model itself.",
               nullable=True),
        *_HISTORY,
    ),
    key=_HISTORY_KEY,
    sort=("model", "version", "attribute"),
)  # fmt: skip

EQUIPMENT: Final = Table(
    LAYER,
    "equipment",
    "The equipment hierarchy by ISA-95 levels.",
    (
        PLANT,
        Column("equipment_path", ColumnType.TEXT, "Names from the enterprise down, separated by '/'."),
        Column("name", ColumnType.TEXT, "Name of the element itself."),
        Column("level", ColumnType.TEXT, "ISA-95 equipment level.", allowed=ISA95_LEVELS),
        Column("parent_path", ColumnType.TEXT, "Path of the element above; NULL at the top.", nullable=True),
        Column("description", ColumnType.TEXT, "What people call it.", nullable=True),
        *_HISTORY,
    ),
    key=_HISTORY_KEY,
    sort=("plant", "equipment_path"),
)

AVATARS: Final = Table(
    LAYER,
    "avatars",
    "Digital twins of physical things: instances of data models, in a tree, placed in the hierarchy.",
    (
        PLANT,
        Column("avatar", ColumnType.TEXT, "Stable identifier, unique in the plant."),
        Column("name", ColumnType.TEXT, "Name for people."),
        Column("model", ColumnType.TEXT, "Data model that the avatar is an instance of."),
        Column("model_version", ColumnType.TEXT, "Version of that model."),
        Column("parent", ColumnType.TEXT, "Avatar that this one is a part of; NULL at the top.", nullable=True),
        Column("equipment_path", ColumnType.TEXT, "Equipment element that the avatar belongs to."),
        Column("external_ids", ColumnType.TEXT, "JSON object: what other systems call it, such as serial_number."),
        Column("static_attributes", ColumnType.TEXT, "JSON object: what does not change, such as manufacturer."),
        Column("description", ColumnType.TEXT, "What people say of it.", nullable=True),
        SAID_BY,
        VALID_FROM,
        VALID_TO,
        *_HISTORY,
    ),
    key=_HISTORY_KEY,
    sort=("plant", "avatar", "valid_from"),
)

SIGNALS: Final = Table(
    LAYER,
    "signals",
    "Bindings: which attribute of which avatar a tag of a source stands for, and when.",
    (
        PLANT,
        Column("signal_id", ColumnType.INTEGER, "Key of (plant, source, tag).", minimum=0),
        Column("source", ColumnType.TEXT, "Source that delivers the tag."),
        Column("tag", ColumnType.TEXT, "Name of the tag, as delivered."),
        Column(
            "point_id",
            ColumnType.INTEGER,
            "Key of (plant, equipment path, avatar, attribute, unit).",
            minimum=0,
        ),
        Column("equipment_path", ColumnType.TEXT, "Equipment element that the avatar belongs to."),
        Column("avatar", ColumnType.TEXT, "Avatar that the tag speaks of."),
        Column("attribute", ColumnType.TEXT, "Attribute of the avatar's model."),
        Column("model", ColumnType.TEXT, "Data model of the avatar."),
        Column("model_version", ColumnType.TEXT, "Version of that model."),
        _DATA_TYPE,
        _KIND,
        _HOLD,
        Column("delivered_unit", ColumnType.TEXT, "Unit in which the source delivers; NULL: the attribute's own.",
               nullable=True),
        Column("scale", ColumnType.DOUBLE, "Value in the delivered unit = raw value x scale + shift."),
        Column("shift", ColumnType.DOUBLE, "See scale."),
        Column("unit", ColumnType.TEXT, "Canonical unit of published values.", nullable=True),
        Column("factor", ColumnType.DOUBLE, "Published value = raw value x factor + offset; NULL: the units"
               " contradict each other, and nothing is published.", nullable=True),
        Column("offset", ColumnType.DOUBLE, "See factor.", nullable=True),
        Column("minimum", ColumnType.DOUBLE, "Smallest plausible raw value.", nullable=True),
        Column("maximum", ColumnType.DOUBLE, "Largest plausible raw value.", nullable=True),
        _ALLOWED,
        Column("rule", ColumnType.TEXT, "Name of the rule that set the range; NULL: the model did.", nullable=True),
        SAID_BY,
        VALID_FROM,
        VALID_TO,
        *_HISTORY,
    ),
    key=_HISTORY_KEY,
    sort=("plant", "source", "tag", "valid_from"),
)  # fmt: skip

POINTS: Final = Table(
    LAYER,
    "points",
    "Every (equipment path, avatar, attribute, unit) that was ever published, by its integer key.",
    (
        PLANT,
        Column("point_id", ColumnType.INTEGER, "Key of the point.", minimum=0),
        Column("equipment_path", ColumnType.TEXT, "Equipment element that the avatar belongs to."),
        Column("avatar", ColumnType.TEXT, "Avatar."),
        Column("attribute", ColumnType.TEXT, "Attribute of the avatar's model."),
        Column("unit", ColumnType.TEXT, "Canonical unit of published values.", nullable=True),
        _KIND,
    ),
    key=("point_id",),
    sort=("plant", "equipment_path", "avatar", "attribute"),
)

VERSIONS: Final = Table(
    LAYER,
    "versions",
    "The log of the referential: one row per change that was put in force.",
    (
        Column("version", ColumnType.INTEGER, "Version of the referential, counted from 1.", minimum=1),
        Column("change_id", ColumnType.INTEGER, "Key of the change.", minimum=0),
        Column("recorded_at", ColumnType.TIMESTAMP, "When it came into force."),
        Column("author", ColumnType.TEXT, "Who changed it."),
        Column("reason", ColumnType.TEXT, "Why."),
        Column("run_id", ColumnType.TEXT, "Dagster run that put it in force."),
        Column("recorded", ColumnType.INTEGER, "Rows recorded.", minimum=0),
        Column("retired", ColumnType.INTEGER, "Rows retired.", minimum=0),
        Column("tables", ColumnType.TEXT, "JSON object: table to [rows recorded, rows retired]."),
        Column("plants", ColumnType.TEXT, "JSON array of the plants that were read anew."),
        Column("inputs", ColumnType.TEXT, "JSON object: fingerprints of what the referential was built from."),
    ),
    key=("version",),
    sort=("version",),
)

RETIRED: Final = Table(
    LAYER,
    "retired",
    "Rows that are no longer in force, and the change that retired them.",
    (
        Column("table_name", ColumnType.TEXT, "Table of the row."),
        ROW_ID,
        RECORDED_BY,
        Column("retired_by", ColumnType.INTEGER, "Change that retired the row.", minimum=0),
    ),
    key=("table_name", "row_id", "recorded_by"),
    sort=("table_name", "row_id"),
)

HISTORISED: Final = (DATA_MODELS, MODEL_ATTRIBUTES, EQUIPMENT, AVATARS, SIGNALS)
"""Tables whose rows are recorded and retired by changes."""

TABLES: Final = (*HISTORISED, POINTS, VERSIONS, RETIRED)
