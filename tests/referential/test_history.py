"""Versions of the referential: what is in force, what was, and that nothing half done is ever seen."""

from datetime import UTC, datetime

import duckdb
import pytest

from idm_assets.configuration import ConfigurationError
from idm_assets.referential import history, tables
from idm_assets.referential.history import changes, versions
from resources.lake import PartitionChangedError
from tests.referential.plants import MODELS, Register, write_plant

AVATAR = {"avatar": "p1", "model": "Press", "equipment_path": "E/L1"}
SIGNAL = {"source": "s", "tag": "t", "avatar": "p1", "attribute": "force"}


@pytest.fixture
def register(tmp_path):
    config = write_plant(tmp_path / "config", avatars=[AVATAR], signals=[SIGNAL])
    found = Register(tmp_path / "home", config)
    found.refresh("the first", "anna")
    return found


def difference(register, table, since, until):
    columns = {tables.SIGNALS: "source, tag, attribute, valid_to", tables.AVATARS: "avatar, name"}[table]
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        query = changes(register.lake, table, since, until)
        return con.sql(f"SELECT change, {columns} FROM ({query}) ORDER BY ALL").fetchall()


def test_every_change_has_a_version_an_author_a_time_and_a_reason(register):
    write_plant(register.config, avatars=[AVATAR, AVATAR | {"avatar": "p2"}], signals=[SIGNAL])
    before = datetime.now(UTC)
    second = register.refresh("one more press", "berta")
    first, last = versions(register.lake)
    assert (first.version, first.author, first.reason) == (1, "anna", "the first")
    assert (last.version, last.author, last.reason, last.plants) == (2, "berta", "one more press", ("P",))
    assert last == second
    assert before <= last.recorded_at <= datetime.now(UTC)
    assert last.counts == {"avatars": (1, 0)}


def test_a_second_refresh_changes_nothing(register):
    assert register.plan() == {}
    assert register.refresh() is None
    assert len(versions(register.lake)) == 1


def test_a_configuration_that_says_the_same_in_other_words_is_a_version_without_rows(register):
    write_plant(register.config, avatars=[AVATAR | {"name": "p1"}], signals=[SIGNAL])
    assert register.plan() == {}
    assert register.refresh().counts == {}


def test_a_plan_changes_nothing(register):
    write_plant(register.config, avatars=[AVATAR | {"name": "Press 1"}], signals=[SIGNAL])
    before = register.everything()
    assert register.plan() == {"avatars": (1, 1)}
    assert register.everything() == before
    files = list(register.lake.table_path(tables.AVATARS).rglob("*.parquet"))
    assert sorted(files) == register.lake.live_files(tables.AVATARS)


def test_any_former_version_can_be_read_again_and_compared(register):
    write_plant(register.config, avatars=[AVATAR | {"name": "Press 1"}], signals=[SIGNAL | {"tag": "u"}])
    register.refresh()
    write_plant(register.config, avatars=[AVATAR | {"name": "Press 1"}], signals=[SIGNAL | {"attribute": "mode"}])
    register.refresh()
    signals = "source, tag, attribute"
    assert register.rows(tables.SIGNALS, signals, 1) == [("s", "t", "force")]
    assert register.rows(tables.SIGNALS, signals, 2) == [("s", "u", "force")]
    assert register.rows(tables.SIGNALS, signals, 3) == register.rows(tables.SIGNALS, signals) == [("s", "t", "mode")]
    assert register.rows(tables.AVATARS, "name", 1) == [("p1",)]
    assert difference(register, tables.SIGNALS, 1, 2) == [
        ("added", "s", "u", "force", None), ("removed", "s", "t", "force", None),
    ]  # fmt: skip
    assert difference(register, tables.AVATARS, 1, 3) == [("added", "p1", "Press 1"), ("removed", "p1", "p1")]
    assert difference(register, tables.AVATARS, 2, 3) == []


def test_what_comes_back_is_no_difference(register):
    write_plant(register.config, avatars=[AVATAR], signals=[])
    register.refresh()
    write_plant(register.config, avatars=[AVATAR], signals=[SIGNAL])
    register.refresh()
    assert register.rows(tables.SIGNALS, "tag") == [("t",)]
    assert difference(register, tables.SIGNALS, 1, 3) == []
    assert len(difference(register, tables.SIGNALS, 1, 2)) == len(difference(register, tables.SIGNALS, 2, 3)) == 1


def test_a_change_that_dies_before_its_version_is_written_is_never_seen(register, monkeypatch):
    before = register.everything()
    write_plant(register.config, avatars=[AVATAR | {"name": "Press 1"}], signals=[])
    with monkeypatch.context() as broken:
        broken.setattr(history, "_log", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
        with pytest.raises(OSError, match="power cut"):
            register.refresh()
    assert register.everything() == before
    assert [v.version for v in versions(register.lake)] == [1]
    assert register.refresh().counts == {"avatars": (1, 1), "signals": (0, 1)}
    assert register.rows(tables.AVATARS, "name") == [("Press 1",)]
    assert register.rows(tables.SIGNALS, "tag") == []


def test_of_two_changes_at_once_the_second_is_told_to_compare_anew(register, monkeypatch):
    write_plant(register.config, avatars=[AVATAR | {"name": "Press 1"}], signals=[SIGNAL])
    real, raced = history._append, []  # noqa: SLF001 - the moment between two commits

    def append_while_another_is_faster(*arguments):
        if not raced:
            raced.append(True)
            other = Register(register.settings.home_path, register.config)
            other.refresh("the faster one")
        real(*arguments)

    monkeypatch.setattr(history, "_append", append_while_another_is_faster)
    with pytest.raises((history.ReferentialChangedError, PartitionChangedError)):
        register.refresh("the slower one")
    monkeypatch.setattr(history, "_append", real)
    assert [v.reason for v in versions(register.lake)] == ["the first", "the faster one"]
    assert register.rows(tables.AVATARS, "name") == [("Press 1",)]
    register.refresh("once more")
    assert register.rows(tables.AVATARS, "name") == [("Press 1",)]


def test_many_small_changes_become_few_files(register, monkeypatch):
    monkeypatch.setattr(history, "COMPACT_AT", 2)
    for n in range(4):
        write_plant(register.config, avatars=[AVATAR | {"name": f"Press {n}"}], signals=[SIGNAL])
        register.refresh()
    assert len(register.lake.live_files(tables.AVATARS)) <= 3
    assert [name for version in range(1, 6) for (name,) in register.rows(tables.AVATARS, "name", version)] == [
        "p1", "Press 0", "Press 1", "Press 2", "Press 3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"avatars": [AVATAR, AVATAR]}, "avatar 'P/p1' has two meanings at the same time: p1 (Press) at"),
        ({"avatars": [AVATAR | {"model": "Lathe"}]}, "there is no model 'Lathe'; known: Press"),
        ({"avatars": [AVATAR | {"model": "Press@2.0.0"}]}, "there is no model 'Press@2.0.0'"),
        ({"avatars": [AVATAR | {"equipment_path": "E/L9"}]}, "avatar p1 belongs to E/L9, which is missing"),
        ({"avatars": [AVATAR | {"parent": "p9"}]}, "avatar p1 is a part of p9, which there is not"),
        (
            {"avatars": [AVATAR | {"parent": "p2"}, AVATAR | {"avatar": "p2", "parent": "p1"}]},
            "avatars are parts of themselves: 'p1', 'p2'",
        ),
        ({"avatars": [AVATAR], "signals": [SIGNAL, SIGNAL]}, "tag 'P/s/t' has two meanings at the same time"),
        ({"avatars": [AVATAR], "signals": [SIGNAL | {"avatar": "p9"}]}, "is bound to avatar 'p9', which there is not"),
        (
            {"avatars": [AVATAR], "signals": [SIGNAL | {"attribute": "speed"}]},
            "tag 't' of source 's' is bound to 'speed', which model 'Press' 1.0.0 does not have",
        ),
        (
            {"avatars": [AVATAR], "signals": [SIGNAL | {"attribute": "temperature", "unit": "degF", "scale": 0.1}]},
            "a value in 'degF' cannot be scaled",
        ),
        ({"avatars": [AVATAR], "signals": [SIGNAL | {"unit": "quux"}]}, "unit 'quux'"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_place_and_leaves_the_referential_in_force(register, fields, problem):
    before = register.everything()
    write_plant(register.config, **fields)
    with pytest.raises(ConfigurationError) as caught:
        register.refresh()
    assert len(caught.value.problems) == 1
    assert problem in caught.value.problems[0]
    assert f"{register.config}/referential/P.yaml:" in caught.value.problems[0]
    assert register.everything() == before
    assert len(versions(register.lake)) == 1


def test_a_breaking_change_under_the_same_version_is_refused(register):
    before = register.everything()
    write_plant(register.config, models=MODELS.replace("kN", "N"), avatars=[AVATAR], signals=[SIGNAL])
    with pytest.raises(ConfigurationError, match=r"Press"):
        register.refresh()
    assert register.everything() == before
    write_plant(
        register.config, models=MODELS.replace("kN", "N").replace("1.0.0", "2.0.0"), avatars=[AVATAR], signals=[SIGNAL]
    )
    register.refresh()
    assert register.rows(tables.SIGNALS, "unit, model_version") == [("N", "2.0.0")]


def test_contradictory_units_are_in_force_and_publish_nothing(register):
    write_plant(register.config, avatars=[AVATAR], signals=[SIGNAL | {"unit": "mm"}])
    register.refresh()
    assert register.rows(tables.SIGNALS, 'delivered_unit, unit, factor, "offset"') == [("mm", "kN", None, None)]


def test_a_plant_that_is_gone_takes_its_rows_along(register):
    write_plant(register.config, plant="Q", avatars=[AVATAR])
    register.refresh()
    (register.config / "referential" / "P.yaml").unlink()
    register.refresh()
    assert register.rows(tables.AVATARS, "plant") == [("Q",)]
    assert register.rows(tables.SIGNALS, "plant") == []
    assert register.rows(tables.AVATARS, "plant", 2) == [("P",), ("Q",)]
