"""The way to a server: straight, or by a proxy of any sort; and TLS on top of it.

PySocks speaks to SOCKS proxies. urllib3 has TLS within TLS, which Python's own sockets lack. Both are extras.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Any

from kubeimage.errors import RegistryConnectionError, UsageError
from kubeimage.registry.origin import Origin
from kubeimage.registry.proxy import Proxy

Dial = Callable[..., socket.socket]
_EXTRA = "pip install 'kubeimage[proxy]'"
_HINT = "HTTPS_PROXY, HTTP_PROXY and ALL_PROXY name it; NO_PROXY lists hosts that are reached without"


def dial_by(proxy: Proxy, context: Callable[[str], ssl.SSLContext]) -> Dial:
    """Return what opens a connection by way of a proxy, with the arguments of `socket.create_connection`.

    ``context`` gives the TLS context for ``HOST:PORT``. The connection leads to the proxy, or with SOCKS to the server.
    """

    def dial(address: tuple[str, int], timeout: float, *_more: object) -> socket.socket:
        try:
            if proxy.is_socks:
                return _by_socks(proxy, address, timeout)
            sock = socket.create_connection((proxy.host, proxy.port), timeout)
        except OSError as error:
            raise RegistryConnectionError(
                f"cannot connect to the proxy {proxy}: {error.strerror or 'it does not answer'}",
                hint=_HINT,
                transient=isinstance(error, TimeoutError),
            ) from error
        return sock if proxy.scheme == "http" else _by_tls(proxy, sock, context)

    return dial


def _by_tls(proxy: Proxy, sock: socket.socket, context: Callable[[str], ssl.SSLContext]) -> socket.socket:
    try:
        host = str(Origin("https", proxy.host, proxy.port))
        return context(host).wrap_socket(sock, server_hostname=proxy.host)
    except OSError as error:
        sock.close()
        why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or "it ends the handshake"
        raise RegistryConnectionError(
            f"the proxy {proxy} cannot be reached by TLS: {why}",
            hint=f'name its CA in the configuration file, as ca-file in [registry."{proxy.host}:{proxy.port}"]',
        ) from error


def _by_socks(proxy: Proxy, address: tuple[str, int], timeout: float) -> socket.socket:
    try:
        import socks
    except ImportError as error:
        raise UsageError(f"the proxy {proxy} needs PySocks", hint=_EXTRA) from error
    name, password = proxy.login or (None, None)
    host, port = address
    try:
        sock: socket.socket = socks.create_connection(
            (host, port),
            timeout,
            proxy_type=socks.SOCKS5,
            proxy_addr=proxy.host,
            proxy_port=proxy.port,
            proxy_rdns=proxy.scheme == "socks5h",
            proxy_username=name,
            proxy_password=password,
        )
    except socks.ProxyConnectionError as error:
        raise error.socket_err or error from error
    except socks.ProxyError as error:
        if isinstance(error.socket_err or error, socks.SOCKS5AuthError):
            raise RegistryConnectionError(f"the proxy {proxy} refuses the name and password", hint=_HINT) from error
        raise RegistryConnectionError(f"the proxy {proxy} does not lead to {host}:{port}", hint=_HINT) from error
    return sock


def secured(sock: socket.socket, context: ssl.SSLContext, host: str) -> Any:
    """Return TLS on top of a connection, which may be by TLS itself.

    Raises: OSError; UsageError where it takes a library that is not there.
    """
    if not isinstance(sock, ssl.SSLSocket):
        return context.wrap_socket(sock, server_hostname=host)
    try:
        from urllib3.util.ssltransport import SSLTransport
    except ImportError as error:
        raise UsageError("an https:// proxy needs urllib3 for what is TLS itself", hint=_EXTRA) from error
    return SSLTransport(sock, context, server_hostname=host)


def plain_of(sock: Any) -> socket.socket:
    """Return the socket of the system below what `secured` gives."""
    return sock if isinstance(sock, socket.socket) else plain_of(sock.socket)
