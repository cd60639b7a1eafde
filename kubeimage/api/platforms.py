"""A build for several platforms: one name, one index, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from kubeimage.api.building import Backends, BuildOptions, BuildResult, check_build, make_parts, plan_build
from kubeimage.builder.events import BuildStarted, Event, Observer, ignore
from kubeimage.builder.executor import execute_all
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Kubefile
from kubeimage.values import dataclass


@dataclass(frozen=True)
class PlatformsResult:
    """Finished builds, in the order of their platforms, and the index that holds their images."""

    index: Digest
    results: tuple[BuildResult, ...]


def check_platforms(
    kubefile: Kubefile,
    context: str,
    root: str | None,
    options: BuildOptions,
    platforms: Sequence[Platform],
    *,
    fetches: bool = False,
) -> None:
    """Find out whether the builds can begin, without writing anything; ``fetches`` as ``check_build`` means it.

    Raises: what ``check_build`` raises, for the first platform that cannot be built.
    """
    for platform in platforms:
        check_build(kubefile, context, root, replace(options, platform=platform), fetches=fetches)


def build_platforms(
    kubefile: Kubefile,
    context: str,
    backends: Backends,
    platforms: Sequence[Platform],
    options: BuildOptions,
    *,
    observe: Observer = ignore,
    announce: Callable[[Platform], None] = lambda _platform: None,
) -> PlatformsResult:
    """Build ``kubefile`` for each of ``platforms``, and put the images into the store under one name, at once.

    Shape:  ``announce`` is told which platform the events that follow are about.
    Raises: any KubeimageError; then the store shows nothing of the images.
    """
    each = [replace(options, platform=platform) for platform in platforms]
    plans = [plan_build(kubefile, backends.images, one, backends.fetch) for one in each]
    parts = make_parts(backends, context, options)
    index, results = execute_all(plans, parts, _announcing(platforms, announce, observe))
    return PlatformsResult(index, results)


def _announcing(platforms: Sequence[Platform], announce: Callable[[Platform], None], observe: Observer) -> Observer:
    waiting = iter(platforms)

    def watch(event: Event) -> None:
        if isinstance(event, BuildStarted):
            announce(next(waiting))
        observe(event)

    return watch
