"""A fetch that is ended, however it is ended, goes on where it was: from any registry, and in another process."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from harness.fakes.registry import FakeRegistry, Slow
from kubeimage.image.digest import Digest
from kubeimage.store.partial import LEAST
from tests.containers import push
from tests.e2e.program import Program, wait_until, write
from tests.kubeimage.packing.conftest import publish
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of
from tests.registries import docker_registry

SIZE = 64 * LEAST


def large_image() -> tuple[Foreign, Digest]:
    image = make_foreign(tar_of({"large": os.urandom(SIZE)}), kind="none")
    return image, max(image.blobs, key=lambda digest: len(image.blobs[digest]))


def project(kubeimage: Program, host: str) -> Path:
    files = {"Kubefile": "FROM scratch\nCOPY imageList manifests\n", "imageList": f"{host}/team/app:v1\n"}
    return write(kubeimage.folder / "context", files)


def written(root: Path, digest: Digest) -> int:
    """Return how many bytes of a blob are in the store's unfinished files."""
    return max((path.stat().st_size for path in root.glob(f"ingest/*/*{digest.hex}")), default=0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["Ctrl-C", "TERM", "kill -9"])
def test_a_build_that_was_ended_while_it_fetched_goes_on(number: signal.Signals, kubeimage: Program) -> None:
    image, layer = large_image()
    with FakeRegistry() as registry:
        publish(registry, "team/app:v1", image)
        context = project(kubeimage, registry.host)
        options = ("--pull-images", "missing", "--insecure", f"http://{registry.host}")
        registry.on(f"GET */blobs/{layer}", Slow(0.05, every=LEAST))
        program = replace(kubeimage, prefix=("env", "--default-signal=INT,TERM"))
        with program.start("build", "-t", "app:v1", *options, context) as process:
            wait_until(lambda: written(kubeimage.root, layer) >= 2 * LEAST, "some of the blob is there")
            process.send_signal(number)
            process.communicate(timeout=30)
        registry.forget()

        kubeimage.build("app:v1", context, *options)

        (asked,) = [request for request in registry.requests if request.path.endswith(f"/blobs/{layer}")]

    begin = int(asked.headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 2 * LEAST <= begin < SIZE
    assert "all of them whole" in kubeimage.run("verify", "app:v1").stderr
    assert [path for path in (kubeimage.root / "ingest").rglob("*") if path.is_file()] == []


@pytest.mark.needs("docker-registry", "skopeo")
@pytest.mark.parametrize("begins", ["as it should", "otherwise"])
def test_a_stock_registry_sends_the_rest(begins: str, kubeimage: Program, tmp_path: Path) -> None:
    image, layer = large_image()
    with docker_registry(tmp_path) as url:
        push(url, "team/app:v1", image, tmp_path / "layout")
        host = url.removeprefix("http://")
        context = project(kubeimage, host)
        kubeimage.build("scratch:v1", write(tmp_path / "empty", {"Kubefile": "FROM scratch\n"}))
        kept = kubeimage.root / "ingest/partial" / layer.hex
        kept.parent.mkdir()
        kept.write_bytes(image.blobs[layer][: SIZE // 2] if begins == "as it should" else bytes(SIZE // 2))

        kubeimage.build("app:v1", context, "--pull-images", "missing", "--insecure", url)

    assert "all of them whole" in kubeimage.run("verify", "app:v1").stderr
    assert not kept.exists()
