"""An application with its container images, from a registry into an image, and from there through another registry."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeimage.image.digest import Digest
from tests.containers import push, skopeo, small_image
from tests.e2e.program import REPOSITORY, Program
from tests.registries import docker_registry

pytestmark = pytest.mark.needs("docker-registry", "skopeo")
NAMES = (
    "db/backup:v2",
    "db/exporter:v1",
    "db/operator:v5",
    "db/server:v8",
    "shop/importer:v3",
    "shop/migrate:v2",
    "shop/web:v2",
    "tools/debug:v1",
    "tools/wait:v1",
)
FIXTURE_HOST = "127.0.0.1:5000"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, Digest]]]:
    """Run a registry that has the images of the fixture, some of them as an index; its URL, and their digests."""
    pytest.importorskip("helm_python", reason="needs helm-python-sdk, to render charts")
    folder = tmp_path_factory.mktemp("origin")
    with docker_registry(folder) as url:
        digests: dict[str, Digest] = {}
        for name in NAMES:
            image = small_image(name, shared=["base", "libraries"])
            indexed = {"amd64": image, "arm64": small_image(name, architecture="arm64")}
            chosen = indexed if name.startswith("shop/") else image
            digests[name] = push(url, name, chosen, folder / "layouts" / str(len(digests)))
        yield url, digests


@pytest.fixture(scope="module")
def application(origin: tuple[str, dict[str, Digest]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the fixture, its images named after the registry."""
    context = tmp_path_factory.mktemp("application") / "airgap"
    shutil.copytree(REPOSITORY / "fixtures/airgap", context)
    host = origin[0].removeprefix("http://")
    for path in context.rglob("*"):
        if path.is_file():
            path.write_text(path.read_text().replace(FIXTURE_HOST, host))
    return context


@pytest.fixture(scope="module")
def built(
    origin: tuple[str, dict[str, Digest]], application: Path, tmp_path_factory: pytest.TempPathFactory
) -> Program:
    """Return the program with a store that has the application's image, shop:v1."""
    folder = tmp_path_factory.mktemp("built")
    program = Program(folder / "store", folder)
    program.run("build", "-t", "shop:v1", *packing(origin[0]), application)
    return program


def packing(url: str, policy: str = "missing") -> list[str]:
    return ["--platform", "linux/amd64", "--pull-images", policy, "--insecure", url]


def test_a_stock_registry_serves_every_image_byte_for_byte(
    origin: tuple[str, dict[str, Digest]], built: Program, tmp_path: Path
) -> None:
    url, digests = origin
    rootfs = tmp_path / "rootfs"
    built.run("export", "shop:v1", "-o", rootfs)
    shutil.copytree(rootfs / "registry", tmp_path / "served/data")

    with docker_registry(tmp_path / "served") as served:
        for name, digest in digests.items():
            repository = name.partition(":")[0]
            assert raw(served, name) == raw(url, name)
            assert raw(served, f"{repository}@{digest}") == raw(url, name)
            for tag_or_digest in (name, f"{repository}@{digest}"):
                copied = copy(served, tag_or_digest, tmp_path / "copies" / safe(tag_or_digest))
                assert copied == copy(url, tag_or_digest, tmp_path / "originals" / safe(tag_or_digest))


def safe(name: str) -> str:
    """Make of a name a folder's, which skopeo reads up to its first colon."""
    return name.replace(":", "-").replace("/", "-").replace("@", "-")


def raw(url: str, name: str) -> str:
    return skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{url.removeprefix('http://')}/{name}")


def copy(url: str, name: str, folder: Path) -> dict[str, bytes]:
    """Copy an image's manifest, config and layers into a folder, as a machine would pull them; all files' bytes."""
    folder.mkdir(parents=True)
    source = f"docker://{url.removeprefix('http://')}/{name}"
    skopeo("--override-arch=amd64", "copy", "--src-tls-verify=false", source, f"dir:{folder}")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_verify_passes_without_any_network(built: Program) -> None:
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], check=False, capture_output=True).returncode:
        alone = []

    ended = Program(built.root, built.folder, prefix=tuple(alone)).run("verify", "--format=json", "shop:v1")

    assert len(json.loads(ended.stdout)["images"]) == len(NAMES)
    assert json.loads(ended.stdout)["flaws"] == []
    assert "9 container images, all of them whole" in ended.stderr


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("rm -r ${BLOB%/data}", "is missing"),
        (": > $BLOB", "has 0 bytes, not"),
        ("cp $OTHER $BLOB", "has"),
        ("printf x | dd of=$BLOB conv=notrunc status=none", "has other bytes"),
    ],
    ids=["removed", "truncated", "swapped", "written to"],
)
def test_verify_names_the_blob_that_is_not_whole(
    damage: str, message: str, built: Program, origin: tuple[str, dict[str, Digest]], tmp_path: Path
) -> None:
    own, other = layers_of(origin[0], "db/server:v8")[-1], layers_of(origin[0], "db/backup:v2")[-1]
    context = tmp_path / "context"
    context.mkdir()
    command = f"BLOB={blob_of(own)} OTHER={blob_of(other)}; {damage}"
    (context / "Kubefile").write_text(f"FROM shop:v1\nRUN {command}\n")
    program = built.with_root(tmp_path / "store")
    shutil.copytree(built.root, program.root, symlinks=True)
    program.run("build", "-t", "broken:v1", "--mount=copy", "--platform=linux/amd64", context)

    ended = program.run("verify", "broken:v1", status=1)

    assert len(ended.stdout.splitlines()) == 1
    assert f"db/server:v8: the layer {own} {message}" in ended.stdout


def layers_of(url: str, name: str) -> list[str]:
    return [layer["digest"] for layer in json.loads(raw(url, name))["layers"]]


def blob_of(digest: str) -> str:
    encoded = digest.removeprefix("sha256:")
    return f"registry/docker/registry/v2/blobs/sha256/{encoded[:2]}/{encoded}/data"


def test_the_second_build_asks_no_registry_and_gives_the_same_image(
    built: Program, application: Path, origin: tuple[str, dict[str, Digest]]
) -> None:
    first = json.loads(built.run("inspect", "--format=json", "shop:v1").stdout)

    ended = built.run(
        "build", "-t", "again:v1", "--progress=json", *packing("http://127.0.0.1:1", "never"), application
    )

    (packed,) = [event for event in ended.events if event["event"] == "packing_finished"]
    assert packed["cached"]
    layers = [layer for layer in first["spec"]["layers"] if layer["type"] == "BASE"]
    assert [(layer["layer"], layer["value"]) for layer in packed["layers"]] == [
        (layer["id"], layer["value"]) for layer in layers
    ]
    assert all(layer["value"].startswith("rootfs cache ") for layer in layers)
    assert layers == first["spec"]["layers"][-len(layers) :]


def test_another_store_and_order_give_the_same_layer(
    built: Program, application: Path, origin: tuple[str, dict[str, Digest]], tmp_path: Path
) -> None:
    program = Program(tmp_path / "store", tmp_path)

    program.run("build", "-t", "shop:v1", *packing(origin[0], "always"), application)

    one, two = (json.loads(it.run("inspect", "--format=json", "shop:v1").stdout) for it in (built, program))
    assert one["spec"]["layers"] == two["spec"]["layers"]


def test_the_store_is_sound_and_can_be_pruned(built: Program, tmp_path: Path) -> None:
    program = built.with_root(tmp_path / "store")
    shutil.copytree(built.root, program.root, symlinks=True)

    assert "the store is sound" in program.run("fsck").stderr
    freed = program.run("prune").stdout
    assert "blob" in freed
    program.run("verify", "shop:v1")
    assert "the store is sound" in program.run("fsck").stderr
