"""A build for several platforms: one name, one index, all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from kubeimage.api.backends import Backends
from kubeimage.api.building import build_image, make_parts, make_store, plan_build
from kubeimage.api.sharing import execute_shared
from kubeimage.builder.events import BuildStarted, Event, Observer, PlatformStarted
from kubeimage.builder.executor import BuildResult, check_runs, execute_all
from kubeimage.builder.plan import BuildOptions
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Kubefile
from kubeimage.protocols.watching import ignore
from kubeimage.values import dataclass


@dataclass(frozen=True)
class PlatformsResult:
    """Finished builds, in the order of their platforms. Shape: ``index`` holds their images; None where there is one.

    A single image needs no index: it is what a build for its platform makes.
    """

    results: tuple[BuildResult, ...]
    index: Digest | None = None

    @property
    def digest(self) -> Digest:
        """What stands for all of it: the index's digest, or the id of the only image."""
        return self.index if self.index is not None else self.results[0].image.id


def build_platforms(
    kubefile: Kubefile,
    context: str,
    backends: Backends,
    *,
    platforms: Sequence[Platform] = (),
    options: BuildOptions | None = None,
    observe: Observer = ignore,
) -> PlatformsResult:
    """Build ``kubefile`` for each of ``platforms``, and put the images into the store under one name, at once.

    Shape:  without ``platforms`` it is built for that of the options.
            Of several, ``observe`` hears of a PlatformStarted before the events of each.
    Raises: any KubeimageError; then the store shows nothing of the images.
    """
    options = options or BuildOptions()
    each = [replace(options, platform=platform) for platform in platforms] or [options]
    if len(each) == 1:
        return PlatformsResult((build_image(kubefile, context, backends, options=each[0], observe=observe),))
    backends.require("write")
    collector = backends.collector(context)
    plans = [plan_build(kubefile, backends, options=one) for one in each]
    for plan in plans:
        check_runs(plan, backends.runner)
    make_store(backends)
    searching = replace(options, search=options.search.of_kubefile(kubefile.commands, kubefile.dialect))
    parts = make_parts(backends, context, searching, collector)
    run = partial(execute_all, plans, parts)
    index, results = execute_shared(backends.sharing, lambda: run(_announcing(platforms, observe)))
    return PlatformsResult(results, index)


def _announcing(platforms: Sequence[Platform], observe: Observer) -> Observer:
    waiting = iter(platforms)

    def watch(event: Event) -> None:
        if isinstance(event, BuildStarted):
            observe(PlatformStarted(next(waiting)))
        observe(event)

    return watch


__all__ = ["PlatformsResult", "build_platforms"]
