"""Images of the model, put into a store for a build to stand on."""

from __future__ import annotations

from collections.abc import Sequence

from harness import model
from harness.model.tree import OPAQUE, WHITEOUT, Item, join, name_of, parent
from harness.trees import Fifo, File, Folder, Link
from kubeimage.api.backends import Backends
from kubeimage.image.config import APPLICATION, Image
from kubeimage.image.document import Arguments, Commands, History, Layer
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.layer.entry import Entry, Kind, canonical_order


def put_image(image: model.Image, backends: Backends, references: Sequence[Reference] = ()) -> Image:
    """Put an image of the model into a store, and return it as a build has it."""
    stored = [backends.layers.put(entries_of(layer)) for layer in image.layers]
    layers = [Layer(one.diff_id, one.size, *by) for one, by in zip(stored, image.made_by, strict=True)]
    made = Image(
        Platform.parse(image.platform),
        tuple(layers),
        tuple(History(text, empty_layer=not makes_layer) for text, makes_layer in image.history),
        Commands(image.parent_commands, image.commands),
        Arguments(image.parent_arguments, image.arguments),
        image.labels,
        image_type=APPLICATION if image.is_application else "",
    )
    backends.images.put(made, references)
    return made


def entries_of(layer: model.Layer) -> list[Entry]:
    """Return a layer of the model as the changeset that a store writes."""
    return canonical_order(_entry(path, item) for path, item in layer.items())


def _entry(path: str, item: Item) -> Entry:
    name = name_of(path)
    if name == OPAQUE:
        return Entry(parent(path), Kind.OPAQUE, 0)
    if name.startswith(WHITEOUT):
        return Entry(join(parent(path), name.removeprefix(WHITEOUT)), Kind.WHITEOUT, 0)
    if isinstance(item, File):
        return Entry(path, Kind.FILE, item.mode, len(item.data), source=item.data)
    if isinstance(item, Folder):
        return Entry(path, Kind.DIRECTORY, item.mode)
    if isinstance(item, Link):
        return Entry(path, Kind.SYMLINK, 0o777, target=item.target)
    if isinstance(item, Fifo):
        return Entry(path, Kind.FIFO, item.mode)
    return Entry(path, Kind.HARDLINK, 0o644, target=item.path)
