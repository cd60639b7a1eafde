"""An archive's images brought into a store, whichever form the archive has."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from kubeimage.archive import dockerarchive, ociarchive
from kubeimage.archive.members import MemberFiles
from kubeimage.archive.ociarchive import Incoming
from kubeimage.errors import ArchiveError
from kubeimage.image.referrers import ALL_REFERRERS, ReferrerChoice
from kubeimage.protocols.transfer import Intake

_SEALERS_NAMES = "Metadata"
_OTHERS = {
    "Chart.yaml": ("a Helm chart", "COPY it to charts/ in a Kubefile"),
    "*/Chart.yaml": ("a Helm chart", "COPY it to charts/ in a Kubefile"),
    "repositories": ("what docker save wrote before version 1.10", "load it into docker, and save it again"),
    "bin/sh": ("the files of a container, as docker export writes them", "save the image itself: docker save NAME"),
}


def take_in(members: MemberFiles, importer: Intake, choice: ReferrerChoice = ALL_REFERRERS) -> Iterator[Incoming]:
    """Hand the blobs of all images in an archive to ``importer``; what it leaves out and was not there, it lists then.

    Raises: ArchiveError; BlobCorruptError, LayerError, StoreError.
    """
    # What docker has saved since version 25 is both; then the manifests in it count, which are as they were pushed.
    # Of an image without a name it lists none.
    if dockerarchive.MANIFEST in members and not ociarchive.lists_images(members):
        return dockerarchive.take_in(members, importer)
    if ociarchive.INDEX in members and ociarchive.LAYOUT in members:
        return ociarchive.take_in(members, importer, choice)
    raise _unknown(members)


def _unknown(members: MemberFiles) -> ArchiveError:
    names = sorted(members)
    if _SEALERS_NAMES in names and any(name.endswith(".yaml") and "/" not in name for name in names):
        return ArchiveError(
            "this is what sealer v0.8 saves: unpacked layers, with digests that are not those of their files",
            hint="push the image to a registry with sealer, and get it from there with kubeimage pull",
        )
    for mark, (what, hint) in _OTHERS.items():
        if any(fnmatchcase(name, mark) for name in names):
            return ArchiveError(f"this is no archive of images, but {what}", hint=hint)
    found = f"it holds {', '.join(map(repr, names[:3]))}{', …' if len(names) > 3 else ''}" if names else "it is empty"
    return ArchiveError(
        f"this is no archive of images: {found}",
        hint="kubeimage save, skopeo copy … oci-archive: and docker save write archives that can be loaded",
    )
