"""What a registry can do wrong, and when it is to do so.

Each fault makes an answer in its own way out of a request and what the registry would have answered; None drops the
connection without an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Protocol
from urllib.parse import urlsplit

from harness.fakes.registry.access import Access
from harness.fakes.registry.messages import Request, Response
from harness.fakes.registry.problems import code_of, error_response

Answer = Callable[[], Response]
DIGEST_HEADER = "docker-content-digest"


class Fault(Protocol):
    """One way to go wrong."""

    def apply(self, request: Request, answer: Answer) -> Response | None:
        """Return what is answered instead; ``answer`` does what was asked for."""
        ...


@dataclass(frozen=True)
class Slow:
    """Wait before the answer, or before each ``every`` bytes of it. Units: ``seconds``."""

    seconds: float
    every: int | None = None

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer late."""
        return replace(answer(), delay=self.seconds, pace=self.every)


@dataclass(frozen=True)
class Drop:
    """Drop the connection: before the request is looked at, or ``after`` so many bytes of the answer's body.

    Shape: ``received`` drops it after so many bytes of the request's body, which an upload keeps.
    """

    after: int | None = None
    received: int | None = None

    def apply(self, request: Request, answer: Answer) -> Response | None:
        """Answer in part, or not at all."""
        if self.after is not None:
            return replace(answer(), cut=self.after)
        if self.received is not None and request.method == "PATCH":
            answer()
        return None


@dataclass(frozen=True)
class Lose:
    """Do what was asked for, and drop the connection in place of the answer."""

    def apply(self, request: Request, answer: Answer) -> None:  # noqa: ARG002 - the protocol's
        """Say nothing."""
        answer()


@dataclass(frozen=True)
class Status:
    """Answer with a status, its error code, and perhaps Retry-After; 401 comes with a challenge."""

    status: int
    code: str = ""
    retry_after: int | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    detail: object = None

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Refuse, without looking at what was asked for."""
        headers = dict(self.headers)
        if self.status == 401:
            headers = {**Access(login="token").challenge(request, request.repository), **headers}
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        return error_response(
            self.code or code_of(self.status), status=self.status, detail=self.detail, headers=headers
        )


@dataclass(frozen=True)
class WrongBytes:
    """Send other bytes, as many as there should be; or ``body``."""

    body: bytes | None = None

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer with the lowest bit of each byte turned."""
        right = answer()
        return replace(right, body=bytes(byte ^ 1 for byte in right.body) if self.body is None else self.body)


@dataclass(frozen=True)
class WrongLength:
    """Say in Content-Length that there are ``by`` bytes more than are sent (or, below 0, less)."""

    by: int

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer, and drop the connection when all is sent."""
        right = answer()
        return replace(right, length=len(right.body) + self.by, cut=len(right.body))


@dataclass(frozen=True)
class Truncated:
    """Send only the first ``size`` bytes, as if they were all."""

    size: int

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer with less."""
        right = answer()
        return replace(right, body=right.body[: self.size])


@dataclass(frozen=True)
class Endless:
    """Send blanks after the body until the client has enough; Content-Length says nothing."""

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer without end."""
        return replace(answer(), blanks=None)


@dataclass(frozen=True)
class Huge:
    """Send the body with blanks after it, ``size`` bytes in all: JSON stays valid, and nothing is held in memory."""

    size: int = 100 << 20

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer at length."""
        right = answer()
        return replace(right, blanks=max(self.size - len(right.body), 0))


@dataclass(frozen=True)
class WrongHeader:
    """Send another value in a header, or leave the header out for None; Docker-Content-Digest if no other is named."""

    value: str | None = f"sha256:{'0' * 64}"
    name: str = DIGEST_HEADER

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer with the other header."""
        right = answer()
        headers = {name: value for name, value in right.headers.items() if name != self.name.lower()}
        return replace(right, headers=headers if self.value is None else {**headers, self.name.lower(): self.value})


@dataclass(frozen=True)
class Redirect:
    """Send the client elsewhere: to the same path of another server (``http://host:port``), or to a whole URL."""

    to: str
    status: int = 307

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer with the other place."""
        address = urlsplit(self.to)
        same_path = address.scheme in ("http", "https") and not address.path
        return Response(self.status, {"location": self.to + request.path if same_path else self.to})


@dataclass(frozen=True)
class Afterwards:
    """Answer rightly, and then do something: let a tag move between two calls, say."""

    action: Callable[[], object]

    def apply(self, request: Request, answer: Answer) -> Response:  # noqa: ARG002 - the protocol's
        """Answer, then act."""
        right = answer()
        self.action()
        return right


@dataclass
class Rule:
    """A fault for the requests that a pattern fits, ``skip`` of them left out, ``times`` of them hit (None: all)."""

    pattern: str
    fault: Fault
    skip: int = 0
    times: int | None = 1
    seen: int = 0

    def hits(self, request: Request) -> bool:
        """Count a request if it fits, and say whether it is one to go wrong."""
        if not fnmatchcase(str(request), self.pattern):
            return False
        self.seen += 1
        return self.seen > self.skip and (self.times is None or self.seen <= self.skip + self.times)


__all__ = [
    "Afterwards",
    "Drop",
    "Endless",
    "Fault",
    "Huge",
    "Lose",
    "Redirect",
    "Rule",
    "Slow",
    "Status",
    "Truncated",
    "WrongBytes",
    "WrongHeader",
    "WrongLength",
]
