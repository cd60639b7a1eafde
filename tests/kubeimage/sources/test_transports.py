"""The contract of every transport: one image is one image, wherever it lies."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from kubeimage import (
    BlobCorruptError,
    BlobNotFoundError,
    ImageFileError,
    KubeimageError,
    OpenImage,
    Platform,
    PlatformMismatchError,
    compare_images,
    export_image,
    inspect_image,
    list_history,
    open_image,
)
from tests.kubeimage.sources.conftest import FILES, TRANSPORTS, TREE, Places, blob_sizes

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def everything(image: OpenImage) -> object:
    """Return all that somebody can see of an image."""
    files = {path: image.read(path) for path, entry in image.rootfs.items() if entry.kind.value == "file"}
    layers = {path: image.layer_of(path) for path in image.rootfs}
    return image.image.id, image.image.config, dict(image.rootfs), layers, files, image.changesets


@each_transport
def test_an_image_is_the_same_by_each_transport(transport: str, read_places: Places) -> None:
    with read_places.backends() as backends:
        expected = everything(open_image("app:v1", backends))

        found = everything(open_image(read_places.names[transport], backends))

    assert found == expected


@each_transport
def test_its_files_and_layers_are_told(transport: str, read_places: Places) -> None:
    with read_places.backends() as backends:
        image = open_image(read_places.names[transport], backends)

        assert set(image.rootfs) == TREE
        assert image.read("/etc/link") == FILES["big"]
        assert [image.layer_of(path) for path in ("etc/c", "big", "etc/b", "etc/link")] == [0, 1, 2, 2]
        assert len(image.manifest.layers) == 3
        with pytest.raises(ImageFileError, match="there is no 'c'") as caught:
            image.read("c")
        assert caught.value.hint is not None
        assert "etc/c" in caught.value.hint


@each_transport
def test_each_layer_opens_as_the_tar_of_its_diff_id(transport: str, read_places: Places) -> None:
    with read_places.backends() as backends:
        image = open_image(read_places.names[transport], backends)
        tars = []
        for layer in image.image.layers:
            with image.layers.open(layer.diff_id) as tar:
                tars.append((tar.seek(0, 2), tar.seek(0), hashlib.sha256(tar.read()).hexdigest())[2])

    assert tars == [layer.diff_id.hex for layer in image.image.layers]


@each_transport
def test_the_operations_that_read_take_it(transport: str, read_places: Places, tmp_path: Path) -> None:
    name = read_places.names[transport]
    with read_places.backends() as backends:
        assert inspect_image(name, backends)["spec"]["platform"]["os"] == "linux"
        assert len(list_history(name, backends)) == 3
        assert compare_images("app:v1", name, backends) == []
        export_image(name, str(tmp_path / "out"), backends)

    assert (tmp_path / "out/etc/b").read_text() == "2\n"


@each_transport
def test_another_platform_is_refused(transport: str, read_places: Places) -> None:
    with read_places.backends() as backends, pytest.raises(KubeimageError, match="for linux/riscv64") as caught:
        open_image(read_places.names[transport], backends, platform=Platform.parse("riscv64"))

    assert isinstance(caught.value, PlatformMismatchError) or transport == "store"


def test_of_a_plain_tar_in_a_registry_only_headers_are_fetched(read_places: Places) -> None:
    with read_places.backends() as backends:
        image = open_image(read_places.names["docker"], backends)
        assert backends.sources is not None
        before = backends.sources.fetched
        assert set(image.rootfs) == TREE

        fetched = backends.sources.fetched - before

    assert 0 < fetched < sum(blob_sizes(read_places.folder / "layout-oci")) / 4


def test_a_layer_with_other_bytes_is_an_error(read_places: Places, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(read_places.folder / "layout-gzip", layout)
    manifest = _manifest(layout)
    first, second = (layout / "blobs/sha256" / one["digest"][7:] for one in manifest["layers"][:2])
    shutil.copy(first, second)

    with read_places.backends() as backends, pytest.raises(BlobCorruptError, match="is damaged"):
        dict(open_image(f"oci:{layout}", backends).rootfs)


def _manifest(layout: Path) -> dict[str, list[dict[str, str]]]:
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    found: dict[str, list[dict[str, str]]] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return found


MISTAKES: dict[str, tuple[str, str, str]] = {
    "a name that is not there": ("oci:{at}/layout-oci:app:v2", "no image 'app:v2'", "app:v1"),
    "an archive without the name": ("docker-archive:{at}/docker.tar:app:v2", "no image 'app:v2'", "app:v1"),
    "a docker-archive as a layout": (
        "oci-archive:{at}/docker.tar",
        "no OCI image layout",
        "docker-archive:",
    ),
    "a layout as a docker-archive": ("docker-archive:{at}/oci.tar", "no docker-archive", "oci-archive:"),
    "a file as a folder": ("oci:{at}/oci.tar", "is a file", "oci-archive:"),
    "a folder as a file": ("oci-archive:{at}/layout-oci", "is a folder", "oci:"),
    "a folder that is no layout": ("oci:{at}/context", "is no OCI image layout", ""),
    "a folder that is not there": ("oci:{at}/none", "is not there", ""),
    "a file that is not there": ("oci-archive:{at}/none", "there is no file", ""),
    "no tar": ("docker-archive:{at}/context/big", "no tar", "docker save"),
    "nothing": ("oci:", "nothing stands behind oci:", "oci:DIR"),
    "docker without slashes": ("docker:app", "no image docker:app in the store", "docker://app"),
    "an image the daemon lacks": ("docker-daemon:none", "no image 'none'", "docker images"),
    "an option for the daemon": ("docker-daemon:--help", "not the name of an image", ""),
}


@pytest.mark.parametrize(("name", "message", "hint"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_the_way_out(name: str, message: str, hint: str, read_places: Places) -> None:
    with read_places.backends() as backends, pytest.raises(KubeimageError, match=message) as caught:
        open_image(name.format(at=read_places.folder), backends)

    assert hint in (caught.value.hint or "")


def test_of_several_images_one_has_to_be_named(read_places: Places, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    shutil.copytree(read_places.folder / "layout-oci", layout)
    index = json.loads((layout / "index.json").read_text())
    other = {**index["manifests"][0], "annotations": {"org.opencontainers.image.ref.name": "other"}}
    other["digest"] = "sha256:" + "0" * 64
    (layout / "index.json").write_text(json.dumps({**index, "manifests": [*index["manifests"], other]}))

    with read_places.backends() as backends, pytest.raises(KubeimageError, match="there are 2 images") as caught:
        open_image(f"oci:{layout}", backends)

    assert caught.value.hint is not None
    assert f"oci:{layout}:other" in caught.value.hint
    with read_places.backends() as backends:
        assert open_image(f"oci:{layout}:app:v1", backends).image.layers
        with pytest.raises(BlobNotFoundError, match="lacks"):
            open_image(f"oci:{layout}:other", backends)
