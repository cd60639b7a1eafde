"""The operating system's errors as the store's: those of `kubeimage.disk.failures`, with hints that fit a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kubeimage.disk import failures
from kubeimage.disk.failures import ELSEWHERE
from kubeimage.errors import StoreError


@contextmanager
def translated(wanted: str, path: str) -> Iterator[None]:
    """Raise an OSError of the block as a StoreError that names ``path``."""
    try:
        yield
    except OSError as error:
        raise store_error(error, wanted, path) from error


def store_error(error: OSError, wanted: str, path: str) -> StoreError:
    """Return the StoreError that says what ``error`` means for somebody who ``wanted`` something of ``path``."""
    return failures.disk_error(error, f"{wanted} {path}", path, store=True)


__all__ = ["ELSEWHERE", "store_error", "translated"]
