"""Packs what new layers name: finds the images, learns their digests, fetches what is missing, makes the layers.

A layer depends on what lies in it and on nothing else; by that it is cached, so that nothing is fetched or written for
what is known.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kubeimage.discovery.findings import Findings
from kubeimage.discovery.search import PullImages, Search
from kubeimage.errors import PackingError
from kubeimage.image.digest import Digest
from kubeimage.image.document import PACKED_KIND
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import NO_REFERRERS, ReferrerChoice
from kubeimage.layer.entry import Entry, Kind, file
from kubeimage.layer.stack import StackedLayer
from kubeimage.lock.lockfile import Lock, LockedImage
from kubeimage.packing.archives import load_archives
from kubeimage.packing.locking import check_loaded, check_manifests, check_survey
from kubeimage.packing.parts import Parts, open_fetcher
from kubeimage.packing.resolve import Names, check_collisions, resolve_images
from kubeimage.packing.survey import Survey, Surveyor, read_file
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer
from kubeimage.protocols.packing import Packed, PackedLayer, PackRequest

if TYPE_CHECKING:
    from kubeimage.packing.cutting import Piece
    from kubeimage.packing.fetch import Fetcher
    from kubeimage.packing.layout import Contents
    from kubeimage.packing.record import Record

FORMAT_VERSION = "2"

_FIRST_KEY = CacheKey(None, (("kind", PACKED_KIND),))
"""What stands below every packed layer: they depend on nothing else."""


class RegistryPacker:
    """Packs container images from their registries, as ``policy`` allows to ask these.

    Shape: ``context`` is the build context, for its ``imageListWithAuth.yaml``. With a ``lock``, names are what it
           says that they are.
    """

    def __init__(
        self,
        parts: Parts,
        policy: PullImages,
        search: Search,
        context: str,
        lock: Lock | None = None,
        *,
        referrers: ReferrerChoice = NO_REFERRERS,
    ) -> None:
        self._referrers = referrers
        self._parts = parts
        self._policy = policy
        self._search = search
        self._context = context
        self._lock = lock

    def pack(self, request: PackRequest) -> Packed:
        """Find the images, fetch what is not there, and make the layers.

        Raises: DiscoveryError, PackingError; TrustError; RegistryError, CredentialsError; StoreError.
        """
        return _Packing(
            self._parts,
            self._policy,
            self._search,
            self._context,
            request,
            lock=self._lock,
            referrers=self._referrers,
        ).run()


class _Packing:
    """One build's packing."""

    def __init__(
        self,
        parts: Parts,
        policy: PullImages,
        search: Search,
        context: str,
        request: PackRequest,
        *,
        lock: Lock | None,
        referrers: ReferrerChoice,
    ) -> None:
        from kubeimage.packing.files import LayerFiles

        self._parts = parts
        self._policy = policy
        self._search = search
        self._context = context
        self._request = request
        self._lock = lock
        self._referrers = referrers
        self._loaded: Collection[Reference] = ()
        self._warnings: tuple[str, ...] = ()
        self._locked: dict[Reference, LockedImage] = {}
        base = tuple(StackedLayer(one) for one in request.base)
        self._whole = LayerFiles(parts.layers, (*base, *request.made))
        self._below = self._whole if request.keep_base else LayerFiles(parts.layers, request.made)

    def run(self) -> Packed:
        parts = self._parts
        survey = Surveyor(parts.layers, parts.memory, self._search, self._context).survey(self._request, self._whole)
        if self._lock is not None:
            self._locked = check_survey(self._lock, self._request, survey, parts)
        skipped = len(survey.findings.left_names)
        if not survey.images and not survey.findings.kube_versions and not _listed(survey.findings):
            return Packed(warnings=survey.warnings, skipped=skipped)
        layers = self._pack(survey)
        warnings = (*survey.warnings, *self._warnings)
        return Packed(layers, tuple(map(str, survey.images)), warnings=warnings, skipped=skipped)

    def _pack(self, survey: Survey) -> tuple[PackedLayer, ...]:
        """Return the layers; none where the layers below have all of it."""
        from kubeimage.packing.record import RECORD, Record

        recorded = read_file(RECORD, self._below)
        below = Record.from_bytes(recorded) if recorded is not None else None
        with ExitStack() as stack:
            fetcher = open_fetcher(self._parts, self._policy, self._request.platform, survey.sections, stack)
            fetcher.use_below(self._read_blob_below)
            packed = below.images if below else {}
            loaded = load_archives(self._context, survey.archived, self._parts.shelf)
            asked = [image for image in survey.images if image not in loaded]
            resolved = loaded | self._resolve(asked, fetcher, packed)
            check_loaded(self._locked, loaded)
            check_collisions({**packed, **resolved})
            self._check_trust(resolved, packed, fetcher)
            record = Record(
                resolved, self._search.choice.ignored, survey.findings.charts, _listed(survey.findings)
            ).over(below)
            is_known = record == below and not survey.findings.kube_versions
            if is_known and not self._referrers:
                return ()
            self._loaded = loaded
            extra = [] if is_known else self._extra_files(record, survey)
            return self._make(resolved, extra, fetcher, below)

    def _check_trust(
        self, resolved: Mapping[Reference, Digest], packed: Mapping[Reference, Digest], fetcher: Fetcher
    ) -> None:
        """Hold the policy against what is new; what the base brings was judged with the base."""
        policy = self._parts.settings().trust
        if policy:
            from kubeimage.packing.trusting import check_images

            fresh = {image: digest for image, digest in resolved.items() if packed.get(image) != digest}
            check_images(fresh, policy, fetcher, self._parts.memory)

    def _resolve(
        self, images: Sequence[Reference], fetcher: Fetcher, packed: Mapping[Reference, Digest]
    ) -> dict[Reference, Digest]:
        if self._lock is not None:
            return {image: self._locked[image].digest for image in images}
        names = Names(self._parts.memory)
        return resolve_images(images, self._policy, names, packed, fetcher.resolve, meanings=fetcher.meanings)

    def _make(
        self, resolved: Mapping[Reference, Digest], extra: Sequence[Entry], fetcher: Fetcher, below: Record | None
    ) -> tuple[PackedLayer, ...]:
        from kubeimage.packing.contents import read_contents
        from kubeimage.packing.cutting import cut

        contents = read_contents(resolved, self._request.platform, fetcher, self._parts.memory)
        if self._referrers:
            contents = self._add_referrers(contents, fetcher)
        if self._lock is not None:
            manifests = {one.image: one.manifests[-1].digest for one in contents}
            check_manifests(self._locked, manifests, self._request.platform)
        pieces = cut(
            contents,
            extra,
            tree=self._below.tree,
            packed=below.images if below else {},
            room=self._request.room,
            mtime=self._request.mtime,
        )
        found = self._look_up(pieces, fetcher)
        missed = [(piece, key) for piece, key, hit in found if hit is None]
        if missed:
            self._fetch(contents, [piece for piece, _ in missed], fetcher)
        layers = [PackedLayer(piece.name, hit or self._put(piece), hit is not None) for piece, _, hit in found]
        if missed:
            changed = {image for piece, _ in missed for image in piece.images}
            made = [StackedLayer(one.layer.diff_id, piece.entries) for one, piece in zip(layers, pieces, strict=True)]
            self._prove({image: digest for image, digest in resolved.items() if image in changed}, made)
        for (_, key, hit), one in zip(found, layers, strict=True):
            if hit is None:
                self._parts.cache.record(key, CachedStep(one.layer))
        return tuple(layers)

    def _look_up(self, pieces: Sequence[Piece], fetcher: Fetcher) -> list[tuple[Piece, CacheKey, StoredLayer | None]]:
        """Return each piece with its key, and with its layer where that is known.

        A layer that is only claimed to be a piece is written anew, from the blobs that it holds.
        """
        keys = [_cache_key(piece) for piece in pieces]
        if not self._request.use_cache:
            return [(piece, key, None) for piece, key in zip(pieces, keys, strict=True)]
        self._parts.cache.foresee_each(_FIRST_KEY, keys)
        hits = [self._parts.cache.lookup(key) for key in keys]
        fetcher.use_layers([hit.layer.diff_id for hit in hits if hit is not None and hit.is_claim and hit.layer])
        known = [None if hit is None or hit.is_claim else hit.layer for hit in hits]
        return list(zip(pieces, keys, known, strict=True))

    def _fetch(self, contents: Sequence[Contents], missed: Sequence[Piece], fetcher: Fetcher) -> None:
        """Bring what the layers to be made hold into the store."""
        wanted = {entry.digest for piece in missed for entry in piece.entries if entry.source is None}
        fetcher.fetch(contents, {Digest(one.hex()) for one in wanted if one is not None})

    def _put(self, piece: Piece) -> StoredLayer:
        shelf = self._parts.shelf()
        entries = [
            entry._replace(source=shelf.path(Digest(entry.digest.hex())))
            if entry.kind is Kind.FILE and entry.source is None and entry.digest is not None
            else entry
            for entry in piece.entries
        ]
        return self._parts.layers.put(entries)

    def _prove(self, resolved: Mapping[Reference, Digest], made: Sequence[StackedLayer]) -> None:
        """Find out, from the layers as they were written, whether every image is whole that has a part in a new one.

        Raises: PackingError with all that is wrong.
        """
        from kubeimage.packing.closure import find_flaws
        from kubeimage.packing.files import LayerFiles

        stack = [StackedLayer(one) for one in self._request.base] if self._request.keep_base else []
        files = LayerFiles(self._parts.layers, (*stack, *self._request.made, *made))
        flaws = find_flaws(files, resolved, self._request.platform)
        if flaws:
            raise PackingError("images are not whole where they were packed:\n" + "\n".join(map(str, flaws)))

    def _add_referrers(self, contents: Sequence[Contents], fetcher: Fetcher) -> list[Contents]:
        """Return images with what refers to them; archives in the context bring none of that."""
        from kubeimage.packing.referrers import ReferrerPacker

        packer = ReferrerPacker(fetcher, self._parts.memory, self._referrers, self._policy)
        found = {one.image: one for one in packer.add([one for one in contents if one.image not in self._loaded])}
        self._warnings = tuple(
            f"what refers to {image} is not known here, and nobody was asked: none of it is packed"
            for image in packer.unknown
        )
        return [found.get(one.image, one) for one in contents]

    def _extra_files(self, record: Record, survey: Survey) -> list[Entry]:
        from kubeimage.packing.record import METADATA, RECORD, with_kube_versions

        files = [file(RECORD, record.to_bytes())] if record.images or record.listed else []
        if asked := survey.findings.kube_versions:
            files.append(file(METADATA, with_kube_versions(survey.metadata, asked)))
        return files

    def _read_blob_below(self, digest: Digest) -> bytes | None:
        from kubeimage.packing.layout import blob_path

        return read_file(blob_path(digest), self._below)


def _cache_key(piece: Piece) -> CacheKey:
    fields = (("kind", PACKED_KIND), ("format", FORMAT_VERSION))
    return CacheKey(_FIRST_KEY.digest, fields, piece.fields())


def _listed(findings: Findings) -> tuple[str, ...]:
    """Return the guesses that people want listed alone."""
    from kubeimage.discovery.finder import LISTED_GUESS

    return tuple(sorted({one.text for one in findings.skipped if one.reason == LISTED_GUESS}))
