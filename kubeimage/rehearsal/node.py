"""A node of a cluster, as far as it pulls images: by the rules of containerd, with one mirror for all registries.

    [host."http://127.0.0.1:PORT"]          # certs.d/_default/hosts.toml
      capabilities = ["pull", "resolve"]

The mirror is asked first, with the registry that is meant as ``?ns=HOST``. What it lacks, containerd asks that registry
for; this node says so instead.

Run as a module it is a process in a network of its own: it makes the registry's listener there, hands it to the process
that has started it, and is told what to pull.

Sources: containerd, docs/hosts.md, core/remotes/docker (resolver.go, fetcher.go); OCI distribution-spec v1.1.
"""

from __future__ import annotations

import hashlib
import json
import socket
import sys
from collections.abc import Iterable
from urllib.parse import urlencode

from kubeimage.discovery.references import parse_image
from kubeimage.errors import DigestFormatError, KubeimageError, RegistryError, RegistryNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.image.media_types import INDEXES, MANIFESTS
from kubeimage.image.oci import LARGEST_DOCUMENT, Descriptor, Index, Manifest, parse_document, platform_from_json
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.packing.layout import choose_manifest
from kubeimage.registry.exchange import Exchange, Retry
from kubeimage.registry.http import HttpTransport, Response
from kubeimage.registry.messages import Request
from kubeimage.registry.tls import Trust
from kubeimage.rehearsal.messages import receive, send, to_json
from kubeimage.rehearsal.outcome import Pulled
from kubeimage.run.alone import enter_own_network
from kubeimage.settings import HostSettings, Settings

_ACCEPTED = {"Accept": ", ".join((*INDEXES, *MANIFESTS))}
_BAD_DOCUMENT = (ValueError, KeyError, TypeError, AttributeError, RecursionError, KubeimageError)


class _MissingError(Exception):
    """The mirror lacks something, for which containerd asks the next host."""


class _DamagedError(Exception):
    """The mirror has something that containerd refuses."""


class Node:
    """Pulls images for ``platform`` from the mirror at ``address``, ``HOST:PORT``; keeps nothing of them."""

    def __init__(self, address: str, platform: Platform) -> None:
        settings = Settings(hosts={address: HostSettings(plain_http=True)})
        self._transport = HttpTransport(Trust(settings))
        self._mirror = Exchange(address, settings, self._transport, lambda: None, Retry(attempts=1))
        self._platform = platform
        self._verified: set[Digest] = set()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def pull(self, image: Reference) -> Pulled:
        """Pull one image: tag, manifest for the platform, config and layers.

        Shape: a blob that an earlier image had is only asked for, and not read again.
        """
        digest: Digest | None = image.digest
        try:
            digest = digest or self._resolve(image)
            manifest, size = self._find_manifest(image, digest)
            self._check_config(image, manifest.config)
            for layer in manifest.layers:
                self._read_blob(image, layer, "layer")
            return Pulled(image, "pulled", "", digest, size + sum(one.size for one in _blobs(manifest)))
        except _MissingError as error:
            return Pulled(image, "missing", str(error), digest)
        except (_DamagedError, RegistryError) as error:
            return Pulled(image, "damaged", str(error), digest)

    def _resolve(self, image: Reference) -> Digest:
        with self._ask(image, "HEAD", f"manifests/{image.tag}", f"the tag {image.tag}") as response:
            said = response.headers.get("Docker-Content-Digest", "")
        try:
            return Digest.parse(said)
        except DigestFormatError as error:
            raise _DamagedError(f"the tag {image.tag} leads nowhere") from error

    def _find_manifest(self, image: Reference, digest: Digest) -> tuple[Manifest, int]:
        """Return the manifest for the platform, with the bytes of all that was read to get there."""
        document, size = self._read_manifest(image, digest)
        if isinstance(document, Manifest):
            return document, size
        chosen = choose_manifest(document, self._platform)
        if chosen is None:
            raise _DamagedError(f"the index {digest} has nothing for {self._platform}")
        inner, more = self._read_manifest(image, chosen.digest)
        if isinstance(inner, Index):
            raise _DamagedError(f"the index {digest} names an index, {chosen.digest}")
        return inner, size + more

    def _read_manifest(self, image: Reference, digest: Digest) -> tuple[Manifest | Index, int]:
        with self._ask(image, "GET", f"manifests/{digest}", f"the manifest {digest}") as response:
            data = response.read(LARGEST_DOCUMENT)
        _compare(digest, Digest.of(data), "manifest")
        try:
            return parse_document(data), len(data)
        except _BAD_DOCUMENT as error:
            raise _DamagedError(f"the manifest {digest} cannot be read: {error}") from error

    def _check_config(self, image: Reference, config: Descriptor) -> None:
        data = self._read_blob(image, config, "config", keep=True)
        try:
            found = platform_from_json(json.loads(data))
        except _BAD_DOCUMENT as error:
            raise _DamagedError(f"the config {config.digest} cannot be read: {error}") from error
        if not self._platform.accepts(found):
            raise _DamagedError(f"it is for {found}, not for {self._platform}")

    def _read_blob(self, image: Reference, blob: Descriptor, what: str, *, keep: bool = False) -> bytes:
        """Read a blob, in pieces; return its bytes where they are to be kept."""
        name = f"the {what} {blob.digest}"
        if keep and blob.size > LARGEST_DOCUMENT:
            raise _DamagedError(f"{name} has {blob.size} bytes")
        is_known = blob.digest in self._verified and not keep
        with self._ask(image, "HEAD" if is_known else "GET", f"blobs/{blob.digest}", name) as response:
            if response.size != blob.size:
                raise _DamagedError(f"{name} has {response.size} bytes, not {blob.size}")
            if is_known:
                return b""
            found, kept = hashlib.sha256(), bytearray()
            while piece := response.read_piece():
                found.update(piece)
                if keep:
                    kept += piece
        _compare(blob.digest, Digest(found.hexdigest()), what)
        self._verified.add(blob.digest)
        return bytes(kept)

    def _ask(self, image: Reference, method: str, path: str, what: str) -> Response:
        query = urlencode({"ns": image.domain})
        url = self._mirror.url(f"/v2/{image.repository}/{path}?{query}")
        try:
            return self._mirror.call(Request(method, url, _ACCEPTED))
        except RegistryNotFoundError as error:
            raise _MissingError(f"{what} is not packed") from error


def _blobs(manifest: Manifest) -> Iterable[Descriptor]:
    return {one.digest: one for one in (manifest.config, *manifest.layers)}.values()


def _compare(wanted: Digest, found: Digest, what: str) -> None:
    if found != wanted:
        raise _DamagedError(f"the {what} {wanted} has other bytes: their digest is {found}")


def main(descriptor: int) -> None:
    """Be a node in a network of its own, which is told what to pull on the socket ``descriptor``."""
    with socket.socket(fileno=descriptor) as channel:
        try:
            enter_own_network()
            listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        except OSError as error:
            send(channel, {"problem": error.strerror or str(error)})
            return
        host, port = listener.getsockname()
        socket.send_fds(channel, [b"{}\n"], [listener.fileno()])
        listener.close()
        for order in receive(channel):
            node = Node(f"{host}:{port}", Platform.parse(order["platform"]))
            for name in order["images"]:
                send(channel, to_json(node.pull(parse_image(name))))
            send(channel, None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
