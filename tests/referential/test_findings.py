"""What a person is asked to look at, with the rows behind each question."""

import pytest

from idm_assets.referential.findings import QUESTIONS, answer, overview_of
from idm_assets.sql import signal_id
from resources.engine import Engine
from tests.referential.plants import MODELS, Register, write_plant

AVATARS = [
    {"avatar": "whole", "model": "Press", "equipment_path": "E", "external_ids": {"serial_number": "1"}},
    {"avatar": "part", "model": "Press", "equipment_path": "E", "parent": "whole",
     "external_ids": {"serial_number": "1"}},
]  # fmt: skip
SIGNAL = {"source": "s", "tag": "t", "avatar": "whole", "attribute": "force"}
SOUND = {"avatars": AVATARS, "signals": [SIGNAL]}


def asked(folder, models=MODELS, **fields):
    """Rows of every question that has some; the tags t and u of source s were heard."""
    register = Register(folder / "home", write_plant(folder / "config", models=models, **fields))
    register.refresh()
    heard = " UNION ALL ".join(
        f"SELECT 'P' AS plant, {signal_id(repr('P'), repr('s'), repr(tag))} AS signal_id, 's' AS source, '{tag}' AS tag"
        for tag in "tt"
    )
    with Engine(settings=register.settings).connect() as con:
        answers = {question.name: answer(con, register.lake, question, heard) for question in QUESTIONS}
    return {name: list(found.rows) for name, found in answers.items() if found.count}


def test_a_sound_plant_raises_no_question(tmp_path):
    """A part that has the identifier of its whole is not another thing."""
    assert asked(tmp_path, **SOUND) == {}


@pytest.mark.parametrize(
    ("fields", "name", "rows"),
    [
        ({"signals": []}, "unbound_tags", [("P", "s", "t")]),
        (
            {"signals": [SIGNAL | {"unit": "mm"}]},
            "contradictory_units",
            [("P", "s", "t", "whole", "force", "mm", "kN")],
        ),
        (
            {"avatars": [AVATARS[0] | {"valid_to": "2020-01-01"}, AVATARS[1]]},
            "orphan_avatars",
            [("P", "part", "Press", "whole")],
        ),
        (
            {"avatars": [*AVATARS, AVATARS[0] | {"avatar": "other"}]},
            "shared_external_ids",
            [("P", "serial_number", "1", 2, "other")],
        ),
        (
            {"models": MODELS + MODELS.split("models:")[1].replace("Press", "Robot")},
            "models_without_avatars",
            [("Robot", "1.0.0")],
        ),
    ],
)
def test_each_question_shows_the_rows_behind_it(tmp_path, fields, name, rows):
    assert asked(tmp_path, **(SOUND | fields)) == {name: rows}


def test_the_overview_counts_what_is_in_force(tmp_path):
    register = Register(tmp_path / "home", write_plant(tmp_path / "config", **SOUND))
    register.refresh()
    write_plant(register.config, avatars=AVATARS[:1], signals=[SIGNAL])
    register.refresh()
    with Engine(settings=register.settings).connect() as con:
        seen = overview_of(con, register.lake)
    assert (seen.rows["avatars"], seen.rows["signals"], seen.rows["versions"], seen.rows["retired"]) == (1, 1, 2, 1)
    assert seen.avatars_per_model == {"Press": 1}
    assert seen.bindings_per_source == {"s": 1}
    assert seen.avatars_without_bindings == 0
