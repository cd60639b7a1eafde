"""Whole operations on locks: lock a project, find out whether a lock still holds, read and write one.

with open_backends("/srv/store", read_settings()) as backends:
    kubefile = read_kubefile("Kubefile")
    lock = lock_project(kubefile, ".", backends)
    write_lock(lock, "Kubefile.lock")
    build_image(kubefile, ".", backends, options=BuildOptions(lock=lock, pull_images="missing"))
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, cast

from kubeimage.api.backends import Backends
from kubeimage.api.building import make_parts, make_store, plan_build
from kubeimage.api.lockedbases import NotedBases, with_kept_bases
from kubeimage.api.lockedurls import NotedRoots
from kubeimage.builder.events import Observer
from kubeimage.builder.executor import make_layers
from kubeimage.builder.plan import BuildOptions, BuildPlan
from kubeimage.discovery.references import parse_image
from kubeimage.disk.replacing import replace_file
from kubeimage.disk.smallfile import read_small
from kubeimage.errors import LockError, LockFileError, ReferenceFormatError, UsageError
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile
from kubeimage.lock.drift import Drift, compare_locks
from kubeimage.lock.imgpkg import to_images_lock
from kubeimage.lock.lockfile import SUFFIX, Lock, LockedChart, LockedImage, LockedURL
from kubeimage.lock.tomlform import LARGEST, from_toml, to_toml
from kubeimage.packing.locking import Found, ImageLocker
from kubeimage.packing.memory import Memory
from kubeimage.packing.parts import Parts
from kubeimage.packing.survey import Surveyor
from kubeimage.protocols.watching import ignore
from kubeimage.store import cache_folder

if TYPE_CHECKING:
    from kubeimage.protocols.context import RootOpener
    from kubeimage.registry.events import TransferObserver

LockFormat = Literal["toml", "imgpkg"]
"""How a lock is written: as what ``build --locked`` reads, or its container images as imgpkg reads them."""

_AGAIN = "make it again: kubeimage lock"
EntryT = TypeVar("EntryT", LockedImage, LockedChart, LockedURL)


def find_lock(kubefile: str) -> str:
    """Return the path of the lock of the Kubefile at that path: beside it, ``Kubefile.lock`` for ``Kubefile``.

    Raises: UsageError for a Kubefile that is no file, as standard input.
    """
    if os.path.exists(kubefile) and not os.path.isfile(kubefile):
        raise UsageError(
            f"the Kubefile {kubefile!r} has no lock beside it", hint="name a Kubefile that is a file with -f"
        )
    return kubefile + SUFFIX


def read_lock(path: str) -> Lock:
    """Read the lock at ``path``.

    Raises: LockFileError where there is none, or it cannot be read.
    """
    try:
        if os.path.getsize(path) > LARGEST:
            raise LockFileError(
                f"{path} cannot be read: it has more than {LARGEST >> 20} MiB", hint="make it again: kubeimage lock"
            )
        return from_toml(read_small(path), path)
    except FileNotFoundError:
        raise LockFileError(f"there is no lock at {path!r}", hint="make it: kubeimage lock") from None
    except OSError as error:
        raise LockFileError(f"{path} cannot be read: {error.strerror}") from error


def format_lock(lock: Lock, *, form: LockFormat = "toml") -> str:
    """Return a lock as TOML, or its container images as imgpkg's ImagesLock."""
    return (to_toml(lock) if form == "toml" else to_images_lock(lock)).decode()


def write_lock(lock: Lock, path: str, *, form: LockFormat = "toml") -> None:
    """Put the lock at ``path``, whole or not at all; where the same stands there already, nothing is written.

    Raises: LockError where that cannot be done.
    """
    data, real = format_lock(lock, form=form).encode(), os.path.realpath(path)
    try:
        if not (os.path.isfile(real) and os.path.getsize(real) == len(data) and read_small(real) == data):
            replace_file(real, data, mode=0o644, durable=True)
    except OSError as error:
        raise LockError(f"the lock {path!r} cannot be written: {error.strerror}") from error


class _Wish(NamedTuple):
    """Which entries of a known lock stay. Shape: ``update`` None asks about all of them anew."""

    known: Lock | None
    update: tuple[str, ...] | None

    def keeps(self, entry: LockedImage) -> bool:
        return self.update is not None and not any(_means(one, entry) for one in self.update)

    def check(self, lock: Lock) -> None:
        """Find out whether each of the names to update is one.

        Raises: UsageError.
        """
        for name in self.update or ():
            entries = (*lock.bases, *lock.images)
            if not any(_means(name, one) for one in entries) and not any(
                name in (one.path, one.name) for one in lock.charts
            ):
                known = ", ".join(one.key for one in entries)
                raise UsageError(
                    f"--update {name}: the project names nothing of that name",
                    hint=f"it names {known}" if known else "it names no image",
                )


def lock_project(
    kubefile: Kubefile,
    context: str,
    backends: Backends,
    *,
    platforms: Sequence[Platform] = (),
    options: BuildOptions | None = None,
    known: Lock | None = None,
    update: Sequence[str] | None = None,
    watch: TransferObserver = ignore,
    observe: Observer = ignore,
) -> Lock:
    """Return the lock of a Kubefile and its context: what all that they name leads to today.

    Shape:  its layers are made, as a build makes them, for what a RUN writes may name images; no image is shown.
            Registries are asked as ``options.pull_images`` allows; with ``off``, which is no choice here, as with
            ``always``. With ``update``, entries of ``known`` stay as they are, but for those names.
    Raises: what a build raises; RegistryError; UsageError for a name to update that nothing has.
    """
    wish = _Wish(known, tuple(update) if update is not None else None)
    project = _Project(kubefile, context, backends, options or BuildOptions(), watch, observe)
    lock, _ = project.look(platforms, wish)
    wish.check(lock)
    return lock


def check_lock(
    lock: Lock,
    kubefile: Kubefile,
    context: str,
    backends: Backends,
    *,
    options: BuildOptions | None = None,
    watch: TransferObserver = ignore,
    observe: Observer = ignore,
) -> tuple[Drift, ...]:
    """Return how a project differs from its lock, and what the lock's names lead to elsewhere by now.

    Shape:  registries are asked as for ``lock_project``, and for digests only; with ``never``, images that nobody
            remembers are taken to be what they were.
    Raises: as ``lock_project`` does.
    """
    options = options or BuildOptions()
    # Offline, an image is what the lock says that it is: only names can be compared.
    update = () if options.pull_images == "never" else None
    wish = _Wish(lock, update)
    project = _Project(kubefile, context, backends, options, watch, observe)
    found, lost = project.look(lock.platforms, wish, tolerant=True)
    digests = {one.name: str(one.digest) for one in lock.images}
    gone = [
        Drift("image", str(one), "changed", digests[one], "gone from its registry")
        if one in digests
        else Drift("image", str(one), "new")
        for one in lost
    ]
    known = {one.name for one in gone}
    return (*(one for one in compare_locks(lock, found) if one.name not in known), *gone)


class _Project(NamedTuple):
    """A Kubefile with its context, as somebody wants it looked at."""

    kubefile: Kubefile
    context: str
    backends: Backends
    options: BuildOptions
    watch: TransferObserver
    observe: Observer

    def look(
        self, platforms: Sequence[Platform], wish: _Wish, *, tolerant: bool = False
    ) -> tuple[Lock, tuple[Reference, ...]]:
        """Make the layers for each platform, and return what they name, with names that nobody knows the digest of."""
        backends = self.backends
        backends.store_on_disk("write")
        options = replace(self.options, lock=None)
        if options.pull_images == "off":
            options = replace(options, pull_images="always")
        each = [replace(options, platform=platform) for platform in platforms] or [options]
        options = replace(options, search=options.search.of_kubefile(self.kubefile.commands, self.kubefile.dialect))
        locker = self._locker(options, wish, tolerant=tolerant)
        bases: dict[Platform, tuple[LockedImage, ...]] = {}
        urls: dict[Platform, tuple[LockedURL, ...]] = {}
        for one in each:
            plan, bases[one.target] = _plan(self.kubefile, backends, one, wish)
            make_store(backends)
            parts = make_parts(backends, self.context, options, backends.collector(self.context))
            assert parts.roots is not None
            roots = NotedRoots(parts.roots)
            make_layers(plan, replace(parts, packer=locker, roots=cast("RootOpener", roots)), self.observe)
            urls[one.target] = roots.lock(plan)
        lock = _join(tuple(one.target for one in each), bases, locker.found, urls)
        return lock, tuple(dict.fromkeys(name for found in locker.found.values() for name in found.lost))

    def _locker(self, options: BuildOptions, wish: _Wish, *, tolerant: bool) -> ImageLocker:
        backends = self.backends
        store = backends.store_on_disk("write")
        memory = Memory(os.path.join(cache_folder(store.root), "images"))
        parts = Parts(
            backends.layers,
            backends.images,
            backends.cache,
            lambda: store.shelf,
            memory,
            backends.known_settings,
            self.watch,
        )
        expected = {one.name: one for one in wish.known.images} if wish.known is not None else {}
        return ImageLocker(
            parts,
            options.pull_images,
            Surveyor(backends.layers, memory, options.search, self.context),
            kept={name: one for name, one in expected.items() if wish.keeps(one)},
            expected=expected,
            tolerant=tolerant,
        )


def _plan(
    kubefile: Kubefile, backends: Backends, options: BuildOptions, wish: _Wish
) -> tuple[BuildPlan, tuple[LockedImage, ...]]:
    """Plan one build, and return the bases that it stands on; those that are to stay are the known ones."""
    kept = {one.name: one for one in wish.known.bases if wish.keeps(one)} if wish.known is not None else {}
    if kept:
        backends = with_kept_bases(backends, options, tuple(kept.values()))
    noted = NotedBases(backends)
    plan = plan_build(kubefile, replace(backends, images=noted), options=options)
    return plan, tuple(kept.get(name, one) for name, one in noted.found.items())


def _join(
    platforms: tuple[Platform, ...],
    bases: Mapping[Platform, tuple[LockedImage, ...]],
    found: Mapping[Platform, Found],
    urls: Mapping[Platform, tuple[LockedURL, ...]],
) -> Lock:
    """Put together what was found for each platform; what is not named for all of them says so."""

    def join(by_platform: Mapping[Platform, tuple[EntryT, ...]]) -> tuple[EntryT, ...]:
        entries: dict[str, EntryT] = {}
        named: dict[str, list[Platform]] = {}
        for platform in platforms:
            for one in by_platform[platform]:
                entries[one.key] = one
                named.setdefault(one.key, []).append(platform)
        return tuple(_for_some(entries[key], named[key], platforms) for key in sorted(entries))

    return Lock(
        platforms,
        join({platform: _with_manifests(bases, platform) for platform in platforms}),
        join({platform: one.images for platform, one in found.items()}),
        join({platform: one.charts for platform, one in found.items()}),
        join(urls),
    )


def _with_manifests(bases: Mapping[Platform, tuple[LockedImage, ...]], platform: Platform) -> tuple[LockedImage, ...]:
    """Return a platform's bases with the manifests that those of the other platforms know."""
    others = [one for entries in bases.values() for one in entries]
    return tuple(
        replace(
            own,
            platforms={
                where: digest
                for one in others
                if (one.name, one.digest) == (own.name, own.digest)
                for where, digest in one.platforms.items()
            },
        )
        for own in bases[platform]
    )


def _for_some(entry: EntryT, named: Sequence[Platform], platforms: Sequence[Platform]) -> EntryT:
    return replace(entry, only=() if len(named) == len(platforms) else tuple(named))


def _means(name: str, entry: LockedImage) -> bool:
    """Whether people may call an entry so: in full, or as they write images and bases."""
    if name == entry.key:
        return True
    try:
        return entry.name in (parse_image(name), Reference.parse(name))
    except ReferenceFormatError:
        return False


__all__ = ["LockFormat", "check_lock", "find_lock", "format_lock", "lock_project", "read_lock", "write_lock"]
