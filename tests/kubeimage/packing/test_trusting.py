"""Container images that are packed heed the policy, with and without a network."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.signing import verify_signatures
from kubeimage.builder.executor import BuildResult
from kubeimage.discovery.search import PullImages
from kubeimage.errors import TrustError
from kubeimage.image.digest import Digest
from kubeimage.image.referrers import ReferrerChoice, cosign_tag
from kubeimage.settings import parse_settings
from kubeimage.signing.keys import read_private_key
from tests.kubeimage.packing.conftest import Workshop, listing, publish
from tests.kubeimage.signing.made import Blobs, signed, write_pair
from tests.kubeimage.store.foreign import make_foreign, tar_of

IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
OTHER = make_foreign(tar_of({"etc/a": b"two"}), architecture="arm64")


class Trusting(Workshop):
    """A workshop with a configuration file."""

    policy = ""

    def open(self) -> AbstractContextManager[Backends]:
        hosts = "".join(f'[registry."{host}"]\nplain-http = true\n' for host in self._hosts())
        settings = parse_settings((self.policy + hosts).encode(), file=str(self._folder / "config.toml"))
        return open_backends(str(self.root), mount="copy", isolation="none", settings=settings)

    def pack(self, name: str, policy: PullImages = "missing") -> BuildResult:
        return self.build(listing(name), policy, name="mine:1")


@pytest.fixture
def workshop(tmp_path: Path, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> Trusting:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    write_pair(tmp_path)
    made = Trusting(tmp_path, lambda: [registry.host])
    made.policy = '[trust."*"]\nrequire = "signed"\nkeys = ["key.pub"]\n'
    return made


def sign(registry: FakeRegistry, folder: Path, digest: Digest, name: str) -> None:
    """Sign a digest, and put that beside the image."""
    blobs = Blobs()
    key = read_private_key(str(folder / "key.pem"), "--key")
    data = signed(key, blobs, digest=digest, name=f"{registry.host}/{name}")
    repository = name.partition(":")[0]
    for blob in blobs.known.values():
        registry.put_blob(repository, blob)
    registry.put_manifest(repository, cosign_tag(digest, "sig"), data)


def test_an_image_that_is_not_signed_is_not_packed(workshop: Trusting, registry: FakeRegistry) -> None:
    top = publish(registry, "team/box:1", IMAGE)

    with pytest.raises(
        TrustError, match=f"{registry.host}/team/box:1@{top} is not signed as the policy asks"
    ) as caught:
        workshop.pack(f"{registry.host}/team/box:1")

    assert "config.toml:1" in str(caught.value.hint)
    assert not any("/blobs/" in call for call in registry.calls())


def test_a_signed_image_is_packed_and_packed_again_without_a_network(
    workshop: Trusting, registry: FakeRegistry, tmp_path: Path
) -> None:
    top = publish(registry, "team/box:1", {"amd64": IMAGE, "arm64": OTHER})
    sign(registry, tmp_path, top, "team/box:1")
    name = f"{registry.host}/team/box:1"
    first = workshop.pack(name)
    registry.forget()

    assert workshop.pack(name, "never").image.id == first.image.id
    assert registry.calls() == []


def test_what_is_remembered_is_judged_by_the_keys_of_today(
    workshop: Trusting, registry: FakeRegistry, tmp_path: Path
) -> None:
    sign(registry, tmp_path, publish(registry, "team/box:1", IMAGE), "team/box:1")
    workshop.pack(f"{registry.host}/team/box:1")
    write_pair(tmp_path)

    with pytest.raises(TrustError, match="it is by another key"):
        workshop.pack(f"{registry.host}/team/box:1", "never")


def test_an_image_that_is_here_already_is_judged_all_the_same(
    workshop: Trusting, registry: FakeRegistry, tmp_path: Path
) -> None:
    name = f"{registry.host}/team/box:1"
    top = publish(registry, "team/box:1", IMAGE)
    policy, workshop.policy = workshop.policy, ""
    workshop.pack(name)
    workshop.policy = policy

    with pytest.raises(TrustError, match="there is no signature"):
        workshop.pack(name)
    with pytest.raises(TrustError, match="there is no signature"):
        workshop.pack(name, "never")
    sign(registry, tmp_path, top, "team/box:1")
    workshop.pack(name)


def test_a_rejected_image_is_not_packed(workshop: Trusting, registry: FakeRegistry, tmp_path: Path) -> None:
    sign(registry, tmp_path, publish(registry, "team/box:1", IMAGE), "team/box:1")
    workshop.policy = f'[trust."{registry.host}/team/box"]\nrequire = "reject"\n'

    with pytest.raises(TrustError, match="is rejected by the policy"):
        workshop.pack(f"{registry.host}/team/box:1")


def test_verify_says_of_packed_images_that_nobody_has_signed_them(
    workshop: Trusting, registry: FakeRegistry, tmp_path: Path
) -> None:
    workshop.policy = ""
    top = publish(registry, "team/box:1", IMAGE)
    workshop.pack(f"{registry.host}/team/box:1")

    with workshop.open() as backends:
        check = verify_signatures("mine:1", [str(tmp_path / "key.pub")], backends)

    own, packed = check.images
    assert (packed.name, packed.packed_in, packed.digest) == (f"{registry.host}/team/box:1", own.name, top)
    assert (packed.is_signed, packed.reason) == (False, "there is no signature")
    assert check.proof is not None
    assert check.proof.is_whole


def test_signatures_that_are_packed_say_who_has_signed_what_is_packed(
    workshop: Trusting, registry: FakeRegistry, tmp_path: Path
) -> None:
    top = publish(registry, "team/box:1", {"amd64": IMAGE, "arm64": OTHER})
    sign(registry, tmp_path, top, "team/box:1")
    workshop.build(listing(f"{registry.host}/team/box:1"), name="mine:1", referrers=ReferrerChoice(("signature",)))

    with workshop.open() as backends:
        check = verify_signatures("mine:1", [str(tmp_path / "key.pub")], backends)

    assert [one.is_signed for one in check.images] == [False, True]
