"""Cleaned layer: every observation once, on the day it happened, with a status that says how far to trust it."""
