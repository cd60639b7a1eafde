"""JSON arrays of texts, as COPY and CMD take them.

Only that much of JSON is read, by a scanner that goes forward: no depth of brackets can exhaust it, and each
complaint has its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.source import BLANKS
from kubeimage.kubefile.statement import Problem, Statement, quoted
from kubeimage.kubefile.words import Word, skip_blanks
from kubeimage.patterns import pattern

_TEXT = pattern(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_SIMPLE = pattern(r'"[^"\\\x00-\x1f]*+"')
_TOKEN = pattern(rf"[^{BLANKS},\]]++|[,\]]")
_UNFIT = pattern("[\x00\ud800-\udfff]")


def looks_like_array(words: Sequence[str]) -> bool:
    """Whether words, parted at blanks, were meant as an array; a pattern such as ``[a-z]*`` was not."""
    first, last = words[0], words[-1]
    return first.startswith("[") and (len(first) == 1 or first[1] in "\"']" or last.endswith("]"))


def read_array(statement: Statement, start: int, hint: str) -> tuple[list[Word], int] | None:
    """Read the array whose ``[`` stands at ``start``; give its texts, and the offset behind its ``]``.

    ``hint`` says how the instruction's array is written.
    """
    text, end = statement.text, statement.end
    position = skip_blanks(text, start + 1, end)
    if text[position : position + 1] == "]" and position < end:
        statement.complain(Problem(Mistake.EMPTY_ARRAY, f"an empty array after {_name(statement)}", hint), start)
        return None
    words: list[Word] = []
    while True:
        word = _read_text(statement, position, hint)
        if word is None:
            return None
        words.append(word)
        position = skip_blanks(text, word.end, end)
        if position >= end or text[position] not in ",]":
            _complain(statement, position, "a comma or ]", hint)
            return None
        if text[position] == "]":
            return words, position + 1
        position = skip_blanks(text, position + 1, end)


def complain_behind_array(statement: Statement, start: int, hint: str) -> None:
    """Complain of what follows an array."""
    _complain(statement, start, "nothing after the array", hint)


def format_array(texts: Sequence[str]) -> str:
    """Write texts as a JSON array on one line."""
    return json.dumps(list(texts), ensure_ascii=False)


def _read_text(statement: Statement, start: int, hint: str) -> Word | None:
    simple = _SIMPLE.match(statement.text, start, statement.end)
    if simple:
        return Word(simple[0][1:-1], start, simple.end(), quoted=True)
    found = _TEXT.match(statement.text, start, statement.end)
    if found is None:
        _complain(statement, start, "a text in double quotes", hint)
        return None
    return _decode(statement, found, hint)


def _decode(statement: Statement, found: re.Match[str], hint: str) -> Word:
    """Decode a text; what is wrong inside it does not keep the rest of the array from being read."""
    raw = Word(found[0][1:-1], *found.span(), quoted=True)
    try:
        text: str = json.loads(found[0])
    except json.JSONDecodeError as error:
        place = found.start() + error.pos
        problem = Problem(Mistake.BROKEN_ARRAY, "broken JSON: an escape or a character that JSON does not know", hint)
        statement.complain(problem, place, place + 1)
        return raw
    unfit = _UNFIT.search(text)
    if unfit:
        message = f"U+{ord(unfit[0]):04X} can stand in no name and no command"
        statement.complain(Problem(Mistake.UNFIT_TEXT, message, "leave it out"), *found.span())
        return raw
    return raw._replace(text=text)


def _complain(statement: Statement, start: int, wanted: str, hint: str) -> None:
    found = _TOKEN.match(statement.text, start, statement.end)
    what = quoted(found[0]) if found else "the end of the line"
    first, last = found.span() if found else (statement.end - 1, statement.end)
    statement.complain(Problem(Mistake.BROKEN_ARRAY, f"broken JSON: wanted {wanted}, found {what}", hint), first, last)


def _name(statement: Statement) -> str:
    return statement.keyword.upper()
