from collections.abc import Mapping
from typing import Any

import pytest

from kubeimage.layer.diff import diff_trees, with_parents
from kubeimage.layer.entry import Entry, Kind, directory, file, opaque, symlink, whiteout


def tree(*entries: Entry) -> Mapping[str, Entry]:
    return {entry.path: entry for entry in entries}


D, X, Y = directory("d"), file("d/x", b"X"), file("d/y", b"Y")
E, Z = directory("d/e"), file("d/e/z", b"Z")


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ([], [], []),
        ([D, X], [D, X], []),
        ([], [D, X], [D, X]),
        ([D, X], [D._replace(mtime=9), X._replace(mtime=9)], []),
        ([D], [D, X], [D, X]),
        ([D, X, Y], [D, X], [D, whiteout("d/y")]),
        ([D, X, Y], [D], [D, whiteout("d/x"), whiteout("d/y")]),
        ([D, X, Y], [], [whiteout("d")]),
        ([D, E, Z], [D], [D, whiteout("d/e")]),
        ([D, E, Z], [D, E], [D, E, whiteout("d/e/z")]),
        ([D, X], [file("d", b"")], [file("d", b"")]),
        ([D, E, Z], [symlink("d", "e")], [symlink("d", "e")]),
        ([file("d", b"")], [D, X], [D, X]),
        ([D, E, Z], [D, file("d/e", b"")], [D, file("d/e", b"")]),
        ([D], [directory("d", 0o700)], [directory("d", 0o700)]),
        ([X], [file("d/x", b"X", 0o600)], [directory("d"), file("d/x", b"X", 0o600)]),
        ([D, X], [D, file("d/x", b"x")], [D, file("d/x", b"x")]),
        ([D, X], [D, file("d/x", b"longer")], [D, file("d/x", b"longer")]),
        ([symlink("l", "a")], [symlink("l", "b")], [symlink("l", "b")]),
        ([symlink("l", "a")], [symlink("l", "a")], []),
        ([Entry("p", Kind.FIFO)], [Entry("p", Kind.FIFO)], []),
        ([D, E, Z], [directory("d", 0o500), E, Z], [directory("d", 0o500)]),
        ([D, E, Z], [directory("d", 0o500), E, file("d/e/z", b"")], [directory("d", 0o500), E, file("d/e/z", b"")]),
        ([D], [D._replace(xattrs=(("user.a", b""),))], [D._replace(xattrs=(("user.a", b""),))]),
        (
            [D._replace(xattrs=(("user.a", b""), ("user.b", b"")))],
            [D._replace(xattrs=(("user.b", b""), ("user.a", b"")))],
            [],
        ),
    ],
)
def test_a_diff_says_what_changed_and_no_more(lower: list[Entry], upper: list[Entry], expected: list[Entry]) -> None:
    assert diff_trees(tree(*lower), tree(*upper)) == expected


def link(path: str, target: str, **fields: Any) -> Entry:
    return Entry(path, Kind.HARDLINK, 0o644, target=target, **fields)


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ([], [file("a", b""), link("b", "a")], [file("a", b""), link("b", "a")]),
        ([], [file("b", b""), link("a", "b")], [file("a", b""), link("b", "a")]),
        ([file("a", b"")], [file("a", b""), link("b", "a")], [file("b", b"")]),
        ([file("b", b"")], [file("b", b""), link("a", "b"), link("c", "b")], [file("a", b""), link("c", "a")]),
        ([file("a", b""), file("b", b"")], [file("a", b""), link("b", "a")], []),
        ([file("a", b""), link("b", "a")], [file("a", b"1"), link("b", "a")], [file("a", b"1"), link("b", "a")]),
        ([file("a", b""), link("b", "a")], [file("a", b"1"), file("b", b"")], [file("a", b"1")]),
        ([file("a", b""), link("b", "a")], [file("b", b"")], [whiteout("a")]),
    ],
    ids=[
        "new files",
        "the first name comes first",
        "to an unchanged file",
        "two to an unchanged file",
        "linked afterwards",
        "changed together",
        "parted",
        "first name removed",
    ],
)
def test_hard_links_are_told_among_what_changed(lower: list[Entry], upper: list[Entry], expected: list[Entry]) -> None:
    assert diff_trees(tree(*lower), tree(*upper)) == expected


def test_contents_are_compared_by_digest_where_it_is_known() -> None:
    known = Entry("f", Kind.FILE, size=1, digest=b"1" * 32)

    assert diff_trees(tree(known), tree(known._replace(source=b"x"))) == []
    assert diff_trees(tree(known), tree(known._replace(digest=b"2" * 32))) != []


def test_unread_contents_are_never_taken_for_equal() -> None:
    unread = Entry("f", Kind.FILE, size=1, source="/somewhere")

    with pytest.raises(ValueError, match="nobody has read"):
        diff_trees(tree(unread), tree(unread))


def test_contents_are_compared_only_where_all_else_is_equal() -> None:
    asked = []
    lower = tree(file("a", b"1"), file("b", b"1"), file("c", b"1"), file("d", b"1"))
    upper = tree(file("a", b"2"), file("b", b"22"), file("c", b"1", 0o600), symlink("d", "e"), file("e", b"1"))

    def ask(old: Entry, new: Entry) -> bool:
        asked.append((old.path, new.path))
        return True

    diff_trees(lower, upper, same_content=ask)

    assert asked == [("a", "a")]


def test_parents_of_changes_come_from_the_tree_and_stand_once() -> None:
    below = tree(directory("a", 0o700), directory("a/b", 0o711), symlink("l", "a"))
    changes = [file("a/b/c", b""), whiteout("a/b/d"), opaque("a/e"), file("l/x", b""), directory("a/b", 0o755)]

    parents = with_parents(changes, below)

    assert {entry.path: entry for entry in parents if entry.kind is Kind.DIRECTORY} == tree(
        directory("a", 0o700), directory("a/b", 0o755), directory("a/e"), directory("l")
    )
    assert len(parents) == 8
