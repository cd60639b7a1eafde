"""Which lines of kubeimage have run: the coverage that guides the search where atheris is not installed.

A function whose lines have all been seen is traced no more, so a search gets faster as it goes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import kubeimage

_FOLDER = os.path.dirname(kubeimage.__file__) + os.sep


class Lines:
    """The lines of code below ``folder`` that have run, as file and number."""

    def __init__(self, folder: str = _FOLDER) -> None:
        self.seen: set[tuple[str, int]] = set()
        self._folder = folder
        self._unseen: dict[CodeType, set[int]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch this thread meanwhile."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, _event: str, _argument: object) -> Any:
        unseen = self._unseen.get(frame.f_code)
        if unseen is None:
            unseen = self._unseen[frame.f_code] = self._lines_of(frame.f_code)
        return self._step if unseen else None

    def _step(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            unseen = self._unseen[frame.f_code]
            if frame.f_lineno in unseen:
                unseen.discard(frame.f_lineno)
                self.seen.add((frame.f_code.co_filename, frame.f_lineno))
        return self._step

    def _lines_of(self, code: CodeType) -> set[int]:
        if not code.co_filename.startswith(self._folder):
            return set()
        # The line of the def itself is passed when it is called, and is no line event.
        return {line for _, _, line in code.co_lines() if line is not None} - {code.co_firstlineno}
