"""What the executor asks of the build context: the sources of a COPY."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry
from kubeimage.values import dataclass


@dataclass(frozen=True)
class CopyRequest:
    """A COPY with everything expanded.

    Shape: ``sources`` are patterns relative to the build context, ``destination`` is relative to the image root.
           With ``by_docker`` it lands where Docker would put it: a folder's entries in DEST, one file at DEST. Then
           ``into`` says that DEST is a folder, ``excludes`` are patterns as in a ``.dockerignore``, and of
           ``optional`` sources none need be there. With ``from_image`` the sources are an image's: nothing is left out
           by a file, and set-id bits stay.
    Units: ``chmod`` holds permission bits, or is None; ``mtime`` in seconds since 1970, None to keep each file's own.
    """

    sources: tuple[str, ...]
    destination: str
    exact: bool = False
    chmod: int | None = None
    mtime: int | None = 0
    by_docker: bool = False
    into: bool = False
    excludes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    from_image: bool = False


@dataclass(frozen=True)
class Collected:
    """What a COPY puts into its layer.

    Shape: ``entries`` in canonical order, at their places below the destination as it was written; the destination's
           own parents are not among them. ``directories`` are the paths that must be directories for the entries to
           stand where they do (DEST, where it is one, and its parents), outermost first. ``into`` is the entry of a
           directory that other entries only go into: where the image has one, that stays as it is.
    """

    entries: Sequence[Entry]
    directories: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    into: str | None = None


class SourceCollector(Protocol):
    """Finds the sources of a COPY in a build context."""

    def collect(self, request: CopyRequest) -> Collected:
        """Find what ``request`` copies, reading no file content.

        Raises: a ContextError that names the source.
        """
        ...

    def with_digests(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return ``entries`` with the ``digest`` of every FILE, reading only what is not known from before.

        Raises: ContextChangedError, UnreadableSourceError.
        """
        ...

    def expect(self, entries: Sequence[Entry]) -> None:
        """Somebody else is about to read the contents of ``entries``: find out which of them may be remembered."""
        ...

    def remember(self, entries: Sequence[Entry]) -> None:
        """Keep the digests that ``entries`` have: somebody else has read their contents since they were expected."""
        ...

    def known_sources(self, entries: Sequence[Entry]) -> Digest | None:
        """Return what `remember_sources` got with the same ``entries``, if nothing has changed since; read nothing."""
        ...

    def remember_sources(self, entries: Sequence[Entry], sources: Digest) -> None:
        """Keep the digest of a cache key's sources, which ``entries`` came to."""
        ...


class RootOpener(Protocol):
    """Opens the root file systems of other images, for COPY to take from."""

    def open(self, layers: Sequence[Digest]) -> AbstractContextManager[SourceCollector]:
        """Return the merged root of ``layers``, lowest first; nothing is left of it afterwards.

        Raises: BlobNotFoundError, LayerError; StoreFullError, StoreAccessError.
        """
        ...
