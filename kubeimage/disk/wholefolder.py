"""A folder that is filled when all of it is there, and not before, whatever becomes of who fills it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.disk.failures import translated
from kubeimage.disk.flock import own, release, remove_leftovers
from kubeimage.disk.removal import remove_tree
from kubeimage.disk.wholefile import sync_names
from kubeimage.errors import StoreAccessError, UsageError

_STAGING = ".kubeimage-export-"


@contextmanager
def whole_folder(directory: str, *, durable: bool = False) -> Iterator[str]:
    """Yield a folder to fill, which takes the place of ``directory`` at the end.

    Shape:  ``directory`` is not there yet, or is empty. If anything fails it is as it was before.
            With ``durable``, its name is on the disk at the end; what is in it, whoever fills it waits for.
    Raises: UsageError for a folder that is in use; StoreFullError, StoreAccessError.
    """
    target = os.path.abspath(directory)
    with translated(f"write to {target!r}", target):
        for folder in (target, os.path.dirname(target)):
            remove_leftovers(folder, _STAGING, _try_remove)
        exists = check_folder(directory)
        with _staging(target if exists else os.path.dirname(target)) as staging:
            yield staging
            _publish(staging, target, exists=exists)
            if durable:
                sync_names(target)
                sync_names(os.path.dirname(target))


def check_folder(directory: str) -> bool:
    """Find out whether a folder can be filled, and return whether it is there already, empty.

    Raises: UsageError.
    """
    target = os.path.abspath(directory)
    if not os.path.lexists(target):
        if not os.path.isdir(os.path.dirname(target)):
            raise UsageError(f"there is no folder {os.path.dirname(target)!r} to make {os.path.basename(target)!r} in")
        return False
    if not os.path.isdir(target):
        raise UsageError(f"{directory!r} is not a folder", hint="name a folder that is not there yet, or an empty one")
    with os.scandir(target) as found:
        first = next((one for one in found if not one.name.startswith(_STAGING)), None)
    if first is not None:
        raise UsageError(
            f"the folder {directory!r} is not empty: it holds {first.name!r}", hint="name a new or an empty folder"
        )
    return True


def _try_remove(path: str) -> None:
    with suppress(StoreAccessError):
        remove_tree(path)


@contextmanager
def _staging(folder: str) -> Iterator[str]:
    """Yield a folder on the target's filesystem that is gone afterwards, unless it was moved away.

    It is locked meanwhile: so the next one who fills a folder there knows what a killed one has left.
    """
    staging, lock = _make_staging(folder)
    try:
        os.chmod(staging, 0o755)  # noqa: S103  an image's root is for everybody, unlike a temporary folder
        yield staging
    finally:
        try:
            remove_tree(staging)
        finally:
            release(lock)


def _make_staging(folder: str) -> tuple[str, int]:
    while True:
        staging = tempfile.mkdtemp(prefix=_STAGING, dir=folder)
        with suppress(FileNotFoundError):
            lock = os.open(staging, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            if own(lock, staging):
                return staging, lock


def _publish(staging: str, target: str, *, exists: bool) -> None:
    """Move what is ready to its place; a folder that is there stays the same one, for somebody may stand in it."""
    if not exists:
        os.rename(staging, target)
        return
    for name in sorted(os.listdir(staging)):
        os.rename(os.path.join(staging, name), os.path.join(target, name))
