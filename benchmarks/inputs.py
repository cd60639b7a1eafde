"""The projects that are built: many small files, a few big ones, many COPYs, RUNs and stages, ADDs, and nothing."""

from __future__ import annotations

import os
import random
import shutil
import time
from pathlib import Path

STATIC_SHELL = os.environ.get("STATIC_SHELL", "/bin/busybox")
"""What other builders, whose RUN sees the image alone, need in it."""


IN_SEALOS = frozenset({"stages", "added", "archive", "rooted"})
"""The contexts whose files follow Docker's rules; a line that says so would be another thing to BuildKit."""


class Inputs:
    """The contexts below a folder.

    Units: ``scale`` is the share of full size that the first two have. ``made`` is when all were there, by the
           monotonic clock.
    """

    def __init__(self, folder: Path, scale: float) -> None:
        self.folder, self.scale = folder, scale
        self.made = 0.0

    def make(self) -> None:
        """Write all of them."""
        random.seed(1)
        self._make_small()
        self._make_big()
        deep = self._context("deep", ["FROM scratch", *(f"COPY f{number:03} d/" for number in range(120))])
        for number in range(120):
            (deep / f"f{number:03}").write_text(f"{random.random()}\n" * 50)
        runs = self._context(
            "runs", ["FROM scratch", "COPY sh bin/", *(f"RUN echo step {one} > f{one:02}" for one in range(20))]
        )
        if Path(STATIC_SHELL).exists():
            shutil.copy(STATIC_SHELL, runs / "sh")
        else:
            (runs / "sh").write_text("#!/bin/sh\n")
        self._make_stages()
        self._make_added()
        rooted = self._context(
            "rooted", ["FROM scratch", "COPY sh bin/", *(f"RUN echo {one} > f{one:02}" for one in range(20))]
        )
        shutil.copy(runs / "sh", rooted / "sh")
        (rooted / "sh").chmod(0o755)
        self._context("noops", ["FROM scratch", *(f"RUN : {number}" for number in range(20))])
        self._context("nothing", ["FROM scratch"])
        one = self._context("one", ["FROM scratch", "COPY a etc"])
        (one / "a").write_text("1")
        self.made = time.monotonic()

    def _make_small(self) -> None:
        """10,000 files of 1 to 8 KiB in 500 folders."""
        small = self._context("small", ["FROM scratch", "COPY tree tree"])
        words = " ".join(random.choice(["image", "name", "kind", "spec", "v1"]) for _ in range(20_000)).encode()
        for number in range(int(500 * self.scale) or 1):
            folder = small / "tree" / f"d{number // 25:02}" / f"s{number:03}"
            folder.mkdir(parents=True)
            for index in range(20):
                size, start = random.randrange(1024, 8193), random.randrange(80_000)
                text = f"# {number}/{index}\n".encode() + words[start : start + size]
                (folder / f"f{index:02}.yaml").write_bytes(text)

    def _make_stages(self) -> None:
        """20 stages, of which the last takes a file from each of the others."""
        lines = [line for one in range(19) for line in (f"FROM scratch AS s{one}", f"COPY f{one:02} d/")]
        stages = self._context(
            "stages", [*lines, "FROM scratch", *(f"COPY --from=s{one} /d /d{one}" for one in range(19))]
        )
        for one in range(19):
            (stages / f"f{one:02}").write_text(f"{random.random()}\n" * 50)

    def _make_added(self) -> None:
        """The 10,000 small files again, in a folder and in an archive."""
        added = self._context("added", ["FROM scratch", "ADD tree tree"])
        shutil.copytree(self.folder / "small" / "tree", added / "tree")
        archive = self._context("archive", ["FROM scratch", "ADD tree.tar tree"])
        shutil.make_archive(str(archive / "tree"), "tar", added / "tree")

    def _make_big(self) -> None:
        """4 files of 256 MiB that nothing can compress."""
        big = self._context("big", ["FROM scratch", "COPY data data"])
        (big / "data").mkdir()
        for number in range(4):
            with (big / "data" / f"f{number}").open("wb") as stream:
                for _ in range(int(256 * self.scale) or 1):
                    stream.write(random.randbytes(1 << 20))

    def edit_last(self) -> None:
        """Change the file that the last of the 120 COPYs reads."""
        (self.folder / "deep" / "f119").write_text(f"{random.random()}\n")

    def context(self, name: str) -> str:
        """Give the path of a context."""
        return str(self.folder / name)

    def _context(self, name: str, lines: list[str]) -> Path:
        context = self.folder / name
        context.mkdir()
        (context / "Kubefile").write_text("\n".join(lines) + "\n")
        return context
