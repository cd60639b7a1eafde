"""Applications whose images are in registries of this process, as packing's tests have them."""

from tests.kubeimage.packing.conftest import registries, registry, workshop

__all__ = ["registries", "registry", "workshop"]
