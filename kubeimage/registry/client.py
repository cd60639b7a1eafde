"""The endpoints of a registry, one method each, for one repository.

Source: OCI distribution-spec v1.1.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlencode

from kubeimage.errors import (
    DigestFormatError,
    RegistryContentError,
    RegistryError,
    RegistryNotFoundError,
)
from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.digest import Digest
from kubeimage.image.fields import objects, optional
from kubeimage.image.media_types import INDEX
from kubeimage.image.referring import MOST_REFERRERS
from kubeimage.registry.auth import Scopes, pull_scope, push_scope
from kubeimage.registry.exchange import Exchange
from kubeimage.registry.http import Response
from kubeimage.registry.messages import Body, Request, parse_count

LARGEST_MANIFEST = 4 << 20
"""Bytes; the distribution-spec's own limit."""

_ACCEPTED = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    # ORAS's, before manifests could have a subject.
    "application/vnd.oci.artifact.manifest.v1+json",
)
_MOST_PAGES = 1000
_NO_SUCH_API = (400, 404, 405, 501)
_NEXT = re.compile(r'<(?P<url>[^>]+)>\s*;\s*rel="?next"?')
_BINARY = {"Content-Type": "application/octet-stream"}


class Upload(NamedTuple):
    """A blob on its way into a registry. Units: ``offset`` in bytes that the registry has."""

    url: str
    offset: int = 0


class Repository:
    """One repository of one registry."""

    def __init__(self, exchange: Exchange, name: str, *, writable: bool = False) -> None:
        self.name = name
        self.exchange = exchange
        self._scopes: Scopes = (push_scope(name) if writable else pull_scope(name),)

    def __str__(self) -> str:
        return f"{self.exchange.host}/{self.name}"

    def get_manifest(self, tag: str | Digest) -> tuple[bytes, Digest]:
        """Return the manifest or index of a tag, or of a digest, and its digest.

        Raises: RegistryNotFoundError; RegistryContentError for other bytes than those of the digest, or too many.
        """
        request = self._request("GET", f"manifests/{tag}", {"Accept": ", ".join(_ACCEPTED)})
        with self.exchange.call(request, self._scopes) as response:
            data = response.read(LARGEST_MANIFEST)
        found = Digest.of(data)
        wanted = tag if isinstance(tag, Digest) else _digest_of(response)
        if wanted not in (None, found):
            raise RegistryContentError(
                f"{self}: the manifest {tag} is not what the registry says: wanted {wanted}, found {found}"
            )
        return data, found

    def has_manifest(self, tag: str | Digest) -> bool:
        """Whether the repository has a manifest or index of that tag or digest.

        Raises: RegistryError.
        """
        with self._head_manifest(tag) as response:
            response.drain()
            return response.status == 200

    def find_digest(self, tag: str) -> Digest | None:
        """Return the digest that a tag has now, None where there is none or the registry does not tell.

        Raises: RegistryError.
        """
        with self._head_manifest(tag) as response:
            response.drain()
            return _digest_of(response) if response.status == 200 else None

    def put_manifest(self, tag: str | Digest, media_type: str, data: bytes) -> Digest | None:
        """Put a manifest or index under a tag, or under its digest.

        Return its subject, where the registry says that it lists the manifest as referring to that.

        Raises: RegistryError; RegistryContentError where the registry has made other bytes of it.
        """
        request = self._request("PUT", f"manifests/{tag}", {"Content-Type": media_type}, Body.of(data))
        with self.exchange.call(request, self._scopes, wanted=(200, 201, 202)) as response:
            response.drain()
            kept, subject = _digest_of(response), _digest_in(response, "OCI-Subject")
        if kept not in (None, Digest.of(data)):
            raise RegistryContentError(f"{self}: the registry has kept {kept} for the manifest {Digest.of(data)}")
        return subject

    def list_referrers(self, subject: Digest, artifact_type: str | None = None) -> list[JsonObject] | None:
        """Return the descriptors of what refers to a manifest, all pages; None where the registry keeps no such list.

        Shape:  with an ``artifact_type`` the registry may leave out others, and need not.
        Raises: RegistryError; RegistryContentError for what is no list.
        """
        query = f"?{urlencode({'artifactType': artifact_type})}" if artifact_type else ""
        request: Request | None = self._request("GET", f"referrers/{subject}{query}", {"Accept": INDEX})
        found: list[JsonObject] = []
        for page in range(_MOST_PAGES):
            if request is None:
                return found
            with self.exchange.call(request, self._scopes, wanted=(200, *(() if page else _NO_SUCH_API))) as response:
                if response.status != 200:
                    response.drain()
                    return None
                data = response.read(LARGEST_MANIFEST)
                request = self._next_page(request, response)
            found += self._referrers_in(data)
            if len(found) > MOST_REFERRERS:
                break
        raise RegistryContentError(f"{self} lists more than {MOST_REFERRERS} that refer to {subject}")

    def list_tags(self) -> list[str]:
        """Return all tags, as many pages as the registry makes of them; none where there is no repository.

        Raises: RegistryError.
        """
        found: list[str] = []
        request: Request | None = self._request("GET", "tags/list")
        for _ in range(_MOST_PAGES):
            if request is None:
                break
            with self.exchange.call(request, self._scopes, wanted=(200, 404)) as response:
                data = response.read(LARGEST_MANIFEST)
                if response.status == 404:
                    break
                request = self._next_page(request, response)
            found += self._tags_in(data)
        return found

    def delete_manifest(self, digest: Digest) -> None:
        """Take a manifest away, with all tags that lead to it; one that is not there is gone already.

        Raises: RegistryError; also where the registry allows no deletion.
        """
        request = self._request("DELETE", f"manifests/{digest}")
        try:
            with self.exchange.call(request, self._delete_scopes, wanted=(202, 200, 204, 404)) as response:
                response.drain()
        except RegistryError as error:
            if error.status == 405 or "UNSUPPORTED" in error.codes:
                error.hint = "the registry allows no deletion; its operator can turn that on"
            raise

    def has_blob(self, digest: Digest, size: int) -> bool:
        """Whether the repository has a blob of that size under the digest.

        Raises: RegistryError.
        """
        with self.exchange.call(self._request("HEAD", f"blobs/{digest}"), self._scopes, wanted=(200, 404)) as response:
            response.drain()
            return response.status == 200 and response.size in (None, size)

    def open_blob(self, digest: Digest, offset: int = 0, length: int | None = None) -> Response:
        """Open a blob for reading, from ``offset`` on if the registry can: 206 says that it does.

        Units:  ``length`` in bytes, None for all that is left.
        Raises: RegistryNotFoundError, RegistryError.
        """
        last = "" if length is None else str(offset + length - 1)
        headers = {"Range": f"bytes={offset}-{last}"} if offset or last else {}
        # What is compressed on the way would have another length and other bytes.
        request = self._request("GET", f"blobs/{digest}", {"Accept-Encoding": "identity", **headers})
        return self.exchange.call(request, self._scopes, wanted=(200, 206) if headers else (200,))

    def mount_blob(self, digest: Digest, lender: str) -> Upload | None:
        """Have the registry take a blob from its repository ``lender``; where it cannot, an upload has begun.

        Raises: RegistryError.
        """
        query = urlencode({"mount": str(digest), "from": lender})
        request = self._request("POST", f"blobs/uploads/?{query}")
        with self.exchange.call(request, (*self._scopes, pull_scope(lender)), wanted=(201, 202)) as response:
            response.drain()
            return None if response.status == 201 else self._upload(request, response)

    def start_upload(self) -> Upload:
        """Begin to upload a blob.

        Raises: RegistryError.
        """
        request = self._request("POST", "blobs/uploads/")
        with self.exchange.call(request, self._scopes, wanted=(202,)) as response:
            response.drain()
            return self._upload(request, response)

    def append(self, upload: Upload, body: Body) -> Upload:
        """Send more of a blob. Not tried again: who calls this knows where to go on.

        Raises: RegistryError.
        """
        headers = dict(_BINARY)
        if upload.offset and body.size is not None:
            headers["Content-Range"] = f"{upload.offset}-{upload.offset + body.size - 1}"
        request = Request("PATCH", upload.url, headers, body)
        with self.exchange.call(request, self._scopes, wanted=(202, 201, 204), attempts=1) as response:
            response.drain()
            return self._upload(request, response, upload)

    def upload_status(self, upload: Upload) -> Upload | None:
        """Find out how much of a blob the registry has; None where it has forgotten the upload.

        Raises: RegistryError.
        """
        request = Request("GET", upload.url)
        try:
            with self.exchange.call(request, self._scopes, wanted=(204, 200)) as response:
                response.drain()
                return self._upload(request, response, upload)
        except (RegistryNotFoundError, RegistryContentError):
            return None

    def finish_upload(self, upload: Upload, digest: Digest, body: Body | None = None) -> None:
        """Say that the blob is whole, with its last bytes if there are any: the registry compares the digest.

        Raises: RegistryError. Not tried again, as ``append``.
        """
        glue = "&" if "?" in upload.url else "?"
        request = Request("PUT", f"{upload.url}{glue}{urlencode({'digest': str(digest)})}", _BINARY, body)
        with self.exchange.call(request, self._scopes, wanted=(201, 204), attempts=1) as response:
            response.drain()

    @property
    def _delete_scopes(self) -> Scopes:
        return (f"repository:{self.name}:pull,push,delete",)

    def _tags_in(self, data: bytes) -> list[str]:
        try:
            listed = canonical.loads(data)["tags"] or []
            return [tag for tag in listed if isinstance(tag, str)]
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryContentError(f"{self} answers with what is no list of tags: {error}") from error

    def _referrers_in(self, data: bytes) -> list[JsonObject]:
        try:
            value = canonical.decode(data)
            # Go writes an empty list as null.
            found = objects(optional(value, "manifests", list), "manifests")
        except (ValueError, RecursionError) as error:
            raise RegistryContentError(f"{self} answers with what is no list of referrers: {error}") from error
        if value.get("schemaVersion") != 2:
            raise RegistryContentError(f"{self} answers with what is no list of referrers")
        return found

    def _next_page(self, request: Request, response: Response) -> Request | None:
        link = _NEXT.search(response.headers.get("Link", ""))
        return None if link is None else request._replace(url=self.exchange.resolve(request, link["url"]))

    def _head_manifest(self, tag: str | Digest) -> Response:
        request = self._request("HEAD", f"manifests/{tag}", {"Accept": ", ".join(_ACCEPTED)})
        return self.exchange.call(request, self._scopes, wanted=(200, 404))

    def _request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: Body | None = None
    ) -> Request:
        return Request(method, self.exchange.url(f"/v2/{self.name}/{path}"), headers or {}, body)

    def _upload(self, request: Request, response: Response, before: Upload | None = None) -> Upload:
        location = response.headers.get("Location")
        if location is None and before is None:
            raise RegistryError(f"{self} does not say where to upload to", status=response.status)
        url = self.exchange.resolve(request, location) if location else request.url
        # "0-99" are 100 bytes, and "0-0" is what some say for none.
        last = parse_count(response.headers.get("Range", "").rpartition("-")[2])
        return Upload(url, last + 1 if last else 0)


def check_registry(exchange: Exchange) -> None:
    """Find out whether there is a registry, and whether it takes our credentials.

    Raises: RegistryError and its kinds.
    """
    with exchange.call(Request("GET", exchange.url("/v2/"))) as response:
        response.drain()


def _digest_of(response: Response) -> Digest | None:
    return _digest_in(response, "Docker-Content-Digest")


def _digest_in(response: Response, header: str) -> Digest | None:
    try:
        return Digest.parse(response.headers.get(header, ""))
    except DigestFormatError:
        # Another algorithm is as good as none.
        return None
