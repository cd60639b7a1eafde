"""Build cluster images from Kubefiles.

The public names, each from the module that defines it. They are fetched when they are first used, so that
``import kubeimage`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeimage._version import __version__

if TYPE_CHECKING:
    from kubeimage.api.airgap import images_of_context, images_of_image, verify_image
    from kubeimage.api.building import (
        Backends,
        BuildOptions,
        BuildResult,
        build,
        default_root,
        find_base,
        find_kubefile,
        open_backends,
        plan_build,
        preview,
        read_kubefile,
    )
    from kubeimage.api.distribution import log_in, log_out, pull_image, push_image
    from kubeimage.api.finding import find_image
    from kubeimage.api.linting import find_kubefiles, lint_kubefile, lint_paths
    from kubeimage.errors import (
        ArchiveError,
        BaseImageError,
        BlobCorruptError,
        BlobNotFoundError,
        BuildArgError,
        BuildError,
        ChartError,
        CheckError,
        CommandError,
        CommandTimeoutError,
        ContextChangedError,
        ContextError,
        ContextNotFoundError,
        CredentialsError,
        DestinationError,
        Diagnostic,
        DigestFormatError,
        DiscoveryError,
        ImageNotFoundError,
        KubefileError,
        KubeimageError,
        KubeVersionError,
        LayerError,
        LayerFormatError,
        LayerLimitError,
        LayerTooLargeError,
        Location,
        MountError,
        PackingError,
        PathEscapeError,
        PlatformFormatError,
        PlatformMismatchError,
        ReferenceFormatError,
        RegistryAuthError,
        RegistryConnectionError,
        RegistryContentError,
        RegistryError,
        RegistryNotFoundError,
        SandboxError,
        SettingsError,
        SourceEscapeError,
        SourceNotFoundError,
        StoreAccessError,
        StoreError,
        StoreFullError,
        StoreVersionError,
        UnreadableSourceError,
        UnsupportedSourceError,
        UsageError,
    )
    from kubeimage.image.config import Image
    from kubeimage.image.digest import Digest
    from kubeimage.image.platform import Platform
    from kubeimage.image.reference import Reference
    from kubeimage.kubefile import Kubefile, parse, render
    from kubeimage.settings import Settings, read_settings

__all__ = [
    "ArchiveError",
    "Backends",
    "BaseImageError",
    "BlobCorruptError",
    "BlobNotFoundError",
    "BuildArgError",
    "BuildError",
    "BuildOptions",
    "BuildResult",
    "ChartError",
    "CheckError",
    "CommandError",
    "CommandTimeoutError",
    "ContextChangedError",
    "ContextError",
    "ContextNotFoundError",
    "CredentialsError",
    "DestinationError",
    "Diagnostic",
    "Digest",
    "DigestFormatError",
    "DiscoveryError",
    "Image",
    "ImageNotFoundError",
    "KubeVersionError",
    "Kubefile",
    "KubefileError",
    "KubeimageError",
    "LayerError",
    "LayerFormatError",
    "LayerLimitError",
    "LayerTooLargeError",
    "Location",
    "MountError",
    "PackingError",
    "PathEscapeError",
    "Platform",
    "PlatformFormatError",
    "PlatformMismatchError",
    "Reference",
    "ReferenceFormatError",
    "RegistryAuthError",
    "RegistryConnectionError",
    "RegistryContentError",
    "RegistryError",
    "RegistryNotFoundError",
    "SandboxError",
    "Settings",
    "SettingsError",
    "SourceEscapeError",
    "SourceNotFoundError",
    "StoreAccessError",
    "StoreError",
    "StoreFullError",
    "StoreVersionError",
    "UnreadableSourceError",
    "UnsupportedSourceError",
    "UsageError",
    "__version__",
    "build",
    "default_root",
    "find_base",
    "find_image",
    "find_kubefile",
    "find_kubefiles",
    "images_of_context",
    "images_of_image",
    "lint_kubefile",
    "lint_paths",
    "log_in",
    "log_out",
    "open_backends",
    "parse",
    "plan_build",
    "preview",
    "pull_image",
    "push_image",
    "read_kubefile",
    "read_settings",
    "render",
    "verify_image",
]

_ERRORS = "kubeimage.errors"
_ELSEWHERE = {
    "find_image": "kubeimage.api.finding",
    "Digest": "kubeimage.image.digest",
    "Image": "kubeimage.image.config",
    "Kubefile": "kubeimage.kubefile",
    "Platform": "kubeimage.image.platform",
    "Reference": "kubeimage.image.reference",
    **dict.fromkeys(("Settings", "read_settings"), "kubeimage.settings"),
    **dict.fromkeys(("images_of_context", "images_of_image", "verify_image"), "kubeimage.api.airgap"),
    **dict.fromkeys(("log_in", "log_out", "pull_image", "push_image"), "kubeimage.api.distribution"),
    **dict.fromkeys(("find_kubefiles", "lint_kubefile", "lint_paths"), "kubeimage.api.linting"),
    "parse": "kubeimage.kubefile",
    "render": "kubeimage.kubefile",
    **dict.fromkeys(("Diagnostic", "Location"), _ERRORS),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _ELSEWHERE.get(name) or (_ERRORS if name.endswith("Error") else "kubeimage.api.building")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
