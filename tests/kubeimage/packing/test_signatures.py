"""Signatures that are packed beside their images are found without asking anybody."""

import json

import pytest

from harness.images.backends import memory_backends
from kubeimage.discovery.references import parse_image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.referrers import cosign_tag, fallback_tag
from kubeimage.layer.entry import file
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.layout import blob_path, tag_path
from kubeimage.packing.signatures import PackedImage, read_packed
from kubeimage.signing.found import Subjects
from kubeimage.signing.judging import Identity, judge_all
from kubeimage.signing.keys import PrivateKey
from kubeimage.signing.places import find_signatures
from tests.kubeimage.rehearsal.conftest import Files, Pack, packed
from tests.kubeimage.signing.conftest import *  # noqa: F403  the keys
from tests.kubeimage.signing.made import Blobs, bundle_manifest, message_bundle, signed
from tests.kubeimage.store.foreign import make_foreign, make_index, tar_of

AMD64 = Platform("linux", "amd64")
NAME = parse_image("registry.example.com/team/box:1")
IMAGE = make_foreign(tar_of({"etc/a": b"one"}))
INDEX = make_index([("amd64", IMAGE), ("arm64", make_foreign(tar_of({"etc/a": b"two"}), architecture="arm64"))])
BUNDLES = "application/vnd.oci.image.index.v1+json"


def read(files: Files, top: bytes) -> PackedImage:
    layers = memory_backends().layers
    made = layers.put([file(path, data) for path, data in sorted(files.items())])
    (found,) = read_packed(LayerFiles(layers, [StackedLayer(made.diff_id)]), {NAME: Digest.of(top)}, AMD64)
    return found


def tagged(tag: str, data: bytes, blobs: Blobs) -> Files:
    """Return the files of an artefact under a tag."""
    contents = {Digest.of(one): one for one in (data, *blobs.known.values())}
    link = {tag_path(NAME.with_tag(tag)): str(Digest.of(data)).encode()}
    return link | {blob_path(digest): one for digest, one in contents.items()}


def signers(found: PackedImage, key: PrivateKey) -> list[str]:
    subjects = Subjects.of(*found.documents)
    verdicts = judge_all(find_signatures(found.referrers, subjects), [key.public], subjects, Identity(NAME))
    return ["signed" if one.key is not None else one.reason for one in verdicts]


@pytest.mark.parametrize("top", [IMAGE.manifest, INDEX], ids=["manifest", "index"])
@pytest.mark.parametrize("child", [False, True])
def test_a_signature_under_cosign_s_tag_is_found(key: PrivateKey, top: bytes, child: bool) -> None:
    digest = IMAGE.descriptor.digest if child else Digest.of(top)
    blobs = Blobs()
    data = signed(key, blobs, digest=digest, name=str(NAME))
    files = packed(Pack(str(NAME), IMAGE, top)) | tagged(cosign_tag(digest, "sig"), data, blobs)

    assert signers(read(files, top), key) == ["signed"]


def test_a_bundle_in_the_list_under_the_tag_is_found(key: PrivateKey) -> None:
    bundle = json.dumps(message_bundle(key, IMAGE.manifest)).encode()
    manifest = bundle_manifest(bundle, IMAGE.manifest)
    listed = Descriptor.of("application/vnd.oci.image.manifest.v1+json", manifest).to_json()
    index = json.dumps({"schemaVersion": 2, "mediaType": BUNDLES, "manifests": [listed]}).encode()
    files = packed(Pack(str(NAME), IMAGE)) | tagged(
        fallback_tag(IMAGE.descriptor.digest), index, Blobs([manifest, bundle, b"{}"])
    )

    assert signers(read(files, IMAGE.manifest), key) == ["signed"]


@pytest.mark.parametrize("what", ["link", "manifest", "payload"])
def test_a_signature_that_is_damaged_is_none(key: PrivateKey, what: str) -> None:
    blobs = Blobs()
    data = signed(key, blobs, digest=IMAGE.descriptor.digest, name=str(NAME))
    tag = cosign_tag(IMAGE.descriptor.digest, "sig")
    files = tagged(tag, data, blobs)
    payload = Digest.parse(json.loads(data)["layers"][0]["digest"])
    path = {"link": tag_path(NAME.with_tag(tag)), "manifest": blob_path(Digest.of(data)), "payload": blob_path(payload)}
    files[path[what]] = files[path[what]][:-1] + b"!"

    assert "signed" not in signers(read(packed(Pack(str(NAME), IMAGE)) | files, IMAGE.manifest), key)


def test_an_image_that_is_missing_has_no_documents() -> None:
    found = read({"etc/a": b""}, IMAGE.manifest)

    assert (found.top, found.documents) == (IMAGE.descriptor.digest, ())
