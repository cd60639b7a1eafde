"""What COPY and ADD take from outside the build context: other images' roots, archives, and files on the web."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from kubeimage.disk.failures import translated
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Owner
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.settings import Settings, read_settings
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.protocols.context import Remote, RootCollector
    from kubeimage.protocols.layers import LayerStore

Scratch = Callable[[], AbstractContextManager[str]]


@contextmanager
def temporary_folder() -> Iterator[str]:
    """Yield an empty private folder, of which nothing is left afterwards."""
    import tempfile

    from kubeimage.disk.removal import remove_tree

    folder = tempfile.mkdtemp(prefix="kubeimage-root-")
    try:
        yield folder
    finally:
        remove_tree(folder)


@dataclass(frozen=True)
class OutsideRoots:
    """A `RootOpener`. ``scratch`` makes the folders that contents are kept in, as long as they are used.

    Shape: ``settings`` say whom to trust on the web; None stands for what the configuration file says. ``caches`` is
           where folders stay from build to build; where it is None, they do not.
    """

    layers: LayerStore
    scratch: Scratch = temporary_folder
    settings: Settings | None = None
    caches: str | None = None

    @contextmanager
    def open(self, layers: Sequence[Digest]) -> Iterator[RootCollector]:
        """Yield the merged root of ``layers``, lowest first.

        Raises: BlobNotFoundError, LayerError; StoreFullError, StoreAccessError.
        """
        from kubeimage.context.layerroot import LayerRoot

        with self.scratch() as folder, translated(f"write {folder!r}", folder):
            yield LayerRoot(LayerStack(self.layers, [StackedLayer(layer) for layer in layers]), folder)

    @contextmanager
    def fetch(self, remotes: Sequence[Remote]) -> Iterator[Sequence[Entry]]:
        """Yield each file as an entry with its size, digest and source, by the name that its URL ends in.

        Raises: AdditionError; StoreFullError, StoreAccessError.
        """
        from kubeimage.api.fetching import Fetcher

        with self.scratch() as folder, Fetcher(self.settings or read_settings(), folder) as fetcher:
            yield [fetcher.fetch(remote) for remote in remotes]

    @contextmanager
    def unpack(self, archive: str | bytes, *, mtime: int | None, owner: Owner) -> Iterator[Sequence[Entry] | None]:
        """Yield what is in an archive, a path of this machine or bytes, in canonical order; None where it is none.

        Folders that it does not name are ``owner``'s.

        Raises: AdditionError; StoreFullError, StoreAccessError.
        """
        from kubeimage.api.unpacking import read_archive

        with self.scratch() as folder, translated(f"write {folder!r}", folder):
            yield read_archive(archive, folder, mtime=mtime, owner=owner)

    @contextmanager
    def lay_out(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Yield the path of a folder that holds ``entries``.

        Raises: ContextChangedError; StoreFullError, StoreAccessError.
        """
        from kubeimage.layer.apply import apply_changeset
        from kubeimage.layer.writer import write_layer

        with self.scratch() as tars, self.scratch() as folder:
            path = os.path.join(tars, "tar")
            with translated(f"write {path!r}", tars), open(path, "xb") as tar:
                write_layer(entries, tar.write)
            with open(path, "rb") as tar:
                apply_changeset(folder, tar)
            yield folder

    @contextmanager
    def keep(self, name: str, *, sharing: str, mode: int, owner: Owner) -> Iterator[str]:
        """Yield the path of a folder of that name, which stays from build to build; a new one is empty.

        Raises: StoreFullError, StoreAccessError.
        """
        from kubeimage.api.caches import kept_folder

        if self.caches is not None:
            with kept_folder(self.caches, name, sharing=sharing, mode=mode, owner=owner) as folder:
                yield folder
            return
        with self.scratch() as folder:
            os.chmod(folder, mode)
            yield folder
