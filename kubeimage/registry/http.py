"""One HTTP exchange: a request goes out, an answer comes back. Redirects, logins and retries are the work of others.

Connections are kept and used again. Bodies stream both ways, in pieces; nothing is ever held whole here.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from kubeimage.errors import RegistryConnectionError, RegistryContentError
from kubeimage.registry.connection import Connection, Patience, send_request
from kubeimage.registry.dialing import dial_by, plain_of, secured
from kubeimage.registry.lost import translated
from kubeimage.registry.messages import PIECE, Request, parse_count
from kubeimage.registry.origin import Origin
from kubeimage.registry.proxy import find_proxy
from kubeimage.registry.tls import Trust


class Response:
    """An answer whose body is read in pieces. Close it: the connection is used again if all of it was read."""

    def __init__(self, request: Request, raw: http.client.HTTPResponse, done: Callable[[bool], None]) -> None:
        self.request = request
        self.status = raw.status
        self.headers = raw.headers
        self._raw = raw
        self._done = done
        self._closed = False

    @property
    def size(self) -> int | None:
        """How many bytes the body has, if the server says so."""
        return parse_count(self.headers.get("Content-Length", ""))

    def read_piece(self, most: int = PIECE) -> bytes:
        """Return the next bytes, up to ``most``; none at the end.

        Raises: RegistryConnectionError where the connection is lost, or is too slow.
        """
        with translated(self.request):
            piece = self._raw.read(most)
            if not piece and self._raw.length:
                raise http.client.IncompleteRead(b"", self._raw.length)
            return piece

    def read(self, limit: int) -> bytes:
        """Return the whole body of a small answer.

        Raises: RegistryContentError for more than ``limit`` bytes; RegistryConnectionError.
        """
        pieces: list[bytes] = []
        size = self.size or 0
        while size <= limit:
            piece = self.read_piece()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size = sum(map(len, pieces))
        raise RegistryContentError(
            f"{self.request.shown}: the answer is longer than {limit} bytes, which is the limit", status=self.status
        )

    def drain(self, limit: int = 1 << 16) -> None:
        """Read what is left of a body that nobody wants, as far as that costs less than a new connection."""
        with suppress(RegistryConnectionError, RegistryContentError):
            if (self.size or 0) <= limit:
                self.read(limit)
        self.close()

    def close(self) -> None:
        """Close the connection; once is enough."""
        if self._closed:
            return
        self._closed = True
        # http.client sets fp to None when the body has ended, and then the connection can carry another request.
        self._done(self._raw.isclosed() and not self._raw.will_close)
        self._raw.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class HttpTransport:
    """Sends requests over connections that it keeps; any number of threads may use it."""

    def __init__(self, trust: Trust, patience: Patience | None = None) -> None:
        self._trust = trust
        self._patience = patience or Patience()
        self._idle: dict[Origin, list[http.client.HTTPConnection]] = {}
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def send(self, request: Request) -> Response:
        """Send ``request`` and give the answer, whatever its status.

        A kept connection that the server has closed meanwhile is replaced by a new one, once.
        Raises: RegistryConnectionError.
        """
        with translated(request):
            kept = self._take(request.origin)
            if kept is not None:
                try:
                    return self._exchange(kept, request)
                except ConnectionError:
                    if request.method not in ("GET", "HEAD"):
                        # It may have been done, and only the answer be lost.
                        raise
            return self._exchange(self._connect(request.origin), request)

    def speaks_tls(self, origin: Origin) -> bool:
        """Whether TLS is spoken at ``origin``, so that nothing is sent in the clear where it need not be.

        Raises: RegistryConnectionError where nobody answers at all.
        """
        request = Request("CONNECT", f"{origin.scheme}://{origin}/")
        try:
            with translated(request):
                self._give_back(origin, self._connect(origin, self._patience.handshake))
        except RegistryConnectionError as error:
            if isinstance(error.__cause__, ssl.SSLError | TimeoutError | ConnectionResetError | EOFError):
                return False
            raise
        return True

    def abort(self) -> None:
        """End all waiting: what is under way fails, in whichever thread, and nothing new begins."""
        with self._lock:
            self._closed = True
            sockets = list(self._sockets)
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _exchange(self, connection: http.client.HTTPConnection, request: Request) -> Response:
        try:
            send_request(connection, request, self._patience)
            raw = connection.getresponse()
        except BaseException:
            connection.close()
            raise

        def done(reusable: bool) -> None:
            if reusable:
                self._give_back(request.origin, connection)
            else:
                connection.close()

        return Response(request, raw, done)

    def _connect(self, origin: Origin, handshake: float | None = None) -> http.client.HTTPConnection:
        proxy = find_proxy(origin)
        dial = dial_by(proxy, self._trust.context) if proxy is not None else None
        connection = Connection(origin, proxy, self._patience, dial)
        try:
            connection.connect()
            if origin.scheme == "https":
                connection.sock.settimeout(handshake or self._patience.connect)
                context = self._trust.context(str(origin))
                connection.sock = secured(connection.sock, context, origin.host)
            self._add(plain_of(connection.sock))
        except BaseException:
            connection.close()
            raise
        return connection

    def _add(self, sock: socket.socket) -> None:
        with self._lock:
            if self._closed:
                raise ConnectionAbortedError("stopped")
            self._sockets.add(sock)

    def _take(self, origin: Origin) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                kept = idle.pop() if idle else None
            if kept is None or not select.select([kept.sock], [], [], 0)[0]:
                return kept
            # There is something to read though nothing was asked: the end.
            kept.close()

    def _give_back(self, origin: Origin, connection: http.client.HTTPConnection) -> None:
        with self._lock:
            if not self._closed:
                self._idle.setdefault(origin, []).append(connection)
                return
        connection.close()
