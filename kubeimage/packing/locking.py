"""Locks and what is packed: what a build would pack is found for a lock, and held against one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from kubeimage.discovery.search import PullImages
from kubeimage.errors import DigestFormatError, KubeimageError, LockStaleError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.stack import StackedLayer
from kubeimage.lock.drift import Drift, compare_entries, compare_names
from kubeimage.lock.lockfile import Lock, LockedChart, LockedImage
from kubeimage.packing.archives import load_archives
from kubeimage.packing.parts import Parts, open_fetcher
from kubeimage.packing.resolve import Names, resolve_images, resolve_known
from kubeimage.packing.survey import Survey, Surveyor
from kubeimage.protocols.packing import ImagePacker, Packed, PackRequest
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.packing.fetch import Fetcher
    from kubeimage.packing.files import LayerFiles

RELOCK = "kubeimage lock locks the project as it is; kubeimage lock --update NAME locks one name anew"

MORE_PLATFORMS = "kubeimage lock --platform A,B locks the project for several platforms"


@dataclass(frozen=True)
class Found:
    """What one build names. Shape: ``lost`` are images that nobody knows the digest of."""

    images: tuple[LockedImage, ...] = ()
    charts: tuple[LockedChart, ...] = ()
    lost: tuple[Reference, ...] = ()


class ImageLocker:
    """An `ImagePacker` that packs nothing, and notes in ``found`` what there is to pack, by platform.

    Shape: ``kept`` are entries that nobody is asked about; what is as ``expected`` is asked for and not fetched. With
           ``tolerant``, names that nobody can say the digest of are noted, and are no error.
    """

    def __init__(
        self,
        parts: Parts,
        policy: PullImages,
        surveyor: Surveyor,
        *,
        kept: Mapping[Reference, LockedImage],
        expected: Mapping[Reference, LockedImage],
        tolerant: bool = False,
    ) -> None:
        self.found: dict[Platform, Found] = {}
        self._parts = parts
        self._policy = policy
        self._surveyor = surveyor
        self._kept = dict(kept)
        self._expected = expected
        self._tolerant = tolerant

    def pack(self, request: PackRequest) -> Packed:
        """Find the images, and ask their registries what they are.

        Raises: DiscoveryError, PackingError; RegistryError, CredentialsError; StoreError.
        """
        made = _files(self._parts, request.made)
        whole = _files(self._parts, (*map(StackedLayer, request.base), *request.made))
        survey = self._surveyor.survey(request, whole)
        lost: list[Reference] = []
        images = self._lock_images(survey, request.platform, lost)
        charts = read_charts(made, survey.findings.charts)
        self.found[request.platform] = Found(tuple(images), charts, tuple(lost))
        # For the next platform a name is what it is for this one.
        self._kept |= {one.name: one for one in images}
        skipped = len(survey.findings.left_names)
        return Packed(images=tuple(map(str, survey.images)), warnings=survey.warnings, skipped=skipped)

    def _lock_images(self, survey: Survey, platform: Platform, lost: list[Reference]) -> list[LockedImage]:
        with ExitStack() as stack:
            fetcher = open_fetcher(self._parts, self._policy, platform, survey.sections, stack)
            unkept = [image for image in survey.images if image not in self._kept]
            loaded = load_archives(self._surveyor.context, survey.archived, self._parts.shelf)
            asked = [image for image in unkept if image not in loaded]
            resolved = loaded | self._resolve(asked, fetcher, lost)
            listed = fetcher.list_manifests(resolved)
        found = {image: LockedImage(image, digest, listed[image]) for image, digest in resolved.items()}
        known = {**self._kept, **found}
        return [known[image] for image in survey.images if image in known]

    def _resolve(self, images: Sequence[Reference], fetcher: Fetcher, lost: list[Reference]) -> dict[Reference, Digest]:
        names = Names(self._parts.memory)
        if self._tolerant and self._policy == "never":
            known = resolve_known(images, self._policy, names, {})
            lost += [image for image in images if image not in known]
            return known

        def ask(unknown: Sequence[Reference], _: object) -> dict[Reference, Digest]:
            def remembered(image: Reference) -> Digest | None:
                return self._expected[image].digest if image in self._expected else names.get(image)

            return fetcher.resolve(unknown, remembered, lost.append if self._tolerant else None)

        return resolve_images(images, self._policy, names, {}, ask)


class LockChecker:
    """An `ImagePacker` for a build that packs nothing, and that goes by a lock all the same."""

    def __init__(self, parts: Parts, lock: Lock, surveyor: Surveyor, packer: ImagePacker) -> None:
        self._parts = parts
        self._lock = lock
        self._surveyor = surveyor
        self._packer = packer

    def pack(self, request: PackRequest) -> Packed:
        """Hold what the new layers name against the lock.

        Raises: LockStaleError; DiscoveryError, CredentialsError; StoreError.
        """
        whole = _files(self._parts, (*map(StackedLayer, request.base), *request.made))
        check_survey(self._lock, request, self._surveyor.survey(request, whole), self._parts)
        return self._packer.pack(request)


def check_survey(lock: Lock, request: PackRequest, survey: Survey, parts: Parts) -> dict[Reference, LockedImage]:
    """Hold what a build names against the lock, and return the entry of each image.

    Raises: LockStaleError with all that differs.
    """
    own = lock.for_platform(request.platform)
    if not own.platforms:
        raise stale(
            [Drift("platform", str(request.platform), "new")], "lock it for that one too: kubeimage lock --platform"
        )
    drifts = compare_names("image", own.images, map(str, survey.images))
    if own.charts or survey.findings.charts:
        charts = read_charts(_files(parts, request.made), survey.findings.charts)
        drifts += compare_entries("chart", own.charts, charts)
    entries = {one.name: one for one in own.images}
    drifts += [drift for one in own.images for drift in _check_pinned(one)]
    if drifts:
        raise stale(drifts)
    return entries


def _check_pinned(entry: LockedImage) -> list[Drift]:
    """Return whether an entry has another digest than its name says."""
    if entry.name.digest in (None, entry.digest):
        return []
    return [Drift("image", entry.key, "changed", str(entry.digest), str(entry.name.digest))]


def check_manifests(
    entries: Mapping[Reference, LockedImage], found: Mapping[Reference, Digest], platform: Platform
) -> None:
    """Hold the manifests for a platform that the locked digests lead to against those in the lock.

    Raises: LockStaleError with all that differ.
    """
    drifts = []
    for image, digest in found.items():
        wanted = entries[image].manifest_for(platform)
        if wanted != digest:
            drifts.append(Drift("image", f"{image} for {platform}", "changed", str(wanted or "nothing"), str(digest)))
    if drifts:
        raise stale(drifts)


def check_loaded(entries: Mapping[Reference, LockedImage], loaded: Mapping[Reference, Digest]) -> None:
    """Hold images that were loaded from archives against those in the lock, where there is one.

    Raises: LockStaleError with all that differ.
    """
    drifts = [
        Drift("image", str(image), "changed", str(entries[image].digest), str(digest))
        for image, digest in sorted(loaded.items(), key=str)
        if image in entries and entries[image].digest != digest
    ]
    if drifts:
        raise stale(drifts)


def stale(drifts: Sequence[Drift], hint: str = RELOCK) -> LockStaleError:
    """Return the error that says how a project differs from its lock."""
    return LockStaleError(list(map(str, drifts)), hint=hint)


def read_charts(files: LayerFiles, identities: Sequence[str]) -> tuple[LockedChart, ...]:
    """Return the charts that were looked into, sorted by their places.

    Raises: StoreError.
    """
    found = {}
    for identity in identities:
        path, _, digest = identity.rpartition(" ")
        try:
            name, version = _describe(files, path)
            found[path] = LockedChart(path, name, version, Digest.parse(digest))
        except DigestFormatError:
            continue
    return tuple(found[path] for path in sorted(found))


def _describe(files: LayerFiles, path: str) -> tuple[str, str]:
    """Return name and version of a chart, empty where it does not say."""
    from kubeimage.discovery.chartarchive import read_archive
    from kubeimage.discovery.charts import CHART_FILE, Chart

    own = f"{path}/{CHART_FILE}"
    is_folder = own in files.tree
    if not is_folder and path not in files.tree:
        # It was found in the build context, and no layer has it.
        return "", ""
    data = dict(files.read([own if is_folder else path]))
    try:
        chart = Chart(path, {CHART_FILE: data[own]}) if is_folder else read_archive(data[path], path)
        description = chart.description
    except KubeimageError:
        return "", ""
    return _text(description.get("name")), _text(description.get("version"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _files(parts: Parts, layers: Sequence[StackedLayer]) -> LayerFiles:
    from kubeimage.packing.files import LayerFiles

    return LayerFiles(parts.layers, layers)


__all__ = [
    "MORE_PLATFORMS",
    "RELOCK",
    "Found",
    "ImageLocker",
    "LockChecker",
    "check_loaded",
    "check_manifests",
    "check_survey",
    "read_charts",
    "stale",
]
