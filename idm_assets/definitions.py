"""Everything put together: the one place where assets, checks, jobs, sensors and resources meet.

Reading this module reads no environment and touches no disk; resources do that when a run uses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import dagster as dg

from checks import ASSET_CHECKS
from idm_assets import jobs
from idm_assets.aggregated import assets as aggregated
from idm_assets.capture import assets as capture
from idm_assets.cleaned import assets as cleaned
from idm_assets.contextualized import assets as contextualized
from idm_assets.publication import assets as publication
from idm_assets.referential import assets as referential
from resources.engine import Engine
from resources.lake import Lake
from resources.landing_zone import LandingZone
from resources.ledger import Ledger
from resources.settings import Settings
from sensors import SCHEDULES, SENSORS

ASSETS: Final = (
    referential.referential,
    capture.capture,
    cleaned.cleaned_observations,
    cleaned.cleaned_last_values,
    contextualized.contextualized_measurements,
    contextualized.contextualized_states,
    *aggregated.ASSETS,
    publication.catalog,
)


def resources_of(settings: Settings) -> dict[str, object]:
    """All resources for given settings."""
    return {
        "settings": settings,
        "landing_zone": LandingZone(settings=settings),
        "engine": Engine(settings=settings),
        "lake": Lake(settings=settings),
        "ledger": Ledger(settings=settings),
    }


def build_defs(*, resource_overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """The definitions of the code location.

    Args:
        resource_overrides: resources to use in place of the standard ones, by name; settings among them also
            reach the other standard resources.
    """
    overrides = dict(resource_overrides or {})
    settings = overrides.get("settings", Settings())
    if not isinstance(settings, Settings):
        raise TypeError(f"the resource 'settings' must be Settings, not {type(settings).__name__}")
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=ASSET_CHECKS,
        jobs=jobs.JOBS,
        sensors=SENSORS,
        schedules=SCHEDULES,
        resources=resources_of(settings) | overrides,
        executor=dg.in_process_executor,
    )


defs = build_defs()
