"""The Kubernetes versions that charts ask for: constraints as Helm reads them, and several combined into one.

Source: Masterminds/semver v3, "Checking Version Constraints", which is what Helm uses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from kubeimage.errors import KubeVersionError

_MOST_ALTERNATIVES = 64
_NUMBER = r"(?:0|[1-9][0-9]*|[xX*])"
_VERSION = re.compile(rf"v?({_NUMBER})(?:\.({_NUMBER}))?(?:\.({_NUMBER}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_TERM = re.compile(r"(=|==|!=|>|<|>=|=>|<=|=<|~|~>|\^)?\s*(v?[0-9xX*][^\s,]*)")
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")
_ALIASES = {"": "=", "==": "=", "=>": ">=", "=<": "<=", "~>": "~"}
_WILD = ("x", "X", "*", None)


class Version(NamedTuple):
    """A version of Kubernetes; ``prerelease`` sorts before none. Build metadata does not count."""

    numbers: tuple[int, int, int]
    prerelease: str = ""

    @property
    def key(self) -> tuple[tuple[int, int, int], bool, list[tuple[bool, int, str]]]:
        """What versions are compared by."""
        parts = self.prerelease.split(".") if self.prerelease else []
        words = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
        return self.numbers, not self.prerelease, words


class _Term(NamedTuple):
    """One comparison. Shape: ``given`` counts the numbers that are said, the rest being wildcards."""

    operator: str
    version: Version
    given: int

    def accepts(self, version: Version) -> bool:
        """Whether ``version`` is within it.

        Example: ``>1.2`` accepts 1.3.0 and not 1.2.9, for what is not said may be anything; ``>1.2.0`` accepts both.
        """
        # A pre-release is meant only by who names one.
        if version.prerelease and not self.version.prerelease and self.operator != "!=":
            return False
        low, this = self.version.key, version.key
        is_equal = self._agrees(version, self.given) if self.given < 3 else this == low
        match self.operator:
            case "=":
                return is_equal
            case "!=":
                return not is_equal
            case ">":
                return this > low and not is_equal
            case "<":
                return this < low
            case ">=":
                return this >= low
            case "<=":
                return this < low or is_equal
            case "~":
                return this >= low and self._agrees(version, min(self.given, 2))
            case _:
                return this >= low and self._is_compatible(version)

    def _agrees(self, version: Version, count: int) -> bool:
        """Whether the first ``count`` numbers are the same."""
        return version.numbers[:count] == self.version.numbers[:count]

    def _is_compatible(self, version: Version) -> bool:
        """Whether the first number that is not 0, and those before, are the same."""
        said = self.version.numbers[: self.given]
        kept = next((at + 1 for at, number in enumerate(said) if number), self.given)
        return version.numbers[:kept] == self.version.numbers[:kept]


def parse_version(text: str) -> Version:
    """Read a version such as ``v1.27.3+k3s1``.

    Raises: KubeVersionError.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None or any(part in _WILD for part in match.groups()[:1]):
        raise KubeVersionError(f"not a version of Kubernetes: {text!r}", hint="write it as v1.27.3")
    return _version(match)[0]


def is_met(constraint: str, version: Version) -> bool:
    """Whether ``version`` is one that ``constraint`` asks for.

    Raises: KubeVersionError where it is no constraint.
    """
    return any(all(term.accepts(version) for term in terms) for terms in _parse(constraint))


def combine(constraints: Sequence[str]) -> str:
    """Return the constraint that asks for all of them at once.

    Raises: KubeVersionError where one is no constraint.
    """
    choices = []
    for constraint in dict.fromkeys(constraints):
        _parse(constraint)
        choices.append([" ".join(one.split()) for one in constraint.split("||")])
    total = 1
    for choice in choices:
        total *= len(choice)
    if total > _MOST_ALTERNATIVES:
        raise KubeVersionError(f"the kubeVersion constraints of the charts have {total} alternatives together")
    joined = (", ".join(dict.fromkeys(combination)) for combination in product(*choices))
    return " || ".join(dict.fromkeys(joined))


def _parse(constraint: str) -> list[list[_Term]]:
    return [_parse_all(part, constraint) for part in constraint.split("||")]


def _parse_all(part: str, whole: str) -> list[_Term]:
    part = _HYPHEN.sub(r">=\1, <=\2", part.strip())
    terms, position = [], 0
    while position < len(part):
        match = _TERM.match(part, position)
        version = _VERSION.fullmatch(match[2]) if match else None
        if match is None or version is None:
            raise KubeVersionError(
                f"not a kubeVersion constraint: {whole!r}", hint='write it as ">=1.22.0-0 <1.30.0-0"'
            )
        operator = match[1] or ""
        number, given = _version(version)
        terms.append(_Term(_ALIASES.get(operator, operator), number, given))
        position = match.end()
        while position < len(part) and part[position] in ", \t":
            position += 1
    return terms


def _version(match: re.Match[str]) -> tuple[Version, int]:
    said = []
    for part in match.groups()[:3]:
        if part in _WILD:
            break
        said.append(int(part))
    first, second, third = (*said, 0, 0, 0)[:3]
    return Version((first, second, third), match[4] or ""), len(said)
