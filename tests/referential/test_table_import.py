"""Tables of avatars, signals and equipment: CSV, Parquet and XLSX say the same, and wrong ones are refused."""

import gzip
import json

import polars as pl
import pytest

from idm_assets.configuration import ConfigurationError
from idm_assets.referential import tables
from tests.referential.building import frames_of
from tests.referential.plants import write_plant

AVATARS = pl.DataFrame(
    {
        "Asset No": ["007", "008", " 009 "],
        "Type": ["Press", "Press@1.0.0", "Press"],
        "Label": ["one", None, "drei, \"größer\""],
        "VIN": ["V1", None, "V3"],
        "Year": ["1999", "2001", None],
        "Place": ["E", "E/L1", "E/L1"],
    }
)  # fmt: skip
MAPPED = {
    "avatar": "Asset No", "model": "Type", "name": "Label", "equipment_path": "Place", "external_ids.vin": "VIN",
    "static_attributes.year": "Year",
}  # fmt: skip


def write(frame, path):
    match path.suffix:
        case ".csv":
            frame.write_csv(path)
        case ".gz":
            path.write_bytes(gzip.compress(frame.write_csv().encode()))
        case ".parquet":
            frame.write_parquet(path)
        case ".xlsx":
            openpyxl = pytest.importorskip("openpyxl")
            book = openpyxl.Workbook()
            book.active.append(frame.columns)
            for row in frame.rows():
                book.active.append(row)
            book.save(path)


def imported(tmp_path, frame, name="a.csv", of="avatars", more=(), **fields):
    config = tmp_path / "config"
    (config / "referential").mkdir(parents=True, exist_ok=True)
    write(frame, config / "referential" / name)
    item = {"format": "table", "of": of, "file": name, **fields}
    return write_plant(config, imports=[*more, item])


def refusals(config):
    with pytest.raises(ConfigurationError) as caught:
        frames_of(config)
    return [problem.replace(f"{config}/referential/", "") for problem in caught.value.problems]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.xlsx"])
def test_every_kind_of_table_says_the_same(tmp_path, name):
    avatars = frames_of(imported(tmp_path, AVATARS, name, columns=MAPPED)).avatars
    assert avatars.select("avatar", "name", "model", "model_version", "equipment_path").rows() == [
        ("007", "one", "Press", "1.0.0", "E"),
        ("008", "008", "Press", "1.0.0", "E/L1"),
        ("009", "drei, \"größer\"", "Press", "1.0.0", "E/L1"),
    ]  # fmt: skip
    assert [json.loads(text) for text in avatars["external_ids"]] == [{"vin": "V1"}, {}, {"vin": "V3"}]
    assert [json.loads(text) for text in avatars["static_attributes"]] == [{"year": "1999"}, {"year": "2001"}, {}]
    assert avatars["said_by"].unique().to_list() == ["avatars/main"]


def test_constants_fill_columns_and_names_that_are_ours_need_no_mapping(tmp_path):
    frame = AVATARS.select(avatar="Asset No", equipment_path="Place")
    avatars = frames_of(
        imported(tmp_path, frame, constants={"model": "Press", "static_attributes.maker": "ACME"})
    ).avatars
    assert avatars["model"].to_list() == ["Press"] * 3
    assert set(avatars["static_attributes"]) == {'{"maker":"ACME"}'}


def test_rows_may_have_a_validity_of_their_own(tmp_path):
    frame = pl.DataFrame(
        {
            "avatar": ["a", "a"], "model": ["Press", "Press"], "equipment_path": ["E", "E/L1"],
            "valid_from": [None, "2020-06-01"], "valid_to": ["2020-06-01T00:00:00Z", None],
        }
    )  # fmt: skip
    rows = frames_of(imported(tmp_path, frame)).avatars.select("equipment_path", "valid_from", "valid_to").rows()
    assert [(path, str(a)[:10], str(b)[:10]) for path, a, b in rows] == [
        ("E", "None", "2020-06-01"), ("E/L1", "2020-06-01", "None"),
    ]  # fmt: skip


def test_a_part_without_a_place_has_that_of_its_whole(tmp_path):
    frame = pl.DataFrame(
        {
            "avatar": ["a", "b", "c"],
            "model": ["Press"] * 3,
            "parent": ["b", "c", None],
            "equipment_path": [None, None, "E"],
        }
    )
    assert frames_of(imported(tmp_path, frame)).avatars["equipment_path"].to_list() == ["E"] * 3


def test_equipment_may_come_as_a_table(tmp_path):
    frame = pl.DataFrame({"equipment_path": ["E/L2", "E/L2/C1"], "level": ["ProductionLine", "WorkCell"]})
    equipment = frames_of(imported(tmp_path, frame, of="equipment")).equipment
    assert equipment.select("equipment_path", "level", "parent_path").rows()[-2:] == [
        ("E/L2", "ProductionLine", "E"), ("E/L2/C1", "WorkCell", "E/L2"),
    ]  # fmt: skip


def test_signals_are_converted_from_what_is_delivered(tmp_path):
    avatars = {"format": "table", "of": "avatars", "file": "b.csv"}
    write_plant(tmp_path / "config")
    AVATARS.select(avatar="Asset No", model="Type", equipment_path="Place").write_csv(
        tmp_path / "config" / "referential" / "b.csv"
    )
    frame = pl.DataFrame(
        {
            "source": ["s"] * 3, "tag": ["t1", "t2", "t3"], "avatar": ["007"] * 3,
            "attribute": ["temperature", "force", "force"], "unit": ["degF", "N", None], "scale": [None, "0.5", "2"],
            "offset": [None, None, "-1"],
        }
    )  # fmt: skip
    config = imported(tmp_path, frame, of="signals", more=[avatars])
    rows = frames_of(config).signals.select("tag", "factor", "offset", "minimum", "maximum").rows()
    # degF to degC; half newtons to kN; twice the value less one. Ranges before these steps.
    assert rows[0][:3] == ("t1", pytest.approx(5 / 9), pytest.approx(-160 / 9))
    assert rows[1] == ("t2", pytest.approx(0.0005), 0.0, 0.0, pytest.approx(1_800_000))
    assert rows[2] == ("t3", 2.0, -1.0, 0.5, 450.5)


def test_what_a_full_table_leaves_out_ends_and_what_a_table_of_changes_leaves_out_stays(tmp_path):
    frame = AVATARS.select(avatar="Asset No", model="Type", equipment_path="Place")
    write_plant(tmp_path / "config")
    folder = tmp_path / "config" / "referential"
    for name, rows in (("b.csv", frame[:2]), ("c.csv", frame[1:2].with_columns(equipment_path=pl.lit("E")))):
        rows.write_csv(folder / name)
    later = [
        {"format": "table", "of": "avatars", "file": "b.csv", "valid_from": "2021-01-01"},
        {"format": "table", "of": "avatars", "file": "c.csv", "valid_from": "2022-01-01", "extent": "changes"},
    ]
    rows = frames_of(imported(tmp_path, frame, more=later)).avatars.select(
        "avatar", "equipment_path", pl.col("valid_from").dt.year(), pl.col("valid_to").dt.year()
    )
    assert rows.rows() == [
        ("007", "E", None, None), ("008", "E/L1", None, 2022), ("008", "E", 2022, None), ("009", "E/L1", None, 2021),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "fields", "problem"),
    [
        (AVATARS, {"columns": MAPPED | {"name": "Nickname"}}, "there is no column 'Nickname'; the file has: Asset No"),
        (AVATARS, {"columns": MAPPED | {"colour": "Label"}}, "columns: 'colour' is no column of avatars; known"),
        (AVATARS, {"columns": MAPPED, "constants": {"colour": "red"}}, "constants: 'colour' is no column"),
        (AVATARS, {}, "no column gives 'avatar'; name it in columns"),
        (AVATARS.with_columns(Type=pl.lit("Lathe")), {"columns": MAPPED}, "row 1: model: there is no model 'Lathe'"),
        (AVATARS.with_columns(pl.lit("").alias("Asset No")), {"columns": MAPPED}, "row 1: an identifier is empty"),
        (AVATARS.with_columns(Place=pl.lit("E/9")), {"columns": MAPPED}, "row 1: avatar 007 belongs to E/9, which is"),
        (AVATARS.with_columns(Place=None), {"columns": MAPPED}, "row 1: avatar 007 belongs to no equipment element"),
        (pl.concat([AVATARS, AVATARS]), {"columns": MAPPED}, "avatar 'P/007' has two meanings at the same time: 007"),
        (AVATARS, {"of": "equipment"}, "no column gives 'equipment_path'"),
        (
            AVATARS.with_columns(valid_to=pl.lit("tomorrow")),
            {"columns": MAPPED},
            "row 1: valid_to: 'tomorrow' is not of the right type",
        ),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_its_place(tmp_path, frame, fields, problem):
    assert any(problem in text for text in refusals(imported(tmp_path, frame, **fields)))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.xlsx", "a.csv.gz", "a.doc"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x00", b"PK\x03\x04 no archive", b'"a\n' * 9])
def test_what_is_no_table_is_refused_with_the_place_of_the_import(tmp_path, name, content):
    config = write_plant(tmp_path, imports=[{"format": "table", "of": "avatars", "file": name}])
    (config / "referential" / name).write_bytes(content)
    (problem,) = refusals(config)[:1]
    assert problem.startswith("P.yaml:")


def test_a_cycle_of_a_thousand_parts_is_named(tmp_path):
    count = 1000
    frame = pl.DataFrame(
        {"avatar": [str(n) for n in range(count)], "parent": [str((n + 1) % count) for n in range(count)]}
    )
    frame = frame.with_columns(model=pl.lit("Press"), equipment_path=pl.lit("E"))
    (problem,) = refusals(imported(tmp_path, frame))
    assert "avatars are parts of themselves: '0', '1'" in problem
    chain = frame.with_columns(parent=pl.when(pl.col("avatar") == "0").then(None).otherwise(pl.col("parent")))
    assert frames_of(imported(tmp_path, chain)).avatars.height == count


def test_equipment_table_rows_are_in_force_beside_those_of_the_file(tmp_path):
    frame = pl.DataFrame({"equipment_path": ["E"], "level": ["Site"]})
    equipment = frames_of(imported(tmp_path, frame, of="equipment")).equipment
    assert equipment.filter(pl.col("equipment_path") == "E")["level"].to_list() == ["Enterprise"]
    assert set(equipment.columns) == {c.name for c in tables.EQUIPMENT.columns} - {"row_id", "recorded_by"}
