"""Rows of a sample as the decoder of their format reads them, as columns of text and of numbers.

Belongs here: reading, and what a column is by itself. Does not belong here: which column says the time (`times`), what
a row becomes (`row_meaning`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import duckdb

from idm_assets.capture.decoders import PreparedFile, UndecodableFile
from idm_assets.capture.decoders.registry import row_format_for
from idm_assets.capture.decoders.tabular import Rows
from idm_assets.capture.proposal.samples import Sample
from idm_assets.capture.proposal.vocabulary import MISSING
from idm_assets.capture.text_values import number

_CELLS_JUDGED: Final = 400_000

COLUMNS_JUDGED: Final = 300
"""Fields that are looked at of rows."""


@dataclass(frozen=True, eq=False)
class Column:
    """A field of rows, in a sample of them.

    Attributes:
        name: its name.
        cells: texts without blanks around, None where there is nothing.
        numbers: the numbers that they are to the format.
        is_instant: whether the format delivers instants that are no text.
    """

    name: str
    cells: Sequence[str | None]
    numbers: Sequence[float | None]
    is_instant: bool = False

    @cached_property
    def texts(self) -> list[str]:
        """The cells that hold something."""
        return [cell for cell in self.cells if cell]

    @cached_property
    def distinct(self) -> list[str]:
        """Different texts, in the order in which they come first."""
        return list(dict.fromkeys(self.texts))

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the name, in small letters: ``EventTime`` has event and time, and eventtime as a whole.

        Of a path, those of its last step.
        """
        name = next((step for step in reversed(re.split(r"[.\]]", self.name)) if step), self.name)
        parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
        return frozenset(re.findall(r"[^\W\d_]+", parts.lower())) | {re.sub(r"[\W\d_]+", "", name.lower())}

    @cached_property
    def odd(self) -> Counter[str]:
        """Texts that are no numbers, how often."""
        return Counter(c for c, n in zip(self.cells, self.numbers, strict=True) if c and n is None)

    @cached_property
    def missing(self) -> list[str]:
        """Texts that stand for no value, in small letters."""
        return sorted({text.lower() for text in self.odd} & MISSING)

    @cached_property
    def values(self) -> list[float]:
        """The numbers."""
        return [n for n in self.numbers if n is not None]

    @property
    def is_number(self) -> bool:
        """Whether nearly all that stands for a value is a number."""
        unknown = sum(count for text, count in self.odd.items() if text.lower() not in MISSING)
        return bool(self.texts) and len(self.values) >= 4 * unknown

    @property
    def is_flag(self) -> bool:
        """Whether it says yes or no."""
        return bool(self.texts) and {text.lower() for text in self.distinct} <= {"true", "false", "yes", "no"}

    @property
    def is_text(self) -> bool:
        """Whether it holds words."""
        return bool(self.texts) and not self.is_number and not self.is_flag and not self.is_instant

    @property
    def repeats(self) -> bool:
        """Whether values come again, as names do."""
        return len(self.texts) > len(self.distinct) or len(self.texts) == 1

    @property
    def is_unnamed(self) -> bool:
        """Whether nothing names the column."""
        return re.fullmatch(r"column_\d+", self.name) is not None

    def has(self, words: frozenset[str]) -> bool:
        """Whether the name has one of some words."""
        return bool(self.words & words)


@dataclass(frozen=True, slots=True)
class Table:
    """A sample of rows.

    Attributes:
        columns: fields in order.
        rows: number of rows in the sample.
        problems: rows that cannot be read, by reason.
        is_named: fields have to be named one by one.
    """

    columns: tuple[Column, ...]
    rows: int
    problems: Mapping[str, int] = field(default_factory=dict[str, int])
    is_named: bool = False


def read_table(
    sample: Sample, path: Path, format_name: str, options: Mapping[str, Any], names: Sequence[str] = ()
) -> Table | str:
    """Read rows with the decoder of a format; a sentence if it cannot.

    Args:
        sample: the sample.
        path: the content that is read.
        format_name: name of the format.
        options: its options.
        names: fields to look for, in formats whose rows differ.
    """
    with path.open("rb") as stream:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b"")) + 1
    file = PreparedFile(number=0, path=path, source="", lines=lines, plain=False)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        try:
            rows = row_format_for(format_name, options)
            if path == sample.path:
                # What is read whole is read by the quick way, where that can be.
                try:
                    return _table_of(con, rows.fast(con, [replace(file, plain=True)], names, sample.folder), names)
                except (UndecodableFile, duckdb.Error):
                    pass
            return _table_of(con, rows.exact(con, file, names, sample.folder), names)
        except UndecodableFile as error:
            return f"{error.reason}: {error.detail}"
        except duckdb.Error as error:
            return f"its rows cannot be read: {str(error)[:200]}"


def _table_of(con: duckdb.DuckDBPyConnection, rows: Rows, names: Sequence[str]) -> Table:
    """The first rows with their fields as text and as numbers."""
    fields = [(name, rows.fields[name]) for name in (rows.columns or names)][:COLUMNS_JUDGED]
    parts: list[str] = []
    for _, found in fields:
        typed = [f"({part})::VARCHAR" for part in (found.double, found.instant) if part is not None]
        value = number(rows.number(found.text))
        parts.append(f"trim(coalesce({', '.join([found.text, *typed])}))")
        parts.append(value if found.double is None else f"coalesce({found.double}, {value})")
    limit = max(50, _CELLS_JUDGED // max(1, len(fields)))
    cells = con.execute(
        f"SELECT {', '.join(parts) or 'NULL'} FROM ({rows.query}) WHERE problem IS NULL LIMIT {limit}"
    ).fetchall()
    problems = con.execute(
        f"SELECT problem, count(*) FROM ({rows.query}) WHERE problem IS NOT NULL GROUP BY 1 LIMIT 100"
    ).fetchall()
    columns = tuple(
        Column(name, [row[2 * i] or None for row in cells], [row[2 * i + 1] for row in cells], f.instant is not None)
        for i, (name, f) in enumerate(fields)
    )
    passed = set(rows.passed_over)
    return Table(columns, len(cells), {reason: n for reason, n in problems if reason not in passed})
