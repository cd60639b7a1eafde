"""The policy held against an image that is pulled: after its manifests came, and before its contents do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from kubeimage.image.reference import Reference
from kubeimage.image.trust import TrustPolicy
from kubeimage.registry.client import Repository
from kubeimage.registry.referrers import RepositoryReferrers
from kubeimage.signing.places import SIGNATURES, find_signatures
from kubeimage.signing.policy import FindSignatures, check_top


class PullTrust:
    """What a pull is held against.

    Shape: ``places`` are where signatures may lie: the image's mirrors and its registry.
    """

    def __init__(self, policy: TrustPolicy, image: Reference, places: Sequence[Repository]) -> None:
        self._policy = policy
        self._image = image
        self._places = places
        self._chosen: list[bytes] = []

    def choose(self, manifest: bytes) -> None:
        """Note a manifest that is taken of an index."""
        self._chosen.append(manifest)

    def check(self, top: bytes) -> None:
        """Hold the policy against what the image's name led to.

        Raises: TrustError; UsageError for a key that cannot be read.
        """
        check_top(self._policy, self._image, top, self._chosen, finders_at(self._places))


def finders_at(places: Sequence[Repository]) -> list[FindSignatures]:
    """Return what finds signatures in each of several repositories."""
    return [partial(find_signatures, RepositoryReferrers(one, SIGNATURES)) for one in places]
