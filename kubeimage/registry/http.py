"""One HTTP exchange: a request goes out, an answer comes back. Redirects, logins and retries are the work of others.

Connections are kept and used again. Bodies stream both ways, in pieces; nothing is ever held whole here.
"""

from __future__ import annotations

import errno
import http.client
import io
import select
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from kubeimage.errors import RegistryConnectionError, RegistryContentError
from kubeimage.registry.origin import Origin, origin_of
from kubeimage.registry.proxy import Proxy, find_proxy
from kubeimage.registry.tls import Trust, certificate_error

PIECE = 1 << 20
"""Bytes that are read, hashed and sent at once."""

_NOT_THERE = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}


class Patience(NamedTuple):
    """How long to wait for a registry.

    Units: seconds. ``answer`` is for the first byte of an answer, ``handshake`` for a server that may not speak TLS;
           once bytes come, each ``window`` must bring ``window * rate`` bytes.
    """

    connect: float = 15
    handshake: float = 5
    send: float = 60
    answer: float = 120
    window: float = 30
    rate: float = 1024


class Body(NamedTuple):
    """What a request sends: ``size`` bytes, read from the start each time it is sent."""

    size: int
    open: Callable[[], Iterator[bytes | memoryview]]

    @classmethod
    def of(cls, data: bytes) -> Body:
        """Give the body that is ``data``."""
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
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def read_piece(self, most: int = PIECE) -> bytes:
        """Give the next bytes, up to ``most``; none at the end.

        Raises: RegistryConnectionError where the connection is lost, or is too slow.
        """
        with translated(self.request):
            piece = self._raw.read(most)
            if not piece and self._raw.length:
                raise http.client.IncompleteRead(b"", self._raw.length)
            return piece

    def read(self, limit: int) -> bytes:
        """Give the whole body of a small answer.

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
        """Let go of the connection; once is enough."""
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
                    if request.body is not None:
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
        """Let nobody wait any more: what is under way fails, in whichever thread, and nothing new begins."""
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
            self._send(connection, request)
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

    def _send(self, connection: http.client.HTTPConnection, request: Request) -> None:
        proxy = find_proxy(request.origin)
        plain_proxy = proxy is not None and request.origin.scheme == "http"
        target = request.url if plain_proxy else request.target
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", str(request.origin))
        if plain_proxy and proxy is not None:
            _put_headers(connection, proxy.headers)
        _put_headers(connection, request.headers)
        if request.body is not None:
            connection.putheader("Content-Length", str(request.body.size))
        elif request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", "0")
        connection.endheaders()
        if request.body is not None:
            try:
                self._send_body(connection.sock, request.body)
            except (BrokenPipeError, ConnectionResetError):
                # A server that refuses answers before it has read all; the answer says why.
                if not _has_answer(connection.sock):
                    raise

    def _send_body(self, sock: socket.socket, body: Body) -> None:
        sock.settimeout(self._patience.send)
        left = body.size
        for piece in body.open():
            view = memoryview(piece)[:left]
            _send_all(sock, view)
            left -= len(view)
        if left:
            raise RegistryContentError(f"what is to be sent ended {left} bytes early")

    def _connect(self, origin: Origin, handshake: float | None = None) -> http.client.HTTPConnection:
        proxy = find_proxy(origin)
        connection = _Connection(origin, proxy, self._patience)
        try:
            connection.connect()
            if origin.scheme == "https":
                connection.sock.settimeout(handshake or self._patience.connect)
                context = self._trust.context(str(origin))
                connection.sock = context.wrap_socket(connection.sock, server_hostname=origin.host)
            self._add(connection.sock)
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


class _Connection(http.client.HTTPConnection):
    """A connection, through a proxy if need be, whose answers must come at a pace. TLS is put on top by its maker."""

    def __init__(self, origin: Origin, proxy: Proxy | None, patience: Patience) -> None:
        super().__init__(
            proxy.host if proxy else origin.host, proxy.port if proxy else origin.port, timeout=patience.connect
        )
        if proxy and origin.scheme == "https":
            self.set_tunnel(origin.host, origin.port, dict(proxy.headers))
        self._patience = patience

    def response_class(  # type: ignore[override]  # the base class has a class here, and calls it
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None
    ) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_PacedSocket(sock, self._patience), debuglevel, method=method)  # type: ignore[arg-type]


class _PacedSocket:
    """What http.client takes for a socket: all it does is to make a file of it."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        self._sock = sock
        self._patience = patience

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_PacedReader(self._sock, mode, self._patience), 1 << 16)


class _PacedReader(io.RawIOBase):
    """Reads from a socket as long as enough comes: a server that sends a byte now and then holds nobody up for ever."""

    def __init__(self, sock: socket.socket, mode: str, patience: Patience) -> None:
        self._sock = sock
        # This keeps the socket open when http.client has closed its own side of it.
        self._file = sock.makefile(mode, buffering=0)  # type: ignore[call-overload]  # http.client's mode is "rb"
        self._patience = patience
        self._window_ends = 0.0
        self._received = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # Buffer is a name of Python 3.12
        patience = self._patience
        self._sock.settimeout(patience.window if self._window_ends else patience.answer)
        count: int = self._file.readinto(buffer)
        now = time.monotonic()
        self._received += count
        if now >= self._window_ends:
            if self._window_ends and count and self._received < patience.window * patience.rate:
                raise TimeoutError(f"it sent {self._received} bytes in {patience.window:g} s")
            self._window_ends, self._received = now + patience.window, 0
        return count


def _send_all(sock: socket.socket, data: bytes | memoryview) -> None:
    # Not sendall(), whose timeout is for all of it.
    view = memoryview(data)
    while view:
        view = view[sock.send(view) :]


def _has_answer(sock: socket.socket) -> bool:
    with suppress(OSError, ValueError):
        sock.settimeout(1)
        return bool(sock.recv(1, socket.MSG_PEEK)) if not isinstance(sock, ssl.SSLSocket) else True
    return False


def _put_headers(connection: http.client.HTTPConnection, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        connection.putheader(name, value)


class translated:  # noqa: N801  it is used as a function: a generator would cost as much as a small read
    """Turn what goes wrong on the way into a RegistryConnectionError that says where it happened."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError | http.client.HTTPException | ValueError):
            raise connection_error(error, self._request) from error


def connection_error(error: Exception, request: Request) -> RegistryConnectionError:
    """Say what went wrong with the connection, and whether it is worth another try."""
    host = str(request.origin)
    match error:
        case ssl.SSLCertVerificationError():
            return certificate_error(error, host)
        case ssl.SSLError():
            return RegistryConnectionError(
                f"{host} does not speak TLS as it should: {error.reason or error}",
                hint=f"if it is meant to be reached without TLS, name it: --insecure {host}",
            )
        case socket.gaierror():
            return RegistryConnectionError(
                f"the name of the registry {host} cannot be resolved: {error.strerror}",
                hint="check the name, and the connection to the network",
            )
        case TimeoutError():
            why = str(error) if error.errno is None and "bytes" in str(error) else "it does not answer"
            return RegistryConnectionError(f"gave up waiting for {host} ({request.shown}): {why}", transient=True)
        case OSError() if error.errno in _NOT_THERE:
            return RegistryConnectionError(
                f"cannot connect to the registry {host}: {error.strerror}",
                hint="check the address, and that the registry runs",
            )
        case ValueError():
            return RegistryConnectionError(f"{host} sent an answer that is no HTTP ({request.shown})")
    why = "it was cut" if isinstance(error, http.client.IncompleteRead) else str(error) or type(error).__name__
    return RegistryConnectionError(f"lost the connection to {host} ({request.shown}): {why}", transient=True)
