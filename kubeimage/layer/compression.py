"""Layers' tars compressed and back, as streams: memory is bounded whatever comes.

Gzip is ISA-L's where it is installed, else zlib's; its header holds no time and no name. What a blob is compressed with
is read from its first bytes: registries are known to give wrong media types.

Source: RFC 1952 and RFC 8878, for the first bytes; OCI image-spec v1.1, layer.md.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, Protocol, Self, cast

from kubeimage.errors import LayerFormatError, LayerTooLargeError, UsageError
from kubeimage.image.media_types import Compression
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 1 << 20

_GZIP_MAGIC = b"\x1f\x8b\x08"
_ZSTD_MAGICS = (b"\x28\xb5\x2f\xfd", *(bytes([low, 0x2A, 0x4D, 0x18]) for low in range(0x50, 0x60)))
HEAD = 6
_GZIP_LEVEL, _ZSTD_LEVEL = 2, 3
_ZSTD_LEVELS = range(1, 20)
_ZSTD_WINDOW = 64 << 20
_MOST_THREADS = 4
_JOB = 2 << 20
"""Bytes that a thread compresses at the usual level: the library's own choice holds four times as many in memory."""


class Readable(Protocol):
    """Something to read bytes from."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none only at the end."""
        ...


@dataclass(frozen=True)
class Coding:
    """How a layer is to be compressed. Shape: ``level`` 0 leaves it to us."""

    kind: Compression
    level: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``none``, ``gzip``, ``zstd`` or ``zstd:LEVEL``.

        Raises: UsageError.
        """
        kind, colon, level = text.partition(":")
        if kind == "zstd" and (not colon or (level.isdecimal() and int(level) in _ZSTD_LEVELS)):
            return cls("zstd", int(level or 0))
        if kind in ("none", "gzip") and not colon:
            return cls("gzip" if kind == "gzip" else "none")
        raise UsageError(f"not a compression: {text!r}", hint="choose gzip, zstd, zstd:1 to zstd:19, or none")

    def __str__(self) -> str:
        return f"zstd:{self.level or _ZSTD_LEVEL}" if self.kind == "zstd" else self.kind

    @property
    def recipe(self) -> str:
        """What a compressed layer is remembered by: another recipe makes other bytes of the same tar."""
        return f"{self} in jobs" if self.kind == "zstd" else str(self)


def detect(head: bytes) -> Compression:
    """Say what a blob that begins with ``head`` is compressed with."""
    if head.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if head.startswith(_ZSTD_MAGICS) else "none"


def decompress(source: Readable, *, most: int | None = None, piece_size: int = PIECE) -> Iterator[bytes]:
    """Yield what ``source`` holds uncompressed, in pieces of up to 1 MiB.

    Units:  ``most`` in bytes of all that is given; ``piece_size`` in bytes, for who wants to see but the beginning.
    Raises: LayerFormatError for what is damaged or ends too early; LayerTooLargeError past ``most``.
    """
    rejoined = Rejoined(source)
    kind = detect(rejoined.head)
    reader: Readable = rejoined if kind == "none" else _open_gzip(rejoined) if kind == "gzip" else _open_zstd(rejoined)
    given = 0
    while piece := _read(reader, kind, piece_size):
        given += len(piece)
        if most is not None and given > most:
            raise LayerTooLargeError(
                f"the layer holds more than {most} bytes once it is uncompressed", hint="it may be made to fill disks"
            )
        yield piece


def compress(pieces: Iterable[bytes], coding: Coding) -> Iterator[bytes]:
    """Yield ``pieces`` compressed: equal bytes in, however they are cut, equal bytes out."""
    compressor = _gzip_compressor() if coding.kind == "gzip" else _ZstdCompressor(coding.level or _ZSTD_LEVEL)
    for piece in pieces:
        if compressed := compressor.compress(piece):
            yield compressed
    yield compressor.flush()


class Rejoined(io.RawIOBase):
    """A source whose first bytes have been looked at, in the shape that the libraries want."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self.head = b""
        while len(self.head) < HEAD and (more := source.read(HEAD - len(self.head))):
            self.head += more
        self._left = self.head

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if not self._left:
            return self._source.read(size)
        data, self._left = self._left[:size], self._left[size:]
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


def _read(reader: Readable, kind: Compression, piece_size: int) -> bytes:
    try:
        return reader.read(piece_size)
    except _damages() as error:
        raise LayerFormatError(f"the layer's {kind} data are damaged: {error}") from error


def _damages() -> tuple[type[Exception], ...]:
    """What the libraries raise for damaged data."""
    import gzip

    from zstandard import ZstdError

    known = (EOFError, gzip.BadGzipFile, zlib.error, ZstdError)
    try:
        from isal.isal_zlib import IsalError
    except ImportError:
        return known
    # Its stub takes it for an instance.
    return (*known, cast("type[Exception]", IsalError))


def _open_gzip(source: Any) -> Readable:
    try:
        from isal.igzip import IGzipFile
    except ImportError:
        from gzip import GzipFile

        return GzipFile(fileobj=source, mode="rb")
    opened: Readable = IGzipFile(fileobj=source, mode="rb")  # type: ignore[no-untyped-call]
    return opened


def _open_zstd(source: Any) -> Readable:
    from zstandard import ZstdDecompressor

    decompressor = ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    return decompressor.stream_reader(cast("IO[bytes]", _Whole(source)), read_size=PIECE, read_across_frames=True)


class _Whole:
    """A source of zstd data that does not end inside a frame."""

    def __init__(self, source: Readable) -> None:
        from kubeimage.layer.zstdframes import FrameWatch

        self._source = source
        self._watch = FrameWatch()

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._watch.feed(data)
        if not data and not self._watch.whole:
            raise EOFError("they end inside a frame")
        return data


def _gzip_compressor() -> Any:
    from kubeimage.layer.gzipstream import GzipCompressor

    try:
        from isal import isal_zlib
    except ImportError:
        return GzipCompressor(1)
    return GzipCompressor(_GZIP_LEVEL, isal_zlib)


class _ZstdCompressor:
    """Compresses a stream into one zstd frame, by as many threads as there are cores: they change none of its bytes.

    One thread writes the same frame as many. None writes another, so that is left to layers that fit into one job.
    """

    def __init__(self, level: int) -> None:
        self._level = level
        self._start = bytearray()
        self._jobs: Any = None

    def compress(self, piece: bytes) -> bytes:
        """Take the next bytes, and give what is ready."""
        if self._jobs is None:
            self._start += piece
            if len(self._start) < _JOB:
                return b""
            self._jobs, piece = _zstd_jobs(self._level), bytes(self._start)
            self._start.clear()
        ready: bytes = self._jobs.compress(piece)
        return ready

    def flush(self) -> bytes:
        """Return the rest; nothing can follow."""
        from zstandard import ZstdCompressor

        if self._jobs is None:
            return ZstdCompressor(level=self._level, write_checksum=True).compress(self._start)
        rest: bytes = self._jobs.flush()
        return rest


def _zstd_jobs(level: int) -> Any:
    from zstandard import ZstdCompressionParameters, ZstdCompressor

    threads = min(len(os.sched_getaffinity(0)), _MOST_THREADS)
    job = _JOB if level <= _ZSTD_LEVEL else 0
    parameters = ZstdCompressionParameters.from_level(level, write_checksum=True, threads=threads, job_size=job)
    return ZstdCompressor(compression_params=parameters).compressobj()
