"""Serve an image, or what is packed in it, as a registry that can only be read."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from kubeimage.api.backends import Backends
from kubeimage.api.bringing import find_manifest
from kubeimage.api.finding import ImageName, find_image
from kubeimage.errors import ImageNotFoundError, KubeimageError, UsageError
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.image.referrers import ALL_REFERRERS, parse_tag
from kubeimage.layer.openfiles import OpenFiles
from kubeimage.layer.stack import StackedLayer
from kubeimage.packing.files import LayerFiles
from kubeimage.packing.layout import ROOT, tags_in
from kubeimage.protocols.transfer import OpenBlob, WireForm, WireImage
from kubeimage.rehearsal.imageregistry import ImageRegistry
from kubeimage.rehearsal.registry import Answering, PackedRegistry
from kubeimage.rehearsal.server import serving
from kubeimage.sources.names import parse_source_name
from kubeimage.sources.wire import wire_image
from kubeimage.values import dataclass

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Served:
    """A registry that is served.

    Shape: ``address`` is ``HOST:PORT``. ``images`` are what can be pulled, as in ``HOST:PORT/app:v1``.
           ``failures`` grows by what could not be read while it was served.
    """

    address: str
    images: tuple[str, ...]
    failures: list[KubeimageError]


@contextmanager
def serve_image(
    name: ImageName,
    backends: Backends,
    *,
    packed: bool = False,
    host: str = LOOPBACK,
    port: int = 0,
    platform: Platform | None = None,
) -> Iterator[Served]:
    """Serve an image by the OCI distribution-spec, read-only, until the context ends.

    Shape:  ``packed`` serves the container images that are packed in it, in its stead. ``port`` 0 takes a free one.
    Raises: UsageError where nobody can listen there; ImageNotFoundError, also where nothing is packed; StoreError,
            RegistryError.
    """
    backends.require("read")
    with ExitStack() as stack:
        if packed:
            registry, names = _packed_registry(name, backends, platform, stack)
        else:
            registry, names = _image_registry(name, backends, platform)
        listener = stack.enter_context(_listening(host, port))
        address = f"{host}:{listener.getsockname()[1]}"
        failures = stack.enter_context(serving(registry, listener))
        yield Served(address, tuple(f"{address}/{one}" for one in names), failures)


def _image_registry(name: ImageName, backends: Backends, platform: Platform | None) -> tuple[Answering, list[str]]:
    image, open_blob, repository, tag = _wired(name, backends, platform)
    return ImageRegistry(image, open_blob, repository, tag), [f"{repository}:{tag}"]


def _wired(name: ImageName, backends: Backends, platform: Platform | None) -> tuple[WireImage, OpenBlob, str, str]:
    image, reference = find_image(name, backends, platform=platform)
    opened = backends.sources.find(image) if backends.sources is not None else None
    if opened is not None:
        repository, tag = _name_for(str(name))
        return wire_image(opened.source, platform), opened.source.open_blob, repository, tag
    store = backends.store_on_disk("read")
    _, key = find_manifest(name, backends, platform=platform)
    departure = store.exporter.depart(key, WireForm(referrers=ALL_REFERRERS), platform)
    if reference is None:
        repository, tag = image.id.hex[:12], "latest"
    else:
        familiar = Reference.parse(backends.naming.familiar(reference), domain="any", namespace="")
        repository, tag = familiar.repository, reference.tag or "latest"
    return departure.finish(), departure.open_blob, repository, tag


def _name_for(text: str) -> tuple[str, str]:
    """Return repository and tag for an image that lies elsewhere: by its name there, else by its file's or folder's."""
    source = parse_source_name(text)
    try:
        found = Reference.parse(source.name, domain="any", namespace="")
    except KubeimageError:
        base = re.sub(r"\.(tar|tgz|gz|xz|zst|bz2)\b", "", source.place.rstrip("/").rpartition("/")[2].lower())
        return re.sub(r"[^a-z0-9]+", "-", base).strip("-") or "image", "latest"
    return found.repository, found.tag or "latest"


def _packed_registry(
    name: ImageName, backends: Backends, platform: Platform | None, stack: ExitStack
) -> tuple[Answering, list[str]]:
    image, _ = find_image(name, backends, platform=platform)
    contents = backends.contents_of(image)
    files = LayerFiles(contents, [StackedLayer(layer.diff_id) for layer in image.layers])
    paths = [path for path in files.tree if path.startswith(f"{ROOT}/")]
    names = sorted(name for name in tags_in(paths) if parse_tag(name.rpartition(":")[2]) is None)
    if not names:
        shown = name.id.short if isinstance(name, Image) else name
        raise ImageNotFoundError(
            f"no container image is packed in {shown}", hint="kubeimage build --pull-images=missing packs them"
        )
    opened = stack.enter_context(OpenFiles(contents, files.stack, paths))
    return PackedRegistry(opened), names


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        listener = socket.create_server((host, port), backlog=64)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "it is no address of this machine"
        raise UsageError(f"nothing can be served on {host}:{port}: {why}", hint="choose another --port") from error
    with listener:
        yield listener


__all__ = ["Served", "serve_image"]
