"""Does what was built agree with what the model says? Generated projects in, model values out.

    assert try_project(project, project_backends(project)) == expected(model.build(project.request))

What the builder made is read back with Python's tarfile, not with the builder's own code.
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from dataclasses import replace
from typing import BinaryIO, NamedTuple, TypedDict, Unpack

from harness import model
from harness.cases.modelled import put_image
from harness.fakes import context as fakes
from harness.fakes.context import MemoryContext
from harness.images.backends import memory_backends
from harness.model.build import BASE_NAME
from harness.model.tree import WHITEOUT, Item
from harness.strategies.project import Project
from harness.strategies.saying import say
from harness.trees import Content, Fifo, File, Folder, HardLink, Link
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions, BuildResult, build_image
from kubeimage.builder.events import Observer
from kubeimage.errors import KubeimageError
from kubeimage.image.config import APPLICATION, Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.protocols.layers import LayerStore
from kubeimage.protocols.watching import ignore


class Seen(NamedTuple):
    """How a build went: the image, or the code of an error; and which steps came from the cache."""

    image: model.Image | None
    error: str | None = None
    cached: tuple[bool, ...] = ()


def expected(outcome: model.Outcome) -> Seen:
    """Return what the model says in the form that a build is compared in."""
    if outcome.image is None:
        return Seen(None, outcome.error)
    return Seen(outcome.image, None, tuple(step.cached for step in outcome.steps))


class How(TypedDict, total=False):
    """What a build is asked for beside its project. Shape: without ``with_base`` the base is in the store already."""

    use_cache: bool
    keep_base: bool
    names: tuple[str, ...]
    observe: Observer
    with_base: bool


def build_project(project: Project, backends: Backends, context: str = "", **how: Unpack[How]) -> BuildResult:
    """Put the base of a project into the store, and build it.

    Raises: KubeimageError.
    """
    if project.base is not None and how.get("with_base", True):
        put_image(project.base, backends, [Reference.parse(BASE_NAME)])
    options = BuildOptions(
        references=tuple(Reference.parse(name) for name in how.get("names", ())),
        build_args=project.build_args,
        platform=Platform.parse(project.platform),
        use_cache=how.get("use_cache", True),
        keep_base=how.get("keep_base", True),
    )
    return build_image(project.kubefile, context, backends, options=options, observe=how.get("observe", ignore))


def try_project(project: Project, backends: Backends, context: str = "", **how: Unpack[How]) -> Seen:
    """Build a project, and say how it went."""
    try:
        result = build_project(project, backends, context, **how)
    except KubeimageError as error:
        say("error", error.diagnostics[0].code)
        return Seen(None, error.diagnostics[0].code)
    say_hits(project, result)
    return Seen(read_image(result.image, backends.layers), None, tuple(step.cached for step in result.steps))


def say_hits(project: Project, result: BuildResult) -> None:
    """Say to Hypothesis's statistics how a build went."""
    say("dialect", project.kubefile.dialect)
    say("cache hits", sum(step.cached for step in result.steps))


def project_backends(project: Project, backends: Backends | None = None) -> Backends:
    """Return backends in memory, or ``backends``, that find the context of ``project`` in memory."""
    context = MemoryContext(memory_files(project.context))
    return replace(backends or memory_backends(), collector=lambda _path: context)


def memory_files(tree: Mapping[str, Content]) -> dict[str, bytes | str | fakes.Item]:
    """Return a tree as `harness.fakes.context` writes it."""
    return {path: _memory_item(content) for path, content in tree.items()}


def _memory_item(content: Content) -> bytes | str | fakes.Item:
    if isinstance(content, File):
        return fakes.File(content.data, content.mode, content.mtime or 0)
    if isinstance(content, Folder):
        return fakes.Directory(content.mode)
    if isinstance(content, Link):
        return fakes.Symlink(content.target)
    if isinstance(content, HardLink):
        return fakes.HardLink(content.path)
    if isinstance(content, Fifo):
        return fakes.Fifo(content.mode)
    return fakes.Directory() if content is None else content


def read_image(image: Image, layers: LayerStore) -> model.Image:
    """Read an image back into a value of the model.

    Raises: AssertionError for a layer that is not canonical.
    """
    read = []
    for layer in image.layers:
        with layers.open(layer.diff_id) as tar:
            read.append(read_layer(tar))
    return model.Image(
        str(image.platform),
        tuple(read),
        tuple((layer.kind, layer.value) for layer in image.layers),
        tuple((entry.created_by, not entry.empty_layer) for entry in image.history),
        tuple(image.cmd.parent),
        tuple(image.cmd.current),
        dict(image.args.parent),
        dict(image.args.current),
        dict(image.labels),
        image.image_type == APPLICATION,
    )


def read_layer(tar: BinaryIO) -> dict[str, Item]:
    """Read a layer's tar.

    Raises: AssertionError where it is not canonical.
    """
    layer: dict[str, Item] = {}
    with tarfile.open(fileobj=tar, mode="r:") as archive:
        members = archive.getmembers()
        for member in members:
            assert member.name not in layer, f"{member.name!r} stands in a layer twice"
            layer[member.name] = _item(archive, member)
    names = [member.name for member in members]
    assert names == sorted(names, key=_place), "the entries of a layer are not in canonical order"
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} <= {(0, 0, "", "", 0)}
    return layer


def _item(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Item:
    if member.isdir():
        return Folder(member.mode)
    if member.issym():
        return Link(member.linkname)
    if member.islnk():
        return HardLink(member.linkname)
    if member.isfifo():
        return Fifo(member.mode)
    content = archive.extractfile(member)
    assert content is not None, f"{member.name!r} is of a kind that no layer has"
    return File(content.read(), member.mode)


def _place(name: str) -> list[tuple[bool, bytes]]:
    return [(not part.startswith(WHITEOUT), part.encode()) for part in name.split("/")]
