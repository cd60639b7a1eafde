"""Nothing that has other bytes than its digest is believed, whoever reads it, and whatever for."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness.fakes.registry import FakeRegistry
from harness.fakes.registry.content import StoredManifest
from kubeimage.api.backends import open_backends
from kubeimage.api.distribution import pull_image
from kubeimage.api.finding import inspect_image
from kubeimage.api.opening import open_image
from kubeimage.api.signing import sign_image, verify_signatures
from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEX
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS
from kubeimage.settings import HostSettings, Settings
from tests.artefacts import cosign_artifact, oras_artifact
from tests.kubeimage.signing.made import write_pair
from tests.kubeimage.store.foreign import Foreign, make_foreign, make_index, tar_of
from tests.kubeimage.store.test_arrivals import nest

from .conftest import REPOSITORY

AMD64 = Platform("linux", "amd64")
ONE = make_foreign(tar_of({"etc/a": b"one\n"}))
OTHER = make_foreign(tar_of({"etc/b": b"two\n"}), architecture="arm64")
LISTED = make_index([("amd64", ONE), ("arm64", OTHER)])
UNSAID = json.dumps(
    {"schemaVersion": 2, "mediaType": INDEX, "manifests": [ONE.descriptor.to_json()]}, separators=(",", ":")
).encode()
TAGS = {"one": ONE.manifest, "nested": nest((LISTED, None)), "unsaid": UNSAID}
ARTEFACTS = (oras_artifact(ONE.manifest), cosign_artifact(ONE.manifest))


class Served(NamedTuple):
    """A registry with images of all forms, signed."""

    registry: FakeRegistry
    key: str

    def settings(self) -> Settings:
        return Settings(hosts={self.registry.host: HostSettings(plain_http=True)})

    def name(self, tag: str) -> str:
        return f"docker://{self.registry.host}/{REPOSITORY}:{tag}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    write_pair(folder, "ed25519", name="key")
    with FakeRegistry() as registry:
        found = Served(registry, str(folder / "key.pub"))
        for image in (ONE, OTHER):
            _publish(registry, image)
        for tag, data in [("listed in it, at no tag", LISTED), *TAGS.items()]:
            kind = json.loads(data)["mediaType"]
            registry.put_manifest(REPOSITORY, None if " " in tag else tag, data, kind)
        for made in ARTEFACTS:
            for blob in made.blobs.values():
                registry.put_blob(REPOSITORY, blob)
            registry.put_manifest(REPOSITORY, made.tag, made.data)
        with open_backends(None, found.settings()) as backends:
            sign_image(found.name("nested"), str(folder / "key.pem"), backends, recursive=True)
        yield found


def _publish(registry: FakeRegistry, image: Foreign) -> None:
    for data in image.blobs.values():
        registry.put_blob(REPOSITORY, data)
    registry.put_manifest(REPOSITORY, None, image.manifest, image.media_type)


def _pull(served: Served, tag: str, root: Path) -> object:
    with open_backends(str(root / "store"), served.settings()) as backends:
        name = Reference(served.registry.host, REPOSITORY, tag)
        return pull_image(name, backends, platforms=[AMD64], referrers=ALL_REFERRERS)


def _inspect(served: Served, tag: str, _root: Path) -> object:
    with open_backends(None, served.settings()) as backends:
        return inspect_image(served.name(tag), backends, platform=AMD64)


def _open(served: Served, tag: str, _root: Path) -> object:
    with open_backends(None, served.settings()) as backends:
        image = open_image(served.name(tag), backends, platform=AMD64)
        return {path: image.read(path) for path, entry in image.rootfs.items() if entry.kind.value == "file"}


def _verify(served: Served, tag: str, _root: Path) -> object:
    with open_backends(None, served.settings()) as backends:
        found = verify_signatures(served.name(tag), [served.key], backends, platform=AMD64)
        return [signer.digest for one in found.images for signer in one.signers]


READERS: dict[str, Callable[[Served, str, Path], object]] = {
    "pull": _pull,
    "inspect": _inspect,
    "open": _open,
    "verify": _verify,
}


def _harmed(whole: bytes | StoredManifest, digest: Digest) -> bytes | StoredManifest:
    """Return as many other bytes: those of an image for another machine, where it says for which it is."""
    if isinstance(whole, StoredManifest):
        return StoredManifest(_other(whole.data), whole.media_type, digest)
    return _other(whole)


def _other(data: bytes) -> bytes:
    middle = len(data) // 2
    changed = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    return data.replace(b"amd64", b"arm64") if b"amd64" in data else changed


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("reader", READERS)
def test_other_bytes_than_a_digest_s_change_no_answer(served: Served, tmp_path: Path, reader: str, tag: str) -> None:
    read = READERS[reader]
    served.registry.forget()
    expected = read(served, tag, tmp_path / "whole")
    content = served.registry.content.repository(REPOSITORY)
    asked = " ".join([*served.registry.calls(), str(content.tags[tag])])

    believed = []
    places: list[dict[Digest, Any]] = [content.blobs, content.manifests]
    for place in places:
        for digest in [one for one in place if str(one) in asked]:
            whole = place[digest]
            place[digest] = _harmed(whole, digest)
            try:
                answer = read(served, tag, tmp_path / digest.hex)
                # A signature that is not whole is nobody's.
                believed += [f"{digest}: {answer}"] if answer not in (expected, []) else []
            except KubeimageError as error:
                is_told = digest.hex in str(error) or "data are damaged" in str(error)
                believed += [] if is_told else [f"{digest}: {error}"]
            finally:
                place[digest] = whole
    assert believed == []
