"""Whole operations with registries: push and pull an image, log in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from kubeimage.api.backends import Backends
from kubeimage.api.finding import parse_name
from kubeimage.api.referrers import chosen_referrers
from kubeimage.errors import RegistryAuthError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming, Reference
from kubeimage.image.referrers import ALL_REFERRERS, NO_REFERRERS, ReferrerChoice
from kubeimage.layer.compression import Coding
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.transfer import Arrival, Lender, WireForm
from kubeimage.protocols.watching import ignore
from kubeimage.registry.credentials import Credentials, CredentialStore
from kubeimage.registry.events import TransferObserver
from kubeimage.registry.registries import Registries
from kubeimage.settings import Settings, read_settings

if TYPE_CHECKING:
    from kubeimage.image.config import Image
    from kubeimage.image.media_types import Format


def pull_image(
    name: str | Reference,
    backends: Backends,
    *,
    platforms: Sequence[Platform] | Literal["all"] = (),
    referrers: ReferrerChoice | None = None,
    observe: TransferObserver = ignore,
) -> Arrival:
    """Fetch an image from its registry, or a mirror, into the store.

    Shape:  of an index, the ``platforms`` come, or all of them; without any, that of this machine.
            ``referrers`` are what comes along of all that refers to it; None is as the settings say, or nothing.
    Raises: RegistryError, CredentialsError, SettingsError; PlatformMismatchError; StoreError. Then the name is as it
        was.
    """
    store = backends.store_on_disk("write")
    reference = name if isinstance(name, Reference) else backends.naming.parse(name)
    wanted = () if platforms == "all" else platforms or (Platform.host(),)
    settings = backends.known_settings()
    choice = chosen_referrers(referrers, settings, otherwise=NO_REFERRERS)
    with Registries(settings) as registries, store.importing() as importer:
        return registries.pull(reference, wanted, importer, observe, choice)


def push_image(
    name: str | Reference,
    backends: Backends,
    *,
    form: Format | None = None,
    coding: Coding | None = None,
    platform: Platform | None = None,
    referrers: ReferrerChoice | None = None,
    observe: TransferObserver = ignore,
) -> Digest:
    """Send an image to where its name says, and return the digest of its manifest or index there.

    Shape:  without a ``form`` it keeps the one it has.
            Without a ``coding``, layers go as they are in the store, and those that are not compressed with gzip.
            ``referrers`` are what goes along of all that refers to it here; None is as the settings say, or all.
    Raises: ImageNotFoundError; RegistryError, CredentialsError; StoreError where the image is damaged.
    """
    store = backends.store_on_disk("read")
    reference = parse_name(name, backends.naming, what="NAME")
    settings = backends.known_settings()
    choice = chosen_referrers(referrers, settings, otherwise=ALL_REFERRERS)
    wanted = replace(wire_form(form, coding), referrers=choice)
    with Registries(settings) as registries:
        departure = store.exporter.depart(reference, wanted, platform)
        image = registries.push(reference, departure, observe, lambda: find_lender(reference, backends.images))
        return image.top.digest


def wire_form(form: Format | None = None, coding: Coding | None = None) -> WireForm:
    """Return the form in which an image is pushed."""
    return WireForm(form, coding or Coding("gzip"), only_raw=coding is None)


def find_lender(reference: Reference, images: ImageStore) -> Lender | None:
    """Return who lends blobs: the repository on the same registry whose images share most with this one."""
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
    return (lambda _blob: best) if best is not None and shared[best] else None


def _shared_size(image: Image, own: dict[Digest, int]) -> int:
    return sum(own.get(layer.diff_id, 0) for layer in image.layers)


def log_in(host: str, user: str, password: str, *, settings: Settings | None = None) -> str:
    """Keep credentials for a registry once it has taken them, and return the place where they are kept.

    Shape:  ``host`` is as names of images have it; ``https://`` before it is left away.
    Raises: UsageError for what is no host; RegistryAuthError where the registry does not take them; RegistryError,
            CredentialsError.
    """
    host = plain_host(host)
    credentials = Credentials(user, password)
    with Registries(settings if settings is not None else read_settings()) as registries:
        try:
            registries.check(host, credentials)
        except RegistryAuthError as error:
            raise RegistryAuthError(
                f"{host} does not take this name and password for {user!r}", status=error.status, codes=error.codes
            ) from error
    return CredentialStore().put(host, credentials)


def log_out(host: str) -> bool:
    """Forget the credentials for a registry; whether there were any.

    Raises: UsageError for what is no host; CredentialsError.
    """
    return CredentialStore().delete(plain_host(host))


def plain_host(text: str) -> str:
    """Return a registry's host as names of images have it, however it was typed.

    Raises: UsageError.
    """
    host = text.removeprefix("https://").removeprefix("http://").rstrip("/")
    Naming(host, "any").check()
    return host


__all__ = ["log_in", "log_out", "plain_host", "pull_image", "push_image"]
