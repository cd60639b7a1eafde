"""kubeimage and other builders of images as commands: what is measured side by side."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.inputs import IN_SEALOS, STATIC_SHELL, Inputs
from benchmarks.measuring import PYTHON_ENVIRONMENT, Side

KUBEIMAGE = [sys.executable, "-m", "kubeimage"]


def first_line(*command: str) -> str:
    """Return the first line that a command prints; nothing where it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return next(iter(done.stdout.splitlines()), "").strip()


class Builder:
    """A builder with a store below ``folder``. Shape: ``can_run`` False where it knows no RUN."""

    name = ""
    can_run = True
    has_cache = True

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        self.inputs, self.folder = inputs, folder

    def missing(self) -> str | None:
        """Say why it cannot be measured here."""
        return None

    def version(self) -> str:
        """Return the builder's own words for its version."""
        return ""

    def side(self, name: str, *, cold: bool = False, before: Callable[[], None] = lambda: None) -> Side:
        """Give the command that builds a context; a cold one does not look into any cache."""
        raise NotImplementedError


class Kubeimage(Builder):
    """This project, with its durable store."""

    name = "kubeimage"

    def __init__(self, inputs: Inputs, folder: Path) -> None:
        super().__init__(inputs, folder)
        self.store = folder / "store"

    def wipe(self) -> None:
        """Empty the store."""
        shutil.rmtree(self.store, ignore_errors=True)

    def command(self, *words: str) -> Side:
        """Give any command of ours on this store."""
        return Side(self.name, [*KUBEIMAGE, *words], environment=self._environment)

    def side(self, name: str, *, cold: bool = False, before: Callable[[], None] = lambda: None) -> Side:
        """Build from an empty store, or from one that has it all."""
        options = ["--no-cache"] if cold else []
        options += ["--dialect=sealos"] if name in IN_SEALOS else []
        words = ["build", "--progress=quiet", "-t", f"{name}:v1", *options, self.inputs.context(name)]
        return Side(self.name, [*KUBEIMAGE, *words], self.wipe if cold else before, self._environment)

    @property
    def _environment(self) -> dict[str, str]:
        return {**PYTHON_ENVIRONMENT, "KUBEIMAGE_ROOT": str(self.store)}


class BuildKit(Builder):
    """`docker build` with BuildKit, where a daemon runs."""

    name = "BuildKit"

    def missing(self) -> str | None:
        """Ask the daemon."""
        if shutil.which("docker") is None:
            return "docker is not installed"
        asked = subprocess.run(["docker", "version"], capture_output=True, check=False)
        return None if asked.returncode == 0 else "no docker daemon runs"

    def version(self) -> str:
        """Ask the daemon, of which BuildKit is a part."""
        return first_line("docker", "version", "--format", "{{.Server.Version}}")

    def side(self, name: str, *, cold: bool = False, before: Callable[[], None] = lambda: None) -> Side:
        """Build; cold is --no-cache."""
        options = ["--no-cache"] if cold else []
        context = self.inputs.context(name)
        words = ["build", "-q", "--network", "host", *options, "-t", name, "-f", f"{context}/Kubefile", context]
        return Side(self.name, ["docker", *words], before, {**os.environ, "DOCKER_BUILDKIT": "1"})


class Buildah(Builder):
    """`buildah bud --layers`."""

    name = "buildah"

    def missing(self) -> str | None:
        """Look for the program."""
        return None if shutil.which("buildah") else "buildah is not installed"

    def version(self) -> str:
        """Ask the program."""
        return first_line("buildah", "--version")

    def side(self, name: str, *, cold: bool = False, before: Callable[[], None] = lambda: None) -> Side:
        """Build; cold is --no-cache."""
        store = ["--root", f"{self.folder}/buildah", "--runroot", f"{self.folder}/buildah-run"]
        options = ["--no-cache"] if cold else []
        context = self.inputs.context(name)
        words = ["bud", "--layers", "--network", "host", "--isolation", "chroot", *options]
        return Side(
            self.name, ["buildah", *store, *words, "-q", "-t", name, "-f", f"{context}/Kubefile", context], before
        )


class Umoci(Builder):
    """One `umoci insert` for each COPY: no cache, no RUN."""

    name = "umoci"
    can_run = has_cache = False

    def missing(self) -> str | None:
        """Look for the program."""
        return None if shutil.which("umoci") else "umoci is not installed"

    def version(self) -> str:
        """Ask the program."""
        return first_line("umoci", "--version")

    def side(self, name: str, *, cold: bool = False, before: Callable[[], None] = lambda: None) -> Side:  # noqa: ARG002
        """Make a layout, and put each source into it."""
        layout = f"{self.folder}/umoci"
        context = Path(self.inputs.context(name))
        lines = [f"rm -rf '{layout}'", f"umoci init --layout '{layout}'", f"umoci new --image '{layout}:t'"]
        for line in (context / "Kubefile").read_text().splitlines():
            if line.startswith("COPY"):
                source, destination = line.split()[1:]
                lines.append(f"umoci insert --image '{layout}:t' '{context / source}' /{destination}{source}")
        return Side(self.name, ["sh", "-ec", "\n".join(lines)])


PEERS: tuple[type[Builder], ...] = (BuildKit, Buildah, Umoci)


def can_build(builder: Builder, name: str, *, cold: bool) -> bool:
    """Whether a builder can do this work at all."""
    if not cold and not builder.has_cache:
        return False
    return name not in {"runs", "rooted"} or (builder.can_run and Path(STATIC_SHELL).exists())
