"""A changeset as the canonical tar: read, framed, hashed and written in one pass.

Depth first in canonical order; ustar headers, PAX records only where needed; owner 0:0 without names; two zero blocks
at the end and nothing after them. A whiteout is an empty regular file of mode 0644.

Source: the project's design, "Layers"; OCI image-spec v1.1, layer.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from kubeimage.errors import ContextChangedError
from kubeimage.image.digest import Digest
from kubeimage.layer.content import Opened, read_large, read_small
from kubeimage.layer.entry import Entry, Kind, sort_key
from kubeimage.layer.header import BLOCK, END_OF_ARCHIVE, PADDING, render_header
from kubeimage.layer.output import Output, Sink
from kubeimage.layer.stored import StoredLayer
from kubeimage.layer.table import NO_DIGEST, ContentDigests, expecting_of


class Taker(Protocol):
    """Takes a layer's bytes in order. Its buffers are filled with large contents."""

    def add(self, *data: bytes) -> None: ...
    def add_buffer(self, piece: memoryview) -> None: ...
    def buffer(self) -> memoryview: ...


_LARGE = 1 << 18
"""Content from this size on is read piece by piece."""


def write_layer(changeset: Sequence[Entry], sink: Sink) -> StoredLayer:
    """Write ``changeset`` as a canonical tar to ``sink``, reading each source once.

    Shape:  ``changeset`` is in canonical order. ``sink`` is called with consecutive pieces, from one thread at a time
            but not always from the caller's; it must be done with a piece when it returns.
    Raises: ContextChangedError, UnreadableSourceError for a source; LayerFormatError, PathEscapeError for what a
            layer may not hold; ValueError where the order is not canonical; whatever ``sink`` raises.
    """
    digests, resting = bytearray(), bytearray(len(changeset))
    expecting = expecting_of(changeset)
    with Output(sink) as output:
        for number, entry in enumerate(in_order(changeset)):
            if entry.kind is Kind.FILE:
                opened = expecting.noting(resting, number, entry) if expecting is not None else None
                digests += add_file(entry, output, opened)
            else:
                output.add(render_header(entry))
                digests += NO_DIGEST
                resting[number] = 1
        output.add(END_OF_ARCHIVE)
        return StoredLayer(
            Digest(output.finish()), output.size, ContentDigests(changeset, bytes(digests), bytes(resting))
        )


def in_order(changeset: Sequence[Entry]) -> Iterator[Entry]:
    """Yield the entries, each link as its first file is, and refuse what is not in canonical order.

    Raises: ValueError.
    """
    previous = ""
    blocked: str | None = None
    files: dict[str, Entry] = {}
    linked = {entry.target for entry in changeset if entry.kind is Kind.HARDLINK}
    for entry in changeset:
        key = sort_key(entry)
        if key <= previous:
            raise ValueError(f"{entry.path!r} is not in canonical order, or comes twice")
        # In this order, what stands below a path follows it at once.
        if blocked is not None and key.startswith(blocked):
            raise ValueError(f"{entry.path!r} stands below something that is no directory")
        previous = key
        kind = entry.kind
        blocked = None if kind is Kind.DIRECTORY or kind is Kind.WHITEOUT or kind is Kind.OPAQUE else key + "\0"
        if kind is Kind.FILE and entry.path in linked:
            files[entry.path] = entry
        yield _link_of(entry, files) if kind is Kind.HARDLINK else entry


def _link_of(link: Entry, files: Mapping[str, Entry]) -> Entry:
    """A link and its first file are one inode; tools that set the mode of both must not change it."""
    first = files.get(link.target)
    if first is None:
        raise ValueError(f"the hard link {link.path!r} comes before its first file {link.target!r}")
    return link._replace(mode=first.mode, mtime=first.mtime, owner=first.owner, xattrs=())


def add_file(entry: Entry, output: Taker, opened: Opened | None = None) -> bytes:
    """Add the header and the content of a FILE, and give the content's sha256.

    Raises: as `write_layer`.
    """
    source, size, header = entry.source, entry.size, render_header(entry)
    if not isinstance(source, str):
        if source is None or len(source) != size:
            raise ValueError(f"{entry.path!r} has no content of {size} bytes")
        output.add(header, source, PADDING[size % BLOCK])
        return _digest_of(entry, source)
    if size < _LARGE:
        data, digest = read_small(entry, source, opened)
        output.add(header, data, PADDING[size % BLOCK])
        return digest
    output.add(header)
    digest = read_large(entry, source, output.buffer, output.add_buffer, opened)
    output.add(PADDING[size % BLOCK])
    return digest


def _digest_of(entry: Entry, content: bytes) -> bytes:
    digest = hashlib.sha256(content).digest()
    if entry.digest is not None and entry.digest != digest:
        raise ContextChangedError(f"the content of {entry.path!r} does not have the digest it was given with")
    return digest
