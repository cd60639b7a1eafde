"""What a build tells while it runs: the one source of progress, JSON lines and reports."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kubeimage.builder.plan import Step
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.image.document import Layer


class BuildStarted(NamedTuple):
    """A build begins.

    Shape: ``base_digest`` is that of the base's manifest, None for scratch.
    Units: ``base_layers`` counts the base's layers, ``total`` the steps.
    """

    total: int
    base: str
    base_layers: int
    base_digest: Digest | None = None


class StepStarted(NamedTuple):
    """A step begins."""

    step: Step


class StepOutput(NamedTuple):
    """A piece of what a RUN prints, as it comes."""

    step: Step
    data: bytes


class StepFinished(NamedTuple):
    """A step is done.

    Shape: ``layer`` is None where it added none; ``why_missed`` is None where the cache had it, or had no say.
    """

    step: Step
    layer: Layer | None
    cached: bool
    why_missed: str | None = None


class Warned(NamedTuple):
    """Something that a person should know and that stops nothing."""

    message: str
    step: Step | None = None


class PackingStarted(NamedTuple):
    """Container images are looked for and packed."""


class PackingFinished(NamedTuple):
    """Container images are packed. Shape: ``layer`` is None where there was nothing to add."""

    images: tuple[str, ...]
    layer: Layer | None
    cached: bool


class ImagesLeftOut(NamedTuple):
    """Container images are named, and none is packed. Units: ``charts`` counts charts, which were not rendered."""

    images: int
    charts: int


class BuildFinished(NamedTuple):
    """The image is in the store, under its names."""

    image: Image
    manifest: Digest
    references: tuple[str, ...]


Event = (
    BuildStarted
    | StepStarted
    | StepOutput
    | StepFinished
    | Warned
    | PackingStarted
    | PackingFinished
    | ImagesLeftOut
    | BuildFinished
)
Observer = Callable[[Event], None]


def ignore(_event: object) -> None:
    """Observe nothing."""
