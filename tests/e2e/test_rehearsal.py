"""Rehearsals by the program itself: two at once, on a store that cannot be written to, inside another namespace."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.containers import small_image
from tests.e2e.program import Program, tree
from tests.kubeimage.rehearsal.conftest import Pack, packed

NAMES = ("r.io/team/app:v1", "quay.io/tools/init:v2")
_READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
_NO_NETWORKS = 'echo 0 >/proc/sys/user/max_net_namespaces && exec "$@"'


@pytest.fixture
def packing(kubeimage: Program) -> Program:
    """Give the program with a store that has app:v1, whose container images are packed."""
    context = kubeimage.folder / "context"
    for path, data in packed(*(Pack(name, small_image(name, shared=["base"])) for name in NAMES)).items():
        (context / path).parent.mkdir(parents=True, exist_ok=True)
        (context / path).write_bytes(data)
    (context / "Kubefile").write_text("FROM scratch\nCOPY registry registry\n")
    kubeimage.run("build", "-q", "-t", "app:v1", "--platform=linux/amd64", context)
    return kubeimage


def needs(prefix: Sequence[str]) -> tuple[str, ...]:
    """Give a prefix that runs a program in namespaces, where there may be any."""
    if subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{' '.join(prefix[:3])} is not possible here")
    return tuple(prefix)


def kept(program: Program) -> dict[str, object]:
    """Give what the store holds; its cache may note that an image was used."""
    return {path: what for path, what in tree(program.root).items() if not path.startswith("cache")}


def statuses(program: Program, *options: str) -> list[str]:
    found = json.loads(program.run("rehearse", "--format=json", *options, "app:v1").stdout)
    return [one["status"] for one in found["images"]]


def test_two_at_once_do_not_meet_and_write_nothing(packing: Program) -> None:
    before = kept(packing)

    running = [packing.start("rehearse", "--format=json", "app:v1") for _ in range(2)]
    said = [json.loads(process.communicate()[0]) for process in running]

    assert [process.returncode for process in running] == [0, 0]
    assert [[one["status"] for one in found["images"]] for found in said] == [["pulled", "pulled"]] * 2
    assert kept(packing) == before


def test_a_store_that_cannot_be_written_to_is_rehearsed(packing: Program) -> None:
    namespaces = ("unshare", "--user", "--map-root-user", "--mount")
    prefix = needs((*namespaces, "sh", "-c", _READ_ONLY, str(packing.root)))

    assert statuses(replace(packing, prefix=prefix)) == ["pulled", "pulled"]


def test_within_another_network_a_rehearsal_has_its_own(packing: Program) -> None:
    prefix = needs(("unshare", "--user", "--map-root-user", "--net"))

    found = json.loads(replace(packing, prefix=prefix).run("rehearse", "--format=json", "app:v1").stdout)

    assert found["network"] == "none"


def test_where_no_network_may_be_made_it_is_said_in_our_words(packing: Program) -> None:
    prefix = needs(("unshare", "--user", "--map-root-user", "sh", "-c", _NO_NETWORKS, "sh"))

    ended = replace(packing, prefix=prefix).run("rehearse", "app:v1")

    assert "(no more networks may be made here): this process pulled by itself" in ended.stderr
