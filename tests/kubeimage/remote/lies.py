"""A registry that lies: records rewritten so that nothing but what they say is wrong."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.fakes.registry import FakeRegistry
from harness.fakes.registry.content import StoredManifest
from kubeimage.image import canonical
from kubeimage.image.digest import Digest
from kubeimage.image.oci import Descriptor

Json = dict[str, Any]


def tags(registry: FakeRegistry, repository: str) -> list[str]:
    """Return the tags of records, those of first steps first."""
    found = registry.content.tags(repository)
    return sorted(found, key=lambda tag: len(record_of(registry, repository, tag)["steps"]))


def manifest_of(registry: FakeRegistry, repository: str, tag: str) -> Json:
    found: Json = json.loads(registry.content.manifest(repository, tag).data)
    return found


def record_of(registry: FakeRegistry, repository: str, tag: str) -> Json:
    found: Json = json.loads(base64.b64decode(manifest_of(registry, repository, tag)["config"]["data"]))
    return found


def put(registry: FakeRegistry, repository: str, tag: str, manifest: Json) -> None:
    """Put a manifest under a tag, whatever it says."""
    old = registry.content.manifest(repository, tag)
    kept = StoredManifest(canonical.encode(manifest), old.media_type)
    content = registry.content.repository(repository)
    content.manifests[kept.digest] = kept
    content.tags[tag] = kept.digest


def rewrite(registry: FakeRegistry, repository: str, tag: str, change: Callable[[Json], None]) -> None:
    """Let a record say something else, in its config and in its manifest alike."""
    manifest, record = manifest_of(registry, repository, tag), record_of(registry, repository, tag)
    change(record)
    data = canonical.encode(record)
    described = Descriptor.of(manifest["config"]["mediaType"], data)
    registry.put_blob(repository, data)
    manifest["config"] = {**described.to_json(), "data": base64.b64encode(data).decode()}
    put(registry, repository, tag, manifest)


def take_over(registry: FakeRegistry, liars: str, victims: str) -> None:
    """Let the records of ``victims`` say that their steps made what those of ``liars`` made, with their blobs there."""
    lies = [record_of(registry, liars, tag)["steps"] for tag in tags(registry, liars)]
    content = registry.content
    content.repository(victims).blobs.update(content.repository(liars).blobs)
    for tag, steps in zip(tags(registry, victims), lies, strict=True):

        def change(record: Json, steps: list[Json] = steps) -> None:
            for mine, theirs in zip(record["steps"], steps, strict=True):
                mine["layer"] = theirs["layer"]

        rewrite(registry, victims, tag, change)


def copy_records(registry: FakeRegistry, source: str, target: str) -> None:
    """Put records, as they are, into another repository."""
    old, new = registry.content.repository(source), registry.content.repository(target)
    new.blobs.update(old.blobs)
    new.manifests.update({digest: replace(one) for digest, one in old.manifests.items()})
    new.tags.update(old.tags)


__all__ = ["Descriptor", "Digest", "copy_records", "manifest_of", "put", "record_of", "rewrite", "tags", "take_over"]
