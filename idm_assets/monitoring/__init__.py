"""Monitoring layer: what was kept out and why, counted for people."""
