"""Entries of the index made anew, where the images they name are whole: one that is damaged, or all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from kubeimage.errors import DigestFormatError, LayerError, StoreError
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.oci import MEDIA_TYPE_INDEX, Descriptor
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import Artifact, parse_subject, read_referrer
from kubeimage.store import index, manifests
from kubeimage.store.blobs import Blobs
from kubeimage.store.census import Census
from kubeimage.store.index import Entries
from kubeimage.store.problems import Problems
from kubeimage.store.referrers import make_referrer_entry
from kubeimage.store.variants import Variants


class Mender:
    """Makes entries from the manifests among the blobs; writes nothing."""

    def __init__(self, blobs: Blobs, variants: Variants, census: Census, problems: Problems) -> None:
        self._blobs = blobs
        self._variants = variants
        self._census = census
        self._problems = problems

    def salvage(self, data: bytes) -> Entries:
        """List all images again, with the names that a damaged index still shows.

        Raises: StoreAccessError.
        """
        names = index.salvage_names(data)
        indexes = [entry for digest, given in sorted(names.items()) for entry in self._list_index(digest, given)]
        listed = {digest for entry in indexes for digest in index.taken_of(entry) or ()}
        alone = [one for one in self._census.manifests if one.digest not in listed]
        artefacts = self._list_artefacts(data)
        told = {entry["digest"] for entry in artefacts}
        images = [entry for one in alone if str(one.digest) not in told for entry in self._list(one, names)]
        return [*indexes, *images, *artefacts]

    def _list_artefacts(self, data: bytes) -> Entries:
        """List again what says of itself that it refers to something here, and what a damaged index says it of."""
        tags = index.salvage_tags(data)
        found: Entries = []
        for one in sorted(self._census.iter_digests()):
            size = self._blobs.size(one)
            if size > manifests.LARGEST_MANIFEST:
                continue
            with suppress(StoreError, ValueError, RecursionError):
                content = self._blobs.read(one, size)
                tag = tags.get(str(one), "")
                subject = Artifact.from_bytes(content).subject if not tag else parse_subject(tag)
                if subject is not None:
                    found.append(make_referrer_entry(read_referrer(content, subject, tag)[0]))
        return found

    def _list(self, manifest: Descriptor, names: Mapping[str, Sequence[Reference]]) -> Entries:
        """Make the entries of an image; one without a name is nobody's, lest it is pruned."""
        given = names.get(str(manifest.digest), ())
        with suppress(StoreError, LayerError):
            image = manifests.read_image(self._blobs, self._variants, manifest) if given else None
            if image is not None:
                return [index.make_entry(image, manifest, name) for name in given]
        return [manifest.to_json()]

    def mend(self, entry: JsonObject) -> JsonObject | None:
        """Make an entry of ours anew, where only the entry is damaged and not the image.

        Raises: StoreAccessError.
        """
        image_id, digest = index.image_id_of(entry), entry.get("digest")
        if index.has_manifests(entry):
            return self._mend_index(entry)
        for manifest in self._census.manifests if index.is_ours(entry) else ():
            with suppress(StoreError, LayerError):
                image = manifests.read_image(self._blobs, self._variants, manifest)
                if image.id == image_id or str(manifest.digest) == digest:
                    made = index.make_entry(image, manifest, index.reference_of(entry))
                    if self._problems.problem_of(made) is None:
                        return made
        return None

    def _mend_index(self, entry: JsonObject) -> JsonObject | None:
        reference, digest = index.reference_of(entry), str(entry.get("digest"))
        for made in self._list_index(digest, [reference] if reference is not None else [None]):
            if self._problems.problem_of(made) is None:
                return made
        return None

    def _list_index(self, digest: str, references: Sequence[Reference | None]) -> Entries:
        """Make the entries of an image index, with those of its manifests that are there."""
        try:
            known = Digest.parse(digest)
            descriptor = Descriptor(MEDIA_TYPE_INDEX, known, self._blobs.size(known))
            document = manifests.read_index(self._blobs, descriptor)
            listed = [*manifests.inner_indexes(self._blobs, document), *manifests.listed_in(self._blobs, document)]
        except (DigestFormatError, StoreError):
            return []
        there = set(self._census.iter_digests())
        taken = [one.digest for one in listed if one.digest in there]
        top = replace(descriptor, media_type=document.media_type)
        return [index.make_index_entry(top, taken, reference) for reference in references] if taken else []
