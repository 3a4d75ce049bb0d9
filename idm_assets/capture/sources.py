"""Source declarations: which landed files belong to which source, and how they are read.

One entry may cover thousands of files: the path pattern's named groups give the source and whatever else the
path says. Declarations are YAML below ``sources/`` in the configuration folder.

Belongs here: the declaration's fields, and claiming a path. Does not belong here: listing or reading files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from idm_assets.capture.decoders import Decoder, decoder_for
from idm_assets.capture.decoders.json_records import JsonRecords, RecordReading
from idm_assets.configuration import ConfigurationError, load_folder
from idm_assets.fingerprint import fingerprint

RECORD_FORMATS: Final = ("json_lines",)

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class SourceEntry(BaseModel):
    """One declaration: the files of a plant that are read alike.

    Attributes:
        name: unique among all declarations; part of each capture's identity.
        plant: plant, which is also the folder below the landing zone.
        glob: shell pattern over the path below the plant's folder; ``*`` also crosses folders.
        format: name of a registered decoder.
        options: the decoder's own options; not for records.
        record: how each line is one record of a model; without it lines are observations.
        path_pattern: regular expression over the whole path. Its group ``source`` names the source; all other
            named groups are facts of the path that tell captures of equal content apart, such as a date.
        source: the source's name, where all files are of one source and the path does not say it.
        timezone: IANA zone of timestamps that carry none.
        lateness_days: how long a day's data may take to arrive before the day counts as missing.
        expected: whether each day between a source's first and last is expected to have data.
        description: what people should know of the source.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    plant: Name
    glob: str = Field(min_length=1, max_length=500)
    format: str
    options: Mapping[str, Any] = Field(default_factory=dict)
    record: RecordReading | None = None
    path_pattern: str | None = Field(default=None, max_length=1000)
    source: str | None = Field(default=None, min_length=1, max_length=200)
    timezone: str = "UTC"
    lateness_days: int = Field(default=3, ge=0, le=3650)
    expected: Literal["daily", "irregular"] = "daily"
    description: str = ""

    @field_validator("path_pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                re.compile(value)
            except re.error as error:
                raise ValueError(f"not a regular expression: {error}") from error
        return value

    @field_validator("timezone")
    @classmethod
    def _exists(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"unknown IANA time zone {value!r}, for example Europe/Paris")
        return value

    @model_validator(mode="after")
    def _decodes(self) -> SourceEntry:
        if self.record is not None and self.format not in RECORD_FORMATS:
            known = " or ".join(RECORD_FORMATS)
            raise ValueError(f"record: only files of the format {known} hold records so far, not {self.format!r}")
        if self.record is not None and self.options:
            raise ValueError("options: say how lines become observations; remove them, record says all that is needed")
        try:
            self.decoder()
        except KeyError as error:
            raise ValueError(str(error.args[0])) from error
        except ValidationError as error:
            wrong = [f"options.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
            raise ValueError("; ".join(wrong)) from error
        return self

    def decoder(self) -> Decoder:
        """The decoder of the entry's format, set up with its options."""
        if self.record is not None:
            return JsonRecords(self.record, self.timezone)
        return decoder_for(self.format, self.options, self.timezone)

    def zone(self) -> ZoneInfo:
        """The zone of timestamps that carry none."""
        return ZoneInfo(self.timezone)

    def fingerprint(self) -> str:
        """Fingerprint of all that decides how a file of this entry is decoded."""
        decoder = self.decoder()
        record = {} if self.record is None else {"record": self.record.model_dump()}
        return fingerprint(
            {
                "format": self.format,
                "code": decoder.code_version,
                "options": dict(self.options),
                "timezone": self.timezone,
                **record,
            }
        )


class SourceFile(BaseModel):
    """A YAML file of declarations."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[SourceEntry, ...]


@dataclass(frozen=True, slots=True)
class Claim:
    """A path that one declaration claims, with what the path says.

    Attributes:
        entry: the declaration.
        source: the source; None where the lines name it.
        facts: other named groups of the path pattern.
    """

    entry: SourceEntry
    source: str | None
    facts: Mapping[str, str]


def load_sources(config: Path) -> tuple[SourceEntry, ...]:
    """All declarations of a configuration folder, sorted by name; none if there is no ``sources`` folder.

    Raises:
        ConfigurationError: wrong fields, or two declarations of one name; every problem with file and line.
    """
    folder = config / "sources"
    if not folder.is_dir():
        return ()
    entries = [entry for document in load_folder(folder, SourceFile) for entry in document.value.sources]
    names = [entry.name for entry in entries]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigurationError([f"{folder}: two sources are named {name!r}; names are unique" for name in repeated])
    return tuple(sorted(entries, key=lambda entry: entry.name))


def claim(entries: Iterable[SourceEntry], plant: str, path: str) -> Claim | str:
    """Find the declaration that a landed path belongs to.

    Args:
        entries: all declarations.
        plant: the plant's folder.
        path: POSIX path below it.

    Returns:
        The claim, or a sentence that says why there is none: nobody claims the path, or several do.
    """
    claims: list[Claim] = []
    for entry in entries:
        if entry.plant != plant or not fnmatchcase(path, entry.glob):
            continue
        match = re.fullmatch(entry.path_pattern, path) if entry.path_pattern else None
        if entry.path_pattern and match is None:
            continue
        facts = {} if match is None else {k: v for k, v in match.groupdict().items() if v is not None}
        claims.append(Claim(entry, facts.pop("source", entry.source), facts))
    if not claims:
        return "no source declaration claims it"
    if len(claims) > 1:
        return "several source declarations claim it: " + ", ".join(c.entry.name for c in claims)
    return claims[0]
