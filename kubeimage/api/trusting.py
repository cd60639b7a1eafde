"""The policy of the configuration file, held against images that are loaded, built on, or verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName
from kubeimage.archive.ociarchive import INDEX, Incoming
from kubeimage.errors import BlobCorruptError, KubeimageError, TrustError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor, Index, leaves, parse_document
from kubeimage.image.reference import Reference
from kubeimage.image.trust import TrustPolicy
from kubeimage.packing.naming import read_record
from kubeimage.packing.signatures import read_packed
from kubeimage.protocols.transfer import WireForm, WireImage
from kubeimage.signing.found import Subjects
from kubeimage.signing.places import find_signatures
from kubeimage.signing.policy import FindSignatures, check_top, check_trust
from kubeimage.sources.names import is_source_name, parse_source_name

if TYPE_CHECKING:
    from kubeimage.archive.members import MemberFiles
    from kubeimage.image.referring import Referrers
    from kubeimage.packing.files import LayerFiles
    from kubeimage.signing.found import Found
    from kubeimage.sources.layoutreferrers import LayoutReferrers
    from kubeimage.sources.opened import Opened
    from kubeimage.store import Store

_BAD = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


def name_elsewhere(name: ImageName) -> Reference | None:
    """Return the name that a registry's image has; one in a file may be called anything."""
    from kubeimage.sources.remote import parse_remote_name

    if not isinstance(name, str) or not is_source_name(name):
        return None
    parsed = parse_source_name(name)
    return parse_remote_name(parsed.name) if parsed.transport == "docker" else None


def check_brought(name: str, opened: Opened, image: WireImage, backends: Backends) -> None:
    """Hold the policy against an image from elsewhere, before any of its layers is read.

    Shape:  ``image`` is all that is brought: what ``opened`` found, or the index that it was chosen from with the rest.
    Raises: TrustError; UsageError for a key that cannot be read.
    """
    if image.data not in (opened.top, opened.data):
        raise TrustError(f"{name} is another image by now than when it was looked at", hint="do it again")
    finders = [partial(find_signatures, one) for one in opened.source.referrers()]
    chosen = [one.data for one in image.manifests]
    check_top(backends.trust, name_elsewhere(name), opened.top, chosen, finders)


def check_base(image: Image, reference: Reference | None, backends: Backends, *, ask: bool) -> None:
    """Hold the policy against an image that a build stands on or takes from.

    Shape:  with ``ask``, its registry is asked for signatures that the store does not have.
    Raises: TrustError; UsageError for a key that cannot be read; StoreError.
    """
    if backends.store is None:
        return
    subjects, places = locate(image, reference, backends)
    finders: list[FindSignatures] = [partial(find_signatures, one) for one in places]
    if ask and reference is not None:
        finders.append(partial(_find_in_registry, reference, backends))
    check_trust(backends.trust, reference, subjects, finders)


def locate(image: Image, reference: Reference | None, backends: Backends) -> tuple[Subjects, Sequence[Referrers]]:
    """Return the manifests of an image that was found, and the places where its signatures may lie.

    Raises: StoreError, RegistryError, ArchiveError.
    """
    opened = backends.sources.find(image) if backends.sources is not None else None
    if opened is not None:
        return Subjects.of(opened.top, opened.data), opened.source.referrers()
    if backends.store is None:
        return Subjects.of(image.manifest.to_bytes()), []
    store = backends.store_on_disk("read")
    wire = store.exporter.depart(reference or image.manifest_digest, WireForm()).finish()
    documents = {one.descriptor.digest: one.data for one in wire.manifests}
    if image.manifest_digest not in documents:
        # The name has moved since it was looked up.
        wire = store.exporter.depart(image.manifest_digest, WireForm()).finish()
        documents = {one.descriptor.digest: one.data for one in wire.manifests}
    return Subjects.of(wire.data, documents[image.manifest_digest]), [store.referrers]


def check_loaded(
    archives: Sequence[MemberFiles],
    incoming: Sequence[Incoming],
    manifests: Mapping[Digest, bytes],
    store: Store,
    policy: TrustPolicy,
) -> None:
    """Hold the policy against images that were taken in, before they are shown.

    Shape:  ``manifests`` are all that came with them.
    Raises: TrustError; UsageError for a key that cannot be read.
    """
    finders: list[FindSignatures] = [partial(find_signatures, store.referrers)]
    finders += [partial(find_signatures, one) for one in map(_referrers_in, archives)]
    for one in incoming:
        chosen = _chosen(one.data, manifests)
        for name in one.references or (None,):
            check_top(policy, name, one.data, chosen, finders)


def find_untrusted(image: Image, reference: Reference | None, files: LayerFiles, backends: Backends) -> tuple[str, ...]:
    """Return what the policy has against an image, and against each that is packed in it.

    Raises: UsageError for a key that cannot be read; StoreError, PackingError.
    """
    if backends.store is None:
        return ()
    said = []
    subjects, places = locate(image, reference, backends)
    packed = read_packed(files, read_record(files).images, image.platform)
    checks: list[tuple[Reference | None, Subjects, Sequence[Referrers]]] = [(reference, subjects, places)]
    checks += [(one.image, Subjects.of(*one.documents), [one.referrers]) for one in packed]
    for name, documents, where in checks:
        finders = [partial(find_signatures, one) for one in where]
        try:
            check_trust(backends.trust, name, documents, finders)
        except KubeimageError as error:
            said.append(f"{error.message} ({error.hint})")
    return tuple(said)


def _find_in_registry(reference: Reference, backends: Backends, subjects: Subjects) -> Sequence[Found]:
    from kubeimage.registry.registries import Registries
    from kubeimage.registry.trusting import finders_at

    with Registries(backends.known_settings()) as registries:
        return [found for find in finders_at(registries.sources(reference)) for found in find(subjects)]


def _referrers_in(members: MemberFiles) -> LayoutReferrers:
    from kubeimage.sources.layoutreferrers import LayoutReferrers

    def read(blob: Descriptor) -> bytes:
        data = members.read(f"blobs/sha256/{blob.digest.hex}")
        if Digest.of(data) != blob.digest:
            raise BlobCorruptError(f"the blob {blob.digest} in the archive is damaged")
        return data

    listed = Index.from_bytes(members.read(INDEX)).manifests if INDEX in members else ()
    return LayoutReferrers("the archive", listed, read)


def _chosen(top: bytes, manifests: Mapping[Digest, bytes]) -> list[bytes]:
    """Return the manifests that an index lists and that came with it."""
    document = parse_document(top)
    if not isinstance(document, Index):
        return []

    def read_inner(listed: Descriptor) -> Index | None:
        try:
            return Index.from_bytes(manifests[listed.digest])
        except _BAD:
            return None

    return [manifests[one.digest] for one in leaves(document, read_inner) if one.digest in manifests]
