"""Where builds work: backends, and a way to get more of the same sort.

A place is opened for each piece of work and let go afterwards, so that a test run with a thousand builds holds no
thousand sessions open.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.sharing import SharedCache, share_cache
from kubeimage.context import ContextCollector
from kubeimage.settings import RunSettings, Settings

_LOG = logging.getLogger("kubeimage.cache")


class Place(Protocol):
    """A store, and what builds in it."""

    @property
    def root(self) -> str | None:
        """The store's folder, which other processes can use too; None for a store of this process alone."""
        ...

    def open(self) -> AbstractContextManager[Backends]:
        """Open the backends; they are good until the context ends."""
        ...

    def fresh(self, folder: str) -> Place:
        """Return an empty place of the same sort, which keeps what it must in the empty ``folder``."""
        ...


@dataclass(frozen=True)
class DirectoryPlace:
    """The real parts on a store on disk. One that goes with the run is not ``durable``: nobody waits for the disk."""

    root: str
    mount: str = "auto"
    isolation: str = "auto"
    run: RunSettings = field(default=RunSettings(), repr=False)
    shared: SharedCache = field(default=SharedCache(), repr=False)
    settings: Settings | None = field(default=None, repr=False)
    durable: bool = field(default=True, repr=False, compare=False)

    @contextmanager
    def open(self) -> Iterator[Backends]:
        """Open the store, and the cache that it shares with other machines."""
        with (
            real_backends(
                self.root,
                self.settings,
                mount=self.mount,
                isolation=self.isolation,
                run=self.run,
                durable=self.durable,
            ) as backends,
            share_cache(self.shared, backends, notice=_LOG.warning) as sharing,
        ):
            yield sharing

    def fresh(self, folder: str) -> DirectoryPlace:
        """Return a place with a store in ``folder``, which shares nothing: what is built there is built."""
        root = os.path.join(folder, "store")
        return DirectoryPlace(root, self.mount, self.isolation, self.run, settings=self.settings, durable=False)


@dataclass(frozen=True)
class GivenPlace:
    """Backends that somebody makes; they live as long as this object does."""

    make: Callable[[], Backends]
    backends: Backends = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "backends", self.make())

    @property
    def root(self) -> None:
        """No folder that this place knows of."""

    @contextmanager
    def open(self) -> Iterator[Backends]:
        """Yield the backends."""
        yield self.backends

    def fresh(self, folder: str) -> GivenPlace:  # noqa: ARG002 - the protocol's
        """Have more backends made."""
        return GivenPlace(self.make)


def make_place(
    backend: str,
    folder: str,
    isolation: str = "auto",
    run: RunSettings | None = None,
    *,
    shared: SharedCache | None = None,
    settings: Settings | None = None,
) -> Place:
    """Make an empty place of the sort that ``--kubefile-backend`` calls ``backend``; one in memory shares nothing."""
    if backend == "memory":
        return GivenPlace(memory_backends)
    root = os.path.join(folder, "store")
    known, cache = run or RunSettings(), shared or SharedCache()
    return DirectoryPlace(root, backend, isolation, known, cache, settings, durable=False)


@contextmanager
def real_backends(
    root: str,
    settings: Settings | None = None,
    *,
    mount: str = "auto",
    isolation: str = "auto",
    run: RunSettings | None = None,
    durable: bool = True,
) -> Iterator[Backends]:
    """Open the real parts on the store at ``root``.

    No base image is fetched: what a test is about is in the store, or something stands in for it.
    Raises: StoreAccessError, StoreVersionError; UsageError for an unknown mount or isolation.
    """
    with open_backends(root, settings, mount=mount, isolation=isolation, run=run, durable=durable) as backends:
        yield replace(backends, fetch=None)


def memory_backends() -> Backends:
    """Make in-memory parts: stores and a cache that are empty, and a RUN that knows a small shell."""
    from harness.fakes.mounts import MemoryMounter
    from harness.fakes.runner import ShellInterpreter
    from harness.fakes.stores import MemoryBuildCache, MemoryImageStore, MemoryLayerStore

    layers = MemoryLayerStore()
    cache = MemoryBuildCache(layers)
    return Backends(
        layers=layers,
        images=MemoryImageStore(layers, cache),
        cache=cache,
        collector=ContextCollector,
        mounter=MemoryMounter(layers),
        runner=ShellInterpreter(),
    )
