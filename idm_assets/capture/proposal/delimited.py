"""Recognises delimited text: CSV and TSV in any dialect.

Belongs here: the finding and its options. Does not belong here: finding the dialect (`dialects`), what rows mean
(`row_meaning`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from idm_assets.capture.content import as_utf8, encoding_of
from idm_assets.capture.proposal.declaration_text import Said, Unrecognised, quoted
from idm_assets.capture.proposal.dialects import Dialect, cells_of, dialect_of, have_units
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.paths import day_outside
from idm_assets.capture.proposal.row_meaning import table_finding
from idm_assets.capture.proposal.samples import Sample, first_lines, text_encoding, unmarked
from idm_assets.capture.proposal.tables import Table, read_table
from idm_assets.capture.proposal.templates import template
from idm_assets.capture.proposal.times import time_found


def delimited_text(sample: Sample) -> Finding | Unrecognised | None:
    """CSV and TSV in any dialect."""
    encoding, seen_encoding = text_encoding(sample.head)
    if encoding is None:
        return None
    lines = first_lines(sample, encoding)
    dialect = dialect_of(lines, sample)
    if dialect is None:
        return None
    path = sample.folder / "sample.csv"
    path.write_bytes(b"".join(as_utf8([unmarked(sample, encoding)], encoding_of(sample.head, encoding)[0])))
    day = day_outside(sample, lines[: dialect.preamble])
    options = {**dialect.options, "units": _units_of(lines, dialect)}
    options = {name: value for name, value in options.items() if value != ""}
    format_name = "tsv" if dialect.delimiter == "\t" else "csv"
    table = read_table(sample, path, format_name, options)
    if isinstance(table, str):
        return Unrecognised(f"It looks like delimited text, but {table}", template(format_name))
    said = _dialect_said(options, dialect, table)
    if day is not None and day.pattern and any("{day}" in found.fields for found in [time_found(table, day)] if found):
        said = (*said, Said("facts", day.pattern, ("the date stands in the lines before the header",)))
    if encoding != "utf-8":
        said = (Said("encoding", encoding, seen_encoding), *said)
    what = f"delimited text of {len(table.columns)} columns"
    return table_finding(table, what, format_name, said, day)


def _units_of(lines: Sequence[str], dialect: Dialect) -> str:
    """Whether the names of the columns end in units in brackets."""
    header = lines[dialect.preamble : dialect.preamble + dialect.header]
    cells = [c.strip() for line in header for c in cells_of(line, dialect.delimiter, dialect.quote) or []]
    return "in_brackets" if have_units(cells) else ""


def _dialect_said(options: Mapping[str, Any], dialect: Dialect, table: Table) -> tuple[Said, ...]:
    first = table.columns[0].name if table.columns else ""
    seen: dict[str, tuple[str, ...]] = {
        "decimal": (dialect.doubt,) if dialect.decimal != "." else (),
        "thousands": (dialect.doubt,) if dialect.decimal == "." else (),
        "preamble": ("lines before the one that names the columns",),
        "units": ("the names of the columns end in units",),
        "comment": ("such lines stand between the rows",),
        "header": (
            (f"no line names the columns; name them instead of {quoted(first)} and so on: columns: [...]",)
            if dialect.header == 0
            else (f"the names of the columns are made of {dialect.header} lines",)
        ),
    }  # fmt: skip
    return tuple(Said(name, value, seen.get(name, ())) for name, value in options.items())
