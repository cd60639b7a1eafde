"""A hundred runs of `true` in an image, as a ratio to a hundred times `unshare -Urm true`.

    python benchmarks/programs.py [--samples N]

Allowed are 1.5 times that, and 20 ms for each run. The first run, which unpacks the image and starts the helper, is
not counted. The samples of both are taken in turn, so that what else the machine does meets both.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from kubeimage import load_images, open_backends, run_image  # noqa: E402
from tests.imageroots import root_image  # noqa: E402

RUNS = 100
NAME = "judged/image:v1"
PER_RUN = 0.020


def measure(folder: Path, samples: int) -> None:
    archive = root_image().write_docker_archive(folder / "image.tar", NAME)
    ours, theirs = [], []
    with open_backends(str(folder / "store")) as backends:
        load_images(str(archive), backends)
        run_image(NAME, ["true"], backends)
        for _ in range(samples):
            before = time.perf_counter()
            for _ in range(RUNS):
                assert run_image(NAME, ["true"], backends).status == 0
            between = time.perf_counter()
            for _ in range(RUNS):
                subprocess.run(["unshare", "-Urm", "true"], check=True)
            ours.append(between - before)
            theirs.append(time.perf_counter() - between)
    allowed = [1.5 * one + RUNS * PER_RUN for one in theirs]
    who = "root" if os.geteuid() == 0 else "an ordinary user"
    print(f"as {who}, {RUNS} runs: {statistics.median(ours):.2f} s")
    print(f"unshare -Urm true:    {statistics.median(theirs):.2f} s")
    print(f"of what is allowed:   {statistics.median(o / a for o, a in zip(ours, allowed, strict=True)):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), options.samples)


if __name__ == "__main__":
    main()
