"""What is wrong with the entries of the index: with what they say, and with what they lead to."""

from __future__ import annotations

import json
from collections.abc import Iterator

from kubeimage.errors import BlobCorruptError, BlobNotFoundError, LayerError, StoreError
from kubeimage.image.canonical import JsonObject
from kubeimage.image.media_types import INDEXES
from kubeimage.image.oci import Descriptor
from kubeimage.store import index, manifests
from kubeimage.store.blobs import Blobs
from kubeimage.store.census import Census
from kubeimage.store.index import Entries
from kubeimage.store.referrers import find_in, referrer_of
from kubeimage.store.variants import Variants


class Problems:
    """Finds what is wrong with entries, once the census has hashed all blobs."""

    def __init__(self, blobs: Blobs, variants: Variants, census: Census) -> None:
        self._blobs = blobs
        self._variants = variants
        self._census = census

    def problem_of(self, entry: JsonObject) -> str | None:
        """Say what is wrong with an entry, or with any blob that it needs.

        Raises: StoreAccessError.
        """
        descriptor = index.descriptor_of(entry)
        if descriptor is None:
            return "its entry is no descriptor"
        if index.is_referrer(entry):
            return self._problem_of_referrer(entry)
        if (what := index.problem_of(entry)) is not None:
            return what
        for blob in manifests.blobs_of(self._blobs, descriptor, index.taken_of(entry)):
            if (what := self._census.problem_with(blob)) is not None:
                return what
        if index.image_of(entry) is None:
            return None
        try:
            return self._problem_inside(entry, descriptor)
        except (BlobCorruptError, BlobNotFoundError, LayerError) as error:
            return error.message

    def why_unusable(self, entry: JsonObject) -> str | None:
        """Say which of a whole image's layers no command can use, and why.

        Raises: StoreAccessError.
        """
        descriptor = index.image_of(entry)
        needed = manifests.blobs_of(self._blobs, descriptor, index.taken_of(entry)) if descriptor else ()
        return next((what for blob in needed if (what := self._census.why_unusable(blob)) is not None), None)

    def _problem_of_referrer(self, entry: JsonObject) -> str | None:
        """Look whether an artefact is whole, and refers to what its entry says."""
        referrer = referrer_of(entry)
        if referrer is None:
            return f"its entry gives the subject {index.subject_in(entry)!r}, which is none"
        if (what := self._census.problem_with(referrer.manifest)) is not None:
            return what
        try:
            # Nothing is held here: a check that repairs has locked all others out.
            found = find_in(lambda one: self._blobs.read(one, self._blobs.size(one)), referrer)
        except (BlobCorruptError, BlobNotFoundError) as error:
            return error.message
        needed = (*found.blobs, *(listed for listed, _ in found.inner))
        return next((what for one in needed if (what := self._census.problem_with(one)) is not None), None)

    def _problem_inside(self, entry: JsonObject, descriptor: Descriptor) -> str | None:
        """Look whether config, manifest and index say the same."""
        for manifest in manifests.iter_manifests(self._blobs, descriptor, index.taken_of(entry)):
            config = manifests.read_manifest(self._blobs, manifest).config
            if (what := self._problem_of_image(manifest, is_ours=index.image_id_of(entry) is not None)) is not None:
                return what
            written = index.image_id_of(entry)
            if written not in (None, config.digest) and descriptor.media_type not in INDEXES:
                return f"its entry gives the image id {written}, the manifest {config.digest}"
        return None

    def _problem_of_image(self, manifest: Descriptor, *, is_ours: bool) -> str | None:
        try:
            image = manifests.read_image(self._blobs, self._variants, manifest)
        except (BlobCorruptError, BlobNotFoundError):
            raise
        except StoreError as error:
            # Other tools keep things here that are no images; we don't.
            return error.message if is_ours else None
        if manifest.platform is None or manifest.platform.is_alike(image.platform):
            return None
        return f"it is listed for {manifest.platform}, and is for {image.platform}"


def odd_names(entries: Entries) -> Iterator[tuple[str, str]]:
    """Say of names what is odd, and what to do: no damage that anybody could prove, for other tools give names too."""
    seen: set[tuple[str, str]] = set()
    for entry in entries:
        reference, disagreeing = index.reference_of(entry), index.disagreeing_name(entry)
        key = (str(reference), json.dumps(entry.get("platform"), sort_keys=True))
        what = advice = ""
        if reference is None and not index.is_dangling(entry) and index.image_of(entry) is not None:
            what = f"the image {entry.get('digest')} has no name"
            advice = "find it by its id with kubeimage images, and name it with kubeimage tag"
        elif disagreeing is not None:
            what = f"an image has two names in one entry: {reference}, which counts, and {disagreeing}"
            advice = "if another tool renamed it, name it again with kubeimage tag"
        elif reference is not None and key in seen:
            what = f"two images are called {reference}"
            advice = "the first one counts; give the name anew with kubeimage tag"
        seen.add(key)
        if what:
            yield what, advice
