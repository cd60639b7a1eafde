"""Builds in the dialects after Docker's rules on one store: edit, rebuild, build on what was built, prune, crash.

After each step the store is whole, nothing is mounted, and every name has the image that the model says.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.fakes.noting import NotingRunner
from harness.model import docker
from harness.model.build import BASE_NAME
from harness.stateful.agreement import build_project
from harness.stateful.dockeragreement import read_docker_image
from harness.stateful.places import MachinePlace, MemoryPlace
from harness.strategies import Project, docker_edits, projects
from kubeimage.builder.events import Event, StepFinished, StepStarted
from kubeimage.errors import KubeimageError
from kubeimage.image.reference import Reference
from kubeimage.kubefile import From

_NAMES = ("one:1", "two:1")
_PROJECTS = st.one_of(projects(dialect="sealos", max_size=6), projects(dialect="sealer-0.9", max_size=6))
_WITHOUT_RUN = st.one_of(
    projects(dialect="sealos", max_size=6, runs=False), projects(dialect="sealer-0.9", max_size=6, runs=False)
)


class Crash(BaseException):
    """The build is ended here, as by a person's interrupt."""


class NotingPlace(MemoryPlace):
    """Stores and mounts in memory; a RUN is noted and not done."""

    def __init__(self) -> None:
        super().__init__()
        self.backends = replace(self.backends, runner=NotingRunner())


class DialectMachine(RuleBasedStateMachine):
    """Builds on one store; what the model knows of it stands beside. On a disk no RUN is built."""

    make_place: Callable[[], MachinePlace] = NotingPlace
    cases: st.SearchStrategy[Project] = _PROJECTS

    def __init__(self) -> None:
        super().__init__()
        self.place = type(self).make_place()
        self.project = Project.of("# syntax=sealos\nFROM scratch")
        self.base: docker.Image | None = None
        self.images: dict[str, docker.Image] = {}

    @classmethod
    def over(cls, make_place: Callable[[], MachinePlace]) -> type[DialectMachine]:
        """Return a machine that builds somewhere else, where no program of an image runs."""
        return type("DialectMachine", (cls,), {"make_place": staticmethod(make_place), "cases": _WITHOUT_RUN})

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """Start with a project; what it stands on is built first."""
        self._take(data.draw(type(self).cases))

    @rule(data=st.data())
    def begin_another(self, data: st.DataObject) -> None:
        """Go on with another project, on the same store."""
        self._take(data.draw(type(self).cases))

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        """Change the project."""
        edited = data.draw(docker_edits(self.project))
        # What fails on another base than its own is not what this is about.
        if docker.build(self._request(edited)).image is not None:
            self.project = edited

    @rule(name=st.sampled_from(_NAMES), use_cache=st.sampled_from((True, True, False)))
    def build(self, name: str, use_cache: bool) -> None:
        """Build, and compare the image with the model's."""
        self._build(name, use_cache=use_cache)

    @precondition(lambda self: self.images.keys() & set(_NAMES))
    @rule(name=st.sampled_from(_NAMES), data=st.data())
    def build_from_what_was_built(self, name: str, data: st.DataObject) -> None:
        """Build on an image that an earlier build made, whatever dialect that was in."""
        source = data.draw(st.sampled_from(sorted(self.images.keys() & set(_NAMES))))
        base = self.images[source]
        instructions = list(self.project.kubefile.instructions)
        first = next(number for number, one in enumerate(instructions) if isinstance(one, From))
        old = instructions[first]
        assert isinstance(old, From)
        instructions[first] = From(BASE_NAME, stage=old.stage)
        project = replace(self.project.with_instructions(instructions), platform=base.platform, below=None)
        request = replace(self._request(project), base=base)
        if docker.build(request).image is None:
            return
        with self.place.open({}) as (backends, _):
            backends.images.tag(Reference.parse(source), Reference.parse(BASE_NAME))
        self.images[BASE_NAME] = self.base = base
        self.project = project
        self._build(name)

    @rule(name=st.sampled_from(_NAMES))
    def rmi(self, name: str) -> None:
        """Take a name away."""
        with self.place.open({}) as (backends, _), suppress(KubeimageError):
            backends.images.remove(Reference.parse(name))
        self.images.pop(name, None)

    @rule(keep_cache=st.booleans())
    def prune(self, keep_cache: bool) -> None:
        """Delete what nobody needs."""
        self.place.prune(keep_cache=keep_cache)

    @rule(name=st.sampled_from(_NAMES), at=st.integers(0, 8))
    def crash(self, name: str, at: int) -> None:
        """End a build at some event: the store must be as if it had not begun."""
        left = at

        def count(event: Event) -> None:
            nonlocal left
            if isinstance(event, StepFinished | StepStarted):
                left -= 1
                if left == -1:
                    raise Crash

        with suppress(Crash):
            self._build(name, observe=count)

    @precondition(lambda self: self.base is None)
    @rule(names=st.permutations(_NAMES), at=st.integers(0, 6))
    def build_two_at_once(self, names: list[str], at: int) -> None:
        """Begin and end a build while another one of the same project is at its n-th event."""
        left = at

        def count(event: Event) -> None:
            nonlocal left
            if isinstance(event, StepStarted):
                left -= 1
                if left == -1:
                    self._build(names[1])

        self._build(names[0], observe=count)

    @invariant()
    def the_store_is_whole_and_nothing_is_left(self) -> None:
        """fsck finds nothing, nothing is mounted, nothing is in ``ingest/``."""
        assert self.place.problems() == []

    @invariant()
    def every_name_has_the_image_that_the_model_says(self) -> None:
        """The last one that was given it."""
        with self.place.open({}) as (backends, _):
            found = {}
            for record in backends.images.records():
                if record.reference is not None:
                    image = backends.images.get(record.reference)
                    assert image is not None
                    found[record.reference.familiar()] = read_docker_image(image, backends.layers)
        assert found == {name: image.to_json() for name, image in self.images.items()}

    def teardown(self) -> None:
        """Remove all."""
        self.place.close()

    def _take(self, project: Project) -> None:
        if project.below is not None:
            self.project, self.base = project.below, None
            self._build(BASE_NAME)
        self.base = self.images.get(BASE_NAME) if project.below is not None else None
        self.project = replace(project, below=None)

    def _request(self, project: Project) -> docker.Request:
        return replace(project.docker_request, base=self.base)

    def _build(self, name: str, **how: Any) -> None:
        outcome = docker.build(self._request(self.project))
        assert outcome.image is not None, "a project that fails is none of this machine's"
        with self.place.open(self.project.context) as (backends, context):
            built = build_project(self.project, backends, context, names=(name,), **how)
            assert read_docker_image(built.image, backends.layers) == outcome.image.to_json()
        self.images[name] = outcome.image
