"""Where everything lies in a store, and how one is made and recognised.

Source: OCI image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress

from kubeimage.disk.folders import make_private
from kubeimage.errors import StoreAccessError, StoreError, StoreVersionError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.store import locks
from kubeimage.store.failures import ELSEWHERE, store_error, translated
from kubeimage.store.files import replace_file, sync_directory, write_new_file
from kubeimage.values import dataclass

STORE_VERSION = 1
"""The newest form of a store that this code can read, and the one it writes."""

OCI_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_EMPTY_INDEX = b'{"manifests":[],"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2}'
_OWN_NAMES = {
    "blobs",
    "cache",
    "gc.lock",
    "gc.turn",
    "index.json",
    "index.lock",
    "ingest",
    "kubeimage.json",
    "oci-layout",
    "reserve",
    "snapshots",
    "variants",
    "lost+found",
}


@dataclass(frozen=True)
class Layout:
    """The paths of a store.

    Shape: ``root`` is absolute. Where it is not ``durable``, as in a store that goes with a test run, nobody waits for
           the disk, and a power cut may damage it.
    """

    root: str
    durable: bool = True

    @property
    def index(self) -> str:
        """The file that names every image: the one commit point."""
        return os.path.join(self.root, "index.json")

    @property
    def blobs(self) -> str:
        """The folder of all blobs."""
        return os.path.join(self.root, "blobs", "sha256")

    @property
    def snapshots(self) -> str:
        """The folder of unpacked layers."""
        return os.path.join(self.root, "snapshots")

    @property
    def variants(self) -> str:
        """The folder of records that say which blob holds which layer compressed."""
        return os.path.join(self.root, "variants")

    @property
    def cache(self) -> str:
        """The folder of what can be lost at any time."""
        return os.path.join(self.root, "cache")

    @property
    def ingest(self) -> str:
        """The folder of running sessions."""
        return os.path.join(self.root, "ingest")

    @property
    def index_lock(self) -> str:
        """The lock around each change of ``index.json``."""
        return os.path.join(self.root, "index.lock")

    @property
    def gc_lock(self) -> str:
        """The lock between those who start to rely on something and those who remove what nobody relies on."""
        return os.path.join(self.root, "gc.lock")

    @property
    def reserve(self) -> str:
        """The file that keeps a little room for removals on a full disk."""
        return os.path.join(self.root, "reserve")

    @property
    def version(self) -> str:
        """The file that says which form the store has."""
        return os.path.join(self.root, "kubeimage.json")

    @property
    def marker(self) -> str:
        """The file that makes a folder an OCI image layout."""
        return os.path.join(self.root, "oci-layout")

    def blob(self, digest: Digest) -> str:
        """Return the path of a blob."""
        return f"{self.root}/blobs/sha256/{digest.hex}"

    def is_complete(self) -> bool:
        """Whether there is a store of a form that can be read; an image layout that another tool made is none yet.

        Raises: StoreVersionError for a newer store; StoreAccessError for one that cannot be read.
        """
        data = read_if_there(self.version)
        if data is not None:
            _check_version(data, self.version)
        return data is not None

    def has_something(self) -> bool:
        """Whether there is a store, another tool's image layout, or a list of images that lost what says so.

        A store that was not made to its end has nothing to lose; an ``index.json`` without blobs is somebody else's.
        Raises: StoreVersionError, StoreAccessError, as ``is_complete`` does.
        """
        if self.is_complete() or os.path.exists(self.marker):
            return True
        return os.path.isdir(self.blobs) and read_if_there(self.index) not in {None, _EMPTY_INDEX}


def read_if_there(path: str) -> bytes | None:
    """Read a small file of the store; None where it is not there.

    Raises: StoreAccessError.
    """
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise StoreAccessError(f"the store's root {os.path.dirname(path)} is not a folder", hint=ELSEWHERE) from error
    except OSError as error:
        raise store_error(error, "read", path) from error


def _check_version(data: bytes, path: str) -> None:
    try:
        version = canonical.loads(data)["storeVersion"]
    except (ValueError, TypeError, KeyError):
        version = None
    if not isinstance(version, int) or version < 1:
        raise StoreError(
            f"{path} does not say which form the store has: {data[:80]!r}",
            hint='if kubeimage made this store, write {"storeVersion": 1} into that file and run kubeimage fsck',
        )
    if version > STORE_VERSION:
        raise StoreVersionError(
            f"the store at {os.path.dirname(path)} has form {version}, made by a newer kubeimage; "
            f"this one knows forms up to {STORE_VERSION}",
            hint="upgrade kubeimage, or use another store with --root",
        )


def make_folders(layout: Layout) -> None:
    """Make the folders of a store, as far as they are missing.

    Raises: StoreAccessError where the root holds something else or cannot be written; StoreFullError.
    """
    _check_root(layout)
    new = _missing_above(layout.root)
    with translated("make the store", layout.root):
        os.makedirs(os.path.dirname(layout.root), exist_ok=True)
        # Blobs hold the content of files that are closed, keys the build arguments, unpacked layers set-uid programs:
        # nobody else enters, also where the root was there already and is open.
        for private in (layout.root, os.path.dirname(layout.blobs), layout.blobs, layout.snapshots, layout.ingest):
            make_private(private)
    # Whatever is written into the store later is lost with the name of a folder above it.
    if layout.durable:
        for folder in (*new, layout.root, os.path.dirname(layout.blobs)):
            sync_directory(folder)


def _missing_above(path: str) -> list[str]:
    """Return the folders that will hold new names once ``path`` is made: none where it is there already."""
    holders = []
    while not os.path.exists(path):
        path = os.path.dirname(path)
        holders.append(path)
    return [holder for holder in holders if not os.path.exists(holder) or os.access(holder, os.R_OK)]


def make_files(layout: Layout, new_path: Callable[[], str]) -> None:
    """Make the files that say what a store is, the deciding one last; those that are there stay.

    Raises: StoreAccessError, StoreFullError.
    """
    version = json.dumps({"storeVersion": STORE_VERSION}).encode()
    with locks.exclusive(layout.index_lock):
        for path, data in ((layout.index, _EMPTY_INDEX), (layout.marker, OCI_LAYOUT), (layout.version, version)):
            if not _is_there(path):
                written = new_path()
                write_new_file(written, data, durable=layout.durable)
                replace_file(written, path, durable=layout.durable)


def _is_there(path: str) -> bool:
    """Whether there is something; who cannot tell must not write over it.

    Raises: StoreAccessError.
    """
    with translated("look at", path), suppress(FileNotFoundError):
        os.stat(path)
        return True
    return False


def _check_root(layout: Layout) -> None:
    """Refuse to fill a folder that is used for something else."""
    try:
        names = set(os.listdir(layout.root))
    except FileNotFoundError:
        return
    except OSError as error:
        raise store_error(error, "open the store at", layout.root) from error
    strange = sorted(names - _OWN_NAMES)
    if strange and "oci-layout" not in names:
        raise StoreAccessError(
            f"{layout.root} is no image store, and not empty: it holds {strange[0]!r}",
            hint="name an empty or a new folder with --root or KUBEIMAGE_ROOT",
        )
