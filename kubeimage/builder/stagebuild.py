"""The loop over the steps of one stage: the only mutable state of a build, and nothing but protocols around it.

Source: the project's design, "Execution": cache hits are a prefix; after the first miss nothing later may hit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from kubeimage.builder import steps
from kubeimage.builder.events import Observer, StepFinished, StepOutput, StepProgress, StepStarted, Warned
from kubeimage.builder.foresee import keys_ahead
from kubeimage.builder.owners import with_numbers
from kubeimage.builder.plan import BuildPlan, StagePlan
from kubeimage.builder.step import Step
from kubeimage.errors import Diagnostic, KubefileError, KubeimageError
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.extension import Application
from kubeimage.kubefile import Mistake
from kubeimage.layer.entry import Entry
from kubeimage.layer.stack import LayerStack, StackedLayer
from kubeimage.protocols.cache import BuildCache, CachedStep
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.context import Collected, CopyRequest
from kubeimage.values import dataclass

if TYPE_CHECKING:
    from kubeimage.protocols.context import RootOpener, SourceCollector
    from kubeimage.protocols.images import ImageStore
    from kubeimage.protocols.layers import LayerStore, StoredLayer
    from kubeimage.protocols.packing import ImagePacker
    from kubeimage.protocols.running import Command, CommandRunner, Mounter

_LIE = "what the build cache says of it is not true"


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


class Shared(NamedTuple):
    """What all stages of a build share. Shape: ``turn`` is held while a step works with any of it."""

    plan: BuildPlan
    parts: Parts
    observe: Observer
    turn: AbstractContextManager[None] = nullcontext()


class StageBuild:
    """The steps of one stage: what they made, and where the cache stands.

    Shape: ``others`` are the stages that this one stands on and takes from; looking one up waits for it.
    """

    def __init__(self, stage: StagePlan, shared: Shared, others: Mapping[int, StageBuild]) -> None:
        self.plan, self.parts, self.observe, self.turn = shared
        self.stage = stage
        self.others = others
        self.results: list[StepFinished] = []
        self.warnings: list[str] = []
        self.applications: list[Application] = []
        self.hitting: bool = self.plan.options.use_cache
        self.first = stage.first_key(self.plan.dialect)
        layers = [StackedLayer(layer.diff_id) for layer in stage.base_layers]
        if stage.below is not None:
            below = others[stage.below]
            self.first = stage.first_key(self.plan.dialect, below.key, below.rootfs.diff_ids)
            layers, self.hitting = below.rootfs.layers, below.hitting
        self.key: Digest = self.first.digest
        self.rootfs: LayerStack = LayerStack(self.parts.layers, layers)

    def run(self) -> StageBuild:
        if self.hitting:
            with self.turn:
                self.parts.cache.foresee(self.first, keys_ahead(self.first, self.stage.steps, self.parts.collector))
        for step in self.stage.steps:
            taken = {number: self.others[number] for number in step.needed}
            with self.turn:
                self.do(step.taking({number: (one.key, one.rootfs.diff_ids) for number, one in taken.items()}))
        return self

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
        step = with_numbers(step, self.rootfs)
        if step.copy is not None and (step.copy.unpack or step.copy.remotes):
            return self._add(step, step.copy)
        if step.copy is not None and step.origin is not None:
            return self._copy_from(step, step.copy, step.origin)
        if step.copy is not None:
            return self._copy(step, step.copy, self._collect(step, step.copy))
        if step.directory is not None:
            return self._make_directory(step, step.directory)
        return self._run(step, step.run) if step.run is not None else None

    def _collect(self, step: Step, request: CopyRequest) -> Collected:
        """Find what the build context gives, and note the application that it is."""
        collected = Collected(())
        if request.sources:
            collected = self.parts.collector.collect(steps.placed(request, self.rootfs))
        for message in collected.warnings:
            self._warn(message, step)
        if step.application is not None:
            self._register(step, step.application, request)
        return collected

    def _copy(self, step: Step, request: CopyRequest, collected: Collected) -> StepFinished:
        collector, cache = self.parts.collector, self.parts.cache
        key, claim = None, None
        if self.hitting and cache.expects(self.key):
            if (hit := self._recall(step, collected)) is not None:
                return hit
            collected = replace(collected, entries=collector.with_digests(collected.entries))
            key = self._copy_key(step, collected.entries)
            claim = cache.lookup(key)
            if claim is not None and not claim.is_claim:
                return self._hit(step, key, claim)
        why = self._why_missed(key) if claim is None else _LIE
        if key is None:
            collector.expect(collected.entries)
        copied = steps.copy(
            collected,
            self.rootfs,
            self.parts.layers,
            mtime=step.mtime,
            owners=request.by_docker,
            watch=lambda done, total: self.observe(StepProgress(step, done, total)),
            earlier=collector.earlier(collected.entries) if key is not None else None,
        )
        if key is None:
            collector.remember(copied.sources)
            key = self._copy_key(step, copied.sources)
        if copied.made.layer is not None:
            collector.note_layer(copied.sources, copied.made.layer.diff_id, copied.offset)
        return self._done(step, key, copied.made, why, claim)

    def _copy_from(self, step: Step, request: CopyRequest, layers: Sequence[Digest]) -> StepFinished:
        """Copy from another image: its layers are in the key, so that none of its files is read to find a hit."""
        key = CacheKey(self.key, step.cache_fields())
        hit = self.parts.cache.lookup(key) if self.hitting else None
        if hit is not None and not hit.is_claim:
            return self._hit(step, key, hit)
        why = self._why_missed(key) if hit is None else _LIE
        assert self.parts.roots is not None
        with self.parts.roots.open(layers) as collector:
            collected = collector.collect(steps.placed(request, self.rootfs))
            copied = steps.copy(collected, self.rootfs, self.parts.layers, mtime=step.mtime, owners=True)
        return self._done(step, key, copied.made, why, hit)

    def _add(self, step: Step, request: CopyRequest) -> StepFinished:
        """Copy, fetch and unpack: nothing is fetched or unpacked to find a hit, where each checksum is known."""
        from kubeimage.builder.adding import content_fields, is_copy, put_together, unchecked

        roots, collector = self.parts.roots, self.parts.collector
        assert roots is not None
        for remote in unchecked(request):
            self._warn(f"{remote.url} has no checksum: what its server sends is taken as it comes", step)
        local = self._collect(step, request)
        if is_copy(request, local):
            return self._copy(step, request, local)
        with ExitStack() as stack:
            request = steps.placed(request, self.rootfs)
            if self.hitting and not unchecked(request) and (known := self._recall(step, local)) is not None:
                return known
            local = replace(local, entries=collector.with_digests(local.entries))
            fetched = stack.enter_context(roots.fetch(request.remotes)) if unchecked(request) else None
            key = steps.copy_key(self.key, (*step.cache_fields(), *content_fields(fetched)), local.entries)
            collector.remember_sources(local.entries, key.sources_digest)
            hit = self.parts.cache.lookup(key) if self.hitting else None
            if hit is not None and not hit.is_claim:
                return self._hit(step, key, hit)
            why = self._why_missed(key) if hit is None else _LIE
            if fetched is None:
                fetched = stack.enter_context(roots.fetch(request.remotes)) if request.remotes else ()
            collected = put_together(request, local, fetched, roots, stack)
            copied = steps.copy(collected, self.rootfs, self.parts.layers, mtime=step.mtime, owners=True)
        return self._done(step, key, copied.made, why, hit)

    def _register(self, step: Step, name: str, request: CopyRequest) -> None:
        """Note the application that a step brings.

        Raises: KubefileError for one that sealer would not know how to launch.
        """
        from kubeimage.builder.applications import describe

        found = describe(name, request, self.parts.collector)
        if not found.kind and name not in self.plan.metadata.app_commands:
            message = f"the application {name!r} is neither a chart, nor only YAML, nor only scripts"
            hint = f'say how it is launched: APPCMDS {name} ["COMMAND"]'
            raise KubefileError([Diagnostic(Mistake.UNKNOWN_APPLICATION.code, message, step.location, hint)])
        self.applications.append(found)

    def _make_directory(self, step: Step, path: str) -> StepFinished:
        key = CacheKey(self.key, step.cache_fields())
        hit = self.parts.cache.lookup(key) if self.hitting else None
        if hit is not None and not hit.is_claim:
            return self._hit(step, key, hit)
        why = self._why_missed(key) if hit is None else _LIE
        made = steps.make_directory(path, self.rootfs, self.parts.layers, mtime=step.mtime, owner=step.owner)
        return self._done(step, key, made, why, hit)

    def _recall(self, step: Step, collected: Collected) -> StepFinished | None:
        """Look a COPY up by what its sources came to the last time, if nothing about them has changed."""
        known = self.parts.collector.known_sources(collected.entries)
        if known is None:
            return None
        key = CacheKey(self.key, step.cache_fields(), known_sources=known)
        hit = self.parts.cache.lookup(key)
        return self._hit(step, key, hit) if hit is not None and not hit.is_claim else None

    def _copy_key(self, step: Step, entries: Sequence[Entry]) -> CacheKey:
        key = steps.copy_key(self.key, step.cache_fields(), entries)
        self.parts.collector.remember_sources(entries, key.sources_digest)
        return key

    def _run(self, step: Step, command: Command) -> StepFinished:
        from kubeimage.builder.mounting import run_key, with_mounts, with_secrets

        key = run_key(step, self.key, self.parts.collector)
        if self.hitting and (hit := self.parts.cache.lookup(key)) is not None:
            return self._hit(step, key, hit)
        from kubeimage.builder import running

        why = self._why_missed(key)
        keep_failed = self.plan.options.keep_failed
        command = with_secrets(command, step.mounts, self.plan.options.secrets)
        with ExitStack() as stack:
            if step.mounts and command.image is not None:
                assert self.parts.roots is not None
                command = with_mounts(command, step.mounts, self.parts.collector, self.parts.roots, stack)
            made = running.run(
                step, command, self.rootfs, self.parts, lambda data: self._output(step, data), keep_failed=keep_failed
            )
        return self._missed(step, key, made, why)

    def _output(self, step: Step, data: bytes) -> None:
        if data:
            self.observe(StepOutput(step, data))

    def _hit(self, step: Step, key: CacheKey, hit: CachedStep, entries: Sequence[Entry] | None = None) -> StepFinished:
        self.key = key.digest
        return StepFinished(step, self._push(step, hit.layer, entries), cached=True)

    def _done(self, step: Step, key: CacheKey, made: steps.Made, why: str, claim: CachedStep | None) -> StepFinished:
        """Note a step that was done; where somebody claimed what it makes, that is a hit if it was true."""
        if claim is None:
            return self._missed(step, key, made, why)
        if not steps.is_same_layer(made.layer, claim.layer):
            self._warn("a record of the build cache says that this step makes another layer: it is not believed", step)
            return self._missed(step, key, made, why)
        self.parts.cache.record(key, CachedStep(made.layer))
        return self._hit(step, key, CachedStep(made.layer), made.entries)

    def _missed(self, step: Step, key: CacheKey, made: steps.Made, why: str) -> StepFinished:
        if self.key == self.first.digest:
            self.parts.cache.record(self.first, CachedStep(None))
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
        from kubeimage.builder.misses import explain_miss

        return explain_miss(self.parts.cache, self.first, self.key, key)

    def _warn(self, message: str, step: Step | None = None) -> None:
        self.warnings.append(message)
        self.observe(Warned(message, step))
