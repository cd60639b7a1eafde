"""The proof that images are whole in a rootfs: name -> tag -> manifest -> config -> every blob.

All that is wrong is told at once. The digests are those of the bytes as they stand in the layers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from kubeimage.errors import DigestFormatError, KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import LARGEST_DOCUMENT, Descriptor, Index, Manifest, parse_document, platform_from_json
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import Artifact, cosign_tags, fallback_tag
from kubeimage.image.referring import DEEPEST
from kubeimage.layer.entry import Entry, Kind
from kubeimage.packing.layout import blob_path, choose_manifest, layer_path, revision_path, tag_path

T = TypeVar("T")
_BAD_DOCUMENT = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


class Flaw(NamedTuple):
    """Something that is not whole. Shape: ``where`` is a path in the image, ``what`` says what is wrong with it."""

    image: Reference
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.image}: {self.what} ({self.where})"


class Rootfs(Protocol):
    """What the proof reads."""

    @property
    def tree(self) -> Mapping[str, Entry]:
        """What stands at which path."""
        ...

    def read(self, paths: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """Return the contents of small files."""
        ...

    def digests(self, paths: Sequence[str]) -> Mapping[str, Digest]:
        """Return the digests of files' contents."""
        ...


class _Part(NamedTuple):
    """A blob that must be there, with the image that needs it."""

    image: Reference
    digest: Digest
    size: int | None
    what: str


def find_flaws(rootfs: Rootfs, images: Mapping[Reference, Digest | None], platform: Platform) -> tuple[Flaw, ...]:
    """Find all that keeps ``images`` from being served for ``platform``; a digest that is given must be the tag's.

    Raises: BlobNotFoundError, LayerFormatError where a layer itself cannot be read.
    """
    return _Proof(rootfs, platform).run(images)


def find_stand_ins(named: Iterable[Reference], recorded: Mapping[Reference, Digest]) -> tuple[Flaw, ...]:
    """Find the images that are named and were not packed, and in whose stead one of another registry would answer.

    The image's registry knows no hosts: only the record of what was packed tells such two apart.
    """
    packed = {(one.repository, one.tag): one for one in sorted(recorded, key=str) if one.tag}
    flaws = []
    for image in named:
        other = packed.get((image.repository, image.tag))
        if image in recorded or other is None or image.digest == recorded[other]:
            continue
        flaws.append(Flaw(image, tag_path(image), f"it is not in the image's registry: {other} would answer for it"))
    return tuple(flaws)


class _Proof:
    """Goes from names to blobs in steps, so that each layer is read a few times and not once an image."""

    def __init__(self, rootfs: Rootfs, platform: Platform) -> None:
        self._rootfs = rootfs
        self._platform = platform
        self._flaws: list[Flaw] = []
        self._parts: list[_Part] = []
        self._links: list[tuple[Reference, str, Digest]] = []
        self._documents: dict[Digest, bytes] = {}

    def run(self, images: Mapping[Reference, Digest | None]) -> tuple[Flaw, ...]:
        tops = self._read_tags(images)
        self._load(tops.values())
        manifests: dict[Reference, tuple[Digest, Manifest]] = {}
        children: dict[Reference, Descriptor] = {}
        for image, digest in tops.items():
            document = self._take_manifest(image, digest)
            if isinstance(document, Index):
                child = self._choose(image, digest, document)
                if child is not None:
                    children[image] = child
            elif document is not None:
                manifests[image] = digest, document
        self._load(child.digest for child in children.values())
        for image, child in children.items():
            document = self._take_manifest(image, child.digest)
            if isinstance(document, Manifest):
                manifests[image] = child.digest, document
            elif document is not None:
                self._add(image, blob_path(child.digest), f"the index names an index, {child.digest}")
        self._load(manifest.config.digest for _, manifest in manifests.values())
        for image, (_, manifest) in manifests.items():
            self._take_blobs(image, manifest)
        chosen = {image: digest for image, (digest, _) in manifests.items()}
        self._take_artefacts({(image, digest) for found in (tops, chosen) for image, digest in found.items()})
        self._check_links()
        self._check_bytes()
        return tuple(sorted(set(self._flaws), key=lambda flaw: (str(flaw.image), flaw.where, flaw.what)))

    def _read_tags(self, images: Mapping[Reference, Digest | None]) -> dict[Reference, Digest]:
        links = {image: tag_path(image) for image in images if image.tag}
        contents = dict(self._rootfs.read([path for path in links.values() if self._is_file(path)]))
        tops: dict[Reference, Digest] = {}
        for image, wanted in images.items():
            pinned = image.digest or wanted
            path = links.get(image)
            found = self._read_link(image, path, contents) if path is not None else None
            if path is not None and found is not None and pinned is not None and found != pinned:
                self._add(image, path, f"its tag leads to {found}, not to {pinned}")
            digest = pinned or found
            if digest is not None:
                tops[image] = digest
                self._expect_link(image, revision_path(image, digest), digest)
        return tops

    def _read_link(self, image: Reference, path: str, contents: Mapping[str, bytes]) -> Digest | None:
        data = contents.get(path)
        if data is None:
            self._add(image, path, "it is not in the image's registry: the tag is missing")
            return None
        try:
            return Digest.parse(data.decode("ascii", "replace").strip())
        except DigestFormatError:
            self._add(image, path, "its tag leads nowhere: the link is damaged")
            return None

    def _expect_link(self, image: Reference, path: str, digest: Digest) -> None:
        self._links.append((image, path, digest))

    def _load(self, digests: Iterable[Digest]) -> None:
        """Read documents, all that are wanted at once."""
        paths = {blob_path(one): one for one in digests if one not in self._documents}
        small = [path for path in paths if self._is_file(path) and self._rootfs.tree[path].size <= LARGEST_DOCUMENT]
        self._documents.update({paths[path]: data for path, data in self._rootfs.read(small)})

    def _take_manifest(self, image: Reference, digest: Digest) -> Manifest | Index | None:
        self._expect_link(image, revision_path(image, digest), digest)
        return self._take(image, digest, "manifest", parse_document)

    def _take(
        self, image: Reference, digest: Digest, what: str, parse: Callable[[bytes], T], size: int | None = None
    ) -> T | None:
        """Read a document of an image; what is wrong with its bytes is told once, as of any blob."""
        self._parts.append(_Part(image, digest, size, what))
        data = self._documents.get(digest)
        if data is None or Digest.of(data) != digest:
            return None
        try:
            return parse(data)
        except _BAD_DOCUMENT as error:
            self._add(image, blob_path(digest), f"the {what} {digest} cannot be read: {error}")
            return None

    def _choose(self, image: Reference, digest: Digest, index: Index) -> Descriptor | None:
        chosen = choose_manifest(index, self._platform)
        if chosen is None:
            self._add(image, blob_path(digest), f"the index {digest} has nothing for {self._platform}")
        return chosen

    def _take_blobs(self, image: Reference, manifest: Manifest) -> None:
        config = manifest.config
        found = self._take(image, config.digest, "config", _platform_of, config.size)
        if found is not None and not self._platform.accepts(found):
            self._add(image, blob_path(config.digest), f"it is for {found}, not for {self._platform}")
        self._expect_link(image, layer_path(image, config.digest), config.digest)
        for layer in manifest.layers:
            self._parts.append(_Part(image, layer.digest, layer.size, "layer"))
            self._expect_link(image, layer_path(image, layer.digest), layer.digest)

    def _take_artefacts(self, subjects: set[tuple[Reference, Digest]]) -> None:
        """Follow the tags of what refers to manifests, where there are any: what was put there is to be whole."""
        seen: set[tuple[Reference, Digest]] = set()
        for _ in range(DEEPEST + 1):
            seen |= subjects
            tags = {
                (image, tag): tag_path(image.with_tag(tag))
                for image, subject in subjects
                for tag in (fallback_tag(subject), *cosign_tags(subject))
            }
            there = {key: path for key, path in tags.items() if self._is_file(path)}
            contents = dict(self._rootfs.read(sorted(set(there.values()))))
            led = [(image, self._read_link(image, path, contents)) for (image, _), path in there.items()]
            found = self._take_listed({(image, digest) for image, digest in led if digest is not None})
            subjects = found - seen
            if not subjects:
                return

    def _take_listed(self, tops: set[tuple[Reference, Digest]]) -> set[tuple[Reference, Digest]]:
        """Take the manifests that tags of artefacts lead to, what those list, and all their blobs."""
        taken: set[tuple[Reference, Digest]] = set()
        waiting = tops
        while waiting:
            taken |= waiting
            self._load(digest for _, digest in waiting)
            listed: set[tuple[Reference, Digest]] = set()
            for image, digest in sorted(waiting, key=str):
                self._expect_link(image, revision_path(image, digest), digest)
                document = self._take(image, digest, "artefact", Artifact.from_bytes)
                listed |= {(image, one.digest) for one in (document.manifests if document is not None else ())}
                for blob in document.blobs if document is not None else ():
                    self._parts.append(_Part(image, blob.digest, blob.size, "artefact's blob"))
                    self._expect_link(image, layer_path(image, blob.digest), blob.digest)
            waiting = listed - taken
        return taken

    def _check_links(self) -> None:
        contents = dict(self._rootfs.read(sorted({path for _, path, _ in self._links if self._is_file(path)})))
        for image, path, digest in self._links:
            if path not in contents:
                self._add(image, path, f"the link to {digest} is missing")
            elif contents[path].strip() != str(digest).encode():
                self._add(image, path, f"the link to {digest} is damaged")

    def _check_bytes(self) -> None:
        """Find out whether every blob is there, and is what it is called; each is read once."""
        there = sorted({path for part in self._parts if self._is_file(path := blob_path(part.digest))})
        digests = self._rootfs.digests(there)
        for part in self._parts:
            path = blob_path(part.digest)
            if path not in digests:
                self._add(part.image, path, f"the {part.what} {part.digest} is missing")
                continue
            size = self._rootfs.tree[path].size
            if part.size is not None and size != part.size:
                self._add(part.image, path, f"the {part.what} {part.digest} has {size} bytes, not {part.size}")
            elif digests[path] != part.digest:
                self._add(part.image, path, f"the {part.what} {part.digest} has other bytes: they are {digests[path]}")

    def _is_file(self, path: str) -> bool:
        entry = self._rootfs.tree.get(path)
        return entry is not None and entry.kind is Kind.FILE

    def _add(self, image: Reference, where: str, what: str) -> None:
        self._flaws.append(Flaw(image, where, what))


def _platform_of(config: bytes) -> Platform:
    return platform_from_json(json.loads(config))
