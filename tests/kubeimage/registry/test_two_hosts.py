"""Several hosts, ports and names at once: what belongs to one serves no other, and none is believed on its word."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.client import HTTPMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.registry import FakeRegistry, Redirect
from harness.fakes.registry.messages import Request as Asked
from harness.fakes.registry.messages import Response as Answer
from kubeimage.errors import RegistryAuthError, RegistryContentError, RegistryError
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.registry.auth import Authenticator, pull_scope, push_scope
from kubeimage.registry.credentials import Credentials
from kubeimage.registry.http import Response
from kubeimage.registry.messages import Request
from kubeimage.settings import MirrorSettings, Settings
from tests.kubeimage.registry.conftest import REPOSITORY, Clients
from tests.properties.examples import examples

HOSTS = ("one", "two", "three")
SCOPES = (pull_scope("x"),)
words = st.sampled_from(["a", "ab", "a-b", "b", "lib", "library", "libraryx"])
domains = st.sampled_from(["r.example", "r.example:5000", "r.example:50001", "xr.example", "docker.io"])
paths = st.builds(lambda domain, parts: "/".join([domain, *parts]), domains, st.lists(words, max_size=3))


@examples(3)
@given(
    domains,
    st.lists(words, min_size=1, max_size=3),
    st.lists(st.tuples(paths, st.booleans()), max_size=4, unique_by=lambda one: one[0]),
)
def test_a_mirror_stands_for_whole_parts_of_a_name(
    domain: str, parts: list[str], mirrors: list[tuple[str, bool]]
) -> None:
    made = tuple(
        MirrorSettings(prefix, tuple(f"{host}.local/{number}" for host in HOSTS), fallback=fallback)
        for number, (prefix, fallback) in enumerate(mirrors)
    )
    reference = Reference(domain, "/".join(parts), "v1")
    name = [domain, *parts]
    lengths = {
        number: len(prefix.split("/"))
        for number, (prefix, _) in enumerate(mirrors)
        if name[: len(prefix.split("/"))] == prefix.split("/")
    }

    places = list(map(str, Settings(mirrors=made).places(reference)))

    if not lengths:
        assert places == [str(reference)]
        return
    best = max(lengths, key=lengths.__getitem__)
    rest = "/".join(["", *name[lengths[best] :]])
    wanted = [f"{host}.local/{best}{rest}:v1" for host in HOSTS]
    assert places == [*wanted, *([str(reference)] if mirrors[best][1] else [])]


@pytest.fixture
def three() -> Iterator[list[FakeRegistry]]:
    """Three registries on three ports of one address, each with a user of its own."""
    with (
        FakeRegistry(users={"u0": "p0"}) as one,
        FakeRegistry(users={"u1": "p1"}, login="token") as two,
        FakeRegistry(users={"u2": "p2"}) as three,
    ):
        yield [one, two, three]


def passwords(registry: FakeRegistry) -> set[str]:
    """All that was ever sent to a registry in Basic headers."""
    sent = [request.authorization.removeprefix("Basic ") for request in registry.requests]
    return {base64.b64decode(one).decode() for one in sent if one and not one.startswith("Bearer ")}


def test_three_ports_of_one_host_are_three_registries(three: list[FakeRegistry], clients: Clients) -> None:
    for number, registry in enumerate(three):
        registry.put_manifest(REPOSITORY, "v1", b"{}")
        clients.login(registry.host, f"u{number}", f"p{number}")
    repositories = [clients.repository(registry.host) for registry in three]

    for _ in range(2):
        for repository in repositories:
            repository.get_manifest("v1")

    assert [passwords(registry) for registry in three] == [{"u0:p0"}, {"u1:p1"}, {"u2:p2"}]
    tokens = [{one.authorization for one in registry.requests if "Bearer" in one.authorization} for registry in three]
    assert [len(one) for one in tokens] == [0, 1, 0]


def test_who_knows_one_port_is_nobody_on_the_others(three: list[FakeRegistry], clients: Clients) -> None:
    clients.login(three[0].host, "u0", "p0")

    for registry in three[1:]:
        with pytest.raises(RegistryAuthError):
            clients.repository(registry.host).get_manifest("v1")
        assert passwords(registry) == set()


@pytest.mark.parametrize("way", [(0, 1), (0, 2), (1, 0), (2, 1)])
def test_nothing_follows_from_one_port_to_another(
    three: list[FakeRegistry], clients: Clients, way: tuple[int, int]
) -> None:
    here, there = (three[number] for number in way)
    clients.login(here.host, f"u{way[0]}", f"p{way[0]}")
    clients.login(there.host, f"u{way[1]}", f"p{way[1]}")
    digest = here.put_blob(REPOSITORY, b"x")
    here.put_manifest(REPOSITORY, "v1", b"{}")
    here.on("GET */blobs/*", Redirect(there.url + "/elsewhere"), times=None)
    repository = clients.repository(here.host, there.host)
    repository.get_manifest("v1")

    with pytest.raises(RegistryError):
        repository.open_blob(digest)

    assert there.requests != []
    assert {request.authorization for request in there.requests} == {""}


@dataclass(frozen=True)
class Lies:
    """Serve other bytes; with the header of the true ones, of these, or with none."""

    body: bytes
    header: str | None

    def apply(self, request: Asked, answer: Callable[[], Answer]) -> Answer:
        del request
        true = answer()
        kept = {name: value for name, value in true.headers.items() if name.lower() != "docker-content-digest"}
        if self.header is not None:
            kept["Docker-Content-Digest"] = self.header
        return replace(true, headers=kept, body=self.body)


DATA, OTHER = b'{"a": 1}', b'{"a": 2}'


@pytest.mark.parametrize("header", [None, str(Digest.of(OTHER)), str(Digest.of(DATA))], ids=["none", "its own", "true"])
def test_a_registry_that_lies_by_digest_is_found_out_whatever_it_says(
    fake_registry: FakeRegistry, clients: Clients, header: str | None
) -> None:
    digest = fake_registry.put_manifest(REPOSITORY, "v1", DATA)
    fake_registry.on("GET */manifests/*", Lies(OTHER, header), times=None)

    with pytest.raises(RegistryContentError, match="is not what the registry says"):
        clients.repository(fake_registry.host).get_manifest(digest)


def test_a_registry_that_lies_by_tag_is_found_out_by_its_own_word(
    fake_registry: FakeRegistry, clients: Clients
) -> None:
    fake_registry.put_manifest(REPOSITORY, "v1", DATA)
    fake_registry.on("GET */manifests/*", Lies(OTHER, str(Digest.of(DATA))), times=None)

    with pytest.raises(RegistryContentError, match="is not what the registry says"):
        clients.repository(fake_registry.host).get_manifest("v1")


def test_without_a_header_a_tag_means_what_it_leads_to(fake_registry: FakeRegistry, clients: Clients) -> None:
    fake_registry.put_manifest(REPOSITORY, "v1", DATA)
    fake_registry.on("GET */manifests/*", Lies(DATA, None), times=None)

    assert clients.repository(fake_registry.host).get_manifest("v1") == (DATA, Digest.of(DATA))


class TokenServer:
    """Stands for a registry and its token server; keeps what was asked for."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.now = 0.0
        self.authenticator = Authenticator(
            "r.example", lambda: Credentials("anna", "secret"), self._send, lambda _realm: None, lambda: self.now
        )

    def _send(self, request: Request) -> Response:
        self.asked.append(request)
        body = json.dumps({"token": f"t{len(self.asked)}", "expires_in": 300}).encode()
        return answer_of(200, body, request)

    def refuse(self, *challenges: str, scopes: tuple[str, ...] = (pull_scope("x"),)) -> str | None:
        """Answer 401 with these challenges."""
        refused = answer_of(401, b"", Request("GET", "https://r.example/v2/"), challenges)
        return self.authenticator.accept(refused, scopes, None)


def answer_of(status: int, body: bytes, request: Request, challenges: tuple[str, ...] = ()) -> Response:
    headers = HTTPMessage()
    for challenge in challenges:
        headers["WWW-Authenticate"] = challenge

    class Canned(Response):
        def __init__(self) -> None:
            self.status, self.headers, self.request = status, headers, request

        def read(self, most: int) -> bytes:
            return body[:most]

        def close(self) -> None:
            pass

    return Canned()


BEARER, BASIC = 'Bearer realm="https://t.example/token",service="s"', 'Basic realm="r"'


@pytest.mark.parametrize("offers", [(BEARER, BASIC), (BASIC, BEARER), (f"{BASIC}, {BEARER}",), (f"{BEARER}, {BASIC}",)])
def test_of_two_schemes_the_stronger_is_taken(offers: tuple[str, ...]) -> None:
    server = TokenServer()

    assert server.refuse(*offers) == "Bearer t1"
    assert [request.url.partition("?")[0] for request in server.asked] == ["https://t.example/token"]


def test_a_token_serves_the_scopes_that_it_was_made_for_alone() -> None:
    server = TokenServer()
    scopes = [(pull_scope("x"),), (push_scope("x"),), (pull_scope("y"),), (push_scope("x"), pull_scope("y"))]
    server.refuse(BEARER, scopes=scopes[0])

    tokens = [server.authenticator.authorization(one) for one in scopes * 2]

    assert tokens == [f"Bearer t{number}" for number in (1, 2, 3, 4)] * 2


def test_a_token_ends_a_little_before_its_time() -> None:
    server = TokenServer()
    server.refuse(BEARER)
    scopes = (pull_scope("x"),)

    held = []
    for now in (1.0, 284.0, 286.0, 570.0, 572.0):
        server.now = now
        held.append(server.authenticator.authorization(scopes))

    assert held == ["Bearer t1", "Bearer t1", "Bearer t2", "Bearer t2", "Bearer t3"]


def test_a_password_is_not_sent_before_it_is_asked_for() -> None:
    server = TokenServer()

    assert server.authenticator.authorization((pull_scope("x"),)) is None
    assert server.asked == []
