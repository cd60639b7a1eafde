"""Folders that ``RUN --mount=type=cache`` keeps from build to build.

    cache/mounts/ID/lock       held by who has the folder to himself
    cache/mounts/ID/NUMBER     0 is for all; another one is taken by ``private`` where that is in use

ID is the sha256 of the cache's name. All of it can be lost at any time: ``prune`` takes it away with the cache.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kubeimage.disk.failures import translated
from kubeimage.disk.flock import exclusive, release, try_exclusive
from kubeimage.disk.folders import make_private
from kubeimage.layer.entry import Owner
from kubeimage.namespaces import may_make_namespaces

_MOST_PRIVATE = 64


@contextmanager
def kept_folder(caches: str, name: str, *, sharing: str, mode: int, owner: Owner) -> Iterator[str]:
    """Yield the folder of that name; ``locked`` waits for it, ``private`` takes another one where it is in use.

    Raises: StoreFullError, StoreAccessError.
    """
    place = os.path.join(caches, hashlib.sha256(name.encode()).hexdigest())
    with ExitStack() as stack:
        with translated(f"write {place!r}", place):
            make_private(place)
            number = 0
            if sharing == "locked":
                stack.enter_context(exclusive(os.path.join(place, "lock")))
            elif sharing == "private":
                number = _take_free(place, stack)
            folder = os.path.join(place, str(number))
            if not os.path.isdir(folder):
                os.mkdir(folder)
                os.chmod(folder, mode)
                if may_make_namespaces():
                    os.chown(folder, *owner)
        yield folder


def _take_free(place: str, stack: ExitStack) -> int:
    for number in range(_MOST_PRIVATE):
        descriptor = os.open(os.path.join(place, f"lock-{number}"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if try_exclusive(descriptor):
            stack.callback(release, descriptor)
            return number
        os.close(descriptor)
    stack.enter_context(exclusive(os.path.join(place, "lock-0")))
    return 0
