"""A small file put in the place of another one, so that nobody ever sees half of it."""

from __future__ import annotations

import os
from array import array
from contextlib import suppress
from typing import TypeAlias

Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int]"

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_SHOWN = 50
"""Characters of a name that an unfinished file shows, of up to four bytes each."""


def replace_file(path: str, *data: Buffer, mode: int = 0o600, durable: bool = False) -> None:
    """Put ``data`` in the place of ``path``: whoever reads it sees the old one or the new one, whole.

    Shape:  ``mode`` is taken as it is, whatever the umask. ``durable`` waits until the disk has the content.
            A process that is killed leaves ``.NAME.RANDOM.tmp`` beside.
    Raises: OSError; then ``path`` is as it was.
    """
    folder, name = os.path.split(path)
    # A name may be as long as the file system takes; with what is added here, it would be longer.
    unfinished = os.path.join(folder, f".{name[:_SHOWN]}.{os.urandom(8).hex()}.tmp")
    try:
        with open(os.open(unfinished, _NEW, 0o600), "wb") as file:
            file.writelines(data)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(unfinished)
        raise


__all__ = ["Buffer", "replace_file"]
