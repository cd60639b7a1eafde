import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubeimage.context.statindex import StatIndex
from kubeimage.layer.entry import FileIdentity
from kubeimage.store import Store, cache_folder
from tests.oneshot import check_store, prune_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An open store."""
    with Store.open(str(tmp_path / "store")) as store:
        yield store


def test_a_damaged_stat_index_is_found_and_removed(store: Store, tmp_path: Path) -> None:
    folder = Path(cache_folder(store.root)) / "contexts"
    context = tmp_path / "context"
    context.mkdir()
    with StatIndex(
        str(folder), str(context), clock=lambda: 2**62, find_ground=lambda _: b"here", at_rest=lambda _path, _who: True
    ) as index:
        index.expect("a", FileIdentity(1, 2, 3, 4, 5))
        index.record("a", FileIdentity(1, 2, 3, 4, 5), bytes(32))
    store.close()
    assert check_store(store.root) == []
    data = bytearray(Path(index.path).read_bytes())
    data[-1] ^= 1
    Path(index.path).write_bytes(data)

    assert [(one.where, one.damage) for one in check_store(store.root)] == [(index.path, True)]
    assert [one.repaired for one in check_store(store.root, repair=True)] == [True]
    assert check_store(store.root) == []


def test_where_there_is_no_store_there_is_nothing_to_prune(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert prune_store(str(tmp_path)).items == ()
    assert os.listdir(tmp_path) == ["file"]
