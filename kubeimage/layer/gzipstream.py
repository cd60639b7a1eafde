"""Writing gzip: what can be compressed is, and what cannot is stored.

Most of a cluster image is the layers of container images, compressed long ago. To compress them once more would take a
second and a half a gigabyte and gain nothing, and whoever unpacks them would take two seconds to undo it. Stored, they
cost both next to nothing.

Source: RFC 1951, section 3.2.4 (stored blocks); RFC 1952, section 2.3.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

_LONGEST_STORED = 0xFFFF
BLOCK = 4 * _LONGEST_STORED
"""Bytes that are looked at, and compressed or stored, together: equal input gives equal output, however it is cut."""

_HEADER = b"\x1f\x8b\x08\x00" + bytes(4) + b"\x00\xff"
_RAW = -15  # deflate's largest window, without a header
_SAMPLES, _SAMPLE = 4, 1 << 12
_WORTH_IT = 0.95


class GzipCompressor:
    """Compresses a stream into one gzip member, without a time or a name in it."""

    def __init__(self, level: int, deflate: Any = zlib) -> None:
        """Take ``zlib`` or a module that looks like it."""
        self._deflate = deflate
        self._level = level
        self._stream = self._new_stream()
        self._waiting = bytearray()
        self._crc: int = 0
        self._size = 0
        self._begun = False
        # Whether the stream may still refer to what came before, and hold back bits of its last byte.
        self._open = False

    def compress(self, piece: bytes) -> bytes:
        """Take the next bytes, and give what is ready."""
        self._waiting += piece
        whole = len(self._waiting) - len(self._waiting) % BLOCK
        if not whole:
            return b""
        blocks = bytes(self._waiting[:whole])
        del self._waiting[:whole]
        return self._begin() + b"".join(self._add(blocks[start : start + BLOCK]) for start in range(0, whole, BLOCK))

    def flush(self) -> bytes:
        """Return the rest; nothing can follow."""
        last = self._add(bytes(self._waiting)) if self._waiting else b""
        trailer = struct.pack("<II", self._crc, self._size & 0xFFFFFFFF)
        end: bytes = self._stream.flush()
        return self._begin() + last + end + trailer

    def _begin(self) -> bytes:
        header, self._begun = b"" if self._begun else _HEADER, True
        return header

    def _add(self, block: bytes) -> bytes:
        self._crc = self._deflate.crc32(block, self._crc)
        self._size += len(block)
        if self._can_be_compressed(block):
            self._open = True
            compressed: bytes = self._stream.compress(block)
            return compressed
        closed: bytes
        closed, self._open = self._stream.flush(self._deflate.Z_FULL_FLUSH) if self._open else b"", False
        return closed + _store(block)

    def _can_be_compressed(self, block: bytes) -> bool:
        """Try it on a few samples."""
        step = max(len(block) // _SAMPLES, _SAMPLE)
        sample = b"".join(block[start : start + _SAMPLE] for start in range(0, len(block), step))
        stream = self._new_stream()
        return len(stream.compress(sample) + stream.flush()) < len(sample) * _WORTH_IT

    def _new_stream(self) -> Any:
        return self._deflate.compressobj(self._level, zlib.DEFLATED, _RAW)


def _store(block: bytes) -> bytes:
    parts: list[bytes] = []
    for start in range(0, len(block), _LONGEST_STORED):
        part = block[start : start + _LONGEST_STORED]
        parts += (b"\x00", struct.pack("<HH", len(part), len(part) ^ 0xFFFF), part)
    return b"".join(parts)
