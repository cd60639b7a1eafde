"""Stages side by side: whose turn it is, what is told in which order, and that all end when one fails.

What the stages share (the store, the cache, the mounts) one of them works with at a time. A command runs without a
turn: it takes longest, and touches nothing that is shared.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from kubeimage.builder.events import Event, Observer, StepFinished, StepOutput, StepStarted
from kubeimage.builder.step import Step
from kubeimage.errors import StoppedError
from kubeimage.image.digest import Digest
from kubeimage.image.platform import Platform
from kubeimage.layer.entry import Entry, Owner
from kubeimage.protocols.context import Remote, RootCollector, RootOpener
from kubeimage.protocols.running import Command, CommandResult, CommandRunner, Mount

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

_MOST_KEPT = 1 << 20
"""Bytes of a step's output that are kept while another step is told of."""
_FEWEST_AT_ONCE = 2


def check(stop: threading.Event) -> None:
    """Find out whether to go on.

    Raises: StoppedError.
    """
    if stop.is_set():
        raise StoppedError("the build has failed in another stage")


class Turn:
    """What a stage holds while it works with what all share."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self.take()
        try:
            check(self._stop)
        except StoppedError:
            self.give()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give()

    def take(self) -> None:
        """Wait for the turn."""
        self._lock.acquire()

    def give(self) -> None:
        """Release it for another one."""
        self._lock.release()


class Together:
    """What the stages of one build share.

    Events go on to ``observe`` step by step: those of one that runs beside are kept until the other is finished.
    """

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._stop = threading.Event()
        self.turn = Turn(self._stop)
        self._telling = threading.RLock()
        self._told: int | None = None
        self._kept: dict[object, list[Event]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Report what is not told yet."""
        with self._telling:
            self._told = None
            for events in [*self._kept.values()]:
                for event in events:
                    self._observe(event)
            self._kept.clear()

    def stop(self) -> None:
        """Have all stages end."""
        self._stop.set()

    def lend_turn(self, runner: CommandRunner) -> CommandRunner:
        """Return a runner whose commands run without the turn, and end when the build does."""
        return _LendingRunner(runner, self.turn, self._stop)

    def lend_turn_of(self, roots: RootOpener | None) -> RootOpener | None:
        """Return what fetches without the turn, where there is anything that fetches."""
        return _LendingRoots(roots, self.turn) if roots is not None else None

    def tell(self, event: Event) -> None:
        """Report an event now, or when what it is about is reported.

        Raises: whatever the observer raises; StoppedError where the build has failed elsewhere.
        """
        check(self._stop)
        step: Step | None = getattr(event, "step", None)
        key: object = step.number if step is not None else None
        with self._telling:
            if self._told is not None and key != self._told:
                self._keep(key if key is not None else event, event)
                return
            self._tell_now(event)
            self._tell_kept()

    def _tell_now(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self._told = event.step.number
        elif isinstance(event, StepFinished):
            self._told = None
        self._observe(event)

    def _tell_kept(self) -> None:
        """Report what waits, up to a step that is not finished: that one is told of from now on."""
        while self._told is None and self._kept:
            for event in self._kept.pop(next(iter(self._kept))):
                self._tell_now(event)

    def _keep(self, key: object, event: Event) -> None:
        events = self._kept.setdefault(key, [])
        events.append(event)
        printed = [one for one in events if isinstance(one, StepOutput)]
        if isinstance(event, StepOutput) and sum(len(one.data) for one in printed) > _MOST_KEPT:
            shorter = StepOutput(event.step, b"[earlier output is left out]\n")
            self._kept[key] = [*(one for one in events if not isinstance(one, StepOutput)), shorter, event]


class _LendingRunner:
    """Runs commands as another runner does, while other stages have their turn."""

    def __init__(self, runner: CommandRunner, turn: Turn, stop: threading.Event) -> None:
        self._runner = runner
        self._turn = turn
        self._stop = stop

    @property
    def name(self) -> str:
        """The other runner's name."""
        return self._runner.name

    def check_platform(self, platform: Platform) -> None:
        """Make sure that programs for ``platform`` can run.

        Raises: PlatformMismatchError.
        """
        self._runner.check_platform(platform)

    def run(self, command: Command, mount: Mount, output: Callable[[bytes], None]) -> CommandResult:
        """Run ``command``; the caller has the turn, before and afterwards.

        Raises: SandboxError; StoppedError where the build has failed elsewhere.
        """
        self._turn.give()
        try:
            return self._runner.run(replace(command, stop=self._stop), mount, output)
        finally:
            self._turn.take()


class _LendingRoots:
    """Opens what another one does; files of the web are fetched while other stages have their turn."""

    def __init__(self, roots: RootOpener, turn: Turn) -> None:
        self._roots = roots
        self._turn = turn

    def open(self, layers: Sequence[Digest]) -> AbstractContextManager[RootCollector]:
        """Return the merged root of ``layers``."""
        return self._roots.open(layers)

    def unpack(
        self, archive: str | bytes, *, mtime: int | None, owner: Owner
    ) -> AbstractContextManager[Sequence[Entry] | None]:
        """Return what is in an archive."""
        return self._roots.unpack(archive, mtime=mtime, owner=owner)

    def lay_out(self, entries: Sequence[Entry]) -> AbstractContextManager[str]:
        """Return the path of a folder that holds ``entries``."""
        return self._roots.lay_out(entries)

    @contextmanager
    def keep(self, name: str, *, sharing: str, mode: int, owner: Owner) -> Iterator[str]:
        """Yield the path of a folder that stays; the turn is given away while another stage has that folder."""
        self._turn.give()
        try:
            kept = self._roots.keep(name, sharing=sharing, mode=mode, owner=owner)
            folder = kept.__enter__()
        finally:
            self._turn.take()
        try:
            yield folder
        finally:
            kept.__exit__(None, None, None)

    @contextmanager
    def fetch(self, remotes: Sequence[Remote]) -> Iterator[Sequence[Entry]]:
        """Yield each file as an entry; the caller has the turn, before and afterwards."""
        self._turn.give()
        try:
            fetched = self._roots.fetch(remotes)
            entries = fetched.__enter__()
        finally:
            self._turn.take()
        try:
            yield entries
        finally:
            fetched.__exit__(None, None, None)


class _Waiting(Mapping[int, T]):
    """What is being made, by number: who looks it up waits for it."""

    def __init__(self, futures: Mapping[int, Future[T]]) -> None:
        self._futures = futures

    def __getitem__(self, number: int) -> T:
        return self._futures[number].result()

    def __iter__(self) -> Iterator[int]:
        return iter(self._futures)

    def __len__(self) -> int:
        return len(self._futures)


def run_in_order(tasks: Mapping[int, Callable[[Mapping[int, T]], T]], together: Together) -> dict[int, T]:
    """Return what each task returns; those that do not wait for each other run side by side.

    Shape:  a task is handed what the others return, and looks up those before it alone.
    Raises: what the first one raises that fails; the others are stopped.
    """
    from concurrent.futures import ThreadPoolExecutor, as_completed

    futures: dict[int, Future[T]] = {}
    made = _Waiting(futures)
    # A task waits only for those before it, which have begun before it: so any number of workers will do.
    workers = min(len(tasks), max(_FEWEST_AT_ONCE, os.cpu_count() or 1))
    with ThreadPoolExecutor(workers, thread_name_prefix="kubeimage-stage") as pool:
        try:
            for number, task in tasks.items():
                futures[number] = pool.submit(task, made)
            for future in as_completed(futures.values()):
                future.result()
        except BaseException:
            together.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return {number: future.result() for number, future in futures.items()}
