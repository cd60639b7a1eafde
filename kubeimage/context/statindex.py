"""What need not be read again: digests of files that are still what they were when somebody read them.

    DIRECTORY/
      <hash of the context's real path>            one index a build context
      .<hash of the context's real path>.*.tmp     one being written; what a killed build left, a later one removes

An index is a list of (path, size, mtime_ns, ctime_ns, inode, device) -> sha256 behind a header with its version and a
checksum. It is read whole and replaced whole, without a lock: the last writer wins, and what it did not know is read
once more. An index that is damaged, of another version, or of another context is an empty one.

Edits within one tick: a file may be written, read by a build, and written again before the clock of its filesystem
moves on; then its stat data say nothing. So a digest is kept only if the file's times lay clearly before the moment the
build began. That moment comes before any reading, so a later edit must show a later time.

Source: the same problem and cure in git, "racy-git.txt".
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import time
from collections.abc import Callable
from functools import cached_property
from itertools import starmap
from types import TracebackType
from typing import Self

from kubeimage.layer.entry import FileIdentity

_MAGIC = b"kubeimage stat index 1\n"
_CHECKSUM_SIZE = hashlib.sha256().digest_size
_HEAD = struct.Struct("<III")
_RECORD = struct.Struct("<QqqQQ32s")

# The kernel stamps files with a clock that may be a timer tick (1 to 10 ms) late.
_TICK_NS = 50_000_000
# Filesystems without fractions of a second round by one second, or by two (FAT).
_COARSE_TICK_NS = 2_500_000_000
_SECOND_NS = 1_000_000_000
_STALE_SECONDS = 3600

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
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._began = clock()
        self._directory = directory
        self._context = os.path.realpath(context)
        self._owner = os.fsencode(self._context)
        self._name = hashlib.sha256(self._owner).hexdigest()[:32]
        self._notice = notice
        self._used: set[str] = set()
        self._is_changed = False

    @property
    def path(self) -> str:
        """Where the index is kept."""
        return os.path.join(self._directory, self._name)

    def lookup(self, path: str, identity: FileIdentity) -> bytes | None:
        """Give the digest of the file at ``path`` in the context, if it is known to be that of ``identity``."""
        record = self._records.get(path)
        if record is None or record[:5] != identity:
            return None
        self._used.add(path)
        return record[5]

    def record(self, path: str, identity: FileIdentity, digest: bytes) -> None:
        """Remember the content of a file that was read after this index was made; one edited too lately is not kept."""
        if not self._is_settled(identity):
            return
        records = self._records
        record = (*identity, digest)
        if records.get(path) != record:
            records[path] = record
            self._is_changed = True
        self._used.add(path)

    def save(self) -> None:
        """Write the index, if it has news; what is no longer in the context as it was is dropped."""
        if not self._is_changed:
            return
        self._is_changed = False
        self._drop_outdated()
        try:
            os.makedirs(self._directory, exist_ok=True)
            self._remove_leftovers()
            self._write(_encode(self._owner, self._records))
        except OSError as error:
            self._tell(f"the stat index {self.path!r} cannot be written ({error.strerror}): sources are read again")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.save()

    def _is_settled(self, identity: FileIdentity) -> bool:
        _, mtime_ns, ctime_ns, _, _ = identity
        tick = _TICK_NS if ctime_ns % _SECOND_NS else _COARSE_TICK_NS
        return mtime_ns + tick < self._began and ctime_ns + tick < self._began

    @cached_property
    def _records(self) -> dict[str, _Record]:
        try:
            with open(self.path, "rb") as stream:
                return _decode(self._owner, stream.read())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            self._tell(f"the stat index {self.path!r} cannot be read ({error.strerror}): sources are read again")
            return {}

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

    def _write(self, data: bytes) -> None:
        aside = os.path.join(self._directory, f".{self._name}.{os.urandom(8).hex()}.tmp")
        try:
            with open(aside, "xb") as stream:
                stream.write(data)
            os.replace(aside, self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise

    def _remove_leftovers(self) -> None:
        for name in os.listdir(self._directory):
            if name.startswith(f".{self._name}.") and name.endswith(".tmp"):
                aside = os.path.join(self._directory, name)
                with contextlib.suppress(OSError):
                    if os.lstat(aside).st_mtime + _STALE_SECONDS < time.time():
                        os.unlink(aside)

    def _tell(self, message: str) -> None:
        notice, self._notice = self._notice, None
        if notice is not None:
            notice(message)


def damaged_indexes(directory: str) -> list[str]:
    """Give the paths of the indexes in ``directory`` that no build would believe."""
    found = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
                if not name.startswith(".") and not _is_whole(stream.read()):
                    found.append(path)
    return found


def _encode(owner: bytes, records: dict[str, _Record]) -> bytes:
    """Write the records behind a checksum; times that no clock shows (past the year 2262) are not kept."""
    try:
        paths, packed = list(records), list(starmap(_RECORD.pack, records.values()))
    except struct.error:
        return _encode(owner, {path: record for path, record in records.items() if _can_be_packed(record)})
    names = "\0".join(paths).encode()
    body = b"".join([_HEAD.pack(len(paths), len(owner), len(names)), owner, names, *packed])
    return _MAGIC + hashlib.sha256(body).digest() + body


def _can_be_packed(record: _Record) -> bool:
    with contextlib.suppress(struct.error):
        return bool(_RECORD.pack(*record))
    return False


def _decode(owner: bytes, data: bytes) -> dict[str, _Record]:
    """Read what `_encode` wrote for the same ``owner``; anything else holds nothing."""
    if not _is_whole(data):
        return {}
    body = memoryview(data)[len(_MAGIC) + _CHECKSUM_SIZE :]
    try:
        count, owner_size, names_size = _HEAD.unpack_from(body)
        names_at = _HEAD.size + owner_size
        records_at = names_at + names_size
        if not count or body[_HEAD.size : names_at] != owner:
            return {}
        names = str(body[names_at:records_at], "utf-8").split("\0")
        return dict(zip(names, _RECORD.iter_unpack(body[records_at:]), strict=True))
    except (struct.error, ValueError):
        return {}


def _is_whole(data: bytes) -> bool:
    start = len(_MAGIC) + _CHECKSUM_SIZE
    found = hashlib.sha256(memoryview(data)[start:]).digest()
    return data[: len(_MAGIC)] == _MAGIC and found == data[len(_MAGIC) : start]
