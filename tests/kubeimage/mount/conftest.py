"""Layers unpacked by hand, and a place for mounts."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.trees import Content, write_tree
from kubeimage.disk.removal import remove_tree
from kubeimage.image.digest import Digest


class FolderSnapshots:
    """Folders that stand for unpacked layers, under digests of their names."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.scratches = 0
        self._paths: dict[Digest, str] = {}

    def add(self, name: str, tree: Mapping[str, Content]) -> Digest:
        path = os.path.join(self.root, name)
        write_tree(path, tree)
        digest = Digest.of(path.encode())
        self._paths[digest] = path
        return digest

    def path(self, diff_id: Digest) -> str:
        return self._paths[diff_id]

    @contextmanager
    def scratch(self) -> Iterator[str]:
        self.scratches += 1
        path = os.path.join(self.root, f"scratch-{self.scratches}")
        os.mkdir(path, 0o700)
        try:
            yield path
        finally:
            remove_tree(path)

    def workspace(self) -> str:
        path = os.path.join(self.root, "workspace")
        os.makedirs(path, exist_ok=True)
        return path

    def left_over(self) -> list[str]:
        return [name for name in os.listdir(self.root) if name.startswith("scratch")]


@pytest.fixture
def snapshots(tmp_path: Path) -> FolderSnapshots:
    (tmp_path / "s").mkdir()
    return FolderSnapshots(tmp_path / "s")


@pytest.fixture
def long_path(tmp_path: Path) -> Callable[[], FolderSnapshots]:
    """Make snapshots in a folder whose path is over 200 characters long and has all that mount options choke on."""

    def make() -> FolderSnapshots:
        folder = tmp_path / ("a:b,c d\\e=f'g\"" + "x" * 186)
        folder.mkdir()
        return FolderSnapshots(folder)

    return make
