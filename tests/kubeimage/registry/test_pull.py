"""Whole images from a registry that may do anything, into a real store."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.registry import (
    Afterwards,
    Drop,
    Endless,
    FakeRegistry,
    Huge,
    Redirect,
    Slow,
    Status,
    Truncated,
    WrongBytes,
    WrongHeader,
    WrongLength,
)
from harness.fakes.registry.faults import Fault
from kubeimage.errors import PlatformMismatchError, RegistryContentError, RegistryError
from kubeimage.image.media_types import INDEX, MANIFEST, Compression, Format
from kubeimage.image.oci import Descriptor, Index
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.registry.events import TransferEvent
from kubeimage.registry.exchange import Retry
from kubeimage.registry.registries import Registries
from kubeimage.settings import HostSettings, MirrorSettings, Settings
from kubeimage.store import Store
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of
from tests.kubeimage.store.test_arrivals import NESTINGS

from .conftest import IMPATIENT, REPOSITORY, bytes_read

AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")
LOWER = tar_of({"etc/a": b"lower" * 1000})
UPPER = tar_of({"etc/b": b"upper" * 1000})
PULL = "GET */blobs/*"


def publish(registry: FakeRegistry, image: Foreign, tag: str | None = "v1") -> Foreign:
    """Put an image into the registry."""
    for data in image.blobs.values():
        registry.put_blob(REPOSITORY, data)
    registry.put_manifest(REPOSITORY, tag, image.manifest, image.media_type)
    return image


def publish_index(registry: FakeRegistry, images: dict[Platform, Foreign], tag: str = "v1") -> Index:
    """Put images into the registry, and an index of them."""
    for image in images.values():
        publish(registry, image, None)
    listed = [image.descriptor for image in images.values()]
    index = Index(tuple(_for(one, platform) for one, platform in zip(listed, images, strict=True)))
    registry.put_manifest(REPOSITORY, tag, index.to_bytes(), index.media_type)
    return index


def _for(descriptor: Descriptor, platform: Platform) -> Descriptor:
    from dataclasses import replace

    return replace(descriptor, platform=platform)


class Puller:
    """Pulls into a store of the test's own, as the command does, without waiting."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[TransferEvent] = []
        self.waits: list[float] = []

    def __call__(self, registry: FakeRegistry, *platforms: Platform, tag: str = "v1", **settings: Any) -> Any:
        hosts = {registry.host: HostSettings(plain_http=True), **settings.pop("hosts", {})}
        reference = Reference.parse(f"{registry.host}/{REPOSITORY}{tag if '@' in tag else f':{tag}'}")
        retry = Retry(sleep=self.waits.append, chance=lambda: 0.0)
        chosen = Settings(hosts=hosts, **settings)
        with (
            Registries(chosen, retry=retry, patience=IMPATIENT) as registries,
            Store.open(str(self.root)) as store,
            store.importing() as importer,
        ):
            return registries.pull(reference, platforms or [AMD64], importer, self.events.append)

    def files(self, registry: FakeRegistry, tag: str = "v1", platform: Platform = AMD64) -> set[str] | None:
        """Return the names of the files of the image in the store, None where there is none."""
        with Store.open(str(self.root)) as store:
            image = store.images.get(Reference.parse(f"{registry.host}/{REPOSITORY}:{tag}"), platform)
            if image is None:
                return None
            return {entry.path for layer in image.layers for entry in store.layers.entries(layer.diff_id)}

    def damages(self) -> list[Any]:
        with Store.open(str(self.root)) as store:
            return [found for found in store.check() if found.damage]


@pytest.fixture
def pull(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Puller:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return Puller(tmp_path / "store")


@pytest.mark.parametrize("form", ["oci", "docker"])
@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_images_of_all_forms_come_in(
    form: Format, kind: Compression, fake_registry: FakeRegistry, pull: Puller
) -> None:
    image = publish(fake_registry, make_foreign(LOWER, UPPER, form=form, kind=kind))

    arrival = pull(fake_registry)

    assert arrival.top.digest == image.descriptor.digest
    assert pull.files(fake_registry) == {"etc/a", "etc/b"}
    assert pull.damages() == []


def test_what_is_there_is_not_fetched_again(fake_registry: FakeRegistry, pull: Puller) -> None:
    publish(fake_registry, make_foreign(LOWER))
    pull(fake_registry)
    publish(fake_registry, make_foreign(LOWER, UPPER))
    fake_registry.forget()

    pull(fake_registry)

    # The new config, once to look at its platform and once to keep it, and the new layer.
    fetched = {call for call in fake_registry.calls() if "/blobs/" in call}
    assert len(fetched) == 2
    assert pull.files(fake_registry) == {"etc/a", "etc/b"}


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        (PULL, Drop(after=100)),
        (PULL, Drop()),
        (PULL, Status(503)),
        (PULL, Status(429, retry_after=1)),
        (PULL, WrongLength(0)),
        ("GET */manifests/*", Status(502)),
        ("GET */manifests/*", Drop()),
    ],
    ids=["cut", "dropped", "503", "429", "closed", "manifest 502", "manifest dropped"],
)
def test_what_fails_by_chance_is_mended(pattern: str, fault: Fault, fake_registry: FakeRegistry, pull: Puller) -> None:
    publish(fake_registry, make_foreign(LOWER, UPPER))
    fake_registry.on(pattern, fault, times=2)

    pull(fake_registry)

    assert pull.files(fake_registry) == {"etc/a", "etc/b"}


LIES = {
    "wrong bytes": (PULL, WrongBytes()),
    "other blob": (PULL, WrongBytes(b"x" * 50)),
    "truncated": (PULL, Truncated(10)),
    "longer than it says": (PULL, WrongLength(-1)),
    "endless": (PULL, Endless()),
    "slow": (PULL, Slow(0.2, every=1)),
    "manifest of 100 MB": ("GET */manifests/*", Huge(100 << 20)),
    "endless manifest": ("GET */manifests/*", Endless()),
    "manifest of another digest": ("GET */manifests/*", WrongHeader()),
    "manifest of nonsense": ("GET */manifests/*", WrongBytes(b"[]")),
    "401 without end": ("GET /v2/*", Status(401)),
    "503 without end": ("GET /v2/*", Status(503)),
    "redirect to a file": (PULL, Redirect("file:///etc/passwd")),
    "redirects in a circle": (PULL, Redirect("http://127.0.0.1:1/")),
    "blob unknown": (PULL, Status(404)),
}


@pytest.mark.parametrize(("pattern", "fault"), LIES.values(), ids=LIES)
def test_what_is_wrong_is_an_error_and_nothing_is_published(
    pattern: str, fault: Fault, fake_registry: FakeRegistry, pull: Puller
) -> None:
    publish(fake_registry, make_foreign(LOWER, UPPER))
    fake_registry.on(pattern, fault, times=None)

    with pytest.raises(RegistryError):
        pull(fake_registry)

    assert pull.files(fake_registry) is None
    assert pull.damages() == []


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_does_not_go_off(kind: Compression, fake_registry: FakeRegistry, pull: Puller) -> None:
    from kubeimage.protocols.transfer import Budget

    publish(fake_registry, make_foreign(tar_of({"zeros": bytes(8 << 20)}), kind=kind))

    with (
        Registries(Settings(hosts={fake_registry.host: HostSettings(plain_http=True)})) as registries,
        Store.open(str(pull.root)) as store,
        store.importing(Budget(layer=1 << 20)) as importer,
        pytest.raises(RegistryContentError, match="holds more than 1048576 bytes"),
    ):
        reference = Reference.parse(f"{fake_registry.host}/{REPOSITORY}:v1")
        registries.pull(reference, [AMD64], importer, lambda _event: None)

    assert pull.files(fake_registry) is None


def test_an_error_leaves_the_image_that_had_the_name(fake_registry: FakeRegistry, pull: Puller) -> None:
    publish(fake_registry, make_foreign(LOWER))
    pull(fake_registry)
    publish(fake_registry, make_foreign(UPPER))
    fake_registry.on(PULL, WrongBytes(), times=None)

    with pytest.raises(RegistryError):
        pull(fake_registry)

    assert pull.files(fake_registry) == {"etc/a"}


def test_a_tag_that_moves_meanwhile_mixes_nothing(fake_registry: FakeRegistry, pull: Puller) -> None:
    other = make_foreign(UPPER)
    publish(fake_registry, other, "other")
    publish(fake_registry, make_foreign(LOWER))
    move = Afterwards(lambda: fake_registry.tag(REPOSITORY, "v1", other.descriptor.digest))
    fake_registry.on("GET */manifests/v1", move)

    pull(fake_registry)

    assert pull.files(fake_registry) == {"etc/a"}
    assert fake_registry.calls().count(f"GET /v2/{REPOSITORY}/manifests/v1") == 1


def test_a_resumed_blob_that_is_wrong_is_fetched_once_more_in_one(fake_registry: FakeRegistry, pull: Puller) -> None:
    image = publish(fake_registry, make_foreign(LOWER))
    layer = f"GET */blobs/{image.layers[0].digest}"
    fake_registry.on(layer, Drop(after=20))
    fake_registry.on(layer, WrongBytes(image.blobs[image.layers[0].digest][20:][::-1]), skip=1)

    pull(fake_registry)

    assert pull.files(fake_registry) == {"etc/a"}


@pytest.mark.parametrize("tag", ["", ":v1"], ids=["digest alone", "tag and digest"])
def test_a_pinned_image_is_kept_under_its_digest(tag: str, fake_registry: FakeRegistry, pull: Puller) -> None:
    old = publish(fake_registry, make_foreign(LOWER)).descriptor.digest
    publish(fake_registry, make_foreign(UPPER))
    pinned = Reference.parse(f"{fake_registry.host}/{REPOSITORY}{tag}@{old}")
    pull(fake_registry)

    pull(fake_registry, tag=f"{tag}@{old}")

    assert pull.files(fake_registry) == {"etc/b"}
    with Store.open(str(pull.root)) as store:
        assert store.images.get(pinned) is not None
        assert pinned in [record.reference for record in store.images.records()]
        store.images.remove(pinned)
        assert store.images.get(pinned) is None
    assert pull.files(fake_registry) == {"etc/b"}


def test_of_an_index_only_the_wanted_platform_comes(fake_registry: FakeRegistry, pull: Puller) -> None:
    amd64, arm64 = make_foreign(LOWER), make_foreign(UPPER, architecture="arm64")
    publish_index(fake_registry, {AMD64: amd64, ARM64: arm64})

    pull(fake_registry, ARM64)

    assert pull.files(fake_registry, platform=ARM64) == {"etc/b"}
    fetched = " ".join(fake_registry.calls())
    assert str(amd64.layers[0].digest) not in fetched


def test_all_platforms_come_where_all_are_wanted(fake_registry: FakeRegistry, pull: Puller) -> None:
    index = publish_index(fake_registry, {AMD64: make_foreign(LOWER), ARM64: make_foreign(UPPER, architecture="arm64")})

    arrival = pull(fake_registry, AMD64, ARM64)

    assert [platform for platform, *_ in arrival.images] == [AMD64, ARM64]
    assert arrival.top.digest == fake_registry.tags(REPOSITORY)["v1"]
    assert index.to_bytes() == fake_registry.manifest(REPOSITORY, "v1").data


@pytest.mark.parametrize("nesting", NESTINGS.values(), ids=NESTINGS)
@pytest.mark.parametrize("wanted", [(AMD64,), (ARM64,), (AMD64, ARM64)], ids=["amd64", "arm64", "both"])
def test_indexes_inside_an_index_are_followed(
    fake_registry: FakeRegistry, pull: Puller, nesting: Callable[..., Any], wanted: tuple[Platform, ...]
) -> None:
    images = [make_foreign(LOWER), make_foreign(UPPER, architecture="arm64")]
    top, inner = nesting(*images)
    for image in images:
        publish(fake_registry, image, None)
    for data in inner:
        fake_registry.put_manifest(REPOSITORY, None, data, INDEX)
    fake_registry.put_manifest(REPOSITORY, "v1", top, INDEX)

    arrival = pull(fake_registry, *wanted)

    assert [platform for platform, _, _ in arrival.images] == [*wanted]
    assert pull.damages() == []


def test_what_is_no_image_is_called_by_its_type(fake_registry: FakeRegistry, pull: Puller) -> None:
    config, chart = b'{"name":"c","version":"1.0.0"}', b"chart"
    for data in (config, chart):
        fake_registry.put_blob(REPOSITORY, data)
    manifest = {
        "schemaVersion": 2,
        "config": Descriptor.of("application/vnd.cncf.helm.config.v1+json", config).to_json(),
        "layers": [Descriptor.of("application/vnd.cncf.helm.chart.content.v1.tar+gzip", chart).to_json()],
    }
    fake_registry.put_manifest(REPOSITORY, "v1", json.dumps(manifest).encode(), MANIFEST)

    with pytest.raises(RegistryContentError, match=r"no container image: .*application/vnd\.cncf\.helm\.config\.v1"):
        pull(fake_registry)


def test_a_platform_that_is_not_there_is_told_with_those_that_are(fake_registry: FakeRegistry, pull: Puller) -> None:
    publish_index(fake_registry, {AMD64: make_foreign(LOWER), ARM64: make_foreign(UPPER, architecture="arm64")})

    with pytest.raises(PlatformMismatchError, match="has no image for linux/s390x; it has linux/amd64, linux/arm64"):
        pull(fake_registry, Platform("linux", "s390x"))


def test_a_single_image_for_another_platform_is_refused_before_its_layers_come(
    fake_registry: FakeRegistry, pull: Puller
) -> None:
    image = publish(fake_registry, make_foreign(LOWER, architecture="arm64"))

    with pytest.raises(PlatformMismatchError, match="has no image for linux/amd64; it has linux/arm64"):
        pull(fake_registry)

    assert str(image.layers[0].digest) not in " ".join(fake_registry.calls())


def test_wrong_sizes_in_a_list_are_no_hindrance(fake_registry: FakeRegistry, pull: Puller) -> None:
    from dataclasses import replace

    image = publish(fake_registry, make_foreign(LOWER, form="docker"), None)
    listed = replace(image.descriptor, size=12345, platform=AMD64)
    media_type = "application/vnd.docker.distribution.manifest.list.v2+json"
    fake_registry.put_manifest(REPOSITORY, "v1", Index((listed,), media_type).to_bytes(), media_type)

    arrival = pull(fake_registry)

    assert "12345" in arrival.warnings[0]
    assert pull.files(fake_registry) == {"etc/a"}


def test_a_mirror_is_asked_first_and_the_name_stays(fake_registry: FakeRegistry, pull: Puller) -> None:
    publish(fake_registry, make_foreign(LOWER))
    mirror = MirrorSettings("a.example/x", (f"{fake_registry.host}/team",), fallback=False)
    reference = Reference.parse("a.example/x/app:v1")
    settings = Settings(hosts={fake_registry.host: HostSettings(plain_http=True)}, mirrors=(mirror,))

    with Registries(settings) as registries, Store.open(str(pull.root)) as store:
        with store.importing() as importer:
            registries.pull(reference, [AMD64], importer, pull.events.append)
        assert store.images.get(reference) is not None


@pytest.mark.parametrize("fault", [None, Status(404), Status(503), WrongBytes()], ids=["down", "404", "503", "lying"])
def test_a_mirror_that_fails_is_passed_over(fault: Fault | None, fake_registry: FakeRegistry, pull: Puller) -> None:
    publish(fake_registry, make_foreign(LOWER))
    with FakeRegistry() as mirror:
        publish(mirror, make_foreign(LOWER))
        if fault is not None:
            mirror.on("GET *", fault, times=None)
        host = mirror.host
        if fault is None:
            mirror.stop()
        prefix = MirrorSettings(fake_registry.host, (host,))
        pull(fake_registry, hosts={host: HostSettings(plain_http=True)}, mirrors=(prefix,))

    assert pull.files(fake_registry) == {"etc/a"}
    assert any("is passed over" in getattr(event, "message", "") for event in pull.events)


def test_two_pulls_and_a_prune_at_once_are_safe(fake_registry: FakeRegistry, tmp_path: Path, pull: Puller) -> None:
    layers = [tar_of({f"f{n}": bytes([n]) * 10_000}) for n in range(6)]
    publish(fake_registry, make_foreign(*layers), "v1")
    publish(fake_registry, make_foreign(*layers[::2], UPPER), "v2")
    fake_registry.on(PULL, Slow(0.02), times=None)
    failures: list[BaseException] = []

    def prune() -> None:
        for _ in range(10):
            with Store.open(str(pull.root)) as store:
                store.collect_garbage(keep_cache=False)

    work = [
        lambda: Puller(pull.root)(fake_registry, tag="v1"),
        lambda: Puller(pull.root)(fake_registry, tag="v2"),
        prune,
    ]
    threads = [threading.Thread(target=_catching, args=(one, failures)) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert pull.damages() == []
    assert pull.files(fake_registry, "v1") == {f"f{n}" for n in range(6)}
    assert pull.files(fake_registry, "v2") == {"f0", "f2", "f4", "etc/b"}


def _catching(work: Callable[[], object], failures: list[BaseException]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001
        failures.append(error)


@pytest.mark.parametrize("kind", ["none", "gzip", "zstd"])
def test_what_was_verified_on_its_way_is_not_read_again(
    pull: Puller, fake_registry: FakeRegistry, kind: Compression
) -> None:
    size = 6 << 20
    publish(fake_registry, make_foreign(tar_of({"data": os.urandom(size)}), kind=kind))

    before = bytes_read()
    pull(fake_registry)

    assert round((bytes_read() - before) / size) == 0
