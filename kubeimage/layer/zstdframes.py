"""Where the frames of zstd data end: the library takes data that were cut off for data that end there.

Source: RFC 8878, section 3.1, "Frames".
"""

from __future__ import annotations

from collections.abc import Generator

_SKIPPABLE = 0x184D2A5
_RLE = 1


class FrameWatch:
    """Follows zstd data by their headers alone. Shape: ``whole`` says whether the data may end here."""

    def __init__(self) -> None:
        self.whole = True
        self._walk = self._wants()
        self._wanted = next(self._walk)
        self._header = b""

    def feed(self, data: bytes) -> None:
        """Follow the next bytes; what makes no sense is left to the library."""
        at = 0
        while at < len(data):
            self.whole = False
            if self._wanted < 0:
                skipped = min(-self._wanted, len(data) - at)
                at += skipped
                self._wanted += skipped
            else:
                taken = data[at : at + self._wanted - len(self._header)]
                at += len(taken)
                self._header += taken
            while self._wanted == 0 or len(self._header) == self._wanted:
                header, self._header = self._header, b""
                self._wanted = self._walk.send(header)

    def _wants(self) -> Generator[int, bytes, None]:
        """Ask for bytes to look at, or, by a negative number, for bytes to pass over."""
        while True:
            self.whole = True
            magic = int.from_bytes((yield 4), "little")
            self.whole = False
            if magic >> 4 == _SKIPPABLE:
                yield -int.from_bytes((yield 4), "little")
                continue
            descriptor = (yield 1)[0]
            yield -_header_size(descriptor)
            last = 0
            while not last:
                block = int.from_bytes((yield 3), "little")
                last = block & 1
                yield -(1 if block >> 1 & 3 == _RLE else block >> 3)
            if descriptor >> 2 & 1:
                yield -4


def _header_size(descriptor: int) -> int:
    """Bytes of a frame's header behind its descriptor: window, dictionary id and content size."""
    single_segment = descriptor >> 5 & 1
    content_size = (single_segment, 2, 4, 8)[descriptor >> 6]
    return (1 - single_segment) + (0, 1, 2, 4)[descriptor & 3] + content_size
