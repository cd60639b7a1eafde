"""Does what was built in a dialect after Docker's rules agree with what its model says?

    assert try_docker_project(project, docker_backends(project)) == expected_of_docker(project)

What the builder made is read back with Python's tarfile and json, not with the builder's own code.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from typing import Any, NamedTuple, Unpack

from harness.fakes.noting import NotingRunner
from harness.images.backends import memory_backends
from harness.model import docker
from harness.model.build import BASE_NAME
from harness.model.docker.owned import Owned, laid_over
from harness.model.tree import OPAQUE, WHITEOUT, join, name_of, parent
from harness.stateful.agreement import How, build_project, project_backends, say_hits
from harness.strategies.project import Project
from harness.trees import Fifo, File, Folder, Link
from kubeimage.api.backends import Backends
from kubeimage.errors import KubeimageError
from kubeimage.image.config import APPLICATION, Image
from kubeimage.protocols.layers import LayerStore

_EXTENSION = "sealer.image.extension"


class SeenOfDocker(NamedTuple):
    """How a build went: all that an image is compared by, or the code of an error; and which steps were cached."""

    image: dict[str, Any] | None
    error: str | None = None
    cached: tuple[bool, ...] = ()


def expected_of_docker(project: Project) -> SeenOfDocker:
    """Return what the model says; of several stages it does not say which one fails first."""
    outcome = docker.build(project.docker_request)
    if outcome.image is None:
        return SeenOfDocker(None, outcome.error)
    return SeenOfDocker(outcome.image.to_json())


def docker_backends(project: Project, backends: Backends | None = None) -> Backends:
    """Return backends in memory, or ``backends``, that find the context of ``project`` and note its RUNs."""
    return project_backends(project, backends or replace(memory_backends(), runner=NotingRunner()))


def try_docker_project(project: Project, backends: Backends, context: str = "", **how: Unpack[How]) -> SeenOfDocker:
    """Build what a project stands on, and the project, and say how it went."""
    try:
        if project.below is not None and how.get("with_base", True):
            build_project(project.below, docker_backends(project.below, backends), names=(BASE_NAME,))
        result = build_project(project, backends, context, **how)
    except KubeimageError as error:
        return SeenOfDocker(None, error.diagnostics[0].code)
    say_hits(project, result)
    return SeenOfDocker(
        read_docker_image(result.image, backends.layers), None, tuple(one.cached for one in result.steps)
    )


def agrees(project: Project, backends: Backends, context: str = "") -> bool:
    """Build a project, and return whether it went as the model says.

    Stages are built side by side: of two that fail, either is told.
    """
    wanted = expected_of_docker(project)
    seen = try_docker_project(project, backends, context)
    if wanted.image is None and len(project.kubefile.stages) > 1:
        return seen.image is None
    return seen[:2] == wanted[:2]


def read_docker_image(image: Image, layers: LayerStore) -> dict[str, Any]:
    """Return all that an image is compared by.

    Raises: AssertionError for a layer that says nothing new.
    """
    tree: dict[str, Owned] = {}
    for layer in image.layers:
        before = tree
        with layers.open(layer.diff_id) as stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            tree = _with_layer(tree, tar)
        assert tree != before, f"the layer of {layer.kind} {layer.value} changes nothing"
    written = json.loads(image.config)
    config = written.get("config", {})
    of_image = written["spec"]["image_config"]
    extension = json.loads(image.manifest_annotations[_EXTENSION])
    del extension["buildClient"]
    assert of_image["labels"] == config.get("Labels", {})
    assert (of_image.get("image_type") == APPLICATION) == (extension["type"] == "app-installer")
    return {
        "platform": str(image.platform),
        "tree": tree,
        "history": [(one["created_by"], not one.get("empty_layer", False)) for one in written["history"]],
        "config": config,
        "author": written.get("author", ""),
        "commands": [*of_image["cmd"]["parent"], *of_image["cmd"]["current"]],
        "arguments": {**of_image["args"]["parent"], **of_image["args"]["current"]},
        "extension": extension,
    }


def _with_layer(tree: dict[str, Owned], tar: tarfile.TarFile) -> dict[str, Owned]:
    added: dict[str, Owned] = {}
    result = dict(tree)
    for member in tar.getmembers():
        name = name_of(member.name)
        assert name != OPAQUE, "nothing that is built replaces a folder"
        if name.startswith(WHITEOUT):
            gone = join(parent(member.name), name.removeprefix(WHITEOUT))
            result = {path: one for path, one in result.items() if path != gone and not path.startswith(f"{gone}/")}
            continue
        added[member.name] = Owned(_node(tar, member), (member.uid, member.gid))
    return laid_over(result, added)


def _node(tar: tarfile.TarFile, member: tarfile.TarInfo) -> File | Folder | Link | Fifo:
    if member.isdir():
        return Folder(member.mode)
    if member.issym():
        return Link(member.linkname)
    if member.isfifo():
        return Fifo(member.mode)
    content = tar.extractfile(member)
    assert content is not None
    mode = tar.getmember(member.linkname).mode if member.islnk() else member.mode
    return File(content.read(), mode)
