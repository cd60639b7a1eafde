"""What there is to pack: the images that new layers and the list with credentials name, and what warns of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from kubeimage.discovery.findings import Findings, joined
from kubeimage.discovery.imagelist import ARCHIVE_RULE
from kubeimage.discovery.search import Search
from kubeimage.errors import DiscoveryError
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Kind
from kubeimage.packing.memory import Memory
from kubeimage.packing.search import find_and_remember, find_in_context_and_remember, find_strays_and_remember
from kubeimage.protocols.layers import LayerStore
from kubeimage.protocols.packing import PackRequest
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.packing.authlist import Section
    from kubeimage.packing.files import LayerFiles


@dataclass(frozen=True)
class Survey:
    """What there is to pack. Shape: ``images`` are sorted; ``metadata`` is what the rootfs says of itself."""

    images: tuple[Reference, ...]
    findings: Findings
    metadata: Mapping[str, object]
    sections: Sequence[Section]
    warnings: tuple[str, ...]

    @property
    def archived(self) -> frozenset[Reference]:
        """The images that a list of archives names."""
        return frozenset(found.image for found in self.findings.found if found.rule == ARCHIVE_RULE)


@dataclass(frozen=True)
class Surveyor:
    """Finds what there is to pack of one build.

    Shape: ``context`` is the build context, for its ``imageListWithAuth.yaml``.
    """

    layers: LayerStore
    memory: Memory
    search: Search
    context: str

    def survey(self, request: PackRequest, files: LayerFiles) -> Survey:
        """Find the images that the new layers name; ``files`` are those of all layers.

        Raises: DiscoveryError, CredentialsError; StoreError.
        """
        from kubeimage.packing.authlist import read_auth_list
        from kubeimage.packing.record import METADATA, check_kube_versions, cluster_version, read_metadata

        sections = read_auth_list(self.context)
        metadata = read_metadata(read_file(METADATA, files))
        cluster = cluster_version(metadata)
        findings = find_and_remember(self.layers, request.made, self.search, self.memory, cluster)
        if self.search.whole_context:
            more = find_in_context_and_remember(self.context, self.search, self.memory, cluster)
            findings = joined(findings, more)
        findings.check()
        if self.search.guesses == "error":
            _refuse_guesses(findings)
        check_kube_versions(findings.kube_versions, cluster)
        listed = {image for section in sections for image in section.images if self._wants(image)}
        images = tuple(sorted({*findings.images, *listed}, key=str))
        warnings = (*_warnings(findings, images, cluster), *self._warn_of_strays(request, {*images}))
        return Survey(images, findings, metadata, sections, warnings)

    def _wants(self, image: Reference) -> bool:
        return self.search.choice.ignores(image) is None

    def _warn_of_strays(self, request: PackRequest, packed: set[Reference]) -> Iterator[str]:
        """Report images that stay behind, because the YAML that names them is not looked into."""
        strays = find_strays_and_remember(self.layers, request.made, self.search, self.memory)
        images = {image for found in strays.values() for image in found} - {str(image) for image in packed}
        if images:
            are = "image is" if len(images) == 1 else "images are"
            yield (
                f"{len(images)} {are} named outside manifests/ and charts/, by {', '.join(sorted(strays)[:3])}, "
                "and left behind: --discover DIR looks into other folders"
            )


def read_file(path: str, files: LayerFiles) -> bytes | None:
    """Return the content of a small file, None where there is none.

    Raises: StoreError.
    """
    entry = files.tree.get(path)
    if entry is None or entry.kind is not Kind.FILE:
        return None
    return dict(files.read([path])).get(path)


def _refuse_guesses(findings: Findings) -> None:
    """Refuse what is only a guess.

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
