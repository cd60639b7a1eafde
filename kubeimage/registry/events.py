"""What a push or pull tells while it runs: the one source of progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from kubeimage.image.digest import Digest

Direction = Literal["push", "pull"]


class TransferStarted(NamedTuple):
    """An image begins to travel. Shape: ``place`` is where it comes from or goes to, which may be a mirror."""

    direction: Direction
    name: str
    place: str


class BlobProgress(NamedTuple):
    """Some of a blob has travelled.

    Shape: ``digest`` is the blob's; of a layer that is still being compressed, its diff_id.
    Units: ``done`` and ``size`` in bytes; ``done`` is less than before where some has to go again.
    """

    direction: Direction
    digest: Digest
    done: int
    size: int


class BlobFinished(NamedTuple):
    """A blob is where it should be.

    Shape: ``moved`` is False for one that was there, or that the registry took from another repository (``mounted``).
           ``layer`` is the diff_id of a layer that has been compressed for this.
    """

    direction: Direction
    digest: Digest
    size: int
    moved: bool
    mounted: bool = False
    layer: Digest | None = None


class ImageFetched(NamedTuple):
    """All blobs of a container image are there.

    Units: ``number`` of ``total`` images, from 1; ``size`` in bytes, of its blobs.
    """

    name: str
    number: int
    total: int
    size: int


class ImageLookedUp(NamedTuple):
    """Somebody has said what a container image is. Units: ``number`` of ``total`` images, from 1."""

    name: str
    number: int
    total: int


class PackingProgress(NamedTuple):
    """Some of the container images to be packed has come.

    Shape: ``name`` is the image whose part that was.
    Units: ``number`` of ``total`` images are whole; ``done`` of ``size`` bytes of all of them are there.
    """

    name: str
    number: int
    total: int
    done: int
    size: int


class ReferrerFinished(NamedTuple):
    """What refers to an image is where it should be.

    Shape: ``label`` is what it is, in a short word or by its type. ``digest`` is that of its manifest.
    """

    direction: Direction
    label: str
    digest: Digest
    subject: Digest


class TransferWarned(NamedTuple):
    """Something that a person should know and that stops nothing."""

    message: str


class TransferFinished(NamedTuple):
    """The image has arrived, under its name. Shape: ``digest`` is that of its manifest or index in the registry."""

    direction: Direction
    name: str
    digest: Digest


TransferEvent = (
    TransferStarted
    | BlobProgress
    | BlobFinished
    | ImageLookedUp
    | PackingProgress
    | ImageFetched
    | ReferrerFinished
    | TransferWarned
    | TransferFinished
)
TransferObserver = Callable[[TransferEvent], None]


def one_at_a_time(observe: TransferObserver) -> TransferObserver:
    """Make an observer that several threads may tell something."""
    import threading

    lock = threading.Lock()

    def locked(event: TransferEvent) -> None:
        with lock:
            observe(event)

    return locked
