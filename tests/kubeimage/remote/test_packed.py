"""What one machine packed, no other fetches from the images' registries again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage import BuildResult, SharedCache
from tests.containers import small_image
from tests.kubeimage.packing.conftest import publish
from tests.kubeimage.remote import lies
from tests.kubeimage.remote.conftest import Machine

Machines = Callable[[str], Machine]
Keys = Callable[[str], tuple[str, str]]

KUBEFILE = "FROM scratch\nCOPY imageList manifests/imageList\n"
CACHE, OTHER = "team/cache", "liars/cache"
NAMES = ("app/web", "app/api")


@pytest.fixture
def files(fake_registry: FakeRegistry) -> dict[str, str]:
    """Return an application that names two images, which are there."""
    for name in NAMES:
        publish(fake_registry, f"{name}:v1", small_image(name * 100))
    return {"imageList": "".join(f"{fake_registry.host}/{name}:v1\n" for name in NAMES)}


def build(machine: Machine, files: dict[str, str], *shared: SharedCache) -> BuildResult:
    return machine.build(KUBEFILE, files, *shared, pull_images="missing")


def layers_fetched(registry: FakeRegistry) -> list[str]:
    """Return the requests for blobs of the images that are not their configs; each has one."""
    calls = [one for one in registry.calls() if one.startswith("GET") and "/app/" in one and "/blobs/" in one]
    return calls[len(NAMES) :]


def test_what_was_packed_comes_from_the_cache(
    machine: Machines, fake_registry: FakeRegistry, files: dict[str, str], keys: Keys
) -> None:
    place = (f"{fake_registry.host}/{CACHE}",)
    private, public = keys("ci")
    first = build(machine("one"), files, SharedCache(targets=place, key=private))
    fake_registry.forget()

    second = build(machine("two"), files, SharedCache(place, trusted=(public,)))

    assert second.image.id == first.image.id
    assert layers_fetched(fake_registry) == []
    assert machine("two").said == []


def test_without_keys_blobs_count_by_their_digests(
    machine: Machines, fake_registry: FakeRegistry, files: dict[str, str]
) -> None:
    place = (f"{fake_registry.host}/{CACHE}",)
    first = build(machine("one"), files, SharedCache(targets=place))
    fake_registry.forget()

    second = build(machine("two"), files, SharedCache(place))

    assert second.image.id == first.image.id
    assert layers_fetched(fake_registry) == []


def test_a_push_moves_nothing_that_was_packed(
    machine: Machines, fake_registry: FakeRegistry, files: dict[str, str], keys: Keys
) -> None:
    """Every step and every packed layer is known: what is pushed is mounted by the registry."""
    place = (f"{fake_registry.host}/{CACHE}",)
    private, public = keys("ci")
    first = build(machine("one"), files, SharedCache(targets=place, key=private))
    fake_registry.forget()

    shared = SharedCache(place, trusted=(public,))
    name = f"{fake_registry.host}/team/app:v1"
    pushed = machine("two").push(KUBEFILE, files, shared, name, pull_images="missing")

    assert pushed.image.id == first.image.id
    assert layers_fetched(fake_registry) == []


@pytest.mark.parametrize("are_here", [False, True], ids=["clean", "the liar's layers are here"])
def test_a_lie_about_what_was_packed_changes_nothing(
    machine: Machines, fake_registry: FakeRegistry, files: dict[str, str], are_here: bool
) -> None:
    """Records say that other images' layers are these images': no build here is wrong, now or later."""
    honest, liars = (f"{fake_registry.host}/{CACHE}",), (f"{fake_registry.host}/{OTHER}",)
    first = build(machine("one"), files, SharedCache(targets=honest))
    for name in NAMES:
        publish(fake_registry, f"{name}:v2", small_image("evil" + name * 100))
    evil = {"imageList": files["imageList"].replace(":v1", ":v2")}
    build(machine("liar"), evil, SharedCache(targets=liars))
    if are_here:
        build(machine("two"), evil)
    lies.take_over(fake_registry, OTHER, CACHE)

    built = build(machine("two"), files, SharedCache(honest))
    again = build(machine("two"), files)

    assert built.image.id == again.image.id == first.image.id


def test_a_packed_layer_that_is_lost_is_packed_here(
    machine: Machines, fake_registry: FakeRegistry, files: dict[str, str], tmp_path: Path
) -> None:
    place = (f"oci:{tmp_path}/cache",)
    first = build(machine("one"), files, SharedCache(targets=place))
    for blob in (tmp_path / "cache" / "blobs" / "sha256").iterdir():
        if blob.stat().st_size > 100 and blob.read_bytes()[:2] == b"\x1f\x8b":
            blob.unlink()

    second = build(machine("two"), files, SharedCache(place))

    assert second.image.id == first.image.id
    assert any("it has lost the layer" in text for text in machine("two").said)
