"""The whole operations on a store's path: opened for one of them, and closed again, as the command line does."""

from collections.abc import Sequence
from typing import Any

from kubeimage.api import archives, distribution, exporting, loading, upkeep
from kubeimage.api.archives import Saved
from kubeimage.api.backends import open_backends
from kubeimage.api.exporting import Exported
from kubeimage.api.finding import ImageName
from kubeimage.api.loading import Loaded
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.protocols.transfer import Arrival
from kubeimage.settings import Settings
from kubeimage.store.findings import Finding
from kubeimage.store.garbage import GarbageReport


def save_image(name: ImageName, output: str, *, root: str, **how: Any) -> Saved:
    with open_backends(root, access="read") as backends:
        return archives.save_image(name, output, backends, **how)


def load_images(source: str | Sequence[str], *, root: str, **how: Any) -> list[Loaded]:
    with open_backends(root) as backends:
        return loading.load_images(source, backends, **how)


def export_image(name: ImageName, directory: str, *, root: str) -> Exported:
    with open_backends(root, access="read") as backends:
        return exporting.export_image(name, directory, backends)


def push_image(name: Reference, root: str, settings: Settings) -> Digest:
    with open_backends(root, settings, access="read") as backends:
        return distribution.push_image(name, backends)


def pull_image(name: Reference, root: str, settings: Settings, **how: Any) -> Arrival:
    with open_backends(root, settings) as backends:
        return distribution.pull_image(name, backends, **how)


def remove_images(names: Sequence[str | Reference], *, root: str) -> list[upkeep.Removed]:
    with open_backends(root, access="look") as backends:
        return upkeep.remove_images(names, backends)


def check_store(root: str, *, repair: bool = False) -> list[Finding]:
    with open_backends(root, access="look") as backends:
        return upkeep.check_store(backends, repair=repair)


def prune_store(root: str, **how: Any) -> GarbageReport:
    with open_backends(root, access="look") as backends:
        return upkeep.prune_store(backends, **how)
