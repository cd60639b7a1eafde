"""The proxy that the environment asks for: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from kubeimage.errors import UsageError
from kubeimage.registry.origin import Origin

_LOOPBACK = ("localhost", "127.", "::1")


class Proxy(NamedTuple):
    """An HTTP proxy. Shape: ``headers`` hold its credentials, if it wants any."""

    host: str
    port: int
    headers: Mapping[str, str] = MappingProxyType({})

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


def find_proxy(origin: Origin, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy for ``origin``; none for this machine itself.

    Raises: UsageError for a proxy that is no HTTP proxy.
    """
    environment = os.environ if environment is None else environment
    if origin.host.startswith(_LOOPBACK):
        return None
    name = f"{origin.scheme}_proxy"
    url = next(filter(None, (_get(environment, one) for one in (name, "all_proxy"))), "")
    if not url or _is_excepted(origin.host, _get(environment, "no_proxy")):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    port = _port(parts)
    if parts.scheme != "http" or not parts.hostname or port is None:
        raise UsageError(
            f"the proxy in {name.upper()} is not an HTTP proxy", hint="write it as http://HOST:PORT, or unset it"
        )
    return Proxy(parts.hostname, port, _credentials(parts.username, parts.password))


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or 80
    except ValueError:
        return None


def _get(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_excepted(host: str, excepted: str) -> bool:
    suffixes = [one.strip().lower().partition(":")[0].lstrip("*").lstrip(".") for one in excepted.split(",")]
    return any(
        (one.strip() == "*") or (suffix and (host == suffix or host.endswith(f".{suffix}")))
        for one, suffix in zip(excepted.split(","), suffixes, strict=True)
    )


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    pair = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}
