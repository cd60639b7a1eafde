"""Text that no structure explains, line by line: what stands behind keys that mean images, and what reads as a name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kubeimage.discovery.names import Form, Token, is_versioned, iter_tokens, read_token

_KEY = re.compile(r"(?<![\w.$-])(?<!\$\{)(?:--)?[A-Za-z0-9_.-]*image(?:\\?[\"'])?\s*[:=][ \t]*", re.IGNORECASE)
_OPTION = re.compile(r"(?<!\S)--?[A-Za-z0-9_.-]*image[ \t]+(?=[^\s-])", re.IGNORECASE)
_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(?=\S)")
_ENGINE = re.compile(r"\b(?:docker|podman|nerdctl|crictl|ctr|skopeo)\s")
_COMMENT = re.compile(r"(?:^|(?<=\s))(?:#(?!!)|//(?=\s))")
_ONLY = re.compile(r"\s*(?:- +)?[\"']?([^\s\"'=]+)[\"']?,?\s*")
_ASSIGNED = re.compile(r"\s*(?:- +|export +)?[\"']?[\w.-]+[\"']?\s*[=:]\s*[\"']?([^\s\"'=]+)[\"']?[,;]?\s*")
_TRAILING = ",;}])."
_PIECE = 4096
_LONGEST_LINE = 1 << 16


class Piece(NamedTuple):
    """A part of a line.

    Shape: ``token`` is None for what stands behind a key that means an image, whatever it is; ``alone`` says that a
           token is all of its line, or all that a key has; ``is_run`` that it is handed to what runs containers.
    """

    line: int
    text: str
    token: Token | None = None
    comment: bool = False
    alone: bool = False
    is_run: bool = False


def iter_pieces(text: str) -> Iterator[Piece]:
    """Yield what may be a name in the lines of ``text``; what stands behind a key is given once, for the key's sake."""
    for number, line in enumerate(text.split("\n"), 1):
        if ":" not in line and "@" not in line and "image" not in line.lower() and "FROM" not in line:
            continue
        code, comment = _parted(line)
        yield from _pieces_of(number, code)
        if comment:
            yield from (Piece(number, one.text, one, comment=True) for one in iter_tokens(comment))


def _parted(line: str) -> tuple[str, str]:
    """Part a line into what counts and its comment."""
    mark = _COMMENT.search(line)
    return (line[: mark.start()], line[mark.end() :]) if mark else (line, "")


def _pieces_of(number: int, line: str) -> Iterator[Piece]:
    said = set[str]()
    if "image" in line.lower() or "FROM" in line:
        for value in _values_of(line):
            said.add(value)
            yield Piece(number, value)
    bare = _bare(line)
    for token in iter_tokens(line):
        is_told = any(token.text in one or token.form is Form.MARKED for one in said)
        if not is_told:
            said.add(token.text)
            yield Piece(number, token.text, token, alone=token.text == bare)
    is_run = len(line) <= _LONGEST_LINE and _ENGINE.search(line) is not None
    for token in _words_of([bare, *(line.split() if is_run else ())]):
        if token.text not in said:
            said.add(token.text)
            yield Piece(number, token.text, token, alone=True, is_run=is_run)


def _bare(line: str) -> str:
    """Return the one word of a line, or the one that is assigned in it."""
    if len(line) > _PIECE:
        return ""
    found = _ONLY.fullmatch(line) or _ASSIGNED.fullmatch(line)
    return found[1].rstrip(_TRAILING) if found else ""


def _words_of(words: Sequence[str]) -> Iterator[Token]:
    """Yield short names, which are told from hosts with ports by what stands around them alone."""
    for word in words:
        token = read_token(word) if ":" in word else None
        if token is not None and token.form is Form.WORD and is_versioned(token.text):
            yield token


def _values_of(line: str) -> Iterator[str]:
    """Yield what stands behind each key that ends in ``image``."""
    for pattern in (_KEY, _OPTION, _FROM):
        for key in pattern.finditer(line):
            value = _value_at(line, key.end())
            if value:
                yield value


def _value_at(line: str, start: int) -> str:
    """Return the value that begins at ``start``: quoted, or up to a blank."""
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
