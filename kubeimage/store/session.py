"""One writing session: a private folder below ``ingest/``, and a lease that says what the session relies on.

The lease is locked for as long as the session lives, so a folder whose lease can be locked is left over from a process
that died. Nobody needs another lock to make a session or to remove what is left of one:

- who makes a session makes the folder, then the lease, locks it, and looks whether it is still there; if not, somebody
  took the young folder for a leftover, and it starts again;
- who removes a leftover locks its lease, and removes the lease last.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.disk import flock
from kubeimage.disk.folders import make_private
from kubeimage.errors import DigestFormatError, StoreAccessError, StoreError
from kubeimage.image.digest import Digest
from kubeimage.store import partial
from kubeimage.store.failures import store_error, translated
from kubeimage.store.files import try_remove_tree, write_all
from kubeimage.store.layout import Layout, make_files, make_folders, read_if_there
from kubeimage.store.reserve import keep_reserve

LEASE = "lease"


class Session:
    """The folder and the lease of this process; made when first needed, gone with ``close``."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._folder: str | None = None
        self._lease = -1
        self._starting = threading.Lock()
        self._held: set[Digest] = set()
        self._numbers = itertools.count(1)

    @property
    def name(self) -> str | None:
        """The name of the folder, where there is one yet."""
        return os.path.basename(self._folder) if self._folder else None

    def folder(self, *, sweep: bool = True) -> str:
        """Return the session's folder. The first call makes the store, where there is none, and removes leftovers.

        Raises: StoreFullError, StoreAccessError.
        """
        if self._folder is None:
            with self._starting:
                # Layers are compressed by several threads, and each needs it first.
                return self._folder or self._make(sweep=sweep)
        return self._folder

    def new_path(self) -> str:
        """Return the path of a file or folder in the session's folder that is not there yet."""
        return os.path.join(self.folder(), str(next(self._numbers)))

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """Yield an empty private folder, removed afterwards whatever is in it."""
        path = self.new_path()
        with translated("make the folder", path):
            os.mkdir(path, 0o700)
        try:
            yield path
        finally:
            try_remove_tree(path)

    def hold(self, *digests: Digest) -> None:
        """Keep ``digests`` from being collected until the session ends; the caller holds ``gc.lock``, shared.

        Raises: StoreFullError, StoreAccessError.
        """
        new = [digest for digest in digests if digest not in self._held]
        if new:
            folder = self.folder()
            with translated("write the lease in", folder):
                self._append("".join(f"{digest.hex}\n" for digest in new).encode())
            self._held.update(new)

    def _append(self, lines: bytes) -> None:
        """Write all of ``lines`` into the lease, or none."""
        size = os.fstat(self._lease).st_size
        try:
            write_all(self._lease, lines)
        except OSError:
            os.ftruncate(self._lease, size)
            raise

    def holds(self, digest: Digest) -> bool:
        """Whether the lease lists ``digest``."""
        return digest in self._held

    def close(self) -> None:
        """Remove the folder and give up the lease."""
        folder, lease = self._folder, self._lease
        self._folder, self._lease = None, -1
        self._held.clear()
        if folder is not None:
            try:
                _remove(folder)
            finally:
                flock.release(lease)

    def _make(self, *, sweep: bool) -> str:
        complete = self._layout.is_complete()
        if not complete:
            make_folders(self._layout)
        self._folder = folder = self._start()
        if not complete:
            make_files(self._layout, self.new_path)
            keep_reserve(self._layout)
        if sweep:
            remove_leftovers(self._layout)
        return folder

    def _start(self) -> str:
        with translated("make a folder in", self._layout.ingest):
            make_private(self._layout.ingest)
            while (folder := self._try_to_start()) is None:
                pass
        return folder

    def _try_to_start(self) -> str | None:
        folder = os.path.join(self._layout.ingest, os.urandom(8).hex())
        lease = os.path.join(folder, LEASE)
        os.mkdir(folder, 0o700)
        try:
            descriptor = os.open(lease, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        except OSError:
            os.rmdir(folder)
            raise
        try:
            if flock.try_exclusive(descriptor) and os.path.exists(lease):
                self._lease = descriptor
                return folder
        except BaseException:
            # Nobody else can have locked it: were it left, it would stop who removes leftovers in this process.
            _remove(folder)
            flock.release(descriptor)
            raise
        os.close(descriptor)
        # Somebody looked at it in this moment, to see whose it is, or removes it: nobody else would be sure to.
        _remove(folder)
        return None


def live_leases(layout: Layout, *, but: str | None = None) -> set[Digest]:
    """Return what all running sessions rely on, leaving out the session whose folder is called ``but``.

    Raises: StoreAccessError: what a lease says must be known before anything is removed.
    """
    held: set[Digest] = set()
    for name in _sessions(layout):
        lease = os.path.join(layout.ingest, name, LEASE)
        if name != but and not _is_free(lease):
            held.update(_read_lease(lease))
    return held


def _read_lease(path: str) -> list[Digest]:
    data = read_if_there(path) or b""
    try:
        # A line without an end is only just being written, and nobody relies on it yet.
        return [Digest.parse(f"sha256:{line.decode('ascii')}") for line in data.split(b"\n")[:-1]]
    except (DigestFormatError, UnicodeDecodeError) as error:
        raise StoreAccessError(
            f"the lease {path} of a running build is damaged", hint="wait until the build has ended, and try again"
        ) from error


def leftovers(layout: Layout) -> list[str]:
    """Return the folders below ``ingest/`` whose processes are dead.

    Raises: StoreAccessError.
    """
    paths = [os.path.join(layout.ingest, name) for name in _sessions(layout)]
    return [path for path in paths if _is_free(os.path.join(path, LEASE))]


def remove_leftovers(layout: Layout) -> None:
    """Remove what dead processes left below ``ingest/``, as far as that is possible."""
    with suppress(StoreError):
        for path in leftovers(layout):
            remove_leftover(layout, path)
        partial.forget_old(layout)


def remove_leftover(layout: Layout, path: str) -> bool:
    """Remove the folder of a dead process, but for what it had of blobs; tell whether it is gone."""
    with suppress(FileNotFoundError):
        return _remove_if_free(layout, path)
    # Without a lease it may be a session that has just begun. Then it is empty, or has a lease when looked at again.
    with suppress(OSError):
        os.rmdir(path)
        return True
    with suppress(FileNotFoundError):
        return _remove_if_free(layout, path)
    return try_remove_tree(path)


def _remove_if_free(layout: Layout, path: str) -> bool:
    """Remove a session's folder, unless somebody holds its lease.

    Raises: FileNotFoundError where it has no lease.
    """
    try:
        with _opened(os.path.join(path, LEASE)) as lease:
            if not flock.try_exclusive(lease):
                return False
            partial.keep_all(layout, path)
            return _remove(path)
    except FileNotFoundError:
        raise
    except OSError:
        return False


def _remove(folder: str) -> bool:
    """Remove a session's folder, its lease last: a folder with something in it but no lease is nobody's."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name != LEASE:
                try_remove_tree(os.path.join(folder, name))
    with suppress(OSError):
        os.unlink(os.path.join(folder, LEASE))
    return try_remove_tree(folder)


def _sessions(layout: Layout) -> list[str]:
    try:
        return sorted(name for name in os.listdir(layout.ingest) if name != partial.FOLDER)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    except OSError as error:
        raise store_error(error, "look for sessions in", layout.ingest) from error


def _is_free(lease: str) -> bool:
    """Whether nobody holds the lease. Where that cannot be known, as on a faked filesystem, somebody does."""
    try:
        with _opened(lease) as descriptor:
            return flock.try_exclusive(descriptor) and _cannot_be_locked(lease)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _cannot_be_locked(lease: str) -> bool:
    with _opened(lease) as descriptor:
        return not flock.try_exclusive(descriptor)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
