"""Plausibility rules: which one holds, in which unit, and what is refused."""

import pytest

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.rules import (
    Match,
    PlacedRule,
    Range,
    Rule,
    Subject,
    idle_rules,
    matches,
    range_of,
    read_rules,
)

SUBJECT = Subject("Rotary", "temperature", "measurement", "double", "degC", "NIST", frozenset({"Mazak0[13]-*"}))
"""Of an avatar like Mazak03-C2, which matches one of the globs for avatars used here."""


def rule(name: str, match: Match, unit: str | None = None, minimum=0.0, maximum: float | None = 10.0) -> PlacedRule:
    return PlacedRule(Rule(name=name, match=match, minimum=minimum, maximum=maximum, unit=unit), f"r.yaml:{name}")


def test_the_last_rule_that_matches_holds_as_a_whole():
    rules = [
        rule("a", Match(attribute="temp*")),
        rule("b", Match(kind="measurement"), minimum=None, maximum=99.0),
        rule("c", Match(model="Linear")),
    ]
    assert range_of(rules, SUBJECT) == Range(None, 99.0, "b")
    assert range_of(rules[2:], SUBJECT) is None


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (Match(attribute="temperature*", kind="measurement"), True),
        (Match(attribute="temperature*", kind="state"), False),
        (Match(attribute="Temperature"), False),
        (Match(plant="N?ST", avatar="Mazak0[13]-*"), True),
        (Match(plant="N?ST", avatar="Mazak02-*"), False),
        (Match(model="*"), True),
    ],
)
def test_all_patterns_given_must_match(match, expected):
    assert matches(match, SUBJECT) is expected


def test_what_a_model_leaves_open_matches_no_pattern_and_only_numbers_match():
    of_model = Subject("Rotary", "temperature", "measurement", "double", "degC")
    assert not matches(Match(plant="*"), of_model)
    assert not matches(Match(avatar="*"), of_model)
    assert not matches(Match(attribute="*"), Subject("Rotary", "temperature_condition", "state", "string", None))


def test_bounds_are_converted_to_the_unit_of_the_attribute():
    found = range_of([rule("a", Match(attribute="temperature"), "degF", 32.0, 212.0)], SUBJECT)
    assert found is not None
    assert (found.minimum, found.maximum) == pytest.approx((0, 100))


@pytest.mark.parametrize("unit", [None, "mm"])
def test_a_contradictory_unit_names_rule_and_attribute(unit):
    subject = Subject("Linear", "position", "measurement", "double", unit, "NIST")
    with pytest.raises(ConfigurationError, match=r"r\.yaml:a: rule 'a' does not fit attribute Linear\.position:"):
        range_of([rule("a", Match(attribute="*"), "degC")], subject)


def test_a_rule_without_unit_speaks_in_the_attributes_own():
    assert range_of([rule("a", Match(attribute="*"))], SUBJECT) == Range(0.0, 10.0, "a")


def test_rules_that_match_nothing_are_remarked():
    rules = [rule("a", Match(attribute="temprature")), rule("b", Match(attribute="temperature"))]
    assert idle_rules(rules, [SUBJECT]) == ["r.yaml:a: rule 'a' matches no numeric attribute; check its patterns"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("match: {}\n    minimum: 1", ":3: rules[0].match: expected at least one of plant, model"),
        ("match: {attribute: x}", ":2: rules[0]: expected a minimum, a maximum or both"),
        (
            "match: {attribute: x}\n    minimum: 2\n    maximum: 1",
            ":2: rules[0]: expected minimum <= maximum, got 2.0",
        ),
        (
            "match: {attribute: x}\n    minimum: .nan",
            ":4: rules[0].minimum: expected a finite number (got nan)",
        ),
        (
            "match: {attribute: x}\n    minimum: 1\n    unit: clicks",
            ":5: rules[0].unit: unit 'clicks' is not known",
        ),
        (
            "match: {atribute: x}\n    minimum: 1",
            ":3: rules[0].match.atribute: unknown field; known here: attribute",
        ),
        (
            "match: {kind: x}\n    minimum: 1\n  - name: r\n    match: {kind: y}\n    minimum: 1",
            ":5: rules[1].name: name 'r'",
        ),
    ],
)
def test_bad_rules_are_refused_with_the_line(tmp_path, body, expected):
    path = tmp_path / "rules" / "r.yaml"
    path.parent.mkdir()
    path.write_text(f"rules:\n  - name: r\n    {body}\n")
    with pytest.raises(ConfigurationError) as caught:
        read_rules(tmp_path)
    assert any(problem.startswith(f"{path}{expected}") for problem in caught.value.problems)


def test_later_files_win_and_no_folder_means_no_rules(tmp_path):
    assert read_rules(tmp_path) == ()
    (tmp_path / "rules").mkdir()
    for name in ("b", "a"):
        text = f"rules:\n  - {{name: {name}, match: {{kind: measurement}}, minimum: 1}}\n"
        (tmp_path / "rules" / f"{name}.yaml").write_text(text)
    assert range_of(read_rules(tmp_path), SUBJECT) == Range(1.0, None, "b")
