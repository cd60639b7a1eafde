"""The images of a store with what people choose by: size, age, last use; and what the store's room is used for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Literal, get_args

from kubeimage.api.backends import Backends
from kubeimage.errors import UsageError
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.referrers import Referrer
from kubeimage.protocols.images import ImageRecord, ImageStore
from kubeimage.values import dataclass

ImageOrder = Literal["name", "size", "created", "used"]
IMAGE_ORDERS: tuple[ImageOrder, ...] = get_args(ImageOrder)
FILTERS = "name=GLOB, platform=OS/ARCH, dangling=true|false, label=KEY[=VALUE], type=application|cluster"


@dataclass(frozen=True)
class ListedImage:
    """An image of the store, by one of its names.

    Shape: ``created`` is RFC 3339 text, None where the image does not say. ``image`` is None for a damaged one.
           ``referrers`` refer to its manifest, or to the index that has it.
    Units: ``size`` in bytes of all layers' tars, ``stored`` in bytes of config and layers as they lie in the store;
           ``used`` in seconds since 1970, None where nobody has noted it.
    """

    record: ImageRecord
    size: int
    stored: int
    created: str | None
    used: float | None
    image: Image | None
    referrers: tuple[Referrer, ...] = ()


def describe_images(
    backends: Backends, *, filters: Sequence[str] = (), order: ImageOrder = "name"
) -> list[ListedImage]:
    """Return the images of the store, one for each name and platform, those that all ``filters`` let through.

    Shape:  by name as ``list_images`` has them; the largest, the youngest and the latest used first.
            A filter is ``KEY=VALUE``: see ``FILTERS``. Two of one key are two conditions.
    Raises: UsageError for a filter or an order that there is not; StoreError.
    """
    conditions = [_condition(text, backends) for text in filters]
    if order not in IMAGE_ORDERS:
        raise UsageError(f"no order is called {order!r}", hint=f"choose one of {', '.join(IMAGE_ORDERS)}")
    listed = backends.store.referrers.list_all() if backends.store is not None else []
    found = [_describe(record, image, backends, listed) for record, image in _read_all(backends)]
    chosen = [one for one in found if all(condition(one) for condition in conditions)]
    if order != "name":
        chosen.sort(key=_KEYS[order], reverse=True)
    return chosen


_KEYS: dict[str, Callable[[ListedImage], tuple[bool, int | str | float]]] = {
    "size": lambda one: (True, one.size),
    "created": lambda one: (one.created is not None, one.created or ""),
    "used": lambda one: (one.used is not None, one.used or 0.0),
}


def _read_all(backends: Backends) -> Iterable[tuple[ImageRecord, Image | None]]:
    """Return each name with its image; a store on disk need not look up each of ten thousand names."""
    if backends.store is not None:
        return backends.store.images.read_all()
    return [(record, _read(record, backends.images)) for record in backends.images.records()]


def _read(record: ImageRecord, images: ImageStore) -> Image | None:
    if record.reference is not None:
        return images.get(record.reference, record.platform)
    return images.find(record.image_id.hex)


def _describe(record: ImageRecord, image: Image | None, backends: Backends, listed: list[Referrer]) -> ListedImage:
    if image is None:
        return ListedImage(record, 0, 0, None, None, None)
    blobs = {layer.descriptor.digest: layer.descriptor.size for layer in image.layers}
    used = backends.store.last_use(record.manifest) if backends.store is not None else None
    stored = sum(blobs.values()) + len(image.config)
    referrers = _about(record, backends, listed) if listed else ()
    return ListedImage(record, image.size, stored, image.created, used, image, referrers)


def _about(record: ImageRecord, backends: Backends, listed: list[Referrer]) -> tuple[Referrer, ...]:
    subjects = {record.manifest}
    if record.reference is not None and backends.store is not None:
        found = backends.store.list_platforms(record.reference)
        subjects |= {found[0]} if found is not None else set()
    return tuple(one for one in listed if one.subject in subjects)


def store_sizes(backends: Backends) -> dict[str, int]:
    """Return the bytes of all files of the store, by what they are for; the sum is the store's size.

    Shape:  ``images``, ``cache``, ``forms`` (other forms of layers that are kept), ``snapshots`` (unpacked layers),
            ``garbage`` (what prune frees), ``other``.
    Raises: UsageError where there is no store on disk; StoreError.
    """
    return backends.store_on_disk("look").sizes()


def _condition(text: str, backends: Backends) -> Callable[[ListedImage], bool]:
    key, equals, value = text.partition("=")
    if not equals or not value:
        raise UsageError(f"not a filter: {text!r}", hint=f"write it as {FILTERS}")
    match key:
        case "name":
            return lambda one: any(fnmatchcase(name, value) for name in _names(one.record, backends))
        case "platform":
            wanted = Platform.parse(value)
            return lambda one: wanted.matches(one.record.platform)
        case "dangling":
            if value not in ("true", "false"):
                raise UsageError(f"not a filter: {text!r}", hint="dangling is true or false")
            return lambda one: (one.record.reference is None) is (value == "true")
        case "label":
            return lambda one: one.image is not None and _has_label(one.image, value)
        case "type":
            if value not in ("application", "cluster"):
                raise UsageError(f"not a filter: {text!r}", hint="type is application or cluster")
            return lambda one: one.image is not None and (one.image.image_type or "cluster") == value
    raise UsageError(f"no filter is called {key!r}", hint=f"there are {FILTERS}")


def _names(record: ImageRecord, backends: Backends) -> list[str]:
    """Return what an image is called by: short, whole, and short without its tag."""
    if record.reference is None:
        return []
    short = backends.naming.familiar(record.reference)
    return [short, str(record.reference), short.rpartition(":")[0]]


def _has_label(image: Image, wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in image.labels and (not equals or image.labels[key] == value)


__all__ = ["FILTERS", "IMAGE_ORDERS", "ImageOrder", "ListedImage", "describe_images", "store_sizes"]
