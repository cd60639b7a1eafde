"""Packs what new layers name: finds the images, learns their digests, fetches what is missing, makes the layer.

The layer depends on the digests that the names lead to, on the platform, and on what the layers below have; by these it
is cached, so that nothing is fetched or written for what is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kubeimage.discovery.findings import Findings
from kubeimage.discovery.search import PullImages, Search
from kubeimage.errors import DiscoveryError, PackingError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, Kind, file
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.memory import Memory
from kubeimage.packing.resolve import Names, check_collisions, resolve_known
from kubeimage.packing.search import find_and_remember, find_strays_and_remember
from kubeimage.protocols.cache import BuildCache, CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import LayerStore, StoredLayer
from kubeimage.protocols.packing import Packed, PackRequest
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.packing.authlist import Section
    from kubeimage.packing.fetch import Fetcher
    from kubeimage.packing.files import LayerFiles
    from kubeimage.packing.record import Record
    from kubeimage.registry.events import TransferObserver
    from kubeimage.settings import Settings
    from kubeimage.store.shelf import BlobShelf

FORMAT_VERSION = "1"


@dataclass(frozen=True)
class Parts:
    """What the packer works with. Shape: ``shelf`` and ``settings`` are asked for when there is something to fetch."""

    layers: LayerStore
    cache: BuildCache
    shelf: Callable[[], BlobShelf]
    memory: Memory
    settings: Callable[[], Settings]
    watch: TransferObserver


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


@dataclass(frozen=True)
class _Survey:
    """What there is to pack. Shape: ``images`` are sorted; ``metadata`` is what the rootfs says of itself."""

    images: tuple[Reference, ...]
    findings: Findings
    metadata: Mapping[str, object]
    sections: Sequence[Section]
    warnings: tuple[str, ...]


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
        survey = self._survey()
        skipped = len(survey.findings.left_names)
        if not survey.images and not survey.findings.kube_versions and not _listed(survey.findings):
            return Packed(warnings=survey.warnings, skipped=skipped)
        layer, cached = self._pack(survey)
        return Packed(layer, tuple(map(str, survey.images)), cached, warnings=survey.warnings, skipped=skipped)

    def _survey(self) -> _Survey:
        from kubeimage.packing.authlist import read_auth_list
        from kubeimage.packing.record import METADATA, check_kube_versions, cluster_version, read_metadata

        sections = read_auth_list(self._context)
        metadata = read_metadata(self._read_below(METADATA, self._whole))
        cluster, request, parts = cluster_version(metadata), self._request, self._parts
        findings = find_and_remember(parts.layers, request.made, self._search, parts.memory, cluster)
        findings.check()
        if self._search.guesses == "error":
            _refuse_guesses(findings)
        check_kube_versions(findings.kube_versions, cluster)
        listed = {image for section in sections for image in section.images if self._wants(image)}
        images = tuple(sorted({*findings.images, *listed}, key=str))
        warnings = (*_warnings(findings, images, cluster), *self._warn_of_strays({*images}))
        return _Survey(images, findings, metadata, sections, warnings)

    def _pack(self, survey: _Survey) -> tuple[StoredLayer | None, bool]:
        """Return the layer, and whether nothing had to be made for it; None where the layers below have all of it."""
        from kubeimage.packing.record import RECORD, Record

        recorded = self._read_below(RECORD, self._below)
        below = Record.from_bytes(recorded) if recorded is not None else None
        with ExitStack() as stack:
            fetcher = self._open_fetcher(survey.sections, stack)
            resolved = self._resolve(survey.images, fetcher, below)
            check_collisions({**(below.images if below else {}), **resolved})
            record = Record(
                resolved, self._search.choice.ignored, survey.findings.charts, _listed(survey.findings)
            ).over(below)
            if record == below and not survey.findings.kube_versions:
                return None, True
            return self._make(resolved, self._extra_files(record, survey), fetcher)

    def _wants(self, image: Reference) -> bool:
        return self._search.choice.ignores(image) is None

    def _warn_of_strays(self, packed: set[Reference]) -> Iterator[str]:
        """Tell of images that stay behind, because the YAML that names them is not looked into."""
        strays = find_strays_and_remember(self._parts.layers, self._request.made, self._search, self._parts.memory)
        images = {image for found in strays.values() for image in found} - {str(image) for image in packed}
        if images:
            are = "image is" if len(images) == 1 else "images are"
            yield (
                f"{len(images)} {are} named outside manifests/ and charts/, by {', '.join(sorted(strays)[:3])}, "
                "and left behind: --discover DIR looks into other folders"
            )

    def _open_fetcher(self, sections: Sequence[Section], stack: ExitStack) -> Fetcher:
        from kubeimage.packing.fetch import Fetcher

        registries = None
        if self._policy != "never":
            from kubeimage.packing.authlist import ListedCredentials
            from kubeimage.registry.registries import Registries

            registries = stack.enter_context(Registries(self._parts.settings(), ListedCredentials(sections)))
        return Fetcher(
            self._parts.shelf(), self._request.platform, self._read_blob_below, registries, self._parts.watch
        )

    def _resolve(self, images: Sequence[Reference], fetcher: Fetcher, below: Record | None) -> dict[Reference, Digest]:
        names = Names(self._parts.memory)
        known = resolve_known(images, self._policy, names, below.images if below else {})
        unknown = [image for image in images if image not in known]
        if unknown and self._policy == "never":
            raise PackingError(
                f"--pull-images never, and {len(unknown)} of {len(images)} images were never fetched: "
                f"{', '.join(map(str, unknown))}",
                hint="fetch them once, with --pull-images missing",
            )
        asked = fetcher.resolve(unknown, names.get) if unknown else {}
        for image, digest in asked.items():
            names.put(image, digest)
        return {image: known.get(image) or asked[image] for image in images}

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

    def _extra_files(self, record: Record, survey: _Survey) -> list[Entry]:
        from kubeimage.packing.record import METADATA, RECORD, with_kube_versions

        files = [file(RECORD, record.to_bytes())] if record.images or record.listed else []
        if asked := survey.findings.kube_versions:
            files.append(file(METADATA, with_kube_versions(survey.metadata, asked)))
        return files

    def _read_below(self, path: str, files: LayerFiles) -> bytes | None:
        entry = files.tree.get(path)
        if entry is None or entry.kind is not Kind.FILE:
            return None
        return dict(files.read([path])).get(path)

    def _read_blob_below(self, digest: Digest) -> bytes | None:
        from kubeimage.packing.layout import blob_path

        return self._read_below(blob_path(digest), self._below)

    def _has_blob_below(self, blob: Descriptor) -> bool:
        from kubeimage.packing.layout import blob_path

        entry = self._below.tree.get(blob_path(blob.digest))
        return entry is not None and entry.kind is Kind.FILE and entry.size == blob.size


def _listed(findings: Findings) -> tuple[str, ...]:
    """Return the guesses that people want listed alone."""
    from kubeimage.discovery.finder import LISTED_GUESS

    return tuple(sorted({one.text for one in findings.skipped if one.reason == LISTED_GUESS}))


def _refuse_guesses(findings: Findings) -> None:
    """Let nothing through that is only a guess.

    Raises: DiscoveryError that names each with its place.
    """
    guessed = {found.image: found.place for found in reversed(findings.found) if found.image in findings.guesses}
    if guessed:
        names = "; ".join(f"{image} ({place})" for image, place in sorted(guessed.items(), key=str))
        are = "1 name is a guess" if len(guessed) == 1 else f"{len(guessed)} names are guesses"
        raise DiscoveryError(
            f"{are}, and --guesses error takes none: {names}",
            hint="say which are meant: --add-image NAME; and which are not: --ignore-image NAME",
        )


def _warnings(findings: Findings, images: Sequence[Reference], cluster: str | None) -> Iterator[str]:
    yield from findings.warnings
    guessed = sorted(map(str, findings.guesses))
    if guessed:
        yield f"packed on a guess: {', '.join(guessed)}; kubeimage images-of --why says where each is named"
    if images and cluster is None and not findings.kube_versions:
        yield (
            "nothing says for which versions of Kubernetes this is: no Metadata has a version, no chart a kubeVersion"
        )
