"""The end of a command's output, kept within bounds and harmless to print."""

from __future__ import annotations

import re

LINES = 20
"""How many lines an error shows."""

# Each of these bytes can become a character of three.
_KEPT = 20 << 10
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Tail:
    """Takes output as it comes and keeps its end."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def add(self, data: bytes) -> None:
        """Take more output."""
        self._kept += data[-_KEPT:]
        del self._kept[:-_KEPT]

    def text(self) -> str:
        """Return the last lines as a terminal would show them, without what could move its cursor or its colours."""
        text = _ESCAPES.sub("", self._kept.decode("utf-8", "replace"))
        lines = [_line(line) for line in text.rstrip("\r\n").split("\n")]
        return "\n".join(lines[-LINES:])


def _line(line: str) -> str:
    """Of what a progress bar wrote over and over, only the last is seen."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return "".join(char if char.isprintable() or char == "\t" else "\N{REPLACEMENT CHARACTER}" for char in shown)
