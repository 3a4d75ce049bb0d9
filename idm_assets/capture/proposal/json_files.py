"""Recognises JSON: messages of OPC UA or Sparkplug B, else rows.

Belongs here: telling these apart, and rows in JSON. Does not belong here: the messages (`opcua_pubsub`, `sparkplug`),
where rows are in documents (`json_layout`), what rows mean (`row_meaning`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from idm_assets.capture.content import HEAD_BYTES, kind_of
from idm_assets.capture.decoders.json_documents import Document, Json, elements
from idm_assets.capture.proposal.declaration_text import Unrecognised
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.json_layout import DOCUMENTS_JUDGED, json_layout
from idm_assets.capture.proposal.opcua_pubsub import pubsub_messages
from idm_assets.capture.proposal.paths import day_outside
from idm_assets.capture.proposal.row_meaning import table_finding
from idm_assets.capture.proposal.samples import LINES_JUDGED, Sample
from idm_assets.capture.proposal.sparkplug import sparkplug_messages
from idm_assets.capture.proposal.tables import read_table
from idm_assets.capture.proposal.templates import template


def json_file(sample: Sample) -> Finding | Unrecognised | None:
    """JSON: messages of OPC UA or Sparkplug B, else rows."""
    if kind_of(sample.head[:HEAD_BYTES]) != "json":
        return None
    found = [d for d in islice(elements(sample.path), DOCUMENTS_JUDGED) if isinstance(d, Document)]
    objects = [document.value for document in found if isinstance(document.value, dict)]
    if not objects:
        return Unrecognised("It looks like JSON, but no object was found in it.", template("json"))
    return sparkplug_messages(objects) or pubsub_messages(objects) or _json_rows(sample, found, objects)


def _json_rows(sample: Sample, found: Sequence[Document], objects: Sequence[dict[str, Json]]) -> Finding | Unrecognised:
    """JSON of which each document, or each item in one, is a row."""
    lines = [line for line in sample.head.split(b"\n")[:LINES_JUDGED] if line.strip()]
    lines = lines if sample.is_whole or len(lines) == 1 else lines[:-1]
    is_lines = len(lines) > 1 and all(line.strip().startswith(b"{") and line.strip().endswith(b"}") for line in lines)
    format_name = "json_lines" if is_lines else "json"
    layout = json_layout(objects)
    options = {said.key: said.value for said in layout.said}
    path = sample.folder / "sample.json"
    path.write_text("\n".join(document.text for document in found), encoding="utf-8", errors="replace")
    table = read_table(sample, path, format_name, options, layout.names)
    if isinstance(table, str):
        return Unrecognised(f"It looks like JSON, but {table}", template(format_name))
    filled = tuple(column for column in table.columns if column.texts)
    what = f"{'JSON lines' if is_lines else 'JSON documents'} with {len(filled)} fields in a row"
    named = replace(table, columns=filled, is_named=True)
    return table_finding(named, what, format_name, layout.said, day_outside(sample, ()))
