"""Small files that remember something about one build context; what is not known for sure is not remembered.

    DIRECTORY/
      <hash of the context's real path>.<kind>           one file a build context and kind
      .<hash of the context's real path>.<kind>.*.tmp    one being written; what a killed build left, a later removes

A file is a header with its kind and version, a checksum, the context's path and what is remembered. It is read whole
and replaced whole, without a lock: the last writer wins. One that is damaged, of another version, or of another context
remembers nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import time
from collections.abc import Callable

from kubeimage.disk.folders import make_private
from kubeimage.disk.replacing import Buffer, replace_file
from kubeimage.patterns import pattern

_MAGIC = b"kubeimage context index 1 %s\n"
_OF_ANOTHER_VERSION = pattern(rb"kubeimage (stat|tree|context) index \d{1,9}( [a-z]+)?")
_CHECKSUM_SIZE = hashlib.sha256().digest_size
_LENGTH = struct.Struct("<I")
_STALE_SECONDS = 3600


class IndexFile:
    """The file of one ``kind`` for one context. It fails no build: ``notice`` gets one message if it is of no use."""

    def __init__(
        self, directory: str, context: str, kind: str, notice: Callable[[str], None] | None, ground: bytes | None = b""
    ) -> None:
        """Remember for ``context`` as long as it stands on the same ``ground``; on None, remember nothing."""
        self._directory = directory
        owner = os.fsencode(context)
        self._owner = owner + b"\0" + (ground or b"")
        self._is_of_use = ground is not None
        self._name = f"{hashlib.sha256(owner).hexdigest()[:32]}.{kind}"
        self._magic = _MAGIC % kind.encode()
        self._notice = notice

    @property
    def path(self) -> str:
        """Where the file is."""
        return os.path.join(self._directory, self._name)

    def read(self) -> memoryview:
        """Return what was written last; nothing where that cannot be told."""
        if not self._is_of_use:
            return memoryview(b"")
        try:
            with open(self.path, "rb") as stream:
                data = stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return memoryview(b"")
        except OSError as error:
            self._tell(f"the context index {self.path!r} cannot be read ({error.strerror}): sources are read again")
            return memoryview(b"")
        head = self._magic + _checksum(memoryview(data)[len(self._magic) + _CHECKSUM_SIZE :]) + self._framed_owner()
        return memoryview(data)[len(head) :] if data.startswith(head) else memoryview(b"")

    def write(self, *body: Buffer) -> None:
        """Replace what is remembered, if the disk lets us."""
        if not self._is_of_use:
            return
        body = (self._framed_owner(), *body)
        try:
            make_private(self._directory)
            self._remove_leftovers()
            replace_file(self.path, self._magic, _checksum(*body), *body)
        except OSError as error:
            self._tell(f"the context index {self.path!r} cannot be written ({error.strerror}): sources are read again")

    def keep_newest(self, kind: str, most: int) -> None:
        """Remove all but the newest of this context's files whose kinds begin with ``kind``."""
        start = f"{self._name.partition('.')[0]}.{kind}"
        with contextlib.suppress(OSError):
            paths = [os.path.join(self._directory, name) for name in os.listdir(self._directory)]
            ours = [path for path in paths if os.path.basename(path).startswith(start)]
            for path in sorted(ours, key=os.path.getmtime)[:-most]:
                os.unlink(path)

    def _framed_owner(self) -> bytes:
        return _LENGTH.pack(len(self._owner)) + self._owner

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
    """Return the paths of the files in ``directory`` that are not as any version has written them."""
    found = []
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(directory)):
            path = os.path.join(directory, name)
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
                if not name.startswith(".") and not _is_whole(name, stream.read()):
                    found.append(path)
    return found


def _is_whole(name: str, data: bytes) -> bool:
    """Whether a file is as some version wrote it: each has a line that says which, then the checksum of the rest.

    What an earlier version remembers is of no use any more, and it is no damage.
    """
    line, _, rest = data.partition(b"\n")
    if line.startswith(_MAGIC.partition(b"%")[0]):
        kind = name.rpartition(".")[2].encode()
        is_known = line + b"\n" == _MAGIC % kind
    else:
        is_known = _OF_ANOTHER_VERSION.fullmatch(line) is not None
    return is_known and rest[:_CHECKSUM_SIZE] == _checksum(memoryview(rest)[_CHECKSUM_SIZE:])


def _checksum(*parts: Buffer) -> bytes:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.digest()
