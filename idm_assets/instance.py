"""The Dagster instance of a home: run history and event log below the home folder.

Belongs here: where the instance lives and how it is opened. Does not belong here: what runs in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg

from resources.settings import Settings

PROJECT: Final = Path(__file__).resolve().parent.parent


def prepare_dagster_home(settings: Settings) -> Path:
    """Make the instance folder below the home, with the project's dagster.yaml in it."""
    home = settings.home_path / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    return home


@contextmanager
def instance_of(settings: Settings) -> Generator[dg.DagsterInstance]:
    """The instance of a home, as the webserver and the daemon open it too."""
    home = prepare_dagster_home(settings)
    os.environ["DAGSTER_HOME"] = str(home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance
