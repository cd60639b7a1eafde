"""One Kubefile under test: what a check is given."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from types import TracebackType
from typing import Generic, TypeVar, cast

from harness.asking.options import Settings
from harness.asking.subjects import Subject
from harness.asking.warning import KubefileWarning
from harness.cases.bases import Bases
from harness.cases.outcome import Outcome, describe
from harness.cases.workshop import Job, Workshop
from harness.images.backends import Place
from harness.images.image import BuiltImage
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions, BuildResult, find_base, plan_build, read_kubefile
from kubeimage.api.locking import find_lock, read_lock
from kubeimage.builder.plan import BuildPlan
from kubeimage.discovery.search import PullImages
from kubeimage.errors import BaseImageError, BuildArgError, Diagnostic, KubeimageError, Location
from kubeimage.image.config import Image
from kubeimage.image.platform import Platform
from kubeimage.image.reference import Reference
from kubeimage.kubefile import Kubefile, parse

T = TypeVar("T")

PARSE = "parse"
BUILD = "build"


class _Once(Generic[T]):
    """A value that is worked out when first asked for; an error is kept, and is the same each time."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._value: list[T] = []
        self.error: KubeimageError | None = None
        self._trace: TracebackType | None = None
        self._done = False

    def get(self) -> T:
        if not self._done:
            try:
                self._value.append(self._work())
            except KubeimageError as error:
                self.error, self._trace = error, error.__traceback__
            self._done = True
        if self.error is not None:
            # Raised again and again, it would gather every place that asked.
            raise self.error.with_traceback(self._trace)
        return self._value[0]


class Case:
    """A Kubefile with its context and options; it is parsed and built when first asked, and once.

    Shape: ``path`` is the Kubefile's, as a person reads it; ``context`` is absolute.
    """

    def __init__(self, workshop: Workshop, subject: Subject, path: str | None = None) -> None:
        self.workshop = workshop
        self.subject = subject
        self.path = path or subject.path
        self.context = subject.context or self.settings.context or os.path.dirname(subject.path)
        self.warned: list[Diagnostic] = []
        self._kubefile = _Once(self._read)
        self._options = _Once(self._resolve)
        self._base = _Once(self._find_base)
        self._plan = _Once(self._make_plan)
        self._result = _Once(self._build)

    @property
    def settings(self) -> Settings:
        """What the run was asked for."""
        return self.workshop.settings

    @property
    def place(self) -> Place:
        """Where it is built."""
        return self.workshop.place_for(self.subject.path)

    @property
    def kubefile(self) -> Kubefile:
        """The parsed Kubefile.

        Raises: KubefileError with all its errors; UsageError where it cannot be read.
        """
        return self._kubefile.get()

    @property
    def options(self) -> BuildOptions:
        """What the build is asked for.

        Raises: UsageError for a platform or build argument that cannot be followed.
        """
        return self._options.get()

    @property
    def result(self) -> BuildResult:
        """The build.

        Raises: what kept it from being built.
        """
        return self._result.get()

    @cached_property
    def outcome(self) -> Outcome:
        """How the build went, whether well or not.

        Raises: what keeps it from being begun: the errors of ``kubefile`` and ``options``.
        """
        return self.workshop.build(Job(self.kubefile, self.context, self.options, self.open, self.place.root))

    @property
    def built(self) -> dict[str, str] | None:
        """What to tell people of the image, None where it has not been built."""
        outcome = self.__dict__.get("outcome")
        if outcome is None or outcome.result is None:
            return None
        stand_in = self.bases.stand_in(self.plan.base_name)
        return {**describe(outcome), **({"base": stand_in} if stand_in else {})}

    @cached_property
    def image(self) -> BuiltImage:
        """The built image.

        Raises: what kept it from being built.
        """
        return BuiltImage(self.result.image, self.place, self.result)

    @property
    def base(self) -> Image | None:
        """The base image, or what stands in for it; None for scratch.

        Raises: BaseImageError.
        """
        return self._base.get()

    @property
    def plan(self) -> BuildPlan:
        """What the build does.

        Raises: BaseImageError, BuildArgError, LayerLimitError, KubefileError.
        """
        return self._plan.get()

    @contextmanager
    def open(self) -> Iterator[Backends]:
        """Open the backends that it is built with; their image store knows what stands in for base images."""
        with self.place.open() as backends:
            try:
                yield self.bases.over(backends)
            except BaseImageError as error:
                # The builder's hint is to build it by hand, which helps nobody whose store goes with the run.
                error.hint = self.bases.advice(error.hint)
                raise

    def scratch(self) -> AbstractContextManager[str]:
        """Make an empty folder that is removed at the end of the context."""
        return self.workshop.scratch()

    def warn(self, diagnostic: Diagnostic) -> None:
        """Warn about the Kubefile, in pytest's summary of warnings."""
        location = diagnostic.location or Location(self.path, 1)
        self.warned.append(diagnostic._replace(location=location))
        hint = f" ({diagnostic.hint})" if diagnostic.hint else ""
        warning = KubefileWarning(f"{diagnostic.code}: {diagnostic.message}{hint}", diagnostic)
        warnings.warn_explicit(warning, KubefileWarning, filename=location.file, lineno=location.line)

    def blame(self, error: BaseException) -> str | None:
        """Name the check whose business ``error`` is, None for an error of the asking check itself."""
        if error is self._kubefile.error:
            return PARSE
        if any(error is one.error for one in (self._options, self._base, self._plan, self._result)):
            return BUILD
        return None

    @cached_property
    def undeclared_build_args(self) -> tuple[str, ...]:
        """The run's build arguments that this Kubefile does not declare, and that were left out for it.

        With one Kubefile none is: there it is an error.
        """
        if len(self.settings.kubefiles) < 2:
            return ()
        declared = set(self.kubefile.declared)
        return tuple(key for key in _parse_build_args(self.settings.build_args) if key not in declared)

    def _read(self) -> Kubefile:
        try:
            with open(self.subject.path, "rb") as stream:
                data = stream.read()
        except OSError:
            return read_kubefile(self.subject.path)  # which says what is wrong
        return parse(data, file=self.path)

    def _resolve(self) -> BuildOptions:
        given = _parse_build_args(self.settings.build_args)
        chosen = {key: value for key, value in given.items() if key not in self.undeclared_build_args}
        platform = self.subject.platform or self.settings.platform
        return BuildOptions(
            build_args={**chosen, **dict(self.subject.build_args)},
            platform=Platform.parse(platform) if platform else None,
            pull_images=cast("PullImages", self.settings.pull_images or "off"),
            lock=read_lock(find_lock(self.subject.path)) if self.settings.locked else None,
        )

    def _find_base(self) -> Image | None:
        if (plan := self._built_plan) is not None:
            return plan.base
        kubefile, options = self.kubefile, self.options
        with self.open() as backends:
            return find_base(kubefile, backends, options=options)

    def _make_plan(self) -> BuildPlan:
        if (plan := self._built_plan) is not None:
            return plan
        kubefile, options = self.kubefile, self.options
        # What is wrong with the base is told as one error, whoever asks.
        _ = self.base
        with self.open() as backends:
            return plan_build(kubefile, backends, options=options)

    @property
    def _built_plan(self) -> BuildPlan | None:
        """What was planned for the build, where it has been built."""
        outcome: Outcome | None = self.__dict__.get("outcome")
        return outcome.plan if outcome is not None else None

    def _build(self) -> BuildResult:
        outcome = self.outcome
        if outcome.error is not None:
            raise outcome.error
        assert outcome.result is not None
        return outcome.result

    @cached_property
    def bases(self) -> Bases:
        """What stands in for base images."""
        given = (*self.settings.bases, *self.subject.bases)
        sources = {Reference.parse(name): source for name, source in given}
        return Bases(sources, self.workshop, self.place.root)


def _parse_build_args(texts: tuple[str, ...]) -> Mapping[str, str]:
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals and key not in os.environ:
            raise BuildArgError(
                f"--kubefile-build-arg={key}: the environment has no {key} to take the value from",
                hint=f"set it, or give the value: --kubefile-build-arg={key}=VALUE",
            )
        found[key] = value if equals else os.environ[key]
    return found
