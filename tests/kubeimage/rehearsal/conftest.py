"""Whole applications as files, built in memory and rehearsed."""

import tempfile
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from harness.images.backends import memory_backends
from harness.trees import write_tree
from kubeimage.api.airgap import rehearse_image
from kubeimage.api.building import build_image
from kubeimage.builder.plan import BuildOptions
from kubeimage.discovery.references import parse_image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.kubefile import parse
from kubeimage.packing.layout import Contents
from kubeimage.packing.record import RECORD, Record
from kubeimage.protocols.watching import ignore
from kubeimage.rehearsal.outcome import Rehearsal, RehearsedImage
from tests.kubeimage.packing.cuts import files_of
from tests.kubeimage.store.foreign import Foreign

AMD64 = Platform("linux", "amd64")
Files = dict[str, bytes]


class Pack(NamedTuple):
    """An image to be packed. Shape: ``listing`` is an index: what its name leads to, None for its manifest."""

    name: str
    image: Foreign
    listing: bytes | None = None

    @property
    def top(self) -> bytes:
        """What the name leads to."""
        return self.listing if self.listing is not None else self.image.manifest


def packed(*packs: Pack, recorded: bool = True) -> Files:
    """Return the files of a packed registry, with the record of what was packed."""
    made: Files = {}
    for one in packs:
        manifests = {Digest.of(data): data for data in (one.top, one.image.manifest)}
        name = parse_image(one.name)
        described = tuple(Descriptor("", digest, len(data)) for digest, data in manifests.items())
        contents = Contents(name, Digest.of(one.top), described, one.image.config, one.image.layers)
        made |= files_of([contents], {**manifests, **one.image.blobs})
    if recorded:
        made[RECORD] = Record({parse_image(one.name): Digest.of(one.top) for one in packs}).to_bytes()
    return made


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the node be this process, as where no network can be made; that is faster."""
    keep_together(monkeypatch)


def keep_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing start."""
    monkeypatch.setattr("kubeimage.run.alone.sys.executable", "")


def rehearse(files: Mapping[str, bytes], observe: Callable[[RehearsedImage], object] = ignore) -> Rehearsal:
    """Build an application of these files in memory, and rehearse it."""
    with tempfile.TemporaryDirectory() as folder:
        write_tree(folder, dict(files))
        backends = memory_backends()
        kubefile = parse(b"FROM scratch\nCOPY . .\n", file="Kubefile")
        built = build_image(kubefile, folder, backends, options=BuildOptions(platform=AMD64))
        return rehearse_image(built.image, backends, observe=observe)
