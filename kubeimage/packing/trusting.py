"""The policy held against container images that are packed, before anything of them is fetched.

What was found good is remembered with the signature, which is judged anew each time: without a network, and whatever
has become of the keys.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.image.trust import TrustPolicy
from kubeimage.packing.memory import Memory
from kubeimage.registry.referrers import RepositoryReferrers
from kubeimage.signing.bundle import read_bundle
from kubeimage.signing.found import Found, Subjects
from kubeimage.signing.payload import BAD, read_payload
from kubeimage.signing.places import SIGNATURES, find_in_any
from kubeimage.signing.policy import check_trust

if TYPE_CHECKING:
    from kubeimage.packing.fetch import Fetcher
    from kubeimage.registry.client import Repository

_KIND = "signatures"


def check_images(resolved: Mapping[Reference, Digest], policy: TrustPolicy, fetcher: Fetcher, memory: Memory) -> None:
    """Hold the policy against images that are to be packed.

    Raises: TrustError; UsageError for a key that cannot be read; RegistryError, PackingError, StoreError.
    """
    if resolved:
        fetcher.check(resolved, partial(_check, policy, memory))


def _check(
    policy: TrustPolicy, memory: Memory, image: Reference, documents: Sequence[bytes], places: Sequence[Repository]
) -> None:
    fresh: list[Found] = []

    def ask(subjects: Subjects) -> list[Found]:
        fresh.extend(find_in_any([RepositoryReferrers(one, SIGNATURES) for one in places], subjects))
        return fresh

    subjects = Subjects.of(*documents)
    name = f"{image.domain}/{image.repository}@{next(iter(subjects.documents))}"
    check_trust(policy, image, subjects, [lambda known: _recall(memory.get(_KIND, name), known), ask])
    if fresh:
        memory.put(_KIND, name, [kept for one in fresh for kept in _to_json(one)])


def _to_json(found: Found) -> list[list[str]]:
    kept = found.bundle or found.signed
    if found.problem or not kept:
        return []
    return [[found.form, b64encode(kept).decode(), b64encode(found.signature).decode()]]


def _recall(value: object, subjects: Subjects) -> list[Found]:
    """Read what was remembered; what cannot be read was not."""
    found = []
    for one in value if isinstance(value, list) else ():
        with suppress(*BAD):
            match one:
                case ["cosign", str(payload), str(signature)]:
                    data = b64decode(payload)
                    found.append(Found("cosign", read_payload(data), data, b64decode(signature)))
                case ["bundle", str(bundle), str()]:
                    found.append(read_bundle(b64decode(bundle), subjects))
    return found
