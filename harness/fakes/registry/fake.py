"""The registry that tests talk to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from harness.fakes.registry import loading
from harness.fakes.registry.access import Access, Login
from harness.fakes.registry.content import Content, StoredManifest, media_type_of
from harness.fakes.registry.delivery import Server
from harness.fakes.registry.digests import any_digest
from harness.fakes.registry.endpoints import Endpoints
from harness.fakes.registry.faults import Fault, Rule
from harness.fakes.registry.messages import Request, Response
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.protocols.layers import LayerStore


class FakeRegistry:
    """An OCI registry on a free port of 127.0.0.1, in a thread, from ``start`` (or ``with``) to ``stop``.

    Shape: ``users`` are names with their passwords; without any, everybody may do everything. ``login`` says how they
           log in: ``basic``, or ``token`` from the registry's own endpoint or that at ``realm``. ``certificate`` is a
           PEM file with a key and a certificate, for https. Without ``referrers`` it has no list of referrers, as many
           registries that are in use; ``referrers_page`` is how many of them an answer lists.
           ``requests`` are those that came, oldest first.
    Units: ``token_lifetime`` in seconds.
    """

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        login: Login = "basic",
        anonymous_pull: bool = False,
        token_lifetime: float = 300,
        realm: str | None = None,
        single_post: bool = True,
        referrers: bool = True,
        referrers_page: int | None = None,
        certificate: str | None = None,
    ) -> None:
        self.requests: list[Request] = []
        self.content = Content()
        self.access = Access(users or {}, login, anonymous_pull, token_lifetime, realm)
        self._endpoints = Endpoints(
            self.content, self.access, single_post=single_post, referrers=referrers, referrers_page=referrers_page
        )
        self._certificate = certificate
        self._rules: list[Rule] = []
        self._lock = threading.RLock()
        self._server: Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> Self:
        """Listen, and serve until `stop`."""
        self._server = Server(self)
        if self._certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
            self._server.scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="fake registry")
        self._thread.start()
        return self

    def stop(self) -> None:
        """End every connection, and wait for the threads.

        Raises: the first error that came up while answering, if it is no fault that was asked for.
        """
        if self._server is None or self._thread is None:
            return
        self._server.close()
        self._thread.join()
        failures, self._server, self._thread = self._server.failures, None, None
        if failures:
            raise failures[0]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def host(self) -> str:
        """The address as it stands in an image's name: ``127.0.0.1:PORT``."""
        assert self._server is not None, "the registry is not started: use it as a context manager"
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """The address with its scheme."""
        return f"{'http' if self._certificate is None else 'https'}://{self.host}"

    def on(self, pattern: str, fault: Fault, *, skip: int = 0, times: int | None = 1) -> None:
        """Make requests go wrong: those whose ``METHOD /path`` the shell pattern fits, as ``GET */blobs/*``.

        The first ``skip`` of them are answered rightly, then ``times`` are not (None: never again). Of several rules
        for one request, the one that was made first holds.
        """
        with self._lock:
            self._rules.append(Rule(pattern, fault, skip, times))

    def calls(self) -> list[str]:
        """Return ``METHOD /path`` of each request that came, oldest first."""
        return [str(request) for request in self.requests]

    def forget(self) -> None:
        """Forget the requests that came, and every rule."""
        with self._lock:
            self.requests.clear()
            self._rules.clear()

    def put_blob(self, repository: str, data: bytes) -> Digest:
        """Put a blob."""
        digest = Digest.of(data)
        with self._lock:
            self.content.put_blob(repository, data, digest)
        return digest

    def put_manifest(self, repository: str, reference: str | None, data: bytes, media_type: str = "") -> Digest:
        """Put a manifest or index, whatever it is, under a tag or (for None) its digest alone."""
        with self._lock:
            manifest = StoredManifest(data, media_type or media_type_of(data))
            return self.content.put_manifest(repository, reference, manifest)

    def put_image(self, repository: str, tag: str | None, image: Image, layers: LayerStore) -> Digest:
        """Put an image with its config and layers, whose tars are in ``layers``."""
        with self._lock:
            return loading.put_image(self.content, repository, tag, image, layers)

    def put_layout(self, repository: str, directory: str) -> list[Digest]:
        """Put every manifest that an OCI image layout's index names, tagged with what it is called there."""
        with self._lock:
            return loading.put_layout(self.content, repository, directory)

    def tag(self, repository: str, tag: str, digest: Digest) -> None:
        """Point a tag to a manifest."""
        with self._lock:
            self.content.repository(repository).tags[tag] = digest

    def remove(self, repository: str) -> None:
        """Remove a repository with all that is in it, if it is there."""
        with self._lock:
            self.content.repositories.pop(repository, None)

    def tags(self, repository: str) -> dict[str, Digest]:
        """Return a repository's tags and what they lead to."""
        with self._lock:
            return dict(self.content.repository(repository).tags)

    def manifest(self, repository: str, reference: str) -> StoredManifest:
        """Return the manifest of a tag or digest: its ``data``, ``media_type`` and ``digest``.

        Raises: KeyError where there is none.
        """
        with self._lock:
            found = self.content.repository(repository)
            digest = any_digest(reference) if ":" in reference else found.tags[reference]
            return found.manifests[digest]

    def blobs(self, repository: str) -> dict[Digest, bytes]:
        """Return a repository's blobs."""
        with self._lock:
            return dict(self.content.repository(repository).blobs)

    def expire_tokens(self) -> None:
        """Revoke every token that was given until now."""
        with self._lock:
            self.access.expire_tokens()

    def begin(self, request: Request) -> Fault | None:
        """Note a request, and say what is to go wrong with it."""
        with self._lock:
            self.requests.append(request)
            hit = [rule.fault for rule in self._rules if rule.hits(request)]
        return hit[0] if hit else None

    def answer(self, request: Request, body: bytes, fault: Fault | None) -> Response | None:
        """Answer a request; None drops the connection."""
        with self._lock:
            if fault is None:
                return self._endpoints.answer(request, body)
            return fault.apply(request, lambda: self._endpoints.answer(request, body))
