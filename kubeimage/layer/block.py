"""One 512-byte tar header as its raw fields, whichever tool wrote it.

Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar's manual, "Basic Tar Format" (base-256 numbers, magic).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from kubeimage.errors import LayerFormatError
from kubeimage.layer.entry import ROOT, Owner

LARGEST = 1 << 55
"""Sizes and times past this one are no mistake of a clock, but an attempt at somebody's arithmetic."""

LARGEST_OWNER = (1 << 32) - 2
"""The last number of a user or group; one more means nobody."""

_CHECKSUM_BLANKS = 8 * ord(" ")


class Block(NamedTuple):
    """A header's fields.

    Shape: ``name`` and ``link`` are bytes as written, ``name`` with ustar's prefix before it. ``flag`` is the type.
           ``owner`` is root's where the header says none that can be understood.
    Units: ``mode`` holds the permission bits; ``size`` in bytes, not negative; ``mtime`` in seconds.
    """

    name: bytes
    flag: bytes
    mode: int
    size: int
    mtime: int
    link: bytes
    owner: Owner = ROOT


def parse_block(block: bytes) -> Block:
    """Read a header.

    Raises: LayerFormatError for a wrong checksum, or a field that is not what it should be.
    """
    name = block[:100].rstrip(b"\0")
    digits = block[124:136]
    # From one entry to the next little else differs, so that the rest is mostly known.
    rest_sum, flag, mode, mtime, link, prefix, owner = _parse_rest(block[100:124], block[136:148], block[156:])
    total = sum(name) + sum(digits) + rest_sum
    # Nearly everybody writes it so; what differs is looked at more closely.
    if block[148:156] != b"%06o\0 " % total and _octal(block[148:156], "checksum") != total:
        raise LayerFormatError("a tar header has a wrong checksum: the archive is damaged, or no tar at all")
    if b"\0" in name:
        raise LayerFormatError(f"a tar header has a name with a NUL in it: {name!r}")
    size = _number(digits, "size")
    if size < 0:
        raise LayerFormatError(f"a tar header gives a size of {size} bytes")
    return Block(prefix + name, flag, mode, size, mtime, link, owner)


@lru_cache(maxsize=1024)
def _parse_rest(head: bytes, times: bytes, tail: bytes) -> tuple[int, bytes, int, int, bytes, bytes, Owner]:
    """Sum, type, mode, mtime, link, prefix and owner of a header without its name, size and checksum."""
    total = sum(head) + sum(times) + sum(tail) + _CHECKSUM_BLANKS
    prefix = b""
    # GNU's magic differs: where ustar has the prefix it keeps times.
    if tail[101:107] == b"ustar\0" and tail[189]:
        prefix = _text(tail[189:344]) + b"/"
    owner = _owner(head[8:16]), _owner(head[16:24])
    mode = _octal(head[:8], "mode") & 0o7777
    return total, tail[:1], mode, _number(times, "time"), _text(tail[1:101]), prefix, owner


def _owner(field: bytes) -> int:
    """Some tools leave the field to chance, and no layer is refused for it."""
    try:
        number = _number(field, "owner")
    except LayerFormatError:
        return 0
    return number if 0 <= number <= LARGEST_OWNER else 0


def _text(field: bytes) -> bytes:
    text = field.rstrip(b"\0")
    if b"\0" in text:
        raise LayerFormatError(f"a tar header has a name with a NUL in it: {text!r}")
    return text


def _octal(field: bytes, what: str) -> int:
    digits = field.strip(b" \0")
    # int() alone would also take signs and underscores.
    if not digits.isdigit():
        if not digits:
            return 0
        raise LayerFormatError(f"a tar header's {what} is no octal number: {field!r}")
    try:
        return int(digits, 8)
    except ValueError:
        raise LayerFormatError(f"a tar header's {what} is no octal number: {field!r}") from None


def _number(field: bytes, what: str) -> int:
    if field[0] < 0x80:
        return _octal(field, what)
    if field[0] not in (0x80, 0xFF):
        raise LayerFormatError(f"a tar header's {what} is absurdly large: {field!r}")
    value = int.from_bytes(field[1:], "big") - (1 << 88 if field[0] == 0xFF else 0)
    if abs(value) > LARGEST:
        raise LayerFormatError(f"a tar header's {what} is absurdly large: {value}")
    return value
