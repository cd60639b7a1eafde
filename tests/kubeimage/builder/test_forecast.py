from __future__ import annotations

import pytest

from kubeimage.errors import SourceNotFoundError
from tests.kubeimage.builder.conftest import World
from tests.places import place_of

PROJECT = "FROM scratch\nCOPY a bin\nRUN touch x\nCMD go\n"
FILES = {"a": b"A"}


def test_before_the_first_build_everything_would_run(world: World) -> None:
    found = world.forecast(PROJECT, FILES)

    assert [(one.outcome, one.why_missed) for one in found] == [
        ("run", "never built before"),
        ("run", "an earlier step misses"),
        ("note", None),
    ]
    assert found[0].paths == ("bin/a",)


def test_a_forecast_is_what_the_build_then_does(world: World) -> None:
    world.build(PROJECT, FILES)
    text = PROJECT.replace("touch x", "touch y")

    found = world.forecast(text, FILES)
    result = world.build(text, FILES)

    assert [one.outcome for one in found] == ["hit", "run", "note"]
    assert found[1].why_missed == result.why_missed(2) == "command: touch x -> touch y"


def test_a_forecast_changes_nothing(world: World) -> None:
    world.forecast(PROJECT, FILES)

    assert (world.layers.blobs, world.images.records()) == ({}, [])
    assert [one.outcome for one in world.forecast(PROJECT, FILES)] == ["run", "run", "note"]


def test_what_would_fail_fails_in_the_forecast_with_its_place(world: World) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        world.forecast("FROM scratch\nCOPY b .\n", FILES)

    assert place_of(caught.value).line == 2


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("COPY --from=one /x /y", "the stage that it takes from misses"),
        ("ADD https://example.org/tool /y/", "what a URL without a checksum holds is known once it is fetched"),
        ("COPY a /y", "never built before"),
    ],
)
def test_a_step_says_whose_input_is_not_known_yet(world: World, step: str, why: str) -> None:
    files = {"a": b"A", "b": b"B"}
    text = "# syntax=sealos\nFROM scratch AS one\nCOPY a /x\nFROM scratch\nCOPY b /w\n"
    world.build(text, files)

    found = world.forecast(f"{text.replace('COPY a', 'COPY b')}{step}\n", files)

    assert (found[-1].outcome, found[-1].why_missed) == ("run", why)


def test_a_stage_on_another_one_goes_on_from_its_key(world: World) -> None:
    files = {"a": b"A", "b": b"B"}
    text = "# syntax=sealos\nFROM scratch AS one\nCOPY a /x\nFROM one\nCOPY b /w\n"
    world.build(text, files)

    assert [one.outcome for one in world.forecast(text, files)] == ["hit", "hit"]
    changed = world.forecast(text.replace("COPY a", "COPY b"), files)
    assert "hit" not in [one.outcome for one in changed]
    assert changed[-1].why_missed == "an earlier step misses"
