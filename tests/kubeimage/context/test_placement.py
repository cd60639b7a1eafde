"""Where things land, and how trees are merged, as pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeimage.context.placement import (
    Match,
    PlacedTree,
    Placement,
    directories_above,
    filled_directory,
    merge,
    place,
    resolve_destination,
)
from kubeimage.errors import DestinationError
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, file, symlink
from kubeimage.protocols.context import CopyRequest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", ""),
        ("/", ""),
        ("./", ""),
        ("a/..", ""),
        ("a", "a"),
        ("/a/", "a"),
        ("./a//b/.", "a/b"),
        ("a/../b", "b"),
        ("a/b/../../c", "c"),
        ("...", "..."),
        ("a b/ ü ", "a b/ ü "),
        ("a*[b]", "a*[b]"),
        (".whx", ".whx"),
    ],
)
def test_all_ways_to_write_a_destination_are_one(text: str, expected: str) -> None:
    assert resolve_destination(text) == expected


@given(st.text(alphabet="./ab", min_size=1))
def test_a_destination_is_resolved_once_and_for_all(text: str) -> None:
    try:
        path = resolve_destination(text)
    except DestinationError:
        return

    assert resolve_destination(path or ".") == path
    assert not {"", ".", ".."} & set(path.split("/")) or path == ""


FILE, FOLDER = Match("src/app", is_directory=False), Match("src/app", is_directory=True)


@pytest.mark.parametrize(
    ("matches", "destination", "exact", "expected"),
    [
        ([FILE], "x", False, [("src/app", "x/app", False)]),
        ([FILE], "x/app", False, [("src/app", "x/app", False)]),
        ([FILE, FILE], "x/app", False, [("src/app", "x/app/app", False)] * 2),
        ([FILE._replace(listed=True)], "app", False, [("src/app", "app/app", False)]),
        ([FOLDER._replace(contents=True)], "app", False, [("src/app", "app", True)]),
        ([FILE], "x/y", True, [("src/app", "x/y", False)]),
        ([FILE._replace(listed=True)], "x/y", True, [("src/app", "x/y", False)]),
        ([FOLDER], "x/y", True, [("src/app", "x/y", False)]),
        ([FOLDER], ".", True, [("src/app", "", True)]),
    ],
)
def test_matches_are_placed(matches: list[Match], destination: str, exact: bool, expected: list[object]) -> None:
    assert place(matches, CopyRequest((), destination, exact)) == expected


@pytest.mark.parametrize(
    ("placement", "path", "origin"),
    [
        (Placement("a/b", "x/b", contents=False), "x/b", "a/b"),
        (Placement("a/b", "x/b", contents=False), "x/b/c/d", "a/b/c/d"),
        (Placement("a/b", "x", contents=True), "x/c", "a/b/c"),
        (Placement("a/b", "", contents=True), "c/d", "a/b/c/d"),
        (Placement("", "x", contents=True), "x/c", "c"),
        (Placement("", "", contents=True), "c", "c"),
    ],
)
def test_a_path_in_the_image_leads_back_to_the_context(placement: Placement, path: str, origin: str) -> None:
    assert placement.origin(path) == origin


@pytest.mark.parametrize(
    ("exact", "contents", "entries", "expected"),
    [
        (True, False, [directory("x"), file("x/f", b"")], "x"),
        (False, False, [directory("x"), file("x/f", b"")], None),
        (True, True, [directory("x"), file("x/f", b"")], None),
        (True, False, [file("x", b"")], None),
        (True, False, [directory("y")], None),
        (True, False, [], None),
        (True, True, [], None),
    ],
)
def test_the_directory_that_is_filled(exact: bool, contents: bool, entries: list[Entry], expected: str | None) -> None:
    placements = [Placement("src", "x", contents=contents)]

    assert filled_directory(CopyRequest((), "x", exact), placements, entries) == expected


def test_nothing_placed_needs_no_directories() -> None:
    assert directories_above([]) == ()


def tree(source: str, *entries: Entry, inodes: dict[str, int] | None = None) -> PlacedTree:
    return PlacedTree(Placement(source, "", contents=True), entries, inodes or {})


def test_merging_keeps_the_canonical_order() -> None:
    merged = merge([tree("1", file("b", b""), file("d/x", b"")), tree("2", file("a", b""), file("c", b""))])

    assert [entry.path for entry in merged] == ["a", "b", "c", "d/x"]


@pytest.mark.parametrize(
    ("first", "second"),
    [(file("p", b""), directory("p")), (directory("p"), file("p", b"")), (directory("p"), symlink("p", "x"))],
)
def test_a_directory_and_anything_else_cannot_share_a_path(first: Entry, second: Entry) -> None:
    with pytest.raises(DestinationError, match="both at 'p'") as caught:
        merge([tree("one", first), tree("two", second)])

    assert "'one/p'" in caught.value.message
    assert "'two/p'" in caught.value.message


ENTRIES = st.lists(
    st.one_of(
        st.builds(file, st.sampled_from("abcd"), st.binary(max_size=1)),
        st.builds(symlink, st.sampled_from("abcd"), st.sampled_from("xy")),
        st.builds(directory, st.sampled_from(["dir", "dir/sub"]), st.sampled_from([0o755, 0o700])),
    ),
    unique_by=lambda entry: entry.path,
).map(canonical_order)


@given(st.lists(ENTRIES, min_size=1, max_size=4))
def test_the_last_tree_that_has_a_path_decides_it(layers: list[list[Entry]]) -> None:
    merged = merge([tree(str(number), *entries) for number, entries in enumerate(layers)])

    assert merged == canonical_order({entry.path: entry for entries in layers for entry in entries}.values())


@given(ENTRIES)
def test_a_tree_merged_with_itself_is_itself(entries: list[Entry]) -> None:
    assert merge([tree("1", *entries), tree("1", *entries)]) == entries


def test_one_file_under_two_names_is_a_file_and_a_link_to_it() -> None:
    one = tree("1", file("b", b"x", 0o600), inodes={"b": 7})
    other = tree("2", file("a", b"x", 0o600), file("c", b"x"), inodes={"a": 7, "c": 8})

    assert merge([one, other]) == [
        file("a", b"x", 0o600),
        Entry("b", Kind.HARDLINK, 0o600, target="a"),
        file("c", b"x"),
    ]


def test_one_name_that_lands_on_two_places_is_two_files_whatever_else_is_linked() -> None:
    """As COPY d d/sub . does it, which copies d/sub twice."""
    twice = [
        PlacedTree(Placement("d/sub", place, contents=True), (file(f"{place}/c", b"x"),), {f"{place}/c": 8})
        for place in ("one", "two")
    ]
    linked = [tree("1", file("b", b"x"), inodes={"b": 7}), tree("2", file("a", b"x"), inodes={"a": 7})]

    kinds = {entry.path: entry.kind for entry in merge([*twice, *linked])}

    assert kinds == {"a": Kind.FILE, "b": Kind.HARDLINK, "one/c": Kind.FILE, "two/c": Kind.FILE}
