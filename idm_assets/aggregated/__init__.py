"""Aggregated layer: measurements by minute, hour and day, and the time spent in each state."""
