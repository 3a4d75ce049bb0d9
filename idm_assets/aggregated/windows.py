"""Windowed figures of measurements: minute from observations, hour from minutes, day from hours.

Definitions (interval semantics of OPC UA Part 13: windows ``[start, start + length)``, timestamp = start):

* count, average, minimum, maximum, first, last: over the Good values observed in the window.
* time_average: each value holds until the next report (last observation carried forward, also across the
  borders of windows and days); time without a Good value is in neither numerator nor denominator. Attributes
  that are sloped follow the line from one Good report to the next instead, but not across midnight: what was
  carried into a day holds until its first report.
* percent_good: time with a Good value in force, as a share of the whole window.

Hours are made of minutes and days of hours without loss: a minute row keeps its Good time, its mean over that
time and the values in force at its start and end, between which the time without reports lies, so the integral
over a longer window is exact up to rounding.

Belongs here: these queries. Does not belong here: how long a value may hold (`contextualized.holding`).
"""

from __future__ import annotations

from idm_assets.contracts import Partition
from idm_assets.sql import literal
from idm_assets.status import is_good

_MINUTE_US = 60_000_000
_HOUR_US = 3_600_000_000
_DAY_US = 86_400_000_000


def minutes(timeline: str, hold: str) -> str:
    """Query for `aggregated.measurements_1min`: a row per minute in which something was observed.

    Args:
        timeline: query with ``point_id, source, kind, hold, ts, value, status, carried`` of one day; a carried row
            stands at the start of the day and is no observation.
        hold: query with ``source, hold_until``.
    """
    return f"""
        WITH held AS (
            SELECT point_id, us, carried, us // {_MINUTE_US} AS minute, v, row_number() OVER w AS place,
                least(coalesce(lead(us) OVER w, hold_us), greatest(hold_us, us)) AS until_us,
                lag(v) OVER w AS v_before, lag(us) OVER w AS us_before,
                coalesce(lag(us // {_MINUTE_US}) OVER w < us // {_MINUTE_US}, false) AS opens,
                sloped AND NOT carried AND lead(us) OVER w > us AND lead(us) OVER w <= hold_us AS rises,
                sloped AND NOT coalesce(lag(carried) OVER w, true) AND v IS NOT NULL AS rose,
                lead(v) OVER w AS v_next, lead(us) OVER w AS us_next
            FROM (
                SELECT t.point_id, epoch_us(t.ts) AS us, t.carried, epoch_us(h.hold_until) AS hold_us,
                    t.hold = 'sloped' AS sloped, CASE WHEN {is_good("t.status")} THEN t.value END AS v
                FROM ({timeline}) t JOIN ({hold}) h USING (source) WHERE t.kind = 'measurement'
            )
            WINDOW w AS (PARTITION BY point_id ORDER BY us, carried DESC, v)
        ), shares AS (
            SELECT point_id, minute, place, carried, v,
                least(until_us, (minute + 1) * {_MINUTE_US}) - us AS own_us,
                CASE WHEN rises AND v_next IS NOT NULL
                     THEN v + (v_next - v) * (least(until_us, (minute + 1) * {_MINUTE_US}) - us) / (us_next - us)
                     ELSE v END AS v_end,
                CASE WHEN opens AND v_before IS NOT NULL THEN us - minute * {_MINUTE_US} ELSE 0 END AS before_us,
                v_before,
                CASE WHEN NOT opens THEN NULL WHEN NOT rose THEN v_before
                     ELSE v_before + (v - v_before) * (minute * {_MINUTE_US} - us_before) / (us - us_before)
                     END AS v_open,
                CASE WHEN rose THEN v ELSE v_before END AS v_arrived
            FROM held
        ), windows AS (
            SELECT point_id, minute,
                count(*) FILTER (NOT carried) AS reports,
                count(v) FILTER (NOT carried) AS count,
                avg(v) FILTER (NOT carried) AS average,
                sum(CASE WHEN v IS NOT NULL THEN (v + (v_end - v) / 2) * own_us ELSE 0 END
                    + CASE WHEN before_us > 0 THEN (v_open + (v_arrived - v_open) / 2) * before_us ELSE 0 END
                    ) AS integral,
                sum(CASE WHEN v IS NOT NULL THEN own_us ELSE 0 END + before_us)::BIGINT AS good_us,
                min(v) FILTER (NOT carried) AS minimum,
                max(v) FILTER (NOT carried) AS maximum,
                arg_min(v, place) FILTER (NOT carried) AS first,
                arg_max(v, place) FILTER (NOT carried) AS last,
                arg_min({{'v': v_open}}, place).v AS opening_value,
                arg_max({{'v': v_end}}, place).v AS held_value
            FROM shares GROUP BY point_id, minute
        )
        SELECT point_id, make_timestamptz(minute * {_MINUTE_US}) AS window_start, count, average,
            CASE WHEN good_us > 0 THEN integral / good_us END AS time_average, minimum, maximum, first, last,
            good_us * 100.0 / {_MINUTE_US} AS percent_good, good_us / 1e6 AS good_s, opening_value, held_value
        FROM windows WHERE reports > 0"""


def hours(minute_rows: str, carried: str, sources: str, hold: str, partition: Partition) -> str:
    """Query for `aggregated.measurements_1h`: a row per hour in which a value was observed or held.

    Args:
        minute_rows: query with the day's `aggregated.measurements_1min`.
        carried: query as `contextualized.holding.carried` makes it.
        sources: query with ``point_id, source``, one row per point.
        hold: query with ``source, hold_until``.
        partition: plant and event day.
    """
    start_us = f"epoch_us({literal(partition.start)})"
    end_us = f"epoch_us({literal(partition.end)})"
    return f"""
        WITH marks AS (
            SELECT point_id, epoch_us(window_start) AS opens_us, epoch_us(window_start) + {_MINUTE_US} AS closes_us,
                opening_value, held_value
            FROM ({minute_rows})
            UNION ALL
            SELECT point_id, {start_us}, {start_us}, NULL,
                last(CASE WHEN {is_good("status")} THEN value END ORDER BY status, value)
            FROM ({carried}) WHERE kind = 'measurement' GROUP BY point_id
        ), gaps AS (
            SELECT point_id, closes_us AS from_us, held_value, lead(opening_value) OVER w AS next_value,
                lead(opens_us) OVER w AS next_us, least(coalesce(lead(opens_us) OVER w, {end_us}),
                      greatest(epoch_us(h.hold_until), closes_us)) AS to_us
            FROM marks JOIN ({sources}) s USING (point_id) JOIN ({hold}) h USING (source)
            WINDOW w AS (PARTITION BY point_id ORDER BY opens_us, closes_us)
        ), pieces AS (
            SELECT point_id, held_value, from_us, to_us,
                -- Between two windows the value goes from that at the end of one to that at the start of the other.
                CASE WHEN to_us = next_us AND next_value IS NOT NULL THEN (next_value - held_value) / (to_us - from_us)
                     ELSE 0 END AS slope,
                unnest(range(from_us // {_HOUR_US}, (to_us - 1) // {_HOUR_US} + 1)) AS hour
            FROM gaps WHERE to_us > from_us
        ), parts AS (
            SELECT point_id, epoch_us(window_start) // {_HOUR_US} AS hour, epoch_us(window_start) AS opens_us,
                count, average, minimum, maximum, first, last, good_s,
                coalesce(time_average, 0) * good_s AS integral, opening_value, held_value
            FROM ({minute_rows})
            UNION ALL
            SELECT point_id, hour, start_us, 0, NULL, NULL, NULL, NULL, NULL,
                CASE WHEN held_value IS NULL THEN 0 ELSE (stop_us - start_us) / 1e6 END,
                coalesce((held_value + slope * ((start_us + stop_us) / 2 - from_us)) * (stop_us - start_us) / 1e6, 0),
                held_value + slope * (start_us - from_us), held_value + slope * (stop_us - from_us)
            FROM (SELECT *, greatest(from_us, hour * {_HOUR_US}) AS start_us, least(to_us, (hour + 1) * {_HOUR_US})
                  AS stop_us FROM pieces)
        )
        SELECT point_id, make_timestamptz(hour * {_HOUR_US}) AS window_start, {_rolled_up("opens_us", _HOUR_US)}
        FROM parts GROUP BY point_id, hour"""


def days(hour_rows: str, partition: Partition) -> str:
    """Query for `aggregated.measurements_1d`: a row per point with a row in any hour of the day.

    Args:
        hour_rows: query with the day's `aggregated.measurements_1h`.
        partition: plant and event day.
    """
    return f"""
        SELECT point_id, {literal(partition.start)} AS window_start, {_rolled_up("window_start", _DAY_US)}
        FROM (SELECT *, coalesce(time_average, 0) * good_s AS integral FROM ({hour_rows})) GROUP BY point_id"""


def _rolled_up(order: str, window_us: int) -> str:
    """Select list that makes the figures of a window from those of its parts, which ``order`` sorts."""
    return (
        f"sum(count)::BIGINT AS count,"
        f" sum(average * count) / nullif(sum(count), 0) AS average,"
        f" sum(integral) / nullif(sum(good_s), 0) AS time_average,"
        f" min(minimum) AS minimum, max(maximum) AS maximum,"
        f" arg_min(first, {order}) AS first, arg_max(last, {order}) AS last,"
        f" least(sum(good_s) * 1e8 / {window_us}, 100) AS percent_good, sum(good_s) AS good_s,"
        f" arg_min({{'v': opening_value}}, {order}).v AS opening_value,"
        f" arg_max({{'v': held_value}}, {order}).v AS held_value"
    )
