"""Old records out of a shared cache."""

from __future__ import annotations

import threading
from functools import partial

from kubeimage.image.digest import Digest
from kubeimage.registry.workers import run_all
from kubeimage.remote.reader import AT_ONCE, let_end
from kubeimage.remote.record import BadRecordError, read_artifact
from kubeimage.remote.shelf import Shelf


def prune_shelf(shelf: Shelf, before: str, *, dry_run: bool = False) -> tuple[int, int]:
    """Take away the records that were made before a time, as RFC 3339 writes it; return how many went and stayed.

    What lies beside them under a tag like theirs, and is no record, goes as well: nobody could read it.
    Raises: RegistryError, StoreError.
    """
    old: list[Digest] = []
    kept = 0
    lock = threading.Lock()

    def look(tag: str) -> None:
        nonlocal kept
        data = shelf.get(tag)
        if data is None:
            return
        is_old = _created(data) < before
        with lock:
            if is_old:
                old.append(Digest.of(data))
            else:
                kept += 1

    tags = [tag for tag in shelf.tags() if tag.startswith("step-")]
    run_all([partial(look, tag) for tag in tags], let_end, AT_ONCE)
    for manifest in () if dry_run else old:
        shelf.delete(manifest)
    return len(old), kept


def _created(data: bytes) -> str:
    try:
        return read_artifact(data).record.created
    except BadRecordError:
        return ""


__all__ = ["prune_shelf"]
