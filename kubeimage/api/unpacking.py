"""An archive of the build context as entries: what ADD unpacks.

Nothing of an archive reaches the disk but the contents of its files, each under a number: so no name in it matters
before it is in a layer. Owners and set-id bits are the archive's, as with buildah.

Source: moby's Dockerfile reference, "ADD"; buildah 1.28, tried.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from kubeimage.archive.archivecoding import Uncompressed, coding_of
from kubeimage.errors import AdditionError, ArchiveError, LayerError, LayerFormatError
from kubeimage.layer.block import parse_block
from kubeimage.layer.compression import HEAD, decompress
from kubeimage.layer.diff import with_parents
from kubeimage.layer.disk import is_kept_xattr
from kubeimage.layer.entry import ROOT, Entry, Kind, Owner, canonical_order, identity_of, sort_key
from kubeimage.layer.header import BLOCK
from kubeimage.layer.reader import Content, Limits, iter_contents

MOST_ENTRIES = 1_000_000

# Bytes of content: so many in any case, and so many times the archive's own.
_MOST_BYTES, _MOST_TIMES = 4 << 30, 100
_PIECE = 1 << 20
_HINT = "unpack it yourself, and COPY what comes of it"


def read_archive(
    archive: str | bytes,
    folder: str,
    *,
    mtime: int | None = 0,
    owner: Owner = ROOT,
    most_entries: int = MOST_ENTRIES,
) -> list[Entry] | None:
    """Return what is in an archive, in canonical order, with the contents in ``folder``; None where it is no archive.

    Shape:  ``archive`` is a path, or the bytes themselves. Folders that it does not name are ``owner``'s.
    Units:  ``mtime`` in seconds, for every entry; None keeps each one's own.
    Raises: AdditionError for one that is damaged, reaches out of its root, or holds too much; OSError.
    """
    size = len(archive) if isinstance(archive, bytes) else os.path.getsize(archive)
    most = max(_MOST_BYTES, _MOST_TIMES * size)
    shown = repr(archive) if isinstance(archive, str) else "the archive"
    try:
        with io.BytesIO(archive) if isinstance(archive, bytes) else open(archive, "rb") as packed:
            plain = _plain_tar(packed, os.path.join(folder, "tar"), most)
            if plain is None:
                return None
            with plain:
                found = list(_entries(plain, folder, Limits(max_entries=most_entries, max_bytes=most)))
    except (LayerError, ArchiveError) as error:
        reason = error.message.replace("the layer's tar", "it").replace("the layer", "it")
        raise AdditionError(f"ADD cannot unpack {shown}: {reason}", hint=error.hint or _HINT) from error
    return _arranged(_timed(found, mtime), owner, shown)


def _plain_tar(packed: BinaryIO, path: str, most: int) -> BinaryIO | None:
    """Return the archive as a tar that can be sought in; None where it is none."""
    try:
        first = _first_block(_pieces(packed, BLOCK, None))
    except (LayerError, ArchiveError):
        # It begins as if it was compressed, and is something else.
        return None
    if not _is_header(first):
        return None
    packed.seek(0)
    written = 0
    with open(path, "xb") as plain:
        for piece in _pieces(packed, _PIECE, most):
            written += len(piece)
            if written > most:
                raise LayerFormatError(f"it holds more than {most} bytes once it is uncompressed")
            plain.write(piece)
    return open(path, "rb")


def _pieces(packed: BinaryIO, size: int, most: int | None) -> Iterator[bytes]:
    """Yield what an archive holds uncompressed, in pieces of up to ``size`` bytes."""
    head = packed.read(HEAD)
    packed.seek(0)
    coding = coding_of(head)
    if coding is None:
        yield from decompress(packed, most=most, piece_size=size)
        return
    source = Uncompressed(packed, coding)
    while piece := source.read(size):
        yield piece


def _first_block(pieces: Iterator[bytes]) -> bytes:
    found = b""
    while len(found) < BLOCK and (piece := next(pieces, b"")):
        found += piece
    return found[:BLOCK]


def _is_header(block: bytes) -> bool:
    if len(block) < BLOCK or not block.strip(b"\0"):
        return False
    try:
        parse_block(block)
    except LayerFormatError:
        return False
    return True


def _entries(plain: BinaryIO, folder: str, limits: Limits) -> Iterator[Entry]:
    for number, (entry, content) in enumerate(iter_contents(plain, limits=limits)):
        if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE):
            raise LayerFormatError(
                f"it holds {entry.path!r}: no layer can hold a device, nor a name that starts with .wh."
            )
        xattrs = tuple(pair for pair in entry.xattrs if is_kept_xattr(pair[0]))
        if entry.kind is not Kind.FILE:
            yield entry._replace(xattrs=xattrs)
            continue
        path = os.path.join(folder, str(number))
        with open(path, "xb") as file:
            shutil.copyfileobj(cast("Content", content), file, _PIECE)
        yield entry._replace(xattrs=xattrs, source=path, identity=identity_of(os.stat(path)))


def _timed(entries: Iterable[Entry], mtime: int | None) -> list[Entry]:
    return [entry if mtime is None else entry._replace(mtime=mtime) for entry in entries]


def _arranged(entries: Iterable[Entry], owner: Owner, shown: str) -> list[Entry]:
    """Put entries in canonical order: folders that nothing names are made, and the first of a file's names is the file.

    Raises: AdditionError for a hard link to what is no file.
    """
    known = {entry.path: entry for entry in entries}
    names: dict[str, list[Entry]] = {}
    for entry in known.values():
        if entry.kind is Kind.HARDLINK:
            names.setdefault(entry.target, []).append(entry)
    for target, links in names.items():
        file = known.get(target)
        if file is None or file.kind is not Kind.FILE:
            raise AdditionError(f"ADD cannot unpack {shown}: it links to {target!r}, which is no file", hint=_HINT)
        first, *others = sorted([file, *links], key=sort_key)
        known[first.path] = file._replace(path=first.path)
        for other in others:
            known[other.path] = file._replace(
                path=other.path, kind=Kind.HARDLINK, target=first.path, size=0, source=None, identity=None, xattrs=()
            )
    whole = with_parents(known.values(), known)
    return canonical_order(one if one.path in known else one._replace(owner=owner) for one in whole)
