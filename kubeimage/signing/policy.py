"""The policy of the configuration file, held against one image before anybody uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubeimage.errors import KubeimageError, TrustError
from kubeimage.image.reference import Reference
from kubeimage.image.trust import EVERY, TrustPolicy, TrustRule
from kubeimage.signing.found import Found, Subjects
from kubeimage.signing.judging import Identity, Verdict, judge_all
from kubeimage.signing.keys import PublicKey, read_public_key

FindSignatures = Callable[[Subjects], Sequence[Found]]
"""Finds the signatures of an image, somewhere. It is asked only where a rule wants some.

Raises: KubeimageError where that place cannot be asked.
"""

_TOLD = 3


def check_trust(
    policy: TrustPolicy, image: Reference | None, subjects: Subjects, finders: Sequence[FindSignatures]
) -> Verdict | None:
    """Hold the policy against an image; return the signature that it is taken for, None where none is asked for.

    Shape:  ``subjects`` are what the image's name led to and the manifest that is used of it. Who calls this uses these
            very bytes afterwards, and looks up no name again. ``finders`` are asked in their order, and no further than
            until a signature counts.
    Raises: TrustError, also where signatures cannot be asked for; UsageError for a key that cannot be read.
    """
    rule = policy.rule_of(image)
    if rule is None or rule.require == "accept":
        return None
    if rule.require == "reject":
        raise TrustError(f"{_named(image, subjects)} is rejected by the policy", hint=_way_out(rule, ""))
    keys, identity = read_keys(rule), Identity(image, rule.identity)
    verdicts: list[Verdict] = []
    failed: list[str] = []
    for find in finders:
        try:
            found = find(subjects)
        except KubeimageError as error:
            failed.append(error.message)
            continue
        verdicts += judge_all(found, keys, subjects, identity)
        if (taken := next((one for one in verdicts if one.key is not None), None)) is not None:
            return taken
    said = "; ".join([reasons(verdicts), *failed[:1]])
    raise TrustError(
        f"{_named(image, subjects)} is not signed as the policy asks: {said}",
        hint=_way_out(rule, "have it signed by one of the keys that the rule names; or "),
    )


def check_top(
    policy: TrustPolicy,
    image: Reference | None,
    top: bytes,
    chosen: Sequence[bytes],
    finders: Sequence[FindSignatures],
) -> None:
    """Hold the policy against what a name leads to, of which the manifests ``chosen`` are used.

    A signature of the index is one of all that it lists; else each of ``chosen`` needs its own.
    Raises: as ``check_trust``.
    """
    inner = [one for one in chosen if one != top]
    try:
        check_trust(policy, image, Subjects.of(top), finders)
    except TrustError:
        if not inner:
            raise
        for one in inner:
            check_trust(policy, image, Subjects.of(top, one), finders)


def read_keys(rule: TrustRule) -> list[PublicKey]:
    """Return the public keys that a rule names.

    Raises: UsageError.
    """
    return [read_public_key(path, f"[{_table(rule)}] in {rule.place}") for path in rule.keys]


def reasons(verdicts: Sequence[Verdict]) -> str:
    """Say why no signature counts."""
    said = list(dict.fromkeys(one.reason for one in verdicts if one.key is None))
    if not said:
        return "there is no signature"
    more = f"; and {len(said) - _TOLD} more" if len(said) > _TOLD else ""
    return "; ".join(said[:_TOLD]) + more


def _named(image: Reference | None, subjects: Subjects) -> str:
    top = next(iter(subjects.documents), None)
    if image is None:
        return f"the image {top}"
    return str(image) if image.digest is not None or top is None else f"{image}@{top}"


def _way_out(rule: TrustRule, first: str) -> str:
    also = " (it is for all names that no other rule is for)" if rule.scope == EVERY else ""
    return f"{first}change the rule [{_table(rule)}] at {rule.place}{also}"


def _table(rule: TrustRule) -> str:
    return f'trust."{rule.scope}"'
