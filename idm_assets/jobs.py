"""Jobs: which assets run together. Ranges and tags come with each run.

Belongs here: selections. Does not belong here: when a job runs (`sensors`).
"""

from __future__ import annotations

from typing import Final

import dagster as dg

from idm_assets.publication.assets import CATALOG
from idm_assets.run_requests import ONLY_QUARANTINED

EVENT_DAY_GROUPS: Final = ("cleaned", "contextualized", "aggregated")

refresh_referential = dg.define_asset_job(
    "refresh_referential",
    selection=dg.AssetSelection.groups("referential"),
    description="Read the configuration and put the referential in force.",
)
file_captures = dg.define_asset_job(
    "file_captures",
    selection=dg.AssetSelection.groups("capture"),
    description="Decode what arrived at a plant on a day.",
)
compute_event_days = dg.define_asset_job(
    "compute_event_days",
    selection=dg.AssetSelection.groups(*EVENT_DAY_GROUPS),
    description="Compute all layers of a plant's event days: cleaned, contextualized, aggregated.",
)
replay_quarantine = dg.define_asset_job(
    "replay_quarantine",
    selection=dg.AssetSelection.groups("capture"),
    tags={ONLY_QUARANTINED: "true"},
    description="Decode again, from the landing zone or the archive, the captures of a plant's arrival days of which"
    " something is in quarantine. What passes by the rules of now is taken back.",
)
publish_catalog = dg.define_asset_job(
    "publish_catalog",
    selection=dg.AssetSelection.assets(CATALOG) | dg.AssetSelection.groups("monitoring"),
    description="Count what is in quarantine, and put a new catalog in place.",
)

JOBS: Final = (refresh_referential, file_captures, replay_quarantine, compute_event_days, publish_catalog)
