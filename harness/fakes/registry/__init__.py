"""An OCI registry in this process, that also fails as real ones and those on the way to them do.

with FakeRegistry(users={"anna": "secret"}, login="token") as registry:
    registry.put_image("team/app", "v1", image, layers)  # or put_layout, put_blob, put_manifest
    registry.on("GET */blobs/*", Status(429, retry_after=1), skip=2)
    registry.on("GET */blobs/*", Drop(after=1000), times=None)
    ...  # let the client under test pull from f"{registry.host}/team/app:v1", over plain http
    assert registry.calls().count("GET /v2/team/app/manifests/v1") == 1
    assert registry.tags("team/app").keys() == {"v1"}

It serves /v2/, blobs (with ranges), uploads (in one POST, in one PUT, in chunks, by a mount), manifests, tags,
referrers and tokens. Faults are in `harness.fakes.registry.faults`.
"""

from harness.fakes.registry.fake import FakeRegistry
from harness.fakes.registry.faults import (
    Afterwards,
    Drop,
    Endless,
    Fault,
    Huge,
    Lose,
    Redirect,
    Slow,
    Status,
    Truncated,
    WrongBytes,
    WrongHeader,
    WrongLength,
)
from harness.fakes.registry.messages import Request

__all__ = [
    "Afterwards",
    "Drop",
    "Endless",
    "FakeRegistry",
    "Fault",
    "Huge",
    "Lose",
    "Redirect",
    "Request",
    "Slow",
    "Status",
    "Truncated",
    "WrongBytes",
    "WrongHeader",
    "WrongLength",
]
