"""The search by libFuzzer, where atheris is installed; it then sees branches and comparisons of kubeimage.

Kubeimage must not have been imported before `instrument` was called.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from harness.fuzz.corpus import Corpus


def is_there() -> bool:
    """Whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def instrument() -> None:
    """Have the modules of kubeimage that are imported from now on tell where they go."""
    import atheris

    # For as long as the process lives: some modules are imported when they are first used.
    atheris.instrument_imports(include=["kubeimage"], enable_loader_override=False).__enter__()


def search(run: Callable[[bytes], bytes | None], corpus: Corpus, seed: int, end: Callable[[], int]) -> NoReturn:
    """Run what libFuzzer makes of the files in ``corpus``, and add to them, until ``run`` raises what ends it.

    Shape: the process ends here, with the status that ``end`` gives: libFuzzer's loop has no other way out.
    """
    import atheris

    from harness.fuzz.runner import LONGEST

    interrupt = _Interrupt()

    def one(buffer: bytes) -> int:
        try:
            with interrupt.heard():
                # -1 keeps it out of the corpus.
                return 0 if run(buffer) is not None else -1
        except BaseException:  # noqa: BLE001  what ends the search, whatever it is
            status = end()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    options = ["-handle_int=0", "-verbosity=0", "-len_control=0", f"-max_len={LONGEST}", f"-seed={seed}"]
    atheris.Setup([sys.argv[0], *options, corpus.folder], one, enable_python_coverage=True)
    atheris.Fuzz()
    raise AssertionError("libFuzzer ends the process")


class _Interrupt:
    """Ctrl-C, kept for later where it would be raised in libFuzzer's own code, which takes it for a finding."""

    def __init__(self) -> None:
        self._is_open = self._came = False
        signal.signal(signal.SIGINT, self._take)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
        if self._is_open:
            raise KeyboardInterrupt

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Raise it meanwhile; one that came before is raised at once."""
        self._is_open = True
        try:
            if self._came:
                raise KeyboardInterrupt
            yield
        finally:
            self._is_open = False
