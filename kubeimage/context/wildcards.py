"""Shell wildcards for one name of a path: ``* ? [a-z] [^a] [!a]``; a backslash makes a character mean itself.

Source: gitignore(5) and POSIX.1-2017, "Pattern Matching Notation"; a leading dot is a character like any other.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SPECIAL = frozenset("*?[\\")
_POSIX_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}


def has_wildcard(name: str) -> bool:
    """Whether ``name`` can mean anything but itself."""
    return not _SPECIAL.isdisjoint(name)


@lru_cache(maxsize=512)
def compile_name(pattern: str) -> re.Pattern[str] | None:
    """Compile ``pattern`` for ``fullmatch`` on one name; None where it can match nothing (an open ``[``)."""
    source = name_regex(pattern)
    return None if source is None else re.compile(source)


def name_regex(pattern: str) -> str | None:
    """Translate ``pattern`` into a regular expression that never matches a ``/``; None as in `compile_name`.

    What stands between two stars has one length, so its first place is as good as any: an atomic group says so, and
    no pattern takes more than a look at each character for each star.
    """
    runs = _runs(pattern)
    if runs is None:
        return None
    first, *later = runs
    if not later:
        return first
    middle = "".join(f"(?>[^/]*?{run})" for run in later[:-1] if run)
    return f"{first}{middle}[^/]*{later[-1]}"


def _runs(pattern: str) -> list[str] | None:
    """Translate what stands between the stars."""
    runs = [""]
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            runs.append("")
            continue
        if char == "[":
            found = _bracket(pattern, at)
            if found is None:
                return None
            piece, at = found
        elif char == "\\":
            if at == len(pattern):
                return None
            piece, at = re.escape(pattern[at]), at + 1
        else:
            piece = "[^/]" if char == "?" else re.escape(char)
        runs[-1] += piece
    return runs


def _bracket(pattern: str, at: int) -> tuple[str, int] | None:
    """Translate the set that starts behind a ``[``, and say where it ends; None if it does not."""
    negated = pattern[at : at + 1] in {"!", "^"}
    at += negated
    start, low, items = at, "", ""
    while at < len(pattern) and (pattern[at] != "]" or at == start):
        if pattern.startswith("[:", at):
            end = pattern.find(":]", at + 2)
            posix = _POSIX_CLASSES.get(pattern[at + 2 : end])
            if end == -1 or posix is None:
                return None
            items, low, at = items + posix, "", end + 2
            continue
        is_range = pattern[at] == "-" and low != "" and pattern[at + 1 : at + 2] not in {"", "]"}
        at += is_range
        char, at = (pattern[at], at + 1) if pattern[at] != "\\" else (pattern[at + 1 : at + 2], at + 2)
        if not char:
            return None
        if not is_range:
            items += re.escape(char)
        elif low <= char:
            items += f"{re.escape(low)}-{re.escape(char)}"
        low = "" if is_range else char
    if at >= len(pattern):
        return None
    return (f"[^/{items}]" if negated else f"(?!/)[{items}]"), at + 1
