"""A directory of the base that a step only needs keeps what it has: mode, owner, xattrs."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.context import Directory, Files, MemoryContext
from harness.fakes.mounts import MemoryMounter
from harness.fakes.stores import MemoryLayerStore
from kubeimage.builder import running, steps
from kubeimage.layer.entry import Entry, Kind, canonical_order, file
from kubeimage.layer.names import ancestors
from kubeimage.layer.reader import iter_entries
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.layer.writer import write_layer
from kubeimage.protocols.context import CopyRequest

owners = st.tuples(*[st.sampled_from([0, 1, 1000, 65534, 2**21 - 1, 2**21, 2**32 - 2])] * 2)
xattrs = st.sampled_from([(), (("user.k", b"v"),), (("user.a", b"\0"), ("user.b", b"="))])


@st.composite
def directories(draw: st.DrawFn) -> list[Entry]:
    """Some directories, as other tools may leave them, with all that they stand in."""
    deepest = draw(st.sets(st.sampled_from(["data", "data/in", "etc/conf.d/x", "srv/a/b"]), min_size=1))
    paths = sorted({above for path in deepest for above in (*ancestors(path), path)})
    return [
        Entry(path, Kind.DIRECTORY, draw(st.sampled_from([0o755, 0o750, 0o1777])), 0, "", 0, draw(xattrs), draw(owners))
        for path in paths
    ]


def stand_on(entries: Sequence[Entry]) -> tuple[MemoryLayerStore, LayerStack]:
    layers = MemoryLayerStore()
    return layers, LayerStack(layers, [StackedLayer(layers.put(canonical_order(entries)).diff_id)])


def copy(files: Files, request: CopyRequest, base: Sequence[Entry]) -> dict[str, Entry]:
    """Return the entries of the layer that a COPY makes on ``base``, as they are read back."""
    layers, rootfs = stand_on(base)
    collector = MemoryContext(files)
    made = steps.copy(collector.collect(request), rootfs, layers).made
    return {entry.path: entry for entry in layers.entries(made.layer.diff_id)} if made.layer else {}


@given(directories())
def test_owners_of_any_number_come_back_from_a_layer(entries: list[Entry]) -> None:
    tar = io.BytesIO()
    write_layer(canonical_order(entries), tar.write)
    tar.seek(0)

    assert list(iter_entries(tar)) == entries


@given(directories(), st.data())
def test_the_parents_of_a_copy_stay_as_they_are(base: list[Entry], data: st.DataObject) -> None:
    into = data.draw(st.sampled_from(base)).path

    layer = copy({"n": "1"}, CopyRequest(("n",), f"{into}/new"), base)

    there = {entry.path: entry for entry in base}
    assert layer.keys() == {*ancestors(into), into, f"{into}/new", f"{into}/new/n"}
    assert {path: layer[path] for path in (*ancestors(into), into)} == {
        path: there[path] for path in (*ancestors(into), into)
    }


@given(directories(), st.data())
def test_a_directory_that_exact_only_fills_stays_as_it_is(base: list[Entry], data: st.DataObject) -> None:
    into = data.draw(st.sampled_from(base)).path
    files: Files = {"conf": Directory(mode=0o700), "conf/a": "1"}

    layer = copy(files, CopyRequest(("conf",), into, exact=True), base)

    assert layer[into] == next(entry for entry in base if entry.path == into)
    assert layer[f"{into}/a"].owner == (0, 0)


@pytest.mark.parametrize("into", ["new", "data/new"])
def test_a_new_directory_that_exact_makes_is_the_source_under_another_name(into: str) -> None:
    files: Files = {"conf": Directory(mode=0o700), "conf/a": "1"}

    layer = copy(files, CopyRequest(("conf",), into, exact=True), [Entry("data", Kind.DIRECTORY, 0o750, owner=(7, 8))])

    assert (layer[into].mode, layer[into].owner) == (0o700, (0, 0))


def test_exact_fills_the_directory_behind_a_symlink_of_the_way() -> None:
    base = [
        Entry("link", Kind.SYMLINK, 0o777, target="real"),
        Entry("real", Kind.DIRECTORY, 0o750, owner=(7, 8)),
        Entry("real/conf", Kind.DIRECTORY, 0o1777, owner=(9, 9)),
    ]

    layer = copy({"c": Directory(mode=0o700), "c/a": "1"}, CopyRequest(("c",), "link/conf", exact=True), base)

    assert [(one.path, one.mode, one.owner) for one in layer.values()] == [
        ("real", 0o750, (7, 8)),
        ("real/conf", 0o1777, (9, 9)),
        ("real/conf/a", 0o644, (0, 0)),
    ]


@given(directories(), st.data())
def test_the_parents_of_what_a_run_wrote_stay_as_they_are(base: list[Entry], data: st.DataObject) -> None:
    into = data.draw(st.sampled_from(base)).path
    layers, rootfs = stand_on([*base, file("old", b"1")])
    with MemoryMounter(layers).mount(rootfs.diff_ids) as mount:
        mount.tree.write(f"{into}/n", b"1")
        changes = [running.with_owner(entry, rootfs) for entry in mount.changes()]

    there = {entry.path: entry for entry in base}
    kept = [entry for entry in changes if entry.kind is Kind.DIRECTORY]
    assert kept == [there[path] for path in (*ancestors(into), into)]
    assert next(entry for entry in changes if entry.path == f"{into}/n").owner == (0, 0)
