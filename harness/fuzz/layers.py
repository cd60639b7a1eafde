"""Layers: tars that lie, and layers as the model has them, put one over the other on a folder full of traps."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness import model
from harness.cases.modelled import entries_of
from harness.fuzz.target import Target
from harness.fuzz.written import read_tuple
from harness.model.tree import DELETED, OPAQUE, WHITEOUT, Item, join, name_of, parent
from harness.stateful.agreement import read_layer
from harness.strategies import hostile_tars, layers
from harness.strategies.tars import LINKS, Member, Tar
from harness.trees import Fifo, File, Folder, HardLink, Link, read_tree, write_tree
from kubeimage.disk.removal import remove_tree
from kubeimage.errors import KubeimageError, StoreError
from kubeimage.layer.apply import apply_changeset, unpack_snapshot
from kubeimage.layer.entry import Entry, Kind
from kubeimage.layer.reader import Limits, iter_contents
from kubeimage.layer.tree import Tree
from kubeimage.layer.writer import write_layer

Case = tuple[Tar | model.Layer, ...]

_OUTSIDE = {"kept": "kept", "closed/kept": "kept too"}
_NAMES = {one.__name__: one for one in (Fifo, File, Folder, HardLink, Link, Member, Tar)}
_MOST_BYTES = 1 << 20


def check(case: Case) -> None:
    """Apply each of the tars, if it can be read at all, and compare with what the model makes of it.

    Raises: AssertionError; whatever is raised that is not kubeimage's.
    """
    with _folder() as folder:
        root = os.path.join(folder, "root")
        tree: model.Tree = dict(read_tree(root))
        merged = Tree(entries_of(tree))
        for one in case:
            data = one.data if isinstance(one, Tar) else _write(entries_of(one))
            entries = _read(data)
            _unpack_aside(folder, data)
            _check_outside(folder)
            try:
                apply_changeset(root, io.BytesIO(data), max_bytes=_MOST_BYTES)
            except StoreError:
                # The disk cannot have it, such as a name that is too long: nobody promises what is there then.
                assert entries is not None
                _check_outside(folder)
                return
            except KubeimageError:
                assert entries is None, "a layer that can be read cannot be applied"
                assert read_tree(root) == tree, "a layer that was refused has changed something"
                continue
            assert entries is not None, "a layer that cannot be read was applied"
            layer = _as_layer(entries)
            if not isinstance(one, Tar):
                assert layer == dict(one), "a layer is read as another one than was written"
                assert read_layer(io.BytesIO(data)) == dict(one), "Python's tarfile reads another layer"
            _check_outside(folder)
            tree = model.apply(tree, layer)
            assert read_tree(root) == tree, "the folder is not what the model says"
            merged.apply([entry._replace(xattrs=(), mtime=0) for entry in entries])
            assert {path: _node(entry) for path, entry in merged.items()} == tree, (
                "the merged tree is not what the model says"
            )


@contextmanager
def _folder() -> Iterator[str]:
    """Yield a folder with ``root/``, whose symlinks lead out of it, and ``outside/``, which must stay as it is."""
    folder = tempfile.mkdtemp(prefix="kubeimage-fuzz-")
    try:
        write_tree(os.path.join(folder, "outside"), _OUTSIDE)
        write_tree(os.path.join(folder, "root"), {path: Link(target) for path, target in LINKS.items()})
        yield folder
    finally:
        remove_tree(folder)


def _check_outside(folder: str) -> None:
    assert sorted(os.listdir(folder)) == ["outside", "root"], "something came to stand beside the root"
    found = read_tree(os.path.join(folder, "outside"))
    assert {path: node.data for path, node in found.items() if isinstance(node, File)} == _OUTSIDE_DATA
    assert len(found) == len(_OUTSIDE_DATA) + 1, "something came to stand outside of the root"
    assert not os.path.lexists("/etc/kubeimage-fuzz"), "something came to stand in the system"


_OUTSIDE_DATA = {path: text.encode() for path, text in _OUTSIDE.items()}


def _unpack_aside(folder: str, data: bytes) -> None:
    aside = os.path.join(folder, "aside")
    os.mkdir(aside)
    with suppress(KubeimageError):
        unpack_snapshot(aside, io.BytesIO(data), userxattr=True, max_bytes=_MOST_BYTES)
    remove_tree(aside)


def _read(data: bytes) -> list[Entry] | None:
    """Return all entries, files with what is in them; None for a tar that is refused."""
    try:
        return [
            entry if content is None or entry.kind is not Kind.FILE else entry._replace(source=content.read())
            for entry, content in iter_contents(io.BytesIO(data), limits=Limits(max_bytes=_MOST_BYTES))
        ]
    except KubeimageError:
        return None


def _write(entries: list[Entry]) -> bytes:
    pieces: list[bytes] = []
    write_layer(entries, lambda piece: pieces.append(bytes(piece)))
    return b"".join(pieces)


def _as_layer(entries: list[Entry]) -> dict[str, Item]:
    return {_marker(entry): _item(entry) for entry in entries}


def _marker(entry: Entry) -> str:
    if entry.kind is Kind.OPAQUE:
        return join(entry.path, OPAQUE)
    if entry.kind is Kind.WHITEOUT:
        return join(parent(entry.path), WHITEOUT + name_of(entry.path))
    return entry.path


def _item(entry: Entry) -> Item:
    if entry.kind is Kind.HARDLINK:
        return HardLink(entry.target)
    return DELETED if entry.kind in {Kind.OPAQUE, Kind.WHITEOUT} else _node(entry)


def _node(entry: Entry) -> model.Node:
    if entry.kind is Kind.DIRECTORY:
        return Folder(entry.mode)
    if entry.kind is Kind.SYMLINK:
        return Link(entry.target)
    if entry.kind is Kind.FIFO:
        return Fifo(entry.mode)
    assert isinstance(entry.source, bytes)
    return File(entry.source, entry.mode)


def _stacked(lower: model.Layer) -> SearchStrategy[Case]:
    return layers(lower=model.flatten((lower,))).map(lambda upper: (lower, upper))


TARGET = Target(
    "layers",
    st.one_of(st.lists(hostile_tars(), min_size=1, max_size=2).map(tuple), layers().flatmap(_stacked)),
    check,
    dump=lambda case: repr(case).encode(),
    load=lambda data: read_tuple(data, _NAMES, Tar | dict),
)
