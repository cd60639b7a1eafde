"""What every image store does with images for several platforms under one name: a test class to inherit from."""

from __future__ import annotations

import pytest

from harness.contracts.stores import AMD64, APP, ARM64, MISSING, OTHER, make_image, one_file
from kubeimage.errors import BlobNotFoundError, ImageNotFoundError
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore, StoredLayer


class ImageIndexContract:
    """Takes the fixtures ``image_store``: an empty ``ImageStore``; and ``layer_store``: the ``LayerStore`` below it."""

    @pytest.fixture
    def images(self, layer_store: LayerStore) -> dict[Platform, Image]:
        """Images for two platforms, with one layer in common."""
        common = layer_store.put(one_file(b"common"))
        own = {platform: layer_store.put(one_file(str(platform).encode(), "own")) for platform in (AMD64, ARM64)}
        return {platform: make_image([common, layer], platform=platform) for platform, layer in own.items()}

    def test_a_name_leads_to_each_platforms_image(self, image_store: ImageStore, images: dict[Platform, Image]) -> None:
        """Whoever asks for a platform gets its image."""
        image_store.put_index(list(images.values()), [APP])

        assert {platform: image_store.get(APP, platform) for platform in images} == images
        assert image_store.get(APP, Platform("linux", "s390x")) is None
        assert [(one.platform, one.image_id) for one in image_store.records()] == [
            (platform, image.id) for platform, image in sorted(images.items())
        ]

    def test_it_is_found_by_the_indexs_digest_and_by_each_id(
        self, image_store: ImageStore, images: dict[Platform, Image]
    ) -> None:
        """One digest pins all platforms."""
        digest = image_store.put_index(list(images.values()), [APP])

        pinned = APP.__class__(APP.domain, APP.repository, "", digest)
        assert {platform: image_store.get(pinned, platform) for platform in images} == images
        assert all(image_store.find(image.id.hex) == image for image in images.values())

    def test_an_equal_index_has_an_equal_digest(self, image_store: ImageStore, images: dict[Platform, Image]) -> None:
        """Nothing of the moment is in it."""
        first = image_store.put_index(list(images.values()), [APP])

        assert image_store.put_index(list(images.values()), [OTHER]) == first

    def test_none_is_kept_where_a_layer_is_missing(
        self, image_store: ImageStore, images: dict[Platform, Image]
    ) -> None:
        """All platforms, or none."""
        broken = make_image([StoredLayer(MISSING, 512)], platform=ARM64)

        with pytest.raises(BlobNotFoundError):
            image_store.put_index([images[AMD64], broken], [APP])

        assert image_store.records() == []

    def test_another_name_leads_to_all_platforms(self, image_store: ImageStore, images: dict[Platform, Image]) -> None:
        """A name is a name."""
        image_store.put_index(list(images.values()), [APP])

        image_store.tag(APP, OTHER)

        assert {platform: image_store.get(OTHER, platform) for platform in images} == images

    def test_one_platform_is_removed_and_the_others_stay(
        self, image_store: ImageStore, layer_store: LayerStore, images: dict[Platform, Image]
    ) -> None:
        """What only it needed goes with it."""
        image_store.put_index(list(images.values()), [APP])

        gone = image_store.remove(APP, ARM64)

        assert [image_store.get(APP, platform) for platform in (AMD64, ARM64)] == [images[AMD64], None]
        assert {images[ARM64].id, images[ARM64].layers[1].diff_id} <= set(gone)
        assert [layer_store.has(layer.diff_id) for layer in images[AMD64].layers] == [True, True]
        assert not layer_store.has(images[ARM64].layers[1].diff_id)

    def test_the_last_platform_takes_the_name_with_it(
        self, image_store: ImageStore, images: dict[Platform, Image]
    ) -> None:
        """A name that leads nowhere is none."""
        image_store.put_index(list(images.values()), [APP])

        for platform in images:
            image_store.remove(APP, platform)

        assert image_store.records() == []

    def test_a_platform_that_is_not_there_cannot_be_removed(
        self, image_store: ImageStore, images: dict[Platform, Image]
    ) -> None:
        """Nothing is removed by mistake."""
        image_store.put(images[AMD64], [APP])

        with pytest.raises(ImageNotFoundError, match="arm64"):
            image_store.remove(APP, ARM64)

        assert image_store.get(APP) == images[AMD64]
