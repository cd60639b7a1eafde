"""OCI image layouts, in a folder or in a tar.

Source: OCI image-spec v1.1, image-layout.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import BinaryIO

from kubeimage.archive.artefacts import Artefacts
from kubeimage.errors import ArchiveError, BlobCorruptError, ImageNotFoundError, KubeimageError, UsageError
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES, MANIFESTS
from kubeimage.image.naming import named_in
from kubeimage.image.oci import ANNOTATION_FULL_NAME, ANNOTATION_REF_NAME, Descriptor, Index
from kubeimage.image.referrers import NO_REFERRERS, ReferrerChoice
from kubeimage.image.referring import FoundReferrer, Referrers
from kubeimage.sources.files import Files, read_small
from kubeimage.sources.layoutreferrers import LayoutReferrers, is_listed_beside

LAYOUT, INDEX = "oci-layout", "index.json"
DOCKER_SAVE = "manifest.json"
_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)
_MOST_NAMES = 5


class LayoutSource:
    """One image of a layout; ``name`` is what it is called there, empty for the only one."""

    fetched = 0

    def __init__(self, files: Files, name: str, *, shown: str) -> None:
        self.where = shown
        self._files = files
        self._name = name
        self._transport = shown.partition(":")[0]

    def read_top(self) -> bytes:
        """Return what the name leads to.

        Raises: ImageNotFoundError with near names; UsageError where no name was given, and there are several;
            ArchiveError for what is no layout.
        """
        _check_is_layout(self._files)
        return self.read_document(self._choose(_read_index(self._files)))

    def read_document(self, descriptor: Descriptor) -> bytes:
        """Return a small blob, verified."""
        data = read_small(self._files, _path(descriptor.digest))
        if (found := Digest.of(data)) != descriptor.digest:
            raise BlobCorruptError(
                f"{self._files.where}: the blob {descriptor.digest} is damaged: its bytes are {found}",
                hint="get the image again; if it stays so, it is damaged where it came from",
            )
        return data

    def open_blob(self, descriptor: Descriptor) -> BinaryIO:
        """Open a blob."""
        return self._files.open(_path(descriptor.digest))

    def referrers(self) -> list[Referrers]:
        """Return what else the layout lists."""
        return [LayoutReferrers(self._files.where, _read_index(self._files), self.read_document)]

    def find_referrers(self, subjects: Sequence[Digest], choice: ReferrerChoice) -> list[FoundReferrer]:
        """Return what the layout lists that refers to manifests of the image, and to that in turn."""
        return Artefacts(_read_index(self._files), self._read_if_there, choice).walk(subjects)

    def _read_if_there(self, listed: Descriptor) -> bytes | None:
        return self.read_document(listed) if _path(listed.digest) in self._files else None

    def close(self) -> None:
        """Close the archive."""
        self._files.close()

    def _choose(self, listed: Sequence[Descriptor]) -> Descriptor:
        images = [one for one in listed if one.media_type in MANIFESTS | INDEXES and not is_listed_beside(one)]
        if len({one.digest for one in images}) > 1:
            own = Artefacts(listed, self._read_if_there, NO_REFERRERS).images
            images = [one for one in images if one in own]
        if not images:
            raise ImageNotFoundError(f"there is no image in {self._files.where}")
        if self._name:
            found = [one for one in images if self._name in _names_of(one)]
            if not found:
                raise ImageNotFoundError(f"no image {self._name!r} in {self._files.where}", hint=self._near(images))
            return found[-1]
        if len({one.digest for one in images}) > 1:
            raise UsageError(
                f"there are {len(images)} images in {self._files.where}", hint=f"name one: {self._near(images)}"
            )
        return images[0]

    def _near(self, images: Sequence[Descriptor]) -> str:
        names = list(dict.fromkeys(_shown_name(one) for one in images))
        near = get_close_matches(self._name, names, n=_MOST_NAMES, cutoff=0.5) or names[:_MOST_NAMES]
        shown = [f"{self._transport}:{self._files.where}:{name}" for name in near]
        return ", ".join(shown) + (", …" if len(names) > len(near) and not self._name else "")


def _check_is_layout(files: Files) -> None:
    if LAYOUT in files and INDEX in files:
        version = None
        try:
            version = canonical.decode(read_small(files, LAYOUT)).get("imageLayoutVersion")
        except ValueError as error:
            raise ArchiveError(f"{files.where}: {LAYOUT} cannot be understood: {error}") from error
        if version != "1.0.0":
            raise ArchiveError(f"{files.where} is an image layout of version {version!r}; this kubeimage reads 1.0.0")
        return
    lacking = LAYOUT if LAYOUT not in files else INDEX
    hint = None
    if DOCKER_SAVE in files:
        looks = "this looks like skopeo's dir: form; copy it with skopeo copy" if "version" in files else ""
        hint = looks or f"this looks like a docker-archive: docker-archive:{files.where}"
    raise ArchiveError(f"{files.where} is no OCI image layout: it lacks {lacking!r}", hint=hint)


def _read_index(files: Files) -> Sequence[Descriptor]:
    try:
        return Index.from_bytes(read_small(files, INDEX)).manifests
    except ArchiveError:
        raise
    except _BAD as error:
        raise ArchiveError(f"{files.where}: {INDEX} cannot be understood: {error}") from error


def _names_of(image: Descriptor) -> set[str]:
    """Return all that an image of a layout is called by."""
    names = {image.annotations.get(key, "") for key in (ANNOTATION_REF_NAME, ANNOTATION_FULL_NAME)}
    reference = named_in(image.annotations)
    if reference is not None:
        names |= {str(reference), reference.familiar(), reference.familiar().removesuffix(":latest")}
    return {*names, str(image.digest)} - {""}


def _shown_name(image: Descriptor) -> str:
    return image.annotations.get(ANNOTATION_REF_NAME) or str(image.digest)


def _path(digest: Digest) -> str:
    return f"blobs/sha256/{digest.hex}"
