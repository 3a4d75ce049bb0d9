"""Which days a change of bindings touches: exactly those on which a changed tag matters."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from idm_assets.binding_effects import binding_effects
from idm_assets.cleaned.tables import LAST_VALUES
from idm_assets.contracts import Partition
from idm_assets.sql import signal_id
from resources.engine import Engine
from resources.ledger import Ledger, PartitionRecord
from tests.referential.plants import Register, write_plant

FIRST = date(2021, 3, 1)
AVATARS = [{"avatar": name, "model": "Press", "equipment_path": "E/L1"} for name in ("p1", "p2")]
SIGNALS = [
    {"source": "s", "tag": tag, "avatar": "p1", "attribute": attribute}
    for tag, attribute in (("a", "force"), ("b", "temperature"), ("c", "mode"))
]


def day(number):
    return FIRST + timedelta(days=number)


class Plant:
    """A plant whose days were computed, with the tags that each day knows."""

    def __init__(self, tmp_path, heard):
        self.register = Register(tmp_path / "home", write_plant(tmp_path / "config", avatars=AVATARS, signals=SIGNALS))
        self.register.refresh()
        self.ledger = Ledger(settings=self.register.settings)
        with Engine(settings=self.register.settings).connect() as con:
            for number, tags in heard.items():
                partition = Partition("P", day(number))
                rows = " UNION ALL ".join(
                    f"SELECT {signal_id(repr('P'), repr('s'), repr(tag))} AS signal_id, 0 AS status, 1.0 AS value,"
                    f" NULL AS text, TIMESTAMPTZ '{datetime.combine(day(number), time(12), UTC)}' AS ts"
                    for tag in tags
                )
                staged = self.register.lake.stage(con, LAST_VALUES, rows, partition)
                self.register.lake.replace(LAST_VALUES, staged, "run", partition)
                self.ledger.record_partitions(
                    [PartitionRecord(LAST_VALUES.qualified_name, partition, "f", "c", len(tags), "run")]
                )
        assert self.effects() == {}

    def effects(self):
        found = binding_effects(self.ledger, self.register.settings, "P")
        return {(known - FIRST).days: effect for known, effect in found.items()}

    def bind(self, *signals, avatars=AVATARS):
        write_plant(self.register.config, avatars=avatars, signals=list(signals))
        self.register.refresh()
        return self.effects()


@pytest.fixture
def plant(tmp_path):
    """Tag a is heard on days 0, 1 and 5, tag b on day 1 and 20, tag c on day 20."""
    return Plant(tmp_path, {0: "a", 1: "ab", 5: "a", 20: "bc"})


def changed(index, **fields):
    return [signal | fields if i == index else signal for i, signal in enumerate(SIGNALS)]


def test_only_days_that_know_the_changed_tag_are_touched_and_those_it_is_carried_into(plant):
    # Tag b is carried from day 1 into day 5, tag a from day 5 not into day 20, which is over a week later.
    assert plant.bind(*changed(1, unit="K")).keys() == {1, 5, 20}
    assert plant.bind(*changed(0, unit="N")).keys() == {0, 1, 5}


def test_a_change_that_is_taken_back_touches_nothing(plant):
    assert plant.bind(*changed(0, scale=2.0)).keys() == {0, 1, 5}
    assert plant.bind(*SIGNALS) == {}


def test_another_change_is_another_effect(plant):
    first, second = plant.bind(*changed(0, scale=2.0)), plant.bind(*changed(0, scale=3.0))
    assert first.keys() == second.keys()
    assert all(first[number] != second[number] for number in first)


def test_a_change_from_a_day_on_leaves_the_days_before_alone(plant):
    split = [
        SIGNALS[0] | {"valid_to": f"{day(1)}T06:00:00Z"},
        SIGNALS[0] | {"valid_from": f"{day(1)}T06:00:00Z", "scale": 2.0},
        *SIGNALS[1:],
    ]
    assert plant.bind(*split).keys() == {1, 5}
    # Ending after all days of the tag changes what no day sees.
    assert plant.bind(SIGNALS[0] | {"valid_to": str(day(30))}, *SIGNALS[1:]) == {}


def test_a_start_within_the_horizon_touches_the_day_that_a_value_is_carried_into(plant):
    """Tag a was heard on day 1 at noon and is carried into day 5, unless its binding began after that report."""
    late = SIGNALS[0] | {"valid_from": str(day(3))}
    assert plant.bind(late, *SIGNALS[1:]).keys() == {0, 1, 5}


def test_what_no_value_sees_touches_nothing(plant):
    named = [avatar | {"name": "another", "external_ids": {"vin": "1"}} for avatar in AVATARS]
    assert plant.bind(*SIGNALS, avatars=named) == {}
    assert plant.bind(*SIGNALS, SIGNALS[0] | {"tag": "never heard"}) == {}


def test_a_moved_avatar_a_lost_tag_and_a_contradictory_unit_touch_the_days_of_their_tags(plant):
    moved = [AVATARS[0] | {"equipment_path": "E"}, AVATARS[1]]
    assert plant.bind(*SIGNALS, avatars=moved).keys() == {0, 1, 5, 20}
    assert plant.bind(*SIGNALS) == {}
    assert plant.bind(*SIGNALS[:2]).keys() == {20}
    assert plant.bind(*changed(2, unit="mm")).keys() == {20}


def test_effects_are_known_to_every_process_and_a_new_ledger_starts_afresh(plant):
    found = plant.bind(*changed(0, scale=2.0))
    again = Ledger(settings=plant.register.settings)
    assert {(d - FIRST).days: e for d, e in binding_effects(again, plant.register.settings, "P").items()} == found
    assert binding_effects(again, plant.register.settings, "another plant") == {}
