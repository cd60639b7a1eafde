"""RUN --mount, as far as keys and errors go; what a command sees of it is tests/e2e/test_image_root.py's matter."""

import pytest

from harness.fakes.runner import FakeRunner
from kubeimage.errors import KubefileError
from kubeimage.kubefile import Run, parse
from kubeimage.kubefile.instructions import RunMount
from tests.kubeimage.builder.conftest import World

HEAD = "# syntax=sealos\nFROM scratch AS one\nCOPY b b\nFROM scratch\nCOPY sh /bin/sh\n"
FILES = {"a": b"1", "b": b"2", "sh": b"", "d/x": b"3"}


def mounts(text: str) -> tuple[RunMount, ...]:
    (run,) = (one for one in parse(f"FROM scratch\nRUN {text} true\n", dialect="sealos").instructions[1:])
    assert isinstance(run, Run)
    return run.mounts


def test_each_kind_is_read_with_its_other_names() -> None:
    assert mounts("--mount=target=/c --mount=type=bind,dst=/d,src=x,from=img:1,rw") == (
        RunMount("bind", "/c", read_only=True),
        RunMount("bind", "/d", "x", "img:1"),
    )
    assert mounts("--mount=type=cache,target=/c,id=n,sharing=locked,mode=0700,uid=5,gid=6,ro") == (
        RunMount("cache", "/c", name="n", sharing="locked", read_only=True, mode=0o700, owner=(5, 6)),
    )
    assert mounts("--mount=type=tmpfs,destination=/t,size=64m") == (RunMount("tmpfs", "/t", size=64 << 20),)


@pytest.mark.parametrize(
    ("size", "number"), [("5", 5), ("5k", 5 << 10), ("5M", 5 << 20), ("5g", 5 << 30), ("5T", 5 << 40)]
)
def test_a_size_is_in_bytes(size: str, number: int) -> None:
    assert mounts(f"--mount=type=tmpfs,target=/t,size={size}") == (RunMount("tmpfs", "/t", size=number),)


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ("type=secret", "a mount of type secret needs its id"),
        ("type=ssh", "RUN does not take --mount=type=ssh"),
        ("type=cahce,target=/x", "--mount knows the types bind, cache, tmpfs, secret, found 'cahce'"),
        ("type=tmpfs,target=/x,source=y", "a mount of type tmpfs has no 'source'"),
        ("type=cache", "a mount of type cache needs its target"),
        ("type=cache,target=/x,sharing=all", "sharing cannot be 'all'"),
        ("type=cache,target=/x,mode=9", "mode cannot be '9'"),
        ("type=tmpfs,target=/x,size=big", "size cannot be 'big'"),
        ("target=/x,ro=1", "readonly cannot be '1'"),
    ],
)
def test_a_mount_that_is_none_is_refused(mount: str, message: str) -> None:
    with pytest.raises(KubefileError, match=message):
        mounts(f"--mount={mount}")


@pytest.mark.parametrize(
    ("mount", "edit", "is_hit"),
    [
        ("target=/c", {}, True),
        ("target=/c", {"a": b"9"}, False),
        ("target=/c,source=d", {"a": b"9"}, True),
        ("target=/c,source=d", {"d/x": b"9"}, False),
        ("target=/c,from=one", {"a": b"9"}, True),
        ("target=/c,from=one", {"b": b"9"}, False),
        ("type=cache,target=/c", {"a": b"9"}, True),
    ],
)
def test_a_key_holds_what_a_command_is_shown(world: World, mount: str, edit: dict[str, bytes], is_hit: bool) -> None:
    text = f"{HEAD}RUN --mount={mount} true\n"
    world.runner = runner = FakeRunner()
    runner.on("true")
    world.build(text, FILES)

    foreseen = world.forecast(text, {**FILES, **edit})
    built = world.build(text, {**FILES, **edit})

    assert built.steps[-1].cached is is_hit
    assert (foreseen[-1].outcome == "hit") is is_hit


def test_a_source_that_is_not_there_is_told_with_its_place(world: World) -> None:
    with pytest.raises(Exception, match="'gone' matches nothing") as caught:
        world.build(f"{HEAD}RUN --mount=target=/c,source=gone true\n", FILES)
    assert caught.value.location.line == 6  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["/", "/proc/x", "/dev", "/bin/sh/x", "/bin/sh"])
def test_a_target_that_nothing_can_be_mounted_at_is_refused(world: World, target: str) -> None:
    with pytest.raises(Exception, match=r"mount(ed)?"):
        world.build(f"{HEAD}RUN --mount=type=tmpfs,target={target} true\n", FILES)
