"""Tars as nobody should send them: header by header, so that each field can lie."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.trees import Pasted

_BLOCK = 512
_END = bytes(2 * _BLOCK)


class _Shown(Pasted):
    """Printed with those fields alone that say something."""

    def __repr__(self) -> str:
        shown = [
            f"{one.name}={getattr(self, one.name)!r}"
            for one in fields(self)  # type: ignore[arg-type]
            if getattr(self, one.name) != one.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class Member(_Shown):
    """A header and what stands behind it.

    Shape: ``size`` is what the header says, where that is not the length of ``data``; ``kind`` is the type flag.
           ``patches`` are written over the header at their offsets, before its checksum is made.
    """

    name: bytes = b"a"
    kind: bytes = b"0"
    data: bytes = b""
    link: bytes = b""
    mode: int = 0o644
    size: int | None = None
    patches: tuple[tuple[int, bytes], ...] = ()

    def render(self) -> bytes:
        """Return its blocks."""
        size = len(self.data) if self.size is None else self.size
        header = bytearray(_BLOCK)
        numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (self.mode, 0, 0, size, 0)
        for at, text in (
            (0, self.name[:100]),
            (100, numbers),
            (156, self.kind),
            (157, self.link[:100]),
            *_MAGIC,
            *self.patches,
        ):
            header[at : at + len(text)] = text
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)
        return bytes(header[:_BLOCK]) + self.data + bytes(-len(self.data) % _BLOCK)


_MAGIC = ((257, b"ustar\00000"), (329, b"0000000\0" * 2))


@dataclass(frozen=True, repr=False)
class Tar(_Shown):
    """A tar of any members.

    Shape: ``patches`` are written over the whole, whatever checksum they break; then all behind ``cut`` goes.
    """

    members: tuple[Member, ...] = ()
    end: bytes = _END
    patches: tuple[tuple[int, bytes], ...] = ()
    cut: int | None = None

    @property
    def data(self) -> bytes:
        """The tar's bytes."""
        data = bytearray(b"".join(member.render() for member in self.members) + self.end)
        for at, text in self.patches:
            if at < len(data):
                data[at : at + len(text)] = text
        return bytes(data[: self.cut])


# Symlinks of these names stand in the folder that a tar is tried on: `LINKS`.
LINKS = {"out": "../outside", "up": "..", "self": ".", "system": "/", "d/out": "../../outside", "chain": "out/closed"}
# What a layer may have; few, so that they meet each other and what stood there before.
_PLAIN = (
    b"a", b"b", b"a/b", b"a/c", b"b/a", b"a/b/c", b".wh.a", b".wh.b", b"a/.wh.b", b"b/.wh.a", b"a/.wh..wh..opq",
    b".wh..wh..opq", b"out", b"out/kept", b"d", b"d/out", b".wh.out", b"d/.wh.out", b"self", b"self/x", b"up/x",
)  # fmt: skip
_NAMES = (
    b"a/", b"d/", b"./a", b"./", b".", b"..", b"../outside/kept", b"/etc/kubeimage-fuzz",
    b"d/../../x", b".wh.out", b"d/.wh.out", b"out/.wh.kept", b".wh..wh..opq",
    b"out/.wh..wh..opq", b".wh.", b".wh..", b".wh...", b"out", b"out/kept", b"self/self/out/kept", b"up/outside/kept",
    b"chain/new", b"d/out/kept", b"\xff", b"a\nb", b"n" * 100, b"deep/" * 19 + b"x", b"", b"a//b", b"a/./b",
    "größe".encode(), b".kubeignore",
)  # fmt: skip
_LINKS = (b"a", b"", b"../outside/kept", b"/etc/passwd", b"out/kept", b"d", b"./a", b".", b"x" * 100, b"\xff", b"a\0b")
_USUAL = (b"0", b"0", b"5", b"5", b"2", b"1", b"6", b"\0")
_KINDS = (*_USUAL, b"3", b"4", b"7", b"S", b"g", b"K", b"L", b"x", b"z")
_SIZES = st.sampled_from((0, 1, 511, 513, 8**11 - 1))
_KEYS = (
    "path", "linkpath", "size", "mtime", "uid", "comment", "GNU.sparse.name", "SCHILY.xattr.user.a",
    "SCHILY.xattr.security.capability", "hdrcharset", "ctime", "",
)  # fmt: skip
_VALUES = (
    b"a", b"b", b"../outside/kept", b"out/kept", b"/etc/kubeimage-fuzz", b"-1", b"0", b"3", b"9" * 20, b"1e9", b"1.5",
    b"-0.5", b"\0", b"\xff", b"", b"a/" * 2_100, b"1" * 5_000, b"\n", b".wh.a", b".wh..wh..opq",
)  # fmt: skip
# A header's fields: mode, size, time, checksum's place, version, prefix; numbers as base 256, blanks, rubbish.
_OFFSETS = (100, 108, 124, 136, 257, 263, 265, 329, 345)
_FIELDS = (
    b"\x80" + bytes(10) + b"\1",
    b"\xff" * 12,
    b"        ",
    b"-0000001",
    b"0",
    b"9",
    b"\0",
    b"..",
    b"out",
    b"GNUtar \0",
)
_ENDS = st.sampled_from((b"", bytes(_BLOCK), bytes(20 * _BLOCK), _END + b"x", bytes(_BLOCK) + b"x" * _BLOCK))


def _rarely(odd: SearchStrategy[Any], usual: SearchStrategy[Any]) -> SearchStrategy[Any]:
    """Generate ``usual`` mostly, so that many tars are taken, and what they do is compared."""
    return st.integers(0, 19).flatmap(lambda number: odd if number == 19 else usual)


@st.composite
def _members(draw: st.DrawFn) -> Member:
    name = draw(_rarely(st.sampled_from(_NAMES), st.sampled_from(_PLAIN)))
    is_whiteout = b".wh." in name
    kind = draw(_rarely(st.sampled_from(_KINDS), st.just(b"0") if is_whiteout else st.sampled_from(_USUAL)))
    data, link = b"", b""
    if kind in {b"x", b"g"}:
        data = b"".join(draw(st.lists(_RECORDS, max_size=3)))
    elif kind in {b"K", b"L"}:
        data = draw(st.sampled_from(_NAMES)) * draw(st.sampled_from((1, 1, 30))) + draw(st.sampled_from((b"\0", b"")))
    elif kind in {b"0", b"\0", b"7"} and not is_whiteout:
        data = draw(st.sampled_from((b"", b"", b"1", b"two", b"x" * 512, b"x" * 513)))
    elif kind in {b"1", b"2"}:
        link = draw(_rarely(st.sampled_from(_LINKS), st.sampled_from((b"a", b"b", b"a/b", b"out/kept"))))
    mode = draw(st.sampled_from((0o644, 0o755, 0o4755, 0, 0o7777)))
    return Member(name, kind, data, link, mode, draw(_rarely(_SIZES, st.none())), draw(_rarely(_PATCHES, st.just(()))))


def _record(key: str, value: bytes, wrong: int) -> bytes:
    """Return a PAX record, which begins with its own length."""
    rest = f" {key}=".encode() + value + b"\n"
    length = len(rest) + 1
    while len(str(length)) + len(rest) != length:
        length += 1
    return str(length + wrong).encode() + rest


_RECORDS = st.builds(
    _record, st.sampled_from(_KEYS), st.sampled_from(_VALUES), st.sampled_from((*[0] * 20, 1, -1, 10**6))
)
_PATCHES = st.tuples(st.tuples(st.sampled_from(_OFFSETS), st.sampled_from(_FIELDS)))
_TARS = st.builds(
    Tar,
    st.lists(_members(), max_size=5).map(tuple),
    _rarely(_ENDS, st.just(_END)),
    _rarely(st.tuples(st.tuples(st.integers(0, 4_000), st.binary(min_size=1, max_size=4))), st.just(())),
    _rarely(st.integers(0, 4_000), st.none()),
)


def hostile_tars() -> SearchStrategy[Tar]:
    """Generate tars that lie: names that lead out, links, sizes, extended headers, ends that are none."""
    return _TARS
