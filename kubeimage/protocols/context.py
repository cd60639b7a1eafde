"""What the executor asks of the build context: the sources of a COPY."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from kubeimage.image.digest import Digest
from kubeimage.layer.entry import ROOT, Entry, Owner
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.layer.splicing import Earlier


@dataclass(frozen=True)
class Remote:
    """A file that is fetched. Shape: ``checksum`` is what it must have; None where nobody knows."""

    url: str
    checksum: Digest | None = None

    @property
    def name(self) -> str:
        """The name that it goes by: the last part of the URL's path, empty where there is none.

        >>> Remote("https://example.org/a/tool%201.sh?x=1").name
        'tool 1.sh'
        """
        from urllib.parse import unquote, urlsplit

        name = unquote(urlsplit(self.url).path).rpartition("/")[2]
        return "" if name in (".", "..") or "\0" in name else name


@dataclass(frozen=True)
class CopyRequest:
    """A COPY or ADD with everything expanded.

    Shape: ``sources`` are patterns relative to the build context, ``destination`` is relative to the image root.
           With ``by_docker`` it lands where Docker would put it: a folder's entries in DEST, one file at DEST. Then
           ``into`` says that DEST is a folder, ``excludes`` are patterns as in a ``.dockerignore``, and of
           ``optional`` sources none need be there. With ``from_image`` the sources are an image's: nothing is left out
           by a file, and owners and set-id bits stay.
           ``chown`` is what ``--chown`` says, and ``owner`` the numbers that it comes to, None where nobody asked.
           With ``parents`` a source keeps the folders that it stands in, from a part ``.`` on. ``unpack`` is that of
           ADD: sources that are archives are unpacked. ``remotes`` are fetched.
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
    chown: str = ""
    owner: Owner | None = None
    parents: bool = False
    unpack: bool = False
    remotes: tuple[Remote, ...] = ()


@dataclass(frozen=True)
class Collected:
    """What a COPY puts into its layer.

    Shape: ``entries`` in canonical order, at their places below the destination as it was written; the destination's
           own parents are not among them. ``directories`` are the paths that must be directories for the entries to
           stand where they do (DEST, where it is one, and its parents), outermost first. ``into`` is the entry of a
           directory that other entries only go into: where the image has one, that stays as it is.
           ``alone`` are the paths of files that a source names by themselves, and not by a folder. ``between`` are
           folders among the entries that are there only for others to stand in: where the image has one, that stays.
           ``owner`` is whose directories are that must be made.
    """

    entries: Sequence[Entry]
    directories: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    into: str | None = None
    alone: tuple[str, ...] = ()
    between: frozenset[str] = frozenset()
    owner: Owner = ROOT


class SourceCollector(Protocol):
    """Finds the sources of a COPY in a build context."""

    def collect(self, request: CopyRequest) -> Collected:
        """Find what ``request`` copies, reading no file content.

        Raises: a ContextError that names the source.
        """
        ...

    def with_digests(self, entries: Sequence[Entry]) -> Sequence[Entry]:
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

    def earlier(self, entries: Sequence[Entry]) -> Earlier | None:
        """Return the layer that the same COPY made before, and which of ``entries``, with digests, are as they were."""
        ...

    def note_layer(self, entries: Sequence[Entry], diff_id: Digest, offset: int) -> None:
        """Remember the layer that ``entries`` came to, in which they begin at ``offset``."""
        ...

    def known_sources(self, entries: Sequence[Entry]) -> Digest | None:
        """Return what `remember_sources` got with the same ``entries``, if nothing has changed since; read nothing."""
        ...

    def remember_sources(self, entries: Sequence[Entry], sources: Digest) -> None:
        """Keep the digest of a cache key's sources, which ``entries`` came to."""
        ...


class RootCollector(Protocol):
    """Finds the sources of a COPY in another image's root."""

    def collect(self, request: CopyRequest) -> Collected:
        """Find what ``request`` copies, with the contents at hand.

        Raises: a ContextError that names the source.
        """
        ...


class RootOpener(Protocol):
    """Opens what lies outside the build context: other images' roots, archives, and files on the web."""

    def open(self, layers: Sequence[Digest]) -> AbstractContextManager[RootCollector]:
        """Return the merged root of ``layers``, lowest first; nothing is left of it afterwards.

        Raises: BlobNotFoundError, LayerError; StoreFullError, StoreAccessError.
        """
        ...

    def fetch(self, remotes: Sequence[Remote]) -> AbstractContextManager[Sequence[Entry]]:
        """Return each file as an entry with its size, digest and source, by the name that its URL ends in.

        Raises: AdditionError where it cannot be had, or is not what its checksum says; StoreFullError.
        """
        ...

    def unpack(
        self, archive: str | bytes, *, mtime: int | None, owner: Owner
    ) -> AbstractContextManager[Sequence[Entry] | None]:
        """Return what is in an archive, a path of this machine or bytes, in canonical order; None where it is none.

        Folders that it does not name are ``owner``'s.

        Raises: AdditionError for one that is damaged, reaches out of its root, or holds too much; StoreFullError.
        """
        ...

    def lay_out(self, entries: Sequence[Entry]) -> AbstractContextManager[str]:
        """Return the path of a folder of this machine that holds ``entries``; nothing is left of it afterwards.

        Raises: ContextChangedError; StoreFullError, StoreAccessError.
        """
        ...

    def keep(self, name: str, *, sharing: str, mode: int, owner: Owner) -> AbstractContextManager[str]:
        """Return the path of a folder of that name, which stays from build to build; a new one is empty.

        ``locked`` waits until nobody else has it, ``private`` takes another one then, ``shared`` is for all.
        Raises: StoreFullError, StoreAccessError.
        """
        ...
