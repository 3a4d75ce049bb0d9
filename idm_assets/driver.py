"""Running the jobs in process: the same jobs and decisions as the daemon's, one after the other.

Belongs here: the loop from what is new to what is published. Does not belong here: decisions (`sensors`),
computing, talking to people (`command_line`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from idm_assets.capture.assets import look_once
from idm_assets.capture.sources import load_sources
from idm_assets.contracts import Partition
from idm_assets.definitions import build_defs
from idm_assets.instance import instance_of
from idm_assets.jobs import (
    compute_event_days,
    file_captures,
    publish_catalog,
    refresh_referential,
    replay_quarantine,
)
from idm_assets.lineage import contiguous, record_derivations
from idm_assets.partitions import PLANTS, key_of, range_tags
from idm_assets.publication.assets import is_current
from idm_assets.range_run import facts_with_records
from idm_assets.referential.assets import AUTHOR_TAG, REASON_TAG, configuration_fingerprint, is_in_force
from idm_assets.referential.model_contract import read_record_models
from idm_assets.run_requests import ONLY_STALE
from resources.lake import Lake
from resources.landing_zone import LandingZone
from resources.ledger import Ledger
from resources.settings import Settings
from sensors.decisions import RangeRequest, decide_arrivals, decide_event_days, decide_plants, decide_refiling

ROUNDS: Final = 20
"""Healing ends when nothing is stale or a round changed nothing; this bounds it where something keeps changing."""


@dataclass
class Report:
    """What a call did.

    Attributes:
        jobs: names of the runs that were made, with the number of partitions asked for.
        failures: messages of failed runs.
        failed_checks: asset and check of every failed check, with its sentence and severity.
        unclaimed: landed paths that no declaration claims, with the reason.
    """

    jobs: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    failures: list[str] = field(default_factory=list[str])
    failed_checks: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    unclaimed: dict[str, str] = field(default_factory=dict[str, str])


Announce = Callable[[str, int], None]
"""Told the name of a run and how many partition steps it will take."""


class Driver:
    """Brings tables up to date in this process."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, announce: Announce) -> None:
        self._settings = settings
        self._instance = instance
        self._announce = announce
        self._models = read_record_models(settings.config_path)
        self._definitions = build_defs(resource_overrides={"settings": settings}, record_models=self._models)
        self._landing = LandingZone(settings=settings)
        self._ledger = Ledger(settings=settings)
        self._lake = Lake(settings=settings)
        self.report = Report(failures=[f"record models: {problem}" for problem in self._models.problems])

    def bring_up_to_date(self) -> Report:
        """Refresh the referential, file what arrived, compute what is stale, publish.

        Raises:
            ConfigurationError: source declarations are wrong.
        """
        if not is_in_force(configuration_fingerprint(self._settings.config_path), self._ledger):
            self._run(refresh_referential.name, {}, 1)
        self._file_arrivals()
        self._file_otherwise()
        return self._heal_and_publish()

    def replay_quarantine(self, days: Iterable[Partition]) -> Report:
        """Decode again what is in quarantine of some arrival days, and bring all tables up to date.

        Raises:
            ConfigurationError: source declarations are wrong.
        """
        for plant, ranges in _ranges(days).items():
            for first, last in ranges:
                tags = range_tags(plant, first, last)
                self._run(replay_quarantine.name, tags, (last - first).days + 1, only_stale=False)
        return self._heal_and_publish()

    def _heal_and_publish(self) -> Report:
        self._heal()
        if not is_current(self._settings, self._lake, self._ledger, self._models):
            self._run(publish_catalog.name, {}, 1)
        return self.report

    def refresh_referential(self, tags: Mapping[str, str]) -> Report:
        """Put the referential in force, with a note in the run's tags."""
        self._run(refresh_referential.name, tags, 1)
        return self.report

    def _file_arrivals(self) -> None:
        entries = load_sources(self._settings.config_path)
        plants = self._landing.plants()
        known = self._instance.get_dynamic_partitions(str(PLANTS.name))
        unknown = decide_plants(known, plants, (entry.plant for entry in entries))
        self._instance.add_dynamic_partitions(str(PLANTS.name), unknown)
        for plant in plants:
            looked = look_once(self._landing.look([plant]), self._ledger, self._settings, plant, entries)
            self.report.unclaimed |= {f"{plant}/{path}": why for path, why in looked.unclaimed.items()}
            if decide_arrivals(plant, looked) is not None:
                today = Partition(plant, datetime.now(UTC).date())
                self._run(file_captures.name, {"dagster/partition": key_of(today), "idm/plant": plant}, 1)

    def _file_otherwise(self) -> None:
        """File again what was filed by other rules than those of now."""
        entries = load_sources(self._settings.config_path)
        for plant in sorted(self._instance.get_dynamic_partitions(str(PLANTS.name))):
            days = decide_refiling(plant, entries, self._ledger)
            for first, last in contiguous(days):
                self._run(file_captures.name, range_tags(plant, first, last), (last - first).days + 1)

    def _heal(self) -> None:
        plants = sorted(self._instance.get_dynamic_partitions(str(PLANTS.name)))
        before: list[RangeRequest] = []
        for _ in range(ROUNDS):
            wanted = [request for plant in plants for request in self._stale(plant)]
            if not wanted or wanted == before:
                return
            before = wanted
            # Oldest first: values are carried forward, and nothing has to be computed twice.
            for request in sorted(wanted, key=lambda r: (r.plant, r.first)):
                days = (request.last - request.first).days + 1
                tags = range_tags(request.plant, request.first, request.last)
                self._run(compute_event_days.name, tags, days)

    def _stale(self, plant: str) -> list[RangeRequest]:
        facts = facts_with_records(self._ledger, self._settings, plant, record_derivations(self._models))
        return list(decide_event_days(facts, self._ledger.failures(plant), limit=10_000))

    def _run(self, job_name: str, tags: Mapping[str, str], days: int, *, only_stale: bool = True) -> None:
        self._announce(job_name, days)
        job = self._definitions.resolve_job_def(job_name)
        result = job.execute_in_process(
            instance=self._instance,
            tags={**tags, **({ONLY_STALE: "true"} if only_stale else {})},
            partition_key=None,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        self.report.jobs.append((job_name, days))
        failures = [
            f"{job_name}/{event.step_key}: {_cause(event.step_failure_data.error)}"
            for event in result.all_events
            if event.is_step_failure
        ]
        if not result.success and not failures:
            failures = [
                f"{job_name}: {_cause(event.job_failure_data.error)}"
                for event in result.all_events
                if event.is_job_failure
            ]
        self.report.failures += failures
        self._note_checks(result)

    def _note_checks(self, result: dg.ExecuteInProcessResult) -> None:
        for evaluation in result.get_asset_check_evaluations():
            name = f"{evaluation.asset_key.to_user_string()}:{evaluation.check_name}"
            self.report.failed_checks.pop(name, None)
            if not evaluation.passed:
                self.report.failed_checks[name] = (evaluation.severity.value, evaluation.description or "")


def _ranges(days: Iterable[Partition]) -> dict[str, list[tuple[date, date]]]:
    """Days without a gap between them, as ranges by plant."""
    by_plant: dict[str, set[date]] = {}
    for partition in days:
        by_plant.setdefault(partition.plant, set()).add(partition.day)
    return {plant: list(contiguous(sorted(found))) for plant, found in sorted(by_plant.items())}


def _cause(error: SerializableErrorInfo | None) -> str:
    """What really happened, below Dagster's own wrapping."""
    if error is None:
        return "no reason was recorded"
    return (error.cause or error).message.strip()


def refresh_with_note(settings: Settings, author: str, reason: str) -> list[str]:
    """Put the referential in force, with a word on who and why; returns what failed."""
    with instance_of(settings) as instance:
        driver = Driver(settings, instance, lambda _job, _days: None)
        return driver.refresh_referential({AUTHOR_TAG: author, REASON_TAG: reason}).failures
