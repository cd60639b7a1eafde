"""A Kubefile with its build context: what each COPY would bring, and what keeps it from that."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

from kubeimage.builder.plan import BuildOptions
from kubeimage.builder.planning import make_plan
from kubeimage.builder.step import Step
from kubeimage.context import ContextCollector
from kubeimage.errors import ContextError
from kubeimage.image.platform import Platform
from kubeimage.kubefile import Copy, Kubefile
from kubeimage.kubefile.expansion import names_used
from kubeimage.kubefile.scope import ARCHITECTURE
from kubeimage.layer.entry import Entry, directory
from kubeimage.protocols.context import Collected, CopyRequest
from kubeimage.values import dataclass

_ARCHITECTURES = ("amd64", "arm64", "arm", "riscv64", "ppc64le", "s390x", "386")


@dataclass(frozen=True)
class Copied:
    """What a COPY would bring.

    Shape: ``failures`` are (index of a source, error), in order; with any of them there are no ``entries``.
    """

    step: Step
    request: CopyRequest
    entries: Sequence[Entry] = ()
    failures: tuple[tuple[int, ContextError], ...] = ()

    @property
    def instruction(self) -> Copy:
        """The COPY as it is written."""
        assert isinstance(self.step.instruction, Copy)
        return self.step.instruction


class Project:
    """A Kubefile in a build context.

    Raises: ContextNotFoundError; KubefileError for an ARG without a value; LayerLimitError.
    """

    def __init__(self, kubefile: Kubefile, context: str, options: BuildOptions) -> None:
        self.kubefile = kubefile
        self.context = context
        self.options = options
        self.steps = make_plan(kubefile, None, options).steps
        self.collector = ContextCollector(context)
        self._root = os.path.realpath(context)

    @cached_property
    def copies(self) -> tuple[Copied, ...]:
        """What every COPY would bring, in order."""
        copies = ((step, step.copy) for step in self.steps if step.copy is not None and step.of_image)
        return tuple(self._copied(step, request) for step, request in copies if not request.from_image)

    @property
    def is_whole(self) -> bool:
        """Whether every COPY would do its work, so that all its files are known."""
        return not any(copied.failures for copied in self.copies)

    def shown(self, entry: Entry) -> str:
        """Return the path of a copied file as people know it: from where they are, through the build context."""
        source = entry.source if isinstance(entry.source, str) else entry.path
        return os.path.normpath(os.path.join(self.context, self.relative(source)))

    def relative(self, source: str) -> str:
        """Return a path within the build context."""
        return os.path.relpath(source, self._root) if os.path.isabs(source) else source

    def _copied(self, step: Step, request: CopyRequest) -> Copied:
        try:
            return Copied(step, request, entries_of(self.collector.collect(request)))
        except ContextError as error:
            for elsewhere in self._on_other_machines(step):
                with suppress(ContextError):
                    return Copied(step, elsewhere, entries_of(self.collector.collect(elsewhere)))
            return Copied(step, request, failures=self._failures(request, error))

    def _failures(self, request: CopyRequest, whole: ContextError) -> tuple[tuple[int, ContextError], ...]:
        """Say which sources cannot be copied; what only all of them together bring about is put down to the first."""
        found = []
        for index, source in enumerate(request.sources):
            try:
                self.collector.collect(replace(request, sources=(source,)))
            except ContextError as error:
                found.append((index, error))
        return tuple(found) or ((0, whole),)

    def _on_other_machines(self, step: Step) -> Iterator[CopyRequest]:
        """Yield what a COPY with ``${ARCH}`` asks for elsewhere: not every image is for the machine that lints."""
        assert isinstance(step.instruction, Copy)
        if not any(ARCHITECTURE in names_used(source) for source in step.instruction.sources):
            return
        for architecture in _ARCHITECTURES:
            options = replace(self.options, platform=Platform("linux", architecture))
            request = make_plan(self.kubefile, None, options).steps[step.number - 1].copy
            if request is not None:
                yield request


def entries_of(collected: Collected) -> list[Entry]:
    """Return all that a COPY puts into the image, the folders above its entries first."""
    return [*(directory(path) for path in collected.directories if path), *collected.entries]
