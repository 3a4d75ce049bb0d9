"""Recognises workbooks (XLSX): which sheet holds a table, and where it begins.

Belongs here: choosing sheet and header. Does not belong here: reading sheets (`capture.decoders.xlsx_rows`), what rows
mean (`row_meaning`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from idm_assets.capture.content import HEAD_BYTES, kind_of
from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.csv_rows import HEADER_MISSING
from idm_assets.capture.decoders.registry import row_format_for
from idm_assets.capture.proposal.declaration_text import Said, Unrecognised
from idm_assets.capture.proposal.dialects import Dialect, have_units, is_typed
from idm_assets.capture.proposal.findings import Finding
from idm_assets.capture.proposal.paths import day_outside
from idm_assets.capture.proposal.row_meaning import table_finding
from idm_assets.capture.proposal.samples import Sample
from idm_assets.capture.proposal.tables import read_table
from idm_assets.capture.proposal.templates import template

_SHEETS_JUDGED: Final = 8

_ROWS_BEFORE: Final = 20


def workbook(sample: Sample) -> Finding | Unrecognised | None:
    """XLSX: a zip that the survey left whole, as it is an Office document; the first sheet that holds a table."""
    if kind_of(sample.head[:HEAD_BYTES]) != "zip":
        return None
    why = ""
    for sheet in range(1, _SHEETS_JUDGED + 1):
        found = _sheet(sample, sheet)
        if isinstance(found, Finding):
            return found
        if found is None:
            break
        why = why or found.why
    return Unrecognised(f"It looks like a workbook. {why or 'It has no sheet that can be read.'}", template("xlsx"))


def _sheet(sample: Sample, sheet: int) -> Finding | Unrecognised | None:
    """What a sheet of a workbook means; None if there is no such sheet."""
    options: dict[str, Any] = {"sheet": sheet} if sheet > 1 else {}
    try:
        heads = _heads(sample, options)
    except UndecodableFile as error:
        return None if sheet > 1 else Unrecognised(f"{error.reason}: {error.detail}.")
    if not heads:
        return Unrecognised(f"Nothing is in the first {_ROWS_BEFORE} rows of sheet {sheet}.")
    preamble = max(heads, key=lambda place: (len(heads[place]), -place))
    names = heads[preamble]
    is_bare = any(is_typed(name, Dialect(",", '"', 0)) for name in names)
    said = [
        *(Said(name, value, ("the first sheet that holds a table",)) for name, value in options.items()),
        *([Said("preamble", preamble, ("rows before the one that names the columns",))] if preamble else []),
        *([Said("header", 0, ("no row names the columns",))] if is_bare else []),
        *([Said("units", "in_brackets", ("the names of the columns end in units",))] if have_units(names) else []),
    ]
    table = read_table(sample, sample.path, "xlsx", {option.key: option.value for option in said})
    if isinstance(table, str):
        return Unrecognised(f"Sheet {sheet}: {table}")
    what = f"sheet {sheet} of a workbook, of {len(table.columns)} columns"
    return table_finding(table, what, "xlsx", tuple(said), day_outside(sample, ()))


def _heads(sample: Sample, options: Mapping[str, Any]) -> dict[int, Sequence[str]]:
    """The names that columns would have, by the number of rows before them.

    Raises:
        UndecodableFile: there is no such sheet, or no workbook at all.
    """
    file = PreparedFile(number=0, path=sample.path, source="", lines=0, plain=True)
    heads: dict[int, Sequence[str]] = {}
    for preamble in range(_ROWS_BEFORE):
        rows: Any = row_format_for("xlsx", {**options, "preamble": preamble})
        try:
            heads[preamble] = rows.head(file).names
        except UndecodableFile as error:
            if error.reason != HEADER_MISSING:
                raise
    return heads
