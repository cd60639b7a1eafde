"""Whole operations that foresee what packing would fetch, and from where."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from kubeimage.api.backends import Backends
from kubeimage.builder.plan import BuildOptions
from kubeimage.image.digest import Digest
from kubeimage.image.reference import Reference
from kubeimage.packing.elsewhere import PackedElsewhere
from kubeimage.packing.forecast import Forecaster, ImageForecast, bytes_to_come
from kubeimage.packing.memory import Memory
from kubeimage.store import cache_folder


def forecast_images(
    images: Sequence[Reference], backends: Backends, *, options: BuildOptions | None = None, ask: bool = False
) -> tuple[ImageForecast, ...]:
    """Return, for each image, what packing it would fetch; nothing is changed.

    Shape:  ``options`` say for which platform, by which lock, and whether registries are asked for what is known
            (``pull_images="always"``). Without ``ask`` no registry is asked: what was never fetched is unknown.
            With it manifests are read, and no blobs. What cannot be found out is no error, and says why.
    Raises: SettingsError, CredentialsError; StoreError.
    """
    options = options or BuildOptions()
    store, settings = backends.store_on_disk("look"), backends.known_settings()
    elsewhere = PackedElsewhere(backends.images, backends.layers)

    def has(digest: Digest, size: int) -> bool:
        return store.has_blob(digest, size) or elsewhere.has(digest, size)

    with ExitStack() as stack:
        registries = None
        if ask and options.pull_images != "never":
            from kubeimage.registry.registries import Registries

            registries = stack.enter_context(Registries(settings))
        forecaster = Forecaster(
            Memory(os.path.join(cache_folder(store.root), "images")),
            options.target,
            has,
            lambda image: settings.places(image)[0].domain,
            registries,
            options.lock,
        )
        return forecaster.forecast(images, options.pull_images)


__all__ = ["ImageForecast", "bytes_to_come", "forecast_images"]
