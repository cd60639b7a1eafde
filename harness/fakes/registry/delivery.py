"""The HTTP server below a registry: reads requests, and sends answers the way that they are to be sent."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

from harness.fakes.registry.faults import Drop, Fault
from harness.fakes.registry.messages import Request, Response

_PIECE = 1 << 16


class Application(Protocol):
    """What decides on the answers."""

    def begin(self, request: Request) -> Fault | None:
        """Note a request whose body is still to come, and say what goes wrong with it."""
        ...

    def answer(self, request: Request, body: bytes, fault: Fault | None) -> Response | None:
        """Answer a request; None drops the connection."""
        ...


class Server(ThreadingHTTPServer):
    """Serves an application on a free port of 127.0.0.1, each connection in a thread of its own.

    Shape: ``failures`` are the errors that came up while answering, which nobody provoked.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(self, application: Application) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.application = application
        self.scheme = "http"
        self.stopping = threading.Event()
        self.failures: list[BaseException] = []
        self._connections: set[socket.socket] = set()
        self._guard = threading.Lock()

    def close(self) -> None:
        """Stop listening, end every connection, and wait for their threads."""
        self.stopping.set()
        self.shutdown()
        with self._guard:
            for connection in self._connections:
                _hang_up(connection)
        self.server_close()

    def process_request_thread(self, request: socket.socket | tuple[bytes, socket.socket], client_address: str) -> None:
        """Serve a connection, known as long as it lasts."""
        assert isinstance(request, socket.socket)
        with self._guard:
            self._connections.add(request)
            if self.stopping.is_set():
                _hang_up(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                self._connections.discard(request)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's
        """Keep what went wrong, except that a client went away or spoke no TLS."""
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body of an answer waits until the client has confirmed its head, which takes 40 ms.
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        request = self._request()
        fault = self.server.application.begin(request)
        try:
            body = self._body(fault.received if isinstance(fault, Drop) else None)
        except ValueError:
            self.send_error(400, "the request's length is no number")
            return
        response = self.server.application.answer(request, body, fault)
        if response is None:
            self.close_connection = True
            _hang_up(self.connection)
        else:
            self._deliver(response)

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - the base class's

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        pass

    def _request(self) -> Request:
        address = urlsplit(self.path)
        query = {name: tuple(values) for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            before = headers.get(name.lower())
            headers[name.lower()] = value if before is None else f"{before}, {value}"
        origin = f"{self.server.scheme}://{headers.get('host', '')}"
        return Request(self.command, address.path, query, headers, origin)

    def _body(self, limit: int | None) -> bytes:
        body = bytearray()
        for piece in self._pieces():
            body += piece
            if limit is not None and len(body) >= limit:
                return bytes(body[:limit])
        return bytes(body)

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := self._chunk_size():
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("content-length", 0))
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece

    def _chunk_size(self) -> int:
        line = self.rfile.readline()
        if not line:
            raise ConnectionAbortedError("the client went away between two chunks")
        return int(line.partition(b";")[0], 16)

    def _deliver(self, response: Response) -> None:
        if response.pace is None and response.delay:
            self.server.stopping.wait(response.delay)
        self.send_response(response.status)
        self.send_header("docker-distribution-api-version", "registry/2.0")
        for name, value in response.headers.items():
            self.send_header(name, value)
        self._send_length(response)
        self.end_headers()
        if self.command != "HEAD" and response.status != 204:
            self._send_body(response)

    def _send_length(self, response: Response) -> None:
        if response.blanks is None:
            self.send_header("connection", "close")
            self.close_connection = True
        elif response.status != 204:
            length = len(response.body) + response.blanks
            self.send_header("content-length", str(length if response.length is None else response.length))

    def _send_body(self, response: Response) -> None:
        left = response.cut
        for piece in _body_pieces(response):
            if self.server.stopping.is_set():
                break
            if response.pace is not None:
                self.server.stopping.wait(response.delay)
            self.wfile.write(piece if left is None else piece[:left])
            if left is not None:
                left = max(left - len(piece), 0)
                if not left:
                    break
        if response.cut is not None or self.server.stopping.is_set():
            self.close_connection = True
            _hang_up(self.connection)


def _body_pieces(response: Response) -> Iterator[bytes]:
    size = response.pace or _PIECE
    for start in range(0, len(response.body), size):
        yield response.body[start : start + size]
    left = response.blanks
    while left is None or left > 0:
        piece = b" " * (size if left is None else min(size, left))
        yield piece
        left = None if left is None else left - len(piece)


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # The client may have been first.
        connection.shutdown(socket.SHUT_RDWR)
