"""What packing would fetch: for each image how much, from where, and what of it is there already.

Nothing is fetched for that but manifests, where somebody wants registries asked; and those are kept nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from kubeimage.discovery.search import PullImages
from kubeimage.errors import (
    KubeimageError,
    RegistryConnectionError,
    RegistryError,
    RegistryNotFoundError,
)
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor, Index, parse_document
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.lock.lockfile import Lock
from kubeimage.packing.contents import recall_contents
from kubeimage.packing.layout import Contents, choose_manifest
from kubeimage.packing.memory import Memory
from kubeimage.packing.resolve import Names
from kubeimage.registry.workers import run_all
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.registry.client import Repository
    from kubeimage.registry.registries import Registries

NOT_ASKED = "never fetched here, and no registry is asked"
NO_NETWORK = "no network"
_BAD_DOCUMENT = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


@dataclass(frozen=True)
class ImageForecast:
    """What packing one image would fetch.

    Shape: ``registry`` is the host that would be asked first. ``blobs`` are its manifests, its config and its layers,
           ``missing`` those of them that have to come. ``unknown`` says why nobody knows, where that is so; then
           there are no blobs.
    """

    image: Reference
    registry: str
    digest: Digest | None = None
    blobs: tuple[Descriptor, ...] = ()
    missing: tuple[Descriptor, ...] = ()
    unknown: str = ""

    @property
    def size(self) -> int:
        """The bytes of all its blobs."""
        return sum(blob.size for blob in self.blobs)

    @property
    def coming(self) -> int:
        """The bytes that have to come."""
        return sum(blob.size for blob in self.missing)


def bytes_to_come(forecasts: Iterable[ImageForecast]) -> int:
    """Return how many bytes have to come for all of the images: what they share comes once."""
    return sum({blob.digest: blob.size for one in forecasts for blob in one.missing}.values())


@dataclass(frozen=True)
class Forecaster:
    """Foresees what images need.

    Shape: ``has`` says whether a blob of that size is there. Without ``registries`` nobody is asked. ``host`` gives the
           registry that is asked first for an image. With a ``lock`` names are what it says.
    """

    memory: Memory
    platform: Platform
    has: Callable[[Digest, int], bool]
    host: Callable[[Reference], str]
    registries: Registries | None = None
    lock: Lock | None = None

    def forecast(self, images: Sequence[Reference], policy: PullImages) -> tuple[ImageForecast, ...]:
        """Return what each image needs, in the order of ``images``; what cannot be found out says why."""
        found: dict[Reference, ImageForecast] = {}

        def foresee(image: Reference) -> None:
            found[image] = self._forecast(image, policy)

        jobs = [partial(foresee, image) for image in images]
        stop = self.registries.stop if self.registries is not None else lambda: None
        run_all(jobs, stop, places=[self.host(image) for image in images])
        return tuple(found[image] for image in images)

    def _forecast(self, image: Reference, policy: PullImages) -> ImageForecast:
        host = self.host(image)
        digest = self._known_digest(image, policy)
        contents = recall_contents(image, digest, self.platform, self.memory) if digest is not None else None
        if contents is None and self.registries is None:
            return ImageForecast(image, host, digest, unknown=NOT_ASKED)
        try:
            contents = contents or self._ask(image, digest)
        except RegistryNotFoundError:
            return ImageForecast(image, host, digest, unknown="its registry does not have it")
        except RegistryConnectionError as error:
            return ImageForecast(image, host, digest, unknown=f"{NO_NETWORK}: {error.message}")
        except _BAD_DOCUMENT as error:
            return ImageForecast(image, host, digest, unknown=str(error))
        missing = tuple(blob for blob in contents.all_blobs if not self.has(blob.digest, blob.size))
        return ImageForecast(image, host, contents.digest, tuple(contents.all_blobs), missing)

    def _known_digest(self, image: Reference, policy: PullImages) -> Digest | None:
        locked = {one.name: one.digest for one in self.lock.images} if self.lock is not None else {}
        asks_anew = policy == "always" and self.registries is not None
        return locked.get(image) or image.digest or (None if asks_anew else Names(self.memory).get(image))

    def _ask(self, image: Reference, digest: Digest | None) -> Contents:
        """Read an image's manifests, from the first of its places that has them.

        Raises: RegistryError; what a manifest that is none raises.
        """
        assert self.registries is not None
        *mirrors, last = self.registries.sources(image)
        for mirror in mirrors:
            try:
                return self._read(mirror, image, digest)
            except RegistryError:
                continue
        return self._read(last, image, digest)

    def _read(self, repository: Repository, image: Reference, digest: Digest | None) -> Contents:
        data, found = repository.get_manifest(digest or image.digest or image.tag)
        document = parse_document(data)
        manifests = [Descriptor(document.media_type, found, len(data))]
        if isinstance(document, Index):
            child = choose_manifest(document, self.platform)
            if child is None:
                raise ValueError(f"it is not there for {self.platform}")
            data, chosen = repository.get_manifest(child.digest)
            document = parse_document(data)
            manifests.append(Descriptor(document.media_type, chosen, len(data)))
        if isinstance(document, Index):
            raise ValueError("its index names an index")
        layers = {layer.digest: layer for layer in document.layers}
        return Contents(image, found, tuple(manifests), document.config, tuple(layers.values()))


__all__ = ["NOT_ASKED", "NO_NETWORK", "Forecaster", "ImageForecast", "bytes_to_come"]
