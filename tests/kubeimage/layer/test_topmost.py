"""A path looked for from the topmost layer down: the merged tree's answer, and no layer read without need."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import model
from harness.cases.modelled import entries_of
from harness.fakes.stores import MemoryLayerStore
from harness.strategies import base_images
from kubeimage.errors import DestinationError
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, file, opaque, symlink, whiteout
from kubeimage.layer.topmost import open_topmost
from kubeimage.layer.tree import Tree
from kubeimage.layer.views import LayerView, TarView
from tests.properties.examples import examples

NOTHING = None


class _Noted(TarView):
    """A layer that notes how far it was read."""

    def __init__(self, tar: io.BytesIO, stack: "Stack") -> None:
        super().__init__(tar)
        self._place, self._stack = tar, stack

    def close(self) -> None:
        self._stack.read += self._place.tell()
        super().close()


class Stack:
    """Layers in memory. Shape: ``opened`` are the numbers of those that were opened, as they were."""

    def __init__(self, layers: Sequence[Sequence[Entry]]) -> None:
        self._store = MemoryLayerStore()
        self._diff_ids = [self._store.put(canonical_order(layer)).diff_id for layer in layers]
        self.opened: list[int] = []
        self.read = 0

    def view(self, number: int) -> LayerView:
        self.opened.append(number)
        with self._store.open(self._diff_ids[number]) as tar:
            return _Noted(io.BytesIO(tar.read()), self)

    def find(self, path: str) -> tuple[str, int, bytes | None] | None:
        with open_topmost(path, len(self._diff_ids), self.view) as found:
            if found.entry is None:
                return None
            content = found.content.read() if found.content is not None else None
            return found.entry.path, found.layer, content


@examples(3)
@given(base_images(max_layers=4), st.data())
def test_it_is_what_the_merged_tree_says(image: model.Image, data: st.DataObject) -> None:
    layers = [entries_of(layer) for layer in image.layers]
    tree = Tree()
    for number, layer in enumerate(layers):
        tree.apply(layer, layer=number)
    mentioned = sorted({entry.path for layer in layers for entry in layer if entry.path} | {"none"})

    path = data.draw(st.sampled_from(mentioned)) + data.draw(st.sampled_from(["", "/", "/../x", "/none"]))

    found = Stack(layers).find(path)
    expected = follow(tree, path)
    if found is None or expected is None:
        assert (found, expected) == (None, None)
    else:
        entry = tree[expected] if expected else directory("")
        assert (found[0], found[2]) == (expected, entry.source if entry.kind is Kind.FILE else None)
        assert entry.kind is Kind.DIRECTORY or found[1] == tree.layer_of(expected)


def follow(tree: Tree, path: str) -> str | None:
    """Return where the merged tree leads, ``""`` for the root; None where nothing stands."""
    before, dots, behind = path.partition("/..")
    try:
        if dots:
            base = tree.resolve_directory(before)
            if base and base not in tree:
                return None
            path = f"{base}/..{behind}".lstrip("/")
        found = tree.resolve_leaf(path.rstrip("/"))
    except DestinationError:
        return None
    return found if found in tree or not found else None


BASE = [directory("etc"), file("etc/a", b"base"), file("etc/b", b"base"), symlink("link", "etc/a"), directory("d")]
CASES = {
    "in the topmost layer": ([BASE, [file("etc/a", b"top")]], "etc/a", ("etc/a", 1, b"top"), [1]),
    "below it": ([BASE, [file("etc/a", b"top")]], "etc/b", ("etc/b", 0, b"base"), [1, 0]),
    "deleted": ([BASE, [whiteout("etc/a")]], "etc/a", NOTHING, [1]),
    "deleted, and another in its place": (
        [BASE, [whiteout("etc"), file("etc/a", b"2")]],
        "etc/a",
        ("etc/a", 1, b"2"),
        [1],
    ),
    "in a deleted folder": ([BASE, [whiteout("etc")]], "etc/a", NOTHING, [1]),
    "in an emptied folder": ([BASE, [opaque("etc")]], "etc/a", NOTHING, [1]),
    "in an emptied root": ([BASE, [opaque("")]], "etc/a", NOTHING, [1]),
    "in a folder that became a file": ([BASE, [file("etc", b"1")]], "etc/a", NOTHING, [1]),
    "behind a link below": ([BASE, [file("etc/a", b"top")]], "link", ("etc/a", 1, b"top"), [1, 0, 1]),
    "behind a link above": ([BASE, [symlink("new", "/etc/b")]], "new", ("etc/b", 0, b"base"), [1, 0]),
    "through a folder that is a link": ([BASE, [symlink("conf", "etc")]], "conf/b", ("etc/b", 0, b"base"), [1, 0]),
    "round in circles": ([[symlink("x", "y"), symlink("y", "x")]], "x", NOTHING, [0]),
    "out of the root": ([BASE], "../../etc/a", ("etc/a", 0, b"base"), [0]),
    "nowhere": ([BASE, []], "none", NOTHING, [1, 0]),
    "a folder": ([BASE], "d", ("d", 0, None), [0]),
    "no layers": ([], "d", NOTHING, []),
}


@pytest.mark.parametrize(("layers", "path", "expected", "opened"), CASES.values(), ids=CASES)
def test_no_layer_is_opened_without_need(
    layers: list[list[Entry]], path: str, expected: tuple[str, int, bytes | None] | None, opened: list[int]
) -> None:
    stack = Stack(layers)

    assert stack.find(path) == expected
    assert stack.opened == opened


def test_nothing_is_read_behind_the_file() -> None:
    stack = Stack(
        [[file("a", b"1"), file("b", b"2" * 5000), *(file(f"c{number}", bytes(9000)) for number in range(9))]]
    )

    assert stack.find("b") == ("b", 0, b"2" * 5000)
    assert 0 < stack.read < 12_000
