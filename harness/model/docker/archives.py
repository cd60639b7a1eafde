"""What ADD finds in an archive.

Source: moby's Dockerfile reference, "ADD".
"""

from __future__ import annotations

import io
import tarfile

from harness.model.docker.owned import Owned, Owner
from harness.model.tree import folders_above
from harness.trees import File, Folder, Link, clean


def unpacked(data: bytes, owner: Owner) -> dict[str, Owned] | None:
    """Return what an archive holds; None for a file that is none. Folders that it does not name are ``owner``'s."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = archive.getmembers()
            contents = {one.name: archive.extractfile(one) for one in members if one.isfile() or one.islnk()}
            read = {name: stream.read() for name, stream in contents.items() if stream is not None}
    except tarfile.TarError:
        return None
    tree: dict[str, Owned] = {}
    for one in members:
        path = clean(one.name)
        for folder in folders_above(path):
            tree.setdefault(folder, Owned(Folder(), owner))
        own = one.uid, one.gid
        if one.isdir():
            tree[path] = Owned(Folder(one.mode), own)
        elif one.issym():
            tree[path] = Owned(Link(one.linkname), own)
        else:
            tree[path] = Owned(File(read[one.name], one.mode), own)
    return tree
