"""What a container of an image starts with, as tests ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kubeimage.image.config import Image
from kubeimage.image.runtime import Healthcheck


@dataclass(frozen=True)
class ImageConfig:
    """An image's config.

    Shape: what the config does not say is empty, or None. ``env`` is a mapping. ``ports`` are as in ``80/tcp``.
           ``created`` is RFC 3339 text.
    """

    env: Mapping[str, str]
    entrypoint: list[str]
    cmd: list[str]
    user: str
    workdir: str
    ports: list[str]
    volumes: list[str]
    labels: Mapping[str, str]
    stop_signal: str
    healthcheck: Healthcheck | None
    shell: list[str]
    on_build: list[str]
    author: str
    created: str | None
    os: str
    architecture: str
    variant: str

    @classmethod
    def of(cls, image: Image) -> ImageConfig:
        """Return the config of an image."""
        runtime, platform = image.runtime, image.platform
        return cls(
            env=MappingProxyType(dict(runtime.env)),
            entrypoint=list(runtime.entrypoint),
            cmd=list(runtime.cmd),
            user=runtime.user,
            workdir=runtime.working_dir,
            ports=list(runtime.exposed_ports),
            volumes=list(runtime.volumes),
            labels=MappingProxyType(dict(image.labels)),
            stop_signal=runtime.stop_signal,
            healthcheck=runtime.healthcheck,
            shell=list(runtime.shell),
            on_build=list(runtime.on_build),
            author=image.author,
            created=image.created,
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
        )
