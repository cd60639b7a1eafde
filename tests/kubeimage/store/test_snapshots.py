import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.contracts import APP, make_image
from kubeimage.errors import BlobCorruptError, BlobNotFoundError
from kubeimage.image.digest import Digest
from kubeimage.layer.entry import canonical_order, directory, file, opaque, symlink
from kubeimage.protocols.layers import StoredLayer
from kubeimage.store import Store
from kubeimage.store.layout import Layout
from kubeimage.store.snapshots import iter_snapshots, unpack_layer

BlobPath = Callable[[Digest], Path]

# Without whiteouts, which an ordinary user cannot make everywhere.
TREE = canonical_order(
    [
        directory("bin"),
        file("bin/tool", b"#!/bin/sh\n", 0o755),
        directory("etc", 0o700),
        file("etc/conf", b"a: 1\n", 0o600),
        symlink("link", "bin/tool"),
    ]
)


@pytest.fixture
def layer(store: Store) -> StoredLayer:
    return store.layers.put(TREE)


def test_a_snapshot_is_the_layer_unpacked(store: Store, layer: StoredLayer) -> None:
    root = Path(store.snapshots.path(layer.diff_id))

    assert (root / "bin/tool").read_bytes() == b"#!/bin/sh\n"
    assert (root / "link").readlink() == Path("bin/tool")
    assert [stat.S_IMODE((root / name).stat().st_mode) for name in ("bin/tool", "etc", ".")] == [0o755, 0o700, 0o755]


def test_a_snapshot_is_made_once(store: Store, another: Store, layer: StoredLayer) -> None:
    first = store.snapshots.path(layer.diff_id)
    before = os.stat(first).st_ino

    assert another.snapshots.path(layer.diff_id) == first
    assert os.stat(first).st_ino == before


def test_of_two_that_make_the_same_snapshot_the_first_wins(
    store: Store, another: Store, layer: StoredLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack_late(*arguments: object) -> None:
        unpack_layer(*arguments)  # type: ignore[arg-type]
        monkeypatch.undo()
        inodes.append(os.stat(another.snapshots.path(layer.diff_id)).st_ino)

    inodes: list[int] = []
    monkeypatch.setattr("kubeimage.store.snapshots.unpack_layer", unpack_late)

    path = store.snapshots.path(layer.diff_id)

    assert [os.stat(path).st_ino] == inodes


def test_a_snapshot_of_a_missing_layer_is_an_error(store: Store) -> None:
    with pytest.raises(BlobNotFoundError):
        store.snapshots.path(Digest.of(b"missing"))


def test_a_damaged_layer_is_not_unpacked(
    store: Store, layer: StoredLayer, blob_path: BlobPath, flip: Callable[[Path], None]
) -> None:
    store.images.put(make_image([layer]), [APP])
    flip(blob_path(layer.diff_id))

    with pytest.raises(BlobCorruptError, match="is damaged"):
        store.snapshots.path(layer.diff_id)
    assert list(iter_snapshots(Layout(store.root))) == []


def test_a_layer_that_is_damaged_behind_its_mark_is_not_unpacked_and_made_again(
    store: Store, layer: StoredLayer, blob_path: BlobPath, flip: Callable[..., None]
) -> None:
    """All of it is read here, so nothing needs to be trusted."""
    store.images.put(make_image([layer]), [APP])
    flip(blob_path(layer.diff_id), keep_times=True)
    assert store.layers.has(layer.diff_id)

    with pytest.raises(BlobCorruptError, match="is damaged"):
        store.snapshots.path(layer.diff_id)

    assert not store.layers.has(layer.diff_id)
    store.layers.put(TREE)
    assert os.path.isdir(store.snapshots.path(layer.diff_id))


def test_the_forms_of_root_and_of_users_are_kept_apart(store: Store, layer: StoredLayer) -> None:
    paths = [store.snapshots_in(form).path(layer.diff_id) for form in ("trusted", "user")]

    assert [Path(path).parts[-3] for path in paths] == ["trusted", "user"]
    assert {one.form for one in iter_snapshots(Layout(store.root))} == {"trusted", "user"}


def test_an_opaque_directory_has_the_xattr_of_its_form(store: Store) -> None:
    layer = store.layers.put(canonical_order([directory("etc"), opaque("etc"), file("etc/new", b"")]))
    try:
        os.setxattr(store.root, "user.test", b"")
    except OSError:
        pytest.skip("this filesystem has no xattrs of users")

    path = store.snapshots_in("user").path(layer.diff_id)

    assert os.getxattr(os.path.join(path, "etc"), "user.overlay.opaque") == b"y"


def test_a_snapshot_from_before_the_last_boot_is_not_used(
    store: Store, layer: StoredLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was not waited for, so a power cut may have spoilt it."""
    before = store.snapshots.path(layer.diff_id)
    monkeypatch.setattr("kubeimage.store.snapshots._boot", lambda: "the-next-boot")

    with Store.open(store.root) as later:
        after = later.snapshots.path(layer.diff_id)

    assert Path(after).parts[-2:] == ("the-next-boot", layer.diff_id.hex)
    assert before != after


def test_scratch_is_private_and_gone_afterwards(store: Store) -> None:
    with store.snapshots.scratch() as folder:
        Path(folder, "deep", "er").mkdir(parents=True)
        Path(folder, "deep").chmod(0o500)
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700

    assert not os.path.exists(folder)


def test_two_scratches_are_two_folders(store: Store, another: Store) -> None:
    with store.snapshots.scratch() as one, store.snapshots.scratch() as two, another.snapshots.scratch() as three:
        assert len({one, two, three}) == 3
