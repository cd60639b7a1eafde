"""What packing works with: the store, what is remembered, and who fetches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kubeimage.discovery.search import PullImages
from kubeimage.image.platform import Platform
from kubeimage.packing.memory import Memory
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.packing.authlist import Section
    from kubeimage.packing.fetch import Fetcher
    from kubeimage.protocols.cache import BuildCache
    from kubeimage.protocols.images import ImageStore
    from kubeimage.protocols.layers import LayerStore
    from kubeimage.registry.events import TransferObserver
    from kubeimage.settings import Settings
    from kubeimage.store.shelf import BlobShelf


@dataclass(frozen=True)
class Parts:
    """What the packer works with. Shape: ``shelf`` and ``settings`` are asked for when there is something to fetch."""

    layers: LayerStore
    images: ImageStore
    cache: BuildCache
    shelf: Callable[[], BlobShelf]
    memory: Memory
    settings: Callable[[], Settings]
    watch: TransferObserver


def open_fetcher(
    parts: Parts, policy: PullImages, platform: Platform, sections: Sequence[Section], stack: ExitStack
) -> Fetcher:
    """Return what fetches images for a platform until ``stack`` is closed; with ``never`` it asks no registry.

    Raises: SettingsError; StoreError.
    """
    from kubeimage.packing.elsewhere import PackedElsewhere
    from kubeimage.packing.fetch import Fetcher

    registries = None
    if policy != "never":
        from kubeimage.packing.authlist import ListedCredentials
        from kubeimage.registry.registries import Registries

        registries = stack.enter_context(Registries(parts.settings(), ListedCredentials(sections)))
    return Fetcher(parts.shelf(), platform, registries, PackedElsewhere(parts.images, parts.layers), parts.watch)
