"""Where signatures lie, whatever that is: found by the digest of what they are of, and added there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from kubeimage.errors import KubeimageError, RegistryContentError, SignatureError
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor
from kubeimage.image.referrers import Referrer, ReferrerChoice, cosign_tag
from kubeimage.image.referring import Referrers
from kubeimage.signing import bundle
from kubeimage.signing.found import Found, Subjects
from kubeimage.signing.keys import PrivateKey
from kubeimage.signing.payload import MEDIA_TYPE, Claim, make_payload
from kubeimage.signing.sigtag import Artifact, add_signature, read_sig_manifest

SIGNATURES = ReferrerChoice(("signature",))
"""Of what refers to an image, that which may be a signature."""

MOST_BYTES = 64 << 20
"""Of payloads and bundles that are read for one image."""

_TRIES = 20
_OF_COSIGN = (MEDIA_TYPE, "application/vnd.dev.cosign.artifact.sig.v1+json")


class WritablePlace(Protocol):
    """A place that signatures can be added to."""

    @property
    def referrers(self) -> Referrers:
        """What is there already."""
        ...

    def put_signatures(self, subject: Digest, artifact: Artifact, before: bytes | None) -> None:
        """Put cosign's manifest of the signatures of an image in the place of the one ``before``, if it is there.

        Raises: RegistryError; RegistryContentError where something else is there; StoreError.
        """
        ...


def find_signatures(place: Referrers, subjects: Subjects) -> list[Found]:
    """Return all signatures of any of ``subjects``.

    Raises: RegistryError, StoreError.
    """
    found: list[Found] = []
    read_blob = _Reader(place).read_blob
    for subject in subjects.documents:
        for referrer in place.list_referrers(subject):
            if is_of_cosign(referrer):
                found += read_sig_manifest(place.read_manifest(referrer.digest), read_blob)
            elif referrer.artifact_type in bundle.MEDIA_TYPES:
                data = place.read_manifest(referrer.digest)
                found += bundle.read_bundle_manifest(data, subjects, read_blob)
    return found


class _Reader:
    """Reads blobs of a place, until these are too much to be meant: whoever serves them may be anybody."""

    def __init__(self, place: Referrers) -> None:
        self._place = place
        self._left = MOST_BYTES

    def read_blob(self, blob: Descriptor) -> bytes:
        """Return a blob.

        Raises: ValueError for too much; as the place's own.
        """
        self._left -= blob.size
        if self._left < 0:
            raise ValueError(f"the signatures of one image have more than {MOST_BYTES >> 20} MiB")
        return self._place.read_blob(blob)


def find_in_any(places: Iterable[Referrers], subjects: Subjects) -> list[Found]:
    """Return the signatures of several places; one that cannot be asked is passed over, as long as another can.

    Raises: what the last of them raises, where none can be asked.
    """
    found: list[Found] = []
    failed: KubeimageError | None = None
    asked = False
    for place in places:
        try:
            found += find_signatures(place, subjects)
            asked = True
        except KubeimageError as error:
            failed = error
    if failed is not None and not asked:
        raise failed
    return found


def sign(place: WritablePlace, subject: Digest, identity: str, key: PrivateKey) -> bool:
    """Add a signature to those of an image; return whether there was none like it.

    A registry has no way to add to what is there: whether another signer came in between is looked at afterwards.
    Raises: SignatureError where others do so again and again; RegistryError, StoreError.
    """
    payload = make_payload(Claim(subject, identity))
    there = place.referrers
    before = _read_signatures(there, subject)
    if _has(before, payload, key, there):
        return False
    signature = key.sign(payload)
    for _ in range(_TRIES):
        # Where somebody else has signed meanwhile, nothing is put.
        with suppress(RegistryContentError):
            place.put_signatures(subject, add_signature(before, payload, signature, there.read_blob), before)
        before = _read_signatures(there, subject)
        if _has(before, payload, key, there):
            return True
    raise SignatureError(
        f"{subject} is signed by others again and again, and no signature stays: {_TRIES} times tried",
        hint="sign once the others are done",
    )


def is_of_cosign(referrer: Referrer) -> bool:
    """Whether an artefact is cosign's manifest of signatures, found by its tag or by its type."""
    return referrer.tag == cosign_tag(referrer.subject, "sig") or referrer.artifact_type in _OF_COSIGN


def _read_signatures(place: Referrers, subject: Digest) -> bytes | None:
    tag = cosign_tag(subject, "sig")
    found = next((one for one in place.list_referrers(subject) if one.tag == tag), None)
    return place.read_manifest(found.digest) if found is not None else None


def _has(data: bytes | None, payload: bytes, key: PrivateKey, place: Referrers) -> bool:
    found: Sequence[Found] = read_sig_manifest(data, place.read_blob) if data is not None else ()
    return any(one.signed == payload and key.public.verifies(payload, one.signature) for one in found)
