"""A merged tree written out as files: each one from the topmost layer that has it."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.disk.failures import disk_error, is_full
from kubeimage.errors import MountError
from kubeimage.layer.entry import FileIdentity, identity_of
from kubeimage.mount.inspection import readable, xattrs_of
from kubeimage.mount.lower import Found, MergedLayers, Stack

_MOST_AT_ONCE = 1 << 30


@contextmanager
def translated(what: str, path: str) -> Iterator[None]:
    """Turn an OSError into a StoreFullError or a MountError."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise disk_error(error, f"{what} {path!r}", path, store=True) from error
        raise MountError(f"cannot {what} {path!r}: {error.strerror} ({error.filename})") from error


def copy_merged(merged: MergedLayers, root: str) -> dict[str, FileIdentity]:
    """Copy the merged tree to ``root``, which is made, and give what each copy but a directory's is to be known by.

    Hard links become files of their own, as changing one name leaves the others on an overlay. Modes and xattrs are
    kept as far as the user may set them; owners and times are the copy's own.
    Raises: MountError, StoreFullError.
    """
    identities: dict[str, FileIdentity] = {}
    # Directories get their modes when they are full: some let nobody in.
    modes: list[tuple[str, int]] = [(root, 0o755)]
    todo: list[tuple[str, Stack]] = [("", merged.root)]
    with translated("copy the layers to", root):
        os.mkdir(root, 0o700)
        while todo:
            directory, stack = todo.pop()
            for name, found in merged.children(stack):
                path = f"{directory}/{name}" if directory else name
                full = f"{root}/{path}"
                if found.is_directory:
                    os.mkdir(full, 0o700)
                    _copy_xattrs(found.path, full)
                    modes.append((full, stat.S_IMODE(found.status.st_mode)))
                    todo.append((path, found.stack))
                else:
                    _copy(found, full)
                    identities[path] = identity_of(os.lstat(full))
        for full, mode in reversed(modes):
            os.chmod(full, mode)
    return identities


def _copy(found: Found, full: str) -> None:
    kind = stat.S_IFMT(found.status.st_mode)
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(found.path), full)
        return
    if kind != stat.S_IFREG:
        # No layer holds anything else, but a RUN that failed may have left sockets.
        os.mkfifo(full, 0o600)
    else:
        with readable(found.path, found.status):
            _copy_content(found.path, full)
            _copy_xattrs(found.path, full)
    os.chmod(full, stat.S_IMODE(found.status.st_mode))


def _copy_content(path: str, full: str) -> None:
    """Copy a regular file, by a reflink or inside the kernel where the file system can."""
    # The target has a buffer: it goes on after a write that the system took only in part.
    with open(path, "rb", buffering=0) as source, open(full, "xb") as target:
        with suppress(OSError, AttributeError):
            while os.copy_file_range(source.fileno(), target.fileno(), _MOST_AT_ONCE):
                pass
        # From where that left off, or from the start.
        shutil.copyfileobj(source, target, 1 << 20)


def _copy_xattrs(path: str, full: str) -> None:
    for name, value in xattrs_of(path, path):
        # Capabilities are root's to set; what nobody writes to has not lost them all the same.
        with suppress(PermissionError):
            os.setxattr(full, name, value, follow_symlinks=False)
