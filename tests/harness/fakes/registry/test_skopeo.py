"""Real clients talk to the registry in this process as to any other."""

import subprocess
from pathlib import Path

import pytest

from harness.contracts import APP, CHANGESET, make_image, one_file
from harness.fakes.registry import FakeRegistry
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.store import Store

pytestmark = pytest.mark.needs("skopeo")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def image(layout: Path) -> Image:
    with Store.open(str(layout)) as store:
        image = make_image([store.layers.put(CHANGESET), store.layers.put(one_file(b"x" * 3_000_000))])
        store.images.put(image, [APP])
    return image


def copy(source: str, target: str, *options: str) -> None:
    command = ["skopeo", "copy", "--insecure-policy", "--preserve-digests", *options, source, target]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_skopeo_pulls_what_was_put(fake_registry: FakeRegistry, image: Image, layout: Path, tmp_path: Path) -> None:
    fake_registry.put_layout("team/app", str(layout))

    copy(f"docker://{fake_registry.host}/team/app:v1", f"oci:{tmp_path}/pulled:v1", "--src-tls-verify=false")

    names = {path.name for path in (tmp_path / "pulled/blobs/sha256").iterdir()}
    blobs = [Digest.of(image.manifest.to_bytes()), image.id, *(layer.diff_id for layer in image.layers)]
    assert names == {blob.hex for blob in blobs}


@pytest.mark.parametrize("login", ["none", "basic", "token"])
def test_skopeo_pushes_what_can_then_be_read(image: Image, layout: Path, login: str) -> None:
    users = {} if login == "none" else {"anna": "secret"}
    credentials = ["--dest-creds=anna:secret"] if users else []
    with FakeRegistry(users=users, login="token" if login == "token" else "basic") as registry:
        copy(f"oci:{layout}", f"docker://{registry.host}/team/app:v1", "--dest-tls-verify=false", *credentials)

        blobs = registry.blobs("team/app")
        data = registry.manifest("team/app", "v1").data

    assert data == image.manifest.to_bytes()
    assert blobs.keys() == {image.id, *(layer.diff_id for layer in image.layers)}
