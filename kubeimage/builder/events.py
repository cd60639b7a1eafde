"""What a build tells while it runs: the one source of progress, JSON lines and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from kubeimage.builder.step import Step
from kubeimage.image.compatibility import DEFAULT_DIALECT, Dialect
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer
from kubeimage.image.platform import Platform
from kubeimage.values import dataclass


@dataclass(frozen=True)
class BuildStarted:
    """A build begins.

    Shape: ``base_digest`` is that of the base's manifest, None for scratch. ``dialect`` is the Kubefile's.
    Units: ``base_layers`` counts the base's layers, ``total`` the steps.
    """

    total: int
    base: str
    base_layers: int
    base_digest: Digest | None = None
    dialect: Dialect = DEFAULT_DIALECT


@dataclass(frozen=True)
class PlatformStarted:
    """Of a build for several platforms, that for this one begins: the events that follow are about it."""

    platform: Platform


@dataclass(frozen=True)
class StageStarted:
    """A stage of a build that needs several begins: it may run beside others.

    Shape: ``base`` is what FROM names, an image or another stage.
    Units: ``base_layers`` counts the layers of that image.
    """

    stage: str
    base: str
    base_layers: int


@dataclass(frozen=True)
class StepStarted:
    """A step begins."""

    step: Step


@dataclass(frozen=True)
class StepOutput:
    """A piece of what a RUN prints, as it comes."""

    step: Step
    data: bytes


@dataclass(frozen=True)
class StepProgress:
    """Some of what a COPY brings is in its layer; another thread than the build's may tell it.

    Units: ``done`` and ``total`` in bytes.
    """

    step: Step
    done: int
    total: int


@dataclass(frozen=True)
class StepFinished:
    """A step is done.

    Shape: ``layer`` is None where it added none; ``why_missed`` is None where the cache had it, or had no say.
    Units: ``seconds`` of wall clock, which make no difference to equality.
    """

    step: Step
    layer: Layer | None
    cached: bool
    why_missed: str | None = None
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Warned:
    """Something that a person should know and that stops nothing."""

    message: str
    step: Step | None = None


@dataclass(frozen=True)
class PackingStarted:
    """Container images are looked for and packed."""


@dataclass(frozen=True)
class PackingFinished:
    """Container images are packed.

    Shape: ``layers`` come lowest first; there are none where there was nothing to add.
    Units: ``seconds`` of wall clock; ``skipped`` counts the texts that read as names and are not packed.
    """

    images: tuple[str, ...]
    layers: tuple[Layer, ...]
    cached: bool
    skipped: int = 0
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class ImagesLeftOut:
    """Container images are named, and none is packed. Units: ``charts`` counts charts, which were not rendered."""

    images: int
    charts: int


@dataclass(frozen=True)
class BuildFinished:
    """The image is in the store, under its names.

    Units: ``seconds`` of wall clock, from the first step to here.
    """

    image: Image
    manifest: Digest
    references: tuple[str, ...]
    seconds: float = field(default=0.0, compare=False)


Event = (
    BuildStarted
    | PlatformStarted
    | StageStarted
    | StepStarted
    | StepOutput
    | StepProgress
    | StepFinished
    | Warned
    | PackingStarted
    | PackingFinished
    | ImagesLeftOut
    | BuildFinished
)
Observer = Callable[[Event], None]
