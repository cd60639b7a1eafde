"""A lock's images as imgpkg's ImagesLock, which kbld, imgpkg and kapp read.

Source: imgpkg's documentation, "ImagesLock configuration"; kbld's annotation says what a digest was resolved from.
"""

from __future__ import annotations

import json

from kubeimage.lock.lockfile import Lock

API_VERSION = "imgpkg.carvel.dev/v1alpha1"
KIND = "ImagesLock"
ANNOTATION = "kbld.carvel.dev/id"


def to_images_lock(lock: Lock) -> bytes:
    """Return the file: a YAML document that names each image to be packed by its digest, and what it was called."""
    lines = ["---", f"apiVersion: {API_VERSION}", f"kind: {KIND}", "images:" if lock.images else "images: []"]
    for one in lock.images:
        # What JSON quotes, YAML reads as the same text.
        lines += [f"- image: {json.dumps(f'{one.name.domain}/{one.name.repository}@{one.digest}')}"]
        lines += ["  annotations:", f"    {ANNOTATION}: {json.dumps(str(one.name))}"]
    return ("\n".join(lines) + "\n").encode()


__all__ = ["API_VERSION", "KIND", "to_images_lock"]
