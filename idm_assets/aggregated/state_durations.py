"""Time per state and day, from intervals.

Belongs here: this one query. Does not belong here: the intervals (`contextualized.states`).
"""

from __future__ import annotations


def state_durations(states: str) -> str:
    """Query for `aggregated.state_durations_1d` from a day's `contextualized.states`."""
    return (
        f"SELECT point_id, state, sum(duration_s) AS duration_s, sum(duration_s) / 864 AS percent,"
        f" count(*) AS occurrences FROM ({states}) GROUP BY point_id, state"
    )
