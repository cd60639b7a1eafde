"""Whatever refers to whatever: all of it comes from a registry, goes through a file, and arrives as it was."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.registry import FakeRegistry
from kubeimage.api import archives, distribution, loading
from kubeimage.api.backends import open_backends
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, fallback_tag
from kubeimage.image.referring import DEEPEST
from kubeimage.settings import HostSettings, Settings
from tests.artefacts import MANIFEST, NOTATION, SPDX, Made, cosign_artifact, oras_artifact
from tests.kubeimage.store.foreign import make_foreign, tar_of
from tests.properties.examples import examples

IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
INDEX = "application/vnd.oci.image.index.v1+json"


class Attached(NamedTuple):
    """An artefact: to what it is attached (0 is the image, else one before it), and what it is."""

    to: int
    kind: str
    content: bytes


def attachments() -> st.SearchStrategy[list[Attached]]:
    kinds = st.sampled_from([SPDX, NOTATION, "sig", "att", "sbom"])
    return st.lists(st.builds(Attached, st.integers(0, 5), kinds, st.binary(min_size=1, max_size=50)), max_size=6)


def make(listed: list[Attached]) -> list[Made]:
    """Make artefacts; one tag leads to the last one only, and nothing stands deeper than is allowed."""
    made: dict[tuple[Digest, str], Made] = {}
    below: list[tuple[bytes, int]] = [(IMAGE.manifest, 0)]
    for one in listed:
        subject, depth = below[one.to % len(below)]
        if depth == DEEPEST:
            continue
        by_tag = "/" not in one.kind
        artefact = (
            cosign_artifact(subject, one.kind, one.content) if by_tag else oras_artifact(subject, one.content, one.kind)
        )
        # No tool makes one manifest for two tags, nor one that its own tag leads to.
        if (by_tag and (artefact.subject, str(artefact.tag)) in made) or artefact.data in dict(below):
            continue
        made[artefact.subject, str(artefact.tag or artefact.digest)] = artefact
        below.append((artefact.data, depth + 1))
    return list(made.values())


@given(attachments(), st.booleans())
@examples(0.1)
def test_all_that_was_attached_arrives(listed: list[Attached], lists: bool) -> None:
    artefacts = make(listed)
    with TemporaryDirectory() as folder, FakeRegistry(referrers=lists, referrers_page=2) as registry:
        publish(registry, artefacts, lists=lists)
        name = Reference.parse(f"{registry.host}/team/app:v1")
        settings = Settings(hosts={registry.host: HostSettings(plain_http=True)})
        archive, there = str(Path(folder, "app.tar")), str(Path(folder, "there"))
        with open_backends(str(Path(folder, "here")), settings) as backends:
            distribution.pull_image(name, backends, referrers=ALL_REFERRERS)
            archives.save_image(name, archive, backends)
        with open_backends(there, settings) as backends:
            loading.load_images(archive, backends)
            registry.remove("team/app")
            distribution.push_image(name, backends)
            assert [finding for finding in backends.store_on_disk("look").check() if finding.damage] == []

        for one in artefacts:
            assert registry.content.manifest("team/app", str(one.tag or one.digest)).data == one.data
            for digest, data in one.blobs.items():
                assert registry.content.blob("team/app", digest) == data
        assert listed_in(registry, lists=lists) == {(one.subject, one.digest) for one in artefacts if one.tag is None}


def publish(registry: FakeRegistry, artefacts: list[Made], *, lists: bool) -> None:
    for blobs in (IMAGE.blobs, *(one.blobs for one in artefacts)):
        for data in blobs.values():
            registry.put_blob("team/app", data)
    registry.put_manifest("team/app", "v1", IMAGE.manifest)
    for one in artefacts:
        registry.put_manifest("team/app", one.tag, one.data)
    for subject in {one.subject for one in artefacts if one.tag is None} if not lists else ():
        entries = [
            {"mediaType": MANIFEST, "digest": str(one.digest), "size": len(one.data)}
            for one in artefacts
            if one.subject == subject and one.tag is None
        ]
        data = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
        registry.put_manifest("team/app", fallback_tag(subject), data)


def listed_in(registry: FakeRegistry, *, lists: bool) -> set[tuple[Digest, Digest]]:
    """Return what the registry lists, by its subject."""
    content = registry.content
    found = set()
    for digest in list(content.repository("team/app").manifests):
        if lists:
            entries = content.referrers("team/app", digest)
        elif fallback_tag(digest) in content.tags("team/app"):
            entries = json.loads(content.manifest("team/app", fallback_tag(digest)).data)["manifests"]
        else:
            continue
        found |= {(digest, Digest.parse(one["digest"])) for one in entries}
    return found
