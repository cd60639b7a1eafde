"""Packing 50 container images of which 40 share layers, as a ratio to what skopeo takes for their distinct blobs.

    python benchmarks/packing.py [--samples N]

The registry is docker-registry on this machine. skopeo copies one image that has all the blobs, its best case, and then
the 50 images one after the other into one layout.
"""

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.containers import push, skopeo  # noqa: E402
from tests.kubeimage.store.foreign import Foreign, make_foreign, tar_of  # noqa: E402
from tests.registries import docker_registry  # noqa: E402

SHARED, SHARED_SIZE = 3, 20_000_000
IMAGES, SHARING, OWN_SIZE = 50, 40, 2_000_000


def make_images() -> tuple[list[Foreign], Foreign]:
    """Make the images, and one that has all of their layers."""
    chance = random.Random(1)
    shared = [tar_of({f"shared{number}": chance.randbytes(SHARED_SIZE)}) for number in range(SHARED)]
    own = [tar_of({"own": chance.randbytes(OWN_SIZE)}) for _ in range(IMAGES)]
    images = [make_foreign(*(shared if number < SHARING else []), tar, kind="none") for number, tar in enumerate(own)]
    return images, make_foreign(*shared, *own, kind="none")


def median(work: Callable[[], None], samples: int) -> float:
    seconds = []
    for _ in range(samples):
        before = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - before)
    return statistics.median(seconds)


def measure(folder: Path, url: str, samples: int) -> None:
    images, whole = make_images()
    host = url.removeprefix("http://")
    names = [f"{host}/app{number}:v1" for number in range(IMAGES)]
    for number, image in enumerate(images):
        push(url, f"app{number}:v1", image, folder / "layouts" / str(number))
    push(url, "whole:v1", whole, folder / "layouts/whole")
    context = folder / "context"
    (context / "manifests").mkdir(parents=True)
    (context / "manifests/imageList").write_text("\n".join(names))
    (context / "Kubefile").write_text("FROM scratch\nCOPY manifests .\n")

    def copy(name: str, target: str) -> None:
        skopeo("copy", "--src-tls-verify=false", f"docker://{name}", target)

    def copy_whole() -> None:
        shutil.rmtree(folder / "whole", ignore_errors=True)
        copy(f"{host}/whole:v1", f"dir:{folder}/whole")

    def copy_each() -> None:
        shutil.rmtree(folder / "each", ignore_errors=True)
        for number, name in enumerate(names):
            copy(name, f"oci:{folder}/each:v{number}")

    def build() -> None:
        shutil.rmtree(folder / "store", ignore_errors=True)
        command = [sys.executable, "-m", "kubeimage", "--root", str(folder / "store"), "build", "-q", "-t", "app:v1"]
        options = ["--platform=linux/amd64", "--pull-images=missing", "--insecure", url, str(context)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run([*command, *options], check=True, env=environment, stdout=subprocess.DEVNULL)

    best, ours, each = (median(work, samples) for work in (copy_whole, build, copy_each))
    print(f"skopeo copy of the distinct blobs  {best:6.2f} s")
    print(f"kubeimage build --pull-images      {ours:6.2f} s  {ours / best:.2f} of it (target: 1.5)")
    print(f"skopeo copy of each image          {each:6.2f} s  {each / best:.2f} of it")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=3)
    samples = parser.parse_args().samples
    with tempfile.TemporaryDirectory(prefix="kubeimage-bench-") as name:
        folder = Path(name)
        (folder / "registry").mkdir()
        with docker_registry(folder / "registry") as url:
            measure(folder, url, samples)


if __name__ == "__main__":
    main()
