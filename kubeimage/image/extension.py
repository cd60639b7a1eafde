"""What sealer 0.9 reads from an image: two annotations of its manifest.

Its ``inspect`` and ``run`` fail on an image without the first one. The second lists the container images that are
packed.

Source: sealer at f4f89c58, pkg/define/image/v1; the project's design, "Dialects and runners".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import field
from typing import Any, Literal, NamedTuple

from kubeimage.image import canonical
from kubeimage.image.canonical import JsonObject
from kubeimage.image.compatibility import COMPATIBILITY
from kubeimage.image.oci import platform_from_json, platform_to_json
from kubeimage.image.platform import Platform
from kubeimage.values import dataclass

EXTENSION_ANNOTATION = "sealer.image.extension"
IMAGES_ANNOTATION = "sealer.image.container.images"

InstallerType = Literal["kube-installer", "app-installer"]

_SCHEMA_VERSION = "v1alpha1"
# The names are sealer's; the program is this one. Its own version would move every manifest with each release.
_BUILD_CLIENT = {"sealerVersion": f"kubeimage.v{COMPATIBILITY}", "buildahVersion": "none"}


@dataclass(frozen=True)
class Application:
    """An application of an image, below ``application/apps/NAME``.

    Shape: ``kind`` is ``kube``, ``helm``, ``shell``, or empty where only ``commands`` say what to do. ``files`` are
           paths below the application's folder, as sealer writes them.
    """

    name: str
    kind: str = ""
    files: tuple[str, ...] = ()
    version: str = "v1"
    env: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()

    def to_json(self) -> JsonObject:
        """Return sealer's object, its keys in sealer's order."""
        value: JsonObject = {
            "name": self.name,
            "type": self.kind,
            "files": list(self.files),
            "version": self.version,
            "env": dict(self.env),
            "cmds": list(self.commands),
        }
        return {key: found for key, found in value.items() if found}


@dataclass(frozen=True)
class Extension:
    """What the first annotation says.

    Shape: ``applications`` in any order; they are written by name. ``launch`` are names of applications, in the order
           of their launching; where there are ``commands``, sealer runs these instead.
    """

    kind: InstallerType = "kube-installer"
    applications: tuple[Application, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    launch: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Return the annotation's text."""
        launch = {"cmds": list(self.commands), "app_names": list(self.launch)}
        value: JsonObject = {
            "buildClient": _BUILD_CLIENT,
            "schemaVersion": _SCHEMA_VERSION,
            "type": self.kind,
            "applications": [one.to_json() for one in sorted(self.applications, key=lambda one: one.name)],
            "env": dict(sorted(self.env.items())),
        }
        value = {key: found for key, found in value.items() if found}
        value["launch"] = {key: found for key, found in launch.items() if found}
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_annotations(cls, annotations: Mapping[str, str]) -> Extension:
        """Read the annotation, whoever wrote it; an absent or broken one says nothing."""
        value = _read(annotations.get(EXTENSION_ANNOTATION, "{}"))
        if not isinstance(value, dict):
            return cls()
        launch = _object(value.get("launch"))
        applications = value.get("applications")
        return cls(
            "app-installer" if value.get("type") == "app-installer" else "kube-installer",
            tuple(_application(one) for one in applications if isinstance(one, dict) and one.get("name"))
            if isinstance(applications, list)
            else (),
            _strings(value.get("env")),
            _texts(launch.get("cmds")),
            _texts(launch.get("app_names")),
        )


class PackedImage(NamedTuple):
    """A container image that is packed.

    Shape: ``application`` names what it belongs to, where that is known.
    """

    name: str
    platform: Platform
    application: str = ""

    def to_json(self) -> JsonObject:
        """Return sealer's object."""
        app = {"appName": self.application} if self.application else {}
        return {"image": self.name, **app, "platform": platform_to_json(self.platform)}

    @classmethod
    def from_json(cls, value: JsonObject) -> PackedImage:
        """Read sealer's object.

        Raises: KeyError or TypeError where it is none.
        """
        return cls(str(value["image"]), platform_from_json(value["platform"]), str(value.get("appName") or ""))


def read_images(annotations: Mapping[str, str]) -> list[PackedImage]:
    """Read the second annotation, whoever wrote it; what cannot be understood is left out."""
    value = _read(annotations.get(IMAGES_ANNOTATION, "[]"))
    found = []
    for one in value if isinstance(value, list) else []:
        with suppress(KeyError, TypeError):
            found.append(PackedImage.from_json(one))
    return found


def extension_annotations(extension: Extension, packed: Iterable[PackedImage]) -> dict[str, str]:
    """Return both annotations; the second one only where images are packed. Each image is listed once, in order."""
    annotations = {EXTENSION_ANNOTATION: extension.to_text()}
    listed = [one.to_json() for one in sorted(set(packed))]
    if listed:
        annotations[IMAGES_ANNOTATION] = json.dumps(listed, ensure_ascii=False, separators=(",", ":"))
    return annotations


def installer_type(image_type: str) -> InstallerType:
    """Return sealer 0.9's word for an image type: an application installs no cluster."""
    return "app-installer" if image_type == "application" else "kube-installer"


def _application(value: JsonObject) -> Application:
    return Application(
        str(value["name"]),
        str(value.get("type") or ""),
        _texts(value.get("files")),
        str(value.get("version") or "v1"),
        _strings(value.get("env")),
        _texts(value.get("cmds")),
    )


def _read(text: str) -> Any:
    try:
        return canonical.loads(text)
    except ValueError:
        return None


def _object(value: object) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _strings(value: object) -> dict[str, str]:
    return {str(key): str(one) for key, one in _object(value).items()}
