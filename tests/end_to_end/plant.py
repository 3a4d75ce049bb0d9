"""A plant in a temporary folder, driven through the real jobs, and the tables it ends up with."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
import duckdb

from idm_assets.aggregated import tables as aggregated
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.driver import Driver, Report
from resources.lake import Lake
from resources.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "examples"
EVENT_DAY_TABLES = (*cleaned.TABLES, *contextualized.TABLES, *aggregated.TABLES)


class Plant:
    """One home folder with the example configuration, and an instance that forgets."""

    def __init__(self, home: Path, name: str = "nist") -> None:
        self.home = home
        self.name = name
        self.config = home / "config"
        # Without the standards: reading them takes longer than most of these tests, and no capture speaks of them. Nor
        # of the fleet, which has tests of its own.
        standards = shutil.ignore_patterns(
            "companion", "shells", "standards.yaml", "showroom.yaml", "capmetro.yaml", "fleet.yaml", "vehicles"
        )
        shutil.copytree(EXAMPLES / "config", self.config, ignore=standards)
        self.settings = Settings(home=str(home), config=str(self.config), settle_seconds=0)
        (home / "instance").mkdir()
        self.instance = dg.DagsterInstance.ephemeral(tempdir=str(home / "instance"))
        self.landing = self.settings.landing_path / name
        self.landing.mkdir(parents=True)

    def land(self, path: str, content: bytes) -> None:
        """Put a file into the landing zone, as a careful sender does."""
        target = self.landing / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.write_bytes(content)
        part.replace(target)

    def land_examples(self, names: Iterable[str]) -> None:
        """Land some of the example files, by their path below the plant."""
        for name in names:
            self.land(name, (EXAMPLES / "landing" / self.name / name).read_bytes())

    def ingest(self) -> Report:
        """Bring everything up to date."""
        return Driver(self.settings, self.instance, lambda _job, _days: None).bring_up_to_date()

    def ask(self, query: str) -> list[tuple[object, ...]]:
        """Ask the published catalog, as an analyst does."""
        con = duckdb.connect(str(self.settings.catalog_path), read_only=True)
        try:
            con.execute("SET TimeZone = 'UTC'").fetchall()
            return con.sql(query).fetchall()
        finally:
            con.close()

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """All rows of all event-day tables, sorted, to compare one plant's tables with another's."""
        lake = Lake(settings=self.settings)
        found: dict[str, list[tuple[object, ...]]] = {}
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'").fetchall()
            for table in EVENT_DAY_TABLES:
                names = ", ".join(f'"{column.name}"' for column in table.columns)
                found[table.qualified_name] = con.sql(
                    f"SELECT {names} FROM ({lake.relation(table)}) ORDER BY ALL"
                ).fetchall()
        return found
