"""Packs what new layers name: finds the images, learns their digests, fetches what is missing, makes the layer.

The layer depends on the digests that the names lead to, on the platform, and on what the layers below have; by these it
is cached, so that nothing is fetched or written for what is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kubeimage.discovery.findings import Findings
from kubeimage.discovery.search import PullImages, Search
from kubeimage.errors import PackingError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, Kind, file
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.parts import Parts, open_fetcher
from kubeimage.packing.resolve import Names, check_collisions, resolve_images
from kubeimage.packing.survey import Survey, Surveyor, read_file
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer
from kubeimage.protocols.packing import Packed, PackRequest

if TYPE_CHECKING:
    from kubeimage.packing.fetch import Fetcher
    from kubeimage.packing.record import Record

FORMAT_VERSION = "1"


class RegistryPacker:
    """Packs container images from their registries, as ``policy`` allows to ask these.

    Shape: ``context`` is the build context, for its ``imageListWithAuth.yaml``.
    """

    def __init__(self, parts: Parts, policy: PullImages, search: Search, context: str) -> None:
        self._parts = parts
        self._policy = policy
        self._search = search
        self._context = context

    def pack(self, request: PackRequest) -> Packed:
        """Find the images, fetch what is not there, and make the layer.

        Raises: DiscoveryError, PackingError; RegistryError, CredentialsError; StoreError.
        """
        return _Packing(self._parts, self._policy, self._search, self._context, request).run()


class _Packing:
    """One build's packing."""

    def __init__(self, parts: Parts, policy: PullImages, search: Search, context: str, request: PackRequest) -> None:
        from kubeimage.packing.files import LayerFiles

        self._parts = parts
        self._policy = policy
        self._search = search
        self._context = context
        self._request = request
        base = tuple(StackedLayer(one) for one in request.base)
        self._whole = LayerFiles(parts.layers, (*base, *request.made))
        self._below = self._whole if request.keep_base else LayerFiles(parts.layers, request.made)

    def run(self) -> Packed:
        parts = self._parts
        survey = Surveyor(parts.layers, parts.memory, self._search, self._context).survey(self._request, self._whole)
        skipped = len(survey.findings.left_names)
        if not survey.images and not survey.findings.kube_versions and not _listed(survey.findings):
            return Packed(warnings=survey.warnings, skipped=skipped)
        layer, cached = self._pack(survey)
        return Packed(layer, tuple(map(str, survey.images)), cached, warnings=survey.warnings, skipped=skipped)

    def _pack(self, survey: Survey) -> tuple[StoredLayer | None, bool]:
        """Return the layer, and whether nothing had to be made for it; None where the layers below have all of it."""
        from kubeimage.packing.record import RECORD, Record

        recorded = read_file(RECORD, self._below)
        below = Record.from_bytes(recorded) if recorded is not None else None
        with ExitStack() as stack:
            fetcher = open_fetcher(self._parts, self._policy, self._request.platform, survey.sections, stack)
            fetcher.use_below(self._read_blob_below)
            packed = below.images if below else {}
            resolved = resolve_images(survey.images, self._policy, Names(self._parts.memory), packed, fetcher.resolve)
            check_collisions({**(below.images if below else {}), **resolved})
            record = Record(
                resolved, self._search.choice.ignored, survey.findings.charts, _listed(survey.findings)
            ).over(below)
            if record == below and not survey.findings.kube_versions:
                return None, True
            return self._make(resolved, self._extra_files(record, survey), fetcher)

    def _make(
        self, resolved: Mapping[Reference, Digest], extra: Sequence[Entry], fetcher: Fetcher
    ) -> tuple[StoredLayer, bool]:
        key = self._cache_key(resolved, extra)
        if self._request.use_cache and (hit := self._parts.cache.lookup(key)) is not None and hit.layer is not None:
            return hit.layer, True
        from kubeimage.packing.layout import make_entries

        contents = fetcher.fetch(resolved, self._has_blob_below)
        shelf = self._parts.shelf()
        entries = make_entries(contents, extra, self._below.tree, shelf.path, self._request.mtime)
        layer = self._parts.layers.put(entries)
        self._prove(resolved, StackedLayer(layer.diff_id, entries))
        self._parts.cache.record(key, CachedStep(layer))
        return layer, False

    def _prove(self, resolved: Mapping[Reference, Digest], made: StackedLayer) -> None:
        """Find out, from the layers as they were written, whether every image is whole.

        Raises: PackingError with all that is wrong.
        """
        from kubeimage.packing.closure import find_flaws
        from kubeimage.packing.files import LayerFiles

        stack = [StackedLayer(one) for one in self._request.base] if self._request.keep_base else []
        files = LayerFiles(self._parts.layers, (*stack, *self._request.made, made))
        flaws = find_flaws(files, resolved, self._request.platform)
        if flaws:
            raise PackingError("images are not whole where they were packed:\n" + "\n".join(map(str, flaws)))

    def _cache_key(self, resolved: Mapping[Reference, Digest], extra: Sequence[Entry]) -> CacheKey:
        fields = [("kind", "BASE"), ("format", FORMAT_VERSION), ("platform", str(self._request.platform))]
        fields += [("timestamps", str(self._request.mtime))]
        below = [*(self._request.base if self._request.keep_base else ()), *(one.diff_id for one in self._request.made)]
        fields += [(f"layer {number}", str(digest)) for number, digest in enumerate(below, 1)]
        fields += [(f"image {image}", str(digest)) for image, digest in sorted(resolved.items(), key=str)]
        fields += [(f"file {one.path}", str(Digest.of(one.source))) for one in extra if isinstance(one.source, bytes)]
        return CacheKey(CacheKey(None, (("kind", "BASE"),)).digest, tuple(fields))

    def _extra_files(self, record: Record, survey: Survey) -> list[Entry]:
        from kubeimage.packing.record import METADATA, RECORD, with_kube_versions

        files = [file(RECORD, record.to_bytes())] if record.images or record.listed else []
        if asked := survey.findings.kube_versions:
            files.append(file(METADATA, with_kube_versions(survey.metadata, asked)))
        return files

    def _read_blob_below(self, digest: Digest) -> bytes | None:
        from kubeimage.packing.layout import blob_path

        return read_file(blob_path(digest), self._below)

    def _has_blob_below(self, blob: Descriptor) -> bool:
        from kubeimage.packing.layout import blob_path

        entry = self._below.tree.get(blob_path(blob.digest))
        return entry is not None and entry.kind is Kind.FILE and entry.size == blob.size


def _listed(findings: Findings) -> tuple[str, ...]:
    """Return the guesses that people want listed alone."""
    from kubeimage.discovery.finder import LISTED_GUESS

    return tuple(sorted({one.text for one in findings.skipped if one.reason == LISTED_GUESS}))
