"""Stacks of layers, in memory and on a real disk: put on top of each other they are the tree that the model says."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given

from harness import model
from harness.cases.modelled import entries_of
from harness.fakes.stores import MemoryLayerStore
from harness.model import Node
from harness.model.tree import Item, diff, flatten, name_of, parent
from harness.stateful.agreement import read_layer
from harness.strategies import base_images
from harness.trees import Fifo, File, Folder, HardLink, Link, read_tree
from kubeimage.image.digest import Digest
from kubeimage.layer.apply import apply_changeset
from kubeimage.layer.diff import diff_trees
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.tree import Tree
from kubeimage.mount.copymounter import CopyMounter
from kubeimage.mount.overlay import OverlayMounter
from kubeimage.store import Store
from tests.properties.examples import examples


def node_of(entry: Entry) -> Node:
    if entry.kind is Kind.FILE:
        return File(entry.source if isinstance(entry.source, bytes) else b"", entry.mode)
    if entry.kind is Kind.SYMLINK:
        return Link(entry.target)
    return Folder(entry.mode) if entry.kind is Kind.DIRECTORY else Fifo(entry.mode)


@examples(4)
@given(base_images(max_layers=3))
def test_a_tree_of_layers_is_what_the_model_says(image: model.Image) -> None:
    tree = Tree()

    for layer in image.layers:
        tree.apply(entries_of(layer))

    assert {path: node_of(entry) for path, entry in tree.items()} == image.tree
    assert all(tree.children(path) == sorted(map(name_of, below(image.tree, path))) for path in ["", *tree])


def below(tree: model.Tree, folder: str) -> list[str]:
    return [path for path in tree if parent(path) == folder]


@examples(4)
@given(base_images(min_layers=1, max_layers=3))
def test_what_changes_a_tree_into_another_is_the_layer_that_the_model_says(image: model.Image) -> None:
    *below, top = image.layers
    lower, upper = flatten(tuple(below)), image.tree
    links = {path: item for path, item in top.items() if isinstance(item, HardLink)}

    changes = diff_trees(entries_by_path(lower), entries_by_path({**upper, **links}))

    store = MemoryLayerStore()
    with store.open(store.put(changes).diff_id) as tar:
        layer = read_layer(tar)
    assert layer == diff(lower, upper, {path: links[path].path if path in links else path for path in upper})


def entries_by_path(tree: Mapping[str, Item]) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries_of(tree)}


def apply_all(store: Store, layers: list[Digest], to: str) -> None:
    os.mkdir(to)
    for layer in layers:
        with store.layers.open(layer) as tar:
            apply_changeset(to, tar)


def copy_all(store: Store, layers: list[Digest], to: str) -> None:
    with CopyMounter(store.snapshots).mount(layers) as mount:
        assert mount.changes() == []
        mount.keep(to)


def mount_all(store: Store, layers: list[Digest], to: str) -> None:
    with OverlayMounter(store.snapshots).mount(layers) as mount:
        subprocess.run([*mount.prefix, "cp", "-a", mount.rootfs, to], check=True)
        assert mount.changes() == []


@pytest.mark.parametrize(
    "stack",
    [
        pytest.param(apply_all, id="applied"),
        pytest.param(copy_all, id="mounted by copying"),
        pytest.param(mount_all, id="mounted by the kernel"),
    ],
)
@examples(0.5)
@given(image=base_images(max_layers=3))
def test_layers_on_top_of_each_other_are_the_tree_that_the_model_says(
    stack: Callable[[Store, list[Digest], str], None], image: model.Image
) -> None:
    with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/store") as store:
        layers = [store.layers.put(entries_of(layer)).diff_id for layer in image.layers]

        stack(store, layers, f"{folder}/root")

        assert read_tree(f"{folder}/root") == image.tree
