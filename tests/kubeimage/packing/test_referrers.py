"""What refers to packed images is packed as well, and a stock registry serves it."""

import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry, Status
from harness.images.backends import memory_backends
from kubeimage.api.exporting import export_image
from kubeimage.api.serving import serve_image
from kubeimage.builder.executor import BuildResult
from kubeimage.discovery.references import parse_image
from kubeimage.discovery.search import PullImages
from kubeimage.errors import PackingError, RegistryError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, NO_REFERRERS, ReferrerChoice
from kubeimage.layer.entry import Kind, canonical_order, file
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.closure import find_flaws
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.layout import blob_path, revision_path
from kubeimage.registry.referrers import RepositoryReferrers
from kubeimage.registry.registries import Registries
from kubeimage.settings import HostSettings, Settings
from tests.artefacts import NOTATION, Made, cosign_artifact, oras_artifact
from tests.kubeimage.packing.conftest import AMD64, Workshop, listing, publish
from tests.kubeimage.store.foreign import make_foreign, tar_of
from tests.registries import docker_registry

IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
OTHER = make_foreign(tar_of({"etc/a": b"two"}), architecture="arm64")
SUBJECT = IMAGE.descriptor.digest
SBOM, SIGNATURE = oras_artifact(IMAGE.manifest), cosign_artifact(IMAGE.manifest)
NOTE = oras_artifact(SBOM.data, b"a signature of the SBOM", NOTATION)
ALL = (SBOM, SIGNATURE, NOTE)


def attach(registry: FakeRegistry, *artefacts: Made, repository: str = "team/box") -> None:
    for one in artefacts:
        for data in one.blobs.values():
            registry.put_blob(repository, data)
        registry.put_manifest(repository, one.tag, one.data)


def pack(
    workshop: Workshop, *names: str, referrers: ReferrerChoice | None = ALL_REFERRERS, policy: PullImages = "missing"
) -> BuildResult:
    return workshop.build(listing(*names), policy, name="mine:1", referrers=referrers)


def found_at(address: str, *subjects: Digest, repository: str = "team/box") -> set[Digest]:
    """Return what a registry has that refers to subjects, once all of it was read."""
    settings = Settings(hosts={address: HostSettings(plain_http=True)})
    with Registries(settings) as registries:
        there = RepositoryReferrers(registries.repository(Reference.parse(f"{address}/{repository}:1")))
        found = there.walk(subjects)
        for one in found:
            for blob in one.blobs:
                there.read_blob(blob)
        return {one.referrer.digest for one in found}


def served(workshop: Workshop, *subjects: Digest) -> set[Digest]:
    with workshop.open() as backends, serve_image("mine:1", backends, packed=True) as registry:
        assert all("sha256-" not in name for name in registry.images)
        return found_at(registry.address, *subjects)


def test_what_is_packed_is_served(workshop: Workshop, registry: FakeRegistry) -> None:
    top = publish(registry, "team/box:1", {"amd64": IMAGE, "arm64": OTHER})
    of_index = oras_artifact(registry.content.manifest("team/box", "1").data, b"about all platforms")
    of_arm = oras_artifact(OTHER.manifest, b"about a platform that is not packed")
    attach(registry, *ALL, of_index, of_arm)

    pack(workshop, f"{registry.host}/team/box:1")

    assert served(workshop, top, SUBJECT) == {one.digest for one in (*ALL, of_index)}


@pytest.mark.needs("docker-registry")
def test_a_stock_registry_serves_the_folder(workshop: Workshop, registry: FakeRegistry, tmp_path: Path) -> None:
    publish(registry, "team/box:1", IMAGE)
    attach(registry, *ALL)
    pack(workshop, f"{registry.host}/team/box:1")
    with workshop.open() as backends:
        export_image("mine:1", str(tmp_path / "rootfs"), backends)
    (tmp_path / "stock").mkdir()
    (tmp_path / "stock/data").symlink_to(tmp_path / "rootfs/registry")

    with docker_registry(tmp_path / "stock") as url:
        assert found_at(url.removeprefix("http://"), SUBJECT) == {one.digest for one in ALL}
        tags = json.loads(urllib.request.urlopen(f"{url}/v2/team/box/tags/list", timeout=20).read())["tags"]
    assert set(tags) == {"1", f"sha256-{SUBJECT.hex}", f"sha256-{SBOM.digest.hex}", SIGNATURE.tag}


def test_equal_artefacts_give_equal_images(workshop: Workshop, registry: FakeRegistry) -> None:
    publish(registry, "team/box:1", IMAGE)
    attach(registry, *ALL)
    name = f"{registry.host}/team/box:1"

    first = pack(workshop, name)
    again = pack(workshop, name, policy="always")
    registry.forget()
    offline = pack(workshop, name, policy="never")

    assert {first.image.id} == {again.image.id, offline.image.id}
    assert registry.calls() == []
    assert served(workshop, SUBJECT) == {one.digest for one in ALL}


def test_images_without_artefacts_are_what_they_were(workshop: Workshop, registry: FakeRegistry) -> None:
    """Nobody's image changes for an option that finds nothing, and nobody is asked who did not want it."""
    publish(registry, "team/box:1", IMAGE)
    name = f"{registry.host}/team/box:1"
    plain = pack(workshop, name, referrers=None)
    assert not any("referrers" in call for call in registry.calls())

    assert pack(workshop, name).image.id == plain.image.id
    attach(registry, SBOM)
    assert pack(workshop, name, referrers=NO_REFERRERS).image.id == plain.image.id
    assert pack(workshop, name, policy="always").image.id != plain.image.id


def test_what_nobody_was_asked_for_is_told(workshop: Workshop, registry: FakeRegistry) -> None:
    publish(registry, "team/box:1", IMAGE)
    attach(registry, SBOM)
    name = f"{registry.host}/team/box:1"
    pack(workshop, name, referrers=None)

    pack(workshop, name, policy="never")

    assert any("nobody was asked" in str(event) for event in workshop.events)


def test_a_base_that_has_the_image_lacks_what_refers_to_it(workshop: Workshop, registry: FakeRegistry) -> None:
    """The image is below already: only what refers to it makes a layer."""
    publish(registry, "team/box:1", IMAGE)
    name = f"{registry.host}/team/box:1"
    workshop.build(listing(name), name="base:1")
    attach(registry, *ALL)

    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{containers: [{{name: a, image: {name}}}]}}\n"
    above = workshop.build(
        {"manifests/a.yaml": pod}, "always", kubefile="FROM base:1\nCOPY . .\n", name="mine:1", referrers=ALL_REFERRERS
    )

    assert served(workshop, SUBJECT) == {one.digest for one in ALL}
    packed = [layer for layer in above.image.layers if layer.kind == "BASE" and "cache" in layer.value]
    once_more = workshop.build(
        {"manifests/b.yaml": pod}, "missing", kubefile="FROM mine:1\nCOPY . .\n", name="more:1", referrers=ALL_REFERRERS
    )
    assert [one for one in once_more.image.layers if one.kind == "BASE" and "cache" in one.value] == packed


def test_artefacts_that_cannot_be_had_end_the_build(workshop: Workshop, registry: FakeRegistry) -> None:
    publish(registry, "team/box:1", IMAGE)
    attach(registry, SBOM)
    registry.on(f"GET */manifests/{SBOM.digest}", Status(404), times=None)

    with pytest.raises(RegistryError, match="is listed as referring to"):
        pack(workshop, f"{registry.host}/team/box:1")


def test_two_registries_with_other_signatures_under_one_tag_are_refused(
    workshop: Workshop, registry: FakeRegistry, tmp_path: Path
) -> None:
    with FakeRegistry() as other:
        for one, content in ((registry, b"one"), (other, b"another")):
            publish(one, "team/box:1", IMAGE)
            attach(one, cosign_artifact(IMAGE.manifest, content=content))
        both = Workshop(tmp_path / "both", lambda: [registry.host, other.host])
        publish(other, "team/box:2", IMAGE)

        with pytest.raises(PackingError, match="have other signatures under one tag"):
            pack(both, f"{registry.host}/team/box:1", f"{other.host}/team/box:2")


def test_the_proof_names_what_is_lost_of_them(workshop: Workshop, registry: FakeRegistry) -> None:
    """Who packs a signature wants it whole: each of its files is missed, and none that was never there."""
    publish(registry, "team/box:1", IMAGE)
    attach(registry, *ALL)
    name = parse_image(f"{registry.host}/team/box:1")
    image = pack(workshop, str(name)).image
    with workshop.open() as backends:
        packed = LayerFiles(backends.layers, [StackedLayer(one.diff_id) for one in image.layers])
        files = dict(packed.read([path for path, entry in packed.tree.items() if entry.kind is Kind.FILE]))
    lost = [path for path in files if "sha256-" in path and path.endswith("current/link")]
    content = next(digest for digest, data in SBOM.blobs.items() if len(data) > 2)
    assert len(lost) == 3
    assert flaws(files, name) == []
    for path, what in {
        blob_path(SBOM.digest): f"the artefact {SBOM.digest} is missing",
        blob_path(NOTE.digest): f"the artefact {NOTE.digest} is missing",
        blob_path(content): f"the artefact's blob {content} is missing",
        revision_path(name, SIGNATURE.digest): f"the link to {SIGNATURE.digest} is missing",
    }.items():
        assert flaws({one: data for one, data in files.items() if one != path}, name) == [what]


def flaws(files: Mapping[str, bytes], name: Reference) -> list[str]:
    layers = memory_backends().layers
    made = layers.put(list(canonical_order(file(path, data) for path, data in files.items())))
    found = find_flaws(LayerFiles(layers, [StackedLayer(made.diff_id)]), {name: SUBJECT}, AMD64)
    return [one.what for one in found]
