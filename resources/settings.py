"""Where things live and how much of the machine a run may use.

Everything the product writes lies below one folder, the home; configuration is read from another.
"""

import os
from pathlib import Path

from dagster import ConfigurableResource
from pydantic import Field


class Settings(ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Paths and limits. Empty paths are taken from the environment when they are used, never at import."""

    home: str = Field(default="", description="Folder for all data; default $IDM_HOME, else ./data.")
    config: str = Field(default="", description="Folder of YAML; default $IDM_CONFIG, else ./examples/config.")
    memory_limit: str = Field(default="1GB", description="Memory that one DuckDB connection may use.")
    threads: int = Field(default=0, description="Threads per DuckDB connection; 0 means one per core.")
    settle_seconds: float = Field(default=2.0, description="A file untouched for so long is complete.")
    carry_days: int = Field(default=7, description="How many silent days a value is held across.", ge=1)

    @property
    def home_path(self) -> Path:
        """The home folder, absolute."""
        return Path(self.home or os.environ.get("IDM_HOME") or "data").absolute()

    @property
    def config_path(self) -> Path:
        """The configuration folder, absolute."""
        return Path(self.config or os.environ.get("IDM_CONFIG") or "examples/config").absolute()

    @property
    def landing_path(self) -> Path:
        """The landing zone: one folder per plant; the pipeline never writes there."""
        return self.home_path / "landing"

    @property
    def lake_path(self) -> Path:
        """Root of the Delta tables."""
        return self.home_path / "lake"

    @property
    def archive_path(self) -> Path:
        """The archive of captures, by content hash."""
        return self.home_path / "archive"

    @property
    def ledger_path(self) -> Path:
        """The ledger's SQLite file."""
        return self.home_path / "ledger.sqlite"

    @property
    def work_path(self) -> Path:
        """Scratch space for unpacked captures and spilled queries."""
        return self.home_path / "work"

    @property
    def catalog_path(self) -> Path:
        """The published DuckDB file."""
        return self.home_path / "catalog.duckdb"
