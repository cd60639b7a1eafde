"""Look into an image: what stands in a directory, and what a file holds. Nothing is unpacked."""

from __future__ import annotations

from collections.abc import Callable

from kubeimage.api.backends import Backends
from kubeimage.api.finding import ImageName, find_image
from kubeimage.api.opening import OpenImage, open_image
from kubeimage.errors import ImageFileError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.topmost import open_topmost
from kubeimage.layer.views import open_view
from kubeimage.values import dataclass

_PIECE = 1 << 20


@dataclass(frozen=True)
class ListedFile:
    """What stands at one path of an image.

    Shape: ``layer`` counts from 1, lowest first; ``created_by`` is the instruction that made that layer.
    """

    entry: Entry
    layer: int
    diff_id: Digest
    created_by: str


@dataclass(frozen=True)
class ReadFile:
    """A file that was read. Shape: as ``ListedFile``. Units: ``fetched`` in bytes that came over a network."""

    entry: Entry
    layer: int
    diff_id: Digest
    fetched: int


def list_files(
    name: ImageName,
    path: str,
    backends: Backends,
    *,
    recursive: bool = False,
    platform: Platform | None = None,
) -> list[ListedFile]:
    """Return what stands in the directory ``path`` of an image, sorted; of what is no directory, that itself.

    Shape:  ``recursive`` also gives all that stands below. Symlinks on the way are followed inside the root, and so is
            one at the end that leads to a directory.
    Raises: UsageError, ImageNotFoundError; ImageFileError where nothing stands there; RegistryError, StoreError,
            LayerError.
    """
    image = open_image(name, backends, platform=platform)
    made = instructions_of(image)
    if not path.strip("/."):
        return [_listed(image.rootfs[one], image, made) for one in _below("", image, recursive=recursive)]
    entry = image.resolve(path, follow=False)
    if entry.kind is Kind.SYMLINK:
        entry = _followed(path, entry, image)
    if entry.kind is not Kind.DIRECTORY:
        return [_listed(entry, image, made)]
    return [_listed(image.rootfs[one], image, made) for one in _below(entry.path, image, recursive=recursive)]


def read_file(
    name: ImageName,
    path: str,
    write: Callable[[bytes], object],
    backends: Backends,
    *,
    platform: Platform | None = None,
) -> ReadFile:
    """Write the content of a file of an image with ``write``, piece by piece.

    Layers are looked into from the topmost down, and no further than until it is sure what stands there.
    Raises: UsageError, ImageNotFoundError; ImageFileError where no file stands there; RegistryError, StoreError,
            LayerError; whatever ``write`` raises.
    """
    image, _ = find_image(name, backends, platform=platform)
    layers = backends.contents_of(image)
    diff_ids = [layer.diff_id for layer in image.layers]
    with open_topmost(path, len(diff_ids), lambda number: open_view(layers, diff_ids[number])) as found:
        if found.entry is None:
            raise ImageFileError(
                f"there is no {path!r} in {_shown(name)}", hint=f"kubeimage ls {_shown(name)} lists what is there"
            )
        if found.content is None:
            raise ImageFileError(
                f"{path!r} in {_shown(name)} is a {found.entry.kind.value}, and has no content",
                hint=f"kubeimage ls {_shown(name)} {path}" if found.entry.kind is Kind.DIRECTORY else None,
            )
        while piece := found.content.read(_PIECE):
            write(piece)
    return ReadFile(found.entry, found.layer + 1, diff_ids[found.layer], backends.fetched)


def instructions_of(image: OpenImage) -> list[str]:
    """Return what made each layer of an image, lowest first; empty where nobody says."""
    made = [one.created_by for one in image.image.history if not one.empty_layer]
    layers = image.image.layers
    return made if len(made) == len(layers) else [f"{layer.kind} {layer.value}".strip() for layer in layers]


def _followed(path: str, link: Entry, image: OpenImage) -> Entry:
    try:
        target = image.resolve(path)
    except ImageFileError:
        return link
    return target if target.kind is Kind.DIRECTORY else link


def _below(folder: str, image: OpenImage, *, recursive: bool) -> list[str]:
    start = f"{folder}/" if folder else ""
    found = (one for one in image.rootfs if one.startswith(start) and one != folder)
    chosen = found if recursive else (one for one in found if "/" not in one[len(start) :])
    return sorted(chosen, key=lambda one: one.split("/"))


def _listed(entry: Entry, image: OpenImage, made: list[str]) -> ListedFile:
    number = image.layer_of(entry.path)
    return ListedFile(entry, number + 1, image.image.layers[number].diff_id, made[number])


def _shown(name: ImageName) -> str:
    return name.id.short if isinstance(name, Image) else str(name)


__all__ = ["ListedFile", "ReadFile", "list_files", "read_file"]
