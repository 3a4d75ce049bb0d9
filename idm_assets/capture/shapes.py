"""Shapes of tables: how a row with named fields becomes observations, or one record.

Wherever a field is named, a template may stand instead: text with names in braces, which are fields of the row, names
of the path's groups, or of the head of the file, such as ``{equipment}``.

Belongs here: the declarations. Does not belong here: their SQL (`decoders.tabular`), formats, time, statuses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from idm_assets.capture.time_reading import Key, TimeReading
from idm_assets.fingerprint import canonical

IN_BRACES: Final = re.compile(r"\{([^{}]+)\}")


class Extract(BaseModel):
    """A part of a field's text: what the only group of a regular expression (RE2) finds in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: Key
    pattern: str = Field(min_length=1, max_length=1000)

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, value: str) -> str:
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if groups != 1:
            raise ValueError(f"expected exactly one group in parentheses, found {groups}")
        return value


Pick = Key | Extract


class Pair(BaseModel):
    """A field with the name of a tag, and one with its value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: Pick
    value: Pick


class LongReading(BaseModel):
    """Rows of which each is one observation.

    Attributes:
        tag: field that names the tag.
        value: field that holds the value.
        status: field that holds the status; without one, values are Good.
        source: field that names the source; without one, or where it is blank, the path names it.
        unit: field that holds the unit; it is kept with the observation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: Pick
    value: Pick
    status: Pick | None = None
    source: Pick | None = None
    unit: Pick | None = None


class PairsReading(BaseModel):
    """Rows with several tags and values side by side; a pair whose tag is blank is none.

    Attributes:
        pairs: the fields of each pair, in order.
        source: as for `LongReading`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: tuple[Pair, ...] = Field(min_length=1, max_length=1000)
    source: Pick | None = None


class WideReading(BaseModel):
    """Rows with a column per tag.

    Attributes:
        columns: tag to the field that holds its values; without them all fields are tags, but those that say the
            time or the source.
        without: fields that are no tags, where all others are.
        tag: how the tag is made of the name of its column; the name in braces is ``{column}``.
        source: as for `LongReading`.
        empty: whether an empty cell says nothing, or that there is no value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: Mapping[Key, Pick] = Field(default_factory=dict, max_length=10_000)
    without: tuple[Key, ...] = ()
    tag: Key = "{column}"
    source: Pick | None = None
    empty: Literal["not_reported", "no_data"] = "not_reported"

    @model_validator(mode="after")
    def _either_or(self) -> WideReading:
        if self.columns and self.without:
            raise ValueError("columns and without: give one of them; what is not among columns is left out anyway")
        if "{column}" not in self.tag and not self.columns:
            raise ValueError("tag: write {column} where the name of the column belongs, or all tags would be one")
        return self


class RecordReading(BaseModel):
    """Rows of which each is a record of a model.

    Attributes:
        model: name of the record model.
        version: major version of the model; None: the highest there is.
        fields: attribute to the field that has its value; all others have fields of their own name.
        only: the fields that belong to the record; without them all do.
        time: how the time of the record is read, where that is not the time of the row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(min_length=1, max_length=200)
    version: int | None = Field(default=None, ge=0)
    fields: dict[Key, Key] = Field(default_factory=dict)
    only: tuple[Key, ...] = ()
    time: TimeReading | None = None

    def declared(self, time_fields: tuple[str, ...], zone: str) -> str:
        """What `cleaned.records` has to know of it, as canonical JSON.

        Args:
            time_fields: fields that say the time; they are no unknown fields of the record.
            zone: IANA zone of timestamps that carry none.
        """
        return canonical(
            {"version": self.version, "timestamps": list(time_fields), "timezone": zone, "fields": dict(self.fields)}
        )
