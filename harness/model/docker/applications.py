"""sealer after v0.8: applications, what kind each is, and what launches it.

Source: sealer at f4f89c58, as the project's notes on dialects have it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.model.docker.copying import clamp, kept_below
from harness.model.docker.ignoring import Ignored
from harness.model.docker.owned import OwnedTree, followed, is_folder
from harness.model.tree import name_of

FOLDER = "application/apps"
_PROGRAMS = {"kube": "kubectl apply -f", "shell": "bash"}


@dataclass(frozen=True)
class Application:
    """An application. Shape: ``kind`` is empty where only ``commands`` launch it."""

    name: str
    kind: str
    files: tuple[str, ...]
    commands: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return sealer's object."""
        found = {
            "name": self.name,
            "type": self.kind,
            "files": list(self.files),
            "version": "v1",
            "env": dict(self.env),
            "cmds": list(self.commands),
        }
        return {key: value for key, value in found.items() if value}

    @property
    def launched_by(self) -> str:
        """The command, from the root of the image."""
        root = f"{FOLDER}/{self.name}/"
        if self.commands:
            return f"cd {root} && " + " ".join(self.commands)
        if self.kind == "helm":
            return f"helm install {self.name} {root}"
        return " && ".join(f"{_PROGRAMS[self.kind]} {root}{file.lstrip('/')}" for file in self.files)


def look_at(name: str, sources: Sequence[str], context: OwnedTree) -> Application:
    """Return what the sources of an application make it; what is left out of the context is none of its files."""
    ignored = Ignored.of(context, ())
    kinds: set[str] = set()
    listed: list[list[str]] = []
    for source in sources:
        path = clamp(source)
        real = followed(context, path) or ""
        if not is_folder(context, real):
            kinds.add(_kind(path))
            listed.append([name_of(path)])
            continue
        paths = kept_below(context, ignored, real)
        files = [one[len(real) :].lstrip("/") for one in paths if not context[one].is_folder]
        if "Chart.yaml" in files and any(one.startswith("templates/") for one in files):
            return Application(name, "helm", (name,))
        kinds |= {_kind(one) for one in files}
        listed.append([f"/{one}" for one in files])
    if len(kinds) != 1 or kinds == {""}:
        return Application(name, "", ())
    (kind,) = kinds
    return Application(name, kind, tuple(one for files in (listed[:1] if kind == "shell" else listed) for one in files))


def _kind(path: str) -> str:
    name = name_of(path).lower()
    if name.endswith(".sh"):
        return "shell"
    return "kube" if name.endswith((".yaml", ".yml")) else ""
