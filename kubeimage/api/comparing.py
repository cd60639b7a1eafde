"""What differs between the root filesystems of two images: whole operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.values import dataclass

Change = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Difference:
    """One path that is not alike in both.

    Shape: ``old`` and ``new`` are what stands there, None where nothing does. ``what`` names what has changed, such as
           ``mode`` and ``content``; it is empty for what was added or removed.
    """

    path: str
    change: Change
    old: Entry | None
    new: Entry | None
    what: tuple[str, ...] = ()


def compare_images(
    old: ImageName, new: ImageName, backends: Backends, *, platform: Platform | None = None
) -> list[Difference]:
    """Return the paths that differ, sorted; times never count.

    Shape:  what was added or removed with its directory is told as well. Contents are read only where all else is alike
            and the files come from different layers.
    Raises: UsageError for backends that were opened to look; ImageNotFoundError; BlobNotFoundError, BlobCorruptError,
            LayerError.
    """
    backends.require("read")
    images = [find_image(name, backends, platform=platform)[0] for name in (old, new)]
    before, after = (
        LayerStack(backends.contents_of(image), [StackedLayer(layer.diff_id) for layer in image.layers])
        for image in images
    )
    both = [path for path in before.tree if path in after.tree]
    doubtful = {path for path in both if _is_doubtful(path, before, after)}
    contents = before.digests(doubtful), after.digests(doubtful)
    different = {path for path in doubtful if contents[0][path] != contents[1][path]}
    found = [Difference(path, "removed", before.tree[path], None) for path in before.tree if path not in after.tree]
    found += [Difference(path, "added", None, after.tree[path]) for path in after.tree if path not in before.tree]
    for path in both:
        what = tuple(_changes(before.tree[path], after.tree[path], content=path in different))
        if what:
            found.append(Difference(path, "changed", before.tree[path], after.tree[path], what))
    return sorted(found, key=lambda one: one.path.split("/"))


def _is_doubtful(path: str, before: LayerStack, after: LayerStack) -> bool:
    old, new = before.tree[path], after.tree[path]
    alike = old.kind is new.kind is Kind.FILE and old.size == new.size
    return alike and before.layer_of(path) != after.layer_of(path)


def _changes(old: Entry, new: Entry, *, content: bool) -> Iterator[str]:
    if old.kind is not new.kind:
        yield "type"
        return
    if old.mode != new.mode:
        yield "mode"
    if old.target != new.target:
        yield "target"
    if dict(old.xattrs) != dict(new.xattrs):
        yield "xattrs"
    if content or old.size != new.size:
        yield "content"


__all__ = ["Change", "Difference", "compare_images"]
