"""What people call images that lie elsewhere than in the store: the names that skopeo has for them.

Source: containers/image, containers-transports(5).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, get_args

from kubeimage.errors import UsageError
from kubeimage.values import dataclass

Transport = Literal["oci", "oci-archive", "docker-archive", "docker", "docker-daemon"]
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

FORMS = (
    "NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME], docker-archive:FILE[:NAME], docker://HOST/NAME, docker-daemon:NAME"
)
"""How an image can be named, for help and errors."""


@dataclass(frozen=True)
class SourceName:
    """An image outside the store.

    Shape: ``place`` is a path, or empty where there is none. ``name`` is what it is called there, empty for the only
           one.
    """

    transport: Transport
    place: str
    name: str

    def __str__(self) -> str:
        if self.transport == "docker":
            return f"docker://{self.name}"
        return ":".join((self.transport, *filter(None, (self.place, self.name))))


def is_source_name(text: str) -> bool:
    """Whether a text names an image outside the store."""
    head, colon, rest = text.partition(":")
    # docker:20 is an image of that name, and of that tag.
    return bool(colon) and head in TRANSPORTS and (head != "docker" or rest.startswith("//"))


def parse_source_name(text: str) -> SourceName:
    """Read the name of an image outside the store.

    Raises: UsageError where nothing stands behind the colon, or too much.
    """
    head, _, rest = text.partition(":")
    transport = next(one for one in TRANSPORTS if one == head)
    if transport == "docker":
        rest = rest.removeprefix("//")
    if not rest:
        raise UsageError(
            f"not the name of an image: {text!r}: nothing stands behind {head}:", hint=f"images are {FORMS}"
        )
    if transport in ("docker", "docker-daemon"):
        return SourceName(transport, "", rest)
    is_place = os.path.isdir if transport == "oci" else os.path.exists
    place, name = _split(rest, is_place)
    return SourceName(transport, place, name)


def _split(text: str, is_place: Callable[[str], bool]) -> tuple[str, str]:
    """Part a path from a name; a path may hold colons, so the longest one that is there counts."""
    ends = [at for at, letter in enumerate(text) if letter == ":"]
    for end in (len(text), *reversed(ends)):
        if text[:end] and is_place(text[:end]):
            return text[:end], text[end + 1 :]
    place, _, name = text.partition(":")
    return place, name
