"""The proxy that the environment asks for: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case.

    http://HOST:PORT        an HTTP proxy
    https://HOST:PORT       the same, reached by TLS
    socks5://HOST:PORT      a SOCKS proxy, which is given addresses
    socks5h://HOST:PORT     a SOCKS proxy, which is given names

Sources: curl(1), "Environment"; RFC 1928; RFC 1929.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from kubeimage.errors import UsageError
from kubeimage.registry.origin import Origin

_LOOPBACK = ("localhost", "127.", "::1")
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_HINT = "write it as http://HOST:PORT, https://, socks5:// or socks5h://, or unset it"


class Proxy(NamedTuple):
    """A proxy. Shape: ``scheme`` says how it is spoken to; ``login`` is the name and password, if it wants any."""

    host: str
    port: int
    scheme: str = "http"
    login: tuple[str, str] | None = None

    def __repr__(self) -> str:
        return f"Proxy({self})"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it knows nothing of HTTP."""
        return self.scheme.startswith("socks")

    @property
    def headers(self) -> Mapping[str, str]:
        """What an HTTP proxy is told beside the request."""
        if self.login is None:
            return {}
        pair = ":".join(self.login).encode()
        return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def find_proxy(origin: Origin, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy for ``origin``; none for this machine itself.

    Raises: UsageError for a proxy of a sort that nobody here speaks to.
    """
    environment = os.environ if environment is None else environment
    if origin.host.startswith(_LOOPBACK):
        return None
    name = f"{origin.scheme}_proxy"
    found = next(((one, url) for one in (name, "all_proxy") if (url := _get(environment, one))), None)
    if found is None or _is_excepted(origin, _get(environment, "no_proxy")):
        return None
    name, url = found
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = _port(parts)
    if not parts.hostname or port is None:
        # The address may hold a password: it is not shown.
        raise UsageError(f"the proxy in {name.upper()} is none that can be used", hint=_HINT)
    login = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
    return Proxy(parts.hostname, port, parts.scheme, login)


def _port(parts: SplitResult) -> int | None:
    """Return the port, None where there is none that can be used, or another sort of proxy."""
    try:
        return (parts.port or _PORTS[parts.scheme]) if parts.scheme in _PORTS else None
    except ValueError:
        return None


def _get(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_excepted(origin: Origin, excepted: str) -> bool:
    """Whether ``NO_PROXY`` names the host: by its name, a domain above it, its address, a network, or with its port."""
    return any(_excepts(one, origin) for one in excepted.replace(",", " ").lower().split())


def _excepts(one: str, origin: Origin) -> bool:
    if one == "*":
        return True
    with suppress(ValueError):
        return ip_address(origin.host) in ip_network(one.strip("[]"), strict=False)
    name, colon, port = one.rpartition(":")
    if colon and port.isdecimal():
        if int(port) != origin.port:
            return False
        one = name.strip("[]")
    suffix = one.lstrip("*").lstrip(".")
    host = origin.host.lower()
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}"))
