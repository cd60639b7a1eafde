"""Which servers are trusted: the system's authorities, those named for a registry, or, by name only, anybody."""

from __future__ import annotations

import os
import ssl
import threading
from contextlib import suppress

from kubeimage.errors import RegistryConnectionError, SettingsError
from kubeimage.settings import Settings


class Trust:
    """Makes the TLS context for each registry, once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def context(self, host: str) -> ssl.SSLContext:
        """Return the context for ``HOST[:PORT]``.

        Raises: SettingsError for a certificate that cannot be read.
        """
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._make(host)
            return self._contexts[host]

    def _make(self, host: str) -> ssl.SSLContext:
        settings = self._settings.host(host)
        context = ssl.create_default_context()
        if settings.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if settings.ca_file:
            _load_authority(context, settings.ca_file)
        for folder in self._settings.certs_dirs:
            _load_folder(context, os.path.join(folder, host))
        return context


def _load_folder(context: ssl.SSLContext, folder: str) -> None:
    """Load what lies in a folder as Docker has them: ``*.crt`` are authorities, ``*.cert`` and ``*.key`` ours."""
    names: list[str] = []
    with suppress(OSError):
        names = sorted(os.listdir(folder))
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(".crt"):
            _load_authority(context, path)
        elif name.endswith(".cert"):
            try:
                context.load_cert_chain(path, path.removesuffix(".cert") + ".key")
            except (OSError, ssl.SSLError) as error:
                raise SettingsError(f"cannot read the client certificate {path!r} and its key: {error}") from error


def _load_authority(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"cannot read the CA certificate {path!r}: {error}", hint="it is a file in the PEM format"
        ) from error


def certificate_error(error: ssl.SSLCertVerificationError, host: str) -> RegistryConnectionError:
    """Say why a registry is not trusted, and what may be done about it."""
    return RegistryConnectionError(
        f"the certificate of {host} is not trusted: {error.verify_message}",
        hint=f'name its CA in the configuration file, as ca-file in [registry."{host}"]; '
        f"where that does not matter, --insecure {host}",
    )
