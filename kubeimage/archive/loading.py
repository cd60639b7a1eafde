"""An archive's images brought into a store, whichever form the archive has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from kubeimage.archive import dockerarchive, ociarchive
from kubeimage.archive.members import Members, read_members
from kubeimage.archive.ociarchive import Incoming
from kubeimage.errors import ArchiveError
from kubeimage.protocols.transfer import Intake

_SEALERS_NAMES = "Metadata"


def take_in(file: BinaryIO, importer: Intake) -> Iterator[Incoming]:
    """Give the blobs of all images in ``file``, an uncompressed tar that can seek, to ``importer``.

    Raises: ArchiveError; BlobCorruptError, LayerError, StoreError.
    """
    members = read_members(file)
    # What docker has saved since version 25 is both; then the manifests in it count, which are as they were pushed.
    if ociarchive.INDEX in members and ociarchive.LAYOUT in members:
        return ociarchive.take_in(members, importer)
    if dockerarchive.MANIFEST in members:
        return dockerarchive.take_in(members, importer)
    raise _unknown(members)


def _unknown(members: Members) -> ArchiveError:
    names = sorted(members)
    if _SEALERS_NAMES in names and any(name.endswith(".yaml") and "/" not in name for name in names):
        return ArchiveError(
            "this is what sealer v0.8 saves: unpacked layers, with digests that are not those of their files",
            hint="push the image to a registry with sealer, and get it from there with kubeimage pull",
        )
    found = f"it holds {', '.join(map(repr, names[:3]))}{', …' if len(names) > 3 else ''}" if names else "it is empty"
    return ArchiveError(
        f"this is no archive of images: {found}",
        hint="kubeimage save, skopeo copy … oci-archive: and docker save write archives that can be loaded",
    )
