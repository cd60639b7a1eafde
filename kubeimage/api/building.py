"""Whole operations around a build: read a Kubefile, plan, foresee and build.

with open_backends("/srv/store") as backends:
    options = BuildOptions(references=(Reference.parse("app:v1"),))
    result = build_image(read_kubefile("Kubefile"), ".", backends, options=options)
    print(result.image.id)
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeimage.api.backends import Backends
from kubeimage.api.roots import OutsideRoots, temporary_folder
from kubeimage.api.sharing import execute_shared
from kubeimage.builder.events import Observer
from kubeimage.builder.executor import BuildResult, check_runs, execute
from kubeimage.builder.plan import SCRATCH, BuildOptions, BuildPlan
from kubeimage.builder.planning import make_plan, scope_of
from kubeimage.builder.stagebuild import Parts
from kubeimage.disk.smallfile import is_within, read_small
from kubeimage.errors import (
    BaseImageError,
    ContextNotFoundError,
    KubeimageError,
    Location,
    ReferenceFormatError,
    RegistryError,
    RegistryNotFoundError,
    UsageError,
)
from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile, Scope, parse
from kubeimage.kubefile.statement import closest
from kubeimage.protocols.watching import ignore
from kubeimage.store import cache_folder

if TYPE_CHECKING:
    from kubeimage.builder.dockerscope import DockerScope, Outside
    from kubeimage.builder.forecast import Forecast
    from kubeimage.lock.lockfile import Lock
    from kubeimage.protocols.context import SourceCollector
    from kubeimage.protocols.images import ImageStore

KUBEFILE_NAMES = ("Kubefile", "kubefile", "Sealfile", "Dockerfile", "Containerfile")
_LOWERED = {name.lower() for name in KUBEFILE_NAMES}


def read_kubefile(path: str, *, dialect: Dialect | None = None, preset: Dialect = DEFAULT_DIALECT) -> Kubefile:
    """Read and parse the Kubefile at ``path``.

    Without a ``dialect``, a directive ``# syntax=`` or the file's name says which it is in; else it is the ``preset``.
    Raises: KubefileError with all its errors; UsageError where there is no readable file.
    """
    try:
        data = read_small(path)
    except FileNotFoundError:
        hint = "/dev/stdin is standard input" if path == "-" else "look at its path, from the current folder on"
        raise UsageError(f"no Kubefile at {path!r}", hint=hint) from None
    except IsADirectoryError:
        raise UsageError(f"{path!r} is a folder, not a Kubefile", hint="name a file in it") from None
    except OSError as error:
        raise UsageError(f"cannot read the Kubefile {path!r}: {error.strerror}") from error
    return parse(data, file=path, dialect=dialect, preset=preset)


def find_kubefile(context: str) -> str:
    """Return the path of the Kubefile in ``context``: the first of `KUBEFILE_NAMES` that is there.

    Raises: ContextNotFoundError, UsageError.
    """
    if not os.path.isdir(context):
        is_file = os.path.exists(context)
        what = "is a file, not a folder" if is_file else "does not exist"
        hint = f"if it is the Kubefile: -f {context} {os.path.dirname(context) or '.'}" if is_file else None
        raise ContextNotFoundError(f"the build context {context!r} {what}", hint=hint)
    for name in KUBEFILE_NAMES:
        path = os.path.join(context, name)
        if os.path.lexists(path):
            if not is_within(path, context):
                raise UsageError(f"{path!r} leads out of the build context", hint="name the file itself with -f")
            return path
    alike = [name for name in sorted(os.listdir(context)) if name.lower() in _LOWERED]
    hint = f"-f {os.path.join(context, alike[0])} names one" if alike else "name the file itself with -f"
    raise UsageError(f"no Kubefile in {context!r}", hint=hint)


def plan_build(kubefile: Kubefile, backends: Backends, *, options: BuildOptions | None = None) -> BuildPlan:
    """Return what a build will do: the base and every instruction resolved, the layer limit checked.

    Shape:  ``build_image`` takes the plan, and builds what was planned.
            The base image is fetched where ``options.pull`` says so and the backends can.
    Raises: BaseImageError, LayerLimitError, PlatformMismatchError, BuildArgError, KubefileError, ReferenceFormatError;
            RegistryError where the base cannot be fetched; LockStaleError where it is not what ``options.lock`` says.
    """
    options = options or BuildOptions()
    scope = scope_of(kubefile, options)
    if options.lock is not None:
        return _plan_locked(kubefile, scope, backends, options, options.lock)
    return _plan(kubefile, scope, backends, options)


def _plan(kubefile: Kubefile, scope: Scope | DockerScope, backends: Backends, options: BuildOptions) -> BuildPlan:
    if isinstance(scope, Scope):
        return make_plan(kubefile, _find_base(scope, backends, options), options, scope)
    return make_plan(kubefile, None, options, scope, _find_outside(scope, backends, options))


def _plan_locked(
    kubefile: Kubefile, scope: Scope | DockerScope, backends: Backends, options: BuildOptions, lock: Lock
) -> BuildPlan:
    """Plan with the images that the lock says.

    Raises: as ``plan_build`` does; LockStaleError.
    """
    from kubeimage.api.lockedbases import with_locked_bases
    from kubeimage.api.lockedurls import with_locked_urls

    locked, bases = with_locked_bases(backends, options, lock)
    # What is asked for by digest need not be asked for again.
    plan = _plan(kubefile, scope, locked, replace(options, pull="never" if options.pull == "never" else "missing"))
    own = lock.for_platform(options.target)
    bases.check_unused(own)
    return with_locked_urls(replace(plan, options=options), own)


def find_base(kubefile: Kubefile, backends: Backends, *, options: BuildOptions | None = None) -> Image | None:
    """Return the image that FROM names, None for scratch; it is fetched as for ``plan_build``.

    Raises: BaseImageError, and what fetching raises, with FROM's place.
    """
    options = options or BuildOptions()
    if options.lock is not None:
        return plan_build(kubefile, backends, options=options).base
    return _find_base(scope_of(kubefile, options), backends, options)


def _find_base(scope: Scope | DockerScope, backends: Backends, options: BuildOptions) -> Image | None:
    if scope.base_name == SCRATCH:
        return None
    if isinstance(scope, Scope):
        location, target = scope.kubefile.base.span.location, options.target
    else:
        location, target = scope.bottom.stage.base.span.location, scope.bottom.platform
    return _find_image(
        _read_name(scope.base_name, location, options), location, backends, _for_platform(options, target)
    )


def _for_platform(options: BuildOptions, target: Platform) -> BuildOptions:
    """Return ``options`` for that platform."""
    return options if options.target == target else replace(options, platform=target)


def _find_outside(scope: DockerScope, backends: Backends, options: BuildOptions) -> dict[Outside, Image]:
    """Return the images that the stages stand on and take from; they are fetched, where they must be."""
    found: dict[Outside, Image] = {}
    for outside, one in scope.outside.items():
        location = one.span.location
        reference = _read_name(outside.name, location, options)
        try:
            found[outside] = _find_image(reference, location, backends, _for_platform(options, outside.platform))
        except (BaseImageError, RegistryError) as error:
            error.hint = _near_stage(scope, outside.name) or error.hint
            raise
    return found


def _near_stage(scope: DockerScope, name: str) -> str | None:
    """Say which stage was probably meant where an image is missing."""
    names = [one.base.stage for one in scope.kubefile.stages if one.base.stage]
    if name.lower() in names:
        return f"the stage {name} stands below; a stage stands on those above it"
    meant = closest(name.lower(), names)
    return f"the file has a stage {meant}: did you mean that?" if meant else None


def _find_image(reference: Reference, location: Location, backends: Backends, options: BuildOptions) -> Image:
    images = backends.images
    try:
        image = _get_base(reference, backends, options)
        if backends.trust:
            from kubeimage.api.trusting import check_base

            check_base(image, reference, backends, ask=options.pull != "never")
    except RegistryNotFoundError as error:
        missing = _no_base(reference, images, options, f", and {error}")
        missing.location = location
        raise missing from error
    except KubeimageError as error:
        error.location = error.location or location
        if isinstance(error, RegistryError):
            error.hint = _near_base(reference, images, options) or error.hint or _offline_hint(options)
            if options.pull != "always":
                name = options.naming.familiar(reference)
                error.message = f"the base image {name} is not in the store, and cannot be fetched: {error.message}"
                error.args = (error.message,)
        raise
    return image


def _read_name(name: str, location: Location, options: BuildOptions) -> Reference:
    try:
        return options.naming.parse(name)
    except ReferenceFormatError as error:
        error.location = location
        raise


def _get_base(reference: Reference, backends: Backends, options: BuildOptions) -> Image:
    """Return the image of that name; it is fetched where it is missing, or always."""
    images, target = backends.images, options.target
    fetch = backends.fetch if options.pull != "never" else None
    # What is damaged is an error, not missing; but it may be fetched anew.
    found = None if fetch is not None and options.pull == "always" else images.get(reference, target)
    if found is None and fetch is not None:
        fetch(reference, target)
        found = images.get(reference, target)
    if found is None:
        raise _no_base(reference, images, options)
    return found


def _no_base(reference: Reference, images: ImageStore, options: BuildOptions, elsewhere: str = "") -> BaseImageError:
    others = sorted({str(one.platform) for one in images.records() if one.reference == reference})
    found = f"; the store has it for {', '.join(others)}" if others else ""
    name = options.naming.familiar(reference)
    fetch = "" if elsewhere else f"; or fetch it: kubeimage pull {name}"
    near = None if others else _near_base(reference, images, options)
    return BaseImageError(
        f"the base image {name} is not in the store for {options.target}{found}{elsewhere}",
        hint=near or f"build it first: kubeimage build -t {name} …{fetch}",
    )


def _near_base(reference: Reference, images: ImageStore, options: BuildOptions) -> str | None:
    """Say which image of the store was probably meant, if one was."""
    naming = options.naming
    known = {one.reference for one in images.records() if one.reference is not None}
    near = naming.near(naming.familiar(reference), sorted(known, key=str))
    return f"the store has {' and '.join(near)}: did you mean that?" if near else None


def _offline_hint(options: BuildOptions) -> str:
    if options.pull == "always":
        return "--pull missing takes the base image that the store has"
    return "the store does not have the base image; with --pull never no registry is asked for it"


def build_image(
    kubefile: Kubefile | BuildPlan,
    context: str,
    backends: Backends,
    *,
    options: BuildOptions | None = None,
    observe: Observer = ignore,
) -> BuildResult:
    """Build a Kubefile, or what was planned of one, in the folder ``context``, and put the image into the store.

    Shape:  a plan brings its options. A store that is not there is made once the build can begin.
    Raises: any KubeimageError; then the store shows nothing of the image.
            UsageError for backends that were not opened to write, or for options beside a plan.
    """
    backends.require("write")
    collector = backends.collector(context)
    plan = _planned(kubefile, backends, options)
    check_runs(plan, backends.runner)
    make_store(backends)
    options = replace(plan.options, search=plan.options.search.of_kubefile(plan.kubefile.commands, plan.dialect))
    parts = make_parts(backends, context, options, collector)
    return execute_shared(backends.sharing, lambda: execute(plan, parts, observe))


def _planned(kubefile: Kubefile | BuildPlan, backends: Backends, options: BuildOptions | None) -> BuildPlan:
    if not isinstance(kubefile, BuildPlan):
        return plan_build(kubefile, backends, options=options)
    if options is not None:
        raise UsageError("a plan has its options already", hint="give them to plan_build")
    return kubefile


def make_store(backends: Backends) -> None:
    """Make the store, where there is none and one can be: later it could fail in the middle of a build.

    Raises: StoreAccessError, StoreFullError.
    """
    if backends.store is not None:
        backends.store.make()


def make_parts(backends: Backends, context: str, options: BuildOptions, collector: SourceCollector) -> Parts:
    """Return what the executor works with, for one context."""
    make_packer = backends.packer
    packer = make_packer(context, options, backends.layers, backends.cache) if make_packer is not None else None
    return Parts(
        backends.layers,
        backends.images,
        backends.cache,
        collector,
        backends.mounter,
        backends.runner,
        packer,
        _outside_roots(backends),
    )


def _outside_roots(backends: Backends) -> OutsideRoots:
    if backends.store is None:
        return OutsideRoots(backends.layers, temporary_folder, backends.settings)
    caches = os.path.join(cache_folder(backends.store.root), "mounts")
    return OutsideRoots(backends.layers, backends.store.snapshots.scratch, backends.settings, caches)


def preview_build(
    kubefile: Kubefile | BuildPlan, context: str, backends: Backends, *, options: BuildOptions | None = None
) -> tuple[Forecast, ...]:
    """Say what a build would do, changing nothing: no base image is fetched.

    Raises: what a build would raise before it runs a command.
    """
    from kubeimage.builder.forecast import forecast

    collector = backends.collector(context)
    plan = _planned(kubefile, replace(backends, fetch=None), options)
    check_runs(plan, backends.runner)
    return forecast(plan, backends.cache, collector, backends.layers)


__all__ = [
    "BuildOptions",
    "BuildPlan",
    "BuildResult",
    "build_image",
    "find_base",
    "find_kubefile",
    "plan_build",
    "preview_build",
    "read_kubefile",
]
