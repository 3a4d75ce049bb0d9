"""What a good engineer would write by hand for the same work, with DuckDB and nothing else.

Two variants. ``lean`` makes what an analyst asks for: cleaned rows and figures per minute, as Parquet files. It
keeps no rejected line, no line number and nothing to replay from. ``layers`` keeps what the product keeps:
decoded observations with their line numbers, rejected lines with payload, cleaned rows, measurements, last
values, figures per minute, hour and day, each in files per plant and day, so that it can be audited and resumed.

Neither knows contracts, content hashes, referential versions, late files, staleness, checks or catalogs.

    python benchmarks/handwritten.py lean LANDING BINDINGS.csv OUT

Belongs here: these two scripts and figures of what they wrote. Does not belong here: the product, comparisons.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import duckdb

VARIANTS: Final = ("lean", "layers")
OUT_OF_RANGE: Final = 0x803C0000
MINUTE_US: Final = 60_000_000
HOUR_US: Final = 3_600_000_000
CARRY_DAYS: Final = 7

_WITHIN: Final = "ts >= TIMESTAMPTZ '2015-01-01 00:00:00+00' AND ts < now() + INTERVAL 1 DAY"
_PARQUET: Final = "(FORMAT parquet, COMPRESSION zstd)"


@contextmanager
def connection(spill: Path, threads: int, memory_limit: str) -> Generator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB within limits."""
    spill.mkdir(parents=True, exist_ok=True)
    con = duckdb.connect()
    try:
        con.execute(f"SET memory_limit = '{memory_limit}'").fetchall()
        con.execute(f"SET threads = {threads}").fetchall()
        con.execute(f"SET temp_directory = '{spill}'").fetchall()
        con.execute("SET TimeZone = 'UTC'").fetchall()
        yield con
    finally:
        con.close()


def run(variant: str, landing: Path, bindings: Path, out: Path, *, threads: int, memory_limit: str) -> None:
    """Do the whole work of a variant; ``out`` must not exist."""
    out.mkdir(parents=True)
    files = sorted(path for path in landing.glob("*/*/*") if path.suffix in {".jsonl", ".shdr"})
    with connection(out / "spill", threads, memory_limit) as con:
        con.execute(f"CREATE TABLE bindings AS FROM read_csv('{bindings}')").fetchall()
        if variant == "lean":
            _lean(con, files, out)
        else:
            _layers(con, files, out, threads)


def _lean(con: duckdb.DuckDBPyConnection, files: Sequence[Path], out: Path) -> None:
    con.execute("SET preserve_insertion_order = false").fetchall()
    names = ", ".join(f"'{file}'" for file in files)
    source = "source"
    if files[0].suffix == ".jsonl":
        reader = (
            f"read_json([{names}], format = 'newline_delimited', ignore_errors = true, filename = true,"
            " columns = {'ts': 'VARCHAR', 'source': 'VARCHAR', 'tag': 'VARCHAR', 'value': 'DOUBLE'})"
        )
    else:
        source = "split_part(filename, '/', -2)"
        reader = (
            f"read_csv([{names}], delim = '|', quote = '', escape = '', header = false, auto_detect = false,"
            " null_padding = true, ignore_errors = true, filename = true,"
            " columns = {'ts': 'VARCHAR', 'tag': 'VARCHAR', 'value': 'DOUBLE'})"
        )
    con.execute(
        f"COPY (SELECT CASE WHEN value IS NOT NULL AND {_WITHIN} THEN b.signal_id END AS signal_id,"
        f' ts, value * b.factor + b."offset" AS value,'
        f" CASE WHEN value BETWEEN b.minimum AND b.maximum THEN 0 ELSE {OUT_OF_RANGE} END::UINTEGER AS status"
        f" FROM (SELECT try_cast(ts AS TIMESTAMPTZ) AS ts, split_part(filename, '/', -3) AS plant,"
        f" {source} AS source, tag, value FROM {reader})"
        f" LEFT JOIN bindings b USING (plant, source, tag)) TO '{out}/decoded.parquet' (FORMAT parquet)"
    ).fetchall()
    # A file in between is read back faster than a table that has to spill under the memory limit.
    decoded = f"SELECT * FROM read_parquet('{out}/decoded.parquet')"
    con.execute(
        f"COPY (SELECT count(*) AS lines, count(signal_id) AS decoded, count(*) - count(signal_id) AS rejected"
        f" FROM ({decoded})) TO '{out}/counts.parquet' {_PARQUET}"
    ).fetchall()
    once = _once(con, f"{decoded} WHERE signal_id IS NOT NULL", "ts")
    con.execute(f"COPY ({once} ORDER BY signal_id, ts) TO '{out}/cleaned.parquet' {_PARQUET}").fetchall()
    (out / "decoded.parquet").unlink()
    cleaned = f"SELECT *, false AS carried FROM read_parquet('{out}/cleaned.parquet')"
    con.execute(
        f"CREATE TABLE hold AS SELECT signal_id, max(max(ts)) OVER (PARTITION BY plant, source) AS hold_until"
        f" FROM ({cleaned}) JOIN bindings USING (signal_id) GROUP BY signal_id, plant, source"
    ).fetchall()
    con.execute(f"COPY ({_minutes(cleaned)}) TO '{out}/minutes.parquet' {_PARQUET}").fetchall()


def _layers(con: duckdb.DuckDBPyConnection, files: Sequence[Path], out: Path, threads: int) -> None:
    for layer in ("decoded", "rejected", "cleaned", "last_values", "measurements", "minutes", "hours", "days"):
        (out / layer).mkdir()
    # Numbering lines keeps a file on one thread, so files are read side by side.
    with ThreadPoolExecutor(threads) as pool:
        for decoding in [pool.submit(_decode_file, con, number, file, out) for number, file in enumerate(files)]:
            decoding.result()
    decoded = f"read_parquet('{out}/decoded/*.parquet')"
    heard = con.sql(
        f"SELECT DISTINCT plant, source, day FROM (SELECT DISTINCT signal_id, ts::DATE AS day FROM {decoded})"
        f" JOIN bindings USING (signal_id)"
    ).fetchall()
    for plant in sorted({plant for plant, _, _ in heard}):
        days = sorted({day for of, _, day in heard if of == plant})
        for day in days:
            later = {source for of, source, d in heard if of == plant and 0 < (d - day).days <= CARRY_DAYS}
            _event_day(con, plant, day, later, out)


def _decode_file(shared: duckdb.DuckDBPyConnection, number: int, file: Path, out: Path) -> None:
    con = shared.cursor()
    lines = (
        f"SELECT row_number() OVER () AS line, content FROM read_csv('{file}', columns = {{'content': 'VARCHAR'}},"
        " delim = chr(1), quote = '', escape = '', header = false, auto_detect = false)"
    )
    source = f"'{file.parent.name}'"
    if file.suffix == ".jsonl":
        fields = (
            "SELECT line, content, try_cast(f[1] AS TIMESTAMPTZ) AS ts, f[2] AS source, f[3] AS tag,"
            " try_cast(f[4] AS DOUBLE) AS value, NULL::VARCHAR AS text FROM (SELECT *, CASE WHEN json_valid(content)"
            f" THEN json_extract_string(content, ['$.ts', '$.source', '$.tag', '$.value']) END AS f FROM ({lines}))"
        )
    else:
        fields = (
            f"SELECT line, content, try_cast(f[1] AS TIMESTAMPTZ) AS ts, {source} AS source, f[2] AS tag,"
            " try_cast(f[3] AS DOUBLE) AS value, f[3] AS text"
            f" FROM (SELECT *, string_split(content, '|') AS f FROM ({lines}))"
        )
    con.execute(
        f"CREATE TABLE decoded_{number} AS SELECT {number} AS file, line, ts, signal_id, value, text,"
        f" CASE WHEN signal_id IS NULL OR ts IS NULL OR value IS NULL OR NOT ({_WITHIN}) THEN content END AS payload"
        f" FROM ({fields}) f LEFT JOIN (FROM bindings WHERE plant = '{file.parent.parent.name}') b"
        f" ON f.source = b.source AND f.tag = b.tag"
    ).fetchall()
    con.execute(
        f"COPY (SELECT file, line, signal_id, ts, value, text, 0::UINTEGER AS status FROM decoded_{number}"
        f" WHERE payload IS NULL) TO '{out}/decoded/{number:06}.parquet' {_PARQUET}"
    ).fetchall()
    con.execute(
        f"COPY (SELECT file, line, payload FROM decoded_{number} WHERE payload IS NOT NULL)"
        f" TO '{out}/rejected/{number:06}.parquet' {_PARQUET}"
    ).fetchall()
    con.execute(f"DROP TABLE decoded_{number}").fetchall()
    con.close()


def _event_day(con: duckdb.DuckDBPyConnection, plant: str, day: date, later: set[str], out: Path) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    name = f"{plant}-{day}.parquet"
    con.execute(f"CREATE OR REPLACE TABLE bound AS FROM bindings WHERE plant = '{plant}'").fetchall()
    decoded = (
        f"SELECT d.signal_id, ts, value, text, CASE WHEN value BETWEEN minimum AND maximum THEN 0"
        f" ELSE {OUT_OF_RANGE} END::UINTEGER AS status, file, line"
        f" FROM read_parquet('{out}/decoded/*.parquet') d JOIN bound USING (signal_id)"
        f" WHERE ts >= TIMESTAMPTZ '{start}' AND ts < TIMESTAMPTZ '{end}'"
    )
    once = _once(con, decoded, "file, line")
    con.execute(f"COPY ({once} ORDER BY signal_id, ts) TO '{out}/cleaned/{name}' {_PARQUET}").fetchall()
    con.execute(
        f'COPY (SELECT signal_id, ts, value * factor + "offset" AS value, status'
        f" FROM read_parquet('{out}/cleaned/{name}') JOIN bound USING (signal_id))"
        f" TO '{out}/measurements/{name}' {_PARQUET}"
    ).fetchall()
    measurements = f"SELECT *, false AS carried FROM read_parquet('{out}/measurements/{name}')"
    former = sorted((out / "last_values").glob(f"{plant}-*.parquet"))
    carried = (
        "SELECT NULL::BIGINT AS signal_id, NULL::TIMESTAMPTZ AS ts, NULL::DOUBLE AS value, 0 AS status WHERE false"
    )
    if former:
        carried = f"SELECT * FROM read_parquet('{former[-1]}')"
    con.execute(
        f"COPY (SELECT signal_id, max(ts) AS ts, arg_max(value, ts) AS value, arg_max(status, ts) AS status"
        f" FROM (SELECT signal_id, ts, value, status FROM ({measurements}) UNION ALL {carried}) GROUP BY signal_id"
        f" HAVING max(ts) >= TIMESTAMPTZ '{end - timedelta(days=CARRY_DAYS)}')"
        f" TO '{out}/last_values/{name}' {_PARQUET}"
    ).fetchall()
    carried = f"SELECT signal_id, TIMESTAMPTZ '{start}' AS ts, value, status, true AS carried FROM ({carried})"
    again = ", ".join(f"'{source}'" for source in sorted(later)) or "NULL"
    con.execute(
        f"CREATE OR REPLACE TABLE hold AS SELECT signal_id, CASE WHEN coalesce(source IN ({again}), false)"
        f" THEN TIMESTAMPTZ '{end}' ELSE coalesce(max(last) OVER (PARTITION BY source), TIMESTAMPTZ '{start}') END"
        f" AS hold_until FROM bound LEFT JOIN (SELECT signal_id, max(ts) AS last FROM ({measurements})"
        f" GROUP BY signal_id) USING (signal_id)"
    ).fetchall()
    values = f"SELECT signal_id, ts, value, status, carried FROM ({measurements}) UNION ALL {carried}"
    con.execute(f"COPY ({_minutes(values)}) TO '{out}/minutes/{name}' {_PARQUET}").fetchall()
    minutes = f"SELECT * FROM read_parquet('{out}/minutes/{name}')"
    con.execute(f"COPY ({_hours(minutes, carried, start, end)}) TO '{out}/hours/{name}' {_PARQUET}").fetchall()
    hours = f"SELECT *, coalesce(time_average, 0) * good_s AS integral FROM read_parquet('{out}/hours/{name}')"
    con.execute(
        f"COPY (SELECT signal_id, TIMESTAMPTZ '{start}' AS window_start, {_ROLLED_UP} FROM ({hours})"
        f" GROUP BY signal_id) TO '{out}/days/{name}' {_PARQUET}"
    ).fetchall()


def _once(con: duckdb.DuckDBPyConnection, rows: str, order: str) -> str:
    """Query: one row per (signal, ts), the first by ``order``; only what is repeated passes through a window."""
    con.execute(
        f"CREATE OR REPLACE TABLE repeated AS SELECT signal_id, ts FROM ({rows}) GROUP BY ALL HAVING count(*) > 1"
    ).fetchall()
    return (
        f"SELECT * FROM (SELECT * FROM ({rows}) ANTI JOIN repeated USING (signal_id, ts) UNION ALL"
        f" SELECT * FROM ({rows}) SEMI JOIN repeated USING (signal_id, ts)"
        f" QUALIFY row_number() OVER (PARTITION BY signal_id, ts ORDER BY {order}) = 1)"
    )


def _minutes(values: str) -> str:
    """Query: figures of every minute with a report, each value held until the next or until `hold` says."""
    return f"""
        WITH held AS (
            SELECT signal_id, us, us // {MINUTE_US} AS minute, v, carried,
                coalesce(lead(us) OVER w, epoch_us(hold_until)) AS until_us,
                CASE WHEN lag(us) OVER w // {MINUTE_US} < us // {MINUTE_US} THEN lag(v) OVER w END AS v_before
            FROM (SELECT signal_id, epoch_us(ts) AS us, CASE WHEN status = 0 THEN value END AS v, carried, hold_until
                  FROM ({values}) JOIN hold USING (signal_id))
            WINDOW w AS (PARTITION BY signal_id ORDER BY us, carried DESC)
        ), shares AS (
            SELECT *, CASE WHEN v IS NOT NULL THEN least(until_us, (minute + 1) * {MINUTE_US}) - us ELSE 0 END AS own,
                CASE WHEN v_before IS NOT NULL THEN us - minute * {MINUTE_US} ELSE 0 END AS before
            FROM held
        )
        SELECT signal_id, make_timestamptz(minute * {MINUTE_US}) AS window_start,
            count(v) FILTER (NOT carried) AS count, avg(v) FILTER (NOT carried) AS average,
            sum(coalesce(v, 0) * own + coalesce(v_before, 0) * before) / nullif(sum(own + before), 0) AS time_average,
            min(v) FILTER (NOT carried) AS minimum, max(v) FILTER (NOT carried) AS maximum,
            arg_min(v, us) FILTER (NOT carried) AS first, arg_max(v, us) FILTER (NOT carried) AS last,
            sum(own + before) / 1e6 AS good_s, arg_max({{'v': v}}, 2 * us + (NOT carried)::INT).v AS held_value
        FROM shares GROUP BY signal_id, minute HAVING NOT bool_and(carried) ORDER BY signal_id, minute
    """


_ROLLED_UP: Final = (
    "sum(count) AS count, sum(average * count) / nullif(sum(count), 0) AS average,"
    " sum(integral) / nullif(sum(good_s), 0) AS time_average, min(minimum) AS minimum, max(maximum) AS maximum,"
    " arg_min(first, window_start) AS first, arg_max(last, window_start) AS last, sum(good_s) AS good_s,"
    " arg_max({'v': held_value}, window_start).v AS held_value"
)


def _hours(minutes: str, carried: str, start: datetime, end: datetime) -> str:
    """Query: figures per hour, from those per minute and the values held in the minutes without a report."""
    return f"""
        WITH marks AS (
            SELECT signal_id, window_start AS opens, window_start + INTERVAL 1 MINUTE AS closes, held_value
            FROM ({minutes})
            UNION ALL
            SELECT signal_id, ts, ts, CASE WHEN status = 0 THEN value END FROM ({carried})
        ), gaps AS (
            SELECT signal_id, held_value, epoch_us(closes) AS from_us,
                epoch_us(least(coalesce(lead(opens) OVER (PARTITION BY signal_id ORDER BY opens, closes),
                    TIMESTAMPTZ '{end}'), greatest(hold_until, closes))) AS to_us
            FROM marks JOIN hold USING (signal_id)
        ), pieces AS (
            SELECT signal_id, held_value, from_us, to_us,
                unnest(range(from_us // {HOUR_US}, (to_us - 1) // {HOUR_US} + 1)) AS hour
            FROM gaps WHERE to_us > from_us
        ), parts AS (
            SELECT signal_id, epoch_us(window_start) // {HOUR_US} AS hour, window_start, count, average, minimum,
                maximum, first, last, good_s, coalesce(time_average, 0) * good_s AS integral, held_value
            FROM ({minutes})
            UNION ALL
            SELECT signal_id, hour, make_timestamptz(greatest(from_us, hour * {HOUR_US})), 0, NULL, NULL, NULL, NULL,
                NULL, CASE WHEN held_value IS NULL THEN 0 ELSE seconds END, coalesce(held_value * seconds, 0),
                held_value
            FROM (SELECT *, (least(to_us, (hour + 1) * {HOUR_US}) - greatest(from_us, hour * {HOUR_US})) / 1e6
                  AS seconds FROM pieces)
        )
        SELECT signal_id, make_timestamptz(hour * {HOUR_US}) AS window_start, {_ROLLED_UP}
        FROM (SELECT * RENAME (window_start AS part_start) FROM parts) AS p(signal_id, hour, window_start, count,
            average, minimum, maximum, first, last, good_s, integral, held_value)
        WHERE hour >= epoch_us(TIMESTAMPTZ '{start}') // {HOUR_US} GROUP BY signal_id, hour ORDER BY signal_id, hour
    """


def figures(variant: str, out: Path) -> dict[str, float]:
    """Counts and sums over what a variant wrote, by the names that `product.published_figures` uses."""
    glob = {"lean": ".parquet", "layers": "/*.parquet"}[variant]
    with connection(out / "spill", 2, "1GB") as con:
        if variant == "lean":
            counts = con.sql(f"FROM read_parquet('{out}/counts.parquet')").fetchall()[0]
        else:
            decoded, rejected = (
                con.sql(f"SELECT count(*) FROM read_parquet('{out}/{layer}/*.parquet')").fetchall()[0][0]
                for layer in ("decoded", "rejected")
            )
            counts = (decoded + rejected, decoded, rejected)
        cleaned = con.sql(
            f"SELECT count(*), count(*) FILTER (status > 0), sum(value) FROM read_parquet('{out}/cleaned{glob}')"
        ).fetchall()[0]
        found = dict(zip(("lines", "decoded", "rejected"), counts, strict=True))
        found |= dict(zip(("cleaned", "bad", "sum of cleaned values"), cleaned, strict=True))
        for layer in ("minutes",) if variant == "lean" else ("minutes", "hours", "days"):
            sums = con.sql(
                f"SELECT count(*), sum(count), sum(average), sum(time_average), sum(good_s), sum(minimum),"
                f" sum(maximum), sum(first), sum(last), sum(held_value) FROM read_parquet('{out}/{layer}{glob}')"
            ).fetchall()[0]
            found |= {f"{layer}: {name}": value for name, value in zip(FIGURES, sums, strict=True)}
    return {name: float(value) for name, value in found.items()}


FIGURES: Final = (
    "rows", "counts", "averages", "time averages", "good_s", "minima", "maxima", "firsts", "lasts", "held values",
)  # fmt: skip
"""What is summed up of every table of figures."""


def main() -> None:
    """Run one variant over a landing folder."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("landing", type=Path)
    parser.add_argument("bindings", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-limit", default="1GB")
    o = parser.parse_args()
    run(o.variant, o.landing, o.bindings, o.out, threads=o.threads, memory_limit=o.memory_limit)


if __name__ == "__main__":
    main()
