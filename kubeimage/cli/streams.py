"""What comes out of a RUN and goes to a stream: bytes to lines, and lines to a reader who may go away."""

from __future__ import annotations

import codecs
import os
import sys
from typing import TextIO

from kubeimage.cli.output import give_up

_LONGEST_LINE = 8192


class Muffled:
    """Writes lines to a stream until that fails, and is silent from then on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._broken = False

    def __call__(self, line: str) -> None:
        """Write one line, now."""
        if self._broken:
            return
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except OSError:
            self._broken = True
            give_up(self._stream)


class LineSplitter:
    """Cuts a stream of bytes into lines of text; an endless line is cut where it gets too long."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""

    def feed(self, data: bytes, *, final: bool = False) -> list[str]:
        """Return the lines that are whole now."""
        *lines, rest = (self._rest + self._decode(data, final)).split("\n")
        while len(rest) > _LONGEST_LINE or (final and rest):
            lines.append(rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._rest = rest
        return lines

    def finish(self) -> list[str]:
        """Return what is left, as a line."""
        return self.feed(b"", final=True)


def is_terminal() -> bool:
    """Whether standard error is something on which bars can be drawn."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
