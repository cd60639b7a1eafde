"""A target's corpus: a folder of buffers to start from, and of cases that failed once."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

_CRASH = "crash-"


@dataclass(frozen=True)
class Corpus:
    """The files of a folder, which is made when something is kept."""

    folder: str

    def seeds(self) -> list[str]:
        """Return the paths of the buffers, the shortest first."""
        paths = [path for path in self._paths() if not os.path.basename(path).startswith(_CRASH)]
        return sorted(paths, key=lambda path: (os.path.getsize(path), path))

    def crashes(self) -> list[str]:
        """Return the paths of the cases."""
        return [path for path in self._paths() if os.path.basename(path).startswith(_CRASH)]

    def keep(self, buffer: bytes) -> str:
        """Add a buffer, and give its path."""
        return self._write("seed-", buffer)

    def keep_crash(self, case: bytes) -> str:
        """Add a case, and give its path."""
        return self._write(_CRASH, case)

    def _paths(self) -> list[str]:
        if not os.path.isdir(self.folder):
            return []
        with os.scandir(self.folder) as found:
            return sorted(one.path for one in found if one.is_file() and not one.name.startswith("."))

    def _write(self, prefix: str, data: bytes) -> str:
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, prefix + hashlib.sha256(data).hexdigest()[:16])
        aside = os.path.join(self.folder, f".writing-{os.getpid()}")
        with open(aside, "wb") as stream:
            stream.write(data)
        os.replace(aside, path)
        return path


def read_file(path: str) -> bytes:
    """Return what is in a file."""
    with open(path, "rb") as stream:
        return stream.read()
