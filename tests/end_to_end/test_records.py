"""Work orders of a mine through the real jobs: typed tables, bad days, corrections, changed models."""

from __future__ import annotations

import logging
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import yaml

from idm_assets import definitions
from idm_assets.cleaned import record_assets
from idm_assets.contracts import Partition
from idm_assets.lineage import record_derivations
from idm_assets.partitions import key_of as key_of_partition
from idm_assets.partitions import range_tags
from idm_assets.referential.model_contract import read_record_models
from resources.lake import Lake
from resources.ledger import Ledger
from tests.end_to_end.plant import EVENT_DAY_TABLES, Plant
from tests.work_orders import MODEL, READING, TIME, content_of, day_of, json_line, key_of, work_orders

SOURCES = {
    "sources": [
        {
            "name": "orders", "plant": "mine", "glob": "*.jsonl", "format": "json_lines", "expected": "irregular",
            "time": TIME, "record": READING,
        }
    ]
}  # fmt: skip
NOVEMBER = work_orders("2009-11")
FIRST_DAYS = [row for row in NOVEMBER if row["BscStartDate"] <= "2009-11-10"]
CONTESTED = sorted(
    {day_of(a) for a in NOVEMBER for b in NOVEMBER if key_of(a) == key_of(b) and content_of(a) != content_of(b)}
)
RECORD_TABLES = ("cleaned.records", "cleaned.record_quarantine", "contextualized.work_order")


def lines(rows: Iterable[dict[str, str]]) -> bytes:
    return "".join(map(json_line, rows)).encode()


def mine(home: Path, model: str = MODEL) -> Plant:
    made = Plant(home, "mine")
    (made.config / "sources" / "nist.yaml").unlink()
    (made.config / "sources" / "orders.yaml").write_text(yaml.safe_dump(SOURCES))
    shutil.rmtree(made.config / "models", ignore_errors=True)
    set_model(made, model)
    return made


def set_model(plant: Plant, model: str) -> None:
    (plant.config / "models").mkdir(exist_ok=True)
    (plant.config / "models" / "orders.yaml").write_text(model)


def contents(plant: Plant) -> dict[str, list[tuple[object, ...]]]:
    """All rows of the tables made of records."""
    lake = Lake(settings=plant.settings)
    found: dict[str, list[tuple[object, ...]]] = {}
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        for derivation in record_derivations(read_record_models(plant.config)):
            rows = con.sql(f"SELECT * FROM ({lake.relation(derivation.table)}) ORDER BY ALL")
            found[derivation.table.qualified_name] = rows.fetchall()
    return found


def shown_of(plant: Plant, key: Sequence[str], day: date) -> str:
    """The preview that the UI shows of a day."""
    records = plant.instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=dg.AssetKey(key), asset_partitions=[key_of_partition(Partition("mine", day))]),
        limit=1,
    ).records
    materialization = records[0].asset_materialization
    assert materialization is not None
    return str(materialization.metadata["preview"].value)


def ran_well(report: Any) -> None:
    assert report.failures == []
    assert {name for name, (severity, _) in report.failed_checks.items() if severity == "ERROR"} == set()


@pytest.fixture(scope="module")
def november(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """November 2009 as one file, with a few lines that are no records."""
    plant = mine(tmp_path_factory.mktemp("mine"))
    plant.land("a.jsonl", lines(NOVEMBER) + b'no json\n\n{"BscStartDate": "2023-02-30"}\n')
    ran_well(plant.ingest())
    return plant


# What the tables hold


def test_every_line_is_accounted_for(november: Plant) -> None:
    assert november.ask(
        "SELECT lines, decoded_lines, records, observations, quarantined, skipped, decoder FROM capture.captures"
    ) == [(67, 64, 64, 0, 2, 1, "json_lines/fast")]
    assert november.ask("SELECT reason FROM capture.quarantine ORDER BY line") == [
        ("json_invalid",), ("timestamp_unreadable",),
    ]  # fmt: skip


def test_each_day_has_each_order_once_in_its_types(november: Plant) -> None:
    """Dictionaries over the CSV keep the last row of each key."""
    last = {key_of(row): row for row in NOVEMBER}
    expected = sorted(
        (
            day_of(row), row["Asset"], row["OriginalShorttext"], float(row["Cost"]),
            float(row["RunningTime"]) if row["RunningTime"] else None,
        )
        for row in last.values()
    )  # fmt: skip
    found = november.ask("SELECT day, asset, text, cost, running_time FROM contextualized.work_order ORDER BY ALL")
    assert found == expected
    assert len(found) < len(NOVEMBER)
    reports: dict[tuple[str, str, str], set[tuple[object, ...]]] = defaultdict(set)
    for row in NOVEMBER:
        reports[key_of(row)].add(content_of(row))
    lost = sum(len(contents) - 1 for contents in reports.values())
    assert november.ask("SELECT reason, count(*) FROM cleaned.record_quarantine GROUP BY 1") == [("conflict", lost)]
    assert november.ask(
        "SELECT (SELECT sum(reports) FROM cleaned.records) + (SELECT sum(reports) FROM cleaned.record_quarantine)"
    ) == [(len(NOVEMBER),)]


def test_negative_costs_are_kept_and_flagged(november: Plant) -> None:
    """Two of November 2009, and no other cost is implausible."""
    assert november.ask("SELECT cost, flags FROM contextualized.work_order WHERE flags LIKE '%cost%' ORDER BY 1") == [
        (-77.29, '{"cost":"out_of_range"}'), (-25.76, '{"cost":"out_of_range"}'),
    ]  # fmt: skip


def test_the_catalog_says_what_columns_mean(november: Plant) -> None:
    comments = dict(
        november.ask("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'work_order'")  # type: ignore[arg-type]
    )
    assert comments["running_time"] == "running_time. [h]"
    assert comments["cost"] == "cost. Expected: at least 0."
    assert comments["text"] == "What was written. (personal data: personal)"
    assert comments["capture_id"]
    assert november.ask("SELECT comment FROM duckdb_views() WHERE view_name = 'work_order'") == [
        ("A corrective order for an excavator.",)
    ]


def test_previews_leave_personal_data_out(november: Plant) -> None:
    day = day_of(NOVEMBER[0])
    texts = [row["OriginalShorttext"] for row in NOVEMBER if day_of(row) == day]
    for table, column in (("records", "record_table"), ("record_quarantine", "reason"), ("work_order", "cost")):
        layer = "contextualized" if table == "work_order" else "cleaned"
        days = [day] if table != "record_quarantine" else CONTESTED
        for at in days:
            shown = shown_of(november, (layer, table), at)
            assert column in shown
            assert not any(text in shown for text in texts)


def test_only_days_with_records_were_computed_and_nothing_of_observations(november: Plant) -> None:
    assert november.ask("SELECT count(*) FROM cleaned.observations") == [(0,)]
    ledger = Ledger(settings=november.settings)
    every = [table.qualified_name for table in EVENT_DAY_TABLES] + list(RECORD_TABLES)
    computed = {(name, partition.day) for name, partition in ledger.partitions(every)}
    ledger.close()
    assert computed == {(name, day_of(row)) for name in RECORD_TABLES for row in NOVEMBER}


def test_once_more_changes_nothing(november: Plant) -> None:
    before = contents(november)
    assert november.ingest().jobs == []
    november.land("a copy.jsonl", (november.landing / "a.jsonl").read_bytes())
    report = november.ingest()
    ran_well(report)
    assert [job for job, _ in report.jobs] == ["file_captures"]
    assert contents(november) == before


# Order, days, corrections


def parts() -> dict[str, bytes]:
    """Some days in three files that repeat and contradict each other; the last event of each is on another day."""
    odd = [row for n, row in enumerate(FIRST_DAYS) if n % 2]
    early = [row for row in FIRST_DAYS if row["BscStartDate"] < max(row["BscStartDate"] for row in odd)]
    dearer = [row | {"Cost": "99999.5"} for row in early if row["BscStartDate"] < max(r["BscStartDate"] for r in early)]
    return {"odd.jsonl": lines(odd), "early.jsonl": lines(early), "dearer.jsonl": lines(dearer)}


@pytest.mark.slow
def test_files_in_another_order_make_the_same_tables(tmp_path: Path) -> None:
    first, second = mine(tmp_path / "first"), mine(tmp_path / "second")
    for name, content in parts().items():
        first.land(name, content)
    ran_well(first.ingest())
    for names in (["dearer.jsonl", "odd.jsonl"], ["early.jsonl"]):
        for name in names:
            second.land(name, parts()[name])
        ran_well(second.ingest())
    assert contents(first) == contents(second)
    assert {name: bool(rows) for name, rows in contents(first).items()} == dict.fromkeys(RECORD_TABLES, True)
    # The file that says the most recent things is the one with all odd rows; then come the early ones.
    won = dict(
        first.ask("SELECT path, count(*) FROM cleaned.records JOIN capture.captures USING (capture_id) GROUP BY 1")
    )
    assert "dearer.jsonl" not in won
    assert first.ask("SELECT count(*) FROM contextualized.work_order WHERE cost = 99999.5") == [(0,)]


@pytest.mark.slow
def test_one_bad_day_stops_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant = mine(tmp_path / "home")
    plant.land("a.jsonl", lines(FIRST_DAYS))
    days = sorted({day_of(row) for row in FIRST_DAYS})
    cursed = days[2]
    real: Callable[..., Any] = record_assets.clean_records

    def failing(con: object, arrived: str, ranks: str, models: object) -> object:
        if f"{cursed} 00:00" in arrived.split("ts <", 1)[0]:
            raise RuntimeError("this day is cursed")
        return real(con, arrived, ranks, models)

    monkeypatch.setattr(record_assets, "clean_records", failing)
    report = plant.ingest()
    assert any(f"mine {cursed}: RuntimeError: this day is cursed" in failure for failure in report.failures)
    computed = [day for (day,) in plant.ask("SELECT DISTINCT day FROM contextualized.work_order ORDER BY 1")]
    assert computed == [day for day in days if day != cursed]

    monkeypatch.undo()
    assert plant.ingest().jobs == [], "what failed from these inputs is not tried again by itself"
    models = read_record_models(plant.config)
    defs = definitions.build_defs(resource_overrides={"settings": plant.settings}, record_models=models)
    job = defs.resolve_job_def("compute_event_days")
    done = job.execute_in_process(instance=plant.instance, tags=range_tags("mine", days[0], days[-1]))
    assert done.success, "a person may ask for all days, made or not"
    ran_well(plant.ingest())
    assert plant.ask("SELECT count(DISTINCT day) FROM contextualized.work_order") == [(len(days),)]


@pytest.mark.slow
def test_a_corrected_file_takes_the_place_of_the_former(tmp_path: Path) -> None:
    plant = mine(tmp_path / "home")
    plant.land("a.jsonl", lines(NOVEMBER[:6]))
    ran_well(plant.ingest())
    corrected = [NOVEMBER[0] | {"Cost": "1.5"}, *NOVEMBER[2:6]]
    plant.land("a.jsonl", lines(corrected))
    ran_well(plant.ingest())
    found = plant.ask("SELECT text, cost FROM contextualized.work_order ORDER BY ALL")
    assert found == sorted((row["OriginalShorttext"], float(row["Cost"])) for row in corrected)
    assert plant.ask("SELECT count(*) FROM capture.records") == [(5,)], "superseded records are not shown"


# Models


@pytest.mark.slow
def test_a_model_may_grow_and_a_breaking_version_has_a_table_of_its_own(tmp_path: Path) -> None:
    plant = mine(tmp_path / "home")
    plant.land("a.jsonl", lines(NOVEMBER[:6]))
    ran_well(plant.ingest())
    before = plant.ask("SELECT * FROM contextualized.work_order ORDER BY ALL")

    set_model(plant, MODEL.replace("1.0.0", "1.1.0") + "      - {name: Rule, data_type: string}\n")
    report = plant.ingest()
    ran_well(report)
    assert {job for job, _ in report.jobs} >= {"compute_event_days", "publish_catalog"}
    rules = plant.ask("SELECT text, Rule FROM contextualized.work_order ORDER BY ALL")
    assert dict(rules) == {row["OriginalShorttext"]: row["Rule"] for row in NOVEMBER[:6]}  # type: ignore[arg-type]
    assert plant.ask("SELECT * EXCLUDE (Rule) FROM contextualized.work_order ORDER BY ALL") == before
    assert plant.ask("SELECT sum(unknown_fields) FROM cleaned.records") == [(0,)]

    second = MODEL.removeprefix("\nmodels:\n").replace("1.0.0", "2.0.0").replace("running_time", "hours")
    set_model(plant, MODEL + second)
    ran_well(plant.ingest())
    assert plant.ask("SELECT count(*) FROM contextualized.work_order") == [(0,)], "the source means the highest version"
    assert plant.ask("SELECT count(*) FROM contextualized.work_order_v2") == [(len(before),)]

    pinned = {"sources": [SOURCES["sources"][0] | {"record": READING | {"version": 1}}]}
    (plant.config / "sources" / "orders.yaml").write_text(yaml.safe_dump(pinned))
    plant.land("a.jsonl", lines(NOVEMBER[:7]))
    ran_well(plant.ingest())
    assert plant.ask("SELECT count(*) FROM contextualized.work_order") == [(7,)]
    assert plant.ask("SELECT count(*) FROM contextualized.work_order_v2") == [(0,)]


@pytest.mark.slow
def test_models_that_cannot_be_read_leave_the_tables_as_they_are(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = mine(tmp_path / "home")
    plant.land("a.jsonl", lines(NOVEMBER[:6]))
    ran_well(plant.ingest())
    before = contents(plant)
    set_model(plant, MODEL.replace("data_type: double", "data_type: money"))
    plant.land("b.jsonl", lines(NOVEMBER[6:12]))
    report = plant.ingest()
    assert any("record models: " in failure and "orders.yaml:" in failure for failure in report.failures)
    assert plant.ask("SELECT count(*) FROM cleaned.records") == [(len(before["cleaned.records"]),)]
    monkeypatch.setenv("IDM_CONFIG", str(plant.config))
    with caplog.at_level(logging.ERROR):
        loaded = definitions.defs()
    assert "orders.yaml:" in caplog.text
    keys = {key.to_user_string() for key in loaded.resolve_asset_graph().get_all_asset_keys()}
    assert "cleaned/records" not in keys
    set_model(plant, MODEL)
    ran_well(plant.ingest())
    assert plant.ask("SELECT count(*) FROM cleaned.records") > [(len(before["cleaned.records"]),)]


def test_what_dagster_loads_has_the_assets_of_the_configured_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = mine(tmp_path / "home")
    monkeypatch.setenv("IDM_CONFIG", str(plant.config))
    loaded = definitions.defs()
    dg.Definitions.validate_loadable(loaded)
    graph = loaded.resolve_asset_graph()
    table = dg.AssetKey(["contextualized", "work_order"])
    assert graph.get(table).parent_keys >= {dg.AssetKey(["cleaned", "records"])}
    assert table in loaded.resolve_job_def("compute_event_days").asset_layer.asset_graph.get_all_asset_keys()
    checks = {key.name for key in graph.asset_check_keys if key.asset_key == table}
    assert checks == {"contract", "uniqueness", "conservation"}
