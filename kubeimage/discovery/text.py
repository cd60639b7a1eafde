"""The line rule: in text that no structure explains, a key that ends in ``image`` names one; all that is a guess."""

from __future__ import annotations

import re
from collections.abc import Iterator

_KEY = re.compile(r"(?<![\w.$-])(?<!\$\{)(?:--)?[A-Za-z0-9_.-]*image(?:\\?[\"'])?\s*[:=][ \t]*", re.IGNORECASE)
_TRAILING = ",;}])."
_PIECE = 4096


def iter_lines(text: str) -> Iterator[tuple[int, str]]:
    """Give what stands behind each key that ends in ``image``, with the number of its line from 1."""
    if "image" not in text.lower():
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("#"):
            continue
        for key in _KEY.finditer(line):
            value = _value_at(line, key.end())
            if value:
                yield number, value


def _value_at(line: str, start: int) -> str:
    """Give the value that begins at ``start``: quoted, or up to a blank."""
    rest = line[start : start + _PIECE].lstrip()
    if rest[:1] in ("'", '"'):
        return rest[1:].partition(rest[0])[0]
    if rest.startswith('\\"'):
        return rest[2:].partition('\\"')[0]
    if rest.startswith("{{"):
        return rest.partition("}}")[0] + "}}" if "}}" in rest else rest
    word = rest.split(None, 1)[0] if rest.strip() else ""
    if word.startswith(("#", "|", ">", "[", "{", "&", "*", "!")):
        return ""
    bare = word.rstrip(_TRAILING)
    # A comma within says that this was cut out of something else: shown whole, it says so itself.
    return word if "," in bare else bare
