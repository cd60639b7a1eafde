"""A stack of layers: merged when somebody asks, each layer read once."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.fakes.stores import MemoryLayerStore
from kubeimage.errors import BlobNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, file, symlink, whiteout, with_digest
from kubeimage.layer.stack import LayerStack, StackedLayer

NAMES = st.sampled_from("abcd")
LAYERS = st.lists(st.dictionaries(NAMES, st.none() | st.binary(max_size=3)), max_size=4)


class Watched(MemoryLayerStore):
    """A store that counts how often each layer is read."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: Counter[Digest] = Counter()
        self.listed: Counter[Digest] = Counter()

    def open(self, diff_id: Digest) -> BinaryIO:
        self.opened[diff_id] += 1
        return super().open(diff_id)

    def entries(self, diff_id: Digest) -> Iterator[Entry]:
        self.listed[diff_id] += 1
        return super().entries(diff_id)


def put(store: MemoryLayerStore, *entries: Entry) -> StackedLayer:
    return StackedLayer(store.put(canonical_order(entries)).diff_id)


@given(LAYERS, st.data())
def test_contents_and_layers_are_those_of_the_topmost(
    layers: list[dict[str, bytes | None]], data: st.DataObject
) -> None:
    store = Watched()
    stack = LayerStack(store)
    expected: dict[str, tuple[bytes, Digest]] = {}
    pushed: list[Digest] = []
    for number, files in enumerate(layers):
        # A file that no other layer has makes the digests differ.
        entries = [whiteout(name) if content is None else file(name, content) for name, content in files.items()]
        layer = put(store, *entries, file(f"only{number}", b""))
        stack.push(layer if data.draw(st.booleans()) else StackedLayer(layer.diff_id, [*store.entries(layer.diff_id)]))
        if data.draw(st.booleans()):
            assert len(stack.tree) >= number
        for name, content in files.items():
            expected.pop(name, None)
            if content is not None:
                expected[name] = content, layer.diff_id
        pushed.append(layer.diff_id)
        assert stack.diff_ids == pushed
    assert set(stack.tree) == {*expected, *(f"only{number}" for number in range(len(layers)))}
    store.opened.clear()

    contents = {path: content.read() for path, content in stack.contents(expected)}

    assert contents == {path: content for path, (content, _) in expected.items()}
    assert {path: stack.layer_of(path) for path in expected} == {path: layer for path, (_, layer) in expected.items()}
    assert stack.digests(expected) == {path: hashlib.sha256(one).digest() for path, one in contents.items()}
    assert all(count == 2 for count in store.opened.values())


def test_nothing_is_read_before_somebody_asks_and_nothing_that_is_known() -> None:
    store = Watched()
    below, above = put(store, file("a", b"1")), put(store, file("b", b"2"))
    stack = LayerStack(store, [below])
    stack.push(StackedLayer(above.diff_id, [file("b", b"2")]))

    assert stack.diff_ids == [below.diff_id, above.diff_id]
    assert not store.opened
    assert not store.listed

    assert set(stack.tree) == set(stack.tree) == {"a", "b"}
    assert store.listed == Counter([below.diff_id])


def test_what_is_no_file_has_no_content_and_a_hard_link_has_its_first_file_s() -> None:
    store = Watched()
    linked = Entry("b", Kind.HARDLINK, 0o644, target="a")
    stack = LayerStack(store, [put(store, file("a", b"1"), linked, directory("d"), symlink("s", "a"))])

    assert {path: content.read() for path, content in stack.contents(["a", "b", "d", "s"])} == {"a": b"1", "b": b"1"}


def test_a_layer_that_is_missing_is_asked_for_again() -> None:
    store = Watched()
    below, late = put(store, file("a", b"1")), [file("b", b"2")]
    missing = put(MemoryLayerStore(), *late)
    stack = LayerStack(store, [below, missing])
    with pytest.raises(BlobNotFoundError):
        assert stack.tree

    store.put(late)

    assert set(stack.tree) == {"a", "b"}
    assert stack.layer_of("b") == missing.diff_id
    assert store.listed[below.diff_id] == 1


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (file("a", b"1"), True),
        (file("a", b"2"), False),
        (file("a", b"1", 0o600), False),
        (file("c", b"1"), False),
        (Entry("b", Kind.HARDLINK, 0o644, target="a"), True),
        (symlink("a", "b"), False),
    ],
)
def test_a_stack_holds_what_is_alike_in_all_but_times(entry: Entry, expected: bool) -> None:
    store = MemoryLayerStore()
    stack = LayerStack(store, [put(store, file("a", b"1"), file("b", b"1"))])
    first = with_digest(file("a", b"1"), hashlib.sha256(b"1").digest())
    content = entry.source if isinstance(entry.source, bytes) else b""
    asked = with_digest(entry, hashlib.sha256(content).digest()) if entry.kind is Kind.FILE else entry

    assert stack.holds([first, asked] if entry.kind is Kind.HARDLINK else [asked]) is expected
