"""Contracts of the referential: data models, equipment, avatars and the bindings of tags over time.

All tables are unpartitioned and hold the version in force; former versions are in their Delta history.
Times of validity are half-open, ``[valid_from, valid_to)``; NULL means unbounded.
"""

from __future__ import annotations

from typing import Final

from idm_assets.contracts import PLANT, Column, ColumnType, Table

LAYER: Final = "referential"

VALID_FROM: Final = Column(
    "valid_from", ColumnType.TIMESTAMP, "Start of validity, included; NULL: since ever.", nullable=True
)
VALID_TO: Final = Column(
    "valid_to", ColumnType.TIMESTAMP, "End of validity, excluded; NULL: until further notice.", nullable=True
)

DATA_TYPES: Final = ("double", "string", "vector3")
KINDS: Final = ("measurement", "state", "text")
ISA95_LEVELS: Final = (
    "Enterprise", "Site", "Area", "ProcessCell", "Unit", "ProductionLine", "WorkCell", "ProductionUnit",
    "StorageZone", "StorageUnit", "WorkCenter", "WorkUnit", "EquipmentModule", "ControlModule", "Other",
)  # fmt: skip

DATA_MODELS: Final = Table(
    LAYER,
    "data_models",
    "Versioned types of things: one row per model, version and attribute.",
    (
        Column("model", ColumnType.TEXT, "Name of the data model."),
        Column("version", ColumnType.TEXT, "Semantic version of the model."),
        Column("model_description", ColumnType.TEXT, "What the model describes.", nullable=True),
        Column("attribute", ColumnType.TEXT, "Name of the attribute."),
        Column("description", ColumnType.TEXT, "What the attribute means.", nullable=True),
        Column("data_type", ColumnType.TEXT, "Type of the attribute's values.", allowed=DATA_TYPES),
        Column(
            "kind",
            ColumnType.TEXT,
            "measurement: a quantity; state: holds until it changes and makes intervals; text: neither.",
            allowed=KINDS,
        ),
        Column("unit", ColumnType.TEXT, "Canonical unit of published values.", nullable=True),
        Column("minimum", ColumnType.DOUBLE, "Smallest plausible value, in the canonical unit.", nullable=True),
        Column("maximum", ColumnType.DOUBLE, "Largest plausible value, in the canonical unit.", nullable=True),
    ),
    key=("model", "version", "attribute"),
    sort=("model", "version", "attribute"),
)

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
    ),
    key=("plant", "equipment_path"),
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
        Column("manufacturer", ColumnType.TEXT, "Maker.", nullable=True),
        Column("product", ColumnType.TEXT, "Maker's name of the product.", nullable=True),
        Column("serial_number", ColumnType.TEXT, "Maker's serial number.", nullable=True),
        Column("external_id", ColumnType.TEXT, "Identifier in the system it was imported from.", nullable=True),
        Column("description", ColumnType.TEXT, "What people say of it.", nullable=True),
        VALID_FROM,
        VALID_TO,
    ),
    key=("plant", "avatar", "valid_from"),
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
        Column("data_type", ColumnType.TEXT, "Type of the attribute's values.", allowed=DATA_TYPES),
        Column("kind", ColumnType.TEXT, "measurement, state or text.", allowed=KINDS),
        Column("delivered_unit", ColumnType.TEXT, "Unit in which the source delivers.", nullable=True),
        Column("unit", ColumnType.TEXT, "Canonical unit of published values.", nullable=True),
        Column("factor", ColumnType.DOUBLE, "Published value = delivered value x factor + offset."),
        Column("offset", ColumnType.DOUBLE, "See factor."),
        Column("minimum", ColumnType.DOUBLE, "Smallest plausible value, in the delivered unit.", nullable=True),
        Column("maximum", ColumnType.DOUBLE, "Largest plausible value, in the delivered unit.", nullable=True),
        Column("rule", ColumnType.TEXT, "Name of the rule that set the range.", nullable=True),
        VALID_FROM,
        VALID_TO,
    ),
    key=("plant", "source", "tag", "valid_from"),
    sort=("plant", "source", "tag", "valid_from"),
)

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
        Column("kind", ColumnType.TEXT, "measurement, state or text.", allowed=KINDS),
    ),
    key=("point_id",),
    sort=("plant", "equipment_path", "avatar", "attribute"),
)

TABLES: Final = (DATA_MODELS, EQUIPMENT, AVATARS, SIGNALS, POINTS)
