"""docker-archives, which hold no manifest: one is made of what they list.

Source: moby, image/spec/spec.md, v1.2, "Combined Image JSON + Filesystem Changeset Format".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import cached_property
from typing import Any, BinaryIO

from kubeimage.errors import ArchiveError, BlobNotFoundError, ImageNotFoundError, KubeimageError, UsageError
from kubeimage.image import canonical
from kubeimage.image.config import read_diff_ids
from kubeimage.image.digest import Digest
from kubeimage.image.fields import expect, objects, optional, required, texts
from kubeimage.image.media_types import CONFIG, LAYER, layer_type
from kubeimage.image.oci import Descriptor, Manifest
from kubeimage.image.reference import Naming
from kubeimage.image.referrers import ReferrerChoice
from kubeimage.image.referring import FoundReferrer, Referrers
from kubeimage.layer.compression import HEAD, detect
from kubeimage.sources.files import Files, read_small
from kubeimage.sources.layouts import DOCKER_SAVE, LAYOUT

_DOCKER = Naming("docker.io", "library")
_PIECE = 1 << 20


class DockerArchiveSource:
    """One image of a docker-archive.

    Shape: ``name`` is what it is called there, ``@N`` for the one behind N others, empty for the only one.
    """

    fetched = 0

    def __init__(self, files: Files, name: str, *, shown: str) -> None:
        self.where = shown
        self._files = files
        self._name = name
        self._members: dict[Digest, str] = {}

    def read_top(self) -> bytes:
        """Return a manifest of OCI's, made for the image.

        Raises: ImageNotFoundError with near names; UsageError where no name was given, and there are several;
            ArchiveError for what is no docker-archive.
        """
        return self._manifest

    def read_document(self, descriptor: Descriptor) -> bytes:
        """Return the config."""
        return read_small(self._files, self._member(descriptor))

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a layer or the config."""
        return self._files.open(self._member(descriptor))

    def referrers(self) -> Sequence[Referrers]:
        """Return nothing: the form has no place for it."""
        return ()

    def find_referrers(self, subjects: Sequence[Digest], choice: ReferrerChoice) -> list[FoundReferrer]:  # noqa: ARG002
        """Return nothing: such an archive has no room for it."""
        return []

    def close(self) -> None:
        """Close the archive."""
        self._files.close()

    @cached_property
    def _manifest(self) -> bytes:
        config_name, layer_names = self._choose()
        config = read_small(self._files, config_name)
        about = Descriptor.of(CONFIG, config)
        self._members[about.digest] = config_name
        try:
            diff_ids = read_diff_ids(canonical.decode(config)) or []
        except (ValueError, KubeimageError) as error:
            raise ArchiveError(f"{self.where}: {config_name!r} is no image config: {error}") from error
        if len(diff_ids) != len(layer_names):
            raise ArchiveError(
                f"{self.where}: the config {config_name!r} does not name the {len(layer_names)} layers of {DOCKER_SAVE}"
            )
        layers = [self._describe(name, diff_id) for name, diff_id in zip(layer_names, diff_ids, strict=True)]
        return Manifest(about, tuple(layers)).to_bytes()

    def _describe(self, name: str, diff_id: Digest) -> Descriptor:
        """Describe a layer: docker writes tars, others may compress them."""
        with self._files.open(name) as stream:
            size = stream.seek(0, 2)
            stream.seek(0)
            kind = detect(stream.read(HEAD))
            digest = diff_id
            if kind != "none":
                stream.seek(0)
                found = hashlib.sha256()
                while piece := stream.read(_PIECE):
                    found.update(piece)
                digest = Digest(found.hexdigest())
        self._members[digest] = name
        return Descriptor(LAYER if kind == "none" else layer_type(kind), digest, size)

    def _member(self, descriptor: Descriptor) -> str:
        if descriptor.digest not in self._members:
            raise BlobNotFoundError(f"{self.where} holds no blob {descriptor.digest}")
        return self._members[descriptor.digest]

    def _choose(self) -> tuple[str, list[str]]:
        images = self._listed()
        if not self._name:
            if len(images) > 1:
                raise UsageError(
                    f"there are {len(images)} images in {self._files.where}", hint=f"name one: {_names(images)}"
                )
            return images[0][:2]
        if self._name.startswith("@") and self._name[1:].isdecimal() and int(self._name[1:]) < len(images):
            return images[int(self._name[1:])][:2]
        wanted = _meanings(self._name)
        for config, layers, names in images:
            if any(wanted & _meanings(one) for one in names):
                return config, layers
        known = [name for _, _, names in images for name in names]
        near = get_close_matches(self._name, known, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there is {_names(images)}"
        raise ImageNotFoundError(f"no image {self._name!r} in {self._files.where}", hint=hint)

    def _listed(self) -> list[tuple[str, list[str], list[str]]]:
        """Return config, layers and names of each image that the archive lists."""
        where = self._files.where
        if DOCKER_SAVE not in self._files:
            hint = f"this looks like an OCI image layout: oci-archive:{where}" if LAYOUT in self._files else None
            raise ArchiveError(f"{where} is no docker-archive: it lacks {DOCKER_SAVE!r}", hint=hint)
        try:
            value = canonical.loads(read_small(self._files, DOCKER_SAVE))
            listed = [_image_in(one) for one in objects(expect(value, list, "it"), "the list")]
        except ValueError as error:
            raise ArchiveError(f"{where}: {DOCKER_SAVE} cannot be understood: {error}") from error
        if not listed:
            raise ImageNotFoundError(f"there is no image in {where}")
        return listed


def _image_in(one: dict[str, Any]) -> tuple[str, list[str], list[str]]:
    layers = texts(required(one, "Layers", list), "Layers")
    return required(one, "Config", str), layers, texts(optional(one, "RepoTags", list), "RepoTags")


def _names(images: list[tuple[str, list[str], list[str]]]) -> str:
    return ", ".join(names[0] if names else f"@{number}" for number, (_, _, names) in enumerate(images[:5]))


def _meanings(name: str) -> set[str]:
    """Return what a name may mean, to docker and to us, whose defaults differ."""
    found = {name}
    for naming in (_DOCKER, Naming()):
        with suppress(KubeimageError):
            found.add(str(naming.parse(name)))
    return found
