"""A tree on a disk that an ordinary user writes to."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeimage.layer.apply import apply_changeset
from kubeimage.layer.entry import directory, file
from kubeimage.layer.writer import write_layer
from tests.disk import folder_on_disk
from tests.kubeimage.store.conftest import as_nobody

NOBODY = 65534


@pytest.fixture
def root() -> Iterator[str]:
    with folder_on_disk() as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        yield str(folder)


def test_closed_folders_in_closed_folders_are_closed_last(root: str) -> None:
    modes = {"a": 0o500, "a/b": 0, "a/b/c": 0o500}
    tar = io.BytesIO()
    write_layer([*(directory(path, mode) for path, mode in modes.items()), file("a/b/c/f", b"1")], tar.write)
    tar.seek(0)
    found = {}

    with as_nobody():
        apply_changeset(root, tar)
        for path in modes:
            found[path] = Path(root, path).stat().st_mode & 0o777
            os.chmod(f"{root}/{path}", 0o700)

    assert found == modes


def test_a_folder_that_comes_again_loses_what_attributes_of_images_it_no_longer_has(root: str) -> None:
    """Those that are no image's stay: overlayfs, or the machine, has set them."""
    Path(root, "d").mkdir()
    try:
        for name in ("user.mine", "user.kept", "user.overlay.x"):
            os.setxattr(f"{root}/d", name, b"1")
    except OSError as error:
        pytest.skip(f"no attributes here: {error.strerror}")
    tar = io.BytesIO()
    write_layer([directory("d")._replace(xattrs=(("user.kept", b"2"),))], tar.write)
    tar.seek(0)

    apply_changeset(root, tar)

    found = {name: os.getxattr(f"{root}/d", name) for name in os.listxattr(f"{root}/d") if name.startswith("user.")}
    assert found == {"user.kept": b"2", "user.overlay.x": b"1"}
