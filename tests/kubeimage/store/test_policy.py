"""What a store lets go to stay small, by last use: the same whether it is only asked or done."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.contracts import APP, make_image, one_file
from kubeimage.cache import CacheRecords, DirectoryBuildCache
from kubeimage.disk.lastuse import GRAIN, last_use, last_use_beside, mark_of, note_use, note_use_beside
from kubeimage.image.digest import Digest
from kubeimage.layer.compression import Coding
from kubeimage.protocols.cache import CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import StoredLayer
from kubeimage.protocols.transfer import WireForm
from kubeimage.store import Store, cache_folder
from kubeimage.store.files import tree_size
from kubeimage.store.garbage import GarbageReport
from kubeimage.store.policy import PrunePolicy
from kubeimage.store.records import iter_pairs, record_path
from tests.properties.examples import examples

DAY = 86_400
SIZE = 10_000
OpenStore = Callable[[], Store]


class Shelf:
    """A store whose things were used when a test says so. Shape: ``root`` is the store's folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.records = CacheRecords(cache_folder(root))

    def open(self) -> Store:
        return Store.open(self.root, cache=self.records)

    def cache(
        self,
        number: int,
        *,
        days: float,
        parent: CacheKey | None = None,
        layer: int | None = None,
        store: Store | None = None,
    ) -> CacheKey:
        """Remember a step that was last used so many days ago."""
        key = CacheKey(parent.digest if parent else None, (("kind", "RUN"), ("command", str(number))))
        with nullcontext(store) if store is not None else self.open() as opened:
            made = opened.layers.put(one_file(bytes([layer if layer is not None else number]) * SIZE))
            DirectoryBuildCache(self.records, opened.layers).record(key, CachedStep(made))
        self.used(self.records.path(key), days)
        return key

    def image(self, *numbers: int) -> list[StoredLayer]:
        with self.open() as store:
            layers = [store.layers.put(one_file(bytes([number]) * SIZE)) for number in numbers]
            store.images.put(make_image(layers), [APP])
            return layers

    def snapshot(self, layer: StoredLayer, *, days: float) -> str:
        with self.open() as store:
            path = store.snapshots.path(layer.diff_id)
        self.used(mark_of(path), days)
        return path

    def compressed(self, *, days: float) -> list[str]:
        """Keep compressed layers of the image; give their paths."""
        with self.open() as store:
            store.exporter.depart(APP, WireForm(None, Coding("gzip"))).finish()
            layout = store._layout
        for pair in iter_pairs(layout):
            self.used(record_path(layout, *pair), days)
        return [layout.blob(blob) for _, blob in iter_pairs(layout)]

    @staticmethod
    def used(path: str, days: float) -> None:
        then = time.time() - days * DAY
        os.utime(path, (then, then))

    def prune(self, **policy: object) -> GarbageReport:
        """Prune, and make sure that who only asks is told the same."""
        with Store.open(self.root, create=False, cache=self.records) as store:
            wanted = PrunePolicy(**policy)  # type: ignore[arg-type]
            before = tree_size(self.root)
            asked = store.collect_garbage(policy=wanted, dry_run=True)
            assert tree_size(self.root) == before
            done = store.collect_garbage(policy=wanted)
            assert asked == done
            assert not [found for found in store.check() if found.damage]
            return done

    def keys(self) -> set[str]:
        return {os.path.basename(path) for path, _, _ in self.records.uses()}


@pytest.fixture
def shelf(root: str) -> Shelf:
    with Store.open(root):
        pass
    return Shelf(root)


def kinds(report: GarbageReport) -> list[str]:
    return [item.kind for item in report.items]


def test_what_the_cache_did_not_use_for_long_goes_with_its_layer(shelf: Shelf, blob_path: Callable[..., Path]) -> None:
    shelf.cache(1, days=40)
    new = shelf.cache(2, days=1)

    report = shelf.prune(unused_for=30 * DAY)

    assert kinds(report) == ["cache", "blob"]
    assert report.size > SIZE
    assert shelf.keys() == {new.digest.hex}


@pytest.mark.parametrize("policy", [{"unused_for": 30 * DAY}, {"keep_size": 1}, {}], ids=["by age", "by size", "all"])
def test_of_an_unpacked_layer_that_goes_nothing_stays(policy: dict[str, float], shelf: Shelf) -> None:
    (layer,) = shelf.image(1)
    path = Path(shelf.snapshot(layer, days=40))
    with shelf.open() as store:
        store.images.remove(APP)

    shelf.prune(**policy)

    assert list(path.parent.glob(f"{path.name}*")) == []


def test_a_step_stays_as_long_as_one_after_it_is_used(shelf: Shelf) -> None:
    first = shelf.cache(1, days=40)
    second = shelf.cache(2, days=35, parent=first)
    third = shelf.cache(3, days=2, parent=second)
    shelf.cache(4, days=40, parent=first)

    shelf.prune(unused_for=30 * DAY)

    assert shelf.keys() == {first.digest.hex, second.digest.hex, third.digest.hex}


def test_a_layer_stays_while_another_step_or_an_image_has_it(shelf: Shelf) -> None:
    shelf.image(1)
    shelf.cache(1, days=40)
    shelf.cache(2, days=40, layer=7)
    shelf.cache(3, days=1, layer=7)

    assert kinds(shelf.prune(unused_for=30 * DAY)) == ["cache", "cache"]


def test_a_snapshot_goes_with_the_last_record_of_its_layer(shelf: Shelf) -> None:
    shelf.cache(1, days=40)
    with shelf.open() as store:
        layer = store.layers.put(one_file(bytes([1]) * SIZE))
    path = Path(shelf.snapshot(layer, days=0))

    report = shelf.prune(unused_for=30 * DAY)

    assert kinds(report) == ["cache", "blob", "snapshot"]
    assert not path.exists()


def test_snapshots_and_kept_compressed_layers_go_first_the_oldest_before_others(shelf: Shelf) -> None:
    one, two = shelf.image(1, 2)
    oldest, newer = shelf.snapshot(one, days=9), shelf.snapshot(two, days=3)
    shelf.cache(5, days=20)
    packed = shelf.compressed(days=5)
    size = tree_size(shelf.root)

    shelf.prune(keep_size=size - 1)
    assert [os.path.exists(path) for path in (oldest, newer, *packed)] == [False, True, True, True]

    shelf.prune(keep_size=tree_size(shelf.root) - 1)
    assert [os.path.exists(path) for path in (newer, *packed)].count(False) == 1
    assert os.path.exists(newer)

    shelf.prune(keep_size=tree_size(shelf.root) - SIZE)
    assert not any(map(os.path.exists, (newer, *packed)))
    assert len(shelf.keys()) == 1


def test_the_size_is_kept_where_that_can_be(shelf: Shelf) -> None:
    shelf.image(100)
    for number in range(5):
        shelf.cache(number, days=number)
    with shelf.open() as store:
        sizes = store.sizes()

    wanted = tree_size(shelf.root) - 2 * SIZE
    shelf.prune(keep_size=wanted)
    assert wanted - 2 * SIZE < tree_size(shelf.root) <= wanted
    assert len(shelf.keys()) == 3

    shelf.prune(keep_size=1)
    assert shelf.keys() == set()
    assert tree_size(shelf.root) - sizes["images"] - sizes["other"] < 1_000


def test_enough_room_lets_nothing_go_but_garbage(shelf: Shelf) -> None:
    (layer,) = shelf.image(1)
    shelf.snapshot(layer, days=100)
    shelf.cache(2, days=100)
    with shelf.open() as store:
        store.layers.put(one_file(b"garbage"))

    assert kinds(shelf.prune(keep_size=1 << 40)) == ["blob"]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"cache": False, "garbage": False}, {"snapshot", "blob", "record"}),
        ({"snapshots": False}, {"cache", "blob"}),
        ({}, {"snapshot", "blob", "record", "cache"}),
    ],
)
def test_one_kind_alone_is_let_go(shelf: Shelf, policy: dict[str, bool], expected: set[str]) -> None:
    (layer,) = shelf.image(1)
    shelf.snapshot(layer, days=0)
    shelf.compressed(days=0)
    shelf.cache(2, days=0)

    assert set(kinds(shelf.prune(**policy))) == expected


def test_what_a_running_session_relies_on_stays(shelf: Shelf) -> None:
    (layer,) = shelf.image(1)
    path = shelf.snapshot(layer, days=90)
    key = shelf.cache(2, days=90)
    packed = shelf.compressed(days=90)
    with shelf.open() as busy:
        busy.layers.has(layer.diff_id)
        DirectoryBuildCache(shelf.records, busy.layers).lookup(key)

        report = shelf.prune(unused_for=30 * DAY)

        # The record may go, for a build that has found it has the layer.
        assert kinds(report) == ["cache"]
        assert all(map(os.path.exists, (path, *packed)))


def test_a_tar_that_was_made_of_a_compressed_layer_goes_and_is_made_again(shelf: Shelf, open_store: OpenStore) -> None:
    (layer,) = shelf.image(1)
    with shelf.open() as store:
        wire = store.exporter.depart(APP, WireForm(None, Coding("gzip"))).finish()
        with store.importing() as importer:
            for manifest in wire.manifests:
                importer.put_manifest(manifest.data)
            importer.commit(wire.data, [APP])
        layout = store._layout

    shelf.prune()
    assert not os.path.exists(layout.blob(layer.diff_id))

    with open_store() as store:
        assert store.layers.has(layer.diff_id)
        store.layers.materialise(layer.diff_id)
    for pair in iter_pairs(layout):
        assert time.time() - last_use(record_path(layout, *pair)) < GRAIN
    assert kinds(shelf.prune(unused_for=DAY)) == []
    assert kinds(shelf.prune(unused_for=0)) == ["blob"]


def test_each_form_of_a_layer_goes_by_its_own_use(shelf: Shelf) -> None:
    shelf.image(1)
    with shelf.open() as store:
        for kind in ("gzip", "zstd"):
            store.exporter.depart(APP, WireForm(None, Coding.parse(kind))).finish()
        layout = store._layout
    used = dict(zip(sorted(iter_pairs(layout)), (9, 3), strict=True))
    for pair, days in used.items():
        shelf.used(record_path(layout, *pair), days)

    shelf.prune(unused_for=5 * DAY)

    assert {pair: os.path.exists(layout.blob(pair[1])) for pair in used} == {
        pair: days < 5 for pair, days in used.items()
    }


@pytest.mark.parametrize("room", range(7))
def test_of_steps_that_stand_on_each_other_the_last_goes_first(shelf: Shelf, room: int) -> None:
    """A build of today has used them all, whatever else has been tried on them."""
    keys: list[CacheKey] = []
    for number in range(6):
        keys.append(shelf.cache(number, days=9 - number, parent=keys[-1] if keys else None))
    with shelf.open() as store:
        sizes = store.sizes()

    shelf.prune(keep_size=sizes["images"] + sizes["other"] + room * SIZE)

    left = {path for path, _, _ in shelf.records.uses()}
    kept = [shelf.records.path(key) in left for key in keys]
    assert kept == sorted(kept, reverse=True)


def key_before(path: str) -> str:
    return os.path.basename(os.path.dirname(path))


def test_what_is_in_use_above_keeps_nothing_old_below(shelf: Shelf) -> None:
    (layer,) = shelf.image(1)
    shelf.snapshot(layer, days=0)
    shelf.cache(2, days=9)

    assert kinds(shelf.prune(unused_for=5 * DAY)) == ["cache", "blob"]


@pytest.mark.parametrize("held", [0, 1])
def test_forms_of_a_layer_that_a_build_relies_on_stay_and_no_others(shelf: Shelf, held: int) -> None:
    shelf.image(1, 2)
    with shelf.open() as store:
        store.exporter.depart(APP, WireForm(None, Coding.parse("gzip"))).finish()
        layout = store._layout
    pairs = sorted(iter_pairs(layout))

    with shelf.open() as store:
        store._blobs.hold([pairs[held][0]])
        shelf.prune()

    assert [os.path.exists(layout.blob(blob)) for _, blob in pairs] == [number == held for number in range(2)]


ages = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 100)), max_size=6)


@examples(0.1)
@given(ages, st.integers(0, 100), st.integers(0, 8))
def test_a_policy_keeps_its_promises(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[tuple[int, int]], days: int, room: int
) -> None:
    """Whatever is remembered: nothing is left that is older, the store is small enough, and images are whole.

    Who uses a step uses those before it, and none is left without the one before it.
    """
    root = str(tmp_path_factory.mktemp("policy") / "store")
    with Store.open(root):
        pass
    shelf = Shelf(root)
    shelf.image(200, 201)
    keys: list[CacheKey] = []
    with shelf.open() as store:
        for number, (parent, age) in enumerate(steps):
            above = keys[parent] if parent < len(keys) else None
            keys.append(shelf.cache(number, days=age + 0.5, parent=above, store=store))
    with shelf.open() as store:
        least = store.sizes()
    wanted = least["images"] + least["other"] + room * SIZE
    used = {path: when for path, _, when in shelf.records.uses()}
    before = {one: next((each for each in used if os.path.basename(each) == key_before(one)), "") for one in used}
    for _ in used:
        for one, earlier in before.items():
            if earlier:
                used[earlier] = max(used[earlier], used[one])

    shelf.prune(unused_for=days * DAY, keep_size=wanted)

    assert tree_size(root) <= wanted
    left = [path for path, _, _ in shelf.records.uses()]
    assert all(time.time() - used[path] < days * DAY for path in left)
    assert {before[path] for path in left} <= {"", *left}
    with shelf.open() as store:
        assert store.images.get(APP) is not None
        for _, layer, _ in shelf.records.uses():
            assert layer is not None
            assert store.layers.has(layer)


def test_sizes_add_up_to_the_store(shelf: Shelf) -> None:
    (layer,) = shelf.image(1)
    shelf.snapshot(layer, days=0)
    shelf.compressed(days=0)
    shelf.cache(2, days=0)
    with shelf.open() as store:
        garbage = store.layers.put(one_file(b"x" * SIZE))
    with shelf.open() as store:
        sizes = store.sizes()

    assert sum(sizes.values()) == tree_size(shelf.root)
    assert sizes["garbage"] == garbage.size
    assert all(sizes[kind] > 0 for kind in ("images", "cache", "forms", "snapshots", "other"))


def test_a_store_that_is_not_there_has_no_size(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "none"), create=False) as store:
        assert sum(store.sizes().values()) == 0


def test_a_use_is_noted_once_an_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, set_times = tmp_path / "file", list[str]()
    path.touch()
    monkeypatch.setattr(os, "utime", lambda path, _: set_times.append(path))
    now = time.time()

    for passed, noted in [(0, 0), (GRAIN - 5, 0), (GRAIN + 5, 1), (-5, 2)]:
        monkeypatch.setattr(time, "time", lambda passed=passed: now + passed)
        note_use(str(path))
        assert len(set_times) == noted


def test_a_use_beside_leaves_the_thing_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    os.utime(folder, (5, 5))

    before = last_use_beside(str(folder))
    note_use_beside(str(folder))

    assert time.time() - before < GRAIN
    assert folder.stat().st_mtime == 5
    assert time.time() - last_use_beside(str(folder)) < GRAIN
    assert [last_use(str(tmp_path / "gone")), last_use_beside(str(tmp_path / "gone"))] == [0, 0]


def test_a_place_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    note_use(str(tmp_path / "gone"))
    note_use_beside(str(tmp_path / "gone/too"))


def test_looking_is_no_use(shelf: Shelf) -> None:
    key = shelf.cache(1, days=40)
    with shelf.open() as store:
        assert DirectoryBuildCache(shelf.records, store.layers).lookup(key) is not None
        assert time.time() - last_use(shelf.records.path(key)) > 39 * DAY
        assert DirectoryBuildCache(shelf.records, store.layers, notes_uses=True).lookup(key) is not None

    assert time.time() - last_use(shelf.records.path(key)) < GRAIN


def test_digests_of_what_goes_are_told(shelf: Shelf) -> None:
    key = shelf.cache(1, days=40)

    report = shelf.prune(unused_for=DAY)

    assert [item.name for item in report.items if item.kind == "cache"] == [key.digest.hex]
    assert all(Digest(item.name) for item in report.items)
