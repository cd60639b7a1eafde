"""What packing remembers from build to build."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from kubeimage.disk.folders import make_private
from kubeimage.disk.replacing import replace_file
from kubeimage.image import canonical
from kubeimage.image.digest import Digest


class Memory:
    """Small JSON files below one folder of the store's cache. It may forget at any time, and never answers wrongly."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def get(self, kind: str, name: str) -> object:
        """Return what was remembered, or None."""
        try:
            with open(self._path(kind, name), "rb") as stream:
                value = canonical.loads(stream.read())
        except (OSError, ValueError):
            return None
        return value.get("value") if isinstance(value, dict) and value.get("name") == name else None

    def put(self, kind: str, name: str, value: object) -> None:
        """Remember something, if the disk lets us."""
        path = self._path(kind, name)
        data = json.dumps({"name": name, "value": value}).encode()
        with suppress(OSError):
            make_private(os.path.dirname(path))
            replace_file(path, data)

    def _path(self, kind: str, name: str) -> str:
        return os.path.join(self._folder, kind, Digest.of(name.encode()).hex)
