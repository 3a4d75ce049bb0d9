"""The nightly schedule: whatever the sensors missed is made good while the plant is quiet."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import dagster as dg

from idm_assets.jobs import compute_event_days
from idm_assets.partitions import PLANTS, range_tags
from idm_assets.run_requests import ONLY_STALE
from resources.settings import Settings


def decide_night(plants: Sequence[str], today: date, carry_days: int) -> list[tuple[str, date, date]]:
    """The days to look at tonight, per plant: yesterday and the days whose values it may carry."""
    return [(plant, today - timedelta(days=carry_days), today - timedelta(days=1)) for plant in sorted(plants)]


@dg.schedule(
    job=compute_event_days,
    cron_schedule="30 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Closes the day: computes what is stale among the last days of every plant.",
)
def nightly(context: dg.ScheduleEvaluationContext, settings: Settings) -> list[dg.RunRequest]:
    """One run per plant over the last days; days that are as they should be are left alone."""
    today = context.scheduled_execution_time.date()
    plants = context.instance.get_dynamic_partitions(str(PLANTS.name))
    return [
        dg.RunRequest(run_key=f"{plant}/{today}", tags={**range_tags(plant, first, last), ONLY_STALE: "true"})
        for plant, first, last in decide_night(plants, today, settings.carry_days)
    ]


SCHEDULES: Final = (nightly,)
