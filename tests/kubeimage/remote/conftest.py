"""Machines that share nothing but a cache: each has a store of its own, and all are in this process."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage import (
    Access,
    Backends,
    BuildOptions,
    BuildResult,
    Reference,
    Settings,
    SharedCache,
    build_and_push,
    build_image,
    open_backends,
    parse,
    preview_build,
    share_cache,
)
from kubeimage.builder.forecast import Forecast


class Machine:
    """One machine. Shape: ``said`` is what a person was told of caches, in the last build."""

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.warned: list[str] = []
        self.settings = Settings().with_insecure([f"http://{registry.host}"])

    def context(self, files: Mapping[str, str]) -> str:
        """Write the files of a build context anew, and return its path."""
        place = self.folder / "context"
        place.mkdir(parents=True, exist_ok=True)
        for old in place.iterdir():
            old.unlink()
        for name, text in files.items():
            (place / name).write_text(text)
        return str(place)

    def build(
        self, kubefile: str, files: Mapping[str, str], shared: SharedCache | None = None, **options: Any
    ) -> BuildResult:
        """Build a Kubefile, and return what came of it."""
        with self.backends(shared, "write") as backends:
            found = build_image(parse(kubefile), self.context(files), backends, options=self._options(**options))
        self.warned = list(found.warnings)
        return found

    def push(
        self, kubefile: str, files: Mapping[str, str], shared: SharedCache, *names: str, **options: Any
    ) -> BuildResult:
        """Build a Kubefile, and push the image to ``names``."""
        with self.backends(shared, "write") as backends:
            wanted = BuildOptions(references=tuple(map(Reference.parse, names)), **options)
            return build_and_push(parse(kubefile), self.context(files), backends, options=wanted).results[0]

    def plan(self, kubefile: str, files: Mapping[str, str], shared: SharedCache) -> tuple[Forecast, ...]:
        """Foresee a build."""
        with self.backends(shared, "look") as backends:
            return preview_build(parse(kubefile), self.context(files), backends, options=self._options())

    @contextmanager
    def backends(self, shared: SharedCache | None, access: Access) -> Iterator[Backends]:
        """Open the machine's store, with what others know."""
        self.said.clear()
        with (
            open_backends(str(self.store), self.settings, access=access, mount="copy", isolation="none") as opened,
            share_cache(shared or SharedCache(), opened, notice=self.said.append) as backends,
        ):
            yield backends

    @property
    def store(self) -> Path:
        """Where its store is."""
        return self.folder / "store"

    def _options(self, **options: Any) -> BuildOptions:
        return BuildOptions(references=(Reference.parse("example.com/app:v1"),), **options)


@pytest.fixture
def machine(tmp_path: Path, fake_registry: FakeRegistry) -> Callable[[str], Machine]:
    """Return the machine of a name, made when it is first asked for."""
    known: dict[str, Machine] = {}
    return lambda name: known.setdefault(name, Machine(tmp_path / name, fake_registry))


@pytest.fixture
def keys(tmp_path: Path) -> Callable[[str], tuple[str, str]]:
    """Return the paths of a private key and of its public key."""
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    def make(name: str) -> tuple[str, str]:
        key = Ed25519PrivateKey.generate()
        private, public = tmp_path / f"{name}.pem", tmp_path / f"{name}.pub"
        pem = serialization.Encoding.PEM
        private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
        return str(private), str(public)

    return make
