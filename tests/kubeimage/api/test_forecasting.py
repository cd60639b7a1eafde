"""What packing would fetch is foreseen: how much, from where, and what is there already."""

import os
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage.api.backends import open_backends
from kubeimage.api.forecasting import ImageForecast, bytes_to_come, forecast_images
from kubeimage.builder.plan import BuildOptions
from kubeimage.discovery.references import parse_image
from kubeimage.discovery.search import PullImages
from kubeimage.lock.lockfile import Lock, LockedImage
from kubeimage.packing.forecast import NO_NETWORK, NOT_ASKED
from kubeimage.registry.events import BlobFinished
from kubeimage.settings import HostSettings, Settings
from tests.containers import small_image
from tests.kubeimage.packing.conftest import AMD64, Workshop, listing, publish


def forecast(
    workshop: Workshop, *names: str, ask: bool, policy: PullImages = "missing", lock: Lock | None = None
) -> list[ImageForecast]:
    options = BuildOptions(platform=AMD64, pull_images=policy, lock=lock)
    images = [*map(parse_image, names)]
    settings = Settings(hosts={image.domain: HostSettings(plain_http=True) for image in images})
    with open_backends(str(workshop.root), settings, access="look") as backends:
        return [*forecast_images(images, backends, options=options, ask=ask)]


def files_of(root: Path) -> list[str]:
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


def test_what_is_foreseen_is_what_comes(registry: FakeRegistry, workshop: Workshop) -> None:
    for name in ("a:v1", "b:v1", "c:v1"):
        publish(registry, name, small_image(name, shared=["base"] if name != "c:v1" else []))
    names = [f"{registry.host}/{one}" for one in ("a:v1", "b:v1", "c:v1")]
    workshop.build(listing(names[0]))
    workshop.events.clear()

    found = forecast(workshop, *names, ask=True)
    workshop.build(listing(*names))

    assert [(one.registry, len(one.blobs), len(one.missing)) for one in found] == [
        (registry.host, 4, 0),
        (registry.host, 4, 3),
        (registry.host, 3, 3),
    ]
    # A build tells of blobs; of manifests it does not.
    manifests = {one.blobs[0].digest for one in found}
    come = {event.digest: event.size for event in workshop.told(BlobFinished) if event.moved}
    foreseen = {blob.digest: blob.size for one in found for blob in one.missing if blob.digest not in manifests}
    assert come == foreseen
    sizes = {blob.digest: blob.size for one in found for blob in one.missing}
    assert bytes_to_come(found) == sum(sizes.values())


def test_nothing_is_changed_and_nobody_is_asked_unless_somebody_wants_that(
    registry: FakeRegistry, workshop: Workshop
) -> None:
    for name in ("known:v1", "new:v1"):
        publish(registry, name, small_image(name))
    names = [f"{registry.host}/{one}" for one in ("known:v1", "new:v1")]
    workshop.build(listing(names[0]))
    registry.forget()
    before = files_of(workshop.root)

    known, new = forecast(workshop, *names, ask=False)
    assert registry.calls() == []
    asked = forecast(workshop, *names, ask=True)

    assert (known.coming, known.unknown) == (0, "")
    assert (new.unknown, new.blobs) == (NOT_ASKED, ())
    assert (asked[1].unknown, len(asked[1].missing)) == ("", 3)
    assert {call.partition(" ")[0] for call in registry.calls()} == {"GET"}
    assert all("/manifests/" in call for call in registry.calls())
    assert files_of(workshop.root) == before


def test_without_a_network_it_says_so_of_each_image(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "there:v1", small_image("there"))
    names = [f"{registry.host}/there:v1", f"{registry.host}/gone:v1", "127.0.0.1:1/nobody/app:v1"]

    there, gone, nobody = forecast(workshop, *names, ask=True)

    assert there.unknown == ""
    assert gone.unknown == "its registry does not have it"
    assert nobody.unknown.startswith(f"{NO_NETWORK}: ")


@pytest.mark.parametrize(("policy", "moved"), [("missing", False), ("always", True)])
def test_a_tag_that_has_moved_is_seen_where_a_build_would_see_it(
    policy: PullImages, moved: bool, registry: FakeRegistry, workshop: Workshop
) -> None:
    publish(registry, "app:v1", small_image("old"))
    workshop.build(listing(f"{registry.host}/app:v1"))
    publish(registry, "app:v1", small_image("new"))

    (found,) = forecast(workshop, f"{registry.host}/app:v1", ask=True, policy=policy)

    assert bool(found.missing) is moved


def test_by_a_lock_the_locked_image_is_foreseen(registry: FakeRegistry, workshop: Workshop) -> None:
    old = publish(registry, "app:v1", small_image("old"))
    publish(registry, "app:v1", small_image("new"))
    name = parse_image(f"{registry.host}/app:v1")

    (found,) = forecast(workshop, str(name), ask=True, lock=Lock((AMD64,), images=(LockedImage(name, old),)))

    assert found.digest == old


def test_an_index_without_the_platform_is_said_to_be_none(registry: FakeRegistry, workshop: Workshop) -> None:
    publish(registry, "app:v1", {"arm64": small_image("a", architecture="arm64"), "s390x": small_image("s")})

    (found,) = forecast(workshop, f"{registry.host}/app:v1", ask=True)

    assert found.unknown == "it is not there for linux/amd64"
