"""What a client asked, and what it is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_REPOSITORY = re.compile(r"/v2/(.+?)/(?:blobs|manifests|referrers|tags)/")


@dataclass(frozen=True)
class Request:
    """A request as it came, its body left out.

    Shape: ``path`` as it was sent, without the query; ``headers`` by their names in lower case, credentials included;
           ``origin`` is the address that the client used, as ``http://127.0.0.1:5000``.
    """

    method: str
    path: str
    query: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    origin: str = field(default="", repr=False)

    @property
    def authorization(self) -> str:
        """The header that holds credentials, or nothing."""
        return self.headers.get("authorization", "")

    @property
    def repository(self) -> str | None:
        """The repository that it is about, if any."""
        match = _REPOSITORY.match(self.path)
        return match[1] if match else None

    def argument(self, name: str) -> str | None:
        """Return the first value of that name in the query, or None."""
        return next(iter(self.query.get(name, ())), None)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Response:
    """An answer, and how it is delivered.

    Shape: ``blanks`` follow the body, so many bytes or, for None, without end. ``length`` stands in Content-Length in
           place of the true number. ``cut`` drops the connection after so many bytes of the body.
    Units: ``delay`` in seconds, once before the answer, or before each ``pace`` bytes of the body.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    blanks: int | None = 0
    length: int | None = None
    cut: int | None = None
    delay: float = 0
    pace: int | None = None
