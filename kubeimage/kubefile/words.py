r"""The words of FROM and COPY: parted by blanks, quoted or not, with a comment behind them perhaps.

A word that starts with ``"`` or ``'`` ends at the next such quote; nothing is special between them. A quote further
inside a word is a character like any other. An unquoted word that starts with ``#`` starts a comment, which ends with
its physical line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kubeimage.kubefile.codes import Mistake
from kubeimage.kubefile.source import BLANKS, ends_in_odd_backslash
from kubeimage.kubefile.statement import Problem, Statement
from kubeimage.patterns import pattern

QUOTES = "\"'"

_GAP = pattern(rf"[{BLANKS}]*+")
_BARE = pattern(rf"[^{BLANKS}]++")
_PLAIN = pattern(rf"(?!--|[#{QUOTES}])[^\x00-\x20]*[^\x00-\x20\\]")


class Word(NamedTuple):
    """A word, and the offsets in its logical line where it starts and ends, quotes included."""

    text: str
    start: int
    end: int
    quoted: bool = False


def skip_blanks(text: str, start: int, end: int) -> int:
    """Return the offset of the first character from ``start`` on that is not blank, or ``end``."""
    found = _GAP.match(text, start, end)
    return found.end() if found else start


def iter_words(statement: Statement, start: int) -> Iterator[Word]:
    """Read words from ``start`` on, up to a comment or the end; after a complaint there are no more."""
    text, end = statement.text, statement.end
    position = skip_blanks(text, start, end)
    while position < end and not is_comment_at(statement, position):
        word = read_quoted(statement, position) if text[position] in QUOTES else _read_bare(text, position, end)
        if word is None:
            return
        yield word
        position = skip_blanks(text, word.end, end)


def is_comment_at(statement: Statement, start: int) -> bool:
    """Whether a comment starts at ``start``, where a word could; complain of a backslash at either end of it."""
    if statement.text[start] != "#":
        return False
    before = statement.text[statement.value_start : start].rstrip(BLANKS)
    if ends_in_odd_backslash(before):
        backslash = statement.value_start + len(before) - 1
        statement.complain(_BACKSLASH_BEFORE_COMMENT, backslash, statement.end)
    elif statement.line.piece(start) != statement.line.piece(statement.end - 1):
        statement.complain(_BACKSLASH_IN_COMMENT, start, statement.end)
    return True


def read_quoted(statement: Statement, start: int, followers: str = BLANKS) -> Word | None:
    """Read the quoted text that starts at ``start`` and ends before the end or one of ``followers``."""
    text = statement.text
    close = text.find(text[start], start + 1, statement.end)
    if close < 0:
        statement.complain(_OPEN_QUOTE, start, statement.end)
        return None
    word = Word(text[start + 1 : close], start, close + 1, quoted=True)
    if word.end < statement.end and text[word.end] not in followers:
        complain_after_quote(statement, word.end)
        return None
    return word


def complain_after_quote(statement: Statement, start: int) -> None:
    """Complain of what follows a closing quote."""
    found = _BARE.match(statement.text, start, statement.end)
    statement.complain(_AFTER_QUOTE, start, found.end() if found else None)


def is_plain(word: str) -> bool:
    """Whether ``word`` can be written as it is."""
    return _PLAIN.fullmatch(word) is not None


def quote(text: str) -> str:
    """Put quotes around ``text``: the kind that it does not hold."""
    mark = "'" if '"' in text else '"'
    return f"{mark}{text}{mark}"


def _read_bare(text: str, start: int, end: int) -> Word:
    found = _BARE.match(text, start, end)
    stop = found.end() if found else end
    return Word(text[start:stop], start, stop)


_OPEN_QUOTE = Problem(
    Mistake.OPEN_QUOTE,
    "a quote that is not closed",
    "close it; to mean the character itself, put the text into quotes of the other kind",
)
_AFTER_QUOTE = Problem(
    Mistake.AFTER_QUOTE,
    "a closing quote ends the text, and yet something follows it",
    "quote the whole text, with quotes of the other kind if it holds some",
)
_BACKSLASH_BEFORE_COMMENT = Problem(
    Mistake.BACKSLASH_BEFORE_COMMENT,
    "a \\ continues a line only at the line's end, found a comment after it",
    "put the comment on a line of its own",
)
_BACKSLASH_IN_COMMENT = Problem(
    Mistake.BACKSLASH_IN_COMMENT,
    "this comment ends in a \\, so it is not clear whether the instruction goes on",
    "put the comment on a line of its own, or take the \\ away",
)
