"""Any one part of a whole application is removed, renamed or garbled: proof, checks and rehearsal all notice."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.checks.failed import CheckFailedError
from harness.checks.offline import check_offline_complete, check_offline_rehearsal
from harness.images.backends import memory_backends
from harness.trees import write_tree
from kubeimage.api.airgap import rehearse_image, verify_image
from kubeimage.api.building import build_image
from kubeimage.builder.plan import BuildOptions
from kubeimage.errors import PackingError
from kubeimage.kubefile import parse
from kubeimage.packing.record import RECORD
from tests.containers import small_image
from tests.kubeimage.rehearsal.conftest import AMD64, Files, Pack, keep_together, packed
from tests.kubeimage.store.foreign import make_index
from tests.properties.examples import examples

ONE, TWO = small_image("one", shared=["base"]), small_image("two", shared=["base"])
OTHER = small_image("two", architecture="arm64")
PACKS = (
    Pack("r.io/team/app:v1", ONE),
    Pack("quay.io/team/tool:v2", TWO, make_index([("arm64", OTHER), ("amd64", TWO)])),
    Pack("docker.io/library/nginx:1.25", small_image("three")),
)
POD = "kind: Pod\nspec:\n  containers:\n  - image: {}\n"
CLUSTER = "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nspec: {{imageName: {}}}\n"
NAMING = {
    "imageList": "# all\n{}\n",
    "manifests/imageList": "{}\n",
    "images/shim/list": "{}\n",
    "manifests/pod.yaml": POD,
    "manifests/pod.json": '{{"kind": "Pod", "spec": {{"containers": [{{"image": "{}"}}]}}}}',
    "manifests/cluster.YML": CLUSTER,
    "manifests/init.yaml": "kind: Job\nspec: {{template: {{spec: {{initContainers: [{{image: '{}'}}]}}}}}}\n",
}
"""Where names stand that are certain."""


class Found(NamedTuple):
    """What is said of an application, each None for nothing wrong."""

    proof: object
    check: object
    rehearsal: object
    rehearsal_check: object


@pytest.fixture(scope="module", autouse=True)
def in_one_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        keep_together(monkeypatch)
        yield


@cache
def whole() -> Files:
    """Return an application whose images many files name, and which are packed."""
    names = [one.name for one in PACKS]
    files = {path: text.format(names[at % len(names)]).encode() for at, (path, text) in enumerate(NAMING.items())}
    return {**packed(*PACKS), **files}


def judge(files: Files) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        write_tree(folder, dict(files))
        kubefile = parse(b"FROM scratch\nCOPY . .\n", file="Kubefile")
        backends = memory_backends()
        built = build_image(kubefile, folder, backends, options=BuildOptions(platform=AMD64))
    case: Any = SimpleNamespace(result=built, kubefile=kubefile, open=lambda: nullcontext(backends))
    return Found(
        wrong(lambda: verify_image(built.image, backends).is_whole),
        wrong(lambda: check_offline_complete(case)),
        wrong(lambda: rehearse_image(built.image, backends).is_complete),
        wrong(lambda: check_offline_rehearsal(case)),
    )


def wrong(judgement: Callable[[], object]) -> object:
    try:
        return "not whole" if judgement() is False else None
    except (CheckFailedError, PackingError) as error:
        return error


def test_the_application_is_whole() -> None:
    assert judge(whole()) == (None, None, None, None)


REGISTRY = sorted(path for path in whole() if path.startswith("registry/docker") and "/tags/" not in path)
REGISTRY += sorted(path for path in whole() if path.endswith("/current/link"))


@examples(0.2)
@given(st.sampled_from(REGISTRY), st.sampled_from(["gone", "flipped", "cut", "longer", "another"]), st.data())
def test_a_blob_link_or_tag_that_is_gone_or_garbled(path: str, how: str, data: st.DataObject) -> None:
    files = dict(whole())
    before = files.pop(path)
    at = data.draw(st.integers(0, len(before) - 1))
    another = data.draw(st.sampled_from([one for one in REGISTRY if whole()[one] != before]))
    changed = {
        "flipped": before[:at] + bytes([before[at] ^ 1]) + before[at + 1 :],
        "cut": before[:at],
        "longer": before + b"x",
        "another": whole()[another],
    }
    if how != "gone":
        files[path] = changed[how]

    assert all(judge(files)), path


@examples(0.1)
@given(st.sampled_from(REGISTRY), st.sampled_from(["x", "0"]))
def test_a_file_of_the_registry_that_is_renamed(path: str, by: str) -> None:
    files = dict(whole())
    folder, _, name = path.rpartition("/")
    files[f"{folder}{by}/{name}"] = files.pop(path)

    assert all(judge(files)), path


RENAMED: dict[str, Callable[[str], str]] = {
    "another host": lambda name: f"x{name}",
    "another repository": lambda name: name.replace(":", "x:"),
    "another tag": lambda name: f"{name}x",
    "another digest": lambda name: f"{name}@sha256:{'0' * 64}",
    "no tag": lambda name: name.rpartition(":")[0],
}


@examples(0.1)
@given(st.sampled_from(sorted(NAMING)), st.sampled_from(sorted(RENAMED)))
def test_a_name_that_is_another(path: str, how: str) -> None:
    files = dict(whole())
    name = next(one.name for one in PACKS if one.name.encode() in files[path])
    files[path] = files[path].replace(name.encode(), RENAMED[how](name).encode())

    assert all(judge(files)), path


@examples(0.1)
@given(st.sampled_from(sorted(NAMING)), st.sampled_from("A/:@é"), st.data())
def test_a_name_that_is_garbled(path: str, what: str, data: st.DataObject) -> None:
    files = dict(whole())
    name = next(one.name for one in PACKS if one.name.encode() in files[path])
    at = data.draw(st.integers(1, len(name) - 1))
    files[path] = files[path].replace(name.encode(), f"{name[:at]}{what}{name[at:]}".encode())

    assert all(judge(files)), files[path]


@examples(0.1)
@given(st.sampled_from(range(len(PACKS))), st.sampled_from(["name", "digest", "host"]), st.booleans())
def test_a_line_of_the_record_that_is_another(number: int, field: str, garbled: bool) -> None:
    files = dict(whole())
    record = json.loads(files[RECORD])
    line = record["images"][number]
    if field == "digest":
        line["digest"] = "sha256:" + "0" * (63 if garbled else 64)
    elif field == "host":
        line["name"] = "X" if garbled else f"x{line['name']}"
    else:
        line["name"] += "@" if garbled else "x"
    files[RECORD] = json.dumps(record).encode()

    assert all(judge(files)), line
