"""Images from elsewhere in a store: one for the time being, to write them in another form, or the backends' own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.errors import ImageNotFoundError, KubeimageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import NO_REFERRERS, ReferrerChoice
from kubeimage.protocols.transfer import Departure, WireForm
from kubeimage.sources.names import is_source_name, parse_source_name
from kubeimage.sources.remote import parse_remote_name
from kubeimage.sources.wire import bring, wire_image
from kubeimage.store import Store


@contextmanager
def departing(
    name: ImageName, backends: Backends, form: WireForm, platform: Platform | None
) -> Iterator[tuple[Reference | None, Departure]]:
    """Yield what an image is called, and itself on its way out of a store.

    Shape:  one from elsewhere is brought into a store for the time being, below TMPDIR; nothing is left of it.
    Raises: ImageNotFoundError, UsageError; ArchiveError, RegistryError, BlobCorruptError; StoreError.
    """
    if not (isinstance(name, str) and is_source_name(name)):
        store = backends.store_on_disk("read")
        reference, key = find_manifest(name, backends, platform=platform)
        yield reference, store.exporter.depart(key, form, platform)
        return
    with tempfile.TemporaryDirectory(prefix="kubeimage-") as folder, Store.open(f"{folder}/store") as store:
        top = _brought(name, backends, store, platform, referrers=form.referrers)
        yield _name_of(name), store.exporter.depart(top, form, platform)


def bring_image(name: ImageName, backends: Backends, *, platform: Platform | None = None) -> ImageName:
    """Return an image that is in the store: one from elsewhere is brought there, without a name.

    Raises: as ``departing``; TrustError where the policy of the settings refuses it.
    """
    if not (isinstance(name, str) and is_source_name(name)):
        return name
    image, _ = find_image(name, backends, platform=platform)
    _brought(name, backends, backends.store_on_disk("write"), platform, judged=bool(backends.trust))
    return backends.images.find(image.id.hex) or image


def find_manifest(
    name: ImageName, backends: Backends, *, platform: Platform | None = None
) -> tuple[Reference | None, Reference | Digest]:
    """Return the name that ``name`` is, if it is one, and by what its manifest or index is found in the store.

    Raises: ImageNotFoundError with near names; ReferenceFormatError.
    """
    image, reference = find_image(name, backends, platform=platform)
    if reference is not None:
        named = reference.with_tag(reference.tag) if reference.tag else None
        return named, reference
    manifests = [record.manifest for record in backends.images.records() if record.image_id == image.id]
    if not manifests:
        raise ImageNotFoundError(f"no image {image.id if isinstance(name, Image) else name} in the store")
    return None, manifests[0]


def _brought(
    name: str,
    backends: Backends,
    store: Store,
    platform: Platform | None,
    *,
    judged: bool = False,
    referrers: ReferrerChoice = NO_REFERRERS,
) -> Digest:
    """Bring an image into a store, and return the digest of its manifest or index there."""
    assert backends.sources is not None
    opened = backends.sources.open(name, platform)
    image = wire_image(opened.source, platform)
    if judged:
        from kubeimage.api.trusting import check_brought

        check_brought(name, opened, image, backends)
    with store.importing() as importer:
        return bring(opened.source, image, importer, referrers).top.digest


def _name_of(name: str) -> Reference | None:
    """Return what an image from elsewhere is called there, as far as that is a name."""
    source = parse_source_name(name)
    try:
        if source.transport == "docker":
            found = parse_remote_name(source.name)
            return found.with_tag(found.tag) if found.tag else None
        return Reference.parse(source.name) if source.name else None
    except KubeimageError:
        return None


__all__ = ["bring_image", "departing", "find_manifest"]
