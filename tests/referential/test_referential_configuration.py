"""Configuration of plants: dates, the hierarchy, and paths that must stay inside."""

from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.configuration import Level, read_plants
from idm_assets.referential.tables import ISA95_LEVELS

EXAMPLES = Path(__file__).parents[2] / "examples" / "config"
IMPORT = "\n  - {{format: mtconnect_devices, file: {file}, below: {below}{more}}}"


def config(folder: Path, imports: str = "", equipment: str = "", plant: str = "P", name: str = "p.yaml") -> Path:
    (folder / "referential").mkdir(exist_ok=True)
    (folder / "referential" / "d.xml").touch()
    text = f"plant: {plant}\nequipment:\n  - {{path: E, level: Enterprise}}{equipment}\n"
    text += f"imports:{imports or ' []'}\n"
    (folder / "referential" / name).write_text(text)
    return folder


def an_import(file: str = "d.xml", below: str = "E", more: str = "") -> str:
    return IMPORT.format(file=file, below=below, more=more)


def problems(folder: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_plants(folder)
    return [p.removeprefix(f"{folder}/referential/") for p in caught.value.problems]


def test_the_levels_are_those_of_the_contract():
    assert get_args(Level) == ISA95_LEVELS


def test_the_example_is_valid():
    fleet, document, showroom = read_plants(EXAMPLES)
    assert [found.value.plant for found in (fleet, document, showroom)] == ["capmetro", "nist", "showroom"]
    starts = [item.valid_from for item in document.value.imports]
    assert starts == [datetime(2016, 10, 6, tzinfo=UTC), datetime(2017, 2, 27, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2017-02-27", datetime(2017, 2, 27, tzinfo=UTC)),
        ("2017-02-27T06:00:00+01:00", datetime(2017, 2, 27, 5, tzinfo=UTC)),
        ("2017-02-27T06:00:00Z", datetime(2017, 2, 27, 6, tzinfo=UTC)),
    ],
)
def test_valid_from_is_an_instant_in_utc(tmp_path, text, instant):
    (document,) = read_plants(config(tmp_path, an_import(more=f", valid_from: '{text}'")))
    assert document.value.imports[0].valid_from == instant


@pytest.mark.parametrize("text", ["2017-02-27T06:00:00", "27.02.2017", "2017-02-30", "0001-01-01T00:00:00+10:00"])
def test_a_start_without_zone_or_meaning_is_refused(tmp_path, text):
    (problem,) = problems(config(tmp_path, an_import(more=f", valid_from: '{text}'")))
    assert problem.startswith("p.yaml:5: imports[0].valid_from: expected a")


@pytest.mark.parametrize("file", ["../../../etc/passwd", "/etc/passwd", "../../outside.xml", "link.xml"])
def test_a_file_outside_of_the_configuration_is_refused(tmp_path, file):
    folder = tmp_path / "config"
    folder.mkdir()
    (tmp_path / "outside.xml").touch()
    config(folder, an_import(file))
    (folder / "referential" / "link.xml").symlink_to(tmp_path / "outside.xml")
    (problem,) = problems(folder)
    assert problem.startswith(f"p.yaml:5: imports[0].file: '{file}' leads out of")


def test_a_file_elsewhere_in_the_configuration_is_fine(tmp_path):
    (tmp_path / "shared.xml").touch()
    assert len(read_plants(config(tmp_path, an_import("../shared.xml")))) == 1


def test_all_problems_of_all_files_come_at_once(tmp_path):
    equipment = "\n  - {path: E/S/A, level: Area}\n  - {path: E, level: Site}"
    config(tmp_path, an_import("none.xml", "E/X") + an_import() + an_import(), equipment)
    config(tmp_path, plant="P", name="q.yaml")
    place = f"{tmp_path}/referential/p.yaml"
    again = f"starts when the import at {place}:7 of series 'main' does; change start or series"
    assert problems(tmp_path) == [
        "p.yaml:4: equipment[1].path: the element above, 'E/S', is missing; add it to the equipment",
        f"p.yaml:5: equipment[2].path: 'E' was already given at {place}:3",
        f"p.yaml:7: imports[0].file: there is no file {tmp_path}/referential/none.xml",
        "p.yaml:7: imports[0].below: 'E/X' is missing; add it to the equipment",
        f"p.yaml:8: imports[1].valid_from: {again}",
        f"p.yaml:9: imports[2].valid_from: {again}",
        f"q.yaml:3: equipment[0].path: 'E' was already given at {place}:3",
    ]


@pytest.mark.parametrize("path", ["/E", "E/", "E//S", "E/ S", '"E/\\x1fS"'])
def test_equipment_paths_are_clean(tmp_path, path):
    (problem,) = problems(config(tmp_path, equipment=f"\n  - {{path: {path}, level: Site}}"))
    assert problem.startswith("p.yaml:4: equipment[1].path: expected names separated by single '/'")


@pytest.mark.parametrize("plant", ["../x", "a/b", "''", ".hidden", "x" * 64])
def test_plant_names_are_fit_for_folders(tmp_path, plant):
    (problem,) = problems(config(tmp_path, plant=plant))
    assert problem.startswith("p.yaml:1: plant: ")


def test_an_unknown_field_or_level_is_reported_with_its_line(tmp_path):
    config(tmp_path, an_import(more=", valid_form: 2017-01-01"), "\n  - {path: E/S, level: Shed}")
    first, second = problems(tmp_path)
    assert first.startswith("p.yaml:4: equipment[1].level: expected 'Enterprise', 'Site'")
    assert first.endswith("(got 'Shed')")
    assert second == (
        "p.yaml:6: imports[0].valid_form: unknown field; known here: below, columns, constants,"
        " extent, file, format, level, of, series, sheet, source, valid_from"
    )
