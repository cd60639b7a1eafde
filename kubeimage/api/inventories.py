"""What a place has: this store, an image, an archive, a registry. What is listed need not be sent there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import field

from kubeimage.api.backends import Backends
from kubeimage.api.bringing import find_manifest
from kubeimage.api.finding import ImageName
from kubeimage.api.loading import open_archives
from kubeimage.archive.inventory import Inventory, InventoryRow, make_inventory
from kubeimage.errors import ArchiveError, BlobCorruptError, BlobNotFoundError, LayerError, UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import is_layer
from kubeimage.image.oci import Descriptor
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS
from kubeimage.image.referring import FoundReferrer
from kubeimage.protocols.transfer import Budget, WireForm, WireImage
from kubeimage.sources.names import is_source_name
from kubeimage.values import dataclass

_LARGEST = 64 << 20
_WHOLE = WireForm(referrers=ALL_REFERRERS)


def take_inventory(name: ImageName | None, backends: Backends, *, platform: Platform | None = None) -> Inventory:
    """Return what the store has, or one image, in the store or elsewhere; ``None`` stands for all of the store.

    Raises: ImageNotFoundError, ReferenceFormatError; for an image outside the store UsageError, ArchiveError,
        RegistryError; StoreError.
    """
    if isinstance(name, str) and is_source_name(name):
        return _of_source(name, backends, platform)
    store = backends.store_on_disk("read")
    if name is not None:
        reference, key = find_manifest(name, backends, platform=platform)
        image = store.exporter.depart(key, _WHOLE, platform).finish()
        return make_inventory(_rows_of_image(image, reference))
    rows: list[InventoryRow] = []
    warnings: list[str] = []
    for reference, manifest in _names(backends):
        try:
            image = store.exporter.depart(reference or manifest, _WHOLE).finish()
        except (BlobNotFoundError, BlobCorruptError, LayerError) as error:
            warnings.append(f"{reference or manifest} is damaged, and left out: {error.message}")
            continue
        rows += _rows_of_image(image, reference)
    return make_inventory(rows, warnings)


def find_inventory(source: str, backends: Backends) -> Inventory:
    """Return what ``source`` has.

    Shape:  ``source`` is a file with an inventory, an archive (whole, without something, or a folder of parts), an
            image elsewhere as in ``docker://HOST/NAME``, or an image of the store.
    Raises: as ``take_inventory``; UsageError for a file that is none of these.
    """
    if is_source_name(source) or not os.path.exists(source):
        return take_inventory(source, backends)
    if not (os.path.isdir(source) or os.path.isfile(source)):
        raise UsageError(f"cannot read {source!r}: it is neither a file nor a folder")
    if os.path.isdir(source) or _is_archive(source):
        return _of_archives(source, backends)
    return Inventory.parse(_read_text(source), what=source)


def _is_archive(path: str) -> bool:
    from kubeimage.archive.members import is_compressed
    from kubeimage.layer.header import BLOCK

    try:
        with open(path, "rb") as file:
            # Text holds no NUL, and a tar's header always does.
            return is_compressed(file) or b"\0" in file.read(BLOCK)
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from error


def _read_text(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path!r}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise UsageError(f"{path!r} is larger than the {_LARGEST >> 20} MiB of any inventory")
    return data


def _names(backends: Backends) -> list[tuple[Reference | None, Digest]]:
    """Return each name of the store once, and each image that has none."""
    named: dict[Reference | Digest, tuple[Reference | None, Digest]] = {}
    for record in backends.images.records():
        named.setdefault(record.reference or record.manifest, (record.reference, record.manifest))
    return [*named.values()]


def _rows_of_image(image: WireImage, reference: Reference | None) -> Iterator[InventoryRow]:
    yield InventoryRow("image", image.top.digest, image.top.size, reference)
    for document in image.documents:
        if document.descriptor.digest != image.top.digest:
            yield InventoryRow("manifest", document.descriptor.digest, len(document.data), reference)
    yield from _rows_of_blobs(image.blobs, reference)
    for found in image.referrers:
        yield InventoryRow("manifest", found.referrer.digest, len(found.data), reference)
        for listed, data in found.inner:
            yield InventoryRow("manifest", listed.digest, len(data), reference)
        yield from (InventoryRow("blob", blob.digest, blob.size, reference) for blob in found.blobs)


def _rows_of_blobs(blobs: Iterable[Descriptor], reference: Reference | None) -> Iterator[InventoryRow]:
    for blob in blobs:
        kind = "layer" if is_layer(blob.media_type) else "config" if "config" in blob.media_type else "blob"
        yield InventoryRow(kind, blob.digest, blob.size, reference)


def _of_source(name: str, backends: Backends, platform: Platform | None) -> Inventory:
    if backends.sources is None:
        raise UsageError(f"these backends know no images outside the store: {name!r}")
    listed = backends.sources.list_blobs(name, platform)
    reference = _reference_of(name)
    top = InventoryRow("image", listed.top.digest, listed.top.size, reference)
    manifests = [InventoryRow("manifest", one.digest, one.size, reference) for one in listed.manifests]
    return make_inventory([top, *manifests, *_rows_of_blobs(listed.blobs, reference)])


def _reference_of(name: str) -> Reference | None:
    """Return the name of an image in a registry, for in a file it is called as people like."""
    if not name.startswith("docker://"):
        return None
    from kubeimage.sources.remote import parse_remote_name

    return parse_remote_name(name.removeprefix("docker://"))


@dataclass(frozen=True)
class _Recorder:
    """An intake that takes nothing, and knows what it was offered."""

    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, Descriptor] = field(default_factory=dict)

    def has_blob(self, descriptor: Descriptor) -> bool:
        self.blobs[descriptor.digest] = descriptor
        return True

    def put_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:  # noqa: ARG002  nothing is read
        self.blobs[descriptor.digest] = descriptor

    def put_manifest(self, data: bytes) -> Descriptor:
        from kubeimage.image.oci import parse_document

        descriptor = Descriptor.of(parse_document(data).media_type, data)
        self.manifests[descriptor.digest] = descriptor
        return descriptor

    def put_artifact_blob(self, descriptor: Descriptor, chunks: Iterable[bytes]) -> None:  # noqa: ARG002  as above
        self.blobs[descriptor.digest] = descriptor

    def put_referrer(self, found: FoundReferrer) -> None:
        self.manifests[found.referrer.digest] = found.referrer.manifest


def _of_archives(source: str, backends: Backends) -> Inventory:
    """Return what who has loaded the archive has: what it leaves out as well, for that must have been there."""
    from kubeimage.archive.loading import take_in

    store = backends.store_on_disk("read")
    rows: list[InventoryRow] = []
    with ExitStack() as stack:
        for members in open_archives([source], store, Budget().total, stack):
            recorder = _Recorder()
            for one in take_in(members, recorder):
                reference = next(iter(one.references), None)
                rows.append(InventoryRow("image", Digest.of(one.data), len(one.data), reference))
                manifests = [digest for digest in recorder.manifests if digest != Digest.of(one.data)]
                rows += [InventoryRow("manifest", one, recorder.manifests[one].size, reference) for one in manifests]
                rows += _rows_of_blobs(recorder.blobs.values(), reference)
                recorder.blobs.clear()
                recorder.manifests.clear()
    if not rows:
        raise ArchiveError(f"there is no image in {source}")
    return make_inventory(rows)


__all__ = ["Inventory", "find_inventory", "take_inventory"]
