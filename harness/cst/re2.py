"""Go's regular expressions, for Python's engine.

A file of tests is written for Go's package regexp. Most of it means the same to Python, some of it means something
else, and some is an error in one of them. So a pattern is read by Go's grammar and written anew: what Go refuses is
refused here, with the same result for a test; what Python cannot do is said, and never guessed.

Source: Go, regexp/syntax, "Syntax" and parse.go; RE2, doc/syntax.txt.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import NamedTuple

_MOST_REPEATS = 1000
_PERL = {"d": "0-9", "w": "0-9A-Za-z_", "s": r"\t\n\f\r "}
_POSIX = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "ascii": r"\x00-\x7f",
    "blank": r"\t ",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\t\n\v\f\r ",
    "upper": "A-Z",
    "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}
_SIMPLE = {"a": "\a", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_NAME = re.compile(r"[0-9A-Za-z_]+")
_REPEAT = re.compile(r"\{(\d{1,9})(?:(,)(\d{1,9})?)?\}")
_POSIX_CLASS = re.compile(r"\[:(\^?)([a-zA-Z]*):\]")
_ANY = f"\\x00-\\U{sys.maxunicode:08x}"


class BadPatternError(ValueError):
    """A pattern that Go refuses."""


class UntranslatableError(ValueError):
    """A pattern that Go takes, and that cannot be written for Python."""


class _Flags(NamedTuple):
    ignore_case: bool = False
    multi_line: bool = False
    dot_all: bool = False
    ungreedy: bool = False


class _Piece(NamedTuple):
    """A part of a pattern. Shape: ``repeats`` is how often something in it is asked for at most, as Go counts."""

    text: str
    repeats: int = 1
    is_repeat: bool = False


@cache
def compile_go(pattern: str) -> re.Pattern[str]:
    """Return a pattern of Python's that finds what Go's ``pattern`` finds, in texts that `go_text` returns.

    Raises: BadPatternError for what Go refuses; UntranslatableError.
    """
    return re.compile(translate(pattern))


def matches(pattern: str, data: bytes) -> bool:
    """Return whether Go would find ``pattern`` somewhere in ``data``.

    Raises: BadPatternError, UntranslatableError.
    """
    return compile_go(pattern).search(go_text(data)) is not None


def go_text(data: bytes) -> str:
    """Return bytes as Go's engine reads them: each one that is no UTF-8 is U+FFFD."""
    text = data.decode("utf-8", "surrogateescape")
    return "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in text) if not text.isascii() else text


def translate(pattern: str) -> str:
    """Return ``pattern`` in Python's words.

    Raises: BadPatternError, UntranslatableError.

    >>> translate("(?i)a|b{2}")
    '(?i:a)|(?:(?i:b)){2}'
    """
    return _Reader(pattern).read()


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> str:
        text = self._alternatives(_Flags()).text
        if self._at < len(self._pattern):
            raise self._bad("unexpected )")
        return text

    def _bad(self, what: str) -> BadPatternError:
        return BadPatternError(f"{what}, at character {self._at + 1} of {self._pattern!r}")

    def _rest(self, text: str) -> bool:
        return self._pattern.startswith(text, self._at)

    def _take(self, text: str) -> bool:
        found = self._rest(text)
        self._at += len(text) * found
        return found

    def _next(self) -> str:
        if self._at >= len(self._pattern):
            raise self._bad("the pattern ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _alternatives(self, flags: _Flags) -> _Piece:
        """Read up to the end of a group; flags that are set in it hold for what follows, other alternatives too."""
        branches: list[list[_Piece]] = [[]]
        while self._at < len(self._pattern) and not self._rest(")"):
            if self._take("|"):
                branches.append([])
                continue
            if (changed := self._flag_setting(flags)) is not None:
                flags = changed
                if self._at < len(self._pattern) and self._pattern[self._at] in "*+?":
                    raise self._bad("missing argument to repetition operator")
                continue
            branches[-1].append(self._repeated(self._atom(flags), flags))
        text = "|".join("".join(piece.text for piece in branch) for branch in branches)
        return _Piece(text, max((piece.repeats for branch in branches for piece in branch), default=1))

    def _flag_setting(self, flags: _Flags) -> _Flags | None:
        found = re.compile(r"\(\?([a-zA-Z-]*)\)").match(self._pattern, self._at)
        if found is None:
            return None
        changed = self._with_flags(flags, found[1])
        self._at = found.end()
        return changed

    def _with_flags(self, flags: _Flags, text: str) -> _Flags:
        known = {"i": "ignore_case", "m": "multi_line", "s": "dot_all", "U": "ungreedy"}
        on, minus, off = text.partition("-")
        if not text or "-" in off or (minus and not off) or not set(on + off) <= known.keys():
            raise self._bad("invalid or unsupported Perl syntax")
        return flags._replace(**{known[one]: True for one in on}, **{known[one]: False for one in off})

    def _repeated(self, piece: _Piece, flags: _Flags) -> _Piece:
        text, repeats, times = piece.text, piece.repeats, 0
        while (operator := self._operator()) is not None:
            times += 1
            if times > 1:
                raise self._bad("invalid nested repetition operator")
            symbol, most = operator
            repeats *= max(most, 1)
            if repeats > _MOST_REPEATS:
                raise self._bad("invalid repeat count")
            lazy = self._take("?") != flags.ungreedy
            text = f"(?:{text}){symbol}{'?' if lazy else ''}"
        return _Piece(text, repeats, is_repeat=times > 0)

    def _operator(self) -> tuple[str, int] | None:
        for symbol in "*+?":
            if self._take(symbol):
                return symbol, 1
        found = _REPEAT.match(self._pattern, self._at)
        if found is None:
            return None
        least, most = int(found[1]), int(found[3]) if found[3] else int(found[1])
        if least > _MOST_REPEATS or most > _MOST_REPEATS or (found[3] and most < least):
            raise self._bad("invalid repeat count")
        self._at = found.end()
        return found[0], most

    def _atom(self, flags: _Flags) -> _Piece:
        char = self._next()
        match char:
            case "(":
                return self._group(flags)
            case "[":
                return _Piece(self._cased(self._class(), flags))
            case ".":
                return _Piece(r"(?s:.)" if flags.dot_all else r"[^\n]")
            case "^":
                return _Piece("(?m:^)" if flags.multi_line else r"\A")
            case "$":
                return _Piece("(?m:$)" if flags.multi_line else r"\Z")
            case "\\":
                return self._escape(flags)
            case "*" | "+" | "?":
                raise self._bad("missing argument to repetition operator")
            case "{" if _REPEAT.match(self._pattern, self._at - 1):
                raise self._bad("missing argument to repetition operator")
        return _Piece(self._cased(re.escape(char), flags))

    def _cased(self, text: str, flags: _Flags) -> str:
        return f"(?i:{text})" if flags.ignore_case else text

    def _group(self, flags: _Flags) -> _Piece:
        opening = "(?:"
        if self._take("?"):
            flags = self._group_head(flags)
        self._depth += 1
        if self._depth > _MOST_REPEATS:
            raise self._bad("expression nests too deeply")
        inner = self._alternatives(flags)
        self._depth -= 1
        if not self._take(")"):
            raise self._bad("missing closing )")
        return inner._replace(text=f"{opening}{inner.text})")

    def _group_head(self, flags: _Flags) -> _Flags:
        """Read what stands behind ``(?``; groups are not asked for by name or number, so none is kept."""
        if self._take("P<") or (self._rest("<") and not self._rest("<=") and not self._rest("<!") and self._take("<")):
            name = _NAME.match(self._pattern, self._at)
            if name is None or not self._pattern.startswith(">", name.end()):
                raise self._bad("invalid named capture")
            self._at = name.end() + 1
            return flags
        found = re.compile(r"([a-zA-Z-]*):").match(self._pattern, self._at)
        if found is None:
            raise self._bad("invalid or unsupported Perl syntax")
        changed = self._with_flags(flags, found[1]) if found[1] else flags
        self._at = found.end()
        return changed

    def _escape(self, flags: _Flags) -> _Piece:
        if self._take("Q"):
            end = self._pattern.find("\\E", self._at)
            literal = self._pattern[self._at : end if end >= 0 else None]
            self._at = len(self._pattern) if end < 0 else end + 2
            # A repetition is about the last character alone.
            head, last = literal[:-1], literal[-1:]
            if not last:
                return self._repeatable_nothing()
            repeated = self._repeated(_Piece(self._cased(re.escape(last), flags)), flags)
            return repeated._replace(
                text=self._cased(re.escape(head), flags) + repeated.text if head else repeated.text
            )
        if self._take("A"):
            return _Piece(r"\A")
        if self._take("z"):
            return _Piece(r"\Z")
        if self._take("b"):
            return _Piece(r"(?a:\b)")
        if self._take("B"):
            return _Piece(r"(?!(?a:\b))")
        if (members := self._class_escape()) is not None:
            return _Piece(self._cased(f"[{members}]", flags))
        return _Piece(self._cased(re.escape(self._character()), flags))

    def _repeatable_nothing(self) -> _Piece:
        if self._operator() is not None:
            raise self._bad("missing argument to repetition operator")
        return _Piece("")

    def _class_escape(self) -> str | None:
        """Read what stands for a class behind a backslash, such as the d of digits; return its members."""
        char = self._pattern[self._at : self._at + 1]
        if char and char.lower() in _PERL:
            self._at += 1
            return _PERL[char] if char in _PERL else _complement(_PERL[char.lower()])
        if char and char in "pP":
            self._at += 1
            return self._unicode_class(negated=char == "P")
        return None

    def _unicode_class(self, *, negated: bool) -> str:
        if self._take("{"):
            end = self._pattern.find("}", self._at)
            if end < 0:
                raise self._bad("invalid character class range")
            name = self._pattern[self._at : end]
            self._at = end + 1
        else:
            name = self._next()
        if name.startswith("^"):
            name, negated = name[1:], not negated
        members = _category(name)
        if members is None:
            raise UntranslatableError(f"the Unicode class {name!r} in {self._pattern!r} is not known here")
        return _complement(members) if negated else members

    def _character(self) -> str:
        """Read one escaped character behind the backslash."""
        char = self._next()
        if char in "1234567" and self._pattern[self._at : self._at + 1] not in tuple("01234567"):
            raise self._bad("invalid escape sequence")
        if char in "01234567":
            digits = char
            while len(digits) < 3 and self._pattern[self._at : self._at + 1] in tuple("01234567"):
                digits += self._next()
            return chr(int(digits, 8))
        if char == "x":
            return self._hexadecimal()
        if char in _SIMPLE:
            return _SIMPLE[char]
        if char.isascii() and not char.isalnum():
            return char
        raise self._bad("invalid escape sequence")

    def _hexadecimal(self) -> str:
        found = re.compile(r"\{([0-9A-Fa-f]+)\}|([0-9A-Fa-f]{2})").match(self._pattern, self._at)
        if found is None:
            raise self._bad("invalid escape sequence")
        self._at = found.end()
        number = int(found[1] or found[2], 16)
        if number > sys.maxunicode:
            raise self._bad("invalid escape sequence")
        return chr(number)

    def _class(self) -> str:
        """Read a class behind its bracket."""
        negated = self._take("^")
        members: list[str] = []
        is_first = True
        while is_first or not self._rest("]"):
            if self._at >= len(self._pattern):
                raise self._bad("missing closing ]")
            is_first = False
            members.append(self._class_part())
        self._at += 1
        return f"[{'^' if negated else ''}{''.join(members)}]"

    def _class_part(self) -> str:
        posix = _POSIX_CLASS.match(self._pattern, self._at)
        if posix is not None:
            if posix[2] not in _POSIX:
                raise self._bad("invalid character class range")
            self._at = posix.end()
            return _complement(_POSIX[posix[2]]) if posix[1] else _POSIX[posix[2]]
        if self._rest("\\"):
            before = self._at
            self._at += 1
            if (found := self._class_escape()) is not None:
                return found
            self._at = before
        first = self._class_character()
        if self._rest("-") and not self._rest("-]") and self._at + 1 < len(self._pattern):
            self._at += 1
            last = self._class_character()
            if last < first:
                raise self._bad("invalid character class range")
            return f"{_quoted(first)}-{_quoted(last)}"
        return _quoted(first)

    def _class_character(self) -> str:
        char = self._next()
        return self._character() if char == "\\" else char


def _quoted(char: str) -> str:
    """Return one character as a class has it, whatever it means there."""
    return char if char.isalnum() and char.isascii() else f"\\U{ord(char):08x}"


def _ranges(members: str) -> Iterator[tuple[int, int]]:
    """Yield the ranges of a class that one of the tables has, or that `_of_category` has made."""
    accepts: Callable[[str], object] = re.compile(f"[{members}]").match
    start: int | None = None
    for number in range(sys.maxunicode + 2):
        inside = number <= sys.maxunicode and accepts(chr(number)) is not None
        if inside and start is None:
            start = number
        elif not inside and start is not None:
            yield start, number - 1
            start = None


@cache
def _complement(members: str) -> str:
    """Return what is not in a class, as part of another class."""
    below, parts = 0, []
    for first, last in _ranges(members):
        if first > below:
            parts.append((below, first - 1))
        below = last + 1
    if below <= sys.maxunicode:
        parts.append((below, sys.maxunicode))
    return _written(parts)


def _written(ranges: list[tuple[int, int]]) -> str:
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@cache
def _category(name: str) -> str | None:
    """Return the members of a general category of Unicode, such as L or Lu; None for scripts, which are not known."""
    if name == "Any":
        return _ANY
    if not re.fullmatch("[CLMNPSZ][a-z]?", name):
        return None
    ranges: list[tuple[int, int]] = []
    for number in range(sys.maxunicode + 1):
        kind = unicodedata.category(chr(number))
        # Go has no table for code points that stand for nothing.
        if kind.startswith(name) and kind != "Cn":
            if ranges and ranges[-1][1] == number - 1:
                ranges[-1] = ranges[-1][0], number
            else:
                ranges.append((number, number))
    with suppress(re.error):
        return _written(ranges) if ranges else None
    return None
