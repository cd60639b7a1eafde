"""A simple coverage-guided search: change a buffer that reached something new, and keep what reaches more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from harness.fuzz.lines import Lines
from harness.fuzz.runner import LONGEST

Run = Callable[[bytes], bytes | None]
"""Runs a buffer, and gives as much of it as was read; None where it says no case."""

_MOST_KEPT = 1_000
_MOST_CHANGES = 4
_FRESH = 0.1
_REPEATED = 0.05


class Pool:
    """Buffers of which each reached a line that none before it did, here or at another worker's.

    Shape: at most `_MOST_KEPT` of at most `LONGEST` bytes are held; past that a new one takes the place of any other.
           ``adopted`` are those of others that nobody has run here.
    """

    def __init__(self, run: Run, lines: Lines, keep: Callable[[bytes], object]) -> None:
        self._run = run
        self._lines = lines
        self._keep = keep
        self.buffers: list[bytes] = []
        self.adopted: list[bytes] = []

    def adopt(self, buffer: bytes, random: Random) -> None:
        """Hold what another worker has kept: it has run it, and here it need only be changed."""
        self.adopted.append(buffer)
        self._hold(buffer, random)

    def take(self, buffer: bytes, random: Random) -> bool:
        """Run a buffer; whether it reached something new."""
        before = len(self._lines.seen)
        read = self._run(buffer)
        if read is None or len(self._lines.seen) == before:
            return False
        self._keep(read)
        if read not in self.buffers:
            self._hold(read, random)
        return True

    def _hold(self, buffer: bytes, random: Random) -> None:
        if len(self.buffers) < _MOST_KEPT:
            self.buffers.append(buffer)
        else:
            self.buffers[random.randrange(_MOST_KEPT)] = buffer


def search(
    run: Run,
    lines: Lines,
    seeds: Iterable[bytes],
    keep: Callable[[bytes], object],
    random: Random,
    *,
    news: Callable[[], Iterable[bytes]] = tuple,
) -> None:
    """Run ``seeds``, then buffers made of them, until ``run`` raises what ends the search.

    Shape: ``keep`` is given each buffer that reached a new line. ``news`` gives what others have kept meanwhile,
           which is changed, and hardly ever run as it is.
    """
    pool = Pool(run, lines, keep)
    for seed in seeds:
        pool.take(seed, random)
    while True:
        for buffer in news():
            pool.adopt(buffer, random)
        if pool.adopted and random.random() < _REPEATED:
            # Now and then, for lines that need not be looked for any more, and for the corpus of this machine.
            pool.take(pool.adopted.pop(), random)
        else:
            pool.take(_change(pool.buffers, random), random)


def _change(buffers: list[bytes], random: Random) -> bytes:
    """Make a new buffer: of a kept one, or every now and then of nothing."""
    if not buffers or random.random() < _FRESH:
        return random.randbytes(random.choice((64, 512, LONGEST)))
    data = bytearray(random.choice(buffers))
    for _ in range(random.randint(1, _MOST_CHANGES)):
        random.choice(_CHANGES)(data, buffers, random)
    return bytes(data[:LONGEST])


def _replace_byte(data: bytearray, _buffers: list[bytes], random: Random) -> None:
    if data:
        data[random.randrange(len(data))] = random.choice((0, 1, 255, random.randrange(256)))


def _nudge_byte(data: bytearray, _buffers: list[bytes], random: Random) -> None:
    if data:
        at = random.randrange(len(data))
        data[at] = (data[at] + random.choice((-1, 1))) % 256


def _insert(data: bytearray, _buffers: list[bytes], random: Random) -> None:
    at = random.randint(0, len(data))
    data[at:at] = random.randbytes(random.randint(1, 8))


def _remove(data: bytearray, _buffers: list[bytes], random: Random) -> None:
    at = random.randint(0, len(data))
    del data[at : at + random.randint(1, 16)]


def _repeat(data: bytearray, _buffers: list[bytes], random: Random) -> None:
    at = random.randint(0, len(data))
    data[at:at] = data[at : at + random.randint(1, 64)]


def _cross(data: bytearray, buffers: list[bytes], random: Random) -> None:
    other = random.choice(buffers)
    at = random.randint(0, min(len(data), len(other)))
    data[at:] = other[at:]


def _go_on(data: bytearray, _buffers: list[bytes], random: Random) -> None:
    data += random.randbytes(random.choice((1, 16, 256)))


def _cut(data: bytearray, _buffers: list[bytes], random: Random) -> None:
    del data[random.randint(0, len(data)) :]


_CHANGES = (_replace_byte, _replace_byte, _nudge_byte, _insert, _remove, _repeat, _cross, _cut, _go_on)
