"""One connection: requests go out in pieces, and answers must come at a pace."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from kubeimage.errors import RegistryConnectionError, RegistryContentError
from kubeimage.registry.dialing import Dial
from kubeimage.registry.messages import Body, Request
from kubeimage.registry.origin import Origin
from kubeimage.registry.proxy import Proxy, find_proxy


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


class Connection(http.client.HTTPConnection):
    """A connection, through a proxy if need be, whose answers must come at a pace. TLS is put on top by its maker."""

    def __init__(self, origin: Origin, proxy: Proxy | None, patience: Patience, dial: Dial | None = None) -> None:
        by_http = proxy is not None and not proxy.is_socks
        host, port = (proxy.host, proxy.port) if proxy is not None and by_http else (origin.host, origin.port)
        super().__init__(host, port, timeout=patience.connect)
        if dial is not None:
            # There is no public way to say how a connection is opened.
            self._create_connection = dial
        if proxy is not None and by_http and origin.scheme == "https":
            self.set_tunnel(origin.host, origin.port, dict(proxy.headers))
        self._proxy = proxy
        self._patience = patience

    def connect(self) -> None:
        """Open the connection.

        Raises: OSError; RegistryConnectionError where a proxy leads nowhere.
        """
        try:
            super().connect()
        except OSError as error:
            said = str(error).partition("Tunnel connection failed: ")[2]
            if not said:
                raise
            raise RegistryConnectionError(
                f"the proxy {self._proxy} does not lead there: {said}",
                hint="NO_PROXY lists hosts that are reached without it",
            ) from error

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
        self._has_begun = False
        self._waited = 0.0
        self._received = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # Buffer is a name of Python 3.12
        patience = self._patience
        self._sock.settimeout(patience.window if self._has_begun else patience.answer)
        before = time.monotonic()
        count: int = self._file.readinto(buffer)
        if not self._has_begun:
            self._has_begun = True
            return count
        # Only waiting counts: who reads slowly is not the server's fault.
        self._waited += time.monotonic() - before
        self._received += count
        if self._waited >= patience.window:
            if count and self._received < self._waited * patience.rate:
                raise TimeoutError(f"it sent {self._received} bytes in {self._waited:.3g} s")
            self._waited, self._received = 0.0, 0
        return count


def send_request(connection: http.client.HTTPConnection, request: Request, patience: Patience) -> None:
    """Send a request, its body in pieces.

    Raises: OSError, RegistryContentError; what the body raises.
    """
    proxy = find_proxy(request.origin)
    plain_proxy = proxy is not None and not proxy.is_socks and request.origin.scheme == "http"
    target = request.url if plain_proxy else request.target
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", str(request.origin))
    if plain_proxy and proxy is not None:
        _put_headers(connection, proxy.headers)
    _put_headers(connection, request.headers)
    if request.body is not None and request.body.size is None:
        connection.putheader("Transfer-Encoding", "chunked")
    elif request.body is not None:
        connection.putheader("Content-Length", str(request.body.size))
    elif request.method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", "0")
    connection.endheaders()
    if request.body is not None:
        try:
            _send_body(connection.sock, request.body, patience)
        except (BrokenPipeError, ConnectionResetError):
            # A server that refuses answers before it has read all; the answer says why.
            if not _has_answer(connection.sock):
                raise


def _send_body(sock: socket.socket, body: Body, patience: Patience) -> None:
    sock.settimeout(patience.send)
    if body.size is None:
        for piece in body.open():
            _send_all(sock, b"%x\r\n" % len(piece))
            _send_all(sock, piece)
            _send_all(sock, b"\r\n")
        _send_all(sock, b"0\r\n\r\n")
        return
    left = body.size
    for piece in body.open():
        view = memoryview(piece)[:left]
        _send_all(sock, view)
        left -= len(view)
    if left:
        raise RegistryContentError(f"what is to be sent ended {left} bytes early")


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
