"""Made-up fleets of any size: data models, plants, tables of avatars, bindings and equipment, observations.

A fleet is a tree: every thousand avatars are a cell with one machine on top, every ten of them a unit of that
machine, the rest parts of the unit. Four of five have an equipment path of their own, the others that of their
whole. Each model has three attributes with a range; the first is delivered in another unit. What a row says is a
function of its position alone. DuckDB writes the tables, in constant memory.

Belongs here: the files that a referential is built from, and what the tables must have then. Does not belong here:
building or timing anything.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import yaml

from idm_assets.sql import literal

FORMATS: Final = ("parquet", "csv")
ATTRIBUTES: Final = 3
CELL: Final = 1000
MAX_CHANGES: Final = 20
CHANGED: Final = 100
"""Avatars that one table of changes names."""

START: Final = "2024-01-01"
_FIRST_CHANGE: Final = datetime(2024, 6, 1, tzinfo=UTC)
_ENTERPRISE: Final = "Fleet"
_TEMPERATURE: Final = ("temperature", "degC", -40, 180)
_FAMILIES: Final = {
    "Press": (_TEMPERATURE, ("force", "kN", 0, 900), ("stroke", "mm", 0, 1200)),
    "Robot": (_TEMPERATURE, ("current", "A", 0, 80), ("speed", "mm/s", 0, 2500)),
    "Pump": (_TEMPERATURE, ("pressure", "bar", 0, 40), ("power", "kW", 0, 250)),
    "Oven": (_TEMPERATURE, ("power", "kW", 0, 800), ("energy", "kWh", 0, 1e9)),
    "Conveyor": (_TEMPERATURE, ("current", "A", 0, 40), ("speed", "m/s", 0, 5)),
    "Spindle": (_TEMPERATURE, ("vibration", "mm/s", 0, 60), ("power", "kW", 0, 120)),
}
_DELIVERED: Final = {"temperature": "degF"}
_COLUMNS: Final = {
    "avatar": "Asset No", "name": "Designation", "model": "Type", "parent": "Part of", "equipment_path": "Location",
    "external_ids.serial_number": "Serial No", "external_ids.inventory_number": "Inventory No",
    "static_attributes.manufacturer": "Manufacturer", "static_attributes.year": "Year",
}  # fmt: skip
"""Our column to what the tables of avatars call it, as a company's own export would."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is made.

    Attributes:
        avatars: avatars in total, each with three bindings.
        plants: plants that share them.
        models: data models, at least twelve, so that every one has another with the same attributes.
        format: ``parquet`` or ``csv``.
    """

    avatars: int
    plants: int
    models: int
    format: str

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"unknown format {self.format!r}; known: {', '.join(FORMATS)}")
        if self.models < 2 * len(_FAMILIES):
            raise ValueError(f"expected at least {2 * len(_FAMILIES)} models")
        if self.plants < 1 or self.avatars < self.plants * MAX_CHANGES * CHANGED:
            raise ValueError(f"expected at least {MAX_CHANGES * CHANGED} avatars per plant, for changes to choose from")

    @property
    def plant_names(self) -> list[str]:
        """Names of the plants."""
        return [f"plant{number:02}" for number in range(1, self.plants + 1)]

    @property
    def model_names(self) -> list[str]:
        """Names of the models; those of one family have the same attributes."""
        families = list(_FAMILIES)
        return [f"{families[n % len(families)]} {n // len(families) + 1:02}" for n in range(self.models)]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of the referential's tables."""
        cells = [self._cells(plant) for plant in range(self.plants)]
        above = sum(1 + -(-n // 10) + -(-n // 100) for n in cells)
        return {
            "data_models": self.models,
            "model_attributes": ATTRIBUTES * self.models,
            "equipment": self.plants + above + sum(cells),
            "avatars": self.avatars,
            "signals": ATTRIBUTES * self.avatars,
        }

    def numbers(self, plant: int) -> range:
        """The avatars of a plant, numbered over all plants."""
        return range(self.avatars * plant // self.plants, self.avatars * (plant + 1) // self.plants)

    def _cells(self, plant: int) -> int:
        return -(-len(self.numbers(plant)) // CELL)


CHANGED_ROWS: Final = {
    "avatars": (2 * CHANGED, CHANGED),
    "signals": (2 * ATTRIBUTES * CHANGED, ATTRIBUTES * CHANGED),
}
"""Rows that one table of changes records and retires: the former rows end, new ones start."""


# --- configuration and tables ----------------------------------------------------------------------------


def write_fleet(fleet: Fleet, config: Path) -> None:
    """Write models, plants and their tables below a configuration folder."""
    for folder in ("models", "referential/tables"):
        (config / folder).mkdir(parents=True, exist_ok=True)
    (config / "models" / "fleet.yaml").write_text(yaml.safe_dump({"models": _models(fleet)}, sort_keys=False))
    con = _connection()
    for plant, name in enumerate(fleet.plant_names):
        tables = config / "referential" / "tables"
        _write(con, _equipment(fleet, plant), tables / f"{name}-equipment.{fleet.format}")
        _write(con, _avatars(fleet, plant), tables / f"{name}-avatars.{fleet.format}")
        _write(con, _signals(fleet, plant), tables / f"{name}-signals.{fleet.format}")
        imports = [
            {"format": "table", "of": "equipment", "file": f"tables/{name}-equipment.{fleet.format}"},
            {"format": "table", "of": "avatars", "file": f"tables/{name}-avatars.{fleet.format}", "columns": _COLUMNS,
             "valid_from": START},
            {"format": "table", "of": "signals", "file": f"tables/{name}-signals.{fleet.format}", "valid_from": START},
        ]  # fmt: skip
        _write_plant(config, name, imports)
    con.close()


def write_change(fleet: Fleet, config: Path, number: int, plants: Sequence[int]) -> None:
    """Add a table of changes of a hundred random avatars: another model, and another place.

    Args:
        fleet: what was written.
        config: configuration folder.
        number: number of the change, from 0; each concerns other avatars and starts a day after the one before.
        plants: numbers of the plants that share the avatars.
    """
    start = f"{_FIRST_CHANGE + timedelta(days=number):%Y-%m-%d}"
    con = _connection()
    for share, plant in enumerate(plants):
        name = fleet.plant_names[plant]
        drawn = random.Random(plant).sample(fleet.numbers(plant), MAX_CHANGES * CHANGED)  # noqa: S311 - reproducible
        chosen = drawn[number * CHANGED :][share * CHANGED // len(plants) : (share + 1) * CHANGED // len(plants)]
        file = f"tables/{name}-change{number:03}.{fleet.format}"
        _write(con, _changed_avatars(fleet, plant, chosen), config / "referential" / file)
        item = {"format": "table", "of": "avatars", "file": file, "columns": _COLUMNS, "valid_from": start,
                "extent": "changes"}  # fmt: skip
        written = yaml.safe_load((config / "referential" / f"{name}.yaml").read_text())
        _write_plant(config, name, [*written["imports"], item])
    con.close()


def _models(fleet: Fleet) -> list[dict[str, Any]]:
    return [
        {
            "name": name, "version": "1.0.0", "kind": "telemetry", "description": f"A {name.lower()}.",
            "attributes": [
                {"name": attribute, "data_type": "double", "unit": unit,
                 "range": {"minimum": minimum, "maximum": maximum}, "description": f"Its {attribute}."}
                for attribute, unit, minimum, maximum in _FAMILIES[name.split()[0]]
            ],
        }
        for name in fleet.model_names
    ]  # fmt: skip


def _write_plant(config: Path, name: str, imports: Sequence[dict[str, Any]]) -> None:
    equipment = [
        {"path": _ENTERPRISE, "level": "Enterprise"},
        {"path": f"{_ENTERPRISE}/{name}", "level": "Site"},
    ]
    text = yaml.safe_dump({"plant": name, "equipment": equipment, "imports": list(imports)}, sort_keys=False)
    (config / "referential" / f"{name}.yaml").write_text(text)


def _write(con: duckdb.DuckDBPyConnection, query: str, path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    shape = "FORMAT parquet, COMPRESSION zstd" if path.suffix == ".parquet" else "FORMAT csv, HEADER true"
    con.execute(f"COPY ({query}) TO {literal(str(path))} ({shape})").fetchall()


def _connection() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'").fetchall()
    con.execute("SET memory_limit = '1GB'").fetchall()
    return con


def _path(cell: str, site: str) -> str:
    """SQL expression for the path of a cell, whose area and line follow from its number."""
    return (
        f"{literal(site)} || '/area' || lpad(({cell} // 100)::VARCHAR, 2, '0')"
        f" || '/line' || lpad(({cell} // 10)::VARCHAR, 3, '0') || '/cell' || lpad(({cell})::VARCHAR, 4, '0')"
    )


def _site(fleet: Fleet, plant: int) -> str:
    return f"{_ENTERPRISE}/{fleet.plant_names[plant]}"


def _equipment(fleet: Fleet, plant: int) -> str:
    first = fleet.numbers(plant)[0]
    last = fleet.numbers(plant)[-1]
    cells = f"SELECT {_path('c', _site(fleet, plant))} AS path FROM range({(last - first) // CELL + 1}) AS r(c)"
    levels = {0: "WorkCell", 1: "ProductionLine", 2: "Area"}
    queries = [
        f"SELECT DISTINCT regexp_replace(path, '(/[^/]*){{{above}}}$', '') AS equipment_path, {literal(level)} AS level"
        f" FROM ({cells})"
        for above, level in levels.items()
    ]
    return f"{' UNION ALL '.join(queries)} ORDER BY equipment_path"


def _numbered(fleet: Fleet, plant: int) -> str:
    """Query for ``n``, the number of an avatar, ``i``, its place in the plant, and ``type``, that of its model."""
    numbers = fleet.numbers(plant)
    return (
        f"SELECT n, n - {numbers.start} AS i, (hash(n // 10) % {fleet.models})::INT AS type"
        f" FROM range({numbers.start}, {numbers.stop}) AS r(n)"
    )


def _name(n: str) -> str:
    return f"'AV-' || lpad(({n})::VARCHAR, 7, '0')"


def _model(fleet: Fleet, number: str) -> str:
    listed = ", ".join(map(literal, fleet.model_names))
    return f"([{listed}])[{number} + 1]"


def _avatars(fleet: Fleet, plant: int) -> str:
    numbered = _numbered(fleet, plant)
    place = _path(f"i // {CELL}", _site(fleet, plant))
    return _avatar_rows(numbered, _model(fleet, "type"), f"CASE WHEN i % 10 < 8 THEN {place} END")


def _changed_avatars(fleet: Fleet, plant: int, chosen: Sequence[int]) -> str:
    """The rows of some avatars, with the next model of the family, and on the line instead of in the cell."""
    listed = ", ".join(map(str, chosen))
    numbered = f"SELECT * FROM ({_numbered(fleet, plant)}) WHERE n IN ({listed})"
    families = len(_FAMILIES)
    other = f"CASE WHEN type + {families} < {fleet.models} THEN type + {families} ELSE type % {families} END"
    line = f"regexp_replace({_path(f'i // {CELL}', _site(fleet, plant))}, '/[^/]*$', '')"
    return _avatar_rows(numbered, _model(fleet, other), line)


def _avatar_rows(numbered: str, model: str, place: str) -> str:
    values = {
        "avatar": _name("n"),
        "name": f"'Asset ' || n || ' of cell ' || i // {CELL}",
        "model": model,
        "parent": f"CASE WHEN i % {CELL} = 0 THEN NULL WHEN i % 10 = 0 THEN {_name(f'n - i % {CELL}')}"
        f" ELSE {_name('n - i % 10')} END",
        "equipment_path": place,
        "external_ids.serial_number": "'SN' || upper(left(md5(n::VARCHAR), 10))",
        "external_ids.inventory_number": "CASE WHEN n % 4 > 0 THEN 'INV' || (70000000 + n) END",
        "static_attributes.manufacturer": "['Alpin', 'Meridian', 'Nordlicht', 'Tessin', 'Vulkan']"
        "[(hash(n) % 5)::INT + 1]",
        "static_attributes.year": "1995 + hash(n, 'year') % 29",
    }
    columns = ", ".join(f'{value} AS "{_COLUMNS[ours]}"' for ours, value in values.items())
    return f"SELECT {columns} FROM ({numbered}) ORDER BY n"


def _signals(fleet: Fleet, plant: int) -> str:
    """Three tags for every avatar, named as in an OPC UA server; one source per line."""
    families = ", ".join(
        "[" + ", ".join(literal(attribute) for attribute, *_ in attributes) + "]" for attributes in _FAMILIES.values()
    )
    delivered = " ".join(f"WHEN {literal(name)} THEN {literal(unit)}" for name, unit in _DELIVERED.items())
    return (
        f"SELECT 'opc-line' || lpad((i // {10 * CELL})::VARCHAR, 3, '0') AS source,"
        f" 'ns=2;s=cell' || lpad((i // {CELL})::VARCHAR, 4, '0') || '.' || n || '.' || attribute AS tag,"
        f" {_name('n')} AS avatar, attribute, CASE attribute {delivered} END AS unit"
        f" FROM (SELECT n, i, unnest(([{families}])[type % {len(_FAMILIES)} + 1]) AS attribute"
        f" FROM ({_numbered(fleet, plant)}))"
    )


# --- observations ----------------------------------------------------------------------------------------

DAY: Final = datetime(2024, 7, 1, tzinfo=UTC)
PLANT: Final = "plant01"


def write_observations(path: Path, observations: int, signals: int) -> None:
    """Write one day of observations, evenly over some signals, sorted like `cleaned.observations`.

    Args:
        path: Parquet file to write.
        observations: rows in total; each signal gets the same number.
        signals: number of signals.
    """
    per_signal = observations // signals
    start = f"epoch_us(TIMESTAMPTZ '{DAY:%Y-%m-%d} 00:00:00+00')"
    step = 86_400_000_000 // per_signal
    con = _connection()
    _write(
        con,
        f"SELECT {_key(f'(i // {per_signal})', signals)} AS signal_id,"
        f" make_timestamptz({start} + (i % {per_signal}) * {step}) AS ts,"
        " round(60 + 40 * sin(i / 5000.0) + (hash(i) % 20000) / 1000, 3) AS value, NULL::VARCHAR AS text,"
        f" 0::BIGINT AS status FROM range({per_signal * signals}) AS r(i)",
        path,
    )
    con.close()


def write_bindings(path: Path, signals: int, changing: float) -> None:
    """Write what `referential.signals` would say of the signals of `write_observations`.

    Args:
        path: Parquet file to write.
        signals: number of signals.
        changing: share of the signals whose binding changes at noon; the others have one since ever.
    """
    noon = f"TIMESTAMPTZ '{DAY:%Y-%m-%d} 12:00:00+00'"
    changes = f"s % 1000 < {round(changing * 1000)}"
    row = (
        f"SELECT {literal(PLANT)} AS plant, {_key('s', signals)} AS signal_id, 'opc-line' || s % 10 AS source,"
        " (hash(s, {start}) >> 1)::BIGINT AS point_id, 'double' AS data_type, 'measurement' AS kind,"
        " 'stepped' AS hold, 5 / 9 AS factor, -160 / 9 AS \"offset\", -40.0 AS minimum, 356.0 AS maximum,"
        " NULL::VARCHAR AS allowed, {start}::TIMESTAMPTZ AS valid_from, {end}::TIMESTAMPTZ AS valid_to"
        f" FROM range({signals}) AS r(s)"
    )
    con = _connection()
    before, after = (
        row.format(start="NULL", end=f"CASE WHEN {changes} THEN {noon} END"),
        row.format(start=noon, end="NULL"),
    )
    _write(con, f"{before} UNION ALL {after} WHERE {changes}", path)
    con.close()


def _key(number: str, signals: int) -> str:
    """SQL expression for a signal's key: spread over 63 bits like the real ones, and in order of the numbers."""
    apart = 2**63 // signals
    return f"({number} * {apart} + (hash({number}) % {apart})::BIGINT)"
