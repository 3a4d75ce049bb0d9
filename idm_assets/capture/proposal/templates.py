"""Declarations to fill in, for formats that were recognised but not understood.

Belongs here: one template per format. Does not belong here: proposals (`proposing`).
"""

from __future__ import annotations

from idm_assets.capture.proposal.declaration_text import Proposal, Said


def template(format_name: str) -> str:
    """A declaration in a format to fill in, as YAML; empty where there is none for the format."""
    head = (Said("name", "my_source"), Said("plant", "my_plant"))
    meaning = (
        Said("time", (Said("field", "timestamp", ("the field that says the time of a row",)),)),
        Said("long", (Said("tag", "tag"), Said("value", "value")), ("or wide: {}, where each column is a tag",)),
        Said("source", "my_source"),
    )
    record = Said("record", (Said("model", "MyRecord"),))
    b2mml = (Said("element", "SegmentResponse"), Said("timestamp", "ActualStartTime"))
    known: dict[str, tuple[Said, ...]] = {
        "csv": (Said("glob", "*.csv"), Said("options", (Said("delimiter", ","), Said("header", 1))), *meaning),
        "tsv": (Said("glob", "*.tsv"), *meaning),
        "json": (Said("glob", "*.json"), *meaning),
        "json_lines": (Said("glob", "*.jsonl"), *meaning),
        "parquet": (Said("glob", "*.parquet"), *meaning),
        "arrow": (Said("glob", "*.arrow"), *meaning),
        "xlsx": (Said("glob", "*.xlsx"), *meaning),
        "b2mml": (Said("glob", "*.xml"), Said("options", b2mml), record, Said("source", "my_source")),
    }
    if format_name not in known:
        return ""
    glob, *rest = known[format_name]
    fields = (*head, glob, Said("format", format_name), *rest)
    return Proposal("A template: put in what your file has.", "my_source", fields).text
