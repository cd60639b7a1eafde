"""Fewer and larger pages of memory: a fork copies the table of all of them, and the tests fork some thousand times."""

import ctypes
import os
import sys

_HUGE = 2 << 20
_MADV_COLLAPSE = 25


def join_pages() -> None:
    """Put this process's memory into pages of 2 MiB, where the kernel can (Linux 6.1); else nothing happens.

    Source: madvise(2), MADV_COLLAPSE.
    """
    if not sys.platform.startswith("linux") or not os.access("/proc/self/maps", os.R_OK):
        return
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with open("/proc/self/maps", encoding="utf-8") as maps:
        areas = [line.split() for line in maps]
    for place, rights, _, _, inode, *_ in areas:
        if rights == "rw-p" and inode == "0":
            begin, end = (int(number, 16) for number in place.split("-"))
            first, last = -(-begin // _HUGE) * _HUGE, end // _HUGE * _HUGE
            if first < last:
                madvise(first, last - first, _MADV_COLLAPSE)
