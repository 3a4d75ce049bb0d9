"""Sensors and schedules: when something has to be run. Each is a pure decision and a thin wrapper.

Belongs here: what asks for runs. Does not belong here: how a table is computed.
"""

from sensors.schedules import SCHEDULES
from sensors.wrappers import SENSORS

__all__ = ["SCHEDULES", "SENSORS"]
