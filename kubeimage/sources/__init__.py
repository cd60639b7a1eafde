"""Images read where they lie: a folder, an archive, a registry, a daemon.

    names.py       what a person types -> which transport, which place
    layouts.py     oci: and oci-archive:
    layoutreferrers.py  what refers to the image in these
    dockersave.py  docker-archive:
    daemon.py      docker-daemon:, which is what `docker save` writes
    remote.py      docker://, by HTTP ranges
    choosing.py    an index -> the manifest for a platform
    tars.py        a compressed blob as a tar that can seek
    contents.py    the layers of one image
    contentstable.py   layers that carry a table of their contents: eStargz, zstd:chunked
    opened.py      the images that one command has opened

Each transport is one implementation of `kubeimage.protocols.sources.ImageSource`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from kubeimage.image.config import Image
    from kubeimage.image.platform import Platform
    from kubeimage.settings import Settings
    from kubeimage.sources.choosing import Listing
    from kubeimage.sources.opened import Opened, Shelf


class ImageSources:
    """Images outside the store, opened until it is closed; what that needs is imported when the first one is named."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._stack = ExitStack()
        self._used = False

    @property
    def fetched(self) -> int:
        """How many bytes came over a network so far."""
        return self._shelf.fetched if self._used else 0

    def open(self, text: str, platform: Platform | None = None) -> Opened:
        """Open the image that ``text`` names; where there are several platforms, this machine's, or the first.

        Raises: UsageError, ImageNotFoundError, PlatformMismatchError; ArchiveError, RegistryError; BlobNotFoundError,
            BlobCorruptError.
        """
        return self._shelf.open(text, platform)

    def list_blobs(self, text: str, platform: Platform | None = None) -> Listing:
        """Return the descriptors of all that the image ``text`` consists of, for all platforms or one.

        Raises: as ``open``.
        """
        from kubeimage.sources.choosing import list_contents

        return list_contents(self._shelf.source(text), platform)

    def find(self, image: Image) -> Opened | None:
        """Return how an image was opened here, None for one of the store."""
        return self._shelf.find(image) if self._used else None

    def close(self) -> None:
        """Close files and connections."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _shelf(self) -> Shelf:
        from kubeimage.sources.opened import Shelf

        self._used = True
        return self._stack.enter_context(Shelf(self._settings))
