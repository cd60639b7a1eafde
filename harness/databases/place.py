"""Where an example database is, as the option ``--database`` says it. Nothing is opened or asked here."""

from __future__ import annotations

import os
from enum import Enum
from typing import NamedTuple
from urllib.parse import urlsplit

_REDIS = ("redis", "rediss", "unix")
_GITHUB = "github"


class Kind(Enum):
    """What keeps the examples."""

    FOLDER = "folder"
    REDIS = "redis"
    GITHUB = "github"


class Place(NamedTuple):
    """Where a database is. Shape: ``text`` is a path, or a URL as it was written."""

    kind: Kind
    text: str

    @property
    def shown(self) -> str:
        """How messages name it: without a password."""
        if self.kind is not Kind.REDIS:
            return self.text
        scheme, _, rest = self.text.partition("?")[0].partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def parse_place(text: str) -> Place:
    """Return the place that ``text`` names.

    Raises: ValueError that says what is wrong, and what may stand there.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Place(Kind.FOLDER, _folder(text))
    if scheme in _REDIS:
        return Place(Kind.REDIS, _redis(text))
    if scheme == _GITHUB:
        if len(parts := rest.split("/")) not in {2, 3} or not all(parts):
            raise ValueError(f"{text}: an artifact is named github://OWNER/REPO or github://OWNER/REPO/ARTIFACT")
        return Place(Kind.GITHUB, text)
    raise ValueError(f"{text}: a database is redis://HOST:PORT/NUMBER, github://OWNER/REPO or a folder")


def _folder(text: str) -> str:
    if not text:
        raise ValueError("a database has a name: redis://HOST:PORT/NUMBER, github://OWNER/REPO or a folder")
    existing = os.path.abspath(text)
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        raise ValueError(f"{text}: {existing} is no folder")
    return text


def _redis(text: str) -> str:
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text}: a port is a number up to 65535") from error
    number = parts.path.strip("/")
    if parts.scheme == "unix":
        return text
    if not parts.hostname or port == 0 or (number and not (number.isascii() and number.isdigit())):
        raise ValueError(f"{text}: a server is named redis://HOST:PORT/NUMBER")
    return text
