"""A Kubefile of several stages: which of them run, what they see, and where the cache stands in each."""

import threading
from collections.abc import Sequence
from functools import partial

import pytest

from harness.strategies.sealos import archive_of
from kubeimage.builder.events import StageStarted, StepFinished, StepStarted
from kubeimage.builder.executor import BuildResult
from kubeimage.errors import BaseImageError, LayerLimitError, SourceNotFoundError, UsageError
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer
from tests.kubeimage.builder.conftest import World

FILES = {"a": b"1", "b": b"2", "c": b"3"}
TEXT = """# syntax=sealos
FROM scratch AS one
COPY a made/a
FROM scratch AS two
COPY b made/b
FROM scratch
COPY --from=one made .
COPY --from=1 made/b renamed
COPY c c
"""


def test_a_copy_of_another_image_s_files_goes_by_what_is_in_it(world: World) -> None:
    text = "# syntax=sealos\nFROM scratch\nCOPY --from=localhost/other:v1 a a\n"
    found = []
    for content in (b"1", b"1", b"2"):
        world.build("FROM scratch\nCOPY a a\n", {"a": content}, name="localhost/other:v1")
        found.append(world.build(text))

    assert [hits(one) for one in found] == [{"": "m"}, {"": "h"}, {"": "m"}]
    assert found[0].image.id == found[1].image.id != found[2].image.id


def hits(result: BuildResult) -> dict[str, str]:
    """Return hits and misses of each stage."""
    found: dict[str, str] = {}
    for one in result.steps:
        if one.step.makes_layer:
            found[one.step.stage] = found.get(one.step.stage, "") + ("h" if one.cached else "m")
    return found


def files(world: World, result: BuildResult) -> set[str]:
    return {path for path, what in world.tree(result.image).items() if what.startswith("file")}


def test_only_the_last_stage_is_the_image(world: World) -> None:
    result = world.build(TEXT, FILES)

    assert files(world, result) == {"a", "renamed", "c"}
    assert [one.created_by for one in result.image.history] == [
        "COPY --from=one made .",
        "COPY --from=1 made/b renamed",
        "COPY c c",
    ]
    assert [(one.step.number, one.step.stage, one.step.of_image) for one in result.steps] == [
        (1, "one", False),
        (2, "two", False),
        (3, "2", True),
        (4, "2", True),
        (5, "2", True),
    ]


def test_only_stages_that_are_needed_are_built(world: World) -> None:
    text = TEXT.replace("FROM scratch AS two", "FROM scratch AS broken\nCOPY gone x\nFROM nobody/has:it AS two")
    needed = text.replace("COPY --from=1 made/b renamed\n", "")

    assert files(world, world.build(needed, FILES)) == {"a", "c"}
    with pytest.raises(SourceNotFoundError):
        world.build(text.replace("--from=1 made/b", "--from=broken x"), FILES)


@pytest.mark.parametrize(
    ("target", "expected"), [("one", {"made/a"}), ("1", {"made/b"}), (None, {"a", "renamed", "c"})]
)
def test_the_target_is_the_image(world: World, target: str | None, expected: set[str]) -> None:
    assert files(world, world.build(TEXT, FILES, stage=target)) == expected


def test_a_target_that_is_not_there_is_wrong_usage(world: World) -> None:
    with pytest.raises(UsageError, match=r"no stage is called 'tow' .did you mean two") as caught:
        world.build(TEXT, FILES, stage="tow")
    assert caught.value.hint == "there are one, two, 2"
    with pytest.raises(UsageError, match="this Kubefile has none"):
        world.build("FROM scratch\n", FILES, stage="one")


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        ({}, {"one": "h", "two": "h", "2": "hhh"}),
        ({"a": b"9"}, {"one": "m", "two": "h", "2": "mmm"}),
        ({"b": b"9"}, {"one": "h", "two": "m", "2": "hmm"}),
        ({"c": b"9"}, {"one": "h", "two": "h", "2": "hhm"}),
    ],
)
def test_hits_are_a_prefix_within_each_stage(world: World, edited: dict[str, bytes], expected: dict[str, str]) -> None:
    world.build(TEXT, FILES)
    foreseen = world.forecast(TEXT, {**FILES, **edited})

    built = world.build(TEXT, {**FILES, **edited})

    assert hits(built) == expected
    assert ["h" if one.outcome == "hit" else "m" for one in foreseen if one.step.makes_layer] == list(
        "".join(expected.values())
    )


def test_a_stage_s_key_holds_those_of_the_stages_that_it_takes_from(world: World) -> None:
    # The stage comes to the same layer by other instructions: what takes from it is asked for anew all the same.
    world.build(TEXT, FILES)

    again = world.build(TEXT.replace("COPY a made/a", "COPY a made/a\nWORKDIR /made"), FILES)

    assert hits(again) == {"one": "hm", "two": "h", "2": "mmm"}


def test_a_stage_stands_on_another_one(world: World) -> None:
    text = """# syntax=sealos
FROM scratch AS base
ARG INSIDE=1
ENV A=1
LABEL l=1
USER 7
WORKDIR /w
COPY a a
CMD ["c"]
FROM BASE AS top
ENV B=${A}${INSIDE}
COPY b b
ENTRYPOINT ["e"]
FROM base
"""
    result = world.build(text, FILES, stage="top")
    runtime = result.image.runtime

    assert files(world, result) == {"w/a", "w/b"}
    assert dict(runtime.env) | {"PATH": ""} == {"PATH": "", "A": "1", "B": "1"}
    assert (runtime.user, runtime.working_dir, runtime.entrypoint, runtime.cmd) == ("7", "/w", ("e",), ())
    assert dict(result.image.labels) == {"l": "1"}
    assert [one.created_by.split()[0] for one in result.image.history] == (
        ["ARG", "ENV", "LABEL", "USER", "WORKDIR", "COPY", "CMD", "ENV", "COPY", "ENTRYPOINT"]
    )
    assert hits(world.build(text, FILES, stage="top")) == {"base": "hh", "top": "h"}
    assert hits(world.build(text, {**FILES, "a": b"9"}, stage="top")) == {"base": "hm", "top": "m"}


def test_a_global_argument_reaches_a_stage_by_a_bare_arg_alone(world: World) -> None:
    text = "# syntax=sealos\nARG G=1\nFROM scratch AS one\n{}LABEL g=x$G\nFROM one\n{}LABEL h=x$G\n"

    def labels(first: str, second: str) -> dict[str, str]:
        return dict(world.build(text.format(first, second), FILES, build_args={}).image.labels)

    assert labels("ARG G\n", "") == {"g": "x1", "h": "x"}
    assert labels("", "ARG G\n") == {"g": "x", "h": "x1"}


def test_an_image_that_is_called_like_a_stage_below_is_an_image(world: World) -> None:
    world.build("# syntax=sealos\nFROM scratch\nCOPY a a\n", FILES, name="web:latest")
    text = "# syntax=sealos\nFROM web AS web\nCOPY b b\nFROM web\nCOPY c c\n"

    assert files(world, world.build(text, FILES)) == {"a", "b", "c"}
    with pytest.raises(BaseImageError) as caught:
        world.build("# syntax=sealos\nFROM late AS one\nFROM scratch AS late\nFROM one\n", FILES)
    assert caught.value.hint == "the stage late stands below; a stage stands on those above it"


@pytest.mark.parametrize("line", ["COPY --from=bulid a b", "FROM bulid"])
def test_a_name_that_is_nearly_a_stage_s_gets_a_hint(world: World, line: str) -> None:
    text = f"# syntax=sealos\nFROM scratch AS build\nCOPY a a\nFROM scratch\n{line}\n"

    with pytest.raises(BaseImageError) as caught:
        world.build(text, FILES)

    assert caught.value.hint == "the file has a stage build: did you mean that?"
    assert caught.value.location is not None
    assert caught.value.location.line == 5


def test_the_limit_counts_what_a_stage_stands_on_and_no_others(world: World) -> None:
    many = "COPY a x/\n" * 70
    side = f"# syntax=sealos\nFROM scratch AS one\n{many}FROM scratch\n{many}COPY --from=one x /\n"
    below = f"# syntax=sealos\nFROM scratch AS one\n{many}FROM one\n{many}"

    world.build(side, FILES)
    with pytest.raises(LayerLimitError, match="this one would have 140"):
        world.build(below, FILES)


def test_stages_and_steps_are_told_one_after_the_other(world: World) -> None:
    world.build(TEXT, FILES)
    open_step: int | None = None

    for event in world.events:
        if isinstance(event, StepStarted):
            assert open_step is None
            open_step = event.step.number
        elif isinstance(event, StepFinished):
            assert open_step == event.step.number
            open_step = None
    assert {event.stage for event in world.events if isinstance(event, StageStarted)} == {"one", "two", "2"}


def test_an_error_in_one_stage_is_the_build_s_and_no_thread_stays(world: World) -> None:
    before = threading.active_count()

    for text in _failing(TEXT):
        with pytest.raises(SourceNotFoundError) as caught:
            world.build(text, FILES)
        assert caught.value.location is not None
    assert threading.active_count() == before


def _failing(text: str) -> Sequence[str]:
    lines = text.splitlines()
    copies = [at for at, line in enumerate(lines) if line.startswith("COPY")]
    return ["\n".join([*lines[:at], "COPY gone x", *lines[at:], ""]) for at in copies]


def test_what_is_copied_of_a_stage_is_a_hit_as_long_as_the_stage_is(world: World) -> None:
    world.build(TEXT, FILES)

    assert hits(world.build(TEXT, FILES)) == {"one": "h", "two": "h", "2": "hhh"}
    assert hits(world.build(TEXT, {**FILES, "b": b"4"})) == {"one": "h", "two": "m", "2": "hmm"}


STEPS = {
    "COPY": "COPY a x",
    "COPY of an image": "COPY --from=other:1 a x",
    "COPY of a stage": "COPY --from=one made/b x",
    "ADD": "ADD app.tgz x",
    "WORKDIR": "WORKDIR /w",
}


@pytest.mark.parametrize("line", STEPS.values(), ids=STEPS)
def test_each_step_is_a_hit_the_second_time_and_the_third_if_a_claim_is_true(world: World, line: str) -> None:
    files = {**FILES, "app.tgz": archive_of(("x", 0o644, (0, 0)))}
    other = world.build("# syntax=sealos\nFROM scratch\nCOPY a a\n", files, name="other:1").image.layers[0]
    text = f"# syntax=sealos\nFROM scratch AS one\nCOPY b made/b\nFROM other:1\n{line}\n"
    first, second = world.build(text, files), world.build(text, files)
    look = world.cache.lookup

    def claim(key: CacheKey, *, is_lie: bool) -> CachedStep | None:
        found = look(key)
        if found is None:
            return None
        return CachedStep(StoredLayer(other.diff_id, other.size) if is_lie else found.layer, is_claim=True)

    world.cache.lookup = partial(claim, is_lie=False)  # type: ignore[method-assign]
    true = world.build(text, files)
    world.cache.lookup = partial(claim, is_lie=True)  # type: ignore[method-assign]
    lie = world.build(text, files)

    assert [[*hits(one).values()][-1] for one in (first, second, true, lie)] == ["m", "h", "h", "m"]
    assert len({one.image.id for one in (first, second, true, lie)}) == 1


@pytest.mark.parametrize(("epoch", "expected"), [(None, 0), (7, 7)])
def test_what_is_copied_has_the_time_that_was_asked_for(world: World, epoch: int | None, expected: int) -> None:
    image = world.build(TEXT + "COPY a d/a\nWORKDIR /w\n", FILES, epoch=epoch).image

    assert {entry.mtime for layer in image.layers for entry in world.layers.entries(layer.diff_id)} == {expected}
