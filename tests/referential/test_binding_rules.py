"""Bindings by pattern, and what a rule would do to the tags that were heard."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.configuration import ConfigurationError
from idm_assets.referential.binding_rules import bindings_of, dry_run, rules_of
from idm_assets.referential.build import build
from idm_assets.referential.sources import read_sources
from tests.referential.building import frames_of
from tests.referential.plants import write_plant

AVATARS = [
    {"avatar": name, "model": "Press", "equipment_path": "E/L1", "name": name.lower()}
    for name in ("L1-R1", "L1-R2", "L2-R1", "spare")
]
RULE = {
    "name": "lines", "avatar": "{line}-{robot}", "source": "{line}", "tag": "{line}_{robot}_{attribute}",
    "attributes": {"force": "F", "temperature": "TEMP"},
}  # fmt: skip


def signals(folder, *rules, **fields):
    frame = frames_of(write_plant(folder, avatars=AVATARS, binding_rules=list(rules), **fields)).signals
    return frame.select("source", "tag", "avatar", "attribute").rows()


def test_one_rule_binds_the_tags_of_many_avatars(tmp_path):
    assert signals(tmp_path, RULE) == [
        ("L1", "L1_R1_F", "L1-R1", "force"), ("L1", "L1_R1_TEMP", "L1-R1", "temperature"),
        ("L1", "L1_R2_F", "L1-R2", "force"), ("L1", "L1_R2_TEMP", "L1-R2", "temperature"),
        ("L2", "L2_R1_F", "L2-R1", "force"), ("L2", "L2_R1_TEMP", "L2-R1", "temperature"),
    ]  # fmt: skip


def test_without_a_list_of_attributes_all_are_bound_under_their_names(tmp_path):
    rule = {"name": "r", "source": "opc", "tag": "{equipment}/{name}/{attribute}"}
    found = signals(tmp_path, rule)
    assert len(found) == 4 * 3
    assert ("opc", "L1/spare/mode", "spare", "mode") in found


def test_a_tag_that_is_bound_explicitly_is_left_out_of_rules(tmp_path):
    explicit = {"source": "L1", "tag": "L1_R1_F", "avatar": "spare", "attribute": "force"}
    found = signals(tmp_path, RULE, signals=[explicit])
    assert [row for row in found if row[1] == "L1_R1_F"] == [("L1", "L1_R1_F", "spare", "force")]
    assert len(found) == 6


def test_two_rules_for_one_tag_are_refused_with_both_named(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        signals(tmp_path, RULE, {"name": "other", "source": "L1", "tag": "L1_R1_F", "model": "Pre*",
                                 "avatar": "spar{e}", "attributes": {"force": "F"}})  # fmt: skip
    (problem,) = caught.value.problems
    assert "tag 'P/L1/L1_R1_F' has two meanings at the same time" in problem
    assert problem.count("P.yaml:") == 2


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"tag": "{line}_{press}"},
            "unknown field {press}; known here: attribute, avatar, equipment, line, name, robot",
        ),
        ({"tag": "{line"}, "expected '}'"),
        ({"tag": "{line!r}"}, "expected fields like {line}"),
        ({"tag": "{line:>9}"}, "expected fields like {line}"),
        ({"tag": "{0}"}, "expected fields like {line}"),
        ({"avatar": "{line}-{line}"}, "expected every field once"),
        ({"avatar": "{name}-{robot}"}, "fields of the avatar pattern need names of their own"),
        ({"unit": "quux"}, "unit 'quux' is not known"),
    ],
)
def test_a_wrong_pattern_is_refused_with_its_line(tmp_path, change, problem):
    with pytest.raises(ConfigurationError) as caught:
        signals(tmp_path, RULE | change)
    assert problem in caught.value.problems[0]
    assert "P.yaml:" in caught.value.problems[0]


def test_a_dry_run_says_what_known_tags_a_rule_would_bind_and_what_was_never_heard(tmp_path):
    sources = read_sources(write_plant(tmp_path, avatars=AVATARS, binding_rules=[RULE]))
    known = (
        "SELECT 'P' AS plant, unnest(['L1', 'L1', 'L2']) AS source, unnest(['L1_R1_F', 'L1_R9_F', 'L2_R1_F']) AS tag"
    )
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'").fetchall()
        build(con, sources)
        (placed,) = rules_of(sources.documents)
        bound, unheard = dry_run(con, bindings_of(placed, "avatar_rows", "model_attributes"), known)
    assert bound == [("L1", "L1_R1_F", "L1-R1", "force"), ("L2", "L2_R1_F", "L2-R1", "force")]
    assert unheard == 4


@settings(max_examples=8, deadline=None)
@given(st.text(st.sampled_from("ab.*+?()[]{}|^$\\-_ 'é%"), min_size=1, max_size=6))
def test_signs_of_regular_expressions_mean_themselves(tmp_path_factory, text):
    safe = text.replace("{", "{{").replace("}", "}}")
    folder = tmp_path_factory.mktemp("signs")
    rule = {"name": "r", "avatar": safe + "{n}", "source": "s", "tag": "t{n}{attribute}"}
    avatars = [{"avatar": f"{name}1", "model": "Press", "equipment_path": "E"} for name in (text, "z" + text)]
    frame = frames_of(write_plant(folder, avatars=avatars, binding_rules=[rule])).signals
    assert set(frame["avatar"]) == {f"{text}1"}
    assert set(frame["tag"]) == {"t1force", "t1temperature", "t1mode"}
