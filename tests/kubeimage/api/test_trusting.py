"""A policy in the configuration file: nothing that fails it enters the store, an image, or a build."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry, Status
from kubeimage import (
    Backends,
    BuildOptions,
    Digest,
    Platform,
    Reference,
    TrustError,
    UsageError,
    build_image,
    list_images,
    load_images,
    merge_images,
    open_backends,
    parse,
    pull_image,
    save_image,
    sign_image,
    tag_image,
    verify_image,
)
from kubeimage.image.referrers import cosign_tag
from kubeimage.settings import Settings, parse_settings
from kubeimage.signing.keys import read_private_key
from tests.kubeimage.packing.conftest import publish
from tests.kubeimage.signing.made import Blobs, signed, write_pair
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of

IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
OTHER = make_foreign(tar_of({"etc/a": b"two"}), architecture="arm64")
EVIL = make_foreign(tar_of({"etc/a": b"evil"}))
AMD64, ARM64 = Platform("linux", "amd64"), Platform("linux", "arm64")


class Site:
    """A store, a registry and two keys; ``policy`` is what the configuration file says of trust."""

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self.folder = folder
        self.registry = registry
        self.key = str(write_pair(folder))
        self.other = str(write_pair(folder, "ed25519", name="other"))
        self.policy = ""

    @property
    def name(self) -> Reference:
        return Reference(self.registry.host, "team/app", "1.0")

    def require(self, require: str = "signed", scope: str = "*", **also: str) -> None:
        """Set the policy to one rule."""
        keys = 'keys = ["key.pub"]' if require == "signed" else ""
        more = "".join(f'{name} = "{value}"\n' for name, value in also.items())
        self.policy = f'[trust."{scope}"]\nrequire = "{require}"\n{keys}\n{more}'

    def settings(self) -> Settings:
        """Read the configuration file; this registry needs no TLS."""
        text = f'[registry."{self.registry.host}"]\nplain-http = true\n{self.policy}'
        return parse_settings(text.encode(), file=str(self.folder / "config.toml"))

    def open(self, store: str = "store") -> AbstractContextManager[Backends]:
        """Open a store."""
        return open_backends(str(self.folder / store), self.settings(), mount="copy", isolation="none")

    def sign(self, digest: Digest, name: Reference | None = None, key: str | None = None) -> None:
        """Sign a digest in the registry, and nothing else of it."""
        blobs = Blobs()
        data = signed(read_private_key(key or self.key, "--key"), blobs, digest=digest, name=str(name or self.name))
        for blob in blobs.known.values():
            self.registry.put_blob("team/app", blob)
        self.registry.put_manifest("team/app", cosign_tag(digest, "sig"), data)

    def publish(self, *images: Foreign) -> Digest:
        """Put an image, or an index of two, into the registry."""
        both = dict(zip(("amd64", "arm64"), images, strict=False))
        return publish(self.registry, "team/app:1.0", images[0] if len(images) == 1 else both)

    def pull(self, *platforms: Platform) -> None:
        """Pull the image."""
        with self.open() as backends:
            pull_image(self.name, backends, platforms=platforms or (AMD64,))

    def names(self, store: str = "store") -> list[str]:
        """Return the names of a store."""
        with open_backends(str(self.folder / store), access="look") as backends:
            return sorted(str(one.reference) for one in list_images(backends))

    def build(self, kubefile: str, **options: object) -> None:
        """Build something on an image of the store."""
        (self.folder / "context").mkdir(exist_ok=True)
        made = BuildOptions(references=(Reference.parse("mine:1"),), platform=AMD64, **options)  # type: ignore[arg-type]
        with self.open() as backends:
            build_image(parse(kubefile), str(self.folder / "context"), backends, options=made)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with FakeRegistry() as registry:
        yield Site(tmp_path, registry)


def refused(site: Site, act: Callable[[], object], said: str) -> TrustError:
    """Find that an action is refused, and that the error says where the rule stands."""
    with pytest.raises(TrustError, match=said) as caught:
        act()
    assert f"{site.folder}/config.toml:3" in str(caught.value.hint)
    return caught.value


def test_without_a_policy_all_is_as_it_was(site: Site) -> None:
    site.publish(IMAGE)
    site.pull()

    assert site.names() == [str(site.name)]
    assert not any("sha256-" in call for call in site.registry.calls())


def test_an_image_that_is_not_signed_is_not_pulled(site: Site) -> None:
    top = site.publish(IMAGE)
    site.require()

    error = refused(site, site.pull, "is not signed as the policy asks: there is no signature")

    assert f"{site.name}@{top}" in error.message
    assert site.names() == []
    assert not any(str(layer.digest) in call for call in site.registry.calls() for layer in IMAGE.layers)


def test_a_signed_image_is_pulled(site: Site) -> None:
    site.sign(site.publish(IMAGE))
    site.require()
    site.pull()

    assert site.names() == [str(site.name)]


@pytest.mark.parametrize(
    ("digest", "name", "key", "said"),
    [
        (EVIL.descriptor.digest, None, None, "there is no signature"),
        (None, "other.example/team/app:1.0", None, "it is for other.example/team/app:1.0"),
        (None, None, "other", "it is by another key"),
    ],
    ids=["digest", "name", "key"],
)
def test_a_signature_for_something_else_does_not_help(
    site: Site, digest: Digest | None, name: str | None, key: str | None, said: str
) -> None:
    top = site.publish(IMAGE)
    site.sign(digest or top, Reference.parse(name) if name else None, site.other if key else None)
    site.require()

    refused(site, site.pull, said)


def test_a_signature_of_another_image_under_this_one_s_tag_does_not_help(site: Site) -> None:
    blobs = Blobs()
    data = signed(read_private_key(site.key, "--key"), blobs, digest=IMAGE.descriptor.digest, name=str(site.name))
    top = site.publish(EVIL)
    for blob in blobs.known.values():
        site.registry.put_blob("team/app", blob)
    site.registry.put_manifest("team/app", cosign_tag(top, "sig"), data)
    site.require()

    refused(site, site.pull, f"it is for another image, {IMAGE.descriptor.digest}")


def test_what_is_rejected_is_refused_signed_or_not(site: Site) -> None:
    site.sign(site.publish(IMAGE))
    site.require("reject", scope=site.registry.host)

    refused(site, site.pull, "is rejected by the policy")


def test_another_rule_accepts_what_the_rule_for_all_does_not(site: Site) -> None:
    site.publish(IMAGE)
    site.require("reject")
    site.policy += f'[trust."{site.registry.host}/team"]\nrequire = "accept"\n'
    site.pull()

    assert site.names() == [str(site.name)]


def test_a_signature_of_the_index_is_enough_for_all_platforms(site: Site) -> None:
    site.sign(site.publish(IMAGE, OTHER))
    site.require()
    site.pull(AMD64, ARM64)

    assert len(site.names()) == 2


def test_without_one_of_the_index_each_manifest_needs_its_own(site: Site) -> None:
    site.publish(IMAGE, OTHER)
    site.sign(IMAGE.descriptor.digest)
    site.require()

    refused(site, lambda: site.pull(AMD64, ARM64), "there is no signature")
    assert site.names() == []
    site.pull(AMD64)
    assert len(site.names()) == 1


def test_a_tag_that_moves_after_it_was_signed_is_not_pulled(site: Site) -> None:
    site.sign(site.publish(IMAGE))
    site.require()
    site.pull()
    site.publish(EVIL)

    refused(site, site.pull, "there is no signature")
    with site.open() as backends:
        assert {one.manifest for one in list_images(backends)} == {IMAGE.descriptor.digest}


def test_signatures_that_cannot_be_asked_for_are_none(site: Site) -> None:
    site.sign(site.publish(IMAGE))
    site.registry.on("GET */manifests/sha256-*", Status(403), times=None)
    site.require()

    refused(site, site.pull, "there is no signature; .+")


def test_a_key_that_cannot_be_read_is_an_error_with_its_rule(site: Site) -> None:
    site.sign(site.publish(IMAGE))
    site.require()
    site.policy = site.policy.replace("key.pub", "none.pub")

    with pytest.raises(UsageError, match=r'\[trust."\*"\] in .*config.toml:3: cannot read the key'):
        site.pull()


def test_one_of_several_keys_is_enough(site: Site) -> None:
    site.sign(site.publish(IMAGE), key=site.other)
    site.require()
    site.policy = site.policy.replace('"key.pub"', '"key.pub", "other.pub"')
    site.pull()

    assert site.names() == [str(site.name)]


@pytest.mark.parametrize("kubefile", ["FROM {}\n", "# syntax=sealos\nFROM scratch\nCOPY --from={} /etc/a /a\n"])
def test_a_build_on_what_is_fetched_or_is_here_heeds_the_policy(site: Site, kubefile: str) -> None:
    site.publish(IMAGE)
    kubefile = kubefile.format(site.name)
    site.require()
    refused(site, lambda: site.build(kubefile), "there is no signature")
    site.policy = ""
    site.pull()
    site.require()

    refused(site, lambda: site.build(kubefile), "there is no signature")
    refused(site, lambda: site.build(kubefile, pull="never"), "there is no signature")
    site.sign(IMAGE.descriptor.digest)
    site.build(kubefile)

    assert site.names() == [str(site.name), str(Reference.parse("mine:1"))]


def test_what_was_pulled_with_its_signatures_is_judged_again_without_a_network(site: Site) -> None:
    site.sign(site.publish(IMAGE))
    site.require()
    site.pull()
    site.registry.remove("team/app")
    site.build(f"FROM {site.name}\n", pull="never")
    with site.open() as backends:
        assert verify_image(site.name, backends).holds
        save_image(site.name, str(site.folder / "app.tar"), backends)
    with site.open("other") as backends:
        load_images(str(site.folder / "app.tar"), backends)

    assert site.names("other") == [str(site.name)]


def test_a_base_that_was_signed_here_needs_no_network(site: Site) -> None:
    site.publish(IMAGE)
    site.pull()
    with site.open() as backends:
        sign_image(site.name, site.key, backends)
    site.registry.remove("team/app")
    site.require()
    site.build(f"FROM {site.name}\n", pull="never")

    assert str(Reference.parse("mine:1")) in site.names()


def test_another_name_gives_an_image_no_trust(site: Site) -> None:
    site.publish(EVIL)
    site.pull()
    with site.open() as backends:
        sign_image(site.name, site.key, backends, identity="other.example/app:1")
        tag_image(site.name, Reference.parse("trusted.example/app:1"), backends)
    site.require(scope="trusted.example")

    refused(site, lambda: site.build("FROM trusted.example/app:1\n", pull="never"), "it is for other.example/app:1")


@pytest.mark.parametrize("platform", [None, AMD64])
def test_what_merge_brings_or_finds_heeds_the_policy(site: Site, platform: Platform | None) -> None:
    top = site.publish(IMAGE, OTHER)
    site.build("FROM scratch\n")
    afar = f"docker://{site.name}"

    def merge(*names: str) -> None:
        with site.open() as backends:
            merge_images(names, [Reference.parse("merged:1")], backends, platform=platform)

    site.require(scope=site.registry.host)
    refused(site, lambda: merge("mine:1", afar), "there is no signature")
    site.sign(top)
    merge("mine:1", afar)
    site.require()
    refused(site, lambda: merge("mine:1", afar), "mine:1@sha256:.* is not signed")


def archive_of(site: Site) -> str:
    """Return an archive of the image, made on a machine without a policy."""
    with site.open("other") as backends:
        pull_image(site.name, backends, platforms=(AMD64,))
        save_image(site.name, str(site.folder / "app.tar"), backends)
    return str(site.folder / "app.tar")


def load(site: Site, archive: str, *names: str) -> None:
    with site.open() as backends:
        load_images(archive, backends, references=[Reference.parse(one) for one in names])


def test_an_archive_that_is_not_signed_is_not_loaded(site: Site) -> None:
    site.publish(IMAGE)
    archive = archive_of(site)
    site.require()

    refused(site, lambda: load(site, archive), "there is no signature")
    assert site.names() == []


def test_a_name_that_load_gives_is_the_one_that_counts(site: Site) -> None:
    site.publish(IMAGE)
    archive = archive_of(site)
    site.require(scope="trusted.example")

    refused(site, lambda: load(site, archive, "trusted.example/app:1"), "trusted.example/app:1@sha256:.* is not signed")
    load(site, archive, "mine:1")
    assert site.names() == [str(Reference.parse("mine:1"))]


def test_a_docker_archive_has_no_signatures_to_be_loaded_with(site: Site) -> None:
    site.sign(site.publish(IMAGE))
    with site.open("other") as backends:
        pull_image(site.name, backends, platforms=(AMD64,))
        save_image(site.name, str(site.folder / "app.tar"), backends, form="docker-archive")
    site.require()

    refused(site, lambda: load(site, str(site.folder / "app.tar")), "there is no signature")


def test_an_archive_whose_signatures_are_here_is_loaded(site: Site) -> None:
    site.publish(IMAGE)
    archive = archive_of(site)
    load(site, archive)
    with site.open() as backends:
        sign_image(site.name, site.key, backends)
    site.require()
    load(site, archive)

    assert site.names() == [str(site.name)]


def test_verify_says_what_the_policy_refuses(site: Site) -> None:
    site.publish(IMAGE)
    site.pull()
    site.require()

    with site.open() as backends:
        found = verify_image(site.name, backends)
        sign_image(site.name, site.key, backends)
        signed_now = verify_image(site.name, backends)

    (said,) = found.untrusted
    assert "is not signed as the policy asks" in said
    assert "config.toml:3" in said
    assert found.is_whole
    assert not found.holds
    assert signed_now.holds


def test_no_byte_on_the_way_makes_a_strange_image_trusted(site: Site) -> None:
    """A changed manifest of signatures never lets another image in."""
    blobs = Blobs()
    data = signed(read_private_key(site.key, "--key"), blobs, digest=IMAGE.descriptor.digest, name=str(site.name))
    top = site.publish(EVIL)
    for blob in blobs.known.values():
        site.registry.put_blob("team/app", blob)
    site.require()

    for place in range(0, len(data), 37):
        changed = data[:place] + bytes([data[place] ^ (1 << place % 7)]) + data[place + 1 :]
        site.registry.put_manifest("team/app", cosign_tag(top, "sig"), changed)
        with pytest.raises(TrustError):
            site.pull()
