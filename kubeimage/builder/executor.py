"""The loop over a plan's steps: the only mutable state of a build, and nothing but protocols around it.

The executor opens no file, mounts nothing and runs no process itself.

Source: the project's design, "Execution": cache hits are a prefix; after the first miss nothing later may hit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from time import monotonic

from kubeimage.builder import steps
from kubeimage.builder.applications import describe
from kubeimage.builder.events import (
    BuildFinished,
    BuildStarted,
    ImagesLeftOut,
    Observer,
    PackingFinished,
    PackingStarted,
    StepFinished,
    StepOutput,
    StepProgress,
    StepStarted,
    Warned,
)
from kubeimage.builder.plan import BuildPlan, Step
from kubeimage.errors import Diagnostic, KubefileError, KubeimageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import PACKED_KIND, PACKED_VALUE, History, Layer
from kubeimage.image.extension import Application, PackedImage
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Mistake
from kubeimage.layer.entry import Entry
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.protocols.cache import BuildCache, CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.context import Collected, CopyRequest, RootOpener, SourceCollector
from kubeimage.protocols.images import ImageStore
from kubeimage.protocols.layers import LayerStore, StoredLayer
from kubeimage.protocols.packing import ImagePacker, PackRequest
from kubeimage.protocols.running import Command, CommandRunner, Mounter
from kubeimage.protocols.watching import ignore
from kubeimage.values import dataclass


@dataclass(frozen=True)
class Parts:
    """Everything the executor works with, one real or fake part a protocol; without a ``packer`` none is packed."""

    layers: LayerStore
    images: ImageStore
    cache: BuildCache
    collector: SourceCollector
    mounter: Mounter
    runner: CommandRunner
    packer: ImagePacker | None = None
    roots: RootOpener | None = None


@dataclass(frozen=True)
class BuildResult:
    """A finished build.

    Units: ``seconds`` of wall clock, which make no difference to equality.
    """

    image: Image
    manifest: Digest
    steps: tuple[StepFinished, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def cache_hits(self) -> int:
        """How many steps the cache had."""
        return sum(result.cached for result in self.steps)

    @property
    def cache_misses(self) -> int:
        """How many COPY and RUN steps had to be done."""
        return sum(result.step.makes_layer and not result.cached for result in self.steps)

    def why_missed(self, step: int) -> str | None:
        """Say why step number ``step`` (from 1) was not in the cache; None where it was."""
        return self.steps[step - 1].why_missed


def execute(plan: BuildPlan, parts: Parts, observe: Observer = ignore) -> BuildResult:
    """Do what ``plan`` says, and put the image into the store: its only commit point.

    Raises: any KubeimageError of a step, with the step's place in the Kubefile.
    """
    check_runs(plan, parts.runner)
    build = _Build(plan, parts, observe)
    image = build.run()
    manifest = parts.images.put(image, plan.options.references)
    return build.finish(image, manifest)


def execute_all(
    plans: Sequence[BuildPlan], parts: Parts, observe: Observer = ignore
) -> tuple[Digest, tuple[BuildResult, ...]]:
    """Do what ``plans`` for several platforms say, and put all images into the store at once, as one index, or none.

    Raises: any KubeimageError of a step, with the step's place in the Kubefile.
    """
    for plan in plans:
        check_runs(plan, parts.runner)
    builds = [_Build(plan, parts, observe) for plan in plans]
    images = [build.run() for build in builds]
    index = parts.images.put_index(images, plans[0].options.references)
    return index, tuple(build.finish(image, image.manifest_digest) for build, image in zip(builds, images, strict=True))


def check_runs(plan: BuildPlan, runner: CommandRunner) -> None:
    """Find out before any work whether the RUNs of a plan can run here.

    Raises: PlatformMismatchError, with the place of the first RUN.
    """
    first = next((step for step in plan.steps if step.run is not None), None)
    if first is None or Platform.host().runs(plan.options.target):
        return
    try:
        runner.check_platform(plan.options.target)
    except KubeimageError as error:
        error.location = first.location
        raise


class _Build:
    def __init__(self, plan: BuildPlan, parts: Parts, observe: Observer) -> None:
        self.started = monotonic()
        self.plan = plan
        self.parts = parts
        self.observe = observe
        self.results: list[StepFinished] = []
        self.warnings: list[str] = []
        self.applications: list[Application] = []
        self.key = plan.first_key.digest
        self.hitting = plan.options.use_cache
        self.rootfs = LayerStack(parts.layers, [StackedLayer(layer.diff_id) for layer in plan.base_layers])

    def do(self, step: Step) -> None:
        started = monotonic()
        self.observe(StepStarted(step))
        try:
            result = self._result(step)
        except KubeimageError as error:
            error.location = error.location or step.location
            raise
        seconds = monotonic() - started
        result = replace(result or StepFinished(step, None, cached=False), seconds=seconds)
        self.results.append(result)
        self.observe(StepFinished(step, result.layer, result.cached, result.why_missed, seconds))

    def _result(self, step: Step) -> StepFinished | None:
        if step.copy is not None and step.origin is not None:
            return self._copy_from(step, step.copy, step.origin)
        if step.copy is not None:
            return self._copy(step, step.copy)
        if step.directory is not None:
            return self._make_directory(step, step.directory)
        return self._run(step, step.run) if step.run is not None else None

    def run(self) -> Image:
        plan = self.plan
        base_digest = plan.base.manifest_digest if plan.base is not None else None
        self.observe(BuildStarted(len(plan.steps), plan.base_name, len(plan.base_layers), base_digest, plan.dialect))
        for notice in plan.notices:
            self._warn(notice)
        for step in plan.steps:
            self.do(step)
        self._warn_swallowed_commands()
        made = [result.layer for result in self.results if result.layer is not None]
        comment = plan.comment
        history = [History(one.step.text, one.layer is None, comment) for one in self.results]
        layers, names = self._pack(self.parts.packer) if self.parts.packer is not None else ((), ())
        made += layers
        history += [History(f"{layer.kind} {layer.value}", comment=comment) for layer in layers]
        packed = [PackedImage(name, plan.options.target) for name in names]
        return plan.compose(tuple(made), tuple(history), packed, self.applications)

    def finish(self, image: Image, manifest: Digest) -> BuildResult:
        names = tuple(str(reference) for reference in self.plan.options.references)
        seconds = monotonic() - self.started
        self.observe(BuildFinished(image, manifest, names, seconds))
        return BuildResult(image, manifest, tuple(self.results), tuple(self.warnings), seconds)

    def _pack(self, packer: ImagePacker) -> tuple[tuple[Layer, ...], tuple[str, ...]]:
        """Pack the container images that the new layers name; return the layers that hold them, and their names."""
        options = self.plan.options
        packing, started = options.pull_images != "off", monotonic()
        if packing:
            self.observe(PackingStarted())
        packed = packer.pack(self._pack_request())
        for message in packed.warnings:
            self._warn(message)
        layers = tuple(
            Layer(one.layer.diff_id, one.layer.size, PACKED_KIND, f"{PACKED_VALUE} {one.name}") for one in packed.layers
        )
        if packing:
            seconds = monotonic() - started
            self.observe(PackingFinished(packed.images, layers, packed.cached, packed.skipped, seconds))
        elif packed.left_out or packed.charts:
            self.observe(ImagesLeftOut(packed.left_out, packed.charts))
        return layers, packed.images

    def _pack_request(self) -> PackRequest:
        options = self.plan.options
        base = tuple(layer.diff_id for layer in self.plan.base_layers)
        return PackRequest(
            base,
            tuple(self.rootfs.layers[len(base) :]),
            options.target,
            options.epoch or 0,
            use_cache=options.use_cache,
            keep_base=options.keep_base,
            room=self.plan.room,
        )

    def _copy(self, step: Step, request: CopyRequest) -> StepFinished:
        collector, cache = self.parts.collector, self.parts.cache
        collected = collector.collect(steps.placed(request, self.rootfs))
        for message in collected.warnings:
            self._warn(message, step)
        if step.application is not None:
            self._register(step, step.application, request)
        key = None
        if self.hitting and cache.expects(self.key):
            if (hit := self._recall(step, collected)) is not None:
                return hit
            collected = replace(collected, entries=collector.with_digests(collected.entries))
            key = self._copy_key(step, collected.entries)
            if (found := cache.lookup(key)) is not None:
                return self._hit(step, key, found)
        why = self._why_missed(key)
        if key is None:
            collector.expect(collected.entries)
        copied = steps.copy(
            collected,
            self.rootfs,
            self.parts.layers,
            mtime=step.mtime,
            watch=lambda done, total: self.observe(StepProgress(step, done, total)),
        )
        if key is None:
            collector.remember(copied.sources)
            key = self._copy_key(step, copied.sources)
        return self._missed(step, key, copied.made, why)

    def _copy_from(self, step: Step, request: CopyRequest, layers: Sequence[Digest]) -> StepFinished:
        """Copy from another image: its layers are in the key, so that none of its files is read to find a hit."""
        key = CacheKey(self.key, step.cache_fields())
        if self.hitting and (hit := self.parts.cache.lookup(key)) is not None:
            return self._hit(step, key, hit)
        why = self._why_missed(key)
        assert self.parts.roots is not None
        with self.parts.roots.open(layers) as collector:
            collected = collector.collect(steps.placed(request, self.rootfs))
            copied = steps.copy(collected, self.rootfs, self.parts.layers, mtime=step.mtime)
        return self._missed(step, key, copied.made, why)

    def _register(self, step: Step, name: str, request: CopyRequest) -> None:
        """Note the application that a step brings.

        Raises: KubefileError for one that sealer would not know how to launch.
        """
        found = describe(name, request, self.parts.collector)
        if not found.kind and name not in self.plan.metadata.app_commands:
            message = f"the application {name!r} is neither a chart, nor only YAML, nor only scripts"
            hint = f'say how it is launched: APPCMDS {name} ["COMMAND"]'
            raise KubefileError([Diagnostic(Mistake.UNKNOWN_APPLICATION.code, message, step.location, hint)])
        self.applications.append(found)

    def _make_directory(self, step: Step, path: str) -> StepFinished:
        key = CacheKey(self.key, step.cache_fields())
        if self.hitting and (hit := self.parts.cache.lookup(key)) is not None:
            return self._hit(step, key, hit)
        why = self._why_missed(key)
        made = steps.make_directory(path, self.rootfs, self.parts.layers, mtime=step.mtime)
        return self._missed(step, key, made, why)

    def _recall(self, step: Step, collected: Collected) -> StepFinished | None:
        """Look a COPY up by what its sources came to the last time, if nothing about them has changed."""
        known = self.parts.collector.known_sources(collected.entries)
        if known is None:
            return None
        key = CacheKey(self.key, step.cache_fields(), known_sources=known)
        hit = self.parts.cache.lookup(key)
        return self._hit(step, key, hit) if hit is not None else None

    def _copy_key(self, step: Step, entries: Sequence[Entry]) -> CacheKey:
        key = steps.copy_key(self.key, step.cache_fields(), entries)
        self.parts.collector.remember_sources(entries, key.sources_digest)
        return key

    def _run(self, step: Step, command: Command) -> StepFinished:
        key = CacheKey(self.key, step.cache_fields())
        if self.hitting and (hit := self.parts.cache.lookup(key)) is not None:
            return self._hit(step, key, hit)
        why = self._why_missed(key)
        keep_failed = self.plan.options.keep_failed
        made = steps.run(
            step, command, self.rootfs, self.parts, lambda data: self._output(step, data), keep_failed=keep_failed
        )
        return self._missed(step, key, made, why)

    def _output(self, step: Step, data: bytes) -> None:
        self.observe(StepOutput(step, data))

    def _hit(self, step: Step, key: CacheKey, hit: CachedStep) -> StepFinished:
        self.key = key.digest
        return StepFinished(step, self._push(step, hit.layer), cached=True)

    def _missed(self, step: Step, key: CacheKey, made: steps.Made, why: str) -> StepFinished:
        first = self.plan.first_key
        if self.key == first.digest:
            self.parts.cache.record(first, CachedStep(None))
        self.parts.cache.record(key, CachedStep(made.layer))
        self.key, self.hitting = key.digest, False
        return StepFinished(step, self._push(step, made.layer, made.entries), cached=False, why_missed=why)

    def _push(self, step: Step, layer: StoredLayer | None, entries: Sequence[Entry] | None = None) -> Layer | None:
        if layer is None:
            return None
        self.rootfs.push(StackedLayer(layer.diff_id, entries))
        return Layer(layer.diff_id, layer.size, step.instruction.keyword, step.instruction.value)

    def _why_missed(self, key: CacheKey | None) -> str:
        if not self.plan.options.use_cache:
            return "--no-cache"
        if not self.hitting:
            return "an earlier step missed"
        return explain_miss(self.parts.cache, self.plan.first_key, self.key, key)

    def _warn(self, message: str, step: Step | None = None) -> None:
        self.warnings.append(message)
        self.observe(Warned(message, step))

    def _warn_swallowed_commands(self) -> None:
        for command in self.plan.commands.swallowed:
            self._warn(f"CMD {command!r} will not run again: the base image has it already")


def explain_miss(cache: BuildCache, first: CacheKey, parent: Digest, key: CacheKey | None) -> str:
    """Say why the step after ``parent`` is not in the cache; ``key`` is its key, where that is known."""
    earlier = cache.nearest(key) if key is not None else None
    if key is not None and earlier is not None:
        if _is_another_s(key, earlier):
            return "never built before"
        return key.difference(earlier) or "its layer is gone or damaged"
    if parent == first.digest and (before := cache.nearest(first)) is not None:
        return first.difference(before) or "never built before"
    return "never built before"


def _is_another_s(key: CacheKey, earlier: CacheKey) -> bool:
    """Whether two steps have nothing in common but what they stand on: one is no edit of the other.

    ``COPY app.yaml etc`` was not ``COPY dashboard.yaml etc`` before: that is another project on the same base.
    """
    old, new = _written(earlier), _written(key)
    if old and new and not old & new:
        return True
    before, now = _files(earlier), _files(key)
    return earlier.fields == key.fields and bool(before and now and not before & now)


def _written(key: CacheKey) -> set[str]:
    """Return the sources of a COPY, or the words of a RUN."""
    command = dict(key.fields).get("command", "")
    return {value for label, value in key.fields if label.startswith("source ")} | set(command.split())


def _files(key: CacheKey) -> set[str]:
    """Return where the files of a COPY land."""
    return {path for path, what in key.sources if what.startswith("file ")}
