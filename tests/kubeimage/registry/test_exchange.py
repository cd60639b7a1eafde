from typing import Any

import pytest

from harness.fakes.registry import Drop, FakeRegistry, Huge, Lose, Redirect, Slow, Status, WrongHeader
from harness.fakes.registry.faults import Fault
from kubeimage.errors import (
    RegistryAuthError,
    RegistryConnectionError,
    RegistryContentError,
    RegistryError,
    RegistryNotFoundError,
)
from kubeimage.image.digest import Digest
from kubeimage.registry.client import Repository, check_registry
from kubeimage.registry.http import HttpTransport

from .conftest import Clients

BLOB = b"some bytes of a blob"


@pytest.fixture
def blob(fake_registry: FakeRegistry) -> Digest:
    return fake_registry.put_blob("team/app", BLOB)


def read(repository: Repository, digest: Digest) -> bytes:
    with repository.open_blob(digest) as response:
        return response.read(1 << 20)


@pytest.mark.parametrize(
    "fault",
    [Status(429), Status(500), Status(502), Status(503), Status(504), Drop(), Lose(), Slow(2.0)],
    ids=["429", "500", "502", "503", "504", "cut before", "cut after", "no answer"],
)
def test_what_fails_by_chance_is_tried_again(
    fault: Fault, fake_registry: FakeRegistry, repository: Repository, blob: Digest, clients: Clients
) -> None:
    fake_registry.on("GET */blobs/*", fault, times=2)

    assert read(repository, blob) == BLOB
    assert clients.waits == [0.5, 1.0]


def test_it_is_given_up_in_the_end_with_what_the_registry_said(
    fake_registry: FakeRegistry, repository: Repository, blob: Digest, clients: Clients
) -> None:
    fake_registry.on("GET */blobs/*", Status(503, code="UNAVAILABLE"), times=None)

    with pytest.raises(RegistryError, match=f"{fake_registry.host} refuses GET .*: 503 UNAVAILABLE") as caught:
        read(repository, blob)

    assert (caught.value.status, caught.value.codes) == (503, ("UNAVAILABLE",))
    assert clients.waits == [0.5, 1.0, 2.0, 4.0]


def test_a_wait_that_the_registry_asks_for_is_granted(
    fake_registry: FakeRegistry, repository: Repository, blob: Digest, clients: Clients
) -> None:
    fake_registry.on("GET */blobs/*", Status(429, retry_after=7))

    assert read(repository, blob) == BLOB
    assert clients.waits == [7.0]


@pytest.mark.parametrize("asked", [3600, "Fri, 31 Dec 2100 23:59:59 GMT"], ids=["seconds", "date"])
def test_nobody_waits_for_hours(
    asked: int | str, fake_registry: FakeRegistry, repository: Repository, blob: Digest, clients: Clients
) -> None:
    fake_registry.on("GET */blobs/*", Status(429, retry_after=asked))

    with pytest.raises(RegistryError, match="429"):
        read(repository, blob)

    assert clients.waits == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [(403, RegistryAuthError), (404, RegistryNotFoundError), (400, RegistryError), (301, RegistryError)],
)
def test_a_refusal_is_not_tried_again(
    status: int, kind: type[RegistryError], fake_registry: FakeRegistry, repository: Repository, blob: Digest
) -> None:
    fake_registry.on("GET */blobs/*", Status(status), times=None)

    with pytest.raises(kind) as caught:
        read(repository, blob)

    assert caught.value.status == status
    assert len(fake_registry.requests) == 1


def test_an_unending_401_ends(fake_registry: FakeRegistry, repository: Repository, blob: Digest) -> None:
    fake_registry.on("GET */blobs/*", Status(401), times=None)

    with pytest.raises(RegistryAuthError) as caught:
        read(repository, blob)

    assert caught.value.hint == f"log in: kubeimage login {fake_registry.host}"
    assert [call for call in fake_registry.calls() if "/blobs/" in call] == [f"GET /v2/team/app/blobs/{blob}"] * 2


def test_a_redirect_to_another_host_goes_without_credentials(clients: Clients) -> None:
    with FakeRegistry(users={"anna": "secret"}) as registry, FakeRegistry() as other:
        blob = registry.put_blob("team/app", BLOB)
        other.put_blob("team/app", BLOB)
        registry.on("GET */blobs/*", Redirect(other.url), skip=1)
        clients.login(registry.host, "anna", "secret")

        assert read(clients.repository(registry.host), blob) == BLOB
        assert registry.requests[-1].authorization != ""
        assert [request.authorization for request in other.requests] == [""]


def test_another_host_s_401_gets_no_credentials(clients: Clients) -> None:
    with FakeRegistry(users={"anna": "secret"}) as registry, FakeRegistry(users={"anna": "secret"}) as other:
        blob = registry.put_blob("team/app", BLOB)
        registry.on("GET */blobs/*", Redirect(other.url), skip=1, times=None)
        clients.login(registry.host, "anna", "secret")

        with pytest.raises(RegistryAuthError):
            read(clients.repository(registry.host), blob)

        assert [request.authorization for request in other.requests] == [""]


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher:x", "http://a:b:c/", "http://[::/"], ids=str
)
def test_a_redirect_out_of_the_web_is_refused(
    place: str, fake_registry: FakeRegistry, repository: Repository, blob: Digest
) -> None:
    fake_registry.on("GET */blobs/*", Status(307, headers={"location": place}), times=None)

    with pytest.raises(RegistryError, match="leads to an address that is not followed"):
        read(repository, blob)


def test_redirects_in_a_circle_end(fake_registry: FakeRegistry, repository: Repository, blob: Digest) -> None:
    fake_registry.on("GET */blobs/*", Redirect(fake_registry.url), times=None)

    with pytest.raises(RegistryError, match="redirects in a circle"):
        read(repository, blob)


def test_a_manifest_of_100_mb_is_not_read(fake_registry: FakeRegistry, repository: Repository) -> None:
    fake_registry.put_manifest("team/app", "v1", b"{}")
    fake_registry.on("GET */manifests/*", Huge(100 << 20))

    with pytest.raises(RegistryContentError, match="longer than 4194304 bytes"):
        repository.get_manifest("v1")


def test_a_manifest_that_is_not_what_the_header_says_is_refused(
    fake_registry: FakeRegistry, repository: Repository
) -> None:
    fake_registry.put_manifest("team/app", "v1", b"{}")
    fake_registry.on("GET */manifests/*", WrongHeader())

    with pytest.raises(RegistryContentError, match="the manifest v1 is not what the registry says"):
        repository.get_manifest("v1")


def test_an_error_tells_no_signature_of_an_address(fake_registry: FakeRegistry, repository: Repository) -> None:
    fake_registry.on("GET */blobs/*", Redirect(f"{fake_registry.url}/storage?signature=secret"))

    with pytest.raises(RegistryNotFoundError) as caught:
        read(repository, Digest.of(b""))

    assert "secret" not in str(caught.value)
    assert "/storage" in str(caught.value)


def test_nobody_there_is_told_at_once(clients: Clients) -> None:
    with FakeRegistry() as registry:
        host = registry.host

    with pytest.raises(RegistryConnectionError, match=f"cannot connect to the registry {host}: Connection refused"):
        check_registry(clients.exchange(host))

    assert clients.waits == []


def test_a_name_that_is_none_is_told_at_once(clients: Clients) -> None:
    with pytest.raises(RegistryConnectionError, match=r"the name of the registry no\.such\.invalid cannot be resolved"):
        check_registry(clients.exchange("no.such.invalid"))

    assert clients.waits == []


def test_a_trickle_is_not_waited_for(fake_registry: FakeRegistry, repository: Repository, blob: Digest) -> None:
    fake_registry.on("GET */blobs/*", Slow(0.2, every=1), times=None)

    with pytest.raises(RegistryConnectionError, match=r"gave up waiting .* it sent . bytes in [0-9.]+ s"):
        read(repository, blob)


def test_connections_are_used_again(
    fake_registry: FakeRegistry, repository: Repository, blob: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    connect = HttpTransport._connect
    monkeypatch.setattr(HttpTransport, "_connect", lambda *given: made.append(given) or connect(*given))

    for _ in range(3):
        read(repository, blob)
        repository.has_blob(Digest.of(b"another"), 1)

    assert len(made) == 1


def test_a_connection_that_the_registry_has_closed_meanwhile_is_replaced(
    repository: Repository, fake_registry: FakeRegistry, blob: Digest, clients: Clients
) -> None:
    read(repository, blob)
    fake_registry.on("HEAD *", Drop())

    assert repository.has_blob(blob, len(BLOB))
    assert clients.waits == []
