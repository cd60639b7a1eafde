"""Words of Docker's instructions: what quotes, backslashes and ``$`` in them come to.

Source: moby's Dockerfile reference, "Environment replacement".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping


def expand(word: str, known: Mapping[str, str]) -> str:
    """Return ``word`` as it is meant; what nobody has set is nothing.

    >>> expand("${A:-'$B'}-$B", {"B": "1"})
    '$B-1'
    """
    return _read(deque(word), known, "")


def _read(signs: deque[str], known: Mapping[str, str], end: str) -> str:
    """Take signs up to ``end``; that a double quote is the end says that they stand in quotes."""
    quoted = end == '"'
    result = ""
    while signs:
        sign = signs.popleft()
        if sign == end:
            break
        if sign == "$":
            result += _value(signs, known)
        elif sign == "'" and not quoted:
            while (sign := signs.popleft()) != "'":
                result += sign
        elif sign == '"' and not quoted:
            result += _read(signs, known, '"')
        elif sign == "\\" and signs and (not quoted or signs[0] in '"$\\'):
            result += signs.popleft()
        elif sign != "\\" or quoted:
            result += sign
    return result


def _value(signs: deque[str], known: Mapping[str, str]) -> str:
    """Take what stands behind a ``$``."""
    in_braces = bool(signs) and signs[0] == "{"
    if in_braces:
        signs.popleft()
    name = ""
    while signs and (signs[0].isalnum() or signs[0] == "_"):
        name += signs.popleft()
    if not in_braces:
        return known.get(name, "") if name else "$"
    if signs.popleft() == "}":
        return known.get(name, "")
    kind = signs.popleft()
    word = _read(signs, known, "}")
    value = known.get(name, "")
    if kind == "+":
        return word if value else ""
    return value or word
