"""Made-up plant messages of any number, with the configuration that reads them.

One file per plant, source and day, as JSON lines or SHDR, at an even rate and in order of time but for the late
ones. What a message says is a function of its position and the seed alone, so the same shape makes the same
bytes (as long as DuckDB's `hash` stays the same). DuckDB writes the files, in constant memory.

Belongs here: messages, and what the product and the hand-written script have to know of them. Does not belong
here: running or timing anything.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

FORMATS: Final = ("json_lines", "shdr")
FIRST_DAY: Final = datetime(2024, 3, 4, tzinfo=UTC)
DAY_US: Final = 86_400_000_000
LATENESS_US: Final = 90 * 60_000_000
REPEATED_AFTER: Final = 997
MINIMUM: Final = -20.0
MAXIMUM: Final = 200.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What is made.

    Attributes:
        format: ``json_lines`` or ``shdr``.
        messages: messages in total; each file gets the same number, so up to one file's share is left out.
        plants: plants.
        sources: sources per plant.
        signals: signals per source.
        days: days that the messages are spread over; late ones reach 90 minutes further back.
        bad: share of messages that cannot be decoded or carry an impossible time, a third of each kind.
        late: share of messages that arrive 90 minutes after they were made.
        duplicate: share of messages that were sent before.
        out_of_range: share of messages with a value that no rule allows.
        seed: another seed makes other messages.
    """

    format: str
    messages: int
    plants: int = 1
    sources: int = 5
    signals: int = 20
    days: int = 2
    bad: float = 0.001
    late: float = 0.02
    duplicate: float = 0.01
    out_of_range: float = 0.005
    seed: int = 1

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"unknown format {self.format!r}; known: {', '.join(FORMATS)}")
        if min(self.messages, self.plants, self.sources, self.signals, self.days) < 1:
            raise ValueError("messages, plants, sources, signals and days must be at least 1")

    @property
    def suffix(self) -> str:
        """Ending of the file names."""
        return "jsonl" if self.format == "json_lines" else "shdr"

    @property
    def plant_names(self) -> list[str]:
        """Names of the plants."""
        return [f"plant{number:02}" for number in range(1, self.plants + 1)]

    @property
    def source_names(self) -> list[str]:
        """Names of the sources, the same in every plant."""
        return [f"machine{number:02}" for number in range(1, self.sources + 1)]

    @property
    def tag_names(self) -> list[str]:
        """Names of the tags, the same in every source."""
        return [f"t{number:03}" for number in range(self.signals)]

    @property
    def per_file(self) -> int:
        """Messages per file."""
        return max(1, self.messages // (self.plants * self.sources * self.days))

    @property
    def made(self) -> int:
        """Messages that are made in truth."""
        return self.per_file * self.plants * self.sources * self.days


def land(shape: Shape, landing: Path) -> None:
    """Write all files below a landing folder, as old as if they had been delivered an hour ago."""
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'").fetchall()
    con.execute("SET memory_limit = '1GB'").fetchall()
    an_hour_ago = time.time() - 3600
    number = 0
    for plant in shape.plant_names:
        for source in shape.source_names:
            folder = landing / plant / source
            folder.mkdir(parents=True, exist_ok=True)
            for day in range(shape.days):
                start = FIRST_DAY + timedelta(days=day)
                path = folder / f"{source}-{start:%Y%m%d}.{shape.suffix}"
                con.execute(
                    f"COPY ({_lines(shape, source, start, number)}) TO '{path}'"
                    " (FORMAT csv, HEADER false, DELIMITER '\x01', QUOTE '', ESCAPE '')"
                ).fetchall()
                os.utime(path, (an_hour_ago, an_hour_ago))
                number += 1
    con.close()


def _lines(shape: Shape, source: str, start: datetime, number: int) -> str:
    """Query for the lines of one file."""
    step = f"2 * ((j * {DAY_US // 2}) // {shape.per_file})"
    salt = shape.seed * 1_000_003 + number

    def share(index: str, name: str, of: float) -> str:
        return f"hash({index}, '{name}', {salt}) % 1000000 < {round(of * 1_000_000)}"

    good = {
        "json_lines": f'\'{{"ts":"\' || stamp || \'","source":"{source}","tag":"\' || tag'
        " || '\",\"value\":' || value || '}'",
        "shdr": "stamp || '|' || tag || '|' || value",
    }[shape.format]
    cut_off = {"json_lines": f"left({good}, 45)", "shdr": "stamp || '|' || tag"}[shape.format]
    # Times on time are even, late ones odd, so that no two messages of a signal meet by chance.
    return f"""
        SELECT CASE WHEN kind = 0 THEN {cut_off} ELSE {good} END AS line
        FROM (
            SELECT kind, tag, value,
                CASE kind WHEN 1 THEN '2024-13-45T00:00:00Z' WHEN 2 THEN '1999-01-01T00:00:00Z'
                    ELSE strftime(make_timestamp({int(start.timestamp()) * 1_000_000} + us), '%Y-%m-%dT%H:%M:%S.%fZ')
                END AS stamp
            FROM (
                SELECT
                    CASE WHEN {share("i", "bad", shape.bad)} THEN hash(i, 'kind', {salt}) % 3 END AS kind,
                    't' || lpad((hash(j, 'tag', {salt}) % {shape.signals})::VARCHAR, 3, '0') AS tag,
                    CASE WHEN {share("j", "late", shape.late)} THEN {step} - {LATENESS_US - 1} ELSE {step} END AS us,
                    CASE WHEN {share("j", "range", shape.out_of_range)} THEN '9999.0'
                        ELSE round(60 + 40 * sin(j / 5000.0) + (hash(j, 'value', {salt}) % 20000) / 1000, 3)::VARCHAR
                    END AS value
                FROM (
                    SELECT i, CASE WHEN i >= {REPEATED_AFTER} AND {share("i", "duplicate", shape.duplicate)}
                        THEN i - {REPEATED_AFTER} ELSE i END AS j
                    FROM range({shape.per_file}) AS r(i)
                )
            )
        )
    """


def configure(shape: Shape, config: Path) -> None:
    """Write the product's configuration: sources, machines with their tags, a plausibility rule."""
    for folder in ("sources", "referential/devices", "rules"):
        (config / folder).mkdir(parents=True, exist_ok=True)
    for plant in shape.plant_names:
        (config / "sources" / f"{plant}.yaml").write_text(_sources_yaml(shape, plant))
        (config / "referential" / f"{plant}.yaml").write_text(_REFERENTIAL_YAML.format(plant=plant))
        (config / "referential" / "devices" / f"{plant}.xml").write_text(_devices_xml(shape))
    (config / "rules" / "plausibility.yaml").write_text(
        f"rules:\n  - name: temperature\n    match:\n      attribute: temperature*\n"
        f"    minimum: {MINIMUM}\n    maximum: {MAXIMUM}\n    unit: degC\n"
    )


def write_bindings(shape: Shape, path: Path) -> None:
    """Write the hand-written script's binding table: one CSV row per signal."""
    rows = ["signal_id,plant,source,tag,factor,offset,minimum,maximum"]
    names = ((p, s, t) for p in shape.plant_names for s in shape.source_names for t in shape.tag_names)
    rows += [f"{number},{','.join(name)},1,0,{MINIMUM},{MAXIMUM}" for number, name in enumerate(names)]
    path.write_text("\n".join(rows) + "\n")


def _sources_yaml(shape: Shape, plant: str) -> str:
    named = {"json_lines": "", "shdr": "(?P<source>[^/]+)/(?P=source)"}[shape.format] or "[^/]+/[^/]+"
    entry = (
        f"sources:\n  - name: {plant}_{shape.format}\n    plant: {plant}\n    glob: '*/*.{shape.suffix}'\n"
        f"    format: {shape.format}\n    path_pattern: '{named}-(?P<day>\\d{{8}})\\.{shape.suffix}'\n"
    )
    if shape.format == "json_lines":
        entry += "    time: {field: ts}\n    long: {source: source, tag: tag, value: value}\n"
    return entry


_REFERENTIAL_YAML: Final = """plant: {plant}
equipment:
  - path: Company
    level: Enterprise
  - path: Company/{plant}
    level: Site
imports:
  - format: mtconnect_devices
    file: devices/{plant}.xml
    below: Company/{plant}
    level: WorkUnit
"""


def _devices_xml(shape: Shape) -> str:
    devices = "\n".join(_device_xml(source, shape.tag_names) for source in shape.source_names)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<MTConnectDevices xmlns="urn:mtconnect.org:MTConnectDevices:1.3">\n'
        '  <Header creationTime="2024-01-01T00:00:00Z" sender="localhost" version="1.3" instanceId="1"'
        f' assetBufferSize="1" assetCount="0" bufferSize="1"/>\n  <Devices>\n{devices}\n  </Devices>\n'
        "</MTConnectDevices>\n"
    )


def _device_xml(source: str, tags: list[str]) -> str:
    items = "\n".join(
        f'        <DataItem category="SAMPLE" type="TEMPERATURE" id="{source}_{tag}" name="{tag}"'
        ' units="CELSIUS" nativeUnits="CELSIUS"/>'
        for tag in tags
    )
    return (
        f'    <Device id="{source}" name="{source}" uuid="{source}">\n      <DataItems>\n{items}\n'
        "      </DataItems>\n    </Device>"
    )


def add_shape_arguments(parser: argparse.ArgumentParser) -> None:
    """The parameters of a shape as command-line options, but for format and number."""
    defaults = Shape("shdr", 1)
    for name in ("plants", "sources", "signals", "days", "seed"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name), help="default %(default)s")
    for name in ("bad", "late", "duplicate", "out_of_range"):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=float,
            default=getattr(defaults, name),
            help="share; default %(default)s",
        )


def shape_of(options: argparse.Namespace, file_format: str, messages: int) -> Shape:
    """The shape that command-line options ask for."""
    given = vars(options)
    names = ("plants", "sources", "signals", "days", "bad", "late", "duplicate", "out_of_range", "seed")
    return Shape(file_format, messages, **{name: given[name] for name in names})


def main() -> None:
    """Land messages, their configuration and the binding table below a folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("messages", type=int)
    add_shape_arguments(parser)
    options = parser.parse_args()
    shape = shape_of(options, options.format, options.messages)
    land(shape, options.folder / "landing")
    configure(shape, options.folder / "config")
    write_bindings(shape, options.folder / "bindings.csv")


if __name__ == "__main__":
    main()
