"""Buffers as Hypothesis reads them, faster: bytes of a fixed number are taken as they lie there.

Hypothesis takes them one by one, as so many numbers. What comes of a buffer is the same.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any


def read_bytes_at_once() -> None:
    """Let `fuzz_one_input` take bytes of a fixed number at once, if this Hypothesis is as those that are known."""
    with suppress(ImportError, AttributeError):
        from hypothesis import core

        usual = core.BytestringProvider  # type: ignore[attr-defined]
        if not hasattr(usual, "takes_bytes_at_once"):
            core.BytestringProvider = _quicker(usual)  # type: ignore[attr-defined]


def _quicker(usual: Any) -> Any:
    class Quicker(usual):  # type: ignore[misc]
        takes_bytes_at_once = True
        index: int

        def draw_bytes(self, min_size: int = 0, max_size: int = 1 << 10) -> bytes:
            end = self.index + min_size
            if min_size != max_size or end > len(self.bytestring):
                taken: bytes = super().draw_bytes(min_size, max_size)
                return taken
            taken = bytes(self.bytestring[self.index : end])
            self.index = end
            self.drawn += taken
            return taken

    return Quicker
