import errno
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Never

import pytest

from kubeimage.disk.removal import remove_tree
from kubeimage.errors import (
    KubeimageError,
    LayerFormatError,
    LayerTooLargeError,
    PathEscapeError,
    StoreAccessError,
    StoreFullError,
)
from kubeimage.layer.apply import apply_changeset, unpack_snapshot
from kubeimage.layer.entry import Entry, Kind, canonical_order, directory, file, opaque, symlink, whiteout
from kubeimage.layer.writer import write_layer
from tests.kubeimage.layer.conftest import Scan

AS_ROOT = os.geteuid() == 0


Member = tuple[str, bytes] | tuple[str, bytes, str]


def tar(*entries: Entry) -> io.BytesIO:
    """A layer with these entries and the directories they name, in canonical order."""
    layer = io.BytesIO()
    write_layer(canonical_order(entries), layer.write)
    layer.seek(0)
    return layer


def unordered(*members: Member) -> io.BytesIO:
    """A tar as another tool might write it: (name, content) for a file, (name, type, target) for the rest."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, *target in members:
            info = tarfile.TarInfo(name)
            if target:
                info.type, info.linkname = content, *target
                archive.addfile(info)
            else:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    layer.seek(0)
    return layer


@pytest.fixture
def root(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "root"
    path.mkdir()
    yield str(path)
    remove_tree(str(path))


EVERY_KIND = [
    directory("d", 0o755)._replace(mtime=5),
    directory("d/closed", 0o000),
    file("d/closed/f", b"inside", 0o400),
    directory("d/read-only", 0o555)._replace(mtime=6),
    file("d/read-only/f", b"x", 0o644),
    directory("d/sticky", 0o1777),
    file("setuid", b"s", 0o4755),
    file("nobody", b"", 0o000),
    Entry("z-link", Kind.HARDLINK, 0o4755, target="setuid"),
    Entry("fifo", Kind.FIFO, 0o622, mtime=7),
    symlink("absolute", "/etc/passwd")._replace(mtime=8),
    symlink("dangling", "../../nowhere"),
    file("ä ö\n", b"\xff\0", 0o666)._replace(mtime=9),
]


@pytest.mark.parametrize("unpack", [apply_changeset, lambda *args: unpack_snapshot(*args, userxattr=True)])
def test_every_type_and_mode_lands_as_it_was_packed(root: str, scan: Scan, unpack: Callable[..., Any]) -> None:
    written = unpack(root, tar(*EVERY_KIND))

    times = {name: os.lstat(f"{root}/{name}").st_mtime for name in ("d", "fifo", "absolute", "ä ö\n", "setuid")}
    links = os.stat(f"{root}/setuid").st_nlink
    assert scan(root) == {
        "d": ("directory", 0o755, None, {}),
        "d/closed": ("directory", 0o000, None, {}),
        "d/closed/f": ("file", 0o400, b"inside", {}),
        "d/read-only": ("directory", 0o555, None, {}),
        "d/read-only/f": ("file", 0o644, b"x", {}),
        "d/sticky": ("directory", 0o1777, None, {}),
        "setuid": ("file", 0o4755, b"s", {}),
        "z-link": ("file", 0o4755, b"s", {}),
        "nobody": ("file", 0o000, b"", {}),
        "fifo": ("fifo", 0o622, None, {}),
        "absolute": ("symlink", 0o777, "/etc/passwd", {}),
        "dangling": ("symlink", 0o777, "../../nowhere", {}),
        "ä ö\n": ("file", 0o666, b"\xff\0", {}),
    }
    assert times == {"d": 5, "fifo": 7, "absolute": 8, "ä ö\n": 9, "setuid": 0}
    assert links == 2
    assert written == 10


def test_the_umask_changes_nothing(root: str, scan: Scan) -> None:
    before = os.umask(0o077)
    try:
        apply_changeset(root, tar(directory("d", 0o777), file("d/f", b"", 0o666), Entry("p", Kind.FIFO, 0o666)))
        during = os.umask(0o077)
    finally:
        os.umask(before)

    assert {path: found[1] for path, found in scan(root).items()} == {"d": 0o777, "d/f": 0o666, "p": 0o666}
    assert during == 0o077


@pytest.mark.skipif(not AS_ROOT, reason="only root gives files away")
def test_root_makes_everything_roots(root: str) -> None:
    os.chown(root, 1234, 1234)
    os.chmod(root, 0o2777)

    apply_changeset(root, tar(directory("d"), file("d/f", b"", 0o4755), symlink("s", "f")))

    owners = {(os.lstat(f"{root}/{name}").st_uid, os.lstat(f"{root}/{name}").st_gid) for name in ("d", "d/f", "s")}
    assert owners == {(0, 0)}
    assert os.stat(f"{root}/d/f").st_mode & 0o7777 == 0o4755


def test_xattrs_are_set_and_overlays_own_are_not(root: str, scan: Scan) -> None:
    xattrs = (("trusted.overlay.opaque", b"y"), ("user.a", b"\0"), ("user.overlay.redirect", b"/etc"))

    apply_changeset(root, tar(directory("d", 0o500)._replace(xattrs=xattrs), file("f", b"")._replace(xattrs=xattrs)))

    assert {path: found[3] for path, found in scan(root).items()} == {"d": {"user.a": b"\0"}, "f": {"user.a": b"\0"}}
    assert {name for path in ("d", "f") for name in os.listxattr(f"{root}/{path}")} == {"user.a"}


def test_a_directory_that_comes_again_has_only_its_new_xattrs(root: str, scan: Scan) -> None:
    apply_changeset(root, tar(directory("d")._replace(xattrs=(("user.a", b"1"), ("user.b", b"2")))))

    apply_changeset(root, tar(directory("d")._replace(xattrs=(("user.b", b"3"),))))

    assert scan(root)["d"][3] == {"user.b": b"3"}


BELOW = [
    directory("d", 0o555),
    file("d/x", b"X"),
    directory("d/e", 0o500),
    file("d/e/z", b"Z"),
    file("f", b"F"),
    symlink("l", "d"),
]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([directory("d", 0o555), file("d/x", b"new")], {"d/x": b"new"}),
        ([directory("d", 0o555), whiteout("d/x")], {"d/x": None}),
        ([whiteout("d")], {"d": None, "d/x": None, "d/e": None, "d/e/z": None}),
        ([directory("d"), opaque("d"), file("d/n", b"N")], {"d/x": None, "d/e": None, "d/e/z": None, "d/n": b"N"}),
        ([opaque(""), file("f", b"only")], dict.fromkeys(["d", "d/x", "d/e", "d/e/z", "l"]) | {"f": b"only"}),
        ([file("d", b"now a file")], {"d": b"now a file", "d/x": None, "d/e": None, "d/e/z": None}),
        ([directory("f"), file("f/g", b"")], {"f": "directory", "f/g": b""}),
        ([directory("l"), file("l/x", b"")], {"l": "directory", "l/x": b""}),
        ([file("l/x", b"")], {"l": "directory", "l/x": b""}),
        ([whiteout("l/x")], {"l": "directory"}),
        ([symlink("f", "l")], {"f": "symlink"}),
        ([Entry("d", Kind.FIFO)], {"d": "fifo", "d/x": None, "d/e": None, "d/e/z": None}),
        ([whiteout("never"), directory("n"), whiteout("n/ever")], {"n": "directory"}),
    ],
    ids=[
        "file in a read-only directory",
        "whiteout",
        "whiteout of a directory",
        "opaque directory",
        "opaque root",
        "directory to file",
        "file to directory",
        "symlink to directory",
        "symlink to directory without entry",
        "whiteout behind a symlink",
        "file to symlink",
        "directory to fifo",
        "whiteouts of nothing",
    ],
)
def test_changes_act_on_what_is_below(
    root: str, scan: Scan, changes: list[Entry], expected: Mapping[str, bytes | str | None]
) -> None:
    def contents() -> Mapping[str, bytes | str]:
        return {path: found[2] if found[0] == "file" else found[0] for path, found in scan(root).items()}

    apply_changeset(root, tar(*BELOW))
    before = contents()
    remove_tree(root)
    os.mkdir(root)
    apply_changeset(root, tar(*BELOW))

    apply_changeset(root, tar(*changes))

    assert contents() == {path: what for path, what in {**before, **expected}.items() if what is not None}


def test_whiteouts_act_first_wherever_they_stand(root: str, scan: Scan) -> None:
    apply_changeset(root, tar(*BELOW))

    apply_changeset(
        root,
        unordered(("d/x", b"new"), ("f", b"F2"), ("d/.wh..wh..opq", b""), (".wh.f", b""), ("d/e/.wh.z", b"")),
    )

    assert {path: found[2] for path, found in scan(root).items()} == {
        "d": None,
        "d/e": None,
        "d/x": b"new",
        "f": b"F2",
        "l": "d",
    }


def test_directories_that_a_layer_does_not_name_keep_mode_and_time(root: str) -> None:
    apply_changeset(root, tar(directory("d", 0o510)._replace(mtime=77)))

    apply_changeset(root, unordered(("d/x", b"")))

    status = os.stat(f"{root}/d")
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o510, 77)


def test_a_hard_link_does_not_reach_into_the_layer_above(root: str, scan: Scan) -> None:
    apply_changeset(root, tar(file("a", b"old"), Entry("b", Kind.HARDLINK, target="a")))

    apply_changeset(root, tar(file("a", b"new")))

    assert (scan(root)["a"][2], scan(root)["b"][2]) == (b"new", b"old")


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ([("../x", b"")], PathEscapeError),
        ([("/../x", b"")], PathEscapeError),
        ([(".wh...", b"")], PathEscapeError),
        ([("l", tarfile.SYMTYPE, "../outside"), ("l/x", b"")], LayerFormatError),
        ([("l", tarfile.LNKTYPE, "../outside/kept")], PathEscapeError),
        ([("l", tarfile.LNKTYPE, "kept")], LayerFormatError),
    ],
    ids=["name", "absolute", "whiteout", "symlink", "hard link", "hard link below"],
)
@pytest.mark.parametrize("unpack", [apply_changeset, lambda *args: unpack_snapshot(*args, userxattr=True)])
def test_nothing_outside_is_touched(
    tmp_path: Path,
    root: str,
    scan: Scan,
    members: list[Member],
    error: type[KubeimageError],
    unpack: Callable[..., Any],
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("kept")
    (tmp_path / "root" / "kept").write_text("kept")

    with pytest.raises(error):
        unpack(root, unordered(("good", b"x"), *members))

    assert scan(tmp_path / "outside") == {"kept": ("file", 0o644, b"kept", {})}
    assert sorted(os.listdir(tmp_path)) == ["outside", "root"]


def test_a_refused_layer_is_refused_before_anything_is_written(root: str) -> None:
    with pytest.raises(PathEscapeError):
        apply_changeset(root, unordered(("good", b"x"), ("../x", b"")))

    assert os.listdir(root) == []


def test_a_device_hides_what_is_below_it_and_is_none(root: str, scan: Scan) -> None:
    apply_changeset(root, tar(file("dev/null", b"old"), file("kept", b"x")))

    apply_changeset(root, unordered(("/dev/null", tarfile.CHRTYPE, "")))

    assert sorted(scan(root)) == ["dev", "kept"]


@pytest.mark.parametrize("target", ["../outside", "/proc/self/cwd", "."])
def test_symlinks_that_are_there_already_are_replaced_and_not_followed(
    tmp_path: Path, root: str, scan: Scan, target: str
) -> None:
    (tmp_path / "outside").mkdir()
    os.symlink(target, f"{root}/l")

    apply_changeset(root, unordered(("l/a/b", b"x"), ("l/.wh.c", b"")))

    assert os.listdir(tmp_path / "outside") == []
    assert {path: found[0] for path, found in scan(root).items()} == {
        "l": "directory",
        "l/a": "directory",
        "l/a/b": "file",
    }


def test_a_whiteout_does_not_reach_through_a_symlink(tmp_path: Path, root: str) -> None:
    (tmp_path / "outside" / "a").mkdir(parents=True)
    (tmp_path / "outside" / "a" / "kept").write_text("kept")
    os.symlink("../outside", f"{root}/l")
    os.symlink("../outside", f"{root}/m")

    apply_changeset(root, unordered(("l/a/.wh.kept", b""), ("m/a/.wh..wh..opq", b"")))

    assert (tmp_path / "outside" / "a" / "kept").read_text() == "kept"


def test_a_whiteout_may_come_after_one_below_it(root: str, scan: Scan) -> None:
    apply_changeset(root, tar(*BELOW))

    apply_changeset(root, unordered(("d/e/.wh.z", b""), ("d/e/.wh..wh..opq", b""), (".wh.d", b""), ("d/n", b"N")))

    assert {path for path in scan(root) if path.startswith("d")} == {"d", "d/e", "d/n"}


@pytest.mark.parametrize("members", [["d/.wh..wh..opq", ".wh.d"], [".wh.d", "d/.wh..wh..opq"]])
def test_a_directory_may_be_both_deleted_and_opaque(root: str, scan: Scan, members: list[str]) -> None:
    apply_changeset(root, tar(*BELOW))

    apply_changeset(root, unordered(*((name, b"") for name in members), ("d/n", b"N")))

    assert {path for path in scan(root) if path.startswith("d")} == {"d", "d/n"}


def test_more_content_than_allowed_is_refused(root: str) -> None:
    assert apply_changeset(root, tar(file("a", b"12"), file("b", b"34")), max_bytes=4) == 4
    with pytest.raises(LayerTooLargeError):
        apply_changeset(root, tar(file("a", b"12"), file("b", b"34")), max_bytes=3)
    with pytest.raises(LayerTooLargeError):
        unpack_snapshot(root, tar(file("c", b"1234")), userxattr=True, max_bytes=3)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, StoreFullError),
        (errno.EDQUOT, StoreFullError),
        (errno.EIO, StoreAccessError),
        (errno.EROFS, StoreAccessError),
    ],
)
def test_an_error_of_the_file_system_names_the_path(
    root: str, monkeypatch: pytest.MonkeyPatch, number: int, error: type[KubeimageError]
) -> None:
    def fail(descriptor: int, data: memoryview) -> Never:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)

    with pytest.raises(error, match=rf"'d/f' below .*{os.strerror(number)}"):
        apply_changeset(root, tar(directory("d"), file("d/f", b"x")))


def test_short_writes_are_gone_on_with(root: str, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))

    apply_changeset(root, tar(file("f", b"0123456789")))

    assert scan(root)["f"][2] == b"0123456789"


def test_a_root_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreAccessError, match="'/proc/1/no'"):
        apply_changeset("/proc/1/no", tar())


def test_a_snapshot_holds_whiteouts_as_overlayfs_reads_them(root: str, scan: Scan) -> None:
    unpack_snapshot(root, tar(directory("d"), opaque("d"), file("d/x", b""), whiteout("gone")), userxattr=True)

    found = scan(root)
    assert found.keys() == {"d", "d/x", "gone"}
    assert found["gone"][::2] == ("device", os.makedev(0, 0))
    assert os.listxattr(f"{root}/d") == ["user.overlay.opaque"]
    assert os.getxattr(f"{root}/d", "user.overlay.opaque") == b"y"


def test_nothing_is_deleted_below_an_opaque_directory(root: str, scan: Scan) -> None:
    unpack_snapshot(root, tar(directory("d"), opaque("d"), whiteout("d/x"), whiteout("d2")), userxattr=True)

    assert scan(root).keys() == {"d", "d2"}, "no layer below shows anything there: the whiteout would be listed"


@pytest.mark.skipif(not AS_ROOT, reason="trusted xattrs are root's")
def test_a_snapshot_for_root_has_a_trusted_xattr(root: str) -> None:
    unpack_snapshot(root, tar(directory("d", 0o000), opaque("d")), userxattr=False)

    assert os.listxattr(f"{root}/d") == ["trusted.overlay.opaque"]


@pytest.mark.parametrize("owned", [False, pytest.param(True, marks=pytest.mark.skipif(not AS_ROOT, reason="chown"))])
def test_a_snapshot_is_its_maker_s_unless_owners_are_kept(root: str, owned: bool) -> None:
    options = {"owned": True} if owned else {}
    theirs = file("f", b"")._replace(owner=(5, 6))

    unpack_snapshot(root, tar(theirs), userxattr=True, **options)

    found = os.stat(f"{root}/f")
    assert (found.st_uid, found.st_gid) == ((5, 6) if owned else (os.geteuid(), os.getegid()))


@pytest.mark.skipif(AS_ROOT, reason="root may set trusted xattrs")
def test_a_snapshot_that_an_ordinary_user_cannot_make_is_refused(root: str) -> None:
    with pytest.raises(StoreAccessError, match=r"'d' below .*not permitted"):
        unpack_snapshot(root, tar(directory("d"), opaque("d")), userxattr=False)


def test_a_path_that_is_both_deleted_and_there_shows_what_is_there(root: str, scan: Scan) -> None:
    layer = unordered((".wh.d", b""), ("d/x", b"new"), ("f", b"F2"), (".wh.f", b""))

    unpack_snapshot(root, layer, userxattr=True)

    assert {path: found[0] for path, found in scan(root).items()} == {"d": "directory", "d/x": "file", "f": "file"}
    assert os.getxattr(f"{root}/d", "user.overlay.opaque") == b"y"
