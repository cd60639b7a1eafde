"""What refers to images: which of it travels, and what there is of an image."""

from __future__ import annotations

from kubeimage.api.backends import Backends
from kubeimage.api.bringing import find_manifest
from kubeimage.api.finding import ImageName
from kubeimage.image.platform import Platform
from kubeimage.image.referrers import ALL_REFERRERS, Referrer, ReferrerChoice
from kubeimage.protocols.transfer import WireForm
from kubeimage.settings import Settings
from kubeimage.sources.names import is_source_name


def chosen_referrers(given: ReferrerChoice | None, settings: Settings, *, otherwise: ReferrerChoice) -> ReferrerChoice:
    """Return what travels of all that refers to an image: what is given, what the settings say, or ``otherwise``."""
    if given is not None:
        return given
    return settings.referrers if settings.referrers is not None else otherwise


def list_referrers(name: ImageName, backends: Backends, *, platform: Platform | None = None) -> list[Referrer]:
    """Return what refers to an image of the store, and to that in turn: signatures, SBOMs, attestations.

    Shape:  each stands after its subject. Of an image for several platforms, what refers to each of them is there too.
            Nothing is known here of what refers to an image elsewhere, such as ``docker://HOST/NAME``.
    Raises: ImageNotFoundError, ReferenceFormatError; BlobNotFoundError, BlobCorruptError where it is damaged.
    """
    if backends.store is None or (isinstance(name, str) and is_source_name(name)):
        return []
    store = backends.store_on_disk("look")
    if not store.referrers.list_all():
        return []
    _, key = find_manifest(name, backends, platform=platform)
    image = store.exporter.depart(key, WireForm(referrers=ALL_REFERRERS), platform).finish()
    return [*(one.referrer for one in image.referrers), *image.left]


__all__ = ["chosen_referrers", "list_referrers"]
