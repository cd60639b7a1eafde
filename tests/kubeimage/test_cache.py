import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.contracts import CHANGESET, one_file
from harness.fakes.stores import MemoryLayerStore
from kubeimage.cache import CacheRecords, DirectoryBuildCache, read_key
from kubeimage.errors import StoreAccessError
from kubeimage.image.digest import Digest
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer

FIRST = CacheKey(None, (("base", "scratch"),))
KEY = CacheKey(FIRST.digest, (("kind", "COPY"), ("source 1", "conf")), (("conf/a.yaml", "file 644 1 ab"),))
BELOW = CacheKey(KEY.digest, (("kind", "RUN"), ("command", "true")))


@pytest.fixture
def layers() -> MemoryLayerStore:
    return MemoryLayerStore()


@pytest.fixture
def layer(layers: MemoryLayerStore) -> StoredLayer:
    return layers.put(CHANGESET)


@pytest.fixture
def records(tmp_path: Path) -> CacheRecords:
    return CacheRecords(str(tmp_path / "cache"))


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def open_cache(
    records: CacheRecords, layers: MemoryLayerStore, warnings: list[str]
) -> Callable[[], DirectoryBuildCache]:
    """Open the cache as another build does."""
    return lambda: DirectoryBuildCache(records, layers, warn=warnings.append)


@pytest.fixture
def cache(open_cache: Callable[[], DirectoryBuildCache]) -> DirectoryBuildCache:
    return open_cache()


def test_a_key_without_its_sources_is_completed_from_its_record(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer
) -> None:
    cache.record(KEY, CachedStep(layer))
    known = CacheKey(KEY.parent, KEY.fields, known_sources=KEY.sources_digest)

    assert cache.whole_key(known) == KEY
    Path(records.path(KEY)).write_bytes(b"{")
    assert cache.whole_key(known) == known


def test_a_record_can_be_read_by_people(cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer) -> None:
    cache.record(KEY, CachedStep(layer))

    first, *rest = Path(records.path(KEY)).read_text().splitlines()
    assert json.loads(first)["layer"] == {"diff_id": str(layer.diff_id), "size": layer.size}
    assert rest == ["field\tkind\tCOPY", "field\tsource 1\tconf", "source\tconf/a.yaml\tfile 644 1 ab"]


def test_what_one_build_records_the_next_one_finds(
    cache: DirectoryBuildCache, open_cache: Callable[[], DirectoryBuildCache], layer: StoredLayer
) -> None:
    cache.record(KEY, CachedStep(layer))

    assert open_cache().lookup(KEY) == CachedStep(StoredLayer(layer.diff_id, layer.size))


def test_a_layer_of_another_size_is_no_hit(cache: DirectoryBuildCache, layer: StoredLayer) -> None:
    cache.record(KEY, CachedStep(StoredLayer(layer.diff_id, layer.size + 1)))

    assert cache.lookup(KEY) is None


RUBBISH = [
    pytest.param(b"", id="empty"),
    pytest.param(b"\n", id="a blank line"),
    pytest.param(b"null\n", id="null"),
    pytest.param(b"[]\n", id="a list"),
    pytest.param(b"{}\n", id="an empty object"),
    pytest.param(b'{"version":1}\n', id="no check"),
    pytest.param(b'{"version":99,"layer":null,"check":""}\n', id="a newer version"),
    pytest.param(b'{"version":1,"layer":5,"check":""}\n', id="a number for a layer"),
    pytest.param(b'{"version":1,"layer":{"diff_id":"md5:1","size":1},"check":""}\n', id="another digest"),
    pytest.param(b'{"version":1,"layer":{"size":Infinity},"check":""}\n', id="infinity"),
    pytest.param(b"\xff\xfe\x00" * 300, id="no text"),
    pytest.param(b"[" * 5000, id="deeply nested"),
    pytest.param(b"0" * 600 + b"\n", id="a long line"),
]


@pytest.mark.parametrize("content", RUBBISH)
def test_a_damaged_record_is_a_miss_and_is_said_once(
    cache: DirectoryBuildCache, records: CacheRecords, warnings: list[str], layer: StoredLayer, content: bytes
) -> None:
    cache.record(KEY, CachedStep(layer))
    Path(records.path(KEY)).write_bytes(content)

    assert (cache.lookup(KEY), cache.lookup(KEY)) == (None, None)
    assert cache.nearest(CacheKey(KEY.parent, KEY.fields)) is None
    assert [records.path(KEY) in warning for warning in warnings] == [True]


@pytest.mark.parametrize("content", RUBBISH)
def test_a_damaged_record_is_replaced(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer, content: bytes
) -> None:
    cache.record(KEY, CachedStep(layer))
    Path(records.path(KEY)).write_bytes(content)

    cache.record(KEY, CachedStep(layer))

    assert cache.lookup(KEY) is not None
    assert records.check({layer.diff_id}, repair=False) == []


@settings(suppress_health_check=list(HealthCheck), max_examples=80)
@given(data=st.data())
def test_no_flipped_bit_changes_what_a_lookup_answers(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer, data: st.DataObject
) -> None:
    cache.record(KEY, CachedStep(layer))
    expected = cache.lookup(KEY)
    path = Path(records.path(KEY))
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, len(content) * 8 - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)

    found = cache.lookup(KEY)

    assert found in (expected, None)
    assert records.check({layer.diff_id}, repair=True) or found == expected


def test_a_record_under_the_name_of_another_key_is_a_miss(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer
) -> None:
    cache.record(KEY, CachedStep(layer))
    other = CacheKey(KEY.parent, (("kind", "COPY"), ("source 1", "other")))
    Path(records.path(KEY)).rename(records.path(other))

    assert cache.lookup(other) is None


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a fifo"])
def test_what_is_no_file_is_a_miss(
    cache: DirectoryBuildCache,
    records: CacheRecords,
    warnings: list[str],
    layer: StoredLayer,
    make: Callable[[Path], object],
) -> None:
    cache.record(KEY, CachedStep(layer))
    Path(records.path(KEY)).unlink()
    make(Path(records.path(KEY)))

    assert cache.lookup(KEY) is None
    assert len(warnings) == 1


def test_a_cache_in_the_place_of_a_file_is_no_cache_and_says_so_once(
    tmp_path: Path, layers: MemoryLayerStore, layer: StoredLayer, warnings: list[str]
) -> None:
    (tmp_path / "cache").write_text("not a folder")
    cache = DirectoryBuildCache(CacheRecords(str(tmp_path / "cache")), layers, warn=warnings.append)

    for key in (KEY, BELOW):
        cache.record(key, CachedStep(layer))
        assert cache.lookup(key) is None
        assert not cache.expects(KEY.digest)
        assert cache.nearest(key) is None
    assert len(warnings) == 1
    assert "steps that are not found there are done again" in warnings[0]


def test_a_cache_that_cannot_be_written_goes_on_answering(
    cache: DirectoryBuildCache,
    records: CacheRecords,
    layer: StoredLayer,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache.record(KEY, CachedStep(layer))

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    cache.record(BELOW, CachedStep(layer))

    assert (cache.lookup(KEY) is None, cache.lookup(BELOW)) == (False, None)
    assert len(warnings) == 1
    assert "No space left on device" in warnings[0]


def test_a_store_that_cannot_be_read_is_a_miss(
    cache: DirectoryBuildCache,
    layers: MemoryLayerStore,
    layer: StoredLayer,
    warnings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Digest) -> bool:
        raise StoreAccessError("cannot read the blob")

    cache.record(KEY, CachedStep(layer))
    monkeypatch.setattr(layers, "has", fail)

    assert cache.lookup(KEY) is None
    assert warnings == [
        "a cached layer cannot be used: cannot read the blob: steps that are not found there are done again"
    ]


def test_a_build_whose_result_was_replaced_records_nothing_more(
    open_cache: Callable[[], DirectoryBuildCache], layers: MemoryLayerStore
) -> None:
    """Its later layers were made on top of what nobody will find again."""
    one, two = (CachedStep(layers.put(one_file(content))) for content in (b"one", b"two"))
    first, second = open_cache(), open_cache()
    first.record(KEY, one)
    second.record(KEY, two)

    below = CacheKey(BELOW.digest, (("kind", "RUN"),))
    first.record(BELOW, one)
    first.record(below, one)

    assert [second.lookup(key) for key in (BELOW, below)] == [None, None]
    second.record(BELOW, two)
    assert second.lookup(BELOW) is not None


def test_a_cache_that_is_pruned_between_two_steps_goes_on(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer, warnings: list[str]
) -> None:
    cache.record(KEY, CachedStep(layer))
    Path(records.directory).rename(f"{records.directory}.gone")

    cache.record(FIRST, CachedStep(None))

    assert cache.lookup(FIRST) == CachedStep(None)
    assert warnings == []


def test_who_waited_for_the_lock_of_a_pruned_cache_takes_the_new_ones(
    open_cache: Callable[[], DirectoryBuildCache], records: CacheRecords
) -> None:
    """Or two builds would write one record at the same time, each with a lock of its own."""
    waiting = threading.Thread(target=open_cache().record, args=(FIRST, CachedStep(None)))
    with ExitStack() as old_lock:
        old_lock.enter_context(records.locked())
        waiting.start()
        time.sleep(0.05)
        Path(records.directory).rename(f"{records.directory}.gone")
        with records.locked():
            old_lock.close()
            waiting.join(0.05)
            assert waiting.is_alive()
    waiting.join()

    assert open_cache().lookup(FIRST) == CachedStep(None)


def test_the_records_name_the_layers_that_they_need(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer
) -> None:
    for key, step in ((FIRST, CachedStep(None)), (KEY, CachedStep(layer)), (BELOW, CachedStep(None))):
        cache.record(key, step)
    Path(records.path(BELOW)).write_bytes(b"rubbish")

    assert records.layers() == {layer.diff_id}


def test_a_check_finds_records_whose_layer_is_gone(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer
) -> None:
    cache.record(KEY, CachedStep(layer))

    assert [damage for _, _, damage in records.check(set(), repair=True)] == [False]
    assert records.check(set(), repair=False) == []


def test_a_hit_writes_nothing(cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer) -> None:
    cache.record(KEY, CachedStep(layer))
    before = {path: path.stat().st_mtime_ns for path in Path(records.directory).rglob("*")}

    cache.lookup(KEY)
    cache.record(KEY, CachedStep(layer))

    assert {path: path.stat().st_mtime_ns for path in Path(records.directory).rglob("*")} == before


def test_of_keys_that_are_alike_the_newest_is_nearest(cache: DirectoryBuildCache, records: CacheRecords) -> None:
    older, newer = (CacheKey(FIRST.digest, (("kind", "RUN"), ("command", command))) for command in ("a", "b"))
    for age, key in ((60, newer), (0, older)):
        cache.record(key, CachedStep(None))
        os.utime(records.path(key), (time.time() - age,) * 2)

    assert cache.nearest(CacheKey(FIRST.digest, (("kind", "RUN"), ("command", "c")))) == older


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
FIELDS = st.lists(st.tuples(TEXTS, TEXTS), max_size=4).map(tuple)


@settings(suppress_health_check=list(HealthCheck))
@given(fields=FIELDS, sources=FIELDS)
def test_every_key_comes_back_from_its_record(
    cache: DirectoryBuildCache,
    records: CacheRecords,
    fields: tuple[tuple[str, str], ...],
    sources: tuple[tuple[str, str], ...],
) -> None:
    key = CacheKey(FIRST.digest, fields, sources)
    cache.record(key, CachedStep(None))

    assert read_key(records.path(key)) == key


def test_a_key_of_ten_thousand_sources_is_looked_up_without_reading_them(
    cache: DirectoryBuildCache, records: CacheRecords, layer: StoredLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = tuple((f"path/to/{number}", f"file 644 1024 {number:064x}") for number in range(10_000))
    key = CacheKey(FIRST.digest, (("kind", "COPY"),), sources)
    cache.record(key, CachedStep(layer))
    read = []
    really_read = os.read

    def spying_read(descriptor: int, size: int) -> bytes:
        read.append(size)
        return really_read(descriptor, size)

    monkeypatch.setattr(os, "read", spying_read)

    assert cache.lookup(key) is not None
    assert sum(read) < 4096
    assert os.stat(records.path(key)).st_size > 500_000
