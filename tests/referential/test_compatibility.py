"""Versions of models: what is compatible, what breaks, and what may not take its place beside what is in force."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idm_assets.referential.compatibility import (
    Comparison,
    broken_versions,
    changes_between,
    comparisons,
    next_version,
    range_text,
    refused_changes,
    sampling_text,
    shortened,
    version_numbers,
)
from idm_assets.referential.description import Attribute, Model

A = Attribute("a", "double", "measurement", unit="mm", minimum=0.0, maximum=10.0)
S = Attribute("s", "string", "state", allowed=("x", "y"))


def model(*attributes: Attribute, version: str | None = "1.0.0", **fields: str) -> Model:
    return Model(
        "M", "d", tuple(sorted(attributes, key=lambda a: a.name)), version, **{"origin": version or "", **fields}
    )


def only(former: Attribute, **fields: object) -> tuple[str, bool]:
    """The one change that setting some fields makes: what it is about, and whether it breaks."""
    (change,) = changes_between(model(former), model(replace(former, **fields)))
    assert change.attribute == former.name
    return change.what, change.breaking


# --- the table -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("former", "fields", "what"),
    [
        (replace(A, data_type="integer"), {"data_type": "double"}, "data_type"),
        (A, {"unit": "millimeter"}, "unit"),
        (A, {"minimum": -1.0}, "range"),
        (A, {"maximum": 11.0}, "range"),
        (A, {"minimum": None}, "range"),
        (A, {"minimum": None, "maximum": None}, "range"),
        (S, {"allowed": ("x", "y", "z")}, "allowed"),
        (S, {"allowed": ("y", "x")}, "allowed"),
        (S, {"allowed": ()}, "allowed"),
        (replace(A, required=True), {"required": False}, "required"),
        (replace(A, pii="sensitive"), {"pii": "personal"}, "pii"),
        (A, {"sampling": "on_change"}, "sampling"),
        (replace(A, sampling="on_change"), {"sampling": "periodic"}, "sampling"),
        (A, {"cadence_s": 10.0}, "sampling"),
        (replace(A, deadband=0.5), {"deadband": 0.1}, "sampling"),
        (A, {"semantic_id": "urn:x"}, "semantic_id"),
        (A, {"description": "new"}, "description"),
        (A, {"inherited_from": "Base"}, "inherited_from"),
    ],
)
def test_compatible_changes_of_an_attribute(former, fields, what):
    assert only(former, **fields) == (what, False)


@pytest.mark.parametrize(
    ("former", "fields", "what"),
    [
        (A, {"data_type": "integer"}, "data_type"),
        (A, {"data_type": "string"}, "data_type"),
        (replace(A, data_type="integer"), {"data_type": "string"}, "data_type"),
        (A, {"kind": "state"}, "kind"),
        (A, {"unit": "cm"}, "unit"),
        (A, {"unit": "s"}, "unit"),
        (A, {"unit": None}, "unit"),
        (replace(A, unit=None), {"unit": "mm"}, "unit"),
        (replace(A, unit="CLICKS"), {"unit": "TICKS"}, "unit"),  # importers keep units that nobody knows
        (A, {"minimum": 1.0}, "range"),
        (A, {"maximum": 9.0}, "range"),
        (A, {"minimum": -1.0, "maximum": 9.0}, "range"),
        (replace(A, minimum=None), {"minimum": -9.0}, "range"),
        (S, {"allowed": ("x",)}, "allowed"),
        (S, {"allowed": ("x", "z")}, "allowed"),
        (replace(S, allowed=()), {"allowed": ("x",)}, "allowed"),
        (S, {"key": True}, "key"),
        (replace(S, key=True), {"key": False}, "key"),
        (A, {"required": True}, "required"),
        (A, {"hold": "sloped"}, "hold"),
        (replace(A, pii="none"), {"pii": "pseudonymous"}, "pii"),
        (replace(A, semantic_id="urn:x"), {"semantic_id": "urn:y"}, "semantic_id"),
        (replace(A, semantic_id="urn:x"), {"semantic_id": None}, "semantic_id"),
    ],
)
def test_breaking_changes_of_an_attribute(former, fields, what):
    assert only(former, **fields) == (what, True)


@pytest.mark.parametrize(
    ("former", "new", "breaking", "sentence"),
    [
        (model(A), model(A, S), False, "s: optional attribute added"),
        (model(A), model(A, replace(S, required=True)), True, "s: required attribute added"),
        (model(A, S), model(A), True, "s: attribute removed"),
        (model(), model(kind="record"), True, "model: kind changed: was telemetry, is record"),
        (model(), model(extends="B"), False, "model: extends changed: was none, is B"),
        (model(), model(owner="me"), False, "model: owner changed: was none, is me"),
        (model(), model(business_object="o"), False, "model: business_object changed: was none, is o"),
        (model(), model(semantic_id="u"), False, "model: semantic_id changed: was none, is u"),
        (model(semantic_id="u"), model(), True, "model: semantic_id changed: was u, is none"),
        (model(), replace(model(), description="x\ny"), False, "model: description changed: was d, is x y"),
        (model(), replace(model(), name="N"), True, "model: name changed: was M, is N"),
        (model(A), model(replace(A, maximum=5.5)), True, "a: range narrowed: was 0 to 10, is 0 to 5.5"),
        (model(S), model(replace(S, allowed=("x",))), True, "s: allowed narrowed: was 'x', 'y', is 'x'"),
    ],
)
def test_a_change_is_a_sentence(former, new, breaking, sentence):
    (change,) = changes_between(former, new)
    assert change.breaking is breaking
    assert change.sentence == sentence


def test_version_and_origin_are_no_content():
    assert changes_between(model(A, version="1.0.0"), model(A, version="2.0.0")) == ()


def test_changes_of_the_model_come_first_then_attributes_by_name():
    changes = changes_between(model(A), model(replace(A, maximum=11.0), S, owner="me"))
    assert [(c.attribute, c.what, c.former, c.new) for c in changes] == [
        (None, "owner", None, "me"),
        ("a", "range", "0 to 10", "0 to 11"),
        ("s", "attribute", None, "string"),
    ]


# --- properties ------------------------------------------------------------------------------------------

BOUND = st.none() | st.sampled_from([-1.0, 0.0, 1.0])
ATTRIBUTE = st.builds(
    Attribute,
    name=st.sampled_from(["a", "b"]),
    data_type=st.sampled_from(["double", "integer", "string"]),
    kind=st.sampled_from(["measurement", "state"]),
    unit=st.sampled_from([None, "mm", "millimeter", "cm", "CLICKS"]),
    description=st.sampled_from([None, "one"]),
    minimum=BOUND,
    maximum=BOUND,
    allowed=st.sampled_from([(), ("1",), ("1", "2"), ("2", "1")]),
    key=st.booleans(),
    required=st.booleans(),
    sampling=st.sampled_from([None, "on_change", "periodic"]),
    cadence_s=st.sampled_from([None, 1.0]),
    deadband=st.sampled_from([None, 0.0, 1.0]),
    hold=st.sampled_from(["stepped", "sloped"]),
    pii=st.sampled_from(["none", "personal"]),
    semantic_id=st.sampled_from([None, "urn:x", "urn:y"]),
    inherited_from=st.sampled_from([None, "B"]),
)
MODEL = st.builds(
    lambda attributes, kind, semantic_id: model(*attributes, kind=kind, semantic_id=semantic_id),
    st.lists(ATTRIBUTE, max_size=2, unique_by=lambda a: a.name),
    st.sampled_from(["telemetry", "record"]),
    st.sampled_from([None, "urn:x"]),
)


def variants(former: Model) -> st.SearchStrategy[Model]:
    """Models that differ from another one in few fields, as versions do."""

    def changed(attribute: Attribute) -> st.SearchStrategy[Attribute]:
        fields = ["unit", "minimum", "maximum", "allowed", "required", "pii", "semantic_id", "data_type", "sampling"]
        return st.tuples(st.sampled_from(fields), ATTRIBUTE).map(
            lambda drawn: replace(attribute, **{drawn[0]: getattr(drawn[1], drawn[0])})
        )

    return st.tuples(*map(changed, former.attributes)).map(lambda attributes: replace(former, attributes=attributes))


def breaks(former: Model, new: Model) -> bool:
    return any(change.breaking for change in changes_between(former, new))


@given(MODEL)
@settings(max_examples=60)
def test_a_model_has_not_changed_against_itself(one):
    assert changes_between(one, one) == ()


@given(MODEL.flatmap(lambda m: st.tuples(st.just(m), variants(m) | MODEL)))
@settings(max_examples=150)
def test_something_changed_in_both_directions_or_in_none(pair):
    former, new = pair
    assert bool(changes_between(former, new)) == bool(changes_between(new, former)) == (former != new)
    forth = {(c.attribute, c.what): (c.former, c.new) for c in changes_between(former, new)}
    back = {(c.attribute, c.what): (c.new, c.former) for c in changes_between(new, former)}
    assert forth == back


@given(
    MODEL.flatmap(
        lambda m: st.tuples(st.just(m), variants(m)).flatmap(lambda p: st.tuples(*map(st.just, p), variants(p[1])))
    )
)
@settings(max_examples=300)
def test_compatibility_is_transitive(three):
    one, two, last = three
    if not breaks(one, two) and not breaks(two, last):
        assert not breaks(one, last)


@given(st.sampled_from([(None, None), (None, 5.0), (0.0, None), (0.0, 5.0)]), st.floats(0.1, 3), st.booleans())
@settings(max_examples=60)
def test_what_widens_narrows_on_the_way_back(limits, by, upwards):
    low, high = limits
    former = replace(A, minimum=low, maximum=high)
    wider = replace(former, maximum=high and high + by) if upwards else replace(former, minimum=low and low - by)
    if wider.maximum == former.maximum and wider.minimum == former.minimum:
        wider = replace(former, minimum=None, maximum=None)
    if wider != former:
        assert not breaks(model(former), model(wider))
        assert breaks(model(wider), model(former))


# --- versions --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-a", "1.0.0+b", " 1.0.0", "1.0.0\n", "٣.0.0"]
)
def test_only_three_plain_numbers_are_a_version(text):
    with pytest.raises(ValueError, match=r"expected a version like 1\.2\.0"):
        version_numbers(text)


def test_versions_are_ordered_as_numbers():
    assert sorted(["1.10.0", "1.9.9", "0.99.0", "10.0.0"], key=version_numbers) == [
        "0.99.0",
        "1.9.9",
        "1.10.0",
        "10.0.0",
    ]


def test_the_next_version_follows_from_the_changes():
    compatible = changes_between(model(A), model(A, S))
    breaking = changes_between(model(A, S), model(A))
    assert next_version("1.2.3", ()) == "1.2.3"
    assert next_version("1.2.3", compatible) == "1.3.0"
    assert next_version("1.2.3", breaking + compatible) == "2.0.0"
    assert next_version("0.2.3", breaking) == "1.0.0"


# --- what is refused -------------------------------------------------------------------------------------

WIDER = replace(A, maximum=20.0)
NARROWER = replace(A, maximum=5.0)


def test_neighbours_of_one_major_version_are_compared_as_numbers():
    good = [model(WIDER, version="1.10.0"), model(A, version="1.9.0"), model(NARROWER, version="2.0.0")]
    assert broken_versions(good) == []
    bad = [model(NARROWER, version="1.10.0"), model(A, version="1.9.0"), model(NARROWER, version="2.0.0")]
    broken = "model 'M' 1.10.0 breaks version 1.9.0 (1.9.0) under the same major version"
    assert broken_versions(bad) == [f"1.10.0: {broken}; call it 3.0.0 (a: range narrowed: was 0 to 10, is 0 to 5)"]


def test_nothing_is_refused_where_nothing_was():
    assert refused_changes([], [model(A)]) == []
    assert refused_changes([model(A)], [model(A)]) == []
    assert refused_changes([model(A)], []) == []


@pytest.mark.parametrize(
    ("attribute", "version", "reason"),
    [
        (WIDER, "1.3.0", "a: range changed: was 0 to 10, is 0 to 20"),
        (replace(A, description="x"), "1.3.0", "a: description changed: was none, is x"),
        (NARROWER, "2.0.0", "a: range narrowed: was 0 to 10, is 0 to 5"),
    ],
)
def test_another_content_under_the_same_version_is_refused(attribute, version, reason):
    assert refused_changes([model(A, version="1.2.0")], [model(attribute, version="1.2.0")]) == [
        f"1.2.0: model 'M' 1.2.0: content changed under the same version; raise the version to {version} ({reason})"
    ]


def test_the_version_to_choose_is_free():
    former = [model(A, version="1.2.0"), model(A, version="1.5.0"), model(A, version="3.0.0")]
    (wider,) = refused_changes(former, [model(WIDER, version="1.2.0")])
    assert "raise the version to 1.6.0" in wider
    (narrower,) = refused_changes(former, [model(NARROWER, version="1.2.0")])
    assert "raise the version to 4.0.0" in narrower


def test_a_new_version_must_fit_between_those_in_force():
    in_force = [model(A, version="1.0.0"), model(WIDER, version="1.2.0")]
    assert refused_changes(in_force, [model(WIDER, version="1.3.0")]) == []
    assert refused_changes(in_force, [model(replace(A, maximum=15.0), version="1.1.0")]) == []
    assert refused_changes(in_force, [model(NARROWER, version="2.0.0")]) == []
    (below,) = refused_changes(in_force, [model(A, version="1.3.0")])
    assert below.startswith(
        "1.3.0: model 'M' 1.3.0 breaks version 1.2.0 (1.2.0) under the same major version; call it 2.0.0"
    )
    (above,) = refused_changes(in_force, [model(replace(A, maximum=30.0), version="1.1.0")])
    assert above.startswith("1.2.0: model 'M' 1.2.0 breaks version 1.1.0")


def test_a_new_version_is_judged_by_what_is_in_force_not_by_what_shall_replace_it():
    changed, added = refused_changes(
        [model(WIDER, version="1.0.0")], [model(A, version="1.0.0"), model(A, version="1.1.0")]
    )
    assert "content changed under the same version; raise the version to 2.0.0" in changed
    assert "model 'M' 1.1.0 breaks version 1.0.0" in added


def test_what_is_broken_among_those_in_force_is_not_said_again():
    in_force = [model(A, version="1.0.0"), model(NARROWER, version="1.1.0")]
    assert refused_changes(in_force, in_force) == []


def test_models_without_a_version_are_left_out():
    assert refused_changes([model(A, version=None)], [model(NARROWER, version=None)]) == []
    assert broken_versions([model(A, version=None), model(A)]) == []


def test_many_reasons_are_shortened_and_the_breaking_ones_come_first():
    former = model(*(Attribute(f"a{i}", "string", "text") for i in range(9)))
    (text,) = refused_changes([former], [model(S)])
    assert text.endswith("(a0: attribute removed; a1: attribute removed; a2: attribute removed; a3: attribute removed; "
                         "a4: attribute removed; and 5 more)")  # fmt: skip


def test_long_values_are_shortened_in_sentences():
    (change,) = changes_between(model(), replace(model(), description="x" * 5000))
    assert len(change.sentence) < 300
    assert change.new == "x" * 5000
    assert shortened(None) == "none"


# --- side by side ----------------------------------------------------------------------------------------


def test_versions_are_compared_with_themselves_or_with_the_one_before():
    former = [model(A, version="1.0.0"), model(A, version="1.1.0")]
    new = [model(WIDER, version="1.1.0"), model(WIDER, version="1.2.0"), model(NARROWER, version="3.0.0")]
    found = comparisons(former, [*new, replace(model(), name="N")])
    pairs = [(c.former.version if c.former else None, c.new.version if c.new else None, len(c.changes)) for c in found]
    # 1.2.0 is judged by what 1.1.0 was, 3.0.0 by 1.2.0, which is new itself; 1.0.0 is nobody's predecessor.
    assert pairs == [
        ("1.1.0", "1.1.0", 1),
        ("1.1.0", "1.2.0", 1),
        ("1.2.0", "3.0.0", 1),
        ("1.0.0", None, 0),
        (None, "1.0.0", 0),
    ]
    assert [c.due_version for c in found] == ["1.2.0", "1.2.0", "2.0.0", None, None]
    assert [c.is_refused for c in found] == [False] * 5


@pytest.mark.parametrize(
    ("attribute", "version", "refused"),
    [(NARROWER, "1.9.0", True), (NARROWER, "1.0.0", True), (NARROWER, "2.0.0", False), (WIDER, "1.0.0", False)],
)
def test_a_comparison_is_refused_if_something_breaks_under_the_same_major_version(attribute, version, refused):
    (found,) = comparisons([model(A)], [model(attribute, version=version)])
    assert found.is_refused is refused


def test_two_different_models_are_no_versions_of_each_other():
    former, new = model(A), replace(model(), name="N")
    found = Comparison(former, new, changes_between(former, new))
    assert (found.due_version, found.is_refused) == (None, False)


# --- fields as text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (None, None, None),
        (0.0, None, "at least 0"),
        (None, 2.5, "at most 2.5"),
        (-0.0, 1e20, "0 to 1e+20"),
        (0.1, 10.0, "0.1 to 10"),
    ],
)
def test_ranges_are_written_as_people_write_them(low, high, text):
    assert range_text(replace(A, minimum=low, maximum=high)) == text


def test_sampling_is_written_as_people_say_it():
    assert sampling_text(A) is None
    periodic = replace(A, sampling="periodic", cadence_s=10.0)
    assert sampling_text(periodic) == "periodic, every 10 s"
    on_change = replace(A, sampling="on_change", cadence_s=60.0, deadband=0.5)
    assert sampling_text(on_change) == "on change, at least every 60 s, deadband 0.5"
    assert sampling_text(replace(A, deadband=0.0)) == "deadband 0"
