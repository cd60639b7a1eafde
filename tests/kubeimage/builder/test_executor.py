from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.context import MemoryContext
from harness.fakes.runner import FakeRunner
from kubeimage.builder.events import BuildFinished, BuildStarted, StepFinished, StepProgress, StepStarted, Warned
from kubeimage.builder.executor import BuildResult
from kubeimage.errors import (
    BaseImageError,
    CommandError,
    CommandTimeoutError,
    DestinationError,
    LayerLimitError,
    SourceNotFoundError,
)
from kubeimage.image.config import CLUSTERFILE_ANNOTATION, DEFAULT_CLUSTERFILE
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry
from tests.kubeimage.builder.conftest import World
from tests.places import place_of

PROJECT = "FROM scratch\nCOPY a bin\nARG V=1\nRUN echo $V > v\nCOPY b bin\nCMD run it\n"
FILES = {"a": b"A", "b": b"B"}


def hits(result: BuildResult) -> str:
    """Say h(it) or m(iss) for each step that can make a layer."""
    return "".join("h" if one.cached else "m" for one in result.steps if one.step.makes_layer)


def test_an_unchanged_project_is_all_hits_and_gives_the_same_image(world: World) -> None:
    first, second = world.build(PROJECT, FILES), world.build(PROJECT, FILES)

    assert (hits(first), hits(second)) == ("mmm", "hhh")
    assert second.image.id == first.image.id
    assert (second.cache_hits, second.cache_misses) == (3, 0)


@pytest.mark.parametrize(
    ("text", "files", "options", "expected", "why"),
    [
        (PROJECT, {**FILES, "a": b"AA"}, {}, "mmm", "file bin/a changed"),
        (PROJECT, {**FILES, "b": b"BB"}, {}, "hhm", "file bin/b changed"),
        (PROJECT, {**FILES, "c": b"C"}, {}, "hhh", None),
        (PROJECT, FILES, {"build_args": {"V": "2"}}, "hmm", "arg V: 1 -> 2"),
        (PROJECT, FILES, {"network": False}, "hmm", "network: host -> none"),
        (PROJECT, FILES, {"platform": Platform("linux", "arm64")}, "mmm", "platform: linux/amd64 -> linux/arm64"),
        (PROJECT, FILES, {"use_cache": False}, "mmm", "--no-cache"),
        (PROJECT, FILES, {"labels": {"a": "b"}}, "hhh", None),
        (PROJECT.replace("CMD run it", "CMD run that"), FILES, {}, "hhh", None),
        (PROJECT.replace("COPY a bin", "COPY --chmod=700 a bin"), FILES, {}, "mmm", "chmod:  -> 700"),
        (PROJECT.replace("RUN echo", "RUN  echo"), FILES, {}, "hhh", None),
        (PROJECT.replace("echo $V", "echo  $V"), FILES, {}, "hmm", "command: echo $V > v -> echo  $V > v"),
        (PROJECT.replace("ARG V=1\n", "") + "ARG V=1\n", FILES, {}, "hmm", "arg V 1 is gone"),
    ],
)
def test_steps_miss_exactly_from_the_first_that_sees_a_change(
    world: World,
    text: str,
    files: Mapping[str, bytes],
    options: dict[str, Any],
    expected: str,
    why: str | None,
) -> None:
    world.build(PROJECT, FILES)

    result = world.build(text, files, **options)

    assert hits(result) == expected
    assert next((one.why_missed for one in result.steps if one.why_missed), None) == why


def test_after_the_first_miss_nothing_hits_even_if_it_was_built_before(world: World) -> None:
    world.build("FROM scratch\nCOPY a .\nCOPY b .\n", FILES)
    world.build("FROM scratch\nCOPY --exact b a\nCOPY b .\n", FILES)

    result = world.build("FROM scratch\nCOPY --exact b c\nCOPY b .\n", FILES)

    assert hits(result) == "mm"
    assert result.why_missed(2) == "an earlier step missed"


def test_without_the_cache_nothing_is_looked_up_and_all_is_recorded(world: World) -> None:
    world.build(PROJECT, FILES, use_cache=False)

    assert hits(world.build(PROJECT, FILES)) == "hhh"


def test_a_layer_of_another_base_is_never_used(world: World) -> None:
    world.build("FROM scratch\nCOPY a .\n", FILES, name="one:v1")
    world.build("FROM scratch\nCOPY b .\n", FILES, name="two:v1")
    world.build("FROM one:v1\nRUN cat a > c\n")

    result = world.build("FROM two:v1\nRUN cat b > c\n")

    assert hits(result) == "m"
    assert (result.why_missed(1) or "").startswith("base layer 1 sha256:")


def test_a_hit_whose_layer_is_gone_is_a_miss(world: World) -> None:
    first = world.build(PROJECT, FILES)
    del world.layers.blobs[first.image.layers[1].diff_id]

    result = world.build(PROJECT, FILES)

    assert hits(result) == "hmm"
    assert result.why_missed(3) == "its layer is gone or damaged"
    assert result.image.id == first.image.id


@pytest.mark.parametrize("run", ["true", "echo A > bin/a; chmod 644 bin/a"], ids=["nothing", "the same again"])
def test_a_run_that_changes_nothing_adds_no_layer_and_is_remembered(world: World, run: str) -> None:
    text = f"FROM scratch\nCOPY a bin\nRUN {run}\nCOPY b .\n"
    files = {"a": b"A\n", "b": b"B"}

    first, second = world.build(text, files), world.build(text, files)

    assert [layer.value for layer in first.image.layers] == ["a bin", "b ."]
    assert [entry.empty_layer for entry in first.image.history] == [False, True, False]
    assert hits(second) == "hhh"
    assert second.image.id == first.image.id


def test_a_copy_of_what_is_there_already_adds_no_layer(world: World) -> None:
    text = "FROM scratch\nCOPY a bin\nCOPY a bin\nCOPY b bin\n"

    first, second = world.build(text, FILES), world.build(text, FILES)

    assert [layer.value for layer in first.image.layers] == ["a bin", "b bin"]
    assert (hits(second), second.image.id) == ("hhh", first.image.id)


def test_a_copy_of_what_the_base_has_adds_no_layer(world: World) -> None:
    world.build("FROM scratch\nCOPY . .\n", FILES, name="base:v1")

    same = world.build("FROM base:v1\nCOPY a .\n", FILES)
    other = world.build("FROM base:v1\nCOPY a .\n", {"a": b"X"})

    assert (len(same.image.layers), len(other.image.layers)) == (1, 2)


def test_an_empty_context_copies_nothing(world: World) -> None:
    assert world.build("FROM scratch\nCOPY . .\n", {}).image.layers == ()


def test_a_copy_keeps_the_mode_of_directories_that_are_there(world: World) -> None:
    world.build("FROM scratch\nRUN mkdir -p secret/deep && chmod 700 secret\n", name="base:v1")

    result = world.build("FROM base:v1\nCOPY a secret/deep/new\n", FILES)

    assert world.tree(result.image) == {
        "secret": "directory 700",
        "secret/deep": "directory 755",
        "secret/deep/new": "directory 755",
        "secret/deep/new/a": "file 644",
    }


def test_a_copy_follows_symlinks_of_the_image_inside_its_root(world: World) -> None:
    world.build("FROM scratch\nRUN mkdir -p usr/lib && ln -s /usr/lib lib\n", name="base:v1")

    result = world.build("FROM base:v1\nCOPY a lib\n", FILES)

    assert world.tree(result.image) == {
        "lib": "symlink 777",
        "usr": "directory 755",
        "usr/lib": "directory 755",
        "usr/lib/a": "file 644",
    }
    assert hits(world.build("FROM base:v1\nCOPY a lib\n", FILES)) == "h"


def test_a_copy_below_a_file_is_an_error_with_its_place(world: World) -> None:
    with pytest.raises(DestinationError) as caught:
        world.build("FROM scratch\nCOPY a .\n\nCOPY b a/x\n", FILES)

    assert place_of(caught.value).line == 4


def test_commands_and_arguments_of_the_base_come_first(world: World) -> None:
    world.build("FROM scratch\nARG A=1\nARG B=1\nCMD one\nCMD two\nCMD one\n", name="base:v1")
    world.build("FROM base:v1\nARG B=2\nCMD two\nCMD three\n", name="mid:v1")

    image = world.build("FROM mid:v1\nARG C=3\nCMD four\nCMD four\n").image

    assert image.cmd.parent == ("one", "two", "one", "three")
    assert image.cmd.current == ("four", "four")
    assert (image.args.parent, image.args.current) == ({"A": "1", "B": "2"}, {"C": "3"})


def test_a_command_that_inheritance_swallows_is_a_warning(world: World) -> None:
    world.build("FROM scratch\nCMD sleep 5\n", name="base:v1")

    result = world.build("FROM base:v1\nCMD sleep 5\n")

    assert result.warnings == ("CMD 'sleep 5' will not run again: the base image has it already",)
    assert any(isinstance(event, Warned) for event in world.events)


def test_without_its_base_an_image_is_an_application_of_the_new_layers_alone(world: World) -> None:
    world.build("FROM scratch\nARG A=1\nCOPY a .\nCMD one\n", FILES, name="base:v1", labels={"team": "x"})

    image = world.build("FROM base:v1\nARG B=2\nCOPY b .\nCMD two\n", FILES, keep_base=False).image

    assert [layer.value for layer in image.layers] == ["b ."]
    assert (image.cmd.parent, image.cmd.current) == ((), ("two",))
    assert (image.args.parent, image.args.current) == ({}, {"B": "2"})
    assert (image.image_type, dict(image.labels)) == ("application", {"team": "x"})


def test_labels_and_annotations_are_inherited_and_overlaid(world: World) -> None:
    base = world.build("FROM scratch\n", name="base:v1", labels={"team": "a", "tier": "1"}).image

    image = world.build("FROM base:v1\n", labels={"team": "b"}).image

    assert dict(base.annotations) == {CLUSTERFILE_ANNOTATION: DEFAULT_CLUSTERFILE}
    assert dict(image.labels) == {"team": "b", "tier": "1"}
    assert image.annotations == base.annotations


def test_the_name_is_no_part_of_the_image_id(world: World) -> None:
    one = world.build(PROJECT, FILES, name="one:v1")
    two = world.build(PROJECT, FILES, name="two:v1")

    assert one.image.id == two.image.id


def test_the_image_says_when_only_if_it_is_told(world: World) -> None:
    assert world.build(PROJECT, FILES).image.created is None
    assert world.build(PROJECT, FILES, epoch=1_700_000_000).image.created == "2023-11-14T22:13:20Z"


@pytest.mark.parametrize(("base", "copies", "fits"), [(0, 128, True), (0, 129, False), (127, 1, True), (127, 2, False)])
def test_an_image_has_at_most_128_layers_its_base_included(world: World, base: int, copies: int, fits: bool) -> None:
    files = {f"f{number}": b"%d" % number for number in range(300)}
    world.build("FROM scratch\n" + "".join(f"COPY f{number} .\n" for number in range(base)), files, name="base:v1")
    text = "FROM base:v1\n" + "".join(f"COPY f{200 - number} .\n" for number in range(copies))
    stored = set(world.layers.blobs)

    if fits:
        assert len(world.build(text, files).image.layers) == base + copies
        return
    with pytest.raises(LayerLimitError, match=f"{base} of the base base:v1, {copies} of COPY, 0 of RUN") as caught:
        world.build(text, files)
    assert place_of(caught.value).line == 130 - base
    assert set(world.layers.blobs) == stored


def test_a_failed_run_names_its_line_and_leaves_no_image(world: World) -> None:
    with pytest.raises(CommandError, match="RUN ended with exit status 1") as caught:
        world.build("FROM scratch\nCOPY a .\nRUN false\n", FILES, name="app:v1")

    assert place_of(caught.value).line == 3
    assert world.images.records() == []


def test_steps_before_a_failure_are_hits_of_the_next_build(world: World) -> None:
    with pytest.raises(CommandError):
        world.build("FROM scratch\nCOPY a .\nRUN false\n", FILES)

    assert hits(world.build("FROM scratch\nCOPY a .\nRUN true\n", FILES)) == "hm"


def test_a_source_that_is_not_there_has_its_place(world: World) -> None:
    with pytest.raises(SourceNotFoundError) as caught:
        world.build("FROM scratch\n\nCOPY nothing .\n", FILES)

    assert (place_of(caught.value).line, place_of(caught.value).text) == (3, "COPY nothing .")


def test_a_base_for_another_platform_only_is_not_found(world: World) -> None:
    world.build("FROM scratch\n", name="base:v1", platform=Platform("linux", "arm64"))

    with pytest.raises(BaseImageError, match="the store has it for linux/arm64"):
        world.build("FROM base:v1\n")


def test_arch_in_a_source_is_the_target_architecture(world: World) -> None:
    files = {"amd64/tool": b"x86", "arm64/tool": b"arm"}
    text = "FROM scratch\nCOPY ${ARCH}/tool bin\n"

    amd = world.build(text, files)
    arm = world.build(text, files, platform=Platform("linux", "arm64"))

    assert amd.image.layers[0].diff_id != arm.image.layers[0].diff_id
    assert amd.image.layers[0].value == "${ARCH}/tool bin"


def test_a_large_copy_tells_how_far_it_is_and_a_small_one_does_not(world: World) -> None:
    size = 6 << 20
    world.build("FROM scratch\nCOPY a .\nCOPY b .\n", {"a": b"x" * size, "b": b"x"})

    told = [event for event in world.events if isinstance(event, StepProgress)]
    assert {(event.step.number, event.total) for event in told} == {(1, size)}
    assert [event.done for event in told] == sorted(event.done for event in told)
    assert told[-1].done == size


def test_events_tell_the_whole_story_in_order(world: World) -> None:
    world.build("FROM scratch\nCOPY a .\nCMD x\n", FILES, name="app:v1")

    kinds = [type(event) for event in world.events]
    assert kinds == [BuildStarted, StepStarted, StepFinished, StepStarted, StepFinished, BuildFinished]
    last = world.events[-1]
    assert isinstance(last, BuildFinished)
    assert last.references == ("registry.cn-qingdao.aliyuncs.com/sealer-io/app:v1",)


def test_a_secret_argument_enters_no_key_in_clear(world: World) -> None:
    text = "FROM scratch\nARG DB_PASSWORD=x\nRUN echo a > b\n"

    one = world.build(text, build_args={"DB_PASSWORD": "hunter2"})
    two = world.build(text, build_args={"DB_PASSWORD": "hunter3"})

    assert hits(one) == hits(two) == "m"
    assert "hunter" not in (two.why_missed(2) or "")


def test_the_tree_that_a_failed_run_left_can_be_kept(world: World, tmp_path: Path) -> None:
    kept = tmp_path / "kept"

    with pytest.raises(CommandError) as caught:
        world.build("FROM scratch\nCOPY a .\nRUN echo half > b && false\n", FILES, keep_failed=str(kept))

    assert {path.name: path.read_text() for path in kept.iterdir()} == {"a": "A", "b": "half\n"}
    assert caught.value.hint == f"what it left is in {kept}"


def test_every_entry_has_the_time_that_is_given(world: World) -> None:
    text = "FROM scratch\nCOPY a deep/er\nRUN echo x > y\n"

    image = world.build(text, FILES, epoch=1_700_000_000).image

    times = {entry.mtime for layer in image.layers for entry in world.layers.entries(layer.diff_id)}
    assert times == {1_700_000_000}
    assert hits(world.build(text, FILES, epoch=1_700_000_001)) == "mm"


class Remembering(MemoryContext):
    """Remembers sources by their names."""

    def __init__(self, items: Mapping[str, Any], known: Mapping[str, Digest] | None = None) -> None:
        super().__init__(items)
        self.known = dict(known or {})
        self.read = 0

    def with_digests(self, entries: Sequence[Entry]) -> list[Entry]:
        self.read += 1
        return super().with_digests(entries)

    def known_sources(self, entries: Sequence[Entry]) -> Digest | None:
        return self.known.get(" ".join(entry.path for entry in entries))

    def remember_sources(self, entries: Sequence[Entry], sources: Digest) -> None:
        self.known[" ".join(entry.path for entry in entries)] = sources


def test_a_copy_whose_sources_are_known_is_a_hit_without_their_digests(world: World) -> None:
    context = Remembering({"a": "1"})
    world.build("FROM scratch\nCOPY a .", context)

    again = world.build("FROM scratch\nCOPY a .", context)

    assert again.cache_hits == 1
    assert context.read == 0


def test_files_are_expected_before_they_are_copied(world: World) -> None:
    layers: list[int] = []

    class Expecting(Remembering):
        def expect(self, entries: Sequence[Entry]) -> None:
            layers.append(len(world.layers.blobs))
            assert [entry.path for entry in entries] == ["a"]

    world.build("FROM scratch\nCOPY a .", Expecting({"a": "1"}))

    assert layers == [0]


def test_known_sources_that_the_cache_has_not_are_looked_up_by_their_digests(world: World) -> None:
    world.build("FROM scratch\nCOPY a .", {"a": "1"})
    context = Remembering({"a": "1"}, known={"a": Digest.of(b"of another store")})

    again = world.build("FROM scratch\nCOPY a .", context)

    assert again.cache_hits == 1
    assert context.read == 1


@pytest.mark.parametrize(("kept", "hint"), [(None, "give it more time with --timeout"), ("left", "what it left is in")])
def test_a_run_that_takes_too_long_is_told_what_to_do(
    world: World, kept: str | None, hint: str, tmp_path: Path
) -> None:
    world.runner = runner = FakeRunner()
    runner.on("sleep 9", status=-9, timed_out=True)

    with pytest.raises(CommandTimeoutError, match="RUN took longer than 3 s") as caught:
        keep_failed = str(tmp_path / kept) if kept is not None else None
        world.build("FROM scratch\nRUN sleep 9\n", timeout=3, keep_failed=keep_failed)

    assert hint in str(caught.value.hint)
