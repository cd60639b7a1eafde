"""Which images must be signed by whom: the rules of a policy, found by an image's name.

[trust."*"]                              every image that no other rule is about
[trust."registry.example.com/team"]      images whose names begin so; the longest one counts
"""

from __future__ import annotations

from typing import Literal

from kubeimage.image.reference import Reference
from kubeimage.values import dataclass

Requirement = Literal["accept", "reject", "signed"]
IdentityRule = Literal["repository", "exact", "any"]
"""Which names a signature may have been made for.

- ``repository``: one of the image's repository, and the image's tag where it says any; no name is as good.
- ``exact``: the image's name with its tag.
- ``any``: whatever it says.
"""

IDENTITY_RULES: tuple[IdentityRule, ...] = ("repository", "exact", "any")
"""All of them, the usual one first."""

EVERY = "*"
"""The scope of the rule for all images that no other rule is about."""

_HUB = "docker.io"
_HUBS = (_HUB, "index.docker.io", "registry-1.docker.io")
_USUAL_PORTS = (":443", ":80")


@dataclass(frozen=True)
class TrustRule:
    """What is asked of the images of one scope.

    Shape: ``scope`` is ``domain``, ``domain/path`` or ``*``. ``keys`` are paths of public keys, of which one is enough.
           ``place`` says where the rule stands, as people find it.
    """

    scope: str
    require: Requirement
    keys: tuple[str, ...] = ()
    identity: IdentityRule = "repository"
    place: str = ""


@dataclass(frozen=True)
class TrustPolicy:
    """All rules; without any, every image is taken."""

    rules: tuple[TrustRule, ...] = ()

    def __bool__(self) -> bool:
        return any(one.require != "accept" for one in self.rules)

    def rule_of(self, image: Reference | None) -> TrustRule | None:
        """Return the rule that is about an image, None where there is none; of a nameless one, that of ``*``."""
        name = canonical_name(image) if image is not None else ""
        fitting = [one for one in self.rules if one.scope != EVERY and _is_within(name, canonical_scope(one.scope))]
        default = next((one for one in self.rules if one.scope == EVERY), None)
        return max(fitting, key=lambda one: len(canonical_scope(one.scope)), default=default)


def canonical_name(image: Reference) -> str:
    """Return ``domain/repository`` in the one spelling of it: a registry has several names, and one meaning."""
    domain = _canonical_domain(image.domain)
    alone = domain == _HUB and "/" not in image.repository
    return f"{domain}/library/{image.repository}" if alone else f"{domain}/{image.repository}"


def canonical_scope(scope: str) -> str:
    """Return a rule's scope in the spelling of ``canonical_name``."""
    domain, slash, path = scope.partition("/")
    return _canonical_domain(domain) + slash + path


def _canonical_domain(domain: str) -> str:
    lowered = domain.lower()
    for port in _USUAL_PORTS:
        lowered = lowered.removesuffix(port)
    return _HUB if lowered in _HUBS else lowered


def _is_within(name: str, scope: str) -> bool:
    return f"{name}/".startswith(f"{scope}/")


__all__ = [
    "EVERY",
    "IDENTITY_RULES",
    "IdentityRule",
    "Requirement",
    "TrustPolicy",
    "TrustRule",
    "canonical_name",
    "canonical_scope",
]
