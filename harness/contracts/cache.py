"""What every build cache does: a test class to inherit from, as those of ``harness.contracts``."""

from __future__ import annotations

from harness.contracts.stores import CHANGESET, one_file
from kubeimage.image.digest import Digest
from kubeimage.protocols.cache import BuildCache, CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.layers import LayerStore, StoredLayer


class BuildCacheContract:
    """Takes the fixtures ``build_cache``: an empty ``BuildCache``; and ``layer_store``: where its layers are."""

    FIRST = CacheKey(None, (("base", "scratch"), ("platform", "linux/amd64")))

    def after(self, parent: CacheKey, command: str, *sources: tuple[str, str]) -> CacheKey:
        """Make the key of a step after ``parent``."""
        return CacheKey(parent.digest, (("kind", "RUN"), ("command", command)), sources)

    def test_what_was_recorded_is_found(self, build_cache: BuildCache, layer_store: LayerStore) -> None:
        """A layer by its digest and size."""
        stored = layer_store.put(CHANGESET)
        key = self.after(self.FIRST, "make")

        build_cache.record(key, CachedStep(stored))

        assert build_cache.lookup(key) == CachedStep(StoredLayer(stored.diff_id, stored.size))

    def test_what_was_never_recorded_is_none(self, build_cache: BuildCache) -> None:
        """An expected miss is no error."""
        assert build_cache.lookup(self.FIRST) is None
        assert build_cache.nearest(self.FIRST) is None
        assert not build_cache.expects(self.FIRST.digest)

    def test_a_step_that_made_nothing_is_remembered(self, build_cache: BuildCache) -> None:
        """That outcome is cached too."""
        key = self.after(self.FIRST, "true")

        build_cache.record(key, CachedStep(None))

        assert build_cache.lookup(key) == CachedStep(None)

    def test_a_hit_needs_its_layer(self, build_cache: BuildCache, layer_store: LayerStore) -> None:
        """A record whose layer is gone is a miss, until the layer is made again."""
        key = self.after(self.FIRST, "make")
        stored = layer_store.put(CHANGESET)
        build_cache.record(key, CachedStep(stored))
        self.lose(layer_store, stored.diff_id)

        assert build_cache.lookup(key) is None
        layer_store.put(CHANGESET)
        assert build_cache.lookup(key) is not None

    def test_expects_tells_whether_anything_can_follow(self, build_cache: BuildCache) -> None:
        """So a build need not read sources in vain."""
        key = self.after(self.FIRST, "make")

        build_cache.record(key, CachedStep(None))

        assert (build_cache.expects(self.FIRST.digest), build_cache.expects(key.digest)) == (True, False)

    def test_the_newest_result_of_a_step_counts(self, build_cache: BuildCache, layer_store: LayerStore) -> None:
        """As after a build that looked nothing up."""
        old, new = (layer_store.put(one_file(content)) for content in (b"old", b"new"))
        key = self.after(self.FIRST, "date > file")
        build_cache.record(key, CachedStep(old))

        build_cache.record(key, CachedStep(new))

        assert build_cache.lookup(key) == CachedStep(StoredLayer(new.diff_id, new.size))

    def test_what_was_made_on_top_of_another_result_is_forgotten(
        self, build_cache: BuildCache, layer_store: LayerStore
    ) -> None:
        """A chain never mixes the layers of two builds."""
        old, new = (CachedStep(layer_store.put(one_file(content))) for content in (b"old", b"new"))
        key = self.after(self.FIRST, "date > file")
        below = self.after(key, "cp file copy")
        for one, step in ((key, old), (below, old), (self.after(below, "true"), CachedStep(None))):
            build_cache.record(one, step)

        build_cache.record(key, new)

        assert [build_cache.lookup(one) for one in (below, self.after(below, "true"))] == [None, None]

    def test_recording_the_same_result_again_forgets_nothing(
        self, build_cache: BuildCache, layer_store: LayerStore
    ) -> None:
        """A build without lookups that gets the same layers leaves the cache as it was."""
        step = CachedStep(layer_store.put(CHANGESET))
        key = self.after(self.FIRST, "make")
        below = self.after(key, "true")
        build_cache.record(key, step)
        build_cache.record(below, CachedStep(None))

        build_cache.record(key, step)

        assert build_cache.lookup(below) == CachedStep(None)

    def test_the_nearest_key_is_the_most_alike(self, build_cache: BuildCache) -> None:
        """So that a miss can be explained."""
        for key in (
            self.after(self.FIRST, "make", ("a", "1"), ("b", "1")),
            self.after(self.FIRST, "make", ("a", "1"), ("b", "2"), ("c", "9")),
            self.after(self.FIRST, "other", ("a", "1"), ("b", "3")),
        ):
            build_cache.record(key, CachedStep(None))
        asked = self.after(self.FIRST, "make", ("a", "1"), ("b", "3"))

        nearest = build_cache.nearest(asked)

        assert nearest is not None
        assert asked.difference(nearest) == "file b changed"

    def test_a_step_of_another_kind_is_not_near(self, build_cache: BuildCache) -> None:
        """COPY does not explain why RUN missed."""
        build_cache.record(CacheKey(self.FIRST.digest, (("kind", "COPY"), ("source", "a"))), CachedStep(None))

        assert build_cache.nearest(self.after(self.FIRST, "make")) is None

    def test_odd_texts_come_back_in_the_nearest_key(self, build_cache: BuildCache) -> None:
        """Values are anything that can stand in a Kubefile or a file name."""
        odd = "tab\there, line\nthere, back\\slash, \\n, \N{SNOWMAN}"
        key = self.after(self.FIRST, odd, (odd, "file 644 1 ab"))
        build_cache.record(key, CachedStep(None))

        assert build_cache.nearest(self.after(self.FIRST, "make")) == key

    def lose(self, layer_store: LayerStore, diff_id: Digest) -> None:
        """Make a layer disappear, as a careless person would."""
        raise NotImplementedError
