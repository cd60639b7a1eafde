from collections.abc import Callable
from pathlib import Path

import pytest

from kubeimage.signing.keys import PrivateKey
from tests.kubeimage.signing.made import Blobs, Kind, make_key


@pytest.fixture
def blobs() -> Blobs:
    return Blobs()


@pytest.fixture
def key(tmp_path: Path) -> PrivateKey:
    return make_key(tmp_path)


@pytest.fixture
def other_key(tmp_path: Path) -> PrivateKey:
    return make_key(tmp_path, name="other")


@pytest.fixture
def key_of(tmp_path: Path) -> Callable[[Kind], PrivateKey]:
    return lambda kind: make_key(tmp_path, kind, name=kind)
