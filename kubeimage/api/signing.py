"""Sign images, and say who has signed them: our own, others where they lie, and what is packed in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kubeimage.api.airgap import Verification, verify_image
from kubeimage.api.backends import Backends
from kubeimage.api.distribution import wire_form
from kubeimage.api.finding import ImageName, find_image
from kubeimage.api.signplaces import RepositoryPlace, StorePlace, open_repository
from kubeimage.api.trusting import locate, name_elsewhere
from kubeimage.errors import UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import PACKED_KIND
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.trust import IdentityRule
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.naming import read_record
from kubeimage.packing.signatures import read_packed
from kubeimage.protocols.transfer import WireForm
from kubeimage.signing.found import Subjects
from kubeimage.signing.judging import Identity, Verdict, judge_all
from kubeimage.signing.keys import read_passphrase, read_private_key, read_public_key
from kubeimage.signing.places import find_in_any, sign
from kubeimage.signing.policy import reasons
from kubeimage.sources.names import is_source_name, parse_source_name
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.image.referring import Referrers
    from kubeimage.signing.keys import PrivateKey, PublicKey


@dataclass(frozen=True)
class Signed:
    """What was signed.

    Shape: ``identity`` is the name that the signatures have. ``digests`` are those of the manifests and indexes that
           are signed now; ``added`` are those of them that were not before.
    """

    identity: str
    digests: tuple[Digest, ...]
    added: tuple[Digest, ...]


def sign_image(
    name: str | Reference,
    key: str,
    backends: Backends,
    *,
    passphrase: str | None = None,
    identity: str | None = None,
    recursive: bool = False,
) -> Signed:
    """Sign an image of the store, or one in a registry (``docker://HOST/NAME``), as cosign does with a key.

    Shape:  ``key`` is a file with a private key in PKCS#8 PEM; ``passphrase`` says where its pass phrase is, as
            ``env:NAME`` or ``file:PATH``. ``identity`` is the name to sign for, else the image's own.
            With ``recursive``, the manifests of an index are signed as well as the index.
            An image that was built here is signed in two forms: as the store has it, and as it is pushed.
    Raises: UsageError for a key that cannot be used, or an image that lies in a file; ImageNotFoundError;
            SignatureError where something else lies where signatures do; RegistryError, CredentialsError, StoreError.
    """
    secret = read_passphrase(passphrase, "--passphrase") if passphrase is not None else None
    private = read_private_key(key, "--key", secret)
    if isinstance(name, str) and is_source_name(name):
        return _sign_remote(name, backends, private, identity, recursive=recursive)
    return _sign_stored(name, backends, private, identity, recursive=recursive)


def _sign_remote(name: str, backends: Backends, key: PrivateKey, identity: str | None, *, recursive: bool) -> Signed:
    if parse_source_name(name).transport != "docker":
        raise UsageError(
            f"{name!r} is signed nowhere: signatures are added in the store and in registries",
            hint="kubeimage load it, sign it there, and save it with --referrers all",
        )
    with open_repository(name, backends) as (reference, repository):
        data, top = repository.get_manifest(reference.digest or reference.tag)
        place = RepositoryPlace(repository)
        wanted = [top, *place.children(data)] if recursive else [top]
        said = identity or _claimed(reference)
        added = [one for one in wanted if sign(place, one, said, key)]
    return Signed(said, tuple(wanted), tuple(added))


def _sign_stored(
    name: str | Reference, backends: Backends, key: PrivateKey, identity: str | None, *, recursive: bool
) -> Signed:
    store = backends.store_on_disk("write")
    image, reference = find_image(name, backends)
    if reference is None and identity is None:
        raise UsageError(
            "an image without a name is signed for nobody", hint="name it: kubeimage tag; or say for which: --identity"
        )
    said = identity or _claimed(reference)
    own = store.exporter.depart(reference or image.manifest_digest, WireForm()).finish()
    # By its digest: the name may lead elsewhere by now.
    pushed = store.exporter.depart(own.top.digest, wire_form()).finish()
    inner = [one.descriptor.digest for wire in (own, pushed) for one in wire.manifests] if recursive else []
    wanted = tuple(dict.fromkeys([own.top.digest, pushed.top.digest, *inner]))
    place = StorePlace(store.referrers, own.top.digest)
    return Signed(said, wanted, tuple(one for one in wanted if sign(place, one, said, key)))


def _claimed(reference: Reference | None) -> str:
    """Return the name that a signature has: with the tag, and without a digest, which stands beside it."""
    assert reference is not None
    return f"{reference.domain}/{reference.repository}{f':{reference.tag}' if reference.tag else ''}"


@dataclass(frozen=True)
class CheckedImage:
    """Who has signed one image.

    Shape: ``name`` is as it was asked for, or as it is packed; ``packed_in`` is the image that it is packed in, None
           for one that was asked for. ``digest`` is of what the name leads to, None where that is missing.
           ``verdicts`` are on each signature that was found.
    """

    name: str
    packed_in: str | None
    digest: Digest | None
    verdicts: tuple[Verdict, ...]

    @property
    def signers(self) -> tuple[Verdict, ...]:
        """The signatures that count."""
        return tuple(one for one in self.verdicts if one.key is not None)

    @property
    def reason(self) -> str:
        """Why a signature that was found does not count, or that there is none."""
        return reasons(self.verdicts)

    @property
    def is_signed(self) -> bool:
        """Whether one of the keys has signed it."""
        return bool(self.signers)


@dataclass(frozen=True)
class SignatureCheck:
    """Who has signed an image and what is packed in it, and whether that is whole.

    Shape: ``images`` begins with the image itself. ``proof`` is None where nothing is packed.
    """

    images: tuple[CheckedImage, ...]
    proof: Verification | None

    @property
    def holds(self) -> bool:
        """Whether all are signed, and whole: a signature of a manifest says nothing of a blob that is missing."""
        return all(one.is_signed for one in self.images) and (self.proof is None or self.proof.holds)


def verify_signatures(
    name: ImageName,
    keys: Sequence[str],
    backends: Backends,
    *,
    identity: IdentityRule = "repository",
    platform: Platform | None = None,
) -> SignatureCheck:
    """Return who has signed an image and each container image that is packed in it, and whether that is whole.

    Shape:  ``keys`` are files with public keys in PEM. ``identity`` says for which names signatures may be.
            Only the registry of a ``docker://`` image is asked anything.
    Raises: UsageError for a key that cannot be used; ImageNotFoundError, PlatformMismatchError; ArchiveError,
            RegistryError, CredentialsError; DiscoveryError, PackingError, StoreError.
    """
    public = [read_public_key(path, "--key") for path in keys]
    backends.require("read")
    image, reference = find_image(name, backends, platform=platform)
    shown = str(reference) if reference is not None else image.id.short if isinstance(name, Image) else str(name)
    subjects, places = locate(image, reference, backends)
    named = reference if reference is not None else name_elsewhere(name)
    verdicts = _judged(subjects, places, public, Identity(named, identity))
    own = CheckedImage(shown, None, next(iter(subjects.documents)), verdicts)
    files = _files_of(image, backends)
    if files is None:
        return SignatureCheck((own,), None)
    packed = _check_packed(shown, image, files, public, identity)
    return SignatureCheck((own, *packed), verify_image(image, backends))


def _judged(
    subjects: Subjects, places: Sequence[Referrers], keys: Sequence[PublicKey], identity: Identity
) -> tuple[Verdict, ...]:
    return judge_all(find_in_any(places, subjects), keys, subjects, identity)


def _check_packed(
    name: str, image: Image, files: LayerFiles, keys: Sequence[PublicKey], identity: IdentityRule
) -> list[CheckedImage]:
    checked = []
    for one in read_packed(files, read_record(files).images, image.platform):
        verdicts = _judged(Subjects.of(*one.documents), [one.referrers], keys, Identity(one.image, identity))
        checked.append(CheckedImage(str(one.image), name, one.top, verdicts))
    return checked


def _files_of(image: Image, backends: Backends) -> LayerFiles | None:
    """Return the files of an image, None for one in which nothing is packed, so that none of it need be fetched."""
    if not any(one.kind == PACKED_KIND for one in image.layers):
        return None
    return LayerFiles(backends.contents_of(image), [StackedLayer(one.diff_id) for one in image.layers])


__all__ = ["CheckedImage", "SignatureCheck", "Signed", "sign_image", "verify_signatures"]
