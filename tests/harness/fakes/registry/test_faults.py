"""How the registry in this process misbehaves where it is told to."""

import http.client
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from harness.contracts.exchange import OCTETS, Client
from harness.fakes.registry import (
    Afterwards,
    Drop,
    Endless,
    FakeRegistry,
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

Get = Callable[[], http.client.HTTPResponse]
DATA = b"a blob of 24 bytes, just"


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def client(registry: FakeRegistry) -> Client:
    return Client(registry.url, "app")


@pytest.fixture
def get(registry: FakeRegistry) -> Iterator[Get]:
    """Ask for a blob, and read no more than the head of the answer."""
    digest = registry.put_blob("app", DATA)
    with closing(http.client.HTTPConnection(registry.host, timeout=20)) as connection:

        def ask() -> http.client.HTTPResponse:
            connection.request("GET", f"/v2/app/blobs/{digest}")
            return connection.getresponse()

        yield ask


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Status(401), 401, "UNAUTHORIZED"),
        (Status(403), 403, "DENIED"),
        (Status(404, "MANIFEST_UNKNOWN"), 404, "MANIFEST_UNKNOWN"),
        (Status(429, retry_after=7), 429, "TOOMANYREQUESTS"),
        (Status(500), 500, "UNKNOWN"),
        (Status(503, retry_after="Wed, 25 Nov 2026 22:00:00 GMT"), 503, "UNAVAILABLE"),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Status) else "",
)
def test_a_status_comes_with_its_code(
    client: Client, registry: FakeRegistry, fault: Status, status: int, code: str
) -> None:
    registry.on("GET */manifests/*", fault)

    answer = client.call("GET", "manifests/v1")

    assert (answer.status, answer.codes) == (status, [code])
    assert answer.headers.get("retry-after") == (None if fault.retry_after is None else str(fault.retry_after))


def test_whoever_is_refused_for_ever_still_gets_tokens(client: Client, registry: FakeRegistry) -> None:
    registry.on("GET */manifests/*", Status(401), times=None)

    answers = [client.call("GET", "manifests/v1") for _ in range(3)]

    assert [one.status for one in answers] == [401, 401, 401]
    assert answers[0].headers["www-authenticate"] == (
        f'Bearer realm="{registry.url}/token",service="fake-registry",scope="repository:app:pull"'
    )
    assert client.call("GET", "/token?scope=repository:app:pull").status == 200


def test_a_rule_is_for_the_requests_it_counts(client: Client, registry: FakeRegistry) -> None:
    registry.on("GET */tags/list", Status(500), skip=1, times=2)
    registry.put_manifest("app", "v1", b"{}")

    statuses = [client.call("GET", path).status for path in ["tags/list", "/v2/", *["tags/list"] * 3]]

    assert statuses == [200, 200, 500, 500, 200]


def test_the_first_rule_holds_and_all_can_be_forgotten(client: Client, registry: FakeRegistry) -> None:
    registry.on("GET /v2/", Status(500), times=None)
    registry.on("GET /v2/", Status(503), times=None)

    assert client.call("GET", "/v2/").status == 500
    registry.forget()
    assert client.call("GET", "/v2/").status == 200
    assert registry.calls() == ["GET /v2/"]


def test_a_connection_is_dropped_before_the_answer(client: Client, registry: FakeRegistry) -> None:
    registry.on("*", Drop())

    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        client.call("GET", "/v2/")
    assert client.call("GET", "/v2/").status == 200


@pytest.mark.parametrize("after", [0, 1, 23])
def test_a_connection_is_dropped_within_the_answer(registry: FakeRegistry, get: Get, after: int) -> None:
    registry.on("GET */blobs/*", Drop(after=after))
    response = get()

    with pytest.raises(http.client.IncompleteRead) as failure:
        response.read()

    assert (response.getheader("content-length"), failure.value.partial) == ("24", DATA[:after])


def test_a_connection_is_dropped_within_the_request(client: Client, registry: FakeRegistry) -> None:
    place = client.start()
    registry.on("PATCH *", Drop(received=3))

    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        client.call("PATCH", place, DATA, OCTETS)

    assert client.call("GET", place).headers["range"] == "0-2"


def test_an_answer_is_lost(client: Client, registry: FakeRegistry) -> None:
    digest = registry.put_blob("app", DATA)
    registry.on("DELETE *", Lose())

    with pytest.raises(http.client.RemoteDisconnected):
        client.call("DELETE", f"blobs/{digest}")

    assert registry.blobs("app") == {}


@pytest.mark.parametrize("fault", [WrongBytes(), WrongBytes(b"x" * 24)], ids=["turned", "given"])
def test_wrong_bytes_are_as_many(registry: FakeRegistry, get: Get, fault: Fault) -> None:
    registry.on("GET */blobs/*", fault)

    response = get()

    data = response.read()
    assert (len(data), data == DATA, response.getheader("content-length")) == (24, False, "24")


def test_a_length_can_be_too_short(registry: FakeRegistry, get: Get) -> None:
    registry.on("GET */blobs/*", WrongLength(-4))

    assert get().read() == DATA[:-4]


def test_a_length_can_be_too_long(registry: FakeRegistry, get: Get) -> None:
    registry.on("GET */blobs/*", WrongLength(4))

    with pytest.raises(http.client.IncompleteRead) as failure:
        get().read()
    assert failure.value.partial == DATA


def test_a_body_can_be_truncated_as_if_it_were_whole(registry: FakeRegistry, get: Get) -> None:
    registry.on("GET */blobs/*", Truncated(5))

    assert get().read() == DATA[:5]


def test_a_body_can_go_on_for_ever(registry: FakeRegistry, get: Get) -> None:
    registry.on("GET */blobs/*", Endless())
    response = get()

    data = response.read(1 << 20)

    assert (len(data), data[:30], response.getheader("content-length")) == (1 << 20, DATA + b"      ", None)
    response.close()


def test_a_manifest_can_be_huge(client: Client, registry: FakeRegistry) -> None:
    registry.put_manifest("app", "v1", b"{}")
    registry.on("GET */manifests/*", Huge(5 << 20))

    answer = client.call("GET", "manifests/v1")

    assert (len(answer.body), answer.body[:3], answer.headers["content-length"]) == (5 << 20, b"{} ", str(5 << 20))


@pytest.mark.parametrize("value", ["sha256:" + "1" * 64, "rubbish", None])
def test_the_digest_in_the_header_can_be_another(client: Client, registry: FakeRegistry, value: str | None) -> None:
    registry.put_manifest("app", "v1", b"{}")
    registry.on("GET */manifests/*", WrongHeader(value))

    answer = client.call("GET", "manifests/v1")

    assert (answer.headers.get("docker-content-digest"), answer.body) == (value, b"{}")


@pytest.mark.parametrize("to", ["file:///etc/passwd", "http://127.0.0.1:1/elsewhere"])
def test_a_redirect_leads_anywhere(client: Client, registry: FakeRegistry, to: str) -> None:
    registry.on("GET */blobs/*", Redirect(to))

    answer = client.call("GET", "blobs/x")

    assert (answer.status, answer.headers["location"]) == (307, to)


def test_a_redirect_leads_to_the_same_path_of_another_registry(registry: FakeRegistry) -> None:
    with FakeRegistry() as other:
        digest = other.put_blob("app", DATA)
        registry.on("GET */blobs/*", Redirect(other.url))

        with urllib.request.urlopen(f"{registry.url}/v2/app/blobs/{digest}", timeout=20) as response:
            assert response.read() == DATA
        assert other.calls() == [f"GET /v2/app/blobs/{digest}"]


def test_a_tag_can_move_between_two_calls(client: Client, registry: FakeRegistry) -> None:
    old, new = (registry.put_manifest("app", None, data) for data in (b"{}", b"[]"))
    registry.tag("app", "v1", old)
    registry.on("GET */manifests/v1", Afterwards(lambda: registry.tag("app", "v1", new)))

    assert [client.call("GET", "manifests/v1").body for _ in range(2)] == [b"{}", b"[]"]


@pytest.mark.parametrize("fault", [Slow(600), Slow(600, every=4)], ids=["before the answer", "within it"])
def test_a_slow_answer_does_not_keep_the_registry_from_stopping(registry: FakeRegistry, fault: Fault) -> None:
    registry.on("GET */blobs/*", fault)
    connection = http.client.HTTPConnection(registry.host, timeout=0.3)
    connection.request("GET", f"/v2/app/blobs/{registry.put_blob('app', DATA)}")

    with pytest.raises(TimeoutError):
        connection.getresponse().read()

    registry.stop()
    connection.close()


def test_a_slow_answer_comes_in_the_end(registry: FakeRegistry, get: Get) -> None:
    registry.on("GET */blobs/*", Slow(0.001, every=4))

    assert get().read() == DATA
