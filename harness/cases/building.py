"""kube_build: a build in a line of a test."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from harness.asking.kubefiles import kubefile_in
from harness.cases.modelled import put_image
from harness.cases.standins import StandInImageStore, import_image
from harness.cases.workshop import Asked, Workshop
from harness.images.image import BuiltImage
from harness.model import Image as ModelImage
from harness.trees import Tree, write_tree
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions, build_image, read_kubefile
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile, parse
from kubeimage.protocols.running import CommandRunner, Mounter

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from harness.strategies import Project

_Path = str | os.PathLike[str]


@dataclass(frozen=True)
class KubeBuild:
    """Builds what a test asks for."""

    workshop: Workshop = field(repr=False)

    def __call__(
        self,
        kubefile: _Path | Kubefile | Project,
        context: Tree | _Path | None = None,
        *,
        build_args: Mapping[str, str] | None = None,
        base: BuiltImage | ModelImage | Tree | None = None,
        platform: str | Platform | None = None,
        labels: Mapping[str, str] | None = None,
        tag: str | None = None,
        use_cache: bool = True,
        keep_base: bool = True,
        after: BuiltImage | None = None,
        backend: str | None = None,
        mounts: Mounter | None = None,
        runner: CommandRunner | None = None,
    ) -> BuiltImage:
        """Build ``kubefile`` in ``context``, and give the image.

        Shape:  ``kubefile`` is a path if it has no blank and no line end, a text otherwise; or a project of
                ``harness.strategies``, which brings context, base, build arguments and platform unless they are given.
                ``context`` is, for a text, empty if it is not given; for a path, the folder of the Kubefile. ``base``
                stands for whatever FROM names: a built image, one of ``harness.model``, or a tree. ``after`` is an
                image in whose store, with whose cache, the build goes on. ``backend`` is one of
                ``--kubefile-backend``'s.
        Raises: what a build raises: any KubeimageError. TypeError for a Kubefile or a base that is none of these.
        """
        if is_project(kubefile):
            context = kubefile.context if context is None else context
            if base is None and kubefile.below is not None:
                base = self(kubefile.below, backend=backend, runner=runner)
            base = kubefile.base if base is None else base
            build_args = kubefile.build_args if build_args is None else build_args
            platform = kubefile.platform if platform is None else platform
            kubefile = kubefile.kubefile
        parsed, folder = self._project(kubefile, context)
        options = BuildOptions(
            references=(Reference.parse(tag),) if tag else (),
            build_args=build_args or {},
            labels=labels or {},
            platform=Platform.parse(platform) if isinstance(platform, str) else platform,
            use_cache=use_cache,
            keep_base=keep_base,
        )
        place = after.place if after is not None else self.workshop.new_place(backend)
        return self._build(Asked(parsed, folder, options, place), base, mounts, runner)

    def _build(
        self,
        asked: Asked,
        base: BuiltImage | ModelImage | Tree | None,
        mounts: Mounter | None,
        runner: CommandRunner | None,
    ) -> BuiltImage:
        self.workshop.asked = asked
        with asked.place.open() as backends:
            parts = _with_fakes(backends, mounts, runner)
            if base is not None:
                image = self._base(parts, base, asked.options.target)
                self.workshop.asked = replace(asked, base=image)
                parts = replace(parts, images=StandInImageStore(parts.images, lambda _reference, _platform: image))
            result = build_image(asked.kubefile, asked.context, parts, options=asked.options)
        return BuiltImage(result.image, asked.place, result)

    def _project(self, kubefile: _Path | Kubefile, context: Tree | _Path | None) -> tuple[Kubefile, str]:
        if isinstance(kubefile, Kubefile):
            return kubefile, self._context(context)
        if isinstance(kubefile, str) and (not kubefile or any(blank in kubefile for blank in " \t\n")):
            return parse(kubefile, file="Kubefile"), self._context(context)
        if not isinstance(kubefile, str | os.PathLike):
            raise TypeError(f"kube_build takes a text, a path, a Kubefile or a Project, not {kubefile!r}")
        path = os.fspath(kubefile)
        path = kubefile_in(path) or path
        own_folder = os.path.dirname(os.path.abspath(path))
        return read_kubefile(path), self._context(own_folder if context is None else context)

    def _context(self, context: Tree | _Path | None) -> str:
        if isinstance(context, str | os.PathLike):
            return os.path.abspath(context)
        folder = os.path.join(self.workshop.new_folder(), "context")
        write_tree(folder, context or {})
        return folder

    def _base(self, backends: Backends, base: BuiltImage | ModelImage | Tree, platform: Platform) -> Image:
        if isinstance(base, BuiltImage):
            return self._import(base, backends)
        if isinstance(base, ModelImage):
            return put_image(base, backends)
        if isinstance(base, Mapping):
            return self._make(base, backends, platform)
        raise TypeError(f"base= takes a built image, an Image of harness.model or a tree, not {base!r}")

    def _import(self, base: BuiltImage, backends: Backends) -> Image:
        with base.place.open() as source:
            import_image(base.image, source, backends)
        return base.image

    def _make(self, tree: Tree, backends: Backends, platform: Platform) -> Image:
        whole = parse("FROM scratch\nCOPY . .\n" if tree else "FROM scratch\n", file="(base)")
        return build_image(whole, self._context(tree), backends, options=BuildOptions(platform=platform)).image


def is_project(kubefile: object) -> TypeIs[Project]:
    """Whether it is a project of the strategies; whoever has one has imported them."""
    strategies = sys.modules.get("harness.strategies.projects")
    return strategies is not None and isinstance(kubefile, strategies.Project)


def _with_fakes(backends: Backends, mounts: Mounter | None, runner: CommandRunner | None) -> Backends:
    """Put in the test's own parts; a runner that is scripted needs a rootfs in memory, of this build's layers."""
    if mounts is not None or runner is not None:
        from harness.fakes.mounts import MemoryMounter

        mounts = mounts or MemoryMounter(backends.layers)
        if isinstance(mounts, MemoryMounter):
            mounts.use(backends.layers)
    return replace(backends, mounter=mounts or backends.mounter, runner=runner or backends.runner)
