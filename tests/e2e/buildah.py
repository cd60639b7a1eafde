"""buildah, the judge of the dialects after Docker's rules: what it makes of the same file and context."""

import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.e2e.layouts import Read, read_layout


def build(context: Path, folder: Path, file: Path, *options: str) -> Read:
    """Build a file with buildah in one layer, as sealos does, and read what it made; ``folder`` is empty, for its use.

    Raises: RefusedError where buildah refuses it.
    """
    layout = folder / "layout"
    shutil.rmtree(layout, ignore_errors=True)
    _build(context, folder, file, f"oci:{layout}:v1", *options)
    return read_layout(layout)


def keep(context: Path, folder: Path, file: Path, name: str) -> None:
    """Build a file, and keep the image in buildah's storage under a name that later files may begin with."""
    _build(context, folder, file, name)


def _build(context: Path, folder: Path, file: Path, target: str, *options: str) -> None:
    # What buildah gives a RUN by itself differs from version to version; to raise a limit is not for root everywhere.
    limits = []
    for name, kind, few in (("nofile", resource.RLIMIT_NOFILE, 1_024), ("nproc", resource.RLIMIT_NPROC, 8_192)):
        limit = min(one for one in (*resource.getrlimit(kind), few) if one != resource.RLIM_INFINITY)
        limits.append(f"--ulimit={name}={limit}:{limit}")
    storage = ["--root", str(folder / "root"), "--runroot", str(folder / "run"), "--storage-driver", "vfs"]
    built = ["--layers=false", "--isolation", "chroot", "-q", "-t", target, "-f", str(file), *limits, *options]
    ended = subprocess.run(
        ["buildah", *storage, "bud", *built, str(context)], check=False, capture_output=True, text=True
    )
    if ended.returncode:
        raise RefusedError(ended.stderr)


class RefusedError(Exception):
    """buildah did not build it; the text is what it said."""


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


def without_volumes(theirs: Read, ours: Read) -> Read:
    """Leave out the folders that buildah alone has made for a VOLUME.

    From 1.39 on it makes them in a stage that stands on another. Docker does not.
    """
    volumes = {path.strip("/") for path in theirs.config.get("config", {}).get("Volumes") or {}}
    made = {path for path in volumes - ours.tree.keys() if not any(one.startswith(f"{path}/") for one in theirs.tree)}
    left = {path: found for path, found in theirs.tree.items() if path not in made}
    return theirs._replace(tree=left, owners={path: one for path, one in theirs.owners.items() if path not in made})


_NOT_KEPT = ("Shell", "OnBuild", "Healthcheck")
