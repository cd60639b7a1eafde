"""Image references, with the defaults that sealer fills in.

Source: distribution's reference grammar; the project's design, "The store", for domain, namespace and tag.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple, Self

from kubeimage.errors import DigestFormatError, ReferenceFormatError
from kubeimage.image.digest import Digest
from kubeimage.patterns import pattern
from kubeimage.values import dataclass

DEFAULT_DOMAIN = "registry.cn-qingdao.aliyuncs.com"
DEFAULT_NAMESPACE = "sealer-io"
DEFAULT_TAG = "latest"

_DOMAIN = pattern(
    r"(?:\[[0-9a-fA-F:]+\]|[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)"
    r"(?::[0-9]+)?"
)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = pattern(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_LONGEST = 255


@dataclass(frozen=True, order=True)
class Reference:
    """The full name of an image: ``domain/repository:tag`` or ``domain/repository[:tag]@digest``.

    Shape: ``tag`` is empty only where ``digest`` is given.
    """

    domain: str
    repository: str
    tag: str = DEFAULT_TAG
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str, *, domain: str = DEFAULT_DOMAIN, namespace: str = DEFAULT_NAMESPACE) -> Self:
        """Read a reference as a person types it; ``domain`` and ``namespace`` fill in what is missing.

        Raises: ReferenceFormatError, which says which part is wrong.
        """
        rest, at, digest_text = text.partition("@")
        head, slash, tail = rest.partition("/")
        if slash and (any(char in head for char in ".:[") or head == "localhost"):
            found_domain, rest = head, tail
        else:
            found_domain = domain
        repository, colon, tag = rest.partition(":")
        if found_domain == domain and "/" not in repository and namespace:
            repository = f"{namespace}/{repository}" if repository else ""
        digest = _parse_digest(text, digest_text) if at else None
        _check(text, found_domain, repository, tag if colon else None)
        return cls(found_domain, repository, tag or ("" if digest else DEFAULT_TAG), digest)

    def familiar(self, *, domain: str = DEFAULT_DOMAIN, namespace: str = DEFAULT_NAMESPACE) -> str:
        """Return the short form: what ``parse`` fills in is left out, but for the tag."""
        name = f"{self.domain}/{self.repository}"
        if self.domain == domain:
            short = self.repository.removeprefix(f"{namespace}/")
            name = short if "/" not in short else self.repository
        return name + self._suffix

    def with_tag(self, tag: str) -> Self:
        """Return the same repository with another tag and no digest."""
        return replace(self, tag=tag, digest=None)

    @property
    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return f"{self.domain}/{self.repository}{self._suffix}"


class Naming(NamedTuple):
    """What a short name leaves out: where the registry and the namespace are not said, these are meant."""

    domain: str = DEFAULT_DOMAIN
    namespace: str = DEFAULT_NAMESPACE

    def parse(self, text: str) -> Reference:
        """Read a reference as a person types it.

        Raises: ReferenceFormatError, which says which part is wrong.
        """
        return Reference.parse(text, domain=self.domain, namespace=self.namespace)

    def familiar(self, reference: Reference) -> str:
        """Return the short form that ``parse`` completes."""
        return reference.familiar(domain=self.domain, namespace=self.namespace)

    def suggest(self, wanted: str, known: Iterable[Reference]) -> str:
        """Return a hint for a name that nothing has: which of ``known`` was meant, or where to look."""
        near = self.near(wanted, known)
        return f"did you mean {' or '.join(near)}?" if near else "kubeimage images lists what is there"

    def near(self, wanted: str, known: Iterable[Reference]) -> list[str]:
        """Return up to three of ``known`` that may have been meant: those that differ by the tag alone come first."""
        from difflib import get_close_matches

        names = [self.familiar(reference) for reference in known]
        same = [name for name in names if _untagged(name) == _untagged(wanted)]
        return list(dict.fromkeys([*same, *get_close_matches(wanted, names, n=3)]))[:3]

    def check(self) -> None:
        """Find out whether names can be completed with these.

        Raises: ReferenceFormatError.
        """
        _check(f"{self.domain}/{self.namespace}", self.domain, self.namespace or "any", None)


def _untagged(name: str) -> str:
    return re.sub(r"(:[^:/]*)?(@.*)?$", "", name)


def _parse_digest(text: str, digest: str) -> Digest:
    try:
        return Digest.parse(digest)
    except DigestFormatError as error:
        raise ReferenceFormatError(f"not an image reference: {text!r}: {error}", hint=error.hint) from error


def _check(text: str, domain: str, repository: str, tag: str | None) -> None:
    why = hint = None
    if not _DOMAIN.fullmatch(domain):
        why = f"{domain!r} is not a registry host"
    elif not repository:
        why, hint = "the repository is missing", "write it as NAME:TAG or HOST/REPOSITORY:TAG"
    elif repository != repository.lower():
        why, hint = f"the repository {repository!r} has upper case letters", f"use {repository.lower()!r}"
    elif len(repository) > _LONGEST or not _REPOSITORY.fullmatch(repository):
        why = f"{repository!r} is not a repository name"
        hint = "a repository is lower case letters and digits, parted by . _ - and /"
    elif tag is not None and not _TAG.fullmatch(tag):
        why, hint = f"{tag!r} is not a tag", "a tag is up to 128 letters, digits, _ . -, and starts with none of . -"
    if why:
        raise ReferenceFormatError(f"not an image reference: {text!r}: {why}", hint=hint)
