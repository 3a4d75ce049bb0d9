"""From signals to avatars: each observation gets the meaning that was in force when it was made.

Belongs here: the as-of join, the unit conversion, the list of what no binding explains. Does not belong here:
intervals (`states`), storage, Dagster.
"""

from __future__ import annotations

_IN_FORCE = "o.signal_id = b.signal_id AND o.ts >= b.valid_from AND o.ts < b.valid_to"


def measurements(observations: str, bound: str) -> str:
    """Query for `contextualized.measurements`.

    Args:
        observations: query with the day's `cleaned.observations`.
        bound: table or query as `referential.bindings.bindings_query` makes it.
    """
    return (
        f'SELECT b.point_id, o.ts, o.value * b.factor + b."offset" AS value, o.text, o.status, o.signal_id'
        f" FROM ({observations}) o JOIN ({bound}) b ON {_IN_FORCE}"
    )


def unmapped(observations: str, bound: str) -> str:
    """Query for `contextualized.unmapped`: the same arguments, the rows that the join leaves over."""
    return (
        f"SELECT o.signal_id, count(*) AS observations, min(o.ts) AS first_ts, max(o.ts) AS last_ts"
        f" FROM ({observations}) o LEFT JOIN ({bound}) b ON {_IN_FORCE}"
        f" WHERE b.signal_id IS NULL GROUP BY o.signal_id"
    )
