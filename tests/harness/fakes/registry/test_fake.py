"""What the registry in this process does beyond the contract: what can be put into it, and who gets in."""

import base64
import http.client
import json
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contracts import make_image, one_file
from harness.contracts.exchange import OCI_INDEX, OCI_MANIFEST, OCTETS, Client
from harness.fakes.registry import FakeRegistry
from harness.fakes.stores import MemoryLayerStore
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Index
from kubeimage.image.reference import Reference
from kubeimage.store import Store

ANNA = "Basic " + base64.b64encode(b"anna:secret").decode()
USERS = {"anna": "secret"}


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


def token(registry: FakeRegistry, scope: str, authorization: str = ANNA) -> str:
    headers = {"Authorization": authorization} if authorization else {}
    answer = Client(registry.url, headers=headers).call("GET", f"/token?service=fake-registry&scope={scope}")
    return "Bearer " + str(json.loads(answer.body)["token"])


def test_an_image_can_be_put_with_its_layers(registry: FakeRegistry) -> None:
    layers = MemoryLayerStore()
    layer = layers.put(one_file(b"content"))
    image = make_image([layer])

    digest = registry.put_image("team/app", "v1", image, layers)

    assert Client(registry.url, "team/app").call("GET", "manifests/v1").body == image.manifest.to_bytes()
    assert registry.tags("team/app") == {"v1": digest}
    assert registry.blobs("team/app") == {
        image.id: image.config,
        layer.diff_id: layers.blobs[layer.diff_id],
    }


def test_a_layout_can_be_put(registry: FakeRegistry, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "store")) as store:
        image = make_image([store.layers.put(one_file(b"content"))])
        store.images.put(image, [Reference.parse("app:v1")])

    (digest,) = registry.put_layout("team/app", str(tmp_path / "store"))

    assert registry.manifest("team/app", "v1").digest == digest
    assert image.id in registry.blobs("team/app")


def test_what_was_pushed_can_be_read(registry: FakeRegistry) -> None:
    client = Client(registry.url, "team/app")
    data = client.make_manifest(OCI_INDEX)
    client.put_manifest("v1", data, OCI_INDEX)

    found = registry.manifest("team/app", "v1")

    assert (found.data, found.media_type, found.digest) == (data, OCI_INDEX, Digest.of(data))
    (child,) = Index.from_bytes(found.data).manifests
    assert registry.manifest("team/app", str(child.digest)).media_type == OCI_MANIFEST


def test_requests_are_noted_with_what_was_sent(registry: FakeRegistry) -> None:
    Client(registry.url, "team/app").call("GET", "tags/list?n=2", headers={"Authorization": ANNA})

    (request,) = registry.requests
    assert registry.calls() == ["GET /v2/team/app/tags/list"]
    assert (request.repository, request.argument("n"), request.authorization) == ("team/app", "2", ANNA)
    assert ANNA not in repr(request)


def test_a_chunk_out_of_turn_is_refused(registry: FakeRegistry) -> None:
    client = Client(registry.url)
    place = client.place(client.call("PATCH", client.start(), b"aaa", {**OCTETS, "Content-Range": "0-2"}))

    refused = client.call("PATCH", place, b"b", {**OCTETS, "Content-Range": "7-7"})

    assert (refused.status, refused.headers["range"]) == (416, "0-2")
    assert client.call("GET", place).headers["range"] == "0-2"


def test_tags_are_in_order_and_pages_link_to_the_next(registry: FakeRegistry) -> None:
    for tag in ("v2", "a", "v1"):
        registry.put_manifest("app", tag, b"{}")

    answer = Client(registry.url, "app").call("GET", "tags/list?n=2")

    assert json.loads(answer.body) == {"name": "app", "tags": ["a", "v1"]}
    assert answer.headers["link"] == '</v2/app/tags/list?n=2&last=v1>; rel="next"'


def test_a_tag_can_be_deleted_and_its_manifest_stays(registry: FakeRegistry) -> None:
    client = Client(registry.url, "app")
    digest = registry.put_manifest("app", "v1", b"{}")

    client.call("DELETE", "manifests/v1")

    assert client.call("GET", "manifests/v1").codes == ["MANIFEST_UNKNOWN"]
    assert client.call("GET", f"manifests/{digest}").status == 200


def test_a_token_is_asked_for_with_its_scope() -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        answer = Client(registry.url, "team/app").call("POST", "blobs/uploads/")

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="http://{answer.headers["www-authenticate"].split("/")[2]}/token",service="fake-registry",'
        'scope="repository:team/app:pull,push"'
    )


@pytest.mark.parametrize(
    ("scope", "status"),
    [("repository:team/app:pull,push", 202), ("repository:team/app:pull", 401), ("repository:other:pull,push", 401)],
    ids=["right", "pull only", "another repository"],
)
def test_a_token_is_good_for_its_scope(scope: str, status: int) -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        headers = {"Authorization": token(registry, scope)}
        answer = Client(registry.url, "team/app", headers).call("POST", "blobs/uploads/")

    assert answer.status == status


def test_tokens_come_to_an_end() -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        client = Client(registry.url, headers={"Authorization": token(registry, "")})
        before = client.call("GET", "/v2/").status
        registry.expire_tokens()
        after = client.call("GET", "/v2/")

    assert (before, after.status) == (200, 401)
    assert 'error="invalid_token"' in after.headers["www-authenticate"]


def test_a_token_of_no_lifetime_is_never_good() -> None:
    with FakeRegistry(users=USERS, login="token", token_lifetime=0) as registry:
        client = Client(registry.url, headers={"Authorization": token(registry, "")})

        assert client.call("GET", "/v2/").status == 401


@pytest.mark.parametrize("login", ["basic", "token"])
def test_anybody_may_pull_where_that_is_allowed(login: str) -> None:
    with FakeRegistry(users=USERS, login=login, anonymous_pull=True) as registry:  # type: ignore[arg-type]
        registry.put_manifest("app", "v1", b"{}")
        scope = "repository:app:pull,push"
        headers = {"Authorization": token(registry, scope, "")} if login == "token" else {}
        client = Client(registry.url, "app", headers)

        assert client.call("GET", "manifests/v1").status == 200
        assert client.call("POST", "blobs/uploads/").status == 401


def test_a_wrong_password_gets_no_token() -> None:
    wrong = "Basic " + base64.b64encode(b"anna:wrong").decode()
    with FakeRegistry(users=USERS, login="token") as registry:
        answer = Client(registry.url, headers={"Authorization": wrong}).call("GET", "/token")
        form = Client(registry.url).call("POST", "/token", b"grant_type=password&username=anna&password=secret")

    assert (answer.status, answer.codes) == (401, ["UNAUTHORIZED"])
    assert form.status == 200


def test_a_blob_is_not_mounted_from_where_one_may_not_read() -> None:
    with FakeRegistry(users=USERS, login="token") as registry:
        digest = registry.put_blob("secret", b"content")
        headers = {"Authorization": token(registry, "repository:app:pull,push")}
        answer = Client(registry.url, "app", headers).call("POST", f"blobs/uploads/?mount={digest}&from=secret")

    assert answer.status == 202


@pytest.mark.needs("openssl")
def test_it_speaks_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    (tmp_path / "both.pem").write_text(key.read_text() + certificate.read_text())

    with FakeRegistry(certificate=str(tmp_path / "both.pem")) as registry:
        trusting = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(f"{registry.url}/v2/", context=trusting, timeout=20) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"{registry.url}/v2/", timeout=20)


def test_a_request_that_is_not_http_is_refused(registry: FakeRegistry) -> None:
    answer = Client(registry.url).call("GET", "/v2/", headers={"Content-Length": "many"})

    assert answer.status == 400


def test_stopping_leaves_no_thread_and_hangs_up() -> None:
    before = set(threading.enumerate())
    registry = FakeRegistry().start()
    connection = http.client.HTTPConnection(registry.host, timeout=20)
    connection.request("GET", "/v2/")
    connection.getresponse().read()

    registry.stop()

    assert set(threading.enumerate()) <= before
    assert connection.sock.recv(1) == b""
    connection.close()


def test_it_can_be_stopped_twice_and_started_again() -> None:
    registry = FakeRegistry()
    for _ in range(2):
        with registry:
            assert Client(registry.url).call("GET", "/v2/").status == 200
            registry.stop()


def test_without_a_start_there_is_no_address() -> None:
    with pytest.raises(AssertionError, match="context manager"):
        FakeRegistry().url  # noqa: B018
