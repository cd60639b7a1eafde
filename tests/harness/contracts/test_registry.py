"""The registry in this process and Debian's docker-registry against one contract."""

from collections.abc import Iterator

import pytest

from harness.contracts import BasicAuthContract, RegistryContract
from harness.fakes.registry import FakeRegistry
from tests.registries import docker_registry

KINDS = [
    "fake",
    "fake, uploads in two requests",
    pytest.param("docker-registry", marks=pytest.mark.needs("docker-registry")),
]


@pytest.fixture(scope="module", params=KINDS)
def registry_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "docker-registry":
        with docker_registry(tmp_path_factory.mktemp("registry")) as url:
            yield url
        return
    with FakeRegistry(single_post=request.param == "fake") as registry:
        yield registry.url


@pytest.fixture(scope="module", params=KINDS[::2])
def basic_registry_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "docker-registry":
        with docker_registry(tmp_path_factory.mktemp("registry"), password=True) as url:
            yield url
        return
    with FakeRegistry(users={"anna": "secret"}) as registry:
        yield registry.url


class TestRegistries(RegistryContract):
    pass


class TestRegistriesWithPasswords(BasicAuthContract):
    pass
