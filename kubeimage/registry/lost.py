"""What goes wrong on the way to a registry and back, in words."""

from __future__ import annotations

import errno
import http.client
import socket
import ssl

from kubeimage.errors import RegistryConnectionError
from kubeimage.registry.messages import Request
from kubeimage.registry.tls import certificate_error

_NOT_THERE = {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EADDRNOTAVAIL}


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
