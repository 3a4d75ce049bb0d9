"""The code location: it loads, reads nothing at import, and every asset can be materialized on its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from idm_assets.definitions import assets_of, build_defs
from idm_assets.partitions import partition_of
from idm_assets.referential.description import Attribute, Model
from idm_assets.referential.model_contract import RecordModels
from resources.settings import Settings
from tests.end_to_end.plant import EXAMPLES, PROJECT

DAY = "2016-11-16|nist"
ORDER = Model(
    "WorkOrder",
    "An order to maintain something.",
    (
        Attribute("cost", "double", "measurement", "EUR/h", minimum=0.0),
        Attribute("number", "integer", "measurement", key=True),
        Attribute("worker", "string", "text", pii="personal"),
    ),
    version="2.1.0",
    kind="record",
    business_object="work order",
    owner="maintenance@plant.example",
)
MODELS = RecordModels((ORDER,))
ASSETS = assets_of(MODELS)


def keys_of(definitions: dg.AssetsDefinition) -> list[dg.AssetKey]:
    return sorted(definitions.keys, key=str)


def test_everything_loads_and_is_described() -> None:
    defs = build_defs(record_models=MODELS)
    dg.Definitions.validate_loadable(defs)
    for node in defs.resolve_asset_graph().asset_nodes:
        assert node.description, node.key
        assert node.group_name == node.key.path[0]
        assert node.owners
        assert node.kinds
    for definitions in ASSETS:
        for spec in definitions.specs:
            if spec.key.path[0] != "publication":
                assert spec.metadata["dagster/column_schema"].columns


def test_every_table_has_its_checks() -> None:
    keys = build_defs(record_models=MODELS).resolve_asset_graph().asset_check_keys
    checks = {(key.asset_key.to_user_string(), key.name) for key in keys}
    tables = {key.to_user_string() for definitions in ASSETS for key in keys_of(definitions)} - {"publication/catalog"}
    assert {table for table, name in checks if name == "contract"} == tables
    for table in (
        "capture/captures",
        "cleaned/observations",
        "contextualized/measurements",
        "aggregated/measurements_1h",
        "capture/records",
        "cleaned/records",
        "contextualized/work_order_v2",
    ):
        assert (table, "conservation") in checks
    assert ("cleaned/observations", "uniqueness") in checks
    assert ("cleaned/observations", "continuity") in checks


def test_a_record_model_is_shown_as_people_know_it() -> None:
    node = build_defs(record_models=MODELS).resolve_asset_graph().get(dg.AssetKey(["contextualized", "work_order_v2"]))
    assert node.owners == ["maintenance@plant.example"]
    assert node.tags["pii"] == "personal"
    for told in ("An order to maintain something.", "work order", "WorkOrder", "2.1.0", "EUR/h", "at least 0", "key"):
        assert told in (node.description or ""), told
    columns = {column.name: column for column in node.metadata["dagster/column_schema"].columns}
    assert columns["cost"].tags == {"unit": "EUR_per_h"}
    assert columns["worker"].tags == {"pii": "personal"}
    assert [name for name, column in columns.items() if not column.constraints.nullable] == [
        "plant", "day", "ts", "number", "capture_key", "line",
    ]  # fmt: skip


def test_an_owner_without_an_address_is_a_team_and_a_model_without_owner_is_ours() -> None:
    for owner, shown in (("Maintenance, hall 3", "team:Maintenance, hall 3"), (None, "team:plant-data")):
        models = RecordModels((replace(ORDER, owner=owner),))
        key = dg.AssetKey(["contextualized", "work_order_v2"])
        assert build_defs(record_models=models).resolve_asset_graph().get(key).owners == [shown]


def test_without_readable_models_nothing_is_made_of_records() -> None:
    keys = {k.to_user_string() for d in assets_of(RecordModels(None)) for k in keys_of(d)}
    assert "capture/records" in keys
    assert not keys & {"cleaned/records", "cleaned/record_quarantine"}


def test_import_reads_no_environment_and_touches_no_disk(tmp_path: Path) -> None:
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\n"
        "for name in ('IDM_HOME', 'IDM_CONFIG'): os.environ[name] = '/nowhere/at/all'\n"
        "import idm_assets.definitions; print(idm_assets.definitions.defs)"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(PROJECT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", [k for d in ASSETS for k in keys_of(d)[:1]], ids=lambda key: key.to_user_string())
def test_every_asset_can_be_materialized_first(key: dg.AssetKey, tmp_path: Path) -> None:
    """No hidden order: on an empty home each asset makes an empty table instead of an error."""
    settings = Settings(home=str(tmp_path), config=str(EXAMPLES / "config"), settle_seconds=0)
    defs = build_defs(resource_overrides={"settings": settings}, record_models=MODELS)
    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance"))
    instance.add_dynamic_partitions("plant", ["nist"])
    definitions = next(d for d in ASSETS if key in d.keys)
    result = dg.materialize(
        [definitions],
        instance=instance,
        resources=dict(defs.resources or {}),
        partition_key=DAY if definitions.partitions_def is not None else None,
        raise_on_error=False,
    )
    assert result.success, [event.message for event in result.all_events if event.is_failure]


@pytest.mark.parametrize("definitions", ASSETS, ids=lambda d: d.node_def.name)
def test_a_run_of_some_tables_brings_their_checks_and_no_others(
    definitions: dg.AssetsDefinition, tmp_path: Path
) -> None:
    """What a backfill from an asset's page does: it selects some of a layer's tables, with their checks."""
    settings = Settings(home=str(tmp_path), config=str(EXAMPLES / "config"), settle_seconds=0)
    defs = build_defs(resource_overrides={"settings": settings}, record_models=MODELS)
    (tmp_path / "instance").mkdir()
    instance = dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance"))
    instance.add_dynamic_partitions("plant", ["nist"])
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(definitions.keys))
    result = job.execute_in_process(
        instance=instance, partition_key=DAY if definitions.partitions_def is not None else None, raise_on_error=False
    )
    assert result.success, [event.message for event in result.all_events if event.is_failure]
    judged = {evaluation.asset_key for evaluation in result.get_asset_check_evaluations()}
    assert judged == set(definitions.keys) - {dg.AssetKey(["publication", "catalog"])}


def test_partition_keys_are_checked() -> None:
    assert partition_of(DAY).plant == "nist"
    with pytest.raises(ValueError, match="not of the form"):
        partition_of("2016-11-16")
