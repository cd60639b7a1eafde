"""The endpoints of a registry: what it answers to which request.

Source: OCI distribution-spec v1.1, "Endpoints"; where it leaves a choice, as the distribution project's registry does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, urlencode

from harness.fakes.registry.access import TOKEN_PATH, Access
from harness.fakes.registry.content import OCI_INDEX, Content, StoredManifest, subject_of
from harness.fakes.registry.digests import parse_digest
from harness.fakes.registry.messages import Request, Response
from harness.fakes.registry.problems import JSON, Problem

API_VERSION = {"docker-distribution-api-version": "registry/2.0"}
_OCTETS = {"content-type": "application/octet-stream"}

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = f"(?P<name>{_PART}(?:/{_PART})*)"
_REFERENCE = r"(?P<reference>[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}|sha(?:256|512):[^/]*)"
_CONTENT_RANGE = re.compile(r"(\d+)-(\d+)")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Call(NamedTuple):
    """A request with the parts of its path."""

    request: Request
    body: bytes
    name: str = ""
    reference: str = ""


Endpoint = Callable[[Call], Response]


class Endpoints:
    """Answers requests from what ``content`` holds, as far as ``access`` allows it.

    Shape: without ``single_post`` an upload in one POST is only begun, as the specification allows. Without
           ``referrers`` there is no list of referrers, as in registries of version 1.0. ``referrers_page`` is how many
           of them one answer lists.
    """

    def __init__(
        self,
        content: Content,
        access: Access,
        *,
        single_post: bool = True,
        referrers: bool = True,
        referrers_page: int | None = None,
    ) -> None:
        self._content = content
        self._access = access
        self._single_post = single_post
        self._referrers = referrers
        self._referrers_page = referrers_page
        read = {"GET": self._get_blob, "HEAD": self._get_blob, "DELETE": self._delete_blob}
        upload = {
            "GET": self._upload_status,
            "PATCH": self._continue_upload,
            "PUT": self._finish_upload,
            "DELETE": self._cancel_upload,
        }
        manifests = {
            "GET": self._get_manifest,
            "HEAD": self._get_manifest,
            "PUT": self._put_manifest,
            "DELETE": self._delete_manifest,
        }
        self._routes: list[tuple[re.Pattern[str], Mapping[str, Endpoint]]] = [
            (re.compile(r"/v2/?"), {"GET": self._version, "HEAD": self._version}),
            (re.compile(f"/v2/{_NAME}/tags/list"), {"GET": self._list_tags}),
            (re.compile(f"/v2/{_NAME}/manifests/{_REFERENCE}"), manifests),
            (re.compile(f"/v2/{_NAME}/blobs/uploads/?"), {"POST": self._start_upload}),
            (re.compile(f"/v2/{_NAME}/blobs/uploads/(?P<reference>[^/]+)"), upload),
            (re.compile(f"/v2/{_NAME}/blobs/(?P<reference>[^/]+)"), read),
        ]
        if referrers:
            path = re.compile(f"/v2/{_NAME}/referrers/(?P<reference>[^/]+)")
            self._routes.append((path, {"GET": self._list_referrers}))

    def answer(self, request: Request, body: bytes) -> Response:
        """Answer a request."""
        try:
            if request.path == TOKEN_PATH:
                return self._access.give_token(request, body)
            return self._route(request, body)
        except Problem as problem:
            return problem.response

    def _route(self, request: Request, body: bytes) -> Response:
        for pattern, endpoints in self._routes:
            match = pattern.fullmatch(request.path)
            if match is None:
                continue
            parts = match.groupdict()
            self._access.check(request, parts.get("name"))
            if request.method not in endpoints:
                raise Problem("UNSUPPORTED")
            return endpoints[request.method](Call(request, body, **parts))
        if request.path.startswith("/v2/") and "/referrers/" not in request.path:
            raise Problem("NAME_INVALID", headers={})
        return Response(404, {"content-type": "text/plain; charset=utf-8"}, b"404 page not found\n")

    def _version(self, _call: Call) -> Response:
        return Response(200, {"content-type": JSON}, b"{}")

    def _list_tags(self, call: Call) -> Response:
        tags = self._content.tags(call.name)
        last, limit = call.request.argument("last"), call.request.argument("n")
        found = [tag for tag in tags if last is None or tag > last]
        headers = {"content-type": JSON}
        if limit is not None:
            if not limit.isdecimal():
                raise Problem("PAGINATION_NUMBER_INVALID", {"n": limit})
            page = found[: int(limit)]
            if page and len(page) < len(found):
                headers["link"] = f'</v2/{call.name}/tags/list?n={limit}&last={quote(page[-1])}>; rel="next"'
            found = page
        return Response(200, headers, json.dumps({"name": call.name, "tags": found}).encode())

    def _get_blob(self, call: Call) -> Response:
        digest = parse_digest(call.reference)
        data = self._content.blob(call.name, digest)
        headers = {**_OCTETS, "accept-ranges": "bytes", "docker-content-digest": str(digest)}
        return _part(data, headers, call.request.headers.get("range", ""))

    def _delete_blob(self, call: Call) -> Response:
        self._content.delete_blob(call.name, parse_digest(call.reference))
        return Response(202)

    def _get_manifest(self, call: Call) -> Response:
        found = self._content.manifest(call.name, call.reference)
        accepted = call.request.headers.get("accept", "*/*")
        if "*/*" not in accepted and found.media_type not in accepted:
            raise Problem("MANIFEST_UNKNOWN", f"it is {found.media_type}, which was not asked for")
        return Response(200, {"content-type": found.media_type, "docker-content-digest": str(found.digest)}, found.data)

    def _put_manifest(self, call: Call) -> Response:
        manifest = StoredManifest(call.body, call.request.headers.get("content-type", ""))
        self._content.check_manifest(call.name, manifest)
        digest = self._content.put_manifest(call.name, call.reference, manifest)
        location = f"{call.request.origin}/v2/{call.name}/manifests/{digest}"
        headers = {"location": location, "docker-content-digest": str(digest)}
        subject = subject_of(call.body)
        if subject is not None and self._referrers:
            headers["oci-subject"] = subject
        return Response(201, headers)

    def _list_referrers(self, call: Call) -> Response:
        found = self._content.referrers(call.name, parse_digest(call.reference))
        headers = {"content-type": OCI_INDEX}
        wanted = call.request.argument("artifactType")
        if wanted is not None:
            found = [one for one in found if one.get("artifactType") == wanted]
            headers["oci-filters-applied"] = "artifactType"
        if self._referrers_page is not None:
            first = int(call.request.argument("first") or 0)
            after = first + self._referrers_page
            if after < len(found):
                query = {"first": after} | ({"artifactType": wanted} if wanted is not None else {})
                headers["link"] = f'</v2/{call.name}/referrers/{call.reference}?{urlencode(query)}>; rel="next"'
            found = found[first:after]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}
        return Response(200, headers, json.dumps(index).encode())

    def _delete_manifest(self, call: Call) -> Response:
        self._content.delete_manifest(call.name, call.reference)
        return Response(202)

    def _start_upload(self, call: Call) -> Response:
        mount, digest = call.request.argument("mount"), call.request.argument("digest")
        if mount is not None and self._mount(call, mount):
            return _created(call, mount)
        if digest is not None and self._single_post:
            self._content.put_blob(call.name, call.body, parse_digest(digest))
            return _created(call, digest)
        return self._progress(call, self._content.start_upload(call.name), 202)

    def _mount(self, call: Call, digest: str) -> bool:
        source = call.request.argument("from")
        if source is None:
            return False
        try:
            self._access.check(call.request, call.name, source=source)
        except Problem:
            return False
        return self._content.mount_blob(call.name, parse_digest(digest), source)

    def _upload_status(self, call: Call) -> Response:
        return self._progress(call, call.reference, 204)

    def _continue_upload(self, call: Call) -> Response:
        self._append(call)
        return self._progress(call, call.reference, 202)

    def _finish_upload(self, call: Call) -> Response:
        digest = parse_digest(call.request.argument("digest"))
        self._append(call)
        self._content.finish_upload(call.name, call.reference, digest)
        return _created(call, str(digest))

    def _cancel_upload(self, call: Call) -> Response:
        self._content.upload(call.name, call.reference)
        del self._content.uploads[call.reference]
        return Response(204)

    def _append(self, call: Call) -> None:
        upload = self._content.upload(call.name, call.reference)
        text = call.request.headers.get("content-range")
        if text is not None:
            match = _CONTENT_RANGE.fullmatch(text)
            if match is None or int(match[1]) != len(upload.data):
                raise Problem("BLOB_UPLOAD_INVALID", {"range": text}, _place(call, call.reference, len(upload.data)))
        upload.data += call.body

    def _progress(self, call: Call, upload: str, status: int) -> Response:
        size = len(self._content.upload(call.name, upload).data)
        return Response(status, {**_place(call, upload, size), "docker-upload-uuid": upload})


def _place(call: Call, upload: str, size: int) -> dict[str, str]:
    location = f"{call.request.origin}/v2/{call.name}/blobs/uploads/{upload}"
    return {"location": location, "range": f"0-{max(size - 1, 0)}"}


def _created(call: Call, digest: str) -> Response:
    location = f"{call.request.origin}/v2/{call.name}/blobs/{digest}"
    return Response(201, {"location": location, "docker-content-digest": digest})


def _part(data: bytes, headers: dict[str, str], asked: str) -> Response:
    """Return the part of a blob that a Range header asks for, or all of it where there is none that is understood."""
    match = _RANGE.fullmatch(asked)
    if match is None or match[0] == "bytes=-":
        return Response(200, headers, data)
    size = len(data)
    start = int(match[1]) if match[1] else max(size - int(match[2]), 0)
    end = min(int(match[2]) + 1, size) if match[1] and match[2] else size
    if start >= min(end, size):
        return Response(416, {**headers, "content-range": f"bytes */{size}"})
    return Response(206, {**headers, "content-range": f"bytes {start}-{end - 1}/{size}"}, data[start:end])
