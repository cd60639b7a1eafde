r"""``$KEY`` and ``${KEY}``, and nothing more of a shell's ways.

``\$`` stands for the character itself; any other backslash stays. What no variable is named after stays as it is
written. The result is not expanded again. Quotes make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from kubeimage.patterns import pattern

KEY = r"[A-Za-z_][A-Za-z0-9_]*+"

USE = pattern(rf"\\\$|\$(?:\{{(?P<braced>{KEY})\}}|(?P<bare>{KEY}))")
UNSUPPORTED = pattern(rf"\\\$|(?P<form>\$\{{(?!{KEY}\}})[^}}$]*+\}}?)")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put the variables' values into ``text``."""
    return USE.sub(lambda use: _replacement(use, variables), text)


def expanded_length(text: str, variables: Mapping[str, str]) -> int:
    """Return how long ``expand`` would make ``text``, in characters, without doing it."""
    return len(text) + sum(len(_replacement(use, variables)) - len(use[0]) for use in USE.finditer(text))


def iter_names(text: str) -> Iterator[str]:
    """Return the name of each use, in order, repeats included."""
    return (name for use in USE.finditer(text) if (name := name_of(use)))


def names_used(text: str) -> list[str]:
    """Return each name that ``text`` uses once, in the order of its first use."""
    return list(dict.fromkeys(iter_names(text)))


def unsupported_forms(text: str) -> list[str]:
    """Return what looks like an expansion, as ``${KEY:-other}`` does, and is none."""
    return [use["form"] for use in UNSUPPORTED.finditer(text) if use["form"]]


def name_of(use: re.Match[str]) -> str | None:
    """Return the name in a match of ``USE``; an escaped ``$`` has none."""
    return use["braced"] or use["bare"]


def _replacement(use: re.Match[str], variables: Mapping[str, str]) -> str:
    name = name_of(use)
    return "$" if name is None else variables.get(name, use[0])
