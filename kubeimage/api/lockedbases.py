"""The base images of a build that goes by a lock, and those that a lock is made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kubeimage.api.backends import Backends, Fetch
from kubeimage.errors import LockStaleError, RegistryNotFoundError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.lock.drift import Drift, compare_names
from kubeimage.lock.lockfile import Lock, LockedImage
from kubeimage.packing.locking import MORE_PLATFORMS, stale
from kubeimage.store.passing import PassingImageStore

if TYPE_CHECKING:
    from kubeimage.builder.plan import BuildOptions


class NotedBases(PassingImageStore):
    """An image store that notes which images were asked for and found, in ``found``, by their names."""

    def __init__(self, backends: Backends) -> None:
        super().__init__(backends.images)
        self._disk = backends.store
        self.found: dict[Reference, LockedImage] = {}

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the store's image."""
        image = self.store.get(reference, platform)
        if image is not None:
            self.found[reference] = self._entry(reference, image)
        return image

    def _entry(self, reference: Reference, image: Image) -> LockedImage:
        listed = self._disk.list_platforms(reference) if self._disk is not None else None
        digest, platforms = listed or (image.manifest_digest, {image.platform: image.manifest_digest})
        if image.manifest_digest not in platforms.values():
            # Something stands in for what the store has under that name.
            digest, platforms = image.manifest_digest, {image.platform: image.manifest_digest}
        return LockedImage(reference, digest, platforms)


class LockedBases(PassingImageStore):
    """An image store that gives of each name what the lock says, wherever the name leads today.

    Shape: ``asked`` are the names that somebody wanted. Without ``fetch`` what the store lacks is an error. Unless it
           is ``strict``, names that the lock does not have are what they are.
    """

    def __init__(self, backends: Backends, lock: Lock, fetch: Fetch | None, *, strict: bool = True) -> None:
        super().__init__(backends.images)
        self._strict = strict
        self._disk = backends.store
        self._lock = lock
        self._fetch = fetch
        self._moved: dict[Reference, tuple[Digest, Digest]] = {}
        self.asked: list[Reference] = []

    def get(self, reference: Reference, platform: Platform | None = None) -> Image | None:
        """Return the image that is locked under that name, None where it has to be fetched.

        Raises: LockStaleError for a name that is not in the lock, or that leads to another image now.
        """
        self.asked.append(reference)
        if self._is_free(reference):
            return self.store.get(reference, platform)
        entry, wanted = self._wanted(reference, platform)
        for name in (reference, _pinned(reference, entry)):
            found = self.store.get(name, platform)
            if found is None:
                continue
            top = self._top_of(name, found)
            if (top, found.manifest_digest) == (entry.digest, wanted):
                return found
            same_top = top == entry.digest
            locked, now = (wanted, found.manifest_digest) if same_top else (entry.digest, top)
            self._moved[reference] = locked, now
            if same_top or self._fetch is None:
                raise self._stale(reference, entry)
        return None

    def _top_of(self, name: Reference, image: Image) -> Digest:
        listed = self._disk.list_platforms(name) if self._disk is not None else None
        return listed[0] if listed is not None else image.manifest_digest

    def fetch(self, reference: Reference, platform: Platform) -> None:
        """Fetch the image that is locked under that name, by its digest.

        Raises: LockStaleError where its registry does not have it; RegistryError.
        """
        assert self._fetch is not None
        if self._is_free(reference):
            self._fetch(reference, platform)
            return
        entry, _ = self._wanted(reference, platform)
        try:
            self._fetch(_pinned(reference, entry), platform)
        except RegistryNotFoundError as error:
            raise self._stale(reference, entry) from error

    def check_unused(self, lock: Lock) -> None:
        """Find out whether everything that ``lock`` has was asked for.

        Raises: LockStaleError.
        """
        drifts = compare_names("base", lock.bases, map(str, self.asked))
        if drifts:
            raise stale(drifts)

    def _is_free(self, reference: Reference) -> bool:
        return not self._strict and self._lock.base(reference) is None

    def _wanted(self, reference: Reference, platform: Platform | None) -> tuple[LockedImage, Digest]:
        entry = self._lock.base(reference)
        if entry is None:
            raise stale([Drift("base", str(reference), "new")])
        wanted = entry.manifest_for(platform or Platform.host())
        if wanted is None:
            raise stale([Drift("base", f"{reference} for {platform}", "new")], MORE_PLATFORMS)
        return entry, wanted

    def _stale(self, reference: Reference, entry: LockedImage) -> LockStaleError:
        locked, now = self._moved.get(reference, (entry.digest, "gone from its registry"))
        return stale([Drift("base", str(reference), "changed", str(locked), str(now))])


def with_locked_bases(backends: Backends, options: BuildOptions, lock: Lock) -> tuple[Backends, LockedBases]:
    """Return backends that know base images by the lock alone, and what was asked of them.

    Raises: LockStaleError where the lock is not for the platform.
    """
    own = lock.for_platform(options.target)
    if not own.platforms:
        raise stale([Drift("platform", str(options.target), "new")], MORE_PLATFORMS)
    fetch = backends.fetch if options.pull != "never" else None
    bases = LockedBases(backends, own, fetch)
    return replace(backends, images=bases, fetch=bases.fetch if fetch is not None else None), bases


def with_kept_bases(backends: Backends, options: BuildOptions, bases: tuple[LockedImage, ...]) -> Backends:
    """Return backends that know ``bases`` as they are locked, and all else as it is."""
    fetch = backends.fetch if options.pull != "never" else None
    kept = LockedBases(backends, Lock((options.target,), bases=bases), fetch, strict=False)
    return replace(backends, images=kept, fetch=kept.fetch if fetch is not None else None)


def _pinned(reference: Reference, entry: LockedImage) -> Reference:
    return replace(reference, digest=entry.digest)
