r"""The grammar of ARG: ``ARG KEY=VALUE[,KEY=VALUE...]``, or ``ARG KEY``.

A value ends at a blank, or at a comma that another ``KEY=`` follows; any other comma belongs to it. A value that starts
with a quote ends at the next such quote, and may hold anything else. A key may stand once in an ARG: a second
value for it could only hide the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.expansion import KEY
from kubeimage.kubefile.source import BLANKS
from kubeimage.kubefile.statement import Problem, Statement, cut, quoted
from kubeimage.kubefile.words import (
    QUOTES,
    complain_after_quote,
    is_comment_at,
    quote,
    read_quoted,
    skip_blanks,
)
from kubeimage.patterns import pattern

Pairs = tuple[tuple[str, str | None], ...]

_EXAMPLE = "as in: ARG VERSION=1.2,REGION=eu, or: ARG VERSION"
_KEY = pattern(KEY)
_SEPARATOR = pattern(rf"[{BLANKS}]*+,[{BLANKS}]*+(?={KEY}=)")
_VALUE_END = pattern(rf"[{BLANKS}]|,(?=[{BLANKS}]*+{KEY}=)")
_CHUNK = pattern(rf"[^{BLANKS}=,]*+")
_REST = pattern(rf"[^{BLANKS}]*+")


class _Pair(NamedTuple):
    key: str
    value: str | None
    start: int
    end: int


def read_pairs(statement: Statement) -> Pairs | None:
    """Read what an ARG declares."""
    pairs: list[_Pair] = []
    position = statement.value_start
    while True:
        pair = _read_pair(statement, position)
        if pair is None:
            return None
        pairs.append(pair)
        separator = _SEPARATOR.match(statement.text, pair.end, statement.end)
        if separator is None or pair.value is None:
            break
        position = separator.end()
    if not _ends(statement, pairs[-1]):
        return None
    _check_keys_differ(statement, pairs)
    return tuple((pair.key, pair.value) for pair in pairs)


def format_pairs(pairs: Pairs) -> str:
    """Write pairs as ARG takes them."""
    return ",".join(key if value is None else f"{key}={_format_value(value)}" for key, value in pairs)


def _format_value(value: str) -> str:
    plain = not _VALUE_END.search(value) and value[:1] not in tuple(QUOTES) and not value.endswith("\\")
    return value if plain else quote(value)


def _read_pair(statement: Statement, start: int) -> _Pair | None:
    key = _KEY.match(statement.text, start, statement.end)
    after = key.end() if key else start
    follows = statement.text[after : after + 1] if after < statement.end else ""
    if key and follows == "=":
        return _read_value(statement, key)
    if key is None or (follows and follows not in BLANKS + ","):
        _complain_of_key(statement, start)
        return None
    return _Pair(key[0], None, start, after)


def _read_value(statement: Statement, key: re.Match[str]) -> _Pair | None:
    text, start = statement.text, key.end() + 1
    if start < statement.end and text[start] in QUOTES:
        word = read_quoted(statement, start, BLANKS + ",")
        return _Pair(key[0], word.text, key.start(), word.end) if word else None
    found = _VALUE_END.search(text, start, statement.end)
    end = found.start() if found else statement.end
    return _Pair(key[0], text[start:end], key.start(), end)


def _ends(statement: Statement, last: _Pair) -> bool:
    """Whether nothing but a comment follows the last pair; complain if something does."""
    rest = skip_blanks(statement.text, last.end, statement.end)
    if rest == statement.end or (rest > last.end and is_comment_at(statement, rest)):
        return True
    if last.value is not None and rest == last.end:
        complain_after_quote(statement, rest)
        return False
    found = _REST.match(statement.text, rest, statement.end)
    word = found[0] if found else ""
    statement.complain(_trailing(last, word), rest, rest + len(word))
    return False


def _trailing(last: _Pair, word: str) -> Problem:
    key = cut(last.key)
    if last.value is not None:
        message = f"the value of {key} ends at the blank, found {quoted(word)} after it"
        hint = f'quote a value that holds blanks, as in: ARG {key}="two words"; part two pairs with a comma'
        return Problem(Mistake.UNQUOTED_BLANK, message, hint)
    if word.startswith("="):
        message = f"found a blank between the key {key} and ="
        return Problem(Mistake.BLANK_BEFORE_EQUALS, message, f"write it without blanks, as in: ARG {key}=VALUE")
    message = f"a key without a default stands alone in its ARG, found {quoted(word)} after {key}"
    return Problem(Mistake.KEY_NOT_ALONE, message, f"give each such key its own line, as in: ARG {key}")


def _complain_of_key(statement: Statement, start: int) -> None:
    found = _CHUNK.match(statement.text, start, statement.end)
    chunk, end = (found[0], found.end()) if found else ("", start)
    message = f"a key is letters, digits and _, and starts with no digit; found {quoted(chunk)}"
    statement.complain(Problem(Mistake.BAD_KEY, message, _EXAMPLE), start, max(end, start + 1))


def _check_keys_differ(statement: Statement, pairs: Iterable[_Pair]) -> None:
    seen: set[str] = set()
    for pair in pairs:
        if pair.key in seen:
            problem = Problem(Mistake.KEY_TWICE, f"{cut(pair.key)} is declared twice in one ARG", "keep one of the two")
            statement.complain(problem, pair.start, pair.end)
        seen.add(pair.key)
