"""Build cluster images from Kubefiles.

The public names, each from the module that defines it; docs/library.md shows how to use them. They are fetched when
they are first used, so that ``import kubeimage`` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeimage._version import __version__

if TYPE_CHECKING:
    from kubeimage.api.airgap import Verification, images_of_context, images_of_image, rehearse_image, verify_image
    from kubeimage.api.archives import (
        ARCHIVE_FORMATS,
        ArchiveFormat,
        BlobObserver,
        Saved,
        save_image,
    )
    from kubeimage.api.backends import Access, Backends, Fetch, Packer, Sharing, open_backends
    from kubeimage.api.building import build_image, find_base, find_kubefile, plan_build, preview_build, read_kubefile
    from kubeimage.api.comparing import Change, Difference, compare_images
    from kubeimage.api.distribution import log_in, log_out, plain_host, pull_image, push_image
    from kubeimage.api.exporting import Exported, export_image
    from kubeimage.api.externals import ExternalSource, external_sources
    from kubeimage.api.finding import (
        ImageName,
        PastStep,
        find_image,
        inspect_image,
        list_history,
        list_images,
        parse_name,
    )
    from kubeimage.api.forecasting import ImageForecast, bytes_to_come, forecast_images
    from kubeimage.api.inventories import Inventory, find_inventory, take_inventory
    from kubeimage.api.linting import (
        Linted,
        check_allowed,
        find_kubefiles,
        lint_bytes,
        lint_kubefile,
        lint_paths,
        meanings,
    )
    from kubeimage.api.listing import FILTERS, IMAGE_ORDERS, ImageOrder, ListedImage, describe_images, store_sizes
    from kubeimage.api.loading import Loaded, check_archives, load_images
    from kubeimage.api.locking import (
        LockFormat,
        check_lock,
        find_lock,
        format_lock,
        lock_project,
        read_lock,
        write_lock,
    )
    from kubeimage.api.looking import ListedFile, ReadFile, list_files, read_file
    from kubeimage.api.merging import Merged, merge_images
    from kubeimage.api.opening import OpenImage, open_image
    from kubeimage.api.platforms import PlatformsResult, build_platforms
    from kubeimage.api.pushing import build_and_push
    from kubeimage.api.referrers import list_referrers
    from kubeimage.api.reporting import report_image, write_report
    from kubeimage.api.running import PathChange, RunResult, run_image
    from kubeimage.api.searching import read_search
    from kubeimage.api.secrets import SHORTEST_SECRET, read_secrets
    from kubeimage.api.serving import Served, serve_image
    from kubeimage.api.sharing import PrunedCache, SharedCache, prune_shared_cache, share_cache
    from kubeimage.api.signing import CheckedImage, SignatureCheck, Signed, sign_image, verify_signatures
    from kubeimage.api.upkeep import Removed, check_store, measure_store, prune_store, remove_images, tag_image
    from kubeimage.builder.events import (
        BuildFinished,
        BuildStarted,
        Event,
        ImagesLeftOut,
        Observer,
        PackingFinished,
        PackingStarted,
        PlatformStarted,
        StageStarted,
        StepFinished,
        StepOutput,
        StepProgress,
        StepStarted,
        Warned,
    )
    from kubeimage.builder.executor import BuildResult
    from kubeimage.builder.forecast import Forecast
    from kubeimage.builder.plan import BuildOptions, BuildPlan, StagePlan
    from kubeimage.builder.step import Step
    from kubeimage.discovery.findings import Findings, Unreadable
    from kubeimage.discovery.search import Guesses, PullImages, Search
    from kubeimage.errors import (
        AdditionError,
        ArchiveError,
        BaseImageError,
        BlobCorruptError,
        BlobNotFoundError,
        BuildArgError,
        BuildError,
        ChartError,
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
        ImageFileError,
        ImageNameError,
        ImageNotFoundError,
        KubefileError,
        KubeimageError,
        KubeVersionError,
        LayerError,
        LayerFormatError,
        LayerLimitError,
        LayerTooLargeError,
        Location,
        LockError,
        LockFileError,
        LockStaleError,
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
        RehearsalError,
        SandboxError,
        SettingsError,
        SignatureError,
        SourceEscapeError,
        SourceNotFoundError,
        StoppedError,
        StoreAccessError,
        StoreError,
        StoreFullError,
        StoreVersionError,
        TrustError,
        UnreadableSourceError,
        UnsupportedSourceError,
        UsageError,
        UserUnavailableError,
    )
    from kubeimage.image.compatibility import Dialect
    from kubeimage.image.config import Image
    from kubeimage.image.digest import Digest
    from kubeimage.image.document import Layer
    from kubeimage.image.media_types import Format
    from kubeimage.image.oci import Descriptor
    from kubeimage.image.platform import Platform
    from kubeimage.image.reference import Naming, Reference
    from kubeimage.image.referrers import ALL_REFERRERS, NO_REFERRERS, Referrer, ReferrerChoice
    from kubeimage.image.trust import IDENTITY_RULES, IdentityRule, TrustPolicy, TrustRule
    from kubeimage.kubefile import CODES, Kubefile, lint, parse, render
    from kubeimage.layer.compression import Coding
    from kubeimage.layer.entry import Entry
    from kubeimage.lock.drift import Drift
    from kubeimage.lock.lockfile import Lock, LockedChart, LockedImage, LockedURL
    from kubeimage.packing.closure import Flaw
    from kubeimage.pages.page import ImagePage
    from kubeimage.protocols.cache import BuildCache
    from kubeimage.protocols.context import SourceCollector
    from kubeimage.protocols.images import ImageRecord, ImageStore
    from kubeimage.protocols.layers import LayerStore
    from kubeimage.protocols.packing import ImagePacker
    from kubeimage.protocols.running import CommandRunner, Mounter
    from kubeimage.protocols.transfer import Arrival, Budget
    from kubeimage.protocols.watching import ignore
    from kubeimage.registry.events import (
        BlobFinished,
        BlobProgress,
        ImageFetched,
        ImageLookedUp,
        PackingProgress,
        ReferrerFinished,
        TransferEvent,
        TransferFinished,
        TransferObserver,
        TransferStarted,
        TransferWarned,
    )
    from kubeimage.rehearsal.outcome import Pulled, Rehearsal, RehearsedImage
    from kubeimage.report import format_diagnostics, format_error
    from kubeimage.settings import (
        DURATIONS,
        SIZES,
        RunSettings,
        Settings,
        default_root,
        parse_duration,
        parse_size,
        read_settings,
    )
    from kubeimage.signing.judging import Verdict
    from kubeimage.store import Store
    from kubeimage.store.findings import Finding
    from kubeimage.store.garbage import GarbageReport
    from kubeimage.store.policy import PrunePolicy

__all__ = [
    "ALL_REFERRERS",
    "ARCHIVE_FORMATS",
    "CODES",
    "DURATIONS",
    "FILTERS",
    "IDENTITY_RULES",
    "IMAGE_ORDERS",
    "NO_REFERRERS",
    "SHORTEST_SECRET",
    "SIZES",
    "Access",
    "AdditionError",
    "ArchiveError",
    "ArchiveFormat",
    "Arrival",
    "Backends",
    "BaseImageError",
    "BlobCorruptError",
    "BlobFinished",
    "BlobNotFoundError",
    "BlobObserver",
    "BlobProgress",
    "Budget",
    "BuildArgError",
    "BuildCache",
    "BuildError",
    "BuildFinished",
    "BuildOptions",
    "BuildPlan",
    "BuildResult",
    "BuildStarted",
    "Change",
    "ChartError",
    "CheckedImage",
    "Coding",
    "CommandError",
    "CommandRunner",
    "CommandTimeoutError",
    "ContextChangedError",
    "ContextError",
    "ContextNotFoundError",
    "CredentialsError",
    "Descriptor",
    "DestinationError",
    "Diagnostic",
    "Dialect",
    "Difference",
    "Digest",
    "DigestFormatError",
    "DiscoveryError",
    "Drift",
    "Entry",
    "Event",
    "Exported",
    "ExternalSource",
    "Fetch",
    "Finding",
    "Findings",
    "Flaw",
    "Forecast",
    "Format",
    "GarbageReport",
    "Guesses",
    "IdentityRule",
    "Image",
    "ImageFetched",
    "ImageFileError",
    "ImageForecast",
    "ImageLookedUp",
    "ImageName",
    "ImageNameError",
    "ImageNotFoundError",
    "ImageOrder",
    "ImagePacker",
    "ImagePage",
    "ImageRecord",
    "ImageStore",
    "ImagesLeftOut",
    "Inventory",
    "KubeVersionError",
    "Kubefile",
    "KubefileError",
    "KubeimageError",
    "Layer",
    "LayerError",
    "LayerFormatError",
    "LayerLimitError",
    "LayerStore",
    "LayerTooLargeError",
    "Linted",
    "ListedFile",
    "ListedImage",
    "Loaded",
    "Location",
    "Lock",
    "LockError",
    "LockFileError",
    "LockFormat",
    "LockStaleError",
    "LockedChart",
    "LockedImage",
    "LockedURL",
    "Merged",
    "MountError",
    "Mounter",
    "Naming",
    "Observer",
    "OpenImage",
    "Packer",
    "PackingError",
    "PackingFinished",
    "PackingProgress",
    "PackingStarted",
    "PastStep",
    "PathChange",
    "PathEscapeError",
    "Platform",
    "PlatformFormatError",
    "PlatformMismatchError",
    "PlatformStarted",
    "PlatformsResult",
    "PrunePolicy",
    "PrunedCache",
    "PullImages",
    "Pulled",
    "ReadFile",
    "Reference",
    "ReferenceFormatError",
    "Referrer",
    "ReferrerChoice",
    "ReferrerFinished",
    "RegistryAuthError",
    "RegistryConnectionError",
    "RegistryContentError",
    "RegistryError",
    "RegistryNotFoundError",
    "Rehearsal",
    "RehearsalError",
    "RehearsedImage",
    "Removed",
    "RunResult",
    "RunSettings",
    "SandboxError",
    "Saved",
    "Search",
    "Served",
    "Settings",
    "SettingsError",
    "SharedCache",
    "Sharing",
    "SignatureCheck",
    "SignatureError",
    "Signed",
    "SourceCollector",
    "SourceEscapeError",
    "SourceNotFoundError",
    "StagePlan",
    "StageStarted",
    "Step",
    "StepFinished",
    "StepOutput",
    "StepProgress",
    "StepStarted",
    "StoppedError",
    "Store",
    "StoreAccessError",
    "StoreError",
    "StoreFullError",
    "StoreVersionError",
    "TransferEvent",
    "TransferFinished",
    "TransferObserver",
    "TransferStarted",
    "TransferWarned",
    "TrustError",
    "TrustPolicy",
    "TrustRule",
    "Unreadable",
    "UnreadableSourceError",
    "UnsupportedSourceError",
    "UsageError",
    "UserUnavailableError",
    "Verdict",
    "Verification",
    "Warned",
    "__version__",
    "build_and_push",
    "build_image",
    "build_platforms",
    "bytes_to_come",
    "check_allowed",
    "check_archives",
    "check_lock",
    "check_store",
    "compare_images",
    "default_root",
    "describe_images",
    "export_image",
    "external_sources",
    "find_base",
    "find_image",
    "find_inventory",
    "find_kubefile",
    "find_kubefiles",
    "find_lock",
    "forecast_images",
    "format_diagnostics",
    "format_error",
    "format_lock",
    "ignore",
    "images_of_context",
    "images_of_image",
    "inspect_image",
    "lint",
    "lint_bytes",
    "lint_kubefile",
    "lint_paths",
    "list_files",
    "list_history",
    "list_images",
    "list_referrers",
    "load_images",
    "lock_project",
    "log_in",
    "log_out",
    "meanings",
    "measure_store",
    "merge_images",
    "open_backends",
    "open_image",
    "parse",
    "parse_duration",
    "parse_name",
    "parse_size",
    "plain_host",
    "plan_build",
    "preview_build",
    "prune_shared_cache",
    "prune_store",
    "pull_image",
    "push_image",
    "read_file",
    "read_kubefile",
    "read_lock",
    "read_search",
    "read_secrets",
    "read_settings",
    "rehearse_image",
    "remove_images",
    "render",
    "report_image",
    "run_image",
    "save_image",
    "serve_image",
    "share_cache",
    "sign_image",
    "store_sizes",
    "tag_image",
    "take_inventory",
    "verify_image",
    "verify_signatures",
    "write_lock",
    "write_report",
]

_HOMES = {
    "kubeimage.image.compatibility": "Dialect",
    "kubeimage.api.airgap": "Verification images_of_context images_of_image rehearse_image verify_image",
    "kubeimage.api.archives": "ARCHIVE_FORMATS ArchiveFormat BlobObserver Saved save_image",
    "kubeimage.api.inventories": "Inventory find_inventory take_inventory",
    "kubeimage.api.loading": "Loaded check_archives load_images",
    "kubeimage.api.backends": "Access Backends Fetch Packer Sharing open_backends",
    "kubeimage.api.building": "build_image find_base find_kubefile plan_build preview_build read_kubefile",
    "kubeimage.api.comparing": "Change Difference compare_images",
    "kubeimage.api.distribution": "log_in log_out plain_host pull_image push_image",
    "kubeimage.api.exporting": "Exported export_image",
    "kubeimage.api.externals": "ExternalSource external_sources",
    "kubeimage.api.finding": "ImageName PastStep find_image inspect_image list_history list_images parse_name",
    "kubeimage.api.pushing": "build_and_push",
    "kubeimage.api.reporting": "report_image write_report",
    "kubeimage.pages.page": "ImagePage",
    "kubeimage.api.linting": "Linted check_allowed find_kubefiles lint_bytes lint_kubefile lint_paths meanings",
    "kubeimage.api.forecasting": "ImageForecast bytes_to_come forecast_images",
    "kubeimage.api.locking": "LockFormat check_lock find_lock format_lock lock_project read_lock write_lock",
    "kubeimage.api.listing": "FILTERS IMAGE_ORDERS ImageOrder ListedImage describe_images store_sizes",
    "kubeimage.api.looking": "ListedFile ReadFile list_files read_file",
    "kubeimage.api.serving": "Served serve_image",
    "kubeimage.api.merging": "Merged merge_images",
    "kubeimage.api.opening": "OpenImage open_image",
    "kubeimage.api.platforms": "PlatformsResult build_platforms",
    "kubeimage.api.running": "PathChange RunResult run_image",
    "kubeimage.api.searching": "read_search",
    "kubeimage.api.secrets": "SHORTEST_SECRET read_secrets",
    "kubeimage.api.signing": "CheckedImage SignatureCheck Signed sign_image verify_signatures",
    "kubeimage.api.sharing": "PrunedCache SharedCache prune_shared_cache share_cache",
    "kubeimage.api.upkeep": "Removed check_store measure_store prune_store remove_images tag_image",
    "kubeimage.builder.events": (
        "BuildFinished BuildStarted Event ImagesLeftOut StepProgress Observer PackingFinished PackingStarted "
        "PlatformStarted StageStarted StepFinished StepOutput StepStarted Warned"
    ),
    "kubeimage.builder.executor": "BuildResult",
    "kubeimage.builder.forecast": "Forecast",
    "kubeimage.builder.plan": "BuildOptions BuildPlan StagePlan",
    "kubeimage.builder.step": "Step",
    "kubeimage.discovery.findings": "Findings Unreadable",
    "kubeimage.discovery.search": "Guesses PullImages Search",
    "kubeimage.image.config": "Image",
    "kubeimage.image.digest": "Digest",
    "kubeimage.image.document": "Layer",
    "kubeimage.image.media_types": "Format",
    "kubeimage.image.oci": "Descriptor",
    "kubeimage.image.platform": "Platform",
    "kubeimage.image.reference": "Naming Reference",
    "kubeimage.api.referrers": "list_referrers",
    "kubeimage.image.referrers": "ALL_REFERRERS NO_REFERRERS Referrer ReferrerChoice",
    "kubeimage.image.trust": "IDENTITY_RULES IdentityRule TrustPolicy TrustRule",
    "kubeimage.kubefile": "CODES Kubefile lint parse render",
    "kubeimage.layer.compression": "Coding",
    "kubeimage.layer.entry": "Entry",
    "kubeimage.lock.drift": "Drift",
    "kubeimage.lock.lockfile": "Lock LockedChart LockedImage LockedURL",
    "kubeimage.packing.closure": "Flaw",
    "kubeimage.protocols.cache": "BuildCache",
    "kubeimage.protocols.context": "SourceCollector",
    "kubeimage.protocols.images": "ImageRecord ImageStore",
    "kubeimage.protocols.layers": "LayerStore",
    "kubeimage.protocols.packing": "ImagePacker",
    "kubeimage.protocols.running": "CommandRunner Mounter",
    "kubeimage.protocols.transfer": "Arrival Budget",
    "kubeimage.protocols.watching": "ignore",
    "kubeimage.registry.events": (
        "BlobFinished BlobProgress ImageFetched ImageLookedUp PackingProgress ReferrerFinished TransferEvent "
        "TransferFinished TransferObserver TransferStarted TransferWarned"
    ),
    "kubeimage.rehearsal.outcome": "Pulled Rehearsal RehearsedImage",
    "kubeimage.report": "format_diagnostics format_error",
    "kubeimage.signing.judging": "Verdict",
    "kubeimage.settings": "DURATIONS RunSettings SIZES Settings default_root parse_duration parse_size read_settings",
    "kubeimage.store": "Store",
    "kubeimage.store.findings": "Finding",
    "kubeimage.store.garbage": "GarbageReport",
    "kubeimage.store.policy": "PrunePolicy",
}
"""The names that each module defines, but for the errors, which `kubeimage.errors` does."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    homes = (module for module, names in _HOMES.items() if name in names.split())
    value = getattr(import_module(next(homes, "kubeimage.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
