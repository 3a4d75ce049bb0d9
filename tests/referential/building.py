"""Building a referential from a folder, as frames to look at."""

from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from idm_assets.referential import tables
from idm_assets.referential.build import build, build_models
from idm_assets.referential.sources import read_sources


@dataclass(frozen=True)
class Frames:
    """The tables, without the columns of history."""

    data_models: pl.DataFrame
    model_attributes: pl.DataFrame
    equipment: pl.DataFrame
    avatars: pl.DataFrame
    signals: pl.DataFrame
    points: pl.DataFrame
    remarks: tuple[str, ...]


def frames_of(config: Path) -> Frames:
    """Build a configuration folder."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        sources = read_sources(config)
        models = build_models(con, sources)
        built = [models.frame(table) for table in (tables.DATA_MODELS, tables.MODEL_ATTRIBUTES)]
        plants = build(con, sources)
        built += [plants.frame(table) for table in (tables.EQUIPMENT, tables.AVATARS, tables.SIGNALS)]
        return Frames(*built, con.sql(plants.points()).pl().sort("point_id"), plants.remarks)
