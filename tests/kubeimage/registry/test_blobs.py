"""One blob there and back, over a registry that does what the network does."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.fakes.registry import Drop, Endless, FakeRegistry, Lose, Status, Truncated, WrongHeader, WrongLength
from harness.fakes.registry.faults import Fault
from harness.fakes.registry.messages import Request, Response
from kubeimage.errors import RegistryContentError, RegistryError
from kubeimage.image.oci import Descriptor
from kubeimage.registry.client import Repository
from kubeimage.registry.download import Download
from kubeimage.registry.messages import PIECE
from kubeimage.registry.upload import upload_blob

from .conftest import REPOSITORY, Clients

DATA = bytes(range(256)) * 12_000
LARGE = Descriptor.of("application/octet-stream", DATA)
SMALL = Descriptor.of("application/octet-stream", DATA[:1000])


class WithoutRange:
    """Answers as if the request had no Range header."""

    def apply(self, _request: Request, answer: Callable[[], Response]) -> Response:
        return replace(answer(), status=200, body=DATA)


def download(repository: Repository, blob: Descriptor = LARGE) -> bytes:
    return b"".join(Download(repository, blob, lambda _done: None))


def upload(repository: Repository, blob: Descriptor) -> list[int]:
    """Send a blob, and give what was told of how much of it is over."""
    told: list[int] = []
    upload_blob(repository, blob, lambda: io.BytesIO(DATA[: blob.size]), told.append, repository.start_upload())
    return told


@pytest.fixture
def registry(fake_registry: FakeRegistry) -> FakeRegistry:
    fake_registry.put_blob(REPOSITORY, DATA)
    fake_registry.put_blob(REPOSITORY, b"")
    return fake_registry


def test_a_blob_comes_in_pieces(registry: FakeRegistry, repository: Repository) -> None:
    told: list[int] = []

    pieces = list(Download(repository, LARGE, told.append))

    assert b"".join(pieces) == DATA
    assert max(map(len, pieces)) <= PIECE
    assert told == [PIECE, 2 * PIECE, len(DATA)]


def test_an_empty_blob_is_one_too(registry: FakeRegistry, repository: Repository) -> None:
    assert download(repository, Descriptor.of("x", b"")) == b""


def test_what_is_cut_goes_on_where_it_was(registry: FakeRegistry, repository: Repository) -> None:
    registry.on("GET */blobs/*", Drop(after=PIECE + 5))
    registry.on("GET */blobs/*", Drop(after=7), skip=1)

    assert download(repository) == DATA
    ranges = [request.headers.get("range") for request in registry.requests]
    assert ranges == [None, f"bytes={PIECE + 5}-", f"bytes={PIECE + 12}-"]


def test_each_bit_of_progress_gives_new_attempts(
    registry: FakeRegistry, repository: Repository, clients: Clients
) -> None:
    registry.on("GET */blobs/*", Drop(after=300_000), times=9)

    assert download(repository) == DATA
    assert clients.waits == [0.5] * 9


def test_without_progress_it_is_given_up(registry: FakeRegistry, repository: Repository, clients: Clients) -> None:
    registry.on("GET */blobs/*", Drop(after=0), times=None)

    with pytest.raises(RegistryError, match="lost the connection"):
        download(repository)

    assert clients.waits == [0.5, 1.0, 2.0, 4.0]


def test_a_registry_without_ranges_is_read_from_the_start_again(registry: FakeRegistry, repository: Repository) -> None:
    registry.on("GET */blobs/*", Drop(after=PIECE + 5))
    registry.on("GET */blobs/*", WithoutRange(), skip=1)

    assert download(repository) == DATA


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Endless(), "has 3072000 bytes, found more"),
        (Truncated(100), "has 3072000 bytes, found 100"),
        (WrongLength(1), "has 3072000 bytes, found 3072001"),
        (WrongLength(-1), "has 3072000 bytes, found 3071999"),
        (WrongLength(1 << 50), "found 1125899909914624"),
    ],
    ids=["endless", "truncated", "longer", "shorter", "a petabyte"],
)
def test_other_sizes_are_refused_before_all_is_read(
    fault: Fault, message: str, registry: FakeRegistry, repository: Repository, clients: Clients
) -> None:
    registry.on("GET */blobs/*", fault, times=None)

    with pytest.raises(RegistryContentError, match=message):
        download(repository)

    assert clients.waits == []


def test_another_range_than_was_asked_for_is_refused(registry: FakeRegistry, repository: Repository) -> None:
    registry.on("GET */blobs/*", Drop(after=PIECE))
    registry.on("GET */blobs/*", WrongHeader("bytes 0-9/10", name="Content-Range"), skip=1)

    with pytest.raises(RegistryContentError, match=f"from byte {PIECE} on, found it from 0 on"):
        download(repository)


@pytest.mark.parametrize("blob", [LARGE, SMALL, Descriptor.of("x", b"")], ids=["large", "small", "empty"])
def test_a_blob_is_sent(blob: Descriptor, fake_registry: FakeRegistry, repository: Repository) -> None:
    told = upload(repository, blob)

    assert fake_registry.blobs(REPOSITORY) == {blob.digest: DATA[: blob.size]}
    assert told[-1:] == ([blob.size] if blob.size else [])


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("PATCH *", Drop()),
        ("PATCH *", Drop(received=PIECE + 10)),
        ("PATCH *", Lose()),
        ("PATCH *", Status(500)),
        ("PATCH *", Status(404)),
        ("PATCH *", Status(416)),
        ("PUT *", Drop()),
        ("PUT *", Status(503)),
        ("POST *", Status(503)),
        ("POST *", Drop()),
    ],
)
@pytest.mark.parametrize("blob", [LARGE, SMALL], ids=["large", "small"])
def test_what_is_cut_on_the_way_there_arrives(
    blob: Descriptor, pattern: str, fault: Fault, fake_registry: FakeRegistry, repository: Repository
) -> None:
    fake_registry.on(pattern, fault)

    upload(repository, blob)

    assert fake_registry.blobs(REPOSITORY) == {blob.digest: DATA[: blob.size]}


def test_an_upload_goes_on_behind_what_the_registry_has(fake_registry: FakeRegistry, repository: Repository) -> None:
    fake_registry.on("PATCH *", Drop(received=PIECE + 10))

    upload(repository, LARGE)

    patches = [request for request in fake_registry.requests if request.method == "PATCH"]
    assert patches[1].headers["content-range"] == f"{PIECE + 10}-{LARGE.size - 1}"


def test_an_upload_that_was_lost_only_in_the_answer_is_there(
    fake_registry: FakeRegistry, repository: Repository
) -> None:
    fake_registry.on("PUT *", Lose())

    upload(repository, LARGE)

    assert fake_registry.blobs(REPOSITORY) == {LARGE.digest: DATA}


@pytest.mark.parametrize("status", [400, 403, 413])
def test_a_refused_upload_is_not_sent_again(status: int, fake_registry: FakeRegistry, repository: Repository) -> None:
    fake_registry.on("PATCH *", Status(status), times=None)

    with pytest.raises(RegistryError) as caught:
        upload(repository, LARGE)

    assert caught.value.status == status
    assert sum(request.method == "PATCH" for request in fake_registry.requests) == 1


def test_an_upload_to_another_host_goes_without_credentials(clients: Clients) -> None:
    with FakeRegistry(users={"anna": "secret"}) as registry, FakeRegistry() as storage:
        clients.login(registry.host, "anna", "secret")
        repository = clients.repository(registry.host, writable=True)
        elsewhere = storage.content.start_upload(REPOSITORY)
        place = f"{storage.url}/v2/{REPOSITORY}/blobs/uploads/{elsewhere}"
        registry.on("POST *", WrongHeader(place, name="Location"), skip=1)

        upload(repository, LARGE)

        assert storage.blobs(REPOSITORY) == {LARGE.digest: DATA}
        assert {request.authorization for request in storage.requests} == {""}


@pytest.mark.parametrize("size", [5, PIECE + 5])
def test_an_upload_without_progress_is_given_up(
    size: int, registry: FakeRegistry, repository: Repository, clients: Clients
) -> None:
    for method in ("PUT", "PATCH"):
        registry.on(f"{method} */uploads/*", Status(503), times=None)

    with pytest.raises(RegistryError):
        upload(repository, Descriptor.of("", DATA[:size]))

    assert clients.waits == [0.5, 1.0, 2.0, 4.0]
