"""Damage to a store: other bytes, or another value, in one of its documents."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.fuzz.corpus import read_file
from harness.trees import Pasted, as_written

Key = str | int
GONE = b""
"""Stands for no value; JSON knows no bytes."""


@dataclass(frozen=True)
class Written(Pasted):
    """A document with other bytes in it; None takes it away."""

    document: str
    data: bytes | None

    def __repr__(self) -> str:
        return f"Written({self.document!r}, {'None' if self.data is None else as_written(self.data)})"


@dataclass(frozen=True)
class Changed(Pasted):
    """A JSON document with another value at a path of keys; `GONE` takes it away.

    A manifest, config or image index that is changed gets its new digest, and what names it names that.
    """

    document: str
    path: tuple[Key, ...]
    value: Any

    def __repr__(self) -> str:
        return f"Changed({self.document!r}, {self.path!r}, {self.value!r})"


Damage = Written | Changed

_PLACES = {
    "index": "index.json",
    "layout": "oci-layout",
    "version": "kubeimage.json",
    "record": "cache/keys/*/*",
    "stat index": "cache/contexts/*",
    "findings": "cache/images/findings/*",
    "variant": "variants/*",
}
DOCUMENTS = ("layer", "config", "manifest", "image index", *_PLACES)
"""All that can be damaged, in the order in which that is done: what names another one comes behind it."""


class DamagedStore:
    """A store on disk whose documents are known by what they are."""

    def __init__(self, root: str) -> None:
        self._root = root

    def damage(self, damage: Damage) -> None:
        """Do one damage; nothing happens where an earlier one took the place of it away."""
        with suppress(LookupError, ValueError, TypeError, AttributeError, FileNotFoundError, RecursionError):
            path = self.path(damage.document)
            if isinstance(damage, Changed):
                self._change(damage, path)
            elif damage.data is None:
                os.unlink(path)
            else:
                _write(path, damage.data)

    def path(self, document: str) -> str:
        """Return the path of a document; ``""`` where there is none.

        Shape: of those that each image has, that of ``top:1``; of image indexes, that of ``many:1``.
        """
        if document in _PLACES:
            # Of equal ones the longest, which is that of the image with the longer Kubefile.
            found = sorted(glob.glob(os.path.join(self._root, _PLACES[document])))
            return max(found, key=os.path.getsize, default="")
        manifest = self._blob(self._entry(_load(self.path("index")), document)["digest"])
        if document in {"manifest", "image index"}:
            return manifest
        named = _load(manifest)
        return self._blob(named["config"]["digest"] if document == "config" else named["layers"][-1]["digest"])

    def _blob(self, digest: str) -> str:
        return os.path.join(self._root, "blobs", "sha256", digest.removeprefix("sha256:"))

    @staticmethod
    def _entry(index: Any, document: str) -> Any:
        name = "many" if document == "image index" else "top"
        return next(one for one in index["manifests"] if name in json.dumps(one))

    def _change(self, damage: Changed, path: str) -> None:
        value = _replaced(_load(path), damage.path, damage.value)
        if damage.document not in {"config", "manifest", "image index"}:
            _write(path, _encode(value))
            return
        index = _load(self.path("index"))
        if damage.document == "config":
            manifest = _load(self.path("manifest"))
            manifest["config"] |= self._add(value)
            self._entry(index, "manifest")["annotations"]["io.kubeimage.image.id"] = manifest["config"]["digest"]
            value = manifest
        self._entry(index, damage.document).update(self._add(value))
        _write(self.path("index"), _encode(index))

    def _add(self, value: Any) -> dict[str, object]:
        """Write a blob, and give what a descriptor says of it."""
        data = _encode(value)
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        _write(self._blob(digest), data)
        return {"digest": digest, "size": len(data)}


def _replaced(document: Any, path: tuple[Key, ...], value: Any) -> Any:
    if not path:
        return value
    place = document
    for key in path[:-1]:
        place = place[key]
    if value == GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def _load(path: str) -> Any:
    return json.loads(read_file(path))


def _encode(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _write(path: str, data: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "wb") as stream:
        stream.write(data)
