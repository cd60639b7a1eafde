"""What goes to a registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from kubeimage.registry.origin import Origin, origin_of

_LARGEST = 10**18

PIECE = 1 << 20
"""Bytes that are read, hashed and sent at once."""


class Body(NamedTuple):
    """What a request sends: ``size`` bytes, read from the start each time it is sent.

    Shape: ``size`` None is for what is still being made; that is sent once.
    """

    size: int | None
    open: Callable[[], Iterator[bytes | memoryview]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Return the body that is ``data``."""
        return cls(len(data), lambda: iter((data,)))


class Request(NamedTuple):
    """An HTTP request. Its ``repr`` shows no header, for these hold secrets."""

    method: str
    url: str
    headers: Mapping[str, str] = MappingProxyType({})
    body: Body | None = None

    def __repr__(self) -> str:
        return f"Request({self.shown})"

    @property
    def origin(self) -> Origin:
        """Where it goes.

        Raises: ValueError for an address that is not http or https.
        """
        return origin_of(self.url)

    @property
    def target(self) -> str:
        """Path and query."""
        parts = urlsplit(self.url)
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def shown(self) -> str:
        """What to tell people: without the query, which may hold a signature."""
        parts = urlsplit(self.url)
        return f"{self.method} {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def parse_count(text: str) -> int | None:
    """Return a number of bytes or seconds from a header, the largest that makes sense for an absurd one.

    Shape:  None where it is no number.
    """
    if not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    # Python itself refuses numbers of some thousand digits.
    return int(digits or "0") if len(digits) < len(str(_LARGEST)) else _LARGEST
