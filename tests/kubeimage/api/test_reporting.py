"""What the page of an image says of its files."""

from pathlib import Path

import pytest

from kubeimage.api import airgap
from kubeimage.api.backends import open_backends
from kubeimage.api.reporting import report_image
from kubeimage.image.config import Image
from kubeimage.image.document import Layer
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, directory, file, symlink, whiteout
from kubeimage.pages.page import FileNode
from kubeimage.store import Store


def stored_image(store: Store, *changesets: list[Entry]) -> Image:
    """Put an image with these layers into a store."""
    stored = [store.layers.put(changeset) for changeset in changesets]
    image = Image(Platform("linux", "amd64"), tuple(Layer(one.diff_id, one.size, "COPY", "x") for one in stored))
    store.images.put(image, ())
    return image


def test_where_images_are_named_is_told_without_a_second_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airgap, "find_images", None)
    named = [directory("manifests"), file("manifests/imageList", b"r.io/app:v1\n")]
    with Store.open(str(tmp_path)) as store:
        image = stored_image(store, named)

    with open_backends(str(tmp_path), access="read") as backends:
        page = report_image(image, backends)

    assert [(row.name, [place.partition(":")[0] for place in row.where]) for row in page.packed] == [
        ("r.io/app:v1", ["manifests/imageList"])
    ]


def test_each_file_is_of_the_topmost_layer_that_has_it(tmp_path: Path) -> None:
    changesets = [
        [directory("bin"), file("bin/gone", b"1"), file("bin/tool", b"old"), file("kept", b"22")],
        [directory("bin"), whiteout("bin/gone"), file("bin/tool", b"newer"), symlink("link", "kept")],
    ]
    with Store.open(str(tmp_path)) as store:
        image = stored_image(store, *changesets)

    with open_backends(str(tmp_path), access="read") as backends:
        page = report_image(image, backends)

    tool = FileNode("tool", 5, layer=1)
    assert page.files == FileNode(
        "",
        7,
        3,
        "directory",
        0,
        (
            FileNode("bin", 5, 1, "directory", 0, (tool,)),
            FileNode("kept", 2, layer=0),
            FileNode("link", 0, 1, "-> kept", 1),
        ),
    )
