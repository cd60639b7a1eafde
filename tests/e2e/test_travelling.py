"""Versions of an application with packed images, one changed each time: what is stored, sent and pushed of each."""

import os
import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import settings

from harness.fakes.registry import FakeRegistry
from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.building import build_image
from kubeimage.api.distribution import push_image
from kubeimage.api.inventories import find_inventory
from kubeimage.api.loading import load_images
from kubeimage.api.upkeep import prune_store
from kubeimage.builder.plan import BuildOptions
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import parse
from kubeimage.settings import HostSettings, Settings
from tests.kubeimage.packing.conftest import listing, publish
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of
from tests.oneshot import save_image

KUBEFILE = parse(b"FROM scratch\nCOPY manifests .\n", file="Kubefile")
AMD64 = Platform("linux", "amd64")
NIGHTLY = settings.default is not None and settings.default.max_examples >= 1_000
VERSIONS, IMAGES, BYTES = (50, 20, 1_000_000) if NIGHTLY else (5, 4, 1_000_000)


def container(number: int, version: int) -> Foreign:
    """Make an image with a layer of its own, above one that all share."""
    own = random.Random(1000 * number + version).randbytes(BYTES)
    return make_foreign(tar_of({"base": random.Random(0).randbytes(BYTES)}), tar_of({"own": own}))


class World(NamedTuple):
    """A registry, a store, and folders. Shape: ``sizes`` are the bytes of each blob of all containers."""

    registry: FakeRegistry
    folder: Path
    sizes: dict[Digest, int]

    def opened(self) -> AbstractContextManager[Backends]:
        hosts = Settings(hosts={self.registry.host: HostSettings(plain_http=True)})
        return open_backends(str(self.folder / "store"), hosts, mount="copy", isolation="none")

    def name(self, version: int) -> Reference:
        return Reference(self.registry.host, "team/app", f"v{version}")

    def publish(self, number: int, version: int) -> Foreign:
        """Move the tag of a container to another version."""
        image = container(number, version)
        publish(self.registry, f"box{number}:stable", image)
        self.sizes.update({digest: len(data) for digest, data in image.blobs.items()})
        self.sizes[Digest.of(image.manifest)] = len(image.manifest)
        return image

    def build(self, version: int) -> Image:
        context = self.folder / f"context{version}"
        for path, text in listing(*(f"{self.registry.host}/box{number}:stable" for number in range(IMAGES))).items():
            (context / path).parent.mkdir(parents=True, exist_ok=True)
            (context / path).write_text(text)
        options = BuildOptions(references=(self.name(version),), platform=AMD64, pull_images="always")
        with self.opened() as backends:
            return build_image(KUBEFILE, str(context), backends, options=options).image


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with FakeRegistry() as registry:
        yield World(registry, tmp_path, {})


def test_only_what_has_changed_is_stored_sent_and_pushed(world: World) -> None:
    root = str(world.folder / "store")
    for number in range(IMAGES):
        world.publish(number, 0)
    images = [world.build(0)]
    with world.opened() as backends:
        push_image(world.name(0), backends)

    for version in range(1, VERSIONS):
        changed = world.publish(version % IMAGES, version)
        images.append(world.build(version))
        before = world.registry.blobs("team/app")
        with world.opened() as backends:
            push_image(world.name(version), backends)
            since = find_inventory(str(world.name(version - 1)), backends)
        difference = world.folder / "difference.tar"
        save_image(str(world.name(version)), str(difference), root=root, since=since)

        # The changed image's layer, the record of what is packed, and the config.
        assert len(set(world.registry.blobs("team/app")) - set(before)) == 3
        own = changed.blobs[changed.layers[-1].digest]
        assert difference.stat().st_size <= 1.02 * len(own) + (64 << 10)

    with world.opened() as backends:
        prune_store(backends)
    stored = sum(one.stat().st_size for one in os.scandir(f"{root}/blobs/sha256"))
    described = sum(len(one.config) for one in images)
    assert stored <= 1.05 * (sum(world.sizes.values()) + described)


def test_seven_parts_of_a_difference_give_the_same_ids_elsewhere(world: World) -> None:
    root, elsewhere = str(world.folder / "store"), str(world.folder / "elsewhere")
    for number in range(IMAGES):
        world.publish(number, 0)
    world.build(0)
    save_image(str(world.name(0)), str(world.folder / "first.tar"), root=root)
    for number in range(3):
        world.publish(number, 1)
    image = world.build(1)
    with world.opened() as backends:
        since = find_inventory(str(world.folder / "first.tar"), backends)
    save_image(str(world.name(1)), str(world.folder / "difference.tar"), root=root, since=since)
    # Each part says what the whole has.
    size = (world.folder / "difference.tar").stat().st_size // 7 + 16_000
    saved = save_image(str(world.name(1)), str(world.folder / "parts"), root=root, since=since, split=size)

    with open_backends(elsewhere) as backends:
        loaded = load_images([*saved.files[::-1], str(world.folder / "first.tar")], backends)

    assert len(saved.files) == 7
    assert image.id in {image_id for one in loaded for _, _, image_id in one.arrival.images}
