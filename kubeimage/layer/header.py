"""The headers of a canonical tar: ustar from templates, a PAX header before it only where ustar cannot say it.

Source: POSIX.1-2017, pax, "ustar Interchange Format"; the project's design, "Layers".
"""

from __future__ import annotations

from functools import lru_cache

from kubeimage.errors import LayerFormatError
from kubeimage.layer import pax
from kubeimage.layer.entry import OPAQUE_MARKER, ROOT, WHITEOUT_PREFIX, Entry, Kind, Owner
from kubeimage.layer.names import check_path

BLOCK = 512
END_OF_ARCHIVE = bytes(2 * BLOCK)
PADDING = tuple(bytes(-size % BLOCK) for size in range(BLOCK))
"""What fills the last block of a content, by its size modulo the block's."""

WHITEOUT_MODE = 0o644

MAX_USTAR_NUMBER = 8**11 - 1
_MAX_USTAR_OWNER = 8**7 - 1
_MAGIC = b"ustar\00000" + bytes(64) + b"0000000\0" * 2
_PAX_NAME = b"././@PaxHeader"
_FLAGS = {
    Kind.FILE: b"0",
    Kind.HARDLINK: b"1",
    Kind.SYMLINK: b"2",
    Kind.DIRECTORY: b"5",
    Kind.FIFO: b"6",
    Kind.WHITEOUT: b"0",
    Kind.OPAQUE: b"0",
}


def is_plain(entry: Entry) -> bool:
    """Return whether the header of a FILE is one block, with nothing in it but path, mode, size and mtime."""
    path = entry.path
    return (
        len(path) <= 100
        and path.isascii()
        and not entry.xattrs
        and entry.owner == ROOT
        and entry.size <= MAX_USTAR_NUMBER
        and 0 <= entry.mtime <= MAX_USTAR_NUMBER
    )


def length_in_tar(entry: Entry) -> int:
    """Return how many bytes ``entry`` takes: its header, and its content in whole blocks.

    Raises: PathEscapeError, LayerFormatError for a name, target or xattr that no layer may hold.
    """
    if entry.kind is not Kind.FILE:
        return len(render_header(entry))
    header = BLOCK if is_plain(entry) else len(render_header(entry))
    return header + entry.size + -entry.size % BLOCK


def render_header(entry: Entry) -> bytes:
    """Return all blocks that stand before the content of ``entry``.

    Raises: PathEscapeError, LayerFormatError for a name, target or xattr that no layer may hold.
    """
    kind = entry.kind
    if kind is Kind.FILE:
        path, size, mtime = entry.path, entry.size, entry.mtime
        check_path(path)
        # Nearly all entries are such; the rest of this function would say the same, but slower.
        if is_plain(entry):
            return _render_block(path.encode(), b"0", entry.mode, size, mtime)
        return _render_any(entry, path, entry.mode, "")
    if kind is Kind.SYMLINK:
        check_path(entry.path)
        return _render_any(entry, entry.path, 0o777, _checked_target(entry))
    if kind is Kind.WHITEOUT:
        check_path(entry.path)
        parent, slash, name = entry.path.rpartition("/")
        return _render_any(entry, f"{parent}{slash}{WHITEOUT_PREFIX}{name}", WHITEOUT_MODE, "")
    if kind is Kind.OPAQUE:
        if entry.path:
            check_path(entry.path)
        return _render_any(entry, f"{entry.path}/{OPAQUE_MARKER}".removeprefix("/"), WHITEOUT_MODE, "")
    check_path(entry.path)
    path = entry.path + "/" if kind is Kind.DIRECTORY else entry.path
    return _render_any(entry, path, entry.mode, entry.target if kind is Kind.HARDLINK else "")


def _fits(entry: Entry) -> bool:
    return 0 <= entry.mtime <= MAX_USTAR_NUMBER


def _checked_target(entry: Entry) -> str:
    if not entry.target or "\0" in entry.target:
        raise LayerFormatError(f"the symlink {entry.path!r} has a target that no file system takes: {entry.target!r}")
    return entry.target


def _render_any(entry: Entry, path: str, mode: int, target: str) -> bytes:
    """Put into the ustar header what fits there, and the rest into a PAX header before it."""
    records: list[tuple[str, bytes]] = []
    name, prefix = _split(_encode(path))
    if name is None:
        records.append(("path", _encode(path)))
        name = path.encode("ascii", "replace")[:100]
    link = _encode(target)
    if len(link) > 100 or not link.isascii():
        records.append(("linkpath", link))
        link = target.encode("ascii", "replace")[:100]
    size = entry.size if entry.kind is Kind.FILE else 0
    if size > MAX_USTAR_NUMBER:
        records.append(("size", b"%d" % size))
    if not _fits(entry):
        records.append(("mtime", b"%d" % entry.mtime))
    records += [
        (key, b"%d" % number)
        for key, number in zip(("uid", "gid"), entry.owner, strict=True)
        if number > _MAX_USTAR_OWNER
    ]
    records += _xattr_records(entry)
    block = _render_block(
        name,
        _FLAGS[entry.kind],
        mode,
        size if size <= MAX_USTAR_NUMBER else 0,
        entry.mtime if _fits(entry) else 0,
        link=link,
        prefix=prefix,
        owner=entry.owner,
    )
    return _render_pax(records) + block if records else block


def _encode(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise LayerFormatError(f"a layer's names are UTF-8, found {text!r}", hint="rename the file") from error


def _split(path: bytes) -> tuple[bytes | None, bytes]:
    """Name and prefix for a ustar header; the name is None where they cannot hold ``path``."""
    if not path.isascii():
        return None, b""
    if len(path) <= 100:
        return path, b""
    # A directory's own trailing slash parts nothing.
    slash = path.rfind(b"/", 0, min(156, len(path) - 1))
    if slash <= 0 or len(path) - slash - 1 > 100:
        return None, b""
    return path[slash + 1 :], path[:slash]


def _xattr_records(entry: Entry) -> list[tuple[str, bytes]]:
    for name, _ in entry.xattrs:
        if not name or "=" in name or "\0" in name:
            raise LayerFormatError(f"{entry.path!r} has an xattr whose name no PAX record can hold: {name!r}")
        _encode(name)
    return [(pax.XATTR_PREFIX + name, value) for name, value in sorted(dict(entry.xattrs).items())]


def _render_pax(records: list[tuple[str, bytes]]) -> bytes:
    data = pax.render_records(records)
    return _render_block(_PAX_NAME, b"x", 0o644, len(data), 0) + data + PADDING[len(data) % BLOCK]


def _render_block(
    name: bytes,
    flag: bytes,
    mode: int,
    size: int,
    mtime: int,
    *,
    link: bytes = b"",
    prefix: bytes = b"",
    owner: Owner = ROOT,
) -> bytes:
    head, times, tail, template_sum = _template(flag, mode, mtime, owner)
    digits = b"%011o" % size
    checksum = template_sum + sum(name) + sum(digits)
    if link or prefix:
        tail = _tail(flag, link, prefix)
        checksum += sum(link) + sum(prefix)
    return b"%b%b%b%b%06o\0 %b" % (name.ljust(100, b"\0"), head, digits, times, checksum, tail)


@lru_cache(maxsize=256)
def _template(flag: bytes, mode: int, mtime: int, owner: Owner) -> tuple[bytes, bytes, bytes, int]:
    """What stands before the size, between it and the checksum, and after; and the sum of all that."""
    uid, gid = (number if number <= _MAX_USTAR_OWNER else 0 for number in owner)
    head = b"%07o\0%07o\0%07o\0" % (mode & 0o7777, uid, gid)
    times = b"\0%011o\0" % mtime
    tail = _tail(flag, b"", b"")
    return head, times, tail, sum(head) + sum(times) + sum(tail) + 8 * ord(" ")


def _tail(flag: bytes, link: bytes, prefix: bytes) -> bytes:
    return flag + link.ljust(100, b"\0") + _MAGIC + prefix.ljust(167, b"\0")
