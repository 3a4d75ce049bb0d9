"""From delivered records to cleaned ones: attributes and types of their model, duplicates, conflicts of one event day.

Rules, in order:

1. A record of a model that is not in force, without an attribute that the model requires, or with a value that does
   not fit the type of its attribute goes to quarantine. A text that is blank is no value, unless the attribute is a
   text that may be missing.
2. A value outside of the plausible range, or none of those allowed, is kept and named in the flags.
3. The same key with the same content is a duplicate; the first report stays.
4. The same key with something else is a conflict. The later report wins by the rule of
   `idm_assets.cleaned.observations`: the capture that says more recent things, within one capture the later line. The
   losers go to quarantine.

Values take the attribute's type here: a number or its text, ``true``, ``1`` or their texts, a time with the zone of
the source where it carries none. A fraction of zeros makes no integer unfit. What the model does not know is kept
beside the attributes.

Belongs here: these rules, as SQL over relations. Does not belong here: storage, Dagster, the typed tables
(`contextualized.records`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import polars as pl

from idm_assets.capture.json_values import fields_of, marked, unmarked, unquoted
from idm_assets.capture.text_values import is_blank, number, start_of_date, timestamp
from idm_assets.contracts import Partition
from idm_assets.referential.description import DataType, Model
from idm_assets.referential.model_contract import major_of, meant_by, table_name
from idm_assets.sql import literal

_INTEGER: Final = r"\s*[-+]?\d+(\.0*)?\s*"
_CONTENT: Final = "ts, attributes, coalesce(other_fields, '')"
_EXPECTED: Final[Mapping[DataType, str]] = {
    "double": "a number",
    "integer": "an integer of 64 bits",
    "boolean": "true or false",
    "string": "a text",
    "timestamp": "an ISO 8601 time",
}
_DECLARED: Final[Mapping[str, pl.DataType]] = {
    "model": pl.String(), "reading": pl.String(), "reading_id": pl.Int64(), "record_table": pl.String(),
    "zone": pl.String(), "timestamp_fields": pl.List(pl.String()), "unknown": pl.String(),
}  # fmt: skip
_WANTED: Final[Mapping[str, pl.DataType]] = {
    "reading_id": pl.Int64(), "position": pl.Int64(), "attribute": pl.String(), "field": pl.String(),
    "data_type": pl.String(), "minimum": pl.Float64(), "maximum": pl.Float64(), "allowed": pl.List(pl.String()),
    "is_key": pl.Boolean(), "is_required": pl.Boolean(),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecordCleaning:
    """One day, cleaned, as queries over temporary tables that the connection now holds.

    Attributes:
        records: query for `cleaned.records`.
        quarantine: query for `cleaned.record_quarantine`.
        counts: ``arrived``, ``duplicates``, ``conflicts``, ``rejected``, ``flagged``, ``unknown_fields``.
    """

    records: str
    quarantine: str
    counts: dict[str, int]


def arrived_records(captured: str, capture_keys: Sequence[int], partition: Partition) -> str:
    """Query for the records of some captures that happened on a day.

    Args:
        captured: query with the columns of `capture.records`, over the arrival partitions that matter.
        capture_keys: the effective captures with records on that day.
        partition: plant and event day.
    """
    keys = ", ".join(map(str, capture_keys)) or "NULL"
    return (
        f"SELECT capture_key, line, model, reading, ts, payload FROM ({captured})"
        f" WHERE ts >= {literal(partition.start)} AND ts < {literal(partition.end)} AND capture_key IN ({keys})"
    )


def clean_records(con: duckdb.DuckDBPyConnection, arrived: str, ranks: str, models: Sequence[Model]) -> RecordCleaning:
    """Apply the rules to the records of one day.

    Args:
        con: connection; its temporary tables ``arrived_records``, ``declared``, ``wanted``, ``delivered_fields``,
            ``read_records`` and ``judged_records`` are replaced.
        arrived: query as `arrived_records` makes it.
        ranks: query with ``capture_key, rank``: higher ranks say more recent things.
        models: the record models in force.
    """
    _make(
        con,
        "arrived_records",
        f"SELECT row_number() OVER () AS id, a.*, r.rank FROM ({arrived}) a JOIN ({ranks}) r USING (capture_key)",
    )
    _declare(con, models)
    _take_apart(con)
    _read_fields(con)
    _read(con)
    _judge(con)
    found = con.sql(
        "SELECT count(*), count(*) FILTER (reason IS NULL AND nth > 1),"
        " count(*) FILTER (reason IS NULL AND nth = 1 AND NOT won), count(*) FILTER (reason IS NOT NULL),"
        " count(*) FILTER (reason IS NULL AND nth = 1 AND won AND flags IS NOT NULL),"
        " coalesce(sum(unknown_fields) FILTER (reason IS NULL AND nth = 1 AND won), 0)::BIGINT FROM judged_records"
    ).fetchall()[0]
    names = ("arrived", "duplicates", "conflicts", "rejected", "flagged", "unknown_fields")
    return RecordCleaning(
        "SELECT model, record_table, record_key, ts, attributes, other_fields, unknown_fields, flags, reports,"
        " capture_key, line FROM judged_records WHERE reason IS NULL AND nth = 1 AND won",
        "SELECT capture_key, line, model, ts, payload, coalesce(reason, 'conflict') AS reason,"
        " CASE WHEN reason IS NULL THEN concat('capture ', format('{:016x}', winner), ' line ', winner_line,"
        " ' reports something else of this record') ELSE detail END AS detail, reports"
        " FROM judged_records WHERE reason IS NOT NULL OR (nth = 1 AND NOT won)",
        dict(zip(names, found, strict=True)),
    )


def _make(con: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    con.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS {query}").fetchall()


def _declare(con: duckdb.DuckDBPyConnection, models: Sequence[Model]) -> None:
    """Put the declarations of the arrived records into ``declared``, and the attributes they want into ``wanted``."""
    declared: list[dict[str, Any]] = []
    wanted: list[dict[str, Any]] = []
    readings = con.sql("SELECT DISTINCT model, reading FROM arrived_records ORDER BY ALL").fetchall()
    for reading_id, (name, reading) in enumerate(readings):
        said: dict[str, Any] = json.loads(reading)
        model = meant_by(models, name, said["version"])
        declared.append(
            {
                "model": name, "reading": reading, "reading_id": reading_id,
                "record_table": None if model is None else table_name(model), "zone": said["timezone"],
                "timestamp_fields": said["timestamps"],
                "unknown": _unknown(models, name, said["version"]) if model is None else None,
            }
        )  # fmt: skip
        wanted += [
            {
                "reading_id": reading_id, "position": position, "attribute": a.name,
                "field": said["fields"].get(a.name, a.name), "data_type": a.data_type, "minimum": a.minimum,
                "maximum": a.maximum, "allowed": list(a.allowed), "is_key": a.key,
                "is_required": a.key or a.required,
            }
            for position, a in enumerate(() if model is None else model.attributes)
        ]  # fmt: skip
    for table, rows, schema in (("declared", declared, _DECLARED), ("wanted", wanted, _WANTED)):
        con.register("rows_to_declare", pl.DataFrame(rows, schema=dict(schema), orient="row"))
        try:
            _make(con, table, "SELECT * FROM rows_to_declare")
        finally:
            con.unregister("rows_to_declare")


def _unknown(models: Sequence[Model], name: str, version: int | None) -> str:
    sought = name if version is None else f"{name} version {version}"
    known = ", ".join(sorted({f"{model.name} version {major_of(model)}" for model in models})) or "none"
    return f"no record model {sought} is in force; known: {known}"


def _take_apart(con: duckdb.DuckDBPyConnection) -> None:
    """Put every field of the records whose model is known into a row of ``delivered_fields``, its value marked."""
    _make(
        con,
        "delivered_fields",
        "SELECT id, reading_id, f.key AS mark, substring(f.key, 2) AS field, f.value::VARCHAR AS token FROM ("
        f"SELECT id, reading_id, unnest({fields_of(marked('payload'))}) AS f"
        " FROM arrived_records JOIN declared USING (model, reading) WHERE unknown IS NULL)",
    )


def _read(con: duckdb.DuckDBPyConnection) -> None:
    """Put every record into ``read_records``, with its attributes in the types of the model, or why it is rejected."""
    of_record = f"SELECT id, list(a ORDER BY a.position) AS every FROM ({_attributes()}) GROUP BY id"
    missing = "list_filter(every, lambda a: a.missing)"
    unfit = "list_filter(every, lambda a: a.unfit IS NOT NULL)"
    lacking = f"list_transform({missing}, lambda a: concat(a.attribute, ' is required, but missing'))"
    failing = f"list_transform({unfit}, lambda a: concat(a.attribute, ': ', a.unfit))"
    key = "list_transform(list_filter(every, lambda a: a.is_key), lambda a: a.written)"
    _make(
        con,
        "read_records",
        f"""
        SELECT
            capture_key, line, rank, ts, payload, model, record_table,
            concat('[', array_to_string({key}, ','), ']') AS record_key,
            {_object("every", "written")} AS attributes,
            nullif({_object("every", "flag")}, '{{}}') AS flags,
            other_fields, coalesce(unknown_fields, 0) AS unknown_fields,
            CASE
                WHEN unknown IS NOT NULL THEN 'unknown_model'
                WHEN len({missing}) > 0 THEN 'missing_attribute'
                WHEN len({unfit}) > 0 THEN 'type_mismatch'
            END AS reason,
            coalesce(unknown, array_to_string(list_concat({lacking}, {failing}), '; ')) AS detail
        FROM arrived_records
        JOIN declared USING (model, reading)
        LEFT JOIN ({of_record}) USING (id)
        LEFT JOIN ({_OTHER_FIELDS}) USING (id)
        """,
    )


def _object(attributes: str, text: str) -> str:
    """SQL expression: a JSON object of those attributes that have the text."""
    there = f"list_filter({attributes}, lambda a: a.{text} IS NOT NULL)"
    pairs = f"list_transform({there}, lambda a: concat(to_json(a.attribute)::VARCHAR, ':', a.{text}))"
    return f"concat('{{', array_to_string({pairs}, ','), '}}')"


_PAIR: Final = "concat(to_json(mark)::VARCHAR, ':', coalesce(token, 'null'))"
_OTHER_FIELDS: Final = f"""
    SELECT
        f.id, count(*) AS unknown_fields,
        {unmarked(f"concat('{{', string_agg({_PAIR}, ',' ORDER BY mark), '}}')")} AS other_fields
    FROM delivered_fields f
    JOIN declared d ON d.reading_id = f.reading_id AND NOT list_contains(d.timestamp_fields, f.field)
    ANTI JOIN wanted w ON w.reading_id = f.reading_id AND w.field = f.field
    GROUP BY f.id
"""


def _read_fields(con: duckdb.DuckDBPyConnection) -> None:
    """Put every attribute of every record into ``read_fields``: its text, and as JSON of the attribute's type.

    A table of its own, because a query that goes on from here takes DuckDB ten times as long to plan.
    """
    zones = [zone for (zone,) in con.sql("SELECT DISTINCT zone FROM declared ORDER BY 1").fetchall()]
    _make(
        con,
        "read_fields",
        f"""
        SELECT
            *, {_written(zones)} AS written,
            token IS NULL OR (
                (data_type <> 'string' OR is_required) AND coalesce({is_blank("text")}, false)
            ) AS is_absent
        FROM (
            SELECT
                r.id, w.*, d.zone, nullif(f.token, 'null') AS token,
                CASE
                    WHEN left(f.token, 1) = '"' THEN substring({unquoted("f.token")}, 2)
                    WHEN f.token IN ('true', 'false') THEN f.token
                END AS text
            FROM arrived_records r
            JOIN declared d USING (model, reading)
            JOIN wanted w ON w.reading_id = d.reading_id
            LEFT JOIN delivered_fields f ON f.id = r.id AND f.field = w.field
        )
        """,
    )


def _attributes() -> str:
    """Query: for every record and attribute a struct ``a`` with its value as JSON text, and what is wrong with it."""
    expected = " ".join(f"WHEN {literal(kind)} THEN {literal(text)}" for kind, text in _EXPECTED.items())
    return f"""
        SELECT id, {{
            'position': position, 'attribute': attribute, 'is_key': is_key, 'written': written,
            'missing': is_required AND is_absent,
            'unfit': CASE WHEN written IS NULL AND NOT is_absent THEN concat(
                'expected ', CASE data_type {expected} END, ', found ',
                CASE left(token, 1) WHEN '{{' THEN 'an object' WHEN '[' THEN 'an array' ELSE left(text, 100) END
            ) END,
            'flag': CASE
                WHEN value < minimum OR value > maximum THEN '"out_of_range"'
                WHEN len(allowed) > 0 AND written IS NOT NULL AND NOT CASE
                    WHEN value IS NOT NULL
                        THEN list_contains(list_transform(allowed, lambda t: try_cast(t AS DOUBLE)), value)
                    WHEN data_type = 'boolean' THEN list_contains(allowed, written)
                    ELSE list_contains(allowed, text)
                END THEN '"not_allowed"'
            END
        }} AS a
        FROM (SELECT *, CASE WHEN data_type IN ('double', 'integer') THEN written::DOUBLE END AS value FROM read_fields)
    """


def _written(zones: Sequence[str]) -> str:
    """SQL expression: the text of a field as JSON of the attribute's type; NULL where it does not fit."""
    word = "lower(trim(text))"
    times = " ".join(
        f"WHEN {literal(zone)} THEN coalesce({timestamp('text', zone)}, {start_of_date('text', zone)})"
        for zone in zones
    )
    time = f"CASE zone {times} END" if zones else "NULL::TIMESTAMPTZ"
    return f"""
        CASE data_type
            WHEN 'double' THEN ({number("text")})::VARCHAR
            WHEN 'integer' THEN CASE WHEN regexp_full_match(text, {literal(_INTEGER)})
                THEN try_cast(split_part(trim(text), '.', 1) AS BIGINT)::VARCHAR END
            WHEN 'boolean' THEN CASE
                WHEN {word} IN ('true', '1') THEN 'true' WHEN {word} IN ('false', '0') THEN 'false' END
            WHEN 'string' THEN to_json(text)::VARCHAR
            WHEN 'timestamp' THEN strftime(({time}) AT TIME ZONE 'UTC', '"%Y-%m-%dT%H:%M:%S.%fZ"')
        END
    """


def _judge(con: duckdb.DuckDBPyConnection) -> None:
    """Say of every record that was read which report of its content it is, and whether that content won."""
    same = f"PARTITION BY record_table, record_key, {_CONTENT}"
    _make(
        con,
        "judged_records",
        f"SELECT *, row_number() OVER ({same} ORDER BY rank, line) AS nth, count(*) OVER ({same}) AS reports,"
        f" ({_CONTENT}) = winning AS won FROM ("
        f"SELECT *, first_value(({_CONTENT})) OVER latest AS winning, first_value(capture_key) OVER latest AS winner,"
        f" first_value(line) OVER latest AS winner_line FROM read_records WHERE reason IS NULL"
        f" WINDOW latest AS (PARTITION BY record_table, record_key ORDER BY rank DESC, line DESC))",
    )
    con.execute(
        "INSERT INTO judged_records BY NAME SELECT *, 1 AS nth, 1 AS reports FROM read_records WHERE reason IS NOT NULL"
    ).fetchall()
