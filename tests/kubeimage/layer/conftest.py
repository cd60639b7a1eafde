"""What a directory on disk looks like, as data."""

import os
import stat
from collections.abc import Callable
from typing import Any

import pytest

from kubeimage.layer.disk import is_kept_xattr

Looks = tuple[str, int, Any, dict[str, bytes]]
Scan = Callable[[str | os.PathLike[str]], dict[str, Looks]]


@pytest.fixture(scope="session")
def scan() -> Scan:
    """Look at everything below a directory: path -> (type, mode, content or target, xattrs); opens what is closed."""
    return _scan


def _scan(root: str | os.PathLike[str]) -> dict[str, Looks]:
    found = {}
    todo = [""]
    while todo:
        here = todo.pop()
        for name in os.listdir(os.path.join(root, here)):
            path = os.path.join(here, name)
            full = os.path.join(root, path)
            status = os.lstat(full)
            if stat.S_ISDIR(status.st_mode):
                todo.append(path)
            if not stat.S_ISLNK(status.st_mode) and os.geteuid() != 0:
                os.chmod(full, stat.S_IMODE(status.st_mode) | 0o700)
            found[path] = _describe(full, status)
    return found


def _describe(full: str, status: os.stat_result) -> Looks:
    mode = stat.S_IMODE(status.st_mode)
    xattrs = {
        name: os.getxattr(full, name, follow_symlinks=False)
        for name in os.listxattr(full, follow_symlinks=False)
        if is_kept_xattr(name)
    }
    if stat.S_ISLNK(status.st_mode):
        return "symlink", 0o777, os.readlink(full), xattrs
    if stat.S_ISREG(status.st_mode):
        with open(full, "rb") as file:
            return "file", mode, file.read(), xattrs
    if stat.S_ISCHR(status.st_mode):
        return "device", mode, status.st_rdev, xattrs
    return "directory" if stat.S_ISDIR(status.st_mode) else "fifo", mode, None, xattrs
