"""Names of container images as Kubernetes reads them: what a short name leaves out is Docker Hub's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from kubeimage.errors import ReferenceFormatError
from kubeimage.image.reference import Naming, Reference
from kubeimage.patterns import pattern

DOCKER_HUB = "docker.io"
_HUB_NAMES = frozenset({"index.docker.io", "registry-1.docker.io"})
_HUB = Naming(DOCKER_HUB, "library")
_LONGEST = 1024
_LETTER = "[a-z]"
_TEMPLATE = pattern(r"\{\{|\}\}|\$\(|\$\{|\$[A-Za-z_]|<[A-Za-z_ -]+>|%[a-z(]")


# An application names few images, each of them often.
@lru_cache(1 << 14)
def parse_image(text: str) -> Reference:
    """Read the name of a container image; a missing tag is ``latest``.

    Raises: ReferenceFormatError, which says what is wrong with it.
    """
    if len(text) > _LONGEST:
        raise ReferenceFormatError(f"not an image reference: it has {len(text)} characters")
    reference = _HUB.parse(text)
    if reference.domain in _HUB_NAMES:
        reference = _HUB.parse(str(replace(reference, domain=DOCKER_HUB)))
    return reference


def familiar(reference: Reference) -> str:
    """Return the name as people write it."""
    return _HUB.familiar(reference)


def has_template(text: str) -> bool:
    """Whether a text has a template's marks or variables in it."""
    return _TEMPLATE.search(text) is not None


def read_name(text: str, *, certain: bool) -> Reference | str:
    """Return the image that ``text`` names, or the reason why it names none.

    What is not ``certain`` to be a name must be whole: with a tag or digest, and a repository that is no number.
    """
    text = text.strip()
    if not text:
        return "empty"
    if _TEMPLATE.search(text):
        return "a template or variable, not a name"
    if any(char.isspace() for char in text):
        return "a text, not a name"
    try:
        reference = parse_image(text)
    except ReferenceFormatError as error:
        return error.message.removeprefix("not an image reference: ").removeprefix(f"{text!r}: ")
    if certain:
        return reference
    if reference.digest is None and ":" not in text.rpartition("/")[2]:
        return "a word without tag or digest: only a guess"
    if not re.search(_LETTER, reference.repository.removeprefix("library/")):
        return "numbers, not a name"
    return reference


class Choice(NamedTuple):
    """Which images people want in and out, whatever is found.

    Shape: ``ignored`` are patterns with ``*`` and ``?``, of a name as it is written or in full, with or without tag.
    """

    ignored: tuple[str, ...] = ()
    added: tuple[Reference, ...] = ()

    def ignores(self, image: Reference) -> str | None:
        """Return the pattern that leaves ``image`` out, if one does."""
        if not self.ignored:
            return None
        names = _spellings(image)
        return next((one for one in self.ignored if any(fnmatchcase(name, one) for name in names)), None)

    def ignores_text(self, text: str) -> bool:
        """Whether a pattern leaves out a text that is no name."""
        return any(text == one or fnmatchcase(text, one) for one in self.ignored)


def _spellings(image: Reference) -> Sequence[str]:
    full, short = str(image), familiar(image)
    named = image.with_tag(image.tag) if image.tag else None
    bare = f"{image.domain}/{image.repository}"
    names = [full, short, bare, familiar(image.with_tag("x")).removesuffix(":x")]
    return [*names, str(named), familiar(named)] if named is not None else names


def parse_ignore_file(text: str) -> tuple[str, ...]:
    """Read ``.imageignore``: a pattern a line, ``#`` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in text.removeprefix("\ufeff").splitlines())
    return tuple(line for line in lines if line)
