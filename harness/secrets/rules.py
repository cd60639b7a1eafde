"""The rules by which secrets are known."""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

# What people write where a secret will be.
_PLACEHOLDER = re.compile(rb"(?i)example|changeme|placeholder|your[-_]|xxxx|\.\.\.\.|\*\*\*\*|1234567890|redacted")
_SHOWN = 4


@dataclass(frozen=True)
class Match:
    """A secret in some bytes. Shape: ``shown`` has its first letters alone. Units: ``start`` in bytes."""

    rule: Rule
    start: int
    shown: str


@dataclass(frozen=True)
class Rule:
    """What one kind of secret looks like.

    Shape: ``paths`` are globs of the files that it is about, none for all. ``keywords``: one is in every match.
    Units: ``entropy`` in bits a letter.
    """

    id: str
    what: str
    keywords: tuple[bytes, ...]
    regex: re.Pattern[bytes]
    paths: tuple[str, ...] = ()
    entropy: float = 0.0

    def is_about(self, path: str) -> bool:
        """Whether the rule is about the file at ``path``."""
        return not self.paths or any(
            fnmatchcase(path, one) or fnmatchcase(f"/{path}", f"*/{one}") for one in self.paths
        )

    def matches(self, data: bytes) -> Iterator[Match]:
        """Yield the secrets in ``data``; what is a placeholder, or too plain to be random, is none."""
        if not any(word in data for word in self.keywords):
            return
        for found in self.regex.finditer(data):
            groups = found.groupdict()
            secret = groups.get("secret") or groups.get("secret2") or found.group()
            if not _PLACEHOLDER.search(secret) and (not self.entropy or _entropy(secret) >= self.entropy):
                yield Match(self, found.start(), secret[:_SHOWN].decode("latin-1").strip() + "…")


def _entropy(data: bytes) -> float:
    counts = Counter(data).values()
    return -sum(one / len(data) * math.log2(one / len(data)) for one in counts)


@cache
def read_rules() -> tuple[Rule, ...]:
    """Return the rules, from the file beside this one."""
    text = files("harness").joinpath("secrets/rules.toml").read_text(encoding="utf-8")
    return tuple(
        Rule(
            id=one["id"],
            what=one["what"],
            keywords=tuple(word.encode() for word in one["keywords"]),
            regex=re.compile(one["regex"].encode()),
            paths=tuple(one.get("paths", ())),
            entropy=one.get("entropy", 0.0),
        )
        for one in tomllib.loads(text)["rule"]
    )
