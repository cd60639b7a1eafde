"""The policy of the configuration file, held against one image before anybody uses it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kubeimage.errors import TrustError
from kubeimage.image.reference import Reference
from kubeimage.image.trust import EVERY, TrustPolicy, TrustRule
from kubeimage.signing.found import Found, Subjects
from kubeimage.signing.judging import Identity, Verdict, judge_all
from kubeimage.signing.keys import PublicKey, read_public_key

FindSignatures = Callable[[Subjects], Sequence[Found]]
"""Finds the signatures of an image. It is asked only where a rule wants some."""

_TOLD = 3


def check_trust(
    policy: TrustPolicy, image: Reference | None, subjects: Subjects, find: FindSignatures
) -> Verdict | None:
    """Hold the policy against an image; return the signature that it is taken for, None where none is asked for.

    Shape:  ``subjects`` are what the image's name led to and the manifest that is used of it. Who calls this uses these
            very bytes afterwards, and looks up no name again.
    Raises: TrustError; UsageError for a key that cannot be read; what ``find`` raises.
    """
    rule = policy.rule_of(image)
    if rule is None or rule.require == "accept":
        return None
    if rule.require == "reject":
        raise TrustError(f"{_named(image, subjects)} is rejected by the policy", hint=_way_out(rule, ""))
    verdicts = judge_all(find(subjects), read_keys(rule), subjects, Identity(image, rule.identity))
    taken = next((one for one in verdicts if one.key is not None), None)
    if taken is None:
        raise TrustError(
            f"{_named(image, subjects)} is not signed as the policy asks: {reasons(verdicts)}",
            hint=_way_out(rule, "have it signed by one of the keys that the rule names; or "),
        )
    return taken


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
