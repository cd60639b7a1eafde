"""An application built on a real store, with its images in a registry of this process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage.api.backends import Backends, open_backends
from kubeimage.api.building import build_image
from kubeimage.builder.executor import BuildResult
from kubeimage.builder.plan import BuildOptions
from kubeimage.discovery.references import Choice, parse_image
from kubeimage.discovery.search import PullImages, Search
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Naming
from kubeimage.kubefile import parse
from kubeimage.settings import HostSettings, Settings
from tests.kubeimage.store.foreign import Foreign, make_index

AMD64 = Platform("linux", "amd64")
KUBEFILE = "FROM scratch\nCOPY . .\n"


class Workshop:
    """Builds applications; ``events`` are what all builds told, registries' transfers included."""

    def __init__(self, folder: Path, hosts: Callable[[], list[str]]) -> None:
        self.root = folder / "store"
        self.events: list[Any] = []
        self.notes: list[str] = []
        self._folder = folder
        self._hosts = hosts
        self._count = 0

    def context(self, files: Mapping[str, str]) -> Path:
        self._count += 1
        folder = self._folder / f"context{self._count}"
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        return folder

    def build(
        self,
        files: Mapping[str, str],
        policy: PullImages = "missing",
        *,
        kubefile: str = KUBEFILE,
        name: str | None = None,
        search: Search | None = None,
        **options: Any,
    ) -> BuildResult:
        """Build a context of these files."""
        context = self.context({"Kubefile": kubefile, ".kubeignore": "Kubefile\n.kubeignore\n", **files})
        return self.build_in(context, policy, kubefile=kubefile, name=name, search=search, **options)

    def build_in(
        self,
        context: Path,
        policy: PullImages = "missing",
        *,
        kubefile: str = KUBEFILE,
        name: str | None = None,
        search: Search | None = None,
        **options: Any,
    ) -> BuildResult:
        """Build a context that is there."""
        wanted = BuildOptions(
            references=(Naming().parse(name),) if name else (),
            platform=AMD64,
            pull_images=policy,
            search=search or Search(),
            pull="never",
            **options,
        )
        with self.open() as backends:
            return build_image(
                parse(kubefile.encode(), file="Kubefile"),
                str(context),
                backends,
                options=wanted,
                observe=self.events.append,
            )

    def open(self) -> AbstractContextManager[Backends]:
        """Open the backends; the registries need no TLS."""
        settings = Settings(hosts={host: HostSettings(plain_http=True) for host in self._hosts()})
        return open_backends(
            str(self.root), mount="copy", isolation="none", settings=settings, watch=self.events.append
        )

    def told(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def registries() -> Iterator[list[FakeRegistry]]:
    """Return two registries."""
    with FakeRegistry() as one, FakeRegistry() as two:
        yield [one, two]


@pytest.fixture
def registry(registries: list[FakeRegistry]) -> FakeRegistry:
    return registries[0]


@pytest.fixture
def workshop(tmp_path: Path, registries: list[FakeRegistry], monkeypatch: pytest.MonkeyPatch) -> Workshop:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return Workshop(tmp_path, lambda: [one.host for one in registries])


def publish(registry: FakeRegistry, name: str, image: Foreign | Mapping[str, Foreign]) -> Digest:
    """Put an image, or an index by architectures, into a registry under ``repository:tag``."""
    repository, _, tag = name.partition(":")
    images = {"": image} if isinstance(image, Foreign) else dict(image)
    for one in images.values():
        for data in one.blobs.values():
            registry.put_blob(repository, data)
        registry.put_manifest(repository, None, one.manifest)
    top = image.manifest if isinstance(image, Foreign) else make_index(list(images.items()))
    return registry.put_manifest(repository, tag, top)


def listing(*names: str) -> dict[str, str]:
    """Return an application that names these images, and its Metadata."""
    return {"manifests/imageList": "\n".join(names), "Metadata": '{"version": "v1.22.15"}'}


def choosing(*, ignored: tuple[str, ...] = (), added: tuple[str, ...] = ()) -> Search:
    return Search(choice=Choice(ignored, tuple(map(parse_image, added))))
