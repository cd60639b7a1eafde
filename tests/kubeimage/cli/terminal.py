"""A terminal for tests: a pseudo-terminal with an emulator behind it, which knows what a person would see."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

pyte = pytest.importorskip("pyte", reason="needs pyte, which plays a terminal")


class Terminal:
    """A terminal of ``width`` columns. Shape: programs write to ``descriptor``, or to ``stream``."""

    def __init__(self, width: int, height: int) -> None:
        self._screen = pyte.Screen(width, height)
        self._emulator = pyte.ByteStream(self._screen)
        self._master, self.descriptor = os.openpty()
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        self.stream: TextIO = open(self.descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        self.written = b""
        self._change = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def lines(self) -> list[str]:
        """Return what stands on the screen now, without the empty lines."""
        with self._change:
            return [line.rstrip() for line in self._screen.display if line.strip()]

    def wait_for(self, text: str, *, seconds: float = 20) -> list[str]:
        """Wait until ``text`` is to be seen, and return the screen of that moment."""
        return self.wait(lambda lines: any(text in line for line in lines), seconds=seconds)

    def wait(self, condition: Callable[[list[str]], bool], *, seconds: float = 20) -> list[str]:
        """Wait until the screen is as it should be, and return it."""
        with self._change:
            there = self._change.wait_for(lambda: condition(self.lines()), timeout=seconds)
            assert there, "\n".join(self.lines())
            return self.lines()

    @property
    def shows_cursor(self) -> bool:
        """Whether a cursor is to be seen."""
        return not self._screen.cursor.hidden

    def close(self) -> None:
        """Let nobody write any more, and see all that was written."""
        self.stream.close()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
            self._reader.join()
            os.close(self._master)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                # On Linux this is how a terminal tells that its last writer has gone.
                return
            with self._change:
                self.written += data
                self._emulator.feed(data)
                self._change.notify_all()


@contextmanager
def open_terminal(width: int, height: int = 30) -> Iterator[Terminal]:
    """Return a terminal, and close it."""
    terminal = Terminal(width, height)
    try:
        yield terminal
    finally:
        terminal.close()


def columns_of(lines: list[str]) -> int:
    """Return how wide the widest line is."""
    return max(map(len, lines), default=0)
