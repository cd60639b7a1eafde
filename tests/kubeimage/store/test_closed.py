"""Nobody else reads what closed files, build arguments and keys have come to in a store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.contracts import APP, make_image, one_file
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.context import StatIndex
from kubeimage.layer.entry import identity_of
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.store import Store, cache_folder
from tests.kubeimage.store.foreign import make_foreign, tar_of

SHOWN = {"index.json", "oci-layout", "kubeimage.json", "index.lock", "gc.lock", "gc.turn", "reserve"}
"""What lies in the root itself: names of images, and no byte of a file."""


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def fill(root: str, context: Path) -> None:
    """Let each kind of thing come into a store."""
    records = CacheRecords(cache_folder(root))
    with Store.open(root, cache=records) as store:
        stored = store.layers.put(one_file(b"secret"))
        store.images.put(make_image([stored]), [APP])
        store.snapshots.path(stored.diff_id)
        key = CacheKey(None, (("kind", "RUN"), ("arg TOKEN", "secret")))
        DirectoryBuildCache(records, store.layers).record(key, CachedStep(stored))
        foreign = make_foreign(tar_of({"a": b"secret"}))
        with store.importing() as importer:
            foreign.put_blobs(importer)
            importer.commit(foreign.manifest)
    folder = os.path.join(cache_folder(root), "contexts")
    index = StatIndex(folder, str(context), clock=lambda: 2**62, find_ground=lambda _: b"here")
    status = (context / "f").stat()
    index.record("f", identity_of(status), bytes(32))
    index.save()


def readable(root: str) -> set[str]:
    """Find the files that somebody else can get at, below a root whose own way is open."""
    found: set[str] = set()
    todo = [root]
    while todo:
        folder = todo.pop()
        if os.stat(folder).st_mode & 0o077:
            for entry in os.scandir(folder):
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
                else:
                    found.add(os.path.relpath(entry.path, root))
    return found


@pytest.mark.parametrize("made", [False, True], ids=["new", "a folder that was there"])
def test_nothing_of_a_store_can_be_read_by_others(tmp_path: Path, made: bool) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/f").write_text("secret")
    root = tmp_path / "store"
    if made:
        root.mkdir(mode=0o777)

    fill(str(root), tmp_path / "context")

    assert readable(str(root)) - SHOWN == set()
    assert bool(root.stat().st_mode & 0o077) == made
    with Store.open(str(root)) as store:
        assert [one.what for one in store.check() if "other users" in one.what] == []


def test_fsck_warns_of_an_open_store_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "context/f").write_text("secret")
    root = tmp_path / "store"
    fill(str(root), tmp_path / "context")
    for folder in (root, root / "blobs", root / "blobs/sha256"):
        folder.chmod(0o755)

    with Store.open(str(root)) as store:
        (found,) = (one for one in store.check() if "other users" in one.what)

    assert (found.damage, found.advice) == (False, f"chmod 700 {root}")
    root.chmod(0o700)
    with Store.open(str(root)) as store:
        assert [one.what for one in store.check() if "other users" in one.what] == []
