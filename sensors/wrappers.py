"""The sensors: they gather facts, call a pure decision and turn it into run requests."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg

from idm_assets.capture.assets import look_once
from idm_assets.capture.sources import load_sources
from idm_assets.configuration import ConfigurationError
from idm_assets.contracts import Partition
from idm_assets.fingerprint import fingerprint
from idm_assets.jobs import compute_event_days, file_captures, publish_catalog, refresh_referential
from idm_assets.lineage import record_derivations
from idm_assets.partitions import PLANTS, key_of, range_tags
from idm_assets.publication.assets import is_current
from idm_assets.range_run import facts_with_records
from idm_assets.referential.assets import configuration_fingerprint, is_in_force
from idm_assets.referential.model_contract import RecordModels
from idm_assets.run_requests import ONLY_STALE
from resources.lake import Lake
from resources.landing_zone import LandingZone
from resources.ledger import Ledger
from resources.settings import Settings
from sensors.decisions import RangeRequest, decide_arrivals, decide_event_days, decide_plants, decide_refiling

OTHER_MODELS: Final = (
    "the record models have changed since this code location was loaded; reload it, so that sensors and runs mean the"
    " same tables"
)

_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING,
]  # fmt: skip


def runs_in_progress(instance: dg.DagsterInstance, job: str, plant: str | None = None) -> int:
    """Number of runs of a job, for a plant or for any, that have not ended."""
    tags = {} if plant is None else {"idm/plant": plant}
    return instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=_UNFINISHED, tags=tags))


@dg.sensor(
    job=file_captures,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Looks for new and changed files in the landing zone and has them filed, one run per plant; also what"
    " was filed by other rules than those of now.",
)
def new_captures(
    context: dg.SensorEvaluationContext, settings: Settings, landing_zone: LandingZone, ledger: Ledger
) -> dg.SensorResult:
    """Ask for filing where something arrived. An unreadable folder is reported, never taken for an empty one."""
    try:
        entries = load_sources(settings.config_path)
    except ConfigurationError as error:
        return dg.SensorResult(skip_reason=dg.SkipReason(f"the source declarations are wrong: {error}"))
    plants = landing_zone.plants()
    known = context.instance.get_dynamic_partitions(str(PLANTS.name))
    unknown = decide_plants(known, plants, (entry.plant for entry in entries))
    requests: list[dg.RunRequest] = []
    problems: list[str] = []
    today = datetime.now(UTC).date()
    for plant in plants:
        if runs_in_progress(context.instance, file_captures.name, plant):
            continue
        listing = landing_zone.look([plant])
        problems += listing.problems
        wanted = decide_arrivals(plant, look_once(listing, ledger, settings, plant, entries))
        for day in decide_refiling(plant, entries, ledger) if plant in known else ():
            # One key per rules and day: what cannot be decoded any more is not asked for again and again.
            rules = fingerprint([e.fingerprint() for e in entries if e.plant == plant])
            requests.append(
                dg.RunRequest(
                    run_key=f"{plant}/{day}/{rules}",
                    partition_key=key_of(Partition(plant, day)),
                    tags={ONLY_STALE: "true", "idm/plant": plant},
                )
            )
        if wanted is not None:
            requests.append(
                dg.RunRequest(
                    run_key=f"{plant}/{wanted.key}",
                    partition_key=key_of(Partition(plant, today)),
                    tags={ONLY_STALE: "true", "idm/plant": plant, "idm/files": str(wanted.files)},
                )
            )
    for problem in problems:
        context.log.warning(problem)
    return dg.SensorResult(
        run_requests=requests,
        skip_reason=None if requests else dg.SkipReason("; ".join(problems) or "nothing new in the landing zone"),
        dynamic_partitions_requests=[PLANTS.build_add_request(unknown)] if unknown else [],
    )


@dg.sensor(
    job=refresh_referential,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Puts the referential in force whenever its configuration changed.",
)
def changed_referential(
    context: dg.SensorEvaluationContext, settings: Settings, ledger: Ledger
) -> dg.RunRequest | dg.SkipReason:
    """Ask for the referential when its files differ from those it was built from."""
    wanted = configuration_fingerprint(settings.config_path)
    if is_in_force(wanted, ledger):
        return dg.SkipReason("the configuration is the one in force")
    if runs_in_progress(context.instance, refresh_referential.name):
        return dg.SkipReason("the referential is being refreshed")
    return dg.RunRequest(run_key=wanted)


@dg.sensor(
    job=compute_event_days,
    minimum_interval_seconds=20,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the event days whose inputs changed, newest first, one run at a time per plant.",
)
def stale_event_days(
    context: dg.SensorEvaluationContext,
    settings: Settings,
    ledger: Ledger,
    record_models: dg.ResourceParam[RecordModels],
) -> dg.SensorResult:
    """Ask for the stale days of every plant that has no such run in progress."""
    if not record_models.is_current():
        return dg.SensorResult(skip_reason=dg.SkipReason(OTHER_MODELS))
    recorded = record_derivations(record_models)
    requests: list[dg.RunRequest] = []
    for plant in context.instance.get_dynamic_partitions(str(PLANTS.name)):
        busy = runs_in_progress(context.instance, compute_event_days.name, plant)
        if busy or runs_in_progress(context.instance, file_captures.name, plant):
            continue
        facts = facts_with_records(ledger, settings, plant, recorded)
        wanted = decide_event_days(facts, ledger.failures(plant), limit=1)
        requests += [range_run_request(request) for request in wanted]
    reason = None if requests else dg.SkipReason("no event day is stale, or its run is in progress")
    return dg.SensorResult(run_requests=requests, skip_reason=reason)


def range_run_request(request: RangeRequest) -> dg.RunRequest:
    """The run that a range request asks for. It has no run key: what is stale may have to be asked for again."""
    tags = range_tags(request.plant, request.first, request.last)
    return dg.RunRequest(tags={**tags, ONLY_STALE: "true", "idm/stale_days": str(request.stale_days)})


@dg.sensor(
    job=publish_catalog,
    minimum_interval_seconds=20,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Publishes the catalog when any table has a new version.",
)
def outdated_catalog(
    context: dg.SensorEvaluationContext,
    settings: Settings,
    lake: Lake,
    ledger: Ledger,
    record_models: dg.ResourceParam[RecordModels],
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a new catalog when the one in place shows former versions."""
    if not record_models.is_current():
        return dg.SkipReason(OTHER_MODELS)
    if is_current(settings, lake, ledger, record_models):
        return dg.SkipReason("the catalog shows the live files")
    if any(runs_in_progress(context.instance, job.name) for job in (publish_catalog, compute_event_days)):
        return dg.SkipReason("waiting for runs in progress")
    return dg.RunRequest()


SENSORS: Final = (new_captures, changed_referential, stale_event_days, outdated_catalog)
