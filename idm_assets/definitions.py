"""Everything put together: the one place where assets, checks, jobs, sensors and resources meet.

Reading this module reads no environment and touches no disk; resources do that when a run uses them, and `defs` when
Dagster loads it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import dagster as dg

from checks import checks_of
from idm_assets import jobs
from idm_assets.aggregated import assets as aggregated
from idm_assets.capture import assets as capture
from idm_assets.cleaned import assets as cleaned
from idm_assets.cleaned.record_assets import cleaned_record_assets
from idm_assets.contextualized import assets as contextualized
from idm_assets.contextualized.record_assets import typed_record_assets
from idm_assets.monitoring import assets as monitoring
from idm_assets.publication import assets as publication
from idm_assets.referential import assets as referential
from idm_assets.referential.model_contract import RecordModels, read_record_models
from resources.archive import Archive
from resources.engine import Engine
from resources.lake import Lake
from resources.landing_zone import LandingZone
from resources.ledger import Ledger
from resources.settings import Settings
from sensors import SCHEDULES, SENSORS

_LOG: Final = logging.getLogger(__name__)


def assets_of(models: RecordModels) -> tuple[dg.AssetsDefinition, ...]:
    """All assets of a code location with these record models."""
    return (
        referential.referential,
        capture.capture,
        cleaned.cleaned_observations,
        cleaned.cleaned_last_values,
        *cleaned_record_assets(models),
        contextualized.contextualized_measurements,
        contextualized.contextualized_states,
        *typed_record_assets(models),
        *aggregated.ASSETS,
        monitoring.quarantine_counts,
        publication.catalog_asset(models),
    )


def resources_of(settings: Settings) -> dict[str, object]:
    """All resources for given settings."""
    return {
        "settings": settings,
        "landing_zone": LandingZone(settings=settings),
        "engine": Engine(settings=settings),
        "lake": Lake(settings=settings),
        "ledger": Ledger(settings=settings),
        "archive": Archive(settings=settings),
    }


def build_defs(
    *, resource_overrides: Mapping[str, object] | None = None, record_models: RecordModels | None = None
) -> dg.Definitions:
    """The definitions of the code location.

    Args:
        resource_overrides: resources to use in place of the standard ones, by name; settings among them also
            reach the other standard resources.
        record_models: the record models, each of which gets an asset; None: there are none.
    """
    models = record_models or RecordModels()
    overrides = dict(resource_overrides or {})
    settings = overrides.get("settings", Settings())
    if not isinstance(settings, Settings):
        raise TypeError(f"the resource 'settings' must be Settings, not {type(settings).__name__}")
    return dg.Definitions(
        assets=assets_of(models),
        asset_checks=checks_of(models),
        jobs=jobs.JOBS,
        sensors=SENSORS,
        schedules=SCHEDULES,
        resources=resources_of(settings) | {"record_models": models} | overrides,
        executor=dg.in_process_executor,
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What Dagster loads; only then is the configuration folder looked into, for its record models."""
    models = read_record_models(Settings().config_path)
    for problem in models.problems:
        _LOG.error("there are no record tables until the models are mended: %s", problem)
    return build_defs(record_models=models)
