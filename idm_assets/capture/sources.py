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

from idm_assets.capture.content import Expected
from idm_assets.capture.decoders import Decoder
from idm_assets.capture.decoders.registry import RECORDS_ONLY, decoder_for, is_tabular, row_format_for
from idm_assets.capture.decoders.tabular import Shape, Tabular
from idm_assets.capture.shapes import LongReading, PairsReading, RecordReading, WideReading
from idm_assets.capture.status_reading import StatusReading
from idm_assets.capture.time_reading import TimeReading
from idm_assets.configuration import ConfigurationError, load_folder
from idm_assets.fingerprint import fingerprint

ARCHIVE_SUFFIXES: Final = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tbz2", ".tar.zst", ".tzst")

_NO_COLUMNS: Final = ("json", "json_lines")

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class SourceEntry(BaseModel):
    """One declaration: the files of a plant that are read alike.

    Attributes:
        name: unique among all declarations; part of each capture's identity.
        plant: plant, which is also the folder below the landing zone.
        glob: shell pattern over the path below the plant's folder; ``*`` also crosses folders.
        format: name of a registered decoder.
        options: the format's own options.
        time: how the time of a row is read, in formats that deliver rows.
        long: each row is one observation.
        pairs: each row has several tags with their values.
        wide: each row has a column per tag.
        record: each row is one record of a model; beside long, pairs or wide, each row is both.
        status: how statuses are read, and which values stand for none.
        path_pattern: regular expression over the whole path. Its group ``source`` names the source; all other
            named groups are facts of the path that tell captures of equal content apart, such as a date.
        source: the source's name, where all files are of one source and the path does not say it.
        timezone: IANA zone of timestamps that carry none.
        lateness_days: how long a day's data may take to arrive before the day counts as missing.
        expected: whether each day between a source's first and last is expected to have data.
        archive_days: how long delivered files are kept in the archive after their arrival, at least 7; None: for ever.
        description: what people should know of the source.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    plant: Name
    glob: str = Field(min_length=1, max_length=500)
    format: str
    options: Mapping[str, Any] = Field(default_factory=dict)
    time: TimeReading | None = None
    long: LongReading | None = None
    pairs: PairsReading | None = None
    wide: WideReading | None = None
    record: RecordReading | None = None
    status: StatusReading = Field(default_factory=StatusReading)
    path_pattern: str | None = Field(default=None, max_length=1000)
    source: str | None = Field(default=None, min_length=1, max_length=200)
    timezone: str = "UTC"
    lateness_days: int = Field(default=3, ge=0, le=3650)
    expected: Literal["daily", "irregular"] = "daily"
    archive_days: int | None = Field(default=None, ge=7, le=36_500)
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
        shapes = [shape for shape in (self.long, self.pairs, self.wide) if shape is not None]
        if is_tabular(self.format):
            if self.time is None:
                raise ValueError("time: say which field of a row tells its time, for example time: {field: timestamp}")
            if self.wide is not None and not self.wide.columns and self.format in _NO_COLUMNS:
                raise ValueError(
                    "wide: objects have no columns of their own; name them (columns), or write"
                    " options: {entries: $} and long: {tag: key, value: value}"
                )
            if len(shapes) > 1 or not (shapes or self.record):
                raise ValueError("say what a row is: exactly one of long, pairs or wide, or record, or one and record")
        elif shapes or self.time is not None or (self.record is not None and self.record.time is not None):
            raise ValueError(f"the format {self.format} says itself what it means; remove time, long, pairs and wide")
        elif (self.record is not None) != (self.format in RECORDS_ONLY):
            wanted = "needs record" if self.format in RECORDS_ONLY else "has no records; remove record"
            raise ValueError(f"the format {self.format} {wanted}")
        try:
            self.readings()
        except KeyError as error:
            raise ValueError(str(error.args[0])) from error
        except ValidationError as error:
            wrong = [f"options.{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
            raise ValueError("; ".join(wrong)) from error
        return self

    def readings(self) -> tuple[Reading, ...]:
        """What is made of each file: observations, records, or both."""
        if not is_tabular(self.format):
            return (Reading(decoder_for(self.format, self.options, self.timezone), self.record),)
        rows = row_format_for(self.format, self.options)
        observed: Shape | None = self.long or self.pairs or self.wide
        readings: list[Reading] = []
        assert self.time is not None, "formats that deliver rows have a time"
        if observed is not None:
            readings.append(Reading(Tabular(rows, self.time, observed, self.status, self.timezone), None))
        if self.record is not None:
            time = self.record.time or self.time
            readings.append(Reading(Tabular(rows, time, self.record, self.status, self.timezone), self.record))
        return tuple(readings)

    def expected_content(self) -> Expected:
        """What the survey has to make of a file before it is decoded."""
        return self.readings()[0].decoder.expected

    def record_declaration(self) -> str:
        """What `cleaned.records` has to know of how records are read, as canonical JSON."""
        assert self.record is not None, "only declarations of records are asked"
        time = self.record.time or self.time
        return self.record.declared(() if time is None else time.fields, self.timezone)

    def zone(self) -> ZoneInfo:
        """The zone of timestamps that carry none."""
        return ZoneInfo(self.timezone)

    def fingerprint(self) -> str:
        """Fingerprint of all that decides how a file of this entry is decoded."""
        shapes = {"time": self.time, "long": self.long, "pairs": self.pairs, "wide": self.wide, "record": self.record}
        declared = {name: shape.model_dump(mode="json") for name, shape in shapes.items() if shape is not None}
        if self.status != StatusReading():
            declared["status"] = self.status.model_dump(mode="json")
        return fingerprint(
            {
                "format": self.format,
                "code": [reading.decoder.code_version for reading in self.readings()],
                "options": dict(self.options),
                "timezone": self.timezone,
                **declared,
            }
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that is made of a file.

    Attributes:
        decoder: the decoder, set up as declared.
        record: how records are read; None: the units are observations.
    """

    decoder: Decoder
    record: RecordReading | None


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
        found = _matched(entry, path)
        if found is None and is_archive_name(path):
            # What the pattern asks for may stand in the paths of the members.
            found = Claim(entry, entry.source, {})
        if found is not None:
            claims.append(found)
    if not claims:
        return "no source declaration claims it"
    if len(claims) > 1:
        return "several source declarations claim it: " + ", ".join(c.entry.name for c in claims)
    return claims[0]


def claim_member(archive: Claim, path: str) -> Claim | str:
    """What the path of an archive's member says, by the declaration that claimed the archive.

    Args:
        archive: the claim of the archive.
        path: POSIX path of the archive, then that of the member.

    Returns:
        The claim, or a sentence that says why the declaration does not read it.
    """
    found = _matched(archive.entry, path)
    if found is not None:
        return (
            found if archive.entry.path_pattern is not None else Claim(archive.entry, archive.source, {"member": path})
        )
    if archive.facts or archive.source is not None:
        return Claim(archive.entry, archive.source, {**archive.facts, "member": path})
    return f"the path pattern of {archive.entry.name} matches neither the archive nor {path!r}"


def is_archive_name(path: str) -> bool:
    """Whether a path is named like an archive of several files."""
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def _matched(entry: SourceEntry, path: str) -> Claim | None:
    """The claim of a path that the entry's pattern matches; without a pattern every path does."""
    if entry.path_pattern is None:
        return Claim(entry, entry.source, {})
    match = re.fullmatch(entry.path_pattern, path)
    if match is None:
        return None
    facts = {name: text for name, text in match.groupdict().items() if text is not None}
    return Claim(entry, facts.pop("source", entry.source), facts)
