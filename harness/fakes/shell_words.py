"""A small part of the shell's language: words, quotes, variables, redirections, lists; told apart from all the rest.

Source: POSIX.1-2017, "Shell Command Language", 2.2 to 2.9; what is not here is refused, never guessed.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*|[0-9?])(?::?-([^}$`\"']*))?\}")
_REDIRECTION = re.compile(r"(?:[012]?>>|[012]?>&[12]|[012]?>)")
_OPERATOR = re.compile(r"&&|\|\||;|\n")
_REFUSED = re.compile(r"[|&()<`]")
_KEYWORDS = frozenset({"if", "for", "while", "until", "case", "function", "{", "}", "!"})
_ESCAPED_IN_QUOTES = ("$", "`", '"', "\\")


class UnknownShellError(Exception):
    """Something of the shell that is not understood here."""


class Part(NamedTuple):
    """A piece of a word. Shape: ``default`` is what a ``variable`` that is not set stands for."""

    text: str
    quoted: bool
    variable: bool = False
    default: str = ""


class Word(NamedTuple):
    """A word before its expansion."""

    parts: tuple[Part, ...]

    @property
    def literal(self) -> str | None:
        """Its text, where no part of it is quoted or a variable."""
        if any(part.quoted or part.variable for part in self.parts):
            return None
        return "".join(part.text for part in self.parts)


class Operator(NamedTuple):
    """``&&``, ``||``, ``;`` (a line's end is one too) or a redirection."""

    text: str

    @property
    def redirects(self) -> bool:
        """Whether it is a redirection."""
        return ">" in self.text


class Redirection(NamedTuple):
    """Where an output goes. Shape: ``target`` None means where descriptor ``twin`` goes."""

    descriptor: int
    target: Word | None
    append: bool = False
    twin: int = 0


class Simple(NamedTuple):
    """One command, and the operator that comes after it."""

    words: tuple[Word, ...]
    redirections: tuple[Redirection, ...]
    then: str


class Field(NamedTuple):
    """A word's result. Shape: ``pattern`` is the same with quoted characters kept from matching."""

    text: str
    pattern: str


def parse_script(script: str) -> list[Simple]:
    """Return the commands of a script, in order.

    Raises: UnknownShellError.
    """
    commands = []
    words: list[Word] = []
    redirections: list[Redirection] = []
    tokens = [*_tokens(script), Operator(";")]
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if isinstance(token, Word):
            _check_keyword(words, token)
            words.append(token)
        elif token.redirects:
            target = None if "&" in token.text else _target(tokens, position)
            position += target is not None
            redirections.append(_redirection(token.text, target))
        elif words or redirections:
            commands.append(Simple(tuple(words), tuple(redirections), token.text))
            words, redirections = [], []
        elif token.text != ";":
            raise UnknownShellError(f"{token.text!r} without a command before it")
    return commands


class _Fields:
    """The fields of a word, as they grow from its parts."""

    def __init__(self) -> None:
        self.done: list[Field] = []
        self._text = ""
        self._pattern = ""
        self._is_begun = False

    def add(self, text: str, pattern: str) -> None:
        """Make the last field longer; an empty ``text`` makes one as well."""
        self._text += text
        self._pattern += pattern
        self._is_begun = True

    def add_split(self, value: str) -> None:
        """Add the words of ``value``, and end a field wherever there is a blank."""
        if value[:1].isspace():
            self.end()
        for number, piece in enumerate(value.split()):
            if number:
                self.end()
            self.add(piece, piece)
        if value[-1:].isspace():
            self.end()

    def end(self) -> None:
        """End the last field, if one has begun."""
        if self._is_begun:
            self.done.append(Field(self._text, self._pattern))
        self._text = self._pattern = ""
        self._is_begun = False


def expand(word: Word, variables: Mapping[str, str]) -> list[Field]:
    """Return the fields that a word becomes: one for each word that its unquoted variables hold.

    Example: with ``A="1 2"`` the word ``x$A"y z"`` becomes the fields ``x1`` and ``2y z``.
    """
    fields = _Fields()
    for part in word.parts:
        value = variables.get(part.text) or part.default if part.variable else part.text
        if part.quoted:
            fields.add(value, glob.escape(value))
        elif not part.variable:
            fields.add(value, value)
        else:
            fields.add_split(value)
    fields.end()
    return fields.done


def _check_keyword(words: list[Word], word: Word) -> None:
    if not words and word.literal in _KEYWORDS:
        raise UnknownShellError(f"the keyword {word.literal!r}")


def _target(tokens: list[Word | Operator], position: int) -> Word:
    token = tokens[position]
    if not isinstance(token, Word):
        raise UnknownShellError("a redirection to nothing")
    return token


def _redirection(text: str, target: Word | None) -> Redirection:
    descriptor = int(text[0]) if text[0].isdigit() else 1
    return Redirection(descriptor, target, append=">>" in text, twin=int(text[-1]) if target is None else 0)


def _tokens(script: str) -> Iterator[Word | Operator]:
    """Parse a text into words and operators, comments left out."""
    position = 0
    while position < len(script):
        char = script[position]
        if char in " \t\r":
            position += 1
        elif script.startswith("\\\n", position):
            position += 2
        elif char == "#":
            end = script.find("\n", position)
            position = len(script) if end < 0 else end
        elif match := _REDIRECTION.match(script, position) or _OPERATOR.match(script, position):
            yield Operator(match[0].replace("\n", ";"))
            position = match.end()
        elif _REFUSED.match(char):
            raise UnknownShellError(f"{char!r}, in {script[position : position + 20]!r}")
        else:
            word, position = _word(script, position)
            yield word


def _word(script: str, position: int) -> tuple[Word, int]:
    parts: list[Part] = []
    while position < len(script) and script[position] not in " \t\r\n;&|()<>`":
        char = script[position]
        if char == "'":
            end = _closing(script, "'", position)
            parts.append(Part(script[position + 1 : end], quoted=True))
            position = end + 1
        elif char == '"':
            position = _quoted(script, position + 1, parts)
        elif char == "\\":
            escaped = script[position + 1 : position + 2]
            parts += [Part(escaped, quoted=True)] if escaped != "\n" else []
            position += 2
        elif char == "$":
            position = _variable(script, position, parts, quoted=False)
        else:
            parts.append(Part(char, quoted=False))
            position += 1
    return Word(tuple(parts)), position


def _quoted(script: str, position: int, parts: list[Part]) -> int:
    """Read what stands in double quotes, from the first character on; give the place after the second quote."""
    parts.append(Part("", quoted=True))
    while position < len(script):
        char = script[position]
        if char == '"':
            return position + 1
        if char == "`":
            raise UnknownShellError("'`'")
        if char == "$":
            position = _variable(script, position, parts, quoted=True)
            continue
        if script.startswith("\\\n", position):
            position += 2
            continue
        if char == "\\" and script[position + 1 : position + 2] in _ESCAPED_IN_QUOTES:
            position += 1
        parts.append(Part(script[position], quoted=True))
        position += 1
    raise UnknownShellError("a quote that is not closed")


def _variable(script: str, position: int, parts: list[Part], *, quoted: bool) -> int:
    start = position + 1
    if script[start : start + 1] == "(":
        raise UnknownShellError("'$('")
    if match := _NAME.match(script, start):
        parts.append(Part(match[0], quoted=quoted, variable=True))
        return match.end()
    if match := _BRACED.match(script, start):
        parts.append(Part(match[1], quoted=quoted, variable=True, default=match[2] or ""))
        return match.end()
    if script[start : start + 1] in ("{", "@", "*", "#", "$", "!"):
        raise UnknownShellError(repr(script[position : position + 12]))
    if script[start : start + 1] == "?":
        parts.append(Part("?", quoted=quoted, variable=True))
        return start + 1
    parts.append(Part("$", quoted=quoted))
    return start


def _closing(script: str, quote: str, position: int) -> int:
    end = script.find(quote, position + 1)
    if end < 0:
        raise UnknownShellError("a quote that is not closed")
    return end
