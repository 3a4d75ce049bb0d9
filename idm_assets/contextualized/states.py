"""From reports of a state to intervals without overlap.

Belongs here: this one query. Does not belong here: time per state (`aggregated.state_durations`).
"""

from __future__ import annotations

from idm_assets.contracts import Partition
from idm_assets.sql import literal
from idm_assets.status import is_bad


def states(timeline: str, hold: str, partition: Partition) -> str:
    """Query for `contextualized.states` of a day.

    Repeated reports of one state make one interval. Of several reports at one instant (two tags bound to one
    attribute) the alphabetically last counts; a report at midnight counts before what was carried there. A state
    without a report before its first one has no interval.

    Args:
        timeline: query with ``point_id, source, kind, ts, value, text, status, carried``: carried and observed
            values.
        hold: query with ``source, hold_until``.
        partition: plant and event day.
    """
    start, end = literal(partition.start), literal(partition.end)
    label = f"CASE WHEN {is_bad('status')} THEN 'UNAVAILABLE' ELSE coalesce(text, value::VARCHAR, '') END"
    return f"""
        WITH reports AS (
            SELECT point_id, source, ts, {label} AS state, status FROM ({timeline}) WHERE kind = 'state'
            QUALIFY row_number() OVER (PARTITION BY point_id, ts ORDER BY carried, {label} DESC, status) = 1
        ), changes AS (
            SELECT * FROM reports
            QUALIFY state IS DISTINCT FROM lag(state) OVER (PARTITION BY point_id ORDER BY ts)
                OR lag(ts) OVER (PARTITION BY point_id ORDER BY ts) IS NULL
        ), intervals AS (
            SELECT c.point_id, c.state, c.status, c.ts AS started_at,
                least(coalesce(lead(c.ts) OVER (PARTITION BY c.point_id ORDER BY c.ts), h.hold_until),
                      greatest(h.hold_until, c.ts)) AS ended_at
            FROM changes c JOIN ({hold}) h USING (source)
        )
        SELECT point_id, state, status, started_at, ended_at,
            (epoch_us(ended_at) - epoch_us(started_at)) / 1e6 AS duration_s,
            started_at = {start} AND (point_id, state) IN (
                SELECT (point_id, {label}) FROM ({timeline}) WHERE kind = 'state' AND carried
            ) AS carried_in,
            ended_at = {end} AS carried_out
        FROM intervals WHERE ended_at > started_at"""
