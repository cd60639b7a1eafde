from typing import Literal

import pytest

from harness.fakes.registry import Drop, FakeRegistry, Redirect, Slow, Status, WrongBytes
from harness.fakes.registry.faults import Fault
from kubeimage.errors import RegistryAuthError, RegistryError
from kubeimage.registry.auth import Challenge, parse_challenges
from kubeimage.registry.exchange import Exchange
from kubeimage.registry.http import HttpTransport
from kubeimage.registry.tls import Trust
from kubeimage.settings import HostSettings, Settings

from .conftest import REPOSITORY, Clients

USERS = {"anna": "secret"}
BLOB = b"a blob"


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        ([], []),
        (["Basic"], [Challenge("basic")]),
        (['Basic realm="a, b"'], [Challenge("basic", "a, b")]),
        (
            ['Bearer realm="https://a/token",service="s",scope="repository:x/y:pull,push"'],
            [Challenge("bearer", "https://a/token", "s", "repository:x/y:pull,push")],
        ),
        (["bearer REALM=https://a/t , Service = s"], [Challenge("bearer", "https://a/t", "s")]),
        (['Negotiate, Basic realm="r"'], [Challenge("negotiate"), Challenge("basic", "r")]),
        (['Basic realm="r", Bearer realm="t"'], [Challenge("basic", "r"), Challenge("bearer", "t")]),
        (["Negotiate", 'Basic realm="r"'], [Challenge("negotiate"), Challenge("basic", "r")]),
        (["=,=,"], []),
    ],
    ids=["none", "bare", "quoted comma", "bearer", "loose", "two in one", "two with fields", "two headers", "nonsense"],
)
def test_challenges_are_read(headers: list[str], challenges: list[Challenge]) -> None:
    assert parse_challenges(headers) == challenges


def test_a_password_goes_where_it_is_asked_for(clients: Clients) -> None:
    with FakeRegistry(users=USERS) as registry:
        digest = registry.put_blob(REPOSITORY, BLOB)
        clients.login(registry.host, "anna", "secret")
        repository = clients.repository(registry.host)

        assert repository.has_blob(digest, len(BLOB))
        assert repository.has_blob(digest, len(BLOB))
        # Once it is known that a password is wanted, it comes with each request.
        assert [bool(request.authorization) for request in registry.requests] == [False, True, True]


def test_a_token_is_asked_for_what_is_needed_and_used_again(clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        digest = registry.put_blob(REPOSITORY, BLOB)
        clients.login(registry.host, "anna", "secret")
        repository = clients.repository(registry.host, writable=True)

        assert repository.has_blob(digest, len(BLOB))
        repository.start_upload()
        tokens = [request for request in registry.requests if request.path == "/token"]
        assert [token.argument("scope") for token in tokens] == [f"repository:{REPOSITORY}:pull,push"]


def test_a_token_is_had_without_a_password_too(clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token", anonymous_pull=True) as registry:
        digest = registry.put_blob(REPOSITORY, BLOB)

        assert clients.repository(registry.host).has_blob(digest, len(BLOB))


def test_a_token_that_has_run_out_is_replaced(clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        digest = registry.put_blob(REPOSITORY, BLOB)
        clients.login(registry.host, "anna", "secret")
        repository = clients.repository(registry.host)
        repository.has_blob(digest, len(BLOB))
        registry.expire_tokens()

        assert repository.has_blob(digest, len(BLOB))


@pytest.mark.parametrize("login", ["basic", "token"])
@pytest.mark.parametrize("password", ["wrong-password", None], ids=["wrong", "none"])
def test_who_is_not_let_in_is_told_how_to_log_in(
    login: Literal["basic", "token"], password: str | None, clients: Clients
) -> None:
    with FakeRegistry(users=USERS, login=login) as registry:
        if password is not None:
            clients.login(registry.host, "anna", password)

        with pytest.raises(RegistryAuthError) as caught:
            clients.repository(registry.host).get_manifest("v1")

        assert caught.value.hint == f"log in: kubeimage login {registry.host}"
        assert "wrong-password" not in repr(caught.value)
        assert len(registry.requests) <= 3


def test_a_token_that_is_refused_is_no_circle(clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        clients.login(registry.host, "anna", "secret")
        registry.on("GET /v2/*", Status(401), times=None)

        with pytest.raises(RegistryAuthError):
            clients.repository(registry.host).get_manifest("v1")

        assert len(registry.requests) == 3


def test_an_identity_token_is_exchanged_and_goes_nowhere_else(clients: Clients, fake_registry: FakeRegistry) -> None:
    fake_registry.on("GET /v2/*", Status(401), times=None)
    clients.login(fake_registry.host, "", token="identity")

    with pytest.raises(RegistryAuthError):
        clients.repository(fake_registry.host).get_manifest("v1")

    exchanged = [request for request in fake_registry.requests if request.path == "/token"]
    assert [(request.method, request.authorization) for request in exchanged] == [("POST", "")]
    assert all("identity" not in request.authorization for request in fake_registry.requests)


@pytest.mark.parametrize("fault", [Status(503), Drop(), Slow(2.0)], ids=["503", "cut", "slow"])
def test_a_token_is_asked_for_again_where_that_fails_by_chance(fault: Fault, clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token", anonymous_pull=True) as registry:
        digest = registry.put_blob(REPOSITORY, BLOB)
        registry.on("GET /token", fault)

        assert clients.repository(registry.host).has_blob(digest, len(BLOB))
        assert clients.waits == [0.5]


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON secret-token", b"[]", b'{"token": 1}', b'{"token": "a\\r\\nb"}', b'{"token":"t","expires_in":"x"}'],
)
def test_a_token_that_makes_no_sense_is_an_error_that_shows_nothing_of_it(body: bytes, clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token", anonymous_pull=True) as registry:
        registry.on("GET /token", WrongBytes(body))

        with pytest.raises(RegistryError, match="gave a token that is not understood") as caught:
            clients.repository(registry.host).get_manifest("v1")

        assert "secret-token" not in str(caught.value)


@pytest.mark.parametrize("realm", ["file:///etc/passwd", "", "no-address"])
def test_a_password_goes_to_no_place_that_is_none(realm: str, clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token", realm=realm or " ") as registry:
        clients.login(registry.host, "anna", "secret")

        with pytest.raises(RegistryError, match="tokens are made at a place that is none"):
            clients.repository(registry.host).get_manifest("v1")


def test_a_password_does_not_follow_a_redirect_of_the_token_server(clients: Clients) -> None:
    with FakeRegistry() as other, FakeRegistry(users=USERS, login="token") as registry:
        clients.login(registry.host, "anna", "secret")
        registry.on("GET /token", Redirect(other.url))

        with pytest.raises(RegistryError, match="could not make a token"):
            clients.repository(registry.host).get_manifest("v1")

        assert other.requests == []


def test_tokens_may_be_made_by_another_server(clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token") as tokens, FakeRegistry() as registry:
        realm = f'Bearer realm="{tokens.url}/token",service="s"'
        registry.on("GET /v2/*", Status(401, headers={"www-authenticate": realm}))
        digest = registry.put_manifest(REPOSITORY, "v1", b"{}")
        clients.login(registry.host, "anna", "secret")

        assert clients.repository(registry.host, tokens.host).get_manifest("v1")[1] == digest
        assert [str(request) for request in tokens.requests] == ["GET /token"]
        assert registry.requests[-1].authorization.startswith("Bearer ")


def test_a_mount_asks_for_the_right_to_read_the_lender(clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        digest = registry.put_blob("team/base", BLOB)
        clients.login(registry.host, "anna", "secret")
        repository = clients.repository(registry.host, writable=True)

        assert repository.mount_blob(digest, "team/base") is None
        assert registry.blobs(REPOSITORY) == {digest: BLOB}


REALMS = {
    "the registry's own place": (True, "http://a.example:5000/token", None),
    "another port": (True, "http://a.example:5001/token", "a.example:5001"),
    "another host": (True, "http://b.example:5000/token", "b.example:5000"),
    "no port": (True, "http://a.example/token", "a.example"),
    "a name that looks like it": (True, "http://a.example:5000@b.example/token", "b.example"),
    "with TLS": (True, "https://b.example/token", None),
    "one that the user has named": (True, "http://named.example/token", None),
    "a registry with TLS": (False, "http://b.example/token", "b.example"),
    "a registry with TLS, its own name": (False, "http://a.example:5000/token", "a.example:5000"),
}


@pytest.mark.parametrize(("in_the_clear", "realm", "refused"), REALMS.values(), ids=REALMS)
def test_a_password_goes_in_the_clear_only_where_the_registry_itself_is(
    in_the_clear: bool, realm: str, refused: str | None
) -> None:
    hosts = {"a.example:5000": HostSettings(plain_http=in_the_clear), "named.example": HostSettings(insecure=True)}
    settings = Settings(hosts=hosts if in_the_clear else {})
    exchange = Exchange("a.example:5000", settings, HttpTransport(Trust(settings)), lambda: None)

    if refused is None:
        exchange._check_realm(realm)
        return
    with pytest.raises(RegistryError, match=f"leads to {refused} without TLS") as caught:
        exchange._check_realm(realm)
    assert caught.value.hint == f"if that is meant, name it: --insecure {refused}"


@pytest.mark.parametrize("status", [400, 401, 403])
def test_who_is_given_no_token_is_told_that_a_login_is_wanted(status: int, clients: Clients) -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        clients.login(registry.host, "anna", "secret")
        registry.on("GET /token", Status(status), times=None)

        with pytest.raises(RegistryAuthError, match="for anna"):
            clients.repository(registry.host).get_manifest("v1")


@pytest.mark.parametrize("life", [60, 61, 300])
def test_a_token_is_renewed_a_while_before_it_ends(life: int, clients: Clients) -> None:
    now = [0.0]
    with FakeRegistry(users=USERS, login="token", token_lifetime=life) as registry:
        digest = registry.put_blob(REPOSITORY, BLOB)
        clients.login(registry.host, "anna", "secret")
        repository = clients.repository(registry.host)
        repository.exchange._auth._clock = lambda: now[0]

        def tokens_after(seconds: float) -> int:
            now[0] = seconds
            assert repository.has_blob(digest, len(BLOB))
            return sum(call.startswith("GET /token") for call in registry.calls())

        assert [tokens_after(when) for when in (0, life - 15, life - 14)] == [1, 1, 2]
