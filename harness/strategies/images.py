"""Base images: stacks of layers as other builds and other tools leave them."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from harness.model import Image, Layer, Node, apply, complete
from harness.model.tree import DELETED, OPAQUE, WHITEOUT, Item, is_folder, join, name_of, parent
from harness.strategies.contexts import FOLDER_MODES, build_contexts
from harness.trees import File, Folder, HardLink
from kubeimage.image.platform import Platform

MOST_LAYERS = 128
# This machine's own comes first: no other one's RUN is sure to work here.
PLATFORMS = tuple(dict.fromkeys((str(Platform.host()), "linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")))
_COMMANDS = st.lists(
    st.sampled_from(("kubectl apply -f a.yaml", "helm install x charts/x --set a=1,b=2", "sleep 5")), max_size=2
)
_ARGUMENTS = st.dictionaries(st.sampled_from(("VERSION", "TAG")), st.sampled_from("12"), max_size=1)
_LABELS = st.dictionaries(st.sampled_from(("team", "a.b/c")), st.sampled_from(("x", "größe")), max_size=1)
_CONTEXTS = build_contexts(max_size=3, read_only=False)
_DEPTHS = (0, 1, 2, 3, 40, 125, 127, 128)
_DETAILED = 3
_NOTHING: Mapping[str, Node] = {}


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
    depths = sorted({min(max(depth, min_layers), max_layers) for depth in _DEPTHS})
    return _images(depths, platforms)


@st.composite
def _images(draw: st.DrawFn, depths: list[int], platforms: tuple[str, ...]) -> Image:
    depth = draw(st.sampled_from(depths))
    detailed = min(depth, _DETAILED)
    stack: list[Layer] = [complete({f"base/{number}": str(number)}) for number in range(depth - detailed)]
    tree: dict[str, Node] = {}
    for layer in stack:
        tree = apply(tree, layer)
    for _ in range(detailed):
        stack.append(draw(layers(lower=tree)))
        tree = apply(tree, stack[-1])
    return Image(
        draw(st.sampled_from(platforms)),
        tuple(stack),
        tuple(("COPY", f"{number} .") for number in range(depth)),
        tuple((f"COPY {number} .", True) for number in range(depth)),
        commands=tuple(draw(_COMMANDS)),
        arguments=draw(_ARGUMENTS),
        labels=draw(_LABELS),
    )


@st.composite
def layers(draw: st.DrawFn, *, lower: Mapping[str, Node] = _NOTHING) -> Layer:
    """Generate layers that fit on ``lower``: what they delete or replace is there, what they add may be in its way."""
    layer: dict[str, Item] = complete(draw(_CONTEXTS))
    gone = st.lists(st.sampled_from(sorted(lower)), min_size=draw(st.integers(0, 1)), max_size=2, unique=True)
    for path in draw(gone) if lower else []:
        marker = OPAQUE if is_folder(lower, path) and draw(st.booleans()) else None
        whiteout = f"{path}/{marker}" if marker else join(parent(path), WHITEOUT + name_of(path))
        if all(isinstance(layer.get(folder, Folder()), Folder) for folder in _above(whiteout)):
            for folder in _above(whiteout):
                layer.setdefault(folder, lower.get(folder, Folder(draw(st.sampled_from(FOLDER_MODES)))))
            layer[whiteout] = DELETED
    for path in draw(st.lists(st.sampled_from(sorted(lower)), max_size=1)) if lower else []:
        if all(isinstance(layer.get(folder, Folder()), Folder) for folder in _above(path)):
            for folder in _above(path):
                layer.setdefault(folder, lower.get(folder, Folder()))
            layer.setdefault(
                path, Folder(draw(st.sampled_from(FOLDER_MODES))) if is_folder(lower, path) else File(b"2")
            )
    return _with_links_behind_files(layer) or {"filler": File(b"1")}


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
