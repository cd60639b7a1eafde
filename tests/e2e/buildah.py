"""buildah, the judge of the dialects after Docker's rules: what it makes of the same file and context."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.layouts import Read, read_layout


def build(context: Path, folder: Path, file: Path, *options: str) -> Read:
    """Build a file with buildah in one layer, as sealos does, and read what it made; ``folder`` is empty, for its use.

    Raises: RefusedError where buildah refuses it.
    """
    storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]
    built = ["--layers=false", "--isolation", "chroot", "-q", "-t", "judged:v1", "-f", str(file), *options]
    _run(["buildah", *storage, "bud", *built, str(context)])
    layout = folder / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    subprocess.run(
        ["buildah", *storage, "push", "-q", "judged:v1", f"oci:{layout}:v1"], check=True, capture_output=True
    )
    return read_layout(layout)


class RefusedError(Exception):
    """buildah did not build it; the text is what it said."""


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    if ended.returncode:
        raise RefusedError(ended.stderr)


def comparable(image: Read) -> dict[str, Any]:
    """Return what must be equal: buildah's own label and what OCI's form does not hold for it are left out.

    So is the root as the working directory: from 1.39 on buildah says it where a file does not, which changes nothing.
    And so is the order of variables: buildah moves an inherited one behind the others where a file gives it a value.
    """
    config = {key: value for key, value in image.config.get("config", {}).items() if key not in _NOT_KEPT}
    config["Env"] = sorted(config.get("Env", []))
    if config.get("WorkingDir") == "/":
        del config["WorkingDir"]
    labels = {key: value for key, value in config.pop("Labels", {}).items() if key != "io.buildah.version"}
    about = {key: image.config.get(key) for key in ("author", "os", "architecture", "variant")}
    return {**about, "config": config, "labels": labels}


_NOT_KEPT = ("Shell", "OnBuild", "Healthcheck")
