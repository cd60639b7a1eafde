"""One image, laid everywhere an image can lie."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry
from kubeimage import Backends, BuildOptions, Coding, Reference, build_image, open_backends, parse, save_image
from kubeimage.settings import HostSettings, Settings

KUBEFILE = "FROM scratch\nCOPY a etc .\nCOPY big .\nRUN rm a && ln -s ../big etc/link && echo 2 > etc/b\n"
FILES = {"a": b"1", "etc/b": b"1", "etc/c": b"3", "big": bytes(range(256)) * 2000}
TREE = {"etc", "etc/b", "etc/c", "etc/link", "big"}
TRANSPORTS = (
    "store", "oci", "oci named", "oci gzip", "oci-archive", "oci-archive gzip", "oci-archive zstd",
    "oci-archive compressed as a whole", "docker-archive", "docker-daemon", "docker", "docker gzip",
)  # fmt: skip

_SAVE = """#!/bin/sh
[ "$1 $2" = "save team/app:v1" ] && exec cat {archive}
echo "no such image" >&2
exit 1
"""


class Places:
    """Where the image lies. Shape: ``names`` has what it is called, for each of TRANSPORTS."""

    def __init__(self, folder: Path, registry: FakeRegistry) -> None:
        self.folder = folder
        self.registry = registry
        self.names: dict[str, str] = {}

    def settings(self) -> Settings:
        """Return settings by which the registry is reached."""
        return Settings(hosts={self.registry.host: HostSettings(plain_http=True)})

    @contextmanager
    def backends(self) -> Iterator[Backends]:
        """Open the store to read."""
        with open_backends(str(self.folder / "store"), self.settings(), access="read") as backends:
            yield backends


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    folder = tmp_path_factory.mktemp("places")
    with FakeRegistry() as registry:
        made = Places(folder, registry)
        _lay(made)
        yield made


@pytest.fixture
def read_places(places: Places, monkeypatch: pytest.MonkeyPatch) -> Places:
    """Let the program docker be one that has the image, and nothing of the registry be asked yet."""
    monkeypatch.setenv("PATH", f"{places.folder / 'bin'}{os.pathsep}{os.environ['PATH']}")
    places.registry.forget()
    return places


def _lay(places: Places) -> None:
    folder = places.folder
    context = folder / "context"
    for name, content in FILES.items():
        (context / name).parent.mkdir(parents=True, exist_ok=True)
        (context / name).write_bytes(content)
    options = BuildOptions(references=(Reference.parse("app:v1"),))
    with open_backends(str(folder / "store"), isolation="none", mount="copy") as backends:
        build_image(parse(KUBEFILE, file="Kubefile"), str(context), backends, options=options)
        for coding, file in ((None, "oci.tar"), (Coding("gzip"), "gzip.tar"), (Coding("zstd"), "zstd.tar")):
            save_image("app:v1", str(folder / file), backends, coding=coding)
        save_image("app:v1", str(folder / "docker.tar"), backends, form="docker-archive")
    subprocess.run(["gzip", "-k", folder / "oci.tar"], check=True)
    for name in ("oci", "gzip"):
        (folder / f"layout-{name}").mkdir()
        subprocess.run(["tar", "-xf", folder / f"{name}.tar", "-C", folder / f"layout-{name}"], check=True)
    (folder / "bin").mkdir()
    (folder / "bin/docker").write_text(_SAVE.format(archive=folder / "docker.tar"))
    (folder / "bin/docker").chmod(0o755)
    host = places.registry.host
    for repository, layout in (("team/app", "layout-oci"), ("team/gzip", "layout-gzip")):
        (digest,) = places.registry.put_layout(repository, str(folder / layout))
        places.registry.tag(repository, "v1", digest)
    names = (
        "app:v1", f"oci:{folder}/layout-oci", f"oci:{folder}/layout-oci:app:v1", f"oci:{folder}/layout-gzip",
        f"oci-archive:{folder}/oci.tar", f"oci-archive:{folder}/gzip.tar", f"oci-archive:{folder}/zstd.tar",
        f"oci-archive:{folder}/oci.tar.gz", f"docker-archive:{folder}/docker.tar", "docker-daemon:team/app:v1",
        f"docker://{host}/team/app:v1", f"docker://{host}/team/gzip:v1",
    )  # fmt: skip
    places.names = dict(zip(TRANSPORTS, names, strict=True))


def blob_sizes(layout: Path) -> list[int]:
    """Return the sizes of an image's layers in a layout, lowest first."""
    index = json.loads((layout / "index.json").read_text())
    digest = index["manifests"][0]["digest"]
    manifest = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
    return [layer["size"] for layer in manifest["layers"]]
