"""Programs of an image, run for a test: the store stays open between runs, and what cannot be run here is skipped."""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from harness.images.backends import Place
from kubeimage.api.backends import Backends
from kubeimage.api.running import RunResult, Step, bring_layers, run_steps
from kubeimage.errors import PlatformMismatchError, UserUnavailableError
from kubeimage.image.config import Image
from kubeimage.layer.stack import LayerReader


class _Opened:
    """The stores that programs have been run in, opened once by this process."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._backends: dict[tuple[int, str], Backends] = {}

    def open(self, place: Place) -> Backends:
        """Return the place's backends.

        Raises: pytest.skip.Exception for one in memory.
        """
        if place.root is None:
            pytest.skip("programs of an image are run from a store on disk, and this backend has none")
        key = os.getpid(), place.root
        if key not in self._backends:
            self._backends[key] = self._stack.enter_context(place.open())
        return self._backends[key]

    def close(self) -> None:
        """Close all of them, as far as they are this process's."""
        mine = all(process == os.getpid() for process, _ in self._backends)
        self._backends.clear()
        (self._stack if mine else self._stack.pop_all()).close()


_opened = _Opened()
atexit.register(_opened.close)


def close_stores() -> None:
    """Close the stores that programs have been run in; the next run opens its own again."""
    _opened.close()


def run_programs(
    image: Image, place: Place, steps: Sequence[Step], contents: LayerReader | None = None
) -> list[RunResult]:
    """Run programs of ``image``, each on what those before it left, and return how they ended.

    Shape:  ``contents`` has the layers of an image that is not in the place's store; they are brought there.
    Raises: pytest.skip.Exception that says why, where this machine cannot run them, or not as their user;
            SandboxError, MountError, StoreError.
    """
    __tracebackhide__ = True
    backends = _opened.open(place)
    try:
        if contents is not None:
            bring_layers(image, contents, backends)
        return run_steps(image, steps, backends)
    except (PlatformMismatchError, UserUnavailableError) as error:
        pytest.skip(f"{error.message} ({error.hint})" if error.hint else error.message)
