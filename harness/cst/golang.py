"""What container-structure-test has from Go: the text of a mode, and variables in texts.

Source: Go, os.FileMode.String and os.Expand.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kubeimage.layer.entry import Entry, Kind

_LETTERS = {Kind.DIRECTORY: "d", Kind.SYMLINK: "L", Kind.FIFO: "p"}
_SPECIAL = ((0o4000, "u"), (0o2000, "g"), (0o1000, "t"))
_BITS = "rwxrwxrwx"
_ONE = "*#$@!?-0123456789"
_WORD = re.compile(r"[A-Za-z0-9_]+", re.ASCII)


def mode_text(entry: Entry) -> str:
    """Return a mode as Go writes it: ``-rw-r--r--``, ``dtrwxrwxrwx``, ``urwxr-xr-x``, ``Lrwxrwxrwx``.

    The letters of the type stand in Go's order, and a dash where there is none.
    """
    kind = _LETTERS.get(entry.kind, "")
    special = "".join(letter for bit, letter in _SPECIAL if entry.mode & bit)
    before = f"{kind if kind in 'dL' else ''}{kind if kind == 'p' else ''}{special}"
    bits = "".join(letter if entry.mode & (1 << (8 - place)) else "-" for place, letter in enumerate(_BITS))
    return (before or "-") + bits


def expand(text: str, value_of: Callable[[str], str]) -> str:
    """Replace ``$NAME`` and ``${NAME}``; a ``$`` that no name follows goes, as Go has it.

    >>> expand("$A/${B} $", {"A": "1", "B": "2"}.__getitem__)
    '1/2 $'
    """
    parts: list[str] = []
    at = 0
    while (found := text.find("$", at)) >= 0 and found + 1 < len(text):
        parts.append(text[at:found])
        name, width = _name(text[found + 1 :])
        if name:
            parts.append(value_of(name))
        elif width == 0:
            # Neither a name nor a brace: the dollar stays.
            parts.append("$")
        at = found + 1 + width
    return "".join(parts) + text[at:]


def _name(text: str) -> tuple[str, int]:
    """Return the name that ``text`` begins with, and how many characters it takes; ("", n) is bad syntax of n."""
    if text[0] == "{":
        if len(text) > 2 and text[1] in _ONE and text[2] == "}":
            return text[1], 3
        end = text.find("}", 1)
        if end < 0:
            return "", 1
        return (text[1:end], end + 1) if end > 1 else ("", 2)
    if text[0] in _ONE:
        return text[0], 1
    found = _WORD.match(text)
    return (found[0], found.end()) if found else ("", 0)
