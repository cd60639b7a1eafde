"""The proof that images are whole, on layers held in memory."""

from collections.abc import Callable, Mapping

import pytest

from harness.fakes.stores import MemoryLayerStore
from kubeimage.discovery.references import parse_image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, canonical_order, directory, file
from kubeimage.layer.names import ancestors
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.closure import find_flaws, find_stand_ins
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.layout import Contents, blob_path, layer_path, revision_path, tag_path
from tests.containers import small_image
from tests.kubeimage.packing.cuts import files_of
from tests.kubeimage.store.foreign import Foreign, make_foreign, make_index, tar_of

NAME = parse_image("r.io/team/app:v1")
AMD64 = Platform("linux", "amd64")
ONE, OTHER = small_image("one"), small_image("other", architecture="arm64")

Files = dict[str, bytes]


def packed(image: Foreign, index: bytes | None = None) -> Files:
    """Return the files of one packed image."""
    top = image.manifest if index is None else index
    manifests = {Digest.of(data): data for data in (top, image.manifest)}
    described = tuple(Descriptor("", digest, len(data)) for digest, data in manifests.items())
    contents = Contents(NAME, Digest.of(top), described, image.config, image.layers)
    return files_of([contents], {**manifests, **image.blobs})


def flaws_of(files: Mapping[str, bytes], wanted: Digest | None = None, name: str = str(NAME)) -> list[str]:
    layers = MemoryLayerStore()
    entries: dict[str, Entry] = {path: file(path, data) for path, data in files.items()}
    entries |= {folder: directory(folder) for path in files for folder in ancestors(path)}
    stored = layers.put(canonical_order(entries.values()))
    rootfs = LayerFiles(layers, [StackedLayer(stored.diff_id)])
    return [f"{flaw.what} ({flaw.where})" for flaw in find_flaws(rootfs, {parse_image(name): wanted}, AMD64)]


@pytest.mark.parametrize("index", [None, make_index([("arm64", OTHER), ("amd64", ONE)])], ids=["manifest", "index"])
def test_what_was_packed_is_whole(index: bytes | None) -> None:
    assert flaws_of(packed(ONE, index)) == []


BLOBS = [pytest.param(Digest.of(ONE.manifest), id="manifest"), pytest.param(ONE.config.digest, id="config")]
BLOBS += [pytest.param(layer.digest, id="layer") for layer in ONE.layers]


def drop(files: Files, path: str) -> None:
    del files[path]


def truncate(files: Files, path: str) -> None:
    files[path] = files[path][:-1]


def swap(files: Files, path: str) -> None:
    files[path] = files[path][::-1]


@pytest.mark.parametrize("damage", [drop, truncate, swap])
@pytest.mark.parametrize("digest", BLOBS)
def test_any_blob_that_is_damaged_is_named(digest: Digest, damage: Callable[[Files, str], None]) -> None:
    files = packed(ONE)

    damage(files, blob_path(digest))

    (flaw,) = flaws_of(files)
    assert str(digest) in flaw
    assert blob_path(digest) in flaw


@pytest.mark.parametrize(
    "path",
    [
        tag_path(NAME),
        revision_path(NAME, Digest.of(ONE.manifest)),
        layer_path(NAME, ONE.config.digest),
        layer_path(NAME, ONE.layers[0].digest),
    ],
    ids=["tag", "revision", "config", "layer"],
)
@pytest.mark.parametrize("damage", [drop, swap])
def test_any_link_that_is_damaged_is_named(path: str, damage: Callable[[Files, str], None]) -> None:
    files = packed(ONE)

    damage(files, path)

    (flaw,) = flaws_of(files)
    assert path in flaw


def test_a_tag_that_leads_elsewhere_is_named() -> None:
    digest = Digest.of(b"another")

    assert any(f"leads to {Digest.of(ONE.manifest)}, not to {digest}" in flaw for flaw in flaws_of(packed(ONE), digest))


@pytest.mark.parametrize("recorded", [None, Digest.of(ONE.manifest), Digest.of(b"another")])
@pytest.mark.parametrize("own", [Digest.of(ONE.manifest), Digest.of(b"another")])
def test_a_digest_in_a_name_is_what_counts(own: Digest, recorded: Digest | None) -> None:
    """Whatever was recorded of it."""
    flaws = flaws_of(packed(ONE), recorded, f"{NAME}@{own}")

    assert (flaws == []) == (own == Digest.of(ONE.manifest))
    assert all(str(own) in flaw for flaw in flaws[:1])


OTHER_HOST = parse_image("s.io/team/app:v1")
ONE_DIGEST, ANOTHER = Digest.of(b"1"), Digest.of(b"2")


@pytest.mark.parametrize(
    ("named", "recorded", "answers"),
    [
        pytest.param(NAME, {NAME: ONE_DIGEST}, True, id="it is packed itself"),
        pytest.param(NAME, {OTHER_HOST: ONE_DIGEST}, False, id="one of another registry is packed"),
        pytest.param(NAME, {NAME: ONE_DIGEST, OTHER_HOST: ONE_DIGEST}, True, id="both are packed"),
        pytest.param(NAME, {parse_image("s.io/team/app:v2"): ONE_DIGEST}, True, id="only another tag is packed"),
        pytest.param(parse_image(f"{NAME}@{ONE_DIGEST}"), {OTHER_HOST: ONE_DIGEST}, True, id="the same by its digest"),
        pytest.param(parse_image(f"{NAME}@{ANOTHER}"), {OTHER_HOST: ONE_DIGEST}, False, id="another by its digest"),
    ],
)
def test_nobody_answers_for_an_image_but_what_is_the_same(
    named: Reference, recorded: dict[Reference, Digest], answers: bool
) -> None:
    assert (find_stand_ins([named], recorded) == ()) == answers


def test_an_image_for_another_machine_is_named() -> None:
    (flaw,) = flaws_of(packed(OTHER))

    assert "it is for linux/arm64, not for linux/amd64" in flaw


def test_an_index_without_this_machine_is_named() -> None:
    (flaw,) = flaws_of(packed(OTHER, make_index([("arm64", OTHER)])))

    assert "has nothing for linux/amd64" in flaw


def test_an_image_that_is_not_there_is_named() -> None:
    (flaw,) = flaws_of(packed(ONE), name="r.io/gone:v1")

    assert "the tag is missing" in flaw


def test_a_manifest_that_is_none_is_named() -> None:
    image = make_foreign(tar_of({"a": b""}))
    broken = Foreign(b'{"schemaVersion": 2}', image.config, image.layers, image.blobs, image.media_type)

    (flaw,) = flaws_of(packed(broken))

    assert "cannot be read" in flaw
