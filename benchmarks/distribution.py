"""Push, push again and pull, as ratios to what skopeo and a plain upload take on this machine, with docker-registry.

    python benchmarks/distribution.py [--size MIB] [--layers N] [--samples N]

Prints seconds and ratios, and the peak memory of kubeimage.
"""

import argparse
import http.client
import os
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

from tests.registries import docker_registry  # noqa: E402

NAME = "bench/image:v1"
PIECE = 1 << 20


def run(*command: str, **environment: str) -> tuple[float, int]:
    """Run a command to its end, and give its seconds and the peak memory of it in bytes."""
    script = "import os, resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=2); "
    script += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)"
    before = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", script, *command],
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    return time.perf_counter() - before, int(done.stdout)


class Bench:
    """One machine's figures. The registry is emptied where a push is to be the first."""

    def __init__(self, folder: Path, host: str, data: Path) -> None:
        self.folder, self.host, self.data = folder, host, data
        self.name = f"{host}/{NAME}"
        self.peak = 0

    def kubeimage(self, store: str, *arguments: str) -> float:
        environment = {"KUBEIMAGE_ROOT": str(self.folder / store), "PYTHONPATH": str(ROOT)}
        seconds, peak = run(sys.executable, "-m", "kubeimage", *arguments, **environment)
        self.peak = max(self.peak, peak)
        return seconds

    def push(self, store: str = "store") -> float:
        return self.kubeimage(store, "push", "-q", "--insecure", f"http://{self.host}", self.name)

    def pull(self) -> float:
        shutil.rmtree(self.folder / "pulled", ignore_errors=True)
        return self.kubeimage("pulled", "pull", "-q", "--insecure", f"http://{self.host}", self.name)

    def skopeo(self, source: str, target: str) -> float:
        return run("skopeo", "copy", "-q", "--dest-tls-verify=false", "--src-tls-verify=false", source, target)[0]

    def skopeo_pull(self) -> float:
        shutil.rmtree(self.folder / "layout", ignore_errors=True)
        return self.skopeo(f"docker://{self.name}", f"oci:{self.folder}/layout:v1")

    def skopeo_push(self) -> float:
        return self.skopeo(f"oci:{self.folder}/layout:v1", f"docker://{self.host}/bench/skopeo:v1")

    def plain_put(self) -> float:
        """Send the blobs of the pulled layout, one after the other, each in one PUT."""
        layout = self.folder / "layout" / "blobs" / "sha256"
        before = time.perf_counter()
        for path in sorted(layout.iterdir(), key=lambda path: path.stat().st_size):
            self._put(path)
        return time.perf_counter() - before

    def _put(self, path: Path) -> None:
        connection = http.client.HTTPConnection(self.host)
        connection.request("POST", "/v2/bench/plain/blobs/uploads/")
        answer = connection.getresponse()
        answer.read()
        place = answer.headers["Location"].partition(self.host)[2]
        with path.open("rb") as file:
            pieces = iter(lambda: file.read(PIECE), b"")
            size = {"Content-Length": str(path.stat().st_size)}
            connection.request("PUT", f"{place}&digest=sha256:{path.name}", body=pieces, headers=size)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201, answer.status
        connection.close()

    def empty(self) -> None:
        shutil.rmtree(self.data / "docker", ignore_errors=True)

    def forget_compressed(self) -> None:
        """Give the store as it was when the image had just been built."""
        shutil.rmtree(self.folder / "store", ignore_errors=True)
        shutil.copytree(self.folder / "built", self.folder / "store", copy_function=copy_with_times)


def copy_with_times(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    shutil.copystat(source, target)


def make_context(folder: Path, size: int, layers: int) -> Path:
    context = folder / "context"
    context.mkdir()
    lines = ["FROM scratch"]
    for number in range(layers):
        with (context / f"file{number}").open("wb") as file:
            for _ in range(size // layers):
                file.write(os.urandom(PIECE))
        lines.append(f"COPY file{number} data")
    (context / "Kubefile").write_text("\n".join(lines) + "\n")
    return context


def measure(bench: Bench, samples: int) -> dict[str, float]:
    def first(push: Callable[[], float], *before: Callable[[], None]) -> float:
        figures = []
        for _ in range(samples):
            for prepare in (bench.empty, *before):
                prepare()
            figures.append(push())
        return statistics.median(figures)

    def again(work: Callable[[], float]) -> float:
        return statistics.median(work() for _ in range(samples))

    found = {"first push": first(bench.push, bench.forget_compressed)}
    found["push again"] = again(bench.push)
    found["pull"] = again(bench.pull)
    found["skopeo pull"] = again(bench.skopeo_pull)
    found["push of compressed layers"] = first(bench.push)
    found["plain PUT"] = first(bench.plain_put)
    found["skopeo push"] = first(bench.skopeo_push)
    found["skopeo push again"] = again(bench.skopeo_push)
    return found


RATIOS = [
    ("first push", "plain PUT", 1.25),
    ("push of compressed layers", "plain PUT", 1.25),
    ("first push", "skopeo push", None),
    ("pull", "skopeo pull", 0.6),
    ("push again", "skopeo push again", None),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=1024, help="MiB of random files")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--folder", help="where to work; else the temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        with docker_registry(folder) as url:
            bench = Bench(folder, url.removeprefix("http://"), folder / "data")
            context = make_context(folder, options.size, options.layers)
            bench.kubeimage("built", "build", "-q", "-t", bench.name, str(context))
            bench.peak = 0
            shutil.rmtree(context)
            found = measure(bench, options.samples)
    for what, seconds in found.items():
        print(f"{what:28} {seconds:8.3f} s")
    for ours, theirs, aim in RATIOS:
        told = f"  (aim: at most {aim})" if aim else ""
        print(f"{ours} / {theirs}: {found[ours] / found[theirs]:.2f}{told}")
    print(f"peak memory {bench.peak / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
