"""What a COPY's cache key says of it: a plain one of nothing but itself, and each option of itself alone."""

from dataclasses import replace

import pytest

from kubeimage.builder.step import Step, StepMount
from kubeimage.image.digest import Digest
from kubeimage.kubefile import parse
from kubeimage.kubefile.instructions import RunMount
from kubeimage.protocols.context import CopyRequest, Remote
from kubeimage.protocols.running import Command

(INSTRUCTION,) = parse("FROM scratch\nCOPY a b\n").instructions[1:]
PLAIN = CopyRequest(("a", "c"), "b")
FIELDS = {
    "kind": "COPY",
    "source 1": "a",
    "source 2": "c",
    "destination": "b",
    "exact": "false",
    "chmod": "",
    "timestamps": "0",
}
ONE = Digest("1" * 64)

CHANGES: list[tuple[CopyRequest, dict[str, str]]] = [
    (PLAIN, {}),
    (replace(PLAIN, exact=True), {"exact": "true"}),
    (replace(PLAIN, chmod=0o640), {"chmod": "640"}),
    (replace(PLAIN, mtime=None), {"timestamps": "preserve"}),
    (replace(PLAIN, mtime=7), {"timestamps": "7"}),
    (replace(PLAIN, by_docker=True), {"into": "false"}),
    (replace(PLAIN, by_docker=True, into=True), {"into": "true"}),
    (replace(PLAIN, into=True), {}),
    (replace(PLAIN, owner=(1, 2)), {"chown": "1:2"}),
    (replace(PLAIN, chown="app"), {}),
    (replace(PLAIN, parents=True), {"parents": "true"}),
    (replace(PLAIN, unpack=True), {"kind": "ADD"}),
    (replace(PLAIN, excludes=("x", "y")), {}),
    (replace(PLAIN, excludes=("x", "y"), from_image=True), {"exclude 1": "x", "exclude 2": "y"}),
    (replace(PLAIN, remotes=(Remote("http://x"),)), {"url 1": "http://x"}),
    (replace(PLAIN, remotes=(Remote("http://x", ONE),)), {"url 1": "http://x", "content 1": str(ONE)}),
]


@pytest.mark.parametrize(("request_", "more"), CHANGES, ids=range(len(CHANGES)))
def test_a_copy_s_key_says_what_bears_on_its_layer(request_: CopyRequest, more: dict[str, str]) -> None:
    fields = Step(1, INSTRUCTION, copy=request_).cache_fields()

    assert dict(fields) == {**FIELDS, **more}
    assert len(fields) == len(dict(fields))


def test_what_is_taken_from_elsewhere_stands_in_the_key() -> None:
    step = Step(1, INSTRUCTION, copy=PLAIN, origin=(ONE, ONE), taken_key=Digest("2" * 64))

    assert dict(step.cache_fields()) == {
        **FIELDS,
        "from stage": f"sha256:{'2' * 64}",
        "from 1": str(ONE),
        "from 2": str(ONE),
    }


def test_a_folder_s_key_names_its_owner_if_it_is_another_than_root() -> None:
    step = Step(1, INSTRUCTION, directory="/w", mtime=7)

    assert step.cache_fields() == (("kind", "WORKDIR"), ("directory", "/w"), ("timestamps", "7"))
    assert ("owner", "1:2") in replace(step, owner=(1, 2)).cache_fields()


@pytest.mark.parametrize(("mtime", "times"), [(0, {}), (7, {"timestamps": "7"})])
def test_a_run_s_key_names_the_time_that_its_files_get(mtime: int, times: dict[str, str]) -> None:
    fields = dict(Step(1, INSTRUCTION, run=Command("true"), mtime=mtime).cache_fields())

    assert fields == {"kind": "RUN", "command": "true", "network": "host", **times}


MOUNT = RunMount("cache", "/c", name="one")
MOUNTS = [
    replace(MOUNT, kind="bind"),
    replace(MOUNT, target="/d"),
    replace(MOUNT, source="x"),
    replace(MOUNT, name="two"),
    replace(MOUNT, read_only=True),
    replace(MOUNT, variable="V"),
]


@pytest.mark.parametrize("other", MOUNTS, ids=range(len(MOUNTS)))
def test_a_mount_s_key_says_what_a_command_is_shown(other: RunMount) -> None:
    fields = dict(StepMount(MOUNT).fields(1))

    assert fields == {"mount 1": "cache /c  one rw"}
    assert dict(StepMount(other).fields(1)) != fields
