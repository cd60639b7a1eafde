"""Base images: stacks of layers as other builds and other tools leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from harness.model import Image, Layer, Node, apply, complete
from harness.model.tree import DELETED, OPAQUE, WHITEOUT, Item, is_folder, join, name_of, parent
from harness.strategies.contexts import FOLDER_MODES, ContextKind
from harness.strategies.dice import Dice, Part, records
from harness.trees import File, Folder, HardLink
from kubeimage.image.platform import Platform

MOST_LAYERS = 128
# This machine's own comes first: no other one's RUN is sure to work here.
PLATFORMS = tuple(dict.fromkeys((str(Platform.host()), "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")))
_COMMANDS = ("kubectl apply -f a.yaml", "helm install x charts/x --set a=1,b=2", "sleep 5")
_ARGUMENTS: tuple[dict[str, str], ...] = ({}, {"VERSION": "1"}, {}, {"VERSION": "2"}, {"TAG": "1"}, {"TAG": "2"})
_LABELS: tuple[dict[str, str], ...] = ({}, {"team": "x"}, {}, {"team": "größe"}, {"a.b/c": "x"}, {"a.b/c": "größe"})
_CONTEXT = ContextKind(0, 3)
_DEPTHS = (0, 1, 2, 3, 40, 125, 127, 128)
_DETAILED = 3
_MOST_GONE = 2
_NOTHING: Mapping[str, Node] = {}
# Units: bytes.
_GONE = 5
_LAYER = 5
_HEAD = 7


def base_images(
    *, min_layers: int = 0, max_layers: int = MOST_LAYERS, platforms: tuple[str, ...] = PLATFORMS[:1]
) -> SearchStrategy[Image]:
    """Generate images to build on, with ``min_layers`` to ``max_layers`` layers.

    A deep one has small layers below, and a few of all kinds on top.
    Raises: InvalidArgument for numbers that no image has.
    """
    if not 0 <= min_layers <= max_layers <= MOST_LAYERS:
        raise InvalidArgument(
            f"an image has 0 <= min_layers <= max_layers <= {MOST_LAYERS}, found {min_layers=} and {max_layers=}"
        )
    return records(lambda dice: read_image(dice, min_layers, max_layers, platforms))


def read_image(dice: Dice, min_layers: int, max_layers: int, platforms: Sequence[str]) -> Image:
    """Return the image that records say. Shape: as `base_images` generates them."""
    head = dice.part(_HEAD)
    depth = head.pick(sorted({min(max(depth, min_layers), max_layers) for depth in _DEPTHS}))
    plain = max(depth - _DETAILED, 0)
    stack: list[Layer] = [complete({f"base/{number}": str(number)}) for number in range(plain)]
    tree: dict[str, Node] = {}
    for layer in stack:
        tree = apply(tree, layer)
    for _ in range(depth - plain):
        stack.append(_read_layer(dice, tree))
        tree = apply(tree, stack[-1])
    return Image(
        head.pick(platforms),
        tuple(stack),
        tuple(("COPY", f"{number} .") for number in range(depth)),
        tuple((f"COPY {number} .", True) for number in range(depth)),
        commands=tuple(head.pick(_COMMANDS) for _ in range(head.below(3))),
        arguments=head.pick(_ARGUMENTS),
        labels=head.pick(_LABELS),
    )


def layers(*, lower: Mapping[str, Node] = _NOTHING) -> SearchStrategy[Layer]:
    """Generate layers that fit on ``lower``: what they delete or replace is there, what they add may be in its way."""
    return records(lambda dice: _read_layer(dice, lower))


def _read_layer(dice: Dice, lower: Mapping[str, Node]) -> Layer:
    layer: dict[str, Item] = complete(_CONTEXT.read(dice))
    if not lower:
        return _with_links_behind_files(layer) or {"filler": File(b"1")}
    known, head = sorted(lower), dice.part(_LAYER)
    for _ in range(head.below(_MOST_GONE + 1)):
        one = dice.part(_GONE)
        _delete(one.pick(known), one, layer, lower)
    if head.below(2):
        path = head.pick(known)
        if _makes_room(path, layer):
            for folder in _above(path):
                layer.setdefault(folder, lower.get(folder, Folder()))
            layer.setdefault(path, Folder(head.pick(FOLDER_MODES)) if is_folder(lower, path) else File(b"2"))
    return _with_links_behind_files(layer) or {"filler": File(b"1")}


def _delete(path: str, dice: Part, layer: dict[str, Item], lower: Mapping[str, Node]) -> None:
    is_opaque = is_folder(lower, path) and dice.below(2)
    whiteout = f"{path}/{OPAQUE}" if is_opaque else join(parent(path), WHITEOUT + name_of(path))
    if _makes_room(whiteout, layer):
        for folder in _above(whiteout):
            layer.setdefault(folder, lower.get(folder, Folder(dice.pick(FOLDER_MODES))))
        layer[whiteout] = DELETED


def _makes_room(path: str, layer: Mapping[str, Item]) -> bool:
    """Whether the layer has nothing but folders above a path."""
    return all(isinstance(layer.get(folder, Folder()), Folder) for folder in _above(path))


def _with_links_behind_files(layer: dict[str, Item]) -> dict[str, Item]:
    """Make the name that comes first in a tar the file, and the others links to it."""
    result: dict[str, Item] = {}
    leaders: dict[str, str] = {}
    for path in sorted(layer, key=lambda one: one.split("/")):
        first, item = path, layer[path]
        while isinstance(item, HardLink):
            first, item = item.path, layer[item.path]
        leader = leaders.setdefault(first, path)
        result[path] = item if leader == path else HardLink(leader)
    return result


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
