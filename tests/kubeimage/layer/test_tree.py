from collections.abc import Mapping

import pytest

from kubeimage.errors import DestinationError, LayerFormatError
from kubeimage.layer.entry import Entry, Kind, directory, file, opaque, symlink, whiteout
from kubeimage.layer.tree import Tree


def stack(*changesets: list[Entry]) -> Tree:
    tree = Tree()
    for layer, changeset in enumerate(changesets):
        tree.apply(changeset, layer)
    return tree


def shape(tree: Tree) -> Mapping[str, object]:
    """Path -> kind or content, as short as it can be told."""
    return {path: entry.source if entry.kind is Kind.FILE else entry.kind.value for path, entry in tree.items()}


A, B = file("a", b"A"), file("b", b"B")
D = [directory("d"), file("d/x", b"X"), file("d/y", b"Y")]


@pytest.mark.parametrize(
    ("changesets", "expected"),
    [
        ([[A], [B]], {"a": b"A", "b": b"B"}),
        ([[A], [file("a", b"new")]], {"a": b"new"}),
        ([[A, B], [whiteout("a")]], {"b": b"B"}),
        ([[A], [whiteout("b")]], {"a": b"A"}),
        ([D, [whiteout("d")]], {}),
        ([D, [directory("d"), whiteout("d/x")]], {"d": "directory", "d/y": b"Y"}),
        ([D, [opaque("d")]], {"d": "directory"}),
        ([D, [opaque("d"), file("d/x", b"new")]], {"d": "directory", "d/x": b"new"}),
        ([D, [file("d/x", b"new"), opaque("d")]], {"d": "directory", "d/x": b"new"}),
        ([D, [file("d/x", b"new"), whiteout("d/x")]], {"d": "directory", "d/x": b"new", "d/y": b"Y"}),
        ([D, [directory("d"), file("d/x", b"new"), whiteout("d")]], {"d": "directory", "d/x": b"new"}),
        ([[A, *D], [opaque(""), B]], {"b": b"B"}),
        ([D, [directory("d", 0o700)]], {"d": "directory", "d/x": b"X", "d/y": b"Y"}),
        ([D, [file("d", b"now a file")]], {"d": b"now a file"}),
        ([D, [symlink("d", "e")]], {"d": "symlink"}),
        ([[A], [directory("a"), file("a/b", b"")]], {"a": "directory", "a/b": b""}),
        ([[A], [file("a/b/c", b"")]], {"a": "directory", "a/b": "directory", "a/b/c": b""}),
        ([[symlink("lib", "usr/lib")], [file("lib/x", b"")]], {"lib": "directory", "lib/x": b""}),
        ([[symlink("lib", "usr/lib")], [whiteout("lib/x")]], {"lib": "directory"}),
        ([D, [file("d", b"f")], [directory("d")]], {"d": "directory"}),
        ([D, [whiteout("d")], D[:2]], {"d": "directory", "d/x": b"X"}),
        ([[file("a/b", b""), file("a.b", b"")], [whiteout("a")]], {"a.b": b""}),
    ],
)
def test_layers_merge(changesets: list[list[Entry]], expected: Mapping[str, bytes | str]) -> None:
    assert shape(stack(*changesets)) == expected


def test_a_tree_knows_which_layer_put_each_path_there() -> None:
    tree = stack([*D, A], [directory("d"), file("d/x", b"new")], [file("e/f", b"")])

    assert {path: tree.layer_of(path) for path in tree} == {"d": 1, "d/x": 1, "d/y": 0, "a": 0, "e": 2, "e/f": 2}


def test_children_are_sorted_names() -> None:
    tree = stack([file("d/b", b""), file("d/a", b""), file("d/c/e", b""), A], [whiteout("d/b")])

    assert (tree.children(""), tree.children("d"), tree.children("a"), tree.children("no")) == (
        ["a", "d"],
        ["a", "c"],
        [],
        [],
    )


def test_a_hard_link_is_a_file_of_its_own_that_outlives_its_first_name() -> None:
    link = Entry("l", Kind.HARDLINK, target="a")
    tree = stack([A, link], [file("a", b"changed")])

    assert tree["l"] == A._replace(path="l")
    assert tree["a"].source == b"changed"


def test_a_hard_link_to_nothing_is_refused() -> None:
    with pytest.raises(LayerFormatError, match="leads to 'no'"):
        stack([Entry("l", Kind.HARDLINK, target="no")])


def test_a_path_that_is_not_there_has_no_entry_and_no_layer() -> None:
    tree = stack([A])

    assert tree.get("b") is None
    with pytest.raises(KeyError):
        tree.layer_of("b")


def test_a_copy_changes_alone() -> None:
    tree = stack(D)
    twin = tree.copy()

    twin.remove("d/x")
    twin.add(A)

    assert set(tree) == {"d", "d/x", "d/y"}
    assert set(twin) == {"d", "d/y", "a"}
    assert tree.children("d") == ["x", "y"]


LINKS = [
    directory("usr"),
    directory("usr/lib"),
    file("usr/file", b""),
    Entry("fifo", Kind.FIFO),
    symlink("lib", "usr/lib"),
    symlink("abs", "/usr/lib"),
    symlink("usr/abs", "/usr/lib"),
    symlink("usr/up", "../lib"),
    symlink("usr/far", "../../../../../usr"),
    symlink("usr/here", "."),
    symlink("dangling", "new/place"),
    symlink("to-file", "usr/file"),
    symlink("me", "me"),
    symlink("ping", "pong"),
    symlink("pong", "ping"),
    symlink("root", "/"),
]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", ""),
        ("/", ""),
        (".", ""),
        ("usr/lib", "usr/lib"),
        ("/usr/./lib//", "usr/lib"),
        ("lib", "usr/lib"),
        ("lib/x/y", "usr/lib/x/y"),
        ("abs/x", "usr/lib/x"),
        ("usr/abs/x", "usr/lib/x"),
        ("usr/up/x", "usr/lib/x"),
        ("usr/far/lib", "usr/lib"),
        ("usr/here/here/lib", "usr/lib"),
        ("root/root/usr", "usr"),
        ("new/x", "new/x"),
        ("new/../usr", "usr"),
        ("dangling/x", "new/place/x"),
        ("lib/..", "usr"),
        ("../../usr", "usr"),
        ("..", ""),
    ],
)
def test_a_directory_is_resolved_inside_the_root(path: str, expected: str) -> None:
    assert Tree(LINKS).resolve_directory(path) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("usr/file", "'usr/file', which is a file"),
        ("usr/file/x", "'usr/file', which is a file"),
        ("to-file/x", "'usr/file', which is a file"),
        ("fifo/x", "'fifo', which is a fifo"),
        ("me", "round in circles"),
        ("ping/x", "round in circles"),
    ],
)
def test_a_way_that_leads_to_no_directory_is_named(path: str, message: str) -> None:
    with pytest.raises(DestinationError, match=message):
        Tree(LINKS).resolve_directory(path)


def test_forty_symlinks_are_followed_and_no_more() -> None:
    chain = [symlink(f"l{number}", f"l{number + 1}") for number in range(50)]

    assert Tree(chain).resolve_directory("l10") == "l50"
    with pytest.raises(DestinationError):
        Tree(chain).resolve_directory("l9")


def test_removing_directories_from_a_large_tree_looks_only_at_what_goes() -> None:
    """A stand-in for a clock: with a scan of the whole tree for each, this takes minutes."""
    tree = Tree(file(f"d{number % 5000}/f{number}", b"") for number in range(50_000))

    for number in range(5000):
        tree.remove(f"d{number}")

    assert not tree
