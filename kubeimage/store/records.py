"""The records of which blob holds which layer compressed: what was found out when it came in, or was made.

    variants/DIFF_ID.BLOB   both digests in hex; JSON inside: the sizes, what it is compressed with, and who did so

A record states a fact about two digests, so it is never out of date: a blob that changes has another digest. It can be
lost at any time, and is found out again by decompressing the blob. Nobody waits for the disk: a record that a power cut
has spoilt is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from kubeimage.errors import DigestFormatError
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import Compression, layer_type
from kubeimage.image.oci import Descriptor
from kubeimage.store.failures import store_error, translated
from kubeimage.store.layout import Layout

_KINDS: tuple[Compression, ...] = ("none", "gzip", "zstd")


class Variant(NamedTuple):
    """One compressed form of a layer.

    Shape: ``coding`` is the recipe of ours that made it (`Coding.recipe`); empty where somebody else did.
    Units: ``size`` in bytes of the layer's tar, ``blob_size`` of the compressed blob.
    """

    diff_id: Digest
    size: int
    blob: Digest
    blob_size: int
    kind: Compression
    coding: str = ""

    @property
    def descriptor(self) -> Descriptor:
        """The blob as an OCI manifest names it."""
        return Descriptor(layer_type(self.kind), self.blob, self.blob_size)

    @property
    def name(self) -> str:
        """The record's file name."""
        return f"{self.diff_id.hex}.{self.blob.hex}"


def iter_pairs(layout: Layout) -> Iterator[tuple[Digest, Digest]]:
    """Yield the diff_id and the blob of every record, sorted."""
    with translated("list the records in", layout.variants):
        try:
            names = sorted(os.listdir(layout.variants))
        except (FileNotFoundError, NotADirectoryError):
            return
    for name in names:
        diff_id, _, blob = name.partition(".")
        with suppress(DigestFormatError):
            yield Digest.parse(f"sha256:{diff_id}"), Digest.parse(f"sha256:{blob}")


def with_variants(layout: Layout, needed: set[Digest]) -> set[Digest]:
    """Return ``needed`` and all forms of the layers among it, compressed or not."""
    pairs = list(iter_pairs(layout))
    layers = {diff_id for diff_id, blob in pairs if diff_id in needed or blob in needed}
    return needed | layers | {blob for diff_id, blob in pairs if diff_id in layers}


def record_path(layout: Layout, diff_id: Digest, blob: Digest) -> str:
    """Return the path of a record."""
    return os.path.join(layout.variants, f"{diff_id.hex}.{blob.hex}")


def read_record(path: str) -> Variant | None:
    """Read a record; None where it is not there, or is damaged.

    Raises: StoreAccessError.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(4096)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise store_error(error, "read", path) from error
    try:
        return _from_json(canonical.decode(data), os.path.basename(path))
    except (ValueError, KeyError, TypeError, DigestFormatError):
        return None


def record_to_json(variant: Variant) -> JsonObject:
    return {
        "diff_id": str(variant.diff_id),
        "size": variant.size,
        "blob": str(variant.blob),
        "blob_size": variant.blob_size,
        "kind": variant.kind,
        "coding": variant.coding,
    }


def _from_json(value: JsonObject, name: str) -> Variant:
    variant = Variant(
        Digest.parse(value["diff_id"]),
        int(value["size"]),
        Digest.parse(value["blob"]),
        int(value["blob_size"]),
        _KINDS[_KINDS.index(value["kind"])],
        str(value["coding"]),
    )
    if variant.name != name:
        raise ValueError(f"the record {name} speaks of {variant.name}")
    return variant
