"""Other tools read the store in place."""

import json
import subprocess
from pathlib import Path

import pytest

from harness.contracts import AMD64, make_image
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import canonical_order, directory, file, symlink, whiteout
from kubeimage.store import Store

NAMES = ("app:v1", "localhost:5000/team/app:v2", "example.org/other:latest")
LOWER = canonical_order([directory("etc"), file("etc/a", b"a\n"), file("etc/b", b"b\n")])
UPPER = canonical_order([directory("etc"), whiteout("etc/b"), file("etc/c", b"c\n", 0o755), symlink("link", "etc/c")])


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def image(root: str) -> None:
    with Store.open(root) as store:
        image = make_image([store.layers.put(LOWER), store.layers.put(UPPER)])
        store.images.put(image, [Reference.parse(name) for name in NAMES])


@pytest.mark.needs("skopeo")
@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("name", NAMES)
def test_skopeo_inspects_an_image_by_its_familiar_name(root: str, name: str) -> None:
    found = json.loads(run("skopeo", "inspect", f"oci:{root}:{name}"))

    assert (found["Architecture"], found["Os"], len(found["Layers"])) == (AMD64.architecture, AMD64.os, 2)


@pytest.mark.needs("umoci")
@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("name", NAMES)
def test_umoci_unpacks_an_image_in_place(root: str, tmp_path: Path, name: str) -> None:
    bundle = tmp_path / "bundle"
    run("umoci", "unpack", "--rootless", "--image", f"{root}:{name}", str(bundle))

    rootfs = bundle / "rootfs"
    assert sorted(str(path.relative_to(rootfs)) for path in rootfs.rglob("*")) == ["etc", "etc/a", "etc/c", "link"]


@pytest.mark.needs("umoci")
@pytest.mark.usefixtures("image")
def test_a_name_that_umoci_gives_is_ours_as_well(root: str) -> None:
    run("umoci", "tag", "--image", f"{root}:app:v1", "new:v3")

    with Store.open(root) as store:
        assert store.images.get(Reference.parse("new:v3")) == store.images.get(Reference.parse("app:v1"))
        assert len(store.images.records()) == 4
        assert not any(finding.damage for finding in store.check())


@pytest.mark.needs("skopeo")
@pytest.mark.usefixtures("image")
def test_an_image_that_skopeo_copies_in_is_found(root: str, tmp_path: Path) -> None:
    names = f"oci:{root}:app:v1", f"oci:{tmp_path}/other:v1"
    run("skopeo", "copy", "--insecure-policy", "--dest-oci-accept-uncompressed-layers", *names)

    with Store.open(f"{tmp_path}/other") as other, Store.open(root) as store:
        copied = other.images.get(Reference.parse("v1"))
        original = store.images.get(Reference.parse("app:v1"))
        assert copied is not None
        assert original is not None
        assert copied.id == original.id
        assert all(other.layers.has(layer.diff_id) for layer in copied.layers)


@pytest.mark.needs("umoci")
@pytest.mark.usefixtures("image")
def test_what_umoci_collects_is_a_miss_and_no_damage(root: str) -> None:
    run("umoci", "gc", "--layout", root)

    with Store.open(root) as store:
        assert store.check() == []
