"""A Kubefile in the dialect sealos, built in memory."""

import json

import pytest

from kubeimage.errors import DestinationError, KubefileError, SourceNotFoundError
from kubeimage.image.platform import Platform
from tests.kubeimage.builder.conftest import World

HEAD = "# syntax=sealos\nFROM scratch\n"


def test_placement_depends_on_what_the_image_holds_by_then(world: World) -> None:
    renamed = world.build(f"{HEAD}COPY a x\n", {"a": b"1"})
    inside = world.build(f"{HEAD}WORKDIR /x\nCOPY a /x\n", {"a": b"1"})

    assert set(world.tree(renamed.image)) == {"x"}
    assert set(world.tree(inside.image)) == {"x", "x/a"}


def test_a_plan_says_what_the_build_does_where_that_depends_on_the_image(world: World) -> None:
    text, files = f"{HEAD}COPY a x/\nCOPY b x\n", {"a": b"1", "b": b"2"}
    world.build(text, files)

    assert [(one.outcome, one.paths) for one in world.forecast(text, files)] == [("hit", ("x/a",)), ("hit", ("x/b",))]


def test_a_folder_never_replaces_a_file(world: World) -> None:
    with pytest.raises(DestinationError):
        world.build(f"{HEAD}COPY a x\nCOPY d x\n", {"a": b"1", "d/b": b"2"})


def test_registry_need_not_be_there_where_the_build_packs_it(world: World) -> None:
    text = f"{HEAD}COPY registry ./registry\n"

    packed = world.build(text, {"a": b"1"}, pull_images="missing")

    assert world.tree(packed.image) == {}
    with pytest.raises(SourceNotFoundError):
        world.build(text, {"a": b"1"})


def test_a_build_argument_that_nothing_declares_is_a_warning(world: World) -> None:
    result = world.build(f"{HEAD}ARG A\nENV B=$A\n", build_args={"A": "1", "Z": "2", "HTTP_PROXY": "p"})

    assert dict(result.image.runtime.env)["B"] == "1"
    assert result.warnings == ("no ARG declares the build argument Z, so it changes nothing",)


@pytest.mark.parametrize(("architecture", "expected"), [("amd64", {"r/one"}), ("arm64", {"r/two"})])
def test_the_platform_s_own_arguments_need_no_value(world: World, architecture: str, expected: set[str]) -> None:
    text = f"{HEAD}ARG TARGETARCH\nCOPY r_${{TARGETARCH}} r\n".replace("scratch", "--platform=$BUILDPLATFORM scratch")
    files = {"r_amd64/one": b"1", "r_arm64/two": b"2"}

    image = world.build(text, files, platform=Platform("linux", architecture)).image

    assert set(world.tree(image)) - {"r"} == expected
    assert image.platform.architecture == architecture


def test_commands_of_the_base_are_replaced_and_not_merged(world: World) -> None:
    world.build(f'{HEAD}CMD ["a"]\n', name="base:1")

    child = world.build('# syntax=sealos\nFROM base:1\nCMD ["b"]\n').image
    merged = world.build("FROM base:1\nCMD b\n").image

    assert child.cmd.merged == child.runtime.cmd == ("b",)
    assert merged.cmd.merged == merged.runtime.cmd == ("a", "b")


@pytest.mark.parametrize(
    ("label", "kind"), [("", "app-installer"), ("rootfs", "kube-installer"), ("x", "app-installer")]
)
def test_the_label_of_sealos_says_what_kind_of_image_it_is(world: World, label: str, kind: str) -> None:
    image = world.build(f"{HEAD}LABEL sealos.io.type={label}\n" if label else HEAD).image

    assert json.loads(image.manifest_annotations["sealer.image.extension"])["type"] == kind


def test_no_layer_is_shared_between_dialects(world: World) -> None:
    world.build("FROM scratch\nCOPY a b/a\n", {"a": b"1"})

    again = world.build(f"{HEAD}COPY a b/a\n", {"a": b"1"})

    assert again.cache_hits == 0
    assert again.why_missed(1) == "dialect: sealer -> sealos"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN --mount=type=ssh true\n", "RUN does not take --mount=type=ssh"),
        ("ADD https://user:word@example.org/a /\n", "the URL holds credentials"),
        ("ADD --checksum=$DEFAULT https://example.org/a /\n", "a checksum is sha256"),
        ("COPY $U x\n", "the source \\$U is nothing"),
        ("COPY a $U\n", "the destination \\$U is nothing"),
        ("EXPOSE http\n", "EXPOSE takes PORT"),
        ('ENV "$U"=1\n', "ENV has a key that is empty"),
    ],
)
def test_what_cannot_be_done_is_told_before_any_work(world: World, text: str, message: str) -> None:
    with pytest.raises(KubefileError, match=message):
        world.build(f"{HEAD}ENV DEFAULT=md5\n{text}", {"a": b"1"})

    assert world.events == []


def test_an_entrypoint_drops_the_base_s_cmd_and_keeps_that_of_its_own_file(world: World) -> None:
    world.build(f'{HEAD}CMD ["base"]\n', name="base:1")
    file = "# syntax=sealos\nFROM base:1\n"

    alone = world.build(f'{file}ENTRYPOINT ["e"]\n').image.runtime
    both = world.build(f'{file}CMD ["c"]\nENTRYPOINT ["e"]\n').image.runtime

    assert (alone.entrypoint, alone.cmd) == (("e",), ())
    assert (both.entrypoint, both.cmd) == (("e",), ("c",))


# Each was tried with buildah 1.28.2.
@pytest.mark.parametrize(
    ("written", "kept", "made"),
    [
        ("/opt/../srv", "/opt/../srv", {"srv"}),
        ("a/../b", "/b", {"b"}),
        ("../up", "/up", {"up"}),
        ("//a//b", "//a//b", {"a", "a/b"}),
    ],
)
def test_a_workdir_is_kept_as_buildah_keeps_it(world: World, written: str, kept: str, made: set[str]) -> None:
    image = world.build(f"{HEAD}WORKDIR {written}\n").image

    assert image.runtime.working_dir == kept
    assert set(world.tree(image)) == made
