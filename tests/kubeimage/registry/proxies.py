"""Small proxies in this process: SOCKS5 with names, addresses and passwords; HTTP with CONNECT, by TLS if need be."""

import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

Asked = tuple[str, int]
_HOST = "127.0.0.1"


class RunningProxy(NamedTuple):
    """A proxy. Shape: ``asked`` are the hosts and ports that it was asked for, ``heads`` what HTTP clients said."""

    port: int
    asked: list[Asked]
    heads: list[bytes]


@contextmanager
def socks_proxy(names: Mapping[str, int], *, password: str | None = None) -> Iterator[RunningProxy]:
    """Run a SOCKS5 proxy that leads each of ``names`` to a port of this machine; anna may use it with ``password``."""

    def serve(client: socket.socket, running: RunningProxy) -> None:
        _, count = _exactly(client, 2)
        methods = _exactly(client, count)
        if password is None:
            client.sendall(b"\x05\x00")
        elif 2 not in methods:
            client.sendall(b"\x05\xff")
            return
        else:
            client.sendall(b"\x05\x02")
            name, said = (_exactly(client, _exactly(client, length)[-1]) for length in (2, 1))
            client.sendall(b"\x01\x00" if (name, said) == (b"anna", password.encode()) else b"\x01\x01")
        kind = _exactly(client, 4)[3]
        host = _exactly(client, _exactly(client, 1)[0]).decode() if kind == 3 else socket.inet_ntoa(_exactly(client, 4))
        (port,) = struct.unpack(">H", _exactly(client, 2))
        running.asked.append((host, port))
        if host not in names:
            client.sendall(b"\x05\x04\x00\x01" + bytes(6))
            return
        with socket.create_connection((_HOST, names[host])) as server:
            client.sendall(b"\x05\x00\x00\x01" + bytes(6))
            _relay(client, server)

    with _running(serve) as running:
        yield running


@contextmanager
def http_proxy(names: Mapping[str, int], *, certificate: str | None = None) -> Iterator[RunningProxy]:
    """Run an HTTP proxy that takes CONNECT for ``names``, by TLS with a ``certificate`` and its key."""
    context: ssl.SSLContext | None = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def serve(client: socket.socket, running: RunningProxy) -> None:
        stream: Any = context.wrap_socket(client, server_side=True) if context is not None else client
        with stream:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += _exactly(stream, 1)
            running.heads.append(head)
            host, _, port = head.split()[1].decode().rpartition(":")
            running.asked.append((host, int(port)))
            if host not in names:
                stream.sendall(b"HTTP/1.1 502 Nobody there\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection((_HOST, names[host])) as server:
                stream.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                _relay(stream, server)

    with _running(serve) as running:
        yield running


@contextmanager
def _running(serve: Any) -> Iterator[RunningProxy]:
    with socket.create_server((_HOST, 0)) as listener:
        running = RunningProxy(listener.getsockname()[1], [], [])

        def serve_one(client: socket.socket) -> None:
            with client, suppress(OSError, EOFError):
                serve(client, running)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve_one, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield running
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _exactly(sock: Any, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _relay(one: Any, other: Any) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        waiting = [sock for sock in (one, other) if isinstance(sock, ssl.SSLSocket) and sock.pending()]
        for sock in waiting or select.select([one, other], [], [])[0]:
            data = sock.recv(1 << 16)
            if not data:
                return
            (other if sock is one else one).sendall(data)
