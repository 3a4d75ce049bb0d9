"""Capture layer: every delivered file decoded once, each line accounted for."""
