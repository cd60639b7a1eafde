import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.contracts import APP, make_image, one_file
from kubeimage.errors import ImageNotFoundError, StoreAccessError, StoreError, StoreVersionError
from kubeimage.image.digest import Digest
from kubeimage.store import Store


def names_in(root: str) -> set[str]:
    return {os.path.relpath(os.path.join(folder, name), root) for folder, _, files in os.walk(root) for name in files}


def test_a_new_store_is_an_image_layout(root: str) -> None:
    Store.open(root).close()

    assert json.loads(Path(root, "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(Path(root, "index.json").read_text()) == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [],
    }
    assert os.listdir(Path(root, "ingest")) == []


def test_others_cannot_enter_what_may_hold_set_uid_programs(root: str) -> None:
    Store.open(root).close()

    assert [os.stat(Path(root, name)).st_mode & 0o777 for name in ("snapshots", "ingest")] == [0o700, 0o700]


def test_opening_a_store_again_changes_nothing(root: str) -> None:
    Store.open(root).close()
    before = {name: os.stat(os.path.join(root, name)).st_mtime_ns for name in names_in(root)}

    Store.open(root).close()

    assert {name: os.stat(os.path.join(root, name)).st_mtime_ns for name in names_in(root)} == before


def test_looking_at_a_store_that_is_not_there_does_not_make_it(root: str) -> None:
    with Store.open(root, create=False, hold=True) as store:
        assert store.images.records() == []
        assert store.images.get(APP) is None
        assert not store.layers.has(Digest.of(b""))
        assert store.check() == []
        assert store.collect_garbage().items == ()
        assert store.collect_garbage(dry_run=True).items == ()
        with pytest.raises(ImageNotFoundError):
            store.images.remove(APP)

    assert not os.path.exists(root)


def test_a_write_makes_the_store_that_was_not_there(root: str) -> None:
    with Store.open(root, create=False) as store:
        store.images.put(make_image(), [APP])

    with Store.open(root, create=False) as store:
        assert store.images.get(APP) == make_image()


def test_a_newer_store_is_refused_by_name(root: str) -> None:
    Store.open(root).close()
    Path(root, "kubeimage.json").write_text('{"storeVersion": 2}')

    with pytest.raises(StoreVersionError, match=f"{root} has form 2, made by a newer kubeimage"):
        Store.open(root)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"storeVersion": "new"}', "{}", "\0"])
def test_a_store_of_unknown_form_is_refused(root: str, content: str) -> None:
    Store.open(root).close()
    Path(root, "kubeimage.json").write_text(content)

    with pytest.raises(StoreError, match="does not say which form"):
        Store.open(root)


def test_a_folder_in_use_for_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("all my work")

    with pytest.raises(StoreAccessError, match=r"not empty: it holds 'thesis\.tex'"):
        Store.open(str(tmp_path))
    assert os.listdir(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize("below", [".", "store"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreAccessError, match="is not a folder") as caught:
        Store.open(str(tmp_path / "file" / below))
    assert "--root or KUBEIMAGE_ROOT" in (caught.value.hint or "")


def test_what_a_killed_process_began_to_make_is_completed(root: str) -> None:
    os.mkdir(root, 0o700)
    os.mkdir(os.path.join(root, "blobs"))
    Path(root, "index.lock").touch()

    with Store.open(root) as store:
        store.images.put(make_image(), [APP])
        assert store.check() == []


def test_the_layout_of_another_tool_is_a_store(root: str) -> None:
    os.mkdir(root, 0o700)
    os.makedirs(os.path.join(root, "blobs", "sha256"))
    Path(root, "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    Path(root, "index.json").write_text('{"schemaVersion":2,"manifests":[]}')

    with Store.open(root) as store:
        store.images.put(make_image([store.layers.put(one_file(b"1"))]), [APP])
        assert store.check() == []


def test_a_relative_root_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("store") as store:
        monkeypatch.chdir("/")
        store.images.put(make_image(), [APP])

    assert (tmp_path / "store" / "index.json").exists()


def test_opening_imports_little() -> None:
    """Each of these takes longer to import than a small store takes to answer."""
    script = (
        "import sys; old = set(sys.modules); import kubeimage.store, kubeimage.cache; print(*set(sys.modules) - old)"
    )
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()

    heavy = {"asyncio", "click", "concurrent.futures", "filelock", "rich", "shutil", "subprocess", "tempfile", "yaml"}
    assert heavy.isdisjoint(loaded)


@pytest.mark.parametrize("durable", [True, False])
def test_the_disk_is_waited_for_where_a_store_is_to_outlive_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(os, "fsync", waits.append)

    with Store.open(str(tmp_path / "store"), durable=durable) as store:
        store.images.put(make_image([store.layers.put(one_file(b"a"))]), [APP])

    assert bool(waits) is durable
    with Store.open(str(tmp_path / "store"), create=False) as store:
        assert store.images.get(APP) is not None
