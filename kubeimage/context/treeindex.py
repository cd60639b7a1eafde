"""What a whole COPY came to: the digest of its sources, by all that can be said of them without reading.

Where every path, mode, target and `FileIdentity` is what it was, so is the digest over all files' digests; then these
need not be looked up one by one. A list of (fingerprint -> digest), the latest first.
"""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from operator import attrgetter

from kubeimage.context.indexfile import IndexFile
from kubeimage.layer.entry import Entry, FileIdentity, Kind
from kubeimage.layer.table import EntryTable

_PAIR = struct.Struct("32s32s")
_MOST = 512
"""Pairs kept: a few times the COPYs that one image can have."""

_PATH, _MODE, _MTIME = attrgetter("path"), attrgetter("mode"), attrgetter("mtime")


class TreeIndex:
    """Remembers what COPYs of one context came to. ``keeps`` says of a FILE whether its own digest is remembered,
    and ``keeps_all`` of a table whether all are.
    """

    def __init__(
        self,
        file: IndexFile,
        keeps: Callable[[Entry], bool],
        keeps_all: Callable[[EntryTable], bool] = lambda _: False,
    ) -> None:
        self._file = file
        self._keeps = keeps
        self._keeps_all = keeps_all
        self.is_changed = False

    def lookup(self, entries: Sequence[Entry]) -> bytes | None:
        """Return the digest that `record` got with ``entries``, if they are what they were then."""
        if not self._pairs or (key := _fingerprint(entries)) is None:
            return None
        return self._pairs.get(key)

    def record(self, entries: Sequence[Entry], digest: bytes) -> None:
        """Remember the digest (32 bytes) of ``entries``, which have their digests; unless one of these is not kept."""
        key = _fingerprint(entries)
        if key is None or self._pairs.get(key) == digest:
            return
        if isinstance(entries, EntryTable):
            is_kept = self._keeps_all(entries)
        else:
            is_kept = all(self._keeps(entry) for entry in entries if entry.identity is not None)
        if not is_kept:
            return
        pairs = {key: digest, **self._pairs}
        self._pairs = dict(list(pairs.items())[:_MOST])
        self.is_changed = True

    def save(self) -> None:
        """Write the index, if it has news."""
        if self.is_changed:
            self.is_changed = False
            self._file.write(b"".join(chain.from_iterable(self._pairs.items())))

    @cached_property
    def _pairs(self) -> dict[bytes, bytes]:
        body = self._file.read()
        return dict(_PAIR.iter_unpack(body)) if len(body) % _PAIR.size == 0 else {}


def _identities(entries: Sequence[Entry]) -> list[FileIdentity]:
    return [entry.identity for entry in entries if entry.identity is not None]


def _fingerprint(entries: Sequence[Entry]) -> bytes | None:
    """Digest what ``entries`` say of themselves; None if that does not tell what is in a file.

    Column by column, each made by a few calls for all entries: a loop over ten thousand costs as much as looking up
    their digests.
    """
    if isinstance(entries, EntryTable):
        return entries.fingerprint()
    identities = _identities(entries)
    others = [f"{entry.path}\0{entry.kind.value}\0{entry.target}" for entry in entries if entry.kind is not Kind.FILE]
    if len(identities) + len(others) != len(entries):
        return None
    try:
        numbers = array("q", chain(map(_MODE, entries), map(_MTIME, entries), *identities))
    except OverflowError:
        return None
    paths = "\0".join(map(_PATH, entries))
    head = "\0".join([f"{len(entries)} {len(others)} {len(paths)}", paths, *others])
    return hashlib.sha256(head.encode("utf-8", "surrogateescape") + numbers.tobytes()).digest()
