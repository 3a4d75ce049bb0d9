"""A small plant of presses, written as configuration, and a lake to put it in force in."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from idm_assets.referential import tables
from idm_assets.referential.history import Change, Version, in_force
from idm_assets.referential.refresh import apply, planned
from idm_assets.referential.sources import read_sources
from resources.engine import Engine
from resources.lake import Lake
from resources.settings import Settings

MODELS = """
models:
  - name: Press
    version: 1.0.0
    kind: telemetry
    description: A press.
    attributes:
      - {name: force, data_type: double, unit: kN, range: {minimum: 0, maximum: 900}, description: Force.}
      - {name: temperature, data_type: double, unit: degC, description: Temperature.}
      - {name: mode, data_type: string, allowed: [AUTO, MANUAL], description: Mode.}
"""
EQUIPMENT = [{"path": "E", "level": "Enterprise"}, {"path": "E/L1", "level": "ProductionLine"}]


def write_plant(config: Path, plant: str = "P", models: str = MODELS, **content: Any) -> Path:
    """Write the models and one plant file, whose fields are given."""
    (config / "models").mkdir(parents=True, exist_ok=True)
    (config / "models" / "models.yaml").write_text(models)
    (config / "referential").mkdir(exist_ok=True)
    text = yaml.safe_dump({"plant": plant, "equipment": EQUIPMENT, **content}, sort_keys=False)
    (config / "referential" / f"{plant}.yaml").write_text(text)
    return config


def write_table(config: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as CSV beside the plant files; returns the name."""
    listed = list(rows)
    columns = list(listed[0])
    lines = [",".join(columns), *(",".join(str(row.get(c, "")) for c in columns) for row in listed)]
    (config / "referential").mkdir(parents=True, exist_ok=True)
    (config / "referential" / name).write_text("\n".join(lines) + "\n")
    return name


class Register:
    """A lake with a referential in it, refreshed from a folder."""

    def __init__(self, home: Path, config: Path) -> None:
        self.settings = Settings(home=str(home), config=str(config))
        self.config = config
        self.lake = Lake(settings=self.settings)

    def refresh(self, reason: str = "test", author: str = "someone") -> Version | None:
        """Put the configuration in force."""
        sources = read_sources(self.config)
        with Engine(settings=self.settings).workbench() as con, planned(con, self.lake, sources) as plan:
            return apply(con, self.lake, plan, Change(author, reason, "run"))

    def plan(self) -> dict[str, tuple[int, int]]:
        """What a refresh would record and retire, by table."""
        sources = read_sources(self.config)
        with Engine(settings=self.settings).workbench() as con, planned(con, self.lake, sources) as plan:
            return dict(plan.staged.counts)

    def rows(self, table: tables.Table, columns: str, version: int | None = None) -> list[tuple[Any, ...]]:
        """Some columns of a table in force, sorted."""
        with Engine(settings=self.settings).connect() as con:
            return con.sql(f"SELECT {columns} FROM ({in_force(self.lake, table, version)}) ORDER BY ALL").fetchall()

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All tables in force, without the key of the change that recorded a row."""
        return {table.name: self.rows(table, "* EXCLUDE (recorded_by)") for table in tables.HISTORISED}
