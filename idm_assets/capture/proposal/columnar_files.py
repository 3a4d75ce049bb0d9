"""Recognises Parquet and Arrow.

Belongs here: the finding. Does not belong here: reading them (`tables`), what rows mean (`row_meaning`).
"""

from __future__ import annotations

from idm_assets.capture.content import HEAD_BYTES, kind_of
from idm_assets.capture.proposal.declaration_text import Unrecognised
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.paths import day_outside
from idm_assets.capture.proposal.row_meaning import table_finding
from idm_assets.capture.proposal.samples import Sample
from idm_assets.capture.proposal.tables import read_table
from idm_assets.capture.proposal.templates import template


def columnar_file(sample: Sample) -> Finding | Unrecognised | None:
    """Parquet and Arrow, by their signatures."""
    kind = kind_of(sample.head[:HEAD_BYTES])
    if kind not in ("parquet", "arrow"):
        return None
    table = read_table(sample, sample.path, kind, {})
    if isinstance(table, str):
        return Unrecognised(f"It looks like {kind}, but {table}", template(kind))
    return table_finding(table, f"{kind} of {len(table.columns)} columns", kind, (), day_outside(sample, ()))
