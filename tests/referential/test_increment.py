"""Tables of changes: building what they touch gives what building the whole plant gives."""

import random

import pytest

from idm_assets.configuration import ConfigurationError
from idm_assets.referential import build, increment, tables
from idm_assets.referential.history import versions
from tests.referential.plants import MODELS, Register, write_plant, write_table

TWO_MODELS = MODELS + MODELS.split("models:")[1].replace("Press", "Robot").replace("kN", "N")
RULE = {
    "name": "by_name", "avatar": "r{number}", "source": "cell", "tag": "R{number}_{attribute}", "model": "Robot",
}  # fmt: skip


def avatar(number, kind="Press", **fields):
    name = f"{kind[0].lower()}{number}"
    return {"avatar": name, "model": kind, "name": name, "parent": "", "equipment_path": "E/L1", **fields}


def signal(number, attribute="force", kind="Press", **fields):
    return {
        "source": f"s{number % 3}", "tag": f"{kind}{number}.{attribute}", "avatar": f"{kind[0].lower()}{number}",
        "attribute": attribute, "unit": "", **fields,
    }  # fmt: skip


def imports(config, changes, rules=()):
    """A plant with a table of avatars, one of signals, and tables of changes by their start."""
    named = [
        {"format": "table", "of": of, "file": f"{of}.csv", "valid_from": "2020-01-01"} for of in ("avatars", "signals")
    ]
    named += [
        {"format": "table", "of": of, "file": write_table(config, f"{of}{start}.csv", rows), "valid_from": start,
         "extent": "changes"}
        for start, of, rows in changes
    ]  # fmt: skip
    write_plant(config, models=TWO_MODELS, imports=named, binding_rules=list(rules))
    return config


def base(config):
    avatars = [avatar(n) for n in range(8)] + [avatar(n, "Robot") for n in range(4)]
    avatars[5]["parent"] = avatars[6]["parent"] = "p0"
    write_table(config, "avatars.csv", avatars)
    write_table(config, "signals.csv", [signal(n, a) for n in range(8) for a in ("force", "temperature")])


def built_anew(tmp_path, config):
    other = Register(tmp_path / "anew", config)
    other.refresh()
    return other.everything()


CHANGES = {
    "another model": ("avatars", [avatar(1, kind="Press", model="Robot")]),
    "another place, name and parent": ("avatars", [avatar(2, name="Second", parent="p1", equipment_path="E")]),
    "new avatars": ("avatars", [avatar(20), avatar(21, parent="p20")]),
    "the same again": ("avatars", [avatar(3)]),
    "an avatar ends": ("avatars", [avatar(4, removed="true")]),
    "a whole ends": ("avatars", [avatar(0, removed="true")]),
    "tags are bound anew": ("signals", [signal(1, unit="N"), signal(2, avatar="p3", attribute="temperature")]),
    "a new tag": ("signals", [signal(9, avatar="p7")]),
    "a tag ends": ("signals", [signal(1, removed="true")]),
    "tags that were never bound end": ("signals", [signal(99, removed="true")]),
}


@pytest.mark.parametrize("rules", [(), (RULE,)], ids=["", "with a rule"])
@pytest.mark.parametrize("change", CHANGES)
def test_one_change_is_that_of_a_whole_building(tmp_path, change, rules):
    config = tmp_path / "config"
    base(config)
    imports(config, [], rules)
    register = Register(tmp_path / "home", config)
    register.refresh()
    of, rows = CHANGES[change]
    imports(config, [("2021-05-01", of, rows)], rules)
    register.refresh()
    assert register.everything() == built_anew(tmp_path, config)


def test_a_change_touches_only_its_rows(tmp_path, monkeypatch):
    config = tmp_path / "config"
    base(config)
    register = Register(tmp_path / "home", imports(config, []))
    register.refresh()
    monkeypatch.setattr(increment, "build", lambda *_: pytest.fail("the whole plant was built"))
    imports(config, [("2021-05-01", "avatars", [avatar(1, equipment_path="E")])])
    assert register.refresh().counts == {"avatars": (2, 1), "signals": (4, 2)}
    spans = "avatar, equipment_path, strftime(valid_from, '%Y-%m'), strftime(valid_to, '%Y-%m')"
    assert [row for row in register.rows(tables.AVATARS, spans) if row[0] == "p1"] == [
        ("p1", "E", "2021-05", None), ("p1", "E/L1", "2020-01", "2021-05"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        [("2019-01-01", "avatars", [avatar(1, name="before the table")])],
        [("2021-01-01", "avatars", [avatar(4, removed="true")]), ("2022-01-01", "avatars", [avatar(4)])],
    ],
    ids=["in the past", "a return"],
)
def test_what_the_rows_in_force_do_not_tell_is_built_as_a_whole(tmp_path, changes):
    config = tmp_path / "config"
    base(config)
    register = Register(tmp_path / "home", config)
    for known in range(len(changes) + 1):
        imports(config, changes[:known])
        register.refresh()
    assert register.everything() == built_anew(tmp_path, config)


@pytest.mark.parametrize("seed", range(6))
def test_any_changes_one_after_the_other_are_those_of_a_whole_building(tmp_path, seed):
    chance = random.Random(seed)  # noqa: S311 - a reproducible draw
    config = tmp_path / "config"
    base(config)
    register = Register(tmp_path / "home", config)
    rules = [RULE] if chance.random() < 0.5 else []
    changes = []
    for month in range(1, 6):
        imports(config, changes, rules)
        register.refresh()
        numbers = [0, *chance.sample(range(1, 10), 3)]
        if chance.random() < 0.5:
            rows = [
                avatar(n, name=chance.choice("abc"), model=chance.choice(["Press", "Robot"]), removed=n > 8)
                for n in numbers
            ]
        else:
            rows = [
                signal(n, unit=chance.choice(["", "N", "kN"]), removed=chance.random() < 0.3) for n in numbers if n < 8
            ]
        changes.append((f"2021-{month:02}-01", "avatars" if "model" in rows[0] else "signals", rows))
    imports(config, changes, rules)
    register.refresh()
    assert register.everything() == built_anew(tmp_path, config)
    assert len(versions(register.lake)) > 3


@pytest.mark.parametrize(
    ("of", "rows", "problem"),
    [
        ("avatars", [avatar(1), avatar(1, name="x")], "avatar 'P/p1' has two meanings at the same time"),
        ("avatars", [avatar(1, model="Lathe")], "row 1: model: there is no model 'Lathe'"),
        ("avatars", [avatar(0, parent="p5")], "are parts of themselves: 'p0', 'p5'"),
        ("avatars", [avatar(1, equipment_path="E/L7")], "row 1: avatar p1 belongs to E/L7, which is missing"),
        ("signals", [signal(1, attribute="speed")], "bound to 'speed', which model 'Press' 1.0.0 does not have"),
        ("signals", [signal(1, avatar="p77")], "is bound to avatar 'p77', which there is not"),
        ("signals", [signal(1, scale="ten")], "row 1: scale: 'ten' is not of the right type"),
        ("signals", [signal(1, source="")], "row 1: an identifier is empty"),
    ],
)
def test_a_wrong_change_is_refused_with_its_row_and_changes_nothing(tmp_path, of, rows, problem):
    config = tmp_path / "config"
    base(config)
    register = Register(tmp_path / "home", imports(config, []))
    register.refresh()
    before = register.everything()
    imports(config, [("2021-05-01", of, rows)])
    with pytest.raises(ConfigurationError) as caught:
        register.refresh()
    assert any(problem in text for text in caught.value.problems)
    assert register.everything() == before


def test_an_avatar_of_another_series_is_not_changed_in_silence(tmp_path):
    config = tmp_path / "config"
    base(config)
    imports(config, [])
    register = Register(tmp_path / "home", config)
    register.refresh()
    rows = write_table(config, "other.csv", [avatar(1, name="other")])
    text = (config / "referential" / "P.yaml").read_text()
    more = f"- {{format: table, of: avatars, file: {rows}, series: other, extent: changes, valid_from: 2021-01-01}}\n"
    (config / "referential" / "P.yaml").write_text(text.replace("imports:\n", "imports:\n" + more))
    with pytest.raises(ConfigurationError, match="avatar 'P/p1' has two meanings at the same time"):
        register.refresh()
    with pytest.raises(ConfigurationError, match="avatar 'P/p1' has two meanings at the same time"):
        built_anew(tmp_path, config)


assert build.build is increment.build, "the fallback is replaced by name in a test above"
