"""Referential layer: what exists in the plants, and what each tag means at which time."""
