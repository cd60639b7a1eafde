"""The executor against the model: build, edit, rebuild, tag, rmi, prune, crash, and two at once on one store.

Where the store has files, images leave it and come back as well: saved, loaded, pushed and pulled.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis import target
from hypothesis.stateful import initialize, invariant, precondition, rule

from harness import model
from harness.model.build import BASE_NAME
from harness.stateful.agreement import Seen, expected, read_image, try_project
from harness.stateful.places import MachinePlace, MemoryPlace
from harness.stateful.travel import NAMES, NO_IMAGE, TravelMachine, error_of
from harness.strategies import Project, edits, projects
from harness.strategies.saying import count_whiteouts
from kubeimage.builder.events import Event, StepFinished, StepStarted
from kubeimage.errors import KubeimageError
from kubeimage.image.reference import Reference
from kubeimage.kubefile import From, Instruction


class Crash(BaseException):
    """The build is ended here, as by a person's interrupt."""


class ExecutorMachine(TravelMachine):
    """Builds on one store; what the model knows of it stands beside."""

    make_place: Callable[[], MachinePlace] = MemoryPlace

    def __init__(self) -> None:
        super().__init__(type(self).make_place())
        self.project = Project.of("FROM scratch")
        self.cache: model.Cache | None = frozenset()
        """None where nobody can say what it holds."""
        self.hits = 0

    @classmethod
    def over(cls, make_place: Callable[[], MachinePlace]) -> type[ExecutorMachine]:
        """Return a machine that builds somewhere else."""
        return type("ExecutorMachine", (cls,), {"make_place": staticmethod(make_place)})

    @initialize(project=projects())
    def begin(self, project: Project) -> None:
        """Start with a project."""
        self.project = project

    @rule(project=projects())
    def begin_another(self, project: Project) -> None:
        """Go on with another project, on the same store."""
        self.project = project

    @rule(data=st.data())
    def edit(self, data: st.DataObject) -> None:
        """Change the project."""
        self.project = data.draw(edits(self.project, platforms=self.place.platforms)).project

    @rule(name=st.sampled_from(NAMES), use_cache=st.sampled_from((True, True, False)))
    def build(self, name: str, use_cache: bool) -> None:
        """Build, and compare image, error and cache hits with the model's."""
        outcome = self._predict(use_cache=use_cache)
        with self.place.open(self.project.context) as (backends, context):
            seen = try_project(self.project, backends, context, names=(name,), use_cache=use_cache)
        self._compare(seen, outcome)
        self._learn(outcome, name)

    @rule(name=st.sampled_from(NAMES), data=st.data())
    def build_from_what_was_built(self, name: str, data: st.DataObject) -> None:
        """Build on an image that an earlier build made."""
        known = sorted(one for one in self.names if one in NAMES)
        if known:
            base = self.names[data.draw(st.sampled_from(known))]
            instructions = [one for one in self.project.kubefile.instructions if not isinstance(one, From)]
            above = Project.of(f"FROM {BASE_NAME}", base=base).with_instructions([From(BASE_NAME), *instructions])
            project = replace(self.project, kubefile=above.kubefile, base=base, platform=base.platform)
            with suppress(model.Unknown):
                model.build(project.request)
                self.project = project
                self.build(name, use_cache=True)

    @rule(source=st.sampled_from(NAMES), name=st.sampled_from(NAMES))
    def tag(self, source: str, name: str) -> None:
        """Add one more name to an image."""
        with self.place.open({}) as (backends, _):
            error = error_of(lambda: backends.images.tag(Reference.parse(source), Reference.parse(name)))
        assert error == (None if source in self.names else NO_IMAGE)
        if error is None:
            self.names[name] = self.names[source]

    @rule(name=st.sampled_from(NAMES))
    def rmi(self, name: str) -> None:
        """Take a name away."""
        with self.place.open({}) as (backends, _):
            error = error_of(lambda: backends.images.remove(Reference.parse(name)))
        assert error == (None if name in self.names else NO_IMAGE)
        self.names.pop(name, None)

    @rule(keep_cache=st.booleans())
    def prune(self, keep_cache: bool) -> None:
        """Delete what nobody needs."""
        self.place.prune(keep_cache=keep_cache)
        if not keep_cache:
            self.cache = frozenset()

    @rule(name=st.sampled_from(NAMES), at=st.integers(0, 8))
    def crash(self, name: str, at: int) -> None:
        """End a build at some event: the store must be as if it had not begun, but for the cache."""
        with suppress(Crash), self.place.open(self.project.context) as (backends, context):
            events = _At(at, _crash)
            try_project(self.project, backends, context, names=(name,), observe=events)
        self._learn_base()
        if events.happened:
            self._learn_steps(events.finished)
        else:
            self._learn(self._predict(), name)

    @precondition(lambda self: self.cache is not None)
    @rule(names=st.permutations(NAMES), at=st.integers(0, 6), data=st.data())
    def build_two_at_once(self, names: list[str], at: int, data: st.DataObject) -> None:
        """Begin and end a build while another one is at its n-th event."""
        first, second = self.project, data.draw(edits(self.project, platforms=self.place.platforms)).project
        if (second.context, second.base) != (first.context, first.base):
            second = first
        outcomes = [model.build(one.request) for one in (first, second)]

        def build_second() -> None:
            with self.place.open(second.context) as (inner, context):
                seen = try_project(second, inner, context, names=(names[1],), with_base=False)
            assert (seen.image, seen.error) == (outcomes[1].image, outcomes[1].error)

        with self.place.open(first.context) as (backends, context):
            events = _At(at, build_second)
            seen = try_project(first, backends, context, names=(names[0],), observe=events)
        assert (seen.image, seen.error) == (outcomes[0].image, outcomes[0].error)
        self._learn(outcomes[0], names[0])
        if events.happened:
            self._learn(outcomes[1], names[1])

    @precondition(lambda self: self.place.shared)
    @rule(name=st.sampled_from(NAMES), at=st.integers(0, 6), taken=st.sampled_from(NAMES), keep_cache=st.booleans())
    def prune_during_a_build(self, name: str, at: int, taken: str, keep_cache: bool) -> None:
        """Take a name away and prune while a build is at its n-th event: it must not lose what it uses."""

        def clean() -> None:
            with self.place.open(self.project.context) as (inner, _), suppress(KubeimageError):
                inner.images.remove(Reference.parse(taken))
            self.place.prune(keep_cache=keep_cache)

        outcome = model.build(self.project.request)
        with self.place.open(self.project.context) as (backends, context):
            events = _At(at, clean)
            seen = try_project(self.project, backends, context, names=(name,), observe=events)
        assert (seen.image, seen.error) == (outcome.image, outcome.error)
        if events.happened:
            self.names.pop(taken, None)
        self._learn(outcome, name)
        self.cache = None if events.happened else self.cache

    @invariant()
    def the_store_is_whole_and_nothing_is_left(self) -> None:
        """fsck finds nothing, nothing is mounted, nothing is in ``ingest/``."""
        assert self.place.problems() == []

    @invariant()
    def every_name_has_the_image_that_the_model_says(self) -> None:
        """The last one that was given it."""
        assert self._listed() == self.names

    def _listed(self) -> dict[str, model.Image]:
        found = {}
        with self.place.open({}) as (backends, _):
            for record in backends.images.records():
                if record.reference is not None:
                    image = backends.images.get(record.reference)
                    assert image is not None
                    assert image.id == record.image_id
                    found[record.reference.familiar()] = read_image(image, backends.layers)
        return found

    def _predict(self, *, use_cache: bool = True) -> model.Outcome:
        request = replace(self.project.request, use_cache=use_cache)
        return model.build(request, self.cache or frozenset())

    def _compare(self, seen: Seen, outcome: model.Outcome) -> None:
        wanted = expected(outcome)
        if self.cache is None:
            seen, wanted = seen._replace(cached=()), wanted._replace(cached=())
        assert seen == wanted
        self.hits += sum(seen.cached)

    def teardown(self) -> None:
        """Reward runs in which the cache is of use and images have whiteouts. Then remove all."""
        layers = [layer for image in self.names.values() for layer in image.layers]
        target(self.hits, label="cache hits")
        target(count_whiteouts(layers), label="whiteouts")
        super().teardown()

    def _learn(self, outcome: model.Outcome, name: str) -> None:
        self._learn_base()
        if self.cache is not None:
            self.cache |= outcome.cache
        if outcome.image is not None:
            self.names[name] = outcome.image

    def _learn_base(self) -> None:
        if self.project.base is not None:
            self.names[BASE_NAME] = self.project.base

    def _learn_steps(self, finished: int) -> None:
        """Note what a build did that was ended after ``finished`` steps."""
        if self.cache is not None:
            kept: list[Instruction] = [one for one in self.project.kubefile.instructions if not isinstance(one, From)]
            kept = kept[:finished]
            position = self.project.kubefile.instructions.index(self.project.kubefile.base)
            kept.insert(min(position, len(kept)), self.project.kubefile.base)
            done = self.project.with_instructions(kept)
            given = {
                key: self.project.build_args[key] for key in done.kubefile.declared if key in self.project.build_args
            }
            done = replace(done, build_args=given)
            self.cache = model.build(done.request, self.cache).cache


class _At:
    """Does something at the n-th step event, and counts the steps that are done."""

    def __init__(self, number: int, action: Callable[[], None]) -> None:
        self._left = number
        self._action = action
        self.happened = False
        self.finished = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepFinished):
            self.finished += 1
        if isinstance(event, StepFinished | StepStarted):
            self._left -= 1
            if self._left == -1:
                self.happened = True
                self._action()


def _crash() -> None:
    raise Crash
