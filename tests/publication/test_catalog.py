"""The published catalog: what it shows, what its columns mean, and how it takes the place of the former one."""

import os
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from idm_assets.aggregated import tables as aggregated
from idm_assets.capture import tables as capture
from idm_assets.cleaned import tables as cleaned
from idm_assets.contextualized import tables as contextualized
from idm_assets.monitoring import tables as monitoring
from idm_assets.publication.catalog import VIEWS, publish
from idm_assets.referential import tables as referential
from resources.lake import Lake
from resources.settings import Settings
from tests.relations import DAY, PARTITION, PLANT, START, at, contract_rows

FIGURES = (
    "plant, day, window_start, equipment_path, avatar, attribute, unit, count, average, time_average, minimum, maximum,"
    " first, last, percent_good"
)
PROMISED = {
    "capture.observations": "plant, arrived_on, capture_id, line, source, tag, ts, value, text, status",
    "capture.quarantine": "plant, arrived_on, capture_id, path, line, payload, reason, detail",
    "capture.captures": (
        "plant, source, path, capture_id, arrived_at, lines, observations, quarantined, skipped, first_ts, last_ts"
    ),
    "cleaned.observations": "plant, day, source, tag, ts, value, text, status, capture_id",
    "contextualized.measurements": (
        "plant, day, ts, equipment_path, avatar, attribute, value, text, unit, status, source, tag"
    ),
    "contextualized.states": ("plant, day, equipment_path, avatar, attribute, state, started_at, ended_at, duration_s"),
    "aggregated.measurements_1min": FIGURES,
    "aggregated.measurements_1h": FIGURES,
    "aggregated.measurements_1d": FIGURES,
    "referential.data_models": "model, version, kind, owner, extends, attributes",
    "referential.model_attributes": "model, version, attribute, data_type, kind, unit, minimum, maximum",
    "referential.versions": "version, recorded_at, author, reason, recorded, retired",
    "referential.avatars": "plant, avatar, name, model, model_version, parent, equipment_path, valid_from, valid_to",
    "referential.signals": "plant, source, tag, avatar, attribute, equipment_path, unit, valid_from, valid_to",
    "referential.equipment": "plant, equipment_path, name, level, parent_path",
}
ROWS = {
    capture.TAGS: [{"signal_id": 5, "source": "m1", "tag": "load"}, {"signal_id": 6, "source": "m1", "tag": "mode"}],
    capture.CAPTURES: [
        {"capture_key": 255, "standing": "decoded", "path": "a.txt", "lines": 2},
        {"capture_key": 16, "standing": "decoded", "path": "a.txt", "lines": 1},
        {"capture_key": 17, "standing": "rejected", "path": "b.txt", "source": None},
    ],
    capture.OBSERVATIONS: [
        {"capture_key": 255, "signal_id": 5, "ts": at(1), "value": 1.5, "status": 0x803C0480},
        {"capture_key": 255, "signal_id": 6, "ts": at(2), "text": "ON", "status": 0},
        {"capture_key": 16, "signal_id": 5, "ts": at(1), "value": 9.0, "status": 0},
    ],
    capture.QUARANTINE: [{"capture_key": 17, "line": None, "reason": "corrupt_gzip"}],
    cleaned.OBSERVATIONS: [{"capture_key": 255, "signal_id": 5, "ts": at(1), "value": 1.5, "status": 0x12345678}],
    cleaned.QUARANTINE: [{"capture_key": 16, "signal_id": 5, "ts": at(1), "reason": "conflict"}],
    capture.RECORDS: [{"capture_key": 255, "line": 1}, {"capture_key": 16, "line": 1}],
    cleaned.RECORDS: [{"capture_key": 255}],
    cleaned.RECORD_QUARANTINE: [{"capture_key": 255, "reason": "conflict"}],
    cleaned.LAST_VALUES: [{"signal_id": 5, "ts": at(1), "value": 1.5, "status": 0}],
    contextualized.MEASUREMENTS: [{"point_id": 50, "signal_id": 5, "ts": at(1), "value": 150.0, "status": 0}],
    contextualized.UNMAPPED: [{"signal_id": 6, "observations": 1}],
    contextualized.STATES: [{"point_id": 60, "state": "ON", "started_at": START, "ended_at": at(60)}],
    aggregated.MINUTES: [{"point_id": 50, "window_start": START, "count": 1, "average": 150.0}],
    aggregated.HOURS: [{"point_id": 50, "window_start": START, "count": 1}],
    aggregated.DAYS: [{"point_id": 50, "window_start": START, "count": 1}],
    aggregated.STATE_DURATIONS: [{"point_id": 60, "state": "ON"}],
    monitoring.QUARANTINE_COUNTS: [{"reason": "field_count", "units": 2}, {"reason": "stub_content", "files": 1}],
    referential.VERSIONS: [{"version": 1, "change_id": 1}],
    referential.RETIRED: [{"table_name": "avatars", "row_id": 2, "recorded_by": 1, "retired_by": 1}],
    referential.DATA_MODELS: [{"kind": "telemetry"}],
    referential.MODEL_ATTRIBUTES: [{"data_type": "double", "kind": "measurement", "hold": "stepped", "pii": "none"}],
    referential.EQUIPMENT: [{"plant": PLANT, "level": "Site"}],
    referential.AVATARS: [
        {"plant": PLANT, "avatar": "mill"},
        {"plant": PLANT, "avatar": "retired", "row_id": 2},
        {"plant": PLANT, "avatar": "never came into force", "recorded_by": 7},
    ],
    referential.SIGNALS: [
        {"plant": PLANT, "signal_id": 5, "data_type": "double", "kind": "measurement", "hold": "stepped"}
    ],
    referential.POINTS: [
        {"plant": PLANT, "point_id": 50, "equipment_path": "E/S", "avatar": "mill", "attribute": "load", "unit": "%",
         "kind": "measurement"},
        {"plant": PLANT, "point_id": 60, "equipment_path": "E/S", "avatar": "mill", "attribute": "mode",
         "kind": "state"},
    ],
}  # fmt: skip
EFFECTIVE = [255]


def put(con, lake, table, rows):
    partition = PARTITION if table.partition_by else None
    lake.replace(table, lake.stage(con, table, contract_rows(table, rows), partition), "run", partition)


@pytest.fixture(scope="module")
def filled(con, tmp_path_factory):
    """A lake with a few rows in every table."""
    lake = Lake(settings=Settings(home=str(tmp_path_factory.mktemp("it's published"))))
    for table, rows in ROWS.items():
        put(con, lake, table, rows)
    return lake


@pytest.fixture(scope="module")
def catalog(filled):
    """A reader of the catalog that was published from it."""
    publish(filled, EFFECTIVE, filled.settings.catalog_path)
    reader = duckdb.connect(str(filled.settings.catalog_path), read_only=True)
    reader.execute("SET TimeZone = 'UTC'").fetchall()
    yield reader
    reader.close()


def ask(reader, query):
    return reader.sql(query).fetchall()


# What it shows


@pytest.mark.parametrize("view", PROMISED)
def test_every_view_has_the_promised_columns(catalog, view):
    columns = {column: str(kind) for column, kind, *_ in ask(catalog, f"DESCRIBE {view}")}
    assert set(PROMISED[view].split(", ")) <= set(columns)
    assert not {"capture_key", "point_id"} & set(columns) or view.startswith("referential."), "names instead of keys"
    if "capture_id" in columns:
        assert columns["capture_id"] == "VARCHAR"


def test_every_view_and_every_column_has_a_comment(catalog):
    views = ask(catalog, "SELECT schema_name || '.' || view_name, comment FROM duckdb_views() WHERE NOT internal")
    assert {name for name, _ in views} == {view.table.qualified_name for view in VIEWS} >= set(PROMISED)
    assert [name for name, comment in views if not comment] == []
    columns = ask(
        catalog,
        "SELECT schema_name || '.' || table_name || '.' || column_name, comment FROM duckdb_columns()"
        " WHERE NOT internal AND table_name IN (SELECT view_name FROM duckdb_views() WHERE NOT internal)",
    )
    assert len(columns) > 150
    assert [name for name, comment in columns if not comment] == []
    tables = ask(catalog, "SELECT comment FROM duckdb_tables()")
    assert len(tables) == 3
    assert all(comment for (comment,) in tables)


def test_every_live_row_is_shown_once_and_superseded_observations_are_not(catalog):
    for view in VIEWS:
        unseen = {capture.OBSERVATIONS: 1, capture.RECORDS: 1, referential.AVATARS: 2}.get(view.table, 0)
        expected = len(ROWS[view.table]) - unseen
        assert ask(catalog, f"SELECT count(*) FROM {view.table.qualified_name}") == [(expected,)], view.table


def test_keys_become_names(catalog):
    assert ask(catalog, "SELECT capture_id, source, tag, value, text FROM capture.observations ORDER BY ts") == [
        ("00000000000000ff", "m1", "load", 1.5, None), ("00000000000000ff", "m1", "mode", None, "ON"),
    ]  # fmt: skip
    assert ask(
        catalog, "SELECT equipment_path, avatar, attribute, value, unit, source, tag FROM contextualized.measurements"
    ) == [("E/S", "mill", "load", 150.0, "%", "m1", "load")]
    assert ask(catalog, "SELECT avatar, attribute, state FROM contextualized.states") == [("mill", "mode", "ON")]
    assert ask(catalog, "SELECT plant, day, attribute, unit, average FROM aggregated.measurements_1min") == [
        (PLANT, DAY, "load", "%", 150.0)
    ]
    assert ask(catalog, "SELECT source, tag, observations FROM contextualized.unmapped") == [("m1", "mode", 1)]


def test_statuses_have_symbols_where_one_is_published(catalog):
    assert ask(catalog, "SELECT status, status_symbol FROM capture.observations ORDER BY ts") == [
        (0x803C0480, "BadOutOfRange"), (0, "Good"),
    ]  # fmt: skip
    assert ask(catalog, "SELECT status, status_symbol FROM cleaned.observations") == [(0x12345678, "0x12345678")]


def test_captures_say_whether_their_rows_count(catalog):
    assert ask(catalog, "SELECT capture_id, standing, effective FROM capture.captures ORDER BY capture_id") == [
        ("0000000000000010", "decoded", False), ("0000000000000011", "rejected", False),
        ("00000000000000ff", "decoded", True),
    ]  # fmt: skip


def test_an_older_duckdb_can_open_it(catalog):
    found = ask(catalog, "SELECT tags['storage_version'] FROM duckdb_databases() WHERE database_name = 'catalog'")
    assert found[0][0].startswith("v1.2.0")


# How it is put in place


def count_elsewhere(path):
    """What another process reads now: within one process, DuckDB shares what is open under a path."""
    program = (
        "import duckdb, sys; con = duckdb.connect(sys.argv[1], read_only=True);"
        " print(con.sql('SELECT count(*) FROM cleaned.observations').fetchall()[0][0])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    return int(done.stdout)


def leftovers(path):
    return sorted(entry.name for entry in path.parent.iterdir() if entry.name.startswith((".", path.name + ".")))


def test_a_reader_keeps_what_it_opened_and_the_next_one_sees_the_new(con, lake, run_settings):
    target = run_settings.catalog_path
    put(con, lake, cleaned.OBSERVATIONS, ROWS[cleaned.OBSERVATIONS])
    first = publish(lake, [], target)
    assert first.rows["cleaned.observations"] == 1
    with duckdb.connect(str(target), read_only=True) as reader:
        assert ask(reader, "SELECT count(*) FROM cleaned.observations") == [(1,)]
        more = [{"signal_id": n, "ts": at(n), "status": 0} for n in range(5)]
        put(con, lake, cleaned.OBSERVATIONS, more)
        second = publish(lake, [], target)
        assert second.rows["cleaned.observations"] == 5
        assert ask(reader, "SELECT count(*) FROM cleaned.observations") == [(1,)]
        assert count_elsewhere(target) == 5
    assert leftovers(target) == []
    assert second.path == target


def test_a_catalog_that_cannot_be_built_leaves_the_former_in_place(con, lake, run_settings):
    target = run_settings.catalog_path
    put(con, lake, cleaned.OBSERVATIONS, ROWS[cleaned.OBSERVATIONS])
    publish(lake, [], target)
    before = target.read_bytes()
    lake.live_files(cleaned.OBSERVATIONS)[0].write_bytes(b"damaged")
    with pytest.raises(duckdb.Error):
        publish(lake, [], target)
    assert target.read_bytes() == before
    assert leftovers(target) == []


def test_an_empty_lake_is_published_with_all_views(lake, run_settings):
    published = publish(lake, [], run_settings.catalog_path)
    assert published.rows == {view.table.qualified_name: 0 for view in VIEWS}
    with duckdb.connect(str(run_settings.catalog_path), read_only=True) as reader:
        columns = [row[0] for row in ask(reader, "DESCRIBE contextualized.measurements")]
    assert set(PROMISED["contextualized.measurements"].split(", ")) <= set(columns)


def test_many_effective_captures_are_no_problem(con, lake, run_settings):
    put(con, lake, capture.CAPTURES, [{"capture_key": 24_999, "standing": "decoded"}])
    publish(lake, [*range(25_000), 5], run_settings.catalog_path)
    with duckdb.connect(str(run_settings.catalog_path), read_only=True) as reader:
        assert ask(reader, "SELECT count(*) FROM capture.effective") == [(25_000,)]
        assert ask(reader, "SELECT effective FROM capture.captures") == [(True,)]


def test_the_file_is_flushed_before_it_is_put_in_place(lake, run_settings, monkeypatch):
    """Otherwise a power cut could leave an empty file under the name."""
    done = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(os.fstat(descriptor).st_ino))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (done.append("replaced"), replace(self, target))[1])
    publish(lake, [], run_settings.catalog_path)
    target = run_settings.catalog_path
    assert done == [target.stat().st_ino, "replaced", target.parent.stat().st_ino]
