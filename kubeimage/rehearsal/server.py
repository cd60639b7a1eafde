"""A registry that can only be read, over HTTP: what is packed in an image, or an image itself.

Source: RFC 9110, section 14, for ranges: the first one that is asked for is answered.
"""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubeimage.disk.threads import begin
from kubeimage.errors import KubeimageError
from kubeimage.rehearsal.registry import Answer, Answering

_RANGE = re.compile(r"bytes=(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})")


@contextmanager
def serving(registry: Answering, listener: socket.socket) -> Iterator[list[KubeimageError]]:
    """Answer what comes to ``listener``, in threads; give the errors of layers that could not be read.

    The listener is closed at the end.
    """
    server = _Server(registry, listener)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="packed registry", daemon=True)
    begin(thread)
    try:
        yield server.failures
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, registry: Answering, listener: socket.socket) -> None:
        super().__init__(listener.getsockname(), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.registry = registry
        self.failures: list[KubeimageError] = []


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "kubeimage", ""
    # Head and body go out one by one: the second must not wait for the first to be acknowledged.
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        answer, part = self._begin()
        at = 0
        for piece in answer.body:
            shown = piece[max(part.start - at, 0) : max(part.stop - at, 0)]
            at += len(piece)
            if shown:
                self.wfile.write(shown)
            if at >= part.stop:
                return

    def do_HEAD(self) -> None:
        self._begin()

    def do_POST(self) -> None:
        self.send_error(405, "this registry can only be read")
        # What was sent along is left unread.
        self.close_connection = True

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815  the base class calls them so

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

    def _begin(self) -> tuple[Answer, range]:
        """Send the head of an answer; return it, and which of its bytes are to follow."""
        answer = self.server.registry.answer(self.path)
        part = self._asked(answer.size) if answer.status == 200 else None
        self.send_response(answer.status if part is None else 206)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if part is not None:
            self.send_header("Content-Range", f"bytes {part.start}-{part.stop - 1}/{answer.size}")
        sent = range(answer.size) if part is None else part
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        return answer, sent

    def _asked(self, size: int) -> range | None:
        """Return the bytes that are asked for, None for all of them, and for what cannot be answered."""
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        if found is None:
            return None
        part = range(int(found["first"]), min(int(found["last"] or size - 1) + 1, size))
        return part or None
