"""How many columns of a terminal a text takes."""

from __future__ import annotations

import unicodedata

_NO_WIDTH = ("Mn", "Me", "Cf")


def columns(text: str) -> int:
    """Return the columns that a terminal gives to ``text``: wide characters take two, combining ones none.

    Source: Unicode Standard Annex 11, "East Asian Width".
    """
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    if unicodedata.category(char) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` columns: what is too long ends in ``…``."""
    if len(text) * 2 <= width or columns(text) <= width:
        return text
    taken, room = 0, width - 1
    for index, char in enumerate(text):
        taken += _columns_of(char)
        if taken > room:
            return f"{text[:index]}…"
    return text


def wrap(text: str, width: int, *, first: int, indent: int) -> list[str]:
    """Return ``text`` in lines of at most ``width`` columns, parted at blanks; a longer word stays whole.

    Units: ``first`` columns are taken on the first line; the others start with ``indent`` blanks.
    """
    head, *words = text.split(" ")
    lines, line, taken = list[str](), head, first + columns(head)
    for word in words:
        size = columns(word)
        if taken + 1 + size > width:
            lines.append(line)
            line, taken = " " * indent + word, indent + size
        else:
            line, taken = f"{line} {word}", taken + 1 + size
    return [*lines, line]
