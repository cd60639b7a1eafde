"""A packed registry over HTTP, for as long as a rehearsal lasts."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.errors import KubeimageError
from kubeimage.rehearsal.registry import Answer, PackedRegistry


@contextmanager
def serving(registry: PackedRegistry, listener: socket.socket) -> Iterator[list[KubeimageError]]:
    """Answer what comes to ``listener``, in threads; give the errors of layers that could not be read.

    The listener is closed at the end.
    """
    server = _Server(registry, listener)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="packed registry", daemon=True)
    thread.start()
    try:
        yield server.failures
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, registry: PackedRegistry, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.registry = registry
        self.failures: list[KubeimageError] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go out one by one: the second must not wait for the first to be acknowledged.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        answer = self._begin()
        for piece in answer.body:
            self.wfile.write(piece)

    def do_HEAD(self) -> None:
        self._begin()

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except KubeimageError as error:
            # The answer has begun: that it ends early is how the node sees it.
            self.server.failures.append(error)
            self.close_connection = True
        except OSError:
            # The node is gone, and so nobody waits for an answer.
            self.close_connection = True

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class calls it so
        """Say nothing."""

    def _begin(self) -> Answer:
        answer = self.server.registry.answer(self.path)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.size))
        self.end_headers()
        return answer
