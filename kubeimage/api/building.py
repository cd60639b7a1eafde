"""kubeimage as a library: one real choice for each protocol, and the whole operations on them.

with open_backends("/srv/store") as backends:
    result = build(read_kubefile("Kubefile"), ".", backends, BuildOptions(references=(Reference.parse("app:v1"),)))
    print(result.image.id)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kubeimage.api.backends import Backends, Fetch, open_backends
from kubeimage.builder.events import Observer, ignore
from kubeimage.builder.executor import BuildResult, Parts, check_runs, execute
from kubeimage.builder.plan import SCRATCH, BuildOptions, BuildPlan, base_name, make_plan
from kubeimage.errors import (
    BaseImageError,
    ContextNotFoundError,
    KubeimageError,
    ReferenceFormatError,
    RegistryError,
    RegistryNotFoundError,
    UsageError,
)
from kubeimage.image.config import Image
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile, parse
from kubeimage.protocols.images import ImageStore
from kubeimage.settings import default_root

if TYPE_CHECKING:
    from kubeimage.builder.forecast import Forecast

KUBEFILE_NAMES = ("Kubefile", "kubefile")


def read_kubefile(path: str) -> Kubefile:
    """Read and parse the Kubefile at ``path``.

    Raises: KubefileError with all its errors; UsageError where there is no readable file.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        raise UsageError(f"no Kubefile at {path!r}", hint="name it with -f, or put it into the context") from None
    except IsADirectoryError:
        raise UsageError(f"{path!r} is a folder, not a Kubefile", hint="name the file itself with -f") from None
    except OSError as error:
        raise UsageError(f"cannot read the Kubefile {path!r}: {error.strerror}") from error
    return parse(data, file=path)


def find_kubefile(context: str) -> str:
    """Give the path of the Kubefile in ``context``: ``Kubefile``, else ``kubefile``.

    Raises: ContextNotFoundError, UsageError.
    """
    if not os.path.isdir(context):
        what = "is a file, not a folder" if os.path.exists(context) else "does not exist"
        raise ContextNotFoundError(f"the build context {context!r} {what}")
    for name in KUBEFILE_NAMES:
        path = os.path.join(context, name)
        if os.path.lexists(path):
            return path
    raise UsageError(f"no Kubefile in {context!r}", hint="name the file itself")


def plan_build(kubefile: Kubefile, images: ImageStore, options: BuildOptions, fetch: Fetch | None = None) -> BuildPlan:
    """Resolve the base and every instruction, and check the layer limit, before any work.

    Raises: BaseImageError, LayerLimitError, BuildArgError, KubefileError; what ``fetch`` raises.
    """
    return make_plan(kubefile, find_base(kubefile, images, options, fetch), options)


def check_build(
    kubefile: Kubefile, context: str, root: str | None, options: BuildOptions, *, fetches: bool = False
) -> None:
    """Find out whether a build can begin, without writing anything: a store that is not there is not made.

    With ``fetches``, a base image that the build would fetch need not be there.
    Raises: ContextNotFoundError, and what ``plan_build`` raises.
    """
    with open_backends(root, create=False) as backends:
        backends.collector(context)
        if fetches and options.pull == "always" and base_reference(kubefile, options) is not None:
            return
        try:
            check_runs(plan_build(kubefile, backends.images, options), backends.runner)
        except BaseImageError:
            if not fetches or options.pull == "never":
                raise


def base_reference(kubefile: Kubefile, options: BuildOptions) -> Reference | None:
    """Give the name that FROM says, completed; None for scratch.

    Raises: ReferenceFormatError, KubefileError, with FROM's place.
    """
    name = base_name(kubefile, options)
    if name == SCRATCH:
        return None
    try:
        return options.naming.parse(name)
    except ReferenceFormatError as error:
        error.location = kubefile.base.span.location
        raise


def find_base(
    kubefile: Kubefile, images: ImageStore, options: BuildOptions, fetch: Fetch | None = None
) -> Image | None:
    """Give the image that FROM names, None for scratch; ``fetch`` brings it where it is missing, or always.

    Raises: BaseImageError, and what ``fetch`` raises, with FROM's place.
    """
    reference = base_reference(kubefile, options)
    if reference is None:
        return None
    fetches = fetch if options.pull != "never" else None
    try:
        # What is damaged is an error, not missing; but it may be fetched anew.
        is_asked_for = fetches is not None and options.pull == "always"
        image = None if is_asked_for else images.get(reference, options.target)
        if fetches is not None and image is None:
            fetches(reference, options.target)
            image = images.get(reference, options.target)
        if image is None:
            raise _no_base(reference, images, options)
    except RegistryNotFoundError as error:
        missing = _no_base(reference, images, options, f", and {error}")
        missing.location = kubefile.base.span.location
        raise missing from error
    except KubeimageError as error:
        error.location = error.location or kubefile.base.span.location
        if isinstance(error, RegistryError):
            error.hint = "; ".join(filter(None, (error.hint, _offline_hint(options))))
        raise
    return image


def _no_base(reference: Reference, images: ImageStore, options: BuildOptions, elsewhere: str = "") -> BaseImageError:
    others = sorted({str(one.platform) for one in images.records() if one.reference == reference})
    found = f"; the store has it for {', '.join(others)}" if others else ""
    name = options.naming.familiar(reference)
    fetch = "" if elsewhere else f"; or fetch it: kubeimage pull {name}"
    return BaseImageError(
        f"the base image {name} is not in the store for {options.target}{found}{elsewhere}",
        hint=f"build it first: kubeimage build -t {name} …{fetch}",
    )


def _offline_hint(options: BuildOptions) -> str:
    if options.pull == "always":
        return "--pull missing takes the base image that the store has"
    return "the store does not have the base image; with --pull never no registry is asked for it"


def build(
    kubefile: Kubefile,
    context: str,
    backends: Backends,
    options: BuildOptions | None = None,
    observe: Observer = ignore,
) -> BuildResult:
    """Build ``kubefile`` in ``context`` and put the image into the store.

    Raises: any KubeimageError; then the store shows nothing of the image.
    """
    options = options or BuildOptions()
    parts = make_parts(backends, context, options)
    return execute(plan_build(kubefile, backends.images, options, backends.fetch), parts, observe)


def make_parts(backends: Backends, context: str, options: BuildOptions) -> Parts:
    """Give what the executor works with, for one context.

    Raises: ContextNotFoundError.
    """
    packer = backends.packer(context, options) if backends.packer is not None else None
    return Parts(
        backends.layers,
        backends.images,
        backends.cache,
        backends.collector(context),
        backends.mounter,
        backends.runner,
        packer,
    )


def preview(
    kubefile: Kubefile, context: str, backends: Backends, options: BuildOptions | None = None
) -> tuple[Forecast, ...]:
    """Say what a build would do, changing nothing.

    Raises: what a build would raise before it runs a command.
    """
    from kubeimage.builder.forecast import forecast

    collector = backends.collector(context)
    plan = plan_build(kubefile, backends.images, options or BuildOptions())
    check_runs(plan, backends.runner)
    return forecast(plan, backends.cache, collector)


__all__ = [
    "Backends",
    "BuildOptions",
    "BuildResult",
    "build",
    "check_build",
    "default_root",
    "find_base",
    "find_kubefile",
    "open_backends",
    "plan_build",
    "preview",
    "read_kubefile",
]
