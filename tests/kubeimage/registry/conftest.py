"""A client of a registry in this process, that waits for nothing and knows nobody's credentials but the test's."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage.registry.client import Repository
from kubeimage.registry.connection import Patience
from kubeimage.registry.credentials import Credentials, CredentialStore
from kubeimage.registry.exchange import Exchange, Retry
from kubeimage.registry.http import HttpTransport
from kubeimage.registry.tls import Trust
from kubeimage.settings import HostSettings, Settings

REPOSITORY = "team/app"
IMPATIENT = Patience(connect=5, handshake=2, send=5, answer=0.5, window=0.25, rate=1024)


class Clients:
    """Makes clients, and closes their connections; ``waits`` are the seconds that they would have waited."""

    def __init__(self, folder: Path) -> None:
        self.waits: list[float] = []
        self._environment = {"DOCKER_CONFIG": str(folder)}
        self._transports: list[HttpTransport] = []

    def login(self, host: str, user: str, password: str = "", token: str = "") -> None:
        """Let all clients have credentials for a registry."""
        CredentialStore(self._environment).put(host, Credentials(user, password, token))

    def exchange(self, host: str, *plain_hosts: str, settings: Settings | None = None, **retry: Any) -> Exchange:
        """Make what talks to ``host``, which like ``plain_hosts`` is named as one without TLS."""
        named = Settings(hosts=dict.fromkeys((host, *plain_hosts), HostSettings(plain_http=True)))
        settings = settings or named
        transport = HttpTransport(Trust(settings), IMPATIENT)
        self._transports.append(transport)
        patient = Retry(sleep=self.waits.append, chance=lambda: 0.0, **retry)
        store = CredentialStore(self._environment)
        return Exchange(host, settings, transport, lambda: store.get(host, REPOSITORY), patient)

    def repository(self, host: str, *plain_hosts: str, writable: bool = False, **settings: Any) -> Repository:
        """Make a client for the repository of the tests."""
        return Repository(self.exchange(host, *plain_hosts, **settings), REPOSITORY, writable=writable)

    def close(self) -> None:
        for transport in self._transports:
            transport.close()


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    made = Clients(tmp_path / "docker")
    yield made
    made.close()


@pytest.fixture
def repository(fake_registry: FakeRegistry, clients: Clients) -> Repository:
    """A client of the fake registry, which asks for no login."""
    return clients.repository(fake_registry.host, writable=True)


@pytest.fixture
def docker_config(tmp_path: Path) -> Callable[[object], CredentialStore]:
    """Write a Docker config file, and give what reads it."""

    def write(config: object) -> CredentialStore:
        path = tmp_path / "docker" / "config.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        return CredentialStore({"DOCKER_CONFIG": str(path.parent)})

    return write


def bytes_read() -> int:
    """Return how many bytes this process has read of files and pipes; what sockets bring is not among them."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"])
