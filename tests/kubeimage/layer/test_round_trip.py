"""What holds for any trees: packed, read, compared and unpacked they stay what they are."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyfakefs.fake_filesystem import FakeFilesystem

from kubeimage.disk.removal import remove_tree
from kubeimage.layer.apply import apply_changeset
from kubeimage.layer.diff import diff_trees
from kubeimage.layer.entry import Entry, FileIdentity, Kind, directory, file, symlink, whiteout
from kubeimage.layer.reader import iter_contents
from kubeimage.layer.tree import Tree
from kubeimage.layer.writer import write_layer
from tests.kubeimage.layer.conftest import Scan

names = st.sampled_from(["a", "a.b", "b", "-x", ".c", "é", "x y", "n" * 60])
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
modes = st.sampled_from([0o644, 0o755, 0o600, 0o4711, 0o1777, 0o555, 0o000])
mtimes = st.sampled_from([0, 1, 2**33])
files = st.builds(
    lambda path, content, mode, mtime: file(path, content, mode)._replace(mtime=mtime),
    paths,
    st.binary(max_size=3) | st.integers(500, 1100).map(bytes),
    modes,
    mtimes,
)
entries = st.one_of(
    files,
    st.builds(directory, paths, modes),
    st.builds(symlink, paths, st.sampled_from(["a", "../b", "/etc", "é", "n" * 101])),
    st.builds(lambda path, mode: Entry(path, Kind.FIFO, mode), paths, modes),
)
edits = st.lists(entries | paths, max_size=12)


def edit(tree: Tree, changes: list[Entry | str]) -> Tree:
    """Add entries to a tree, and remove paths from it."""
    for change in changes:
        if isinstance(change, str):
            tree.remove(change)
        else:
            tree.add(change)
    return tree


trees = st.builds(edit, st.builds(Tree), edits)


def looks(tree: Mapping[str, Entry] | Tree) -> Mapping[str, Entry]:
    """A tree without what no layer keeps: where contents come from."""
    return {path: entry._replace(mtime=0, digest=None, identity=None) for path, entry in tree.items()}


def pack(changeset: list[Entry]) -> io.BytesIO:
    tar = io.BytesIO()
    write_layer(changeset, tar.write)
    tar.seek(0)
    return tar


def unpack(tar: BinaryIO) -> Iterator[Entry]:
    """The entries of a tar, with their contents."""
    for entry, content in iter_contents(tar):
        yield entry._replace(source=content.read()) if content and entry.kind is Kind.FILE else entry


def content_of(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    content = archive.extractfile(member)
    assert content is not None
    return content.read()


def link_some(tree: Tree, chosen: list[str]) -> Mapping[str, Entry]:
    """Make hard links of some files, as the mapping that a tree with links is."""
    linked = dict(tree)
    firsts: dict[str, Entry] = {}
    for path in chosen:
        if path in linked and linked[path].kind is Kind.FILE:
            first = firsts.setdefault("first", linked[path])
            if first.path != path:
                linked[path] = Entry(path, Kind.HARDLINK, first.mode, target=first.path, mtime=first.mtime)
    return linked


def resolve(linked: Mapping[str, Entry]) -> Mapping[str, Entry]:
    return {
        path: linked[entry.target]._replace(path=path) if entry.kind is Kind.HARDLINK else entry
        for path, entry in linked.items()
    }


@contextmanager
def scratch() -> Iterator[str]:
    path = tempfile.mkdtemp()
    try:
        yield path
    finally:
        remove_tree(path)


def on_disk(tree: Tree) -> Mapping[str, tuple[str, int, bytes | str | None, Mapping[str, Any]]]:
    """What ``scan`` finds where ``tree`` was unpacked."""
    return {
        path: (
            entry.kind.value,
            entry.mode,
            entry.source if entry.kind is Kind.FILE else entry.target or None,
            {},
        )
        for path, entry in tree.items()
    }


@given(trees, edits)
def test_a_changeset_is_read_as_it_was_written(before: Tree, changes: list[Entry | str]) -> None:
    changeset = diff_trees(before, edit(before.copy(), changes))

    assert list(unpack(pack(changeset))) == changeset


@given(trees, edits)
def test_a_diff_applied_to_what_was_gives_what_is(before: Tree, changes: list[Entry | str]) -> None:
    after = edit(before.copy(), changes)

    result = before.copy()
    result.apply(unpack(pack(diff_trees(before, after))))

    assert looks(result) == looks(after)


@given(trees, edits, st.lists(paths, max_size=5))
def test_a_diff_with_hard_links_applied_to_what_was_gives_what_is(
    before: Tree, changes: list[Entry | str], chosen: list[str]
) -> None:
    after = link_some(edit(before.copy(), changes), chosen)

    result = before.copy()
    result.apply(unpack(pack(diff_trees(before, after))))

    assert looks(result) == looks(resolve(after))


@given(trees)
def test_a_tree_has_no_diff_to_itself(tree: Tree) -> None:
    assert diff_trees(tree, tree.copy()) == []


@given(trees, st.data())
def test_a_layer_does_not_depend_on_the_order_of_a_mapping(tree: Tree, data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(tree.items()))))

    assert pack(diff_trees({}, shuffled)).getvalue() == pack(diff_trees({}, tree)).getvalue()


@given(trees, edits)
def test_layers_applied_on_disk_give_the_merged_tree(scan: Scan, before: Tree, changes: list[Entry | str]) -> None:
    after = edit(before.copy(), changes)
    with scratch() as root:
        apply_changeset(root, pack(diff_trees({}, before)))
        apply_changeset(root, pack(diff_trees(before, after)))

        found = scan(root)

    assert found == on_disk(after)


@given(trees)
def test_pythons_tarfile_reads_every_layer(tree: Tree) -> None:
    changeset = diff_trees({}, tree)

    with tarfile.open(fileobj=pack(changeset)) as archive:
        found = [(m.name, m.mode, m.mtime, m.linkname, m.size and content_of(archive, m)) for m in archive]

    assert found == [(e.path, e.mode, e.mtime, e.target, e.size and e.source) for e in changeset]


def every_kind() -> tuple[Tree, Mapping[str, Entry]]:
    """A tree with all that tools differ in: long and foreign names, links, modes, types."""
    tree = Tree(
        [
            directory("d", 0o755),
            directory("d/sticky", 0o1777),
            directory("x" * 60 + "/" + "y" * 60, 0o711),
            # Not setuid: for an ordinary user bsdtar leaves that off a file that is not theirs in the archive.
            file("d/f", b"content\n" * 200, 0o751),
            file("d/é", b"", 0o600),
            file("x" * 60 + "/" + "y" * 60 + "/" + "z" * 150, b"deep", 0o444),
            file("n" * 101, b"long", 0o640),
            file("old", b"", 0o644)._replace(mtime=2**33),
            symlink("s", "t" * 150),
            symlink("é-link", "é/ü"),
            Entry("p", Kind.FIFO, 0o622),
        ]
    )
    linked = dict(tree)
    linked["d/link"] = Entry("d/link", Kind.HARDLINK, 0o751, target="d/f")
    return tree, linked


TOOLS = {
    "tar": ["tar", "-x", "-p", "--same-owner", "-f"],
    "bsdtar": ["bsdtar", "-x", "-p", "-f"],
}


@pytest.mark.parametrize("tool", [pytest.param(tool, marks=pytest.mark.needs(tool)) for tool in TOOLS])
def test_tools_unpack_what_was_packed(tmp_path: Path, scan: Scan, tool: str) -> None:
    tree, linked = every_kind()
    layer = tmp_path / "layer.tar"
    layer.write_bytes(pack(diff_trees({}, linked)).getvalue())
    root = tmp_path / "root"
    root.mkdir()
    command = [argument for argument in TOOLS[tool] if os.geteuid() == 0 or argument != "--same-owner"]

    subprocess.run([*command, layer, "-C", root], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})

    tree.add(tree["d/f"]._replace(path="d/link"))
    assert scan(root) == on_disk(tree)
    assert os.stat(root / "d/f").st_ino == os.stat(root / "d/link").st_ino
    assert os.stat(root / "old").st_mtime == 2**33


PACKERS = {
    "gnu": ["tar", "--format=gnu", "-cf"],
    "posix": ["tar", "--format=posix", "-cf"],
    "bsdtar": ["bsdtar", "-cf"],
    "bsdtar gnu": ["bsdtar", "--format=gnutar", "-cf"],
}


@pytest.mark.parametrize(
    "packer", [pytest.param(packer, marks=pytest.mark.needs(PACKERS[packer][0])) for packer in PACKERS]
)
def test_what_tools_pack_is_read(tmp_path: Path, scan: Scan, packer: str) -> None:
    tree, linked = every_kind()
    root = tmp_path / "root"
    root.mkdir()
    apply_changeset(str(root), pack(diff_trees({}, linked)))
    layer = tmp_path / "layer.tar"

    subprocess.run([*PACKERS[packer], layer, "-C", root, "."], check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    with layer.open("rb") as stream:
        found = Tree(unpack(stream))

    tree.add(tree["d/f"]._replace(path="d/link"))
    assert on_disk(found) == on_disk(tree)


def test_pyfakefs_can_stand_under_all_of_it(fs: FakeFilesystem) -> None:
    """The harness runs the real parts on a fake file system; what it cannot fake would touch the real one."""
    fs.create_file("/context/small", contents=b"s" * 1000)
    fs.create_file("/context/large", contents=b"l" * 2_000_000)
    fs.create_dir("/root")
    changeset = [
        directory("d", 0o555),
        Entry("d/large", Kind.FILE, 0o4755, 2_000_000, source="/context/large", identity=identity("/context/large")),
        Entry("d/link", Kind.HARDLINK, target="d/large"),
        Entry("d/small", Kind.FILE, size=1000, source="/context/small", identity=identity("/context/small")),
        symlink("s", "d/small"),
    ]

    apply_changeset("/root", pack(changeset))
    apply_changeset("/root", pack([directory("d", 0o555), whiteout("d/small")]))

    assert sorted(os.listdir("/root/d")) == ["large", "link"]
    assert os.stat("/root/d/link").st_mode & 0o7777 == 0o4755
    assert os.readlink("/root/s") == "d/small"
    remove_tree("/root")
    assert not os.path.exists("/root")


def identity(path: str) -> FileIdentity:
    status = os.stat(path)
    return FileIdentity(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)


def test_a_large_file_takes_the_way_through_disk_unchanged(tmp_path: Path, scan: Scan) -> None:
    content = os.urandom(3_000_001)
    (tmp_path / "large").write_bytes(content)
    (tmp_path / "root").mkdir()
    layer = tmp_path / "layer.tar"
    entry = Entry("f", Kind.FILE, size=len(content), source=str(tmp_path / "large"))

    with layer.open("wb") as stream:
        written = write_layer([entry], stream.write)
    with layer.open("rb") as stream:
        apply_changeset(str(tmp_path / "root"), stream)

    assert written.diff_id.hex == hashlib.sha256(layer.read_bytes()).hexdigest()
    assert scan(tmp_path / "root")["f"][2] == content
    shutil.rmtree(tmp_path / "root")
