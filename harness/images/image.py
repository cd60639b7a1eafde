"""An image, pleasant to assert on: a built one, and any other that is read where it lies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from harness.images.backends import Place
from harness.images.config import ImageConfig
from harness.images.layerindex import BuiltLayer, HasLayers, LayerIndex
from harness.images.rootfs import Rootfs
from kubeimage.api.opening import OpenImage
from kubeimage.builder.events import StepFinished
from kubeimage.builder.executor import BuildResult
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.efficiency import Efficiency, measure
from kubeimage.layer.entry import Kind

if TYPE_CHECKING:
    from kubeimage.api.running import RunResult, Step

# The layer of what a build finds out by itself, behind those of the instructions.
_FOUND = "BASE"


class Whiteout(NamedTuple):
    """A deletion in a layer. Shape: ``opaque`` where all below ``path`` is deleted, and ``path`` itself stays."""

    path: str
    layer: BuiltLayer
    opaque: bool = False


class AnyImage(ABC):
    """An image, whoever has built it.

    Reading it mounts and unpacks nothing: the layers' tars are read by an index, and a file's content when asked for.
    """

    def __init__(self, image: Image) -> None:
        self.image = image

    def __eq__(self, other: object) -> bool:
        """Whether it is the same image, however and wherever it was built."""
        return self.id == other.id if isinstance(other, AnyImage) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<image {self.id.short}, {len(self.layers)} layers, {self.size} bytes>"

    @property
    def id(self) -> Digest:
        """The image id: the digest of its config."""
        return self.image.id

    @property
    def platform(self) -> Platform:
        """The platform it is for."""
        return self.image.platform

    @property
    def size(self) -> int:
        """The bytes of all layers' tars, each counted once."""
        return sum({layer.diff_id: layer.size for layer in self.layers}.values())

    @cached_property
    def config(self) -> ImageConfig:
        """What a container of it starts with: env, entrypoint, cmd, user, workdir, ports, volumes, labels, ..."""
        return ImageConfig.of(self.image)

    @property
    def cmd(self) -> list[str]:
        """The commands that a cluster runs: inherited ones first, then the Kubefile's own."""
        return list(self.image.cmd.merged)

    @property
    def args(self) -> dict[str, str]:
        """The arguments that a cluster runs with: inherited ones, overlaid with the Kubefile's own."""
        return self.image.args.merged

    @property
    def labels(self) -> dict[str, str]:
        """The labels, inherited ones included."""
        return dict(self.image.labels)

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations, inherited ones included."""
        return dict(self.image.annotations)

    @property
    def history(self) -> list[str]:
        """The instructions that made it, those of its base first."""
        return [entry.created_by for entry in self.image.history]

    @property
    @abstractmethod
    def layers(self) -> tuple[BuiltLayer, ...]:
        """The layers, lowest first."""

    @cached_property
    def rootfs(self) -> Rootfs:
        """The merged root filesystem."""
        return Rootfs(self._index)

    def layer_of(self, path: str) -> BuiltLayer:
        """Return the layer, and so the instruction, that put there what stands at ``path``.

        Raises: KeyError where nothing stands.
        """
        __tracebackhide__ = True
        return self.rootfs[path].layer

    @cached_property
    def whiteouts(self) -> tuple[Whiteout, ...]:
        """What the layers delete of those below them, lowest first."""
        return tuple(
            Whiteout(entry.path, layer, entry.kind is Kind.OPAQUE)
            for layer, entries in zip(self.layers, self._index.entries, strict=True)
            for entry in entries
            if entry.kind in (Kind.WHITEOUT, Kind.OPAQUE)
        )

    @property
    def efficiency(self) -> float:
        """The part of the layers' content that is worth its place, from 0 to 1, as dive measures it."""
        return self._efficiency.score

    @property
    def repeated(self) -> dict[str, tuple[tuple[BuiltLayer, int], ...]]:
        """The paths that stand in several layers or are deleted again: each with its layers, and its bytes there."""
        return {
            path: tuple((self.layers[one.layer], one.size) for one in found)
            for path, found in self._efficiency.repeated.items()
        }

    @property
    def user_wasted(self) -> float:
        """The wasted bytes over the bytes of all files but the first layer's, as dive measures it."""
        return self._efficiency.user_wasted

    @property
    def wasted(self) -> int:
        """The bytes in files that stand in several layers or are deleted again, as dive measures them."""
        return self._efficiency.wasted

    def run(
        self,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | int | None = None,
        workdir: str | None = None,
        stdin: str | bytes | None = None,
        network: bool = False,
        timeout: float | None = 60,
    ) -> RunResult:
        """Run a program of the image in its own root, walled off from this machine, and return how it ended.

        Shape:  ``status``, ``stdout``, ``stderr`` and ``changes``, the paths that it changed; the image stays as it
                is. A text goes to the image's shell, a list is the program and its arguments. ``env``, ``user`` and
                ``workdir`` go before what the image's config says. Without ``network`` there is none.
        Units:  ``timeout`` in seconds; then it is killed with all that it started.
        Raises: pytest.skip.Exception where this machine cannot run it, or not as its user; SandboxError, MountError.
        """
        __tracebackhide__ = True
        from kubeimage.api.running import Step

        step = Step(command, env or {}, user, workdir, stdin, network=network, timeout=timeout)
        return self.run_all([step])[-1]

    @abstractmethod
    def run_all(self, steps: Sequence[Step]) -> list[RunResult]:
        """Run programs one after the other, each on what those before it left; see `run`."""

    @abstractmethod
    def open(self) -> AbstractContextManager[HasLayers]:
        """Open what its layers are read from."""

    @abstractmethod
    def _describe(self, sizes: Sequence[int]) -> Sequence[BuiltLayer]:
        """Return its layers, whose tars have these sizes."""

    @cached_property
    def _index(self) -> LayerIndex:
        return LayerIndex([layer.diff_id for layer in self.image.layers], self.open, self._describe)

    @cached_property
    def _efficiency(self) -> Efficiency:
        return measure(self._index.entries)


class BuiltImage(AnyImage):
    """An image and how it was built.

    Reading it mounts and unpacks nothing: the layers' tars are read by an index, and a file's content when asked for.
    """

    def __init__(self, image: Image, place: Place, result: BuildResult) -> None:
        super().__init__(image)
        self.place = place
        self.result = result

    @property
    def size(self) -> int:
        """The bytes of all layers' tars."""
        return self.image.size

    @cached_property
    def layers(self) -> tuple[BuiltLayer, ...]:
        """The layers, lowest first."""
        made = [one.step for one in self.result.steps if one.layer is not None and one.step.of_image]
        own: list[int | None] = [step.location.line for step in made]
        if own and self.image.layers[-1].kind == _FOUND:
            own.append(None)
        lines = [None] * (len(self.image.layers) - len(own)) + own
        return tuple(
            BuiltLayer(number, layer.diff_id, layer.size, layer.kind, layer.value, line)
            for number, (layer, line) in enumerate(zip(self.image.layers, lines, strict=True), 1)
        )

    def run_all(self, steps: Sequence[Step]) -> list[RunResult]:
        """Run programs one after the other, each on what those before it left; see `run`."""
        __tracebackhide__ = True
        from harness.images.programs import run_programs

        return run_programs(self.image, self.place, steps)

    @property
    def steps(self) -> tuple[StepFinished, ...]:
        """How each instruction behind FROM went."""
        return self.result.steps

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the build warned of."""
        return self.result.warnings

    @property
    def cache_hits(self) -> int:
        """How many COPY and RUN steps the cache had."""
        return self.result.cache_hits

    @property
    def cache_misses(self) -> int:
        """How many COPY and RUN steps had to be done."""
        return self.result.cache_misses

    def why_missed(self, step: int) -> str | None:
        """Say why step ``step`` (from 1, FROM left out) was not in the cache; None where it was, or needs none."""
        return self.result.why_missed(step)

    def open(self) -> AbstractContextManager[HasLayers]:
        """Open the store that it was built in."""
        return self.place.open()

    def _describe(self, _sizes: Sequence[int]) -> Sequence[BuiltLayer]:
        return self.layers


class OciImage(AnyImage):
    """An image that is read where it lies; nothing is known of how it was built but its history.

    Shape: ``opened`` is good as long as the run lasts; ``name`` is what it was asked for by. ``place`` is where its
           programs are run.
    """

    def __init__(self, name: str, opened: OpenImage, place: Callable[[], Place]) -> None:
        super().__init__(opened.image)
        self.name = name
        self.opened = opened
        self._place = place

    def run_all(self, steps: Sequence[Step]) -> list[RunResult]:
        """Run programs one after the other, each on what those before it left; see `run`."""
        __tracebackhide__ = True
        from harness.images.programs import run_programs

        return run_programs(self.image, self._place(), steps, self.opened.layers)

    @property
    def layers(self) -> tuple[BuiltLayer, ...]:
        """The layers, lowest first; their tars are read once for their sizes."""
        return tuple(self._index.layers)

    def open(self) -> AbstractContextManager[HasLayers]:
        """Return what its layers are read from, which stays open."""
        return nullcontext(self.opened)

    def _describe(self, sizes: Sequence[int]) -> Sequence[BuiltLayer]:
        made = [entry.created_by for entry in self.image.history if not entry.empty_layer]
        told = made if len(made) == len(sizes) else [f"{layer.kind} {layer.value}" for layer in self.image.layers]
        return [
            BuiltLayer(number, layer.diff_id, size, "", text.strip(), is_built=False)
            for number, (layer, size, text) in enumerate(zip(self.image.layers, sizes, told, strict=True), 1)
        ]
