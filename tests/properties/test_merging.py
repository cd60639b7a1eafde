"""Any number of images on top of each other, set against a fold that goes through them one by one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.context import MemoryContext
from harness.images.backends import memory_backends
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions
from kubeimage.api.merging import merge_images as merge_named
from kubeimage.api.platforms import build_platforms
from kubeimage.errors import LayerLimitError, PlatformMismatchError
from kubeimage.image.config import APPLICATION, CLUSTERFILE_ANNOTATION, Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import MAX_LAYERS, Arguments, Commands, History, Layer
from kubeimage.image.extension import Application, Extension, PackedImage, extension_annotations, read_images
from kubeimage.image.merging import merge_images
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.runtime import RuntimeConfig
from kubeimage.kubefile import parse
from tests.properties.examples import examples

AMD64 = Platform("linux", "amd64")
LAYERS = [Layer(Digest.of(bytes([number])), 512, "COPY", f"{number} .") for number in range(6)]
keys, values = st.sampled_from("ABC"), st.sampled_from(["1", "2", "3", ""])
pairs = st.dictionaries(keys, values, max_size=3)
commands = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(tuple)
names = st.lists(st.sampled_from(["80/tcp", "81/udp", "/v"]), max_size=2, unique=True).map(tuple)
texts = st.sampled_from(["", "x", "y", "z"])


@st.composite
def images(draw: st.DrawFn) -> Image:
    """An image with something in every field that merging touches."""
    layers = tuple(draw(st.lists(st.sampled_from(LAYERS), max_size=3)))
    clusterfile = draw(st.sampled_from([None, "one", "two", "three"]))
    runtime = RuntimeConfig(
        env=tuple(draw(pairs).items()),
        user=draw(texts),
        working_dir=draw(texts),
        exposed_ports=tuple(sorted(draw(names))),
        volumes=tuple(sorted(draw(names))),
        stop_signal=draw(texts),
        shell=draw(commands),
    )
    installed = draw(st.dictionaries(keys, values, max_size=3))
    extension = Extension(applications=tuple(Application(name, version=of) for name, of in installed.items()))
    packed = [PackedImage(name, AMD64) for name in draw(st.lists(keys, max_size=2, unique=True))]
    return Image(
        AMD64,
        layers,
        tuple(History(f"{layer.kind} {layer.value}") for layer in layers),
        cmd=Commands(draw(commands), draw(commands)),
        args=Arguments(draw(pairs), draw(pairs)),
        labels=draw(pairs),
        annotations=draw(pairs) | ({CLUSTERFILE_ANNOTATION: clusterfile} if clusterfile else {}),
        image_type=draw(st.sampled_from(["", APPLICATION])),
        runtime=runtime,
        author=draw(texts),
        manifest_annotations=extension_annotations(extension, packed),
    )


def last(found: Sequence[Any]) -> Any:
    """The last one that says something, or what nothing looks like."""
    return next((one for one in reversed(found) if one), found[0])


def folded(found: Sequence[Image]) -> dict[str, Any]:
    """What must come out, in the words of the table in `kubeimage.image.merging`."""
    layers: list[Layer] = []
    labels: dict[str, str] = {}
    arguments: dict[str, str] = {}
    env: dict[str, str] = {}
    annotations: dict[str, str] = {}
    run: list[str] = []
    applications: dict[str, Application] = {}
    packed: set[PackedImage] = set()
    clusterfile = None
    for image in found:
        for layer in image.layers:
            layers = [*(one for one in layers if one.diff_id != layer.diff_id), layer]
        labels |= image.labels
        arguments |= image.args.parent
        arguments |= image.args.current
        env |= dict(image.runtime.env)
        annotations |= image.annotations
        applications |= applications_of(image)
        packed |= {*read_images(image.manifest_annotations)}
        seen = set(run)
        run += [command for command in image.cmd.merged if command not in seen]
        if image.image_type != APPLICATION and CLUSTERFILE_ANNOTATION in image.annotations:
            clusterfile = image.annotations[CLUSTERFILE_ANNOTATION]
    if clusterfile is not None:
        annotations[CLUSTERFILE_ANNOTATION] = clusterfile
    return {
        "layers": layers, "labels": labels, "arguments": arguments, "env": env, "annotations": annotations, "run": run,
        "applications": applications, "packed": packed,
        "author": last([image.author for image in found]),
        "user": last([image.runtime.user for image in found]),
        "working_dir": last([image.runtime.working_dir for image in found]),
        "stop_signal": last([image.runtime.stop_signal for image in found]),
        "shell": last([image.runtime.shell for image in found]),
        "ports": {port for image in found for port in image.runtime.exposed_ports},
        "volumes": {path for image in found for path in image.runtime.volumes},
        "type": APPLICATION if {image.image_type for image in found} == {APPLICATION} else "",
    }  # fmt: skip


def applications_of(image: Image) -> dict[str, Application]:
    return {one.name: one for one in Extension.from_annotations(image.manifest_annotations).applications}


def seen(image: Image) -> dict[str, Any]:
    return {
        "layers": [*image.layers], "labels": dict(image.labels), "arguments": dict(image.args.merged),
        "env": dict(image.runtime.env), "annotations": dict(image.annotations), "run": [*image.cmd.merged],
        "applications": applications_of(image), "packed": {*read_images(image.manifest_annotations)},
        "author": image.author, "user": image.runtime.user, "working_dir": image.runtime.working_dir,
        "stop_signal": image.runtime.stop_signal, "shell": image.runtime.shell,
        "ports": {*image.runtime.exposed_ports}, "volumes": {*image.runtime.volumes}, "type": image.image_type,
    }  # fmt: skip


@examples(2)
@given(st.lists(images(), min_size=2, max_size=4))
def test_a_merge_is_a_fold(found: list[Image]) -> None:
    merged = merge_images(found, [f"i{number}" for number in range(len(found))])

    assert seen(merged) == folded(found)
    assert [entry.created_by for entry in merged.history] == [f"COPY {layer.value}" for layer in merged.layers]


@examples(0.5)
@given(st.integers(0, 4), st.integers(2, 4))
def test_the_limit_counts_what_is_common_once(over: int, number: int) -> None:
    shared = [Layer(Digest.of(b"%d" % one), 512, "COPY", str(one)) for one in range(100)]
    own = [Layer(Digest.of(b"own %d" % one), 512, "COPY", str(one)) for one in range(MAX_LAYERS - 100 + over)]
    stacks = [shared] * (number - 1) + [[*shared, *own]]
    found = [Image(AMD64, tuple(stack)) for stack in stacks]
    called = [f"i{one}" for one in range(number)]

    if over:
        with pytest.raises(
            LayerLimitError, match=f"would have {MAX_LAYERS + over}: 100 of i0.*less {100 * (number - 1)}"
        ):
            merge_images(found, called)
    else:
        assert len(merge_images(found, called).layers) == MAX_LAYERS


PLATFORMS = [Platform("linux", arch) for arch in ("amd64", "arm64", "s390x", "riscv64")]
chosen = st.lists(st.sampled_from(PLATFORMS), min_size=1, max_size=4, unique=True)


def put(backends: Backends, name: str, platforms: Sequence[Platform]) -> None:
    context = MemoryContext({"a": name})
    for_it = replace(backends, collector=lambda _path: context)
    options = BuildOptions(references=(Reference.parse(name),))
    build_platforms(parse("FROM scratch\nCOPY a .\n"), ".", for_it, platforms=platforms, options=options)


@examples(0.3)
@given(st.lists(chosen, min_size=2, max_size=4), st.sampled_from([None, 0, 1_600_000_000]))
def test_what_is_for_all_platforms_of_all_images_is_merged(each: list[list[Platform]], epoch: int | None) -> None:
    backends = memory_backends()
    called = [f"i{number}:1" for number in range(len(each))]
    for name, platforms in zip(called, each, strict=True):
        put(backends, name, platforms)
    common = [one for one in each[0] if all(one in other for other in each)]

    if not common:
        with pytest.raises(PlatformMismatchError):
            merge_named(called, [Reference.parse("all:1")], backends, epoch=epoch)
        return
    merged = merge_named(called, [Reference.parse(f"all:{tag}") for tag in (1, 2, 3)], backends, epoch=epoch)

    assert {image.platform for image in merged.images} == {*common}
    assert len(merged.images) == len(common)
    assert all(len(image.layers) == len(each) for image in merged.images)
    assert {image.created is None for image in merged.images} == {epoch is None}
    listed = {(str(record.reference.tag), record.platform) for record in backends.images.records()
              if record.reference is not None and record.reference.familiar().startswith("all:")}  # fmt: skip
    assert listed == {(tag, one) for tag in "123" for one in common}
