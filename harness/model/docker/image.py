"""An image of a dialect after Docker's rules, as far as anybody can tell two apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.model.docker.applications import Application
from harness.model.docker.config import Config
from harness.model.docker.owned import OwnedTree


@dataclass(frozen=True)
class Image:
    """A finished image.

    Shape: ``history`` has each instruction as it is written, and whether it made a layer. ``commands`` are what a
           cluster runs. ``launch`` are the names of the applications that are launched.
    """

    platform: str
    tree: OwnedTree
    history: tuple[tuple[str, bool], ...]
    config: Config
    commands: tuple[str, ...]
    applications: Mapping[str, Application] = field(default_factory=dict)
    launch: tuple[str, ...] = ()
    explicit: tuple[str, ...] = ()
    is_application: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return all that a built image is compared with."""
        arguments = {key: value for key, value in self.config.env.items() if key != "PATH"}
        extension: dict[str, Any] = {
            "schemaVersion": "v1alpha1",
            "type": "app-installer" if self.is_application else "kube-installer",
            "applications": [self.applications[name].to_json() for name in sorted(self.applications)],
            "env": arguments,
        }
        launch = {"cmds": list(self.explicit), "app_names": list(self.launch)}
        return {
            "platform": self.platform,
            "tree": dict(self.tree),
            "history": list(self.history),
            "config": self.config.to_json(),
            "author": self.config.author,
            "commands": list(self.commands),
            "arguments": arguments,
            "extension": {
                **{key: value for key, value in extension.items() if value},
                "launch": {key: value for key, value in launch.items() if value},
            },
        }
