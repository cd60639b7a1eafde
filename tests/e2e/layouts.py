"""Images in OCI layouts, read by no code of ours: what another tool would find in them."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

Found = dict[str, tuple[str, int, bytes | str]]


class Read(NamedTuple):
    """An image.

    Shape: ``tree`` has the kind, the permission bits, and the content or target of each path; ``owners`` has the user
           and the group.
    """

    tree: Found
    config: dict[str, Any]
    annotations: dict[str, str]
    owners: Mapping[str, tuple[int, int]] = MappingProxyType({})


def read_layout(layout: Path, name: str | None = None) -> Read:
    """Return the image of a layout that is called ``name``, or its only one."""
    listed = json.loads((layout / "index.json").read_text())["manifests"]
    chosen = [one for one in listed if name is None or name in one.get("annotations", {}).values()]
    manifest = json.loads(_blob(layout, chosen[0]["digest"]))
    tree: Found = {}
    owners: dict[str, tuple[int, int]] = {}
    for layer in manifest["layers"]:
        data = _blob(layout, layer["digest"])
        plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        apply(tree, plain)
        owners.update(_owners(plain))
    config = json.loads(_blob(layout, manifest["config"]["digest"]))
    return Read(tree, config, manifest.get("annotations", {}), {path: owners[path] for path in tree})


def _owners(layer: bytes) -> dict[str, tuple[int, int]]:
    """Return whose each path of a layer is; a hard link is its first name's."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        members = {member.name.strip("/").removeprefix("./"): member for member in archive}
    firsts = {path: members[one.linkname.strip("/")] if one.islnk() else one for path, one in members.items()}
    return {path: (one.uid, one.gid) for path, one in firsts.items()}


def _blob(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()


def apply(tree: Found, layer: bytes) -> None:
    """Lay a layer's tar over a tree."""
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        for member in archive:
            path = member.name.strip("/").removeprefix("./")
            folder, _, name = path.rpartition("/")
            if name.startswith(".wh."):
                gone = f"{folder}/{name[4:]}".lstrip("/")
                for one in [known for known in tree if known == gone or known.startswith(f"{gone}/")]:
                    del tree[one]
            elif member.isdir() and path:
                tree[path] = ("directory", member.mode & 0o7777, "")
            elif member.issym():
                tree[path] = ("symlink", 0o777, member.linkname)
            elif member.islnk():
                tree[path] = tree[member.linkname.removeprefix("./").lstrip("/")]
            elif member.isfile():
                stream = archive.extractfile(member)
                assert stream is not None
                tree[path] = ("file", member.mode & 0o7777, stream.read())
