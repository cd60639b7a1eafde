"""What a registry says where it does not do what it is asked.

Source: OCI distribution-spec v1.1, "Error Codes".
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.fakes.registry.messages import Response

JSON = "application/json; charset=utf-8"

_PROBLEMS = {
    "BLOB_UNKNOWN": (404, "blob unknown to registry"),
    "BLOB_UPLOAD_INVALID": (416, "blob upload invalid"),
    "BLOB_UPLOAD_UNKNOWN": (404, "blob upload unknown to registry"),
    "DENIED": (403, "requested access to the resource is denied"),
    "DIGEST_INVALID": (400, "provided digest did not match uploaded content"),
    "MANIFEST_BLOB_UNKNOWN": (400, "manifest references a manifest or blob unknown to registry"),
    "MANIFEST_INVALID": (400, "manifest invalid"),
    "MANIFEST_UNKNOWN": (404, "manifest unknown to registry"),
    "NAME_INVALID": (400, "invalid repository name"),
    "NAME_UNKNOWN": (404, "repository name not known to registry"),
    "PAGINATION_NUMBER_INVALID": (400, "invalid number of results requested"),
    "TOOMANYREQUESTS": (429, "too many requests"),
    "UNAUTHORIZED": (401, "authentication required"),
    "UNAVAILABLE": (503, "service unavailable"),
    "UNKNOWN": (500, "unknown error"),
    "UNSUPPORTED": (405, "the operation is unsupported"),
}
_CODES = {status: code for code, (status, _) in reversed(_PROBLEMS.items())}


class Problem(Exception):  # noqa: N818 - an answer, not a failure
    """A request that is answered with an error."""

    def __init__(self, code: str, detail: object = None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.response = error_response(code, detail=detail, headers=headers)


def error_response(
    code: str, *, status: int | None = None, detail: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Make the answer that tells of a problem; its status is that of the code, if no other is given."""
    usual, message = _PROBLEMS.get(code, _PROBLEMS["UNKNOWN"])
    error = {"code": code, "message": message, "detail": detail}
    body = json.dumps({"errors": [error]}).encode()
    return Response(usual if status is None else status, {"content-type": JSON, **(headers or {})}, body)


def code_of(status: int) -> str:
    """Return the code that goes with a status."""
    return _CODES.get(status, "UNKNOWN")
