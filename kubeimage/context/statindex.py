"""What need not be read again: digests of files that are still what they were when somebody read them.

The index is a list of (path, size, mtime_ns, ctime_ns, inode, device) -> sha256.

Edits within one tick: a file may be written, read by a build, and written again before the clock of its filesystem
moves on; then its stat data say nothing. So a digest is kept only if the file's times lay clearly before the moment the
build began. That moment comes before any reading, so a later edit must show a later time.

Edits that show no new time: the kernel stamps a file when a page of a mapping becomes writable, and not at the writes
after that. So a digest is kept only if nobody had the file open for writing in a moment before it was read: see
`kubeimage.context.lease`.

A young file is read again, and not remembered: asking costs time, and a young file is soon edited again. Ages go by the
clock that stamps files, never by this process's own.

On which file systems all this holds, and how the same place is known again: see `kubeimage.context.ground`.

Source: the same problem and cure in git, "racy-git.txt".
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable
from functools import cached_property
from itertools import starmap
from types import TracebackType
from typing import TYPE_CHECKING, Self

from kubeimage.context.ground import ground_of, kernel_now
from kubeimage.context.indexfile import IndexFile
from kubeimage.context.lease import is_at_rest, rests
from kubeimage.context.treeindex import TreeIndex
from kubeimage.layer.entry import Entry, FileIdentity

if TYPE_CHECKING:
    from kubeimage.context.tablememory import TableMemory
    from kubeimage.layer.table import EntryTable

_HEAD = struct.Struct("<II")
_RECORD = struct.Struct("<QqqQQ32s")

# The kernel stamps files with a clock that may be a timer tick (1 to 10 ms) late.
_TICK_NS = 50_000_000
# Filesystems without fractions of a second round by one second, or by two (FAT).
_COARSE_TICK_NS = 2_500_000_000
_SECOND_NS = 1_000_000_000

YOUNG = 60.0
"""Seconds for which a file is read again in each build."""

_Record = tuple[int, int, int, int, int, bytes]


class StatIndex:
    """Remembers the content digests of one build context's files, from one build to the next.

    Make it when the build begins, and `save` it when it ends, whether it succeeded or not (leaving it as a context
    manager does so). It never fails a build: ``notice`` gets one message if it cannot be kept.
    """

    def __init__(
        self,
        directory: str,
        context: str,
        *,
        notice: Callable[[str], None] | None = None,
        clock: Callable[[], int] = kernel_now,
        young: float = YOUNG,
        find_ground: Callable[[str], bytes | None] = ground_of,
        at_rest: Callable[[str, FileIdentity], bool] = is_at_rest,
        at_rest_open: Callable[[int], bool] = rests,
    ) -> None:
        """Remember in ``directory`` what is in ``context``.

        Units: ``clock`` gives nanoseconds; files younger than ``young`` seconds are not remembered.
        """
        self._began = clock()
        self._young = int(young * _SECOND_NS)
        self._context = os.path.realpath(context)
        self._prefix = self._context.rstrip("/") + "/"
        self._find_ground = find_ground
        self._ground = find_ground(self._context)
        self._file = IndexFile(directory, self._context, "stat", notice, self._ground)
        self._is_at_rest = at_rest
        self._rests = at_rest_open
        self._resting: dict[str, FileIdentity] = {}
        self._used: set[str] = set()
        self._is_changed = False

        self._directory = directory
        self.trees = TreeIndex(self._open_file("trees"), self._keeps, self._keeps_table)
        """What whole COPYs came to."""

    @cached_property
    def tables(self) -> TableMemory:
        """What is in the files of large COPYs."""
        from kubeimage.context.tablememory import TableMemory

        return TableMemory(self._open_file, self._prefix, self._is_settled, self._is_at_rest, self._rests)

    def _open_file(self, kind: str) -> IndexFile:
        return IndexFile(self._directory, self._context, kind, None, self._ground)

    @property
    def path(self) -> str:
        """Where the index is kept."""
        return self._file.path

    def lookup(self, path: str, identity: FileIdentity) -> bytes | None:
        """Return the digest of the file at ``path`` in the context, if it is known to be that of ``identity``."""
        record = self._records.get(path)
        if record is None or record[:5] != identity:
            return None
        self._used.add(path)
        return record[5]

    def expect(self, path: str, identity: FileIdentity) -> None:
        """Find out whether a file may be remembered that is to be read now: it is old, and nobody writes to it."""
        if self._ground is None or not self._is_settled(identity):
            return
        record = self._records.get(path)
        if record is not None and record[:5] == identity:
            return
        if self._is_at_rest(self._prefix + path, identity):
            self._resting[path] = identity

    def record(self, path: str, identity: FileIdentity, digest: bytes) -> None:
        """Remember the content of a file that was read after it was expected, if it was at rest then."""
        records = self._records
        record = (*identity, digest)
        if records.get(path) != record:
            if self._resting.get(path) != identity:
                return
            records[path] = record
            self._is_changed = True
        self._used.add(path)

    def save(self) -> None:
        """Write the index, if it has news; what is no longer in the context as it was is dropped.

        Nothing is kept where something else was mounted meanwhile.
        """
        has_tables = "tables" in vars(self) and self.tables.is_changed
        if not (self._is_changed or self.trees.is_changed or has_tables) or self._ground is None:
            return
        if self._find_ground(self._context) != self._ground:
            return
        if has_tables:
            self.tables.save()
        self.trees.save()
        if not self._is_changed:
            return
        self._is_changed = False
        self._drop_outdated()
        self._file.write(_encode(self._records))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()

    def _is_settled(self, identity: FileIdentity) -> bool:
        _, mtime_ns, ctime_ns, _, _ = identity
        tick = _TICK_NS if ctime_ns % _SECOND_NS else _COARSE_TICK_NS
        return mtime_ns + tick < self._began and ctime_ns + max(tick, self._young) < self._began

    def _keeps(self, entry: Entry) -> bool:
        """Whether the content of a FILE of the context is remembered as it is in ``entry``."""
        if entry.identity is None or not isinstance(entry.source, str):
            return False
        path = entry.source.removeprefix(self._prefix)
        return self._records.get(path) == (*entry.identity, entry.digest)

    def _keeps_table(self, table: EntryTable) -> bool:
        return self.tables.keeps(table)

    @cached_property
    def _records(self) -> dict[str, _Record]:
        return _decode(self._file.read())

    def _drop_outdated(self) -> None:
        records = self._records
        for path in records.keys() - self._used:
            if not self._is_current(path, records[path]):
                del records[path]

    def _is_current(self, path: str, record: _Record) -> bool:
        try:
            status = os.lstat(os.path.join(self._context, path))
        except OSError:
            return False
        found = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
        return found == record[:5]


def _encode(records: dict[str, _Record]) -> bytes:
    """Write the records one after the other; times that no clock shows (past the year 2262) are not kept."""
    try:
        paths, packed = list(records), list(starmap(_RECORD.pack, records.values()))
    except struct.error:
        return _encode({path: record for path, record in records.items() if _can_be_packed(record)})
    names = "\0".join(paths).encode()
    return b"".join([_HEAD.pack(len(paths), len(names)), names, *packed])


def _can_be_packed(record: _Record) -> bool:
    with contextlib.suppress(struct.error):
        return bool(_RECORD.pack(*record))
    return False


def _decode(body: memoryview) -> dict[str, _Record]:
    """Read what `_encode` wrote; anything else holds nothing."""
    try:
        count, names_size = _HEAD.unpack_from(body)
        records_at = _HEAD.size + names_size
        if not count:
            return {}
        names = str(body[_HEAD.size : records_at], "utf-8").split("\0")
        return dict(zip(names, _RECORD.iter_unpack(body[records_at:]), strict=True))
    except (struct.error, ValueError):
        return {}
