"""What a text at a place may be, by the key that it stands at: a name that is meant, one by its looks, or none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import NamedTuple

from kubeimage.discovery.names import (
    TEMPLATE,
    Form,
    Token,
    has_small_number,
    is_versioned,
    is_well_known,
    iter_tokens,
    read_token,
    why_no_image,
)
from kubeimage.discovery.references import read_name
from kubeimage.discovery.text import Piece

KEY_RULE = "key"
LOOKS_RULE = "looks"
LINE_RULE = "line"
ARGUMENT_RULE = "argument"

IN_PROSE = "in a description"
IN_EXAMPLE = "an example"
OUTDATED = "what kubectl remembers of an older state"
_SHORT = "a short name, where nothing says that an image is meant"
_IN_TEXT = "a name without a registry, within a text"
_PORT = "a name and a number: an image, or a service and its port"
_NO_TAG = "a word without tag or digest: only a guess"

_ENDS = ("image", "imagename", "imageref", "imagereference", "imageurl", "imageuri", "imagepath")
_ASSIGNMENT = re.compile(r"(--?)?([A-Za-z0-9_./-]+)=(\S+)")


class About(IntEnum):
    """What a key says of its value: nothing, something about images, or that it is one."""

    NOTHING = 0
    IMAGES = 1
    IMAGE = 2


class Steps(NamedTuple):
    """The way to a value: the last key or number, and the way before it."""

    before: Steps | None
    step: str | int

    def all(self) -> tuple[str | int, ...]:
        """Return the keys and numbers, the outermost first."""
        found: list[str | int] = []
        here: Steps | None = self
        while here is not None:
            found.append(here.step)
            here = here.before
        return tuple(reversed(found))


class Hint(NamedTuple):
    """A text that may be a name.

    Shape: ``reason`` says why it is passed over whatever it reads as; ``quiet`` that it is worth no word where it
           reads as no name. ``tail`` stands behind the way to it, as in ``, line 7``.
    """

    text: str
    at: Steps | None
    rule: str
    certain: bool = False
    reason: str | None = None
    quiet: bool = False
    tail: str = ""


@cache
def about(key: str) -> About:
    """Return what a key says of its value."""
    plain = key.replace("_", "").replace("-", "").lower()
    if plain.endswith(_ENDS):
        return About.IMAGE
    return About.IMAGES if "image" in plain else About.NOTHING


def hints_of_scalar(text: str, at: Steps | None, says: About) -> Iterator[Hint]:
    """Judge a text of one line by what its key says."""
    if says is About.IMAGE and text:
        yield from _of_image_key(text, at)
        return
    assigned = _ASSIGNMENT.fullmatch(text) if "=" in text else None
    if assigned is not None:
        yield from _assigned(assigned, at, says)
        return
    if ":" not in text and "@" not in text:
        if "/" in text and says is About.NOTHING and is_well_known(text) and not any(map(str.isspace, text)):
            yield Hint(text, at, LOOKS_RULE, reason=_NO_TAG, quiet=True)
        return
    yield from _hints_of_tokens(text, at, says)


def _hints_of_tokens(text: str, at: Steps | None, says: About) -> Iterator[Hint]:
    """Judge each part of a text that reads as a name, once however often it stands there."""
    whole = read_token(text.strip())
    said = set[str]()
    for token in iter_tokens(text):
        if token.text not in said:
            said.add(token.text)
            yield from hints_of_token(token, at, says, alone=whole is not None and token.text == whole.text)
    if whole is not None and whole.form is Form.WORD:
        yield from hints_of_token(whole, at, says, alone=True)


def hints_of_token(token: Token, at: Steps | None, says: About, *, alone: bool, tail: str = "") -> Iterator[Hint]:
    """Judge a part of a text that reads as a name; ``alone`` says that it is all of what a key or line has.

    Example: ``quay.io/a/b:1`` is a hint wherever it stands, ``a/b:1`` one with a reason if it stands in a sentence.
    """
    verdict = _judge(token, says, alone=alone)
    if verdict is None:
        return
    rule = LINE_RULE if tail else KEY_RULE if says else LOOKS_RULE
    yield Hint(token.text, at, rule, reason=verdict.reason, quiet=verdict.quiet, tail=tail)


class _Verdict(NamedTuple):
    """What a hint says of a token. Shape: see ``Hint``."""

    reason: str | None = None
    quiet: bool = True


def _judge(token: Token, says: About, *, alone: bool) -> _Verdict | None:
    """Return what is to be said of a token, None where nothing is."""
    text, form = token.text, token.form
    reason = why_no_image(token)
    if reason is not None:
        # The marks of a template alone don't make a text a name.
        is_told = form is not Form.MARKED or says or alone or _is_said(text)
        return _Verdict(reason, quiet=False) if is_told else None
    if form is Form.HOST:
        return _Verdict(quiet=False)
    if says:
        return _Verdict() if alone or is_versioned(text) else None
    if form is Form.PATH:
        return _judge_path(text, alone=alone)
    if alone and (is_versioned(text) or has_small_number(text)):
        return _Verdict(_SHORT)
    return None


def _judge_path(text: str, *, alone: bool) -> _Verdict | None:
    """Return what is to be said of a name without a registry, which stands at a key that says nothing."""
    if is_versioned(text):
        return _Verdict(None if alone else _IN_TEXT)
    if alone and text.rpartition(":")[2].isdigit():
        return _Verdict(_PORT)
    return None


def _is_said(text: str) -> bool:
    """Whether a name with a template's marks says its registry or its tag."""
    return "…" not in text.partition("/")[0] or "…" not in text.rpartition(":")[2]


def hints_of_piece(piece: Piece, at: Steps | None, says: About, tail: str) -> Iterator[Hint]:
    """Judge a part of a line."""
    if piece.token is None:
        yield Hint(piece.text, at, LINE_RULE, tail=tail)
        return
    says = About.IMAGES if piece.is_run else says
    yield from hints_of_token(piece.token, at, says, alone=piece.alone, tail=tail)


def tokens_for(reason: str, text: str, at: Steps | None, tail: str = "") -> Iterator[Hint]:
    """Yield the names that stand where none is meant, with the reason."""
    for token in iter_tokens(text):
        if token.form is Form.HOST:
            yield Hint(token.text, at, LOOKS_RULE, reason=why_no_image(token) or reason, tail=tail)
        elif token.form is Form.MARKED and "…" not in token.text.partition("/")[0]:
            yield Hint(token.text, at, LOOKS_RULE, reason=TEMPLATE, tail=tail)


def _of_image_key(text: str, at: Steps | None) -> Iterator[Hint]:
    """Judge the value of a key that means an image: all of it, or the names in it where it is several."""
    if isinstance(read_name(text, certain=False), str) and any(char in text for char in ",=; \t"):
        tokens = [one for one in iter_tokens(text) if one.form is not Form.MARKED]
        if tokens:
            for token in tokens:
                yield from hints_of_token(token, at, About.IMAGE, alone=True)
            return
    yield Hint(text, at, KEY_RULE)


def _assigned(found: re.Match[str], at: Steps | None, says: About) -> Iterator[Hint]:
    """Judge ``--flag=VALUE`` and ``KEY=VALUE`` by what its own key says, too."""
    own = max(says, about(found[2]))
    for hint in hints_of_scalar(found[3], at, own):
        yield hint._replace(rule=ARGUMENT_RULE if found[1] else hint.rule)
