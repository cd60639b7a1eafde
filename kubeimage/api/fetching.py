"""Files on the web, as ADD and APP name them: fetched by the code that talks to registries, proxies and TLS too."""

from __future__ import annotations

import hashlib
import os
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

from kubeimage.disk.failures import translated
from kubeimage.errors import AdditionError, KubeimageError, RegistryConnectionError
from kubeimage.layer.entry import Entry, Kind, identity_of
from kubeimage.protocols.context import Remote
from kubeimage.registry.http import HttpTransport, Response
from kubeimage.registry.messages import PIECE, Request
from kubeimage.registry.tls import Trust
from kubeimage.settings import Settings

MOST_BYTES = 64 << 30
"""What one file may have."""

_MOST_REDIRECTS = 10
_TRIES = 3
_REDIRECTS = (301, 302, 303, 307, 308)
# What Docker gives a file that it fetches.
_MODE = 0o600
_HINT = "look at the address, and at the connection to the network"


class Fetcher:
    """Fetches files into ``folder``, over connections that it keeps until it is closed."""

    def __init__(self, settings: Settings, folder: str, *, most: int = MOST_BYTES) -> None:
        self._transport = HttpTransport(Trust(settings))
        self._folder = folder
        self._most = most
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def fetch(self, remote: Remote) -> Entry:
        """Return a file as an entry with its size, digest and source, by the name that its URL ends in.

        Raises: AdditionError where it cannot be had, or is not what its checksum says; StoreFullError.
        """
        self._count += 1
        path = os.path.join(self._folder, str(self._count))
        for attempt in range(_TRIES):
            try:
                digest = self._fetch(remote, path)
            except RegistryConnectionError as error:
                if not error.transient or attempt == _TRIES - 1:
                    raise _failed(remote, error) from error
            except AdditionError:
                raise
            except KubeimageError as error:
                raise _failed(remote, error) from error
            else:
                break
        if remote.checksum is not None and remote.checksum.hex != digest.hex():
            raise AdditionError(
                f"{shown(remote.url)} has the checksum sha256:{digest.hex()}, and {remote.checksum} is wanted",
                hint="it is another file now, or was changed on its way: find out before you change the checksum",
            )
        status = os.stat(path)
        return Entry(
            remote.name, Kind.FILE, _MODE, status.st_size, source=path, identity=identity_of(status), digest=digest
        )

    def _fetch(self, remote: Remote, path: str) -> bytes:
        url = remote.url
        for _ in range(_MOST_REDIRECTS + 1):
            with self._transport.send(Request("GET", url, {"User-Agent": "kubeimage", "Accept": "*/*"})) as response:
                if response.status not in _REDIRECTS:
                    return self._keep(response, remote, path)
                following = urljoin(url, response.headers.get("Location", ""))
            if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https" and remote.checksum is None:
                raise AdditionError(
                    f"{shown(url)} leads to {shown(following)}, where nobody proves who he is",
                    hint="say with --checksum what the file is to be",
                )
            url = following
        raise AdditionError(
            f"{shown(remote.url)} leads from one address to the next, more than {_MOST_REDIRECTS} times"
        )

    def _keep(self, response: Response, remote: Remote, path: str) -> bytes:
        if response.status != 200:
            raise AdditionError(
                f"{shown(remote.url)} cannot be fetched: the server answers {response.status}", hint=_HINT
            )
        content, total = hashlib.sha256(), 0
        with translated(f"write {path!r}", self._folder), open(path, "wb") as file:
            while piece := response.read_piece(PIECE):
                total += len(piece)
                if total > self._most:
                    raise AdditionError(f"{shown(remote.url)} has more than the {self._most} bytes that are allowed")
                content.update(piece)
                file.write(piece)
        return content.digest()


def shown(url: str) -> str:
    """Return a URL for people: without its query, which may hold a signature, and without credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _failed(remote: Remote, error: KubeimageError) -> AdditionError:
    reason = error.message.replace("the registry ", "")
    return AdditionError(f"{shown(remote.url)} cannot be fetched: {reason}", hint=error.hint or _HINT)
