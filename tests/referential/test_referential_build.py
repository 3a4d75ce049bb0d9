"""The tables of the referential: history, keys, ranges, and what is refused."""

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from idm_assets.configuration import ConfigurationError
from tests.referential.building import frames_of

EXAMPLES = Path(__file__).parents[2] / "examples" / "config"

# What the adapters of two machines sent in November 2016.
HURCO01 = {
    "Hurco01_asset_chg", "Hurco01_asset_rem", "Sovr", "Srpm", "avail", "block_number", "current_tool",
    "estop", "execution", "feed_override", "feed_rate", "part_count", "program_name_editing",
    "program_name_running", "program_runtime_seconds", "rapid_override", "spindle_time",
}  # fmt: skip
MAZAK01 = {
    "Bdeg", "Bfrt", "Bload", "Brfunc", "Btravel", "C2deg", "C2frt", "C2load", "C2travel", "C3deg",
    "C3load", "C3travel", "Cdeg", "Cfrt", "Cload", "Ctravel", "Fact", "Fovr", "Frapidovr",
    "Mazak01-dtop_1", "Mazak01_asset_chg", "Mazak01_asset_rem", "PartCountAct", "S2load", "S2load_cond",
    "S2ovr", "S2rpm", "S2temp", "S2temp_cond", "S3frt", "S3load", "S3load_cond", "S3ovr", "S3rpm",
    "S3temp", "S3temp_cond", "Sload", "Sload_cond", "Sovr", "Srpm", "Stemp", "Stemp_cond", "Tool_group",
    "Tool_number", "Tool_suffix", "Xabs", "Xfrt", "Xload", "Xtravel", "Yabs", "Yfrt", "Yload",
    "Ytravel", "Zabs", "Zfrt", "Zload", "Ztravel", "auto_time", "c2rfunc", "c3rfunc", "comms_cond",
    "coolant_level", "coolant_pres", "coolant_temp", "crfunc", "cut_time", "electric_temp", "estop",
    "execution", "hydra_cond", "line", "logic_cond", "mode", "motion_cond", "path_system", "pneu_cond",
    "power", "program", "program_cmt", "sequenceNum", "servo_cond", "subprogram", "subprogram_cmt",
    "system_cond", "total_time", "unitNum",
}  # fmt: skip

NOVEMBER = datetime(2016, 11, 10, tzinfo=UTC)
SWITCH = datetime(2017, 2, 27, tzinfo=UTC)


@pytest.fixture(scope="module")
def nist(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nist")
    shutil.copytree(EXAMPLES / "referential" / "devices", folder / "referential" / "devices")
    shutil.copy(EXAMPLES / "referential" / "nist.yaml", folder / "referential")
    shutil.copytree(EXAMPLES / "rules", folder / "rules")
    return frames_of(folder)


def in_force(frame: pl.DataFrame, at: datetime) -> pl.DataFrame:
    started = pl.col("valid_from").is_null() | (pl.col("valid_from") <= at)
    return frame.filter(started & (pl.col("valid_to").is_null() | (pl.col("valid_to") > at)))


def tags(frame: pl.DataFrame, source: str) -> set[str]:
    return set(frame.filter(pl.col("source") == source)["tag"])


# --- a small plant, made to measure ----------------------------------------------------------------------


def devices(*machines: str) -> str:
    return (
        "<MTConnectDevices xmlns='urn:mtconnect.org:MTConnectDevices:1.4'><Devices>\n"
        + "\n".join(machines)
        + "\n</Devices></MTConnectDevices>"
    )


def machine(items: str = "", name: str = "M", components: str = "") -> str:
    return (
        f"<Device id='{name}' name='{name}'><DataItems>{items}</DataItems>"
        f"<Components>{components}</Components></Device>"
    )


def item(tag: str, kind: str = "LOAD", category: str = "SAMPLE", more: str = "") -> str:
    return f"<DataItem id='{tag}' name='{tag}' type='{kind}' category='{category}' {more}/>"


def plant(folder: Path, *versions: tuple[str | None, str], series: tuple[str, ...] = (), rules: str = "") -> Path:
    """A configuration with one plant P and one import per (valid_from, document)."""
    (folder / "referential").mkdir(parents=True, exist_ok=True)
    text = "plant: P\nequipment:\n  - {path: E, level: Enterprise}\nimports:\n"
    for i, (start, document) in enumerate(versions):
        (folder / "referential" / f"d{i}.xml").write_text(document)
        text += f"  - {{format: mtconnect_devices, file: d{i}.xml, below: E"
        text += (f", valid_from: '{start}'" if start else "") + (f", series: {series[i]}" if series else "") + "}\n"
    (folder / "referential" / "p.yaml").write_text(text)
    if rules:
        (folder / "rules").mkdir(exist_ok=True)
        (folder / "rules" / "r.yaml").write_text(rules)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        frames_of(folder)
    return str(caught.value).replace(f"{folder}/", "")


# --- the real plant --------------------------------------------------------------------------------------


def test_every_version_of_the_file_is_in_force_in_its_time(nist):
    for at in (NOVEMBER, SWITCH):
        assert in_force(nist.signals, at).height == 345
        assert in_force(nist.avatars, at).height == 85
        assert in_force(nist.signals, at).select("plant", "source", "tag").is_unique().all()
    assert in_force(nist.signals, datetime(2016, 10, 5, 23, 59, tzinfo=UTC)).height == 0


def test_what_the_machines_sent_is_known_but_for_assets(nist):
    now = in_force(nist.signals, NOVEMBER)
    assert HURCO01 - tags(now, "Hurco01") == {"Hurco01_asset_chg", "Hurco01_asset_rem"}
    assert MAZAK01 - tags(now, "Mazak01") == {"Mazak01_asset_chg", "Mazak01_asset_rem"}
    assert (len(HURCO01), len(MAZAK01)) == (17, 86)


def test_with_the_later_version_only_all_tags_but_one_would_be_unknown(nist):
    later = in_force(nist.signals, SWITCH)
    assert HURCO01 & tags(later, "Hurco01") == {"avail"}
    assert len(HURCO01 - tags(later, "Hurco01")) == 16


def test_what_does_not_change_is_one_row_and_what_does_is_two(nist):
    hurco = nist.signals.filter(pl.col("source") == "Hurco01")
    assert hurco.filter(pl.col("tag") == "avail").select("valid_from", "valid_to").rows() == [
        (datetime(2016, 10, 6, tzinfo=UTC), None)
    ]
    assert hurco.filter(pl.col("tag") == "Srpm")["valid_to"].to_list() == [SWITCH]
    assert hurco.filter(pl.col("tag") == "Spindle_Speed")["valid_from"].to_list() == [SWITCH]
    same = hurco.filter(pl.col("tag").is_in(["Srpm", "Spindle_Speed"]))
    assert same["attribute"].unique().to_list() == ["rotary_velocity_actual"]
    assert same["point_id"].n_unique() == 1
    assert same["signal_id"].n_unique() == 2


def test_models_get_new_versions_only_where_they_change(nist):
    versions = nist.data_models.group_by("model").agg(pl.col("version").unique().sort()).sort("model")
    changed = {row["model"]: row["version"] for row in versions.iter_rows(named=True) if row["version"] != ["1.0.0"]}
    assert changed == {"Path": ["1.0.0", "2.0.0"], "Rotary": ["1.0.0", "2.0.0"]}


def test_every_binding_leads_to_an_attribute_of_its_model_and_to_a_point(nist):
    attributes = nist.model_attributes.select("model", "version", "attribute", "kind", "unit", "data_type")
    columns = ["model", "model_version", "attribute", "kind", "unit", "data_type"]
    lost = nist.signals.join(attributes.rename({"version": "model_version"}), on=columns, how="anti", nulls_equal=True)
    assert lost.height == 0
    assert (
        nist.signals.join(nist.points, on=["point_id", "avatar", "attribute", "equipment_path"], how="anti").height == 0
    )


def test_components_are_placed_at_their_machine(nist):
    where = nist.avatars.filter(pl.col("avatar") == "Mazak01-C2")
    assert set(where["equipment_path"]) == {"NIST/Gaithersburg/Manufacturing Lab/Mazak01"}
    device = nist.avatars.filter(pl.col("avatar") == "Mazak01").row(0, named=True)
    assert json.loads(device["external_ids"]) == {"uuid": "mtc_adapter002", "serial_number": "M7303290458"}
    assert json.loads(device["static_attributes"]) == {"manufacturer": "Mazak", "product": "Integrex"}
    unit = nist.equipment.filter(pl.col("name") == "Mazak01").row(0, named=True)
    assert (unit["level"], unit["parent_path"]) == ("WorkUnit", "NIST/Gaithersburg/Manufacturing Lab")
    assert nist.equipment.height == 13


def test_the_example_rule_puts_the_impossible_temperature_out_of_range(nist):
    row = in_force(nist.signals, NOVEMBER).filter((pl.col("source") == "Mazak03") & (pl.col("tag") == "S2temp"))
    assert row.select("minimum", "maximum", "rule").row(0) == (-20.0, 200.0, "spindle_temperature")
    assert not row["minimum"][0] <= 1145979424 <= row["maximum"][0]
    ruled = nist.signals.filter(pl.col("rule").is_not_null())
    assert ruled["attribute"].unique().to_list() == ["temperature"]
    assert ruled["kind"].unique().to_list() == ["measurement"]


def md5_key(*parts: str) -> int:
    """The key by another way: the last eight bytes of the digest, read from the low end, without the sign."""
    digest = hashlib.md5("\x1f".join(parts).encode()).digest()  # noqa: S324 - a key, no secret
    return int.from_bytes(digest[8:], "little") & (2**63 - 1)


def test_keys_are_those_that_anyone_can_compute(nist):
    row = nist.signals.filter((pl.col("source") == "Mazak01") & (pl.col("tag") == "Bfrt")).row(0, named=True)
    assert row["signal_id"] == md5_key("nist", "Mazak01", "Bfrt")
    path = "NIST/Gaithersburg/Manufacturing Lab/Mazak01"
    assert row["point_id"] == md5_key("nist", path, "Mazak01-B", "angular_velocity", "deg/s")
    no_unit = nist.points.filter(pl.col("unit").is_null()).row(0, named=True)
    names = [no_unit[name] for name in ("plant", "equipment_path", "avatar", "attribute")]
    assert no_unit["point_id"] == md5_key(*names, "")


# --- histories -------------------------------------------------------------------------------------------


def test_three_versions_become_one_history(tmp_path):
    a, b = item("a"), item("b", "TEMPERATURE", more="units='CELSIUS'")
    folder = plant(
        tmp_path,
        ("2021-01-01", devices(machine(a + b))),
        (None, devices(machine(a + b), machine(name="N"))),
        ("2022-01-01T00:00:00+01:00", devices(machine(a))),
    )
    built = frames_of(folder)
    second, third = datetime(2021, 1, 1, tzinfo=UTC), datetime(2021, 12, 31, 23, tzinfo=UTC)
    assert built.signals.select("tag", "model_version", "valid_from", "valid_to").rows() == [
        ("a", "1.0.0", None, third),
        ("a", "2.0.0", third, None),
        ("b", "1.0.0", None, third),
    ]
    assert built.avatars.select("avatar", "model_version", "valid_from", "valid_to").rows() == [
        ("M", "1.0.0", None, third),
        ("M", "2.0.0", third, None),
        ("N", "1.0.0", None, second),
    ]


def test_what_comes_back_after_a_gap_is_a_row_of_its_own(tmp_path):
    both, one = devices(machine(item("a")), machine(name="N")), devices(machine(item("a")))
    built = frames_of(plant(tmp_path, (None, both), ("2020-01-01", one), ("2021-01-01", both)))
    spans = built.avatars.filter(pl.col("avatar") == "N").select("valid_from", "valid_to").rows()
    assert spans == [(None, datetime(2020, 1, 1, tzinfo=UTC)), (datetime(2021, 1, 1, tzinfo=UTC), None)]


def test_model_versions_are_minor_for_additions_and_former_contents_keep_theirs(tmp_path):
    one = devices(machine(item("a")))
    more = devices(machine(item("a") + item("b", "TEMPERATURE")))
    other = devices(machine(item("a", more="units='PERCENT'")))
    folder = plant(tmp_path, (None, one), ("2020-01-01", more), ("2021-01-01", other), ("2022-01-01", one))
    signals = frames_of(folder).signals.filter(pl.col("tag") == "a")
    assert signals["model_version"].to_list() == ["1.0.0", "1.1.0", "2.0.0", "1.0.0"]


def test_a_model_without_attributes_has_its_version(tmp_path):
    built = frames_of(plant(tmp_path, (None, devices(machine(components="<Systems id='s'/>")))))
    assert built.avatars.filter(pl.col("avatar") == "s")["model_version"].to_list() == ["1.0.0"]
    assert built.data_models.select("model", "version", "attributes").rows() == [
        ("Device", "1.0.0", 0), ("Systems", "1.0.0", 0)
    ]  # fmt: skip
    assert built.model_attributes.height == built.signals.height == built.points.height == 0


# --- what is refused, and said ---------------------------------------------------------------------------


def test_two_bindings_of_one_tag_at_a_time_are_refused_naming_both(tmp_path):
    inner = "<Linear id='l'><DataItems>" + item("a") + "</DataItems></Linear>"
    message = refusal(plant(tmp_path, (None, devices(machine(item("a"), components="\n" + inner)))))
    assert message.startswith("tag 'P/M/a' has two meanings at the same time: M.load at referential/d0.xml:2 and ")
    assert "l.load at referential/d0.xml:3" in message


def test_series_stand_side_by_side_unless_they_overlap(tmp_path):
    one, other = devices(machine(item("a"))), devices(machine(item("a"), name="N"))
    built = frames_of(plant(tmp_path / "ok", (None, one), (None, other), series=("x", "y")))
    assert built.signals["source"].to_list() == ["M", "N"]
    assert built.signals["valid_to"].null_count() == 2
    message = refusal(plant(tmp_path / "bad", (None, one), ("2020-01-01", one), series=("x", "y")))
    assert "avatar 'P/M' has two meanings at the same time" in message
    assert "tag 'P/M/a' has two meanings at the same time" in message


def test_one_identifier_for_two_things_is_refused_naming_both(tmp_path):
    inner = "\n<Linear id='l'/>\n<Linear id='l'/>"
    message = refusal(plant(tmp_path, (None, devices(machine(components=inner)))))
    assert message == "referential/d0.xml:3: avatar 'l' and referential/d0.xml:4: avatar 'l': given more than once"


def test_problems_of_several_files_come_at_once(tmp_path):
    message = refusal(plant(tmp_path, (None, "<a"), ("2020-01-01", "<a/>")))
    assert [line.partition(": ")[0] for line in message.splitlines()] == [
        "referential/d0.xml:1",
        "referential/d1.xml:1",
    ]


RULES = "rules:\n  - {{name: r, match: {{attribute: {attribute}}}, minimum: 0, maximum: 100, unit: degC}}\n"


def test_ranges_are_in_the_delivered_unit(tmp_path):
    warm = item("t", "TEMPERATURE", more="units='CELSIUS' nativeUnits='FAHRENHEIT'")
    built = frames_of(plant(tmp_path, (None, devices(machine(warm))), rules=RULES.format(attribute="temp*")))
    row = built.signals.row(0, named=True)
    assert (row["minimum"], row["maximum"]) == pytest.approx((32, 212))
    assert (row["delivered_unit"], row["unit"], row["rule"]) == ("degF", "degC", "r")


def test_a_rule_in_a_contradictory_unit_is_refused_naming_rule_and_attribute(tmp_path):
    documents = (None, devices(machine(item("a", more="units='PERCENT'"))))
    message = refusal(plant(tmp_path, documents, rules=RULES.format(attribute="'*'")))
    assert message.startswith("rules/r.yaml:2: rule 'r' does not fit attribute Device.load: unit 'degC' contradicts")


def test_a_rule_that_matches_nothing_is_remarked(tmp_path):
    built = frames_of(plant(tmp_path, (None, devices(machine())), rules=RULES.format(attribute="tmp")))
    assert [r for r in built.remarks if "'r' matches no numeric attribute" in r]


def test_a_contradictory_unit_is_kept_without_a_conversion(tmp_path):
    wrong = item("t", "POSITION", more="units='MILLIMETER' nativeUnits='CELSIUS'")
    row = frames_of(plant(tmp_path, (None, devices(machine(wrong))))).signals.row(0, named=True)
    assert (row["delivered_unit"], row["unit"], row["factor"], row["offset"]) == ("degC", "mm", None, None)


def test_an_affine_unit_with_a_scale_is_refused_naming_the_place(tmp_path):
    warm = item("t", "TEMPERATURE", more="units='CELSIUS' nativeUnits='FAHRENHEIT' nativeScale='10'")
    message = refusal(plant(tmp_path, (None, devices(machine(warm)))))
    assert message.startswith("referential/d0.xml:2: tag 't': a value in 'degF' cannot be scaled")


def test_the_standards_of_the_examples_come_into_force_as_a_whole():
    """Figures counted with grep in the files: UAObjectType elements, and the things that they describe."""
    built = frames_of(EXAMPLES)
    types = {"Machinery": 11, "MachineTool": 62, "PackML": 6, "ISA95": 17}
    spaces = [model.rpartition(".")[0] for model in set(built.data_models["model"])]
    found = {name: spaces.count(name) for name in types}
    assert found == types
    machines = built.equipment.filter((pl.col("plant") == "showroom") & (pl.col("level") == "WorkUnit"))
    assert machines.height == 6
    showroom = built.signals.filter(pl.col("plant") == "showroom")
    assert dict(showroom.group_by("source").len().sort("source").iter_rows()) == {
        "boiler": 16, "machinery-examples": 2, "station": 10,
    }  # fmt: skip
