"""Push, push again and pull, beside skopeo and a plain copy, with docker-registry on this machine."""

from __future__ import annotations

import random
import shutil
from functools import partial
from pathlib import Path

from benchmarks.builders import KUBEIMAGE, first_line
from benchmarks.compare import Bench
from benchmarks.measuring import PYTHON_ENVIRONMENT, Side, run
from tests.registries import docker_registry

_LAYERS = 4
_MIB = 1024
_RUNS = 3
_START = "import click, http.client"


def measure_transfers(bench: Bench) -> None:
    """Take the rows; where docker-registry or skopeo is not installed, say so."""
    missing = [program for program in ("docker-registry", "skopeo") if shutil.which(program) is None]
    if missing:
        bench.left_out.append(f"push and pull ({' and '.join(missing)} not installed)")
        return
    bench.versions.append(first_line("skopeo", "--version"))
    place = bench.folder / "registry"
    place.mkdir()
    with docker_registry(place) as url:
        _measure(bench, url, place / "data")


def _measure(bench: Bench, url: str, data: Path) -> None:
    host = url.removeprefix("http://")
    name, store, layout = f"{host}/bench/image:v1", bench.folder / "pushed", bench.folder / "layout"
    mib = max(int(_MIB * bench.inputs.scale), _LAYERS)
    _make_context(bench.folder / "transfers", mib)
    built = bench.folder / "built"
    run(_command(built, "build", "--progress=quiet", "-t", name, str(bench.folder / "transfers")))
    push = _command(store, "push", "-q", "--insecure", url, name)
    _as_built(built, store, data)
    run(push)
    skopeo = ["skopeo", "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false"]
    run(Side("skopeo", [*skopeo, f"docker://{name}", f"oci:{layout}:v1"]))
    other = Side("skopeo", [*skopeo, f"oci:{layout}:v1", f"docker://{host}/bench/other:v1"])
    work = f"{_LAYERS} layers of {mib // _LAYERS} MiB"
    first = push._replace(before=partial(_as_built, built, store, data))
    bench.pair(f"push of {work}, as built", first, other._replace(before=partial(_empty, data)), runs=_RUNS)
    run(push)
    run(other)
    bench.pair("push again, nothing to send", push, other)
    bench.pair("push again, nothing to send", push, bench.python(_START, _START), target=1.7)
    pulled, taken = bench.folder / "pulled", bench.folder / "taken"
    pull = _command(pulled, "pull", "-q", "--insecure", url, name)._replace(before=partial(_remove, pulled))
    take = Side("skopeo", [*skopeo, f"docker://{name}", f"oci:{taken}:v1"], partial(_remove, taken))
    bench.pair(f"pull of {work}", pull, take, target=0.6, runs=_RUNS)
    _remove(built, store, layout, pulled, taken, bench.folder / "transfers")


def _make_context(context: Path, mib: int) -> None:
    chance = random.Random(2)
    context.mkdir()
    lines = ["FROM scratch"]
    for number in range(_LAYERS):
        with (context / f"file{number}").open("wb") as file:
            for _ in range(mib // _LAYERS):
                file.write(chance.randbytes(1 << 20))
        lines.append(f"COPY file{number} data")
    (context / "Kubefile").write_text("\n".join(lines) + "\n")


def _command(store: Path, *words: str) -> Side:
    return Side("kubeimage", [*KUBEIMAGE, *words], environment={**PYTHON_ENVIRONMENT, "KUBEIMAGE_ROOT": str(store)})


def _as_built(built: Path, store: Path, data: Path) -> None:
    """Leave the store as it is when the image has just been built, and the registry empty."""
    _empty(data)
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(built, store)


def _empty(data: Path) -> None:
    shutil.rmtree(data / "docker", ignore_errors=True)


def _remove(*paths: Path) -> None:
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
