"""Proofs under forgery: well-formed links to the wrong thing, and true digests of the wrong bytes.

Three images of three layers each, so that "the first one" and "another one" are not the same.
"""

from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.stores import MemoryLayerStore
from kubeimage.discovery.references import parse_image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, canonical_order, directory, file
from kubeimage.layer.names import ancestors
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.closure import find_flaws
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.layout import Contents
from tests.kubeimage.packing.cuts import files_of
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of
from tests.properties.examples import examples

NAMES = [parse_image(f"r.io/team/app{number}:v{number}") for number in range(3)]
IMAGES: list[Foreign] = [
    make_foreign(*(tar_of({f"{number}{layer}": b"x" * layer}) for layer in range(3))) for number in range(3)
]
BLOBS: dict[Digest, bytes] = {digest: data for image in IMAGES for digest, data in image.blobs.items()}


def packed() -> dict[str, bytes]:
    contents = [
        Contents(name, top, (Descriptor("", top, len(image.manifest)),), image.config, image.layers)
        for name, image in zip(NAMES, IMAGES, strict=True)
        for top in [Digest.of(image.manifest)]
    ]
    return files_of(contents, {**BLOBS, **{Digest.of(image.manifest): image.manifest for image in IMAGES}})


def flaws_of(files: dict[str, bytes]) -> list[str]:
    layers = MemoryLayerStore()
    entries: dict[str, Entry] = {path: file(path, data) for path, data in files.items()}
    entries |= {folder: directory(folder) for path in files for folder in ancestors(path)}
    stored = layers.put(canonical_order(entries.values()))
    rootfs = LayerFiles(layers, [StackedLayer(stored.diff_id)])
    platform = Platform("linux", "amd64")
    wanted = {name: Digest.of(image.manifest) for name, image in zip(NAMES, IMAGES, strict=True)}
    return [f"{flaw.where}: {flaw.what}" for flaw in find_flaws(rootfs, wanted, platform)]


FILES = packed()
LINKS = sorted(path for path in FILES if path.endswith("/link") and "/index/" not in path)
DATA = sorted(path for path in FILES if path.endswith("/data"))
forgeries = st.sampled_from(
    [
        *(str(digest).encode() for digest in BLOBS),
        b"", b"sha256:", b"sha256:" + b"0" * 63, b"sha256:" + b"g" * 64, b"sha512:" + b"0" * 128,
    ]
)  # fmt: skip
wrappings = st.sampled_from([b"%b", b"%b%%%%", b"x%b", b"%b0", b"%b\nx", b"\0%b", b"[%b]"])


def test_what_was_packed_is_whole() -> None:
    assert flaws_of(FILES) == []
    assert len(LINKS) >= 3 * 6


@examples(1)
@given(st.sampled_from(LINKS), forgeries)
def test_a_link_to_another_thing_is_named(path: str, forged: bytes) -> None:
    if forged == FILES[path].strip():
        return

    assert any(flaw.startswith(path) for flaw in flaws_of(FILES | {path: forged}))


@examples(1)
@given(st.sampled_from(LINKS), wrappings)
def test_a_link_with_more_in_it_is_named(path: str, wrapping: bytes) -> None:
    forged = wrapping.replace(b"%b", FILES[path]).replace(b"%%", b"%")
    if forged.strip() == FILES[path].strip():
        return

    assert any(flaw.startswith(path) for flaw in flaws_of(FILES | {path: forged}))


@examples(1)
@given(st.sampled_from(LINKS))
def test_a_link_that_is_not_there_is_named(gone: str) -> None:
    assert any(flaw.startswith(gone) for flaw in flaws_of({path: data for path, data in FILES.items() if path != gone}))


@examples(0.4)
@given(st.sampled_from(DATA), st.sampled_from(DATA), st.integers(0, 10_000))
def test_a_blob_with_the_bytes_of_another_is_named(path: str, other: str, place: int) -> None:
    data = bytearray(FILES[path])
    data[place % len(data)] ^= 1
    for forged in (bytes(data), FILES[other], FILES[path] + b"\0", FILES[path][:-1]):
        if forged != FILES[path]:
            assert any(flaw.startswith(path) for flaw in flaws_of(FILES | {path: forged})), forged[:60]
