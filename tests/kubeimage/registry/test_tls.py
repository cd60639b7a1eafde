"""Whom is trusted: nobody without a proof, unless by name."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage.errors import RegistryConnectionError, SettingsError
from kubeimage.registry.client import check_registry
from kubeimage.settings import HostSettings, Settings

from .conftest import Clients

pytestmark = pytest.mark.needs("openssl")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that nobody knows, and a file that holds its key as well."""
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "ca.crt"
    subject = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, *subject, "-keyout", key, "-out", made], check=True, capture_output=True)
    (folder / "both.pem").write_text(key.read_text() + made.read_text())
    return made


@pytest.fixture
def secure(certificate: Path) -> Iterator[FakeRegistry]:
    with FakeRegistry(users={"anna": "secret"}, certificate=str(certificate.with_name("both.pem"))) as registry:
        yield registry


def check(clients: Clients, host: str, settings: Settings) -> None:
    clients.login(host, "anna", "secret")
    check_registry(clients.exchange(host, settings=settings))


def test_an_unknown_certificate_is_not_trusted_and_told_what_to_do(secure: FakeRegistry, clients: Clients) -> None:
    with pytest.raises(RegistryConnectionError, match=f"the certificate of {secure.host} is not trusted") as caught:
        check(clients, secure.host, Settings())

    assert f'ca-file in [registry."{secure.host}"]' in str(caught.value.hint)
    assert secure.requests == []


def test_a_ca_of_the_configuration_is_trusted(secure: FakeRegistry, clients: Clients, certificate: Path) -> None:
    check(clients, secure.host, Settings(hosts={secure.host: HostSettings(ca_file=str(certificate))}))

    assert secure.requests[-1].authorization != ""


def test_a_ca_in_docker_s_folder_is_trusted(
    secure: FakeRegistry, clients: Clients, certificate: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "certs.d" / secure.host
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(certificate.read_bytes())

    check(clients, secure.host, Settings(certs_dirs=(str(tmp_path / "certs.d"),)))


@pytest.mark.parametrize(
    "settings",
    [HostSettings(ca_file="/nowhere/ca.pem"), HostSettings(ca_file="/etc/hostname")],
    ids=["missing", "no certificate"],
)
def test_a_ca_that_cannot_be_read_is_told(settings: HostSettings, secure: FakeRegistry, clients: Clients) -> None:
    with pytest.raises(SettingsError, match="cannot read the CA certificate"):
        check(clients, secure.host, Settings(hosts={secure.host: settings}))


def test_a_registry_that_is_named_insecure_is_still_spoken_to_by_tls(secure: FakeRegistry, clients: Clients) -> None:
    check(clients, secure.host, Settings().with_insecure([secure.host]))

    assert secure.requests[-1].authorization != ""


def test_plain_http_is_spoken_where_it_is_named(fake_registry: FakeRegistry, clients: Clients) -> None:
    check(clients, fake_registry.host, Settings().with_insecure([fake_registry.host]))

    assert fake_registry.calls() == ["GET /v2/"]


def test_plain_http_is_never_fallen_back_to(fake_registry: FakeRegistry, clients: Clients) -> None:
    with pytest.raises(RegistryConnectionError) as caught:
        check(clients, fake_registry.host, Settings())

    assert f"--insecure {fake_registry.host}" in str(caught.value.hint) or "does not answer" in str(caught.value)
    assert fake_registry.requests == []
