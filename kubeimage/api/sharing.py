"""A build cache that machines share: backends that ask others for steps, and tell them what was done.

with open_backends("/srv/store", settings) as opened:
    with share_cache(SharedCache(sources=("registry.example.com/cache",)), opened) as backends:
        build_image(read_kubefile("Kubefile"), ".", backends, options=options)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, TypeGuard, TypeVar

from kubeimage.api.backends import Backends, Packer, Sharing
from kubeimage.cache import DirectoryBuildCache
from kubeimage.errors import ReferenceFormatError, UsageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Naming, Reference
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.watching import ignore
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.builder.plan import BuildOptions
    from kubeimage.image.config import Image
    from kubeimage.protocols.cache import BuildCache
    from kubeimage.protocols.layers import LayerStore
    from kubeimage.protocols.packing import ImagePacker
    from kubeimage.registry.events import TransferObserver
    from kubeimage.registry.registries import Registries
    from kubeimage.remote.bases import AwayBases
    from kubeimage.remote.cache import RemoteBuildCache
    from kubeimage.remote.layers import RemoteLayers
    from kubeimage.remote.publisher import Publisher
    from kubeimage.remote.reader import Reader
    from kubeimage.remote.record import RemoteLayer
    from kubeimage.remote.shelf import RegistryShelf, Shelf
    from kubeimage.signing import Signer
    from kubeimage.store import Store

T = TypeVar("T")
Notice = Callable[[str], None]

_LAYOUT = "oci:"
_REGISTRY = "docker://"


@dataclass(frozen=True)
class SharedCache:
    """Where steps are looked for, and where they are written to.

    Shape: ``sources`` and ``targets`` are ``HOST/REPOSITORY`` or ``oci:DIR``. ``key`` is the path of a private key that
           records are signed with. With ``trusted`` public keys, a record that none of them signed is not believed.
           Without ``targets`` nothing is written.
    """

    sources: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    key: str | None = None
    trusted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sources or self.targets)


@contextmanager
def share_cache(
    shared: SharedCache, backends: Backends, *, notice: Callable[[str], None] | None = None
) -> Iterator[Backends]:
    """Return backends whose cache asks ``shared.sources``, and tells ``shared.targets``; at the end all is written.

    A cache that is down, slow or wrong makes a build slower, never red: ``notice`` is told once.
    With backends that were opened to look, nothing is fetched and nothing is written.
    Raises: UsageError for what names no cache, and for keys that cannot be used.
    """
    store = backends.store_on_disk("look")
    if not shared:
        yield backends
        return
    from kubeimage.registry.connection import Patience
    from kubeimage.registry.exchange import Retry
    from kubeimage.registry.registries import Registries
    from kubeimage.remote.reader import Reader
    from kubeimage.signing import read_private_key, read_public_key

    tell = notice or ignore
    trusted = [read_public_key(path, "--cache-trust") for path in shared.trusted]
    signer = read_private_key(shared.key, "--cache-key") if shared.key is not None else None
    with ExitStack() as stack:
        settings = backends.known_settings()
        # Whoever waits longer could have done the step.
        retry, patience = Retry(attempts=3, first=0.2, longest=2, patience=5), Patience(5, 5, 20, 15, 10)
        registries = stack.enter_context(Registries(settings, retry=retry, patience=patience))
        sources = [open_shelf(text, backends.naming, registries) for text in shared.sources]
        targets = [open_shelf(text, backends.naming, registries, writable=True) for text in shared.targets]
        readers = [Reader(shelf, tell, trusted=trusted) for shelf in sources]
        publisher = None
        if targets and backends.access == "write":
            publisher = stack.enter_context(_publisher(targets, store, tell, signer))
        cache = _Caches(readers, publisher, registries)
        sharing = _Sharing(backends, store, cache, tell)
        yield sharing.backends


@dataclass(frozen=True)
class PrunedCache:
    """What was taken out of a shared cache. Units: ``kept`` and ``removed`` count records."""

    removed: int
    kept: int


def prune_shared_cache(
    name: str,
    backends: Backends,
    *,
    older_than: float = 0.0,
    dry_run: bool = False,
) -> PrunedCache:
    """Take the records out of a shared cache that were made longer ago.

    Shape:  a registry frees their layers in its own time; a folder, at once.
    Units:  ``older_than`` in seconds.
    Raises: UsageError for what names no cache; RegistryError, also where the registry allows no deletion; StoreError.
    """
    from kubeimage.registry.registries import Registries
    from kubeimage.remote.pruning import prune_shelf

    before = (datetime.now(UTC) - timedelta(seconds=older_than)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with Registries(backends.known_settings()) as registries:
        shelf = open_shelf(name, backends.naming, registries, writable=True)
        removed, kept = prune_shelf(shelf, before, dry_run=dry_run)
    return PrunedCache(removed, kept)


def open_shelf(text: str, naming: Naming, registries: Registries, *, writable: bool = False) -> Shelf:
    """Return the cache that ``text`` names: a repository of a registry, or ``oci:DIR``.

    Raises: UsageError.
    """
    if text.startswith(_LAYOUT):
        from kubeimage.remote.layout import LayoutShelf

        if not text.removeprefix(_LAYOUT):
            raise UsageError("oci: names no folder", hint="write it as oci:DIR")
        return LayoutShelf(text.removeprefix(_LAYOUT))
    from kubeimage.remote.shelf import RegistryShelf

    return RegistryShelf(registries.repository(_parse_repository(text, naming), writable=writable))


def _parse_repository(text: str, naming: Naming) -> Reference:
    hint = "a cache is HOST/REPOSITORY, without a tag, or oci:DIR"
    name = text.removeprefix(_REGISTRY)
    try:
        reference = naming.parse(name)
    except ReferenceFormatError as error:
        raise UsageError(f"not a build cache: {text!r}: {error.message}", hint=hint) from error
    if "@" in name or ":" in name.rpartition("/")[2]:
        raise UsageError(f"not a build cache: {text!r} has a tag or a digest", hint=hint)
    return reference


def execute_shared(sharing: Sharing | None, execute: Callable[[], T]) -> T:
    """Build, and begin anew without a cache that promised a layer and could not give it."""
    if sharing is None:
        return execute()
    from kubeimage.remote.layers import LayerLostError

    while True:
        try:
            return execute()
        except LayerLostError:
            sharing.give_up()


class _Caches(NamedTuple):
    """The caches of others: those that are asked, what writes to them, and the way there."""

    readers: Sequence[Reader]
    publisher: Publisher | None
    registries: Registries


class _Sharing:
    """What one build shares with others."""

    def __init__(self, backends: Backends, store: Store, caches: _Caches, notice: Notice) -> None:
        from kubeimage.remote.cache import RemoteBuildCache
        from kubeimage.remote.layers import FetchingImages, FetchingLayers, FetchingMounter, RemoteLayers

        self._registries = caches.registries
        self._asks = bool(caches.readers)
        self._notice = notice
        self._bases: AwayBases | None = None
        self._store = store
        self.remote: RemoteLayers = RemoteLayers(backends.layers, store.importing, caches.registries.stop)
        whole_key = backends.cache.whole_key if isinstance(backends.cache, DirectoryBuildCache) else _as_it_is
        self.cache: RemoteBuildCache = RemoteBuildCache(
            backends.cache,
            caches.readers,
            caches.publisher,
            self.remote,
            whole_key=whole_key,
            explains=backends.access == "look",
        )
        self.backends = replace(backends, cache=self.cache, sharing=self)
        if backends.access == "write":
            self.backends = replace(
                self.backends,
                layers=FetchingLayers(backends.layers, self.remote),
                images=FetchingImages(backends.images, self.remote, self._complete),
                mounter=FetchingMounter(backends.mounter, self.remote),
                packer=None if backends.packer is None else partial(self._packer, backends.packer),
            )

    def give_up(self) -> None:
        """Forget what the caches promised; a base image that was to stay in its registry comes whole."""
        self.cache.give_up()
        if self._bases is not None:
            self._bases.give_up()

    def leave_bases(self) -> Backends:
        """Return backends whose base images stay in their registry, where they can."""
        from kubeimage.remote.bases import AwayBases

        fetch = self.backends.fetch
        # What a policy has to judge comes here first, with its signatures.
        if fetch is None or not self._asks or self.backends.trust:
            return self.backends
        bases = AwayBases(self.backends.images, fetch, self._registries, self.remote, self._notice)
        self._bases = bases
        return replace(self.backends, images=bases, fetch=bases.fetch)

    def push_from_afar(self, image: Image, references: Sequence[Reference], observe: TransferObserver) -> bool:
        """Push an image of which layers are away, and keep nothing of it here; return whether it was one.

        Raises: RegistryError, CredentialsError; StoreError.
        """
        from kubeimage.remote.departure import RemoteDeparture

        layers = [layer.diff_id for layer in image.layers]
        away = {layer.diff_id: (layer, owner) for layer, owner in self.remote.away(layers)}
        if not away and not (self._bases is not None and self._bases.are_used):
            return False
        departure = RemoteDeparture(image, away, StoreLayers(self._store))
        for reference in references:
            beside = {
                layer.blob.digest: owner.shelf.registry.name
                for layer, owner in self.remote.owners(layers)
                if _is_beside(owner.shelf, reference)
            }
            self._registries.push(reference, departure, observe, partial(_return, beside.get))
        return True

    def _packer(
        self, packer: Packer, context: str, options: BuildOptions, layers: LayerStore, cache: BuildCache
    ) -> ImagePacker:
        from kubeimage.remote.layers import FetchingPacker

        counts_only = options.pull_images == "off"
        return FetchingPacker(packer(context, options, layers, cache), self.remote, counts_only=counts_only)

    def _complete(self, _image: Image) -> None:
        self.cache.remember_hits()


def _return(value: T) -> T:
    return value


def _is_beside(shelf: Shelf, reference: Reference) -> TypeGuard[RegistryShelf]:
    from kubeimage.remote.shelf import RegistryShelf

    return isinstance(shelf, RegistryShelf) and shelf.registry.exchange.host == reference.domain


class StoreLayers:
    """A store's layers in the form that they travel in."""

    def __init__(self, store: Store) -> None:
        self._packer = store.packer

    def pack(self, diff_id: Digest) -> RemoteLayer | None:
        """Return a layer and its compressed blob, made now if need be; None where it is not here.

        Raises: StoreError.
        """
        from kubeimage.remote.record import RemoteLayer

        found = self._packer.pack(diff_id)
        return RemoteLayer(found[0].diff_id, found[0].size, found[1]) if found is not None else None

    def open_blob(self, blob: Descriptor) -> BinaryIO:
        """Open a blob that ``pack`` returned.

        Raises: StoreError.
        """
        return self._packer.open_blob(blob)


def _publisher(targets: Sequence[Shelf], store: Store, notice: Notice, signer: Signer | None) -> Publisher:
    from kubeimage.remote.publisher import Publisher
    from kubeimage.store import Store

    # A store belongs to one thread, so the one that writes opens its own.
    own = Store.open(store.root, create=False, hold=True, keep=False)
    return Publisher(targets, lambda: StoreLayers(own), own.close, notice, signer=signer)


def _as_it_is(key: CacheKey) -> CacheKey:
    return key


__all__ = ["PrunedCache", "SharedCache", "execute_shared", "open_shelf", "prune_shared_cache", "share_cache"]
