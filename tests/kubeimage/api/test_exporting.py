import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.faults.faults import dies_at
from harness.faults.iocalls import WRITING
from kubeimage.api.backends import open_backends
from kubeimage.api.exporting import export_image
from kubeimage.errors import BlobCorruptError, BlobNotFoundError, StoreAccessError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, canonical_order, directory, file, symlink, whiteout
from kubeimage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def image_of(store: Store, *changesets: list[Entry]) -> Image:
    """Put layers into the store, and make an image of them."""
    stored = [store.layers.put(canonical_order(changeset)) for changeset in changesets]
    layers = tuple(Layer(one.diff_id, one.size, "COPY", "x") for one in stored)
    return Image(Platform("linux", "amd64"), layers)


def export(image: Image, directory: str, store: Store) -> int:
    with open_backends(store.root, access="read") as backends:
        return export_image(image, directory, replace(backends, layers=store.layers)).size


def with_missing_layer(image: Image) -> Image:
    """Add a layer that no store has."""
    return Image(image.platform, (*image.layers, Layer(Digest("0" * 64), 1024, "COPY", "x")))


def test_layers_are_applied_one_on_top_of_the_other(store: Store, tmp_path: Path) -> None:
    image = image_of(
        store,
        [directory("bin", 0o555), file("bin/tool", b"old", 0o750), directory("etc"), file("etc/gone", b"")],
        [file("bin/tool", b"new", 0o750), whiteout("etc/gone"), symlink("link", "bin/tool")],
    )

    written = export(image, str(tmp_path / "out"), store)

    out = tmp_path / "out"
    assert written == len(b"oldnew")
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*")) == ["bin", "bin/tool", "etc", "link"]
    assert ((out / "link").read_bytes(), (out / "bin/tool").stat().st_mode & 0o777) == (b"new", 0o750)
    assert [path.stat().st_mode & 0o777 for path in (out, out / "bin")] == [0o755, 0o555]


def test_an_empty_folder_stays_the_same_folder(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path / "out")

    export(image_of(store, [file(".hidden", b"1"), file("a", b"2")]), ".", store)

    assert sorted(os.listdir()) == [".hidden", "a"]


def test_an_export_that_fails_leaves_everything_as_it_was(store: Store, tmp_path: Path) -> None:
    closed = [directory("closed", 0o000), file("closed/a", b"1")]
    image = with_missing_layer(image_of(store, closed))
    (tmp_path / "empty").mkdir()

    for target in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(BlobNotFoundError):
            export(image, str(target), store)

    assert sorted(os.listdir(tmp_path)) == ["empty", "store"]
    assert os.listdir(tmp_path / "empty") == []


def test_a_layer_that_is_damaged_behind_its_mark_is_not_exported(store: Store, tmp_path: Path) -> None:
    image = image_of(store, [file("a", b"content")])
    store.images.put(image)
    blob = Path(store.root, "blobs/sha256", image.layers[0].diff_id.hex)
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes().replace(b"content", b"c0ntent"))
    os.utime(blob, ns=(0, 0))

    with pytest.raises(BlobCorruptError, match=f"{image.layers[0].diff_id} is damaged"):
        export(image, str(tmp_path / "out"), store)

    assert os.listdir(tmp_path) == ["store"]


def test_a_dangling_symlink_is_no_free_place(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("nowhere")

    with pytest.raises(UsageError, match="is not a folder"):
        export(image_of(store, [file("a", b"1")]), str(tmp_path / "out"), store)

    assert os.readlink(tmp_path / "out") == "nowhere"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_one_clear_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)

    with pytest.raises(StoreAccessError, match=r"cannot write to .*closed/out"):
        export(image_of(store, [file("a", b"1")]), str(tmp_path / "closed/out"), store)


@pytest.mark.parametrize("exists", [False, True], ids=["a new folder", "an empty folder"])
def test_what_a_killed_export_left_is_removed_by_the_next(store: Store, tmp_path: Path, *, exists: bool) -> None:
    image = image_of(store, [file("a", b"1"), file("b", b"2")])
    out = tmp_path / "exports/out"
    out.parent.mkdir()
    if exists:
        out.mkdir()

    assert dies_at(4, lambda: export(image, str(out), store), among=WRITING)

    assert [path.name.startswith(".kubeimage-export-") for path in (out if exists else out.parent).iterdir()] == [True]
    export(image, str(out), store)
    assert os.listdir(out.parent) == ["out"]
    assert sorted(os.listdir(out)) == ["a", "b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can leave something as somebody else")
def test_what_somebody_else_left_stays_and_stops_nobody(store: Store, tmp_path: Path) -> None:
    left = tmp_path / ".kubeimage-export-abc"
    left.mkdir()
    os.chown(left, 65534, 65534)

    export(image_of(store, [file("a", b"1")]), str(tmp_path / "out"), store)

    assert sorted(os.listdir(tmp_path)) == [left.name, "out", "store"]


def test_a_leftover_that_cannot_be_removed_stops_nobody(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, rmdir = tmp_path / ".kubeimage-export-abc", os.rmdir
    left.mkdir()

    def rmdir_others(path: str, **named: int) -> None:
        if os.path.basename(path) == left.name:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)
        rmdir(path, **named)

    monkeypatch.setattr(os, "rmdir", rmdir_others)

    export(image_of(store, [file("a", b"1")]), str(tmp_path / "out"), store)

    assert sorted(os.listdir(tmp_path)) == [left.name, "out", "store"]


def test_exports_side_by_side_leave_each_other_alone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, rename = image_of(store, [file("a", b"1")]), os.rename
    others: list[str] = []

    def rename_later(source: str, target: str) -> None:
        if not others:
            others.append("two")
            export(image, str(tmp_path / "two"), store)
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_later)

    export(image, str(tmp_path / "one"), store)

    assert sorted(os.listdir(tmp_path)) == ["one", "store", "two"]
    assert [os.listdir(tmp_path / name) for name in ("one", "two")] == [["a"], ["a"]]


def test_an_export_whose_young_folder_is_taken_for_a_leftover_makes_another(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, opened = image_of(store, [file("a", b"1")]), os.open
    taken: list[str] = []

    def open_later(path: str, *arguments: int, **named: int) -> int:
        if ".kubeimage-export-" in path and path.count("/") == str(tmp_path).count("/") + 1 and not taken:
            taken.append(path)
            os.rmdir(path)
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", open_later)

    export(image, str(tmp_path / "out"), store)

    assert len(taken) == 1
    assert sorted(os.listdir(tmp_path)) == ["out", "store"]
