"""The nightly schedule."""

from datetime import date

from sensors.schedules import decide_night


def test_every_plant_looks_at_the_days_whose_values_yesterday_may_hold():
    today = date(2016, 3, 2)
    assert decide_night(["b", "a"], today, 7) == [
        ("a", date(2016, 2, 24), date(2016, 3, 1)),
        ("b", date(2016, 2, 24), date(2016, 3, 1)),
    ]
    assert decide_night(["a"], today, 1) == [("a", date(2016, 3, 1), date(2016, 3, 1))]
    assert decide_night([], today, 7) == []
