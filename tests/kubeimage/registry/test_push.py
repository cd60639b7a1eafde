"""Whole images from a real store to a registry in this process."""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.contracts.stores import make_image
from harness.fakes.registry import Drop, FakeRegistry, Lose, Status, WrongHeader
from harness.fakes.registry.faults import Fault
from harness.fakes.registry.messages import Request, Response
from kubeimage.api.distribution import find_lender
from kubeimage.errors import BlobCorruptError, RegistryConnectionError, RegistryContentError, RegistryError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Manifest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS
from kubeimage.layer.compression import Coding
from kubeimage.layer.entry import Entry, canonical_order, directory, file
from kubeimage.protocols.transfer import WireForm
from kubeimage.registry.events import BlobFinished, TransferEvent, TransferFinished
from kubeimage.registry.exchange import Retry
from kubeimage.registry.registries import Registries
from kubeimage.settings import HostSettings, Settings
from kubeimage.store import Store
from tests.artefacts import oras_artifact

from .conftest import IMPATIENT, REPOSITORY, bytes_read

GZIP = WireForm(None, Coding("gzip"), only_raw=True)
BASE = canonical_order([directory("etc"), file("etc/base", b"base" * 1000)])
TOP = canonical_order([directory("etc"), file("etc/top", b"top" * 1000)])


class Pusher:
    """Pushes from a store of the test's own, as the command does, without waiting."""

    def __init__(self, root: Path, host: str) -> None:
        self.root, self.host = str(root), host
        self.events: list[TransferEvent] = []
        self.layers: list[Digest] = []

    def name(self, repository: str = REPOSITORY, tag: str = "v1") -> Reference:
        return Reference(self.host, repository, tag)

    def make(self, *changesets: list[Entry], repository: str = REPOSITORY) -> None:
        """Put an image of such layers into the store."""
        with Store.open(self.root) as store:
            stored = [store.layers.put(one) for one in changesets]
            self.layers = [one.diff_id for one in stored]
            store.images.put(make_image(stored), [self.name(repository)])

    def make_index(self) -> None:
        """Put an image for two platforms into the store."""
        with Store.open(self.root) as store:
            image = make_image([store.layers.put(BASE)])
            other = replace(image, platform=Platform.parse("linux/s390x"))
            store.images.put_index([image, other], [self.name()])

    def __call__(self, repository: str = REPOSITORY, form: WireForm = GZIP) -> Digest:
        self.events.clear()
        retry = Retry(sleep=lambda _seconds: None)
        settings = Settings(hosts={self.host: HostSettings(plain_http=True)})
        with (
            Registries(settings, retry=retry, patience=IMPATIENT) as registries,
            Store.open(self.root, create=False, hold=True) as store,
        ):
            reference = self.name(repository)
            departure = store.exporter.depart(reference, form)
            lender = partial(find_lender, reference, store.images)
            return registries.push(reference, departure, self.events.append, lender).top.digest

    @property
    def moves(self) -> list[str]:
        """What became of each blob, sorted."""
        ends = [event for event in self.events if isinstance(event, BlobFinished)]
        return sorted("moved" if end.moved else "mounted" if end.mounted else "there" for end in ends)


@pytest.fixture
def push(tmp_path: Path, fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Pusher:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    pusher = Pusher(tmp_path / "store", fake_registry.host)
    pusher.make(BASE, TOP)
    return pusher


def test_blobs_go_before_the_manifest_and_the_tag_comes_last(push: Pusher, fake_registry: FakeRegistry) -> None:
    digest = push()

    assert fake_registry.calls()[-1] == f"PUT /v2/{REPOSITORY}/manifests/v1"
    assert fake_registry.tags(REPOSITORY) == {"v1": digest}
    manifest = Manifest.from_bytes(fake_registry.manifest(REPOSITORY, "v1").data)
    assert {manifest.config.digest, *(one.digest for one in manifest.layers)} == set(fake_registry.blobs(REPOSITORY))
    assert push.events[-1] == TransferFinished("push", str(push.name()), digest)


@pytest.mark.parametrize("kind", ["an image", "an index"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_whoever_finds_the_tag_finds_all_that_belongs_to_it(
    push: Pusher, fake_registry: FakeRegistry, kind: str, count: int
) -> None:
    """Of what the registry is given, the tag comes last: the image's blobs, manifests and signatures are there then."""
    if kind == "an index":
        push.make_index()
    with Store.open(push.root) as store:
        sent = store.exporter.depart(push.name(), GZIP).finish()
        own = store.exporter.depart(push.name(), WireForm()).finish().top.digest
        for number in range(count):
            made = oras_artifact(sent.data, str(number).encode())
            store.referrers.add(made.data, made.subject, made.blobs, image=own)

    push(form=replace(GZIP, referrers=ALL_REFERRERS))

    kept = fake_registry.content.repository(REPOSITORY).manifests.values()
    written = [call for call in fake_registry.calls() if call.startswith("PUT")]
    assert written[-1] == f"PUT /v2/{REPOSITORY}/manifests/v1"
    assert sum("manifests/v1" in call for call in written) == 1
    assert sum(b"subject" in one.data for one in kept) == count


def test_a_second_push_asks_only_whether_all_is_there(push: Pusher, fake_registry: FakeRegistry) -> None:
    push()
    fake_registry.forget()

    push()

    assert fake_registry.calls() == [f"HEAD /v2/{REPOSITORY}/manifests/v1"]
    assert push.moves == ["there"] * 3


def test_a_second_push_of_an_index_asks_once_for_each_manifest(push: Pusher, fake_registry: FakeRegistry) -> None:
    push.make_index()
    push()
    fake_registry.forget()

    push()

    assert [call.partition(" ")[0] for call in fake_registry.calls()] == ["HEAD"] * 3
    assert not {"moved", "mounted"}.intersection(push.moves)


def test_an_index_whose_manifests_have_gone_is_whole_again(push: Pusher, fake_registry: FakeRegistry) -> None:
    push.make_index()
    push()
    fake_registry.forget()
    fake_registry.on("HEAD */manifests/sha256:*", Status(404))

    push()

    assert sum(call.startswith("PUT ") for call in fake_registry.calls()) == 3


def test_a_tag_that_was_given_away_is_taken_back(push: Pusher, fake_registry: FakeRegistry) -> None:
    digest = push()
    push.make(TOP, repository="team/other")
    fake_registry.tag(REPOSITORY, "v1", fake_registry.put_manifest(REPOSITORY, "v1", b"{}"))

    push()

    assert fake_registry.tags(REPOSITORY) == {"v1": digest}
    assert push.moves == ["there"] * 3


def test_where_the_registry_does_not_say_which_digest_a_tag_has_each_blob_is_asked_for(
    push: Pusher, fake_registry: FakeRegistry
) -> None:
    push()
    fake_registry.on("HEAD */manifests/v1", WrongHeader(None))

    push()

    assert push.moves == ["there"] * 3
    assert fake_registry.calls()[-1] == f"PUT /v2/{REPOSITORY}/manifests/v1"


def test_what_another_repository_has_is_mounted(push: Pusher, fake_registry: FakeRegistry) -> None:
    push.make(BASE, repository="team/base")
    push("team/base")

    push()

    assert push.moves == ["mounted", "moved", "moved"]


class RefusedMounts:
    """Refuses to mount, and does all else."""

    def apply(self, request: Request, answer: Callable[..., Any]) -> Response:
        return Status(403).apply(request, answer) if request.argument("mount") else answer()


def test_what_may_not_be_mounted_is_sent(push: Pusher, fake_registry: FakeRegistry) -> None:
    push.make(BASE, repository="team/base")
    push("team/base")
    fake_registry.on("POST *", RefusedMounts(), times=None)

    push()

    assert push.moves == ["moved"] * 3


def test_where_nothing_can_be_mounted_it_is_sent(push: Pusher, fake_registry: FakeRegistry) -> None:
    push.make(BASE, repository="team/base")

    push()

    assert push.moves == ["moved"] * 3


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("HEAD *", Drop()),
        ("POST *", Status(503)),
        ("PUT */uploads/*", Lose()),
        ("PUT */uploads/*", Status(500)),
        ("PUT */manifests/*", Drop()),
        ("PUT */manifests/*", Status(429, retry_after=1)),
    ],
)
def test_what_fails_by_chance_is_mended(pattern: str, fault: Fault, push: Pusher, fake_registry: FakeRegistry) -> None:
    fake_registry.on(pattern, fault, times=2)

    digest = push()

    assert fake_registry.tags(REPOSITORY) == {"v1": digest}


@pytest.mark.parametrize("pattern", ["HEAD *", "POST *", "PUT */uploads/*", "PUT */manifests/*"])
def test_a_push_that_fails_leaves_the_tag_as_it_was(pattern: str, push: Pusher, fake_registry: FakeRegistry) -> None:
    before = push()
    push.make(TOP, BASE)
    fake_registry.on(pattern, Status(403), times=None)
    fake_registry.content.repository(REPOSITORY).blobs.clear()

    with pytest.raises(RegistryError) as caught:
        push()

    assert caught.value.status == 403
    assert fake_registry.tags(REPOSITORY) == {"v1": before}


def test_a_registry_that_keeps_another_manifest_is_found_out(push: Pusher, fake_registry: FakeRegistry) -> None:
    fake_registry.on("PUT */manifests/*", WrongHeader())

    with pytest.raises(RegistryContentError, match="the registry has kept sha256:000"):
        push()


def test_a_damaged_layer_is_not_sent(push: Pusher, fake_registry: FakeRegistry) -> None:
    path = Path(push.root, "blobs/sha256", push.layers[0].hex)
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))

    with pytest.raises(BlobCorruptError):
        push()

    assert fake_registry.tags(REPOSITORY) == {}


def test_an_error_in_one_blob_ends_the_others(push: Pusher, fake_registry: FakeRegistry) -> None:
    fake_registry.on("POST *", Status(400))

    with pytest.raises(RegistryError, match="400"):
        push()

    assert fake_registry.tags(REPOSITORY) == {}


@pytest.mark.parametrize("large", [0, 1 << 60], ids=["growing", "small"])
def test_a_push_that_is_stopped_ends_before_all_is_compressed(
    large: int, push: Pusher, fake_registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kubeimage.registry.push._LARGE", large)
    settings = Settings(hosts={push.host: HostSettings(plain_http=True)})

    with Registries(settings) as registries, Store.open(push.root, create=False, hold=True) as store:
        departure = store.exporter.depart(push.name(), GZIP)
        with pytest.raises(RegistryConnectionError, match="stopped"):
            registries.push(push.name(), departure, lambda _event: registries.stop())

    assert fake_registry.tags(REPOSITORY) == {}


@pytest.fixture
def growing(push: Pusher, monkeypatch: pytest.MonkeyPatch) -> Pusher:
    """Push all layers as if they were large: while they are compressed."""
    monkeypatch.setattr("kubeimage.registry.push._LARGE", 0)
    return push


def test_a_layer_is_sent_while_it_is_compressed(growing: Pusher, fake_registry: FakeRegistry) -> None:
    digest = growing()

    assert fake_registry.tags(REPOSITORY) == {"v1": digest}
    manifest = Manifest.from_bytes(fake_registry.manifest(REPOSITORY, "v1").data)
    assert {one.digest for one in manifest.layers} <= set(fake_registry.blobs(REPOSITORY))
    patches = [request for request in fake_registry.requests if request.method == "PATCH"]
    assert [request.headers.get("transfer-encoding") for request in patches] == ["chunked"] * 2
    assert growing.moves == ["moved"] * 3


def test_what_the_registry_turns_out_to_have_is_not_finished(
    growing: Pusher, fake_registry: FakeRegistry, tmp_path: Path
) -> None:
    digest = growing()
    other = Pusher(tmp_path / "other", fake_registry.host)
    other.make(BASE, TOP)
    fake_registry.forget()

    assert other() == digest
    assert other.moves == ["there"] * 3
    assert not any(request.method == "PUT" and "/uploads/" in request.path for request in fake_registry.requests)


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("PATCH *", Drop()),
        ("PATCH *", Drop(received=10)),
        ("PATCH *", Status(500)),
        ("PATCH *", Status(401)),
        ("PATCH *", Status(307, headers={"location": "/elsewhere"})),
        ("PUT */uploads/*", Lose()),
        ("POST *", Status(503)),
    ],
)
def test_a_growing_layer_that_is_cut_off_is_sent_as_any_other(
    pattern: str, fault: Fault, growing: Pusher, fake_registry: FakeRegistry
) -> None:
    fake_registry.on(pattern, fault)

    digest = growing()

    assert fake_registry.tags(REPOSITORY) == {"v1": digest}
    assert growing.events[-1] == TransferFinished("push", str(growing.name()), digest)


def test_a_growing_layer_that_is_refused_is_an_error(growing: Pusher, fake_registry: FakeRegistry) -> None:
    fake_registry.on("PATCH *", Status(413), times=None)

    with pytest.raises(RegistryError, match="413"):
        growing()

    assert fake_registry.tags(REPOSITORY) == {}


def test_a_damaged_layer_that_grows_is_not_sent(growing: Pusher, fake_registry: FakeRegistry) -> None:
    path = Path(growing.root, "blobs/sha256", growing.layers[0].hex)
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))

    with pytest.raises(BlobCorruptError):
        growing()

    assert fake_registry.tags(REPOSITORY) == {}


def test_a_layer_is_read_once_to_be_compressed_and_once_to_be_sent(push: Pusher) -> None:
    size = 6 << 20
    push.make([file("data", os.urandom(size))])

    before = bytes_read()
    push()
    first = bytes_read() - before
    push()
    again = bytes_read() - before - first

    assert (round(first / size), round(again / size)) == (2, 0)
