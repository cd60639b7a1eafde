"""Areas are sizes, nothing overlaps, and a large tree is summed up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.pages.page import FileNode
from kubeimage.pages.treemap import treemap
from tests.properties.examples import examples


def folder(name: str, *children: FileNode) -> FileNode:
    size, count = sum(child.size for child in children), sum(child.count for child in children)
    return FileNode(name, size, count, "directory", 0, children)


NAMES = st.text("ab", min_size=1, max_size=3)
FILES = st.builds(FileNode, NAMES, st.integers(0, 10_000))
TREES = st.recursive(
    FILES, lambda inner: st.builds(lambda name, below: folder(name, *below), NAMES, st.lists(inner, max_size=6))
)


@examples(0.5)
@given(below=st.lists(TREES, max_size=8), most=st.sampled_from([1, 3, 10, 2_000]))
def test_areas_are_sizes_and_fill_the_whole(below: list[FileNode], most: int) -> None:
    root = folder("", *below)

    found = treemap(root, 100, 40, most=most)

    assert len(found) <= most
    assert sum(one.size for one in found) == root.size
    for one in found:
        assert one.width * one.height == pytest.approx(4000 * one.size / root.size, rel=1e-6)
        assert -1e-6 <= one.x <= 100 - one.width + 1e-6
        assert -1e-6 <= one.y <= 40 - one.height + 1e-6


@examples(0.5)
@given(below=st.lists(TREES, min_size=1, max_size=6))
def test_rectangles_do_not_overlap(below: list[FileNode]) -> None:
    found = treemap(folder("", *below), 100, 40)

    for number, one in enumerate(found):
        for other in found[:number]:
            apart_x = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            apart_y = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert min(apart_x, apart_y) <= 1e-6, (one, other)


def test_a_tree_without_bytes_has_no_rectangles() -> None:
    assert treemap(folder("", FileNode("empty", 0)), 100, 40) == []


def test_of_fifty_thousand_files_folders_stand_for_what_does_not_fit() -> None:
    root = folder(
        "", *(folder(f"d{number}", *(FileNode(f"f{one}", 10) for one in range(50))) for number in range(1_000))
    )

    found = treemap(root, 1000, 400)

    assert len(found) <= 2_000
    assert sum(one.summed or 1 for one in found) == root.count == 50_000
