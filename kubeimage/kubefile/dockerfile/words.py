r"""Words of Docker's instructions: parted, unquoted and expanded.

``$KEY``, ``${KEY}``, ``${KEY:-word}`` and ``${KEY:+word}`` are expanded, also in double quotes and inside ``word``.
What nobody has set becomes nothing. Single quotes keep all as it is. A backslash takes the next character as it is; in
double quotes it does so before ``"``, ``$`` and itself alone, and stays before any other.

Source: moby's Dockerfile reference, "Environment replacement"; buildah 1.28, tried.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kubeimage.kubefile.source import BLANKS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*+|[0-9@*#?$!-]")


class WordError(ValueError):
    """A word that cannot be read; its text says why."""


def expand_word(word: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """Return ``word`` without its quotes, and with the variables' values.

    Raises: WordError for a quote or a brace that is not closed, and for a form that is not known.

    >>> expand_word('"${A:-"two words"}"' "' $A'", {})
    'two words $A'
    """
    return _Scanner(word, variables, escape).until(None)


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Return the words between blanks, with their quotes; blanks in quotes and behind a backslash part nothing."""
    words: list[str] = []
    current, quote, position = "", "", 0
    while position < len(text):
        sign = text[position]
        if sign == escape and quote != "'":
            current += text[position : position + 2]
            position += 2
            continue
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        elif sign in BLANKS:
            if current:
                words.append(current)
            current = ""
            position += 1
            continue
        current += sign
        position += 1
    return [*words, current] if current else words


class _Scanner:
    def __init__(self, text: str, variables: Mapping[str, str], escape: str) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._at = 0

    def until(self, stop: str | None) -> str:
        """Return what comes up to ``stop``, which is passed over; None is the end of the word."""
        result: list[str] = []
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign == stop:
                self._at += 1
                return "".join(result)
            result.append(self._piece(sign))
        if stop is not None:
            raise WordError(f"{stop!r} is missing")
        return "".join(result)

    def _piece(self, sign: str) -> str:
        if sign == "'":
            return self._single()
        if sign == '"':
            return self._double()
        if sign == "$":
            return self._variable()
        if sign == self._escape:
            self._at += 2
            return self._text[self._at - 1 : self._at]
        self._at += 1
        return sign

    def _single(self) -> str:
        close = self._text.find("'", self._at + 1)
        if close < 0:
            raise WordError("a single quote is not closed")
        found = self._text[self._at + 1 : close]
        self._at = close + 1
        return found

    def _double(self) -> str:
        self._at += 1
        result: list[str] = []
        while self._at < len(self._text):
            sign = self._text[self._at]
            if sign == '"':
                self._at += 1
                return "".join(result)
            if sign == "$":
                result.append(self._variable())
                continue
            following = self._text[self._at + 1 : self._at + 2]
            if sign == self._escape and following and following in f'"${self._escape}':
                self._at += 1
                sign = following
            result.append(sign)
            self._at += 1
        raise WordError("a double quote is not closed")

    def _variable(self) -> str:
        self._at += 1
        if self._text[self._at : self._at + 1] != "{":
            name = self._name()
            return self._variables.get(name, "") if name else "$"
        self._at += 1
        name = self._name()
        if not name:
            raise WordError("${ is followed by no name")
        if self._text[self._at : self._at + 1] == "}":
            self._at += 1
            return self._variables.get(name, "")
        return self._modified(name)

    def _modified(self, name: str) -> str:
        modifier = self._text[self._at : self._at + 2]
        if modifier not in (":-", ":+"):
            known = f"${{{name}}}, ${{{name}:-word}} and ${{{name}:+word}}"
            raise WordError(f"{self._text[self._at - len(name) - 2 :]!r} is not expanded: only {known} are")
        self._at += 2
        word = self.until("}")
        value = self._variables.get(name, "")
        if modifier == ":-":
            return value or word
        return word if value else ""

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None:
            return ""
        self._at = found.end()
        return found[0]
