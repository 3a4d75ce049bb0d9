"""Table contracts: what every table of the lake promises, said once.

A `Table` names its columns with type, unit and meaning. From it follow the Delta schema, the cast that every
written file goes through, the pandera schema that validates its values, the column page in the Dagster UI and
the column comments of the published catalog.

Belongs here: the vocabulary of contracts and what is derived from it. Does not belong here: the tables
themselves (each layer declares its own in `tables.py`), storage, Dagster assets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from functools import cache
from typing import Any, Final, cast

import pandera.polars as pa
import polars as pl
from deltalake import Field, Schema
from deltalake.schema import PrimitiveType

from idm_assets.sql import identifier


class ColumnType(Enum):
    """A storage type, with its name in DuckDB, Delta Lake and Polars.

    Timestamps are UTC microseconds everywhere; naive ones would force Delta reader version 3.
    """

    BOOLEAN = ("BOOLEAN", "boolean", pl.Boolean())
    INTEGER = ("BIGINT", "long", pl.Int64())
    DOUBLE = ("DOUBLE", "double", pl.Float64())
    TEXT = ("VARCHAR", "string", pl.String())
    DATE = ("DATE", "date", pl.Date())
    TIMESTAMP = ("TIMESTAMPTZ", "timestamp", pl.Datetime("us", "UTC"))

    def __init__(self, duckdb: str, delta: str, polars: pl.DataType) -> None:
        self.duckdb = duckdb
        self.delta = delta
        self.polars = polars


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a contract.

    Attributes:
        name: column name, a plain identifier.
        type: storage type.
        description: what the value means, shown in the UI and in the catalog.
        unit: unit of measure where the column has one of its own, such as ``s`` or ``%``.
        nullable: whether NULL is a legal value.
        minimum: smallest legal value, inclusive.
        maximum: largest legal value, inclusive.
        allowed: the only legal values, where they can be listed.
        pii: class of personal data in the column, as models have it; ``none`` for most.
    """

    name: str
    type: ColumnType
    description: str
    unit: str | None = None
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    pii: str = "none"


@dataclass(frozen=True, slots=True)
class Table:
    """The contract of one Delta table.

    Attributes:
        layer: the layer that owns the table, also its folder in the lake and its schema in the catalog.
        name: table name inside the layer.
        description: one sentence for people.
        columns: all columns, the partition columns among them.
        partition_by: partition columns, in the order of their folders; empty for an unpartitioned table.
        key: columns whose combination is unique within a partition; empty where repetition is legal.
        sort: columns by which every file is sorted.
    """

    layer: str
    name: str
    description: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    _by_name: dict[str, Column] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        by_name = {column.name: column for column in self.columns}
        unknown = [n for n in (*self.partition_by, *self.key, *self.sort) if n not in by_name]
        if len(by_name) != len(self.columns) or unknown:
            raise ValueError(f"contract {self.layer}.{self.name}: repeated or unknown columns {unknown}")
        object.__setattr__(self, "_by_name", by_name)

    @property
    def qualified_name(self) -> str:
        """``layer.name``, as people write it."""
        return f"{self.layer}.{self.name}"

    @property
    def stored_columns(self) -> tuple[Column, ...]:
        """The columns inside the data files: all but the partition columns, which live in the path."""
        return tuple(column for column in self.columns if column.name not in self.partition_by)

    def column(self, name: str) -> Column:
        """The column called ``name``.

        Raises:
            KeyError: there is none.
        """
        return self._by_name[name]

    def select_list(self) -> str:
        """SQL select list that casts a relation's columns to the stored columns, in contract order."""
        return ", ".join(
            f"CAST({identifier(c.name)} AS {c.type.duckdb}) AS {identifier(c.name)}" for c in self.stored_columns
        )

    def empty_relation(self) -> str:
        """SQL query with all columns of the contract and no row."""
        columns = ", ".join(f"CAST(NULL AS {c.type.duckdb}) AS {identifier(c.name)}" for c in self.columns)
        return f"SELECT {columns} WHERE false"

    def empty_frame(self) -> pl.DataFrame:
        """A frame with the contract's columns and no row."""
        return pl.DataFrame(schema={column.name: column.type.polars for column in self.columns})

    def delta_schema(self) -> Schema:
        """The Delta schema, with descriptions as column comments."""
        return Schema(
            [
                Field(
                    column.name,
                    PrimitiveType(column.type.delta),
                    nullable=True,
                    metadata={"comment": comment_of(column)},
                )
                for column in self.columns
            ]
        )

    def validation_schema(self) -> pa.DataFrameSchema:
        """The pandera schema of the stored columns, for a collected frame.

        pandera skips value checks on a LazyFrame without a word, so callers validate collected batches.
        """
        return pa.DataFrameSchema(
            {
                column.name: pa.Column(
                    column.type.polars, nullable=column.nullable, checks=_value_checks(column), required=True
                )
                for column in self.stored_columns
            },
            strict=True,
        )


def comment_of(column: Column) -> str:
    """The column's description, followed by its unit in brackets and its class of personal data where it has them."""
    comment = f"{column.description} [{column.unit}]" if column.unit else column.description
    return comment if column.pii == "none" else f"{comment} (personal data: {column.pii})"


def _value_checks(column: Column) -> list[pa.Check]:
    checks: list[pa.Check] = []
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum))
    if column.maximum is not None:
        checks.append(pa.Check.le(column.maximum))
    if column.allowed:
        checks.append(pa.Check.isin(list(column.allowed)))
    return checks


class ContractError(Exception):
    """Rows that break a table's contract; nothing of them was published."""

    def __init__(self, table: Table, failures: Sequence[str]) -> None:
        self.table = table
        self.failures = tuple(failures)
        shown = "; ".join(self.failures[:5])
        super().__init__(
            f"{table.qualified_name}: {len(self.failures)} contract failures, nothing was published: {shown}"
        )


@cache
def _schema_of(table: Table) -> pa.DataFrameSchema:
    return table.validation_schema()


def validate(table: Table, batch: pl.DataFrame) -> list[str]:
    """Validate one collected batch of stored columns, values included.

    Args:
        table: the contract.
        batch: rows with exactly the stored columns.

    Returns:
        One sentence per failure, with column, check and an example value; empty when the batch is right.
    """
    try:
        _schema_of(table).validate(batch, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = cast("pl.DataFrame", errors.failure_cases)
        summary: pl.DataFrame = cases.group_by("column", "check").agg(
            pl.len().alias("rows"), pl.col("failure_case").first().alias("example")
        )
        return [
            f"column {row['column']}: {row['rows']} rows fail {row['check']}, for example {row['example']!r}"
            for row in summary.sort("column", "check").iter_rows(named=True)
        ]
    return []


PLANT: Final = Column("plant", ColumnType.TEXT, "Plant that delivered the data.")
ARRIVED_ON: Final = Column("arrived_on", ColumnType.DATE, "UTC day on which the file reached the landing zone.")
DAY: Final = Column("day", ColumnType.DATE, "UTC day on which it happened.")
CAPTURE_KEY: Final = Column(
    "capture_key", ColumnType.INTEGER, "Key of the capture; its hexadecimal is capture_id.", minimum=0
)
LINE: Final = Column("line", ColumnType.INTEGER, "Line in the file, counted from 1.", minimum=1)


def columns_of(rows: Sequence[dict[str, Any]], table: Table) -> pl.DataFrame:
    """Make a frame with the contract's columns and types from plain rows, which may be none.

    Raises:
        polars.exceptions.PolarsError: a value does not fit its column.
    """
    schema = {column.name: column.type.polars for column in table.columns}
    return pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of a table: a plant and a UTC day, of arrival or of the event as the table has it.

    Attributes:
        plant: plant name.
        day: UTC day.
    """

    plant: str
    day: date

    def values(self, table: Table) -> dict[str, str]:
        """Partition column to value, as written in folder names and in the Delta log.

        Raises:
            ValueError: the table is not partitioned by a plant and a day.
        """
        if len(table.partition_by) != 2:
            raise ValueError(f"{table.qualified_name} has no plant and day to be partitioned by")
        return dict(zip(table.partition_by, (self.plant, self.day.isoformat()), strict=True))

    @property
    def start(self) -> datetime:
        """First instant of the day, UTC."""
        return datetime.combine(self.day, time(), UTC)

    @property
    def end(self) -> datetime:
        """First instant after the day, UTC."""
        return self.start + timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.plant} {self.day.isoformat()}"
