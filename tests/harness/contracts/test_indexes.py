"""Images for several platforms under one name, in memory, in directories, and on a faked filesystem."""

from harness.contracts import ImageIndexContract
from tests.harness.contracts.test_stores import image_store, layer_store, stores

__all__ = ["image_store", "layer_store", "stores"]


class TestImageIndex(ImageIndexContract):
    """Every image store."""
