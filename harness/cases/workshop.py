"""A test run's place of work: it builds each content once, for all of the run's processes.

FOLDER/            of this run, below pytest's base temporary folder; goes with the run
├── store/         where built images lie, unless --kubefile-root names a store
├── outcomes/      KEY.json: how a build went; KEY.lock is held by the process that builds it
└── scratch/       contexts and stores of single tests and checks
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace

from harness.asking.options import Settings
from harness.asking.progress import log_event
from harness.asking.settings import read_build_settings
from harness.cases.leaks import Leak, find_leaks, find_mounts, own_sessions, take_snapshot
from harness.cases.outcome import Outcome, Warned
from harness.images.backends import DirectoryPlace, GivenPlace, Place, make_place
from kubeimage.api.backends import Backends
from kubeimage.api.building import BuildOptions, build_image, plan_build
from kubeimage.api.sharing import SharedCache
from kubeimage.builder import events
from kubeimage.builder.plan import BuildPlan
from kubeimage.builder.step import Step
from kubeimage.builder.steps import copy_key
from kubeimage.disk import flock
from kubeimage.errors import KubeimageError
from kubeimage.image.config import Image
from kubeimage.image.digest import Digest
from kubeimage.kubefile import Kubefile
from kubeimage.lock.tomlform import to_toml
from kubeimage.protocols.cachekey import CacheKey
from kubeimage.protocols.context import SourceCollector
from kubeimage.settings import RunSettings

BackendsHook = Callable[[str], Backends | None]


@dataclass(frozen=True)
class Job:
    """What to build.

    Shape: ``open`` opens the backends for a piece of work. ``root`` is the store's folder, None for one that no other
           process sees.
    """

    kubefile: Kubefile
    context: str
    options: BuildOptions
    open: Callable[[], AbstractContextManager[Backends]]
    root: str | None


@dataclass(frozen=True)
class Asked:
    """What a test has asked ``kube_build`` for. Shape: ``base`` is in the store of ``place``; None for FROM's own."""

    kubefile: Kubefile
    context: str
    options: BuildOptions
    place: Place
    base: Image | None = None


class Workshop:
    """Builds for a test run.

    Shape: ``folder`` is shared by all processes of the run. ``hook`` may give other backends for a Kubefile's path.
           ``asked`` is what the running test asked ``kube_build`` for last.
    """

    def __init__(self, settings: Settings, folder: str, hook: BackendsHook = lambda _path: None) -> None:
        self.settings = settings
        self._folder = folder
        self._hook = hook
        self._places: dict[str, Place] = {}
        self._in_memory: dict[tuple[int, str], Outcome] = {}
        self.asked: Asked | None = None
        self._build_settings = read_build_settings(settings)
        for name in ("outcomes", "scratch"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        self.place = self._make_place()

    @property
    def running_place(self) -> Place:
        """Where programs of images are run: a store on disk that goes with the run, for all of its processes."""
        return DirectoryPlace(os.path.join(self._folder, "store"), durable=False)

    def place_for(self, path: str) -> Place:
        """Return the place where the Kubefile at ``path`` is built."""
        if path not in self._places:
            self._places[path] = self._given_place(path) or self.place
        return self._places[path]

    def new_folder(self) -> str:
        """Make an empty folder that goes with the run."""
        return tempfile.mkdtemp(dir=os.path.join(self._folder, "scratch"))

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """Make an empty folder that goes with the context."""
        folder = self.new_folder()
        try:
            yield folder
        finally:
            remove_folder(folder)

    def new_place(self, backend: str | None = None) -> Place:
        """Make an empty place of work, of the sort that the run was asked for."""
        asked = self.settings
        return make_place(
            backend or asked.backend, self.new_folder(), asked.isolation, self._run, settings=self._build_settings
        )

    def build(self, job: Job) -> Outcome:
        """Build, or return what another process of this run, or an earlier call, has made of the same content.

        The store is opened once, and planned once: what is looked up is what is built.
        """
        with ExitStack() as locked:
            try:
                with job.open() as backends:
                    plan = plan_build(job.kubefile, backends, options=job.options)
                    known = self._known_outcomes(job, content_key(plan, backends.collector(job.context)), backends)
                    locked.enter_context(known.locked())
                    if (found := known.read(plan, backends)) is not None:
                        return found
                    build = _Watched(job, plan, self._of_the_run)
                    build.run(backends)
            except KubeimageError as error:
                return Outcome(error=error)
            # What it left is judged once its session is over.
            outcome = build.finish()
            known.write(outcome, plan)
        return outcome

    def _known_outcomes(self, job: Job, key: str, backends: Backends) -> _Known:
        if job.root is None:
            return _KnownInMemory(self._in_memory, (id(backends.layers), key))
        return _KnownOnDisk(os.path.join(self._folder, "outcomes", key))

    def first_to_report(self, what: str, node_id: str) -> str:
        """Return the node id that was the first, in the whole run, to claim the report of ``what``."""
        path = os.path.join(self._folder, "outcomes", hashlib.sha256(what.encode()).hexdigest() + ".reported")
        try:
            with open(path, "x", encoding="utf-8") as stream:
                stream.write(node_id)
        except FileExistsError:
            with open(path, encoding="utf-8") as stream:
                return stream.read() or "another check"
        return node_id

    def close(self) -> None:
        """Remove everything that goes with the run."""
        remove_folder(self._folder)

    @property
    def _run(self) -> RunSettings:
        asked = self.settings
        named = self._build_settings.run if self._build_settings is not None and asked.config else RunSettings()
        return named.but(paths=asked.run_paths, memory=asked.memory, pids=asked.pids, tmp_size=asked.tmp_size)

    @property
    def _shared(self) -> SharedCache:
        asked = self.settings
        return SharedCache(asked.cache_from, asked.cache_to, asked.cache_key, asked.cache_trust)

    def _make_place(self) -> Place:
        backend, root, isolation = self.settings.backend, self.settings.root, self.settings.isolation
        if root is not None and backend != "memory":
            return DirectoryPlace(root, backend, isolation, self._run, self._shared, self._build_settings)
        return make_place(
            backend, self._folder, isolation, self._run, shared=self._shared, settings=self._build_settings
        )

    def _given_place(self, path: str) -> Place | None:
        first = self._hook(path)
        if first is None:
            return None
        ready = [first]
        return GivenPlace(lambda: ready.pop() if ready else self._hook(path) or first)

    @property
    def _of_the_run(self) -> tuple[str, ...]:
        """What this run writes whenever it likes, and what others write for it: a build context may hold it."""
        kept = (self.settings.root, self.settings.save_failures)
        return (self._folder, os.path.dirname(self._folder), *(path for path in kept if path is not None))


def content_key(plan: BuildPlan, collector: SourceCollector) -> str:
    """Digest all that a build's result depends on: 64 characters of hex.

    The last of the cache keys holds all the others; what the cache need not know comes on top.
    """
    parent = plan.first_key.digest
    for stage in plan.stages:
        fields = (("stage", stage.name), *stage.first_key(plan.dialect).fields)
        parent = CacheKey(parent, fields).digest if len(plan.stages) > 1 else parent
        for step in stage.steps:
            parent = _step_key(parent, step, collector).digest
    options = [
        ("base", str(plan.base.id) if plan.base is not None else ""),
        *((f"label {name}", value) for name, value in sorted(plan.options.labels.items())),
        *((f"argument {name}", value) for name, value in sorted(plan.arguments.items())),
        ("keep base", str(plan.options.keep_base)),
        ("epoch", str(plan.options.epoch)),
    ]
    if plan.options.lock is not None:
        options.append(("lock", str(Digest.of(to_toml(plan.options.lock)))))
    return CacheKey(parent, tuple(options)).digest.hex


def _step_key(parent: Digest, step: Step, collector: SourceCollector) -> CacheKey:
    place = ("line", str(step.location.line))
    if step.copy is None or step.copy.from_image:
        fields = step.cache_fields() if step.run or step.copy else (("instruction", step.text),)
        return CacheKey(parent, (place, *fields))
    try:
        entries = collector.with_digests(collector.collect(step.copy).entries)
    except KubeimageError as error:
        # The build fails the same way; what comes before the failing step still makes a difference.
        return CacheKey(parent, (place, *step.cache_fields(), ("error", str(error))))
    return copy_key(parent, (place, *step.cache_fields()), entries)


class _Watched:
    """One build, and what it left behind."""

    def __init__(self, job: Job, plan: BuildPlan, of_the_run: tuple[str, ...]) -> None:
        self._job = job
        self._plan = plan
        self._of_the_run = of_the_run
        self._before = take_snapshot(job.context, of_the_run)
        self._warned: list[Warned] = []
        self._mounted: Sequence[Leak] = ()
        self._sessions: list[str] = []
        self._outcome = Outcome()

    def run(self, backends: Backends) -> None:
        """Build what was planned."""
        job = self._job
        try:
            outcome = Outcome(result=build_image(self._plan, job.context, backends, observe=self._observe))
        except KubeimageError as error:
            outcome = Outcome(error=error)
        # What auto chose is known when it had to choose.
        self._outcome = replace(outcome, plan=self._plan, mounter=backends.mounter.name, runner=backends.runner.name)
        self._mounted = find_mounts(backends.mounter)
        self._sessions = own_sessions(job.root) if job.root is not None else []

    def finish(self) -> Outcome:
        """Return how it went, when its session is over."""
        sessions, root = self._sessions, self._job.root
        if root is not None:
            # A stand-in for a base is built in the session of who asks for it.
            sessions = [session for session in sessions if session not in own_sessions(root)]
        leaks = (*self._mounted, *find_leaks(self._before, self._job.context, sessions, self._of_the_run))
        return replace(self._outcome, warned=tuple(self._warned), leaks=leaks)

    def _observe(self, event: events.Event) -> None:
        log_event(event)
        if isinstance(event, events.Warned):
            self._warned.append(Warned(event.message, event.step.number if event.step is not None else None))


@dataclass(frozen=True)
class _KnownInMemory:
    """How builds went in a store that no other process sees."""

    outcomes: dict[tuple[int, str], Outcome]
    key: tuple[int, str]

    def locked(self) -> AbstractContextManager[None]:
        return nullcontext()

    def read(self, _plan: BuildPlan, _backends: Backends) -> Outcome | None:
        return self.outcomes.get(self.key)

    def write(self, outcome: Outcome, _plan: BuildPlan) -> None:
        self.outcomes[self.key] = outcome


@dataclass(frozen=True)
class _KnownOnDisk:
    """How builds went, for all processes of the run."""

    path: str

    def locked(self) -> AbstractContextManager[None]:
        return flock.exclusive(self.path + ".lock")

    def read(self, plan: BuildPlan, backends: Backends) -> Outcome | None:
        try:
            with open(self.path + ".json", encoding="utf-8") as stream:
                value = json.load(stream)
        except FileNotFoundError:
            return None
        if value["error"] is not None and value["file"] != plan.kubefile.file:
            # The error would name the other file of the same content.
            return None
        return Outcome.from_json(value, plan, backends.images)

    def write(self, outcome: Outcome, plan: BuildPlan) -> None:
        with open(self.path + ".json", "w", encoding="utf-8") as stream:
            json.dump({**outcome.to_json(), "file": plan.kubefile.file}, stream)


_Known = _KnownInMemory | _KnownOnDisk


def remove_folder(folder: str) -> None:
    """Remove a folder, even if folders in it are read-only, as those of some contexts are."""
    for path, folders, _ in os.walk(folder):
        for name in folders:
            place = os.path.join(path, name)
            if not os.path.islink(place):
                os.chmod(place, 0o700)
    # Somebody else may be at it: pytest removes the folders of its older runs.
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
