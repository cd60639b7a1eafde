"""Processes that begin where this one is: no interpreter to start, nothing to import."""

from __future__ import annotations

import gc
import os
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


def fork() -> int:
    """Fork; a child does without the threads of its parent, such as those of pytest-xdist, and needs none of them.

    The child's garbage collector leaves alone what the parent had: looking at it would copy all of its memory.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        gc.freeze()
    return pid


@contextmanager
def ending_here() -> Iterator[None]:
    """End this process with the block, whatever happens in it: a child must not go on in its parent's place."""
    status = 1
    try:
        yield
        status = 0
    except BaseException:  # noqa: BLE001 - nobody above is to handle it
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)
