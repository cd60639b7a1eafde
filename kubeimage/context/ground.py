"""What a build context stands on: whether stat data can be believed there, and how to tell that it is the same place.

Stat data are no content. On some file systems a file can change without a new ctime; and another file system that is
mounted at the same place may have the same numbers. So digests are remembered only on file systems that are listed
here, and only as long as the very same mounts are there.

Source: statx(2), STATX_MNT_ID_UNIQUE; proc_pid_mountinfo(5). Decision 031 says why each file system is in or out.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from kubeimage.patterns import pattern

TRUSTED = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs"})
"""File systems of a local disk, whose writeback makes the next write through a mapping move the ctime.

Not tmpfs and ramfs: nothing is ever written back there. Not overlay: what lies below it cannot be seen. Not FUSE, 9p,
virtiofs, NFS and CIFS: others change files there, and what is known of them is as old as a cache.
"""

_MOUNTS = "/proc/self/mountinfo"
_BOOT = "/proc/sys/kernel/random/boot_id"
_ESCAPED = pattern(r"\\([0-7]{3})")
_UNIQUE_ID = 0x4000
_AT_FDCWD, _NO_FOLLOW = -100, 0x100
_STATX_SIZE, _MASK, _MOUNT_ID = 256, slice(0, 4), slice(144, 152)


class Mount(NamedTuple):
    """One line of mountinfo. Shape: ``device`` is ``MAJOR:MINOR``."""

    number: str
    device: str
    place: str
    is_read_only: bool
    kind: str
    source: str


def ground_of(context: str) -> bytes | None:
    """Return what tells the mounts of ``context``, a real path, from all others; None where none can be believed."""
    try:
        mounts = list(_mounts_of(context, _read_mounts()))
        with open(_BOOT, "rb") as file:
            told = [file.read()]
    except OSError:
        return None
    for mount in mounts:
        identity = _identity_of(mount, context)
        if mount.kind not in TRUSTED or identity is None:
            return None
        text = f"{mount.place}\0{mount.device}\0{mount.kind}\0{identity}"
        told.append(text.encode("utf-8", "surrogateescape"))
    return hashlib.sha256(b"\0\0".join(told)).digest() if mounts else None


def _read_mounts() -> list[Mount]:
    with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
        return [mount for line in file if (mount := _parse(line)) is not None]


def _parse(line: str) -> Mount | None:
    before, dash, after = line.partition(" - ")
    fields, more = before.split(" "), after.split()
    if not dash or len(fields) < 6 or len(more) < 3:
        return None
    options = {*fields[5].split(","), *more[2].split(",")}
    return Mount(fields[0], fields[2], _unescape(fields[4]), "ro" in options, more[0], _unescape(more[1]))


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)


def _mounts_of(context: str, mounts: list[Mount]) -> Iterator[Mount]:
    """Find the mount that ``context`` stands on, and those below it; of several at one place, the last is on top."""
    below = context.rstrip("/") + "/"
    places = {mount.place: mount for mount in mounts}
    around = [place for place in places if below.startswith(place.rstrip("/") + "/")]
    if around:
        yield places[max(around, key=len)]
        yield from (mount for place, mount in sorted(places.items()) if place.startswith(below))


def _identity_of(mount: Mount, context: str) -> str | None:
    """Return a mount's number, which no other mount has since the machine was started; None where there is none."""
    inside = mount.place.startswith(context.rstrip("/") + "/")
    number = unique_mount_id(mount.place if inside else context)
    if number is not None:
        return f"unique {number}"
    # An older kernel gives a number again. What can be put in another's place at once is not known by it.
    if mount.is_read_only or "/loop" in mount.source or _is_removable(mount.device):
        return None
    return f"number {mount.number}"


def unique_mount_id(path: str) -> int | None:
    """Return the number of the mount that ``path`` is on, which is never given again; None before Linux 6.8."""
    import ctypes

    try:
        statx = ctypes.CDLL(None).statx
    except (OSError, AttributeError):
        return None
    answer = ctypes.create_string_buffer(_STATX_SIZE)
    if statx(_AT_FDCWD, os.fsencode(path), _NO_FOLLOW, _UNIQUE_ID, answer) != 0:
        return None
    if not int.from_bytes(answer.raw[_MASK], sys.byteorder) & _UNIQUE_ID:
        return None
    return int.from_bytes(answer.raw[_MOUNT_ID], sys.byteorder)


def _is_removable(device: str) -> bool:
    """Whether a disk, or the disk of a partition, can be taken out."""
    folder = f"/sys/dev/block/{device}"
    for path in (f"{folder}/removable", f"{folder}/../removable"):
        try:
            with open(path, encoding="ascii") as file:
                return file.read().strip() == "1"
        except OSError:
            continue
    return False


def kernel_now() -> int:
    """Return the time by the clock that stamps files, whatever this process takes for the time. Units: nanoseconds.

    Where that cannot be asked it is 0: by that clock every file is young.
    """
    try:
        descriptor = os.memfd_create("clock")
    except OSError:
        return 0
    try:
        return os.fstat(descriptor).st_ctime_ns
    finally:
        os.close(descriptor)
