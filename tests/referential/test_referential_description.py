"""Rules that hold for every description, whatever the format it came from."""

from dataclasses import replace

import pytest

from idm_assets.referential.description import (
    Attribute,
    Avatar,
    Binding,
    Description,
    Equipment,
    Model,
    problems_of,
)

AVATAR = Avatar("a", "a", "Mo", None, "E", origin="f:1")
BINDING = Binding("s", "t", "a", "x", origin="f:2")
SOUND = Description(
    (Model("Mo", None, (Attribute("x", "double", "measurement"),)),),
    (Equipment("E", None, "f:0"),),
    (AVATAR,),
    (BINDING,),
)


def bound(**changes) -> Description:
    return replace(SOUND, bindings=(replace(BINDING, **changes),))


@pytest.mark.parametrize(
    ("description", "problem"),
    [
        (SOUND, None),
        (bound(avatar="b"), "f:2: tag 't' of source 's' is bound to the unknown avatar 'b'"),
        (bound(attribute="y"), "is bound to 'y', which model 'Mo' does not have"),
        (bound(scale=0.0), "impossible conversion"),
        (bound(offset=float("nan")), "impossible conversion"),
        (replace(SOUND, avatars=(AVATAR, AVATAR)), "avatar 'a' and f:1: avatar 'a': given more than once"),
        (replace(SOUND, avatars=(replace(AVATAR, parent="a"),)), "is a part of 'a', which is not described"),
        (replace(SOUND, avatars=(replace(AVATAR, model="No"),), bindings=()), "is of the unknown model 'No'"),
        (replace(SOUND, equipment=()), "belongs to the unknown machine 'E'"),
        (replace(SOUND, models=SOUND.models * 2), "model 'Mo' and model 'Mo': given more than once"),
    ],
)  # fmt: skip
def test_problems_are_named(description, problem):
    found = problems_of(description)
    assert len(found) == (0 if problem is None else 1)
    assert all(problem in text for text in found)
