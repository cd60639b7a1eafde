"""One signature, some keys and an image: signed by whom, or why not.

What a signature says is looked at only once a key has made it. Then its digest must be that of the image's manifest,
or of the index that the manifest was chosen from, and its name must be one of the image's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kubeimage.errors import KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Naming, Reference
from kubeimage.image.trust import IdentityRule, canonical_name
from kubeimage.signing.found import Form, Found, Subjects
from kubeimage.signing.keys import PublicKey
from kubeimage.values import dataclass

_HUB = Naming("docker.io", "library")

NOT_CHECKED = "not checked: no key; a certificate made it, and nobody asks Fulcio or Rekor here"


@dataclass(frozen=True)
class Identity:
    """Which names a signature may have been made for.

    Shape: ``rule`` ``repository``: a name must be of the image's repository, and its tag, if it has one, the image's;
           no name is as good. ``exact``: there must be a name, the image's, with its tag. ``any``: none is looked at.
           ``image`` None stands for an image without a name, whose signatures may be for any.
    """

    image: Reference | None
    rule: IdentityRule = "repository"

    def takes(self, claimed: str) -> bool:
        """Whether a signature for the name ``claimed`` is one for the image."""
        if self.rule == "any" or self.image is None:
            return True
        if not claimed:
            return self.rule == "repository"
        try:
            found = _HUB.parse(claimed)
        except KubeimageError:
            return False
        if canonical_name(found) != canonical_name(self.image):
            return False
        tag = found.tag if ":" in claimed.partition("@")[0].rpartition("/")[2] else ""
        if not self.image.tag:
            return True
        return tag == self.image.tag or (self.rule == "repository" and not tag)


@dataclass(frozen=True)
class Verdict:
    """What became of one signature.

    Shape: ``key`` is whose it is, None where it does not count; then ``reason`` says why.
           ``digest`` is that of the manifest that is signed, and ``identity`` the name that the signature has.
    """

    form: Form
    key: PublicKey | None = None
    digest: Digest | None = None
    identity: str = ""
    reason: str = ""


def judge(found: Found, keys: Iterable[PublicKey], subjects: Subjects, identity: Identity) -> Verdict:
    """Return whose signature it is, or why it does not count."""
    if found.problem or found.claim is None:
        reason = NOT_CHECKED if found.has_certificate else f"it cannot be read: {found.problem}"
        return Verdict(found.form, reason=reason)
    digest = found.claim.digest
    signed = found.signed if found.signed is not None else subjects.documents.get(digest)
    if signed is None:
        return Verdict(found.form, reason=f"it is for another image, {digest}")
    key = next((one for one in keys if one.verifies(signed, found.signature)), None)
    if key is None:
        hint = f" ({found.signer})" if found.signer else ""
        return Verdict(found.form, reason=NOT_CHECKED if found.has_certificate else f"it is by another key{hint}")
    if digest not in subjects.documents:
        return Verdict(found.form, reason=f"it is for another image, {digest}")
    if not identity.takes(found.claim.identity):
        said = found.claim.identity or "no name"
        return Verdict(found.form, reason=f"it is for {said}, not for {identity.image}")
    return Verdict(found.form, key, digest, found.claim.identity)


def judge_all(
    found: Sequence[Found], keys: Sequence[PublicKey], subjects: Subjects, identity: Identity
) -> tuple[Verdict, ...]:
    """Return a verdict on each signature."""
    return tuple(judge(one, keys, subjects, identity) for one in found)
