"""Whole operations with registries: push and pull an image, log in and out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubeimage.errors import ReferenceFormatError, RegistryAuthError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.compression import Coding
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.transfer import Arrival, WireForm
from kubeimage.registry.credentials import Credentials, CredentialStore
from kubeimage.registry.events import TransferObserver
from kubeimage.registry.registries import Registries
from kubeimage.settings import Settings
from kubeimage.store import Store

if TYPE_CHECKING:
    from kubeimage.image.config import Image


def pull_image(
    reference: Reference,
    root: str,
    settings: Settings,
    observe: TransferObserver,
    *,
    platforms: Sequence[Platform] = (),
) -> Arrival:
    """Fetch an image from its registry, or a mirror, into the store; of an index the ``platforms``, or all.

    Raises: RegistryError, CredentialsError, SettingsError; PlatformMismatchError; StoreError. Then the name is as it
        was.
    """
    with Registries(settings) as registries, Store.open(root) as store, store.importing() as importer:
        return registries.pull(reference, platforms, importer, observe)


def push_image(
    reference: Reference,
    root: str,
    settings: Settings,
    observe: TransferObserver,
    *,
    form: WireForm | None = None,
    platform: Platform | None = None,
) -> Digest:
    """Send an image to where its name says, and give the digest of its manifest or index there.

    Without a ``form`` it goes as it is in the store, but for layers that are not compressed: these are, with gzip.
    Raises: ImageNotFoundError; RegistryError, CredentialsError; StoreError where the image is damaged.
    """
    if reference.digest is not None:
        raise ReferenceFormatError(
            f"an image is pushed to a tag, found {str(reference)!r}", hint="leave out what stands behind the @"
        )
    with Registries(settings) as registries, Store.open(root, create=False, hold=True) as store:
        wanted = form or WireForm(None, Coding("gzip"), only_raw=True)
        departure = store.exporter.depart(reference, wanted, platform)
        image = registries.push(reference, departure, observe, lambda: find_lender(reference, store.images))
        return image.top.digest


def find_lender(reference: Reference, images: ImageStore) -> str | None:
    """Give the repository on the same registry whose images share most with this one: it may have the blobs."""
    image = images.get(reference)
    own = {layer.diff_id: layer.size for layer in image.layers} if image else {}
    shared: dict[str, int] = {}
    for record in images.records():
        other = record.reference
        if other is None or other.domain != reference.domain or other.repository == reference.repository:
            continue
        found = images.get(other, record.platform)
        size = _shared_size(found, own) if found else 0
        shared[other.repository] = max(size, shared.get(other.repository, 0))
    best = max(shared, key=lambda name: shared[name], default=None)
    return best if best is not None and shared[best] else None


def _shared_size(image: Image, own: dict[Digest, int]) -> int:
    return sum(own.get(layer.diff_id, 0) for layer in image.layers)


def log_in(host: str, user: str, password: str, settings: Settings) -> str:
    """Keep credentials for a registry once it has taken them, and give the place where they are kept.

    Raises: RegistryAuthError where the registry does not take them; RegistryError, CredentialsError.
    """
    credentials = Credentials(user, password)
    with Registries(settings) as registries:
        try:
            registries.check(host, credentials)
        except RegistryAuthError as error:
            raise RegistryAuthError(
                f"{host} does not take this name and password for {user!r}", status=error.status, codes=error.codes
            ) from error
    return CredentialStore().put(host, credentials)


def log_out(host: str) -> bool:
    """Forget the credentials for a registry; whether there were any.

    Raises: CredentialsError.
    """
    return CredentialStore().delete(host)
