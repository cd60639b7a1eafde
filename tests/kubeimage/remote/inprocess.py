"""Requests that a registry of this process answers without a socket, and work that no thread does."""

import http.client
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest

from harness.fakes.registry import FakeRegistry
from harness.fakes.registry import messages as told
from kubeimage.registry import registries
from kubeimage.registry.http import Response
from kubeimage.registry.messages import Request
from kubeimage.remote import layers, reader


class InProcess:
    """Takes the place of `HttpTransport`: what it is asked, a registry is called with."""

    def __init__(self, registry: FakeRegistry) -> None:
        self._registry = registry

    def send(self, request: Request) -> Response:
        """Return the registry's answer."""
        address = urlsplit(request.url)
        query = {name: tuple(values) for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = told.Request(request.method, address.path, query, headers, f"{address.scheme}://{address.netloc}")
        body = b"".join(map(bytes, request.body.open())) if request.body is not None else b""
        answer = self._registry.answer(asked, body, self._registry.begin(asked))
        assert answer is not None, "no rule drops a connection here"
        raw = _Answer(answer, is_head=request.method == "HEAD")
        return Response(request, cast("http.client.HTTPResponse", raw), lambda _reusable: None)

    def abort(self) -> None:
        """End nothing: nothing waits."""

    def close(self) -> None:
        """Close nothing: nothing is open."""


class _Answer:
    """What `http.client` would have read. Shape: ``length`` is how many bytes of the body are still to be read."""

    will_close = False

    def __init__(self, answer: told.Response, *, is_head: bool) -> None:
        self.status = answer.status
        self.headers = Message()
        for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
            self.headers[name] = value
        self._body = io.BytesIO(b"" if is_head else answer.body)
        self.length = len(self._body.getbuffer())

    def read(self, most: int) -> bytes:
        piece = self._body.read(most)
        self.length -= len(piece)
        return piece

    def isclosed(self) -> bool:
        return not self.length

    def close(self) -> None:
        """Close nothing: it is in memory."""


def _run_in_turn(jobs: Sequence[Callable[[], object]], *_others: object, **_named: object) -> None:
    for job in jobs:
        job()


@contextmanager
def called_directly(registry: FakeRegistry) -> Iterator[None]:
    """Let a registry be called by those who would send it requests, one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registries, "HttpTransport", lambda *_: InProcess(registry))
        for module in (layers, reader):
            patch.setattr(module, "run_all", _run_in_turn)
        yield
