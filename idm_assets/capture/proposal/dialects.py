"""How lines of delimited text fall into cells, and what the cells of a header say.

Belongs here: delimiters, signs in numbers, headers, units in brackets. Does not belong here: encodings (`samples`), the
finding (`delimited`), reading rows (`tables`).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb

from idm_assets.capture.proposal.declaration_text import quoted
from idm_assets.capture.proposal.samples import Sample
from idm_assets.capture.proposal.time_forms import ISO, patterns_of
from idm_assets.capture.proposal.vocabulary import MISSING, word_set
from idm_assets.capture.text_values import NUMBER
from idm_assets.referential.unece import symbol_of_display_name
from idm_assets.sql import literal

_STYLES: Final = ((".", ""), (",", ""), (".", ","), (",", "."), (".", "'"), (",", "'"), (",", " "), (".", " "),
                  (",", "\u00a0"), (".", "\u00a0"), (",", "\u202f"), (".", "\u202f"))  # fmt: skip
"""Decimal sign and sign between groups of three digits, the common ones first."""

_UNITS: Final = word_set(
    "rpm RPM 1/min U/min min-1 degC degF C F K Nm N.m m3/h m³/h Nm3/h kWh MWh Wh kVA VA kvar psi ppm ppb pH bara barg"
    " l/h ml/min mg/m3 mg/m³ µg/m3 µg/m³ ug/m3 dB dBA g °"
)
"""Units as headers have them, beyond those that UNECE Recommendation 20 lists."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How text becomes cells.

    Attributes:
        delimiter: between cells.
        quote: around cells.
        decimal: decimal sign.
        thousands: between groups of digits.
        preamble: lines before the header.
        header: lines that name the columns.
        comment: what lines begin with that are none.
        width: cells of most lines.
        doubt: what is not sure about numbers.
    """

    delimiter: str
    quote: str
    width: int
    decimal: str = "."
    thousands: str = ""
    preamble: int = 0
    header: int = 1
    comment: str = ""
    doubt: str = ""

    @property
    def options(self) -> dict[str, Any]:
        """As options of the format, only what differs from its defaults."""
        usual = {"delimiter": ",", "quote": '"', "decimal": ".", "thousands": "", "preamble": 0, "comment": ""}
        said = {name: getattr(self, name) for name in usual if getattr(self, name) != usual[name]}
        if said.get("delimiter") == "\t":
            del said["delimiter"]
        return said | ({"header": self.header} if self.header != 1 else {})


def dialect_of(lines: Sequence[str], sample: Sample) -> Dialect | None:
    """The dialect by which lines fall into equally many cells; None if there is none."""
    comment = _comment_sign(lines)
    judged = [line for line in lines if line.strip() and not (comment and line.startswith(comment))]
    if not judged:
        return None
    best: tuple[tuple[float, ...], str, str, int] | None = None
    sniffed = _sniffed(judged, sample.folder)
    for delimiter, quote in dict.fromkeys([*sniffed, *((d, '"') for d in ",;\t|^~")]):
        rows = [cells for line in judged if (cells := cells_of(line, delimiter, quote)) is not None]
        widths = Counter(len(cells) for cells in rows)
        width, count = max(widths.items(), key=lambda found: (found[1] * (found[0] > 1), found[0]), default=(1, 0))
        share = count / len(judged)
        if width < 2 or share < 0.6 or len(judged) - count > max(30, 0.2 * len(judged)):
            continue
        others = set(";\t|") - {delimiter}
        foreign = sum(any(o in cell for o in others) for cells in rows for cell in cells) / (count * width)
        rank = (foreign < 0.05, round(share, 2), (delimiter, quote) in sniffed, delimiter != ",", width)
        if best is None or rank > best[0]:
            best = rank, delimiter, quote, width
    if best is None:
        return None
    _, delimiter, quote, width = best
    dialect = Dialect(delimiter, quote, width, comment=comment)
    rows = [cells_of(line, delimiter, quote) for line in lines]
    return _with_header(_with_numbers(dialect, rows), rows, lines)


def _sniffed(lines: Sequence[str], folder: Path) -> list[tuple[str, str]]:
    """Delimiter and quote as DuckDB's sniffer finds them, which knows single quotes too; one or none."""
    path = folder / "sniffed.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="replace")
    try:
        with duckdb.connect() as con:
            found = con.execute(f"SELECT delimiter, quote FROM sniff_csv({literal(str(path))})").fetchall()
    except duckdb.Error:
        # It gives up on what is no table, which is for the others to find.
        return []
    return [(d, q if len(q) == 1 else '"') for d, q in found if len(d) == 1 and not d.isspace() and not d.isalnum()]


def cells_of(line: str, delimiter: str, quote: str) -> list[str] | None:
    """Cells of a line; None if it cannot be split."""
    try:
        return next(csv.reader([line], delimiter=delimiter, quotechar=quote, skipinitialspace=True), list[str]())
    except csv.Error:
        return None


def _comment_sign(lines: Sequence[str]) -> str:
    """What lines begin with that are no rows, where such lines stand between the rows too."""
    for sign in ("#", "//", "%"):
        found = [place for place, line in enumerate(lines) if line.startswith(sign)]
        if found and found[-1] > len(found) and len(found) < 0.5 * len(lines):
            return sign
    return ""


def _with_numbers(dialect: Dialect, rows: Sequence[list[str] | None]) -> Dialect:
    """The dialect with the signs by which most cells are numbers."""
    cells = Counter(c.strip() for row in rows if row and len(row) == dialect.width for c in row if c.strip())
    usable = [(d, t) for d, t in _STYLES if t != dialect.delimiter]
    read = {style: sum(n for c, n in cells.items() if _is_number(c, *style)) for style in usable}
    decimal, thousands = max(usable, key=lambda style: read[style])
    if (decimal, thousands) == (".", ""):
        return dialect
    rivals = [s for s in usable if read[s] == read[decimal, thousands] and s[0] != decimal]
    example = next((c for c in cells if _is_number(c, decimal, thousands) and not _is_number(c, ".", "")), "")
    doubt = f"as in {quoted(example)}, {read[decimal, thousands] - read['.', '']} cells are numbers only this way"
    if rivals:
        doubt += "; AMBIGUOUS: the sign may as well stand between thousands, check it"
    return replace(dialect, decimal=decimal, thousands=thousands, doubt=doubt)


def _is_number(cell: str, decimal: str, thousands: str) -> bool:
    if re.fullmatch(NUMBER, cell.replace(decimal, ".") if decimal not in ("", ".") and "." not in cell else cell):
        # With a decimal comma a point is none, and the other way round.
        return decimal == "." or "." not in cell
    if not thousands:
        return False
    mark, sign = re.escape(thousands), re.escape(decimal)
    return re.fullmatch(rf"[-+]?\d{{1,3}}({mark}\d{{3}})+({sign}\d*)?", cell) is not None


def is_typed(cell: str, dialect: Dialect) -> bool:
    """Whether a cell is a number or a time, which names of columns are not."""
    return _is_number(cell, dialect.decimal, dialect.thousands) or bool(ISO.fullmatch(cell)) or bool(patterns_of(cell))


def _with_header(dialect: Dialect, rows: Sequence[list[str] | None], lines: Sequence[str]) -> Dialect:
    """The dialect with the lines before the rows."""
    full = [place for place, row in enumerate(rows) if row and _is_full(row, dialect) and lines[place].strip()]
    later = [rows[place] or [] for place in full[len(full) // 2 :]][:200]
    typed = [i for i in range(dialect.width) if _share_typed(later, i, dialect) > 0.8]
    if not typed:
        first = full[0] if full else 0
        return replace(dialect, preamble=first)
    start = next((place for place in full if _is_row(rows[place] or [], typed, dialect)), full[0])
    header: list[int] = []
    for place in range(start - 1, max(-1, start - 4), -1):
        row = rows[place]
        if not row or not _is_heading(row, dialect, is_above=bool(header)):
            break
        header.append(place)
    first = header[-1] if header else start
    return replace(dialect, preamble=first, header=len(header))


def _is_full(row: Sequence[str], dialect: Dialect) -> bool:
    return len(row) == dialect.width or (len(row) > dialect.width and not any(row[dialect.width :]))


def _share_typed(rows: Sequence[Sequence[str]], place: int, dialect: Dialect) -> float:
    cells = [row[place].strip() for row in rows if place < len(row) and row[place].strip()]
    known = [cell for cell in cells if cell.lower() not in MISSING]
    return sum(is_typed(cell, dialect) for cell in known) / len(known) if known else 0.0


def _is_row(row: Sequence[str], typed: Sequence[int], dialect: Dialect) -> bool:
    cells = [row[i].strip() for i in typed if i < len(row) and row[i].strip()]
    return bool(cells) and sum(is_typed(c, dialect) or c.lower() in MISSING for c in cells) > 0.7 * len(cells)


def _is_heading(row: Sequence[str], dialect: Dialect, *, is_above: bool) -> bool:
    """Whether cells name columns: most are filled, none is a number; of a line above another, as many as columns."""
    filled = [cell.strip() for cell in row if cell.strip()]
    enough = len(filled) >= (0.5 if not is_above else 0.6) * dialect.width
    return len(row) >= min(2, dialect.width) and enough and not any(is_typed(cell, dialect) for cell in filled)


def have_units(cells: Sequence[str]) -> bool:
    """Whether what stands in brackets behind names are units, for the most part."""
    found = [c for c in cells if c.endswith(("]", ")")) and max(c.rfind("["), c.rfind("(")) >= 0]
    known = [c for c in found if _is_unit(c[max(c.rfind("["), c.rfind("(")) + 1 : -1].strip())]
    return len(known) > 0.5 * len(found)


def _is_unit(text: str) -> bool:
    # Degrees that were encoded twice are still degrees.
    text = text.replace("\u00c2\u00b0", "°").replace("\u00c2", "")
    return text in _UNITS or text in ("", "-") or symbol_of_display_name(text) is not None
